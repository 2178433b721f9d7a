"""How long does an answer wait? The job `response`: reminds its receiver after 48 hours, releases it after 7 days, lets in what waited at the border."""

from typing import TYPE_CHECKING, Final

from actors import known
from fedmatch.board import answers, notifications, outcomes, trays
from fedmatch.board.answers import HOUR_MS, WAITING
from fedmatch.board.trays import REMIND_MS
from fedmatch.jobs import enqueue
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

LOCKED_MS: Final = 60_000


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
    if held.tray == "held" and asker is not None and not await trays.lifted(tx, instance, asker, held):
        await trays.look_at(tx, instance, held, min(held.ends, now + HOUR_MS))
        return
    if now >= held.created + REMIND_MS and asker is not None and await answers.once(tx, instance, "reminded", str(held.id)):
        await notifications.tell(tx, instance, asker.id, "response.reminder", held.id)
    await trays.look_at(tx, instance, held, min(held.ends, held.created + REMIND_MS) if now < held.created + REMIND_MS else held.ends)
