"""Who signs while others talk? One thread beside the event loop: RSA lets go of Python's lock, so a second core signs while the first one sends.

Results go back in groups, since each way back to the loop costs as much as a tenth of a signature.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, TypeVar

T = TypeVar("T")

GROUP_S: Final = 0.001
"""What is ready waits this long at most for more, and not at all when nothing is left to sign."""


@dataclass(slots=True, eq=False)
class _Asked:
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    answer: Any = None
    error: BaseException | None = None


class Hand:
    """A thread that does one thing after the other. Use it on the loop it was made on, as a context: leaving it ends the thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._sign_on, name="fedmatch-signer", daemon=True)

    def __enter__(self) -> "Hand":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.put(None)

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises, in order behind what was asked for before. Cancelled, it may still be done and is thrown away."""
        asked = _Asked(work, self._loop.create_future())
        self._asked.put(asked)
        answer: T = await asked.future
        return answer

    def _sign_on(self) -> None:
        while (asked := self._asked.get()) is not None:
            ready: list[_Asked] = []
            since = time.monotonic()
            while asked is not None:
                try:
                    asked.answer = asked.work()
                except BaseException as error:  # whatever it is, it belongs to whoever asked
                    asked.error = error
                ready.append(asked)
                if self._asked.empty() or time.monotonic() - since > GROUP_S:
                    break
                asked = self._asked.get()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_answer, ready)
            if asked is None:
                return


def _answer(ready: list[_Asked]) -> None:
    for asked in ready:
        if asked.future.done():  # whoever asked was cancelled
            continue
        if asked.error is None:
            asked.future.set_result(asked.answer)
        else:
            asked.future.set_exception(asked.error)
