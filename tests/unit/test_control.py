"""Does a command reach the processes beside it, and nobody else?"""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from fedmatch import control


async def pong(question: control.Question) -> control.Answer:
    return {"ok": True, "heard": question.get("word", "")}


async def test_a_command_is_answered_by_the_process_that_listens(tmp_path: Path) -> None:
    door = await control.listen(tmp_path, {"ping": pong})
    assert await control.ask_all(tmp_path, {"command": "ping", "word": "سلام"}) == [{"ok": True, "heard": "سلام"}]
    await door.close()
    assert control.processes(tmp_path) == []


async def test_only_the_operator_of_this_machine_gets_in(tmp_path: Path) -> None:
    door = await control.listen(tmp_path, {"ping": pong})
    (path,) = control.processes(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await door.close()


async def test_rubbish_is_answered_and_the_door_stays_open(tmp_path: Path) -> None:
    door = await control.listen(tmp_path, {"ping": pong})
    (path,) = control.processes(tmp_path)
    for rubbish in (b"\xff\xfe\n", b"[]\n", b'{"command": 7}\n', b'{"command": "shutdown"}\n', b"\n"):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(rubbish)
        assert b'"ok": false' in await reader.readline()
        writer.close()
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"x" * (control.LONGEST * 3))
    writer.write_eof()
    await reader.read()
    writer.close()
    assert await control.ask(path, {"command": "ping"}) == {"ok": True, "heard": ""}
    await door.close()


async def test_the_socket_of_a_dead_process_is_swept_away(tmp_path: Path) -> None:
    home = control.folder(tmp_path)
    home.mkdir()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(home / "1.sock"))
    dead.close()
    assert await control.ask_all(tmp_path, {"command": "ping"}) == []
    assert control.processes(tmp_path) == []


async def test_a_deep_data_folder_has_a_socket_too(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    door = await control.listen(deep, {"ping": pong})
    assert (await control.ask_all(deep, {"command": "ping"}))[0]["ok"]
    await door.close()


async def test_nothing_runs_where_there_is_no_folder(tmp_path: Path) -> None:
    assert control.processes(tmp_path / "nowhere") == []
    with pytest.raises(control.Unreachable):
        await control.ask(tmp_path / f"{os.getpid()}.sock", {"command": "ping"})
