"""Whom did an admin put where? The level of each other server; what follows from it is in actors/trust.py."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import generations, hosts
from actors.trust import Level
from schemas.reading import Row
from schemas.states import PEER
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Peer:
    """A host somebody decided about; `since` in milliseconds UTC."""

    host_id: int
    host: str
    level: Level
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
