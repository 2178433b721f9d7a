"""Which operator of a group acted? Kept sealed, for this instance alone: outsiders see the group, and never who in it spoke."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.known import Actor
from fedmatch import times
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance


@dataclass(frozen=True, slots=True)
class Act:
    """What one operator did in the name of a group, about which listing or draft."""

    by: str
    what: str
    about: int
    at: int

    def json(self) -> dict[str, str]:
        """The form scripts read."""
        return {"by": self.by, "what": self.what, "about": str(self.about), "at": times.rfc3339(self.at)}


INSERT: Final = """
insert into listing_act (id, actor_id, sealed)
values (:id, :actor_id, :sealed)
"""

NEWEST: Final = """
select listing_act.id, listing_act.sealed
from listing_act
where listing_act.actor_id = :actor_id
order by listing_act.id desc
limit :limit
"""


async def note(tx: Transaction, instance: "Instance", group: Actor, by: Actor, what: str, about: int) -> None:
    """Keeps that `by` did something in the name of `group`. Works with a locked vault."""
    act_id = instance.ids.new()
    act = {"by": by.username, "what": what, "about": about, "at": instance.clock.ms()}
    await tx.execute(INSERT, id=act_id, actor_id=group.id, sealed=instance.vault.seal(json.dumps(act).encode(), f"listing_act:{act_id}"))


async def newest(tx: Transaction, instance: "Instance", group: Actor, limit: int = 100) -> list[Act]:
    """Who did what for a group, newest first; for its operators and the staff of this instance. Raises `actors.vault.Locked`."""
    rows = await tx.all(NEWEST, actor_id=group.id, limit=limit)
    return [Act(**json.loads(instance.vault.open(bytes(row["sealed"]), f"listing_act:{row['id']}"))) for row in rows]
