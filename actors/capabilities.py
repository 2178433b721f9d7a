"""What do other servers say that they understand (FEP-844e)? Read from their actors as these are fetched, kept by host."""

from typing import TYPE_CHECKING, Final

from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

HAS: Final = """
select 1 as found
from capability
where capability.host_id = :host_id
  and capability.iri = :iri
"""

INSERT: Final = """
insert into capability (host_id, iri, seen_at)
values (:host_id, :iri, :now)
on conflict (host_id, iri) do nothing
"""

FORGET: Final = """
delete from capability
where host_id = :host_id
"""


async def seen(tx: Transaction, instance: "Instance", host_id: int, names: tuple[Iri, ...]) -> None:
    """Keeps what an actor of that host names, in place of what was known; an actor that names nothing says nothing about its host."""
    if not names:
        return
    await tx.execute(FORGET, host_id=host_id)
    await tx.many(INSERT, [{"host_id": host_id, "iri": name, "now": instance.clock.ms()} for name in names])


async def has(tx: Transaction, host_id: int | None, name: Iri) -> bool:
    """Whether that host names this."""
    return host_id is not None and await tx.one(HAS, host_id=host_id, iri=name) is not None
