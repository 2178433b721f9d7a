"""Who answered a post that we fetched, before we knew of it? Read from its own server's list, within a budget (protocol 4.4; Mastodon and GoToSocial do so).

A post that arrives by itself is new, and its answers arrive the same way. One that was fetched (boosted, above another in a thread, named by somebody here) may
be old: its `replies` are read once, one page or more as far as the list is worth it, and each answer from its own origin. An answer counts if it says itself
what it answers, and is public; nothing is read below the answers.
"""

from typing import Final

import structlog

from actors import hosts
from actors.instance import Instance
from actors.remote import FetchFailed
from inbox import collections, dereference
from inbox.dereference import Origin
from inbox.effects import ask
from inbox.errors import Later
from outbox import posts
from schemas.objects import Note
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

MOST: Final = 20
"""Answers of one post that are fetched; who wants to see more follows the link."""


async def wanted(tx: Transaction, instance: Instance, note: Note) -> bool:
    """Asks for the job that reads who answered a fetched `note`; False if it names no list on its own server. Call `instance.wake("job")` after the commit."""
    if note.replies is None or not hosts.same_origin(note.replies, note.id):
        return False
    await ask(tx, instance, "replies", note.id, note.replies.encode())
    return True


async def read(instance: Instance, key: str, payload: bytes) -> None:
    """The job `replies`: the public answers to the post with the id `key` that the list at `payload` names, each from its own origin.

    A list that cannot be read is none: this is done once.
    """
    held = await instance.database.read(posts.by_uri, key)
    if held is None or held.local or not held.public:
        return
    budget = dereference.budget(instance)
    listed = await collections.members(instance, Iri(payload.decode()), budget, most=MOST)
    if isinstance(listed, FetchFailed):
        log.info("replies.nothing", post=held.id, kind=listed.kind)
        return
    ours = f"{instance.config.base_url}/"
    for answer in listed.ids:
        if budget.left == 0:
            return
        if answer.startswith(ours) or await instance.database.read(posts.by_uri, answer) is not None:
            continue
        try:
            found = await dereference.post(instance, answer, budget)
        except Later:
            continue
        if found is not None and found.note.in_reply_to == key and posts.visibility(found.note, found.author.followers) in ("public", "unlisted"):
            await instance.database.write(_keep, instance, found)


async def _keep(tx: Transaction, instance: Instance, found: Origin) -> None:
    outcome = await posts.store(tx, instance, found.author, found.note, local=False, document=found.document)
    if isinstance(outcome, posts.Refused):
        log.info("post.refused", why=outcome.why)
