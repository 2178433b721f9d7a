"""How much is here, how much waits, what failed? The numbers of `fedmatch status`, no names."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from actors import trust
from fedmatch import control
from fedmatch.safety import border
from fedmatch.safety.border import Held
from inbox import arrivals
from outbox import departures
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

HERE: Final = """
select
  (select count(*) from actor where actor.local = 1 and actor.kind <> 'Application' and actor.state <> 'gone') as local_actors,
  (select count(*) from actor where actor.local = 0 and actor.state <> 'gone') as remote_actors,
  (select count(*) from post where post.boost_of is null) as notes,
  (select count(*) from listing) as listings,
  (select count(*) from report where report.state = 'open') as reports
"""

LONG_MS: Final = 48 * 3_600_000
"""After so long without a decision an answer waits too long; its asker was reminded then."""

WAITS: Final = """
select
  (select count(*) from draft where draft.state = 'held') as review,
  (select min(draft.changed_at) from draft where draft.state = 'held') as review_since,
  (select count(*) from response where response.side <> 'helper' and response.state in ('sent', 'opened') and response.created_at < :before) as answers,
  (select count(*) from handshake where handshake.lost_at is not null) as lost,
  (select count(*) from job where job.state = 'quarantined') as quarantined,
  (select min(job.run_at) from job where job.kind = 'retention' and job.state <> 'quarantined') as sweep
"""

Json = str | int | bool | dict[str, int]


@dataclass(frozen=True, slots=True)
class Waits:
    """What should have somebody's eye, as numbers. Times are milliseconds UTC."""

    review: int
    """Listings held until somebody of the staff looked."""
    answers: int
    """Answers in the trays of people here that nobody decided for 48 hours."""
    lost: int
    """Peers that were trusted and lost it, with another key or by taking theirs back."""
    quarantined: int
    """Jobs that failed too often and are not tried any more."""
    sweep_late_ms: int | None
    """For how long the hourly sweep that removes what is over has been due; 0 if it is not, None if nothing asks for it."""
    review_ms: int | None = None
    """For how long the oldest of those held for a review waits; None if there is none."""

    def json(self) -> dict[str, int]:
        """The form scripts read; `sweep_late` and `review_oldest` in whole seconds, -1 if there is nothing."""
        oldest = -1 if self.review_ms is None else self.review_ms // 1000
        late = -1 if self.sweep_late_ms is None else self.sweep_late_ms // 1000
        return {
            "review": self.review,
            "answers": self.answers,
            "trust_lost": self.lost,
            "quarantined": self.quarantined,
            "sweep_late": late,
            "review_oldest": oldest,
        }

    def text(self) -> str:
        """The form people read; empty if nothing waits."""
        said = (
            (self.review, "held for a review (`fedmatch review list`)"),
            (self.answers, "answers undecided for two days (`fedmatch response list`)"),
            (self.lost, "peers without the trust they had (`fedmatch peers list`)"),
            (self.quarantined, "jobs set aside (`fedmatch doctor`)"),
        )
        return ", ".join(f"{number} {what}" for number, what in said if number)


async def waits(tx: Transaction, now_ms: int) -> Waits:
    """What waits at `now_ms`; needs no vault."""
    (row,) = await tx.all(WAITS, before=now_ms - LONG_MS)
    sweep = None if row["sweep"] is None else max(0, now_ms - int(row["sweep"]))
    oldest = None if row["review_since"] is None else max(0, now_ms - int(row["review_since"]))
    return Waits(row["review"], row["answers"], row["lost"], row["quarantined"], sweep, oldest)


@dataclass(frozen=True, slots=True)
class Status:
    """The numbers at one moment."""

    version: str
    database: str
    locked: bool
    processes: int
    arrivals: dict[str, int]
    deliveries: dict[str, int]
    actors: dict[str, int]
    notes: int
    listings: int
    held: Held
    reports: int
    waits: Waits

    def json(self) -> dict[str, Json]:
        """The form scripts read."""
        return {
            "version": self.version,
            "database": self.database,
            "locked": self.locked,
            "processes": self.processes,
            "arrivals": self.arrivals,
            "deliveries": self.deliveries,
            "actors": self.actors,
            "notes": self.notes,
            "listings": self.listings,
            "held": self.held.json(),
            "reports": self.reports,
            "waits": self.waits.json(),
        }

    def text(self) -> str:
        """The form people read."""
        rows = {
            "fedmatch": f"{self.version} on {self.database}",
            "runs as": f"{self.processes} process{'' if self.processes == 1 else 'es'} on this machine"
            if self.processes
            else "nothing; `fedmatch serve` starts it",
            "vault": "locked; `fedmatch unlock` opens it" if self.locked else "open",
            "arrivals": ", ".join(f"{number} {state}" for state, number in self.arrivals.items()),
            "deliveries": ", ".join(f"{number} {state}" for state, number in self.deliveries.items()),
            "actors": ", ".join(f"{number} {where}" for where, number in self.actors.items()),
            "posts": f"{self.notes}, {self.listings} of them requests and offers",
        }
        if waiting := self.held.text():
            rows["border"] = waiting
        if self.reports:
            rows["reports"] = f"{self.reports} open; `fedmatch report list` shows them"
        if waiting := self.waits.text():
            rows["waits"] = waiting
        return "\n".join(f"{name + ':':<12}{value}" for name, value in rows.items())


async def _here(tx: Transaction, instance: "Instance") -> tuple[dict[str, int], dict[str, int], dict[str, int], int, int, Held, int, Waits]:
    came = await arrivals.counts(tx)
    left = await departures.counts(tx)
    (row,) = await tx.all(HERE)
    return (
        {"waiting": came.waiting, "done": came.done, "failed": came.failed},
        left,
        {"local": row["local_actors"], "remote": row["remote_actors"]},
        row["notes"],
        row["listings"],
        await border.held(tx, await trust.fresh(tx, instance)),
        row["reports"],
        await waits(tx, instance.clock.ms()),
    )


async def status(instance: "Instance") -> Status:
    """The numbers now. The vault counts as locked if any running process of this machine has it locked; without one, if this process could not open it."""
    running = await control.ask_all(instance.config.folder, {"command": "ping"})
    locked = any(bool(answer.get("locked")) for answer in running) if running else instance.vault.locked
    came, left, actors, notes, listings, held, reports, waiting = await instance.database.read(_here, instance)
    return Status(version("fedmatch"), instance.database.engine, locked, len(running), came, left, actors, notes, listings, held, reports, waiting)
