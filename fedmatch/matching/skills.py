"""Which skills is a text about? Cue words of every skill in ten languages, compared gram by gram: for chips that somebody may choose from. Pure.

The cues stand in fedmatch/locale/skills.json beside the labels of the taxonomy. All languages are one document a skill, so no language has to be known.
"""

import hashlib
import json
import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain, groupby
from typing import Final

from fedmatch.matching import terms
from schemas import vocabulary

CHIPS: Final = 5
K1: Final = 1.2
B: Final = 0.75
SHARP: Final = 2.0
"""How much the skill a text is most about stands out in `themes`."""
MOST_THEMES: Final = 12
WEIGHT_BITS: Final = 16
WEIGHT_MASK: Final = (1 << WEIGHT_BITS) - 1
LIKENESS: Final = 1.0
"""How much a model's word counts beside the cues', each reckoned in standard deviations."""
ADDRESS: Final = re.compile(r"https?://\S+")
LONGEST: Final = 20_000
"""Letters that are looked at."""

SLUGS: Final[tuple[str, ...]] = tuple(skill.slug for category in vocabulary.categories() for skill in category.skills)


def suggested(text: str, limit: int = CHIPS, likeness: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """At most `limit` slugs of skills the text seems to be about, the likeliest first; none for a text that says nothing of any.

    `likeness` is what a model finds each skill to be like, by slug. Nothing is applied by this: somebody chooses.
    """
    words = ADDRESS.sub(" ", text[:LONGEST])
    if not any(letter.isalpha() for letter in words):
        return ()  # numbers, signs and addresses: a model likes some skill even then
    found = weigh(terms.grams(words))
    if not any(found) and not likeness:
        return ()
    values: Sequence[float] = found
    if likeness:
        liked = _standard([likeness.get(slug, 0.0) for slug in SLUGS])
        values = [cue + LIKENESS * like for cue, like in zip(_standard(found), liked, strict=True)]
    best = [SLUGS[place] for place in sorted(range(len(SLUGS)), key=lambda place: (-values[place], SLUGS[place])) if likeness or found[place] > 0]
    # Where the words speak of one or two skills alone, what belongs to the same fields of help is the better guess than nothing.
    near = [skill.slug for slug in best[:limit] for skill in vocabulary.category(slug).skills]
    return tuple(dict.fromkeys(best + near))[:limit]


def weigh(grams: Mapping[str, int]) -> list[int]:
    """How much of the cues of each skill, in the order of `SLUGS`, stands in these grams (BM25, the skills being the documents; in thousandths)."""
    cues = _cues()
    keys, starts, told = cues.keys, cues.starts, cues.told
    found = [0] * len(SLUGS)
    for gram in grams:
        key = _key(gram)
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            for each in told[starts[at] : starts[at + 1]]:
                found[each >> WEIGHT_BITS] += each & WEIGHT_MASK  # whole numbers: in whatever order they come, the sum is the same
    return found


def themes(grams: Mapping[str, int]) -> Mapping[int, float]:
    """What a text is about, as a direction of length 1 in the space of skills, by place in `SLUGS`; the same theme in two languages points the same way.

    Empty for a text without any cue. Only the `MOST_THEMES` strongest are kept.
    """
    found = weigh(grams)
    most = max(found)
    if most <= 0:
        return {}
    sharp = sorted(((value / most) ** SHARP, place) for place, value in enumerate(found) if value > 0)[-MOST_THEMES:]
    length = math.sqrt(math.fsum(value * value for value, _ in sharp))
    return {place: value / length for value, place in sharp}


def alike(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """How far two themes point the same way: 0 to 1."""
    if len(other) < len(one):
        one, other = other, one
    return math.fsum(value * other[place] for place, value in one.items() if place in other)


@dataclass(frozen=True, slots=True)
class _Cues:
    """By gram, the skills in whose words it stands, and what it weighs for each. Three arrays take a twentieth of the memory of a dictionary."""

    keys: "array[int]"
    """Every gram as a number, in order."""
    starts: "array[int]"
    """Where what is told of each gram begins in `told`, and where the last ends."""
    told: "array[int]"
    """A place in `SLUGS`, and in the lowest bits the weight in thousandths."""


def _key(gram: str) -> int:
    """A gram as a number, each another one; below 2**64 but for letters beyond the first plane of Unicode, where no cue is."""
    return int.from_bytes(gram.encode("utf-16-be", "surrogatepass"), "big")


@cache
def _cues() -> _Cues:
    cues: Mapping[str, Mapping[str, Sequence[str]]] = json.loads(files("fedmatch").joinpath("locale", "skills.json").read_text(encoding="utf-8"))["cues"]
    # One skill after the other: what lies about while this is made stays with the process.
    texts: list[tuple[array[int], array[int]]] = []
    for slug in SLUGS:
        said = [*vocabulary.skill(slug).labels.values(), *(cue for language in cues.values() for cue in language[slug])]
        grams = terms.grams(" ".join(said))
        texts.append((array("Q", map(_key, grams)), array("I", grams.values())))
    lengths = [sum(numbers) for _, numbers in texts]
    mean = sum(lengths) / len(lengths)
    keys, starts = array("Q"), array("I", [0])
    for key, same in groupby(sorted(chain.from_iterable(keys for keys, _ in texts))):
        keys.append(key)
        starts.append(starts[-1] + sum(1 for _ in same))
    told, free = array("I", bytes(array("I").itemsize * starts[-1])), starts[:]
    for place, (text, numbers) in enumerate(texts):
        damping = K1 * (1 - B + B * lengths[place] / mean)
        for key, number in zip(text, numbers, strict=True):
            at = bisect_left(keys, key)
            held = starts[at + 1] - starts[at]
            rarity = math.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
            told[free[at]] = place << WEIGHT_BITS | min(round(1000 * rarity * number * (K1 + 1) / (number + damping)), WEIGHT_MASK)
            free[at] += 1
    return _Cues(keys, starts, told)


@cache
def digest() -> str:
    """What tells these cues and labels from others; themes that were made with others cannot be compared."""
    labels = [sorted(vocabulary.skill(slug).labels.items()) for slug in SLUGS]
    cues = files("fedmatch").joinpath("locale", "skills.json").read_bytes()
    return hashlib.sha256(repr((SLUGS, labels, K1, B, SHARP, MOST_THEMES)).encode() + cues).hexdigest()[:32]


def _standard(values: Sequence[float]) -> list[float]:
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)) or 1.0
    return [(value - mean) / spread for value in values]
