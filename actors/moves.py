"""Is this one really that one now? An account moves once in seven days, to one that names it in `alsoKnownAs`; whoever follows it follows there instead.

Said by the old account (Mastodon), or by the new one while the old one's document points to it (FEP-7628: the way out of a server that no longer speaks for its
people). One hop: who moved on, or was moved from there, is nobody to move to.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import blocks, follows, local
from actors.known import Actor
from schemas.activities import Follow, Move, Undo, Update
from schemas.objects import PUBLIC
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

COOLDOWN_MS: Final = 7 * 24 * 3600 * 1000
"""As at Mastodon and GoToSocial."""


class CannotMove(ValueError):
    """This account does not move there, or not now; the text says why and, to people, what to do."""


MOVED: Final = """
select moved.moved_at
from moved
where moved.actor_id = :actor_id
"""

REMEMBER: Final = """
insert into moved (actor_id, target_id, moved_at)
values (:actor_id, :target_id, :now)
on conflict (actor_id) do update
set target_id = excluded.target_id, moved_at = excluded.moved_at
"""

SET_TARGET: Final = """
update actor
set moved_to = :target
where id = :id
  and state = 'active'
"""

TARGET: Final = """
select moved.target_id
from moved
where moved.actor_id = :actor_id
"""

SET_ALIASES: Final = """
update actor
set also_known_as = :aliases, updated = :now
where id = :id
  and local = 1
"""

TOUCH: Final = """
update actor
set updated = :now
where id = :id
  and local = 1
"""


def refusal(by: Actor, old: Actor, new: Actor) -> str | None:
    """Why `by` cannot say that `old` is `new` now, as both describe themselves; None if it can. `new` must have been read anew."""
    if old.id == new.id:
        return "an account does not move to itself"
    if by.id not in (old.id, new.id):
        return "neither the old account nor the new one says it"
    if by.id == new.id and by.id != old.id and old.moved_to != new.uri:
        return "the old account does not point to the new one"
    if old.uri not in new.also_known_as:
        return "the new account does not name the old one in its alsoKnownAs"
    if new.moved_to is not None:
        return "the new account moved on itself"
    if not new.active or not old.active:
        return "one of the two is suspended or gone"
    if "Application" in (old.kind, new.kind):
        return "an instance does not move"
    return None


async def rests(tx: Transaction, instance: "Instance", old: Actor) -> bool:
    """Whether the account moved within the last seven days."""
    row = await tx.one(MOVED, actor_id=old.id)
    return row is not None and instance.clock.ms() - row["moved_at"] < COOLDOWN_MS


async def remember(tx: Transaction, instance: "Instance", by: Actor, old: Actor, new: Actor) -> None:
    """Writes down that `old` is `new` from now on. Raises `CannotMove`; its followers are then taken along with `carry`."""
    why = refusal(by, old, new)
    if why is None and await rests(tx, instance, old):
        why = "it moved less than seven days ago"
    if why is not None:
        raise CannotMove(why)
    await tx.execute(REMEMBER, actor_id=old.id, target_id=new.id, now=instance.clock.ms())
    await tx.execute(SET_TARGET, id=old.id, target=new.uri)
    log.info("actor.moved", actor=old.id, to=new.id)


async def target(tx: Transaction, old: Actor) -> int | None:
    """Our id of the account this one moved to."""
    row = await tx.one(TARGET, actor_id=old.id)
    return None if row is None else int(row["target_id"])


@dataclass(frozen=True, slots=True)
class Carried:
    """What one follower of ours has to say when the account it follows moved: a Follow there, an Undo here; each may be nothing."""

    follow: Follow | None
    undo: Undo | None


async def carry(tx: Transaction, instance: "Instance", follower: Actor, old: Actor, new: Actor) -> Carried:
    """Lets one of ours follow the new account in place of the old one; not where one of the two blocks the other, or our policy forbids it."""
    undo = await follows.cancel(tx, instance, follower, old)
    if follower.id == new.id or await blocks.either(tx, follower.id, new.id) or not (new.local or instance.trust.actor(new.uri, "deliver").allowed):
        return Carried(None, undo)
    try:
        return Carried(await follows.request(tx, instance, follower, new), undo)
    except follows.CannotFollow:
        return Carried(None, undo)


def announced(instance: "Instance", old: Actor, new: Actor) -> Move:
    """The Move that tells the followers of our `old` account."""
    to = (old.followers,) if old.followers else ()
    return Move(id=Iri(f"{old.uri}#moves/{instance.clock.ms()}"), actor=old.uri, object=old.uri, target=new.uri, to=to)


async def describe_anew(tx: Transaction, instance: "Instance", actor: Actor, aliases: tuple[Iri, ...] | None = None) -> None:
    """Dates the profile of our actor anew, with these other names of it if given; the caller sends `update`."""
    now = instance.clock.ms()
    if aliases is None:
        await tx.execute(TOUCH, id=actor.id, now=now)
    else:
        await tx.execute(SET_ALIASES, id=actor.id, aliases=json.dumps(aliases), now=now)


async def update(tx: Transaction, instance: "Instance", actor: Actor) -> Update:
    """The Update that tells others how our actor describes itself now."""
    described = await local.document(tx, instance, actor)
    return Update(id=Iri(f"{actor.uri}#updates/{instance.clock.ms()}"), actor=actor.uri, object=described, to=(PUBLIC,))
