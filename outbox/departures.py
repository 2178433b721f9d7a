"""What leaves, what left and what never arrived: the deliveries as people see them, and what ends or forgets them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

import structlog

from outbox import owed
from outbox.backoff import DAY
from outbox.outcomes import DEAD, ERASE_BODY
from schemas.events import DeliveryGaveUp
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

State = Literal["waiting", "sent", "dead", "superseded"]


@dataclass(frozen=True, slots=True)
class Listed:
    """One delivery as people see it; times in milliseconds UTC. `next_at` is None for what is finished."""

    id: int
    host: str
    inbox: Iri
    kind: str
    state: State
    attempts: int
    next_at: int | None
    finished_at: int | None
    error: str | None


LISTED: Final = """
select delivery.id, delivery.inbox, delivery.state, delivery.attempts, delivery.next_at, delivery.finished_at, delivery.error, outgoing.kind, host.name as host,
  host.open_until
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
join host on host.id = delivery.host_id
where (cast(:any_host as integer) = 1 or host.name = :host)
  and (cast(:any_state as integer) = 1 or delivery.state = :state)
order by delivery.id desc
limit :limit
"""

COUNTS: Final = """
select delivery.state, count(*) as number
from delivery
group by delivery.state
"""

OLD_DELIVERIES: Final = """
delete from delivery
where id in (
  select delivery.id
  from delivery
  where delivery.state = :state
    and delivery.finished_at <= :before
  order by delivery.id
  limit 1000
)
"""

OLD_OUTGOING: Final = """
delete from outgoing
where id in (
  select outgoing.id
  from outgoing
  where outgoing.created_at <= :before
    and outgoing.body is null
    and not exists (
      select 1
      from delivery
      where delivery.outgoing_id = outgoing.id
    )
  limit 1000
)
"""

KEPT: Final[Mapping[State, int]] = {"sent": 7 * DAY, "superseded": 7 * DAY, "dead": 90 * DAY}
"""How long what is finished can be listed."""


WAITING_FOR_HOST: Final = """
select delivery.id, delivery.outgoing_id
from delivery
where delivery.host_id = :host_id
  and delivery.state = 'waiting'
"""

WAITING_FOR_INBOX: Final = """
select delivery.id, delivery.outgoing_id
from delivery
where delivery.host_id = :host_id
  and delivery.inbox = :inbox
  and delivery.state = 'waiting'
"""


async def stop(tx: Transaction, instance: "Instance", host_id: int, why: str, *, inbox: str | None = None) -> int:
    """Gives up everything that waits for a host, or for one inbox of it, now and with the reason `why`; how many. What is in flight may still arrive.

    What was deleted is said when the host may be spoken to again (outbox/owed.py).
    """
    if inbox is None:
        await owed.keep_deletes(tx, instance, host_id)
        rows = await tx.all(WAITING_FOR_HOST, host_id=host_id)
    else:
        rows = await tx.all(WAITING_FOR_INBOX, host_id=host_id, inbox=inbox)
    now = instance.clock.ms()
    if rows:
        await tx.many(DEAD, [{"id": row["id"], "error": why, "now": now, "attempts": 0} for row in rows])
    for outgoing_id in dict.fromkeys(row["outgoing_id"] for row in rows):
        await tx.execute(ERASE_BODY, id=outgoing_id)
    for row in rows:
        await instance.tell(tx, DeliveryGaveUp(row["id"], host_id, why))
    if rows:
        log.info("deliver.stopped", host=host_id, deliveries=len(rows), why=why)
    return len(rows)


WAITS: Final = """
select delivery.id
from outgoing
join delivery on delivery.outgoing_id = outgoing.id
where outgoing.actor_id = :actor_id
  and delivery.state = 'waiting'
limit 1
"""


async def parting(tx: Transaction, actor_id: int) -> bool:
    """Whether something that actor said still waits to be delivered. Somebody who is gone keeps answering for their key until then (protocol.md 14.7)."""
    return await tx.one(WAITS, actor_id=actor_id) is not None


async def deliveries(tx: Transaction, host: str | None = None, state: str | None = None, limit: int = 100) -> list[Listed]:
    """Deliveries, the latest first, of one host (as `hosts.authority` spells it) or state or all."""
    rows = await tx.all(LISTED, any_host=int(host is None), host=host or "", any_state=int(state is None), state=state or "", limit=limit)
    return [
        Listed(
            id=row["id"],
            host=row["host"],
            inbox=Iri(row["inbox"]),
            kind=row["kind"],
            state=cast(State, row["state"]),
            attempts=row["attempts"],
            next_at=max(row["next_at"], row["open_until"]) if row["state"] == "waiting" else None,
            finished_at=row["finished_at"],
            error=row["error"],
        )
        for row in rows
    ]


async def counts(tx: Transaction) -> dict[str, int]:
    """How many deliveries wait, were sent, and ended dead."""
    found = {str(row["state"]): int(row["number"]) for row in await tx.all(COUNTS)}
    return {state: found.get(state, 0) for state in ("waiting", "sent", "dead")}


async def prune(tx: Transaction, now_ms: int) -> int:
    """Deletes what was finished long enough ago, at most a few thousand rows; how many, so call it again until it says 0."""
    gone = 0
    for state, kept in KEPT.items():
        gone += await tx.execute(OLD_DELIVERIES, state=state, before=now_ms - kept)
    gone += await owed.prune(tx, now_ms)
    return gone + await tx.execute(OLD_OUTGOING, before=now_ms - KEPT["sent"])
