"""A real browser for tests: Chromium without a window, asked over its DevTools protocol. Where there is none, tests skip, loudly."""

import asyncio
import base64
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking",
)  # fmt: skip


class Tab:
    """One page of the browser; `requests` are the addresses it asked for, `errors` what its console complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            match said.get("method"):
                case "Network.requestWillBeSent":
                    self.requests.append(said["params"]["request"]["url"])
                case "Log.entryAdded":
                    self.errors.append(said["params"]["entry"]["text"])
                case "Runtime.exceptionThrown":
                    self.errors.append(str(said["params"]))
                case "Page.loadEventFired":
                    self._loaded.set()
                case None:
                    self._waiting.pop(said["id"]).set_result(said)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[number]
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(waiting, 20)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    async def open(self, url: str, *, width: int = 1280, dark: bool = False, languages: str | None = None) -> None:
        """Goes to an address in a window of that width, and forgets what it noted of the one before."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        if languages is not None:
            await self.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": languages})
        self._loaded.clear()
        self.requests, self.errors = [], []
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 20)

    async def leave(self, script: str) -> None:
        """Does what leads to another page, and waits for that."""
        self._loaded.clear()
        await self.value(script)
        await asyncio.wait_for(self._loaded.wait(), 20)

    async def value(self, script: str) -> Any:
        """What an expression is worth on the page; our eyes, since pages run no script of their own."""
        return (await self.call("Runtime.evaluate", expression=script, returnByValue=True))["result"].get("value")

    async def picture(self, path: Path) -> None:
        """The whole page as a picture, in a window as high as the page.

        `captureBeyondViewport` would not need that, but moves aside whatever runs from right to left and is shorter than the window: even one word without
        any style, and only in the picture.
        """
        width, height = await self.value("[innerWidth, Math.max(innerHeight, document.documentElement.scrollHeight)]")
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        shot = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    async def close(self) -> None:
        """Ends the conversation."""
        await self._socket.close()
        await self._reading


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A tab of a browser of its own, with a profile that is thrown away."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = Path(profile) / "DevToolsActivePort"
            async with asyncio.timeout(30):
                while not port.exists() or len(port.read_text().splitlines()) < 2:
                    await asyncio.sleep(0.1)
            base = f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{base}/json/list") as answer:
                    pages = [page for page in await answer.json() if page["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Network", "Log", "Runtime"):
                        await tab.call(f"{domain}.enable")
                    yield tab
                    await tab.close()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
