"""How does somebody of ours get new keys, without being taken for somebody else? Everybody who may know the old one is told, in words the old one signs."""

from typing import TYPE_CHECKING, Final

from actors import keys, local
from actors.known import Actor
from fedmatch.safety import vouches
from outbox import publish
from outbox.address import Audience
from schemas.crashpoint import crashpoint
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

KNOWN_TO: Final = """
select distinct coalesce(actor.shared_inbox, delivery.inbox) as inbox
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
left join actor on actor.inbox = delivery.inbox and actor.local = 0
where outgoing.actor_id = :actor_id
"""


async def rotate_keys(instance: "Instance", actor: Actor) -> Actor:
    """Gives an actor of ours new keys and tells its followers and every inbox that heard of it; takes 0.1-0.5 s for the keys, then one write.

    What waits to leave is signed with the new key, the news itself with the old one, which stays listed for 7 days. Raises ValueError for an actor that is not
    ours or not active, and for a one-time one.
    """
    new = await keys.make()
    crashpoint("rotate:made")
    await instance.database.write(_rotate, instance, actor, new)
    crashpoint("rotate:committed")
    instance.keys.forget()
    crashpoint("rotate:forgotten")
    instance.wake("delivery")
    return actor


async def _rotate(tx: Transaction, instance: "Instance", actor: Actor, new: keys.NewKeys) -> None:
    update = await local.rotate(tx, instance, actor, new)
    crashpoint("rotate:replaced")
    # A vouch names the key of whom it is for, and is signed with the Application's.
    await (vouches.resign(tx, instance) if actor.kind == "Application" else vouches.rekey(tx, instance, actor))
    known_to = tuple(Iri(row["inbox"]) for row in await tx.all(KNOWN_TO, actor_id=actor.id))
    await publish.publish(tx, instance, actor, update, Audience(followers_of=(actor.id,), inboxes=known_to), object=actor.uri, ordering_key=actor.uri)
    crashpoint("rotate:published")
