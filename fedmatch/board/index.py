"""Which listings say this, and which are alike? What everybody may read stands in the index of the database; the rest in one in memory, never on a disk.

The hooks stand in `listings.write`, `set_state` and `remove`, in the transaction that writes the listing: a post that is no listing never comes here.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from fedmatch.board import gists, listings, private
from fedmatch.board.listings import Listing
from fedmatch.database import sqlite_text, text
from fedmatch.database.text import Entry, facet
from fedmatch.jobs import enqueue
from fedmatch.matching import terms
from schemas import vocabulary
from schemas.objects import Purpose
from schemas.storage import StorageError, Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MOST_WORDS: Final = 6_000
CHUNK: Final = 50
"""Listings that one step of the filling writes: some tenths of a second on a small machine."""
CATCH_UP_S: Final = 0.25
"""How long one call brings the index in memory up to date; what is still missing comes with the next."""
NAME: Final = "private words"
CLOSED_STATES: Final = ("fulfilled", "expired", "withdrawn")

ONE: Final = f"""
select {listings.COLUMNS}
from listing
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where listing.post_id = :id
"""  # noqa: S608  # only our own constant is put in

OLDER: Final = f"""
select {listings.COLUMNS}
from listing
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where listing.audience = 'public'
  and listing.post_id < :before
order by listing.post_id desc
limit :limit
"""  # noqa: S608  # only our own constant is put in

REVISION: Final = """
select listing.revision
from listing
where listing.post_id = :id
  and listing.audience = 'public'
"""


def words(some: str) -> tuple[str, ...]:
    """The words of a text as they stand in an index, at most `MOST_WORDS`."""
    return tuple(word[: text.LONGEST_WORD] for word in terms.words(some)[:MOST_WORDS] if word)


@cache
def _label(slug: str, language: str) -> tuple[str, ...]:
    return words(f"{slug} {vocabulary.label(slug, language)}")


def told(listing: Listing) -> tuple[str, ...]:
    """What is told beside title and text: fields of help and skills in the language of the listing, needs, titles in other languages."""
    found: list[str] = []
    for slug in (*listing.categories, *listing.skills):
        found += _label(slug, listing.language or "en")
    for need in listing.needs:
        found += words(need.name)
    for other in listing.translations:
        found += words(other.title)
    return tuple(found)


def tags(listing: Listing) -> tuple[str, ...]:
    """Fields of help and skills by which it is found; who looks through a field finds what needs one of its skills as well."""
    fields = (vocabulary.category(slug).slug for slug in listing.skills if vocabulary.is_skill(slug))
    return tuple(dict.fromkeys((*listing.categories, *fields, *listing.skills)))


def facets(listing: Listing) -> tuple[str, ...]:
    """What is said about a listing beside its words; each is a filter."""
    spoken = listing.language or ""
    found = ["all", f"kind.{listing.kind}", f"state.{listing.state}", "home." + ("here" if listing.local else "there")]
    named: Iterable[tuple[str, Sequence[str | None]]] = (
        ("tag", tags(listing)),
        ("speaks", listing.speaks),
        ("language", (spoken, spoken.partition("-")[0])),
        ("region", (listing.region,)),
        ("helper", (listing.helper_region,)),
        ("urgency", (listing.urgency,)),
        ("origin", (origin(listing.origin),)),
        ("author", (str(listing.actor_id),)),
        ("only", ("speaks" if listing.only_speaks else None, "region" if listing.only_region else None)),
        ("checked", ("yes" if any(vouch.level > 0 for vouch in listing.vouches) else None,)),
    )
    for name, values in named:
        found += [f"{name}.{value}" for value in values if value]
    return tuple(dict.fromkeys(facet(*one.split(".", 1)) if "." in one else facet(one, "") for one in found))


def origin(host: str) -> str:
    """A host as a facet holds it, whose letters alone would not tell `a.bc` from `ab.c`."""
    return host.lower().encode("utf-8", "replace").hex()


def entry(listing: Listing) -> Entry:
    """What an index holds of a listing. What is not open is found by words, but is not alike to anything."""
    body = [listing.text, *(other.text for other in listing.translations)]
    return Entry(
        id=listing.id,
        title=words(listing.title),
        told=told(listing),
        text=tuple(word for part in body for word in words(part)),
        facets=facets(listing),
        alike=listing.kind if listing.state == "open" else None,
        source=source(listing),
    )


def source(listing: Listing) -> str:
    """The text by whose grams a listing is found to be alike."""
    parts = [listing.title, *(need.name for need in listing.needs), listing.text, *(other.text for other in listing.translations)]
    return "\n".join([*parts, *(other.title for other in listing.translations)])[: text.MOST_GRAMS]


async def put(tx: Transaction, instance: "Instance", listing_or_id: Listing | int) -> None:
    """Brings the index up to date with a listing, in the transaction that wrote it. Only what is for everybody enters; anything else is taken out."""
    post_id = listing_or_id if isinstance(listing_or_id, int) else listing_or_id.id
    row = await tx.one(ONE, id=post_id)
    if row is None or row["audience"] != "public":
        await remove(tx, instance, post_id)
        return
    (listing,) = await listings.from_rows(tx, instance, [row])
    await gists.put(tx, listing)
    if await text.of(instance.database).put(tx, entry(listing)):
        await _erase_soon(tx, instance)


async def remove(tx: Transaction, instance: "Instance", post_id: int) -> None:
    """Takes a listing out of the index; its words are unreadable within a minute."""
    await gists.remove(tx, post_id)
    if await text.of(instance.database).remove(tx, post_id):
        await _erase_soon(tx, instance)


async def _erase_soon(tx: Transaction, instance: "Instance") -> None:
    await enqueue(tx, instance, "erase", "all", instance.clock.ms())


async def erase(instance: "Instance") -> bool:
    """Makes what was deleted unreadable in the index and in every file; False if a reader elsewhere kept it (ask again)."""
    while await instance.database.write(_clean, instance):
        continue
    return await instance.database.erase()


async def tidy_up(instance: "Instance") -> None:
    """Makes what was deleted unreadable where nobody may come to do it: a command that changed something while no worker runs. Nothing else waits for it."""
    if (await instance.database.read(text.condition, instance.database)).unclean:
        with suppress(StorageError):  # the job that was asked for does it as well, later
            await erase(instance)


async def _clean(tx: Transaction, instance: "Instance") -> bool:
    return await text.of(instance.database).clean(tx)


async def alike(tx: Transaction, instance: "Instance", listing: Listing, kind: text.Kind, limit: int) -> list[int]:
    """Open listings of `kind` that share rare four letters with this one, best first: public ones, and with an open vault all others. Call it in a read.

    A candidate is no answer: who may hear of it, and whether its time is over, is for the caller to ask.
    """
    told = source(listing)
    found = await text.of(instance.database).alike(tx, kind, told, limit + 1)
    if instance.vault.locked:
        instance.memory.pop(NAME, None)
    else:
        memory = await _memory(tx, instance)
        found += await memory.alike(kind, told, limit + 1)
    return [post_id for _, post_id in sorted(found, reverse=True) if post_id != listing.id][:limit]


async def about(tx: Transaction, instance: "Instance", kind: Purpose, slugs: Sequence[str], limit: int, *, here: bool = False) -> list[int]:
    """Open listings of `kind` that are about the same, by tags or by their words: public ones, and with an open vault all others. As `alike` else.

    `here`: only those of this instance.
    """
    found = await gists.about(tx, kind, slugs, limit, here=here)
    if not instance.vault.locked:
        memory = await _memory(tx, instance)
        found += await memory.about(kind, slugs, limit, here=here)
    return [post_id for _, post_id in sorted(found, reverse=True)][:limit]


async def gists_of(tx: Transaction, instance: "Instance", some: Sequence[Listing]) -> dict[int, bytes]:
    """The gists of these listings as bytes; of one that was not looked at yet there is none."""
    found = await gists.some(tx, [one.id for one in some if one.public])
    hidden = [one for one in some if not one.public]
    if hidden and not instance.vault.locked:
        memory = await _memory(tx, instance)
        found |= await memory.gists_of(hidden)
    return found


async def fill(instance: "Instance") -> None:
    """Puts what is public and not yet in the index into it, newest first, a few at a time; others write meanwhile. Begins again where it stopped."""
    while True:
        state = await instance.database.read(_state)
        if state == text.FULL:
            return
        found = await instance.database.read(_older, instance, state)
        made = [(listing, entry(listing), revision) for listing, revision in found]
        await instance.database.write(_fill, instance, made)


async def _state(tx: Transaction) -> int:
    row = await tx.one(text.STATE)
    return text.FULL if row is None else int(row["filled"])


async def _older(tx: Transaction, instance: "Instance", before: int) -> list[tuple[Listing, int]]:
    rows = await tx.all(OLDER, before=before, limit=CHUNK)
    return list(zip(await listings.from_rows(tx, instance, rows), [int(row["revision"]) for row in rows], strict=True))


async def _fill(tx: Transaction, instance: "Instance", made: Sequence[tuple[Listing, Entry, int]]) -> None:
    index = text.of(instance.database)
    for listing, one, revision in made:
        row = await tx.one(REVISION, id=one.id)
        if row is not None and row["revision"] == revision:  # whoever wrote it since put it here
            await gists.put(tx, listing)
            if await index.put(tx, one):
                await _erase_soon(tx, instance)
    await tx.execute(text.FILLED, filled=made[-1][0].id if len(made) == CHUNK else text.FULL)


@dataclass(slots=True)
class Memory:
    """The index of what is not public: FTS5 in memory, of one process, gone when the vault locks."""

    tx: sqlite_text.Direct
    held: dict[int, Listing] = field(default_factory=dict)
    index: sqlite_text.SqliteText = field(default_factory=sqlite_text.SqliteText)
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: Sequence[Listing] | None = None
    """What all of it was brought up to date with last."""

    async def catch_up(self, live: Sequence[Listing]) -> None:
        """Puts in what is new or changed and takes out what is gone, for at most `CATCH_UP_S`."""
        if live is self.done:
            return
        until = monotonic() + CATCH_UP_S
        now = {one.id: one for one in live}
        with self.lock:
            self.done = None
            await self.tx.execute("begin")
            try:
                self.done = live if await self._catch_up(now, until) else None
            finally:
                await self.tx.execute("commit")

    async def _catch_up(self, now: Mapping[int, Listing], until: float) -> bool:
        """Whether nothing is missing now."""
        for post_id in [post_id for post_id in self.held if post_id not in now]:
            await gists.remove(self.tx, post_id)
            await self.index.remove(self.tx, post_id)
            del self.held[post_id]
        late = [one for one in now.values() if self.held.get(one.id) is not one]
        late.sort(key=lambda one: (one.id in self.held, -one.id))  # what nobody can find yet comes first, the newest before the others
        for one in late:
            await gists.put(self.tx, one)
            await self.index.put(self.tx, entry(one))
            self.held[one.id] = one
            if monotonic() > until:
                log.info("board.memory_index_filling", held=len(self.held), of=len(now))
                return one is late[-1]
        return True

    async def alike(self, kind: text.Kind, source: str, limit: int) -> list[tuple[float, int]]:
        """As `TextIndex.alike`."""
        with self.lock:
            return await self.index.alike(self.tx, kind, source, limit)

    async def about(self, kind: Purpose, slugs: Sequence[str], limit: int, *, here: bool) -> list[tuple[int, int]]:
        """As `gists.about`."""
        with self.lock:
            return await gists.about(self.tx, kind, slugs, limit, here=here)

    async def gists_of(self, some: Sequence[Listing]) -> dict[int, bytes]:
        """As `gists.some`; of a listing that says something else now nothing."""
        with self.lock:
            return await gists.some(self.tx, [one.id for one in some if self.held.get(one.id) is one])

    async def newest(self, query: text.Query, before: int, limit: int) -> list[int]:
        """As `TextIndex.newest`."""
        with self.lock:
            return await self.index.newest(self.tx, query, before, limit)


async def _memory(tx: Transaction, instance: "Instance") -> Memory:
    """The index of what is not public as of now. Raises `actors.vault.Locked`."""
    live = await private.live(tx, instance)
    found = instance.memory.get(NAME)
    if not isinstance(found, Memory):
        found = instance.memory[NAME] = Memory(await sqlite_text.in_memory())
    await found.catch_up(live)
    return found


def not_yet(instance: "Instance", live: Sequence[Listing]) -> Sequence[Listing]:
    """Which of `live`, all that is not public, are not yet in the index of it, which fills after a start."""
    memory = instance.memory.get(NAME)
    if not isinstance(memory, Memory):
        return live
    return () if memory.done is live else [one for one in live if memory.held.get(one.id) is not one]


async def in_memory(tx: Transaction, instance: "Instance", query: text.Query) -> list[int]:
    """Which of the listings that are not public say this, newest first. Only for who may read all of them. Raises `actors.vault.Locked`."""
    memory = await _memory(tx, instance)
    return await memory.newest(query, listings.END, private.MOST)
