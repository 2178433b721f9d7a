"""What others may list of what hangs on our posts: what they see, page by page, and nothing else."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from quart import Quart

from actors import blocks
from outbox import collections, endpoints, pins, posts, reactions
from outbox.collections import PAGE
from outbox.posts import Post
from outbox.visible import Anonymous, Member, can_read
from schemas.objects import PUBLIC, Note
from schemas.reading import Iri
from tests.fakepeer import AP
from tests.house import BASE, House, build, configure


@pytest.fixture
async def house(sqlite_database, tmp_path: Path) -> House:
    return await build(sqlite_database, configure(tmp_path))


class Site:
    def __init__(self, house: House) -> None:
        app = Quart("collections-test")
        app.register_blueprint(endpoints.blueprint(house.instance))
        app.register_blueprint(collections.blueprint(house.instance))
        self.client = app.test_client()

    async def get(self, path: str) -> tuple[int, Any]:
        response = await self.client.get(path.removeprefix(BASE), headers={"Host": "ours.example", "Accept": AP})
        return response.status_code, json.loads(await response.get_data())


@pytest.fixture
def site(house: House) -> Site:
    return Site(house)


async def write(house: House, author: Any, number: int, *to: str, **more: Any) -> Post:
    uri = Iri(f"{BASE}/posts/{number}" if author.local else f"https://theirs.example/notes/{number}")
    note = Note(uri, author.uri, "<p>x</p>", to=tuple(map(Iri, to)) or (PUBLIC,), published=house.clock.now() - timedelta(days=1), **more)
    made = await house.write(posts.store, house.instance, author, note, local=author.local, post_id=number)
    assert isinstance(made, Post)
    return made


async def walk(site: Site, path: str) -> tuple[int, list[str]]:
    """How many a collection says it has, and what its pages list."""
    status, whole = await site.get(path)
    assert (status, whole["type"], whole["id"]) == (200, "OrderedCollection", f"{BASE}{path}")
    listed: list[str] = []
    ahead = whole.get("first")
    while ahead is not None:
        status, page = await site.get(ahead)
        assert (status, page["type"], page["partOf"], page["id"]) == (200, "OrderedCollectionPage", whole["id"], ahead)
        listed += page["orderedItems"]
        ahead = page.get("next")
    return whole["totalItems"], listed


async def test_replies_are_the_public_ones_of_everybody_each_once(site: Site, house: House) -> None:
    amina, bo, eve = await house.person("amina"), await house.stranger("bo"), await house.stranger("eve")
    parent = await write(house, amina, 7)
    public = [await write(house, bo if number % 2 else amina, number, in_reply_to=parent.uri) for number in range(100, 100 + 2 * PAGE + 3)]
    await write(house, bo, 300, amina.uri, in_reply_to=parent.uri)
    hidden = await write(house, eve, 301, in_reply_to=parent.uri)

    async def suspend(tx) -> None:
        await tx.execute("update actor set state = 'suspended' where id = :id", id=eve.id)

    await house.write(suspend)
    total, listed = await walk(site, "/posts/7/replies")
    assert listed == [post.uri for post in public]
    assert total == len(public)
    assert hidden.uri not in listed


async def test_a_thread_is_what_public_answers_lead_to_each_once(site: Site, house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    name = Iri(f"{BASE}/posts/7/context")
    first = await write(house, amina, 7, conversation=name)
    # An answer below the other, by turns, over more than two pages; most servers name the thread otherwise, or not at all
    thread = [first]
    for number in range(100, 100 + 2 * PAGE + 3):
        thread.append(await write(house, bo if number % 2 else amina, number, in_reply_to=thread[-1].uri, conversation=(name, None, Iri("tag:x"))[number % 3]))
    aside = await write(house, bo, 200, in_reply_to=first.uri)
    # And nothing else: neither what only says that it belongs there, nor what is private, nor what hangs below that, nor a boost
    await write(house, bo, 201, conversation=name)
    private = await write(house, bo, 202, amina.uri, in_reply_to=first.uri, conversation=name)
    await write(house, bo, 203, in_reply_to=private.uri, conversation=name)
    await house.write(posts.boost, house.instance, bo, Iri("https://theirs.example/boosts/1"), first, to=(PUBLIC,))
    shown = [*(post.uri for post in thread), aside.uri]
    assert await walk(site, "/posts/7/context") == (len(shown), shown)
    # Where one of them is deleted or let go, what answers it is reached no more
    await house.write(posts.remove, house.instance, thread[3])
    assert await walk(site, "/posts/7/context") == (4, [*shown[:3], aside.uri])


async def test_of_a_great_thread_what_is_nearest_to_its_first_post_is_listed(site: Site, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collections, "MOST_OF_THREAD", 4)
    amina, bo = await house.person("amina"), await house.stranger("bo")
    first = await write(house, amina, 7, conversation=Iri(f"{BASE}/posts/7/context"))
    near = [await write(house, bo, number, in_reply_to=first.uri) for number in (100, 200, 300)]
    await write(house, bo, 150, in_reply_to=near[0].uri)
    assert await walk(site, "/posts/7/context") == (4, [first.uri, *(post.uri for post in near)])


async def test_only_the_public_post_that_names_a_thread_lists_it(site: Site, house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    missing = await site.get("/posts/999/context")
    assert missing[0] == 404
    first = await write(house, amina, 7, conversation=Iri(f"{BASE}/posts/7/context"))
    await write(house, amina, 8, in_reply_to=first.uri, conversation=first.conversation)
    await write(house, amina, 9, conversation=Iri(f"{BASE}/posts/9#conversation"))
    await write(house, amina, 10, bo.uri, conversation=Iri(f"{BASE}/posts/10/context"))
    await write(house, amina, 11)
    for number in (8, 9, 10, 11):
        assert await site.get(f"/posts/{number}/context") == missing
        assert await site.get(f"/posts/{number}/context?page=true") == missing


async def test_likes_are_a_number_and_boosts_a_list(site: Site, house: House) -> None:
    amina, bo, eve = await house.person("amina"), await house.stranger("bo"), await house.stranger("eve")
    post = await write(house, amina, 7)
    for number, who in enumerate((bo, bo, eve)):
        await house.write(reactions.add, house.instance, who, post, Iri(f"https://theirs.example/likes/{number}"))
    for who, to in ((bo, PUBLIC), (eve, Iri(f"{eve.uri}/followers"))):
        uri = Iri(f"https://theirs.example/boosts/{who.username}")
        await house.write(posts.boost, house.instance, who, uri, post, to=(to,))
    assert (await site.get("/posts/7/likes"))[1].keys() == {"@context", "id", "type", "totalItems"}
    assert (await site.get("/posts/7/likes"))[1]["totalItems"] == 2
    assert await walk(site, "/posts/7/shares") == (1, ["https://theirs.example/boosts/bo"])
    shown = (await site.get("/posts/7"))[1]
    assert (shown["likes"]["totalItems"], shown["shares"]["totalItems"], shown["replies"]) == (2, 1, f"{BASE}/posts/7/replies")


async def test_what_one_may_not_read_has_no_collections(site: Site, house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    await write(house, amina, 8, bo.uri)
    missing = await site.get("/posts/999/likes")
    assert missing[0] == 404
    for name in ("replies", "likes", "shares", "context"):
        assert await site.get(f"/posts/8/{name}") == missing


@pytest.mark.parametrize("rubbish", ["-1", "x", "9" * 19, "1.5", "%D9%A1"])
async def test_a_rubbish_page_is_a_400(site: Site, house: House, rubbish: str) -> None:
    await write(house, await house.person("amina"), 7)
    assert (await site.get(f"/posts/7/replies?page=true&min_id={rubbish}"))[0] == 400


async def test_pins_are_public_posts_of_ones_own_the_latest_first(site: Site, house: House) -> None:
    amina, bilal = await house.person("amina"), await house.person("bilal")
    first, second = await write(house, amina, 7), await write(house, amina, 8)
    private, hers = await write(house, amina, 9, bilal.uri), await write(house, bilal, 10)
    for post in (first, second):
        await house.write(pins.add, house.instance, amina, post)
        house.clock.move(seconds=1)
    for post in (private, hers):
        with pytest.raises(pins.CannotPin):
            await house.write(pins.add, house.instance, amina, post)
    status, featured = await site.get("/users/amina/collections/featured")
    assert (status, featured["orderedItems"], featured["totalItems"]) == (200, [second.uri, first.uri], 2)
    await house.write(posts.remove, house.instance, second)
    assert (await site.get("/users/amina/collections/featured"))[1]["orderedItems"] == [first.uri]
    assert (await site.get("/users/nobody/collections/featured"))[0] == 404


async def test_a_block_hides_and_is_nobodys_business(site: Site, house: House) -> None:
    amina, bilal = await house.person("amina"), await house.person("bilal")
    post = await write(house, amina, 7)
    await house.write(blocks.add, house.instance, amina, bilal)
    assert not await house.read(can_read, Member(bilal.id), post.id)
    assert await house.read(can_read, Anonymous(), post.id)
    theirs = await write(house, bilal, 8)
    assert not await house.read(can_read, Member(amina.id), theirs.id)
