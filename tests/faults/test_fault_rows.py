"""Which faults does an instance live through? Tests named after their rows of docs/faults.md, which also names the tests of the other rows."""

import asyncio
import os
import random
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import hypercorn.asyncio
import hypercorn.config
import pytest

from actors import local
from actors.hosts import Limits
from fedmatch import app, doctor, memory, rotation
from fedmatch.board import timelines
from fedmatch.disk import keep_reserve
from fedmatch.doctor import Check
from schemas.storage import Overdue, Transaction
from tests.fakepeer import FakeActor, FakePeer
from tests.faults.house import Zygote
from tests.wire import Answer, Reply, http
from tests.world import Person, Site, World, open_world, write_config

FULL = Path("/dev/full")


async def followed(world: World, peer: FakePeer, name: str = "p1", *, shared_inbox: bool = True) -> tuple[Person, FakeActor]:
    """A writer on A, and a follower on that peer."""
    writer = await world.person("writer@a") if "a" not in world.sites else Person(world, world.sites["a"], await world.sites["a"].actor("writer"))
    actor = peer.actor(name, shared_inbox=shared_inbox)
    await actor.send(actor.follow(writer.uri), writer.actor.inbox)
    await world.settle()
    return writer, actor


async def whole(site: Site) -> None:
    """The file is in order."""
    assert [row["integrity_check"] for row in await site.rows("pragma integrity_check")] == ["ok"]
    assert await site.rows("pragma foreign_key_check") == []


def later(answer: Answer) -> bool:
    """Whether an answer asks to come back."""
    return answer.status == 503 and int(answer.header("retry-after")) > 0


# --- processes


class Process:
    """A running `fedmatch serve` on a folder of its own."""

    def __init__(self, config: Path, stdout: int, stderr: int) -> None:
        command = [sys.executable, "-m", "fedmatch", "--config", str(config), "--json", "serve"]
        self.process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
        self.pid = self.process.pid

    async def end(self) -> int:
        """Ends it as an init system does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 15)  # what it still delivers to our peers must be answered


@contextmanager
def running(config: Path, *, stdout: int = subprocess.DEVNULL, stderr: int = subprocess.DEVNULL) -> Iterator[Process]:
    process = Process(config, stdout, stderr)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


async def serves(base: str, limit_s: float = 20) -> None:
    """Waits until an instance says that it can write."""
    deadline = time.monotonic() + limit_s
    while True:
        with suppress(OSError, TimeoutError):
            if (await http("GET", f"{base}/healthz", timeout=2)).status == 200:
                return
        assert time.monotonic() < deadline, f"{base} does not serve"
        await asyncio.sleep(0.05)


def start_fails(config: Path) -> str:
    """What `fedmatch serve` says when it refuses to start; its exit code is 1."""
    command = [sys.executable, "-m", "fedmatch", "--config", str(config), "serve"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


# --- disks


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A file system of that size; only root can make one."""
    at.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "fedmatch", str(at)], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a full or read-only disk needs root and mount")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(disk: Path) -> Path:
    """Takes the last byte of a disk; deleting the file gives it back."""
    ballast = disk / "ballast"
    with suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while file.write(b"\0" * 65536):
            pass
    return ballast


async def test_f07_a_full_disk_stops_writes_and_nothing_else(tmp_path: Path) -> None:
    # Given an instance on a small disk
    with small_disk(tmp_path / "disk", "6m") as disk:
        async with open_world(disk / "world") as world:
            peer = await world.peer()
            reader, sender = await world.person("reader@a"), peer.actor("sender")
            site = reader.site
            acknowledged: list[str] = []

            async def knock() -> Answer:
                note = sender.direct(f"<p>{'hello ' * 300}</p>", reader.uri, f"@{reader.handle}")
                answer = await sender.send(sender.create(note), reader.actor.inbox)
                if answer.status == 202:
                    acknowledged.append(note["id"])
                return answer

            assert (await knock()).status == 202
            await world.settle()
            # When the disk is full, but for what is kept in reserve
            reserve = keep_reserve(site.config.folder, size=512 * 1024, least_free=0)
            assert reserve is not None
            ballast = fill(disk)
            answers = [await knock() for _ in range(30)]
            await asyncio.sleep(1.1)  # the health check writes at most once a second
            # Then writes are refused for now, and the health check says so
            assert {answer.status for answer in answers} <= {202, 503}
            assert all(later(answer) for answer in answers[-5:])
            assert later(await http("GET", f"{site.base}/healthz"))
            # And reads are answered
            assert (await site.get(f"/users/{reader.actor.username}")).status == 200
            assert [entry for entry in await reader.home() if "hello" in entry["text"]]
            # And when the reserve is given up, there is enough to delete things by
            reserve.unlink()
            assert (await knock()).status == 202
            # And when there is space again, all works without a restart
            ballast.unlink()
            assert (await knock()).status == 202
            assert (await http("GET", f"{site.base}/healthz")).status == 200
            await world.later(minutes=10)
            stored = Counter(row["uri"] for row in await site.rows("select uri from post where local = 0"))
            assert stored == Counter(acknowledged)
            assert len(await reader.home()) == len(acknowledged)
            await whole(site)


def test_f08_a_disk_that_cannot_be_written_is_a_sentence_at_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        config = write_config(disk / "house")
        asyncio.run(made(config.path))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        said = start_fails(config.path)
        assert "cannot be opened for writing" in said
        assert "read-only" in said


async def made(config: Path) -> None:
    """An instance that was there once."""
    from schemas.config_file import load

    await app.close(await app.build(load(config)))


async def test_f08_a_disk_that_takes_no_more_is_503_until_it_does_again(tmp_path: Path) -> None:
    config = write_config(tmp_path / "house")
    with running(config.path) as process:
        await serves(config.base_url)
        # When no file may grow any more, not even by a byte
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
        await asyncio.sleep(1.1)
        assert later(await http("GET", f"{config.base_url}/healthz"))
        assert (await http("GET", f"{config.base_url}/actor", [("Accept", "application/activity+json")])).status == 200
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        await serves(config.base_url, 5)
        assert await process.end() == 0


async def test_f09_a_database_that_another_process_holds_is_503_after_five_seconds(world: World, peer: FakePeer) -> None:
    reader, sender = await world.person("reader@a"), peer.actor("sender")
    note = sender.direct("<p>hello</p>", reader.uri, f"@{reader.handle}")
    create = sender.create(note)
    # Its key is known before
    await sender.send(sender.follow(reader.uri), reader.actor.inbox)
    await world.settle()
    with closing(sqlite3.connect(reader.site.config.folder / "fedmatch.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        began = time.monotonic()
        knocking = asyncio.create_task(sender.send(create, reader.actor.inbox))
        await asyncio.sleep(0.2)
        # Reads wait for nobody
        assert (await reader.site.get("/users/reader")).status == 200
        assert not knocking.done()
        assert later(await knocking)
        assert time.monotonic() - began < 15
        other.execute("rollback")
    assert (await sender.send(create, reader.actor.inbox)).status == 202
    await world.settle()
    assert len(await reader.home()) == 1


WAL_MOST = 64 * 1024 * 1024


async def wal_check(site: Site) -> Check:
    return next(check for check in await doctor.examine(site.config.path) if check.name == "wal")


async def test_f11_a_reader_of_another_program_that_never_ends_is_told_and_the_wal_shrinks_when_it_does(world: World) -> None:
    site = await world.site("a")
    wal = site.config.folder / "fedmatch.db-wal"

    async def write_much(tx: Transaction, name: str) -> None:
        await tx.execute("insert into host (id, name, first_seen) values (:id, :name, 0)", id=site.instance.ids.new(), name=name.ljust(1_000_000, "x"))

    async def burst(name: str, megabytes: int = 70) -> None:
        for number in range(megabytes // 2):  # there is an index beside the table
            await site.instance.database.write(write_much, f"{name}{number}")

    # Given bursts among readers of ours only
    await burst("before", 30)
    assert wal.stat().st_size < WAL_MOST
    assert (await wal_check(site)).ok
    # When another program keeps a snapshot while much is written
    with closing(sqlite3.connect(site.config.folder / "fedmatch.db", isolation_level=None)) as other:
        other.execute("begin")
        other.execute("select count(*) from host").fetchall()
        await burst("meanwhile")
        # Then the doctor says so, and how it is cured
        assert wal.stat().st_size > WAL_MOST
        told = await wal_check(site)
        assert not told.ok
        assert "lsof" in told.cure
        other.execute("rollback")
    # And it ends with that program
    await burst("after", 30)
    assert wal.stat().st_size < WAL_MOST
    assert (await wal_check(site)).ok


@pytest.mark.soak
async def test_f11_the_wal_stays_small_for_long(world: World, peer: FakePeer) -> None:
    """An hour of arrivals and readers; FEDMATCH_SECONDS makes it shorter.

    A page that got no processor for 5 s is refused, as F11 wants it: of twenty pages one may be. Arrivals pause while many wait for the worker, so that an hour
    of them does not leave an hour of work.
    """
    reader, sender = await world.person("reader@a"), peer.actor("sender")
    wal = reader.site.config.folder / "fedmatch.db-wal"
    until = time.monotonic() + int(os.environ.get("FEDMATCH_SECONDS", "3600"))
    most = arrived = looked = late = 0
    behind = False

    async def arrive() -> None:
        nonlocal arrived
        while time.monotonic() < until:
            if behind:
                await asyncio.sleep(0.1)
                continue
            note = sender.direct(f"<p>{'words ' * 300}</p>", reader.uri, f"@{reader.handle}")
            reader.site.instance.limits = Limits()
            answer = await sender.send(sender.create(note), reader.actor.inbox)
            assert answer.status == 202
            arrived += 1
            peer.log.clear()
            peer.documents.clear()

    async def look() -> None:
        nonlocal most, looked, late, behind
        while time.monotonic() < until:
            looked += 1
            try:
                await reader.site.instance.database.read(timelines.home, reader.site.instance, reader.actor, timelines.Page(limit=10))
                behind = await reader.site.count("arrival", "state in ('waiting', 'unverified')") > 200
            except Overdue:
                late += 1
            most = max(most, wal.stat().st_size)
            await asyncio.sleep(0.2)

    await asyncio.gather(*(arrive() for _ in range(4)), look())
    await world.settle(120)
    print(f"{arrived} arrived, the WAL had {most / 2**20:.1f} MiB at most, {late} of {looked} pages were refused")
    assert most <= WAL_MOST
    assert late <= looked // 20
    assert await reader.site.count("post", "local = 0") == arrived


# --- clocks


async def test_f12_a_clock_that_jumps_sends_nothing_twice_and_loses_nothing(world: World, peer: FakePeer) -> None:
    writer, sender = await followed(world, peer)
    posts = [await writer.post("before")]
    await world.settle()
    for jump in (timedelta(hours=-1), timedelta(hours=2), timedelta(days=3650), timedelta(days=-3650), timedelta(hours=-1)):
        # When something waits for its next attempt while the clock jumps
        peer.replies("/inbox", Reply(503))
        posts.append(await writer.post(f"before a jump of {jump}"))
        await world.settle()
        world.clock.ahead += jump
        posts.append(await writer.post(f"after a jump of {jump}"))
        await world.settle()
        for _ in range(3):
            await world.later(hours=2)
    # Then all of them were heard once, with a date that the peer believes
    assert Counter(activity["object"]["id"] for activity in peer.activities("Create")) == Counter(post.uri for post in posts)
    assert {heard.signature for heard in peer.asked("/inbox", "POST")} == {"valid"}
    assert len({post.id for post in posts}) == len(posts)
    # And whose clock is wrong by hours is told so
    wrong = sender.activity("Like", posts[0].uri)
    now = peer.now
    peer.now = lambda: now() + timedelta(hours=13)
    assert (await sender.send(wrong, writer.actor.inbox)).status == 401
    peer.now = lambda: now() - timedelta(hours=13)
    assert (await sender.send(wrong, writer.actor.inbox)).status == 401


# --- peers


async def test_f13_a_peer_that_was_down_for_three_days_gets_everything_in_order(world: World, peer: FakePeer) -> None:
    writer, _ = await followed(world, peer)
    peer.always("/inbox", Reply(drop=True))
    posts = []
    listing = await writer.listing("offer", "Two hours of advice", "version 0", categories=["Connectivity"])
    for number in range(12):
        posts.append(await writer.post(f"number {number}"))
        listing = await writer.change(listing, text=f"version {number}")
        await world.settle()
        await world.later(hours=6)
    # One row for each, however often it was tried
    assert await writer.site.count("delivery", "state = 'waiting'") == 14
    peer.always("/inbox", None)
    for _ in range(12):
        await world.later(hours=2)
    assert await writer.site.count("delivery", "state = 'waiting'") == 0
    # Everything came once, and what is about one thing in the order in which it happened
    heard = peer.activities("Create")
    assert Counter(activity["object"]["id"] for activity in heard) == Counter([post.uri for post in posts] + [listing.url])
    about = [activity for activity in peer.activities() if activity.get("type") in {"Create", "Update"} and activity["object"]["id"] == listing.url]
    assert [activity["type"] for activity in about] == ["Create", "Update"]
    assert "version 11" in about[1]["object"]["content"]


MATRIX = {
    200: "sent",
    202: "sent",
    299: "sent",
    301: "dead",
    302: "dead",
    400: "dead",
    401: "waiting",
    403: "dead",
    404: "dead",
    405: "dead",
    408: "waiting",
    410: "dead",
    413: "dead",
    418: "dead",
    422: "dead",
    425: "waiting",
    429: "waiting",
    500: "waiting",
    501: "dead",
    502: "waiting",
    503: "waiting",
    504: "waiting",
}


async def test_f14_what_every_answer_means_for_a_delivery(world: World) -> None:
    peers = {status: await world.peer() for status in MATRIX}
    for status, peer in peers.items():
        writer, actor = await followed(world, peer, shared_inbox=False)
        page = Reply(status, b"<!doctype html><title>hello</title>", "text/html", (("Location", f"{peer.base}/elsewhere"),))
        peer.always(f"/users/{actor.name}/inbox", page)
    post = await writer.post("hello")
    await world.settle()

    async def states() -> dict[int, str]:
        rows = await writer.site.rows(
            "select host.name, delivery.state from delivery join host on host.id = delivery.host_id join outgoing on outgoing.id = delivery.outgoing_id "
            "where outgoing.kind = 'Create'"
        )
        found = {row["name"]: row["state"] for row in rows}
        return {status: found[peer.host] for status, peer in peers.items()}

    assert await states() == MATRIX
    # What may help is tried again, and only that
    for status, peer in peers.items():
        if not 200 <= status < 300:
            peer.always("/users/p1/inbox", None)
    for _ in range(4):
        await world.later(hours=2)
    assert await states() == {status: "sent" if state == "waiting" else state for status, state in MATRIX.items()}
    taken = {status: [activity["object"]["id"] for activity in peer.activities("Create")] for status, peer in peers.items()}
    assert taken == {status: [] if state == "dead" else [post.uri] for status, state in MATRIX.items()}


class Cutter:
    """A bad line in front of an instance: `plan` says for each POST whether it is lost before it arrives, or its answer is."""

    def __init__(self, port: int, to: int) -> None:
        self.port, self.to = port, to
        self.plan: Iterator[str] = iter(())
        self.cut: Counter[str] = Counter()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b""
            fate = next(self.plan, "well") if head.startswith(b"POST") else "well"
            self.cut[fate] += 1
            answer = b"" if fate == "lost" else await self._ask(head, body)
            if fate == "well":
                writer.write(answer)
                await writer.drain()
            elif fate == "torn":
                writer.write(answer[:20])
                await writer.drain()
        if fate in {"lost", "torn"}:
            # A reset, not an end
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.to)
        writer.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def behind_a_bad_line(world: World) -> AsyncIterator[tuple[Person, Person, Cutter]]:
    """A writer on A, who is followed by a reader on B; everything that B hears comes through the line."""
    writer = await world.person("writer@a")
    site = await world.site("b", start=False)
    await site.start(web=False)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings = hypercorn.config.Config()
        settings.accesslog = settings.errorlog = None
        settings.graceful_timeout = 0.1
        cutter = Cutter(int(site.base.rpartition(":")[2]), listener.getsockname()[1])
        listener.listen()
        settings.bind = [f"fd://{listener.detach()}"]
    web = asyncio.create_task(hypercorn.asyncio.serve(app.web(site.instance), settings, shutdown_trigger=site.instance.stopping.wait))  # type: ignore[arg-type]  # any ASGI callable
    line = await asyncio.start_server(cutter.handle, "127.0.0.1", cutter.port)
    reader = Person(world, site, await local.create(site.instance, "reader"))
    await reader.follow(writer.handle)
    await world.settle()
    assert await reader.following(writer.handle) == "accepted"
    try:
        yield writer, reader, cutter
    finally:
        line.close()
        site.instance.stopping.set()
        await web


@asynccontextmanager
async def trickling_in_place_of(peers: list[FakePeer]) -> AsyncIterator[None]:
    """Servers that say one byte of their answer a second, where these peers were."""
    talking: list[asyncio.Task[None]] = []

    async def talk(writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):
            for letter in b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nX-Slow: " + b"x" * 1000:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(1)

    lines = []
    for peer in peers:
        await peer.stop()
        lines.append(await asyncio.start_server(lambda _, writer: talking.append(asyncio.create_task(talk(writer))), "127.0.0.1", peer.port))
    try:
        yield
    finally:
        for line in lines:
            line.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def test_f15_two_hundred_slow_servers_delay_no_healthy_one(world: World) -> None:
    # Given followers on 200 servers that take a minute to accept anything or trickle their answers, and on 40 healthy ones
    healthy, hanging = [await world.peer() for _ in range(40)], [await world.peer() for _ in range(100)]
    writer = await world.person("writer@a")
    trickling = [await world.peer() for _ in range(100)]
    for peer in (*hanging, *trickling, *healthy):
        actor = peer.actor("follower")
        answer = await actor.send(actor.follow(writer.uri), writer.actor.inbox)
        assert answer.status == 202
    await world.settle(120)
    for peer in hanging:
        peer.always("/inbox", Reply(202, delay=60))
    waits: dict[str, float] = {}
    async with trickling_in_place_of(trickling):
        # When a post leaves for all of them
        began = time.monotonic()
        await writer.post("hello")
        while len(waits) < len(healthy) and time.monotonic() < began + 30:
            for peer in healthy:
                if peer.host not in waits and peer.activities("Create"):
                    waits[peer.host] = time.monotonic() - began
            await asyncio.sleep(0.01)
        writer.site.instance.stopping.set()
        await writer.site.stop()
    # Then the healthy ones have it within five seconds, while no slow one gets more than two connections
    assert len(waits) == len(healthy)
    assert sorted(waits.values())[int(len(waits) * 0.95)] < 5
    assert max(len(peer.asked("/inbox", "POST")) for peer in hanging) <= 2


@pytest.mark.parametrize("fate", ["silent", "torn", "lost"])
async def test_f16_an_answer_that_never_comes_back_is_asked_for_again_and_acted_on_once(world: World, fate: str) -> None:
    async with behind_a_bad_line(world) as (writer, reader, cutter):
        # When the line breaks twice, after or before the other side had it
        cutter.plan = iter([fate, fate])
        await writer.post("hello")
        await world.settle()
        for _ in range(4):
            await world.later(hours=2)
        assert cutter.cut[fate] == 2
        # Then it was sent until it was acknowledged, and is there once
        [row] = await writer.site.rows(
            "select delivery.state, delivery.attempts from delivery join outgoing on outgoing.id = delivery.outgoing_id where outgoing.kind = 'Create'"
        )
        assert row["state"] == "sent"
        assert row["attempts"] >= 2  # a kept connection that breaks is tried once more at once, within one attempt
        assert await reader.reads() == ["hello"]
        assert await reader.site.count("post", "local = 0") == 1


async def test_f17_a_line_that_loses_a_third_loses_nothing_and_doubles_nothing(world: World) -> None:
    async with behind_a_bad_line(world) as (writer, reader, cutter):
        dice = random.Random(17)
        cutter.plan = iter([dice.choice(["lost", "silent", "torn"]) if dice.random() < 0.3 else "well" for _ in range(60)])
        texts = [f"number {number}" for number in range(20)]
        for text in texts:
            await writer.post(text)
            await world.settle()
        for _ in range(30):
            await world.later(hours=1)
        assert cutter.cut.total() - cutter.cut["well"] >= 5
        assert sorted(await reader.reads()) == sorted(texts)
        assert await writer.site.count("delivery", "state <> 'sent'") == 0


async def test_f18_ten_at_the_same_moment_are_one(world: World, peer: FakePeer) -> None:
    reader, sender = await world.person("reader@a"), peer.actor("sender")
    create = sender.create(sender.direct("<p>once</p>", reader.uri, f"@{reader.handle}"))
    answers = await asyncio.gather(*(sender.send(create, inbox) for inbox in [reader.actor.inbox, f"{reader.site.base}/inbox"] * 5))
    assert {answer.status for answer in answers} == {202}
    await world.settle()
    assert len(await reader.home()) == 1
    assert await reader.site.count("arrival", "uri = :uri", uri=create["id"]) == 1


# --- resources


async def test_f22_a_process_without_memory_loses_nothing_it_acknowledged(world: World, peer: FakePeer) -> None:
    # Given a running process that gets letters
    reader, sender = await world.person("reader@a"), peer.actor("sender")
    site = reader.site
    await site.stop()
    acknowledged: list[str] = []
    answers: Counter[int] = Counter()
    ends: list[int | None] = []

    async def knock(stop: asyncio.Event) -> None:
        while not stop.is_set():
            note = sender.direct(f"<p>{'word ' * 20_000}</p>", reader.uri, f"@{reader.handle}")
            try:
                answer = await sender.send(sender.create(note), reader.actor.inbox)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.02)
                continue
            answers[answer.status] += 1
            if answer.status == 202:
                acknowledged.append(note["id"])

    for spare in (0, 2, 16):
        with running(site.config.path) as process:
            await serves(site.base)
            stop = asyncio.Event()
            knocking = [asyncio.create_task(knock(stop)) for _ in range(4)]
            await asyncio.sleep(0.3)
            # When it may have no more memory than it has, or a little more
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
            resource.prlimit(process.pid, resource.RLIMIT_AS, ((pages * resource.getpagesize()) + spare * 2**20,) * 2)
            await asyncio.sleep(1)
            stop.set()
            # and it ends itself (or its allocator ends it), unless what it was left is enough
            ends.append(process.process.poll())
            process.process.kill()
            await asyncio.gather(*knocking)
    assert memory.EXIT_CODE in ends, ends
    # Then it answered nothing that it had not the memory for, and the next one has everything once
    assert acknowledged
    assert set(answers) <= {0, 202, 503}, answers
    world.clock.move(minutes=2)
    await site.start()
    await world.settle(60)
    for _ in range(3):
        await world.later(hours=13)
    stored = Counter(row["uri"] for row in await site.rows("select uri from post where local = 0"))
    assert [uri for uri in acknowledged if stored[uri] != 1] == []
    assert len(await reader.home()) == len(stored)
    await whole(site)


@pytest.mark.parametrize("software", ["hypercorn", "uvicorn"])
async def test_f23_without_file_descriptors_it_says_later_and_recovers(tmp_path: Path, software: str) -> None:
    async with open_world(tmp_path / "world") as world:
        peer, elsewhere, third = await world.peer(), await world.peer(), await world.peer()
        site = await world.site("a", software=f'"{software}"')
        reader = await world.person("reader@a")
        await site.stop()
        sender, stranger = peer.actor("sender"), elsewhere.actor("stranger")
        log = tmp_path / "log"
        with log.open("wb") as errors, running(site.config.path, stderr=errors.fileno()) as process:
            await serves(site.base)
            assert (await sender.send(sender.follow(reader.uri), reader.actor.inbox)).status == 202
            await asyncio.sleep(0.5)
            limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            # When there is a descriptor for whoever asks, and none to ask with who that is
            numbers = sorted(int(name) for name in os.listdir(f"/proc/{process.pid}/fd"))
            free = next(number for number in range(len(numbers) + 1) if number not in numbers)
            highest = free + 1 if free < numbers[-1] else numbers[-1] + 2
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (highest, limits[1]))
            unknown = stranger.follow(reader.uri)
            answer = await stranger.send(unknown, reader.actor.inbox)
            assert later(answer), answer
            # And when idle connections hold all of sixty-four
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, limits[1]))
            with ExitStack() as held:
                for _ in range(100):
                    held.enter_context(socket.create_connection(("127.0.0.1", int(site.base.rpartition(":")[2]))))
                # Then whoever comes is told so, as soon as the server has seen them all, without a storm of log lines
                for _ in range(40):
                    await asyncio.sleep(0.25)
                    told = await http("GET", f"{site.base}/healthz", timeout=2)
                    if later(told):
                        break
                assert later(told), told
            # And it serves again as soon as they go, still with sixty-four
            await serves(site.base, 5)
            newcomer = third.actor("newcomer")
            assert (await newcomer.send(newcomer.follow(reader.uri), reader.actor.inbox)).status == 202
            assert await process.end() == 0
        assert log.read_text().count("no file descriptor is left") == 1
        assert log.stat().st_size < 100_000


def test_f27_a_database_of_a_newer_program_is_refused_with_the_cure(tmp_path: Path) -> None:
    config = write_config(tmp_path / "house")
    asyncio.run(made(config.path))
    with closing(sqlite3.connect(config.folder / "fedmatch.db", isolation_level=None)) as other:
        other.execute("insert into migration (number, name, sha256, applied_at) values (9999, '9999_tomorrow.sql', 'x', 0)")
        before = other.execute("select * from migration order by number").fetchall()
        said = start_fails(config.path)
        assert "9999_tomorrow.sql" in said
        assert "newer" in said
        assert "backup" in said
        assert other.execute("select * from migration order by number").fetchall() == before


# --- what waits to leave


async def test_f37_killed_in_the_middle_of_a_fan_out_nobody_is_skipped(world: World) -> None:
    await fan_out(world, 30)


@pytest.mark.soak
async def test_f37_killed_in_the_middle_of_a_fan_out_to_a_thousand(world: World) -> None:
    await fan_out(world, 1000)


async def fan_out(world: World, many: int) -> None:
    """Kills while a post leaves for `many` servers, when the first, two fifths and four fifths of them have something."""
    # Given followers on that many servers
    peers = [await world.peer() for _ in range(many)]
    writer = await world.person("writer@a")
    for peer in peers:
        actor = peer.actor("p1")
        await actor.send(actor.follow(writer.uri), writer.actor.inbox)
    await world.settle(120)
    site = writer.site
    await site.stop()

    def reached() -> int:
        return sum(bool(peer.activities("Create")) for peer in peers)

    # When it is killed while they are told, again and again
    async with Zygote() as zygote:
        for wanted in (1, many * 2 // 5, many * 4 // 5):
            world.clock.move(seconds=60)
            await zygote.start(site.config.path, ahead=world.clock.ahead.total_seconds(), author="writer", does=["post", *["rest"] * 60])
            deadline = time.monotonic() + 20
            while reached() < wanted and time.monotonic() < deadline:
                await asyncio.sleep(0.002)
            zygote.kill()
            assert await zygote.ended() == -signal.SIGKILL
    # Then each post has one row for each of them, and each of them has each post
    world.clock.move(seconds=60)
    await site.start()
    rows = await site.rows(
        "select outgoing.object, count(*) as deliveries, count(distinct delivery.inbox) as inboxes "
        "from outgoing join delivery on delivery.outgoing_id = outgoing.id where outgoing.kind = 'Create' group by outgoing.object"
    )
    assert {(row["deliveries"], row["inboxes"]) for row in rows} == {(many, many)}
    assert set(zygote.posted) <= {row["object"] for row in rows}
    await world.settle(120)
    ours = {row["uri"] for row in await site.rows("select uri from post where local = 1")}
    assert [peer.host for peer in peers if {activity["object"]["id"] for activity in peer.activities("Create")} != ours] == []
    assert await site.count("delivery", "state <> 'sent'") == 0


async def test_f38_what_waited_three_days_is_signed_with_the_date_it_leaves(world: World, peer: FakePeer) -> None:
    writer, _ = await followed(world, peer)
    peer.replies("/inbox", Reply(429, headers=(("Retry-After", "86400"),)), Reply(429, headers=(("Retry-After", "86400"),)))
    post = await writer.post("hello")
    await world.settle()
    for _ in range(9):
        await world.later(hours=9)
    # The peer believes no date that is five minutes off
    assert [activity["object"]["id"] for activity in peer.activities("Create")] == [post.uri]
    tries = [heard for heard in peer.asked("/inbox", "POST") if heard.activity["type"] == "Create"]
    assert {heard.signature for heard in tries} == {"valid"}
    assert len({heard.asked.header("date")[:16] for heard in tries}) == len(tries) == 3
    assert len({heard.asked.body for heard in tries}) == 1


async def test_f39_what_waits_while_the_keys_change_is_signed_with_the_new_one(world: World, peer: FakePeer) -> None:
    writer, _ = await followed(world, peer)
    peer.always("/inbox", Reply(503))
    post = await writer.post("hello")
    await world.settle()
    old = {heard.asked.header("signature").partition('"')[2].partition('"')[0] for heard in peer.asked("/inbox", "POST")}
    await rotation.rotate_keys(writer.site.instance, await writer.site.actor("writer"))
    peer.always("/inbox", None)
    began = len(peer.log)
    for _ in range(6):
        await world.later(hours=2)
    told = {heard.activity["type"]: heard for heard in peer.log[began:] if heard.asked.method == "POST"}
    assert set(told) == {"Create", "Update"}
    assert {heard.signature for heard in told.values()} == {"valid"}
    assert told["Create"].activity["object"]["id"] == post.uri
    new = told["Create"].asked.header("signature").partition('"')[2].partition('"')[0]
    assert old.isdisjoint({new})


async def test_f40_a_log_that_cannot_be_written_stops_nothing(world: World, peer: FakePeer) -> None:
    if not FULL.exists():
        pytest.skip("NOT TESTED: there is no /dev/full")
    reader, sender = await world.person("reader@a"), peer.actor("sender")
    await reader.site.stop()
    with open(FULL, "wb", buffering=0) as full, running(reader.site.config.path, stdout=full.fileno(), stderr=full.fileno()) as process:
        await serves(reader.site.base)
        statuses = [(await sender.send(sender.follow(reader.uri), reader.actor.inbox, mode)).status for mode in ("cavage", "broken:body", "cavage")]
        assert statuses == [202, 401, 202]
        assert await process.end() == 0
