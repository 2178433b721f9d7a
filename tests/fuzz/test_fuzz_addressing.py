"""Does anything go to somebody it is not for, or come to be read by more people than its author said?"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import follows, peers
from actors.known import Actor
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import open_sqlite
from outbox.address import Audience, inboxes
from outbox.posts import visibility
from schemas.activities import Follow, parse_note
from schemas.reading import Iri, Unreadable
from tests.fuzz.twice import twice
from tests.house import House, build, configure, describe, store

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
AUTHOR = "https://peer.example/users/p1"
TARGETS = [
    PUBLIC,
    "as:Public",
    "Public",
    "as:public",
    "public",
    PUBLIC.lower(),
    f"{PUBLIC}/",
    f"{AUTHOR}/followers",
    AUTHOR,
    "https://ours.example/users/amina",
    "",
    None,
    7,
    "https://x.example/followers",
]

target = st.one_of(st.sampled_from(TARGETS), st.sampled_from(TARGETS).map(lambda one: {"id": one}), st.lists(st.sampled_from(TARGETS), max_size=3))
member = st.one_of(st.sampled_from(TARGETS), st.lists(target, max_size=4), target)


def names(value: Any) -> set[str]:
    """Who is really named: strings, and ids of objects, one level of lists deep."""
    several = value if isinstance(value, list) else [value]
    return {one if isinstance(one, str) else one["id"] for one in several if isinstance(one, str) or (isinstance(one, dict) and isinstance(one.get("id"), str))}


def never_wider(to: Any, cc: Any) -> None:
    """Public by one of the three spellings in `to` alone; unlisted by one elsewhere; for followers by the author's own collection; else for the named."""
    document = {"id": "https://peer.example/notes/1", "type": "Note", "attributedTo": AUTHOR, "content": "x", "to": to, "cc": cc}
    try:
        how_far = visibility(parse_note(document), Iri(f"{AUTHOR}/followers"))
    except Unreadable:
        return
    everybody = {PUBLIC, "as:Public", "Public"}
    if names(to) & everybody:
        assert how_far == "public"
    elif names(cc) & everybody:
        assert how_far == "unlisted"
    elif f"{AUTHOR}/followers" in names(to) | names(cc):
        assert how_far == "followers"
    else:
        assert how_far == "direct"


test_wider, test_wider_long = twice(never_wider, member, member)


class Town:
    """Amina, and twelve strangers on four servers: with shared inboxes, without, blocked, and gone."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.people: list[Actor] = []
        self.followers: set[int] = set()

    async def settle_in(self) -> "Town":
        self.amina = await self.house.person("amina")
        for number in range(12):
            host = f"h{number % 4}.example"
            told = describe(f"p{number}", host)
            self.people.append(await self.house.write(store, self.house.instance, replace(told, shared_inbox=None) if host == "h1.example" else told))
            if number % 2:
                asked = Follow(id=Iri(f"{self.people[-1].uri}/follows/1"), actor=self.people[-1].uri, object=self.amina.uri)
                await self.house.write(follows.received, self.house.instance, asked, self.people[-1], self.amina)
                self.followers.add(number)
        await self.house.write(peers.set_level, self.house.instance, "h3.example", "blocked", "test")
        await self.house.instance.trust.refresh(self.house.instance.database)
        return self


@pytest_asyncio.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    database = await open_sqlite(tmp_path / "fedmatch.db")
    await migrate(database)
    yield await Town(await build(database, configure(tmp_path))).settle_in()
    await database.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.sets(st.integers(0, 11)),
    followers=st.booleans(),
    fold=st.booleans(),
    named=st.lists(
        st.sampled_from(
            [
                "https://h0.example/inbox",
                "https://h3.example/inbox",
                "https://sub.h3.example/inbox",
                "https://ours.example/inbox",
                "{foo:",
                "mailto:x@y",
                "https://h9.example/inbox",
            ]
        )
    ),
)
async def test_an_audience_is_exactly_its_inboxes(town: Town, chosen: set[int], followers: bool, fold: bool, named: list[str]) -> None:
    # Given an audience of some people, maybe of followers, and of inboxes by name
    people = [town.people[number] for number in sorted(chosen)]
    audience = Audience(tuple(person.id for person in people), (town.amina.id,) if followers else (), tuple(Iri(url) for url in named))
    found = [inbox.url for inbox in await town.house.write(inboxes, town.house.instance, audience, fold=fold)]
    # Then each inbox stands once; none is ours, on a blocked server or below one, or no address
    assert len(found) == len(set(found))
    assert not [url for url in found if "h3.example" in url or "ours.example" in url or not url.startswith("https://")]
    # Then it is exactly those of whom it is for, folded where a server has one inbox for all
    meant = [*people, *(town.people[number] for number in town.followers if followers)]
    right = {(person.shared_inbox if fold else None) or person.inbox for person in meant if person.host != "h3.example"}
    right |= {url for url in named if url in {"https://h0.example/inbox", "https://h9.example/inbox"}}
    assert set(found) == right
