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
from fedmatch.board import notifications, publish, saved, suggestions
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


async def test_what_fits_now_is_found_behind_any_number_of_others(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """By language, spoken or written, and by region, of the need or of the helper: whatever was posted since that does not fit."""
    reader, author = await person(house, "reader"), await person(house, "author")

    async def said(**more: object) -> int:
        proposal = replace(REQUEST, speaks=("en",), region="UA", helper_region=None)
        return (await publish.listing(house, author, replace(proposal, **more), "en", audience="public")).id  # type: ignore[arg-type]  # its members

    spoken, there = await said(speaks=("zh-Hans",), region="DE"), await said(speaks=("zh",), region="SY", helper_region="DE")
    written = (await publish.listing(house, author, replace(REQUEST, speaks=(), region="DE"), "zh-Hant", audience="public")).id
    for _ in range(3):
        await said()

    async def now(**more: str) -> set[int]:
        words = saved.asked(**more)  # type: ignore[arg-type]  # its members
        return {one.id for one in await house.database.read(saved.now, house, reader, words, 10)}

    monkeypatch.setattr(saved, "MOST_SHOWN", 3)  # as if three were a thousand
    assert await now(region="DE") == {spoken, there, written}
    assert await now(language="zh", region="DE") == await now(language="zh") == {spoken, there, written}
    assert await now(language="zh", region="DE", skill="AsylumLaw", kind="request") == {spoken, there, written}
    assert await now(language="zh", region="FR") == set()


async def test_who_keeps_a_search_hears_of_it_although_the_vault_locked_meanwhile(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, author = await person(house, "reader"), await person(house, "author")
    kept = await keep(house, reader, Words("a", skill="AsylumLaw"))
    await publish.listing(house, author, replace(REQUEST, skills=("AsylumLaw",)), "en", audience="public")
    real = saved.look

    async def locked(instance: Instance, listing: Listing) -> None:
        monkeypatch.setattr(saved, "look", real)
        raise Locked

    monkeypatch.setattr(saved, "look", locked)
    for _ in range(2):
        await suggestions.work(house, "all", b"")
    told = await house.database.read(notifications.newest, house, reader.id)
    assert [(one.kind, one.about) for one in told] == [("search.found", str(kept.id))]


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
