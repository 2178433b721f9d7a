"""What arrived, and is it done? One row is both durability and dedupe; the worker understands it later, in the order its actor sent it.

    remember   proven activity -> one row, body sealed, `on conflict (uri) do nothing`; after it returned, 202 is the truth
    keep       request whose key must be fetched, while the instance is locked -> one row `unverified`, bounded; proven after the unlock
    Arrivals   claims rows with a lease, one lane an actor, lanes at the same time; effects, jobs, "done" and the erased body in one transaction

Attempts are counted before the run. A row whose handling raises is tried five times with growing waits. Rows that were in hand when a process died are suspects
and run alone, so that neighbours are not taken for guilty; after three deaths one is set aside for six hours, and a fourth ends it. What is given up keeps
host, time and error, never a body.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final, Literal

import structlog

from actors import hosts
from actors.instance import Instance
from actors.signatures.request import Request
from actors.vault import Locked, Tampered, VaultError
from inbox import confidential, dereference, dialect, gate, handle, verify
from inbox.confidential import Opened
from inbox.effects import NOTHING, Effects, ask
from inbox.errors import InboxError, Later, Malformed
from inbox.gate import Claim
from inbox.handle import Found
from inbox.verify import Forwarded, KeyNeeded, Sender, Transient, Verified
from schemas import activities
from schemas.activities import Activity, Sealed
from schemas.crashpoint import crashpoint
from schemas.reading import Iri, Row, Unreadable
from schemas.storage import Conflict, Transaction, Unavailable

log = structlog.get_logger()

BATCH: Final = 64
IN_HAND: Final = 256
"""How many rows one process holds at once; with lanes for each actor a slow one holds up only itself."""
LEASE_MS: Final = 30_000
RENEW_S: Final = 10.0
POLL_S: Final = 5.0
BREATH_S: Final = 0.005
DRAIN_S: Final = 8.0
PREPARE_S: Final = 60.0
"""The most that everything fetched for one activity may take."""
UNVERIFIED_MOST: Final = 20_000
KEEP_DAYS: Final = 90
SWEEP_S: Final = 600.0
DAY_MS: Final = 24 * 60 * 60 * 1000

CRASHES: Final = 3
ASIDE_S: Final = 6 * 3600
"""For how long one is set aside that was in hand at three deaths. Then it has one more try: whoever kills often at random hits an innocent three times."""
WAITS_S: Final = (5, 30, 180, 1080)
"""After an error of ours: five tries within 22 minutes."""
WAITS_OUT_S: Final = (60, 300, 1800, 7200, 21600, 43200, 43200)
"""While another server cannot be reached: eight tries within 33 hours. A request is judged by the time it came, so this loses nothing."""

MOST_ATTEMPTS: Final = len(WAITS_OUT_S) + 1 + CRASHES

REPEATED: Final = frozenset({"Follow", "Undo", "Accept", "Reject", "Like", "Announce", "Block"})
"""What servers send again under the same id and mean anew: Misskey's Follow and Undo between two people always have one id."""

TAKING_BACK: Final = frozenset({"Delete", "Reject", "Undo", "Update"})
"""What is heard of a suspended actor."""

LAST_ERROR: Final = 200
SWEPT_AT_ONCE: Final = 500
STATES: Final = ("waiting", "unverified")


class Remembered(Enum):
    """What became of an arrival at the door."""

    NEW = auto()
    KNOWN = auto()
    NO_INBOX = auto()
    SUSPENDED = auto()
    FULL = auto()


INSERT: Final = """
insert into arrival (id, uri, host_id, state, body, size, received_at, run_at)
values (:id, :uri, :host_id, :state, :body, :size, :now, :now)
on conflict (uri) do nothing
"""

SENDER: Final = """
select actor.state, actor.host_id, host.last_heard, host.down_since
from actor
left join host on host.id = actor.host_id
where actor.id = :id
  and actor.local = 0
"""

LOCAL_INBOX: Final = """
select id
from actor
where username = :username
  and local = 1
  and state <> 'gone'
"""

COUNT_UNVERIFIED: Final = """
select count(*) as waiting
from arrival
where state = 'unverified'
"""


@dataclass(frozen=True, slots=True)
class _New:
    id: int
    uri: str
    state: Literal["waiting", "unverified"]
    body: bytes
    size: int


def key(said: Claim, request: Request) -> str:
    """What tells this arrival apart. The host of the id is the proven host of the actor, so nobody occupies another server's ids.

    For what is sent anew under one id, the signature belongs to it: a byte-for-byte replay is known, a new sending is new (protocol 3.9).
    """
    if said.id is None:
        raise Malformed("id", "what is kept has an id")
    return f"{said.id} {_mark(request)}" if said.kind in REPEATED else said.id


def _mark(request: Request) -> str:
    signatures = b"\0".join(value for name, value in request.headers if name in (b"signature", b"signature-input"))
    return hashlib.sha256(signatures).hexdigest()[:32]


async def remember(instance: Instance, verified: Verified, said: Claim, request: Request, *, to: str | None) -> Remembered:
    """Stores a verified activity, fsynced when this returns; KNOWN if it was here before, NO_INBOX if `to` (a local user name) is nobody.

    SUSPENDED if its actor may only take back (Delete, Reject, Undo, Update: as at Mastodon) and this adds something.
    """
    body = request.body or b""
    return await _insert(instance, key(said, request), "waiting", verify.pack(verified, body), len(body), verified.actor, to, adds=said.kind not in TAKING_BACK)


async def remember_fetched(instance: Instance, verified: Verified, body: bytes) -> Remembered:
    """The same for an activity that was fetched from its own origin instead of posted."""
    said = gate.claim(verified.document)
    if said.id is None:
        raise Malformed("id", "what is kept has an id")
    return await _insert(instance, said.id, "waiting", verify.pack(verified, body), len(body), verified.actor, None)


async def keep(instance: Instance, host: str, said: Claim, request: Request, *, to: str | None) -> Remembered:
    """Stores a request nobody could verify yet, sealed; FULL when 20,000 of them wait.

    The mark of its signature is part of its key: a forged one does not stand in the way of the genuine one.
    """
    uri = f"{said.id or said.actor} unverified {_mark(request)}"
    return await _insert(instance, uri, "unverified", verify.pack_request(request), len(request.body or b""), host, to)


async def _insert(
    instance: Instance, uri: str, state: Literal["waiting", "unverified"], plain: bytes, size: int, sender: Sender | str, to: str | None, *, adds: bool = False
) -> Remembered:
    for tries_left in (2, 1, 0):
        number = instance.ids.new()
        new = _New(number, uri, state, instance.vault.seal(plain, f"arrival:{number}"), size)
        crashpoint("arrive:sealed")
        try:
            outcome = await instance.database.write(_write, instance, new, sender, to, adds)
        except Conflict:
            # Two processes drew one id: the seal is bound to it, so it is drawn and sealed again.
            if not tries_left:
                raise
            continue
        crashpoint("arrive:stored")
        if outcome is Remembered.NEW:
            instance.wake("arrival")
        return outcome
    raise AssertionError("the last try returns or raises")


async def _write(tx: Transaction, instance: Instance, new: _New, sender: Sender | str, to: str | None, adds: bool) -> Remembered:
    if to is not None and await tx.one(LOCAL_INBOX, username=to) is None:
        return Remembered.NO_INBOX
    now = instance.clock.ms()
    if isinstance(sender, Sender):
        row = await tx.one(SENDER, id=sender.id)
        if row is None or (adds and row["state"] != "active"):
            return Remembered.SUSPENDED
        host_id = row["host_id"] if row["host_id"] is not None else await hosts.ensure(tx, instance, sender.host)
        if hosts.is_news(row["last_heard"], row["down_since"], now):
            await hosts.heard(tx, instance, host_id)
    else:
        row = await tx.one(COUNT_UNVERIFIED)
        if row is not None and row["waiting"] >= UNVERIFIED_MOST:
            return Remembered.FULL
        host_id = await hosts.ensure(tx, instance, sender)
    crashpoint("arrive:host")
    written = await tx.execute(INSERT, id=new.id, uri=new.uri, host_id=host_id, state=new.state, body=new.body, size=new.size, now=now)
    crashpoint("arrive:inserted")
    return Remembered.NEW if written else Remembered.KNOWN


async def refetch(instance: Instance, key: str, _payload: bytes) -> None:
    """The job `refetch`: an activity that somebody else carried here, read from its own origin and then an arrival like any other; nothing if it is not there.

    Raises `Later` where another time may show it.
    """
    found = await dereference.activity(instance, Iri(key), dereference.budget(instance))
    if found is not None:
        verified, body = found
        await remember_fetched(instance, verified, body)


# The worker's half.

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

COUNTS: Final = """
select state, count(*) as rows
from arrival
group by state
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many arrivals wait, are done (and still known for dedupe), or were given up."""

    waiting: int
    done: int
    failed: int


async def counts(tx: Transaction) -> Counts:
    """The figures of `fedmatch status`; what waits for its proof waits."""
    rows = {str(row["state"]): int(row["rows"]) for row in await tx.all(COUNTS)}
    return Counts(rows.get("waiting", 0) + rows.get("unverified", 0), rows.get("done", 0), rows.get("failed", 0))


@dataclass(frozen=True, slots=True)
class _Held:
    """A claimed row."""

    id: int
    host_id: int
    state: Literal["waiting", "unverified"]
    body: bytes
    attempts: int
    error: str | None


def _held(row: Row) -> _Held:
    return _Held(row["id"], row["host_id"], row["state"], bytes(row["body"]), row["attempts"], row["error"])


Lane = tuple[str, int]


class Arrivals:
    """The part of the worker that understands what arrived."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._woken = asyncio.Event()
        self._lanes: dict[Lane, deque[tuple[_Held, Verified | Request]]] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._ids: set[int] = set()
        self._full = self._stopping = False
        self._look_for_suspects = True
        self._dialects = dialect.Reader(instance)

    def wake(self) -> None:
        """There may be something to do: a row was written here, or somebody committed."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then lets what is in hand end (at most 8 s) and gives the rest back unharmed."""
        self._stopping = False
        upkeep = asyncio.create_task(self._upkeep(), name="arrivals-upkeep")
        stopped = asyncio.create_task(stop.wait(), name="arrivals-stop")
        try:
            while not stop.is_set():
                if upkeep.done():
                    upkeep.result()
                self._woken.clear()
                if self._instance.vault.locked or not await self._take(stopped):
                    await self._wait(stopped)
        finally:
            self._stopping = True
            stopped.cancel()
            upkeep.cancel()
            await asyncio.gather(stopped, upkeep, return_exceptions=True)
            await self._drain()

    async def _wait(self, stopped: asyncio.Task[bool]) -> None:
        woken = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait([woken, stopped], timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        if self._ids:
            # Busy: every commit wakes us, our own too. A breath makes one claim of many.
            await asyncio.sleep(BREATH_S)

    async def _take(self, stopped: asyncio.Task[bool]) -> bool:
        """Claims what there is room for and starts it; True when there is more."""
        self._full = len(self._ids) + BATCH > IN_HAND
        if self._full:
            return False  # `_forget` wakes us when there is room
        database = self._instance.database
        # A look costs no write: an idle worker commits nothing, so nobody is woken by it.
        due, suspect = await database.read(self._look)
        if suspect:
            return await self._take_suspect(stopped)
        if not due:
            return False
        claimed = await database.write(self._claim, CLAIM, BATCH)
        crashpoint("handle:claimed")
        for held in claimed:
            if held.attempts > MOST_ATTEMPTS:
                await database.write(self._give_up, held, "it was tried often enough")
            else:
                self._start(held)
        return len(claimed) >= BATCH

    async def _take_suspect(self, stopped: asyncio.Task[bool]) -> bool:
        """Handles one row that was in hand when a process died, alone: if it kills again, nobody else is counted with it."""
        await self._idle(stopped)
        if stopped.done():
            return False
        for held in await self._instance.database.write(self._claim, CLAIM_SUSPECT, 1):
            if held.attempts == CRASHES + 1:
                await self._instance.database.write(self._set_aside, held)
            elif held.attempts > CRASHES + 2:
                await self._instance.database.write(self._give_up, held, "the process died each time it was handled")
            else:
                self._start(held)
                await self._idle(stopped)
        return True

    async def _idle(self, stopped: asyncio.Task[bool]) -> None:
        """Returns when nothing is in hand any more, or the worker is to stop."""
        while (busy := {*self._tasks.values(), *self._notes}) and not stopped.done():
            await asyncio.wait([*busy, stopped], return_when=asyncio.FIRST_COMPLETED)

    async def _look(self, tx: Transaction) -> tuple[bool, bool]:
        """Whether rows are due, and whether suspects are; for suspects it is enough to look now and then."""
        now = self._instance.clock.ms()
        due = any([await tx.one(IS_DUE, state=state, now=now) is not None for state in STATES])
        if not self._look_for_suspects:
            return due, False
        suspect = any([await tx.one(IS_SUSPECT, state=state, now=now) is not None for state in STATES])
        self._look_for_suspects = suspect
        return due, suspect

    async def _claim(self, tx: Transaction, sql: str, most: int) -> list[_Held]:
        now = self._instance.clock.ms()
        sql = sql.replace("{for_update}", self._instance.database.for_update)
        rows: list[Row] = []
        for state in STATES:
            if len(rows) < most:
                rows += await tx.all(sql, state=state, now=now, until=now + LEASE_MS, most=most - len(rows))
        crashpoint("handle:claiming")
        # `returning` promises no order. A row of ours whose lease ran out before it was renewed is in hand already.
        return [_held(row) for row in sorted(rows, key=lambda row: (row["run_at"], row["id"])) if row["id"] not in self._ids]

    def _start(self, held: _Held) -> None:
        """Puts a claimed row at the end of its actor's lane."""
        self._ids.add(held.id)
        try:
            remembered = verify.recall(self._instance.vault.open(held.body, f"arrival:{held.id}"))
        except (VaultError, Unreadable) as error:
            self._note_soon(held, error)
            return
        crashpoint("handle:opened")
        lane = ("actor", remembered.actor.id) if isinstance(remembered, Verified) else ("row", held.id)
        self._lanes.setdefault(lane, deque()).append((held, remembered))
        if lane not in self._tasks:
            self._go(lane)

    def _go(self, lane: Lane) -> None:
        task = self._tasks[lane] = asyncio.create_task(self._walk(lane), name="arrival-lane")
        task.add_done_callback(partial(self._walked, lane))

    async def _walk(self, lane: Lane) -> None:
        """One actor's arrivals, one after the other. An error leaves the guilty row at the head of the lane, for `_walked`."""
        queue = self._lanes[lane]
        while queue and not self._stopping:
            held, remembered = queue[0]
            match remembered:
                case Verified():
                    await self._understand(held, remembered)
                case Request():
                    await self._prove(held, remembered)
            queue.popleft()
            self._forget(held)

    def _walked(self, lane: Lane, task: asyncio.Task[None]) -> None:
        del self._tasks[lane]
        queue = self._lanes[lane]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._note_soon(queue.popleft()[0], error)
        if queue and not self._stopping:
            self._go(lane)
        elif not queue:
            del self._lanes[lane]

    def _note_soon(self, held: _Held, error: BaseException) -> None:
        task = asyncio.create_task(self._note(held, error), name="arrival-note")
        self._notes.add(task)
        task.add_done_callback(partial(self._noted, held))

    def _noted(self, held: _Held, task: asyncio.Task[None]) -> None:
        self._notes.discard(task)
        self._forget(held)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease runs out and it comes again; until the database is back this is in the log every time.
            log.error("arrival.not-noted", arrival=held.id, error=type(error).__name__)

    def _forget(self, held: _Held) -> None:
        self._ids.discard(held.id)
        if self._full and len(self._ids) + BATCH <= IN_HAND:
            self._woken.set()

    async def _understand(self, held: _Held, verified: Verified) -> None:
        """One verified row: parse, fetch what it needs, then everything it does in one transaction."""
        instance = self._instance
        activity, inside = activities.parse(await self._dialects.plain(verified)), None
        if isinstance(activity, Sealed):
            inside = await self._open(verified, activity)
            if inside is None:
                await instance.database.write(self._finish, held)
                return
            verified, activity = inside.verified, inside.activity
        found = await self._prepare(verified, activity) if handle.needs_network(instance, activity) else Found()
        crashpoint("handle:prepared")
        effects = await instance.database.write(self._act, held, verified, activity, found, inside)
        crashpoint("handle:acted")
        for kind in effects.wake:
            instance.wake(kind)

    async def _open(self, verified: Verified, outer: Sealed) -> Opened | None:
        try:
            async with asyncio.timeout(PREPARE_S):
                return await confidential.opened(self._instance, verified, outer)
        except TimeoutError:
            raise Later(60, "the peer could not be looked at in time") from None

    async def _prepare(self, verified: Verified, activity: Activity) -> Found:
        try:
            async with asyncio.timeout(PREPARE_S):
                return await handle.prepare(self._instance, verified, activity)
        except TimeoutError:
            raise Later(60, "what it names could not be fetched in time") from None

    async def _act(self, tx: Transaction, held: _Held, verified: Verified, activity: Activity, found: Found, inside: Opened | None) -> Effects:
        if not await tx.execute(DONE, id=held.id, now=self._instance.clock.ms()):
            return NOTHING  # another process took it over while we were slow, and did it
        if inside is not None and not await confidential.first(tx, self._instance, inside):
            return NOTHING  # it was carried here before
        crashpoint("handle:done")
        effects = await handle.act(tx, self._instance, verified, activity, found)
        crashpoint("handle:acting")
        return effects

    async def _prove(self, held: _Held, request: Request) -> None:
        """One row from the time the instance was locked: proven by the time it came, then an arrival like any other."""
        instance = self._instance
        try:
            document = gate.read(request.body or b"", instance.config.limits.body)
            said = gate.claim(document)
            verdict = await verify.verify(instance, request, document, said)
        except KeyNeeded:
            raise Locked from None
        except Later:
            raise
        except InboxError as error:
            await instance.database.write(self._give_up, held, error.log)
            return
        match verdict:
            case Verified():
                await instance.database.write(self._proven, held, verdict, key(said, request), request.body or b"")
                self._woken.set()
            case Forwarded():
                await instance.database.write(self._refetch, held, verdict)
                instance.wake("job")
            case Transient():
                await instance.database.write(self._finish, held)

    async def _proven(self, tx: Transaction, held: _Held, verified: Verified, uri: str, body: bytes) -> None:
        instance = self._instance
        host_id = await hosts.ensure(tx, instance, verified.actor.host)
        sealed = instance.vault.seal(verify.pack(verified, body), f"arrival:{held.id}")
        if await tx.execute(PROVEN, id=held.id, uri=uri, host_id=host_id, body=sealed):
            await hosts.heard(tx, instance, host_id)
        else:
            await self._finish(tx, held)  # the genuine one came by another way meanwhile

    async def _refetch(self, tx: Transaction, held: _Held, forwarded: Forwarded) -> None:
        await ask(tx, self._instance, "refetch", forwarded.id)
        await self._finish(tx, held)

    async def _finish(self, tx: Transaction, held: _Held) -> None:
        """Ends a row whose proof showed that there is nothing to do."""
        await tx.execute(SETTLED, id=held.id)
        await tx.execute(DONE, id=held.id, now=self._instance.clock.ms())

    async def _give_up(self, tx: Transaction, held: _Held, why: str) -> None:
        await tx.execute(FAILED, id=held.id, error=why[:LAST_ERROR], now=self._instance.clock.ms())
        log.warning("arrival.failed", arrival=held.id, host=held.host_id)

    async def _note(self, held: _Held, error: BaseException) -> None:
        """Writes on the row what went wrong, and when it is tried again, if it is."""
        instance = self._instance
        if isinstance(error, Locked):
            await instance.database.write(self._release, (held.id,))
            return
        if isinstance(error, Unavailable):
            await instance.database.write(self._postpone, held)
            return
        text, wait_s = _judge(error, held.attempts)
        if wait_s is None:
            await instance.database.write(self._give_up, held, text)
            return
        log.warning("arrival.again", arrival=held.id, error=text, attempts=held.attempts)
        crashpoint("handle:failed")
        await instance.database.write(self._again, held, text, wait_s)
        crashpoint("handle:again")

    async def _again(self, tx: Transaction, held: _Held, error: str, wait_s: int) -> None:
        await tx.execute(AGAIN, id=held.id, error=error[:LAST_ERROR], run_at=self._instance.clock.ms() + wait_s * 1000)

    async def _set_aside(self, tx: Transaction, held: _Held) -> None:
        await tx.execute(SET_ASIDE, id=held.id, run_at=self._instance.clock.ms() + ASIDE_S * 1000)
        log.error("arrival.set-aside", arrival=held.id, host=held.host_id)

    async def _postpone(self, tx: Transaction, held: _Held) -> None:
        await tx.execute(POSTPONE, id=held.id, run_at=self._instance.clock.ms() + 5000)

    async def _release(self, tx: Transaction, ids: Iterable[int]) -> None:
        await tx.many(RELEASE, [{"id": number} for number in ids])

    async def _renew(self, tx: Transaction, ids: Iterable[int]) -> None:
        until = self._instance.clock.ms() + LEASE_MS
        await tx.many(RENEW, [{"id": number, "until": until} for number in ids])

    async def _sweep(self, tx: Transaction) -> int:
        return await tx.execute(FORGET, before=self._instance.clock.ms() - KEEP_DAYS * DAY_MS)

    async def _upkeep(self) -> None:
        """Renews leases, looks for suspects, and lets old rows go, each in its own rhythm."""
        database, loop = self._instance.database, asyncio.get_running_loop()
        swept = loop.time()
        while True:
            await asyncio.sleep(RENEW_S)
            self._look_for_suspects = True
            if self._ids:
                await database.write(self._renew, tuple(self._ids))
            if loop.time() - swept >= SWEEP_S and await database.write(self._sweep) < SWEPT_AT_ONCE:
                swept = loop.time()

    async def _drain(self) -> None:
        """Lets the heads of the lanes end, then gives everything else back as if it had never been claimed."""
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks.values()), timeout=DRAIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._notes:
            await asyncio.gather(*self._notes, return_exceptions=True)
        left = tuple(self._ids)
        self._lanes.clear()
        self._ids.clear()
        if left:
            await self._instance.database.write(self._release, left)


def _judge(error: BaseException, attempts: int) -> tuple[str, int | None]:
    """What the row says about an error (never content: a class, or a sentence of ours), and how many seconds until the next try; None: give up."""
    match error:
        case Unreadable():
            return f"unreadable: {error.where}: {error.why}", None
        case Tampered():
            return "its body does not open: it was damaged or moved", None
        case Later():
            return error.log, WAITS_OUT_S[attempts - 1] if attempts <= len(WAITS_OUT_S) else None
        case InboxError():
            return error.log, None
        case _:
            return type(error).__name__, WAITS_S[attempts - 1] if attempts <= len(WAITS_S) else None
