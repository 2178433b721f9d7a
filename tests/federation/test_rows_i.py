"""Rows I1-I14 of protocol.md section 10: how we deliver. Against servers that check what they get as the real ones do."""

from dataclasses import dataclass
from typing import Any

import pytest

from actors import peers
from tests.fakepeer import AP, FakeActor, FakePeer
from tests.personalities import GoToSocial, Lemmy, Mastodon, Misskey, Personality
from tests.wire import Reply
from tests.world import Person, World

BIG = [Mastodon, GoToSocial, Misskey, Lemmy]


@dataclass
class Post:
    """A writer, and followers on one server."""

    world: World
    amina: Person
    peer: FakePeer
    followers: list[FakeActor]

    def creates(self, path: str | None = None) -> list[dict[str, Any]]:
        return self.peer.activities("Create", path)

    async def deliveries(self) -> list[tuple[str, int]]:
        rows = await self.amina.site.rows(
            "select delivery.state, delivery.attempts from delivery join outgoing on outgoing.id = delivery.outgoing_id "
            "where outgoing.kind in ('Create', 'Update', 'Delete') order by delivery.id"
        )
        return [(row["state"], row["attempts"]) for row in rows]


async def followed(world: World, peer: FakePeer, count: int = 3, *, shared: bool = True) -> Post:
    amina = await world.person("amina@a")
    followers = [peer.actor(f"f{number}", shared_inbox=shared) for number in range(count)]
    for follower in followers:
        assert (await follower.send(follower.follow(amina.uri), amina.actor.inbox)).status == 202
    await world.settle()
    return Post(world, amina, peer, followers)


@pytest.fixture(params=BIG, ids=lambda kind: kind.__name__)
async def judge(request: pytest.FixtureRequest, world: World) -> Personality:
    peer: Personality = await request.param(world.clock.now).start()
    world.peers.append(peer)
    return peer


async def test_i1_three_followers_behind_one_shared_inbox_are_one_post(world: World, judge: Personality) -> None:
    there = await followed(world, judge)
    post = await there.amina.post("once for all")
    await world.settle()
    assert [one["object"]["id"] for one in there.creates()] == [post.uri]
    assert len(there.creates("/inbox")) == 1
    assert judge.shown[post.uri].text


async def test_i2_without_a_shared_inbox_there_are_three(world: World, judge: Personality) -> None:
    there = await followed(world, judge, shared=False)
    await there.amina.post("once for each")
    await world.settle()
    assert sorted(heard.asked.path for heard in judge.log if heard.asked.method == "POST" and heard.activity["type"] == "Create") == [
        f"/users/f{number}/inbox" for number in range(3)
    ]


async def test_i3_after_trouble_it_is_tried_again_later_and_later(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 1)
    peer.replies("/inbox", Reply(500), Reply(500), Reply(500))
    await there.amina.post("hello")
    await world.settle()
    waits = []
    for _ in range(3):
        [row] = await there.amina.site.rows("select next_at from delivery where state = 'waiting'")
        waits.append(row["next_at"] - world.clock.ms())
        await world.later(seconds=row["next_at"] / 1000 - world.clock.ms() / 1000 + 1)
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]
    assert len(there.creates()) == 1
    assert (await there.deliveries())[-1][0] == "sent"


async def test_i4_an_inbox_that_is_gone_is_not_tried_again_and_lets_its_follower_go(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 2, shared=False)
    peer.always("/users/f0/inbox", Reply(410))
    for number in range(4):
        await there.amina.post(f"post {number}")
        await world.settle()
        await world.later(days=2)
    assert there.followers[0].id not in await there.amina.followers()
    assert there.followers[1].id in await there.amina.followers()
    tried = peer.asked("/users/f0/inbox", "POST")
    assert len({heard.asked.body for heard in tried if heard.activity["type"] == "Create"}) == len(
        [heard for heard in tried if heard.activity["type"] == "Create"]
    )


@pytest.mark.parametrize("status", [301, 308])
async def test_an_inbox_that_moved_for_good_is_looked_up_with_its_owner_and_nowhere_else(world: World, peer: FakePeer, status: int) -> None:
    there = await followed(world, peer, 1, shared=False)
    stranger = await world.peer()
    peer.always("/users/f0/inbox", Reply(status, headers=(("Location", f"{stranger.base}/inbox"),)))
    there.followers[0].overrides["inbox"] = f"{peer.base}/letters/f0"
    await there.amina.post("to the old place")
    await world.settle()
    assert (await there.deliveries())[-1][0] == "dead"
    await there.amina.post("to the new place")
    await world.settle()
    assert [one["object"]["content"] for one in there.creates("/letters/f0")] == ["<p>to the new place</p>"]
    assert stranger.log == []


async def test_i5_retry_after_is_waited_for(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 1)
    peer.replies("/inbox", Reply(429, headers=(("Retry-After", "7200"),)))
    await there.amina.post("hello")
    await world.settle()
    await world.later(minutes=119)
    assert there.creates() == []
    await world.later(minutes=30)
    assert len(there.creates()) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 413, 422, 501])
async def test_i6_a_refusal_for_good_is_not_tried_again(world: World, peer: FakePeer, status: int) -> None:
    there = await followed(world, peer, 1)
    peer.always("/inbox", Reply(status))
    await there.amina.post("hello")
    await world.settle()
    asked = len(peer.asked("/inbox", "POST"))
    await world.later(days=3)
    assert len(peer.asked("/inbox", "POST")) == asked
    assert (await there.deliveries())[-1][0] == "dead"


async def test_i7_a_server_that_hangs_holds_up_nobody(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 1)
    good = await world.peer()
    friend = good.actor("friend")
    assert (await friend.send(friend.follow(there.amina.uri), there.amina.actor.inbox)).status == 202
    await world.settle()
    peer.always("/inbox", Reply(hang=True))
    await there.amina.post("hello")

    async def arrived() -> bool:
        return len(good.activities("Create")) == 1

    await world.until(arrived, 5)
    # Its own time-out is the network's: ten seconds for everything.
    from actors.outbound import DEADLINE_S

    assert DEADLINE_S <= 30


async def test_i8_a_breaker_opens_one_probe_ends_it_and_their_word_revives(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 1)
    peer.always("/inbox", Reply(500))
    for number in range(6):
        await there.amina.post(f"post {number}")
        await world.settle()
    [host] = await there.amina.site.rows("select open_until, failures from host where name = :name", name=peer.host)
    assert host["failures"] >= 5
    assert host["open_until"] > world.clock.ms()
    asked = len(peer.asked("/inbox", "POST"))
    await there.amina.post("while it rests")
    await world.settle()
    assert len(peer.asked("/inbox", "POST")) == asked
    # It recovers, and says something: what waited is delivered without waiting for the end of the rest.
    peer.always("/inbox", None)
    world.clock.move(minutes=2)
    assert (await there.followers[0].send(there.followers[0].activity("Like", there.amina.uri), there.amina.actor.inbox)).status == 202
    await world.settle()
    [host] = await there.amina.site.rows("select open_until from host where name = :name", name=peer.host)
    assert host["open_until"] <= world.clock.ms()
    await world.later(hours=1)
    assert len({one["object"]["id"] for one in there.creates()}) == 7


async def test_i9_what_was_deleted_meanwhile_is_told_as_that_alone(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 1)
    peer.always("/inbox", Reply(503))
    request = await there.amina.listing("request", "A lawyer", "Who knows asylum law?", region="SY")
    request = await there.amina.change(request, text="Changed.")
    await there.amina.withdraw(request)
    await world.settle()
    peer.always("/inbox", None)
    heard = len(peer.log)
    await world.later(hours=2)
    kinds = [one.activity["type"] for one in peer.log[heard:] if one.asked.method == "POST"]
    assert kinds in (["Delete"], ["Create", "Update", "Delete"])


async def test_i10_a_restart_loses_nothing_and_repeats_nothing(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 1)
    peer.always("/inbox", Reply(503))
    sent = [(await there.amina.post(f"post {number}")).uri for number in range(5)]
    await world.settle()
    await there.amina.site.restart()
    peer.always("/inbox", None)
    await world.later(hours=2)
    assert sorted(one["object"]["id"] for one in there.creates()) == sorted(sent)


async def test_i11_every_delivery_has_the_headers_that_peers_insist_on(world: World, judge: Personality) -> None:
    there = await followed(world, judge, 1)
    await there.amina.post("hello")
    await there.amina.listing("offer", "I translate", "Arabic and English.")
    await world.settle()
    heard = [one for one in judge.log if one.asked.method == "POST"]
    assert len(heard) >= 3
    for one in heard:
        assert one.signature == "valid"
        assert one.asked.header("content-type") == AP
        assert one.asked.header("user-agent").startswith("fedmatch/")
        assert there.amina.site.base in one.asked.header("user-agent")
        assert one.asked.header("digest").startswith("SHA-256=")
        assert one.asked.header("content-length") == str(len(one.asked.body))
        assert one.asked.header("transfer-encoding") == ""
        assert one.asked.header("content-encoding") == ""
    assert judge.refused == []


async def test_i12_a_blocked_server_is_not_even_connected_to(world: World, peer: FakePeer) -> None:
    there = await followed(world, peer, 1)
    instance = there.amina.site.instance
    await instance.database.write(peers.set_level, instance, peer.host, "blocked", "test")

    async def noticed() -> bool:
        return not instance.trust.verdict(peer.host, "deliver").allowed

    await world.until(noticed, 5)
    asked = len(peer.log)
    await there.amina.post("hello")
    await there.amina.post(f"@{there.followers[0].handle} hello")
    await world.settle()
    assert len(peer.log) == asked


async def test_i13_nothing_is_longer_than_64_kib(world: World, judge: Personality) -> None:
    there = await followed(world, judge, 1)
    longest = await there.amina.post("\u062d" * 9_999)
    await world.settle()
    assert longest.uri in judge.shown
    assert max(len(one.asked.body) for one in judge.log if one.asked.method == "POST") <= 64 * 1024


async def test_i14_a_request_is_complete_without_any_extension(world: World, judge: Personality) -> None:
    there = await followed(world, judge, 1)
    made = await there.amina.listing(
        "request", "A lawyer", "Who knows asylum law?", categories=["LegalAid"], skills=["AsylumLaw"], speaks=["ar"], region="SY", urgency="days"
    )
    await world.settle()
    text = judge.shown[made.url].text.lower()
    for words in ("request", "a lawyer", "who knows asylum law?", "asylumlaw", "syria", "arabic"):
        assert words in text, words
