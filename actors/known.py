"""Whom do we know? Actor rows, ours and theirs, and the one way a remote actor gets in."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import capabilities, generations, hosts, peers, spent, trust
from schemas.events import ActorGone
from schemas.objects import ActorDocument, ActorKind, Field, Key
from schemas.publickeys import BadKey, load
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

ActorState = Literal["active", "suspended", "gone"]
MOST_KEYS: Final = 10
HOUR_MS: Final = 3_600_000


class NotStored(ValueError):
    """A remote actor that does not get in; `why` is a sentence for the log."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Actor:
    """One actor as we hold it. Times are milliseconds UTC."""

    id: int
    uri: Iri
    local: bool
    host_id: int | None
    kind: ActorKind
    username: str
    handle_host: str
    state: ActorState
    inbox: Iri
    name: str | None
    summary: str | None
    url: Iri | None
    shared_inbox: Iri | None
    outbox: Iri | None
    followers: Iri | None
    following: Iri | None
    featured: Iri | None
    icon: Iri | None
    locked: bool
    discoverable: bool
    also_known_as: tuple[Iri, ...]
    moved_to: Iri | None
    fields: tuple[Field, ...]
    published: int | None
    updated: int | None
    fetched_at: int
    failed_at: int | None
    withdrawn: bool = False
    """`suspended` because its own server says so: hidden, and nothing of it is lost when it comes back."""
    one_time: bool = False
    """Made for one request, offer or answer; whose it is rests sealed."""

    @property
    def handle(self) -> str:
        """`name@host`, as people write it, without the leading @."""
        return f"{self.username}@{self.handle_host}"

    @property
    def host(self) -> str:
        """The authority its documents live on; it may differ from the host of the handle."""
        return hosts.authority(self.uri)

    @property
    def proposals(self) -> Iri | None:
        """Of one of ours: where it lists what it asks and offers in public (FEP-0837). One-time actors have the smallest document, Services only announce."""
        return Iri(f"{self.uri}/proposals") if self.local and self.outbox is not None and self.kind in ("Person", "Group", "Organization") else None

    @property
    def active(self) -> bool:
        return self.state == "active"


def from_row(row: Row) -> Actor:
    """The actor of a row that selected `actor.*`; other rooms do so when they join actors."""
    return Actor(
        id=row["id"],
        uri=row["uri"],
        local=bool(row["local"]),
        host_id=row["host_id"],
        kind=row["kind"],
        username=row["username"],
        handle_host=row["handle_host"],
        state=row["state"],
        inbox=row["inbox"],
        name=row["name"],
        summary=row["summary"],
        url=row["url"],
        shared_inbox=row["shared_inbox"],
        outbox=row["outbox"],
        followers=row["followers"],
        following=row["following"],
        featured=row["featured"],
        icon=row["icon"],
        locked=bool(row["locked"]),
        discoverable=bool(row["discoverable"]),
        also_known_as=() if row["also_known_as"] == "[]" else tuple(json.loads(row["also_known_as"])),
        moved_to=row["moved_to"],
        fields=() if row["fields"] == "[]" else tuple(Field(name, value) for name, value in json.loads(row["fields"])),
        published=row["published"],
        updated=row["updated"],
        fetched_at=row["fetched_at"],
        failed_at=row["failed_at"],
        withdrawn=bool(row["withdrawn"]),
        one_time=bool(row["one_time"]),
    )


BY_ID: Final = """
select actor.*
from actor
where actor.id = :id
"""

BY_URI: Final = """
select actor.*
from actor
where actor.uri = :uri
"""

BY_NAME: Final = """
select actor.*
from actor
where actor.username = :username
  and actor.local = 1
"""

BY_HANDLE: Final = """
select actor.*
from actor
where actor.handle_host = :host
  and actor.username = :username
  and actor.state <> 'gone'
order by actor.id desc
limit 1
"""

APPLICATION: Final = """
select actor.*
from actor
where actor.local = 1
  and actor.kind = 'Application'
order by actor.id
limit 1
"""


async def by_id(tx: Transaction, id: int) -> Actor | None:
    """The actor with our id."""
    row = await tx.one(BY_ID, id=id)
    return None if row is None else from_row(row)


async def by_uri(tx: Transaction, uri: str) -> Actor | None:
    """The actor with exactly this ActivityPub id, ours or theirs, in any state."""
    row = await tx.one(BY_URI, uri=uri)
    return None if row is None else from_row(row)


async def by_name(tx: Transaction, username: str) -> Actor | None:
    """The local actor of that name, in any state; upper case does not matter."""
    row = await tx.one(BY_NAME, username=username.lower())
    return None if row is None else from_row(row)


async def by_handle(tx: Transaction, username: str, host: str) -> Actor | None:
    """The actor behind `username@host`, ours or theirs, unless gone. Remote names are found as their server spells them; when in doubt ask WebFinger."""
    row = await tx.one(BY_HANDLE, username=username, host=host)
    if row is None and username != username.lower():
        row = await tx.one(BY_HANDLE, username=username.lower(), host=host)
    return None if row is None else from_row(row)


async def application(tx: Transaction) -> Actor:
    """Our instance actor; raises `LookupError` before the first start made it."""
    row = await tx.one(APPLICATION)
    if row is None:
        raise LookupError("the instance actor was not made yet")
    return from_row(row)


IS_TOMBSTONED: Final = """
select uri
from tombstone
where uri = :uri
"""

UPSERT: Final = """
insert into actor (id, uri, local, host_id, kind, username, handle_host, state, withdrawn, name, summary, url, inbox, shared_inbox, outbox,
  followers, following, featured, icon, locked, discoverable, also_known_as, moved_to, fields, published, updated, fetched_at, hides_public, hides_unlisted)
values (:id, :uri, 0, :host_id, :kind, :username, :handle_host, :state, :withdrawn, :name, :summary, :url, :inbox, :shared_inbox, :outbox,
  :followers, :following, :featured, :icon, :locked, :discoverable, :also_known_as, :moved_to, :fields, :published, :updated, :now,
  :hides_public, :hides_unlisted)
on conflict (uri) do update
set host_id = excluded.host_id, kind = excluded.kind, username = excluded.username, handle_host = excluded.handle_host, name = excluded.name,
  summary = excluded.summary, url = excluded.url, inbox = excluded.inbox, shared_inbox = excluded.shared_inbox, outbox = excluded.outbox,
  followers = excluded.followers, following = excluded.following, featured = excluded.featured, icon = excluded.icon, locked = excluded.locked,
  discoverable = excluded.discoverable, also_known_as = excluded.also_known_as, moved_to = excluded.moved_to, fields = excluded.fields,
  published = excluded.published, updated = excluded.updated, fetched_at = excluded.fetched_at, failed_at = null,
  hides_public = excluded.hides_public, hides_unlisted = excluded.hides_unlisted,
  state = case when actor.state = 'suspended' and actor.withdrawn = 0 then 'suspended' else excluded.state end,
  withdrawn = case when actor.state = 'suspended' and actor.withdrawn = 0 then 0 else excluded.withdrawn end
where actor.local = 0
  and actor.state <> 'gone'
returning *
"""


async def store(tx: Transaction, instance: "Instance", document: ActorDocument, handle_host: str, host_id: int) -> Actor:
    """A remote actor as its fetched, verified document says: made, or brought up to date; its keys replace the stored ones.

    `handle_host` is the host WebFinger confirmed, `host_id` the host row of its id.
    Raises `NotStored` for an id on our own host, a local actor, one that is gone, or one that shows a blocked key.
    """
    host = hosts.authority(document.id)
    if host in ours(instance):
        raise NotStored("it claims to be one of ours")
    if await tx.one(IS_TOMBSTONED, uri=document.id) is not None or await spent.holds(tx, instance, document.id):
        raise NotStored("it was deleted")
    judged = {trust.fingerprint(key.algorithm, key.public): level for key in document.keys if (level := instance.trust.of_key(key.algorithm, key.public))}
    if "blocked" in judged.values():
        raise NotStored("its key is blocked")
    now = instance.clock.ms()
    row = await tx.one(
        UPSERT,
        id=instance.ids.new(),
        uri=document.id,
        host_id=host_id,
        kind=document.kind,
        username=document.username,
        handle_host=handle_host,
        state="suspended" if document.suspended else "active",
        withdrawn=int(document.suspended),
        name=document.name,
        summary=document.summary,
        url=document.url,
        inbox=document.inbox,
        shared_inbox=document.shared_inbox,
        outbox=document.outbox,
        followers=document.followers,
        following=document.following,
        featured=document.featured,
        icon=document.icon,
        locked=int(document.locked),
        discoverable=int(document.discoverable),
        hides_public=int(document.hides_public),
        hides_unlisted=int(document.hides_unlisted),
        also_known_as=json.dumps(document.also_known_as),
        moved_to=document.moved_to,
        fields=json.dumps([(field.name, field.value) for field in document.fields]),
        published=None if document.published is None else int(document.published.timestamp() * 1000),
        updated=None if document.updated is None else int(document.updated.timestamp() * 1000),
        now=now,
    )
    if row is None:
        raise NotStored("it is gone, or one of ours")
    actor = from_row(row)
    if await _replace_keys(tx, instance, actor, document.keys, now):
        await generations.bump(tx, "keys")
    await capabilities.seen(tx, instance, host_id, document.implements)
    for seen, level in judged.items():
        # Somebody who was limited comes back under another name with the same key.
        await peers.set_rule(tx, instance, "actor", actor.uri, level, through=seen)
    return actor


def ours(instance: "Instance") -> frozenset[str]:
    """The hosts that speak for this instance: where its documents live, and the host of its handles."""
    return _ours(instance.config.base_url, instance.config.host)


@lru_cache(maxsize=64)
def _ours(base_url: str, host: str) -> frozenset[str]:
    return frozenset((hosts.authority(base_url), hosts.host_name(host)))


KEYS_OF: Final = """
select id, uri, algorithm, public_key, proves, retired_at
from actor_key
where actor_id = :actor_id
"""

UPSERT_KEY: Final = """
insert into actor_key (id, uri, actor_id, algorithm, public_key, proves, created_at)
values (:id, :uri, :actor_id, :algorithm, :public_key, :proves, :now)
on conflict (uri) do update
set algorithm = excluded.algorithm, public_key = excluded.public_key, proves = excluded.proves, created_at = excluded.created_at, retired_at = null
where actor_key.actor_id = excluded.actor_id
"""

RETIRE_KEY: Final = """
update actor_key
set retired_at = :now
where id = :id
"""


async def _replace_keys(tx: Transaction, instance: "Instance", actor: Actor, listed: tuple[Key, ...], now: int) -> bool:
    """Makes the stored keys the listed ones; True if one that somebody may have cached is different now."""
    stored = {str(row["uri"]): row for row in await tx.all(KEYS_OF, actor_id=actor.id)}
    current = {uri for uri, row in stored.items() if row["retired_at"] is None}
    kept: set[str] = set()
    changed = False
    for key in [key for key in listed[:MOST_KEYS] if _usable(actor, key)]:
        kept.add(key.id)
        old = stored.get(key.id)
        if old is not None and old["retired_at"] is None and (old["algorithm"], bytes(old["public_key"]), bool(old["proves"])) == (
            key.algorithm,
            key.public,
            key.proves,
        ):
            continue
        changed = changed or key.id in current
        written = await tx.execute(
            UPSERT_KEY,
            id=instance.ids.new(),
            uri=key.id,
            actor_id=actor.id,
            algorithm=key.algorithm,
            public_key=key.public,
            proves=int(key.proves),
            now=now,
        )
        if not written:
            log.warning("key.of-another-actor", actor=actor.id)
    for uri in sorted(current - kept):
        await tx.execute(RETIRE_KEY, id=stored[uri]["id"], now=now)
        changed = True
    return changed


def _usable(actor: Actor, key: Key) -> bool:
    # FEP-fe34: owner is the actor, and the key lies on the actor's origin. A key id elsewhere would let one actor occupy the key id of another.
    if key.owner != actor.uri or not hosts.same_origin(key.id, actor.uri):
        return False
    try:
        load(key.algorithm, key.public)
    except BadKey:
        return False
    return True


EMPTY: Final = """
update actor
set state = 'gone', name = null, summary = null, url = null, icon = null, also_known_as = '[]', moved_to = null, fields = '[]', discoverable = 0
where id = :id
"""

RETIRE_KEYS: Final = """
update actor_key
set retired_at = :now
where actor_id = :actor_id
  and retired_at is null
"""

TOMBSTONE: Final = """
insert into tombstone (uri, former_type, public, deleted_at)
values (:uri, :former_type, 1, :now)
on conflict (uri) do nothing
"""


def shown(actor: Actor, at_ms: int) -> int:
    """The time that may be shown of what an actor does, in milliseconds: of a one-time one the full hour."""
    return at_ms // HOUR_MS * HOUR_MS if actor.one_time else at_ms


async def remove(tx: Transaction, instance: "Instance", actor: Actor) -> None:
    """Marks an actor, ours or theirs, as gone for good: profile emptied, tombstone set, `ActorGone` told; the rows that hang on it are deleted later in chunks.

    A remote actor's keys stop to count at once; ours still sign the Delete that leaves. Again is nothing new.
    """
    if actor.state == "gone":
        return
    now = instance.clock.ms()
    await tx.execute(EMPTY, id=actor.id)
    await tx.execute(TOMBSTONE, uri=actor.uri, former_type=actor.kind, now=shown(actor, now))
    if not actor.local:
        await tx.execute(RETIRE_KEYS, actor_id=actor.id, now=now)
        await generations.bump(tx, "keys")
    await generations.bump(tx, "actors")
    await instance.tell(tx, ActorGone(actor.id, actor.uri, actor.local))
