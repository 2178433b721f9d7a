"""Is a new listing held only against the searches that may look for it, and each of them opened once; and is one that is gone compared with nothing more?"""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors import local
from actors.instance import Instance
from actors.known import Actor
from actors.vault import Locked
from fedmatch.board import publish, saved
from fedmatch.board.listings import Listing
from fedmatch.board.saved import Words
from schemas.storage import Transaction
from tests.houses import REQUEST, opened, person


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance on each engine."""
    async with opened(tmp_path, database_url) as instance:
        yield instance


@pytest.fixture
def unsealed(house: Instance, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which searches were opened, one after the other."""
    real, found = house.vault.open, list[str]()

    def noted(sealed: bytes, place: str) -> bytes:
        if place.startswith("saved_search:"):
            found.append(place)
        return real(sealed, place)

    monkeypatch.setattr(house.vault, "open", noted)
    return found


async def keep(instance: Instance, actor: Actor, words: Words) -> saved.Search:
    return await instance.database.write(saved.save, instance, actor, words)


async def hits(instance: Instance, listing: Listing) -> set[int]:
    return {one.id for one in await instance.database.read(saved._hits, instance, listing)}


async def test_every_search_is_opened_once_however_many_listings_come(house: Instance, unsealed: list[str]) -> None:
    reader, author = await person(house, "reader"), await person(house, "author")
    lawyer, everything = await keep(house, reader, Words("a", skill="AsylumLaw")), await keep(house, reader, Words("b", kind="request"))
    for region in ("SY", "DE", "FR"):
        await keep(house, reader, Words(region, region=region))
    asked = await publish.listing(house, author, replace(REQUEST, skills=("AsylumLaw",), region="UA"), "en", audience="public")
    unsealed.clear()
    assert await hits(house, asked) == {lawyer.id, everything.id}
    assert len(unsealed) == 5
    assert await hits(house, asked) == {lawyer.id, everything.id}
    assert len(unsealed) == 5, "not once more"
    # When one more is kept, it alone is opened
    unsealed.clear()
    here = await keep(house, author, Words("c", region="UA"))
    unsealed.clear()
    other = await person(house, "other")
    there = await keep(house, other, Words("d", region="UA"))
    assert here.id not in await hits(house, asked), "what somebody wrote is no news to them"
    assert there.id in await hits(house, asked)
    assert sorted(unsealed) == sorted(f"saved_search:{one.id}" for one in (here, there))
    # When one is removed, and when its owner goes, it is no more
    await house.database.write(saved.remove, house, reader, "a")
    assert await hits(house, asked) == {everything.id, there.id}

    async def gone(tx: Transaction) -> None:
        await tx.execute("delete from saved_search where actor_id = :id", id=other.id)  # as by a cascade: nobody counts

    await house.database.write(gone)
    assert await hits(house, asked) == {everything.id}
    await house.database.write(local.suspend, house, reader)
    assert await hits(house, asked) == set()
    house.vault.lock()
    with pytest.raises(Locked):
        await hits(house, asked)
    assert saved.NAME not in house.memory


def test_what_is_looked_up_is_what_going_through_all_would_find() -> None:
    chance = random.Random(7)
    tags, fields, regions, tongues = ("AsylumLaw", "Housing"), ("LegalAid", "HealthAndCare"), ("SY", "DE"), ("ar", "en", "zh-Hans")

    def drawn(some: tuple[str, ...]) -> str | None:
        return chance.choice((None, *some))

    words = [Words("x", drawn(("request", "offer")), drawn(fields), drawn(tags), drawn(tongues), drawn(regions)) for _ in range(150)]
    every = {number: saved.Search(number, number % 7, one, 0) for number, one in enumerate(words)}
    kept = saved._Kept.of(0, every)
    found = 0
    for number in range(60):
        listing = one_of(chance, number, tags, fields, regions, tongues)
        fitting = kept.fitting(listing)
        assert fitting == sorted((one for one in every.values() if one.words.fits(listing)), key=lambda one: (one.actor_id, one.id))
        found += len(fitting)
    assert found > 200


def one_of(chance: random.Random, number: int, tags: tuple[str, ...], fields: tuple[str, ...], regions: tuple[str, ...], tongues: tuple[str, ...]) -> Listing:
    """A listing drawn by chance."""

    def some(of: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(chance.sample(of, chance.randrange(len(of) + 1)))

    return Listing(
        id=number,
        url="https://a.example/1",
        actor_id=1,
        local=True,
        kind=chance.choice(("request", "offer")),
        state="open",
        title="",
        text="",
        language=chance.choice((None, *tongues)),
        categories=some(fields),
        skills=some(tags),
        speaks=some(tongues),
        region=chance.choice((None, *regions)),
        urgency=None,
        until=None,
        audience="public",
        author="a",
        origin="a.example",
        published=0,
        updated=None,
        helper_region=chance.choice((None, *regions)),
    )  # type: ignore[arg-type]  # an id as it is
