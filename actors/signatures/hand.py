"""Who signs while others talk? The event loop itself, a few signatures a turn: between two turns it reads and writes for everybody else.

RSA lets go of Python's lock, so a thread could sign while the loop sends; but to come back it has to fight the loop for that lock, and that cost both of them
a third of all a delivery needs (docs/decisions/0026-signing.md).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

A_TURN: Final = 8
"""So many signatures in one turn of the loop: 3 ms with RSA-2048, in which nobody else is heard."""


class Hand:
    """Does one thing after the other, at most `A_TURN` a turn of the loop. Use it on one loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left = A_TURN
        self._turning = False

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises, in order behind what was asked for before, in the task of whoever asks."""
        if self._left and not self._waiting:
            self._left -= 1
            if not self._turning:
                self._turning = True
                asyncio.get_running_loop().call_soon(self._turn)
        else:
            mine = asyncio.get_running_loop().create_future()
            self._waiting.append(mine)
            await mine
        return work()

    def _turn(self) -> None:
        """The next turn: as many of those who wait as may sign in it. Whoever was cancelled is passed over."""
        woken = 0
        while self._waiting and woken < A_TURN:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(None)
                woken += 1
        self._left = A_TURN - woken
        self._turning = woken > 0
        if woken:
            asyncio.get_running_loop().call_soon(self._turn)
