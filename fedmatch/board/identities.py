"""Whose is a one-time identity? Only the vault knows: making one for somebody, finding a person's own, and ending them when nothing holds them any more.

On the disk a row says that an actor is a one-time one and in which hour it last changed; whose it is lies in `identity.sealed`, a fresh cipher text each time,
so that two of one person share no byte. Answers reach the person all the same: whoever asks for a person's things asks for `mine`.

Whatever happens to the person, nobody sees it happen to several identities at once, neither on the wire nor on the disk. Each of them is looked at once a day,
at a moment of its own, and only then follows its person: when they are suspended or deleted it ends, within 72 hours; when less is said of them, less is said
of it. Until then it answers everybody as ever.
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
DAY_MS: Final = 24 * HOUR_MS
"""Within how long every identity is looked at."""
SCATTER_MS: Final = 72 * HOUR_MS
"""Over how long the Deletes of a deleted or suspended person's identities are spread: gone at once, they would be known as one person's."""
LOCKED_MS: Final = 60_000
UNUSED_MS: Final = 2 * HOUR_MS
"""How long one may be made before it is used: its times are full hours, and a command may wait for an answer to its questions."""
LINGER_MS: Final = HOUR_MS
"""How long it is still there after its listing: whoever is brought its Delete by another server asks for its keys to check the proof."""
LOOK_MS: Final = 6 * HOUR_MS
"""How often a closed identity is asked whether its last conversation is over."""
ROUNDED: Final = 3
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
select identity.actor_id, identity.state, identity.sealed, identity.changed_at
from identity
where identity.actor_id = :actor_id
"""

SET_STATE: Final = """
update identity
set state = :state, changed_at = :hour
where actor_id = :actor_id
"""

SEAL: Final = """
update identity
set sealed = :sealed
where actor_id = :actor_id
"""

UNLOOKED: Final = """
select identity.actor_id
from identity
where not exists (
  select 1
  from job
  where job.kind = 'identity'
    and job.key = cast(identity.actor_id as text)
    and job.state in ('waiting', 'running')
)
order by identity.actor_id
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
    if not person.active:
        raise CannotHide(f"{person.username} is {person.state} and gets no one-time identity")
    if len(await mine(tx, instance, person)) > MOST:
        raise CannotHide(f"{person.username} has {MOST} one-time identities already; withdraw or complete what is over first")
    actor = await onetime.create(tx, instance, new)
    await tx.execute(INSERT, actor_id=actor.id, sealed=_sealed(instance, actor.id, person.id), hour=onetime.hour(instance))
    await vouches.echo(tx, instance, actor, await _said_of(tx, instance, person))
    await look_again(tx, instance, actor.id, instance.clock.ms() + secrets.randbelow(DAY_MS))
    return actor


async def _said_of(tx: Transaction, instance: "Instance", person: Actor) -> int:
    """What this instance says of a person it says of their identity, in a word of its own, and less exactly: 1 for 1 and 2, 3 for more, 0 for nothing."""
    level = max((one.level for one in await vouches.of(tx, instance, person)), default=0)
    return min(level, 1) if level < ROUNDED else ROUNDED


def _sealed(instance: "Instance", actor_id: int, person_id: int, ends: int | None = None) -> bytes:
    return instance.vault.seal(json.dumps({"person": person_id, "ends": ends or 0}).encode(), _place(actor_id))


def _place(actor_id: int) -> str:
    return f"identity:{actor_id}"


def _person(instance: "Instance", actor_id: int, sealed: bytes) -> int:
    return _opened(instance, actor_id, sealed)[0]


def _opened(instance: "Instance", actor_id: int, sealed: bytes) -> tuple[int, int]:
    """Whose it is, and when it ends whatever holds it (ms UTC; 0: as things stand, never)."""
    said = json.loads(instance.vault.open(bytes(sealed), _place(actor_id)))
    return int(said["person"]), int(said.get("ends", 0))


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
    await look_again(tx, instance, actor_id, instance.clock.ms() + LINGER_MS)


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


async def leave_now(tx: Transaction, instance: "Instance", person: Actor) -> int:
    """Lets every identity of somebody end now, for whoever wants that more than not to be known by it. Gives how many. Raises `actors.vault.Locked`."""
    others = (await mine(tx, instance, person))[1:]
    for actor_id in others:
        await tx.execute(SEAL, actor_id=actor_id, sealed=_sealed(instance, actor_id, person.id, 1))
        await look_again(tx, instance, actor_id, instance.clock.ms())
    return len(others)


async def begin(tx: Transaction, instance: "Instance") -> None:
    """Asks, at the start of a worker, for a look at every identity that nobody asked to look at."""
    for row in await tx.all(UNLOOKED):
        await look_again(tx, instance, row["actor_id"], instance.clock.ms() + secrets.randbelow(DAY_MS))


async def settle(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: follows the person; ends an identity whose time has come, with a Delete for each of its posts and then its own, or looks again later."""
    from fedmatch.board import deletion  # it asks for jobs itself

    actor_id = int(key)
    if instance.vault.locked:
        await instance.database.write(look_again, instance, actor_id, instance.clock.ms() + LOCKED_MS)
        return
    if not await instance.database.write(_over, instance, actor_id):
        instance.wake("delivery")
        return
    actor = await instance.database.read(known.by_id, actor_id)
    if actor is not None and actor.state != "gone":
        await deletion.delete_person(instance, actor)
    await instance.database.write(_ended, instance, actor_id)


async def _over(tx: Transaction, instance: "Instance", actor_id: int) -> bool:
    row = await tx.one(OF_ACTOR, actor_id=actor_id)
    if row is None:
        return False
    person_id, ends = _opened(instance, actor_id, row["sealed"])
    person, actor = await known.by_id(tx, person_id), await known.by_id(tx, actor_id)
    now = instance.clock.ms()
    stays = person is not None and person.active
    if stays == bool(ends) and ends != 1:
        # The look itself came at random within a day; together that is the 72 hours.
        ends = 0 if stays else now + secrets.randbelow(SCATTER_MS - DAY_MS)
        await tx.execute(SEAL, actor_id=actor_id, sealed=_sealed(instance, actor_id, person_id, ends))
    if row["state"] == "leaving" or (ends and ends <= now) or (row["state"] == "closing" and not await _held(tx, instance, actor_id)):
        return True
    if actor is not None and row["state"] == "active" and row["changed_at"] <= now - UNUSED_MS and await _never_used(tx, instance, actor):
        return True
    if person is not None and actor is not None:
        await _follow(tx, instance, person, actor)
    again = LOOK_MS if row["state"] == "closing" else secrets.randbelow(DAY_MS)
    await look_again(tx, instance, actor_id, min(now + again, ends or now + again))
    return False


ANYTHING: Final = """
select post.id
from post
where post.actor_id = :actor_id
union all
select draft.id
from draft
where draft.actor_id = :actor_id
limit 1
"""


async def _never_used(tx: Transaction, instance: "Instance", actor: Actor) -> bool:
    """Whether it was made for something that could not be posted then; what was posted and is gone has closed it."""
    from fedmatch.board import answers  # it asks whose identities are whose

    return await tx.one(ANYTHING, actor_id=actor.id) is None and not await answers.holds(tx, instance, actor)


async def _follow(tx: Transaction, instance: "Instance", person: Actor, actor: Actor) -> None:
    """Says less of an identity where less is said of its person. More is never said: whoever watches both would see them rise together."""
    level = await _said_of(tx, instance, person)
    if any(one.level > level for one in await vouches.of(tx, instance, actor)):
        await vouches.echo(tx, instance, actor, level)


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
