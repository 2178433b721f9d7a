"""What does the instance say to people, in their language? Whole sentences by name, in the ten languages of the taxonomy.

Names that begin with `notice.` are the texts of notifications; the others are what letters say (fedmatch/board/letters.py), how a
channel is described, and, as `lint.`, what the safety linter warns of.
"""

import json
from importlib.resources import files
from typing import Final

from schemas import vocabulary


def _read(name: str) -> dict[str, dict[str, str]]:
    words: dict[str, dict[str, str]] = json.loads(files("fedmatch").joinpath("locale", name).read_text(encoding="utf-8"))["words"]
    return words


_LINTER: Final = _read("linter.json")
_WORDS: Final = {language: said | _LINTER[language] for language, said in _read("letters.json").items()}


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
