"""What arrived, and was it here before? One row is both durability and dedupe; the worker understands it later, in the order its actor sent it.

    remember   proven activity -> one row, body sealed, `on conflict (uri) do nothing`; after it returned, 202 is the truth
    keep       request whose key must be fetched, while the instance is locked -> one row `unverified`, bounded; proven after the unlock
"""

import hashlib
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from actors import hosts
from actors.instance import Instance
from actors.signatures.request import Request
from inbox import at_once, gate, verify
from inbox.errors import Malformed
from inbox.gate import Claim
from inbox.verify import Sender, Verified
from schemas.crashpoint import crashpoint
from schemas.storage import Conflict, Transaction

UNVERIFIED_MOST: Final = 20_000

REPEATED: Final = frozenset({"Follow", "Undo", "Accept", "Reject", "Like", "Announce", "Block"})
"""What servers send again under the same id and mean anew: Misskey's Follow and Undo between two people always have one id."""

TAKING_BACK: Final = frozenset({"Delete", "Reject", "Undo", "Update"})
"""What is heard of a suspended actor."""


class Remembered(Enum):
    """What became of an arrival at the door."""

    NEW = auto()
    KNOWN = auto()
    NO_INBOX = auto()
    GONE_INBOX = auto()
    SUSPENDED = auto()
    FULL = auto()


INSERT: Final = """
insert into arrival (id, uri, host_id, state, body, size, received_at, run_at)
values (:id, :uri, :host_id, :state, :body, :size, :now, :now)
on conflict (uri) do nothing
"""

SENDER: Final = """
select actor.state, actor.host_id, host.last_heard, host.down_since
from actor
left join host on host.id = actor.host_id
where actor.id = :id
  and actor.local = 0
"""

LOCAL_INBOX: Final = """
select id
from actor
where username = :username
  and local = 1
  and state <> 'gone'
"""

GONE_INBOX: Final = """
select id
from actor
where username = :username
  and local = 1
  and state = 'gone'
"""

COUNT_UNVERIFIED: Final = """
select count(*) as waiting
from arrival
where state = 'unverified'
"""


@dataclass(frozen=True, slots=True)
class _New:
    id: int
    uri: str
    state: Literal["waiting", "unverified"]
    body: bytes
    size: int


def key(said: Claim, request: Request) -> str:
    """What tells this arrival apart. The host of the id is the proven host of the actor, so nobody occupies another server's ids.

    For what is sent anew under one id, the signature belongs to it: a byte-for-byte replay is known, a new sending is new (protocol 3.9).
    """
    if said.id is None and said.kind in verify.NAMELESS:
        return f"{said.actor} {said.kind} {_mark(request)}"
    if said.id is None:
        raise Malformed("id", "what is kept has an id")
    return f"{said.id} {_mark(request)}" if said.kind in REPEATED else said.id


def _mark(request: Request) -> str:
    signatures = b"\0".join(value for name, value in request.headers if name in (b"signature", b"signature-input"))
    return hashlib.sha256(signatures).hexdigest()[:32]


async def remember(instance: Instance, verified: Verified, said: Claim, request: Request, *, to: str | None) -> Remembered:
    """Stores a verified activity, or does at once what it says; fsynced when this returns.

    KNOWN if it was here before, NO_INBOX if `to` (a local user name) is nobody, GONE_INBOX if they are gone.
    SUSPENDED if its actor may only take back (Delete, Reject, Undo, Update: as at Mastodon) and this adds something.
    """
    body = request.body or b""
    post = at_once.plain(instance, verified, said, body)
    if post is not None and (taken := await at_once.take(instance, post, to)) is not None:
        return await instance.database.read(_nobody, to) if taken.no_inbox and to is not None else _answer(taken)
    return await _insert(instance, key(said, request), "waiting", verify.pack(verified, body), len(body), verified.actor, to, adds=said.kind not in TAKING_BACK)


def _answer(taken: at_once.Taken) -> Remembered:
    if taken.no_inbox:
        return Remembered.NO_INBOX
    if taken.suspended:
        return Remembered.SUSPENDED
    return Remembered.KNOWN if taken.effects is None else Remembered.NEW


async def remember_fetched(instance: Instance, verified: Verified, body: bytes) -> Remembered:
    """The same for an activity that was fetched from its own origin instead of posted."""
    said = gate.claim(verified.document)
    if said.id is None:
        raise Malformed("id", "what is kept has an id")
    return await _insert(instance, said.id, "waiting", verify.pack(verified, body), len(body), verified.actor, None)


async def keep(instance: Instance, host: str, said: Claim, request: Request, *, to: str | None) -> Remembered:
    """Stores a request nobody could verify yet, sealed; FULL when 20,000 of them wait.

    The mark of its signature is part of its key: a forged one does not stand in the way of the genuine one.
    """
    uri = f"{said.id or said.actor} unverified {_mark(request)}"
    return await _insert(instance, uri, "unverified", verify.pack_request(request), len(request.body or b""), host, to)


async def _insert(
    instance: Instance, uri: str, state: Literal["waiting", "unverified"], plain: bytes, size: int, sender: Sender | str, to: str | None, *, adds: bool = False
) -> Remembered:
    for tries_left in (2, 1, 0):
        number = instance.ids.new()
        new = _New(number, uri, state, instance.vault.seal(plain, f"arrival:{number}"), size)
        crashpoint("arrive:sealed")
        try:
            outcome = await instance.database.write(_write, instance, new, sender, to, adds)
        except Conflict:
            # Two processes drew one id: the seal is bound to it, so it is drawn and sealed again.
            if not tries_left:
                raise
            continue
        crashpoint("arrive:stored")
        if outcome is Remembered.NEW:
            instance.wake("arrival")
        return outcome
    raise AssertionError("the last try returns or raises")


async def _nobody(tx: Transaction, to: str) -> Remembered:
    """Why that inbox takes nothing: its owner is gone for good, as their document says too, or there never was one."""
    return Remembered.NO_INBOX if await tx.one(GONE_INBOX, username=to) is None else Remembered.GONE_INBOX


async def _write(tx: Transaction, instance: Instance, new: _New, sender: Sender | str, to: str | None, adds: bool) -> Remembered:
    if to is not None and await tx.one(LOCAL_INBOX, username=to) is None:
        return await _nobody(tx, to)
    now = instance.clock.ms()
    if isinstance(sender, Sender):
        row = await tx.one(SENDER, id=sender.id)
        if row is None or (adds and row["state"] != "active"):
            return Remembered.SUSPENDED
        host_id = row["host_id"] if row["host_id"] is not None else await hosts.ensure(tx, instance, sender.host)
        if hosts.is_news(row["last_heard"], row["down_since"], now):
            await hosts.heard(tx, instance, host_id)
    else:
        row = await tx.one(COUNT_UNVERIFIED)
        if row is not None and row["waiting"] >= UNVERIFIED_MOST:
            return Remembered.FULL
        host_id = await hosts.ensure(tx, instance, sender)
    crashpoint("arrive:host")
    written = await tx.execute(INSERT, id=new.id, uri=new.uri, host_id=host_id, state=new.state, body=new.body, size=new.size, now=now)
    crashpoint("arrive:inserted")
    return Remembered.NEW if written else Remembered.KNOWN


COUNTS: Final = """
select state, count(*) as rows
from arrival
group by state
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many arrivals wait, are done (and still known for dedupe), or were given up."""

    waiting: int
    done: int
    failed: int


async def counts(tx: Transaction) -> Counts:
    """The figures of `fedmatch status`; what waits for its proof waits."""
    rows = {str(row["state"]): int(row["rows"]) for row in await tx.all(COUNTS)}
    return Counts(rows.get("waiting", 0) + rows.get("unverified", 0), rows.get("done", 0), rows.get("failed", 0))
