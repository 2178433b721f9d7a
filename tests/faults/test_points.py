"""Where may a process be killed? Row F03: at every labelled point of the code a real process dies, and what was acknowledged is there once.

The labels are read from the code, so that a new one is killed at too; those of migrations are killed at in tests/unit/test_migrate.py (F26).
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakepeer import FakeActor, FakePeer
from tests.faults.house import Zygote, labelled_points
from tests.wire import Reply
from tests.world import World, write_config

FIRST_START = ("vault:made", "vault:inserted", "vault:created", "vault:file-begun", "vault:file-written", "vault:file-synced", "vault:file-placed")
"""Where a database and its key file are made."""

DOES = {"rotate": ["post", "rotate"], "vault": ["rewrap"], "remove": ["post", "delete"]}
"""What our own writer does while it waits for death; it posts and deletes where nothing is said."""


def test_there_are_labels_at_every_step() -> None:
    points = labelled_points()
    assert len(points) >= 60
    steps = {"arrive", "handle", "actor", "thread", "store", "change", "remove", "publish", "deliver", "job", "erase", "rotate", "vault", "write"}
    assert {point.partition(":")[0] for point in points} >= steps


@pytest.mark.parametrize("point", FIRST_START)
async def test_f03_killed_at_its_first_start_the_next_one_completes(tmp_path: Path, point: str) -> None:
    config = write_config(tmp_path / "house")
    async with Zygote() as zygote:
        await zygote.start(config.path, crashpoint=point)
        assert await zygote.ended(20) == -signal.SIGKILL, point
        await zygote.start(config.path)
        assert zygote.status is None, "it serves"


async def test_f03_killed_at_every_labelled_point_it_loses_nothing(world: World) -> None:
    # Given a writer with a follower on a good server, on one that fails and on one where the inbox is no more
    good, failing, gone, closed, afar = [await world.peer() for _ in range(5)]
    site = await world.site("a")
    reader, writer = await world.person("reader@a"), await world.person("writer@a")
    for peer in (good, failing, gone):
        follower = peer.actor("follower")
        await follower.send(follower.follow(writer.uri), writer.actor.inbox)
    sender, other = good.actor("sender"), afar.actor("other")
    for actor in (sender, other):
        await actor.send(actor.follow(writer.uri), writer.actor.inbox)
    await reader.follow(sender.handle)
    await world.settle()
    await sender.send(sender.activity("Accept", good.activities("Follow")[0]), reader.actor.inbox)
    await world.settle()
    assert await reader.following(sender.handle) == "accepted"
    # whose breaker is open, so that every probe opens it again
    failing.always("/inbox", Reply(503))
    gone.always("/inbox", Reply(404))
    closed.always("/notes/never", Reply(503))
    await writer.post("before")
    for _ in range(8):
        await world.later(hours=3)
    await site.stop()
    here: dict[str, str | None] = {}
    """Every letter that was acknowledged, with the words it must have; None for what was taken back."""
    maybe: set[str] = set()
    """What was changed or taken back without an acknowledgement: it may be either way."""
    followers: list[str] = []
    hopeless: set[str] = set()
    missed: list[str] = []
    serial = 0

    async def said(activity: dict[str, Any], by: FakeActor = sender) -> bool:
        answer = await by.send(activity, f"{site.base}/inbox")
        assert answer.status in {0, 202, 503}, answer
        return answer.status == 202

    async def answer(above: str) -> bool:
        note = sender.note("<p>an answer</p>", inReplyTo=above)
        if await said(sender.create(note)):
            here[note["id"]] = "an answer"
            return True
        return False

    async def letters() -> None:
        note = sender.direct("<p>first words</p>", reader.uri, f"@{reader.handle}")
        if await said(sender.create(note)):
            here[note["id"]] = "first words"
            maybe.add(note["id"])
            if await said(sender.delete(note)):
                here[note["id"]] = None
                maybe.discard(note["id"])

    async def changes() -> None:
        note = sender.direct("<p>first words</p>", reader.uri, f"@{reader.handle}")
        if await said(sender.create(note)):
            here[note["id"]] = "first words"
            world.clock.move(seconds=2)
            maybe.add(note["id"])
            if await said(sender.update(note, content="<p>second words</p>")):
                here[note["id"]] = "second words"
                maybe.discard(note["id"])

    async def answers() -> None:
        above = other.note("<p>above</p>")
        if await answer(above["id"]):
            here[above["id"]] = "above"

    async def answers_to_nothing() -> None:
        nonlocal serial
        serial += 1
        # Each another one: the same asked for again would take the failed job's place.
        closed.always(f"/notes/never{serial}", Reply(503))
        await answer(f"{closed.base}/notes/never{serial}")

    async def boosts() -> None:
        announce = sender.activity("Announce", f"{closed.base}/notes/never", to=[sender.followers])
        hopeless.add(announce["id"])
        await said(announce)

    async def strangers() -> None:
        nonlocal serial
        serial += 1
        stranger = afar.actor(f"stranger{serial}")
        stranger.keys = other.keys
        if await said(stranger.follow(writer.uri), stranger):
            followers.append(stranger.id)

    async def carried() -> None:
        note = other.direct("<p>carried</p>", reader.uri, f"@{reader.handle}")
        create = other.create(note)
        afar.documents[create["id"].removeprefix(afar.base)] = create
        if await said(create, sender):
            here[note["id"]] = "carried"

    knocks: dict[str, Callable[[], Awaitable[None]]] = {
        "thread": answers, "actor": strangers, "arrive:carried": carried, "handle:failed": boosts, "handle:again": boosts, "job:again": answers_to_nothing,
        "change": changes,
    }  # fmt: skip
    async with Zygote() as zygote:
        # When a process dies at each of them
        for point in labelled_points():
            kind = point.partition(":")[0]
            if point in FIRST_START[:3]:
                continue
            world.clock.move(hours=1)
            # The first commits are those of the start.
            await zygote.start(
                site.config.path,
                ahead=world.clock.ahead.total_seconds(),
                crashpoint=f"{point}#9" if kind == "write" else point,
                author="writer",
                does=DOES.get(kind, ["post", "post", "delete"]),
            )
            knock = knocks.get(point) or knocks.get(kind) or letters

            async def again_and_again(knock: Callable[[], Awaitable[None]] = knock) -> None:
                while zygote.status is None:
                    try:
                        await knock()
                    except (OSError, TimeoutError):
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(0.01)

            knocking = asyncio.create_task(again_and_again())
            # it dies of itself: nobody else kills it
            try:
                status = await zygote.ended(10)
            except TimeoutError:
                zygote.kill()
                status = await zygote.ended()
                missed.append(point)
            assert status == -signal.SIGKILL, point
            await knocking
            # What was in hand is a suspect now. It is given up after its sixth death, so between two of ours there is a life without one.
            world.clock.move(minutes=1)
            await site.start()
            await world.settle(60)
            await site.stop()
    assert missed == []
    # And then one lives in peace
    failing.always("/inbox", None)
    world.clock.move(hours=1)
    await site.start()
    await world.settle(60)
    for _ in range(4):
        await world.later(hours=7)

    # Then every letter that was acknowledged is there, once and with its words, and was shown once
    rows = await site.rows("select post.uri, (select count(*) from home where home.post_id = post.id) as readers from post where local = 0")
    assert len({row["uri"] for row in rows}) == len(rows)
    there = {row["uri"]: row["readers"] for row in rows}
    failed = [tuple(dict(row).values()) for row in await site.rows("select uri, attempts, error from arrival where state = 'failed'")]
    assert [uri for uri, words in here.items() if words is not None and uri not in maybe and uri not in there] == [], failed
    assert [uri for uri, words in here.items() if words is None and uri in there] == []
    read = {entry["url"]: entry["text"] for entry in await reader.home()}
    assert read
    assert [(uri, words, read[uri]) for uri, words in here.items() if uri in read and uri not in maybe and words != read[uri]] == []
    # And every follower follows
    following = {
        row["uri"] for row in await site.rows("select actor.uri from follow join actor on actor.id = follow.follower_id where follow.state = 'accepted'")
    }
    assert set(followers) <= following
    # And every post of ours that was acknowledged is here and with every server that takes it in, and what was deleted is nowhere
    ours = {row["uri"] for row in await site.rows("select uri from post where local = 1")}
    assert set(zygote.posted) - ours <= {activity["object"]["id"] for activity in good.activities("Delete")}
    assert ours.isdisjoint(zygote.deleted)
    for peer in (good, failing):
        assert holds(peer) == ours
    # And nothing was given up but what nobody could have had
    assert [row for row in failed if row[0].partition(" ")[0] not in hopeless] == []
    left = await site.rows("select delivery.state, host.name from delivery join host on host.id = delivery.host_id where state not in ('sent', 'superseded')")
    assert {(row["state"], row["name"]) for row in left} == {("dead", gone.host)}
    # (what every start asks for may be set aside after three deaths in its hands; the next start asks again)
    aside = await site.rows("select kind, key from job where state = 'quarantined' and kind not in ('tidy', 'border', 'erase', 'retention')")
    assert [(row["kind"], row["key"]) for row in aside if not row["key"].startswith(closed.base)] == []
    assert [row["integrity_check"] for row in await site.rows("pragma integrity_check")] == ["ok"]
    assert await site.rows("pragma foreign_key_check") == []


def holds(peer: FakePeer) -> set[str]:
    """What another server has of us, when it read what it was told in the order in which it was told."""
    found: set[str] = set()
    for activity in peer.activities():
        match activity:
            case {"type": "Create", "object": {"id": uri}}:
                found.add(uri)
            case {"type": "Delete", "object": {"id": uri}}:
                found.discard(uri)
    return found
