"""Rows G1-G13: who follows whom, and who wants to hear nothing of whom; between our server and a strange one. One world for all."""

from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio

from fedmatch import people
from fedmatch.board import social
from tests.fakepeer import AS2, PUBLIC, FakeActor, FakePeer
from tests.world import Person, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lea(world: World, amina: Person) -> Person:
    """Somebody who looks at every request."""
    return await world.person("lea@a", locked=True)


async def send(world: World, actor: FakeActor, activity: dict[str, Any], to: Person) -> int:
    answer = await actor.send(activity, to.actor.inbox)
    await world.settle()
    return answer.status


async def follow(world: World, actor: FakeActor, whom: Person) -> dict[str, Any]:
    """They follow one of ours."""
    asked = actor.follow(whom.uri)
    assert await send(world, actor, asked, whom) == 202
    return asked


async def befriend(world: World, peer: FakePeer, who: Person, actor: FakeActor) -> dict[str, Any]:
    """One of ours follows them, and they say yes; the Follow as it came."""
    await who.follow(actor.handle)
    await world.settle()
    asked = peer.activities("Follow")[-1]
    assert await send(world, actor, actor.activity("Accept", asked), who) == 202
    assert await who.following(actor.handle) == "accepted"
    return asked


async def test_g1_a_follow_is_accepted_with_itself_inside(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    asked = await follow(world, p1, amina)
    [accept] = peer.activities("Accept")
    assert {name: accept["object"][name] for name in ("id", "type", "actor", "object")} == {
        "id": asked["id"], "type": "Follow", "actor": p1.id, "object": amina.uri,
    }  # fmt: skip
    assert {heard.signature for heard in peer.log if heard.asked.method == "POST"} == {"valid"}
    assert p1.id in await amina.followers()


@pytest.mark.parametrize("accept", [True, False])
async def test_g2_a_locked_person_answers_later(world: World, lea: Person, peer: FakePeer, accept: bool) -> None:
    p1 = peer.actor("p1")
    await follow(world, p1, lea)
    assert peer.activities() == []
    assert p1.id not in await lea.followers()
    await lea.decide(p1.id, accept=accept)
    await world.settle()
    assert [activity["type"] for activity in peer.activities()] == ["Accept" if accept else "Reject"]
    assert (p1.id in await lea.followers()) == accept


async def test_g3_the_same_follow_again_is_answered_again(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    first = await follow(world, p1, amina)
    world.clock.move(seconds=2)  # a byte for byte replay is no new request
    await send(world, p1, first, amina)
    second = await follow(world, p1, amina)
    assert [accept["object"]["id"] for accept in peer.activities("Accept")] == [first["id"], first["id"], second["id"]]
    assert (await amina.followers()).count(p1.id) == 1
    [row] = await amina.site.rows("select follow.uri from follow join actor on actor.id = follow.follower_id where actor.uri = :uri", uri=p1.id)
    assert row["uri"] == second["id"]


async def test_g4_a_follow_of_nobody_does_nothing(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    nobody = f"{amina.site.base}/users/nobody"
    for inbox in (f"{amina.site.base}/inbox", f"{nobody}/inbox"):
        answer = await p1.send(p1.follow(nobody), inbox)
        await world.settle()
        assert answer.status in (202, 404)
    assert peer.activities() == []


async def test_g5_whom_somebody_blocks_is_refused(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    await follow(world, p1, amina)
    who = await people.find(amina.site.instance, p1.handle)
    # When she blocks him, the follow ends, and nothing tells him why
    await social.block(amina.site.instance, amina.actor, who)
    await world.settle()
    assert [activity["type"] for activity in peer.activities()] == ["Accept", "Reject"]
    assert p1.id not in await amina.followers()
    # And asking again does not help
    again = await follow(world, p1, amina)
    assert peer.activities()[-1]["type"] == "Reject"
    assert peer.activities()[-1]["object"]["id"] == again["id"]
    assert p1.id not in await amina.followers()
    # Until she takes it back
    await social.block(amina.site.instance, amina.actor, who, undo=True)
    await follow(world, p1, amina)
    assert p1.id in await amina.followers()


@pytest.mark.parametrize("form", ["embedded", "bare id", "unknown id", "without id"])
async def test_g6_an_unfollow_is_understood_in_every_form(world: World, amina: Person, peer: FakePeer, form: str) -> None:
    p1 = peer.actor("p1")
    asked = await follow(world, p1, amina)
    plain = {"type": "Follow", "actor": p1.id, "object": amina.uri}
    inner = {"embedded": asked, "bare id": asked["id"], "unknown id": plain | {"id": f"{peer.base}/activities/unknown"}, "without id": plain}[form]
    await send(world, p1, p1.activity("Undo", inner), amina)
    assert p1.id not in await amina.followers()
    # And the next wish is heard
    await follow(world, p1, amina)
    assert p1.id in await amina.followers()


@pytest.mark.parametrize("form", ["embedded", "bare id"])
async def test_g7_an_unfollow_that_comes_first_wins(world: World, amina: Person, peer: FakePeer, form: str) -> None:
    p1 = peer.actor("p1")
    asked = p1.follow(amina.uri)
    await send(world, p1, p1.activity("Undo", asked if form == "embedded" else asked["id"]), amina)
    await send(world, p1, asked, amina)
    assert p1.id not in await amina.followers()
    assert peer.activities("Accept") == []
    # A new wish has a new id
    await follow(world, p1, amina)
    assert p1.id in await amina.followers()


@pytest.mark.parametrize("form", ["bare id", "embedded", "list"])
async def test_g8_an_accept_is_understood_in_every_form(world: World, amina: Person, peer: FakePeer, form: str) -> None:
    p1 = peer.actor("p1")
    await amina.follow(p1.handle)
    await world.settle()
    [asked] = peer.activities("Follow")
    await send(world, p1, p1.activity("Accept", {"bare id": asked["id"], "embedded": asked, "list": [asked]}[form]), amina)
    assert await amina.following(p1.handle) == "accepted"


@pytest.mark.parametrize("how", ["Reject", "Undo of the Accept"])
async def test_g9_an_accept_can_be_taken_back(world: World, amina: Person, peer: FakePeer, how: str) -> None:
    p1 = peer.actor("p1")
    asked = await befriend(world, peer, amina, p1)
    back = p1.activity("Reject", asked) if how == "Reject" else p1.activity("Undo", p1.activity("Accept", asked))
    await send(world, p1, back, amina)
    assert await amina.following(p1.handle) == "rejected"


async def test_g10_a_block_ends_both_follows_and_hides(world: World, amina: Person, peer: FakePeer) -> None:
    # Given two who follow each other, and a post of his that she reads
    p1 = peer.actor("p1")
    await befriend(world, peer, amina, p1)
    await follow(world, p1, amina)
    await send(world, p1, p1.create(p1.note("<p>seen before</p>")), amina)
    assert "seen before" in await amina.reads()
    # When he blocks her
    block = p1.activity("Block", amina.uri)
    await send(world, p1, block, amina)
    # Then nobody follows anybody, she reads nothing of him, and nothing of hers goes there, even if she names him
    assert p1.id not in await amina.followers()
    assert await amina.following(p1.handle) == "rejected"
    assert "seen before" not in await amina.reads()
    peer.log.clear()
    await amina.post(f"hello @{p1.handle}")
    await world.settle()
    assert peer.activities() == []
    # And when he takes it back, the follows do not come back by themselves
    await send(world, p1, p1.activity("Undo", block), amina)
    assert "seen before" in await amina.reads()
    assert p1.id not in await amina.followers()


async def test_g11_an_unfollow_carries_the_follow_and_the_next_is_new(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    asked = await befriend(world, peer, amina, p1)
    assert await social.unfollow(amina.site.instance, amina.actor, await people.find(amina.site.instance, p1.handle))
    await world.settle()
    [undo] = peer.activities("Undo")
    assert {name: undo["object"][name] for name in ("id", "type", "actor", "object")} == {
        "id": asked["id"], "type": "Follow", "actor": amina.uri, "object": p1.id,
    }  # fmt: skip
    await amina.follow(p1.handle)
    await world.settle()
    assert len({one["id"] for one in peer.activities("Follow")}) == 2


def digest(*uris: str) -> str:
    total = 0
    for uri in uris:
        total ^= int(sha256(uri.encode()).hexdigest(), 16)
    return f"{total:064x}"


def serve_followers(peer: FakePeer, actor: FakeActor, *uris: str) -> str:
    """The list of followers that a server shows to one other server (FEP-8fcf); its address."""
    path = f"/users/{actor.name}/followers_synchronization"
    peer.documents[path] = {"@context": AS2, "id": f"{peer.base}{path}", "type": "OrderedCollection", "orderedItems": list(uris)}
    return f"{peer.base}{path}"


def beside(actor: FakeActor, url: str, digest: str) -> tuple[tuple[str, str], ...]:
    return (("Collection-Synchronization", f'collectionId="{actor.followers}", url="{url}", digest="{digest}"'),)


@pytest.mark.parametrize("case", ["they mean it", "another list", "another host", "not signed"])
async def test_g12_followers_end_only_with_the_list_that_was_announced(world: World, amina: Person, lea: Person, peer: FakePeer, case: str) -> None:
    # Given two of ours who follow somebody, who believes to have only one of them
    p1 = peer.actor("p1")
    await befriend(world, peer, amina, p1)
    await befriend(world, peer, lea, p1)
    shown = (amina.uri, f"{amina.site.base}/users/somebody") if case == "another list" else (amina.uri,)
    url = serve_followers(peer, p1, *shown)
    if case == "another host":
        url = url.replace("localhost", "127.0.0.1")
    # When their server says so beside a post for followers
    post = p1.create(p1.note("<p>for followers</p>", to=[p1.followers]))
    headers = beside(p1, url, digest(amina.uri))
    answer = await p1.send(post, amina.actor.inbox, **({"unsigned": headers} if case == "not signed" else {"more": headers}))
    assert answer.status == 202
    await world.settle()
    # Then who is not on its list follows no more; but only if that is the very list it announced, on its own host, and the header was signed
    assert await amina.following(p1.handle) == "accepted"
    assert await lea.following(p1.handle) == ("rejected" if case == "they mean it" else "accepted")
    asked = peer.asked("/users/p1/followers_synchronization")
    assert [heard.signature for heard in asked] == (["valid"] if case in ("they mean it", "another list") else [])


async def test_g12_who_waits_is_accepted_and_who_never_followed_says_so(world: World, amina: Person, lea: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    await amina.follow(p1.handle)
    await world.settle()
    url = serve_followers(peer, p1, amina.uri, lea.uri)
    post = p1.create(p1.note("<p>for amina</p>", to=[p1.followers, amina.uri]))
    assert (await p1.send(post, amina.actor.inbox, more=beside(p1, url, digest(amina.uri, lea.uri)))).status == 202
    await world.settle()
    assert await amina.following(p1.handle) == "accepted"
    [undo] = peer.activities("Undo")
    assert (undo["actor"], undo["object"]["actor"], undo["object"]["object"]) == (lea.uri, lea.uri, p1.id)


async def test_g12_what_we_send_to_followers_says_who_they_are(world: World, amina: Person, peer: FakePeer) -> None:
    # Given two followers on one server
    p1, p2 = peer.actor("p1"), peer.actor("p2")
    for one in (p1, p2):
        await follow(world, one, amina)
    peer.log.clear()
    # When something leaves for followers, and something for everybody
    await amina.post("for followers", "followers")
    await amina.post("for everybody")
    await world.settle()
    # Then only the first has the header, signed, with the digest of these two
    heard = {one.activity["object"]["source"]["content"]: one for one in peer.log if one.asked.method == "POST"}
    assert heard["for everybody"].asked.header("collection-synchronization") == ""
    private = heard["for followers"]
    url = f"{amina.uri}/followers_synchronization"
    expected = f'collectionId="{amina.uri}/followers", url="{url}", digest="{digest(p1.id, p2.id)}"'
    assert private.asked.header("collection-synchronization") == expected
    assert private.signature == "valid"
    assert "collection-synchronization" in private.asked.header("signature")
    # And the address shows each server its own people, and strangers nothing
    assert sorted((await p1.get(url)).json["orderedItems"]) == sorted((p1.id, p2.id))
    other = await world.peer()
    assert (await other.actor("eve").get(url)).json["orderedItems"] == []
    assert (await amina.site.get(url)).status == 401


async def test_g13_nobody_follows_the_instance(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    answer = await p1.send(p1.follow(f"{amina.site.base}/actor"), f"{amina.site.base}/actor/inbox")
    await world.settle()
    assert answer.status == 202
    assert peer.activities("Accept") == []
    assert await amina.site.rows("select follow.id from follow join actor on actor.id = follow.followed_id where actor.kind = 'Application'") == []


@pytest.mark.parametrize("kind", ["Service", "Group"])
async def test_what_is_no_person_is_followed_like_one(world: World, amina: Person, peer: FakePeer, kind: str) -> None:
    from actors import local

    # Given a Service or a Group of ours, and one of theirs
    name = f"{kind.lower()}_{peer.port}"
    ours = Person(world, amina.site, await local.create(amina.site.instance, name, kind))  # type: ignore[arg-type]  # both are kinds of actors
    theirs = peer.actor("it", kind)
    # Then ours says what it is, and both can be followed
    assert (await amina.site.get(f"/users/{name}")).json["type"] == kind
    await follow(world, peer.actor("p1"), ours)
    assert [accept["actor"] for accept in peer.activities("Accept")] == [ours.uri]
    await befriend(world, peer, amina, theirs)
    await send(world, theirs, theirs.create(theirs.note(f"<p>from a {kind}</p>", to=[PUBLIC])), amina)
    assert f"from a {kind}" in await amina.reads()
