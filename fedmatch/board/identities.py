"""Whose is a one-time identity? Only the vault knows: making one for somebody, finding a person's own, and ending them when nothing holds them any more.

On the disk a row says that an actor is a one-time one and in which hour it last changed; whose it is lies in `identity.sealed`, a fresh cipher text each time,
so that two of one person share no byte. Answers reach the person all the same: whoever asks for a person's things asks for `mine`.
"""

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import known, onetime
from actors.keys import NewKeys
from actors.known import Actor
from fedmatch.jobs import enqueue
from fedmatch.safety import vouches
from schemas.events import PostChanged, PostGone
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

HOUR_MS: Final = 3_600_000
SCATTER_MS: Final = 72 * HOUR_MS
"""Over how long the Deletes of a deleted person's identities are spread: gone at once, they would be known as one person's."""
LOOK_MS: Final = 6 * HOUR_MS
"""How often a closed identity is asked whether its last conversation is over."""
ROUNDED: Final = 3
STAFF: Final = "this instance"
"""Who signs for it in the log of staff: nobody decided anything."""
MOST: Final = 200
"""One-time identities one person may have at once; more is a machine."""


class CannotHide(ValueError):
    """No one-time identity can be made like this; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Window:
    """When something of a one-time identity leaves: at random between two moments from now, in milliseconds. `warning` is for its author."""

    low_ms: int
    high_ms: int
    warning: str | None = None

    def draw(self, now_ms: int) -> int:
        """A moment in the window, in milliseconds UTC; `now_ms` itself where there is nothing to wait for."""
        return now_ms + self.low_ms + (secrets.randbelow(self.high_ms - self.low_ms + 1) if self.high_ms > self.low_ms else 0)


AT_ONCE: Final = Window(0, 0)
USUAL: Final = Window(2 * HOUR_MS, 12 * HOUR_MS)
LONGEST_DELAY_H: Final = 72


def window(delay: str | None, urgency: str | None, *, development: bool) -> Window:
    """When something of a one-time identity leaves: what its author says (`0`, `6h`, `2-12h`; `6h` means at random between half of it and it), else 2-12 hours.

    With urgency `hours`, and in development, at once; the first with a warning. Raises `CannotHide`.
    """
    if delay is None:
        if development:
            return AT_ONCE
        if urgency == "hours":
            warning = "it leaves at once, because it is urgent: whoever watches when you are here may guess that it is yours"
            return Window(0, 0, warning)
        return USUAL
    low, dash, high = delay.strip().lower().removesuffix("h").partition("-")
    low = low.strip().removesuffix("h")
    if not low.isdigit() or (dash and not high.strip().isdigit()) or len(low) > 3 or len(high) > 4:
        raise CannotHide(f"the delay is {delay!r}; write 0, 6h or 2-12h")
    first, last = int(low), int(high) if dash else int(low)
    if first > last or last > LONGEST_DELAY_H:
        raise CannotHide(f"the delay is {delay!r}; it goes from less to more, and to {LONGEST_DELAY_H} hours at most")
    return Window((first if dash else first // 2) * HOUR_MS if last else 0, last * HOUR_MS)


INSERT: Final = """
insert into identity (actor_id, state, sealed, changed_at)
values (:actor_id, 'active', :sealed, :hour)
"""

ALL: Final = """
select identity.actor_id, identity.state, identity.sealed
from identity
order by identity.actor_id
"""

OF_ACTOR: Final = """
select identity.actor_id, identity.state, identity.sealed
from identity
where identity.actor_id = :actor_id
"""

SET_STATE: Final = """
update identity
set state = :state, changed_at = :hour
where actor_id = :actor_id
"""

REMOVE: Final = """
delete from identity
where actor_id = :actor_id
"""


async def make(instance: "Instance", person: Actor) -> Actor:
    """A one-time identity for `person`, with an actor, keys and an inbox of its own. Takes 0.1-0.5 s. Raises `CannotHide`, `actors.vault.Locked`."""
    new = await onetime.new_keys()
    return await instance.database.write(_make, instance, person, new)


async def _make(tx: Transaction, instance: "Instance", person: Actor, new: NewKeys) -> Actor:
    if not person.local or person.one_time or person.kind == "Application":
        raise CannotHide(f"{person.username} cannot have a one-time identity: it is none of the people here")
    if len(await mine(tx, instance, person)) > MOST:
        raise CannotHide(f"{person.username} has {MOST} one-time identities already; withdraw or complete what is over first")
    actor = await onetime.create(tx, instance, new)
    sealed = instance.vault.seal(json.dumps({"person": person.id}).encode(), _place(actor.id))
    await tx.execute(INSERT, actor_id=actor.id, sealed=sealed, hour=onetime.hour(instance))
    await _vouch_anew(tx, instance, person, actor)
    return actor


async def _vouch_anew(tx: Transaction, instance: "Instance", person: Actor, actor: Actor) -> None:
    """What this instance says of a person it says of their identity, in a word of its own, and less exactly: 1 for 1 and 2, 3 for more."""
    ours = await vouches.of(tx, instance, person)
    level = max((one.level for one in ours), default=0)
    if level:
        await vouches.issue(tx, instance, actor, 1 if level < ROUNDED else ROUNDED, "other", staff=STAFF)


def _place(actor_id: int) -> str:
    return f"identity:{actor_id}"


def _person(instance: "Instance", actor_id: int, sealed: bytes) -> int:
    return int(json.loads(instance.vault.open(bytes(sealed), _place(actor_id)))["person"])


async def mine(tx: Transaction, instance: "Instance", person: Actor) -> tuple[int, ...]:
    """The ids of `person` and of its one-time identities, oldest first. About 10 us for each identity of the instance. Raises `actors.vault.Locked`."""
    rows = await tx.all(ALL)
    return (person.id, *(row["actor_id"] for row in rows if _person(instance, row["actor_id"], row["sealed"]) == person.id))


async def person_of(tx: Transaction, instance: "Instance", actor_id: int) -> int:
    """The id of the person behind an actor of ours: itself, unless it is a one-time identity. For routing inside only: nothing a stranger or the staff sees
    may depend on it. Raises `actors.vault.Locked`."""
    row = await tx.one(OF_ACTOR, actor_id=actor_id)
    return actor_id if row is None else _person(instance, actor_id, row["sealed"])


async def takes_contacts(tx: Transaction, actor_id: int) -> bool:
    """Whether an actor of ours still takes new contacts; a one-time identity whose listing closed does not."""
    row = await tx.one(OF_ACTOR, actor_id=actor_id)
    return row is None or row["state"] == "active"


async def closed(tx: Transaction, instance: "Instance", actor_id: int) -> None:
    """Its listing closed, or its answer is over: from now on it takes no new contacts, and it ends with its last conversation. Of others nothing happens."""
    row = await tx.one(OF_ACTOR, actor_id=actor_id)
    if row is None or row["state"] != "active":
        return
    await _set(tx, instance, actor_id, "closing")
    await look_again(tx, instance, actor_id, instance.clock.ms())


async def reopened(tx: Transaction, instance: "Instance", actor_id: int) -> None:
    """Its listing is open again, before it ended."""
    row = await tx.one(OF_ACTOR, actor_id=actor_id)
    if row is not None and row["state"] == "closing":
        await _set(tx, instance, actor_id, "active")


async def gone(instance: "Instance", tx: Transaction, event: PostGone) -> None:
    """A post of one is deleted: with its listing its purpose is over."""
    await closed(tx, instance, event.actor_id)


async def changed(instance: "Instance", tx: Transaction, event: PostChanged) -> None:
    """A listing of one closed, or is open again."""
    if event.local and event.note.proposal is not None:
        over = event.note.proposal.status in ("fulfilled", "expired", "withdrawn")
        await (closed if over else reopened)(tx, instance, event.actor_id)


async def _set(tx: Transaction, instance: "Instance", actor_id: int, state: str) -> None:
    await tx.execute(SET_STATE, actor_id=actor_id, state=state, hour=onetime.hour(instance))


async def look_again(tx: Transaction, instance: "Instance", actor_id: int, at_ms: int) -> None:
    """Asks for a look, then, whether the identity is to end."""
    await enqueue(tx, instance, "identity", str(actor_id), at_ms)


async def scatter(tx: Transaction, instance: "Instance", person: Actor, now: bool = False) -> int:
    """Lets every identity of a deleted person end: each at a moment of its own within 72 hours, or all `now`. Gives how many. Raises `actors.vault.Locked`."""
    others = (await mine(tx, instance, person))[1:]
    for actor_id in others:
        await _set(tx, instance, actor_id, "leaving")
        await look_again(tx, instance, actor_id, instance.clock.ms() + (0 if now else secrets.randbelow(SCATTER_MS)))
    return len(others)


async def settle(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: ends an identity whose time has come, with a Delete for each of its posts and then its own, or looks again later."""
    from fedmatch.board import publish  # it asks for jobs itself

    actor_id = int(key)
    if not await instance.database.write(_over, instance, actor_id):
        return
    actor = await instance.database.read(known.by_id, actor_id)
    if actor is not None and actor.state != "gone":
        await publish.delete_person(instance, actor)
    await instance.database.write(_ended, instance, actor_id)


async def _over(tx: Transaction, instance: "Instance", actor_id: int) -> bool:
    row = await tx.one(OF_ACTOR, actor_id=actor_id)
    if row is None or row["state"] == "active":
        return False
    if row["state"] == "closing" and await _held(tx, instance, actor_id):
        await look_again(tx, instance, actor_id, instance.clock.ms() + LOOK_MS)
        return False
    return True


OPEN_LISTING: Final = """
select listing.post_id
from listing
join post on post.id = listing.post_id
where post.actor_id = :actor_id
  and listing.state in ('open', 'paused', 'matched')
limit 1
"""


DRAFT: Final = """
select draft.id
from draft
where draft.actor_id = :actor_id
  and draft.state <> 'refused'
limit 1
"""


async def _held(tx: Transaction, instance: "Instance", actor_id: int) -> bool:
    """Whether anything still needs the identity: a draft, an open listing, an answer that is not decided, a conversation that is not over."""
    from fedmatch.board import answers  # it asks whose identities are whose

    actor = await known.by_id(tx, actor_id)
    if actor is None:
        return False
    if await tx.one(OPEN_LISTING, actor_id=actor_id) is not None or await tx.one(DRAFT, actor_id=actor_id) is not None:
        return True
    return await answers.holds(tx, instance, actor)


async def _ended(tx: Transaction, instance: "Instance", actor_id: int) -> None:
    """Forgets whose it was, once no answer of it is left: until then the person may say how it went."""
    from fedmatch.board import answers  # it asks whose identities are whose

    actor = await known.by_id(tx, actor_id)
    if actor is not None and await answers.of_actor(tx, instance, actor, 1):
        await _set(tx, instance, actor_id, "leaving")
        await look_again(tx, instance, actor_id, instance.clock.ms() + LOOK_MS)
        return
    await tx.execute(REMOVE, actor_id=actor_id)
    log.info("identity.ended", actor=actor_id)
