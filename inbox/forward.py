"""Who else should hear an answer? The followers of whom it answers, who are not the followers of whoever answered (ActivityPub 7.1.2).

Only what proves itself goes on, byte for byte as it came: a public Create, Update or Delete of a reply to a public post of ours, with an FEP-8b32 proof by its
author. Servers that read no proofs ask its origin. What the product takes for itself (a public answer to a request) is stored nowhere and goes nowhere.
Of a proven Delete of somebody's public post the product is told, so that those who heard of it from here hear of that, too.
"""

from dataclasses import dataclass, replace
from typing import Final

import structlog

from actors import hosts, keys, known
from actors.instance import Instance
from actors.known import Actor
from actors.signatures import proofs
from actors.signatures.proofs import BadProof
from inbox.effects import Effects
from inbox.verify import MOST_PROVEN, Verified
from outbox import posts, publish
from outbox.address import Audience
from schemas.activities import Activity, Create, Delete, Update
from schemas.events import Withdrawn
from schemas.objects import Note
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answered:
    """A public post of ours that a proven activity answers: whose it is, and the id of the reply."""

    author: Actor
    reply: Iri


HOST: Final = """
select host.id
from host
where host.name = :name
"""


async def answered(tx: Transaction, instance: Instance, verified: Verified, activity: Activity) -> Answered | None:
    """What of ours `activity` answers, if it may go on to others; asked before it is acted upon, for a Delete leaves nothing to look at."""
    if "proof" not in verified.document or not verified.body or len(verified.body) > min(MOST_PROVEN, publish.MOST_BODY):
        return None
    match activity:
        case Create(object=Note() as note) | Update(object=Note() as note):
            reply, parent = note.id, note.in_reply_to
        case Delete(object=thing):
            held = await posts.by_uri(tx, thing.id)
            reply, parent = thing.id, held.in_reply_to if held is not None and held.public and held.actor_id == verified.actor.id else None
        case _:
            return None
    post = None if parent is None else await posts.by_uri(tx, parent)
    if post is None or not post.local or not post.public:
        return None
    author = await known.by_id(tx, post.actor_id)
    if author is None or not author.active or not await _proves(tx, instance, verified):
        return None
    return Answered(author, reply)


async def withdrawn(tx: Transaction, instance: Instance, verified: Verified, activity: Activity) -> None:
    """Tells the product of a Delete that whoever announced the post may send on, before it is acted upon: its followers' servers hold it too."""
    if not isinstance(activity, Delete) or activity.id is None or "proof" not in verified.document or not 0 < len(verified.body) <= publish.MOST_BODY:
        return
    held = await posts.by_uri(tx, activity.object.id)
    if held is None or held.local or not held.public or held.actor_id != verified.actor.id or not await _proves(tx, instance, verified):
        return
    await instance.tell(tx, Withdrawn(held.id, held.uri, activity.id, verified.body, await _hosts(tx, verified)))


async def _hosts(tx: Transaction, verified: Verified) -> frozenset[int]:
    there = [await tx.one(HOST, name=name) for name in dict.fromkeys((verified.actor.host, verified.carrier)) if name]
    return frozenset(int(row["id"]) for row in there if row is not None)


async def onward(tx: Transaction, instance: Instance, verified: Verified, activity: Activity, what: Answered, effects: Effects) -> Effects:
    """Sends it on as it came, signed as the author who was answered, if it was taken here; the hosts that wrote and brought it know it already."""
    held = await posts.by_uri(tx, what.reply)
    deleted = isinstance(activity, Delete)
    if activity.id is None or (held is not None if deleted else held is None or not held.public or held.actor_id != verified.actor.id):
        return effects
    verdict = instance.trust.verdict(verified.actor.host, "receive")
    if verdict.limited or verdict.held:
        return effects
    sent = await publish.forward(
        tx,
        instance,
        what.author,
        verified.body,
        uri=activity.id,
        kind=type(activity).__name__,
        audience=Audience(followers_of=(what.author.id,)),
        leaving_out=await _hosts(tx, verified),
        object=what.reply,
    )
    if not sent:
        return effects
    log.info("reply.forwarded", actor=what.author.id)
    return replace(effects, wake=(*effects.wake, "delivery"))


async def _proves(tx: Transaction, instance: Instance, verified: Verified) -> bool:
    """Whether the proof holds with a key of the actor's that we know; nothing is fetched to pass on what others say."""
    try:
        proof = proofs.read(verified.document, instance.clock.now())
    except BadProof:
        return False
    if proof is None or not hosts.same_origin(proof.method, verified.actor.uri):
        return False
    key = await keys.known_public(tx, proof.method)
    return key is not None and key.proves and key.algorithm == "ed25519" and key.actor_id == verified.actor.id and proof.holds(key.verify)
