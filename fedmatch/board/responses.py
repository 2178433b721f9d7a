"""What may become of an answer? Its life (schemas.states.RESPONSE), led exactly once: the asker opens and decides, the helper takes back.

    answer       one of ours answers, here or elsewhere          open, accept, decline    by the asker
    offered, answered, undone, changed, closed   what others say  withdraw                 by the helper
    look         the job: reminds after 48 hours, releases after 7 days                    complete    by either side

Vouched helpers have a tray of their own, which nobody else can fill. The rest is bounded, and whoever finds it full is told to try later.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import blocks, known, peers
from actors.known import Actor
from fedmatch import chores
from fedmatch.board import answers, crossing, identities, life, listings, notifications, terms
from fedmatch.board.answers import HOUR_MS, LIVE, WAITING, Channel, Response, State, Tray, Words
from fedmatch.board.crossing import CannotReach
from fedmatch.board.listings import Listing
from fedmatch.jobs import enqueue
from fedmatch.safety import border, vouches
from schemas import agreements
from schemas.activities import Accept, Create, Offer, Reject, Undo, Update
from schemas.events import ActorGone, AgreementChanged, OfferAnswered, Offered, OfferUndone, PeerLost, PeerTrusted, PostChanged, PostGone, VouchesChanged
from schemas.objects import Agreement, Receipt
from schemas.reading import Iri
from schemas.states import RESPONSE, IllegalMove
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

Refusal = Literal["later", "closed", "floor", "fit", "again", "released"]
Decline = Literal["found", "fit", "check", "other"]
DECLINES: Final = ("found", "fit", "check", "other")
"""Help was found already; it does not fit; its sender cannot be checked; something else."""

MOST_OPEN: Final = 3
"""Answers an asker has open at once: whoever is being considered knows it, and is not kept waiting for ever."""
MOST_REST: Final = 20
MOST_OF_HOST: Final = 2
REMIND_MS: Final = 48 * HOUR_MS
RELEASE_MS: Final = 7 * 24 * HOUR_MS
URGENT_MS: Final = 24 * HOUR_MS
LOCKED_MS: Final = 60_000
OVER: Final = frozenset({"fulfilled", "withdrawn", "expired"})


class CannotAnswer(ValueError):
    """An answer cannot be given, decided or changed like this; the text says why and what to do."""


# Giving an answer.


async def answer(
    tx: Transaction,
    instance: "Instance",
    helper: Actor,
    listing: Listing,
    text: str,
    *,
    language: str | None = None,
    need: str | None = None,
    not_before: int | None = None,
) -> Response:
    """One of ours answers a listing, here or on another instance. Plain text of at most 5,000 letters.

    To another instance it leaves at `not_before`, in milliseconds UTC, and not earlier: a one-time identity is not to be known by when its owner is awake.
    Withdrawn before that nothing of it leaves at all. What stays on this instance is there at once.

    Gives the answer, in state sent; its `channel` says who can read it. Wake "delivery" and "job" after the commit. Raises `CannotAnswer`,
    `crossing.CannotReach`, `actors.vault.Locked`.
    """
    asker = await known.by_id(tx, listing.actor_id)
    text = text.strip()
    if not text or len(text) > agreements.MOST_TEXT:
        raise CannotAnswer(f"an answer has 1 to {agreements.MOST_TEXT} letters; this one has {len(text)}")
    if asker is None or not asker.active or not listing.url:
        raise CannotAnswer("its author is not here any more")
    if await identities.person_of(tx, instance, asker.id) == await identities.person_of(tx, instance, helper.id):
        raise CannotAnswer("this is a listing of your own")
    if listing.state != "open":
        raise CannotAnswer(f"it is {listing.state} and takes no answers")
    if await answers.live_between(tx, instance, listing.url, helper.uri) is not None:
        raise CannotAnswer(f"{helper.username} answered it already; `fedmatch response list --as {helper.username}` shows how it stands")
    way = await crossing.channel(tx, asker, public=listing.public)
    words = Words(
        listing=listing.url,
        listing_id=listing.id,
        title=listing.title,
        asker=asker.uri,
        asker_handle=asker.handle,
        helper=helper.uri,
        helper_handle=helper.handle,
        offer=crossing.new_name(instance, "offers"),
        channel=way,
        text=text,
        language=language,
        need=need,
        # Where nobody trusts us our word weighs nothing, and would only tell more people of it.
        vouches=await vouches.of(tx, instance, helper) if way in ("here", "sealed") else (),
    )
    if way == "here":
        made = await _take_in(tx, instance, listing, asker, helper, words)
        if not isinstance(made, Response):
            raise CannotAnswer(_said(made))
        return made
    made = await answers.insert(tx, instance, words, side="helper", tray="rest", ends=_ends(instance, listing))
    await _look_at(tx, instance, made, made.ends + 24 * HOUR_MS + max(0, (not_before or 0) - instance.clock.ms()))
    if way == "note":
        return await _by_note(tx, instance, helper, asker, made, not_before)
    activity = Offer(id=words.offer, actor=helper.uri, to=(asker.uri,), object=_offered(words, with_text=True))
    await crossing.send(tx, instance, helper, asker, activity, made, not_before=not_before)
    if way == "sealed" and asker.host_id is not None:
        for vouch in words.vouches:
            await vouches.given(tx, instance, vouch, asker.host_id)
    log.info("response.sent", response=made.id, channel=way)
    return made


async def _by_note(tx: Transaction, instance: "Instance", helper: Actor, asker: Actor, response: Response, not_before: int | None) -> Response:
    """The same for an ordinary server: a direct reply, as anybody there would write it."""
    from fedmatch.board import letters

    words = response.words
    note = await letters.send(
        tx,
        instance,
        helper,
        asker,
        words.text,
        language=words.language or "en",
        in_reply_to=words.listing,
        hourly=helper.one_time,
        not_before=not_before,
    )
    await answers.name(tx, instance, response, note)
    return await answers.save(tx, instance, response, note=note)


def _offered(words: Words, *, with_text: bool) -> Agreement:
    return Agreement(
        satisfies=Iri(f"{words.listing}#primary"),
        quantity=words.quantity,
        need=words.need,
        text=words.text if with_text else "",
        language=words.language if with_text else None,
        vouches=words.vouches if with_text else (),
    )


def _repeated(words: Words) -> Offer:
    """The Offer as it is named in what is said about it: without its text, and addressed to nobody again."""
    return Offer(id=words.offer, actor=words.helper, object=_offered(words, with_text=False))


def _said(refusal: Refusal) -> str:
    return {
        "later": "many answers wait there; please try again in a few days",
        "closed": "it is not open any more",
        "floor": "its author takes answers only from people somebody trusted vouches for; `fedmatch vouch list` shows who vouches for you",
        "fit": "it does not ask for this",
        "again": "you answered it already",
        "released": "it was released",
    }[refusal]


# Taking one in.


async def _take_in(
    tx: Transaction, instance: "Instance", listing: Listing, asker: Actor, helper: Actor, words: Words, *, silent: bool = False
) -> Response | Refusal:
    """Puts an answer to a listing of ours into the tray it belongs to; or says why it does not go there. A `silent` one nobody here is shown."""
    if listing.state != "open":
        return "closed"
    if await answers.live_between(tx, instance, listing.url, helper.uri) is not None:
        return "again"
    if not await _fits(tx, listing, words):
        return "fit"
    wishes = await terms.of(tx, instance, listing.id)
    partner = None if helper.host_id is None else await peers.partner(tx, helper.host_id)
    if partner is not None and wishes.excludes(partner.terms.jurisdiction):
        return "fit"  # the refusal that says least: which countries are excluded nobody is to hear
    standing = await vouches.standing(tx, instance, helper, words.vouches)
    if not standing.meets(wishes.answers.level, wishes.answers.issuers):
        return "floor"
    words = replace(words, level=standing.level, issuers=standing.issuers)
    tray: Tray = "vouched" if words.level >= 1 else "rest"
    if tray == "rest":
        if not helper.local and await border.waits(tx, instance, helper.id):
            tray = "held"
        everybody, of_host = await answers.unopened(tx, instance, listing.url, helper.host)
        if everybody >= MOST_REST or (of_host >= MOST_OF_HOST and not helper.local):
            return "later"
    ends = _ends(instance, listing, tray)
    if silent:
        words, tray = replace(words, text=""), "held"
    made = await answers.insert(tx, instance, words, side="both" if helper.local else "asker", tray=tray, ends=ends)
    await _look_at(tx, instance, made, min(made.ends, made.created + (HOUR_MS if tray == "held" else REMIND_MS)))
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


def _ends(instance: "Instance", listing: Listing, tray: Tray = "vouched") -> int:
    return answers.hour(instance) + (URGENT_MS if listing.urgency == "hours" and tray != "vouched" else RELEASE_MS)


async def _look_at(tx: Transaction, instance: "Instance", response: Response, at_ms: int) -> None:
    await enqueue(tx, instance, "response", str(response.id), at_ms)


async def _judged(tx: Transaction, instance: "Instance", helper: Actor, words: Words) -> Words:
    """The words with how much is said for the helper, as this instance weighs it now."""
    standing = await vouches.standing(tx, instance, helper, words.vouches)
    return replace(words, level=standing.level, issuers=standing.issuers)


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
    )
    if not await identities.takes_contacts(tx, asker.id):
        return "closed"
    return await _take_in(tx, instance, listing, asker, helper, words, silent=await unwanted(tx, instance, asker, helper))


async def unwanted(tx: Transaction, instance: "Instance", asker: Actor, helper: Actor) -> bool:
    """Whether the asker, or the person behind it, blocks the helper."""
    person = await identities.person_of(tx, instance, asker.id)
    return await blocks.blocks(tx, asker.id, helper.id) or (person != asker.id and await blocks.blocks(tx, person, helper.id))


# What others' activities say.


async def offered(instance: "Instance", tx: Transaction, event: Offered) -> None:
    """An Offer(Agreement) to one of ours goes into a tray once, or is refused by a Reject. About a listing that its sender cannot know nothing is said."""
    helper = await known.by_id(tx, event.actor_id)
    if helper is None or helper.local or await answers.by_name(tx, instance, event.uri) is not None:
        return
    if await answers.was(tx, instance, "undone", event.uri):
        return
    what = event.agreement
    found = await listings.find(tx, instance, agreements.intent_owner(what.satisfies))
    if found is None or not found.local or not found.url:
        return
    asker = await known.by_id(tx, found.actor_id)
    if asker is None or asker.uri not in event.to:
        return
    if not found.public and not (event.confidential and await _has_copy(tx, found.id, helper.host_id)):
        return
    way: Channel = "sealed" if event.confidential else "open"
    wrong = what.satisfies.partition("#")[2] != "primary" or what.unit != "one" or set(event.to) != {asker.uri}
    made: Response | Refusal = "fit" if wrong else await take_in(tx, instance, found, asker, helper, what.text, offer=event.uri, channel=way, agreement=what)
    if isinstance(made, Response):
        return
    refused = Words(
        listing=found.url,
        listing_id=found.id,
        title="",
        asker=asker.uri,
        asker_handle=asker.handle,
        helper=helper.uri,
        helper_handle=helper.handle,
        offer=event.uri,
        channel=way,
        text="",
    )
    hour = answers.hour(instance)
    await _reject(tx, instance, asker, helper, Response(0, "declined", "asker", "rest", refused, hour, hour, hour), made)


COPY: Final = """
select 1 as found
from listing_copy
where listing_copy.post_id = :post_id
  and listing_copy.host_id = :host_id
  and listing_copy.ended_at is null
"""


async def _has_copy(tx: Transaction, post_id: int, host_id: int | None) -> bool:
    return host_id is not None and await tx.one(COPY, post_id=post_id, host_id=host_id) is not None


async def answered(instance: "Instance", tx: Transaction, event: OfferAnswered) -> None:
    """What the author of a listing elsewhere says about what one of ours offered; from anybody else it is ignored, and a second time too."""
    held = await answers.by_name(tx, instance, event.offer)
    asker = await known.by_id(tx, event.actor_id)
    if held is None or asker is None or held.side != "helper" or held.words.asker != asker.uri or held.words.offer != event.offer:
        return
    if held.words.channel == "sealed" and not event.confidential:
        return  # what began sealed goes on sealed: nobody who took the domain decides here
    helper = await known.by_uri(tx, held.words.helper)
    if helper is None or held.state not in WAITING:
        return
    if event.accepted:
        agreement = event.agreement.id if event.agreement is not None else None
        now = await _move(tx, instance, held, "accepted", agreement=agreement or Iri(f"{event.offer}#agreement"))
        await _converse(tx, instance, now)
        await notifications.tell(tx, instance, helper.id, "response.accepted", now.id)
        return
    kind, _, words = (event.reason or "").partition(":")
    kind = kind.strip()
    state: State = "released" if kind == "released" else "declined"
    reason = f"{kind}: {words.strip()}".strip(": ") if words else (event.reason or None)
    now = await _move(tx, instance, held, state, reason=reason)
    await _over(tx, instance, now)
    await notifications.tell(tx, instance, helper.id, f"response.{state}", now.id)


async def undone(instance: "Instance", tx: Transaction, event: OfferUndone) -> None:
    """Somebody elsewhere takes back what they offered, also before it came."""
    helper = await known.by_id(tx, event.actor_id)
    held = await answers.by_name(tx, instance, event.offer)
    if helper is None:
        return
    if held is None:
        await answers.once(tx, instance, "undone", event.offer)
        return
    if held.side != "asker" or held.words.helper != helper.uri or held.words.offer != event.offer or not held.live:
        return
    await taken_back(tx, instance, held)


async def taken_back(tx: Transaction, instance: "Instance", held: Response) -> Response:
    """The helper withdrew: what was taken is given back, what was said goes, and the asker is told."""
    now = await _move(tx, instance, held, "withdrawn", text="")
    if held.state == "accepted":
        await _give_back(tx, instance, held)
    await _over(tx, instance, now)
    asker = await known.by_uri(tx, held.words.asker)
    if asker is not None and asker.local and held.tray != "held":
        await notifications.tell(tx, instance, asker.id, "response.withdrawn", now.id)
    return now


async def changed(instance: "Instance", tx: Transaction, event: AgreementChanged) -> None:
    """One side elsewhere says how an agreement ended; only the other of the two may, and it ends once."""
    held = await answers.by_name(tx, instance, event.agreement)
    actor = await known.by_id(tx, event.actor_id)
    if held is None or actor is None or held.words.agreement != event.agreement or held.state != "accepted" or not (event.finished or event.failed):
        return
    theirs = held.words.helper if held.side == "asker" else held.words.asker
    if actor.uri != theirs or (held.words.channel == "sealed" and not event.confidential):
        return
    await ended(tx, instance, held, failed=event.failed and not event.finished, receipt=event.receipt)


async def ended(tx: Transaction, instance: "Instance", held: Response, *, failed: bool, receipt: Iri | None = None) -> Response:
    """It is done, or it did not work out: counted, and both sides that live here are asked how it went."""
    now = await _move(tx, instance, held, "failed" if failed else "completed", receipt=receipt)
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
    await _over(tx, instance, now)
    return now


async def closed(instance: "Instance", tx: Transaction, event: PostGone | PostChanged) -> None:
    """A listing of ours is withdrawn, fulfilled or over: who waits for a decision is told so, and is free."""
    if isinstance(event, PostChanged):
        proposal = event.note.proposal
        if not event.local or proposal is None or proposal.status not in OVER:
            return
        uri = event.note.id
    else:
        uri = event.uri
    if instance.vault.locked:
        return  # nobody opened anything; they are released when their time is over
    for held in await answers.of_listing(tx, instance, uri):
        if held.state in WAITING:
            await _refuse(tx, instance, held, "declined", "closed")


async def gone(instance: "Instance", tx: Transaction, event: ActorGone) -> None:
    """Somebody ended, here or elsewhere: what was still open between them and anybody is over, and the other side is told."""
    actor = await known.by_id(tx, event.actor_id)
    if actor is None or instance.vault.locked:
        return
    for held in await answers.parts_of(tx, instance, actor):
        if held.of_helper(actor) and held.side != "helper":
            await taken_back(tx, instance, held)
        elif held.of_helper(actor):
            await withdraw(tx, instance, actor, held)
        elif held.side == "helper":
            now = await _move(tx, instance, held, "released")
            helper = await known.by_uri(tx, held.words.helper)
            if helper is not None:
                await notifications.tell(tx, instance, helper.id, "response.released", now.id)
        elif held.state in WAITING:
            await _refuse(tx, instance, held, "declined", "closed")
        else:
            await complete(tx, instance, actor, held, failed=True)


# What the asker does.


async def show(tx: Transaction, instance: "Instance", actor: Actor, held: Response) -> Response:
    """What `actor` sees who looks at an answer; raises `CannotAnswer` for everybody but the two."""
    if not held.of_asker(actor) and not held.of_helper(actor):
        raise CannotAnswer(f"this is not an answer of {actor.username}, nor to {actor.username}")
    return held


async def open_(tx: Transaction, instance: "Instance", asker: Actor, held: Response) -> Response:
    """The asker begins to consider it. At most three are open at once; raises `CannotAnswer`."""
    await _by_asker(asker, held)
    if held.state == "opened":
        return held
    if held.state == "sent" and await answers.opened(tx, instance, asker) >= MOST_OPEN:
        raise CannotAnswer(f"{MOST_OPEN} answers are open already; accept or decline one of them first")
    return await _move(tx, instance, held, "opened")


async def accept(tx: Transaction, instance: "Instance", asker: Actor, held: Response) -> Response:
    """The asker takes it up: counted against what is wanted, and a conversation opens. Raises `CannotAnswer`, `CannotReach`, `Locked`."""
    await _by_asker(asker, held)
    if held.state == "accepted":
        raise CannotAnswer("it is accepted already")
    if held.state not in WAITING:
        RESPONSE.move(held.state, "accepted")
    helper = await _helper(tx, held)
    try:
        if not await life.take(tx, instance, held.words.listing_id, held.words.quantity, held.words.need):
            raise CannotAnswer("there is no room for one more: give back, or renew the listing with a larger capacity")
    except (life.NotOurs, life.NoSuchNeed, IllegalMove) as error:
        raise CannotAnswer(f"the listing takes nobody any more: {error}") from error
    now = await _move(tx, instance, held, "accepted", agreement=crossing.new_name(instance, "agreements"))
    await _converse(tx, instance, now)
    words = now.words
    match words.channel:
        case "here":
            await notifications.tell(tx, instance, helper.id, "response.accepted", now.id)
        case "note":
            await crossing.tell(tx, instance, helper, "accepted", now)
        case "sealed" | "open":
            offer = _repeated(words)
            result = Agreement(offer.object.satisfies, id=words.agreement, attributed_to=asker.uri, quantity=words.quantity, need=words.need)
            activity = Accept(id=Iri(f"{words.agreement}/accept"), actor=asker.uri, to=(helper.uri,), object=offer, result=result)
            await crossing.send(tx, instance, asker, helper, activity, now)
    log.info("response.accepted", response=now.id)
    return now


async def decline(tx: Transaction, instance: "Instance", asker: Actor, held: Response, kind: Decline = "other", reason: str | None = None) -> Response:
    """The asker refuses it, with a kind and, if they wish, a reason in plain text. Raises `CannotAnswer`, `CannotReach`, `Locked`."""
    await _by_asker(asker, held)
    if reason is not None and len(reason) > agreements.MOST_REASON - 20:
        raise CannotAnswer(f"a reason has at most {agreements.MOST_REASON - 20} letters")
    return await _refuse(tx, instance, held, "declined", kind, reason)


async def _refuse(tx: Transaction, instance: "Instance", held: Response, state: State, kind: str, reason: str | None = None) -> Response:
    asker = await known.by_uri(tx, held.words.asker)
    helper = await known.by_uri(tx, held.words.helper)
    now = await _move(tx, instance, held, state, reason=kind if reason is None else f"{kind}: {reason}", text="")
    await _over(tx, instance, now)
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
            await _reject(tx, instance, asker, helper, now, kind, reason)
    return now


async def _reject(tx: Transaction, instance: "Instance", asker: Actor, helper: Actor, response: Response, kind: str, reason: str | None = None) -> None:
    words = response.words
    offer = _repeated(words)
    said = kind if reason is None else f"{kind}: {reason}"
    activity = Reject(id=crossing.new_name(instance, "answers"), actor=asker.uri, to=(helper.uri,), object=offer, content=said)
    try:
        await crossing.send(tx, instance, asker, helper, activity, response)
    except CannotReach:
        log.info("response.not_told", response=response.id)  # its server is not trusted any more; it releases by itself there


# What the helper does, and what either may.


async def withdraw(tx: Transaction, instance: "Instance", helper: Actor, held: Response) -> Response:
    """The helper takes it back, also after it was accepted. Raises `CannotAnswer`, `schemas.states.IllegalMove`, `Locked`."""
    if not held.of_helper(helper):
        raise CannotAnswer("only who gave an answer takes it back; its receiver declines it, or ends it with `fedmatch response complete --failed`")
    RESPONSE.move(held.state, "withdrawn")
    if held.side == "both":
        return await taken_back(tx, instance, held)
    asker = await known.by_uri(tx, held.words.asker)
    now = await _move(tx, instance, held, "withdrawn", text="")
    await _over(tx, instance, now)
    if asker is not None and await crossing.recall(tx, instance, asker, held):
        log.info("response.recalled", response=now.id)
        return now  # it had not left: there is nothing to undo, and nobody to tell
    if asker is not None and held.words.channel in ("sealed", "open"):
        offer = _repeated(held.words)
        activity = Undo(id=Iri(f"{held.words.offer}/undo"), actor=helper.uri, to=(asker.uri,), object=offer)
        await crossing.send(tx, instance, helper, asker, activity, now)
    return now


async def complete(tx: Transaction, instance: "Instance", actor: Actor, held: Response, *, failed: bool = False) -> Response:
    """Either side says that it is done, or that it failed: with a receipt for the other. Raises `CannotAnswer`, `IllegalMove`, `CannotReach`, `Locked`."""
    await show(tx, instance, actor, held)
    RESPONSE.move(held.state, "failed" if failed else "completed")
    receipt = crossing.new_name(instance, "receipts")
    now = await ended(tx, instance, held, failed=failed, receipt=receipt)
    words = now.words
    other = await known.by_uri(tx, words.helper if held.of_asker(actor) else words.asker)
    if other is None or words.agreement is None or held.side == "both":
        return now
    if words.channel == "note":
        if held.of_asker(actor):
            await crossing.tell(tx, instance, other, "failed" if failed else "completed", now)
        return now
    activity: Update | Create
    if held.of_asker(actor):
        result = Agreement(
            Iri(f"{words.listing}#primary"),
            id=words.agreement,
            attributed_to=actor.uri,
            quantity=words.quantity,
            need=words.need,
            finished=not failed,
            failed=failed,
            receipt=receipt,
        )
        activity = Update(id=Iri(f"{receipt}/update"), actor=actor.uri, to=(other.uri,), object=result)
    else:
        activity = Create(id=Iri(f"{receipt}/create"), actor=actor.uri, to=(other.uri,), object=Receipt(receipt, actor.uri, words.agreement, failed=failed))
    await crossing.send(tx, instance, actor, other, activity, now)
    return now


# What time and trust do.


async def look(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: reminds the asker of an answer that waits, releases one that waited long enough."""
    if instance.vault.locked:
        await instance.database.write(_later, instance, key)
        return
    await instance.database.write(_look, instance, int(key))
    instance.wake("delivery")


async def _later(tx: Transaction, instance: "Instance", key: str) -> None:
    await enqueue(tx, instance, "response", key, instance.clock.ms() + LOCKED_MS)


async def _look(tx: Transaction, instance: "Instance", id: int) -> None:
    held = await answers.by_id(tx, instance, id)
    if held is None or held.state not in WAITING:
        return
    now = instance.clock.ms()
    if held.side == "helper":
        # Its home releases it and says so; where nothing was heard for a day more, it is over here as well.
        if now < held.ends + 24 * HOUR_MS:
            await _look_at(tx, instance, held, held.ends + 24 * HOUR_MS)
            return
        ended_ = await _move(tx, instance, held, "released")
        await _over(tx, instance, ended_)
        helper = await known.by_uri(tx, held.words.helper)
        if helper is not None:
            await notifications.tell(tx, instance, helper.id, "response.released", held.id)
        return
    if now >= held.ends:
        await _refuse(tx, instance, held, "released", "released")
        return
    asker = await known.by_uri(tx, held.words.asker)
    if held.tray == "held" and asker is not None and not await _lift(tx, instance, asker, held):
        await _look_at(tx, instance, held, min(held.ends, now + HOUR_MS))
        return
    if now >= held.created + REMIND_MS and asker is not None and await answers.once(tx, instance, "reminded", str(held.id)):
        await notifications.tell(tx, instance, asker.id, "response.reminder", held.id)
    await _look_at(tx, instance, held, min(held.ends, held.created + REMIND_MS) if now < held.created + REMIND_MS else held.ends)


async def lift(tx: Transaction, instance: "Instance", asker: Actor) -> None:
    """What waited at the border comes to the asker, where an admin let its server in since."""
    for held in await answers.held(tx, instance, asker):
        await _lift(tx, instance, asker, held)


async def _lift(tx: Transaction, instance: "Instance", asker: Actor, held: Response) -> bool:
    helper = await known.by_uri(tx, held.words.helper)
    if helper is None or not instance.trust.actor(helper.uri, "receive").shown or await unwanted(tx, instance, asker, helper):
        return False
    await answers.save(tx, instance, held, tray="rest")
    await notifications.tell(tx, instance, asker.id, "response.received", held.id)
    return True


async def judged_anew(instance: "Instance", tx: Transaction, event: VouchesChanged | PeerLost | PeerTrusted) -> None:
    """What an answer or a conversation rested on changed: those it concerns are looked at again, each on its own, by a job."""
    await enqueue(tx, instance, "standing", "all", instance.clock.ms())


async def weigh(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job: weighs every pending answer and every open conversation again, and tells its owner what does not rest on the same any more."""
    if instance.vault.locked:
        await instance.database.write(_weigh_later, instance)
        return
    after: int | None = 0
    while after is not None:
        after = await instance.database.write(_weigh_some, instance, after)


async def _weigh_later(tx: Transaction, instance: "Instance") -> None:
    await enqueue(tx, instance, "standing", "all", instance.clock.ms() + LOCKED_MS)


async def _weigh_some(tx: Transaction, instance: "Instance", after: int) -> int | None:
    found = await answers.some_live(tx, instance, after, askers_only=False)
    for held in found:
        await _weigh(tx, instance, held)
    return found[-1].id if found else None


async def _weigh(tx: Transaction, instance: "Instance", held: Response) -> None:
    owner = await known.by_uri(tx, held.words.helper if held.side == "helper" else held.words.asker)
    other = await known.by_uri(tx, held.words.asker if held.side == "helper" else held.words.helper)
    if owner is None or other is None:
        return
    if held.words.channel == "sealed":
        try:
            lost = await crossing.channel(tx, other, public=False) != "sealed"
        except CannotReach:
            lost = True
        if lost and await answers.once(tx, instance, "lost", str(held.id)):
            await notifications.tell(tx, instance, owner.id, "peer.lost", held.id)
    if held.side == "helper":
        return
    fresh = await _judged(tx, instance, other, held.words)
    if fresh.level == held.words.level and fresh.issuers == held.words.issuers:
        return
    worse = fresh.level < held.words.level
    tray: Tray = held.tray if held.tray == "held" else "vouched" if fresh.level >= 1 else "rest"
    await answers.save(tx, instance, held, tray=tray, level=fresh.level, issuers=fresh.issuers)
    if worse and tray != "held":
        await notifications.tell(tx, instance, owner.id, "response.doubt", held.id)


# Steps that several of these share.


async def _by_asker(asker: Actor, held: Response) -> None:
    if not held.of_asker(asker) or held.side == "helper":
        raise CannotAnswer(f"only the author of what was answered decides; this is no answer to {asker.username}")


async def _helper(tx: Transaction, held: Response) -> Actor:
    helper = await known.by_uri(tx, held.words.helper)
    if helper is None or not helper.active:
        raise CannotAnswer("whoever answered is not there any more")
    return helper


async def _move(tx: Transaction, instance: "Instance", held: Response, to: State, **changes: object) -> Response:
    """Leads it on along its life; what was sent is opened by whoever accepts it."""
    state = held.state
    if to == "accepted" and state == "sent":
        state = RESPONSE.move(state, "opened")  # type: ignore[assignment]  # a state of this life
    RESPONSE.move(state, to)
    return await answers.save(tx, instance, held, state=to, **changes)


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


async def _converse(tx: Transaction, instance: "Instance", response: Response) -> None:
    from fedmatch.board import conversations  # it raises what is named here

    await conversations.begin(tx, instance, response)


async def _over(tx: Transaction, instance: "Instance", response: Response) -> None:
    """Nothing comes of it any more: where it never became a conversation nothing of its text stays, and a one-time identity that gave it may end."""
    await chores.erase_soon(tx, instance)
    if response.state in LIVE:
        return
    helper = await known.by_uri(tx, response.words.helper)
    if helper is not None and helper.one_time and not await answers.holds(tx, instance, helper):
        await identities.closed(tx, instance, helper.id)
