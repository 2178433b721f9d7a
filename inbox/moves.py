"""What if somebody we follow moves? Both accounts are read anew at their own servers, and everybody here who follows the old one follows the new one."""

from typing import Final

import structlog

from actors import known, moves, remote
from actors.instance import Instance
from actors.known import Actor
from actors.moves import CannotMove
from actors.remote import Budget, FetchFailed
from inbox import concern
from inbox.effects import NOTHING, Effects, ask
from inbox.errors import Later
from outbox.address import Audience
from outbox.publish import publish
from schemas.activities import Move
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

AGAIN_S: Final = 300
CHUNK: Final = 50
"""How many followers one write takes along."""

SOME_FOLLOWERS: Final = """
select actor.*
from follow
join actor on actor.id = follow.follower_id
where follow.followed_id = :actor_id
  and follow.state in ('requested', 'accepted')
  and actor.local = 1
order by follow.id
limit :limit
"""


async def looked_up(instance: Instance, actor: Actor, move: Move, budget: Budget) -> tuple[Actor, Actor] | None:
    """The old and the new account as their servers show them now; None where that says nothing. Raises `Later` where another time may.

    The old one's server may be dead when the new one speaks (FEP-7628); then what we read there while it lived counts.
    """
    if actor.uri not in (move.object, move.target) or move.object == move.target:
        return None
    old = await instance.database.read(known.by_uri, move.object)
    if old is None or not await instance.database.read(_matters, instance, old):
        return None
    new = await remote.actor(instance, move.target, budget=budget, fresh=True)
    if isinstance(new, FetchFailed):
        if new.temporary:
            raise Later(AGAIN_S, f"the account it moves to could not be read: {new.why}")
        log.info("move.no_target", actor=actor.id, kind=new.kind)
        return None
    if actor.uri == move.target and not old.local:
        again = await remote.actor(instance, old.uri, budget=budget, fresh=True)
        old = again if isinstance(again, Actor) else old
    return old, new


async def _matters(tx: Transaction, instance: Instance, old: Actor) -> bool:
    """Whether anybody here follows it, so that a look costs nothing for the rest of the world."""
    return not old.local and not await moves.rests(tx, instance, old) and (await concern.followed(tx, old) or bool(await _some(tx, old)))


async def moved(tx: Transaction, instance: Instance, actor: Actor, found: tuple[Actor, Actor] | None) -> Effects:
    """Takes a Move whose two accounts were `found`: written down, and its followers here are taken along by a job."""
    if found is None:
        return NOTHING
    old, new = await known.by_id(tx, found[0].id), await known.by_id(tx, found[1].id)
    if old is None or new is None or old.local:
        return NOTHING
    try:
        await moves.remember(tx, instance, actor, old, new)
    except CannotMove as error:
        log.info("move.refused", actor=actor.id, why=str(error))
        return NOTHING
    await ask(tx, instance, "moved", str(old.id))
    return Effects(wake=("job",))


async def carry(instance: Instance, key: str, _payload: bytes) -> None:
    """The job `moved`: everybody here who follows the account with our id `key` follows where it moved to."""
    while await instance.database.write(_carry_some, instance, int(key)):
        instance.wake("delivery")
    instance.wake("delivery")


async def _some(tx: Transaction, old: Actor) -> list[Actor]:
    return [known.from_row(row) for row in await tx.all(SOME_FOLLOWERS, actor_id=old.id, limit=CHUNK)]


async def _carry_some(tx: Transaction, instance: Instance, id: int) -> bool:
    old = await known.by_id(tx, id)
    there = None if old is None else await moves.target(tx, old)
    new = None if there is None else await known.by_id(tx, there)
    if old is None or new is None:
        return False
    followers = await _some(tx, old)
    for follower in followers:
        carried = await moves.carry(tx, instance, follower, old, new)
        for activity, whom in ((carried.undo, old), (carried.follow, new)):
            if activity is not None:
                key = f"{follower.uri} {whom.uri}"  # the one of everything about this follow
                await publish(tx, instance, follower, activity, Audience(actors=(whom.id,)), object=Iri(whom.uri), ordering_key=key)
    return bool(followers)
