"""Is this ActivityPub? Media types as peers write them, in Content-Type, Accept and WebFinger links."""

import re
from collections.abc import Mapping
from typing import Final

ACTIVITY_JSON: Final = "application/activity+json"
AS_PROFILE: Final = "https://www.w3.org/ns/activitystreams"
ACCEPT: Final = f'{ACTIVITY_JSON}, application/ld+json; profile="{AS_PROFILE}"'
LONGEST: Final = 2048

_PARAMETER = re.compile(r';\s*([A-Za-z0-9!#$&^_.+-]+)\s*=\s*(?:"([^"\\]*)"|([^\s";,]*))\s*')


def media_type(text: str) -> tuple[str, Mapping[str, str]]:
    """Type and parameters of one media type, lower-case but for the values; ("", {}) if it is none."""
    kind, semicolon, rest = text[:LONGEST].partition(";")
    kind = kind.strip().lower()
    if "," in kind or kind.count("/") != 1 or any(blank in kind for blank in " \t\r\n"):
        return "", {}
    parameters: dict[str, str] = {}
    rest = semicolon + rest
    at = 0
    while at < len(rest.rstrip()):
        match = _PARAMETER.match(rest, at)
        if match is None or match[1].lower() in parameters:
            # Two headers joined by a comma, a double, an open quote: nobody's media type.
            return ("", {}) if rest[at:].strip() != ";" else (kind, parameters)
        parameters[match[1].lower()] = match[2] if match[2] is not None else match[3]
        at = match.end()
    return kind, parameters


def is_activitypub(text: str) -> bool:
    """Whether a Content-Type is one of ActivityPub's two; `application/json` is neither, since anybody's upload may be served as that (GHSA-jhrq-qvrm-qr36)."""
    kind, parameters = media_type(text)
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        return False
    if kind == ACTIVITY_JSON:
        return True
    return kind == "application/ld+json" and AS_PROFILE in parameters.get("profile", "").split()


def wants_activitypub(accept: str) -> bool:
    """Whether an Accept header prefers ActivityPub (or any JSON) to HTML; without one, or `*/*` alone, the answer is HTML.

    Quality values count; where both are liked alike, the one named first wins. `application/ld+json` counts with any profile or none.
    """
    json_like = html_like = (0.0, 0)
    for place, item in enumerate(_items(accept[:LONGEST])):
        kind, parameters = media_type(item)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        if not 0 < quality <= 1:
            continue
        liked = (quality, -place)
        if kind in (ACTIVITY_JSON, "application/ld+json", "application/json"):
            json_like = max(json_like, liked)
        elif kind in ("text/html", "application/xhtml+xml"):
            html_like = max(html_like, liked)
    return json_like > html_like


def _items(text: str) -> list[str]:
    """The members of a comma list, commas in quotes left alone."""
    return re.findall(r'(?:[^,"]|"[^"]*")+', text)
