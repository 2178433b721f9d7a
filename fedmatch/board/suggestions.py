"""What fitted, and who is told? Pairs of a request and an offer with their reasons as codes: kept sealed, shown to few, and never again once turned down.

Every listing that opens, changes or arrives is put into `match_waiting` by the transaction that writes it; the job `match` works that off, one at a time,
and rests between two as long as the first took: a thousand that arrive at once stall nothing else. What a pair says is asked anew whenever it is shown, so a
block, a lost vouch or a closed listing counts at once. Who sees what is in docs/decisions/0016-suggestions.md.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import structlog

from actors import known, local, onetime
from actors.known import Actor
from actors.vault import Locked
from fedmatch.board import answers, identities, listings, matches, notifications, readers, terms
from fedmatch.board.listings import Json, Listing
from fedmatch.board.matches import Judge, Match
from fedmatch.board.terms import Suggest
from fedmatch.jobs import enqueue
from fedmatch.matching import explain
from fedmatch.matching.explain import Reason
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

State = Literal["shown", "proposed", "dismissed", "taken"]
Side = Literal["asker", "helper", "broker"]

BROKERS: Final = frozenset({"matchmaker", "moderator", "admin"})
FAN: Final = 40
"""For how many waiting ones a new listing is looked at from their side."""
WORK_S: Final = 5.0
"""How long the job works before it makes room for others."""
MOST_REST_S: Final = 0.5
LOCKED_MS: Final = 60_000
TRIES: Final = 3
MOST_SCANNED: Final = 2_000
CHUNK: Final = 200


class CannotSuggest(ValueError):
    """There is no such suggestion for this person, or it is over; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """What rests sealed of a pair: which two, whose, and why."""

    request: int
    offer: int
    asker: int
    helper: int
    here: bool
    """Whether the request is ours: then everything is said from its side, else from that of the offer."""
    score: float
    parts: Mapping[str, float]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A pair as one person sees it: `own` is what it is for (None for who brings others together), `found` what fits."""

    id: int
    state: State
    side: Side
    request: Listing
    offer: Listing
    score: float
    parts: Mapping[str, float]
    reasons: tuple[Reason, ...]

    @property
    def found(self) -> Listing:
        """What this person has not written."""
        return self.request if self.side == "helper" else self.offer

    @property
    def own(self) -> Listing:
        """What it was found for."""
        return self.offer if self.side == "helper" else self.request

    def json(self, language: str | None = None) -> "dict[str, Json | float | dict[str, float]]":
        """The form scripts read; reasons in `language`, else in that of the listing it was found for."""
        written = language or self.own.language or "en"
        return {
            "id": str(self.id),
            "state": self.state,
            "side": self.side,
            "for": self.own.url,
            "listing": self.found.url,
            "kind": self.found.kind,
            "title": self.found.title,
            "author": self.found.author,
            "score": round(self.score, 4),
            "parts": {name: round(value, 4) for name, value in self.parts.items()},
            "reasons": [explain.text(reason, written) for reason in self.reasons],
        }


WANT: Final = """
insert into match_waiting (post_id, asked, wide)
values (:post_id, 1, :wide)
on conflict (post_id) do update
set asked = match_waiting.asked + 1, tries = 0, wide = case when match_waiting.wide = 1 then 1 else excluded.wide end
"""

NEXT: Final = """
select match_waiting.post_id, match_waiting.asked, match_waiting.tries, match_waiting.wide
from match_waiting
order by match_waiting.tries, match_waiting.post_id
limit 1
"""

TRY: Final = """
update match_waiting
set tries = tries + 1
where post_id = :post_id
"""

DONE: Final = """
delete from match_waiting
where post_id = :post_id
  and asked = :asked
"""


async def want(tx: Transaction, instance: "Instance", post_id: int, *, wide: bool = True) -> None:
    """Asks for a listing to be matched; what waits already waits once. `wide`: what it fits is matched anew too, for it may be the best of those now."""
    await tx.execute(WANT, post_id=post_id, wide=int(wide))
    await enqueue(tx, instance, "match", "all", instance.clock.ms())


async def work(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job: matches what waits, for some seconds. With a locked vault everything waits: nothing may be written down that was not sealed."""
    until = monotonic() + WORK_S
    try:
        while (row := await instance.database.read(_next)) is not None:
            began = monotonic()
            if instance.vault.locked:
                raise Locked
            if not await instance.database.write(_try, row):
                continue
            await _match(instance, row)
            if monotonic() > until:
                await instance.database.write(_again, instance, 0)
                return
            await asyncio.sleep(min(monotonic() - began, MOST_REST_S))
    except Locked:
        await instance.database.write(_again, instance, LOCKED_MS)


async def _next(tx: Transaction) -> Row | None:
    return await tx.one(NEXT)


async def _again(tx: Transaction, instance: "Instance", in_ms: int) -> None:
    await enqueue(tx, instance, "match", "all", instance.clock.ms() + in_ms)


async def _try(tx: Transaction, row: Row) -> bool:
    """Counts the attempt; what failed so often goes, and stands in the log: it must not stop all others."""
    if row["tries"] < TRIES:
        await tx.execute(TRY, post_id=row["post_id"])
        return True
    log.error("board.not_matched", listing=row["post_id"], tries=row["tries"])
    await tx.execute(DONE, post_id=row["post_id"], asked=row["asked"])
    return False


async def _match(instance: "Instance", row: Row) -> None:
    """Matches one listing from its own side, and asks for those that it fits to be matched from theirs."""
    from fedmatch.board import saved, vectors  # numpy, where it is there, should not be waited for by every command

    found = await instance.database.read(listings.by_id, instance, row["post_id"])
    made: list[Match] = []
    if found is not None and found.state == "open" and found.url:
        await vectors.keep(instance, found)
        over = await instance.database.read(_over, instance, found)
        every = await matches.found_aside(instance, found, limit=FAN, home=True, without=over)
        made = [one for one in every if any(reason.topical for reason in one.reasons)]
    # Before it is taken off what waits: who keeps a search hears of it also if this is stopped half way, and no more than once.
    if found is not None and row["wide"] and found.state == "open":
        await saved.look(instance, found)
    await instance.database.write(_keep, instance, row, found, made)


# --- what is kept of a pair

OF_REQUEST: Final = """
select suggestion.*
from suggestion
where suggestion.request_id = :id
order by suggestion.id
"""

OF_OFFER: Final = """
select suggestion.*
from suggestion
where suggestion.offer_hash = :hash
order by suggestion.id
"""

BY_ID: Final = """
select suggestion.*
from suggestion
where suggestion.id = :id
"""

NEWEST: Final = """
select suggestion.*
from suggestion
where suggestion.state in ('shown', 'proposed')
order by suggestion.id desc
limit :limit
"""

INSERT: Final = """
insert into suggestion (id, request_id, offer_hash, pair_hash, state, sealed, created_at, changed_at)
values (:id, :request_id, :offer_hash, :pair_hash, 'shown', :sealed, :now, :now)
on conflict (pair_hash) do nothing
"""

UPDATE: Final = """
update suggestion
set sealed = :sealed
where id = :id
"""

MOVE: Final = """
update suggestion
set state = :state, changed_at = :now
where id = :id
"""

DELETE: Final = """
delete from suggestion
where id = :id
"""

DELETE_OFFER: Final = """
delete from suggestion
where offer_hash = :hash
"""

EXPOSE: Final = """
insert into exposure (day, helper, number)
values (:day, :helper, 1)
on conflict (helper, day) do update
set number = exposure.number + 1
"""

FORGET_EXPOSURE: Final = """
delete from exposure
where day <= :day
"""


def _offer_hash(instance: "Instance", post_id: int) -> bytes:
    return instance.vault.digest("suggestion.offer", str(post_id))


def _pair_hash(instance: "Instance", request: int, offer: int) -> bytes:
    return instance.vault.digest("suggestion.pair", f"{request}\n{offer}")


def _place(id: int) -> str:
    return f"suggestion:{id}"


def _said(instance: "Instance", row: Row) -> Said:
    return msgspec.json.decode(instance.vault.open(bytes(row["sealed"]), _place(row["id"])), type=Said)


async def _rows_of(tx: Transaction, instance: "Instance", listing: Listing) -> Sequence[Row]:
    if listing.kind == "request":
        return await tx.all(OF_REQUEST, id=listing.id)
    return await tx.all(OF_OFFER, hash=_offer_hash(instance, listing.id))


async def _over(tx: Transaction, instance: "Instance", listing: Listing) -> frozenset[int]:
    """The other sides of pairs that somebody turned down or answered: they do not come back, also not after an edit."""
    rows = [row for row in await _rows_of(tx, instance, listing) if row["state"] in ("dismissed", "taken")]
    return frozenset(said.offer if listing.kind == "request" else said.request for said in [_said(instance, row) for row in rows])


async def _keep(tx: Transaction, instance: "Instance", row: Row, found: Listing | None, made: Sequence[Match]) -> None:
    """Writes down what a listing was matched with, tells of it, and takes the listing off those that wait, if nobody asked again meanwhile."""
    await tx.execute(DONE, post_id=row["post_id"], asked=row["asked"])
    if found is None:
        return
    # A request of ours keeps its own pairs. One of elsewhere has nobody here to tell: its pairs are those of the offers here that fit it.
    own = [one for one in made if found.kind == "request" or not one.listing.local][: matches.LIMIT] if found.local else []
    await _write(tx, instance, found, own)
    if found.kind == "offer" and not row["wide"]:
        return
    for one in made:
        if one.listing.local and (found.kind == "offer" or not found.local):
            await want(tx, instance, one.listing.id, wide=False)


async def _write(tx: Transaction, instance: "Instance", found: Listing, own: Sequence[Match]) -> None:
    before = {bytes(row["pair_hash"]): row for row in await _rows_of(tx, instance, found)}
    fresh: list[Match] = []
    kept: set[bytes] = set()
    for one in own:
        request, offer = (found, one.listing) if found.kind == "request" else (one.listing, found)
        pair = _pair_hash(instance, request.id, offer.id)
        kept.add(pair)
        said = Said(request.id, offer.id, request.actor_id, offer.actor_id, request.local, one.score, one.parts, one.reasons)
        if (row := before.get(pair)) is not None:
            await tx.execute(UPDATE, id=row["id"], sealed=instance.vault.seal(msgspec.json.encode(said), _place(row["id"])))
        elif await _insert(tx, instance, said, pair):
            fresh.append(one)
    for pair, row in before.items():
        # What somebody decided, or was proposed, stays; and of the pairs of an offer those that are kept by a request of ours.
        if pair not in kept and row["state"] == "shown" and _said(instance, row).here == (found.kind == "request"):
            await tx.execute(DELETE, id=row["id"])
    if fresh:
        await _tell(tx, instance, found, fresh)


async def _insert(tx: Transaction, instance: "Instance", said: Said, pair: bytes) -> bool:
    new_id = onetime.coarse_id(instance)
    sealed = instance.vault.seal(msgspec.json.encode(said), _place(new_id))
    made = await tx.execute(
        INSERT,
        id=new_id,
        request_id=said.request,
        offer_hash=_offer_hash(instance, said.offer),
        pair_hash=pair,
        sealed=sealed,
        now=onetime.hour(instance),
    )
    if made and said.here:
        await tx.execute(EXPOSE, day=instance.clock.ms() // matches.DAY_MS, helper=matches.helper_hash(instance, said.helper))
    return bool(made)


async def _tell(tx: Transaction, instance: "Instance", found: Listing, fresh: Sequence[Match]) -> None:
    """A word without content to whoever may see the new ones, once a day for each listing."""
    judge = Judge(instance)
    for one in fresh:
        request, offer = (found, one.listing) if found.kind == "request" else (one.listing, found)
        sides = await _sides(tx, judge, request)
        if "broker" in sides:
            for actor_id in await _brokers(tx):
                await _told(tx, instance, actor_id, request if request.local else offer)
        if "asker" in sides and request.local and not await _same(tx, instance, request, offer):
            await _told(tx, instance, request.actor_id, request)
        if "helper" in sides and offer.local and not await _same(tx, instance, request, offer):
            helper = await known.by_id(tx, offer.actor_id)
            if helper is not None and (helper.one_time or await readers.may_read(tx, instance, helper, request) != "no"):
                await _told(tx, instance, offer.actor_id, offer)


async def _told(tx: Transaction, instance: "Instance", actor_id: int, about: Listing) -> None:
    day = str(instance.clock.ms() // matches.DAY_MS)
    if await answers.once(tx, instance, "match.found", str(actor_id), str(about.id), day):
        await notifications.tell(tx, instance, actor_id, "match.found", about.id, coarse=True)


async def _same(tx: Transaction, instance: "Instance", request: Listing, offer: Listing) -> bool:
    """Whether both are of one person, under whatever name. For what that person is told alone: nothing that anybody else sees depends on it."""
    if not (request.local and offer.local):
        return False
    return await identities.person_of(tx, instance, request.actor_id) == await identities.person_of(tx, instance, offer.actor_id)


BROKER_IDS: Final = """
select distinct membership.actor_id
from membership
join account on account.id = membership.account_id
join actor on actor.id = membership.actor_id
where membership.role in ('matchmaker', 'moderator', 'admin')
  and account.state = 'active'
  and actor.state = 'active'
order by membership.actor_id
"""


async def _brokers(tx: Transaction) -> list[int]:
    return [int(row["actor_id"]) for row in await tx.all(BROKER_IDS)]


async def _sides(tx: Transaction, judge: Judge, request: Listing) -> frozenset[Side]:
    """Who hears of what fits a request before anybody proposed it: as its author says; of one that came for named instances, the matchmakers here alone."""
    if not request.local:
        return frozenset({"broker"} if request.audience == "peers" else {"helper"})
    match (await judge.terms(tx, request)).suggest:
        case "me":
            return frozenset({"asker"})
        case "helpers":
            return frozenset({"asker", "helper"})
        case "matchmakers":
            return frozenset({"broker"})


# --- who sees what of it


async def of_reader(tx: Transaction, instance: "Instance", reader: Actor, *, listing: Listing | None = None, limit: int = 200) -> list[Suggestion]:
    """What one of ours is shown now: of their own listings, and of others' if they bring people together; the best first. Call it in a read.

    Everything is asked again: who blocks whom, who is vouched for, what is open, who may read. Raises `actors.vault.Locked`.
    """
    own = frozenset(await identities.mine(tx, instance, reader))
    broker = not BROKERS.isdisjoint(await local.roles(tx, reader.id))
    rows: dict[int, Row] = {}
    mine = [one for actor_id in own for one in await listings.of_author(tx, instance, actor_id, MOST_SCANNED, private=True)]
    for one in mine:
        if one.state == "open" and (listing is None or listing.id == one.id):
            rows |= {row["id"]: row for row in await _rows_of(tx, instance, one)}
    if broker:
        others = await tx.all(NEWEST, limit=MOST_SCANNED) if listing is None else await _rows_of(tx, instance, listing)
        rows |= {row["id"]: row for row in others}
    judge, held = Judge(instance), dict[int, Listing | None]({one.id: one for one in mine})
    found = [await _shown(tx, instance, judge, held, reader, own, row, broker=broker) for row in rows.values() if row["state"] in ("shown", "proposed")]
    seen = sorted((one for one in found if one is not None), key=lambda one: (one.own.id, -one.score, one.id))
    return seen[:limit]


async def _shown(
    tx: Transaction,
    instance: "Instance",
    judge: Judge,
    held: dict[int, Listing | None],
    reader: Actor,
    own: frozenset[int],
    row: Row,
    *,
    broker: bool,
) -> Suggestion | None:
    said = _said(instance, row)
    if {said.asker, said.helper} <= own:
        return None
    for key in (said.request, said.offer):
        if key not in held:
            held[key] = await listings.by_id(tx, instance, key)
    request, offer = held[said.request], held[said.offer]
    if request is None or offer is None or request.actor_id != said.asker or offer.actor_id != said.helper:
        return None
    side = await _side(tx, judge, own, request, offer, row["state"], broker=broker)
    if side is None or not await judge.fits(tx, request, offer):
        return None
    for one in (request, offer):
        if not await judge.sees(tx, reader, own, one):
            return None
    request, offer = await _as_seen(tx, instance, reader, own, request), await _as_seen(tx, instance, reader, own, offer)
    reasons = await _told_now(tx, judge, said, side, request, offer)
    return Suggestion(row["id"], row["state"], side, request, offer, said.score, said.parts, reasons)


async def _side(tx: Transaction, judge: Judge, own: frozenset[int], request: Listing, offer: Listing, state: str, *, broker: bool) -> Side | None:
    sides = await _sides(tx, judge, request)
    if request.actor_id in own and ("asker" in sides or state == "proposed"):
        return "asker"
    if offer.actor_id in own and ("helper" in sides or state == "proposed"):
        return "helper"
    return "broker" if broker and "broker" in sides and not {request.actor_id, offer.actor_id} & own else None


async def _as_seen(tx: Transaction, instance: "Instance", reader: Actor, own: frozenset[int], listing: Listing) -> Listing:
    if listing.actor_id in own:
        return listing
    return await readers.shown(tx, instance, reader, listing) or readers.coarse(listing)


async def _told_now(tx: Transaction, judge: Judge, said: Said, side: Side, request: Listing, offer: Listing) -> tuple[Reason, ...]:
    """The reasons as this side reads them today: a vouch that was taken back is none any more."""
    written_for: Side = "asker" if said.here else "helper"
    reasons = said.reasons if side in (written_for, "broker") else tuple(_turned(said.reasons, request if side == "helper" else offer))
    vouched = await judge.vouched_by(tx, offer if written_for == "asker" else request)
    kept = tuple(
        replace(one, parameters={"issuers": still}) if one.code == "vouched" else one
        for one in reasons
        if one.code != "vouched" or (still := tuple(host for host in one.parameters["issuers"] if host in vouched))
    )
    return kept or (Reason("open"),)


def _turned(reasons: Iterable[Reason], other: Listing) -> Iterable[Reason]:
    """The same reasons from the other side."""
    codes = {"skills.offered": "skills.asked", "skills.asked": "skills.offered"}
    spoken = tuple(sorted({tag.partition("-")[0] for tag in other.speaks or ((other.language,) if other.language else ())}))
    for one in reasons:
        if one.code == "interpreter":
            yield replace(one, parameters={"languages": spoken})
        elif one.code != "vouched":
            yield replace(one, code=codes.get(one.code, one.code))


# --- what people make of it


async def dismiss(tx: Transaction, instance: "Instance", reader: Actor, id: int) -> None:
    """Turns a pair down, for both sides and for ever: after an edit too. Raises `CannotSuggest`, `actors.vault.Locked`."""
    await _mine(tx, instance, reader, id)
    await tx.execute(MOVE, id=id, state="dismissed", now=onetime.hour(instance))
    log.info("suggestion.dismissed", suggestion=id)


async def propose(tx: Transaction, instance: "Instance", broker: Actor, id: int) -> None:
    """Shows a pair that only matchmakers see to both its sides, as far as they live here and may read the other. Nobody hears of anybody until both agreed: one
    answers, and the other accepts. Raises `CannotSuggest`, `actors.vault.Locked`.
    """
    found = await _mine(tx, instance, broker, id)
    if found.side != "broker":
        raise CannotSuggest("it is one of your own, and you see it already: answer it with `fedmatch respond`, or ask its other side to")
    if found.state == "proposed":
        raise CannotSuggest("it is proposed to both sides already")
    await tx.execute(MOVE, id=id, state="proposed", now=onetime.hour(instance))
    for one in (found.request, found.offer):
        if one.local:
            await notifications.tell(tx, instance, one.actor_id, "match.proposed", one.id, coarse=True)
    log.info("suggestion.proposed", suggestion=id)


async def _mine(tx: Transaction, instance: "Instance", reader: Actor, id: int) -> Suggestion:
    row = await tx.one(BY_ID, id=id)
    found = None
    if row is not None and row["state"] in ("shown", "proposed"):
        own = frozenset(await identities.mine(tx, instance, reader))
        broker = not BROKERS.isdisjoint(await local.roles(tx, reader.id))
        found = await _shown(tx, instance, Judge(instance), {}, reader, own, row, broker=broker)
    if found is None:
        raise CannotSuggest(f"there is no suggestion {id} for {reader.username}; `fedmatch suggestion list --as {reader.username}` shows which there are")
    return found


async def allow(tx: Transaction, instance: "Instance", listing: Listing, whom: Suggest) -> None:
    """Writes down whom the author of one of ours lets hear of what fits it; it is matched anew for them. Raises `actors.vault.Locked`."""
    wishes = await terms.of(tx, instance, listing.id)
    await terms.write(tx, instance, listing.id, replace(wishes, suggest=whom))
    if listing.state == "open":
        await want(tx, instance, listing.id, wide=False)


async def answered(tx: Transaction, instance: "Instance", listing_id: int, answerer: Iri) -> None:
    """Somebody answered a listing: what was suggested of the two is taken, and does not come back. Raises `actors.vault.Locked`."""
    found, actor = await listings.by_id(tx, instance, listing_id), await known.by_uri(tx, answerer)
    if found is None or actor is None:
        return
    for row in await _rows_of(tx, instance, found):
        said = _said(instance, row)
        if row["state"] != "taken" and actor.id == (said.helper if found.kind == "request" else said.asker):
            await tx.execute(MOVE, id=row["id"], state="taken", now=onetime.hour(instance))


async def gone(tx: Transaction, instance: "Instance", post_id: int) -> None:
    """A listing goes: what it was suggested for goes with it. With a locked vault `forget` does it later; nothing of it is shown before."""
    if not instance.vault.locked:
        await tx.execute(DELETE_OFFER, hash=_offer_hash(instance, post_id))


AFTER: Final = """
select suggestion.id, suggestion.sealed
from suggestion
where suggestion.id > :after
order by suggestion.id
limit :limit
"""

EXISTS: Final = """
select 1 as found
from listing
where listing.post_id = :id
"""


async def forget(instance: "Instance") -> None:
    """Forgets how often somebody was suggested long ago, and pairs whose offer went while the vault was locked."""
    await instance.database.write(_forget_exposure, instance)
    after: int | None = 0
    while after is not None and not instance.vault.locked:
        after = await instance.database.write(_forget_some, instance, after)


async def _forget_exposure(tx: Transaction, instance: "Instance") -> None:
    await tx.execute(FORGET_EXPOSURE, day=instance.clock.ms() // matches.DAY_MS - matches.RECENT_DAYS)


async def _forget_some(tx: Transaction, instance: "Instance", after: int) -> int | None:
    rows = await tx.all(AFTER, after=after, limit=CHUNK)
    for row in rows:
        if await tx.one(EXISTS, id=_said(instance, row).offer) is None:
            await tx.execute(DELETE, id=row["id"])
    return int(rows[-1]["id"]) if len(rows) == CHUNK else None
