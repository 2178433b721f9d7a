"""What is the same on every page? The templates in the reader's language, the links that keep it, the headers, and the style sheet."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Response, request

from fedmatch.web import language
from fedmatch.web.language import OFFERED, Spoken

if TYPE_CHECKING:
    from actors.instance import Instance

AGE_S: Final = 30
"""How long caches may keep a page: what is withdrawn is unreadable within a minute, in the caches of proxies too."""
VARY: Final = "Accept, Accept-Encoding, Accept-Language"
PACKED_FROM: Final = 1_000
"""Bytes from which on a page is sent compressed to whoever reads that: on a slow line the board in Arabic takes a sixth of the time."""
PACKING: Final = 4


@cache
def _templates(code: str) -> Environment:
    made = Environment(
        loader=PackageLoader("fedmatch.web"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(language.translations(code), newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    return made


@cache
def stylesheet() -> tuple[bytes, str]:
    """The one style sheet, and its address: a changed one has another."""
    text = (files("fedmatch.web") / "static" / "fedmatch.css").read_bytes()
    return text, f"/static/fedmatch.css?v={sha256(text).hexdigest()[:8]}"


@cache
def icon() -> bytes:
    """The sign in the tab of a browser."""
    return (files("fedmatch.web") / "static" / "icon.svg").read_bytes()


def spoken() -> Spoken:
    """The language of the page that is being answered."""
    return language.asked(request.args.get("lang"), request.headers.get("Accept-Language", ""))


def packed(response: Response, body: bytes) -> Response:
    """The response with its `body` compressed (gzip), if whoever asks reads that and it is worth it.

    Of pages that everybody may read, whose length gives nothing away: what holds a secret of the reader beside words of others is never compressed (BREACH).
    """
    if len(body) >= PACKED_FROM and language.reads_gzip(request.headers.get("Accept-Encoding", "")):
        response.set_data(gzip.compress(body, PACKING, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response


def link(path: str, said: Spoken, query: Mapping[str, str] | None = None) -> str:
    """An address here with a query, and with the language if it was chosen by address."""
    values = {name: value for name, value in (query or {}).items() if value}
    if said.chosen:
        values["lang"] = said.code
    return f"{path}?{urlencode(values)}" if values else path


def quoted(name: str) -> str:
    """A name as one piece of a path."""
    return quote(name, safe="")


@dataclass(frozen=True, slots=True)
class Contact:
    """How people here are reached, in words and, where it is an address of the web or of e-mail, as a link ("" otherwise)."""

    words: str
    href: str

    @classmethod
    def of(cls, text: str) -> "Contact":
        """The contact as the configuration states it."""
        words = text.strip().removeprefix("mailto:")
        if " " not in words and words.startswith(("https://", "http://")):
            return cls(words, words)
        name, at, host = words.partition("@")
        return cls(words, f"mailto:{words}" if name and at and host and not set(words) & set(" ,;<>?&/") and "@" not in host else "")


class Frame:
    """Makes the pages of one instance."""

    def __init__(self, instance: "Instance") -> None:
        self.instance = instance
        self._reach = Contact.of(instance.config.contact)

    def page(self, template: str, status: int = 200, *, query: Mapping[str, str] | None = None, **context: object) -> Response:
        """A whole page. `query` is what of its query means something: the links to it in other languages keep that, and nothing else somebody put there."""
        said = spoken()
        kept = query or {}
        # Links that are a query alone keep the path: an error page says no word of it, so that all of them are the same bytes.
        others = [(code, name, "?" + urlencode({**kept, "lang": code})) for code, name in OFFERED.items()]
        text = (
            _templates(said.code)
            .get_template(template)
            .render(
                instance=self.instance.config,
                reach=self._reach,
                said=said,
                others=others,
                stylesheet=stylesheet()[1],
                link=lambda path, query=None: link(path, said, query),
                **context,
            )
        )
        headers = {"Cache-Control": f"max-age={AGE_S}", "Vary": VARY, "Content-Language": said.code}
        return packed(Response(text, status, content_type="text/html; charset=utf-8", headers=headers), text.encode())

    def to(self, path: str) -> Response:
        """The way to another page of ours, in the language that was chosen."""
        return Response("", 302, headers={"Location": link(path, spoken()), "Cache-Control": f"max-age={AGE_S}", "Vary": VARY})

    def say(self, words: str, **values: object) -> str:
        """One of our sentences outside a template, with `values` put in as plain text."""
        return language.translations(spoken().code).gettext(words) % values

    def feed(self, template: str, **context: object) -> Response:
        """An Atom feed (RFC 4287). Readers ask again and again: what they have already costs 304 and no body."""
        said = spoken()
        text = _templates(said.code).get_template(template).render(instance=self.instance.config, said=said, **context)
        headers = {"Cache-Control": f"max-age={AGE_S}", "Vary": VARY, "Content-Language": said.code}
        body = text.encode()
        response = packed(Response(body, content_type="application/atom+xml; charset=utf-8", headers=headers), body)
        response.set_etag(sha256(body).hexdigest()[:32], weak=True)  # the same words, compressed or not
        return response
