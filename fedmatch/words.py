"""What does the instance say to people, in their language? Whole sentences by name, in the ten languages of the taxonomy.

Names that begin with `notice.` are the texts of notifications; the others are what letters say (fedmatch/board/letters.py) and how a channel is described.
"""

import json
from importlib.resources import files
from typing import Final

from schemas import vocabulary

_WORDS: Final[dict[str, dict[str, str]]] = json.loads(files("fedmatch").joinpath("locale", "letters.json").read_text(encoding="utf-8"))["words"]


def words(language: str, key: str, **values: object) -> str:
    """The sentence `key` in the one of our languages nearest to `language` (a BCP 47 tag), with `values` put in as they are: plain text, no HTML.

    Falls back to English. Raises `KeyError` for a sentence nobody wrote, or a value that is missing.
    """
    written = _WORDS.get(vocabulary.written(language), _WORDS["en"])
    return (written.get(key) or _WORDS["en"][key]).format_map(values)


def sentences() -> frozenset[str]:
    """The names of every sentence there is."""
    return frozenset(_WORDS["en"])


def notice(language: str, kind: str) -> str:
    """The text of a notification of that kind; the kind itself where nobody wrote one."""
    key = f"notice.{kind}"
    return words(language, key) if key in _WORDS["en"] else kind
