"""Who acts only once? Actors for a single request, offer or answer: an own key and inbox, the smallest document, and nothing that tells whose.

All of all instances look alike: the same members, a name from one pool, no picture, no date (protocol.md 14.8). They follow nobody and nobody follows them.
"""

import secrets
from typing import TYPE_CHECKING, Final

import structlog

from actors import keys, known, local, spent
from actors.known import Actor
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

HOUR_MS: Final = 3_600_000
TRIES: Final = 20

FIRST_WORDS: Final = """
    amber autumn birch blue bright bronze calm cedar clear cloud clover cobalt copper coral cotton crimson crystal dawn deep distant early east ember
    evening fern field first flint forest garden gentle golden granite green grey harbor hazel hidden high hollow indigo inland iron island ivory jade
    lake late laurel linen little long lunar maple marble meadow mild misty moon morning moss mountain narrow new noble north ocean olive open orange pale
    pearl pine plain quiet rain red river round rose russet sand sea second silent silver slate slow small soft south spring steady steel still stone
    summer sun swift tall third thyme upper valley velvet violet warm water west white wide wild willow wind winter wooden yellow
"""
FIRST: Final = tuple(FIRST_WORDS.split())
SECOND_WORDS: Final = """
    acorn anchor apple arch barley basin beacon bell bench bird boat branch bread bridge brook candle canvas castle chair chest circle cliff clock coast
    comet compass cove crane creek crow cup delta desk door dove drum dune eagle falcon feather fence finch fire flag flame flute ford fountain fox gate
    glass grove gull hammer harp hawk heron hill hive horn house kettle key kite ladder lamp lantern lark leaf letter lily linden mill mirror needle nest
    oak orchard otter owl paper path pebble pen petal pillow plum pond post quill raven reed ribbon ring robin roof root rope sail seed shell ship shore
    spoon star stork stream swallow table thread tower trail tree wagon wall wave well wheel wing wren yard
"""
SECOND: Final = tuple(SECOND_WORDS.split())


def _name() -> str:
    """One of about a hundred million names: two words and four digits, plain ASCII."""
    return f"{secrets.choice(FIRST)}_{secrets.choice(SECOND)}_{secrets.randbelow(9000) + 1000}"


INSERT: Final = """
insert into actor (id, uri, local, kind, username, handle_host, inbox, locked, fetched_at, one_time)
values (:id, :uri, 1, 'Person', :username, :handle_host, :inbox, 1, :hour, 1)
returning *
"""


def coarse_id(instance: "Instance") -> int:
    """An id that tells the hour and nothing finer: a random moment of this hour, as `Ids` would have drawn it then."""
    hour = instance.clock.ms() // HOUR_MS * HOUR_MS
    return (hour + secrets.randbelow(HOUR_MS)) << 16 | secrets.randbits(16)


def hour(instance: "Instance") -> int:
    """The full hour that is now, in milliseconds UTC."""
    return instance.clock.ms() // HOUR_MS * HOUR_MS


async def new_keys() -> keys.NewKeys:
    """The keys of one, made in a thread before the write (0.1-0.5 s)."""
    return await keys.make()


async def create(tx: Transaction, instance: "Instance", new: keys.NewKeys) -> Actor:
    """A one-time actor with these keys, by a free name of the pool; no account, no membership: the caller keeps, sealed, whose it is."""
    base = instance.config.base_url
    for _ in range(TRIES):
        username = _name()
        uri = Iri(f"{base}/users/{username}")
        if await tx.one(local.IS_TAKEN, uri=uri) is not None or await spent.holds(tx, instance, uri):
            continue
        row = await tx.one(
            INSERT,
            id=coarse_id(instance),
            uri=uri,
            username=username,
            handle_host=instance.config.host,
            inbox=f"{uri}/inbox",
            hour=hour(instance),
        )
        if row is None:
            raise LookupError("an actor row was written and is not there")
        actor = known.from_row(row)
        await keys.keep(tx, instance, actor.id, actor.uri, new, hour_ms=hour(instance))
        log.info("actor.created", actor=actor.id, kind="one-time")
        return actor
    raise LookupError("no free name was drawn")
