"""What does a room need of the database? The two shapes every room writes and reads through; the engines are in fedmatch/database."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeVar

from schemas.reading import Row

P = ParamSpec("P")
T = TypeVar("T")

Value = str | int | float | bytes | None
"""What a column holds: times are integer milliseconds UTC, booleans 0 or 1, JSON is text."""


class Transaction(Protocol):
    """The open transaction a body works in. A body awaits nothing but these four; it may run twice."""

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


class Database(Protocol):
    """One write shape, one read shape, two engines."""

    engine: Literal["sqlite", "postgresql"]

    async def write(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named: P.kwargs) -> T:
        """Runs `body(tx, *values)` and returns its answer once it is committed and fsynced; all of it happens or nothing."""
        ...

    async def read(self, body: Callable[Concatenate[Transaction, P], Awaitable[T]], *values: P.args, **named: P.kwargs) -> T:
        """Runs `body(tx, *values)` on a read-only snapshot that is let go within 5 s."""
        ...

    def on_commit(self, noticed: Callable[[], None]) -> None:
        """Calls `noticed` on the event loop soon (<= 0.25 s) after any process, this one too, committed."""
        ...
