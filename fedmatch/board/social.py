"""What do our people do with what others wrote, and with others? Like, boost, vote, pin, unfollow, block, move; each with its way back, but for votes.

Everything is said to the one server it concerns, and to followers only where it is for them: a boost, a pin, a move.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from actors import blocks, follows, known, moves, quiet, remote
from actors.known import Actor
from fedmatch import people
from fedmatch.board import publish
from inbox.effects import ask
from outbox import pins, polls, posts, reactions
from outbox import publish as outbox
from outbox.address import Audience
from outbox.posts import Post
from outbox.visible import Member, can_read
from schemas.activities import Add, Announce, Like, Remove, Undo, Vote
from schemas.objects import PUBLIC, Poll
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MOVE_BUDGET: Final = 10


class CannotDo(ValueError):
    """It cannot be done like this; the text says why and what to do."""


async def like(instance: "Instance", actor: Actor, url: str, *, undo: bool = False) -> None:
    """Lets `actor` like a post it can read, and tells its author; with `undo` no longer. Again is nothing new. Raises `CannotDo`."""
    await _bring(instance, url)
    await instance.database.write(_unlike if undo else _like, instance, actor, url)
    instance.wake("delivery")


async def _like(tx: Transaction, instance: "Instance", actor: Actor, url: str) -> None:
    post, author = await _readable(tx, actor, url)
    if await reactions.find(tx, actor.id, post.id) is not None:
        return
    said = Like(id=_uri(instance), actor=actor.uri, object=post.uri, to=(author.uri,))
    await reactions.add(tx, instance, actor, post, Iri(f"{said.id}"))
    await _tell(tx, instance, actor, said, Audience(actors=(author.id,)), post)


async def _unlike(tx: Transaction, instance: "Instance", actor: Actor, url: str) -> None:
    post, author = await _readable(tx, actor, url)
    before = await reactions.find(tx, actor.id, post.id)
    if before is None:
        return
    await reactions.remove(tx, actor, post)
    said = Like(id=before.uri, actor=actor.uri, object=post.uri)
    await _tell(tx, instance, actor, Undo(id=_uri(instance), actor=actor.uri, object=said, to=(author.uri,)), Audience(actors=(author.id,)), post)


async def boost(instance: "Instance", actor: Actor, url: str, *, undo: bool = False) -> None:
    """Lets `actor` pass a public post on to its followers, and tells its author; with `undo` no longer. Again is nothing new. Raises `CannotDo`."""
    await _bring(instance, url)
    await instance.database.write(_unboost if undo else _boost, instance, actor, url)
    instance.wake("delivery")
    if undo:
        await instance.database.erase()


async def _boost(tx: Transaction, instance: "Instance", actor: Actor, url: str) -> None:
    post, author = await _readable(tx, actor, url)
    to, cc = _for_followers(actor, author)
    said = Announce(id=_uri(instance), actor=actor.uri, object=post.uri, to=to, cc=cc, published=instance.clock.now().replace(microsecond=0))
    made = await posts.boost(tx, instance, actor, Iri(f"{said.id}"), post, to=to, cc=cc, published=said.published, local=True)
    if isinstance(made, posts.Refused):
        raise CannotDo(f"{url} cannot be boosted: {made.why}")
    if isinstance(made, Post):
        await _tell(tx, instance, actor, said, Audience(actors=(author.id,), followers_of=(actor.id,)), post)


async def _unboost(tx: Transaction, instance: "Instance", actor: Actor, url: str) -> None:
    post, author = await _readable(tx, actor, url)
    before = await posts.boost_by(tx, actor.id, post.id)
    if before is None:
        return
    to, cc = _for_followers(actor, author)
    await posts.remove(tx, instance, before, tombstone=False)
    said = Announce(id=before.uri, actor=actor.uri, object=post.uri, to=to, cc=cc)
    undo = Undo(id=_uri(instance), actor=actor.uri, object=said, to=to, cc=cc)
    await _tell(tx, instance, actor, undo, Audience(actors=(author.id,), followers_of=(actor.id,)), post)


async def poll(instance: "Instance", actor: Actor, url: str) -> Poll:
    """What is asked at `url`, with the numbers as far as they are known here. Raises `CannotDo`."""
    await _bring(instance, url)
    return await instance.database.read(_asked, instance, actor, url)


async def vote(instance: "Instance", actor: Actor, url: str, numbers: Sequence[int]) -> Poll:
    """Lets `actor` vote for the options with these numbers (the first is 1), and tells the poll's server; gives the poll. Raises `CannotDo`.

    Votes cannot be taken back: no server has a way to say so.
    """
    await _bring(instance, url)
    asked = await instance.database.write(_vote, instance, actor, url, numbers)
    instance.wake("delivery")
    return asked


async def _asked(tx: Transaction, instance: "Instance", actor: Actor, url: str) -> Poll:
    post, _ = await _readable(tx, actor, url)
    found = posts.opened(instance, post).poll
    if found is None:
        raise CannotDo(f"{url} asks nothing")
    return await polls.numbers(tx, post.id, found)


async def _vote(tx: Transaction, instance: "Instance", actor: Actor, url: str, numbers: Sequence[int]) -> Poll:
    post, author = await _readable(tx, actor, url)
    asked = await _asked(tx, instance, actor, url)
    if post.actor_id == actor.id:
        raise CannotDo("one does not vote in one's own poll")
    if wrong := [number for number in numbers if not 1 <= number <= len(asked.options)]:
        known = ", ".join(f"{place} {option.name}" for place, option in enumerate(asked.options, 1))
        raise CannotDo(f"there is no option {wrong[0]}; there are {known}")
    if not asked.multiple and len(set(numbers)) > 1:
        raise CannotDo("one of the options can be chosen, not several")
    choices = [asked.options[number - 1].name for number in dict.fromkeys(numbers)]
    if post.local:
        if not await polls.vote(tx, instance, actor, post.id, asked, choices):
            raise CannotDo("the poll is over, or this vote was given already")
        return await _asked(tx, instance, actor, url)
    new = await polls.choose(tx, instance, actor, post.id, asked, choices)
    if not new:
        raise CannotDo("the poll is over, or this vote was given already")
    for choice in new:
        # One activity for each: Mastodon reads no list of votes.
        said = Vote(id=_uri(instance), actor=actor.uri, question=post.uri, choices=(choice,), to=(author.uri,))
        await outbox.publish(tx, instance, actor, said, Audience(actors=(author.id,)), object=Iri(f"{said.id}"), ordering_key=f"{actor.uri} {post.uri}")
    return asked


async def pin(instance: "Instance", actor: Actor, url: str, *, undo: bool = False) -> None:
    """Puts a public post of `actor` on top of its profile and tells its followers; with `undo` takes it off. Again is nothing new. Raises `CannotDo`."""
    await instance.database.write(_pin, instance, actor, url, undo)
    instance.wake("delivery")


async def _pin(tx: Transaction, instance: "Instance", actor: Actor, url: str, undo: bool) -> None:
    post = await posts.by_uri(tx, url)
    if post is None or actor.featured is None:
        raise CannotDo(f"there is no post {url} here")
    pinned = post.uri in await pins.of(tx, actor.id)
    if pinned != undo:
        return
    if undo:
        await pins.remove(tx, actor, post)
    else:
        try:
            await pins.add(tx, instance, actor, post)
        except pins.CannotPin as error:
            raise CannotDo(f"{url} was not pinned: {error}") from error
    to, cc = (PUBLIC,), (actor.followers,) if actor.followers else ()
    kind = Remove if undo else Add
    said = kind(id=_uri(instance), actor=actor.uri, object=post.uri, target=actor.featured, to=to, cc=cc)
    await _tell(tx, instance, actor, said, Audience(followers_of=(actor.id,)), post)


async def unfollow(instance: "Instance", actor: Actor, followed: Actor) -> bool:
    """Lets `actor` follow somebody no longer, or takes its request back; False if there was nothing to end."""
    ended = await instance.database.write(_unfollow, instance, actor, followed)
    instance.wake("delivery")
    return ended


async def _unfollow(tx: Transaction, instance: "Instance", actor: Actor, followed: Actor) -> bool:
    if quiet.keeps(followed):
        return await quiet.leave(tx, instance, actor, followed)
    edge = await follows.between(tx, actor.id, followed.id)
    if edge is None or not edge.live:
        return False
    undo = await follows.cancel(tx, instance, actor, followed)
    if undo is not None:
        key = f"{actor.uri} {followed.uri}"
        await outbox.publish(tx, instance, actor, undo, Audience(actors=(followed.id,)), object=followed.uri, ordering_key=key)
    return True


async def block(instance: "Instance", actor: Actor, other: Actor, *, undo: bool = False) -> None:
    """Keeps `other` away from `actor`: no follows, nothing to read of each other here. With `undo` no longer; follows do not come back. Raises `CannotDo`.

    No Block leaves: whoever is blocked learns no more than that the follows ended (docs/decisions/0009-reactions.md).
    """
    if actor.id == other.id or other.kind == "Application":
        raise CannotDo("one blocks neither oneself nor an instance; `fedmatch peers block HOST` keeps a whole server away")
    await instance.database.write(_unblock if undo else _block, instance, actor, other)
    instance.wake("delivery")


async def _block(tx: Transaction, instance: "Instance", actor: Actor, other: Actor) -> None:
    if not await blocks.add(tx, instance, actor, other):
        return
    for said in await follows.part(tx, instance, actor, other):
        pair = (actor, other) if isinstance(said, Undo) else (other, actor)
        await outbox.publish(tx, instance, actor, said, Audience(actors=(other.id,)), object=other.uri, ordering_key=f"{pair[0].uri} {pair[1].uri}")
    log.info("actor.blocked", by=actor.id)


async def _unblock(tx: Transaction, instance: "Instance", actor: Actor, other: Actor) -> None:
    await blocks.remove(tx, actor, other)


async def expect(instance: "Instance", actor: Actor, handle: str) -> Actor:
    """Prepares a move to here: `actor` names the account behind `handle` in its `alsoKnownAs`, and tells its followers. Gives that account.

    Raises `people.NotFound`, `CannotDo`.
    """
    old = await people.find(instance, handle)
    if old.id == actor.id:
        raise CannotDo("an account does not move to itself")
    await instance.database.write(_expect, instance, actor, old)
    instance.wake("delivery")
    return old


async def _expect(tx: Transaction, instance: "Instance", actor: Actor, old: Actor) -> None:
    if old.uri not in actor.also_known_as:
        await _describe(tx, instance, actor, (*actor.also_known_as, old.uri))


async def move(instance: "Instance", actor: Actor, handle: str) -> Actor:
    """Moves `actor` to the account behind `handle`, which must name it already: says so on its profile and to its followers. Gives the new account.

    From then on nobody can follow it here, and people of this instance follow the new account in its place. Raises `people.NotFound`, `CannotDo`.
    """
    new = await people.find(instance, handle)
    if not new.local:
        again = await remote.actor(instance, new.uri, budget=remote.Budget(MOVE_BUDGET), fresh=True)
        if not isinstance(again, Actor):
            raise CannotDo(f"@{new.handle} could not be read: {again.why}; try again later")
        new = again
    await instance.database.write(_move, instance, actor, new)
    instance.wake("delivery")
    instance.wake("job")
    return new


async def _move(tx: Transaction, instance: "Instance", actor: Actor, new: Actor) -> None:
    try:
        await moves.remember(tx, instance, actor, actor, new)
    except moves.CannotMove as error:
        hint = "; there, say first that it is also this account" if "alsoKnownAs" in str(error) else ""
        raise CannotDo(f"@{actor.handle} was not moved: {error}{hint}") from error
    await _describe(tx, instance, actor)
    if actor.followers is not None:
        said = moves.announced(instance, actor, new)
        await outbox.publish(tx, instance, actor, said, Audience(followers_of=(actor.id,)), object=actor.uri, ordering_key=actor.uri)
    await ask(tx, instance, "moved", str(actor.id))


async def _describe(tx: Transaction, instance: "Instance", actor: Actor, aliases: tuple[Iri, ...] | None = None) -> None:
    """Tells the followers how `actor` describes itself now."""
    await moves.describe_anew(tx, instance, actor, aliases)
    described = await known.by_id(tx, actor.id)
    if described is not None:
        update = await moves.update(tx, instance, described)
        await outbox.publish(tx, instance, actor, update, Audience(followers_of=(actor.id,)), object=actor.uri, ordering_key=actor.uri)


async def _bring(instance: "Instance", url: str) -> None:
    """Fetches the post `url` if it is not here."""
    try:
        await publish.bring(instance, url)
    except publish.CannotPublish as error:
        raise CannotDo(str(error)) from error


async def _readable(tx: Transaction, actor: Actor, url: str) -> tuple[Post, Actor]:
    """The post, or what a boost boosts, with its author; raises `CannotDo` for what `actor` cannot read."""
    post = await posts.by_uri(tx, url)
    if post is not None and post.boost_of is not None:
        post = await posts.by_id(tx, post.boost_of)
    author = None if post is None else await known.by_id(tx, post.actor_id)
    if post is None or author is None or not await can_read(tx, Member(actor.id), post.id):
        raise CannotDo(f"there is no post {url} here, or not for {actor.username}")
    return post, author


async def _tell(
    tx: Transaction, instance: "Instance", actor: Actor, said: Like | Announce | Undo | Add | Remove, audience: Audience, post: Post
) -> None:
    # One key for what one actor says about one post: an Undo never overtakes what it undoes.
    await outbox.publish(tx, instance, actor, said, audience, object=post.uri, ordering_key=f"{actor.uri} {post.uri}")


def _uri(instance: "Instance") -> Iri:
    return Iri(f"{instance.config.base_url}/activities/{instance.ids.new()}")


def _for_followers(actor: Actor, author: Actor) -> tuple[tuple[Iri, ...], tuple[Iri, ...]]:
    """Whom a boost is for, as Mastodon writes it: everybody, then the followers and the author."""
    return (PUBLIC,), ((actor.followers, author.uri) if actor.followers else (author.uri,))
