"""How long does a search take among 100,000 public requests and offers in eight languages? Ranked and newest first, common and rare words, with filters.

Listings are generated in bulk: words of each language drawn as often as words are (Zipf), and indexed by the same code that indexes what arrives.
`python -m benchmarks.search`, about 8 minutes, most of it to write the index.
"""

import asyncio
import itertools
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.instance import Instance
from benchmarks import _letters
from benchmarks._lab import Lab, Report, Site, inside, lab, memory_mb, options, share
from fedmatch.board import index, search
from fedmatch.board.listings import Listing
from fedmatch.board.search import Sort, Wanted
from fedmatch.database import postgresql_text, sqlite_text, text
from fedmatch.database.text import Entry
from schemas import vocabulary
from schemas.reading import Iri
from schemas.storage import Transaction

START: Final = 1_700_000_000_000
CHUNK: Final = 1_000
AUTHORS: Final = 200
VOCABULARY: Final = 12_000
LETTERS: Final = {
    "en": "etaoinshrdlcumwfgypbvk",
    "es": "eaosrnidlctumpbgvyqhfzj",
    "fr": "esaitnrulodcmpévqfbghjàx",
    "ru": "оеаинтсрвлкмдпуяыьгзбчй",
    "uk": "оанивіртеслкумдпяьзгбчй",
    "ar": "ايلمونرتبةعدسفهكقأحجشطصخ",
    "fa": "ایرندهمتسبوشکزگخلفعجپق",
    "zh": "",
}
PEOPLE_SEARCH: Final = ("common", "two words", "common and rare", "rare", "beginning", "phrase", "field and region", "words and filters", "no words")


Chunk = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[Entry]]


@dataclass(frozen=True, slots=True)
class Size:
    """How many listings, of how many different texts, and whether they are to be found as alike as well."""

    listings: int
    texts: int
    alike: bool


@cache
def lexicon(language: str) -> list[str]:
    """The words of a language, the frequent ones first and short; of Chinese its letters."""
    chance = random.Random(language)
    if language == "zh":
        return [chr(0x4E00 + number * 7) for number in range(2_500)]
    letters = LETTERS[language]
    weights = [1 / (place + 2) for place in range(len(letters))]
    return ["".join(chance.choices(letters, weights, k=2 + min(10, chance.randrange(1, 4 + number // 1500)))) for number in range(VOCABULARY)]


@cache
def _weights(language: str) -> list[float]:
    return list(itertools.accumulate(1 / (place + 3) for place in range(len(lexicon(language)))))


def key(number: int) -> int:
    """The id of the listing of that number."""
    return START + number * 60_000 << 16 | number & 0xFFFF


def number_of(id: int) -> int:
    """The number of the listing of that id."""
    return ((id >> 16) - START) // 60_000


def listing(number: int, authors: Sequence[int]) -> Listing:
    """One of them: the same for the same number."""
    chance = random.Random(number)
    language = chance.choice(tuple(LETTERS))
    many = 220 if language == "zh" else 75

    def said(count: int) -> str:
        words = chance.choices(lexicon(language), cum_weights=_weights(language), k=count)
        return "".join(words) if language == "zh" else " ".join(words)

    skill = chance.choice([skill.slug for one in vocabulary.categories() for skill in one.skills])
    author = chance.randrange(len(authors))
    return Listing(
        id=key(number), url=Iri(f"https://peer{author}.example/posts/{number}"), actor_id=authors[author], local=False,
        kind=chance.choice(("request", "offer")), state="open", title=said(6 if language != "zh" else 12), text=said(many), language=language,
        categories=(vocabulary.skill(skill).category,), skills=(skill,), speaks=tuple(dict.fromkeys((language, chance.choice(("en", "ar", "fr"))))),
        region=chance.choice(("SY", "IR", "UA", "VE", "CN", None)), urgency=None, until=None, audience="public", author=f"author{author}",
        origin=f"peer{author}.example", published=START + number * 60_000, updated=None,
    )  # fmt: skip


def some(first: int, last: int, authors: Sequence[int], alike: bool) -> Chunk:
    """Rows of `post` and of `listing`, and what the index holds, for the listings from `first` up to `last`."""
    posts, rows, entries = [], [], []
    for number in range(first, last):
        one = listing(number, authors)
        at = one.published
        posts.append((one.id, one.url, one.url, one.actor_id, 0, "Note", "public", one.text, one.language, at, at))
        more = msgspec.json.encode(replace(one.proposal, title="", text="")).decode()
        rows.append((one.id, one.kind, one.state, "public", one.title, one.text, one.language, one.region, more, 1, at, at))
        entry = index.entry(one)
        entries.append(entry if alike else replace(entry, alike=None, source=""))
    return posts, rows, entries


def again(chunk: Chunk, by: int) -> Chunk:
    """The same texts as other listings, so many later."""
    posts, rows, entries = chunk
    later = {entry.id: key(number_of(entry.id) + by) for entry in entries}
    at = by * 60_000
    return (
        [(later[one[0]], f"{one[1]}-{by}", f"{one[2]}-{by}", *one[3:9], one[9] + at, one[10] + at) for one in posts],
        [(later[one[0]], *one[1:10], one[10] + at, one[11] + at) for one in rows],
        [replace(entry, id=later[entry.id]) for entry in entries],
    )


POSTS: Final = ("id", "uri", "url", "actor_id", "local", "kind", "visibility", "content", "language", "published", "received_at")
LISTINGS: Final = ("post_id", "kind", "state", "audience", "title", "text", "language", "region", "more", "revision", "created_at", "changed_at")


def made(size: Size, authors: Sequence[int]) -> Iterator[Chunk]:
    """Everything in chunks; cut into words by two processes."""
    with ProcessPoolExecutor(2) as pool:
        starts = range(0, size.texts, CHUNK)
        ends = [min(start + CHUNK, size.texts) for start in starts]
        chunks: list[Chunk] = []
        for chunk in pool.map(some, starts, ends, itertools.repeat(authors), itertools.repeat(size.alike)):
            chunks.append(chunk if size.texts < size.listings else ([], [], []))
            yield chunk
    for by in range(size.texts, size.listings, size.texts):
        for chunk in chunks:
            yield again(chunk, by)


async def populate(instance: Instance) -> list[int]:
    """Authors elsewhere."""
    public = _letters.make_writer(0).public

    async def meet(tx: Transaction, number: int) -> int:
        return (await _letters.remote(tx, instance, f"https://peer{number}.example/users/author{number}", public)).id

    return [await instance.database.write(meet, number) for number in range(AUTHORS)]


def fill(site: Site, size: Size, authors: Sequence[int]) -> float:
    """Writes them past every rule but those of the index; milliseconds that the index took a listing (one process, no sync)."""
    if site.database == "postgresql":
        return asyncio.run(_fill_postgresql(site.config.database.url, size, authors))
    connection = sqlite3.connect(site.config.folder / "fedmatch.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("pragma synchronous = off")
    connection.execute("pragma secure_delete = on")
    connection.execute("pragma cache_size = -100000")
    return asyncio.run(_fill_sqlite(connection, size, authors))


async def _fill_sqlite(connection: sqlite3.Connection, size: Size, authors: Sequence[int]) -> float:
    tx, texts, took = sqlite_text.Direct(connection), sqlite_text.SqliteText(), 0.0
    for posts, rows, entries in made(size, authors):
        connection.execute("begin")
        connection.executemany(f"insert into post ({', '.join(POSTS)}) values ({', '.join('?' * len(POSTS))})", posts)
        connection.executemany(f"insert into listing ({', '.join(LISTINGS)}) values ({', '.join('?' * len(LISTINGS))})", rows)
        started = time.perf_counter()
        for entry in entries:
            await texts.put(tx, entry)
        connection.execute("commit")
        took += time.perf_counter() - started
    while await texts.clean(tx):  # as the worker does when a part is full
        continue
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    return took / size.listings * 1000


async def _fill_postgresql(url: str, size: Size, authors: Sequence[int]) -> float:
    import asyncpg

    connection = await asyncpg.connect(url)
    took, left = 0.0, size.listings
    # All but the last thousand come before the indexes, which is many times faster; those tell what one takes.
    indexes = [row["indexdef"] for row in await connection.fetch("select indexdef from pg_indexes where tablename = 'text_entry' and indexdef like '%gin%'")]
    for one in indexes:
        await connection.execute(f"drop index {one.split()[2]}")
    parts = range(0, size.listings, postgresql_text.PART)
    await connection.executemany("insert into text_part (id, low) values ($1, $2)", [(part, key(low) if low else 0) for part, low in enumerate(parts, 1)])
    for posts, rows, entries in made(size, authors):
        if left <= CHUNK:
            await connection.execute("set maintenance_work_mem = '512MB'")
            for one in indexes:
                await connection.execute(one)
        left -= len(entries)
        await connection.copy_records_to_table("post", records=posts, columns=POSTS)
        await connection.copy_records_to_table("listing", records=rows, columns=LISTINGS)
        started = time.perf_counter()
        await connection.executemany(
            "insert into text_entry (id, said, found, words, grams) values ($1, $2, $3::text::tsvector, $4::text::tsvector, $5)",
            [_row(entry) for entry in entries],
        )
        took = time.perf_counter() - started
    await connection.execute("vacuum analyze")
    await connection.close()
    return took / min(CHUNK, size.listings) * 1000


def _row(entry: Entry) -> tuple[int, int, str, str, list[int]]:
    """What PostgreSQL's index holds of a listing, in parts as they come when one after the other is written."""
    part = number_of(entry.id) // postgresql_text.PART + 1
    grams = [] if entry.alike is None else list(text.keys(entry.alike, entry.source))
    return entry.id, postgresql_text.said(entry), postgresql_text.found(entry, part), postgresql_text.vector(entry), grams


def asked(case: str, chance: random.Random) -> Wanted:
    """One search of a kind."""
    language = chance.choice([code for code in LETTERS if code != "zh"] if case in ("beginning", "phrase") else tuple(LETTERS))
    words = lexicon(language)
    common, other, rare = chance.choice(words[:20]), chance.choice(words[:200]), chance.choice(words[1500:])
    match case:
        case "common":
            return Wanted(words=(common,))
        case "two words":
            return Wanted(words=(common, other))
        case "common and rare":
            return Wanted(words=(common, rare))
        case "rare":
            return Wanted(words=(rare,))
        case "beginning":
            return Wanted(words=(other[:3],))
        case "phrase":
            return Wanted(words=(f"{common} {chance.choice(words[:20])}",))
        case "field and region":
            return Wanted(slugs=(chance.choice(vocabulary.categories()).slug,), region=chance.choice(("SY", "IR", "UA")))
        case "words and filters":
            return Wanted(words=(common,), kind="offer", language=language, speaks=("ar",), region="IR")
        case _:
            return Wanted(kind=chance.choice((None, "offer", "request")))


async def measure(instance: Instance, report: Report, database: str, size: Size, times: int, authors: Sequence[int]) -> None:
    """Every kind of search both ways, then what is alike; and what of the memory that was."""
    for _ in range(12):  # what the engine's own caches take is theirs, whoever reads
        await instance.database.read(_warm)
    before, many = memory_mb(_own()), size.listings
    worst: dict[Sort, list[float]] = {"newest": [], "best": []}
    sorts: tuple[Sort, ...] = ("newest", "best")
    for case in PEOPLE_SEARCH:
        for sort in sorts:
            chance = random.Random(f"{case} {sort}")
            took, hits, cpu = [], 0, 0.0
            for number in range(times + 5):
                if number == 5:
                    cpu = time.process_time()
                wanted = asked(case, chance)
                started = time.perf_counter()
                found = await instance.database.read(_page, instance, wanted, sort)
                if number >= 5:
                    took.append((time.perf_counter() - started) * 1000)
                    hits += found
            worst[sort] += took
            report.add(
                database=database,
                listings=many,
                searched=case,
                sort=sort,
                p50_ms=share(took, 0.5),
                p99_ms=share(took, 0.99),
                cpu_ms=(time.process_time() - cpu) / times * 1000,
                found=hits / times,
            )
    chance, took = random.Random(1), []
    for _ in range(max(5, times // 4) if size.alike else 0):
        one = listing(chance.randrange(size.texts), authors)
        started = time.perf_counter()
        alike = await instance.database.read(index.alike, instance, one, "offer" if one.kind == "request" else "request", 100)
        took.append((time.perf_counter() - started) * 1000)
    if took:
        report.add(
            database=database, listings=many, searched="alike", sort="best", p50_ms=share(took, 0.5), p99_ms=share(took, 0.99), cpu_ms=0.0, found=len(alike)
        )
    report.aim(f"search, {database}, newest first, p99", 5, share(worst["newest"], 0.99), "ms")
    report.aim(f"search, {database}, ranked, p99", 60, share(worst["best"], 0.99), "ms")
    report.aim(f"search, {database}, memory added", 20, max(memory_mb(_own()) - before, 0.1), "MB")


EVERYTHING: Final = """
select sum(length(post.content)) as n, max(listing.region) as region
from post
join listing on listing.post_id = post.id
"""


async def _warm(tx: Transaction) -> None:
    await tx.one(EVERYTHING)


async def _page(tx: Transaction, instance: Instance, wanted: Wanted, sort: Sort) -> int:
    return len((await search.page(tx, instance, wanted, sort=sort)).listings)


def _own() -> int:
    import os

    return os.getpid()


async def erasing(instance: Instance) -> float:
    """Milliseconds that the longest step takes which makes deleted words unreadable."""
    steps: list[float] = []

    async def take_out(tx: Transaction) -> None:
        await text.of(instance.database).remove(tx, key(1))

    await instance.database.write(take_out)
    more = True
    while more:
        started = time.perf_counter()
        more = await instance.database.write(index._clean, instance)  # the steps of `index.erase`, one by one
        steps.append((time.perf_counter() - started) * 1000)
    return max(steps)


def one(here: Lab, report: Report, database: str, size: Size, times: int) -> None:
    """One engine: generated, then searched."""

    def make(site: Site) -> dict[str, Any]:
        authors = inside(site.config, populate)
        started = time.monotonic()
        put_ms = fill(site, size, authors)
        print(f"  {database}: {size.listings:,} listings written in {time.monotonic() - started:.0f} s", flush=True)
        return {"authors": authors, "put_ms": put_ms}

    site, told = here.prepared(f"search-{size.listings}-{size.texts}-{int(size.alike)}", database, make)
    report.floors[f"put_ms_{database}"] = told["put_ms"]
    inside(site.config, lambda instance: measure(instance, report, database, size, times, told["authors"]))
    if database == "sqlite":
        report.floors["erase_step_ms"] = inside(site.config, erasing)


def main(arguments: list[str] | None = None) -> None:
    question = "How long does a search take?"
    parser = options(question)
    parser.add_argument("--listings", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=200, help="searches of each kind")
    parser.add_argument("--keep", type=Path, help="a folder for what is prepared: the next run with it begins at once")
    parser.add_argument("--texts", type=int, help="different texts; with fewer than listings each stands several times (quicker to prepare)")
    parser.add_argument("--words-only", action="store_true", help="leave out what finds listings that are alike (quicker to prepare)")
    given = parser.parse_args(arguments)
    size = Size(given.listings, min(given.texts or given.listings, given.listings), not given.words_only)
    report = Report("search", question, {**asdict(size), "times": given.times, "languages": len(LETTERS)})
    with lab(given.keep) as here:
        for database in given.databases:
            one(here, report, database, size, given.times)
    report.finish(given)


if __name__ == "__main__":
    main()
