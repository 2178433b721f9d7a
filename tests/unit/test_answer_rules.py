"""Who may answer what is only for some, who is not shown, and what becomes of what was agreed and never finished?"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import blocks
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app
from fedmatch.board import answers, conversations, fit, listings, notifications, patience, publish, responses
from fedmatch.board.answers import CannotAnswer, Response
from fedmatch.board.listings import Listing
from schemas.listings import validated
from schemas.objects import Proposal
from schemas.storage import Transaction
from tests.houses import open_house, person
from tests.world import Clock

House = tuple[Instance, Clock]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    instance = await open_house(tmp_path, clock=clock)
    yield instance, clock
    await app.close(instance)


async def asked(instance: Instance, asker: Actor, kind: Any = "request", **more: Any) -> Listing:
    proposal = validated(kind, "A lawyer", "Asylum.", "en", (), ("AsylumLaw",), more.pop("speaks", ()), now=instance.clock.now(), **more)
    return await publish.listing(instance, asker, proposal, "en", audience="public")


async def answer(instance: Instance, helper: Actor, listing: Listing, **more: Any) -> Response:
    async def body(tx: Transaction) -> Response:
        return await responses.answer(tx, instance, helper, listing, "I can.", **more)

    return await instance.database.write(body)


async def of(instance: Instance, actor: Actor) -> list[Response]:
    return await instance.database.read(answers.of_actor, instance, actor)


async def now(instance: Instance, held: Response) -> Response:
    found = await instance.database.read(answers.by_id, instance, held.id)
    assert found is not None
    return found


async def told(instance: Instance, actor: Actor) -> list[str]:
    return [one.kind for one in await instance.database.read(notifications.newest, instance, actor.id)]


async def block(instance: Instance, actor: Actor, blocked: Actor) -> None:
    await instance.database.write(blocks.add, instance, actor, blocked)


# Only these languages, only this country.


@pytest.mark.parametrize(
    ("speaks", "region", "wrong"),
    [((), None, "speaks"), (("de",), "SE", "speaks"), (("sv",), None, "region"), (("sv-FI",), "FI", "region"), (("de", "sv"), "SE", None)],
)
def test_who_fits_what_is_only_for_some(speaks: tuple[str, ...], region: str | None, wrong: str | None) -> None:
    only = Proposal("request", "t", "x", speaks=("sv", "en"), helper_region="SE", only_speaks=True, only_region=True)
    assert fit.misfit(only, speaks, region) == wrong
    assert fit.misfit(Proposal("request", "t", "x", speaks=("sv",), helper_region="SE"), (), None) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("I can. I speak sv, en", (("sv", "en"), None)),
        ("speaks: pt-br\nRegion: se", (("pt-BR",), "SE")),
        ("speaks 12 and region XX", ((), None)),
        ("Nothing of it", ((), None)),
    ],
)
def test_what_people_say_of_themselves_in_plain_words(text: str, says: tuple[tuple[str, ...], str | None]) -> None:
    assert fit.stated(text) == says


async def test_only_who_speaks_it_and_is_there_answers(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await person(instance, "helper")
    listing = await asked(instance, asker, speaks=("sv",), only_speaks=True, helper_region="SE", only_region=True)

    for more in ({}, {"speaks": ("de",), "region": "SE"}):
        with pytest.raises(CannotAnswer, match="only from people who speak sv; if you do, say so with --speaks"):
            await answer(instance, helper, listing, **more)
    with pytest.raises(CannotAnswer, match=r"only from people in SE.*--region"):
        await answer(instance, helper, listing, speaks=("sv",))
    assert await of(instance, asker) == []

    made = await answer(instance, helper, listing, speaks=("sv",), region="SE")
    assert (made.json()["speaks"], made.json()["region"]) == (["sv"], "SE")
    assert [one.id for one in await of(instance, asker)] == [made.id]


async def test_an_open_offer_says_what_its_author_speaks(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await person(instance, "helper")
    await asked(instance, helper, "offer", speaks=("sv",), helper_region="SE")
    listing = await asked(instance, asker, speaks=("sv",), only_speaks=True, helper_region="SE", only_region=True)
    assert (await answer(instance, helper, listing)).state == "sent"


# Somebody who is blocked.


async def test_a_blocked_helper_here_is_not_shown_and_cannot_tell(house: House) -> None:
    instance, clock = house
    asker, blocked, other = [await person(instance, name) for name in ("asker", "blocked", "other")]
    listing = await asked(instance, asker)
    await block(instance, asker, blocked)

    unseen, seen = await answer(instance, blocked, listing), await answer(instance, other, listing)

    # The asker hears of one alone
    assert [one.id for one in await of(instance, asker)] == [seen.id]
    assert (await told(instance, asker)).count("response.received") == 1
    # and the two helpers are shown the same
    (mine,), (theirs,) = await of(instance, blocked), await of(instance, other)
    alike = {"text", "state", "tray", "channel", "readable_by", "level", "reason"}
    assert {key: mine.json()[key] for key in alike} == {key: theirs.json()[key] for key in alike}
    with pytest.raises(CannotAnswer, match="answered it already"):
        await answer(instance, blocked, listing)
    # also when a week is over
    clock.move(days=7, hours=1)
    for held in (unseen, seen):
        await patience.look(instance, str(held.id), b"")
    assert (await now(instance, unseen)).state == (await now(instance, seen)).state == "released"
    assert await told(instance, blocked) == await told(instance, other) == ["response.released"]


# Agreed, and then silence.


async def agreed(instance: Instance, asker: Actor, helper: Actor) -> tuple[Listing, Response]:
    listing = await asked(instance, asker, capacity=1, until=instance.clock.now() + timedelta(days=200))
    made = await answer(instance, helper, listing)
    await instance.database.write(responses.open_, instance, asker, made)
    held = await instance.database.write(responses.accept, instance, asker, await now(instance, made))
    return listing, held


async def test_what_nobody_finishes_is_asked_after_and_then_closed(house: House) -> None:
    instance, clock = house
    asker, helper = await person(instance, "asker"), await person(instance, "helper")
    listing, held = await agreed(instance, asker, helper)

    clock.move(days=29)
    await patience.look(instance, str(held.id), b"")
    assert "response.unfinished" not in await told(instance, asker)

    # A word begins the time anew
    await instance.database.write(conversations.say, instance, helper, held, "Next week.")
    clock.move(days=2)
    await patience.look(instance, str(held.id), b"")
    assert "response.unfinished" not in await told(instance, asker)

    clock.move(days=29)
    await patience.look(instance, str(held.id), b"")
    assert (await told(instance, asker))[0] == (await told(instance, helper))[0] == "response.unfinished"
    assert await instance.database.read(listings.state_of, listing.id) == "matched"
    await patience.look(instance, str(held.id), b"")
    assert (await now(instance, held)).state == "accepted"

    clock.move(days=14, hours=2)
    await patience.look(instance, str(held.id), b"")
    assert (await now(instance, held)).state == "failed"
    assert await instance.database.read(listings.state_of, listing.id) == "open"
    assert {"response.failed", "feedback.asked"} <= set(await told(instance, helper)) & set(await told(instance, asker))


async def test_an_agreement_older_than_the_rule_is_found(house: House) -> None:
    instance, clock = house
    asker, helper = await person(instance, "asker"), await person(instance, "helper")
    _, held = await agreed(instance, asker, helper)

    async def as_before(tx: Transaction) -> None:
        await tx.execute("delete from job where kind = 'response'")

    async def waits(tx: Transaction) -> int:
        row = await tx.one("select count(*) as n from job where kind = 'response' and key = :key", key=str(held.id))
        return 0 if row is None else int(row["n"])

    await instance.database.write(as_before)
    await instance.database.write(patience.remember, instance)
    assert await instance.database.read(waits) == 0
    clock.move(days=31)
    await instance.database.write(patience.remember, instance)
    assert await instance.database.read(waits) == 1
