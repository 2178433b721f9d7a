"""Which of our Services speaks of which field of help? One account on any server follows a whole field: `@legalaid`, `@asylumlaw`, `@requests`, `@urgent`.

    Caller      a name nobody has is looked up: the Service of a category or skill is made then, a few at a time
    published   a public listing is open: its Services are to announce it, a bounded number at once (the job `announce`)
    closed      it is open no more: they take the Announce back; what it becomes, or that it is gone, goes to their followers as well (publish.holders)
    arrived     somebody writes to one: a short answer in their language, once a day; nothing of the message is kept

Who follows them is in actors/quiet.py. Announced is what a person here reviewed; without a review only what somebody wrote whom we vouch for, or of whom a
person let something pass before; nothing as urgent without a person. Of others' listings only those of trusted peers whose switch is on, none as urgent.
"""

import asyncio
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import structlog

from actors import known, local, quiet
from actors.endpoints import Busy
from actors.known import Actor
from actors.vault import Locked
from fedmatch import words
from fedmatch.board import letters, listings
from fedmatch.board.listings import Listing
from fedmatch.jobs import enqueue
from outbox import posts
from outbox import publish as outbox
from outbox.address import Audience
from outbox.posts import Post
from schemas import vocabulary
from schemas.activities import Announce, Undo
from schemas.events import ActorGone, Answer, PostArrived, PostChanged, PostGone, PostStored
from schemas.objects import PUBLIC, Proposal
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

BOARDS: Final = {"requests": "Requests", "offers": "Offers", "urgent": "Urgent requests and offers"}
"""The Services that are of no category; names of `actors.local.BOARDS`."""

LONGEST_NAME: Final = 64
MAKE_EVERY_S: Final = 2.0
MAKE_AT_ONCE: Final = 8
MOST_WAITING: Final = 8
"""A stranger who looks up all of them at once gets a few, and 503 for the rest: two keys a Service cost up to 0.4 s each."""

BURST: Final = 12
EVERY_S: Final = 180
URGENT_BURST: Final = 4
"""A Service announces 12 at once and 20 an hour; for what is a matter of hours 4 more are held ready."""

DAY_MS: Final = 24 * 3_600_000
LOCKED_MS: Final = 60_000
HELP_AN_HOUR: Final = 60
"""Answers to one server; what it sends beyond gets none."""
MOST_ADDRESSED: Final = 20


def name_of(word: str) -> str | None:
    """The user name of the Service a word means (a slug or alias in any spelling, or a board), None for any other word."""
    if not 0 < len(word) <= LONGEST_NAME or not word.isascii():
        return None
    plain = word.lower()
    if plain in BOARDS:
        return plain
    try:
        return vocabulary.canonical(word).lower()
    except vocabulary.UnknownSlug:
        return None


def names(proposal: Proposal) -> tuple[str, ...]:
    """The user names of the Services a listing is for, those that say most about it first. Words that are not in our taxonomy have none."""
    wanted = [name for slug in proposal.skills if vocabulary.is_skill(slug) and (name := name_of(slug))]
    wanted += [name for slug in (*proposal.categories, *proposal.skills) if (name := _category(slug))]
    if proposal.urgency == "hours":
        wanted.append("urgent")
    return tuple(dict.fromkeys([*wanted, "requests" if proposal.purpose == "request" else "offers"]))


def _category(slug: str) -> str | None:
    try:
        return vocabulary.category(slug).slug.lower()
    except vocabulary.UnknownSlug:
        return None


class Caller:
    """Makes Services when their names are called: one at a time in a process, and few in line."""

    def __init__(self, instance: "Instance") -> None:
        self._instance = instance
        self._one = asyncio.Lock()
        self._waiting = 0

    async def __call__(self, word: str) -> str | None:
        """The user name of the Service that `word` means, made now if it is the first time; None if it means none. Raises `actors.endpoints.Busy`."""
        name = name_of(word)
        if name is None:
            return None
        database = self._instance.database
        if await database.read(known.by_name, name) is not None:
            return name
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._one:
                if await database.read(known.by_name, name) is None:
                    if not self._instance.limits.allow("topic", "made", 1 / MAKE_EVERY_S, MAKE_AT_ONCE):
                        raise Busy
                    await _make(self._instance, name)
        finally:
            self._waiting -= 1
        return name


async def _make(instance: "Instance", name: str) -> None:
    try:
        made = await local.create(instance, name, kind="Service", name=label(name, "en"))
    except local.NameTaken:   # another process was faster
        return
    await instance.database.write(_describe, instance, made)
    log.info("topic.made", actor=made.id)


DESCRIBE: Final = """
update actor
set summary = :summary, discoverable = 1
where id = :id
"""

INSERT_ANNOUNCER: Final = """
insert into announcer (actor_id, slug, tokens, filled_at)
values (:actor_id, :slug, :tokens, :now)
on conflict (actor_id) do nothing
"""


async def _describe(tx: Transaction, instance: "Instance", service: Actor) -> None:
    await tx.execute(DESCRIBE, id=service.id, summary=_summary(instance, service.username))


def _summary(instance: "Instance", name: str) -> str:
    """What stands on its profile: what it is, the name of its field in every language, and how to answer."""
    others = " · ".join(dict.fromkeys(label(name, language) for language in vocabulary.LANGUAGES))
    return (
        f"<p>{escape(others)}</p><p>Public requests and offers on {escape(instance.config.name)}. To answer one, write a private message to the account that "
        "posted it, and to nobody else. Nobody can see who follows this account.</p>"
    )


def label(name: str, language: str) -> str:
    """What the Service of that user name is called in a language of the taxonomy (boards have English names only)."""
    return BOARDS[name] if name in BOARDS else vocabulary.label(vocabulary.canonical(name), language)


SERVICES: Final = """
select actor.*
from actor
where actor.local = 1
  and actor.kind = 'Service'
  and actor.state = 'active'
order by actor.username
"""


async def _services(tx: Transaction, proposal: Proposal) -> list[Actor]:
    """The Services of a listing that exist, those that say most about it first. One that nobody ever looked up has no followers and is not made for this."""
    wanted = names(proposal)
    found = {row["username"]: known.from_row(row) for row in await tx.all(SERVICES)}
    return [found[name] for name in wanted if name in found]


async def announcers(tx: Transaction, instance: "Instance", proposal: Proposal) -> tuple[Iri, ...]:
    """The ids of the Services that may announce a public listing like this: its Note names them in `cc` (protocol.md 14.6) and in `canAnnounce` (14.2)."""
    return tuple(service.uri for service in await _services(tx, proposal))


ANNOUNCED_BY: Final = """
select announcement.actor_id
from announcement
where announcement.post_id = :post_id
  and announcement.state <> 'waiting'
"""


async def announced_by(tx: Transaction, post_id: int) -> tuple[int, ...]:
    """Our ids of the Services that ever announced a post: their followers may hold it, also after the Announce was taken back."""
    return tuple(int(row["actor_id"]) for row in await tx.all(ANNOUNCED_BY, post_id=post_id))


WANT: Final = """
insert into announcement (post_id, actor_id, state)
values (:post_id, :actor_id, 'waiting')
on conflict (post_id, actor_id) do update
set state = case when announcement.state = 'undone' then 'waiting' else announcement.state end
"""

VOUCHED: Final = """
select vouch.id
from vouch
where vouch.subject = :uri
  and vouch.level > 0
  and vouch.state in ('issued', 'lowered')
  and vouch.expires > :now
limit 1
"""

APPROVED: Final = """
select review_record.approved
from review_record
where review_record.actor_id = :actor_id
"""

ANNOUNCES: Final = """
select handshake.announce
from handshake
join peer on peer.host_id = handshake.host_id
where handshake.host_id = :host_id
  and peer.level = 'trusted'
"""


async def published(tx: Transaction, instance: "Instance", listing: Listing) -> None:
    """Asks for a public listing that is open to be announced; again is nothing new. What is not public, not open or not to be passed on stays unsaid."""
    if listing.audience != "public" or listing.state != "open":
        return
    author = await known.by_id(tx, listing.actor_id)
    if author is None or not author.active or not await _may(tx, instance, listing, author):
        return
    by_a_person = listing.local and listing.reviewed
    services = [one for one in await _services(tx, listing.proposal) if one.username != "urgent" or by_a_person]
    if not services:
        return
    await tx.many(WANT, [{"post_id": listing.id, "actor_id": service.id} for service in services])
    await enqueue(tx, instance, "announce", str(listing.id), instance.clock.ms())


async def _may(tx: Transaction, instance: "Instance", listing: Listing, author: Actor) -> bool:
    """Whether a listing may be passed on at all."""
    if not listing.local:
        row = None if author.host_id is None else await tx.one(ANNOUNCES, host_id=author.host_id)
        return row is not None and bool(row["announce"]) and instance.trust.actor(author.uri, "receive").shown
    if listing.reviewed or await tx.one(VOUCHED, uri=author.uri, now=instance.clock.ms()) is not None:
        return True
    # With the policy `newcomers` nobody looks at what somebody writes whom a person let pass before.
    row = await tx.one(APPROVED, actor_id=author.id)
    return row is not None and row["approved"] > 0


TAKE_TURN: Final = """
select announcement.actor_id
from announcement
where announcement.post_id = :post_id
  and announcement.state = 'waiting'
"""

NOT_ANY_MORE: Final = """
delete from announcement
where post_id = :post_id
  and state = 'waiting'
"""

SAID: Final = """
update announcement
set state = 'announced', uri = :uri
where post_id = :post_id
  and actor_id = :actor_id
"""

BUCKET: Final = """
select announcer.tokens, announcer.filled_at
from announcer
where announcer.actor_id = :actor_id
"""

FILL: Final = """
update announcer
set tokens = :tokens, filled_at = :now
where actor_id = :actor_id
"""


async def announce(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job `announce`: the Services of the listing with our id `key` say it to their followers, or it is put off until they may say something again."""
    try:
        await instance.database.write(_announce, instance, int(key))
    except Locked:
        await instance.database.write(_later, instance, key, instance.clock.ms() + LOCKED_MS)
        return
    instance.wake("delivery")


async def _later(tx: Transaction, instance: "Instance", key: str, at_ms: int) -> None:
    await enqueue(tx, instance, "announce", key, at_ms)


async def _announce(tx: Transaction, instance: "Instance", post_id: int) -> None:
    rows = await tx.all(TAKE_TURN, post_id=post_id)
    listing = await listings.by_id(tx, instance, post_id) if rows else None
    post = await posts.by_id(tx, post_id) if rows else None
    author = None if post is None else await known.by_id(tx, post.actor_id)
    if post is None or author is None or listing is None or listing.state != "open" or not author.active:
        await tx.execute(NOT_ANY_MORE, post_id=post_id)
        return
    waiting = {int(row["actor_id"]) for row in rows}
    services = [service for service in await _services(tx, listing.proposal) if service.id in waiting]
    wait_ms = await _take_tokens(tx, instance, services, 1 - URGENT_BURST if listing.urgency == "hours" else 1)
    if wait_ms:
        # All of them or none: who hears it from whom is decided once.
        await enqueue(tx, instance, "announce", str(post_id), instance.clock.ms() + wait_ms)
        return
    where = quiet.distinct([await quiet.followers(tx, instance, service) for service in services])
    for number, (service, places) in enumerate(zip(services, where, strict=True)):
        # A remote author's server hears it once, so that it knows who holds what when it withdraws.
        told = (author.id,) if not author.local and number == 0 else ()
        await _say(tx, instance, service, post, author, Audience(actors=told, inboxes=tuple(Iri(place) for place in places)))
    await tx.execute(NOT_ANY_MORE, post_id=post_id)   # of Services it is no longer for
    log.info("topic.announced", post=post_id, services=len(services))


async def _take_tokens(tx: Transaction, instance: "Instance", services: list[Actor], least: int) -> int:
    """Takes one token of each, or none and gives the milliseconds until each has one: its bucket holds `least` or more."""
    now = instance.clock.ms()
    filled: dict[int, float] = {}
    wait = 0
    for service in services:
        await tx.execute(INSERT_ANNOUNCER, actor_id=service.id, slug=service.username, tokens=float(BURST), now=now)
        row = await tx.one(BUCKET, actor_id=service.id)
        tokens = float(BURST) if row is None else min(float(BURST), row["tokens"] + max(0, now - row["filled_at"]) / (EVERY_S * 1000))
        filled[service.id] = tokens
        if tokens < least:
            wait = max(wait, int((least - tokens) * EVERY_S * 1000) + 1000)
    if not wait:
        await tx.many(FILL, [{"actor_id": actor_id, "tokens": tokens - 1, "now": now} for actor_id, tokens in filled.items()])
    return wait


async def _say(tx: Transaction, instance: "Instance", service: Actor, post: Post, author: Actor, audience: Audience) -> None:
    to, cc = _for_followers(service, author)
    # Without `published`: when it is said, everybody hears (protocol.md 14.3).
    said = Announce(id=_activity_uri(instance), actor=service.uri, object=post.uri, to=to, cc=cc)
    made = await posts.boost(tx, instance, service, Iri(f"{said.id}"), post, to=to, cc=cc, local=True)
    if not isinstance(made, Post):
        return
    await tx.execute(SAID, post_id=post.id, actor_id=service.id, uri=said.id)
    # The key of the post: behind its Create, and its Delete replaces what was not delivered and follows what was.
    await outbox.publish(tx, instance, service, said, audience, object=post.uri, ordering_key=post.uri)


async def closed(tx: Transaction, instance: "Instance", listing: Listing) -> None:
    """Lets nobody announce a listing any more, because it is not open: what waits is dropped, what was said is taken back."""
    post = await posts.by_id(tx, listing.id)
    if post is not None:
        await _take_back(tx, instance, post)


SAID_BY: Final = """
select announcement.actor_id, announcement.uri
from announcement
where announcement.post_id = :post_id
  and announcement.state = 'announced'
"""

UNSAID: Final = """
update announcement
set state = 'undone'
where post_id = :post_id
  and actor_id = :actor_id
"""


async def _take_back(tx: Transaction, instance: "Instance", post: Post) -> None:
    await tx.execute(NOT_ANY_MORE, post_id=post.id)
    rows = await tx.all(SAID_BY, post_id=post.id)
    author = await known.by_id(tx, post.actor_id) if rows else None
    for number, row in enumerate(rows):
        service = await known.by_id(tx, row["actor_id"])
        boost = await posts.boost_by(tx, row["actor_id"], post.id)
        await tx.execute(UNSAID, post_id=post.id, actor_id=row["actor_id"])
        if service is None or author is None or boost is None:
            continue
        to, cc = _for_followers(service, author)
        await posts.remove(tx, instance, boost, tombstone=False)
        said = Announce(id=boost.uri, actor=service.uri, object=post.uri, to=to, cc=cc)
        undo = Undo(id=_activity_uri(instance), actor=service.uri, object=said, to=to, cc=cc)
        told = (author.id,) if not author.local and number == 0 else ()
        await outbox.publish(tx, instance, service, undo, Audience(actors=told, followers_of=(service.id,)), object=post.uri, ordering_key=post.uri)


def _for_followers(service: Actor, author: Actor) -> tuple[tuple[Iri, ...], tuple[Iri, ...]]:
    cc = tuple(one for one in (service.followers, None if author.local else author.uri) if one is not None)
    return (PUBLIC,), cc


def _activity_uri(instance: "Instance") -> Iri:
    return Iri(f"{instance.config.base_url}/activities/{instance.ids.new()}")


# What arrives: subscribers, each inside the transaction of its cause.


async def stored(instance: "Instance", tx: Transaction, event: PostStored) -> None:
    """A listing of a trusted peer: to be announced, where its switch says so."""
    if not event.local and event.note.proposal is not None and event.visibility == "public" and not event.confidential:
        await _look(tx, instance, event.post_id)


async def changed(instance: "Instance", tx: Transaction, event: PostChanged) -> None:
    """The same for one that changed: closed ones are taken back."""
    if not event.local and not event.confidential:
        await _look(tx, instance, event.post_id)


async def _look(tx: Transaction, instance: "Instance", post_id: int) -> None:
    listing = await listings.by_id(tx, instance, post_id)
    if listing is None or listing.local:
        return
    if listing.state == "open":
        await published(tx, instance, listing)
    else:
        await closed(tx, instance, listing)


async def gone(instance: "Instance", tx: Transaction, event: PostGone) -> None:
    """Somebody else's listing was deleted at home: its Announce is taken back. Ours need no Undo: their Delete goes to the same followers."""
    if await tx.one(TAKE_TURN_OR_SAID, post_id=event.post_id) is None:
        return
    post = await posts.by_id(tx, event.post_id)
    if post is not None and not post.local:
        await _take_back(tx, instance, post)


TAKE_TURN_OR_SAID: Final = """
select announcement.actor_id
from announcement
where announcement.post_id = :post_id
limit 1
"""


async def departed(instance: "Instance", tx: Transaction, event: ActorGone) -> None:
    """An actor elsewhere is gone, and follows nothing any more."""
    if not event.local and not instance.vault.locked:
        await quiet.forget(tx, instance, event.uri)


INSERT_TOLD: Final = """
insert into told_help (mark, until)
values (:mark, :until)
on conflict (mark) do nothing
"""

NEXT_TOLD: Final = """
select min(told_help.until) as until
from told_help
"""

FORGET_TOLD: Final = """
delete from told_help
where until <= :now
"""


async def arrived(instance: "Instance", tx: Transaction, event: PostArrived) -> Answer:
    """Takes what is written to our Services and to nobody else here: it is not kept, and a private one is answered, once a day.

    Other Services get no answer, so that two of them never talk to each other.
    """
    addressed = await _addressed(tx, instance, event)
    services = [actor for actor in addressed if quiet.keeps(actor)]
    if not services or len(services) < len(addressed):
        return Answer.PASS
    author = await known.by_id(tx, event.actor_id)
    if author is None or author.local or not author.active or author.kind in ("Service", "Application"):
        return Answer.TAKEN
    if posts.visibility(event.note, author.followers) == "direct":
        await _help(tx, instance, services[0], author, event.note.language)
    return Answer.TAKEN


async def _addressed(tx: Transaction, instance: "Instance", event: PostArrived) -> list[Actor]:
    """Everybody here that a post is written to, or whose post it answers."""
    ours = f"{instance.config.base_url}/"
    targets = [target for target in dict.fromkeys(event.note.addressed) if target.startswith(ours)][:MOST_ADDRESSED]
    found = [actor for target in targets if (actor := await known.by_uri(tx, target)) is not None and actor.local]
    parent = event.note.in_reply_to
    answered = await posts.by_uri(tx, parent) if parent is not None and parent.startswith(ours) else None
    author = None if answered is None else await known.by_id(tx, answered.actor_id)
    return found if author is None else [*found, author]


async def _help(tx: Transaction, instance: "Instance", service: Actor, to: Actor, language: str | None) -> None:
    now = instance.clock.ms()
    if not instance.limits.allow("topic.help", to.host, HELP_AN_HOUR / 3600, HELP_AN_HOUR):
        return
    await tx.execute(FORGET_TOLD, now=now)
    mark = instance.vault.digest("told_help", to.uri).hex()
    if not await tx.execute(INSERT_TOLD, mark=mark, until=now + DAY_MS):
        return
    await enqueue(tx, instance, "forget_help", "all", now + DAY_MS)
    written = vocabulary.written(language)
    text = words.words(written, "topic.help", name=label(service.username, written))
    await letters.send(tx, instance, service, to, text, language=written)
    instance.wake("delivery")


async def forget_help(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job `forget_help`: whom a Service answered more than a day ago is forgotten."""
    await instance.database.write(_forget_help, instance)


async def _forget_help(tx: Transaction, instance: "Instance") -> None:
    await tx.execute(FORGET_TOLD, now=instance.clock.ms())
    row = await tx.one(NEXT_TOLD)
    if row is not None and row["until"] is not None:
        await enqueue(tx, instance, "forget_help", "all", row["until"])


# What staff sees.


@dataclass(frozen=True, slots=True)
class Topic:
    """One Service that was made: how many follow it, and how many listings wait to be announced."""

    handle: str
    label: str
    followers: int
    waiting: int

    def json(self) -> dict[str, str | int]:
        return {"handle": self.handle, "label": self.label, "followers": self.followers, "waiting": self.waiting}


LISTED: Final = """
select actor.username, actor.handle_host,
  (select count(*) from quiet_follower where quiet_follower.actor_id = actor.id) as followers,
  (select count(*) from announcement where announcement.actor_id = actor.id and announcement.state = 'waiting') as waiting
from actor
where actor.local = 1
  and actor.kind = 'Service'
  and actor.state = 'active'
order by actor.username
"""


async def listed(tx: Transaction, language: str = "en") -> list[Topic]:
    """Every Service that was looked up at least once, by name."""
    return [_topic(row, language) for row in await tx.all(LISTED) if name_of(row["username"]) == row["username"]]


def _topic(row: Row, language: str) -> Topic:
    return Topic(f"{row['username']}@{row['handle_host']}", label(row["username"], language), int(row["followers"]), int(row["waiting"]))
