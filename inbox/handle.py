"""What does an activity do? One `match` over the closed union; each arm is one sentence, and everything it does happens in the transaction of its arrival.

    needs_network   does it name something that only another server can show?
    prepare         fetches that, within a budget, before the transaction
    act             the effects; returned activities are published in the same transaction

What it may do was proven before: `verified.actor` is the sender. What may be done to what is asked of the room that owns it.
"""

from dataclasses import dataclass
from typing import Final, assert_never

import structlog

from actors import follows, known
from actors.instance import Instance
from actors.known import Actor
from inbox import dereference, forward, people, reports
from inbox.dereference import Origin
from inbox.effects import NOTHING, Effects, ask
from inbox.errors import Refused
from inbox.verify import Verified
from outbox import posts
from schemas import documents
from schemas.activities import Accept, Activity, Announce, Create, Delete, Flag, Follow, Like, Other, Reject, Undo, Update
from schemas.objects import ActorDocument, Note, Reference
from schemas.reading import Document, Iri
from schemas.storage import Transaction

log = structlog.get_logger()

MOST_ADDRESSED: Final = 50
"""Of how many addressed ids we look whether they are ours; nobody writes to more of us at once but a spammer (security.md A038)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was fetched from its own origin for one activity."""

    post: Origin | None = None
    refreshed: bool = False


def needs_network(instance: Instance, activity: Activity) -> bool:
    """Whether `prepare` has anything to look for; most activities carry all they need."""
    match activity:
        case Create(object=Reference()) | Update(object=Reference()):
            return True
        case Update(object=ActorDocument()):
            return True
        case Announce(object=object):
            return not _ours(instance, object)
        case _:
            return False


async def prepare(instance: Instance, verified: Verified, activity: Activity) -> Found:
    """What `act` needs and we do not hold, from its own origin. Raises `Later` where it may be reached another time."""
    budget = dereference.budget(instance)
    actor = await instance.database.read(known.by_id, verified.actor.id)
    if actor is None:
        return Found()
    match activity:
        case Update(object=Reference(id=id)) if id == actor.uri:
            return Found(refreshed=await people.refresh(instance, actor, budget))
        case Create(object=Reference(id=id)) | Update(object=Reference(id=id)):
            return Found(await dereference.post(instance, id, budget, owner=actor))
        case Update(object=ActorDocument() as document) if document.id == actor.uri and not await instance.database.read(people.is_same, actor, document):
            return Found(refreshed=await people.refresh(instance, actor, budget))
        case Announce(object=object) if await instance.database.read(_wanted_boost, actor, object):
            return Found(await dereference.post(instance, object, budget))
        case _:
            return Found()


async def act(tx: Transaction, instance: Instance, verified: Verified, activity: Activity, found: Found) -> Effects:
    """Does what the activity says, as far as its sender may; everything else is left as it is, with a line in the log."""
    if activity.actor != verified.actor.uri:
        raise Refused("the parsed actor is not the proven one")
    actor = await known.by_id(tx, verified.actor.id)
    if actor is None:
        return NOTHING
    answered = await forward.answered(tx, instance, verified, activity)
    effects = await _act(tx, instance, actor, verified, activity, found)
    return effects if answered is None else await forward.onward(tx, instance, verified, activity, answered, effects)


async def _act(tx: Transaction, instance: Instance, actor: Actor, verified: Verified, activity: Activity, found: Found) -> Effects:
    match activity:
        case Follow():
            return await people.follow(tx, instance, actor, activity)
        case Accept():
            return await people.accepted(tx, instance, actor, activity)
        case Reject():
            return await people.rejected(tx, instance, actor, activity)
        case Undo():
            return await _undo(tx, instance, actor, activity)
        case Create(object=object):
            made = _told(object, verified, found)
            return NOTHING if made is None else await _create(tx, instance, actor, *made)
        case Update(object=object):
            if isinstance(object, ActorDocument):
                return NOTHING if found.refreshed else await people.changed(tx, instance, actor, object)
            edited = _told(object, verified, found)
            return NOTHING if edited is None else await _change(tx, instance, actor, *edited)
        case Delete(object=thing):
            return await _delete(tx, instance, actor, thing.id)
        case Announce():
            return await _boost(tx, instance, actor, activity, found)
        case Flag():
            return await reports.flagged(tx, instance, actor, activity)
        case Like() | Other():
            # Likes have no table yet; unknown types are answered politely and forgotten, as by everybody.
            return NOTHING
        case _:
            assert_never(activity)


def _told(object: Note | Reference, verified: Verified, found: Found) -> tuple[Note, bytes | None] | None:
    """The post an activity speaks of, embedded or as its origin shows it, with the JSON it was read from."""
    match object:
        case Note():
            return object, _original(verified.document)
        case Reference():
            return None if found.post is None else (found.post.note, found.post.document)


async def _create(tx: Transaction, instance: Instance, actor: Actor, note: Note, document: bytes | None) -> Effects:
    if not actor.active or not await relevant(tx, instance, actor, note):
        return NOTHING
    return await _stored(tx, instance, note, await posts.store(tx, instance, actor, note, local=False, document=document))


async def _change(tx: Transaction, instance: Instance, actor: Actor, note: Note, document: bytes | None) -> Effects:
    if await posts.by_uri(tx, note.id) is None:
        # GoToSocial does so too: an edit that overtook its Create, or whose Create was not for us, is a Create.
        return await _create(tx, instance, actor, note, document)
    return await _stored(tx, instance, note, await posts.change(tx, instance, actor, note, document=document))


async def _stored(tx: Transaction, instance: Instance, note: Note, outcome: posts.Post | posts.Known | posts.Taken | posts.Refused) -> Effects:
    match outcome:
        case posts.Post():
            return await _with_thread(tx, instance, note, outcome)
        case posts.Refused(why=why):
            log.info("post.refused", why=why)
            return NOTHING
        case posts.Known() | posts.Taken():
            return NOTHING
        case _:
            assert_never(outcome)


async def _with_thread(tx: Transaction, instance: Instance, note: Note, post: posts.Post) -> Effects:
    """Asks for the posts above this one, later and apart: their server may hang, and nobody waits for it."""
    parent = note.in_reply_to
    if parent is None or post.in_reply_to_id is not None or not post.public or _ours(instance, parent):
        return NOTHING
    await ask(tx, instance, "thread", parent)
    return Effects(wake=("job",))


async def _delete(tx: Transaction, instance: Instance, actor: Actor, id: Iri) -> Effects:
    if id == actor.uri:
        await known.remove(tx, instance, actor)
        return Effects(wake=("job",))
    match await posts.delete(tx, instance, actor, id):
        case posts.Removed(post=post):
            # What hears PostGone makes its words unreadable in every file.
            return NOTHING if post is None else Effects(wake=("job",))
        case posts.Refused(why=why):
            log.info("delete.refused", actor=actor.id, why=why)
            return NOTHING


async def _boost(tx: Transaction, instance: Instance, actor: Actor, announce: Announce, found: Found) -> Effects:
    if announce.id is None or not actor.active or not await _cares(tx, instance, actor, announce.object):
        return NOTHING
    if await follows.was_undone(tx, instance, announce.id, actor.uri):
        return NOTHING
    post = await posts.by_uri(tx, announce.object)
    if post is None and found.post is not None:
        post = await _boosted(tx, instance, found.post)
    if post is None:
        return NOTHING
    outcome = await posts.boost(tx, instance, actor, announce.id, post, to=announce.to, cc=announce.cc, published=announce.published)
    if isinstance(outcome, posts.Refused):
        log.info("boost.refused", actor=actor.id, why=outcome.why)
    return NOTHING


async def _boosted(tx: Transaction, instance: Instance, found: Origin) -> posts.Post | None:
    """Stores a boosted post as its own origin shows it; what the Announce itself may have carried of it was never looked at."""
    author = await known.by_id(tx, found.author.id)
    if author is None or not author.active or posts.visibility(found.note, author.followers) not in ("public", "unlisted"):
        return None
    stored = await posts.store(tx, instance, author, found.note, local=False, document=found.document)
    return stored if isinstance(stored, posts.Post) else stored.post if isinstance(stored, posts.Known) else None


async def _undo(tx: Transaction, instance: Instance, actor: Actor, undo: Undo) -> Effects:
    match undo.object:
        case Announce() as announce:
            if announce.actor != actor.uri:
                return NOTHING
            boost = None if announce.id is None else await posts.by_uri(tx, announce.id)
            if boost is None and (of := await posts.by_uri(tx, announce.object)) is not None:
                boost = await posts.boost_by(tx, actor.id, of.id)
            if boost is None and announce.id is not None:
                await follows.remember_undone(tx, instance, actor, announce.id)
            return await _unboost(tx, instance, actor, boost)
        case Reference(id=id):
            boost = await posts.by_uri(tx, id)
            if boost is not None and boost.boost_of is not None:
                return await _unboost(tx, instance, actor, boost)
            return await people.undone(tx, instance, actor, undo)
        case Follow() | Other():
            return await people.undone(tx, instance, actor, undo)
        case Like():
            return NOTHING
        case _:
            assert_never(undo.object)


async def _unboost(tx: Transaction, instance: Instance, actor: Actor, boost: posts.Post | None) -> Effects:
    if boost is None or boost.boost_of is None or boost.actor_id != actor.id:
        return NOTHING
    # No tombstone: Misskey announces the same post again under the same id.
    await posts.remove(tx, instance, boost, tombstone=False)
    return Effects(wake=("job",))


FOLLOWED: Final = """
select id
from follow
where followed_id = :actor_id
  and state = 'accepted'
limit 1
"""


async def relevant(tx: Transaction, instance: Instance, actor: Actor, note: Note) -> bool:
    """Whether a post concerns anybody here (protocol 4.1 step 9): its author is followed, one of ours is addressed or answered, or it is a public listing.

    Everything else is spam to us, however well it is signed.
    """
    if note.in_reply_to is not None and await _our_post(tx, instance, note.in_reply_to) is not None:
        return True
    if note.proposal is not None and not posts.PUBLIC_SPELLINGS.isdisjoint(note.addressed):
        return instance.trust.actor(actor.uri, "receive").shown
    for target in [target for target in dict.fromkeys(note.addressed) if _ours(instance, target)][:MOST_ADDRESSED]:
        addressed = await known.by_uri(tx, target)
        if addressed is not None and addressed.local and addressed.active:
            return True
    return await tx.one(FOLLOWED, actor_id=actor.id) is not None


async def _cares(tx: Transaction, instance: Instance, actor: Actor, object: Iri) -> bool:
    """Whether a boost concerns anybody here: it is of a post of ours, or its author is followed."""
    return await _our_post(tx, instance, object) is not None or await tx.one(FOLLOWED, actor_id=actor.id) is not None


async def _wanted_boost(tx: Transaction, actor: Actor, object: Iri) -> bool:
    """Whether to fetch what a boost names: somebody follows the booster, and we do not hold it."""
    return await tx.one(FOLLOWED, actor_id=actor.id) is not None and await posts.by_uri(tx, object) is None


async def _our_post(tx: Transaction, instance: Instance, id: Iri) -> posts.Post | None:
    post = await posts.by_uri(tx, id) if _ours(instance, id) else None
    return post if post is not None and post.local else None


def _ours(instance: Instance, id: Iri) -> bool:
    return id.startswith(f"{instance.config.base_url}/")


def _original(document: Document) -> bytes | None:
    """The object as it came, to be kept for a public post."""
    thing = document.get("object")
    thing = thing[0] if isinstance(thing, list) and thing else thing
    return documents.dumps(thing) if isinstance(thing, dict) else None
