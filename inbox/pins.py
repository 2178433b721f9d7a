"""What did somebody whom we follow put on top of their profile? Read from their own collection whenever they say that it changed.

An Add and a Remove carry no time, so which came last cannot be told from them; their server's list can. What it names counts only if it is theirs.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from actors import known
from actors.instance import Instance
from actors.known import Actor
from actors.remote import Budget, FetchFailed
from inbox import collections, concern, dereference
from inbox.dereference import Origin
from inbox.effects import NOTHING, Effects, ask
from inbox.errors import Later
from outbox import pins, posts
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

AGAIN_S: Final = 600


async def changed(tx: Transaction, instance: Instance, actor: Actor, target: Iri) -> Effects:
    """Takes an Add to, or a Remove from, `target`: the actor's own pins are read anew if anybody here follows it; no other collection is its to change."""
    if actor.featured is None or target != actor.featured or not actor.active or not await concern.followed(tx, actor):
        return NOTHING
    await ask(tx, instance, "featured", actor.uri)
    return Effects(wake=("job",))


async def read(instance: Instance, key: str, _payload: bytes) -> None:
    """The job `featured`: the pins of the actor with the id `key` as its own server lists them now. Raises `Later` where another time may show them."""
    actor = await instance.database.read(known.by_uri, key)
    if actor is None or actor.local or not actor.active or actor.featured is None:
        return
    budget = dereference.budget(instance)
    listed = await collections.members(instance, actor.featured, budget)
    if isinstance(listed, FetchFailed):
        if listed.temporary:
            raise Later(AGAIN_S, f"the pins could not be read: {listed.why}")
        log.info("pins.nothing", actor=actor.id, kind=listed.kind)
        return
    ids = listed.ids[: pins.MOST]
    missing = await instance.database.read(_missing, ids)
    found = [origin for uri in missing if (origin := await _fetched(instance, uri, actor, budget)) is not None]
    await instance.database.write(_pin, instance, actor, ids, found)


async def _fetched(instance: Instance, id: Iri, actor: Actor, budget: Budget) -> Origin | None:
    try:
        return await dereference.post(instance, id, budget, owner=actor)
    except Later:
        return None


async def _missing(tx: Transaction, ids: Sequence[Iri]) -> list[Iri]:
    return [uri for uri in ids if await posts.by_uri(tx, uri) is None]


async def _pin(tx: Transaction, instance: Instance, actor: Actor, ids: Sequence[Iri], found: Sequence[Origin]) -> None:
    for origin in found:
        if posts.visibility(origin.note, actor.followers) in ("public", "unlisted"):
            await posts.store(tx, instance, actor, origin.note, local=False, document=origin.document)
    held = [await posts.by_uri(tx, uri) for uri in ids]
    await pins.replace(tx, actor, [post for post in held if post is not None])
