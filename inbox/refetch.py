"""Is it true what somebody else carried here? Its own server is asked; the carried words are forgotten (protocol 4.1 step 8, 4.4).

An activity that its origin shows is an arrival like any other. What somebody says of a post that we hold (most servers show no Delete and no Update under an id
of their own) is a look at that post: edited there, it is edited here; deleted there (410, a Tombstone), it is deleted here. A 404 may also mean that we may not
see it; a public post that is missing twice, a day apart, is hidden here, and comes back if its server shows it again.
"""

from typing import Final

import structlog

from actors.instance import Instance
from inbox import arrivals, dereference, handle
from inbox.effects import NOTHING, Effects, ask
from outbox import posts
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

SECOND_LOOK_MS: Final = 24 * 3600 * 1000
MISSING: Final = b"missing"


async def read(instance: Instance, key: str, payload: bytes) -> None:
    """The job `refetch`: the activity with the id `key` from its own origin, or the post it speaks of, if we hold that; nothing if neither is there.

    `payload` is `MISSING` at the second look. Raises `Later` where another time may show it.
    """
    budget, uri = dereference.budget(instance), Iri(key.partition("#")[0])
    held = await instance.database.read(posts.by_uri, uri)
    if held is None:
        found = await dereference.activity(instance, Iri(key), budget)
        if found is not None:
            verified, body = found
            await arrivals.remember_fetched(instance, verified, body)
        return
    if held.local or held.boost_of is not None:
        return
    again = payload == MISSING
    seen = await dereference.look(instance, uri, budget, insist=again)
    if seen == "missing":
        effects = await instance.database.write(_missing, instance, uri, again)
    else:
        effects = await instance.database.write(handle.shown, instance, uri, handle.as_shown(seen))
    for kind in effects.wake:
        instance.wake(kind)


async def _missing(tx: Transaction, instance: Instance, uri: Iri, again: bool) -> Effects:
    """Its server does not show it: looked at once more a day later, then hidden, without a mark that would keep it away."""
    held = await posts.by_uri(tx, uri)
    # Whether a private one is there its server does not tell us anyway.
    if held is None or held.local or not held.public:
        return NOTHING
    if not again:
        # Under a key of its own: what is carried meanwhile is looked at when it comes.
        await ask(tx, instance, "refetch", f"{uri}#missing", MISSING, wait_ms=SECOND_LOOK_MS)
        return NOTHING
    log.info("post.missing", post=held.id)
    await posts.remove(tx, instance, held, tombstone=False)
    return Effects(wake=("job",))
