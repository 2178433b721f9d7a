"""How is a restored database put in the place of one on PostgreSQL? In one transaction, in which the old schema gets another name."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from actors.vault import Envelope, Vault, envelope_of
from fedmatch.backup import ledger
from fedmatch.backup.ledger import Entry
from fedmatch.backup.restore import Backup, CannotRestore, Occupied, fill, forget
from fedmatch.database.postgresql_session import LOST, Session, connect
from fedmatch.database.translation import translate
from schemas.config import Config
from schemas.crashpoint import crashpoint
from schemas.storage import StorageError

OTHERS: Final = """
select count(*)
from pg_stat_activity
where application_name = 'fedmatch'
  and datname = current_database()
  and pid <> pg_backend_pid()
"""

TABLES: Final = """
select count(*)
from pg_catalog.pg_tables
where schemaname = current_schema()
"""

ASIDES: Final = """
select pg_namespace.nspname as name
from pg_catalog.pg_namespace
where pg_namespace.nspname like 'aside!_%' escape '!'
"""
NAMED: Final = re.compile(r"aside_(\d{13,})")


async def living(config: Config) -> Envelope | None:
    """The vault of the database that is there, if one can be read."""
    try:
        connection = await connect(config.database.url)
    except (*LOST, ValueError):
        return None
    try:
        return await envelope_of(Session(connection))
    except (asyncpg.PostgresError, StorageError):
        return None
    finally:
        await connection.close()


async def note_waiting(config: Config, vault: Vault, where: Path) -> None:
    """Notes in the ledger what ended in the database that is there and was not noted yet."""
    there = await living(config)
    if there is None or there.public_key != vault.public_key:
        return
    connection = await connect(config.database.url)
    try:
        if await connection.fetchval("select to_regclass('ended') is not null"):
            ledger.append(where, vault, [(row["noun"], row["key"], row["state"]) for row in await connection.fetch(ledger.EVERY)])
    finally:
        await connection.close()


async def put(backup: Backup, config: Config, ended: Sequence[Entry], now: int, *, replace: bool) -> tuple[str | None, dict[str, int]]:
    """The schema that holds the old one now, and what was forgotten of the new one. Raises `CannotRestore`, then nothing was changed."""
    try:
        connection = await connect(config.database.url)
    except (*LOST, ValueError) as error:
        raise CannotRestore(f"PostgreSQL cannot be reached: {error or type(error).__name__}; look at `url` under [database] in instance.toml") from error
    try:
        if await connection.fetchval(OTHERS):
            raise CannotRestore("processes of fedmatch are connected to this database: stop `fedmatch serve` and `fedmatch work` on every machine first")
        aside = None
        async with connection.transaction():
            if await connection.fetchval(TABLES):
                if not replace:
                    raise Occupied("the PostgreSQL database holds tables already: say --replace; what is there is set aside in a schema of its own, not lost")
                schema = await connection.fetchval("select current_schema()")
                aside = f"aside_{int(time.time() * 1000)}"
                await connection.execute(f'alter schema "{schema}" rename to {aside}')
                await connection.execute(f'create schema "{schema}"')
            tx = Session(connection)
            await fill(tx, translate, backup)
            crashpoint("restore:filled")
            forgotten = await forget(tx, backup, ended, now)
            crashpoint("restore:made")
        crashpoint("restore:placed")
    except (*LOST, StorageError) as error:
        cure = "nothing was changed. The user of the address must own the database and its schema"
        raise CannotRestore(f"PostgreSQL refused: {type(error).__name__} {getattr(error, 'sqlstate', '')}; {cure}") from error
    finally:
        await connection.close()
    return aside, forgotten


async def drop_aside(url: str, before_ms: int) -> int:
    """Removes schemas that a restore set aside before that moment."""
    connection = await connect(url)
    try:
        old = [row["name"] for row in await connection.fetch(ASIDES) if (named := NAMED.fullmatch(row["name"])) and int(named[1]) < before_ms]
        for name in old:
            await connection.execute(f"drop schema {name} cascade")
        return len(old)
    finally:
        await connection.close()
