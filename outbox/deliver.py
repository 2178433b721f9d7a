"""How does it get there? Hosts are claimed, their deliveries sent in order, signed at the moment they leave, and what came of it written back in batches.

A host is claimed whole, by a lease: so two in flight per host holds across processes and machines, and a later activity never overtakes an earlier one about
the same thing. A delivery that takes longer than a tenth of a second gives its place to others and goes on waiting under a cap on sockets; hosts that failed
last time share a small budget of their own. So a host that hangs delays nobody but itself (docs/decisions/0005-delivery.md).
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, assert_never, cast
from urllib.parse import urljoin

import structlog

from actors import follows, hosts, known, quiet, synchronisation, trust
from actors.keys import NoKey, PrivateKey
from actors.network import Fetched, Refused, Unreachable
from actors.signatures import knock
from actors.signatures.hand import Hand
from actors.vault import Locked, Tampered, Vault
from outbox import confidential
from outbox.backoff import (
    BREAKS_AFTER,
    DAY,
    HOUR,
    Again,
    Gone,
    Held,
    Judgement,
    Later,
    Outcome,
    Sent,
    judge,
    outcome,
    rest_ms,
    retry_after,
    unreachable,
    wait_ms,
)
from schemas import documents
from schemas.activities import Follow, Undo
from schemas.crashpoint import crashpoint
from schemas.events import DeliveryGaveUp
from schemas.reading import Iri, Row
from schemas.storage import Transaction, Unavailable

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/activity+json"
LEASE_MS: Final = 45_000
"""After a kill -9 others take a host over this much later (they must within 60 s)."""
HEARTBEAT_S: Final = 15.0
EARLY_S: Final = 0.1
"""After this long in flight a delivery gives its slot to the next host. Healthy peers answer in a few milliseconds to a few tens."""
POLL_S: Final = 1.0
DRAIN_S: Final = 8.0
LATE_MS: Final = 10 * 60_000
"""What waited longer goes one by one."""
AT_A_TIME: Final = 16
"""Deliveries of one host taken with one claim."""
MOST_HOPS: Final = 3
GONE_AFTER: Final = 3
"""So often in a row a personal inbox answers 410 before its owner stops being a follower; one 410 may be somebody's upgrade."""
BREATH_S: Final = 0.05
"""How often at most we look for hosts that failed before, while everybody else's commits wake us."""
LONGEST_WAIT: Final = DAY + HOUR
LONGEST_DELAY: Final = 3 * DAY + HOUR
"""What waits on purpose (`not_before`) waits no longer; a delivery that is due later was written by a clock that was wrong."""
"""Nothing is ever put off further than this; what lies further ahead was written by a clock that was wrong."""

FOR_FOLLOWERS: Final = frozenset({"Create", "Update", "Announce"})
"""What tells a server who our followers there are; the rest is for everybody, or for one."""

HEADERS: Final = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}

State = Literal["waiting", "sent", "dead", "superseded"]


@dataclass(slots=True)
class _Letter:
    """What is sent to many: read once and opened once for all of its deliveries that are in hand here. `here` counts them."""

    id: int
    actor_id: int
    kind: str
    object: Iri
    uri: Iri
    confidential: bool
    body: bytes = field(repr=False)
    opened: bytes | None = field(default=None, repr=False)
    here: int = 0

    def open(self, vault: Vault) -> bytes:
        """Its bytes; raises `Locked` also if it was open before, and `Tampered`."""
        if vault.locked:
            self.opened = None
            raise Locked
        if self.opened is None:
            self.opened = vault.open(self.body, f"outgoing:{self.id}")
        return self.opened


@dataclass(frozen=True, slots=True)
class _Delivery:
    id: int
    letter: _Letter
    inbox: Iri
    ordering_key: str
    attempts: int
    refusals: int
    created_at: int


@dataclass(slots=True)
class _Lane:
    """One claimed host and what of it goes out under this claim. `troubled` once something of it failed, or had before: then an answer is news."""

    host_id: int
    host: str
    scheme: knock.Scheme
    failures: int
    queue: deque[_Delivery]
    flying: set[int] = field(default_factory=set)
    stopped: bool = False
    troubled: bool = False

    @property
    def held(self) -> list[int]:
        """The deliveries whose leases are ours."""
        return [*self.flying, *(delivery.id for delivery in self.queue)]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one attempt came to; `answered` if the host itself said it, so that it is known to live; `met` is False if not even a connection stood, whatever
    the letter. `scheme` is what it took in place of the other one.
    """

    judgement: Judgement
    answered: bool = False
    met: bool = True
    scheme: knock.Scheme | None = None


@dataclass(frozen=True, slots=True)
class _Result:
    lane: _Lane
    delivery: _Delivery
    attempt: _Attempt

    @property
    def is_well(self) -> bool:
        """It arrived at a host that never gave trouble, so there is nothing to tell but that."""
        return isinstance(self.attempt.judgement, Sent) and self.attempt.scheme is None and not self.lane.troubled


@dataclass(frozen=True, slots=True)
class _Done:
    lane: _Lane


CLAIMABLE: Final = """
select host.id, host.name, host.scheme, host.failures, host.lease_by
from host
where host.next_at <= :now
  and host.open_until <= :now
  and host.lease_until <= :now
  and host.failures between :least and :most
order by host.next_at, host.id
limit :limit
"""
"""To be followed by `database.for_update`."""

LEASE_HOST: Final = """
update host
set lease_until = :until, lease_by = :me
where id = :id
"""

# Of each ordering key the earliest alone; what has the same outgoing goes to several inboxes of the host and may go at once.
DUE: Final = """
select delivery.id, delivery.outgoing_id, delivery.inbox, delivery.ordering_key, delivery.attempts, delivery.refusals, delivery.created_at
from delivery
where delivery.host_id = :host_id
  and delivery.state = 'waiting'
  and delivery.next_at <= :due
  and delivery.lease_until <= :now
  and not exists (
    select 1
    from delivery as earlier
    where earlier.ordering_key = delivery.ordering_key
      and earlier.host_id = delivery.host_id
      and earlier.state = 'waiting'
      and earlier.outgoing_id < delivery.outgoing_id
  )
order by delivery.next_at, delivery.id
limit :limit
"""

LETTER: Final = """
select outgoing.id, outgoing.actor_id, outgoing.kind, outgoing.object, outgoing.uri, outgoing.confidential, outgoing.body
from outgoing
where outgoing.id = :id
"""

LEASE_DELIVERY: Final = """
update delivery
set lease_until = :until
where id = :id
  and state = 'waiting'
"""

KEEP_HOST: Final = """
update host
set lease_until = :until
where id = :id
  and lease_by = :me
"""

SENT: Final = """
update delivery
set state = 'sent', attempts = attempts + 1, finished_at = :now, lease_until = 0, error = null
where id = :id
  and state = 'waiting'
"""

LATER: Final = """
update delivery
set attempts = attempts + 1, refusals = :refusals, next_at = :next_at, lease_until = 0, error = :error
where id = :id
  and state = 'waiting'
"""

HELD: Final = """
update delivery
set next_at = :next_at, lease_until = 0, error = :error
where id = :id
  and state = 'waiting'
"""

DEAD: Final = """
update delivery
set state = 'dead', attempts = attempts + :attempts, finished_at = :now, lease_until = 0, error = :error
where id = :id
  and state = 'waiting'
"""

# Nobody was there: it keeps its place in the line, and the host rests.
KEEPS_ITS_PLACE: Final = """
update delivery
set attempts = attempts + 1, refusals = 0, lease_until = 0, error = :error
where id = :id
  and state = 'waiting'
"""

# The later ones wait with it: without this they would be due and blocked, and the host would be claimed for nothing, again and again.
PUT_OFF_LATER_ONES: Final = """
update delivery
set next_at = :next_at
where ordering_key = :ordering_key
  and host_id = :host_id
  and state = 'waiting'
  and outgoing_id > :outgoing_id
  and next_at < :next_at
"""

# A Delete came while this one was in flight, and it did not arrive: the Delete goes alone.
SUPERSEDED_MEANWHILE: Final = """
update delivery
set state = 'superseded', finished_at = :now
where id = :id
  and state = 'waiting'
  and exists (
    select 1
    from outgoing
    where outgoing.ordering_key = :ordering_key
      and outgoing.id > :outgoing_id
      and outgoing.kind = 'Delete'
  )
"""

ERASE_BODY: Final = """
update outgoing
set body = null
where id = :id
  and body is not null
  and not exists (
    select 1
    from delivery
    where delivery.outgoing_id = :id
      and delivery.state = 'waiting'
  )
"""

HOST_FAILED: Final = """
update host
set failures = failures + 1, failing_since = coalesce(failing_since, :now)
where id = :id
returning failures
"""

OPEN_BREAKER: Final = """
update host
set open_until = :until, down_since = coalesce(down_since, :now)
where id = :id
"""

HOLD: Final = """
update host
set open_until = :until
where id = :id
  and open_until < :until
"""

HOST_ANSWERED: Final = """
update host
set failures = 0, failing_since = null, open_until = 0, down_since = null
where id = :id
  and failures > 0
"""

# Back to the places they had: with one time for all what was never tried would go before what was, though it is younger.
REVIVE: Final = """
update delivery
set next_at = created_at
where host_id = :id
  and state = 'waiting'
  and next_at > created_at
"""

OVERDUE: Final = """
select delivery.id, delivery.outgoing_id
from delivery
where delivery.host_id = :host_id
  and delivery.state = 'waiting'
  and delivery.created_at <= :before
  and delivery.lease_until <= :now
order by delivery.id
limit 500
"""

RETURN_DELIVERY: Final = """
update delivery
set lease_until = 0
where id = :id
  and state = 'waiting'
"""

# Where the breaker is open it alone says when: a host that spoke to us meanwhile (`hosts.heard`) is tried at once.
RELEASE_HOST: Final = """
update host
set lease_until = 0, lease_by = null, next_at = (
  select case when host.failures >= :breaks and min(delivery.next_at) > :now then :now else min(delivery.next_at) end
  from delivery
  where delivery.host_id = host.id
    and delivery.state = 'waiting'
)
where id = :id
  and lease_by = :me
"""

NOT_BEFORE: Final = """
update host
set next_at = :least
where id = :id
  and next_at < :least
"""

SHARED: Final = """
select 1 as shared
from actor
where actor.host_id = :host_id
  and actor.shared_inbox = :inbox
limit 1
"""

PERSONAL_OF_FOLLOWERS: Final = """
select distinct actor.inbox
from follow
join actor on actor.id = follow.follower_id
where follow.followed_id = :actor_id
  and follow.state = 'accepted'
  and actor.shared_inbox = :inbox
  and actor.inbox <> :inbox
  and actor.state = 'active'
limit 1000
"""

PERSONAL_OF: Final = """
select actor.inbox
from actor
where actor.uri = :uri
  and actor.shared_inbox = :inbox
  and actor.inbox <> :inbox
  and actor.local = 0
  and actor.state = 'active'
"""

FALL_BACK: Final = """
insert into delivery (id, outgoing_id, host_id, inbox, ordering_key, state, created_at, next_at)
values (:id, :outgoing_id, :host_id, :inbox, :ordering_key, 'waiting', :created_at, :now)
on conflict (outgoing_id, inbox) do nothing
"""

LAST_ANSWERS: Final = """
select delivery.state, delivery.error
from delivery
where delivery.host_id = :host_id
  and delivery.inbox = :inbox
  and delivery.finished_at is not null
  and delivery.state in ('sent', 'dead')
order by delivery.finished_at desc, delivery.id desc
limit 3
"""

OWNERS: Final = """
select actor.*
from actor
where actor.inbox = :inbox
  and actor.local = 0
limit 2
"""

OWN_DELIVERIES: Final = """
update delivery
set lease_until = 0
where state = 'waiting'
  and lease_until > 0
  and host_id in (
    select host.id
    from host
    where host.lease_by = :me
  )
"""

OWN_HOSTS: Final = """
update host
set lease_until = 0, lease_by = null
where lease_by = :me
"""

MEND: Final = (
    """
update host
set lease_until = :leased
where lease_until > :leased
""",
    """
update host
set open_until = :now
where open_until > :far
""",
    """
update host
set next_at = :now
where next_at > :far
""",
    """
update delivery
set next_at = :now
where state = 'waiting'
  and next_at > :latest
""",
    """
update delivery
set lease_until = :leased
where state = 'waiting'
  and lease_until > :leased
""",
)


class Deliverer:
    """Sends what waits, of all hosts, until it is told to stop. One a process; any number of processes on one database."""

    def __init__(self, instance: "Instance") -> None:
        self._instance = instance
        self._me = secrets.token_hex(8)
        federation = instance.config.federation
        self._slots = federation.deliveries_at_once
        self._per_host = federation.per_host
        self._days = federation.retry_days
        # Beneath the connector's own cap (four times the slots, at least 256), so that nobody waits inside it; and more than 200 servers that hang at once.
        self._most_sockets = max(240, 3 * self._slots)
        self._most_bad = max(2, self._slots // 8)
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._begin()

    def _begin(self) -> None:
        self._lanes: dict[int, _Lane] = {}
        self._letters: dict[int, _Letter] = {}
        self._looked_at_bad = 0.0
        self._wanting = 0
        self._slot = asyncio.Semaphore(self._slots)
        self._socket = asyncio.Semaphore(self._most_sockets)
        self._outcomes: list[_Result | _Done] = []
        self._news = asyncio.Event()
        self._closing = False

    def wake(self) -> None:
        """Something may be due; call it on the event loop. Without it the next look is at most a second away."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set or `drain` is called, then ends as `drain` says. An error of the database's lets it end at once; run it again."""
        self._begin()
        self._stopping.clear()
        self._finished.clear()
        try:
            with Hand() as self._hand:
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
                    await instance.database.write(self._take_back)
                if offset is None or drift < offset - 1000:
                    # The first look, or the clock went back: what an earlier, later time wrote must not hold anybody up.
                    await instance.database.write(self._mend)
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

    async def _take_back(self, tx: Transaction) -> None:
        await tx.execute(OWN_DELIVERIES, me=self._me)
        await tx.execute(OWN_HOSTS, me=self._me)

    async def _mend(self, tx: Transaction) -> None:
        now = self._instance.clock.ms()
        for sql in MEND:
            values = {"leased": now + LEASE_MS, "far": now + LONGEST_WAIT, "latest": now + LONGEST_DELAY, "now": now}
            await tx.execute(sql, **{name: value for name, value in values.items() if f":{name}" in sql})

    async def _claim(self) -> Sequence[_Lane]:
        good = min(self._slots - self._wanting, self._most_sockets - len(self._lanes))
        if not self._roomy:
            good = 0
        bad = self._most_bad - sum(1 for lane in self._lanes.values() if lane.failures)
        # Every commit of anybody wakes us: what comes back after a failure is looked for a few times a second only, or when we look anyway.
        looks = asyncio.get_running_loop().time()
        if good <= 0 and looks < self._looked_at_bad + BREATH_S:
            bad = 0
        if good <= 0 and bad <= 0:
            return ()
        if bad > 0:
            self._looked_at_bad = looks
        held = {lane.host_id: lane.held for lane in self._lanes.values()}
        lanes = await self._instance.database.write(self._claim_hosts, max(good, 0), max(bad, 0), held, self._letters.copy())
        crashpoint("deliver:claimed")
        for lane in lanes:
            for delivery in lane.queue:
                letter = self._letters.setdefault(delivery.letter.id, delivery.letter)
                letter.here += 1
        return lanes

    @property
    def _roomy(self) -> bool:
        """Whether enough places are free: with a few among many it pays to wait for more of them, since a claim is a write."""
        return not self._wanting or (self._slots - self._wanting) * 4 >= self._slots

    async def _claim_hosts(self, tx: Transaction, good: int, bad: int, held: Mapping[int, Sequence[int]], letters: dict[int, _Letter]) -> list[_Lane]:
        now = self._instance.clock.ms()
        lanes: list[_Lane] = []
        empty: list[int] = []
        ours: list[int] = []
        for limit, least, most in ((good, 0, 0), (bad, 1, 2**31)):
            if limit == 0:
                continue
            rows = await tx.all(CLAIMABLE + self._instance.database.for_update, now=now, least=least, most=most, limit=limit)
            for row in rows:
                if row["lease_by"] == self._me and row["id"] in held:
                    # The clock jumped over our lease while we are still at it: a second lane would send twice and overtake the first.
                    ours.append(row["id"])
                    continue
                broken = row["failures"] >= BREAKS_AFTER
                # One probe a rest: of a host whose breaker is half-open the first in line goes, whenever it was put off to.
                due = await tx.all(DUE, host_id=row["id"], now=now, due=2**62 if broken else now, limit=1 if broken else AT_A_TIME)
                if not due:
                    empty.append(row["id"])
                    continue
                queue = deque[_Delivery]()
                for found in due:
                    letter_id = int(found["outgoing_id"])
                    if letter_id not in letters:
                        letters[letter_id] = await _letter(tx, letter_id)
                    queue.append(_delivery(found, letters[letter_id]))
                lanes.append(_Lane(row["id"], row["name"], cast(knock.Scheme, row["scheme"]), row["failures"], queue, troubled=row["failures"] > 0))
        until = now + LEASE_MS
        if lanes:
            await tx.many(LEASE_HOST, [{"id": lane.host_id, "until": until, "me": self._me} for lane in lanes])
            await tx.many(LEASE_DELIVERY, [{"id": delivery.id, "until": until} for lane in lanes for delivery in lane.queue])
        if ours:
            await self._keep(tx, [(host_id, held[host_id]) for host_id in ours])
        crashpoint("deliver:claiming")
        for host_id in empty:
            await tx.execute(LEASE_HOST, id=host_id, until=until, me=self._me)
            await self._release(tx, [host_id], now)
            await tx.execute(NOT_BEFORE, id=host_id, least=now + 1000)
        return lanes

    async def _release(self, tx: Transaction, host_ids: Sequence[int], now: int) -> None:
        await tx.many(RELEASE_HOST, [{"id": host_id, "now": now, "breaks": BREAKS_AFTER, "me": self._me} for host_id in host_ids])

    # --- flying

    async def _fly(self, lane: _Lane) -> None:
        """Sends what the claim gave: one alone first, so that a host that hangs holds one socket; then as many at once as a host gets."""
        try:
            await self._next(lane)
            if lane.queue and not lane.stopped:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(1 if lane.failures or self._is_late(lane) else self._per_host):
                        tasks.create_task(self._rest(lane))
        finally:
            self._note(_Done(lane))

    def _is_late(self, lane: _Lane) -> bool:
        """Whether the host catches up on what it missed: that goes one by one, since two at once may arrive the wrong way round."""
        return lane.queue[0].created_at < self._instance.clock.ms() - LATE_MS

    async def _rest(self, lane: _Lane) -> None:
        while lane.queue and not lane.stopped:
            await self._next(lane)

    async def _next(self, lane: _Lane) -> None:
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
        self._note(_Result(lane, delivery, attempt))

    async def _in_a_slot(self, lane: _Lane, delivery: _Delivery) -> _Attempt | None:
        if lane.failures:
            return await self._send(lane, delivery)
        self._wanting += 1
        async with self._socket:
            await self._slot.acquire()
            gave = False

            def give_back() -> None:
                nonlocal gave
                if not gave:
                    gave = True
                    self._slot.release()
                    self._wanting -= 1
                    if self._roomy:
                        self._woken.set()

            early = asyncio.get_running_loop().call_later(EARLY_S, give_back)
            try:
                return await self._send(lane, delivery)
            finally:
                early.cancel()
                give_back()

    async def _send(self, lane: _Lane, delivery: _Delivery) -> _Attempt | None:
        """One attempt; None if it could not be made (the vault was locked meanwhile)."""
        instance = self._instance
        try:
            key = await self._key(delivery)
            body = delivery.letter.open(instance.vault)
            if delivery.letter.confidential:
                wrapped = await confidential.wrap(instance, lane.host_id, delivery.letter.uri, body)
                if isinstance(wrapped, confidential.Waits):
                    return _Attempt(Again(wrapped.why, failure=False) if wrapped.later else Held(wrapped.why))
                body = wrapped
            url = await self._address(delivery)
        except Locked:
            return None
        except NoKey:
            return _Attempt(Gone("its sender has no key any more"))
        except Tampered:
            log.error("deliver.tampered", outgoing=delivery.letter.id)
            return _Attempt(Gone("its body was not sealed here"))
        if url is None:
            return _Attempt(Gone("its inbox is not known any more"))
        crashpoint("deliver:opened")
        headers = await self._headers(lane, delivery, body)
        took: knock.Scheme | None = None
        for _ in range(MOST_HOPS):
            # Asked at the last moment: a peer that was cut off a second ago gets nothing more.
            verdict = trust.verdict(instance, lane.host, "deliver")
            if not verdict.allowed:
                return _Attempt(Gone(verdict.why))
            answer = await self._post(key, url, body, lane.scheme, headers)
            if isinstance(answer, Fetched) and answer.status in knock.REFUSED:
                answer, took = await self._knock_again(lane, key, url, body, answer, headers)
            if isinstance(answer, Unreachable):
                return _Attempt(unreachable(answer.why), met=answer.connected)
            if isinstance(answer, Refused):
                return _Attempt(Gone(answer.why))
            onward = urljoin(url, answer.headers.get("location", "")) if answer.status in {307, 308} else url
            if onward == url or not hosts.same_origin(onward, url):
                asked = retry_after(answer.headers.get("retry-after"), instance.clock.ms())
                return _Attempt(judge(answer.status, retry_after_ms=asked, refusals=delivery.refusals), answered=True, scheme=took)
            url = onward
        return _Attempt(Gone("redirected too often"), answered=True, scheme=took)

    async def _address(self, delivery: _Delivery) -> str | None:
        """Where to POST it: the address itself stands nowhere in clear where it would name a follower."""
        if not delivery.inbox.startswith(quiet.SEALED):
            return delivery.inbox
        return await self._instance.database.read(quiet.address, self._instance, delivery.inbox)

    async def _key(self, delivery: _Delivery) -> PrivateKey:
        """The current key (F39); but where an actor tells of itself the oldest still in force, so that a new key comes signed with the one that others know."""
        instance = self._instance
        letter = delivery.letter
        key = await instance.keys.private(instance, letter.actor_id)
        if letter.kind == "Update" and letter.object == key.uri.partition("#")[0]:
            return await instance.keys.oldest(instance, letter.actor_id)
        return key

    async def _headers(self, lane: _Lane, delivery: _Delivery, body: bytes) -> Mapping[str, str]:
        """The headers to send it with; beside what is for followers, how many we believe to have there (FEP-8fcf), as it is now."""
        if delivery.letter.kind not in FOR_FOLLOWERS or b'/followers"' not in body or documents.ADDRESSES_ALL in body:
            return HEADERS
        told = await self._instance.database.read(_synchronisation, delivery.letter.actor_id, lane.host_id, body)
        return HEADERS if told is None else {**HEADERS, synchronisation.HEADER: told}

    async def _post(self, key: PrivateKey, url: str, body: bytes, scheme: knock.Scheme, extra: Mapping[str, str]) -> Fetched | Unreachable | Refused:
        # Signed at the last moment (F38): the Date is fresh.
        try:
            headers = await self._hand.do(partial(knock.sign, scheme, key, "POST", url, extra, body, self._instance.clock.now()))
        except hosts.BadUrl as error:
            return Refused(f"its inbox is no address: {error}")
        crashpoint("deliver:signed")
        answer = await self._instance.network.post(url, body, headers)
        crashpoint("deliver:answered")
        return answer

    async def _knock_again(
        self, lane: _Lane, key: PrivateKey, url: str, body: bytes, first: Fetched, headers: Mapping[str, str]
    ) -> tuple[Fetched, knock.Scheme | None]:
        """The answer to the same body signed the other way, and that way if it was read; else the answer that speaks of what may mend itself."""
        scheme = knock.other(lane.scheme)
        second = await self._post(key, url, body, scheme, headers)
        if isinstance(second, Fetched) and knock.taken(second.status):
            lane.scheme = scheme
            return second, scheme
        # 401 also means that our actor cannot be fetched just now; a 400 for a scheme that is not read there must not end it.
        return second if isinstance(second, Fetched) and second.status == 401 else first, None

    # --- what came of it

    def _note(self, outcome: _Result | _Done) -> None:
        self._outcomes.append(outcome)
        self._news.set()

    async def _write_outcomes(self) -> None:
        """Writes what came of deliveries; while one write is on its way the next batch gathers."""
        while True:
            await self._news.wait()
            self._news.clear()
            batch, self._outcomes = self._outcomes, []
            last = self._let_go(batch)
            while batch:
                try:
                    crashpoint("deliver:noting")
                    await self._instance.database.write(self._record, batch, last)
                    crashpoint("deliver:noted")
                except Unavailable as error:
                    # Nothing is forgotten: the leases run, and what is not written is written later or sent again.
                    log.warning("deliver.no-database", why=str(error))
                    await asyncio.sleep(POLL_S)
                    continue
                break
            for item in batch:
                if isinstance(item, _Done):
                    self._lanes.pop(item.lane.host_id, None)
            if batch:
                self._woken.set()
            if self._closing and not self._outcomes:
                return

    def _let_go(self, batch: Sequence[_Result | _Done]) -> Sequence[int]:
        """Forgets the deliveries of a batch; gives the letters of which none is left in hand here. Only then is it worth asking whether any waits at all."""
        last: dict[int, None] = {}
        for item in batch:
            for delivery in (item.delivery,) if isinstance(item, _Result) else item.lane.queue:
                letter = delivery.letter
                letter.here -= 1
                if letter.here == 0:
                    self._letters.pop(letter.id, None)
                    last[letter.id] = None
        return tuple(last)

    async def _record(self, tx: Transaction, batch: Sequence[_Result | _Done], last: Sequence[int]) -> None:
        now = self._instance.clock.ms()
        touched = dict.fromkeys(last)
        # Nearly all is well, and then one statement tells it of all.
        well = [item for item in batch if isinstance(item, _Result) and item.is_well]
        if well:
            await tx.many(SENT, [{"id": item.delivery.id, "now": now} for item in well])
            crashpoint("deliver:sent")
            log.debug("deliver.sent", deliveries=len(well))
        for item in batch:
            if isinstance(item, _Result) and not item.is_well:
                await self._record_one(tx, item, now, touched)
        done = [item.lane for item in batch if isinstance(item, _Done)]
        if back := [{"id": delivery.id} for lane in done for delivery in lane.queue]:
            await tx.many(RETURN_DELIVERY, back)
        if done:
            crashpoint("deliver:releasing")
            await self._release(tx, [lane.host_id for lane in done], now)
        crashpoint("deliver:recorded")
        for outgoing_id in touched:
            await tx.execute(ERASE_BODY, id=outgoing_id)

    async def _record_one(self, tx: Transaction, result: _Result, now: int, touched: dict[int, None]) -> None:
        lane, delivery = result.lane, result.delivery
        if result.attempt.scheme is not None:
            await knock.keep(tx, lane.host_id, result.attempt.scheme)
        if isinstance(result.attempt.judgement, Held):
            at_ms = await confidential.held_until(tx, lane.host_id, now)
            await tx.execute(HELD, id=delivery.id, next_at=at_ms, error=result.attempt.judgement.why)
            await tx.execute(PUT_OFF_LATER_ONES, ordering_key=delivery.ordering_key, host_id=lane.host_id, outgoing_id=delivery.letter.id, next_at=at_ms)
            return
        attempts, jitter = delivery.attempts + 1, secrets.randbelow(1000) / 1000
        came: Outcome = outcome(result.attempt.judgement, attempts=attempts, first_ms=delivery.created_at, now_ms=now, jitter=jitter, days=self._days)
        rest = 0
        if not isinstance(came, Sent) and came.failure:
            rest = await self._failed(tx, lane, now, touched, met=result.attempt.met)
        elif result.attempt.answered:
            await self._answered(tx, lane, now)
        match came:
            case Sent():
                await tx.execute(SENT, id=delivery.id, now=now)
                log.debug("deliver.sent", delivery=delivery.id)
            case Later():
                at_ms = now + rest if rest else came.at_ms
                if came.hold:
                    await tx.execute(HOLD, id=lane.host_id, until=at_ms)
                await self._put_off(tx, lane, delivery, at_ms if result.attempt.met else None, came, now)
            case Gone():
                await self._give_up(tx, lane.host_id, delivery.id, delivery.letter.id, came.why, now, touched, attempts=1)
                if came.inbox_gone:
                    await self._inbox_gone(tx, lane, delivery, now)
            case never:
                assert_never(never)

    async def _put_off(self, tx: Transaction, lane: _Lane, delivery: _Delivery, at_ms: int | None, later: Later, now: int) -> None:
        """Waits until `at_ms` with what comes behind it of the same key, or with the whole line if that is None."""
        key = delivery.ordering_key
        if await tx.execute(SUPERSEDED_MEANWHILE, id=delivery.id, ordering_key=key, outgoing_id=delivery.letter.id, now=now):
            return
        if at_ms is None:
            await tx.execute(KEEPS_ITS_PLACE, id=delivery.id, error=later.why)
            return
        await tx.execute(LATER, id=delivery.id, next_at=at_ms, error=later.why, refusals=delivery.refusals + 1 if later.refused else 0)
        await tx.execute(PUT_OFF_LATER_ONES, ordering_key=key, host_id=lane.host_id, outgoing_id=delivery.letter.id, next_at=at_ms)
        crashpoint("deliver:later")
        log.debug("deliver.later", delivery=delivery.id, why=later.why)

    async def _answered(self, tx: Transaction, lane: _Lane, now: int) -> None:
        """The host lives: its streak of failures ends, and what was put off because of it goes now."""
        if await tx.execute(HOST_ANSWERED, id=lane.host_id):
            await tx.execute(REVIVE, id=lane.host_id, now=now)
            log.info("host.revived", host=lane.host_id)

    async def _failed(self, tx: Transaction, lane: _Lane, now: int, touched: dict[int, None], *, met: bool) -> int:
        """Counts a failure, opens the breaker at the fifth, gives up what is older than all retries; how long the host rests now, 0 if it does not."""
        row = await tx.one(HOST_FAILED, id=lane.host_id, now=now)
        failures, jitter = 0 if row is None else int(row["failures"]), secrets.randbelow(1000) / 1000
        rest = rest_ms(failures, jitter)
        if not rest and not met:
            # Nobody lives there just now: everything waits, so that what is first in line is also what finds the host back.
            await tx.execute(HOLD, id=lane.host_id, until=now + wait_ms(failures, jitter))
        if rest:
            await tx.execute(OPEN_BREAKER, id=lane.host_id, until=now + rest, now=now)
            crashpoint("deliver:resting")
            log.info("host.resting", host=lane.host_id, seconds=rest // 1000)
        # Behind an open breaker nothing is tried, so nothing is counted: age alone ends it, but only when the host failed again just now. A clock that
        # jumped, or a server that was off for a month, gives nothing up untried.
        for overdue in await tx.all(OVERDUE, host_id=lane.host_id, before=now - self._days * DAY, now=now):
            why = f"the host did not answer for {self._days} days"
            await self._give_up(tx, lane.host_id, overdue["id"], overdue["outgoing_id"], why, now, touched, attempts=0)
        return rest

    async def _give_up(
        self, tx: Transaction, host_id: int, delivery_id: int, outgoing_id: int, why: str, now: int, touched: dict[int, None], *, attempts: int
    ) -> None:
        touched[outgoing_id] = None
        if await tx.execute(DEAD, id=delivery_id, error=why, now=now, attempts=attempts):
            await self._instance.tell(tx, DeliveryGaveUp(delivery_id, host_id, why))
            crashpoint("deliver:dead")
            log.info("deliver.gave-up", delivery=delivery_id, host=host_id, why=why)

    async def _inbox_gone(self, tx: Transaction, lane: _Lane, delivery: _Delivery, now: int) -> None:
        """A 410. Of a shared inbox: once more to the personal ones. Of a personal one, three times in a row: its owner follows nobody here any more."""
        shared = await tx.one(SHARED, host_id=lane.host_id, inbox=delivery.inbox) is not None
        if shared:
            await self._fall_back(tx, lane, delivery, now)
        answers = await tx.all(LAST_ANSWERS, host_id=lane.host_id, inbox=delivery.inbox)
        if len(answers) < GONE_AFTER or any(row["state"] != "dead" or row["error"] != "answered 410" for row in answers):
            return
        await quiet.lost(tx, lane.host_id, delivery.inbox)
        if shared:
            return
        owners = [known.from_row(row) for row in await tx.all(OWNERS, inbox=delivery.inbox)]
        if len(owners) != 1:
            return
        owner = owners[0]
        for followed in await follows.following(tx, owner.id):
            if followed.local:
                # As if it had said so itself, which it no longer can.
                follow = Follow(id=None, actor=owner.uri, object=followed.uri)
                await follows.undone(tx, self._instance, owner, Undo(id=None, actor=owner.uri, object=follow))
        log.info("follower.gone", actor=owner.id)

    async def _fall_back(self, tx: Transaction, lane: _Lane, delivery: _Delivery, now: int) -> None:
        inboxes = {str(row["inbox"]) for row in await tx.all(PERSONAL_OF_FOLLOWERS, actor_id=delivery.letter.actor_id, inbox=delivery.inbox)}
        for uri in self._addressed(delivery):
            row = await tx.one(PERSONAL_OF, uri=uri, inbox=delivery.inbox)
            if row is not None:
                inboxes.add(str(row["inbox"]))
        for inbox in sorted(inboxes):
            await tx.execute(
                FALL_BACK,
                id=self._instance.ids.new(),
                outgoing_id=delivery.letter.id,
                host_id=lane.host_id,
                inbox=inbox,
                ordering_key=delivery.ordering_key,
                created_at=delivery.created_at,
                now=now,
            )

    def _addressed(self, delivery: _Delivery) -> list[str]:
        try:
            activity = json.loads(self._instance.vault.open(delivery.letter.body, f"outgoing:{delivery.letter.id}"))
        except (Locked, Tampered):
            return []
        return [str(uri) for field in ("to", "cc") for uri in activity.get(field, ())][:100]

    # --- leases

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            lanes = [(lane.host_id, lane.held) for lane in self._lanes.values()]
            if not lanes:
                continue
            try:
                await self._instance.database.write(self._keep, lanes)
            except Unavailable as error:
                log.warning("deliver.no-database", why=str(error))

    async def _keep(self, tx: Transaction, lanes: Sequence[tuple[int, Sequence[int]]]) -> None:
        until = self._instance.clock.ms() + LEASE_MS
        await tx.many(KEEP_HOST, [{"id": host_id, "until": until, "me": self._me} for host_id, _ in lanes])
        kept = [{"id": delivery_id, "until": until} for _, delivery_ids in lanes for delivery_id in delivery_ids]
        if kept:
            await tx.many(LEASE_DELIVERY, kept)


async def _synchronisation(tx: Transaction, actor_id: int, host_id: int, body: bytes) -> str | None:
    """FEP-8fcf's header for what is addressed to the followers of its sender; None for everything else."""
    sender = await known.by_id(tx, actor_id)
    if sender is None or sender.followers is None or b'"%s"' % sender.followers.encode() not in body:
        return None
    return await synchronisation.header(tx, sender, host_id)


async def _letter(tx: Transaction, letter_id: int) -> _Letter:
    row = await tx.one(LETTER, id=letter_id)
    if row is None:
        raise LookupError(f"outgoing {letter_id} has deliveries and is not there")
    return _Letter(row["id"], row["actor_id"], row["kind"], Iri(row["object"]), Iri(row["uri"]), bool(row["confidential"]), bytes(row["body"] or b""))


def _delivery(row: Row, letter: _Letter) -> _Delivery:
    return _Delivery(
        id=row["id"],
        letter=letter,
        inbox=Iri(row["inbox"]),
        ordering_key=row["ordering_key"],
        attempts=row["attempts"],
        refusals=row["refusals"],
        created_at=row["created_at"],
    )


# --- what there is to see


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
    """Gives up everything that waits for a host, or for one inbox of it, now and with the reason `why`; how many. What is in flight may still arrive."""
    if inbox is None:
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
    return gone + await tx.execute(OLD_OUTGOING, before=now_ms - KEPT["sent"])
