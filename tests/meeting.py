"""Where do our instance and a strange server meet? An Instance in development mode around a database, its own actor made, and a fake peer on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from unittest.mock import patch

from actors import keys, local
from actors.instance import Instance
from actors.known import Actor
from schemas import config as configs
from schemas.storage import Database
from tests import house
from tests.fakepeer import FakePeer
from tests.signing import pem

HOST = "localhost:8000"


@dataclass
class Meeting:
    """Us and them."""

    house: house.House
    peer: FakePeer
    application: Actor

    @property
    def instance(self) -> Instance:
        return self.house.instance

    def requests(self) -> list[str]:
        """What the peer was asked for, in order, as path and query."""
        return [heard.asked.target for heard in self.peer.log]


@cache
def _pair() -> keys.NewKeys:
    return keys._make()


@asynccontextmanager
async def meeting(database: Database, folder: Path, *, signed_only: bool = False, mode: configs.Mode = "open", **changes: Any) -> AsyncIterator[Meeting]:
    """The two, talking plain http on loopback; one RSA pair for the whole run, since nobody here attacks it."""
    configured = house.configure(
        folder,
        host=HOST,
        base_url=f"http://{HOST}",
        federation=configs.FederationConfig(mode=mode, signed_only=signed_only),
        development=configs.DevelopmentConfig((ip_network("127.0.0.0/8"), ip_network("::1/128")), True),
    )
    built = await house.build(database, replace(configured, **changes))

    async def make() -> keys.NewKeys:
        return _pair()

    with patch.object(keys, "make", make):
        application = await local.ensure_application(built.instance)
    peer = await FakePeer(built.clock.now).start()
    # The peer checks our signatures with code of its own; our actor is not served here, so it is given the key.
    public = keys.load("rsa", _pair().rsa_public)
    peer._keys[application.uri] = pem(_Public(public))  # type: ignore[arg-type]
    try:
        yield Meeting(built, peer, application)
    finally:
        await peer.stop()
        await built.instance.network.close()


@dataclass
class _Public:
    key: Any

    def public_key(self) -> Any:
        return self.key
