"""Rows A044-A062: JSON that two readers read differently, HTTP that two servers read differently, and what caches and clients are told."""

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any

from tests.attacks.envelope import envelope
from tests.attacks.stage import Act, Case, Stage
from tests.fakepeer import AP, AS2
from tests.wire import Answer, http

MALFORMED = frozenset({400})
CLOSED = frozenset({0, 400})
"""Refused with words, or by hanging up in the middle of what is no HTTP."""
TAKEN = frozenset({202})

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def body(make: bytes | Callable[[dict[str, Any]], bytes], **spoil: Any) -> Act:
    """These bytes, rightly signed; or what is made of a rightful Create."""

    async def act(stage: Stage) -> Answer:
        return await stage.send(make if isinstance(make, bytes) else make(stage.create()), **spoil)

    return act


def saying(text: bytes, **more: Any) -> Act:
    """A rightful Create in which these raw bytes stand inside a string."""
    return body(lambda create: json.dumps(create).encode().replace(b"hello", text), **more)


def member(raw: bytes) -> Act:
    """A rightful Create with one more member, whose value are these raw bytes."""
    return body(lambda create: b'{"x": ' + raw + b", " + json.dumps(create).encode()[1:])


def twice(name: bytes, value: bytes) -> Act:
    return body(lambda create: b"{" + name + b": " + value + b", " + json.dumps(create).encode()[1:])


def in_utf(encoding: str) -> Act:
    return body(lambda create: json.dumps(create).encode(encoding))


def typed(content_type: str | None, *more: tuple[str, str]) -> Act:
    """A rightful Create under another media type."""

    async def act(stage: Stage) -> Answer:
        change = [] if content_type is None else [("Content-Type", content_type)]
        return await stage.send(stage.create(), drop=["Content-Type"], add=[*change, *more])

    return act


async def still_well(stage: Stage) -> None:
    """An honest request is answered at once."""
    async with asyncio.timeout(5):
        assert (await stage.site.get(stage.reader.uri)).status == 200


# A051


def large(size: int) -> Act:
    async def act(stage: Stage) -> Answer:
        create = json.dumps(stage.create()).encode()
        answer = await stage.send(create[:-1] + b', "x": "' + b"x" * (size - len(create) - 9) + b'"}')
        await still_well(stage)
        return answer

    return act


async def large_in_chunks(stage: Stage) -> Answer:
    create = stage.create()
    headers, data = envelope(stage.p1, stage.inbox, json.dumps({**create, "x": "x" * 1_200_000}).encode(), stage.world.clock.now())
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[at : at + 65_536] for at in range(0, len(data), 65_536)))
    return await stage.raw(head("POST", "/users/reader/inbox", *headers, ("Transfer-Encoding", "chunked"), host=False) + chunks + b"0\r\n\r\n")


def head(method: str, target: str, *lines: tuple[str, str], host: bool = True) -> bytes:
    """A request's head; the host is filled in when it is sent."""
    all_lines = ([("Host", "{host}")] if host else []) + list(lines) + [("Connection", "close")]
    return f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in all_lines) + b"\r\n"


def raw(data: bytes) -> Act:
    async def act(stage: Stage) -> Answer:
        answer = await stage.raw(data)
        await still_well(stage)
        return answer

    return act


def post(*lines: tuple[str, str], data: bytes = b"{}") -> bytes:
    return head("POST", "/inbox", ("Content-Type", AP), *lines) + data


def smuggled(*lines: tuple[str, str]) -> Act:
    """A request that hides a second one behind a length that two servers read differently: the second is never answered."""
    second = b"GET /.well-known/nodeinfo HTTP/1.1\r\nHost: {host}\r\n\r\n"

    async def act(stage: Stage) -> Answer:
        filled = (post(*lines, data=b"0\r\n\r\n") + second).replace(b"{host}", stage.site.host.encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", int(stage.site.host.rpartition(":")[2]))
        writer.write(filled)
        async with asyncio.timeout(5):
            said = await reader.read()
        writer.close()
        assert said.count(b"HTTP/1.1 ") <= 1
        assert b"nodeinfo.diaspora" not in said
        return Answer(int(said.split(b" ")[1]) if said else 0)

    return act


# A056


async def slow_head(stage: Stage) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(stage.site.host.rpartition(":")[2]))
    for byte in b"GET / H":
        writer.write(bytes([byte]))
        await writer.drain()
        await still_well(stage)
    writer.close()


async def slow_body(stage: Stage) -> Answer:
    """The body has to be there within `limits.request_seconds`, which is three here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stage.site.host.rpartition(":")[2]))
    writer.write(head("POST", "/inbox", ("Content-Type", AP), ("Content-Length", "1000")).replace(b"{host}", stage.site.host.encode()) + b"{")

    async def drip() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.3)

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(10):
            said = await reader.readline()
    finally:
        dripping.cancel()
        writer.close()
    return Answer(int(said.split(b" ")[1]))


async def slow_reading(stage: Stage) -> None:
    writers = []
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", int(stage.site.host.rpartition(":")[2]))
        writer.write(head("GET", "/users/reader/outbox?page=true", ("Accept", AP)).replace(b"{host}", stage.site.host.encode()))
        writers.append(writer)
    await still_well(stage)
    for writer in writers:
        writer.close()


async def idle_sockets(stage: Stage) -> None:
    port = int(stage.site.host.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    await still_well(stage)
    for _, writer in idle:
        writer.close()


# A057: HTTP/2, which we do not speak.

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


HTTP2 = {
    "rapid reset": b"".join(frame(1, 5, n, b"\x82\x84\x86") + frame(3, 0, n, b"\0\0\0\x08") for n in range(1, 4001, 2)),
    "CONTINUATION flood": frame(1, 1, 1, b"\x82") + frame(9, 0, 1, b"\0" * 64) * 2000,
    "settings flood": frame(4, 0, 0) * 5000,
    "10,000 streams": b"".join(frame(1, 4, n, b"\x82\x84\x86") for n in range(1, 20_001, 2)),
    "HPACK bomb": frame(1, 5, 1, b"\x40\x01x\x7f\xff\x1f" + b"y" * 4000 + b"\xbe" * 12_000),
}


async def upgrade(stage: Stage) -> Answer:
    """An offer of h2c is passed over; the answer is HTTP/1.1."""
    answer = await stage.site.get(stage.reader.uri, AP, ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"))
    assert answer.json["id"] == stage.reader.uri
    return answer


# A058-A062


def asking(method: str, path: str, *lines: tuple[str, str]) -> Act:
    async def act(stage: Stage) -> Answer:
        answer = await stage.raw(head(method, path, *lines))
        assert b"root:" not in answer.body
        assert b"Traceback" not in answer.body
        # Quart mends two slashes by a redirect; it leads to ourselves.
        assert answer.status != 308 or answer.header("location").startswith(f"{stage.site.base}/users/")
        return answer

    return act


def hidden(*lines: tuple[str, str], method: str = "GET") -> Act:
    """What nobody may see, asked for in another way: the same status as always, and not a byte."""

    async def act(stage: Stage) -> list[Answer]:
        found = []
        for url in (stage.whispered.uri, f"{stage.whispered.uri}/activity"):
            usual = await stage.site.get(url)
            odd = await http(method, url, [("Accept", AP), *lines])
            assert odd.status == usual.status
            assert odd.body in (b"", usual.body)
            assert "etag" not in dict(odd.headers)
            found.append(odd)
        return found

    return act


def accepting(accept: str, kind: str) -> Act:
    """Which of the two it is, always the same; and caches are told what it depends on."""

    async def act(stage: Stage) -> list[Answer]:
        found = [await stage.site.get(url, accept) for url in (stage.reader.uri, stage.said.uri) for _ in range(2)]
        for answer in found:
            assert answer.header("content-type").startswith(kind), answer
            assert "accept" in answer.header("vary").lower()
        return found

    return act


async def private_is_not_kept(stage: Stage) -> Answer:
    answer = await stage.victim.get(stage.whispered.uri)
    assert "no-store" in answer.header("cache-control")
    assert "signature" in answer.header("vary").lower()
    return answer


def deceived(path: str, *lines: tuple[str, str]) -> Act:
    """A private thing under a name that a cache would keep: not there, and nothing that may be kept publicly for long."""

    async def act(stage: Stage) -> Answer:
        place = stage.whispered.uri.removeprefix(stage.site.base)
        answer = await stage.raw(head("GET", path.replace("PRIVATE", place), ("Accept", BROWSER), *lines))
        assert "whispered" not in answer.body.decode()
        assert "public" not in answer.header("cache-control")
        return answer

    return act


def poisoned(*lines: tuple[str, str]) -> Act:
    """Links come from the settings, whatever the request says."""

    async def act(stage: Stage) -> list[Answer]:
        found = [await stage.raw(head("GET", path, ("Accept", accept), *lines)) for path in ("/users/reader", "/@reader") for accept in (AP, BROWSER)]
        assert not any(b"evil.example" in answer.body for answer in found)
        return found

    return act


def rows() -> list[Case]:
    """The table."""
    found: list[Case] = []

    def case(row: str, name: str, act: Act, status: frozenset[int] = MALFORMED, **more: bool) -> None:
        found.append(Case(row, name, act, status, **more))

    case("A044", "100,000 lists", body(b"[" * 100_000))
    case("A044", "100,000 objects", body(b'{"a":' * 100_000))
    case("A044", "100,000 lists inside", member(b"[" * 100_000 + b"]" * 100_000))
    case("A044", "depth 33", member(b"[" * 32 + b"]" * 32))
    case("A044", "depth 32", member(b"[" * 31 + b"]" * 31), TAKEN, effect=True)
    case("A044", "10,000 deep in a string of escapes", member(b'{"\\"":' * 10_000 + b"1" + b"}" * 10_000))

    case("A045", "actor twice", twice(b'"actor"', b'"http://elsewhere.example/users/x"'))
    case("A045", "id twice", twice(b'"id"', b'"http://elsewhere.example/1"'))
    case("A045", "object twice", twice(b'"object"', b'"http://elsewhere.example/1"'))
    case("A045", "actor once spelled with an escape", twice(b'"\\u0061ctor"', b'"http://elsewhere.example/users/x"'))
    case("A045", "twice inside", member(b'{"a": 1, "a": 2}'))

    for value in (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1" * 4301,
        b"9223372036854775808",
        b"-9223372036854775809",
        b"9007199254740992",
        b"1" * 100_000 + b".5",
        b"01",
        b"+1",
    ):
        case("A046", value.decode() if len(value) < 24 else f"a number of {len(value)} letters", member(value))
    # -0 is a JSON number and means 0 to everybody.
    case("A046", "-0", member(b"-0"), frozenset({202, 400}), effect=True)
    case("A046", "a float of 1 MB", body(lambda create: b'{"x": 0.' + b"1" * 1_000_000 + b", " + json.dumps(create).encode()[1:]), frozenset({400, 413}))

    for name, text in {
        "invalid UTF-8": b"\xff\xfe", "Latin-1": b"\xe9", "overlong": b"\xc0\xaf", "a surrogate as UTF-8": b"\xed\xa0\x80", "a lone surrogate": b"\\ud800",
        "the other half": b"\\udc00", "both, the wrong way round": b"\\udc00\\ud800", "NUL escaped": b"\\u0000", "NUL": b"\0", "a control character": b"\x01",
        "a control character escaped": b"\\u0001", "backspace": b"\\b", "a line feed": b"\n", "beyond Unicode": b"\xf5\x80\x80\x80", "escape": b"\\u001b[31m",
    }.items():  # fmt: skip
        case("A047", name, saying(text))
    # Non-characters are legal Unicode; they are text.
    case("A047", "U+FFFE", saying("\ufffe".encode()), frozenset({202, 400}), effect=True)
    case("A047", "a byte order mark", body(lambda create: b"\xef\xbb\xbf" + json.dumps(create).encode()))
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"):
        case("A047", encoding, in_utf(encoding), MALFORMED if encoding != "utf-7" else frozenset({202, 400}), effect=encoding == "utf-7")

    for name in ("__proto__", "constructor", "$where", "a.b.c", "__class__", ""):
        case(
            "A048",
            name or "an empty name",
            body(lambda create, name=name: json.dumps({**create, name: {"polluted": True}}).encode()),
            frozenset({202, 400}),
            effect=True,
        )  # type: ignore[misc]
    case("A048", "200,000 keys", member(b"{" + b",".join(b'"%x":1' % n for n in range(90_000)) + b"}"))
    case("A048", "333,000 empty lists", member(b"[" + b"[]," * 300_000 + b"[]]"))

    for name, data in {
        "a list": b"[]",
        "a text": b'"x"',
        "null": b"null",
        "a number": b"7",
        "true": b"true",
        "nothing": b"",
        "blank": b" ",
        "{}": b"{}",
        "two": b"{}{}",
    }.items():
        case("A049", name, body(data))
    case("A049", "an unknown type", body(lambda create: json.dumps({**create, "type": "Dance"}).encode()), TAKEN)
    case(
        "A049",
        "an unknown thing",
        body(lambda create: json.dumps({**create, "object": {**create["object"], "type": "Dance"}}).encode()),
        frozenset({202, 400, 403}),
    )
    case("A049", "a list of unknown types", body(lambda create: json.dumps({**create, "type": ["Dance", "Sing"]}).encode()), TAKEN)
    case("A049", "a type of 1 kB", body(lambda create: json.dumps({**create, "type": "D" * 1024}).encode()), frozenset({202, 400}))
    case("A049", "a type that is none", body(lambda create: json.dumps({**create, "type": 7}).encode()))
    case("A049", "no type", body(lambda create: json.dumps({**create, "type": None}).encode()))
    case("A049", "no actor", body(lambda create: json.dumps({**create, "actor": None}).encode()))

    media = frozenset({415})
    case("A050", "missing", typed(None), media)
    for content_type in (
        "text/html", "text/plain", "application/json", f'application/json; profile="{AS2}"', "application/ld+json", 'application/ld+json; profile="x"',
        "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", f"{AP}; charset=utf-7", f"{AP}; charset=utf-16", f"{AP}, text/html", "x", "",
        "application/activity+jsonx", "*/*", "image/png",
    ):  # fmt: skip
        case("A050", content_type or "empty", typed(content_type), media)
    case("A050", "two", typed(AP, ("Content-Type", "text/html")), frozenset({400, 415}))

    case("A051", "1 MiB and a byte", large(1024 * 1024 + 1), frozenset({413}))
    case("A051", "1 MiB and more in chunks", large_in_chunks, frozenset({0, 413}))
    # What is refused before it was read may end in a reset; the status is lost with it.
    case("A051", "17 MB", large(17_000_000), frozenset({0, 413}))
    case("A051", "a terabyte, announced", raw(post(("Content-Length", "1099511627776"))), frozenset({413}))

    for encoding in ("gzip", "br", "zstd", "deflate", "gzip, gzip", "identity, gzip", "x"):
        case("A052", encoding, typed(AP, ("Content-Encoding", encoding)), media)

    length = ("Content-Length", "2")
    case("A053", "Content-Length and Transfer-Encoding", smuggled(("Content-Length", "5"), ("Transfer-Encoding", "chunked")), CLOSED)
    case("A053", "Transfer-Encoding and Content-Length", smuggled(("Transfer-Encoding", "chunked"), ("Content-Length", "5")), CLOSED)
    case("A053", "two lengths", smuggled(length, ("Content-Length", "5")), CLOSED)
    case("A053", "a list of lengths", raw(post(("Content-Length", "2, 3"))), CLOSED)
    for value in ("-1", "+2", "2x", "0x2", "", " ", "9" * 40):
        case("A053", f"Content-Length {value!r}"[:40], raw(post(("Content-Length", value))), frozenset({0, 400, 413}))
    for value in ("xchunked", "chunked, chunked", "identity, chunked", "gzip, chunked", "\x0bchunked", "chunked\x00"):
        case("A053", f"Transfer-Encoding {value!r}", smuggled(("Transfer-Encoding", value)), CLOSED)
    for name, chunk in {
        "no number": b"zz\r\n{}\r\n0\r\n\r\n",
        "negative": b"-2\r\n{}\r\n0\r\n\r\n",
        "endless": b"f" * 40 + b"\r\n",
        "too short": b"9\r\n{}\r\n0\r\n\r\n",
    }.items():
        case("A053", f"a chunk's size: {name}", raw(post(("Transfer-Encoding", "chunked"), data=chunk) + b"\r\n" * 4), frozenset({0, 400, 413}))
    # RFC 9112 5.2 lets a server read a folded line as one; it is no header of ours and changes nothing.
    case(
        "A053",
        "a folded line",
        raw(b"GET /users/reader HTTP/1.1\r\nHost: {host}\r\nX-Fold: a\r\n b\r\nAccept: " + AP.encode() + b"\r\nConnection: close\r\n\r\n"),
        frozenset({0, 200, 400}),
    )
    case("A053", "a bare CR", raw(b"GET /users/reader HTTP/1.1\r\nHost: {host}\r\nX-A: a\rX-B: b\r\nConnection: close\r\n\r\n"), CLOSED)
    # RFC 9112 2.2 lets a server take a bare LF for the end of a line.
    case("A053", "a bare LF", raw(b"GET /users/reader HTTP/1.1\nHost: {host}\nAccept: " + AP.encode() + b"\nConnection: close\n\n"), frozenset({0, 200, 400}))
    case("A053", "a space before the colon", smuggled(("Content-Length ", "5"), ("Transfer-Encoding", "chunked")), CLOSED)
    case("A053", "NUL in a header", raw(head("GET", "/users/reader", ("X-Nul", "a\0b"))), CLOSED)
    case("A053", "a header without a colon", raw(b"GET / HTTP/1.1\r\nHost: {host}\r\nnothing\r\n\r\n"), CLOSED)
    case("A053", "no HTTP", raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n"), CLOSED)
    case("A053", "HTTP/0.9", raw(b"GET /\r\n\r\n"), CLOSED)
    # Whatever its number, it is read as HTTP/1.1 and answered as that.
    case("A053", "HTTP/3.7", raw(b"GET / HTTP/3.7\r\nHost: {host}\r\n\r\n"), frozenset({0, 200, 400, 404}))

    misdirected = frozenset({0, 400, 421})
    case("A054", "two", raw(head("GET", "/users/reader", ("Host", "elsewhere.example"))), misdirected)
    case("A054", "two of ours", raw(head("GET", "/users/reader", ("Host", "{host}"))), misdirected)
    case("A054", "none", raw(head("GET", "/users/reader", host=False)), misdirected)
    case("A054", "absolute form, another's", raw(head("GET", "http://elsewhere.example/users/reader")), misdirected)
    case("A054", "absolute form, ours", raw(head("GET", "http://{host}/users/reader")), misdirected)
    case("A054", "authority form", raw(head("GET", "elsewhere.example:443")), misdirected)
    for host in (
        "elsewhere.example",
        "localhost:1",
        "user@{host}",
        "{host}@elsewhere.example",
        "%6cocalhost",
        "[::1]",
        "127.0.0.1",
        "",
        " ",
        "{host}.",
        "{host}/x",
        "{host}#x",
        "a, b",
    ):
        case("A054", f"Host: {host or 'empty'}", raw(head("GET", "/users/reader", ("Host", host), host=False)), misdirected)

    overlong = frozenset({0, 400, 431})
    case("A055", "a line of 64 kB", raw(head("GET", "/users/reader", ("X-Long", "x" * 65_536))), overlong)
    case("A055", "a line of 33 kB", raw(head("GET", "/users/reader", ("X-Long", "x" * 33_000))), overlong)
    case("A055", "2,000 headers", raw(head("GET", "/users/reader", *((f"X-{n}", "y") for n in range(2000)))), overlong)
    case("A055", "101 headers", raw(head("GET", "/users/reader", *((f"X-{n}", "y") for n in range(101)))), overlong)
    case("A055", "a cookie of 40 kB", raw(head("GET", "/users/reader", ("Cookie", "a=" + "x" * 40_000))), overlong)

    case("A056", "a head, byte by byte", slow_head)
    case("A056", "a body, byte by byte", slow_body, frozenset({408}))
    case("A056", "answers that are not read", slow_reading)
    case("A056", "300 idle connections", idle_sockets)

    for name, frames in HTTP2.items():
        case("A057", name, raw(PREFACE + frame(4, 0, 0) + frames), frozenset({0, 400, 405}))
    case("A057", "an upgrade to h2c", upgrade, frozenset({200}))

    methods = frozenset({0, 400, 405})
    for method in ("TRACE", "CONNECT", "PROPFIND", "SEARCH", "DEBUG", "M" * 10_000, "GET\t", "/"):
        case("A058", method[:12], asking(method, "/users/reader"), methods | ({414, 431} if len(method) > 100 else frozenset()))
    for method in ("PUT", "DELETE", "PATCH"):
        case("A058", method, asking(method, "/users/reader"), methods)
        case("A058", f"{method} of an inbox", asking(method, "/inbox"), methods)
    # hypercorn reads methods in any case; a GET stays a GET.
    case("A058", "get", asking("get", "/users/reader", ("Accept", AP)), frozenset({200, 400, 405}))
    case("A058", "X-HTTP-Method-Override of a GET", asking("GET", "/users/reader", ("Accept", AP), ("X-HTTP-Method-Override", "DELETE")), frozenset({200}))
    case(
        "A058",
        "X-HTTP-Method-Override of a POST",
        asking("POST", "/inbox", ("Content-Type", AP), ("Content-Length", "0"), ("X-HTTP-Method-Override", "GET")),
        frozenset({400, 401}),
    )

    nowhere = frozenset({0, 308, 400, 404, 405, 414})
    for path in (
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/static/../../instance.toml", "/static/%2e%2e/%2e%2e/instance.toml", "/%00",
        "/users/reader%00", "//elsewhere.example/x", "/users/a%2fb", "/users/reader%2finbox", "/" + "x" * 10_000, "/%ff%fe", "/users/%ff",
        "/users/reader;x=1",
        "/users\\reader", "/users/..\\..\\etc", "/.git/config", "/.env", "/instance.toml", "/data/fedmatch.db", "/users/reader/", "/USERS/reader",
        "/users//reader",
        "/users/./reader", "/posts/-1", "/posts/1%27%20or%201=1", "/posts/99999999999999999999999999", "/users/%F0%9F%92%A9", "/users/" + "a" * 3000,
    ):  # fmt: skip
        case("A059", path[:60], asking("GET", path, ("Accept", AP)), nowhere)
        case("A059", f"{path[:60]} in a browser", asking("GET", path, ("Accept", BROWSER)), nowhere)

    missing = frozenset({404})
    case("A060", "HEAD", hidden(method="HEAD"), missing)
    case("A060", "OPTIONS says nothing", asking("OPTIONS", "/posts/1"), frozenset({200, 204, 404}))
    case("A060", "one byte", hidden(("Range", "bytes=0-0")), missing)
    case("A060", "2,000 ranges", hidden(("Range", "bytes=" + ",".join(f"{n}-{n}" for n in range(2000)))), missing)
    case("A060", "If-None-Match", hidden(("If-None-Match", "*")), missing)
    case("A060", "If-Modified-Since", hidden(("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT")), missing)
    case("A060", "If-Match", hidden(("If-Match", '"x"')), missing)

    for accept, kind in {
        "*/*": "text/html", "": "text/html", f"{AP};q=0": "text/html", f"{AP};q=0, text/html": "text/html", f"text/html;q=0.1, {AP};q=0.9": AP, AP: AP,
        f"{AP}, text/html": AP, f"text/html, {AP}": "text/html", BROWSER: "text/html", "image/png": "text/html", f"{AP};q=rubbish": "text/html",
        ",,,;;;": "text/html",
        "x" * 10_000: "text/html", f'application/ld+json; profile="{AS2}"': AP,
    }.items():  # fmt: skip
        case("A061", accept[:60] or "empty", accepting(accept, kind), frozenset({200}))
    case("A061", "private", private_is_not_kept, frozenset({200}))

    for path in (
        "PRIVATE.css",
        "PRIVATE/1.css",
        "PRIVATE;x.js",
        "PRIVATE%3Bx.js",
        "PRIVATE?x.css",
        "PRIVATE%00.png",
        "/users/reader/requests/1.css",
        "PRIVATE%2f..%2fx.css",
    ):
        case("A062", path, deceived(path), frozenset({400, 404}))
    case(
        "A062",
        "X-Forwarded-Host in links",
        poisoned(("X-Forwarded-Host", "evil.example"), ("X-Host", "evil.example"), ("Forwarded", "host=evil.example")),
        frozenset({200}),
    )
    case(
        "A062",
        "X-Original-URL",
        asking("GET", "/users/nobody", ("Accept", AP), ("X-Original-URL", "/users/reader"), ("X-Rewrite-URL", "/users/reader")),
        missing,
    )
    return found
