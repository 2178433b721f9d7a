"""How does the demonstration run an instance? Its server is a process; its people type commands; its folder is searched as a thief would."""

import asyncio
import base64
import contextlib
import io
import json
import re
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

PATIENCE_S: Final = 60.0
"""How long something may take to arrive before it counts as lost."""
AT_ONCE: Final = asyncio.Lock()
"""Commands are typed one at a time: each of them owns standard output while it runs."""
NOTHING: Final = re.compile(rb"\0{32,}")
"""What no text has in it, and a file is quicker searched without."""


class Lost(Exception):
    """Something did not arrive, a command failed, or somebody knows what they should not."""


@dataclass(slots=True)
class House:
    """One instance of the demonstration: its folder, its address, the people who live there, and its server."""

    label: str
    folder: Path
    port: int
    people: list[str] = field(default_factory=list)
    server: asyncio.subprocess.Process | None = None

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def config(self) -> str:
        return str(self.folder / "instance.toml")

    async def say(self, *words: str) -> Any:
        """What a command of `fedmatch --json` answers; raises `Lost` with what it said if it failed.

        The command line is run inside this process, which spares the start of one Python a command; it opens the instance beside its server as it always does.
        """
        async with AT_ONCE:
            return await asyncio.to_thread(self._type, words)

    def _type(self, words: tuple[str, ...]) -> Any:
        from fedmatch.cli.main import main

        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            try:
                main.main(["--config", self.config, "--json", *words], prog_name="fedmatch", standalone_mode=False)
            except click.ClickException as error:
                raise Lost(f"{self.label}: fedmatch {' '.join(words[:2])}: {error.format_message()}") from None
        return json.loads(out.getvalue()) if out.getvalue().strip() else None

    async def settle_in(self) -> None:
        """Makes the instance and starts its server."""
        self.folder.mkdir()
        await self.say("init", "--host", self.host)
        await self.start()

    async def start(self, hours_ahead: int = 0) -> None:
        """Starts the server and waits until it answers: `fedmatch serve`, or the same with a clock that is ahead."""
        words = ["-m", "fedmatch.demo.ahead", self.config, str(hours_ahead)] if hours_ahead else ["-m", "fedmatch", "--config", self.config, "serve"]
        with (self.folder / "log.txt").open("ab") as log:
            self.server = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.server.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
        raise Lost(f"{self.label} does not start: {(self.folder / 'log.txt').read_text(encoding='utf-8', errors='replace')[-2000:]}")

    async def stop(self) -> None:
        """Ends the server as an operator would."""
        if self.server is None or self.server.returncode is not None:
            return
        self.server.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.server.wait(), 15)
        except TimeoutError:
            self.server.kill()
            await self.server.wait()
            raise Lost(f"{self.label} did not stop within 15 s of SIGTERM") from None

    async def move_in(self, name: str, *more: str) -> str:
        """Makes somebody; gives their handle."""
        made = await self.say("user", "create", name, *more)
        self.people.append(name)
        return str(made["handle"])

    async def readable(self) -> str:
        """Everything that the server, with its vault open, shows whoever runs it and each of its people: listings, answers, conversations, posts."""
        found = [await self.say("listing", "list", "--network"), await self.say("user", "list")]
        for name in self.people:
            found.append(await self.say("listing", "list", "--mine", "--as", name))
            found.append(await self.say("response", "list", "--as", name))
            found.append(await self.say("timeline", "home", "--as", name))
        return json.dumps(found, ensure_ascii=False)

    def on_disk(self, texts: Iterable[str]) -> set[str]:
        """Which of the texts a thief who takes the folder and runs no fedmatch finds in any file: database, log, settings, in any spelling."""
        wanted = {text: spellings(text) for text in texts}
        found: set[str] = set()
        for path in self.folder.rglob("*"):
            if path.is_file():
                data = NOTHING.sub(b"\0", path.read_bytes())  # nine tenths of a young database, and all of the disk reserve
                found |= {text for text, ways in wanted.items() if any(one in data for one in ways)}
        return found


def spellings(words: str) -> list[bytes]:
    """The ways in which words may lie in a file: UTF-8, UTF-16, hex, base64 at each of its three places."""
    plain = words.encode()
    found = [plain, words.encode("utf-16-le"), words.encode("utf-16-be"), plain.hex().encode(), plain.hex().upper().encode()]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + plain).rstrip(b"=")
        inner = text[(0, 2, 3)[before] : len(text) - 1]
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    return found


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until something holds; raises `Lost` after `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not await holds():
        if time.monotonic() > deadline:
            raise Lost(what)
        await asyncio.sleep(0.3)


async def befriend(one: House, other: House, count: int) -> tuple[str, ...]:
    """Both admins add each other, compare the six words and trust; each counts the other's vouches up to a level. Gives the words."""
    await one.say("peers", "add", other.host)
    await other.say("peers", "add", one.host)
    here = (await one.say("peers", "words", other.host))["words"]
    there = (await other.say("peers", "words", one.host))["words"]
    if here != there:
        raise Lost(f"{one.label} and {other.label} do not read the same words: {here}, {there}")
    await one.say("peers", "trust", other.host, "--words", " ".join(there), "--vouches-count-up-to", str(count))
    await other.say("peers", "trust", one.host, "--words", " ".join(here), "--vouches-count-up-to", str(count))

    async def ready() -> bool:
        rows = [*await one.say("peers", "list"), *await other.say("peers", "list")]
        return all(row.get("trust", {}).get("ready") for row in rows if row["host"] in (one.host, other.host))

    await until(f"{one.label} and {other.label} do not come to trust each other", ready)
    return tuple(here)
