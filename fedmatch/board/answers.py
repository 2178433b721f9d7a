"""Who answered what, and how does it stand? Answers as rows: references sealed, found again by keyed hashes, times and ids in whole hours.

On the instance of both sides there is one row; else each side's instance has its own, and what travels keeps them together.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from actors import hosts, onetime
from actors.known import Actor
from fedmatch import times
from fedmatch.safety.vouches import Standing
from schemas.objects import Purpose, Vouch
from schemas.reading import Iri, Row
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

State = Literal["sent", "opened", "accepted", "declined", "withdrawn", "released", "completed", "failed"]
Side = Literal["asker", "helper", "both"]
Tray = Literal["vouched", "rest", "held"]
Channel = Literal["here", "sealed", "open", "note"]
"""How the two sides reach each other: on one instance; sealed, between trusted peers; as FEP-0837 in the open; by direct Notes of an ordinary server."""

HOUR_MS: Final = 3_600_000
LIVE: Final = frozenset({"sent", "opened", "accepted"})
WAITING: Final = frozenset({"sent", "opened"})

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]


class CannotAnswer(ValueError):
    """An answer cannot be given, decided or changed like this; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one Note says of an answer that was written in several, or edited; `updated` in milliseconds UTC, 0 as it first came."""

    note: Iri
    text: str
    updated: int = 0


@dataclass(frozen=True, slots=True)
class Words:
    """What of an answer rests sealed: who, to what, in what words. `kind` is what was answered; None where that was not kept yet, which reads as a request."""

    listing: Iri
    listing_id: int
    title: str
    asker: Iri
    asker_handle: str
    helper: Iri
    helper_handle: str
    offer: Iri
    channel: Channel
    text: str
    language: str | None = None
    agreement: Iri | None = None
    quantity: int = 1
    need: str | None = None
    note: Iri | None = None
    flagged: bool = False
    vouches: tuple[Vouch, ...] = ()
    level: int = 0
    issuers: tuple[str, ...] = ()
    reason: str | None = None
    receipt: Iri | None = None
    speaks: tuple[str, ...] = ()
    region: str | None = None
    parts: tuple[Part, ...] = ()
    """The Notes that `text` is made of, where it is not that of `note` as it first came."""
    kind: Purpose | None = None
    counted: tuple[Vouch, ...] = ()
    """What is said of the helper and proven, each with the level it counts for here; `vouches` are what was carried, to be judged again."""
    trusted: int = 0
    """How much was said for the author of the listing when it was answered, as the helper's instance weighs it now."""
    trusted_by: tuple[Vouch, ...] = ()
    """What the listing carried for that."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. Times are milliseconds UTC, in whole hours."""

    id: int
    state: State
    side: Side
    tray: Tray
    words: Words
    created: int
    changed: int
    ends: int

    @property
    def live(self) -> bool:
        """Whether anything can still come of it."""
        return self.state in LIVE

    @property
    def shown_tray(self) -> str:
        """The tray as anybody is told of it: whoever waits unseen cannot tell."""
        if self.tray != "held":
            return self.tray
        return "vouched" if self.words.level >= 1 else "rest"

    def of_asker(self, actor: Actor) -> bool:
        """Whether `actor` is the author of what was answered."""
        return self.words.asker == actor.uri

    def of_helper(self, actor: Actor) -> bool:
        """Whether `actor` answered."""
        return self.words.helper == actor.uri

    def needs(self, actor: Actor) -> bool:
        """Whether `actor` is the one of the two who needs help: the author of a request, or whoever answered an offer."""
        return self.of_helper(actor) if self.words.kind == "offer" else self.of_asker(actor)

    def helps(self, actor: Actor) -> bool:
        """Whether `actor` is the one of the two who helps."""
        return self.of_asker(actor) if self.words.kind == "offer" else self.of_helper(actor)

    def json(self) -> dict[str, Json]:
        """The form scripts read, without messages."""
        words = self.words
        return {
            "id": str(self.id),
            "url": words.offer,
            "listing": words.listing,
            "title": words.title,
            "state": self.state,
            "from": words.helper_handle,
            "to": words.asker_handle,
            "text": words.text,
            "language": words.language,
            "tray": self.shown_tray,
            "channel": words.channel,
            "readable_by": readable_by(self),
            "flagged": words.flagged,
            "reason": words.reason,
            "need": words.need,
            "quantity": words.quantity,
            "speaks": list(words.speaks),
            "region": words.region,
            "level": words.level,
            "vouches": [{"issuer": hosts.authority(one.issuer), "level": one.level, "method": one.method} for one in words.counted],
            "at": times.rfc3339(self.created),
        }


def weighed(words: Words, standing: Standing) -> Words:
    """The words with how much is said for the helper, as this instance weighs it now."""
    return replace(words, level=standing.level, issuers=standing.issuers, counted=(*standing.ours, *standing.carried))


def readable_by(response: Response) -> str | None:
    """The host whose administrators can read what is said here, besides those of this instance; None where both sides live here."""
    words = response.words
    match response.side:
        case "both":
            return None
        case "asker":
            return hosts.authority(words.helper)
        case "helper":
            return hosts.authority(words.asker)


def hour(instance: "Instance") -> int:
    """The whole hour that began last: nothing here is dated more finely."""
    return instance.clock.ms() // HOUR_MS * HOUR_MS


def hash_of(instance: "Instance", kind: str, *parts: str) -> bytes:
    """A keyed hash to find something by. Raises `actors.vault.Locked`."""
    return instance.vault.digest(f"response.{kind}", "\n".join(parts))


INSERT: Final = """
insert into response (id, state, side, tray, listing_hash, asker_hash, helper_hash, host_hash, live_hash, sealed, created_at, changed_at, ends_at)
values (:id, :state, :side, :tray, :listing_hash, :asker_hash, :helper_hash, :host_hash, :live_hash, :sealed, :now, :now, :ends_at)
"""

# What is over goes 30 days after its end, whatever is noted of it then.
UPDATE: Final = """
update response
set
  changed_at = case
    when state = :state and state in ('completed', 'failed', 'declined', 'withdrawn', 'released') then changed_at
    else :now
  end,
  state = :state,
  tray = :tray,
  live_hash = :live_hash,
  sealed = :sealed
where id = :id
"""

BY_ID: Final = """
select response.*
from response
where response.id = :id
"""

BY_NAME: Final = """
select response.*
from response
join response_name on response_name.response_id = response.id
where response_name.hash = :hash
"""

BY_PAIR: Final = """
select response.*
from response
where response.live_hash = :live_hash
"""

BETWEEN: Final = """
select response.*
from response
where response.asker_hash = :asker_hash
  and response.helper_hash = :helper_hash
order by response.id desc
limit 1
"""

OF: Final = """
select response.*
from response
where (response.asker_hash = :actor_hash and response.side <> 'helper' and response.tray <> 'held')
   or (response.helper_hash = :actor_hash and response.side <> 'asker')
order by case response.tray when 'vouched' then 0 else 1 end, response.id desc
limit :limit
"""

OF_LISTING: Final = """
select response.*
from response
where response.listing_hash = :listing_hash
  and response.side <> 'helper'
order by response.id
"""

OPEN: Final = """
select response.*
from response
where response.id > :after
  and (
    response.state in ('sent', 'opened', 'accepted')
    or (
      response.state = 'completed'
      and exists (
        select 1
        from conversation
        where conversation.response_id = response.id
      )
    )
  )
order by response.id
limit 200
"""

HELD: Final = """
select response.*
from response
where response.asker_hash = :actor_hash
  and response.tray = 'held'
  and response.state = 'sent'
order by response.id
"""

OPENED: Final = """
select count(*) as n
from response
where response.asker_hash = :actor_hash
  and response.side <> 'helper'
  and response.state = 'opened'
"""

UNOPENED: Final = """
select count(*) as n, coalesce(sum(case when response.host_hash = :host_hash then 1 else 0 end), 0) as of_host
from response
where response.listing_hash = :listing_hash
  and response.side <> 'helper'
  and response.tray = 'rest'
  and response.state = 'sent'
"""

UNSHOWN: Final = """
select response.*
from response
where response.listing_hash = :listing_hash
  and response.side <> 'helper'
  and response.tray = 'held'
  and response.state = 'sent'
"""

LIVE_OF: Final = """
select 1 as found
from response
where (response.asker_hash = :actor_hash or response.helper_hash = :actor_hash)
  and response.state in ('sent', 'opened', 'accepted')
limit 1
"""

PARTS_OF: Final = """
select response.*
from response
where (response.asker_hash = :actor_hash or response.helper_hash = :actor_hash)
  and response.state in ('sent', 'opened', 'accepted')
order by response.id
"""

NAME: Final = """
insert into response_name (hash, response_id)
values (:hash, :response_id)
on conflict (hash) do nothing
"""

ONCE: Final = """
insert into response_once (hash, created_at)
values (:hash, :now)
on conflict (hash) do nothing
"""

WAS: Final = """
select 1 as found
from response_once
where response_once.hash = :hash
"""

FORGET_ONCE: Final = """
delete from response_once
where created_at < :before
"""


def _place(id: int) -> str:
    return f"response:{id}"


def _from_row(instance: "Instance", row: Row) -> Response:
    words = msgspec.json.decode(instance.vault.open(bytes(row["sealed"]), _place(row["id"])), type=Words)
    return Response(row["id"], row["state"], row["side"], row["tray"], words, row["created_at"], row["changed_at"], row["ends_at"])


def _hashes(instance: "Instance", words: Words) -> dict[str, Value]:
    return {
        "listing_hash": hash_of(instance, "listing", words.listing),
        "asker_hash": hash_of(instance, "actor", words.asker),
        "helper_hash": hash_of(instance, "actor", words.helper),
        "host_hash": hash_of(instance, "host", hosts.authority(words.helper)),
    }


async def insert(tx: Transaction, instance: "Instance", words: Words, *, side: Side, tray: Tray, ends: int, one_time: bool = False) -> Response:
    """Writes a new answer, in state sent. There must be none that is live between this helper and this listing. Raises `actors.vault.Locked`.

    Of a `one_time` helper of ours not even the counter in its id says when it was.
    """
    from fedmatch.board import suggestions  # it is built on answers

    now = hour(instance)
    made = Response(onetime.coarse_id(instance) if one_time else instance.ids.new(now), "sent", side, tray, words, now, now, ends)
    await tx.execute(
        INSERT,
        id=made.id,
        state=made.state,
        side=side,
        tray=tray,
        live_hash=hash_of(instance, "pair", words.listing, words.helper),
        sealed=instance.vault.seal(msgspec.json.encode(words), _place(made.id)),
        now=now,
        ends_at=ends,
        **_hashes(instance, words),
    )
    await name(tx, instance, made, words.offer)
    if words.note is not None:
        await name(tx, instance, made, words.note)
    await suggestions.answered(tx, instance, words.listing_id, words.helper)
    return made


async def save(tx: Transaction, instance: "Instance", response: Response, **changes: object) -> Response:
    """Writes an answer as it is now; `changes` are members of it or of its words."""
    own = {key: value for key, value in changes.items() if key in ("state", "tray")}
    said = {key: value for key, value in changes.items() if key not in own}
    if "text" in said:
        said.setdefault("parts", ())  # where the words go, nothing stays of what they were made of
    now = replace(response, **own, words=replace(response.words, **said))  # type: ignore[arg-type]  # the callers name members of the two
    await tx.execute(
        UPDATE,
        id=now.id,
        state=now.state,
        tray=now.tray,
        live_hash=hash_of(instance, "pair", now.words.listing, now.words.helper) if now.live else None,
        sealed=instance.vault.seal(msgspec.json.encode(now.words), _place(now.id)),
        now=hour(instance),
    )
    if now.words.agreement is not None and now.words.agreement != response.words.agreement:
        await name(tx, instance, now, now.words.agreement)
    return now


async def name(tx: Transaction, instance: "Instance", response: Response, uri: Iri) -> None:
    """Remembers that `uri` is a name of this answer on the wire: what comes back under it belongs here."""
    await tx.execute(NAME, hash=hash_of(instance, "name", uri), response_id=response.id)


async def by_name(tx: Transaction, instance: "Instance", uri: str) -> Response | None:
    """The answer that has this name on the wire: its Offer, its agreement, a letter or a message about it."""
    row = await tx.one(BY_NAME, hash=hash_of(instance, "name", uri))
    return None if row is None else _from_row(instance, row)


async def by_id(tx: Transaction, instance: "Instance", id: int) -> Response | None:
    """The answer with our id."""
    row = await tx.one(BY_ID, id=id)
    return None if row is None else _from_row(instance, row)


async def find(tx: Transaction, instance: "Instance", which: str) -> Response | None:
    """The answer named by our id or by its URL."""
    if which.isascii() and which.isdigit() and len(which) < 20:
        return await by_id(tx, instance, min(int(which), 2**63 - 1))
    return await by_name(tx, instance, which)


async def live_between(tx: Transaction, instance: "Instance", listing: Iri, helper: Iri) -> Response | None:
    """The one live answer of this helper to this listing."""
    row = await tx.one(BY_PAIR, live_hash=hash_of(instance, "pair", listing, helper))
    return None if row is None else _from_row(instance, row)


async def latest(tx: Transaction, instance: "Instance", asker: Iri, helper: Iri) -> Response | None:
    """The newest answer of `helper` to anything of `asker`."""
    row = await tx.one(BETWEEN, asker_hash=hash_of(instance, "actor", asker), helper_hash=hash_of(instance, "actor", helper))
    return None if row is None else _from_row(instance, row)


async def of_actor(tx: Transaction, instance: "Instance", actor: Actor, limit: int = 1000) -> list[Response]:
    """The answers that one of ours got or gave: the vouched ones first, then the newest. Raises `actors.vault.Locked`."""
    rows = await tx.all(OF, actor_hash=hash_of(instance, "actor", actor.uri), limit=limit)
    return [_from_row(instance, row) for row in rows]


async def of_listing(tx: Transaction, instance: "Instance", listing: Iri) -> list[Response]:
    """Every answer to a listing of ours, oldest first."""
    return [_from_row(instance, row) for row in await tx.all(OF_LISTING, listing_hash=hash_of(instance, "listing", listing))]


async def some_open(tx: Transaction, instance: "Instance", after: int) -> list[Response]:
    """Pending answers, and those whose two still may write to each other, behind the id `after`, at most 200: of what is asked here, or on both sides."""
    return [_from_row(instance, row) for row in await tx.all(OPEN, after=after)]


async def held(tx: Transaction, instance: "Instance", actor: Actor) -> list[Response]:
    """What waits at the border for an admin before `actor` sees it."""
    return [_from_row(instance, row) for row in await tx.all(HELD, actor_hash=hash_of(instance, "actor", actor.uri))]


async def opened(tx: Transaction, instance: "Instance", actor: Actor) -> int:
    """How many answers `actor` opened and did not decide."""
    row = await tx.one(OPENED, actor_hash=hash_of(instance, "actor", actor.uri))
    return 0 if row is None else int(row["n"])


async def unopened(tx: Transaction, instance: "Instance", listing: Iri, host: str) -> tuple[int, int]:
    """How many unopened answers without a vouch a listing has, in all and of one host. Raises `actors.vault.Locked`.

    Whoever is blocked counts as they would if they were not: whether there is room for one more must not say that somebody vouched for is never shown.
    """
    listing_hash = hash_of(instance, "listing", listing)
    row = await tx.one(UNOPENED, listing_hash=listing_hash, host_hash=hash_of(instance, "host", host))
    unshown = [_from_row(instance, one) for one in await tx.all(UNSHOWN, listing_hash=listing_hash)]
    also = [hosts.authority(one.words.helper) == hosts.host_name(host) for one in unshown if one.words.level < 1]
    return (len(also), sum(also)) if row is None else (int(row["n"]) + len(also), int(row["of_host"]) + sum(also))


async def holds(tx: Transaction, instance: "Instance", actor: Actor) -> bool:
    """Whether an actor of ours is part of any answer that is still live: a one-time identity ends only after its last."""
    return await tx.one(LIVE_OF, actor_hash=hash_of(instance, "actor", actor.uri)) is not None


async def parts_of(tx: Transaction, instance: "Instance", actor: Actor) -> list[Response]:
    """Every live answer that an actor, ours or theirs, is one side of."""
    return [_from_row(instance, row) for row in await tx.all(PARTS_OF, actor_hash=hash_of(instance, "actor", actor.uri))]


async def once(tx: Transaction, instance: "Instance", kind: str, *about: str) -> bool:
    """True the first time it is asked of `kind` and `about`, then False: what is told to one person once."""
    return bool(await tx.execute(ONCE, hash=hash_of(instance, f"once.{kind}", *about), now=hour(instance)))


async def was(tx: Transaction, instance: "Instance", kind: str, *about: str) -> bool:
    """Whether `once` was asked this before."""
    return await tx.one(WAS, hash=hash_of(instance, f"once.{kind}", *about)) is not None


async def forget_once(tx: Transaction, instance: "Instance") -> None:
    """Forgets what was remembered once more than 90 days ago."""
    await tx.execute(FORGET_ONCE, before=instance.clock.ms() - 90 * 24 * HOUR_MS)
