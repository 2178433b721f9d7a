"""What if processes stop, die or are many? SIGTERM drains, several workers share one database, and what a dead one held is taken over."""

import asyncio
import json
import signal
import sys
import time
from collections import Counter

from tests.fakepeer import FakePeer
from tests.faults.house import Zygote
from tests.postgres import clean_database, drop
from tests.signing import signed
from tests.wire import Reply
from tests.world import Clock, Site, World


async def test_sigterm_finishes_what_was_begun(world: World, peer: FakePeer) -> None:
    # Given a real process under load, and a request whose body is only half here
    site = await world.site("a")
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    await p1.send(p1.follow(reader.uri), reader.actor.inbox)
    await world.settle()
    await site.stop()
    acknowledged: list[str] = []

    async def knock() -> None:
        while True:
            note = p1.direct("<p>hello</p>", reader.uri, f"@{reader.handle}")
            try:
                answer = await p1.send(p1.create(note), f"{site.base}/inbox")
            except OSError:
                return
            # 0: the listener closed on a connection that nobody had taken yet.
            assert answer.status in {0, 202, 503}
            if answer.status == 202:
                acknowledged.append(note["id"])

    command = (sys.executable, "-m", "fedmatch", "--config", str(site.config.path), "--json", "serve")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 60)
    begun = p1.direct("<p>begun</p>", reader.uri, f"@{reader.handle}")
    body = json.dumps(p1.create(begun)).encode()
    headers = signed(p1.keys.rsa, p1.key_id, "POST", site.host, "/inbox", body, world.clock.now())
    from_it, to_it = await asyncio.open_connection("127.0.0.1", int(site.host.rpartition(":")[2]))
    head = "POST /inbox HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + f"Content-Length: {len(body)}\r\n\r\n"
    to_it.write(head.encode() + body[:100])
    knocking = [asyncio.create_task(knock()) for _ in range(8)]
    await asyncio.sleep(0.5)
    # When it is told to stop, and the other half comes after that
    began = time.monotonic()
    process.terminate()
    await asyncio.sleep(0.3)
    to_it.write(body[100:])
    line = await asyncio.wait_for(from_it.readline(), 10)
    to_it.close()
    # Then what was begun is answered, and it ends well and soon
    assert line.startswith(b"HTTP/1.1 202")
    assert await asyncio.wait_for(process.wait(), 15) == 0
    assert time.monotonic() - began < 10
    await asyncio.gather(*knocking)
    # And everything it acknowledged is there
    assert acknowledged
    await site.start()
    await world.settle()
    stored = {row["uri"] for row in await site.rows("select uri from post where local = 0")}
    assert {*acknowledged, begun["id"]} <= stored


async def test_sigterm_ends_in_time_even_while_a_server_hangs(world: World, peer: FakePeer) -> None:
    site = await world.site("a")
    writer, p1 = await world.person("writer@a"), peer.actor("p1")
    await p1.send(p1.follow(writer.uri), writer.actor.inbox)
    await world.settle()
    await site.stop()
    peer.always("/inbox", Reply(hang=True))
    async with Zygote() as zygote:
        await zygote.start(site.config.path, author="writer")

        async def hangs() -> bool:
            return bool(peer.asked("/inbox", "POST"))

        await world.until(hangs)
        began = time.monotonic()
        zygote.kill(signal.SIGTERM)
        assert await zygote.ended() == 0
        assert time.monotonic() - began < 10.5


async def test_several_workers_on_one_postgresql_never_do_a_job_twice(world: World, peer: FakePeer, postgresql_url: str) -> None:
    # Given one instance on PostgreSQL, served by one process and worked by three
    url = await clean_database(postgresql_url)
    site = await world.site("a", database=url, worker=False)
    reader, writer, p1 = await world.person("reader@a"), await world.person("writer@a"), peer.actor("p1")
    others = [await Site(f"worker {number}", world.clock, site.config).start(web=False) for number in range(3)]
    try:
        await p1.send(p1.follow(writer.uri), writer.actor.inbox)
        await world.settle()
        # When sixty posts arrive and sixty leave
        incoming = [p1.create(p1.direct(f"<p>{number}</p>", reader.uri, f"@{reader.handle}")) for number in range(60)]
        for activity in incoming:
            assert (await p1.send(activity, f"{site.base}/inbox")).status == 202
        posts = [await writer.post(f"number {number}") for number in range(60)]
        await world.settle(60)
        # Then each was delivered once, and acted on once
        assert Counter(activity["object"]["id"] for activity in peer.activities("Create")) == Counter(post.uri for post in posts)
        assert len(await reader.home()) == 60
        assert {row["attempts"] for row in await site.rows("select attempts from arrival")} == {1}
        assert {row["attempts"] for row in await site.rows("select attempts from delivery")} == {1}
    finally:
        for other in others:
            await other.stop()
        await site.stop()
        await drop(url)


async def test_what_a_killed_worker_held_is_taken_over_within_a_minute(world: World, peer: FakePeer, postgresql_url: str) -> None:
    # Given a worker in a process of its own that holds a delivery to a server which hangs
    url = await clean_database(postgresql_url)
    site = await world.site("a", database=url, worker=False)
    writer, p1 = await world.person("writer@a"), peer.actor("p1")
    follow = Site("first worker", world.clock, site.config)
    await follow.start(web=False)
    await p1.send(p1.follow(writer.uri), writer.actor.inbox)
    await world.settle()
    await follow.stop()
    peer.always("/inbox", Reply(hang=True))
    try:
        async with Zygote() as zygote:
            await zygote.start(site.config.path, web=False)
            post = await writer.post("hello")

            async def hangs() -> bool:
                return bool([heard for heard in peer.asked("/inbox", "POST") if heard.activity["type"] == "Create"])

            await world.until(hangs)
            # When that process is killed
            zygote.kill()
            assert await zygote.ended() == -9
        peer.always("/inbox", None)
        # Then another does nothing with it before its lease is over, and within a minute has done it
        clock = Clock()
        second = await Site("second worker", clock, site.config).start(web=False)
        try:
            await asyncio.sleep(0.5)
            assert peer.activities("Create") == []
            clock.move(seconds=60)
            world.clock.move(seconds=60)
            second.instance.wake("delivery")

            async def delivered() -> bool:
                return [activity["object"]["id"] for activity in peer.activities("Create")] == [post.uri]

            await world.until(delivered)
        finally:
            await second.stop()
    finally:
        await site.stop()
        await drop(url)
