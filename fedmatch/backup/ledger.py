"""What ended, written down apart from the database? A file that only grows: a restore reads in it what must not come back.

    fedmatch ledger 1\\n | 16 random bytes, its own name | entry | entry | ...

An entry is 75 bytes, sealed by the vault for its place in this file: what kind of thing ended, how, and a keyed hash of its id or URI. No content, no name, no
time; without the key of the vault it tells how many there are. Entries cannot be changed, moved or taken from another ledger; that one was cut is seen by any
backup taken after what is missing.

Triggers write what ends into the table `ended`, in the transaction that ends it. A process notes it here within a second: the entry is fsynced first, then its
row goes, so a crash in between leaves it written twice, which means the same.
"""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import structlog

from actors import spent
from actors.vault import Tampered, Vault
from schemas.config import Config
from schemas.crashpoint import crashpoint
from schemas.reading import Row
from schemas.storage import Transaction, Unavailable

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MAGIC: Final = b"fedmatch ledger 1\n"
NAMED: Final = 16
BEGIN: Final = len(MAGIC) + NAMED
PLAIN: Final = 34
ENTRY: Final = PLAIN + 41
SOME: Final = 500
REST_S: Final = 1.0

# Numbers for ever: entries are read years later.
NOUNS: Final = (
    "name", "used", "tombstone", "post", "actor", "account", "identity", "listing", "draft", "announcement", "response", "conversation", "story", "vouch",
    "peer", "handshake", "token", "membership", "vetting", "audit_detail", "block", "border_rule",
)  # fmt: skip
STATES: Final = (
    "", "active", "suspended", "gone", "deleted", "closing", "leaving", "draft", "held", "refused", "scheduled", "open", "paused", "matched", "fulfilled",
    "expired", "withdrawn", "waiting", "announced", "undone", "sent", "opened", "accepted", "declined", "released", "completed", "failed", "issued", "lowered",
    "revoked", "trusted", "known", "limited", "blocked", "agreed", "helper", "member", "matchmaker", "operator", "moderator", "admin",
)  # fmt: skip
BY_URI: Final = frozenset({"name", "used", "tombstone", "post", "actor"})
OTHER: Final = 255


class BadLedger(Exception):
    """This ledger cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a ledger had grown: its name, and how many entries it had."""

    name: bytes
    entries: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that ended; `mark` is the keyed hash of what it was."""

    noun: str
    state: str
    mark: bytes


def mark_of(vault: Vault, noun: str, key: str) -> bytes:
    """The keyed hash under which something ends. Raises `actors.vault.Locked`."""
    return spent.mark_of(vault, key) if noun in BY_URI else vault.digest("ended", f"{noun} {key}")


def path_of(config: Config) -> Path:
    """Where the ledger of this instance lies."""
    return config.backup.ledger or config.folder / "ledger"


@contextmanager
def _held(path: Path) -> Iterator[BinaryIO]:
    """The file, made if there is none, to ourselves, without a last entry that was torn."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size < BEGIN:
            # Nothing was ever noted in it: it is new, or was torn while it was made.
            file.truncate(0)
            os.pwrite(file.fileno(), MAGIC + secrets.token_bytes(NAMED), 0)
            os.fsync(file.fileno())
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        elif (size - BEGIN) % ENTRY:
            file.truncate(BEGIN + (size - BEGIN) // ENTRY * ENTRY)
        yield file


def _place(file: BinaryIO, path: Path) -> Place:
    start = os.pread(file.fileno(), BEGIN, 0)
    if not start.startswith(MAGIC):
        raise BadLedger(f"{path} is not a ledger of fedmatch; put the right file there, or name another place under [backup] `ledger`")
    return Place(start[len(MAGIC) :], (os.fstat(file.fileno()).st_size - BEGIN) // ENTRY)


def place(path: Path) -> Place:
    """How far the ledger is; makes it if there is none. Raises `BadLedger`, OSError."""
    with _held(path) as file:
        return _place(file, path)


def _seal_place(name: bytes, number: int) -> str:
    return f"ledger:{name.hex()}:{number}"


def append(path: Path, vault: Vault, ended: Sequence[tuple[str, str, str]]) -> None:
    """Notes (noun, key, state) of what ended, fsynced when it returns. Raises `actors.vault.Locked`, `BadLedger`, OSError."""
    if not ended:
        return
    with _held(path) as file:
        at = _place(file, path)
        written = b""
        for number, (noun, key, state) in enumerate(ended, at.entries):
            plain = bytes([NOUNS.index(noun), STATES.index(state) if state in STATES else OTHER]) + mark_of(vault, noun, key)
            written += vault.seal(plain, _seal_place(at.name, number))
        crashpoint("ledger:write")
        os.pwrite(file.fileno(), written, BEGIN + at.entries * ENTRY)
        crashpoint("ledger:written")
        os.fsync(file.fileno())


def entries(path: Path, vault: Vault, since: Place | None) -> list[Entry]:
    """What ended after `since` (None: everything), oldest first. Raises `BadLedger` with what to do, `actors.vault.Locked`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadLedger(f"{path} is not there") from None
    if not data.startswith(MAGIC) or len(data) < BEGIN:
        raise BadLedger(f"{path} is not a ledger of fedmatch")
    name, many = data[len(MAGIC) : BEGIN], (len(data) - BEGIN) // ENTRY
    if since is not None and since.name != name:
        raise BadLedger(f"{path} is not the ledger that was kept when this backup was taken")
    if since is not None and since.entries > many:
        raise BadLedger(f"{path} is shorter than it was when this backup was taken: it was cut, or is an older copy")
    found = []
    for number in range(since.entries if since is not None else 0, many):
        sealed = data[BEGIN + number * ENTRY : BEGIN + (number + 1) * ENTRY]
        try:
            plain = vault.open(sealed, _seal_place(name, number))
        except Tampered:
            raise BadLedger(f"{path} was changed: entry {number + 1} is not what was written there") from None
        state = STATES[plain[1]] if plain[1] < len(STATES) else ""
        if plain[0] < len(NOUNS):
            found.append(Entry(NOUNS[plain[0]], state, plain[2:]))
    return found


WAITING: Final = """
select ended.id, ended.noun, ended.key, ended.state
from ended
order by ended.id
limit :limit
"""

NOTED: Final = """
delete from ended
where id = :id
"""


EVERY: Final = """
select ended.noun, ended.key, ended.state
from ended
order by ended.id
"""

UNNOTED: Final = """
select count(*) as n
from ended
"""


async def count(tx: Transaction) -> int:
    """How much ended and is not noted yet."""
    row = await tx.one(UNNOTED)
    return 0 if row is None else int(row["n"])


async def _waiting(tx: Transaction) -> Sequence[Row]:
    return await tx.all(WAITING, limit=SOME)


async def _noted(tx: Transaction, ids: Sequence[int]) -> None:
    await tx.many(NOTED, [{"id": number} for number in ids])


async def note(instance: "Instance") -> int:
    """Notes all that ended and is not noted yet; how much that was. Nothing while the vault is locked: then it waits. Raises `BadLedger`, OSError."""
    noted = 0
    while not instance.vault.locked and (rows := await instance.database.read(_waiting)):
        ended = [(str(row["noun"]), str(row["key"]), str(row["state"])) for row in rows]
        await asyncio.to_thread(append, path_of(instance.config), instance.vault, ended)
        crashpoint("ledger:noted")
        await instance.database.write(_noted, [int(row["id"]) for row in rows])
        noted += len(rows)
    return noted


class Keeper:
    """Notes what ends, within a second, while a process works."""

    def __init__(self, instance: "Instance") -> None:
        self._instance = instance
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`, and once more then."""
        self._woken.set()
        while not stopping.is_set():
            await self._woken.wait()
            self._woken.clear()
            await self._note()
            try:
                await asyncio.wait_for(stopping.wait(), REST_S)
            except TimeoutError:
                continue
        await self._note()

    async def _note(self) -> None:
        try:
            await note(self._instance)
        except (BadLedger, OSError, Unavailable) as error:
            # Nothing is lost: it waits in the database, and doctor tells.
            log.error("ledger.cannot_note", error=type(error).__name__, cure="fedmatch doctor")
            self._woken.set()
