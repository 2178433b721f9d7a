"""Who signed this request? The right one passes, the forged one does not, rubbish is a named error; nothing is fetched that policy or memory forbids."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import peers
from actors.signatures.errors import BadSignature, HostRefused, KeyGone, KeyUnavailable, MalformedSignature, SignatureError, StaleSignature
from actors.signatures.request import NeedsFetch, Request, Signer, Unsigned, signer
from schemas.storage import Database
from tests import signing
from tests.fakepeer import FakeActor, pair
from tests.meeting import HOST, Meeting, meeting
from tests.wire import Reply, reply_json

BODY = json.dumps({"type": "Create"}).encode()


@pytest.fixture
async def met(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Meeting]:
    async with meeting(sqlite_database, tmp_path) as made:
        yield made


def request(
    met: Meeting, actor: FakeActor, mode: str = "cavage", *, method: str = "POST", target: str = "/inbox", key: signing.Private | None = None, **changes: str
) -> Request:
    """A request of this actor, as it arrives; `changes` replace or add headers afterwards."""
    body = BODY if method == "POST" else None
    headers = signing.signed(key or actor.keys.rsa, actor.key_id, method, HOST, target, body, met.house.clock.now(), mode, pair("a stranger").rsa)
    changed = {name.replace("_", "-").lower(): value for name, value in changes.items()}
    lines = [(name.lower().encode(), value.encode()) for name, value in headers if name.lower() not in changed]
    lines += [(name.encode(), value.encode()) for name, value in changed.items()]
    return Request(method, target.encode(), lines, body, met.house.clock.ms())


def fetches(met: Meeting, actor: FakeActor) -> int:
    return len(met.peer.asked(f"/users/{actor.name}"))


async def test_the_right_one_passes_and_the_second_time_nothing_is_fetched(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    for _ in range(2):
        found = await signer(met.instance, request(met, alice))
        assert isinstance(found, Signer)
        assert (found.actor.uri, found.actor.handle, found.key_uri) == (alice.id, alice.handle, alice.key_id)
    assert fetches(met, alice) == 1
    # The fetch was signed by the instance actor, and the peer's own code says it holds.
    assert met.peer.asked("/users/alice")[0].signature == "valid"
    assert "activity+json" in met.peer.asked("/users/alice")[0].asked.header("accept")


@pytest.mark.parametrize("mode", ["cavage", "hs2019"])
@pytest.mark.parametrize(("method", "target"), [("POST", "/inbox"), ("GET", "/users/a/outbox?page=1")])
async def test_both_forms_pass_for_posts_and_gets(met: Meeting, mode: str, method: str, target: str) -> None:
    assert isinstance(await signer(met.instance, request(met, met.peer.actor("alice"), mode, method=method, target=target)), Signer)


async def test_without_a_signature_it_is_unsigned(met: Meeting) -> None:
    assert isinstance(await signer(met.instance, request(met, met.peer.actor("alice"), "none")), Unsigned)
    assert met.requests() == []


@pytest.mark.parametrize("mode", [f"broken:{kind}" for kind in signing.BROKEN if kind not in ("body", "stranger", "path")])
async def test_what_is_wrong_in_itself_costs_no_fetch(met: Meeting, mode: str) -> None:
    with pytest.raises(SignatureError) as caught:
        await signer(met.instance, request(met, met.peer.actor("alice"), mode))
    assert caught.value.status == (400 if mode == "broken:garbage" else 401)
    assert met.requests() == []


@pytest.mark.parametrize("mode", ["broken:stranger", "broken:path"])
async def test_a_signature_that_does_not_verify_is_refused(met: Meeting, mode: str) -> None:
    with pytest.raises(BadSignature):
        await signer(met.instance, request(met, met.peer.actor("alice"), mode))


async def test_the_body_counts_to_the_last_byte(met: Meeting) -> None:
    good = request(met, met.peer.actor("alice"))
    for body in (BODY + b" ", BODY.replace(b" ", b""), b"", None):
        with pytest.raises(BadSignature):
            await signer(met.instance, Request("POST", good.raw_path, good.headers, body, good.received_ms))


@pytest.mark.parametrize("minutes", [-61, 61])
async def test_time_is_ours(met: Meeting, minutes: int) -> None:
    old = request(met, met.peer.actor("alice"))
    with pytest.raises(StaleSignature):
        await signer(met.instance, Request("POST", old.raw_path, old.headers, old.body, old.received_ms + minutes * 60_000))


@pytest.mark.parametrize("host", ["elsewhere.example", "localhost:8001", "localhost", "127.0.0.1:8000"])
async def test_a_request_made_for_another_host_is_no_request_to_us(met: Meeting, host: str) -> None:
    with pytest.raises(BadSignature):
        await signer(met.instance, request(met, met.peer.actor("alice"), host=host))
    assert met.requests() == []


async def test_forwarding_headers_change_nothing(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    with pytest.raises(BadSignature):
        await signer(met.instance, request(met, alice, host="elsewhere.example", x_forwarded_host=HOST))
    found = await signer(
        met.instance, request(met, alice, x_forwarded_host="elsewhere.example", x_forwarded_proto="https", x_original_url="/x", forwarded="host=x")
    )
    assert isinstance(found, Signer)


@pytest.mark.parametrize(
    "key_id",
    [
        "acct:alice@peer.example",
        "javascript:alert(1)",
        "data:text/plain,x",
        "/users/alice#main-key",
        "https://user@peer.example/users/alice#main-key",
        "https://peer.example/../users/alice#main-key",
        "https://10.0.0.1.peer..example/x",
        "https://peer.example/" + "a" * 3000,
        f"http://{HOST}/users/alice#main-key",
        f"http://{HOST.upper()}/actor#main-key",
        f"http://{HOST}./actor#main-key",
    ],
)
async def test_key_ids_that_are_no_keys_of_others(met: Meeting, key_id: str) -> None:
    asked = request(met, met.peer.actor("alice"))
    headers = [
        (name, value.replace(met.peer.actors["alice"].key_id.encode(), key_id.encode()) if name == b"signature" else value) for name, value in asked.headers
    ]
    with pytest.raises(SignatureError) as caught:
        await signer(met.instance, Request("POST", asked.raw_path, headers, asked.body, asked.received_ms))
    assert caught.value.status in (400, 401)
    assert met.requests() == []
    # No sentence, for the log or for strangers, repeats the key id: on a GET it may name somebody who looks for help.
    assert key_id not in caught.value.why + caught.value.safe


@pytest.mark.parametrize("literal", ["127.0.0.2", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]"])
async def test_a_key_on_a_refused_address_is_not_fetched(sqlite_database: Database, tmp_path: Path, literal: str) -> None:
    from ipaddress import ip_network

    from schemas.config import DevelopmentConfig

    async with meeting(sqlite_database, tmp_path, development=DevelopmentConfig((ip_network("127.0.0.1/32"),), True)) as met:
        alice = met.peer.actor("alice")
        asked = request(met, alice)
        there = f"http://{literal}:{met.peer.port}/users/alice#main-key"
        headers = [(name, value.replace(alice.key_id.encode(), there.encode())) for name, value in asked.headers]
        with pytest.raises(KeyUnavailable):
            await signer(met.instance, Request("POST", asked.raw_path, headers, asked.body, asked.received_ms))
        assert met.requests() == []


@pytest.mark.parametrize("mode", ["open", "allowlist"])
async def test_policy_comes_before_any_fetch(sqlite_database: Database, tmp_path: Path, mode: str) -> None:
    async with meeting(sqlite_database, tmp_path, mode=mode) as met:  # type: ignore[arg-type]
        if mode == "open":
            await met.house.write(peers.set_level, met.instance, met.peer.host, "blocked")
            await met.instance.trust.refresh(met.instance.database)
        with pytest.raises(HostRefused) as caught:
            await signer(met.instance, request(met, met.peer.actor("alice")))
        assert caught.value.status == 403
        assert met.requests() == []


async def test_a_new_key_is_found_by_one_more_fetch(met: Meeting) -> None:
    # Given a key we know
    alice = met.peer.actor("alice")
    await signer(met.instance, request(met, alice))
    # When its owner takes another and signs with it
    alice.keys = pair("alice, later")
    assert isinstance(await signer(met.instance, request(met, alice)), Signer)
    # Then one fetch found it, and the old one is worth nothing
    assert fetches(met, alice) == 2
    with pytest.raises(BadSignature):
        await signer(met.instance, request(met, alice, key=pair("alice").rsa))


async def test_a_forger_causes_one_refetch_in_five_minutes(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    await signer(met.instance, request(met, alice))
    for _ in range(5):
        with pytest.raises(BadSignature):
            await signer(met.instance, request(met, alice, "broken:stranger"))
    assert fetches(met, alice) == 2
    assert isinstance(await signer(met.instance, request(met, alice)), Signer)


async def test_a_flood_of_requests_with_one_unknown_key_is_one_fetch(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    found = await asyncio.gather(*(signer(met.instance, request(met, alice)) for _ in range(50)))
    assert all(isinstance(one, Signer) for one in found)
    assert fetches(met, alice) == 1


async def test_a_flood_of_forged_key_ids_does_not_reach_their_host(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    for number in range(100):
        asked = request(met, alice)
        headers = [(name, value.replace(b"/users/alice#", b"/users/nobody%d#" % number)) for name, value in asked.headers]
        with pytest.raises(KeyUnavailable):
            await signer(met.instance, Request("POST", asked.raw_path, headers, asked.body, asked.received_ms))
    assert len(met.requests()) <= 6


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(500), 503),
        (Reply(503), 503),
        (Reply(429), 503),
        (Reply(drop=True), 503),
        (Reply(404), 401),
        (Reply(403), 401),
        (Reply(200, b"rubbish"), 401),
        (Reply(204), 401),
    ],
)
async def test_a_key_that_cannot_be_had_is_remembered(met: Meeting, reply: Reply, status: int) -> None:
    alice = met.peer.actor("alice")
    met.peer.always("/users/alice", reply)
    for _ in range(3):
        with pytest.raises(KeyUnavailable) as caught:
            await signer(met.instance, request(met, alice))
        assert caught.value.status == status
        assert (caught.value.retry_after_s is not None) == (status == 503)
    # A POST that is dropped is asked for twice by the HTTP client, as any lost GET.
    assert fetches(met, alice) <= (2 if reply.drop else 1)


async def test_a_key_that_is_gone_says_whose_it_was(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    met.peer.always("/users/alice", Reply(410))
    with pytest.raises(KeyGone) as caught:
        await signer(met.instance, request(met, alice))
    assert caught.value.actor == alice.id


async def test_a_known_key_whose_actor_is_gone_since_says_so_too(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    await signer(met.instance, request(met, alice))
    met.peer.always("/users/alice", Reply(410))
    with pytest.raises(KeyGone) as caught:
        await signer(met.instance, request(met, alice, "broken:stranger"))
    assert caught.value.actor == alice.id


@pytest.mark.parametrize(
    "overrides",
    [
        {"publicKey": None, "assertionMethod": None},
        {"publicKey": {"id": "OTHER#main-key", "owner": "OTHER", "publicKeyPem": "PEM"}},
        {"publicKey": {"id": "KEY", "owner": "OTHER", "publicKeyPem": "PEM"}},
        {"publicKey": {"id": "KEY", "owner": "SELF", "publicKeyPem": "rubbish"}},
        {"publicKey": {"id": "https://elsewhere.example/key", "owner": "SELF", "publicKeyPem": "PEM"}},
        {"publicKey": [1, None, "x", {"id": 5}]},
    ],
)
async def test_an_actor_that_does_not_own_the_key_proves_nothing(met: Meeting, overrides: dict[str, object]) -> None:
    alice, bob = met.peer.actor("alice"), met.peer.actor("bob")
    words = {"OTHER": bob.id, "KEY": alice.key_id, "SELF": alice.id, "PEM": signing.pem(alice.keys.rsa)}
    text = json.dumps(overrides)
    for word, value in words.items():
        text = text.replace(word, json.dumps(value)[1:-1])
    alice.overrides = json.loads(text)
    with pytest.raises(BadSignature):
        await signer(met.instance, request(met, alice))


async def test_nobody_can_sign_with_the_key_id_of_another_host(met: Meeting) -> None:
    # Given mallory, whose document says it is somebody on another host
    mallory = met.peer.actor("mallory")
    mallory.overrides = {"id": "https://victim.example/users/v", "inbox": "https://victim.example/inbox"}
    with pytest.raises(KeyUnavailable) as caught:
        await signer(met.instance, request(met, mallory))
    assert not caught.value.temporary


async def test_the_second_key_in_a_list_counts(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    other = {"id": f"{alice.id}#old", "owner": alice.id, "publicKeyPem": signing.pem(pair("a stranger").rsa)}
    alice.overrides = {"publicKey": [other, {"id": alice.key_id, "owner": alice.id, "publicKeyPem": signing.pem(alice.keys.rsa)}]}
    assert isinstance(await signer(met.instance, request(met, alice)), Signer)


def with_key(asked: Request, old: str, new: str) -> Request:
    headers = [(name, value.replace(old.encode(), new.encode())) for name, value in asked.headers]
    return Request(asked.method, asked.raw_path, headers, asked.body, asked.received_ms)


@pytest.mark.parametrize("shape", ["stub", "key"])
async def test_a_key_with_a_path_of_its_own_is_followed_to_its_owner(met: Meeting, shape: str) -> None:
    # Given a key id without a fragment, as GoToSocial (a stub of the actor) and others (a key document) have it
    alice = met.peer.actor("alice")
    path = f"{alice.id}/main-key"
    key = {"id": path, "owner": alice.id, "publicKeyPem": signing.pem(alice.keys.rsa)}
    alice.overrides = {"publicKey": key}
    served = {"id": alice.id, "type": "Person", "preferredUsername": "alice", "publicKey": key} if shape == "stub" else key
    met.peer.documents["/users/alice/main-key"] = served
    found = await signer(met.instance, with_key(request(met, alice), alice.key_id, path))
    assert isinstance(found, Signer)
    assert found.actor.uri == alice.id


async def test_a_key_document_its_owner_does_not_list_proves_nothing(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    path = f"{met.peer.base}/uploads/key.json"
    met.peer.documents["/uploads/key.json"] = {"id": path, "owner": alice.id, "publicKeyPem": signing.pem(pair("a stranger").rsa)}
    with pytest.raises(BadSignature):
        await signer(met.instance, with_key(request(met, alice, key=pair("a stranger").rsa), alice.key_id, path))


async def test_an_upload_that_looks_like_an_actor_is_none(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    met.peer.always("/users/alice", reply_json(alice.document(), content_type="application/json"))
    with pytest.raises(KeyUnavailable):
        await signer(met.instance, request(met, alice))


async def test_an_ed25519_key_does_not_sign_rsa_sha256(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    asked = request(met, alice, key=alice.keys.ed25519)
    with pytest.raises(BadSignature):
        await signer(met.instance, with_key(asked, alice.key_id, f"{alice.id}#ed25519-key"))


async def test_without_fetching_it_says_what_it_needs(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    assert await signer(met.instance, request(met, alice), fetch=False) == NeedsFetch(alice.key_id)  # type: ignore[arg-type]
    assert met.requests() == []
    await signer(met.instance, request(met, alice))
    assert isinstance(await signer(met.instance, request(met, alice), fetch=False), Signer)
    alice.keys = pair("alice, later")
    assert isinstance(await signer(met.instance, request(met, alice), fetch=False), NeedsFetch)
    assert isinstance(await signer(met.instance, request(met, alice)), Signer)


async def test_an_rfc_9421_signature_is_not_taken_for_another(met: Meeting) -> None:
    with pytest.raises((BadSignature, MalformedSignature)):
        await signer(met.instance, request(met, met.peer.actor("alice"), signature_input='sig1=("@method");created=1;keyid="x"'))


@pytest.mark.parametrize("header", ["", "=", '"', "keyId", "\x00", "a=b", "sig1=:AAAA:", 'keyId="x",signature="!"', "é" * 100, "a" * 10_000])
async def test_rubbish_in_the_header_is_a_named_error(met: Meeting, header: str) -> None:
    with pytest.raises((MalformedSignature, BadSignature)):
        await signer(met.instance, request(met, met.peer.actor("alice"), signature=header))
    assert met.requests() == []
