"""Does anybody get at the engines, at a server error, or at what is not theirs through a search? Rows A106, A107 and A108, at every door, on both engines."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from actors import known
from actors.instance import Instance
from fedmatch import app
from fedmatch.board import index, publish, search
from fedmatch.board.listings import Listing
from fedmatch.board.search import BadCursor, Place, Wanted
from fedmatch.database import postgresql_text, sqlite_text, text
from schemas.storage import Transaction
from tests import postgres
from tests.houses import REQUEST, open_house, person
from tests.unit.test_pages import ask

HOSTILE = {
    "quote": '"',
    "quotes": '""" OR ""',
    "an unfinished phrase": '"asylum law',
    "NEAR": "NEAR(asylum law, 2)",
    "operators": "asylum AND NOT law OR * + - ^",
    "a star": "*",
    "a prefix": "asyl*",
    "parentheses": "(" * 5000,
    "closed parentheses": "(" * 2500 + ")" * 2500,
    "a column": "title:asylum",
    "another column": "facets:x",
    "columns": "{title text}: asylum",
    "minus": "-asylum",
    "the table": "text_words_1",
    "20,000 terms": '"a" ' * 20_000,
    "20,000 words": "word " * 20_000,
    "100 kB": "x" * 100_000,
    "NUL": "asylum\x00law",
    "a lone surrogate": "asylum \ud800 law",
    "LIKE": "%a%a%a" * 2000,
    "underscores": "_" * 300,
    "SQL": "'; drop table listing; --",
    "union": "x' union select sealed from listing --",
    "tsquery": "asylum & !law | (x <-> y):*",
    "weights": "asylum:A 'law':1A,2B",
    "backslashes": "\\'\\\\ '' \\",
    "a facet": "\ue000all \ue000statewithdrawn",
    "a template": "{{7*7}} ${7*7} :asked :limit",
    "right to left": "\u202e\u202dasylum",
    "marks": "a" + "\u0301" * 5000,
    "Chinese": "难民" * 3000,
    "digits": "9" * 400,
    "emoji": "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "blanks": " \t\r\n\u2003",
}
CURSORS = ("1", "-1", "0", "9" * 400, "a-b", "-", "\x00", "%", "ge-aaaaaaaaaaaaaaaaaaaa", "é-é", "=" * 50, "' or 1=1", "\ud800")
TROUBLE = re.compile(r"sqlite|fts5|syntax error|operationalerror|postgres|tsquery|traceback|no such column|unterminated", re.IGNORECASE)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    """A few public listings and one that is not, on each engine."""
    url = "sqlite" if request.param == "sqlite" else await postgres.clean_database(request.getfixturevalue("postgresql_url"))
    folder: Path = tmp_path_factory.mktemp("search")
    instance = await open_house(folder, url)
    author = await person(instance, "author")
    for number in range(25):
        await publish.listing(instance, author, replace(REQUEST, title=f"Asylum {number}"), "en", audience="public")
    await publish.listing(instance, author, replace(REQUEST, title="Hidden quetzal", region="YE"), "en", audience="local")
    await person(instance, "stranger")
    yield instance
    await app.close(instance)
    if url != "sqlite":
        await postgres.drop(url)


class Counted:
    """A transaction that counts what is asked, and how many rows come back."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.asked = 0
        self.rows = 0

    async def one(self, sql: str, /, **values: object) -> object:
        self.asked += 1
        return await self._tx.one(sql, **values)  # type: ignore[arg-type]  # passed along

    async def all(self, sql: str, /, **values: object) -> object:
        self.asked += 1
        found = await self._tx.all(sql, **values)  # type: ignore[arg-type]  # passed along
        self.rows += len(found)
        return found

    async def execute(self, sql: str, /, **values: object) -> int:
        return await self._tx.execute(sql, **values)  # type: ignore[arg-type]  # passed along


def encoded(said: str) -> str:
    return "".join(f"%{byte:02x}" for byte in said.encode("utf-8", "surrogatepass"))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", HOSTILE, ids=[f"A107-{name}" for name in HOSTILE])
async def test_hostile_words_are_words(house: Instance, name: str) -> None:
    """No error, no operator, and no more work than ten words make."""
    said = HOSTILE[name]
    stranger = await house.database.read(known.by_name, "stranger")
    for sort in ("newest", "best"):
        wanted = Wanted(words=search.typed(said))
        terms = search.terms_of(wanted.words) or ()
        assert len(terms) <= search.MOST_PARTS
        assert sum(len(word) for term in terms for word in term.words) <= 4 * search.LONGEST
        assert all(re.fullmatch(r"\w+", word) for term in terms for word in term.words)
        asked = text.Query(terms)
        words = sum(len({*term.words, *text.pairs(term.words)}) for term in terms)
        assert sqlite_text.match(asked).count('"') == 2 * max(1, words)
        assert (sqlite_text.exact(asked) or "").count('"') == 2 * sum(bool(text.pairs(term.words)) for term in terms)
        assert postgresql_text.ranked(terms).count("'") == 2 * sum(len(term.words) for term in terms)
        assert postgresql_text.sought(asked)[0].count("'") == 2 * max(1, words)

        async def look(tx: Transaction, wanted: Wanted = wanted, sort: search.Sort = sort) -> tuple[list[Listing], Counted]:  # type: ignore[assignment]  # one of two
            counted = Counted(tx)
            found = await search.page(counted, house, wanted, sort=sort, limit=80)  # type: ignore[arg-type]  # it is one
            whole = await search.search(tx, house, replace(wanted, state="any"), sort=sort, reader=stranger)
            return [*found.listings, *whole], counted

        found, counted = await house.database.read(look)
        assert counted.asked < 30
        assert counted.rows < 3 * search.LOOKED
        assert {one.title for one in found} <= {f"Asylum {number}" for number in range(25)}
    for path in ("/board?sort=best", "/board.atom?sort=newest"):
        page = await ask(house, f"{path}&words={encoded(said)[:3000]}")
        assert page.status in (200, 400), (path, page.text[:300])
        assert not TROUBLE.search(page.text.replace(said, "")), path


PARAMETERS = ("kind", "topic", "speaks", "language", "region", "helper_region", "urgency", "until", "room", "checked", "anywhere", "origin", "author", "state")
INJECTED = ("'", "1' or '1'='1", "x); drop table post; --", "-1", "1e9", "9" * 90, "\x00", "\ud800", "%25", "[]", "title", "sealed", "\ue000all", "０", "٣")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("parameter", [*PARAMETERS, "sort", "limit", "order", "after"], ids=lambda name: f"A106-{name}")
async def test_a_parameter_is_a_value_or_said_back(house: Instance, parameter: str) -> None:
    for value in INJECTED[:: 1 if house.database.engine == "sqlite" else 5]:  # what it means is decided before any engine is asked
        page = await ask(house, f"/board.atom?{parameter}={encoded(value)}")
        understood = parameter in ("origin", "author", "limit", "order")
        assert page.status in ((200, 400) if understood else (400,)), (parameter, value, page.status)
        assert not TROUBLE.search(page.text), (parameter, value)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_is_never_longer_than_it_may_be(house: Instance) -> None:
    """A106: limits are bounded below and above."""
    for limit, most in ((-1, 1), (0, 1), (10**9, search.MOST), (2**63, search.MOST)):
        found = await house.database.read(_page, house, Wanted(), limit)
        assert 1 <= len(found) <= most


async def _page(tx: Transaction, instance: Instance, wanted: Wanted, limit: int) -> list[Listing]:
    return list((await search.page(tx, instance, wanted, limit=limit)).listings)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("said", CURSORS, ids=[f"A106-cursor-{place}" for place in range(len(CURSORS))])
async def test_a_cursor_that_is_not_ours_leads_nowhere(house: Instance, said: str) -> None:
    with pytest.raises(BadCursor):
        await house.database.read(search.place, Wanted(), "newest", said)
    for path in ("/board", "/board.atom", "/@author", "/users/author/feed.atom", "/tags/asylumlaw", "/topics/legalaid")[:: 1 if said == "1" else 3]:
        page = await ask(house, f"{path}?after={encoded(said)}")
        assert page.status == 400, path
        assert not TROUBLE.search(page.text)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cursor_holds_for_its_own_search_alone(house: Instance) -> None:
    """A106: changed in any letter, taken to another search or another order, or made by another instance, it is refused."""
    wanted, place = Wanted(words=("asylum",)), Place(12345, 1.5)
    ours = await house.database.read(search.cursor, wanted, "best", place)
    assert await house.database.read(search.place, wanted, "best", ours) == place
    others: list[tuple[Wanted, search.Sort, str]] = [
        (wanted, "newest", ours),
        (Wanted(words=("law",)), "best", ours),
        (replace(wanted, state="any"), "best", ours),
    ]
    others += [(wanted, "best", ours[:at] + ("b" if ours[at] != "b" else "c") + ours[at + 1 :]) for at in range(0, len(ours) - 1, 3) if ours[at] != "-"]
    for one, sort, said in others:
        with pytest.raises(BadCursor):
            await house.database.read(search.place, one, sort, said)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_public_leaves_no_trace_in_anybodys_search(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A108: neither a result, a count, a page more, nor another query: the very same statements run whether it is there or not."""
    stranger = await house.database.read(known.by_name, "stranger")
    hidden = next(one for one in await house.database.read(index.private.live, house) if "quetzal" in one.title)

    async def asked(look: Callable[[Transaction], Awaitable[object]]) -> tuple[object, int, int]:
        async def body(tx: Transaction) -> tuple[object, int, int]:
            counted = Counted(tx)
            found = await look(counted)  # type: ignore[arg-type]  # it is one
            return found, counted.asked, counted.rows

        return await house.database.read(body)

    looks: dict[str, Callable[[Transaction], Awaitable[object]]] = {
        "page by words": lambda tx: search.page(tx, house, Wanted(words=("quetzal",))),
        "page by a word nobody says": lambda tx: search.page(tx, house, Wanted(words=("quetzalx",))),
        "best": lambda tx: search.page(tx, house, Wanted(words=("quetzal",)), sort="best"),
        "region": lambda tx: search.page(tx, house, Wanted(region="YE")),
        "stranger by words": lambda tx: search.search(tx, house, Wanted(words=("quetzal",)), reader=stranger),
        "stranger by another": lambda tx: search.search(tx, house, Wanted(words=("zzz",)), reader=stranger),
        "all": lambda tx: search.page(tx, house, Wanted(state="any")),
    }
    before = {name: await asked(look) for name, look in looks.items()}
    assert before["page by words"] == before["page by a word nobody says"]
    assert before["stranger by words"][1:] == before["stranger by another"][1:]
    pages = {query: (await ask(house, f"/board?{query}")).text for query in ("region=YE", "sort=best&words=asylum", "state=any")}
    await publish.withdraw(house, hidden)
    await house.database.read(index.private.live, house)  # that somebody wrote something is no secret; what is
    # The number of posts of the instance tells strangers nothing either; only what the viewer typed may differ.
    assert {name: await asked(look) for name, look in looks.items()} == before
    assert {query: (await ask(house, f"/board?{query}")).text for query in pages} == pages
