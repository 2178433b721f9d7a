"""How does what is said about an answer reach the other side? Sealed to a trusted peer, as FEP-0837 to a server that announces it, else as a direct Note.

What is about a listing that is not public goes sealed or not at all. Nothing here is addressed to more than one actor, and no row of the queue names both.
"""

import secrets
from typing import TYPE_CHECKING, Final

from actors import capabilities, known, peers
from actors.known import Actor
from fedmatch import words
from fedmatch.board import answers, letters
from fedmatch.board.answers import Channel, Response
from outbox import confidential, publish
from outbox.address import Audience
from schemas import vocabulary
from schemas.activities import Activity
from schemas.agreements import CAPABILITY
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

DAYS: Final = 7


class CannotReach(ValueError):
    """The other side cannot be reached in a way that its listing allows; the text says why and what to do."""


def new_name(instance: "Instance", kind: str) -> Iri:
    """An id for something that leaves: it says neither when it was made nor what it is about."""
    return Iri(f"{instance.config.base_url}/{kind}/{secrets.token_hex(16)}")


async def channel(tx: Transaction, other: Actor, *, public: bool) -> Channel:
    """The best way to `other`. Raises `CannotReach` where what is answered is not public and there is no sealed one."""
    if other.local:
        return "here"
    partner = None if other.host_id is None else await peers.partner(tx, other.host_id)
    if partner is not None and partner.ready:
        return "sealed"
    if not public:
        raise CannotReach(f"{other.host} is not a trusted peer (any more), and this is not public; `fedmatch peers list` shows who is")
    return "open" if await capabilities.has(tx, other.host_id, CAPABILITY) else "note"


async def by_letter(tx: Transaction, held: Response) -> bool:
    """Whether its helper is asked by letters, from here, how it went: their server is an ordinary one, or knows agreements (FEP-0837) and nothing of ours."""
    if held.side != "asker" or held.words.channel == "sealed":
        return False
    helper = await known.by_uri(tx, held.words.helper)
    return held.words.channel == "note" or (helper is not None and not await capabilities.has(tx, helper.host_id, Iri(vocabulary.NAMESPACE)))


async def send(
    tx: Transaction, instance: "Instance", sender: Actor, to: Actor, activity: Activity, response: Response, *, not_before: int | None = None
) -> None:
    """Sends an activity about one answer on its channel, to the one other actor it names. Raises `CannotReach`. Wake "delivery" after the commit.

    `not_before`: the moment, in milliseconds UTC, before which it does not leave; until then `recall` takes it back.
    """
    key = _key(instance, response)
    match response.words.channel:
        case "sealed":
            if to.host_id is None:
                raise CannotReach(f"@{to.handle} has no server")
            try:
                ordering = f"{to.host} {key}"
                await confidential.publish(
                    tx, instance, sender, activity, to.host_id, object=response.words.offer, ordering_key=ordering, not_before=not_before
                )
            except confidential.NotTrusted as error:
                raise CannotReach(f"{to.host} is not trusted any more, so nothing leaves; `fedmatch peers list` shows why") from error
        case "open":
            place = Audience(inboxes=(to.shared_inbox or to.inbox,))
            await publish.publish(tx, instance, sender, activity, place, object=new_name(instance, "letters"), ordering_key=key, not_before=not_before)
        case "here" | "note":
            raise ValueError(f"no activity travels by {response.words.channel}")


def _key(instance: "Instance", response: Response) -> str:
    return answers.hash_of(instance, "order", response.words.offer).hex()


async def recall(tx: Transaction, instance: "Instance", to: Actor, response: Response) -> bool:
    """Takes an answer of ours back before its time to leave has come: True if nothing of it left or will, so that nothing needs to be undone."""
    match response.words.channel:
        case "sealed":
            return await confidential.recall(tx, instance, to.host, f"{to.host} {_key(instance, response)}")
        case "open":
            return await publish.recall(tx, instance, _key(instance, response))
        case "note":
            return response.words.note is not None and await publish.recall(tx, instance, response.words.note)
        case "here":
            return False


async def tell(tx: Transaction, instance: "Instance", helper: Actor, key: str, response: Response, *, more: str | None = None, days: int = DAYS) -> Iri:
    """Writes to a helper on an ordinary server, from the instance itself, how their answer stands; what they reply to it belongs to the answer.

    Gives the id of the letter.
    """
    language = response.words.language or "en"
    text = words.words(language, key, title=response.words.title, days=days)
    sender = await known.application(tx)
    letter = await letters.send(tx, instance, sender, helper, text if more is None else f"{text}\n\n{more}", language=language)
    await answers.name(tx, instance, response, letter)
    return letter
