"""Does the other server believe the same about who follows its people? What its deliveries for followers say, compared and mended (FEP-8fcf).

    noticed      a signed header beside a proven activity differs from what we hold -> a job
    synchronise  reads its list, and believes it only if it has the digest that was announced: who is not in it follows no more, who waits is accepted, and for
                 whoever is in it and never followed, an Undo goes back
"""

import json
from typing import Final

import structlog

from actors import follows, known, synchronisation
from actors.instance import Instance
from actors.known import Actor
from actors.remote import FetchFailed
from actors.signatures.request import Request, covered
from actors.synchronisation import Synchronisation
from inbox import collections, dereference
from inbox.effects import ask
from inbox.errors import Later
from inbox.verify import Verified
from outbox.address import Audience
from outbox.publish import publish
from schemas.activities import Undo
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

NAME: Final = synchronisation.HEADER.lower()
AGAIN_S: Final = 600
MOST: Final = 10_000
"""Followers of one actor on this instance that a list may name."""


async def noticed(instance: Instance, request: Request, verified: Verified) -> None:
    """Looks at the header of a proven request, if it has one that its signature covers, and asks for the job where the digests differ."""
    values = [value for name, value in request.headers if name == NAME.encode()]
    if len(values) != 1 or verified.by != "signature" or NAME not in covered(request.headers):
        return
    told = synchronisation.read(values[0].decode("latin-1"))
    if told is not None and await instance.database.read(_differs, instance, verified.actor.id, told):
        await instance.database.write(_ask, instance, verified.actor.id, told)
        instance.wake("job")


async def _differs(tx: Transaction, instance: Instance, actor_id: int, told: Synchronisation) -> bool:
    actor = await known.by_id(tx, actor_id)
    return actor is not None and actor.active and await synchronisation.differs(tx, instance, actor, told)


async def _ask(tx: Transaction, instance: Instance, actor_id: int, told: Synchronisation) -> None:
    await ask(tx, instance, "synchronise", f"{actor_id} {told.digest}", json.dumps({"collection": told.collection, "url": told.url}).encode())


async def synchronise(instance: Instance, key: str, payload: bytes) -> None:
    """The job `synchronise`: `key` is our id of the actor and the digest it announced. Raises `Later` where another time may show its list."""
    number, _, digest = key.partition(" ")
    kept = json.loads(payload)
    told = Synchronisation(Iri(kept["collection"]), Iri(kept["url"]), digest)
    if not await instance.database.read(_differs, instance, int(number), told):
        return
    listed = await collections.members(instance, told.url, dereference.budget(instance), most=MOST)
    if isinstance(listed, FetchFailed):
        if listed.temporary:
            raise Later(AGAIN_S, f"the list of followers could not be read: {listed.why}")
        log.info("synchronise.nothing", actor=int(number), kind=listed.kind)
        return
    if not listed.whole or synchronisation.digest(listed.ids) != digest:
        log.info("synchronise.not_the_list", actor=int(number))
        return
    await instance.database.write(_mend, instance, int(number), listed.ids)
    instance.wake("delivery")


async def _mend(tx: Transaction, instance: Instance, actor_id: int, listed: tuple[Iri, ...]) -> None:
    actor = await known.by_id(tx, actor_id)
    if actor is None or actor.local or not actor.active:
        return
    ended = 0
    for uri in await synchronisation.ours_who_follow(tx, actor.id):
        if uri not in listed and (follower := await known.by_uri(tx, uri)) is not None:
            await follows.drop(tx, instance, follower, actor)
            ended += 1
    for uri in listed:
        follower = await known.by_uri(tx, uri)
        if follower is not None and follower.local and follower.active:
            await _know(tx, instance, follower, actor)
    log.info("synchronise.mended", actor=actor.id, ended=ended)


async def _know(tx: Transaction, instance: Instance, follower: Actor, actor: Actor) -> None:
    """Somebody here whom the other server counts as a follower: accepted if they asked; told off if they do not follow."""
    undo: Undo | None = await follows.confirmed(tx, instance, follower, actor)
    if undo is not None:
        key = f"{follower.uri} {actor.uri}"
        await publish(tx, instance, follower, undo, Audience(actors=(actor.id,)), object=actor.uri, ordering_key=key)
