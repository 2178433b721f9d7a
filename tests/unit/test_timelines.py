"""Who reads what at home and in public, in which order?"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.instance import Instance
from actors.known import Actor
from actors.vault import Locked
from fedmatch.board import publish, social, timelines
from fedmatch.board.timelines import Entry, Page
from outbox import posts
from schemas.objects import PUBLIC
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.houses import follow, opened, person


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance on each engine."""
    async with opened(tmp_path, database_url) as instance:
        yield instance


async def home(instance: Instance, reader: Actor, page: Page | None = None) -> list[Entry]:
    return await instance.database.read(timelines.home, instance, reader, page or Page())


async def public(instance: Instance, reader: Actor, page: Page | None = None) -> list[Entry]:
    return await instance.database.read(timelines.public, instance, reader, page or Page())


def texts(entries: list[Entry]) -> list[str]:
    return [entry.text for entry in entries]


async def test_home_is_ones_own_what_one_follows_and_what_is_addressed(house: Instance) -> None:
    alice, bob, carol = [await person(house, name) for name in ("alice", "bob", "carol")]
    await publish.post(house, bob, "before the follow")
    await follow(house, alice, bob)
    await publish.post(house, bob, "from one I follow")
    await publish.post(house, bob, "for followers", "followers")
    await publish.post(house, carol, "from a stranger")
    await publish.post(house, carol, "from a stranger, to @alice")
    await publish.post(house, carol, "for alice alone", "direct", to=["alice"])
    await publish.post(house, alice, "my own")
    assert texts(await home(house, alice)) == ["my own", "for alice alone", "from a stranger, to @alice", "for followers", "from one I follow"]
    assert texts(await home(house, bob)) == ["for followers", "from one I follow", "before the follow"]
    assert texts(await public(house, bob)) == ["my own", "from a stranger, to @alice", "from a stranger", "from one I follow", "before the follow"]


async def test_pages_follow_each_other_without_gap_or_repetition(house: Instance) -> None:
    alice = await person(house, "alice")
    for number in range(7):
        await publish.post(house, alice, f"words {number}")
    for read in (home, public):
        found: list[str] = []
        page = Page(limit=3)
        while entries := await read(house, alice, page):
            found += texts(entries)
            page = Page(limit=3, before=entries[-1].key)
        assert found == [f"words {number}" for number in reversed(range(7))]


async def test_after_an_unfollow_followers_only_words_are_not_read(house: Instance) -> None:
    from actors import follows

    alice, bob = await person(house, "alice"), await person(house, "bob")
    await follow(house, alice, bob)
    await publish.post(house, bob, "for followers", "followers")
    assert texts(await home(house, alice)) == ["for followers"]
    await house.database.write(follows.cancel, house, alice, bob)
    assert await home(house, alice) == []


async def test_whoever_is_suspended_is_not_read(house: Instance) -> None:
    from actors import local

    alice, bob = await person(house, "alice"), await person(house, "bob")
    await follow(house, alice, bob)
    await publish.post(house, bob, "words")
    await house.database.write(local.suspend, house, bob)
    assert await home(house, alice) == []
    assert await public(house, alice) == []


async def test_whoever_is_blocked_is_not_read_by_either(house: Instance) -> None:
    alice, bob, carol = [await person(house, name) for name in ("alice", "bob", "carol")]
    for author in (alice, bob, carol):
        await publish.post(house, author, author.username)
    await social.block(house, alice, bob)
    assert texts(await public(house, alice)) == ["carol", "alice"]
    assert texts(await public(house, bob)) == ["carol", "bob"]
    assert texts(await public(house, carol)) == ["carol", "bob", "alice"]
    await social.block(house, alice, bob, undo=True)
    assert texts(await public(house, alice)) == ["carol", "bob", "alice"]


async def test_a_boost_shows_what_it_boosts_to_the_boosters_followers(house: Instance) -> None:
    alice, bob, carol = [await person(house, name) for name in ("alice", "bob", "carol")]
    await follow(house, alice, bob)
    made = await publish.post(house, carol, "worth it")

    async def boost(tx: Transaction) -> object:
        return await posts.boost(tx, house, bob, Iri(f"{house.config.base_url}/activities/1"), made, to=(PUBLIC,), local=True)

    await house.database.write(boost)
    (entry,) = await home(house, alice)
    assert (entry.text, entry.author, entry.url) == ("worth it", carol.handle, made.uri)
    assert texts(await public(house, alice)) == ["worth it"]


async def test_private_words_are_not_read_while_the_vault_is_locked(house: Instance) -> None:
    alice, bob = await person(house, "alice"), await person(house, "bob")
    await publish.post(house, alice, "for bob alone", "direct", to=["bob"])
    house.vault.lock()
    with pytest.raises(Locked):
        await home(house, bob)
    assert await public(house, bob) == []
