"""What is kept no longer than it is needed? The sweep that removes what closed, ended, or lost its origin.

    a listing of ours that closed           its text goes 30 days later, and everybody who may hold it is told to delete it
    a public one from elsewhere             30 days after it closed
    one that is not public, from elsewhere  as soon as it ends, and 30 days after the last sign of its home
    a post that is not, from elsewhere      30 days after the last sign of its home
    what was written and never published    30 days after it was held, refused, or missed its hour; its author is told
    an answer, its conversation, and who    30 days after it ended: completed, failed, declined, withdrawn or released
    what arrived                            its body in the transaction that finishes it (inbox/arrivals.py)
"""

from typing import TYPE_CHECKING, Final

import structlog

from actors import known
from actors.known import Actor
from actors.vault import Locked
from fedmatch.board import drafts
from fedmatch.jobs import enqueue
from outbox import posts
from schemas.events import PostChanged
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

DAY_MS: Final = 24 * 3_600_000
KEPT_MS: Final = 30 * DAY_MS
SILENT_MS: Final = 30 * DAY_MS
EVERY_MS: Final = 3_600_000
LOCKED_MS: Final = 60_000
CHUNK: Final = 50
ENDS: Final = frozenset({"fulfilled", "expired", "withdrawn"})

OURS_CLOSED: Final = """
select listing.post_id
from listing
join post on post.id = listing.post_id
where post.local = 1
  and listing.state in ('fulfilled', 'expired', 'withdrawn')
  and listing.changed_at < :before
order by listing.post_id
limit :limit
"""

THEIRS_CLOSED: Final = """
select listing.post_id
from listing
join post on post.id = listing.post_id
where post.local = 0
  and listing.state in ('fulfilled', 'expired', 'withdrawn')
  and (listing.confidential = 1 or listing.changed_at < :before)
order by listing.post_id
limit :limit
"""

# A host that never said anything is as silent as one that stopped.
THEIRS_SILENT: Final = """
select listing.post_id
from listing
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
join host on host.id = actor.host_id
where post.local = 0
  and listing.confidential = 1
  and coalesce(host.last_heard, host.first_seen) < :before
  and post.received_at < :before
order by listing.post_id
limit :limit
"""


# From the few hosts that are silent to what is theirs: most of what is held is of hosts that are not.
SILENT_POSTS: Final = """
select post.id
from host
join actor on actor.host_id = host.id
join post on post.actor_id = actor.id
where coalesce(host.last_heard, host.first_seen) < :before
  and post.local = 0
  and post.visibility in ('followers', 'direct')
  and post.received_at < :before
order by post.id
limit :limit
"""


ENDED: Final = """
delete from response
where response.id in (
  select over.id
  from response as over
  where over.state in ('completed', 'failed', 'declined', 'withdrawn', 'released')
    and over.changed_at < :before
  order by over.id
  limit :limit
)
"""


# What was kept of its letters, so that the other server may fetch them, is some of its words.
ENDED_LETTERS: Final = """
delete from letter
where letter.hash in (
  select response_name.hash
  from response_name
  join response on response.id = response_name.response_id
  where response.state in ('completed', 'failed', 'declined', 'withdrawn', 'released')
    and response.changed_at < :before
)
"""


async def soon(tx: Transaction, instance: "Instance") -> None:
    """Asks for a sweep now: something ended that is not to outlive its end."""
    await enqueue(tx, instance, "retention", "all", instance.clock.ms())


async def changed(instance: "Instance", tx: Transaction, event: PostChanged) -> None:
    """What came sealed from elsewhere and ended does not wait for the hour."""
    if event.confidential and event.note.proposal is not None and event.note.proposal.status in ENDS:
        await soon(tx, instance)


async def sweep(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job: removes what is over, and asks for the next sweep in an hour. While the vault is locked nobody can be told to delete, so ours waits."""
    from fedmatch.board import publish  # it asks for sweeps itself

    removed = 0
    wait = EVERY_MS
    try:
        while some := await instance.database.read(_ours, instance):
            for actor, uri in some:
                await publish.delete(instance, actor, uri)
            removed += len(some)
    except Locked:
        wait = LOCKED_MS
    while silent := await instance.database.read(_silent, instance):
        removed += await instance.database.write(_remove, instance, silent)
    for body in (_theirs, _ended, _unpublished):
        while count := await instance.database.write(body, instance):
            removed += count
    if removed:
        log.info("retention.removed", rows=removed)
        await instance.database.erase()
    await instance.database.write(_again, instance, wait)


async def _ended(tx: Transaction, instance: "Instance") -> int:
    """Answers that are over, with everything that was said under them: the rows of conversation, message and the rest hang on them."""
    before = instance.clock.ms() - KEPT_MS
    await tx.execute(ENDED_LETTERS, before=before)
    return await tx.execute(ENDED, before=before, limit=CHUNK)


async def _unpublished(tx: Transaction, instance: "Instance") -> int:
    return await drafts.lapse(tx, instance, instance.clock.ms() - KEPT_MS, CHUNK)


async def _again(tx: Transaction, instance: "Instance", wait_ms: int) -> None:
    await enqueue(tx, instance, "retention", "all", instance.clock.ms() + wait_ms)


async def _ours(tx: Transaction, instance: "Instance") -> list[tuple[Actor, Iri]]:
    found: list[tuple[Actor, Iri]] = []
    for row in await tx.all(OURS_CLOSED, before=instance.clock.ms() - KEPT_MS, limit=CHUNK):
        post = await posts.by_id(tx, row["post_id"])
        actor = None if post is None else await known.by_id(tx, post.actor_id)
        if post is not None and actor is not None:
            found.append((actor, post.uri))
    return found


async def _theirs(tx: Transaction, instance: "Instance") -> int:
    now = instance.clock.ms()
    rows = [
        *await tx.all(THEIRS_CLOSED, before=now - KEPT_MS, limit=CHUNK),
        *await tx.all(THEIRS_SILENT, before=now - SILENT_MS, limit=CHUNK),
    ]
    await _remove(tx, instance, list(dict.fromkeys(row["post_id"] for row in rows)))
    return len(rows)


async def _silent(tx: Transaction, instance: "Instance") -> list[int]:
    return [row["id"] for row in await tx.all(SILENT_POSTS, before=instance.clock.ms() - SILENT_MS, limit=CHUNK)]


async def _remove(tx: Transaction, instance: "Instance", ids: list[int]) -> int:
    for post_id in ids:
        post = await posts.by_id(tx, post_id)
        if post is not None:
            await posts.remove(tx, instance, post)
    return len(ids)
