"""What is killed in the fault tests? A process that imports once and forks for every round, so that a round costs its start and not its imports.

Reads one JSON line a round: {"config": path, "ahead": seconds, "crashpoint": "name#nth" or "", "author": name or "", "does": ["post", ...], "web": bool,
"work": bool}. Prints `pid N`, `ready`, `posted URI` and `deleted URI` after each that was acknowledged, and `ended STATUS`. SIGTERM ends a child as it ends
`fedmatch serve`.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from actors import vault
from actors.instance import Instance
from actors.known import Actor
from fedmatch import rotation
from fedmatch.board import answers, publish, responses
from fedmatch.safety import vouches
from schemas import crashpoint
from schemas.config_file import load
from schemas.objects import Vouch
from schemas.storage import Transaction
from tests.world import Clock, Site

# Log lines must not end up in between: one that is cut short by a kill would swallow the next word.
VOICE = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(line: str) -> None:
    """One line, whole: several processes write to the same pipe."""
    os.write(VOICE, f"{line}\n".encode())


async def do(site: Site, name: str, what: str, posted: list[str]) -> None:
    """One thing that somebody here may do."""
    instance, author = site.instance, await site.actor(name)
    match what:
        case "post":
            post = await publish.post(instance, author, f"number {len(posted)} of {os.getpid()}")
            posted.append(post.uri)
            say(f"posted {post.uri}")
        case "delete":
            await publish.delete(instance, author, posted[-1])
            say(f"deleted {posted[-1]}")
        case "rest":
            await asyncio.sleep(1)
        case "rotate":
            await rotation.rotate_keys(instance, author)
        case "accept":
            taken = await instance.database.write(_accept, instance, author)
            if taken is not None:
                instance.wake("delivery")
                say(f"posted accepted {taken}")
        case "vouch":
            say(f"posted vouched {(await instance.database.write(_vouch, instance, author)).id}")
        case "rewrap":
            await vault.rewrap(instance.database, instance.vault, instance.config.vault)
        case _:
            raise ValueError(what)


async def _accept(tx: Transaction, instance: Instance, author: Actor) -> str | None:
    """Accepts the newest answer that waits; which one."""
    for held in await answers.of_actor(tx, instance, author):
        if held.state == "sent":
            await responses.accept(tx, instance, author, held)
            return held.words.offer
    return None


async def _vouch(tx: Transaction, instance: Instance, author: Actor) -> Vouch:
    return await vouches.issue(tx, instance, author, 2, "in-person", staff="staff")


async def live(order: dict) -> None:
    clock = Clock()
    clock.ahead = timedelta(seconds=order["ahead"])
    config = load(Path(order["config"]))
    site = Site(f"child {os.getpid()}", clock, config)
    await site.start(worker=order["work"], web=order["web"])
    instance = site.instance
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, instance.stopping.set)
    say("ready")
    if order["author"]:
        posted: list[str] = []
        for number in range(10_000):
            if instance.stopping.is_set():
                break
            await do(site, order["author"], order["does"][number % len(order["does"])], posted)
            with suppress(TimeoutError):
                await asyncio.wait_for(instance.stopping.wait(), 0.03)
    await instance.stopping.wait()
    await site.stop()


LATE = (
    *("actors.network", "fedmatch.board.receive", "fedmatch.board.replies", "fedmatch.guard"),
    *("fedmatch.web.letters", "fedmatch.web.pages", "fedmatch.web.proposals", "inbox.door"),
)
"""What the program loads when it first needs it; each child would do so anew, a quarter of a second."""


def main() -> None:
    for name in LATE:
        import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        if child := os.fork():
            say(f"pid {child}")
            _, status = os.waitpid(child, 0)
            say(f"ended {os.waitstatus_to_exitcode(status)}")
            continue
        sys.stdin.close()
        crashpoint.arm(order["crashpoint"])
        asyncio.run(live(order))
        os._exit(0)


if __name__ == "__main__":
    main()
