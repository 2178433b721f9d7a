"""How does somebody follow the board without an account? Atom feeds (RFC 4287) of what everybody may read: of the board with any filters, and of an actor."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quart import Response, abort, request

from actors import known
from fedmatch import times
from fedmatch.board.listings import Listing
from fedmatch.board.search import BadCursor
from fedmatch.web import board as boards
from fedmatch.web import filters, frame
from fedmatch.web.board import Listed
from fedmatch.web.frame import Frame
from fedmatch.web.language import Spoken, direction
from fedmatch.web.listing import titled
from schemas import vocabulary

if TYPE_CHECKING:
    from actors.instance import Instance

ENTRIES: Final = 20
NEVER: Final = "1970-01-01T00:00:00Z"
"""When a feed without entries changed last: an Atom feed has to say."""
UNKNOWN: Final = "und"
"""The language tag (BCP 47) of what does not say its language; without one it would be taken for that of the feed."""
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLANK: Final = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Text:
    """Title and text in one language: paragraphs of lines."""

    language: str
    direction: str
    title: str
    paragraphs: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A listing in a feed."""

    url: str
    title: str
    language: str
    author: str
    author_url: str | None
    published: str
    updated: str
    terms: tuple[tuple[str, str], ...]
    warning: str
    versions: tuple[Text, ...]


async def board(made: Frame) -> Response:
    """The board with the filters of the address."""
    said = frame.spoken()
    asked = filters.read(request.args)
    if asked.wrong:
        return await boards.Board(made).board()  # the page says what was not understood
    try:
        found = await boards.searched(made.instance, asked, ENTRIES)
    except BadCursor:
        return boards.Board(made).leads_nowhere()
    about = [vocabulary.label(asked.topic, said.code)] if asked.topic else []
    return await _feed(made, said, found, "/board", "/board.atom", asked.kept, about)


async def actor(made: Frame, name: str) -> Response:
    """What an actor of ours asks and offers in public; of one who is not to be seen, the same 404 as of nobody."""
    instance = made.instance
    found = await instance.database.read(known.by_name, name)
    if found is None or found.username != name or found.kind == "Application" or not found.active:
        abort(404)
    try:
        listed = await boards.of_author(instance, found, ENTRIES)
    except BadCursor:
        return boards.Board(made).leads_nowhere()
    return await _feed(made, frame.spoken(), listed, f"/@{name}", f"/users/{name}/feed.atom", {}, [f"@{found.handle}"])


async def _feed(made: Frame, said: Spoken, found: Listed, page: str, path: str, kept: Mapping[str, str], about: list[str]) -> Response:
    base = made.instance.config.base_url
    start = {"after": found.start}
    entries = [_entry(made.instance, one, said) for one in found.listings]
    response = made.feed(
        "feed.xml",
        id=base + frame.link(path, Spoken(said.code), kept),
        self_url=base + frame.link(path, said, {**kept, **start}),
        page_url=base + frame.link(page, said, kept),
        next_url=base + frame.link(path, said, {**kept, "after": found.more}) if found.more else None,
        about=[_clean(word) for word in about],
        updated=max((one.updated for one in entries), default=NEVER),
        entries=entries,
    )
    await response.make_conditional(request)
    return response


def _entry(instance: "Instance", listing: Listing, said: Spoken) -> Entry:
    versions = [(listing.language, listing.title, listing.text), *((one.language, one.title, one.text) for one in listing.translations)]
    return Entry(
        url=_clean(listing.url),
        title=_clean(titled(listing.title, listing, said)),
        language=listing.language or UNKNOWN,
        author=_clean(f"@{listing.author}"),
        author_url=f"{instance.config.base_url}/@{listing.author.partition('@')[0]}" if listing.local else None,
        published=times.rfc3339(listing.published),
        updated=times.rfc3339(max(listing.updated or 0, listing.published)),
        terms=tuple((_clean(slug), _clean(vocabulary.label(slug, said.code))) for slug in dict.fromkeys((*listing.categories, *listing.skills))),
        warning=_clean(listing.warning or ""),
        versions=tuple(Text(tag or UNKNOWN, direction(tag), _clean(titled(title, listing, said)), _paragraphs(text)) for tag, title, text in versions),
    )


def _paragraphs(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(block.split("\n")) for block in _BLANK.split(_clean(text.replace("\r", "")).strip()) if block.strip())


def _clean(text: str) -> str:
    """A text without what XML 1.0 cannot hold."""
    return _NO_XML.sub("", text)
