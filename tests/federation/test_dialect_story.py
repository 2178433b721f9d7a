"""A whole activity in words of its own comes through the real door: prefixed, in full names, or fetched so; what is too much of it waits and is not lost."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inbox import dialect
from tests.fakepeer import PUBLIC, FakeActor
from tests.world import Person, World, open_world

AS = "https://www.w3.org/ns/activitystreams#"
VF = "https://w3id.org/valueflows/ont/vf#"
FM = "https://w3id.org/fedmatch/ns#"
PREFIXES = {"as": AS, "v": VF, "f": FM}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def met(world: World) -> tuple[Person, FakeActor]:
    """Amina, and somebody of another server whom she follows."""
    amina, peer = await world.person("amina@a"), await world.peer()
    p1 = peer.actor("p1")
    await amina.follow(p1.handle)
    await world.settle()
    await p1.send(p1.activity("Accept", peer.activities("Follow")[-1]), amina.actor.inbox)
    await world.settle()
    return amina, p1


def offer(p1: FakeActor, number: int, title: str, *, full: bool) -> dict[str, Any]:
    """An offer, every word of it prefixed, or in its full name and expanded."""

    def name(prefix: str, word: str) -> str:
        return PREFIXES[prefix] + word if full else f"{prefix}:{word}"

    def link(uri: str) -> Any:
        return [{"@id": uri}] if full else {"@id": uri}

    def text(value: str) -> Any:
        return [{"@value": value}] if full else value

    here = f"{p1.peer.base}/things/{number}"
    return {
        "@id": here,
        "@type": [name("as", "Note")] if full else name("as", "Note"),
        name("as", "attributedTo"): link(p1.id),
        name("as", "content"): text(f"<p>{title}</p>"),
        name("as", "to"): link(PUBLIC),
        name("v", "purpose"): text("offer"),
        name("f", "category"): text("Relocation"),
        name("v", "publishes"): {
            "@id": f"{here}#primary",
            "@type": name("v", "Intent"),
            name("as", "name"): text(title),
            name("v", "action"): text("deliverService"),
        },
    }


def activity(p1: FakeActor, kind: str, object: Any, *, full: bool) -> dict[str, Any]:
    def name(word: str) -> str:
        return f"{AS}{word}" if full else f"as:{word}"

    return {
        **({} if full else {"@context": PREFIXES}),
        "@id": f"{p1.peer.base}/activities/{next(p1.peer.counter)}",
        "@type": [name(kind)] if full else name(kind),
        name("actor"): [{"@id": p1.id}] if full else {"@id": p1.id},
        name("to"): {"@id": PUBLIC},
        name("object"): [object] if full else object,
    }


async def listed(amina: Person) -> list[tuple[str, str, list[str]]]:
    return sorted((one["kind"], one["title"], one["categories"]) for one in await amina.site.listings())


async def test_whole_activities_in_words_of_their_own(world: World) -> None:
    amina, p1 = await met(world)

    # A listing, in both ways, and what takes one back
    for number, full in enumerate((False, True)):
        create = activity(p1, "Create", offer(p1, number, f"Offer {number}", full=full), full=full)
        assert (await p1.send(create, amina.actor.inbox)).status == 202
    await world.settle()
    assert await listed(amina) == [("offer", "Offer 0", ["Relocation"]), ("offer", "Offer 1", ["Relocation"])]
    gone = activity(p1, "Delete", {"@id": f"{p1.peer.base}/things/0"}, full=False)
    assert (await p1.send(gone, amina.actor.inbox)).status == 202
    await world.settle()
    assert [title for _, title, _ in await listed(amina)] == ["Offer 1"]

    # A follow
    follow = activity(p1, "Follow", {"@id": amina.uri}, full=True)
    assert (await p1.send(follow, amina.actor.inbox)).status == 202
    await world.settle()
    assert await amina.followers() == [p1.id]

    # Nobody speaks for somebody else so, unsigned words are nobody's, and the signature is over these bytes
    stranger = p1.peer.actor("stranger")
    theirs = activity(p1, "Create", offer(stranger, 7, "Forged", full=True), full=True)
    await p1.send(theirs, amina.actor.inbox)
    assert (await stranger.send(activity(p1, "Delete", {"@id": f"{p1.peer.base}/things/1"}, full=False), amina.actor.inbox)).status in (401, 202)
    assert (await p1.send(activity(p1, "Delete", {"@id": f"{p1.peer.base}/things/1"}, full=True), amina.actor.inbox, "broken:body")).status == 401
    await world.settle()
    assert [title for _, title, _ in await listed(amina)] == ["Offer 1"]


@pytest.mark.parametrize("full", [False, True])
async def test_a_fetched_post_in_words_of_its_own(world: World, full: bool) -> None:
    # Given a boost by somebody she follows of an offer that its server shows in a dialect
    amina, p1 = await met(world)
    author = p1.peer.actor("author")
    document = {**({} if full else {"@context": PREFIXES}), **offer(author, 3, "A van", full=full)}
    p1.peer.documents["/things/3"] = document

    # When it is fetched
    await p1.send(p1.activity("Announce", f"{p1.peer.base}/things/3", to=[PUBLIC]), amina.actor.inbox)
    await world.settle()

    # Then it is understood
    assert await listed(amina) == [("offer", "A van", ["Relocation"])]


async def test_what_is_too_much_of_it_comes_again_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    amina, p1 = await met(world)
    monkeypatch.setattr(dialect, "AT_ONCE", 1)
    for number in range(2):
        assert (await p1.send(activity(p1, "Create", offer(p1, number, f"Offer {number}", full=False), full=False), amina.actor.inbox)).status == 202
    await world.settle()
    assert [title for _, title, _ in await listed(amina)] == ["Offer 0"]
    assert await amina.site.count("arrival", "state = 'waiting'") == 1, "it waits, and is not taken for rubbish"
    monkeypatch.setattr(dialect, "EVERY_S", 0.01)
    await world.later(minutes=2)
    assert [title for _, title, _ in await listed(amina)] == ["Offer 0", "Offer 1"]
