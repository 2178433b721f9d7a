"""Does it matter in which order things arrive? Every order of what one sender said ends in the same state, and twice is once."""

import itertools
import json

from tests.fakepeer import FakePeer
from tests.world import Person, World


async def state(reader: Person) -> str:
    """What the reader's instance holds, without ids of its own."""
    posts = await reader.site.rows("select uri, actor_id, visibility, updated from post order by uri")
    graves = await reader.site.rows("select uri from tombstone order by uri")
    texts = sorted((entry["url"], entry["text"]) for entry in await reader.home())
    return json.dumps([[(row["uri"], row["visibility"], row["updated"]) for row in posts], [row["uri"] for row in graves], texts])


ORDERS = list(itertools.permutations(range(3)))


async def test_updates_end_in_the_newest_whatever_comes_first(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@b"), peer.actor("p1")
    notes = [p1.direct(f"<p>one {number}</p>", reader.uri, f"@{reader.handle}") for number in range(len(ORDERS))]
    said = [[p1.create(note)] for note in notes]
    for word in ("two", "three"):
        world.clock.move(minutes=1)
        for number, note in enumerate(notes):
            said[number].append(p1.update(note, content=f"<p>{word} {number}</p>"))
    for turn in range(3):
        for number, order in enumerate(ORDERS):
            assert (await p1.send(said[number][order[turn]], reader.actor.inbox)).status == 202
        await world.settle()
    assert sorted(entry["text"] for entry in await reader.home()) == [f"three {number}" for number in range(len(ORDERS))]


async def test_a_delete_wins_whatever_comes_first(world: World, peer: FakePeer) -> None:
    reader, p1 = await world.person("reader@b"), peer.actor("p1")
    notes = [p1.direct("<p>one</p>", reader.uri, f"@{reader.handle}") for _ in ORDERS]
    said = [(p1.create(note), p1.update(note, content="<p>two</p>"), p1.delete(note)) for note in notes]
    for turn in range(3):
        for number, order in enumerate(ORDERS):
            assert (await p1.send(said[number][order[turn]], reader.actor.inbox)).status == 202
        await world.settle()
    assert await reader.home() == []
    assert await reader.site.count("post") == 0


async def test_all_at_once_ends_like_one_after_the_other(world: World, peer: FakePeer) -> None:
    # Given six notes, each created, changed, and half of them deleted, arriving without a worker
    await world.site("b", worker=False)
    reader, p1 = await world.person("reader@b"), peer.actor("p1")
    said = []
    for number in range(6):
        note = p1.direct(f"<p>first {number}</p>", reader.uri, f"@{reader.handle}")
        said += [p1.create(note), p1.update(note, content=f"<p>second {number}</p>")]
        if number % 2:
            said.append(p1.delete(note))
    # When they arrive in reverse, each twice, and the worker starts
    for activity in reversed(said):
        assert (await p1.send(activity, reader.actor.inbox, repeat=2)).status == 202
    reader.site.work()
    await world.settle()
    # Then what stands is what would have stood
    assert sorted(entry["text"] for entry in await reader.home()) == ["second 0", "second 2", "second 4"]
    before = await state(reader)
    # And hearing all of it again changes nothing
    for activity in said:
        assert (await p1.send(activity, reader.actor.inbox)).status == 202
    await world.settle()
    assert await state(reader) == before
