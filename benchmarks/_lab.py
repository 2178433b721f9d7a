"""What do all benchmarks stand on? Programs and what they burn, databases that are made and dropped, medians, one table and one JSON file a run.

CPU is what /proc says a process and its threads burnt: on a shared machine wall time tells what the neighbours do. Every run also measures a floor, the bare
minimum of the same work, so that figures of two machines or two hours can be compared as ratios.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import IO, Any, Final

from rich.console import Console
from rich.table import Table

from actors.instance import Instance
from fedmatch import app
from schemas import config as configs
from tests import postgres
from tests.world import write_config

ROOT: Final = Path(__file__).resolve().parent.parent
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
PATIENCE_S: Final = 120.0
DATABASES: Final = ("sqlite", "postgresql")

Row = Mapping[str, str | int | float]


class Failed(Exception):
    """A run did not do what it was to measure; the text says what is missing."""


# --- what a process burns


def cpu_s(pid: int) -> float:
    """The CPU seconds a process, its threads and its children that ended have burnt, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(int(fields[place]) for place in (11, 12, 13, 14)) * TICK_S


def tree_cpu_s(pid: int) -> float:
    """The same with the children that live: PostgreSQL has one for each connection. One that ends meanwhile counts with its parent."""
    burnt = cpu_s(pid)
    for child in _children(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            burnt += tree_cpu_s(child)
    return burnt


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(") ")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """The memory of a process: now (`VmRSS`), or the most it ever had (`VmHWM`)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise Failed(f"/proc says no {what}")


class Program:
    """One process of ours: Python with `arguments`. It says one line of JSON when it is ready; its log goes to a file.

    `told` is a line of JSON it reads first.
    """

    def __init__(self, *arguments: str, log: Path, told: Mapping[str, Any] | None = None) -> None:
        self.log = log
        self._errors: IO[bytes] = log.open("ab")
        self.started = time.monotonic()
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=self._errors, env=environment)
        if told is not None:
            self.write(**told)
        self.ready = self.read()
        self.ready_s = time.monotonic() - self.started

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        return cpu_s(self.pid)

    def read(self) -> dict[str, Any]:
        """The next line of JSON it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"{self._process.args!r} ended: {self.log.read_text(errors='replace')[-2000:]}")
        return json.loads(line)  # type: ignore[no-any-return]  # an object, by agreement

    def write(self, **command: Any) -> None:
        """Gives it one line of JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Gives it a line and waits for its answer."""
        self.write(**command)
        return self.read()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 15 s."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """The program, stopped at the end."""
    try:
        yield program
    finally:
        program.stop()


# --- an instance on either engine


@dataclass(frozen=True, slots=True)
class Site:
    """The files of one instance. `database` is "sqlite" or "postgresql"."""

    config: configs.Config
    database: str

    @property
    def toml(self) -> Path:
        return self.config.path

    @property
    def folder(self) -> Path:
        return self.config.path.parent

    @property
    def port(self) -> int:
        return int(self.config.base_url.rpartition(":")[2])

    def serve(self, *more: str) -> AbstractContextManager[Program]:
        """`fedmatch serve` of this instance."""
        at = f"127.0.0.1:{self.port}"
        return running(Program("-m", "fedmatch", "--config", str(self.toml), "--json", "serve", "--bind", at, *more, log=self.folder / "serve.log"))

    def work(self) -> AbstractContextManager[Program]:
        """`fedmatch work` of this instance."""
        return running(Program("-m", "fedmatch", "--config", str(self.toml), "--json", "work", log=self.folder / "work.log"))

    def count(self, sql: str) -> int:
        """The one number a query gives, asked from outside."""
        if self.database == "sqlite":
            connection = sqlite3.connect(f"file:{self.config.folder / 'fedmatch.db'}?mode=ro", uri=True, timeout=5)
            try:
                return int(connection.execute(sql).fetchone()[0])
            finally:
                connection.close()
        return int(asyncio.run(_ask_postgresql(self.config.database.url, sql)))

    def wait(self, sql: str, number: int, what: str, limit_s: float = PATIENCE_S) -> None:
        """Returns when the query gives `number`; raises `Failed` after `limit_s`."""
        deadline = time.monotonic() + limit_s
        while (found := self.count(sql)) != number:
            if time.monotonic() > deadline:
                raise Failed(f"{what}: {found} instead of {number} after {limit_s:g} s; see {self.folder}")
            time.sleep(0.02)


async def _ask_postgresql(url: str, sql: str) -> Any:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


class Lab:
    """A folder and, when it is first wanted, a PostgreSQL server of its own; both are gone at the end, but for what lies in `kept`."""

    def __init__(self, stack: ExitStack, kept: Path | None = None) -> None:
        self._stack = stack
        self._kept = kept
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedmatch-bench-", ignore_cleanup_errors=True)))
        self._template: str | None = None
        self._numbers = 0

    def site(self, database: str = "sqlite", **changes: str) -> Site:
        """A new instance with an empty, migrated database. `changes` replace values of its instance.toml."""
        self._numbers += 1
        url = "sqlite" if database == "sqlite" else asyncio.run(postgres.clean_database(self._postgres()))
        many = {"inbox_per_host_per_minute": "10000000"}
        return Site(write_config(self.folder / f"site{self._numbers}", database=url, **(many | changes)), database)

    def prepared(self, name: str, database: str, make: "Callable[[Site], dict[str, Any]]") -> tuple[Site, dict[str, Any]]:
        """An instance and what `make` says of it once it is filled; from the kept folder if it was made there before (by the same version of the program)."""
        if self._kept is None:
            site = self.site(database)
            return site, make(site)
        folder = self._kept / f"{name}-{database}"
        said = folder / "prepared.json"
        if said.exists():
            told: dict[str, Any] = json.loads(said.read_text())
            url = "sqlite" if database == "sqlite" else f"{self._postgres().rpartition('/')[0]}/{told['database']}"
            return Site(write_config(folder, database=url, inbox_per_host_per_minute="10000000"), database), told
        shutil.rmtree(folder, ignore_errors=True)
        url = "sqlite" if database == "sqlite" else asyncio.run(postgres.clean_database(self._postgres()))
        site = Site(write_config(folder, database=url, inbox_per_host_per_minute="10000000"), database)
        told = make(site) | {"database": url.rpartition("/")[2]}
        said.write_text(json.dumps(told))
        return site, told

    def copy(self, seed: Site, **changes: str) -> Site:
        """A copy of a whole instance that is not running, on the same port; `changes` as in `site`."""
        self._numbers += 1
        folder = self.folder / f"site{self._numbers}"
        url = "sqlite" if seed.database == "sqlite" else asyncio.run(_copy_postgresql(seed.config.database.url, self._numbers))
        shutil.copytree(seed.config.folder, folder / "data")
        return Site(write_config(folder, database=url, port=seed.port, **({"inbox_per_host_per_minute": "10000000"} | changes)), seed.database)

    def postgresql_cpu_s(self) -> float:
        """What the PostgreSQL server burnt so far, all of its processes together; 0 if there is none."""
        if self._template is None:
            return 0.0
        return sum(tree_cpu_s(child) for child in _children(os.getpid()) if (Path(f"/proc/{child}/comm").read_text().strip()) == "postgres")

    def _postgres(self) -> str:
        if self._template is None:
            self._template = self._stack.enter_context(postgres.server(durable=True, kept=None if self._kept is None else self._kept / "server"))
        return self._template


async def _copy_postgresql(url: str, number: int) -> str:
    import asyncpg

    address, _, name = url.rpartition("/")
    connection = await asyncpg.connect(f"{address}/postgres")
    try:
        await connection.execute(f"drop database if exists copy_{number} with (force)")  # of a run before, where the server is kept
        await connection.execute(f"create database copy_{number} template {name} encoding 'UTF8' locale 'C' strategy file_copy")
    finally:
        await connection.close()
    return f"{address}/copy_{number}"


@contextmanager
def lab(kept: Path | None = None) -> Iterator[Lab]:
    """Where one benchmark works; what it prepares stays in the folder `kept`."""
    with ExitStack() as stack:
        yield Lab(stack, kept.absolute() if kept is not None else None)


def inside(config: configs.Config, work: Callable[[Instance], Awaitable[Any]]) -> Any:
    """What `work` gives on the built instance, which serves nothing and is closed afterwards."""

    async def run() -> Any:
        instance = await app.build(config)
        try:
            return await work(instance)
        finally:
            await app.close(instance)

    return asyncio.run(run())


# --- what came out


@dataclass
class Report:
    """Everything one benchmark found. Columns are those of its first row; `aims` are (what, limit, measured, unit)."""

    name: str
    question: str
    settings: Mapping[str, Any]
    floors: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    aims: list[tuple[str, float, float, str]] = field(default_factory=list)

    def add(self, **row: str | int | float) -> None:
        """One line; also said at once, for a benchmark takes a while."""
        self.rows.append(row)
        print("  " + "  ".join(f"{name} {_figure(value)}" for name, value in row.items()), flush=True)

    def aim(self, what: str, limit: float, measured: float, unit: str) -> None:
        """One aim, and what was measured for it (the lower the better)."""
        self.aims.append((what, limit, measured, unit))

    def finish(self, given: argparse.Namespace) -> Path:
        """Prints the tables and writes `<results>/<label>-<name>.json`."""
        results: Path = given.results
        console = Console(width=170)
        console.print(f"[bold]{self.question}[/bold]  ({', '.join(f'{name} {_figure(value)}' for name, value in self.floors.items())})")
        console.print(_table(self.rows))
        if self.aims:
            console.print(
                _table([{"aim": what, "limit": f"{_figure(limit)} {unit}", "measured": got, "met": _met(limit, got)} for what, limit, got, unit in self.aims])
            )
        results.mkdir(parents=True, exist_ok=True)
        path = results / f"{given.label}-{self.name}.json"
        aims = [{"aim": what, "limit": limit, "measured": got, "unit": unit, "met": got <= limit} for what, limit, got, unit in self.aims]
        written = {"benchmark": self.name, "at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **asdict(self), "aims": aims}
        path.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
        return path


def _met(limit: float, got: float) -> str:
    return "yes" if got <= limit else "NO"


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table()
    for name in rows[0] if rows else ():
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(_figure(value) for value in row.values()))
    return table


def machine() -> dict[str, str | int | float]:
    """What these figures were measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cryptography": version("cryptography"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(median(values))


def share(values: Sequence[float], part: float) -> float:
    """The value that `part` of all lie beneath."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def us_each(work: Callable[[], object], times: int) -> float:
    """CPU microseconds of this process for one call of `work`, as the least of three rounds: what disturbs only ever adds."""
    rounds = []
    for _ in range(3):
        started = time.process_time()
        for _ in range(max(times // 3, 1)):
            work()
        rounds.append((time.process_time() - started) / max(times // 3, 1) * 1e6)
    return min(rounds)


def options(question: str) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="the folder of the JSON file")
    parser.add_argument("--label", default="local", help="what the file's name begins with")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--repeat", type=int, default=3, help="runs of the cases that aims speak of; the median counts")
    return parser
