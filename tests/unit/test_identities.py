"""Can nobody but the vault tell whose a one-time identity is, do all look alike, and do they end when nothing holds them?"""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import known, local, onetime
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app
from fedmatch.board import identities, publish
from fedmatch.jobs import Jobs
from fedmatch.safety import vouches
from schemas import documents
from schemas.activities import Follow, Reject
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.world import Clock, World, write_config

HOUR = 3_600_000


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[Instance, Clock]]:
    clock = Clock()
    made = await app.build(write_config(tmp_path / "instance"), clock=clock)
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
    """Does the identity jobs that are due."""
    from fedmatch import chores

    await Jobs(instance, chores.handlers(instance)).drain()


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


async def test_the_identities_of_a_deleted_person_leave_one_by_one(world: World) -> None:
    site = await world.site("a")
    amina = (await world.person("amina@a")).actor
    instance = site.instance
    hidden = [await identities.make(instance, amina) for _ in range(6)]

    # When the person's account is deleted
    assert await instance.database.write(identities.scatter, instance, amina) == 6
    await world.settle()

    # Then not all go at once, and within 72 hours all are gone
    assert [await state(instance, one) for one in hidden].count("gone") < 6
    gone = []
    for _ in range(24):
        world.clock.move(hours=3)
        await world.settle()
        gone.append([await state(instance, one) for one in hidden].count("gone"))
    assert gone[-1] == 6
    assert len(set(gone)) > 2, "spread, not in one hour"
