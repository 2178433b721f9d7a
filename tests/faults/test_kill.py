"""Is a 2xx the truth? An instance is killed again and again while posts come in and leave for five servers: nothing is lost or doubled."""

import asyncio
import os
import random
from collections import Counter

import pytest

from tests.faults.house import Zygote, labelled_points
from tests.world import World

ROUNDS = int(os.environ.get("FEDMATCH_ROUNDS", "1000"))
"""How many lives the long run has; each of its ten parts is an instance of its own with a tenth of them."""
SHORT = 40


async def test_nothing_acknowledged_is_lost_or_doubled_over_kills(world: World) -> None:
    await kill_again_and_again(world, SHORT, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(1, 11))
async def test_nothing_acknowledged_is_lost_or_doubled_over_many_kills(world: World, part: int) -> None:
    await kill_again_and_again(world, max(1, ROUNDS // 10), seed=part)


async def kill_again_and_again(world: World, rounds: int, seed: int) -> None:
    """`rounds` lives of one instance, each ended by SIGKILL; then one that ends well, and the count."""
    # Given an instance A with a writer and a reader; followers of the writer on five servers, of which two are real instances
    dice = random.Random(seed)
    site = await world.site("a")
    reader, writer = await world.person("reader@a"), await world.person("writer@a")
    listeners = [await world.person("listener@b"), await world.person("listener@c")]
    peers = [await world.peer() for _ in range(3)]
    sender = peers[0].actor("sender")
    for listener in listeners:
        await listener.follow(writer.handle)
    for follower in (sender, *(peer.actor("follower") for peer in peers)):
        await follower.send(follower.follow(writer.uri), writer.actor.inbox)
    await world.settle()
    await site.stop()
    points = labelled_points()
    assert points
    acknowledged: list[str] = []
    died: Counter[str] = Counter()

    async def knock(stop: asyncio.Event) -> None:
        while not stop.is_set():
            note = sender.direct("<p>are you there?</p>", reader.uri, f"@{reader.handle}")
            try:
                answer = await sender.send(sender.create(note), f"{site.base}/inbox")
            except (OSError, TimeoutError):
                await asyncio.sleep(0.02)
                continue
            assert answer.status in {0, 202, 503}, answer
            if answer.status == 202:
                acknowledged.append(note["id"])
            await asyncio.sleep(0.02)

    async with Zygote() as zygote:
        # When it lives and dies
        for round_ in range(rounds):
            # Every life begins a minute later, so that what the last one held is let go.
            world.clock.move(seconds=60)
            point = f"{dice.choice(points)}#{dice.randint(1, 15)}" if round_ % 2 else ""
            await zygote.start(site.config.path, ahead=world.clock.ahead.total_seconds(), crashpoint=point, author="writer")
            stop = asyncio.Event()
            knocking = [asyncio.create_task(knock(stop)) for _ in range(3)]
            try:
                status = await zygote.ended(dice.uniform(0.05, 0.4) if not point else 0.6)
            except TimeoutError:
                point = ""
                zygote.kill()
                status = await zygote.ended()
            stop.set()
            await asyncio.gather(*knocking)
            assert status == -9, f"round {round_} ended with {status}"
            died[point.partition("#")[0] or "at random"] += 1
        # And then lives in peace until nothing is left to do
    world.clock.move(seconds=60)
    await site.start()
    await world.settle(120)
    for _ in range(3):
        await world.later(hours=13)

    # Then every acknowledged post that came in is there once, and was acted on once
    rows = await site.rows("select post.uri, (select count(*) from home where home.post_id = post.id) as readers from post where local = 0")
    arrived = Counter(row["uri"] for row in rows)
    given_up = [tuple(dict(row).values()) for row in await site.rows("select uri, attempts, error from arrival where state <> 'done'")]
    assert [uri for uri in acknowledged if uri not in arrived] == [], given_up
    assert [uri for uri, times in arrived.items() if times != 1] == []
    assert {row["readers"] for row in rows} == {1}
    # And every post that was acknowledged to its writer is there, and on both instances once, and was told to the three others
    ours = {row["uri"] for row in await site.rows("select uri from post where local = 1")}
    assert [uri for uri in zygote.posted if uri not in ours] == []
    for listener in listeners:
        there = Counter(row["uri"] for row in await listener.site.rows("select uri from post where local = 0"))
        assert set(there) == ours
        assert set(there.values()) == {1}
        assert len(await listener.home()) == min(len(ours), 1000)
    for peer in peers:
        assert {activity["object"]["id"] for activity in peer.activities("Create")} == ours
    # And nothing was given up, and the file is whole
    assert await site.count("arrival", "state <> 'done'") == 0
    assert await site.count("delivery", "state <> 'sent'") == 0
    # (what every start asks for may be set aside after three deaths in its hands; the next start asks again)
    assert await site.count("job", "state = 'quarantined' and kind not in ('tidy', 'border', 'erase', 'retention')") == 0
    assert [row["integrity_check"] for row in await site.rows("pragma integrity_check")] == ["ok"]
    assert await site.rows("pragma foreign_key_check") == []
    print(f"{rounds} kills {dict(died)}: {len(acknowledged)} in, {len(zygote.posted)} out, 0 lost, 0 doubled")
