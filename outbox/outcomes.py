"""What came of it? The outcomes of a batch of attempts, written in one transaction: sent, later, dead, and what that says about the host."""

import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never

import structlog

from actors import follows, known, quiet
from actors.signatures import knock
from actors.vault import Locked, Tampered
from outbox import confidential
from outbox.backoff import DAY, Gone, Held, Later, Outcome, Sent, outcome, rest_ms, wait_ms
from outbox.claims import Claims, each, listed
from outbox.lanes import Delivery, Done, Lane, Result
from schemas.activities import Follow, Undo
from schemas.crashpoint import crashpoint
from schemas.events import DeliveryGaveUp, InboxMoved
from schemas.reading import Iri
from schemas.storage import Transaction, unheard

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

GONE_AFTER: Final = 3
"""So often in a row a personal inbox answers 410 before its owner stops being a follower; one 410 may be somebody's upgrade."""

SENT: Final = f"""
update delivery
set state = 'sent', attempts = attempts + 1, finished_at = :now, lease_until = 0, error = null
where id in ({listed()})
  and state = 'waiting'
"""  # noqa: S608  # names of values, made here

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


class Outcomes:
    """Writes down what came of deliveries."""

    def __init__(self, instance: "Instance", claims: Claims) -> None:
        self._instance, self._claims = instance, claims

    @unheard
    async def record_well(self, tx: Transaction, batch: Sequence[Result | Done], last: Sequence[int]) -> bool:
        """As `record`, where there is nothing to tell but that all of it arrived; nobody needs to hear of that."""
        return await self.record(tx, batch, last)

    async def record(self, tx: Transaction, batch: Sequence[Result | Done], last: Sequence[int]) -> bool:
        """Writes a batch down; `last` are the letters of which none is left in hand here. Gives whether more is due of anybody."""
        now = self._instance.clock.ms()
        touched = dict.fromkeys(last)
        # Nearly all is well, and then one statement tells it of all.
        well = [item for item in batch if isinstance(item, Result) and item.is_well]
        if well:
            await each(tx, SENT, [item.delivery.id for item in well], now=now)
            crashpoint("deliver:sent")
            log.debug("deliver.sent", deliveries=len(well))
        for item in batch:
            if isinstance(item, Result) and not item.is_well:
                await self._record_one(tx, item, now, touched)
        done = [item.lane for item in batch if isinstance(item, Done)]
        if back := [{"id": delivery.id} for lane in done for delivery in lane.queue]:
            await tx.many(RETURN_DELIVERY, back)
        if done:
            crashpoint("deliver:releasing")
            await self._claims.release(tx, [lane.host_id for lane in done], now)
        crashpoint("deliver:recorded")
        for outgoing_id in touched:
            await tx.execute(ERASE_BODY, id=outgoing_id)
        return await self._claims.more(tx, now)

    async def _record_one(self, tx: Transaction, result: Result, now: int, touched: dict[int, None]) -> None:
        lane, delivery = result.lane, result.delivery
        if result.attempt.scheme is not None:
            await knock.keep(tx, lane.host_id, result.attempt.scheme)
        if isinstance(result.attempt.judgement, Held):
            at_ms = await confidential.held_until(tx, lane.host_id, now)
            await tx.execute(HELD, id=delivery.id, next_at=at_ms, error=result.attempt.judgement.why)
            await tx.execute(PUT_OFF_LATER_ONES, ordering_key=delivery.ordering_key, host_id=lane.host_id, outgoing_id=delivery.letter.id, next_at=at_ms)
            return
        attempts, jitter, days = delivery.attempts + 1, secrets.randbelow(1000) / 1000, self._instance.config.federation.retry_days
        came: Outcome = outcome(result.attempt.judgement, attempts=attempts, first_ms=delivery.created_at, now_ms=now, jitter=jitter, days=days)
        rest = 0
        if not isinstance(came, Sent) and came.failure:
            rest = await self._failed(tx, lane, now, touched, met=result.attempt.met)
        elif result.attempt.answered:
            await self._answered(tx, lane, now)
        match came:
            case Sent():
                await each(tx, SENT, [delivery.id], now=now)
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
                # Of whom a Service keeps no more than a hash we keep no document that could be read anew.
                if came.inbox_moved and not delivery.inbox.startswith(quiet.SEALED):
                    await self._instance.tell(tx, InboxMoved(lane.host_id, Iri(delivery.inbox)))
            case never:
                assert_never(never)

    async def _put_off(self, tx: Transaction, lane: Lane, delivery: Delivery, at_ms: int | None, later: Later, now: int) -> None:
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

    async def _answered(self, tx: Transaction, lane: Lane, now: int) -> None:
        """The host lives: its streak of failures ends, and what was put off because of it goes now."""
        if await tx.execute(HOST_ANSWERED, id=lane.host_id):
            await tx.execute(REVIVE, id=lane.host_id, now=now)
            log.info("host.revived", host=lane.host_id)

    async def _failed(self, tx: Transaction, lane: Lane, now: int, touched: dict[int, None], *, met: bool) -> int:
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
        days = self._instance.config.federation.retry_days
        for overdue in await tx.all(OVERDUE, host_id=lane.host_id, before=now - days * DAY, now=now):
            why = f"the host did not answer for {days} days"
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

    async def _inbox_gone(self, tx: Transaction, lane: Lane, delivery: Delivery, now: int) -> None:
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

    async def _fall_back(self, tx: Transaction, lane: Lane, delivery: Delivery, now: int) -> None:
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

    def _addressed(self, delivery: Delivery) -> list[str]:
        try:
            activity = json.loads(self._instance.vault.open(delivery.letter.body, f"outgoing:{delivery.letter.id}"))
        except (Locked, Tampered):
            return []
        return [str(uri) for field in ("to", "cc") for uri in activity.get(field, ())][:100]
