"""Does the board find what fits, all of it, once, and nothing that is not public? On both engines, against a search by hand."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from actors.instance import Instance
from fedmatch.board import browse, life, publish, search
from fedmatch.board.browse import bucket
from fedmatch.board.listings import END, Listing
from fedmatch.board.search import Found, Place, Wanted
from schemas import vocabulary
from schemas.objects import Proposal
from schemas.storage import Transaction
from tests.houses import REQUEST, opened, person

WISHES = [
    Wanted(),
    Wanted(kind="request"),
    Wanted(kind="offer", urgency="weeks"),
    Wanted(slugs=("LegalAid",)),
    Wanted(slugs=("AsylumLaw",), region="SY"),
    Wanted(slugs=("RadioBroadcast", "LegalAid"), kind="offer"),
    Wanted(speaks=("fa",)),
    Wanted(speaks=("ar",), region="YE", urgency="days"),
    Wanted(region="SY"),
    Wanted(words=("number", "4")),
    Wanted(words=("rádio",), speaks=("ar",)),
    Wanted(words=("list", "ASYL")),
    Wanted(words=("words of asylumlaw",)),
    Wanted(words=("of words",)),
    Wanted(words=("nobody-says-this",)),
    Wanted(words=("...",)),
    Wanted(language="en", words=("radio",)),
    Wanted(language="fa"),
    Wanted(here=True, state="any"),
    Wanted(origin="elsewhere.example"),
    Wanted(helper_region="DE"),
    Wanted(room=3),
    Wanted(anywhere=True, kind="request"),
    Wanted(checked=True),
    Wanted(state="closed"),
    Wanted(slugs=("LanguageHelp",), speaks=("ku",), region="IR", urgency="hours", kind="offer"),
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
        helper_region=("DE", None)[number % 2],
        only_region=number % 4 == 0,
        capacity=(1, 3, None)[number % 3],
    )


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Instance, list[Listing]]]:
    """Forty public listings on each engine, between some that are not public, and one that is closed."""
    async with opened(tmp_path, database_url) as instance:
        author, other = await person(instance, "amina"), await person(instance, "omar")
        made = []
        for number in range(40):
            made.append(await publish.listing(instance, author if number % 3 else other, some(number), "en", audience="public"))
            if number % 10 == 0:
                await publish.listing(instance, author, replace(some(number), title="canary"), "en", audience="local")
        closed = made[7]
        await instance.database.write(life.fulfil, instance, closed.id)
        made[7] = replace(closed, state="fulfilled")
        # Newest first: requests leave on the hour, so that their ids say no more than that.
        yield instance, sorted(made, key=lambda one: one.id, reverse=True)


async def every(instance: Instance, wanted: Wanted, limit: int, sort: search.Sort = "newest") -> list[int]:
    """All pages one after the other, each from the cursor that the one before it gave."""
    found: list[int] = []
    said: str | None = ""
    while said is not None:

        async def body(tx: Transaction, said: str) -> tuple[Found, str | None]:
            at = await search.place(tx, wanted, sort, said) if said else None
            page = await search.page(tx, instance, wanted, sort=sort, after=at, limit=limit)
            return page, await search.cursor(tx, wanted, sort, page.more) if page.more else None

        page, said = await instance.database.read(body, said)
        assert len(page.listings) <= limit
        found += [one.id for one in page.listings]
    return found


async def test_pages_hold_all_that_fits_once_and_in_order(house: tuple[Instance, list[Listing]], monkeypatch: pytest.MonkeyPatch) -> None:
    instance, made = house
    for looked in (1200, 7):  # a bound that is never met, and one that always is
        monkeypatch.setattr(search, "LOOKED", looked)
        for wanted in WISHES:
            assert await every(instance, wanted, 5) == [one.id for one in made if search.matches(one, wanted, instance.clock.ms())], wanted


async def test_the_best_hold_the_same_and_what_says_it_in_its_title_comes_first(house: tuple[Instance, list[Listing]]) -> None:
    instance, _ = house
    author = await person(instance, "third")
    first = await publish.listing(instance, author, replace(REQUEST, title="Radio, radio", text="A studio"), "en", audience="public")
    await publish.listing(
        instance, author, replace(REQUEST, title="A studio", text="Something long that says nothing, but once radio"), "en", audience="public"
    )
    for wanted in (Wanted(words=("radio",)), Wanted(words=("radio", "listing"))):
        best = await every(instance, wanted, 7, "best")
        assert len(best) == len(set(best))
        assert sorted(best, reverse=True) == await every(instance, wanted, 7)
        if len(wanted.words) == 1:
            assert best[0] == first.id


async def of(instance: Instance, look: Callable[..., Awaitable[Found]], which: int | str, limit: int) -> list[int]:
    """All pages of an author or a tag."""
    found: list[int] = []
    more: Place | None = Place(END)
    while more is not None:
        page = await instance.database.read(look, instance, which, more.id, limit)
        found += [one.id for one in page.listings]
        more = page.more
    return found


async def test_an_author_and_a_tag_show_what_is_closed_as_well(house: tuple[Instance, list[Listing]], monkeypatch: pytest.MonkeyPatch) -> None:
    instance, made = house
    for scan in (3000, 7):
        monkeypatch.setattr(browse, "SCAN", scan)
        amina = made[0].actor_id if made[0].author.startswith("amina") else made[1].actor_id
        assert await of(instance, browse.of_author, amina, 4) == [one.id for one in made if one.actor_id == amina]
        assert await of(instance, browse.of_hashtag, "asylumlaw", 4) == [one.id for one in made if "AsylumLaw" in one.skills]


async def test_a_field_finds_what_needs_one_of_its_skills(house: tuple[Instance, list[Listing]]) -> None:
    instance, _ = house
    author = await person(instance, "third")
    made = await publish.listing(instance, author, replace(REQUEST, categories=("Education",), skills=("AsylumLaw",)), "en", audience="public")
    assert made.categories == ("Education",)
    assert made.id in await every(instance, Wanted(slugs=("LegalAid",)), 20)


async def test_counts_are_coarse_and_of_public_ones_alone(house: tuple[Instance, list[Listing]]) -> None:
    instance, made = house
    requests = len([one for one in made if one.kind == "request" and one.state == "open"])
    assert 20 < requests <= 50
    assert await instance.database.read(browse.counters, instance) == {"request": 20, "offer": 10}
    assert [bucket(number) for number in (0, 1, 10, 11, 20, 21, 2001, 10**9)] == [0, 0, 0, 10, 10, 20, 2000, 2000]
