"""Is every job done, once where it can be, again where it must be, and seen where it cannot?"""

import asyncio
from types import SimpleNamespace

import pytest

from fedmatch import jobs
from fedmatch.ids import Ids
from fedmatch.jobs import Jobs, enqueue, quarantined, retry_in_ms
from tests.nursery import Nursery


class Clock:
    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000

    def ms(self) -> int:
        return self.at_ms


@pytest.fixture
def house(database):
    """As much of an Instance as jobs touch."""
    clock = Clock()
    return SimpleNamespace(database=database, clock=clock, ids=Ids(clock), stopping=asyncio.Event())


@pytest.fixture
def nursery():
    with Nursery("tests.programs", "fedmatch.jobs") as started:
        yield started


@pytest.fixture
def where(database):
    """The address of this test's database, for another process."""
    return database._url if database.engine == "postgresql" else database.path


async def rows(tx):
    found = await tx.all("select job.kind, job.key, job.state, job.payload, job.run_at, job.attempts, job.crashes, job.error from job order by job.id")
    return [SimpleNamespace(**dict(row)) for row in found]


async def ask(house, key="k", kind="note", in_ms=0, payload=b""):
    await house.database.write(enqueue, house, kind, key, house.clock.ms() + in_ms, payload)


class Work:
    """Handlers that write down what they were given, and fail or wait as they are told."""

    def __init__(self) -> None:
        self.done: list[tuple[str, bytes]] = []
        self.fails: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.started = asyncio.Event()

    async def note(self, _instance, key, payload):
        self.started.set()
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        self.done.append((key, payload))


class Running:
    """`async with Running(jobs): ...` runs them meanwhile."""

    def __init__(self, made: Jobs) -> None:
        self.jobs = made
        self.stop = asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(self.jobs.run(self.stop))
        return self.jobs

    async def __aexit__(self, *_):
        self.stop.set()
        self.jobs.wake()
        await self.task


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def empty(house, seconds=5):
    async with asyncio.timeout(seconds):
        while await house.database.read(rows):
            await asyncio.sleep(0.01)


async def test_the_same_work_asked_for_twice_is_one_row_with_the_earlier_moment(house):
    await ask(house, in_ms=5000, payload=b"old")
    await ask(house, in_ms=9000, payload=b"new")
    await ask(house, key="other")
    first, other = await house.database.read(rows)
    assert (first.key, first.payload, first.run_at, first.attempts) == ("k", b"new", house.clock.ms() + 5000, 0)
    assert other.key == "other"
    await ask(house, in_ms=100)
    assert (await house.database.read(rows))[0].run_at == house.clock.ms() + 100


async def test_what_is_due_is_done_and_what_is_not_waits(house):
    work = Work()
    await ask(house, "now", payload=b"1")
    await ask(house, "later", in_ms=60_000)
    async with Running(Jobs(house, {"note": work.note})) as running:
        await until(lambda: work.done == [("now", b"1")])
        await asyncio.sleep(0.1)
        assert [row.key for row in await house.database.read(rows)] == ["later"]
        house.clock.at_ms += 60_000
        running.wake()
        await until(lambda: len(work.done) == 2)
        await empty(house)


async def test_a_clock_that_jumps_hides_nothing_that_is_due(house):
    work = Work()
    await ask(house, in_ms=3_600_000)
    async with Running(Jobs(house, {"note": work.note})):
        await asyncio.sleep(0.1)  # it looked, and sleeps until the next hour
        house.clock.at_ms += 3_600_000  # the machine was suspended; nobody wakes us
        await until(lambda: work.done == [("k", b"")])
        await empty(house)


async def test_a_job_asked_for_while_it_runs_runs_once_more(house):
    work = Work()
    work.gate.clear()
    await ask(house, payload=b"1")
    async with Running(Jobs(house, {"note": work.note})) as running:
        await work.started.wait()
        await ask(house, payload=b"2")
        running.wake()
        await asyncio.sleep(0.1)
        assert [row.state for row in await house.database.read(rows)] == ["running", "waiting"]  # never two of one key at once
        work.gate.set()
        await until(lambda: work.done == [("k", b"1"), ("k", b"2")])
        await empty(house)


async def test_a_failure_is_tried_again_with_growing_patience_and_then_set_aside(house):
    work = Work()
    work.fails = ValueError("what amina wrote")
    await ask(house)
    async with Running(Jobs(house, {"note": work.note})) as running:
        for attempt in range(1, jobs.FAILURES + 1):
            async with asyncio.timeout(5):
                while (row := (await house.database.read(rows))[0]).state == "running" or row.attempts < attempt:
                    await asyncio.sleep(0.005)
            assert row.attempts == attempt
            assert row.error.startswith("ValueError at test_jobs.py:")
            if attempt < jobs.FAILURES:
                assert (row.state, row.run_at) == ("waiting", house.clock.ms() + retry_in_ms(attempt))
                await ask(house)  # whoever asks again does not shorten its rest
                assert (await house.database.read(rows))[0].run_at == row.run_at
                house.clock.at_ms = row.run_at
                running.wake()
        assert row.state == "quarantined"
        (seen,) = await house.database.read(quarantined)
        assert (seen["kind"], seen["attempts"]) == ("note", jobs.FAILURES)
        work.fails = None
        await ask(house)  # what is set aside is in nobody's way
        running.wake()
        await until(lambda: len(work.done) == 1)


def test_patience_grows_to_an_hour():
    assert [retry_in_ms(n) // 1000 for n in (1, 2, 3, 9, 10, 500)] == [10, 20, 40, 2560, 3600, 3600]


async def test_a_failure_gives_way_to_the_same_work_asked_for_meanwhile(house):
    work = Work()
    work.gate.clear()
    work.fails = ValueError()
    await ask(house, payload=b"1")
    async with Running(Jobs(house, {"note": work.note})):
        await work.started.wait()
        await ask(house, payload=b"2")
        work.gate.set()
        async with asyncio.timeout(5):
            while len(found := await house.database.read(rows)) != 1:
                await asyncio.sleep(0.01)
    (row,) = found
    assert (row.state, row.payload, row.attempts, row.run_at) == ("waiting", b"2", 1, house.clock.ms() + retry_in_ms(1))


async def test_a_kind_that_nobody_knows_waits_for_a_newer_program(house):
    await ask(house, kind="tomorrow")
    async with Running(Jobs(house, {})):
        async with asyncio.timeout(5):
            while (row := (await house.database.read(rows))[0]).error is None:
                await asyncio.sleep(0.01)
    assert (row.state, row.attempts, row.error.partition(" ")[0]) == ("waiting", 1, "LookupError")


async def test_stopping_gives_back_what_does_not_end(house, monkeypatch):
    monkeypatch.setattr(jobs, "DRAIN_S", 0.1)
    work = Work()
    work.gate.clear()
    await ask(house)
    async with Running(Jobs(house, {"note": work.note})):
        await work.started.wait()
    (row,) = await house.database.read(rows)
    assert (row.state, row.attempts, row.crashes) == ("waiting", 0, 0)


async def test_stopping_lets_what_is_nearly_done_end(house):
    work = Work()
    work.gate.clear()
    await ask(house)
    async with Running(Jobs(house, {"note": work.note})):
        await work.started.wait()
        asyncio.get_running_loop().call_later(0.2, work.gate.set)
    assert work.done == [("k", b"")]
    assert await house.database.read(rows) == []


async def test_a_lease_is_kept_while_the_work_takes_long(house, monkeypatch):
    monkeypatch.setattr(jobs, "BEAT_S", 0.05)
    work = Work()
    work.gate.clear()
    await ask(house)
    async with Running(Jobs(house, {"note": work.note})):
        await work.started.wait()
        for _ in range(5):  # two and a half minutes
            house.clock.at_ms += jobs.LEASE_MS - 1000
            await asyncio.sleep(0.15)
        other = Work()
        async with Running(Jobs(house, {"note": other.note})):
            await asyncio.sleep(0.2)
        assert other.done == []
        work.gate.set()
        await empty(house)
    assert work.done == [("k", b"")]


async def test_whoever_lost_a_lease_stops_and_finishes_nothing(house, monkeypatch):
    monkeypatch.setattr(jobs, "BEAT_S", 0.3)
    slow, other = Work(), Work()
    slow.gate.clear()
    other.gate.clear()
    await ask(house)
    async with Running(Jobs(house, {"note": slow.note})):
        await slow.started.wait()
        house.clock.at_ms += jobs.LEASE_MS + 1  # as if the machine had slept
        async with Running(Jobs(house, {"note": other.note})):
            await other.started.wait()
            await asyncio.sleep(0.5)
            slow.gate.set()
            await asyncio.sleep(0.1)
            assert slow.done == []
            (row,) = await house.database.read(rows)
            assert (row.state, row.attempts, row.crashes) == ("running", 2, 1)
            other.gate.set()
            await empty(house)
    assert other.done == [("k", b"")]


async def test_a_job_that_takes_its_process_down_three_times_is_set_aside(house, nursery, where):
    await ask(house, "kills")
    for crash in range(1, 3):
        assert await asyncio.to_thread(nursery.wait, nursery.start("tests.programs:do_jobs", where, house.clock.ms())) == -9
        (row,) = await house.database.read(rows)
        assert (row.state, row.attempts, row.crashes) == ("running", crash, crash - 1)
        house.clock.at_ms += jobs.LEASE_MS + 1
    work = Work()
    async with Running(Jobs(house, {"note": work.note})):
        async with asyncio.timeout(5):
            while (row := (await house.database.read(rows))[0]).state != "waiting":
                await asyncio.sleep(0.01)
    assert jobs.SUSPECT_MS <= row.run_at - house.clock.ms() < 5 * jobs.SUSPECT_MS
    assert (row.attempts, row.crashes, row.error) == (2, 2, "its process died 2 times")
    house.clock.at_ms = row.run_at
    assert await asyncio.to_thread(nursery.wait, nursery.start("tests.programs:do_jobs", where, house.clock.ms())) == -9
    house.clock.at_ms += jobs.LEASE_MS + 1
    async with Running(Jobs(house, {"note": work.note})):
        async with asyncio.timeout(5):
            while (row := (await house.database.read(rows))[0]).state != "quarantined":
                await asyncio.sleep(0.01)
    assert (row.attempts, row.crashes, row.error) == (3, 3, "its process died 3 times")
    assert work.done == []


async def test_what_ran_beside_a_job_that_kills_does_not_go_with_it(house):
    # Given three jobs that two processes died with: one is to blame, two were in the same hands
    async def died_twice(tx):
        await tx.execute("update job set state = 'running', attempts = 2, crashes = 1, lease_until = :past", past=house.clock.ms() - 1)

    keys = {"guilty", "one", "two"}
    for key in keys:
        await ask(house, key)
    await house.database.write(died_twice)
    work = Work()
    async with Running(Jobs(house, {"note": work.note})) as running:
        # Then none is taken up at once, and each rests for a time of its own
        async with asyncio.timeout(5):
            while any(row.state != "waiting" for row in await house.database.read(rows)):
                await asyncio.sleep(0.005)
        resting = await house.database.read(rows)
        assert len({row.run_at for row in resting}) == 3
        # And each is tried alone
        for number, row in enumerate(sorted(resting, key=lambda row: row.run_at), 1):
            house.clock.at_ms = row.run_at
            running.wake()
            await until(lambda number=number: len(work.done) == number)
            assert work.done[-1] == (row.key, b"")
        await empty(house)


async def test_two_processes_never_do_one_job_twice(house, nursery, where, tmp_path):
    started = [nursery.start("tests.programs:do_jobs", where, house.clock.ms(), tmp_path / f"{name}") for name in ("a", "b", "c")]
    async with asyncio.timeout(60):
        while not all((tmp_path / name).exists() for name in ("a", "b", "c")):
            await asyncio.sleep(0.01)
    for n in range(60):
        await ask(house, f"{n}")
    await empty(house, 30)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.stop").touch()
    assert [await asyncio.to_thread(nursery.wait, pid) for pid in started] == [0, 0, 0]
    done = [line for name in ("a", "b", "c") for line in (tmp_path / name).read_text().splitlines()]
    assert sorted(done, key=int) == [f"{n}" for n in range(60)]


def test_the_longest_takeover_is_under_a_minute():
    assert jobs.LEASE_MS / 1000 + jobs.LOOK_S + 1 < 60
