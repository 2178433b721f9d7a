"""Does the garbage collector leave alone what the start of a process made, and still take what is left lying about?"""

import ctypes
import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from fedmatch import memory

ASK = """
import ctypes, sys, threading
from fedmatch import memory

if sys.argv[2] == "lean":
    memory.lean()
meet = threading.Barrier(8)

def work():
    kept = [bytearray(2000) for _ in range(50)]
    meet.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


class Thing:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.own = self


def test_what_the_start_made_is_gone_through_no_more_and_what_was_rubbish_is_gone() -> None:
    rubbish, kept = weakref.ref(Thing()), Thing()
    memory.settle()
    try:
        assert rubbish() is None
        assert all(one is not kept for one in gc.get_objects())
        later = weakref.ref(Thing())
        gc.collect()
        assert later() is None
    finally:
        gc.unfreeze()
    assert any(one is kept for one in gc.get_objects())


def test_threads_share_two_arenas(tmp_path: Path) -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_info"):
        pytest.skip("this C library has no arenas")

    def arenas(how: str) -> int:
        told = tmp_path / how
        subprocess.run([sys.executable, "-c", ASK, str(told), how], check=True, timeout=60)
        return told.read_text().count("<heap nr=")

    assert arenas("lean") <= 2 < arenas("as it is")
