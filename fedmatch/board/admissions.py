"""How does a third person come into a conversation, and out? Both sides let them in, to read what is said from then on; either shows them out."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from actors import hosts, known
from actors.known import Actor
from fedmatch.board import answers, conversations, guests, notifications
from fedmatch.board.answers import CannotAnswer, Response
from fedmatch.board.guests import Guest
from schemas.objects import Matter
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

MOST_GUESTS: Final = 5
ROLES: Final = ("interpreter", "matchmaker")


ADD_GUEST: Final = """
insert into conversation_guest (id, response_id, actor_hash, sealed)
values (:id, :response_id, :actor_hash, :sealed)
on conflict (response_id, actor_hash) do nothing
"""

ASKER_AGREES: Final = """
update conversation_guest
set asker_agreed = 1
where id = :id
"""

HELPER_AGREES: Final = """
update conversation_guest
set helper_agreed = 1
where id = :id
"""

LAST_SAID: Final = """
select max(message.place) as place
from message
where message.response_id = :response_id
"""

FROM_NOW_ON: Final = """
update conversation_guest
set sealed = :sealed
where id = :id
"""

REMOVE_GUEST: Final = """
delete from conversation_guest
where id = :id
"""


async def admit(tx: Transaction, instance: "Instance", actor: Actor, response: Response, guest: Actor, role: str) -> Guest:
    """One side lets a third person in, an interpreter or a matchmaker; they are in when both did. Raises `CannotAnswer`, `crossing.CannotReach`.

    The guest lives on the server of one of the two: anybody else's would be a third server that holds the words. Who proposes is of that server; the other
    side agrees by the guest's handle (`agree_to`).
    """
    if role not in ROLES:
        raise CannotAnswer(f"{role!r} is no role of a guest; there are {', '.join(ROLES)}")
    if not await conversations.exists(tx, response):
        raise CannotAnswer("there is no conversation yet; it begins when the answer is accepted")
    if guest.id == actor.id or guest.kind == "Application" or response.of_asker(guest) or response.of_helper(guest):
        raise CannotAnswer("a guest is a third person")
    if not response.of_asker(actor) and not response.of_helper(actor):
        raise CannotAnswer("only the two whose conversation it is let somebody in")
    if len([one for one in await guests.of(tx, instance, response) if one.uri != guest.uri]) >= MOST_GUESTS:
        raise CannotAnswer(f"there are {MOST_GUESTS} guests in this conversation, or on the way into it; show one out first")
    if not guest.local:
        raise CannotAnswer("a guest of the other server is proposed there, and agreed to by handle; one of a third would bring that server into it")
    now = await _admitted(tx, instance, actor, response, guest.uri, guest.handle, role)
    other = await known.by_uri(tx, response.words.helper if response.of_asker(actor) else response.words.asker)
    if other is not None and other.local and not now.admitted:
        await notifications.tell(tx, instance, other.id, "guest.asked", response.id)
    await conversations.pass_on(tx, instance, actor, response, Matter("guest", "ask", guest.uri, guest.handle, role))
    return now


async def _admitted(tx: Transaction, instance: "Instance", by: Actor, response: Response, uri: Iri, handle: str, role: str) -> Guest:
    """Notes that one side agrees to a guest."""
    who = answers.hash_of(instance, "actor", uri)
    said: dict[str, str | int] = {"uri": uri, "handle": handle, "role": role}
    sealed = instance.vault.seal(json.dumps(said).encode(), f"conversation_guest:{response.id}")
    await tx.execute(ADD_GUEST, id=instance.ids.new(answers.hour(instance)), response_id=response.id, actor_hash=who, sealed=sealed)
    row = await tx.one(guests.GUEST, response_id=response.id, actor_hash=who)
    if row is None:
        raise CannotAnswer("it was not kept; try again")
    before = guests.read(instance, response, row)
    await tx.execute(ASKER_AGREES if response.of_asker(by) else HELPER_AGREES, id=row["id"])
    now = guests.read(instance, response, await tx.one(guests.GUEST, response_id=response.id, actor_hash=who) or row)
    if not now.admitted or before.admitted:
        return now
    # What was said before, and shared with one counterpart, was not said to a third.
    last = await tx.one(LAST_SAID, response_id=response.id)
    now = replace(now, after=0 if last is None or last["place"] is None else int(last["place"]))
    said |= {"role": now.role, "handle": now.handle, "after": now.after}
    await tx.execute(FROM_NOW_ON, id=row["id"], sealed=instance.vault.seal(json.dumps(said).encode(), f"conversation_guest:{response.id}"))
    guest = await known.by_uri(tx, uri)
    if guest is not None and guest.local:
        await notifications.tell(tx, instance, guest.id, "guest.admitted", response.id)
    return now


async def told(tx: Transaction, instance: "Instance", author: Actor, owner: Actor, response: Response, matter: Matter) -> None:
    """The other side proposes a guest of its own server, agrees to one of ours, or says that one left."""
    if not await conversations.exists(tx, response):
        return
    if matter.step == "refuse":
        row = await tx.one(guests.GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", matter.name))
        if row is not None:
            await tx.execute(REMOVE_GUEST, id=row["id"])
        return
    row = await tx.one(guests.GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", matter.name))
    if matter.step == "agree" and row is None:
        return
    # Whoever proposes speaks for people of its own server alone, under the name that server gives them.
    if row is None and (hosts.authority(matter.name) != author.host or matter.text not in ROLES or len(await guests.of(tx, instance, response)) >= MOST_GUESTS):
        return
    handle = matter.to if row is not None else f"{matter.to.partition('@')[0]}@{author.handle_host}"
    await _admitted(tx, instance, author, response, matter.name, handle, matter.text)
    if matter.step == "ask":
        await notifications.tell(tx, instance, owner.id, "guest.asked", response.id)


async def agree_to(tx: Transaction, instance: "Instance", actor: Actor, response: Response, handle: str) -> Guest:
    """One side agrees to the guest of that handle whom the other side, elsewhere, proposed. Raises `CannotAnswer`, `crossing.CannotReach`."""
    if not response.of_asker(actor) and not response.of_helper(actor):
        raise CannotAnswer("only the two whose conversation it is let somebody in")
    asked = next((one for one in await guests.of(tx, instance, response) if one.handle == handle.removeprefix("@")), None)
    if asked is None:
        raise CannotAnswer(f"the other side proposed no {handle}")
    now = await _admitted(tx, instance, actor, response, asked.uri, asked.handle, asked.role)
    await conversations.pass_on(tx, instance, actor, response, Matter("guest", "agree", asked.uri, asked.handle, asked.role))
    return now


async def show_out(tx: Transaction, instance: "Instance", actor: Actor, response: Response, handle: str) -> bool:
    """One side wants a guest of the other server, by handle, no longer in it. Raises `CannotAnswer`, `crossing.CannotReach`."""
    asked = next((one for one in await guests.of(tx, instance, response) if one.handle == handle.removeprefix("@")), None)
    if asked is None or not (response.of_asker(actor) or response.of_helper(actor)):
        return False
    row = await tx.one(guests.GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", asked.uri))
    if row is None or not await tx.execute(REMOVE_GUEST, id=row["id"]):
        return False
    await conversations.pass_on(tx, instance, actor, response, Matter("guest", "refuse", asked.uri))
    return True


async def leave(tx: Transaction, instance: "Instance", by: Actor, response: Response, guest: Actor) -> bool:
    """A guest leaves, or is shown out by either side; what they read cannot be unread. False if they were not in it. Raises `CannotAnswer`."""
    if by.id != guest.id and not response.of_asker(by) and not response.of_helper(by):
        raise CannotAnswer("a guest shows nobody out; the two whose conversation it is do")
    row = await tx.one(guests.GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", guest.uri))
    if row is None or not await tx.execute(REMOVE_GUEST, id=row["id"]):
        return False
    speaker = await known.by_uri(tx, response.words.asker if response.side == "asker" else response.words.helper)
    if speaker is not None and response.side != "both":
        await conversations.pass_on(tx, instance, speaker, response, Matter("guest", "refuse", guest.uri))
    return True
