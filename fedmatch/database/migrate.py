"""Which shape has the database, and which shape does this program need? Applies the numbered files of schemas/migrations, each in one transaction.

A migration and its row in the table `migration` commit together, so whoever is killed at any statement finds either the one shape or the next. Old files never
change (their SHA-256 is in the row), and a database that is ahead of the program is refused: nobody guesses what a newer column means.
Before the first of them changes a database that is in use, `before` takes an encrypted copy of it (fedmatch/backup/before.py, docs/decisions/0018-backups.md).
"""

import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Final

import structlog

from fedmatch.database import ended, text
from fedmatch.database.engine import Engine
from fedmatch.ids import SystemClock
from schemas.crashpoint import crashpoint
from schemas.storage import Transaction, Unusable

log = structlog.get_logger()

NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

TABLE: Final = """
create table if not exists migration (
  number integer primary key,
  name text not null unique,
  sha256 text not null,
  applied_at integer not null
) strict
"""

APPLIED: Final = """
select migration.number, migration.name, migration.sha256
from migration
order by migration.number
"""

REMEMBER: Final = """
insert into migration (number, name, sha256, applied_at)
values (:number, :name, :sha256, :applied_at)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """What the row remembers of the file."""
        return sha256(self.text.encode()).hexdigest()

    def statements(self) -> Iterator[str]:
        """The file, statement by statement, without comments that stand alone between them."""
        statement = ""
        for piece in re.split(r"(?<=;)", self.text):
            statement += piece
            if sqlite3.complete_statement(statement):
                yield statement.strip()
                statement = ""
        if re.sub(r"--[^\n]*", "", statement).strip():
            raise ValueError(f"{self.name} does not end with a semicolon")


def migrations() -> Sequence[Migration]:
    """Every migration this program knows, in order."""
    files = sorted(resources.files("schemas").joinpath("migrations").iterdir(), key=lambda file: file.name)
    found = [Migration(int(match[1]), file.name, file.read_text("utf-8")) for file in files if (match := NAME.fullmatch(file.name))]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are numbered 0001, 0002, ... without holes: {[migration.name for migration in found]}")
    return found


Before = Callable[[Migration], Awaitable[None]]
"""What is done before the first migration that waits is applied to a database that has some already."""


async def migrate(database: Engine, known: Sequence[Migration] | None = None, before: Before | None = None) -> None:
    """Brings the database to the shape this program needs. Raises `Unusable` if it is ahead of the program or an old file changed, and what `before` raises."""
    complete = known is None
    known = migrations() if known is None else known
    async with database.exclusively():
        await database.write(_prepare, database)
        waiting = await database.read(_pending, known)
        if before is not None and waiting and len(waiting) < len(known):
            await before(waiting[0])
        for migration in waiting:
            await database.write(_apply, database, migration, known)
            log.info("migrated the database", migration=migration.name)
        if complete:
            await ended.prepare(database)
            await text.prepare(database)


Translate = Callable[[str], str]


async def shape(tx: Transaction, translate: Translate, wanted: Sequence[Migration]) -> None:
    """Applies these migrations in the transaction at hand, for a database that is being restored: first those of the backup, then what came since."""
    await tx.execute(translate(TABLE))
    for migration in wanted:
        for statement in migration.statements():
            await tx.execute(translate(statement))
        await tx.execute(REMEMBER, number=migration.number, name=migration.name, sha256=migration.sha256, applied_at=SystemClock().ms())


async def _prepare(tx: Transaction, database: Engine) -> None:
    await tx.execute(database.translate(TABLE))


async def _pending(tx: Transaction, known: Sequence[Migration]) -> Sequence[Migration]:
    applied = await tx.all(APPLIED)
    for row in applied[len(known) :]:
        raise Unusable(
            f"the database has migration {row['name']}, which this program does not know: it was used by a newer fedmatch. "
            "Start that version again, or bring back the backup taken before the upgrade: "
            "`fedmatch restore PATH --replace`, with the newest before-*.fedmatch in `backups` of the data folder"
        )
    for row, migration in zip(applied, known, strict=False):
        if (row["number"], row["sha256"]) != (migration.number, migration.sha256):
            raise Unusable(
                f"migration {migration.name} is not the one this database was made with ({row['name']}, SHA-256 {row['sha256'][:12]}...). "
                "Install fedmatch again from its release; if you changed the file, undo that and add a new one"
            )
    return known[len(applied) :]


async def _apply(tx: Transaction, database: Engine, migration: Migration, known: Sequence[Migration]) -> None:
    if migration not in await _pending(tx, known):
        return  # another process was faster
    for place, statement in enumerate(migration.statements(), 1):
        crashpoint(f"migrate:{migration.number:04}:{place}")
        await tx.execute(database.translate(statement))
    crashpoint(f"migrate:{migration.number:04}:remember")
    await tx.execute(REMEMBER, number=migration.number, name=migration.name, sha256=migration.sha256, applied_at=SystemClock().ms())
