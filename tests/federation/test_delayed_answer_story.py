"""Does the clock give away who answers under a one-time name? What waits on purpose leaves at its moment, whatever happens before; taken back, never."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import known, local
from actors.known import Actor
from fedmatch.board import answers, identities, letters, listings, responses
from fedmatch.board import publish as board
from fedmatch.board.answers import Response
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import vouches
from outbox import publish
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.friends import befriend
from tests.houses import REQUEST
from tests.personalities import Mastodon
from tests.world import Person, Site, World, open_world

pytestmark = pytest.mark.asyncio

HOUR_MS = 3_600_000

LEFT = """
select outgoing.kind, delivery.inbox
from outgoing
left join delivery on delivery.outgoing_id = outgoing.id
where outgoing.id >= :since
"""

NEWEST = """
select coalesce(max(outgoing.id), 0) as newest
from outgoing
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def newest(site: Site) -> int:
    (row,) = await site.rows(NEWEST)
    return int(row["newest"]) + 1


async def hidden(helper: Person, listing: Listing, hours: int) -> Response:
    """An answer under a one-time identity that leaves in so many hours."""
    site = helper.site.instance
    found = await site.database.read(listings.find, site, listing.url)
    assert found is not None
    actor = await identities.make(site, helper.actor)

    async def body(tx: Transaction) -> Response:
        return await responses.answer(tx, site, actor, found, "canary-answer: I know that law.", not_before=site.clock.ms() + hours * HOUR_MS)

    made = await site.database.write(body)
    site.wake("delivery")
    await helper.world.settle()
    return made


async def take_back(helper: Person, made: Response) -> Response:
    site = helper.site.instance
    actor = await site.database.read(_helper, made)
    (held,) = await site.database.read(answers.of_actor, site, actor)

    async def body(tx: Transaction) -> Response:
        return await responses.withdraw(tx, site, actor, held)

    made = await site.database.write(body)
    site.wake("delivery")
    site.wake("job")
    await helper.world.settle()
    return made


async def _helper(tx: Transaction, held: Response) -> Actor:
    found = await known.by_uri(tx, held.words.helper)
    assert found is not None
    return found


async def of(person: Person) -> list[Response]:
    site = person.site.instance
    return await site.database.read(answers.of_actor, site, person.actor)


def _notes(peer: Mastodon) -> list[dict[str, Any]]:
    return [one.activity["object"] for one in peer.log if one.asked.method == "POST" and one.activity.get("type") == "Create"]


@pytest.mark.parametrize("trusted", [True, False])
async def test_it_leaves_at_its_moment_and_not_with_what_wakes_its_host(world: World, trusted: bool) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    if trusted:
        await befriend(world, asker.site, helper.site)
        request = await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0)))
        await world.settle()
    else:
        await helper.follow(asker.handle)
        await world.settle()
        request = await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"])
        await world.settle()
    made = await hidden(helper, request, 5)
    assert made.words.channel == ("sealed" if trusted else "open")
    assert await of(asker) == []
    # The host sleeps, fails and comes back; other things go there; the process starts anew
    await asker.site.stop()
    await helper.post("Hello", to=(asker.handle,), audience="direct")
    await world.later(minutes=1)
    await asker.site.start()
    await world.later(hours=1)
    await helper.site.restart()
    await world.later(hours=2)
    assert await of(asker) == []
    await world.later(hours=3)
    (held,) = await of(asker)
    assert (held.state, held.words.text) == ("sent", "canary-answer: I know that law.")
    # Late as it is, what follows is as ever
    assert (await take_back(helper, made)).state == "withdrawn"
    assert [one.state for one in await of(asker)] == ["withdrawn"]
    assert world.grep("canary-") == {}


@pytest.mark.parametrize("trusted", [True, False])
async def test_withdrawn_before_it_leaves_nothing_leaves_at_all(world: World, trusted: bool) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    if trusted:
        await befriend(world, asker.site, helper.site)
    await helper.follow(asker.handle)
    await world.settle()
    request = await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"])
    await world.settle()
    site = helper.site.instance

    async def vouch(tx: Transaction) -> None:
        await vouches.issue(tx, site, helper.actor, 2, "in-person", staff="staff")

    await site.database.write(vouch)
    since = await newest(helper.site)
    made = await hidden(helper, request, 5)
    assert made.words.channel == ("sealed" if trusted else "open")
    assert await helper.site.count("vouch_given") == int(trusted)
    assert (await take_back(helper, made)).state == "withdrawn"

    async def end(tx: Transaction) -> None:
        await vouches.echo(tx, site, await _helper(tx, made), 0)

    await site.database.write(end)
    assert await helper.site.count("vouch_given") == 0, "nor that the word for it ended"
    await world.later(hours=30)
    await world.later(hours=30)
    assert [dict(row) for row in await helper.site.rows(LEFT, since=since) if row["inbox"]] == [], "not even a Delete of the identity"
    assert await asker.site.count("actor", "uri = :uri", uri=made.words.helper) == 0, "its server never heard the name"
    assert await of(asker) == []
    assert world.grep("canary-") == {}


async def test_a_letter_is_dated_when_it_leaves_and_can_be_taken_back(world: World) -> None:
    peer = await Mastodon(world.clock.now).start()
    world.peers.append(peer)
    asker = peer.actor("asker")
    helper = await world.person("helper@b")
    await helper.follow(asker.handle)
    await world.settle()
    site = helper.site.instance

    async def write(tx: Transaction, text: str) -> Iri:
        to = await known.by_uri(tx, asker.id)
        assert to is not None
        return await letters.send(tx, site, helper.actor, to, text, language="en", hourly=True, not_before=site.clock.ms() + 5 * HOUR_MS)

    gone, kept = await site.database.write(write, "Not this one."), await site.database.write(write, "This one.")
    assert await site.database.write(publish.recall, site, gone)
    assert not await site.database.write(publish.recall, site, gone), "once"
    await world.later(hours=4)
    assert _notes(peer) == []
    await world.later(hours=2)
    (note,) = _notes(peer)
    assert note["id"] == kept
    hour = world.clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    assert note["published"] == f"{hour:%Y-%m-%dT%H:%M:%SZ}"
    assert not await site.database.write(publish.recall, site, kept), "it left"


def finer(site: Site, since: int, until: int) -> list[tuple[str, str, int]]:
    """Every column of every table that holds a moment between the two, alone or inside an id, and no full hour: what a seized disk would show."""
    found: list[tuple[str, str, int]] = []
    with sqlite3.connect(next(site.folder.rglob("fedmatch.db"))) as disk:
        # A virtual table keeps what it holds in tables of its own, which are looked at.
        tables = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and sql not like 'create virtual%'"
        for (table,) in disk.execute(tables).fetchall():
            rows = disk.execute(f'select * from "{table}"')  # our own tables
            columns = [one[0] for one in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, int) and any(since <= moment <= until and moment % HOUR_MS for moment in (value, value >> 16)):
                        found.append((table, column, value))
    return found


@pytest.mark.parametrize("way", ["sealed", "open", "note"])
async def test_no_row_tells_when_an_answer_was_written(world: World, way: str) -> None:
    # Given somebody known to the instance by a vouch, and a request elsewhere
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    if way == "sealed":
        await befriend(world, asker.site, helper.site)
    await helper.follow(asker.handle)
    await world.settle()
    site = helper.site.instance

    async def vouch(tx: Transaction) -> None:
        await vouches.issue(tx, site, helper.actor, 2, "in-person", staff="staff")
        if way == "note":
            await tx.execute("delete from capability")

    await site.database.write(vouch)
    request = await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"])
    await world.settle()
    world.clock.move(hours=3)
    await world.settle()
    # When they answer under a one-time identity, and it waits
    since = world.clock.ms()
    made = await hidden(helper, request, 5)
    until = world.clock.ms()
    assert made.words.channel == way
    # Then nothing on the disk says when that was, but for the hour
    assert not [one for one in finer(helper.site, since, until) if one[0] != "host" and "lease" not in one[1]]
    (job,) = await helper.site.rows("select run_at from job where kind = 'response'")
    assert job["run_at"] % HOUR_MS == 0, "and nothing to be reckoned with: how long it waits is what was drawn"
    # And when it left, that is all there is to see
    world.clock.move(hours=6)
    await world.settle()
    assert not [one for one in finer(helper.site, since, until) if one[0] != "host"]


@pytest.mark.parametrize("review", ["nothing", "everything"])
async def test_no_row_tells_when_a_request_was_written(world: World, review: str) -> None:
    a = await world.site("a", review=f'"{review}"')
    amina, boss = await world.person("amina@a"), await world.person("boss@a")
    instance = a.instance
    await instance.database.write(local.set_role, instance, boss.actor, "moderator")

    async def vouch(tx: Transaction) -> None:
        await vouches.issue(tx, instance, amina.actor, 2, "in-person", staff="staff")

    await instance.database.write(vouch)
    world.clock.move(hours=3)
    await world.settle()
    since = world.clock.ms()
    speaker = await identities.make(instance, amina.actor)
    listing = await board.listing(instance, speaker, REQUEST, "en", audience="public", delay=(7200, 43200), one_time=True)
    until = world.clock.ms()
    assert listing.state == ("held" if review == "everything" else "scheduled")
    assert not finer(a, since, until)
