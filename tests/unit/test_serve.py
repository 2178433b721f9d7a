"""Does the process live as promised? Real processes: HTTP/1.1 alone, a start in seconds, an end within ten, on both servers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.world import free_port, write_config

Start = Callable[..., "Server"]


def cpu_s(pid: int) -> float:
    """The CPU seconds a process has burnt: how long it takes by the clock says what else the machine has to do."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A running `fedmatch serve`."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [sys.executable, "-m", "fedmatch", "--config", str(folder / "instance.toml"), "--json", "serve", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.errors = ""
        assert line, self.process.communicate()[1]
        self.took = cpu_s(self.process.pid)
        self.said = json.loads(line)
        host, _, port = self.said["address"].removeprefix("http://").rpartition(":")
        self.place = (host, int(port))

    def connect(self) -> socket.socket:
        return socket.create_connection(self.place, timeout=15)

    def stop(self) -> float:
        """Sends SIGTERM; the seconds until the end, which must be a good one."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=15)
        assert self.process.returncode == 0, errors
        self.errors = errors
        return time.monotonic() - began


@pytest.fixture(params=["hypercorn", "uvicorn"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts servers of the kind and ends those that a failed test left."""
    running: list[Server] = []
    port = free_port()
    write_config(tmp_path, port=port, software=f'"{request.param}"')

    def begin(*words: str) -> Server:
        running.append(Server(tmp_path, *words))
        return running[-1]

    yield begin
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def get(connection: socket.socket, server: Server, path: str = "/healthz", *headers: str) -> bytes:
    host = server.said["base_url"].removeprefix("http://")
    connection.sendall("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < int(re.search(rb"(?i)content-length: (\d+)", answer)[1]):  # type: ignore[index]
        answer += connection.recv(65536)
    return answer


def test_it_starts_quickly_answers_and_ends_with_idle_connections_open(start: Start) -> None:
    start().stop()
    server = start()
    assert server.took < 6, "seconds of CPU; under 2 on a quiet machine"
    with server.connect() as idle, server.connect() as busy:
        assert get(idle, server).startswith(b"HTTP/1.1 200")
        answer = get(busy, server, "/")
        assert b"fedmatch" in answer
        assert not re.search(rb"(?i)^server:", answer, re.MULTILINE)
        assert server.stop() < 6
    assert "Traceback" not in server.errors


def test_a_request_that_never_ends_does_not_hold_the_end_beyond_ten_seconds(start: Start) -> None:
    server = start()
    host = server.said["base_url"].removeprefix("http://")
    with server.connect() as slow:
        slow.sendall(f"POST /inbox HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/activity+json\r\nContent-Length: 1000\r\n\r\n{{".encode())
        time.sleep(0.3)
        assert server.stop() < 10


def test_http_2_is_not_spoken(start: Start) -> None:
    server = start()
    with server.connect() as connection:
        answer = get(connection, server, "/healthz", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
        assert answer.startswith(b"HTTP/1.1 200")
    with server.connect() as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        assert connection.recv(65536)[:9] in (b"HTTP/1.1 ", b"")
    with server.connect() as connection:
        host = server.said["base_url"].removeprefix("http://")
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA"
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n".encode())
        assert not connection.recv(65536).startswith(b"HTTP/1.1 101")
    server.stop()


def test_no_address_of_a_visitor_is_logged(start: Start) -> None:
    server = start()
    with server.connect() as connection:
        get(connection, server, "/nothing", "User-Agent: tell-tale/1.0", "X-Forwarded-For: 203.0.113.77")
        here = f":{connection.getsockname()[1]}"
    server.process.send_signal(signal.SIGTERM)
    out, errors = server.process.communicate(timeout=15)
    assert "203.0.113.77" not in out + errors
    assert "tell-tale" not in out + errors
    assert here not in out + errors


def test_web_and_worker_run_apart(start: Start, tmp_path: Path) -> None:
    server = start("--no-worker")
    command = [sys.executable, "-m", "fedmatch", "--config", str(tmp_path / "instance.toml"), "--json", "work"]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert json.loads(worker.stdout.readline())["working"] is True
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=15)
    assert worker.returncode == 0, errors
    assert server.stop() < 6
