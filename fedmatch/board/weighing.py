"""Does an answer still rest on what it rested on? The job `standing`: when vouches or trust change, each answer and conversation is weighed anew.

Both sides may have relied on a word about the other: whoever asked or offered, on what is said of who answered; whoever answered, on what the listing carried.
"""

from typing import TYPE_CHECKING, Final

from actors import known, peers
from actors.known import Actor
from fedmatch.board import answers, checked, crossing, listings, notifications
from fedmatch.board.answers import Response, Tray, Words
from fedmatch.board.crossing import CannotReach
from fedmatch.jobs import enqueue
from fedmatch.safety import vouches
from schemas.events import PeerLost, PeerTrusted, VouchesChanged
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

LOCKED_MS: Final = 60_000


async def judged_anew(instance: "Instance", tx: Transaction, event: VouchesChanged | PeerLost | PeerTrusted) -> None:
    """What an answer or a conversation rested on changed: those it concerns are looked at again, each on its own, by a job."""
    await enqueue(tx, instance, "standing", "all", instance.clock.ms())


async def weigh(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job: weighs every pending answer and every open conversation again, and tells its owner what does not rest on the same any more."""
    if instance.vault.locked:
        await instance.database.write(_weigh_later, instance)
        return
    after: int | None = 0
    while after is not None:
        after = await instance.database.write(_weigh_some, instance, after)


async def daily(instance: "Instance") -> None:
    """The same each day, for vouches that ended by their time and keys that changed, of which nobody is told; also what listings from elsewhere carry."""
    if instance.vault.locked:
        return
    await weigh(instance, "all", b"")
    for partner in await instance.database.read(peers.partners):
        await checked.again(instance, str(partner.host_id), b"")


async def _weigh_later(tx: Transaction, instance: "Instance") -> None:
    await enqueue(tx, instance, "standing", "all", instance.clock.ms() + LOCKED_MS)


async def _weigh_some(tx: Transaction, instance: "Instance", after: int) -> int | None:
    found = await answers.some_open(tx, instance, after)
    for held in found:
        await _weigh(tx, instance, held)
    return found[-1].id if found else None


async def _weigh(tx: Transaction, instance: "Instance", held: Response) -> None:
    owner = await known.by_uri(tx, held.words.helper if held.side == "helper" else held.words.asker)
    other = await known.by_uri(tx, held.words.asker if held.side == "helper" else held.words.helper)
    if owner is None or other is None:
        return
    if held.words.channel == "sealed":
        try:
            lost = await crossing.channel(tx, other, public=False) != "sealed"
        except CannotReach:
            lost = True
        if lost and await answers.once(tx, instance, "lost", str(held.id)):
            await notifications.tell(tx, instance, owner.id, "peer.lost", held.id)
    if held.side != "asker":
        held = await _author_judged(tx, instance, held)
    if held.side == "helper":
        return
    fresh = await _judged(tx, instance, other, held.words)
    if fresh == held.words:
        return
    worse = fresh.level < held.words.level
    if held.state == "completed":
        # They may still write to each other; the row stays as it is, for its last change says when all of it goes.
        if worse and await answers.once(tx, instance, "doubt", str(held.id), str(fresh.level)):
            await notifications.tell(tx, instance, owner.id, "response.doubt", held.id)
        return
    tray: Tray = held.tray if held.tray == "held" else "vouched" if fresh.level >= 1 else "rest"
    await answers.save(tx, instance, held, tray=tray, level=fresh.level, issuers=fresh.issuers, counted=fresh.counted)
    if worse and tray != "held":
        await notifications.tell(tx, instance, owner.id, "response.doubt", held.id)


async def _author_judged(tx: Transaction, instance: "Instance", held: Response) -> Response:
    """The answer with how much is said now for whose listing it is; whoever answered is told if that is less."""
    author, helper = await known.by_uri(tx, held.words.asker), await known.by_uri(tx, held.words.helper)
    if author is None or helper is None:
        return held
    listing = await listings.find(tx, instance, held.words.listing)
    level = (await vouches.standing(tx, instance, author, held.words.trusted_by if listing is None else listing.vouches)).level
    over = held.state == "completed"  # as below: the row stays as it is
    if level < held.words.trusted and (not over or await answers.once(tx, instance, "doubt author", str(held.id), str(level))):
        await notifications.tell(tx, instance, helper.id, "response.doubt", held.id)
    if level == held.words.trusted or over:
        return held
    return await answers.save(tx, instance, held, trusted=level)


async def _judged(tx: Transaction, instance: "Instance", helper: Actor, words: Words) -> Words:
    """The words with how much is said for the helper, as this instance weighs it now."""
    return answers.weighed(words, await vouches.standing(tx, instance, helper, words.vouches))
