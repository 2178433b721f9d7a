# ruff: noqa: S608  # every statement here is made of our own constants and numbers
"""How does SQLite find words? FTS5 without contents, in parts of some thousand texts each, by the keys of the texts.

FTS5 leaves the words of what was deleted in its files until it merges them: a part is small, so merging one whole takes a tenth of a second. What was
deleted by a cascade is marked by a trigger and taken out when the parts are cleaned. A part that is full is merged as well: it is searched in half the time.
"""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, cast

from fedmatch.database.text import (
    COMMON,
    FACET,
    MOST_ASKED,
    MOST_BEST,
    MOST_RANKED,
    SMALL,
    Entry,
    Kind,
    Query,
    Term,
    keys,
    pairs,
    side_by_side,
    spread,
    top,
    unpacked,
)  # fmt: skip
from schemas.reading import Row
from schemas.storage import Transaction, Value

PART: Final = 4096
"""Texts in one part: merging it takes about 0.1 s."""
DIRTY: Final = 2
"""Steps that clean a part: its words, then its grams."""
WEIGHTS: Final = "4.0, 2.0, 1.0, 0.0"
"""What a word counts in a title, in labels and translated titles, in a text, and in a facet."""

NEWEST: Final = "order by rowid desc limit :limit"

THERE: Final = """
select count(*) as n
from sqlite_master
where name = 'text_state'
"""

TABLES: Final = (
    """
    create table text_state (
      id integer primary key check (id = 1),
      version text not null,
      filled integer not null,
      secret blob not null
    ) strict
    """,
    """
    create table text_part (
      id integer primary key,
      low integer not null,
      texts integer not null default 0,
      bottom integer not null,
      top integer not null,
      dirty integer not null default 0
    ) strict
    """,
    """
    create table text_entry (
      id integer primary key,
      part integer not null,
      gone integer not null default 0,
      packed blob not null
    ) strict
    """,
    "create index text_entry_gone on text_entry (id) where gone = 1",
    """
    create trigger text_gone after delete on listing
    begin
      update text_entry set gone = 1 where id = old.post_id;
    end
    """,
    # What lies ready for matching (`fedmatch.board.gists`).
    """
    create table text_gist (
      id integer primary key references listing (post_id) on delete cascade,
      packed blob not null
    ) strict
    """,
    """
    create table text_topic (
      side text not null,
      slug text not null,
      id integer not null references listing (post_id) on delete cascade,
      here integer not null,
      weight integer not null,
      primary key (side, slug, id)
    ) strict, without rowid
    """,
    "create index text_topic_id on text_topic (id)",
)

PARTS: Final = """
select text_part.id, text_part.low, text_part.texts, text_part.bottom, text_part.top, text_part.dirty
from text_part
order by text_part.low desc
"""

NEW_PART: Final = """
insert into text_part (low, bottom, top)
values (:low, :id, :id)
"""

LAST_PART: Final = """
select max(text_part.id) as id
from text_part
"""

COUNT: Final = """
update text_part
set texts = texts + 1, bottom = min(bottom, :id), top = max(top, :id)
where id = :part
"""

UNCOUNT: Final = """
update text_part
set texts = texts - 1, dirty = max(dirty, :dirty)
where id = :part
"""

NARROW: Final = """
update text_part
set low = bottom
where id = :part
"""

MERGE: Final = """
update text_part
set dirty = :dirty
where id = :part
"""

CLEANED: Final = """
update text_part
set dirty = dirty - 1
where id = :part
"""

ENTRY: Final = """
select text_entry.id, text_entry.part, text_entry.packed
from text_entry
where text_entry.id = :id
"""

GONE: Final = """
select text_entry.id, text_entry.part, text_entry.packed
from text_entry
where text_entry.gone = 1
limit 50
"""

KEEP: Final = """
insert into text_entry (id, part, packed)
values (:id, :part, :packed)
"""

LET_GO: Final = """
delete from text_entry
where id = :id
"""


async def there(tx: Transaction) -> bool:
    """Whether this database has an index, whatever it was made with."""
    row = await tx.one(THERE)
    return row is not None and bool(row["n"])


async def create(tx: Transaction) -> None:
    """Makes its tables; the parts come with the first texts."""
    for statement in TABLES:
        await tx.execute(statement)


async def drop(tx: Transaction) -> None:
    """Takes all of it away."""
    for row in await tx.all(PARTS):
        await tx.execute(f"drop table text_words_{row['id']}")
        await tx.execute(f"drop table text_grams_{row['id']}")
    await tx.execute("drop trigger text_gone")
    for name in ("text_topic", "text_gist", "text_entry", "text_part", "text_state"):
        await tx.execute(f"drop table if exists {name}")


def _key(key: int) -> str:
    return f"{key:x}"


def _term(term: Term) -> str:
    quoted = '"' + " ".join(term.words).replace('"', "") + '"'
    return f"{quoted}{' *' if term.prefix else ''}"


def _looked_up(term: Term) -> str:
    """Words in a row by themselves and by their pairs, to be looked at; a phrase would be looked for in every text that has all of its words."""
    two = pairs(term.words)
    return " AND ".join(f'"{one}"' for one in dict.fromkeys((*two, *term.words))) if two else _term(term)


def match(query: Query) -> str:
    """The query in FTS5's words; everything is quoted, so that nothing of it is an operator. Words in a row are to be looked at (`exact`)."""
    groups = ["(" + " OR ".join(f'"{one}"' for one in group) + ")" for group in query.facets]
    return " AND ".join([*(_looked_up(term) for term in query.terms), *groups]) or f'"{FACET}all"'


def exact(query: Query) -> str | None:
    """The words in a row that `match` does not find exactly, or None if there are no such."""
    return " AND ".join(_term(term) for term in query.terms if pairs(term.words)) or None


def ranked(query: Query) -> str | None:
    """What matches are ranked by where that is not what they are found by: facets and pairs weigh nothing, but bm25 would count each of them."""
    if not query.terms or not (query.facets or any(pairs(term.words) for term in query.terms)):
        return None
    return " AND ".join(_term(term) for term in query.terms)


class SqliteText:
    """`TextIndex` on SQLite; the same tables in a database in memory are an index that never touches a disk."""

    async def put(self, tx: Transaction, entry: Entry) -> bool:
        packed = entry.packed()
        old = await tx.one(ENTRY, id=entry.id)
        erase = False
        if old is not None:
            if bytes(old["packed"]) == packed:
                return False
            before = unpacked(entry.id, bytes(old["packed"]))
            left_out = {*before.title, *before.told, *before.text} - {*entry.title, *entry.told, *entry.text}
            erase = bool(left_out) or before.source != entry.source
            await self._take_out(tx, old, dirty=erase)
        part, full = await self._part(tx, entry.id)
        if full is not None:
            await tx.execute(MERGE, part=full, dirty=DIRTY)
        await tx.execute(
            f"insert into text_words_{part} (rowid, title, told, text, facets) values (:id, :title, :told, :text, :facets)", id=entry.id, **_columns(entry)
        )
        if entry.alike is not None:
            await tx.execute(f"insert into text_grams_{part} (rowid, grams) values (:id, :grams)", id=entry.id, grams=_grams(entry))
        await tx.execute(KEEP, id=entry.id, part=part, packed=packed)
        await tx.execute(COUNT, part=part, id=entry.id)
        return erase or full is not None

    async def remove(self, tx: Transaction, id: int) -> bool:
        old = await tx.one(ENTRY, id=id)
        if old is None:
            return False
        await self._take_out(tx, old, dirty=True)
        return True

    async def _take_out(self, tx: Transaction, row: Row, *, dirty: bool) -> None:
        part, entry = int(row["part"]), unpacked(row["id"], bytes(row["packed"]))
        await tx.execute(
            f"insert into text_words_{part} (text_words_{part}, rowid, title, told, text, facets) values ('delete', :id, :title, :told, :text, :facets)",
            id=entry.id,
            **_columns(entry),
        )
        if entry.alike is not None:
            await tx.execute(
                f"insert into text_grams_{part} (text_grams_{part}, rowid, grams) values ('delete', :id, :grams)", id=entry.id, grams=_grams(entry)
            )
        await tx.execute(LET_GO, id=entry.id)
        await tx.execute(UNCOUNT, part=part, dirty=DIRTY if dirty else 0)

    async def _part(self, tx: Transaction, id: int) -> tuple[int, int | None]:
        """The part that a text of this key belongs into; a new one above the newest or below the oldest where that is full, which is the second then."""
        parts = await tx.all(PARTS)
        for place, row in enumerate(parts):
            if id < row["low"]:
                continue
            if row["texts"] < PART:
                return int(row["id"]), None
            if place == 0 and id > row["top"]:
                return await self._new(tx, id, id), int(row["id"])
            if place == len(parts) - 1 and id < row["bottom"]:
                await tx.execute(NARROW, part=row["id"])
                return await self._new(tx, 0, id), int(row["id"])
            return int(row["id"]), None
        return await self._new(tx, 0, id), None

    async def _new(self, tx: Transaction, low: int, id: int) -> int:
        await tx.execute(NEW_PART, low=low, id=id)
        row = await tx.one(LAST_PART)
        part = 1 if row is None else int(row["id"])
        # The tokenizer parts at blanks only: what is not ASCII is a letter to it, and our words hold no other ASCII than letters and digits.
        await tx.execute(f"create virtual table text_words_{part} using fts5(title, told, text, facets, content='', tokenize=\"ascii tokenchars '_'\")")
        await tx.execute(f"create virtual table text_grams_{part} using fts5(grams, content='', detail=none, columnsize=0, tokenize='ascii')")
        return part

    async def newest(self, tx: Transaction, query: Query, before: int, limit: int) -> list[int]:
        found: list[int] = []
        asked, exactly = match(query), exact(query)
        for row in await tx.all(PARTS):
            if len(found) >= limit:
                break
            if row["bottom"] < before:
                found += await self._in_part(tx, row["id"], asked, exactly, before, limit - len(found))
        return found

    async def _in_part(self, tx: Transaction, part: int, asked: str, exactly: str | None, before: int, limit: int) -> list[int]:
        """The newest of one part that fit."""
        name = f"text_words_{part}"
        newest = f"select rowid as id from {name} where {name} match :asked and rowid < :before order by rowid desc limit :limit"
        ids = [int(one["id"]) for one in await tx.all(newest, asked=asked, before=before, limit=limit)]
        if exactly is None or not ids:
            return ids
        each = f"select rowid as id from {name} where {name} match :asked and rowid in (select value from json_each(:ids))"
        fitting = sorted((int(one["id"]) for one in await tx.all(each, asked=exactly, ids=str(ids))), reverse=True)
        if len(ids) == limit > len(fitting):  # others hold the same words, but not in a row: then looking at each would take longer
            fitting += [int(one["id"]) for one in await tx.all(newest, asked=f"{asked} AND {exactly}", before=ids[-1], limit=limit - len(fitting))]
        return fitting

    async def best(self, tx: Transaction, query: Query) -> list[tuple[float, int]]:
        found: list[tuple[float, int]] = []
        asked = match(query)
        words = ranked(query)
        for row in await tx.all(PARTS):
            if len(found) >= MOST_RANKED:
                break
            found += await self._ranked(tx, row["id"], asked, words, MOST_RANKED - len(found))
        return sorted(found, reverse=True)[:MOST_BEST]

    async def _ranked(self, tx: Transaction, part: int, asked: str, words: str | None, limit: int) -> list[tuple[float, int]]:
        """The newest of one part that fit, as (score, id). `words`: what they are ranked by, if that is not what they are found by."""
        name = f"text_words_{part}"
        if words is None:
            rows = await tx.all(
                f"select rowid as id, bm25({name}, {WEIGHTS}) as score from {name} where {name} match :asked {NEWEST}", asked=asked, limit=limit
            )
        else:
            ids = [int(one["id"]) for one in await tx.all(f"select rowid as id from {name} where {name} match :asked {NEWEST}", asked=asked, limit=limit)]
            if not ids:
                return []
            # The plus keeps the engine from asking the index once for each of them.
            rows = await tx.all(
                f"select rowid as id, bm25({name}, {WEIGHTS}) as score from {name} "
                f"where {name} match :words and rowid >= :low and +rowid in (select value from json_each(:ids))",
                words=words,
                low=ids[-1],
                ids=str(ids),
            )
        return [(-float(one["score"]), int(one["id"])) for one in rows]

    async def alike(self, tx: Transaction, kind: Kind, source: str, limit: int) -> list[tuple[float, int]]:
        asked = spread(keys(kind, source))
        parts = await tx.all(PARTS)
        if not parts or not asked:
            return []
        fullest = max(parts, key=lambda row: min(int(row["texts"]), PART))
        seen = {key: await self._having(tx, fullest["id"], key) for key in asked}
        # Those that never occur in the sample come last: most occur nowhere.
        rare = sorted((key for key in asked if len(seen[key]) < COMMON), key=lambda key: (not seen[key], len(seen[key]), key))
        rare = rare or sorted(asked, key=lambda key: (len(seen[key]), key))
        if sum(int(row["texts"]) for row in parts) > SMALL:
            rare = rare[:MOST_ASKED]
        weights: dict[int, float] = {}
        whole = max(PART / 4, float(fullest["texts"]))
        for key in rare:
            weight = math.log(1 + whole / (0.5 + len(seen[key])))
            for row in parts:
                ids = seen[key] if row["id"] == fullest["id"] else await self._having(tx, row["id"], key)
                for text_id in ids:
                    weights[text_id] = weights.get(text_id, 0.0) + weight
        return top(weights, limit)

    async def _having(self, tx: Transaction, part: int, key: int) -> list[int]:
        """At most `COMMON` texts of a part with one gram, the newest."""
        name = f"text_grams_{part}"
        rows = await tx.all(f"select rowid as id from {name} where {name} match :key order by rowid desc limit :limit", key=f'"{key:x}"', limit=COMMON)
        return [row[0] for row in rows]  # type: ignore[index]  # by place: thousands are read, and by its name each would be looked for

    async def clean(self, tx: Transaction) -> bool:
        gone = await tx.all(GONE)
        for row in gone:
            await self._take_out(tx, row, dirty=True)
        if gone:
            return True
        for row in await tx.all(PARTS):
            if row["dirty"]:
                part = row["id"]
                # Merged into one segment, a part holds no word that no text of it has; what lay there is overwritten (`secure_delete`).
                # In two steps: others write in between.
                name = f"text_words_{part}" if row["dirty"] == DIRTY else f"text_grams_{part}"
                await tx.execute(f"insert into {name} ({name}) values ('optimize')")
                await tx.execute(CLEANED, part=part)
                return True
        return False

    async def unclean(self, tx: Transaction) -> bool:
        return bool(await tx.all(GONE)) or any(row["dirty"] for row in await tx.all(PARTS))


def _columns(entry: Entry) -> dict[str, str]:
    return {
        "title": " ".join(entry.title),
        "told": " ".join(entry.told),
        "text": " ".join(entry.text),
        "facets": " ".join([*entry.facets, *side_by_side(entry)]),
    }


def _grams(entry: Entry) -> str:
    return "" if entry.alike is None else " ".join(_key(key) for key in keys(entry.alike, entry.source))


class Direct:
    """`Transaction` on a connection of one's own, as that of an index in memory: every statement is done when it returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, /, **values: Value) -> int:
        """As `Transaction.execute`."""
        return max(self._connection.execute(sql, values).rowcount, 0)

    async def one(self, sql: str, /, **values: Value) -> Row | None:
        """As `Transaction.one`."""
        return cast("Row | None", self._connection.execute(sql, values).fetchone())

    async def all(self, sql: str, /, **values: Value) -> Sequence[Row]:
        """As `Transaction.all`."""
        return cast("Sequence[Row]", self._connection.execute(sql, values).fetchall())

    async def many(self, sql: str, rows: Sequence[Mapping[str, Value]], /) -> None:
        """As `Transaction.many`."""
        self._connection.executemany(sql, rows)


async def in_memory() -> Direct:
    """An empty index that never touches a disk."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute(LISTINGS)
    tx = Direct(connection)
    await create(tx)
    return tx


LISTINGS: Final = "create table listing (post_id integer primary key) strict"
"""What the trigger of the index hangs on; nothing is ever in it there."""
