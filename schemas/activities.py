"""What can arrive, and what can we send? The closed union of activities; handled by `match` with `assert_never`."""

from dataclasses import dataclass
from datetime import datetime

from schemas.objects import ActorDocument, Note, Reference, Tombstone
from schemas.reading import Iri


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
class Other(Base):
    """An activity of a type we do not act on: answered with 202 and forgotten."""

    kind: str


Activity = Follow | Accept | Reject | Undo | Create | Update | Delete | Announce | Like | Other
