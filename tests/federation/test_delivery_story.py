"""What if the other server is slow, full, broken, moved or gone? Tried again where that helps, given up where it does not, and nobody else waits."""

import pytest

from tests.fakepeer import FakeActor, FakePeer
from tests.wire import Reply
from tests.world import Person, World


async def followed(world: World, peer: FakePeer, name: str = "p1") -> tuple[Person, FakeActor]:
    """A writer, and a follower on the fake peer."""
    amina = await world.person("amina@a") if "a" not in world.sites else Person(world, world.sites["a"], await world.sites["a"].actor("amina"))
    actor = peer.actor(name)
    await actor.send(actor.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    return amina, actor


async def deliveries(amina: Person) -> list[tuple[str, int]]:
    rows = await amina.site.rows(
        "select delivery.state, delivery.attempts from delivery join outgoing on outgoing.id = delivery.outgoing_id "
        "where outgoing.kind = 'Create' order by delivery.id"
    )
    return [(row["state"], row["attempts"]) for row in rows]


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_trouble_is_tried_again_and_delivered_once(world: World, peer: FakePeer, status: int) -> None:
    amina, _ = await followed(world, peer)
    peer.replies("/inbox", Reply(status), Reply(status))
    post = await amina.post("hello")
    await world.settle()
    assert [state for state, _ in await deliveries(amina)] == ["waiting"]
    for _ in range(4):
        await world.later(hours=2)
    assert [activity["object"]["id"] for activity in peer.activities("Create")] == [post.uri]
    assert await deliveries(amina) == [("sent", 3)]
    # Each try had a date of its own, and the same bytes
    tries = [heard for heard in peer.asked("/inbox", "POST") if heard.activity["type"] == "Create"]
    assert len({heard.asked.header("date") for heard in tries}) == 3
    assert len({heard.asked.body for heard in tries}) == 1
    assert {heard.signature for heard in tries} == {"valid"}


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_refusal_for_good_is_not_tried_again_and_is_listed(world: World, peer: FakePeer, status: int) -> None:
    amina, _ = await followed(world, peer)
    peer.always("/inbox", Reply(status))
    await amina.post("hello")
    await world.settle()
    await world.later(days=2)
    assert await deliveries(amina) == [("dead", 1)]
    [row] = await amina.site.rows("select error from delivery where state = 'dead'")
    assert str(status) in row["error"]


async def test_a_shared_inbox_that_is_gone_is_replaced_by_the_followers_own(world: World, peer: FakePeer) -> None:
    amina, p1 = await followed(world, peer)
    peer.always("/inbox", Reply(410))
    post = await amina.post("hello")
    await world.settle()
    assert [activity["object"]["id"] for activity in peer.activities("Create", "/users/p1/inbox")] == [post.uri]
    # One 410 is no goodbye: the follower stays
    assert await amina.followers() == [p1.id]


async def test_a_follower_whose_inbox_is_gone_again_and_again_is_let_go(world: World, peer: FakePeer) -> None:
    amina, p1 = await followed(world, peer)
    for path in ("/inbox", "/users/p1/inbox"):
        peer.always(path, Reply(410))
    for number in range(6):
        await amina.post(f"number {number}")
        await world.settle()
    assert await amina.followers() == []
    assert p1.id


async def test_a_server_that_asks_for_patience_gets_it(world: World, peer: FakePeer) -> None:
    amina, _ = await followed(world, peer)
    peer.replies("/inbox", Reply(429, headers=(("Retry-After", "7200"),)))
    await amina.post("hello")
    await world.settle()
    await world.later(hours=1, minutes=50)
    assert peer.activities("Create") == []
    await world.later(minutes=30)
    assert len(peer.activities("Create")) == 1


async def test_a_server_that_is_gone_for_a_month_ends_as_a_dead_letter(world: World, peer: FakePeer) -> None:
    amina, _ = await followed(world, peer)
    peer.always("/inbox", Reply(drop=True))
    await amina.post("hello")
    await world.settle()
    for _ in range(40):
        await world.later(days=1)
    [(state, attempts)] = await deliveries(amina)
    assert state == "dead"
    assert attempts > 5
    # Its body is gone with it; host, time and error are kept
    [row] = await amina.site.rows("select body from outgoing where kind = 'Create'")
    assert row["body"] is None


async def test_a_server_that_hangs_holds_up_nobody_else(world: World, peer: FakePeer) -> None:
    # Given a follower on a server that never answers, and one on a healthy one
    amina, _ = await followed(world, peer, "slow")
    healthy = await world.peer()
    await followed(world, healthy, "quick")
    peer.always("/inbox", Reply(hang=True))
    # When three posts leave
    posts = [await amina.post(f"number {number}") for number in range(3)]

    # Then the healthy one has them all while the other still hangs
    async def arrived() -> bool:
        return len(healthy.activities("Create")) == 3

    await world.until(arrived, limit_s=5)
    assert [activity["object"]["id"] for activity in healthy.activities("Create")] == [post.uri for post in posts]
    assert peer.activities("Create") == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_of_a_delivery_is_never_followed_to_another_host(world: World, peer: FakePeer, status: int) -> None:
    amina, _ = await followed(world, peer)
    elsewhere = await world.peer()
    peer.always("/inbox", Reply(status, headers=(("Location", f"{elsewhere.base}/inbox"),)))
    await amina.post("hello")
    await world.settle()
    await world.later(hours=2)
    assert elsewhere.log == []


async def test_a_server_that_lies_about_its_size_costs_little(world: World, peer: FakePeer) -> None:
    amina, _ = await followed(world, peer)
    peer.always("/inbox", Reply(202, body=b"x" * 5_000_000))
    await amina.post("hello")
    await world.settle()
    assert [state for state, _ in await deliveries(amina)] in (["sent"], ["waiting"])


async def test_deliveries_of_one_post_keep_their_order(world: World, peer: FakePeer) -> None:
    amina, _ = await followed(world, peer)
    made = await amina.listing("offer", "Two hours of advice", "On small stations", categories=["Connectivity"])
    for number in range(4):
        world.clock.move(minutes=1)
        made = await amina.change(made, text=f"version {number}")
    await world.settle()
    heard = [
        (activity["type"], activity["object"].get("updated") or "") for activity in peer.activities(path="/inbox") if activity["type"] in {"Create", "Update"}
    ]
    assert heard[0][0] == "Create"
    assert [updated for _, updated in heard] == sorted(updated for _, updated in heard)
    last = peer.activities("Update")[-1]
    assert "version 3" in last["object"]["content"]
