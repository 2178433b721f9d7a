"""Can it be done at once? A plain post of somebody we know is understood at the door, and what it does is one transaction with the row that says it was here.

All else waits for its turn in a row of its own: what names something another server must show, what is sealed, proven by another hand or in words of its own,
listings, everything of a server of which something waits already (so that nothing is overtaken), and whatever raises here. A 202 still means stored and
fsynced; the body, which nobody has to read again, is not kept.

What kills a process leaves no row here by which it could be counted. So after a process died plain posts wait in rows too, for an hour
(`fedmatch/worker.py`): who kills again within it is counted, set aside and given up like everything else.
"""

from dataclasses import dataclass
from typing import Final

import structlog

from actors import hosts, known
from actors.instance import Instance
from inbox import handle
from inbox.effects import Effects
from inbox.gate import Claim
from inbox.verify import Verified
from schemas import activities, foreign
from schemas.activities import Create
from schemas.crashpoint import crashpoint
from schemas.objects import Note
from schemas.reading import Unreadable
from schemas.storage import Transaction, Unavailable

log = structlog.get_logger()

MOST_BODY: Final = 64 * 1024
"""Bytes of an activity that is done at once: what takes longer to read holds up others, and waits in its lane."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A proven post that carries all it needs."""

    uri: str
    verified: Verified
    create: Create
    note: Note
    size: int


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
    try:
        create = activities.parse(document)
    except Unreadable:
        return None  # the row says why
    if not isinstance(create, Create) or not isinstance(create.object, Note) or create.object.proposal is not None or create.actor != verified.actor.uri:
        return None
    return Plain(said.id, verified, create, create.object, len(body))


async def take(instance: Instance, post: Plain, to: str | None) -> Taken | None:
    """Does it, durably when this returns; None where it has to wait its turn after all. `to` is the local user name of a personal inbox."""
    try:
        taken = await instance.database.write(_take, instance, post, to)
    except Unavailable:
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


async def _take(tx: Transaction, instance: Instance, post: Plain, to: str | None) -> Taken | None:
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
    return Taken(await handle.posted(tx, instance, known.from_row(row), post.note, post.verified, followed=row["followed"] is not None))
