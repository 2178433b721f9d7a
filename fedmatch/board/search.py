"""Who asks for, or offers, what these words say? Public listings from the index, a page at a time; the others from memory, as far as one may see them.

A page looks at a bounded number of matches, found newest first or ranked among the newest; where that was not enough it says where to go on. What is not
public is in no page, no count and no order that anybody else gets. Nothing that somebody types reaches the engines but words, each of them quoted.
"""

import base64
import binascii
import hmac
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from actors.known import Actor
from fedmatch import times
from fedmatch.board import index, listings, private, readers
from fedmatch.board.listings import END, Listing
from fedmatch.database import text
from fedmatch.database.text import Query, Term, facet
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Sort = Literal["newest", "best"]
State = Literal["open", "closed", "any"]

MOST: Final = 80
"""Listings on one page, at the most."""
LONGEST: Final = 200
"""Letters of what is typed; what is longer is cut."""
MOST_TERMS: Final = 10
MOST_SPELLED: Final = 20
"""Languages to speak, with their written forms, an engine is asked for."""
MOST_PARTS: Final = 24
"""Words an engine is asked for; a term in Chinese is several."""
PREFIX: Final = 3
"""A word of so many letters also finds longer ones that begin with it."""
LOOKED: Final = 1_200
"""Matches one page reads, to leave out what only a whole listing tells."""
CHUNK: Final = 24
LONGEST_CURSOR: Final = 200
JOINERS: Final = "\u200c\u200d\u0640"
"""What joins or stretches letters in Persian and Arabic, and is no letter."""
CLOSED: Final = ("paused", "matched", "fulfilled", "expired", "withdrawn")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for; what is empty does not matter. `words` must all occur (one of several words, as a phrase); of `slugs`, categories or skills, and
    of `speaks` one must be named; a language means its written forms too, as `zh` does `zh-Hans`. `before` is a moment (ms) at which it has to be closed;
    `room` how many people it must have room for; `outside`: without what its author's server shows only to who has an account, for whoever has none here.
    """

    words: tuple[str, ...] = ()
    kind: str | None = None
    slugs: tuple[str, ...] = ()
    speaks: tuple[str, ...] = ()
    region: str | None = None
    urgency: str | None = None
    language: str | None = None
    helper_region: str | None = None
    before: int | None = None
    room: int | None = None
    checked: bool = False
    anywhere: bool = False
    origin: str | None = None
    actor_id: int | None = None
    here: bool = False
    outside: bool = False
    state: State = "open"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list goes on: after this key, and this score if it is ranked."""

    id: int
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """One page; `more` is where the next begins, None at the end. It may be shorter than a page and still go on."""

    listings: tuple[Listing, ...]
    more: Place | None


class BadCursor(Exception):
    """It was not made here, or not for this search: 400."""


def typed(said: str) -> tuple[str, ...]:
    """What somebody typed as words and "quoted phrases": at most ten, of the first 200 letters."""
    found: list[str] = []
    for place, piece in enumerate(said[:LONGEST].replace("“", '"').replace("”", '"').replace("«", '"').replace("»", '"').split('"')):
        found += [piece] if place % 2 else piece.split()
    return tuple(one.strip() for one in found if one.strip())[:MOST_TERMS]


@lru_cache(maxsize=1024)
def terms_of(words: tuple[str, ...]) -> tuple[Term, ...] | None:
    """What the engines are asked for; None if somebody typed signs alone, which nothing holds."""
    found: list[Term] = []
    for one in words[:MOST_TERMS]:
        cut = index.words(one[:LONGEST])
        if not cut:
            continue
        if sum(len(word) for word in cut) > sum(letter.isalnum() for letter in unicodedata.normalize("NFKC", one)):
            # Letters and pairs of a script without blanks: the pairs say it all.
            found += [Term((word,)) for word in dict.fromkeys(cut) if len(word) > 1 or len(cut) == 1]
        else:
            found.append(Term(cut, prefix=len(cut) == 1 and len(cut[0]) >= PREFIX))
    if words and not found:
        return None
    return tuple(dict.fromkeys(found))[:MOST_PARTS]


def query(wanted: Wanted) -> Query | None:
    """What an index is asked; None if nothing can fit."""
    terms = terms_of(wanted.words)
    if terms is None:
        return None
    groups: list[tuple[str, tuple[str | None, ...]]] = [
        ("kind", (wanted.kind,)),
        ("tag", wanted.slugs),
        ("speaks", wanted.speaks),
        ("region", (wanted.region,)),
        ("urgency", (wanted.urgency,)),
        ("language", (wanted.language,)),
        ("helper", (wanted.helper_region,)),
        ("origin", (index.origin(wanted.origin) if wanted.origin else None,)),
        ("author", (None if wanted.actor_id is None else str(wanted.actor_id),)),
        ("checked", ("yes" if wanted.checked else None,)),
        ("home", ("here" if wanted.here else None,)),
        ("state", {"open": ("open",), "closed": CLOSED, "any": ()}[wanted.state]),
    ]
    asked = [tuple(facet(name, value) for value in values if value) for name, values in groups]
    return Query(terms, tuple(group for group in asked if group) or ((facet("all", ""),),))


async def page(tx: Transaction, instance: "Instance", wanted: Wanted, *, sort: Sort = "newest", after: Place | None = None, limit: int = 20) -> Found:
    """The public listings that fit, after a place; without those of whom our policy hides. At most `MOST`. Call it in a read.

    Ranked are the newest `text.MOST_RANKED` matches, and of them one can read the best `text.MOST_BEST`.
    """
    asked = query(await _in_use(tx, wanted))
    limit = max(1, min(limit, MOST))
    if asked is None:
        return Found((), None)
    if sort == "best" and asked.terms:
        return await _best(tx, instance, wanted, asked, after, limit)
    return await _newest(tx, instance, wanted, asked, END if after is None else after.id, limit)


# "." comes after "-": what lies between the two begins with a language and a hyphen.
SPOKEN: Final = """
select min(listing_tag.slug) as tag
from listing_tag
where listing_tag.kind = 'speaks'
  and listing_tag.slug > :after
  and listing_tag.slug < :end
"""


async def _in_use(tx: Transaction, wanted: Wanted) -> Wanted:
    """The same, with the ways in which the languages to speak are written here, at most `MOST_SPELLED`: an index knows each by its whole name alone."""
    found = dict.fromkeys(wanted.speaks)
    for tag in wanted.speaks:
        after = f"{tag}-"
        while len(found) < MOST_SPELLED:
            row = await tx.one(SPOKEN, after=after, end=f"{tag}.")
            if row is None or row["tag"] is None:
                break
            after = row["tag"]
            found[after] = None
    return replace(wanted, speaks=tuple(found)) if len(found) > len(wanted.speaks) else wanted


async def _newest(tx: Transaction, instance: "Instance", wanted: Wanted, asked: Query, before: int, limit: int) -> Found:
    texts = text.of(instance.database)
    found: list[Listing] = []
    looked = 0
    on: int | None = before
    while on is not None and len(found) <= limit and looked < LOOKED:
        some = limit + 1 if not looked else 4 * CHUNK
        ids = await texts.newest(tx, asked, on, some)
        found += await _fitting(tx, instance, ids, wanted)
        looked += max(len(ids), CHUNK)
        on = ids[-1] if len(ids) == some else None
    if len(found) > limit:
        return Found(tuple(found[:limit]), Place(found[limit - 1].id))
    return Found(tuple(found), None if on is None else Place(on))


async def _best(tx: Transaction, instance: "Instance", wanted: Wanted, asked: Query, after: Place | None, limit: int) -> Found:
    ranked = await text.of(instance.database).best(tx, asked)
    if after is not None:
        ranked = [one for one in ranked if one < (after.score, after.id)]
    scores = {key: score for score, key in ranked}
    found: list[Listing] = []
    at = 0
    while at < len(ranked) and len(found) <= limit and at < LOOKED:
        part = ranked[at : at + (limit + 1 if not at else 4 * CHUNK)]
        found += await _fitting(tx, instance, [key for _, key in part], wanted)
        at += len(part)
    if len(found) > limit:
        last = found[limit - 1].id
        return Found(tuple(found[:limit]), Place(last, scores[last]))
    return Found(tuple(found), Place(ranked[at - 1][1], ranked[at - 1][0]) if at < len(ranked) else None)


SOME: Final = f"""
{listings.LISTING}
  and listing.post_id in ({", ".join(f":a{place}" for place in range(CHUNK))})
"""


async def by_ids(tx: Transaction, instance: "Instance", ids: Sequence[int], *, outside: bool = False) -> list[Listing]:
    """The public listings of these ids, in their order, as many as are there and shown by our policy; `outside` as in `Wanted`."""
    held: dict[int, Listing] = {}
    for at in range(0, len(ids), CHUNK):
        part = ids[at : at + CHUNK]
        rows = await tx.all(SOME, **{f"a{place}": part[min(place, len(part) - 1)] for place in range(CHUNK)})
        shown = [row for row in rows if row["local"] or (instance.trust.actor(row["author_uri"], "receive").shown and not (outside and row["kept_in"]))]
        held |= {one.id: one for one in await listings.from_rows(tx, instance, shown)}
    return [held[key] for key in ids if key in held]


async def _fitting(tx: Transaction, instance: "Instance", ids: Sequence[int], wanted: Wanted) -> list[Listing]:
    now = instance.clock.ms()
    found = [one for one in await by_ids(tx, instance, ids, outside=wanted.outside) if fits(one, wanted, now)]
    return [one for one in found if await _room(tx, one, wanted)]


TAKEN: Final = """
select coalesce(sum(listing_count.taken), 0) as taken
from listing_count
where listing_count.post_id = :post_id
"""


async def _room(tx: Transaction, listing: Listing, wanted: Wanted) -> bool:
    """Whether as many people as are wanted still fit. Of a listing from elsewhere only its home knows how many were taken."""
    room = wanted.room
    if room is None:
        return True
    if listing.capacity is None:
        return listing.pause != "full"
    row = await tx.one(TAKEN, post_id=listing.id)
    return listing.capacity - (0 if row is None else int(row["taken"])) >= room


async def search(
    tx: Transaction,
    instance: "Instance",
    wanted: Wanted,
    *,
    network: bool = True,
    reader: Actor | None = None,
    limit: int = 100,
    sort: Sort = "newest",
) -> list[Listing]:
    """What matches, newest or best first; what is not public as far as `reader` may see it (None: who runs this instance), and in nobody else's results.

    Of what a reader sees only coarsely words and vouches are no help: it is found by its category, language and region alone. Call it in a read.
    Raises `actors.vault.Locked`; a locked instance is searched with `public`.
    """
    wanted = wanted if network else replace(wanted, here=True)
    everybody = await public(tx, instance, wanted, limit=limit, sort=sort)
    own = await _private(tx, instance, wanted, reader, limit)
    if sort == "best" and terms_of(wanted.words):
        # Scores of two indexes do not compare: place by place, what is public first.
        places = [(place, which, one) for which, some in enumerate((everybody, own)) for place, one in enumerate(some)]
        return [one for _, _, one in sorted(places, key=lambda three: three[:2])][:limit]
    return sorted([*everybody, *own], key=lambda one: one.id, reverse=True)[:limit]


async def public(tx: Transaction, instance: "Instance", wanted: Wanted, *, network: bool = True, limit: int = 100, sort: Sort = "newest") -> list[Listing]:
    """The public ones among them: what everybody may find."""
    wanted = wanted if network else replace(wanted, here=True)
    found: list[Listing] = []
    after: Place | None = None
    while len(found) < limit:
        some = await page(tx, instance, wanted, sort=sort, after=after, limit=min(limit - len(found), MOST))
        found += some.listings
        after = some.more
        if after is None:
            break
    return found


async def _private(tx: Transaction, instance: "Instance", wanted: Wanted, reader: Actor | None, limit: int) -> list[Listing]:
    """What is not public of what is wanted, newest first. Only what is seen is compared: how long it takes tells nothing of what may not be read.

    What is over is found by its author and by staff, as long as it is kept.
    """
    asked = query(wanted)
    if asked is None:
        return []
    if reader is None or await readers.is_staff(tx, reader):
        return await _read_by_staff(tx, instance, wanted, asked.terms, limit)
    return await _read_by(tx, instance, wanted, asked.terms, reader, limit)


async def _read_by_staff(tx: Transaction, instance: "Instance", wanted: Wanted, asked: tuple[Term, ...], limit: int) -> list[Listing]:
    """Words are looked up in the index in memory; what that does not hold, as when it fills after a start, is gone through (0.2 ms each)."""
    now, live = instance.clock.ms(), await private.live(tx, instance)
    over = [] if wanted.state == "open" else await private.closed(tx, instance, 0, private.MOST)
    said = frozenset(await index.in_memory(tx, instance, Query(asked)) if asked else ())
    held = {one.id for one in live}.difference(one.id for one in index.not_yet(instance, live)) if asked else set()
    found: list[Listing] = []
    for one in _by_age(live, over):
        if fits(one, wanted, now) and (one.id in said if one.id in held else says(one, asked)) and await _room(tx, one, wanted):
            found.append(one)
        if len(found) == limit:
            break
    return found


async def _read_by(tx: Transaction, instance: "Instance", wanted: Wanted, asked: tuple[Term, ...], reader: Actor, limit: int) -> list[Listing]:
    """What `reader` wrote or opened today by all that it says, anything else by its coarse fields."""
    now, live = instance.clock.ms(), await private.live(tx, instance)
    own = [] if wanted.state == "open" else await listings.of_author(tx, instance, reader.id, private.MOST, private=True)
    opened = await readers.opened_today(tx, instance, reader)
    found: list[Listing] = []
    for one in _by_age(live, [mine for mine in own if not mine.public]):
        known = one.actor_id == reader.id or (bool(opened) and readers.mark(instance, one) in opened)
        plain = one if known else readers.coarse(one)
        if not fits(plain, wanted, now) or not says(plain, asked):
            continue
        seen = await readers.shown(tx, instance, reader, one)
        if seen is not None and fits(seen, wanted, now) and says(seen, asked) and await _room(tx, seen, wanted):
            found.append(seen)
        if len(found) == limit:
            break
    return found


def _by_age(live: Sequence[Listing], others: Sequence[Listing]) -> Sequence[Listing]:
    """Those that are open and those of the others that are over, the newest first."""
    over = [one for one in others if one.state in index.CLOSED_STATES]
    return sorted([*live, *over], key=lambda one: one.id, reverse=True) if over else live


def matches(listing: Listing, wanted: Wanted, now_ms: int = 0) -> bool:
    """Whether a listing is what somebody looks for, its words included; as the index finds it, but one by one (about a millisecond with words)."""
    terms = terms_of(wanted.words)
    return terms is not None and fits(listing, wanted, now_ms) and says(listing, terms)


def fits(listing: Listing, wanted: Wanted, now_ms: int = 0) -> bool:
    """The same without the words, and without its room, which its row does not tell."""
    match wanted.state:
        case "open":
            right = listing.state == "open"
        case "closed":
            right = listing.state in CLOSED
        case "any":
            right = True
    return (
        right
        and (wanted.kind is None or listing.kind == wanted.kind)
        and (not wanted.slugs or not set(wanted.slugs).isdisjoint(index.tags(listing)))
        and (not wanted.speaks or any(tag in wanted.speaks or tag.partition("-")[0] in wanted.speaks for tag in listing.speaks))
        and (wanted.region is None or listing.region == wanted.region)
        and (wanted.urgency is None or listing.urgency == wanted.urgency)
        and (wanted.language is None or wanted.language in (listing.language, (listing.language or "").partition("-")[0]))
        and (wanted.helper_region is None or listing.helper_region == wanted.helper_region)
        and (wanted.before is None or _ends(listing, wanted.before))
        and (not wanted.checked or any(vouch.level > 0 and times.milliseconds(vouch.expires) > now_ms for vouch in listing.vouches))
        and (not wanted.anywhere or not (listing.only_region or listing.only_speaks))
        and (wanted.origin is None or listing.origin == wanted.origin)
        and (wanted.actor_id is None or listing.actor_id == wanted.actor_id)
        and (not wanted.here or listing.local)
        and (wanted.room is None or listing.capacity is None or listing.capacity >= wanted.room)
    )


def _ends(listing: Listing, before: int) -> bool:
    ends = listing.proposal.ends
    return ends is not None and times.milliseconds(ends) <= before


def says(listing: Listing, terms: Sequence[Term]) -> bool:
    """Whether every term occurs in what a listing says, as the index would find it."""
    if not terms:
        return True
    body = (listing.text, *(other.text for other in listing.translations))
    parts = (index.words(listing.title), index.told(listing), tuple(word for part in body for word in index.words(part)))
    return all(any(_occurs(term, part) for part in parts) for term in terms)


def _occurs(term: Term, part: tuple[str, ...]) -> bool:
    if len(term.words) == 1:
        (word,) = term.words
        return any(one.startswith(word) for one in part) if term.prefix else word in part
    return any(part[at : at + len(term.words)] == term.words for at in range(len(part) - len(term.words) + 1))


# --- where a list goes on, as it stands in an address


async def cursor(tx: Transaction, wanted: Wanted, sort: Sort, place: Place) -> str:
    """The place as an address holds it: nobody else makes one, and it leads on in this search alone."""
    told = f"{place.id:x}.{place.score.hex() if sort == 'best' else ''}".encode()
    return _written(told) + "-" + _written(await _signed(tx, wanted, sort, told))


async def place(tx: Transaction, wanted: Wanted, sort: Sort, said: str) -> Place:
    """The place that a cursor says. Raises `BadCursor`."""
    try:
        told, signed = (_read(part) for part in said[:LONGEST_CURSOR].rsplit("-", 1))
        if not hmac.compare_digest(signed, await _signed(tx, wanted, sort, told)):
            raise BadCursor
        key, _, score = told.decode("ascii").partition(".")
        return Place(int(key, 16), float.fromhex(score) if score else 0.0)
    except (ValueError, OverflowError, binascii.Error) as error:
        raise BadCursor from error


async def _signed(tx: Transaction, wanted: Wanted, sort: Sort, told: bytes) -> bytes:
    row = await tx.one(text.STATE)
    secret = b"" if row is None else bytes(row["secret"])
    return hmac.digest(secret, msgspec.json.encode([wanted, sort]) + b"\x00" + told, "sha256")[:12]


def _written(some: bytes) -> str:
    return base64.b32encode(some).decode().rstrip("=").lower()


def _read(said: str) -> bytes:
    return base64.b32decode(said.upper() + "=" * (-len(said) % 8))


def plain(some: str) -> str:
    """A text as it is sorted: small letters, no marks above or below, no joiners."""
    if some.isascii():
        return some.lower()
    return unicodedata.normalize("NFKD", some.casefold()).translate(_PLAIN)


class _Plain(dict[int, int | None]):
    """What becomes of each letter; learnt letter by letter."""

    def __missing__(self, letter: int) -> int | None:
        self[letter] = None if unicodedata.combining(chr(letter)) or chr(letter) in JOINERS else letter
        return self[letter]


_PLAIN: Final[Mapping[int, int | None]] = _Plain()
