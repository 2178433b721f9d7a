"""Does the queue of listings that wait for their matches lose nothing, stop for nothing, and cost a post that is no listing nothing?"""

from typing import Any

import pytest

from fedmatch.board import listings, matches, publish, saved, suggestions
from schemas.listings import Invalid, validated
from schemas.storage import Transaction

pytestmark = pytest.mark.asyncio


async def listing(instance: Any, actor: Any, kind: str, title: str, **more: Any) -> listings.Listing:
    proposal = validated(kind, title, "Asylum in Sweden.", "en", ("LegalAid",), ("AsylumLaw",), ("en",), now=instance.clock.now(), **more)
    return await publish.listing(instance, actor, proposal, "en", audience="public")


async def waiting(instance: Any) -> list[tuple[int, int, int]]:
    async def read(tx: Transaction) -> list[tuple[int, int, int]]:
        return [(row["post_id"], row["asked"], row["tries"]) for row in await tx.all("select * from match_waiting order by post_id")]

    return await instance.database.read(read)


async def count(instance: Any, table: str) -> int:
    async def read(tx: Transaction) -> int:
        row = await tx.one(f"select count(*) as n from {table}")
        return 0 if row is None else int(row["n"])

    return await instance.database.read(read)


async def test_a_burst_waits_once_each_and_is_worked_off_one_by_one(instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from actors import local

    monkeypatch.setattr(suggestions, "MOST_REST_S", 0.0)
    asker, helper = await local.create(instance, "asker"), await local.create(instance, "helper")
    requests = [await listing(instance, asker, "request", f"Lawyer {number}") for number in range(3)]
    offers = [await listing(instance, helper, "offer", f"Offer {number}") for number in range(25)]
    # Each waits once, however often it is asked for, and all of them are one job
    await instance.database.write(suggestions.want, instance, requests[0].id)
    await instance.database.write(suggestions.want, instance, requests[0].id)
    found = await waiting(instance)
    assert len(found) == 28
    assert {asked for _, asked, _ in found} == {1, 3}

    async def jobs(tx: Transaction) -> int:
        row = await tx.one("select count(*) as n from job where kind = 'match'")
        return 0 if row is None else int(row["n"])

    assert await instance.database.read(jobs) == 1
    at_once = 0

    async def watched(*values: Any, **more: Any) -> Any:
        nonlocal at_once
        at_once += 1
        assert at_once == 1, "one at a time"
        try:
            return await real(*values, **more)
        finally:
            at_once -= 1

    real = matches.found_aside
    monkeypatch.setattr(matches, "found_aside", watched)
    await suggestions.work(instance, "all", b"")
    while await waiting(instance):
        await suggestions.work(instance, "all", b"")
    shown = await instance.database.read(suggestions.of_reader, instance, asker)
    assert {one.own.id for one in shown} == {one.id for one in requests}
    assert len(shown) == 3 * matches.LIMIT, "the best twenty each"
    assert await count(instance, "exposure") == 1
    assert {one.found.id for one in shown} <= {one.id for one in offers}
    # What goes takes its suggestions along, whichever side it is
    await publish.withdraw(instance, requests[0])
    assert await count(instance, "suggestion") == 2 * matches.LIMIT
    gone = shown[-1].found
    await publish.withdraw(instance, gone)
    assert gone.id not in {one.found.id for one in await instance.database.read(suggestions.of_reader, instance, asker)}


async def test_what_fails_again_and_again_is_left_and_stops_nobody(instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from actors import local

    asker = await local.create(instance, "asker")
    bad, good = await listing(instance, asker, "request", "Bad"), await listing(instance, asker, "request", "Good")
    real = matches.found_aside

    async def fails(instance: Any, found: listings.Listing, **more: Any) -> Any:
        if found.id == bad.id:
            raise ZeroDivisionError
        return await real(instance, found, **more)

    monkeypatch.setattr(matches, "found_aside", fails)
    for _ in range(suggestions.TRIES):
        with pytest.raises(ZeroDivisionError):
            await suggestions.work(instance, "all", b"")
    assert [post_id for post_id, _, _ in await waiting(instance)] == [bad.id], "the other one was done meanwhile"
    assert good.id not in [post_id for post_id, _, _ in await waiting(instance)]
    await suggestions.work(instance, "all", b"")
    assert await waiting(instance) == []


async def test_a_post_that_is_no_listing_asks_for_nothing(instance: Any) -> None:
    from actors import local

    asker = await local.create(instance, "asker")
    await publish.post(instance, asker, "Good morning.")
    assert await waiting(instance) == []


async def test_a_search_says_what_it_does_not_understand() -> None:
    for wrong in ({}, {"language": "klingon"}, {"region": "Syria"}, {"category": "nothing"}, {"skill": "legal-aid"}, {"category": "asylum-law"}):
        with pytest.raises(Invalid):
            saved.asked(**wrong)
    assert saved.asked(skill="asylum-law", region="de").name == "AsylumLaw DE"
