"""Who may be told of whom, and how did it go? Introductions to a third person or role, and private feedback. What may be told to others: stories.py.

Whoever helps proposes: to a request whoever answered it, to an offer its author. Nothing is passed on before the other, who needs the help, agreed for that
one recipient; until it was passed they may take that back.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from actors import known
from actors.known import Actor
from fedmatch.board import answers, conversations, crossing, notifications
from fedmatch.board.answers import CannotAnswer, Response
from schemas.objects import Matter
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

MOST_TEXT: Final = 2000
MOST: Final = 50
"""Introductions in one conversation."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """Whoever helps proposes to introduce the other to `to`, a person or a role, and says why."""

    id: int
    response_id: int
    state: str
    to: str
    why: str
    name: Iri
    """Its id between the two servers."""

    def json(self) -> dict[str, str]:
        """The form scripts read."""
        return {"id": str(self.id), "response": str(self.response_id), "state": self.state, "to": self.to, "why": self.why}


INSERT: Final = """
insert into introduction (id, response_id, state, sealed, created_at)
values (:id, :response_id, 'asked', :sealed, :now)
"""

SELECT: Final = """
select introduction.id, introduction.response_id, introduction.state, introduction.sealed
from introduction
where introduction.response_id = :response_id
order by introduction.id
"""

BY_ID: Final = """
select introduction.id, introduction.response_id, introduction.state, introduction.sealed
from introduction
where introduction.id = :id
"""

MOVE: Final = """
update introduction
set state = :state
where id = :id
  and state = :before
"""


async def propose(tx: Transaction, instance: "Instance", helper: Actor, response: Response, to: str, why: str) -> Introduction:
    """Whoever helps asks whether the other may be introduced to `to`, a person or a role. Raises `CannotAnswer`, `crossing.CannotReach`."""
    if not response.helps(helper) or response.state != "accepted":
        raise CannotAnswer("whoever helps proposes an introduction, once the answer is accepted")
    to, why = to.strip(), why.strip()
    if not to or len(to) + len(why) > MOST_TEXT:
        raise CannotAnswer(f"say to whom, and why, in at most {MOST_TEXT} letters")
    if len(await of(tx, instance, response)) >= MOST:
        raise CannotAnswer(f"there are {MOST} introductions in this conversation, and no room for one more")
    name = crossing.new_name(instance, "introductions")
    await _tell(tx, instance, helper, response, "introduction.asked")
    await conversations.pass_on(tx, instance, helper, response, Matter("introduction", "ask", name, to, why))
    return await _keep(tx, instance, response, name, to, why)


async def _tell(tx: Transaction, instance: "Instance", by: Actor, response: Response, kind: str) -> None:
    """Tells the other of the two, if they live here."""
    other = await known.by_uri(tx, response.words.helper if response.of_asker(by) else response.words.asker)
    if other is not None and other.local:
        await notifications.tell(tx, instance, other.id, kind, response.id)


async def _keep(tx: Transaction, instance: "Instance", response: Response, name: Iri, to: str, why: str) -> Introduction:
    new_id = instance.ids.new(answers.hour(instance))
    said = {"to": to, "why": why, "name": name}
    sealed = instance.vault.seal(json.dumps(said, ensure_ascii=False).encode(), f"introduction:{new_id}")
    await tx.execute(INSERT, id=new_id, response_id=response.id, sealed=sealed, now=answers.hour(instance))
    return Introduction(new_id, response.id, "asked", to, why, name)


async def told(tx: Transaction, instance: "Instance", author: Actor, owner: Actor, response: Response, matter: Matter) -> None:
    """What the other side's server says of an introduction: whoever helps proposes one, or passed it on; or the other decides on one of ours."""
    before = next((one for one in await of(tx, instance, response) if one.name == matter.name), None)
    if matter.step == "ask":
        if before is None and response.helps(author) and response.state == "accepted" and matter.to and len(await of(tx, instance, response)) < MOST:
            await _keep(tx, instance, response, matter.name, matter.to[:MOST_TEXT], matter.text[:MOST_TEXT])
            await notifications.tell(tx, instance, owner.id, "introduction.asked", response.id)
        return
    if before is None:
        return
    if matter.step == "pass":
        # It may have been passed on in the moment in which the consent was taken back here: then this is what happened.
        if response.helps(author) and before.state != "asked" and await tx.execute(MOVE, id=before.id, state="passed", before=before.state):
            await notifications.tell(tx, instance, owner.id, "introduction.passed", response.id)
        return
    if response.needs(author) and await _decided(tx, before, agreed=matter.step == "agree"):
        await notifications.tell(tx, instance, owner.id, "introduction.decided", response.id)


async def _decided(tx: Transaction, before: Introduction, *, agreed: bool) -> bool:
    """Notes the decision; False if it cannot be made any more. A yes is taken back as long as nothing was passed on, a no is final."""
    if before.state not in (("asked",) if agreed else ("asked", "agreed")):
        return False
    return await tx.execute(MOVE, id=before.id, state="agreed" if agreed else "refused", before=before.state) > 0


async def decide(tx: Transaction, instance: "Instance", asker: Actor, response: Response, id: int, *, agreed: bool) -> Introduction:
    """Whoever needs help agrees for this one recipient, or does not (any more); only then is anything passed. Raises `CannotAnswer`, `crossing.CannotReach`."""
    found = await _by_id(tx, instance, id)
    if found is None or found.response_id != response.id or not response.needs(asker):
        raise CannotAnswer(f"there is no introduction {id} here that {asker.username} decides about; without an option they are listed")
    if not await _decided(tx, found, agreed=agreed):
        raise CannotAnswer(f"it is {found.state} already")
    await _tell(tx, instance, asker, response, "introduction.decided")
    await conversations.pass_on(tx, instance, asker, response, Matter("introduction", "agree" if agreed else "refuse", found.name))
    return replace(found, state="agreed" if agreed else "refused")


async def passed(tx: Transaction, instance: "Instance", helper: Actor, response: Response, id: int) -> Introduction:
    """Whoever helps notes that it was passed on, which the other is told; possible only after they agreed. Raises `CannotAnswer`, `crossing.CannotReach`."""
    found = await _by_id(tx, instance, id)
    if found is None or found.response_id != response.id or not response.helps(helper):
        raise CannotAnswer(f"there is no introduction {id} here that {helper.username} proposed; without an option they are listed")
    if not await tx.execute(MOVE, id=id, state="passed", before="agreed"):
        raise CannotAnswer(f"it is {found.state}: nothing is passed on before the other agreed for {found.to}")
    await _tell(tx, instance, helper, response, "introduction.passed")
    await conversations.pass_on(tx, instance, helper, response, Matter("introduction", "pass", found.name))
    return replace(found, state="passed")


async def shown(tx: Transaction, instance: "Instance", actor: Actor, response: Response) -> list[Introduction]:
    """The introductions of one answer for one of the two, oldest first; a guest is told of none. Raises `CannotAnswer`."""
    if not response.of_asker(actor) and not response.of_helper(actor):
        raise CannotAnswer("introductions are between the two whose conversation it is")
    return await of(tx, instance, response)


async def of(tx: Transaction, instance: "Instance", response: Response) -> list[Introduction]:
    """The introductions of one answer, oldest first."""
    return [_read(instance, row) for row in await tx.all(SELECT, response_id=response.id)]


async def _by_id(tx: Transaction, instance: "Instance", id: int) -> Introduction | None:
    row = await tx.one(BY_ID, id=id)
    return None if row is None else _read(instance, row)


def _read(instance: "Instance", row: Row) -> Introduction:
    said = json.loads(instance.vault.open(bytes(row["sealed"]), f"introduction:{row['id']}"))
    return Introduction(row["id"], row["response_id"], row["state"], said["to"], said["why"], Iri(said["name"]))


# How it went.


FEEDBACK: Final = """
insert into feedback (response_id, actor_hash, sealed)
values (:response_id, :actor_hash, :sealed)
on conflict (response_id, actor_hash) do update
set sealed = excluded.sealed
"""

FEEDBACKS: Final = """
select feedback.response_id, feedback.sealed
from feedback
order by feedback.response_id desc
limit :limit
"""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one side, nobody says which, told the people who run this instance about an answer."""

    response_id: int
    title: str
    state: str
    text: str

    def json(self) -> dict[str, str]:
        """The form scripts read."""
        return {"response": str(self.response_id), "title": self.title, "state": self.state, "text": self.text}


async def feedback(tx: Transaction, instance: "Instance", actor: Actor, response: Response, text: str) -> None:
    """Keeps how it went, as one side says it in private: never shown to the other, never sent anywhere. Raises `CannotAnswer`."""
    if response.state not in ("completed", "failed") or not (response.of_asker(actor) or response.of_helper(actor)):
        raise CannotAnswer("feedback is given by the two sides, when it is completed or failed")
    if not 0 < len(text.strip()) <= MOST_TEXT:
        raise CannotAnswer(f"feedback has 1 to {MOST_TEXT} letters")
    sealed = instance.vault.seal(text.strip().encode(), f"feedback:{response.id}")
    await tx.execute(FEEDBACK, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", actor.uri), sealed=sealed)


async def feedbacks(tx: Transaction, instance: "Instance", limit: int = 100) -> list[Feedback]:
    """What was said of late, newest answers first, for the people who run this instance; it goes with its answer. Raises `actors.vault.Locked`."""
    found = []
    for row in await tx.all(FEEDBACKS, limit=limit):
        held = await answers.by_id(tx, instance, row["response_id"])
        text = instance.vault.open(bytes(row["sealed"]), f"feedback:{row['response_id']}").decode()
        if held is not None:
            found.append(Feedback(held.id, held.words.title, held.state, text))
    return found
