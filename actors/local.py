"""Who lives here? Making, describing, suspending and deleting our own actors, and the tokens that act for them."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from actors import generations, handshake, hosts, keys, known, sealing, spent
from actors.known import Actor
from schemas.activities import Delete, Update
from schemas.crashpoint import crashpoint
from schemas.objects import PUBLIC, ActorDocument, ActorKind, Key, Reference
from schemas.reading import Iri, Row
from schemas.storage import Conflict, Transaction
from schemas.vocabulary import UnknownSlug, canonical

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

NAME: Final = re.compile(r"[a-z0-9_]{1,30}\Z")
RESERVED_WORDS: Final = """
    about abuse account accounts activities activity actor actors admin administrator api auth board collections contact fedmatch federation
    follow followers following healthz help home host hostmaster inbox info instance listing listings login logout me media mod moderator moderators
    nodeinfo noreply oauth outbox peers postmaster posts private public register root security settings shared signup staff static status support
    system tags timeline timelines token user users vet webfinger webmaster
"""
RESERVED: Final = frozenset(RESERVED_WORDS.split())
BOARDS: Final = frozenset(("requests", "offers", "urgent"))
"""Names that strangers would take for the instance itself, or that our own addresses need; BOARDS and the taxonomy's words are for its Services."""

SCOPES: Final = frozenset(("read", "write", "follow", "push"))
FINE_SCOPE: Final = re.compile(r"(?:read|write|admin:read|admin:write):[a-z_]{1,30}\Z")


class BadName(ValueError):
    """A name nobody can have here; the text says why."""


class NameTaken(ValueError):
    """Somebody has, or had, this name; names are never given twice."""


class BadScope(ValueError):
    """A scope we do not know."""


class NoAccount(LookupError):
    """An actor nobody logs in as."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid token may do, and as whom."""

    id: int
    account_id: int
    actor: Actor
    scopes: frozenset[str]


INSERT_ACTOR: Final = """
insert into actor (id, uri, local, kind, username, handle_host, name, url, inbox, shared_inbox, outbox, followers, following, featured,
  locked, published, fetched_at)
values (:id, :uri, 1, :kind, :username, :handle_host, :name, :url, :inbox, :shared_inbox, :outbox, :followers, :following, :featured,
  :locked, :now, :now)
returning *
"""

IS_TAKEN: Final = """
select uri
from actor
where uri = :uri
union
select uri
from tombstone
where uri = :uri
"""

INSERT_ACCOUNT: Final = """
insert into account (id, created_at)
values (:id, :now)
"""

INSERT_MEMBERSHIP: Final = """
insert into membership (account_id, actor_id, role, since)
values (:account_id, :actor_id, 'helper', :now)
"""


async def create(instance: "Instance", username: str, kind: ActorKind = "Person", locked: bool = False, name: str | None = None) -> Actor:
    """A new actor of ours with its keys and, for a Person, an account whose helper it is. Takes 0.1-0.5 s: the keys are made first, then one write.

    Raises `BadName` (1 to 30 of a-z, 0-9 and _, none that is reserved), `NameTaken`, and `schemas.storage.Unavailable`.
    """
    username = username.lower()
    _allowed(instance, username, kind)
    new = await keys.make()
    try:
        return await instance.database.write(_create, instance, username, kind, locked, name, new)
    except Conflict as error:  # somebody took it between our look and our write
        raise NameTaken(f"the name {username} is taken") from error


def _allowed(instance: "Instance", username: str, kind: ActorKind) -> None:
    if NAME.match(username) is None:
        raise BadName("a name has 1 to 30 of the letters a-z, the digits 0-9 and _")
    if username in RESERVED or username == _application_name(instance):
        raise BadName(f"the name {username} is reserved; choose another")
    if kind != "Service" and (username in BOARDS or _is_topic(username)):
        raise BadName(f"the name {username} is reserved: here it means a field of help; choose another")


def _is_topic(username: str) -> bool:
    try:
        canonical(username)
    except UnknownSlug:
        return False
    return True


async def _create(tx: Transaction, instance: "Instance", username: str, kind: ActorKind, locked: bool, name: str | None, new: keys.NewKeys) -> Actor:
    base = instance.config.base_url
    uri = Iri(f"{base}/users/{username}")
    if await tx.one(IS_TAKEN, uri=uri) is not None or await spent.holds(tx, instance, uri):
        raise NameTaken(f"the name {username} is taken")
    now = instance.clock.ms()
    row = await tx.one(
        INSERT_ACTOR,
        id=instance.ids.new(),
        uri=uri,
        kind=kind,
        username=username,
        handle_host=instance.config.host,
        name=name,
        url=f"{base}/@{username}",
        inbox=f"{uri}/inbox",
        shared_inbox=f"{base}/inbox",
        outbox=f"{uri}/outbox",
        followers=f"{uri}/followers",
        following=f"{uri}/following",
        featured=f"{uri}/collections/featured",
        locked=int(locked),
        now=now,
    )
    actor = _made(row)
    await keys.keep(tx, instance, actor.id, actor.uri, new)
    if kind == "Person":
        account_id = instance.ids.new()
        await tx.execute(INSERT_ACCOUNT, id=account_id, now=now)
        await tx.execute(INSERT_MEMBERSHIP, account_id=account_id, actor_id=actor.id, now=now)
    log.info("actor.created", actor=actor.id, kind=kind)
    return actor


ROLES: Final = """
select membership.role
from membership
join account on account.id = membership.account_id
where membership.actor_id = :actor_id
  and account.state = 'active'
order by membership.role
"""

SET_ROLE: Final = """
update membership
set role = :role
where actor_id = :actor_id
  and role <> 'operator'
"""

OPERATORS: Final = """
select actor.*
from membership as operating
join account on account.id = operating.account_id
join membership as own on own.account_id = operating.account_id
join actor on actor.id = own.actor_id
where operating.actor_id = :group_id
  and operating.role = 'operator'
  and account.state = 'active'
  and actor.kind = 'Person'
  and actor.state = 'active'
order by actor.username
"""

ADD_OPERATOR: Final = """
insert into membership (account_id, actor_id, role, since)
select membership.account_id, :group_id, 'operator', :now
from membership
where membership.actor_id = :actor_id
  and membership.role <> 'operator'
on conflict (account_id, actor_id) do nothing
"""

REMOVE_OPERATOR: Final = """
delete from membership
where actor_id = :group_id
  and role = 'operator'
  and account_id in (
    select own.account_id
    from membership as own
    where own.actor_id = :actor_id
  )
"""


async def roles(tx: Transaction, actor_id: int) -> tuple[str, ...]:
    """What whoever logs in as this actor may do here: helper, member, operator, moderator, admin."""
    return tuple(str(row["role"]) for row in await tx.all(ROLES, actor_id=actor_id))


async def set_role(tx: Transaction, instance: "Instance", actor: Actor, role: str) -> bool:
    """Gives one of ours another role; False for somebody nobody logs in as."""
    changed = await tx.execute(SET_ROLE, actor_id=actor.id, role=role) > 0
    log.info("actor.role", actor=actor.id, role=role)
    return changed


async def operators(tx: Transaction, group_id: int) -> list[Actor]:
    """The people who may act for a group of ours. Nobody outside this instance ever learns who they are."""
    return [known.from_row(row) for row in await tx.all(OPERATORS, group_id=group_id)]


async def add_operator(tx: Transaction, instance: "Instance", group: Actor, person: Actor) -> None:
    """Lets a person of ours act for a group of ours. Again is nothing new. Raises ValueError for anything else."""
    if not group.local or group.kind != "Group" or not person.local or person.kind != "Person":
        raise ValueError("operators are people of this instance, of a group of this instance")
    await tx.execute(ADD_OPERATOR, group_id=group.id, actor_id=person.id, now=instance.clock.ms())


async def remove_operator(tx: Transaction, group: Actor, person: Actor) -> bool:
    """Lets a person act for a group no more; False if they did not."""
    return await tx.execute(REMOVE_OPERATOR, group_id=group.id, actor_id=person.id) > 0


def _made(row: Row | None) -> Actor:
    if row is None:
        raise LookupError("an actor row was written and is not there")
    return known.from_row(row)


async def ensure_application(instance: "Instance") -> Actor:
    """Our instance actor (FEP-d556), made on the first start. It signs every fetch and follows nobody's wish to follow it."""
    found = await instance.database.read(_application)
    if found is None:
        new = await keys.make()
        try:
            found = await instance.database.write(_create_application, instance, new)
        except Conflict:  # another process was first
            found = await instance.database.read(known.application)
    if not await instance.database.read(sealing.listed):
        await instance.database.write(sealing.ensure, instance)
    return found


async def _application(tx: Transaction) -> Actor | None:
    row = await tx.one(known.APPLICATION)
    return None if row is None else known.from_row(row)


async def _create_application(tx: Transaction, instance: "Instance", new: keys.NewKeys) -> Actor:
    found = await _application(tx)
    if found is not None:
        return found
    base = instance.config.base_url
    uri = Iri(f"{base}/actor")
    row = await tx.one(
        INSERT_ACTOR,
        id=instance.ids.new(),
        uri=uri,
        kind="Application",
        username=_application_name(instance),
        handle_host=instance.config.host,
        name=instance.config.name,
        url=f"{base}/",
        inbox=f"{uri}/inbox",
        shared_inbox=f"{base}/inbox",
        outbox=f"{uri}/outbox",
        followers=None,
        following=None,
        featured=None,
        locked=1,
        now=instance.clock.ms(),
    )
    actor = _made(row)
    await keys.keep(tx, instance, actor.id, actor.uri, new)
    return actor


def _application_name(instance: "Instance") -> str:
    # Mastodon names its instance actor after the host too; without the port, which no server takes in a name.
    return tuple(hosts.domains(instance.config.host))[1 if ":" in instance.config.host else 0]


SELECT_KEYS: Final = """
select uri, algorithm, public_key
from actor_key
where actor_id = :actor_id
  and (retired_at is null or retired_at > :now)
order by case when retired_at is null then 0 else 1 end, id
"""


async def document(tx: Transaction, instance: "Instance", actor: Actor) -> ActorDocument:
    """How our actor describes itself. The instance actor's is the smallest that all servers accept (protocol: id, type, name, boxes, key)."""
    rows = await tx.all(SELECT_KEYS, actor_id=actor.id, now=instance.clock.ms())
    listed = tuple(Key(Iri(row["uri"]), actor.uri, row["algorithm"], bytes(row["public_key"])) for row in rows)
    return ActorDocument(
        id=actor.uri,
        kind=actor.kind,
        username=actor.username,
        inbox=actor.inbox,
        keys=listed,
        shared_inbox=actor.shared_inbox,
        outbox=actor.outbox,
        followers=actor.followers,
        following=actor.following,
        featured=actor.featured,
        proposals=actor.proposals,
        name=actor.name,
        summary=actor.summary,
        url=actor.url,
        icon=actor.icon,
        handle=actor.handle,
        locked=actor.locked,
        discoverable=actor.discoverable,
        published=None if actor.published is None else _day(actor.published),
        updated=None if actor.updated is None else datetime.fromtimestamp(actor.updated // 1000, UTC),
        moved_to=actor.moved_to,
        also_known_as=actor.also_known_as,
        fields=actor.fields,
        greeting=await handshake.greeting(tx, instance) if actor.kind == "Application" else None,
    )


def _day(ms: int) -> datetime:
    # The minute somebody joined is a trace of them; Mastodon rounds to the day as well.
    return datetime.fromtimestamp(ms // 1000, UTC).replace(hour=0, minute=0, second=0)


CHANGED: Final = """
update actor
set updated = :now
where id = :id
returning *
"""


async def rotate(tx: Transaction, instance: "Instance", actor: Actor, new: keys.NewKeys) -> Update:
    """Gives an actor of ours new keys (`keys.make`) and returns the Update that says so; the caller publishes it in this transaction.

    It leaves signed with the old key, everything else with the new one, also what waits already. The old keys stay listed for 7 days.
    Of our Application the old Ed25519 key says so (raises `Locked`), for those who pinned it. Raises ValueError for an actor that is not ours or
    not active, and for a one-time one: new keys would tell it from all others, and when they were made.
    After the commit call `instance.keys.forget()`; other processes hear of it.
    """
    if not actor.local or not actor.active:
        raise ValueError(f"actor {actor.id} is not ours, or not active")
    if actor.one_time:
        raise ValueError(f"{actor.username} is a one-time identity: new keys would tell it from all others; close what it is there for, and it ends")
    before = await keys.signing(tx, instance, actor.id, "ed25519") if actor.kind == "Application" else None
    await keys.replace(tx, instance, actor.id, actor.uri, new)
    if before is not None:
        await sealing.replace(tx, instance)
        await handshake.rotated(tx, instance, actor, before, handshake.keys_of(await document(tx, instance, actor)))
    crashpoint("rotate:written")
    now = instance.clock.ms()
    # Whole seconds, and later than the last time: what is not newer is no news to others.
    updated = max(now // 1000 * 1000, (actor.updated or 0) + 1000)
    changed = _made(await tx.one(CHANGED, id=actor.id, now=updated))
    log.info("actor.keys_rotated", actor=actor.id)
    return Update(
        id=Iri(f"{actor.uri}#updates/{now}"),
        actor=actor.uri,
        object=await document(tx, instance, changed),
        to=(PUBLIC,),
        cc=(actor.followers,) if actor.followers else (),
        published=instance.clock.now().replace(microsecond=0),
    )


SUSPEND: Final = """
update actor
set state = 'suspended'
where id = :id
  and local = 1
  and state = 'active'
"""


REINSTATE: Final = """
update actor
set state = 'active'
where id = :id
  and local = 1
  and state = 'suspended'
"""


async def suspend(tx: Transaction, instance: "Instance", actor: Actor) -> bool:
    """Stops an actor of ours: nothing leaves for it, its tokens do nothing. What it had stays. Again is nothing new, and False.

    Raises ValueError for the instance actor, who signs for everybody, and for a remote one.
    """
    _ours_to_end(actor)
    if not await tx.execute(SUSPEND, id=actor.id):
        return False
    await generations.bump(tx, "actors")
    log.info("actor.suspended", actor=actor.id)
    return True


async def reinstate(tx: Transaction, instance: "Instance", actor: Actor) -> bool:
    """Lets an actor of ours that was suspended act again, with all it had; False if it was not."""
    if not await tx.execute(REINSTATE, id=actor.id):
        return False
    await generations.bump(tx, "actors")
    log.info("actor.reinstated", actor=actor.id)
    return True


REVOKE_TOKENS: Final = """
update token
set revoked_at = :now
where actor_id = :actor_id
  and revoked_at is null
"""

CLOSE_ACCOUNTS: Final = """
update account
set state = 'deleted'
where id in (
    select mine.account_id
    from membership mine
    where mine.actor_id = :actor_id
  )
  and not exists (
    select 1
    from membership other
    join actor on actor.id = other.actor_id
    where other.account_id = account.id
      and other.actor_id <> :actor_id
      and actor.state <> 'gone'
  )
"""


async def delete(tx: Transaction, instance: "Instance", actor: Actor) -> Delete:
    """Ends an actor of ours for good and returns the Delete that tells the others; the caller publishes it in this transaction.

    Its profile is emptied at once, its name stays taken, its keys stay until the Delete is delivered; the rows that hang on it go later, in chunks.
    Raises ValueError for the instance actor and for a remote one.
    """
    _ours_to_end(actor)
    now = instance.clock.ms()
    await tx.execute(REVOKE_TOKENS, actor_id=actor.id, now=now)
    await tx.execute(CLOSE_ACCOUNTS, actor_id=actor.id)
    await known.remove(tx, instance, actor)
    said_at = datetime.fromtimestamp(known.shown(actor, now) // 1000, UTC)
    return Delete(id=Iri(f"{actor.uri}#delete"), actor=actor.uri, object=Reference(actor.uri), to=(PUBLIC,), published=said_at)


def _ours_to_end(actor: Actor) -> None:
    if not actor.local:
        raise ValueError(f"actor {actor.id} lives elsewhere; limit or block it")
    if actor.kind == "Application":
        raise ValueError("the instance actor signs for everybody; without it nothing can be fetched")


LIST_ALL: Final = """
select actor.*
from actor
where actor.local = 1
order by actor.username
"""


async def list_all(tx: Transaction) -> Sequence[Actor]:
    """Every actor of ours by name, the instance actor and the gone ones too."""
    return [known.from_row(row) for row in await tx.all(LIST_ALL)]


SELECT_ACCOUNT: Final = """
select account.id
from membership
join account on account.id = membership.account_id
where membership.actor_id = :actor_id
  and account.state = 'active'
order by membership.since, account.id
limit 1
"""

INSERT_ACCESS: Final = """
insert into token (id, hash, account_id, actor_id, scopes, created_at)
values (:id, :hash, :account_id, :actor_id, :scopes, :now)
"""

SELECT_ACCESS: Final = """
select token.id as token_id, token.account_id, token.scopes, actor.*
from token
join actor on actor.id = token.actor_id
join account on account.id = token.account_id
where token.hash = :hash
  and token.revoked_at is null
  and account.state = 'active'
  and actor.state = 'active'
"""


async def issue_token(tx: Transaction, instance: "Instance", actor: Actor, scopes: str) -> str:
    """A new token of 32 random bytes, told this once; only its SHA-256 is kept. `scopes` are words between blanks: `read write follow`, `read:statuses`.

    Raises `BadScope`, or `NoAccount` for an actor nobody logs in as.
    """
    words = scopes_of(scopes)
    account = await tx.one(SELECT_ACCOUNT, actor_id=actor.id)
    if account is None:
        raise NoAccount(f"nobody logs in as actor {actor.id}")
    secret = secrets.token_urlsafe(32)
    await tx.execute(
        INSERT_ACCESS,
        id=instance.ids.new(),
        hash=_hash(secret),
        account_id=account["id"],
        actor_id=actor.id,
        scopes=" ".join(sorted(words)),
        now=instance.clock.ms(),
    )
    return secret


def scopes_of(text: str) -> frozenset[str]:
    """The scopes in `text`; raises `BadScope` for none, or for a word that is none of read, write, follow, push or `read:noun`, `write:noun`."""
    words = frozenset(text.split())
    bad = sorted(word for word in words if word not in SCOPES and FINE_SCOPE.match(word) is None)
    if bad:
        raise BadScope(f"no such scope: {', '.join(bad)}; there are read, write, follow, push, and finer ones like read:statuses")
    if not words:
        raise BadScope('a token needs a scope; say for example "read write follow"')
    return words


async def token(tx: Transaction, secret: str) -> Token | None:
    """What this token may do; None if it is unknown or revoked, or its account or actor is not active."""
    row = await tx.one(SELECT_ACCESS, hash=_hash(secret))
    if row is None:
        return None
    return Token(row["token_id"], row["account_id"], known.from_row(row), frozenset(str(row["scopes"]).split()))


async def actor_by_token(tx: Transaction, secret: str) -> Actor | None:
    """As whom this token acts; None as for `token`."""
    found = await token(tx, secret)
    return None if found is None else found.actor


def _hash(secret: str) -> bytes:
    # Plain SHA-256 is enough for 256 random bits; nothing can be guessed.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
