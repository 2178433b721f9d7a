"""Who may still hold what goes, and how do they hear of it? Posts, requests and offers are deleted here, and people with all they said."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from actors import known, local, peers
from actors.known import Actor
from fedmatch.board import answers, copies, listings, terms
from fedmatch.board.terms import Terms
from outbox import fetched, owed, posts
from outbox import publish as outbox
from outbox.address import Audience, Inbox
from outbox.posts import Post
from schemas import documents
from schemas.activities import Delete, Update
from schemas.objects import Tombstone
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

CHUNK: Final = 50
"""How many posts one write deletes when somebody goes."""

HOLDERS: Final = """
select actor.id
from post_audience
join actor on actor.id = post_audience.actor_id
where post_audience.post_id = :post_id
union
select reaction.actor_id
from post as reaction
where reaction.in_reply_to_id = :post_id
   or reaction.boost_of = :post_id
"""

BOOSTERS: Final = """
select boost.actor_id
from post as boost
join actor on actor.id = boost.actor_id
where boost.boost_of = :post_id
  and actor.local = 1
union
select announcement.actor_id
from announcement
where announcement.post_id = :post_id
  and announcement.state <> 'waiting'
"""


async def holders(tx: Transaction, actor: Actor, held: Post) -> Audience:
    """Everybody who may hold this post of `actor`: whom it addresses, who answered or boosted it, the followers of its author and of our boosters, and servers
    that fetched it."""
    named = tuple(row["id"] for row in await tx.all(HOLDERS, post_id=held.id) if row["id"] != actor.id)
    if held.visibility == "direct":
        return Audience(actors=named)
    boosters = tuple(row["actor_id"] for row in await tx.all(BOOSTERS, post_id=held.id))
    inboxes = await fetched.inboxes(tx, held.id) if held.public else ()
    return Audience(actors=named, followers_of=(actor.id, *boosters), inboxes=inboxes)


async def everybody(tx: Transaction, instance: "Instance", actor: Actor, held: Post) -> Audience:
    """The holders of a post, and for a listing everybody who answered it. Who answered is known only to an open vault."""
    audience = await holders(tx, actor, held)
    if await listings.state_of(tx, held.id) is None:
        return audience
    found = () if instance.vault.locked else await answers.of_listing(tx, instance, held.uri)
    helpers = [await known.by_uri(tx, answer.words.helper) for answer in found]
    answered = tuple(helper.id for helper in helpers if helper is not None and not helper.local)
    partners = await _partners(tx, instance, held.id) if held.public else ()
    return replace(audience, actors=tuple(dict.fromkeys((*audience.actors, *answered, *partners))))


async def _partners(tx: Transaction, instance: "Instance", id: int) -> tuple[int, ...]:
    """The Applications of trusted peers, but of excluded countries: what everybody may read they are given, so that they match it at home and nobody has to
    ask another server for what fits a need."""
    wishes = terms.DEFAULT if instance.vault.locked else await terms.of(tx, instance, id)
    found = [one for one in await peers.trusted(tx) if not wishes.keeps_from(one.terms.countries)]
    return tuple(one.application_id for one in found if one.application_id is not None)


async def remove(tx: Transaction, instance: "Instance", actor: Actor, held: Post) -> None:
    """Deletes a post of ours and sends the Delete, in this transaction. It leaves at once, and shows the hour alone of what shows no finer time."""
    said_at = await listings.said_of(tx, instance, held.id)
    if await listings.audience_of(tx, held.id) not in (None, "public"):
        await copies.take_all_back(tx, instance, actor, held.uri, held.id)
        await posts.remove(tx, instance, held, said_at=said_at)
        log.info("board.deleted", post=held.id, actor=actor.id)
        return
    audience = await everybody(tx, instance, actor, held)
    people_named = [Iri(row["target"]) for row in await tx.all(posts.AUDIENCE, post_id=held.id)]
    activity = Delete(
        id=Iri(f"{held.uri}#delete"),
        actor=actor.uri,
        object=Tombstone(held.uri, former_type=held.kind),
        to=tuple(dict.fromkeys(people_named)),
        published=said_at,
    )
    # With a proof whoever announced a listing elsewhere can bring the Delete to those who heard of it there (topics.withdrawn). It holds no words.
    proven = not instance.vault.locked and await listings.state_of(tx, held.id) is not None
    await posts.remove(tx, instance, held, said_at=said_at)
    await outbox.publish(tx, instance, actor, activity, audience, object=held.uri, ordering_key=held.uri, proven=proven)
    if held.public:
        await owe(tx, instance, actor, activity, held.uri, proven=proven)
    log.info("board.deleted", post=held.id, actor=actor.id)


async def owe(
    tx: Transaction,
    instance: "Instance",
    actor: Actor,
    activity: Delete | Update,
    uri: Iri,
    *,
    proven: bool,
    wishes: Terms = terms.DEFAULT,
    open_: bool = False,
) -> None:
    """Keeps for later what everybody who may hold something public is told, for servers that may not be told now: peers, and whoever was sent it of late.

    Of a listing that is `open_` peers are told anew with the trust (welcome.py); the others hear of its edit.
    """
    partners = {one.host_id: one for one in await peers.partners(tx) if owed.refused(instance, one.host)}
    told = [] if open_ else [Inbox(one.inbox, one.host_id) for one in partners.values() if not wishes.keeps_from(one.terms.countries)]
    inboxes = [one for one in await owed.holders(tx, instance, uri) if not (open_ and one.host_id in partners)] + told
    if not inboxes:
        return
    document = documents.activity(activity)
    body = documents.dumps(await outbox.prove(tx, instance, actor, document) if proven else document)
    name = Iri(activity.id or f"{uri}#owed")
    await owed.note(tx, instance, actor.id, body, inboxes, uri=name, kind=type(activity).__name__, object=uri, ordering_key=uri)


async def delete_person(instance: "Instance", actor: Actor) -> None:
    """Ends a person of ours for good: every post is deleted and taken back by its own Delete, then the actor.

    snac keeps the posts of an actor that is deleted as a whole, so one Delete a post goes first. Killed on the way, the next call goes on; who is ended already
    stays so, and nobody is told twice: a one-time identity may end by itself while its person asks for it.
    """
    while await instance.database.write(_delete_some, instance, actor):
        instance.wake("delivery")
    await instance.database.write(_delete_actor, instance, actor)
    instance.wake("delivery")
    instance.wake("job")
    await instance.database.erase()


SOME_OF: Final = """
select post.*
from post
where post.actor_id = :actor_id
  and post.boost_of is null
order by post.id
limit :limit
"""


async def _delete_some(tx: Transaction, instance: "Instance", actor: Actor) -> int:
    rows = await tx.all(SOME_OF, actor_id=actor.id, limit=CHUNK)
    for row in rows:
        await remove(tx, instance, actor, posts.from_row(row))
    return len(rows)


KNOWN_TO: Final = """
select distinct delivery.inbox
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
where outgoing.actor_id = :actor_id
"""


async def _delete_actor(tx: Transaction, instance: "Instance", actor: Actor) -> None:
    held = await known.by_id(tx, actor.id)
    if held is None or held.state == "gone":
        return
    audience = Audience(followers_of=(actor.id,), inboxes=tuple(Iri(row["inbox"]) for row in await tx.all(KNOWN_TO, actor_id=actor.id)))
    activity = await local.delete(tx, instance, actor)
    await outbox.publish(tx, instance, actor, activity, audience, object=actor.uri, ordering_key=actor.uri)
    unheard = await owed.heard_of(tx, instance, actor.id)
    if unheard and not instance.vault.locked:
        # By then its keys may be gone: whoever brings it, the proof says whose word it is.
        body = documents.dumps(await outbox.prove(tx, instance, actor, documents.activity(activity)))
        name = Iri(activity.id or f"{actor.uri}#delete")
        await owed.note(tx, instance, actor.id, body, unheard, uri=name, kind="Delete", object=actor.uri, ordering_key=actor.uri)
