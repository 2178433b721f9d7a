"""Who is told of whom between two servers? To an offer the one who answered is in need, decides for each recipient, and only what comes sealed counts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import known
from fedmatch.board import conversations, introductions, listings, notifications, responses
from fedmatch.board.answers import CannotAnswer, Response
from fedmatch.board.terms import Floor, Terms
from schemas.events import PostArrived
from schemas.objects import Matter, Note
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.friends import befriend, do, of
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def proposed(person: Person) -> list[tuple[str, str]]:
    """The introductions in the person's one conversation, as their own server has them."""
    (held,) = await of(person)
    found = await person.site.instance.database.read(introductions.shown, person.site.instance, person.actor, held)
    return [(one.to, one.state) for one in found]


async def number(person: Person) -> int:
    (held,) = await of(person)
    found: int = (await person.site.instance.database.read(introductions.shown, person.site.instance, person.actor, held))[-1].id
    return found


async def told(person: Person) -> list[str]:
    site = person.site.instance
    found = await site.database.read(notifications.newest, site, person.actor.id)
    return [one.kind.partition(".")[2] for one in reversed(found) if one.kind.startswith("introduction.")]


async def test_who_answered_an_offer_is_introduced_and_nothing_in_the_open_decides_for_them(world: World) -> None:
    # Given an offer on one server, and somebody in need who answered it from another
    lawyer, needy = await world.person("lawyer@a"), await world.person("needy@b")
    await befriend(world, lawyer.site, needy.site)
    offered = await lawyer.listing("offer", "Asylum law", "I know it.", skills=["AsylumLaw"], speaks=["en"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()
    there = needy.site.instance
    found = await there.database.read(listings.find, there, offered.url)
    assert found is not None

    async def answer(tx: Transaction) -> Response:
        return await responses.answer(tx, there, needy.actor, found, "I need you.", language="en")

    await there.database.write(answer)
    there.wake("delivery")
    await world.settle()
    await do(lawyer, responses.accept)

    # When the lawyer wants to tell a colleague
    with pytest.raises(CannotAnswer, match="whoever helps"):
        await do(needy, introductions.propose, "a journalist", "")
    for to in ("a colleague", "a judge"):
        await do(lawyer, introductions.propose, to, "They know more.")
    assert await proposed(needy) == await proposed(lawyer) == [("a colleague", "asked"), ("a judge", "asked")]
    assert await told(needy) == ["asked", "asked"]

    # Then nobody who took the other server over agrees, or says anything, in the open
    home = lawyer.site.instance
    (held,) = await of(lawyer)
    (first, judge) = await home.database.read(introductions.of, home, held)
    stolen = await home.database.read(known.by_uri, Iri(needy.uri))
    assert stolen is not None
    assert stolen.active
    matter = Matter("introduction", "agree", first.name)
    for forged in (matter, None):
        uri = Iri(f"{needy.uri}/forged/{forged is None}")
        note = Note(uri, Iri(needy.uri), "<p>Yes.</p>", to=(Iri(lawyer.uri),), conversation=held.words.agreement, matter=forged)
        await _hear(lawyer, PostArrived(stolen.id, note))
    assert (await proposed(lawyer))[0] == ("a colleague", "asked")
    assert await home.database.read(conversations.messages, home, held) == []

    # And they decide for each of them, may take that back, and hear what was passed on
    for agreed in (True, False, True):
        (one, _) = await there.database.read(introductions.of, there, (await of(needy))[0])
        if one.state == "refused":
            with pytest.raises(CannotAnswer, match="refused already"):
                await do(needy, introductions.decide, one.id, agreed=agreed)
            continue
        await do(needy, introductions.decide, one.id, agreed=agreed)
    await do(needy, introductions.decide, await number(needy), agreed=True)
    assert await proposed(lawyer) == [("a colleague", "refused"), ("a judge", "agreed")]
    assert await told(lawyer) == ["decided"] * 3
    with pytest.raises(CannotAnswer, match="nothing is passed on"):
        await do(lawyer, introductions.passed, first.id)
    await do(lawyer, introductions.passed, judge.id)
    assert await proposed(needy) == await proposed(lawyer) == [("a colleague", "refused"), ("a judge", "passed")]
    assert await told(needy) == ["asked", "asked", "passed"]


async def _hear(person: Person, event: Any) -> None:
    async def body(tx: Transaction) -> None:
        await person.site.instance.tell(tx, event)

    await person.site.instance.database.write(body)
