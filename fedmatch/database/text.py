"""In which texts do these words stand? The one thing that is written twice: SQLite's FTS5 and PostgreSQL's tsvector, behind one shape.

We cut texts into words ourselves (fedmatch/matching/terms.py), so both engines find the same. Only what everybody may read comes in here; the same shape over
a database in memory serves what is not public (`fedmatch/board/index.py`). Decisions and figures: docs/decisions/0017-search.md, 0027-parts.md.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final, Literal, Protocol

import msgspec

from fedmatch.database.engine import Engine
from fedmatch.matching import gist, terms
from schemas.reading import Row
from schemas.storage import Database, Transaction

FORMAT: Final = 3
"""Counted up when what stands in an index means something else."""
LONGEST_WORD: Final = 48
MOST_GRAMS: Final = 1_500
"""Letters of a text that are cut into grams."""
MOST_RANKED: Final = 1_000
"""Matches that are ranked, the newest ones: ranking costs as much as it looks at."""
MOST_BEST: Final = 1_000
"""How far down one can read a ranked list."""
COMMON: Final = 80
"""A gram found so often in one part of the index is no help to tell texts apart."""
MOST_KEYS: Final = 200
"""Grams of a text that are counted, spread over it by chance: more tell no more."""
MOST_ASKED: Final = 20
"""The rarest of them, which are looked up in a large index."""
SMALL: Final = 2_000
"""In an index of so many texts all that are counted are looked up."""
FACET: Final = "\ue000"
"""Begins what is no word but says something about a text; letters for private use occur in no word."""
PAIR: Final = "\ue001"
"""Begins what stands for two words side by side."""
PAIRS: Final = 1 << 16
"""So many are told apart. More would make an index twice as large, and save little: the two words are asked for as well."""

Kind = Literal["request", "offer"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What an index holds of one text: its words by weight, what is said about it, and the text of which grams are made (if it is to be found as alike)."""

    id: int
    title: tuple[str, ...]
    told: tuple[str, ...]
    text: tuple[str, ...]
    facets: tuple[str, ...]
    alike: Kind | None
    source: str

    def packed(self) -> bytes:
        """The bytes an index keeps to know later what it holds."""
        return zlib.compress(msgspec.json.encode([*(" ".join(part) for part in (self.title, self.told, self.text, self.facets)), self.alike, self.source]), 6)


def unpacked(id: int, packed: bytes) -> Entry:
    """The entry of these bytes."""
    title, told, text, facets, alike, source = msgspec.json.decode(zlib.decompress(packed))
    return Entry(id, tuple(title.split()), tuple(told.split()), tuple(text.split()), tuple(facets.split()), alike, source)


@dataclass(frozen=True, slots=True)
class Term:
    """One word, or several in a row; `prefix`: longer words that begin with it count as well."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: every term, and of each group of facets at least one."""

    terms: tuple[Term, ...] = ()
    facets: tuple[tuple[str, ...], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether everything fits."""
        return not self.terms and not self.facets


def facet(name: str, value: str) -> str:
    """Something said about a text, as it stands in an index: letters and digits alone."""
    return FACET + name + "".join(letter for letter in value.lower() if letter.isalnum())


def keys(kind: Kind, source: str) -> dict[int, int]:
    """The grams of a text of one kind, as numbers of 40 bits with how often each occurs."""
    start = zlib.crc32(kind.encode())
    side = (kind == "offer") << 32
    return {zlib.crc32(gram.encode("utf-8", "replace"), start) | side: count for gram, count in terms.grams(source[:MOST_GRAMS]).items()}


def spread(found: Mapping[int, int]) -> list[int]:
    """At most `MOST_KEYS` of the grams of a text, always the same ones."""
    return sorted(found, key=lambda key: (key * 0x9E3779B1 & 0xFFFFFFFF, key))[:MOST_KEYS]


def pairs(words: tuple[str, ...]) -> tuple[str, ...]:
    """What stands in an index for each two words side by side. It tells where words in a row may be; that they are there is to be looked at.

    There is none of letters and pairs of a script without blanks.
    """
    plain = pairwise(words)
    made = (f"{first}_{second}".encode("utf-8", "replace") for first, second in plain if not (terms.spaceless(first) or terms.spaceless(second)))
    return tuple(dict.fromkeys(f"{PAIR}{zlib.crc32(one) % PAIRS:x}" for one in made))


def side_by_side(entry: Entry) -> tuple[str, ...]:
    """All of a text; the end of its title and the beginning of what follows are not."""
    return tuple(dict.fromkeys(one for words in (entry.title, entry.told, entry.text) for one in pairs(words)))


class TextIndex(Protocol):
    """An index over texts, written in the transaction that writes the text."""

    async def put(self, tx: Transaction, entry: Entry) -> bool:
        """Brings what is held of a text up to date; whether there is something to `clean` now: words that stood there before, or a part that is full."""
        ...

    async def remove(self, tx: Transaction, id: int) -> bool:
        """Takes a text out; whether there was one."""
        ...

    async def newest(self, tx: Transaction, query: Query, before: int, limit: int) -> list[int]:
        """The ids of texts that fit and are older than the key `before`, newest first."""
        ...

    async def best(self, tx: Transaction, query: Query) -> list[tuple[float, int]]:
        """Of the newest `MOST_RANKED` that fit the best `MOST_BEST`, best first, as (score, id); equal ones newest first."""
        ...

    async def alike(self, tx: Transaction, kind: Kind, source: str, limit: int) -> list[tuple[float, int]]:
        """Texts of `kind` that share rare grams with `source`, best first, as (weight, id)."""
        ...

    async def clean(self, tx: Transaction) -> bool:
        """Takes one step toward nothing being readable that was taken out; False if there was nothing to do."""
        ...

    async def unclean(self, tx: Transaction) -> bool:
        """Whether `clean` has something to do."""
        ...


def of(database: Database) -> TextIndex:
    """The index of a database, whichever engine it is on."""
    if database.engine == "sqlite":
        from fedmatch.database.sqlite_text import SqliteText

        return SqliteText()
    from fedmatch.database.postgresql_text import PostgresqlText

    return PostgresqlText()


def version() -> str:
    """What an index was made with: it is made again when words are cut otherwise, or tags are called otherwise, or others are the cues of a skill."""
    from schemas import vocabulary

    made: list[object] = [FORMAT, LONGEST_WORD, MOST_GRAMS, terms.mark(), gist.version()]
    made += [(one.slug, sorted(one.labels.items()), [(skill.slug, sorted(skill.labels.items())) for skill in one.skills]) for one in vocabulary.categories()]
    return sha256(msgspec.json.encode(made)).hexdigest()[:32]


STATE: Final = """
select text_state.version, text_state.filled, text_state.secret
from text_state
"""


@dataclass(frozen=True, slots=True)
class Condition:
    """How an index is: `made` for the words as they are cut now, `filled` with all there is, `unclean` while words of what was deleted lie in it."""

    made: bool
    filled: bool
    unclean: bool


async def condition(tx: Transaction, database: Database) -> Condition:
    """How the index of a database is."""
    if database.engine == "sqlite":
        from fedmatch.database import sqlite_text as engine
    else:
        from fedmatch.database import postgresql_text as engine  # type: ignore[no-redef]  # one of two that are alike
    row: Row | None = await tx.one(STATE) if await engine.there(tx) else None
    if row is None or row["version"] != version():
        return Condition(made=False, filled=False, unclean=False)
    return Condition(made=True, filled=row["filled"] == FULL, unclean=await of(database).unclean(tx))


FILLED: Final = """
update text_state
set filled = :filled
where id = 1
"""

BEGUN: Final = """
insert into text_state (id, version, filled, secret)
values (1, :version, :filled, :secret)
"""

NEWEST: Final = """
select max(listing.post_id) as id
from listing
"""

END: Final = 2**63 - 1
FULL: Final = 0


async def prepare(database: Engine) -> None:
    """Makes the tables of the index where there are none, and makes them anew if words were cut otherwise. Filling them is a job (`board.index.fill`).

    Migrations cannot say these tables; so they are made here, after them, in one transaction.
    """
    await database.write(_prepare, database, version())


async def _prepare(tx: Transaction, database: Engine, made_with: str) -> None:
    import secrets

    if database.engine == "sqlite":
        from fedmatch.database import sqlite_text as engine
    else:
        from fedmatch.database import postgresql_text as engine  # type: ignore[no-redef]  # one of two that are alike
    there = await engine.there(tx)
    row: Row | None = await tx.one(STATE) if there else None
    if row is not None and row["version"] == made_with:
        return
    if there:
        await engine.drop(tx)
    await engine.create(tx)
    newest = await tx.one(NEWEST)
    filled = FULL if newest is None or newest["id"] is None else END
    secret = bytes(row["secret"]) if row is not None else secrets.token_bytes(32)
    await tx.execute(BEGUN, version=made_with, filled=filled, secret=secret)


def top(weights: Mapping[int, float], limit: int) -> list[tuple[float, int]]:
    """The heaviest, heaviest first, equal ones newest first."""
    return sorted(((weight, text_id) for text_id, weight in weights.items()), reverse=True)[:limit]
