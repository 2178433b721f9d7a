"""What do other servers say about an answer? Subscribers, each inside the transaction of what arrived; exactly once, and only from the other of the two."""

from typing import TYPE_CHECKING, Final

from actors import known
from fedmatch.board import afterwards, answers, crossing, fit, listings, notifications, outcomes, responses, trays
from fedmatch.board.answers import WAITING, Channel, Response, State, Words
from fedmatch.board.trays import Refusal
from fedmatch.jobs import enqueue
from outbox import posts
from outbox import publish as outbox
from outbox.address import Audience
from schemas import agreements
from schemas.activities import Delete
from schemas.events import ActorGone, AgreementChanged, OfferAnswered, Offered, OfferUndone, PostChanged, PostGone
from schemas.objects import Tombstone
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

OVER: Final = frozenset({"fulfilled", "withdrawn", "expired"})
KIND: Final = "closed"
LOCKED_MS: Final = 60_000
"""How soon it is tried again to tell who had answered, while the vault is locked."""


async def offered(instance: "Instance", tx: Transaction, event: Offered) -> None:
    """An Offer(Agreement) to one of ours goes into a tray once, or is refused by a Reject. About a listing that its sender cannot know nothing is said."""
    helper = await known.by_id(tx, event.actor_id)
    if helper is None or helper.local or await answers.by_name(tx, instance, event.uri) is not None:
        return
    if await answers.was(tx, instance, "undone", event.uri, helper.uri):
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
    made: Response | Refusal = "fit"
    if not wrong:
        made = await trays.take_in(tx, instance, found, asker, helper, what.text, offer=event.uri, channel=way, agreement=what)
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
    codes = fit.wanted(found.proposal, made) if made in ("speaks", "region") else None
    await outcomes.reject(tx, instance, asker, helper, Response(0, "declined", "asker", "rest", refused, hour, hour, hour), made, codes)


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
        now = await outcomes.move(tx, instance, held, "accepted", agreement=agreement or Iri(f"{event.offer}#agreement"))
        await outcomes.converse(tx, instance, now)
        await notifications.tell(tx, instance, helper.id, "response.accepted", now.id)
        for failed in (False, True):
            # How it ended may come before that it began.
            if await answers.was(tx, instance, _ending(failed, sealed=event.confidential), str(now.words.agreement), asker.uri):
                await outcomes.ended(tx, instance, now, failed=failed)
                return
        return
    kind, _, words = (event.reason or "").partition(":")
    kind = kind.strip()
    state: State = "released" if kind == "released" else "declined"
    reason = f"{kind}: {words.strip()}".strip(": ") if words else (event.reason or None)
    now = await outcomes.move(tx, instance, held, state, reason=reason)
    await outcomes.over(tx, instance, now)
    await notifications.tell(tx, instance, helper.id, f"response.{state}", now.id)


async def undone(instance: "Instance", tx: Transaction, event: OfferUndone) -> None:
    """Somebody elsewhere takes back what they offered, also before it came."""
    helper = await known.by_id(tx, event.actor_id)
    held = await answers.by_name(tx, instance, event.offer)
    if helper is None:
        return
    if held is None:
        await answers.once(tx, instance, "undone", event.offer, helper.uri)
        return
    if held.side != "asker" or held.words.helper != helper.uri or held.words.offer != event.offer or not held.live:
        return
    await outcomes.taken_back(tx, instance, held)


async def changed(instance: "Instance", tx: Transaction, event: AgreementChanged) -> None:
    """One side elsewhere says how an agreement ended; only the other of the two may, and it ends once. Heard before the yes it is kept until that comes."""
    held = await answers.by_name(tx, instance, event.agreement)
    actor = await known.by_id(tx, event.actor_id)
    if held is None and actor is not None and (event.finished or event.failed) and await answers.parts_of(tx, instance, actor):
        await answers.once(tx, instance, _ending(event.failed and not event.finished, sealed=event.confidential), event.agreement, actor.uri)
        return
    if held is None or actor is None or held.words.agreement != event.agreement or held.state != "accepted" or not (event.finished or event.failed):
        return
    theirs = held.words.helper if held.side == "asker" else held.words.asker
    if actor.uri != theirs or (held.words.channel == "sealed" and not event.confidential):
        return
    now = await outcomes.ended(tx, instance, held, failed=event.failed and not event.finished, receipt=event.receipt)
    if await crossing.by_letter(tx, now):
        await afterwards.ask(tx, instance, actor, now.state, now)


def _ending(failed: bool, *, sealed: bool) -> str:
    return f"{'failed' if failed else 'finished'} {'sealed' if sealed else 'open'}"


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
        await _later(tx, instance, f"{event.actor_id} {uri}")
        return
    await _refused(tx, instance, uri)


async def _refused(tx: Transaction, instance: "Instance", uri: Iri) -> tuple[int, ...]:
    """Refuses whoever waits for a decision about a listing that is over; gives all remote helpers who ever answered it."""
    found = await answers.of_listing(tx, instance, uri)
    for held in found:
        if held.state in WAITING:
            await outcomes.refuse(tx, instance, held, "declined", "closed")
    helpers = [await known.by_uri(tx, held.words.helper) for held in found]
    return tuple(helper.id for helper in helpers if helper is not None and not helper.local)


async def _later(tx: Transaction, instance: "Instance", key: str) -> None:
    await enqueue(tx, instance, KIND, key, instance.clock.ms() + LOCKED_MS)


async def settle(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: a listing ended while the vault was locked, and nobody could say who had answered it. They are told as soon as it is open."""
    if instance.vault.locked:
        await instance.database.write(_later, instance, key)
        return
    await instance.database.write(_settle, instance, key)
    instance.wake("delivery")


async def _settle(tx: Transaction, instance: "Instance", key: str) -> None:
    author_id, _, uri = key.partition(" ")
    helpers = await _refused(tx, instance, Iri(uri))
    author, grave = await known.by_id(tx, int(author_id)), await tx.one(posts.TOMBSTONE, uri=uri)
    if not helpers or author is None or not author.active or grave is None or not grave["public"]:
        return  # what is not public is asked back from those who have a copy (copies.py)
    # The Delete that left while it was locked went to everybody else who may hold it.
    gone = Delete(id=Iri(f"{uri}#delete/answered"), actor=author.uri, object=Tombstone(Iri(uri), former_type=grave["former_type"]))
    await outbox.publish(tx, instance, author, gone, Audience(actors=helpers), object=Iri(uri), ordering_key=uri)


async def gone(instance: "Instance", tx: Transaction, event: ActorGone) -> None:
    """Somebody ended, here or elsewhere: what was still open between them and anybody is over, and the other side is told."""
    actor = await known.by_id(tx, event.actor_id)
    if actor is None or instance.vault.locked:
        return
    for held in await answers.parts_of(tx, instance, actor):
        if held.of_helper(actor) and held.side != "helper":
            await outcomes.taken_back(tx, instance, held)
        elif held.of_helper(actor):
            await responses.withdraw(tx, instance, actor, held)
        elif held.side == "helper":
            now = await outcomes.move(tx, instance, held, "released")
            helper = await known.by_uri(tx, held.words.helper)
            if helper is not None:
                await notifications.tell(tx, instance, helper.id, "response.released", now.id)
        elif held.state in WAITING:
            await outcomes.refuse(tx, instance, held, "declined", "closed")
        else:
            await responses.complete(tx, instance, actor, held, failed=True)
