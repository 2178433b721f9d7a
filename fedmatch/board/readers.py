"""Who may read a listing that is not public? Helpers who are vouched for as its floor demands, and each of them only so many a day."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import blocks
from actors.known import Actor
from fedmatch.board import notifications, terms
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor
from fedmatch.safety import vouches
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

View = Literal["full", "coarse", "no"]

MOST_A_DAY: Final = 20
"""How many different ones a helper opens on one day (UTC); of more the coarse fields alone are shown, and staff is told."""
DAY_MS: Final = 86_400_000

STAFF: Final = frozenset({"moderator", "admin"})
HELPERS: Final = frozenset({"helper", "matchmaker"})
"""Who may read what is not public, if enough is said for them; a matchmaker helps by bringing others together."""

ROLES: Final = """
select membership.role
from membership
join account on account.id = membership.account_id
where membership.actor_id = :actor_id
  and account.state = 'active'
"""

OPENED: Final = """
select count(*) as n, coalesce(sum(case when listing_reading.listing = :listing then 1 else 0 end), 0) as this
from listing_reading
where listing_reading.day = :day
  and listing_reading.reader = :reader
"""

OPENED_TODAY: Final = """
select listing_reading.listing
from listing_reading
where listing_reading.day = :day
  and listing_reading.reader = :reader
"""

INSERT: Final = """
insert into listing_reading (day, reader, listing)
values (:day, :reader, :listing)
on conflict (day, reader, listing) do nothing
"""

EXCESS: Final = """
select count(*) as n
from listing_reading
where listing_reading.day = :day
  and listing_reading.listing = :excess
"""

FORGET: Final = """
delete from listing_reading
where day < :day
"""

TOO_MANY: Final = b"too many"
"""Stands where a listing's hash would: this reader wanted more than their share on this day."""


async def may_read(tx: Transaction, instance: "Instance", actor: Actor, listing: Listing) -> View:
    """What `actor`, one of ours, may see of a listing now: everything, its coarse fields, or not that it is there. Counts nothing.

    Its author and the staff of this instance read all of it; of two of whom one blocks the other, neither sees what the other wrote.
    Raises `actors.vault.Locked`.
    """
    if await _free(tx, actor, listing):
        return "full"
    if await blocks.either(tx, actor.id, listing.actor_id):
        return "no"
    roles = await _roles(tx, actor)
    if HELPERS.isdisjoint(roles) or not listing.url or not await _reaches(tx, instance, actor, await _floor(tx, instance, listing)):
        return "no"
    opened, this = await _opened(tx, instance, actor, listing)
    return "full" if this or opened < MOST_A_DAY else "coarse"


async def open_for(tx: Transaction, instance: "Instance", actor: Actor, listing: Listing) -> Listing | None:
    """What `actor` sees who opens this listing, counted toward their day; None if it is not there for them. Staff is told of whoever wants too many.

    Raises `actors.vault.Locked`.
    """
    if await _free(tx, actor, listing):
        return listing
    view = await may_read(tx, instance, actor, listing)
    if view == "no":
        return None
    day = _day(instance)
    reader = _reader(instance, day, actor)
    if view == "full":
        await tx.execute(INSERT, day=day, reader=reader, listing=_hash(instance, day, listing))
        return listing
    if await tx.execute(INSERT, day=day, reader=reader, listing=TOO_MANY):
        log.warning("board.reader_wants_too_many", actor=actor.id)
        await notifications.tell_staff(tx, instance, "readers.excess", actor.handle)
    return coarse(listing)


async def shown(tx: Transaction, instance: "Instance", actor: Actor, listing: Listing) -> Listing | None:
    """What `actor` sees of this listing without opening it: all of it if it is theirs, public, or was opened today; else its coarse fields, or None.

    Raises `actors.vault.Locked`.
    """
    if await _free(tx, actor, listing):
        return listing
    match await may_read(tx, instance, actor, listing):
        case "no":
            return None
        case "coarse":
            return coarse(listing)
        case "full":
            _, this = await _opened(tx, instance, actor, listing)
            return listing if this else coarse(listing)


async def is_staff(tx: Transaction, actor: Actor) -> bool:
    """Whether an actor reads everything here."""
    return not STAFF.isdisjoint(await _roles(tx, actor))


async def opened_today(tx: Transaction, instance: "Instance", actor: Actor) -> frozenset[bytes]:
    """The marks of what an actor opened today."""
    day = _day(instance)
    return frozenset(bytes(row["listing"]) for row in await tx.all(OPENED_TODAY, day=day, reader=_reader(instance, day, actor)))


def mark(instance: "Instance", listing: Listing) -> bytes:
    """By what a listing is known that was opened today."""
    return _hash(instance, _day(instance), listing)


def coarse(listing: Listing) -> Listing:
    """The listing without words of its author: what it is about, in which languages, where and how soon."""
    return replace(listing, title="", text="", translations=(), needs=(), vouches=(), follow_up_of=None, warning=None)


async def excess(tx: Transaction, instance: "Instance") -> int:
    """How many readers wanted more than their share today."""
    return await excess_on(tx, instance.clock.ms())


async def excess_on(tx: Transaction, now_ms: int) -> int:
    """The same of the day of that moment."""
    row = await tx.one(EXCESS, day=now_ms // DAY_MS, excess=TOO_MANY)
    return 0 if row is None else int(row["n"])


async def forget(tx: Transaction, instance: "Instance") -> None:
    """Forgets who read what on other days."""
    await tx.execute(FORGET, day=_day(instance))


async def _free(tx: Transaction, actor: Actor, listing: Listing) -> bool:
    """Whether no floor and no share stand between this actor and the listing: it is public and out, theirs, or they are staff here."""
    published = listing.public and bool(listing.url)
    return published or listing.actor_id == actor.id or not STAFF.isdisjoint(await _roles(tx, actor))


async def _roles(tx: Transaction, actor: Actor) -> frozenset[str]:
    return frozenset(str(row["role"]) for row in await tx.all(ROLES, actor_id=actor.id))


async def _floor(tx: Transaction, instance: "Instance", listing: Listing) -> Floor:
    """The floor of ours as its author set it; of a copy the level that its home asked us to demand, by our own word alone."""
    if listing.local:
        return (await terms.of(tx, instance, listing.id)).readers
    return Floor(1 if listing.readers is None else listing.readers)


async def _reaches(tx: Transaction, instance: "Instance", actor: Actor, floor: Floor) -> bool:
    if floor.level == 0:
        return True
    if floor.issuers and instance.config.host not in floor.issuers:
        return False
    return any(vouch.level >= floor.level for vouch in await vouches.of(tx, instance, actor))


async def _opened(tx: Transaction, instance: "Instance", actor: Actor, listing: Listing) -> tuple[int, bool]:
    """How many this reader opened today, and whether this is one of them."""
    day = _day(instance)
    row = await tx.one(OPENED, day=day, reader=_reader(instance, day, actor), listing=_hash(instance, day, listing))
    return (0, False) if row is None else (int(row["n"]), bool(row["this"]))


def _day(instance: "Instance") -> int:
    return instance.clock.ms() // DAY_MS


def _reader(instance: "Instance", day: int, actor: Actor) -> bytes:
    return instance.vault.digest(f"reader of {day}", str(actor.id))


def _hash(instance: "Instance", day: int, listing: Listing) -> bytes:
    return instance.vault.digest(f"read on {day}", str(listing.id))
