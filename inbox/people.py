"""What do others' social activities do to us? Follows and their answers, and profiles that changed; answers leave by the same transaction."""

from dataclasses import replace
from typing import Final

import structlog

from actors import follows, known, quiet, remote
from actors.instance import Instance
from actors.known import Actor, NotStored
from actors.remote import Budget, FetchFailed
from inbox.effects import NOTHING, Effects, ask
from inbox.errors import Later
from outbox.address import Audience
from outbox.publish import publish
from schemas.activities import Accept, Follow, Reject, Undo
from schemas.objects import ActorDocument, Key
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

AGAIN_S: Final = 300


async def follow(tx: Transaction, instance: Instance, actor: Actor, activity: Follow, at: int = 0) -> Effects:
    """Takes a Follow of one of ours, signed `at`; its answer, if there is one yet, goes to the follower's own inbox. Nobody here: ignored, as Mastodon does."""
    followed = await known.by_uri(tx, activity.object)
    if followed is None or not followed.local:
        return NOTHING
    if quiet.keeps(followed):
        said = await quiet.received(tx, instance, activity, actor, followed, at)
        if said is None:
            return NOTHING
        place = Audience(inboxes=(Iri(said.place),))
        await publish(tx, instance, followed, said.activity, place, object=followed.uri, ordering_key=said.ordering_key)
        return Effects(wake=("delivery",))
    answer = await follows.received(tx, instance, activity, actor, followed, at)
    if answer is None:
        return NOTHING
    about = activity.id or activity.object
    await publish(tx, instance, followed, answer, Audience(actors=(actor.id,)), object=about, ordering_key=between(actor, followed))
    return Effects(wake=("delivery",))


def between(follower: Actor, followed: Actor) -> str:
    """The ordering key of everything about one follow: what is said of it leaves in the order it was decided."""
    return f"{follower.uri} {followed.uri}"


async def accepted(tx: Transaction, instance: Instance, actor: Actor, activity: Accept) -> Effects:
    """Takes the Accept of a follow of ours; of anything else, or by anybody else, nothing happens."""
    if not await follows.accepted(tx, instance, actor, activity) or actor.featured is None:
        return NOTHING
    # Whom we follow from now on: what they put on top of their profile belongs to it.
    await ask(tx, instance, "featured", actor.uri)
    return Effects(wake=("job",))


async def rejected(tx: Transaction, instance: Instance, actor: Actor, activity: Reject) -> Effects:
    """Takes the Reject of a follow of ours, asked or accepted."""
    await follows.rejected(tx, instance, actor, activity)
    return NOTHING


async def undone(tx: Transaction, instance: Instance, actor: Actor, activity: Undo, at: int = 0) -> Effects:
    """Takes the Undo of the actor's own follow; one that we do not know yet is remembered, and dropped when it comes."""
    if not await quiet.undone(tx, instance, actor, activity, at):
        await follows.undone(tx, instance, actor, activity, at)
    return NOTHING


async def is_same(tx: Transaction, actor: Actor, document: ActorDocument) -> bool:
    """Whether a pushed profile changes nothing but what is shown: neither name, keys nor addresses. Those are believed only from the actor's own origin."""
    stored = {(key.id, key.algorithm, key.public, key.proves) for key in await _keys(tx, actor)}
    listed = {(key.id, key.algorithm, key.public, key.proves) for key in document.keys}
    if document.suspended != actor.withdrawn:
        return False
    addresses = (document.username, document.inbox, document.shared_inbox, document.featured, document.moved_to, document.also_known_as)
    return stored == listed and addresses == (actor.username, actor.inbox, actor.shared_inbox, actor.featured, actor.moved_to, actor.also_known_as)


async def refresh(instance: Instance, actor: Actor, budget: Budget) -> bool:
    """Reads the actor anew from its origin; False if that shows nothing usable. Raises `Later` when the origin is out of reach."""
    match await remote.actor(instance, actor.uri, budget=budget, fresh=True):
        case FetchFailed() as failed:
            if failed.temporary:
                raise Later(AGAIN_S, f"the actor could not be read anew: {failed.why}")
            log.info("actor.not_refreshed", actor=actor.id, why=failed.kind)
            return False
        case Actor():
            return True


async def changed(tx: Transaction, instance: Instance, actor: Actor, document: ActorDocument) -> Effects:
    """Takes the shown part of a pushed profile. Older than what we hold, or of somebody else: nothing happens."""
    if document.id != actor.uri or not actor.active or actor.host_id is None:
        return NOTHING
    if document.updated is not None and actor.updated is not None and int(document.updated.timestamp() * 1000) < actor.updated:
        return NOTHING
    shown = replace(
        document,
        kind=actor.kind,
        username=actor.username,
        inbox=actor.inbox,
        shared_inbox=actor.shared_inbox,
        outbox=actor.outbox,
        followers=actor.followers,
        following=actor.following,
        featured=actor.featured,
        moved_to=actor.moved_to,
        also_known_as=actor.also_known_as,
        keys=await _keys(tx, actor),
    )
    try:
        await known.store(tx, instance, shown, actor.handle_host, actor.host_id)
    except NotStored as error:
        log.info("actor.not_changed", actor=actor.id, why=error.why)
    return NOTHING


async def _keys(tx: Transaction, actor: Actor) -> tuple[Key, ...]:
    rows = await tx.all(known.KEYS_OF, actor_id=actor.id)
    return tuple(Key(Iri(row["uri"]), actor.uri, row["algorithm"], bytes(row["public_key"]), bool(row["proves"])) for row in rows if row["retired_at"] is None)
