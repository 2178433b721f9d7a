"""How do we look through what is not public, when no index may hold it? Opened once into memory after the unlock, and brought up to date with every write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors.vault import Locked
from fedmatch import times
from fedmatch.board import listings
from fedmatch.board.listings import Listing
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MOST: Final = 20_000
"""How many open ones are kept opened; the oldest beyond are found by their id alone."""
CHUNK: Final = 500
NAME: Final = "private listings"


@dataclass(slots=True)
class _Memory:
    """What is opened, by id with the revision it was read at, as of one generation."""

    generation: int
    opened: dict[int, tuple[int, Listing]]
    live: tuple[Listing, ...] = ()
    until: int = 0
    """Until when, by the clock of the instance, none of `live` is over."""


GENERATION: Final = """
select generation.value
from generation
where generation.name = 'board'
"""

LIVE: Final = """
select listing.post_id, listing.revision
from listing
where listing.audience <> 'public'
  and listing.state in ('open', 'paused', 'matched')
order by listing.post_id desc
limit :limit
"""

SOME: Final = f"""
{listings.EVERY}
  and listing.audience <> 'public'
  and listing.post_id between :low and :high
"""


CLOSED: Final = f"""
{listings.EVERY}
  and listing.audience <> 'public'
  and listing.state not in ('open', 'paused', 'matched')
  and post.published >= :since
order by listing.post_id desc
limit :limit
"""  # only our own constant is put in


async def closed(tx: Transaction, instance: "Instance", since: int, most: int) -> list[Listing]:
    """What is not public, was published since `since` (milliseconds UTC) and is closed, as long as it is kept: at most `most`, newest first; some 30 us each.

    Raises `actors.vault.Locked`.
    """
    return [listings.from_row(row, instance) for row in await tx.all(CLOSED, since=since, limit=most)]


async def live(tx: Transaction, instance: "Instance") -> Sequence[Listing]:
    """Every listing here that is not public and not closed, ours and theirs, newest first. Call it in a read: what a write did not commit is not to be kept.

    While nothing changed it is the very same sequence. Raises `actors.vault.Locked`. The first call after a start opens them all (20,000 in about a second),
    later ones only what changed.
    """
    if instance.vault.locked:
        instance.memory.pop(NAME, None)
        raise Locked
    row = await tx.one(GENERATION)
    generation = 0 if row is None else int(row["value"])
    memory = instance.memory.get(NAME)
    if not isinstance(memory, _Memory) or memory.generation != generation:
        before = memory.opened if isinstance(memory, _Memory) else {}
        memory = _Memory(generation, await _opened(tx, instance, before))
        instance.memory[NAME] = memory
    now = instance.clock.ms()
    if now >= memory.until:
        memory.live = tuple([one for _, one in memory.opened.values() if listings.state_at(one, now) in listings.OPEN])
        memory.until = min((times.milliseconds(one.proposal.ends) for one in memory.live if one.proposal.ends is not None), default=listings.END)
    return memory.live


async def _opened(tx: Transaction, instance: "Instance", before: dict[int, tuple[int, Listing]]) -> dict[int, tuple[int, Listing]]:
    revisions = {int(row["post_id"]): int(row["revision"]) for row in await tx.all(LIVE, limit=MOST)}
    if len(revisions) == MOST:
        log.warning("board.memory_full", most=MOST)
    wanted = sorted(key for key, revision in revisions.items() if key not in before or before[key][0] != revision)
    fresh: dict[int, Listing] = {}
    for at in range(0, len(wanted), CHUNK):
        part = set(wanted[at : at + CHUNK])
        rows = await tx.all(SOME, low=min(part), high=max(part))
        fresh |= {row["post_id"]: listings.from_row(row, instance) for row in rows if row["post_id"] in part}
    # An actor that is suspended has no row among `fresh`, and so nothing here.
    kept = {key: before[key] for key in revisions if key in before and key not in wanted}
    read = {key: (revisions[key], listing) for key, listing in fresh.items()}
    return dict(sorted((kept | read).items(), reverse=True))
