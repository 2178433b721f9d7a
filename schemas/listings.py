"""How does a request or an offer read where nobody knows the word? Its complete text in the words of its language, and the check of what its author typed."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from html import escape
from importlib.resources import files
from typing import Final, cast, get_args

from schemas import html, unseen, vocabulary
from schemas.objects import Need, Proposal, Purpose, Translation, Urgency
from schemas.reading import Iri

MOST_TITLE: Final = 200
MOST_TEXT: Final = 5000
MOST_LINKS: Final = 20
"""With these an activity stays below the 64 KiB that we send at most, in every script."""
MOST_CATEGORIES: Final = 3
MOST_SKILLS: Final = 10
MOST_LANGUAGES: Final = 10
MOST_HASHTAGS: Final = 6
MOST_TRANSLATIONS: Final = 4
MOST_TEXT_TRANSLATED: Final = 4000
"""Letters of the texts in all languages together: each stands in the post up to four times."""
MOST_NEEDS: Final = 10
MOST_NEED: Final = 100
MOST_PEOPLE: Final = 1000
LONGEST: Final = timedelta(days=731)
EXPIRES: Final = timedelta(days=30)
"""When a listing closes unless it is renewed, if its author named no deadline."""

_LABELS: Final[Mapping[str, Mapping[str, str]]] = json.loads(files("schemas").joinpath("labels.json").read_text(encoding="utf-8"))["labels"]
_RIGHT_TO_LEFT: Final = frozenset({"ar", "fa"})


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
    expires: str | datetime | None = None,
    helper_region: str | None = None,
    only_speaks: bool = False,
    only_region: bool = False,
    capacity: int | None = None,
    needs: Iterable[Need] = (),
    translations: Iterable[Translation] = (),
    follow_up_of: str | None = None,
    now: datetime,
) -> Proposal:
    """An open `Proposal` of what an author typed, in canonical words; raises `Invalid` for the first field that cannot stand.

    `categories` and `skills` are slugs or aliases in any case; a skill among the categories counts as both, and skills without a category bring theirs.
    `until`, the deadline, is a moment, `YYYY-MM-DD` (its last second, UTC) or RFC 3339, in the future and within two years; so is `expires`, which is the
    deadline or, without one, the full hour 30 days from now. `capacity` is how many people an offer has room for or how many helpers a request wants; a
    request with named `needs` counts those instead. `only_speaks` and `only_region`: nobody else is asked, in `speaks` and from `helper_region`.
    """
    if kind not in get_args(Purpose):
        raise Invalid("kind", f"is {kind!r}", "write request or offer")
    if vocabulary.canonical_language(language) is None:
        raise Invalid("language", f"is {language!r}, which is no language code", "write for example en, ar or zh-Hans")
    fields, known = _words(categories, skills)
    deadline = _moment("until", until, now)
    closes = _moment("expires", expires, now) or deadline or usual_end(now)
    spoken, helpers = _languages(speaks), _region(helper_region, "helper_region")
    if only_speaks and not spoken:
        raise Invalid("only_speaks", "is set and no language is named", "name the languages with speaks, as in ar,en, or leave it out")
    if only_region and helpers is None:
        raise Invalid("only_region", "is set and no region of the helper is named", "name it with helper_region, as in DE, or leave it out")
    wanted = _needs(needs, kind)
    if wanted and capacity is not None:
        raise Invalid("capacity", "is given beside named needs", "leave it out: the needs are counted")
    return Proposal(
        purpose=cast(Purpose, kind),
        title=_line(title),
        text=_text(text),
        categories=fields,
        skills=known,
        speaks=spoken,
        region=_region(region),
        urgency=_urgency(urgency),
        until=deadline,
        expires=closes,
        helper_region=helpers,
        only_speaks=only_speaks,
        only_region=only_region,
        capacity=_capacity(capacity),
        needs=wanted,
        translations=_translations(translations, language, text),
        follow_up_of=None if not follow_up_of else Iri(follow_up_of),
    )


def usual_end(published: datetime) -> datetime:
    """When something closes that is published then, unless its author names another end: on the full hour 30 days later."""
    return (published + EXPIRES).replace(minute=0, second=0, microsecond=0)


def revised(proposal: Proposal, language: str, changes: Mapping[str, object], now: datetime) -> Proposal:
    """The proposal with some of the arguments of `validated` (by name) typed anew, checked as a whole; what `changes` does not name stays. Raises `Invalid`.

    A new deadline moves the end of it too, one that is over is prolonged by 30 days.
    """
    keeps = proposal.ends is not None and proposal.ends > now and "until" not in changes
    values: dict[str, object] = {
        "kind": proposal.purpose,
        "title": proposal.title,
        "text": proposal.text,
        "language": language,
        "categories": proposal.categories,
        "skills": proposal.skills,
        "speaks": proposal.speaks,
        "region": proposal.region,
        "urgency": proposal.urgency,
        "until": proposal.until if keeps else None,
        "expires": proposal.expires if keeps else None,
        "helper_region": proposal.helper_region,
        "only_speaks": proposal.only_speaks,
        "only_region": proposal.only_region,
        "capacity": proposal.capacity,
        "needs": proposal.needs,
        "translations": proposal.translations,
        "follow_up_of": proposal.follow_up_of,
    }
    return validated(**{**values, **changes}, now=now)  # type: ignore[arg-type]  # the same names, checked there


def content(proposal: Proposal, language: str, tags: str | None = None, *, checked_by: Sequence[str] = ()) -> str:
    """The whole request or offer as HTML that is complete where nobody knows more than Notes, in the labels of its language (else English).

    First line: kind, category and title, since notifications show no more; then the text, what is wanted, who vouches (`checked_by`, names of instances), how
    to answer, the same in other languages, each in its own direction, and the hashtags. `tags` is where hashtags lead (`https://host/tags/`). It says nothing
    that `proposal` does not, and links nowhere but to the hashtags and what the author wrote.
    """
    pieces = [_told(proposal, language, proposal.title, proposal.text, checked_by)]
    pieces += [_told(proposal, other.language, other.title, other.text, checked_by) for other in proposal.translations]
    if tags is not None:
        pieces.append(f"<p>{' '.join(html.hashtag(word, tags) for word in hashtags(proposal))}</p>")
    return "".join(pieces)


def _told(proposal: Proposal, language: str, title: str, text: str, checked_by: Sequence[str]) -> str:
    """A request or an offer in one of its languages."""
    written = vocabulary.written(language)
    words = _LABELS[written]
    foreign = written.partition("-")[0] != language.partition("-")[0]
    several = bool(proposal.translations)
    theirs = f' lang="{escape(language)}"' if foreign or several else ""
    ours = f' lang="{written}"' if foreign or several or written in _RIGHT_TO_LEFT else ""
    paragraph = f"<p{theirs or ours}>"
    pieces = [
        f"<p{ours}><strong>{_heading(proposal, words, written, title, theirs if foreign else '')}</strong></p>",
        html.from_text(text).replace("<p>", paragraph),
    ]
    if lines := list(_lines(proposal, words, written, checked_by)):
        pieces.append(f"<p{ours}>{'<br>'.join(lines)}</p>")
    if proposal.status == "open":
        pieces.append(f"<p{ours}>{escape(words['answer'], quote=False)}</p>")
    return "".join(pieces)


def hashtags(proposal: Proposal) -> tuple[str, ...]:
    """At most six hashtags, in CamelCase for screen readers: the kind, the categories, the skills."""
    words = ["Request" if proposal.purpose == "request" else "Offer", *proposal.categories, *proposal.skills]
    return tuple(dict.fromkeys(word for word in words if re.fullmatch(r"\w*[^\W\d]\w*", word)))[:MOST_HASHTAGS]


def _heading(proposal: Proposal, words: Mapping[str, str], written: str, title: str, theirs: str) -> str:
    kind = words[proposal.purpose]
    if proposal.status in words and proposal.status != "open":
        kind = f"{words[proposal.status]} – {kind}"   # a reader who comes late sees it first
    if proposal.categories:
        kind = f"{kind} – {vocabulary.label(proposal.categories[0], written)}"
    shown = escape(title, quote=False)
    return escape(kind + words["colon"], quote=False) + (f"<span{theirs}>{shown}</span>" if theirs else shown)


def _lines(proposal: Proposal, words: Mapping[str, str], written: str, checked_by: Sequence[str]) -> Iterable[str]:
    """What is wanted, one line each."""
    # Here, because whoever only reads listings should not wait for the calendars of the world.
    from babel.dates import format_date

    def only(name: str) -> str:
        return f" ({words[name]})"

    end = proposal.ends
    spoken = words["comma"].join(vocabulary.language_name(tag, written) for tag in proposal.speaks)
    helpers = vocabulary.region_name(proposal.helper_region, written) if proposal.helper_region else ""
    shown = (
        ("skills", words["comma"].join(vocabulary.label(slug, written) for slug in proposal.skills)),
        ("needs", words["comma"].join(_need(need, words) for need in proposal.needs)),
        ("room" if proposal.purpose == "offer" else "wanted", str(proposal.capacity) if proposal.capacity else ""),
        ("languages", spoken + (only("only_languages") if proposal.only_speaks else "")),
        ("region", vocabulary.region_name(proposal.region, written) if proposal.region else ""),
        ("helper_region", helpers + (only("only_region") if proposal.only_region else "")),
        ("urgency", words[proposal.urgency] if proposal.urgency else ""),
        ("until", format_date(end.astimezone(UTC), "long", locale=vocabulary.locale(written)) if end else ""),
        ("checked", words["comma"].join(checked_by)),
    )
    for name, value in shown:
        if value:
            yield escape(f"{words[name]}{words['colon']}{value}", quote=False)


def _need(need: Need, words: Mapping[str, str]) -> str:
    name = f"{need.name} ({words['equipment']})" if need.equipment else need.name
    return f"{need.quantity} × {name}" if need.quantity > 1 else name


def _line(title: str) -> str:
    clean = " ".join(unseen.without(title).split())
    if not clean:
        raise Invalid("title", "is missing", "say in one line what is needed or offered")
    if len(clean) > MOST_TITLE:
        raise Invalid("title", f"has {len(clean)} letters", f"shorten it to {MOST_TITLE}; the text has room for the rest")
    return clean


def _text(text: str) -> str:
    clean = unseen.without(text).strip()
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
            raise Invalid("skill", *_unknown(error, tuple(fields))) from None
        known[skill.slug] = None
    if not fields:
        fields = dict.fromkeys(vocabulary.skill(slug).category for slug in list(known)[:MOST_CATEGORIES])
    if len(fields) > MOST_CATEGORIES:
        raise Invalid("category", f"stands {len(fields)} times", f"choose at most {MOST_CATEGORIES}")
    if len(known) > MOST_SKILLS:
        raise Invalid("skill", f"stands {len(known)} times", f"choose at most {MOST_SKILLS}")
    return tuple(fields), tuple(known)


def _unknown(error: vocabulary.UnknownSlug, fields: Sequence[str] = ()) -> tuple[str, str]:
    """What is wrong with a word of the taxonomy, and what to write: what it comes near to, else the skills of the fields that were named, else the fields."""
    skills = "; ".join(f"the skills of {field} are {', '.join(each.slug for each in vocabulary.category(field).skills)}" for field in fields)
    usual = skills or f"the fields of help are {', '.join(each.slug for each in vocabulary.categories())}"
    return f"{error.slug!r} is not in the taxonomy", f"did you mean {' or '.join(error.near)}?" if error.near else usual


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


def regions(name: str, codes: Iterable[str]) -> tuple[str, ...]:
    """Country codes in capitals, each once; raises `Invalid` for the field `name`."""
    return tuple(dict.fromkeys(code for code in (_region(code, name) for code in codes) if code))


def moment(name: str, when: str | datetime | None, now: datetime) -> datetime | None:
    """A moment to come, within two years; raises `Invalid` for the field `name`."""
    return _moment(name, when, now)


def _region(region: str | None, name: str = "region") -> str | None:
    if not region:
        return None
    code = region.strip().upper()
    if not vocabulary.is_region(code):
        raise Invalid(name, f"is {region!r}, which is no country code", "write the two letters of ISO 3166, as in SY or UA")
    return code


def _urgency(urgency: str | None) -> Urgency | None:
    if not urgency:
        return None
    if urgency not in get_args(Urgency):
        raise Invalid("urgency", f"is {urgency!r}", f"write one of {', '.join(get_args(Urgency))}")
    return cast(Urgency, urgency)


def _capacity(capacity: int | None) -> int | None:
    if capacity is not None and not 1 <= capacity <= MOST_PEOPLE:
        raise Invalid("capacity", f"is {capacity}", f"write a number of people between 1 and {MOST_PEOPLE}, or leave it out")
    return capacity


def _needs(needs: Iterable[Need], kind: str) -> tuple[Need, ...]:
    found: dict[str, Need] = {}
    for need in needs:
        name = " ".join(unseen.without(need.name).split())
        if not name or len(name) > MOST_NEED:
            raise Invalid("needs", f"holds a name of {len(name)} letters", f"name each part in 1 to {MOST_NEED} letters, as in editors=3")
        if not 1 <= need.quantity <= MOST_PEOPLE:
            raise Invalid("needs", f"asks {need.quantity} times for {name}", f"write a number between 1 and {MOST_PEOPLE}")
        if name.casefold() in found:
            raise Invalid("needs", f"names {name} twice", "name it once, with how many are wanted")
        found[name.casefold()] = Need(name, need.quantity, need.equipment)
    if found and kind == "offer":
        raise Invalid("needs", "stand on an offer", "only a request has parts; an offer has a capacity")
    if len(found) > MOST_NEEDS:
        raise Invalid("needs", f"are {len(found)}", f"name at most {MOST_NEEDS}; another request has room for more")
    return tuple(found.values())


def _translations(translations: Iterable[Translation], language: str, text: str) -> tuple[Translation, ...]:
    found: dict[str, Translation] = {}
    own = vocabulary.canonical_language(language)
    for one in translations:
        tag = vocabulary.canonical_language(one.language)
        if tag is None:
            raise Invalid("translation", f"is in {one.language!r}, which is no language code", "write for example en, ar or zh-Hans")
        if tag == own or tag in found:
            raise Invalid("translation", f"is in {tag}, which is there already", "write each language once")
        found[tag] = Translation(tag, _line(one.title), _text(one.text))
    if len(found) > MOST_TRANSLATIONS:
        raise Invalid("translation", f"comes in {len(found)} languages", f"choose at most {MOST_TRANSLATIONS} beside the first")
    letters = len(text) + sum(len(one.text) for one in found.values())
    if found and letters > MOST_TEXT_TRANSLATED:
        raise Invalid("translation", f"makes {letters} letters in all languages together", f"shorten the texts to {MOST_TEXT_TRANSLATED} together")
    return tuple(found.values())


def _moment(name: str, until: str | datetime | None, now: datetime) -> datetime | None:
    if not until:
        return None
    if isinstance(until, str):
        try:
            moment = datetime.fromisoformat(until.strip())
        except ValueError:
            raise Invalid(name, f"is {until!r}, which is no date", "write for example 2026-12-31") from None
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", until.strip()):
            moment = datetime.combine(moment.date(), time(23, 59, 59), UTC)
    else:
        moment = until
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if moment <= now:
        raise Invalid(name, "lies in the past", "choose a day to come, or leave it out")
    if moment > now + LONGEST:
        raise Invalid(name, "is more than two years away", "choose a nearer day, or leave it out")
    return moment.astimezone(UTC)
