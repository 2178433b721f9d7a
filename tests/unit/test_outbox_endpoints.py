"""What do others find here at the ids of our posts?"""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from quart import Quart, Response

from actors import follows, known, local, peers
from actors.known import Actor
from outbox import collections, posts
from outbox.endpoints import PAGE, blueprint
from outbox.posts import Post
from schemas.activities import Accept, Follow
from schemas.config import FederationConfig
from schemas.objects import PUBLIC, Hashtag, Note, Proposal
from schemas.reading import Iri
from tests.house import BASE, PAIR, House, build, configure
from tests.signing import signed

AP = "application/activity+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Site:
    """A house with its documents served, and ways to ask for them."""

    def __init__(self, house: House, **more: Any) -> None:
        self.house = house
        app = Quart("outbox-test")
        app.register_blueprint(blueprint(house.instance, **more))
        app.register_blueprint(collections.blueprint(house.instance))
        self.client = app.test_client()

    async def get(self, url: str, *, by: Actor | None = None, accept: str = AP, broken: bool = False, method: str = "GET") -> Response:
        """A GET, signed by a stranger if `by` is given."""
        target = url.removeprefix(BASE)
        headers = [("Host", "ours.example")]
        if by is not None:
            key = load_der_private_key(PAIR.rsa_private, None)
            mode = "broken:old" if broken else "cavage"
            headers = signed(key, f"{by.uri}#main-key", "GET", "ours.example", target, None, self.house.clock.now(), mode)
        return await self.client.open(target, method=method, headers=[*headers, ("Accept", accept)])


@pytest.fixture
async def house(sqlite_database, tmp_path: Path) -> House:
    return await build(sqlite_database, configure(tmp_path))


@pytest.fixture
def site(house: House) -> Site:
    return Site(house)


async def stranger(house: House, name: str, host: str = "theirs.example") -> Actor:
    """Somebody whose key we know; everybody in these stories has the same pair."""
    made = await house.stranger(name, host)
    house.instance.keys.forget()
    return made


async def write(house: House, author: Actor, number: int, *to: str, **more: Any) -> Post:
    note = Note(
        Iri(f"{BASE}/posts/{number}"), author.uri, f"<p>words {number}</p>", to=tuple(map(Iri, to)) or (PUBLIC,), published=house.clock.now(), **more
    )
    made = await house.write(posts.store, house.instance, author, note, local=True, post_id=number)
    assert isinstance(made, Post)
    return made


async def follow(house: House, follower: Actor, followed: Actor) -> None:
    asked = Follow(id=Iri(f"{follower.uri}/follows/1"), actor=follower.uri, object=followed.uri)
    assert isinstance(await house.write(follows.received, house.instance, asked, follower, followed), Accept)


async def seen(response: Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer that a stranger can compare."""
    return response.status_code, {key.lower(): value for key, value in response.headers.items()}, await response.get_data()


# --- it opens


@pytest.mark.parametrize("accept", [AP, 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"', f"{AP}, text/html;q=0.5"])
async def test_a_public_post_is_a_document_for_servers(site: Site, house: House, accept: str) -> None:
    amina = await house.person("amina")
    await write(house, amina, 7, hashtags=(Hashtag("legal", Iri(f"{BASE}/tags/legal")),), language="en", source="words 7")
    answer = await site.get(f"{BASE}/posts/7", accept=accept)
    document = json.loads(await answer.get_data())
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == AP
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert (document["id"], document["type"], document["attributedTo"]) == (f"{BASE}/posts/7", "Note", amina.uri)
    assert document["to"] == [PUBLIC]
    assert document["content"] == "<p>words 7</p>"
    assert (await site.get(f"{BASE}/posts/7", method="HEAD")).status_code == 200
    preflight = await site.get(f"{BASE}/posts/7", method="OPTIONS")
    assert preflight.status_code == 200
    assert "Signature" in preflight.headers["Access-Control-Allow-Headers"]


async def test_its_create_dereferences(site: Site, house: House) -> None:
    amina = await house.person("amina")
    await write(house, amina, 7)
    document = json.loads(await (await site.get(f"{BASE}/posts/7/activity")).get_data())
    assert (document["id"], document["type"], document["actor"]) == (f"{BASE}/posts/7/activity", "Create", amina.uri)
    assert document["object"]["id"] == f"{BASE}/posts/7"
    assert document["to"] == document["object"]["to"] == [PUBLIC]


async def test_people_get_a_page_at_the_same_id(house: House) -> None:
    shown: list[int] = []

    async def page(kind: str, post: Post) -> Response:
        shown.append(post.id)
        return Response(f"<p>{kind}</p>", content_type="text/html")

    site = Site(house, html=page)
    amina, bo = await house.person("amina"), await stranger(house, "bo")
    await write(house, amina, 7)
    await write(house, amina, 8, bo.uri)
    answer = await site.get(f"{BASE}/posts/7", accept=BROWSER)
    assert (await answer.get_data()) == b"<p>post</p>"
    assert answer.headers["Link"] == f'<{BASE}/posts/7>; rel="alternate"; type="{AP}"'
    assert "Accept" in answer.headers["Vary"]
    hidden, missing = [await seen(await site.get(f"{BASE}/posts/{number}", accept=BROWSER)) for number in (8, 9)]
    assert hidden == missing
    assert hidden[0] == 404
    assert shown == [7]
    deleted = await house.read(posts.by_id, 7)
    await house.write(posts.remove, house.instance, deleted)
    assert (await site.get(f"{BASE}/posts/7", accept=BROWSER)).status_code == 410


async def test_a_request_is_written_by_the_product_and_has_a_twin(house: House) -> None:
    async def note_of(tx, post: Post) -> Note | None:
        if post.id != 7:
            return None
        return Note(post.uri, Iri(f"{BASE}/users/amina"), "<p>Request</p>", to=(PUBLIC,), proposal=Proposal("request", "A lawyer", "Who knows?"))

    site = Site(house, note_of=note_of)
    amina = await house.person("amina")
    await write(house, amina, 7)
    await write(house, amina, 8)
    note = json.loads(await (await site.get(f"{BASE}/posts/7")).get_data())
    twin = json.loads(await (await site.get(f"{BASE}/posts/7/proposal")).get_data())
    assert (note["type"], note["purpose"]) == ("Note", "request")
    assert "name" not in note
    assert (twin["type"], twin["name"], twin["id"]) == ("Proposal", "A lawyer", f"{BASE}/posts/7/proposal")
    assert (await site.get(f"{BASE}/posts/8/proposal")).status_code == 404, "an ordinary post has none"
    page = json.loads(await (await site.get(f"{BASE}/users/amina/outbox?page=true")).get_data())
    assert [item["object"].get("purpose") for item in page["orderedItems"]] == [None, "request"]


# --- it stays shut


async def test_hidden_and_missing_are_the_same_bytes(site: Site, house: House) -> None:
    amina, bo, eve = await house.person("amina"), await stranger(house, "bo"), await stranger(house, "eve", "elsewhere.example")
    await write(house, amina, 7, bo.uri)
    await write(house, amina, 8, amina.followers)
    buried = await write(house, amina, 9, bo.uri)
    await house.write(posts.remove, house.instance, buried)
    for path in ("", "/activity", "/proposal", "/replies"):
        for by in (None, eve):
            answers = [await seen(await site.get(f"{BASE}/posts/{number}{path}", by=by)) for number in (7, 8, 9, 10, "rubbish", "-1", "9" * 40)]
            assert [answer[0] for answer in answers] == [404] * len(answers)
            assert all(answer == answers[0] for answer in answers)


async def test_who_was_addressed_or_follows_reads_with_a_signature(site: Site, house: House) -> None:
    amina, bo, dan = await house.person("amina"), await stranger(house, "bo"), await stranger(house, "dan")
    eve = await stranger(house, "eve", "elsewhere.example")
    await follow(house, eve, amina)
    await write(house, amina, 7, bo.uri)
    await write(house, amina, 8, amina.followers)
    for reader, number, status in ((bo, 7, 200), (dan, 7, 200), (eve, 7, 404), (None, 7, 404), (eve, 8, 200), (bo, 8, 404), (None, 8, 404)):
        answer = await site.get(f"{BASE}/posts/{number}", by=reader)
        assert answer.status_code == status, (reader and reader.username, number)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert "Signature" in answer.headers["Vary"]
    assert (await site.get(f"{BASE}/posts/7", by=bo, broken=True)).status_code == 404, "a signature that does not hold is none"
    assert json.loads(await (await site.get(f"{BASE}/posts/7", by=bo)).get_data())["content"] == "<p>words 7</p>"


async def test_a_suspended_signer_reads_nothing_more(site: Site, house: House) -> None:
    amina, bo = await house.person("amina"), await stranger(house, "bo")
    await write(house, amina, 7, bo.uri)

    async def suspend(tx) -> None:
        await tx.execute("update actor set state = 'suspended' where id = :id", id=bo.id)

    await house.write(suspend)
    assert (await site.get(f"{BASE}/posts/7", by=bo)).status_code == 403


async def test_in_signed_only_mode_every_unsigned_get_is_the_same_401(sqlite_database, tmp_path: Path) -> None:
    house = await build(sqlite_database, configure(tmp_path, federation=FederationConfig(signed_only=True)))
    site = Site(house)
    amina, bo, eve = await house.person("amina"), await stranger(house, "bo"), await stranger(house, "eve", "elsewhere.example")
    await write(house, amina, 7)
    await write(house, amina, 8, bo.uri)
    gone = await write(house, amina, 9)
    await house.write(posts.remove, house.instance, gone)
    paths = [f"/posts/{number}{path}" for number in (7, 8, 9, 10) for path in ("", "/activity", "/replies", "/likes", "/shares", "/proposal")]
    paths += ["/users/amina/outbox", "/users/nobody/outbox", "/users/amina/outbox?page=true", "/activities/1"]
    paths += ["/users/amina/collections/featured", "/users/amina/followers_synchronization"]
    answers = [await seen(await site.get(f"{BASE}{path}")) for path in paths]
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)
    assert (await site.get(f"{BASE}/posts/7", by=bo, broken=True)).status_code == 401
    assert (await site.get(f"{BASE}/posts/7", by=eve)).status_code == 200
    assert (await site.get(f"{BASE}/posts/8", by=bo)).status_code == 200
    assert (await site.get(f"{BASE}/posts/8", by=eve)).status_code == 404
    assert (await site.get(f"{BASE}/posts/9", by=eve)).status_code == 410
    assert (await site.get(f"{BASE}/users/amina/outbox", by=eve)).status_code == 200


async def test_a_blocked_host_is_refused_whatever_it_asks(site: Site, house: House) -> None:
    amina, bo = await house.person("amina"), await stranger(house, "bo")
    await write(house, amina, 7)
    await write(house, amina, 8, bo.uri)
    await house.write(peers.set_level, house.instance, "theirs.example", "blocked", "spies")
    await house.instance.trust.refresh(house.instance.database)
    answers = [await seen(await site.get(f"{BASE}/posts/{number}", by=bo)) for number in (7, 8, 9)]
    assert [answer[0] for answer in answers] == [403, 403, 403]
    assert answers[0] == answers[1] == answers[2]
    assert (await site.get(f"{BASE}/users/amina/outbox", by=bo)).status_code == 403


async def test_a_locked_instance_says_later_to_who_may_read(site: Site, house: House) -> None:
    amina, bo = await house.person("amina"), await stranger(house, "bo")
    await write(house, amina, 7, bo.uri)
    await write(house, amina, 8)
    house.instance.vault.lock()
    answer = await site.get(f"{BASE}/posts/7", by=bo)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "300"
    assert (await site.get(f"{BASE}/posts/8")).status_code == 200
    assert (await site.get(f"{BASE}/posts/7")).status_code == 404


async def test_what_was_public_is_gone_with_a_tombstone(site: Site, house: House) -> None:
    amina = await house.person("amina")
    post = await write(house, amina, 7)
    await house.write(posts.remove, house.instance, post)
    answer = await site.get(f"{BASE}/posts/7")
    assert answer.status_code == 410
    document = json.loads(await answer.get_data())
    assert (document["type"], document["formerType"], document["id"]) == ("Tombstone", "Note", f"{BASE}/posts/7")
    assert document["deleted"].startswith("2026-03-01T12:00:00")


async def test_somebody_elses_post_is_not_served_as_ours(site: Site, house: House) -> None:
    bo = await stranger(house, "bo")
    note = Note(Iri("https://theirs.example/notes/1"), bo.uri, "x", to=(PUBLIC,), published=house.clock.now())
    stored = await house.write(posts.store, house.instance, bo, note, local=False)
    assert (await site.get(f"{BASE}/posts/{stored.id}")).status_code == 404


# --- collections


async def test_the_outbox_shows_what_is_public_newest_first_and_every_item_once(site: Site, house: House) -> None:
    amina, bo = await house.person("amina"), await stranger(house, "bo")
    for number in range(1, 2 * PAGE + 6):
        await write(house, amina, number)
    await write(house, amina, 500, amina.followers)
    await write(house, amina, 501, bo.uri)
    await write(house, amina, 502, amina.followers, cc=(PUBLIC,))
    target = await house.read(posts.by_id, 1)
    boost = await house.write(posts.boost, house.instance, amina, Iri(f"{BASE}/activities/600"), target, to=(PUBLIC,), cc=(amina.followers,), local=True)
    first = json.loads(await (await site.get(f"{BASE}/users/amina/outbox")).get_data())
    assert (first["type"], first["id"], first["totalItems"]) == ("OrderedCollection", f"{BASE}/users/amina/outbox", 2 * PAGE + 6)
    assert "orderedItems" not in first
    items, url, pages = [], first["first"], 0
    while url:
        page = json.loads(await (await site.get(url)).get_data())
        assert page["type"] == "OrderedCollectionPage"
        assert page["partOf"] == first["id"]
        assert page["id"] == url
        items += page["orderedItems"]
        url, pages = page.get("next"), pages + 1
    assert pages == 3
    assert len({item["id"] for item in items}) == len(items) == 2 * PAGE + 6
    created = [int(item["object"]["id"].rpartition("/")[2]) for item in items if item["type"] == "Create"]
    assert created == sorted(created, reverse=True)
    announced = [item for item in items if item["type"] == "Announce"]
    assert [(item["id"], item["object"]) for item in announced] == [(boost.uri, f"{BASE}/posts/1")]
    document = json.loads(await (await site.get(boost.uri)).get_data())
    assert (document["type"], document["object"], document["actor"]) == ("Announce", f"{BASE}/posts/1", amina.uri)
    assert (await site.get(f"{BASE}/posts/{boost.id}")).status_code == 404


@pytest.mark.parametrize("rubbish", ["x", "-1", "1.5", "9" * 30, "%00", "1e3", "%D9%A3"])
async def test_a_rubbish_page_is_a_400(site: Site, house: House, rubbish: str) -> None:
    await house.person("amina")
    assert (await site.get(f"{BASE}/users/amina/outbox?page=true&max_id={rubbish}")).status_code == 400


async def test_outboxes_of_nobody_the_suspended_and_the_gone(site: Site, house: House) -> None:
    amina, bilal = await house.person("amina"), await house.person("bilal")
    await house.write(local.suspend, house.instance, amina)
    await house.write(local.delete, house.instance, bilal)
    assert (await site.get(f"{BASE}/users/nobody/outbox")).status_code == 404
    assert (await site.get(f"{BASE}/users/amina/outbox")).status_code == 404
    assert (await site.get(f"{BASE}/users/bilal/outbox")).status_code == 410
    assert (await house.read(known.by_name, "bilal")).state == "gone"


async def test_the_outbox_of_the_instance_is_there_and_empty(site: Site) -> None:
    document = json.loads(await (await site.get(f"{BASE}/actor/outbox")).get_data())
    assert (document["id"], document["totalItems"], document["orderedItems"]) == (f"{BASE}/actor/outbox", 0, [])
