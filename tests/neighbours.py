"""What do tests do again and again between one of ours and somebody of a strange server?"""

from typing import Any

from tests.fakepeer import FakeActor, FakePeer
from tests.world import Person, World


async def befriend(world: World, peer: FakePeer, who: Person, actor: FakeActor) -> None:
    await who.follow(actor.handle)
    await world.settle()
    await actor.send(actor.activity("Accept", peer.activities("Follow")[-1]), who.actor.inbox)
    await world.settle()
    assert await who.following(actor.handle) == "accepted"
    peer.log.clear()


async def send(world: World, actor: FakeActor, activity: dict[str, Any], to: Person, *, shared: bool = False) -> int:
    answer = await actor.send(activity, f"{to.site.base}/inbox" if shared else to.actor.inbox)
    await world.settle()
    return answer.status


async def held(who: Person, note: dict[str, Any]) -> list[Any]:
    return list(await who.site.rows("select * from post where uri = :uri", uri=note["id"]))


async def reads(who: Person, words: str) -> int:
    return (await who.reads()).count(words)


async def likes(who: Person, url: str) -> int:
    total = (await who.site.get(f"{url}/likes")).json["totalItems"]
    assert isinstance(total, int)
    return total
