"""What does matching know of a text? Its grams and its themes, small enough to lie beside a public text, so that no candidate is cut into pieces again. Pure.

A gist tells which four letters stand in a text, so it is kept open for what everybody may read alone. With other cues, or words that are cut otherwise, it is
made anew: `version` tells.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import chain
from typing import Final

from fedmatch.matching import skills, terms

FORMAT: Final = 1
"""Counted up when its bytes mean something else."""
MOST: Final = 255
"""How often one gram counts at most."""


@dataclass(frozen=True, slots=True)
class Gist:
    """`grams`: how often each stands in the text, by a number of 32 bits; `length`: how many it has in all; `themes` as `skills.themes` gives them, rounded."""

    grams: Mapping[int, int] = field(default_factory=dict)
    themes: Mapping[int, float] = field(default_factory=dict)
    length: int = 0


EMPTY: Final = Gist()


def of(text: str) -> Gist:
    """The gist of a text, of which `terms.LONGEST` letters count: the same as when it was kept as bytes in between."""
    return unpacked(packed(text))


def packed(text: str) -> bytes:
    """The gist of a text as bytes: some 5 for each of its grams, b"" for a text without any. 0.2 ms for 400 letters."""
    found = terms.grams(text[: terms.LONGEST])
    if not found:
        return b""
    numbers: dict[int, int] = {}
    for gram, count in found.items():
        number = zlib.crc32(gram.encode("utf-8", "replace"))
        numbers[number] = min(numbers.get(number, 0) + count, MOST)
    themes = skills.themes(found)
    return struct.pack(
        f"<HB{len(numbers)}I{len(numbers)}B" + "Bf" * len(themes), len(numbers), len(themes), *numbers, *numbers.values(), *chain.from_iterable(themes.items())
    )


def unpacked(made: bytes, wanted: frozenset[int] | None = None) -> Gist:
    """The gist of these bytes; of its grams only those that are `wanted`, if that is said: hundreds are held against one."""
    if not made:
        return EMPTY
    grams, themes = struct.unpack_from("<HB", made)
    numbers = struct.unpack_from(f"<{grams}I", made, 3)
    at = 3 + 5 * grams
    counts = made[3 + 4 * grams : at]
    both = None if wanted is None else wanted.intersection(numbers)
    found = dict(zip(numbers, counts, strict=True)) if both is None or both else {}
    return Gist(found if both is None else {number: found[number] for number in both}, dict(struct.iter_unpack("<Bf", made[at : at + 5 * themes])), sum(counts))


@cache
def version() -> int:
    """What a gist was made with, as a number of 48 bits: how words are cut, and the cues of the skills."""
    return int.from_bytes(sha256(f"{FORMAT} {terms.mark()} {skills.digest()}".encode()).digest()[:6], "big")
