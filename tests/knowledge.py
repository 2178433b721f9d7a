"""What does each server know? Everything that lies in its files, everything it ever sealed or opened while it ran, and everything that left it.

A server that runs can read what its vault opened: so the words of a private thing may be found in the `opened` of those it was meant for, and nowhere else; in
the files and the log of nobody. What left is every body that was sent and every answer that was given to whoever asked, heads and all. Nothing is replaced: the
real vault, network and application do the work, and what passes through them is written down.
"""

import logging
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
import structlog
from rich.console import Console
from rich.table import Table

from actors import sealing
from fedmatch import app
from tests.world import Site, World, spellings

LOG = "the log"
"""Stands beside the names of the sites where something was logged: all of a test log together."""
WHOEVER = "whoever asks"
"""Stands beside the hosts that were sent something where it was served."""


class _Vault:
    """The real vault; what it seals and opens is written down."""

    def __init__(self, real: Any, said: list[bytes]) -> None:
        self._real, self._said = real, said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def seal(self, plain: bytes, place: str) -> bytes:
        self._said.append(bytes(plain))
        return self._real.seal(plain, place)

    def open(self, sealed: bytes, place: str) -> bytes:
        plain = self._real.open(sealed, place)
        self._said.append(bytes(plain))
        return plain


class _Network:
    """The real network; every body that leaves is written down with where it went."""

    def __init__(self, real: Any, sent: list[tuple[str, bytes]]) -> None:
        self._real, self._sent = real, sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def post(self, url: str, body: bytes, *values: Any, **more: Any) -> Any:
        self._sent.append((str(url), bytes(body)))
        return await self._real.post(url, body, *values, **more)


class _Handler(logging.Handler):
    """What libraries log is written down."""

    def __init__(self, lines: list[bytes]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record).encode())


@dataclass
class Knowledge:
    """What the sites of a world know, from the moment each is watched; made before they are, for what they serve and log counts from their start."""

    world: World
    patch: pytest.MonkeyPatch
    opened: dict[str, list[bytes]] = field(default_factory=dict)
    unsealed: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    sent: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    served: list[bytes] = field(default_factory=list)
    logged: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        real, serve = sealing.unseal, app.web

        def unseal(envelope: Any, way: Any, *keys: Any) -> bytes:
            plain = real(envelope, way, *keys)
            for site in self.world.sites.values():
                if site.host == way.receiver_host:
                    self.opened.setdefault(site.name, []).append(plain)
                    self.unsealed.setdefault(site.name, []).append((way.sender_host, plain))
            return plain

        def web(instance: Any) -> Any:
            return self._serving(serve(instance))

        self.patch.setattr(sealing, "unseal", unseal)
        self.patch.setattr(app, "web", web)
        self.patch.setattr(structlog._config._CONFIG, "default_processors", [self._note, *structlog.get_config()["processors"]])
        self.patch.setattr(logging.getLogger(), "handlers", [*logging.getLogger().handlers, _Handler(self.logged)])

    def _note(self, _logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        given = event.get("exc_info")
        error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
        told = "".join(traceback.format_exception(error)) if error is not None else ""
        self.logged.append(f"{event!r} {told}".encode())
        return event

    def _serving(self, real: Any) -> Any:
        """The real application; every answer it gives is written down."""

        async def serve(scope: Any, receive: Any, send: Any) -> None:
            said: list[bytes] = []

            async def tell(message: Any) -> None:
                if message["type"] == "http.response.start":
                    said.extend(bytes(name) + b": " + bytes(value) + b"\n" for name, value in message["headers"])
                elif message["type"] == "http.response.body":
                    said.append(bytes(message.get("body", b"")))
                await send(message)

            try:
                await real(scope, receive, tell)
            finally:
                self.served.append(b"".join(said))

        return serve

    def watch(self, *sites: Site) -> None:
        """From now on everything of these sites is written down. Call it before anything secret is typed."""
        for site in sites:
            instance: Any = site.instance
            instance.vault = _Vault(instance.vault, self.opened.setdefault(site.name, []))
            instance.network = _Network(instance.network, self.sent.setdefault(site.name, []))

    def disk(self, canary: str) -> set[str]:
        """The sites with a file, a queue or a database that holds a text in any spelling, and `LOG` if a line of any log does."""
        return set(self.world.grep(canary)) | ({LOG} if _holds(self.logged, canary) else set())

    def known(self, canary: str) -> set[str]:
        """The sites that could read a text while they ran: in a file, or sealed and opened there."""
        return self.disk(canary) | self._opened(canary)

    def _opened(self, canary: str) -> set[str]:
        return {name for name, plains in self.opened.items() if _holds(plains, canary)}

    def left(self, canary: str) -> set[str]:
        """The hosts to which a body went that held a text in the open, in any spelling, and `WHOEVER` if an answer to anybody's question did."""
        found = {_host(url) for bodies in self.sent.values() for url, body in bodies if _holds((url.encode(), body), canary)}
        return found | ({WHOEVER} if _holds(self.served, canary) else set())

    def of(self, canary: str) -> tuple[set[str], set[str], set[str]]:
        """All three of a text: `known`, `disk`, `left`."""
        disk = self.disk(canary)
        return disk | self._opened(canary), disk, self.left(canary)

    def told_to(self, site: Site, by: Site) -> list[bytes]:
        """Everything that one site said to another, in the open or sealed, as that one could read it."""
        plain = [body for url, body in self.sent.get(by.name, []) if _host(url) == site.host]
        return [*plain, *(body for host, body in self.unsealed.get(site.name, []) if host == by.host)]

    def bodies_to(self, host: str) -> list[bytes]:
        """Every body that went to a host."""
        return [body for bodies in self.sent.values() for url, body in bodies if _host(url) == host]

    def table(self, canaries: dict[str, str]) -> str:
        """Who knows what, for people: `d` it lies on the disk, `r` a running server could read it."""
        table = Table("", *self.world.sites)
        for label, canary in canaries.items():
            disk, known = self.disk(canary), self.known(canary)
            table.add_row(label, *("d" if name in disk else "r" if name in known else "" for name in self.world.sites))
        console = Console(width=100, file=StringIO())
        console.print(table)
        return str(console.file.getvalue())  # type: ignore[attr-defined]  # the StringIO above


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _holds(plains: Iterable[bytes], canary: str) -> bool:
    wanted = spellings(canary)
    return any(one in plain for plain in plains for one in wanted)
