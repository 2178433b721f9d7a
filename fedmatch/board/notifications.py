"""What should somebody here look at? A kind and the name of a thing: never content, so that it may be shown on any screen or sent anywhere."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import onetime
from actors.known import Actor
from fedmatch import chores, times
from fedmatch.board import identities
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

MOST: Final = 1000
"""How many one actor has; the oldest goes when another comes."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One of them; `about` is the id of what it is about, `at` milliseconds UTC."""

    id: int
    kind: str
    about: str
    at: int

    def json(self) -> dict[str, str]:
        """The form scripts read."""
        return {"id": str(self.id), "kind": self.kind, "about": self.about, "at": times.rfc3339(self.at)}


INSERT: Final = """
insert into notification (id, actor_id, kind, about, created_at)
values (:id, :actor_id, :kind, :about, :now)
"""

PRUNE: Final = """
delete from notification
where actor_id = :actor_id
  and id <= (
    select older.id
    from notification as older
    where older.actor_id = :actor_id
    order by older.id desc
    limit 1
    offset :most
  )
"""

NEWEST: Final = """
select notification.id, notification.kind, notification.about, notification.created_at
from notification
where notification.actor_id = :actor_id
order by notification.id desc
limit :limit
"""

CLEAR: Final = """
delete from notification
where actor_id = :actor_id
"""

STAFF: Final = """
select distinct membership.actor_id
from membership
join account on account.id = membership.account_id
join actor on actor.id = membership.actor_id
where membership.role in ('moderator', 'admin')
  and account.state = 'active'
  and actor.state = 'active'
order by membership.actor_id
"""


async def tell(tx: Transaction, instance: "Instance", actor_id: int, kind: str, about: int | str, *, coarse: bool = False) -> None:
    """Notes for one of ours that something happened: `kind` is a word like "listing.held", `about` the id of the thing. Works with a locked vault.

    `coarse`: its row tells the hour and nothing finer, for what says when somebody was awake.
    """
    new_id = onetime.coarse_id(instance) if coarse else instance.ids.new()
    now = onetime.hour(instance) if coarse else instance.clock.ms()
    await tx.execute(INSERT, id=new_id, actor_id=actor_id, kind=kind, about=instance.vault.seal(str(about).encode(), _place(new_id)), now=now)
    await tx.execute(PRUNE, actor_id=actor_id, most=MOST)


async def tell_staff(tx: Transaction, instance: "Instance", kind: str, about: int | str, *, coarse: bool = False) -> None:
    """The same for every moderator and admin."""
    for row in await tx.all(STAFF):
        await tell(tx, instance, row["actor_id"], kind, about, coarse=coarse)


async def newest(tx: Transaction, instance: "Instance", actor_id: int, limit: int = MOST) -> list[Notification]:
    """What somebody here should look at, newest first. Raises `actors.vault.Locked`."""
    rows = await tx.all(NEWEST, actor_id=actor_id, limit=limit)
    return [Notification(row["id"], row["kind"], instance.vault.open(bytes(row["about"]), _place(row["id"])).decode(), row["created_at"]) for row in rows]


async def of_person(tx: Transaction, instance: "Instance", person: Actor, limit: int = MOST) -> list[Notification]:
    """The same for a person and all their one-time identities, newest first: each row names the identity alone, and only here do they meet."""
    found = [one for actor_id in await identities.mine(tx, instance, person) for one in await newest(tx, instance, actor_id, limit)]
    return sorted(found, key=lambda one: (one.at, one.id), reverse=True)[:limit]


async def clear_of_person(tx: Transaction, instance: "Instance", person: Actor) -> int:
    """Forgets them all, also those of one-time identities; how many there were. Raises `actors.vault.Locked`."""
    return sum([await clear(tx, instance, actor_id) for actor_id in await identities.mine(tx, instance, person)])


async def clear(tx: Transaction, instance: "Instance", actor_id: int) -> int:
    """Forgets them all; how many there were."""
    found = await tx.execute(CLEAR, actor_id=actor_id)
    if found:
        await chores.erase_soon(tx, instance)
    return found


def _place(id: int) -> str:
    return f"notification:{id}"
