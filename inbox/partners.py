"""What do other instances' Applications say to ours? The handshake, said in the open, and that a vouch of theirs holds no more."""

from actors import handshake, known
from actors.instance import Instance
from actors.known import Actor
from inbox.effects import NOTHING, Effects
from outbox import confidential, posts
from schemas.activities import Accept, Activity, Delete, Follow, Reject, Undo
from schemas.events import VouchesChanged
from schemas.storage import Transaction


async def heard(tx: Transaction, instance: Instance, actor: Actor, activity: Activity, *, sealed: bool) -> Effects | None:
    """What follows from the proven word of another Application; None where it is nothing of this kind, and means what it means of everybody."""
    match activity:
        case Follow(object=object) if not sealed and object == (await known.application(tx)).uri:
            return await _asked(tx, instance, actor, activity)
        case Accept() if not sealed:
            host_id = await handshake.accepted(tx, instance, actor, activity)
            if host_id is None:
                return None
            await confidential.resume(tx, instance, host_id)
            return Effects(wake=("delivery",))
        case Reject() if not sealed:
            return NOTHING if await handshake.refused(tx, actor, activity) else None
        case Undo() if not sealed:
            return NOTHING if await handshake.withdrawn(tx, actor, activity) else None
        case Delete(object=thing) if thing.id != actor.uri and await posts.by_uri(tx, thing.id) is None:
            # A tombstone is how a vouch ends here, in whatever order the two come.
            await posts.delete(tx, instance, actor, thing.id)
            await instance.tell(tx, VouchesChanged(None, actor.uri))
            return NOTHING
        case _:
            return None


async def _asked(tx: Transaction, instance: Instance, actor: Actor, follow: Follow) -> Effects | None:
    if not instance.trust.actor(actor.uri, "receive").allowed:
        return None
    accept = await handshake.asked(tx, instance, actor, follow)
    partner = None if accept is None else await handshake.partner_of(tx, actor)
    if accept is None or partner is None:
        return NOTHING
    await confidential.say(tx, instance, partner, (accept,))
    return Effects(wake=("delivery",))
