"""What if more connections come than this process may hold? They are told 503 and sent away, and nobody else notices."""

import errno
import os
import socket
import time
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger()

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE)
SAID_EVERY_S: Final = 60.0
BREATH_S: Final = 0.01

AWAY: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Listener(socket.socket):
    """A listening socket that keeps one file descriptor in reserve, so that it can always accept, if only to say no.

    Without it asyncio, whose loop over a backlog does not end at EMFILE (CPython 3.11), tries a thousand times a round, logs each, and never comes back.
    """

    # No __init__ of its own: the base class makes sockets of this class in several ways.
    _reserve = -1
    _said_at = -SAID_EVERY_S

    def accept(self) -> tuple[socket.socket, object]:
        """The next connection. While no descriptor is left, turns one away and raises BlockingIOError: there is none for us."""
        if self._reserve < 0:
            self._keep()
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
        self._turn_one_away()
        raise BlockingIOError(errno.EAGAIN, "no file descriptor is left")

    def close(self) -> None:
        """Closes the socket and the reserve."""
        super().close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    def _keep(self) -> None:
        with suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _turn_one_away(self) -> None:
        if time.monotonic() > self._said_at + SAID_EVERY_S:
            self._said_at = time.monotonic()
            log.error("no file descriptor is left: connections are turned away; allow more (LimitNOFILE of the service, `ulimit -n`)")
        if self._reserve < 0:
            time.sleep(BREATH_S)  # somebody took even the reserve: what ends soon gives one back, and we must not spin meanwhile
            return
        os.close(self._reserve)
        self._reserve = -1
        with suppress(OSError):
            connection, _ = super().accept()
            with connection:
                connection.setblocking(False)
                connection.send(AWAY)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)  # what stays unread would reset the connection before the answer is read
        self._keep()
