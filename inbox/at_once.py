"""Can it be done at once? A plain post of somebody we know is understood at the door, and what it does is one transaction with the row that says it was here.

All else waits for its turn in a row of its own: what names something another server must show, what is sealed, proven by another hand or in words of its own,
listings, everything of a server of which something waits already (so that nothing is overtaken), and whatever raises here. A 202 still means stored and
fsynced; the body, which nobody has to read again, is not kept.

What kills a process leaves no row here by which it could be counted. So after a process died plain posts wait in rows too, for an hour
(`fedmatch/worker.py`): who kills again within it is counted, set aside and given up like everything else.

The plainest, public posts that answer nothing and address nobody here, are done together: while one batch is written the next gathers, and a few statements
write all of it (`outbox/plain.py`). Whatever of a batch is unusual, and all of a batch in which anything raises, is done one by one as above.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from actors import hosts, known
from actors.instance import Instance
from inbox import handle
from inbox.effects import NOTHING, Effects
from inbox.gate import Claim
from inbox.verify import Verified
from outbox import plain as plainly
from outbox.plain import Ready
from schemas import activities, foreign
from schemas.activities import Create
from schemas.crashpoint import crashpoint
from schemas.events import PlainStored
from schemas.notes import read_plain
from schemas.objects import Note
from schemas.reading import Unreadable
from schemas.storage import Transaction, Unavailable, Value

log = structlog.get_logger()

MOST_BODY: Final = 64 * 1024
"""Bytes of an activity that is done at once: what takes longer to read holds up others, and waits in its lane."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A proven post that carries all it needs."""

    uri: str
    verified: Verified
    size: int
    note: Note | None
    """None while only `ready` was read."""
    ready: Ready | None
    """What there is to write of it, if it may be done together with others."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of it: `effects` if it was done, None if it was here before or is refused."""

    effects: Effects | None
    suspended: bool = False
    no_inbox: bool = False


def plain(instance: Instance, verified: Verified, said: Claim, body: bytes) -> Plain | None:
    """The post, if this process does such things at once and it is one of them; None: it waits its turn."""
    document = verified.document
    if not instance.at_once or said.kind != "Create" or said.id is None or verified.by != "signature" or len(body) > MOST_BODY or "proof" in document:
        return None
    if instance.vault.locked or foreign.is_foreign(document, body):
        return None
    sender = verified.actor.uri
    together = PlainStored in instance.subscribers
    if together and (told := read_plain(document, sender)) is not None:
        ready = plainly.ready(instance, sender, told, handle.original(document))
        if ready is not None:
            return Plain(said.id, verified, len(body), None, ready)
    note = _note(verified)
    if note is None:
        return None
    return Plain(said.id, verified, len(body), note, plainly.ready(instance, sender, note, handle.original(document)) if together else None)


def _note(verified: Verified) -> Note | None:
    try:
        create = activities.parse(verified.document)
    except Unreadable:
        return None  # the row says why
    if not isinstance(create, Create) or not isinstance(create.object, Note) or create.object.proposal is not None or create.actor != verified.actor.uri:
        return None
    return create.object


async def take(instance: Instance, post: Plain, to: str | None) -> Taken | None:
    """Does it, durably when this returns; None where it has to wait its turn after all. `to` is the local user name of a personal inbox."""
    if to is None and post.ready is not None and await _together(instance, post):
        return Taken(NOTHING)
    note = post.note or _note(post.verified)
    if note is None:
        return None
    try:
        taken = await instance.database.write(_take, instance, post, note, to)
    except (Unavailable, MemoryError):
        raise
    except Exception as error:  # whatever it is: it is undone, and the row that it gets now is tried, counted and told of like any other
        log.warning("arrival.not-at-once", actor=post.verified.actor.id, error=type(error).__name__)
        return None
    crashpoint("arrive:taken")
    if taken is not None and taken.effects is not None:
        for kind in taken.effects.wake:
            instance.wake(kind)
    return taken


SENDER: Final = """
select actor.*, host.last_heard, host.down_since,
  (select 1 from arrival where arrival.host_id = actor.host_id and arrival.state in ('waiting', 'unverified') limit 1) as waits,
  (select 1 from follow where follow.followed_id = actor.id and follow.state = 'accepted' limit 1) as followed
from actor
left join host on host.id = actor.host_id
where actor.id = :id
  and actor.local = 0
"""

LOCAL_INBOX: Final = """
select id
from actor
where username = :username
  and local = 1
  and state <> 'gone'
"""

INSERT_DONE: Final = """
insert into arrival (id, uri, host_id, state, size, received_at, run_at, done_at)
values (:id, :uri, :host_id, 'done', :size, :now, :now, :now)
on conflict (uri) do nothing
"""


async def _take(tx: Transaction, instance: Instance, post: Plain, note: Note, to: str | None) -> Taken | None:
    if to is not None and await tx.one(LOCAL_INBOX, username=to) is None:
        return Taken(None, no_inbox=True)
    row = await tx.one(SENDER, id=post.verified.actor.id)
    if row is None or row["state"] != "active":
        return Taken(None, suspended=True)
    host_id: int | None = row["host_id"]
    if row["waits"] is not None or host_id is None or row["kind"] == "Application":
        return None
    now = instance.clock.ms()
    if hosts.is_news(row["last_heard"], row["down_since"], now):
        await hosts.heard(tx, instance, host_id)
    if not await tx.execute(INSERT_DONE, id=instance.ids.new(), uri=post.uri, host_id=host_id, size=post.size, now=now):
        return Taken(None)
    crashpoint("arrive:taking")
    return Taken(await handle.posted(tx, instance, known.from_row(row), note, post.verified, followed=row["followed"] is not None))


@dataclass(slots=True, eq=False)
class _Lane:
    """The plainest posts on their way to one transaction, each with whoever waits for it."""

    waiting: list[tuple[Plain, asyncio.Future[bool]]] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None


async def _together(instance: Instance, post: Plain) -> bool:
    """Does it with whatever else is as plain and comes now, durably when this returns; False where it has to be done by itself. Raises `Unavailable`."""
    lane = instance.memory.get("inbox.lane")
    if not isinstance(lane, _Lane):
        lane = instance.memory["inbox.lane"] = _Lane()
    done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    lane.waiting.append((post, done))
    if lane.writing is None:
        lane.writing = asyncio.create_task(_write_lane(instance, lane), name="inbox-lane")
    return await done


async def _write_lane(instance: Instance, lane: _Lane) -> None:
    try:
        while lane.waiting:
            batch = lane.waiting[: plainly.MOST]
            del lane.waiting[: plainly.MOST]
            answers: list[bool] = []
            trouble: Unavailable | None = None
            try:
                answers = await instance.database.write(_take_all, instance, [post for post, _ in batch])
            except Unavailable as error:
                trouble = error
            except Exception as error:  # whatever it is: it is undone, and each of them is done by itself, where the guilty one is told from the others
                log.warning("arrival.not-together", error=type(error).__name__)
                answers = [False] * len(batch)
            crashpoint("arrive:taken")
            for number, (_, done) in enumerate(batch):
                if done.done():  # whoever asked was cancelled
                    continue
                if trouble is None:
                    done.set_result(answers[number])
                else:
                    done.set_exception(trouble)
    finally:
        lane.writing = None


_SLOTS: Final = ",\n  ".join(f"(cast(:uri{number} as text), cast(:post{number} as text), cast(:actor{number} as integer))" for number in range(plainly.MOST))
# Joined with values, not looked up in a list: for each `in` SQLite would make a table of its own.
ARRIVING: Final = f"""
with arriving (uri, post, actor) as (values
  {_SLOTS})
select arriving.uri, actor.id, actor.state, actor.kind, actor.host_id, actor.followers, host.last_heard, host.down_since,
  (select 1 from arrival where arrival.host_id = actor.host_id and arrival.state in ('waiting', 'unverified') limit 1) as waits,
  (select 1 from follow where follow.followed_id = actor.id and follow.state = 'accepted' limit 1) as followed,
  (select 1 from arrival where arrival.uri = arriving.uri) as known,
  (select 1 from post where post.uri = arriving.post) as held,
  (select 1 from tombstone where tombstone.uri = arriving.post) as deleted,
  (select 1 from post where post.in_reply_to = arriving.post and post.in_reply_to_id is null limit 1) as answered
from arriving
join actor on actor.id = arriving.actor
left join host on host.id = actor.host_id
where actor.local = 0
"""  # noqa: S608  # its parts are ours

_NOBODY: Final = {f"{name}{number}": None for number in range(plainly.MOST) for name in ("uri", "post", "actor")}

INSERT_ALL_DONE: Final = """
insert into arrival (id, uri, host_id, state, size, received_at, run_at, done_at)
values (:id, :uri, :host_id, 'done', :size, :now, :now, :now)
"""


async def _take_all(tx: Transaction, instance: Instance, several: list[Plain]) -> list[bool]:
    """Does those that are as plain as they look, in the order they came; says which."""
    values: dict[str, Value] = dict(_NOBODY)
    for number, post in enumerate(several):
        uri = None if post.ready is None else post.ready.uri
        values[f"uri{number}"], values[f"post{number}"], values[f"actor{number}"] = post.uri, uri, post.verified.actor.id
    rows = {row["uri"]: row for row in await tx.all(ARRIVING, **values)}
    seen: set[str] = set()
    now = instance.clock.ms()
    arrived: list[dict[str, Value]] = []
    stored: list[tuple[Ready, int]] = []
    answers: list[bool] = []
    for post in several:
        row, ready = rows.get(post.uri), post.ready
        if (
            row is None
            or ready is None
            or row["id"] != post.verified.actor.id
            or row["state"] != "active"
            or row["kind"] == "Application"
            or row["host_id"] is None
            or row["waits"] is not None
            or row["followed"] is None
            or (row["known"] or row["held"] or row["deleted"] or row["answered"]) is not None
            or hosts.is_news(row["last_heard"], row["down_since"], now)
            or post.uri in seen
            or ready.uri in seen
            or not ready.fits(row["followers"])
        ):
            answers.append(False)
            continue
        seen |= {post.uri, ready.uri}
        arrived.append({"id": instance.ids.new(), "uri": post.uri, "host_id": row["host_id"], "size": post.size, "now": now})
        stored.append((ready, row["id"]))
        answers.append(True)
    if stored:
        await tx.many(INSERT_ALL_DONE, arrived)
        crashpoint("arrive:taking")
        await plainly.store(tx, instance, stored)
    return answers
