"""Which offers fit a request, and which requests an offer? Candidates from the rows and from memory, what forbids a pair, and the order of the rest.

Nothing is asked of anybody for it: candidates are what lies here already, and every reading is of our own database. A pair that two people must not hear of
is left out before anything is ranked, so that no order says that it was there.
"""

import asyncio
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from actors import blocks, known, peers
from actors.known import Actor
from fedmatch.board import fit, gists, identities, index, life, listings, private, readers, terms
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Terms
from fedmatch.matching import gist, score
from fedmatch.matching import skills as cues
from fedmatch.matching.explain import Reason
from fedmatch.matching.score import Subject, Weights
from fedmatch.safety import vouches
from schemas import vocabulary
from schemas.objects import Purpose
from schemas.reading import Row
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

Engine = Literal["auto", "base"]

LIMIT: Final = 20
BY_TAGS: Final = 200
BY_WORDS: Final = 100
BY_CUES: Final = 3
"""Skills that a text seems to be about by its words, looked for beside those its author named: who names none is found all the same."""
BY_VECTORS: Final = 100
AT_LEAST: Final = 200
"""Where fewer share anything, as on a young instance, so many in all are looked at: what nobody tagged is about something too."""
DAY_MS: Final = 86_400_000
RECENT_DAYS: Final = 30
"""For how long it counts that somebody was suggested."""
CHUNK: Final = 100


@dataclass(frozen=True, slots=True)
class Match:
    """One listing that fits, and why; `score` only orders those of one answer, and `parts` are what it is made of."""

    listing: Listing
    score: float
    parts: Mapping[str, float]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of those that are ranked, as read from the rows; `gist` as bytes, None where none lay ready."""

    listing: Listing
    vouched_by: tuple[str, ...] = ()
    exposures: int = 0
    likeness: tuple[float, float] | None = None
    gist: bytes | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything a ranking needs, read from the rows: nothing in it is asked of the database again."""

    wanted: Listing
    candidates: tuple[Candidate, ...]
    weights: Weights
    now: int


NEWEST: Final = """
select listing.post_id
from listing
where listing.kind = :kind
  and listing.state = 'open'
  and listing.audience = 'public'
  and (listing.until is null or listing.until > :now)
  and (listing.expires_at is null or listing.expires_at > :now)
order by listing.post_id desc
limit :limit
"""

# From the posts of this instance, by an index of their own: among all that is open they may be few, and each of the others would be looked at.
NEWEST_HERE: Final = """
select listing.post_id
from post
cross join listing
where post.local = 1
  and listing.post_id = post.id
  and listing.kind = :kind
  and listing.state = 'open'
  and listing.audience = 'public'
  and (listing.until is null or listing.until > :now)
  and (listing.expires_at is null or listing.expires_at > :now)
order by post.id desc
limit :limit
"""

_IDS: Final = ", ".join(f":i{number}" for number in range(CHUNK))

SOME: Final = f"""
{listings.LISTING}
  and listing.post_id in ({_IDS})
"""

TERMS: Final = f"""
select listing_terms.post_id
from listing_terms
where listing_terms.post_id in ({_IDS})
"""  # noqa: S608  # the same

AUTHORS: Final = f"""
select actor.*
from actor
where actor.id in ({_IDS})
"""  # noqa: S608  # the same

SHOWN: Final = f"""
select exposure.helper, sum(exposure.number) as number
from exposure
where exposure.helper in ({_IDS})
  and exposure.day > :since
group by exposure.helper
"""  # noqa: S608  # the same


async def found(
    tx: Transaction,
    instance: "Instance",
    listing: Listing,
    *,
    limit: int = LIMIT,
    engine: Engine = "auto",
    reader: Actor | None = None,
    home: bool = False,
    without: frozenset[int] = frozenset(),
) -> list[Match]:
    """What fits a listing, best first; nothing if it is closed or expired. Call it in a read: it looks through what is opened in memory.

    As far as `reader` may see it and has to do with it; None is who runs this instance. `home` leaves out what is of others on both sides, as nobody here could
    be told of it. `without` are ids nobody wants to see again. `engine` "base" does without vectors. With a locked vault only what is public is looked through.
    """
    gathered = await gather(tx, instance, listing, engine=engine, reader=reader, home=home, without=without)
    return [] if gathered is None else ranked(gathered, limit)


def ranked(gathered: Gathered, limit: int = LIMIT) -> list[Match]:
    """The best of what was gathered. Pure; some milliseconds to some tens of them: outside of a database's own thread call it in one."""
    by_id = {one.listing.id: one.listing for one in gathered.candidates}
    wanted = _subject(Candidate(gathered.wanted))
    grams = frozenset(wanted.grams)
    made = score.rank(wanted, [_subject(one, grams) for one in gathered.candidates], gathered.weights, gathered.now, limit)
    return [Match(by_id[one.id], one.score, one.parts, one.reasons) for one in made]


async def found_aside(instance: "Instance", listing: Listing, *, limit: int = LIMIT, home: bool = False, without: frozenset[int] = frozenset()) -> list[Match]:
    """The same outside of a transaction, ranked in a thread: where the database has none of its own, nobody waits for it."""
    gathered = await instance.database.read(gather, instance, listing, engine="auto", home=home, without=without)
    return [] if gathered is None else await asyncio.to_thread(ranked, gathered, limit)


async def gather(
    tx: Transaction,
    instance: "Instance",
    listing: Listing,
    *,
    engine: Engine = "auto",
    reader: Actor | None = None,
    home: bool = False,
    without: frozenset[int] = frozenset(),
) -> Gathered | None:
    """Candidates that nothing forbids, with what is known of each; None if the listing itself is not open."""
    now = instance.clock.ms()
    if listings.state_at(listing, now) != "open" or not listing.url:
        return None
    other = _other(listing)
    candidates = await _candidates(tx, instance, listing, other, engine=engine, home=home)
    ready = await index.gists_of(tx, instance, candidates)
    judge = Judge(instance, listing.actor_id)
    await judge.prepare(tx, [listing, *candidates])
    own = frozenset(await identities.mine(tx, instance, reader)) if reader is not None and not instance.vault.locked else frozenset()
    kept: list[Listing] = []
    for one in candidates:
        if one.id in without or (home and not (one.local or listing.local)):
            continue
        request, offer = (listing, one) if listing.kind == "request" else (one, listing)
        if not await judge.fits(tx, request, offer) or {request.actor_id, offer.actor_id} <= own:
            continue
        if reader is None:
            kept.append(one)
        elif await judge.sees(tx, reader, own, one):
            # Of what somebody sees only coarsely not even its words may order what they are shown.
            seen = one if one.actor_id in own else await readers.shown(tx, instance, reader, one)
            kept += [seen] if seen is not None else []
            if seen is not one:
                ready.pop(one.id, None)
    shown = await _exposures(tx, instance, [one.actor_id for one in kept]) if other == "offer" and not instance.vault.locked else {}
    likeness = await _likeness(tx, instance, listing, [one.id for one in kept if one.title or one.text]) if engine == "auto" else {}
    judged = [Candidate(one, await judge.vouched_by(tx, one), shown.get(one.actor_id, 0), likeness.get(one.id), ready.get(one.id)) for one in kept]
    return Gathered(listing, tuple(judged), weights_of(instance), now)


def weights_of(instance: "Instance") -> Weights:
    """What each part of a score weighs, as instance.toml says."""
    return Weights.of(instance.config.matching)


def _other(listing: Listing) -> Purpose:
    return "offer" if listing.kind == "request" else "request"


async def _candidates(tx: Transaction, instance: "Instance", listing: Listing, kind: Purpose, *, engine: Engine, home: bool) -> list[Listing]:
    """Open listings of `kind` that share something with this one: at most 200 by topics (and as many that the index in memory does not hold yet), 100 by
    words, 100 by vectors; each once, and only these are read. Where that is fewer than 200, the newest as well.
    """
    # What was found to be one of those that are not public is opened already.
    live = () if instance.vault.locked else await private.live(tx, instance)
    abilities, fields = _slugs(listing)
    ids = dict.fromkeys(await index.about(tx, instance, kind, (*abilities, *fields), BY_TAGS, here=home and not listing.local))
    late = (one for one in index.not_yet(instance, live) if one.kind == kind and one.state == "open" and one.url)
    ids |= dict.fromkeys(_tagged_in_memory(abilities, fields, late))
    ids |= dict.fromkeys(await index.alike(tx, instance, listing, kind, BY_WORDS))
    if engine == "auto":
        ids |= dict.fromkeys(await _near(tx, instance, listing, kind))
    if len(ids) < AT_LEAST:
        newest = NEWEST_HERE if home and not listing.local else NEWEST
        rows = await tx.all(newest, kind=kind, now=instance.clock.ms(), limit=AT_LEAST)
        hidden = islice((one.id for one in live if one.kind == kind and one.state == "open" and (one.local or listing.local or not home)), AT_LEAST)
        some = sorted((*hidden, *(int(row["post_id"]) for row in rows)), reverse=True)
        ids |= dict.fromkeys([one for one in some if one not in ids][: AT_LEAST - len(ids)])
    ids.pop(listing.id, None)
    opened = {one.id: one for one in live if one.id in ids}
    found = opened | await _some(tx, instance, [one for one in ids if one not in opened])
    return [one for key in ids if (one := found.get(key)) is not None and one.kind == kind and one.state == "open" and one.url]


def _slugs(listing: Listing) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The skills and the fields by which others are found: those its author named with their fields, and what its text seems to be about most."""
    meant = cues.suggested(f"{listing.title}\n{listing.text}", BY_CUES)
    skills = tuple(dict.fromkeys((*listing.skills, *meant)))[: listings.MOST_SLUGS]
    fields = (*listing.categories, *(vocabulary.category(slug).slug for slug in skills if vocabulary.is_skill(slug)))
    return skills, tuple(dict.fromkeys(fields))[: listings.MOST_SLUGS]


def _tagged_in_memory(abilities: Sequence[str], fields: Sequence[str], opened: Iterable[Listing]) -> list[int]:
    """What shares tags among what is not public and not yet in the index in memory, which may still be filling."""
    skilled, about = frozenset(abilities), frozenset(fields)
    shared: list[tuple[int, int]] = []
    for one in opened:
        weight = gists.SKILL * len(skilled.intersection(one.skills)) + gists.FIELD * len(about.intersection(index.tags(one)))
        if weight:
            shared.append((weight, one.id))
    return [key for _, key in heapq.nlargest(BY_TAGS, shared)]


async def _near(tx: Transaction, instance: "Instance", listing: Listing, kind: Purpose) -> list[int]:
    from fedmatch.board import vectors  # numpy, where it is there, should not be waited for by every command

    return await vectors.near(tx, instance, listing, kind, BY_VECTORS)


async def _likeness(tx: Transaction, instance: "Instance", listing: Listing, ids: Sequence[int]) -> Mapping[int, tuple[float, float]]:
    from fedmatch.board import vectors  # the same

    return await vectors.likeness(tx, instance, listing, ids)


def _chunks(values: Sequence[Value]) -> Iterable[Mapping[str, Value]]:
    return gists.chunks(values, CHUNK)


async def _some(tx: Transaction, instance: "Instance", ids: Sequence[int]) -> dict[int, Listing]:
    rows: list[Row] = []
    for named in _chunks(ids):
        rows += await tx.all(SOME, **named)
    return {one.id: one for one in await listings.from_rows(tx, instance, rows)}


def helper_hash(instance: "Instance", actor_id: int) -> bytes:
    """By what it is counted how often somebody was suggested. Raises `actors.vault.Locked`."""
    return instance.vault.digest("exposure", str(actor_id))


async def _exposures(tx: Transaction, instance: "Instance", actor_ids: Sequence[int]) -> dict[int, int]:
    by_hash = {helper_hash(instance, actor_id): actor_id for actor_id in dict.fromkeys(actor_ids)}
    since = instance.clock.ms() // DAY_MS - RECENT_DAYS
    found: dict[int, int] = {}
    for named in _chunks(list(by_hash)):
        found |= {by_hash[bytes(row["helper"])]: int(row["number"]) for row in await tx.all(SHOWN, since=since, **named)}
    return found


def _subject(candidate: Candidate, wanted: frozenset[int] | None = None) -> Subject:
    listing = candidate.listing
    about = gist.unpacked(gist.packed(gists.said(listing)) if candidate.gist is None else candidate.gist, wanted)
    return Subject(
        id=listing.id,
        kind=listing.kind,
        skills=frozenset(listing.skills),
        categories=frozenset(listing.categories),
        speaks=listing.speaks,
        language=listing.language,
        region=listing.region,
        helper_region=listing.helper_region,
        grams=about.grams,
        themes=about.themes,
        length=about.length,
        vouched_by=candidate.vouched_by,
        published=listing.published,
        exposures=candidate.exposures,
        likeness=candidate.likeness,
    )


@dataclass(slots=True)
class Judge:
    """What forbids a pair, or hides one side of it from somebody; each thing that it looks up once is kept while it lives, which is one answer long."""

    instance: "Instance"
    about: int | None = None
    """The actor whose listing all pairs are of, if there is one: whom it keeps away from is asked once."""
    _terms: dict[int, Terms] = field(default_factory=dict)
    _authors: dict[int, Actor | None] = field(default_factory=dict)
    _kept_from: dict[int, frozenset[int]] = field(default_factory=dict)
    _standing: dict[int, vouches.Standing] = field(default_factory=dict)
    _contacts: dict[int, bool] = field(default_factory=dict)
    _shown: dict[int, bool] = field(default_factory=dict)

    async def prepare(self, tx: Transaction, some: Sequence[Listing]) -> None:
        """Reads for many at once what is asked of each."""
        for named in _chunks(list(dict.fromkeys(one.actor_id for one in some))):
            for row in await tx.all(AUTHORS, **named):
                self._authors[row["id"]] = known.from_row(row)
        own = [one.id for one in some if one.local]
        stated: set[int] = set()
        for named in _chunks(own):
            stated |= {int(row["post_id"]) for row in await tx.all(TERMS, **named)}
        self._terms |= {key: terms.DEFAULT for key in own if key not in stated}

    async def fits(self, tx: Transaction, request: Listing, offer: Listing) -> bool:
        """Whether these two may be brought together at all, whoever asks. Nothing in it depends on whose a one-time identity is."""
        if request.actor_id == offer.actor_id or not request.url or not offer.url:
            return False
        now = self.instance.clock.ms()
        if listings.state_at(request, now) != "open" or listings.state_at(offer, now) != "open":
            return False
        if not _asked(request, offer):
            return False
        asker, helper = await self._author(tx, request), await self._author(tx, offer)
        if asker is None or helper is None or not asker.active or not helper.active:
            return False
        if not await self._there(tx, request, asker) or not await self._there(tx, offer, helper):
            return False
        one, other = (helper, asker) if helper.id == self.about else (asker, helper)
        if other.id in await self._away(tx, one.id):
            return False
        if not await self._accepts(tx, request, offer, helper) or not await self._accepts(tx, offer, request, asker):
            return False
        return await self._may_be_told(tx, request, offer, asker, helper)

    async def sees(self, tx: Transaction, reader: Actor, own: frozenset[int], listing: Listing) -> bool:
        """Whether one of ours may hear of a listing: it is theirs, or `readers.may_read` says so and they keep away from nobody in it."""
        if listing.actor_id in own:
            return True
        for actor_id in own or (reader.id,):
            if listing.actor_id in await self._away(tx, actor_id):
                return False
        return await readers.may_read(tx, self.instance, reader, listing) != "no"

    async def vouched_by(self, tx: Transaction, listing: Listing) -> tuple[str, ...]:
        """The hosts whose word for its author counts here now."""
        author = await self._author(tx, listing)
        return () if author is None or not listing.vouches else (await self._said_of(tx, listing, author)).issuers

    async def terms(self, tx: Transaction, listing: Listing) -> Terms:
        """What the author of one of ours demands; of others' listings nothing is known. Raises `actors.vault.Locked`."""
        if not listing.local:
            return terms.DEFAULT
        if listing.id not in self._terms:
            self._terms[listing.id] = await terms.of(tx, self.instance, listing.id)
        return self._terms[listing.id]

    async def _author(self, tx: Transaction, listing: Listing) -> Actor | None:
        if listing.actor_id not in self._authors:
            self._authors[listing.actor_id] = await known.by_id(tx, listing.actor_id)
        return self._authors[listing.actor_id]

    async def _away(self, tx: Transaction, actor_id: int) -> frozenset[int]:
        if actor_id not in self._kept_from:
            self._kept_from[actor_id] = await blocks.kept_from(tx, actor_id)
        return self._kept_from[actor_id]

    async def _there(self, tx: Transaction, listing: Listing, author: Actor) -> bool:
        """Whether its author can be reached and it has room: a limited, blocked or held stranger cannot, nor an identity that is ending."""
        if not listing.local:
            if author.id not in self._shown:
                self._shown[author.id] = self.instance.trust.actor(author.uri, "receive").shown
            return self._shown[author.id]
        if author.one_time:
            if author.id not in self._contacts:
                self._contacts[author.id] = await identities.takes_contacts(tx, author.id)
            if not self._contacts[author.id]:
                return False
        # Without a number a request wants one helper, and is not open once it has them; an offer has room for as many as come.
        if not listing.needs and listing.capacity is None:
            return True
        return any(part.left != 0 for part in await life.parts(tx, listing))

    async def _accepts(self, tx: Transaction, listing: Listing, other: Listing, author: Actor) -> bool:
        """Whether `other`, of `author`, is what the author of `listing` wants to hear of: vouched for as they demand, from no country they exclude."""
        wishes = terms.DEFAULT if self.instance.vault.locked else await self.terms(tx, listing)
        if wishes.excluded:
            partner = None if author.host_id is None else await peers.partner(tx, author.host_id)
            if partner is not None and wishes.excludes(partner.terms.countries):
                return False
            if other.helper_region is not None and wishes.excludes((other.helper_region,)):
                return False
        if wishes.answers.level == 0:
            return True
        return (await self._said_of(tx, other, author)).meets(wishes.answers.level, wishes.answers.issuers)

    async def _said_of(self, tx: Transaction, listing: Listing, author: Actor) -> vouches.Standing:
        if listing.id not in self._standing:
            self._standing[listing.id] = await vouches.standing(tx, self.instance, author, listing.vouches)
        return self._standing[listing.id]

    async def _may_be_told(self, tx: Transaction, request: Listing, offer: Listing, asker: Actor, helper: Actor) -> bool:
        """Whether one of the two lives here and may read what the other wrote; of two who live elsewhere only what everybody may read is put together."""
        if request.public and offer.public:
            return True
        for person, other in ((asker, offer), (helper, request)):
            # Of a one-time identity it is asked when its owner looks: staff must not see what the owner may read.
            if person.local and (person.one_time or await readers.may_read(tx, self.instance, person, other) != "no"):
                return True
        return not asker.local and not helper.local


def _asked(request: Listing, offer: Listing) -> bool:
    """Whether each is among those whom the other asks: an explicit "only" of either side is kept, anything softer is a matter of the score."""
    if not (request.only_speaks or request.only_region or offer.only_speaks or offer.only_region):
        return True
    spoken = (*offer.speaks, *([offer.language] if offer.language else ()))
    if fit.misfit(request.proposal, spoken, offer.helper_region or offer.region) is not None:
        return False
    wanted = (*request.speaks, *([request.language] if request.language else ()))
    where = offer.helper_region if offer.helper_region in (request.helper_region, request.region) else request.region
    return fit.misfit(offer.proposal, wanted, where) is None
