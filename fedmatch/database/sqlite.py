"""How do we write to one SQLite file, durably and fast? One writer thread that commits many bodies at once, and one reader thread with a few to help it.

Up to 100 waiting bodies run in the writer's thread, one after the other in one transaction, and share one commit (one fsync). When one of them fails, all is
rolled back and each runs again in a savepoint of its own, so that only the guilty fails. There is no timer: while the thread works, the next batch gathers.
Reads are taken one after the other: four threads that fight for one interpreter need four times the CPU for short reads. While one takes long, others help.
Figures and the roads not taken: docs/decisions/0001-write-shape.md, 0027-parts.md.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar, cast

import aiosqlite
import structlog

from fedmatch.database.engine import OVER, PATIENCE_S, QUEUE, REDRAWS, Body, Clash, heard, named, passing, strayed
from fedmatch.database.sqlite_file import RETRY_S, is_busy, open_file, patiently
from schemas.crashpoint import crashpoint
from schemas.reading import Row
from schemas.storage import Busy, Conflict, Overdue, Transaction, Unavailable, Unusable, Unwritable, Value

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()

BATCH: Final = 100
READERS: Final = 4
"""One that reads, and those who help while it is held up."""
LONG_S: Final = 0.003
"""A read that takes longer holds up nobody behind it."""
POLL_S: Final = 0.2
SLOW_S: Final = 0.25


class _Transaction:
    """`Transaction` on one connection, inside the thread that owns it. Nothing here ever waits, so one `send` steps a body to its end."""

    __slots__ = ("_connection", "_deadline", "_fails", "failed")

    def __init__(self, connection: sqlite3.Connection, fails: Callable[[sqlite3.Error], Exception], deadline: float | None = None) -> None:
        self._connection = connection
        self._fails = fails
        self._deadline = deadline
        self.failed: Exception | None = None

    def _run(self, sql: str, values: Mapping[str, Value]) -> sqlite3.Cursor:
        if self.failed is not None:
            raise self.failed
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.failed = Overdue(f"a read body wanted more than {PATIENCE_S:g} s")
            raise self.failed
        return self._connection.execute(sql, values)

    def _broken(self, error: sqlite3.Error) -> Exception:
        self.failed = self._fails(error)
        return self.failed

    async def execute(self, sql: str, /, **values: Value) -> int:
        try:
            return max(self._run(sql, values).rowcount, 0)
        except sqlite3.Error as error:
            raise self._broken(error) from None

    async def one(self, sql: str, /, **values: Value) -> Row | None:
        try:
            cursor = self._run(sql, values)
            row = cursor.fetchone()
            cursor.close()  # a statement with rows left would keep the transaction from committing
        except sqlite3.Error as error:
            raise self._broken(error) from None
        return cast("Row | None", row)

    async def all(self, sql: str, /, **values: Value) -> Sequence[Row]:
        try:
            return cast("Sequence[Row]", self._run(sql, values).fetchall())
        except sqlite3.Error as error:
            raise self._broken(error) from None

    async def many(self, sql: str, rows: Sequence[Mapping[str, Value]], /) -> None:
        if self.failed is not None:
            raise self.failed
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._broken(error) from None


@dataclass(slots=True, eq=False)
class _Waiting:
    """A body on its way through a thread, and whoever waits for it."""

    name: str
    body: Body
    future: asyncio.Future[object]
    since: float = field(default_factory=time.monotonic)
    context: Context = field(default_factory=copy_context)
    heard: bool = True
    fleeting: bool = False
    answer: object = None
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class _Errand:
    """Something for the writer's thread between two batches, outside a transaction."""

    run: Callable[[sqlite3.Connection], object]
    future: asyncio.Future[object]
    answer: object = None
    error: BaseException | None = None


def _step(name: str, awaitable: Awaitable[T]) -> T:
    """Runs a body to its end without an event loop. A body that waits for anything is not ours to wait for."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return cast(T, end.value)
    except RuntimeError as error:
        if str(error) == "no running event loop":  # what asyncio.sleep(1), to_thread, create_task or a nested write say in this thread
            raise strayed(name) from error
        raise
    steps.close()
    raise strayed(name)


def _translate(error: sqlite3.Error, *, writing: bool = True) -> Exception:
    """SQLite's error in the words of schemas/storage.py. What stays as it is, is a mistake of ours (bad SQL, a wrong type)."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Busy("another process held the database for too long")
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_NOLFS:
            return Unwritable(f"the database file: {error} ({error.sqlite_errorname})")
        case sqlite3.SQLITE_READONLY if writing:
            return Unwritable(f"the database file: {error} ({error.sqlite_errorname})")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Unwritable(f"the database file is damaged: {error}; stop, then `fedmatch doctor`")
        case sqlite3.SQLITE_INTERRUPT:
            return Overdue(f"a read body wanted more than {PATIENCE_S:g} s")
        case sqlite3.SQLITE_CONSTRAINT if code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
            return Clash(str(error))
        case sqlite3.SQLITE_CONSTRAINT if code != _CONSTRAINT_DATATYPE:
            return Conflict(str(error))
        case _:
            return error


_CONSTRAINT_DATATYPE: Final = 3091  # SQLITE_CONSTRAINT_DATATYPE, a wrong type in a strict table; Python 3.11 has no name for it


class SqliteDatabase:
    """`Database` on one SQLite file (WAL, `synchronous=FULL`). Make it with `open_sqlite`."""

    engine: Literal["sqlite", "postgresql"] = "sqlite"
    for_update = ""

    def __init__(self, path: Path, writer: sqlite3.Connection, readers: Sequence[sqlite3.Connection], loop: asyncio.AbstractEventLoop) -> None:
        self.path = path
        self._loop = loop
        self._writes: SimpleQueue[_Waiting | _Errand | None] = SimpleQueue()
        self._reads: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._left: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._reading_since: float | None = None
        self._looking = False
        self._noticed: list[Callable[[], None]] = []
        self._synchronous = "full"
        self._watching: asyncio.Task[None] | None = None
        self._watched_enough = asyncio.Event()
        self._closed = False
        self._may_read = threading.Event()
        self._may_read.set()
        self._threads = [threading.Thread(target=self._write_on, args=(writer,), name="fedmatch-writer", daemon=True)]
        for place, reader in enumerate(readers):
            queue = self._left if place else self._reads
            self._threads.append(threading.Thread(target=self._read_on, args=(reader, queue), name="fedmatch-reader", daemon=True))
        for thread in self._threads:
            thread.start()

    # --- what rooms call, on the event loop

    async def write(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named_values: P.kwargs) -> T:
        waiting = self._waiting(named(body), lambda tx: body(tx, *values, **named_values))
        waiting.heard, waiting.fleeting = heard(body), passing(body)
        if self._writes.qsize() >= QUEUE:
            raise Busy(f"{QUEUE} bodies wait already")
        self._writes.put(waiting)
        return cast(T, await waiting.future)

    async def read(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named_values: P.kwargs) -> T:
        waiting = self._waiting(named(body), lambda tx: body(tx, *values, **named_values))
        if self._held_up():
            self._left.put(waiting)
        else:
            self._reads.put(waiting)
            if not self._looking:
                self._looking = True
                self._loop.call_later(LONG_S, self._look_after_reader)
        return cast(T, await waiting.future)

    def on_commit(self, noticed: Callable[[], None]) -> None:
        self._noticed.append(noticed)
        if self._watching is None:
            self._watching = self._loop.create_task(self._watch(), name="fedmatch-commits")

    async def erase(self) -> bool:
        erased = cast(bool, await self._between_batches(_truncate_wal))
        if not erased:  # readers of ours are in the way: new ones wait until those at work are through
            self._may_read.clear()
            try:
                erased = cast(bool, await self._between_batches(partial(_truncate_wal, patience_s=PATIENCE_S)))
            finally:
                self._may_read.set()
        return erased

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._watching is not None:
            # Not cancelled: the thread of a connection that is being opened would answer a loop that is closed by then.
            self._watched_enough.set()
            await asyncio.wait([self._watching])
        self._reads.put(None)
        for _ in self._threads[2:]:
            self._left.put(None)
        for thread in self._threads[1:]:
            await asyncio.to_thread(thread.join)
        self._writes.put(None)  # last: the writer's connection empties the WAL into the file when it is the only one left
        await asyncio.to_thread(self._threads[0].join)

    # --- what migrations call

    @asynccontextmanager
    async def exclusively(self) -> AsyncIterator[None]:
        yield  # every migration is one `begin immediate`, which is exclusive and looks again at what is applied

    def translate(self, ddl: str) -> str:
        return ddl

    # --- the event loop's side

    def _waiting(self, name: str, body: Body) -> _Waiting:
        if self._closed:
            raise Unavailable("the database is closed")
        # Inside a body, in the writer's thread, no loop runs: a nested write ends here, before anything is queued.
        return _Waiting(name, body, asyncio.get_running_loop().create_future())

    def _held_up(self) -> bool:
        """Whether the reader has been at one read for long."""
        since = self._reading_since
        return since is not None and time.monotonic() - since > LONG_S

    def _look_after_reader(self) -> None:
        """Leaves what waits behind a long read to the helpers; looks again while there is something to read."""
        self._looking = not self._closed and (self._reading_since is not None or not self._reads.empty())
        if not self._looking:
            return
        if self._held_up():
            with suppress(Empty):
                while True:
                    self._left.put(self._reads.get_nowait())
        self._loop.call_later(LONG_S, self._look_after_reader)

    async def _between_batches(self, run: Callable[[sqlite3.Connection], object]) -> object:
        if self._closed:
            raise Unavailable("the database is closed")
        errand = _Errand(run, self._loop.create_future())
        self._writes.put(errand)
        return await errand.future

    async def _watch(self) -> None:
        """Notices other processes' commits: `data_version` changes when somebody else wrote, and costs 3 us to ask."""
        while not self._watched_enough.is_set():
            with suppress(sqlite3.Error):  # busy or worse: whoever writes will say so; we ask again
                async with aiosqlite.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=0) as connection:
                    seen = None
                    while True:
                        ((version,),) = await connection.execute_fetchall("pragma data_version")
                        if seen is not None and version != seen:
                            self._tell_all()
                        seen = version
                        if await self._enough():
                            return
            if not await self._enough():
                self._tell_all()  # something may have been missed

    async def _enough(self) -> bool:
        """Waits until it is time to look again; whether nobody wants to know any more."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._watched_enough.wait(), POLL_S)
        return self._watched_enough.is_set()

    def _tell_all(self) -> None:
        for noticed in self._noticed:
            noticed()

    def _answer_all(self, finished: Sequence[_Waiting | _Errand], wrote: bool) -> None:
        for one in finished:
            if one.future.done():  # whoever asked was cancelled
                continue
            if one.error is None:
                one.future.set_result(one.answer)
            else:
                one.future.set_exception(one.error)
        if wrote:
            self._tell_all()

    # --- the threads' side

    def _answer(self, finished: Sequence[_Waiting | _Errand], wrote: bool = False) -> None:
        with suppress(RuntimeError):  # the loop was closed without closing us: nobody waits any more
            self._loop.call_soon_threadsafe(self._answer_all, finished, wrote)

    def _write_on(self, connection: sqlite3.Connection) -> None:
        """The writer's thread: takes what waits, at most a batch, until it is told to stop."""
        following: _Waiting | _Errand | None = None
        while True:
            first = following or self._writes.get()
            following = None
            if first is None:
                break
            if isinstance(first, _Errand):
                try:
                    first.answer = first.run(connection)
                except sqlite3.Error as error:
                    first.error = _translate(error)
                self._answer([first])
                continue
            batch = [first]
            stop = False
            while len(batch) < BATCH:
                try:
                    more = self._writes.get_nowait()
                except Empty:
                    break
                if isinstance(more, _Waiting):
                    batch.append(more)
                    continue
                stop, following = more is None, more
                break
            self._write_batch(connection, [waiting for waiting in batch if not waiting.future.cancelled()])
            if stop:
                break
        connection.close()

    def _write_batch(self, connection: sqlite3.Connection, batch: Sequence[_Waiting]) -> None:
        """Runs the bodies in one transaction, commits once, then answers all of them."""
        changes = connection.total_changes
        left = self._begin(connection, batch)
        if left:
            outcome = self._run_together(connection, left)
            if outcome != "done":
                self._run_apart(connection, left, alone=outcome == "too much")
        self._answer(batch, wrote=connection.total_changes != changes and any(waiting.heard for waiting in batch))

    def _run_together(self, connection: sqlite3.Connection, bodies: Sequence[_Waiting]) -> Literal["done", "failed", "too much"]:
        """Runs and commits the bodies as if they were one, which saves two statements each; everything is undone if one fails, or the disk refuses them all."""
        for waiting in bodies:
            tx = _Transaction(connection, _translate)
            try:
                self._run(tx, waiting)
            except BaseException:  # whatever it is: run again by itself, it goes to whoever called `write`
                if connection.in_transaction:
                    connection.execute("rollback")
                return "failed"
            finally:
                tx.failed = OVER
        error = self._commit(connection)
        if isinstance(error, Unwritable) and len(bodies) > 1:
            return "too much"
        for waiting in bodies:
            waiting.error = error
        return "done"

    def _run_apart(self, connection: sqlite3.Connection, bodies: Sequence[_Waiting], *, alone: bool) -> None:
        """Runs the bodies as consecutive savepoints of one transaction, so that an error undoes its own body and no other; `alone`: each in its own commit."""
        left = list(bodies)
        while left := self._begin(connection, left):
            ran: list[_Waiting] = []
            for waiting in left[:1] if alone else left:
                self._run_in_savepoint(connection, waiting)
                if waiting.error is None:
                    ran.append(waiting)
                if not connection.in_transaction:
                    break  # SQLITE_FULL and its like drop the whole transaction: the guilty one has its error, the innocent run again
            if connection.in_transaction:
                error = self._commit(connection)
                if isinstance(error, Unwritable) and len(ran) > 1:
                    alone = True  # what is too much for the disk together may fit one by one, and then one big body fails alone
                    continue
                for waiting in ran:
                    waiting.error = error
                done = set(ran)
                left = [waiting for waiting in left if waiting.error is None and waiting not in done]
            else:
                left = [waiting for waiting in left if waiting.error is None]

    def _begin(self, connection: sqlite3.Connection, left: Sequence[_Waiting]) -> list[_Waiting]:
        """Takes the file for writing; gives those who may run, without those who waited too long for another process."""
        while left:
            try:
                # Without an fsync of its own, where nobody relies on what is committed; the next one that has its own makes this durable too.
                synchronous = "normal" if all(waiting.fleeting for waiting in left) else "full"
                if synchronous != self._synchronous:
                    connection.execute(f"pragma synchronous = {synchronous}")
                    self._synchronous = synchronous
                connection.execute("begin immediate")
                break
            except sqlite3.Error as error:
                late = time.monotonic() - PATIENCE_S
                for waiting in left:
                    if not is_busy(error) or waiting.since < late:
                        waiting.error = _translate(error)
                left = [waiting for waiting in left if waiting.error is None]
            time.sleep(RETRY_S)
        return list(left)

    def _run_in_savepoint(self, connection: sqlite3.Connection, waiting: _Waiting) -> None:
        for again in range(REDRAWS, -1, -1):
            tx = _Transaction(connection, _translate)
            try:
                connection.execute("savepoint body")
                self._run(tx, waiting)
                connection.execute("release body")
                break
            except BaseException as error:  # whatever it is, it belongs to whoever called `write`
                if connection.in_transaction:
                    connection.execute("rollback to body")
                    connection.execute("release body")
                    if isinstance(error, Clash) and again:
                        continue
                waiting.error = _translate(error) if isinstance(error, sqlite3.Error) else error
                break
            finally:
                tx.failed = OVER

    def _run(self, tx: _Transaction, waiting: _Waiting) -> None:
        started = time.monotonic()
        waiting.answer = waiting.context.run(_step, waiting.name, waiting.body(tx))
        if tx.failed is not None:  # a body that swallowed an error must not half happen
            raise tx.failed
        took = time.monotonic() - started
        if took > SLOW_S:
            log.warning("a write body held everybody up", body=waiting.name, ms=round(took * 1000))

    def _commit(self, connection: sqlite3.Connection) -> Exception | None:
        crashpoint("write:before-commit")
        try:
            patiently(partial(connection.execute, "commit"), time.monotonic() + PATIENCE_S)
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("rollback")
            return _translate(error)
        crashpoint("write:after-commit")
        return None

    def _read_on(self, connection: sqlite3.Connection, queue: SimpleQueue[_Waiting | None]) -> None:
        """A reader's thread: the first one's, or that of a helper."""
        deadline = 0.0
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 50_000)  # about every millisecond
        while (waiting := queue.get()) is not None:
            self._may_read.wait()
            if waiting.future.cancelled():
                continue
            started = time.monotonic()
            deadline = started + PATIENCE_S
            if queue is self._reads:
                self._reading_since = started
            while self._read_once(connection, waiting, deadline):
                time.sleep(RETRY_S)
            if queue is self._reads:
                self._reading_since = None
            self._answer([waiting])
        connection.close()

    def _read_once(self, connection: sqlite3.Connection, waiting: _Waiting, deadline: float) -> bool:
        """Runs a read body on one snapshot; True if another process was in the way and it may run again."""
        waiting.error = None
        tx = _Transaction(connection, partial(_translate, writing=False), deadline)
        try:
            connection.execute("begin")
            waiting.answer = waiting.context.run(_step, waiting.name, waiting.body(tx))
            if tx.failed is not None:
                raise tx.failed
        except BaseException as error:  # whatever it is, it belongs to whoever called `read`
            waiting.error = _translate(error, writing=False) if isinstance(error, sqlite3.Error) else error
        finally:
            tx.failed = OVER
            if connection.in_transaction:
                connection.execute("rollback")
        return isinstance(waiting.error, Busy) and time.monotonic() < deadline


def transaction(connection: sqlite3.Connection) -> Transaction:
    """The transaction that is open on a connection of one's own, for a database nobody else knows yet: one that is being restored."""
    return _Transaction(connection, _translate)


def _truncate_wal(connection: sqlite3.Connection, patience_s: float = 0.05) -> bool:
    """Moves the WAL into the file, where deleted rows are already overwritten, and cuts it to nothing."""
    deadline = time.monotonic() + patience_s
    while True:
        busy: int = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        if not busy:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(RETRY_S)


async def open_sqlite(path: Path, *, check: bool = True) -> SqliteDatabase:
    """Opens the file, or makes it. `check` reads it whole (`pragma quick_check`). Raises `Unusable`."""
    if sqlite3.sqlite_version_info < (3, 37):
        raise Unusable(f"SQLite {sqlite3.sqlite_version} is too old: fedmatch needs 3.37 or newer; install a newer Python or libsqlite3")
    writer, readers = await asyncio.to_thread(partial(open_file, path, READERS, check=check))
    return SqliteDatabase(path, writer, readers, asyncio.get_running_loop())
