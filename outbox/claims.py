"""Whose turn is it? Hosts are leased with what goes out first of each; a lease that is not renewed lets another process take over."""

from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from actors.signatures import knock
from outbox.backoff import BREAKS_AFTER, DAY, HOUR
from outbox.lanes import Delivery, Lane, Letter
from schemas.crashpoint import crashpoint
from schemas.reading import Iri, Row
from schemas.storage import Transaction, Value, fleeting

if TYPE_CHECKING:
    from actors.instance import Instance

LEASE_MS: Final = 45_000
"""After a kill -9 others take a host over this much later (they must within 60 s)."""
AT_A_TIME: Final = 16
"""Deliveries of one host taken with one claim."""
LONGEST_WAIT: Final = DAY + HOUR
"""Nothing is ever put off further than this; what lies further ahead was written by a clock that was wrong."""
LONGEST_DELAY: Final = 3 * DAY + HOUR
"""What waits on purpose (`not_before`) waits no longer; a delivery that is due later was written by a clock that was wrong."""

CLAIMABLE: Final = """
select host.id, host.name, host.scheme, host.failures, host.lease_by, host.next_at
from host
where host.next_at <= :now
  and host.open_until <= :now
  and host.lease_until <= :now
  and host.failures between :least and :most
order by host.next_at, host.id
limit :limit
"""
"""To be followed by `database.for_update`."""

ANY_CLAIMABLE: Final = """
select 1 as claimable
from host
where host.next_at <= :now
  and host.open_until <= :now
  and host.lease_until <= :now
limit 1
"""

MANY: Final = 64
"""So many rows one statement is about: a claim leases as many, and a statement for each costs more than what it does."""


def places(ids: Sequence[int], name: str = "id") -> dict[str, Value]:
    """At most `MANY` ids as the values `:id_0` to `:id_63`; what is not there fills the places that are left."""
    return {f"{name}_{number}": ids[number] if number < len(ids) else -1 for number in range(MANY)}


def listed(name: str = "id") -> str:
    """What stands in the parentheses of an `in`, for `places`."""
    return ", ".join(f":{name}_{number}" for number in range(MANY))


async def each(tx: Transaction, sql: str, ids: Sequence[int], **values: Value) -> None:
    """Runs a statement that ends in `in (listed())` for all these ids."""
    for first in range(0, len(ids), MANY):
        await tx.execute(sql, **places(ids[first : first + MANY]), **values)


LEASE_HOSTS: Final = f"""
update host
set lease_until = :until, lease_by = :me
where id in ({listed()})
"""  # noqa: S608  # names of values, made here

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

FRESH_MS: Final = 60_000
"""What became due within this time is little, and is looked up for many hosts with one query; a backlog is not: the query would sort all of it."""

DUE_OF_MANY: Final = f"""
select due.*
from (
  select delivery.host_id, delivery.id, delivery.outgoing_id, delivery.inbox, delivery.ordering_key, delivery.attempts, delivery.refusals, delivery.created_at,
    row_number() over (partition by delivery.host_id order by delivery.next_at, delivery.id) as place
  from delivery
  where delivery.host_id in ({listed("host")})
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
) as due
where due.place <= :limit
order by due.host_id, due.place
"""  # noqa: S608  # names of values, made here

LETTER: Final = """
select outgoing.id, outgoing.actor_id, outgoing.kind, outgoing.object, outgoing.uri, outgoing.confidential, outgoing.body
from outgoing
where outgoing.id = :id
"""

LEASE_DELIVERIES: Final = f"""
update delivery
set lease_until = :until
where id in ({listed()})
  and state = 'waiting'
"""  # noqa: S608  # names of values, made here

KEEP_HOSTS: Final = f"""
update host
set lease_until = :until
where id in ({listed()})
  and lease_by = :me
"""  # noqa: S608  # names of values, made here

# Where the breaker is open it alone says when: a host that spoke to us meanwhile (`hosts.heard`) is tried at once.
RELEASE_HOSTS: Final = f"""
update host
set lease_until = 0, lease_by = null, next_at = (
  select case when host.failures >= :breaks and min(delivery.next_at) > :now then :now else min(delivery.next_at) end
  from delivery
  where delivery.host_id = host.id
    and delivery.state = 'waiting'
)
where id in ({listed()})
  and lease_by = :me
"""  # noqa: S608  # names of values, made here

NOT_BEFORE: Final = """
update host
set next_at = :least
where id = :id
  and next_at < :least
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


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim gave, and whether more may be due. `ours` are in hand here already, and their leases are over."""

    lanes: Sequence[Lane]
    more: bool
    ours: Sequence[int]


class Claims:
    """The leases of one process, which is called `me`."""

    def __init__(self, instance: "Instance", me: str) -> None:
        self._instance, self._me = instance, me

    async def take_back(self, tx: Transaction) -> None:
        """Gives free what was leased under our name before; after an error that is in nobody's hands."""
        await tx.execute(OWN_DELIVERIES, me=self._me)
        await tx.execute(OWN_HOSTS, me=self._me)

    async def mend(self, tx: Transaction) -> None:
        """Corrects times that a clock wrote which was wrong."""
        now = self._instance.clock.ms()
        for sql in MEND:
            values = {"leased": now + LEASE_MS, "far": now + LONGEST_WAIT, "latest": now + LONGEST_DELAY, "now": now}
            await tx.execute(sql, **{name: value for name, value in values.items() if f":{name}" in sql})

    @fleeting
    async def hosts(self, tx: Transaction, good: int, bad: int, held: Set[int], letters: dict[int, Letter]) -> "Claimed":
        """Leases hosts that are due: at most `good` that never failed, and `bad` that did; with what goes out first of each.

        `held` are the hosts in hand here, `letters` what is open already.
        """
        now = self._instance.clock.ms()
        lanes: list[Lane] = []
        empty: list[int] = []
        ours: list[int] = []
        claimed: list[Row] = []
        more = False
        for limit, least, most in ((good, 0, 0), (bad, 1, 2**31)):
            if limit == 0:
                continue
            rows = await tx.all(CLAIMABLE + self._instance.database.for_update, now=now, least=least, most=most, limit=limit)
            more = more or len(rows) >= limit
            for row in rows:
                if row["lease_by"] == self._me and row["id"] in held:
                    # The clock jumped over our lease while we are still at it: a second lane would send twice and overtake the first.
                    ours.append(row["id"])
                else:
                    claimed.append(row)
        due = await self._due(tx, claimed, now)
        for row in claimed:
            if not due[row["id"]]:
                empty.append(row["id"])
                continue
            queue = deque[Delivery]()
            for found in due[row["id"]]:
                letter_id = int(found["outgoing_id"])
                if letter_id not in letters:
                    letters[letter_id] = await _letter(tx, letter_id)
                queue.append(_delivery(found, letters[letter_id]))
            lanes.append(Lane(row["id"], row["name"], cast(knock.Scheme, row["scheme"]), row["failures"], queue, troubled=row["failures"] > 0))
        until = now + LEASE_MS
        if lanes:
            await each(tx, LEASE_HOSTS, [lane.host_id for lane in lanes], until=until, me=self._me)
            await each(tx, LEASE_DELIVERIES, [delivery.id for lane in lanes for delivery in lane.queue], until=until)
        crashpoint("deliver:claiming")
        if empty:
            await each(tx, LEASE_HOSTS, empty, until=until, me=self._me)
            await self.release(tx, empty, now)
        for host_id in empty:
            await tx.execute(NOT_BEFORE, id=host_id, least=now + 1000)
        return Claimed(lanes, more, ours)

    async def _due(self, tx: Transaction, claimed: Sequence[Row], now: int) -> dict[int, Sequence[Row]]:
        """What goes out first of each host."""
        due: dict[int, Sequence[Row]] = {}
        fresh = [int(row["id"]) for row in claimed if row["failures"] < BREAKS_AFTER and row["next_at"] > now - FRESH_MS]
        for first in range(0, len(fresh) if len(fresh) > 1 else 0, MANY):
            several = fresh[first : first + MANY]
            found: dict[int, list[Row]] = {host_id: [] for host_id in several}
            for row in await tx.all(DUE_OF_MANY, now=now, due=now, limit=AT_A_TIME, **places(several, "host")):
                found[row["host_id"]].append(row)
            due.update(found)
        for row in claimed:
            if row["id"] not in due:
                broken = row["failures"] >= BREAKS_AFTER
                # One probe a rest: of a host whose breaker is half-open the first in line goes, whenever it was put off to.
                due[row["id"]] = await tx.all(DUE, host_id=row["id"], now=now, due=2**62 if broken else now, limit=1 if broken else AT_A_TIME)
        return due

    async def release(self, tx: Transaction, host_ids: Sequence[int], now: int) -> None:
        """Gives hosts back, each due when the first of what still waits for it is."""
        await each(tx, RELEASE_HOSTS, host_ids, now=now, breaks=BREAKS_AFTER, me=self._me)

    async def more(self, tx: Transaction, now: int) -> bool:
        """Whether any host is due that nobody has in hand."""
        return await tx.one(ANY_CLAIMABLE, now=now) is not None

    @fleeting
    async def keep(self, tx: Transaction, lanes: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Renews the leases of hosts and of their deliveries in hand."""
        until = self._instance.clock.ms() + LEASE_MS
        await each(tx, KEEP_HOSTS, [host_id for host_id, _ in lanes], until=until, me=self._me)
        await each(tx, LEASE_DELIVERIES, [delivery_id for _, delivery_ids in lanes for delivery_id in delivery_ids], until=until)


async def _letter(tx: Transaction, letter_id: int) -> Letter:
    row = await tx.one(LETTER, id=letter_id)
    if row is None:
        raise LookupError(f"outgoing {letter_id} has deliveries and is not there")
    return Letter(row["id"], row["actor_id"], row["kind"], Iri(row["object"]), Iri(row["uri"]), bool(row["confidential"]), bytes(row["body"] or b""))


def _delivery(row: Row, letter: Letter) -> Delivery:
    return Delivery(
        id=row["id"],
        letter=letter,
        inbox=Iri(row["inbox"]),
        ordering_key=row["ordering_key"],
        attempts=row["attempts"],
        refusals=row["refusals"],
        created_at=row["created_at"],
    )
