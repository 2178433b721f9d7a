"""How is a URL spelled on the wire? The one spelling that is both signed and sent, so that a signature over the path holds at the other end."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

from actors.hosts import BadUrl, authority

PORTS: Final = frozenset({443, 8443})
"""Where https federation lives. Elsewhere a stranger's URL could make us knock at mail servers and databases; development may use any port."""
LONGEST_URL: Final = 2048

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\<>\"^`{|}\ud800-\udfff]")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS = re.compile(r"/(?:\.|%2[eE]){1,2}(?:/|$)")
_PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class Target:
    """A URL we may ask for, in its canonical spelling; `path` has the query with it."""

    url: str
    scheme: str
    authority: str
    path: str


def target(url: str, *, plain_http: bool = True, any_port: bool = True) -> Target:
    """The canonical spelling of a URL; raises `BadUrl`.

    Refused: anything but https (and http where `plain_http`), user names, control characters, blanks, backslashes and other characters that parsers read
    differently, `.` and `..` segments (spelled with percent signs too), ports outside `PORTS` unless `any_port`, more than 2,048 characters.
    A fragment is cut off: it never leaves. What is not ASCII in path and query is percent-encoded as UTF-8; what is encoded already stays as it is.
    """
    spelled = _spelled(url)
    if spelled.scheme != "https" and not (plain_http and spelled.scheme == "http"):
        raise BadUrl(f"{spelled.scheme} is not https")
    if not any_port and not spelled.authority.endswith("]"):
        port = spelled.authority.rpartition(":")[2] if ":" in spelled.authority else "443"
        if int(port) not in PORTS:
            raise BadUrl(f"port {port}: only {' and '.join(map(str, sorted(PORTS)))}")
    return spelled


@lru_cache(maxsize=4096)  # asked for twice for each request: once to sign, once to send
def _spelled(url: str) -> Target:
    if len(url) > LONGEST_URL:
        raise BadUrl(f"a URL of more than {LONGEST_URL} characters")
    if _UNSAFE.search(url) or _PERCENT.search(url):
        raise BadUrl("a URL with characters that do not belong into one")
    host = authority(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadUrl("not an absolute URL") from None
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    if _DOTS.search(path):
        raise BadUrl("a path with . or .. in it")
    if parts.query:
        path += "?" + quote(parts.query, safe=_PATH_SAFE + "?")
    return Target(f"{parts.scheme}://{host}{path}", parts.scheme, host, path)
