"""Does the thread that signs answer everybody, in order, and end when it is told to?"""

import asyncio
import threading

import pytest

from actors.signatures.hand import Hand


async def test_everybody_gets_an_answer_of_their_own() -> None:
    with Hand() as hand:
        answers = await asyncio.gather(*[hand.do(lambda number=number: (number, threading.current_thread().name)) for number in range(100)])
    assert answers == [(number, "fedmatch-signer") for number in range(100)]


async def test_an_error_goes_to_whoever_asked_and_to_nobody_else() -> None:
    def break_down() -> None:
        raise ValueError("no")

    with Hand() as hand:
        first, second = await asyncio.gather(hand.do(break_down), hand.do(lambda: 1), return_exceptions=True)
    assert isinstance(first, ValueError)
    assert second == 1


async def test_whoever_does_not_wait_any_more_holds_up_nobody() -> None:
    slow = threading.Event()
    with Hand() as hand:
        given_up = asyncio.create_task(hand.do(slow.wait))
        await asyncio.sleep(0.01)
        after = asyncio.create_task(hand.do(lambda: "after"))
        given_up.cancel()
        slow.set()
        assert await after == "after"
        with pytest.raises(asyncio.CancelledError):
            await given_up


async def test_it_ends_when_it_is_left() -> None:
    with Hand() as hand:
        assert await hand.do(lambda: 1) == 1
        thread = next(thread for thread in threading.enumerate() if thread.name == "fedmatch-signer")
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
