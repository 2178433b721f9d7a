"""Others' requests and offers end here as they ended at home, in whatever order their states come; and when their time is over, whoever is still there."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.states import LISTING
from tests.fakepeer import FakeActor
from tests.world import World

SENT = ("open", "paused", "matched", "fulfilled", "expired", "withdrawn")
STORIES = 40
"""Lives in one world; each is told in an order of its own."""


def life(draw: random.Random) -> list[str]:
    """States as somebody elsewhere may lead a listing through, from open on."""
    states = ["open"]
    while draw.random() < 0.75:
        onward = [state for state in SENT if state in LISTING.moves[states[-1]]]
        if not onward:
            break
        states.append(draw.choice(onward))
    return states


def told(author: FakeActor, number: int, states: list[str], began: datetime) -> list[dict[str, Any]]:
    """The activities of that life: a Create, an Update for each state, each a minute later; at the end perhaps a Delete."""
    note = {
        "id": f"{author.peer.base}/listings/{number}",
        "type": "Note",
        "attributedTo": author.id,
        "content": "<p>Request: a lawyer</p>",
        "published": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "to": ["https://www.w3.org/ns/activitystreams#Public"],
        "cc": [],
        "purpose": "request",
        "status": "open",
        "publishes": {"type": "Intent", "id": f"{author.peer.base}/listings/{number}#primary", "action": "deliverService", "name": "A lawyer"},
    }
    said = [author.create(note)]
    for minute, state in enumerate(states[1:], start=1):
        when = (began + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
        said.append(author.update(note, updated=when, status=state))
    return said


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_order_the_last_state_stands(world: World, seed: int) -> None:
    # Given many lives of listings on another server
    draw = random.Random(seed)  # a test that can be played again
    site = (await world.person("amina@a")).site
    author = (await world.peer()).actor("group")
    began = datetime.now(UTC) - timedelta(hours=3)
    expected: dict[str, str | None] = {}
    letters: list[dict[str, Any]] = []
    for number in range(STORIES):
        states = life(draw)
        said = told(author, number, states, began)
        gone = draw.random() < 0.2
        if gone:
            said.append(author.activity("Delete", {"id": said[0]["object"]["id"], "type": "Tombstone"}))
        expected[said[0]["object"]["id"]] = None if gone else states[-1]
        # Late, reordered, some twice; the last may come first
        draw.shuffle(said)
        letters += said + draw.choices(said, k=1)
    for letter in letters:
        assert (await author.send(letter, f"{site.base}/inbox")).status == 202
    # When all have come
    await world.settle(60)
    # Then each stands as it ended at home
    here = {one["url"]: one["state"] for one in await site.listings()}
    assert {url: here.get(url) for url in expected} == expected


@pytest.mark.parametrize("member", ["endTime", "hasEnd", "expires"])
async def test_a_listing_ends_here_when_its_time_is_over_and_its_server_is_gone(world: World, member: str) -> None:
    site = (await world.person("amina@a")).site
    peer = await world.peer()
    author = peer.actor("group")
    [create] = told(author, 1, ["open"], datetime.now(UTC) - timedelta(minutes=1))
    ends = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    if member == "expires":   # on the intent, as Bonfire says it
        create["object"]["publishes"]["due"] = ends
    else:
        create["object"][member] = ends
    await author.send(create, f"{site.base}/inbox")
    await world.settle()
    assert [one["state"] for one in await site.listings()] == ["open"]

    await peer.stop()
    await world.later(hours=3)

    assert [one["state"] for one in await site.listings()] == ["expired"]
    assert await site.count("listing", "state = 'expired'") == 1
