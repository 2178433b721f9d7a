"""What is plain is done at the door and is as durable, known and ordered as what waits; whatever is not plain, or goes wrong, waits its turn."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import known
from fedmatch import living
from inbox import arrivals
from inbox.arrivals import Counts
from outbox import posts
from schemas.events import PostStored
from tests.house import House
from tests.letters import PUBLIC, activity, followed, move_in, note, post, rows, work

CANARY = "the canary sings at midnight"


@pytest.fixture
async def house(database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(database, tmp_path) as moved:
        moved.instance.at_once = True
        yield moved


@pytest.fixture
async def quick(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(sqlite_database, tmp_path) as moved:
        moved.instance.at_once = True
        yield moved


async def test_a_plain_post_is_done_when_202_is_said_and_known_ever_after(house: House) -> None:
    bo = await followed(house)
    # When it comes four times at once, and nobody works
    create = activity(bo, "Create", note(bo, content=CANARY))
    got = await asyncio.gather(*[post(house, bo, create) for _ in range(4)])
    # Then it is here once, was told once, and its row keeps nothing of it
    assert {one.status for one in got} == {202}
    [row] = await rows(house, "select * from arrival")
    assert (row["state"], row["body"], row["done_at"]) == ("done", None, house.clock.ms())
    [stored] = await rows(house, "select uri, content from post")
    assert CANARY in stored["content"]
    assert [event.post_id for event in house.told if isinstance(event, PostStored)]
    assert await house.read(arrivals.counts) == Counts(0, 1, 0)


async def test_many_at_once_are_all_here_once(house: House) -> None:
    writers = [await followed(house, name) for name in ("bo", "cy", "di", "ed")]
    names = [(who, f"{who.username}{number}") for number in range(8) for who in writers]
    sent = [post(house, who, activity(who, "Create", note(who, name), name)) for who, name in names]
    assert {one.status for one in await asyncio.gather(*sent)} == {202}
    assert len(await rows(house, "select id from post")) == 32
    assert await house.read(arrivals.counts) == Counts(0, 32, 0)


async def test_what_concerns_nobody_is_known_and_not_kept(quick: House) -> None:
    eve = await quick.stranger("eve", "theirs.example")
    assert (await post(quick, eve, activity(eve, "Create", note(eve)))).status == 202
    assert await rows(quick, "select id from post") == []
    assert await quick.read(arrivals.counts) == Counts(0, 1, 0)


async def test_a_private_one_rests_sealed(quick: House, tmp_path: Path) -> None:
    bo = await followed(quick)
    amina = await quick.read(known.by_name, "amina")
    private = note(bo, content=CANARY, to=[amina.uri], cc=[], tag=[{"type": "Mention", "href": amina.uri, "name": "@amina"}])
    assert (await post(quick, bo, activity(bo, "Create", private), path="/users/amina/inbox")).status == 202
    [stored] = await rows(quick, "select content, document, sealed from post")
    assert (stored["content"], stored["document"]) == (None, None)
    assert CANARY.encode() not in stored["sealed"]
    assert await quick.read(arrivals.counts) == Counts(0, 1, 0)


@pytest.mark.parametrize("lost", ["at_once", "vault"])
async def test_where_nothing_works_or_all_is_locked_it_waits(quick: House, lost: str) -> None:
    bo = await followed(quick)
    await post(quick, bo, activity(bo, "Create", note(bo, 1), 1))
    if lost == "vault":
        quick.instance.vault.lock()
    else:
        quick.instance.at_once = False
    assert (await post(quick, bo, activity(bo, "Create", note(bo, 2), 2))).status == 202
    assert await quick.read(arrivals.counts) == Counts(1, 1, 0)


async def test_whatever_is_not_plain_waits_its_turn(quick: House) -> None:
    bo = await followed(quick)
    listing = note(bo, 1, purpose="request", publishes={"type": "Intent", "name": "A lawyer"})
    told = [
        activity(bo, "Create", "https://theirs.example/notes/9", "link"),
        activity(bo, "Create", listing, "listing"),
        activity(bo, "Create", note(bo, 2), "proven", proof={"type": "DataIntegrityProof"}),
        activity(bo, "Create", note(bo, 3, content="x" * 70_000), "long"),
        activity(bo, "Update", note(bo, 4), "update"),
        activity(bo, "Like", f"{bo.uri}/1", "like"),
    ]
    for number, one in enumerate(told):
        quick.clock.move(seconds=1)
        assert (await post(quick, bo, one)).status == 202
        assert (await quick.read(arrivals.counts)).waiting == number + 1, one["id"]


async def test_nothing_overtakes_what_waits_of_its_server(quick: House) -> None:
    bo, cy = await followed(quick), await followed(quick, "cy", "elsewhere.example")
    await post(quick, bo, activity(bo, "Delete", {"type": "Tombstone", "id": note(bo)["id"]}, "gone"))
    await post(quick, bo, activity(bo, "Create", note(bo), "late"))
    assert await quick.read(arrivals.counts) == Counts(2, 0, 0)
    # Others do not wait for it
    await post(quick, cy, activity(cy, "Create", note(cy), "other"))
    assert await quick.read(arrivals.counts) == Counts(2, 1, 0)
    await work(quick)
    assert [row["uri"] for row in await rows(quick, "select uri from post")] == [note(cy)["id"]], "what was deleted first stays away"
    await post(quick, bo, activity(bo, "Create", note(bo, 2), "after"))
    assert await quick.read(arrivals.counts) == Counts(0, 4, 0)


async def test_what_raises_leaves_nothing_but_a_row_that_waits(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bo, cy = await followed(quick), await followed(quick, "cy", "elsewhere.example")
    store = posts.store

    async def poisoned(tx, instance, actor, note, **more):
        stored = await store(tx, instance, actor, note, **more)
        if CANARY in note.content:
            raise ZeroDivisionError(CANARY)
        return stored

    with monkeypatch.context() as broken:
        broken.setattr(posts, "store", poisoned)
        bad, good = activity(bo, "Create", note(bo, 1, CANARY), 1), activity(cy, "Create", note(cy, 2), 2)
        got = await asyncio.gather(post(quick, bo, bad), post(quick, cy, good))
        assert {one.status for one in got} == {202}
        assert await quick.read(arrivals.counts) == Counts(1, 1, 0), "its neighbour is done"
        assert len(await rows(quick, "select id from post")) == 1
        [row] = await rows(quick, "select body from arrival where state = 'waiting'")
        assert CANARY.encode() not in row["body"]
        for _ in range(6):
            await work(quick)
            quick.clock.move(hours=1)
    [row] = await rows(quick, "select attempts, error from arrival where state = 'failed'")
    assert dict(row) == {"attempts": 5, "error": "ZeroDivisionError"}


async def test_who_may_not_and_where_nobody_is_hear_the_same_as_before(quick: House) -> None:
    bo = await followed(quick)
    assert (await post(quick, bo, activity(bo, "Create", note(bo)), path="/users/nobody/inbox")).status == 404

    async def suspend(tx) -> None:
        await tx.execute("update actor set state = 'suspended' where id = :id", id=bo.id)

    await quick.write(suspend)
    assert (await post(quick, bo, activity(bo, "Create", note(bo)))).status == 403
    assert await rows(quick, "select id from arrival") == []


async def test_a_reply_asks_for_what_is_above_it(quick: House) -> None:
    bo = await followed(quick)
    woken: list[str] = []
    quick.instance.wake = woken.append
    above = "https://elsewhere.example/notes/1"
    await post(quick, bo, activity(bo, "Create", note(bo, inReplyTo=above, to=[PUBLIC])))
    [job] = await rows(quick, "select kind, key from job")
    assert (job["kind"], job["key"], woken) == ("thread", above, ["job"])
    assert json.dumps(dict(job)).count(above) == 1


def test_who_died_is_noticed_once_and_who_ended_well_is_not(tmp_path: Path) -> None:
    assert living.begin(tmp_path) is False
    living.end(tmp_path)
    assert living.begin(tmp_path) is False
    # The same number again without an end: a container that was killed
    assert living.begin(tmp_path) is True
    living.end(tmp_path)
    (tmp_path / f"{living.NAME}999999999").touch()
    (tmp_path / f"{living.NAME}rubbish").touch()
    (tmp_path / f"{living.NAME}{os.getppid()}").touch()
    assert living.begin(tmp_path) is True
    assert living.begin(tmp_path) is True
    living.end(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{living.NAME}{os.getppid()}"], "who lives keeps its own"
    assert living.begin(tmp_path) is False
