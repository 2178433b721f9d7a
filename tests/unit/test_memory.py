"""Does the garbage collector leave alone what the start of a process made, and still take what is left lying about?"""

import gc
import weakref

from fedmatch import memory


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
