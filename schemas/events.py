"""What may the rooms below tell the product? A closed union; subscribers are listed once, in fedmatch/app.py.

`await instance.tell(tx, event)` calls each subscriber of the event's type inside the same transaction.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from schemas.objects import Agreement, Note, Visibility
from schemas.peering import AgreementKey
from schemas.reading import Iri
from schemas.storage import Transaction


class Answer(Enum):
    """What a subscriber to `PostArrived` says: TAKEN means it is no ordinary post and is not to be stored as one."""

    TAKEN = auto()
    PASS = auto()


@dataclass(frozen=True, slots=True)
class PostArrived:
    """A verified post from elsewhere, before it is stored. `confidential`: it came sealed, from a trusted peer, so no answer to it goes in the open."""

    actor_id: int
    note: Note
    confidential: bool = False


@dataclass(frozen=True, slots=True)
class PostStored:
    """A post, ours or theirs, was stored for the first time."""

    post_id: int
    actor_id: int
    local: bool
    note: Note
    visibility: Visibility
    confidential: bool = False
    """It came sealed, from a trusted peer, for us alone."""


@dataclass(frozen=True, slots=True)
class PlainStored:
    """Others' public posts were stored together. They answer nothing, address nobody here, and are neither request nor offer.

    Told once for all of them, in place of `PostArrived` and `PostStored`; where nobody subscribes to it, each is told as those.
    """

    posts: tuple[tuple[int, int], ...]
    """Post and author, by our ids."""


@dataclass(frozen=True, slots=True)
class PostChanged:
    """A stored post was edited by its owner."""

    post_id: int
    actor_id: int
    local: bool
    note: Note
    confidential: bool = False


@dataclass(frozen=True, slots=True)
class PostGone:
    """A stored post is about to be deleted in this transaction; rows that hang on it go with it."""

    post_id: int
    actor_id: int
    uri: Iri


@dataclass(frozen=True, slots=True)
class Revised:
    """Somebody elsewhere edited something (`note`) or deleted it (None) that is no post here: perhaps the product took it, when it came, for something else.

    Whoever knows it takes it; else an edit may be stored as a new post.
    """

    actor_id: int
    uri: Iri
    note: Note | None
    confidential: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A public post from elsewhere is about to be deleted by its author, in words that prove themselves whoever brings them: `body` as it came.

    Told before `PostGone`. `hosts` wrote and brought it, and know it already.
    """

    post_id: int
    uri: Iri
    activity: Iri
    body: bytes
    hosts: frozenset[int]


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
class Offered:
    """Somebody answers a listing of one of ours by `Offer(Agreement)` (FEP-0837). `confidential`: it came sealed, from a trusted peer."""

    actor_id: int
    uri: Iri
    to: tuple[Iri, ...]
    agreement: Agreement
    confidential: bool


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The author of a listing accepts (`agreement` is the result) or refuses (`reason`) what one of ours offered by the activity `offer`."""

    actor_id: int
    offer: Iri
    accepted: bool
    agreement: Agreement | None
    reason: str | None
    confidential: bool


@dataclass(frozen=True, slots=True)
class OfferUndone:
    """Whoever offered takes it back."""

    actor_id: int
    offer: Iri


@dataclass(frozen=True, slots=True)
class AgreementChanged:
    """One side says how an agreement ended: `finished` well, or that it `failed`; `receipt` is the id of the document that says so."""

    actor_id: int
    agreement: Iri
    finished: bool
    failed: bool
    receipt: Iri | None
    confidential: bool


@dataclass(frozen=True, slots=True)
class PeerTrusted:
    """An admin confirmed the words of a peer: its keys are pinned and what is not public may go there. `anew`: it was so before, and the peer says it again."""

    host_id: int
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Farewell:
    """How a peer that an admin trusts no more is told the last thing: sealed to the key that was pinned until now, at its Application's inbox."""

    application: Iri
    inbox: Iri
    key: AgreementKey


@dataclass(frozen=True, slots=True)
class PeerLost:
    """A peer was trusted and is no more: by an admin, or because its Application shows another key than the pinned one.

    `farewell` is None where nothing may be said to it: it is blocked, or nobody knows who answers behind its name.
    """

    host_id: int
    host: str
    level: str
    why: str
    farewell: Farewell | None = None


@dataclass(frozen=True, slots=True)
class VouchesChanged:
    """What is said of an actor, or what an issuer's word is worth here, changed: whatever rested on it is judged again. One of the two is given."""

    actor_id: int | None
    issuer: str | None


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


@dataclass(frozen=True, slots=True)
class InboxMoved:
    """An inbox says that it lies elsewhere for good; where, its owners' documents say, and nobody else."""

    host_id: int
    inbox: Iri


Event = (
    PostArrived
    | PostStored
    | PlainStored
    | PostChanged
    | PostGone
    | Revised
    | Withdrawn
    | Mentioned
    | Boosted
    | Followed
    | FollowAccepted
    | FollowRejected
    | Reported
    | Offered
    | OfferAnswered
    | OfferUndone
    | AgreementChanged
    | PeerTrusted
    | PeerLost
    | VouchesChanged
    | ActorGone
    | DeliveryGaveUp
    | InboxMoved
)


class Subscriber(Protocol):
    """Hears one type of event inside the transaction of its cause. Only subscribers of `PostArrived` and `Revised` answer."""

    async def __call__(self, tx: Transaction, event: Event, /) -> Answer | None: ...
