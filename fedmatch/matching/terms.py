"""What are the words and the grams of a text? The same for search and matching, whatever the script. Pure.

Two spellings of one word have to be one: Arabic and Persian keyboards send different letters for the same yeh and kaf, vowels are written or left out, words
are stretched, and Persian puts a joint of no width into them. Chinese has no spaces: there two neighbours stand for a word.
"""

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from hashlib import sha256
from typing import Final

JOINERS: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u0640"
"""What stands inside a word and is no letter: joints and breaks of no width, the soft hyphen, and what stretches Arabic words."""
LONGEST: Final = 2_000
"""Letters of a listing that are matched by: what comes later is no summary of it, and costs as much for each of the candidates."""

MOST_KNOWN: Final = 20_000
"""Letters whose common form is remembered."""

_SAME: Final = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه", "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ؤ": "و", "ئ": "ی"} | dict.fromkeys(JOINERS))


class _Letters(dict[int, str]):
    """Every letter's common form, reckoned when it is first seen: this is a third of the time that the same takes over whole texts."""

    def __missing__(self, code: int) -> str:
        folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", chr(code)).casefold())
        bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
        made = unicodedata.normalize("NFC", bare).translate(_SAME)
        if len(self) < MOST_KNOWN:
            self[code] = made
        return made


_LETTERS: Final = _Letters()
_WORD: Final = re.compile(r"[^\W_]+")
_SPACELESS: Final = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_RUN: Final = re.compile(f"[{_SPACELESS}]+|[^{_SPACELESS}]+")
_HAS_SPACELESS: Final = re.compile(f"[{_SPACELESS}]")


def normal(text: str) -> str:
    """The text as it is compared: NFKC, no capitals, no vowel signs, accents or joiners, one letter for what Arabic and Persian write with two."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text).translate(_LETTERS)


def words(text: str) -> tuple[str, ...]:
    """The words of a text in order; a run of Chinese, Japanese or Thai gives its letters and pairs of neighbours."""
    found: list[str] = []
    for word in _WORD.findall(normal(text)):
        for run in _RUN.findall(word):
            if spaceless(run):
                for at in range(len(run)):
                    found.append(run[at])
                    if at + 1 < len(run):
                        found.append(run[at : at + 2])
            else:
                found.append(run)
    return tuple(found)


def grams(text: str) -> dict[str, int]:
    """How often each four letters in a row stand in the words of a text, the borders of a word counting as letters; of Chinese each two."""
    found = [piece for word in _WORD.findall(normal(text)) for piece in _pieces(word)]
    return dict(Counter(found))


@lru_cache(maxsize=2048)
def _pieces(word: str) -> tuple[str, ...]:
    """The grams of a word; a short one is one gram."""
    if word.isascii() or not _HAS_SPACELESS.search(word):
        edged = f" {word} "
        return tuple([edged[at : at + 4] for at in range(max(1, len(edged) - 3))])
    found: list[str] = []
    for run in _RUN.findall(word):
        if spaceless(run):
            found += [run[at : at + 2] for at in range(len(run) - 1)] or [run]
        else:
            found += _pieces(run)
    return tuple(found)


def spaceless(run: str) -> bool:
    """Whether a word, or a letter, is of a script that puts no blanks between words."""
    return not run.isascii() and _HAS_SPACELESS.match(run) is not None


SAMPLE: Final = "The lawyers' ÉTUDE №5, Юриста київські, محاميّة المحامين كتاب‌ها یک، 律师为难民服务, 弁護士を探す, ทนายความ, 변호사, हिन्दी Straße"
LETTERS: Final = "".join(map(chr, (*range(0x20, 0x700), *range(0xFB50, 0xFF00))))
"""Those of which many are written in two ways: Latin, Greek, Cyrillic, Hebrew, Arabic, and their forms of presentation."""


@cache
def mark() -> str:
    """What tells this way of cutting texts from any other, be it in the spelling of one letter: what was kept of texts cut otherwise has to be made anew."""
    made = [normal(LETTERS), JOINERS, LONGEST, words(SAMPLE), sorted(grams(SAMPLE).items())]
    return sha256(repr(made).encode()).hexdigest()[:32]
