"""Which engine does instance.toml ask for? Opens it, checked, ready to be migrated."""

from typing import Final

from fedmatch.database.engine import Engine
from fedmatch.database.sqlite import open_sqlite
from schemas.config import Config
from schemas.storage import Unusable

FILE_NAME: Final = "fedmatch.db"


async def open_database(config: Config, *, check: bool = True) -> Engine:
    """The database of this instance; close it with `close()`. `check` reads a SQLite file whole first. Raises `Unusable` with the cure."""
    if config.database.url == "sqlite":
        return await open_sqlite(config.folder / FILE_NAME, check=check)
    try:
        from fedmatch.database.postgresql import open_postgresql  # asyncpg is an extra: who runs on SQLite does not need it
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise Unusable("instance.toml asks for PostgreSQL, but its driver is not installed: pip install 'fedmatch[postgres]'") from None
    return await open_postgresql(config.database.url)
