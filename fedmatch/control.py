"""How does a command speak to the processes that run beside it? Through one unix socket a process, for this machine's operator only.

A process listens at `<data folder>/run/<pid>.sock` (mode 0600 in a folder 0700). One line of JSON asks, one line answers.
"""

import asyncio
import json
import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

log = structlog.get_logger()

Question = dict[str, str]
Answer = dict[str, str | bool]
Command = Callable[[Question], Awaitable[Answer]]

LONGEST = 64 * 1024
PATIENCE_S = 60.0
"""How long an answer may take: a passphrase is hashed slowly on purpose."""


class Unreachable(OSError):
    """No process listens there any more."""


def folder(data: Path) -> Path:
    """Where the sockets of the instance with this data folder lie."""
    return data / "run"


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket address (107 bytes); deep data folders are reached through their descriptor."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


class Control:
    """The listening end in one process; `close()` takes the socket away."""

    def __init__(self, path: Path, server: asyncio.Server) -> None:
        self._path, self._server = path, server

    async def close(self) -> None:
        self._server.close()
        self._path.unlink(missing_ok=True)


async def listen(data: Path, commands: Mapping[str, Command]) -> Control:
    """Listens for `commands` (name to what answers it) until closed."""
    home = folder(data)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    path = home / f"{os.getpid()}.sock"
    path.unlink(missing_ok=True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                writer.write(json.dumps(await _answer(await reader.readline(), commands)).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            log.warning("a command on the control socket was not answered")
        finally:
            writer.close()

    mask = os.umask(0o177)
    try:
        with _short(path) as short:
            server = await asyncio.start_unix_server(serve, short, limit=LONGEST)
    finally:
        os.umask(mask)
    return Control(path, server)


async def _answer(line: bytes, commands: Mapping[str, Command]) -> Answer:
    try:
        question = json.loads(line)
    except ValueError:
        question = None
    if not isinstance(question, dict) or not all(isinstance(value, str) for value in question.values()):
        return {"ok": False, "error": "that is not a question"}
    command = commands.get(question.get("command", ""))
    if command is None:
        return {"ok": False, "error": "this process knows no such command"}
    return await command(question)


def processes(data: Path) -> list[Path]:
    """The sockets of this instance's processes on this machine, dead ones perhaps among them."""
    home = folder(data)
    return sorted(path for path in home.glob("*.sock") if stat.S_ISSOCK(path.lstat().st_mode)) if home.is_dir() else []


async def ask(path: Path, question: Question) -> Answer:
    """The answer of the process behind `path`; raises `Unreachable`, and sweeps the socket away, if that process is gone."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            with _short(path) as short:
                reader, writer = await asyncio.open_unix_connection(short, limit=LONGEST)
            try:
                writer.write(json.dumps(question).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except ConnectionRefusedError as error:
        _sweep(path)
        raise Unreachable(str(path)) from error
    except (OSError, TimeoutError) as error:
        raise Unreachable(str(path)) from error
    if not line:
        raise Unreachable(str(path))
    answer: Answer = json.loads(line)
    return answer


def _sweep(path: Path) -> None:
    path.unlink(missing_ok=True)


async def ask_all(data: Path, question: Question) -> list[Answer]:
    """The answers of every process of the instance that still lives."""
    answers = await asyncio.gather(*(ask(path, question) for path in processes(data)), return_exceptions=True)
    unexpected = [answer for answer in answers if isinstance(answer, BaseException) and not isinstance(answer, Unreachable)]
    if unexpected:
        raise unexpected[0]
    return [answer for answer in answers if not isinstance(answer, BaseException)]
