"""Into which tray does an answer go? Vouched helpers have one that nobody else can fill; the rest is bounded, and whoever finds it full is told so."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import blocks, known, peers
from actors.known import Actor
from fedmatch.board import answers, fit, identities, life, notifications, terms
from fedmatch.board.answers import HOUR_MS, Channel, Response, Tray, Words
from fedmatch.board.listings import Listing
from fedmatch.jobs import enqueue
from fedmatch.safety import border, vouches
from schemas import agreements
from schemas.objects import Agreement
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

Refusal = Literal["later", "closed", "floor", "fit", "speaks", "region", "again", "released"]

MOST_REST: Final = 20
MOST_OF_HOST: Final = 2
REMIND_MS: Final = 48 * HOUR_MS
RELEASE_MS: Final = 7 * 24 * HOUR_MS
URGENT_MS: Final = 24 * HOUR_MS
QUIET_MS: Final = 30 * 24 * HOUR_MS
"""How long an agreement may be silent before both sides are asked how it goes."""


async def take_in(
    tx: Transaction,
    instance: "Instance",
    listing: Listing,
    asker: Actor,
    helper: Actor,
    text: str,
    *,
    offer: Iri,
    channel: Channel,
    agreement: Agreement | None = None,
    note: Iri | None = None,
    language: str | None = None,
    flagged: bool = False,
) -> Response | Refusal:
    """Takes in what somebody elsewhere answers to a listing of ours: the answer, or why it is not kept. Raises `actors.vault.Locked`.

    Somebody whom the asker blocks cannot tell, whatever they try: their answer lives and ends as one that the asker never opens, without its words, and
    nobody here is shown it. What is refused is for the caller to say.
    """
    words = Words(
        listing=listing.url,
        listing_id=listing.id,
        title=listing.title,
        asker=asker.uri,
        asker_handle=asker.handle,
        helper=helper.uri,
        helper_handle=helper.handle,
        offer=offer,
        channel=channel,
        text=text[: agreements.MOST_TEXT],
        language=language or (agreement.language if agreement else None),
        quantity=agreement.quantity if agreement else 1,
        need=agreement.need if agreement else None,
        note=note,
        flagged=flagged,
        vouches=agreement.vouches if agreement else (),
        speaks=agreement.speaks if agreement else fit.stated(text)[0],
        region=agreement.region if agreement else fit.stated(text)[1],
        kind=listing.kind,
    )
    if not await identities.takes_contacts(tx, asker.id):
        return "closed"
    return await put(tx, instance, listing, asker, helper, words, silent=await unwanted(tx, instance, asker, helper))


async def put(
    tx: Transaction, instance: "Instance", listing: Listing, asker: Actor, helper: Actor, words: Words, *, silent: bool = False
) -> Response | Refusal:
    """Puts an answer to a listing of ours into the tray it belongs to; or says why it does not go there.

    A `silent` one its asker is never shown. Of somebody elsewhere its words go; of somebody here they stay, for their own eyes.
    """
    if listing.state != "open":
        return "closed"
    if await answers.live_between(tx, instance, listing.url, helper.uri) is not None:
        return "again"
    if not await _fits(tx, listing, words):
        return "fit"
    spoken = words.speaks if words.language is None else (*words.speaks, words.language)
    if (why := await fit.refused(tx, instance, listing.proposal, helper, spoken, words.region)) is not None:
        return why
    wishes = await terms.of(tx, instance, listing.id)
    partner = None if helper.host_id is None else await peers.partner(tx, helper.host_id)
    if partner is not None and wishes.excludes(partner.terms.countries):
        return "fit"  # the refusal that says least: which countries are excluded nobody is to hear
    standing = await vouches.standing(tx, instance, helper, words.vouches)
    if not standing.meets(wishes.answers.level, wishes.answers.issuers):
        return "floor"
    words = answers.weighed(words, standing)
    tray: Tray = "vouched" if words.level >= 1 else "rest"
    if tray == "rest":
        if not helper.local and await border.waits(tx, instance, helper.id):
            tray = "held"
        everybody, of_host = await answers.unopened(tx, instance, listing.url, helper.host)
        if everybody >= MOST_REST or (of_host >= MOST_OF_HOST and not helper.local):
            return "later"
    until = ends(instance, listing, tray)
    if silent:
        words, tray = words if helper.local else replace(words, text=""), "held"
    made = await answers.insert(tx, instance, words, side="both" if helper.local else "asker", tray=tray, ends=until, one_time=helper.one_time)
    await look_at(tx, instance, made, min(made.ends, made.created + (HOUR_MS if tray == "held" else REMIND_MS)))
    if tray == "held" and not silent:
        await notifications.tell_staff(tx, instance, "review.waiting", made.id)
    elif not silent:
        await notifications.tell(tx, instance, asker.id, "response.received", made.id)
    log.info("response.received", response=made.id, tray=tray)
    return made


async def _fits(tx: Transaction, listing: Listing, words: Words) -> bool:
    """Whether so much of it is wanted at all, in whole."""
    if words.quantity < 1:
        return False
    parts = await life.parts(tx, listing)
    named = [part for part in parts if words.need is None or (part.name or "").casefold() == words.need.casefold()]
    return any(part.quantity is None or words.quantity <= part.quantity for part in named)


def ends(instance: "Instance", listing: Listing, tray: Tray = "vouched") -> int:
    """When an answer of this tray is released, if nobody decides: milliseconds UTC."""
    return answers.hour(instance) + (URGENT_MS if listing.urgency == "hours" and tray != "vouched" else RELEASE_MS)


async def look_at(tx: Transaction, instance: "Instance", response: Response, at_ms: int) -> None:
    """Asks for an answer to be looked at, at a moment in milliseconds UTC."""
    await enqueue(tx, instance, "response", str(response.id), at_ms)


def said(refusal: Refusal, codes: str = "") -> str:
    """What an answerer of ours is told of a refusal; `codes` are the languages or the country that it asks for."""
    return {
        "later": "many answers wait there; please try again in a few days",
        "closed": "it is not open any more",
        "floor": "its author takes answers only from people somebody trusted vouches for; `fedmatch vouch list` shows who vouches for you",
        "fit": "it does not ask for this",
        "speaks": f"its author can take answers only from people who speak {codes}; if you do, say so with --speaks CODES",
        "region": f"its author can take answers only from people in {codes}; if you are there, say so with --region CODE",
        "again": "you answered it already",
        "released": "it was released",
    }[refusal]


async def unwanted(tx: Transaction, instance: "Instance", asker: Actor, helper: Actor) -> bool:
    """Whether the asker, or the person behind it, blocks the helper."""
    person = await identities.person_of(tx, instance, asker.id)
    return await blocks.blocks(tx, asker.id, helper.id) or (person != asker.id and await blocks.blocks(tx, person, helper.id))


async def put_away(tx: Transaction, instance: "Instance", asker: Actor) -> None:
    """What nobody opened yet and comes from somebody whom the asker blocks since is shown no more. It waits and ends as one that was never opened: its
    sender cannot tell. Raises `actors.vault.Locked`."""
    for held in await answers.of_actor(tx, instance, asker):
        if held.of_asker(asker) and await blocked_since(tx, instance, asker, held):
            await put_one_away(tx, instance, held)


async def put_one_away(tx: Transaction, instance: "Instance", held: Response) -> Response:
    """The same for one answer, which `blocked_since` is true of."""
    now = await answers.save(tx, instance, held, tray="held")
    await look_at(tx, instance, now, min(now.ends, instance.clock.ms() + HOUR_MS))
    return now


async def blocked_since(tx: Transaction, instance: "Instance", asker: Actor, held: Response) -> bool:
    """Whether this answer lies in a tray, unopened, though its asker has blocked who gave it."""
    if held.state != "sent" or held.side == "helper" or held.tray == "held":
        return False
    helper = await known.by_uri(tx, held.words.helper)
    return helper is not None and await unwanted(tx, instance, asker, helper)


async def lift(tx: Transaction, instance: "Instance", asker: Actor) -> None:
    """What waited at the border comes to the asker, where an admin let its server in since; so does what was put away, where nobody is blocked any more."""
    for held in await answers.held(tx, instance, asker):
        await lifted(tx, instance, asker, held)


async def lifted(tx: Transaction, instance: "Instance", asker: Actor, held: Response) -> bool:
    """Lets one that waited at the border come to the asker; False while its server is not let in, or nobody here is to be shown it."""
    helper = await known.by_uri(tx, held.words.helper)
    if helper is None or not instance.trust.actor(helper.uri, "receive").shown or await unwanted(tx, instance, asker, helper):
        return False
    await answers.save(tx, instance, held, tray="vouched" if held.words.level >= 1 else "rest")
    await notifications.tell(tx, instance, asker.id, "response.received", held.id)
    return True
