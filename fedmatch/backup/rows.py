"""What is in a database, whichever engine it is on? Its tables in an order in which they can be filled, and their rows from one snapshot, a few at a time.

Tables and columns are read off the migrations themselves, so a new one is in the next backup without anybody thinking of it. Left out are the index of words
(made anew), the migrations (the backup names them) and what waits for the ledger (it stands there).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from fedmatch.database import sqlite_file
from fedmatch.database.migrate import Migration
from schemas.storage import Value

LEFT_OUT: Final = frozenset({"migration", "ended"})
BATCH: Final = 200

T = TypeVar("T")
Rows = Sequence[Sequence[Value]]

SHAPES: Final = {
    "select": "select {columns} from {table}",
    "insert": "insert into {table} ({columns}) values ({values})",
    "link": "update {table} set {said} where {named}",
}
"""Statements over whatever tables there are."""

ALL_TABLES: Final = """
select sqlite_master.name
from sqlite_master
where sqlite_master.type = 'table'
  and sqlite_master.name not like 'sqlite!_%' escape '!'
"""

# A snapshot begins with the first look.
LOOK: Final = """
select count(*)
from migration
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `links` are columns that point into the same table; they are filled when all its rows are there. `key` names a row."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    links: tuple[str, ...]

    @property
    def select(self) -> str:
        """Its rows, with nothing where a link goes."""
        said = ", ".join(f"null as {column}" if column in self.links else column for column in self.columns)
        return SHAPES["select"].format(table=self.name, columns=said)

    @property
    def select_links(self) -> str:
        """The links that are there, with the key of their row."""
        some = " or ".join(f"{column} is not null" for column in self.links)
        return SHAPES["select"].format(table=self.name, columns=", ".join((*self.key, *self.links))) + f" where {some}"

    @property
    def insert(self) -> str:
        """Puts one row in."""
        return SHAPES["insert"].format(table=self.name, columns=", ".join(self.columns), values=", ".join(f":{column}" for column in self.columns))

    @property
    def link(self) -> str:
        """Puts the links of one row in."""
        said, named = (", ".join(f"{one} = :{one}" for one in self.links), " and ".join(f"{one} = :{one}" for one in self.key))
        return SHAPES["link"].format(table=self.name, said=said, named=named)


def tables(known: Sequence[Migration]) -> tuple[Table, ...]:
    """The tables of a database of this shape, those first that others point to."""
    connection = sqlite3.connect(":memory:")
    try:
        for migration in known:
            connection.executescript(migration.text)
        names = [str(row[0]) for row in connection.execute(ALL_TABLES)]
        needs = {name: {str(row[2]) for row in connection.execute(f"pragma foreign_key_list({name})")} - {name} for name in names}
        found: list[str] = []
        while len(found) < len(names):
            found += [name for name in names if name not in found and needs[name] <= set(found)]
        return tuple(_table(connection, name) for name in found if name not in LEFT_OUT)
    finally:
        connection.close()


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = list(connection.execute(f"pragma table_info({name})"))
    links = [str(row[3]) for row in connection.execute(f"pragma foreign_key_list({name})") if row[2] == name]
    return Table(name, tuple(str(row[1]) for row in columns), tuple(str(row[1]) for row in columns if row[5]), tuple(sorted(links)))


Read = Callable[[str], AsyncIterator[Rows]]


@asynccontextmanager
async def sqlite_snapshot(path: Path) -> AsyncIterator[Read]:
    """Reads one moment of a SQLite file, while others write on. Until it is let go, the write-ahead log cannot be emptied: be quick."""
    connection = await asyncio.to_thread(sqlite_file.connect, path, readonly=True)
    connection.row_factory = None

    async def read(sql: str) -> AsyncIterator[Rows]:
        cursor = await asyncio.to_thread(connection.execute, sql)
        while some := await asyncio.to_thread(cursor.fetchmany, BATCH):
            yield some

    try:
        connection.execute("begin")
        connection.execute(LOOK).fetchone()
        yield read
    finally:
        connection.close()


@asynccontextmanager
async def postgresql_snapshot(url: str) -> AsyncIterator[Read]:
    """Reads one moment of a PostgreSQL database, in one repeatable-read transaction."""
    from fedmatch.database.postgresql_session import connect

    connection = await connect(url)

    async def read(sql: str) -> AsyncIterator[Rows]:
        some: list[Sequence[Value]] = []
        async for row in connection.cursor(sql, prefetch=BATCH):
            some.append(tuple(row.values()))
            if len(some) == BATCH:
                yield some
                some = []
        if some:
            yield some

    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval(LOOK)
            yield read
    finally:
        await connection.close()
