"""Which servers came and took a public post of ours? Whoever fetched it with a signature holds it, and hears when it changes or goes (protocol.md 14.14).

Only hosts are kept: some servers sign with the key of the person who reads, and whose that was is nobody's business. The claim is not proven: somebody who
signs in another's name makes that server hear that something unknown to it is gone, once.
"""

from typing import TYPE_CHECKING, Final

from actors.hosts import BadUrl
from actors.signatures.request import claimed_keys
from schemas.reading import Iri
from schemas.storage import Transaction, Unavailable

if TYPE_CHECKING:
    from actors.instance import Instance

MOST: Final = 1000
"""How many servers are remembered for one post."""
NAME: Final = "fetched"
MOST_REMEMBERED: Final = 50_000

INSERT: Final = """
insert into fetched (post_id, host_id)
select cast(:post_id as integer), host.id
from host
where host.name = :host
  and exists (
    select 1
    from actor
    where actor.host_id = host.id
      and actor.shared_inbox is not null
  )
  and (
    select count(*)
    from fetched as others
    where others.post_id = :post_id
  ) < :most
on conflict (post_id, host_id) do nothing
"""

INBOXES: Final = """
select min(actor.shared_inbox) as inbox
from fetched
join actor on actor.host_id = fetched.host_id
where fetched.post_id = :post_id
  and actor.local = 0
  and actor.state = 'active'
  and actor.shared_inbox is not null
group by fetched.host_id
order by inbox
"""


async def note(instance: "Instance", post_id: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Remembers the server that signed this request for a public post, if anybody of it is known here; once for each, and not while nothing can be written."""
    seen = instance.memory.setdefault(NAME, set())
    if not isinstance(seen, set):
        raise TypeError("somebody else keeps something under this name")
    for key_id in claimed_keys(headers)[:1]:
        try:
            host = instance.network.target(key_id).authority
        except BadUrl:
            continue
        if (post_id, host) in seen:
            continue
        try:
            await instance.database.write(_keep, post_id, host)
        except Unavailable:
            continue
        if len(seen) >= MOST_REMEMBERED:
            seen.clear()
        seen.add((post_id, host))


async def _keep(tx: Transaction, post_id: int, host: str) -> None:
    await tx.execute(INSERT, post_id=post_id, host=host, most=MOST)


async def inboxes(tx: Transaction, post_id: int) -> tuple[Iri, ...]:
    """Where the servers that fetched a post are told what becomes of it: one shared inbox each."""
    return tuple(Iri(row["inbox"]) for row in await tx.all(INBOXES, post_id=post_id))
