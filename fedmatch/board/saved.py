"""What does somebody want to hear of when it is posted? Searches that people keep: sealed, compared here with each new listing, told of without content.

They are opened once, into memory, and lie there by what they look for: a new listing is held only against those that look for something it has.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from actors import blocks, generations, known, onetime
from actors.known import Actor
from actors.vault import Locked
from fedmatch import times
from fedmatch.board import answers, identities, index, matches, notifications, readers, search
from fedmatch.board.listings import Json, Listing
from fedmatch.board.search import Wanted
from schemas import vocabulary
from schemas.listings import Invalid
from schemas.reading import Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

MOST: Final = 50
"""Searches one person keeps."""
MOST_NAME: Final = 100
MOST_SHOWN: Final = 1_000
CHUNK: Final = 500
NAME: Final = "saved searches"


class NoSuchSearch(LookupError):
    """This person keeps no such search; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Words:
    """What rests sealed: how its owner calls it, and what it looks for. What is None does not matter."""

    name: str
    kind: str | None = None
    category: str | None = None
    skill: str | None = None
    language: str | None = None
    region: str | None = None

    def fits(self, listing: Listing) -> bool:
        """Whether a listing is such a one. Its language is one it is written in or one to talk in; its region that of the need or of the helper."""
        tags = index.tags(listing)
        spoken = {tag.partition("-")[0] for tag in (*listing.speaks, listing.language or "")}
        return (
            (self.kind is None or listing.kind == self.kind)
            and (self.category is None or self.category in tags)
            and (self.skill is None or self.skill in tags)
            and (self.language is None or self.language.partition("-")[0] in spoken)
            and (self.region is None or self.region in (listing.region, listing.helper_region))
        )


@dataclass(frozen=True, slots=True)
class Search:
    """A search that somebody keeps; `created` is a whole hour in ms UTC."""

    id: int
    actor_id: int
    words: Words
    created: int

    def json(self) -> "dict[str, Json]":
        """The form scripts read."""
        words = self.words
        return {
            "id": str(self.id),
            "name": words.name,
            "kind": words.kind,
            "category": words.category,
            "skill": words.skill,
            "language": words.language,
            "region": words.region,
            "at": times.rfc3339(self.created),
        }


def asked(
    *,
    name: str | None = None,
    kind: str | None = None,
    category: str | None = None,
    skill: str | None = None,
    language: str | None = None,
    region: str | None = None,
) -> Words:
    """What somebody looks for, from words as people type them; raises `schemas.listings.Invalid`."""
    field, ability = _slug("category", category), _slug("skill", skill)
    spoken = None if language is None else vocabulary.canonical_language(language)
    if language is not None and spoken is None:
        raise Invalid("language", f"is {language!r}, which is no language code", "write for example en, ar or zh-Hans")
    where = None if region is None else region.strip().upper()
    if where is not None and not vocabulary.is_region(where):
        raise Invalid("region", f"is {region!r}, which is no country code", "write two letters, as in SY or DE")
    found = [word for word in (kind, ability or field, spoken, where) if word]
    if not found:
        raise Invalid("search", "looks for nothing in particular", "name at least one of kind, category, skill, language, region")
    called = " ".join((name or " ".join(found)).split())
    if len(called) > MOST_NAME:
        raise Invalid("name", f"has {len(called)} letters", f"shorten it to {MOST_NAME}")
    return Words(called, kind, field, ability, spoken, where)


def _slug(field: str, word: str | None) -> str | None:
    if word is None:
        return None
    try:
        slug = vocabulary.canonical(word)
        known_one = vocabulary.is_skill(slug) if field == "skill" else vocabulary.category(slug).slug == slug
    except vocabulary.UnknownSlug as error:
        raise Invalid(field, f"is {word!r}, which is not in the taxonomy", str(error).partition("; ")[2]) from None
    if not known_one:
        raise Invalid(field, f"is {word!r}, which is no {field}", "write a category as in LegalAid, or a skill as in AsylumLaw, each with its own option")
    return slug


INSERT: Final = """
insert into saved_search (id, actor_id, sealed, created_at)
values (:id, :actor_id, :sealed, :now)
"""

OF_ACTOR: Final = """
select saved_search.*
from saved_search
where saved_search.actor_id = :actor_id
order by saved_search.id
"""

AS_OF: Final = """
select (
  select generation.value
  from generation
  where generation.name = 'searches'
) as generation, (
  select count(*)
  from saved_search
) as number
"""

IDS: Final = """
select saved_search.id
from saved_search
"""

SOME: Final = """
select saved_search.*
from saved_search
where saved_search.id between :low and :high
"""

DELETE: Final = """
delete from saved_search
where id = :id
"""


def _place(id: int) -> str:
    return f"saved_search:{id}"


def _from_row(instance: "Instance", row: Row) -> Search:
    words = msgspec.json.decode(instance.vault.open(bytes(row["sealed"]), _place(row["id"])), type=Words)
    return Search(row["id"], row["actor_id"], words, row["created_at"])


async def save(tx: Transaction, instance: "Instance", actor: Actor, words: Words) -> Search:
    """Keeps a search of one of ours, sealed; the same one again is the one there is. Raises `schemas.listings.Invalid` for too many, `Locked`."""
    before = await of_actor(tx, instance, actor)
    for one in before:
        if one.words == words:
            return one
    if len(before) >= MOST:
        raise Invalid("search", f"would be number {MOST + 1}", f"keep at most {MOST}: remove one with `fedmatch search remove ID --as {actor.username}`")
    made = Search(onetime.coarse_id(instance), actor.id, words, onetime.hour(instance))
    sealed = instance.vault.seal(msgspec.json.encode(words), _place(made.id))
    await tx.execute(INSERT, id=made.id, actor_id=actor.id, sealed=sealed, now=made.created)
    await generations.bump(tx, "searches")
    return made


async def of_actor(tx: Transaction, instance: "Instance", actor: Actor) -> list[Search]:
    """The searches that somebody keeps, oldest first. Raises `actors.vault.Locked`."""
    return [_from_row(instance, row) for row in await tx.all(OF_ACTOR, actor_id=actor.id)]


async def remove(tx: Transaction, instance: "Instance", actor: Actor, which: str) -> Search:
    """Forgets a search, named by its id or its name. Raises `NoSuchSearch`, `actors.vault.Locked`."""
    found = await find(tx, instance, actor, which)
    await tx.execute(DELETE, id=found.id)
    await generations.bump(tx, "searches")
    return found


async def find(tx: Transaction, instance: "Instance", actor: Actor, which: str) -> Search:
    """The search of that id or name. Raises `NoSuchSearch`, `actors.vault.Locked`."""
    for one in await of_actor(tx, instance, actor):
        if which in (str(one.id), one.words.name):
            return one
    raise NoSuchSearch(f"{actor.username} keeps no search {which!r}; `fedmatch search list --as {actor.username}` shows them")


async def now(tx: Transaction, instance: "Instance", actor: Actor, words: Words, limit: int) -> list[Listing]:
    """What is open and fits now, newest first, as far as `actor` sees it. Call it in a read. Raises `actors.vault.Locked`."""
    slug = words.skill or words.category
    wanted = [Wanted(kind=words.kind, slugs=(slug,) if slug else ())]
    # Each of the two places a region may stand in, and a language, is a search of its own: what fits may lie behind any number of others.
    if words.region is not None:
        wanted = [replace(one, **{place: words.region}) for one in wanted for place in ("region", "helper_region")]  # type: ignore[arg-type]  # two texts
    if words.language is not None:
        primary = words.language.partition("-")[0]
        wanted = [two for one in wanted for two in (replace(one, speaks=(primary,)), replace(one, language=primary))]
    found = {one.id: one for each in wanted for one in await search.search(tx, instance, each, reader=actor, limit=MOST_SHOWN) if words.fits(one)}
    return sorted(found.values(), key=lambda one: one.id, reverse=True)[:limit]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Every search that is kept, opened, as of one generation; by its id, and by what it looks for."""

    generation: int
    by_id: Mapping[int, Search]
    by_want: Mapping[tuple[str, str], Sequence[Search]]

    @classmethod
    def of(cls, generation: int, by_id: Mapping[int, Search]) -> "_Kept":
        """These searches."""
        by_want: dict[tuple[str, str], list[Search]] = {}
        for one in by_id.values():
            by_want.setdefault(_want(one.words), []).append(one)
        return cls(generation, by_id, by_want)

    def fitting(self, listing: Listing) -> list[Search]:
        """Those that a listing fits, by owner and then by id."""
        asked = (one for want in _said(listing) for one in self.by_want.get(want, ()))
        return sorted((one for one in asked if one.words.fits(listing)), key=lambda one: (one.actor_id, one.id))


def _want(words: Words) -> tuple[str, str]:
    """The one thing by which a search is found again: what the fewest listings have of all that it looks for."""
    for name, value in (
        ("tag", words.skill),
        ("tag", words.category),
        ("region", words.region),
        ("language", words.language and words.language.partition("-")[0]),
    ):
        if value:
            return name, value
    return "kind", words.kind or ""


def _said(listing: Listing) -> Iterable[tuple[str, str]]:
    """Everything of a listing that a search may be found by, each once."""
    named = [("tag", slug) for slug in index.tags(listing)]
    named += [("region", place) for place in (listing.region, listing.helper_region) if place]
    named += [("language", tag.partition("-")[0]) for tag in (*listing.speaks, listing.language or "")]
    return dict.fromkeys((*named, ("kind", listing.kind), ("kind", "")))


async def _kept(tx: Transaction, instance: "Instance") -> _Kept:
    """The searches as of now; only those that are new are opened. Who is gone takes theirs along, so rows are counted as well. Raises `Locked`."""
    if instance.vault.locked:
        instance.memory.pop(NAME, None)
        raise Locked
    row = await tx.one(AS_OF)
    generation, number = (int(row["generation"] or 0), int(row["number"])) if row is not None else (0, 0)
    before = instance.memory.get(NAME)
    if isinstance(before, _Kept) and (before.generation, len(before.by_id)) == (generation, number):
        return before
    there = sorted(int(row["id"]) for row in await tx.all(IDS))
    opened = dict(before.by_id) if isinstance(before, _Kept) else {}
    late = [one for one in there if one not in opened]
    for at in range(0, len(late), CHUNK):
        part = late[at : at + CHUNK]
        wanted = frozenset(part)
        opened |= {row["id"]: _from_row(instance, row) for row in await tx.all(SOME, low=part[0], high=part[-1]) if row["id"] in wanted}
    instance.memory[NAME] = made = _Kept.of(generation, {one: opened[one] for one in there if one in opened})
    return made


async def look(instance: "Instance", listing: Listing) -> None:
    """Tells whoever keeps a search that a new listing fits, if they may read it: once for each listing, and once a day for each search."""
    hits = await instance.database.read(_hits, instance, listing)
    if hits:
        await instance.database.write(_tell, instance, listing, hits)


async def _hits(tx: Transaction, instance: "Instance", listing: Listing) -> list[Search]:
    kept = await _kept(tx, instance)
    author = await known.by_id(tx, listing.actor_id)
    if author is None or not author.active or (not listing.local and not instance.trust.actor(author.uri, "receive").shown):
        return []
    found: list[Search] = []
    for one in kept.fitting(listing):
        owner = await known.by_id(tx, one.actor_id)
        if owner is None or not owner.active or await blocks.either(tx, owner.id, author.id) or await _own(tx, instance, owner, listing):
            continue
        if await readers.may_read(tx, instance, owner, listing) != "no":
            found.append(one)
    return found


async def _own(tx: Transaction, instance: "Instance", owner: Actor, listing: Listing) -> bool:
    return listing.local and await identities.person_of(tx, instance, listing.actor_id) == owner.id


async def _tell(tx: Transaction, instance: "Instance", listing: Listing, hits: list[Search]) -> None:
    day = str(instance.clock.ms() // matches.DAY_MS)
    for one in hits:
        if not await answers.once(tx, instance, "search.listing", str(one.id), str(listing.id)):
            continue
        if await answers.once(tx, instance, "search.found", str(one.id), day):
            await notifications.tell(tx, instance, one.actor_id, "search.found", one.id, coarse=True)
