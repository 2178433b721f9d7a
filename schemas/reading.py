"""How do we read what is not ours? Tolerant readers for foreign JSON and for database rows; `Any` lives here and stops here."""

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, NewType, Protocol

Iri = NewType("Iri", str)
"""An absolute http(s) IRI, as its owner spells it. Compared byte for byte; hosts are compared through `actors.hosts`."""

Document = dict[str, Any]
"""A JSON object that passed `inbox.gate` but was not parsed yet."""


class Unreadable(ValueError):
    """A foreign document cannot be read: `where` names the member, `why` says what is wrong with it. Neither repeats what people wrote."""

    def __init__(self, where: str, why: str) -> None:
        self.where, self.why = where, why
        super().__init__(f"{where}: {why}")


Message = MutableMapping[str, Any]
"""An ASGI scope or message, as the HTTP server hands it over (asgi.readthedocs.io, HTTP version 2.3)."""

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
"""Header lines as they came: names in lower case, repeated ones repeated."""


class Row(Protocol):
    """One row of a query, read by column name (`sqlite3.Row` and `asyncpg.Record` both are one)."""

    def __getitem__(self, name: str, /) -> Any: ...


AS: Final = "https://www.w3.org/ns/activitystreams#"

MOST_IRI: Final = 2048
_IRI: Final = re.compile(r"https?://[^\s/?#\x00-\x20\x7f<>\"\\][^\s\x00-\x20\x7f<>\"\\]*")

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,6}")


def each(value: Any) -> Sequence[Any]:
    """The values of a member that may be missing, single, or a list (AS2: all three mean the same)."""
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def first(value: Any) -> Any:
    """The first value of a member that may be a list, or None."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def iri(value: Any) -> Iri | None:
    """The http(s) IRI of a string, of an object's `id` (or `@id`), of a Link's `href`, or of the first of a list; at most 2,048 letters, else None."""
    if isinstance(value, str):
        return Iri(value) if len(value) <= MOST_IRI and _is_iri(value) else None
    if isinstance(value, dict):
        named = value.get("id") or value.get("@id") or value.get("href")
        return iri(named) if isinstance(named, str) else None
    if isinstance(value, list) and value and not isinstance(value[0], list):
        return iri(value[0])
    return None


@lru_cache(maxsize=4096)
def _is_iri(value: str) -> bool:
    """The same few IRIs (Public, an actor, its followers) stand in every document: remembering them saves a third of parsing."""
    return _IRI.fullmatch(value) is not None


def iris(value: Any, most: int) -> tuple[Iri, ...]:
    """The IRIs of a member that may be a string, an object or a list, without repeats, at most `most`; what is no IRI is left out."""
    found: dict[Iri, None] = {}
    for one in each(value):
        named = iri(one)
        if named is not None:
            found[named] = None
            if len(found) == most:
                break
    return tuple(found)


def text(value: Any, most: int) -> str | None:
    """The text of a string, of an AS2 language value `{"@value": ...}`, or of the first of a list, cut after `most` letters; None if there is none."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("@value")
    return value[:most] if isinstance(value, str) and value else None


def moment(value: Any) -> datetime | None:
    """The aware UTC time of an RFC 3339 or ISO 8601 text, or of an RFC 2822 date; without a zone it is UTC. None for what is no time of the years 1 to 9999."""
    if isinstance(value, dict):
        value = value.get("@value")   # an expanded typed value
    if not isinstance(value, str) or not 8 <= len(value) <= 64:
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        try:
            read = datetime.fromisoformat(value.strip().upper().removesuffix(" UTC"))
        except ValueError:
            try:
                read = parsedate_to_datetime(value)
            except (ValueError, OverflowError, IndexError, TypeError):
                return None
    if read.tzinfo is UTC:
        return read
    try:
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):   # an offset that leads out of the calendar
        return None


def types(document: Document) -> Sequence[str]:
    """The types of a document, without `as:` or the namespace; unknown ones too."""
    value = document.get("type") or document.get("@type")
    if isinstance(value, str):
        return (_bare(value),) if ":" in value else (value,)
    return [_bare(one) for one in each(value) if isinstance(one, str)][:10]


def _bare(name: str) -> str:
    return name.removeprefix("as:").removeprefix(AS)


def page(value: Any) -> Iri | None:
    """The address of a member that may be a string, a Link or a list of both: the HTML page before all others."""
    if isinstance(value, list):
        pages = [one for one in value[:20] if isinstance(one, dict) and (one.get("mediaType") or one.get("mimeType")) == "text/html"]
        plain = [one for one in value[:20] if isinstance(one, str)]
        return next((found for one in (*pages, *plain, *value[:1]) if (found := iri(one)) is not None), None)
    return iri(value)


def language(value: Any) -> str | None:
    """A BCP 47 tag as it came, or None for what is none and for `und`."""
    return value if isinstance(value, str) and value != "und" and _LANGUAGE.fullmatch(value) else None
