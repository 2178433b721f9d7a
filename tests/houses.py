"""What do tests of the board stand on? A whole instance on either engine, with people in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from actors import follows, local
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app, people
from schemas.objects import Proposal
from tests import ready
from tests.world import Clock, write_config


async def open_house(folder: Path, database: str = "sqlite", clock: Clock | None = None, **changes: str) -> Instance:
    """An instance of its own on an engine of its own, with some values of its file replaced."""
    config = ready.migrated(write_config(folder, database=database, **changes))
    return await app.build(config, clock=clock)


@asynccontextmanager
async def opened(folder: Path, database: str = "sqlite", clock: Clock | None = None, **changes: str) -> AsyncIterator[Instance]:
    """As `open_house`, closed afterwards."""
    instance = await open_house(folder, database, clock, **changes)
    yield instance
    await app.close(instance)


async def person(instance: Instance, name: str, *, locked: bool = False) -> Actor:
    """A new person."""
    return await local.create(instance, name, locked=locked)


async def follow(instance: Instance, follower: Actor, followed: Actor) -> None:
    """A follow that holds."""
    if await people.follow(instance, follower, followed) != "accepted":
        await instance.database.write(follows.decide, instance, followed, follower, True)


REQUEST = Proposal(
    purpose="request",
    title="A lawyer",
    text="Who knows asylum law?",
    categories=("LegalAid",),
    skills=("AsylumLaw",),
    speaks=("ar", "en"),
    region="SY",
    urgency="days",
)
