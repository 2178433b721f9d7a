"""Actors whose servers write them in words of their own: fetched for their key, believed, stored, and changed by Update, all alike. One world for all."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas.activities import parse_actor
from schemas.profile_terms import plain
from tests.fakepeer import AS2, PUBLIC, FakeActor, FakePeer
from tests.wire import Reply
from tests.world import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")
Document = dict[str, Any]

AS = f"{AS2}#"
SPACES = {
    AS: ("type", "preferredUsername", "name", "summary", "url", "outbox", "followers", "following", "endpoints", "sharedInbox", "manuallyApprovesFollowers",
         "alsoKnownAs", "movedTo", "icon", "attachment", "published", "updated", "mediaType"),
    "http://www.w3.org/ns/ldp#": ("inbox",),
    "https://w3id.org/security#": ("publicKey", "owner", "publicKeyPem", "assertionMethod", "controller", "publicKeyMultibase"),
    "http://joinmastodon.org/ns#": ("featured", "discoverable", "suspended"),
    "http://schema.org#": ("value",),
    "https://purl.archive.org/socialweb/webfinger#": ("webfinger",),
}  # fmt: skip
IRIS = {"url", "outbox", "followers", "following", "sharedInbox", "inbox", "owner", "controller", "featured", "alsoKnownAs", "movedTo"}


def space_of(word: str) -> str:
    return next((space for space, words in SPACES.items() if word in words), AS)


def renamed(document: Any, name: Callable[[str], str], value: Callable[[str, Any], Any] = lambda _, value: value) -> Any:
    """A document with each member under another name, and each value in another form."""
    if isinstance(document, list):
        return [renamed(one, name, value) for one in document]
    if not isinstance(document, dict):
        return document
    return {name(word): value(word, renamed(inner, name, value)) for word, inner in document.items() if word != "@context"}


def keyword(word: str) -> str | None:
    return {"id": "@id", "type": "@type"}.get(word)


def prefixed(document: Document, prefixes: dict[str, str]) -> Document:
    spaces = {space: prefix for prefix, space in prefixes.items()}

    def name(word: str) -> str:
        return keyword(word) or f"{spaces[space_of(word)]}:{word}"

    def value(word: str, inner: Any) -> Any:
        if word == "type":
            return f"{spaces[AS]}:{inner}" if inner in ("Person", "Service") else inner
        return {"@id": inner} if word in IRIS and isinstance(inner, str) else inner

    return {"@context": [AS2, prefixes], **renamed(document, name, value)}


def expanded(document: Document) -> Document:
    def value(word: str, inner: Any) -> Any:
        if word == "id":
            return inner
        listed = inner if isinstance(inner, list) else [inner]
        if word == "type":
            return [f"{AS}{one}" for one in listed]
        return [one if isinstance(one, dict) else {"@id": one} if word in IRIS else {"@value": one} for one in listed]

    found: Document = renamed(document, lambda word: keyword(word) or space_of(word) + word, value)
    return found


def aliased(document: Document) -> Document:
    names = {"inbox": "letterbox", "preferredUsername": "nick", "publicKeyPem": "pem", "owner": "belongsTo", "name": "shown", "type": "kind"}
    context = {"letterbox": "ldp:inbox", "ldp": "http://www.w3.org/ns/ldp#", "nick": "as:preferredUsername", "shown": "as:name", "kind": "@type",
               "pem": {"@id": "https://w3id.org/security#publicKeyPem"}, "belongsTo": {"@id": "https://w3id.org/security#owner", "@type": "@id"}}  # fmt: skip
    return {"@context": [AS2, context], **renamed(document, lambda word: names.get(word, word))}


def but(**changes: Any) -> Callable[[Document], Document]:
    return lambda document: {name: value for name, value in (document | changes).items() if value is not None}


def listed(*members: str) -> Callable[[Document], Document]:
    return lambda document: document | {name: [document[name]] for name in members}


USUAL = {"as": AS, "ldp": "http://www.w3.org/ns/ldp#", "sec": "https://w3id.org/security#", "toot": "http://joinmastodon.org/ns#", "schema": "http://schema.org#",
         "wf": "https://purl.archive.org/socialweb/webfinger#"}  # fmt: skip
DIALECTS: dict[str, Callable[[Document], Document]] = {
    "plain": but(),
    "the usual prefixes": lambda document: prefixed(document, USUAL),
    "prefixes of its own": lambda document: prefixed(document, {f"x{prefix}": space for prefix, space in USUAL.items()}),
    "full names, expanded": expanded,
    "other names": aliased,
    "a list of types": lambda document: document | {"type": ["Person", "https://x.example/ns#Helper"]},
    "types, ours last": lambda document: document | {"type": ["https://x.example/ns#Helper", f"{AS}Person"]},
    "keys as a list": listed("publicKey"),
    "everything in lists": listed("publicKey", "inbox", "preferredUsername", "endpoints", "name", "summary", "manuallyApprovesFollowers", "outbox", "url"),
    "no endpoints": but(endpoints=None),
    "endpoints of nothing": but(endpoints={}),
    "endpoints as a list of nothing": but(endpoints=[]),
    "a shared inbox beside endpoints": lambda document: but(endpoints=None, sharedInbox=document["endpoints"]["sharedInbox"])(document),
    "no context": but(**{"@context": None}),
    "@id and @type": lambda document: {keyword(name) or name: value for name, value in document.items()},
    "numbers as texts and texts as numbers": but(published="1763626530", updated=176362, discoverable="true", name=7, totalItems="7", icon=3, attachment="x"),
    "nulls": lambda document: document | dict.fromkeys(("name", "summary", "url", "featured", "icon", "tag", "attachment", "movedTo", "alsoKnownAs")),
    "the least": lambda document: {name: document[name] for name in ("@context", "id", "type", "preferredUsername", "inbox", "publicKey")},
}  # fmt: skip


async def stored(amina: Person, actor: FakeActor) -> dict[str, Any]:
    sql = "select id, kind, username, inbox, shared_inbox, outbox, followers, name, summary, locked from actor where uri = :uri"
    [row] = await amina.site.rows(sql, uri=actor.id)
    return {name: row[name] for name in ("id", "kind", "username", "inbox", "shared_inbox", "outbox", "followers", "name", "summary", "locked")}


def speaks(actor: FakeActor, dialect: str) -> Document:
    """Its server shows the actor so from now on."""
    document = DIALECTS[dialect](actor.document())
    actor.peer.documents[f"/users/{actor.name}"] = document
    return document


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_actor_of_any_dialect_is_read(amina: Person, peer: FakePeer, dialect: str) -> None:
    # Given somebody whose server writes them so
    p1 = peer.actor("p1", overrides={"summary": "<p>who I am</p>"}, locked=True)
    speaks(p1, dialect)
    # When they follow, signed with a key that has to be found in that
    assert (await p1.send(p1.follow(amina.uri), amina.actor.inbox)).status == 202
    await amina.world.settle()
    # Then they are who they say, and their server hears the answer where it says
    found = await stored(amina, p1)
    least, bare = dialect == "the least", dialect in ("the least", "no endpoints", "endpoints of nothing", "endpoints as a list of nothing")
    assert (found["kind"], found["username"], found["inbox"]) == ("Person", "p1", p1.inbox)
    assert found["shared_inbox"] == (None if bare else f"{peer.base}/inbox")
    assert (found["outbox"], found["followers"], found["locked"]) == ((None, None, 0) if least else (f"{p1.id}/outbox", p1.followers, 1))
    if dialect not in ("the least", "nulls", "numbers as texts and texts as numbers"):
        assert (found["name"], found["summary"]) == ("P1", "<p>who I am</p>")
    assert [accept["object"]["actor"] for accept in peer.activities("Accept")] == [p1.id]
    keys = await amina.site.rows("select algorithm, proves from actor_key where actor_id = :id order by algorithm", id=found["id"])
    assert [(key["algorithm"], bool(key["proves"])) for key in keys] == ([("rsa", False)] if least else [("ed25519", True), ("rsa", False)])


@pytest.mark.parametrize("dialect", ["plain", "full names, expanded", "keys as a list", "@id and @type"])
async def test_a_profile_of_any_dialect_changes(amina: Person, peer: FakePeer, dialect: str) -> None:
    p1 = peer.actor("p1")
    speaks(p1, dialect)
    assert (await p1.send(p1.follow(amina.uri), amina.actor.inbox)).status == 202
    await amina.world.settle()
    # When it says that its profile is another, and its server says so too
    p1.overrides |= {"name": "Somebody else", "summary": "<p>changed</p>"}
    amina.world.clock.move(seconds=2)
    document = speaks(p1, dialect)
    context = document.pop("@context", AS2)
    update = {**p1.activity("Update", document, to=[PUBLIC]), "@context": context}
    assert (await p1.send(update, amina.actor.inbox)).status == 202
    await amina.world.settle()
    found = await stored(amina, p1)
    assert (found["name"], found["summary"]) == ("Somebody else", "<p>changed</p>")
    # Nobody else changes it, in any dialect
    eve = peer.actor("eve")
    p1.overrides |= {"name": "Forged"}
    forged = {**eve.activity("Update", DIALECTS[dialect](p1.document()), to=[PUBLIC]), "@context": context}
    assert (await eve.send(forged, amina.actor.inbox)).status in (202, 401, 403)
    await amina.world.settle()
    assert (await stored(amina, p1))["name"] == "Somebody else"


@pytest.mark.parametrize(("place", "form"), [("publicKey", "text"), ("assertionMethod", "object"), ("both", "list")])
async def test_a_key_that_the_actor_only_names_is_read_at_its_own_address(amina: Person, peer: FakePeer, place: str, form: str) -> None:
    # Given an actor that names its keys, which lie in documents of their own and say whose they are
    p1 = peer.actor("p1")
    whole = p1.document()
    rsa, edwards = whole["publicKey"], whole["assertionMethod"][0]
    rsa["id"], edwards["id"] = f"{p1.id}/main-key", f"{p1.id}/ed25519-key"
    named = {"text": lambda uri: uri, "object": lambda uri: {"id": uri}, "list": lambda uri: [uri]}[form]
    whole["publicKey"] = named(rsa["id"]) if place in ("publicKey", "both") else rsa
    whole["assertionMethod"] = named(edwards["id"]) if place in ("assertionMethod", "both") else [edwards]
    peer.documents |= {"/users/p1": whole, "/users/p1/main-key": {"@context": AS2, **rsa}, "/users/p1/ed25519-key": {"@context": AS2, **edwards}}
    # When they speak, their key is found, whether the letter or the profile leads to it
    follow = p1.follow(amina.uri)
    p1.__class__ = type("Named", (FakeActor,), {"key_id": property(lambda self: f"{self.id}/main-key")})
    assert (await p1.send(follow, amina.actor.inbox)).status == 202
    await amina.world.settle()
    found = await stored(amina, p1)
    keys = await amina.site.rows("select uri, algorithm, proves from actor_key where actor_id = :id order by algorithm", id=found["id"])
    assert [(key["uri"], key["algorithm"], bool(key["proves"])) for key in keys] == [(edwards["id"], "ed25519", True), (rsa["id"], "rsa", False)]


@pytest.mark.parametrize("case", ["of another", "missing", "under another id", "on another host", "a stranger's word"])
async def test_a_key_that_is_named_and_not_its_own_opens_nothing(amina: Person, peer: FakePeer, case: str) -> None:
    p1, eve = peer.actor("p1"), peer.actor("eve")
    whole, key = p1.document(), f"{p1.id}/main-key"
    rsa = whole["publicKey"] | {"id": key}
    elsewhere = await amina.world.peer()
    match case:
        case "of another":
            rsa["owner"] = eve.id
        case "under another id":
            rsa["id"] = f"{p1.id}/other-key"
        case "on another host":
            key = rsa["id"] = f"{elsewhere.base}/users/p1/main-key"
            elsewhere.documents["/users/p1/main-key"] = {"@context": AS2, **rsa}
        case "a stranger's word":
            whole["publicKey"] = eve.document()["publicKey"]
    if case != "a stranger's word":
        whole["publicKey"] = key
    peer.documents |= {"/users/p1": whole, "/users/p1/main-key": {"@context": AS2, **rsa}}
    if case == "missing":
        peer.always("/users/p1/main-key", Reply(404))
    p1.__class__ = type("Named", (FakeActor,), {"key_id": property(lambda self: key)})
    assert (await p1.send(p1.follow(amina.uri), amina.actor.inbox)).status == 401
    await amina.world.settle()
    assert peer.activities("Accept") == []
    assert elsewhere.asked("/users/p1") == []
    assert await amina.site.count("actor_key", "uri = :uri", uri=key) == 0


async def test_an_actor_means_the_same_to_both_of_its_readers() -> None:
    """Whose document it is, a plain member says; and no context gives a name of ours another meaning."""
    document: Document = {
        "@context": [AS2, {"inbox": "https://evil.example/#x", "who": "@id", "as": "https://evil.example/#", "e": AS}],
        "as:id": "https://evil.example/users/e", "who": "https://evil.example/users/e", "id": "https://peer.example/users/a",
        "type": "Person", "preferredUsername": "a", "e:inbox": "https://peer.example/evil", "inbox": "https://peer.example/inbox", "e:name": "A",
    }  # fmt: skip
    found = parse_actor(document)
    assert (found.id, found.inbox, found.name) == ("https://peer.example/users/a", "https://peer.example/inbox", "A")
    bare = {"id": "https://peer.example/users/a", "type": "Person", "name": "x"}
    assert plain(bare) is bare
    # Whatever its context holds, it ends, and soon
    deep: Any = {"@value": 1}
    for _ in range(40):
        deep = {"as:endpoints": [deep]}
    for context in ([[]], {"a": {"@id": 5}}, {f"t{at}": f"t{at + 1}:x" for at in range(10_000)}, {"a": "a:a", "b": {"@id": None}}, "x", 7, None):
        assert json.dumps(plain({"@context": context, "@id": "https://peer.example/users/a", "as:name": deep}))
