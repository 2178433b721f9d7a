"""Which trusted peers hold a listing that is not public? Each gets a copy of its own, sealed and addressed to its Application alone; none learns of another."""

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from actors import known, peers
from actors.known import Actor
from actors.peers import Partner
from fedmatch import chores, times
from fedmatch.board import listings, notifications, terms
from fedmatch.board.drafts import HOUR_MS
from fedmatch.board.listings import Listing
from fedmatch.board.notes import note_of
from fedmatch.board.terms import Terms
from fedmatch.jobs import enqueue
from fedmatch.safety import vouches
from outbox import confidential, owed
from schemas.activities import Activity, Create, Delete, Update
from schemas.events import Farewell, PeerLost, PeerTrusted, VouchesChanged
from schemas.objects import Circle, Note, Tombstone
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

CHUNK: Final = 50
SECOND_MS: Final = 1000

HELD: Final = """
select listing_copy.host_id, host.name as host
from listing_copy
join host on host.id = listing_copy.host_id
where listing_copy.post_id = :post_id
  and listing_copy.ended_at is null
order by listing_copy.host_id
"""

EVER: Final = """
select host.name as host, listing_copy.sent_at, listing_copy.ended_at
from listing_copy
join host on host.id = listing_copy.host_id
where listing_copy.post_id = :post_id
order by host.name
"""

SAID: Final = """
select listing_copy.said_at
from listing_copy
where listing_copy.post_id = :post_id
  and listing_copy.host_id = :host_id
"""

GIVE: Final = """
insert into listing_copy (post_id, host_id, sent_at, said_at)
values (:post_id, :host_id, :now, :said_at)
on conflict (post_id, host_id) do update
set ended_at = null, told = 0, said_at = excluded.said_at
"""

SAY: Final = """
update listing_copy
set said_at = :said_at
where post_id = :post_id
  and host_id = :host_id
"""

END: Final = """
update listing_copy
set ended_at = :now, told = 1
where post_id = :post_id
  and host_id = :host_id
"""

LOST: Final = """
update listing_copy
set ended_at = :now
where host_id = :host_id
  and ended_at is null
"""

FORGOTTEN: Final = """
update listing_copy
set ended_at = :now, told = 1
where host_id = :host_id
  and ended_at is null
"""

ENDED: Final = """
select listing_copy.post_id
from listing_copy
where listing_copy.host_id = :host_id
  and listing_copy.ended_at is not null
order by listing_copy.post_id
"""

UNTOLD: Final = """
select listing_copy.post_id, listing_copy.ended_at, host.name as host
from listing_copy
join host on host.id = listing_copy.host_id
where listing_copy.host_id = :host_id
  and listing_copy.told = 0
  and listing_copy.ended_at is not null
order by listing_copy.post_id
limit :limit
"""

TOLD: Final = """
update listing_copy
set told = 1
where post_id = :post_id
  and host_id = :host_id
"""

SHARED: Final = """
select listing.post_id
from listing
join post on post.id = listing.post_id
where listing.audience in ('network', 'peers')
  and listing.state in ('open', 'paused', 'matched')
  and listing.confidential = 0
  and post.local = 1
  and listing.post_id > :after
order by listing.post_id
limit :limit
"""

LIVE_OF: Final = """
select listing.post_id, listing.pace
from listing
join post on post.id = listing.post_id
where post.actor_id = :actor_id
  and post.local = 1
  and listing.state in ('open', 'paused', 'matched')
order by listing.post_id
limit 1000
"""

APPLICATION: Final = """
select actor.id
from actor
where actor.host_id = :host_id
  and actor.local = 0
  and actor.kind = 'Application'
"""


def readable_at(partner: Partner, listing: Listing, wishes: Terms) -> int | None:
    """The level that helpers of this peer need by its own word, 0 for all of them; None if nothing of the listing may go there.

    Nothing goes where the author excluded a country it answers to, or any country while it does not say which ones it answers to; nor where the floor cannot be
    met: another issuer is named, or the peer's word does not count that far here.
    """
    if listing.audience not in ("network", "peers") or (listing.audience == "peers" and partner.host not in listing.named):
        return None
    if wishes.keeps_from(partner.terms.countries):
        return None
    floor = wishes.readers
    if floor.level == 0:
        return 0
    if (floor.issuers and partner.host not in floor.issuers) or partner.vouches_count_up_to < floor.level:
        return None
    return floor.level


async def bring_up_to_date(tx: Transaction, instance: "Instance", author: Actor, listing: Listing, *, updated: int | None = None) -> None:
    """Sends one of ours, as it stands, to every trusted peer that may read it and has none; with `updated` (ms) also to those who have one.

    Who has one and may not read it any more is told to delete it. A closed listing goes to nobody new. Raises `actors.vault.Locked`.
    """
    held = await narrow(tx, instance, author, listing)
    wishes = await terms.of(tx, instance, listing.id)
    for partner in await peers.trusted(tx):
        level = readable_at(partner, listing, wishes)
        if level is None:
            continue
        there = partner.host_id in held
        if (there and updated is None) or (not there and listing.state not in listings.OPEN):
            continue
        note = _note(instance, author, listing, partner, level)
        says: list[Activity] = []
        if not there:
            last = await tx.one(SAID, post_id=listing.id, host_id=partner.host_id)
            said_at = listing.published if last is None else _after(last["said_at"], _hour(instance) + HOUR_MS)
            says.append(_first(author, note) if last is None else _again(author, note, said_at))
            # Whoever had it before may have kept it, and what they know already they do not take twice.
            there = last is not None and listing.updated is not None
            await tx.execute(GIVE, post_id=listing.id, host_id=partner.host_id, now=_hour(instance), said_at=said_at)
        if there:
            when = updated or listing.updated
            says.append(Update(id=Iri(f"{note.id}#updates/{when}"), actor=author.uri, object=note, to=note.to, published=note.updated))
        for activity in says:
            await confidential.publish(tx, instance, author, activity, partner.host_id, object=note.id, ordering_key=_key(note.id, partner.host))
        for vouch in listing.vouches:
            await vouches.given(tx, instance, vouch, partner.host_id)


def _hour(instance: "Instance") -> int:
    """The whole hour that began last: rows that a person's deed writes tell nothing finer, and it was readable there no longer than they say."""
    return instance.clock.ms() // HOUR_MS * HOUR_MS


def _first(author: Actor, note: Note) -> Create:
    return Create(id=Iri(f"{note.id}/activity"), actor=author.uri, object=note, to=note.to, published=note.published)


def _after(last: int, coarse: int) -> int:
    """When the next thing about a copy is said, in milliseconds: by whole hours, and a second after what was said last, for its receiver goes by that order."""
    return max(coarse, last // SECOND_MS * SECOND_MS + SECOND_MS)


def _again(author: Actor, note: Note, said_at: int) -> Create:
    """Gives what was asked back before: an activity of its own, said after whatever it was asked back with, or its receiver would leave it buried."""
    return Create(id=Iri(f"{note.id}#again/{_mark()}"), actor=author.uri, object=note, to=note.to, published=times.moment(said_at))


def _mark() -> str:
    """What tells one activity from others about the same listing, and not when it was said."""
    return secrets.token_hex(8)


async def narrow(tx: Transaction, instance: "Instance", author: Actor, listing: Listing) -> frozenset[int]:
    """Tells every peer that holds a copy and may not read it any more to delete it, at once. Gives the hosts that keep theirs."""
    wishes = await terms.of(tx, instance, listing.id)
    may = {partner.host_id for partner in await peers.trusted(tx) if readable_at(partner, listing, wishes) is not None}
    held = {int(row["host_id"]): str(row["host"]) for row in await tx.all(HELD, post_id=listing.id)}
    for host_id in held.keys() - may:
        await take_back(tx, instance, author, listing.url, listing.id, host_id, held[host_id])
        await tx.execute(END, post_id=listing.id, host_id=host_id, now=_hour(instance) + HOUR_MS)
    return frozenset(held.keys() & may)


def _note(instance: "Instance", author: Actor, listing: Listing, partner: Partner, level: int) -> Note:
    circle: Circle = "network" if listing.audience == "network" else "peers"
    proposal = replace(listing.proposal, readers=level, circle=circle)
    times_of = (times.moment(listing.published), times.moment(listing.updated) if listing.updated else None)
    return note_of(instance, author, listing.url, proposal, listing.language, *times_of, to=(partner.application,))


def _key(uri: Iri, host: str) -> str:
    """What keeps the activities about one copy in order, and apart from those of every other peer."""
    return f"{uri} {host}"


async def take_back(tx: Transaction, instance: "Instance", author: Actor, uri: Iri, post_id: int, host_id: int, host: str) -> None:
    """Asks one peer to delete its copy; an undelivered Create becomes the Delete alone.

    It is only ever asked sealed, for the Delete names the listing and its author. Where nobody knows who answers behind a name it waits until an admin does;
    whoever loses us out of sight forgets by itself (fedmatch/safety/retention.py).
    """
    gone = await _gone(tx, instance, author, uri, post_id, host_id)
    await confidential.publish(tx, instance, author, gone, host_id, object=uri, ordering_key=_key(uri, host), waits=True)


async def _gone(tx: Transaction, instance: "Instance", author: Actor, uri: Iri, post_id: int, host_id: int) -> Delete:
    application = await tx.one(APPLICATION, host_id=host_id)
    target = None if application is None else await known.by_id(tx, application["id"])
    last = await tx.one(SAID, post_id=post_id, host_id=host_id)
    said_at = _after(0 if last is None else last["said_at"], _hour(instance))
    await tx.execute(SAY, post_id=post_id, host_id=host_id, said_at=said_at)
    return Delete(
        id=Iri(f"{uri}#delete/{_mark()}"),
        actor=author.uri,
        object=Tombstone(uri, former_type="Note"),
        to=() if target is None else (target.uri,),
        published=times.moment(said_at),
    )


async def take_all_back(tx: Transaction, instance: "Instance", author: Actor, uri: Iri, post_id: int) -> None:
    """Asks every peer that holds a copy to delete it."""
    for row in await tx.all(HELD, post_id=post_id):
        await take_back(tx, instance, author, uri, post_id, row["host_id"], row["host"])


async def ever(tx: Transaction, post_id: int) -> list[tuple[str, int, int | None]]:
    """Where a listing of ours was readable: host, since when, until when (None: still), in milliseconds UTC."""
    return [(row["host"], row["sent_at"], row["ended_at"]) for row in await tx.all(EVER, post_id=post_id)]


# -- what happens between us and our peers -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    """How a lost peer is asked: not at all; sealed to the key that was pinned (`farewell`); or when it is trusted again. Nothing here is a secret."""

    asked: bool = False
    farewell: Farewell | None = None


async def _ask(tx: Transaction, instance: "Instance", author: Actor, listing: Listing, host_id: int, host: str, way: _Way) -> None:
    uri = listing.url
    if way.asked and way.farewell is None:
        try:
            await take_back(tx, instance, author, uri, listing.id, host_id, host)
        except confidential.NotTrusted:
            log.info("board.copy_not_taken_back", host=host_id)  # an admin forgot it altogether since
        return
    gone = await _gone(tx, instance, author, uri, listing.id, host_id)
    if way.farewell is not None:
        await confidential.part(tx, instance, author, gone, host, way.farewell, ordering_key=_key(uri, host))
    else:
        await confidential.owe(tx, instance, gone, host, ordering_key=_key(uri, host))


async def trusted(instance: "Instance", tx: Transaction, event: PeerTrusted) -> None:
    """A peer is trusted, perhaps again: what is open and meant for it goes there soon, and of that it keeps what it holds: no Delete that waited is sent.
    What else it held when it was blocked it is asked to delete."""
    partner = await peers.partner(tx, event.host_id)
    if event.anew:
        await tx.execute(FORGOTTEN, host_id=event.host_id, now=instance.clock.ms())  # it is given all of it again; what it has it does not take twice
    for row in await tx.all(ENDED, host_id=event.host_id):
        listing = await listings.by_id(tx, instance, row["post_id"])
        if partner is None or listing is None or listing.state not in listings.OPEN:
            continue
        if readable_at(partner, listing, await terms.of(tx, instance, listing.id)) is not None:
            await confidential.keep(tx, instance, partner.host, _key(listing.url, partner.host))
    await owed.say(tx, instance, event.host_id)
    await enqueue(tx, instance, "share", "all", instance.clock.ms())


async def judged_anew(instance: "Instance", tx: Transaction, event: VouchesChanged) -> None:
    """The word of an issuer counts for more or less: some copies may go now, others come back. What is said of an author changed: so do listings."""
    if event.issuer is not None:
        await enqueue(tx, instance, "share", "all", instance.clock.ms())
    if event.actor_id is not None:
        now = instance.clock.ms()
        for row in await tx.all(LIVE_OF, actor_id=event.actor_id):
            await chores.tell_at(tx, instance, row["post_id"], now if row["pace"] < 2 else (now // HOUR_MS + 1) * HOUR_MS)


async def lost(instance: "Instance", tx: Transaction, event: PeerLost) -> None:
    """A peer is trusted no more: from now on nothing counts as readable there; its copies are taken back, and authors told, by a job. Staff hears at once."""
    await notifications.tell_staff(tx, instance, "peer.lost", event.host)
    if await tx.execute(LOST, host_id=event.host_id, now=instance.clock.ms()):
        way = _Way(event.level != "blocked", event.farewell)
        await enqueue(tx, instance, "unshare", str(event.host_id), instance.clock.ms(), msgspec.json.encode(way))


async def share(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job: every open listing that is meant for peers, brought up to date."""
    after = 0
    while found := await instance.database.read(_shared, after):
        for post_id in found:
            await instance.database.write(_share, instance, post_id)
        after = found[-1]
        instance.wake("delivery")


async def _shared(tx: Transaction, after: int) -> list[int]:
    return [row["post_id"] for row in await tx.all(SHARED, after=after, limit=CHUNK)]


async def _share(tx: Transaction, instance: "Instance", id: int) -> None:
    listing = await listings.by_id(tx, instance, id)
    author = None if listing is None else await known.by_id(tx, listing.actor_id)
    if listing is not None and author is not None and author.active:
        await bring_up_to_date(tx, instance, author, listing)


async def unshare(instance: "Instance", key: str, payload: bytes) -> None:
    """The job: a lost peer is asked to delete what it holds, and each author is told what was readable there until when."""
    if instance.vault.locked:
        await instance.database.write(enqueue, instance, "unshare", key, instance.clock.ms() + chores.LOCKED_MS, payload)
        return
    way = msgspec.json.decode(payload, type=_Way) if payload else _Way()
    while await instance.database.write(_unshare, instance, int(key), way):
        instance.wake("delivery")


async def _unshare(tx: Transaction, instance: "Instance", host_id: int, way: _Way) -> int:
    rows = await tx.all(UNTOLD, host_id=host_id, limit=CHUNK)
    for row in rows:
        listing = await listings.by_id(tx, instance, row["post_id"])
        author = None if listing is None else await known.by_id(tx, listing.actor_id)
        if listing is not None and author is not None:
            await _ask(tx, instance, author, listing, host_id, row["host"], way)
            await notifications.tell(tx, instance, author.id, "peer.lost", f"{listing.id} {row['host']} {times.rfc3339(row['ended_at'])}")
        await tx.execute(TOLD, post_id=row["post_id"], host_id=host_id)
    if rows:
        log.info("board.copies_taken_back", host=host_id, copies=len(rows))
    return len(rows)
