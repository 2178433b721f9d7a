"""How much of our room may one peer take? What is not public is kept opened in memory, 20,000 of it: no peer has more than its share open here at once.

A peer that is trusted is not for that well run: a loop in its program, or whoever took it, could fill that room and push out what all others ask for. What
comes beyond the share is not taken, and staff hears of it once a day; what closes or goes makes room again. Changes of what is here pass always.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import known
from fedmatch.board import notifications
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MOST: Final = 5_000
"""A quarter of what is kept in memory (fedmatch/board/private.py)."""
COUNT_EVERY: Final = 500
"""After so many more the rows are counted again: other processes take in, too."""
REST_MS: Final = 60_000
"""How long a full share is taken for full before it is counted again."""
TELL_MS: Final = 86_400_000
NAME: Final = "shares of peers"

# In this order: the index of what is not public is small, all posts of a host may be millions.
HELD: Final = """
select count(*) as held
from listing
cross join post
cross join actor
where listing.audience <> 'public'
  and listing.confidential = 1
  and listing.state in ('open', 'paused', 'matched')
  and post.id = listing.post_id
  and actor.id = post.actor_id
  and actor.host_id = :host_id
"""


@dataclass(slots=True)
class _Share:
    """What we know of one peer: how many there were at most, how many came since that was counted, and until when it is full (ms UTC)."""

    held: int
    since: int = 0
    full_until: int = 0
    told_at: int = 0


async def has_room(tx: Transaction, instance: "Instance", actor_id: int) -> bool:
    """Whether one more that is not public may be taken from the peer of this actor. Counts once in 500; what it keeps is only an upper bound, so a write that
    runs twice does no harm. About 50 ms to count among 20,000."""
    actor = await known.by_id(tx, actor_id)
    if actor is None or actor.host_id is None:
        return True
    shares = instance.memory.setdefault(NAME, {})
    if not isinstance(shares, dict):
        raise TypeError("something else lies where the shares do")
    now = instance.clock.ms()
    share = shares.get(actor.host_id)
    if share is None or (share.held + share.since >= MOST and share.full_until <= now) or share.since >= COUNT_EVERY:
        told_at = 0 if share is None else share.told_at
        row = await tx.one(HELD, host_id=actor.host_id)
        share = shares[actor.host_id] = _Share(0 if row is None else int(row["held"]), told_at=told_at)
    if share.held + share.since < MOST:
        share.since += 1
        return True
    if share.full_until <= now:
        share.full_until = now + REST_MS
        log.warning("board.peer_full", host=actor.host_id, most=MOST, cure="fedmatch peers limit, or talk to its admin")
        if now - share.told_at >= TELL_MS:
            share.told_at = now
            await notifications.tell_staff(tx, instance, "peer.full", actor.host)
    return False
