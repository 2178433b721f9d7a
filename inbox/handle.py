"""What does an activity do? One `match` over the closed union; each arm is one sentence, and everything it does happens in the transaction of its arrival.

    needs_network   does it name something that only another server can show?
    prepare         fetches that, within a budget, before the transaction
    act             the effects; returned activities are published in the same transaction

What it may do was proven before: `verified.actor` is the sender. What may be done to what is asked of the room that owns it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never

import structlog

from actors import known, quiet, said
from actors.instance import Instance
from actors.known import Actor
from inbox import agreements, blocks, concern, dereference, forward, moves, partners, people, pins, reactions, reports
from inbox.dereference import Origin
from inbox.effects import NOTHING, Effects, ask
from inbox.errors import Refused
from inbox.verify import Verified
from outbox import posts
from schemas.activities import (
    Accept,
    Activity,
    Add,
    Announce,
    Block,
    Create,
    Delete,
    EmojiReact,
    Flag,
    Follow,
    Like,
    Move,
    Offer,
    Other,
    Reject,
    Remove,
    Sealed,
    Undo,
    Update,
    Vote,
)
from schemas.events import Answer, Revised
from schemas.objects import ActorDocument, Agreement, Note, Receipt, Reference
from schemas.reading import Document, Iri
from schemas.storage import Transaction

log = structlog.get_logger()

@dataclass(frozen=True, slots=True)
class Found:
    """What was fetched from its own origin for one activity."""

    post: Origin | None = None
    gone: bool = False
    """Its origin says that there was a post, and that it was deleted."""
    refreshed: bool = False
    moved: tuple[Actor, Actor] | None = None
    """The two accounts of a Move, read anew."""


def needs_network(instance: Instance, activity: Activity) -> bool:
    """Whether `prepare` has anything to look for; most activities carry all they need."""
    match activity:
        case Create(object=Reference()) | Update(object=Reference()):
            return True
        case Update(object=ActorDocument()):
            return True
        case Announce(object=object):
            return not concern.ours(instance, object)
        case Move():
            return True
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
        case Announce(object=object, wraps=None) if await instance.database.read(_wanted_boost, actor, object):
            return Found(await dereference.post(instance, object, budget))
        case Announce(object=object, wraps="Update" | "Delete") if await instance.database.read(_passed_on, actor, object):
            seen = await dereference.look(instance, object, budget)
            return as_shown(seen)
        case Move():
            return Found(moved=await moves.looked_up(instance, actor, activity, budget))
        case _:
            return Found()


async def act(tx: Transaction, instance: Instance, verified: Verified, activity: Activity, found: Found) -> Effects:
    """Does what the activity says, as far as its sender may; everything else is left as it is, with a line in the log."""
    if activity.actor != verified.actor.uri:
        raise Refused("the parsed actor is not the proven one")
    actor = await known.by_id(tx, verified.actor.id)
    if actor is None or actor.state == "gone":
        return NOTHING  # of whoever left everything was taken away; what comes late would stay
    if actor.kind == "Application" and (heard := await partners.heard(tx, instance, actor, activity, sealed=verified.sealed)) is not None:
        return heard
    answered = None if verified.sealed else await forward.answered(tx, instance, verified, activity)
    if not verified.sealed:
        await forward.withdrawn(tx, instance, verified, activity)
    effects = await _act(tx, instance, actor, verified, activity, found)
    return effects if answered is None else await forward.onward(tx, instance, verified, activity, answered, effects)


async def _act(tx: Transaction, instance: Instance, actor: Actor, verified: Verified, activity: Activity, found: Found) -> Effects:
    match activity:
        case Follow():
            return await people.follow(tx, instance, actor, activity, verified.at)
        case Offer():
            return await agreements.offered(tx, instance, actor, activity, verified.sealed)
        case Accept() | Reject():
            return await _answered(tx, instance, actor, verified, activity)
        case Undo():
            return await _undo(tx, instance, actor, activity, verified)
        case Create(object=object):
            if isinstance(object, Receipt):
                return await agreements.receipted(tx, instance, actor, object, verified.sealed)
            made = _told(object, verified, found)
            return NOTHING if made is None else await _create(tx, instance, actor, *made, confidential=verified.sealed, said_at=activity.published)
        case Update(object=object):
            if isinstance(object, ActorDocument):
                return NOTHING if found.refreshed else await people.changed(tx, instance, actor, object)
            if isinstance(object, Agreement):
                return await agreements.changed(tx, instance, actor, object, verified.sealed)
            edited = _told(object, verified, found)
            return NOTHING if edited is None else await _change(tx, instance, actor, *edited, confidential=verified.sealed)
        case Delete(object=thing):
            return await _delete(tx, instance, actor, thing.id, activity.published, confidential=verified.sealed)
        case Announce(wraps=None):
            return await reactions.boosted(tx, instance, actor, activity, found.post, verified.at)
        case Announce():
            return await shown(tx, instance, activity.object, found)
        case Like() | EmojiReact():
            return await reactions.liked(tx, instance, actor, activity, verified.at)
        case Vote():
            return await reactions.voted(tx, instance, actor, activity)
        case Block():
            return await blocks.blocked(tx, instance, actor, activity, verified.at)
        case Move():
            return await moves.moved(tx, instance, actor, found.moved)
        case Add(target=target) | Remove(target=target):
            return await pins.changed(tx, instance, actor, target)
        case Flag():
            return await reports.flagged(tx, instance, actor, activity)
        case Sealed():
            raise Refused("what is sealed was opened before")
        case Other():
            # Unknown types are answered politely and forgotten, as by everybody.
            return NOTHING
        case _:
            assert_never(activity)


async def _answered(tx: Transaction, instance: Instance, actor: Actor, verified: Verified, activity: Accept | Reject) -> Effects:
    """A yes or a no: to an Offer, or to a Follow. Where only an id came it may be either, and only one of the two knows it."""
    match activity.object:
        case Offer(id=id) | Other(kind="Offer", id=id):
            return NOTHING if id is None else await agreements.answered(tx, instance, actor, activity, id, verified.sealed)
        case Reference(id=id):
            effects = await agreements.answered(tx, instance, actor, activity, id, verified.sealed)
            if verified.sealed or (isinstance(activity, Accept) and activity.result is not None):
                return effects
        case Follow() | Other():
            effects = NOTHING
        case _:
            assert_never(activity.object)
    said_so = people.accepted(tx, instance, actor, activity) if isinstance(activity, Accept) else people.rejected(tx, instance, actor, activity)
    return Effects(wake=(*effects.wake, *(await said_so).wake))


def _told(object: Note | Reference, verified: Verified, found: Found) -> tuple[Note, bytes | None] | None:
    """The post an activity speaks of, embedded or as its origin shows it, with the JSON it was read from."""
    match object:
        case Note():
            return object, original(verified.document)
        case Reference():
            return None if found.post is None else (found.post.note, found.post.document)


async def posted(tx: Transaction, instance: Instance, actor: Actor, note: Note, verified: Verified, *, followed: bool) -> Effects:
    """The effects of a plain Create of `note`, which needs nothing from elsewhere and is no listing. `followed`: somebody here follows its author."""
    if not actor.active or not (followed or await concern.post(tx, instance, actor, note)):
        return NOTHING
    return await _stored(tx, instance, note, await posts.store(tx, instance, actor, note, local=False, document=original(verified.document)))


async def _create(
    tx: Transaction,
    instance: Instance,
    actor: Actor,
    note: Note,
    document: bytes | None,
    *,
    confidential: bool = False,
    said_at: datetime | None = None,
) -> Effects:
    if not actor.active or not await concern.post(tx, instance, actor, note):
        return NOTHING
    made = await posts.store(tx, instance, actor, note, local=False, document=document, confidential=confidential, said_at=said_at)
    return await _stored(tx, instance, note, made)


async def _change(tx: Transaction, instance: Instance, actor: Actor, note: Note, document: bytes | None, *, confidential: bool = False) -> Effects:
    if await posts.by_uri(tx, note.id) is None:
        if not actor.active:
            return NOTHING
        if await instance.tell(tx, Revised(actor.id, note.id, note, confidential)) is Answer.TAKEN:
            return Effects(wake=("job", "delivery"))
        if not await concern.post(tx, instance, actor, note):
            return NOTHING
    return await _stored(tx, instance, note, await posts.change(tx, instance, actor, note, document=document, confidential=confidential))


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
    if parent is None or post.in_reply_to_id is not None or not post.public or concern.ours(instance, parent):
        return NOTHING
    await ask(tx, instance, "thread", parent)
    return Effects(wake=("job",))


async def _delete(
    tx: Transaction, instance: Instance, actor: Actor, id: Iri, said_at: datetime | None = None, *, confidential: bool = False
) -> Effects:
    if id == actor.uri:
        await known.remove(tx, instance, actor)
        return Effects(wake=("job",))
    match await posts.delete(tx, instance, actor, id, said_at=said_at):
        case posts.Removed(post=post):
            # What hears PostGone makes its words unreadable in every file.
            if post is None and await instance.tell(tx, Revised(actor.id, id, None, confidential)) is not Answer.TAKEN:
                return NOTHING
            return Effects(wake=("job", "delivery") if post is None else ("job",))
        case posts.Refused(why=why):
            log.info("delete.refused", actor=actor.id, why=why)
            return NOTHING


def as_shown(seen: Origin | Literal["gone", "missing"] | None) -> Found:
    """What `dereference.look` saw, for `shown`: what is only missing may be hidden from us, and changes nothing."""
    return Found(gone=seen == "gone") if isinstance(seen, str) else Found(seen)


async def shown(tx: Transaction, instance: Instance, uri: Iri, found: Found) -> Effects:
    """Makes a post we hold what its own server shows: an edit or a deletion that somebody else told of, a group (FEP-1b12) or whoever passed it on."""
    held = await posts.by_uri(tx, uri)
    author = None if held is None or held.local else await known.by_id(tx, held.actor_id)
    if author is None:
        return NOTHING
    if found.gone:
        return await _delete(tx, instance, author, uri)
    if found.post is None or found.post.author.id != author.id:
        return NOTHING
    return await _change(tx, instance, author, found.post.note, found.post.document)


async def fetched(tx: Transaction, instance: Instance, found: Origin) -> Effects:
    """What a Create of this post would have done: its own server shows it, and somebody else told of it."""
    return await _create(tx, instance, found.author, found.note, found.document)


async def left(tx: Transaction, instance: Instance, uri: Iri) -> Effects:
    """Lets an actor of another server go, whose own server says that it is gone."""
    actor = await known.by_uri(tx, uri)
    return NOTHING if actor is None or actor.local else await _delete(tx, instance, actor, uri)


async def _undo(tx: Transaction, instance: Instance, actor: Actor, undo: Undo, verified: Verified) -> Effects:
    at = verified.at
    match undo.object:
        case Announce() | Like() | EmojiReact() as what:
            return await reactions.taken_back(tx, instance, actor, undo, what, at)
        case Block() as block:
            return await blocks.taken_back(tx, instance, actor, undo, block, at)
        case Accept(actor=by, object=object):
            # Whoever takes the Accept back refuses now.
            refused = Reject(id=undo.id, actor=undo.actor, object=object)
            return await people.rejected(tx, instance, actor, refused) if by == actor.uri else NOTHING
        case Offer(id=id) | Other(kind="Offer", id=id):
            return NOTHING if id is None else await agreements.undone(tx, instance, actor, id)
        case Reference(id=id):
            effects = await agreements.undone(tx, instance, actor, id)
            if verified.sealed:
                return effects  # follows and reactions are taken back in the open, where they were said
            return Effects(wake=(*effects.wake, *(await _undo_by_id(tx, instance, actor, undo, id, at)).wake))
        case Follow() | Other():
            return await people.undone(tx, instance, actor, undo, at)
        case _:
            assert_never(undo.object)


async def _undo_by_id(tx: Transaction, instance: Instance, actor: Actor, undo: Undo, id: Iri, at: int) -> Effects:
    """An Undo that names what it undoes by its id alone: what that was, we wrote down when it came; if it did not come yet, it does not count when it does."""
    if await quiet.undone(tx, instance, actor, undo, at):
        return NOTHING
    about = await said.take_back(tx, instance, actor, id, None, at)
    if about is None:
        return NOTHING
    match about.kind:
        case "Announce" | "Like" | "EmojiReact":
            return await reactions.settled(tx, instance, actor, about)
        case "Block":
            return await blocks.settled(tx, actor, about)
        case "Follow" | "":
            return await people.undone(tx, instance, actor, undo, at)
        case _:
            assert_never(about.kind)


async def _wanted_boost(tx: Transaction, actor: Actor, object: Iri) -> bool:
    """Whether to fetch what a boost names: somebody follows the booster, and we do not hold it."""
    return await concern.followed(tx, actor) and await posts.by_uri(tx, object) is None


async def _passed_on(tx: Transaction, actor: Actor, object: Iri) -> bool:
    """Whether to look at what a group says was changed: somebody follows the group, and we hold the post."""
    held = await posts.by_uri(tx, object)
    return held is not None and not held.local and actor.kind == "Group" and await concern.followed(tx, actor)


def original(document: Document) -> bytes | None:
    """The object as it came, to be kept for a public post."""
    thing = document.get("object")
    thing = thing[0] if isinstance(thing, list) and thing else thing
    return dereference.original(thing) if isinstance(thing, dict) else None
