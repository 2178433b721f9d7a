"""Does a person look at it before others do? The policy of this instance, and what reviewers decide."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from actors import known
from actors.known import Actor
from fedmatch.board import drafts, notifications
from fedmatch.board.drafts import Kept
from fedmatch.board.listings import Listing
from fedmatch.safety import audit
from schemas.states import LISTING
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MOST_REASON: Final = 2000


class NotHeld(LookupError):
    """There is nothing here under this id that waits for a review."""


RECORD: Final = """
select review_record.approved
from review_record
where review_record.actor_id = :actor_id
"""

COUNT: Final = """
insert into review_record (actor_id, approved, refused)
values (:actor_id, :approved, :refused)
on conflict (actor_id) do update
set approved = review_record.approved + excluded.approved, refused = review_record.refused + excluded.refused
"""


async def needed(tx: Transaction, instance: "Instance", author: Actor) -> bool:
    """Whether a person has to look at what this author writes: always, or of newcomers (nobody let anything of theirs pass before), or never."""
    match instance.config.board.review:
        case "everything":
            return True
        case "newcomers":
            row = await tx.one(RECORD, actor_id=author.id)
            return row is None or row["approved"] == 0
        case "nothing":
            return False


async def waiting(tx: Transaction, instance: "Instance", limit: int = 1000) -> list[Listing]:
    """What waits for a review, oldest first. Raises `actors.vault.Locked`."""
    found = [await drafts.shown(tx, instance, kept.id) for kept in await drafts.in_state(tx, instance, "held", limit)]
    return [one for one in found if one is not None]


async def approve(tx: Transaction, instance: "Instance", id: int, staff: Actor | None) -> int:
    """Lets a held draft pass: it is published, now or at its hour. The id it has afterwards. Raises `NotHeld`, `actors.vault.Locked`, `publish.CannotPublish`.

    `staff` None is whoever runs this instance, at its command line.
    """
    from fedmatch.board import publish  # it asks here whether a review is needed

    kept, author = await _held(tx, instance, id)
    made = await publish.release(tx, instance, author, replace(kept, reviewed=True))
    await tx.execute(COUNT, actor_id=author.id, approved=1, refused=0)
    await notifications.tell(tx, instance, author.id, "listing.approved", made)
    await audit.log(tx, instance, staff.username if staff else audit.OPERATOR, "review.approve", str(made))
    log.info("review.approved", draft=id, staff=staff.id if staff else None)
    return made


async def reject(tx: Transaction, instance: "Instance", id: int, staff: Actor | None, reason: str) -> None:
    """Refuses a held draft; its author hears why, may change it and submit it again. Raises `NotHeld`, `actors.vault.Locked`."""
    kept, author = await _held(tx, instance, id)
    draft = replace(kept.draft, reason=reason[:MOST_REASON])
    await drafts.keep(tx, instance, replace(kept, state=LISTING.move(kept.state, "refused"), draft=draft))
    await tx.execute(COUNT, actor_id=author.id, approved=0, refused=1)
    await notifications.tell(tx, instance, author.id, "listing.refused", id)
    await audit.log(tx, instance, staff.username if staff else audit.OPERATOR, "review.reject", str(id), reason[:MOST_REASON])
    log.info("review.refused", draft=id, staff=staff.id if staff else None)


async def _held(tx: Transaction, instance: "Instance", id: int) -> tuple[Kept, Actor]:
    kept = await drafts.by_id(tx, instance, id)
    author = None if kept is None else await known.by_id(tx, kept.actor_id)
    if kept is None or author is None or kept.state != "held":
        raise NotHeld(f"nothing with the id {id} waits for a review; `fedmatch review list` shows what does")
    return kept, author
