"""Signed-only mode (row A021): every document needs a signature; without one the answer is the same 401, whether anything is there or not."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from actors import peers
from outbox.posts import Post
from tests.attacks.envelope import envelope
from tests.fakepeer import AP, FakeActor, FakePeer
from tests.wire import Answer, http
from tests.world import Person, World, open_world


@dataclass
class Strict:
    """An instance that shows nothing to strangers."""

    world: World
    person: Person
    peer: FakePeer
    p1: FakeActor
    post: Post

    async def get(self, path: str, by: FakeActor | None = None, **spoil: object) -> Answer:
        url = path if path.startswith("http") else f"{self.person.site.base}{path}"
        headers, _ = envelope(by or self.p1, url, None, self.world.clock.now(), method="GET", **spoil)  # type: ignore[arg-type]  # what envelope takes
        return await http("GET", url, [*headers, ("Accept", AP)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Strict]:
    async with open_world(tmp_path_factory.mktemp("strict")) as world:
        await world.site("a", signed_only="true")
        person = await world.person("reader@a")
        peer = await world.peer()
        yield Strict(world, person, peer, peer.actor("p1"), await person.post("for those who sign"))


PLACES = ("/users/reader", "/users/nobody", "/@reader", "/users/reader/outbox", "/users/reader/outbox?page=true", "/users/reader/followers",
          "/users/nobody/following",
          "/users/reader/collections/featured",
          "POST", "POST/activity", "POST/replies", "POST/context", "/posts/1", "/posts/1/activity", "/activities/1")  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("place", PLACES)
async def test_without_a_signature_everything_is_one_401(strict: Strict, place: str) -> None:
    url = place.replace("POST", strict.post.uri)
    answer = await strict.get(url, scheme="none")
    assert answer.status == 401
    assert answer.body == (await strict.get("/users/nobody", scheme="none")).body
    assert "signature" in answer.header("vary").lower()
    assert "no-store" in answer.header("cache-control")


SPOILED: dict[str, dict[str, object]] = {
    "for another path": {"target": "/users/nobody"},
    "without host": {"names": ["(request-target)", "date"]},
    "without path": {"names": ["host", "date"]},
    "without time": {"names": ["(request-target)", "host"]},
    "for another host": {"change": {"host": "elsewhere.example"}, "drop": ["Host"], "add": [("Host", "OURS")]},
    "rubbish": {"header": "x"},
    "hmac": {"parameters": {"algorithm": "hmac-sha256"}},
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("spoiled", SPOILED)
async def test_a_signature_that_does_not_hold_is_none(strict: Strict, spoiled: str) -> None:
    spoil = dict(SPOILED[spoiled])
    if "add" in spoil:
        spoil["add"] = [("Host", strict.person.site.host)]
    assert (await strict.get(strict.post.uri, **spoil)).status == 401


@pytest.mark.asyncio(loop_scope="module")
async def test_it_opens_for_a_signature_with_the_query_or_without(strict: Strict) -> None:
    for path in (strict.post.uri, f"{strict.post.uri}?x=1", "/users/reader", "/users/reader/outbox?page=true"):
        assert (await strict.get(path)).status == 200
    # Signed for the path alone, as Misskey, Fedify and Pleroma do
    assert (await strict.get("/users/reader/outbox?page=true", target="/users/reader/outbox")).status == 200
    # But a signature for a query is none for another
    assert (await strict.get("/users/reader/outbox?page=true", target="/users/reader/outbox?page=false")).status == 401


@pytest.mark.asyncio(loop_scope="module")
async def test_the_instance_actor_and_discovery_stay_open(strict: Strict) -> None:
    for path in ("/actor", "/.well-known/nodeinfo", "/.well-known/host-meta", f"/.well-known/webfinger?resource=acct:{strict.person.handle}"):
        assert (await strict.get(path, scheme="none")).status == 200
    # and it never depends on who asks: two servers that both demand signatures would lock each other out
    assert (await strict.get("/actor", header="rubbish")).status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_a_blocked_host_is_refused_with_403(strict: Strict) -> None:
    blocked = await strict.world.peer()
    instance = strict.person.site.instance
    await instance.database.write(peers.set_level, instance, blocked.host, "blocked", "test")

    async def noticed() -> bool:
        return not instance.trust.verdict(blocked.host, "receive").allowed

    await strict.world.until(noticed, 5)
    for path in (strict.post.uri, "/users/reader", "/posts/1"):
        assert (await strict.get(path, blocked.actor("p1"))).status == 403
