"""What arrived is done once, whatever happens in between: crashes, poison, a locked vault, a stop."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import local, vault
from inbox import arrivals, handle, queue
from inbox.arrivals import Counts
from inbox.work import Arrivals
from schemas.config import VaultConfig
from schemas.events import PostStored
from schemas.states import ARRIVAL
from tests.house import PAIR, Clock, House
from tests.letters import STRANGER, activity, envelope, followed, knock, move_in, note, post, rows, work

CANARY = "the canary sings at midnight"


@pytest.fixture
async def house(database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(database, tmp_path) as moved:
        yield moved


@pytest.fixture
async def quick(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(sqlite_database, tmp_path) as moved:
        yield moved


async def test_an_arrival_is_done_with_its_effects_and_its_body_is_gone(house: House) -> None:
    bo = await followed(house)
    await post(house, bo, activity(bo, "Create", note(bo, content=CANARY)))
    assert await house.read(arrivals.counts) == Counts(1, 0, 0)
    await work(house)
    [row] = await rows(house, "select * from arrival")
    assert (row["state"], row["body"], row["done_at"]) == ("done", None, house.clock.ms())
    [stored] = await rows(house, "select uri, content from post")
    assert CANARY in stored["content"]
    assert await house.read(arrivals.counts) == Counts(0, 1, 0)
    # And a redelivery, days later, is known
    house.clock.move(days=89)
    assert (await post(house, bo, activity(bo, "Create", note(bo, content=CANARY)))).status == 202
    assert await house.read(arrivals.counts) == Counts(0, 1, 0)


async def test_two_workers_do_everything_once(house: House) -> None:
    bo = await followed(house)
    for number in range(40):
        await post(house, bo, activity(bo, "Create", note(bo, number), number))
    await asyncio.gather(work(house), work(house), work(house))
    assert await house.read(arrivals.counts) == Counts(0, 40, 0)
    assert len([event for event in house.told if isinstance(event, PostStored)]) >= 40
    assert len(await rows(house, "select id from post")) == 40


async def test_one_actors_arrivals_keep_their_order(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    senders = [await followed(quick, f"s{number}") for number in range(4)]
    for number in range(30):
        for sender in senders:
            await post(quick, sender, activity(sender, "Like", "https://ours.example/posts/1", f"{sender.username}-{number}"))
    seen: list[str] = []

    async def act(tx, instance, verified, activity, found):
        seen.append(verified.document["id"].rpartition("/")[2])
        return handle.NOTHING

    monkeypatch.setattr(handle, "act", act)
    await work(quick)
    for sender in senders:
        assert [name for name in seen if name.startswith(f"{sender.username}-")] == [f"{sender.username}-{number}" for number in range(30)]


async def test_a_poison_message_is_tried_five_times_and_holds_nobody_up(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bo, eve = await followed(quick), await followed(quick, "eve")
    act = handle.act

    async def poisoned(tx, instance, verified, activity, found):
        if CANARY in json.dumps(verified.document):
            raise ZeroDivisionError(CANARY)
        return await act(tx, instance, verified, activity, found)

    monkeypatch.setattr(handle, "act", poisoned)
    await post(quick, bo, activity(bo, "Create", note(bo, 1, CANARY), 1))
    await post(quick, bo, activity(bo, "Create", note(bo, 2), 2))
    await post(quick, eve, activity(eve, "Create", note(eve, 3), 3))
    await work(quick)
    assert await quick.read(arrivals.counts) == Counts(1, 2, 0), "its neighbours are done"
    for _ in range(6):
        quick.clock.move(hours=1)
        await work(quick)
    [row] = await rows(quick, "select * from arrival where state = 'failed'")
    assert row["attempts"] == 5
    assert (row["body"], row["error"]) == (None, "ZeroDivisionError"), "a dead letter keeps no content"


async def test_what_cannot_be_read_is_given_up_at_once(quick: House) -> None:
    bo = await followed(quick)
    await post(quick, bo, activity(bo, "Follow", {"type": "Person"}))
    await work(quick)
    [row] = await rows(quick, "select state, error, body from arrival")
    assert row["state"] in ("failed", "done")
    assert row["body"] is None


async def test_what_kills_the_process_is_set_aside_then_given_up_and_its_neighbours_are_not(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given five arrivals that were in hand when the process died, one of them guilty
    bo = await followed(quick)
    for number in range(5):
        await post(quick, bo, activity(bo, "Create", note(bo, number, CANARY if number == 2 else "fine"), number))

    async def crash(tx) -> None:
        await tx.execute("update arrival set attempts = attempts + 1, lease_until = :past", past=quick.clock.ms() - 1)

    await quick.write(crash)
    together: list[int] = []
    act = handle.act

    class Killed(BaseException):
        pass

    async def deadly(tx, instance, verified, activity, found):
        together.append(len(worker._ids))
        if CANARY in json.dumps(verified.document):
            raise Killed
        return await act(tx, instance, verified, activity, found)

    monkeypatch.setattr(handle, "act", deadly)

    async def no_note(self, held, error):
        return None  # the process is dead: nobody writes anything on the row

    monkeypatch.setattr(Arrivals, "_note", no_note)

    # When it is started again and again
    async def live_and_die() -> None:
        nonlocal worker
        stop, worker = asyncio.Event(), Arrivals(quick.instance)
        task = asyncio.create_task(worker.run(stop))
        await asyncio.sleep(0.4)
        stop.set()
        await task
        quick.clock.move(minutes=1)

    worker = Arrivals(quick.instance)
    for _ in range(6):
        await live_and_die()
    # Then it is set aside after three deaths, and its neighbours are done
    assert await quick.read(arrivals.counts) == Counts(1, 4, 0)
    # (a body that raises runs twice: with others, then by itself)
    assert together.count(1) == len(together) == 4 + 2 * 2
    quick.clock.move(hours=7)
    await live_and_die()
    await live_and_die()
    # Then the guilty one is given up, and ran alone
    assert await quick.read(arrivals.counts) == Counts(0, 4, 1)
    assert set(together) == {1}
    [row] = await rows(quick, "select error from arrival where state = 'failed'")
    assert "died" in row["error"]


async def test_a_stop_gives_back_what_was_not_begun(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bo = await followed(quick)
    for number in range(10):
        await post(quick, bo, activity(bo, "Create", note(bo, number), number))
    begun, act = asyncio.Event(), Arrivals._understand

    async def slow(self, held, memory):
        begun.set()
        await asyncio.sleep(0.2)
        await act(self, held, memory)

    monkeypatch.setattr(Arrivals, "_understand", slow)
    stop = asyncio.Event()
    task = asyncio.create_task(Arrivals(quick.instance).run(stop))
    await begun.wait()
    stop.set()
    await task
    assert await quick.read(arrivals.counts) == Counts(9, 1, 0)
    left = await rows(quick, "select attempts, lease_until from arrival where state = 'waiting'")
    assert {(row["attempts"], row["lease_until"]) for row in left} == {(0, 0)}


async def test_a_killed_workers_rows_are_taken_over(house: House) -> None:
    bo = await followed(house)
    await post(house, bo, activity(bo, "Create", note(bo)))

    async def claimed_and_killed(tx) -> None:
        await tx.execute("update arrival set attempts = 1, lease_until = :until", until=house.clock.ms() + queue.LEASE_MS)

    await house.write(claimed_and_killed)
    stop = asyncio.Event()
    task = asyncio.create_task(Arrivals(house.instance).run(stop))
    await asyncio.sleep(0.2)
    stop.set()
    await task
    assert await house.read(arrivals.counts) == Counts(1, 0, 0), "its lease still runs"
    house.clock.move(seconds=31)
    await work(house)
    assert await house.read(arrivals.counts) == Counts(0, 1, 0)


async def test_a_body_that_was_moved_does_not_open(quick: House) -> None:
    bo = await followed(quick)
    await post(quick, bo, activity(bo, "Create", note(bo, 1), 1))
    await post(quick, bo, activity(bo, "Create", note(bo, 2), 2))

    async def swap(tx) -> None:
        first, second = await tx.all("select id, body from arrival order by id")
        await tx.execute("update arrival set body = :body where id = :id", id=first["id"], body=second["body"])

    await quick.write(swap)
    await work(quick)
    assert await quick.read(arrivals.counts) == Counts(0, 1, 1)
    assert [row["uri"] for row in await rows(quick, "select uri from post")] == ["https://theirs.example/notes/2"]


async def test_old_rows_go(quick: House) -> None:
    bo = await followed(quick)
    await post(quick, bo, activity(bo, "Create", note(bo)))
    await work(quick)
    quick.clock.move(days=91)
    await quick.write(queue.sweep, quick.instance)
    assert await rows(quick, "select id from arrival") == []


def test_every_move_of_the_sql_is_one_of_the_life() -> None:
    # Given the statements that change a state
    texts = [value for name, value in vars(queue).items() if name.isupper() and isinstance(value, str) and "update arrival" in value]
    moves = set()
    for text in texts:
        if (to := re.search(r"set state = '(\w+)'", text)) is None:
            continue
        sources = re.search(r"and state in \(([^)]*)\)|and state = ('\w+')", text)
        assert sources is not None, text
        moves |= {(state, to[1]) for state in re.findall(r"'(\w+)'", sources[0])}
    assert len(moves) >= 4
    for state, to in moves:
        assert ARRIVAL.move(state, to) == to


# While the vault is locked.


@pytest.fixture
async def locked(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    """A house whose vault opens with a passphrase, furnished and then locked."""
    config = VaultConfig("passphrase", None)
    safe = await vault.start(sqlite_database, config, Clock(), passphrase="five words are long enough")
    async with move_in(sqlite_database, tmp_path, furnished=False, vault=config) as moved:
        moved.instance.vault = safe
        await moved.write(local._create_application, moved.instance, PAIR)
        yield moved


async def test_a_locked_instance_keeps_what_it_can_prove_and_does_it_after_the_unlock(locked: House) -> None:
    bo = await followed(locked)
    locked.instance.vault.lock()
    for number in range(5):
        assert (await post(locked, bo, activity(bo, "Create", note(bo, number, CANARY), number))).status == 202
    stop = asyncio.Event()
    worker = Arrivals(locked.instance)
    task = asyncio.create_task(worker.run(stop))
    await asyncio.sleep(0.2)
    assert await locked.read(arrivals.counts) == Counts(5, 0, 0), "nothing is opened while it is locked"
    stop.set()
    await task
    locked.instance.vault.unlock(b"five words are long enough")
    await work(locked)
    assert await locked.read(arrivals.counts) == Counts(0, 5, 0)
    assert len(await rows(locked, "select id from post")) == 5


async def test_a_forged_arrival_does_not_stand_in_the_way_of_the_genuine_one(locked: House) -> None:
    # Given a locked instance that does not know bo, and a forger who guesses the id of bo's next activity
    key_id = "https://theirs.example/users/bo#main-key"
    locked.instance.vault.lock()

    class Bo:
        uri = "https://theirs.example/users/bo"

    create = activity(Bo, "Create", note(Bo))
    forged = json.dumps({**create, "object": {**create["object"], "content": "forged"}}).encode()
    genuine = json.dumps(create).encode()
    assert (await knock(locked, envelope(locked, key_id, forged, key=STRANGER), forged)).status == 202
    assert (await knock(locked, envelope(locked, key_id, genuine), genuine)).status == 202
    assert [row["state"] for row in await rows(locked, "select state from arrival")] == ["unverified", "unverified"]
    # When it is unlocked and bo's key is known by then
    locked.instance.vault.unlock(b"five words are long enough")
    await followed(locked)
    locked.clock.move(hours=5)  # judged by the time they came
    await work(locked)
    locked.clock.move(hours=1)
    await work(locked)
    # Then the genuine one was done; the forged one is still looked into or given up, and nothing came of it
    [stored] = await rows(locked, "select content from post")
    assert "forged" not in stored["content"]
    states = {row["uri"].partition(" ")[2][:10]: row["state"] for row in await rows(locked, "select uri, state from arrival")}
    assert states[""] == "done"
    assert states["unverified"] in ("unverified", "failed")


async def test_a_locked_instance_keeps_so_many_and_no_more(locked: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "UNVERIFIED_MOST", 3)
    locked.instance.vault.lock()
    answers = []
    for number in range(5):
        actor = f"https://host{number}.example/users/x"
        body = json.dumps({"id": f"{actor}/1", "type": "Like", "actor": actor, "object": "https://ours.example/posts/1"}).encode()
        answers.append(await knock(locked, envelope(locked, f"{actor}#main-key", body), body))
    assert [got.status for got in answers] == [202, 202, 202, 503, 503]
    assert answers[-1].headers[b"retry-after"]
