"""Can nobody but the vault tell whose a one-time identity is, do all look alike, and do they end when nothing holds them?"""

import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from actors import known, local, onetime
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app, rotation
from fedmatch.board import deletion, identities, listings, publish, review
from fedmatch.board.terms import Terms
from fedmatch.safety import vouches
from schemas import documents
from schemas.activities import Follow, Reject
from schemas.listings import validated
from schemas.reading import Iri, Row
from schemas.storage import Transaction
from tests import ready
from tests.world import Clock, Person, World, write_config

HOUR = 3_600_000


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[Instance, Clock]]:
    clock = Clock()
    made = await app.build(ready.migrated(write_config(tmp_path / "instance")), clock=clock)
    yield made, clock
    await app.close(made)


async def test_all_look_alike(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    amina, omar = await local.create(instance, "amina", name="Amina"), await local.create(instance, "omar", locked=True)

    made = [await identities.make(instance, who) for who in (amina, omar, omar)]
    described = [documents.actor(await instance.database.read(local.document, instance, one)) for one in made]

    assert len({tuple(one) for one in described}) == 1, "the same members in the same order"
    assert not {"name", "summary", "icon", "published", "followers", "outbox", "featured", "endpoints", "attachment", "url"} & set(described[0])
    assert {"id", "type", "preferredUsername", "inbox", "publicKey", "assertionMethod"} <= set(described[0])
    for one in made:
        first, second, number = one.username.split("_")
        assert (first in onetime.FIRST, second in onetime.SECOND, number.isdigit()) == (True, True, True)
        assert local.NAME.match(one.username)
    flat = json.dumps(described)
    assert "amina" not in flat.lower()
    assert "omar" not in flat.lower()


async def test_none_gets_new_keys_which_would_tell_it_from_the_others(house: tuple[Instance, Clock]) -> None:
    instance, _ = house
    mask = await identities.make(instance, await local.create(instance, "amina"))
    before = documents.actor(await instance.database.read(local.document, instance, mask))

    with pytest.raises(ValueError, match="one-time identity"):
        await rotation.rotate_keys(instance, mask)

    assert documents.actor(await instance.database.read(local.document, instance, mask)) == before
    assert await instance.database.read(_queued) == 0


async def _queued(tx: Transaction) -> int:
    row = await tx.one("select count(*) as n from outgoing")
    assert row is not None
    return int(row["n"])


async def test_the_disk_links_nobody(house: tuple[Instance, Clock]) -> None:
    # Given two identities of one person, and one of another
    instance, _ = house
    amina, omar = await local.create(instance, "amina"), await local.create(instance, "omar")
    first, second = await identities.make(instance, amina), await identities.make(instance, amina)
    await identities.make(instance, omar)

    # When somebody reads the database without the key
    path = instance.config.folder / "fedmatch.db"
    with sqlite3.connect(path) as disk:
        rows = disk.execute("select actor_id, state, sealed, changed_at from identity").fetchall()
        assert disk.execute("select count(*) from membership where actor_id in (?, ?)", (first.id, second.id)).fetchone() == (0,)

    # Then the rows share nothing but the hour, and the ids tell no finer time
    assert len({row[2] for row in rows}) == 3
    assert all(row[3] % HOUR == 0 for row in rows)
    sealed = [row[2] for row in rows]
    assert not any(sealed[0][place : place + 8] in sealed[1] for place in range(len(sealed[0]) - 8))
    assert all(actor.fetched_at % HOUR == 0 for actor in (first, second))

    # And the person finds both, the other none of them
    assert await instance.database.read(identities.mine, instance, amina) == (amina.id, *sorted((first.id, second.id)))
    assert first.id not in await instance.database.read(identities.mine, instance, omar)
    assert await instance.database.read(identities.person_of, instance, first.id) == amina.id


@pytest.mark.parametrize(("known_as", "level"), [(None, None), (1, 1), (2, 1), (3, 3)])
async def test_what_is_said_of_the_person_is_said_of_it_less_exactly(house: tuple[Instance, Clock], known_as: int | None, level: int | None) -> None:
    instance, _ = house
    amina = await local.create(instance, "amina")

    async def say(tx: Transaction) -> None:
        if known_as is not None:
            await vouches.issue(tx, instance, amina, known_as, "in-person", staff="staff")

    await instance.database.write(say)
    hidden = await identities.make(instance, amina)
    ours, its = await instance.database.read(vouches.of, instance, amina), await instance.database.read(vouches.of, instance, hidden)

    assert [one.level for one in its] == ([] if level is None else [level])
    assert all(one.subject == hidden.uri and one.method == "other" and one.id not in {other.id for other in ours} for one in its)
    assert "amina" not in json.dumps([one.document for one in its])


async def test_an_id_tells_the_hour_and_nothing_finer(house: tuple[Instance, Clock]) -> None:
    instance, clock = house
    hour = clock.ms() // HOUR * HOUR

    drawn = [onetime.coarse_id(instance) >> 16 for _ in range(400)]

    assert all(hour <= ms < clock.ms() // HOUR * HOUR + HOUR for ms in drawn)
    assert max(drawn) - min(drawn) > HOUR // 2, "anywhere in the hour, not at its moment"


@pytest.mark.parametrize(
    ("delay", "urgency", "development", "low", "high"),
    [
        (None, None, False, 2, 12),
        (None, "days", False, 2, 12),
        (None, "hours", False, 0, 0),
        (None, None, True, 0, 0),
        ("0", "weeks", False, 0, 0),
        ("6h", None, True, 3, 6),
        ("2-12h", None, True, 2, 12),
        ("2h-12h", None, False, 2, 12),
    ],
)
def test_when_it_leaves(delay: str | None, urgency: str | None, development: bool, low: int, high: int) -> None:
    window = identities.window(delay, urgency, development=development)

    assert (window.low_ms, window.high_ms) == (low * HOUR, high * HOUR)
    assert all(low * HOUR <= window.draw(0) <= high * HOUR for _ in range(50))
    assert (window.warning is not None) == (urgency == "hours" and delay is None)


@pytest.mark.parametrize("delay", ["", "soon", "-3h", "12-2h", "100h", "1.5h", "2-", "-"])
def test_a_delay_nobody_understands(delay: str) -> None:
    with pytest.raises(identities.CannotHide, match="delay"):
        identities.window(delay, None, development=False)


async def test_nobody_follows_one(house: tuple[Instance, Clock], tmp_path: Path) -> None:
    from actors import follows
    from tests.unit.test_board import remote

    instance, _ = house
    hidden = await identities.make(instance, await local.create(instance, "amina"))
    stranger = await remote(instance)
    follow = Follow(id=Iri(f"{stranger.uri}/f/1"), actor=stranger.uri, object=hidden.uri)

    answer = await instance.database.write(follows.received, instance, follow, stranger, hidden)

    assert isinstance(answer, Reject)


async def settle(instance: Instance) -> None:
    """Does the jobs that are due, one after the other."""
    from fedmatch import handlers

    jobs = handlers.handlers(instance)

    async def take(tx: Transaction) -> Sequence[Row]:
        rows = await tx.all("select id, kind, key, payload from job where state = 'waiting' and run_at <= :now order by run_at", now=instance.clock.ms())
        for row in rows:
            await tx.execute("delete from job where id = :id", id=row["id"])
        return rows

    while rows := await instance.database.write(take):
        for row in rows:
            await jobs[row["kind"]](instance, row["key"], row["payload"] or b"")


async def state(instance: Instance, actor: Actor) -> str:
    async def look(tx: Transaction) -> str:
        found = await known.by_id(tx, actor.id)
        return "none" if found is None else found.state

    return await instance.database.read(look)


async def test_it_ends_with_what_it_was_made_for(world: World) -> None:
    # Given an identity with an open offer
    site = await world.site("a")
    amina = (await world.person("amina@a")).actor
    instance = site.instance
    hidden = await identities.make(instance, amina)
    from tests.houses import REQUEST

    listing = await publish.listing(instance, hidden, REQUEST, "en")
    await instance.database.write(identities.closed, instance, hidden.id)
    await world.settle()
    assert await state(instance, hidden) == "active", "its listing is open"

    # When it is withdrawn, and the time of the next look comes
    await publish.withdraw(instance, listing)
    world.clock.move(hours=7)
    await world.settle()

    # Then the actor is gone, and nothing says whose it was
    assert await state(instance, hidden) == "gone"
    assert await site.count("identity") == 0
    assert (await site.get(hidden.uri.removeprefix(site.base))).status == 410


async def in_use(instance: Instance, person: Actor) -> Actor:
    """An identity with a request that waits for longer than any test."""
    made = await identities.make(instance, person)
    now = instance.clock.now()
    proposal = validated("request", "A lawyer", "Asylum.", "en", ("LegalAid",), (), (), now=now)
    await publish.listing(instance, made, proposal, "en", terms=Terms(embargo=now + timedelta(days=300)), one_time=True, anyway=True)
    return made


@pytest.mark.parametrize("how", ["deleted", "suspended"])
async def test_the_identities_of_whoever_is_not_here_any_more_leave_one_by_one(world: World, how: str) -> None:
    site = await world.site("a", worker=False)
    amina, other = (await world.person("amina@a")).actor, (await world.person("omar@a")).actor
    instance = site.instance
    hidden = [await in_use(instance, amina) for _ in range(8)]
    stays = await in_use(instance, other)
    before = await site.rows(ROWS)
    assert len(before) == 9

    # When the person's account is deleted, or suspended
    if how == "deleted":
        await deletion.delete_person(instance, amina)
    else:
        await instance.database.write(local.suspend, instance, amina)

    # Then at that moment nothing of them changes, on the disk neither: they take contacts as ever
    assert [tuple(dict(row).values()) for row in await site.rows(ROWS)] == [tuple(dict(row).values()) for row in before]
    for one in hidden:
        assert await instance.database.read(identities.takes_contacts, one.id)

    # And one by one, within 72 hours, all are gone, but nobody else's
    gone = []
    for _ in range(25):
        world.clock.move(hours=3)
        await settle(instance)
        gone.append([await state(instance, one) for one in hidden].count("gone"))
    assert gone[-2] == 8, gone
    assert len(set(gone)) > 3, "spread, not in one hour"
    assert await state(instance, stays) == "active"


ROWS = """
select identity.actor_id, identity.state, identity.sealed, identity.changed_at, job.id, job.run_at
from identity
join job on job.kind = 'identity' and job.key = cast(identity.actor_id as text)
order by identity.actor_id
"""


async def test_whoever_wants_it_now_gets_it_now(world: World) -> None:
    site = await world.site("a", worker=False)
    amina, instance = (await world.person("amina@a")).actor, site.instance
    hidden = [await identities.make(instance, amina) for _ in range(3)]
    assert await instance.database.write(identities.leave_now, instance, amina) == 3
    instance.wake("job")
    await settle(instance)
    assert [await state(instance, one) for one in hidden] == ["gone"] * 3
    assert await site.count("identity") == 0


async def test_one_that_was_made_for_nothing_ends_within_a_day(world: World) -> None:
    # Given two identities: one for a request that could not be posted, one whose request waits for its embargo
    amina = await world.person("amina@a")
    instance = amina.site.instance
    unused, used = await identities.make(instance, amina.actor), Person(world, amina.site, await identities.make(instance, amina.actor))
    with pytest.raises(publish.CannotPublish):
        await Person(world, amina.site, unused).listing("request", "A lawyer", "Asylum.", audience="peers", named=["nobody.example"])
    await used.listing("request", "A lawyer", "Asylum.", terms=Terms(embargo=world.clock.now() + timedelta(days=9)))
    # When a command could still be at it, both are there
    await world.later(hours=1)
    assert len(await instance.database.read(identities.mine, instance, amina.actor)) == 3
    # Then the one that nothing holds ends
    for _ in range(3):
        await world.later(hours=24)
    assert await instance.database.read(identities.mine, instance, amina.actor) == (amina.actor.id, used.actor.id)


async def test_one_that_nobody_asked_to_look_at_is_looked_at_after_the_next_start(world: World) -> None:
    site = await world.site("a")
    amina = (await world.person("amina@a")).actor
    hidden = await identities.make(site.instance, amina)

    async def forget(tx: Transaction) -> None:
        await tx.execute("delete from job where kind = 'identity'")

    await site.instance.database.write(forget)
    await site.instance.database.write(local.suspend, site.instance, amina)
    await site.restart()
    for _ in range(4):
        await world.later(hours=24)
    assert await state(site.instance, hidden) == "gone"


@pytest.mark.parametrize(("before", "after", "said"), [(3, 2, 1), (3, None, None), (1, None, None), (1, 3, 1), (3, 3, 3)])
async def test_what_is_taken_back_of_the_person_is_taken_back_of_it_later(world: World, before: int, after: int | None, said: int | None) -> None:
    # Given several identities of somebody we vouch for, and one of somebody else
    site = await world.site("a", worker=False)
    amina, omar = (await world.person("amina@a")).actor, (await world.person("omar@a")).actor
    instance = site.instance

    async def say(tx: Transaction, who: Actor, level: int | None) -> None:
        if level is not None:
            await vouches.issue(tx, instance, who, level, "in-person", staff="staff")
        else:
            for one in await vouches.list_all(tx, who.uri):
                await vouches.revoke(tx, instance, one.vouch.id, staff="staff")

    for who in (amina, omar):
        await instance.database.write(say, who, before)
    hidden = [await in_use(instance, amina) for _ in range(6)]
    stays = await in_use(instance, omar)
    first = 1 if before < 3 else 3
    log = await site.count("audit")

    async def levels() -> list[int | None]:
        found = [await instance.database.read(vouches.of, instance, one) for one in hidden]
        return [one[0].level if one else None for one in found]

    assert await levels() == [first] * 6
    # When that is lowered, raised, or taken back, nothing is said of them at that moment
    await instance.database.write(say, amina, after)
    await settle(instance)
    assert await levels() == [first] * 6
    # Then of each at a moment of its own, within a day
    seen = []
    for _ in range(25):
        world.clock.move(hours=1)
        await settle(instance)
        seen.append((await levels()).count(said))
    assert seen[-1] == 6
    assert said == first or len(set(seen)) > 2, seen
    assert [one.level for one in await instance.database.read(vouches.of, instance, stays)] == [first]
    assert await site.count("audit") == log + 1, "nobody of the staff did anything but that"


async def test_nothing_new_of_somebody_who_is_suspended_is_published_not_under_a_pseudonym_either(world: World) -> None:
    # Given what waits for a review of somebody, and under two pseudonyms, one of theirs
    site = await world.site("a", review='"everything"')
    amina, omar = await world.person("amina@a"), await world.person("omar@a")
    instance = site.instance
    hidden, other = [Person(world, site, await identities.make(instance, who.actor)) for who in (amina, omar)]

    async def ask(who: Person) -> listings.Listing:
        words = validated("request", "Rat", "Wer hilft?", "de", (), (), (), now=world.clock.now())
        return await publish.listing(instance, who.actor, words, "de", audience="public", one_time=who.actor.one_time)

    held, own, others = await ask(hidden), await ask(amina), await ask(other)
    # When she is suspended, and staff lets all of it pass
    await instance.database.write(local.suspend, instance, amina.actor)
    with pytest.raises(publish.CannotPublish, match=f"is suspended.*review reject {own.id}"):
        await instance.database.write(review.approve, instance, own.id, None)
    made = await instance.database.write(review.approve, instance, held.id, None)
    assert await instance.database.write(review.approve, instance, others.id, None) != others.id
    # Then hers looks like one that waits for its hour, and none of it is ever published
    shown = await instance.database.read(listings.find, instance, str(made))
    assert shown is not None
    assert (shown.state, shown.author) == ("scheduled", hidden.handle)
    (kept,) = await site.rows("select publish_at from draft where id = :id", id=made)
    assert 2 * HOUR <= kept["publish_at"] - instance.clock.ms() <= 13 * HOUR
    assert kept["publish_at"] % HOUR == 0
    for _ in range(8):
        await world.later(hours=12)
        assert await site.count("post", "actor_id = :actor_id", actor_id=hidden.actor.id) == 0
    # And it ends with the pseudonym, at a moment of its own
    assert await state(instance, hidden.actor) == "gone"
    assert await site.count("draft", "actor_id = :actor_id", actor_id=hidden.actor.id) == 0
    assert await site.count("post", "actor_id = :actor_id", actor_id=other.actor.id) == 1
    with pytest.raises(identities.CannotHide, match="is suspended"):
        await identities.make(instance, await site.actor("amina"))
