"""What was given to one counterpart? Name, contact or place: as a message, never over a channel that is not sealed, and noted for its author alone."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from actors import known
from actors.known import Actor
from fedmatch import times
from fedmatch.board import answers, conversations, guests, notifications
from fedmatch.board.answers import CannotAnswer, Response
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

FieldName = Literal["name", "contact", "place"]
FIELDS: Final = ("name", "contact", "place")


DISCLOSE: Final = """
insert into disclosure (id, response_id, actor_hash, sealed, created_at)
values (:id, :response_id, :actor_hash, :sealed, :now)
"""

DISCLOSED: Final = """
select disclosure.id, disclosure.sealed, disclosure.created_at
from disclosure
where disclosure.actor_hash = :actor_hash
order by disclosure.id
"""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Something an actor gave to one counterpart; `at` is the whole hour."""

    to: str
    field: str
    at: int

    def json(self) -> dict[str, str]:
        """The form scripts read."""
        return {"to": self.to, "field": self.field, "at": times.rfc3339(self.at)}


async def disclose(tx: Transaction, instance: "Instance", actor: Actor, response: Response, field: FieldName, value: str) -> conversations.Message:
    """Gives name, contact or place to the one counterpart, as a message, and notes that for the author. Never over a channel that is not sealed, nor
    while a guest would read it.

    Raises `CannotAnswer`, `crossing.CannotReach`, `actors.vault.Locked`.
    """
    if response.words.channel not in ("here", "sealed"):
        raise CannotAnswer(f"{field} is never sent where the administrators of {answers.readable_by(response)} could read it on its way as a note")
    if field not in FIELDS or not (response.of_asker(actor) or response.of_helper(actor)):
        raise CannotAnswer(f"only the two whose conversation it is share {', '.join(FIELDS)}")
    third = [one.handle for one in await guests.of(tx, instance, response) if one.admitted]
    if third:
        raise CannotAnswer(f"{field} is for one counterpart, and {', '.join(third)} would read it: show them out first (`fedmatch response admit --leave`)")
    made = await conversations.say(tx, instance, actor, response, f"{field}: {value.strip()}", anyway=True)  # it is meant to lead to them
    other = response.words.helper_handle if response.of_asker(actor) else response.words.asker_handle
    new_id = instance.ids.new(answers.hour(instance))
    sealed = instance.vault.seal(json.dumps({"to": other, "field": field}).encode(), f"disclosure:{new_id}")
    await tx.execute(
        DISCLOSE, id=new_id, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", actor.uri), sealed=sealed, now=answers.hour(instance)
    )
    receiver = await known.by_uri(tx, response.words.helper if response.of_asker(actor) else response.words.asker)
    if receiver is not None and receiver.local:
        await notifications.tell(tx, instance, receiver.id, "field.released", response.id)
    return made


async def of(tx: Transaction, instance: "Instance", actor: Actor) -> list[Disclosure]:
    """What `actor` gave to whom, oldest first; for the actor alone."""
    rows = await tx.all(DISCLOSED, actor_hash=answers.hash_of(instance, "actor", actor.uri))
    found = []
    for row in rows:
        said = json.loads(instance.vault.open(bytes(row["sealed"]), f"disclosure:{row['id']}"))
        found.append(Disclosure(said["to"], said["field"], row["created_at"]))
    return found
