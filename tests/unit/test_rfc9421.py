"""Does an RFC 9421 message signature hold for the right request and for no other? Against appendix B and an independent implementation."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.keys import PrivateKey
from actors.signatures import rfc9421
from actors.signatures.request import claimed_keys
from schemas.reading import Iri
from tests.messages import FEDIFY, MASTODON, message_signed, message_verdict
from tests.signing import pem

URL = "https://peer.example/inbox"
BODY = b'{"type":"Create"}'
CREATED = int(datetime(2026, 11, 22, 10, 0, tzinfo=UTC).timestamp())
RSA = PrivateKey(Iri("https://ex.org/users/alice#main-key"), "rsa", generate_private_key(65537, 2048))
EDWARDS = PrivateKey(Iri("https://ex.org/users/alice#ed25519-key"), "ed25519", Ed25519PrivateKey.generate())


def verified(headers: dict[str, str], key: PrivateKey, method: str = "POST", url: str = URL, body: bytes | None = BODY) -> bool:
    fields = {name.lower(): [value] for name, value in headers.items()}
    stated = rfc9421.read(headers["Signature-Input"], headers["Signature"], body=body is not None)[0]
    if body is not None and not rfc9421.digest_holds(fields["content-digest"][0], body):
        return False
    base = rfc9421.base(stated, method, url, fields)
    try:
        if key.algorithm == "rsa":
            key.key.public_key().verify(stated.signature, base, PKCS1v15(), SHA256())
        else:
            key.key.public_key().verify(stated.signature, base)
    except InvalidSignature:
        return False
    return stated.agrees(key.algorithm)


def test_the_base_of_appendix_b_2_6_gives_its_signature():
    # RFC 9421 B.1.4 and B.2.6: an Ed25519 signature is deterministic, so the whole of it can be compared.
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU="))
    parameters = '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"'
    components = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    stated = rfc9421.MessageSignature("sig-b26", components, parameters, "test-key-ed25519", 1618884473, None, None, b"")
    headers = {"date": ["Tue, 20 Apr 2021 02:07:55 GMT"], "content-type": ["application/json"], "content-length": ["18"]}
    base = rfc9421.base(stated, "POST", "https://example.com/foo?param=Value&Pet=dog", headers)
    assert base64.b64encode(key.sign(base)).decode() == "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="


def test_the_parameters_keep_the_order_they_came_in():
    line = '("@method" "@target-uri");keyid="k";created=5;alg="ed25519";nonce="n"'
    assert rfc9421.read(f"s={line}", "s=:AA==:", body=False)[0].parameters == line


@pytest.mark.parametrize("key", [RSA, EDWARDS], ids=["rsa", "ed25519"])
def test_it_opens_for_what_we_sign(key):
    assert verified(rfc9421.sign(key, "POST", URL, BODY, CREATED), key)
    assert verified(rfc9421.sign(key, "GET", URL + "?page=2", None, CREATED), key, "GET", URL + "?page=2", None)


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("PUT", URL, BODY),
        ("POST", "https://other.example/inbox", BODY),
        ("POST", URL + "?x", BODY),
        ("POST", "https://peer.example/inbox/", BODY),
        ("POST", URL, BODY + b" "),
    ],
)
def test_it_stays_shut_for_another_request(method, url, body):
    assert not verified(rfc9421.sign(RSA, "POST", URL, BODY, CREATED), RSA, method, url, body)


def test_it_stays_shut_for_another_key_and_another_algorithm():
    headers = rfc9421.sign(RSA, "POST", URL, BODY, CREATED)
    other = PrivateKey(RSA.uri, "rsa", generate_private_key(65537, 2048))
    assert not verified(headers, other)
    stated = rfc9421.read('s=("@method" "@target-uri");created=5;keyid="k";alg="hmac-sha256"', "s=:AA==:", body=False)[0]
    assert not stated.agrees("rsa")
    assert not stated.agrees("ed25519")


@pytest.mark.parametrize(
    "stated",
    [
        "",
        "s",
        "s=1",
        's=("@method")',
        's=("@method" "@target-uri");keyid="k"',
        's=("@method" "@target-uri");created=5',
        's=("@method" "@target-uri");created=5.0;keyid="k"',
        's=("@method" "@target-uri");created="5";keyid="k"',
        's=("@method" "@target-uri");created=5;keyid=k',
        's=("@method" "@target-uri");created;keyid="k"',
        's=("@method" "@target-uri" "@method");created=5;keyid="k"',
        's=("@method";req "@target-uri");created=5;keyid="k"',
        's=("@target-uri" "date");created=5;keyid="k"',
        's=("@method" "@target-uri" 5);created=5;keyid="k"',
        't=("@method" "@target-uri");created=5;keyid="k"',
        's=("@method" "@target-uri' + "x" * 9000,
        "s=(\u2603)",
    ],
)
def test_what_covers_too_little_is_named_bad(stated):
    with pytest.raises(rfc9421.BadMessageSignature):
        rfc9421.read(stated, "s=:AA==:", body=False)


def test_a_body_must_be_covered():
    with pytest.raises(rfc9421.BadMessageSignature):
        rfc9421.read('s=("@method" "@target-uri");created=5;keyid="k"', "s=:AA==:", body=True)


def test_of_two_labels_the_good_one_is_read():
    good = 'b=("@method" "@target-uri");created=5;keyid="k"'
    assert [one.label for one in rfc9421.read(f'a=("date");created=5, {good}', "a=:AA==:, b=:AQ==:", body=False)] == ["b"]


@pytest.mark.parametrize("covered", ["date", "@status", "@unknown"])
def test_a_component_that_is_not_there_is_named_bad(covered):
    stated = rfc9421.read(f's=("@method" "@target-uri" "{covered}");created=5;keyid="k"', "s=:AA==:", body=False)[0]
    with pytest.raises(rfc9421.BadMessageSignature):
        rfc9421.base(stated, "GET", URL, {})


@pytest.mark.parametrize("field", ["", "sha-512=:AA==:", "sha-256=AA", "sha-256", "SHA-256=:AA==:", "\u2603", "sha-256=:" + "A" * 9000])
def test_a_digest_field_without_sha_256_is_named_bad(field):
    with pytest.raises(rfc9421.BadMessageSignature):
        rfc9421.digest_holds(field, BODY)


def test_the_digests_that_are_published_hold():
    # RFC 9530 B.1 and the request of RFC 9421 B.2
    both = (
        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, "
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
    )
    assert rfc9421.content_digest(b'{"hello": "world"}') == both.split(", ")[0]
    assert rfc9421.digest_holds(both, b'{"hello": "world"}')
    assert not rfc9421.digest_holds(both, b'{"hello": "world"}\n')
    assert not rfc9421.digest_holds(both.replace("WZDP", "WZDQ"), b'{"hello": "world"}')
    # RFC 9530, figure 1: with its line end
    assert rfc9421.content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_a_digest_of_other_bytes_does_not_hold():
    assert rfc9421.digest_holds(rfc9421.content_digest(BODY), BODY)
    assert not rfc9421.digest_holds(rfc9421.content_digest(BODY), BODY + b" ")
    assert not rfc9421.digest_holds("sha-256=:AA==:", BODY)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_rubbish_is_named_bad_and_never_more(stated, value):
    try:
        rfc9421.read(stated, value, body=False)
    except rfc9421.BadMessageSignature:
        assert True


FIELDS = st.text('abkeyidsg019"=;:,()@-# \t\\é', max_size=80).map(str.encode)


@settings(max_examples=150, deadline=None)
@given(FIELDS, st.none() | FIELDS)
def test_what_a_request_claims_is_read_from_anything(signature, stated):
    lines = [(b"signature", signature), *([] if stated is None else [(b"signature-input", stated)])]
    assert all(isinstance(key, str) for key in claimed_keys(lines))


def test_what_a_request_claims_in_either_scheme():
    headers = rfc9421.sign(RSA, "POST", URL, BODY, CREATED)
    assert claimed_keys([(name.lower().encode(), value.encode()) for name, value in headers.items()]) == [RSA.uri]
    assert claimed_keys([(b"signature", f'keyId="{RSA.uri}",signature="AAAA"'.encode())]) == [RSA.uri]
    assert claimed_keys([]) == []


@pytest.mark.parametrize("key", [RSA, EDWARDS], ids=["rsa", "ed25519"])
@pytest.mark.parametrize(("method", "url", "body"), [("POST", URL, BODY), ("GET", f"{URL}?page=2&a=%20", None)])
def test_somebody_elses_code_reads_what_we_sign(key, method, url, body):
    sent = {name.lower(): value for name, value in rfc9421.sign(key, method, url, body, CREATED).items()}
    now = datetime.fromtimestamp(CREATED, UTC)
    assert message_verdict(method, url, sent, body or b"", pem(key.key), now) == "valid"
    assert message_verdict(method, url + "x", sent, body or b"", pem(key.key), now) != "valid"


@pytest.mark.parametrize("key", [RSA, EDWARDS], ids=["rsa", "ed25519"])
@pytest.mark.parametrize("covering", [MASTODON, FEDIFY])
def test_we_read_what_somebody_elses_code_signs(key, covering):
    sent = dict(message_signed(key.key, key.uri, "POST", URL, BODY, datetime.fromtimestamp(CREATED, UTC), covering=covering, include_alg=True))
    assert verified(sent, key)
    assert not verified(sent, key, url=URL + "x")
