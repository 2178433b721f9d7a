"""Who may read this post?"""

from dataclasses import replace
from pathlib import Path

import pytest

from actors import follows, local
from actors.known import Actor
from outbox import posts
from outbox.posts import Post
from outbox.visible import VISIBLE, Anonymous, Member, Remote, Viewer, can_read, seen_by
from schemas.activities import Accept, Follow
from schemas.objects import PUBLIC, Note
from schemas.reading import Iri
from tests.house import BASE, House, build, configure, describe, store


@pytest.fixture
async def house(database, tmp_path: Path) -> House:
    return await build(database, configure(tmp_path))


async def follow(house: House, follower: Actor, followed: Actor) -> None:
    """A remote follower of one of ours."""
    asked = Follow(id=Iri(f"{follower.uri}/follows/{followed.id}"), actor=follower.uri, object=followed.uri)
    answer = await house.write(follows.received, house.instance, asked, follower, followed)
    assert isinstance(answer, Accept)


async def write(house: House, author: Actor, number: int, *to: str) -> Post:
    note = Note(Iri(f"{BASE}/posts/{number}"), author.uri, "<p>words</p>", to=tuple(map(Iri, to)), published=house.clock.now())
    return await house.write(posts.store, house.instance, author, note, local=True, post_id=number)


async def reads(house: House, viewer: Viewer, post: Post) -> bool:
    single = await house.read(can_read, viewer, post.id)

    async def listed(tx) -> list[int]:
        return [row["id"] for row in await tx.all("select post.id from post where " + VISIBLE, **seen_by(viewer))]

    assert (post.id in await house.read(listed)) == single, "lists and single posts follow one rule"
    return single


async def test_everybody_reads_what_is_public_or_unlisted(house: House) -> None:
    amina = await house.person("amina")
    for number, to in ((1, (PUBLIC,)), (2, (amina.followers, PUBLIC))):
        post = await write(house, amina, number, *to)
        for viewer in (Anonymous(), Member(999), Remote(999, "nowhere.example")):
            assert await reads(house, viewer, post)


async def test_what_a_server_keeps_from_the_open_web_is_read_by_who_is_somebody(house: House) -> None:
    shut, silent = await house.stranger("shut"), await house.stranger("silent")
    await house.write(store, house.instance, describe("shut", hides_public=True, hides_unlisted=False))
    expected = {(shut.id, 1): False, (shut.id, 2): True, (silent.id, 1): True, (silent.id, 2): False}
    for (author, which), shown in expected.items():
        note = Note(Iri(f"https://theirs.example/{author}/{which}"), shut.uri if author == shut.id else silent.uri, "<p>x</p>", published=house.clock.now())
        note = replace(note, to=(PUBLIC,)) if which == 1 else replace(note, to=(Iri("https://theirs.example/followers"),), cc=(PUBLIC,))
        post = await house.write(posts.store, house.instance, shut if author == shut.id else silent, note, local=False)
        assert isinstance(post, Post)
        assert await reads(house, Anonymous(), post) == shown
        for viewer in (Member(999), Remote(999, "nowhere.example")):
            assert await reads(house, viewer, post)


async def test_followers_read_what_is_for_followers_and_nobody_else(house: House) -> None:
    amina, bilal, carol = [await house.person(name) for name in ("amina", "bilal", "carol")]
    bo, eve = await house.stranger("bo"), await house.stranger("eve", "elsewhere.example")
    await follow(house, bo, amina)
    await house.write(follows.request, house.instance, bilal, amina)
    post = await write(house, amina, 1, amina.followers, carol.uri)
    assert post.visibility == "followers"
    for viewer in (Member(amina.id), Member(bilal.id), Member(carol.id), Remote(bo.id, "theirs.example")):
        assert await reads(house, viewer, post)
    for viewer in (Anonymous(), Member(999), Remote(eve.id, "elsewhere.example"), Remote(eve.id, ""), Remote(0, "theirs.example.evil.example")):
        assert not await reads(house, viewer, post)


async def test_a_direct_post_is_read_by_its_author_and_whom_it_addresses(house: House) -> None:
    amina, bilal, carol = [await house.person(name) for name in ("amina", "bilal", "carol")]
    bo, dan, eve = await house.stranger("bo"), await house.stranger("dan"), await house.stranger("eve", "elsewhere.example")
    await follow(house, eve, amina)
    await house.write(follows.request, house.instance, carol, amina)
    post = await write(house, amina, 1, bilal.uri, bo.uri)
    assert post.visibility == "direct"
    for viewer in (Member(amina.id), Member(bilal.id), Remote(bo.id, "theirs.example")):
        assert await reads(house, viewer, post)
    assert await reads(house, Remote(dan.id, "theirs.example"), post), "servers sign as whoever of theirs caused the fetch"
    for viewer in (Anonymous(), Member(carol.id), Remote(eve.id, "elsewhere.example")):
        assert not await reads(house, viewer, post)


async def test_a_request_to_follow_opens_nothing(house: House) -> None:
    amina = await house.person("amina", locked=True)
    bo = await house.stranger("bo")
    asked = Follow(id=Iri(f"{bo.uri}/follows/1"), actor=bo.uri, object=amina.uri)
    await house.write(follows.received, house.instance, asked, bo, amina)
    post = await write(house, amina, 1, amina.followers)
    assert not await reads(house, Remote(bo.id, "theirs.example"), post)
    await house.write(follows.decide, house.instance, amina, bo, True)
    assert await reads(house, Remote(bo.id, "theirs.example"), post)
    await house.write(follows.decide, house.instance, amina, bo, False)
    assert not await reads(house, Remote(bo.id, "theirs.example"), post)


async def test_nobody_reads_what_is_not_there_or_whose_author_is_suspended(house: House) -> None:
    amina = await house.person("amina")
    post = await write(house, amina, 1, PUBLIC)
    assert not await house.read(can_read, Anonymous(), post.id + 1)
    await house.write(local.suspend, house.instance, amina)
    assert not await reads(house, Anonymous(), post)


async def test_a_boost_shows_only_what_its_reader_may_see(house: House) -> None:
    amina, bilal = await house.person("amina"), await house.person("bilal")
    narrow = await write(house, amina, 1, amina.followers)
    own = await house.write(posts.boost, house.instance, amina, Iri(f"{BASE}/activities/1"), narrow, to=(amina.followers,), local=True)
    await house.write(follows.request, house.instance, bilal, amina)
    assert await reads(house, Member(bilal.id), own)
    assert not await reads(house, Anonymous(), own)
    public = await write(house, amina, 2, PUBLIC)
    boost = await house.write(posts.boost, house.instance, bilal, Iri(f"{BASE}/activities/2"), public, to=(PUBLIC,), local=True)
    assert await reads(house, Anonymous(), boost)
