"""How does what is not public reach exactly one other instance? Queued whole and sealed by the vault; sealed once more for its reader at the moment it leaves.

    publish   one activity, one trusted peer -> one outgoing row, one delivery
    wrap      at sending: is it still the peer we trust? then the outer document, sealed to its pinned key; else it waits

While a peer shows a key that nobody here confirmed everything for it waits, and nothing is lost. In no column stands what it is about or whom: the keys that
order it are hashes, and its id is made for this way alone.
"""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import handshake, hosts, known, peers, sealing, trust
from actors.fetch import FetchFailed
from actors.keys import NoKey
from actors.known import Actor
from actors.sealing import DoesNotOpen, SealingKey, Way
from outbox import owed
from outbox import publish as outgoing
from outbox.address import Inbox
from schemas import documents, sealed
from schemas.activities import Activity, Create, Delete, Update
from schemas.events import Farewell
from schemas.peering import AgreementKey
from schemas.reading import Iri
from schemas.sealed import MOST_INNER, TooLong
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

HELD_MS: Final = 10 * 60 * 1000
"""How long a delivery waits before it asks again whether its peer is trusted; a new trust wakes it at once."""


class NotTrusted(PermissionError):
    """What is not public goes to nobody an admin does not trust, or who did not accept us."""


async def publish(
    tx: Transaction,
    instance: "Instance",
    sender: Actor,
    activity: Activity,
    host_id: int,
    *,
    object: Iri,
    ordering_key: str,
    not_before: int | None = None,
    waits: bool = False,
) -> int:
    """Sends `activity` of our `sender`, whole, to the one peer `host_id`, and gives the id of the outgoing row. Call `instance.wake("delivery")` afterwards.

    It may name nobody but that peer's Application and people here and there; `object` (what it is about) is written nowhere. Activities with one `ordering_key`
    (which holds the peer's host name) arrive in the order of these calls; a Delete replaces what was not delivered yet, an Update replaces undelivered Updates.
    `not_before`: the moment, in milliseconds UTC, before which it does not leave; until then `recall` takes it back. One that `waits` is taken for a peer that
    is not trusted now, too, and leaves when it is again; never in the open.
    Raises `NotTrusted`, `Locked`, and `schemas.sealed.TooLong` for more than 45 kB.
    """
    if activity.id is None or not sender.local:
        raise ValueError("what travels sealed has an id and is said by somebody here")
    partner = await peers.partner(tx, host_id)
    if partner is None or not (partner.ready or waits):
        raise NotTrusted(f"host {host_id} is not trusted by an admin here, or did not accept this instance; see `fedmatch peers list`")
    body = documents.dumps(documents.activity(activity))
    if len(body) > MOST_INNER:
        raise TooLong(len(body))
    application = await known.application(tx)
    key = _key(instance, partner.host, ordering_key)
    uri = Iri(f"{instance.config.base_url}/sealed/{secrets.token_hex(16)}")
    kind = type(activity).__name__ if isinstance(activity, Create | Update | Delete) else sealed.KIND
    return await outgoing.queue(
        tx,
        instance,
        application,
        body,
        [Inbox(partner.inbox, host_id)],
        uri=uri,
        kind=kind,
        object=partner.application,
        ordering_key=key,
        confidential=True,
        not_before=not_before,
    )


async def owe(tx: Transaction, instance: "Instance", activity: Activity, host: str, *, ordering_key: str) -> None:
    """Keeps a Delete for a peer that may not be spoken to: it leaves sealed, and only when that is trusted again (outbox/owed.py)."""
    partner = await peers.partner_named(tx, host)
    if partner is None:
        return  # an admin forgot it altogether since
    application = await known.application(tx)
    await owed.note(
        tx,
        instance,
        application.id,
        documents.dumps(documents.activity(activity)),
        [Inbox(partner.inbox, partner.host_id)],
        uri=Iri(f"{instance.config.base_url}/sealed/{secrets.token_hex(16)}"),
        kind="Delete",
        object=partner.application,
        ordering_key=_key(instance, partner.host, ordering_key),
        confidential=True,
    )


async def part(tx: Transaction, instance: "Instance", sender: Actor, activity: Activity, host: str, farewell: Farewell, *, ordering_key: str) -> int:
    """Sends a last `activity` to a peer that an admin trusts no more, sealed at once to the key that was pinned until then: whoever has its name, and not that
    key, reads nothing. Gives the id of the outgoing row. Raises `Locked`, `keys.NoKey`, `sealing.DoesNotOpen`, `hosts.BadUrl`.
    """
    if activity.id is None or not sender.local:
        raise ValueError("what travels sealed has an id and is said by somebody here")
    application = await known.application(tx)
    uri = Iri(f"{instance.config.base_url}/sealed/{secrets.token_hex(16)}")
    body = documents.dumps(documents.activity(activity))
    envelope = sealing.seal(body, Way(uri, instance.config.authority, host), await sealing.current(tx, instance), farewell.key)
    return await outgoing.queue(
        tx,
        instance,
        application,
        documents.dumps(sealed.outer(uri, application.uri, farewell.application, envelope)),
        [Inbox(farewell.inbox, await hosts.ensure(tx, instance, hosts.authority(farewell.inbox)))],
        uri=uri,
        kind=sealed.KIND,
        object=farewell.application,
        ordering_key=_key(instance, host, ordering_key),
    )


def _key(instance: "Instance", host: str, ordering_key: str) -> str:
    # What it is about is a secret too: the rows are ordered by a keyed hash.
    return f"{host} {instance.vault.digest('confidential', ordering_key).hex()}"


async def recall(tx: Transaction, instance: "Instance", host: str, ordering_key: str) -> bool:
    """As `outbox.publish.recall`, for what was given to `publish` here under this key for the peer `host`. Raises `Locked`."""
    return await outgoing.recall(tx, instance, _key(instance, host, ordering_key))


@dataclass(frozen=True, slots=True)
class Waits:
    """It may not leave now; `why` is for people. `later`: the peer could not be asked, so it is tried again as any other delivery."""

    why: str
    later: bool = False


async def wrap(instance: "Instance", host_id: int, uri: Iri, body: bytes) -> bytes | Waits:
    """The outer document for `body`, sealed to the key of the peer that an admin confirmed, as its own host showed it within a minute. Raises `Locked`."""
    partner = await instance.database.read(peers.partner, host_id)
    if partner is None or not _may(instance, partner):
        return Waits("its host is not trusted, or did not accept us")
    if instance.clock.ms() - partner.looked_at > handshake.LOOK_MS:
        looked = await handshake.look(instance, partner)
        if isinstance(looked, FetchFailed):
            return Waits(f"its Application could not be read: {looked.why}", later=True)
        if looked.lost:
            await instance.trust.refresh(instance.database)
            if looked.says:
                await instance.database.write(_say, instance, looked)
        if not looked.partner.ready:
            return Waits("its host is not trusted, or did not accept us")
        partner = looked.partner
    try:
        ours, theirs = await instance.database.read(_keys, instance, host_id)
    except NoKey:
        return Waits("this instance has no key to seal with")
    if theirs is None:
        return Waits("no key of its Application is confirmed")
    application = await instance.database.read(known.application)
    way = Way(uri, instance.config.authority, partner.host)
    try:
        envelope = sealing.seal(body, way, ours, theirs)
    except DoesNotOpen as error:
        return Waits(str(error))
    return documents.dumps(sealed.outer(uri, application.uri, partner.application, envelope))


async def held_until(tx: Transaction, host_id: int, now_ms: int) -> int:
    """When something that waits for a peer asks again: now, if an admin trusted it while we looked."""
    partner = await peers.partner(tx, host_id)
    return now_ms if partner is not None and partner.ready else now_ms + HELD_MS


def _may(instance: "Instance", partner: peers.Partner) -> bool:
    return partner.ready and trust.verdict(instance, partner.host, "confide").allowed


async def _keys(tx: Transaction, instance: "Instance", host_id: int) -> tuple[SealingKey, AgreementKey | None]:
    return await sealing.current(tx, instance), await handshake.sealing_to(tx, host_id)


async def _say(tx: Transaction, instance: "Instance", looked: handshake.Looked) -> None:
    await say(tx, instance, looked.partner, looked.says)


async def say(tx: Transaction, instance: "Instance", partner: peers.Partner, says: "tuple[Activity, ...]") -> None:
    """Sends what our Application has to say of the handshake itself, in the open and in order. Call `instance.wake("delivery")` afterwards."""
    application = await known.application(tx)
    for activity in says:
        await outgoing.queue(
            tx,
            instance,
            application,
            documents.dumps(documents.activity(activity)),
            [Inbox(partner.inbox, partner.host_id)],
            # The Follow of one handshake keeps its id; each sending of it is a row of its own.
            uri=Iri(f"{activity.id}~{secrets.token_hex(8)}"),
            kind=type(activity).__name__,
            object=partner.application,
            ordering_key=f"peer {partner.host}",
        )


UNSAID: Final = """
update delivery
set state = 'superseded', finished_at = :now
where ordering_key = :ordering_key
  and state = 'waiting'
  and lease_until <= :now
  and outgoing_id in (
    select outgoing.id
    from outgoing
    where outgoing.ordering_key = :ordering_key
      and outgoing.kind = 'Delete'
  )
"""


async def keep(tx: Transaction, instance: "Instance", host: str, ordering_key: str) -> None:
    """Takes a Delete back that waited for the peer `host` under this key: it is trusted again, and may keep what it holds. Raises `Locked`."""
    key = _key(instance, host, ordering_key)
    if await tx.execute(UNSAID, ordering_key=key, now=instance.clock.ms()):
        await tx.execute(outgoing.ERASE_BODIES, ordering_key=key)
    partner = await peers.partner_named(tx, host)
    if partner is not None:
        await owed.drop(tx, instance, partner.host_id, key)


RESUME: Final = """
update delivery
set next_at = :now, created_at = :now, error = null
where host_id = :host_id
  and state = 'waiting'
  and created_at <= :now
  and outgoing_id in (
    select outgoing.id
    from outgoing
    where outgoing.confidential = 1
  )
"""

WAKE: Final = """
update host
set next_at = :now
where id = :host_id
"""

WAITING: Final = """
select delivery.id, delivery.outgoing_id
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
where delivery.host_id = :host_id
  and delivery.state = 'waiting'
  and outgoing.confidential = 1
"""

STOPPED: Final = """
update delivery
set state = 'dead', finished_at = :now, lease_until = 0, error = :why
where id = :id
  and state = 'waiting'
"""

ERASE: Final = """
update outgoing
set body = null
where id = :id
"""


async def resume(tx: Transaction, instance: "Instance", host_id: int) -> None:
    """Lets everything that waits for a peer go now: it is trusted (again). Call `instance.wake("delivery")` afterwards."""
    now = instance.clock.ms()
    if await tx.execute(RESUME, host_id=host_id, now=now):
        await tx.execute(WAKE, host_id=host_id, now=now)


async def stop(tx: Transaction, instance: "Instance", host_id: int, why: str) -> int:
    """Gives up everything that is not public and waits for a host, and erases it; how many. What was deleted it is told when it is trusted again."""
    await owed.keep_deletes(tx, instance, host_id)
    rows = await tx.all(WAITING, host_id=host_id)
    now = instance.clock.ms()
    if rows:
        await tx.many(STOPPED, [{"id": row["id"], "why": why, "now": now} for row in rows])
        await tx.many(ERASE, [{"id": row["outgoing_id"]} for row in rows])
        log.info("confidential.stopped", host=host_id, deliveries=len(rows))
    return len(rows)
