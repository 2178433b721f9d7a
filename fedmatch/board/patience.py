"""How long does an answer wait? The job `response` looks at one again when something is due.

    not decided     its receiver is reminded after 48 hours; it is released after 7 days, 24 hours if the need is one of hours
    held            comes to its receiver when an admin let its server in
    accepted        30 days without a word: both sides are asked how it goes; 14 days later it failed, and what was taken is given back
"""

from typing import TYPE_CHECKING, Final

from actors import known
from fedmatch.board import answers, crossing, notifications, outcomes, responses, trays
from fedmatch.board.answers import HOUR_MS, WAITING, Response
from fedmatch.board.crossing import CannotReach
from fedmatch.board.trays import QUIET_MS, REMIND_MS
from fedmatch.jobs import enqueue
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

LOCKED_MS: Final = 60_000
DAY_MS: Final = 24 * HOUR_MS
CLOSE_MS: Final = 14 * DAY_MS


async def look(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: reminds the asker of an answer that waits, releases one that waited long enough."""
    if instance.vault.locked:
        await instance.database.write(_later, instance, key)
        return
    await instance.database.write(_look, instance, int(key))
    instance.wake("delivery")


async def _later(tx: Transaction, instance: "Instance", key: str) -> None:
    await enqueue(tx, instance, "response", key, instance.clock.ms() + LOCKED_MS)


async def _look(tx: Transaction, instance: "Instance", id: int) -> None:
    held = await answers.by_id(tx, instance, id)
    if held is not None and held.state == "accepted":
        await _unfinished(tx, instance, held)
        return
    if held is None or held.state not in WAITING:
        return
    now = instance.clock.ms()
    if held.side == "helper":
        # Its home releases it and says so; where nothing was heard for a day more, it is over here as well.
        if now < held.ends + 24 * HOUR_MS:
            await trays.look_at(tx, instance, held, held.ends + 24 * HOUR_MS)
            return
        ended_ = await outcomes.move(tx, instance, held, "released")
        await outcomes.over(tx, instance, ended_)
        helper = await known.by_uri(tx, held.words.helper)
        if helper is not None:
            await notifications.tell(tx, instance, helper.id, "response.released", held.id)
        return
    if now >= held.ends:
        await outcomes.refuse(tx, instance, held, "released", "released")
        return
    asker = await known.by_uri(tx, held.words.asker)
    if asker is not None and await trays.blocked_since(tx, instance, asker, held):
        held = await trays.put_one_away(tx, instance, held)
    if held.tray == "held" and asker is not None and not await trays.lifted(tx, instance, asker, held):
        await trays.look_at(tx, instance, held, min(held.ends, now + HOUR_MS))
        return
    if now >= held.created + REMIND_MS and asker is not None and await answers.once(tx, instance, "reminded", str(held.id)):
        await notifications.tell(tx, instance, asker.id, "response.reminder", held.id)
    await trays.look_at(tx, instance, held, min(held.ends, held.created + REMIND_MS) if now < held.created + REMIND_MS else held.ends)


NEWEST: Final = """
select max(message.created_at) as at
from message
where message.response_id = :response_id
"""


async def _unfinished(tx: Transaction, instance: "Instance", held: Response) -> None:
    """What was agreed and never finished: asked after, then closed. A message begins the time anew; each side's instance keeps its own."""
    row = await tx.one(NEWEST, response_id=held.id)
    last = max(held.changed, int(row["at"]) if row is not None and row["at"] is not None else 0)
    # The instance of the asker closes it first, and says so.
    ends = last + QUIET_MS + CLOSE_MS + (DAY_MS if held.side == "helper" else 0)
    now = instance.clock.ms()
    if now < last + QUIET_MS:
        await trays.look_at(tx, instance, held, last + QUIET_MS)
        return
    if await answers.once(tx, instance, "unfinished", str(held.id), str(last)):
        await _ask(tx, instance, held)
        await trays.look_at(tx, instance, held, max(ends, now + CLOSE_MS))
        return
    if now < ends:
        await trays.look_at(tx, instance, held, ends)
        return
    owner = await known.by_uri(tx, held.words.helper if held.side == "helper" else held.words.asker)
    if owner is None:
        return
    try:
        await responses.complete(tx, instance, owner, held, failed=True)
    except CannotReach:
        await outcomes.ended(tx, instance, held, failed=True)  # the other side's instance closes its own by itself


async def _ask(tx: Transaction, instance: "Instance", held: Response) -> None:
    for uri in (held.words.asker, held.words.helper):
        person = await known.by_uri(tx, uri)
        if person is not None and person.local:
            await notifications.tell(tx, instance, person.id, "response.unfinished", held.id)
        elif person is not None and held.side == "asker" and held.words.channel == "note":
            await crossing.tell(tx, instance, person, "unfinished", held, days=CLOSE_MS // DAY_MS)


FORGOTTEN: Final = """
select response.id
from response
where response.state = 'accepted'
  and response.changed_at < :before
  and not exists (
    select 1
    from job
    where job.kind = 'response'
      and job.key = cast(response.id as text)
  )
limit 200
"""


async def remember(tx: Transaction, instance: "Instance") -> None:
    """Asks for a look at what was accepted long ago and nobody looks at: agreements older than this rule."""
    for row in await tx.all(FORGOTTEN, before=instance.clock.ms() - QUIET_MS):
        await enqueue(tx, instance, "response", str(row["id"]), instance.clock.ms())
