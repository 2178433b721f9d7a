"""How does a process live? Start, say where it is, serve until told to stop, finish what was begun, end."""

import asyncio
import gc
import json as json_module
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import hypercorn.asyncio
import hypercorn.asyncio.run
import hypercorn.config
import hypercorn.protocol
import structlog
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, Updated
from hypercorn.protocol.h11 import H11Protocol

from actors.instance import Clock, Instance
from actors.vault import WrongSecret
from fedmatch import app, control, disk, memory
from fedmatch.backup import sealed
from fedmatch.listener import Listener
from fedmatch.logs import Enduring
from fedmatch.worker import Worker
from schemas.config import Config, bind
from schemas.reading import App

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()

GRACE_S: Final = 8.0
"""How long requests in flight may still take after SIGTERM; with the worker's drain beside it the process ends within 10 s."""


END_S: Final = 9.3
"""When whatever still runs is cut off: the process has to be gone after 10 s."""
HEAD_S: Final = 75
"""How long a connection may say nothing, or be about to say what it wants."""
BACKLOG: Final = 1024


class _Http1Only(H11Protocol):
    """HTTP/1.1 and nothing else: no upgrade to h2c, no HTTP/2 by prior knowledge; a proxy in front speaks it and there is less to attack."""

    async def _check_protocol(self, event: object) -> None:
        # An `Upgrade: h2c` is ignored, as HTTP allows; the preface `PRI * HTTP/2.0` is an unknown method, which the guard refuses.
        return

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, Closed):
            # Hypercorn keeps the socket of whoever left until the idle time of 75 s is over, unless it is told that nothing idles any more.
            await self.send(Updated(idle=False))

    async def _send_error_response(self, status_code: int) -> None:
        # A Transfer-Encoding nobody knows is the asker's trouble, not ours: Mastodon would take a 501 for an answer for ever.
        await super()._send_error_response(400 if status_code >= 500 else status_code)


class _Connection(TCPServer):
    """One connection. What goes wrong with it ends it alone: at the end hypercorn waits for all together, and the first error would cut the others off."""

    async def run(self) -> None:
        try:
            await super().run()
        except (ExceptionGroup, OSError) as error:
            broken = error.exceptions if isinstance(error, ExceptionGroup) else [error]
            log.info("connection.broke", errors=[type(one).__name__ for one in broken])


class _Settings(hypercorn.config.Config):
    """Hypercorn's settings, with a socket of ours in place of one that it would make."""

    listener: Listener

    def create_sockets(self) -> hypercorn.config.Sockets:
        return hypercorn.config.Sockets([], [self.listener], [])


async def serve_forever(
    config: Config, *, passphrase: str | None, bind: str | None, worker: bool, json: bool, config_path: Path, clock: Clock | None = None
) -> None:
    """Serves requests, and works unless `worker` is False, until SIGTERM or SIGINT; by the machine's clock unless another is given."""
    async with _running(config, passphrase, clock) as instance:
        address = bind or config.server.bind
        tasks = [asyncio.create_task(_web(instance, address, lambda actual: _announce(instance, actual, json=json, config_path=config_path)), name="web")]
        if worker:
            tasks.append(asyncio.create_task(Worker(instance).run(), name="worker"))
        await _until_one_ends(instance, tasks)


async def work_forever(config: Config, *, passphrase: str | None, json: bool) -> None:
    """Works, without serving requests, until SIGTERM or SIGINT."""
    async with _running(config, passphrase) as instance:
        if json:
            _tell(json_module.dumps({"working": True, "host": config.host}))
        log.info("working", host=config.host)
        await _until_one_ends(instance, [asyncio.create_task(Worker(instance).run(), name="worker")])


async def _until_one_ends(instance: Instance, tasks: list[asyncio.Task[None]]) -> None:
    """Waits for all; whichever ends first, well or badly, ends the others. Nobody is waited for longer than 9.3 s after that."""
    for task in tasks:
        task.add_done_callback(lambda _: instance.stopping.set())
    await instance.stopping.wait()
    _, late = await asyncio.wait(tasks, timeout=END_S)
    for task in late:
        log.warning("cut off", part=task.get_name())
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    if broken := [error for error in ended if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError)]:
        raise broken[0]


@asynccontextmanager
async def _running(config: Config, passphrase: str | None, clock: Clock | None = None) -> AsyncIterator[Instance]:
    """The instance with everything a long-lived process has: signals, the watch on others' commits, the control socket."""
    memory.lean()
    try:
        instance = await app.build(config, passphrase=passphrase, clock=clock)
    except WrongSecret as error:
        raise app.CannotStart("that is not the passphrase of this vault") from error
    if config.database.url == "sqlite":
        disk.keep_reserve(config.folder)
    loop = asyncio.get_running_loop()
    memory.watch(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, instance.stopping.set)
    door = await control.listen(config.folder, _commands(instance))
    if config.development is not None:
        log.warning(
            "DEVELOPMENT MODE: others are reached over plain http and on private networks; never use it with real people",
            networks=[str(network) for network in config.development.allow_networks],
            plain_http=config.development.plain_http,
        )
    if instance.vault.locked:
        log.warning("vault locked: what arrives is sealed and waits; run `fedmatch unlock`")
    app.prepare(instance)
    memory.settle()
    try:
        yield instance
    finally:
        gc.unfreeze()
        await door.close()
        await app.close(instance)
        log.info("stopped")


def _commands(instance: Instance) -> "dict[str, Callable[[control.Question], Awaitable[control.Answer]]]":
    async def unlock(question: control.Question) -> control.Answer:
        if instance.vault.locked:
            try:
                await asyncio.to_thread(instance.vault.unlock, question.get("passphrase", "").encode())
            except WrongSecret:
                return {"ok": False, "error": "wrong passphrase"}
            log.info("vault unlocked")
        for kind in ("arrival", "delivery", "job"):
            instance.wake(kind)
        return {"ok": True}

    async def ping(_question: control.Question) -> control.Answer:
        return {"ok": True, "locked": instance.vault.locked}

    async def backup(_question: control.Question) -> control.Answer:
        """A secret for a backup that a command takes beside us: sealed by the open vault, which proves that we made it."""
        if instance.vault.locked:
            return {"ok": False, "error": "locked"}
        once = sealed.secret(instance.vault)
        return {"ok": True, "id": once.id.hex(), "plain": once.plain.hex(), "sealed": once.sealed.hex()}

    return {"unlock": unlock, "ping": ping, "backup": backup}


async def _web(instance: Instance, address: str, started: "Callable[[str], None]") -> None:
    """Serves HTTP/1.1 until `instance.stopping`."""
    application = app.web(instance)
    if instance.config.server.software == "uvicorn":
        await _uvicorn(application, instance, address, started)
    else:
        await _hypercorn(application, instance, address, started)


async def _hypercorn(application: App, instance: Instance, address: str, started: "Callable[[str], None]") -> None:
    settings = _Settings()
    settings.accesslog = None  # an access log would write addresses down
    settings.errorlog = None
    settings.alpn_protocols = ["http/1.1"]
    settings.h11_max_incomplete_size = 64 * 1024
    settings.include_server_header = False
    settings.graceful_timeout = GRACE_S
    settings.keep_alive_timeout = HEAD_S  # from the first byte to the end of the head, too
    settings.keep_alive_max_requests = 100_000  # the servers that deliver most reuse one connection for hours
    settings.backlog = BACKLOG

    async def shutdown() -> None:
        await instance.stopping.wait()

    listener = _listen(address)
    started(_name(listener))
    settings.listener = Listener(fileno=listener.detach())
    settings.listener.setblocking(False)
    setattr(hypercorn.protocol, "H11Protocol", _Http1Only)  # noqa: B010  # hypercorn has no switch for it, and exports no name to replace
    setattr(hypercorn.asyncio.run, "TCPServer", _Connection)  # noqa: B010  # nor for this
    await hypercorn.asyncio.serve(application, settings, shutdown_trigger=shutdown)  # type: ignore[arg-type]  # any ASGI callable


async def _uvicorn(application: App, instance: Instance, address: str, started: "Callable[[str], None]") -> None:
    try:
        import uvicorn
    except ImportError as error:
        raise app.CannotStart('instance.toml: [server] `software` is "uvicorn", which is not installed; pip install "fedmatch[speed]"') from error
    settings = uvicorn.Config(
        application,
        http=_origin_form_only(),
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=int(GRACE_S),
    )
    server = uvicorn.Server(settings)

    async def shutdown() -> None:
        await instance.stopping.wait()
        server.should_exit = True

    bound = _listen(address)
    started(_name(bound))
    listener = Listener(fileno=bound.detach())
    listener.setblocking(False)
    stopper = asyncio.create_task(shutdown())
    try:
        # `serve` would put its own signal handlers over ours.
        await server._serve([listener])
    finally:
        stopper.cancel()
        listener.close()


def _origin_form_only() -> "type[asyncio.Protocol] | Literal['h11']":
    """What uvicorn reads HTTP with: httptools, told to hide no absolute URL from us, or h11, which hides none."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class OriginFormOnly(HttpToolsProtocol):
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
            super().connection_made(transport)
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_came()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._waiting is None:
                self._await_head()

        def _await_head(self) -> None:
            # uvicorn itself waits for ever for the end of a head: a byte a minute would hold a connection.
            self._waiting = self.loop.call_later(HEAD_S, self.transport.close)

        def _head_came(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def on_headers_complete(self) -> None:
            self._head_came()
            if not self.url.startswith(b"/"):
                # It would be cut down to its path, and `GET http://evil.example/` answered as ours. As a second Host the guard refuses it.
                self.headers.append((b"host", self.url))
            super().on_headers_complete()

    return OriginFormOnly


def _listen(address: str) -> socket.socket:
    """The listening socket, made before the server so that port 0 gets its number and a taken port a sentence."""
    host, port = bind(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise app.CannotStart(f"{address} cannot be listened on ({error.strerror}); stop what listens there, or change [server] `bind`") from error
    listener.setblocking(False)
    return listener


def _name(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _announce(instance: Instance, address: str, *, json: bool, config_path: Path) -> None:
    """Says where we are and what to do next; a closed standard output is no reason to stop."""
    config = instance.config
    log.info("serving", address=address, base_url=config.base_url)
    command = _command() if str(config_path) == "instance.toml" else f"{_command()} --config {config_path}"
    words = (
        json_module.dumps({"address": f"http://{address}", "base_url": config.base_url, "host": config.host})
        if json
        else f"""
  {config.name} is open at {config.base_url}

  The next three commands, in another terminal:
    {command} user create alice
    {command} listing post --as alice --kind request --category LegalAid --title "A lawyer" --text "Who knows asylum law?" --audience public
    {command} follow bob@another.instance --as alice

  Ctrl-C stops it.
"""
    )
    _tell(words)


def _command() -> str:
    """How our command is typed here: its name where the shell finds it, else its place in the virtual environment."""
    if shutil.which("fedmatch"):
        return "fedmatch"
    beside = Path(sys.executable).with_name("fedmatch")
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)


def _tell(words: str) -> None:
    out = Enduring(sys.stdout)
    out.write(f"{words}\n")
    out.flush()
