"""How is an instance put together? The composition root: the only file that knows every room."""

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

import structlog

from actors import generations, spent, trust, vault
from actors import local as local_actors
from actors.hosts import Limits
from actors.instance import Clock, Instance
from actors.keys import KeyRing
from actors.outbound import Network
from fedmatch.backup import ledger
from fedmatch.database.engine import Engine
from fedmatch.database.migrate import Migration, migrate
from fedmatch.database.open import open_database
from fedmatch.ids import Ids, SystemClock
from schemas import events
from schemas.config import Config
from schemas.reading import App
from schemas.storage import StorageError, Transaction, Unavailable

if TYPE_CHECKING:
    from outbox.posts import Post
    from schemas.objects import Note

log = structlog.get_logger()

E = TypeVar("E")

PACKAGES: Final = ("schemas", "actors", "outbox", "inbox", "fedmatch")


class CannotStart(Exception):
    """The instance cannot be put together; the message says why and what to do."""


def foreign_packages() -> list[str]:
    """The files that answer to the name of one of our five packages but do not lie in our folder; the names are generic."""
    home = Path(__file__).resolve().parent.parent
    found = []
    for name in PACKAGES:
        loaded = sys.modules.get(name)
        spec = loaded.__spec__ if loaded is not None else find_spec(name)
        place = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if place is None or place != home / name / "__init__.py":
            found.append(f"{name}: {place or 'nowhere'}")
    return found


async def open_migrated(config: Config, *, check: bool = True) -> Engine:
    """The opened and migrated database of this configuration; `check` reads a SQLite file whole first. Raises `CannotStart`."""
    try:
        config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = await open_database(config, check=check)
    except (StorageError, OSError) as error:
        raise CannotStart(str(error)) from error

    async def copy_first(migration: Migration) -> None:
        # Here, because most starts migrate nothing.
        from fedmatch.backup import before

        try:
            await before.take(config, database, migration)
        except before.CannotTake as error:
            raise CannotStart(str(error)) from error

    try:
        await migrate(database, before=copy_first)
    except (StorageError, OSError) as error:
        await database.close()
        raise CannotStart(str(error)) from error
    except CannotStart:
        await database.close()
        raise
    return database


async def has_vault(config: Config) -> bool:
    """Whether this instance's vault was made already."""
    database = await open_migrated(config)
    try:
        return await database.read(_vault_row)
    finally:
        await database.close()


VAULT_ROW: Final = """
select count(*) as rows
from vault
"""


async def _vault_row(tx: Transaction) -> bool:
    row = await tx.one(VAULT_ROW)
    return row is not None and row["rows"] > 0


async def build(config: Config, *, passphrase: str | None = None, clock: Clock | None = None, check: bool = True) -> Instance:
    """The instance of this configuration, its database migrated, its vault open if its source gives the key now.

    `check` reads a SQLite file whole first; commands beside a server do without. Raises `CannotStart` with what to do, `vault.WrongSecret`.
    """
    if foreign := foreign_packages():
        raise CannotStart(f"these packages are not fedmatch's own: {'; '.join(foreign)}. Run fedmatch in a virtual environment of its own")
    clock = clock or SystemClock()
    database = await open_migrated(config, check=check)
    try:
        if config.vault.source == "passphrase" and passphrase is None and not await database.read(_vault_row):
            raise CannotStart("the vault has no passphrase yet; choose one with `fedmatch unlock` (at the terminal, or one line on standard input)")
        safe = await vault.start(database, config.vault, clock, passphrase=passphrase)
    except vault.CannotStart as error:
        await database.close()
        raise CannotStart(str(error)) from error
    except BaseException:
        await database.close()
        raise
    instance = Instance(
        config=config,
        database=database,
        vault=safe,
        clock=clock,
        ids=Ids(clock),
        network=Network(config),
        keys=KeyRing(),
        limits=Limits(),
        trust=trust.Trust(config.federation.mode),
    )
    instance.subscribers = Subscribers(instance)
    instance.watch = generations.watch(instance)
    try:
        await instance.watch.start()
        # After the watch, so that no change falls between the two.
        await instance.trust.refresh(database)
        instance.restored = await database.read(spent.any_)
        await local_actors.ensure_application(instance)
    except BaseException:
        await close(instance)
        raise
    return instance


class Subscribers(Mapping[type, Sequence[events.Subscriber]]):
    """Who hears what, put together when the first event is told: a command that only reads should not wait 0.3 s for the whole board."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    @cached_property
    def _all(self) -> Mapping[type, Sequence[events.Subscriber]]:
        return _subscribers(self._instance)

    def __getitem__(self, kind: type) -> Sequence[events.Subscriber]:
        return self._all[kind]

    def __iter__(self) -> Iterator[type]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def _subscribers(instance: Instance) -> dict[type, tuple[events.Subscriber, ...]]:
    """Who hears what: the one list."""
    from fedmatch import addresses, people
    from fedmatch.board import checked, copies, heard, identities, receive, replies, topic_help, topics, weighing, welcome
    from fedmatch.safety import border, reports, retention

    return {
        events.PostArrived: (
            _hears(instance, events.PostArrived, receive.arrived),
            _hears(instance, events.PostArrived, topic_help.arrived),
            _hears(instance, events.PostArrived, replies.arrived),
        ),
        events.PostStored: (_hears(instance, events.PostStored, receive.stored), _hears(instance, events.PostStored, topics.stored)),
        events.PlainStored: (_hears(instance, events.PlainStored, receive.plain),),
        events.PostChanged: (
            _hears(instance, events.PostChanged, receive.changed),
            _hears(instance, events.PostChanged, topics.changed),
            _hears(instance, events.PostChanged, heard.closed),
            _hears(instance, events.PostChanged, identities.changed),
            _hears(instance, events.PostChanged, retention.changed),
        ),
        events.PostGone: (
            _hears(instance, events.PostGone, receive.gone),
            _hears(instance, events.PostGone, topics.gone),
            _hears(instance, events.PostGone, heard.closed),
            _hears(instance, events.PostGone, identities.gone),
        ),
        events.Revised: (_hears(instance, events.Revised, replies.revised),),
        events.Withdrawn: (_hears(instance, events.Withdrawn, topics.withdrawn),),
        events.Boosted: (_hears(instance, events.Boosted, receive.boosted),),
        events.Followed: (_hears(instance, events.Followed, border.followed),),
        events.Reported: (_hears(instance, events.Reported, reports.received),),
        events.Offered: (_hears(instance, events.Offered, heard.offered),),
        events.OfferAnswered: (_hears(instance, events.OfferAnswered, heard.answered),),
        events.OfferUndone: (_hears(instance, events.OfferUndone, heard.undone),),
        events.AgreementChanged: (_hears(instance, events.AgreementChanged, heard.changed),),
        events.VouchesChanged: (
            _hears(instance, events.VouchesChanged, weighing.judged_anew),
            _hears(instance, events.VouchesChanged, copies.judged_anew),
            _hears(instance, events.VouchesChanged, checked.judged_anew),
        ),
        events.PeerTrusted: (_hears(instance, events.PeerTrusted, copies.trusted), _hears(instance, events.PeerTrusted, welcome.trusted)),
        events.PeerLost: (_hears(instance, events.PeerLost, weighing.judged_anew), _hears(instance, events.PeerLost, copies.lost)),
        events.InboxMoved: (_hears(instance, events.InboxMoved, addresses.moved),),
        events.ActorGone: (
            _hears(instance, events.ActorGone, heard.gone),
            _hears(instance, events.ActorGone, people.gone),
            _hears(instance, events.ActorGone, topics.departed),
        ),
    }


def _hears(instance: Instance, kind: type[E], act: Callable[[Instance, Transaction, E], Awaitable[events.Answer | None]]) -> events.Subscriber:
    """A subscriber to one kind of event, from a function that takes exactly that kind."""

    async def subscriber(tx: Transaction, event: events.Event, /) -> events.Answer | None:
        if not isinstance(event, kind):
            raise TypeError(f"{kind.__name__} expected")
        return await act(instance, tx, event)

    return subscriber


def prepare(instance: Instance) -> None:
    """Loads now what would be loaded when it is first needed, for a process that serves or works: nobody should wait for it then."""
    instance.subscribers = dict(instance.subscribers)
    instance.network.prepare()


async def close(instance: Instance) -> None:
    """Lets go of network and database; nothing of the instance works afterwards."""
    instance.stopping.set()
    if instance.watch is not None:
        await instance.watch.close()
    await instance.network.close()
    try:
        await ledger.note(instance)
    except (ledger.BadLedger, OSError, StorageError) as error:
        log.error("ledger.cannot_note", error=type(error).__name__, cure="fedmatch doctor")
    await instance.database.close()


def web(instance: Instance) -> App:
    """The ASGI application: the guard, the inbox's door, and the pages and documents behind them."""
    # Here, because a command that serves nothing should not wait 0.4 s for a web framework.
    from quart import Quart

    from actors import endpoints as actor_endpoints
    from fedmatch import memory
    from fedmatch.board import publish, services
    from fedmatch.guard import Guard
    from fedmatch.web import letters, pages, proposals
    from inbox.door import Door
    from outbox import collections, departures
    from outbox import endpoints as outbox_endpoints

    quart = Quart("fedmatch.web", static_folder=None)
    quart.config["MAX_CONTENT_LENGTH"] = instance.config.limits.body
    html = pages.Pages(instance)

    async def note_of(tx: Transaction, post: "Post") -> "Note | None":
        return await publish.note(tx, instance, post)

    quart.register_blueprint(actor_endpoints.blueprint(instance, html.actor, departures.parting, services.Caller(instance)))
    quart.register_blueprint(outbox_endpoints.blueprint(instance, html.post, note_of))
    quart.register_blueprint(collections.blueprint(instance))
    quart.register_blueprint(proposals.blueprint(instance))
    quart.register_blueprint(letters.blueprint(instance))
    quart.register_blueprint(html.blueprint())
    html.answer_errors(quart)
    quart.register_error_handler(MemoryError, memory.handle)
    return Guard(Door(cast(App, quart), instance), instance.config, (Unavailable,))
