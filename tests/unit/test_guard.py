"""The outermost door: it opens for our own host, stays shut for what no part of the program should see, and survives rubbish."""

import asyncio
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmatch.guard import MOST_HEADERS, Guard
from schemas.config import Config
from schemas.config_file import load
from schemas.config_template import template
from schemas.reading import Message, Receive, Send
from schemas.storage import Busy

HOST = (b"host", b"localhost:8000")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "instance.toml"
    path.write_text(template("localhost:8000", "http://localhost:8000", True))
    return load(path)


class Inner:
    """The application behind the guard: reads the body, answers with what it is told, remembers what it saw."""

    def __init__(self, headers: list[tuple[bytes, bytes]] | None = None, error: Exception | None = None) -> None:
        self.scope: Message | None = None
        self.body = b""
        self.gone = False
        self.headers, self.error = headers or [(b"content-type", b"text/plain")], error

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope = scope
        if self.error is not None:
            raise self.error
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                break
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"fine"})


async def ask(
    guard: Guard, parts: list[bytes] | None = None, *, headers: list[tuple[bytes, bytes]] | None = None, **scope: object
) -> tuple[int, dict[bytes, bytes], bytes]:
    """One request through the guard; `parts` are the pieces of the body, None is a body that never comes."""
    pieces = [b""] if parts is None else list(parts)

    async def receive() -> Message:
        if not pieces:
            await asyncio.sleep(3600)
        piece = pieces.pop(0)
        if piece == b"...":
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    whole = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "scheme": "http", "client": ("192.0.2.7", 4711),
        "headers": [HOST] if headers is None else headers, **scope,
    }  # fmt: skip
    await guard(whole, receive, send)
    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert len(starts) == 1, "exactly one answer"
    return starts[0]["status"], dict(starts[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


async def test_it_opens_for_our_own_host(config: Config) -> None:
    inner = Inner()
    status, headers, body = await ask(Guard(inner, config), [b"ab", b"cd"], method="POST", headers=[HOST, (b"content-length", b"4")])
    assert (status, body, inner.body) == (200, b"fine", b"abcd")
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("host", [b"127.0.0.1:8000", b"[::1]:8000", b"LOCALHOST:8000"])
async def test_a_developer_may_type_any_loopback_name(config: Config, tmp_path: Path, host: bytes) -> None:
    assert (await ask(Guard(Inner(), config), headers=[(b"host", host)]))[0] == 200
    path = tmp_path / "public.toml"
    path.write_text(template("help.example.org", "https://help.example.org", False))
    assert (await ask(Guard(Inner(), load(path)), headers=[(b"host", host)]))[0] == 421


async def test_a_page_carries_its_security_headers_and_nothing_else_does(config: Config) -> None:
    _, page, _ = await ask(Guard(Inner([(b"content-type", b"text/html; charset=utf-8")]), config))
    assert b"default-src 'none'" in page[b"content-security-policy"]
    assert page[b"referrer-policy"] == b"no-referrer"
    _, document, _ = await ask(Guard(Inner([(b"content-type", b"application/activity+json")]), config))
    assert b"content-security-policy" not in document


async def test_a_page_may_say_its_own_policy(config: Config) -> None:
    _, page, _ = await ask(Guard(Inner([(b"content-type", b"text/html"), (b"Content-Security-Policy", b"sandbox")]), config))
    assert page[b"Content-Security-Policy"] == b"sandbox"
    assert b"content-security-policy" not in page


FORGED = {
    "an encoding beside chunks": (400, {"headers": [HOST, (b"transfer-encoding", b"gzip, chunked")]}),
    "chunks twice": (400, {"headers": [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")]}),
    "length and chunks together": (400, {"headers": [HOST, (b"content-length", b"4"), (b"transfer-encoding", b"chunked")]}),
    "two lengths": (400, {"headers": [HOST, (b"content-length", b"4"), (b"content-length", b"5")]}),
    "negative length": (400, {"headers": [HOST, (b"content-length", b"-4")]}),
    "no host": (400, {"headers": []}),
    "two hosts": (400, {"headers": [HOST, HOST]}),
    "foreign host": (421, {"headers": [(b"host", b"evil.example")]}),
    "our host with user information": (421, {"headers": [(b"host", b"evil@localhost:8000")]}),
    "our host, other port": (421, {"headers": [(b"host", b"localhost:8001")]}),
    "forwarded host does not count": (421, {"headers": [(b"host", b"evil.example"), (b"x-forwarded-host", b"localhost:8000")]}),
    "absolute form": (400, {"raw_path": b"http://evil.example/"}),
    "asterisk form": (400, {"raw_path": b"*", "method": "OPTIONS"}),
    "authority form": (400, {"raw_path": b"evil.example:443"}),
    "unknown method": (405, {"method": "PROPFIND"}),
    "trace": (405, {"method": "TRACE"}),
    "connect": (405, {"method": "CONNECT"}),
    "a very long method": (405, {"method": "A" * 10_000}),
    "too many headers": (431, {"headers": [HOST] + [(b"x-a", b"1")] * MOST_HEADERS}),
    "too long headers": (431, {"headers": [HOST, (b"x-a", b"1" * 40_000)]}),
    "a very long path": (414, {"raw_path": b"/" + b"a" * 10_000}),
    "a very long query": (414, {"query_string": b"a" * 10_000}),
    "gzip": (415, {"headers": [HOST, (b"content-encoding", b"gzip")]}),
    "too large by its own word": (413, {"headers": [HOST, (b"content-length", b"1048577")]}),
}


@pytest.mark.parametrize("name", FORGED)
async def test_it_stays_shut(config: Config, name: str) -> None:
    status, scope = FORGED[name]
    inner = Inner()
    assert (await ask(Guard(inner, config), **scope))[0] == status
    assert inner.scope is None, "the application never saw it"


async def test_a_body_without_length_is_counted_while_it_streams(config: Config) -> None:
    inner = Inner()
    status, headers, _ = await ask(
        Guard(inner, config), [b"x" * 600_000, b"x" * 600_000, b"x"], method="POST", headers=[HOST, (b"transfer-encoding", b"chunked")]
    )
    assert status == 413
    assert inner.gone
    assert len(inner.body) == 600_000
    assert headers[b"connection"] == b"close"


async def test_a_slow_body_ends_at_its_deadline(config: Config) -> None:
    quick = dataclasses.replace(config, limits=dataclasses.replace(config.limits, request_seconds=0))
    inner = Inner()
    assert (await ask(Guard(inner, quick), [b"x", b"...", b"x"], method="POST"))[0] == 408
    assert inner.gone


async def test_waiting_for_the_other_side_to_leave_has_no_deadline(config: Config) -> None:
    # Given an application that reads its whole body and then waits for a disconnect, as a stream does
    quick = dataclasses.replace(config, limits=dataclasses.replace(config.limits, request_seconds=0))
    left = asyncio.Event()

    async def stream(_: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        left.set()
        await send({"type": "http.response.body", "body": b""})

    messages = iter([{"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(messages)

    sent = []

    async def send(message: Message) -> None:
        sent.append(message)

    await Guard(stream, quick)(
        {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "client": None, "headers": [HOST]}, receive, send
    )
    assert left.is_set()
    assert sent[0]["status"] == 200


async def test_our_own_trouble_is_503_with_a_time(config: Config) -> None:
    status, headers, _ = await ask(Guard(Inner(error=Busy()), config))
    assert (status, headers[b"retry-after"]) == (503, b"5")


async def test_a_bug_is_not_called_trouble(config: Config) -> None:
    with pytest.raises(ZeroDivisionError):
        await ask(Guard(Inner(error=ZeroDivisionError()), config))


async def test_nobody_inside_sees_an_address(config: Config) -> None:
    inner = Inner()
    await ask(Guard(inner, config), headers=[HOST, (b"x-forwarded-for", b"198.51.100.1"), (b"forwarded", b"for=198.51.100.1"), (b"x-original-url", b"/admin")])
    assert inner.scope is not None
    assert inner.scope["client"] is None
    assert inner.scope["headers"] == [HOST]


async def test_only_a_trusted_proxy_names_the_scheme(config: Config) -> None:
    behind = dataclasses.replace(config, server=dataclasses.replace(config.server, trusted_proxies=("192.0.2.0/24",)))
    for given_config, client, scheme in (
        (config, "192.0.2.7", "http"),
        (behind, "192.0.2.7", "https"),
        (behind, "198.51.100.7", "http"),
        (behind, "unix", "http"),
    ):
        inner = Inner()
        await ask(Guard(inner, given_config), headers=[HOST, (b"x-forwarded-proto", b"https")], client=(client, 1))
        assert inner.scope is not None
        assert inner.scope["scheme"] == scheme


async def test_a_health_check_needs_no_host_name(config: Config) -> None:
    assert (await ask(Guard(Inner(), config), raw_path=b"/healthz", path="/healthz", headers=[(b"host", b"10.0.0.3:8000")]))[0] == 200


async def test_the_start_of_the_server_passes_through(config: Config) -> None:
    seen = []

    async def app(scope: Message, _: Receive, __: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: object) -> Message:
        return {}

    await Guard(app, config)({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]


async def test_a_websocket_is_closed(config: Config) -> None:
    inner, sent = Inner(), []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await Guard(inner, config)({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == ["websocket.close"]
    assert inner.scope is None


@given(
    method=st.text(max_size=12),
    raw_path=st.binary(max_size=200),
    query=st.binary(max_size=200),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"host", b"content-length", b"transfer-encoding", b"content-encoding", b"x-a"]) | st.binary(max_size=10), st.binary(max_size=30)
        ),
        max_size=8,
    ),
)
def test_it_survives_rubbish(tmp_path_factory: pytest.TempPathFactory, method: str, raw_path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    path = tmp_path_factory.getbasetemp() / "rubbish.toml"
    if not path.exists():
        path.write_text(template("localhost:8000", "http://localhost:8000", True))
    status, _, _ = asyncio.run(ask(Guard(Inner(), load(path)), method=method, raw_path=raw_path, query_string=query, headers=headers))
    assert status in (200, 400, 405, 413, 414, 415, 421, 431)
