"""draft-cavage signatures: what peers really send is read, forgeries and rubbish are not, and what we sign satisfies the strictest peer."""

import base64
import hashlib
import string
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import apsig.draft
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from actors.keys import PrivateKey, PublicKey
from actors.signatures import cavage
from actors.signatures.errors import BadSignature, MalformedSignature, SignatureError, StaleSignature
from schemas.reading import Iri
from tests import signing

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACTOR = Iri("https://peer.example/users/alice")
KEY_ID = Iri(f"{ACTOR}#main-key")
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
PRIVATE = PrivateKey(KEY_ID, "rsa", RSA)
PUBLIC = PublicKey(KEY_ID, 1, ACTOR, "peer.example", "rsa", RSA.public_key())
BODY = b'{"type":"Create"}'


def lines(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def signed(
    names: str, *, method: str = "POST", path: str = "/inbox", algorithm: str | None = "rsa-sha256", key: rsa.RSAPrivateKey = RSA, **values: str
) -> cavage.Headers:
    """The headers of a request signed by hand over exactly `names`."""
    all_values = {
        "(request-target)": f"{method.lower()} {path}",
        "host": "ours.example",
        "date": format_datetime(NOW, usegmt=True),
        "digest": signing.digest(BODY),
        "content-type": "application/activity+json",
    } | values
    base = "\n".join(f"{name}: {all_values[name]}" for name in names.split())
    parameters = [f'keyId="{KEY_ID}"', f'headers="{names}"', f'signature="{signing.signature_of(key, base)}"']
    parameters += [f'algorithm="{algorithm}"'] if algorithm else []
    parameters += [f"{name[1:-1]}={values[name]}" for name in ("(created)", "(expires)") if name in values]
    sent = {name: value for name, value in all_values.items() if not name.startswith("(")}
    return cavage.joined(lines({**sent, "signature": ",".join(parameters)}))


def check(
    headers: cavage.Headers, *, method: str = "POST", raw_path: bytes = b"/inbox", body: bytes = BODY, now: datetime = NOW, key: PublicKey = PUBLIC
) -> bool:
    """Everything a receiver checks, in its order."""
    signature = cavage.parse(headers[b"signature"].decode())
    cavage.require(signature, method)
    cavage.check_time(signature, headers, now.timestamp())
    if method == "POST":
        cavage.check_digest(headers, body)
    return cavage.verify(key, signature, method, raw_path, headers)


PUBLISHED_KEY = b"""-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C3
6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6
Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw
oYi+1hqp1fIekaxsyQIDAQAB
-----END PUBLIC KEY-----
"""
PUBLISHED_BODY = b'{"hello": "world"}'
# What the draft prints, appendix C: the default, the basic and (up to draft 10, before `(created)`) all headers.
PUBLISHED = {
    "default": (
        "",
        "SjWJWbWN7i0wzBvtPl8rbASWz5xQW6mcJmn+ibttBqtifLN7Sazz6m79cNfwwb8DMJ5cou1s7uEGKKCs+FLEEaDV5lp7q25WqS+lavg7T8hc0GppauB6hbgEKTwblDHY"
        "GEtbGmtdHgVCk9SuS13F0hZ8FD0k/5OxEPXe5WozsbM=",
    ),
    "basic": (
        "(request-target) host date",
        "qdx+H7PHHDZgy4y/Ahn9Tny9V3GP6YgBPyUXMmoxWtLbHpUnXS2mg2+SbrQDMCJypxBLSPQR2aAjn7ndmw2iicw3HMbe8VfEdKFYRqzic+efkb3nndiv/x1xSHDJWeSW"
        "kx3ButlYSuBskLu6kd9Fswtemr3lgdDEmn04swr2Os0=",
    ),
    "all headers": (
        "(request-target) host date content-type digest content-length",
        "vSdrb+dS3EceC9bcwHSo4MlyKS59iFIrhgYkz8+oVLEEzmYZZvRs8rgOp+63LEM3v+MFHB32NfpB2bEKBIvB1q52LaEUHFv120V01IL+TAD48XaERZFukWgHoBTLMhYS"
        "2Gb51gWxpeIq8knRmPnYePbF5MOkR0Zkly4zKH7s1dE=",
    ),
}


@pytest.mark.parametrize(("names", "value"), PUBLISHED.values(), ids=PUBLISHED)
def test_the_published_signatures_verify_over_what_was_published_and_nothing_else(names: str, value: str) -> None:
    stated = f'headers="{names}",' if names else ""
    published = {
        "Host": "example.com", "Date": "Sun, 05 Jan 2014 21:31:40 GMT", "Content-Type": "application/json", "Content-Length": "18",
        "Digest": "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
    }  # fmt: skip
    loaded = load_pem_public_key(PUBLISHED_KEY)
    assert isinstance(loaded, rsa.RSAPublicKey)
    # Of 1,024 bits: as an actor's key it would be refused (test_keys)
    key = PublicKey(KEY_ID, 1, ACTOR, "peer.example", "rsa", loaded)
    headers, path = cavage.joined(lines(published)), b"/foo?param=value&pet=dog"
    signature = cavage.parse(f'keyId="Test",algorithm="rsa-sha256",{stated}signature="{value}"')
    cavage.check_digest(headers, PUBLISHED_BODY)
    assert cavage.verify(key, signature, "POST", path, headers)
    assert not cavage.verify(key, signature, "POST", path, {**headers, b"date": b"Sun, 05 Jan 2014 21:31:41 GMT"})
    assert not names or not cavage.verify(key, signature, "POST", b"/foo", headers)


def test_somebody_elses_code_reads_what_we_sign() -> None:
    now = datetime.now(UTC)  # that code asks the clock itself
    sent = cavage.sign(PRIVATE, "POST", "https://ours.example/inbox", {"Content-Type": "application/activity+json"}, BODY, now)
    reader = apsig.draft.Verifier(RSA.public_key(), "POST", "https://ours.example/inbox", sent, BODY, clock_skew=3600)
    assert reader.verify(raise_on_fail=True) == KEY_ID
    for changed in ({"Content-Type": "text/html"}, {"Host": "other.example"}):
        assert apsig.draft.Verifier(RSA.public_key(), "POST", "https://ours.example/inbox", {**sent, **changed}, BODY, clock_skew=3600).verify() is None


PEERS = {
    "Mastodon": ("host date digest content-type (request-target)", "rsa-sha256"),
    "GoToSocial": ("(request-target) host date digest", "hs2019"),
    "Misskey": ("(request-target) date host digest", "rsa-sha256"),
    "Fedify": ("(request-target) host date digest content-type", "rsa-sha256"),
    "without algorithm": ("(request-target) host date digest", None),
}


@pytest.mark.parametrize(("names", "algorithm"), PEERS.values(), ids=PEERS)
def test_what_peers_send_is_believed(names: str, algorithm: str | None) -> None:
    assert check(signed(names, algorithm=algorithm))


def test_lemmy_signs_created_and_expires() -> None:
    created, expires = str(int(NOW.timestamp())), str(int(NOW.timestamp()) + 3600)
    headers = signed("(request-target) (created) (expires) host digest", algorithm="hs2019", **{"(created)": created, "(expires)": expires})
    assert check(headers)
    assert check(headers, now=NOW + timedelta(minutes=59))
    with pytest.raises(StaleSignature):
        check(headers, now=NOW + timedelta(minutes=66))


@pytest.mark.parametrize("path", ["/inbox?page=1", "/inbox"])
def test_the_path_is_tried_with_its_query_and_without(path: str) -> None:
    headers = signed("(request-target) host date", method="GET", path=path)
    assert check(headers, method="GET", raw_path=b"/inbox?page=1")
    assert not check(headers, method="GET", raw_path=b"/other?page=1")
    assert check(headers, method="GET", raw_path=b"/inbox?page=2") == (path == "/inbox")


def test_a_query_is_never_made_up() -> None:
    assert not check(signed("(request-target) host date", method="GET", path="/inbox?page=1"), method="GET", raw_path=b"/inbox")


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        (signed("(request-target) host date digest", key=OTHER), {}),
        (signed("(request-target) host date digest", path="/users/other/inbox"), {}),
        (signed("(request-target) host date digest", method="PUT"), {}),
        (signed("(request-target) host date digest"), {"raw_path": b"/INBOX"}),
        ({**signed("(request-target) host date digest"), b"host": b"elsewhere.example"}, {}),
        ({**signed("(request-target) host date digest"), b"date": format_datetime(NOW + timedelta(seconds=1), usegmt=True).encode()}, {}),
        ({**signed("(request-target) host date digest content-type"), b"content-type": b"text/html"}, {}),
        (signed("(request-target) host date digest"), {"key": PublicKey(KEY_ID, 1, ACTOR, "peer.example", "ed25519", ED25519.public_key())}),
    ],
    ids=["other key", "other path", "other method", "other case", "other host", "other date", "other type", "other kind of key"],
)
def test_a_forgery_does_not_verify(headers: cavage.Headers, options: dict[str, object]) -> None:
    assert not check(headers, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "names", ["host date digest", "(request-target) date digest", "(request-target) host digest", "(request-target) host date", "date", ""]
)
def test_a_post_must_cover_what_gives_it_meaning(names: str) -> None:
    with pytest.raises(SignatureError) as caught:
        check(signed(names))
    assert caught.value.status == 401


@pytest.mark.parametrize("names", ["host date", "(request-target) date", "(request-target) host"])
def test_a_get_must_cover_target_host_and_time(names: str) -> None:
    with pytest.raises(BadSignature):
        check(signed(names, method="GET"), method="GET")


def test_a_header_that_is_named_must_be_there() -> None:
    headers = {name: value for name, value in signed("(request-target) host date digest content-type").items() if name != b"content-type"}
    with pytest.raises(BadSignature, match="content-type"):
        check(headers)


@pytest.mark.parametrize("minutes", [-59, -1, 0, 59])
def test_a_date_within_the_hour_is_believed(minutes: int) -> None:
    assert check(signed("(request-target) host date digest"), now=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [-61, 61, 13 * 60, -120])
def test_a_date_outside_it_is_not(minutes: int) -> None:
    with pytest.raises(StaleSignature):
        check(signed("(request-target) host date digest"), now=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 01 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 2026 12:00:00",
        "Sunday, 01-Mar-26 12:00:00 GMT",
        "Sun Mar  1 12:00:00 2026",
        "Sun, 01 Mar 2026 13:00:00 +0100",
        "1 Mar 2026 12:00:00 UTC",
    ],
)
def test_dates_are_read_as_they_come(date: str) -> None:
    assert check(signed("(request-target) host date digest", date=date))


@pytest.mark.parametrize(
    "date",
    [
        "",
        "0",
        "yesterday",
        "2026-03-01T12:00:00Z",
        "Sun, 01 Mar 9999 12:00:00 GMT",
        "Sun, 01 Mar -026 12:00:00 GMT",
        "Sun, 32 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 99999999999 12:00:00 GMT",
        "Sun, 01 Mar 2026 12:00:00 GMT, Sun, 01 Mar 2026 12:00:00 GMT",
    ],
)
def test_dates_nobody_can_mean_are_refused(date: str) -> None:
    with pytest.raises(BadSignature):
        check(signed("(request-target) host date digest", date=date))


@pytest.mark.parametrize(
    "values",
    [
        {"(created)": "1.5"},
        {"(created)": "-1"},
        {"(created)": "1e9"},
        {"(created)": "99999999999999"},
        {"(created)": "１２"},
        {"(created)": str(int(NOW.timestamp())), "(expires)": str(int(NOW.timestamp()) - 1)},
    ],
)
def test_created_is_a_whole_number_and_comes_before_expires(values: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        check(signed("(request-target) (created) host digest", algorithm="hs2019", **values))


def test_created_belongs_to_hs2019() -> None:
    with pytest.raises(BadSignature, match="hs2019"):
        check(signed("(request-target) (created) host digest", algorithm="rsa-sha256", **{"(created)": str(int(NOW.timestamp()))}))


def test_created_that_is_signed_must_be_given() -> None:
    header = f'keyId="{KEY_ID}",algorithm="hs2019",headers="(request-target) (created) host digest",signature="AAAA"'
    with pytest.raises(BadSignature, match="created"):
        check({**signed("(request-target) host date digest"), b"signature": header.encode()})


RIGHT = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
RIGHT_512 = base64.b64encode(hashlib.sha512(BODY).digest()).decode()
WRONG = base64.b64encode(hashlib.sha256(b"other").digest()).decode()


@pytest.mark.parametrize(
    "digest",
    [
        f"SHA-256={RIGHT}",
        f"sha-256={RIGHT}",
        f"SHA-512={RIGHT_512},SHA-256={RIGHT}",
        f"sha-256={RIGHT} , SHA-512={RIGHT_512}",
        f"MD5=AAAA,SHA-256={RIGHT}",
        f"SHA-256={RIGHT},SHA-256={RIGHT}",
    ],
)
def test_a_right_digest_opens(digest: str) -> None:
    cavage.check_digest({b"digest": digest.encode()}, BODY)


@pytest.mark.parametrize(
    "digest",
    [
        f"SHA-256={WRONG}",
        f"SHA-512={RIGHT_512}",
        f"SHA-256={RIGHT},SHA-256={WRONG}",
        f"SHA-256={RIGHT},SHA-512={WRONG}",
        f"SHA-256={RIGHT[:-4]}",
        f"SHA-256={RIGHT.rstrip('=')}",
        f"SHA-256=:{RIGHT}:",
        "SHA-256=",
        "SHA-256",
        "SHA-256=====",
        "MD5=AAAA",
        "SHA-1=AAAA",
        "",
        ",",
        "\xff",
    ],
)
def test_any_other_digest_does_not(digest: str) -> None:
    with pytest.raises(SignatureError):
        cavage.check_digest({b"digest": digest.encode("latin-1")}, BODY)


def test_two_digest_headers_must_agree() -> None:
    cavage.check_digest({b"digest": f"SHA-256={RIGHT}".encode(), b"content-digest": f"sha-256=:{RIGHT}:".encode()}, BODY)
    with pytest.raises(BadSignature):
        cavage.check_digest({b"digest": f"SHA-256={RIGHT}".encode(), b"content-digest": f"sha-256=:{WRONG}:".encode()}, BODY)
    with pytest.raises(BadSignature):
        cavage.check_digest({}, BODY)


@pytest.mark.parametrize("change", [b" " + BODY, BODY + b" ", BODY.replace(b"Create", b"Delete"), b""])
def test_one_byte_more_or_less_is_another_body(change: bytes) -> None:
    with pytest.raises(BadSignature):
        check(signed("(request-target) host date digest"), body=change)


PARSED = cavage.CavageSignature("https://a/b#c", "rsa-sha256", ("date", "host"), b"\0\0\0")


@pytest.mark.parametrize(
    "header",
    [
        'keyId="https://a/b#c",algorithm="rsa-sha256",headers="date host",signature="AAAA"',
        'Signature keyId="https://a/b#c",algorithm="rsa-sha256",headers="date host",signature="AAAA"',
        'signature="AAAA" , headers = "Date  HOST" ,algorithm= "RSA-SHA256",  keyId ="https://a/b#c"  ',
        'keyId="https://a/b#c",algorithm=rsa-sha256,headers="date host",signature=AAAA,',
        'keyId="https://a/b#c",algorithm="rsa-sha256",headers="date host",signature="AAAA",opaque="x"',
    ],
)
def test_headers_are_read_as_peers_write_them(header: str) -> None:
    assert cavage.parse(header) == PARSED


def test_what_is_left_out_is_what_the_draft_says() -> None:
    assert cavage.parse('keyId="a",signature="AAAA"') == cavage.CavageSignature("a", "hs2019", ("(created)",), b"\0\0\0")
    assert cavage.parse('keyId="a",signature="AAAA",algorithm="rsa-sha256"').headers == ("date",)
    assert cavage.parse('keyId="a",signature="AAAA",created=5,expires="7"').expires == 7


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Signature",
        ",,,",
        'keyId="a"',
        'signature="AAAA"',
        'keyId="",signature="AAAA"',
        'keyId="a",signature="AAAA',
        'keyId="a",signature="A"',
        'keyId="a",signature="A A="',
        'keyId="a",signature="AAAA" headers="date"',
        'keyId="a\\"b",signature="AAAA"',
        'keyId="a",keyId="a",signature="AAAA"',
        'keyId="a",signature="AAAA",algorithm="hmac-sha256"',
        'keyId="a",signature="AAAA",algorithm="none"',
        'keyId="a",signature="AAAA",algorithm="rsa-sha1"',
        'keyId="a",signature="AAAA",algorithm="ed25519"',
        'keyId="a",signature="AAAA",headers="date date"',
        'keyId="a",signature="AAAA",headers="da:te"',
        'keyId="a",signature="AAAA",headers="' + "x " * 40 + '"',
        ",".join(f'p{number}="x"' for number in range(10_000)),
        'keyId="' + "a" * 64_000 + '",signature="AAAA"',
        "sig1=:AAAA:",
    ],
)
def test_what_cannot_be_meant_is_refused(header: str) -> None:
    with pytest.raises(SignatureError) as caught:
        cavage.parse(header)
    assert caught.value.status in (400, 401)


@given(st.text(string.printable, max_size=300) | st.text(max_size=100))
def test_rubbish_is_a_named_error_and_nothing_else(header: str) -> None:
    with suppress(MalformedSignature, BadSignature):
        found = cavage.parse(header)
        cavage.require(found, "POST")
        cavage.check_time(found, {}, 0)


tokens = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)


@given(
    st.from_regex(r"https://[a-z]{1,9}/[a-z/]{0,20}(#[a-z-]{1,9})?", fullmatch=True),
    st.sampled_from(["rsa-sha256", "hs2019"]),
    st.lists(tokens, min_size=1, max_size=8, unique=True),
    st.binary(min_size=1, max_size=300),
    st.permutations(["keyId", "algorithm", "headers", "signature"]),
    st.sampled_from([",", ", ", " , "]),
)
def test_every_well_formed_header_is_read_back(key_id: str, algorithm: str, headers: list[str], signature: bytes, order: list[str], comma: str) -> None:
    values = {"keyId": key_id, "algorithm": algorithm, "headers": " ".join(headers), "signature": base64.b64encode(signature).decode()}
    assert cavage.parse(comma.join(f'{name}="{values[name]}"' for name in order)) == cavage.CavageSignature(key_id, algorithm, tuple(headers), signature)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_digest_of_rubbish_is_a_named_error(header: bytes, body: bytes) -> None:
    with suppress(MalformedSignature, BadSignature):
        cavage.check_digest({b"digest": header}, body)


def test_repeated_headers_are_joined_in_order() -> None:
    assert cavage.joined([(b"X", b" a "), (b"y", b"b"), (b"x", b"c")]) == {b"x": b"a, c", b"y": b"b"}


def test_what_we_sign_satisfies_a_strict_peer_and_ourselves() -> None:
    headers = cavage.sign(PRIVATE, "POST", "https://Peer.example/users/%62ob/inbox", {"Content-Type": "application/activity+json"}, BODY, NOW)
    assert headers["Host"] == "peer.example"
    sent = {name.lower(): value for name, value in headers.items()}
    assert signing.verdict("POST", "/users/%62ob/inbox", sent, BODY, signing.pem(RSA), NOW, "peer.example") == "valid"
    assert check(cavage.joined(lines(headers)), raw_path=b"/users/%62ob/inbox")
    assert cavage.parse(headers["Signature"]).headers == ("(request-target)", "host", "date", "digest", "content-type")
    assert cavage.parse(headers["Signature"]).key_id == KEY_ID


def test_what_we_ask_for_is_signed_with_its_query() -> None:
    headers = cavage.sign(PRIVATE, "GET", "https://peer.example/a?b=c", {"Accept": "application/activity+json", "date": "forged"}, None, NOW)
    sent = {name.lower(): value for name, value in headers.items()}
    assert signing.verdict("GET", "/a?b=c", sent, b"", signing.pem(RSA), NOW, "peer.example") == "valid"
    assert sent["accept"] == "application/activity+json"
    assert "digest" not in sent
