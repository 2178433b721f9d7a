"""How is a backup taken? From one snapshot of the database, row by row, sealed before the first byte touches a disk, while the instance writes on.

It holds everything that was acknowledged before it began. It becomes visible under its name whole and fsynced, or not at all.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from actors.vault import Envelope, Locked, Vault, envelope_of
from fedmatch import control
from fedmatch.backup import ledger, rows, sealed
from fedmatch.backup.sealed import Kind, Secret
from fedmatch.database import migrate
from fedmatch.database.migrate import Migration
from fedmatch.database.open import FILE_NAME
from schemas.config import Config
from schemas.crashpoint import crashpoint
from schemas.storage import Database, Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

FOLDER: Final = "backups"
SUFFIX: Final = ".fedmatch"
STALE_S: Final = 3600.0
"""After this long a file that was never finished belongs to somebody who died."""


class CannotTake(Exception):
    """No backup was made; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that is there now: its size in bytes, how many rows it holds, and how long its snapshot was kept, in seconds."""

    path: Path
    size: int
    rows: int
    seconds: float


NOTE: Final = """
insert into setting (name, value)
values ('backup_at', :at)
on conflict (name) do update
set value = excluded.value
"""

LAST: Final = """
select setting.value
from setting
where setting.name = 'backup_at'
"""

BORN: Final = """
select vault.created_at
from vault
where vault.id = 1
"""


async def last(tx: Transaction) -> tuple[int | None, int | None]:
    """When the last backup was asked for and taken, and when this instance was made: milliseconds UTC, None where that never was."""
    at, born = await tx.one(LAST), await tx.one(BORN)
    return None if at is None else int(at["value"]), None if born is None else int(born["created_at"])


async def _noted(tx: Transaction, at_ms: int) -> None:
    await tx.execute(NOTE, at=str(at_ms))


def folder(config: Config) -> Path:
    """Where backups of this instance lie that nobody named another place for."""
    return config.folder / FOLDER


def default_path(config: Config, at_ms: int) -> Path:
    """A name of its own for a backup taken now."""
    return folder(config) / f"{config.host.replace(':', '-')}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(at_ms / 1000))}{SUFFIX}"


async def take(instance: "Instance", path: Path | None = None) -> Taken:
    """A backup at `path`, or in the data folder under a name of its own.

    The vault must be open, here or in a process that runs on this machine: its seal proves who made it. Raises `actors.vault.Locked`, `CannotTake`.
    """
    config, now = instance.config, instance.clock.ms()
    once = await _secret(instance.vault, config)
    try:
        await ledger.note(instance)
    except (ledger.BadLedger, OSError) as error:
        raise CannotTake(f"what was deleted cannot be noted first: {error}") from error
    envelope = await instance.database.read(envelope_of)
    if envelope is None:
        raise CannotTake("this instance has no vault yet; start it once")
    taken = await write(config, instance.database, envelope, once, path or default_path(config, now), now, kind="asked")
    await instance.database.write(_noted, now)
    log.info("backup.taken", rows=taken.rows, size=taken.size, seconds=round(taken.seconds, 2))
    return taken


async def _secret(vault: Vault, config: Config) -> Secret:
    if not vault.locked:
        return sealed.secret(vault)
    for answer in await control.ask_all(config.folder, {"command": "backup"}):
        if answer.get("ok"):
            return Secret(*(bytes.fromhex(str(answer[name])) for name in ("id", "plain", "sealed")))
    raise Locked


async def _applied(tx: Transaction) -> list[tuple[int, str, str]]:
    return [(int(row["number"]), str(row["name"]), str(row["sha256"])) for row in await tx.all(migrate.APPLIED)]


async def write(
    config: Config, database: Database, envelope: Envelope, once: Secret, path: Path, now: int, *, kind: Kind, beside: bytes = b""
) -> Taken:
    """Writes one file, whatever shape of ours the database has. Raises `CannotTake`."""
    try:
        _ready(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                many, seconds = await _fill(config, database, sealed.Writer(file, envelope, once, kind=kind, beside=beside), now)
                crashpoint("backup:written")
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            crashpoint("backup:synced")
            os.link(partial, path)  # never over something that is there
        finally:
            partial.unlink(missing_ok=True)
        place = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)
    except (OSError, ledger.BadLedger) as error:
        raise CannotTake(f"{path} cannot be written: {error}") from error
    return Taken(path, size, many, seconds)


def _ready(path: Path) -> None:
    if path.exists():
        raise CannotTake(f"{path} is already there and is not overwritten; name another file")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(path.parent)


def _sweep(place: Path) -> None:
    """Takes away what somebody who was killed left: sealed, without a name, of use to nobody."""
    for left in place.glob(f".*{SUFFIX}.*.partial"):
        if time.time() - left.stat().st_mtime > STALE_S:
            left.unlink(missing_ok=True)


async def _fill(config: Config, database: Database, writer: sealed.Writer, now: int) -> tuple[int, float]:
    # Before the snapshot: what ends in between is in the ledger behind this place, or not in the snapshot either.
    place = ledger.place(ledger.path_of(config))
    started = time.monotonic()
    opened = rows.sqlite_snapshot(config.folder / FILE_NAME) if config.database.url == "sqlite" else rows.postgresql_snapshot(config.database.url)
    async with opened as read:
        applied = await database.read(_applied)
        known = _known(applied)
        writer.frame(
            {
                "host": config.host,
                "base_url": config.base_url,
                "at": now,
                "migrations": [list(one) for one in applied],
                "ledger": [place.name, place.entries],
            }
        )
        counts: dict[str, int] = {}
        for table in rows.tables(known):
            writer.frame(["table", table.name, table.columns])
            counts[table.name] = 0
            async for some in read(table.select):
                writer.frame(["rows", some])
                counts[table.name] += len(some)
            if table.links:
                writer.frame(["links", table.name])
                async for some in read(table.select_links):
                    writer.frame(["rows", some])
    seconds = time.monotonic() - started
    writer.frame(["end", counts])
    writer.finish()
    return sum(counts.values()), seconds


def _known(applied: list[tuple[int, str, str]]) -> list[Migration]:
    known = [migration for migration in migrate.migrations() if migration.number <= len(applied)]
    if [(one.number, one.name, one.sha256) for one in known] != applied:
        raise CannotTake("the database is not of a shape this program knows; `fedmatch doctor` says more")
    return known
