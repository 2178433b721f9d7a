"""How does a test put something into an inbox? Requests signed by code of the tests' own, handed to the door as a server would hand them over."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from actors import known, local
from actors.known import Actor
from fedmatch.database.engine import Engine
from inbox.door import Door
from inbox.work import Arrivals
from schemas.reading import Message, Receive, Send
from schemas.storage import Transaction
from tests.house import PAIR, House, build, configure
from tests.signing import signed

AS2 = "https://www.w3.org/ns/activitystreams"
PUBLIC = f"{AS2}#Public"
HOST = "ours.example"


def _rsa(der: bytes) -> RSAPrivateKey:
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)
    return key


KEY = _rsa(PAIR.rsa_private)
"""What every stranger of tests/house.py signs with."""


@dataclass(frozen=True, slots=True)
class Got:
    """What the door answered."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def error(self) -> dict[str, str]:
        return json.loads(self.body)


async def _elsewhere(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"not the door's"})


async def knock(
    house: House, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, path: str = "/inbox", method: str = "POST", parts: int = 1, query: bytes = b""
) -> Got:
    """One request at the door, its body in `parts` pieces."""
    size = -(-len(body) // parts) or 1
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query, "headers": list(headers), "client": None}
    await Door(_elsewhere, house.instance)(scope, receive, send)
    return Got(sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:]))


def envelope(
    house: House, sender: Actor | str, body: bytes, *, path: str = "/inbox", mode: str = "cavage", key: RSAPrivateKey = KEY, host: str = HOST
) -> list[tuple[bytes, bytes]]:
    """The headers of a POST signed by `sender` (an actor, or a key id)."""
    key_id = sender if isinstance(sender, str) else f"{sender.uri}#main-key"
    lines = signed(key, key_id, "POST", host, path, body, house.clock.now(), mode, STRANGER)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    return headers if any(name == b"content-type" for name, _ in headers) else [*headers, (b"content-type", b"application/activity+json")]


async def post(
    house: House, sender: Actor | str, activity: dict[str, Any] | bytes, *, path: str = "/inbox", mode: str = "cavage", key: RSAPrivateKey = KEY, parts: int = 1
) -> Got:
    """Posts an activity, signed by `sender` in a mode of tests/signing.py."""
    body = activity if isinstance(activity, bytes) else json.dumps(activity).encode()
    headers = envelope(house, sender, body, path=path, mode=mode, key=key)
    return await knock(house, headers, body.replace(b'"', b' "', 1) if mode == "broken:body" else body, path=path, parts=parts)


def note(author: Actor, number: int = 1, content: str = "<p>Hello</p>", **members: Any) -> dict[str, Any]:
    """A public Note of a stranger."""
    home = author.uri.rpartition("/users/")[0]
    return {
        "id": f"{home}/notes/{number}", "type": "Note", "attributedTo": author.uri, "content": content, "published": "2026-03-01T11:55:00Z",
        "to": [PUBLIC], "cc": [f"{author.uri}/followers"], **members,
    }  # fmt: skip


def activity(author: Actor, kind: str, object: object, number: int | str = 1, **members: Any) -> dict[str, Any]:
    """An activity of a stranger."""
    home = author.uri.rpartition("/users/")[0]
    return {"@context": AS2, "id": f"{home}/activities/{number}", "type": kind, "actor": author.uri, "object": object, **members}


@asynccontextmanager
async def move_in(database: Engine, folder: Path, *, furnished: bool = True, **changes: Any) -> AsyncIterator[House]:
    """A house with its instance actor (`furnished`), ready to look others up; its keys are those of everybody else, for making keys is slow."""
    house = await build(database, configure(folder, **changes))
    if furnished:
        await house.write(local._create_application, house.instance, PAIR)
    try:
        yield house
    finally:
        await house.instance.network.close()


async def work(house: House, limit_s: float = 20) -> Arrivals:
    """Lets a worker handle what is due now, and stops it."""
    arrivals, stop = Arrivals(house.instance), asyncio.Event()
    house.instance.wake = lambda kind: arrivals.wake() if kind == "arrival" else None
    task = asyncio.create_task(arrivals.run(stop))
    try:
        async with asyncio.timeout(limit_s):
            while not task.done() and await house.read(_due, house.clock.ms()):
                await asyncio.sleep(0.005)
    finally:
        stop.set()
        await task
    return arrivals


async def _due(tx: Transaction, now: int) -> int:
    row = await tx.one("select count(*) as due from arrival where state in ('waiting', 'unverified') and (run_at <= :now or lease_until > :now)", now=now)
    assert row is not None
    return int(row["due"])


async def rows(house: House, sql: str, **values: Any) -> list[dict[str, Any]]:
    """What a query gives, as plain dicts."""

    async def read(tx: Transaction) -> list[dict[str, Any]]:
        return [dict(row) for row in await tx.all(sql, **values)]

    return await house.read(read)


def _stranger() -> RSAPrivateKey:
    from actors.keys import _make

    return _rsa(_make().rsa_private)


STRANGER = _stranger()


FOLLOW = "insert into follow (id, uri, follower_id, followed_id, state, created_at, changed_at) values (:id, :uri, :follower, :followed, 'accepted', 1, 1)"


async def followed(house: House, name: str = "bo", host: str = "theirs.example") -> Actor:
    """A stranger whom one of ours follows, so that what they write is stored."""
    amina = await house.read(known.by_name, "amina") or await house.person("amina")
    stranger = await house.stranger(name, host)

    async def follow(tx: Transaction) -> None:
        await tx.execute(FOLLOW, id=house.instance.ids.new(), uri=f"https://ours.example/activities/{stranger.id}", follower=amina.id, followed=stranger.id)

    await house.write(follow)
    return stranger
