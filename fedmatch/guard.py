"""Is this request one that we read at all? The outermost door: what no part of the program should ever have to think about ends here.

A plain ASGI callable around everything. It refuses ambiguous or oversized requests, foreign hosts and odd methods, counts and times the body while it
streams, forgets the address of whoever asks, answers "our own trouble" with 503, and gives every HTML page its security headers.
"""

import asyncio
import ipaddress
import json
from collections.abc import Generator
from typing import Any, Final

import structlog

from fedmatch import memory
from schemas.config import Config
from schemas.reading import App, Headers, Message, Receive, Send
from schemas.storage import Unavailable

log = structlog.get_logger()

MOST_HEADERS: Final = 100
MOST_HEADER_BYTES: Final = 32 * 1024
MOST_PATH: Final = 4096
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
RETRY_AFTER: Final = 5

_ANSWERS: Final = {
    400: ("malformed", "The request is ambiguous or malformed."),
    405: ("refused", "This method is not known here."),
    408: ("late", "The request took too long to arrive."),
    413: ("too_large", "The body is too large."),
    414: ("too_large", "The address is too long."),
    415: ("malformed", "Encoded bodies are not read; send the plain bytes."),
    421: ("refused", "This server does not serve that host."),
    431: ("too_large", "The headers are too many or too long."),
    503: ("later", "The server cannot do this right now; please try again later."),
}

_FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-prefix", b"x-real-ip"}
)
_REWRITING: Final = frozenset({b"x-original-url", b"x-rewrite-url", b"x-http-method-override", b"x-forwarded-path", b"x-forwarded-uri"})
_DROPPED: Final = _FORWARDED | _REWRITING

_EVERY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_PAGE: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    """The outermost ASGI application of an instance.

    `app` sees only requests for our own host, in origin form, with at most 100 headers of 32 KiB together, a known method and a body that is neither
    longer than `limits.body` nor slower than `limits.request_seconds`; it never sees an address (`client` is None) nor a forwarding header. Behind
    `server.trusted_proxies` `X-Forwarded-Proto` decides the scheme and nothing else: hosts and signed targets come from the configuration.
    `trouble` are the errors that mean "not now" (a busy database, a full disk): they become 503 with Retry-After.
    """

    def __init__(self, app: App, config: Config, trouble: tuple[type[Exception], ...] = (Unavailable,)) -> None:
        self._app = app
        self._hosts = frozenset({config.authority.lower().encode(), config.host.lower().encode()})
        name, _, port = config.authority.partition(":")
        if config.development is not None and name == "localhost":
            # A developer types any of the three; signatures still name the one of the configuration.
            self._hosts |= {f"{loopback}:{port}".encode() if port else loopback.encode() for loopback in ("127.0.0.1", "[::1]")}
        default = b":443" if config.scheme == "https" else b":80"
        self._hosts |= {host + default for host in self._hosts if b":" not in host.rpartition(b"]")[2]}
        self._limit, self._seconds = config.limits.body, config.limits.request_seconds
        self._scheme = config.scheme
        self._trouble = trouble
        self._proxies = tuple(ipaddress.ip_network(text, strict=False) for text in config.server.trusted_proxies)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # Nothing here speaks WebSocket yet; an unasked one is closed before it opens.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        status, length, scheme = self._judge(scope)
        if status:
            log.info("request.refused", status=status, method=str(scope["method"])[:10])
            await answer(send, status)
            return
        headers: Headers = [header for header in scope["headers"] if header[0] not in _DROPPED]
        inner = {**scope, "client": None, "headers": headers}
        if scheme is not None:
            inner["scheme"] = scheme
        passage = _Passage(receive, send, self._limit, self._seconds, length, self._scheme == "https")
        try:
            await self._app(inner, passage.receive, passage.send)
        except self._trouble as error:
            log.warning("database.unavailable", error=type(error).__name__)
            if not passage.started:
                await answer(send, 503)
        except MemoryError:
            memory.over()

    def _judge(self, scope: Message) -> tuple[int, int, str | None]:
        """The status to refuse with (0: none), the announced length of the body (-1: unknown), and the scheme a trusted proxy names."""
        if scope["method"] not in METHODS:
            return 405, 0, None
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        # Absolute and authority form are for proxies; `*` is for OPTIONS to a whole server. We are neither.
        if not raw_path.startswith(b"/"):
            return 400, 0, None
        if len(raw_path) + len(scope["query_string"]) > MOST_PATH:
            return 414, 0, None
        headers: Headers = scope["headers"]
        if len(headers) > MOST_HEADERS:
            return 431, 0, None
        size, hosts, lengths, chunked, odd, encoded, proto = 0, [], [], False, False, False, b""
        for name, value in headers:
            size += len(name) + len(value)
            match name:
                case b"host":
                    hosts.append(value)
                case b"content-length":
                    lengths.append(value)
                case b"transfer-encoding":
                    odd = odd or chunked or value.lower() != b"chunked"
                    chunked = True
                case b"content-encoding":
                    encoded = encoded or value.strip().lower() != b"identity"
                case b"x-forwarded-proto":
                    proto = value
        if size > MOST_HEADER_BYTES:
            return 431, 0, None
        # RFC 9112 6.3: both together, two lengths, or an encoding one server knows and another does not, is how requests are smuggled.
        if odd or len(lengths) > 1 or (lengths and chunked) or (lengths and not (lengths[0].isdigit() and len(lengths[0]) < 16)):
            return 400, 0, None
        if len(hosts) != 1:
            return 400, 0, None
        # A health check of the machine itself knows no host name, and the answer names nothing.
        if hosts[0].lower() not in self._hosts and raw_path != b"/healthz":
            return 421, 0, None
        if encoded:
            return 415, 0, None
        length = int(lengths[0]) if lengths else -1 if chunked else 0
        if length > self._limit:
            return 413, 0, None
        return 0, length, self._forwarded(scope, proto) if proto else None

    def _forwarded(self, scope: Message, proto: bytes) -> str | None:
        client = scope.get("client")
        if not client or proto not in (b"http", b"https"):
            return None
        try:
            address = ipaddress.ip_address(client[0])
        except ValueError:
            return None
        return proto.decode() if any(address in network for network in self._proxies) else None


class _Rest:
    """What is left of an awaitable that was stepped once, and gave `waited` to wait for."""

    __slots__ = ("_steps", "_waited")

    def __init__(self, steps: Generator[Any, Any, Message], waited: object) -> None:
        self._steps, self._waited = steps, waited

    def __await__(self) -> Generator[Any, Any, Message]:
        waited = self._waited
        try:
            while True:
                try:
                    sent = yield waited
                except BaseException as error:  # a cancellation, which belongs to whoever waits inside
                    waited = self._steps.throw(error)
                else:
                    waited = self._steps.send(sent)
        except StopIteration as end:
            message: Message = end.value
            return message


class _Passage:
    """One request on its way through: counts and times the body, and adds headers to the answer."""

    __slots__ = ("_complete", "_deadline", "_left", "_over", "_receive", "_secure", "_send", "started")

    def __init__(self, receive: Receive, send: Send, limit: int, seconds: int, length: int, secure: bool) -> None:
        self._receive, self._send, self._secure = receive, send, secure
        self._left = limit
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._complete = self._over = self.started = False

    async def receive(self) -> Message:
        if self._over:
            return {"type": "http.disconnect"}
        if self._complete:
            return await self._receive()
        # Nearly always the body is here already: a timer that is set and taken back for each would cost more than all else here.
        steps = self._receive().__await__()
        try:
            waited = next(steps)
        except StopIteration as here:
            message: Message = here.value
        else:
            try:
                async with asyncio.timeout_at(self._deadline):
                    message = await _Rest(steps, waited)
            except TimeoutError:
                return await self._stop(408)
        if message["type"] != "http.request":
            return message
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            return await self._stop(413)
        self._complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] == "http.response.start":
            self.started = True
            headers: Headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            page = any(value.startswith(b"text/html") for name, value in headers if name.lower() == b"content-type")
            extra = (*_EVERY, *_PAGE) if page else _EVERY
            headers += [header for header in extra if header[0] not in names]
            if self._secure:
                headers.append(_TRANSPORT)
            message = {**message, "headers": headers}
        await self._send(message)

    async def _stop(self, status: int) -> Message:
        """Answers in place of the application, which only learns that the other side is gone."""
        self._over = True
        if not self.started:
            log.info("request.refused", status=status)
            self.started = True
            await answer(self._send, status)
        return {"type": "http.disconnect"}


async def answer(send: Send, status: int) -> None:
    """Sends a whole small JSON answer for one of the statuses the guard gives, and asks for the connection to be closed."""
    code, sentence = _ANSWERS[status]
    body = json.dumps({"error": sentence, "code": code}, separators=(",", ":")).encode()
    headers: Headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        # What is left of the body is never read.
        (b"connection", b"close"),
        *_EVERY,
    ]
    if status == 405:
        headers.append((b"allow", ", ".join(sorted(METHODS)).encode()))
    if status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
