"""What does each server know? Everything that lies in its files, everything it ever sealed or opened while it ran, and everything that left it.

A server that runs can read what its vault opened: so the words of a private thing may be found in the `opened` of those it was meant for, and nowhere else; in
the files of nobody. Nothing is replaced: the real vault and the real network do the work, and what passes through them is written down.
"""

import re
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from actors import sealing
from tests.world import Site, World, spellings


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


@dataclass
class Knowledge:
    """What the sites of a world know, from the moment each is watched."""

    world: World
    patch: pytest.MonkeyPatch
    opened: dict[str, list[bytes]] = field(default_factory=dict)
    sent: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        real = sealing.unseal

        def unseal(envelope: Any, way: Any, *keys: Any) -> bytes:
            plain = real(envelope, way, *keys)
            for site in self.world.sites.values():
                if site.host == way.receiver_host:
                    self.opened.setdefault(site.name, []).append(plain)
            return plain

        self.patch.setattr(sealing, "unseal", unseal)

    def watch(self, *sites: Site) -> None:
        """From now on everything of these sites is written down. Call it before anything secret is typed."""
        for site in sites:
            instance: Any = site.instance
            instance.vault = _Vault(instance.vault, self.opened.setdefault(site.name, []))
            instance.network = _Network(instance.network, self.sent.setdefault(site.name, []))

    def disk(self, canary: str) -> set[str]:
        """The sites with a file, a log or a queue that holds a text in any spelling."""
        return set(self.world.grep(canary))

    def known(self, canary: str) -> set[str]:
        """The sites that could read a text while they ran: in a file, or sealed and opened there."""
        found = self.disk(canary)
        for name, plains in self.opened.items():
            if any(spelling in plain for plain in plains for spelling in spellings(canary)):
                found.add(name)
        return found

    def left(self, canary: str) -> set[str]:
        """The hosts to which a body went that held a text in the open, in any spelling."""
        wanted = [re.compile(re.escape(one)) for one in spellings(canary)]
        return {_host(url) for bodies in self.sent.values() for url, body in bodies if any(one.search(body) for one in wanted)}

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
