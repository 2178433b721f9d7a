"""Who is meant by this handle, and how does one of ours come to follow them?"""

import re
from typing import TYPE_CHECKING, Final, Literal

from actors import follows, hosts, known, quiet, remote
from actors.called import Busy
from actors.known import Actor
from actors.vault import Locked
from fedmatch import chores
from outbox import publish
from outbox.address import Audience
from schemas.events import ActorGone
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

HANDLE: Final = re.compile(r"(?:acct:)?@?([A-Za-z0-9_.-]+)(?:@([^\s@/]+))?")
"""A handle as people type it: `alice`, `@alice@host`, `alice@host:8001`, `acct:alice@host`."""

_PAGE: Final = re.compile(r"/(?:users/|@)([A-Za-z0-9_.-]+)/?")

BUDGET: Final = 10
"""Fetches one look-up may cost: WebFinger on two hosts, host-meta, the actor, redirects."""


class NotFound(LookupError):
    """Nobody is known, or found, under this handle; the text says why and what to do."""


async def find(instance: "Instance", handle: str) -> Actor:
    """The actor behind a handle as people type it, or behind the address of its page here, looked up by WebFinger if it is not known yet; raises `NotFound`.

    A Service of ours is made when its name is first looked up, as for people of other servers.
    """
    page = _PAGE.fullmatch(handle.strip().removeprefix(instance.config.base_url)) if handle.strip().startswith(f"{instance.config.base_url}/") else None
    parts = HANDLE.fullmatch(page[1] if page else handle.strip())
    try:
        name, host = (parts[1], hosts.host_name(parts[2]) if parts[2] else None) if parts else ("", None)
    except hosts.BadUrl:
        name, host = "", None
    if not name:
        raise NotFound(f"{handle!r} is no handle; write name@host")
    if host is None or host in known.ours(instance):
        actor = await instance.database.read(known.by_name, name)
        if actor is None and (service := await _service(instance, name)) is not None:
            actor = await instance.database.read(known.by_name, service)
        if actor is None or not actor.active:
            raise NotFound(f"there is no {name} here; `fedmatch user list` shows who is")
        return actor
    found = await remote.by_handle(instance, f"{name}@{host}", remote.Budget(BUDGET))
    if not isinstance(found, Actor):
        if instance.vault.locked:
            raise Locked  # nothing could be signed, so nothing was really looked for
        cure = f"; `fedmatch peers allow {host}` lets it in" if found.kind == "barred" and instance.trust.mode == "allowlist" else ""
        raise NotFound(f"@{name}@{host} was not found: {found.why}{cure}")
    # Found in our own rows it may be somebody whom nothing may reach any more.
    verdict = instance.trust.actor(found.uri, "deliver")
    if not verdict.allowed:
        raise NotFound(f"@{name}@{host} cannot be reached: {verdict.why}; `fedmatch peers list` shows what is")
    return found


async def _service(instance: "Instance", name: str) -> str | None:
    from fedmatch.board.services import Caller  # it stands above this room's plain people

    try:
        return await Caller(instance)(name)
    except Busy as error:
        raise NotFound(f"{name} is being made just now; ask again in a few seconds") from error


async def follow(instance: "Instance", follower: Actor, followed: Actor) -> Literal["requested", "accepted"]:
    """Asks to follow, or says how an earlier request stands; raises `NotFound` for somebody nobody can follow."""
    if quiet.keeps(followed):
        await instance.database.write(quiet.join, instance, follower, followed)
        return "accepted"
    try:
        state = await instance.database.write(_follow, instance, follower, followed)
    except follows.CannotFollow as error:
        raise NotFound(f"@{followed.handle} cannot be followed by @{follower.handle}: yourself, an instance, or somebody who is gone or moved") from error
    instance.wake("delivery")
    return state


async def _follow(tx: Transaction, instance: "Instance", follower: Actor, followed: Actor) -> Literal["requested", "accepted"]:
    activity = await follows.request(tx, instance, follower, followed)
    if activity is not None:
        key = f"{follower.uri} {followed.uri}"  # one for both ends of a follow: an Undo never overtakes it
        await publish.publish(tx, instance, follower, activity, Audience(actors=(followed.id,)), object=followed.uri, ordering_key=key)
    edge = await follows.between(tx, follower.id, followed.id)
    return "accepted" if edge is not None and edge.state == "accepted" else "requested"


async def gone(instance: "Instance", tx: Transaction, event: ActorGone) -> None:
    """An actor ended, ours or theirs: what hangs on it goes in chunks, by a job."""
    await chores.clear_away(tx, instance, event.actor_id)
