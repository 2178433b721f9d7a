"""When do we try again, and when do we stop? Pure: what an answer means, how long we wait, how long a host rests; times are milliseconds.

What an answer means follows protocol.md 5.2; Mastodon's n^4 + 15 s is the wait, stretched until 30 days are over.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

MOST_WAIT: Final = DAY
"""No two attempts lie further apart, whatever a peer's Retry-After asks for."""
JITTER: Final = 0.2
"""Up to a fifth is added to a wait, so that a thousand deliveries that failed together do not come back together."""
MOST_401: Final = 3
"""Retries after a 401: some peers answer it while they cannot fetch our key; for ever it means no."""
BREAKS_AFTER: Final = 5
"""Consecutive failures that open a host's breaker."""
FIRST_REST: Final = 2 * MINUTE
LONGEST_REST: Final = 30 * MINUTE


@dataclass(frozen=True, slots=True)
class Sent:
    """The peer took it. (It may still throw it away: a 2xx proves that it arrived, no more.)"""

    status: int


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: again at `at_ms`. `failure` counts against the host; `hold` means the host itself named the time, and nothing goes there before."""

    at_ms: int
    why: str
    failure: bool = False
    hold: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Never: the peer, the rules or the time said so. `failure` counts against the host; `inbox_gone` is a 410, `inbox_moved` a lasting redirect."""

    why: str
    failure: bool = False
    inbox_gone: bool = False
    inbox_moved: bool = False


Outcome = Sent | Later | Gone


@dataclass(frozen=True, slots=True)
class Again:
    """What an answer means before the clock is asked: worth another attempt."""

    why: str
    failure: bool
    retry_after_ms: int | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """It was not tried, because an admin has to say something first: it waits without being counted, however long that takes."""

    why: str


Judgement = Sent | Again | Gone | Held


def judge(status: int, *, retry_after_ms: int | None = None, refusals: int = 0) -> Judgement:
    """What a status code means for one delivery.

    `retry_after_ms` is what the answer asked for, `refusals` how many 401s in a row came before. A redirect reaches this only when it was not followed.
    """
    why = f"answered {status}"
    if 200 <= status < 300:
        return Sent(status)
    if status == 401:
        # Mastodon and GoToSocial answer 401 while our actor cannot be fetched: that mends itself, or never.
        return Again(why, failure=False, refused=True) if refusals < MOST_401 else Gone(f"{why} {refusals + 1} times")
    if status in {408, 425, 429}:
        return Again(why, failure=False, retry_after_ms=retry_after_ms)
    if status == 410:
        return Gone(why, inbox_gone=True)
    if status in {301, 308}:
        return Gone(why, inbox_moved=True)
    if status == 501 or 300 <= status < 500:
        return Gone(why)
    # 5xx, and what is no HTTP status at all (1xx, 6xx): a peer that is broken for now. GoToSocial's throttle is 503 with Retry-After.
    return Again(why, failure=True, retry_after_ms=retry_after_ms)


def unreachable(why: str) -> Judgement:
    """What no answer means: time-out, refused connection, unknown name, bad certificate. Names and certificates lapse and come back: all of it is temporary."""
    return Again(why, failure=True)


def wait_ms(attempts: int, jitter: float) -> int:
    """How long to wait after the `attempts`-th attempt (from 1); `jitter` is 0 to 1. Between 16 s and 24 h, growing."""
    # From the 18th on it is the cap anyway; huge numbers need not be raised to the fourth.
    base = min(min(max(attempts, 1), 100) ** 4 + 15, MOST_WAIT // SECOND) * SECOND
    return min(base + int(base * JITTER * min(max(jitter, 0.0), 1.0)), MOST_WAIT)


def after(attempts: int, first_ms: int, now_ms: int, retry_after_ms: int | None, jitter: float, *, days: int = 30) -> int | None:
    """When to try again after the `attempts`-th attempt, or None when `days` since `first_ms` are over.

    The last attempt lies exactly at the end. Retry-After makes a wait longer, never shorter, and is clamped to 24 h. A `first_ms` in the future (the clock
    went back) counts as now.
    """
    end = min(first_ms, now_ms) + days * DAY
    if now_ms >= end:
        return None
    asked = min(max(retry_after_ms or 0, 0), MOST_WAIT)
    return min(now_ms + max(wait_ms(attempts, jitter), asked), end)


def outcome(judgement: Sent | Again | Gone, *, attempts: int, first_ms: int, now_ms: int, jitter: float, days: int = 30) -> Outcome:
    """`judgement` with a time: Again becomes Later, or Gone when there is no time left. `attempts` includes the one that was judged."""
    if not isinstance(judgement, Again):
        return judgement
    at_ms = after(attempts, first_ms, now_ms, judgement.retry_after_ms, jitter, days=days)
    if at_ms is None:
        return Gone(f"{judgement.why}; given up after {days} days", failure=judgement.failure)
    return Later(at_ms, judgement.why, failure=judgement.failure, hold=judgement.retry_after_ms is not None, refused=judgement.refused)


def rest_ms(failures: int, jitter: float) -> int:
    """How long a host with that many consecutive failures is left alone: 0 below five, then 2 minutes doubling to 30. One probe ends each rest."""
    if failures < BREAKS_AFTER:
        return 0
    base = min(FIRST_REST << min(failures - BREAKS_AFTER, 10), LONGEST_REST)
    return base - int(base * JITTER * min(max(jitter, 0.0), 1.0))


def retry_after(header: str | None, now_ms: int) -> int | None:
    """A Retry-After header (RFC 9110 section 10.2.3: seconds or a date) in milliseconds from now, 0 to 24 h; None if there is none or it is rubbish."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * SECOND, MOST_WAIT)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    try:
        asked = int(date.timestamp() * SECOND) - now_ms
    except (OverflowError, ValueError):
        return None
    return min(max(asked, 0), MOST_WAIT)
