"""Whom did an admin put where? What was decided about each other server, about single actors, and about keys; what follows from it is in actors/trust.py."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import generations, hosts, trust
from actors.trust import Level
from schemas.peering import InstanceTerms, read_terms
from schemas.publickeys import Algorithm
from schemas.reading import Iri, Row
from schemas.states import PEER
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

Kind = Literal["actor", "key"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A host somebody decided about; `since` in milliseconds UTC."""

    host_id: int
    host: str
    level: Level
    reason: str | None
    since: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A decision about one actor (`subject` is its id) or about a key (its fingerprint). `through`: the key this actor was found with, if that is why."""

    kind: Kind
    subject: str
    level: Level
    through: str | None
    reason: str | None
    since: int


SELECT_PEER: Final = """
select peer.host_id, host.name, peer.level, peer.reason, peer.since
from peer
join host on host.id = peer.host_id
where host.name = :name
"""

SELECT_PEERS: Final = """
select peer.host_id, host.name, peer.level, peer.reason, peer.since
from peer
join host on host.id = peer.host_id
order by host.name
"""

UPSERT_PEER: Final = """
insert into peer (host_id, level, reason, since)
values (:host_id, :level, :reason, :now)
on conflict (host_id) do update
set level = excluded.level, reason = excluded.reason, since = excluded.since
"""

DELETE_PEER: Final = """
delete from peer
where host_id = :host_id
"""


def _from_row(row: Row) -> Peer:
    return Peer(row["host_id"], row["name"], row["level"], row["reason"], row["since"])


async def find(tx: Transaction, host: str) -> Peer | None:
    """The decision about exactly this host, if there is one; any spelling. Raises `hosts.BadUrl`."""
    row = await tx.one(SELECT_PEER, name=hosts.host_name(host))
    return None if row is None else _from_row(row)


async def level(tx: Transaction, host: str) -> Level:
    """The level of exactly this host; `known` for one nobody decided about. What may cross is `actors.trust.verdict`."""
    peer = await find(tx, host)
    return "known" if peer is None else peer.level


async def list_all(tx: Transaction) -> list[Peer]:
    """Every host somebody decided about, by name."""
    return [_from_row(row) for row in await tx.all(SELECT_PEERS)]


async def set_level(tx: Transaction, instance: "Instance", host: str, level: Level, reason: str | None = None) -> Peer:
    """Moves a host to `level`; every process obeys within 0.25 s of the commit.

    A host without a row is `known`; giving it that level writes the row that the allow list asks for. The same level again changes only the reason.
    Raises `schemas.states.IllegalMove` (a blocked host becomes known or limited before it is trusted), `hosts.BadUrl`, `ValueError` for our own host.
    """
    name = hosts.host_name(host)
    if name in (instance.config.host, instance.config.authority):
        raise ValueError("this host is ours; it has no level")
    before = await find(tx, name)
    current = PEER.start if before is None else before.level
    if current != level:
        PEER.move(current, level)
    host_id = await hosts.ensure(tx, instance, name)
    now = instance.clock.ms()
    await tx.execute(UPSERT_PEER, host_id=host_id, level=level, reason=reason, now=now)
    await generations.bump(tx, "peers")
    log.info("peer.level", host=host_id, level=level)
    return Peer(host_id, name, level, reason, now)


async def forget(tx: Transaction, host: str) -> bool:
    """Makes the host a stranger again; False if it was one. Legal from every level: a stranger is `known`."""
    peer = await find(tx, host)
    if peer is None:
        return False
    await tx.execute(DELETE_PEER, host_id=peer.host_id)
    await generations.bump(tx, "peers")
    return True


@dataclass(frozen=True, slots=True)
class Partner:
    """Another instance of this kind, and how far the handshake with it is. Times are milliseconds UTC.

    `follow` is our Follow of its Application, `asked` its Follow of ours; `accepted_at`: it accepted us; `agreed_at`: an admin here confirmed its words;
    `lost_at`: it showed a key that no pinned one signed. `application_id` is our row of its Application, None before it was fetched.
    """

    host_id: int
    host: str
    level: Level
    application: Iri
    application_id: int | None
    inbox: Iri
    added_at: int | None
    follow: Iri | None
    asked: Iri | None
    accepted_at: int | None
    agreed_at: int | None
    lost_at: int | None
    lost_why: str | None
    vouches_count_up_to: int
    announce: bool
    terms: InstanceTerms
    looked_at: int

    @property
    def trusted(self) -> bool:
        """Whether an admin here trusts it: what it seals is opened, its vouches may count."""
        return self.level == "trusted"

    @property
    def ready(self) -> bool:
        """Whether what is not public may go there: both sides said yes."""
        return self.trusted and self.accepted_at is not None


PARTNERS: Final = """
select handshake.*, host.name, peer.level, actor.id as application_id
from handshake
join host on host.id = handshake.host_id
left join peer on peer.host_id = handshake.host_id
left join actor on actor.uri = handshake.application
order by host.name
"""

PARTNER: Final = """
select handshake.*, host.name, peer.level, actor.id as application_id
from handshake
join host on host.id = handshake.host_id
left join peer on peer.host_id = handshake.host_id
left join actor on actor.uri = handshake.application
where handshake.host_id = :host_id
"""

PARTNER_NAMED: Final = """
select handshake.*, host.name, peer.level, actor.id as application_id
from handshake
join host on host.id = handshake.host_id
left join peer on peer.host_id = handshake.host_id
left join actor on actor.uri = handshake.application
where host.name = :name
"""


def _partner(row: Row) -> Partner:
    return Partner(
        host_id=row["host_id"],
        host=row["name"],
        level=row["level"] or "known",
        application=Iri(row["application"]),
        application_id=row["application_id"],
        inbox=Iri(row["inbox"]),
        added_at=row["added_at"],
        follow=row["follow"],
        asked=row["asked"],
        accepted_at=row["accepted_at"],
        agreed_at=row["agreed_at"],
        lost_at=row["lost_at"],
        lost_why=row["lost_why"],
        vouches_count_up_to=row["vouches_count_up_to"],
        announce=bool(row["announce"]),
        terms=read_terms(json.loads(row["terms"])) if row["terms"] else InstanceTerms(),
        looked_at=row["looked_at"],
    )


async def partners(tx: Transaction) -> list[Partner]:
    """Every instance a handshake was begun with, by either side, by name."""
    return [_partner(row) for row in await tx.all(PARTNERS)]


async def trusted(tx: Transaction) -> list[Partner]:
    """Every instance that what is not public may go to: an admin here confirmed its words, and it accepted us."""
    return [partner for partner in await partners(tx) if partner.ready and partner.application_id is not None]


async def partner(tx: Transaction, host_id: int) -> Partner | None:
    """How far the handshake with this host is; None if none was begun."""
    row = await tx.one(PARTNER, host_id=host_id)
    return None if row is None else _partner(row)


async def partner_named(tx: Transaction, host: str) -> Partner | None:
    """The same by its name, in any spelling. Raises `hosts.BadUrl`."""
    row = await tx.one(PARTNER_NAMED, name=hosts.host_name(host))
    return None if row is None else _partner(row)


SELECT_RULE: Final = """
select kind, subject, level, through, reason, since
from border_rule
where kind = :kind
  and subject = :subject
"""

SELECT_RULES: Final = """
select kind, subject, level, through, reason, since
from border_rule
order by kind, subject
"""

UPSERT_RULE: Final = """
insert into border_rule (id, kind, subject, level, through, reason, since)
values (:id, :kind, :subject, :level, :through, :reason, :now)
on conflict (kind, subject) do update
set level = excluded.level, through = excluded.through, reason = excluded.reason, since = excluded.since
"""

DELETE_KEY_RULE: Final = """
delete from border_rule
where kind = 'key'
  and subject = :subject
"""

DELETE_THROUGH: Final = """
delete from border_rule
where through = :through
"""


def _rule(row: Row) -> Rule:
    return Rule(row["kind"], row["subject"], row["level"], row["through"], row["reason"], row["since"])


async def rule(tx: Transaction, kind: Kind, subject: str) -> Rule | None:
    """What was decided about this actor (`trust.spelled`) or key (`trust.fingerprint`)."""
    row = await tx.one(SELECT_RULE, kind=kind, subject=subject)
    return None if row is None else _rule(row)


async def rules(tx: Transaction) -> list[Rule]:
    """Every decision about an actor or a key."""
    return [_rule(row) for row in await tx.all(SELECT_RULES)]


async def set_rule(
    tx: Transaction, instance: "Instance", kind: Kind, subject: str, level: Level, reason: str | None = None, *, through: str | None = None
) -> Rule:
    """Writes a decision about an actor or a key; every process obeys within 0.25 s of the commit.

    A key that is `known` again has no rule, and what followed from its rule is undone.
    A rule an admin made by name is not replaced by one that follows from a key.
    Raises `schemas.states.IllegalMove`, `hosts.BadUrl`, `ValueError` for an actor of ours.
    """
    if kind == "actor":
        subject = trust.spelled(subject)
        if hosts.authority(subject) == instance.config.authority:
            raise ValueError("this actor is ours; suspend it with `fedmatch user suspend`")
    before = await rule(tx, kind, subject)
    if before is not None and through is not None and before.through is None:
        return before
    current = PEER.start if before is None else before.level
    if current != level:
        PEER.move(current, level)
    now = instance.clock.ms()
    if kind == "key":
        await tx.execute(DELETE_THROUGH, through=subject)
    if kind == "key" and level == "known":
        await tx.execute(DELETE_KEY_RULE, subject=subject)
    else:
        await tx.execute(UPSERT_RULE, id=instance.ids.new(), kind=kind, subject=subject, level=level, through=through, reason=reason, now=now)
    await generations.bump(tx, "peers")
    log.info("peer.rule", kind=kind, level=level)
    return Rule(kind, subject, level, through, reason, now)


SOME_KEYS: Final = """
select actor_key.id, actor_key.algorithm, actor_key.public_key, actor.id as actor_id, actor.uri
from actor_key
join actor on actor.id = actor_key.actor_id
where actor.local = 0
  and actor.state <> 'gone'
  and actor_key.id > :after
order by actor_key.id
limit 5000
"""

KEYS_OF: Final = """
select actor_key.algorithm, actor_key.public_key
from actor_key
where actor_key.actor_id = :actor_id
"""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A remote actor that shows, or once showed, a certain key."""

    actor_id: int
    uri: Iri


async def bearers(instance: "Instance", fingerprints: Collection[str]) -> dict[str, list[Bearer]]:
    """For each of these keys every remote actor we know with it, retired ones counted. Asked seldom, so it looks at all keys, in short reads."""
    found: dict[str, dict[int, Bearer]] = {fingerprint: {} for fingerprint in fingerprints}
    after = 0
    while rows := await instance.database.read(_some_keys, after):
        after = rows[-1][0]
        for _, algorithm, public, bearer in rows:
            if (fingerprint := trust.fingerprint(algorithm, public)) in found:
                found[fingerprint][bearer.actor_id] = bearer
    return {fingerprint: list(those.values()) for fingerprint, those in found.items()}


async def _some_keys(tx: Transaction, after: int) -> list[tuple[int, Algorithm, bytes, Bearer]]:
    rows = await tx.all(SOME_KEYS, after=after)
    return [(row["id"], row["algorithm"], bytes(row["public_key"]), Bearer(row["actor_id"], Iri(row["uri"]))) for row in rows]


KEYS_OF_HOST: Final = """
select actor_key.algorithm, actor_key.public_key
from actor
join actor_key on actor_key.actor_id = actor.id
where actor.host_id = :host_id
"""


async def fingerprints(tx: Transaction, *, actor_id: int | None = None, host_id: int | None = None) -> list[str]:
    """The fingerprints of every key that an actor, or anybody we know of a host, shows or showed."""
    rows = [*(await tx.all(KEYS_OF, actor_id=actor_id) if actor_id else ()), *(await tx.all(KEYS_OF_HOST, host_id=host_id) if host_id else ())]
    return sorted({trust.fingerprint(row["algorithm"], bytes(row["public_key"])) for row in rows})
