"""Do both servers believe the same about who follows whom? FEP-8fcf: a digest beside each post for followers, and a list for whoever finds it different.

    header      what we put beside a delivery for followers: the digest of the followers we have on that server
    read        what another server put beside its own
    digest      XOR of the SHA-256 of each follower's id; the empty set is 64 zeros
    differs     whether another server's digest is not that of what we hold

Followers end here only if the list that was fetched has the digest that came: then it is the very list its server meant.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from actors import hosts
from actors.known import Actor
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

HEADER: Final = "Collection-Synchronization"
LONGEST: Final = 8192
_PARAMETER: Final = re.compile(r'\s*([A-Za-z]{1,32})\s*=\s*"([^"\\]*)"\s*(?:,|\Z)')
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

FOLLOWERS_ON: Final = """
select actor.uri
from follow
join actor on actor.id = follow.follower_id
where follow.followed_id = :actor_id
  and follow.state = 'accepted'
  and actor.host_id = :host_id
  and actor.state = 'active'
order by follow.id
"""

OURS_WHO_FOLLOW: Final = """
select actor.uri
from follow
join actor on actor.id = follow.follower_id
where follow.followed_id = :actor_id
  and follow.state = 'accepted'
  and actor.local = 1
"""


@dataclass(frozen=True, slots=True)
class Synchronisation:
    """What a server says of the followers that one of its actors has with us."""

    collection: Iri
    url: Iri
    digest: str


def digest(uris: Iterable[str]) -> str:
    """The digest of a set of followers, as 64 hex digits."""
    total = 0
    for uri in uris:
        total ^= int.from_bytes(sha256(uri.encode()).digest())
    return f"{total:064x}"


def read(value: str) -> Synchronisation | None:
    """A header's three parameters, None where it cannot be read; the syntax is that of Signature headers."""
    found: dict[str, str] = {}
    at = 0
    while at < len(value) <= LONGEST:
        match = _PARAMETER.match(value, at)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2]
        at = match.end()
    told = found.get("digest", "").lower()
    if not found.get("collectionId") or not found.get("url") or not _DIGEST.fullmatch(told):
        return None
    return Synchronisation(Iri(found["collectionId"]), Iri(found["url"]), told)


def address(actor: Actor) -> Iri:
    """Where another server finds which of its people follow our `actor`."""
    return Iri(f"{actor.uri}/followers_synchronization")


async def followers_on(tx: Transaction, actor_id: int, host_id: int) -> list[Iri]:
    """The accepted followers of our actor that live on that host."""
    return [Iri(row["uri"]) for row in await tx.all(FOLLOWERS_ON, actor_id=actor_id, host_id=host_id)]


async def header(tx: Transaction, actor: Actor, host_id: int) -> str | None:
    """What to put beside a delivery for followers of our `actor` to that host; None for an actor without followers collection."""
    if actor.followers is None:
        return None
    told = digest(await followers_on(tx, actor.id, host_id))
    return f'collectionId="{actor.followers}", url="{address(actor)}", digest="{told}"'


async def differs(tx: Transaction, instance: "Instance", actor: Actor, told: Synchronisation) -> bool:
    """Whether what the proven remote `actor` tells of its followers here is about its own collection, on its own host, and not what we hold."""
    if told.collection != actor.followers or not hosts.same_origin(told.url, actor.uri):
        return False
    return digest(await ours_who_follow(tx, actor.id)) != told.digest


async def ours_who_follow(tx: Transaction, actor_id: int) -> Sequence[Iri]:
    """The people here who follow a remote actor."""
    return [Iri(row["uri"]) for row in await tx.all(OURS_WHO_FOLLOW, actor_id=actor_id)]
