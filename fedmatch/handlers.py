"""What is done later, and regularly? What each kind of job does, all listed in `handlers`; who asks for them does so in fedmatch/chores.py."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from actors import keys, known, quiet, said, sealing
from actors.vault import Locked
from fedmatch import addresses, chores, disk
from fedmatch.backup import expiry
from fedmatch.board import (
    answers,
    checked,
    copies,
    heard,
    identities,
    index,
    letters,
    life,
    patience,
    publish,
    readers,
    suggestions,
    tags,
    topic_help,
    topics,
    vectors,
    weighing,
    welcome,
)
from fedmatch.jobs import Handler, enqueue
from fedmatch.safety import audit, border, peering, retention, vouches
from inbox import moves, pins, refetch, replies, synchronise, threads
from outbox import departures, posts
from schemas.crashpoint import crashpoint
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

AGAIN_MS: Final = 5_000
"""How soon we try again to make deleted words unreadable while a reader elsewhere keeps them; within 60 s they must be."""
TIDY_EVERY_MS: Final = 6 * 3_600_000
LOOK_EVERY_MS: Final = 24 * 3_600_000
CHUNK: Final = 100


def handlers(_instance: "Instance") -> Mapping[str, Handler]:
    """What does each kind of job."""
    return {
        "thread": threads.read,
        "replies": replies.read,
        "refetch": refetch.read,
        "featured": pins.read,
        "moved": moves.carry,
        "owners": addresses.look,
        "synchronise": synchronise.synchronise,
        "expire": _expire,
        "publish": publish.due,
        "tell": publish.tell,
        "share": copies.share,
        "unshare": copies.unshare,
        "welcome": welcome.give,
        "end_poll": _end_poll,
        "erase": _erase,
        "clear_away": _clear_away,
        "tidy": _tidy,
        "border": border.settle,
        "peers": _look,
        "response": patience.look,
        "closed": heard.settle,
        "standing": weighing.weigh,
        "checked": checked.again,
        "announce": topics.announce,
        "forget_help": topic_help.forget_help,
        "identity": identities.settle,
        "retention": retention.sweep,
        "tags": tags.mend,
        "index": _index,
        "vectors": vectors.fill,
        "match": suggestions.work,
    }


async def begin(tx: Transaction, instance: "Instance") -> None:
    """Asks, at the start of a worker, for what is done regularly; one that waits already is not asked for twice."""
    await enqueue(tx, instance, "tidy", "all", instance.clock.ms())
    await chores.erase_soon(tx, instance)  # whoever died may have left deleted words behind
    await enqueue(tx, instance, "peers", "all", instance.clock.ms() + LOOK_EVERY_MS)
    await retention.soon(tx, instance)
    await enqueue(tx, instance, "index", "all", instance.clock.ms())
    await enqueue(tx, instance, "vectors", "all", instance.clock.ms() + chores.LOCKED_MS)  # the extra may have been installed since
    await enqueue(tx, instance, "match", "all", instance.clock.ms())
    await identities.begin(tx, instance)
    await tags.begin(tx, instance)
    await border.settle_soon(tx, instance)  # the mode may be another one since the last start


async def _expire(instance: "Instance", key: str, _payload: bytes) -> None:
    try:
        await instance.database.write(life.expire, instance, int(key))
    except Locked:
        # An offer's Update carries a proof, and its key is sealed: it waits for the unlock, as everything that leaves does.
        await instance.database.write(chores.expire_at, instance, int(key), instance.clock.ms() + chores.LOCKED_MS)
        return
    instance.wake("delivery")


async def _end_poll(instance: "Instance", key: str, _payload: bytes) -> None:
    try:
        await instance.database.write(publish.end_poll, instance, int(key))
    except Locked:
        await instance.database.write(chores.end_poll_at, instance, int(key), instance.clock.ms() + chores.LOCKED_MS)
        return
    instance.wake("delivery")


async def _erase(instance: "Instance", _key: str, _payload: bytes) -> None:
    crashpoint("erase:begun")
    if not await index.erase(instance):
        await instance.database.write(_erase_again, instance)


async def _index(instance: "Instance", _key: str, _payload: bytes) -> None:
    """Fills the index of words, if it was made anew; it begins again where it stopped."""
    await index.fill(instance)


async def _erase_again(tx: Transaction, instance: "Instance") -> None:
    await enqueue(tx, instance, "erase", "all", instance.clock.ms() + AGAIN_MS)


SOME_POSTS: Final = """
select post.*
from post
where post.actor_id = :actor_id
order by post.id
limit :limit
"""

FOLLOWS: Final = """
delete from follow
where follower_id = :actor_id
   or followed_id = :actor_id
"""

HOME: Final = """
delete from home
where actor_id = :actor_id
"""

REACTIONS: Final = """
delete from reaction
where actor_id = :actor_id
"""

SAID: Final = """
delete from said
where actor_id = :actor_id
"""

PINS: Final = """
delete from pin
where actor_id = :actor_id
"""

BLOCKS: Final = """
delete from block
where actor_id = :actor_id
   or blocked_id = :actor_id
"""

DRAFTS: Final = """
delete from draft
where actor_id = :actor_id
"""

MOVED: Final = """
delete from moved
where actor_id = :actor_id
   or target_id = :actor_id
"""


async def _clear_away(instance: "Instance", key: str, _payload: bytes) -> None:
    # The actor's own row stays, emptied: its name is never given again, and its keys sign the last Delete (protocol.md 14.7).
    while await instance.database.write(_clear_some, instance, int(key)):
        continue
    await instance.database.write(_clear_rest, int(key))
    await index.erase(instance)
    log.info("chores.cleared_away", actor=int(key))


async def _clear_some(tx: Transaction, instance: "Instance", actor_id: int) -> int:
    actor = await known.by_id(tx, actor_id)
    if actor is None or actor.state != "gone":
        return 0
    rows = await tx.all(SOME_POSTS, actor_id=actor_id, limit=CHUNK)
    for row in rows:
        await posts.remove(tx, instance, posts.from_row(row))
    return len(rows)


async def _clear_rest(tx: Transaction, actor_id: int) -> None:
    actor = await known.by_id(tx, actor_id)
    if actor is None or actor.state != "gone":
        return
    for sql in (FOLLOWS, HOME, REACTIONS, SAID, PINS, BLOCKS, MOVED, DRAFTS):
        await tx.execute(sql, actor_id=actor_id)


async def _tidy(instance: "Instance", _key: str, _payload: bytes) -> None:
    """What was finished long ago goes, and the next time is noted."""
    while await instance.database.write(departures.prune, instance.clock.ms()):
        continue
    await instance.database.write(said.forget, instance)
    await instance.database.write(readers.forget, instance)
    await instance.database.write(answers.forget_once, instance)
    await instance.database.write(patience.remember, instance)
    await instance.database.write(letters.forget, instance)
    await instance.database.write(quiet.prune)
    await instance.database.write(keys.prune, instance.clock.ms())
    await instance.database.write(sealing.prune, instance.clock.ms())
    while await instance.database.write(vouches.expire, instance):
        continue
    await weighing.daily(instance)
    await instance.database.write(audit.show_head, instance)
    await suggestions.forget(instance)
    await disk.look(instance)
    await expiry.expire(instance.config, instance.clock.ms())
    await instance.database.write(_tidy_again, instance)


async def _look(instance: "Instance", _key: str, _payload: bytes) -> None:
    """Every trusted peer is looked at each day: new keys are learnt while the old ones are still shown, and wrong ones noticed though nothing is sent."""
    try:
        await peering.look_at_all(instance)
    except Locked:
        log.info("peers.not_looked_at", why="the vault is locked")
    await instance.database.write(_look_again, instance)


async def _look_again(tx: Transaction, instance: "Instance") -> None:
    await enqueue(tx, instance, "peers", "all", instance.clock.ms() + LOOK_EVERY_MS)


async def _tidy_again(tx: Transaction, instance: "Instance") -> None:
    await enqueue(tx, instance, "tidy", "all", instance.clock.ms() + TIDY_EVERY_MS)
