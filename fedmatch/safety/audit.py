"""What did staff do, and can anybody change that afterwards? One chain of hashes; who did it, about whom and why lies beside it and may be shredded.

    hash(n) = SHA-256(hash(n - 1) | n | time | action | commitment)
    commitment = SHA-256(salt | who | about whom | why)

A changed, removed or inserted row breaks the chain. A chain that was cut at its end is still a chain: so its head is shown in our Application's document,
trusted peers keep the heads they saw (`fedmatch peers list --json`), and `fedmatch audit --log --head HASH` looks for one of them.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from actors.vault import Locked, Tampered
from schemas.reading import Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Action = Literal[
    "peer.add", "peer.trust", "peer.level", "peer.remove", "peer.rate", "review.approve", "review.reject", "vet.take", "vet.note", "vet.decide", "vet.sign-off",
    "vouch.issue", "vouch.revoke", "report.take", "report.close", "report.forward", "log.shred", "backup.restore", "user.suspend", "user.unsuspend",
    "user.role", "user.delete",
]  # fmt: skip
OPERATOR: Final = "operator"
"""Who types commands at the machine itself."""
START: Final = bytes(32)
DAY_MS: Final = 24 * 3600 * 1000
CHUNK: Final = 1000

LAST: Final = """
select audit.id, audit.at, audit.hash
from audit
order by audit.id desc
limit 1
"""

INSERT: Final = """
insert into audit (id, at, action, commitment, hash)
values (:id, :at, :action, :commitment, :hash)
"""

INSERT_DETAIL: Final = """
insert into audit_detail (audit_id, sealed)
values (:id, :sealed)
"""

SOME: Final = """
select audit.id, audit.at, audit.action, audit.commitment, audit.hash, audit_detail.sealed
from audit
left join audit_detail on audit_detail.audit_id = audit.id
where audit.id > :after
order by audit.id
limit :limit
"""

SHRED: Final = """
delete from audit_detail
where audit_id in (
  select audit.id
  from audit
  where audit.at < :before
)
"""

SHOWN: Final = """
select setting.value
from setting
where setting.name = 'audit_head_day'
"""

HEAD: Final = """
select setting.value
from setting
where setting.name = 'audit_head'
"""

KEEP: Final = """
insert into setting (name, value)
values (:name, :value)
on conflict (name) do update
set value = excluded.value
"""


async def log(tx: Transaction, instance: "Instance", staff: str, action: Action, about: str, reason: str | None = None) -> None:
    """Notes that `staff` (a name of ours, or `OPERATOR`) did this, in the transaction of what was done. Works locked."""
    last = await tx.one(LAST)
    number, before = (1, START) if last is None else (int(last["id"]) + 1, bytes(last["hash"]))
    at = instance.clock.ms()
    detail = json.dumps({"salt": secrets.token_hex(16), "staff": staff, "about": about, "reason": reason or ""}, sort_keys=True).encode()
    commitment = _commitment(detail)
    await tx.execute(INSERT, id=number, at=at, action=action, commitment=commitment, hash=_link(before, number, at, action, commitment))
    await tx.execute(INSERT_DETAIL, id=number, sealed=instance.vault.seal(detail, f"audit_detail:{number}"))


def _commitment(detail: bytes) -> bytes:
    return hashlib.sha256(b"fedmatch audit 1\0" + detail).digest()


def _link(before: bytes, number: int, at: int, action: str, commitment: bytes) -> bytes:
    return hashlib.sha256(b"\0".join((before, str(number).encode(), str(at).encode(), action.encode(), commitment))).digest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One action; `staff` is None where its detail was shredded, or cannot be read while the vault is locked."""

    number: int
    at: int
    action: str
    staff: str | None
    about: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The whole log. `broken` names the first row that does not fit what is before it; `false` rows whose detail is not what was committed to."""

    entries: tuple[Entry, ...]
    head: str
    broken: int | None
    false: tuple[int, ...]
    shredded: int
    found: bool | None
    """Whether the head that was asked for is in the chain; None if none was asked for."""
    cut: bool
    """Whether the head that our Application's document showed last is in it no more."""

    @property
    def holds(self) -> bool:
        return self.broken is None and not self.false and self.found is not False and not self.cut


async def check(instance: "Instance", head: str | None = None) -> Checked:
    """The log, every link of it verified; `head` (64 hexadecimal digits, from a peer) has to be one of them, and so has what we showed to others last."""
    entries: list[Entry] = []
    before, number, broken, false, shredded, found = START, 0, None, list[int](), 0, head is None
    shown = await instance.database.read(_shown)
    cut = shown is not None
    while rows := await instance.database.read(_some, number):
        for row in rows:
            expected = number + 1
            number = int(row["id"])
            commitment = bytes(row["commitment"])
            linked = _link(before, number, row["at"], row["action"], commitment)
            if broken is None and (number != expected or linked != bytes(row["hash"])):
                broken = number
            before = bytes(row["hash"])
            found = found or before.hex() == head
            cut = cut and before.hex() != shown
            detail = _detail(instance, number, row["sealed"])
            if detail is None:
                shredded += row["sealed"] is None
            elif not detail or _commitment(detail) != commitment:
                false.append(number)
                detail = None
            said = json.loads(detail) if detail else {}
            entries.append(Entry(number, row["at"], row["action"], said.get("staff"), said.get("about"), said.get("reason")))
    return Checked(tuple(entries), before.hex(), broken, tuple(false), shredded, None if head is None else found, cut)


async def _shown(tx: Transaction) -> str | None:
    row = await tx.one(HEAD)
    return None if row is None else str(row["value"])


async def _some(tx: Transaction, after: int) -> Sequence[Row]:
    return await tx.all(SOME, after=after, limit=CHUNK)


def _detail(instance: "Instance", number: int, sealed: bytes | None) -> bytes | None:
    """The detail of a row as it was written; None where there is none or it cannot be read now, b"" where it was replaced."""
    if sealed is None:
        return None
    try:
        return instance.vault.open(bytes(sealed), f"audit_detail:{number}")
    except Tampered:
        return b""
    except Locked:
        return None


async def shred(tx: Transaction, before_ms: int) -> int:
    """Deletes who did what and why of everything before that moment; the chain still holds. How many. Ask for `chores.erase_soon` with it."""
    return await tx.execute(SHRED, before=before_ms)


async def show_head(tx: Transaction, instance: "Instance") -> None:
    """Puts the head of the log as it stands into what our Application's document shows; once a day, so that nobody counts our staff's work by the hour."""
    last, shown = await tx.one(LAST), await tx.one(SHOWN)
    today = instance.clock.ms() // DAY_MS
    if last is not None and (shown is None or int(shown["value"]) < today):
        await tx.execute(KEEP, name="audit_head", value=bytes(last["hash"]).hex())
        await tx.execute(KEEP, name="audit_head_day", value=str(today))
