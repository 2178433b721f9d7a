"""What is done later, and regularly? The jobs of the house: who asks for them, and what each does. All are listed in `handlers`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from actors import keys, known, quiet, said, sealing
from actors.vault import Locked
from fedmatch import addresses
from fedmatch.board import answers, identities, tags, topic_help, topics
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
LOCKED_MS: Final = 60_000
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
        "publish": _publish,
        "tell": _tell,
        "share": _share,
        "unshare": _unshare,
        "welcome": _welcome,
        "end_poll": _end_poll,
        "erase": _erase,
        "clear_away": _clear_away,
        "tidy": _tidy,
        "border": border.settle,
        "peers": _look,
        "response": _response,
        "closed": _closed,
        "standing": _standing,
        "checked": _checked,
        "announce": topics.announce,
        "forget_help": topic_help.forget_help,
        "identity": identities.settle,
        "retention": retention.sweep,
        "tags": tags.mend,
        "index": _index,
        "vectors": _vectors,
        "match": _match,
    }


async def begin(tx: Transaction, instance: "Instance") -> None:
    """Asks, at the start of a worker, for what is done regularly; one that waits already is not asked for twice."""
    await enqueue(tx, instance, "tidy", "all", instance.clock.ms())
    await erase_soon(tx, instance)  # whoever died may have left deleted words behind
    await enqueue(tx, instance, "peers", "all", instance.clock.ms() + LOOK_EVERY_MS)
    await retention.soon(tx, instance)
    await enqueue(tx, instance, "index", "all", instance.clock.ms())
    await enqueue(tx, instance, "vectors", "all", instance.clock.ms() + LOCKED_MS)  # the extra may have been installed since
    await enqueue(tx, instance, "match", "all", instance.clock.ms())
    await identities.begin(tx, instance)
    await tags.begin(tx, instance)
    await border.settle_soon(tx, instance)  # the mode may be another one since the last start


async def expire_at(tx: Transaction, instance: "Instance", post_id: int, at_ms: int) -> None:
    """Asks for a listing to be closed when its time is over."""
    await enqueue(tx, instance, "expire", str(post_id), at_ms)


async def _expire(instance: "Instance", key: str, _payload: bytes) -> None:
    from fedmatch.board import life  # it asks for jobs itself

    try:
        await instance.database.write(life.expire, instance, int(key))
    except Locked:
        # An offer's Update carries a proof, and its key is sealed: it waits for the unlock, as everything that leaves does.
        await instance.database.write(expire_at, instance, int(key), instance.clock.ms() + LOCKED_MS)
        return
    instance.wake("delivery")


async def publish_at(tx: Transaction, instance: "Instance", draft_id: int, at_ms: int) -> None:
    """Asks for a draft to be published at a moment."""
    await enqueue(tx, instance, "publish", str(draft_id), at_ms)


async def _publish(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import publish  # it asks for jobs itself

    await publish.due(instance, key, payload)


async def tell_at(tx: Transaction, instance: "Instance", post_id: int, at_ms: int) -> None:
    """Asks for everybody who holds a listing to be told, at a moment, what it is by then."""
    await enqueue(tx, instance, "tell", str(post_id), at_ms)


async def _tell(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import publish  # it asks for jobs itself

    await publish.tell(instance, key, payload)


async def _share(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import copies  # it asks for jobs itself

    await copies.share(instance, key, payload)


async def _unshare(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import copies  # it asks for jobs itself

    await copies.unshare(instance, key, payload)


async def _welcome(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import welcome  # it asks for jobs itself

    await welcome.give(instance, key, payload)


async def _closed(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import heard  # it asks for jobs itself

    await heard.settle(instance, key, payload)


async def _response(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import patience  # it asks for jobs itself

    await patience.look(instance, key, payload)


async def _standing(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import weighing  # it asks for jobs itself

    await weighing.weigh(instance, key, payload)


async def _checked(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import checked  # it asks for jobs itself

    await checked.again(instance, key, payload)


async def end_poll_at(tx: Transaction, instance: "Instance", post_id: int, at_ms: int) -> None:
    """Asks for a poll of ours to be closed when its time is over."""
    await enqueue(tx, instance, "end_poll", str(post_id), at_ms)


async def _end_poll(instance: "Instance", key: str, _payload: bytes) -> None:
    from fedmatch.board import publish  # it asks for jobs itself

    try:
        await instance.database.write(publish.end_poll, instance, int(key))
    except Locked:
        await instance.database.write(end_poll_at, instance, int(key), instance.clock.ms() + LOCKED_MS)
        return
    instance.wake("delivery")


async def erase_soon(tx: Transaction, instance: "Instance") -> None:
    """Asks for what this transaction deletes to become unreadable in every file of ours."""
    await enqueue(tx, instance, "erase", "all", instance.clock.ms())


async def _erase(instance: "Instance", _key: str, _payload: bytes) -> None:
    from fedmatch.board import index  # it asks for jobs itself

    crashpoint("erase:begun")
    if not await index.erase(instance):
        await instance.database.write(_erase_again, instance)


async def _index(instance: "Instance", _key: str, _payload: bytes) -> None:
    """Fills the index of words, if it was made anew; it begins again where it stopped."""
    from fedmatch.board import index  # it asks for jobs itself

    await index.fill(instance)


async def _vectors(instance: "Instance", key: str, payload: bytes) -> None:
    """Numbers for listings that have none yet, if the extra `semantic` is there."""
    from fedmatch.board import vectors  # it asks for jobs itself

    await vectors.fill(instance, key, payload)


async def _match(instance: "Instance", key: str, payload: bytes) -> None:
    from fedmatch.board import suggestions  # it asks for jobs itself

    await suggestions.work(instance, key, payload)


async def _erase_again(tx: Transaction, instance: "Instance") -> None:
    await enqueue(tx, instance, "erase", "all", instance.clock.ms() + AGAIN_MS)


async def clear_away(tx: Transaction, instance: "Instance", actor_id: int) -> None:
    """Asks for everything that hangs on a gone actor to be deleted, in chunks."""
    await enqueue(tx, instance, "clear_away", str(actor_id), instance.clock.ms())


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
    from fedmatch.board import index  # it asks for jobs itself

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
    from fedmatch import disk
    from fedmatch.backup import expiry
    from fedmatch.board import letters, patience, readers, suggestions  # they tell people, and that asks for jobs

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
