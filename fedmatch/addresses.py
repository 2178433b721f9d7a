"""Where does somebody elsewhere take letters now? An inbox that moved for good is looked up in the documents of those whose it is, never where it points to."""

from typing import TYPE_CHECKING, Final

import structlog

from actors import remote
from actors.remote import Budget, FetchFailed
from fedmatch.jobs import enqueue
from schemas.events import InboxMoved
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MOST: Final = 50
"""Of one inbox so many owners are looked at: a shared one has many, and whoever is left out is read anew when they write or move themselves."""
REQUESTS: Final = 12
"""For one owner: the document, its redirects, WebFinger."""

OWNERS: Final = """
select actor.uri
from actor
where actor.host_id = :host_id
  and actor.local = 0
  and actor.state = 'active'
  and (actor.inbox = :inbox or actor.shared_inbox = :inbox)
order by actor.id
limit :most
"""


async def moved(instance: "Instance", tx: Transaction, event: InboxMoved) -> None:
    """Asks for its owners to be read anew, once however many letters came back."""
    await enqueue(tx, instance, "owners", event.inbox, instance.clock.ms(), str(event.host_id).encode())


async def look(instance: "Instance", key: str, payload: bytes) -> None:
    """The job `owners`: reads everybody anew whose inbox is `key`, on the host with our id `payload`. What cannot be read now stays as it is."""
    for uri in await instance.database.read(_owners, Iri(key), int(payload)):
        found = await remote.actor(instance, uri, budget=Budget(REQUESTS), fresh=True)
        if isinstance(found, FetchFailed):
            log.info("owner.not_read", kind=found.kind)


async def _owners(tx: Transaction, inbox: Iri, host_id: int) -> list[Iri]:
    return [Iri(row["uri"]) for row in await tx.all(OWNERS, host_id=host_id, inbox=inbox, most=MOST)]
