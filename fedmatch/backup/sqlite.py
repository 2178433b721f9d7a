"""How is a restored database put in the place of a SQLite file? Whole beside it, checked, then one rename: killed anywhere, one of the two is there."""

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from actors.vault import Envelope, Vault, envelope_of
from fedmatch.backup import ledger
from fedmatch.backup.expiry import ASIDE
from fedmatch.backup.ledger import Entry
from fedmatch.backup.restore import Backup, CannotRestore, Occupied, fill, forget
from fedmatch.database.open import FILE_NAME
from fedmatch.database.sqlite import transaction
from fedmatch.database.sqlite_file import APPLICATION_ID
from schemas.config import Config
from schemas.crashpoint import crashpoint
from schemas.storage import StorageError

NEW: Final = f".{FILE_NAME}.restoring"
TRIES: Final = 20


def _opened(path: Path, mode: str = "rw") -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=0, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


async def living(config: Config) -> Envelope | None:
    """The vault of the database that is there, if one can be read."""
    path = config.folder / FILE_NAME
    try:
        with closing(_opened(path, "ro")) as connection:
            return await envelope_of(transaction(connection))
    except (sqlite3.Error, StorageError, OSError):
        return None


async def note_waiting(config: Config, vault: Vault, where: Path) -> None:
    """Notes in the ledger what ended in the database that is there and was not noted yet. What cannot be read cannot be noted."""
    path = config.folder / FILE_NAME
    with suppress(sqlite3.Error, StorageError), closing(_opened(path, "ro")) as connection:
        there = await envelope_of(transaction(connection))
        if there is None or there.public_key != vault.public_key:
            return
        rows = connection.execute(ledger.EVERY).fetchall()
        await asyncio.to_thread(ledger.append, where, vault, [(row[0], row[1], row[2]) for row in rows])


async def put(backup: Backup, config: Config, ended: Sequence[Entry], now: int, *, replace: bool) -> tuple[str | None, dict[str, int]]:
    """Where the old one lies now, and what was forgotten of the new one. Raises `CannotRestore`, then nothing was changed."""
    path, new = config.folder / FILE_NAME, config.folder / NEW
    _refuse(path, replace=replace)
    try:
        _fresh(new)
        forgotten = await _make(backup, new, ended, now)
        crashpoint("restore:made")
        aside = _swap(path, new, config.folder)
    except (sqlite3.Error, StorageError, OSError) as error:
        raise CannotRestore(f"{path} cannot be restored: {error}; look whether the disk is full, and who owns {config.folder}. Nothing was changed") from error
    finally:
        _clear(new)
    return aside, forgotten


def _refuse(path: Path, *, replace: bool) -> None:
    if path.exists() and not replace:
        raise Occupied(f"{path} is there already: stop every process of this instance, then say --replace; the database that is there is set aside, not lost")


def _fresh(new: Path) -> None:
    """An empty file for ourselves; what somebody who was killed left of theirs goes."""
    new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(new)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))


def _clear(new: Path) -> None:
    for left in (new, new.with_name(f"{new.name}-journal")):
        left.unlink(missing_ok=True)


async def _make(backup: Backup, new: Path, ended: Sequence[Entry], now: int) -> dict[str, int]:
    with closing(_opened(new)) as connection:
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        # Nobody knows this file yet: what is killed is thrown away, and what is whole is fsynced at the end.
        for pragma in ("journal_mode = off", "synchronous = off", "foreign_keys = on", "secure_delete = on", "temp_store = memory", "cache_size = -32768"):
            connection.execute(f"pragma {pragma}")
        connection.execute("begin")
        tx = transaction(connection)
        await fill(tx, lambda ddl: ddl, backup)
        crashpoint("restore:filled")
        forgotten = await forget(tx, backup, ended, now)
        connection.execute("commit")
        wrong = [str(row[0]) for row in connection.execute("pragma integrity_check(3)")]
        if wrong != ["ok"] or connection.execute("pragma foreign_key_check").fetchone() is not None:
            raise CannotRestore("what was restored does not hold together; nothing was changed. Use another backup, and report this")
        # What was forgotten must not lie in free pages either.
        connection.execute("vacuum")
    _sync(new)
    return forgotten


def _swap(path: Path, new: Path, folder: Path) -> str | None:
    aside = _set_aside(path, folder) if path.exists() else None
    wal = [path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm")]
    for left in wal:
        left.unlink(missing_ok=True)  # another database's log must never be read into the new one
    crashpoint("restore:aside")
    new.replace(path)
    _sync(folder)
    crashpoint("restore:placed")
    return None if aside is None else str(aside)


def _set_aside(path: Path, folder: Path) -> Path:
    """A second name for the old file, in a folder of its own; the first one is there until the new one takes it. A damaged one is set aside with its log."""
    aside = folder / f"{ASIDE}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    aside.mkdir(mode=0o700)
    wal = aside / f"{path.name}-wal"
    # Before anybody opens it: who closes a damaged one last may take its log away.
    for name in (path.name, wal.name):
        with suppress(FileNotFoundError):
            os.link(path.with_name(name), aside / name)
    with suppress(sqlite3.DatabaseError), closing(_opened(path)) as connection:
        if connection.execute("pragma application_id").fetchone()[0] == APPLICATION_ID:
            # Leaving WAL needs the file for ourselves, and empties the log into it: then one file is all of it.
            if not _alone(connection):
                shutil.rmtree(aside)
                raise CannotRestore(f"another process has {path} open (`fuser {path}` names it): stop it first")
            wal.unlink(missing_ok=True)
    _sync(aside)
    _sync(folder)
    return aside


def _alone(connection: sqlite3.Connection) -> bool:
    for _ in range(TRIES):
        try:
            return bool(connection.execute("pragma journal_mode = delete").fetchone()[0] == "delete")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
        time.sleep(0.05)
    return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
