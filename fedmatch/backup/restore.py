"""How does a backup come back? It is read to its end and proven first, filled into a new database beside the old one, made to forget what ended since, checked,
and only then put in its place, in one step. What was there is set aside, not lost.

    CannotRestore      it was not done, and nothing was changed; the text says why and what to do
      Occupied         there is a database already, and nobody said that it may go
      Forgetful        the ledger is missing or not the one: what was deleted since would come back
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import msgspec
import structlog

from actors import vault as vaults
from actors.vault import Envelope, Locked, Vault, WrongSecret
from fedmatch import control
from fedmatch.backup import ledger, replay, rows, sealed
from fedmatch.backup.ledger import Place
from fedmatch.backup.sealed import BadBackup, CannotOpen, Header
from fedmatch.database import migrate
from fedmatch.database.migrate import Migration
from schemas.config import Config
from schemas.storage import Transaction

log = structlog.get_logger()


class CannotRestore(Exception):
    """Nothing was changed; the text says why and what to do."""


class Occupied(CannotRestore):
    """There is a database already."""


class Forgetful(CannotRestore):
    """What was deleted since the backup would come back."""


class Engine(Protocol):
    """What either engine does in its own way."""

    async def living(self, config: Config, /) -> Envelope | None:
        """The vault of the database that is there, if one can be read."""
        ...

    async def note_waiting(self, config: Config, vault: Vault, where: Path, /) -> None:
        """Notes in the ledger what ended in the database that is there and was not noted yet."""
        ...

    async def put(self, backup: "Backup", config: Config, ended: Sequence[ledger.Entry], now: int, *, replace: bool) -> tuple[str | None, dict[str, int]]:
        """Where the old one lies now, and what was forgotten of the new one. Raises `CannotRestore`, then nothing was changed."""
        ...


class _Manifest(msgspec.Struct, frozen=True):
    host: str
    base_url: str
    at: int
    migrations: list[tuple[int, str, str]]
    ledger: tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was read to its end: whole, of this instance, and opened. `at` in milliseconds UTC."""

    path: Path
    kind: str
    host: str
    base_url: str
    at: int
    migrations: tuple[Migration, ...]
    ledger: Place
    rows: int
    vault: Vault
    envelope: Envelope
    header: Header
    key: bytes


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `aside` says where the database lies that was there before; `ended` how much of each noun the ledger took out again."""

    rows: int
    at: int
    aside: str | None
    ended: dict[str, int]


def open_backup(path: Path, config: Config, passphrase: str | None = None, living: Envelope | None = None) -> Backup:
    """Reads the file to its end. `living` is the vault of the database that is there: after a change of passphrase or key it opens what was sealed before.

    Raises `CannotRestore`; `actors.vault.Locked` where a passphrase is wanted.
    """
    try:
        with path.open("rb") as file:
            head = sealed.header(file)
            vault, envelope = _unlock(path, config, head, passphrase, living)
            key = sealed.unlocked(head, vault, _beside(path, head))
            manifest, many = _proven(file, head, key)
    except (BadBackup, CannotOpen) as error:
        raise CannotRestore(f"{path}: {error}") from error
    except OSError as error:
        raise CannotRestore(f"{path} cannot be read: {error.strerror}") from error
    name, entries = manifest.ledger
    return Backup(
        path, head.kind, manifest.host, manifest.base_url, manifest.at, _known(manifest), Place(name, entries), many, vault, envelope, head, key
    )  # fmt: skip


def _unlock(path: Path, config: Config, head: Header, passphrase: str | None, living: Envelope | None) -> tuple[Vault, Envelope]:
    envelopes = [head.envelope] if living is None or living.public_key != head.envelope.public_key else [living, head.envelope]
    fit = [one for one in envelopes if one.source == config.vault.source]
    if not fit:
        raise CannotOpen(
            f"the vault of this backup opens with the source \"{head.envelope.source}\", but instance.toml says [vault] `source` = \"{config.vault.source}\"; "
            f"set `source = \"{head.envelope.source}\"`, and give it the key this instance had when the backup was taken"
        )
    try:
        secrets = vaults.secrets_for(config.vault, passphrase=passphrase)
    except vaults.CannotStart as error:
        raise CannotOpen(f"it cannot be opened without the key of its vault, which is never in a backup: {error}") from error
    if not secrets:
        raise Locked
    for envelope in fit:
        for secret in secrets:
            vault = Vault(envelope)
            try:
                vault.unlock(secret)
            except WrongSecret:
                continue
            return vault, envelope
    what = {
        "passphrase": "that passphrase does not open it: type the one this instance had when the backup was taken",
        "file": f"the key in {config.vault.file} does not open it: put the key file there that this instance had when the backup was taken",
        "credential": f"the credential `{config.vault.credential}` does not open it: give the service the one this instance had when the backup was taken",
    }
    raise CannotOpen(f"{what[config.vault.source]}. The key is never in a backup; without it nobody can read this one")


def _beside(path: Path, head: Header) -> bytes:
    if head.kind != "automatic":
        return b""
    try:
        return sealed.key_beside(path).read_bytes()
    except FileNotFoundError:
        raise CannotOpen(
            f"its own key {sealed.key_beside(path).name} does not lie beside it: it was destroyed after a week, and with it this copy; use another backup"
        ) from None


def _proven(file: BinaryIO, head: Header, key: bytes) -> tuple[_Manifest, int]:
    """Every byte of it, proven and counted."""
    manifest: _Manifest | None = None
    counts: dict[str, int] = {}
    table, links, said = "", False, None
    for packed in sealed.frames(file, head, key):
        if manifest is None:
            manifest = msgspec.msgpack.decode(packed, type=_Manifest)
            continue
        kind, value = _read(packed)
        match kind:
            case "table":
                table, links = value[0], False
                counts[table] = 0
            case "links":
                links = True
            case "rows":
                counts[table] += 0 if links else len(value[0])
            case _:
                said = value[0]
    if manifest is None or said != counts:
        raise BadBackup("its pieces are not what it says they are; nothing of it was used")
    return manifest, sum(counts.values())


def _read(packed: bytes) -> tuple[str, list[Any]]:
    kind, *value = msgspec.msgpack.decode(packed)
    return kind, value


def _known(manifest: _Manifest) -> tuple[Migration, ...]:
    known = list(migrate.migrations())
    if len(manifest.migrations) > len(known):
        raise CannotRestore(f"this backup was made by a newer fedmatch (it has {manifest.migrations[-1][1]}); install that version, then restore it")
    first = known[: len(manifest.migrations)]
    if [(one.number, one.name, one.sha256) for one in first] != [tuple(one) for one in manifest.migrations]:
        raise CannotRestore("this backup was made by a program with other migrations; install fedmatch again from its release")
    return tuple(first)


async def refuse_running(config: Config) -> None:
    """Raises `CannotRestore` while a process of this instance lives on this machine."""
    if await control.ask_all(config.folder, {"command": "ping"}):
        raise CannotRestore("this instance is running on this machine: stop `fedmatch serve` and `fedmatch work` first, on every machine")


def check_place(backup: Backup, config: Config, now: int) -> None:
    """Whether it belongs here, and the clock is later than it. Raises `CannotRestore`."""
    if (backup.host, backup.base_url) != (config.host, config.base_url):
        raise CannotRestore(
            f"this backup is of {backup.host} ({backup.base_url}), but instance.toml says {config.host} ({config.base_url}); "
            "names and addresses are for ever: set `host` and `base_url` to those of the backup"
        )
    if backup.at > now:
        raise CannotRestore("this backup was taken later than it is now by the clock of this machine: set the clock first, or ids would be given twice")


def ended_since(backup: Backup, where: Path) -> Sequence[ledger.Entry]:
    """What the ledger says ended after the backup was taken. Raises `Forgetful`."""
    try:
        return ledger.entries(where, backup.vault, backup.ledger)
    except ledger.BadLedger as error:
        raise Forgetful(
            f"{error}. Without the ledger, what was deleted, closed or revoked since the backup would come back. Name the right file with --ledger, "
            "or say --without-ledger if it is lost and you accept that"
        ) from error


@contextmanager
def _frames(backup: Backup) -> Iterator[Iterator[bytes]]:
    with backup.path.open("rb") as file:
        head = sealed.header(file)
        if head.raw != backup.header.raw:
            raise CannotRestore(f"{backup.path} changed while it was read; nothing was changed")
        yield sealed.frames(file, head, backup.key)


async def fill(tx: Transaction, translate: "migrate.Translate", backup: Backup) -> None:
    """Puts everything of the backup into the empty database at hand, in the shape of that time, and brings it to today's shape. Raises `CannotRestore`."""
    await migrate.shape(tx, translate, backup.migrations)
    shapes = {table.name: table for table in rows.tables(backup.migrations)}
    table: rows.Table | None = None
    links = False
    try:
        with _frames(backup) as pieces:
            next(pieces)
            for packed in pieces:
                kind, value = _read(packed)
                if kind == "table":
                    table, links = shapes[value[0]], False
                    if tuple(value[1]) != table.columns:
                        raise BadBackup(f"its table {table.name} has other columns")
                elif kind == "links":
                    links = True
                elif kind == "rows" and table is not None:
                    names = (*table.key, *table.links) if links else table.columns
                    await tx.many(table.link if links else table.insert, [dict(zip(names, row, strict=True)) for row in value[0]])
    except (BadBackup, KeyError, ValueError) as error:
        raise CannotRestore(f"{backup.path}: {error}") from error
    known = migrate.migrations()
    await migrate.shape(tx, translate, known[len(backup.migrations) :])
    await tx.execute(
        KEEP_ENVELOPE, source=backup.envelope.source, salt=backup.envelope.salt, wrapped=backup.envelope.wrapped, public_key=backup.envelope.public_key
    )


# The wrapping that opened it is the one whose key is at hand: after a change of passphrase, today's.
KEEP_ENVELOPE: Final = """
update vault
set source = :source, salt = :salt, wrapped = :wrapped
where id = 1
  and public_key = :public_key
"""


async def forget(tx: Transaction, backup: Backup, ended: Sequence[ledger.Entry], now: int) -> dict[str, int]:
    """Makes the filled database forget what ended; how much of each noun."""
    return await replay.replay(tx, backup.vault, ended, now)


async def restore(
    backup: Backup, config: Config, now: int, *, replace: bool = False, where: Path | None = None, without_ledger: bool = False
) -> Restored:
    """Brings the backup back as the database of this instance. `where` is the ledger, if it lies elsewhere; `now` in milliseconds UTC.

    Raises `CannotRestore`; then nothing was changed.
    """
    await refuse_running(config)
    check_place(backup, config, now)
    book = where or ledger.path_of(config)
    engine = _engine(config)
    try:
        await engine.note_waiting(config, backup.vault, ledger.path_of(config))
    except ledger.BadLedger as error:
        if not without_ledger and where is None:
            raise Forgetful(f"{error}; or say --without-ledger") from error
    ended = [] if without_ledger else ended_since(backup, book)
    aside, forgotten = await engine.put(backup, config, ended, now, replace=replace)
    if where is not None and not without_ledger:
        _adopt(where, ledger.path_of(config))
    log.info("backup.restored", rows=backup.rows, ended=sum(forgotten.values()))
    return Restored(backup.rows, backup.at, aside, forgotten)


def _engine(config: Config) -> "Engine":
    if config.database.url == "sqlite":
        from fedmatch.backup import sqlite

        return sqlite
    from fedmatch.backup import postgresql

    return postgresql


async def living(config: Config) -> Envelope | None:
    """The vault of the database that is there, if one is and can be read."""
    return await _engine(config).living(config)


def _adopt(where: Path, own: Path) -> None:
    """The ledger that was brought along goes on as the one of this instance; another one that lay there is kept beside it."""
    if own.exists() and own.samefile(where):
        return
    if own.exists():
        own.rename(own.with_name(f"{own.name}.before-restore"))
    own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = own.with_name(f".{own.name}.{os.getpid()}")
    shutil.copyfile(where, beside)
    beside.chmod(0o600)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(own)
