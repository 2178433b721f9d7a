"""What stands of what somebody said and took back, under whatever ids."""

from functools import partial
from itertools import permutations
from pathlib import Path

import pytest

from actors import known, said
from actors.known import Actor
from actors.said import About
from schemas.reading import Iri
from tests.house import House, build, configure

POST = Iri("https://ours.example/posts/1")
LIKE = About("Like", POST)


def iri(name: str, host: str = "theirs.example") -> Iri:
    return Iri(f"https://{host}/activities/{name}")


@pytest.fixture
async def house(database, tmp_path: Path) -> House:
    return await build(database, configure(tmp_path))


@pytest.fixture
async def bo(house: House) -> Actor:
    return await house.stranger("bo")


async def say(house: House, by: Actor, name: str, about: About = LIKE, at: int = 0) -> Iri | None:
    return await house.write(said.say, house.instance, by, about, iri(name), at)


async def take_back(house: House, by: Actor, name: str, about: About | None = LIKE, at: int = 0) -> About | None:
    return await house.write(said.take_back, house.instance, by, iri(name), about, at)


async def stands(house: House, by: Actor, about: About = LIKE) -> bool:
    return await house.read(said.standing, by, about) is not None


async def test_it_stands_until_it_is_taken_back(house: House, bo: Actor) -> None:
    assert await say(house, bo, "1") == iri("1")
    assert await take_back(house, bo, "1") == LIKE
    assert not await stands(house, bo)


async def test_a_bare_id_is_known_by_what_it_was(house: House, bo: Actor) -> None:
    await say(house, bo, "1")
    assert await take_back(house, bo, "1", None) == LIKE
    assert await take_back(house, bo, "2", None) == About("", iri("2"))
    assert await say(house, bo, "2") is None, "it was taken back before it came"


async def test_an_undo_of_an_unknown_id_takes_down_what_stands(house: House, bo: Actor) -> None:
    # Lemmy: the activity inside an Undo has a fresh id
    await say(house, bo, "1")
    await take_back(house, bo, "fresh")
    assert not await stands(house, bo)
    assert await say(house, bo, "2") == iri("2")


async def test_an_undo_of_an_unknown_id_is_no_debt(house: House, bo: Actor) -> None:
    await take_back(house, bo, "never")
    assert await say(house, bo, "1") == iri("1")
    await take_back(house, bo, "never")
    assert await stands(house, bo), "the same Undo again takes nothing more"


async def test_what_was_taken_down_stands_again_when_its_undo_finds_its_own(house: House, bo: Actor) -> None:
    await say(house, bo, "2")
    await take_back(house, bo, "1")
    assert not await stands(house, bo)
    assert await say(house, bo, "1") == iri("2")


async def test_the_same_id_is_a_copy_at_first_and_a_new_wish_later(house: House, bo: Actor) -> None:
    # Misskey: a Follow between two always has one id
    await say(house, bo, "1")
    await take_back(house, bo, "1")
    house.clock.move(minutes=5)
    assert await say(house, bo, "1") is None
    house.clock.move(minutes=6)
    assert await say(house, bo, "1") == iri("1")
    await take_back(house, bo, "1")
    assert not await stands(house, bo)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_what_was_signed_anew_stands_at_once_in_any_order(house: House, bo: Actor, order: tuple[int, ...]) -> None:
    # Misskey: somebody unfollows by mistake, and follows again a minute later, under the one id there is
    steps = [partial(say, at=1000), partial(take_back, at=2000), partial(say, at=3000)]
    for place in order:
        await steps[place](house, bo, "1")
        await steps[place](house, bo, "1")
    assert await stands(house, bo)
    await take_back(house, bo, "1", at=2000)
    assert await stands(house, bo), "the old Undo once more, late"
    await take_back(house, bo, "1", at=4000)
    assert not await stands(house, bo)
    assert await say(house, bo, "1", at=3000) is None, "a late copy of what was taken back"
    house.clock.move(minutes=30)
    assert await say(house, bo, "1", at=3000) is None, "however late"


@pytest.mark.parametrize("order", list(permutations(range(2))))
async def test_what_its_undo_overtook_stays_taken_back(house: House, bo: Actor, order: tuple[int, ...]) -> None:
    # signed once, after its Undo: a delivery that was tried again, and so signed again
    steps = [partial(say, at=3000), partial(take_back, at=2000)]
    for place in order[::-1]:
        await steps[place](house, bo, "1")
    assert not await stands(house, bo)


async def test_the_same_second_is_not_anew(house: House, bo: Actor) -> None:
    await say(house, bo, "1", at=1000)
    await take_back(house, bo, "1", at=2000)
    assert await say(house, bo, "1", at=2000) is None


async def test_nobody_speaks_for_another(house: House, bo: Actor) -> None:
    near, far = await house.stranger("near"), await house.stranger("far", "far.example")
    assert await say(house, far, "1") is None, "an id of another host"
    assert await take_back(house, far, "1") is None
    await take_back(house, near, "1")
    assert await say(house, bo, "1") == iri("1"), "what another of the same host took back is not his"
    assert await say(house, bo, "1", About("Like", Iri("https://ours.example/posts/2"))) is None, "one id means one thing"


async def test_what_was_taken_back_is_forgotten_after_a_day(house: House, bo: Actor) -> None:
    async def rows(tx) -> int:
        row = await tx.one("select count(*) as n from said")
        return int(row["n"])

    await say(house, bo, "stands")
    await say(house, bo, "gone", About("Block", POST))
    await take_back(house, bo, "gone", About("Block", POST))
    await say(house, bo, "down", About("Announce", POST))
    await take_back(house, bo, "fresh", About("Announce", POST))
    await take_back(house, bo, "bare", None)
    house.clock.move(hours=23)
    assert await house.write(said.forget, house.instance) == 0
    house.clock.move(hours=2)
    assert await house.write(said.forget, house.instance) == 4
    assert await house.read(rows) == 1
    assert await stands(house, bo)


async def test_a_gone_actor_leaves_nothing(house: House, bo: Actor) -> None:
    await say(house, bo, "1")

    async def erase(tx) -> None:
        await tx.execute("delete from actor where id = :id", id=bo.id)

    await house.write(erase)
    assert await house.read(known.by_id, bo.id) is None
    assert not await stands(house, bo)
