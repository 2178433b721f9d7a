"""Rows C1-C33 of the conformance list: who gets in by which signature. Each test is named after its row; signers are code of the tests' own and of others."""

import asyncio
import base64
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import apsig.draft
import pytest
import pytest_asyncio
from quart import Quart

from actors import endpoints, remote
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import open_sqlite
from tests.fakepeer import AP, AS2, FakeActor, FakePeer, pair
from tests.letters import Got, knock
from tests.meeting import HOST, Meeting, meeting
from tests.messages import FEDIFY, content_digest, message_signed
from tests.signing import Private, digest, pem, signature_of
from tests.wire import Reply, reply_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = f"http://{HOST}/inbox"
REFUSED = {400, 401}
numbers = itertools.count(1)

Lines = list[tuple[str, str]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def met(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Meeting]:
    """One instance and one peer for all rows; every test brings an actor of its own."""
    folder: Path = tmp_path_factory.mktemp("rows_c")
    database = await open_sqlite(folder / "fedmatch.db")
    await migrate(database)
    async with meeting(database, folder) as made:
        yield made
    await database.close()


@pytest.fixture
def p1(met: Meeting) -> FakeActor:
    return newcomer(met.peer)


def newcomer(peer: FakePeer) -> FakeActor:
    """An actor nobody has seen; keys are made once for all, for making them is slow."""
    actor = peer.actor(f"p{next(numbers)}")
    actor.keys = pair("p1")
    return actor


def create(actor: FakeActor, text: str = "<p>hello</p>") -> dict[str, Any]:
    return actor.create(actor.note(text))


def cavage(
    met: Meeting,
    actor: FakeActor,
    body: bytes,
    *,
    names: str = "(request-target) host date digest",
    key: Private | None = None,
    target: str = "/inbox",
    key_id: str | None = None,
    algorithm: str = "rsa-sha256",
    joined: str = ",",
    **changes: str,
) -> Lines:
    """A request signed by draft-cavage with any of its parts changed; headers by their names with `_`, pseudo-headers as `created`, `expires`."""
    headers = {"host": HOST, "date": stamp(met), "digest": digest(body), "content-type": AP}
    parameters = {name: value for name, value in changes.items() if name in ("created", "expires")}
    headers |= {name.replace("_", "-"): value for name, value in changes.items() if name not in parameters}
    values = {**headers, **{f"({name})": value for name, value in parameters.items()}, "(request-target)": f"post {target}"}
    base = "\n".join(f"{name}: {values[name]}" for name in names.split())
    stated = [f'keyId="{key_id or actor.key_id}"', f'algorithm="{algorithm}"', *(f"{name}={value}" for name, value in parameters.items()), f'headers="{names}"']
    stated.append(f'signature="{signature_of(key or actor.keys.rsa, base)}"')
    return [*headers.items(), ("signature", joined.join(stated))]


def stamp(met: Meeting, **ahead: float) -> str:
    return format_datetime(met.house.clock.now() + timedelta(**ahead), usegmt=True)


def seconds(met: Meeting, **ahead: float) -> int:
    return int((met.house.clock.now() + timedelta(**ahead)).timestamp())


async def post(met: Meeting, lines: Sequence[tuple[str, str]], body: bytes, *, path: str = "/inbox", query: bytes = b"") -> Got:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    return await knock(met.house, headers, body, path=path, query=query)


async def signed(met: Meeting, actor: FakeActor, **changes: Any) -> Got:
    """A rightful Create in a request changed like that."""
    body = json.dumps(create(actor)).encode()
    return await post(met, cavage(met, actor, body, **changes), body)


async def message(met: Meeting, actor: FakeActor, *, url: str = URL, key: Private | None = None, key_id: str | None = None, **changes: Any) -> Got:
    """A rightful Create signed by RFC 9421, by an implementation that is not ours."""
    body = json.dumps(create(actor)).encode()
    now = changes.pop("now", met.house.clock.now())
    return await post(met, message_signed(key or actor.keys.rsa, key_id or actor.key_id, "POST", url, body, now, **changes), body)


async def kept(met: Meeting, activity: dict[str, Any]) -> int:
    async def read(tx: Any) -> int:
        return int((await tx.one("select count(*) as n from arrival where uri = :uri", uri=activity["id"]))["n"])

    return await met.house.read(read)


def fetches(met: Meeting, actor: FakeActor) -> int:
    return len(met.peer.asked(f"/users/{actor.name}"))


async def test_c1_a_correct_cavage_signature(met: Meeting, p1: FakeActor) -> None:
    assert (await signed(met, p1)).status == 202
    # And one by an implementation that has nothing of ours.
    activity = create(p1)
    body = json.dumps(activity).encode()
    headers = {"Host": HOST, "Date": stamp(met), "Content-Type": AP}
    made = apsig.draft.Signer(headers, p1.keys.rsa, "POST", URL, p1.key_id, body).sign()
    lines = {name.lower(): value for name, value in {**headers, **made}.items() if name.lower() != "authorization"}
    assert (await post(met, list(lines.items()), body)).status == 202
    assert await kept(met, activity) == 1


async def test_c2_no_signature(met: Meeting, p1: FakeActor) -> None:
    activity = create(p1)
    body = json.dumps(activity).encode()
    assert (await post(met, [("host", HOST), ("date", stamp(met)), ("digest", digest(body)), ("content-type", AP)], body)).status == 401
    assert await kept(met, activity) == 0


async def test_c3_one_byte_changed_after_signing(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    assert (await post(met, cavage(met, p1, body), body.replace(b"hello", b"hallo"))).status == 401


async def test_c4_a_digest_that_is_not_signed(met: Meeting, p1: FakeActor) -> None:
    assert (await signed(met, p1, names="(request-target) host date")).status == 401


async def test_c5_a_digest_that_is_none(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    sha512 = "SHA-512=" + base64.b64encode(hashlib.sha512(body).digest()).decode()
    for wrong in (sha512, "SHA-256=AAAA", "SHA-256=!!!", "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()[:31]).decode()):
        got = await post(met, cavage(met, p1, body, digest=wrong), body)
        assert got.status == 401
        assert got.error["error"]


async def test_c6_a_list_of_digests(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    sha256, sha512 = (f"{name}={base64.b64encode(make(body).digest()).decode()}" for name, make in (("sha-256", hashlib.sha256), ("SHA-512", hashlib.sha512)))
    for listed in (f"{sha512},{sha256}", f"{sha256},{sha512}", sha256):
        assert (await post(met, cavage(met, p1, body, digest=listed), body)).status == 202
    # One that is wrong beside one that is right: two readers could take two bodies.
    assert (await post(met, cavage(met, p1, body, digest=f"{sha256},SHA-512={'A' * 86}=="), body)).status == 401


async def test_c7_no_time_is_signed(met: Meeting, p1: FakeActor) -> None:
    assert (await signed(met, p1, names="(request-target) host digest")).status == 401


@pytest.mark.parametrize(("minutes", "status"), [(-120, 401), (120, 401), (-55, 202), (55, 202)])
async def test_c8_the_date_window(met: Meeting, p1: FakeActor, minutes: int, status: int) -> None:
    assert (await signed(met, p1, date=stamp(met, minutes=minutes))).status == status


async def test_c9_hs2019_with_created_and_expires(met: Meeting, p1: FakeActor) -> None:
    names = "(request-target) (created) (expires) host digest"
    now = seconds(met)
    assert (await signed(met, p1, names=names, algorithm="hs2019", created=str(now), expires=str(now + 300))).status == 202
    assert (await signed(met, p1, names=names, algorithm="hs2019", created=str(now - 3500), expires=str(now - 3200))).status == 401
    assert (await signed(met, p1, names=names, algorithm="hs2019", created=str(now - 7500), expires=str(now - 3700))).status == 401
    # GoToSocial says hs2019, signs the Date, and means RSA with SHA-256. So it means that for every key: an Ed25519 key signs by RFC 9421 (C28).
    assert (await signed(met, p1, algorithm="hs2019")).status == 202
    edwards = {"key": p1.keys.ed25519, "key_id": f"{p1.id}#ed25519-key"}
    assert (await signed(met, p1, algorithm="hs2019", **edwards)).status == 401
    assert (await signed(met, p1, algorithm="rsa-sha256", **edwards)).status == 401


async def test_c10_created_belongs_to_hs2019(met: Meeting, p1: FakeActor) -> None:
    assert (await signed(met, p1, names="(request-target) (created) host digest", created=str(seconds(met)))).status == 401


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "none", "rsa-sha1", "ed25519", "rsa-sha999"])
async def test_c11_another_algorithm(met: Meeting, p1: FakeActor, algorithm: str) -> None:
    assert (await signed(met, p1, algorithm=algorithm)).status == 401


async def test_c12_a_parameter_twice(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    lines = cavage(met, p1, body)
    doubled = [(name, f'keyId="{p1.key_id}",{value}' if name == "signature" else value) for name, value in lines]
    assert (await post(met, doubled, body)).status == 401


async def test_c13_a_prefix_and_blanks(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    lines = cavage(met, p1, body, joined=" , ")
    prefixed = [(name, f"Signature {value}" if name == "signature" else value) for name, value in lines]
    assert (await post(met, prefixed, body)).status == 202


@pytest.mark.parametrize("host", ["elsewhere.example", "localhost", "localhost:8001", f"user@{HOST}"])
async def test_c14_made_for_another_host(met: Meeting, p1: FakeActor, host: str) -> None:
    assert (await signed(met, p1, host=host)).status in REFUSED


async def test_c15_made_for_another_inbox(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    assert (await post(met, cavage(met, p1, body, target="/users/other/inbox"), body)).status == 401
    assert (await post(met, cavage(met, p1, body), body, path="/actor/inbox")).status == 401


async def test_c16_the_target_with_and_without_its_query(met: Meeting, p1: FakeActor) -> None:
    for target in ("/inbox?a=b", "/inbox"):
        body = json.dumps(create(p1)).encode()
        assert (await post(met, cavage(met, p1, body, target=target), body, query=b"a=b")).status == 202
    body = json.dumps(create(p1)).encode()
    assert (await post(met, cavage(met, p1, body, target="/inbox?a=c"), body, query=b"a=b")).status == 401


async def test_c17_every_form_of_key_id(met: Meeting) -> None:
    # A fragment of the actor
    assert (await signed(met, newcomer(met.peer))).status == 202
    # GoToSocial's: a path that shows a stub of the actor, with the actor's id
    gts = newcomer(met.peer)
    key = {"id": f"{gts.id}/main-key", "owner": gts.id, "publicKeyPem": pem(gts.keys.rsa)}
    gts.overrides["publicKey"] = key
    met.peer.documents[f"/users/{gts.name}/main-key"] = {"@context": AS2, "id": gts.id, "type": "Person", "preferredUsername": gts.name, "publicKey": key}
    assert (await signed(met, gts, key_id=key["id"])).status == 202
    # A document of its own that names its owner, who lists it
    apart = newcomer(met.peer)
    key = {"id": f"{met.peer.base}/keys/{apart.name}", "owner": apart.id, "publicKeyPem": pem(apart.keys.rsa)}
    apart.overrides["publicKey"] = key
    met.peer.documents[f"/keys/{apart.name}"] = {"@context": AS2, "type": "Key", **key}
    assert (await signed(met, apart, key_id=key["id"])).status == 202
    assert (await message(met, apart, key_id=key["id"])).status == 202


async def test_c18_a_key_that_its_owner_does_not_list(met: Meeting, p1: FakeActor) -> None:
    key = {"id": f"{met.peer.base}/keys/{p1.name}", "owner": p1.id, "publicKeyPem": pem(pair("a stranger").rsa)}
    met.peer.documents[f"/keys/{p1.name}"] = {"@context": AS2, "type": "Key", **key}
    assert (await signed(met, p1, key_id=key["id"], key=pair("a stranger").rsa)).status == 401


async def test_c19_the_second_of_several_keys(met: Meeting, p1: FakeActor) -> None:
    listed = [{"id": f"{p1.id}#{name}", "owner": p1.id, "publicKeyPem": pem(pair(of).rsa)} for name, of in (("first", "a stranger"), ("second", "p1"))]
    p1.overrides["publicKey"] = listed
    assert (await signed(met, p1, key_id=f"{p1.id}#second")).status == 202
    assert (await signed(met, p1, key_id=f"{p1.id}#first")).status == 401


async def test_c20_a_key_on_another_host_than_its_actor(met: Meeting, p1: FakeActor) -> None:
    elsewhere = await FakePeer(met.house.clock.now).start()
    try:
        key = {"id": f"{elsewhere.base}/keys/1", "owner": p1.id, "publicKeyPem": pem(p1.keys.rsa)}
        elsewhere.documents["/keys/1"] = {"@context": AS2, "type": "Key", **key}
        p1.overrides["publicKey"] = key
        assert (await signed(met, p1, key_id=key["id"])).status == 401
    finally:
        await elsewhere.stop()


async def test_c21_a_new_key_is_fetched_once(met: Meeting, p1: FakeActor) -> None:
    assert (await signed(met, p1)).status == 202
    # When it changed its key under the same id, it is looked at again once, and believed
    p1.keys = pair("a second pair")
    asked = fetches(met, p1)
    assert (await signed(met, p1)).status == 202
    assert fetches(met, p1) == asked + 1
    # And one that fits neither is refused after exactly one look, and then without any
    p2 = newcomer(met.peer)
    assert (await message(met, p2)).status == 202
    asked = fetches(met, p2)
    for send in (signed, message, signed):
        assert (await send(met, p2, key=pair("a stranger").rsa)).status == 401
    assert fetches(met, p2) == asked + 1


@pytest.mark.parametrize("trouble", [Reply(503), Reply(500), Reply(drop=True), Reply(hang=True)], ids=["503", "500", "dropped", "hangs"])
async def test_c22_a_key_that_cannot_be_had_now(met: Meeting, trouble: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LOOKUP_S", 0.3 if trouble.hang else remote.LOOKUP_S)
    peer = await FakePeer(met.house.clock.now).start()
    try:
        p1 = newcomer(peer)
        peer.always(f"/users/{p1.name}", trouble)
        for _ in range(3):
            got = await signed(met, p1)
            assert got.status == 503
            assert int(got.headers[b"retry-after"]) > 0
        # Where a kept connection was dropped the request is made once more on a fresh one.
        assert len(peer.asked(f"/users/{p1.name}")) == (2 if trouble.drop else 1)
    finally:
        await peer.stop()


@pytest.mark.parametrize("status", [404, 410])
async def test_c23_a_key_that_is_not_there(met: Meeting, p1: FakeActor, status: int) -> None:
    met.peer.always(f"/users/{p1.name}", Reply(status))
    activity = create(p1)
    body = json.dumps(activity).encode()
    assert (await post(met, cavage(met, p1, body), body)).status in ({401} if status == 404 else {401, 202})
    assert await kept(met, activity) == 0


async def test_c24_a_replay_has_one_effect(met: Meeting, p1: FakeActor) -> None:
    activity = create(p1)
    body = json.dumps(activity).encode()
    for lines in (cavage(met, p1, body), message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, met.house.clock.now())):
        for _ in range(3):
            assert (await post(met, lines, body)).status == 202
    assert await kept(met, activity) == 1


@pytest.mark.parametrize("covering", [("@method", "@target-uri"), FEDIFY, ("@target-uri", "@method", "content-type", "@path", "@query", "@scheme")])
@pytest.mark.parametrize("include_alg", [False, True])
async def test_c25_a_message_signature(met: Meeting, p1: FakeActor, covering: Sequence[str], include_alg: bool) -> None:
    assert (await message(met, p1, covering=covering, include_alg=include_alg)).status == 202


async def test_c26_a_message_signature_over_too_little(met: Meeting, p1: FakeActor) -> None:
    assert (await message(met, p1, covering=("@method", "@target-uri", "no digest"))).status == 401
    assert (await message(met, p1, covering=("@method",))).status == 401
    assert (await message(met, p1, covering=("@target-uri",))).status == 401
    for url in (URL + "/", URL + "?a=b", "http://elsewhere.example/inbox", f"https://{HOST}/inbox", f"http://{HOST}/actor/inbox"):
        assert (await message(met, p1, url=url)).status == 401
    body = json.dumps(create(p1)).encode()
    lines = message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, met.house.clock.now())
    undated = [(name, value.replace(f"created={seconds(met)};", "") if name == "Signature-Input" else value) for name, value in lines]
    assert undated != lines
    assert (await post(met, undated, body)).status == 401
    # What the caller says about hosts and paths changes nothing.
    assert (await post(met, [*lines, ("X-Forwarded-Host", "elsewhere.example"), ("X-Original-URL", "/x")], body)).status == 202


@pytest.mark.parametrize(("minutes", "status"), [(-120, 401), (120, 401), (-55, 202), (55, 202)])
async def test_c26_a_message_signature_has_the_same_window(met: Meeting, p1: FakeActor, minutes: int, status: int) -> None:
    assert (await message(met, p1, now=met.house.clock.now() + timedelta(minutes=minutes))).status == status


async def test_c26_an_expired_message_signature(met: Meeting, p1: FakeActor) -> None:
    now = met.house.clock.now()
    assert (await message(met, p1, now=now - timedelta(minutes=30), expires=now - timedelta(minutes=10))).status == 401
    assert (await message(met, p1, expires=now + timedelta(minutes=5))).status == 202


async def test_c27_a_content_digest_that_is_none(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    right = content_digest(body)
    wrong = ["sha-256=AAAA", digest(body), "sha-512=:" + base64.b64encode(hashlib.sha512(body).digest()).decode() + ":", content_digest(body + b" "), "(", "5"]
    for stated in [*wrong, f"{right}, sha-512=:AAAA:"]:
        lines = message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, met.house.clock.now())
        # What is signed is the digest as it stands there, so each of these verifies but for what it says.
        lines = [(name, stated if name == "Content-Digest" else value) for name, value in lines]
        got = await post(met, resigned(met, p1, lines), body)
        assert got.status in REFUSED, stated
    assert (await post(met, resigned(met, p1, [*message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, met.house.clock.now())]), body)).status == 202


async def test_c27_a_digest_beside_the_content_digest_must_agree(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    for stated, status in ((digest(body), 202), (digest(body + b" "), 401)):
        lines = message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, met.house.clock.now())
        assert (await post(met, [*lines, ("digest", stated)], body)).status == status


def resigned(met: Meeting, actor: FakeActor, lines: Lines) -> Lines:
    """The same headers with a fresh signature over them, made by hand: the library refuses to sign a digest that is none."""
    values = dict(lines)
    parameters = f'("@method" "@target-uri" "content-digest");created={seconds(met)};keyid="{actor.key_id}"'
    base = f'"@method": POST\n"@target-uri": {URL}\n"content-digest": {values["Content-Digest"]}\n"@signature-params": {parameters}'
    return [*(values | {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{signature_of(actor.keys.rsa, base)}:"}).items()]


async def test_c28_an_ed25519_key_of_assertion_method(met: Meeting, p1: FakeActor) -> None:
    edwards = {"key": p1.keys.ed25519, "key_id": f"{p1.id}#ed25519-key"}
    assert (await message(met, p1, **edwards)).status == 202
    assert (await message(met, p1, include_alg=True, **edwards)).status == 202
    # The key decides: an RSA signature under the id of an Ed25519 key, and the other way round, are nobody's.
    assert (await message(met, p1, key=p1.keys.rsa, key_id=f"{p1.id}#ed25519-key")).status == 401
    assert (await message(met, p1, key=p1.keys.ed25519)).status == 401


async def test_c28_an_algorithm_that_is_not_the_keys(met: Meeting, p1: FakeActor) -> None:
    assert (await message(met, p1)).status == 202
    body = json.dumps(create(p1)).encode()
    for alg in ("ed25519", "hmac-sha256", "rsa-pss-sha512", "none"):
        parameters = f'("@method" "@target-uri" "content-digest");created={seconds(met)};keyid="{p1.key_id}";alg="{alg}"'
        base = f'"@method": POST\n"@target-uri": {URL}\n"content-digest": {content_digest(body)}\n"@signature-params": {parameters}'
        lines = [("Host", HOST), ("Content-Type", AP), ("Content-Digest", content_digest(body)), ("Signature-Input", f"sig1={parameters}")]
        assert (await post(met, [*lines, ("Signature", f"sig1=:{signature_of(p1.keys.rsa, base)}:")], body)).status == 401


async def test_c29_signature_input_decides_alone(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    # A cavage signature that holds does not help a message signature that does not
    stated = f'sig1=("@method" "@target-uri" "content-digest");created={seconds(met)};keyid="{p1.key_id}"'
    assert (await post(met, [*cavage(met, p1, body), ("signature-input", stated)], body)).status in REFUSED
    # And one that does not hold does no harm to one that does: what a cavage signature would need (Digest, its Date) is not even looked at.
    lines = message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, met.house.clock.now())
    old = [(name, "Sun, 01 Jan 2023 00:00:00 GMT" if name == "Date" else value) for name, value in lines]
    assert (await post(met, old, body)).status == 202


async def test_c30_of_two_labels_one_holds(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    now = met.house.clock.now()
    good = dict(message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, now, label="good"))
    bad = dict(message_signed(pair("a stranger").rsa, p1.key_id, "POST", URL, body, now, label="bad"))
    for first, second in ((good, bad), (bad, good)):
        both = {name: f"{first[name]}, {second[name]}" for name in ("Signature-Input", "Signature")}
        assert (await post(met, list((good | both).items()), body)).status == 202
    worse = dict(message_signed(pair("a stranger").rsa, p1.key_id, "POST", URL, body, now, label="worse"))
    both = {name: f"{bad[name]}, {worse[name]}" for name in ("Signature-Input", "Signature")}
    assert (await post(met, list((bad | both).items()), body)).status == 401


async def test_c30_a_hundred_labels_cost_no_hundred_fetches(met: Meeting) -> None:
    strangers = [newcomer(met.peer) for _ in range(30)]
    body = json.dumps(create(strangers[0])).encode()
    key = pair("a stranger").ed25519
    made = [
        dict(message_signed(key, f"{one.id}#ed25519-key", "POST", URL, body, met.house.clock.now(), label=f"s{number}")) for number, one in enumerate(strangers)
    ]
    both = {name: ", ".join(one[name] for one in made) for name in ("Signature-Input", "Signature")}
    asked = len(met.peer.log)
    assert (await post(met, list((made[0] | both).items()), body)).status in {*REFUSED, 503}
    assert len(met.peer.log) - asked <= 12


async def test_c32_secure_mode_answers_unsigned_requests_with_one_401(tmp_path: Path) -> None:
    database = await open_sqlite(tmp_path / "fedmatch.db")
    await migrate(database)
    async with meeting(database, tmp_path, signed_only=True) as met:
        await met.house.person("amina")
        app = Quart(__name__)
        app.register_blueprint(endpoints.blueprint(met.instance))
        client, p1 = app.test_client(), newcomer(met.peer)

        async def get(path: str, lines: Lines = ()) -> Any:  # type: ignore[assignment]  # none
            return await client.get(path, headers={"Host": HOST, "Accept": AP, **dict(lines)})

        there, missing = await get("/users/amina"), await get("/users/nobody")
        assert (there.status_code, there.content_type) == (401, "application/json")
        assert "Signature" in there.headers["Vary"]
        assert (await there.get_data(), list(there.headers)) == (await missing.get_data(), list(missing.headers))
        # The instance actor is open, or two such servers would wait for each other for ever.
        assert (await get("/actor")).status_code == 200
        # And both schemes open it.
        url = f"http://{HOST}/users/amina"
        for key_id, key in ((p1.key_id, p1.keys.rsa), (f"{p1.id}#ed25519-key", p1.keys.ed25519)):
            assert (await get("/users/amina", message_signed(key, key_id, "GET", url, None, met.house.clock.now()))).status_code == 200
            assert (await get("/users/other", message_signed(key, key_id, "GET", url, None, met.house.clock.now()))).status_code == 401
    await database.close()


async def test_c33_a_401_says_why_in_json(met: Meeting, p1: FakeActor) -> None:
    for got in (await signed(met, p1, date=stamp(met, hours=3)), await message(met, p1, covering=("@method",))):
        assert got.status == 401
        assert got.headers[b"content-type"].startswith(b"application/json")
        assert got.headers[b"www-authenticate"].startswith(b"Signature")
        assert got.error["code"] == "unsigned"
        assert p1.key_id not in json.dumps(got.error)


async def test_many_at_once_cause_one_fetch(met: Meeting, p1: FakeActor) -> None:
    body = json.dumps(create(p1)).encode()
    lines = message_signed(p1.keys.rsa, p1.key_id, "POST", URL, body, met.house.clock.now())
    assert {got.status for got in await asyncio.gather(*(post(met, lines, body) for _ in range(20)))} == {202}
    assert fetches(met, p1) == 1


async def test_the_actor_of_every_row_was_looked_up_with_a_signed_get(met: Meeting, p1: FakeActor) -> None:
    met.peer.always(f"/users/{p1.name}", reply_json(p1.document()))
    assert (await signed(met, p1)).status == 202
    assert {heard.signature for heard in met.peer.asked(f"/users/{p1.name}")} == {"valid"}
