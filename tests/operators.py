"""How does a test run an instance as its operator does? Through the command line alone, in processes of their own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.world import free_port


class Operator:
    """Somebody at a terminal, in the folder of one instance."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.environment = {key: value for key, value in os.environ.items() if key != "FEDMATCH_CONFIG"}
        folder.mkdir(parents=True)

    def program(self, *words: str) -> tuple[str, ...]:
        """What is run for `fedmatch` and these words."""
        return (sys.executable, "-m", "fedmatch", *words)

    async def type(self, *words: str, typed: str | None = None) -> tuple[int, str, str]:
        """What a command answers: exit code, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            *self.program(*words),
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(process.communicate(typed.encode() if typed is not None else b""), 90)
        assert process.returncode is not None
        return process.returncode, out.decode(), error.decode()

    async def get(self, *words: str, typed: str | None = None) -> Any:
        """The JSON that a command prints; fails if it fails."""
        code, out, error = await self.type(*words, "--json", typed=typed)
        assert code == 0, error
        return json.loads(out)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """`fedmatch serve`, ended by SIGTERM."""
        with (self.folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *self.program("serve", "--json"), cwd=self.folder, env=self.environment, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        try:
            assert process.stdout is not None
            await asyncio.wait_for(process.stdout.readline(), 30)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 15) == 0


async def eventually(question: Any, wanted: Any, limit_s: float = 30) -> None:
    """Asks until the answer is the wanted one; fails with the last one after `limit_s`."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while (found := await question()) != wanted:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.1)
