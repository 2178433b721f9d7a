"""Who does the work that waits? One worker a process: what arrived is understood, what leaves is delivered, what is due is done."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.instance import Instance
from fedmatch import handlers, living, memory
from fedmatch.backup.ledger import Keeper
from fedmatch.jobs import Jobs
from inbox.work import Arrivals
from outbox.deliver import Deliverer

log = structlog.get_logger()

DRAIN_S: Final = 9.0
REST_S: Final = 1.0
"""How long a part that broke rests before it is started again."""

Part = Callable[[asyncio.Event], Awaitable[None]]


class Worker:
    """Everything that works in the background of one process."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._arrivals = Arrivals(instance)
        self._deliverer = Deliverer(instance)
        self._jobs = Jobs(instance, handlers.handlers(instance))
        self._keeper = Keeper(instance)
        self.began = asyncio.Event()
        """Set once what every start asks for is written down."""

    async def run(self) -> None:
        """Works until `instance.stopping`, then finishes what it has in hand, for at most 9 s; what is not finished keeps its row and its lease runs out."""
        instance = self._instance
        wakers = {"arrival": self._arrivals.wake, "delivery": self._deliverer.wake, "job": self._jobs.wake}

        def wake_one(kind: str) -> None:
            wakers[kind]()

        def wake_all() -> None:
            for waker in (self._arrivals.wake, self._deliverer.notice, self._jobs.wake, self._keeper.wake):
                waker()

        instance.wake = wake_one
        instance.database.on_commit(wake_all)
        await instance.database.write(handlers.begin, instance)
        self.began.set()
        folder = instance.config.folder
        careful = living.begin(folder)
        later = asyncio.get_running_loop().call_later(living.CAREFUL_S if careful else 0, self._be_quick)
        if careful:
            log.warning("worker.careful", seconds=living.CAREFUL_S)
        parts: dict[str, Part] = {"arrivals": self._arrivals.run, "deliverer": self._deliverer.run, "jobs": self._jobs.run, "ledger": self._keeper.run}
        tasks = [asyncio.create_task(self._keep(name, part), name=name) for name, part in parts.items()]
        try:
            await instance.stopping.wait()
            wake_all()
            _, late = await asyncio.wait(tasks, timeout=DRAIN_S)
            for task in late:
                log.warning("worker.late", part=task.get_name())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            later.cancel()
            instance.at_once = False
            living.end(folder)

    def _be_quick(self) -> None:
        # What a restore lost sight of is asked for post by post, which the door does not.
        self._instance.at_once = not self._instance.restored

    async def _keep(self, name: str, part: Part) -> None:
        """Runs a part, and runs it again after it broke: one bad row must not stop the house."""
        stopping = self._instance.stopping
        while not stopping.is_set():
            try:
                await part(stopping)
            except MemoryError:
                memory.over()
            except Exception as error:
                # The class and the places, never the message: it may quote what somebody wrote.
                places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-5:]]
                log.error("worker.broke", part=name, error=type(error).__name__, at=places)
                try:
                    await asyncio.wait_for(stopping.wait(), REST_S)
                except TimeoutError:
                    continue
