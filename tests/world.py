"""How do stories meet several real instances? Each is a real app with its own folder, database, keys and worker, served over real HTTP on a loopback port.

`await world.settle()` lets every worker do what is due, and returns when nothing is left; it watches rows, it does not wait for luck.
"""

import asyncio
import base64
import itertools
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import hypercorn.asyncio
import hypercorn.config

from actors import follows, generations, known, local
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app, people
from fedmatch.board import listings, publish, timelines
from fedmatch.board.terms import Terms
from fedmatch.worker import Worker
from outbox import publish as outgoing
from outbox.address import Audience
from outbox.posts import Post
from schemas import config as configs
from schemas import config_file, config_template
from schemas.listings import revised, validated
from schemas.reading import Iri, Row
from schemas.storage import Transaction
from tests import ready
from tests.fakepeer import AP, FakePeer
from tests.wire import Answer, http

HOUR_MS: Final = 3_600_000


class Clock:
    """Real time plus what the story adds."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def ms(self) -> int:
        return int(self.now().timestamp() * 1000)

    def move(self, **span: float) -> None:
        """Time passes: `clock.move(hours=2)`."""
        self.ahead += timedelta(**span)

    def next_hour(self) -> None:
        """The next full hour begins: for what must not be divided by one, since many times are told in hours alone."""
        self.move(milliseconds=HOUR_MS - self.ms() % HOUR_MS)


DUE_ARRIVALS = """
select count(*) as waiting
from arrival
where state in ('waiting', 'unverified')
  and (run_at <= :now or lease_until > :now)
"""
DUE_DELIVERIES = """
select count(*) as waiting
from host
where (next_at <= :now and open_until <= :now)
  or lease_until > :now
"""
DUE_JOBS = """
select count(*) as waiting
from job
where (state = 'waiting' and run_at <= :now) or state = 'running'
"""


@dataclass
class Site:
    """One instance of the world, with the server and the worker that run it."""

    name: str
    clock: Clock
    config: configs.Config
    passphrase: str | None = None
    instance: Instance = field(init=False)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return self.config.base_url

    @property
    def host(self) -> str:
        return self.config.host

    @property
    def folder(self) -> Path:
        return self.config.path.parent

    @property
    def running(self) -> bool:
        return bool(self._tasks)

    async def start(self, *, worker: bool = True, web: bool = True) -> "Site":
        """Builds the instance and serves it; `worker=False` leaves what arrives and what leaves lying in its rows."""
        self.instance = await app.build(self.config, passphrase=self.passphrase, clock=self.clock)
        self._watch = generations.watch(self.instance)
        await self._watch.start()
        self._tasks = [asyncio.create_task(self.instance.stopping.wait())]
        if web:
            await self._serve()
        if worker:
            began = asyncio.create_task(self.work().began.wait())
            # What a start asks for is there before anybody looks whether something is due; a start that broke is told at the end.
            await asyncio.wait([began, self._tasks[-1]], return_when=asyncio.FIRST_COMPLETED)
            began.cancel()
        return self

    async def _serve(self) -> None:
        serving = hypercorn.config.Config()
        serving.bind = [f"127.0.0.1:{self.config.base_url.rpartition(':')[2]}"]
        serving.accesslog = None
        serving.errorlog = None
        serving.graceful_timeout = 0.1
        shutdown = self.instance.stopping.wait
        self._tasks.append(asyncio.create_task(hypercorn.asyncio.serve(app.web(self.instance), serving, shutdown_trigger=shutdown)))  # type: ignore[arg-type]  # any ASGI callable
        await self._answers()

    def work(self) -> Worker:
        """Starts the worker of an instance that ran without."""
        worker = Worker(self.instance)
        self._tasks.append(asyncio.create_task(worker.run()))
        return worker

    async def _answers(self) -> None:
        for _ in range(1000):
            try:
                await http("GET", f"{self.base}/healthz")
            except OSError:
                await asyncio.sleep(0.005)
            else:
                return
        raise AssertionError(f"{self.name} does not answer at {self.base}")

    async def stop(self) -> None:
        """Ends server and worker as SIGTERM does, and closes the instance."""
        self.instance.stopping.set()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._watch.close()
        await app.close(self.instance)
        broken = [error for error in done if isinstance(error, Exception)]
        if broken:
            raise broken[0]

    async def restart(self, *, worker: bool = True) -> None:
        """Stops and starts over the same files."""
        await self.stop()
        await self.start(worker=worker)

    async def due(self) -> dict[str, int]:
        """How many rows a worker could act on now, by kind; a locked instance can act on no arrival and no delivery."""

        async def count(tx: Transaction) -> dict[str, int]:
            found = {}
            for kind, sql in (("arrivals", DUE_ARRIVALS), ("deliveries", DUE_DELIVERIES), ("jobs", DUE_JOBS)):
                row = await tx.one(sql, now=self.clock.ms())
                found[kind] = row["waiting"] if row else 0
            return found

        found = await self.instance.database.read(count)
        return {"jobs": found["jobs"]} if self.instance.vault.locked else found

    async def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        """All rows of a query on this instance's database."""

        async def read(tx: Transaction) -> Sequence[Row]:
            return await tx.all(sql, **values)

        return await self.instance.database.read(read)

    async def listings(self, *, network: bool = True) -> list[dict[str, Any]]:
        """The requests and offers known here, as the command line prints them, newest first."""
        found = await self.instance.database.read(listings.newest, self.instance, network=network, kind=None, limit=1000)
        return [one.json() for one in found]

    async def count(self, table: str, where: str = "1 = 1", **values: Any) -> int:
        """How many rows of a table meet a condition."""
        return (await self.rows(f"select count(*) as n from {table} where {where}", **values))[0]["n"]

    async def get(self, path: str, accept: str = AP, *more: tuple[str, str]) -> Answer:
        """An unsigned GET, of a path here or of a whole URL."""
        return await http("GET", path if path.startswith("http") else f"{self.base}{path}", [("Accept", accept), *more])

    async def actor(self, username: str) -> Actor:
        """The local actor of that name."""
        found = await self.instance.database.read(known.by_name, username)
        assert found is not None, f"no {username} on {self.name}"
        return found

    def files(self) -> list[Path]:
        """Every file of the instance: settings, database, write-ahead log, keys, whatever else lies there."""
        return [path for path in self.folder.rglob("*") if path.is_file()]


def spellings(canary: str) -> list[bytes]:
    """The ways in which a text may lie in a file: UTF-8, UTF-16, base64 at each of its three places, hex."""
    plain = canary.encode()
    found = [plain, canary.encode("utf-16-le"), canary.encode("utf-16-be"), plain.hex().encode(), plain.hex().upper().encode()]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + plain).rstrip(b"=")
        inner = text[(0, 2, 3)[before] : len(text) - 1]
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    return found


def grep(folder: Path, canary: str) -> list[str]:
    """The files below `folder` that hold `canary` in any spelling."""
    wanted = spellings(canary)
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            # The disk reserve is megabytes of nothing, which take longer to search than all the rest.
            if data != bytes(len(data)) and any(spelling in data for spelling in wanted):
                found.append(str(path.relative_to(folder)))
    return sorted(found)


@dataclass
class Person:
    """Somebody on one of the sites; does what the pages and the command line let people do."""

    world: "World"
    site: Site
    actor: Actor

    @property
    def handle(self) -> str:
        return self.actor.handle

    @property
    def uri(self) -> str:
        return self.actor.uri

    async def follow(self, handle: str) -> str:
        """Follows somebody; `requested` or `accepted`."""
        return await people.follow(self.site.instance, self.actor, await people.find(self.site.instance, handle))

    async def following(self, handle: str) -> str | None:
        """The state of the follow, None if there is none."""
        username, _, host = handle.partition("@")
        rows = await self.site.rows(
            "select follow.state from follow join actor on actor.id = follow.followed_id "
            "where follow.follower_id = :me and actor.username = :username and actor.handle_host = :host",
            me=self.actor.id,
            username=username,
            host=host,
        )
        return rows[0]["state"] if rows else None

    async def followers(self) -> list[str]:
        """The ids of those whose follow was accepted."""
        rows = await self.site.rows(
            "select actor.uri from follow join actor on actor.id = follow.follower_id "
            "where follow.followed_id = :me and follow.state = 'accepted' order by actor.uri",
            me=self.actor.id,
        )
        return [row["uri"] for row in rows]

    async def decide(self, follower: str, *, accept: bool) -> None:
        """Answers a follow request of the actor with that id."""
        instance = self.site.instance

        async def body(tx: Transaction) -> None:
            asker = await known.by_uri(tx, Iri(follower))
            assert asker is not None
            answer = await follows.decide(tx, instance, self.actor, asker, accept)
            await outgoing.publish(tx, instance, self.actor, answer, Audience(actors=(asker.id,)), object=Iri(self.uri), ordering_key=f"follow {asker.uri}")

        await instance.database.write(body)

    async def unfollow(self, handle: str) -> None:
        """Takes the follow back."""
        instance = self.site.instance
        followed = await people.find(instance, handle)

        async def body(tx: Transaction) -> None:
            undo = await follows.cancel(tx, instance, self.actor, followed)
            key = f"follow {self.uri} {followed.uri}"
            await outgoing.publish(tx, instance, self.actor, undo, Audience(actors=(followed.id,)), object=followed.uri, ordering_key=key)

        await instance.database.write(body)

    async def post(self, text: str, audience: str = "public", *, to: Sequence[str] = (), reply_to: str | None = None) -> Post:
        """Publishes a post."""
        return await publish.post(self.site.instance, self.actor, text, audience, to=tuple(to), reply_to=reply_to, language=None)

    async def delete(self, url: str) -> None:
        await publish.delete(self.site.instance, self.actor, url)

    async def listing(
        self,
        kind: str,
        title: str,
        text: str,
        *,
        language: str = "en",
        categories: Sequence[str] = (),
        skills: Sequence[str] = (),
        speaks: Sequence[str] = (),
        audience: str = "public",
        named: Sequence[str] = (),
        terms: Terms | None = None,
        delay: tuple[int, int] | None = None,
        by: Actor | None = None,
        **more: Any,
    ) -> listings.Listing:
        """Publishes a request or an offer, to everybody unless the story says otherwise; `more` is what `validated` takes: `region`, `urgency`, `until`, ..."""
        instance = self.site.instance
        proposal = validated(kind, title, text, language, tuple(categories), tuple(skills), tuple(speaks), now=instance.clock.now(), **more)
        return await publish.listing(instance, self.actor, proposal, language, audience=audience, named=named, terms=terms, delay=delay, by=by)

    async def change(self, listing: listings.Listing, **changes: Any) -> listings.Listing:
        """Changes a listing: `title`, `text`, `region`, `urgency`, `until`; what is not named stays."""
        return await publish.edit(self.site.instance, listing, revised(listing.proposal, listing.language or "en", changes, self.site.instance.clock.now()))

    async def withdraw(self, listing: listings.Listing) -> listings.Listing:
        return await publish.withdraw(self.site.instance, listing)

    async def home(self) -> list[dict[str, Any]]:
        """The home timeline as the command line prints it, newest first."""
        return [entry.json() for entry in await self.site.instance.database.read(timelines.home, self.site.instance, self.actor, timelines.Page(limit=1000))]

    async def reads(self) -> list[str]:
        """The texts at home, oldest first."""
        return [entry["text"] for entry in reversed(await self.home())]


class World:
    """Some instances and some fake peers, and one clock for all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.sites: dict[str, Site] = {}
        self.peers: list[FakePeer] = []

    async def site(
        self, name: str, *, worker: bool = True, passphrase: str | None = None, database: str = "sqlite", start: bool = True, **changes: str
    ) -> Site:
        """A new instance called `name`, on a port of its own. `changes` replace values of its instance.toml: `mode='"approve"'`."""
        changes |= {"source": '"passphrase"'} if passphrase else {}
        config = ready.migrated(write_config(self.folder / name, database=database, **changes))
        self.sites[name] = Site(name, self.clock, config, passphrase)
        if start:
            await self.sites[name].start(worker=worker)
        return self.sites[name]

    async def peer(self) -> FakePeer:
        """A fake peer on a port of its own, with this world's clock."""
        self.peers.append(await FakePeer(self.clock.now).start())
        return self.peers[-1]

    async def person(self, who: str, *, locked: bool = False) -> "Person":
        """A new person: `await world.person("amina@a")`; the site is made if it is new."""
        username, _, name = who.partition("@")
        site = self.sites.get(name) or await self.site(name)
        return Person(self, site, await local.create(site.instance, username, locked=locked))

    async def settle(self, limit_s: float = 30) -> None:
        """Lets all workers do what is due now, and returns when nothing is; fails after `limit_s` seconds with what is left."""
        deadline = asyncio.get_running_loop().time() + limit_s
        quiet = 0
        while quiet < 2:
            left = {site.name: {kind: n for kind, n in (await site.due()).items() if n} for site in self.sites.values() if site.running}
            quiet = quiet + 1 if not any(left.values()) else 0
            assert asyncio.get_running_loop().time() < deadline, f"still due after {limit_s} s: {left}"
            await asyncio.sleep(0.005)

    async def until(self, holds: Callable[[], Awaitable[bool]], limit_s: float = 30) -> None:
        """Waits until something holds; fails after `limit_s` seconds."""
        deadline = asyncio.get_running_loop().time() + limit_s
        while not await holds():
            assert asyncio.get_running_loop().time() < deadline, f"did not come true within {limit_s} s"
            await asyncio.sleep(0.01)

    async def later(self, **span: float) -> None:
        """Time passes for everybody, and what became due is done."""
        self.clock.move(**span)
        for site in (site for site in self.sites.values() if site.running):
            for kind in ("arrival", "delivery", "job"):
                site.instance.wake(kind)
        await self.settle()

    def grep(self, canary: str) -> dict[str, list[str]]:
        """Which files of which instance hold a text, in any spelling; empty if none does."""
        found = {name: grep(site.folder, canary) for name, site in self.sites.items()}
        return {name: files for name, files in found.items() if files}

    async def close(self) -> None:
        for peer in self.peers:
            await peer.stop()
        for site in self.sites.values():
            if site.running:
                await site.stop()


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """A world that is closed at the end, whatever happened."""
    world = World(folder)
    try:
        yield world
    finally:
        await world.close()


_PORTS = itertools.cycle(range(10_000, 32_000))
for _ in range(os.getpid() * 1009 % 22_000):
    next(_PORTS)


def free_port() -> int:
    """A loopback port nobody listens on, below those that the system gives to whoever connects: what it names stays free until somebody here takes it."""
    for port in _PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def write_config(folder: Path, *, database: str = "sqlite", port: int | None = None, **changes: str) -> configs.Config:
    """A development instance.toml in `folder`, as `fedmatch init` writes it, with some values replaced; the checked configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    at = f"localhost:{port or free_port()}"
    text = config_template.template(at, f"http://{at}", True)
    # The model is for those who ask for it (engine='"auto"'): everybody else would wait 50 ms at each listing.
    for key, value in ({"engine": '"base"'} | changes | {"url": f'"{database}"'}).items():
        text, found = re.subn(rf"^{key} = .*$", lambda _, line=f"{key} = {value}": line, text, count=1, flags=re.MULTILINE)
        assert found == 1, f"instance.toml has no {key}"
    path = folder / "instance.toml"
    path.write_text(text, encoding="utf-8")
    return config_file.load(path)
