"""What leaves, and to whom? One activity becomes one sealed body and one delivery row for each inbox, in the transaction of its cause."""

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from actors import blocks, keys
from actors.known import Actor
from actors.signatures import proofs
from outbox import address
from outbox.address import Audience, Inbox
from outbox.claims import each, listed
from outbox.posts import PUBLIC_SPELLINGS
from schemas import documents
from schemas.activities import Accept, Activity, Delete, Reject, Undo
from schemas.crashpoint import crashpoint
from schemas.reading import Document, Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

TAKES_BACK: Final = Accept | Reject | Undo | Delete
"""What is said also to somebody who is blocked or who blocks."""
MOST_BODY: Final = 64 * 1024
"""Misskey takes no more (protocol.md 5.1); what is longer would be lost there without a word."""


class TooLarge(ValueError):
    """An activity of more than 64 KiB. Say so to its author before anything is stored."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"an activity of {size} bytes; {MOST_BODY} is the most that other servers take")


LAST_OF_KEY: Final = """
select max(outgoing.id) as last
from outgoing
where outgoing.ordering_key = :ordering_key
"""

INSERT_OUTGOING: Final = """
insert into outgoing (id, uri, actor_id, kind, object, ordering_key, body, created_at, confidential)
values (:id, :uri, :actor_id, :kind, :object, :ordering_key, :body, :now, :confidential)
"""

HELD_BEFORE: Final = """
select distinct delivery.inbox
from delivery
where delivery.ordering_key = :ordering_key
"""

# One that is being sent right now (its lease runs) is not taken back: the later activity waits behind it, as for any other.
SUPERSEDE_ALL: Final = """
update delivery
set state = 'superseded', finished_at = :now
where ordering_key = :ordering_key
  and state = 'waiting'
  and lease_until <= :now
"""

SUPERSEDE_UPDATE: Final = """
update delivery
set state = 'superseded', finished_at = :now
where ordering_key = :ordering_key
  and inbox = :inbox
  and state = 'waiting'
  and lease_until <= :now
  and outgoing_id in (
    select outgoing.id
    from outgoing
    where outgoing.ordering_key = :ordering_key
      and outgoing.kind = 'Update'
  )
"""

ERASE_BODIES: Final = """
update outgoing
set body = null
where ordering_key = :ordering_key
  and body is not null
  and not exists (
    select 1
    from delivery
    where delivery.outgoing_id = outgoing.id
      and delivery.state = 'waiting'
  )
"""

WAITING_BEFORE: Final = """
select delivery.host_id, max(delivery.next_at) as next_at
from delivery
where delivery.ordering_key = :ordering_key
  and delivery.state = 'waiting'
group by delivery.host_id
"""

INSERT_DELIVERY: Final = """
insert into delivery (id, outgoing_id, host_id, inbox, ordering_key, state, created_at, next_at)
values (:id, :outgoing_id, :host_id, :inbox, :ordering_key, 'waiting', :created_at, :next_at)
"""

WAKE_HOSTS: Final = f"""
update host
set next_at = :next_at
where id in ({listed()})
  and (next_at is null or next_at > :next_at)
"""  # noqa: S608  # names of values, made here


IS_OUTGOING: Final = """
select outgoing.id
from outgoing
where outgoing.uri = :uri
"""


async def publish(
    tx: Transaction,
    instance: "Instance",
    sender: Actor,
    activity: Activity,
    audience: Audience,
    *,
    object: Iri,
    ordering_key: str,
    proven: bool = False,
    not_before: int | None = None,
) -> int:
    """Sends `activity` of `sender` on its way to `audience`, and gives the id of the outgoing row. Call `instance.wake("delivery")` after the commit.

    `object` names what it is about. Activities with one `ordering_key` (the object's id, or both ends of a follow) reach each host in the order of these calls.
    A Delete replaces what of the same key was not delivered yet and also goes wherever that went before; an Update replaces undelivered Updates. Shared inboxes
    are used when it is addressed to everybody or to the sender's followers. Local readers are not served here. `proven`: it carries an FEP-8b32 proof, which
    makes its words undeniable for ever. `not_before`: the moment, in milliseconds UTC, before which it does not leave.
    Raises `TooLarge`, and `actors.vault.Locked` for a proof that cannot be made; needs an activity with an id.
    """
    if activity.id is None:
        raise ValueError("what we send has an id")
    document = documents.activity(activity)
    body = documents.dumps(await prove(tx, instance, sender, document) if proven else document)
    if len(body) > MOST_BODY:
        raise TooLarge(len(body))
    if not isinstance(activity, TAKES_BACK) and (away := await blocks.kept_from(tx, sender.id)):
        audience = replace(audience, actors=tuple(actor for actor in audience.actors if actor not in away))
    addressed = (*activity.to, *activity.cc)
    fold = not PUBLIC_SPELLINGS.isdisjoint(addressed) or (sender.followers is not None and sender.followers in addressed)
    inboxes = await address.inboxes(tx, instance, audience, fold=fold)
    return await queue(
        tx, instance, sender, body, inboxes, uri=activity.id, kind=type(activity).__name__, object=object, ordering_key=ordering_key, not_before=not_before
    )


async def prove(tx: Transaction, instance: "Instance", sender: Actor, document: Document) -> Document:
    """The document with a proof by the Ed25519 key of our actor; its context says what the words of a proof mean. Raises `Locked`, `NoKey`."""
    key = await keys.signing(tx, instance, sender.id, "ed25519")
    return proofs.attach(documents.with_proof_terms(document), key.uri, instance.clock.now().replace(microsecond=0), key.sign)


async def forward(
    tx: Transaction,
    instance: "Instance",
    sender: Actor,
    body: bytes,
    *,
    uri: Iri,
    kind: str,
    audience: Audience,
    leaving_out: frozenset[int],
    object: Iri,
) -> bool:
    """Sends somebody else's activity on, byte for byte, signed by our `sender`; not to the hosts with the ids in `leaving_out`. False if nobody is to hear it.

    The same `uri` goes on once. What is about one `object` stays in order, as for `publish`. Raises `TooLarge`.
    """
    if len(body) > MOST_BODY:
        raise TooLarge(len(body))
    if await tx.one(IS_OUTGOING, uri=uri) is not None:
        return False
    inboxes = [inbox for inbox in await address.inboxes(tx, instance, audience, fold=True) if inbox.host_id not in leaving_out]
    if not inboxes and kind != "Delete":
        return False
    await queue(tx, instance, sender, body, inboxes, uri=uri, kind=kind, object=object, ordering_key=object)
    return True


async def queue(
    tx: Transaction,
    instance: "Instance",
    sender: Actor,
    body: bytes,
    inboxes: list[Inbox],
    *,
    uri: Iri,
    kind: str,
    object: Iri,
    ordering_key: str,
    confidential: bool = False,
    not_before: int | None = None,
) -> int:
    """Writes the rows of one activity for `inboxes`, behind what of the same key waits already; the id of the outgoing row.

    `confidential`: the body is sealed once more, for its one reader, when it leaves (outbox/confidential.py). `not_before`: until then, in milliseconds UTC,
    it is as if it had not been made: nothing tries it, no host that lives again wakes it, its days of retries begin there, and `recall` takes it back. No row
    says when it was made: who takes the disk would know when somebody was awake.
    """
    now = instance.clock.ms()
    begins = max(now, not_before or now)
    if kind == "Delete":
        inboxes = await _and_holders(tx, instance, inboxes, ordering_key)
        await tx.execute(SUPERSEDE_ALL, ordering_key=ordering_key, now=now)
    elif kind == "Update":
        for inbox in inboxes:
            await tx.execute(SUPERSEDE_UPDATE, ordering_key=ordering_key, inbox=inbox.url, now=now)
    outgoing_id = _new_id(instance, now, begins)
    last = await tx.one(LAST_OF_KEY, ordering_key=ordering_key)
    if last is not None and last["last"] is not None:
        # The clock may have gone back since the Create: the order of ids is the order of sending. The low bits keep two draws apart.
        outgoing_id = max(outgoing_id, int(last["last"]) + 1 + (outgoing_id & 0xFF))
    await tx.execute(
        INSERT_OUTGOING,
        id=outgoing_id,
        uri=uri,
        actor_id=sender.id,
        kind=kind,
        object=object,
        ordering_key=ordering_key,
        body=instance.vault.seal(body, f"outgoing:{outgoing_id}") if inboxes else None,
        now=begins,
        confidential=int(confidential),
    )
    crashpoint("publish:outgoing")
    waiting = {int(row["host_id"]): int(row["next_at"]) for row in await tx.all(WAITING_BEFORE, ordering_key=ordering_key)}
    rows: list[dict[str, int | str]] = [
        {
            "id": _new_id(instance, now, begins),
            "outgoing_id": outgoing_id,
            "host_id": inbox.host_id,
            "inbox": inbox.url,
            "ordering_key": ordering_key,
            "created_at": begins,
            # Behind one that waits for its retry there is nothing to try before that.
            "next_at": max(begins, waiting.get(inbox.host_id, begins)),
        }
        for inbox in inboxes
    ]
    if rows:
        await tx.many(INSERT_DELIVERY, rows)
        crashpoint("publish:deliveries")
        wakes: dict[int, dict[int, None]] = {}
        for inbox in inboxes:
            wakes.setdefault(max(begins, waiting.get(inbox.host_id, begins)), {})[inbox.host_id] = None
        for next_at, host_ids in wakes.items():
            await each(tx, WAKE_HOSTS, list(host_ids), next_at=next_at)
    await tx.execute(ERASE_BODIES, ordering_key=ordering_key)
    crashpoint("publish:queued")
    return outgoing_id


def _new_id(instance: "Instance", now: int, begins: int) -> int:
    """An id of the moment at which it may leave; of one that waits on purpose without the counter, which would say between which others it was drawn."""
    return instance.ids.new() if begins <= now else begins << 16 | secrets.randbits(16)


OF_KEY: Final = """
select delivery.state, delivery.created_at
from delivery
where delivery.ordering_key = :ordering_key
"""


FORGET_DELIVERIES: Final = """
delete from delivery
where ordering_key = :ordering_key
"""

FORGET_OUTGOING: Final = """
delete from outgoing
where ordering_key = :ordering_key
"""


async def recall(tx: Transaction, instance: "Instance", ordering_key: str) -> bool:
    """Forgets everything of a key if its `not_before` is still to come, as if it had never been said; False, and nothing done, if any of it may have left."""
    now = instance.clock.ms()
    rows = await tx.all(OF_KEY, ordering_key=ordering_key)
    if not rows or any(row["state"] != "waiting" or row["created_at"] <= now for row in rows):
        return False
    # Not even as superseded: a Delete of its author goes wherever something of theirs was to go, and there it would be the first word of them.
    await tx.execute(FORGET_DELIVERIES, ordering_key=ordering_key)
    await tx.execute(FORGET_OUTGOING, ordering_key=ordering_key)
    return True


async def _and_holders(tx: Transaction, instance: "Instance", inboxes: list[Inbox], ordering_key: str) -> list[Inbox]:
    """The inboxes, and every other one that was sent something of this key: whoever may hold it hears that it is gone, also who unfollowed since."""
    there = {inbox.url for inbox in inboxes}
    before = tuple(Iri(row["inbox"]) for row in await tx.all(HELD_BEFORE, ordering_key=ordering_key) if row["inbox"] not in there)
    return [*inboxes, *await address.inboxes(tx, instance, Audience(inboxes=before), fold=False)]
