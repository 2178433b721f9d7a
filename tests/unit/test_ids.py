"""Are ids in order, ours alone, and honest about time?"""

import threading
from datetime import UTC, datetime, timedelta

from fedmatch.ids import COUNTER_MASK, EARLIEST_MS, Ids, SystemClock, moment_ms


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def ms(self) -> int:
        return int(self.at.timestamp() * 1000)


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_clock_is_aware_and_in_milliseconds():
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert abs(clock.now().timestamp() * 1000 - clock.ms()) < 1000


def test_an_id_holds_its_moment_and_fits_every_column():
    ids = Ids(Clock(NOON))
    drawn = ids.new()
    assert moment_ms(drawn) == Clock(NOON).ms()
    assert Ids(Clock(datetime(6000, 1, 1, tzinfo=UTC))).new() < 2**63


def test_ids_grow_also_when_the_counter_turns_over_and_the_clock_goes_back():
    clock = Clock(NOON)
    ids = Ids(clock)
    drawn = [ids.new() for _ in range(COUNTER_MASK + 100)]
    clock.at -= timedelta(hours=1)
    drawn += [ids.new() for _ in range(100)]
    clock.at += timedelta(hours=2)
    drawn.append(ids.new())
    assert drawn == sorted(set(drawn))
    assert moment_ms(drawn[-1]) == clock.ms()


def test_a_remote_post_gets_its_own_moment_between_2010_and_now():
    clock = Clock(NOON)
    ids = Ids(clock)
    long_ago = int(datetime(2019, 5, 1, tzinfo=UTC).timestamp() * 1000)
    assert moment_ms(ids.new(long_ago)) == long_ago
    assert moment_ms(ids.new(0)) == moment_ms(ids.new(-5)) == EARLIEST_MS
    assert moment_ms(ids.new(clock.ms() + 10**9)) == clock.ms()
    assert len({ids.new(long_ago) for _ in range(1000)}) == 1000


def test_two_processes_start_somewhere_else():
    assert len({Ids(Clock(NOON)).new() & COUNTER_MASK for _ in range(20)}) > 10


def test_threads_draw_different_ids():
    ids = Ids(SystemClock())
    drawn: list[int] = []
    threads = [threading.Thread(target=lambda: drawn.extend([ids.new() for _ in range(5000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == 20_000
