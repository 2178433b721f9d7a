"""What does the HTTP server alone cost? The smallest ASGI application, served as ours is: it reads a body and answers 202."""

import asyncio
import json
import signal
import sys
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import hypercorn.protocol

from fedmatch import serve


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads the body, answers 202."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def main(software: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listener = serve._listen("127.0.0.1:0")
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    if software == "uvicorn":
        import uvicorn

        server = uvicorn.Server(uvicorn.Config(bare, access_log=False, log_config=None, server_header=False, proxy_headers=False, lifespan="off", ws="none"))
        serving = asyncio.create_task(server._serve([listener]))
        await stop.wait()
        server.should_exit = True
        await serving
        return
    settings = hypercorn.config.Config()
    settings.bind = [f"fd://{listener.detach()}"]
    settings.accesslog = settings.errorlog = None
    settings.include_server_header = False
    settings.keep_alive_max_requests = 1_000_000
    settings.graceful_timeout = 0.1
    setattr(hypercorn.protocol, "H11Protocol", serve._Http1Only)  # noqa: B010  # as fedmatch.serve does
    await hypercorn.asyncio.serve(bare, settings, shutdown_trigger=stop.wait)  # type: ignore[arg-type]  # any ASGI callable


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
