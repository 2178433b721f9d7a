"""Who is name@host? The client's side of WebFinger (RFC 7033): look up, follow host-meta once, and accept a subject only if its own host says the same."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from actors.fetch import Budget, FetchFailed, get
from actors.hosts import BadUrl, host_name
from actors.media import is_activitypub, media_type
from schemas.config import is_local_name
from schemas.gate import loads
from schemas.reading import Document, Iri, Unreadable

if TYPE_CHECKING:
    from actors.instance import Instance

MOST_JRD: Final = 64 * 1024
JRD_TYPES: Final = frozenset({"application/jrd+json", "application/json"})
XRD_TYPES: Final = frozenset({"application/xrd+xml", "application/xml", "text/xml"})
_LINK = re.compile(r"<(?:\w+:)?Link\s([^<>]{1,4096})>")
_ATTRIBUTE = re.compile(r"""\b(rel|template)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_USER = re.compile(r"[^\s@/:?#\x00-\x20]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Finger:
    """A handle (`name@host`, host normalised) whose own host names this actor id."""

    handle: str
    href: Iri

    @property
    def username(self) -> str:
        return self.handle.rpartition("@")[0]

    @property
    def host(self) -> str:
        return self.handle.rpartition("@")[2]


def split(handle: str) -> tuple[str, str]:
    """Name and normalised host of `name@host`, `@name@host` or `acct:name@host`; raises `BadUrl`."""
    name, at, host = handle.strip().removeprefix("acct:").removeprefix("@").rpartition("@")
    if not at or not _USER.match(name):
        raise BadUrl("not a handle: name@host")
    return name, host_name(host)


async def lookup(instance: "Instance", handle: str, budget: Budget) -> Finger | FetchFailed:
    """The actor id behind a handle, and the handle its own host gives it.

    A subject other than what was asked for is looked up once more on its own host and must name itself there (split domains); a third hop is refused.
    """
    try:
        asked = split(handle)
    except BadUrl as error:
        return FetchFailed(str(error), "unusable")
    first = await _ask(instance, *asked, budget)
    if isinstance(first, FetchFailed) or _same(first, asked):
        return first
    again = split(first.handle)
    second = await _ask(instance, *again, budget)
    if isinstance(second, FetchFailed):
        return second
    if not _same(second, again):
        return FetchFailed("its handle leads from host to host", "unusable")
    return second


def _same(finger: Finger, asked: tuple[str, str]) -> bool:
    return (finger.username.lower(), finger.host) == (asked[0].lower(), asked[1])


async def _ask(instance: "Instance", name: str, host: str, budget: Budget) -> Finger | FetchFailed:
    scheme = _scheme(instance, host)
    resource = f"acct:{name}@{host}"
    answer = await _jrd(instance, f"{scheme}://{host}/.well-known/webfinger?resource={quote(resource, safe=':@')}", budget)
    if isinstance(answer, FetchFailed) and answer.kind in ("missing", "refused", "unusable"):
        template = await _template(instance, f"{scheme}://{host}/.well-known/host-meta", budget)
        if template is not None:
            answer = await _jrd(instance, template.replace("{uri}", quote(resource, safe="")), budget)
    if isinstance(answer, FetchFailed):
        return answer
    return _read(answer)


def _scheme(instance: "Instance", host: str) -> str:
    development = instance.config.development
    return "http" if development and development.plain_http and is_local_name(host) else "https"


async def _accept_jrd(_: str) -> Mapping[str, str]:
    return {"Accept": "application/jrd+json, application/json"}


async def _accept_xrd(_: str) -> Mapping[str, str]:
    return {"Accept": "application/xrd+xml, application/xml, text/xml"}


async def _jrd(instance: "Instance", url: str, budget: Budget) -> Document | FetchFailed:
    answer = await get(instance, url, _accept_jrd, budget=budget, limit=MOST_JRD)
    if isinstance(answer, FetchFailed):
        return answer
    if media_type(answer.headers.get("content-type", ""))[0] not in JRD_TYPES:
        return FetchFailed("a WebFinger answer that is not JRD", "unusable")
    try:
        return loads(answer.body, MOST_JRD)
    except Unreadable as error:
        return FetchFailed(str(error), "unusable")


async def _template(instance: "Instance", url: str, budget: Budget) -> str | None:
    """The lrdd template of host-meta. Read with two patterns, not an XML parser: there is no entity to expand and nothing to nest."""
    answer = await get(instance, url, _accept_xrd, budget=budget, limit=MOST_JRD)
    if isinstance(answer, FetchFailed) or media_type(answer.headers.get("content-type", ""))[0] not in XRD_TYPES:
        return None
    for link in _LINK.findall(answer.body.decode("utf-8", "replace")):
        attributes = {name: html.unescape(double or single) for name, double, single in _ATTRIBUTE.findall(link)}
        if attributes.get("rel") == "lrdd" and "{uri}" in attributes.get("template", ""):
            return attributes["template"]
    return None


def _read(document: Document) -> Finger | FetchFailed:
    subject, links = document.get("subject"), document.get("links")
    if not isinstance(subject, str) or not subject.startswith("acct:") or not isinstance(links, list):
        return FetchFailed("a WebFinger answer without subject or links", "unusable")
    try:
        name, host = split(subject)
    except BadUrl:
        return FetchFailed("a WebFinger answer whose subject is no handle", "unusable")
    for link in links[:100]:
        if not isinstance(link, dict) or link.get("rel") != "self":
            continue
        kind, href = link.get("type"), link.get("href")
        if isinstance(kind, str) and isinstance(href, str) and is_activitypub(kind):
            return Finger(f"{name}@{host}", Iri(href))
    return FetchFailed("a WebFinger answer without an actor", "unusable")
