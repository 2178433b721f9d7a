"""What do others make of a post? Boosts, likes, emoji, votes, and their taking back; each counts once, in whatever order it comes.

What stands is decided by actors/said.py; here it is made true: a boost is a post, a like is a row, a vote is a number. What an Announce carries of the post it
names is never looked at: a post is shown as its own server shows it.
"""

import structlog

from actors import known, said
from actors.instance import Instance
from actors.known import Actor
from actors.said import About
from inbox import concern, replies
from inbox.dereference import Origin
from inbox.effects import NOTHING, Effects
from outbox import polls, posts, reactions
from schemas.activities import Announce, EmojiReact, Like, Undo, Vote
from schemas.objects import Emoji
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()


async def boosted(tx: Transaction, instance: Instance, actor: Actor, announce: Announce, found: Origin | None, at: int = 0) -> Effects:
    """Takes a boost of a public post: one that we hold, or one that was `found` at its origin. Private posts and boosts are never amplified."""
    if announce.id is None or not actor.active or not await concern.boost(tx, instance, actor, announce.object):
        return NOTHING
    standing = await said.say(tx, instance, actor, About("Announce", announce.object), announce.id, at)
    if standing is None:
        return NOTHING
    post = await posts.by_uri(tx, announce.object)
    effects = NOTHING
    if post is None and found is not None:
        post = await _held(tx, instance, found)
        if post is not None and await replies.wanted(tx, instance, found.note):
            effects = Effects(wake=("job",))
    if post is None:
        return NOTHING
    outcome = await posts.boost(tx, instance, actor, standing, post, to=announce.to, cc=announce.cc, published=announce.published)
    if isinstance(outcome, posts.Refused):
        log.info("boost.refused", actor=actor.id, why=outcome.why)
    return effects


async def _held(tx: Transaction, instance: Instance, found: Origin) -> posts.Post | None:
    """Stores a boosted post as its own origin shows it."""
    author = await known.by_id(tx, found.author.id)
    if author is None or not author.active or posts.visibility(found.note, author.followers) not in ("public", "unlisted"):
        return None
    stored = await posts.store(tx, instance, author, found.note, local=False, document=found.document)
    return stored if isinstance(stored, posts.Post) else stored.post if isinstance(stored, posts.Known) else None


async def liked(tx: Transaction, instance: Instance, actor: Actor, like: Like | EmojiReact, at: int = 0) -> Effects:
    """Takes a like, or an emoji, for a post of ours that its sender can read; likes of others' posts are not for us (as at Mastodon)."""
    post = await concern.reaction(tx, instance, actor, like.object)
    if post is None or like.id is None:
        return NOTHING
    standing = await said.say(tx, instance, actor, _about(like), like.id, at)
    if standing is not None:
        await reactions.add(tx, instance, actor, post, standing, like.emoji)
    return NOTHING


async def voted(tx: Transaction, instance: Instance, actor: Actor, vote: Vote) -> Effects:
    """Counts a vote in a poll of ours. Of anything else a Note with a name and no content is no vote and no reply: it is forgotten."""
    post = await concern.reaction(tx, instance, actor, vote.question)
    if post is None:
        return NOTHING
    asked = posts.opened(instance, post).poll
    if asked is not None and post.actor_id != actor.id:
        await polls.vote(tx, instance, actor, post.id, asked, vote.choices)
    return NOTHING


async def taken_back(tx: Transaction, instance: Instance, actor: Actor, undo: Undo, what: Announce | Like | EmojiReact, at: int = 0) -> Effects:
    """Takes the Undo of the actor's own boost, like or emoji, by whatever id; one that comes first is remembered."""
    uri = what.id or undo.id
    if what.actor != actor.uri or uri is None:
        return NOTHING
    # What would not be taken need not be remembered either.
    if isinstance(what, Announce):
        if await posts.by_uri(tx, uri) is None and not await concern.boost(tx, instance, actor, what.object):
            return NOTHING
    elif await concern.our_post(tx, instance, what.object) is None:
        return NOTHING
    about = await said.take_back(tx, instance, actor, uri, _about(what), at)
    return NOTHING if about is None else await settled(tx, instance, actor, about)


async def settled(tx: Transaction, instance: Instance, actor: Actor, about: About) -> Effects:
    """Makes true what is left after an Undo: without anything that stands there is no boost, no like, no emoji."""
    if await said.standing(tx, actor, about) is not None:
        return NOTHING
    post = await posts.by_uri(tx, about.object)
    if post is None:
        return NOTHING
    match about.kind:
        case "Announce":
            boost = await posts.boost_by(tx, actor.id, post.id)
            if boost is None:
                return NOTHING
            await posts.remove(tx, instance, boost, tombstone=False)  # its memory is kept by id: the same may be announced again
            return Effects(wake=("job",))
        case "Like" | "EmojiReact":
            await reactions.remove(tx, actor, post, about.detail)
            return NOTHING
        case _:
            return NOTHING


async def unboosted(tx: Transaction, instance: Instance, actor: Actor, id: Iri) -> Effects | None:
    """Takes a boost away that is known by its id alone, from before its id was written down; None if there is none of this actor."""
    boost = await posts.by_uri(tx, id)
    if boost is None or boost.boost_of is None or boost.actor_id != actor.id:
        return None
    await posts.remove(tx, instance, boost, tombstone=False)
    return Effects(wake=("job",))


def _about(what: Announce | Like | EmojiReact) -> About:
    if isinstance(what, Announce):
        return About("Announce", what.object)
    return About("Like" if isinstance(what, Like) else "EmojiReact", what.object, _name(what.emoji))


def _name(emoji: Emoji | None) -> str:
    return reactions.PLAIN if emoji is None else emoji.name
