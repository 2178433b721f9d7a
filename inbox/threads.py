"""What stands above a post that arrived? Its thread, upwards, fetched from where each post lives; and who answered those, once."""

from typing import Final

import structlog

from actors.instance import Instance
from inbox import dereference, replies
from inbox.dereference import Origin
from outbox import posts
from schemas.crashpoint import crashpoint
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

MOST_ANCESTORS: Final = 20
"""How far up a thread we go (security.md A037); who wants to see more follows the link."""


async def read(instance: Instance, key: str, _payload: bytes) -> None:
    """The job `thread`: fetches and stores the public posts above one that arrived, upwards from `key`, at most 20, within one budget.

    What is missing, private or unreadable ends it. Raises `Later` where another time may show more.
    """
    spending, seen, next_up = dereference.budget(instance), set[Iri](), Iri(key)
    ours = f"{instance.config.base_url}/"
    for _ in range(MOST_ANCESTORS):
        if next_up in seen or next_up.startswith(ours):
            return
        seen.add(next_up)
        held = await instance.database.read(posts.by_uri, next_up)
        if held is not None:
            above = held.in_reply_to if held.in_reply_to_id is None else None
        else:
            found = await dereference.post(instance, next_up, spending)
            if found is None or posts.visibility(found.note, found.author.followers) not in ("public", "unlisted"):
                return
            crashpoint("thread:found")
            if await instance.database.write(_keep, instance, found):
                instance.wake("job")
            crashpoint("thread:kept")
            above = found.note.in_reply_to
        if above is None:
            return
        next_up = above


async def _keep(tx: Transaction, instance: Instance, found: Origin) -> bool:
    outcome = await posts.store(tx, instance, found.author, found.note, local=False, document=found.document)
    if isinstance(outcome, posts.Refused):
        log.info("post.refused", why=outcome.why)
    return isinstance(outcome, posts.Post) and await replies.wanted(tx, instance, found.note)
