"""JSON-LD: nothing we write is lost to it, other dialects become plain, and no document makes it fetch, hang or grow."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyld import jsonld as pyld

from schemas import documents, jsonld, jsonld_child
from schemas.activities import Accept, Create, Delete, Follow, Update, parse, parse_note
from schemas.objects import PUBLIC, ActorDocument, Attachment, Field, Key, Note, Tombstone
from schemas.reading import Document, Iri, Unreadable
from tests.unit.test_documents import ALICE, LISTING, RSA

OPTIONS = {"documentLoader": jsonld_child.load, "processingMode": "json-ld-1.1", "base": None}
KEYS = (Key(Iri(ALICE + "#main-key"), ALICE, "rsa", RSA), Key(Iri(ALICE + "#ed25519-key"), ALICE, "ed25519", bytes(range(32))))
ACTOR = ActorDocument(
    ALICE,
    "Person",
    "alice",
    Iri(ALICE + "/inbox"),
    KEYS,
    shared_inbox=Iri("https://a.example/inbox"),
    outbox=Iri(ALICE + "/outbox"),
    followers=Iri(ALICE + "/followers"),
    following=Iri(ALICE + "/following"),
    featured=Iri(ALICE + "/featured"),
    name="Alice",
    summary="<p>x</p>",
    url=Iri("https://a.example/@alice"),
    icon=Iri("https://a.example/i.png"),
    handle="alice@a.example",
    published=LISTING.published,
    moved_to=Iri("https://b.example/a"),
    also_known_as=(Iri("https://c.example/a"),),
    fields=(Field("Web", "<b>x</b>"),),
)
FULL: Note = replace(
    LISTING,
    summary="careful",
    source=LISTING.proposal and LISTING.proposal.text,
    url=Iri("https://a.example/@alice/1"),
    updated=LISTING.published,
    conversation="https://a.example/posts/1",
    in_reply_to=Iri("https://b.example/1"),
    attachments=(Attachment(Iri("https://a.example/1.png"), "image/png", "A picture"),),
    proposal=LISTING.proposal and replace(LISTING.proposal, region="SY", urgency="days", speaks=("ar", "en")),
)
FOLLOW = Follow(id=Iri("https://b.example/f"), actor=Iri("https://b.example/b"), object=ALICE)


def essence(value: Any) -> Any:
    """A document without what JSON-LD takes for nothing: null, empty lists, the difference between one and a list of one."""
    if isinstance(value, dict):
        return {name: essence(inner) for name, inner in value.items() if name != "@context" and inner is not None and inner != []}
    if isinstance(value, list):
        return essence(value[0]) if len(value) == 1 else sorted((essence(one) for one in value), key=json.dumps)
    return PUBLIC if value == "as:Public" else value   # compaction shortens it, and we read both


@pytest.mark.parametrize(
    "document",
    [
        documents.note(FULL),
        documents.note(replace(FULL, proposal=None)),
        documents.proposal(FULL),
        documents.actor(ACTOR),
        documents.actor(replace(ACTOR, kind="Application")),
        documents.activity(
            Create(id=Iri("https://a.example/c"), actor=ALICE, object=FULL, to=(PUBLIC,), cc=(Iri(ALICE + "/followers"),), published=FULL.published)
        ),
        documents.activity(Update(id=Iri("https://a.example/u"), actor=ALICE, object=ACTOR, to=(PUBLIC,))),
        documents.activity(Accept(id=Iri("https://a.example/a"), actor=ALICE, object=FOLLOW)),
        documents.activity(Delete(id=Iri("https://a.example/d"), actor=ALICE, object=Tombstone(FULL.id, "Note"), to=(PUBLIC,))),
        documents.tombstone(FULL.id, "Note", FULL.published),
        documents.collection(Iri(ALICE + "/followers"), 3),
        documents.collection_page(Iri(ALICE + "/outbox?page=1"), Iri(ALICE + "/outbox"), [FULL.id, FULL], total=2, next=Iri(ALICE + "/outbox?page=2")),
    ],
    ids=lambda document: str(document["type"]),
)
def test_everything_we_write_survives_expansion(document: Document) -> None:
    expanded = pyld.expand(document, OPTIONS)
    back = pyld.compact(expanded, {"@context": document["@context"]}, OPTIONS)

    assert essence(back) == essence(document)
    assert "_:" not in json.dumps(expanded)


def test_a_document_is_expanded_in_a_process_of_its_own() -> None:
    expanded = jsonld.expand(documents.note(FULL))

    assert expanded[0]["@type"] == ["https://www.w3.org/ns/activitystreams#Note"]
    assert expanded[0]["https://w3id.org/valueflows/ont/vf#purpose"] == [{"@value": "request"}]


def test_other_prefixes_and_full_iris_become_plain_and_are_read() -> None:
    dialect = {
        "@context": {"a": "https://www.w3.org/ns/activitystreams#", "v": "https://w3id.org/valueflows/ont/vf#"},
        "@id": "https://p.example/1",
        "@type": "a:Note",
        "https://www.w3.org/ns/activitystreams#attributedTo": {"@id": "https://p.example/users/p"},
        "a:content": "<p>A van</p>",
        "a:to": {"@id": "a:Public"},
        "v:purpose": "offer",
        "v:publishes": {"@type": "v:Intent", "a:name": "A van for a day"},
    }
    note = parse_note(jsonld.plain(dialect))

    assert (note.id, note.attributed_to, note.content, note.to) == ("https://p.example/1", "https://p.example/users/p", "<p>A van</p>", (PUBLIC,))
    assert note.proposal is not None
    assert (note.proposal.purpose, note.proposal.title) == ("offer", "A van for a day")


def test_what_is_plain_already_stays_what_it_says() -> None:
    create = Create(id=Iri("https://a.example/c"), actor=ALICE, object=FULL, to=FULL.to, cc=FULL.cc)

    assert parse(jsonld.plain(documents.activity(create))) == create


@pytest.mark.parametrize(
    "document",
    [
        {"@context": "https://evil.example/context", "id": "https://a.example/1"},
        {"@context": ["https://www.w3.org/ns/activitystreams", "file:///etc/passwd"], "id": "https://a.example/1"},
        {"@context": "contexts/webfinger.jsonld", "id": "https://a.example/1"},
        {"@context": {"x": {"@id": "as:x", "@context": "https://evil.example/scoped"}}, "x": {"y": 1}},
        {"@context": {f"t{number}": f"https://a.example/{number}" for number in range(201)}},
        {"@context": [{"x": {"@id": "https://a.example/x", "@context": {f"t{number}": "https://a.example/t" for number in range(201)}}}]},
        {"@context": {"@import": "https://www.w3.org/ns/activitystreams"}},
        {"@graph": [{"id": "https://a.example/1"}]},
        {"@context": {"x": {"@reverse": "https://a.example/x"}}, "x": "https://a.example/1"},
        {"id": "https://a.example/1", "content": "x" * 70_000},
        {"items": [{"a": 1} for _ in range(2001)]},
        {"@context": 7},
        {"@context": {"@vocab": 7}},
    ],
    ids=lambda document: str(document)[:60],
)
def test_contexts_that_lead_elsewhere_are_refused(document: Document) -> None:
    with pytest.raises(Unreadable):
        jsonld.expand(document)


def test_a_reader_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonld, "TIME_S", 0.0)
    began = time.monotonic()

    with pytest.raises(Unreadable, match="longer than"):
        jsonld.expand(documents.note(FULL))
    assert time.monotonic() - began < jsonld.START_S


def test_nested_scoped_contexts_end_within_the_limits() -> None:
    inner: dict[str, Any] = {"@context": {"x": {"@id": "https://a.example/x", "@context": {}}}}
    for _ in range(30):
        inner = {"@context": {"x": {"@id": "https://a.example/x", "@context": inner["@context"]}}, "x": [inner, {"x": 1}]}
    began = time.monotonic()
    try:
        jsonld.expand(inner)
    except Unreadable as error:
        assert error.why  # noqa: PT017  # both answers are right; neither may take long
    assert time.monotonic() - began < jsonld.START_S + jsonld.TIME_S


def test_every_bundled_context_is_there_and_used() -> None:
    folder = Path(jsonld_child.__file__).parent / "contexts"

    assert {file.name for file in folder.iterdir()} == set(jsonld_child.CONTEXTS.values())
    for url in jsonld_child.CONTEXTS:
        assert pyld.expand({"@context": url, "@id": "https://a.example/1"}, OPTIONS) == []
