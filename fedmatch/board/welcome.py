"""What does a peer get of the public board when it is trusted? What is open and was posted before, so that it matches at home and asks nobody.

What is not public goes there by fedmatch/board/copies.py. Here it is at most the newest 1,000 listings of ours, newest first, to its Application alone, as
plain activities that keep their ids: what it holds already it does not take twice. Whoever is excluded, or blocked by an author, gets nothing of theirs.
"""

import secrets
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from actors import blocks, known, peers
from actors.peers import Partner
from fedmatch import chores, times
from fedmatch.board import listings, publish, terms
from fedmatch.jobs import enqueue
from outbox import address, posts
from outbox import publish as outbox
from outbox.address import Audience
from outbox.posts import Post
from schemas import documents
from schemas.activities import Activity, Create, Update
from schemas.events import PeerTrusted
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MOST: Final = 1000
"""How many public listings a new peer is given; who wants older ones finds them on our pages."""
CHUNK: Final = 20
KIND: Final = "welcome"

OPEN: Final = """
select post.*
from listing
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where listing.audience = 'public'
  and listing.state in ('open', 'paused', 'matched')
  and listing.confidential = 0
  and post.local = 1
  and actor.state = 'active'
  and post.id < :before
order by post.id desc
limit :limit
"""

UNDER_WAY: Final = """
select delivery.id
from delivery
where delivery.ordering_key = :ordering_key
  and delivery.inbox = :inbox
  and delivery.state = 'waiting'
limit 1
"""


class _Place(msgspec.Struct, frozen=True):
    """How far a welcome is: listings older than `before` are still to be given, `left` of them at most. Nothing here is a secret."""

    before: int
    left: int


async def trusted(instance: "Instance", tx: Transaction, event: PeerTrusted) -> None:
    """A peer is trusted, perhaps again: it is given what is public by a job."""
    await enqueue(tx, instance, KIND, str(event.host_id), instance.clock.ms(), msgspec.json.encode(_Place(listings.END, MOST)))


async def give(instance: "Instance", key: str, payload: bytes) -> None:
    """The job: the next 20 listings; it asks for itself until there are none, so that it is never begun anew and others have their turn between."""
    place = msgspec.json.decode(payload, type=_Place)
    if instance.vault.locked:
        await instance.database.write(enqueue, instance, KIND, key, instance.clock.ms() + chores.LOCKED_MS, payload)
        return
    await instance.database.write(_give, instance, int(key), place)
    instance.wake("delivery")
    instance.wake("job")


async def _give(tx: Transaction, instance: "Instance", host_id: int, place: _Place) -> None:
    partner = await peers.partner(tx, host_id)
    if partner is None or not partner.ready or partner.application_id is None:
        return  # trusted no more; another trust begins another welcome
    rows = await tx.all(OPEN, before=place.before, limit=min(CHUNK, place.left))
    for row in rows:
        await _tell(tx, instance, partner, partner.application_id, posts.from_row(row))
    if rows:
        further = _Place(int(rows[-1]["id"]), place.left - len(rows))
        log.info("board.welcomed", host=host_id, listings=len(rows), left=further.left)
        if further.left > 0:
            await enqueue(tx, instance, KIND, str(host_id), instance.clock.ms(), msgspec.json.encode(further))


async def _tell(tx: Transaction, instance: "Instance", partner: Partner, application: int, held: Post) -> None:
    """Gives one listing as it stands: its Create, and its last Update for who has an older form of it."""
    author, note = await known.by_id(tx, held.actor_id), await publish.note(tx, instance, held)
    if author is None or note is None:
        return
    wishes = await terms.of(tx, instance, held.id)
    if wishes.keeps_from(partner.terms.countries) or application in await blocks.kept_from(tx, author.id):
        return
    inboxes = await address.inboxes(tx, instance, Audience(actors=(application,)), fold=True)
    if not inboxes or await tx.one(UNDER_WAY, ordering_key=held.uri, inbox=inboxes[0].url) is not None:
        return  # what waits for it already says the same, or says it later
    published = times.moment(held.published)
    says: list[Activity] = [Create(id=Iri(f"{held.uri}/activity"), actor=author.uri, object=note, to=note.to, cc=note.cc, published=published)]
    if held.updated:
        updated = times.moment(held.updated)
        says.append(Update(id=Iri(f"{held.uri}#updates/{held.updated}"), actor=author.uri, object=note, to=note.to, cc=note.cc, published=updated))
    for activity in says:
        document = documents.activity(activity)
        if note.proposal is not None and note.proposal.purpose == "offer":
            document = await outbox.prove(tx, instance, author, document)
        # The activity keeps its id; each sending of it is a row of its own.
        uri = Iri(f"{activity.id}~{secrets.token_hex(8)}")
        kind = type(activity).__name__
        await outbox.queue(tx, instance, author, documents.dumps(document), inboxes, uri=uri, kind=kind, object=held.uri, ordering_key=held.uri)
