"""How does one text of SQL serve two engines? Queries and migrations are written for SQLite; this says them to PostgreSQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from schemas.storage import Value

_LITERAL: Final = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|::"
_QUERY: Final = re.compile(rf"{_LITERAL}|:([a-z_][a-z0-9_]*)|\bas\s+(integer|blob|real)\s*(?=\))", re.DOTALL | re.IGNORECASE)
_DDL: Final = re.compile(rf"{_LITERAL}|\b(integer|blob|real)\b|(?<=\))\s*(strict)\b", re.DOTALL | re.IGNORECASE)
_TYPES: Final = {"integer": "bigint", "blob": "bytea", "real": "double precision", "strict": ""}
_WRITES: Final = re.compile(r"\b(insert|update|delete|create|alter|drop)\b", re.IGNORECASE)
_LOCKS: Final = re.compile(r"\bfor\s+(no\s+key\s+)?update\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as PostgreSQL wants it: `$1` for the first of `names`."""

    text: str
    names: tuple[str, ...]
    writes: bool

    def values(self, named_values: Mapping[str, Value]) -> list[Value]:
        """The values in the order of `names`."""
        return [named_values[name] for name in self.names]


@lru_cache(maxsize=4096)
def query(sql: str) -> Query:
    """Translates `:name` to `$n` and the type word in `cast(... as integer)`; literals, quoted names and comments stay as they are."""
    names: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        name, word = match[1], match[2]
        if word is not None:
            return f"as {_TYPES[word.lower()]}"
        if name is None:
            return match[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    text = _QUERY.sub(replaced, sql)
    return Query(text, tuple(names), bool(_WRITES.search(_LOCKS.sub("", re.sub(_LITERAL, "", sql, flags=re.DOTALL)))))


def translate(ddl: str) -> str:
    """A migration's statement in PostgreSQL's types; `strict` it always is."""
    return _DDL.sub(lambda match: _TYPES[(match[1] or match[2]).lower()] if match[1] or match[2] else match[0], ddl)
