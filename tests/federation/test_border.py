"""An admin decides about others, beside a running server: blocked, limited, allowed, held; what each does to follows, posts, deliveries and fetches."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from click.testing import CliRunner

from actors import follows
from fedmatch.board import timelines
from fedmatch.cli.main import main
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.fakepeer import PUBLIC, FakeActor, FakePeer
from tests.signing import signed
from tests.wire import Answer, http, reply_json
from tests.world import Person, Site, World

CANARY = "the heron lands at dawn"


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Commands configure the logs of their process; the next test wants them as they were."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


async def typed(site: Site, *words: str, code: int = 0) -> Any:
    """What somebody types beside the running server, with an event loop and a database connection of its own; the JSON, or what went wrong."""
    result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(site.config.path), "--json", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout) if code == 0 else result.stderr


async def friends(world: World, amina: Person, other: FakeActor) -> None:
    """They follow each other."""
    await amina.follow(other.handle)
    await world.settle()
    asked = other.peer.activities("Follow")[-1]
    await other.send(other.activity("Accept", asked), amina.actor.inbox)
    await other.send(other.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    assert (await amina.following(other.handle), await amina.followers()) == ("accepted", [other.id])


async def note(amina: Person, other: FakeActor, text: str) -> Answer:
    return await other.send(other.create(other.note(text)), amina.actor.inbox)


async def public(site: Site, reader: Person) -> list[str]:
    return [entry.text for entry in await site.instance.database.read(timelines.public, site.instance, reader.actor, timelines.Page(limit=50))]


async def decision(site: Site, host: str) -> dict[str, Any] | None:
    found = [one for one in await typed(site, "peers", "list") if one["host"] == host and one["actor"] is None]
    return found[0] if found else None


async def test_j3_a_block_cuts_a_server_off_within_a_second_and_an_allow_lets_it_in_again(world: World, peer: FakePeer) -> None:
    # Given two who follow each other, posts of both, and a delivery that waits because the other server is busy
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    site = amina.site
    await friends(world, amina, p1)
    assert (await note(amina, p1, CANARY)).status == 202
    shown = await amina.post("everybody may read this")
    await world.settle()
    assert await amina.reads() == [CANARY, "everybody may read this"]
    peer.always("/inbox", reply_json({}, 503))
    waiting = await amina.post("this one waits")
    await world.until(lambda: _some(site, "delivery", "state = 'waiting' and attempts > 0"))
    peer.always("/inbox", None)
    heard = len(peer.log)

    # When an admin blocks it
    done = await typed(site, "peers", "block", peer.host.upper(), "--reason", "spies")
    began = time.monotonic()
    assert (done["host"], done["level"], done["reason"]) == (peer.host, "blocked", "spies")
    assert done["ended"] == {"follows": 2, "deliveries": 1}

    # Then within a second nothing of it gets in
    while (await note(amina, p1, "still there?")).status != 403:
        assert time.monotonic() - began < 1
    for target in (amina.uri, shown.uri, f"{amina.uri}/outbox", f"{amina.uri}/followers", f"{site.base}/posts/1"):
        while (await p1.get(target)).status != 403:
            assert time.monotonic() - began < 1, target
    # And a stranger of the same server is refused before anything is fetched about them
    unknown = peer.actor("never-heard-of")
    assert (await unknown.send(unknown.follow(amina.uri), amina.actor.inbox)).status == 403
    # And what waited is listed with its reason, the words are gone, the follows have ended
    dead = [row for row in await typed(site, "deliveries", "--state", "dead") if row["inbox"].startswith(peer.base)]
    assert [row["error"] for row in dead] == ["its host is blocked"]
    assert await site.count("outgoing", "body is not null") == 0
    assert (await amina.following(p1.handle), await amina.followers()) == ("rejected", [])
    assert await amina.reads() == ["everybody may read this", "this one waits"]
    await world.settle()
    assert await site.count("post", "local = 0") == 0
    assert world.grep(CANARY) == {}
    # And nothing leaves for it: no post, no Delete, no look-up, no answer
    await amina.post(f"hello @p1@{peer.host}")
    await amina.delete(waiting.uri)
    refusal = await typed(site, "follow", p1.handle, "--as", "amina", code=1)
    assert "its host is blocked" in refusal
    await typed(site, "post", "psst", "--as", "amina", "--audience", "direct", "--to", p1.handle, code=1)
    await typed(site, "report", "send", f"{peer.base}/notes/77", "--as", "amina", "--text", "bad", code=1)
    await world.settle()
    assert len(peer.log) == heard

    # When it is allowed again
    assert (await typed(site, "peers", "allow", peer.host))["level"] == "known"
    await world.until(lambda: _answers(p1, amina.uri, 200), 1)
    # Then both may ask anew, and words pass; what was deleted stays away until it is sent again
    await friends(world, amina, p1)
    assert (await note(amina, p1, "here I am again")).status == 202
    await world.settle()
    assert "here I am again" in await amina.reads()
    assert [row["level"] for row in await typed(site, "peers", "list")] == ["known"]


async def _some(site: Site, table: str, where: str) -> bool:
    return await site.count(table, where) > 0


async def _answers(actor: FakeActor, url: str, status: int) -> bool:
    return (await actor.get(url)).status == status


async def test_a114_every_spelling_of_a_blocked_key_id_is_refused_without_a_fetch(world: World, peer: FakePeer) -> None:
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await typed(amina.site, "peers", "block", "localhost")  # the port is not part of what was blocked
    await world.until(lambda: _answers(p1, amina.uri, 403), 1)
    port = peer.port
    spelled = ("localhost", "LOCALHOST", "localhost.", "LocalHost.", "\uff4cocalhost", "localhost\u3002", "a.localhost", "a.b.localhost")
    for name in spelled:
        key_id = f"http://{name}:{port}/users/p1#main-key"
        body = json.dumps(p1.follow(amina.uri)).encode()
        parts = urlsplit(amina.actor.inbox)
        headers = signed(p1.keys.rsa, key_id, "POST", parts.netloc, parts.path, body, peer.now(), "cavage", p1.keys.rsa)
        try:
            answer = await http("POST", amina.actor.inbox, headers, body)
        except UnicodeEncodeError:
            continue  # such a name does not fit into a header at all
        assert answer.status in ({400, 401, 403} if not name.isascii() else {403}), name
    assert peer.log == []


async def test_what_arrived_before_the_block_does_nothing_after_it(world: World, peer: FakePeer) -> None:
    # Given a post and a follow that were acknowledged and wait for the worker
    await world.site("a", worker=False)
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    assert (await p1.send(p1.create(p1.direct(CANARY, amina.uri, f"@{amina.handle}")), amina.actor.inbox)).status == 202
    assert (await p1.send(p1.follow(amina.uri), amina.actor.inbox)).status == 202
    # When its server is blocked before they are handled
    await typed(amina.site, "peers", "block", peer.host)
    heard = len(peer.log)
    amina.site.work()
    await world.settle()
    # Then nothing comes of them, and nothing is answered
    assert (await amina.reads(), await amina.followers(), len(peer.log)) == ([], [], heard)
    assert await amina.site.count("arrival", "state = 'done' and body is null") == 2


async def test_j1_with_an_allow_list_strangers_get_nothing_and_hear_nothing(world: World, peer: FakePeer) -> None:
    # Given an instance that speaks with the servers on its list, and a server that is not
    site = await world.site("a", mode='"allowlist"')
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    # When the stranger comes, and when somebody here turns to them
    assert (await p1.send(p1.follow(amina.uri), amina.actor.inbox)).status == 403
    assert (await p1.get(amina.uri)).status == 403
    assert (await site.get(f"/users/{amina.actor.username}")).status == 401
    assert (await site.get("/users/nobody-at-all")).status == 401
    said = await typed(site, "follow", p1.handle, "--as", "amina", code=1)
    assert "allow list" in said
    assert f"fedmatch peers allow {peer.host}" in said
    await typed(site, "post", f"hello @p1@{peer.host}", "--as", "amina")
    await typed(site, "post", "psst", "--as", "amina", "--audience", "direct", "--to", p1.handle, code=1)
    await typed(site, "post", "an answer", "--as", "amina", "--reply-to", f"{peer.base}/notes/1", code=1)
    await world.settle()
    # Then no request left for them
    assert peer.log == []
    # And whoever publishes is told that it stays among few
    result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(site.config.path), "post", "hello", "--as", "amina"])
    assert "allow list" in result.stderr
    # When the server is put on the list
    peer.strict = False  # it would have to sign its fetch of our keys, which this one cannot
    await typed(site, "peers", "allow", peer.host)
    await world.until(lambda: _answers(p1, amina.uri, 200), 1)
    await friends(world, amina, p1)
    # And a known actor of a server that is taken off again is as far away as a stranger
    await typed(site, "peers", "limit", peer.host)
    assert "limited" in await typed(site, "post", "psst", "--as", "amina", "--audience", "direct", "--to", p1.handle, code=1)


async def test_j4_a_limited_server_is_heard_by_its_followers_alone(world: World, peer: FakePeer) -> None:
    # Given a limited server, one who follows somebody there and one who does not
    amina, ben, p1 = await world.person("amina@a"), await world.person("ben@a"), peer.actor("p1")
    site = amina.site
    await typed(site, "peers", "limit", peer.host, "--reason", "loud")
    await world.until(lambda: _limited(site, p1), 1)
    await amina.follow(p1.handle)
    await world.settle()
    await p1.send(p1.activity("Accept", peer.activities("Follow")[0]), amina.actor.inbox)
    await world.settle()
    # When they post, write to both, publish a request, and ask to follow
    await note(amina, p1, "for everybody")
    for reader in (amina, ben):
        await p1.send(p1.create(p1.direct(f"a word with {reader.actor.username}", reader.uri, f"@{reader.handle}")), reader.actor.inbox)
    listing = p1.note("Request: a lawyer", purpose="request", publishes={"type": "Intent", "name": "a lawyer"})
    await p1.send(p1.create(listing), f"{site.base}/inbox")
    await p1.send(p1.follow(ben.uri), ben.actor.inbox)
    await world.settle()
    # Then who follows reads it all, nobody else reads anything, and the follow waits
    assert set(await amina.reads()) >= {"for everybody", "a word with amina"}
    assert await ben.reads() == []
    assert await public(site, ben) == []
    assert await site.listings() == []
    assert await ben.followers() == []
    found = await decision(site, peer.host)
    assert found is not None
    assert (found["level"], found["reason"], found["waiting"]) == ("limited", "loud", {"follows": 1, "messages": 1})
    # When the limit is lifted, what waited is let in, and what is public is shown
    await typed(site, "peers", "allow", peer.host)
    await world.settle()
    assert await ben.reads() == ["a word with ben"]
    assert await ben.followers() == [p1.id]
    assert [accept["object"]["object"] for accept in peer.activities("Accept")] == [ben.uri]
    assert "for everybody" in await public(site, ben)
    assert (await decision(site, peer.host) or {})["waiting"] == {"follows": 0, "messages": 0}


async def _limited(site: Site, actor: FakeActor) -> bool:
    return site.instance.trust.actor(actor.id, "receive").limited


async def test_in_mode_approve_a_strangers_follows_and_messages_wait_for_an_admin(world: World, peer: FakePeer) -> None:
    # Given an instance where strangers wait
    site = await world.site("a", mode='"approve"')
    amina, leila, p1 = await world.person("amina@a"), await world.person("leila@a", locked=True), peer.actor("p1")
    # When one asks two to follow them and writes to one
    for reader in (amina, leila):
        assert (await p1.send(p1.follow(reader.uri), reader.actor.inbox)).status == 202
    assert (await p1.send(p1.create(p1.direct(CANARY, amina.uri, f"@{amina.handle}")), amina.actor.inbox)).status == 202
    await world.settle()
    # Then nothing happens but that an admin sees it, and who was asked cannot say yes first
    assert (await amina.followers(), await amina.reads(), peer.activities("Accept")) == ([], [], [])
    found = await decision(site, peer.host)
    assert found is not None
    assert (found["level"], found["waiting"]) == (None, {"follows": 2, "messages": 1})
    with pytest.raises(follows.WaitsForAdmin):
        await leila.decide(p1.id, accept=True)
    # And the message rests sealed
    assert world.grep(CANARY) == {}
    # When the admin lets them in, what waited comes in; the one who looks at every request still does
    await typed(site, "peers", "allow", peer.host)
    await world.settle()
    assert (await amina.followers(), await amina.reads()) == ([p1.id], [CANARY])
    assert await leila.followers() == []
    await leila.decide(p1.id, accept=True)
    await world.settle()
    assert await leila.followers() == [p1.id]
    assert len(peer.activities("Accept")) == 2


async def test_in_mode_approve_a_block_ends_what_waited(world: World, peer: FakePeer) -> None:
    site = await world.site("a", mode='"approve"')
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await p1.send(p1.follow(amina.uri), amina.actor.inbox)
    await p1.send(p1.create(p1.direct(CANARY, amina.uri, f"@{amina.handle}")), amina.actor.inbox)
    await world.settle()
    await typed(site, "peers", "block", peer.host)
    await world.settle()
    await typed(site, "peers", "allow", peer.host)
    await world.settle()
    assert (await amina.followers(), await amina.reads(), await site.count("waiting_message")) == ([], [], 0)


async def test_one_blocked_actor_is_gone_and_its_server_stays(world: World, peer: FakePeer) -> None:
    # Given two people of one server, both followed and following
    amina, troll, p1 = await world.person("amina@a"), peer.actor("troll"), peer.actor("p1")
    site = amina.site
    for other in (troll, p1):
        await amina.follow(other.handle)
        await world.settle()
        await other.send(other.activity("Accept", peer.activities("Follow")[-1]), amina.actor.inbox)
        await other.send(other.follow(amina.uri), amina.actor.inbox)
        await note(amina, other, f"words of {other.name}")
    await world.settle()
    # When one of them is blocked
    done = await typed(site, "peers", "block", f"@{troll.handle}")
    await world.until(lambda: _answers(troll, amina.uri, 403), 1)
    assert (done["actor"], done["host"], done["level"], done["ended"]["follows"]) == (troll.id, peer.host, "blocked", 2)
    await world.settle()
    # Then their server is told that the follows ended, or it would show them what comes for others
    [reject], [undo] = peer.activities("Reject"), peer.activities("Undo")
    assert (reject["actor"], reject["object"]["actor"]) == (amina.uri, troll.id)
    assert (undo["actor"], undo["object"]["object"]) == (amina.uri, troll.id)
    assert await amina.followers() == [p1.id]
    # And nothing of theirs gets in by any way: themselves, boosted by another, as the head of a thread, searched
    assert await amina.reads() == ["words of p1"]
    assert (await note(amina, troll, "and now?")).status == 403
    theirs = troll.note("boost me")
    heard = len(peer.asked(urlsplit(theirs["id"]).path))
    await p1.send(p1.activity("Announce", theirs["id"], to=["https://www.w3.org/ns/activitystreams#Public"]), amina.actor.inbox)
    await p1.send(p1.create(p1.note("an answer", inReplyTo=theirs["id"])), amina.actor.inbox)
    await world.settle()
    assert await amina.reads() == ["words of p1", "an answer"]
    assert await site.count("post", "uri = :uri", uri=theirs["id"]) == 0
    assert len(peer.asked(urlsplit(theirs["id"]).path)) - heard <= 2  # their posts may be looked at: only there it says whose they are
    assert "troll" in await typed(site, "follow", troll.handle, "--as", "amina", code=1)
    # And the other one is as before
    assert (await p1.get(amina.uri)).status == 200
    # When they are allowed again they may come back
    await typed(site, "peers", "allow", troll.id)
    await world.until(lambda: _answers(troll, amina.uri, 200), 1)
    assert (await troll.send(troll.follow(amina.uri), amina.actor.inbox)).status == 202
    await world.settle()
    assert await amina.followers() == [p1.id, troll.id]


async def test_a_blocked_key_is_refused_under_every_name(world: World, peer: FakePeer) -> None:
    # Given somebody blocked with their keys
    amina, troll = await world.person("amina@a"), peer.actor("troll")
    await troll.send(troll.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    done = await typed(amina.site, "peers", "block", peer.host, "--keys")
    assert len(done["keys"]) == 2
    listed = {one["key"]: one["level"] for one in await typed(amina.site, "peers", "list") if one["key"]}
    assert listed == dict.fromkeys(done["keys"], "blocked")
    await world.until(lambda: _answers(troll, amina.uri, 403), 1)
    # When they come back on another server with the same key
    other = await world.peer()
    again = other.actor("troll")
    assert again.handle != troll.handle
    # Then they are not taken for somebody new
    assert (await again.send(again.follow(amina.uri), amina.actor.inbox)).status in (401, 403)
    assert (await again.get(f"{amina.site.base}/posts/1")).status == 404
    assert await amina.site.count("actor", "uri = :uri", uri=again.id) == 0
    # And an honest neighbour there is
    honest = other.actor("honest")
    assert (await honest.send(honest.follow(amina.uri), amina.actor.inbox)).status == 202
    # When the key is allowed, so are they
    for key in done["keys"]:
        await typed(amina.site, "peers", "allow", key)
    amina.site.instance.limits.__init__()  # type: ignore[misc]  # what failed a moment ago is remembered for a while
    await world.until(lambda: _passes(again, amina), 2)


async def _passes(actor: FakeActor, amina: Person) -> bool:
    return (await actor.send(actor.follow(amina.uri), amina.actor.inbox)).status == 202


async def test_a_limited_key_is_limited_under_every_name(world: World, peer: FakePeer) -> None:
    amina, loud = await world.person("amina@a"), peer.actor("loud")
    site = amina.site
    await loud.send(loud.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    await typed(site, "peers", "limit", loud.handle, "--keys")
    other = await world.peer()
    again = other.actor("loud")
    await world.until(lambda: _limited(site, loud), 1)
    await again.send(again.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    assert await amina.followers() == [loud.id]
    await again.send(again.create(again.direct(CANARY, amina.uri, f"@{amina.handle}")), amina.actor.inbox)
    await world.settle()
    assert await amina.reads() == []
    assert {one["actor"] for one in await typed(site, "peers", "list") if one["actor"]} == {loud.id, again.id}


async def test_an_allow_below_a_block_is_said_and_passes(world: World, peer: FakePeer) -> None:
    # J2: with a list of blocks an explicit allow wins
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await typed(amina.site, "peers", "allow", peer.host)
    done = await typed(amina.site, "peers", "block", "localhost")
    assert done["apart"] == [peer.host]
    await world.settle()
    assert (await p1.send(p1.follow(amina.uri), amina.actor.inbox)).status == 202


async def test_two_instances_of_ours_part_and_meet_again(world: World) -> None:
    """J3 with a server of our own kind on the other side: nothing is told to it, and nothing waits for ever."""
    amina, ben = await world.person("amina@a"), await world.person("ben@b")
    await amina.follow(ben.handle)
    await ben.follow(amina.handle)
    await world.settle()
    await typed(amina.site, "peers", "block", ben.site.host)
    await world.until(lambda: _blocked(amina.site, ben.site.host), 1)
    await ben.post("does anybody hear me?")
    await amina.post("not them")
    await world.settle()
    assert (await amina.reads(), await ben.reads()) == (["not them"], ["does anybody hear me?"])
    dead = await typed(ben.site, "deliveries", "--state", "dead")
    assert [row["error"] for row in dead] == ["answered 403"]
    assert await ben.following(amina.handle) == "accepted"  # it was told nothing
    await typed(amina.site, "peers", "allow", ben.site.host)
    await world.until(lambda: _allowed(amina.site, ben.site.host), 1)
    assert await amina.follow(ben.handle) == "requested"
    await world.settle()
    await ben.post("and now?")
    await world.settle()
    assert set(await amina.reads()) == {"not them", "and now?"}


async def _blocked(site: Site, host: str) -> bool:
    return not site.instance.trust.verdict(host, "receive").allowed


async def _allowed(site: Site, host: str) -> bool:
    return site.instance.trust.verdict(host, "receive").allowed


async def test_the_mode_of_the_next_start_lets_in_what_waited(world: World, peer: FakePeer) -> None:
    site = await world.site("a", mode='"approve"')
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await p1.send(p1.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    assert await amina.followers() == []
    site.config.path.write_text(site.config.path.read_text().replace('"approve"', '"open"'))
    from schemas.config_file import load

    site.config = load(site.config.path)
    await site.restart()
    await world.settle()

    async def followers(tx: Transaction) -> list[Iri]:
        return [actor.uri for actor in await follows.followers(tx, amina.actor.id)]

    assert await site.instance.database.read(followers) == [p1.id]


async def test_who_is_silenced_at_home_is_silent_here_and_may_come_back(world: World, peer: FakePeer) -> None:
    # Given two who follow each other, and words of both
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    site = amina.site
    await friends(world, amina, p1)
    assert (await note(amina, p1, CANARY)).status == 202
    await world.settle()
    assert await amina.reads() == [CANARY]

    async def told(**changes: Any) -> None:
        world.clock.move(seconds=30)
        p1.overrides = {"updated": peer.stamp(), **changes}
        assert (await p1.send(p1.activity("Update", p1.document(), to=[PUBLIC]), amina.actor.inbox)).status == 202
        await world.settle()

    # When its own server says `suspended: true`, as Mastodon does
    await told(suspended=True)
    # Then nobody reads it, here or at its pages, nothing is sent to it, and what it says is not taken
    assert await amina.reads() == []
    assert await public(site, amina) == []
    peer.log.clear()
    await amina.post("for my followers", "followers")
    assert (await note(amina, p1, "still shouting")).status == 403
    await world.settle()
    assert peer.activities() == []
    # But nothing is lost: neither follows nor words, even when the border is put in order
    await typed(site, "peers", "allow", "elsewhere.example")
    await world.settle()
    assert (await amina.following(p1.handle), await site.count("post", "local = 0")) == ("accepted", 1)
    # When its server takes that back
    await told()
    assert CANARY in await amina.reads()
    assert "still shouting" not in await amina.reads()
    assert (await note(amina, p1, "here I am again")).status == 202
    await world.settle()
    assert "here I am again" in await amina.reads()


async def test_a_block_of_who_is_silenced_at_home_deletes_all_the_same(world: World, peer: FakePeer) -> None:
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await friends(world, amina, p1)
    await note(amina, p1, CANARY)
    await world.settle()
    p1.overrides = {"suspended": True}
    await p1.send(p1.activity("Update", p1.document(), to=[PUBLIC]), amina.actor.inbox)
    await world.settle()
    await typed(amina.site, "peers", "block", peer.host)
    await world.settle()
    assert (await amina.following(p1.handle), await amina.site.count("post", "local = 0")) == ("rejected", 0)
    assert world.grep(CANARY) == {}


async def test_what_waits_for_an_admin_is_counted_where_admins_look(world: World, peer: FakePeer) -> None:
    # Given a limited server of which somebody asks to follow and somebody writes
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await typed(amina.site, "peers", "limit", peer.host)
    assert (await typed(amina.site, "status"))["held"] == {"follows": 0, "messages": 0}
    await p1.send(p1.follow(amina.uri), amina.actor.inbox)
    await p1.send(p1.create(p1.direct("<p>hello</p>", amina.uri, f"@{amina.handle}")), amina.actor.inbox)
    await world.settle()
    # Then the count, the doctor and the list say so, and afterwards they do not
    assert (await typed(amina.site, "status"))["held"] == {"follows": 1, "messages": 1}
    said = {check["name"]: check["detail"] for check in (await typed(amina.site, "doctor"))["checks"]}
    assert said["border"] == "mode open; 1 follows and 1 messages of 1 servers wait for an admin; `fedmatch peers list` shows whose"
    assert (await decision(amina.site, peer.host) or {})["waiting"] == {"follows": 1, "messages": 1}
    await typed(amina.site, "peers", "allow", peer.host)
    await world.settle()
    assert (await typed(amina.site, "status"))["held"] == {"follows": 0, "messages": 0}
