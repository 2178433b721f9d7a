"""How good are the matches, and how long does one take among 100,000 public requests and offers? The judged cases, then a generated instance.

The cases are those of tests/data/matching, through `fedmatch match-eval`'s own functions: exact tags once, noisy ones with several seeds. The listings of the
generated instance are those of `benchmarks.search`, with their tags; each new one is published here and matched as the job "match" does it.
`python -m benchmarks.matching`, about 8 minutes, most of it to write the index.
"""

import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from actors import local
from actors.instance import Instance
from actors.known import Actor
from benchmarks import search
from benchmarks._lab import Report, Site, inside, lab, memory_mb, options, share
from fedmatch.board import publish, suggestions
from fedmatch.cli.evaluate import measure
from fedmatch.matching import quality, semantic
from schemas.listings import validated
from schemas.storage import Transaction

CASES: Final = Path(__file__).parents[1] / "tests" / "data" / "matching"
GOALS: Final = {
    "base": {"ndcg10 exact": 0.88, "ndcg10 noisy": 0.62, "across languages, noisy": 0.43, "skills hit5": 0.6, "p95": 150.0, "memory": 20.0},
    "semantic": {"ndcg10 exact": 0.94, "ndcg10 noisy": 0.75, "across languages, noisy": 0.65, "skills hit5": 0.8, "p95": 400.0, "memory": 160.0},
}
WAITING: Final = "delete from match_waiting"


def engines() -> tuple[str, ...]:
    """Those that can be measured here."""
    return ("base", "semantic") if semantic.installed() else ("base",)


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


def tag(site: Site, many: int, authors: Sequence[int]) -> None:
    """Writes the tags of the generated listings beside them, and numbers drawn at random as their vectors."""
    connection = sqlite3.connect(site.config.folder / "fedmatch.db", isolation_level=None)
    connection.execute("pragma synchronous = off")
    chance = random.Random(1)
    model = semantic.nano().model
    connection.execute("begin")
    for number in range(many):
        one = search.listing(number, authors)
        rows = [(one.id, "skill", slug, place) for place, slug in enumerate(one.skills)] + [(one.id, "category", slug, 0) for slug in one.categories]
        rows += [(one.id, "speaks", spoken, place) for place, spoken in enumerate(one.speaks)]
        connection.executemany("insert into listing_tag (post_id, kind, slug, place) values (?, ?, ?, ?)", rows)
        if semantic.installed():
            codes = bytes(byte if byte != 128 else 0 for byte in chance.randbytes(semantic.WIDTH))
            connection.execute(
                "insert into vector (post_id, model, mark, language, scale, packed, sealed, change) values (?, ?, ?, ?, ?, ?, null, ?)",
                (one.id, model, b"0" * 32, one.language, 0.00069, codes, number + 1),
            )
    connection.execute("insert into generation (name, value) values ('vectors', ?) on conflict (name) do update set value = excluded.value", (many,))
    connection.execute("commit")
    connection.close()


async def one_post(instance: Instance, author: Actor, number: int) -> float:
    """Milliseconds from the commit of a new public listing to the commit of its suggestions."""
    given = search.listing(number, [author.id])
    proposal = validated(
        given.kind, given.title, given.text, given.language or "en", (), given.skills, given.speaks, region=given.region, now=instance.clock.now()
    )
    made = await publish.listing(instance, author, proposal, given.language or "en", audience="public", delay=(0, 0), anyway=True, link=True)

    async def waits(tx: Transaction) -> Any:
        return await tx.one("select * from match_waiting where post_id = :id", id=made.id)

    row = await instance.database.read(waits)
    started = time.perf_counter()
    await suggestions._match(instance, row)  # the job's one step, without its rests
    took = (time.perf_counter() - started) * 1000

    async def clear(tx: Transaction) -> None:
        await tx.execute(WAITING)

    await instance.database.write(clear)
    return took


async def measured(instance: Instance, report: Report, engine: str, many: int, times: int) -> None:
    """New posts one after the other, after a few that warm up; memory before the first and after the last."""
    authors = [await local.create(instance, f"{engine}{number}") for number in range(4)]
    before = memory_mb(os.getpid())
    first = many + (0 if engine == "base" else 10_000)
    for number in range(5):
        await one_post(instance, authors[number % 4], first + number)
    took = [await one_post(instance, authors[number % 4], first + 5 + number) for number in range(times)]
    added = memory_mb(os.getpid()) - before
    report.add(
        engine=engine, what=f"{many:,} listings", ndcg10=0.0, r5=0.0, mrr=0.0, across=0.0, hit5=0.0,
        p50_ms=share(took, 0.5), p95_ms=share(took, 0.95), memory_mb=added,
    )  # fmt: skip
    report.aim(f"{engine}: a new post among {many:,}, p95", GOALS[engine]["p95"], share(took, 0.95), "ms")
    report.aim(f"{engine}: memory added", GOALS[engine]["memory"], added, "MB")


def main(arguments: list[str] | None = None) -> None:
    question = "How good are the matches, and how long do they take?"
    parser = options(question)
    parser.add_argument("--listings", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=100, help="new posts with each engine")
    parser.add_argument("--seeds", type=int, default=5, help="of the noise in the tags")
    given = parser.parse_args(arguments)
    report = Report("matching", question, {"listings": given.listings, "times": given.times, "seeds": given.seeds})
    for engine in engines():
        judge(report, engine, given.seeds)
    with lab() as here:
        site = here.site("sqlite")
        authors = inside(site.config, search.populate)
        search.fill(site, given.listings, authors)
        tag(site, given.listings, authors)
        for engine in engines():
            config = replace(site.config, matching=replace(site.config.matching, engine="base" if engine == "base" else "auto"))
            inside(config, partial(measured, report=report, engine=engine, many=given.listings, times=given.times))
    report.finish(given)


if __name__ == "__main__":
    main()
