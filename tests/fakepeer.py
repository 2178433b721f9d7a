"""What does another server say, when we decide what it says? A real HTTP server on loopback with programmable actors, keys, answers and documents, and a log.

It checks our signatures with code of its own (tests/signing.py) and refuses, as real peers do, what does not verify.
"""

import itertools
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.messages import message_signed, message_verdict
from tests.signing import Pair, key_id_of, make_pair, multibase, pem, signed, verdict
from tests.wire import Answer, Asked, Reply, Server, http, reply_json

AS2 = "https://www.w3.org/ns/activitystreams"
PUBLIC = f"{AS2}#Public"
AP = "application/activity+json"

_pairs: dict[str, Pair] = {}


def pair(name: str) -> Pair:
    """The keys of that name, made once in a test run (names are reused in fresh peers with fresh ports)."""
    if name not in _pairs:
        _pairs[name] = make_pair()
    return _pairs[name]


@dataclass(frozen=True, slots=True)
class Heard:
    """One request the peer received. `signature` is `valid`, `none`, or why it does not hold; `status` is what we answered (0: nothing)."""

    asked: Asked
    signature: str
    status: int

    @property
    def activity(self) -> dict[str, Any]:
        return self.asked.json


@dataclass
class FakeActor:
    """An actor of the fake peer: makes documents as its own server would."""

    peer: "FakePeer"
    name: str
    kind: str = "Person"
    locked: bool = False
    shared_inbox: bool = True
    overrides: dict[str, Any] = field(default_factory=dict)
    keys: Pair = field(init=False)

    def __post_init__(self) -> None:
        self.keys = pair(self.name)

    @property
    def id(self) -> str:
        return f"{self.peer.base}/users/{self.name}"

    @property
    def handle(self) -> str:
        return f"{self.name}@{self.peer.host}"

    @property
    def inbox(self) -> str:
        return f"{self.id}/inbox"

    @property
    def followers(self) -> str:
        return f"{self.id}/followers"

    @property
    def key_id(self) -> str:
        return f"{self.id}#main-key"

    def document(self) -> dict[str, Any]:
        """The actor document, with this actor's overrides (a value None removes the member)."""
        document: dict[str, Any] = {
            "@context": [AS2, "https://w3id.org/security/v1"],
            "id": self.id,
            "type": self.kind,
            "preferredUsername": self.name,
            "name": self.name.title(),
            "url": f"{self.peer.base}/@{self.name}",
            "inbox": self.inbox,
            "outbox": f"{self.id}/outbox",
            "followers": self.followers,
            "following": f"{self.id}/following",
            "manuallyApprovesFollowers": self.locked,
            "publicKey": {"id": self.key_id, "owner": self.id, "publicKeyPem": pem(self.keys.rsa)},
            "assertionMethod": [
                {"id": f"{self.id}#ed25519-key", "type": "Multikey", "controller": self.id, "publicKeyMultibase": multibase(self.keys.ed25519)},
            ],
        }
        if self.shared_inbox:
            document["endpoints"] = {"sharedInbox": f"{self.peer.base}/inbox"}
        document |= self.overrides
        return {key: value for key, value in document.items() if value is not None}

    def activity(self, kind: str, object: object, **members: Any) -> dict[str, Any]:
        """An activity of this actor with an id of its own."""
        return {"@context": AS2, "id": f"{self.peer.base}/activities/{next(self.peer.counter)}", "type": kind, "actor": self.id, "object": object, **members}

    def note(self, content: str, *, to: list[str] | None = None, cc: list[str] | None = None, **members: Any) -> dict[str, Any]:
        """A Note of this actor, public to its followers unless said otherwise; it is also served at its id."""
        number = next(self.peer.counter)
        note = {
            "id": f"{self.peer.base}/notes/{number}",
            "type": "Note",
            "attributedTo": self.id,
            "content": content,
            "published": self.peer.stamp(),
            "to": [PUBLIC] if to is None else to,
            "cc": ([self.followers] if to is None else []) if cc is None else cc,
            **members,
        }
        self.peer.documents[f"/notes/{number}"] = {"@context": AS2, **note}
        return note

    def direct(self, content: str, to: str, name: str, **members: Any) -> dict[str, Any]:
        """A direct Note to one actor, with its Mention."""
        return self.note(content, to=[to], cc=[], tag=[{"type": "Mention", "href": to, "name": name}], **members)

    def create(self, note: dict[str, Any], **members: Any) -> dict[str, Any]:
        return self.activity("Create", note, to=note["to"], cc=note["cc"], published=note["published"], **members)

    def update(self, note: dict[str, Any], **changes: Any) -> dict[str, Any]:
        changed = {**note, "updated": self.peer.stamp(), **changes}
        return self.activity("Update", changed, to=note["to"], cc=note["cc"])

    def delete(self, note: dict[str, Any]) -> dict[str, Any]:
        self.peer.documents.pop(urlsplit(note["id"]).path, None)
        return self.activity("Delete", {"id": note["id"], "type": "Tombstone"}, to=[PUBLIC])

    def follow(self, whom: str) -> dict[str, Any]:
        return self.activity("Follow", whom)

    async def send(
        self,
        activity: dict[str, Any] | bytes,
        inbox: str,
        mode: str = "cavage",
        *,
        key: str = "rsa",
        repeat: int = 1,
        more: tuple[tuple[str, str], ...] = (),
        unsigned: tuple[tuple[str, str], ...] = (),
    ) -> Answer:
        """Posts an activity to an inbox, signed in `mode` (`rfc9421`, or one of tests/signing.py); the last of `repeat` identical requests answers.

        `more` are headers beside it that are signed too (not with `rfc9421`), `unsigned` such that are not.
        """
        body = activity if isinstance(activity, bytes) else json.dumps(activity, ensure_ascii=False).encode()
        parts = urlsplit(inbox)
        private = self.keys.rsa if key == "rsa" else self.keys.ed25519
        key_id = self.key_id if key == "rsa" else f"{self.id}#ed25519-key"
        if mode == "rfc9421":
            headers = message_signed(private, key_id, "POST", inbox, body, self.peer.now())
        else:
            headers = signed(private, key_id, "POST", parts.netloc, parts.path, body, self.peer.now(), mode, pair("a stranger").rsa, more)
        headers = [*headers, *unsigned]
        sent = body.replace(b'"', b' "', 1) if mode == "broken:body" else body
        answer = Answer(0)
        for _ in range(repeat):
            answer = await http("POST", inbox, headers, sent)
        return answer

    async def get(self, url: str, mode: str = "cavage") -> Answer:
        """A GET signed by this actor (mode `none`: unsigned)."""
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        if mode == "rfc9421":
            headers = message_signed(self.keys.rsa, self.key_id, "GET", url, None, self.peer.now())
        else:
            headers = signed(self.keys.rsa, self.key_id, "GET", parts.netloc, target, None, self.peer.now(), mode, pair("a stranger").rsa)
        return await http("GET", url, [*headers, ("Accept", AP)])


class FakePeer:
    """Another server. Everything it hears is in `log`; what it says can be set by path in `replies` and `documents`."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        self.actors: dict[str, FakeActor] = {}
        self.documents: dict[str, Any] = {}
        self.log: list[Heard] = []
        self.counter = itertools.count(1)
        self.strict = True
        """Refuse POSTs whose signature does not hold with 401, as real peers do."""
        self.reads = {"cavage", "rfc9421"}
        """The signature schemes this peer reads; one in another is as none."""
        self.reads_query = True
        """Whether the query is part of what draft-cavage signs; Fedify and Misskey take the path alone."""
        self.guarded = False
        """Show documents to signed requests only, but for the actor called `actor`."""
        self._replies: dict[str, deque[Reply]] = defaultdict(deque)
        self._always: dict[str, Reply] = {}
        self._keys: dict[str, str] = {}
        self._server = Server(self._answer)

    async def start(self, port: int = 0, name: str = "localhost", address: str = "127.0.0.1") -> "FakePeer":
        await self._server.start(port, address)
        self.host = f"{name}:{self._server.port}"
        self.port = self._server.port
        self.base = f"http://{self.host}"
        return self

    async def stop(self) -> None:
        await self._server.stop()

    def stamp(self) -> str:
        """Now, as `published` is written."""
        return self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def actor(self, name: str, kind: str = "Person", **more: Any) -> FakeActor:
        """A new actor, known to this peer's WebFinger and served at its id."""
        self.actors[name] = FakeActor(self, name, kind, **more)
        return self.actors[name]

    def replies(self, path: str, *replies: Reply) -> None:
        """The next requests to `path` get these answers, one each; then it behaves as usual again."""
        self._replies[path].extend(replies)

    def always(self, path: str, reply: Reply | None) -> None:
        """Every request to `path` gets this answer from now on; None ends it."""
        if reply is None:
            self._always.pop(path, None)
        else:
            self._always[path] = reply

    def activities(self, kind: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
        """The activities that were taken in (2xx), oldest first; of one type, at one inbox path."""
        taken = [heard for heard in self.log if heard.asked.method == "POST" and 200 <= heard.status < 300 and (path is None or heard.asked.path == path)]
        return [heard.activity for heard in taken if kind is None or heard.activity["type"] == kind]

    def asked(self, path: str, method: str = "GET") -> list[Heard]:
        """The requests to one path."""
        return [heard for heard in self.log if heard.asked.path == path and heard.asked.method == method]

    async def _answer(self, asked: Asked) -> Reply:
        signature = await self._signature(asked) if asked.header("signature") else "none"
        reply = self._reply(asked, signature)
        self.log.append(Heard(asked, signature, 0 if reply.hang or reply.drop else reply.status))
        return reply

    def _reply(self, asked: Asked, signature: str) -> Reply:
        if self._replies[asked.path]:
            return self._replies[asked.path].popleft()
        if asked.path in self._always:
            return self._always[asked.path]
        if asked.method == "POST":
            if self.strict and signature != "valid":
                return reply_json({"error": signature}, 401)
            return Reply(202)
        if self.guarded and signature != "valid" and not asked.path.startswith(("/.well-known/", "/users/actor")):
            return reply_json({"error": signature}, 401)
        return self._document(asked)

    def _document(self, asked: Asked) -> Reply:
        parts = asked.path.strip("/").split("/")
        if asked.path in self.documents:
            return reply_json(self.documents[asked.path])
        if asked.path == "/.well-known/webfinger":
            return self._webfinger(parse_qs(asked.target.partition("?")[2]).get("resource", [""])[0])
        if parts[0] == "users" and len(parts) > 1 and parts[1] in self.actors:
            actor = self.actors[parts[1]]
            if len(parts) == 2:
                return reply_json(actor.document())
            return reply_json({"@context": AS2, "id": f"{self.base}{asked.path}", "type": "OrderedCollection", "totalItems": 0, "orderedItems": []})
        return Reply(404, b"{}")

    def _webfinger(self, resource: str) -> Reply:
        for actor in self.actors.values():
            if resource in {f"acct:{actor.handle}", actor.id}:
                links = [{"rel": "self", "type": AP, "href": actor.id}]
                return reply_json({"subject": f"acct:{actor.handle}", "aliases": [actor.id], "links": links}, content_type="application/jrd+json")
        return Reply(404, b"{}")

    async def _signature(self, asked: Asked) -> str:
        scheme = "rfc9421" if asked.header("signature-input") else "cavage"
        if scheme not in self.reads:
            return f"no {scheme} is read here"
        stated = re.search(r'keyid="([^"]+)"', asked.header("signature-input"))
        key_id = stated[1] if stated else key_id_of(asked.header("signature"))
        public = await self._key(key_id)
        if not public.startswith("-----"):
            return public
        if scheme == "rfc9421":
            return message_verdict(asked.method, f"{self.base}{asked.target}", dict(asked.headers), asked.body, public, self.now())
        return verdict(asked.method, asked.target if self.reads_query else asked.path, dict(asked.headers), asked.body, public, self.now(), self.host)

    async def _key(self, key_id: str) -> str:
        """The public key with this id as PEM, or why there is none."""
        owner = key_id.partition("#")[0]
        if key_id not in self._keys and owner not in self._keys:
            try:
                answer = await http("GET", owner, [("Accept", AP), *await self._own_signature(owner)])
            except (OSError, ValueError):
                return "key unreachable"
            if answer.status != 200:
                return f"key {answer.status}"
            document = answer.json
            listed = document["publicKey"] if isinstance(document["publicKey"], list) else [document["publicKey"]]
            found = next((key for key in listed if key["id"] == key_id), None)
            if found is None or found["owner"] != document["id"] or document["id"] != owner:
                return "key owner"
            self._keys[key_id] = found["publicKeyPem"]
        return self._keys.get(key_id) or self._keys[owner]

    async def _own_signature(self, url: str) -> list[tuple[str, str]]:
        """What this peer signs its own look-ups with: its actor called `actor`, if it has one."""
        actor = self.actors.get("actor")
        if actor is None:
            return []
        parts = urlsplit(url)
        return signed(actor.keys.rsa, actor.key_id, "GET", parts.netloc, parts.path, None, self.now())
