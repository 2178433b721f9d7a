"""One world for each file here: `amina` lives in it, and every test gets a strange server of its own, gone afterwards."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakepeer import FakeActor, FakePeer
from tests.neighbours import befriend
from tests.world import Person, World, open_world


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("one_world")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def amina(world: World) -> Person:
    return await world.person("amina@a")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bilal(world: World, amina: Person) -> Person:
    """Somebody beside her who follows nobody."""
    return await world.person("bilal@a")


@pytest_asyncio.fixture(loop_scope="module")
async def peer(world: World) -> AsyncIterator[FakePeer]:
    """A server nobody has heard of, gone after the test."""
    made = await world.peer()
    yield made
    await made.stop()
    world.peers.remove(made)


@pytest_asyncio.fixture(loop_scope="module")
async def p1(world: World, amina: Person, peer: FakePeer) -> FakeActor:
    """Somebody there whom she follows; the log starts afterwards."""
    actor = peer.actor("p1")
    await befriend(world, peer, amina, actor)
    return actor
