"""How do we write to PostgreSQL, when one machine is not enough? The same two shapes on a pool of connections, SERIALIZABLE, run again when somebody else won.

Needs the extra `postgres`. What is translated and what is not: docs/decisions/0002-two-engines.md.
"""

import asyncio
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar, cast

import asyncpg
import structlog

from fedmatch.crashpoint import crashpoint
from fedmatch.database.engine import OVER, PATIENCE_S, QUEUE, REDRAWS, Body, Clash, named, strayed
from fedmatch.database.translation import Query, query, translate
from schemas.reading import Row
from schemas.storage import Busy, Conflict, Overdue, Transaction, Unavailable, Unusable, Unwritable, Value

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

OLDEST: Final = 15
CONNECTIONS: Final = 10
BATCH: Final = 32
CHANNEL: Final = "fedmatch_commit"
MIGRATING: Final = 0x66656D61  # the advisory lock of whoever migrates
MIGRATING_S: Final = 60.0
KEEPALIVE_S: Final = 30.0

SETTINGS: Final = {
    "application_name": "fedmatch",
    "synchronous_commit": "on",  # whatever the role or the database says: a 2xx means stored and fsynced
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "30000",  # a process that was stopped in the middle must not hold its rows for ever
    "random_page_cost": "1.1",  # rather an index than a whole small table: that is what SERIALIZABLE locks
}

BEGIN_WRITE: Final = "begin isolation level serializable"
BEGIN_READ: Final = f"begin isolation level repeatable read read only; set local statement_timeout = {round(PATIENCE_S * 1000)}"

ABOUT: Final = """
select
  current_setting('server_version_num')::integer as version,
  current_setting('fsync') as fsync,
  pg_encoding_to_char(pg_database.encoding) as encoding,
  pg_database.datcollate as collation,
  to_regclass('migration') is not null as ours,
  (select count(*) from pg_catalog.pg_tables where schemaname = current_schema()) as tables
from pg_database
where pg_database.datname = current_database()
"""


_BODY: Final[ContextVar[str]] = ContextVar("fedmatch_body", default="")
"""The body that runs here: a write inside a body would wait for itself."""

# What asyncpg raises when the server is away, refuses, or answers with an error.
_LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


# --- a transaction


class _Transaction:
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
        except _LOST as error:
            self.failed = _translate(error)
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


class _OnlyTx(Awaitable[T]):
    """A body that may wait for its transaction and for nothing else: the rule that SQLite's thread enforces, enforced here too."""

    def __init__(self, name: str, tx: _Transaction, body: Awaitable[T]) -> None:
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


class _Pool:
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
                connection = await _connect(self._url) if fresh else self._idle.pop()
                try:
                    await connection.execute(begin, timeout=PATIENCE_S)
                except _LOST:
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
            except _LOST:
                connection.terminate()
        self._idle.clear()


class _RunAgain(Busy):
    """Somebody else won the race for the same rows; what lost runs again."""


def _translate(error: Exception) -> Exception:
    """asyncpg's error in the words of schemas/storage.py, without the values that PostgreSQL quotes. What stays as it is, is a mistake of ours."""
    if not isinstance(error, asyncpg.PostgresError):
        return Unwritable(f"lost the database server: {type(error).__name__}")
    about = f"{error.args[0] if error.args else type(error).__name__}"
    match error.sqlstate or "":
        case "40001" | "40P01":
            return _RunAgain(about)
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


# --- the database


@dataclass(slots=True, eq=False)
class _Waiting:
    """A write body, and whoever waits for it."""

    name: str
    body: Body
    future: asyncio.Future[object]
    since: float
    context: Context = field(default_factory=copy_context)
    redraws: int = REDRAWS
    answer: object = None
    error: BaseException | None = None


class PostgresqlDatabase:
    """`Database` on a PostgreSQL server. Make it with `open_postgresql`."""

    engine: Literal["sqlite", "postgresql"] = "postgresql"
    for_update = " for update skip locked"

    def __init__(self, url: str, pool: _Pool) -> None:
        self._url = url
        self._pool = pool
        self._noticed: list[Callable[[], None]] = []
        self._listening: asyncio.Task[None] | None = None
        self._writes: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    async def write(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named_values: P.kwargs) -> T:
        self._refuse()
        if len(self._writes) >= QUEUE:
            raise Busy(f"{QUEUE} bodies wait already")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(named(body), lambda tx: body(tx, *values, **named_values), loop.create_future(), loop.time())
        self._writes.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_all(), name="fedmatch-writer", context=Context())
        return cast(T, await waiting.future)

    async def read(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named_values: P.kwargs) -> T:
        self._refuse()
        try:
            async with asyncio.timeout(PATIENCE_S) as bound:
                return await self._read(named(body), lambda tx: body(tx, *values, **named_values))
        except TimeoutError:
            if bound.expired():
                raise Overdue(f"a read body wanted more than {PATIENCE_S:g} s") from None
            raise

    def on_commit(self, noticed: Callable[[], None]) -> None:
        self._noticed.append(noticed)
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen(), name="fedmatch-commits")

    async def erase(self) -> bool:
        return True  # the files are the server's: see docs/decisions/0002-two-engines.md

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self._pool.close()

    # --- what migrations call

    @asynccontextmanager
    async def exclusively(self) -> AsyncIterator[None]:
        connection = await _connect(self._url)
        try:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + MIGRATING_S
            while not await connection.fetchval("select pg_try_advisory_lock($1)", MIGRATING):
                if loop.time() > deadline:
                    raise Busy(f"another process has been migrating the database for {MIGRATING_S:g} s")
                await asyncio.sleep(0.05)
            yield
        finally:
            await connection.close()  # the lock is the session's

    def translate(self, ddl: str) -> str:
        return translate(ddl)

    # --- inside

    def _refuse(self) -> None:
        if self._closed:
            raise Unavailable("the database is closed")
        if _BODY.get():
            raise strayed(_BODY.get())

    async def _read(self, name: str, body: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            connection = await self._pool.begin(BEGIN_READ)
        except _LOST as error:
            raise _translate(error) from None
        tx = _Transaction(connection)
        inside = _BODY.set(name)
        try:
            return await _OnlyTx(name, tx, body(tx))
        finally:
            _BODY.reset(inside)
            failed, tx.failed = tx.failed, OVER
            with suppress(*_LOST):  # what went wrong before is the news
                await self._pool.give_back(connection)
            if failed is not None:
                raise failed

    async def _write_all(self) -> None:
        """Writes until nothing waits any more, at most a batch at a time; while one commits, the next gathers."""
        batch: list[_Waiting] = []
        try:
            while self._writes:
                batch = [self._writes.popleft() for _ in range(min(BATCH, len(self._writes)))]
                if await self._write_batch([waiting for waiting in batch if not waiting.future.cancelled()]):
                    self._tell_all()
                for waiting in batch:
                    if waiting.future.done():  # whoever asked was cancelled
                        continue
                    if waiting.error is None:
                        waiting.future.set_result(waiting.answer)
                    else:
                        waiting.future.set_exception(waiting.error)
        finally:
            for waiting in (*batch, *self._writes):  # nobody, unless the program ends without closing us
                waiting.future.cancel()

    async def _write_batch(self, left: list[_Waiting]) -> bool:
        """Runs the bodies, as many in one transaction as go well together; true if a row changed."""
        loop = asyncio.get_running_loop()
        together = len(left)
        pause_s = 0.002
        wrote = False
        while left:
            try:
                wrote = await self._write_together(left[:together]) or wrote
                left = left[together:]
            except Clash:
                pass  # a drawn id was taken; the bodies draw again
            except _RunAgain:  # fewer rows at a time lose less often
                late = loop.time() - PATIENCE_S
                for waiting in left:
                    # An error of the lost attempt may be of a state that never was.
                    waiting.error = Busy(f"{waiting.name} lost against others for {PATIENCE_S:g} s") if waiting.since < late else None
                left = [waiting for waiting in left if waiting.error is None]
                together = max(1, together // 2)
                await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311 - spreads those who collided
                pause_s = min(pause_s * 2, 0.1)
        return wrote

    async def _write_together(self, bodies: Sequence[_Waiting]) -> bool:
        """Runs bodies in one transaction, each in a savepoint if there are several, and commits. Raises what makes all of them run again."""
        several = len(bodies) > 1
        wrote = False
        try:
            connection = await self._pool.begin(f"{BEGIN_WRITE}; savepoint body" if several else BEGIN_WRITE)
        except (*_LOST, Busy) as away:
            for waiting in bodies:
                waiting.error = away if isinstance(away, Busy) else _translate(away)
            return False
        try:
            for waiting in bodies:
                tx = _Transaction(connection)
                error = await self._run(waiting, tx)
                if isinstance(error, _RunAgain):
                    raise error
                if isinstance(error, Clash) and waiting.redraws:
                    waiting.redraws -= 1
                    raise error
                waiting.error = error
                if error is None:
                    wrote = wrote or tx.wrote
                if several:
                    await connection.execute("release savepoint body; savepoint body" if error is None else "rollback to savepoint body")
                elif error is not None:
                    return False
            crashpoint("write:before-commit")
            await connection.execute(f"notify {CHANNEL}; commit" if wrote else "commit")
            crashpoint("write:after-commit")
        except _LOST as refused:
            lost = _translate(refused)
            if isinstance(lost, _RunAgain):
                raise lost from None
            for waiting in bodies:
                waiting.error = waiting.error or lost
            return False
        finally:
            with suppress(*_LOST):  # what went wrong before is the news
                await self._pool.give_back(connection)
        return wrote

    async def _run(self, waiting: _Waiting, tx: _Transaction) -> BaseException | None:
        """Runs one body in a task of its own, so that it sees its caller's context; gives its error."""

        async def run() -> object:
            _BODY.set(waiting.name)
            return await _OnlyTx(waiting.name, tx, waiting.body(tx))

        task = asyncio.get_running_loop().create_task(run(), context=waiting.context)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        failed, tx.failed = tx.failed, OVER
        if task.cancelled():
            return failed or Unavailable("the body was cancelled")
        error = failed or task.exception()  # a body that swallowed an error must not half happen
        if error is None:
            waiting.answer = task.result()
        return error

    def _tell_all(self) -> None:
        for noticed in self._noticed:
            noticed()

    async def _listen(self) -> None:
        """Notices everybody's commits, also after the server was away: then all we keep may be old."""
        while True:
            lost = asyncio.Event()
            with suppress(*_LOST):
                connection = await _connect(self._url)
                try:
                    connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, lambda *_about: self._tell_all())
                    self._tell_all()
                    while not lost.is_set():
                        with suppress(TimeoutError):
                            await asyncio.wait_for(lost.wait(), KEEPALIVE_S)
                        if not lost.is_set():
                            await connection.execute("select 1", timeout=PATIENCE_S)  # a dead line must not look like silence
                finally:
                    connection.terminate()
            await asyncio.sleep(1)


async def _connect(url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(url, timeout=PATIENCE_S, server_settings=SETTINGS, statement_cache_size=512, max_cached_statement_lifetime=0)
    # sum(bigint) is numeric in PostgreSQL and an integer in SQLite: the same number must come out.
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text")
    return connection


def _number(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)


async def open_postgresql(url: str) -> PostgresqlDatabase:
    """Connects to the server of a `postgresql://` address. Raises `Unusable`."""
    pool = _Pool(url)
    try:
        connection = await pool.begin(BEGIN_READ)
    except (*_LOST, ValueError) as error:
        raise Unusable(f"PostgreSQL cannot be reached: {error or type(error).__name__}; look at `url` under [database] in instance.toml") from None
    try:
        _refuse(await connection.fetchrow(ABOUT))
    except Unusable:
        await connection.close()
        raise
    finally:
        await pool.give_back(connection)
    return PostgresqlDatabase(url, pool)


def _refuse(about: Row) -> None:
    """Refuses a server or a database on which our queries would mean something else."""
    if about["version"] < OLDEST * 10_000:
        raise Unusable(f"PostgreSQL {about['version'] // 10_000} is too old: fedmatch needs {OLDEST} or newer")
    if about["encoding"] != "UTF8" or about["collation"] not in ("C", "POSIX"):
        raise Unusable(
            f"the PostgreSQL database has encoding {about['encoding']} and collation {about['collation']}, and would sort otherwise than SQLite; "
            "make a new one: create database fedmatch template template0 encoding 'UTF8' locale 'C'"
        )
    if about["tables"] and not about["ours"]:
        raise Unusable("the PostgreSQL database holds tables, but not those of fedmatch; name an empty one in instance.toml")
    if about["fsync"] != "on":
        log.warning("PostgreSQL runs with fsync off: a power cut may lose what was acknowledged", cure="fsync = on in postgresql.conf")
