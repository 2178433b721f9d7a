"""Who follows whom? Asking, answering, taking back, in whatever order the messages come (protocol: Follow, Accept, Reject, Undo).

Every function that takes `by` or a follower from outside expects the proven sender of the message; nobody answers or takes back for somebody else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import blocks, known, quiet, said, trust
from actors.known import Actor
from actors.said import About
from schemas.activities import Accept, Follow, Offer, Other, Reject, Undo
from schemas.events import FollowAccepted, Followed, FollowRejected
from schemas.objects import Reference
from schemas.reading import Iri, Row
from schemas.states import FOLLOW
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

State = Literal["requested", "accepted", "rejected", "undone"]

class CannotFollow(ValueError):
    """Nobody follows themselves, the instance actor, or somebody who is gone, moved, or blocks them or is blocked by them."""


class NoFollow(LookupError):
    """There is no follow between these two."""


class WaitsForAdmin(PermissionError):
    """A stranger's request, in mode approve: an admin lets the stranger in before the one who was asked says yes."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One follow as we hold it; times in milliseconds UTC."""

    id: int
    uri: Iri
    follower_id: int
    followed_id: int
    state: State
    created_at: int
    changed_at: int

    @property
    def live(self) -> bool:
        return self.state in ("requested", "accepted")


def _edge(row: Row) -> Edge:
    return Edge(row["id"], row["uri"], row["follower_id"], row["followed_id"], row["state"], row["created_at"], row["changed_at"])


BETWEEN: Final = """
select follow.*
from follow
where follow.follower_id = :follower_id
  and follow.followed_id = :followed_id
"""

BY_URI: Final = """
select follow.*
from follow
where follow.uri = :uri
"""

INSERT: Final = """
insert into follow (id, uri, follower_id, followed_id, state, created_at, changed_at)
values (:id, :uri, :follower_id, :followed_id, :state, :now, :now)
"""

UPDATE: Final = """
update follow
set uri = :uri, state = :state, changed_at = :now
where id = :id
"""


async def between(tx: Transaction, follower_id: int, followed_id: int) -> Edge | None:
    """The follow between two actors, in whatever state."""
    row = await tx.one(BETWEEN, follower_id=follower_id, followed_id=followed_id)
    return None if row is None else _edge(row)


async def by_uri(tx: Transaction, uri: str) -> Edge | None:
    """The follow last known under this activity id."""
    row = await tx.one(BY_URI, uri=uri)
    return None if row is None else _edge(row)


async def request(tx: Transaction, instance: "Instance", follower: Actor, followed: Actor) -> Follow | None:
    """Lets one of ours follow somebody; the Follow to send, or None if nothing is to be sent: already asked or following, or both live here.

    A follow after an unfollow has a new id (the old one is remembered as undone elsewhere). Raises `CannotFollow`.
    """
    if follower.id == followed.id or followed.kind == "Application" or followed.state == "gone" or followed.moved_to is not None:
        raise CannotFollow(f"actor {followed.id} cannot be followed")
    if quiet.keeps(followed):
        raise CannotFollow("its followers are kept as hashes (actors/quiet.py)")
    if await blocks.either(tx, follower.id, followed.id):
        raise CannotFollow(f"between actor {follower.id} and actor {followed.id} is a block")
    edge = await between(tx, follower.id, followed.id)
    if edge is not None and edge.live:
        return None
    uri = _activity_uri(instance)
    edge = await _start(tx, instance, edge, uri, follower.id, followed.id)
    if not followed.local:
        return _follow(edge.uri, follower, followed)
    if not followed.locked:
        await _move(tx, instance, edge, "accepted")
    await instance.tell(tx, Followed(edge.id, follower.id, followed.id, accepted=not followed.locked))
    if not followed.locked:
        await instance.tell(tx, FollowAccepted(edge.id, follower.id, followed.id))
    return None


async def received(tx: Transaction, instance: "Instance", follow: Follow, follower: Actor, followed: Actor, at: int = 0) -> Accept | Reject | None:
    """Takes a Follow of the proven `follower` for one of ours, signed `at` (ms, 0: nobody knows); the answer to send, or None if there is none (yet).

    Known: the stored id becomes the latest and the answer is given again. Undone before it came: dropped.
    Locked, or its host limited or a stranger's that is held: it waits. Blocked by either, moved, suspended, or the instance actor: Reject.
    """
    if not followed.local or followed.state == "gone" or follow.object != followed.uri or follow.actor != follower.uri or follower.id == followed.id:
        return None
    verdict = instance.trust.actor(follower.uri, "receive")
    unfollowable = followed.kind == "Application" or followed.one_time or followed.moved_to is not None
    if not verdict.allowed or not followed.active or not follower.active or unfollowable:
        return _reject(instance, follow, followed, follower)
    if await blocks.either(tx, follower.id, followed.id):
        return _reject(instance, follow, followed, follower)
    if follow.id is not None:
        standing = await said.say(tx, instance, follower, About("Follow", followed.uri), follow.id, at)
        if standing is None:
            return None
        follow = replace(follow, id=standing)
    edge = await between(tx, follower.id, followed.id)
    uri = follow.id or (edge.uri if edge is not None else _activity_uri(instance))  # a Follow without id gets one of ours to be stored under
    same = await by_uri(tx, uri)
    if same is not None and (edge is None or same.id != edge.id):
        return None  # one id for two follows: the first keeps it
    waits = followed.locked or verdict.limited or verdict.held
    if edge is not None and edge.live:
        edge = await _rename(tx, instance, edge, uri)
        if edge.state == "requested" and waits:
            return None
        if edge.state == "requested":
            await _move(tx, instance, edge, "accepted")
        return _accept(instance, follow, followed, follower)
    if edge is not None and edge.uri == follow.id and edge.state == "rejected" and instance.clock.ms() - edge.changed_at < said.LATE_MS:
        # The very Follow that was refused, once more and late.
        return _reject(instance, follow, followed, follower)
    edge = await _start(tx, instance, edge, uri, follower.id, followed.id)
    if not waits:
        await _move(tx, instance, edge, "accepted")
    await instance.tell(tx, Followed(edge.id, follower.id, followed.id, accepted=not waits))
    return None if waits else _accept(instance, follow, followed, follower)


async def accepted(tx: Transaction, instance: "Instance", by: Actor, accept: Accept) -> bool:
    """Takes the Accept of the proven `by` for a follow of one of ours; False if it changes nothing: never asked, taken back, or known."""
    edge = await _asked(tx, by, accept.object)
    if edge is None or edge.state != "requested":
        return False
    await _move(tx, instance, edge, "accepted")
    await instance.tell(tx, FollowAccepted(edge.id, edge.follower_id, edge.followed_id))
    return True


async def rejected(tx: Transaction, instance: "Instance", by: Actor, reject: Reject) -> bool:
    """Takes the Reject of the proven `by`: refuses what one of ours asked, or ends what was accepted; False if it changes nothing."""
    edge = await _asked(tx, by, reject.object)
    if edge is None or not edge.live:
        return False
    await _move(tx, instance, edge, "rejected")
    await instance.tell(tx, FollowRejected(edge.id, edge.follower_id, edge.followed_id))
    return True


async def undone(tx: Transaction, instance: "Instance", by: Actor, undo: Undo, at: int = 0) -> bool:
    """Takes the Undo of the proven `by`, signed `at`, for its own follow: embedded, by id alone, or by its two actors. True if one of its follows ended.

    An id we do not know is remembered, so that the Follow is dropped if it comes late; and where a later Follow was said already, that one stands.
    """
    uri, target, edge = undo.object.id, None, None
    match undo.object:
        case Follow(actor=actor, object=object):
            if actor != by.uri:
                return False
            target = object
        case Reference() | Other():
            edge = await _by_id(tx, by, uri)
            followed = None if edge is None else await known.by_id(tx, edge.followed_id)
            target = None if followed is None else followed.uri
        case _:
            return False
    # Without an id of its own what is undone is remembered by the Undo.
    if (uri := uri or undo.id) is not None:
        about = await said.take_back(tx, instance, by, uri, None if target is None else About("Follow", target), at)
        if about is None or about.kind not in ("", "Follow"):
            return False
        if about.kind == "Follow":
            target = about.object
            if await said.standing(tx, by, about) is not None:
                return False
    if edge is None and target is not None and (followed := await known.by_uri(tx, target)) is not None:
        edge = await between(tx, by.id, followed.id)
    if edge is None or not edge.live:
        return False
    await _move(tx, instance, edge, "undone")
    return True


async def cancel(tx: Transaction, instance: "Instance", follower: Actor, followed: Actor) -> Undo | None:
    """Lets one of ours stop to follow, or take its request back; the Undo to send, None if nothing was there or both live here."""
    edge = await between(tx, follower.id, followed.id)
    if edge is None or not edge.live:
        return None
    await _move(tx, instance, edge, "undone")
    if followed.local:
        return None
    # The whole Follow is embedded: Mastodon and Misskey do not find it by its id alone.
    return Undo(id=_activity_uri(instance), actor=follower.uri, object=_follow(edge.uri, follower, followed), to=(followed.uri,))


async def decide(tx: Transaction, instance: "Instance", followed: Actor, follower: Actor, accept: bool) -> Accept | Reject:
    """Answers a request to follow one of ours, or (with `accept` False) ends a follow that was accepted; the answer to send to `follower`.

    To say the same again is no change, and gives the answer again. Raises `NoFollow`, `schemas.states.IllegalMove` for one that was taken back, and
    `WaitsForAdmin`.
    """
    edge = await between(tx, follower.id, followed.id)
    if edge is None:
        raise NoFollow("there is no request between these two")
    asked = accept and edge.state == "requested" and not follower.local
    if asked and instance.trust.mode == "approve" and (await trust.fresh(tx, instance)).actor(follower.uri, "receive").held:
        raise WaitsForAdmin("an admin has to let this server in first")
    to: State = "accepted" if accept else "rejected"
    if edge.state != to:
        await _move(tx, instance, edge, to)
        if follower.local:
            event = FollowAccepted if accept else FollowRejected
            await instance.tell(tx, event(edge.id, follower.id, followed.id))
    follow = _follow(edge.uri, follower, followed)
    return _accept(instance, follow, followed, follower) if accept else _reject(instance, follow, followed, follower)


async def part(tx: Transaction, instance: "Instance", by: Actor, other: Actor) -> list[Undo | Reject]:
    """Ends the follows between `by` and `other`, both ways, because `by` blocks `other`; what our people have to say then, to be sent if `by` is ours.

    What `by` asked for is taken back; what `other` asked for is refused.
    """
    said_now: list[Undo | Reject] = []
    if (undo := await cancel(tx, instance, by, other)) is not None:
        said_now.append(undo)
    if not by.local and (edge := await between(tx, by.id, other.id)) is not None:
        # Its Follow may still come again, late; it is as if it had been taken back.
        await said.take_back(tx, instance, by, edge.uri, About("Follow", other.uri))
    for person, service in ((by, other), (other, by)):
        if quiet.keeps(service):
            await quiet.forget(tx, instance, person.uri, of=service)
    edge = await between(tx, other.id, by.id)
    if edge is not None and edge.live:
        await _move(tx, instance, edge, "rejected")
        if other.local:
            await instance.tell(tx, FollowRejected(edge.id, edge.follower_id, edge.followed_id))
        else:
            said_now.append(_reject(instance, _follow(edge.uri, other, by), by, other))
    return said_now


async def drop(tx: Transaction, instance: "Instance", follower: Actor, followed: Actor) -> None:
    """Ends a follow of one of ours because the other server does not count it any more (FEP-8fcf); as good as its Reject."""
    edge = await between(tx, follower.id, followed.id)
    if edge is not None and edge.live:
        await _move(tx, instance, edge, "rejected")
        await instance.tell(tx, FollowRejected(edge.id, edge.follower_id, edge.followed_id))


async def confirmed(tx: Transaction, instance: "Instance", follower: Actor, followed: Actor) -> Undo | None:
    """Takes the other server's word that one of ours follows (FEP-8fcf): as good as its Accept if it was asked for, else the Undo to send."""
    edge = await between(tx, follower.id, followed.id)
    if edge is not None and edge.state == "requested":
        await _move(tx, instance, edge, "accepted")
        await instance.tell(tx, FollowAccepted(edge.id, edge.follower_id, edge.followed_id))
        return None
    if edge is not None and edge.state == "accepted":
        return None
    uri = _activity_uri(instance) if edge is None else edge.uri
    return Undo(id=_activity_uri(instance), actor=follower.uri, object=_follow(uri, follower, followed), to=(followed.uri,))


BARRED_FOLLOWED: Final = """
select follow.id, follow.follower_id, follow.followed_id, follow.state
from follow
join actor on actor.id = follow.followed_id
where actor.local = 0
  and actor.state = 'suspended'
  and actor.withdrawn = 0
  and follow.state in ('requested', 'accepted')
"""

BARRED_FOLLOWERS: Final = """
select follow.id, follow.follower_id, follow.followed_id, follow.state
from follow
join actor on actor.id = follow.follower_id
where actor.local = 0
  and actor.state = 'suspended'
  and actor.withdrawn = 0
  and follow.state in ('requested', 'accepted')
"""

REFUSE: Final = """
update follow
set state = :state, changed_at = :now
where id = :id
"""


async def sever(tx: Transaction, instance: "Instance") -> int:
    """Ends every follow, both ways, with remote actors that are suspended; how many. Nobody elsewhere is told; ours who followed are (`FollowRejected`)."""
    ours, theirs = await tx.all(BARRED_FOLLOWED), await tx.all(BARRED_FOLLOWERS)
    now = instance.clock.ms()
    ended: list[Mapping[str, Value]] = [{"id": row["id"], "state": FOLLOW.move(row["state"], "rejected"), "now": now} for row in (*ours, *theirs)]
    if ended:
        await tx.many(REFUSE, ended)
    for row in ours:
        await instance.tell(tx, FollowRejected(row["id"], row["follower_id"], row["followed_id"]))
    return len(ended) + await quiet.sever(tx, instance)


WAITING: Final = """
select follow.id, follower.id as follower_id, followed.id as followed_id, follower.uri, followed.locked
from follow
join actor as follower on follower.id = follow.follower_id
join actor as followed on followed.id = follow.followed_id
where follow.state = 'requested'
  and followed.local = 1
  and followed.state = 'active'
  and follower.local = 0
  and follower.state = 'active'
  and follow.id > :after
order by follow.id
limit :limit
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request of a remote actor. Unless the one who was asked is `locked`, it waits because of who asks."""

    id: int
    follower_id: int
    followed_id: int
    follower: Iri
    locked: bool


async def waiting(tx: Transaction, *, after: int = 0, limit: int = 500) -> list[Waiting]:
    """The requests of remote actors that have no answer yet, the oldest first, from the one after the follow `after` on."""
    rows = await tx.all(WAITING, after=after, limit=limit)
    return [Waiting(row["id"], row["follower_id"], row["followed_id"], row["uri"], bool(row["locked"])) for row in rows]


FOLLOWERS: Final = """
select actor.*
from follow
join actor on actor.id = follow.follower_id
where follow.followed_id = :actor_id
  and follow.state = :state
  and follow.id < :before
  and actor.state = 'active'
order by follow.id desc
limit :limit
"""

FOLLOWING: Final = """
select actor.*
from follow
join actor on actor.id = follow.followed_id
where follow.follower_id = :actor_id
  and follow.state = :state
  and follow.id < :before
  and actor.state = 'active'
order by follow.id desc
limit :limit
"""

LAST: Final = 2**63 - 1


async def followers(tx: Transaction, actor_id: int, *, state: State = "accepted", before: int = LAST, limit: int = 1000) -> Sequence[Actor]:
    """Who follows the actor (or asks to, with state "requested"), the latest first; `before` is a follow id."""
    return [known.from_row(row) for row in await tx.all(FOLLOWERS, actor_id=actor_id, state=state, before=before, limit=limit)]


async def following(tx: Transaction, actor_id: int, *, state: State = "accepted", before: int = LAST, limit: int = 1000) -> Sequence[Actor]:
    """Whom the actor follows (or asked to), the latest first; `before` is a follow id."""
    return [known.from_row(row) for row in await tx.all(FOLLOWING, actor_id=actor_id, state=state, before=before, limit=limit)]


async def _asked(tx: Transaction, by: Actor, object: Follow | Offer | Other | Reference) -> Edge | None:
    """The follow of one of ours that `by` answers: by its id, else by its two actors (Pleroma and others do not keep our id)."""
    edge = None if object.id is None else await by_uri(tx, object.id)
    if edge is None and isinstance(object, Follow) and object.object == by.uri:
        follower = await known.by_uri(tx, object.actor)
        edge = None if follower is None else await between(tx, follower.id, by.id)
    if edge is None or edge.followed_id != by.id:
        return None
    follower = await known.by_id(tx, edge.follower_id)
    return edge if follower is not None and follower.local else None


async def _by_id(tx: Transaction, by: Actor, uri: Iri | None) -> Edge | None:
    edge = None if uri is None else await by_uri(tx, uri)
    return edge if edge is not None and edge.follower_id == by.id else None


async def _start(tx: Transaction, instance: "Instance", edge: Edge | None, uri: Iri, follower_id: int, followed_id: int) -> Edge:
    """A follow in state requested: a new row, or the ended one of these two with its new id."""
    now = instance.clock.ms()
    if edge is None:
        new = Edge(instance.ids.new(), uri, follower_id, followed_id, "requested", now, now)
        await tx.execute(INSERT, id=new.id, uri=uri, follower_id=follower_id, followed_id=followed_id, state=FOLLOW.start, now=now)
        return new
    return await _move(tx, instance, edge, "requested", uri)


async def _rename(tx: Transaction, instance: "Instance", edge: Edge, uri: Iri) -> Edge:
    if edge.uri == uri:
        return edge
    await tx.execute(UPDATE, id=edge.id, uri=uri, state=edge.state, now=edge.changed_at)
    return Edge(edge.id, uri, edge.follower_id, edge.followed_id, edge.state, edge.created_at, edge.changed_at)


async def _move(tx: Transaction, instance: "Instance", edge: Edge, to: State, uri: Iri | None = None) -> Edge:
    FOLLOW.move(edge.state, to)
    now = instance.clock.ms()
    await tx.execute(UPDATE, id=edge.id, uri=uri or edge.uri, state=to, now=now)
    return Edge(edge.id, uri or edge.uri, edge.follower_id, edge.followed_id, to, edge.created_at, now)


def _activity_uri(instance: "Instance") -> Iri:
    return Iri(f"{instance.config.base_url}/activities/{instance.ids.new()}")


def _follow(uri: Iri, follower: Actor, followed: Actor) -> Follow:
    return Follow(id=uri, actor=follower.uri, object=followed.uri, to=(followed.uri,))


def _accept(instance: "Instance", follow: Follow, followed: Actor, follower: Actor) -> Accept:
    # Misskey needs the whole Follow inside.
    return Accept(id=_activity_uri(instance), actor=followed.uri, object=_as_sent(follow), to=(follower.uri,))


def _reject(instance: "Instance", follow: Follow, followed: Actor, follower: Actor) -> Reject:
    return Reject(id=_activity_uri(instance), actor=followed.uri, object=_as_sent(follow), to=(follower.uri,))


def _as_sent(follow: Follow) -> Follow:
    return Follow(id=follow.id, actor=follow.actor, object=follow.object)
