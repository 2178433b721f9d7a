"""How is what arrived understood? The worker's part: rows are leased, one lane an actor, lanes at the same time.

Effects, jobs, "done" and the erased body are one transaction. Attempts are counted before the run. A row whose handling raises is tried five times with growing
waits. Rows that were in hand when a process died are suspects and run alone, so that neighbours are not taken for guilty; after three deaths one is set aside
for six hours, and a fourth ends it. What is given up keeps host, time and error, never a body.
"""

import asyncio
from collections import deque
from functools import partial
from typing import Final

import structlog

from actors import hosts
from actors.instance import Instance
from actors.signatures.request import Request
from actors.vault import Locked, Tampered, VaultError
from inbox import arrivals, confidential, dialect, gate, handle, queue, refetch, verify
from inbox.confidential import Opened
from inbox.effects import NOTHING, Effects
from inbox.errors import InboxError, Later
from inbox.handle import Found
from inbox.queue import Held
from inbox.verify import Forwarded, KeyNeeded, Transient, Verified
from schemas import activities
from schemas.activities import Activity, Sealed
from schemas.crashpoint import crashpoint
from schemas.reading import Unreadable
from schemas.storage import Transaction, Unavailable

log = structlog.get_logger()

BATCH: Final = 64
IN_HAND: Final = 256
"""How many rows one process holds at once; with lanes for each actor a slow one holds up only itself."""
RENEW_S: Final = 10.0
POLL_S: Final = 5.0
BREATH_S: Final = 0.005
DRAIN_S: Final = 8.0
PREPARE_S: Final = 60.0
"""The most that everything fetched for one activity may take."""
SWEEP_S: Final = 600.0
SWEPT_AT_ONCE: Final = 500

CRASHES: Final = 3
WAITS_S: Final = (5, 30, 180, 1080)
"""After an error of ours: five tries within 22 minutes."""
WAITS_OUT_S: Final = (60, 300, 1800, 7200, 21600, 43200, 43200)
"""While another server cannot be reached: eight tries within 33 hours. A request is judged by the time it came, so this loses nothing."""

MOST_ATTEMPTS: Final = len(WAITS_OUT_S) + 1 + CRASHES

Lane = tuple[str, int]


class Arrivals:
    """The part of the worker that understands what arrived."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._woken = asyncio.Event()
        self._lanes: dict[Lane, deque[tuple[Held, Verified | Request]]] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._ids: set[int] = set()
        self._full = self._stopping = False
        self._look_for_suspects = True
        self._dialects = dialect.reader(instance)

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
        instance, database = self._instance, self._instance.database
        # A look costs no write: an idle worker commits nothing, so nobody is woken by it.
        due, suspect = await database.read(queue.look, instance, self._look_for_suspects)
        if self._look_for_suspects:
            self._look_for_suspects = suspect  # for these it is enough to look now and then
        if suspect:
            return await self._take_suspect(stopped)
        if not due:
            return False
        claimed = await database.write(queue.claim, instance, queue.CLAIM, BATCH)
        crashpoint("handle:claimed")
        for held in claimed:
            if held.id in self._ids:
                continue  # its lease ran out before it was renewed, and it is in hand already
            if held.attempts > MOST_ATTEMPTS:
                await database.write(queue.give_up, instance, held, "it was tried often enough")
            else:
                self._start(held)
        return len(claimed) >= BATCH

    async def _take_suspect(self, stopped: asyncio.Task[bool]) -> bool:
        """Handles one row that was in hand when a process died, alone: if it kills again, nobody else is counted with it."""
        await self._idle(stopped)
        if stopped.done():
            return False
        instance = self._instance
        for held in await instance.database.write(queue.claim, instance, queue.CLAIM_SUSPECT, 1):
            if held.attempts == CRASHES + 1:
                await instance.database.write(queue.set_aside, instance, held)
            elif held.attempts > CRASHES + 2:
                await instance.database.write(queue.give_up, instance, held, "the process died each time it was handled")
            else:
                self._start(held)
                await self._idle(stopped)
        return True

    async def _idle(self, stopped: asyncio.Task[bool]) -> None:
        """Returns when nothing is in hand any more, or the worker is to stop."""
        while (busy := {*self._tasks.values(), *self._notes}) and not stopped.done():
            await asyncio.wait([*busy, stopped], return_when=asyncio.FIRST_COMPLETED)

    def _start(self, held: Held) -> None:
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
        waiting = self._lanes[lane]
        while waiting and not self._stopping:
            held, remembered = waiting[0]
            match remembered:
                case Verified():
                    await self._understand(held, remembered)
                case Request():
                    await self._prove(held, remembered)
            waiting.popleft()
            self._forget(held)

    def _walked(self, lane: Lane, task: asyncio.Task[None]) -> None:
        del self._tasks[lane]
        waiting = self._lanes[lane]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._note_soon(waiting.popleft()[0], error)
        if waiting and not self._stopping:
            self._go(lane)
        elif not waiting:
            del self._lanes[lane]

    def _note_soon(self, held: Held, error: BaseException) -> None:
        task = asyncio.create_task(self._note(held, error), name="arrival-note")
        self._notes.add(task)
        task.add_done_callback(partial(self._noted, held))

    def _noted(self, held: Held, task: asyncio.Task[None]) -> None:
        self._notes.discard(task)
        self._forget(held)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease runs out and it comes again; until the database is back this is in the log every time.
            log.error("arrival.not-noted", arrival=held.id, error=type(error).__name__)

    def _forget(self, held: Held) -> None:
        self._ids.discard(held.id)
        if self._full and len(self._ids) + BATCH <= IN_HAND:
            self._woken.set()

    async def _understand(self, held: Held, verified: Verified) -> None:
        """One verified row: parse, fetch what it needs, then everything it does in one transaction."""
        instance = self._instance
        activity, inside = activities.parse(await self._dialects.plain(verified)), None
        if isinstance(activity, Sealed):
            inside = await self._open(verified, activity)
            if inside is None:
                await instance.database.write(queue.finish, instance, held)
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

    async def _act(self, tx: Transaction, held: Held, verified: Verified, activity: Activity, found: Found, inside: Opened | None) -> Effects:
        if not await tx.execute(queue.DONE, id=held.id, now=self._instance.clock.ms()):
            return NOTHING  # another process took it over while we were slow, and did it
        if inside is not None and not await confidential.first(tx, self._instance, inside):
            return NOTHING  # it was carried here before
        crashpoint("handle:done")
        effects = await handle.act(tx, self._instance, verified, activity, found)
        crashpoint("handle:acting")
        return effects

    async def _prove(self, held: Held, request: Request) -> None:
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
            await instance.database.write(queue.give_up, instance, held, error.log)
            return
        match verdict:
            case Verified():
                await instance.database.write(self._proven, held, verdict, arrivals.key(said, request), request.body or b"")
                self._woken.set()
            case Forwarded():
                await instance.database.write(self._refetch, held, verdict)
                instance.wake("job")
            case Transient():
                await instance.database.write(queue.finish, instance, held)

    async def _proven(self, tx: Transaction, held: Held, verified: Verified, uri: str, body: bytes) -> None:
        instance = self._instance
        host_id = await hosts.ensure(tx, instance, verified.actor.host)
        sealed = instance.vault.seal(verify.pack(verified, body), f"arrival:{held.id}")
        if await tx.execute(queue.PROVEN, id=held.id, uri=uri, host_id=host_id, body=sealed):
            await hosts.heard(tx, instance, host_id)
        else:
            await queue.finish(tx, self._instance, held)  # the genuine one came by another way meanwhile

    async def _refetch(self, tx: Transaction, held: Held, forwarded: Forwarded) -> None:
        await refetch.wanted(tx, self._instance, forwarded)
        await queue.finish(tx, self._instance, held)

    async def _note(self, held: Held, error: BaseException) -> None:
        """Writes on the row what went wrong, and when it is tried again, if it is."""
        instance = self._instance
        if isinstance(error, Locked):
            await instance.database.write(queue.release, instance, (held.id,))
            return
        if isinstance(error, Unavailable):
            await instance.database.write(queue.postpone, instance, held)
            return
        text, wait_s = _judge(error, held.attempts)
        if wait_s is None:
            await instance.database.write(queue.give_up, instance, held, text)
            return
        log.warning("arrival.again", arrival=held.id, error=text, attempts=held.attempts)
        crashpoint("handle:failed")
        await instance.database.write(queue.again, instance, held, text, wait_s)
        crashpoint("handle:again")

    async def _upkeep(self) -> None:
        """Renews leases, looks for suspects, and lets old rows go, each in its own rhythm."""
        database, loop = self._instance.database, asyncio.get_running_loop()
        swept = loop.time()
        while True:
            await asyncio.sleep(RENEW_S)
            self._look_for_suspects = True
            if self._ids:
                await database.write(queue.renew, self._instance, tuple(self._ids))
            if loop.time() - swept >= SWEEP_S and await database.write(queue.sweep, self._instance) < SWEPT_AT_ONCE:
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
            await self._instance.database.write(queue.release, self._instance, left)


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
