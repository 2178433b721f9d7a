"""Who follows those of ours whose followers are nobody's business? Services: each follower is a keyed hash and an inbox, never a row that names somebody.

    mark      who follows whom, as a keyed hash: found again by whoever follows, unfollows or blocks, told by nobody
    place     where to send to: the shared inbox of the follower's server; without one `sealed:MARK`, and the address itself rests sealed
    person    the same hash in every row of one follower, sealed: with the key one sees which rows are one person's, but not whose

People of this instance follow by their mark alone (`quiet_member`); what their Services say is looked up when they read, and no row of a home says so.

Taken from a disk without the key: how many follow what, from which servers. With the key: also inboxes of servers that have no shared one.
Follows and their taking back converge in any order as all others do (actors/said.py), remembered by keyed hashes on the row of the Service.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import hosts, known, said, trust
from actors.known import Actor
from actors.said import About
from schemas.activities import Accept, Follow, Other, Reject, Undo
from schemas.objects import Reference
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

SEALED: Final = "sealed:"
"""How a place begins that is no address but stands for one."""


@dataclass(frozen=True, slots=True)
class Follower:
    """One follower of one Service: where its server wants things, and which rows are the same person's."""

    place: str
    person: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say to whoever follows, where, and behind what it has to wait; none of the three names them."""

    activity: Accept | Reject
    place: str
    ordering_key: str


def keeps(actor: Actor) -> bool:
    """Whether the followers of this actor are kept so: a Service of ours."""
    return actor.local and actor.kind == "Service"


INSERT: Final = """
insert into quiet_follower (actor_id, mark, host_id, inbox, person)
values (:actor_id, :mark, :host_id, :inbox, :person)
on conflict (actor_id, mark) do update
set host_id = excluded.host_id, inbox = excluded.inbox
"""

DELETE: Final = """
delete from quiet_follower
where actor_id = :actor_id
  and mark = :mark
"""

INSERT_INBOX: Final = """
insert into sealed_inbox (mark, host_id, sealed)
values (:mark, :host_id, :sealed)
on conflict (mark) do nothing
"""

INBOX: Final = """
select sealed_inbox.sealed
from sealed_inbox
where sealed_inbox.mark = :mark
"""

SERVICES: Final = """
select actor.*
from actor
where actor.local = 1
  and actor.kind = 'Service'
order by actor.username
"""

SERVICE_WITH: Final = """
select actor.*
from actor
join said on said.actor_id = actor.id
where actor.local = 1
  and actor.kind = 'Service'
  and said.uri = :uri
"""

TAKEN_BACK: Final = """
select said.undone_at
from said
where said.actor_id = :actor_id
  and said.uri = :uri
  and said.undone = 1
"""

FOLLOWERS: Final = """
select quiet_follower.mark, quiet_follower.inbox, quiet_follower.person
from quiet_follower
where quiet_follower.actor_id = :actor_id
"""

COUNT: Final = """
select (select count(*) from quiet_follower where quiet_follower.actor_id = :actor_id)
  + (select count(*) from quiet_member where quiet_member.actor_id = :actor_id) as total
"""


async def received(tx: Transaction, instance: "Instance", follow: Follow, follower: Actor, followed: Actor, at: int = 0) -> Answer | None:
    """Takes a Follow of the proven `follower` for a Service of ours, signed `at` (ms, 0: nobody knows); None where there is nothing to answer.

    Reject for those our policy limits or holds: a request that waits for an admin would be a row that names somebody. Raises `actors.vault.Locked`.
    """
    if not keeps(followed) or follow.object != followed.uri or follow.actor != follower.uri or follower.local or follower.host_id is None:
        return None
    verdict = instance.trust.actor(follower.uri, "receive")
    place = await _place(tx, instance, follower)
    key = f"{followed.uri} {_hash(instance, 'follower', follower.uri)}"
    if not verdict.allowed or verdict.limited or verdict.held or not followed.active or not follower.active:
        return Answer(Reject(id=_activity_uri(instance), actor=followed.uri, object=_as_sent(follow), to=(follower.uri,)), place, key)
    if follow.id is not None:
        # Taken back by its id alone before it came: then it was not known whom it was for, and is written down under the one who said so.
        before = await tx.one(TAKEN_BACK, actor_id=follower.id, uri=follow.id)
        if before is not None and not (at and before["undone_at"] is not None and at > before["undone_at"]):
            return None
        if await said.say(tx, instance, followed, _about(instance, follower, followed), _uri(instance, follow.id), at) is None:
            return None
    await tx.execute(
        INSERT,
        actor_id=followed.id,
        mark=_mark(instance, follower.uri, followed),
        host_id=follower.host_id,
        inbox=place,
        person=instance.vault.seal(instance.vault.digest("person", follower.uri), _sealed_at(followed.id)),
    )
    log.info("quiet.followed", followed=followed.id)
    return Answer(Accept(id=_activity_uri(instance), actor=followed.uri, object=_as_sent(follow), to=(follower.uri,)), place, key)


async def undone(tx: Transaction, instance: "Instance", by: Actor, undo: Undo, at: int = 0) -> bool:
    """Takes the Undo of the proven `by` for its own follow of a Service, embedded or by id alone. False if it is about none: then it is somebody else's."""
    uri: Iri | None
    match undo.object:
        case Follow(id=id, actor=actor, object=object) if actor == by.uri:
            followed = await known.by_uri(tx, object)
            uri = id or undo.id
        case Reference(id=id) | Other(id=id) if id is not None:
            row = await tx.one(SERVICE_WITH, uri=_uri(instance, id)) if hosts.same_origin(id, by.uri) else None
            followed, uri = None if row is None else known.from_row(row), id
        case _:
            return False
    if followed is None or not keeps(followed):
        return False
    about = _about(instance, by, followed)
    if uri is not None and hosts.same_origin(uri, by.uri):
        was = await said.take_back(tx, instance, followed, _uri(instance, uri), about, at)
        if was is not None and (was != about or await said.standing(tx, followed, about) is not None):
            return True
    if await tx.execute(DELETE, actor_id=followed.id, mark=_mark(instance, by.uri, followed)):
        log.info("quiet.unfollowed", followed=followed.id)
    return True


JOIN: Final = """
insert into quiet_member (actor_id, mark)
values (:actor_id, :mark)
on conflict (actor_id, mark) do nothing
"""

LEAVE: Final = """
delete from quiet_member
where actor_id = :actor_id
  and mark = :mark
"""

JOINED: Final = """
select actor.*
from actor
where actor.local = 1
  and actor.kind = 'Service'
  and actor.state = 'active'
  and exists (
    select 1
    from quiet_member
    where quiet_member.actor_id = actor.id
  )
order by actor.username
"""

MARKS: Final = """
select quiet_member.actor_id, quiet_member.mark
from quiet_member
where quiet_member.actor_id = :actor_id
  and quiet_member.mark = :mark
"""


async def join(tx: Transaction, instance: "Instance", member: Actor, service: Actor) -> None:
    """Lets somebody of ours follow a Service of ours. Raises `actors.vault.Locked`."""
    await tx.execute(JOIN, actor_id=service.id, mark=_mark(instance, member.uri, service))


async def leave(tx: Transaction, instance: "Instance", member: Actor, service: Actor) -> bool:
    """Lets them follow it no more; False if they did not. Raises `actors.vault.Locked`."""
    return bool(await tx.execute(LEAVE, actor_id=service.id, mark=_mark(instance, member.uri, service)))


async def joined(tx: Transaction, instance: "Instance", member: Actor) -> list[Actor]:
    """The Services of ours that somebody of ours follows; none while the vault is locked, for then nobody can tell."""
    if instance.vault.locked:
        return []
    services = [known.from_row(row) for row in await tx.all(JOINED)]
    return [one for one in services if await tx.one(MARKS, actor_id=one.id, mark=_mark(instance, member.uri, one)) is not None]


async def forget(tx: Transaction, instance: "Instance", uri: Iri, *, of: Actor | None = None) -> int:
    """Lets the actor with the id `uri` follow no Service any more (or only not the Service `of`), because it blocks, is blocked, or is gone; how many."""
    services = [of] if of is not None else [known.from_row(row) for row in await tx.all(SERVICES)]
    gone = 0
    for service in services:
        mark = _mark(instance, uri, service)
        gone += await tx.execute(DELETE, actor_id=service.id, mark=mark) + await tx.execute(LEAVE, actor_id=service.id, mark=mark)
    return gone


HOSTS: Final = """
select distinct host.id, host.name
from quiet_follower
join host on host.id = quiet_follower.host_id
"""

DELETE_HOST: Final = """
delete from quiet_follower
where host_id = :host_id
"""

DELETE_PLACE: Final = """
delete from quiet_follower
where host_id = :host_id
  and inbox = :inbox
"""


async def sever(tx: Transaction, instance: "Instance") -> int:
    """Ends every quiet follow from a server that our policy refuses; how many."""
    rules = await trust.fresh(tx, instance)
    return sum([await tx.execute(DELETE_HOST, host_id=row["id"]) for row in await tx.all(HOSTS) if not rules.verdict(row["name"], "receive").allowed])


async def lost(tx: Transaction, host_id: int, place: str) -> int:
    """Ends the quiet follows from an inbox that is gone for good; how many."""
    return await tx.execute(DELETE_PLACE, host_id=host_id, inbox=place)


async def followers(tx: Transaction, instance: "Instance", actor: Actor) -> list[Follower]:
    """Everybody who follows the Service, in no order that says anything. Raises `actors.vault.Locked`."""
    rows = await tx.all(FOLLOWERS, actor_id=actor.id)
    return [Follower(row["inbox"], instance.vault.open(bytes(row["person"]), _sealed_at(actor.id))) for row in rows]


async def count(tx: Transaction, actor_id: int) -> int:
    """How many follow the Service: for its own staff, and told to nobody else."""
    row = await tx.one(COUNT, actor_id=actor_id)
    return 0 if row is None else int(row["total"])


async def place(tx: Transaction, instance: "Instance", actor: Actor) -> str:
    """Where to send something to a remote actor so that no row names it. Raises `actors.vault.Locked`."""
    return await _place(tx, instance, actor)


async def address(tx: Transaction, instance: "Instance", place: str) -> Iri | None:
    """The address a place stands for, None if it is forgotten. Raises `actors.vault.Locked`, `Tampered`."""
    if not place.startswith(SEALED):
        return Iri(place)
    mark = place.removeprefix(SEALED)
    row = await tx.one(INBOX, mark=mark)
    return None if row is None else Iri(instance.vault.open(bytes(row["sealed"]), f"sealed_inbox:{mark}").decode())


UNUSED: Final = """
delete from sealed_inbox
where not exists (
    select 1
    from quiet_follower
    where quiet_follower.inbox = 'sealed:' || sealed_inbox.mark
  )
  and not exists (
    select 1
    from delivery
    where delivery.host_id = sealed_inbox.host_id
      and delivery.inbox = 'sealed:' || sealed_inbox.mark
  )
"""


async def prune(tx: Transaction) -> int:
    """Deletes sealed addresses that nobody follows from and nothing was sent to lately; how many."""
    return await tx.execute(UNUSED)


def distinct(found: Iterable[Sequence[Follower]]) -> list[list[str]]:
    """Of the followers of several Services who say the same: to which places each says it, so that every follower hears it from one they follow.

    Two people of one server who follow different ones make it hear both; where one of the two would do, it hears one (protocol.md 14.16). Pure.
    """
    lists = [list(one) for one in found]
    chosen: list[list[str]] = [[] for _ in lists]
    at: dict[str, dict[int, set[bytes]]] = {}
    for number, one in enumerate(lists):
        for follower in one:
            at.setdefault(follower.place, {}).setdefault(number, set()).add(follower.person)
    for place, by_service in at.items():
        left = set[bytes]().union(*by_service.values())
        while left:
            best = max(by_service, key=lambda number: (len(by_service[number] & left), -number))
            chosen[best].append(place)
            left -= by_service[best]
    return chosen


async def _place(tx: Transaction, instance: "Instance", actor: Actor) -> str:
    if actor.shared_inbox is not None and hosts.same_origin(actor.shared_inbox, actor.inbox):
        return str(actor.shared_inbox)
    if actor.host_id is None:
        raise ValueError(f"actor {actor.id} lives nowhere else")
    mark = _hash(instance, "inbox", actor.inbox)
    await tx.execute(INSERT_INBOX, mark=mark, host_id=actor.host_id, sealed=instance.vault.seal(actor.inbox.encode(), f"sealed_inbox:{mark}"))
    return f"{SEALED}{mark}"


def _hash(instance: "Instance", purpose: str, text: str) -> str:
    return instance.vault.digest(f"quiet:{purpose}", text).hex()


def _mark(instance: "Instance", follower: Iri, followed: Actor) -> str:
    return _hash(instance, "follows", f"{follower} {followed.uri}")


def _about(instance: "Instance", follower: Actor, followed: Actor) -> About:
    return About("Follow", Iri(f"{followed.uri}#{_mark(instance, follower.uri, followed)}"))


def _uri(instance: "Instance", id: Iri) -> Iri:
    """What stands for the id of an activity where somebody's activity is remembered on the row of a Service."""
    return Iri(f"{instance.config.base_url}/quiet#{_hash(instance, 'activity', id)}")


def _sealed_at(actor_id: int) -> str:
    return f"quiet_follower:{actor_id}"


def _as_sent(follow: Follow) -> Follow:
    return Follow(id=follow.id, actor=follow.actor, object=follow.object)


def _activity_uri(instance: "Instance") -> Iri:
    return Iri(f"{instance.config.base_url}/activities/{instance.ids.new()}")
