"""Which of our Services speaks of which field of help? One account on any server follows a whole field: `@legalaid`, `@asylumlaw`, `@requests`, `@urgent`.

    published   a public listing is open: its Services are to announce it, a bounded number at once (the job `announce`)
    closed      it is open no more: they take the Announce back; what it becomes, or that it is gone, goes to their followers as well (deletion.holders)

What they are called and when they are made: services.py. How many they say at once: turns.py. What they answer: topic_help.py. Who follows them is in
actors/quiet.py. Announced is what a person here reviewed; without a review only what somebody wrote whom we vouch for, or of whom a
person let something pass before; nothing as urgent without a person. Of others' listings only those of trusted peers whose switch is on, none as urgent.
"""

from typing import TYPE_CHECKING, Final

import structlog

from actors import known, quiet
from actors.known import Actor
from actors.vault import Locked
from fedmatch.board import listings, turns
from fedmatch.board.listings import Listing
from fedmatch.board.services import names
from fedmatch.jobs import enqueue
from outbox import posts
from outbox import publish as outbox
from outbox.address import Audience
from outbox.posts import Post
from schemas.activities import Announce, Undo
from schemas.events import ActorGone, PostChanged, PostGone, PostStored, Withdrawn
from schemas.objects import PUBLIC, Proposal
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

LOCKED_MS: Final = 60_000


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
    wait_ms = await turns.take(tx, instance, services, urgent=listing.urgency == "hours")
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


async def withdrawn(instance: "Instance", tx: Transaction, event: Withdrawn) -> None:
    """Somebody else's listing that our Services announced is deleted, and its Delete proves itself: their followers' servers get it as it came.

    Who believes such a proof drops the listing (Mastodon from 4.7, Fedify, Mitra); to all others it is a Delete by a stranger, and the Undo that follows takes
    the boost away. Nobody but us learns who follows.
    """
    found = [await known.by_id(tx, service_id) for service_id in await announced_by(tx, event.post_id)]
    services = [service for service in found if service is not None and service.active]
    if not services or len(event.body) > outbox.MOST_BODY:
        return
    to = Audience(followers_of=tuple(service.id for service in services))
    await outbox.forward(
        tx, instance, services[0], event.body, uri=event.activity, kind="Delete", audience=to, leaving_out=event.hosts, object=event.uri
    )
    instance.wake("delivery")


async def departed(instance: "Instance", tx: Transaction, event: ActorGone) -> None:
    """An actor is gone, here or elsewhere, and follows nothing any more."""
    if not instance.vault.locked:
        await quiet.forget(tx, instance, event.uri)
