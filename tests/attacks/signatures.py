"""Rows A001-A013: who signed what, how, and when."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.attacks.envelope import content_digest, http_date
from tests.attacks.stage import Act, Case, Stage
from tests.fakepeer import AP, AS2
from tests.messages import ld_proven, proven
from tests.signing import digest, pem
from tests.wire import Answer, http

UNAUTHORISED = frozenset({401})
REFUSED = frozenset({400, 401})
TAKEN = frozenset({202})


def spoiled(**spoil: Any) -> Act:
    """A rightful Create in a spoiled envelope."""

    async def act(stage: Stage) -> Answer:
        return await stage.send(stage.create(), **spoil)

    return act


def dated(make: Callable[[Stage], dict[str, Any]]) -> Act:
    """The same, spoiled by something that depends on the time or the body."""

    async def act(stage: Stage) -> Answer:
        return await stage.send(stage.create(), **make(stage))

    return act


def accepted(**spoil: Any) -> Act:
    """The same in an odd but rightful envelope: it must be stored."""

    async def act(stage: Stage) -> Answer:
        answer = await stage.send(stage.create(text=f"<p>odd {spoil.keys()}</p>"), **spoil)
        await stage.settle()
        assert await stage.reader.reads() != []
        return answer

    return act


def now_s(stage: Stage, **ahead: float) -> int:
    return int((stage.world.clock.now() + timedelta(**ahead)).timestamp())


# A001, A002: no header, and what is none.


async def nothing_signed(stage: Stage) -> Answer:
    return await http("POST", stage.inbox, [("Content-Type", AP)], json.dumps(stage.create()).encode())


async def in_authorization(stage: Stage) -> Answer:
    create = stage.create()
    return await stage.send(create, scheme="none", add=[("Authorization", f'Signature keyId="{stage.p1.key_id}",signature="AAAA"')])


def parameters(count: int) -> str:
    return ",".join(f'p{number}="x"' for number in range(count))


# A003


def covering(*names: str, **spoil: Any) -> Act:
    return spoiled(names=names, **spoil)


# A004: the digest. `change` is what is signed and sent.


def digesting(make: Callable[[bytes], str | None], **spoil: Any) -> Act:
    async def act(stage: Stage) -> Answer:
        body = json.dumps(stage.create()).encode()
        return await stage.send(body, change={"digest": make(body)}, **spoil)

    return act


def md5(body: bytes) -> str:
    return "MD5=" + base64.b64encode(hashlib.md5(body).digest()).decode()


def sha1(body: bytes) -> str:
    return "SHA=" + base64.b64encode(hashlib.sha1(body).digest()).decode()


def sha512(body: bytes) -> str:
    return "SHA-512=" + base64.b64encode(hashlib.sha512(body).digest()).decode()


async def two_digests_disagree(stage: Stage) -> Answer:
    return await stage.send(stage.create(), add=[("Content-Digest", content_digest(b"another body"))])


async def lower_case_digest(stage: Stage) -> Answer:
    body = json.dumps(stage.create(text="<p>lower case</p>")).encode()
    answer = await stage.send(body, change={"digest": digest(body).replace("SHA-256", "sha-256")})
    await stage.settle()
    assert "lower case" in await stage.reader.reads()
    return answer


# A005


def reordered(body: bytes) -> bytes:
    return json.dumps(dict(reversed(json.loads(body).items()))).encode()


# A006


def created(**ahead: float) -> Act:
    return dated(lambda stage: {"scheme": "hs2019", "parameters": {"created": str(now_s(stage, **ahead)), "expires": str(now_s(stage, **ahead) + 300)}})


def message_of(text: Callable[[Stage], str]) -> Act:
    return dated(lambda stage: {"scheme": "rfc9421", "message": {"parameters": text(stage) + f';keyid="{stage.p1.key_id}"'}})


# A007, A008, A009: the same bytes again.


async def same_again(stage: Stage) -> list[Answer]:
    from tests.attacks.envelope import envelope

    body = json.dumps(stage.create(text="<p>once only</p>")).encode()
    headers, sent = envelope(stage.p1, stage.inbox, body, stage.world.clock.now())
    answers = [await http("POST", stage.inbox, headers, sent) for _ in range(3)]
    await stage.settle()
    answers.append(await http("POST", stage.inbox, headers, sent))
    await stage.settle()
    assert (await stage.reader.reads()).count("once only") == 1
    return answers


def replayed(where: Callable[[Stage], str], **headers: str) -> Act:
    """A request signed for `reader`'s inbox, sent to another place."""

    async def act(stage: Stage) -> Answer:
        from tests.attacks.envelope import envelope

        signed, sent = envelope(stage.p1, stage.inbox, json.dumps(stage.create()).encode(), stage.world.clock.now())
        changed = {name.title(): value.replace("OURS", stage.site.host) for name, value in headers.items()}
        return await http("POST", where(stage), [(name, changed.get(name, value)) for name, value in signed], sent)

    return act


async def signed_elsewhere(stage: Stage) -> Answer:
    """Signed for another server, and its Host header mended to ours."""
    return await stage.send(stage.create(), change={"host": "elsewhere.example"}, drop=["Host"], add=[("Host", stage.site.host)])


async def old_state_again(stage: Stage) -> list[Answer]:
    """A follow, its Undo, and both once more in the wrong order: what was last decided holds."""
    from tests.attacks.envelope import envelope

    follower = stage.stranger()
    follow = follower.follow(stage.reader.uri)
    letters = []
    for activity in (follow, follower.activity("Undo", follow)):
        letters.append(envelope(follower, stage.inbox, json.dumps(activity).encode(), stage.world.clock.now()))
        await asyncio.sleep(0)
    answers = []
    for headers, body in (letters[0], letters[1], letters[0], letters[0]):
        answers.append(await http("POST", stage.inbox, headers, body))
        await stage.settle()
    assert follower.id not in await stage.reader.followers()
    follower.name = "gone"
    return answers


async def old_like_again(stage: Stage) -> list[Answer]:
    from tests.attacks.envelope import envelope

    like = stage.p1.activity("Like", stage.said.uri)
    undo = stage.p1.activity("Undo", like)
    letters = [envelope(stage.p1, stage.inbox, json.dumps(one).encode(), stage.world.clock.now()) for one in (like, undo)]
    answers = []
    for headers, body in (letters[0], letters[1], letters[1], letters[0]):
        answers.append(await http("POST", stage.inbox, headers, body))
        await stage.settle()
    return answers


# A010

FORWARDING = {
    "X-Forwarded-Host": "elsewhere.example",
    "X-Forwarded-Path": "/elsewhere",
    "X-Forwarded-Proto": "https",
    "X-Original-URL": "/elsewhere",
    "X-Rewrite-URL": "/elsewhere",
    "Forwarded": "host=elsewhere.example;proto=https",
}


def forwarded(name: str) -> Act:
    """Signed for what the header says, not for where it goes."""

    async def act(stage: Stage) -> Answer:
        value = FORWARDING[name]
        spoil: dict[str, Any] = {"target": "/elsewhere"} if value.startswith("/") else {"names": ["(request-target)", "host", "date", "digest"]}
        if "elsewhere.example" in value or value == "https":
            spoil = {"scheme": "rfc9421", "message": {"target_uri": "https://elsewhere.example/users/reader/inbox"}}
        return await stage.send(stage.create(), add=[(name, value)], **spoil)

    return act


def forwarding_ignored(name: str) -> Act:
    async def act(stage: Stage) -> Answer:
        answer = await stage.send(stage.create(text=f"<p>with {name}</p>"), add=[(name, FORWARDING[name])])
        await stage.settle()
        assert f"with {name}" in await stage.reader.reads()
        return answer

    return act


# A011


def hmac_with_pem(stage: Stage) -> dict[str, Any]:
    secret = pem(stage.p1.keys.rsa).encode()
    return {
        "parameters": {"algorithm": "hmac-sha256"},
        "sign": lambda text: base64.b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).decode(),
    }


def rsa_sha1(stage: Stage) -> dict[str, Any]:
    key = stage.p1.keys.rsa
    return {"parameters": {"algorithm": "rsa-sha1"}, "sign": lambda text: base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA1())).decode()}


def hs2019_hmac(stage: Stage) -> dict[str, Any]:
    return {**hmac_with_pem(stage), "scheme": "hs2019", "parameters": {}}


def ed25519_as_rsa(stage: Stage) -> dict[str, Any]:
    return {"key": stage.p1.keys.ed25519, "key_id": f"{stage.p1.id}#ed25519-key"}


def ed25519_for_rsa_key(stage: Stage) -> dict[str, Any]:
    return {"key": stage.p1.keys.ed25519, "scheme": "hs2019"}


def message_alg(algorithm: str) -> Act:
    return message_of(lambda stage: f';created={now_s(stage)};alg="{algorithm}"')


# A012: signatures inside the document.


def ld_signed(create: dict[str, Any], creator: str) -> dict[str, Any]:
    return create | {"signature": {"type": "RsaSignature2017", "creator": creator, "created": "2026-01-01T00:00:00Z", "signatureValue": "AAAA"}}


async def ld_only(stage: Stage) -> Answer:
    return await stage.send(ld_signed(stage.create(stage.victim), stage.victim.key_id), scheme="none")


async def genuine_ld_only(stage: Stage) -> Answer:
    """One that would hold where such signatures are read."""
    return await stage.send(ld_proven(stage.create(stage.victim), stage.victim.keys.rsa, stage.victim.key_id), scheme="none")


async def genuine_proof_only(stage: Stage) -> Answer:
    create = {**stage.create(stage.victim), "@context": [AS2, "https://w3id.org/security/data-integrity/v2"]}
    return await stage.send(proven(create, stage.victim.keys.ed25519, f"{stage.victim.id}#ed25519-key", stage.world.clock.now()), scheme="none")


async def proof_only(stage: Stage) -> Answer:
    proof = {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "verificationMethod": f"{stage.victim.id}#ed25519-key",
        "proofValue": "z" + "2" * 88,
    }
    return await stage.send(
        stage.create(stage.victim) | {"proof": proof | {"proofPurpose": "assertionMethod", "created": "2026-01-01T00:00:00Z"}}, scheme="none"
    )


def reshaped(keyword: str, depth: int, *, in_list: bool = False) -> Act:
    """The victim's LD-signed Create, carried by mallory, its graph rearranged by a keyword at some depth."""

    async def act(stage: Stage) -> Answer:
        inner: Any = stage.create(stage.victim)
        for _ in range(depth):
            inner = {keyword: [inner] if in_list else inner}
        document = ld_signed(stage.create(stage.victim), stage.victim.key_id) | (inner if isinstance(inner, dict) else {})
        return await stage.send(document, stage.mallory)

    return act


def recast(context: Any, **members: Any) -> Act:
    """A document whose context gives its members other meanings, signed by mallory in truth."""

    async def act(stage: Stage) -> Answer:
        filled = json.loads(
            json.dumps({"@context": context, **members})
            .replace("VICTIM", stage.victim.id)
            .replace("MALLORY", stage.mallory.id)
            .replace("READER", stage.reader.uri)
        )
        note = stage.direct(stage.mallory, attributedTo=stage.victim.id)
        stage.hide(note)
        document = {"id": f"{stage.peer.base}/activities/recast{stage.fresh}", "object": note, **filled}
        stage.fresh += 1
        return await stage.send(ld_signed(document, stage.victim.key_id), stage.mallory)

    return act


async def carried(stage: Stage) -> Answer:
    """A forwarded activity that its origin does not know."""
    return await stage.send(stage.create(stage.victim), stage.other, stage.shared)


# A013


def as_victim(by: str, **members: Any) -> Act:
    async def act(stage: Stage) -> Answer:
        create = {**stage.create(stage.victim), **members}
        return await stage.send({key: value for key, value in create.items() if value is not None}, getattr(stage, by))

    return act


def rows() -> list[Case]:
    """The table."""
    found: list[Case] = []

    def case(row: str, name: str, act: Act, status: frozenset[int] = UNAUTHORISED, **more: bool) -> None:
        found.append(Case(row, name, act, status, **more))

    case("A001", "no Signature header", spoiled(scheme="none"))
    case("A001", "no header of a signature at all", nothing_signed)
    case("A001", "a signature in Authorization", in_authorization)
    case("A001", "Signature-Input alone", spoiled(scheme="rfc9421", drop=["Signature"]))
    case("A001", "Signature of RFC 9421 without its input", spoiled(scheme="rfc9421", drop=["Signature-Input"]), REFUSED)

    for name, header in {
        "rubbish": "!!!", "an open quote": 'keyId="x', "no pairs": "a,b,c", "a NUL escape": 'keyId=",,;\\x00 signature=====', "brackets": "(((((((",
        "no base64": 'keyId="http://x.example/#k",signature="%%%"', "20 parameters": f'{parameters(20)},keyId="x"', "an empty value": 'keyId="",signature=""',
    }.items():  # fmt: skip
        case("A002", name, spoiled(header=header), REFUSED)
    # The server itself closes the door on a header that long: 431, or without a word.
    case("A002", "64 kB long", spoiled(header='keyId="' + "x" * 65_536 + '"'), frozenset({0, 400, 431}))
    case("A002", "10,000 parameters", spoiled(header=parameters(10_000)), frozenset({0, 400, 431}))
    # security.md says 400, protocol.md C12 and Mastodon say 401: DESIGN is silent, both refuse.
    case("A002", "keyId twice", dated(lambda stage: {"parameters": {"keyId": f'{stage.other.key_id}",keyId="{stage.p1.key_id}'}}), REFUSED)
    case("A002", "two Signature headers", spoiled(add=[("Signature", 'keyId="x",signature="AAAA"')]), REFUSED)

    case("A003", "without (request-target)", covering("host", "date", "digest"))
    case("A003", "without host", covering("(request-target)", "date", "digest"))
    case("A003", "without date", covering("(request-target)", "host", "digest"))
    case("A003", "without digest", covering("(request-target)", "host", "date"))
    case("A003", "an empty list", spoiled(parameters={"headers": ""}), REFUSED)
    case("A003", "a blank list", spoiled(parameters={"headers": " "}), REFUSED)
    case("A003", "no list", spoiled(parameters={"headers": None}))
    case("A003", "date twice", covering("(request-target)", "host", "date", "date", "digest"))
    case("A003", "a header that is not there", covering("(request-target)", "host", "date", "digest", "x-none"))

    case("A004", "absent", spoiled(change={"digest": None}))
    case("A004", "of another body", digesting(lambda body: digest(body + b" ")))
    case("A004", "MD5 alone", digesting(md5))
    case("A004", "SHA-1 alone", digesting(sha1))
    case("A004", "SHA-512 alone", digesting(sha512))
    case("A004", "two of one kind, one right", digesting(lambda body: f"{digest(body)},{digest(b'')}"))
    case("A004", "two of one kind, the other right", digesting(lambda body: f"{digest(b'')},{digest(body)}"))
    case("A004", "lower-case sha-256 is taken", lower_case_digest, TAKEN, effect=True)
    case("A004", "right, but not signed", covering("(request-target)", "host", "date", "content-type"))
    case("A004", "Content-Digest says otherwise", two_digests_disagree)
    case("A004", "not base64", digesting(lambda _: "SHA-256=%%%"), REFUSED)
    case("A004", "cut short", digesting(lambda body: digest(body)[:-8]))

    case("A005", "a space more", spoiled(after=lambda body: body + b" "))
    case("A005", "keys in another order", spoiled(after=reordered))
    case("A005", "one byte", spoiled(after=lambda body: body.replace(b"hello", b"jello")))
    case("A005", "cut at the end", spoiled(after=lambda body: body[:-1]), REFUSED)

    case("A006", "Date 13 hours old", dated(lambda stage: {"change": {"date": http_date(stage.world.clock.now(), hours=-13)}}))
    case("A006", "Date 2 hours ahead", dated(lambda stage: {"change": {"date": http_date(stage.world.clock.now(), hours=2)}}))
    case("A006", "no Date, though signed", spoiled(change={"date": None}, names=["(request-target)", "host", "date", "digest"]))
    for date in ("yesterday", "Thu, 01 Jan 9999 00:00:00 GMT", "Thu, 01 Jan -001 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "0", ""):
        case("A006", f"Date {date!r}", spoiled(change={"date": date or " "}), REFUSED)
    case("A006", "created 13 hours ago", created(hours=-13))
    case("A006", "created in 2 hours", created(hours=2))
    for moment in ("-1", "1.5", "99999999999", "253402300800", "x", ""):
        case("A006", f"created {moment!r}", spoiled(scheme="hs2019", parameters={"created": moment}), REFUSED)
    case("A006", "expires before created", dated(lambda stage: {"scheme": "hs2019", "parameters": {"expires": str(now_s(stage, minutes=-30))}}))
    case(
        "A006",
        "expired",
        dated(lambda stage: {"scheme": "hs2019", "parameters": {"created": str(now_s(stage, minutes=-40)), "expires": str(now_s(stage, minutes=-35))}}),
    )
    case("A006", "(created) with rsa-sha256", spoiled(scheme="hs2019", parameters={"algorithm": "rsa-sha256"}))
    case("A006", "RFC 9421: created with a fraction", message_of(lambda stage: f";created={now_s(stage)}.5"), REFUSED)
    case("A006", "RFC 9421: no created", message_of(lambda _: ""))
    case("A006", "RFC 9421: created 13 hours ago", message_of(lambda stage: f";created={now_s(stage, hours=-13)}"))
    case("A006", "RFC 9421: created in 2 hours", message_of(lambda stage: f";created={now_s(stage, hours=2)}"))
    case("A006", "RFC 9421: negative", message_of(lambda _: ";created=-1"))
    case("A006", "RFC 9421: year 9999", message_of(lambda _: ";created=253402300799"))
    case("A006", "RFC 9421: expires before created", message_of(lambda stage: f";created={now_s(stage)};expires={now_s(stage, minutes=-1)}"))

    case("A007", "the same request again", same_again, TAKEN, effect=True)

    # 421: another host's name is misdirected before it is anything else (A054).
    case("A008", "to the shared inbox", replayed(lambda stage: stage.shared))
    case("A008", "to another inbox", replayed(lambda stage: stage.friend.actor.inbox))
    case("A008", "to the instance's inbox", replayed(lambda stage: f"{stage.site.base}/actor/inbox"))
    case("A008", "to another path", replayed(lambda stage: f"{stage.inbox}/x"), frozenset({401, 404, 405}))
    case("A008", "from another host, named", spoiled(change={"host": "elsewhere.example"}), frozenset({401, 421}))
    case("A008", "from another host, its name mended", signed_elsewhere)
    case("A008", "RFC 9421, made for another host", spoiled(scheme="rfc9421", message={"target_uri": "http://elsewhere.example/users/reader/inbox"}))
    case("A008", "RFC 9421, made for another path", dated(lambda stage: {"scheme": "rfc9421", "message": {"target_uri": stage.shared}}))

    case("A009", "Follow after its Undo", old_state_again, TAKEN, met=True, effect=True)
    case("A009", "Like after its Undo", old_like_again, TAKEN)

    case("A010", "Host of another", spoiled(drop=["Host"], add=[("Host", "elsewhere.example")]), frozenset({401, 421}))
    for name in FORWARDING:
        case("A010", f"{name} is believed for the signature", forwarded(name))
        case("A010", f"{name} changes nothing", forwarding_ignored(name), TAKEN, effect=True)

    case("A011", "hmac-sha256 with the public key as secret", dated(hmac_with_pem))
    case("A011", "hs2019 with the public key as secret", dated(hs2019_hmac))
    case("A011", "none", spoiled(parameters={"algorithm": "none"}))
    case("A011", "rsa-sha1", dated(rsa_sha1))
    case("A011", "rsa-sha256 with an Ed25519 key", dated(ed25519_as_rsa))
    case("A011", "hs2019 with an Ed25519 key", dated(lambda stage: {**ed25519_as_rsa(stage), "scheme": "hs2019"}))
    case("A011", "hs2019: an Ed25519 signature for the RSA key", dated(ed25519_for_rsa_key))
    for algorithm in ("ed25519", "hmac-sha256", "rsa-pss-sha512", "ecdsa-p256-sha256", "none"):
        case("A011", f"RFC 9421: alg {algorithm} with an RSA key", message_alg(algorithm))

    case("A012", "an LD signature alone", ld_only)
    case("A012", "an LD signature alone, one that holds", genuine_ld_only)
    case("A012", "a proof alone", proof_only)
    case("A012", "a proof alone, one that holds", genuine_proof_only)
    # DESIGN 3: somebody else's valid signature over a fetchable id is 202, and the posted body is thrown away.
    for keyword in ("@graph", "@included", "@reverse"):
        for depth in range(1, 6):
            case("A012", f"{keyword} at depth {depth}", reshaped(keyword, depth), frozenset({202, 400}))
        case("A012", f"{keyword} in a list", reshaped(keyword, 2, in_list=True), frozenset({202, 400}))
        case(
            "A012",
            f"{keyword} in the context",
            recast([AS2, {"evil": keyword}], type="Create", actor="MALLORY", evil={"actor": "VICTIM"}),
            frozenset({202, 400, 401, 403}),
        )
    case("A012", "aliases for type and actor", recast([AS2, {"kind": "@type", "by": "as:actor"}], kind="Create", by="VICTIM"), frozenset({400}))
    case(
        "A012",
        "actor means another thing",
        recast([AS2, {"actor": "as:attributedTo", "x": "as:actor"}], type="Create", actor="MALLORY", x="VICTIM"),
        frozenset({202, 400, 403}),
    )
    case("A012", "forwarded, and its origin does not know it", carried, TAKEN)

    case("A013", "by somebody of another server", as_victim("other"), frozenset({202, 401}))
    case("A013", "by somebody of the same server", as_victim("mallory"), frozenset({202, 401}))
    # DESIGN 3: neither proof nor fetchable id: 401.
    case("A013", "by another, without an id", as_victim("other", id=None))
    case("A013", "by another, a Follow without an id", as_victim("mallory", id=None, type="Follow"))
    case("A013", "with an id of the signer's host", as_victim("other", id="http://elsewhere.example/1"), frozenset({401, 403}))
    return found
