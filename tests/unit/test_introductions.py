"""Who may be told of whom? Whoever needs help is introduced, by whoever helps, and decides for each recipient."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.instance import Instance
from actors.known import Actor
from fedmatch.board import answers, introductions, notifications, publish, responses
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
async def test_who_needs_help_decides_about_each_recipient(house: Instance, kind: Purpose, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a request whoever answers it helps; to an offer its author does."""
    author, answerer = await person(house, "author"), await person(house, "answerer")
    held = await agreed(house, kind, author, answerer)
    needs, helps = (author, answerer) if kind == "request" else (answerer, author)

    with pytest.raises(CannotAnswer, match="whoever helps"):
        await do(house, introductions.propose, needs, held, "a minister", "")
    first = await do(house, introductions.propose, helps, held, "a minister", "She decides.")
    second = await do(house, introductions.propose, helps, held, "a journalist", "")
    assert await told(house, needs) == ["introduction.asked"] * 2
    monkeypatch.setattr(introductions, "MOST", 2)
    with pytest.raises(CannotAnswer, match="2 introductions"):
        await do(house, introductions.propose, helps, held, "one more", "")

    # Nothing is passed before they agreed, for this one
    for act in (introductions.passed, introductions.decide):
        more = {"agreed": True} if act is introductions.decide else {}
        with pytest.raises(CannotAnswer):
            await do(house, act, helps, held, first.id, **more)
    await do(house, introductions.decide, needs, held, first.id, agreed=True)
    for agrees in (True, False):  # a yes is taken back as long as nothing was passed on
        await do(house, introductions.decide, needs, held, second.id, agreed=agrees)
    assert await told(house, helps) == ["introduction.decided"] * 3
    assert (await do(house, introductions.passed, helps, held, first.id)).state == "passed"
    with pytest.raises(CannotAnswer, match="refused"):
        await do(house, introductions.passed, helps, held, second.id)
    with pytest.raises(CannotAnswer, match="passed already"):
        await do(house, introductions.decide, needs, held, first.id, agreed=False)
