"""Did a process die here a short while ago? A file for each process that works; who ends well takes its own away.

What is done at the door without a row of its own (`inbox/at_once.py`) could kill a process without leaving a trace. So whoever finds such a file of a process
that is no more lets plain posts wait in rows for an hour, where deaths are counted.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

NAME: Final = "working-"
CAREFUL_S: Final = 3600.0


def begin(folder: Path) -> bool:
    """Marks this process as at work; whether another one died at it, whose mark is taken away."""
    died = False
    for mark in folder.glob(f"{NAME}*"):
        number = mark.name.removeprefix(NAME)
        # In a container every process has the same number.
        if number == str(os.getpid()) or not _lives(number):
            died = True
            mark.unlink(missing_ok=True)
    (folder / f"{NAME}{os.getpid()}").touch(mode=0o600)
    return died


def end(folder: Path) -> None:
    """Takes our own mark away: this process ends well."""
    with suppress(OSError):
        (folder / f"{NAME}{os.getpid()}").unlink(missing_ok=True)


def _lives(number: str) -> bool:
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
