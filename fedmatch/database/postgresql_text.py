"""How does PostgreSQL find words? A tsvector (`simple`, our own words with their places and weights) and the keys of grams, both under GIN.

A common word is found by walking back from the newest text, a rare one through the index: each is slow where the other is fast, and how many of the newest 600
fit says which it is. Rows go with their listing by a foreign key; GIN keeps no list of pending words (`fastupdate = off`). pg_trgm is not needed: our grams are
of four letters, and the same on both engines.
"""

import math
from typing import Final

from fedmatch.database.text import COMMON, MOST_BEST, MOST_RANKED, Entry, Kind, Query, Term, facet, keys, spread, top
from schemas.storage import Transaction

WALK: Final = 600
"""Newest texts that are looked at one by one before the index is asked."""
MOST_WALKED: Final = 3_000
"""So many are looked at where the first ones promise that they suffice: 1 to 2 us each, where each match that the index finds costs a page, 3 to 5 us."""
LONGEST_WALKED: Final = 10_000
"""And so many where words are to stand in a row, which the index cannot tell."""
SHORTEST_RANKED: Final = 1_500
LONGEST_RANKED: Final = 6_000
"""Texts that are looked at where matches are ranked, from and to."""
OFTEN: Final = 20
"""So many matches among the first, and the word is too common for the index to gather all of its texts."""
COMMON_FACETS: Final = tuple(facet(name, "") for name in ("all", "kind", "state", "home", "speaks"))
MOST_PLACES: Final = 16_000

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
    create table text_entry (
      id bigint primary key references listing (post_id) on delete cascade,
      words tsvector not null,
      grams bigint[] not null
    )
    """,
    # Words are read on every walk, so they stay in the row and as they are; grams are looked up in their index alone, and may lie aside.
    "alter table text_entry alter column words set storage external",
    "alter table text_entry set (toast_tuple_target = 4080)",
    "create index text_entry_words on text_entry using gin (words) with (fastupdate = off)",
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

DROP: Final = tuple(f"drop table if exists {name}" for name in ("text_topic", "text_gist", "text_entry", "text_state"))

PUT: Final = """
insert into text_entry (id, words, grams)
values (:id, cast(cast(:words as text) as tsvector), cast(cast(:grams as text) as bigint[]))
on conflict (id) do update
set words = excluded.words, grams = excluded.grams
"""

REMOVE: Final = """
delete from text_entry
where id = :id
"""

WALKED: Final = """
select newest.id
from (
  select text_entry.id, text_entry.words
  from text_entry
  where text_entry.id < :before
  order by text_entry.id desc
  limit :walk
) as newest
where newest.words @@ cast(cast(:asked as text) as tsquery)
order by newest.id desc
limit :limit
"""

INDEXED: Final = """
select hit.id
from (
  select text_entry.id
  from text_entry
  where text_entry.words @@ cast(cast(:sought as text) as tsquery)
    and text_entry.words @@ cast(cast(:asked as text) as tsquery)
    and text_entry.id < :before
  offset 0
) as hit
order by hit.id desc
limit :limit
"""

RANK_WALKED: Final = """
select hit.id, cast(ts_rank(hit.words, cast(cast(:ranked as text) as tsquery), 1) as double precision) as score
from (
  select newest.id, newest.words
  from (
    select text_entry.id, text_entry.words
    from text_entry
    order by text_entry.id desc
    limit :walk
  ) as newest
  where newest.words @@ cast(cast(:asked as text) as tsquery)
) as hit
order by score desc, hit.id desc
limit :limit
"""

RANK_INDEXED: Final = """
select best.id, best.score
from (
  select hit.id, cast(ts_rank(hit.words, cast(cast(:ranked as text) as tsquery), 1) as double precision) as score
  from (
    select text_entry.id, text_entry.words
    from text_entry
    where text_entry.words @@ cast(cast(:sought as text) as tsquery)
      and text_entry.words @@ cast(cast(:asked as text) as tsquery)
    order by text_entry.id desc
    limit :most
  ) as hit
) as best
order by best.score desc, best.id desc
limit :limit
"""

HAVING: Final = """
select wanted.key, cast(array(
  select text_entry.id
  from text_entry
  where text_entry.grams @> array[wanted.key]
  limit :limit
) as text) as ids
from unnest(cast(cast(:keys as text) as bigint[])) as wanted (key)
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


def _term(term: Term) -> str:
    words = " <-> ".join(_lexeme(word) for word in term.words)
    return f"({words}{':*' if term.prefix else ''})"


def match(query: Query) -> tuple[str, str]:
    """The query as a tsquery, everything quoted; and its words alone, which are what is ranked."""
    terms = [_term(term) for term in query.terms]
    groups = ["(" + " | ".join(_lexeme(one) for one in group) + ")" for group in query.facets]
    return " & ".join([*terms, *groups]), " & ".join(terms)


def sought(query: Query) -> str:
    """What the index alone is asked: without facets that nearly every text has, whose long lists it would read for nothing."""
    few = tuple(group for group in query.facets if not any(one.startswith(COMMON_FACETS) for one in group))
    return match(Query(query.terms, few))[0] or match(query)[0]


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
    words_in_place = [_lexeme(word) + (":" + ",".join(found[:200]) if found else "") for word, found in places.items()]
    return " ".join([*words_in_place, *(_lexeme(one) for one in entry.facets)])


def _array(keys: "dict[int, int] | list[int]") -> str:
    return "{" + ",".join(str(key) for key in keys) + "}"


class PostgresqlText:
    """`TextIndex` on PostgreSQL."""

    async def put(self, tx: Transaction, entry: Entry) -> bool:
        grams: dict[int, int] = {} if entry.alike is None else keys(entry.alike, entry.source)
        await tx.execute(PUT, id=entry.id, words=vector(entry), grams=_array(grams))
        return False  # what the server's files keep of old rows is the server's: docs/decisions/0002-two-engines.md

    async def remove(self, tx: Transaction, id: int) -> bool:
        return bool(await tx.execute(REMOVE, id=id))

    async def newest(self, tx: Transaction, query: Query, before: int, limit: int) -> list[int]:
        asked, _ = match(query)
        walk = max(WALK, limit * 2)
        rows = await tx.all(WALKED, asked=asked, before=before, walk=walk, limit=limit)
        if len(rows) < limit:
            further = walk * limit * 5 // (4 * max(1, len(rows)))
            if further <= (LONGEST_WALKED if any(len(term.words) > 1 for term in query.terms) else MOST_WALKED):  # the index knows no places of words
                rows = await tx.all(WALKED, asked=asked, before=before, walk=further, limit=limit)
        if len(rows) < limit:
            rows = await tx.all(INDEXED, asked=asked, sought=sought(query), before=before, limit=limit)
        return [int(row["id"]) for row in rows]

    async def best(self, tx: Transaction, query: Query) -> list[tuple[float, int]]:
        asked, ranked = match(query)
        some = len(await tx.all(WALKED, asked=asked, before=2**63 - 1, walk=WALK, limit=WALK))
        if some >= OFTEN:
            walk = min(max(WALK * MOST_RANKED // some, SHORTEST_RANKED), LONGEST_RANKED)
            rows = await tx.all(RANK_WALKED, asked=asked, ranked=ranked, walk=walk, limit=MOST_BEST)
        else:
            rows = await tx.all(RANK_INDEXED, asked=asked, sought=sought(query), ranked=ranked, most=MOST_RANKED, limit=MOST_BEST)
        return [(float(row["score"]), int(row["id"])) for row in rows]

    async def alike(self, tx: Transaction, kind: Kind, source: str, limit: int) -> list[tuple[float, int]]:
        asked = spread(keys(kind, source))
        if not asked:
            return []
        await tx.execute(BY_INDEX)
        rows = await tx.all(HAVING, keys=_array(asked), limit=COMMON)
        await tx.execute(AS_BEFORE)
        having = {int(row["key"]): [int(one) for one in row["ids"].strip("{}").split(",") if one] for row in rows}
        found = [key for key in asked if having[key]]
        # All are here already, so none is left out but what is too common.
        rare = [key for key in found if len(having[key]) < COMMON] or found
        weights: dict[int, float] = {}
        for key in rare:
            for one in having[key]:
                weights[one] = weights.get(one, 0.0) + math.log(1 + 1000 / (0.5 + len(having[key])))
        return top(weights, limit)

    async def clean(self, tx: Transaction) -> bool:
        return False

    async def unclean(self, tx: Transaction) -> bool:
        return False


__all__ = ["PostgresqlText", "create", "drop", "there"]
