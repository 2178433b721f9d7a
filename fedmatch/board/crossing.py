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


async def send(tx: Transaction, instance: "Instance", sender: Actor, to: Actor, activity: Activity, response: Response) -> None:
    """Sends an activity about one answer on its channel, to the one other actor it names. Raises `CannotReach`. Wake "delivery" after the commit."""
    key = answers.hash_of(instance, "order", response.words.offer).hex()
    match response.words.channel:
        case "sealed":
            if to.host_id is None:
                raise CannotReach(f"@{to.handle} has no server")
            try:
                ordering = f"{to.host} {key}"
                await confidential.publish(tx, instance, sender, activity, to.host_id, object=response.words.offer, ordering_key=ordering)
            except confidential.NotTrusted as error:
                raise CannotReach(f"{to.host} is not trusted any more, so nothing leaves; `fedmatch peers list` shows why") from error
        case "open":
            place = Audience(inboxes=(to.shared_inbox or to.inbox,))
            await publish.publish(tx, instance, sender, activity, place, object=new_name(instance, "letters"), ordering_key=key)
        case "here" | "note":
            raise ValueError(f"no activity travels by {response.words.channel}")


async def tell(tx: Transaction, instance: "Instance", helper: Actor, key: str, response: Response, *, more: str | None = None) -> None:
    """Writes to a helper on an ordinary server, from the instance itself, how their answer stands; what they reply to it belongs to the answer."""
    language = response.words.language or "en"
    text = words.words(language, key, title=response.words.title, days=DAYS)
    sender = await known.application(tx)
    letter = await letters.send(tx, instance, sender, helper, text if more is None else f"{text}\n\n{more}", language=language)
    await answers.name(tx, instance, response, letter)
