"""What does it cost to take an activity in? Signed Creates of 4.4 kB through the door, until each is verified, stored at full durability, and processed.

100 remote actors with real keys, all followed by somebody here; 1, 16 and 32 connections from a process whose CPU is not counted; both HTTP servers, both
engines, one process and two (`serve --no-worker` with `work`). `python -m benchmarks.inbox`, about 6 minutes.
"""

import base64
import hashlib
import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks._lab import Lab, Program, Report, Site, inside, lab, middle, options, running, us_each
from benchmarks._letters import Writer, at, create, introduce, make_writer, signed_string
from fedmatch.database.sqlite_file import PRAGMAS

LEFT: Final = "select count(*) from arrival where state <> 'done'"
TAKEN: Final = "select count(*) from post where local = 0"
SOFTWARE: Final = ("hypercorn", "uvicorn")
AIMS: Final = {"hypercorn": 800.0, "uvicorn": 400.0}


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds an activity: at the door and in the worker (one figure where one process does both), and in PostgreSQL's own processes."""

    door: float
    work: float
    postgresql: float
    per_s: float
    p99_ms: float

    @property
    def total(self) -> float:
        return self.door + self.work


def floor(writer: Writer, folder: Path, times: int) -> float:
    """The least the same takes: digest and RSA signature checked, JSON read once, one durable row in a commit shared by 16."""
    private, now = writer.private, datetime.now(UTC)
    public = private.public_key()
    body = create(writer.uri, 1, at(1, now))
    _, digest, text = signed_string("localhost:8000", "/inbox", body, now)
    signature = private.sign(text.encode(), padding.PKCS1v15(), SHA256())
    path = folder / "floor.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    for pragma in PRAGMAS:
        connection.execute(pragma)
    connection.execute("create table row (id integer primary key, uri text not null unique, body blob not null) strict")
    number = 0

    def sixteen() -> None:
        nonlocal number
        connection.execute("begin immediate")
        for _ in range(16):
            number += 1
            assert digest == "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
            public.verify(signature, text.encode(), padding.PKCS1v15(), SHA256())
            uri = f"{json.loads(body)['id']}{number}"
            connection.execute("insert into row (id, uri, body) values (?, ?, ?) on conflict (uri) do nothing", (number, uri, body))
        connection.execute("commit")

    try:
        return us_each(sixteen, max(times // 16, 3)) / 16
    finally:
        connection.close()


def bare(load: Program, software: str, count: int, folder: Path) -> float:
    """CPU microseconds a POST for the HTTP server alone, over 16 connections."""
    with running(Program("-m", "benchmarks._bare", software, log=folder / "bare.log")) as server:
        load.ask(sign=count, first=0)
        load.ask(send=16, port=server.ready["port"])
        before = server.cpu_s
        load.ask(send=16, port=server.ready["port"])
        return (server.cpu_s - before) / count * 1e6


def take_in(here: Lab, seed: Site, load: Program, software: str, processes: int, connections: int, count: int, warm: int) -> Cost:
    """One run on a fresh copy of the seed."""
    site = here.copy(seed, software=f'"{software}"')
    if processes == 1:
        with site.serve() as server:
            return _measure(here, site, load, [server], connections, count, warm)
    with site.serve("--no-worker") as server, site.work() as worker:
        return _measure(here, site, load, [server, worker], connections, count, warm)


def _measure(here: Lab, site: Site, load: Program, programs: list[Program], connections: int, count: int, warm: int) -> Cost:
    _send(load, site, connections, 0, warm)
    load.ask(sign=count, first=warm)
    before = [program.cpu_s for program in programs]
    database = here.postgresql_cpu_s()
    sent = load.ask(send=connections, port=site.port)
    _check(sent, count)
    site.wait(LEFT, 0, "arrivals not processed")
    after = [program.cpu_s for program in programs]
    database = here.postgresql_cpu_s() - database
    site.wait(TAKEN, warm + count, "posts not stored", limit_s=1)
    each = [(end - start) / count * 1e6 for start, end in zip(before, after, strict=True)]
    return Cost(each[0], sum(each[1:]), database / count * 1e6, count / sent["seconds"], sent["p99_ms"])


def _send(load: Program, site: Site, connections: int, first: int, count: int) -> None:
    load.ask(sign=count, first=first)
    _check(load.ask(send=connections, port=site.port), count)
    site.wait(LEFT, 0, "arrivals not processed")


def _check(sent: dict[str, object], count: int) -> None:
    assert sent["statuses"] == {"202": count}, sent


def seed_site(here: Lab, database: str, writers: list[Writer]) -> Site:
    """An instance whose one person follows all the writers."""
    seed = here.site(database)
    inside(seed.config, lambda instance: introduce(instance, writers))
    return seed


def knocking(here: Lab, seed: Site, writers: list[Writer]) -> Program:
    """The process that signs and posts."""
    told = {"writers": [[writer.uri, writer.key] for writer in writers], "host": seed.config.authority, "path": "/inbox"}
    return Program("-m", "benchmarks._load", told=told, log=here.folder / "load.log")


def main(arguments: list[str] | None = None) -> None:
    question = "What does it cost to take a signed Create in?"
    parser = options(question)
    parser.add_argument("--count", type=int, default=3000, help="Creates a run")
    parser.add_argument("--writers", type=int, default=100)
    parser.add_argument("--software", nargs="+", choices=SOFTWARE, default=list(SOFTWARE))
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 16, 32])
    parser.add_argument("--processes", nargs="+", type=int, choices=(1, 2), default=[1, 2])
    given = parser.parse_args(arguments)
    count, warm = given.count, max(given.count // 5, 1)
    with lab() as here:
        writers = [make_writer(number) for number in range(given.writers)]
        settings = {"count": count, "writers": given.writers, "repeat": given.repeat, "bytes": len(create(writers[0].uri, 1, datetime.now(UTC)))}
        report = Report("inbox", question, settings)
        floors = [floor(writers[0], here.folder, count)]
        for database in given.databases:
            seed = seed_site(here, database, writers)
            with running(knocking(here, seed, writers)) as load:
                for software in given.software:
                    if software not in report.floors:
                        report.floors[software] = bare(load, software, count, here.folder)
                    for processes in given.processes:
                        for connections in given.connections if processes == 1 else [given.connections[-1]]:
                            _run(report, here, seed, load, writers[0], floors, software, processes, connections, count, warm, given.repeat)
        report.floors["floor"] = middle(floors)
        report.finish(given)


def _run(
    report: Report,
    here: Lab,
    seed: Site,
    load: Program,
    writer: Writer,
    floors: list[float],
    software: str,
    processes: int,
    connections: int,
    count: int,
    warm: int,
    repeat: int,
) -> None:
    aimed = processes == 1 and connections == 16 and seed.database == "sqlite"
    runs: list[Cost] = []
    for _ in range(repeat if aimed else 1):
        floors.append(floor(writer, here.folder, count))
        runs.append(take_in(here, seed, load, software, processes, connections, count, warm))
    cost = sorted(runs, key=lambda run: run.total)[len(runs) // 2]
    report.add(
        server=software,
        database=seed.database,
        processes=processes,
        connections=connections,
        door_us=cost.door if processes == 2 else "",
        work_us=cost.work if processes == 2 else "",
        total_us=cost.total,
        floors=cost.total / floors[-1],
        postgresql_us=cost.postgresql,
        per_s=cost.per_s,
        p99_ms=cost.p99_ms,
    )
    if aimed:
        report.aim(f"a Create verified, stored and processed, {software}, SQLite, 16 connections", AIMS[software], cost.total, "us CPU")


if __name__ == "__main__":
    main()
