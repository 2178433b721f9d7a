"""What is still to be said to a server to which nothing may be said now? That something it holds was deleted, closed or edited; it is said once it may.

A blocked server gets nothing, so what it holds of us would stay as it was, also after an admin thought better of it. The last word about each thing is kept,
sealed, for a year at most; it leaves as any other activity then. What is not public leaves sealed to a trusted peer, or not at all.
"""

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from actors import keys, known, peers, trust
from actors.keys import NoKey
from outbox import publish
from outbox.address import Inbox
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

KEPT_MS: Final = 365 * 86_400_000
"""What a server holds ends there by its own time, at last 30 days after the last sign of us if it is not public."""
HEARD_MS: Final = 1_000
"""By then every process has heard that the server may be spoken to; who has not gives up what it would send."""
MOST: Final = 10_000
"""Things one server is owed; the newest ones are not kept beyond that."""

NOTE: Final = """
insert into owed (id, host_id, mark, sealed, until)
values (:id, :host_id, :mark, :sealed, :until)
on conflict (host_id, mark) do update
set sealed = excluded.sealed, until = excluded.until
"""

COUNT: Final = """
select count(*) as n
from owed
where owed.host_id = :host_id
"""

OF_HOST: Final = """
select owed.id, owed.mark, owed.sealed
from owed
where owed.host_id = :host_id
order by owed.id
"""

SAID: Final = """
delete from owed
where id = :id
"""

DROP: Final = """
delete from owed
where host_id = :host_id
  and mark = :mark
"""

OLD: Final = """
delete from owed
where until <= :now
"""

WAITING_DELETES: Final = """
select outgoing.id, outgoing.uri, outgoing.actor_id, outgoing.kind, outgoing.object, outgoing.ordering_key, outgoing.body, outgoing.confidential, delivery.inbox
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
where delivery.host_id = :host_id
  and delivery.state = 'waiting'
  and outgoing.kind = 'Delete'
  and outgoing.body is not null
order by outgoing.id
"""


async def note(
    tx: Transaction,
    instance: "Instance",
    sender: int,
    body: bytes,
    inboxes: Sequence[Inbox],
    *,
    uri: Iri,
    kind: str,
    object: Iri,
    ordering_key: str,
    confidential: bool = False,
) -> None:
    """Keeps what our actor `sender` would say to servers that may not be spoken to; as for `publish.queue`. Nothing is kept while the vault is locked."""
    if not inboxes:
        return
    if instance.vault.locked:
        log.warning("owed.not_kept", why="the vault is locked")
        return
    said = {"sender": sender, "uri": uri, "kind": kind, "object": object, "key": ordering_key, "confidential": confidential}
    for inbox in {one.host_id: one for one in inboxes}.values():
        row = await tx.one(COUNT, host_id=inbox.host_id)
        if row is not None and int(row["n"]) >= MOST:
            log.warning("owed.full", host=inbox.host_id)
            continue
        about = mark(instance, ordering_key)
        whole = json.dumps({**said, "inbox": inbox.url, "body": b64encode(body).decode()}).encode()
        until = (instance.clock.ms() + KEPT_MS) // 86_400_000 * 86_400_000
        sealed = instance.vault.seal(whole, _place(inbox.host_id, about))
        await tx.execute(NOTE, id=instance.ids.new(), host_id=inbox.host_id, mark=about, sealed=sealed, until=until)


async def keep_deletes(tx: Transaction, instance: "Instance", host_id: int) -> None:
    """Keeps every Delete that waits for a server before what waits for it is given up."""
    if instance.vault.locked:
        return
    for row in await tx.all(WAITING_DELETES, host_id=host_id):
        await note(
            tx,
            instance,
            int(row["actor_id"]),
            instance.vault.open(bytes(row["body"]), f"outgoing:{row['id']}"),
            [Inbox(Iri(row["inbox"]), host_id)],
            uri=Iri(row["uri"]),
            kind=row["kind"],
            object=Iri(row["object"]),
            ordering_key=row["ordering_key"],
            confidential=bool(row["confidential"]),
        )


async def drop(tx: Transaction, instance: "Instance", host_id: int, ordering_key: str) -> None:
    """Forgets what was owed about one thing: it is given again. Raises `actors.vault.Locked`."""
    await tx.execute(DROP, host_id=host_id, mark=mark(instance, ordering_key))


async def say(tx: Transaction, instance: "Instance", host_id: int) -> int:
    """Says, in a second, everything that may be said to a server now; how much. What is not public waits until it is a trusted peer, all of it while the vault
    is locked.

    Call `instance.wake("delivery")` after the commit.
    """
    rows = [] if instance.vault.locked else await tx.all(OF_HOST, host_id=host_id)
    if not rows:
        return 0
    partner = await peers.partner(tx, host_id)
    ready = partner is not None and partner.ready
    said = 0
    for row in rows:
        one = json.loads(instance.vault.open(bytes(row["sealed"]), _place(host_id, bytes(row["mark"]))))
        if one["confidential"] and not ready:
            continue
        await tx.execute(SAID, id=row["id"])
        sender = await known.by_id(tx, one["sender"])
        if sender is None or not await _speaks(tx, instance, sender.id):
            # Whoever is gone cannot sign any more; a proof of theirs in it is believed whoever brings it.
            sender = await known.application(tx)
        await publish.queue(
            tx,
            instance,
            sender,
            b64decode(one["body"]),
            [Inbox(Iri(one["inbox"]), host_id)],
            # Each sending of one activity is a row of its own.
            uri=Iri(f"{one['uri']}~{secrets.token_hex(8)}"),
            kind=one["kind"],
            object=Iri(one["object"]),
            ordering_key=one["key"],
            confidential=one["confidential"],
            not_before=instance.clock.ms() + HEARD_MS,
        )
        said += 1
    if said:
        log.info("owed.said", host=host_id, activities=said)
    return said


async def _speaks(tx: Transaction, instance: "Instance", actor_id: int) -> bool:
    try:
        await keys.signing(tx, instance, actor_id, "rsa")
    except NoKey:
        return False
    return True


HOLDERS: Final = """
select distinct delivery.inbox, delivery.host_id, host.name
from delivery
join host on host.id = delivery.host_id
where delivery.ordering_key = :ordering_key
"""


async def holders(tx: Transaction, instance: "Instance", ordering_key: str) -> list[Inbox]:
    """Where something of this key was sent within the time that deliveries are listed, of servers to which nothing may be said now."""
    rows = await tx.all(HOLDERS, ordering_key=ordering_key)
    return [Inbox(Iri(row["inbox"]), int(row["host_id"])) for row in rows if refused(instance, row["name"])]


HEARD_OF: Final = """
select distinct delivery.inbox, delivery.host_id, host.name
from outgoing
join delivery on delivery.outgoing_id = outgoing.id
join host on host.id = delivery.host_id
where outgoing.actor_id = :actor_id
"""


async def heard_of(tx: Transaction, instance: "Instance", actor_id: int) -> list[Inbox]:
    """Where anything of our actor was sent within the time that deliveries are listed, of servers to which nothing may be said now."""
    rows = await tx.all(HEARD_OF, actor_id=actor_id)
    return [Inbox(Iri(row["inbox"]), int(row["host_id"])) for row in rows if refused(instance, row["name"])]


async def marks(tx: Transaction, host_id: int) -> set[bytes]:
    """What a server is owed, as marks."""
    return {bytes(row["mark"]) for row in await tx.all(OF_HOST, host_id=host_id)}


async def prune(tx: Transaction, now_ms: int) -> int:
    """Forgets what was owed long enough; how much."""
    return await tx.execute(OLD, now=now_ms)


def refused(instance: "Instance", host: str) -> bool:
    """Whether nothing may be said to a server now."""
    return not trust.verdict(instance, host, "deliver").allowed


def mark(instance: "Instance", ordering_key: str) -> bytes:
    """What stands for a thing in the rows: a keyed hash of its ordering key. Raises `actors.vault.Locked`."""
    return instance.vault.digest("owed", ordering_key)


def _place(host_id: int, about: bytes) -> str:
    return f"owed:{host_id}:{about.hex()}"
