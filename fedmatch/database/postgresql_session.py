"""What is one conversation with PostgreSQL? Connections, the transaction a body works in, and the server's errors in our words."""

import asyncio
import re
from collections.abc import Awaitable, Generator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from decimal import Decimal
from typing import Final, TypeVar, cast

import asyncpg

from fedmatch.database.engine import PATIENCE_S, Clash, strayed
from fedmatch.database.translation import Query, query
from schemas.reading import Row
from schemas.storage import Busy, Conflict, Overdue, Unusable, Unwritable, Value

T = TypeVar("T")

CONNECTIONS: Final = 10

SETTINGS: Final = {
    "application_name": "fedmatch",
    "synchronous_commit": "on",  # whatever the role or the database says: a 2xx means stored and fsynced
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "30000",  # a process that was stopped in the middle must not hold its rows for ever
    # Planned once a connection and without values, as SQLite plans: planning the home timeline took 3 ms, reading it 0.4.
    "plan_cache_mode": "force_generic_plan",
    "random_page_cost": "1.1",  # rather an index than a whole small table: that is what SERIALIZABLE locks
}

BODY: Final[ContextVar[str]] = ContextVar("fedmatch_body", default="")
"""The body that runs here: a write inside a body would wait for itself."""

# What asyncpg raises when the server is away, refuses, or answers with an error.
LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Session:
    """`Transaction` on one connection. `asking` is true while the body waits for the server, which is all it may wait for."""

    __slots__ = ("_connection", "asking", "failed", "wrote")

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.asking = False
        self.failed: Exception | None = None
        self.wrote = False

    async def _ask(self, answer: Awaitable[T]) -> T:
        self.asking = True
        try:
            return await answer
        except LOST as error:
            self.failed = in_our_words(error)
            raise self.failed from None  # the detail of PostgreSQL's errors quotes values, which do not belong into a log
        finally:
            self.asking = False

    def _query(self, sql: str) -> Query:
        if self.failed is not None:
            raise self.failed
        return query(sql)

    async def execute(self, sql: str, /, **values: Value) -> int:
        ready = self._query(sql)
        status = cast(str, await self._ask(self._connection.execute(ready.text, *ready.values(values))))
        count = status.rpartition(" ")[2]
        changed = int(count) if ready.writes and count.isdecimal() else 0
        self.wrote = self.wrote or changed > 0
        return changed

    async def one(self, sql: str, /, **values: Value) -> Row | None:
        ready = self._query(sql)
        row = await self._ask(self._connection.fetchrow(ready.text, *ready.values(values)))
        self.wrote = self.wrote or (ready.writes and row is not None)
        return cast("Row | None", row)

    async def all(self, sql: str, /, **values: Value) -> Sequence[Row]:
        ready = self._query(sql)
        rows = await self._ask(self._connection.fetch(ready.text, *ready.values(values)))
        self.wrote = self.wrote or (ready.writes and bool(rows))
        return cast("Sequence[Row]", rows)

    async def many(self, sql: str, rows: Sequence[Mapping[str, Value]], /) -> None:
        ready = self._query(sql)
        await self._ask(self._connection.executemany(ready.text, [ready.values(values) for values in rows]))
        self.wrote = self.wrote or bool(rows)


class OnlyTx(Awaitable[T]):
    """A body that may wait for its transaction and for nothing else: the rule that SQLite's thread enforces, enforced here too."""

    def __init__(self, name: str, tx: Session, body: Awaitable[T]) -> None:
        self._name = name
        self._tx = tx
        self._body = body

    def __await__(self) -> Generator[object, None, T]:
        steps = self._body.__await__()
        try:
            waited = next(steps)
            while True:
                if not self._tx.asking:
                    steps.close()
                    raise strayed(self._name)
                try:
                    yield waited
                except BaseException as error:  # a cancellation, on its way into the body
                    waited = steps.throw(error)
                else:
                    waited = next(steps)
        except StopIteration as end:
            return cast(T, end.value)


class Pool:
    """A bounded handful of connections, the last used first. asyncpg's own pool resets at every return, a round trip that our transactions do not need."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[asyncpg.Connection] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def begin(self, begin: str) -> asyncpg.Connection:
        """A connection on which `begin` was said. Raises `Busy` when none was free for 5 s, or asyncpg's error."""
        try:
            await asyncio.wait_for(self._free.acquire(), PATIENCE_S)
        except TimeoutError:
            raise Busy(f"no connection to the database server was free for {PATIENCE_S:g} s") from None
        try:
            while True:
                fresh = not self._idle
                connection = await connect(self._url) if fresh else self._idle.pop()
                try:
                    await connection.execute(begin, timeout=PATIENCE_S)
                except LOST:
                    connection.terminate()
                    if fresh:
                        raise
                    continue  # the server went away while it was idle; nothing has happened yet
                except BaseException:  # whoever waited for it was cancelled
                    connection.terminate()
                    raise
                return connection
        except BaseException:
            self._free.release()
            raise

    async def give_back(self, connection: asyncpg.Connection) -> None:
        """Ends what is still open; a connection that cannot even do that is thrown away."""
        try:
            if not connection.is_closed() and connection.is_in_transaction():
                await connection.execute("rollback", timeout=PATIENCE_S)
        except BaseException:  # it may be in any state; its successor is cheap
            connection.terminate()
            raise
        finally:
            if not connection.is_closed():
                self._idle.append(connection)
            self._free.release()

    async def close(self) -> None:
        """Waits until every connection is back, at most 5 s, and closes them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(CONNECTIONS):
                    await self._free.acquire()
        for connection in self._idle:
            try:
                await connection.close(timeout=PATIENCE_S)
            except LOST:
                connection.terminate()
        self._idle.clear()


class RunAgain(Busy):
    """Somebody else won the race for the same rows; what lost runs again."""


def in_our_words(error: Exception) -> Exception:
    """asyncpg's error in the words of schemas/storage.py, without the values that PostgreSQL quotes. What stays as it is, is a mistake of ours."""
    if not isinstance(error, asyncpg.PostgresError):
        return Unwritable(f"lost the database server: {type(error).__name__}")
    about = f"{error.args[0] if error.args else type(error).__name__}"
    match error.sqlstate or "":
        case "40001" | "40P01":
            return RunAgain(about)
        case "55P03":
            return Busy("another session held the rows for too long")
        case "57014":
            return Overdue(f"a read body wanted more than {PATIENCE_S:g} s")
        case "23505" if (error.constraint_name or "").endswith("_pkey"):
            return Clash(f"{error.constraint_name} is taken")
        case "23505" | "23503" | "23514" | "23502":
            return Conflict(f"{error.constraint_name or error.column_name} of {error.table_name} refused a row")
        case "42501":
            return Unusable(f"PostgreSQL says: {about}; let the user of the address own the database: alter database ... owner to ...")
        case "22000" | "22P02" | "22003" | "22021" | "22P05":
            place = re.search(r"argument \$\d+", about)
            return TypeError(f"PostgreSQL refused a value for its type ({type(error).__name__}, {place[0] if place else 'in the text'})")
        case state if state[:2] in ("08", "53", "57", "58"):
            return Unwritable(f"the database server: {about}")
        case _:
            return cast(Exception, error)


async def connect(url: str) -> asyncpg.Connection:
    """A new connection, set up as we need it."""
    connection = await asyncpg.connect(url, timeout=PATIENCE_S, server_settings=SETTINGS, statement_cache_size=512, max_cached_statement_lifetime=0)
    # sum(bigint) is numeric in PostgreSQL and an integer in SQLite: the same number must come out.
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text")
    return connection


def _number(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)
