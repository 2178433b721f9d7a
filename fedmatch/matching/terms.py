"""What are the words and the grams of a text? The same for search and matching. (First form.)"""

import re
import unicodedata
from collections import Counter
from typing import Final

JOINERS: Final = "\u200c\u200d\u0640"
_SAME: Final = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه", "أ": "ا", "إ": "ا", "آ": "ا"} | dict.fromkeys(JOINERS))
_WORD: Final = re.compile(r"[^\W_]+")
_RUN: Final = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+|[^\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def normal(text: str) -> str:
    """The text as it is compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    bare = "".join(letter for letter in unicodedata.normalize("NFD", folded) if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", bare).translate(_SAME)


def words(text: str) -> tuple[str, ...]:
    """The words of a text in order; a run of Chinese gives its letters and bigrams."""
    found: list[str] = []
    for word in _WORD.findall(normal(text)):
        for run in _RUN.findall(word):
            if "\u0e00" <= run[0] <= "\u0e7f" or run[0] >= "\u3040":
                for at in range(len(run)):
                    found.append(run[at])
                    if at + 1 < len(run):
                        found.append(run[at : at + 2])
            else:
                found.append(run)
    return tuple(found)


def grams(text: str) -> dict[str, int]:
    """Character 4-grams with the borders of words."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(normal(text)):
        if word[0] >= "\u3040":
            found.update([word[at : at + 2] for at in range(len(word) - 1)] or [word])
        else:
            edged = f" {word} "
            found.update([edged[at : at + 4] for at in range(max(1, len(edged) - 3))])
    return dict(found)
