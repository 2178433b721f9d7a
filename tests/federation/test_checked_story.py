"""Is anybody called checked by whom nobody here believes? What is shown of vouches is proven, counts here, and goes when it counts no more."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors.instance import Instance
from actors.known import Actor
from fedmatch.board import listings, notifications, responses, search
from fedmatch.board.answers import Response
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import peering, vouches
from schemas.objects import Vouch
from schemas.storage import Transaction
from tests.friends import befriend, of
from tests.unit.test_pages import ask
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def vouch(person: Person, level: int) -> Vouch:
    site = person.site.instance

    async def body(tx: Transaction) -> Vouch:
        return await vouches.issue(tx, site, person.actor, level, "in-person", staff="staff")

    made = await site.database.write(body)
    await _settle(person)
    return made


async def take_back(person: Person, said: Vouch) -> None:
    site = person.site.instance
    await site.database.write(lambda tx: vouches.revoke(tx, site, said.id, staff="staff"))
    await person.world.later(hours=2)
    await _settle(person)


async def _settle(*people: Person) -> None:
    for one in people:
        for kind in ("delivery", "job"):
            one.site.instance.wake(kind)
    await people[0].world.settle()


async def count(person: Person, other: Person, level: int) -> None:
    """An admin of the person's server lets the other server's word count so far."""
    site = person.site.instance
    await peering.trust(site, await peering.words(site, other.site.host), count=level)
    await _settle(person)


async def here(person: Person, url: str) -> Listing:
    found = await person.site.instance.database.read(listings.find, person.site.instance, url)
    assert found is not None
    return found


def shown(found: Listing | Response) -> list[tuple[str, int]]:
    return [(str(one["issuer"]), int(one["level"])) for one in found.json()["vouches"]]  # type: ignore[union-attr,call-overload,index]  # a list of objects


async def doubts(person: Person) -> int:
    site = person.site.instance
    return [one.kind for one in await site.database.read(notifications.newest, site, person.actor.id)].count("response.doubt")


async def answer(person: Person, url: str) -> None:
    site, found = person.site.instance, await here(person, url)

    async def body(tx: Transaction) -> Response:
        return await responses.answer(tx, site, person.actor, found, "I write to you.", language="en")

    await site.database.write(body)
    await _settle(person)


async def test_an_offer_is_called_checked_as_far_as_it_counts_here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a lawyer of a server that vouches for her, and lies beside it: it raises what it signed, and names another as its issuer
    lawyer, needy = await world.person("lawyer@a"), await world.person("needy@b")
    await befriend(world, lawyer.site, needy.site)
    await needy.follow(lawyer.handle)
    await world.settle()
    true = await vouch(lawyer, 3)
    honest = vouches.of

    async def lying(tx: Transaction, instance: Instance, actor: Actor) -> tuple[Vouch, ...]:
        said = await honest(tx, instance, actor)
        if not said or instance is not lawyer.site.instance:
            return said
        raised = json.loads(said[0].document) | {"level": 5}
        forged = raised | {"id": f"http://{needy.site.host}/vouches/1", "attributedTo": f"http://{needy.site.host}/actor"}
        return (said[0], *(replace(said[0], level=5, document=json.dumps(one)) for one in (raised, forged)))

    monkeypatch.setattr(vouches, "of", lying)
    offered = await lawyer.listing("offer", "Asylum law", "I know it.", skills=["AsylumLaw"], speaks=["en"])
    asked = await needy.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0)))
    await _settle(lawyer, needy)
    b, host = needy.site.instance, lawyer.site.host

    async def checked() -> tuple[list[tuple[str, int]], bool, bool]:
        """What lists say, whether its page says so, and whether it is found among what comes from people who were checked."""
        found = await here(needy, offered.url)
        page = await ask(b, f"/listings/{found.id}")
        hits = await b.database.read(lambda tx: search.public(tx, b, search.Wanted(checked=True), network=True, limit=10))
        return shown(found), "Checked by" in page.text, [one.url for one in hits] == [offered.url]

    # Then it is called so as far as the word of its server counts here, and nothing else is believed
    assert await checked() == ([(host, 0)], False, False)
    await count(needy, lawyer, 2)
    assert await checked() == ([(host, 2)], True, True)

    # When it takes its word back, of which what everybody may read tells by a change alone: who answered hears of it
    await answer(needy, offered.url)
    await take_back(lawyer, true)
    assert await checked() == ([], False, False)
    assert await doubts(needy) == 1
    true = await vouch(lawyer, 3)
    await world.later(hours=2)
    assert await checked() == ([(host, 2)], True, True)

    # When she answers, too, and what she sends carries it
    await answer(lawyer, asked.url)
    got, gave = sorted(await of(needy), key=lambda one: one.of_helper(needy.actor))
    assert (shown(got), got.words.level, got.tray) == ([(host, 2)], 2, "vouched")
    assert gave.words.trusted == 2

    # And her server's word counts for less, then for nothing: who relied on it is told, on either side, and nobody is shown that it counted
    for level, times in ((1, 3), (0, 5)):
        await count(needy, lawyer, level)
        assert await checked() == ([(host, level)], level > 0, level > 0)
        assert [shown(one) for one in await of(needy) if one.of_asker(needy.actor)] == [[(host, level)]]
        assert await doubts(needy) == times

    # And when it counts again and she is vouched for no more, nothing is left of it
    await count(needy, lawyer, 3)
    assert await checked() == ([(host, 3)], True, True)
    monkeypatch.undo()
    await take_back(lawyer, true)
    assert await checked() == ([], False, False)
    assert await doubts(needy) == 7
