"""Does the hand that signs answer everybody, in order, and leave the loop to others in between?"""

import asyncio

import pytest

from actors.signatures.hand import A_TURN, Hand


async def test_everybody_gets_an_answer_of_their_own_in_order() -> None:
    hand, done = Hand(), list[int]()
    await asyncio.gather(*[hand.do(lambda number=number: done.append(number)) for number in range(100)])
    assert done == list(range(100))


async def test_an_error_goes_to_whoever_asked_and_to_nobody_else() -> None:
    def break_down() -> None:
        raise ValueError("no")

    hand = Hand()
    first, second = await asyncio.gather(hand.do(break_down), hand.do(lambda: 1), return_exceptions=True)
    assert isinstance(first, ValueError)
    assert second == 1


async def test_a_turn_of_the_loop_holds_few_of_them() -> None:
    hand, done, seen = Hand(), list[int](), list[int]()

    async def look() -> None:
        while len(done) < 10 * A_TURN:
            seen.append(len(done))
            await asyncio.sleep(0)

    await asyncio.gather(look(), *[hand.do(lambda number=number: done.append(number)) for number in range(10 * A_TURN)])
    steps = [after - before for before, after in zip(seen, [*seen[1:], len(done)], strict=True)]
    assert max(steps) == A_TURN


async def test_whoever_does_not_wait_any_more_holds_up_nobody() -> None:
    hand, done = Hand(), list[int]()
    asked = [asyncio.create_task(hand.do(lambda number=number: done.append(number))) for number in range(4 * A_TURN)]
    await asyncio.sleep(0)
    for task in asked[A_TURN : 3 * A_TURN]:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert done == [*range(A_TURN), *range(3 * A_TURN, 4 * A_TURN)]
    with pytest.raises(asyncio.CancelledError):
        await asked[A_TURN]


async def test_who_is_cancelled_when_their_turn_came_gives_it_to_the_next() -> None:
    hand, done = Hand(), list[int]()
    asked = [asyncio.create_task(hand.do(lambda number=number: done.append(number))) for number in range(3 * A_TURN)]
    await asyncio.sleep(0)  # the first sign
    await asyncio.sleep(0)  # the next are told
    for task in asked[A_TURN : 2 * A_TURN]:
        task.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*asked, return_exceptions=True)
    assert done[:A_TURN] == list(range(A_TURN))
    assert done[-1] == 3 * A_TURN - 1
