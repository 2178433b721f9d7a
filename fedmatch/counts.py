"""How much is here, how much waits, what failed? The numbers of `fedmatch status`, no names."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from actors import trust
from fedmatch import control
from fedmatch.safety import border
from fedmatch.safety.border import Held
from inbox import arrivals
from outbox import deliver
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

Json = str | int | bool | dict[str, int]


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
        return "\n".join(f"{name + ':':<12}{value}" for name, value in rows.items())


async def _here(tx: Transaction, instance: "Instance") -> tuple[dict[str, int], dict[str, int], dict[str, int], int, int, Held, int]:
    came = await arrivals.counts(tx)
    left = await deliver.counts(tx)
    (row,) = await tx.all(HERE)
    return (
        {"waiting": came.waiting, "done": came.done, "failed": came.failed},
        left,
        {"local": row["local_actors"], "remote": row["remote_actors"]},
        row["notes"],
        row["listings"],
        await border.held(tx, await trust.fresh(tx, instance)),
        row["reports"],
    )


async def status(instance: "Instance") -> Status:
    """The numbers now. The vault counts as locked if any running process of this machine has it locked; without one, if this process could not open it."""
    running = await control.ask_all(instance.config.folder, {"command": "ping"})
    locked = any(bool(answer.get("locked")) for answer in running) if running else instance.vault.locked
    came, left, actors, notes, listings, held, reports = await instance.database.read(_here, instance)
    return Status(version("fedmatch"), instance.database.engine, locked, len(running), came, left, actors, notes, listings, held, reports)
