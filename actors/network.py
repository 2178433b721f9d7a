"""How does a request go over the wire? The HTTP libraries' classes do not leave this file; `actors.outbound` is the way to it.

What is fetched goes as an `httpx.Request` through httpx-aiohttp's transport without a client object, what is delivered through the same session directly.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from actors.outbound import STALE, Fetched, Outcome, Refused, Unreachable

MOST_ANSWER: Final = 4096
"""What is read of an inbox's answer; nobody needs more than its status."""
CONNECT_S: Final = 8.0
"""A connection that does not stand after this long is nobody's; less than the whole deadline, so that we can tell."""
KEEP_ALIVE_S: Final = 15.0
MOST_SOCKETS_PER_HOST: Final = 16


class _Refusal(Exception):
    """The guard said no. No OSError: those come back from the transport as if a peer were slow."""


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


class Connections:
    """What is open to other servers; every socket passed `judge`, which says why one is not made to an address."""

    def __init__(self, judge: Callable[[str], str | None], most_sockets: int) -> None:
        self._judge = judge
        self._most_sockets = most_sockets
        self._ways: _Ways | None = None

    async def get(self, url: str, headers: Mapping[str, str], limit: int, deadline_s: float) -> Outcome:
        """One GET of a URL in its canonical spelling, as `Network.get`."""
        try:
            request = httpx.Request("GET", _httpx(url), headers=headers)
            async with asyncio.timeout(deadline_s):
                response = await self._open().transport.handle_async_request(request)
                stream: httpx.AsyncByteStream = response.stream  # type: ignore[assignment]  # the transport's stream is the asynchronous kind
                try:
                    return await _read(response.status_code, response.headers.raw, stream, url, limit, cut=False)
                finally:
                    await _let_go(stream.aclose())
        except TimeoutError:
            return Unreachable(f"no answer within {deadline_s:g} s", temporary=True)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError, _Refusal) as error:
            return _outcome(error)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> Outcome:
        """One attempt, by the session itself: httpx's request and answer objects would add half again to what most of our work away from home costs."""
        try:
            async with asyncio.timeout(deadline_s):
                response = await self._open().session.request("POST", _yarl(url), headers=headers, data=body, allow_redirects=False)
                try:
                    return await _read(response.status, response.raw_headers, response.content.iter_any(), url, MOST_ANSWER, cut=True)
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

    async def close(self) -> None:
        """Closes every connection; the next request would open anew."""
        ways, self._ways = self._ways, None
        if ways is not None:
            await ways.session.close()
            # Closing TLS transports takes one more turn of the loop before their sockets are gone.
            await asyncio.sleep(0)

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
                return Unreachable(STALE, temporary=True)
            case ConnectionRefusedError():
                return Unreachable("connection refused", temporary=True, connected=False)
            case ConnectionResetError() | BrokenPipeError():
                return Unreachable(STALE, temporary=True)
            case OSError() if link.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                return Unreachable("no way to its network", temporary=True, connected=False)
        link = link.__cause__
    return Unreachable(f"no usable answer ({type(error).__name__})", temporary=True)


_NO_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
