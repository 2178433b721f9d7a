"""What do both engines share? What migrations need of them, the limits, and how one body is named in logs and errors."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Concatenate, ParamSpec, Protocol

from schemas.storage import Conflict, Database, Strayed, Transaction

P = ParamSpec("P")

PATIENCE_S = 5.0
"""How long a body waits for a database that somebody else holds, and how long a read body may keep its snapshot."""

QUEUE = 10_000
"""How many bodies may wait to be written. Who comes later is told `Busy` at once, so that a stuck disk does not become a full memory."""

REDRAWS = 3
"""How often a body runs again because an id it drew was taken."""

Body = Callable[[Transaction], Awaitable[object]]
"""A write or read body with its values bound."""


class Clash(Conflict):
    """A primary key was taken. The engines run the body again, so that ids drawn inside it are drawn again, before they let this out."""


class Engine(Database, Protocol):
    """A database as fedmatch/database itself sees it: with what migrations need."""

    def exclusively(self) -> AbstractAsyncContextManager[None]:
        """Nobody else, in any process, migrates this database meanwhile. Raises `Busy` after a minute."""
        ...

    def translate(self, ddl: str) -> str:
        """One statement of a migration, written in the five types, in this engine's words."""
        ...


def named(body: Callable[Concatenate[Transaction, P], object]) -> str:
    """What a body is called in errors and logs: module and name, never its values."""
    return f"{getattr(body, '__module__', '?')}.{getattr(body, '__qualname__', type(body).__name__)}"


def heard(body: object) -> bool:
    """Whether others are to hear of a commit of this body (`schemas.storage.unheard`)."""
    return not getattr(body, "unheard", False)


def passing(body: object) -> bool:
    """Whether a power cut may undo a commit of this body alone (`schemas.storage.fleeting`)."""
    return getattr(body, "fleeting", False)


def strayed(name: str) -> Strayed:
    """The error for a body that awaits more than its transaction."""
    return Strayed(f"{name} awaited something that is not its tx; do it before or after the transaction")


OVER = Strayed("a transaction was used after its body had ended")
