"""Whom does an admin silence here, and who may speak again? Both stand in the log of staff; neither deletes anything."""

from typing import TYPE_CHECKING

from actors import local
from actors.known import Actor
from fedmatch.safety import audit
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance


async def suspend(tx: Transaction, instance: "Instance", actor: Actor, *, staff: str, reason: str | None = None) -> bool:
    """Silences one of ours: nobody sees them or hears from them. False if they were silenced already. Raises ValueError for the instance actor.

    Their one-time identities end one by one (fedmatch/board/identities.py), unless they may speak again before that.
    """
    if not await local.suspend(tx, instance, actor):
        return False
    await audit.log(tx, instance, staff, "user.suspend", actor.username, reason)
    return True


async def lift(tx: Transaction, instance: "Instance", actor: Actor, *, staff: str, reason: str | None = None) -> bool:
    """Lets somebody who was silenced speak again, with all they had: posts, follows, tokens. False if they were not silenced.

    One-time identities that ended meanwhile do not come back; those that did not stay.
    """
    if not await local.reinstate(tx, instance, actor):
        return False
    await audit.log(tx, instance, staff, "user.unsuspend", actor.username, reason)
    return True
