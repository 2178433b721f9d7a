"""Somebody follows somebody: asked, accepted, refused, taken back; between two instances and with a server that is not ours."""

import pytest

from tests.fakepeer import FakePeer
from tests.world import World


async def test_a_follow_of_an_open_person_is_accepted_at_once(world: World) -> None:
    # Given two people on two instances
    amina, ben = await world.person("amina@a"), await world.person("ben@b")
    # When one follows the other
    state = await amina.follow(f"@{ben.handle}")
    await world.settle()
    # Then it was asked for, and both sides know that it was granted
    assert state == "requested"
    assert await amina.following(ben.handle) == "accepted"
    assert await ben.followers() == [amina.uri]
    assert await amina.follow(ben.handle) == "accepted"


@pytest.mark.parametrize("accept", [True, False])
async def test_a_locked_person_decides(world: World, accept: bool) -> None:
    # Given a person who looks at every request
    amina, ben = await world.person("amina@a"), await world.person("ben@b", locked=True)
    # When one asks
    await amina.follow(ben.handle)
    await world.settle()
    # Then nothing is granted before the answer
    assert (await amina.following(ben.handle), await ben.followers()) == ("requested", [])
    # And the answer arrives
    await ben.decide(amina.uri, accept=accept)
    await world.settle()
    assert await amina.following(ben.handle) == ("accepted" if accept else "rejected")
    assert await ben.followers() == ([amina.uri] if accept else [])


async def test_a_follow_is_taken_back_and_asked_again_with_a_new_id(world: World, peer: FakePeer) -> None:
    # Given somebody who follows a person on another server
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await amina.follow(p1.handle)
    await world.settle()
    [asked] = peer.activities("Follow")
    await p1.send(p1.activity("Accept", asked), amina.actor.inbox)
    await world.settle()
    assert await amina.following(p1.handle) == "accepted"
    # When they take it back
    await amina.unfollow(p1.handle)
    await world.settle()
    # Then the other server gets an Undo with the whole Follow in it
    [undo] = peer.activities("Undo")
    assert undo["object"]["id"] == asked["id"]
    assert (undo["object"]["type"], undo["object"]["actor"], undo["object"]["object"]) == ("Follow", amina.uri, p1.id)
    assert await amina.following(p1.handle) == "undone"
    # And a new wish has a new id
    await amina.follow(p1.handle)
    await world.settle()
    assert len({follow["id"] for follow in peer.activities("Follow")}) == 2


@pytest.mark.parametrize("form", ["embedded", "bare id", "list"])
async def test_an_accept_is_understood_in_every_form(world: World, peer: FakePeer, form: str) -> None:
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await amina.follow(p1.handle)
    await world.settle()
    [asked] = peer.activities("Follow")
    await p1.send(p1.activity("Accept", {"embedded": asked, "bare id": asked["id"], "list": [asked]}[form]), amina.actor.inbox)
    await world.settle()
    assert await amina.following(p1.handle) == "accepted"


async def test_an_accept_by_somebody_else_changes_nothing(world: World, peer: FakePeer) -> None:
    amina, p1, p2 = await world.person("amina@a"), peer.actor("p1"), peer.actor("p2")
    await amina.follow(p1.handle)
    await world.settle()
    [asked] = peer.activities("Follow")
    answer = await p2.send(p2.activity("Accept", asked), amina.actor.inbox)
    await world.settle()
    assert answer.status < 500
    assert await amina.following(p1.handle) == "requested"


async def test_a_reject_after_an_accept_ends_the_follow(world: World, peer: FakePeer) -> None:
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await amina.follow(p1.handle)
    await world.settle()
    [asked] = peer.activities("Follow")
    await p1.send(p1.activity("Accept", asked), amina.actor.inbox)
    await p1.send(p1.activity("Reject", asked), amina.actor.inbox)
    await world.settle()
    assert await amina.following(p1.handle) == "rejected"


async def test_a_follow_from_elsewhere_is_answered_with_the_whole_follow(world: World, peer: FakePeer) -> None:
    # Given a person of another server
    ben, p1 = await world.person("ben@b"), peer.actor("p1")
    follow = p1.follow(ben.uri)
    # When it follows ours
    answer = await p1.send(follow, ben.actor.inbox)
    await world.settle()
    # Then it is accepted, with what it asked for embedded, in a request whose signature holds
    assert answer.status == 202
    [accept] = peer.activities("Accept")
    assert accept["actor"] == ben.uri
    embedded = accept["object"]
    assert (embedded["id"], embedded["type"], embedded["actor"], embedded["object"]) == (follow["id"], "Follow", p1.id, ben.uri)
    assert await ben.followers() == [p1.id]
    # And asking again with a new id gets a second answer, not a second follower
    again = p1.follow(ben.uri)
    await p1.send(again, ben.actor.inbox)
    await world.settle()
    assert [accept["object"]["id"] for accept in peer.activities("Accept")] == [follow["id"], again["id"]]
    assert await ben.followers() == [p1.id]


@pytest.mark.parametrize("form", ["embedded", "bare id", "unknown id"])
async def test_an_undo_of_a_follow_is_understood_in_every_form(world: World, peer: FakePeer, form: str) -> None:
    ben, p1 = await world.person("ben@b"), peer.actor("p1")
    follow = p1.follow(ben.uri)
    await p1.send(follow, ben.actor.inbox)
    await world.settle()
    undone = {"embedded": follow, "bare id": follow["id"], "unknown id": {**follow, "id": f"{peer.base}/activities/other"}}[form]
    await p1.send(p1.activity("Undo", undone), ben.actor.inbox)
    await world.settle()
    assert await ben.followers() == []


async def test_nobody_takes_back_the_follow_of_another(world: World, peer: FakePeer) -> None:
    ben, p1, p2 = await world.person("ben@b"), peer.actor("p1"), peer.actor("p2")
    follow = p1.follow(ben.uri)
    await p1.send(follow, ben.actor.inbox)
    await world.settle()
    await p2.send(p2.activity("Undo", follow), ben.actor.inbox)
    await world.settle()
    assert await ben.followers() == [p1.id]


async def test_an_undo_that_overtakes_its_follow_wins(world: World, peer: FakePeer) -> None:
    ben, p1 = await world.person("ben@b"), peer.actor("p1")
    follow = p1.follow(ben.uri)
    await p1.send(p1.activity("Undo", follow), ben.actor.inbox)
    await world.settle()
    await p1.send(follow, ben.actor.inbox)
    await world.settle()
    assert await ben.followers() == []


async def test_a_follow_of_nobody_is_no_trouble(world: World, peer: FakePeer) -> None:
    ben, p1 = await world.person("ben@b"), peer.actor("p1")
    answer = await p1.send(p1.follow(f"{ben.site.base}/users/nobody"), f"{ben.site.base}/inbox")
    await world.settle()
    assert answer.status in {202, 404}
    assert peer.activities("Accept") == []
