"""What a block, a limit and an allow do to follows, posts, deliveries and fetches: every cell of the comparison in docs/decisions/0007-border.md, in one world.

Four servers that somebody here knows: one of which nothing was decided, one limited, one blocked, one blocked and allowed again. `friend` of each and amina
follow each other since before, and each `friend` said something then; `stranger` is new.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from actors import peers, trust
from actors.hosts import Limits
from fedmatch import people
from fedmatch.board import social, timelines
from fedmatch.board.publish import CannotPublish
from fedmatch.safety import border, reports
from schemas.storage import Transaction
from tests.fakepeer import AP, PUBLIC, FakeActor, FakePeer, pair
from tests.wire import http
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
LEVELS = ("undecided", "limited", "blocked", "allowed")


@dataclass
class Side:
    """One of the four servers, and amina."""

    world: World
    amina: Person
    neighbour: FakeActor
    """Somebody whom she follows, on a fifth server."""
    level: str
    peer: FakePeer
    friend: FakeActor
    said: str
    """What `friend` said before the decision."""

    def stranger(self) -> FakeActor:
        made = self.peer.actor(f"s{next(self.peer.counter)}")
        made.keys = pair("s")
        return made

    async def send(self, by: FakeActor, activity: dict[str, Any]) -> int:
        self.amina.site.instance.limits = Limits()
        answer = await by.send(activity, self.amina.actor.inbox)
        await self.world.settle()
        return answer.status

    async def stored(self, uri: str) -> bool:
        return await self.amina.site.count("post", "uri = :uri", uri=uri) == 1

    async def reads(self, uri: str) -> bool:
        return uri in [entry["url"] for entry in await self.amina.home()]

    async def tells(self, work: Awaitable[Any]) -> str:
        """What leaves for that server by it: the types of the activities, `nothing`, or that it is refused."""
        await self.world.settle()
        self.peer.log.clear()
        try:
            await work
        except (CannotPublish, people.NotFound, social.CannotDo, reports.CannotReport):
            return "refused, and asked" if self.peer.log else "refused"
        await self.world.settle()
        return " ".join(sorted({one["type"] for one in self.peer.activities()})) or ("asked" if self.peer.log else "nothing")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sides(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Side]]:
    async with open_world(tmp_path_factory.mktemp("cells")) as world:
        amina, fifth = await world.person("amina@a"), await world.peer()
        neighbour = await befriended(world, amina, fifth.actor("neighbour"))
        found = {}
        for level in LEVELS:
            peer = await world.peer()
            friend = await befriended(world, amina, peer.actor("friend"))
            note = friend.note(f"<p>before {level}</p>")
            await friend.send(friend.create(note), amina.actor.inbox)
            found[level] = Side(world, amina, neighbour, level, peer, friend, note["id"])
        await world.settle()
        instance = amina.site.instance
        for level, decided in (("limited", ("limited",)), ("blocked", ("blocked",)), ("allowed", ("blocked", "known"))):
            for one in decided:
                await border.decide(instance, border.Host(found[level].peer.host), one, "cells")  # type: ignore[arg-type]  # levels
                await instance.trust.refresh(instance.database)
                await world.settle()
        yield found


async def befriended(world: World, amina: Person, actor: FakeActor) -> FakeActor:
    actor.keys = pair("s")
    await amina.follow(actor.handle)
    await world.settle()
    await actor.send(actor.activity("Accept", actor.peer.activities("Follow")[-1]), amina.actor.inbox)
    await actor.send(actor.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    assert await amina.following(actor.handle) == "accepted"
    return actor


# Follows


async def their_follow(side: Side) -> Any:
    asks = side.stranger()
    follow = asks.follow(side.amina.uri)
    status = await side.send(asks, follow)
    waiting = await side.amina.site.count("follow", "state = 'requested' and follower_id = (select id from actor where uri = :uri)", uri=asks.id)
    follows = asks.id in await side.amina.followers()
    await side.send(asks, asks.activity("Undo", follow))
    return status if status != 202 else "accepted" if follows else "waits" if waiting else "nothing"


async def our_follow(side: Side) -> Any:
    return await side.tells(side.amina.follow(side.stranger().handle))


async def follows_since_before(side: Side) -> Any:
    return (await side.amina.following(side.friend.handle), side.friend.id in await side.amina.followers())


async def their_unfollow(side: Side) -> Any:
    asks = side.stranger()
    follow = asks.follow(side.amina.uri)
    await side.send(asks, follow)
    status = await side.send(asks, asks.activity("Undo", follow))
    left = await side.amina.site.count("follow", "state <> 'undone' and follower_id = (select id from actor where uri = :uri)", uri=asks.id)
    return status if status != 202 else "undone" if left == 0 else "stays"


# Posts


async def what_was_said_before(side: Side) -> Any:
    return await side.reads(side.said)


async def a_new_post(side: Side) -> Any:
    note = side.friend.note("<p>new</p>")
    status = await side.send(side.friend, side.friend.create(note))
    return status if status != 202 else await side.reads(note["id"])


async def among_what_is_public(side: Side) -> Any:
    note = side.friend.note("<p>for the public timeline</p>")
    await side.send(side.friend, side.friend.create(note))
    reader = side.amina
    shown = await reader.site.instance.database.read(timelines.public, reader.site.instance, reader.actor, timelines.Page(limit=100))
    return note["id"] in [entry.url for entry in shown]


async def a_request_on_the_board(side: Side) -> Any:
    by = side.stranger()
    request = by.note("Request", purpose="request", publishes={"type": "Intent", "name": f"a lawyer {next(side.peer.counter)}"})
    status = await side.send(by, by.create(request))
    return status if status != 202 else request["id"] in [one["url"] for one in await side.amina.site.listings()]


async def _said_to_her(side: Side, note: dict[str, Any], by: FakeActor) -> Any:
    status = await side.send(by, by.create(note))
    held = await side.amina.site.count("waiting_message", "post_id = (select id from post where uri = :uri)", uri=note["id"])
    return status if status != 202 else "read" if await side.reads(note["id"]) else "waits" if held else "aside" if await side.stored(note["id"]) else "nothing"


async def a_direct_message_of_a_stranger(side: Side) -> Any:
    by = side.stranger()
    return await _said_to_her(side, by.direct("<p>psst</p>", side.amina.uri, f"@{side.amina.handle}"), by)


async def a_mention_by_a_stranger(side: Side) -> Any:
    by = side.stranger()
    tag = [{"type": "Mention", "href": side.amina.uri, "name": f"@{side.amina.handle}"}]
    return await _said_to_her(side, by.note("<p>@amina</p>", to=[PUBLIC], cc=[side.amina.uri], tag=tag), by)


async def a_direct_message_of_a_friend(side: Side) -> Any:
    return await _said_to_her(side, side.friend.direct("<p>psst</p>", side.amina.uri, f"@{side.amina.handle}"), side.friend)


async def a_like_of_ours(side: Side) -> Any:
    post, by = await side.amina.post("like me"), side.stranger()
    status = await side.send(by, by.activity("Like", post.uri))
    return status if status != 202 else (await side.amina.site.get(f"{post.uri}/likes")).json["totalItems"]


async def a_boost_of_ours(side: Side) -> Any:
    post, by = await side.amina.post("boost me"), side.stranger()
    status = await side.send(by, by.activity("Announce", post.uri, to=[PUBLIC]))
    return status if status != 202 else (await side.amina.site.get(f"{post.uri}/shares")).json["totalItems"]


async def boosted_by_another_server(side: Side) -> Any:
    note, neighbour = side.stranger().note("<p>boosted elsewhere</p>"), side.neighbour
    side.peer.log.clear()
    await side.send(neighbour, neighbour.activity("Announce", note["id"], to=[PUBLIC], cc=[neighbour.followers]))
    return (await side.reads(note["id"]), "asked" if side.peer.log else "not asked")


async def above_an_answer_of_another_server(side: Side) -> Any:
    note, neighbour = side.stranger().note("<p>the head of a thread</p>"), side.neighbour
    side.peer.log.clear()
    await side.send(neighbour, neighbour.create(neighbour.note("<p>an answer</p>", inReplyTo=note["id"])))
    return (await side.stored(note["id"]), "asked" if side.peer.log else "not asked")


async def a_report_of_theirs(side: Side) -> Any:
    instance = side.amina.site.instance
    before, by = len(await instance.database.read(reports.newest)), side.stranger()
    status = await side.send(by, by.activity("Flag", [side.amina.uri], content="spam"))
    return status if status != 202 else len(await instance.database.read(reports.newest)) - before


# Deliveries


async def a_public_post(side: Side) -> Any:
    return await side.tells(side.amina.post("for everybody"))


async def a_post_for_followers(side: Side) -> Any:
    return await side.tells(side.amina.post("for followers", "followers"))


async def a_direct_message_of_ours(side: Side) -> Any:
    return await side.tells(side.amina.post("psst", "direct", to=[side.friend.handle]))


async def a_mention_of_ours(side: Side) -> Any:
    return await side.tells(side.amina.post(f"hello @{side.friend.handle}"))


async def a_deletion_of_ours(side: Side) -> Any:
    post = await side.amina.post("soon gone")
    await side.world.settle()
    return await side.tells(side.amina.delete(post.uri))


async def a_report_of_ours(side: Side) -> Any:
    return await side.tells(reports.send(side.amina.site.instance, side.amina.actor, side.said, "bad", forward=True))


# Fetches


async def their_get(side: Side, *paths: str) -> Any:
    statuses = set()
    for path in paths:
        side.amina.site.instance.limits = Limits()
        statuses.add((await side.friend.get(path)).status)
    return statuses.pop() if len(statuses) == 1 else statuses


async def they_ask_for_what_is_public(side: Side) -> Any:
    amina, post = side.amina, await side.amina.post("look at me")
    collections = ("outbox", "outbox?page=true", "followers", "following", "collections/featured", "followers_synchronization")
    of_post = (f"{post.uri}/{name}" for name in ("activity", "replies", "context"))
    return await their_get(side, amina.uri, post.uri, *of_post, *(f"{amina.uri}/{name}" for name in collections))


async def they_ask_for_what_is_for_followers(side: Side) -> Any:
    return await their_get(side, (await side.amina.post("only followers", "followers")).uri)


async def they_ask_for_the_instance_actor(side: Side) -> Any:
    return await their_get(side, f"{side.amina.site.base}/actor")


async def they_ask_who_is_here_unsigned(side: Side) -> Any:
    url = f"{side.amina.site.base}/.well-known/webfinger?resource=acct:{side.amina.handle}"
    return ((await http("GET", url)).status, (await http("GET", side.amina.uri, [("Accept", AP)])).status)


async def we_ask_for_an_actor(side: Side) -> Any:
    return await side.tells(people.find(side.amina.site.instance, side.stranger().handle))


async def we_ask_for_a_post(side: Side) -> Any:
    return await side.tells(social.like(side.amina.site.instance, side.amina.actor, side.stranger().note("<p>like this</p>")["id"]))


Cell = Callable[[Side], Awaitable[Any]]
# What happens: where nothing was decided, where the server is limited, where it is blocked, where it was blocked and is allowed again.
CELLS: Mapping[Cell, tuple[Any, Any, Any, Any]] = {
    follows_since_before: (("accepted", True), ("accepted", True), ("rejected", False), ("rejected", False)),
    what_was_said_before: (True, True, False, False),
    their_follow: ("accepted", "waits", 403, "accepted"),
    their_unfollow: ("undone", "undone", 403, "undone"),
    our_follow: ("Follow", "Follow", "refused", "Follow"),
    a_new_post: (True, True, 403, False),
    among_what_is_public: (True, False, False, False),
    a_request_on_the_board: (True, False, 403, True),
    a_direct_message_of_a_stranger: ("read", "waits", 403, "read"),
    a_mention_by_a_stranger: ("read", "waits", 403, "read"),
    a_direct_message_of_a_friend: ("read", "read", 403, "read"),
    a_like_of_ours: (1, 1, 403, 1),
    a_boost_of_ours: (1, 1, 403, 1),
    boosted_by_another_server: ((True, "asked"), (True, "asked"), (False, "not asked"), (True, "asked")),
    above_an_answer_of_another_server: ((True, "asked"), (True, "asked"), (False, "not asked"), (True, "asked")),
    a_report_of_theirs: (1, 1, 403, 1),
    a_public_post: ("Create", "Create", "nothing", "nothing"),
    a_post_for_followers: ("Create", "Create", "nothing", "nothing"),
    a_direct_message_of_ours: ("Create", "Create", "refused", "Create"),
    a_mention_of_ours: ("Create", "Create", "nothing", "Create"),
    a_deletion_of_ours: ("Delete", "Delete", "nothing", "nothing"),
    a_report_of_ours: ("Flag", "Flag", "refused", "Flag"),
    they_ask_for_what_is_public: (200, 200, 403, 200),
    they_ask_for_what_is_for_followers: (200, 200, 403, 404),
    they_ask_for_the_instance_actor: (200, 200, 200, 200),
    they_ask_who_is_here_unsigned: ((200, 200), (200, 200), (200, 200), (200, 200)),
    we_ask_for_an_actor: ("asked", "asked", "refused", "asked"),
    we_ask_for_a_post: ("Like", "Like", "refused", "Like"),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
async def test_every_cell(sides: dict[str, Side], cell: Cell, level: str) -> None:
    assert await cell(sides[level]) == CELLS[cell][LEVELS.index(level)]


# Modes, sub-domains and spellings: by the rules alone, as every door asks them.

ASKED = ("example.org", "sub.example.org", "deep.sub.example.org", "example.org:8001", "notexample.org", "other.example")
RULES: Mapping[tuple[str, tuple[tuple[str, str], ...]], tuple[str, ...]] = {
    ("open", ()): ("passes",) * 6,
    ("open", (("example.org", "blocked"),)): ("blocked", "blocked", "blocked", "blocked", "passes", "passes"),
    ("open", (("example.org", "limited"),)): ("limited", "limited", "limited", "limited", "passes", "passes"),
    ("open", (("sub.example.org", "blocked"),)): ("passes", "blocked", "blocked", "passes", "passes", "passes"),
    # A list of blocks, and an allow: it wins where it was said, and nowhere below (GoToSocial).
    ("open", (("example.org", "blocked"), ("sub.example.org", "known"))): ("blocked", "passes", "blocked", "blocked", "passes", "passes"),
    ("open", (("example.org", "blocked"), ("sub.example.org", "limited"))): ("blocked", "limited", "blocked", "blocked", "passes", "passes"),
    ("open", (("example.org", "limited"), ("sub.example.org", "blocked"))): ("limited", "blocked", "blocked", "limited", "passes", "passes"),
    ("approve", ()): ("waits",) * 6,
    ("approve", (("example.org", "known"),)): ("passes", "waits", "waits", "waits", "waits", "waits"),
    ("approve", (("example.org", "blocked"),)): ("blocked", "blocked", "blocked", "blocked", "waits", "waits"),
    ("allowlist", ()): ("blocked",) * 6,
    # A list of allows: who is on it passes, by this very name; a block wins over it, also from above (GoToSocial).
    ("allowlist", (("example.org", "known"),)): ("passes", "blocked", "blocked", "blocked", "blocked", "blocked"),
    ("allowlist", (("example.org", "known"), ("sub.example.org", "known"))): ("passes", "passes", "blocked", "blocked", "blocked", "blocked"),
    ("allowlist", (("example.org", "blocked"), ("sub.example.org", "known"))): ("blocked", "blocked", "blocked", "blocked", "blocked", "blocked"),
    ("allowlist", (("example.org", "known"), ("sub.example.org", "blocked"))): ("passes", "blocked", "blocked", "blocked", "blocked", "blocked"),
    # Whoever is limited is not on it.
    ("allowlist", (("example.org", "limited"),)): ("blocked",) * 6,
}


class _Taken(Exception):
    """The rules were read; nothing of it is to stay."""


def _named(value: Any) -> str:
    return value if isinstance(value, str) else ",".join(f"{host}={level}" for host, level in value)


@pytest.mark.parametrize(("mode", "decided"), RULES, ids=_named)
async def test_modes_and_sub_domains(sides: dict[str, Side], mode: str, decided: tuple[tuple[str, str], ...]) -> None:
    instance, found = sides["undecided"].amina.site.instance, list[str]()

    async def judged(tx: Transaction) -> None:
        found.clear()
        for host, level in decided:
            await peers.set_level(tx, instance, host, level, None)  # type: ignore[arg-type]  # levels
        rules = trust.Trust(mode, await trust._read(tx))  # type: ignore[arg-type]  # a mode
        for host in ASKED:
            verdict = rules.verdict(host, "receive")
            found.append("blocked" if not verdict.allowed else "limited" if verdict.limited else "waits" if verdict.held else "passes")
        raise _Taken

    with pytest.raises(_Taken):
        await instance.database.write(judged)
    assert tuple(found) == RULES[mode, decided]


SPELLINGS = ("EXAMPLE.org", "example.org.", "Sub.Example.Org", " example.org ", "ｅxample.org", "example。org", "example.org:443", "a.example.org")


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a114_however_an_admin_types_it_it_is_one_name(sides: dict[str, Side], spelling: str) -> None:
    instance = sides["undecided"].amina.site.instance
    target = await border.target(instance, spelling)
    assert isinstance(target, border.Host)
    assert target.name in ("example.org", "sub.example.org", "a.example.org")
    assert target.name.endswith("example.org")
