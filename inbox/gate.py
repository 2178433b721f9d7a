"""Is this body something the inbox reads? Media type, strict JSON, and the four members the door needs before anything is proven.

The JSON itself is judged by schemas.gate, which every foreign document passes; here its refusals get the inbox's errors.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from actors.media import is_activitypub
from inbox.errors import Malformed
from schemas.gate import loads
from schemas.reading import AS, Document, Headers, Iri, Unreadable

LONGEST_IRI: Final = 2048
_IRI: Final = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f]+\Z")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a document says about itself. Nothing of it is proven yet."""

    id: Iri | None
    kind: str
    actor: Iri
    object: Iri | None


def media_type(headers: Headers) -> None:
    """Refuses (415) what is not `application/activity+json`, or `application/ld+json` with the ActivityStreams profile, in UTF-8."""
    values = [value for name, value in headers if name == b"content-type"]
    if len(values) != 1 or not _is_activity(values[0]):
        raise Malformed("content-type", "an inbox reads application/activity+json, or application/ld+json with the ActivityStreams profile", status=415)


@lru_cache(maxsize=256)
def _is_activity(value: bytes) -> bool:
    return is_activitypub(value.decode("latin-1"))


def read(body: bytes, limit: int) -> Document:
    """The JSON object in `body` (at most `limit` bytes); raises `Malformed` for everything two readers could read differently."""
    try:
        return loads(body, limit)
    except Unreadable as error:
        raise Malformed(error.where, error.why) from None


def claim(document: Document) -> Claim:
    """Who the document says did what to which object; raises `Malformed` when it does not even say so.

    Shapes are read as tolerantly as peers write them (protocol 7): string, object with an id, or a list of one of these; `@id` and `@type`; full names.
    A missing id is allowed here: the activity is transient.
    """
    kind = document.get("type", document.get("@type"))
    if isinstance(kind, list):
        kind = next((name for name in kind if isinstance(name, str)), None)
    if not isinstance(kind, str) or not kind or len(kind) > 200:
        raise Malformed("type", "an activity names its type")
    actor = iri(document.get("actor") or document.get("as:actor") or document.get(f"{AS}actor"))
    if actor is None:
        raise Malformed("actor", "an activity names its actor by an absolute http or https id")
    given = document.get("id", document.get("@id"))
    own = iri(given) if isinstance(given, str) else None
    if given is not None and own is None:
        raise Malformed("id", "an id is an absolute http or https address")
    about = document.get("object") or document.get("as:object") or document.get(f"{AS}object")
    return Claim(own, kind.removeprefix("as:").removeprefix(AS), actor, iri(about))


def iri(value: object) -> Iri | None:
    """The id in a member that holds an id, an object with one, or a list whose first is one of these; None for anything else."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("id", value.get("@id"))
    if not isinstance(value, str) or len(value) > LONGEST_IRI or _IRI.match(value) is None:
        return None
    return Iri(value)
