"""Whom does an admin silence here, who may speak again, who is given which role, and who is deleted? All of it stands in the log of staff."""

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


async def give(tx: Transaction, instance: "Instance", actor: Actor, role: str, *, staff: str, reason: str | None = None) -> bool:
    """Gives one of ours another role (`local.set_role`); False for somebody nobody logs in as. The log says which role it was and is."""
    before = [one for one in await local.roles(tx, actor.id) if one != "operator"]
    if not await local.set_role(tx, instance, actor, role):
        return False
    if before != [role]:
        await audit.log(tx, instance, staff, "user.role", f"{actor.username}: {', '.join(before)} to {role}", reason)
    return True


async def end(tx: Transaction, instance: "Instance", actor: Actor, *, staff: str, reason: str | None = None) -> None:
    """Notes that one of ours is deleted, before the first word of theirs is: killed on the way, the log says who began it. `deletion.delete_person` does it."""
    await audit.log(tx, instance, staff, "user.delete", actor.username, reason)
