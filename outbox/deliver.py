"""How does it get there? Hosts are claimed, their deliveries sent in order, signed at the moment they leave, and what came of it written back in batches.

A host is claimed whole, by a lease: so two in flight per host holds across processes and machines, and a later activity never overtakes an earlier one about
the same thing. A delivery that takes longer than a tenth of a second gives its place to others and goes on waiting under a cap on sockets; hosts that failed
last time share a small budget of their own. So a host that hangs delays nobody but itself (docs/decisions/0005-delivery.md).
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors.signatures.hand import Hand
from outbox.attempts import Attempts
from outbox.backoff import Gone, Held, Sent
from outbox.claims import Claims
from outbox.lanes import Attempt, Delivery, Done, Lane, Letter, Result
from outbox.outcomes import Outcomes
from schemas.crashpoint import crashpoint
from schemas.storage import Unavailable

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

HEARTBEAT_S: Final = 15.0
EARLY_S: Final = 0.1
"""After this long in flight a delivery gives its slot to the next host. Healthy peers answer in a few milliseconds to a few tens."""
POLL_S: Final = 1.0
DRAIN_S: Final = 8.0
LATE_MS: Final = 10 * 60_000
"""What waited longer goes one by one."""
BREATH_S: Final = 0.05
"""How often at most we look because of somebody's commit, and for hosts that failed before."""
GATHER_S: Final = 0.01
"""While others are under way, what came of the first waits so long to be written down together with them."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A place among those that are sent at once, until the moment at which it is given to the next."""

    until: float
    given: bool = False


class Deliverer:
    """Sends what waits, of all hosts, until it is told to stop. One a process; any number of processes on one database."""

    def __init__(self, instance: "Instance") -> None:
        self._instance = instance
        self._claims = Claims(instance, secrets.token_hex(8))
        self._written_by = Outcomes(instance, self._claims)
        self._attempts = Attempts(instance, Hand())
        federation = instance.config.federation
        self._slots = federation.deliveries_at_once
        self._per_host = federation.per_host
        # Beneath the connector's own cap (four times the slots, at least 256), so that nobody waits inside it; and more than 200 servers that hang at once.
        self._most_sockets = max(240, 3 * self._slots)
        self._most_bad = max(2, self._slots // 8)
        # Hosts are claimed for twice the slots: while one half is under way, a claim fetches the next, so nobody waits for a commit between them.
        self._ahead = 2 * self._slots
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._begin()

    def _begin(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self._letters: dict[int, Letter] = {}
        self._looked_at_bad = 0.0
        self._looked = -BREATH_S
        self._look_later: asyncio.TimerHandle | None = None
        self._more = False
        self._wanting = 0
        self._slot = asyncio.Semaphore(self._slots)
        self._socket = asyncio.Semaphore(self._most_sockets)
        self._held: deque[_Slot] = deque()
        self._early: asyncio.TimerHandle | None = None
        self._outcomes: list[Result | Done] = []
        self._news = asyncio.Event()
        self._closing = False

    def wake(self) -> None:
        """Something is due; call it on the event loop. Without it the next look is at most a second away."""
        self._woken.set()

    def notice(self) -> None:
        """Somebody committed something, which is seldom a delivery: look, but not at every commit of a busy minute."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._looked + BREATH_S:
            self._woken.set()
        elif self._look_later is None:
            self._look_later = loop.call_at(self._looked + BREATH_S, self._look_now)

    def _look_now(self) -> None:
        self._look_later = None
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set or `drain` is called, then ends as `drain` says. An error of the database's lets it end at once; run it again."""
        self._begin()
        self._stopping.clear()
        self._finished.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                stopper = tasks.create_task(self._stop_with(stop))
                beat = tasks.create_task(self._keep_leases())
                writer = tasks.create_task(self._write_outcomes())
                flights: set[asyncio.Task[None]] = set()
                await self._claim_on(tasks, flights)
                if flights:
                    _, late = await asyncio.wait(flights, timeout=DRAIN_S)
                    for flight in late:
                        flight.cancel()
                    await asyncio.gather(*late, return_exceptions=True)
                self._closing = True
                self._news.set()
                await writer
                stopper.cancel()
                beat.cancel()
        finally:
            for timer in (self._early, self._look_later):
                if timer is not None:
                    timer.cancel()
            self._finished.set()

    async def drain(self) -> None:
        """Claims nothing more, waits at most 8 s for what is in flight, writes what came of it and gives every host back."""
        self._stopping.set()
        self._woken.set()
        await self._finished.wait()

    async def _stop_with(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping.set()
        self._woken.set()

    # --- claiming

    async def _claim_on(self, tasks: asyncio.TaskGroup, flights: set[asyncio.Task[None]]) -> None:
        """Claims hosts while there is room, and lets each fly, until it is time to stop."""
        instance = self._instance
        loop = asyncio.get_running_loop()
        offset: float | None = None
        while not self._stopping.is_set():
            self._woken.clear()
            drift = instance.clock.ms() - loop.time() * 1000
            try:
                if offset is None:
                    # After an error we run again under the same name: what we held then is in nobody's hands.
                    await instance.database.write(self._claims.take_back)
                if offset is None or drift < offset - 1000:
                    # The first look, or the clock went back: what an earlier, later time wrote must not hold anybody up.
                    await instance.database.write(self._claims.mend)
                offset = drift
                if not instance.vault.locked:
                    for lane in await self._claim():
                        self._lanes[lane.host_id] = lane
                        flight = tasks.create_task(self._fly(lane))
                        flights.add(flight)
                        flight.add_done_callback(flights.discard)
            except Unavailable as error:
                log.warning("deliver.no-database", why=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()

    async def _claim(self) -> Sequence[Lane]:
        good = min(self._slots, self._ahead - self._wanting, self._most_sockets - len(self._lanes))
        if not self._roomy:
            good, self._more = 0, True
        bad = self._most_bad - sum(1 for lane in self._lanes.values() if lane.failures)
        # Every commit of anybody wakes us: what comes back after a failure is looked for a few times a second only, or when we look anyway.
        looks = asyncio.get_running_loop().time()
        if good <= 0 and looks < self._looked_at_bad + BREATH_S:
            bad = 0
        if good <= 0 and bad <= 0:
            return ()
        self._looked = looks
        if bad > 0:
            self._looked_at_bad = looks
        write = self._instance.database.write
        claimed = await write(self._claims.hosts, max(good, 0), max(bad, 0), frozenset(self._lanes), self._letters.copy())
        self._more = claimed.more
        crashpoint("deliver:claimed")
        if ours := [(lane.host_id, lane.held) for lane in map(self._lanes.get, claimed.ours) if lane is not None]:
            await write(self._claims.keep, ours)
        for lane in claimed.lanes:
            for delivery in lane.queue:
                letter = self._letters.setdefault(delivery.letter.id, delivery.letter)
                letter.here += 1
        return claimed.lanes

    @property
    def _roomy(self) -> bool:
        """Whether no more are in hand than have a slot: with a few places free it pays to wait for more of them, since a claim is a write."""
        return self._wanting <= self._slots

    # --- flying

    async def _fly(self, lane: Lane) -> None:
        """Sends what the claim gave: one alone first, so that a host that hangs holds one socket; then as many at once as a host gets."""
        try:
            await self._next(lane)
            if lane.queue and not lane.stopped:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(1 if lane.failures or self._is_late(lane) else self._per_host):
                        tasks.create_task(self._rest(lane))
        finally:
            self._note(Done(lane))

    def _is_late(self, lane: Lane) -> bool:
        """Whether the host catches up on what it missed: that goes one by one, since two at once may arrive the wrong way round."""
        return lane.queue[0].created_at < self._instance.clock.ms() - LATE_MS

    async def _rest(self, lane: Lane) -> None:
        while lane.queue and not lane.stopped:
            await self._next(lane)

    async def _next(self, lane: Lane) -> None:
        if self._stopping.is_set() or not lane.queue:
            lane.stopped = True
            return
        delivery = lane.queue.popleft()
        lane.flying.add(delivery.id)
        attempt = await self._in_a_slot(lane, delivery)
        lane.flying.discard(delivery.id)
        if attempt is None:
            lane.queue.appendleft(delivery)
            lane.stopped = True
            return
        if not isinstance(attempt.judgement, Sent | Gone | Held):
            # It fails, or asked for time: the rest of this claim goes back and is put in line anew.
            lane.stopped = lane.troubled = True
        self._note(Result(lane, delivery, attempt))

    async def _in_a_slot(self, lane: Lane, delivery: Delivery) -> Attempt | None:
        if lane.failures:
            return await self._attempts.send(lane, delivery)
        self._wanting += 1
        async with self._socket:
            await self._slot.acquire()
            slot = self._hold()
            try:
                # Who waited here while we were told to stop goes back to its row.
                return None if self._stopping.is_set() else await self._attempts.send(lane, delivery)
            finally:
                self._give_back(slot)

    def _hold(self) -> "_Slot":
        """Notes that a slot is taken now; one timer looks after all of them, since a timer for each costs more than it."""
        loop = asyncio.get_running_loop()
        slot = _Slot(loop.time() + EARLY_S)
        self._held.append(slot)
        if self._early is None:
            self._early = loop.call_at(slot.until, self._give_back_early)
        return slot

    def _give_back(self, slot: "_Slot") -> None:
        if slot.given:
            return
        slot.given = True
        self._slot.release()
        self._wanting -= 1
        if self._more and self._roomy:
            self._woken.set()

    def _give_back_early(self) -> None:
        loop = asyncio.get_running_loop()
        while self._held and (self._held[0].given or self._held[0].until <= loop.time()):
            self._give_back(self._held.popleft())
        self._early = loop.call_at(self._held[0].until, self._give_back_early) if self._held else None

    # --- what came of it

    def _note(self, outcome: Result | Done) -> None:
        self._outcomes.append(outcome)
        self._news.set()

    async def _write_outcomes(self) -> None:
        """Writes what came of deliveries; while one write is on its way the next batch gathers."""
        while True:
            await self._news.wait()
            self._news.clear()
            if not self._closing and sum(isinstance(item, Done) for item in self._outcomes) < len(self._lanes):
                await asyncio.sleep(GATHER_S)
                self._news.clear()
            batch, self._outcomes = self._outcomes, []
            last = self._let_go(batch)
            record = self._written_by.record_well if all(item.is_well for item in batch) else self._written_by.record
            more = False
            while batch:
                try:
                    crashpoint("deliver:noting")
                    more = await self._instance.database.write(record, batch, last)
                    crashpoint("deliver:noted")
                except Unavailable as error:
                    # Nothing is forgotten: the leases run, and what is not written is written later or sent again.
                    log.warning("deliver.no-database", why=str(error))
                    await asyncio.sleep(POLL_S)
                    continue
                break
            for item in batch:
                if isinstance(item, Done):
                    self._lanes.pop(item.lane.host_id, None)
            if more:
                self._woken.set()
            if self._closing and not self._outcomes:
                return

    def _let_go(self, batch: Sequence[Result | Done]) -> Sequence[int]:
        """Forgets the deliveries of a batch; gives the letters of which none is left in hand here. Only then is it worth asking whether any waits at all."""
        last: dict[int, None] = {}
        for item in batch:
            for delivery in (item.delivery,) if isinstance(item, Result) else item.lane.queue:
                letter = delivery.letter
                letter.here -= 1
                if letter.here == 0:
                    self._letters.pop(letter.id, None)
                    last[letter.id] = None
        return tuple(last)

    # --- leases

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            lanes = [(lane.host_id, lane.held) for lane in self._lanes.values()]
            if not lanes:
                continue
            try:
                await self._instance.database.write(self._claims.keep, lanes)
            except Unavailable as error:
                log.warning("deliver.no-database", why=str(error))
