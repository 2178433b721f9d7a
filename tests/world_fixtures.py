"""Which worlds do tests get? `instance`: one whole Instance; `world`: real instances over real HTTP; `peer`: a fake peer of that world.

What they are made of is imported when a test asks for one: tests of a single room run without the other rooms.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from actors.instance import Instance
    from tests.fakepeer import FakePeer
    from tests.world import World


@pytest.fixture
async def instance(tmp_path: Path) -> AsyncIterator["Instance"]:
    """One Instance in development mode on a fresh SQLite; nothing serves it and no worker runs."""
    from fedmatch import app
    from tests import ready
    from tests.world import write_config

    made = await app.build(ready.migrated(write_config(tmp_path / "instance")))
    yield made
    await app.close(made)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator["World"]:
    """A world without sites; `await world.person("amina@a")` makes the first."""
    from tests.world import open_world

    async with open_world(tmp_path / "world") as opened:
        yield opened


@pytest.fixture
async def peer(world: "World") -> "FakePeer":
    """A fake peer in the world."""
    return await world.peer()
