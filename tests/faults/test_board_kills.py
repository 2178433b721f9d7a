"""Is what was acknowledged of an answer, a decision or a vouch there once, whenever the process dies? Rows F01 to F03 over the board."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from fedmatch.board import answers, notifications
from fedmatch.safety import audit, vouches
from schemas import documents
from schemas.activities import Activity, Offer, Undo
from schemas.objects import Agreement
from schemas.reading import Iri
from tests.faults.house import Zygote, labelled_points
from tests.world import World

SHORT = ("handle:acted", "", "handle:done", "publish:outgoing", "write:after-commit#9")
"""Where it dies in the run that is always made, "" for an end from outside; the long one dies everywhere."""
A_LIFE = 3
"""How many offers arrive while it lives."""
PARTS = 12
"""In how many houses the long one is made, one after another: every one ends by itself, and counts what it holds."""


async def test_f03_no_answer_decision_or_vouch_is_lost_or_doubled(world: World) -> None:
    await kill_again_and_again(world, list(SHORT))


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
async def test_f01_f02_f03_no_answer_decision_or_vouch_is_lost_or_doubled_anywhere(world: World, part: int) -> None:
    dice = random.Random(part)
    everywhere = [f"{point}#{nth}" for point in labelled_points() for nth in (1, 5)]
    await kill_again_and_again(world, [*everywhere, *([""] * 50)][part::PARTS], wait_s=2, life_s=lambda: dice.uniform(0.05, 0.8))


async def kill_again_and_again(world: World, points: list[str], *, wait_s: float = 1.5, life_s: Callable[[], float] = lambda: 0.05) -> None:
    """One life for each point of the code, "" for one that is ended from outside; each is followed by one in peace, for what kills its handler again and again
    is set aside (row F15). Then the count."""
    # Given somebody who asks, and somebody elsewhere who offers again and again
    asker, peer = await world.person("asker@a"), await world.peer()
    site, helper = asker.site, peer.actor("helper")
    asked = [await asker.listing("request", f"A lawyer {number}", "Asylum.", skills=["AsylumLaw"], capacity=3) for number in range(len(points) * A_LIFE)]
    await world.settle()
    await site.stop()
    offers: dict[str, bool] = {}
    """Every offer that was acknowledged; whether its end was, too."""
    maybe: set[str] = set()
    died: Counter[str] = Counter()

    async def said(activity: Activity) -> bool:
        try:
            answer = await helper.send(documents.activity(activity), f"{site.base}/inbox")
        except (OSError, TimeoutError):
            return False
        assert answer.status in {0, 202, 503}, answer
        return answer.status == 202

    async def offer_in_turn(round_: int, zygote: Zygote) -> None:
        for number in range(round_ * A_LIFE, (round_ + 1) * A_LIFE):
            wanted = Agreement(Iri(f"{asked[number].url}#primary"), text="I know that law.", language="en")
            offer = Offer(id=Iri(f"{helper.id}/offers/{number}"), actor=Iri(helper.id), object=wanted, to=(asker.actor.uri,))
            while zygote.status is None and not await said(offer):
                await asyncio.sleep(0.02)
            if zygote.status is not None:
                maybe.add(offer.id)
                return
            offers[offer.id] = False
            if number % A_LIFE == 0:
                maybe.add(offer.id)
                if await said(Undo(id=Iri(f"{offer.id}/undo"), actor=Iri(helper.id), object=offer, to=(asker.actor.uri,))):
                    offers[offer.id] = True

    async with Zygote() as zygote:
        # When the process that takes them, accepts them and vouches dies at one point after another
        for round_, point in enumerate(points):
            world.clock.move(seconds=90)
            ahead = world.clock.ahead.total_seconds()
            await zygote.start(site.config.path, ahead=ahead, crashpoint=point, author="asker", does=("accept", "vouch", "accept"))
            offering = asyncio.create_task(offer_in_turn(round_, zygote))
            if not point:
                # Under any load somebody was accepted before the end.
                before = len(zygote.posted)
                await world.until(lambda before=before: _accepted(zygote, before))
            try:
                status = await zygote.ended(wait_s if point else life_s())
            except TimeoutError:
                point = ""
                zygote.kill()
                status = await zygote.ended()
            assert status == -9, f"{point} ended with {status}"
            await offering
            died[point.partition("#")[0] or "from outside"] += 1
            world.clock.move(seconds=90)
            await site.start()
            await world.settle(60)
            await site.stop()
    told = [line.split() for line in zygote.posted]
    world.clock.move(seconds=90)
    await site.start()
    await world.settle(120)
    for _ in range(2):
        await world.later(hours=13)

    # Then every offer that was acknowledged is one answer, told of once; and what was taken back is over
    held = await site.instance.database.read(answers.of_actor, site.instance, asker.actor)
    by_offer = Counter(str(one.words.offer) for one in held)
    assert set(offers) <= by_offer.keys(), "lost"
    assert set(by_offer.values()) == {1}, "doubled"
    news = await site.instance.database.read(notifications.newest, site.instance, asker.actor.id, 1000)
    assert Counter(one.about for one in news if one.kind == "response.received") == Counter(str(one.id) for one in held)
    accepted = {offer for kind, offer in told if kind == "accepted"}
    state = {str(one.words.offer): one.state for one in held}
    for offer, undone in offers.items():
        may = {"withdrawn"} if undone else {"withdrawn", "accepted", "sent"} if offer in maybe else {"accepted", "sent"}
        assert state[offer] in may, (offer, state[offer])
        assert offer not in accepted or state[offer] != "sent", "a decision that was acknowledged was lost"
    # And every decision reached the other side, as one
    heard = Counter((one["id"], one["object"] if isinstance(one["object"], str) else one["object"]["id"]) for one in peer.activities("Accept"))
    assert Counter(offer for _, offer in heard) == Counter(offer for _, offer in set(heard)), "one decision, one id"
    assert {offer for offer, one in state.items() if one == "accepted"} <= {offer for _, offer in heard}
    assert accepted <= {offer for _, offer in heard} | {offer for offer, one in state.items() if one == "withdrawn"}
    # And every vouch is there once, with its line in a log that holds
    issued = [str(one.vouch.id) for one in await site.instance.database.read(vouches.list_all)]
    acknowledged = [what for kind, what in told if kind == "vouched"]
    assert acknowledged
    assert accepted
    assert Counter(issued) == Counter(set(issued))
    assert set(acknowledged) <= set(issued)
    log = await audit.check(site.instance)
    assert log.holds
    assert len([one for one in log.entries if one.action == "vouch.issue"]) == len(issued)
    assert sum(died.values()) == len(points)


async def _accepted(zygote: Zygote, before: int) -> bool:
    return any(line.startswith("accepted") for line in zygote.posted[before:])
