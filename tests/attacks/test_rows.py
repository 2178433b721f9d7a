"""Does any attack of the table get in, change anything, break anything, or make us ask where we must not?"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.attacks.rows import CASES, ROWS
from tests.attacks.stage import Case, Stage, answers_of, changes, set_up
from tests.world import open_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("attacks")
    async with open_world(folder) as world, set_up(world) as ready:
        yield ready


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The same behind uvicorn, the server of the extra `speed`."""
    folder: Path = tmp_path_factory.mktemp("attacks-uvicorn")
    async with open_world(folder) as world, set_up(world, "uvicorn") as ready:
        yield ready


WIRE = [case for case in CASES if case.row in {"A051", "A052", "A053", "A054", "A055", "A057", "A058"}]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", WIRE, ids=[f"{case.row}-{case.name}".encode("ascii", "replace").decode() for case in WIRE])
async def test_attack_on_the_wire_of_uvicorn(other: Stage, case: Case) -> None:
    before = other.seen or await other.state()
    answers = answers_of(await case.act(other))
    for answer in answers:
        assert answer.status in case.status, (answer.status, answer.body[:300])
    after = await other.state()
    assert changes(before, after, kept=False, met=False) == {}
    other.seen = after


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES, ids=[f"{case.row}-{case.name}".encode("ascii", "replace").decode() for case in CASES])
async def test_attack(stage: Stage, case: Case) -> None:
    # Given what is here
    stage.forget()
    before = stage.seen or await stage.state()
    stage.seen = None
    # When the row is played
    answers = answers_of(await case.act(stage))
    turned_away = bool(answers) and all(answer.status >= 400 for answer in answers)
    if case.effect or not turned_away:
        await stage.settle()
    # Then every answer is one of those the table allows, and none is our trouble
    for answer in answers:
        assert answer.status in case.status, (answer.status, answer.body[:300])
        assert answer.status < 500 or (answer.status == 503 and answer.header("retry-after")), answer
    # Then nothing is different afterwards
    if not case.effect:
        after = await stage.state()
        assert changes(before, after, kept=not turned_away, met=case.met) == {}
        stage.seen = after
    # Then nobody was asked but our own servers
    assert stage.alarm.strayed() == []


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_is_played(row: str) -> None:
    assert any(case.row == row for case in CASES), f"{row} has no case"


def test_every_case_has_a_name_of_its_own() -> None:
    names = [(case.row, case.name) for case in CASES]
    assert len(names) == len(set(names))
