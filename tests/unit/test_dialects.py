"""Requests and offers of other servers: one golden document of each dialect, those that are none by name, and JSON-LD where nothing else helps, bounded."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actors.instance import Instance
from inbox import dialect
from inbox.verify import Sender, Verified
from schemas import foreign, jsonld
from schemas.activities import Create, parse, parse_note
from schemas.objects import PUBLIC, Note, Proposal
from schemas.reading import Document, Iri, Unreadable

DOCUMENTS = Path(__file__).resolve().parents[1] / "interop" / "documents"

# What each says: purpose, title, status, categories, skills.
GOLDEN: dict[str, tuple[str, str, str, tuple[str, ...], tuple[str, ...]]] = {
    "mitra/4.11-proposal.json": ("offer", "Bicycle repair", "matched", (), ()),
    "fedify/2.3-create-proposal.json": ("request", "Translation into Farsi", "open", (), ("Translation",)),
    "flohmarkt/0.21-create-note.json": ("offer", "Generator", "open", (), ()),
    "flohmarkt/0.4-create-note-data.json": ("offer", "Satellite phone", "open", (), ()),
    "epicyon/1.6-proposal-share.json": ("offer", "Shortwave transmitter", "open", ("RadioBroadcast",), ()),
    "epicyon/1.6-proposal-wanted.json": ("request", "A lawyer", "open", ("LegalAid",), ()),
    "epicyon/1.6-create-share.json": ("offer", "Shortwave transmitter", "open", ("RadioBroadcast",), ()),
    "bonfire/0.9-proposal.json": ("offer", "A hall for forty people", "open", (), ()),
    "bonfire/0.9-create-intent.json": ("request", "A room for three weeks", "open", (), ()),
    "bonfire/0.9-create-need.json": ("request", "Interpreter for Dari", "withdrawn", (), ()),
    "bonfire/0.9-create-proposal.json": ("offer", "Beds", "open", (), ()),
    "valueflows/1-create-prefixed.json": ("offer", "A van with a driver", "open", ("Relocation",), ()),
    "valueflows/2-create-full-names.json": ("offer", "Legal advice", "open", (), ()),
    "valueflows/3-create-alias.json": ("request", "A radio engineer", "open", (), ()),
}
NEEDS_JSONLD = {name for name in GOLDEN if name.startswith("valueflows/")}

NO_LISTING = {
    "rubbish/20-create-intent-of-another-host.json",
    "rubbish/21-create-purpose-unknown.json",
    "rubbish/22-create-nothing-published.json",
    "rubbish/23-create-proposal-of-somebody-else.json",
    "rubbish/24-create-data-without-name.json",
    "rubbish/25-create-plan-of-nobody.json",
}


def load(name: str) -> tuple[Document, bytes]:
    body = (DOCUMENTS / name).read_bytes()
    document: Document = json.loads(body)
    return document, body


def post(document: Document) -> Note:
    if "actor" not in document:
        return parse_note(document)
    found = parse(document)
    assert isinstance(found, Create)
    assert isinstance(found.object, Note)
    return found.object


def proposal(name: str) -> Proposal | None:
    document, body = load(name)
    if "actor" in document and foreign.is_foreign(document, body):
        document = foreign.plain(document)
    return post(document).proposal


@pytest.mark.parametrize("name", GOLDEN)
def test_a_listing_of_another_dialect_is_understood(name: str) -> None:
    found = proposal(name)

    assert found is not None
    assert (found.purpose, found.title, found.status, found.categories, found.skills) == GOLDEN[name]
    assert "52.5" not in repr(found), "nobody is found by coordinates"


@pytest.mark.parametrize("name", sorted(NO_LISTING))
def test_those_that_are_no_listing_are_a_post_and_nothing_more(name: str) -> None:
    assert proposal(name) is None


every = sorted(str(file.relative_to(DOCUMENTS)) for file in DOCUMENTS.glob("*/*.json"))


@pytest.mark.parametrize("name", every)
def test_only_words_of_their_own_cost_json_ld(name: str) -> None:
    document, body = load(name)
    if "actor" in document:
        assert foreign.is_foreign(document, body) == (name in NEEDS_JSONLD)


def test_what_everybody_sends_is_looked_at_in_a_share_of_the_time_that_reading_takes() -> None:
    document, body = load("mastodon/4.5-create-note.json")

    def cost(look: Callable[[], object]) -> float:
        """Processor time alone, the best of five: neighbours do not count."""
        best = float("inf")
        for _ in range(5):
            began = time.thread_time()
            for _ in range(500):
                look()
            best = min(best, time.thread_time() - began)
        return best

    assert cost(lambda: foreign.is_foreign(document, body)) < cost(lambda: parse(document)) / 3


# The reader in the worker.


def verified(document: Document) -> Verified:
    return Verified(Sender(1, Iri(str(document.get("actor"))), "coop.example"), document, "signature", json.dumps(document).encode())


def bomb(depth: int = 12) -> Document:
    """Contexts inside contexts: each term has one of its own."""
    context: dict[str, Any] = {"x": "https://w3id.org/valueflows/ont/vf#purpose"}
    for number in range(depth):
        context = {f"t{number}{name}": {"@id": f"https://coop.example/{number}{name}", "@context": context} for name in "abcd"}
    return context


async def test_what_json_ld_does_not_take_is_read_as_it_stands(instance: Instance) -> None:
    reader = dialect.Reader(instance)
    document, _ = load("valueflows/3-create-alias.json")
    plain_words = document["object"]["content"]
    worse = [
        [*document["@context"], "https://contexts.example/unknown"],
        [*document["@context"], {f"term{number}": "https://coop.example/x" for number in range(300)}],
        [*document["@context"], {"@import": "https://contexts.example/import"}],
        [*document["@context"], {"@vocab": "_:b", "id": "@type"}],
    ]
    for context in worse:
        found = parse(await reader.plain(verified({**document, "@context": context})))
        assert isinstance(found, Create)
        assert isinstance(found.object, Note)
        assert (found.object.content, found.object.proposal) == (plain_words, None)
    # As it should be, it is a listing
    found = parse(await reader.plain(verified(document)))
    assert isinstance(found, Create)
    assert isinstance(found.object, Note)
    assert found.object.proposal is not None


async def test_a_context_that_renames_the_sender_renames_nobody(instance: Instance) -> None:
    document, _ = load("valueflows/3-create-alias.json")
    document["@context"].append({"actor": "https://coop.example/x", "who": {"@id": "as:actor", "@type": "@id"}})
    document["who"] = "https://coop.example/users/victim"

    assert (await dialect.Reader(instance).plain(verified(document)))["actor"] == document["actor"]


async def test_one_host_makes_few_such_readings(instance: Instance) -> None:
    reader = dialect.Reader(instance)
    document, _ = load("valueflows/3-create-alias.json")
    refused = {**document, "@context": [*document["@context"], {"@import": "https://contexts.example/x"}]}   # costs no process

    for _ in range(dialect.AT_ONCE):
        await reader.plain(verified(refused))

    assert await reader.plain(verified(document)) is document


def test_no_context_is_ever_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as canary:
        canary.bind(("127.0.0.1", 0))
        canary.listen()
        canary.settimeout(0.3)
        url = f"http://127.0.0.1:{canary.getsockname()[1]}/context.jsonld"
        document, _ = load("valueflows/3-create-alias.json")
        for context in (url, [url], {"@import": url}, {"wants": {"@id": "x:y", "@context": url}}):
            with pytest.raises(Unreadable):
                foreign.plain({**document, "@context": context})
        with pytest.raises(TimeoutError):
            canary.accept()


def test_context_bombs_take_neither_time_nor_memory() -> None:
    document, _ = load("valueflows/3-create-alias.json")
    for depth in (2, 4, 6):
        began = time.monotonic()
        with suppress(Unreadable):   # the small ones are honest contexts
            foreign.plain({**document, "@context": [*document["@context"], bomb(depth)]})
        assert time.monotonic() - began < jsonld.START_S + jsonld.TIME_S
    with pytest.raises(Unreadable):
        foreign.plain({**document, "@context": [*document["@context"], bomb(6)]})


def test_two_documents_at_once_do_not_disturb_each_other() -> None:
    one, two = load("valueflows/1-create-prefixed.json")[0], load("valueflows/3-create-alias.json")[0]

    async def both() -> list[Document]:
        return list(await asyncio.gather(asyncio.to_thread(foreign.plain, one), asyncio.to_thread(foreign.plain, two)))

    first, second = asyncio.run(both())
    assert (post(first).id, post(second).id) == (one["object"]["id"], two["object"]["id"])
    assert post(first).to == (PUBLIC,)


def test_the_reader_gets_no_more_than_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # Past our own bounds: four million lists are some 250 MB in a process that may have 256 with all it is made of.
    monkeypatch.setattr(jsonld, "TIME_S", 20.0)
    with pytest.raises(Unreadable) as caught:
        jsonld._ask({"document": [[]] * 4_000_000})
    assert "MemoryError" in caught.value.why or "memory" in caught.value.why
