"""What may a process still believe of what it remembers? Counters in the database; whoever changes what others cache counts up."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

import structlog

from schemas.storage import Database, Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

Name = Literal["keys", "peers", "actors", "vault", "board", "vectors", "vectors_gone", "searches"]
Forget = Callable[[], Awaitable[None] | None]

BUMP: Final = """
insert into generation (name, value)
values (:name, 1)
on conflict (name) do update
set value = generation.value + 1
"""

READ: Final = """
select name, value
from generation
"""


async def bump(tx: Transaction, name: Name) -> None:
    """Tells every process, once this transaction commits, that what it cached under `name` is old."""
    await tx.execute(BUMP, name=name)


async def read(tx: Transaction) -> dict[str, int]:
    """Every counter as it stands."""
    return {str(row["name"]): int(row["value"]) for row in await tx.all(READ)}


class Watch:
    """Forgets what others changed: at most a quarter of a second after their commit, with one small query however many commits there were.

    A read that fails is logged and done again a second later: a cache of blocks must not stay old because of one hiccup.
    """

    PAUSE: Final = 0.05
    AGAIN: Final = 1.0

    def __init__(self, database: Database, forget: Mapping[Name, Forget]) -> None:
        self._database, self._forget = database, forget
        self._seen: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._closed = False

    async def start(self) -> None:
        """Takes the counters as they stand and listens from now on. Call it before the caches fill."""
        self._database.on_commit(self.notice)
        self._seen = await self._database.read(read)

    def notice(self) -> None:
        """Something was committed; look soon. Runs on the event loop."""
        if self._closed:
            return
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.get_running_loop().create_task(self._catch_up(), name="generations")
        self._task.add_done_callback(self._ended)

    async def settle(self) -> None:
        """Forgets now what was changed by every commit so far; returns when it is done."""
        await self._compare()

    async def close(self) -> None:
        """Stops listening."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _catch_up(self) -> None:
        while True:
            self._again = False
            await self._compare()
            await asyncio.sleep(self.PAUSE)  # under load: one query for all the commits of this pause
            if not self._again:
                return

    async def _compare(self) -> None:
        now = await self._database.read(read)
        for name, forget in self._forget.items():
            if now.get(name) == self._seen.get(name):
                continue
            done = forget()
            if inspect.isawaitable(done):
                await done
            # Only after it worked: a refresh that failed is tried again.
            if name in now:
                self._seen[name] = now[name]
            else:
                self._seen.pop(name, None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._closed or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("generations.unread", error=type(error).__name__)
            asyncio.get_running_loop().call_later(self.AGAIN, self.notice)
        elif self._again:
            self.notice()


def watch(instance: "Instance") -> Watch:
    """The watch of a whole instance: keys, peers and the vault's wrapping. Start it before serving, close it last."""

    async def peers() -> None:
        await instance.trust.refresh(instance.database)

    async def vault() -> None:
        await instance.vault.refresh(instance.database)

    return Watch(instance.database, {"keys": instance.keys.forget, "actors": instance.keys.forget, "peers": peers, "vault": vault})
