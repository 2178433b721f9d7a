"""Who may read this post? The one predicate: in SQL for lists, and `can_read` for a single post. Whether a host may speak with us at all is actors.trust.

public and unlisted: everybody; but who is nobody here, only where the author's server does not keep it from the open web (GoToSocial). followers: the author,
accepted followers, those it addresses. direct: the author and those it addresses. Never across a block.
"""

from dataclasses import dataclass
from typing import Final

from schemas.storage import Transaction


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Somebody who proved nothing."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of our own actors."""

    actor_id: int


@dataclass(frozen=True, slots=True)
class Remote:
    """An actor of another server who signed. It reads what any actor of its host may read.

    GoToSocial, snac and Hollo sign a fetch as whichever user caused it, Takahe as its system actor; what one of them was given the host holds anyway.
    """

    actor_id: int
    host: str


Viewer = Anonymous | Member | Remote

VISIBLE: Final = """
(
  exists (
    select 1
    from actor as author
    where author.id = post.actor_id
      and author.state = 'active'
  )
  and (
    cast(:viewer_actor as integer) <> 0
    or :viewer_host <> ''
    or not exists (
      select 1
      from actor as author
      where author.id = post.actor_id
        and case post.visibility when 'public' then author.hides_public when 'unlisted' then author.hides_unlisted else 0 end = 1
    )
  )
  and (
    post.visibility in ('public', 'unlisted')
    or post.actor_id = :viewer_actor
    or exists (
      select 1
      from post_audience
      where post_audience.post_id = post.id
        and post_audience.actor_id = :viewer_actor
    )
    or (
      post.visibility = 'followers'
      and exists (
        select 1
        from follow
        where follow.followed_id = post.actor_id
          and follow.follower_id = :viewer_actor
          and follow.state = 'accepted'
      )
    )
    or (
      :viewer_host <> ''
      and (
        exists (
          select 1
          from post_audience
          join actor as addressed on addressed.id = post_audience.actor_id
          join host on host.id = addressed.host_id
          where post_audience.post_id = post.id
            and host.name = :viewer_host
        )
        or (
          post.visibility = 'followers'
          and exists (
            select 1
            from follow
            join actor as follower on follower.id = follow.follower_id
            join host on host.id = follower.host_id
            where follow.followed_id = post.actor_id
              and follow.state = 'accepted'
              and host.name = :viewer_host
          )
        )
      )
    )
  )
  and not exists (
    select 1
    from block
    where (block.actor_id = post.actor_id and block.blocked_id = :viewer_actor)
       or (block.actor_id = :viewer_actor and block.blocked_id = post.actor_id)
  )
  and (
    post.boost_of is null
    or exists (
      select 1
      from post as boosted
      where boosted.id = post.boost_of
        and (boosted.visibility in ('public', 'unlisted') or boosted.actor_id = post.actor_id)
        and not exists (
          select 1
          from block
          where (block.actor_id = boosted.actor_id and block.blocked_id = :viewer_actor)
             or (block.actor_id = :viewer_actor and block.blocked_id = boosted.actor_id)
        )
    )
  )
)
"""
"""A condition over `post` for any `where`; takes the values of `seen_by`. A boost is as visible as itself, of a public post or of the booster's own.
Of two of whom one blocks the other, neither sees the other's posts."""

CAN_READ: Final = (
    """
select post.id
from post
where post.id = :post_id
  and """
    + VISIBLE
)



def seen_by(viewer: Viewer) -> dict[str, int | str]:
    """The values that `VISIBLE` takes: `viewer_actor` and `viewer_host`, 0 and empty where there is none."""
    match viewer:
        case Anonymous():
            return {"viewer_actor": 0, "viewer_host": ""}
        case Member(actor_id):
            return {"viewer_actor": actor_id, "viewer_host": ""}
        case Remote(actor_id, host):
            return {"viewer_actor": actor_id, "viewer_host": host}


async def can_read(tx: Transaction, viewer: Viewer, post_id: int) -> bool:
    """Whether `viewer` may read the post with this id; False for one that is not there."""
    return await tx.one(CAN_READ, post_id=post_id, **seen_by(viewer)) is not None
