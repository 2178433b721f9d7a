"""What does one body cost? Writes and reads through `Database`, beside the ways not taken, all in one run: python -m benchmarks.write_shape [seconds]."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import aiosqlite
import structlog

from fedmatch.database.engine import Engine
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import open_sqlite
from fedmatch.database.sqlite_file import PRAGMAS
from schemas.storage import Transaction

NUMBERS = count(1)
Once = Callable[[], Awaitable[object]]

INSERT = "insert into host (id, name, first_seen) values (:id, :name, 0)"
HANG = "insert into peer (host_id, level, reason, since) values (:id, 'known', :reason, 0)"
COUNT = "insert into generation (name, value) values ('bench', 1) on conflict (name) do update set value = generation.value + 1"
LOOK = "select host.id from host where host.name = :name"
CHANGE = "update host set last_heard = :id where host.id = :id"


async def five_statements(tx: Transaction, number: int) -> None:
    name = str(number)
    await tx.one(LOOK, name=name)
    await tx.execute(INSERT, id=number, name=name)
    await tx.execute(HANG, id=number, reason="x" * 300)
    await tx.execute(COUNT)
    await tx.execute(CHANGE, id=number)


async def three_reads(tx: Transaction) -> None:
    for name in ("1", "2", "3"):
        await tx.one(LOOK, name=name)


async def load(name: str, once: Once, at_once: int, seconds: float) -> None:
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def one_after_the_other() -> None:
        while (started := time.perf_counter()) < end:
            await once()
            took.append(time.perf_counter() - started)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[one_after_the_other() for _ in range(at_once)])
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    took.sort()
    p50, p99 = took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000
    print(f"{name:<58} {at_once:>4} at once {len(took) / wall:>9,.0f}/s {cpu / len(took) * 1e6:>7,.0f} us CPU  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms")


async def through(database: Engine, seconds: float) -> None:
    for at_once in (1, 16, 64, 256):
        await load(f"{database.engine}: write, 5 statements", lambda: database.write(five_statements, next(NUMBERS)), at_once, seconds)
    for at_once in (1, 16, 64):
        await load(f"{database.engine}: read, 3 statements", lambda: database.read(three_reads), at_once, seconds)


async def aiosqlite_call_by_call(path: Path, seconds: float) -> None:
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        for pragma in PRAGMAS:
            await connection.execute(pragma)
        lock = asyncio.Lock()

        async def write() -> None:
            number = next(NUMBERS)
            values = {"id": number, "name": str(number), "reason": "x" * 300}
            async with lock:
                await connection.execute("begin immediate")
                for sql in (LOOK, INSERT, HANG, COUNT, CHANGE):
                    await connection.execute_fetchall(sql, values)
                await connection.execute("commit")

        async def read() -> None:
            for name in ("1", "2", "3"):
                await connection.execute_fetchall(LOOK, {"name": name})

        await load("aiosqlite: write, each statement a call", write, 64, seconds)
        await load("aiosqlite: read, each statement a call", read, 16, seconds)

        def three() -> None:
            for name in ("1", "2", "3"):
                connection._conn.execute(LOOK, {"name": name}).fetchone()

        await load("aiosqlite: read, one hop through its private _execute", lambda: connection._execute(three), 16, seconds)


async def main() -> None:
    structlog.configure(processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory(prefix="fedmatch-bench-", dir=os.environ.get("FEDMATCH_BENCH_DIR")) as folder:
        path = Path(folder) / "fedmatch.db"
        database = await open_sqlite(path)
        await migrate(database)
        await through(database, seconds)
        await database.close()
        await aiosqlite_call_by_call(path, seconds)
    if url := os.environ.get("FEDMATCH_BENCH_POSTGRESQL"):
        from fedmatch.database.postgresql import open_postgresql

        database = await open_postgresql(url)
        await migrate(database)
        await through(database, seconds)
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
