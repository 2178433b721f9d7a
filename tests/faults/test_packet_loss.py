"""F17 below TCP: what becomes of posts when the line between two servers loses three packets of ten?

Two real processes in network namespaces of their own, with a real TCP between them; see bad_line.py for the line.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.operators import Operator, eventually

HOSTS = "127.0.0.1 localhost\n10.77.0.1 here.test\n10.77.0.2 there.test\n"
LINE = (sys.executable, "-m", "tests.faults.bad_line")
ROOT = Path(__file__).resolve().parents[2]


class Apart(Operator):
    """An instance on a machine of its own, as far as the network goes."""

    def __init__(self, folder: Path, name: str, address: str) -> None:
        super().__init__(folder)
        self.host, self.address = f"{name}.test:8000", address

    async def open(self) -> None:
        """Makes the namespace, in which both names are known, and the instance."""
        names = self.folder / "hosts"
        names.write_text(HOSTS)
        self.holder = await asyncio.create_subprocess_exec(
            *("unshare", "-n", "-m", "sh", "-c", f"mount --bind '{names}' /etc/hosts && echo ready && exec sleep 600"), stdout=asyncio.subprocess.PIPE
        )
        assert self.holder.stdout is not None
        assert await asyncio.wait_for(self.holder.stdout.readline(), 10) == b"ready\n"
        assert (await self.type("init", "--host", self.host))[0] == 0
        config = self.folder / "instance.toml"
        text = re.sub(r"^allow_networks = .*$", 'allow_networks = ["10.77.0.0/24", "127.0.0.0/8"]', config.read_text(), flags=re.MULTILINE)
        config.write_text(re.sub(r'^bind = ".*"$', f'bind = "{self.address}:8000"', text, flags=re.MULTILINE))

    async def close(self) -> None:
        """Ends the namespace with its process."""
        if self.holder.returncode is None:
            self.holder.kill()
        await self.holder.communicate()

    def program(self, *words: str) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self.holder.pid), "-n", "-m", "--wd=" + str(self.folder), *super().program(*words))


class Line:
    """The line between the two."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def loses(self, share: float) -> None:
        """From now on so many frames of one."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{share}\n".encode())
        await self._process.stdin.drain()

    async def ended(self) -> tuple[int, int]:
        """Cuts it; how many frames it carried, and how many it lost."""
        out, _ = await asyncio.wait_for(self._process.communicate(b""), 10)
        carried, lost = out.split()
        return int(carried), int(lost)


@asynccontextmanager
async def apart(tmp_path: Path) -> AsyncIterator[tuple[Apart, Apart, Line]]:
    """Two instances with a line between them; skips where namespaces cannot be made."""
    if os.geteuid() != 0 or not all(shutil.which(word) for word in ("unshare", "nsenter", "ip", "mount")):
        pytest.skip("NOT TESTED: lost packets need root, unshare, nsenter and ip (iproute2)")
    trial = ("unshare", "-n", "-m", "ip", "link", "add", "end0", "type", "veth", "peer", "name", "end1")
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: this machine lets nobody make network namespaces with a line between them")
    here, there = Apart(tmp_path / "here", "here", "10.77.0.1"), Apart(tmp_path / "there", "there", "10.77.0.2")
    await asyncio.gather(here.open(), there.open())
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-n", *LINE, "17", str(here.holder.pid), str(there.holder.pid)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"
        yield here, there, Line(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
        await asyncio.gather(here.close(), there.close())


async def test_f17_a_line_that_loses_three_packets_of_ten_loses_no_post_and_doubles_none(tmp_path: Path) -> None:
    async with apart(tmp_path) as (here, there, line), here.serve(), there.serve():
        # Given somebody who is followed from the other side of a line that is well
        await asyncio.gather(here.get("user", "create", "amal"), there.get("user", "create", "reader"))

        async def follow() -> Any:
            return (await there.get("follow", f"amal@{here.host}", "--as", "reader"))["state"]

        await eventually(follow, "accepted")
        # When the line grows bad, and she posts
        await line.loses(0.3)
        texts = [f"number {number}" for number in range(5)]
        for text in texts:
            await here.get("post", text, "--as", "amal")

        # Then all of it arrives, and nothing twice
        async def read() -> Any:
            await asyncio.sleep(1)
            return Counter(entry["text"] for entry in await there.get("timeline", "home", "--as", "reader"))

        await eventually(read, Counter(texts), 240)

        async def states() -> Any:
            return {one["state"] for one in await here.get("deliveries")}

        await eventually(states, {"sent"}, 240)
        assert await read() == Counter(texts)
        carried, lost = await line.ended()
        assert lost > 0.05 * (carried + lost)
