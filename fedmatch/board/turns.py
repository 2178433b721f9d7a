"""How often may a Service speak? A bucket each: so that nobody's home is filled by one afternoon of requests, and what is urgent still comes through."""

from typing import TYPE_CHECKING, Final

from actors.known import Actor
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

BURST: Final = 12
EVERY_S: Final = 180
URGENT_BURST: Final = 4
"""A Service announces 12 at once and 20 an hour; for what is a matter of hours 4 more are held ready."""

INSERT_ANNOUNCER: Final = """
insert into announcer (actor_id, slug, tokens, filled_at)
values (:actor_id, :slug, :tokens, :now)
on conflict (actor_id) do nothing
"""

BUCKET: Final = """
select announcer.tokens, announcer.filled_at
from announcer
where announcer.actor_id = :actor_id
"""

FILL: Final = """
update announcer
set tokens = :tokens, filled_at = :now
where actor_id = :actor_id
"""


async def take(tx: Transaction, instance: "Instance", services: list[Actor], *, urgent: bool) -> int:
    """Takes one token of each, or none and gives the milliseconds until each has one: its bucket holds `least` or more."""
    least = 1 - URGENT_BURST if urgent else 1
    now = instance.clock.ms()
    filled: dict[int, float] = {}
    wait = 0
    for service in services:
        await tx.execute(INSERT_ANNOUNCER, actor_id=service.id, slug=service.username, tokens=float(BURST), now=now)
        row = await tx.one(BUCKET, actor_id=service.id)
        tokens = float(BURST) if row is None else min(float(BURST), row["tokens"] + max(0, now - row["filled_at"]) / (EVERY_S * 1000))
        filled[service.id] = tokens
        if tokens < least:
            wait = max(wait, int((least - tokens) * EVERY_S * 1000) + 1000)
    if not wait:
        await tx.many(FILL, [{"actor_id": actor_id, "tokens": tokens - 1, "now": now} for actor_id, tokens in filled.items()])
    return wait
