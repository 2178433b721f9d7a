"""What did somebody put on top of their profile? Public posts of their own, ours and theirs, in their order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from actors.known import Actor
from outbox.posts import Post
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

MOST: Final = 20
"""Pins of one actor; Mastodon lets people have five."""

INSERT: Final = """
insert into pin (actor_id, post_id, place)
values (:actor_id, :post_id, :place)
on conflict (actor_id, post_id) do update
set place = excluded.place
"""

DELETE: Final = """
delete from pin
where actor_id = :actor_id
  and post_id = :post_id
"""

CLEAR: Final = """
delete from pin
where actor_id = :actor_id
"""

COUNT: Final = """
select count(*) as total
from pin
where pin.actor_id = :actor_id
"""

OF: Final = """
select post.uri
from pin
join post on post.id = pin.post_id
where pin.actor_id = :actor_id
  and post.visibility in ('public', 'unlisted')
order by pin.place, pin.post_id desc
limit :limit
"""


class CannotPin(ValueError):
    """Only public posts of one's own are pinned, and only so many; the text says which of it."""


async def add(tx: Transaction, instance: "Instance", actor: Actor, post: Post) -> None:
    """Puts a post on top of its author's profile, before the others. Raises `CannotPin`."""
    if post.actor_id != actor.id or post.boost_of is not None or not post.public:
        raise CannotPin("only public posts of one's own can be pinned")
    count = await tx.one(COUNT, actor_id=actor.id)
    if count is not None and count["total"] >= MOST:
        raise CannotPin(f"{MOST} posts are pinned already; take one off first")
    await tx.execute(INSERT, actor_id=actor.id, post_id=post.id, place=-instance.clock.ms())


async def remove(tx: Transaction, actor: Actor, post: Post) -> bool:
    """Takes a post off the top; False if it was not there."""
    return bool(await tx.execute(DELETE, actor_id=actor.id, post_id=post.id))


async def replace(tx: Transaction, actor: Actor, posts: Sequence[Post]) -> None:
    """Makes exactly these the pins of `actor`, in this order; what is not its own or not public is left out."""
    await tx.execute(CLEAR, actor_id=actor.id)
    own = [post for post in posts if post.actor_id == actor.id and post.boost_of is None and post.public]
    for place, post in enumerate(own[:MOST]):
        await tx.execute(INSERT, actor_id=actor.id, post_id=post.id, place=place)


async def of(tx: Transaction, actor_id: int) -> list[Iri]:
    """The ids of the posts an actor pinned, the first one first."""
    return [Iri(row["uri"]) for row in await tx.all(OF, actor_id=actor_id, limit=MOST)]
