"""Why were these two brought together? Codes and what they are about, which are kept, and the sentences that people read, in ten languages. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from schemas import vocabulary

WORDS: Final[Mapping[str, Mapping[str, str]]] = json.loads(files("fedmatch").joinpath("locale", "reasons.json").read_text(encoding="utf-8"))["words"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its code, what it is about (slugs, languages, a region, names of instances), and how much it contributed to the score."""

    code: str
    parameters: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    contribution: float = 0.0

    @property
    def topical(self) -> bool:
        """Whether it says that the two are about the same thing; a language or a country in common alone brings nobody together."""
        return self.code not in ("language", "region", "vouched", "interpreter", "open")


def text(reason: Reason, language: str) -> str:
    """The reason as a sentence in one of the ten languages, the nearest to `language`; it holds no number."""
    written = vocabulary.written(language)
    words = WORDS[written]
    shown = {name: _told(name, value, written) for name, value in reason.parameters.items()}
    return words[reason.code].format(**shown)


def _told(name: str, value: str | tuple[str, ...], written: str) -> str:
    each = (value,) if isinstance(value, str) else value
    match name:
        case "skills" | "fields":
            named = [vocabulary.label(slug, written) for slug in each]
        case "languages":
            named = [vocabulary.language_name(tag, written) for tag in each]
        case "region":
            named = [vocabulary.region_name(code, written) for code in each]
        case _:
            named = list(each)
    return WORDS[written]["comma"].join(named)
