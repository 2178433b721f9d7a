"""What if somebody wants to hear nothing of one of ours? Their server says so; both stop following each other, and neither sees the other here."""

import structlog

from actors import blocks, follows, known, said
from actors.instance import Instance
from actors.known import Actor
from actors.said import About
from inbox.effects import NOTHING, Effects
from schemas.activities import Block, Undo
from schemas.storage import Transaction

log = structlog.get_logger()


async def blocked(tx: Transaction, instance: Instance, actor: Actor, block: Block, at: int = 0) -> Effects:
    """Takes a Block of somebody here. Nobody is told: that is how the one who blocks wants it."""
    person = await known.by_uri(tx, block.object)
    if person is None or not person.local or block.id is None:
        return NOTHING
    about = About("Block", block.object)
    if await said.say(tx, instance, actor, about, block.id, at) is None:
        return NOTHING
    if await blocks.add(tx, instance, actor, person):
        await follows.part(tx, instance, actor, person)
        log.info("actor.blocked", by=actor.id)
    return NOTHING


async def taken_back(tx: Transaction, instance: Instance, actor: Actor, undo: Undo, block: Block, at: int = 0) -> Effects:
    """Takes the Undo of the actor's own Block; one that comes first is remembered. Follows do not come back by it."""
    uri = block.id or undo.id
    person = await known.by_uri(tx, block.object)
    if block.actor != actor.uri or uri is None or person is None or not person.local:
        return NOTHING
    about = await said.take_back(tx, instance, actor, uri, About("Block", block.object), at)
    return NOTHING if about is None else await settled(tx, actor, about)


async def settled(tx: Transaction, actor: Actor, about: About) -> Effects:
    """Makes true what is left after an Undo: without a Block that stands there is none."""
    if await said.standing(tx, actor, about) is None and (person := await known.by_uri(tx, about.object)) is not None:
        await blocks.remove(tx, actor, person)
    return NOTHING
