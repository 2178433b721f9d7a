"""How do the tests speak HTTP? A raw client and a raw server on loopback, byte for byte, sharing no code with fedmatch."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; status 0 when it closed the connection without a word."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """All values of one header, joined as RFC 9110 5.3 does; empty if there is none."""
        return ", ".join(value for key, value in self.headers if key == name.lower())

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as a server saw it. `target` is the raw path with its query; header names are lower-case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key == name.lower())

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a programmed server does with a request."""

    status: int = 202
    body: bytes = b""
    content_type: str = "application/activity+json"
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    after: asyncio.Event | None = None
    """Answers when this was set."""
    hang: bool = False
    """Accepts the request and never answers (until the server stops)."""
    drop: bool = False
    """Closes the connection without an answer."""


def reply_json(document: object, status: int = 200, **more: Any) -> Reply:
    """A JSON document as an answer."""
    return Reply(status, json.dumps(document, ensure_ascii=False).encode(), **more)


async def http(method: str, url: str, headers: Headers = (), body: bytes = b"", *, timeout: float = 10, raw: bytes | None = None) -> Answer:
    """One request over a connection of its own. Host and Content-Length are added unless given; `raw` sends exactly those bytes instead."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [(key, value) for key, value in headers]
    named = {key.lower() for key, _ in lines}
    if "host" not in named:
        lines.insert(0, ("Host", parts.netloc))
    if "content-length" not in named and "transfer-encoding" not in named and (body or method == "POST"):
        lines.append(("Content-Length", str(len(body))))
    lines.append(("Connection", "close"))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines) + "\r\n"
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            writer.write(raw if raw is not None else head.encode("latin-1") + body)
            await writer.drain()
            return await _answer(reader, method)
        except (ConnectionError, h11.RemoteProtocolError):
            return Answer(0)
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader, method: str) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    status, headers, chunks = 0, (), []
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
            if connection.their_state is h11.MUST_CLOSE or connection.their_state is h11.CLOSED:
                return Answer(status, headers, b"".join(chunks))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = tuple((key.decode().lower(), value.decode("latin-1")) for key, value in event.headers)
        elif isinstance(event, h11.Data):
            chunks.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, headers, b"".join(chunks))


class Server:
    """A small HTTP/1.1 server on a loopback port of its own; `answer` decides what it says."""

    def __init__(self, answer: Callable[[Asked], Awaitable[Reply]]) -> None:
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self, port: int = 0, address: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._accept, address, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while True:
                asked = await self._read(connection, reader, writer)
                if asked is None:
                    return
                reply = await self._answer(asked)
                if reply.hang:
                    await asyncio.Event().wait()
                if reply.after is not None:
                    await reply.after.wait()
                if reply.delay:
                    await asyncio.sleep(reply.delay)
                if reply.drop:
                    return
                self._write(connection, writer, reply, asked.method)
                await writer.drain()
                if connection.our_state is h11.MUST_CLOSE or connection.our_state is h11.ERROR:
                    return
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError):
            return
        finally:
            writer.close()

    async def _read(self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked | None:
        request: h11.Request | None = None
        chunks: list[bytes] = []
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                chunks.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                headers = tuple((key.decode().lower(), value.decode("latin-1")) for key, value in request.headers)
                return Asked(request.method.decode(), request.target.decode("latin-1"), headers, b"".join(chunks))
            else:
                return None

    @staticmethod
    def _write(connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply, method: str) -> None:
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body))), *reply.headers]
        writer.write(connection.send(h11.Response(status_code=reply.status, headers=headers)) or b"")
        if method != "HEAD":
            writer.write(connection.send(h11.Data(data=reply.body)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
