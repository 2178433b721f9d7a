"""Which arrivals wait, and who has them in hand? The rows of what arrived as the worker leases, ends, and puts them off."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from actors.instance import Instance
from schemas.crashpoint import crashpoint
from schemas.reading import Row
from schemas.storage import Transaction

log = structlog.get_logger()

LEASE_MS: Final = 30_000
KEEP_DAYS: Final = 90
DAY_MS: Final = 24 * 60 * 60 * 1000
ASIDE_S: Final = 6 * 3600
"""For how long one is set aside that was in hand at three deaths. Then it has one more try: whoever kills often at random hits an innocent three times."""
LAST_ERROR: Final = 200
STATES: Final = ("waiting", "unverified")

CLAIM: Final = """
update arrival
set lease_until = :until, attempts = attempts + 1
where id in (
  select id
  from arrival
  where state = :state
    and run_at <= :now
    and lease_until <= :now
    and (attempts = 0 or error is not null)
  order by run_at, id
  limit :most{for_update}
)
returning id, host_id, state, body, run_at, attempts, error
"""

CLAIM_SUSPECT: Final = """
update arrival
set lease_until = :until, attempts = attempts + 1
where id in (
  select id
  from arrival
  where state = :state
    and run_at <= :now
    and lease_until <= :now
    and attempts > 0
    and error is null
  order by run_at, id
  limit :most{for_update}
)
returning id, host_id, state, body, run_at, attempts, error
"""

IS_DUE: Final = """
select id
from arrival
where state = :state
  and run_at <= :now
  and lease_until <= :now
  and (attempts = 0 or error is not null)
limit 1
"""

IS_SUSPECT: Final = """
select id
from arrival
where state = :state
  and run_at <= :now
  and lease_until <= :now
  and attempts > 0
  and error is null
limit 1
"""

RENEW: Final = """
update arrival
set lease_until = :until
where id = :id
  and lease_until > 0
  and state in ('waiting', 'unverified')
"""

RELEASE: Final = """
update arrival
set lease_until = 0, attempts = attempts - 1
where id = :id
  and lease_until > 0
  and state in ('waiting', 'unverified')
"""

SETTLED: Final = """
update arrival
set state = 'waiting'
where id = :id
  and state = 'unverified'
"""

DONE: Final = """
update arrival
set state = 'done', body = null, error = null, lease_until = 0, done_at = :now
where id = :id
  and state = 'waiting'
"""

FAILED: Final = """
update arrival
set state = 'failed', body = null, error = :error, lease_until = 0, done_at = :now
where id = :id
  and state in ('waiting', 'unverified')
"""

# Our database's own trouble is not counted as a try.
POSTPONE: Final = """
update arrival
set run_at = :run_at, attempts = attempts - 1, lease_until = 0
where id = :id
  and lease_until > 0
  and state in ('waiting', 'unverified')
"""

SET_ASIDE: Final = """
update arrival
set run_at = :run_at, lease_until = 0
where id = :id
  and state in ('waiting', 'unverified')
"""

AGAIN: Final = """
update arrival
set error = :error, run_at = :run_at, lease_until = 0
where id = :id
  and state in ('waiting', 'unverified')
"""

PROVEN: Final = """
update arrival
set state = 'waiting', uri = :uri, host_id = :host_id, body = :body, attempts = 0, error = null, lease_until = 0
where id = :id
  and state = 'unverified'
  and not exists (
    select 1
    from arrival other
    where other.uri = :uri
  )
"""

FORGET: Final = """
delete from arrival
where id in (
  select id
  from arrival
  where done_at < :before
  limit 500
)
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed row."""

    id: int
    host_id: int
    state: Literal["waiting", "unverified"]
    body: bytes
    attempts: int
    error: str | None


def _held(row: Row) -> Held:
    return Held(row["id"], row["host_id"], row["state"], bytes(row["body"]), row["attempts"], row["error"])


async def look(tx: Transaction, instance: Instance, suspects: bool) -> tuple[bool, bool]:
    """Whether rows are due, and, if that is asked, whether suspects are. A look costs no write: an idle worker commits nothing, so nobody is woken by it."""
    now = instance.clock.ms()
    due = any([await tx.one(IS_DUE, state=state, now=now) is not None for state in STATES])
    return due, suspects and any([await tx.one(IS_SUSPECT, state=state, now=now) is not None for state in STATES])


async def claim(tx: Transaction, instance: Instance, sql: str, most: int) -> list[Held]:
    """Leases at most `most` rows by `CLAIM` or `CLAIM_SUSPECT`, in the order they came, their attempts counted."""
    now = instance.clock.ms()
    sql = sql.replace("{for_update}", instance.database.for_update)
    rows: list[Row] = []
    for state in STATES:
        if len(rows) < most:
            rows += await tx.all(sql, state=state, now=now, until=now + LEASE_MS, most=most - len(rows))
    crashpoint("handle:claiming")
    # `returning` promises no order.
    return [_held(row) for row in sorted(rows, key=lambda row: (row["run_at"], row["id"]))]


async def finish(tx: Transaction, instance: Instance, held: Held) -> None:
    """Ends a row whose proof showed that there is nothing to do."""
    await tx.execute(SETTLED, id=held.id)
    await tx.execute(DONE, id=held.id, now=instance.clock.ms())


async def give_up(tx: Transaction, instance: Instance, held: Held, why: str) -> None:
    """Ends a row without effects; it keeps host, time and error."""
    await tx.execute(FAILED, id=held.id, error=why[:LAST_ERROR], now=instance.clock.ms())
    log.warning("arrival.failed", arrival=held.id, host=held.host_id)


async def again(tx: Transaction, instance: Instance, held: Held, error: str, wait_s: int) -> None:
    """Puts a row off after an error."""
    await tx.execute(AGAIN, id=held.id, error=error[:LAST_ERROR], run_at=instance.clock.ms() + wait_s * 1000)


async def set_aside(tx: Transaction, instance: Instance, held: Held) -> None:
    """Puts a suspect off for six hours."""
    await tx.execute(SET_ASIDE, id=held.id, run_at=instance.clock.ms() + ASIDE_S * 1000)
    log.error("arrival.set-aside", arrival=held.id, host=held.host_id)


async def postpone(tx: Transaction, instance: Instance, held: Held) -> None:
    """Puts a row off for five seconds and counts no try: our database was in trouble."""
    await tx.execute(POSTPONE, id=held.id, run_at=instance.clock.ms() + 5000)


async def release(tx: Transaction, instance: Instance, ids: Iterable[int]) -> None:
    """Gives rows back unharmed."""
    await tx.many(RELEASE, [{"id": number} for number in ids])


async def renew(tx: Transaction, instance: Instance, ids: Iterable[int]) -> None:
    """Renews the leases of rows in hand."""
    until = instance.clock.ms() + LEASE_MS
    await tx.many(RENEW, [{"id": number, "until": until} for number in ids])


async def sweep(tx: Transaction, instance: Instance) -> int:
    """Forgets rows that were done 90 days ago, at most 500; how many."""
    return await tx.execute(FORGET, before=instance.clock.ms() - KEEP_DAYS * DAY_MS)
