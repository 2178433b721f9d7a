"""Where do the attacks happen? One instance behind its real server, strangers it knows, posts it holds, and an alarm on every connection that leaves.

Every row of rows.py is played here. What must not change is read before and after: posts, follows, actors, listings, arrivals that were believed.
"""

import asyncio
import hashlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from actors.hosts import Limits
from fedmatch import serve
from outbox.posts import Post
from schemas.reading import Row
from schemas.storage import Transaction
from tests.attacks.envelope import envelope
from tests.fakepeer import FakeActor, FakePeer
from tests.wire import Answer, http
from tests.world import Person, Site, World

State = dict[str, Any]
Names = dict[str, list[str] | Callable[[], list[str]]]

_alarms: list[list[tuple[Any, ...]]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _alarms and event == "socket.connect" and isinstance(arguments[1], tuple):
        for alarm in _alarms:
            alarm.append(arguments[1])


_hearing = False


@asynccontextmanager
async def alarmed(names: Names | None = None) -> AsyncIterator["Alarm"]:
    """Hears every connection this process tries, whoever tries it, and answers look-ups of names itself: `names` maps them to addresses.

    A name it does not know does not exist, and that somebody asked is heard too. `localhost` and addresses are looked up as usual.
    """
    global _hearing
    if not _hearing:
        # Such a hook cannot be taken away again; without an alarm it does nothing.
        sys.addaudithook(_hear)
        _hearing = True
    alarm = Alarm(names or {})
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name in alarm.names:
            known = alarm.names[name]
            return [
                found
                for address in (known() if callable(known) else known)
                for found in real(address, port, *rest, **{**more, "family": 0, "flags": socket.AI_NUMERICHOST})
            ]
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in name else socket.AF_INET, name.partition("%")[0])
        except OSError:
            if name != "localhost":
                alarm.looked_up.append(name)
                raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
        return real(host, port, *rest, **more)

    _alarms.append(alarm.connected)
    try:
        with patch.object(socket, "getaddrinfo", look_up):
            yield alarm
    finally:
        # By identity: two silent alarms are equal.
        _alarms[:] = [connected for connected in _alarms if connected is not alarm.connected]


@dataclass
class Alarm:
    """What was heard: addresses somebody connected to, and names nobody has."""

    names: Names
    connected: list[tuple[Any, ...]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    ours: set[tuple[str, int]] = field(default_factory=set)

    def strayed(self) -> list[tuple[Any, ...]]:
        """The connections to anything but our own servers, once; whoever asks starts anew."""
        found = [address for address in self.connected if tuple(address[:2]) not in self.ours]
        self.connected.clear()
        return found


STATE = (
    "select post.uri, actor.uri as author, post.visibility, post.kind, post.published, post.content, post.summary, post.sensitive, post.in_reply_to "
    "from post join actor on actor.id = post.actor_id order by post.uri",
    "select one.uri as follower, two.uri as followed, follow.state from follow "
    "join actor one on one.id = follow.follower_id join actor two on two.id = follow.followed_id order by one.uri, two.uri",
    "select uri, state, username, handle_host, inbox, name, moved_to from actor order by uri",
    "select actor_key.uri, actor_key.public_key from actor_key join actor on actor.id = actor_key.actor_id where actor.local = 0",
    "select state, count(*) as n from arrival group by state",
    "select post_id, state from listing order by post_id",
)
"""What an attack must not change: posts, follows, actors, their keys, what was believed, the board."""


@dataclass
class Stage:
    """Everything a row needs. `reader` follows `victim` and `p1`, both know `reader`; `mallory` lives beside them, `other` elsewhere."""

    world: World
    site: Site
    alarm: Alarm
    reader: Person
    friend: Person
    peer: FakePeer
    elsewhere: FakePeer
    p1: FakeActor
    victim: FakeActor
    mallory: FakeActor
    other: FakeActor
    note: dict[str, Any]
    """A public post of `victim`, here since before."""
    secret: dict[str, Any]
    """A direct post of `victim` to `reader`."""
    said: Post
    """A public post of `reader`."""
    whispered: Post
    """A direct post of `reader` to `victim`."""
    fresh: int = 0
    seen: State | None = None
    """How the last row left everything; the next one begins there."""

    @property
    def inbox(self) -> str:
        return self.reader.actor.inbox

    @property
    def shared(self) -> str:
        return f"{self.site.base}/inbox"

    def direct(self, by: FakeActor | None = None, text: str = "<p>hello</p>", **members: Any) -> dict[str, Any]:
        """A direct post to `reader` that would be stored if it came rightly."""
        return (by or self.p1).direct(text, self.reader.uri, f"@{self.reader.handle}", **members)

    def create(self, by: FakeActor | None = None, **members: Any) -> dict[str, Any]:
        """A Create of such a post; its documents are not served, so nothing can be had by asking for it."""
        author = by or self.p1
        made = author.create(self.direct(author, **members))
        self.hide(made["object"])
        return made

    def hide(self, document: dict[str, Any]) -> None:
        """Takes a document off its server."""
        for peer in (self.peer, self.elsewhere):
            if document["id"].startswith(f"{peer.base}/"):
                peer.documents.pop(urlsplit(document["id"]).path, None)

    def stranger(self, peer: FakePeer | None = None, keys: str = "stranger", **overrides: Any) -> FakeActor:
        """An actor nobody met; `keys` names its pair, which strangers share, for making keys is slow."""
        self.fresh += 1
        where = peer or self.peer
        made = where.actor(f"s{self.fresh}", overrides=overrides)
        from tests.fakepeer import pair

        made.keys = pair(keys)
        return made

    async def send(self, activity: dict[str, Any] | bytes, by: FakeActor | None = None, inbox: str | None = None, **spoil: Any) -> Answer:
        """Posts an activity in an envelope (tests/attacks/envelope.py), spoiled as told."""
        body = activity if isinstance(activity, bytes) else json.dumps(activity, ensure_ascii=False).encode()
        url = inbox or self.inbox
        headers, sent = envelope(by or self.p1, url, body, self.world.clock.now(), **spoil)
        return await http("POST", url, headers, sent)

    async def raw(self, data: bytes, timeout: float = 10) -> Answer:
        """Exactly these bytes to the instance, and what it says."""
        return await http("GET", self.site.base, raw=data.replace(b"{host}", self.site.host.encode()), timeout=timeout)

    async def settle(self) -> None:
        await self.world.settle()

    async def state(self) -> State:
        """What an attack must not change."""

        async def read(tx: Transaction) -> list[Sequence[Row]]:
            return [await tx.all(sql) for sql in STATE]

        posts, follows, actors, keys, arrivals, listings = await self.site.instance.database.read(read)
        return {
            "posts": [tuple(dict(row).values()) for row in posts],
            "follows": [tuple(dict(row).values()) for row in follows],
            "actors": {row["uri"]: tuple(dict(row).values()) for row in actors},
            "keys": {row["uri"]: hashlib.sha256(bytes(row["public_key"])).hexdigest() for row in keys},
            "listings": [tuple(dict(row).values()) for row in listings],
            "home": await self.reader.reads(),
            "arrivals": {row["state"]: row["n"] for row in arrivals},
        }

    def forget(self) -> None:
        """Every row starts with limits nobody used up."""
        self.site.instance.limits = Limits()


def changes(before: State, after: State, *, kept: bool, met: bool) -> dict[str, Any]:
    """What is different, by name. `kept`: arrivals may have been stored (they were answered with 202); `met`: new actors and keys may be known."""
    found: dict[str, Any] = {}
    for name, old in before.items():
        new = after[name]
        if name == "arrivals":
            old, new = (old, new) if not kept else (None, None)
        elif name in {"actors", "keys"} and met:
            new = {key: value for key, value in new.items() if key in old}
        if old != new:
            found[name] = (old, new) if name == "arrivals" else _difference(old, new)
    return found


def _difference(old: Any, new: Any) -> dict[str, Any]:
    before, after = ([*one.items()] if isinstance(one, dict) else list(one) for one in (old, new))
    return {"gone": [one for one in before if one not in after], "new": [one for one in after if one not in before]}


@asynccontextmanager
async def set_up(world: World, software: str = "hypercorn") -> AsyncIterator[Stage]:
    """The stage, with everybody introduced."""
    async with alarmed() as alarm:
        site = await world.site("a", start=False, allow_networks='["127.0.0.1/32"]', inbox_per_host_per_minute="100000", request_seconds="3")
        await serve_really(site, software)
        peer, elsewhere = await world.peer(), await world.peer()
        alarm.ours = {("127.0.0.1", int(one.base.rpartition(":")[2])) for one in (site, peer, elsewhere)}
        reader, friend = await world.person("reader@a"), await world.person("friend@a")
        p1, victim, mallory, other = peer.actor("p1"), peer.actor("victim"), peer.actor("mallory"), elsewhere.actor("other")
        for actor in (p1, victim, mallory, other):
            await _meet(world, reader, actor)
        note, secret = victim.note("<p>true words</p>"), victim.direct("<p>a secret</p>", reader.uri, f"@{reader.handle}")
        for one in (note, secret):
            assert (await victim.send(victim.create(one), reader.actor.inbox)).status == 202
        await world.settle()
        said, whispered = await reader.post("said to all"), await reader.post("whispered", "direct", to=[victim.handle])
        await world.settle()
        stage = Stage(world, site, alarm, reader, friend, peer, elsewhere, p1, victim, mallory, other, note, secret, said, whispered)
        assert len(await reader.reads()) == 4
        # Answers of ours to follows have left; nothing of it belongs to a row.
        alarm.strayed()
        yield stage


async def serve_really(site: Site, software: str = "hypercorn") -> None:
    """Starts an instance behind the server of `fedmatch serve`, with the settings of production."""
    await site.start(web=False)
    up = asyncio.Event()
    address = f"127.0.0.1:{site.base.rpartition(':')[2]}"
    work = serve._hypercorn if software == "hypercorn" else serve._uvicorn
    from fedmatch import app

    site._tasks.append(asyncio.create_task(work(app.web(site.instance), site.instance, address, lambda _: up.set())))
    await up.wait()


async def _meet(world: World, reader: Person, actor: FakeActor) -> None:
    """The actor follows the reader; the reader follows `victim` and `p1`."""
    assert (await actor.send(actor.follow(reader.uri), reader.actor.inbox)).status == 202
    await world.settle()
    if actor.name in {"victim", "p1"}:
        await reader.follow(actor.handle)
        await world.settle()
        [follow] = [one for one in actor.peer.activities("Follow") if one["object"] == actor.id]
        assert (await actor.send(actor.activity("Accept", follow), reader.actor.inbox)).status == 202
        await world.settle()


Act = Callable[[Stage], Awaitable[Any]]


@dataclass(frozen=True)
class Case:
    """One line of the table: what is sent, which answers are right, and whether it may have an effect.

    `status` are the statuses allowed for every answer that `act` gives (0: the connection was closed without a word); `met`: the sender is new, so that its
    actor may be known afterwards; `effect`: it is lawful, and `act` has checked what it did.
    """

    row: str
    name: str
    act: Act
    status: frozenset[int]
    met: bool = False
    effect: bool = False


def answers_of(value: Any) -> list[Answer]:
    """The answers an act gave: none, one, or several."""
    if value is None:
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, Answer) else [value]
