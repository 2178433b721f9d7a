"""What is written and not published yet? Drafts: held for review, refused, or waiting for their hour. They rest sealed and have no id that others ever see.

What nobody lets pass, changes or takes back within 30 days goes (fedmatch/safety/retention.py).
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from actors import known, onetime
from fedmatch import chores
from fedmatch.board import notifications
from fedmatch.board.listings import AudienceName, Listing, with_proposal
from fedmatch.board.terms import Terms
from schemas.objects import Proposal
from schemas.reading import Iri, Row
from schemas.states import LISTING
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

HOUR_MS: Final = 3_600_000

Widening = Literal["no", "ask", "agreed"]
"""What the author of a local one says of giving it to all trusted peers once it may leave: nothing to ask; to be asked then; yes."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be published: the listing, whom it is for, what its author demands, when (seconds from its release, between two), and what a reviewer said.

    `delay` None leaves the moment to the instance. `one_time`: its author is a one-time identity, of which nothing shows a finer time than the hour.
    `open_ended`: its author named no end, so that the usual time begins with its publication.
    """

    proposal: Proposal
    language: str
    audience: AudienceName
    named: tuple[str, ...] = ()
    terms: Terms = field(default_factory=Terms)
    delay: tuple[int, int] | None = None
    one_time: bool = False
    reason: str | None = None
    widen: Widening = "no"
    open_ended: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A draft as it lies here; `publish_at` in milliseconds UTC. `reviewed`: a person let it pass."""

    id: int
    actor_id: int
    state: str
    draft: Draft
    publish_at: int | None
    reviewed: bool


INSERT: Final = """
insert into draft (id, actor_id, state, kind, sealed, publish_at, reviewed, created_at, changed_at)
values (:id, :actor_id, :state, :kind, :sealed, :publish_at, :reviewed, :now, :now)
on conflict (id) do update
set state = excluded.state, sealed = excluded.sealed, publish_at = excluded.publish_at, reviewed = excluded.reviewed, changed_at = excluded.changed_at
"""

ONE: Final = """
select draft.id, draft.actor_id, draft.state, draft.sealed, draft.publish_at, draft.reviewed
from draft
where draft.id = :id
"""

IN_STATE: Final = """
select draft.id, draft.actor_id, draft.state, draft.sealed, draft.publish_at, draft.reviewed
from draft
where draft.state = :state
order by draft.id
limit :limit
"""

NEWEST: Final = """
select draft.id, draft.actor_id, draft.state, draft.sealed, draft.publish_at, draft.reviewed
from draft
where cast(:actor_id as integer) = 0
   or draft.actor_id = :actor_id
order by draft.id desc
limit :limit
"""

COUNT: Final = """
select count(*) as n
from draft
where draft.state = :state
"""

DELETE: Final = """
delete from draft
where id = :id
"""


LAPSED: Final = """
select draft.id, draft.actor_id, draft.state
from draft
where draft.state in ('draft', 'held', 'refused')
  and draft.changed_at < :before
order by draft.id
limit :limit
"""


def new_id(instance: "Instance", *, one_time: bool = False) -> int:
    """An id for a draft, of this hour and no finer; of a one-time identity also without the counter, which says between which others it was drawn."""
    if one_time:
        return onetime.coarse_id(instance)
    return instance.ids.new(instance.clock.ms() // HOUR_MS * HOUR_MS)


async def keep(tx: Transaction, instance: "Instance", kept: Kept) -> None:
    """Writes a draft, or brings it up to date. Works with a locked vault."""
    now = instance.clock.ms() // HOUR_MS * HOUR_MS  # when somebody wrote is a trace of them
    await tx.execute(
        INSERT,
        id=kept.id,
        actor_id=kept.actor_id,
        state=kept.state,
        kind=kept.draft.proposal.purpose,
        sealed=instance.vault.seal(msgspec.json.encode(kept.draft), _place(kept.id)),
        publish_at=kept.publish_at,
        reviewed=int(kept.reviewed),
        now=now,
    )


async def by_id(tx: Transaction, instance: "Instance", id: int) -> Kept | None:
    """The draft with that id. Raises `actors.vault.Locked`."""
    row = await tx.one(ONE, id=id)
    return None if row is None else _from_row(instance, row)


async def in_state(tx: Transaction, instance: "Instance", state: str, limit: int = 1000) -> list[Kept]:
    """Drafts in one state, oldest first. Raises `actors.vault.Locked`."""
    return [_from_row(instance, row) for row in await tx.all(IN_STATE, state=state, limit=limit)]


async def newest(tx: Transaction, instance: "Instance", *, actor_id: int | None = None, limit: int = 1000) -> list[Listing]:
    """Every draft, or those of one actor, as listings without an address, newest first. Raises `actors.vault.Locked`."""
    found = [_from_row(instance, row) for row in await tx.all(NEWEST, actor_id=actor_id or 0, limit=limit)]
    return [await _listing(tx, instance, kept) for kept in found]


async def count(tx: Transaction, state: str) -> int:
    """How many drafts are in a state."""
    row = await tx.one(COUNT, state=state)
    return 0 if row is None else int(row["n"])


async def shown(tx: Transaction, instance: "Instance", id: int) -> Listing | None:
    """The draft with that id as a listing without an address. Raises `actors.vault.Locked`."""
    kept = await by_id(tx, instance, id)
    return None if kept is None else await _listing(tx, instance, kept)


async def remove(tx: Transaction, instance: "Instance", kept: Kept) -> None:
    """Deletes a draft that is withdrawn. Raises `schemas.states.IllegalMove` where its life does not go there."""
    LISTING.move(kept.state, "withdrawn")
    await tx.execute(DELETE, id=kept.id)
    await chores.erase_soon(tx, instance)


async def lapse(tx: Transaction, instance: "Instance", before: int, limit: int) -> int:
    """Deletes drafts that nobody touched since `before` (milliseconds UTC) and that have no hour to wait for; their authors are told. How many there were.

    Works with a locked vault: nothing of it is opened.
    """
    rows = await tx.all(LAPSED, before=before, limit=limit)
    for row in rows:
        LISTING.move(row["state"], "withdrawn")
        await tx.execute(DELETE, id=row["id"])
        await notifications.tell(tx, instance, row["actor_id"], "listing.lapsed", row["id"], coarse=True)
    if rows:
        await chores.erase_soon(tx, instance)
    return len(rows)


async def published(tx: Transaction, instance: "Instance", kept: Kept) -> None:
    """Deletes a draft that has just become a listing, if it was ever written."""
    if await tx.execute(DELETE, id=kept.id):
        await chores.erase_soon(tx, instance)


def _from_row(instance: "Instance", row: Row) -> Kept:
    draft = msgspec.json.decode(instance.vault.open(bytes(row["sealed"]), _place(row["id"])), type=Draft)
    return Kept(row["id"], row["actor_id"], row["state"], draft, row["publish_at"], bool(row["reviewed"]))


async def _listing(tx: Transaction, instance: "Instance", kept: Kept) -> Listing:
    author = await known.by_id(tx, kept.actor_id)
    proposal = kept.draft.proposal
    bare = Listing(
        id=kept.id,
        url=Iri(""),
        actor_id=kept.actor_id,
        local=True,
        kind=proposal.purpose,
        state=kept.state,
        title="",
        text="",
        language=kept.draft.language,
        categories=(),
        skills=(),
        speaks=(),
        region=None,
        urgency=None,
        until=None,
        audience=kept.draft.audience,
        author=author.handle if author else "",
        origin=instance.config.host,
        published=kept.publish_at or 0,
        updated=None,
        named=kept.draft.named,
        reviewed=kept.reviewed,
    )
    return with_proposal(bare, replace(proposal, status=kept.state))


def _place(id: int) -> str:
    return f"draft:{id}"
