"""How long does the home timeline take when a million posts are known? Pages read inside the process, first and deep ones, one reader and eight at once.

Posts are generated in bulk: 1,000 authors elsewhere, 20 people here who each follow a tenth of them. `python -m benchmarks.home`, about 4 minutes.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from actors import known, local
from actors.instance import Instance
from actors.known import Actor
from benchmarks import _letters
from benchmarks._lab import Lab, Report, Site, inside, lab, options, share, us_each
from fedmatch import memory
from fedmatch.board import timelines
from schemas.storage import Transaction

PEOPLE: Final = 20
ONE_IN: Final = 10
CHUNK: Final = 20_000

TABLES: Final = {
    "post": ("id", "uri", "url", "actor_id", "local", "kind", "visibility", "content", "language", "published", "received_at"),
    "post_audience": ("post_id", "target", "field"),
    "home": ("actor_id", "post_id"),
}

# The page itself, its author and nothing else: what any timeline must read.
LEAST: Final = """
select post.id, post.uri, post.content, actor.username
from home
join post on post.id = home.post_id
join actor on actor.id = post.actor_id
where home.actor_id = :reader
  and home.post_id < :before
order by home.post_id desc
limit 20
"""


async def populate(instance: Instance, authors: int) -> tuple[list[int], list[int]]:
    """The ids of authors elsewhere and of people here."""
    public = _letters.make_writer(0).public

    async def meet(tx: Transaction, number: int) -> int:
        return (await _letters.remote(tx, instance, f"https://peer{number}.example/users/author{number}", public)).id

    there = [await instance.database.write(meet, number) for number in range(authors)]
    return there, [(await local.create(instance, f"person{number}")).id for number in range(PEOPLE)]


def rows(posts: int, authors: Sequence[int], people: Sequence[int]) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """Everything in chunks, by table: each author's posts go home to those who follow the author."""
    chance = random.Random(1)
    readers = {author: [person for number, person in enumerate(people) if (place + number) % ONE_IN == 0] for place, author in enumerate(authors)}
    start = 1_700_000_000_000
    for first in range(0, posts, CHUNK):
        found: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        for number in range(first, min(first + CHUNK, posts)):
            at, author = start + number * 1000, chance.choice(authors)
            number_of = at << 16 | number & 0xFFFF
            uri = f"https://peer.example/users/{author}/statuses/{number}"
            text = f"<p>{number}. {_letters.WORDS}</p>"
            found["post"].append((number_of, uri, uri, author, 0, "Note", "public", text, "en", at, at))
            found["post_audience"].append((number_of, _letters.PUBLIC, "to"))
            found["home"] += [(person, number_of) for person in readers[author]]
        yield found


def fill(site: Site, posts: int, authors: Sequence[int], people: Sequence[int]) -> None:
    """Writes the rows past every rule, for speed; the file is ours alone."""
    if site.database == "postgresql":
        asyncio.run(_copy(site.config.database.url, posts, authors, people))
        return
    connection = sqlite3.connect(site.config.folder / "fedmatch.db", isolation_level=None)
    connection.execute("pragma synchronous = off")
    connection.execute("pragma cache_size = -400000")
    for chunk in rows(posts, authors, people):
        connection.execute("begin")
        for table, columns in TABLES.items():
            connection.executemany(f"insert into {table} ({', '.join(columns)}) values ({', '.join('?' * len(columns))})", chunk[table])
        connection.execute("commit")
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


async def _copy(url: str, posts: int, authors: Sequence[int], people: Sequence[int]) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    for chunk in rows(posts, authors, people):
        for table, columns in TABLES.items():
            await connection.copy_records_to_table(table, records=chunk[table], columns=columns)
    await connection.execute("analyze")
    await connection.close()


async def read(instance: Instance, people: Sequence[Actor], before: Sequence[int | None], pages: int, at_once: int) -> tuple[list[float], float]:
    """Milliseconds of each page, and CPU microseconds a page."""
    took: list[float] = []
    chance = random.Random(2)
    left = iter([(chance.choice(people), chance.choice(before)) for _ in range(pages)])

    async def one_after_the_other() -> None:
        for person, key in left:
            started = time.perf_counter()
            found = await instance.database.read(timelines.home, instance, person, timelines.Page(before=key))
            took.append((time.perf_counter() - started) * 1000)
            assert found, "an empty page"

    cpu = time.process_time()
    await asyncio.gather(*[one_after_the_other() for _ in range(at_once)])
    return took, (time.process_time() - cpu) / pages * 1e6


async def measure(instance: Instance, report: Report, database: str, names: int, posts: int, pages: int) -> None:
    async def people_of(tx: Transaction) -> list[Actor]:
        found = [await known.by_name(tx, f"person{number}") for number in range(names)]
        return [one for one in found if one is not None]

    people = await instance.database.read(people_of)
    memory.settle()  # as whoever serves
    first: list[int | None] = [None]
    deep: list[int | None] = [1_700_000_000_000 + posts * part // 10 * 1000 << 16 for part in range(2, 10)]
    await read(instance, people, first, min(pages, 200), 1)
    for what, before, at_once in (("newest", first, 1), ("deep", deep, 1), ("both", first + deep, 8)):
        took, cpu = await read(instance, people, before, pages, at_once)
        report.add(database=database, posts=posts, pages=what, readers=at_once, p50_ms=share(took, 0.5), p99_ms=share(took, 0.99), cpu_us=cpu)
        if at_once == 1:
            report.aim(f"home, {database}, {what} pages, p99", 5, share(took, 0.99), "ms")


def floor(site: Site, reader: int, pages: int) -> float:
    """One page by the plainest query, straight from the file."""
    connection = sqlite3.connect(site.config.folder / "fedmatch.db")
    try:
        return us_each(lambda: connection.execute(LEAST, {"reader": reader, "before": 2**62}).fetchall(), pages)
    finally:
        connection.close()


def one(here: Lab, report: Report, database: str, posts: int, authors: int, pages: int) -> None:
    """One engine: generated, then read."""

    def make(site: Site) -> dict[str, Any]:
        there, people = inside(site.config, lambda instance: populate(instance, authors))
        started = time.monotonic()
        fill(site, posts, there, people)
        print(f"  {database}: {posts:,} posts written in {time.monotonic() - started:.0f} s", flush=True)
        return {"people": people}

    site, told = here.prepared(f"home-{posts}", database, make)
    people = told["people"]
    if database == "sqlite":
        report.floors["floor"] = floor(site, people[0], pages)
    inside(site.config, lambda instance: measure(instance, report, database, PEOPLE, posts, pages))


def main(arguments: list[str] | None = None) -> None:
    question = "How long does the home timeline take?"
    parser = options(question)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--authors", type=int, default=1000)
    parser.add_argument("--pages", type=int, default=2000, help="pages read in each case")
    parser.add_argument("--keep", type=Path, help="a folder for what is prepared: the next run with it begins at once")
    given = parser.parse_args(arguments)
    report = Report("home", question, {"posts": given.posts, "authors": given.authors, "people": PEOPLE, "pages": given.pages})
    with lab(given.keep) as here:
        for database in given.databases:
            one(here, report, database, given.posts, given.authors, given.pages)
    report.finish(given)


if __name__ == "__main__":
    main()
