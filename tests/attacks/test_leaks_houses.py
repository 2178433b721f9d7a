"""Is it the same on the other engine, where every reader must sign, where only some servers are spoken with, and of somebody who approves followers by hand?

The cells are those of test_leaks.py, the table that of policy.py. Two houses and a fair sample of the cells always; every house and cell in the long runs.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests import postgres
from tests.attacks.policy import REMOTE, House
from tests.attacks.test_leaks import (
    ATTEMPTS,
    READERS_HERE,
    READERS_THERE,
    TIMELINES,
    Scene,
    _build,
    look_at_lists,
    look_at_timelines,
    look_here,
    look_over_http,
    look_there,
)
from tests.world import open_world

HOUSES = {
    "postgresql": House(database="postgresql"),
    "signed only": House(signed_only=True),
    "allow list": House(mode="allowlist"),
    "approve": House(mode="approve"),
    "locked author": House(locked=True),
    "all of it": House(database="postgresql", signed_only=True, mode="allowlist", locked=True),
}
ALWAYS = {
    "postgresql, signed only, locked author": House(database="postgresql", signed_only=True, locked=True),
    "allow list": House(mode="allowlist"),
}
EVERY = 8
"""One cell of so many, each time beginning with another reader: eight shares no divisor with the number of readers, which is seven here and there."""


@asynccontextmanager
async def built(folder: Path, house: House, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    url = await postgres.clean_database(request.getfixturevalue("postgresql_url"), empty=True) if house.database != "sqlite" else None
    try:
        async with open_world(folder) as world:
            yield await _build(world, replace(house, database=url or "sqlite"))
    finally:
        if url is not None:
            await postgres.drop(url)


async def look(scene: Scene, every: int) -> int:
    """Every so manyth cell; how many there were."""
    cells = [
        *[look_over_http(scene, thing, reader) for thing, reader in ATTEMPTS[::every]],
        *[look_at_lists(scene, reader) for reader in (REMOTE if every == 1 else ("anonymous", "follower"))],
        *[look_here(scene, thing, reader) for thing, reader in READERS_HERE[::every]],
        *[look_there(scene, thing, reader) for thing, reader in READERS_THERE[:: min(every, 2)]],
        *[look_at_timelines(scene, reader) for reader in TIMELINES],
    ]
    for cell in cells:
        await cell
    return len(cells)


@pytest.mark.parametrize("house", ALWAYS.values(), ids=ALWAYS)
async def test_a_sample_of_the_matrix_in_other_houses(tmp_path: Path, house: House, request: pytest.FixtureRequest) -> None:
    async with built(tmp_path / "leaks", house, request) as scene:
        assert await look(scene, EVERY) > 20


@pytest.mark.soak
@pytest.mark.parametrize("house", HOUSES.values(), ids=HOUSES)
async def test_the_whole_matrix_in_every_house(tmp_path: Path, house: House, request: pytest.FixtureRequest) -> None:
    async with built(tmp_path / "leaks", house, request) as scene:
        assert await look(scene, 1) == len(ATTEMPTS) + len(REMOTE) + len(READERS_HERE) + len(READERS_THERE) + len(TIMELINES)
