"""Does any header break what reads signatures, or make it read two things?"""

import base64
import hashlib
from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import strategies as st

from actors.media import is_activitypub, media_type, wants_activitypub
from actors.signatures import cavage, proofs, rfc9421
from actors.signatures.errors import BadSignature, MalformedSignature, SignatureError
from outbox.backoff import DAY, retry_after
from tests.fuzz.twice import twice

GRAMMAR = [
    "keyId", "algorithm", "headers", "signature", "created", "expires", "=", '"', ",", " ", "(request-target)", "(created)", "host", "date", "digest",
    "rsa-sha256",
    "hs2019", "https://peer.example/users/p1#main-key", "AAAA", "1700000000", "-1", "Signature ", "\\", "\x00", "\t", "\u00e9", ";", "sig1=(", ")",
    '"@method"', '"@target-uri"',
    '"content-digest"', ";created=1700000000", ';keyid="x"', ";alg=", ":AAAA:", "sha-256=:", ":", "?1", "@", "x" * 300,
]  # fmt: skip
headers = st.one_of(st.lists(st.sampled_from(GRAMMAR), max_size=25).map("".join), st.text(max_size=120))
RIGHT = 'keyId="https://peer.example/users/p1#main-key",algorithm="rsa-sha256",headers="(request-target) host date digest",signature="AAAA"'
INPUT = 'sig1=("@method" "@target-uri" "content-digest");created=1700000000;keyid="https://peer.example/users/p1#main-key"'


@st.composite
def nearly(draw: st.DrawFn) -> str:
    """A right header, a little wrong."""
    text = draw(st.sampled_from([RIGHT, INPUT]))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(GRAMMAR)) + text[at + draw(st.integers(0, 8)) :]
    return text


def cavage_holds(header: str, date: str) -> None:
    """One reading or a `SignatureError`; what is read covers each name once, and nothing is made up."""
    try:
        read = cavage.parse(header)
    except (MalformedSignature, BadSignature):
        return
    assert read.key_id in header
    assert len(set(read.headers)) == len(read.headers)
    lines = {b"host": b"ours.example", b"date": date.encode("latin-1", "replace"), b"digest": b"SHA-256=x"}
    try:
        cavage.require(read, "POST")
        cavage.check_time(read, lines, 1_700_000_000)
        base = cavage.base(read, "POST", b"/inbox", lines)
    except SignatureError:
        return
    # The text that is signed has one line for each name, in its order.
    assert base.count(b"\n") == len(read.headers) - 1


def messages_hold(signature_input: str, signature: str) -> None:
    try:
        found = rfc9421.read(signature_input, signature, body=True)
    except rfc9421.BadMessageSignature:
        return
    for one in found:
        assert {"@method", "@target-uri", "content-digest"} <= set(one.components)
        try:
            rfc9421.base(one, "POST", "https://ours.example/inbox", {"content-digest": ["sha-256=:x:"]})
        except rfc9421.BadMessageSignature:
            continue


def digests_hold(header: str, body: bytes) -> None:
    """A digest header is believed only if it holds the SHA-256 of these bytes."""
    right = base64.b64encode(hashlib.sha256(body).digest()).decode()
    lines = {b"digest": header.encode("latin-1", "replace")}
    try:
        cavage.check_digest(lines, body)
    except SignatureError:
        pass
    else:
        assert right in header
    with suppress(rfc9421.BadMessageSignature):
        assert not rfc9421.digest_holds(header, body) or right in header


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30)), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
proof_members = st.dictionaries(
    st.sampled_from(["type", "cryptosuite", "proofPurpose", "verificationMethod", "proofValue", "created", "expires", "@context"]),
    st.one_of(
        json_values,
        st.sampled_from(["DataIntegrityProof", "eddsa-jcs-2022", "assertionMethod", "https://peer.example/#k", "z" + "2" * 88, "z0", "2026-01-01T00:00:00Z"]),
    ),
)


def proofs_hold(proof: object, members: dict[str, object]) -> None:
    """A proof is read or `BadProof`; never anything else, whatever stands in it."""
    try:
        read = proofs.read({**members, "proof": proof}, datetime(2026, 1, 1, tzinfo=UTC))
    except proofs.BadProof:
        return
    if read is not None:
        assert len(read.signature) == 64
        assert len(read.hashed) == 64


def media_holds(text: str) -> None:
    """No media type is two; what is ActivityPub says so by its own name."""
    kind, _ = media_type(text)
    assert kind == "" or kind.count("/") == 1
    if is_activitypub(text):
        assert text.strip().lower().startswith(("application/activity+json", "application/ld+json"))
    wants_activitypub(text)


def waits_hold(header: str) -> None:
    """Whatever a peer asks for, we wait between nothing and a day."""
    asked = retry_after(header, 1_700_000_000_000)
    assert asked is None or 0 <= asked <= DAY


MEDIA = st.lists(
    st.sampled_from(
        [
            "application/",
            "activity+json",
            "ld+json",
            "text/html",
            "*/*",
            ";",
            "q=",
            "0.5",
            "1",
            "profile=",
            '"',
            "https://www.w3.org/ns/activitystreams",
            ",",
            " ",
            "charset=utf-8",
            "nan",
        ]
    ),
    max_size=14,
).map("".join)
WAITS = st.one_of(
    st.integers().map(str),
    st.text(max_size=30),
    st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "1e9", "-5", "\u0661\u0662", "Thu, 01 Jan 0001 00:00:00 +9999"]),
)

test_cavage, test_cavage_long = twice(cavage_holds, st.one_of(nearly(), headers), st.one_of(st.just("Tue, 14 Nov 2023 22:13:20 GMT"), st.text(max_size=40)))
test_messages, test_messages_long = twice(messages_hold, st.one_of(nearly(), headers), st.one_of(st.just("sig1=:AAAA:"), headers))
test_digests, test_digests_long = twice(
    digests_hold,
    st.one_of(headers, st.binary(max_size=3).map(lambda body: "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode())),
    st.binary(max_size=3),
)
test_proofs, test_proofs_long = twice(
    proofs_hold, st.one_of(proof_members, json_values, st.lists(proof_members, max_size=3)), st.dictionaries(st.text(max_size=5), json_values, max_size=4)
)
test_media, test_media_long = twice(media_holds, st.one_of(MEDIA, st.text(max_size=60)))
test_waits, test_waits_long = twice(waits_hold, WAITS)
