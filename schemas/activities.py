"""What can arrive, and what can we send? The closed union of activities; handled by `match` with `assert_never`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypedDict

from schemas import agreements, sealed
from schemas.notes import MOST_OPTION, MOST_OPTIONS, audience, emoji, is_vote, kind_of, parse_note, read
from schemas.objects import ActorDocument, Agreement, Emoji, Note, Receipt, Reference, Tombstone
from schemas.profiles import ACTORS, parse_actor, parse_keys
from schemas.reading import Document, Iri, Unreadable, each, first, iri, iris, moment, text, types
from schemas.sealed import Envelope

__all__ = [
    "Accept", "Activity", "Add", "Announce", "Base", "Block", "Create", "Delete", "EmojiReact", "Flag", "Follow", "Like", "Move", "Offer", "Other", "Reject",
    "Remove", "Sealed", "Undo", "Undoable", "Update", "Vote", "parse", "parse_actor", "parse_keys", "parse_note",
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
class Offer(Base):
    """`actor` answers a request or an offer (FEP-0837): `object` says which, how much, and in what words."""

    object: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(Base):
    """`actor` agrees to `object`: the embedded activity, or its id alone. Of an Offer, `result` is the agreement that came of it."""

    object: "Follow | Offer | Other | Reference"
    result: Agreement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Base):
    """`actor` refuses `object`, or takes an earlier Accept back. Of an Offer, `content` may say why, in plain text."""

    object: "Follow | Offer | Other | Reference"
    content: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo(Base):
    """`actor` takes back its own `object`: the embedded activity, or its id alone."""

    object: "Undoable | Other | Reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Base):
    """`actor` made `object`: a post, or the receipt of an agreement."""

    object: Note | Receipt | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Base):
    """`actor` changed `object`: one of its posts, itself, or an agreement, which says then how it ended."""

    object: Note | ActorDocument | Agreement | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Base):
    """`actor` removed `object`; `object == actor` removes the actor."""

    object: Tombstone | Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce(Base):
    """`actor` boosts the post with the id `object`.

    A group wraps what it passes on (FEP-1b12). Of a wrapped Create its post remains; a wrapped Update or Delete, named in `wraps`, says to look at the origin.
    """

    object: Iri
    wraps: Literal["Update", "Delete"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Like(Base):
    """`actor` likes the post with the id `object`; Misskey's people say so with an `emoji`."""

    object: Iri
    emoji: Emoji | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmojiReact(Base):
    """`actor` answers the post `object` with one emoji, a character or a custom one (FEP-c0e0); it may do so with several."""

    object: Iri
    emoji: Emoji


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote(Base):
    """`actor` votes for `choices` in the poll `question`. On the wire a Create of Notes with a name and no content; GoToSocial sends several at once."""

    question: Iri
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Base):
    """`actor` wants to see and hear nothing of the actor `object`."""

    object: Iri


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Base):
    """The actor `object` is `target` from now on; said by the old one, or by the new one (FEP-7628)."""

    object: Iri
    target: Iri


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Base):
    """`actor` puts `object` into its collection `target`."""

    object: Iri
    target: Iri


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(Base):
    """`actor` takes `object` out of its collection `target`."""

    object: Iri
    target: Iri


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag(Base):
    """`actor` (usually a whole instance) complains about `objects`, at most 20 ids of actors and posts; `content` says why, plain, at most 5,000 letters."""

    objects: tuple[Iri, ...]
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed(Base):
    """`actor`, an Application, carries an activity of its own host to one other Application, closed to everybody else (schemas/sealed.py)."""

    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Base):
    """An activity of a type we do not act on: answered with 202 and forgotten."""

    kind: str


Undoable = Follow | Announce | Like | EmojiReact | Block | Accept | Offer
Activity = (
    Follow
    | Offer
    | Accept
    | Reject
    | Undo
    | Create
    | Update
    | Delete
    | Announce
    | Like
    | EmojiReact
    | Vote
    | Block
    | Move
    | Add
    | Remove
    | Flag
    | Sealed
    | Other
)

_UNDOABLE: Final = frozenset({"Follow", "Announce", "Like", "EmojiReact", "EmojiReaction", "Block", "Accept", "Offer"})
_PICTURE: Final = r"[\u00a9\u00ae\u203c\u2049\u2100-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff][\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]{0,2}"
_ONE_EMOJI: Final = re.compile(
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3|{_PICTURE}(?:\u200d{_PICTURE}){{0,6}}[\U000e0020-\U000e007f]{{0,12}}"
)

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
            case "Offer" if agreements.is_agreement(offered := first(value)):
                return Offer(**head, object=agreements.read(offered))
            case "Like":
                return Like(**head, object=_object(value), emoji=_reaction(document))
            case "EmojiReact" | "EmojiReaction":   # the second is litepub's old name
                reacted = _reaction(document)
                return Other(**head, kind=kind) if reacted is None else EmojiReact(**head, object=_object(value), emoji=reacted)
            case "Block":
                return Block(**head, object=_object(value))
            case "Move":
                return Move(**head, object=_object(value), target=_target(document))
            case "Add":
                return Add(**head, object=_object(value), target=_target(document))
            case "Remove":
                return Remove(**head, object=_object(value), target=_target(document))
            case "Announce":
                return _announce(head, value)
            case "ReplyRequest":
                return _asked_to_reply(head, value, document.get("instrument"))
            case "Flag":
                return _flag(head, value, document.get("content"))
            case sealed.KIND:
                return Sealed(**head, envelope=sealed.read(document))
            case "Accept":
                agreed = _inner(value, None)
                return Accept(**head, object=agreed if isinstance(agreed, Follow | Offer | Reference) else _other(agreed), result=_result(document))
            case "Reject":
                refused = _inner(value, None)
                reason = text(document.get("content"), agreements.MOST_REASON)
                return Reject(**head, object=refused if isinstance(refused, Follow | Offer | Reference) else _other(refused), content=reason)
            case "Undo":
                undone = _inner(value, actor)
                return Undo(**head, object=undone if isinstance(undone, Undoable | Reference) else _other(undone))
            case _:
                continue
    return Other(**head, kind=kinds[0][:100])


def _other(activity: Activity) -> Other:
    """An activity where only a few types can stand, as one we do not act on."""
    return activity if isinstance(activity, Other) else Other(id=activity.id, actor=activity.actor, kind=type(activity).__name__)


def _result(document: Document) -> Agreement | None:
    """The agreement in an Accept; one that cannot be read is none."""
    value = first(document.get("result"))
    try:
        return agreements.read(value) if agreements.is_agreement(value) else None
    except Unreadable:
        return None


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


def _target(document: Document) -> Iri:
    named = iri(document.get("target"))
    if named is None:
        raise Unreadable("target", "is missing or no http(s) IRI")
    return named


def _reaction(document: Document) -> Emoji | None:
    """The emoji somebody reacts with: one character as people see it, or the one custom emoji that is tagged (Misskey, Pleroma); None if it is neither."""
    content = text(document.get("content"), 200) or text(document.get("_misskey_reaction"), 200)
    if content is None:
        return None
    content = content.strip()
    if _ONE_EMOJI.fullmatch(content):
        return Emoji(content)
    tags = [tag for tag in each(document.get("tag"))[:20] if isinstance(tag, dict) and "Emoji" in types(tag)]
    tagged = emoji(tags[0]) if len(tags) == 1 else None
    return tagged if tagged is not None and tagged.name.strip(":") == content.strip(":") else None


def _vote(head: _Head, value: Any) -> Activity:
    notes = [one for one in each(value)[:MOST_OPTIONS] if isinstance(one, dict) and is_vote(one)]
    question = iri(notes[0].get("inReplyTo"))
    if question is None:
        raise Unreadable("object.inReplyTo", "is no http(s) IRI")
    choices = (text(one.get("name"), MOST_OPTION) for one in notes if iri(one.get("inReplyTo")) == question)
    return Vote(**head, question=question, choices=tuple(dict.fromkeys(choice for choice in choices if choice)))


def _create(head: _Head, value: Any) -> Activity:
    several, value = value, first(value)   # GoToSocial sends several poll votes as a list
    if isinstance(value, dict) and types(value):
        if agreements.is_receipt(value):
            return Create(**head, object=agreements.read_receipt(value, head["actor"]))
        kind = kind_of(value)
        if kind is None:
            return Other(**head, kind="Create")
        if is_vote(value):
            return _vote(head, several)
        return Create(**head, object=read(value, kind, head["actor"], head["to"], head["cc"]))
    return Create(**head, object=Reference(_object(value)))


def _asked_to_reply(head: _Head, value: Any, instrument: Any) -> Activity:
    """GoToSocial asks before it shows a reply where the author said so, and brings the reply along: to us it has arrived by that."""
    reply, about = first(instrument), iri(value)
    if isinstance(reply, dict) and types(reply) and about is not None and iri(reply.get("inReplyTo")) == about and not is_vote(reply):
        kind, named = kind_of(reply), iri(reply.get("id") or reply.get("@id"))
        by = each(reply.get("attributedTo"))
        if kind is not None and named is not None and _origin(named) == _origin(head["actor"]) and all(iri(one) == head["actor"] for one in by):
            return Create(**head, object=read(reply, kind, head["actor"], head["to"], head["cc"]))
    return Other(**head, kind="ReplyRequest")


def _origin(uri: Iri) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme.lower()}://{rest.partition('/')[0].lower()}"


def _update(head: _Head, value: Any) -> Activity:
    value = first(value)
    if isinstance(value, dict) and (kinds := types(value)):
        kind = kind_of(value)
        if kind is not None:
            return Update(**head, object=read(value, kind, head["actor"], head["to"], head["cc"]))
        if any(name in ACTORS for name in kinds):
            return Update(**head, object=parse_actor(value))
        if agreements.is_agreement(value):
            return Update(**head, object=agreements.read(value))
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
        # A group wraps activities (FEP-1b12). A wrapped Create stands for its post, an Update or Delete says where to look; nothing else is there to boost.
        inner = types(value)
        if "Update" in inner or "Delete" in inner:
            return Announce(**head, object=_object(value["object"]), wraps="Update" if "Update" in inner else "Delete")
        if "Create" not in inner:
            return Other(**head, kind="Announce")
        value = value["object"]
    return Announce(**head, object=_object(value))


def _inner(value: Any, actor: Iri | None) -> Activity | Reference:
    """The activity inside an Accept, Reject or Undo; a `Reference` where there is only its id. `actor` is who it is by where it does not say."""
    value = first(value)
    if isinstance(value, dict) and (kinds := types(value)):
        by = iri(value.get("actor")) or actor
        named = iri(value.get("id") or value.get("@id"))
        if by is not None and kinds[0] in _UNDOABLE:
            try:
                return _activity(value, kinds, by)
            except Unreadable:
                if named is None:
                    raise
        elif by is not None:
            return Other(id=named, actor=by, kind=kinds[0][:100])
    return Reference(_object(value))
