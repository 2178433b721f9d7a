"""What does the author of a listing demand that nobody else may hear? Floors, excluded countries, consent, embargo: sealed, and only at home."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Consent = Literal["asked", "guardian", "family", "lawyer", "cannot-be-asked"]
"""Why somebody may speak for another: they asked for it; their guardian, family or lawyer speaks; nobody can ask them (prison, disappearance)."""


@dataclass(frozen=True, slots=True)
class Floor:
    """How well somebody must be vouched for: `level` 0 to 5, by one of `issuers` (hosts) or, if none is named, by anybody this instance counts."""

    level: int = 0
    issuers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What stays at home; `embargo` is the moment before which nothing leaves."""

    readers: Floor = Floor(1)
    answers: Floor = Floor()
    excluded: tuple[str, ...] = ()
    embargo: datetime | None = None
    on_behalf_of: str | None = None
    consent: Consent | None = None


DEFAULT: Final = Terms()

SELECT: Final = """
select listing_terms.sealed
from listing_terms
where listing_terms.post_id = :post_id
"""

UPSERT: Final = """
insert into listing_terms (post_id, sealed)
values (:post_id, :sealed)
on conflict (post_id) do update
set sealed = excluded.sealed
"""


async def of(tx: Transaction, instance: "Instance", post_id: int) -> Terms:
    """The terms of a listing of ours; those nobody stated are the defaults. Raises `actors.vault.Locked`."""
    row = await tx.one(SELECT, post_id=post_id)
    return DEFAULT if row is None else msgspec.json.decode(instance.vault.open(bytes(row["sealed"]), _place(post_id)), type=Terms)


async def write(tx: Transaction, instance: "Instance", post_id: int, terms: Terms) -> None:
    """Keeps the terms of a listing of ours, sealed."""
    await tx.execute(UPSERT, post_id=post_id, sealed=instance.vault.seal(msgspec.json.encode(terms), _place(post_id)))


def _place(post_id: int) -> str:
    return f"listing_terms:{post_id}"
