"""To which inboxes does it go? An audience becomes a set of inboxes: shared ones folded, our own host and refused peers left out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import hosts, known, quiet, trust
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom something is for: actors by our id, the accepted followers of local actors, and inboxes named outright. Local ones among them get no HTTP.

    An inbox may also be a place of `actors.quiet` that stands for an address which would name somebody.
    """

    actors: tuple[int, ...] = ()
    followers_of: tuple[int, ...] = ()
    inboxes: tuple[Iri, ...] = ()


@dataclass(frozen=True, slots=True)
class Inbox:
    """One place to POST to; an address, or what stands for one (`actors.quiet.address` says which)."""

    url: Iri
    host_id: int


# `cast(:fold ...)`: PostgreSQL cannot guess the type of a value that is only compared with a number of its own.
OF_ACTOR: Final = """
select actor.inbox, actor.shared_inbox, actor.host_id, host.name as host
from actor
join host on host.id = actor.host_id
where actor.id = :actor_id
  and actor.local = 0
  and actor.state = 'active'
"""

OF_FOLLOWERS: Final = """
select distinct
  case when cast(:fold as integer) = 1 then coalesce(actor.shared_inbox, actor.inbox) else actor.inbox end as inbox,
  null as shared_inbox,
  actor.host_id,
  host.name as host
from follow
join actor on actor.id = follow.follower_id
join host on host.id = actor.host_id
where follow.followed_id = :actor_id
  and follow.state = 'accepted'
  and actor.local = 0
  and actor.state = 'active'
"""

OF_QUIET_FOLLOWERS: Final = """
select distinct quiet_follower.inbox, null as shared_inbox, quiet_follower.host_id, host.name as host
from quiet_follower
join host on host.id = quiet_follower.host_id
where quiet_follower.actor_id = :actor_id
"""

OF_PLACE: Final = """
select 'sealed:' || sealed_inbox.mark as inbox, null as shared_inbox, sealed_inbox.host_id, host.name as host
from sealed_inbox
join host on host.id = sealed_inbox.host_id
where sealed_inbox.mark = :mark
"""


async def inboxes(tx: Transaction, instance: "Instance", audience: Audience, *, fold: bool) -> list[Inbox]:
    """Every inbox of `audience` once, those of named actors first; folded to the shared inbox of a server where it has one and `fold` says so.

    Fold what is public or for followers (as Mastodon does), never what is for named actors only: a personal inbox says whom it is for. Left out: actors of this
    instance, suspended and gone ones, hosts that `actors.trust` refuses. Gone actors of the audience cost nothing; a follower costs a share of one query.
    """
    found: dict[str, Inbox] = {}
    ours = known.ours(instance)

    def add(rows: Iterable[Row]) -> None:
        for row in rows:
            url, host = Iri((row["shared_inbox"] if fold else None) or row["inbox"]), str(row["host"])
            if url in found or host in ours:
                continue
            if not trust.verdict(instance, host, "deliver").allowed:
                continue
            found[url] = Inbox(url, int(row["host_id"]))

    for actor_id in dict.fromkeys(audience.actors):
        add(await tx.all(OF_ACTOR, actor_id=actor_id))
    for actor_id in dict.fromkeys(audience.followers_of):
        add(await tx.all(OF_FOLLOWERS, actor_id=actor_id, fold=int(fold)))
        add(await tx.all(OF_QUIET_FOLLOWERS, actor_id=actor_id))
    for url in dict.fromkeys(audience.inboxes):
        if url.startswith(quiet.SEALED):
            add(await tx.all(OF_PLACE, mark=url.removeprefix(quiet.SEALED)))
            continue
        try:
            host = hosts.authority(url)
        except hosts.BadUrl:
            log.warning("inbox.unusable")
            continue
        if url not in found and host not in ours and trust.verdict(instance, host, "deliver").allowed:
            found[url] = Inbox(url, await hosts.ensure(tx, instance, host))
    return list(found.values())
