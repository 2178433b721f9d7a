"""How are processes started and killed in the fault tests? A `Zygote` starts one at a time, from imports that are already done."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def labelled_points() -> list[str]:
    """Every point in the code that can be asked to die there, but those of migrations, backups and restores, which have tests of their own."""
    found = set()
    for room in ("schemas", "actors", "outbox", "inbox", "fedmatch"):
        for path in (ROOT / room).rglob("*.py"):
            found |= set(re.findall(r'crashpoint\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    return sorted(point for point in found if point.partition(":")[0] not in ("backup", "restore"))


class Zygote:
    """Starts children for one test; `posted` and `deleted` hold what their authors were told is so."""

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.deleted: list[str] = []
        self.status: int | None = None
        self.pid = 0
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()

    async def __aenter__(self) -> "Zygote":
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.child"), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.pid and not self._ended.is_set():
            self.kill()
            await self.ended()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def start(
        self,
        config: Path,
        *,
        ahead: float = 0,
        crashpoint: str = "",
        author: str = "",
        does: Sequence[str] = ("post",),
        web: bool = True,
        work: bool = True,
    ) -> None:
        """Starts a child, in which `author` does these things in turn, and returns when it serves, or died on the way."""
        self._ready.clear()
        self._ended.clear()
        self.pid, self.status = 0, None
        order = {"config": str(config), "ahead": ahead, "crashpoint": crashpoint, "author": author, "does": list(does), "web": web, "work": work}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        await asyncio.wait_for(self._ready.wait(), 60)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            word, _, rest = line.decode().strip().partition(" ")
            match word:
                case "pid":
                    self.pid = int(rest)
                case "ready":
                    self._ready.set()
                case "posted":
                    self.posted.append(rest)
                case "deleted":
                    self.deleted.append(rest)
                case "ended":
                    self.status = int(rest)
                    self._ready.set()
                    self._ended.set()

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, how)

    async def ended(self, limit_s: float = 30) -> int:
        """How the child ended: its exit code, or the negative number of the signal."""
        await asyncio.wait_for(self._ended.wait(), limit_s)
        assert self.status is not None
        return self.status
