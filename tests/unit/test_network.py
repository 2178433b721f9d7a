"""The one door out: opens for public addresses and for what development names, stays shut for every other, survives servers that answer rubbish.

A canary listens on loopback; whatever is refused must never connect to it.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from actors.hosts import BadUrl
from actors.outbound import Fetched, Network, Refused, Unreachable, objection
from actors.targets import target
from schemas import config

ADDRESSES = [line.split() for line in (Path(__file__).parent / "addresses.txt").read_text().splitlines() if not line.startswith("#")]
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def settings(*, networks: tuple[object, ...] = LOOPBACK, development: bool = True) -> config.Config:
    return config.Config(
        path=Path("/nowhere/instance.toml"),
        host="localhost:8000",
        base_url="http://localhost:8000",
        name="test",
        description="",
        contact="",
        folder=Path("/nowhere"),
        database=config.DatabaseConfig(),
        server=config.ServerConfig(),
        vault=config.VaultConfig(),
        federation=config.FederationConfig(),
        limits=config.LimitsConfig(),
        board=config.BoardConfig(),
        log=config.LogConfig(),
        development=config.DevelopmentConfig(networks, True) if development else None,  # type: ignore[arg-type]
    )


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    made = Network(settings())
    yield made
    await made.close()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: bytes | Talk, **options: object) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that speaks bytes: its port, and the requests (head and body) it got. Whoever is done talking closes."""
    seen: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
                seen.append(head + await reader.readexactly(length))
                if callable(answer):
                    await answer(reader, writer)
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, **options)
    try:
        yield listening.sockets[0].getsockname()[1], seen
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def ok(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(("address", "right"), ADDRESSES, ids=[address for address, _ in ADDRESSES])
def test_every_address_is_judged_right(address: str, right: str) -> None:
    assert (objection(address) is None) == (right == "allow")


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "223.255.255.254", "2a00:1450:4001::1", "2001:4860:4860::8888", "2001:200::1", "2620:fe::fe"])
def test_public_addresses_pass(address: str) -> None:
    assert objection(address) is None


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::127.0.0.1", "10.0.0.1", "fe80::1%eth0", "rubbish", "", "127.1"])
def test_development_opens_its_networks_and_nothing_that_embeds_them(address: str) -> None:
    assert objection("127.0.0.1", LOOPBACK) is None
    assert objection("::1", LOOPBACK) is None
    assert objection(address, LOOPBACK) is not None


@pytest.mark.parametrize("address", [address for address, right in ADDRESSES if right == "refuse"])
async def test_no_literal_reaches_a_refused_address(address: str) -> None:
    # Given an instance that may use any port and plain http, but whose development networks are empty
    network = Network(settings(networks=()))
    async with server(ok(b"{}")) as (port, seen):
        # When it is sent to the literal
        host = f"[{address}]" if ":" in address else address
        for outcome in (await network.get(f"http://{host}:{port}/", headers={}), await network.post(f"http://{host}:{port}/inbox", b"{}", {})):
            # Then it refuses by the address, and says so
            assert isinstance(outcome, Refused), outcome
            assert "not a public address" in outcome.why
        assert seen == []
    await network.close()


async def test_a_name_is_refused_by_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(settings(networks=()))
    async with server(ok(b"{}")) as (port, seen):
        for name in ("localhost", "localhost.", "LOCALHOST"):
            assert isinstance(await network.get(f"http://{name}:{port}/", headers={}), Refused)

        # A name with a public and a private address is refused whole, whichever comes first (rebinding, A + AAAA).
        def mixed(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (literal, port)) for literal in ("2.2.2.2", "127.0.0.1")]

        monkeypatch.setattr(socket, "getaddrinfo", mixed)
        outcome = await network.get(f"http://mixed.example:{port}/", headers={})
        assert outcome == Refused("127.0.0.1 is not a public address")
        assert seen == []
    await network.close()


async def test_the_second_request_is_guarded_like_the_first(network: Network) -> None:
    # The transport makes a client of its own for what it does not recognise; this held for the second request once.
    async with server(ok(b"{}")) as (port, _):
        for _ in range(3):
            assert isinstance(await network.get(f"http://127.0.0.1:{port}/", headers={}), Fetched)
            assert isinstance(await network.get(f"http://[::ffff:127.0.0.1]:{port}/", headers={}), Refused)


async def test_it_opens_and_says_who_asks(network: Network) -> None:
    async with server(ok(b'{"a":1}', "Content-Type: application/activity+json", "X-A: 1", "X-A: 2")) as (port, seen):
        outcome = await network.get(f"http://127.0.0.1:{port}/users/%61lice?page=1&x=%7E", headers={"Accept": "application/activity+json"})
    assert isinstance(outcome, Fetched)
    assert (outcome.status, outcome.body, outcome.headers["x-a"]) == (200, b'{"a":1}', "1, 2")
    head = seen[0].decode().lower().split("\r\n")
    # As it was spelled, or a signature over it would not hold.
    assert seen[0].startswith(b"GET /users/%61lice?page=1&x=%7E HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{port}" in head
    assert "accept-encoding: identity" in head
    assert any(line.startswith("user-agent: fedmatch/") and line.endswith("(+http://localhost:8000/)") for line in head)
    assert not any(line.startswith("cookie") for line in head)


async def test_a_post_sends_its_bytes_and_reads_little_of_the_answer(network: Network) -> None:
    async with server(ok(b"x" * 100_000, "Content-Encoding: gzip")) as (port, seen):
        outcome = await network.post(f"http://127.0.0.1:{port}/inbox", b'{"id":"x"}', {"Content-Type": "application/activity+json", "Digest": "SHA-256=x"})
    assert isinstance(outcome, Fetched)
    assert (outcome.status, len(outcome.body)) == (200, 4096)
    assert seen[0].endswith(b'\r\n\r\n{"id":"x"}')
    assert b"digest: sha-256=x\r\n" in seen[0].lower()


async def test_connections_are_kept_and_cookies_are_not(network: Network) -> None:
    ports: set[object] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            ports.add(writer.get_extra_info("peername"))
            writer.write(ok(b"{}", "Set-Cookie: a=b; Path=/"))
            await writer.drain()
            assert b"ookie" not in await reader.readuntil(b"\r\n\r\n")

    async with server(answer) as (port, _):
        for _ in range(3):
            assert isinstance(await network.get(f"http://127.0.0.1:{port}/", headers={}), Fetched)
    assert len(ports) == 1


async def test_a_kept_connection_that_was_closed_is_replaced_once(network: Network) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"{}"))
        await writer.drain()
        await reader.read(10)  # the next request begins, and the server goes away without a word

    async with server(once) as (port, seen):
        for _ in range(2):
            outcome = await network.post(f"http://127.0.0.1:{port}/inbox", b"{}", {"Content-Type": "application/activity+json"})
            assert isinstance(outcome, Fetched)
    assert len(seen) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(network: Network, status: int) -> None:
    async with server(ok(b"{}")) as (canary, seen):
        redirect = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:{canary}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with server(redirect) as (port, _):
            for outcome in (await network.get(f"http://127.0.0.1:{port}/", headers={}), await network.post(f"http://127.0.0.1:{port}/", b"{}", {})):
                assert isinstance(outcome, Fetched)
                assert outcome.status == status
        assert seen == []


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x" * 101),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"20\r\n" + b"x" * 32 + b"\r\n" + b"60\r\n" + b"x" * 96 + b"\r\n0\r\n\r\n",
        ok(b"{}", "Content-Encoding: gzip"),
        ok(b"{}", "Content-Encoding: br"),
        ok(b"{}", "Content-Encoding: identity, gzip"),
    ],
    ids=["one byte over", "by its length", "chunked", "gzip", "brotli", "nested"],
)
async def test_what_is_too_large_or_encoded_is_refused(network: Network, answer: bytes) -> None:
    async with server(answer) as (port, _):
        assert isinstance(await network.get(f"http://127.0.0.1:{port}/", headers={}, limit=100), Refused)


async def test_the_limit_itself_passes(network: Network) -> None:
    async with server(ok(b"x" * 100)) as (port, _):
        outcome = await network.get(f"http://127.0.0.1:{port}/", headers={}, limit=100)
    assert isinstance(outcome, Fetched)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\x00\xff" * 100,
        b"HTTP/1.1 999999 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(1000)) + b"\r\n",
    ],
    ids=["silence", "bytes", "status", "negative length", "cut", "chunks", "long header", "many headers"],
)
async def test_it_survives_rubbish(network: Network, rubbish: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(rubbish)
        await writer.drain()

    async with server(answer) as (port, _):
        for outcome in (await network.get(f"http://127.0.0.1:{port}/", headers={}), await network.post(f"http://127.0.0.1:{port}/", b"{}", {})):
            assert isinstance(outcome, Unreachable), outcome
            assert outcome.temporary


@pytest.mark.parametrize("kind", ["drip", "headers", "silence"])
async def test_the_deadline_is_for_all_of_it(network: Network, kind: str) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 1000\r\n\r\n" if kind == "drip" else b""))
        for number in range(1000):
            if kind != "silence":
                writer.write(b"x" if kind == "drip" else b"X-%d: y\r\n" % number)
                await writer.drain()
            await asyncio.sleep(0.02)

    async with server(answer) as (port, _):
        began = time.monotonic()
        outcome = await network.get(f"http://127.0.0.1:{port}/", headers={}, deadline_s=0.3)
        assert isinstance(outcome, Unreachable)
        assert outcome.temporary
        assert time.monotonic() - began < 10, "what trickles would go on for 20 seconds"


async def test_what_went_wrong_has_its_name(network: Network, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await network.get(f"http://127.0.0.1:{taken.getsockname()[1]}/", headers={}) == Unreachable("connection refused", temporary=True)
    assert await network.get("http://no-such-name.invalid/", headers={}) == Unreachable("no such name", temporary=False)


async def test_a_delivery_tells_who_is_not_there_from_who_does_not_answer(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = await network.post(f"http://127.0.0.1:{taken.getsockname()[1]}/inbox", b"{}", {})
    assert isinstance(nobody, Unreachable)
    assert not nobody.connected

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with server(hold) as (port, _):
        silent = await network.post(f"http://127.0.0.1:{port}/inbox", b"{}", {}, deadline_s=0.2)
    assert isinstance(silent, Unreachable)
    assert silent.connected

    # A full queue of connections answers no knock at all
    monkeypatch.setattr("actors.network.CONNECT_S", 0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        fresh = Network(settings())
        unheard = await fresh.post(f"http://127.0.0.1:{full.getsockname()[1]}/inbox", b"{}", {}, deadline_s=3)
        await fresh.close()
        for one in waiting:
            one.close()
    assert isinstance(unheard, Unreachable)
    assert (unheard.why, unheard.connected) == ("no connection within 0.3 s", False)


async def test_a_certificate_must_hold_and_a_private_ca_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a server with a certificate of a CA nobody knows
    authority, certificate, key = certificates(tmp_path, "localhost")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    async with server(ok(b"{}"), ssl=served) as (port, seen):
        stranger = Network(settings())
        assert await stranger.get(f"https://localhost:{port}/", headers={}) == Unreachable("its certificate does not hold", temporary=True)
        await stranger.close()
        assert seen == []
        # When the operator names that CA, Then it opens for the right name, and stays shut for another
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        friend = Network(settings())
        assert isinstance(await friend.get(f"https://localhost:{port}/", headers={}), Fetched)
        assert await friend.get(f"https://127.0.0.1:{port}/", headers={}) == Unreachable("its certificate does not hold", temporary=True)
        await friend.close()


@pytest.mark.parametrize("fault", ["none", "expired", "not yet", "another name", "TLS 1.1", "TLS 1.0", "self-signed"])
async def test_a070_a_certificate_of_a_known_ca_must_hold_in_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    # Given a server whose certificate is of a CA that the operator named
    days = {"expired": (-9, -2), "not yet": (2, 9)}.get(fault, (-1, 1))
    authority, certificate, key = certificates(tmp_path, "else.example" if fault == "another name" else "localhost", days)
    if fault == "self-signed":
        (tmp_path / "other").mkdir()
        _, certificate, key = certificates(tmp_path / "other", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    if fault.startswith("TLS"):
        served.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            served.minimum_version = served.maximum_version = ssl.TLSVersion.TLSv1_1 if fault == "TLS 1.1" else ssl.TLSVersion.TLSv1
    async with server(ok(b"{}"), ssl=served) as (port, seen):
        network = Network(settings())
        # When it is asked, and written to
        got = await network.get(f"https://localhost:{port}/", headers={})
        put = await network.post(f"https://localhost:{port}/", b"{}", {})
        await network.close()
        # Then one fault is enough, and not a word was said
        kind = Fetched if fault == "none" else Unreachable
        assert isinstance(got, kind), got
        assert isinstance(put, kind), put
        assert bool(seen) == (fault == "none")


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    async with server(ok(b"{}")) as (port, _), server(ok(b"{}")) as (proxy, proxied):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        assert isinstance(await network.get(f"http://127.0.0.1:{port}/", headers={}), Fetched)
        assert proxied == []


@pytest.mark.parametrize(
    "url",
    [
        "http://peer.example/",
        "ftp://peer.example/",
        "file:///etc/passwd",
        "data:text/plain,x",
        "gopher://peer.example/",
        "javascript:alert(1)",
        "acct:a@peer.example",
        "//peer.example/",
        "/users/a",
        "",
        "https://",
        "https:///x",
        "https://user@peer.example/",
        "https://user:secret@peer.example/",
        "https://peer.example:25/",
        "https://peer.example:22/",
        "https://peer.example:6379/",
        "https://peer.example:0/",
        "https://peer.example:99999/",
        "https://[2606:4700::1]:80/",
        "https://peer.example\\@127.0.0.1/",
        "https://peer.example/a b",
        "https://peer.example/a\tb",
        "https://peer.example/\x00",
        "https://peer.example/a\r\nX: y",
        "https://peer.example/../x",
        "https://peer.example/a/%2e%2E/x",
        "https://peer.example/%zz",
        "https://peer%00.example/",
        "https://peer..example/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://peer.example/" + "x" * 3000,
        "https://" + "a" * 300 + ".example/",
    ],
)
async def test_urls_with_two_readings_are_refused_before_anything_is_sent(url: str) -> None:
    production = Network(replace(settings(development=False), base_url="https://us.example", host="us.example"))
    assert isinstance(await production.get(url, headers={}), Refused)
    with pytest.raises(BadUrl):
        target(url, plain_http=False, any_port=False)


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("https://Peer.Example", "https://peer.example/"),
        ("HTTPS://peer.example.:443/a#main-key", "https://peer.example/a"),
        ("https://peer.example:8443/a?b=c&d=%20", "https://peer.example:8443/a?b=c&d=%20"),
        ("https://münchen.example/ä?ö", "https://xn--mnchen-3ya.example/%C3%A4?%C3%B6"),
        ("https://peer.example/@alice/1;a=b,c(d)'!$*+", "https://peer.example/@alice/1;a=b,c(d)'!$*+"),
        ("https://peer.example/a/..b/.c/d.", "https://peer.example/a/..b/.c/d."),
        ("https://127。0。0。1/", "https://127.0.0.1/"),
    ],
)
def test_a_url_has_one_spelling(url: str, spelled: str) -> None:
    found = target(url, plain_http=False, any_port=False)
    assert found.url == spelled
    assert found.url == f"{found.scheme}://{found.authority}{found.path}"
    assert target(found.url, plain_http=False, any_port=False) == found


def certificates(folder: Path, name: str, days: tuple[int, int] = (-1, 1)) -> tuple[Path, Path, Path]:
    """A CA, and a certificate of it for `name`, which holds between these days from now: three files."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def made(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signed_by: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=-1 if ca else days[0]))
            .not_valid_after(now + timedelta(days=1 if ca else days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        return builder.sign(signed_by, hashes.SHA256())

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    files = folder / "ca.pem", folder / "leaf.pem", folder / "leaf.key"
    files[0].write_bytes(made("Test CA", "Test CA", root, root, ca=True).public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(made(name, "Test CA", leaf, root, ca=False).public_bytes(serialization.Encoding.PEM))
    files[2].write_bytes(leaf.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files
