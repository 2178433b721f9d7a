"""Does any request leave for an address that is not public? Every address of the list, through every way out, as a literal, by a name, and behind redirects.

The instance may reach 127.9.9.9 alone, where its peers live; an alarm hears every connection the process tries.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actors.hosts import Limits
from fedmatch import people
from outbox import publish
from outbox.address import Audience
from schemas.activities import Like
from schemas.reading import Iri
from tests.attacks.envelope import envelope
from tests.attacks.stage import Alarm, alarmed, serve_really
from tests.fakepeer import PUBLIC, FakeActor, FakePeer
from tests.wire import Reply, http
from tests.world import Person, World, open_world

LINES = (Path(__file__).parent.parent / "unit" / "addresses.txt").read_text().splitlines()
REFUSED = [line.split()[0] for line in LINES if line.endswith("refuse")]
HOME = "127.9.9.9"


@dataclass
class Yard:
    """One instance, one peer under many names, the alarm."""

    world: World
    person: Person
    peer: FakePeer
    follower: FakeActor
    alarm: Alarm

    async def send(self, activity: dict[str, Any], **spoil: Any) -> int:
        url = self.person.actor.inbox
        headers, body = envelope(self.follower, url, json.dumps(activity).encode(), self.world.clock.now(), **spoil)
        return (await http("POST", url, headers, body, timeout=30)).status

    def places(self, path: str, run: str) -> list[str]:
        """One URL for every refused address: itself as a literal, a name that resolves to it, or one to three hops that end there."""
        found = []
        for number, address in enumerate(REFUSED):
            literal = f"http://[{address}]:{self.peer.port}" if ":" in address else f"http://{address}:{self.peer.port}"
            named, hop = f"a{number}.{run}.test", f"r{number}.{run}.test"
            self.alarm.names |= {named: [address], hop: [HOME]}
            by_name, start = f"http://{named}:{self.peer.port}", f"http://{hop}:{self.peer.port}"
            if path == "redirect":
                end = literal if number % 2 else by_name
                way = [f"/way/{run}/{number}/{step}" for step in range(number % 3 + 1)]
                for step, following in zip(way, [*way[1:], f"{end}/x"], strict=True):
                    self.peer.always(step, Reply(302, headers=(("Location", following),)))
                found.append(f"{start}{way[0]}")
            else:
                found.append(f"{literal if path == 'literal' else by_name}/users/x{number}")
        return found


Feature = Callable[[Yard, str], Awaitable[object]]


async def key(yard: Yard, url: str) -> None:
    assert await yard.send(yard.follower.follow(yard.person.uri), key_id=f"{url}#main-key") in {400, 401, 503}


async def carried(yard: Yard, url: str) -> None:
    """Somebody else's activity, to be read from its origin."""
    assert await yard.send({**yard.follower.activity("Like", "x", to=[PUBLIC]), "id": f"{url}/activity", "actor": url, "object": yard.person.uri}) in {
        202,
        400,
        401,
        403,
    }


async def boosted(yard: Yard, url: str) -> None:
    assert await yard.send(yard.follower.activity("Announce", url, to=[PUBLIC])) == 202


async def parent(yard: Yard, url: str) -> None:
    note = yard.follower.note("<p>an answer</p>", inReplyTo=url, replies=url, context=url)
    assert await yard.send(yard.follower.create(note)) == 202


async def by_id(yard: Yard, url: str) -> None:
    for kind in ("Create", "Update"):
        assert await yard.send(yard.follower.activity(kind, url, to=[PUBLIC])) in {202, 400, 403}


async def moved(yard: Yard, url: str) -> None:
    assert await yard.send(yard.follower.activity("Move", yard.follower.id, target=url, to=[PUBLIC])) == 202


async def pinned(yard: Yard, url: str) -> None:
    assert await yard.send(yard.follower.activity("Add", url, target=f"{yard.follower.id}/collections/featured")) == 202


async def handle(yard: Yard, url: str) -> None:
    with suppress(people.NotFound):
        await people.find(yard.person.site.instance, f"x@{url.partition('//')[2].partition('/')[0]}")


async def collections(yard: Yard, url: str) -> None:
    """An actor whose collections, key, icon and shared inbox lie there."""
    number = next(yard.peer.counter)
    overrides = {"featured": url, "outbox": url, "followers": url, "icon": {"type": "Image", "url": url}, "endpoints": {"sharedInbox": url}, "movedTo": url}
    stranger = yard.peer.actor(f"c{number}", overrides=overrides)
    stranger.keys = yard.follower.keys
    assert await yard.send(stranger.follow(yard.person.uri), key_id=stranger.key_id) in {202, 401, 503}


async def inbox(yard: Yard, url: str) -> None:
    instance = yard.person.site.instance
    number = instance.ids.new()
    like = Like(id=Iri(f"{yard.person.site.base}/activities/{number}"), actor=yard.person.uri, object=Iri(yard.follower.id))
    to = Audience(inboxes=(Iri(f"{url}/inbox"), Iri(url)))
    await instance.database.write(publish.publish, instance, yard.person.actor, like, to, object=Iri(yard.follower.id), ordering_key=f"inbox {number}")
    instance.wake("delivery")


FEATURES: dict[str, Feature] = {feature.__name__: feature for feature in (key, carried, boosted, parent, by_id, moved, pinned, handle, collections, inbox)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def yard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Yard]:
    async with alarmed({"peer.test": [HOME]}) as alarm, open_world(tmp_path_factory.mktemp("addresses")) as world:
        site = await world.site("a", start=False, allow_networks=f'["{HOME}/32"]', inbox_per_host_per_minute="100000")
        await serve_really(site)
        world.peers.append(await FakePeer(world.clock.now).start(name="peer.test", address=HOME))
        peer = world.peers[0]
        peer.strict = False
        alarm.ours = {(HOME, peer.port), ("127.0.0.1", int(site.base.rpartition(":")[2]))}
        person, follower = await world.person("reader@a"), peer.actor("p1")
        await person.follow(follower.handle)
        await world.settle()
        ready = Yard(world, person, peer, follower, alarm)
        [follow] = peer.activities("Follow")
        assert await ready.send(follower.activity("Accept", follow)) == 202
        await world.settle()
        assert await person.following(follower.handle) == "accepted"
        yield ready


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["literal", "name", "redirect"])
@pytest.mark.parametrize("feature", FEATURES)
async def test_nothing_leaves_for_an_address_that_is_not_public(yard: Yard, feature: str, path: str) -> None:
    # Given the limits of somebody who never met them
    yard.person.site.instance.limits = Limits()
    yard.alarm.strayed()
    assert len(REFUSED) == 44
    # When every address of the list is given to this way out
    places = yard.places(path, f"{feature.replace('_', '-')}-{path}")
    for at in range(0, len(places), 11):
        await asyncio.gather(*(FEATURES[feature](yard, place) for place in places[at : at + 11]))
    await yard.world.settle()
    # Then nobody connected anywhere but to the peer
    assert yard.alarm.strayed() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_the_alarm_hears_what_may_leave(yard: Yard) -> None:
    # Given a name that leads to the one address that may be reached
    yard.alarm.names["ok.test"] = [HOME]
    yard.alarm.strayed()
    # When something there is boosted
    asked = len(yard.peer.log)
    await boosted(yard, f"http://ok.test:{yard.peer.port}/notes/x")
    await yard.world.settle()
    # Then it is asked, and the connection was heard
    assert len(yard.peer.log) > asked
    assert (HOME, yard.peer.port) in yard.alarm.connected
