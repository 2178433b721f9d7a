"""Is somebody asking for this already? Callers that want the same thing at the same time wait for one answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar, cast

T = TypeVar("T")


class Flights:
    """What is under way in this process, by name. One name always stands for one type of answer."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[object]] = {}
        self._lanes: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}

    @asynccontextmanager
    async def lane(self, name: str, most: int) -> AsyncIterator[None]:
        """Room for at most `most` at a time under this name; the others wait here. A lane nobody is in costs nothing."""
        room, users = self._lanes.setdefault(name, (asyncio.Semaphore(most), []))
        users.append(None)
        try:
            async with room:
                yield
        finally:
            users.pop()
            if not users:
                del self._lanes[name]

    async def once(self, name: str, work: Callable[[], Coroutine[object, object, T]]) -> T:
        """The answer of `work`, or of the same work already under way; a caller that is cancelled does not take it from the others."""
        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._landed(name, done))
        return cast(T, await asyncio.shield(task))

    def _landed(self, name: str, task: asyncio.Task[object]) -> None:
        del self._under_way[name]
        if not task.cancelled():
            # Asked for, so that a failure whose callers all left is no surprise at exit; those who wait get it raised.
            task.exception()

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
