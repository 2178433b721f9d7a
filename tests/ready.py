"""What is made once for the whole run, since every test would wait for it? RSA pairs (80 ms each), and a SQLite file that holds every migration (40 ms).

Both are real. The pairs go round: `PAIRS` actors in a row have one of their own each.
"""

import asyncio
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors.keys import NewKeys
from fedmatch.database.migrate import migrate
from fedmatch.database.open import FILE_NAME
from fedmatch.database.sqlite import open_sqlite
from schemas.config import Config

PAIRS: Final = 96

_database: list[bytes] = []


def pairs(folder: Path, make: Callable[[], NewKeys]) -> Callable[[], NewKeys]:
    """Gives pair after pair. In `folder` lie those that any process of this run made already, with `make`."""
    folder.mkdir(exist_ok=True)
    numbers = itertools.cycle(range(PAIRS))
    held: dict[int, NewKeys] = {}

    def pair() -> NewKeys:
        number = next(numbers)
        if number not in held:
            held[number] = _kept(folder / f"{number}.json", make)
        return held[number]

    return pair


def _kept(path: Path, make: Callable[[], NewKeys]) -> NewKeys:
    members = NewKeys.__slots__
    if not path.exists():
        made = make()
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps({name: getattr(made, name).hex() for name in members}))
        beside.rename(path)
    return NewKeys(**{name: bytes.fromhex(value) for name, value in json.loads(path.read_text()).items()})


def prepare_database(folder: Path) -> None:
    """Makes the file that `database_at` copies. No event loop may run."""

    async def make() -> None:
        made = await open_sqlite(folder / "ready.db")
        await migrate(made)
        await made.close()

    asyncio.run(make())
    _database.append((folder / "ready.db").read_bytes())


def database_at(path: Path) -> Path:
    """Puts a migrated SQLite file there, unless there is one, or none was prepared."""
    if _database and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(_database[0])
    return path


def migrated(config: Config) -> Config:
    """The same configuration, its SQLite file as a start leaves it."""
    if config.database.url == "sqlite":
        database_at(config.folder / FILE_NAME)
    return config
