"""How good is an order? Cases with judgements, the noise that tags have in life, and the usual figures. Pure.

A file of cases holds one JSON object a line: `id`, `text`, and as far as known `lang`, `speaks`, `region`, `tags` (skills of the taxonomy). Judgements are
lines of request, offer, grade (2 answers the need, 1 in part), parted by tabs, with or without a line of heads. What can be read in one way only is read that
way and told (`Cases.remarks`); what cannot be read raises `BadCases`.
"""

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schemas import vocabulary
from schemas.listings import MOST_SKILLS, MOST_TEXT

Tags = Literal["exact", "noisy", "none"]

MISSING: Final = 0.3
SWAPPED: Final = 0.2
DEPTH: Final = 10
HALF: Final = re.compile("[\ud800-\udfff]")
"""What JSON can spell and no text can hold."""


class BadCases(ValueError):
    """A file that is not of this form: where, why, and what to do."""

    def __init__(self, name: str, line: int, why: str) -> None:
        super().__init__(f"{name}, line {line}: {why}")


@dataclass(frozen=True, slots=True)
class Case:
    """A request or an offer of the files, in the words of the taxonomy."""

    id: str
    text: str
    language: str
    speaks: tuple[str, ...]
    region: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    """Everything three files hold; `grades` by request and offer. `remarks` say in sentences what was left out or taken otherwise."""

    requests: tuple[Case, ...]
    offers: tuple[Case, ...]
    grades: Mapping[str, Mapping[str, int]]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over requests: nDCG of the first ten, how much of what fits is among the first five, and 1 / the place of the first that fits."""

    ndcg10: float
    r5: float
    mrr: float


def cases(requests: str, offers: str, qrels: str) -> Cases:
    """The cases of the texts of three files. Raises `BadCases`."""
    remarks: list[str] = []
    asked = _some("requests", "request", requests, remarks)
    offered = _some("offers", "offer", offers, remarks)
    if both := sorted(asked.keys() & offered.keys()):
        raise BadCases("offers", 1, f"{both[0]!r} is the id of a request too; give each listing an id of its own")
    grades: dict[str, dict[str, int]] = {}
    unknown: set[str] = set()
    said: dict[tuple[str, str], tuple[int, int]] = {}
    again = 0
    for number, line in enumerate(qrels.removeprefix("\ufeff").splitlines(), 1):
        cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
        if not any(cells) or (number == 1 and cells[-1:] == ["grade"]):
            continue
        if len(cells) != 3 or not cells[2].isdecimal() or not cells[2].isascii() or int(cells[2]) > 10:
            raise BadCases("qrels", number, "write a request, an offer and a grade from 0 to 10, parted by tabs, as in R01<tab>O03<tab>2")
        grade, before = int(cells[2]), said.get((cells[0], cells[1]))
        if before is not None and before[0] != grade:
            raise BadCases("qrels", number, f"{cells[0]} and {cells[1]} have grade {before[0]} in line {before[1]} and {grade} here; leave one line")
        again += before is not None
        said.setdefault((cells[0], cells[1]), (grade, number))
        unknown |= {cells[0]} - asked.keys() | {cells[1]} - offered.keys()
        if cells[0] in asked and cells[1] in offered:
            grades.setdefault(cells[0], {})[cells[1]] = grade
    if again:
        remarks.append(f"{again} judgements stand there more than once, always with the same grade.")
    if unknown:
        remarks.append(f"Left out judgements of {len(unknown)} ids that stand in no file: {_few(sorted(unknown))}.")
    if not any(grade for found in grades.values() for grade in found.values()):
        raise BadCases("qrels", 1, "no offer of these files is judged to fit a request of these files; are the three of one set?")
    return Cases(tuple(asked.values()), tuple(offered.values()), grades, tuple(remarks))


def _some(name: str, kind: str, text: str, remarks: list[str]) -> dict[str, Case]:
    found: dict[str, Case] = {}
    odd: dict[str, list[str]] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadCases(name, number, f"is not JSON ({error}); write one object a line") from None
        if not isinstance(value, dict):
            raise BadCases(name, number, 'is no JSON object; write one a line, as in {"id": "R01", "text": "..."}')
        one = _case(name, number, kind, value, odd)
        if one.id in found:
            raise BadCases(name, number, f"the id {one.id!r} stands here for the second time; give each listing an id of its own")
        found[one.id] = one
    if not found:
        raise BadCases(name, 1, "the file is empty; write one JSON object a line")
    remarks += [f"{name}: {what} {_few(sorted(set(which)))}." for what, which in odd.items()]
    return found


def _case(name: str, number: int, kind: str, value: Mapping[str, object], odd: dict[str, list[str]]) -> Case:
    def note(what: str, which: str) -> None:
        odd.setdefault(what, []).append(which)

    def strings(field: str) -> tuple[str, ...]:
        given = value.get(field) or ()
        if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
            raise BadCases(name, number, f"`{field}` is no list of strings")
        return tuple(given)

    def string(field: str) -> str:
        given = value.get(field) or ""
        if not isinstance(given, str):
            raise BadCases(name, number, f"`{field}` is no string")
        if HALF.search(given):
            raise BadCases(name, number, f"`{field}` holds half a letter (a surrogate alone); write the file anew from the text itself")
        return given.strip()

    name_of, text, said = string("id"), string("text"), string("kind")
    for field, given in (("id", name_of), ("text", text)):
        if not given:
            raise BadCases(name, number, f"`{field}` is missing or empty")
    if said and said != kind:
        raise BadCases(name, number, f"this is a {said}, in the file of {name}")
    if len(text) > MOST_TEXT:
        note(f"cut after {MOST_TEXT} letters:", name_of)
    language = vocabulary.canonical_language(string("lang"))
    if language is None:
        note("in no language that is known, taken as English:", name_of)
    speaks: dict[str, None] = {}
    for tag in strings("speaks"):
        if (spoken := vocabulary.canonical_language(tag)) is None:
            note("left out as languages:", tag)
        else:
            speaks[spoken] = None
    region = string("region").upper() or None
    if region is not None and not vocabulary.is_region(region):
        note("left out as countries:", region)
        region = None
    tags: dict[str, None] = {}
    for tag in strings("tags"):
        try:
            tags[vocabulary.skill(tag).slug] = None
        except vocabulary.UnknownSlug:
            note("left out, as no skill of the taxonomy:", tag)
    return Case(name_of, text[:MOST_TEXT], language or "en", tuple(speaks)[:10], region, tuple(tags)[:MOST_SKILLS])


def _few(some: Sequence[str]) -> str:
    return ", ".join(some[:5]) + (" and others" if len(some) > 5 else "")


def given(case: Case, tags: Tags, seed: int) -> tuple[str, ...]:
    """The tags its author gives: all, none, or with noise: of 100 tags 30 are missing and 20 are another skill of the same field, by `seed` and id alone."""
    match tags:
        case "exact":
            return case.tags
        case "none":
            return ()
        case "noisy":
            chance = random.Random(f"{seed} {case.id}")  # noqa: S311  # noise that can be repeated
            found: dict[str, None] = {}
            for tag in case.tags:
                drawn = chance.random()
                siblings = [skill.slug for skill in vocabulary.category(tag).skills if skill.slug != tag]
                if drawn >= MISSING:
                    found[chance.choice(siblings) if drawn < MISSING + SWAPPED and siblings else tag] = None
            return tuple(found)


def judged(order: Sequence[str], grades: Mapping[str, int]) -> Figures:
    """The figures of one order of offers; the gain of a grade is the grade. Something must fit."""
    gains = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    reached = math.fsum(grades.get(one, 0) / math.log2(place + 2) for place, one in enumerate(order[:DEPTH]))
    best = math.fsum(gain / math.log2(place + 2) for place, gain in enumerate(gains[:DEPTH]))
    first = next((place for place, one in enumerate(order, 1) if grades.get(one, 0) > 0), None)
    return Figures(reached / best, sum(grades.get(one, 0) > 0 for one in order[:5]) / len(gains), 1 / first if first else 0.0)


def mean(figures: Sequence[Figures]) -> Figures:
    """The mean of each; 0 where there is none."""
    number = len(figures) or 1
    return Figures(
        math.fsum(one.ndcg10 for one in figures) / number, math.fsum(one.r5 for one in figures) / number, math.fsum(one.mrr for one in figures) / number
    )
