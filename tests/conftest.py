"""Which database does a test get? `database` on both engines, each clean; PostgreSQL is started once, for the first test that wants it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fedmatch.database.engine import Engine
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import SqliteDatabase, open_sqlite
from tests import postgres

pytest_plugins = ["tests.world_fixtures"]


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The address of the template database on this session's server. Give it to `postgres.clean_database` for one of your own."""
    try:
        with postgres.server() as url:
            yield url
    except postgres.NotHere as error:
        pytest.skip(f"no PostgreSQL: {error}")


@pytest.fixture
async def sqlite_database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A migrated database on SQLite."""
    made = await open_sqlite(tmp_path / "data" / "fedmatch.db")
    await migrate(made)
    yield made
    await made.close()


@pytest.fixture
async def postgresql_database(postgresql_url: str) -> AsyncIterator[Engine]:
    """A migrated database on PostgreSQL."""
    from fedmatch.database.postgresql import open_postgresql

    url = await postgres.clean_database(postgresql_url)
    made = await open_postgresql(url)
    yield made
    await made.close()
    await postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Engine:
    """A migrated database, once on each engine."""
    return request.getfixturevalue(f"{request.param}_database")
