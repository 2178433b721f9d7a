"""What happens after a reboot, before somebody gives the passphrase? What arrives is accepted and sealed; then it is opened, and all of it is done."""

import asyncio
import json
import os
import subprocess
import sys

from tests.fakepeer import FakePeer
from tests.world import World, grep, write_config

PASSPHRASE = "four brave words here"
CANARY = "meet me where the river bends"


async def test_a_thousand_arrivals_wait_sealed_until_the_vault_is_opened(world: World, peer: FakePeer) -> None:
    # Given an instance whose vault has a passphrase, and a sender it knows
    site = await world.site("b", passphrase=PASSPHRASE)
    reader, p1 = await world.person("reader@b"), peer.actor("p1")
    await p1.send(p1.follow(reader.uri), reader.actor.inbox)
    await world.settle()
    # When it starts again, with nobody to type the passphrase
    site.passphrase = None
    await site.restart()
    assert site.instance.vault.locked
    # Then a thousand activities are accepted
    said = [p1.create(p1.direct(f"<p>{CANARY} {number}</p>", reader.uri, f"@{reader.handle}")) for number in range(1000)]
    gate = asyncio.Semaphore(16)

    async def send(activity: dict) -> int:
        async with gate:
            return (await p1.send(activity, f"{site.base}/inbox")).status

    statuses = await asyncio.gather(*(send(activity) for activity in said))
    assert set(statuses) == {202}
    assert await site.count("arrival", "state = 'waiting'") == 1000
    # And nothing of them lies open in any file, and nothing is shown
    assert grep(site.folder, CANARY) == []
    assert await site.count("post") == 0
    # When the passphrase is given
    site.instance.vault.unlock(PASSPHRASE.encode())
    site.instance.wake("arrival")
    await world.settle(120)
    # Then all of it is there, once
    assert await site.count("arrival", "state <> 'done'") == 0
    assert await site.count("arrival", "body is not null") == 0
    assert len(await reader.home()) == 1000
    assert grep(site.folder, CANARY) == []


async def test_a_stranger_who_knocks_at_a_locked_instance_is_not_lost(world: World, peer: FakePeer) -> None:
    # Given a locked instance and a sender it has never seen, whose key it cannot fetch now
    site = await world.site("b", passphrase=PASSPHRASE)
    reader, stranger = await world.person("reader@b"), peer.actor("stranger")
    site.passphrase = None
    await site.restart()
    fetched = len(peer.log)
    # When that one writes
    answer = await stranger.send(stranger.create(stranger.direct(f"<p>{CANARY}</p>", reader.uri, f"@{reader.handle}")), reader.actor.inbox)
    # Then it is kept, or its server is told to come again; in neither case is it shown, or anything sent
    assert answer.status in {202, 503}
    assert len(peer.log) == fetched
    assert grep(site.folder, CANARY) == []
    # And a forged one beside it never gets through
    forged = stranger.create(stranger.direct("<p>forged</p>", reader.uri, f"@{reader.handle}"))
    await stranger.send(forged, reader.actor.inbox, "broken:stranger")
    # When the passphrase is given
    site.instance.vault.unlock(PASSPHRASE.encode())
    site.instance.wake("arrival")
    await world.settle()
    if answer.status == 202:
        assert [CANARY in entry["text"] for entry in await reader.home()] == [True]
    assert await site.count("post", "uri = :uri", uri=forged["object"]["id"]) == 0


async def test_the_wrong_passphrase_opens_nothing_and_the_right_one_is_typed_at_the_command_line(world: World, peer: FakePeer) -> None:
    # Given a real process that serves a locked instance
    config = write_config(world.folder / "cli", source='"passphrase"')
    command = [sys.executable, "-m", "fedmatch", "--config", str(config.path), "--json"]
    environment = {key: value for key, value in os.environ.items() if key != "FEDMATCH_CONFIG"}

    def say(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], input=typed, capture_output=True, text=True, env=environment, timeout=60, check=False)

    assert json.loads((await asyncio.to_thread(say, "unlock", typed=f"{PASSPHRASE}\n")).stdout)["created"] is True
    server = await asyncio.create_subprocess_exec(*command, "serve", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        assert server.stdout is not None
        await asyncio.wait_for(server.stdout.readline(), 30)
        assert json.loads((await asyncio.to_thread(say, "status")).stdout)["locked"] is True
        # When somebody types the wrong words
        wrong = await asyncio.to_thread(say, "unlock", typed="not the right words\n")
        # Then nothing opens, and the reason is said
        assert (wrong.returncode, "passphrase" in wrong.stderr) == (1, True)
        # And the right ones open the running process
        right = await asyncio.to_thread(say, "unlock", typed=f"{PASSPHRASE}\n")
        assert (right.returncode, json.loads(right.stdout)["unlocked"]) == (0, 1)
    finally:
        server.terminate()
        assert await asyncio.wait_for(server.wait(), 15) == 0
