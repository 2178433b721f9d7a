"""Which small programs do the fault tests start, and kill? Each is one function; `tests.nursery` runs it in a process of its own."""

import asyncio
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from actors.instance import Instance
from fedmatch import app
from fedmatch.backup import restore, take
from fedmatch.database import sqlite_file
from fedmatch.database.engine import Engine
from fedmatch.database.migrate import migrate
from fedmatch.database.postgresql import open_postgresql
from fedmatch.database.sqlite import open_sqlite
from fedmatch.ids import SystemClock
from fedmatch.jobs import Jobs
from schemas.config_file import load
from schemas.storage import Transaction, Unavailable


async def _open(where: str) -> Engine:
    return await (open_postgresql(where) if where.startswith("postgresql:") else open_sqlite(Path(where)))


def migrated(where: str) -> None:
    """Starts, migrates and stops."""

    async def once() -> None:
        database = await _open(where)
        await migrate(database)
        await database.close()

    asyncio.run(once())


def back_up(config: str, path: str) -> None:
    """Takes a backup, as `fedmatch backup` does."""

    async def once() -> None:
        instance = await app.build(load(Path(config)))
        await take.take(instance, Path(path))
        await app.close(instance)

    asyncio.run(once())


def bring_back(config: str, path: str) -> None:
    """Restores a backup over what is there, as `fedmatch restore --replace` does."""

    async def once() -> None:
        there = load(Path(config))
        backup = restore.open_backup(Path(path), there, None, await restore.living(there))
        await restore.restore(backup, there, SystemClock().ms(), replace=True)

    asyncio.run(once())


async def leave_a_mark(tx: Transaction, name: str, size: int) -> None:
    """One small transaction as the rooms write them: a row, a row that hangs on it, and a counter."""
    await tx.execute("insert into host (id, name, first_seen) values (:id, :name, 0)", id=int(name), name=name)
    await tx.execute("insert into peer (host_id, level, reason, since) values (:id, 'known', :reason, 0)", id=int(name), reason="x" * size)
    await tx.execute("insert into generation (name, value) values ('marks', 1) on conflict (name) do update set value = generation.value + 1")


def marks(where: str, acknowledged: str, first: str, many: str, at_once: str, pragma: str = "") -> None:
    """Leaves marks `first`, `first + 1`, ..., `at_once` at a time, and appends the number of each to a file when it is acknowledged; "no N" when it is refused.

    `pragma` changes how the file is written, to show that a test would notice.
    """
    if pragma:
        sqlite_file.PRAGMAS += (pragma,)  # type: ignore[misc]  # a constant for everybody else

    async def leave() -> None:
        database = await _open(where)
        await migrate(database)
        file = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, b"open\n")
        left = iter(range(int(first), int(first) + int(many)))

        async def one_after_the_other() -> None:
            for number in left:
                try:
                    await database.write(leave_a_mark, str(number), number * 37 % 3000)
                except Unavailable:
                    os.write(file, b"no %d\n" % number)
                else:
                    os.write(file, b"%d\n" % number)

        await asyncio.gather(*[one_after_the_other() for _ in range(int(at_once))])
        await database.close()

    asyncio.run(leave())


def do_jobs(where: str, now_ms: str, done: str = "") -> None:
    """A worker that does jobs at a fixed time: the key "kills" kills it, any other is appended to a file, which is there from the start;
    stops when `<file>.stop` appears."""

    async def work() -> None:
        database = await _open(where)
        clock = SimpleNamespace(ms=lambda: int(now_ms))
        stop = asyncio.Event()
        if done:
            Path(done).touch()

        async def note(_instance: object, key: str, _payload: bytes) -> None:
            if key == "kills":
                os.kill(os.getpid(), signal.SIGKILL)
            with open(done, "a") as file:
                file.write(key + "\n")

        jobs = Jobs(cast(Instance, SimpleNamespace(database=database, clock=clock)), {"note": note})
        running = asyncio.create_task(jobs.run(stop))
        database.on_commit(jobs.wake)
        while not Path(f"{done}.stop").exists():
            await asyncio.sleep(0.05)
        stop.set()
        await running
        await database.close()

    asyncio.run(work())
