"""How do we read a post that is not ours, and what makes it a request or an offer? Everything may be missing, single, or a list."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final, cast, get_args

from schemas import dialects, html, vocabulary, vouches
from schemas.objects import (
    PUBLIC,
    Attachment,
    Circle,
    Emoji,
    Hashtag,
    Matter,
    MatterKind,
    MatterStep,
    Mention,
    Need,
    Note,
    Option,
    Poll,
    Proposal,
    Purpose,
    Translation,
    Urgency,
)
from schemas.reading import Document, Iri, Unreadable, each, first, iri, iris, language, moment, page, text, types

POSTS: Final = frozenset({"Note", "Question", "Article", "Page", "Event", "Image", "Video", "Audio", "Document", "Proposal"})
"""What we read as a post. Mastodon shows the same, except Document and Proposal."""
TITLED: Final = POSTS - {"Note", "Question", "Proposal"}
"""Posts whose `name` is a title to be shown, and whose `summary` is an abstract, not a warning."""

MOST_RECIPIENTS: Final = 1000
"""To and cc are cut after this many each; Public is kept wherever it stands, so that a cut narrows an audience and never widens it."""
MOST_TAGS: Final = 1000
"""Tags looked at; of these at most `MOST_MENTIONS` mentions and as many hashtags are kept."""
MOST_MENTIONS: Final = 50
MOST_ATTACHMENTS: Final = 16
MOST_CONTENT: Final = 200_000
"""Letters of content kept; the rest is cut off (the sanitiser closes what the cut opened)."""
MOST_SUMMARY: Final = 20_000
MOST_NAME: Final = 2048
MOST_LANGUAGES: Final = 20
MOST_SLUGS: Final = 20
MOST_NEEDS: Final = 20
MOST_NEED: Final = 200
MOST_PEOPLE: Final = 1_000_000
MOST_LEVEL: Final = 5
MOST_MATTER: Final = 5000
MOST_OPTIONS: Final = 20
MOST_OPTION: Final = 500
MOST_VOTES: Final = 1_000_000_000
"""Tallies are what others say: negative ones, fractions and absurd ones are none (security.md A034)."""

_PUBLIC: Final = frozenset({PUBLIC, "as:Public", "Public"})
_NO_TAG: Final = re.compile(r"[\s#<>]")
_SHORTCODE: Final = re.compile(r":[\w.+-]{1,64}(?:@[\w.-]{1,253})?:")
_SLUG: Final = re.compile(r"[\w.-]{1,64}")
_VF: Final = ("", "vf:", vocabulary.VF, "ValueFlows:", "valueflows:")
_FM: Final = ("", "fm:", vocabulary.NAMESPACE, "fedmatch:")
_OM: Final = ("", "om2:", vocabulary.OM2)
_CIRCLES: Final[Mapping[str, Circle]] = {"network": "network", "peers": "peers"}
_URGENCIES: Final[Mapping[str, Urgency]] = {"hours": "hours", "days": "days", "weeks": "weeks", "anytime": "anytime"}


def parse_note(document: Document, *, sender: Iri | None = None) -> Note:
    """The post in `document`; raises `Unreadable` without id or author, or when it is no post.

    `sender` is the author where `attributedTo` is missing, as Misskey reads it, and is preferred where several authors stand (PeerTube names the channel too).
    """
    kind = kind_of(document)
    if kind is None:
        raise Unreadable("object.type", "is none we read as a post")
    return read(document, kind, sender, (), ())


def kind_of(document: Document) -> str | None:
    """The type we read a post as, or None: the first one we know, and a Note before its other types."""
    kinds = types(document)
    if "Note" in kinds:
        return "Note"
    known = next((kind for kind in kinds if kind in POSTS), None)
    return known or ("Proposal" if any(dialects.is_proposal(kind) or dialects.is_intent(kind) for kind in kinds) else None)


def is_vote(document: Document) -> bool:
    """A vote in a poll is a Note with a name and no content (Mastodon)."""
    return "name" in document and not document.get("content") and not document.get("contentMap") and document.get("inReplyTo") is not None


def audience(value: Any) -> tuple[Iri, ...]:
    """Who a member addresses, with one spelling of Public, at most `MOST_RECIPIENTS`."""
    if not value:
        return ()
    found: dict[Iri, None] = {}
    for one in each(value):
        if isinstance(one, dict):
            one = one.get("id") or one.get("@id")
        if isinstance(one, str):
            if one in _PUBLIC:
                found[PUBLIC] = None
            elif len(found) < MOST_RECIPIENTS and (named := iri(one)) is not None:
                found[named] = None
    return tuple(found)


def read(document: Document, kind: str, sender: Iri | None, to: tuple[Iri, ...], cc: tuple[Iri, ...]) -> Note:
    """The post in `document`, known to be of that `kind`; `to` and `cc` are those of its activity, used if it has none itself."""
    get = document.get
    uri = iri(get("id") or get("@id"))
    if uri is None:
        raise Unreadable("object.id", "is missing or no http(s) IRI")
    author = _author(get("attributedTo"), sender)
    if author is None:
        raise Unreadable("object.attributedTo", "is missing or no http(s) IRI")
    content, spoken, others = _content(document, kind)
    summary = text(get("summary"), MOST_SUMMARY) or text(_first_value(get("summaryMap")), MOST_SUMMARY)
    own_to, own_cc = audience(get("to")), audience(get("cc"))
    if not own_to and not own_cc:
        own_to, own_cc = to, cc   # Mastodon: those of the activity are used if the object has none
    mentions, hashtags, emojis = _tags(get("tag"))
    attached = get("attachment")
    source = first(get("source"))
    original = text(source.get("content"), MOST_CONTENT) if isinstance(source, dict) else None
    return Note(
        id=uri,
        attributed_to=author,
        content=content,
        kind=kind,
        summary=summary if kind in ("Note", "Question") else None,
        sensitive=get("sensitive") is True,
        language=spoken,
        content_map=others,
        source=original,
        url=page(get("url")),
        published=moment(get("published")),
        updated=moment(get("updated")),
        in_reply_to=iri(get("inReplyTo")),
        conversation=_conversation(get("context")) or _conversation(get("conversation")),
        to=own_to,
        cc=own_cc,
        audience=audience(get("audience")),
        mentions=mentions,
        hashtags=hashtags,
        attachments=tuple(_attachments(attached)) if attached else (),
        emojis=emojis,
        replies=iri(get("replies")),
        poll=_poll(document) if kind == "Question" else None,
        matter=_matter(get("matter")),
        proposal=_proposal(document, kind, content),
        asks_leave=_asks_leave(get("interactionPolicy")),
    )


@dataclass(slots=True, eq=False)
class PlainNote:
    """What is kept of a public post without title, warning, attachment, poll or parent. Not frozen: to make a frozen one takes longer than to read it."""

    id: Iri
    content: str
    language: str | None
    sensitive: bool
    url: Iri | None
    published: datetime | None
    updated: datetime | None
    conversation: str | None
    to: tuple[Iri, ...]
    cc: tuple[Iri, ...]
    mentions: tuple[Mention, ...]
    hashtags: tuple[Hashtag, ...]
    emojis: tuple[Emoji, ...]


PLAIN_MEMBERS: Final = frozenset(
    {
        "id", "type", "attributedTo", "content", "contentMap", "summary", "sensitive", "url", "published", "updated", "inReplyTo", "conversation", "context",
        "to", "cc", "tag", "attachment",
        # What does not matter to what we keep
        "atomUri", "inReplyToAtomUri", "interactionPolicy", "replies", "likes", "shares",
    }
)  # fmt: skip
PLAIN_ACTIVITY: Final = frozenset({"@context", "id", "type", "actor", "published", "to", "cc", "object", "signature"})


def read_plain(document: Document, author: Iri) -> PlainNote | None:
    """The post in a Create by `author`, if it is as plain as nearly all are: then `read` would say the same. None: read it closely.

    Every member is one we know and of the shape it nearly always has.
    """
    value = document.get("object")
    if not PLAIN_ACTIVITY.issuperset(document) or document.get("type") != "Create" or not isinstance(value, dict) or not PLAIN_MEMBERS.issuperset(value):
        return None
    get = value.get
    content, mapped = get("content"), get("contentMap")
    if get("type") != "Note" or get("attributedTo") != author or not isinstance(content, str) or not 0 < len(content) <= MOST_CONTENT:
        return None
    if get("inReplyTo") is not None or get("summary") is not None or get("attachment"):
        return None
    spoken: str | None = None
    if mapped is not None:
        if not isinstance(mapped, dict) or len(mapped) != 1:
            return None
        [(spoken, same)] = mapped.items()
        if same != content or not language(spoken):
            return None
    uri, to, cc = iri(get("id")), audience(get("to")), audience(get("cc"))
    if uri is None or not (to or cc):
        return None
    mentions, hashtags, emojis = _tags(get("tag"))
    return PlainNote(
        id=uri,
        content=content,
        language=spoken,
        sensitive=get("sensitive") is True,
        url=page(get("url")),
        published=moment(get("published")),
        updated=moment(get("updated")),
        conversation=_conversation(get("context")) or _conversation(get("conversation")),
        to=to,
        cc=cc,
        mentions=mentions,
        hashtags=hashtags,
        emojis=emojis,
    )


def _asks_leave(value: Any) -> bool:
    """Whether its server says who may answer it. Mastodon's policy is about quotes alone."""
    policy = first(value)
    return isinstance(policy, dict) and any(name in policy for name in ("canReply", "gts:canReply", "https://gotosocial.org/ns#canReply"))


def _matter(value: Any) -> Matter | None:
    """What two sides of a conversation agree about; of our own form alone."""
    thing = first(value)
    if not isinstance(thing, dict):
        return None
    name, kind, step = iri(thing.get("id")), thing.get("kind"), thing.get("step")
    if name is None or kind not in get_args(MatterKind) or step not in get_args(MatterStep):
        return None
    return Matter(cast(MatterKind, kind), cast(MatterStep, step), name, text(thing.get("whom"), MOST_MATTER) or "", text(thing.get("words"), MOST_MATTER) or "")


def _author(value: Any, sender: Iri | None) -> Iri | None:
    if isinstance(value, str):
        return iri(value)
    authors = iris(value, 10)
    return sender if sender in authors or not authors else authors[0]


def _content(document: Document, kind: str) -> tuple[str, str | None, tuple[tuple[str, str], ...]]:
    """Content, its language, and the same in other languages.

    GoToSocial gives the language whose entry in `contentMap` equals `content`, Mastodon the first key; Lemmy has a member of its own.
    """
    value = document.get("content")
    content = value if isinstance(value, str) else text(value, MOST_CONTENT)
    spoken: str | None = None
    others: tuple[tuple[str, str], ...] = ()
    if content and len(content) > MOST_CONTENT:
        content = content[:MOST_CONTENT]
    mapped = document.get("contentMap")
    if isinstance(mapped, dict) and mapped:
        entries = [(tag, one[:MOST_CONTENT]) for tag, one in list(mapped.items())[:MOST_LANGUAGES] if isinstance(one, str) and language(tag)]
        if entries:
            spoken = next((tag for tag, one in entries if one == content), entries[0][0])
            if not content:
                content = entries[0][1]
            others = tuple(entry for entry in entries if entry[0] != spoken)
    elif isinstance(tagged := first(value), dict):
        spoken = language(tagged.get("@language"))
    elif isinstance(lemmy := document.get("language"), dict):
        spoken = language(lemmy.get("identifier"))
    if content and document.get("mediaType") in ("text/plain", "text/markdown"):   # PeerTube; without it the text is HTML
        content = html.from_text(content)
    title = text(document.get("name"), MOST_NAME) or text(_first_value(document.get("nameMap")), MOST_NAME)
    if kind == "Proposal" and not content:
        content = text(document.get("summary"), MOST_SUMMARY)
    if kind in TITLED:
        abstract = content or text(document.get("summary"), MOST_SUMMARY) or ""
        content = (f"<p><strong>{escape(title)}</strong></p>" if title else "") + abstract
    elif not content and title:
        content = html.from_text(title)
    return content or "", spoken, others


def _first_value(mapped: Any) -> Any:
    return next(iter(mapped.values()), None) if isinstance(mapped, dict) else None


def _conversation(value: Any) -> str | None:
    """The name of a thread: an IRI, or a tag: URI as Mastodon writes it."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and 0 < len(value) <= MOST_NAME else None


def _tags(value: Any) -> tuple[tuple[Mention, ...], tuple[Hashtag, ...], tuple[Emoji, ...]]:
    mentions: dict[Iri, Mention] = {}
    hashtags: dict[str, Hashtag] = {}
    emojis: dict[str, Emoji] = {}
    for tag in each(value)[:MOST_TAGS]:
        if not isinstance(tag, dict):
            continue
        kinds = types(tag)
        name = tag.get("name")
        if "Mention" in kinds:
            href = iri(tag.get("href"))
            if href is not None and href not in mentions and len(mentions) < MOST_MENTIONS:
                mentions[href] = Mention(href, name[:MOST_NAME] if isinstance(name, str) else "")
        elif "Hashtag" in kinds and isinstance(name, str):
            word = name.strip().removeprefix("#").removeprefix("＃")[:200]
            if word and not _NO_TAG.search(word) and word not in hashtags and len(hashtags) < MOST_MENTIONS:
                hashtags[word] = Hashtag(word, iri(tag.get("href")))
        elif "Emoji" in kinds and (found := emoji(tag)) is not None and len(emojis) < MOST_MENTIONS:
            emojis[found.name] = found
    return tuple(mentions.values()), tuple(hashtags.values()), tuple(emojis.values())


def emoji(tag: Document) -> Emoji | None:
    """The custom emoji of a tag, None if its name is no `:shortcode:`."""
    name = tag.get("name")
    if not isinstance(name, str) or not name:
        return None
    name = name if name.startswith(":") else f":{name}:"   # Misskey's users write both
    icon = first(tag.get("icon"))
    return Emoji(name, iri(first(icon.get("url")) if isinstance(icon, dict) else icon)) if _SHORTCODE.fullmatch(name) else None


def _poll(document: Document) -> Poll | None:
    """The options of a Question, None if there are none to choose from; they are plain text."""
    several = document.get("anyOf")
    options = tuple(_options(several or document.get("oneOf")))
    if len(options) < 2:
        return None
    closed = document.get("closed")
    ends = moment(first(document.get("endTime")))
    voters = document.get("votersCount")
    return Poll(
        options=options,
        multiple=bool(several),
        ends=ends,
        closed=ends if closed is True else moment(first(closed)),   # Pleroma says true
        voters=None if voters is None else _count(voters),
    )


def _options(value: Any) -> Iterator[Option]:
    for one in each(value)[:MOST_OPTIONS]:
        if isinstance(one, dict) and (name := text(one.get("name"), MOST_OPTION)):
            replies = first(one.get("replies"))
            yield Option(name, _count(replies.get("totalItems")) if isinstance(replies, dict) else 0)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_VOTES else 0


def _attachments(value: Any) -> Iterator[Attachment]:
    for one in each(value)[:MOST_ATTACHMENTS]:
        if not isinstance(one, dict) or "PropertyValue" in types(one):
            continue
        link = first(one.get("url"))
        url = iri(link) or iri(one.get("href"))
        if url is not None:
            kind = one.get("mediaType") or (link.get("mediaType") if isinstance(link, dict) else None)
            # Mastodon reads `summary` before `name` as the description.
            yield Attachment(url, text(kind, 100), text(one.get("summary"), 10_000) or text(one.get("name"), 10_000))


def _member(document: Document, name: str, spaces: tuple[str, ...]) -> Any:
    """A member by its plain name, with a prefix, or by its full IRI."""
    for space in spaces:
        value = document.get(space + name)
        if value is not None:
            return value
    return None


def _proposal(document: Document, kind: str, content: str) -> Proposal | None:
    """What makes a post a request or an offer: `purpose` and `publishes`, whatever its type (FEP-0837); or a Proposal attached to it (flohmarkt)."""
    stated = _member(document, "purpose", _VF)
    if stated is None:
        elsewhere = kind == "Proposal" or (kind == "Note" and ("attachment" in document or "flohmarkt:data" in document))
        told = dialects.proposal(document) if elsewhere else None
        return None if told is None or _member(told, "purpose", _VF) is None else _proposal(told, "Proposal", content)
    stated = text(stated, 100) or (iri(stated) or "")
    purpose: Purpose | None = "request" if stated.endswith("request") else "offer" if stated.endswith("offer") else None
    intent = dialects.intent(_member(document, "publishes", _VF))
    if purpose is None or intent is None or not dialects.at_home(document, intent):
        return None
    source = first(document.get("source"))
    plain = text(source.get("content"), MOST_CONTENT) if isinstance(source, dict) and source.get("mediaType") in (None, "text/plain") else None
    if plain is None:
        plain = html.to_text(content)
    title = text(intent.get("name"), MOST_NAME) or text(document.get("name"), MOST_NAME)
    if title is None:
        title = next((line for line in plain.splitlines() if line.strip()), "")[:200]
    categories, skills = _member(document, "category", _FM), _member(document, "skill", _FM)
    if categories is None and skills is None:
        categories = dialects.category(document)
        skills = _member(intent, "resourceConformsTo", _VF)
    ends = moment(first(_member(document, "hasEnd", _VF) or document.get("endTime")))
    due, expires = moment(first(_member(intent, "due", _VF))), moment(first(_member(document, "expires", _FM)))
    readers = _number(_member(document, "readers", _FM), MOST_LEVEL, least=0)
    return Proposal(
        purpose=purpose,
        title=title,
        text=plain,
        status=_status(document, intent),
        categories=_slugs(categories),
        skills=_slugs(skills),
        speaks=tuple(dict.fromkeys(tag for tag in map(language, each(_member(document, "spokenLanguage", _FM))[:MOST_SLUGS]) if tag)),
        region=_slug(_member(document, "region", _FM)),
        urgency=_URGENCIES.get(text(_member(document, "urgency", _FM), 64) or ""),
        # Others know one end; ours has a deadline of its author and a day on which it closes unless it is renewed.
        until=due if expires is not None else ends or due,
        expires=expires,
        helper_region=_slug(_member(document, "helperRegion", _FM)),
        only_speaks=_true(_member(document, "onlyLanguages", _FM)),
        only_region=_true(_member(document, "onlyRegion", _FM)),
        capacity=_number(_member(document, "capacity", _FM), MOST_PEOPLE),
        needs=tuple(_needs(_member(document, "need", _FM))),
        translations=tuple(_translations(_member(document, "titleMap", _FM), _member(document, "textMap", _FM))),
        follow_up_of=iri(_member(document, "followUpOf", _FM)),
        vouches=vouches.read_all(_member(document, "vouch", _FM)),
        readers=readers,
        circle=_CIRCLES.get(text(_member(document, "circle", _FM), 64) or ""),
    )


def _slug(value: Any) -> str | None:
    """A code such as that of a country, None if it is none."""
    code = text(value, 64)
    return code if code and _SLUG.fullmatch(code) else None


def _true(value: Any) -> bool:
    value = first(value)
    return (value.get("@value") if isinstance(value, dict) else value) in (True, "true")


def _number(value: Any, most: int, least: int = 1) -> int | None:
    """A whole number that stands as a number or as text, alone or in an RDF literal; None if it is none, or absurd."""
    value = first(value)
    if isinstance(value, dict):
        value = first(value.get("@value"))
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(?:\.0+)?", value):
        value = int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def _needs(value: Any) -> Iterator[Need]:
    seen: set[str] = set()
    for one in each(value)[:MOST_NEEDS]:
        name = text(one.get("name"), MOST_NEED) if isinstance(one, dict) else None
        if name and name not in seen:
            seen.add(name)
            yield Need(name, _number(_member(one, "quantity", _FM), MOST_PEOPLE) or 1, _true(_member(one, "equipment", _FM)))


def _translations(titles: Any, texts: Any) -> Iterator[Translation]:
    """Title and text in other languages, of those languages in which both stand."""
    if isinstance(titles, dict) and isinstance(texts, dict):
        for tag in list(titles)[:MOST_LANGUAGES]:
            title, words = text(titles[tag], MOST_NAME), text(texts.get(tag), MOST_CONTENT)
            if language(tag) and title and words:
                yield Translation(tag, title, words)


def _status(document: Document, intent: Document) -> str:
    """Our own word for it if there is one; else what FEP-0837's members say."""
    stated = text(_member(document, "status", _FM), 64)
    if stated and _SLUG.fullmatch(stated):
        return stated
    finished = first(_member(intent, "finished", _VF) or _member(document, "finished", _VF))
    if isinstance(finished, dict):
        finished = finished.get("@value")
    if finished is True or finished == "true":
        return "withdrawn"
    available = first(_member(intent, "availableQuantity", _VF))
    if isinstance(available, dict):
        available = first(_member(available, "hasNumericalValue", _OM))
        if isinstance(available, dict):
            available = available.get("@value")
    return "matched" if str(available).strip() in {"0", "0.0"} else "open"   # Mitra writes numbers as text, others as numbers


def _slugs(value: Any) -> tuple[str, ...]:
    """Categories or skills: ours in their canonical spelling, others as they came if they look like a slug."""
    found: dict[str, None] = {}
    for one in each(value)[:MOST_SLUGS]:
        if isinstance(one, dict):
            one = one.get("@value") or one.get("id") or one.get("@id")
        if isinstance(one, str):
            word = one.removeprefix(vocabulary.CATEGORY).removeprefix(vocabulary.SKILL)
            if _SLUG.fullmatch(word):
                found[vocabulary.known(word)] = None
    return tuple(found)
