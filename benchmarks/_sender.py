"""Who delivers? An instance that publishes when it is told to, with its worker in the same process or without one. As `fedmatch serve` runs, but for the web.

`{"post": "everybody"}` publishes a post of that author to its followers and answers with the monotonic seconds before and after.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from actors import known
from benchmarks._letters import WORDS
from fedmatch import app, logs, memory
from fedmatch.board import publish
from fedmatch.worker import Worker
from schemas import config_file


async def main(toml: str, worker: bool) -> None:
    config = config_file.load(Path(toml))
    logs.configure(config)
    instance = await app.build(config)
    working = asyncio.create_task(Worker(instance).run()) if worker else None
    memory.settle()
    print(json.dumps({"ready": True}), flush=True)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            author = await instance.database.read(known.by_name, json.loads(line)["post"])
            assert author is not None
            before = time.monotonic()
            post = await publish.post(instance, author, WORDS * 4, "public", to=(), reply_to=None, language="en")
            print(json.dumps({"before": before, "after": time.monotonic(), "post": post.id}), flush=True)
    finally:
        instance.stopping.set()
        if working is not None:
            await working
        await app.close(instance)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] == "worker"))
