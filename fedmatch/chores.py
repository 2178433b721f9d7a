"""What does somebody ask to be done later? What each of these jobs does is in fedmatch/handlers.py."""

from typing import TYPE_CHECKING, Final

from fedmatch.jobs import enqueue
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

LOCKED_MS: Final = 60_000
"""How soon is tried again what waits for the vault to be unlocked."""


async def expire_at(tx: Transaction, instance: "Instance", post_id: int, at_ms: int) -> None:
    """Asks for a listing to be closed when its time is over."""
    await enqueue(tx, instance, "expire", str(post_id), at_ms)


async def publish_at(tx: Transaction, instance: "Instance", draft_id: int, at_ms: int) -> None:
    """Asks for a draft to be published at a moment."""
    await enqueue(tx, instance, "publish", str(draft_id), at_ms)


async def tell_at(tx: Transaction, instance: "Instance", post_id: int, at_ms: int) -> None:
    """Asks for everybody who holds a listing to be told, at a moment, what it is by then."""
    await enqueue(tx, instance, "tell", str(post_id), at_ms)


async def end_poll_at(tx: Transaction, instance: "Instance", post_id: int, at_ms: int) -> None:
    """Asks for a poll of ours to be closed when its time is over."""
    await enqueue(tx, instance, "end_poll", str(post_id), at_ms)


async def erase_soon(tx: Transaction, instance: "Instance") -> None:
    """Asks for what this transaction deletes to become unreadable in every file of ours."""
    await enqueue(tx, instance, "erase", "all", instance.clock.ms())


async def clear_away(tx: Transaction, instance: "Instance", actor_id: int) -> None:
    """Asks for everything that hangs on a gone actor to be deleted, in chunks."""
    await enqueue(tx, instance, "clear_away", str(actor_id), instance.clock.ms())
