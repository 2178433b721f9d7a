"""Rows A014-A022: keys, whose they are, and what looking for them may cost."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from actors import remote
from actors.hosts import BadUrl
from actors.outbound import Network
from actors.signatures import knock
from actors.targets import target
from tests.attacks.envelope import http_date
from tests.attacks.stage import Act, Case, Stage
from tests.fakepeer import AP, AS2, pair
from tests.signing import pem
from tests.wire import Answer, Reply, http, reply_json

UNAUTHORISED = frozenset({401})
REFUSED = frozenset({400, 401})
TAKEN = frozenset({202})


# A014, A016, A017: strangers whose own documents are the attack.


async def key_on_another_host(stage: Stage) -> Answer:
    thief = stage.stranger(stage.elsewhere)
    thief.overrides["publicKey"] = {"id": f"{thief.id}#main-key", "owner": stage.victim.id, "publicKeyPem": pem(thief.keys.rsa)}
    return await stage.send(stage.create(stage.victim), thief)


def listed(**key: Any) -> Act:
    """A stranger whose actor lists its key like this; None leaves a member out."""

    async def act(stage: Stage) -> Answer:
        stranger = stage.stranger()
        said = {"id": stranger.key_id, "owner": stranger.id, "publicKeyPem": pem(stranger.keys.rsa)}
        filled = {name: value.replace("VICTIM", stage.victim.id) if isinstance(value, str) else value for name, value in key.items()}
        stranger.overrides |= {"publicKey": {name: value for name, value in (said | filled).items() if value is not None}, "assertionMethod": None}
        return await stage.send(stage.create(stranger), stranger)

    return act


async def key_document_of_another(stage: Stage) -> Answer:
    """A key document on its own path whose owner does not list it."""
    stranger = stage.stranger()
    path = f"/keys/{stranger.name}"
    stage.peer.documents[path] = {
        "@context": AS2,
        "id": f"{stage.peer.base}{path}",
        "owner": stage.victim.id,
        "publicKeyPem": pem(stranger.keys.rsa),
    }
    return await stage.send(stage.create(stage.victim), stranger, key_id=f"{stage.peer.base}{path}")


async def no_keys_listed(stage: Stage) -> Answer:
    stranger = stage.stranger(publicKey=None, assertionMethod=None)
    return await stage.send(stage.create(stranger), stranger)


async def one_key_two_actors(stage: Stage) -> list[Answer]:
    """The second of two actors that list one key id may not speak as the first, nor the first as the second."""
    first = stage.stranger()
    second = stage.stranger(keys="another")
    second.overrides["publicKey"] = {"id": first.key_id, "owner": second.id, "publicKeyPem": pem(second.keys.rsa)}
    return [
        await stage.send(stage.create(first), second, key_id=first.key_id),
        await stage.send(stage.create(second), second, key_id=first.key_id),
    ]


# A015


def named(key_id: str) -> Act:
    async def act(stage: Stage) -> Answer:
        filled = key_id.replace("PEER", stage.peer.host).replace("OURS", stage.site.host)
        # Our own server too must not be asked, and the alarm does not hear that: it hears the test talk to it.
        with patch.object(Network, "get", autospec=True, side_effect=AssertionError("something was fetched")) as asked:
            answer = await stage.send(stage.create(), key_id=filled)
        assert not asked.called, "something was fetched"
        return answer

    return act


async def signed_by_ours(stage: Stage) -> Answer:
    """Really signed with a private key of ours, as whoever stole one would: our own people never speak to us over HTTP."""
    instance, reader = stage.site.instance, stage.reader.actor
    note = {"type": "Note", "id": f"{stage.site.base}/posts/1", "attributedTo": reader.uri, "content": "<p>stolen</p>", "to": [stage.friend.uri], "cc": []}
    create = {"type": "Create", "id": f"{note['id']}/activity", "actor": reader.uri, "object": note, "to": note["to"], "cc": []}
    body, url = json.dumps(create).encode(), stage.friend.actor.inbox
    key = await instance.keys.private(instance, reader.id)
    headers = {"Content-Type": "application/activity+json"}
    signed = knock.sign("cavage", key, "POST", url, headers, body, stage.world.clock.now())
    return await http("POST", url, list(signed.items()), body)


async def plain_http(_: Stage) -> None:
    """In production nothing is asked for without TLS: no key, no actor, no hop of a redirect."""
    for url in ("http://peer.example/users/p1", "http://peer.example:443/users/p1", "HTTP://peer.example/users/p1"):
        with pytest.raises(BadUrl):
            target(url, plain_http=False, any_port=False)


# A016


def identified(change: Callable[[str], Any]) -> Act:
    """A stranger whose document is served at one place and says that it is another."""

    async def act(stage: Stage) -> Answer:
        stranger = stage.stranger()
        stranger.overrides["id"] = change(stranger.id)
        claimed = stranger.overrides["id"]
        create = json.dumps(stage.create(stranger))
        said = create.replace(f'"{stranger.id}"', json.dumps(claimed)) if isinstance(claimed, str) and claimed else create
        return await stage.send(said.encode(), stranger)

    return act


# A017


def der(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([0x80 + (length.bit_length() + 7) // 8]) + length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag]) + size + content


def whole(number: int) -> bytes:
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def spki(modulus: int, exponent: int) -> str:
    """An RSA key as PEM, written by hand: libraries refuse to write such keys."""
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    raw = der(0x30, algorithm + der(3, b"\0" + der(0x30, whole(modulus) + whole(exponent))))
    text = base64.b64encode(raw).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"


def odd(bits: int) -> int:
    return int.from_bytes(hashlib.shake_256(b"modulus").digest(bits // 8), "big") | (1 << (bits - 1)) | 1


def keyed(text: Callable[[], str] | None = None, make: Callable[[], Any] | None = None) -> Act:
    """A stranger with such a key. Where `make` gives a private one, the signature really is its."""

    async def act(stage: Stage) -> Answer:
        stranger = stage.stranger()
        key = make() if make else None
        shown = text() if text else pem(key)
        stranger.overrides |= {"publicKey": {"id": stranger.key_id, "owner": stranger.id, "publicKeyPem": shown}, "assertionMethod": None}
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return await stage.send(
                stage.create(stranger), stranger, sign=lambda said: base64.b64encode(key.sign(said.encode(), ec.ECDSA(hashes.SHA256()))).decode()
            )
        return await stage.send(stage.create(stranger), stranger, key=key)

    return act


def private_pem() -> str:
    key = pair("stranger").rsa
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


# A018, A019, A020


async def rotated(stage: Stage) -> list[Answer]:
    """After a change of key the new one holds, at the price of one look, and the old one does not any more."""
    actor = stage.stranger(keys="before")
    first = await stage.send(actor.follow(stage.reader.uri), actor)
    await stage.settle()
    old = actor.keys
    actor.keys = pair("after")
    stage.forget()
    asked = len(stage.peer.asked(f"/users/{actor.name}"))
    second = await stage.send(actor.activity("Like", stage.said.uri), actor)
    assert len(stage.peer.asked(f"/users/{actor.name}")) - asked == 1
    assert (first.status, second.status) == (202, 202)
    return [await stage.send(stage.create(actor), actor, key=old.rsa) for _ in range(5)]


async def rotation_asks_once(stage: Stage) -> list[Answer]:
    asked = len(stage.peer.asked("/users/p1"))
    answers = [await stage.send(stage.create(), key=pair("after").rsa) for _ in range(8)]
    assert len(stage.peer.asked("/users/p1")) - asked <= 1
    return answers


async def ten_thousand_keys(stage: Stage) -> list[Answer]:
    """Not ten thousand, but as many as show that the number of looks does not grow with the number of letters."""
    asked = len(stage.elsewhere.log)
    letters = [stage.send(stage.create(stage.other), stage.other, key_id=f"{stage.elsewhere.base}/users/k{number}#main-key") for number in range(150)]
    answers = await asyncio.gather(*letters)
    assert len(stage.elsewhere.log) - asked <= 30, len(stage.elsewhere.log) - asked
    return list(answers)


def unreachable(reply: Reply, bound_s: float = 5) -> Act:
    """The key's server behaves like this. The bound of 10 s for all of a look is shortened, so that the test need not wait for it."""

    async def act(stage: Stage) -> Answer:
        assert remote.LOOKUP_S == 10
        stranger = stage.stranger()
        path = f"/users/{stranger.name}"
        stage.peer.always(path, reply)
        with patch.object(remote, "LOOKUP_S", 0.4):
            async with asyncio.timeout(bound_s):
                answer = await stage.send(stage.create(stranger), stranger)
        stage.peer.always(path, None)
        assert answer.status == 401 or answer.header("retry-after")
        return answer

    return act


async def dripping(stage: Stage) -> Answer:
    """The key's server says a byte now and then: no single read takes long, all of it has a deadline."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {AP}\r\nContent-Length: 4000\r\n\r\n".encode())
            for _ in range(100):
                writer.write(b"{")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    stage.alarm.ours.add(("127.0.0.1", port))
    create = json.loads(json.dumps(stage.create()).replace(stage.peer.base, f"http://localhost:{port}"))
    with patch.object(remote, "LOOKUP_S", 0.4):
        async with asyncio.timeout(3):
            answer = await stage.send(create, key_id=f"{create['actor']}#main-key")
    listening.close()
    assert answer.header("retry-after")
    return answer


async def redirected_for_ever(stage: Stage) -> Answer:
    stranger = stage.stranger()
    asked = len(stage.peer.log)
    stage.peer.always(f"/users/{stranger.name}", Reply(302, headers=(("Location", stranger.id),)))
    answer = await stage.send(stage.create(stranger), stranger)
    assert len(stage.peer.log) - asked <= 5
    return answer


# A021


async def got(stage: Stage, url: str, by: Any = None, **spoil: Any) -> Answer:
    from tests.attacks.envelope import envelope

    headers, _ = envelope(by or stage.p1, url, None, stage.world.clock.now(), method="GET", **spoil)
    return await http("GET", url, [*headers, ("Accept", AP)])


def reading(by: str = "p1", *, query: str = "", at: Callable[[Stage], str] = lambda stage: stage.whispered.uri, **spoil: Any) -> Act:
    async def act(stage: Stage) -> Answer:
        return await got(stage, at(stage) + query, getattr(stage, by), **spoil)

    return act


async def reads_its_own(stage: Stage) -> list[Answer]:
    """Whom it is for may read it, whatever the query says."""
    return [await got(stage, stage.whispered.uri, stage.victim), await got(stage, stage.whispered.uri + "?x=1", stage.victim)]


async def the_same_as_missing(stage: Stage) -> list[Answer]:
    hidden = await got(stage, stage.whispered.uri, stage.other)
    missing = await got(stage, f"{stage.site.base}/posts/1", stage.other)
    unsigned = await stage.site.get(stage.whispered.uri)
    assert hidden.body == missing.body == unsigned.body
    return [hidden, missing, unsigned]


# A022


def departed(status: int) -> Act:
    """A Delete of itself by somebody we never met, whose key is gone."""

    async def act(stage: Stage) -> Answer:
        gone = stage.stranger()
        stage.peer.actors.pop(gone.name)
        stage.peer.always(f"/users/{gone.name}", reply_json({}, status))
        asked = len(stage.peer.log)
        answer = await stage.send(gone.activity("Delete", gone.id), gone, stage.shared)
        await stage.settle()
        assert len(stage.peer.log) == asked, "it was looked up"
        return answer

    return act


async def known_and_gone(stage: Stage) -> Answer:
    """A known actor whose own server says 410: its Delete is believed, though nobody can sign it any more."""
    gone = stage.stranger()
    assert (await stage.send(gone.follow(stage.reader.uri), gone)).status == 202
    await stage.settle()
    stage.peer.always(f"/users/{gone.name}", reply_json({}, 410))
    answer = await stage.send(gone.activity("Delete", gone.id), gone, stage.shared, key=pair("another").rsa)
    await stage.settle()
    assert [row["state"] for row in await stage.site.rows("select state from actor where uri = :uri", uri=gone.id)] == ["gone"]
    return answer


def known_and_not_gone(status: int) -> Act:
    """The same, but its server says something else: no farewell."""

    async def act(stage: Stage) -> Answer:
        there = stage.stranger()
        assert (await stage.send(there.follow(stage.reader.uri), there)).status == 202
        await stage.settle()
        if status != 200:
            stage.peer.always(f"/users/{there.name}", reply_json({}, status))
        answer = await stage.send(there.activity("Delete", there.id), there, stage.shared, key=pair("another").rsa)
        assert [row["state"] for row in await stage.site.rows("select state from actor where uri = :uri", uri=there.id)] == ["active"]
        return answer

    return act


def dated_get(by: str, **ahead: float) -> Act:
    async def act(stage: Stage) -> Answer:
        return await got(stage, stage.whispered.uri, getattr(stage, by), change={"date": http_date(stage.world.clock.now(), **ahead)})

    return act


def rows() -> list[Case]:
    """The table."""
    found: list[Case] = []

    def case(row: str, name: str, act: Act, status: frozenset[int] = UNAUTHORISED, **more: bool) -> None:
        found.append(Case(row, name, act, status, **more))

    case("A014", "a key of another host", key_on_another_host, frozenset({202, 401}), met=True)
    case("A014", "owner is another", listed(owner="VICTIM"), met=True)
    case("A014", "controller is another", listed(owner=None, controller="VICTIM"), met=True)
    case("A014", "the key's id is another's", listed(id="VICTIM#main-key"), met=True)
    case("A014", "a key document whose owner does not list it", key_document_of_another, met=True)
    case("A014", "the actor lists no key", no_keys_listed, met=True)
    case("A014", "one key id on two actors", one_key_two_actors, met=True)

    for key_id in (
        "acct:p1@PEER", "javascript:alert(1)", "data:text/plain,x", "file:///etc/passwd", "/users/p1#main-key", "users/p1", "", "#main-key", "http://",
        "http://OURS/users/reader#main-key", "http://OURS/actor#main-key", "http://OURS/users/x", "http://PEER@OURS/users/p1#main-key",
        "http://user:pass@PEER/users/p1#main-key", "http://OURS#@PEER/users/p1", "http://OURS\\@PEER/users/p1", "http://[::1/x", "ftp://PEER/users/p1",
        "http://PEER/users/../users/p1#main-key", "http://PEER/" + "x" * 10_000, "http://PEER/users/p1%00#main-key\t", "http:///users/p1",
    ):  # fmt: skip
        case("A015", key_id[:60] or "nothing", named(key_id), frozenset({400, 401, 431} if len(key_id) > 9000 else {400, 401}))

    case("A015", "our own key, really signed", signed_by_ours, frozenset({401}))
    case("A015", "http: outside development", plain_http)

    for name, change in {
        "on another host": lambda uri: uri.replace("localhost", "elsewhere.localhost"),
        "in a list": lambda uri: [uri],
        "in an object": lambda uri: {"id": uri},
        "missing": lambda uri: None,
        "a number": lambda uri: 7,
        "empty": lambda uri: "",
        "in upper case": lambda uri: uri.replace("/users/", "/USERS/"),
        "with a slash more": lambda uri: uri + "/",
        "with another port": lambda uri: uri.replace("/users/", ":80/users/"),
        "with a dot segment": lambda uri: uri.replace("/users/", "/./users/"),
        "with two": lambda uri: uri.replace("/users/", "/x/../users/"),
        "percent-encoded": lambda uri: uri.replace("/users/s", "/users/%73"),
        "with a query": lambda uri: uri + "?x",
    }.items():
        case("A016", f"id {name}", identified(change), frozenset({400, 401, 403} if "host" in name or "port" in name else {400, 401}), met=True)

    for bits in (512, 16_384, 65_536):
        case("A017", f"RSA of {bits} bits", keyed(lambda bits=bits: spki(odd(bits), 65537)), met=True)  # type: ignore[misc]
    case("A017", "RSA of 1,024 bits, really signed", keyed(make=lambda: rsa.generate_private_key(65537, 1024)), met=True)
    case("A017", "exponent 3, really signed", keyed(make=lambda: rsa.generate_private_key(3, 2048)), met=True)
    case("A017", "exponent 1", keyed(lambda: spki(odd(2048), 1)), met=True)
    case("A017", "exponent 2^2000", keyed(lambda: spki(odd(2048), 1 << 2000)), met=True)
    case("A017", "an even modulus", keyed(lambda: spki(odd(2048) - 1, 65537)), met=True)
    case("A017", "an EC key, really signed", keyed(make=lambda: ec.generate_private_key(ec.SECP256R1())), met=True)
    case("A017", "two PEMs", keyed(lambda: pem(pair("stranger").rsa) * 2), met=True)
    case("A017", "a private key", keyed(private_pem), met=True)
    case("A017", "a private key behind the public one", keyed(lambda: pem(pair("stranger").rsa) + private_pem()), met=True)
    case("A017", "a PEM of 1 MB", keyed(lambda: pem(pair("stranger").rsa).replace("\n", "\n" * 100_000, 1)), met=True)
    case("A017", "no PEM", keyed(lambda: "hello"), met=True)

    case("A018", "the old key after a change", rotated, met=True, effect=True)
    case("A018", "a wrong key, often", rotation_asks_once)

    case("A019", "many keys of one host", ten_thousand_keys, frozenset({401, 429, 503}))

    trouble = frozenset({503})
    case("A020", "never answers", unreachable(Reply(hang=True)), trouble)
    case("A020", "closes at once", unreachable(Reply(drop=True)), trouble)
    case("A020", "answers 500", unreachable(Reply(500)), trouble)
    case("A020", "answers too late", unreachable(Reply(200, delay=2)), trouble)
    case("A020", "a byte now and then", dripping, trouble)
    case("A020", "redirects for ever", redirected_for_ever)

    # DESIGN 6: where documents are open, not visible is missing: 404. Signed-only mode, with its one 401, is tests/attacks/test_signed_only.py.
    missing = frozenset({404})
    case("A021", "no signature", reading(scheme="none"), missing)
    case("A021", "signed by somebody else", reading("other"), missing)
    # protocol.md 14.14: servers sign with whoever reads, so "the signer was addressed" compares hosts.
    case("A021", "signed by a neighbour of whom it is for", reading("mallory"), frozenset({200}))
    case("A021", "signed for another path", reading("victim", target="/posts/1"), missing)
    case("A021", "signed with a query, sent without", reading("victim", target="/posts/1?x=1"), missing)
    case("A021", "old", dated_get("victim", hours=-13), missing)
    case("A021", "whom it is for", reads_its_own, frozenset({200}))
    case("A021", "hidden and missing are one", the_same_as_missing, missing)

    case("A022", "unknown, key 404", departed(404), TAKEN)
    case("A022", "unknown, key 410", departed(410), TAKEN)
    case("A022", "known, key 410", known_and_gone, TAKEN, met=True, effect=True)
    case("A022", "known, key 404", known_and_not_gone(404), met=True, effect=True)
    case("A022", "known, key there", known_and_not_gone(200), met=True, effect=True)
    return found
