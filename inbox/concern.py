"""Does it concern anybody here? What does not is spam to us, however well it is signed (protocol 4.1 step 9)."""

from typing import Final

from actors import blocks, known
from actors.instance import Instance
from actors.known import Actor
from outbox import posts
from outbox.visible import Remote, can_read
from schemas.objects import Note
from schemas.reading import Iri
from schemas.storage import Transaction

MOST_ADDRESSED: Final = 50
"""Of how many addressed ids we look whether they are ours; nobody writes to more of us at once but a spammer (security.md A038)."""

FOLLOWED: Final = """
select id
from follow
where followed_id = :actor_id
  and state = 'accepted'
limit 1
"""


def ours(instance: Instance, id: Iri) -> bool:
    """Whether the id lies below our own address."""
    return id.startswith(f"{instance.config.base_url}/")


async def our_post(tx: Transaction, instance: Instance, id: Iri) -> posts.Post | None:
    """The post of ours with this id."""
    post = await posts.by_uri(tx, id) if ours(instance, id) else None
    return post if post is not None and post.local else None


async def followed(tx: Transaction, actor: Actor) -> bool:
    """Whether anybody here follows the actor."""
    return await tx.one(FOLLOWED, actor_id=actor.id) is not None


async def addresses(tx: Transaction, instance: Instance, actor: Actor, note: Note) -> bool:
    """Whether it is written to somebody here who does not block its author."""
    for target in [target for target in dict.fromkeys(note.addressed) if ours(instance, target)][:MOST_ADDRESSED]:
        reader = await known.by_uri(tx, target)
        if reader is not None and reader.local and reader.active and not await blocks.blocks(tx, reader.id, actor.id):
            return True
    return False


async def post(tx: Transaction, instance: Instance, actor: Actor, note: Note) -> bool:
    """Whether a post concerns anybody here: its author is followed, one of ours is addressed or answered, or it is a public listing."""
    answered = None if note.in_reply_to is None else await our_post(tx, instance, note.in_reply_to)
    if answered is not None and not await blocks.blocks(tx, answered.actor_id, actor.id):
        return True
    if note.proposal is not None and not posts.PUBLIC_SPELLINGS.isdisjoint(note.addressed):
        return instance.trust.actor(actor.uri, "receive").shown
    return await addresses(tx, instance, actor, note) or await followed(tx, actor)


async def reaction(tx: Transaction, instance: Instance, actor: Actor, object: Iri) -> posts.Post | None:
    """The post of ours that somebody reacts to, if they may: they could read it, it is no boost, and its author does not block them."""
    post = await our_post(tx, instance, object)
    if post is None or post.boost_of is not None or not actor.active:
        return None
    return post if await can_read(tx, Remote(actor.id, actor.host), post.id) else None


async def boost(tx: Transaction, instance: Instance, actor: Actor, object: Iri) -> bool:
    """Whether a boost concerns anybody here: it is of a post of ours whose author does not block the booster, or the booster is followed."""
    post = await our_post(tx, instance, object)
    if post is not None:
        return not await blocks.blocks(tx, post.actor_id, actor.id)
    return await followed(tx, actor)
