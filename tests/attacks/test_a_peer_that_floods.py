"""A trusted peer sends listings without end: what does it cost, and who else notices? Rows, memory, jobs and notices stay bounded; others are heard."""

import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from actors import local
from fedmatch.board import listings, notifications, private, search, shares
from fedmatch.board.terms import Floor, Terms
from outbox import confidential
from schemas.activities import Delete
from schemas.objects import Tombstone
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.friends import befriend, confide, partner
from tests.world import Person, Site, World, open_world

MIB = 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def flooded(world: World, number: int, most: int) -> tuple[Person, Person, Person]:
    """`number` listings that are not public of somebody at b, and one of somebody at c, all for a; with the moderator of a."""
    a, b, c = await world.site("a"), await world.site("b"), await world.site("c")
    boss = await world.person("boss@a")
    await a.instance.database.write(local.set_role, a.instance, boss.actor, "moderator")
    await befriend(world, a, b)
    await befriend(world, a, c)
    loud, meek = await world.person("loud@b"), await world.person("meek@c")
    for start in range(0, number, 100):
        for one in range(start, min(start + 100, number)):
            await confide(loud, a, f"Nummer {one}", number=one)
        await world.settle(300)
    assert await theirs(a, b) == min(number, most)
    return boss, loud, meek


async def theirs(site: Site, origin: Site) -> int:
    """How many open listings of another instance lie at a site."""
    joined = "listing join post on post.id = listing.post_id join actor on actor.id = post.actor_id join host on host.id = actor.host_id"
    return await site.count(joined, "host.name = :host and listing.state = 'open'", host=origin.host)


async def costs(site: Site) -> dict[str, int]:
    """Rows that grow with what arrives, but for the arrivals' ids, which are kept for 90 days."""
    return {name: await site.count(name) for name in ("post", "listing", "job", "notification", "suggestion", "home")}


async def found(site: Site, reader: Person, *slugs: str, words: tuple[str, ...] = ()) -> set[str]:
    async def look(tx: Transaction) -> list[listings.Listing]:
        return await search.search(tx, site.instance, search.Wanted(slugs=slugs, words=words), reader=reader.actor)

    return {one.title for one in await site.instance.database.read(look)}


async def test_a_peer_has_no_more_than_its_share_and_nobody_else_is_starved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a share of twelve, counted anew after each five
    monkeypatch.setattr(shares, "MOST", 12)
    monkeypatch.setattr(shares, "COUNT_EVERY", 5)
    boss, loud, meek = await flooded(world, 30, 12)
    a, b, c = boss.site, loud.site, meek.site
    before = await costs(a)
    # When it goes on
    for number in range(30, 50):
        await confide(loud, a, f"Nummer {number}", number=number)
    await world.settle()
    # Then nothing grows, staff was told once, and no queue is left
    assert await costs(a) == before
    told = [one for one in await a.instance.database.read(notifications.newest, a.instance, boss.actor.id) if one.kind == "peer.full"]
    assert [one.about for one in told] == [b.host]
    assert await a.count("arrival", "state = 'waiting'") == 0
    # Then others are heard, and found beside it
    helper = Terms(readers=Floor(0))
    await meek.listing("request", "Leise", "Wer hilft?", categories=["LegalAid"], audience="network", terms=helper)
    own = await boss.listing("request", "Hier", "Wer hilft uns?", categories=["LegalAid"], audience="local", terms=helper)
    await world.settle()
    assert await theirs(a, c) == 1
    assert {"Leise", own.title} <= await found(a, boss, "LegalAid")
    # What is here may still change and go, and what goes makes room
    for number in range(3):
        await take_back(loud, a, number)
    await world.settle()
    assert await theirs(a, b) == 9
    await world.later(minutes=2)
    for number in range(50, 60):
        await confide(loud, a, f"Nummer {number}", number=number)
    await world.settle()
    assert await theirs(a, b) == 12
    told = [one for one in await a.instance.database.read(notifications.newest, a.instance, boss.actor.id) if one.kind == "peer.full"]
    assert len(told) == 1, "once a day"


async def take_back(sender: Person, to: Site, number: int) -> None:
    """Takes one of them back."""
    instance, peer = sender.site.instance, await partner(sender.site, to)
    uri = Iri(f"{sender.uri}/secret/{number}")
    gone = Delete(id=Iri(f"{uri}#delete"), actor=Iri(sender.uri), object=Tombstone(uri, former_type="Note"), to=(peer.application,))

    async def body(tx: Transaction) -> None:
        await confidential.publish(tx, instance, sender.actor, gone, peer.host_id, object=uri, ordering_key=f"{peer.host} {uri}")

    await instance.database.write(body)
    instance.wake("delivery")


@pytest.mark.soak
async def test_ten_thousand_listings_of_one_peer(world: World) -> None:
    number = int(os.environ.get("FEDMATCH_LISTINGS", "10000"))
    boss, _loud, meek = await flooded(world, number, shares.MOST)
    a = boss.site
    a.instance.memory.pop(private.NAME, None)
    gc.collect()
    before = int(psutil.Process().memory_info().rss)
    await a.instance.database.read(private.live, a.instance)
    grown = (psutil.Process().memory_info().rss - before) / MIB
    print(f"{number} sent: {await costs(a)}; opened in memory: {grown:.0f} MiB")
    assert grown < 64
    rows = await costs(a)
    assert rows["listing"] <= shares.MOST + 1
    assert rows["job"] <= 2 * shares.MOST + 100
    assert rows["notification"] <= 10
    await meek.listing("request", "Leise", "Wer hilft?", categories=["LegalAid"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle(300)
    # Newest first it may stand behind a page of theirs; by its words it is the first
    assert await found(a, boss, words=("leise",)) == {"Leise"}
