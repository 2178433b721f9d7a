"""What if it is written in words of its own? An arrival or a fetched post that uses other prefixes or full IRIs is read through JSON-LD, rarely and bounded.

One at a time in a process, and few from one host: each costs half a second of a process of its own (schemas/jsonld.py). What JSON-LD does not take, because it
is no JSON-LD, too large, too slow, or names a context we do not have, is read as it stands: nothing is lost that was understood before, and nothing is fetched.
What cannot be read as it stands at all, because its host sent too many of the kind, comes again later.
"""

import asyncio
from typing import Final

import structlog

from actors.instance import Instance
from inbox.errors import Later
from inbox.verify import Verified
from schemas import foreign
from schemas.reading import Document, Unreadable, iri

log = structlog.get_logger()

EVERY_S: Final = 10.0
AT_ONCE: Final = 20
MEMORY: Final = "dialects"


class Reader:
    """Reads documents one after the other; one a process (`reader`)."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._one = asyncio.Semaphore(1)

    async def plain(self, verified: Verified) -> Document:
        """The document of a proven arrival in the words that `schemas.activities.parse` reads, or as it stands. Its id never changes by that.

        Raises `Later` where it says nothing as it stands and its host sent too many such.
        """
        document = verified.document
        if not foreign.is_foreign(document, verified.body):
            return document
        found = await self._plain(document, verified.actor.host)
        if found is None:
            if "actor" not in document:
                raise Later(int(EVERY_S), "too many activities of one host in words of their own")
            return document
        return found if _id(found) == _id(document) and iri(found.get("actor")) == verified.actor.uri else document

    async def post(self, document: Document, host: str) -> Document:
        """The same for a post that was fetched from `host`. Raises `Later`."""
        if not foreign.is_foreign_post(document):
            return document
        found = await self._plain(document, host)
        if found is None:
            raise Later(int(EVERY_S), "too many posts of one host in words of their own")
        return found if _id(found) == _id(document) else document

    async def _plain(self, document: Document, host: str) -> Document | None:
        """What JSON-LD makes of it, the document itself where it makes nothing of it; None where its host has had its share."""
        if not self._instance.limits.allow("jsonld", host, 1 / EVERY_S, AT_ONCE):
            log.info("dialect.too_often", host=host)
            return None
        async with self._one:
            try:
                return await asyncio.to_thread(foreign.plain, document)
            except Unreadable as error:
                log.info("dialect.not_read", host=host, where=error.where, why=error.why)
                return document


def reader(instance: Instance) -> Reader:
    """The one reader of this process."""
    found = instance.memory.get(MEMORY)
    if not isinstance(found, Reader):
        found = instance.memory[MEMORY] = Reader(instance)
    return found


def _id(document: Document) -> str | None:
    return iri(document.get("id") or document.get("@id"))
