"""What does a room need of the database? The two shapes every room writes and reads through; the engines are in fedmatch/database."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeVar

from schemas.reading import Row

P = ParamSpec("P")
T = TypeVar("T")

Value = str | int | float | bytes | None
"""What a column holds: times are integer milliseconds UTC, booleans 0 or 1, JSON is text."""


# StorageError
#   Unavailable    not now, nothing of the body happened: 503 with Retry-After
#     Busy         somebody else held the database, or kept winning, for 5 s
#     Unwritable   disk full, read-only or broken, or the server is away
#     Overdue      a read body took longer than 5 s
#   Conflict       a constraint of the schema refused a row
#   Strayed        a body awaited something that is not its tx: a mistake of ours
#   Unusable       the database as a whole is damaged, foreign, newer than this program or not ours to write: do not start


class StorageError(Exception):
    """What went wrong below a room. `str(error)` is for the log and holds no values of rows; `safe` may be shown to a stranger."""

    safe = "Something went wrong here. It was noted."


class Unavailable(StorageError):
    """Not now; nothing of the body happened, and trying again later may work. Doors answer 503 with Retry-After."""

    safe = "This server is busy. Please try again in a minute."


class Busy(Unavailable):
    """Somebody else held the database, or kept winning the race for the same rows, for 5 s."""


class Unwritable(Unavailable):
    """The disk is full, read-only or broken, or the database server is away. Only a server lost in the middle of a commit may have committed."""


class Overdue(Unavailable):
    """A read body wanted its snapshot for longer than 5 s."""


class Conflict(StorageError):
    """A constraint refused a row: unique, foreign key, check or not null. A clash of drawn ids was already drawn again."""


class Strayed(StorageError):
    """A body awaited something that is not its `tx`; it was rolled back."""


class Unusable(StorageError):
    """The database as a whole cannot be used. The text says why and what to do; the program says it and ends with exit code 1."""


class Transaction(Protocol):
    """The open transaction a body works in. A body awaits nothing but these four; it may run twice.

    After an error nothing more can be done in it, on either engine: a body lets the error pass, whoever called `write` may answer it.
    """

    async def execute(self, sql: str, /, **values: Value) -> int:
        """Runs one statement with `:named` values and returns how many rows it changed."""
        ...

    async def one(self, sql: str, /, **values: Value) -> Row | None:
        """The first row, or None."""
        ...

    async def all(self, sql: str, /, **values: Value) -> Sequence[Row]:
        """Every row, at once; the query bounds how many."""
        ...

    async def many(self, sql: str, rows: Sequence[Mapping[str, Value]], /) -> None:
        """Runs one statement once for each row of values."""
        ...


Written = TypeVar("Written", bound=Callable[..., Awaitable[object]])


def unheard(body: Written) -> Written:
    """Marks a write body whose commit nobody needs to hear of: it is no reason for `on_commit` to call anybody, here or elsewhere. A lease is one."""
    body.__dict__["unheard"] = True
    return body


def fleeting(body: Written) -> Written:
    """Marks a write body that is `unheard` and may be forgotten in a power cut: its commit waits for no disk. What died with its process is such a lease."""
    body.__dict__["fleeting"] = True
    return unheard(body)


class Database(Protocol):
    """One write shape, one read shape, two engines."""

    engine: Literal["sqlite", "postgresql"]
    for_update: str
    """Put after the `select` that picks rows to claim: "" on SQLite, whose writer is alone, " for update skip locked" on PostgreSQL."""

    async def write(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named: P.kwargs) -> T:
        """Runs `body(tx, *values)` and returns its answer once it is committed and fsynced (if not `fleeting`); all of it happens or nothing.

        Raises what the body raised, `Unavailable`, `Conflict` or `Strayed`. After a cancellation it may or may not have happened.
        """
        ...

    async def read(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named: P.kwargs) -> T:
        """Runs `body(tx, *values)` on a read-only snapshot that is let go within 5 s (`Overdue`)."""
        ...

    def on_commit(self, noticed: Callable[[], None]) -> None:
        """Calls `noticed` on the event loop soon (<= 0.25 s) after any process, this one too, committed more than `unheard` bodies."""
        ...

    async def erase(self) -> bool:
        """Makes what was deleted unreadable in every file of ours; False if a reader elsewhere kept it (ask again). Call it after a deletion."""
        ...

    async def close(self) -> None:
        """Lets running bodies end, then lets everything go."""
        ...
