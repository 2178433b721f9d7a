"""What do we know about who asked? Nothing: no address, no user agent and no word that was looked for is written to any file or to the log."""

import asyncio
import json
import os
import signal
import sys

import pytest

from tests.fakepeer import FakePeer
from tests.signing import signed
from tests.wire import http
from tests.world import World, grep, write_config

AGENT = "Mozilla/5.0 (an agent like no other 5521)"
ADDRESS = "203.0.113.77"
WORDS = "cartographers-4417"


@pytest.mark.parametrize("software", ["hypercorn", "uvicorn"])
async def test_neither_address_nor_user_agent_is_written_anywhere(world: World, peer: FakePeer, software: str) -> None:
    # Given a real process behind a proxy that tells it who asks, with the most talkative log there is
    config = write_config(world.folder / "a", level='"debug"', software=f'"{software}"', trusted_proxies='["127.0.0.1"]')
    command = [sys.executable, "-m", "fedmatch", "--config", str(config.path), "--json"]
    environment = {key: value for key, value in os.environ.items() if key != "FEDMATCH_CONFIG"}
    made = await asyncio.create_subprocess_exec(*command, "user", "create", "amina", env=environment, stdout=asyncio.subprocess.PIPE)
    uri = json.loads((await made.communicate())[0])["url"]
    log = config.folder / "log"
    with log.open("wb") as written:
        server = await asyncio.create_subprocess_exec(*command, "serve", env=environment, stdout=asyncio.subprocess.PIPE, stderr=written)
    assert server.stdout is not None
    await asyncio.wait_for(server.stdout.readline(), 30)
    try:
        # When all kinds of requests come in
        about = [("User-Agent", AGENT), ("X-Forwarded-For", ADDRESS), ("X-Forwarded-Proto", "http"), ("Forwarded", f"for={ADDRESS}")]
        for path in ("/users/amina", "/users/nobody", "/posts/1", "/.well-known/webfinger?resource=acct:amina", "/healthz", "/@amina", "/%00"):
            assert (await http("GET", f"{config.base_url}{path}", [*about, ("Accept", "*/*")])).status < 500
        read = [*about, ("Accept", "text/html"), ("Accept-Language", "dv-MV, fa;q=0.5")]
        for path in ("/", f"/board?words={WORDS}&sort=best", f"/board?region={WORDS}", f"/board.atom?words={WORDS}", f"/tags/{WORDS}", f"/{WORDS}", "/safety"):
            assert (await http("GET", f"{config.base_url}{path}", read)).status < 500
        p1 = peer.actor("p1")
        for mode in ("cavage", "none", "broken:body"):
            body = json.dumps(p1.follow(uri)).encode()
            headers = signed(p1.keys.rsa, p1.key_id, "POST", config.host, "/users/amina/inbox", body, world.clock.now(), mode)
            assert (await http("POST", f"{uri}/inbox", [*headers, *about], body)).status in {202, 401}
        assert (await http("POST", f"{uri}/inbox", about, b"rubbish")).status < 500
    finally:
        server.send_signal(signal.SIGTERM)
        await asyncio.wait_for(server.wait(), 15)
    # Then none of it stands in any file, the log among them
    assert log.stat().st_size > 0
    for secret in (AGENT, "like no other 5521", ADDRESS, WORDS, "dv-MV"):
        assert grep(config.path.parent, secret) == []
