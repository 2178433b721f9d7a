"""Where does private text rest? A direct message is searched in every file while its arrival and deliveries wait, fail, lie dead and are done."""

import gzip
import zlib

import pytest

from tests.fakepeer import FakePeer
from tests.wire import Reply
from tests.world import Site, World, grep, spellings

CANARY = "Kanarienvogel im Bergwerk 7743"


def assert_sealed(site: Site) -> None:
    """No file of the instance holds the canary, in any spelling."""
    assert grep(site.folder, CANARY) == []


@pytest.mark.parametrize("text", [f"x{CANARY}y", f"<p>{CANARY}</p>"])
def test_the_search_finds_what_lies_open(tmp_path, text: str) -> None:
    """The search itself must not be blind."""
    import base64

    for number, lying in enumerate(
        (text.encode(), text.encode("utf-16"), base64.b64encode(text.encode()), base64.urlsafe_b64encode(text.encode()), text.encode().hex().encode())
    ):
        (tmp_path / f"{number}").write_bytes(b"\0" * number + lying)
    assert grep(tmp_path, CANARY) == ["0", "1", "2", "3", "4"]


async def test_a_direct_message_that_arrives_is_sealed_at_every_moment(world: World, peer: FakePeer) -> None:
    # Given an instance without a worker
    site = await world.site("a", worker=False)
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    # When a direct message arrives and waits
    create = p1.create(p1.direct(f"<p>{CANARY}</p>", reader.uri, f"@{reader.handle}"))
    assert (await p1.send(create, reader.actor.inbox)).status == 202
    # Then no file holds it
    assert await site.count("arrival", "state = 'waiting'") == 1
    assert_sealed(site)
    # And not when it is understood, and read, and answered with its words
    site.work()
    await world.settle()
    assert await site.count("arrival", "state = 'done' and body is null") == 1
    assert CANARY in (await reader.home())[0]["text"]
    assert_sealed(site)
    # And not when it is changed and deleted
    world.clock.move(minutes=1)
    await p1.send(p1.update(create["object"], content=f"<p>{CANARY} again</p>"), reader.actor.inbox)
    await world.settle()
    assert_sealed(site)
    await p1.send(p1.delete(create["object"]), reader.actor.inbox)
    await world.settle()
    assert await reader.home() == []
    assert_sealed(site)
    # And not in what is left when it stops
    await site.stop()
    assert_sealed(site)


async def test_an_arrival_that_cannot_be_understood_is_given_up_without_its_words(world: World, peer: FakePeer) -> None:
    site = await world.site("a")
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    rotten = p1.create(p1.direct(f"<p>{CANARY}</p>", reader.uri, f"@{reader.handle}"))
    rotten["object"]["tag"] = CANARY
    rotten["object"]["published"] = {CANARY: CANARY}
    rotten["object"]["attributedTo"] = {"name": CANARY}
    await p1.send(rotten, reader.actor.inbox)
    await world.settle()
    for _ in range(10):
        await world.later(hours=13)
    assert_sealed(site)


async def test_a_direct_message_that_leaves_is_sealed_while_it_waits_fails_lies_dead_and_is_sent(world: World, peer: FakePeer) -> None:
    site = await world.site("a", worker=False)
    writer, p1, p2 = await world.person("writer@a"), peer.actor("p1"), peer.actor("p2")
    peer.always("/users/p1/inbox", Reply(503))
    # When a direct message waits for the worker
    await writer.post(f"{CANARY}", "direct", to=[p1.handle, p2.handle])
    assert await site.count("delivery", "state = 'waiting'") == 2
    assert_sealed(site)
    # And one is sent, while the other fails
    site.work()
    await world.settle()
    assert await site.count("delivery", "state = 'sent'") == 1
    assert await site.count("delivery", "state = 'waiting'") == 1
    assert_sealed(site)
    # And lies dead in the end
    peer.always("/users/p1/inbox", Reply(400))
    await world.later(days=1)
    assert await site.count("delivery", "state = 'dead'") == 1
    assert await site.count("outgoing", "body is not null") == 0
    assert_sealed(site)
    assert [CANARY in activity["object"]["content"] for activity in peer.activities("Create")] == [True]


async def test_a_followers_post_is_sealed_and_a_public_one_is_gone_from_every_file_once_deleted(world: World) -> None:
    writer, reader = await world.person("writer@a"), await world.person("reader@b")
    await reader.follow(writer.handle)
    await world.settle()
    followers = await writer.post(f"{CANARY} for followers", "followers")
    await world.settle()
    assert CANARY in (await reader.home())[0]["text"]
    assert world.grep(CANARY) == {}
    public = await writer.post(f"{CANARY} for all")
    await world.settle()
    await writer.delete(followers.uri)
    await writer.delete(public.uri)
    await world.settle()
    await world.until(lambda: gone(world), limit_s=60)
    # Nor does it lie there compressed
    for site in world.sites.values():
        for row in await site.rows("select document from post where document is not null"):
            assert CANARY.encode() not in _opened(row["document"])


async def gone(world: World) -> bool:
    return world.grep(CANARY) == {}


def _opened(data: bytes) -> bytes:
    for opens in (gzip.decompress, zlib.decompress):
        try:
            return opens(data)
        except (OSError, zlib.error):
            continue
    return data


def test_every_spelling_is_looked_for() -> None:
    assert len(set(spellings(CANARY))) >= 8
