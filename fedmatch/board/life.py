"""Where can a listing go from here? Every move along `schemas.states.LISTING`, with what is taken and done of it; whoever may hold it hears of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from fedmatch import chores, times
from fedmatch.board import listings, publish, topics
from fedmatch.board.listings import Listing
from fedmatch.safety import retention
from schemas.listings import EXPIRES, LONGEST, Invalid
from schemas.states import LISTING
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()


class NoSuchNeed(ValueError):
    """A request has no part of this name; the text says which it has."""


class NotOurs(ValueError):
    """It is not here, or lives on another instance; only there its life is led."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing of which a listing wants or offers `quantity` (None: as many as come). `name` is None where the listing has no named needs."""

    name: str | None
    quantity: int | None
    taken: int
    done: int

    @property
    def left(self) -> int | None:
        """How many more it has room for."""
        return None if self.quantity is None else max(0, self.quantity - self.taken)


COUNTS: Final = """
select listing_count.need, listing_count.taken, listing_count.done
from listing_count
where listing_count.post_id = :post_id
"""

COUNT: Final = """
insert into listing_count (post_id, need, taken, done)
values (:post_id, :need, :taken, :done)
on conflict (post_id, need) do update
set taken = excluded.taken, done = excluded.done
"""


async def parts(tx: Transaction, listing: Listing) -> list[Part]:
    """What a listing is made of, and how much of it is taken and done: partial fulfilment is a count. A request without a number wants one helper."""
    counts = {int(row["need"]): (int(row["taken"]), int(row["done"])) for row in await tx.all(COUNTS, post_id=listing.id)}
    if listing.needs:
        return [Part(need.name, need.quantity, *counts.get(place, (0, 0))) for place, need in enumerate(listing.needs)]
    return [Part(None, listing.capacity or (1 if listing.kind == "request" else None), *counts.get(0, (0, 0)))]


async def take(tx: Transaction, instance: "Instance", listing_id: int, quantity: int = 1, need: str | None = None) -> bool:
    """Takes `quantity` of it (of the named part `need`, or of the first with room); False if there is not so much left, and then nothing changes.

    A request that has all it wants is matched, a full offer pauses. Raises `NotOurs`, `NoSuchNeed`, `schemas.states.IllegalMove` for one that is closed, and
    `actors.vault.Locked`.
    """
    listing = await _ours(tx, instance, listing_id)
    if listing.state not in listings.OPEN:
        LISTING.move(listing.state, "matched")
    if listing.state != "open":
        return False
    found = await parts(tx, listing)
    place = _place(found, quantity, need)
    if place is None:
        return False
    await _count(tx, listing, found, place, taken=quantity)
    await _settle(tx, instance, listing)
    return True


async def give_back(tx: Transaction, instance: "Instance", listing_id: int, quantity: int = 1, need: str | None = None) -> None:
    """Gives back what was taken: somebody withdrew, was released, or it failed. What was matched, or paused because it was full, opens again.

    Raises `NotOurs`, `NoSuchNeed`, `actors.vault.Locked`.
    """
    listing = await _ours(tx, instance, listing_id)
    found = await parts(tx, listing)
    place = _taken_place(found, quantity, need)
    await _count(tx, listing, found, place, taken=-min(quantity, found[place].taken))
    await _settle(tx, instance, listing)


async def complete(tx: Transaction, instance: "Instance", listing_id: int, quantity: int = 1, need: str | None = None) -> None:
    """Notes that `quantity` of what was taken is done. A request whose every part is done is fulfilled; the room of an offer stays used until it is renewed.

    Raises `NotOurs`, `NoSuchNeed`, `actors.vault.Locked`.
    """
    listing = await _ours(tx, instance, listing_id)
    found = await parts(tx, listing)
    place = _taken_place(found, quantity, need)
    await _count(tx, listing, found, place, done=min(quantity, found[place].taken - found[place].done))
    now = await parts(tx, listing)
    if listing.kind == "request" and listing.state in ("open", "matched") and all(part.quantity is not None and part.done >= part.quantity for part in now):
        await move(tx, instance, listing, "fulfilled")


async def fulfil(tx: Transaction, instance: "Instance", listing_id: int) -> None:
    """Closes it because its author has what was wanted. Raises `schemas.states.IllegalMove`, `NotOurs`, `actors.vault.Locked`."""
    listing = await _ours(tx, instance, listing_id)
    if listing.state == "paused" and listing.pause == "full":
        # Full is a pause of ours, not of its author: who fulfils it opened it in the same breath.
        LISTING.move("paused", "open")
        listing = replace(listing, state="open")
    await move(tx, instance, listing, "fulfilled")


async def pause(tx: Transaction, instance: "Instance", listing_id: int) -> None:
    """Rests it: it stays, and takes no answers until it is opened again. Raises `schemas.states.IllegalMove`, `NotOurs`, `actors.vault.Locked`."""
    listing = await _ours(tx, instance, listing_id)
    await move(tx, instance, listing, "paused", pause="author")


async def reopen(tx: Transaction, instance: "Instance", listing_id: int) -> None:
    """Opens what is paused, matched or expired; an expired one is renewed. Raises `schemas.states.IllegalMove`, `NotOurs`, `actors.vault.Locked`."""
    listing = await _ours(tx, instance, listing_id)
    if listing.state == "expired":
        await renew(tx, instance, listing_id)
        return
    if listing.state == "open":
        LISTING.move("open", "open")
    await move(tx, instance, listing, "open")


async def renew(tx: Transaction, instance: "Instance", listing_id: int, until: datetime | None = None) -> None:
    """Prolongs it, 30 days from now or to `until`; what expired opens again. A new period of an offer has room again for as many as were helped in the last.

    A deadline of its author that would end it earlier is dropped. Raises `schemas.listings.Invalid`, `schemas.states.IllegalMove`, `NotOurs`, `Locked`.
    """
    listing = await _ours(tx, instance, listing_id)
    now = instance.clock.now()
    expires = (until or now + EXPIRES).replace(minute=0, second=0, microsecond=0) if until is None else until
    if not now < expires <= now + LONGEST:
        raise Invalid("until", "lies in the past or more than two years away", "choose a nearer day to come")
    if listing.state not in listings.OPEN:
        LISTING.move(listing.state, "open")
    if listing.kind == "offer":
        for place, part in enumerate(await parts(tx, listing)):
            await tx.execute(COUNT, post_id=listing.id, need=place, taken=part.taken - part.done, done=0)
    kept = listing.until if listing.until is not None and listing.until >= expires else None
    state = "open" if listing.state == "expired" else listing.state
    proposal = replace(listing.proposal, expires=expires, until=kept, status=state)
    await listings.set_state(tx, instance, listing.id, state, pause=listing.pause)
    await publish.changed(tx, instance, listing.id, was=listing.state, proposal=proposal)
    fresh = await _ours(tx, instance, listing_id)
    await _settle(tx, instance, fresh)


async def expire(tx: Transaction, instance: "Instance", listing_id: int) -> None:
    """Closes a listing whose time is over; ours tells everybody who may hold it, theirs closes here without asking anybody. Raises `actors.vault.Locked`."""
    found = await listings.by_id(tx, instance, listing_id)
    end = None if found is None else found.proposal.ends
    if found is None or end is None or await listings.state_of(tx, listing_id) not in listings.OPEN:
        return
    if found.state != "expired":
        await chores.expire_at(tx, instance, listing_id, times.milliseconds(end))  # it was prolonged since this was asked for
        return
    before = await listings.state_of(tx, listing_id)
    await listings.set_state(tx, instance, listing_id, "expired")
    if found.local:
        await publish.changed(tx, instance, listing_id, was=before)
    else:
        await topics.closed(tx, instance, found)
        if found.confidential:
            await retention.soon(tx, instance)


async def move(tx: Transaction, instance: "Instance", listing: Listing, to: str, *, pause: str | None = None) -> None:
    """Leads one of ours to another state and tells everybody who may hold it. Raises `schemas.states.IllegalMove`, `actors.vault.Locked`."""
    LISTING.move(listing.state, to)
    await listings.set_state(tx, instance, listing.id, to, pause=pause)
    log.info("board.moved", listing=listing.id, state=to)
    await publish.changed(tx, instance, listing.id, was=listing.state)


async def _settle(tx: Transaction, instance: "Instance", listing: Listing) -> None:
    """Pauses or opens it, as what is left of it demands."""
    full = all(part.left == 0 for part in await parts(tx, listing))
    if full and listing.state == "open":
        if listing.kind == "request":
            await move(tx, instance, listing, "matched")
        else:
            await move(tx, instance, listing, "paused", pause="full")
    elif not full and (listing.state == "matched" or (listing.state == "paused" and listing.pause == "full")):
        await move(tx, instance, listing, "open")


async def _ours(tx: Transaction, instance: "Instance", listing_id: int) -> Listing:
    found = await listings.by_id(tx, instance, listing_id)
    if found is None:
        raise NotOurs("it is not here any more")
    if not found.local:
        raise NotOurs("it lives on another instance; only its author changes it there")
    return found


def _named(found: Sequence[Part], need: str) -> int:
    for place, part in enumerate(found):
        if part.name is not None and part.name.casefold() == need.casefold():
            return place
    names = ", ".join(part.name for part in found if part.name) or "none: it has no named parts"
    raise NoSuchNeed(f"there is no part {need!r}; there are {names}")


def _place(found: Sequence[Part], quantity: int, need: str | None) -> int | None:
    """The part that is meant and has room for so much, or None."""
    if need is not None:
        place = _named(found, need)
        left = found[place].left
        return place if left is None or left >= quantity else None
    return next((place for place, part in enumerate(found) if part.left is None or part.left >= quantity), None)


def _taken_place(found: Sequence[Part], quantity: int, need: str | None) -> int:
    """The part that is meant; without a name the first of which so much is taken, else the first."""
    if need is not None:
        return _named(found, need)
    return next((place for place, part in enumerate(found) if part.taken - part.done >= quantity), 0)


async def _count(tx: Transaction, listing: Listing, found: Sequence[Part], place: int, *, taken: int = 0, done: int = 0) -> None:
    part = found[place]
    await tx.execute(COUNT, post_id=listing.id, need=place, taken=part.taken + taken, done=min(part.done + done, part.taken + taken))
