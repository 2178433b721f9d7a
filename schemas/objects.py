"""Which things do activities speak about? Frozen nouns as they stand on the wire; schemas/activities.py reads them, schemas/documents.py writes them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from schemas.peering import Greeting
from schemas.reading import Iri

PUBLIC: Final = Iri("https://www.w3.org/ns/activitystreams#Public")
"""The one spelling we write; `Public` and `as:Public` are read as the same."""

ActorKind = Literal["Person", "Service", "Application", "Group", "Organization"]
Visibility = Literal["public", "unlisted", "followers", "direct"]
Purpose = Literal["request", "offer"]
Urgency = Literal["hours", "days", "weeks", "anytime"]
Circle = Literal["network", "peers"]
MatterKind = Literal["introduction", "guest", "story"]
MatterStep = Literal["ask", "agree", "refuse", "pass"]
VouchMethod = Literal["in-person", "documents", "video-call", "known-organisation", "references", "other"]


@dataclass(frozen=True, slots=True)
class Reference:
    """Something named by its id alone."""

    id: Iri


@dataclass(frozen=True, slots=True)
class Key:
    """The public half of a key an actor lists: SPKI DER for RSA, 32 raw bytes for Ed25519. It `proves` documents if it stands in `assertionMethod`."""

    id: Iri
    owner: Iri
    algorithm: Literal["rsa", "ed25519"]
    public: bytes
    proves: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a profile (`PropertyValue`); the value is sanitised HTML."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ActorDocument:
    """An actor as its document describes it. Every IRI but `icon`, `moved_to` and `also_known_as` lies on the host of `id`; `summary` is sanitised HTML."""

    id: Iri
    kind: ActorKind
    username: str
    inbox: Iri
    keys: tuple[Key, ...]
    shared_inbox: Iri | None = None
    outbox: Iri | None = None
    followers: Iri | None = None
    following: Iri | None = None
    featured: Iri | None = None
    proposals: Iri | None = None
    """What it asks and offers in public (FEP-0837); written, not read."""
    name: str | None = None
    summary: str | None = None
    url: Iri | None = None
    icon: Iri | None = None
    handle: str | None = None
    locked: bool = False
    discoverable: bool = False
    suspended: bool = False
    """Its own server has silenced it and says so (Mastodon)."""
    hides_public: bool = False
    """What they say to everybody is not to be shown to whoever has no account (GoToSocial); read, not written."""
    hides_unlisted: bool = True
    """The same of what is unlisted."""
    published: datetime | None = None
    updated: datetime | None = None
    moved_to: Iri | None = None
    also_known_as: tuple[Iri, ...] = ()
    fields: tuple[Field, ...] = ()
    greeting: Greeting | None = None
    """Of an Application alone: what it says to instances that think of trusting it."""
    implements: tuple[Iri, ...] = field(default=(), compare=False)
    """What its server says that it understands (FEP-844e); read, and written by schemas/documents.py for us."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A tag that names an actor by id."""

    href: Iri
    name: str


@dataclass(frozen=True, slots=True)
class Hashtag:
    """A tag word, without the number sign, as written."""

    name: str
    href: Iri | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file elsewhere: kept as a reference, never hot-linked."""

    url: Iri
    media_type: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Emoji:
    """A custom emoji: `name` with its colons, and where its picture lies (a reference, never hot-linked)."""

    name: str
    icon: Iri | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to vote for, in plain text, and how many did so far."""

    name: str
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Poll:
    """What makes a post a Question (FEP-9967). Open until `ends`, or until somebody `closed` it; `voters` counts people, options count votes."""

    options: tuple[Option, ...]
    multiple: bool = False
    ends: datetime | None = None
    closed: datetime | None = None
    voters: int | None = None


@dataclass(frozen=True, slots=True)
class Tallies:
    """How often a post of ours was liked and boosted: numbers beside the addresses of its collections."""

    likes: int = 0
    shares: int = 0


@dataclass(frozen=True, slots=True)
class Vouch:
    """What an instance says of one actor: how sure it is, how it looked, until when. `document` is what the issuer's Application signed (FEP-8b32).

    `subject_key` is the fingerprint (`actors.trust.fingerprint`) of the subject's Ed25519 key; `issued` and `expires` are the first days of months, at most
    90 days apart. `method` is coarse.
    """

    id: Iri
    issuer: Iri
    subject: Iri
    subject_key: str
    level: int
    method: VouchMethod
    issued: datetime
    expires: datetime
    document: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """One named part of a request: `quantity` of it are wanted, work or equipment."""

    name: str
    quantity: int = 1
    equipment: bool = False


@dataclass(frozen=True, slots=True)
class Translation:
    """Title and text once more, in another language."""

    language: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """The members that make a Note a request or an offer (FEP-0837 plus https://w3id.org/fedmatch/ns#): everything of a listing that may leave its home.

    `until` is the deadline its author named, `expires` when it closes unless it is renewed; receivers enforce the earlier. `capacity` is how many people an
    offer has room for, or how many helpers a request wants. `readers` and `circle` stand in the copy for one trusted peer alone: the level its helpers need to
    read it, and whether all trusted peers of its home may have one or only some.
    """

    purpose: Purpose
    title: str
    text: str
    status: str = "open"
    categories: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    speaks: tuple[str, ...] = ()
    region: str | None = None
    urgency: Urgency | None = None
    until: datetime | None = None
    expires: datetime | None = None
    helper_region: str | None = None
    only_speaks: bool = False
    only_region: bool = False
    capacity: int | None = None
    needs: tuple[Need, ...] = ()
    translations: tuple[Translation, ...] = ()
    follow_up_of: Iri | None = None
    vouches: tuple[Vouch, ...] = ()
    readers: int | None = None
    circle: Circle | None = None

    @property
    def ends(self) -> datetime | None:
        """When it closes: at the deadline its author named, or when nobody renews it, whichever comes first."""
        return min((moment for moment in (self.until, self.expires) if moment is not None), default=None)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an answer proposes (FEP-0837): to satisfy the intent `satisfies` of a listing, `quantity` times. Whoever accepts gives `id` and `attributed_to`.

    `text` is the helper's message, `vouches` what is said of the helper, `speaks` (BCP 47) and `region` (ISO 3166) what they say of themselves; all stand only
    in what goes to exactly one other actor. `finished`, `failed` and
    `receipt` are how it ended, as whoever it is attributed to says.
    """

    satisfies: Iri
    id: Iri | None = None
    attributed_to: Iri | None = None
    quantity: int = 1
    unit: str = "one"
    need: str | None = None
    text: str = ""
    language: str | None = None
    vouches: tuple[Vouch, ...] = ()
    finished: bool = False
    failed: bool = False
    receipt: Iri | None = None
    speaks: tuple[str, ...] = ()
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the helper says of how an agreement ended, in a document of their own: that it is done, or that it failed."""

    id: Iri
    attributed_to: Iri
    agreement: Iri
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Matter:
    """What two sides of a conversation have to agree about, beside what they say: an introduction, a guest, a story of the outcome.

    `name` is its id on the wire, `to` a person or a role, `text` why or what. It stands only in what goes sealed to exactly one other actor.
    """

    kind: MatterKind
    step: MatterStep
    name: Iri
    to: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A post as it stands on the wire. `kind` is the AS2 type we read it as (Note, Question, Article, Page, ...).

    `content` and `summary` are what their author sent: `schemas.html` makes them safe before they are kept or shown. `content` is the original, in `language`;
    `content_map` holds the same text in other languages. `source` is the plain text `content` was made of. `tallies` are for posts of ours, written
    and never read: what others count is theirs to say.
    """

    id: Iri
    attributed_to: Iri
    content: str
    kind: str = "Note"
    summary: str | None = None
    sensitive: bool = False
    language: str | None = None
    content_map: tuple[tuple[str, str], ...] = ()
    source: str | None = None
    url: Iri | None = None
    published: datetime | None = None
    updated: datetime | None = None
    in_reply_to: Iri | None = None
    conversation: str | None = None
    to: tuple[Iri, ...] = ()
    cc: tuple[Iri, ...] = ()
    audience: tuple[Iri, ...] = ()
    mentions: tuple[Mention, ...] = ()
    hashtags: tuple[Hashtag, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    emojis: tuple[Emoji, ...] = ()
    poll: Poll | None = None
    tallies: Tallies | None = None
    replies: Iri | None = None
    """Of others' posts: where their server lists who answered."""
    matter: Matter | None = None
    proposal: Proposal | None = None
    asks_leave: bool = field(default=False, compare=False)
    """Of others' posts: its server keeps who may answer what (GoToSocial), and takes our Reject of an answer to mean that it is not to be shown."""

    @property
    def addressed(self) -> tuple[Iri, ...]:
        """Everybody it is addressed to, in any field."""
        return (*self.to, *self.cc, *self.audience)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What stands where something was."""

    id: Iri
    former_type: str | None = None
