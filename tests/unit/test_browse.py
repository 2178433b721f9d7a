"""Does the board find what fits, all of it, once, and nothing that is not public? On both engines, against a search by hand."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors.instance import Instance
from fedmatch import app
from fedmatch.board import browse, life, publish, search
from fedmatch.board.browse import Found, Wish, bucket
from fedmatch.board.listings import END, Listing
from fedmatch.board.search import Wanted
from schemas import vocabulary
from schemas.objects import Proposal
from tests import postgres
from tests.houses import REQUEST, open_house, person

WISHES = [
    Wish(),
    Wish(kind="request"),
    Wish(kind="offer", urgency="weeks"),
    Wish(slug="LegalAid"),
    Wish(slug="AsylumLaw", region="SY"),
    Wish(slug="RadioBroadcast", kind="offer"),
    Wish(speaks="fa"),
    Wish(speaks="ar", region="YE", urgency="days"),
    Wish(region="SY"),
    Wish(words=("number", "4")),
    Wish(words=("rádio",), speaks="ar"),
    Wish(words=("nobody-says-this",)),
    Wish(slug="LanguageHelp", speaks="ku", region="IR", urgency="hours", kind="offer"),
]


def some(number: int) -> Proposal:
    """One of many different ones."""
    skill = ("AsylumLaw", "RadioBroadcast")[number % 2]
    return replace(
        REQUEST,
        purpose=("request", "request", "offer")[number % 3],  # type: ignore[arg-type]  # one of the two
        title=f"Listing number {number}",
        text=f"Words of {skill} for the Radio",
        skills=(skill,),
        categories=(vocabulary.skill(skill).category,),
        speaks=(("ar", "en"), ("fa",))[number % 5 == 0],
        region=("SY", "YE", None)[number % 4 % 3],
        urgency=("days", "weeks", None)[number % 7 % 3],  # type: ignore[arg-type]  # one of the four, or none
    )


@pytest.fixture(params=["sqlite", "postgresql"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Instance, list[Listing]]]:
    """Forty public listings on each engine, between some that are not public, and one that is closed."""
    url = "sqlite" if request.param == "sqlite" else await postgres.clean_database(request.getfixturevalue("postgresql_url"))
    instance = await open_house(tmp_path, url)
    author, other = await person(instance, "amina"), await person(instance, "omar")
    made = []
    for number in range(40):
        made.append(await publish.listing(instance, author if number % 3 else other, some(number), "en", audience="public"))
        if number % 10 == 0:
            await publish.listing(instance, author, replace(some(number), title="canary"), "en", audience="local")
    await instance.database.write(life.fulfil, instance, made.pop(7).id)
    # Newest first: requests leave on the hour, so that their ids say no more than that.
    yield instance, sorted(made, key=lambda one: one.id, reverse=True)
    await app.close(instance)
    if url != "sqlite":
        await postgres.drop(url)


async def every(instance: Instance, wish: Wish, limit: int) -> list[int]:
    """All pages one after the other."""
    found: list[int] = []
    before: int | None = END
    while before is not None:
        page: Found = await instance.database.read(browse.page, instance, wish, before, limit)
        assert len(page.listings) <= limit
        found += [one.id for one in page.listings]
        before = page.more
    return found


async def test_pages_hold_all_that_fits_once_and_in_order(house: tuple[Instance, list[Listing]], monkeypatch: pytest.MonkeyPatch) -> None:
    instance, made = house
    for scan, read, chunk in ((3000, 1200, 200), (7, 10, 3)):   # bounds that are never met, and bounds that always are
        monkeypatch.setattr(browse, "SCAN", scan)
        monkeypatch.setattr(browse, "READ", read)
        monkeypatch.setattr(browse, "CHUNK", chunk)
        for wish in WISHES:
            wanted = Wanted(
                words=wish.words, kind=wish.kind or None, slugs=(wish.slug,) if wish.slug else (), speaks=(wish.speaks,) if wish.speaks else (),
                region=wish.region or None, urgency=wish.urgency or None,
            )  # fmt: skip
            assert await every(instance, wish, 5) == [one.id for one in made if search.matches(one, wanted)], wish


async def test_an_author_and_a_tag_show_what_is_closed_as_well(house: tuple[Instance, list[Listing]]) -> None:
    instance, made = house
    amina = made[0].actor_id if made[0].author.startswith("amina") else made[1].actor_id
    theirs = await every(instance, Wish(actor_id=amina, closed=True), 4)
    assert set(theirs) > {one.id for one in made if one.actor_id == amina}
    assert len(theirs) == len([one for one in made if one.actor_id == amina]) + 1
    tagged = await every(instance, Wish(hashtag="asylumlaw", closed=True), 4)
    assert tagged == [one.id for one in made if "AsylumLaw" in one.skills]


async def test_a_field_finds_what_needs_one_of_its_skills(house: tuple[Instance, list[Listing]]) -> None:
    instance, _ = house
    author = await person(instance, "third")
    made = await publish.listing(instance, author, replace(REQUEST, categories=("Education",), skills=("AsylumLaw",)), "en", audience="public")
    assert made.categories == ("Education",)
    assert made.id in await every(instance, Wish(slug="LegalAid"), 20)


async def test_counts_are_coarse_and_of_public_ones_alone(house: tuple[Instance, list[Listing]]) -> None:
    instance, made = house
    requests = len([one for one in made if one.kind == "request"])
    assert 20 < requests <= 50
    assert await instance.database.read(browse.counters, instance) == {"request": 20, "offer": 10}
    assert [bucket(number) for number in (0, 1, 10, 11, 20, 21, 2001, 10**9)] == [0, 0, 0, 10, 10, 20, 2000, 2000]
