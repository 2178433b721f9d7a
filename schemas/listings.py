"""How does a request or an offer read where nobody knows the word? Its complete text in the words of its language, and the check of what its author typed."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from html import escape
from importlib.resources import files
from typing import Final, cast, get_args

from babel.dates import format_date

from schemas import html, vocabulary
from schemas.objects import Proposal, Purpose, Urgency

MOST_TITLE: Final = 200
MOST_TEXT: Final = 5000
MOST_LINKS: Final = 20
"""With these an activity stays below the 64 KiB that we send at most, in every script."""
MOST_CATEGORIES: Final = 3
MOST_SKILLS: Final = 10
MOST_LANGUAGES: Final = 10
MOST_HASHTAGS: Final = 6
LONGEST: Final = timedelta(days=731)

_LABELS: Final[Mapping[str, Mapping[str, str]]] = json.loads(files("schemas").joinpath("labels.json").read_text(encoding="utf-8"))["labels"]
_RIGHT_TO_LEFT: Final = frozenset({"ar", "fa"})
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters and bidirectional overrides: a reader would see something else than what is there. Joiners and direction marks stay."""


class Invalid(ValueError):
    """A field of a request or an offer that cannot stand as it was typed: which, why, and what to do."""

    def __init__(self, field: str, why: str, cure: str) -> None:
        self.field, self.why, self.cure = field, why, cure
        super().__init__(f"{field} {why}; {cure}")


def validated(
    kind: str,
    title: str,
    text: str,
    language: str,
    categories: Iterable[str],
    skills: Iterable[str],
    speaks: Iterable[str],
    *,
    region: str | None = None,
    urgency: str | None = None,
    until: str | datetime | None = None,
    now: datetime,
) -> Proposal:
    """An open `Proposal` of what an author typed, in canonical words; raises `Invalid` for the first field that cannot stand.

    `categories` and `skills` are slugs or aliases in any case; a skill among the categories counts as both, and skills without a category bring theirs.
    `until` is a moment, `YYYY-MM-DD` (its last second, UTC) or RFC 3339, in the future and within two years.
    """
    if kind not in get_args(Purpose):
        raise Invalid("kind", f"is {kind!r}", "write request or offer")
    if vocabulary.canonical_language(language) is None:
        raise Invalid("language", f"is {language!r}, which is no language code", "write for example en, ar or zh-Hans")
    fields, known = _words(categories, skills)
    return Proposal(
        purpose=cast(Purpose, kind),
        title=_line(title),
        text=_text(text),
        categories=fields,
        skills=known,
        speaks=_languages(speaks),
        region=_region(region),
        urgency=_urgency(urgency),
        until=_until(until, now),
    )


def content(proposal: Proposal, language: str, tags: str | None = None) -> str:
    """The whole request or offer as HTML that is complete where nobody knows more than Notes, in the labels of its language (else English).

    First line: kind, category and title, since notifications show no more; then the text, what is wanted, how to answer, and the hashtags. `tags` is where
    hashtags lead (`https://host/tags/`). It says nothing that `proposal` does not, and links nowhere but to the hashtags and what the author wrote.
    """
    written = vocabulary.written(language)
    words = _LABELS[written]
    foreign = written.partition("-")[0] != language.partition("-")[0]
    theirs = f' lang="{escape(language)}"' if foreign else ""
    ours = f' lang="{written}"' if foreign or written in _RIGHT_TO_LEFT else ""
    paragraph = f"<p{theirs or ours}>"
    pieces = [
        f"<p{ours}><strong>{_heading(proposal, words, written, theirs)}</strong></p>",
        html.from_text(proposal.text).replace("<p>", paragraph),
    ]
    if lines := list(_lines(proposal, words, written)):
        pieces.append(f"<p{ours}>{'<br>'.join(lines)}</p>")
    if proposal.status == "open":
        pieces.append(f"<p{ours}>{escape(words['answer'], quote=False)}</p>")
    if tags is not None:
        pieces.append(f"<p>{' '.join(html.hashtag(word, tags) for word in hashtags(proposal))}</p>")
    return "".join(pieces)


def hashtags(proposal: Proposal) -> tuple[str, ...]:
    """At most six hashtags, in CamelCase for screen readers: the kind, the categories, the skills."""
    words = ["Request" if proposal.purpose == "request" else "Offer", *proposal.categories, *proposal.skills]
    return tuple(dict.fromkeys(word for word in words if re.fullmatch(r"\w*[^\W\d]\w*", word)))[:MOST_HASHTAGS]


def _heading(proposal: Proposal, words: Mapping[str, str], written: str, theirs: str) -> str:
    kind = words[proposal.purpose]
    if proposal.status in words and proposal.status != "open":
        kind = f"{words[proposal.status]} – {kind}"   # a reader who comes late sees it first
    if proposal.categories:
        kind = f"{kind} – {vocabulary.label(proposal.categories[0], written)}"
    title = escape(proposal.title, quote=False)
    return escape(kind + words["colon"], quote=False) + (f"<span{theirs}>{title}</span>" if theirs else title)


def _lines(proposal: Proposal, words: Mapping[str, str], written: str) -> Iterable[str]:
    """What is wanted, one line each."""
    shown = (
        ("skills", words["comma"].join(vocabulary.label(slug, written) for slug in proposal.skills)),
        ("languages", words["comma"].join(vocabulary.language_name(tag, written) for tag in proposal.speaks)),
        ("region", vocabulary.region_name(proposal.region, written) if proposal.region else ""),
        ("urgency", words[proposal.urgency] if proposal.urgency else ""),
        ("until", format_date(proposal.until.astimezone(UTC), "long", locale=vocabulary.locale(written)) if proposal.until else ""),
    )
    for name, value in shown:
        if value:
            yield escape(f"{words[name]}{words['colon']}{value}", quote=False)


def _line(title: str) -> str:
    clean = " ".join(_UNSEEN.sub("", title).split())
    if not clean:
        raise Invalid("title", "is missing", "say in one line what is needed or offered")
    if len(clean) > MOST_TITLE:
        raise Invalid("title", f"has {len(clean)} letters", f"shorten it to {MOST_TITLE}; the text has room for the rest")
    return clean


def _text(text: str) -> str:
    clean = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not clean:
        raise Invalid("text", "is missing", "say what is needed or offered, and what somebody who answers should know")
    if len(clean) > MOST_TEXT:
        raise Invalid("text", f"has {len(clean)} letters", f"shorten it to {MOST_TEXT}")
    if len(re.findall(r"https?://", clean)) > MOST_LINKS:
        raise Invalid("text", f"has more than {MOST_LINKS} links", "keep the ones that matter")
    return clean


def _words(categories: Iterable[str], skills: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    fields: dict[str, None] = {}
    known: dict[str, None] = {}
    for word in categories:
        try:
            slug = vocabulary.canonical(word)
        except vocabulary.UnknownSlug as error:
            raise Invalid("category", *_unknown(error)) from None
        fields[vocabulary.category(slug).slug] = None
        if vocabulary.is_skill(slug):
            known[slug] = None
    for word in skills:
        try:
            skill = vocabulary.skill(word)
        except vocabulary.UnknownSlug as error:
            raise Invalid("skill", *_unknown(error)) from None
        known[skill.slug] = None
    if not fields:
        fields = dict.fromkeys(vocabulary.skill(slug).category for slug in list(known)[:MOST_CATEGORIES])
    if len(fields) > MOST_CATEGORIES:
        raise Invalid("category", f"stands {len(fields)} times", f"choose at most {MOST_CATEGORIES}")
    if len(known) > MOST_SKILLS:
        raise Invalid("skill", f"stands {len(known)} times", f"choose at most {MOST_SKILLS}")
    return tuple(fields), tuple(known)


def _unknown(error: vocabulary.UnknownSlug) -> tuple[str, str]:
    cure = f"did you mean {' or '.join(error.near)}?" if error.near else f"the fields of help are {', '.join(each.slug for each in vocabulary.categories())}"
    return f"{error.slug!r} is not in the taxonomy", cure


def _languages(speaks: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for tag in speaks:
        language = vocabulary.canonical_language(tag)
        if language is None:
            raise Invalid("speaks", f"holds {tag!r}, which is no language code", "write for example ar,en")
        found[language] = None
    if len(found) > MOST_LANGUAGES:
        raise Invalid("speaks", f"names {len(found)} languages", f"choose at most {MOST_LANGUAGES}")
    return tuple(found)


def _region(region: str | None) -> str | None:
    if not region:
        return None
    code = region.strip().upper()
    if not vocabulary.is_region(code):
        raise Invalid("region", f"is {region!r}, which is no country code", "write the two letters of ISO 3166, as in SY or UA")
    return code


def _urgency(urgency: str | None) -> Urgency | None:
    if not urgency:
        return None
    if urgency not in get_args(Urgency):
        raise Invalid("urgency", f"is {urgency!r}", f"write one of {', '.join(get_args(Urgency))}")
    return cast(Urgency, urgency)


def _until(until: str | datetime | None, now: datetime) -> datetime | None:
    if not until:
        return None
    if isinstance(until, str):
        try:
            moment = datetime.fromisoformat(until.strip())
        except ValueError:
            raise Invalid("until", f"is {until!r}, which is no date", "write for example 2026-12-31") from None
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", until.strip()):
            moment = datetime.combine(moment.date(), time(23, 59, 59), UTC)
    else:
        moment = until
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if moment <= now:
        raise Invalid("until", "lies in the past", "choose a day to come, or leave it out")
    if moment > now + LONGEST:
        raise Invalid("until", "is more than two years away", "choose a nearer day, or leave it out")
    return moment.astimezone(UTC)
