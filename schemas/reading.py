"""How do we read what is not ours? Tolerant readers for foreign JSON and for database rows; `Any` lives here and stops here."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, NewType, Protocol

Iri = NewType("Iri", str)
"""An absolute http(s) IRI, as its owner spells it. Compared byte for byte; hosts are compared through `actors.hosts`."""

Document = dict[str, Any]
"""A JSON object that passed `inbox.gate` but was not parsed yet."""


class Unreadable(ValueError):
    """A foreign document cannot be read: `where` names the member, `why` says what is wrong with it. Neither repeats what people wrote."""

    def __init__(self, where: str, why: str) -> None:
        self.where, self.why = where, why
        super().__init__(f"{where}: {why}")


Message = MutableMapping[str, Any]
"""An ASGI scope or message, as the HTTP server hands it over (asgi.readthedocs.io, HTTP version 2.3)."""

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
"""Header lines as they came: names in lower case, repeated ones repeated."""


class Row(Protocol):
    """One row of a query, read by column name (`sqlite3.Row` and `asyncpg.Record` both are one)."""

    def __getitem__(self, name: str, /) -> Any: ...
