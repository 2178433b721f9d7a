"""What happens when an answer moves on along its life? Steps that several share: what is counted, who is told, what goes.

Each belongs to one transaction of the two sides' deeds (responses.py), of what others say (heard.py), or of time (patience.py).
"""

from typing import TYPE_CHECKING

import structlog

from actors import known
from actors.known import Actor
from fedmatch import chores
from fedmatch.board import answers, conversations, crossing, identities, letters, life, notifications
from fedmatch.board.answers import LIVE, Response, State, Words
from fedmatch.board.crossing import CannotReach
from fedmatch.board.trays import QUIET_MS
from fedmatch.jobs import enqueue
from schemas.activities import Offer, Reject
from schemas.objects import Agreement
from schemas.reading import Iri
from schemas.states import RESPONSE, IllegalMove
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()


async def move(tx: Transaction, instance: "Instance", held: Response, to: State, **changes: object) -> Response:
    """Leads it on along its life; what was sent is opened by whoever accepts it."""
    state = held.state
    if to == "accepted" and state == "sent":
        state = RESPONSE.move(state, "opened")  # type: ignore[assignment]  # a state of this life
    RESPONSE.move(state, to)
    return await answers.save(tx, instance, held, state=to, **changes)


async def refuse(tx: Transaction, instance: "Instance", held: Response, state: State, kind: str, reason: str | None = None) -> Response:
    """Ends it without a conversation: `declined` or `released`, for a reason of this `kind`; the helper is told, wherever they live."""
    asker = await known.by_uri(tx, held.words.asker)
    helper = await known.by_uri(tx, held.words.helper)
    now = await move(tx, instance, held, state, reason=kind if reason is None else f"{kind}: {reason}", text="")
    await over(tx, instance, now)
    if asker is None or helper is None:
        return now
    match held.words.channel:
        case "here":
            await notifications.tell(tx, instance, helper.id, f"response.{state}", now.id)
        case "note":
            key = "released" if state == "released" else "closed" if kind == "closed" else f"declined.{kind}"
            more = None
            if reason is not None:
                from fedmatch import words

                more = words.words(held.words.language or "en", "reason", reason=reason)
            await crossing.tell(tx, instance, helper, key, now, more=more)
        case "sealed" | "open":
            await reject(tx, instance, asker, helper, now, kind, reason)
    return now


async def reject(tx: Transaction, instance: "Instance", asker: Actor, helper: Actor, response: Response, kind: str, reason: str | None = None) -> None:
    """Tells the server of a helper by a Reject; one that is not trusted any more hears nothing."""
    words = response.words
    offer = repeated(words)
    said = kind if reason is None else f"{kind}: {reason}"
    activity = Reject(id=crossing.new_name(instance, "answers"), actor=asker.uri, to=(helper.uri,), object=offer, content=said)
    try:
        await crossing.send(tx, instance, asker, helper, activity, response)
    except CannotReach:
        log.info("response.not_told", response=response.id)  # its server is not trusted any more; it releases by itself there


async def taken_back(tx: Transaction, instance: "Instance", held: Response) -> Response:
    """The helper withdrew: what was taken is given back, what was said goes, and the asker is told."""
    now = await move(tx, instance, held, "withdrawn", text="")
    if held.state == "accepted":
        await _give_back(tx, instance, held)
    await over(tx, instance, now)
    asker = await known.by_uri(tx, held.words.asker)
    if asker is not None and asker.local and held.tray != "held":
        await notifications.tell(tx, instance, asker.id, "response.withdrawn", now.id)
    return now


async def ended(tx: Transaction, instance: "Instance", held: Response, *, failed: bool, receipt: Iri | None = None) -> Response:
    """It is done, or it did not work out: counted, and both sides that live here are asked how it went."""
    now = await move(tx, instance, held, "failed" if failed else "completed", receipt=receipt)
    if held.side != "helper":
        if failed:
            await _give_back(tx, instance, held)
        else:
            await _counted(tx, instance, held)
    for uri in (held.words.asker, held.words.helper):
        person = await known.by_uri(tx, uri)
        if person is not None and person.local:
            await notifications.tell(tx, instance, person.id, f"response.{now.state}", now.id)
            await notifications.tell(tx, instance, person.id, "feedback.asked", now.id)
    await over(tx, instance, now)
    return now


async def _give_back(tx: Transaction, instance: "Instance", held: Response) -> None:
    try:
        await life.give_back(tx, instance, held.words.listing_id, held.words.quantity, held.words.need)
    except (life.NotOurs, life.NoSuchNeed, IllegalMove):
        log.info("response.nothing_to_give_back", response=held.id)  # the listing is gone or closed: nothing counts there any more


async def _counted(tx: Transaction, instance: "Instance", held: Response) -> None:
    try:
        await life.complete(tx, instance, held.words.listing_id, held.words.quantity, held.words.need)
    except (life.NotOurs, life.NoSuchNeed, IllegalMove):
        log.info("response.nothing_to_count", response=held.id)


async def converse(tx: Transaction, instance: "Instance", response: Response) -> None:
    """Opens the conversation of what was accepted, which is asked after when it falls silent (patience.py)."""

    await conversations.begin(tx, instance, response)
    await enqueue(tx, instance, "response", str(response.id), instance.clock.ms() + QUIET_MS)


async def over(tx: Transaction, instance: "Instance", response: Response) -> None:
    """Nothing comes of it any more: where it never became a conversation nothing of its text stays, and a one-time identity that gave it may end."""
    await chores.erase_soon(tx, instance)
    if response.state in ("declined", "withdrawn", "released"):
        await letters.forget_of(tx, response)
    if response.state in LIVE:
        return
    helper = await known.by_uri(tx, response.words.helper)
    if helper is not None and helper.one_time and not await answers.holds(tx, instance, helper):
        await identities.closed(tx, instance, helper.id)


def offered_by(words: Words, *, with_text: bool) -> Agreement:
    """The Agreement inside an Offer; `with_text` only where the Offer itself is sent."""
    return Agreement(
        satisfies=Iri(f"{words.listing}#primary"),
        quantity=words.quantity,
        need=words.need,
        text=words.text if with_text else "",
        language=words.language if with_text else None,
        vouches=words.vouches if with_text else (),
        speaks=words.speaks if with_text else (),
        region=words.region if with_text else None,
    )


def repeated(words: Words) -> Offer:
    """The Offer as it is named in what is said about it: without its text, and addressed to nobody again."""
    return Offer(id=words.offer, actor=words.helper, object=offered_by(words, with_text=False))
