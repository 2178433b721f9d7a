"""What does the board make of a post, ours or theirs? Subscribers: rows of listings, rows of home timelines, and what may not be shown at all.

Each runs inside the transaction of its cause and awaits nothing but `tx`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from actors import generations, known
from fedmatch import chores, times
from fedmatch.board import checked, listings, shares, suggestions, vectors
from fedmatch.board.listings import AudienceName
from fedmatch.safety import border
from schemas.events import Answer, Boosted, PlainStored, PostArrived, PostChanged, PostGone, PostStored, VouchesChanged
from schemas.objects import PUBLIC, Note, Proposal, Vouch
from schemas.states import LISTING
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

SENT_STATES: Final = frozenset({"open", "paused", "matched", "fulfilled", "expired", "withdrawn"})
"""The states another instance may tell us; drafts and what is held stay at home."""

REQUEST_ANSWERED: Final = """
select listing.post_id, post.actor_id
from post
join listing on listing.post_id = post.id
where post.uri = :uri
  and listing.kind = 'request'
"""


async def arrived(instance: "Instance", tx: Transaction, event: PostArrived) -> Answer:
    """Takes public answers to requests out of the way: shown, they would expose helper and asker to each other's watchers.

    The asker's own additions pass. What is taken is not stored, not shown and not forwarded; nor is one more than a peer may have open here.
    """
    if event.confidential and event.note.proposal is not None and not await shares.has_room(tx, instance, event.actor_id):
        return Answer.TAKEN
    if event.note.in_reply_to is None or PUBLIC not in event.note.addressed:
        return Answer.PASS
    row = await tx.one(REQUEST_ANSWERED, uri=event.note.in_reply_to)
    if row is None or row["actor_id"] == event.actor_id:
        return Answer.PASS
    log.info("board.public_answer_not_kept", request=row["post_id"])
    return Answer.TAKEN


FOLLOWERS_READ: Final = """
insert into home (actor_id, post_id)
select follow.follower_id, cast(:post_id as integer)
from follow
join actor on actor.id = follow.follower_id
where follow.followed_id = :author_id
  and follow.state = 'accepted'
  and actor.local = 1
on conflict (actor_id, post_id) do nothing
"""

ADDRESSED_READ: Final = """
insert into home (actor_id, post_id)
select actor.id, post_audience.post_id
from post_audience
join actor on actor.id = post_audience.actor_id
where post_audience.post_id = :post_id
  and actor.local = 1
on conflict (actor_id, post_id) do nothing
"""

# Of what a limited server or a held stranger says, only those who follow its author read at once.
ADDRESSED_FOLLOWER_READS: Final = """
insert into home (actor_id, post_id)
select actor.id, post_audience.post_id
from post_audience
join actor on actor.id = post_audience.actor_id
join follow on follow.follower_id = actor.id
where post_audience.post_id = :post_id
  and actor.local = 1
  and follow.followed_id = :author_id
  and follow.state = 'accepted'
on conflict (actor_id, post_id) do nothing
"""

AUTHOR_READS: Final = """
insert into home (actor_id, post_id)
values (:author_id, :post_id)
on conflict (actor_id, post_id) do nothing
"""

VISIBILITY: Final = """
select post.visibility
from post
where post.id = :post_id
"""


async def stored(instance: "Instance", tx: Transaction, event: PostStored) -> None:
    """A new post: into the homes of those who read it, and onto the board if it is a request or an offer for everybody."""
    if event.confidential:
        await _list_copy(instance, tx, event.post_id, event.note)
        return
    if event.visibility != "direct":
        await tx.execute(FOLLOWERS_READ, post_id=event.post_id, author_id=event.actor_id)
    await _addressed_read(instance, tx, event)
    if event.local:
        await tx.execute(AUTHOR_READS, post_id=event.post_id, author_id=event.actor_id)
    if event.local or event.note.proposal is not None:  # what others just posted has no listing yet
        await _list(instance, tx, event.post_id, event.note, event.visibility)


async def plain(_instance: "Instance", tx: Transaction, event: PlainStored) -> None:
    """New posts that concern nobody but those who follow their authors."""
    await tx.many(FOLLOWERS_READ, [{"post_id": post_id, "author_id": author_id} for post_id, author_id in event.posts])


async def changed(instance: "Instance", tx: Transaction, event: PostChanged) -> None:
    """An edited post: whom it newly addresses reads it, and its listing follows."""
    if event.confidential:
        await _list_copy(instance, tx, event.post_id, event.note)
        return
    await _addressed_read(instance, tx, event)
    await _list(instance, tx, event.post_id, event.note, await _visibility(tx, event.post_id))


async def _addressed_read(instance: "Instance", tx: Transaction, event: PostStored | PostChanged) -> None:
    """Into the homes of those it addresses; what has to wait for an admin waits."""
    here = f"{instance.config.base_url}/"
    if not any(target.startswith(here) for target in event.note.addressed):
        return
    if not event.local and await border.waits(tx, instance, event.actor_id):
        await tx.execute(ADDRESSED_FOLLOWER_READS, post_id=event.post_id, author_id=event.actor_id)
        await border.hold(tx, event.post_id)
    else:
        await tx.execute(ADDRESSED_READ, post_id=event.post_id)


async def gone(instance: "Instance", tx: Transaction, event: PostGone) -> None:
    """A deleted post: its rows go with it, and soon its words go from every file and from memory."""
    audience = await listings.audience_of(tx, event.post_id)
    if audience not in (None, "public"):
        await generations.bump(tx, "board")
    if audience is not None:
        await vectors.forget(tx, instance, event.post_id)
        await suggestions.gone(tx, instance, event.post_id)
    await chores.erase_soon(tx, instance)


async def boosted(instance: "Instance", tx: Transaction, event: Boosted) -> None:
    """A boost: into the homes of the booster's followers."""
    await tx.execute(FOLLOWERS_READ, post_id=event.boost_id, author_id=event.actor_id)


async def _visibility(tx: Transaction, post_id: int) -> str:
    row = await tx.one(VISIBILITY, post_id=post_id)
    return "direct" if row is None else str(row["visibility"])


async def _list(instance: "Instance", tx: Transaction, post_id: int, note: Note, visibility: str) -> None:
    """Writes, changes or removes the listing of a post that everybody may read."""
    audience = await listings.audience_of(tx, post_id)
    if audience not in (None, "public"):
        return  # ours for fewer people: whoever publishes it writes its rows
    # A request that came in a direct or followers-only post is an ordinary private post: nothing of it goes onto a board.
    if note.proposal is None or visibility not in ("public", "unlisted"):
        if audience is not None:
            await listings.remove(tx, instance, post_id)
        return
    await _write(instance, tx, post_id, note, note.proposal, "public")


async def _list_copy(instance: "Instance", tx: Transaction, post_id: int, note: Note) -> None:
    """The copy that a trusted peer gave us of a listing that is not public. What it says in the open by mistake stays an ordinary private post."""
    audience = await listings.audience_of(tx, post_id)
    if audience == "public":
        return  # it was for everybody before; nobody unsays that
    if note.proposal is None or PUBLIC in note.addressed:
        if audience is not None:
            await listings.remove(tx, instance, post_id)
            await generations.bump(tx, "board")
        return
    await _write(instance, tx, post_id, note, note.proposal, note.proposal.circle or "peers", confidential=True)


async def _write(
    instance: "Instance", tx: Transaction, post_id: int, note: Note, proposal: Proposal, audience: AudienceName, *, confidential: bool = False
) -> None:
    author = None if not proposal.vouches else await known.by_uri(tx, note.attributed_to)
    if author is None or not author.local:
        proposal = replace(proposal, vouches=await checked.counted(tx, instance, author, proposal.vouches))
    before = await listings.state_of(tx, post_id)
    held = None if before is None or (author is not None and author.local) else await listings.by_id(tx, instance, post_id)
    if held is not None and not held.local and _most(held.vouches) != _most(proposal.vouches):
        await instance.tell(tx, VouchesChanged(held.actor_id, None))  # who answered it may have relied on that
    state = _state(post_id, before, proposal, instance.clock.ms())
    await listings.write(tx, instance, post_id, proposal, state, note.language, audience=audience, confidential=confidential, warning=note.summary)
    if proposal.ends is not None and state in listings.OPEN:
        await chores.expire_at(tx, instance, post_id, times.milliseconds(proposal.ends))


def _most(said: Sequence[Vouch]) -> int:
    return max((vouch.level for vouch in said), default=0)


def _state(post_id: int, before: str | None, proposal: Proposal, now_ms: int) -> str:
    """The state a listing is in after what is newer than all we know of it (`outbox.posts.change` leaves the rest aside).

    What lay between may never have come, so any state may follow any other; only from one that ends a life nothing leads back.
    """
    told = proposal.status if proposal.status in SENT_STATES else "open"
    if proposal.ends is not None and times.milliseconds(proposal.ends) <= now_ms and told in listings.OPEN:
        told = "expired"
    if before is not None and not LISTING.moves[before] and told != before:
        log.info("board.move_not_made", listing=post_id, state=before, to=told)
        return before
    return told
