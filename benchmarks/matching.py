"""How good are the matches, and how long does one take among 100,000 public requests and offers? The judged cases, then a generated instance.

The cases are those of tests/data/matching, through `fedmatch match-eval`'s own functions: exact tags once, noisy ones with several seeds. The listings of the
generated instance are those of `benchmarks.search`, with their tags; each new one is published here and matched as the job "match" does it, with each engine
in a process of its own.
`python -m benchmarks.matching --databases sqlite`, about 8 minutes, most of it to write the index: `--keep FOLDER` writes it once, and measures on a copy.
"""

import asyncio
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Literal

from actors import local
from actors.instance import Instance
from actors.known import Actor
from benchmarks import search
from benchmarks._lab import Lab, Report, Site, inside, lab, memory_mb, options, share, us_each
from fedmatch import memory
from fedmatch.board import gists, publish, suggestions
from fedmatch.cli.evaluate import measure
from fedmatch.matching import gist, quality, semantic
from schemas import config as configs
from schemas.listings import validated
from schemas.storage import Transaction

CASES: Final = Path(__file__).parents[1] / "tests" / "data" / "matching"
GOALS: Final = {
    "base": {"ndcg10 exact": 0.88, "ndcg10 noisy": 0.62, "across languages, noisy": 0.43, "skills hit5": 0.6, "p95": 150.0, "memory": 20.0},
    "semantic": {"ndcg10 exact": 0.94, "ndcg10 noisy": 0.75, "across languages, noisy": 0.65, "skills hit5": 0.8, "p95": 400.0, "memory": 160.0},
}
PARTS: Final = ("cases", "base", "semantic")
WAITING: Final = "delete from match_waiting"
TABLES: Final = {
    "listing_tag": ("post_id", "kind", "slug", "place"),
    "vector": ("post_id", "model", "mark", "language", "scale", "packed", "sealed", "change"),
    "text_gist": ("id", "packed"),
    "text_topic": ("side", "slug", "id", "here", "weight"),
}
GENERATION: Final = "insert into generation (name, value) values ('vectors', {}) on conflict (name) do update set value = excluded.value"


def judge(report: Report, engine: str, seeds: int) -> None:
    """The figures of the cases; of noisy tags the mean over all seeds."""
    some = quality.cases(*((CASES / name).read_text(encoding="utf-8") for name in ("requests.jsonl", "offers.jsonl", "qrels.tsv")))
    asked: Literal["auto", "base"] = "base" if engine == "base" else "auto"
    found: dict[str, list[dict[str, Any]]] = {}
    for tags, seed in (("exact", 0), *(("noisy", seed) for seed in range(seeds)), ("none", 0)):
        with tempfile.TemporaryDirectory(prefix="fedmatch-bench-", ignore_cleanup_errors=True) as folder:
            found.setdefault(tags, []).append(measure(Path(folder), some, tags, seed, asked))  # type: ignore[arg-type]  # the three words of `Tags`
    for tags, runs in found.items():
        report.add(
            engine=engine,
            what=f"cases, {tags} tags",
            ndcg10=middle_of(runs, "ndcg10"),
            r5=middle_of(runs, "r5"),
            mrr=middle_of(runs, "mrr"),
            across=sum(run["cross"]["ndcg10"] for run in runs) / len(runs),
            hit5=sum(run["skills"]["hit5"] for run in runs) / len(runs),
            p50_ms=middle_of(runs, "ms_per_post"),
            p95_ms=0.0,
            cpu_ms=0.0,
            memory_mb=0.0,
        )
    goals = GOALS[engine]
    got = {
        "ndcg10 exact": middle_of(found["exact"], "ndcg10"),
        "ndcg10 noisy": middle_of(found["noisy"], "ndcg10"),
        "across languages, noisy": sum(run["cross"]["ndcg10"] for run in found["noisy"]) / seeds,
        "skills hit5": found["exact"][0]["skills"]["hit5"],
    }
    for name, value in got.items():
        # Of an aim less is better, of these more: what is missing from 1 is compared.
        report.aim(f"{engine}: 1 - {name}", 1 - goals[name], 1 - value, "")


def middle_of(runs: Sequence[dict[str, Any]], name: str) -> float:
    """The mean of a figure over runs."""
    return float(sum(run[name] for run in runs) / len(runs))


def beside(first: int, last: int, authors: Sequence[int]) -> dict[str, list[tuple[Any, ...]]]:
    """What lies beside the generated listings from `first` up to `last`, by table; as their vectors numbers drawn at random."""
    found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    model = semantic.nano().model
    for number in range(first, last):
        one, chance = search.listing(number, authors), random.Random(number)
        named = [("skill", slug) for slug in one.skills] + [("category", slug) for slug in one.categories] + [("speaks", slug) for slug in one.speaks]
        found["listing_tag"] += [(one.id, kind, slug, place) for place, (kind, slug) in enumerate(named)]
        codes = bytes(byte if byte != 128 else 0 for byte in chance.randbytes(semantic.WIDTH))
        found["vector"].append((one.id, model, b"0" * 32, one.language, 0.00069, codes, None, number + 1))
        packed = gist.packed(gists.said(one))
        found["text_gist"].append((one.id, packed))
        found["text_topic"] += [(one.kind, slug, one.id, 0, weight) for slug, weight in gists.topics(one, gist.unpacked(packed)).items()]
    return found


def chunks(many: int, authors: Sequence[int]) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """The same of all listings, made by two processes."""
    starts = range(0, many, search.CHUNK)
    with ProcessPoolExecutor(2) as pool:
        yield from pool.map(beside, starts, [min(start + search.CHUNK, many) for start in starts], [authors] * len(starts))


def tag(site: Site, many: int, authors: Sequence[int]) -> None:
    """Writes what lies beside the generated listings."""
    if site.database == "postgresql":
        asyncio.run(_tag_postgresql(site.config.database.url, many, authors))
        return
    connection = sqlite3.connect(site.config.folder / "fedmatch.db", isolation_level=None)
    connection.execute("pragma synchronous = off")
    for part in chunks(many, authors):
        connection.execute("begin")
        for name, rows in part.items():
            connection.executemany(f"insert into {name} ({', '.join(TABLES[name])}) values ({', '.join('?' * len(TABLES[name]))})", rows)
        connection.execute("commit")
    connection.execute(GENERATION.format(many))
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


async def _tag_postgresql(url: str, many: int, authors: Sequence[int]) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    for part in chunks(many, authors):
        for name, rows in part.items():
            await connection.copy_records_to_table(name, records=rows, columns=TABLES[name])
    await connection.execute(GENERATION.format(many))
    await connection.execute("vacuum analyze")
    await connection.close()


async def published(instance: Instance, author: Actor, number: int) -> int:
    """The id of a new public listing."""
    given = search.listing(number, [author.id])
    proposal = validated(
        given.kind, given.title, given.text, given.language or "en", (), given.skills, given.speaks, region=given.region, now=instance.clock.now()
    )
    made = await publish.listing(instance, author, proposal, given.language or "en", audience="public", delay=(0, 0), anyway=True, link=True)
    return made.id


async def one_post(instance: Instance, author: Actor, number: int) -> tuple[float, float]:
    """Milliseconds from the commit of a new public listing to the commit of its suggestions, and those of this process's CPU."""
    made = await published(instance, author, number)

    async def waits(tx: Transaction) -> Any:
        return await tx.one("select * from match_waiting where post_id = :id", id=made)

    row = await instance.database.read(waits)
    started, burnt = time.perf_counter(), time.process_time()
    await suggestions._match(instance, row)  # the job's one step, without its rests
    took = (time.perf_counter() - started) * 1000, (time.process_time() - burnt) * 1000

    async def clear(tx: Transaction) -> None:
        await tx.execute(WAITING)

    await instance.database.write(clear)
    return took


async def posts(instance: Instance, engine: str, many: int, times: int) -> dict[str, float]:
    """New posts one after the other, after a few that warm up; memory before the first and after the last."""
    authors = [await local.create(instance, f"{engine}{number}") for number in range(4)]
    for _ in range(4):  # what the engine's own caches take is theirs, whoever reads
        await instance.database.read(search._warm)
    await published(instance, authors[0], many - 1)  # the linter's numbering plans and calendars are not of the matching
    memory.settle()  # as whoever serves
    before = memory_mb(os.getpid())
    for number in range(5):
        await one_post(instance, authors[number % 4], many + number)
    took = [await one_post(instance, authors[number % 4], many + 5 + number) for number in range(times)]
    walls, burnt = [wall for wall, _ in took], [cpu for _, cpu in took]
    added = max(memory_mb(os.getpid()) - before, 0.1)
    return {"p50_ms": share(walls, 0.5), "p95_ms": share(walls, 0.95), "cpu_ms": sum(burnt) / times, "memory_mb": added}


def measured(config: configs.Config, engine: str, many: int, times: int) -> dict[str, float]:
    """What `posts` gives; in a process where nothing was matched yet."""
    asked = replace(config, matching=replace(config.matching, engine="base" if engine == "base" else "auto"))
    memory.lean()  # as whoever serves
    found: dict[str, float] = inside(asked, partial(posts, engine=engine, many=many, times=times))
    return found


def generated(here: Lab, database: str, many: int) -> Site:
    """A copy of an instance with so many listings."""

    def make(site: Site) -> dict[str, Any]:
        authors = inside(site.config, search.populate)
        search.fill(site, search.Size(listings=many, texts=many, alike=True), authors)
        tag(site, many, authors)
        return {}

    site, _ = here.prepared(f"matching-{many}", database, make)
    return here.copy(site)


def among(here: Lab, report: Report, database: str, engines: Sequence[str], many: int, times: int) -> None:
    """New posts among so many, on one database with each engine."""
    site = generated(here, database, many)
    for engine in engines:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found = pool.submit(measured, site.config, engine, many, times).result()
        report.add(engine=engine, what=f"{many:,} listings, {database}", ndcg10=0.0, r5=0.0, mrr=0.0, across=0.0, hit5=0.0, **found)
        report.aim(f"{engine}, {database}: a new post among {many:,}, p95", GOALS[engine]["p95"], found["p95_ms"], "ms")
        report.aim(f"{engine}, {database}: memory added", GOALS[engine]["memory"], found["memory_mb"], "MB")


def main(arguments: list[str] | None = None) -> None:
    question = "How good are the matches, and how long do they take?"
    parser = options(question)
    parser.add_argument("--listings", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=100, help="new posts with each engine")
    parser.add_argument("--seeds", type=int, default=5, help="of the noise in the tags")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="the judged cases, and new posts with each engine")
    parser.add_argument("--keep", type=Path, help="a folder for what is prepared: the next run with it begins at once")
    given = parser.parse_args(arguments)
    report = Report("matching", question, {"listings": given.listings, "times": given.times, "seeds": given.seeds})
    report.floors["gist_us"] = us_each(lambda: gist.packed(gists.said(search.listing(1, [1]))), 30)
    engines = [engine for engine in given.parts if engine == "base" or (engine == "semantic" and semantic.installed())]
    if "cases" in given.parts:
        for engine in ("base", "semantic") if semantic.installed() else ("base",):
            judge(report, engine, given.seeds)
    if engines:
        with lab(given.keep) as here:
            for database in given.databases:
                among(here, report, database, engines, given.listings, given.times)
    report.finish(given)


if __name__ == "__main__":
    main()
