"""Who wants to see and hear nothing of whom? Blocks of people here, and those that others' servers told us about.

A block ends every follow between the two and hides each from the other, here. Elsewhere it is advice: nobody can make another server forget.
"""

from typing import TYPE_CHECKING, Final

import structlog

from actors.known import Actor
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

INSERT: Final = """
insert into block (actor_id, blocked_id, since)
values (:actor_id, :blocked_id, :now)
on conflict (actor_id, blocked_id) do nothing
"""

DELETE: Final = """
delete from block
where actor_id = :actor_id
  and blocked_id = :blocked_id
"""

EITHER: Final = """
select 1 as found
from block
where (block.actor_id = :one and block.blocked_id = :other)
   or (block.actor_id = :other and block.blocked_id = :one)
limit 1
"""

BLOCKS: Final = """
select 1 as found
from block
where block.actor_id = :actor_id
  and block.blocked_id = :blocked_id
"""

KEEPS_AWAY: Final = """
select block.blocked_id as id
from block
where block.actor_id = :actor_id
union
select block.actor_id
from block
where block.blocked_id = :actor_id
"""


async def add(tx: Transaction, instance: "Instance", actor: Actor, blocked: Actor) -> bool:
    """Writes down that `actor` blocks `blocked`; False if it did already. The follows between them are the caller's to end."""
    return bool(await tx.execute(INSERT, actor_id=actor.id, blocked_id=blocked.id, now=instance.clock.ms()))


async def remove(tx: Transaction, actor: Actor, blocked: Actor) -> bool:
    """Takes the block back; False if there was none. Follows do not come back by it."""
    return bool(await tx.execute(DELETE, actor_id=actor.id, blocked_id=blocked.id))


async def either(tx: Transaction, one: int, other: int) -> bool:
    """Whether one of the two actors blocks the other."""
    return await tx.one(EITHER, one=one, other=other) is not None


async def blocks(tx: Transaction, actor_id: int, blocked_id: int) -> bool:
    """Whether the first blocks the second."""
    return await tx.one(BLOCKS, actor_id=actor_id, blocked_id=blocked_id) is not None


async def kept_from(tx: Transaction, actor_id: int) -> frozenset[int]:
    """Every actor that blocks this one or is blocked by it."""
    return frozenset(int(row["id"]) for row in await tx.all(KEEPS_AWAY, actor_id=actor_id))
