"""What is one running instance made of? Everything a room needs, put together once in fedmatch/app.py and passed along."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from actors.generations import Watch
from actors.hosts import Limits
from actors.keys import KeyRing
from actors.outbound import Network
from actors.trust import Trust
from actors.vault import Vault
from schemas.config import Config
from schemas.events import Answer, Event, Subscriber
from schemas.storage import Database, Transaction


class Clock(Protocol):
    """Where time comes from; tests own theirs."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def ms(self) -> int:
        """Milliseconds UTC since 1970."""
        ...


class Ids(Protocol):
    """The one id generator: 48 bits of milliseconds, 16 bits that start random and count up in each process."""

    def new(self, at_ms: int | None = None) -> int:
        """A new id for now, or for the moment `at_ms` (a remote post takes its `published`, clamped to [2010, now])."""
        ...


@dataclass(slots=True)
class Instance:
    """One running instance. Rooms take it whole; what it holds decides what they may do."""

    config: Config
    database: Database
    vault: Vault
    clock: Clock
    ids: Ids
    network: Network
    keys: KeyRing
    limits: Limits
    trust: Trust
    subscribers: Mapping[type, Sequence[Subscriber]] = field(default_factory=dict)
    wake: Callable[[str], None] = lambda _kind: None
    """Tells this process's worker that a row of this kind ("arrival", "delivery", "job") may be due; other processes see the commit."""
    at_once: bool = False
    """Whether plain posts are done at the door (inbox/at_once.py): this process works too, and none died here a short while ago."""
    restored: bool = False
    """Whether this database was once restored from a backup: then `actors.spent` knows what the time in between gave and deleted."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    memory: dict[str, object] = field(default_factory=dict, repr=False)
    """What the product keeps opened in memory, by name; it knows itself when that is old (`actors.generations`)."""
    watch: Watch | None = None
    """Drops what is cached in memory when any process changes it; started and closed in fedmatch/app.py."""

    async def tell(self, tx: Transaction, event: Event) -> Answer:
        """Tells every subscriber of the event's type, inside this transaction; TAKEN if one of them took it."""
        answers = [await subscriber(tx, event) for subscriber in self.subscribers.get(type(event), ())]
        return Answer.TAKEN if Answer.TAKEN in answers else Answer.PASS
