"""Who says anything for the authors of what came from elsewhere? What is proven, as far as it counts here, and looked at again whenever that changes.

What a page or a list says of an author ("checked by") is never more than that: a listing keeps the vouches it carries, each with the level that it counts for.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from actors import known, peers
from actors.known import Actor
from fedmatch.board import listings
from fedmatch.jobs import enqueue
from fedmatch.safety import vouches
from schemas import vouches as wire
from schemas.events import VouchesChanged
from schemas.objects import Vouch
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

KIND: Final = "checked"
LOCKED_MS: Final = 60_000
CHUNK: Final = 50

OF_HOST: Final = """
select listing.post_id, actor.id as actor_id
from listing
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where actor.host_id = :host_id
  and post.local = 0
  and listing.state in ('open', 'paused', 'matched')
  and listing.post_id > :after
order by listing.post_id
limit :limit
"""


async def counted(tx: Transaction, instance: "Instance", author: Actor | None, carried: Sequence[Vouch]) -> tuple[Vouch, ...]:
    """Of what a listing from elsewhere carries, the best proven word of each issuer, with the level it counts for here; 0 if it counts for nothing yet."""
    if author is None or not carried:
        return ()
    return (await vouches.standing(tx, instance, author, carried)).carried


async def judged_anew(instance: "Instance", tx: Transaction, event: VouchesChanged) -> None:
    """The word of another instance counts for more or less, or it took one back: what its people ask and offer here is looked at again, by a job."""
    partner = None if event.issuer is None else await peers.partner_named(tx, wire.named(Iri(event.issuer)))
    if partner is not None:
        await enqueue(tx, instance, KIND, str(partner.host_id), instance.clock.ms())


async def again(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: every open listing of a host's people that carries a vouch, written with what that counts for now."""
    if instance.vault.locked:
        await instance.database.write(enqueue, instance, KIND, key, instance.clock.ms() + LOCKED_MS)
        return
    after: int | None = 0
    while after is not None:
        after = await instance.database.write(_some, instance, int(key), after)


async def _some(tx: Transaction, instance: "Instance", host_id: int, after: int) -> int | None:
    rows = await tx.all(OF_HOST, host_id=host_id, after=after, limit=CHUNK)
    for row in rows:
        listing = await listings.by_id(tx, instance, row["post_id"])
        author = await known.by_id(tx, row["actor_id"])
        if listing is None or author is None or not listing.vouches:
            continue
        holds = {vouch.id: vouch for vouch in await counted(tx, instance, author, listing.vouches)}
        # What ended is gone for good; what does not count now may count again.
        now = [holds.get(one.id, replace(one, level=0)) for one in listing.vouches if not await vouches.over(tx, instance, one)]
        if tuple(now) != listing.vouches:
            said = replace(listing.proposal, vouches=tuple(now))
            to, named, sealed, warning = listing.audience, listing.named, listing.confidential, listing.warning
            await listings.write(
                tx, instance, listing.id, said, listing.state, listing.language, audience=to, named=named, confidential=sealed, warning=warning
            )
    return rows[-1]["post_id"] if rows else None
