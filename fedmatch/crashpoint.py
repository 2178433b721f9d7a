"""Where can the fault tests kill us? A named point in the code; it does nothing unless FEDMATCH_CRASHPOINT names it."""

import os
import signal
from itertools import count

# "write:before-commit" dies at the first passage, "write:before-commit#7" at the seventh.
_WANTED, _, _NTH = os.environ.get("FEDMATCH_CRASHPOINT", "").partition("#")
_PASSAGE = count(1)


def crashpoint(name: str) -> None:
    """Dies by SIGKILL here, as a power cut would have it, if the environment asks for this point and this passage."""
    if name == _WANTED and next(_PASSAGE) == int(_NTH or 1):
        os.kill(os.getpid(), signal.SIGKILL)
