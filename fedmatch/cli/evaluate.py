"""How good are the matches, and what is a text about? `fedmatch match-eval`, `fedmatch suggest-skills`."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import click

from fedmatch.cli.house import Command, hint, load_config, say, settings, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.instance import Instance
    from fedmatch.board.listings import Listing
    from fedmatch.board.matches import Match
    from fedmatch.cli.house import Json
    from fedmatch.matching.quality import Case, Cases, Figures, Tags
    from schemas.storage import Transaction

    Engine = Literal["auto", "base"]

TITLE: Final = 80
"""Letters of a text that serve as its title, where a case has none."""


@click.command("match-eval", cls=Command)
@click.option("--requests", "asked", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Requests, one JSON object a line.")
@click.option("--offers", "offered", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Offers, the same.")
@click.option("--qrels", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Lines of request, offer, grade, parted by tabs.")
@click.option("--tags", type=click.Choice(("exact", "noisy", "none")), default="exact", show_default=True, help="noisy: 30 of 100 missing, 20 wrong.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which tags the noise hits.")
@click.option("--engine", type=click.Choice(("auto", "base")), default="auto", show_default=True, help="base: without the model of the extra semantic.")
def match_eval(asked: Path, offered: Path, qrels: Path, tags: str, seed: int, engine: str) -> None:
    """Measure the matching on judged cases, on an instance in a temporary folder that nobody else sees.

    The listings are published there as people publish them, and matched as people's are. Files of the format of tests/data/matching/.
    """
    from fedmatch.matching import quality

    try:
        some = quality.cases(*(_read(path) for path in (asked, offered, qrels)))
    except quality.BadCases as error:
        raise click.UsageError(str(error)) from None
    for remark in some.remarks:
        hint(remark)
    with tempfile.TemporaryDirectory(prefix="fedmatch-eval-", ignore_cleanup_errors=True) as folder:
        found = measure(Path(folder), some, cast("Tags", tags), seed, cast("Engine", engine))
    say(found, _told(found))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read ({error.strerror}); name a file of the format of tests/data/matching/.") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not UTF-8 text ({error.reason}).") from None


def measure(folder: Path, some: "Cases", tags: "Tags", seed: int = 0, engine: "Engine" = "auto") -> "dict[str, Json]":
    """The figures of one run on an instance made in `folder`: nDCG@10, recall@5, MRR, the same across languages, and of skill suggestions.

    `ms_per_post` is the mean time of the matching of one request that was just published, numbers of its text included.
    """
    import asyncio

    from fedmatch import app, logs
    from schemas import config_file, config_template

    path = folder / "instance.toml"
    text = config_template.template("localhost:1", "http://localhost:1", development=True)
    path.write_text(text.replace('\nengine = "auto"\n', f'\nengine = "{engine}"\n'), encoding="utf-8")
    loaded = config_file.load(path)
    logs.configure(loaded, quiet=True)

    async def run() -> "dict[str, Json]":
        instance = await app.build(loaded)
        try:
            return await _measured(instance, some, tags, seed, engine)
        finally:
            await app.close(instance)

    return asyncio.run(run())


async def _measured(instance: "Instance", some: "Cases", tags: "Tags", seed: int, engine: "Engine") -> "dict[str, Json]":
    from actors import local
    from fedmatch.board import publish, vectors
    from fedmatch.matching import quality, semantic, skills
    from schemas import listings as forms

    async def published(kind: str, case: "Case") -> "Listing":
        named = quality.given(case, tags, seed)
        try:
            proposal = forms.validated(kind, _title(case.text), case.text, case.language, (), named, case.speaks, region=case.region, now=instance.clock.now())
        except forms.Invalid as error:
            raise click.UsageError(f"{kind} {case.id!r} is none that people could post: {error}") from None
        return await publish.listing(instance, helper if kind == "offer" else asker, proposal, case.language, delay=(0, 0), anyway=True, link=True)

    asker, helper = await local.create(instance, "asker"), await local.create(instance, "helper")
    offers: dict[str, Listing] = {}
    for case in some.offers:
        offers[case.id] = await published("offer", case)
        await vectors.keep(instance, offers[case.id])
    names = {listing.id: name for name, listing in offers.items()}
    spoken = {case.id: case.language for case in some.offers}
    every: list[Figures] = []
    cross: list[Figures] = []
    languages: dict[str, list[Figures]] = {}
    took = 0.0
    for case in some.requests:
        listing = await published("request", case)
        grades = {name: grade for name, grade in some.grades.get(case.id, {}).items() if grade > 0}
        started = time.perf_counter()
        await vectors.keep(instance, listing)
        found = await instance.database.read(_found, instance, listing, engine, frozenset())
        took += time.perf_counter() - started
        if grades:
            figures = quality.judged([names[one.listing.id] for one in found if one.listing.id in names], grades)
            every.append(figures)
            languages.setdefault(case.language, []).append(figures)
        far = {name: grade for name, grade in grades.items() if spoken[name] != case.language}
        if far:
            near = frozenset(offers[name].id for name, language in spoken.items() if language == case.language)
            found = await instance.database.read(_found, instance, listing, engine, near)
            cross.append(quality.judged([names[one.listing.id] for one in found if one.listing.id in names], far))
    hits = {1: 0, 3: 0, 5: 0}
    tagged = [case for case in (*some.requests, *some.offers) if case.tags]
    for case in tagged:
        likeness = None if engine == "base" else await vectors.skill_likeness(instance, case.text)
        chips = skills.suggested(case.text, likeness=likeness)
        for depth in hits:
            hits[depth] += not set(case.tags).isdisjoint(chips[:depth])
    all_, across = quality.mean(every), quality.mean(cross)
    return {
        **_rounded(all_),
        "cross": _rounded(across),
        "languages": {name: _figure(quality.mean(figures).ndcg10) for name, figures in sorted(languages.items())},
        "skills": {f"hit{depth}": _figure(number / max(1, len(tagged))) for depth, number in hits.items()},
        "ms_per_post": _figure(took / len(some.requests) * 1000),
        "engine": "base" if semantic.embedder(instance) is None else "semantic",
    }


async def _found(tx: "Transaction", instance: "Instance", listing: "Listing", engine: "Engine", without: frozenset[int]) -> "list[Match]":
    from fedmatch.board import matches

    return await matches.found(tx, instance, listing, limit=100, engine=engine, without=without)


def _title(text: str) -> str:
    """The beginning of a text, as whole words where it has any."""
    line = " ".join(text.split())
    if len(line) <= TITLE:
        return line
    begun = line[:TITLE]
    return begun.rpartition(" ")[0] or begun


def _rounded(figures: "Figures") -> "dict[str, Json]":
    return {"ndcg10": _figure(figures.ndcg10), "r5": _figure(figures.r5), "mrr": _figure(figures.mrr)}


def _figure(value: float) -> "Json":
    return round(value, 4)  # type: ignore[return-value]  # JSON knows floats too


def _told(found: "Mapping[str, Json]") -> str:
    def line(figures: object) -> str:
        return "  ".join(f"{name} {value:.3f}" for name, value in cast("Mapping[str, float]", figures).items())

    return "\n".join(
        (
            f"engine            {found['engine']}, {found['ms_per_post']} ms a post",
            "all               " + line({name: found[name] for name in ("ndcg10", "r5", "mrr")}),
            "across languages  " + line(found["cross"]),
            "nDCG@10 by asker  " + line(found["languages"]),
            "skills suggested  " + line(found["skills"]),
        )
    )


@click.command("suggest-skills", cls=Command)
@click.argument("text", required=False, metavar="TEXT")
@click.option("--text", "given", metavar="TEXT", help="The same as an option; - reads standard input.")
def suggest_skills(text: str | None, given: str | None) -> None:
    """Show which skills TEXT seems to be about, the likeliest first: at most five, to choose from. TEXT - reads standard input. Any of the ten languages."""
    from fedmatch.matching import skills
    from schemas import vocabulary

    if (text is None) == (given is None):
        raise click.UsageError("Give one text, as in fedmatch suggest-skills 'I need a lawyer'; - reads standard input.")
    words = text_of(text if text is not None else given or "")
    chips = skills.suggested(words, likeness=_likeness(words))
    say(list(chips), "\n".join(f"{slug}  {vocabulary.label(slug, 'en')}" for slug in chips) or "It seems to be about none of the skills; choose by hand.")


def _likeness(text: str) -> "Mapping[str, float] | None":
    """What the model of the extra says, without opening the instance; None without it, and where the instance does without it."""
    from fedmatch.matching import semantic, skillrows

    if not semantic.installed() or (settings().config.exists() and load_config().matching.engine == "base"):
        return None
    model = semantic.nano()
    try:
        semantic.have_numpy()
        rows = skillrows.stored(model.model)
        if rows is None:
            return None
        made = model.embed([text], "query")
    except semantic.Broken as error:
        hint(f"The extra semantic is broken ({error}); by words alone:")
        return None
    near = (rows.codes.astype("float32") @ made.codes[0].astype("float32")) * rows.scales * made.scales[0]
    return dict(zip(skillrows.texts(), near.tolist(), strict=True))
