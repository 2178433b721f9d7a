"""What can arrive, and what can we send? The closed union of activities; handled by `match` with `assert_never`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from schemas.notes import audience, is_vote, kind_of, parse_note, read
from schemas.objects import ActorDocument, Note, Reference, Tombstone
from schemas.profiles import ACTORS, parse_actor, parse_keys
from schemas.reading import Document, Iri, Unreadable, first, iri, iris, moment, text, types

__all__ = [
    "Accept", "Activity", "Announce", "Base", "Create", "Delete", "Flag", "Follow", "Like", "Other", "Reject", "Undo", "Update",
    "parse", "parse_actor", "parse_keys", "parse_note",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What every activity has. `id` may be missing where its sender leaves it out."""

    id: Iri | None
    actor: Iri
    to: tuple[Iri, ...] = ()
    cc: tuple[Iri, ...] = ()
    published: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow(Base):
    """`actor` asks to follow `object`."""

    object: Iri


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(Base):
    """`actor` agrees to `object`: the embedded activity, or its id alone."""

    object: "Follow | Other | Reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Base):
    """`actor` refuses `object`, or takes an earlier Accept back."""

    object: "Follow | Other | Reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo(Base):
    """`actor` takes back its own `object`: the embedded activity, or its id alone."""

    object: "Follow | Announce | Like | Other | Reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Base):
    """`actor` made `object`."""

    object: Note | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Base):
    """`actor` changed `object`: one of its posts, or itself."""

    object: Note | ActorDocument | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Base):
    """`actor` removed `object`; `object == actor` removes the actor."""

    object: Tombstone | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce(Base):
    """`actor` boosts the post with the id `object`."""

    object: Iri


@dataclass(frozen=True, slots=True, kw_only=True)
class Like(Base):
    """`actor` likes the post with the id `object`."""

    object: Iri


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag(Base):
    """`actor` (usually a whole instance) complains about `objects`, at most 20 ids of actors and posts; `content` says why, plain, at most 5,000 letters."""

    objects: tuple[Iri, ...]
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Base):
    """An activity of a type we do not act on: answered with 202 and forgotten."""

    kind: str


Activity = Follow | Accept | Reject | Undo | Create | Update | Delete | Announce | Like | Flag | Other

MOST_FLAGGED = 20
LONGEST_FLAG = 5000


def parse(document: Document) -> Activity:
    """The activity in `document`: tolerant about shapes, strict about meaning; unknown types become `Other`.

    Raises `Unreadable` where type, actor or object is missing or no IRI. A Create or Update carries its post whole, or a `Reference` where only the id came.
    About 15 us for a Create of a Mastodon post. Reads no context: prefixed and expanded documents of other dialects go through `schemas.jsonld` first.
    """
    kinds = types(document)
    if not kinds:
        raise Unreadable("type", "is missing")
    actor = iri(document.get("actor"))
    if actor is None:
        raise Unreadable("actor", "is missing or no http(s) IRI")
    return _activity(document, kinds, actor)


class _Head(TypedDict):
    """What `Base` holds."""

    id: Iri | None
    actor: Iri
    to: tuple[Iri, ...]
    cc: tuple[Iri, ...]
    published: datetime | None


def _activity(document: Document, kinds: Sequence[str], actor: Iri) -> Activity:
    head: _Head = {
        "id": iri(document.get("id") or document.get("@id")),
        "actor": actor,
        "to": audience(document.get("to")),
        "cc": audience(document.get("cc")),
        "published": moment(document.get("published")),
    }
    value = document.get("object")
    for kind in kinds:
        match kind:
            case "Create":
                return _create(head, value)
            case "Update":
                return _update(head, value)
            case "Delete":
                return Delete(**head, object=_deleted(value))
            case "Follow":
                return Follow(**head, object=_object(value))
            case "Like":
                return Like(**head, object=_object(value))
            case "Announce":
                return _announce(head, value)
            case "Flag":
                return _flag(head, value, document.get("content"))
            case "Accept":
                agreed = _inner(value, None)
                return Accept(**head, object=agreed if isinstance(agreed, Follow | Reference) else _other(agreed))
            case "Reject":
                refused = _inner(value, None)
                return Reject(**head, object=refused if isinstance(refused, Follow | Reference) else _other(refused))
            case "Undo":
                undone = _inner(value, actor)
                return Undo(**head, object=undone if isinstance(undone, Follow | Announce | Like | Reference) else _other(undone))
            case _:
                continue
    return Other(**head, kind=kinds[0][:100])


def _other(activity: Activity) -> Other:
    """An activity where only a few types can stand, as one we do not act on."""
    return activity if isinstance(activity, Other) else Other(id=activity.id, actor=activity.actor, kind=type(activity).__name__)


def _object(value: Any) -> Iri:
    named = iri(value)
    if named is None:
        raise Unreadable("object", "is missing or has no http(s) IRI as id")
    return named


def _flag(head: _Head, value: Any, content: Any) -> Flag:
    words = text(content, LONGEST_FLAG) or ""
    # Misskey names posts in the text: "Note: https://...", a line of dashes, then what was written.
    named = (*iris(value, MOST_FLAGGED), *(one for word in words.split()[:200] if word.startswith("http") and (one := iri(word)) is not None))
    objects = tuple(dict.fromkeys(named))[:MOST_FLAGGED]
    if not objects:
        raise Unreadable("object", "names nobody and nothing")
    return Flag(**head, objects=objects, content=words)


def _create(head: _Head, value: Any) -> Activity:
    value = first(value)   # GoToSocial sends several poll votes as a list
    if isinstance(value, dict) and types(value):
        kind = kind_of(value)
        if kind is None or is_vote(value):
            return Other(**head, kind="Create")
        return Create(**head, object=read(value, kind, head["actor"], head["to"], head["cc"]))
    return Create(**head, object=Reference(_object(value)))


def _update(head: _Head, value: Any) -> Activity:
    value = first(value)
    if isinstance(value, dict) and (kinds := types(value)):
        kind = kind_of(value)
        if kind is not None:
            return Update(**head, object=read(value, kind, head["actor"], head["to"], head["cc"]))
        if any(name in ACTORS for name in kinds):
            return Update(**head, object=parse_actor(value))
        return Other(**head, kind="Update")
    return Update(**head, object=Reference(_object(value)))


def _deleted(value: Any) -> Tombstone | Reference:
    named = _object(value)
    value = first(value)
    if isinstance(value, dict) and "Tombstone" in types(value):
        return Tombstone(named, text(value.get("formerType"), 100))
    return Reference(named)


def _announce(head: _Head, value: Any) -> Activity:
    value = first(value)
    if isinstance(value, dict) and "object" in value:
        # A group wraps activities (FEP-1b12). A wrapped Create stands for its post; other wrapped activities are nothing to boost.
        if "Create" not in types(value):
            return Other(**head, kind="Announce")
        value = value["object"]
    return Announce(**head, object=_object(value))


def _inner(value: Any, actor: Iri | None) -> Activity | Reference:
    """The activity inside an Accept, Reject or Undo; a `Reference` where there is only its id. `actor` is who it is by where it does not say."""
    value = first(value)
    if isinstance(value, dict) and (kinds := types(value)):
        by = iri(value.get("actor")) or actor
        named = iri(value.get("id") or value.get("@id"))
        if by is not None and kinds[0] in {"Follow", "Announce", "Like"}:
            try:
                return _activity(value, kinds, by)
            except Unreadable:
                if named is None:
                    raise
        elif by is not None:
            return Other(id=named, actor=by, kind=kinds[0][:100])
    return Reference(_object(value))
