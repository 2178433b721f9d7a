"""A listing with everything it may have reaches others and is read back, stays small enough for all of them, and says no number that tells who helps."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.known import Actor
from fedmatch.board.notes import note_of
from outbox.publish import MOST_BODY
from schemas import documents, html, jsonld, vocabulary
from schemas.activities import Create, parse
from schemas.listings import Invalid, content, validated
from schemas.notes import parse_note
from schemas.objects import PUBLIC, Need, Note, Proposal, Translation, Vouch
from schemas.reading import Iri
from tests import ready
from tests.world import write_config

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
AUTHOR = Iri("https://a.example/users/amina")
GOLDEN = Path(__file__).parent.parent / "interop" / "documents" / "fedmatch"

VOUCH_DOCUMENT = {
    "@context": ["https://www.w3.org/ns/activitystreams", {"fm": "https://w3id.org/fedmatch/ns#", "Vouch": "fm:Vouch"}],
    "id": "https://a.example/vouches/1",
    "type": "Vouch",
    "attributedTo": "https://a.example/actor",
    "subject": AUTHOR,
    "subjectKey": "sha256:" + "0" * 64,
    "level": 2,
    "method": "in-person",
    "issued": "2026-11-01T00:00:00Z",
    "expires": "2027-01-01T00:00:00Z",
}
VOUCH = Vouch(
    Iri("https://a.example/vouches/1"),
    Iri("https://a.example/actor"),
    AUTHOR,
    "sha256:" + "0" * 64,
    2,
    "in-person",
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
    json.dumps(VOUCH_DOCUMENT),
)
FULL = Proposal(
    purpose="request",
    title="Radio engineer",
    text="We start in spring.\n\nCan you advise us?",
    categories=("Connectivity",),
    skills=("RadioBroadcast",),
    speaks=("ar", "en"),
    region="YE",
    urgency="weeks",
    until=NOW + timedelta(days=20),
    expires=NOW + timedelta(days=30),
    helper_region="DE",
    only_speaks=True,
    only_region=True,
    needs=(Need("editors", 3), Need("transmitter", 1, equipment=True)),
    translations=(Translation("ar", "مهندس إذاعة", "نبدأ في الربيع."), Translation("fr", "Ingénieur radio", "Nous commençons au printemps.")),
    follow_up_of=Iri("https://a.example/posts/1"),
)


class _Home:
    """What `note_of` asks of an instance."""

    def __init__(self, folder: Path) -> None:
        self.config = ready.migrated(write_config(folder))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return _Home(tmp_path_factory.mktemp("home"))


def author(home: Any) -> Actor:
    values = {field.name: None for field in fields(Actor)} | {"uri": AUTHOR, "followers": Iri(f"{AUTHOR}/followers"), "id": 1, "local": True}
    return Actor(**values)


def made(home: Any, proposal: Proposal, language: str = "en", **more: Any) -> Note:
    return note_of(home, author(home), Iri("https://a.example/posts/2"), proposal, language, NOW, **more)


def said(document: dict[str, Any]) -> Proposal:
    found = parse_note(json.loads(documents.dumps(document))).proposal
    assert found is not None
    return found


def test_every_member_is_read_back(home: Any) -> None:
    assert said(documents.note(made(home, FULL))) == FULL
    offer = replace(FULL, purpose="offer", needs=(), capacity=5)
    assert said(documents.note(made(home, offer))) == offer


def test_a_copy_for_one_peer_says_what_its_readers_need_and_leads_nowhere(home: Any) -> None:
    application = Iri("https://b.example/actor")
    copy = replace(FULL, readers=0, circle="network")
    document = documents.note(made(home, copy, to=(application,)))
    assert said(document) == copy
    assert (document["to"], document["cc"]) == ([application], [])
    assert "proposal" not in document
    assert "tag" not in document or document["tag"] == []
    assert "<a " not in document["content"], "some servers fetch the first link of whatever they get"
    assert PUBLIC not in document["interactionPolicy"]["canAnnounce"]["automaticApproval"]


def test_a_vouch_travels_as_it_was_signed(home: Any) -> None:
    document = documents.note(made(home, replace(FULL, vouches=(VOUCH,))))
    assert document["vouch"] == [VOUCH_DOCUMENT]
    [read] = said(document).vouches
    assert replace(read, document="") == replace(VOUCH, document="")
    assert json.loads(read.document) == VOUCH_DOCUMENT
    assert "Checked by: a.example" in html.to_text(document["content"])


def members(value: Any) -> set[str]:
    """The names of all members of a document, those inside others too; of maps by language the map alone."""
    if isinstance(value, list):
        return {name for one in value for name in members(one)}
    if not isinstance(value, dict):
        return set()
    return {name for key, one in value.items() if key != "@context" and one not in (None, []) for name in {key, *(members(one) if key[-3:] != "Map" else ())}}


def named(expanded: Any) -> set[str]:
    """The IRIs of all members after an expansion."""
    if isinstance(expanded, list):
        return {name for one in expanded for name in named(one)}
    return {name for key, one in expanded.items() for name in {key, *named(one)}} if isinstance(expanded, dict) else set()


COPY = replace(FULL, readers=2, circle="peers", vouches=(VOUCH,))
"""As it goes to one trusted peer, with all that may be said of it."""


@pytest.mark.parametrize(
    ("proposal", "to"),
    [(FULL, PUBLIC), (replace(FULL, vouches=(VOUCH,)), PUBLIC), (COPY, Iri("https://b.example/actor")), (replace(COPY, readers=0, circle="network"), PUBLIC)],
    ids=["public", "vouched for", "for one peer", "for the network"],
)
def test_expansion_loses_no_member(home: Any, proposal: Proposal, to: Iri) -> None:
    document = documents.note(made(home, proposal, to=(to,)))
    read, vouches = said(jsonld.plain(document)), proposal.vouches
    assert replace(read, vouches=()) == replace(proposal, vouches=())
    assert [replace(one, document="") for one in read.vouches] == [replace(one, document="") for one in vouches]
    if vouches:
        assert {"vouch", "subjectKey", "method", "level", "issued", "expires"} <= members(document)
    if proposal.circle:
        assert {"readers", "circle"} <= members(document)
    expanded = jsonld.expand(document)
    there = {iri.replace("@", "").rpartition("#")[2].rpartition("/")[2] for iri in named(expanded)}
    # A term may stand for another name of the vocabulary it comes from, and a map by language expands into the member it is of.
    other = {name: str(term["@id"] if isinstance(term, dict) else term).rpartition(":")[2] for name, term in documents.LISTING_TERMS.items()}
    lost = {name for name in members(document) if not {name, other.get(name, name), name.removesuffix("Map")} & there}
    assert lost == set()


def test_numbers_leave_as_text_and_come_as_either(home: Any) -> None:
    document = documents.note(made(home, replace(FULL, needs=(), capacity=5)))
    assert document["capacity"] == "5"
    assert document["publishes"]["resourceQuantity"]["hasNumericalValue"] == "5"
    for form in (5, "5", 5.0, "5.0", {"@value": "5"}, [5]):
        assert said(document | {"capacity": form}).capacity == 5
    for rubbish in ("five", -1, 0, True, {}, [], 10**12, 5.5):
        assert said(document | {"capacity": rubbish}).capacity is None
    needs = documents.note(made(home, FULL))
    assert [need["quantity"] for need in needs["need"]] == ["3", "1"]


@pytest.mark.parametrize("status", ["open", "paused", "matched", "fulfilled", "expired"])
def test_what_is_left_never_leaves(home: Any, status: str) -> None:
    intent = documents.note(made(home, replace(FULL, needs=(), capacity=5, status=status)))["publishes"]
    assert intent["availableQuantity"]["hasNumericalValue"] == ("5" if status == "open" else "0")
    assert intent["finished"] is (status in ("fulfilled", "expired"))


def test_every_language_stands_in_the_text_in_its_own_direction(home: Any) -> None:
    document = documents.note(made(home, FULL))
    assert document["contentMap"] == {"en": document["content"]}
    assert document["titleMap"] == {"ar": "مهندس إذاعة", "fr": "Ingénieur radio"}
    shown = document["content"]
    assert html.sanitise(shown) == shown
    assert '<p lang="ar"><strong>طلب' in shown
    assert '<p lang="fr">Nous commençons au printemps.</p>' in shown
    text = html.to_text(shown)
    assert "Languages: Arabic, English (Only in these languages)" in text
    assert "Helper in: Germany (Only from there)" in text
    assert "Needed: 3 × editors, transmitter (equipment)" in text
    assert "Open until: December 12, 2026" in text


SCRIPTS = ("a", "ж", "ع", "字", "ᄀ", "😀", "&", "<", '"', "\n", "a\n\n")


KINDS = st.sampled_from(["request", "offer"])


@given(letter=st.sampled_from(SCRIPTS), letters=st.integers(1, 5000), kind=KINDS, language=st.sampled_from(vocabulary.LANGUAGES))
@settings(max_examples=40, deadline=None)
def test_it_stays_small_enough_for_everybody(home: Any, letter: str, letters: int, kind: str, language: str) -> None:
    text = "x" + letter * (letters // len(letter)) + "x"
    try:
        proposal = validated(kind, letter.strip() * 100 or "title", text, language, ["LegalAid"], ["AsylumLaw"], ["ar"], region="SY", now=NOW)
    except Invalid:
        return
    note = made(home, proposal, language)
    body = documents.dumps(documents.activity(Create(id=Iri(f"{note.id}/activity"), actor=AUTHOR, object=note, to=note.to, cc=note.cc)))
    assert len(body) <= MOST_BODY
    again = parse(json.loads(body))
    assert isinstance(again, Create)
    assert isinstance(again.object, Note)
    assert again.object.proposal == proposal


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"capacity": 0}, "capacity"),
        ({"capacity": 10**9}, "capacity"),
        ({"helper_region": "Atlantis"}, "helper_region"),
        ({"only_speaks": True, "speaks": []}, "only_speaks"),
        ({"only_region": True}, "only_region"),
        ({"needs": [Need("", 1)]}, "needs"),
        ({"needs": [Need("x", 0)]}, "needs"),
        ({"needs": [Need("x", 1), Need("X", 1)]}, "needs"),
        ({"needs": [Need("x", 1)], "kind": "offer"}, "needs"),
        ({"needs": [Need("x", 1)], "capacity": 2}, "capacity"),
        ({"needs": [Need(str(number), 1) for number in range(11)]}, "needs"),
        ({"translations": [Translation("klingonish", "x", "y")]}, "translation"),
        ({"translations": [Translation("en", "x", "y")]}, "translation"),
        ({"translations": [Translation("ar", "x", "y"), Translation("ar", "x", "z")]}, "translation"),
        ({"translations": [Translation("ar", "", "y")]}, "title"),
        ({"translations": [Translation("ar", "x", "y" * 4000)]}, "translation"),
        ({"expires": "1999-01-01"}, "expires"),
        ({"expires": "soon"}, "expires"),
    ],
)
def test_what_cannot_be_is_named_with_its_field_and_a_cure(given: dict[str, Any], field: str) -> None:
    values: dict[str, Any] = {"kind": "request", "title": "x", "text": "y", "language": "en", "categories": ["LegalAid"], "skills": [], "speaks": ["ar"]}
    with pytest.raises(Invalid) as raised:
        validated(**(values | given), now=NOW)
    assert raised.value.field == field
    assert raised.value.cure


def test_without_a_deadline_it_closes_after_thirty_days() -> None:
    made = validated("offer", "x", "y", "en", ["LegalAid"], [], [], now=NOW + timedelta(minutes=17))
    assert (made.until, made.expires, made.ends) == (None, NOW + timedelta(days=30), NOW + timedelta(days=30))
    dated = validated("offer", "x", "y", "en", ["LegalAid"], [], [], until="2027-06-01", now=NOW)
    assert dated.expires == dated.until == dated.ends


def test_at_most_six_hashtags_whatever_is_named(home: Any) -> None:
    many = replace(FULL, categories=("LegalAid", "Relocation", "Connectivity"), skills=("AsylumLaw", "RadioBroadcast", "Journalism", "PressOutreach"))
    assert len([tag for tag in documents.note(made(home, many))["tag"] if tag["type"] == "Hashtag"]) == 6
    assert content(many, "en", "https://a.example/tags/").count("mention hashtag") == 6


def written(home: Any) -> dict[str, Any]:
    """The activity by which a listing with everything leaves, on a.example."""
    note = made(home, FULL)
    create = Create(id=Iri(f"{note.id}/activity"), actor=AUTHOR, object=note, to=note.to, cc=note.cc, published=NOW)
    found: dict[str, Any] = json.loads(documents.dumps(documents.activity(create)).replace(home.config.base_url.encode(), b"https://a.example"))
    return found


def test_the_golden_document_is_what_we_write(home: Any) -> None:
    """What a listing with everything looks like, for whoever wants to read ours."""
    golden = json.loads((GOLDEN / "0.1-create-request.json").read_text(encoding="utf-8"))
    assert written(home) == golden
    assert said(golden["object"]) == FULL
