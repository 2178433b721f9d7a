"""What time is it, and what is this called? The one clock and the one id generator of a running instance."""

import secrets
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.instance import Clock  # only a type: migrations should not load the HTTP client

COUNTER_BITS: Final = 16
COUNTER_MASK: Final = (1 << COUNTER_BITS) - 1
EARLIEST_MS: Final = 1_262_304_000_000  # 2010-01-01: no fediverse post is older, whatever it says


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def ms(self) -> int:
        """Milliseconds UTC since 1970."""
        return time.time_ns() // 1_000_000


class Ids:
    """48 bits of milliseconds, then 16 bits that start random and count up in each process.

    Ids for now grow strictly within a process, also when the clock is set back. Two processes that draw in the same millisecond draw the same one about once in
    65,536 times: the primary key refuses the second, and the database runs its body again, which draws anew. Safe to use from every thread.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._counter = secrets.randbits(COUNTER_BITS)
        self._last = 0
        self._lock = threading.Lock()

    def new(self, at_ms: int | None = None) -> int:
        """A new id for now, or for the moment `at_ms` (a remote post takes its `published`), which is held between 2010 and now."""
        now_ms = self._clock.ms()
        with self._lock:
            self._counter = (self._counter + 1) & COUNTER_MASK
            if at_ms is not None:
                return max(EARLIEST_MS, min(at_ms, now_ms)) << COUNTER_BITS | self._counter
            self._last = max(now_ms << COUNTER_BITS | self._counter, self._last + 1)
            return self._last


def moment_ms(identifier: int) -> int:
    """The moment inside an id, in milliseconds UTC."""
    return identifier >> COUNTER_BITS
