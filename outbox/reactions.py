"""Who likes what, now? Likes and emoji of others for our posts, and of our people for what they read; boosts are posts (outbox/posts.py).

One actor likes a post once, and reacts once with each emoji. How it came to this (said, taken back, said again) is in actors/said.py.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.known import Actor
from outbox.posts import Post
from schemas.objects import Emoji, Tallies
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

PLAIN: Final = ""
"""What stands in place of an emoji for a Like without one."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """One like, or one emoji (a character, or `:shortcode:`), of one actor for one post."""

    uri: Iri
    post_id: int
    actor_id: int
    emoji: str


INSERT: Final = """
insert into reaction (id, uri, post_id, actor_id, emoji, icon, created_at)
values (:id, :uri, :post_id, :actor_id, :emoji, :icon, :now)
on conflict (post_id, actor_id, emoji) do update
set uri = excluded.uri
"""

URI_TAKEN: Final = """
select reaction.post_id, reaction.actor_id, reaction.emoji
from reaction
where reaction.uri = :uri
"""

DELETE: Final = """
delete from reaction
where post_id = :post_id
  and actor_id = :actor_id
  and emoji = :emoji
"""

ONE: Final = """
select reaction.uri, reaction.post_id, reaction.actor_id, reaction.emoji
from reaction
where reaction.post_id = :post_id
  and reaction.actor_id = :actor_id
  and reaction.emoji = :emoji
"""

LIKES: Final = """
select count(distinct reaction.actor_id) as total
from reaction
join actor on actor.id = reaction.actor_id
where reaction.post_id = :post_id
  and actor.state = 'active'
"""

SHARES: Final = """
select count(distinct boost.actor_id) as total
from post as boost
join actor on actor.id = boost.actor_id
where boost.boost_of = :post_id
  and boost.visibility in ('public', 'unlisted')
  and actor.state = 'active'
"""


async def add(tx: Transaction, instance: "Instance", actor: Actor, post: Post, uri: Iri, emoji: Emoji | None = None) -> bool:
    """Writes that `actor` likes the post, or reacts to it with an emoji, as its activity `uri` says; False if that id is another reaction's."""
    name = PLAIN if emoji is None else emoji.name
    taken = await tx.one(URI_TAKEN, uri=uri)
    if taken is not None and (taken["post_id"], taken["actor_id"], taken["emoji"]) != (post.id, actor.id, name):
        return False
    await tx.execute(
        INSERT,
        id=instance.ids.new(),
        uri=uri,
        post_id=post.id,
        actor_id=actor.id,
        emoji=name,
        icon=None if emoji is None else emoji.icon,
        now=instance.clock.ms(),
    )
    return True


async def remove(tx: Transaction, actor: Actor, post: Post, emoji: str = PLAIN) -> bool:
    """Takes it away; False if it was not there."""
    return bool(await tx.execute(DELETE, post_id=post.id, actor_id=actor.id, emoji=emoji))


async def find(tx: Transaction, actor_id: int, post_id: int, emoji: str = PLAIN) -> Reaction | None:
    """The reaction of the actor to the post, if there is one."""
    row = await tx.one(ONE, post_id=post_id, actor_id=actor_id, emoji=emoji)
    return None if row is None else Reaction(row["uri"], row["post_id"], row["actor_id"], row["emoji"])


async def tallies(tx: Transaction, post_id: int) -> Tallies:
    """How many like the post, with or without an emoji, and how many boosted it: people, each counted once."""
    likes, shares = await tx.one(LIKES, post_id=post_id), await tx.one(SHARES, post_id=post_id)
    return Tallies(likes=int(likes["total"]) if likes else 0, shares=int(shares["total"]) if shares else 0)
