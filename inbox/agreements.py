"""What do others' answers to requests and offers do? Each is told to the product as an event; here is only asked who may say it.

Whether there is such a listing, offer or agreement, the product knows: its rows name nobody in clear. What it does not know changes nothing there.
"""

import structlog

from actors import hosts
from actors.instance import Instance
from actors.known import Actor
from inbox.effects import NOTHING, Effects
from schemas.activities import Accept, Offer, Reject
from schemas.events import AgreementChanged, OfferAnswered, Offered, OfferUndone
from schemas.objects import Agreement, Receipt
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

MOVED: Effects = Effects(wake=("delivery", "job"))


async def offered(tx: Transaction, instance: Instance, actor: Actor, activity: Offer, confidential: bool) -> Effects:
    """Takes an Offer(Agreement) of somebody to one of ours; its id must lie on its sender's host (FEP-fe34)."""
    if activity.id is None or not _theirs(actor, activity.id) or not actor.active:
        return NOTHING
    verdict = instance.trust.actor(actor.uri, "receive")
    if not verdict.allowed:
        log.info("offer.refused", why=verdict.why)
        return NOTHING
    everybody = tuple(dict.fromkeys((*activity.to, *activity.cc)))
    await instance.tell(tx, Offered(actor.id, activity.id, everybody, activity.object, confidential))
    return MOVED


async def answered(tx: Transaction, instance: Instance, actor: Actor, activity: Accept | Reject, offer: Iri, confidential: bool) -> Effects:
    """Takes what somebody says about an Offer of one of ours."""
    accepted = isinstance(activity, Accept)
    agreement = activity.result if isinstance(activity, Accept) else None
    if agreement is not None and agreement.id is not None and not _theirs(actor, agreement.id):
        agreement = None  # an agreement belongs to whoever accepts, and lies where they live
    reason = activity.content if isinstance(activity, Reject) else None
    await instance.tell(tx, OfferAnswered(actor.id, offer, accepted, agreement, reason, confidential))
    return MOVED


async def undone(tx: Transaction, instance: Instance, actor: Actor, offer: Iri) -> Effects:
    """Takes back what the actor offered, also if the Offer comes later."""
    if not _theirs(actor, offer):
        return NOTHING
    await instance.tell(tx, OfferUndone(actor.id, offer))
    return MOVED


async def changed(tx: Transaction, instance: Instance, actor: Actor, agreement: Agreement, confidential: bool) -> Effects:
    """Takes what the owner of an agreement says of its end."""
    if agreement.id is None or not _theirs(actor, agreement.id):
        return NOTHING
    await instance.tell(tx, AgreementChanged(actor.id, agreement.id, agreement.finished, agreement.failed, agreement.receipt, confidential))
    return MOVED


async def receipted(tx: Transaction, instance: Instance, actor: Actor, receipt: Receipt, confidential: bool) -> Effects:
    """Takes what the other side of an agreement says of its end, in a document of its own."""
    if receipt.attributed_to != actor.uri or not _theirs(actor, receipt.id):
        return NOTHING
    await instance.tell(tx, AgreementChanged(actor.id, receipt.agreement, not receipt.failed, receipt.failed, receipt.id, confidential))
    return MOVED


def _theirs(actor: Actor, id: Iri) -> bool:
    """Whether a thing lies where its actor lives."""
    try:
        return not actor.local and hosts.same_origin(id, actor.uri)
    except hosts.BadUrl:
        return False
