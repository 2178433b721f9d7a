"""How do we speak HTTP to other people's servers, and to which addresses never? The one door out; no HTTP library's class leaves this file.

What is fetched goes as an `httpx.Request` through httpx-aiohttp's transport without a client object, what is delivered through the same session directly; so
there are no cookies, redirects, proxies or environment in between. The guard sits where the socket is made: it sees every connection, whether the host was a
name, a literal or a hop of a redirect. docs/decisions/0004-outbound-guard.md tells why each rule is here.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.metadata import version
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Final

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from actors.flights import Flights
from actors.hosts import BadUrl
from actors.targets import Target, target
from schemas.config import Config

MOST_BODY: Final = 1024 * 1024
MOST_ANSWER: Final = 4096
"""What is read of an inbox's answer; nobody needs more than its status."""
DEADLINE_S: Final = 10.0
CONNECT_S: Final = 8.0
"""A connection that does not stand after this long is nobody's; less than the whole deadline, so that we can tell."""
KEEP_ALIVE_S: Final = 15.0
MOST_SOCKETS_PER_HOST: Final = 16

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer came. `headers` has lower-case names, repeated ones joined with ", "; `url` is what was asked, in its canonical spelling."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing usable came. `temporary` is False only where the name does not exist; `connected` where a connection stood, so that somebody lives there."""

    why: str
    temporary: bool
    connected: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """We did not go there, or what came breaks our rules (too large, encoded): asking again changes nothing."""

    why: str


Outcome = Fetched | Unreachable | Refused


class _Refusal(Exception):
    """The guard said no. No OSError: those come back from the transport as if a peer were slow."""


# What the IANA registries call special, and a little more: no address of these is another server's.
_REFUSED_4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a provider's NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# IPv6 the other way round: only what is handed out to the world, less what is reserved inside it. Every embedding of IPv4 (mapped, compatible, NAT64, 6to4,
# Teredo) lies outside, so none needs to be known by name.
_ALLOWED_6: Final = IPv6Network("2000::/3")
_REFUSED_6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",          # protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",      # documentation
        "2002::/16",          # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",          # documentation
    )
)


def objection(address: str, allowed: Networks = ()) -> str | None:
    """Why we do not connect to this IP address, or None if we may. `allowed` are the networks development opens; an embedded IPv4 is never looked into."""
    try:
        ip = ip_address(address)
    except ValueError:
        return f"{address} is no IP address"
    if any(ip.version == network.version and ip in network for network in allowed):
        return None
    if isinstance(ip, IPv4Address):
        refused = any(ip in network for network in _REFUSED_4)
    else:
        refused = ip not in _ALLOWED_6 or any(ip in network for network in _REFUSED_6)
    return f"{address} is not a public address" if refused else None


class _Resolver(AbstractResolver):
    """Names to addresses, on threads of its own: fifty names that hang must not hold up everybody's disk and key work in the default pool."""

    def __init__(self, judge: Callable[[str], str | None]) -> None:
        self._judge = judge
        self._threads = ThreadPoolExecutor(32, "resolve")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Every address of the name; one that is not public refuses the whole name, whatever order a resolver gives them in."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        )
        results: list[ResolveResult] = []
        for kind, _, protocol, _, address in found:
            literal = str(address[0])
            if why := self._judge(literal):
                raise _Refusal(why)
            numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            results.append(ResolveResult(hostname=host, host=literal, port=int(address[1]), family=kind, proto=protocol, flags=numeric))
        return results

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=4096)
def _httpx(url: str) -> httpx.URL:
    return httpx.URL(url)


@lru_cache(maxsize=4096)
def _yarl(url: str) -> URL:
    return URL(url, encoded=True)


class _Verbatim:
    """Stands between transport and session so that a URL goes out as it was signed: yarl would decode `%61` and quote anew."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(self, *, url: str, **options: object) -> object:
        return self._session.request(url=_yarl(url), **options)  # type: ignore[arg-type]  # the transport's own keywords, handed on


class _Transport(AiohttpTransport):
    """The transport over our session and no other: left to itself it would make an unguarded one for any client it does not recognise."""

    def __init__(self, session: aiohttp.ClientSession, trusted: ssl.SSLContext) -> None:
        super().__init__(verify=trusted, trust_env=False)
        self._verbatim = _Verbatim(session)

    def get_client(self) -> aiohttp.ClientSession:
        return self._verbatim  # type: ignore[return-value]  # all that is called of it is `request`


@dataclass(frozen=True, slots=True)
class _Ways:
    """The one session, and the transport over it."""

    session: aiohttp.ClientSession
    transport: _Transport


class Network:
    """The way out to other servers. Made once, used by every room through `actors.remote` and `outbox.deliver`."""

    def __init__(self, config: Config) -> None:
        development = config.development
        # What is refused depends on the address and this setting alone, so a verdict on an address may be kept; what a name stands for never is.
        self._judge = lru_cache(maxsize=4096)(partial(objection, allowed=development.allow_networks if development else ()))
        self._plain_http = bool(development and development.plain_http)
        self._any_port = development is not None
        self._agent = f"fedmatch/{version('fedmatch')} (+{config.base_url}/)"
        self._most_sockets = max(256, 4 * config.federation.deliveries_at_once)
        self._ways: _Ways | None = None
        self.flights = Flights()

    def target(self, url: str) -> Target:
        """The canonical spelling of a URL this instance may ask for, for those who sign it; raises `BadUrl`."""
        return target(url, plain_http=self._plain_http, any_port=self._any_port)

    async def get(self, url: str, *, headers: Mapping[str, str], limit: int = MOST_BODY, deadline_s: float = DEADLINE_S) -> Outcome:
        """One GET, no redirect followed: the caller judges, signs and asks for the next hop.

        `limit` is in bytes, more is `Refused`; `deadline_s` is for all of it, from the name to the last byte.
        """
        try:
            spelled, sent = self._asked(url, headers)
        except BadUrl as error:
            return Refused(str(error))
        try:
            request = httpx.Request("GET", _httpx(spelled.url), headers=sent)
            async with asyncio.timeout(deadline_s):
                response = await self._open().transport.handle_async_request(request)
                stream: httpx.AsyncByteStream = response.stream  # type: ignore[assignment]  # the transport's stream is the asynchronous kind
                try:
                    return await _read(response.status_code, response.headers.raw, stream, spelled.url, limit, cut=False)
                finally:
                    await _let_go(stream.aclose())
        except TimeoutError:
            return Unreachable(f"no answer within {deadline_s:g} s", temporary=True)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError, _Refusal) as error:
            return _outcome(error)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, deadline_s: float = DEADLINE_S) -> Outcome:
        """One POST. At most 4 KiB of the answer are read; what is longer is cut off, since the status alone decides."""
        first = await self._post(url, body, headers, deadline_s)
        if isinstance(first, Unreachable) and first.why == _STALE:
            # The peer closed a kept connection while we wrote on it. Receivers fold a repeated activity by its id, so once more is safe.
            return await self._post(url, body, headers, deadline_s)
        return first

    async def close(self) -> None:
        """Closes every connection; the next request would open anew."""
        await self.flights.close()
        ways, self._ways = self._ways, None
        if ways is not None:
            await ways.session.close()
            # Closing TLS transports takes one more turn of the loop before their sockets are gone.
            await asyncio.sleep(0)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> Outcome:
        """One attempt, by the session itself: httpx's request and answer objects would add half again to what most of our work away from home costs."""
        try:
            spelled, sent = self._asked(url, headers)
        except BadUrl as error:
            return Refused(str(error))
        try:
            async with asyncio.timeout(deadline_s):
                response = await self._open().session.request("POST", _yarl(spelled.url), headers=sent, data=body, allow_redirects=False)
                try:
                    return await _read(response.status, response.raw_headers, response.content.iter_any(), spelled.url, MOST_ANSWER, cut=True)
                finally:
                    if not response.closed:
                        response.release()
                        await _let_go(response.wait_for_close())
        except aiohttp.ConnectionTimeoutError:
            return Unreachable(f"no connection within {CONNECT_S:g} s", temporary=True, connected=False)
        except TimeoutError:
            return Unreachable(f"no answer within {deadline_s:g} s", temporary=True)
        except (aiohttp.ClientError, OSError, ValueError, _Refusal) as error:
            return _outcome(error)

    def _asked(self, url: str, headers: Mapping[str, str]) -> tuple[Target, dict[str, str]]:
        """Where a request goes, and its complete headers; raises `BadUrl`."""
        spelled = self.target(url)
        sent = {name.lower(): value for name, value in headers.items()}
        sent |= {"user-agent": self._agent, "accept-encoding": "identity"}
        sent.setdefault("host", spelled.authority)
        sent.setdefault("accept", "*/*")
        return spelled, sent

    def _open(self) -> _Ways:
        """Session and transport, made at the first request since a connector belongs to a running loop."""
        if self._ways is None:
            # certifi's roots; SSL_CERT_FILE or SSL_CERT_DIR instead where an operator has a CA of their own.
            trusted = httpx.create_ssl_context()
            connector = aiohttp.TCPConnector(
                ssl=trusted,
                socket_factory=self._socket,
                resolver=_Resolver(self._judge),
                use_dns_cache=False,
                limit=self._most_sockets,
                limit_per_host=MOST_SOCKETS_PER_HOST,
                keepalive_timeout=KEEP_ALIVE_S,
            )
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                max_headers=100,
            )
            self._ways = _Ways(session, _Transport(session, trusted))
        return self._ways

    def _socket(self, info: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
        """Makes the socket for one address, after judging it: nothing connects that did not pass here."""
        family, kind, protocol, _, address = info
        if why := self._judge(str(address[0])):
            raise _Refusal(why)
        return socket.socket(family=family, type=kind, proto=protocol)


async def _let_go(closing: Awaitable[None]) -> None:
    """Waits until an answer is closed, a second at most: an upload the peer never reads would hold it for ever."""
    with suppress(TimeoutError, httpx.HTTPError, aiohttp.ClientError):
        async with asyncio.timeout(1):
            await closing


async def _read(status: int, raw: Iterable[tuple[bytes, bytes]], pieces: AsyncIterable[bytes], url: str, limit: int, *, cut: bool) -> Outcome:
    """The answer, of whose body at most `limit` bytes are read; what is longer is cut off, or `Refused`."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if not cut:
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            # 304 bytes of brotli became 200 MB in one piece: whoever encodes although we asked for identity is not read.
            return Refused("an encoded answer")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            return Refused(f"an answer of more than {limit} bytes")
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit:
            return Fetched(status, headers, bytes(body[:limit]), url) if cut else Refused(f"an answer of more than {limit} bytes")
    return Fetched(status, headers, bytes(body), url)


_STALE: Final = "a kept connection was closed"


def _outcome(error: BaseException) -> Unreachable | Refused:
    """What a failure really was: the transport folds refusals, unknown names and bad certificates into one class and keeps the truth in `__cause__`."""
    link: BaseException | None = error
    for _ in range(10):
        match link:
            case None:
                break
            case _Refusal():
                return Refused(str(link))
            case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
                return Unreachable("its certificate does not hold", temporary=True, connected=False)
            case ssl.SSLError():
                return Unreachable("TLS failed", temporary=True, connected=False)
            case socket.gaierror() if link.errno in _NO_NAME:
                return Unreachable("no such name", temporary=False, connected=False)
            case socket.gaierror():
                return Unreachable("its name could not be looked up", temporary=True, connected=False)
            case aiohttp.ServerDisconnectedError():
                return Unreachable(_STALE, temporary=True)
            case ConnectionRefusedError():
                return Unreachable("connection refused", temporary=True, connected=False)
            case ConnectionResetError() | BrokenPipeError():
                return Unreachable(_STALE, temporary=True)
            case OSError() if link.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                return Unreachable("no way to its network", temporary=True, connected=False)
        link = link.__cause__
    return Unreachable(f"no usable answer ({type(error).__name__})", temporary=True)


_NO_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
