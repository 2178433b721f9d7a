"""What is left to do when an arrival's transaction is done? Rows that wait now, and jobs for later."""

from dataclasses import dataclass
from typing import Final, Literal

from actors.instance import Instance
from schemas.storage import Transaction

JobKind = Literal["refetch", "thread", "featured", "moved", "synchronise", "replies"]
"""refetch: what somebody else carried here, as its own origin shows it (inbox.refetch). thread: the posts above one that arrived (inbox.dereference).
featured: the pins of an actor (inbox.pins). moved: the followers of an account that moved (inbox.moves). synchronise: FEP-8fcf (inbox.synchronise).
replies: who answered a post that was fetched (inbox.replies)."""


@dataclass(frozen=True, slots=True)
class Effects:
    """Kinds of rows to wake the worker for: "delivery", "job"."""

    wake: tuple[str, ...] = ()


NOTHING: Final = Effects()

# The same row fedmatch/jobs.py writes; this room may not import that one.
ASK: Final = """
insert into job (id, kind, key, payload, run_at)
values (:id, :kind, :key, :payload, :now)
on conflict (kind, key) where state = 'waiting' do nothing
"""


async def ask(tx: Transaction, instance: Instance, kind: JobKind, key: str, payload: bytes = b"", *, wait_ms: int = 0) -> None:
    """Asks for a job in `wait_ms`, once however often it is asked while it waits. Call `instance.wake("job")` after the commit."""
    await tx.execute(ASK, id=instance.ids.new(), kind=kind, key=key, payload=payload, now=instance.clock.ms() + wait_ms)
