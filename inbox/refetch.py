"""Is it true what somebody else carried here? Its own server is asked; the carried words are forgotten (protocol 4.1 step 8, 4.4).

An activity that its origin shows is an arrival like any other. What somebody says of a post that we hold (most servers show no Delete and no Update under an id
of their own) is a look at that post: edited there, it is edited here; deleted there (410, a Tombstone), it is deleted here. A 404 may also mean that we may not
see it; a public post that is missing twice, a day apart, is hidden here, and comes back if its server shows it again. Of a Create that its origin does not show
the post is read there, if it is public; of an actor that is said to have left nothing but a 410 or a Tombstone is believed.
"""

from typing import Final

import structlog

from actors import known
from actors.instance import Instance
from actors.known import Actor
from actors.remote import Budget
from inbox import arrivals, dereference, handle
from inbox.effects import NOTHING, Effects, ask
from inbox.verify import Forwarded
from outbox import posts
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

SECOND_LOOK_MS: Final = 24 * 3600 * 1000
MISSING: Final = b"missing"


async def wanted(tx: Transaction, instance: Instance, carried: Forwarded) -> None:
    """Asks for the job, once however many carry it. It knows ids and no words. Call `instance.wake("job")` after the commit."""
    await ask(tx, instance, "refetch", carried.id, (carried.post or "").encode())


async def read(instance: Instance, key: str, payload: bytes) -> None:
    """The job `refetch`: the activity with the id `key` from its own origin, or the post or actor it speaks of, if we hold that; nothing if neither is there.

    `payload` is `MISSING` at the second look; else the id of the post that a Create or Update is about, for servers that show their posts and not their
    activities, or nothing. Raises `Later` where another time may show it.
    """
    budget, again = dereference.budget(instance), payload == MISSING
    uri = Iri(key.partition("#")[0])
    if await instance.database.read(posts.by_uri, uri) is not None:
        await _look_at_post(instance, uri, budget, again=again)
        return
    person = await instance.database.read(known.by_uri, Iri(key))
    if person is not None:
        await _look_at_actor(instance, person, budget)
        return
    found = None if again else await dereference.activity(instance, Iri(key), budget)
    if found is not None:
        verified, body = found
        await arrivals.remember_fetched(instance, verified, body)
    elif payload and not again:
        await _read_post(instance, Iri(payload.decode()), budget)


async def _read_post(instance: Instance, uri: Iri, budget: Budget) -> None:
    if await instance.database.read(posts.by_uri, uri) is not None:
        await _look_at_post(instance, uri, budget, again=False)
        return
    found = await dereference.post(instance, uri, budget)
    # What is for few comes from its author to each of them, and nobody needs to carry it.
    if found is not None and posts.visibility(found.note, found.author.followers) in ("public", "unlisted"):
        _wake(instance, await instance.database.write(handle.fetched, instance, found))


async def _look_at_actor(instance: Instance, person: Actor, budget: Budget) -> None:
    """Somebody said that it deleted itself: so it did if its own server says that it is gone; that it does not show it says nothing."""
    if person.local or person.state == "gone" or await dereference.look(instance, person.uri, budget, insist=True) != "gone":
        return
    _wake(instance, await instance.database.write(handle.left, instance, person.uri))


async def _look_at_post(instance: Instance, uri: Iri, budget: Budget, *, again: bool) -> None:
    held = await instance.database.read(posts.by_uri, uri)
    if held is None or held.local or held.boost_of is not None:
        return
    seen = await dereference.look(instance, uri, budget, insist=again)
    if seen == "missing":
        _wake(instance, await instance.database.write(_missing, instance, uri, again))
    else:
        _wake(instance, await instance.database.write(handle.shown, instance, uri, handle.as_shown(seen)))


def _wake(instance: Instance, effects: Effects) -> None:
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
