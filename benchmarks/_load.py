"""Who knocks at the door? A process of its own that signs Creates beforehand and posts them over a number of kept connections.

It reads lines of JSON: `{"sign": 1000, "first": 0}` answers `{"signed": 1000, "bytes": ...}`; `{"send": 16, "port": 8000}` posts what was signed over 16
connections and answers with the seconds, the statuses and the latencies. Its own CPU is not counted by anybody.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

from benchmarks._lab import share
from benchmarks._letters import Writer, at, create, request


async def send(port: int, requests: list[bytes], connections: int) -> dict[str, object]:
    """Posts every request once and says how it went."""
    left = iter(requests)
    statuses: dict[str, int] = {}
    took: list[float] = []

    async def one_after_the_other() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for asked in left:
            started = time.perf_counter()
            writer.write(asked)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            if length:
                await reader.readexactly(length)
            took.append(time.perf_counter() - started)
            status = head[9:12].decode()
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*[one_after_the_other() for _ in range(connections)])
    return {"seconds": time.perf_counter() - started, "statuses": statuses, "p50_ms": share(took, 0.5) * 1000, "p99_ms": share(took, 0.99) * 1000}


def main() -> None:
    told = json.loads(sys.stdin.readline())
    writers = [Writer(*one) for one in told["writers"]]
    keys = [writer.private for writer in writers]
    host, path = told["host"], told["path"]
    print(json.dumps({"writers": len(writers)}), flush=True)
    requests: list[bytes] = []
    for line in sys.stdin:
        command = json.loads(line)
        if "sign" in command:
            now = datetime.now(UTC)
            requests = []
            for number in range(command["first"], command["first"] + command["sign"]):
                key, uri = keys[number % len(keys)], writers[number % len(keys)].uri
                requests.append(request(key, uri, host, path, create(uri, number, at(number, now)), now))
            answer: dict[str, object] = {"signed": len(requests), "bytes": sum(map(len, requests)) // max(len(requests), 1)}
        else:
            answer = asyncio.run(send(command["port"], requests, command["send"]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
