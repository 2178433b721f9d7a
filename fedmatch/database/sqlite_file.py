"""Is this file ours, and whole? Opens a SQLite file the way we write it, makes it if there is none, and never makes a new one over something old."""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from fedmatch.database.engine import PATIENCE_S
from schemas.storage import Unusable

T = TypeVar("T")
log = structlog.get_logger()

APPLICATION_ID: Final = 0x66656D61
"""Marks a SQLite file as ours ("fema"), so that we never write into somebody else's."""

RETRY_S: Final = 0.0005  # SQLite's own busy handler backs off to 100 ms: p99 82-186 ms between two processes against 12-20

# Private text never rests in a temporary file, deleted text is overwritten, and the WAL file shrinks again after a burst.
PRAGMAS: Final = (
    "pragma synchronous = full",
    "pragma foreign_keys = on",
    "pragma secure_delete = on",
    "pragma temp_store = memory",
    "pragma trusted_schema = off",
    "pragma cell_size_check = on",
    "pragma journal_size_limit = 16777216",
    "pragma cache_size = -8192",
)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else is in the way."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def patiently(run: Callable[[], T], deadline: float) -> T:
    """Runs one statement, again every 0.5 ms while another process is in the way."""
    while True:
        try:
            return run()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """A connection set up for power cuts and private text, for one thread at a time."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rw'}",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,  # opened here, used by one thread only
        cached_statements=512,
    )
    connection.row_factory = sqlite3.Row
    deadline = time.monotonic() + PATIENCE_S
    for pragma in (*PRAGMAS, "pragma query_only = on") if readonly else PRAGMAS:
        patiently(partial(connection.execute, pragma), deadline)
    return connection


def open_file(path: Path, readers: int, *, check: bool) -> tuple[sqlite3.Connection, Sequence[sqlite3.Connection]]:
    """A connection to write with and some to read with. `check` reads the file whole (`pragma quick_check`). Raises `Unusable` with the cure."""
    opened: list[sqlite3.Connection] = []
    try:
        _make_unless_there(path)
        _look_at_files(path)
        opened.append(connect(path, readonly=False))
        _look_inside(path, opened[0], check)
        opened += [connect(path, readonly=True) for _ in range(readers)]
    except (OSError, sqlite3.Error) as error:
        for connection in opened:
            connection.close()
        raise Unusable(_sorry(path, error)) from error
    except Unusable:
        for connection in opened:
            connection.close()
        raise
    return opened[0], opened[1:]


def _sorry(path: Path, error: Exception) -> str:
    match error:
        case sqlite3.DatabaseError() if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return _damaged(path, str(error))
        case sqlite3.Error() if is_busy(error):
            return f"{path}: another process has held it for {PATIENCE_S:g} s; find it with `fuser {path}`"
        case _:
            return (
                f"{path} cannot be opened for writing: {error}; look who owns it and its folder (we are user {os.geteuid()}), "
                "and whether the disk is full or read-only"
            )


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path} is damaged: {why}. Nothing was changed. Bring the last backup back with `fedmatch restore PATH --replace`; "
        "what is there is set aside, not lost"
    )


def _make_unless_there(path: Path) -> None:
    """Makes a new database beside its place and moves it there whole, so that an empty file is never taken for a new beginning."""
    if path.exists():
        return
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise Unusable(_damaged(path, f"it is gone, but its {wal.name} is still there"))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute("pragma journal_mode = wal")
    finally:
        connection.close()
    try:
        with open(new, "rb") as file:
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster: theirs is as good
            os.link(new, path)
            log.info("made a new database", path=str(path))
    finally:
        new.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _look_at_files(path: Path) -> None:
    """What SQLite would silently take for "new" or "nothing to recover" is damage to us."""
    if path.stat().st_size == 0:
        raise Unusable(_damaged(path, "it is empty"))
    wal = path.with_name(path.name + "-wal")
    with suppress(FileNotFoundError), open(wal, "rb") as file:
        header = file.read(32)
        # A header of zeros is what a power cut may leave of a WAL that nothing was committed to.
        if any(header) and header[:4] not in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"):
            raise Unusable(_damaged(path, f"{wal.name} does not start like one"))


def _look_inside(path: Path, connection: sqlite3.Connection, check: bool) -> None:
    deadline = time.monotonic() + PATIENCE_S
    mark: int = patiently(lambda: connection.execute("pragma application_id").fetchone()[0], deadline)
    if mark != APPLICATION_ID:
        raise Unusable(f"{path} is a SQLite database, but not of fedmatch; name another file or folder in instance.toml")
    mode: str = patiently(lambda: connection.execute("pragma journal_mode = wal").fetchone()[0], deadline)
    if mode != "wal":
        raise Unusable(f"{path} cannot be used with a write-ahead log (it says {mode!r}); its folder must be on a local disk that we may write to")
    if check:
        problems = [str(row[0]) for row in connection.execute("pragma quick_check(3)")]
        if problems != ["ok"]:
            raise Unusable(_damaged(path, "; ".join(problems)))
    # A file that cannot be written must say so at the start, not at the first post.
    patiently(partial(connection.execute, "begin immediate"), deadline)
    connection.execute("rollback")
