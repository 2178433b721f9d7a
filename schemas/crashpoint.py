"""Where can the fault tests kill us? A named point in the code; it does nothing unless FEDMATCH_CRASHPOINT names it."""

import os
import signal

_armed: str = ""
_passages_left: int = 0


def arm(point: str) -> None:
    """Makes this process die at a point: "write:before-commit" at the first passage, "write:before-commit#7" at the seventh."""
    global _armed, _passages_left
    _armed, _, nth = point.partition("#")
    _passages_left = int(nth or 1)


def crashpoint(name: str) -> None:
    """Dies by SIGKILL here, with nothing written or said any more, if this point is armed."""
    global _passages_left
    if name == _armed:
        _passages_left -= 1
        if _passages_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("FEDMATCH_CRASHPOINT", ""))
