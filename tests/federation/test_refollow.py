"""Somebody unfollows by mistake and follows again at once. Misskey has one id for both Follows; a copy of the first must not count as the second."""

import json
from dataclasses import dataclass

import pytest

from tests.fakepeer import FakeActor, FakePeer
from tests.signing import signed
from tests.wire import http
from tests.world import Person, World


@dataclass
class Misskey:
    """One of theirs, one of ours, and the one Follow there is between them."""

    world: World
    peer: FakePeer
    bo: FakeActor
    amina: Person

    @property
    def follow(self) -> dict[str, object]:
        return {"id": f"{self.peer.base}/follows/bo/amina", "type": "Follow", "actor": self.bo.id, "object": self.amina.uri}

    @property
    def undo(self) -> dict[str, object]:
        return {"id": f"{self.follow['id']}/undo", "type": "Undo", "actor": self.bo.id, "object": self.follow}

    async def send(self, activity: dict[str, object]) -> None:
        assert (await self.bo.send(activity, self.amina.actor.inbox)).status == 202
        await self.world.settle()
        self.world.clock.move(seconds=5)

    async def follows(self) -> bool:
        return self.bo.id in await self.amina.followers()


@pytest.fixture
async def misskey(world: World) -> Misskey:
    amina, peer = await world.person("amina@a"), await world.peer()
    return Misskey(world, peer, peer.actor("bo"), amina)


async def test_a_second_follow_counts_however_soon_it_comes(misskey: Misskey) -> None:
    # Given a follow that was taken back
    await misskey.send(misskey.follow)
    assert await misskey.follows()
    await misskey.send(misskey.undo)
    assert not await misskey.follows()
    # When it is said again seconds later, under the same id
    await misskey.send(misskey.follow)
    # Then it stands, is answered, and can be taken back once more
    assert await misskey.follows()
    assert len(misskey.peer.activities("Accept")) == 2
    await misskey.send(misskey.undo)
    assert not await misskey.follows()


async def test_a_replay_of_the_first_follow_does_not(misskey: Misskey) -> None:
    # Given a Follow that somebody on the way kept, byte for byte
    body, bo = json.dumps(misskey.follow).encode(), misskey.bo
    headers = signed(bo.keys.rsa, bo.key_id, "POST", misskey.amina.site.host, "/users/amina/inbox", body, misskey.peer.now())
    assert (await http("POST", f"{misskey.amina.uri}/inbox", headers, body)).status == 202
    await misskey.world.settle()
    assert await misskey.follows()
    misskey.world.clock.move(seconds=5)
    await misskey.send(misskey.undo)
    # When it is played again, at the same door and at the shared one
    for inbox in (f"{misskey.amina.uri}/inbox", f"{misskey.amina.site.base}/inbox"):
        answer = await http("POST", inbox, headers, body)
        await misskey.world.settle()
        assert answer.status in (202, 401)
    # Then it stays taken back
    assert not await misskey.follows()


async def test_an_undo_that_overtook_its_follow_wins(misskey: Misskey) -> None:
    await misskey.send(misskey.undo)
    await misskey.send(misskey.follow)
    assert not await misskey.follows(), "a delivery that had to be tried again is signed again, and still older than its Undo"
