"""Which words may a request or an offer use? Categories and skills of taxonomy.json, regions, languages, and the namespaces these words have on the wire."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final

from babel import Locale, UnknownLocaleError

NAMESPACE: Final = "https://w3id.org/fedmatch/ns#"
CATEGORY: Final = "https://w3id.org/fedmatch/ns/category/"
SKILL: Final = "https://w3id.org/fedmatch/ns/skill/"
VF: Final = "https://w3id.org/valueflows/ont/vf#"
OM2: Final = "http://www.ontology-of-units-of-measure.org/resource/om-2/"
"""Names, not addresses: nobody fetches them, and what we send defines its terms inline."""


class UnknownSlug(ValueError):
    """A word that is neither category nor skill; `near` are slugs it may have meant."""

    def __init__(self, slug: str, near: tuple[str, ...]) -> None:
        self.slug, self.near = slug, near
        meant = f"did you mean {' or '.join(near)}?" if near else f"the categories are {', '.join(each.slug for each in TAXONOMY)}"
        super().__init__(f"{slug!r} is not in the taxonomy; {meant}")


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing a person can do. Slugs are stable, work as hashtags, and are compared without case, hyphens and spaces."""

    slug: str
    category: str
    labels: Mapping[str, str]
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """A field of help and the skills in it."""

    slug: str
    labels: Mapping[str, str]
    aliases: tuple[str, ...]
    skills: tuple[Skill, ...]


_DATA: Final = json.loads(files("schemas").joinpath("taxonomy.json").read_text(encoding="utf-8"))

LANGUAGES: Final[tuple[str, ...]] = tuple(_DATA["languages"])
"""The languages every label is written in."""

TAXONOMY: Final[tuple[Category, ...]] = tuple(
    Category(
        one["slug"],
        one["labels"],
        tuple(one.get("aliases", ())),
        tuple(Skill(skill["slug"], one["slug"], skill["labels"], tuple(skill.get("aliases", ()))) for skill in one["skills"]),
    )
    for one in _DATA["categories"]
)


def _plain(word: str) -> str:
    """A word as it is compared: without case, number sign, hyphens, underscores and spaces."""
    return re.sub(r"[\W_]+", "", word).casefold()


_BY_SLUG: Final[Mapping[str, Category | Skill]] = {one.slug: one for one in TAXONOMY} | {one.slug: one for each in TAXONOMY for one in each.skills}
_SLUGS: Final[Mapping[str, str]] = {_plain(word): slug for slug, each in _BY_SLUG.items() for word in (slug, *each.aliases)}

_NO_REGIONS: Final = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"})
"""Two-letter codes that CLDR names and ISO 3166-1 does not assign to a country. XK (Kosovo) stays: everybody uses it."""


@cache
def regions() -> frozenset[str]:
    """The two letters of every country. Asked for when they are needed, since what CLDR knows takes 40 ms to load; so for the languages below."""
    return frozenset(str(code) for code in Locale.parse("en").territories if re.fullmatch(r"[A-Z]{2}", str(code))) - _NO_REGIONS


@cache
def _two_letters() -> frozenset[str]:
    return frozenset(str(code) for code in Locale.parse("en").languages if len(str(code)) == 2)


def categories() -> tuple[Category, ...]:
    """Every category, in the order of the taxonomy."""
    return TAXONOMY


def category(slug: str) -> Category:
    """The category of that slug or alias; for a skill, the one it belongs to. Raises `UnknownSlug`."""
    found = _BY_SLUG[canonical(slug)]
    return found if isinstance(found, Category) else category(found.category)


def skill(slug: str) -> Skill:
    """The skill of that slug or alias; raises `UnknownSlug`, also for a category."""
    found = _BY_SLUG[canonical(slug)]
    if isinstance(found, Category):
        raise UnknownSlug(slug, tuple(each.slug for each in found.skills[:3]))
    return found


def canonical(slug: str) -> str:
    """The one spelling of a category or skill, from any case, with or without hyphens, or an alias; raises `UnknownSlug` with near matches."""
    found = _SLUGS.get(_plain(slug))
    if found is None:
        near = get_close_matches(_plain(slug), list(_SLUGS), n=3, cutoff=0.6)
        raise UnknownSlug(slug, tuple(dict.fromkeys(_SLUGS[word] for word in near)))
    return found


def known(slug: str) -> str:
    """The canonical spelling of a slug or alias we know; another server's word as it is."""
    return slug if slug in _BY_SLUG else _SLUGS.get(_plain(slug), slug)


def is_skill(slug: str) -> bool:
    """Whether a canonical slug names a skill."""
    return isinstance(_BY_SLUG.get(slug), Skill)


def iri(slug: str) -> str:
    """The IRI of a category or skill; a word we do not know is taken for a skill."""
    return (CATEGORY if isinstance(_BY_SLUG.get(slug), Category) else SKILL) + slug


def label(slug: str, language: str) -> str:
    """A category or skill in words: in the language, else in English, else (a word we do not know) the slug itself."""
    found = _BY_SLUG.get(slug)
    return found.labels[written(language)] if found else slug


def written(language: str | None) -> str:
    """The one of our ten languages that is nearest to a tag (`zh-TW` gives zh-Hans, `pt` en)."""
    wanted = (language or "en").casefold()
    primary = wanted.partition("-")[0]
    for one in LANGUAGES:
        if one.casefold() == wanted:
            return one
    return next((one for one in LANGUAGES if one.casefold().partition("-")[0] == primary), "en")


def canonical_language(tag: str) -> str | None:
    """A BCP 47 tag in its usual case (`zh-Hans`, `pt-BR`), or None if it is none: the primary subtag is a two-letter code of ISO 639-1 or any three letters."""
    parts = tag.strip().replace("_", "-").split("-")
    if not re.fullmatch(r"[A-Za-z]{2,3}", parts[0]) or not all(re.fullmatch(r"[A-Za-z0-9]{1,8}", part) for part in parts[1:]) or len(parts) > 6:
        return None
    first = parts[0].lower()
    if len(first) == 2 and first not in _two_letters():
        return None
    rest = [part.title() if len(part) == 4 and part.isalpha() else part.upper() if len(part) == 2 else part.lower() for part in parts[1:]]
    return "-".join([first, *rest])


def is_language(tag: str) -> bool:
    """Whether a text is a BCP 47 language tag we take."""
    return canonical_language(tag) is not None


def is_region(code: str) -> bool:
    """Whether a text is the ISO 3166-1 alpha-2 code of a country, in capitals."""
    return code in regions()


def language_name(tag: str, language: str) -> str:
    """What a language is called in `language`; the tag itself where nobody wrote that down."""
    names, primary = _locale(written(language)).languages, tag.partition("-")[0]
    return str(names.get(tag.replace("-", "_")) or names.get(primary) or tag)


def region_name(code: str, language: str) -> str:
    """What a country is called in `language`; the code itself where nobody wrote that down."""
    return str(_locale(written(language)).territories.get(code, code))


@cache
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en")


def locale(language: str) -> Locale:
    """The rules for dates and names of the one of our languages nearest to a tag."""
    return _locale(written(language))
