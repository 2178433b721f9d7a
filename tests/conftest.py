"""Which database does a test get? `database` on both engines, each clean; PostgreSQL is started once, for the first test that wants it.

What takes long to make is made once for the whole run: tests/ready.py.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from actors import keys
from fedmatch.database.engine import Engine
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import SqliteDatabase, open_sqlite
from tests import postgres, ready

pytest_plugins = ["tests.world_fixtures"]

MEMORY: Final = Path("/dev/shm")  # a folder of the machine, in which each run makes one of its own
MOST_BYTES: Final = 4 << 30


def _in_memory() -> bool:
    """Whether files of tests may lie in memory: a quarter of the time goes to a disk otherwise, for files that need to outlive no power cut."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return False
    # Of what a test makes some is run.
    return not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC and shutil.disk_usage(MEMORY).free >= MOST_BYTES


if _in_memory():
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# The examples of hypothesis are the same in every run, and no slow machine fails one; `make soak` draws them anew.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
if "FEDMATCH_ROUNDS" not in os.environ:
    settings.load_profile("fixed")

LONG: Final = ("test_serve.py", "test_migrate.py", "test_semantic.py", "test_browser.py")
"""The longest of the files that would come last, where one process would do them while the others have nothing left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first; all else in its order."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Key pairs and a migrated file for whoever wants them."""
    own = tmp_path_factory.getbasetemp()
    ready.prepare_database(own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_make", ready.pairs((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "pairs", keys._make))
        yield


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
    made = await open_sqlite(ready.database_at(tmp_path / "data" / "fedmatch.db"))
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


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """What instance.toml says of its database, once for each engine; that on PostgreSQL is clean and migrated."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    url = await postgres.clean_database(request.getfixturevalue("postgresql_url"))
    yield url
    await postgres.drop(url)
