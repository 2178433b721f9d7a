"""What do the two sides do with an answer? Its life (schemas.states.RESPONSE), led exactly once: the asker opens and decides, the helper takes back.

    answer                  one of ours answers, here or elsewhere      trays.py      taking one in: what of whom, how many
    open_, accept, decline  by the asker                                heard.py      what other servers say about one
    withdraw                by the helper                               patience.py   reminders, release
    complete                by either side                              weighing.py   when vouches or trust change
"""

from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import hosts, known
from actors.known import Actor
from fedmatch.board import afterwards, answers, checks, crossing, fit, identities, life, notifications, outcomes, trays
from fedmatch.board.answers import HOUR_MS, WAITING, CannotAnswer, Response, Words
from fedmatch.board.listings import Listing
from fedmatch.safety import vouches
from schemas import agreements
from schemas.activities import Accept, Create, Offer, Undo, Update
from schemas.objects import Agreement, Receipt
from schemas.reading import Iri
from schemas.states import RESPONSE, IllegalMove
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

Decline = Literal["found", "fit", "check", "other"]
DECLINES: Final = ("found", "fit", "check", "other")
"""Help was found already; it does not fit; its sender cannot be checked; something else."""
MOST_OPEN: Final = 3
"""Answers an asker has open at once: whoever is being considered knows it, and is not kept waiting for ever."""


async def answer(
    tx: Transaction,
    instance: "Instance",
    helper: Actor,
    listing: Listing,
    text: str,
    *,
    language: str | None = None,
    need: str | None = None,
    speaks: tuple[str, ...] = (),
    region: str | None = None,
    not_before: int | None = None,
    anyway: bool = False,
) -> Response:
    """One of ours answers a listing, here or on another instance. Plain text of at most 5,000 letters.

    `speaks` (BCP 47) and `region` (ISO 3166) are what the helper says of themselves; they travel with the answer, and without them a listing that is only for
    some is not answered.

    To another instance it leaves at `not_before`, in milliseconds UTC, and not earlier: a one-time identity is not to be known by when its owner is awake.
    Withdrawn before that nothing of it leaves at all. What stays on this instance is there at once.

    Gives the answer, in state sent; its `channel` says who can read it. Wake "delivery" and "job" after the commit. Raises `CannotAnswer`,
    `crossing.CannotReach`, `actors.vault.Locked`, and `checks.Asks` where the safety linter found something and `anyway` does not mean it.
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
    spoken = speaks if language is None else (*speaks, language)
    if (why := await fit.refused(tx, instance, listing.proposal, helper, spoken, region)) is not None:
        raise CannotAnswer(trays.said(why, fit.wanted(listing.proposal, why)))
    checks.require(await checks.of_answer(tx, instance, helper, listing, text, language, region), anyway=anyway, link=False)
    way = await crossing.channel(tx, asker, public=listing.public)
    ours = await vouches.of(tx, instance, helper)
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
        speaks=speaks,
        region=region,
        # Where nobody trusts us our word weighs nothing, and would only tell more people of it.
        vouches=ours if way in ("here", "sealed") else (),
        counted=ours if way == "sealed" else (),
        trusted=(await vouches.standing(tx, instance, asker, listing.vouches)).level,
        trusted_by=listing.vouches,
        kind=listing.kind,
    )
    if way == "here":
        made = await trays.put(tx, instance, listing, asker, helper, words, silent=await trays.unwanted(tx, instance, asker, helper))
        if not isinstance(made, Response):
            raise CannotAnswer(trays.said(made))
        return made
    made = await answers.insert(tx, instance, words, side="helper", tray="rest", ends=trays.ends(instance, listing), one_time=helper.one_time)
    # In whole hours: with how long it waits, which can be read from its delivery, anything finer says when it was written.
    waits = max(0, -(-(not_before or 0) // HOUR_MS) * HOUR_MS - answers.hour(instance))
    await trays.look_at(tx, instance, made, made.ends + 24 * HOUR_MS + waits)
    if way == "note":
        return await _by_note(tx, instance, helper, asker, made, not_before)
    activity = Offer(id=words.offer, actor=helper.uri, to=(asker.uri,), object=outcomes.offered_by(words, with_text=True))
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
    return await outcomes.move(tx, instance, held, "opened")


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
    now = await outcomes.move(tx, instance, held, "accepted", agreement=crossing.new_name(instance, "agreements"))
    await outcomes.converse(tx, instance, now)
    words = now.words
    match words.channel:
        case "here":
            await notifications.tell(tx, instance, helper.id, "response.accepted", now.id)
        case "note":
            await crossing.tell(tx, instance, helper, "accepted", now)
        case "sealed" | "open":
            offer = outcomes.repeated(words)
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
    return await outcomes.refuse(tx, instance, held, "declined", kind, reason)


async def withdraw(tx: Transaction, instance: "Instance", helper: Actor, held: Response) -> Response:
    """The helper takes it back, also after it was accepted. Raises `CannotAnswer`, `schemas.states.IllegalMove`, `Locked`."""
    if not held.of_helper(helper):
        raise CannotAnswer("only who gave an answer takes it back; its receiver declines it, or ends it with `fedmatch response complete --failed`")
    RESPONSE.move(held.state, "withdrawn")
    if held.side == "both":
        return await outcomes.taken_back(tx, instance, held)
    asker = await known.by_uri(tx, held.words.asker)
    now = await outcomes.move(tx, instance, held, "withdrawn", text="")
    await outcomes.over(tx, instance, now)
    if asker is not None and await crossing.recall(tx, instance, asker, held):
        log.info("response.recalled", response=now.id)
        carried = {vouch.id for one in await answers.of_actor(tx, instance, helper) if one.id != held.id and _there(one, asker) for vouch in one.words.vouches}
        for vouch in held.words.vouches:
            if asker.host_id is not None and vouch.id not in carried:
                await vouches.not_given(tx, vouch, asker.host_id)
        return now  # it had not left: there is nothing to undo, and nobody to tell
    if asker is not None and held.words.channel in ("sealed", "open"):
        offer = outcomes.repeated(held.words)
        activity = Undo(id=Iri(f"{held.words.offer}/undo"), actor=helper.uri, to=(asker.uri,), object=offer)
        await crossing.send(tx, instance, helper, asker, activity, now)
    return now


def _there(held: Response, asker: Actor) -> bool:
    return held.words.channel == "sealed" and hosts.authority(held.words.asker) == hosts.authority(asker.uri)


async def complete(tx: Transaction, instance: "Instance", actor: Actor, held: Response, *, failed: bool = False) -> Response:
    """Either side says that it is done, or that it failed: with a receipt for the other. Raises `CannotAnswer`, `IllegalMove`, `CannotReach`, `Locked`."""
    await show(tx, instance, actor, held)
    RESPONSE.move(held.state, "failed" if failed else "completed")
    receipt = crossing.new_name(instance, "receipts")
    now = await outcomes.ended(tx, instance, held, failed=failed, receipt=receipt)
    words = now.words
    other = await known.by_uri(tx, words.helper if held.of_asker(actor) else words.asker)
    if other is None or words.agreement is None or held.side == "both":
        return now
    if held.of_asker(actor) and await crossing.by_letter(tx, now):
        await afterwards.ask(tx, instance, other, now.state, now)
    if words.channel == "note":
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


async def _by_asker(asker: Actor, held: Response) -> None:
    if not held.of_asker(asker) or held.side == "helper":
        raise CannotAnswer(f"only the author of what was answered decides; this is no answer to {asker.username}")


async def _helper(tx: Transaction, held: Response) -> Actor:
    helper = await known.by_uri(tx, held.words.helper)
    if helper is None or not helper.active:
        raise CannotAnswer("whoever answered is not there any more")
    return helper
