"""What may the rooms below tell the product? A closed union; subscribers are listed once, in fedmatch/app.py.

`await instance.tell(tx, event)` calls each subscriber of the event's type inside the same transaction.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from schemas.objects import Note, Visibility
from schemas.reading import Iri
from schemas.storage import Transaction


class Answer(Enum):
    """What a subscriber to `PostArrived` says: TAKEN means it is no ordinary post and is not to be stored as one."""

    TAKEN = auto()
    PASS = auto()


@dataclass(frozen=True, slots=True)
class PostArrived:
    """A verified post from elsewhere, before it is stored."""

    actor_id: int
    note: Note


@dataclass(frozen=True, slots=True)
class PostStored:
    """A post, ours or theirs, was stored for the first time."""

    post_id: int
    actor_id: int
    local: bool
    note: Note
    visibility: Visibility


@dataclass(frozen=True, slots=True)
class PostChanged:
    """A stored post was edited by its owner."""

    post_id: int
    actor_id: int
    local: bool
    note: Note


@dataclass(frozen=True, slots=True)
class PostGone:
    """A stored post is about to be deleted in this transaction; rows that hang on it go with it."""

    post_id: int
    actor_id: int
    uri: Iri


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A stored post addresses a local actor by a Mention."""

    post_id: int
    actor_id: int
    mentioned_id: int


@dataclass(frozen=True, slots=True)
class Boosted:
    """`actor_id` announced `post_id`; the boost itself is `boost_id`."""

    boost_id: int
    post_id: int
    actor_id: int


@dataclass(frozen=True, slots=True)
class Followed:
    """Somebody follows, or asks to follow, a local actor."""

    follow_id: int
    follower_id: int
    followed_id: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class FollowAccepted:
    """A follow of one of ours was accepted."""

    follow_id: int
    follower_id: int
    followed_id: int


@dataclass(frozen=True, slots=True)
class FollowRejected:
    """A follow of one of ours was refused or taken back."""

    follow_id: int
    follower_id: int
    followed_id: int


@dataclass(frozen=True, slots=True)
class Reported:
    """Another server complained about a local actor. `posts` are posts of that actor; nobody but moderators ever hears of it."""

    uri: Iri
    host_id: int
    reporter: Iri
    actor_id: int
    posts: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class ActorGone:
    """An actor, ours or theirs, is gone; its rows are deleted in chunks by a job."""

    actor_id: int
    uri: Iri
    local: bool


@dataclass(frozen=True, slots=True)
class DeliveryGaveUp:
    """A delivery ended dead."""

    delivery_id: int
    host_id: int
    error: str


Event = (
    PostArrived
    | PostStored
    | PostChanged
    | PostGone
    | Mentioned
    | Boosted
    | Followed
    | FollowAccepted
    | FollowRejected
    | Reported
    | ActorGone
    | DeliveryGaveUp
)


class Subscriber(Protocol):
    """Hears one type of event inside the transaction of its cause. Only subscribers of `PostArrived` answer."""

    async def __call__(self, tx: Transaction, event: Event, /) -> Answer | None: ...
