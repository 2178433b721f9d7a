"""How do we write to PostgreSQL, when one machine is not enough? The same two shapes on a pool of connections, SERIALIZABLE, run again when somebody else won.

Needs the extra `postgres`. What is translated and what is not: docs/decisions/0002-two-engines.md.
"""

import asyncio
import random
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar, cast

import structlog

from fedmatch.database.engine import OVER, PATIENCE_S, QUEUE, REDRAWS, Body, Clash, heard, named, passing, strayed
from fedmatch.database.postgresql_session import BODY, LOST, OnlyTx, Pool, RunAgain, Session, connect, in_our_words
from fedmatch.database.translation import translate
from schemas.crashpoint import crashpoint
from schemas.reading import Row
from schemas.storage import Busy, Overdue, Transaction, Unavailable, Unusable

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

OLDEST: Final = 15
BATCH: Final = 32
CHANNEL: Final = "fedmatch_commit"
MIGRATING: Final = 0x66656D61  # the advisory lock of whoever migrates
MIGRATING_S: Final = 60.0
KEEPALIVE_S: Final = 30.0

BEGIN_WRITE: Final = "begin isolation level serializable"
NO_FSYNC: Final = "set local synchronous_commit = off"
"""Where nobody relies on what is committed."""
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


@dataclass(slots=True, eq=False)
class _Waiting:
    """A write body, and whoever waits for it."""

    name: str
    body: Body
    future: asyncio.Future[object]
    since: float
    heard: bool
    fleeting: bool
    context: Context = field(default_factory=copy_context)
    redraws: int = REDRAWS
    answer: object = None
    error: BaseException | None = None


class PostgresqlDatabase:
    """`Database` on a PostgreSQL server. Make it with `open_postgresql`."""

    engine: Literal["sqlite", "postgresql"] = "postgresql"
    for_update = " for update skip locked"

    def __init__(self, url: str, pool: Pool) -> None:
        self._url = url
        self._pool = pool
        self._noticed: list[Callable[[], None]] = []
        self._listening: asyncio.Task[None] | None = None
        # What we tell ourselves at once need not wake us a second time when it comes back.
        self._me = secrets.token_hex(8)
        self._writes: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    async def write(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named_values: P.kwargs) -> T:
        self._refuse()
        if len(self._writes) >= QUEUE:
            raise Busy(f"{QUEUE} bodies wait already")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(named(body), lambda tx: body(tx, *values, **named_values), loop.create_future(), loop.time(), heard(body), passing(body))
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
        connection = await connect(self._url)
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
        if BODY.get():
            raise strayed(BODY.get())

    async def _read(self, name: str, body: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            connection = await self._pool.begin(BEGIN_READ)
        except LOST as error:
            raise in_our_words(error) from None
        tx = Session(connection)
        inside = BODY.set(name)
        try:
            return await OnlyTx(name, tx, body(tx))
        finally:
            BODY.reset(inside)
            failed, tx.failed = tx.failed, OVER
            with suppress(*LOST):  # what went wrong before is the news
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
        """Runs the bodies, as many in one transaction as go well together; true if a row changed of which others are to hear."""
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
            except RunAgain:  # fewer rows at a time lose less often
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
        begin = f"{BEGIN_WRITE}; {NO_FSYNC}" if all(waiting.fleeting for waiting in bodies) else BEGIN_WRITE
        try:
            connection = await self._pool.begin(f"{begin}; savepoint body" if several else begin)
        except (*LOST, Busy) as away:
            for waiting in bodies:
                waiting.error = away if isinstance(away, Busy) else in_our_words(away)
            return False
        try:
            for waiting in bodies:
                tx = Session(connection)
                error = await self._run(waiting, tx)
                if isinstance(error, RunAgain):
                    raise error
                if isinstance(error, Clash) and waiting.redraws:
                    waiting.redraws -= 1
                    raise error
                waiting.error = error
                if error is None:
                    wrote = wrote or (tx.wrote and waiting.heard)
                if several:
                    await connection.execute("release savepoint body; savepoint body" if error is None else "rollback to savepoint body")
                elif error is not None:
                    return False
            crashpoint("write:before-commit")
            await connection.execute(f"notify {CHANNEL}, '{self._me}'; commit" if wrote else "commit")
            crashpoint("write:after-commit")
        except LOST as refused:
            lost = in_our_words(refused)
            if isinstance(lost, RunAgain):
                raise lost from None
            for waiting in bodies:
                waiting.error = waiting.error or lost
            return wrote  # if it was lost after its commit, it happened
        finally:
            with suppress(*LOST):  # what went wrong before is the news
                await self._pool.give_back(connection)
        return wrote

    async def _run(self, waiting: _Waiting, tx: Session) -> BaseException | None:
        """Runs one body in a task of its own, so that it sees its caller's context; gives its error."""

        async def run() -> object:
            BODY.set(waiting.name)
            return await OnlyTx(waiting.name, tx, waiting.body(tx))

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
            with suppress(*LOST):
                connection = await connect(self._url)
                try:
                    connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, lambda _connection, _pid, _channel, whose: None if whose == self._me else self._tell_all())
                    self._tell_all()
                    while not lost.is_set():
                        with suppress(TimeoutError):
                            await asyncio.wait_for(lost.wait(), KEEPALIVE_S)
                        if not lost.is_set():
                            await connection.execute("select 1", timeout=PATIENCE_S)  # a dead line must not look like silence
                finally:
                    connection.terminate()
            await asyncio.sleep(1)


async def open_postgresql(url: str) -> PostgresqlDatabase:
    """Connects to the server of a `postgresql://` address. Raises `Unusable`."""
    pool = Pool(url)
    try:
        connection = await pool.begin(BEGIN_READ)
    except (*LOST, ValueError) as error:
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
