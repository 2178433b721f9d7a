"""What would somebody learn who takes something away: this instance's disk, its disk with the key, the machine as it runs, or a peer?

Every column of the database is classified here; a test fails for one that is not. `open` can be read by whoever has the disk, `sealed` by whoever has the key
of the vault too, `hashed` shows nothing, but who has the key can try a guess. The counts come from the data as it lies there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from actors import hosts, peers
from fedmatch.board.answers import by_id, hash_of
from outbox import owed
from schemas.reading import Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Class = Literal["open", "sealed", "hashed"]


@dataclass(frozen=True, slots=True)
class Table:
    """What one table gives away: `disk` and `key` are sentences, the columns stand by their class."""

    disk: str
    key: str
    columns: Mapping[str, Class]


def table(disk: str, key: str = "", *, open: str = "", sealed: str = "", hashed: str = "") -> Table:
    """A table with its columns, given as words."""
    found: dict[str, Class] = {}
    classes: tuple[tuple[Class, str], ...] = (("open", open), ("sealed", sealed), ("hashed", hashed))
    for kind, names in classes:
        found |= dict.fromkeys(names.split(), kind)
    return Table(disk, key, found)


TABLES: Final[Mapping[str, Table]] = {
    "account": table("logins as numbers: no name, no address", open="id state locale created_at"),
    "actor": table(
        "every name, profile and address that is known here, ours and theirs; which of ours are for one time, and not whose",
        open="id uri local host_id kind username handle_host state name summary url inbox shared_inbox outbox followers following featured icon locked "
        "discoverable also_known_as moved_to fields published updated fetched_at failed_at withdrawn one_time hides_public hides_unlisted",
    ),
    "actor_key": table(
        "public keys",
        "the private keys of ours: whoever has them speaks as us until they are replaced",
        open="id uri actor_id algorithm public_key created_at retired_at proves",
        sealed="private_key",
    ),
    "announcement": table("which public listing which Service announced", open="post_id actor_id state uri"),
    "announcer": table("the Services, and how much they announced of late", open="actor_id slug tokens filled_at"),
    "arrival": table(
        "ids of what arrived in 90 days, from which host and when",
        "the words of what is not understood yet",
        open="id uri host_id state size received_at run_at lease_until attempts error done_at",
        sealed="body",
    ),
    "audit": table("how often staff did what, and when", open="id at action commitment hash"),
    "audit_detail": table("", "who of staff did it, about whom and why, until it is shredded", open="audit_id", sealed="sealed"),
    "block": table("who blocks whom", open="actor_id blocked_id since"),
    "border_rule": table("which actors and keys are blocked or limited, and why", open="id kind subject level through reason since"),
    "capability": table("what other servers say that they understand", open="host_id iri seen_at"),
    "conversation": table(
        "how many conversations there are", "the key of each, and with it every word", open="response_id notes created_at", sealed="key"
    ),
    "conversation_guest": table(
        "whether a third person was let in",
        "who that is",
        open="id response_id asker_agreed helper_agreed",
        sealed="sealed",
        hashed="actor_hash",
    ),
    "delivery": table(
        "to which inbox of which host something went or waits, and when; not what",
        open="id outgoing_id host_id inbox ordering_key state attempts refusals created_at next_at lease_until finished_at error",
    ),
    "disclosure": table(
        "how often a sealed field was released", "what was released and to whom",
        open="id response_id created_at", sealed="sealed", hashed="actor_hash",
    ),
    "draft": table(
        "how many drafts each actor has, and of which kind", "their words",
        open="id actor_id state kind publish_at reviewed created_at changed_at", sealed="sealed",
    ),
    "exposure": table("how often the offers of so many people were suggested on a day", "", open="day number", hashed="helper"),
    "feedback": table("", "what both sides said of each other", open="response_id", sealed="sealed", hashed="actor_hash"),
    "fetched": table("which server fetched which public post with its signature", open="post_id host_id"),
    "follow": table("who follows whom, of people", open="id uri follower_id followed_id state created_at changed_at"),
    "generation": table("counters", open="name value"),
    "handshake": table(
        "which instances are trusted, since when, how far their word counts",
        open="host_id application inbox added_at follow asked accepted_at agreed_at lost_at lost_why vouches_count_up_to announce terms looked_at",
    ),
    "home": table("who reads which post at home", open="actor_id post_id"),
    "host": table(
        "every server that was ever spoken with, and when last",
        open="id name scheme first_seen last_heard failures failing_since open_until down_since next_at lease_until lease_by",
    ),
    "identity": table("which actors are for one time", "whose they are", open="actor_id state changed_at", sealed="sealed"),
    "introduction": table("how many introductions were proposed", "of whom to whom", open="id response_id state created_at", sealed="sealed"),
    "job": table("what is to be done, by kind and number", "payloads", open="id kind key state run_at lease_until attempts crashes error", sealed="payload"),
    "key_rotation": table("what old keys of this instance said of new ones, which is public", open="id document created_at"),
    "listing": table(
        "public requests and offers in full; of the others kind, state, audience and times",
        "the words of those that are not public",
        open="post_id kind state audience title text language region urgency until created_at changed_at more expires_at reviewed pace pause draft_id "
        "confidential revision",
        sealed="sealed",
    ),
    "owed": table(
        "how much is still to be said to which server that was blocked", "that a post was deleted or closed: which, and whose", open="id host_id until",
        sealed="sealed", hashed="mark",
    ),
    "letter": table("how many letters left in which hour, 30 days back", "their words, and to which server", open="until", sealed="sealed", hashed="hash"),
    "listing_act": table("how often somebody acted for a group", "who", open="id actor_id", sealed="sealed"),
    "listing_copy": table("which trusted peer holds which listing that is not public", open="post_id host_id sent_at ended_at said_at told"),
    "listing_count": table("how many places are taken and done", open="post_id need taken done"),
    "listing_reading": table("how many were read on a day", "", open="day", hashed="reader listing"),
    "listing_tag": table("categories, skills and languages of public listings", open="post_id kind slug place"),
    "listing_terms": table("", "floors, excluded countries, consent, embargo", open="post_id", sealed="sealed"),
    "match_waiting": table("which listings are to be matched", open="post_id asked tries wide"),
    "membership": table("which account acts as which lasting actor, and as what", open="account_id actor_id role since"),
    "message": table(
        "how many messages a conversation has, how long, in which hour", "nothing without the conversation's own key", sealed="ciphertext",
        open="id response_id format key_id created_at place", hashed="hash",
    ),
    "moved": table("which account moved where", open="actor_id target_id moved_at"),
    "notification": table("how many notices of which kind somebody has", "what they are about", open="id actor_id kind created_at", sealed="about"),
    "outgoing": table(
        "ids and kinds of what left; of what travels sealed neither who nor what about",
        "the words of what waits",
        open="id uri actor_id kind object ordering_key created_at confidential",
        sealed="body",
    ),
    "peer": table("which servers are trusted, limited or blocked, and why", open="host_id level reason since"),
    "peer_head": table("heads of peers' logs", open="host_id head seen_at"),
    "peer_key": table("public keys of peers", open="host_id state kind uri public_key since"),
    "pin": table("what is on top of profiles", open="actor_id post_id place"),
    "poll": table("the numbers of polls", open="post_id multiple ends_at closed_at voters votes"),
    "poll_vote": table("how often each option was chosen", "", open="post_id place", hashed="voter"),
    "post": table(
        "public posts in full; of the others author, time, length and what they answer",
        "the words of those that are not public",
        open="id uri url actor_id local kind visibility boost_of in_reply_to in_reply_to_id conversation content summary language tags sensitive published "
        "updated received_at document",
        sealed="sealed",
    ),
    "post_audience": table("to whom a post is addressed, direct ones too (never answers or conversations)", open="post_id target field actor_id"),
    "post_tag": table("hashtags of public posts", open="post_id name"),
    "quiet_follower": table(
        "from which servers people follow a Service", "which of these rows are one person", open="actor_id host_id inbox", sealed="person", hashed="mark"
    ),
    "quiet_member": table("how many here follow a Service", "nothing more", open="actor_id", hashed="mark"),
    "reaction": table("who likes what", open="id uri post_id actor_id emoji icon created_at"),
    "report": table(
        "that somebody was reported, and when", "by whom, and what was written",
        open="id uri state host_id reported_id repeats forwarded_at created_at changed_at", sealed="sealed",
    ),
    "response": table(
        "how many answers are in which state, in which hour",
        "who answered whom, and what",
        open="id state side tray created_at changed_at ends_at",
        sealed="sealed",
        hashed="listing_hash asker_hash helper_hash host_hash live_hash",
    ),
    "response_name": table("", "", open="response_id", hashed="hash"),
    "response_once": table("", "", open="created_at", hashed="hash"),
    "review_record": table("how often something of an author passed a review", open="actor_id approved refused"),
    "said": table(
        "which follows, likes, boosts and blocks of others' people stand",
        open="actor_id uri kind object detail said undone took changed_at first_at last_at undone_at",
    ),
    "saved_search": table("how many searches somebody saved", "what they look for", open="id actor_id created_at", sealed="sealed"),
    "sealed_inbox": table("on which servers they are", "inboxes whose address names a person", open="host_id", sealed="sealed", hashed="mark"),
    "sealing_key": table(
        "our public sealing keys",
        "the private ones: whoever has them opens what peers sealed for us in their time",
        open="id uri public_key created_at retired_at",
        sealed="private_key",
    ),
    "setting": table("settings, and the head of the log of staff", open="name value"),
    "story": table("whether both agreed to tell it", "the story of an outcome", open="response_id asker_agreed helper_agreed", sealed="sealed"),
    "suggestion": table(
        "how many offers were suggested for a request, and how many of them were turned down or answered",
        "which offer fits which request, and why",
        open="id request_id state created_at changed_at",
        sealed="sealed",
        hashed="offer_hash pair_hash",
    ),
    "token": table("that tokens exist; they cannot be used from it", open="id account_id actor_id scopes created_at revoked_at", hashed="hash"),
    "told_help": table("", "", open="until", hashed="mark"),
    "text_entry": table("the words of public listings once more, for searching; text_words and text_grams hold nothing else", open="id part gone packed"),
    "text_gist": table("which four letters stand in public listings, and their likeliest skills, for matching", open="id packed"),
    "text_part": table("how many public listings there are, by age", open="id low texts bottom top dirty"),
    "text_state": table("with what the words were cut, and the key that pages of a search are signed with", open="id version filled secret"),
    "text_topic": table("the tags of public listings once more, and the likeliest skills of their texts", open="side slug id here weight"),
    "ended": table("what ended in the last second, or since the vault was locked: ids of ours, ids of what was deleted", open="id noun key state"),
    "spent": table("how much the time gave and deleted that a restore lost", hashed="mark"),
    "tombstone": table("the ids of what was deleted", open="uri former_type public deleted_at"),
    "vault": table(
        "the wrapped keys; with source `file` the key lies beside them, and the disk alone opens everything", "everything sealed",
        open="id source salt public_key created_at", sealed="wrapped",
    ),
    "vector": table(
        "what public listings are about, as numbers; of the others that they have such numbers, and by which model",
        "the numbers of those that are not public: close to what they say",
        open="post_id model language scale packed change",
        sealed="sealed",
        hashed="mark",
    ),
    "vetting": table("how many people are being vetted", "whom, and by whom", open="id state created_at changed_at", sealed="sealed", hashed="subject_hash"),
    "vetting_note": table("how many notes of which step", "what was written", open="id vetting_id step created_at", sealed="sealed"),
    "vouch": table(
        "for whom we vouch, how far and how we know", open="id uri subject subject_key level method state issued expires document changed_at"
    ),
    "vouch_given": table("which host was given which vouch", open="vouch_id host_id given_at"),
    "waiting_message": table("which messages wait at the border", open="post_id actor_id"),
}  # fmt: skip

RUNNING: Final = (
    "everything of the two columns before: the keys of the vault lie in memory while it is unlocked",
    "what is opened in memory: listings that are not public (20,000 at most), and whatever somebody reads just now",
    "what is typed, arrives and leaves from then on, with the addresses it comes from, which are written nowhere",
    "the passphrase, only while it is typed; never what people said before their conversation was deleted",
)
"""What a running machine gives beside its rows. There is no end-to-end encryption: the operators of the two servers can read a conversation."""

COUNTS: Final = {name: f"select count(*) as number from {name}" for name in TABLES}  # noqa: S608  # the names stand above
SEALED: Final = {
    (name, column): f"select count({column}) as number from {name}"  # noqa: S608  # the same
    for name, one in TABLES.items()
    for column, kind in one.columns.items()
    if kind == "sealed"
}


@dataclass(frozen=True, slots=True)
class Line:
    """What one table gives away as it is now; "" where it gives nothing."""

    table: str
    rows: int
    sealed: int
    disk: str
    key: str


async def of_self(tx: Transaction) -> list[Line]:
    """What this instance's disk gives away, table by table, counted from the data; empty tables too."""
    lines = []
    for name, one in TABLES.items():
        rows = await _number(tx, COUNTS[name])
        sealed = max([await _number(tx, SEALED[name, column]) for column, kind in one.columns.items() if kind == "sealed"], default=0)
        lines.append(Line(name, rows, sealed, one.disk, one.key))
    return lines


async def _number(tx: Transaction, sql: str) -> int:
    row = await tx.one(sql)
    return 0 if row is None else int(row["number"])


COPIES: Final = """
select post.uri, listing.kind, listing.audience, listing_copy.sent_at, listing_copy.ended_at
from listing_copy
join listing on listing.post_id = listing_copy.post_id
join post on post.id = listing.post_id
where listing_copy.host_id = :host_id
order by listing_copy.sent_at, post.id
"""

VOUCHES: Final = """
select vouch.subject, vouch.level, vouch.state, vouch_given.given_at
from vouch_given
join vouch on vouch.id = vouch_given.vouch_id
where vouch_given.host_id = :host_id
order by vouch_given.given_at, vouch.id
"""

FOLLOWED_THERE: Final = """
select ours.username as ours, theirs.uri as theirs
from follow
join actor as ours on ours.id = follow.follower_id
join actor as theirs on theirs.id = follow.followed_id
where ours.local = 1
  and theirs.host_id = :host_id
  and follow.state in ('requested', 'accepted')
order by ours.username, theirs.uri
"""

FOLLOWING_US: Final = """
select ours.username as ours, theirs.uri as theirs
from follow
join actor as theirs on theirs.id = follow.follower_id
join actor as ours on ours.id = follow.followed_id
where ours.local = 1
  and theirs.host_id = :host_id
  and follow.state in ('requested', 'accepted')
order by ours.username, theirs.uri
"""

LETTERS: Final = """
select count(distinct post.id) as number
from post
join post_audience on post_audience.post_id = post.id
join actor on actor.id = post_audience.actor_id
where post.local = 1
  and post.visibility = 'direct'
  and actor.host_id = :host_id
"""

# A followers-only post names nobody but the collection.
TO_FOLLOWERS: Final = """
select count(*) as number
from post
where post.local = 1
  and post.visibility = 'followers'
  and exists (
    select 1
    from follow
    join actor on actor.id = follow.follower_id
    where follow.followed_id = post.actor_id
      and follow.state = 'accepted'
      and actor.host_id = :host_id
  )
"""

UNHEARD: Final = """
select distinct outgoing.ordering_key
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
where delivery.host_id = :host_id
  and delivery.state in ('waiting', 'dead')
  and outgoing.kind = 'Delete'
  and not exists (
    select 1
    from delivery as again
    join outgoing as said on said.id = again.outgoing_id
    where again.host_id = delivery.host_id
      and again.ordering_key = delivery.ordering_key
      and again.state = 'sent'
      and said.kind = 'Delete'
  )
"""

PUBLIC_THERE: Final = """
select outgoing.kind, count(distinct outgoing.object) as number
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
where delivery.host_id = :host_id
  and delivery.state = 'sent'
  and outgoing.confidential = 0
group by outgoing.kind
order by outgoing.kind
"""

FETCHED: Final = """
select count(*) as number
from fetched
where fetched.host_id = :host_id
"""

SEALED_THERE: Final = """
select count(*) as number
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
where delivery.host_id = :host_id
  and delivery.state = 'sent'
  and outgoing.confidential = 1
"""

ANSWERED_HERE: Final = """
select response.id, response.state, response.created_at
from response
where response.host_hash = :host_hash
order by response.id
"""

OF_HELPERS: Final = """
select response.id, response.state, response.created_at
from response
where response.side = 'helper'
order by response.id
"""

SAID_THERE: Final = """
select
  (select count(*) from message where message.response_id = :id) as messages,
  (select count(*) from disclosure where disclosure.response_id = :id) as given,
  (select count(*) from introduction where introduction.response_id = :id) as introductions,
  (select count(*) from conversation_guest where conversation_guest.response_id = :id) as guests
"""

FOLLOW_SERVICES: Final = """
select count(*) as number
from quiet_follower
where quiet_follower.host_id = :host_id
"""

HOST: Final = """
select host.id, host.name
from host
where host.name = :name
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One answer, with its conversation, that the peer has a side of; the hour it began in ms UTC.

    `given` is how often a name, a contact or a place was handed over in it by somebody here; `guests` and `introductions` name further people.
    """

    id: int
    state: str
    at: int
    messages: int
    given: int
    introductions: int
    guests: int


@dataclass(frozen=True, slots=True)
class OfPeer:
    """Everything of ours that lies, or lay, at one peer. `copies` are (url, kind, audience, from, until); times in ms UTC.

    `unheard`: things that are deleted or closed here and that it was not told of yet, or never could be; what it was sent of them may lie there still.
    """

    host: str
    level: str
    copies: tuple[tuple[str, str, str, int, int | None], ...]
    vouches: tuple[tuple[str, int, str, int], ...]
    conversations: tuple[Conversation, ...]
    followed: tuple[tuple[str, str], ...]
    followers: tuple[tuple[str, str], ...]
    letters: int
    public: tuple[tuple[str, int], ...]
    sealed: int
    fetched: int
    unheard: int
    services: int
    """How often somebody there follows one of our Services: which fields of help they watch."""


async def of_peer(tx: Transaction, instance: "Instance", host: str) -> OfPeer | None:
    """What a seizure of that peer would give away of ours; None for a host nobody here ever spoke with. Raises `hosts.BadUrl`, `Locked`."""
    row = await tx.one(HOST, name=hosts.host_name(host))
    if row is None:
        return None
    host_id = int(row["id"])
    answers = [*await tx.all(ANSWERED_HERE, host_hash=hash_of(instance, "host", row["name"]))]
    for answer in await tx.all(OF_HELPERS):
        # Whom we answered rests sealed; what they asked may lie here no more.
        given = await by_id(tx, instance, answer["id"])
        if given is not None and hosts.authority(given.words.asker) == row["name"]:
            answers.append(answer)
    conversations = []
    for answer in answers:
        (said,) = await tx.all(SAID_THERE, id=answer["id"])
        numbers = [int(said[name]) for name in ("messages", "given", "introductions", "guests")]
        conversations.append(Conversation(answer["id"], answer["state"], answer["created_at"], *numbers))
    fetched = await tx.one(FETCHED, host_id=host_id)
    services = await tx.one(FOLLOW_SERVICES, host_id=host_id)
    sealed = await tx.one(SEALED_THERE, host_id=host_id)
    unheard = {owed.mark(instance, one["ordering_key"]) for one in await tx.all(UNHEARD, host_id=host_id)}
    unheard |= await owed.marks(tx, host_id)
    return OfPeer(
        host=row["name"],
        level=await peers.level(tx, row["name"]),
        copies=tuple((one["uri"], one["kind"], one["audience"], one["sent_at"], one["ended_at"]) for one in await tx.all(COPIES, host_id=host_id)),
        vouches=tuple((one["subject"], one["level"], one["state"], one["given_at"]) for one in await tx.all(VOUCHES, host_id=host_id)),
        conversations=tuple(conversations),
        followed=_pairs(await tx.all(FOLLOWED_THERE, host_id=host_id)),
        followers=_pairs(await tx.all(FOLLOWING_US, host_id=host_id)),
        letters=sum([int(found["number"]) for sql in (LETTERS, TO_FOLLOWERS) if (found := await tx.one(sql, host_id=host_id)) is not None]),
        public=tuple((one["kind"], int(one["number"])) for one in await tx.all(PUBLIC_THERE, host_id=host_id)),
        sealed=0 if sealed is None else int(sealed["number"]),
        fetched=0 if fetched is None else int(fetched["number"]),
        unheard=len(unheard),
        services=0 if services is None else int(services["number"]),
    )


def _pairs(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    return tuple((row["ours"], row["theirs"]) for row in rows)
