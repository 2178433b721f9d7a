"""How do we read what is not ours? Tolerant readers for foreign JSON and for database rows; `Any` lives here and stops here."""

from collections.abc import Iterator
from typing import Any, NewType, Protocol

Iri = NewType("Iri", str)
"""An absolute http(s) IRI, as its owner spells it. Compared byte for byte; hosts are compared through `actors.hosts`."""

Document = dict[str, Any]
"""A JSON object that passed `inbox.gate` but was not parsed yet."""


class Row(Protocol):
    """One row of a query, read by column name (`sqlite3.Row` and `asyncpg.Record` both are one)."""

    def __getitem__(self, name: str, /) -> Any: ...
