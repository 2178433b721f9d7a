"""How does it get there? Real servers on loopback that answer as the story says and check every signature with code of their own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from actors import follows, hosts, known, peers
from actors.known import Actor
from outbox import claims, deliver
from outbox.address import Audience
from outbox.attempts import Attempts
from outbox.backoff import MOST_401
from outbox.deliver import Deliverer
from outbox.departures import counts, deliveries, prune
from outbox.publish import publish
from schemas.activities import Accept, Create, Delete, Follow, Update
from schemas.config import DevelopmentConfig, FederationConfig
from schemas.events import DeliveryGaveUp
from schemas.objects import PUBLIC, Note, Tombstone
from schemas.publickeys import to_pem
from schemas.reading import Iri
from tests.house import BASE, House, build, configure, describe
from tests.signing import verdict
from tests.wire import Asked, Reply, Server

LOOPBACK = DevelopmentConfig((ip_network("127.0.0.0/8"),), plain_http=True)


@dataclass
class Peer:
    """A server with one actor's inbox; takes everything unless told otherwise."""

    log: list[Asked] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    always: Reply = field(default_factory=Reply)
    at_once: int = 0
    most_at_once: int = 0
    pem: str = ""
    now: Callable[[], Any] = lambda: None
    signatures: list[str] = field(default_factory=list)

    async def start(self) -> "Peer":
        self.server = Server(self.answer)
        await self.server.start()
        return self

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def base(self) -> str:
        return f"http://{self.host}"

    @property
    def kinds(self) -> list[str]:
        return [asked.json["type"] for asked in self.log]

    async def answer(self, asked: Asked) -> Reply:
        self.log.append(asked)
        if self.pem:
            self.signatures.append(verdict("POST", asked.target, dict(asked.headers), asked.body, self.pem, self.now(), self.host))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.002)
            return self.replies.pop(0) if self.replies else self.always
        finally:
            self.at_once -= 1


@pytest.fixture
async def house(database, tmp_path: Path) -> AsyncIterator[House]:
    made = await build(database, configure(tmp_path, development=LOOPBACK))
    yield made
    await made.instance.network.close()


@pytest.fixture
async def quick(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    """The house on SQLite alone, for stories about time and slots."""
    made = await build(sqlite_database, configure(tmp_path, development=LOOPBACK))
    yield made
    await made.instance.network.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = await Peer().start()
    yield made
    await made.server.stop()


@asynccontextmanager
async def many(number: int, *, hang: bool = False) -> AsyncIterator[list[Peer]]:
    made = [await Peer(always=Reply(hang=hang)).start() for _ in range(number)]
    yield made
    for one in made:
        await one.server.stop()


async def follower(house: House, peer: Peer, followed: Actor, name: str = "bo", *, shared: bool = False) -> Actor:
    uri = Iri(f"{peer.base}/users/{name}")
    document = describe(name, id=uri, inbox=Iri(f"{uri}/inbox"), keys=(), shared_inbox=Iri(f"{peer.base}/inbox") if shared else None)

    async def store(tx) -> Actor:
        return await known.store(tx, house.instance, document, peer.host, await hosts.ensure(tx, house.instance, peer.host))

    made = await house.write(store)
    asked = Follow(id=Iri(f"{uri}/follows/1"), actor=uri, object=followed.uri)
    assert isinstance(await house.write(follows.received, house.instance, asked, made, followed), Accept)
    return made


async def say(house: House, author: Actor, number: int = 1, audience: Audience | None = None, content: str = "<p>words</p>") -> Iri:
    uri = Iri(f"{BASE}/posts/{number}")
    note = Note(uri, author.uri, content, to=(PUBLIC,), cc=(author.followers,))
    activity = Create(id=Iri(f"{uri}/activity"), actor=author.uri, object=note, to=note.to, cc=note.cc)
    await house.write(publish, house.instance, author, activity, audience or Audience(followers_of=(author.id,)), object=uri, ordering_key=uri)
    return uri


async def edit(house: House, author: Actor, uri: Iri, number: int) -> None:
    note = Note(uri, author.uri, f"<p>words {number}</p>", to=(PUBLIC,), cc=(author.followers,))
    activity = Update(id=Iri(f"{uri}#updates/{number}"), actor=author.uri, object=note, to=note.to, cc=note.cc)
    await house.write(publish, house.instance, author, activity, Audience(followers_of=(author.id,)), object=uri, ordering_key=uri)


async def unsay(house: House, author: Actor, uri: Iri) -> None:
    activity = Delete(id=Iri(f"{uri}#delete"), actor=author.uri, object=Tombstone(uri, "Note"), to=(PUBLIC,))
    await house.write(publish, house.instance, author, activity, Audience(followers_of=(author.id,)), object=uri, ordering_key=uri)


@asynccontextmanager
async def working(house: House) -> AsyncIterator[Deliverer]:
    deliverer = Deliverer(house.instance)
    running = asyncio.create_task(deliverer.run(asyncio.Event()))
    yield deliverer
    await deliverer.drain()
    await running


async def until(is_so: Callable[[], Any], seconds: float = 15) -> None:
    """Waits until something asynchronous is so; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = is_so()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < end, "it never came to that"
        await asyncio.sleep(0.01)


async def states(house: House) -> list[str]:
    return [listed.state for listed in reversed(await house.read(deliveries))]


async def settle(house: House, *expected: str) -> None:
    async def is_so() -> bool:
        return await states(house) == list(expected) and not await leased(house)

    await until(is_so)


async def leased(house: House) -> int:
    async def read(tx) -> int:
        return (await tx.one("select count(*) as n from host where lease_by is not null"))["n"]

    return await house.read(read)


async def host_row(house: House, peer: Peer) -> Any:
    async def read(tx):
        return dict(await tx.one("select * from host where name = :name", name=peer.host))

    return await house.read(read)


async def bodies(house: House) -> list[Any]:
    async def read(tx):
        return [row["body"] for row in await tx.all("select body from outgoing order by id")]

    return await house.read(read)


async def public_pem(house: House, actor: Actor) -> str:
    async def read(tx) -> bytes:
        return bytes((await tx.one("select public_key from actor_key where actor_id = :id and algorithm = 'rsa'", id=actor.id))["public_key"])

    return to_pem(await house.read(read))


# --- it opens for the right one


async def test_it_arrives_signed_and_its_body_is_erased(house: House, peer: Peer) -> None:
    amina = await house.person("amina")
    await follower(house, peer, amina)
    peer.pem, peer.now = await public_pem(house, amina), house.clock.now
    await say(house, amina)
    async with working(house):
        await settle(house, "sent")
    (asked,) = peer.log
    assert peer.signatures == ["valid"]
    assert asked.path == "/users/bo/inbox"
    assert asked.header("content-type") == "application/activity+json"
    assert asked.header("user-agent").startswith("fedmatch/")
    assert int(asked.header("content-length")) == len(asked.body)
    assert asked.json["object"]["content"] == "<p>words</p>"
    assert await bodies(house) == [None]
    assert await house.read(counts) == {"waiting": 0, "sent": 1, "dead": 0}
    (listed,) = await house.read(deliveries, peer.host, "sent")
    assert (listed.inbox, listed.attempts, listed.next_at, listed.error) == (f"{peer.base}/users/bo/inbox", 1, None, None)
    assert await house.read(deliveries, peer.host, "dead") == []
    assert (await host_row(house, peer))["next_at"] is None


async def one_of_two(house: House) -> bool:
    return sorted(await states(house)) == ["sent", "waiting"] and not await leased(house)


async def test_a_body_stays_until_the_last_of_its_deliveries_is_done(house: House, peer: Peer) -> None:
    amina = await house.person("amina")
    other = await Peer(always=Reply(503)).start()
    await follower(house, peer, amina)
    await follower(house, other, amina)
    await say(house, amina)
    async with working(house) as deliverer:
        await until(lambda: peer.log and other.log)
        await until(lambda: one_of_two(house))
        assert await bodies(house) != [None]
        other.always = Reply(202)
        house.clock.move(seconds=60)
        deliverer.wake()
        await settle(house, "sent", "sent")
    assert await bodies(house) == [None]
    await other.server.stop()


async def test_a_redirect_on_the_same_host_is_signed_anew_and_elsewhere_not_followed(house: House, peer: Peer) -> None:
    amina = await house.person("amina")
    await follower(house, peer, amina)
    peer.pem, peer.now = await public_pem(house, amina), house.clock.now
    stranger = await Peer().start()
    peer.replies = [
        Reply(307, headers=(("Location", "/moved"),)),
        Reply(202),
        Reply(308, headers=(("Location", f"{stranger.base}/inbox"),)),
        *[Reply(307, headers=(("Location", f"/{number}"),)) for number in range(5)],
    ]
    async with working(house) as deliverer:
        for number, state in enumerate(("sent", "dead", "dead"), 1):
            await say(house, amina, number)
            deliverer.wake()
            await settle(house, *("sent", "dead", "dead")[:number])
            assert (await states(house))[-1] == state
    assert [asked.path for asked in peer.log] == ["/users/bo/inbox", "/moved", "/users/bo/inbox", "/users/bo/inbox", "/0", "/1"]
    assert set(peer.signatures) == {"valid"}
    assert stranger.log == []
    await stranger.server.stop()


# --- order


async def test_create_update_delete_arrive_in_order_or_the_delete_alone(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.always = Reply(503)
    async with working(quick) as deliverer:
        uri = await say(quick, amina)
        deliverer.wake()
        await until(lambda: peer.log)
        await settle(quick, "waiting")
        await edit(quick, amina, uri, 1)
        await edit(quick, amina, uri, 2)
        deliverer.wake()
        await asyncio.sleep(0.05)
        assert set(peer.kinds) == {"Create"}, "nothing overtakes what waits for its retry"
        peer.always = Reply(202)
        quick.clock.move(minutes=5)
        deliverer.wake()
        await settle(quick, "sent", "superseded", "sent")
        assert [asked.json["type"] for asked in peer.log][-2:] == ["Create", "Update"]
        assert "words 2" in peer.log[-1].json["object"]["content"]
        peer.always = Reply(503)
        before = len(peer.log)
        await edit(quick, amina, uri, 3)
        deliverer.wake()
        await until(lambda: len(peer.log) > before)
        await settle(quick, "sent", "superseded", "sent", "waiting")
        await unsay(quick, amina, uri)
        peer.always = Reply(202)
        quick.clock.move(minutes=5)
        deliverer.wake()
        await settle(quick, "sent", "superseded", "sent", "superseded", "sent")
    assert peer.kinds[-1] == "Delete"
    assert await bodies(quick) == [None] * 5


async def test_a_delete_waits_for_what_is_in_flight_and_then_goes_alone_if_that_failed(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.replies = [Reply(503, delay=0.3)]
    async with working(quick) as deliverer:
        uri = await say(quick, amina)
        deliverer.wake()
        await until(lambda: peer.log)
        await unsay(quick, amina, uri)
        deliverer.wake()
        await settle(quick, "superseded", "sent")
    assert peer.kinds == ["Create", "Delete"]


async def test_a_clock_that_jumps_over_a_lease_sends_nothing_twice_and_overtakes_nothing(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.replies = [Reply(202, delay=0.5)]
    async with working(quick) as deliverer:
        uri = await say(quick, amina)
        deliverer.wake()
        await until(lambda: peer.log)
        # While the Create is in flight the lease on its host ends, by the clock alone
        quick.clock.move(minutes=1)
        await edit(quick, amina, uri, 1)
        deliverer.wake()
        await settle(quick, "sent", "sent")
    assert peer.kinds == ["Create", "Update"]


async def test_at_most_two_are_in_flight_to_one_host(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    for number in range(40):
        await say(quick, amina, number)
    async with working(quick):
        await settle(quick, *["sent"] * 40)
    assert len(peer.log) == 40
    assert peer.most_at_once == 2


async def test_two_workers_on_one_database_send_nothing_twice_and_hold_the_bound(house: House, peer: Peer) -> None:
    amina = await house.person("amina")
    await follower(house, peer, amina)
    for number in range(30):
        await say(house, amina, number)
    async with working(house) as one, working(house) as other:
        one.wake()
        other.wake()
        await settle(house, *["sent"] * 30)
    assert len({asked.json["id"] for asked in peer.log}) == len(peer.log) == 30
    assert peer.most_at_once <= 2


# --- what answers mean


@pytest.mark.parametrize("status", [400, 403, 404, 410, 413, 422, 501])
async def test_what_is_permanent_is_not_retried_and_is_listed(quick: House, peer: Peer, status: int) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.always = Reply(status)
    await say(quick, amina)
    async with working(quick) as deliverer:
        await settle(quick, "dead")
        quick.clock.move(days=2)
        deliverer.wake()
        await asyncio.sleep(0.05)
    # A 400 is knocked at twice, once in each signature scheme.
    assert len(peer.log) == (2 if status == 400 else 1)
    (listed,) = await quick.read(deliveries)
    assert (listed.error, listed.finished_at) == (f"answered {status}", quick.clock.ms() - 2 * 86_400_000)
    assert [(event.delivery_id, event.error) for event in quick.told if isinstance(event, DeliveryGaveUp)] == [(listed.id, f"answered {status}")]
    assert await bodies(quick) == [None], "a dead letter keeps host, time and error, and no words"
    assert (await host_row(quick, peer))["failures"] == 0


async def test_a_401_is_tried_four_times_in_all(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.always = Reply(401)
    await say(quick, amina)
    async with working(quick) as deliverer:
        for tried in range(1, MOST_401 + 2):
            await until(lambda tried=tried: len(peer.log) == 2 * tried)
            await settle(quick, "waiting" if tried <= MOST_401 else "dead")
            quick.clock.move(hours=1)
            deliverer.wake()
    # Each time once in each scheme, and nothing was remembered.
    assert [asked.header("signature-input") != "" for asked in peer.log] == [False, True] * 4
    assert (await host_row(quick, peer))["scheme"] == "cavage"


async def test_retry_after_is_waited_for_by_everything_that_goes_there(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.replies = [Reply(429, headers=(("Retry-After", "3600"),))]
    await say(quick, amina, 1)
    async with working(quick) as deliverer:
        await until(lambda: peer.log)
        await settle(quick, "waiting")
        assert (await quick.read(deliveries))[0].next_at == quick.clock.ms() + 3_600_000
        await say(quick, amina, 2)
        quick.clock.move(minutes=59)
        deliverer.wake()
        await asyncio.sleep(0.05)
        assert len(peer.log) == 1
        quick.clock.move(minutes=2)
        deliverer.wake()
        await settle(quick, "sent", "sent")
    assert (await host_row(quick, peer))["failures"] == 0


async def test_retries_grow_and_are_signed_anew_with_the_same_bytes(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.pem, peer.now = await public_pem(quick, amina), quick.clock.now
    peer.replies = [Reply(500), Reply(drop=True), Reply(hang=False, status=503), Reply(202)]
    await say(quick, amina)
    waits = []
    async with working(quick) as deliverer:
        # A dropped connection is tried once more at once, by the network.
        for tried in (1, 3, 4):
            await until(lambda tried=tried: len(peer.log) >= tried)
            if tried == 4:
                break
            await settle(quick, "waiting")
            wait = (await quick.read(deliveries))[0].next_at - quick.clock.ms()
            waits.append(wait)
            quick.clock.move(milliseconds=wait)
            deliverer.wake()
        await settle(quick, "sent")
    assert waits == sorted(waits)
    assert set(peer.signatures) == {"valid"}
    assert len({asked.body for asked in peer.log}) == 1
    assert len({asked.header("date") for asked in peer.log}) >= 2


async def test_a_dead_host_is_left_alone_but_for_one_probe_and_comes_back_when_it_speaks(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.always = Reply(503)
    for number in range(10):
        await say(quick, amina, number)
    async with working(quick) as deliverer:

        async def resting() -> bool:
            return (await host_row(quick, peer))["open_until"] > quick.clock.ms() and not await leased(quick)

        await until(resting)
        assert len(peer.log) == 5, "five failures open the breaker"
        rests = []
        for probes in range(1, 7):
            row = await host_row(quick, peer)
            rests.append(row["open_until"] - quick.clock.ms())
            quick.clock.move(milliseconds=rests[-1])
            deliverer.wake()
            await until(lambda probes=probes: len(peer.log) == 5 + probes)
            await until(resting)
        assert len(peer.log) == 11
        assert rests[0] <= 120_000
        assert 24 * 60_000 <= rests[-1] <= 30 * 60_000
        assert (await host_row(quick, peer))["down_since"] is not None

        peer.always = Reply(202)
        await quick.write(hosts.heard, quick.instance, (await host_row(quick, peer))["id"])
        deliverer.wake()
        await settle(quick, *["sent"] * 10)
        row = await host_row(quick, peer)
        assert (row["failures"], row["failing_since"], row["down_since"], row["open_until"]) == (0, None, None, 0)


@pytest.mark.parametrize("hours", [1, 72])
async def test_a_server_that_was_off_gets_everything_in_the_order_it_was_said(quick: House, peer: Peer, hours: int) -> None:
    # Given a server where nobody listens, and a dozen posts that have nothing to do with each other, some of them said while it is off
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    port = peer.server.port
    await peer.server.stop()
    async with working(quick) as deliverer:
        for number in range(12):
            await say(quick, amina, number)
            deliverer.wake()
            await until(lambda: held_back(quick, peer))
            quick.clock.move(hours=hours / 12)
            deliverer.wake()
            await until(lambda: held_back(quick, peer))
        # When it is back
        await peer.server.start(port)
        quick.clock.move(minutes=40)
        deliverer.wake()
        await settle(quick, *["sent"] * 12)
    # Then it reads them in that order
    assert [asked.json["object"]["id"] for asked in peer.log] == [f"{BASE}/posts/{number}" for number in range(12)]


async def held_back(house: House, peer: Peer) -> bool:
    return (await host_row(house, peer))["open_until"] > house.clock.ms() and not await leased(house)


async def test_after_thirty_days_of_silence_it_is_given_up_and_said_so(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.always = Reply(503)
    for number in range(7):
        await say(quick, amina, number)
    async with working(quick) as deliverer:

        async def resting() -> bool:
            return (await host_row(quick, peer))["failures"] >= 5 and not await leased(quick)

        await until(resting)
        quick.clock.move(days=31)
        deliverer.wake()
        await settle(quick, *["dead"] * 7)
    assert len([event for event in quick.told if isinstance(event, DeliveryGaveUp)]) == 7
    assert await bodies(quick) == [None] * 7
    assert all("30 days" in listed.error for listed in await quick.read(deliveries))


async def test_what_waited_too_long_while_we_were_off_is_still_tried_once(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    for number in range(3):
        await say(quick, amina, number)
    quick.clock.move(days=400)
    async with working(quick):
        await settle(quick, *["sent"] * 3)


async def test_a_clock_that_was_years_ahead_holds_nothing_up_when_it_is_right_again(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    peer.replies = [Reply(503)]
    quick.clock.move(days=3650)
    await say(quick, amina)
    async with working(quick):
        await until(lambda: peer.log)
        await settle(quick, "waiting")
    quick.clock.move(days=-3650)
    async with working(quick):
        await settle(quick, "sent")


# --- inboxes that are gone


async def test_a_shared_inbox_that_is_gone_falls_back_to_the_personal_ones(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    for name in ("bo", "cy"):
        await follower(quick, peer, amina, name, shared=True)
    peer.replies = [Reply(410)]
    await say(quick, amina)
    async with working(quick):
        await settle(quick, "dead", "sent", "sent")
    assert peer.log[0].path == "/inbox"
    assert sorted(asked.path for asked in peer.log)[1:] == ["/users/bo/inbox", "/users/cy/inbox"]
    assert await bodies(quick) == [None]


async def test_an_inbox_that_is_gone_three_times_follows_nobody_any_more(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    bo = await follower(quick, peer, amina)
    peer.always = Reply(410)
    async with working(quick) as deliverer:
        for number in range(1, 4):
            assert (await quick.read(follows.between, bo.id, amina.id)).state == "accepted"
            await say(quick, amina, number)
            deliverer.wake()
            await settle(quick, *["dead"] * number)
    assert (await quick.read(follows.between, bo.id, amina.id)).state == "undone"


# --- it stays shut


async def test_a_host_blocked_after_publication_gets_nothing(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    await say(quick, amina)
    await quick.write(peers.set_level, quick.instance, peer.host, "blocked", "spies")
    await quick.instance.trust.refresh(quick.instance.database)
    async with working(quick):
        await settle(quick, "dead")
    assert peer.log == []


async def test_an_address_that_is_not_public_is_never_called(sqlite_database, tmp_path: Path, peer: Peer) -> None:
    house = await build(sqlite_database, configure(tmp_path, development=DevelopmentConfig((ip_network("192.0.2.0/24"),), plain_http=True)))
    amina = await house.person("amina")
    await follower(house, peer, amina)
    await say(house, amina)
    async with working(house):
        await settle(house, "dead")
    assert peer.log == []
    assert "public" in (await house.read(deliveries))[0].error
    await house.instance.network.close()


async def test_while_the_vault_is_locked_everything_waits(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    secret = quick.instance.config.vault.file.read_text().split()[-1]
    quick.instance.vault.lock()
    await say(quick, amina)
    async with working(quick) as deliverer:
        await asyncio.sleep(0.1)
        assert peer.log == []
        assert await states(quick) == ["waiting"]
        quick.instance.vault.unlock(bytes.fromhex(secret))
        deliverer.wake()
        await settle(quick, "sent")


async def test_a_body_that_was_tampered_with_is_not_sent(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    await say(quick, amina)

    async def spoil(tx) -> None:
        await tx.execute("update outgoing set body = :body", body=quick.instance.vault.seal(b"{}", "outgoing:1"))

    await quick.write(spoil)
    async with working(quick):
        await settle(quick, "dead")
    assert peer.log == []


# --- faults


async def test_a_lease_of_somebody_who_died_is_taken_over_and_one_alive_is_not(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    await say(quick, amina)
    now = quick.clock.ms()

    async def claimed(tx) -> None:
        await tx.execute("update host set lease_until = :until, lease_by = 'the dead'", until=now + claims.LEASE_MS)
        await tx.execute("update delivery set lease_until = :until", until=now + claims.LEASE_MS)

    await quick.write(claimed)
    async with working(quick) as deliverer:
        await asyncio.sleep(0.1)
        assert peer.log == []
        quick.clock.move(milliseconds=claims.LEASE_MS)
        deliverer.wake()
        await settle(quick, "sent")
    assert claims.LEASE_MS <= 60_000


async def test_after_an_error_it_runs_again_and_takes_its_own_up_at_once(quick: House, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    await say(quick, amina)
    deliverer = Deliverer(quick.instance)

    async def break_down(*_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as broken:
        broken.setattr(Attempts, "send", break_down)
        with pytest.raises(BaseExceptionGroup):
            await deliverer.run(asyncio.Event())
    assert await leased(quick) == 1
    running = asyncio.create_task(deliverer.run(asyncio.Event()))
    await settle(quick, "sent")
    await deliverer.drain()
    await running


async def test_drain_waits_for_what_is_in_flight_and_gives_the_rest_back(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    stop, answered = asyncio.Event(), asyncio.Event()
    peer.replies = [Reply(202, after=answered)]
    for number in range(5):
        await say(quick, amina, number)
    deliverer = Deliverer(quick.instance)
    running = asyncio.create_task(deliverer.run(stop))
    await until(lambda: peer.log)
    stop.set()
    answered.set()
    await running
    assert await states(quick) == ["sent", "waiting", "waiting", "waiting", "waiting"]
    assert await leased(quick) == 0
    async with working(quick):
        await settle(quick, *["sent"] * 5)
    assert len(peer.log) == 5


async def test_a_hanging_peer_does_not_hold_up_the_end(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "DRAIN_S", 0.2)
    amina = await quick.person("amina")
    async with many(1, hang=True) as (peer,):
        await follower(quick, peer, amina)
        await say(quick, amina)
        async with working(quick):
            await until(lambda: peer.log)
        assert await states(quick) == ["waiting"]
        assert await leased(quick) == 0


async def test_hosts_that_hang_delay_nobody_but_themselves(quick: House) -> None:
    """100 hosts, of them 40 hang, and hanging ones were claimed first: all 60 healthy ones are served while not one of the 40 has timed out."""
    amina = await quick.person("amina")
    async with many(40, hang=True) as hanging, many(60) as healthy:
        for number, one in enumerate([*hanging, *healthy]):
            await follower(quick, one, amina, f"p{number}")
        await say(quick, amina)
        async with working(quick):
            await until(lambda: all(one.log for one in healthy))
            states_now = await quick.read(counts)
            assert states_now["waiting"] >= 40, "every hanging delivery was still on its way"
            assert states_now["dead"] == 0
            assert all(len(one.log) <= 1 for one in hanging), "a host that hangs holds one socket"
            deliver_drain = deliver.DRAIN_S
            deliver.DRAIN_S = 0.1
        deliver.DRAIN_S = deliver_drain


async def test_hosts_known_to_be_bad_share_a_small_budget(sqlite_database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "DRAIN_S", 0.1)
    house = await build(sqlite_database, configure(tmp_path, development=LOOPBACK, federation=FederationConfig(deliveries_at_once=16)))
    amina = await house.person("amina")
    async with many(12, hang=True) as bad, many(30) as healthy:
        for number, one in enumerate([*bad, *healthy]):
            await follower(house, one, amina, f"p{number}")

        async def mark(tx) -> None:
            for one in bad:
                await tx.execute("update host set failures = 3 where name = :name", name=one.host)

        await house.write(mark)
        await say(house, amina)
        async with working(house):
            await until(lambda: all(one.log for one in healthy))
            assert sum(1 for one in bad if one.log) <= 2
    await house.instance.network.close()


async def test_who_waits_for_a_slot_at_the_end_goes_back_to_its_row(sqlite_database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given one slot, which nobody gives up early, and three hosts: two are claimed, the second ahead of its turn
    monkeypatch.setattr(deliver, "EARLY_S", 60)
    house = await build(sqlite_database, configure(tmp_path, development=LOOPBACK, federation=FederationConfig(deliveries_at_once=1)))
    amina = await house.person("amina")
    async with many(3) as peers:
        for number, one in enumerate(peers):
            await follower(house, one, amina, f"p{number}")
        stop, answered = asyncio.Event(), asyncio.Event()
        peers[0].replies = [Reply(202, after=answered)]
        await say(house, amina)
        running = asyncio.create_task(Deliverer(house.instance).run(stop))
        await until(lambda: peers[0].log)
        while await leased(house) != 2:
            await asyncio.sleep(0.005)
        # When it is told to stop while the first is in flight
        stop.set()
        answered.set()
        await running
        # Then that one is sent, the others wait in nobody's hands, and the next process sends them
        assert sum(len(one.log) for one in peers) == 1
        assert sorted(await states(house)) == ["sent", "waiting", "waiting"]
        assert await leased(house) == 0
        async with working(house):
            await settle(house, *["sent"] * 3)
        assert [len(one.log) for one in peers] == [1, 1, 1]
    await house.instance.network.close()


async def test_what_is_finished_can_be_listed_for_a_week(quick: House, peer: Peer) -> None:
    amina = await quick.person("amina")
    await follower(quick, peer, amina)
    await say(quick, amina, 1)
    peer.replies = [Reply(202), Reply(404)]
    async with working(quick) as deliverer:
        await settle(quick, "sent")
        await say(quick, amina, 2)
        deliverer.wake()
        await settle(quick, "sent", "dead")
    assert await quick.write(prune, quick.clock.ms()) == 0
    quick.clock.move(days=8)
    assert await quick.write(prune, quick.clock.ms()) == 2, "the delivery and its outgoing row"
    assert await states(quick) == ["dead"]
    quick.clock.at += timedelta(days=90)
    assert await quick.write(prune, quick.clock.ms()) == 2
    assert await states(quick) == []


async def test_words_never_rest_in_clear_while_they_wait_fail_and_lie_dead(sqlite_database, tmp_path: Path, peer: Peer) -> None:
    house = await build(sqlite_database, configure(tmp_path, development=LOOPBACK))
    amina = await house.person("amina")
    await follower(house, peer, amina)
    canary = "the canary sings at midnight"

    def found() -> list[str]:
        return [path.name for path in tmp_path.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]

    peer.replies = [Reply(503), Reply(404)]
    await say(house, amina, content=canary)
    assert found() == []
    async with working(house) as deliverer:
        await until(lambda: peer.log)
        await settle(house, "waiting")
        assert found() == []
        house.clock.move(minutes=10)
        deliverer.wake()
        await settle(house, "dead")
    assert found() == []
    assert json.loads(peer.log[0].body)["object"]["content"] == canary
    await house.instance.network.close()
