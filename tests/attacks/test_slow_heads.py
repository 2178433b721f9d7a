"""May a connection be held by saying nothing, or a head byte by byte (row A056)? The first request of it, and a later one, behind either server."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from fedmatch import serve
from tests.attacks.stage import serve_really
from tests.world import open_world

SLOWLY = b"GET /actor HTTP/1.1\r\nHost: " + b"x" * 500


async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes) -> float:
    """How long such a connection stands, in seconds; ten at most."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def drip() -> None:
        with suppress(ConnectionError):
            for byte in said:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(10):
            await reader.read()
    dripping.cancel()
    writer.close()
    return loop.time() - began


@pytest.mark.parametrize("software", ["hypercorn", "uvicorn"])
async def test_a056_a_head_that_does_not_end_ends_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, software: str) -> None:
    assert serve.HEAD_S <= 75
    monkeypatch.setattr(serve, "HEAD_S", 0.6)
    async with open_world(tmp_path) as world:
        site = await world.site("a", start=False)
        await serve_really(site, software)
        port = int(site.base.rpartition(":")[2])
        # Given a connection that served a request, and two that did not
        kept, quiet, slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        kept[1].write(f"GET /actor HTTP/1.1\r\nHost: {site.host}\r\n\r\n".encode())
        head = await kept[0].readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        # When they say a head byte by byte, or nothing
        times = await asyncio.gather(held(*kept, SLOWLY), held(*quiet, b""), held(*slow, SLOWLY))
        # Then each is closed, and an honest request is answered
        assert max(times) < 5, times
        assert (await site.get(f"{site.base}/actor")).status == 200
