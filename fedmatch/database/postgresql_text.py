"""How does PostgreSQL find words? A narrow row a text, a tsvector (`simple`, our own words) of which only the GIN index is read, and the keys of grams.

GIN gathers every list before it compares, and knows no order: so every word says in which part of the texts it stands (some thousand by their keys, as on
SQLite), and the newest part is asked first. Two words side by side stand in it once more, together. What is ranked, with places and weights, lies aside.
Rows go with their listing by a foreign key; GIN keeps no list of pending words (`fastupdate = off`). pg_trgm is not needed: our grams are of four letters,
and the same on both engines.
"""

import math
import zlib
from collections.abc import Sequence
from typing import Final

from fedmatch.database.text import (
    COMMON,
    END,
    MOST_BEST,
    MOST_RANKED,
    Entry,
    Kind,
    Query,
    Term,
    facet,
    keys,
    pairs,
    side_by_side,
    spread,
    top,
)  # fmt: skip
from schemas.storage import Transaction

PART: Final = 4096
"""Texts in one part: a search costs a fortieth of a millisecond for each part it goes through, and reads at most so many rows in each."""
LOOK: Final = 128
"""One text in so many looks whether its part is full: counting costs, and whoever counts is in the way of whoever writes there meanwhile."""
SAID: Final = {facet("kind", "request"): 1, facet("kind", "offer"): 2, facet("state", "open"): 4}
"""What nearly every search asks, and much of what there is has: it stands in the row, where it costs less than its long lists in the index."""
EVERY: Final = facet("all", "")
MARK: Final = "\ue002"
"""Where a part is named in what is asked of every part."""
MOST_PLACES: Final = 16_000
SURELY: Final = 10
"""By how much the statistics, which are of a sample and of some time ago, have to say more than `COMMON` to be believed."""

THERE: Final = """
select case when to_regclass('text_state') is null then 0 else 1 end as n
"""

TABLES: Final = (
    """
    create table text_state (
      id bigint primary key check (id = 1),
      version text not null,
      filled bigint not null,
      secret bytea not null
    )
    """,
    """
    create table text_part (
      id bigint primary key,
      low bigint not null unique
    )
    """,
    """
    create table text_entry (
      id bigint primary key references listing (post_id) on delete cascade,
      said bigint not null,
      found tsvector not null,
      words tsvector not null,
      grams bigint[] not null
    )
    """,
    # Rows stay small, so that a part of them is a few pages: all but the numbers lies aside. What is found by is read by nobody, so it may take long to unpack.
    "alter table text_entry alter column words set storage external",
    "alter table text_entry set (toast_tuple_target = 128)",
    "create index text_entry_found on text_entry using gin (found) with (fastupdate = off)",
    "create index text_entry_grams on text_entry using gin (grams) with (fastupdate = off)",
    # What lies ready for matching (`fedmatch.board.gists`).
    """
    create table text_gist (
      id bigint primary key references listing (post_id) on delete cascade,
      packed bytea not null
    )
    """,
    """
    create table text_topic (
      side text not null,
      slug text not null,
      id bigint not null references listing (post_id) on delete cascade,
      here bigint not null,
      weight bigint not null,
      primary key (side, slug, id) include (here, weight)
    )
    """,
    "create index text_topic_id on text_topic (id)",
    "alter table text_gist alter column packed set storage external",
)

DROP: Final = tuple(f"drop table if exists {name}" for name in ("text_topic", "text_gist", "text_entry", "text_part", "text_state"))

PART_OF: Final = """
select text_part.id, text_part.low
from text_part
where text_part.low <= :id
order by text_part.low desc
limit 1
"""

NEXT_LOW: Final = """
select min(text_part.low) as low
from text_part
where text_part.low > :low
"""

LAST_PART: Final = """
select max(text_part.id) as id
from text_part
"""

NEW_PART: Final = """
insert into text_part (id, low)
values (:id, :low)
"""

NARROW: Final = """
update text_part
set low = :low
where id = :id
"""

IN_PART: Final = """
select count(*) as texts, min(text_entry.id) as bottom, max(text_entry.id) as top
from text_entry
where text_entry.id >= :low
  and text_entry.id < :high
"""

PUT: Final = """
insert into text_entry (id, said, found, words, grams)
values (:id, :said, cast(cast(:found as text) as tsvector), cast(cast(:words as text) as tsvector), cast(cast(:grams as text) as bigint[]))
on conflict (id) do update
set said = excluded.said, found = excluded.found, words = excluded.words, grams = excluded.grams
"""

REMOVE: Final = """
delete from text_entry
where id = :id
"""

# From the newest part to the oldest, each asked only while the parts before it did not suffice. What is asked exactly is unpacked once, not for every row.
_HITS: Final = """
  from (
    select text_part.id, text_part.low
    from text_part
    where text_part.low < :before
    order by text_part.low desc
    offset 0
  ) as part
  cross join lateral (
    select text_entry.id, text_entry.words
    from text_entry
    where text_entry.found @@ cast(replace(cast(:sought as text), :mark, to_hex(part.id)) as tsquery)
      and text_entry.id < :before
      and (text_entry.said & :said) = :said
      and (cast(:exact as text) = '' or text_entry.words @@ (select cast(cast(:exact as text) as tsquery)))
    order by text_entry.id desc
    limit :limit
  ) as hit
  limit :limit
"""

NEWEST: Final = f"""
select hit.id
{_HITS}
"""

RANKED: Final = f"""
select hits.id, cast(ts_rank(hits.words, (select cast(cast(:ranked as text) as tsquery)), 1) as double precision) as score
from (
  select hit.id, hit.words
  {_HITS}
) as hits
order by score desc, hits.id desc
limit :best
"""  # noqa: S608  # only our own constant is put in

# What the statistics of the table call common many times over is not counted once more: its list in the index is long, and is read whole.
HAVING: Final = """
with common as materialized (
  select elem.key
  from pg_stats as stats
  join pg_class as class on class.oid = to_regclass('text_entry')
  cross join unnest(cast(cast(stats.most_common_elems as text) as bigint[]), stats.most_common_elem_freqs) as elem (key, share)
  where stats.schemaname = current_schema()
    and stats.tablename = 'text_entry'
    and stats.attname = 'grams'
    and elem.share * class.reltuples > cast(:common as integer)
)
select wanted.key, cast(array(
  select text_entry.id
  from text_entry
  where text_entry.grams @> array[wanted.key]
  limit :limit
) as text) as ids
from unnest(cast(cast(:keys as text) as bigint[])) as wanted (key)
where cast(:common as integer) = 0
  or not exists (
    select 1
    from common
    where common.key = wanted.key
  )
"""

# With a limit the planner would rather read the table from its start, every array of it.
BY_INDEX: Final = "set local enable_seqscan = off"
AS_BEFORE: Final = "set local enable_seqscan = on"


async def there(tx: Transaction) -> bool:
    """Whether this database has an index, whatever it was made with."""
    row = await tx.one(THERE)
    return row is not None and bool(row["n"])


async def create(tx: Transaction) -> None:
    """Makes its tables."""
    for statement in TABLES:
        await tx.execute(statement)


async def drop(tx: Transaction) -> None:
    """Takes all of it away."""
    for statement in DROP:
        await tx.execute(statement)


def _lexeme(word: str) -> str:
    return "'" + word.replace("\\", "").replace("'", "") + "'"


def ranked(terms: Sequence[Term]) -> str:
    """Words as a tsquery, everything quoted: what is ranked by, and what finds words in a row exactly."""
    return " & ".join(f"({' <-> '.join(_lexeme(word) for word in term.words)}{':*' if term.prefix else ''})" for term in terms)


def exact(query: Query) -> str:
    """What the index does not tell of a query: whether words stand in a row. Empty where there are no such."""
    return ranked([term for term in query.terms if len(term.words) > 1])


def sought(query: Query) -> tuple[str, int]:
    """What the index of a part is asked, as a tsquery with `MARK` for the part, and what the row is asked."""
    asked: list[str] = []
    said = 0
    for term in query.terms:
        asked += [_marked(MARK, word) + (":*" if term.prefix else "") for word in dict.fromkeys((*term.words, *pairs(term.words)))]
    for group in query.facets:
        if len(group) == 1 and group[0] in SAID:
            said |= SAID[group[0]]
        else:
            asked.append("(" + " | ".join(_marked(MARK, one) for one in group) + ")")
    return " & ".join(asked) or _marked(MARK, EVERY), said


def _marked(part: str, word: str) -> str:
    return _lexeme(f"{part}.{word}")


def found(entry: Entry, part: int) -> str:
    """What a text is found by, as a tsvector: every word and facet once, and what stands side by side, each with the part it stands in."""
    facets = [one for one in entry.facets if one not in SAID]
    return " ".join(_marked(f"{part:x}", one) for one in dict.fromkeys((*entry.title, *entry.told, *entry.text, *facets, *side_by_side(entry))))


def said(entry: Entry) -> int:
    """What stands in the row of it."""
    return sum(SAID.get(one, 0) for one in entry.facets)


def vector(entry: Entry) -> str:
    """The words of a text as a tsvector: places for phrases, a gap between the parts, weights A for the title and B for what is told of it."""
    places: dict[str, list[str]] = {}
    at = 0
    for words, weight in ((entry.title, "A"), (entry.told, "B"), (entry.text, "")):
        for word in words:
            at += 1
            if at < MOST_PLACES:
                places.setdefault(word, []).append(f"{at}{weight}")
            else:
                places.setdefault(word, [])
        at += 10
    return " ".join(_lexeme(word) + (":" + ",".join(spots[:200]) if spots else "") for word, spots in places.items())


def _array(keys: "dict[int, int] | list[int]") -> str:
    return "{" + ",".join(str(key) for key in keys) + "}"


class PostgresqlText:
    """`TextIndex` on PostgreSQL."""

    async def put(self, tx: Transaction, entry: Entry) -> bool:
        part = await self._part(tx, entry.id)
        grams: dict[int, int] = {} if entry.alike is None else keys(entry.alike, entry.source)
        await tx.execute(PUT, id=entry.id, said=said(entry), found=found(entry, part), words=vector(entry), grams=_array(grams))
        return False  # what the server's files keep of old rows is the server's: docs/decisions/0002-two-engines.md

    async def remove(self, tx: Transaction, id: int) -> bool:
        return bool(await tx.execute(REMOVE, id=id))

    async def _part(self, tx: Transaction, id: int) -> int:
        """The part that a text of this key belongs into; a new one above the newest or below the oldest where that is full."""
        row = await tx.one(PART_OF, id=id)
        if row is None:
            return await self._new(tx, 0)
        part, low = int(row["id"]), int(row["low"])
        if zlib.crc32(b"%d" % id) % LOOK:
            return part
        above = await tx.one(NEXT_LOW, low=low)
        newest = above is None or above["low"] is None
        full = await tx.one(IN_PART, low=low, high=END if newest or above is None else above["low"])
        if full is None or full["texts"] < PART:
            return part
        if newest and id > full["top"]:
            return await self._new(tx, id)
        if low == 0 and id < full["bottom"]:
            await tx.execute(NARROW, id=part, low=full["bottom"])
            return await self._new(tx, 0)
        return part

    async def _new(self, tx: Transaction, low: int) -> int:
        last = await tx.one(LAST_PART)
        part = 1 + (int(last["id"]) if last is not None and last["id"] is not None else 0)
        await tx.execute(NEW_PART, id=part, low=low)
        return part

    async def newest(self, tx: Transaction, query: Query, before: int, limit: int) -> list[int]:
        asked, said = sought(query)
        rows = await tx.all(NEWEST, sought=asked, mark=MARK, said=said, exact=exact(query), before=before, limit=limit)
        return [int(row["id"]) for row in rows]

    async def best(self, tx: Transaction, query: Query) -> list[tuple[float, int]]:
        asked, said = sought(query)
        rows = await tx.all(
            RANKED, sought=asked, mark=MARK, said=said, exact=exact(query), ranked=ranked(query.terms), before=END, limit=MOST_RANKED, best=MOST_BEST
        )
        return [(float(row["score"]), int(row["id"])) for row in rows]

    async def alike(self, tx: Transaction, kind: Kind, source: str, limit: int) -> list[tuple[float, int]]:
        asked = spread(keys(kind, source))
        if not asked:
            return []
        having = await self._having(tx, asked, SURELY * COMMON)
        # All are here already, so none is left out but what is too common.
        rare = [key for key in asked if 0 < len(having.get(key, ())) < COMMON]
        if not rare:
            having = await self._having(tx, asked, 0)
            rare = [key for key in asked if having[key]]
        weights: dict[int, float] = {}
        for key in rare:
            for one in having[key]:
                weights[one] = weights.get(one, 0.0) + math.log(1 + 1000 / (0.5 + len(having[key])))
        return top(weights, limit)

    async def _having(self, tx: Transaction, asked: Sequence[int], common: int) -> dict[int, list[int]]:
        """At most `COMMON` texts with each gram; of those that more than `common` texts are said to have nothing, unless that is 0."""
        await tx.execute(BY_INDEX)
        rows = await tx.all(HAVING, keys=_array(list(asked)), limit=COMMON, common=common)
        await tx.execute(AS_BEFORE)
        return {int(row["key"]): [int(one) for one in row["ids"].strip("{}").split(",") if one] for row in rows}

    async def clean(self, tx: Transaction) -> bool:
        return False

    async def unclean(self, tx: Transaction) -> bool:
        return False


__all__ = ["PostgresqlText", "create", "drop", "there"]
