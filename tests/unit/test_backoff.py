"""When do we try again, and when do we stop?"""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.backoff import (
    BREAKS_AFTER,
    DAY,
    HOUR,
    JITTER,
    LONGEST_REST,
    MINUTE,
    MOST_401,
    MOST_WAIT,
    SECOND,
    Again,
    Gone,
    Later,
    Sent,
    after,
    judge,
    outcome,
    rest_ms,
    retry_after,
    unreachable,
    wait_ms,
)

NOW = 1_800_000_000_000
attempts = st.integers(1, 100_000)
jitters = st.floats(0, 1)
times = st.integers(0, 4_000_000_000_000)


@given(attempts, jitters)
def test_every_wait_lies_between_its_base_and_a_fifth_more_and_never_over_a_day(n: int, jitter: float) -> None:
    base = min(n**4 + 15, 86_400) * SECOND
    assert base <= wait_ms(n, jitter) <= min(base * (1 + JITTER), MOST_WAIT)


@given(attempts, jitters, jitters)
def test_waits_grow_whatever_the_jitter(n: int, one: float, other: float) -> None:
    assert wait_ms(n, one) <= wait_ms(n + 1, other)


@given(st.integers(-5, 1_000_000), times, times, st.none() | st.integers(-10, 10**13), jitters)
def test_nothing_is_tried_after_thirty_days_nor_before_now(n: int, first: int, now: int, asked: int | None, jitter: float) -> None:
    at = after(n, first, now, asked, jitter)
    if at is None:
        assert now >= first + 30 * DAY
        return
    assert now < at <= first + 30 * DAY or first > now
    assert at - now <= 30 * DAY
    assert at - now <= MOST_WAIT


@given(attempts, st.integers(0, 10**12), jitters)
def test_retry_after_is_honoured_and_clamped_to_a_day(n: int, asked: int, jitter: float) -> None:
    at = after(n, NOW, NOW, asked, jitter)
    assert at is not None
    assert at - NOW >= min(asked, MOST_WAIT)
    assert at - NOW <= MOST_WAIT


def test_a_dead_peer_is_tried_over_the_whole_thirty_days_and_then_no_more() -> None:
    now, tried = NOW, 0
    while True:
        tried += 1
        at = after(tried, NOW, now, None, 0.5)
        if at is None:
            break
        assert at > now
        now = at
    assert now == NOW + 30 * DAY
    assert 30 <= tried <= 60


def test_a_clock_that_went_back_gives_nothing_up() -> None:
    assert after(40, NOW + 365 * DAY, NOW, None, 0.0) == NOW + DAY


@given(st.integers(0, 100_000), jitters, jitters)
def test_a_host_rests_longer_each_time_up_to_half_an_hour(failures: int, one: float, other: float) -> None:
    rest = rest_ms(failures, one)
    assert (rest == 0) == (failures < BREAKS_AFTER)
    assert rest <= LONGEST_REST
    assert rest <= rest_ms(failures + 1, other) or rest_ms(failures + 1, 0.0) == LONGEST_REST
    if failures > 100:
        assert rest >= LONGEST_REST * (1 - JITTER)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_sent(status: int) -> None:
    assert judge(status) == Sent(status)


@pytest.mark.parametrize("status", [300, 302, 304, 400, 402, 403, 404, 405, 406, 413, 415, 418, 422, 451, 499, 501])
def test_what_is_permanent_is_dropped_and_does_not_count_against_the_host(status: int) -> None:
    assert judge(status) == Gone(f"answered {status}")


@pytest.mark.parametrize("status", [301, 308])
def test_a_lasting_redirect_says_that_the_inbox_moved(status: int) -> None:
    assert judge(status) == Gone(f"answered {status}", inbox_moved=True)


def test_410_says_that_the_inbox_is_gone() -> None:
    assert judge(410) == Gone("answered 410", inbox_gone=True)


@pytest.mark.parametrize("status", [408, 425, 429])
def test_too_early_and_too_many_are_retried_at_the_asked_time_and_are_no_failure(status: int) -> None:
    judged = judge(status, retry_after_ms=2 * HOUR)
    assert judged == Again(f"answered {status}", failure=False, retry_after_ms=2 * HOUR)
    later = outcome(judged, attempts=1, first_ms=NOW, now_ms=NOW, jitter=0)
    assert later == Later(NOW + 2 * HOUR, f"answered {status}", failure=False, hold=True)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 599, 0, 101, 600])
def test_a_broken_peer_is_retried_and_counts_as_a_failure(status: int) -> None:
    assert judge(status) == Again(f"answered {status}", failure=True)


def test_a_401_is_retried_three_times_and_then_believed() -> None:
    for refusals in range(MOST_401):
        assert judge(401, refusals=refusals) == Again("answered 401", failure=False, refused=True)
    assert judge(401, refusals=MOST_401) == Gone("answered 401 4 times")


def test_no_answer_is_temporary_until_the_days_are_over() -> None:
    judged = unreachable("no such name")
    assert outcome(judged, attempts=3, first_ms=NOW, now_ms=NOW, jitter=0) == Later(NOW + 96 * SECOND, "no such name", failure=True)
    assert outcome(judged, attempts=44, first_ms=NOW, now_ms=NOW + 30 * DAY, jitter=0) == Gone("no such name; given up after 30 days", failure=True)


@given(st.integers(-1000, 1000), times, times, jitters)
def test_every_status_has_an_outcome(status: int, first: int, now: int, jitter: float) -> None:
    assert isinstance(outcome(judge(status), attempts=1, first_ms=first, now_ms=now, jitter=jitter), Sent | Later | Gone)


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    date = format_datetime(datetime.fromtimestamp(NOW / 1000 + 90, UTC), usegmt=True)
    assert retry_after("120", NOW) == 2 * MINUTE
    assert retry_after(" 7 ", NOW) == 7 * SECOND
    assert retry_after(date, NOW) == 90 * SECOND
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT", NOW) == 0
    assert retry_after("99999999999999999999", NOW) == MOST_WAIT


@pytest.mark.parametrize("header", [None, "", "soon", "-5", "1.5", "٣", "Thu, 99 Foo 99999", "\x00", "Mon, 01 Jan 99999 00:00:00 GMT"])
def test_a_rubbish_retry_after_is_none(header: str | None) -> None:
    assert retry_after(header, NOW) is None


@given(st.text(max_size=40), times)
def test_no_retry_after_breaks_us(header: str, now: int) -> None:
    asked = retry_after(header, now)
    assert asked is None or 0 <= asked <= MOST_WAIT
