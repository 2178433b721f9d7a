"""Do follows come out right, in whatever order the messages come and whoever sends them? (protocol.md 4.3, 10 G)"""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from actors import follows, known, local, peers, said
from actors.follows import CannotFollow, NoFollow
from actors.known import Actor
from schemas.activities import Accept, Announce, Follow, Other, Reject, Undo
from schemas.events import FollowAccepted, Followed, FollowRejected
from schemas.objects import Reference
from schemas.reading import Iri
from schemas.states import IllegalMove
from schemas.storage import Database, Transaction
from tests import house
from tests.house import House


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> House:
    return await house.build(database, house.configure(tmp_path))


def asks(follower: Actor, followed: Actor, id: str | None = "https://theirs.example/f/1") -> Follow:
    return Follow(id=None if id is None else Iri(id), actor=follower.uri, object=followed.uri)


def says_undo(by: Actor, object: Follow | Other | Reference | Announce, id: str = "https://theirs.example/u/1") -> Undo:
    return Undo(id=Iri(id), actor=by.uri, object=object)


async def receive(home: House, follow: Follow, follower: Actor, followed: Actor) -> Accept | Reject | None:
    answer: Accept | Reject | None = await home.write(follows.received, home.instance, follow, follower, followed)
    return answer


async def state(home: House, follower: Actor, followed: Actor) -> str | None:
    edge = await home.read(follows.between, follower.id, followed.id)
    return None if edge is None else edge.state


# They follow ours.


async def test_an_open_actor_accepts_with_the_whole_follow_inside(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    answer = await receive(home, asks(bob, alice), bob, alice)
    assert isinstance(answer, Accept)
    assert (answer.actor, answer.object, answer.to) == (alice.uri, asks(bob, alice), (bob.uri,))
    assert answer.id is not None
    assert answer.id.startswith("https://ours.example/activities/")
    assert [bob] == await home.read(follows.followers, alice.id)
    edge = await home.read(follows.between, bob.id, alice.id)
    assert home.told == [Followed(edge.id, bob.id, alice.id, accepted=True)]


async def test_the_same_follow_again_and_a_new_id_are_accepted_again_without_a_second_follower(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    answers = [await receive(home, asks(bob, alice, f"https://theirs.example/f/{number}"), bob, alice) for number in (1, 1, 2)]
    assert all(isinstance(answer, Accept) for answer in answers)
    assert len({answer.id for answer in answers if answer}) == 3
    edge = await home.read(follows.between, bob.id, alice.id)
    assert edge.uri == "https://theirs.example/f/2", "the latest"
    assert len(home.told) == 1


async def test_a_locked_actor_decides_for_herself(home: House) -> None:
    lina, bob = await home.person("lina", locked=True), await home.stranger("bob")
    for _ in range(2):
        assert await receive(home, asks(bob, lina), bob, lina) is None
    assert await home.read(follows.followers, lina.id) == []
    assert await home.read(follows.followers, lina.id, state="requested") == [bob]
    assert [event.accepted for event in home.told if isinstance(event, Followed)] == [False]
    # She accepts; to say it again gives the same answer
    for _ in range(2):
        answer = await home.write(follows.decide, home.instance, lina, bob, True)
        assert (type(answer), answer.object.id, answer.to) == (Accept, "https://theirs.example/f/1", (bob.uri,))
    assert await home.read(follows.followers, lina.id) == [bob]
    # She takes it back
    answer = await home.write(follows.decide, home.instance, lina, bob, False)
    assert (type(answer), answer.object.actor) == (Reject, bob.uri)
    assert await home.read(follows.followers, lina.id) == []
    with pytest.raises(IllegalMove):
        await home.write(follows.decide, home.instance, lina, bob, True)
    # The refused Follow once more is refused again; a new one waits again
    assert isinstance(await receive(home, asks(bob, lina), bob, lina), Reject)
    assert await receive(home, asks(bob, lina, "https://theirs.example/f/9"), bob, lina) is None
    assert await state(home, bob, lina) == "requested"
    with pytest.raises(NoFollow):
        await home.write(follows.decide, home.instance, bob, lina, True)


async def test_who_unlocks_answers_the_repeated_request(home: House) -> None:
    lina, bob = await home.person("lina", locked=True), await home.stranger("bob")
    await receive(home, asks(bob, lina), bob, lina)
    assert isinstance(await receive(home, asks(bob, lina), bob, replace(lina, locked=False)), Accept)
    assert await state(home, bob, lina) == "accepted"


async def test_the_instance_actor_the_moved_and_the_suspended_are_not_followed(home: House) -> None:
    application, alice, bob = await local.ensure_application(home.instance), await home.person("alice"), await home.stranger("bob")
    assert isinstance(await receive(home, asks(bob, application), bob, application), Reject)
    assert isinstance(await receive(home, asks(bob, alice), bob, replace(alice, moved_to=Iri("https://new.example/users/alice"))), Reject)
    assert isinstance(await receive(home, asks(bob, alice), bob, replace(alice, state="suspended")), Reject)
    assert isinstance(await receive(home, asks(bob, alice), replace(bob, state="suspended"), alice), Reject)
    assert await receive(home, asks(bob, alice), bob, replace(alice, state="gone")) is None
    assert await state(home, bob, alice) is None
    assert home.told == []


async def test_a_follow_by_a_blocked_host_is_refused_and_by_a_limited_one_waits(home: House) -> None:
    alice, bob, carol = await home.person("alice"), await home.stranger("bob", "blocked.example"), await home.stranger("carol", "sub.limited.example")
    await home.write(peers.set_level, home.instance, "blocked.example", "blocked")
    await home.write(peers.set_level, home.instance, "limited.example", "limited")
    await home.instance.trust.refresh(home.instance.database)
    assert isinstance(await receive(home, asks(bob, alice, "https://blocked.example/f/1"), bob, alice), Reject)
    assert await receive(home, asks(carol, alice, "https://sub.limited.example/f/1"), carol, alice) is None
    assert await state(home, carol, alice) == "requested"


async def test_in_approve_mode_a_stranger_waits(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    home.instance.trust.mode = "approve"
    assert await receive(home, asks(bob, alice), bob, alice) is None
    assert await state(home, bob, alice) == "requested"


async def test_nobody_follows_for_somebody_else(home: House) -> None:
    alice, bob, mallory = await home.person("alice"), await home.stranger("bob"), await home.stranger("mallory", "evil.example")
    assert await receive(home, asks(bob, alice), mallory, alice) is None, "signed by mallory, in the name of bob"
    assert await receive(home, asks(mallory, alice, "https://theirs.example/f/1"), mallory, alice) is None, "with an id of another host"
    assert await receive(home, asks(mallory, alice, "https://ours.example/activities/1"), mallory, alice) is None
    assert await receive(home, asks(mallory, alice, "rubbish"), mallory, alice) is None
    assert await receive(home, asks(bob, mallory), bob, mallory) is None, "of somebody who does not live here"
    assert await receive(home, asks(alice, alice, None), alice, alice) is None
    assert home.told == []


async def test_one_id_for_two_follows_stays_with_the_first(home: House) -> None:
    alice, anna, bob = await home.person("alice"), await home.person("anna"), await home.stranger("bob")
    assert isinstance(await receive(home, asks(bob, alice), bob, alice), Accept)
    assert await receive(home, asks(bob, anna), bob, anna) is None
    # nor when there is a follow of its own
    assert isinstance(await receive(home, asks(bob, anna, "https://theirs.example/f/2"), bob, anna), Accept)
    assert await receive(home, asks(bob, anna), bob, anna) is None
    assert await state(home, bob, alice) == "accepted"


async def test_a_follow_without_id_works(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    for _ in range(2):
        answer = await receive(home, asks(bob, alice, None), bob, alice)
        assert isinstance(answer, Accept)
        assert isinstance(answer.object, Follow)
        assert answer.object.id is None
    await home.write(follows.undone, home.instance, bob, says_undo(bob, asks(bob, alice, None)))
    assert await state(home, bob, alice) == "undone"
    assert isinstance(await receive(home, asks(bob, alice, None), bob, alice), Accept | None)


@pytest.mark.parametrize("how", ["embedded", "bare id", "other with id", "its two actors", "another id"])
async def test_an_unfollow_is_understood_in_every_form(home: House, how: str) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    follow = asks(bob, alice)
    await receive(home, follow, bob, alice)
    inner: Follow | Other | Reference = {
        "embedded": follow,
        "bare id": Reference(Iri("https://theirs.example/f/1")),
        "other with id": Other(id=Iri("https://theirs.example/f/1"), actor=bob.uri, kind="Thing"),
        "its two actors": asks(bob, alice, None),
        "another id": asks(bob, alice, "https://theirs.example/f/unknown"),
    }[how]
    assert await home.write(follows.undone, home.instance, bob, says_undo(bob, inner))
    assert await home.read(follows.followers, alice.id) == []
    assert not await home.write(follows.undone, home.instance, bob, says_undo(bob, inner)), "again is nothing new"


async def test_nobody_unfollows_for_somebody_else(home: House) -> None:
    alice, bob, mallory = await home.person("alice"), await home.stranger("bob"), await home.stranger("mallory")
    await receive(home, asks(bob, alice), bob, alice)
    for inner in (asks(bob, alice), asks(mallory, alice), Reference(Iri("https://theirs.example/f/1"))):
        assert not await home.write(follows.undone, home.instance, mallory, says_undo(mallory, inner))
    assert await home.read(follows.followers, alice.id) == [bob]


async def test_an_undo_that_comes_first_wins(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    assert not await home.write(follows.undone, home.instance, bob, says_undo(bob, asks(bob, alice)))
    home.clock.move(hours=6)
    assert await receive(home, asks(bob, alice), bob, alice) is None
    assert await state(home, bob, alice) is None
    # A new Follow is a new wish
    assert isinstance(await receive(home, asks(bob, alice, "https://theirs.example/f/2"), bob, alice), Accept)
    # After a day it is forgotten
    home.clock.move(hours=25)
    assert await home.write(said.forget, home.instance) == 1
    assert await home.write(said.forget, home.instance) == 0


async def test_nobody_blocks_the_follow_of_another_before_it_comes(home: House) -> None:
    alice, bob, mallory, near = (
        await home.person("alice"),
        await home.stranger("bob"),
        await home.stranger("mallory", "evil.example"),
        await home.stranger("near"),
    )
    for by in (mallory, near):
        await home.write(follows.undone, home.instance, by, says_undo(by, Reference(Iri("https://theirs.example/f/1"))))
    assert isinstance(await receive(home, asks(bob, alice), bob, alice), Accept)


async def test_an_undo_of_a_boost_is_not_for_us(home: House) -> None:
    bob = await home.stranger("bob")
    boost = Announce(id=Iri("https://theirs.example/b/1"), actor=bob.uri, object=Iri("https://ours.example/posts/1"))
    assert not await home.write(follows.undone, home.instance, bob, says_undo(bob, boost))


async def test_follow_undo_and_a_late_repeat_converge_in_every_order(home: House) -> None:
    for number, order in enumerate(permutations(["follow", "undo", "follow"])):
        alice, bob = await home.person(f"alice{number}"), await home.stranger(f"bob{number}")
        follow = asks(bob, alice, f"https://theirs.example/f/{number}")
        for message in order:
            if message == "follow":
                await receive(home, follow, bob, alice)
            else:
                await home.write(follows.undone, home.instance, bob, says_undo(bob, follow))
        assert await home.read(follows.followers, alice.id) == [], order


# Ours follow them.


async def test_ours_ask_once_and_are_accepted(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    follow = await home.write(follows.request, home.instance, alice, bob)
    assert (follow.actor, follow.object, follow.to) == (alice.uri, bob.uri, (bob.uri,))
    assert await home.write(follows.request, home.instance, alice, bob) is None, "asked already"
    assert await state(home, alice, bob) == "requested"
    accept = Accept(id=Iri("https://theirs.example/a/1"), actor=bob.uri, object=follow)
    assert await home.write(follows.accepted, home.instance, bob, accept)
    assert not await home.write(follows.accepted, home.instance, bob, accept), "again is nothing new"
    assert await home.read(follows.following, alice.id) == [bob]
    edge = await home.read(follows.between, alice.id, bob.id)
    assert home.told == [FollowAccepted(edge.id, alice.id, bob.id)]
    assert await home.write(follows.request, home.instance, alice, bob) is None, "follows already"


@pytest.mark.parametrize("how", ["bare id", "other with id", "its two actors", "an id of their own"])
async def test_an_accept_is_understood_in_every_form(home: House, how: str) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    follow = await home.write(follows.request, home.instance, alice, bob)
    inner: Follow | Other | Reference = {
        "bare id": Reference(follow.id),
        "other with id": Other(id=follow.id, actor=alice.uri, kind="Thing"),
        "its two actors": replace(follow, id=None),
        "an id of their own": replace(follow, id=Iri("https://theirs.example/follows/7")),
    }[how]
    assert await home.write(follows.accepted, home.instance, bob, Accept(id=None, actor=bob.uri, object=inner))
    assert await state(home, alice, bob) == "accepted"


async def test_only_the_followed_answers_and_only_what_was_asked(home: House) -> None:
    alice, bob, mallory = await home.person("alice"), await home.stranger("bob"), await home.stranger("mallory")
    follow = await home.write(follows.request, home.instance, alice, bob)
    never = Follow(id=Iri("https://ours.example/activities/999999"), actor=alice.uri, object=mallory.uri)
    for inner in (follow, Reference(follow.id), replace(follow, object=mallory.uri), never, replace(never, id=None)):
        assert not await home.write(follows.accepted, home.instance, mallory, Accept(id=None, actor=mallory.uri, object=inner))
        assert not await home.write(follows.rejected, home.instance, mallory, Reject(id=None, actor=mallory.uri, object=inner))
    assert await state(home, alice, bob) == "requested"
    assert await state(home, alice, mallory) is None
    # Nor does one of theirs who follows ours get to accept himself
    lina = await home.person("lina", locked=True)
    asked = asks(bob, lina)
    await receive(home, asked, bob, lina)
    assert not await home.write(follows.accepted, home.instance, bob, Accept(id=None, actor=bob.uri, object=asked))
    assert await state(home, bob, lina) == "requested"
    assert FollowAccepted not in {type(event) for event in home.told}


async def test_a_reject_refuses_and_also_ends_what_was_accepted(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    for answered in (False, True):
        follow = await home.write(follows.request, home.instance, alice, bob)
        if answered:
            await home.write(follows.accepted, home.instance, bob, Accept(id=None, actor=bob.uri, object=follow))
        reject = Reject(id=None, actor=bob.uri, object=follow)
        assert await home.write(follows.rejected, home.instance, bob, reject)
        assert not await home.write(follows.rejected, home.instance, bob, reject)
        assert await state(home, alice, bob) == "rejected"
        assert not await home.write(follows.accepted, home.instance, bob, Accept(id=None, actor=bob.uri, object=follow)), "an end is an end"
    assert [type(event) for event in home.told] == [FollowRejected, FollowAccepted, FollowRejected]


async def test_ours_unfollow_with_the_whole_follow_and_ask_again_with_a_new_id(home: House) -> None:
    alice, bob = await home.person("alice"), await home.stranger("bob")
    first = await home.write(follows.request, home.instance, alice, bob)
    undo = await home.write(follows.cancel, home.instance, alice, bob)
    assert (undo.actor, undo.object, undo.to) == (alice.uri, first, (bob.uri,))
    assert await home.write(follows.cancel, home.instance, alice, bob) is None
    assert not await home.write(follows.accepted, home.instance, bob, Accept(id=None, actor=bob.uri, object=first)), "too late"
    second = await home.write(follows.request, home.instance, alice, bob)
    assert second.id not in (None, first.id)
    assert await home.write(follows.accepted, home.instance, bob, Accept(id=None, actor=bob.uri, object=Reference(second.id)))


async def test_who_cannot_be_followed(home: House) -> None:
    alice, bob, application = await home.person("alice"), await home.stranger("bob"), await local.ensure_application(home.instance)
    for target in (alice, application, replace(bob, state="gone"), replace(bob, moved_to=Iri("https://x.example/"))):
        with pytest.raises(CannotFollow):
            await home.write(follows.request, home.instance, alice, target)


async def test_two_who_live_here_need_no_messages(home: House) -> None:
    alice, anna, lina = await home.person("alice"), await home.person("anna"), await home.person("lina", locked=True)
    assert await home.write(follows.request, home.instance, alice, anna) is None
    assert await state(home, alice, anna) == "accepted"
    assert [type(event) for event in home.told] == [Followed, FollowAccepted]
    assert await home.write(follows.request, home.instance, alice, lina) is None
    assert await state(home, alice, lina) == "requested"
    await home.write(follows.decide, home.instance, lina, alice, True)
    assert isinstance(home.told[-1], FollowAccepted)
    await home.write(follows.decide, home.instance, lina, alice, False)
    assert isinstance(home.told[-1], FollowRejected)
    assert await home.write(follows.cancel, home.instance, alice, anna) is None
    assert await state(home, alice, anna) == "undone"


async def test_followers_are_read_in_pages_and_the_gone_are_not_among_them(home: House) -> None:
    alice = await home.person("alice")
    bobs = [await home.stranger(f"bob{number}") for number in range(4)]
    for number, bob in enumerate(bobs):
        await receive(home, asks(bob, alice, f"https://theirs.example/f/{number}"), bob, alice)
    await home.write(known.remove, home.instance, bobs[1])
    assert await home.read(follows.followers, alice.id, limit=2) == [bobs[3], bobs[2]]
    edge = await home.read(follows.between, bobs[2].id, alice.id)
    assert await home.read(follows.followers, alice.id, before=edge.id) == [bobs[0]]


async def test_a_follow_is_all_or_nothing(home: House) -> None:
    # Given a subscriber that fails after the follow was written
    alice, bob = await home.person("alice"), await home.stranger("bob")

    async def fail(tx: Transaction, event: object) -> None:
        raise RuntimeError("later")

    home.instance.subscribers = {Followed: [fail]}
    with pytest.raises(RuntimeError):
        await receive(home, asks(bob, alice), bob, alice)
    assert await state(home, bob, alice) is None
