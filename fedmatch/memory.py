"""What if no memory is left? The process says so and ends at once, as a full machine would end it anyway: answering on with half of what it needs helps nobody.

Nothing is lost by it: what was acknowledged is on the disk, and whoever watches over the process starts the next one (fault row F22).
And what need the garbage collector not go through? What the start made (`settle`). How little does it hold on to? `lean`.
"""

import asyncio
import ctypes
import gc
import os
from contextlib import suppress
from typing import Any, Final, NoReturn

EXIT_CODE: Final = os.EX_OSERR
SAID: Final = b"fedmatch: no memory is left, so this process ends; whoever watches over it starts it again\n"


def over() -> NoReturn:
    """Ends the process with exit code 71 (EX_OSERR), without what needs memory: no log line, no clean-up."""
    os.write(2, SAID)
    os._exit(EXIT_CODE)


async def handle(_error: MemoryError) -> NoReturn:
    """`over`, as the web framework calls it for an error that a page raised."""
    over()


M_ARENA_MAX: Final = -8
ARENAS: Final = 2


def lean() -> None:
    """Lets all threads share two arenas of glibc, where each kept one of its own. Call it before threads begin; other C libraries have none.

    After 65 matches among 100,000 listings a process held 129 MB in place of 159.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def settle() -> None:
    """Takes what the start made out of all later rounds of the garbage collector, for it stays: a round through all of it takes 70 ms alone.

    `gc.unfreeze` gives it back.
    """
    gc.collect()
    gc.freeze()


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Ends the process also for an error that nobody waits for; every other one is reported as ever."""

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), MemoryError):
            over()
        loop.default_exception_handler(context)

    loop.set_exception_handler(report)
