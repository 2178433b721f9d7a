"""How well does a listing fit another? Parts that can be told apart, each compared over all candidates, weighted, and summed. Pure.

The parts and their weights follow docs/matching.md: tags (a shared skill counts 2, a shared field of help 1), words (BM25 over character 4-grams),
likeness of meaning (only with the extra `semantic`), and small terms that are no comparison: a shared language, an interpreter, a vouch, a region, how new
it is, and how often that helper was suggested of late. A part of which nothing is known, or that is the same for every candidate, drops out.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

from fedmatch.matching import skills
from fedmatch.matching.explain import Reason
from schemas.config import MatchingConfig

K1: Final = 1.2
B: Final = 0.75
"""BM25's usual two: how soon one more of the same gram stops to count, and how much a long text is held against it."""
SKILL: Final = 2.0
CATEGORY: Final = 1.0
DAY_MS: Final = 86_400_000
FRESH_DAYS: Final = 30.0
MOST_REASONS: Final = 3
NAMED: Final = 0.5
"""What both authors named is a reason of at least this size, also where most candidates share more."""
LEAST_PART: Final = 0.05
"""What contributes less than this to a score is no reason."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What matching knows of a listing. `grams` of title and text, of a candidate at least those that the wanted one has too, and `length`, how many it has
    in all; `published` in milliseconds UTC; `exposures`: how often its author was suggested of late.

    `themes` is what its text seems to be about (`skills.themes`). `likeness` is how close a model finds it to the wanted one, raw and with the mean of its
    language removed; None where no model was asked.
    `vouched_by` are the names of instances that vouch for its author and count here. Skills and categories are canonical slugs.
    """

    id: int
    kind: str
    skills: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    speaks: tuple[str, ...] = ()
    language: str | None = None
    region: str | None = None
    helper_region: str | None = None
    grams: Mapping[int, int] = field(default_factory=dict)
    vouched_by: tuple[str, ...] = ()
    published: int = 0
    exposures: float = 0.0
    likeness: tuple[float, float] | None = None
    themes: Mapping[int, float] = field(default_factory=dict)
    length: int | None = None

    @property
    def languages(self) -> frozenset[str]:
        """The primary subtags of what can be spoken with its author; without a word about that, the language it is written in."""
        spoken = self.speaks or ((self.language,) if self.language else ())
        return frozenset(tag.partition("-")[0] for tag in spoken)


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts; `[matching]` of instance.toml. The first four weigh standard deviations, the others are added as they are."""

    tags: float = 1.0
    words: float = 1.0
    themes: float = 0.75
    likeness: float = 0.5
    likeness_centred: float = 0.5
    language: float = 0.3
    interpreter: float = 0.1
    region: float = 0.1
    vouched: float = 0.3
    fresh: float = 0.1
    exposure: float = 0.8

    @classmethod
    def of(cls, config: MatchingConfig) -> "Weights":
        """The weights an operator decided."""
        return cls(**{each.name: getattr(config, each.name) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its score, what each part contributed, and at most three reasons, the best first: there is always one."""

    id: int
    score: float
    parts: Mapping[str, float]
    reasons: tuple[Reason, ...]


def rank(wanted: Subject, candidates: Sequence[Subject], weights: Weights, now_ms: int, limit: int) -> list[Scored]:
    """The candidates that fit best, best first; among equals the one suggested less of late, then the newer. The order of `candidates` does not matter."""
    if not candidates:
        return []
    ordered = sorted(candidates, key=lambda one: one.id)
    compared: dict[str, tuple[float, Sequence[float] | None]] = {
        "tags": (weights.tags, [tags(wanted, one) for one in ordered]),
        "words": (weights.words, bm25(wanted.grams, [one.grams for one in ordered], [one.length for one in ordered])),
        "themes": (weights.themes, [skills.alike(wanted.themes, one.themes) for one in ordered] if wanted.themes else None),
        "likeness": (weights.likeness, _known([one.likeness[0] if one.likeness else None for one in ordered])),
        "likeness_centred": (weights.likeness_centred, _known([one.likeness[1] if one.likeness else None for one in ordered])),
    }
    parts: list[dict[str, float]] = [{} for _ in ordered]
    for name, (weight, values) in compared.items():
        for place, value in enumerate(standard(values) if values is not None and weight else ()):
            parts[place][name] = weight * value
    for place, one in enumerate(ordered):
        parts[place] |= _added(wanted, one, weights, now_ms)
    scored = [(sum(parts[place].values()), one, parts[place]) for place, one in enumerate(ordered)]
    scored.sort(key=lambda each: (-round(each[0], 9), each[1].exposures, -each[1].published, each[1].id))
    # What all candidates have in common with the wanted one orders nothing; that it is common stays a reason.
    tied = weights.tags if "tags" not in parts[0] else 0.0
    return [Scored(one.id, score, mine, reasons(wanted, one, mine, tied)) for score, one, mine in scored[:limit]]


def tags(wanted: Subject, one: Subject) -> float:
    """What the two have in common of the taxonomy: 2 for each skill, 1 for each field of help."""
    return SKILL * len(wanted.skills & one.skills) + CATEGORY * len(wanted.categories & one.categories)


def bm25(query: Mapping[int, int], texts: Sequence[Mapping[int, int]], known: Sequence[int | None] = ()) -> list[float] | None:
    """How much of `query` stands in each text, what is rare among the texts counting most; None where the query is empty. `known`: their lengths."""
    if not query or not texts:
        return None
    lengths = [sum(text.values()) if length is None else length for text, length in zip(texts, known or [None] * len(texts), strict=True)]
    mean = sum(lengths) / len(lengths) or 1.0
    shared = [query.keys() & text.keys() for text in texts]
    held = Counter(gram for grams in shared for gram in grams)
    weight = {gram: (K1 + 1) * math.log(1 + (len(texts) - number + 0.5) / (number + 0.5)) for gram, number in held.items()}
    found = []
    for text, grams, length in zip(texts, shared, lengths, strict=True):
        damping = K1 * (1 - B + B * length / mean)
        found.append(math.fsum(weight[gram] * (number := text[gram]) / (number + damping) for gram in grams))  # exact in any order
    return found


def standard(values: Sequence[float]) -> Sequence[float]:
    """How many standard deviations each lies above the mean; nothing at all if they do not differ."""
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / spread for value in values] if spread > 1e-9 else ()


def _known(values: Sequence[float | None]) -> Sequence[float] | None:
    """The values, what is not known counting as the mean; None where nothing is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    return [mean if value is None else value for value in values]


def _added(wanted: Subject, one: Subject, weights: Weights, now_ms: int) -> dict[str, float]:
    """The parts that are the same whoever the others are; what is nothing is left out."""
    both_known = bool(wanted.languages and one.languages)
    shared = bool(wanted.languages & one.languages)
    days = max(0, now_ms - one.published) / DAY_MS
    added = {
        "language": weights.language if both_known and shared else 0.0,
        "interpreter": -weights.interpreter if both_known and not shared else 0.0,
        "region": weights.region if _region(wanted, one) else 0.0,
        "vouched": weights.vouched if one.vouched_by else 0.0,
        "fresh": weights.fresh * math.exp(-days / FRESH_DAYS),
        "exposure": -weights.exposure * math.log1p(max(0.0, one.exposures)),
    }
    return {name: value for name, value in added.items() if value}


def _region(wanted: Subject, one: Subject) -> str | None:
    """The country the two have in common: that of the need, or where the helper should be."""
    for ours, theirs in ((wanted.region, one.region), (wanted.helper_region, one.helper_region or one.region), (one.helper_region, wanted.region)):
        if ours is not None and ours == theirs:
            return ours
    return None


def _themes(wanted: Subject, one: Subject) -> tuple[str, ...]:
    """The skill that both texts seem to be about most, if there is one and no author named it."""
    shared = {place: value * one.themes[place] for place, value in wanted.themes.items() if place in one.themes}
    if not shared:
        return ()
    slug = skills.SLUGS[max(shared, key=lambda place: (shared[place], -place))]
    return () if slug in wanted.skills and slug in one.skills else (slug,)


def reasons(wanted: Subject, one: Subject, parts: Mapping[str, float], tied: float = 0.0) -> tuple[Reason, ...]:
    """Why: what contributed most, as codes. Where no language is shared, that stands last; where nothing else is to be said, that it is open.

    `tied` is what common tags count as a reason where all candidates have as many, so that they contribute to no order.
    """
    told_parts = {**parts, "tags": max(tied or parts["tags"], NAMED)} if tied or "tags" in parts else parts
    asks = wanted.kind == "request"
    shared = tuple(sorted(wanted.skills & one.skills))
    fields = tuple(sorted(wanted.categories & one.categories))
    found: list[Reason] = []
    told: dict[str, Callable[[], Reason | None]] = {
        "tags": lambda: (
            Reason("skills.offered" if asks else "skills.asked", {"skills": shared}, told_parts["tags"])
            if shared
            else Reason("field", {"fields": fields}, told_parts["tags"])
            if fields
            else None
        ),
        "words": lambda: Reason("words", {}, parts["words"]) if wanted.grams.keys() & one.grams.keys() else None,
        "themes": lambda: Reason("themes", {"skills": both}, parts["themes"]) if (both := _themes(wanted, one)) else None,
        "likeness": lambda: Reason("meaning", {}, parts["likeness"] + parts.get("likeness_centred", 0.0)),
        "language": lambda: Reason("language", {"languages": tuple(sorted(wanted.languages & one.languages))}, parts["language"]),
        "region": lambda: Reason("region", {"region": _region(wanted, one) or ""}, parts["region"]),
        "vouched": lambda: Reason("vouched", {"issuers": one.vouched_by}, parts["vouched"]),
    }
    for name, reason in told.items():
        if told_parts.get(name, 0.0) >= LEAST_PART and (made := reason()) is not None:
            found.append(made)
    found.sort(key=lambda reason: -reason.contribution)
    if "interpreter" in parts:
        found = [*found[: MOST_REASONS - 1], Reason("interpreter", {"languages": tuple(sorted(one.languages))}, parts["interpreter"])]
    if not any(reason.code != "interpreter" for reason in found):
        found.insert(0, Reason("open", {}, 0.0))
    return tuple(found[:MOST_REASONS])
