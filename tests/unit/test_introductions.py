"""Who may be told of whom? Whoever needs help is introduced, by whoever helps, and decides for each recipient."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.instance import Instance
from actors.known import Actor
from fedmatch.board import admissions, answers, introductions, notifications, publish, responses
from fedmatch.board.answers import CannotAnswer, Response
from schemas.listings import validated
from schemas.objects import Purpose
from schemas.storage import Transaction
from tests.houses import opened, person


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Instance]:
    async with opened(tmp_path) as instance:
        yield instance


async def do(instance: Instance, act: Any, actor: Actor, held: Response, *values: Any, **more: Any) -> Any:
    async def body(tx: Transaction) -> Any:
        return await act(tx, instance, actor, await answers.by_id(tx, instance, held.id), *values, **more)

    return await instance.database.write(body)


async def agreed(instance: Instance, kind: Purpose, author: Actor, answerer: Actor) -> Response:
    """An answer to a listing of that kind which its author accepted."""
    proposal = validated(kind, "Asylum law", "Asylum.", "en", (), ("AsylumLaw",), ("en",), now=instance.clock.now())
    listing = await publish.listing(instance, author, proposal, "en", audience="public")

    async def answer(tx: Transaction) -> Response:
        return await responses.answer(tx, instance, answerer, listing, "I write to you.", language="en")

    made = await instance.database.write(answer)
    accepted: Response = await do(instance, responses.accept, author, made)
    return accepted


async def told(instance: Instance, actor: Actor) -> list[str]:
    found = await instance.database.read(notifications.newest, instance, actor.id)
    return [one.kind for one in reversed(found) if one.kind.startswith("introduction.")]


@pytest.mark.parametrize("kind", ["request", "offer"])
async def test_who_needs_help_decides_about_each_recipient(house: Instance, kind: Purpose) -> None:
    """To a request whoever answers it helps; to an offer its author does."""
    author, answerer = await person(house, "author"), await person(house, "answerer")
    held = await agreed(house, kind, author, answerer)
    needs, helps = (author, answerer) if kind == "request" else (answerer, author)

    with pytest.raises(CannotAnswer, match="whoever helps"):
        await do(house, introductions.propose, needs, held, "a minister", "")
    first = await do(house, introductions.propose, helps, held, "a minister", "She decides.")
    second = await do(house, introductions.propose, helps, held, "a journalist", "")
    assert await told(house, needs) == ["introduction.asked"] * 2

    # Nothing is passed before they agreed, for this one
    for act in (introductions.passed, introductions.decide):
        more = {"agreed": True} if act is introductions.decide else {}
        with pytest.raises(CannotAnswer):
            await do(house, act, helps, held, first.id, **more)
    await do(house, introductions.decide, needs, held, first.id, agreed=True)
    await do(house, introductions.decide, needs, held, second.id, agreed=False)
    assert await told(house, helps) == ["introduction.decided"] * 2
    assert (await do(house, introductions.passed, helps, held, first.id)).state == "passed"
    with pytest.raises(CannotAnswer, match="refused"):
        await do(house, introductions.passed, helps, held, second.id)
    with pytest.raises(CannotAnswer, match="passed already"):
        await do(house, introductions.decide, needs, held, first.id, agreed=False)


async def test_a_consent_is_taken_back_as_long_as_nothing_was_passed(house: Instance) -> None:
    asker, helper = await person(house, "asker"), await person(house, "helper")
    held = await agreed(house, "request", asker, helper)
    proposed = await do(house, introductions.propose, helper, held, "a minister", "")
    await do(house, introductions.decide, asker, held, proposed.id, agreed=True)
    assert (await do(house, introductions.decide, asker, held, proposed.id, agreed=False)).state == "refused"
    with pytest.raises(CannotAnswer, match="nothing is passed on"):
        await do(house, introductions.passed, helper, held, proposed.id)
    with pytest.raises(CannotAnswer, match="refused already"):
        await do(house, introductions.decide, asker, held, proposed.id, agreed=True)


async def test_there_are_no_more_than_anybody_reads(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introductions, "MOST", 2)
    asker, helper = await person(house, "asker"), await person(house, "helper")
    held = await agreed(house, "request", asker, helper)
    for number in range(2):
        await do(house, introductions.propose, helper, held, f"somebody {number}", "")
    with pytest.raises(CannotAnswer, match="2 introductions"):
        await do(house, introductions.propose, helper, held, "one more", "")


async def test_a_guest_hears_of_no_introduction(house: Instance) -> None:
    asker, helper, guest = [await person(house, name) for name in ("asker", "helper", "guest")]
    held = await agreed(house, "request", asker, helper)
    await do(house, introductions.propose, helper, held, "a minister", "")
    for side in (asker, helper):
        await do(house, admissions.admit, side, held, guest, "interpreter")

    assert len(await do(house, introductions.shown, asker, held)) == len(await do(house, introductions.shown, helper, held)) == 1
    with pytest.raises(CannotAnswer, match="the two"):
        await do(house, introductions.shown, guest, held)
