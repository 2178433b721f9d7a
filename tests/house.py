"""What does a test of one room stand in? An Instance around the `database` fixture, so that it runs on both engines; nothing is served and nothing runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from actors import hosts, keys, known, local, trust, vault
from actors.hosts import Limits
from actors.instance import Instance
from actors.keys import KeyRing, NewKeys
from actors.known import Actor
from actors.outbound import Network
from schemas import config as configs
from schemas.events import Answer, Event
from schemas.objects import ActorDocument, Key
from schemas.reading import Iri
from schemas.storage import Database, Transaction

BASE = "https://ours.example"


class Clock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def ms(self) -> int:
        return int(self.at.timestamp() * 1000)

    def move(self, **span: float) -> None:
        self.at += timedelta(**span)


class Ids:
    """Ids that count up."""

    def __init__(self, first: int = 1000) -> None:
        self._next = count(first)

    def new(self, at_ms: int | None = None) -> int:
        return next(self._next)


@dataclass
class House:
    """An Instance and what was told in it."""

    instance: Instance
    clock: Clock
    told: list[Event] = field(default_factory=list)

    async def write(self, body: Any, *values: Any, **named: Any) -> Any:
        return await self.instance.database.write(body, *values, **named)

    async def read(self, body: Any, *values: Any, **named: Any) -> Any:
        return await self.instance.database.read(body, *values, **named)

    async def person(self, name: str, *, locked: bool = False) -> Actor:
        """Somebody who lives here, with the pair everybody has."""
        return await self.write(local._create, self.instance, name, "Person", locked, None, PAIR)

    async def stranger(self, name: str, host: str = "theirs.example", new: NewKeys | None = None) -> Actor:
        """A remote actor, stored as if fetched."""
        return await self.write(store, self.instance, describe(name, host, new or PAIR))


PAIR = keys._make()
"""One pair for everybody in a test who never signs: making RSA keys is the slow part."""


def describe(username: str, host: str = "theirs.example", new: NewKeys = PAIR, **changes: Any) -> ActorDocument:
    """The document of a remote actor."""
    uri = Iri(f"https://{host}/users/{username}")
    document = ActorDocument(
        id=uri,
        kind="Person",
        username=username,
        inbox=Iri(f"{uri}/inbox"),
        keys=(Key(Iri(f"{uri}#main-key"), uri, "rsa", new.rsa_public), Key(Iri(f"{uri}#ed25519-key"), uri, "ed25519", new.ed25519_public, proves=True)),
        shared_inbox=Iri(f"https://{host}/inbox"),
    )
    return replace(document, **changes)


async def store(tx: Transaction, instance: Instance, document: ActorDocument) -> Actor:
    host = hosts.authority(document.id)
    return await known.store(tx, instance, document, host, await hosts.ensure(tx, instance, host))


def configure(folder: Path, **changes: Any) -> configs.Config:
    """A public instance `ours.example` with a vault that opens by itself."""
    config = configs.Config(
        path=folder / "instance.toml",
        host="ours.example",
        base_url=BASE,
        name="Ours",
        description="",
        contact="admin@ours.example",
        folder=folder,
        database=configs.DatabaseConfig(),
        server=configs.ServerConfig(),
        vault=configs.VaultConfig("file", folder / "vault.key"),
        federation=configs.FederationConfig(),
        limits=configs.LimitsConfig(),
        log=configs.LogConfig(),
        board=configs.BoardConfig(),
        development=None,
    )
    return replace(config, **changes)


async def build(database: Database, config: configs.Config, *, subscribers: Mapping[type, Sequence[Any]] | None = None) -> House:
    """The house around `database`; every event told in it is noted after the subscribers heard it."""
    clock = Clock()
    instance = Instance(
        config=config,
        database=database,
        vault=await vault.start(database, config.vault, clock, passphrase=None),
        clock=clock,
        ids=Ids(),
        network=Network(config),
        keys=KeyRing(),
        limits=Limits(),
        trust=await trust.start(database, config.federation.mode),
    )
    house = House(instance, clock)

    async def note(tx: Transaction, event: Event) -> Answer | None:
        house.told.append(event)
        return None

    kinds: tuple[type, ...] = Event.__args__  # type: ignore[attr-defined]  # the members of the union
    instance.subscribers = {kind: (*(subscribers or {}).get(kind, ()), note) for kind in kinds}
    return house
