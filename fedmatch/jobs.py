"""What is to be done later, and who does it? A row of `job`, written with its cause, claimed with a lease, and done, tried again or set aside in sight.

A job is named by kind and key. While one waits, the same one asked for again is the same row (it coalesces); while one runs, the next waits for its end.
A handler may run twice after a crash: what it does must stand that. One that takes its process down three times is quarantined, not tried for ever;
between the second and the third it rests, so that whoever only ran beside it does not go with it.
"""

import asyncio
import secrets
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from actors.instance import Instance
from schemas.crashpoint import crashpoint
from schemas.reading import Row
from schemas.storage import Transaction, Unavailable

log = structlog.get_logger()

Handler = Callable[[Instance, str, bytes], Awaitable[None]]
"""Does the work of one kind: `await handler(instance, key, payload)`. Its own writes commit before the job's row goes."""

SOON_MS: Final = 60_000
LEASE_MS: Final = 30_000  # so that a job of a killed process is taken over in less than a minute
BEAT_S: Final = LEASE_MS / 3000
LOOK_S: Final = 1.0  # how long nobody looks if nothing happens: leases run out, and the clock may jump over what was far ahead (a suspended machine)
BREATH_S: Final = 0.02  # many commits in a row wake us once
DRAIN_S: Final = 7.0
CRASHES: Final = 3
SUSPECT_MS: Final = 60_000
FAILURES: Final = 12
FIRST_RETRY_MS: Final = 10_000
LAST_RETRY_MS: Final = 3_600_000

# One that failed keeps its distance, however often it is asked for again.
ENQUEUE: Final = """
insert into job (id, kind, key, payload, run_at)
values (:id, :kind, :key, :payload, :run_at)
on conflict (kind, key) where state = 'waiting' do update
set payload = excluded.payload,
  run_at = case when job.attempts = 0 and excluded.run_at < job.run_at then excluded.run_at else job.run_at end
"""

NEXT: Final = """
select min(job.run_at) as run_at
from job
where job.state = 'waiting'
"""

DUE: Final = """
select job.id, job.kind, job.key, job.payload, job.attempts, job.crashes
from job
where job.state = 'waiting'
  and job.run_at <= :now
  and not exists (
    select 1
    from job as other
    where other.state = 'running'
      and other.kind = job.kind
      and other.key = job.key
  )
order by job.run_at, job.id
limit :limit
"""

LOST: Final = """
select job.id, job.kind, job.key, job.payload, job.attempts, job.crashes
from job
where job.state = 'running'
  and job.lease_until < :now
order by job.run_at, job.id
limit :limit
"""

TAKE: Final = """
update job
set state = 'running',
  lease_until = :lease_until,
  attempts = :attempts,
  crashes = :crashes
where job.id = :id
"""

# `attempts` counts every claim, so it also says whose claim it is: nobody finishes what somebody else took over.
HOLD: Final = """
update job
set lease_until = :lease_until
where job.id = :id
  and job.attempts = :attempts
  and job.state = 'running'
"""

DONE: Final = """
delete from job
where job.id = :id
  and job.attempts = :attempts
  and job.state = 'running'
"""

SUCCESSOR: Final = """
select job.id
from job
where job.kind = :kind
  and job.key = :key
  and job.state = 'waiting'
"""

INHERIT: Final = """
update job
set attempts = :attempts,
  crashes = :crashes,
  run_at = :run_at,
  error = :error
where job.id = :id
"""

AGAIN: Final = """
update job
set state = 'waiting',
  run_at = :run_at,
  lease_until = 0,
  attempts = :attempts,
  error = :error
where job.id = :id
"""

SUSPECT: Final = """
update job
set crashes = :crashes
where job.id = :id
"""

QUARANTINE: Final = """
update job
set state = 'quarantined',
  lease_until = 0,
  crashes = :crashes,
  error = :error
where job.id = :id
"""

QUARANTINED: Final = """
select job.id, job.kind, job.key, job.attempts, job.crashes, job.error
from job
where job.state = 'quarantined'
order by job.id desc
limit :limit
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours until its lease runs out."""

    id: int
    kind: str
    key: str
    payload: bytes
    attempts: int
    crashes: int


@dataclass(slots=True, eq=False)
class _Running:
    """A claim at work. `lost` when somebody else took it over: then it is theirs to finish."""

    claim: Claim
    task: asyncio.Task[None]
    lost: bool = field(default=False)


async def enqueue(tx: Transaction, instance: Instance, kind: str, key: str, run_at_ms: int, payload: bytes = b"") -> None:
    """Notes work for later, in the transaction of its cause. If the same kind and key already waits, that row takes the payload and the earlier moment.

    What waits for long has an id that does not say when it was asked for: that may be when somebody was awake.
    """
    soon = run_at_ms - instance.clock.ms() <= SOON_MS
    await tx.execute(ENQUEUE, id=instance.ids.new() if soon else secrets.randbits(62), kind=kind, key=key, payload=payload, run_at=run_at_ms)
    crashpoint("job:asked")


async def quarantined(tx: Transaction, limit: int = 100) -> Sequence[Row]:
    """What was set aside, newest first: id, kind, key, attempts, crashes, error (a class and a place, never words of people)."""
    return await tx.all(QUARANTINED, limit=limit)


def retry_in_ms(failures: int) -> int:
    """How long a job rests after it failed for the n-th time: 10 s, doubled each time, at most an hour."""
    return min(FIRST_RETRY_MS << min(failures - 1, 20), LAST_RETRY_MS)


class Jobs:
    """The part of a worker that does jobs; any number of processes may run one on the same database."""

    def __init__(self, instance: Instance, handlers: Mapping[str, Handler], *, at_once: int = 4) -> None:
        self._instance = instance
        self._handlers = handlers
        self._at_once = at_once
        self._running: dict[int, _Running] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A job may be due: look now."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Does what is due until `stop`; then lets running jobs end for 7 s and gives back those that do not."""
        stopped = asyncio.create_task(stop.wait())
        beating = asyncio.create_task(self._beat())
        try:
            while not stop.is_set():
                self._woken.clear()
                try:
                    wait_s = await self._start_due()
                except Unavailable as error:
                    log.warning("jobs wait for the database", error=type(error).__name__)
                    wait_s = 1.0
                await self._rest(stopped, wait_s)
            await self._drain()
        finally:
            for task in (stopped, beating, *(running.task for running in self._running.values())):
                task.cancel()

    async def _rest(self, stopped: asyncio.Task[bool], wait_s: float) -> None:
        """Waits until something may have changed: a commit, the end of a job, the next moment, or the end of all."""
        if wait_s <= 0:
            return
        woken = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait([woken, stopped], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        if not stopped.done():
            await asyncio.sleep(BREATH_S)

    async def _start_due(self) -> float:
        """Claims and starts what is due and fits; says in how many seconds to look again."""
        now = self._instance.clock.ms()
        free = self._at_once - len(self._running)
        if free <= 0:
            return LOOK_S  # the end of a running job wakes us
        row = await self._instance.database.read(_look, now)
        if row.lost or row.next_at <= now:
            claims = await self._instance.database.write(_claim, self._instance.database.for_update, now, free, frozenset(self._running))
            crashpoint("job:claimed")
            for claim in claims:
                task = asyncio.create_task(self._do(claim), name=f"job {claim.kind}")
                self._running[claim.id] = _Running(claim, task)
            # Due and yet not claimed: another process was faster, or the one before it still runs.
            return 0.0 if claims else 1.0
        return min((row.next_at - now) / 1000, LOOK_S)

    async def _do(self, claim: Claim) -> None:
        """Runs one job and writes down how it ended."""
        crashpoint("job:begun")
        handler = self._handlers.get(claim.kind)
        work = asyncio.ensure_future(handler(self._instance, claim.key, claim.payload) if handler else _nobody(claim.kind))
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:  # we stop, or the lease is lost
            work.cancel()
            await asyncio.wait([work], timeout=1)
        try:
            running = self._running[claim.id]
            if running.lost:
                log.warning("a job was taken over while it ran", job=claim.id, kind=claim.kind)
                return
            crashpoint("job:did")
            await self._finish(claim, work)
            crashpoint("job:finished")
        finally:
            self._running.pop(claim.id, None)
            self.wake()

    async def _finish(self, claim: Claim, work: asyncio.Future[None]) -> None:
        database = self._instance.database
        while True:
            now = self._instance.clock.ms()
            try:
                if not work.done() or work.cancelled():
                    await database.write(_give_back, claim, now)
                elif (error := work.exception()) is None:
                    await database.write(_done, claim)
                else:
                    log.warning("a job failed", job=claim.id, kind=claim.kind, attempts=claim.attempts, error=type(error).__name__)
                    await database.write(_failed, claim, now, _place(error))
            except Unavailable:
                await asyncio.sleep(1)  # the beat keeps the lease; without a database for longer than that, somebody else does it again
            else:
                return

    async def _beat(self) -> None:
        """Keeps the leases of what runs. Whoever lost one stops: it is somebody else's now."""
        while True:
            await asyncio.sleep(BEAT_S)
            held = list(self._running.values())
            if not held:
                continue
            try:
                lost = await self._instance.database.write(_hold, [running.claim for running in held], self._instance.clock.ms() + LEASE_MS)
            except Unavailable:
                continue
            for running in held:
                if running.claim.id in lost and not running.task.done():
                    running.lost = True
                    running.task.cancel()

    async def _drain(self) -> None:
        if tasks := [running.task for running in self._running.values()]:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()  # gives its job back
            if late:
                await asyncio.wait(late, timeout=2)


async def _nobody(kind: str) -> None:
    # An older program beside a newer one: the job waits, with growing patience, for somebody who knows it.
    raise LookupError(f"this program does not know jobs of kind {kind}")


def _place(error: BaseException) -> str:
    """The class and the place of an error; never its message, which may quote what somebody wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else type(error).__name__


@dataclass(frozen=True, slots=True)
class _Look:
    """Whether a lease ran out, and when the next job is due (in 2^62 ms if none waits)."""

    lost: bool
    next_at: int


async def _look(tx: Transaction, now: int) -> _Look:
    waiting = await tx.one(NEXT)
    lost = await tx.one(LOST, now=now, limit=1)
    return _Look(lost is not None, waiting["run_at"] if waiting is not None and waiting["run_at"] is not None else 1 << 62)


async def _claim(tx: Transaction, for_update: str, now: int, limit: int, ours: frozenset[int]) -> Sequence[Claim]:
    """Takes what is due, and what others left behind; counts the attempt before it runs."""
    claims: list[Claim] = []
    for row in await tx.all(LOST + for_update, now=now, limit=limit):
        if row["id"] in ours:
            continue  # our own beat was late; it will come
        crashes = row["crashes"] + 1
        if crashes >= CRASHES:
            log.error("a job is in quarantine", job=row["id"], kind=row["kind"], crashes=crashes)
            await tx.execute(QUARANTINE, id=row["id"], crashes=crashes, error=f"its process died {crashes} times")
            continue
        if crashes == CRASHES - 1:
            await _rest_apart(tx, row, now, crashes)
            continue
        claims.append(await _take(tx, row, now, crashes))
    names = {(claim.kind, claim.key) for claim in claims}
    due = await tx.all(DUE + for_update, now=now, limit=limit - len(claims))
    return claims + [await _take(tx, row, now, row["crashes"]) for row in due if (row["kind"], row["key"]) not in names]


async def _rest_apart(tx: Transaction, row: Row, now: int, crashes: int) -> None:
    """Puts back what two processes died with, for one to five minutes, each for its own time.

    What ran beside the guilty one would otherwise be taken first by the next process, together with it, and be quarantined with it; and so would all that a
    start asks for, where something else ends three processes a moment after they begin.
    """
    claim = Claim(row["id"], row["kind"], row["key"], b"", row["attempts"], crashes)
    log.warning("a job rests: two processes died while it ran", job=claim.id, kind=claim.kind)
    await tx.execute(SUSPECT, id=claim.id, crashes=crashes)
    await _wait_again(tx, claim, now + SUSPECT_MS + secrets.randbelow(4 * SUSPECT_MS), claim.attempts, f"its process died {crashes} times")


async def _take(tx: Transaction, row: Row, now: int, crashes: int) -> Claim:
    attempts = row["attempts"] + 1
    await tx.execute(TAKE, id=row["id"], lease_until=now + LEASE_MS, attempts=attempts, crashes=crashes)
    crashpoint("job:taken")
    return Claim(row["id"], row["kind"], row["key"], row["payload"] or b"", attempts, crashes)


async def _hold(tx: Transaction, claims: Sequence[Claim], lease_until: int) -> frozenset[int]:
    """Prolongs leases; gives the ids of those that are no longer ours."""
    return frozenset([claim.id for claim in claims if not await tx.execute(HOLD, id=claim.id, attempts=claim.attempts, lease_until=lease_until)])


async def _done(tx: Transaction, claim: Claim) -> None:
    await tx.execute(DONE, id=claim.id, attempts=claim.attempts)
    crashpoint("job:done")


async def _failed(tx: Transaction, claim: Claim, now: int, error: str) -> None:
    if claim.attempts >= FAILURES:
        if await tx.execute(HOLD, id=claim.id, attempts=claim.attempts, lease_until=now):
            log.error("a job is in quarantine", job=claim.id, kind=claim.kind, attempts=claim.attempts)
            await tx.execute(QUARANTINE, id=claim.id, crashes=claim.crashes, error=error)
        return
    await _wait_again(tx, claim, now + retry_in_ms(claim.attempts), claim.attempts, error)


async def _give_back(tx: Transaction, claim: Claim, now: int) -> None:
    await _wait_again(tx, claim, now, claim.attempts - 1, None)


async def _wait_again(tx: Transaction, claim: Claim, run_at: int, attempts: int, error: str | None) -> None:
    """Puts a job back. If the same work was asked for meanwhile, that row does it: only one of a kind and key waits."""
    if not await tx.execute(HOLD, id=claim.id, attempts=claim.attempts, lease_until=0):
        return  # taken over
    successor = await tx.one(SUCCESSOR, kind=claim.kind, key=claim.key)
    if successor is None:
        await tx.execute(AGAIN, id=claim.id, run_at=run_at, attempts=attempts, error=error)
        crashpoint("job:again")
    else:
        await tx.execute(DONE, id=claim.id, attempts=claim.attempts)
        await tx.execute(INHERIT, id=successor["id"], run_at=run_at, attempts=attempts, crashes=claim.crashes, error=error)
