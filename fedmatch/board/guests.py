"""Who else is in a conversation? An interpreter or a matchmaker whom both sides let in; they leave with it. Letting in and out is in admissions.py."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.known import Actor
from fedmatch.board import answers
from fedmatch.board.answers import Response
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance


@dataclass(frozen=True, slots=True)
class Guest:
    """A third person in one conversation, or on the way into it."""

    uri: Iri
    handle: str
    role: str
    asker_agreed: bool
    helper_agreed: bool
    after: int = 0
    """The place of the last message before both let them in: they read what is said from then on."""

    @property
    def admitted(self) -> bool:
        """Whether both sides let them in."""
        return self.asker_agreed and self.helper_agreed


GUEST: Final = """
select conversation_guest.id, conversation_guest.asker_agreed, conversation_guest.helper_agreed, conversation_guest.sealed
from conversation_guest
where conversation_guest.response_id = :response_id
  and conversation_guest.actor_hash = :actor_hash
"""

GUESTS: Final = """
select conversation_guest.id, conversation_guest.asker_agreed, conversation_guest.helper_agreed, conversation_guest.sealed
from conversation_guest
where conversation_guest.response_id = :response_id
order by conversation_guest.id
"""

GUEST_OF: Final = """
select conversation_guest.response_id
from conversation_guest
where conversation_guest.actor_hash = :actor_hash
  and conversation_guest.asker_agreed = 1
  and conversation_guest.helper_agreed = 1
order by conversation_guest.response_id desc
"""


async def of(tx: Transaction, instance: "Instance", response: Response) -> list[Guest]:
    """Who else is in it, or asked to be."""
    return [read(instance, response, row) for row in await tx.all(GUESTS, response_id=response.id)]


async def is_guest(tx: Transaction, instance: "Instance", response: Response, actor: Actor) -> bool:
    """Whether both sides let `actor` in."""
    row = await tx.one(GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", actor.uri))
    return row is not None and bool(row["asker_agreed"]) and bool(row["helper_agreed"])


async def reads_after(tx: Transaction, instance: "Instance", response: Response, readers: Collection[Actor]) -> int:
    """Behind which message of a conversation these actors, identities of one person, may read: 0 for the two whose it is."""
    if any(response.of_asker(one) or response.of_helper(one) for one in readers):
        return 0
    uris = {one.uri for one in readers}
    return max((one.after for one in await of(tx, instance, response) if one.uri in uris), default=0)


async def guest_of(tx: Transaction, instance: "Instance", actor: Actor) -> list[Response]:
    """The answers into whose conversations `actor` was let."""
    rows = await tx.all(GUEST_OF, actor_hash=answers.hash_of(instance, "actor", actor.uri))
    found = [await answers.by_id(tx, instance, row["response_id"]) for row in rows]
    return [one for one in found if one is not None]


def read(instance: "Instance", response: Response, row: Row) -> Guest:
    """A guest from its row."""
    said = json.loads(instance.vault.open(bytes(row["sealed"]), f"conversation_guest:{response.id}"))
    return Guest(Iri(said["uri"]), said["handle"], said["role"], bool(row["asker_agreed"]), bool(row["helper_agreed"]), said.get("after", 0))
