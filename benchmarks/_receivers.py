"""Who is delivered to? Many small servers in one process whose CPU is not counted: one port that answers, one that hangs, one that fails, one where nobody is.

Each host is an address of its own, 127.1.x.y, so connections, leases and breakers are one a host. `{"read": true}` answers with what came since the last
reading: (monotonic seconds, host, port) of each POST that was read whole.
"""

import asyncio
import json
import resource
import socket
import sys
import time
from functools import partial

ANSWERS = {"good": b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "fail": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"}


class Receiver(asyncio.Protocol):
    """One connection: reads requests, notes them, and answers as its port does; a hanging one never answers."""

    def __init__(self, answer: bytes | None, came: list[tuple[float, str]] | None) -> None:
        self._answer, self._came = answer, came
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._read) < end + 4 + length:
                return
            self._read = self._read[end + 4 + length :]
            if self._answer is not None:
                host = head[head.find(b"host:") + 5 :].split(b"\r\n", 1)[0].strip().decode()
                if self._came is not None:
                    self._came.append((time.monotonic(), host))
                self._transport.write(self._answer)


async def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    loop = asyncio.get_running_loop()
    came: list[tuple[float, str]] = []
    servers, ports = [], {}
    for kind in ("good", "hang", "fail"):
        server = await loop.create_server(partial(Receiver, ANSWERS.get(kind), came if kind == "good" else None), "0.0.0.0", 0, backlog=4096)
        servers.append(server)
        ports[kind] = server.sockets[0].getsockname()[1]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        ports["refuse"] = nobody.getsockname()[1]
    print(json.dumps(ports), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if json.loads(line).get("read"):
            print(json.dumps({"came": came}), flush=True)
            came.clear()


if __name__ == "__main__":
    asyncio.run(main())
