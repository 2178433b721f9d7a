"""What if it is written in words of its own? An arrival whose listing uses other prefixes or full IRIs is read through JSON-LD, rarely and bounded.

One at a time in a process, and few from one host: each costs half a second of a process of its own (schemas/jsonld.py). What JSON-LD does not take, because it
is no JSON-LD, too large, too slow, or names a context we do not have, is read as it stands: nothing is lost that was understood before, and nothing is fetched.
"""

import asyncio
from typing import Final

import structlog

from actors.instance import Instance
from inbox.verify import Verified
from schemas import foreign
from schemas.reading import Document, Unreadable, iri

log = structlog.get_logger()

EVERY_S: Final = 10.0
AT_ONCE: Final = 20


class Reader:
    """Reads documents one after the other; one a worker."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._one = asyncio.Semaphore(1)

    async def plain(self, verified: Verified) -> Document:
        """The document of a proven arrival in the words that `schemas.activities.parse` reads, or as it stands. Its id never changes by that."""
        document = verified.document
        if not foreign.is_foreign(document, verified.body):
            return document
        if not self._instance.limits.allow("jsonld", verified.actor.host, 1 / EVERY_S, AT_ONCE):
            log.info("dialect.too_often", actor=verified.actor.id)
            return document
        async with self._one:
            try:
                found = await asyncio.to_thread(foreign.plain, document)
            except Unreadable as error:
                log.info("dialect.not_read", actor=verified.actor.id, where=error.where, why=error.why)
                return document
        same = iri(found.get("id")) == iri(document.get("id") or document.get("@id")) and iri(found.get("actor")) == verified.actor.uri
        return found if same else document
