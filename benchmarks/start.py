"""How soon is it there, and how large does it grow? First and second start until the address is printed, and memory after 100,000 activities.

`python -m benchmarks.start`, about 6 minutes; `--activities 10000` is quicker.
"""

import subprocess
import sys
import time
from typing import Final

from benchmarks._lab import ROOT, Failed, Lab, Program, Report, Site, inside, lab, memory_mb, middle, options, running
from benchmarks._letters import Writer, introduce, make_writer
from benchmarks.inbox import LEFT, knocking

CHUNK: Final = 2000


def starts(site: Site, times: int) -> tuple[float, list[tuple[float, float]]]:
    """Seconds of the first start, and (seconds, CPU seconds) of some later ones."""
    found = []
    for _ in range(1 + times):
        with site.serve() as server:
            found.append((server.ready_s, server.cpu_s))
    return found[0][0], found[1:]


def bare_start(times: int) -> float:
    """Seconds until Python has loaded the libraries that serve: what no program of ours could undercut."""
    found = []
    for _ in range(times):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import quart, hypercorn.asyncio, aiohttp, httpx, cryptography, structlog"], check=True, cwd=ROOT)
        found.append(time.monotonic() - started)
    return middle(found)


def fed(here: Lab, seed: Site, writers: list[Writer], processes: int, activities: int) -> tuple[list[float], list[float]]:
    """Memory of each process before and after so many Creates; the most it ever had."""
    with running(knocking(here, seed, writers)) as load:
        site = here.copy(seed)
        with site.serve(*(["--no-worker"] if processes == 2 else [])) as server:
            if processes == 1:
                return _feed(site, load, [server], activities)
            with site.work() as worker:
                return _feed(site, load, [server, worker], activities)


def _feed(site: Site, load: Program, programs: list[Program], activities: int) -> tuple[list[float], list[float]]:
    before = [memory_mb(program.pid) for program in programs]
    for first in range(0, activities, CHUNK):
        count = min(CHUNK, activities - first)
        load.ask(sign=count, first=first)
        sent = load.ask(send=16, port=site.port)
        if sent["statuses"] != {"202": count}:
            raise Failed(f"{sent}; see {site.folder}")
    site.wait(LEFT, 0, "arrivals not processed")
    return before, [memory_mb(program.pid, "VmHWM") for program in programs]


def main(arguments: list[str] | None = None) -> None:
    question = "How soon is it there, and how large does it grow?"
    parser = options(question)
    parser.add_argument("--activities", type=int, default=100_000)
    parser.add_argument("--writers", type=int, default=100)
    parser.add_argument("--processes", nargs="+", type=int, choices=(1, 2), default=[1, 2])
    given = parser.parse_args(arguments)
    report = Report("start", question, {"activities": given.activities, "writers": given.writers, "repeat": given.repeat})
    with lab() as here:
        report.floors["libraries_s"] = bare_start(given.repeat)
        writers = [make_writer(number) for number in range(given.writers)]
        for database in given.databases:
            first, later = starts(here.site(database), given.repeat)
            seed = here.site(database)
            inside(seed.config, lambda instance: introduce(instance, writers))
            for processes in given.processes:
                # The long run once for each number of processes, on SQLite; on PostgreSQL the same code holds the same memory, so a tenth shows it.
                activities = given.activities if database == "sqlite" and processes == 1 else max(given.activities // 10, 1)
                before, most = fed(here, seed, writers, processes, activities)
                report.add(
                    database=database,
                    processes=processes,
                    first_start_s=first,
                    later_start_s=middle([seconds for seconds, _ in later]),
                    later_start_cpu_s=middle([cpu for _, cpu in later]),
                    activities=activities,
                    memory_before_mb=before[0],
                    memory_most_mb=most[0],
                    worker_most_mb=most[1] if processes == 2 else "",
                )
                report.aim(f"memory after {activities:,} activities, {database}, {processes} process{'es' if processes > 1 else ''}", 120, max(most), "MB")
            report.aim(f"a later start, {database}", 3, middle([seconds for seconds, _ in later]), "s")
    report.finish(given)


if __name__ == "__main__":
    main()
