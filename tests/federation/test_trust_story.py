"""What is not public goes to an instance whose words were compared, sealed to the key it had then; and to nobody else, whatever happens to its name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import keys, known, local, sealing
from fedmatch.board import timelines  # noqa: F401  # the world needs the board
from fedmatch.safety import border, peering
from fedmatch.safety.border import Host
from outbox import confidential
from tests.friends import befriend, confide, holds, partner
from tests.world import World, open_world

CANARY = "helianthus under the third bridge"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_two_admins_compare_words_and_then_something_sealed_arrives(world: World) -> None:
    amina = await world.person("amina@a")
    b = await world.site("b")
    await befriend(world, amina.site, b)
    # When something is said to b alone
    await confide(amina, b, CANARY)
    await world.settle()
    # Then b holds it, and nobody's disk shows it
    assert await holds(b, f"{amina.uri}/secret/1")
    assert world.grep(CANARY) == {}
    row = (await b.rows("select visibility, content, sealed from post where uri = :uri", uri=f"{amina.uri}/secret/1"))[0]
    assert (row["visibility"], row["content"]) == ("direct", None)
