"""Does an object integrity proof hold for the right words and for no others? Against the published vector of FEP-8b32."""

import copy
import hashlib
from datetime import UTC, datetime

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.keys import from_multibase, multibase_bytes
from actors.signatures import proofs
from schemas.reading import Document, Iri

KEY = Iri("https://server.example/users/alice#ed25519-key")
CONTEXT = ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/data-integrity/v2"]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
# The vector: key, time, document and value as FEP-8b32 publishes them.
SECRET = Ed25519PrivateKey.from_private_bytes(multibase_bytes("z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq")[2:])
PUBLIC = Ed25519PublicKey.from_public_bytes(from_multibase("z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2")[1])
MADE = datetime(2023, 2, 24, 23, 36, 38, tzinfo=UTC)
VALUE = "z42ffGu6AUKPCFcFPiabmUvnGLPJzC7e4DGWC52NUasSSH37UMa9c58tdgVszUcZfytxa4fQ5TYHaJENCxUDe9SdL"


def words() -> Document:
    place = {"type": "Place", "longitude": -71.184902, "latitude": 25.273962}
    alice = "https://server.example/users/alice"
    note = {"id": "https://server.example/objects/1", "type": "Note", "attributedTo": alice, "content": "Hello world", "location": place}
    return {"@context": list(CONTEXT), "id": "https://server.example/activities/1", "type": "Create", "actor": alice, "object": note}


def holds(document: Document, now: datetime = NOW) -> bool:
    proof = proofs.read(document, now)
    assert proof is not None

    def verify(signature: bytes, data: bytes) -> bool:
        try:
            PUBLIC.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    return proof.holds(verify)


def test_it_makes_the_published_proof_byte_for_byte():
    signed = proofs.attach(words(), KEY, MADE, SECRET.sign)
    assert signed["proof"]["proofValue"] == VALUE
    assert {name: value for name, value in signed.items() if name != "proof"} == words()


def test_the_published_hashes_are_the_ones_that_are_signed():
    proof = proofs.attach(words(), KEY, MADE, SECRET.sign)["proof"]
    options = {name: value for name, value in proof.items() if name != "proofValue"}
    assert hashlib.sha256(rfc8785.dumps(options)).hexdigest() == "cf63e2308ce7d1137667192c5c5e751ba7b1c6e3d5e746a7b717d309654ad198"
    assert hashlib.sha256(rfc8785.dumps(words())).hexdigest() == "0793e8d97e2de4b989b2b2d7a5fae8cf941f102a03c0ecab00f03eaa2330c650"


def test_it_opens_for_the_published_document():
    assert holds(proofs.attach(words(), KEY, MADE, SECRET.sign))


def test_an_ld_signature_beside_the_proof_changes_nothing():
    signed = proofs.attach(words(), KEY, MADE, SECRET.sign) | {"signature": {"type": "RsaSignature2017", "signatureValue": "AA=="}}
    assert holds(signed)


def test_a_context_that_grew_at_its_end_still_holds():
    signed = proofs.attach(words(), KEY, MADE, SECRET.sign)
    signed["@context"] = [*CONTEXT, "https://w3id.org/security/v1"]
    assert holds(signed)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["object"].__setitem__("content", "Hello World"),
        lambda d: d["object"]["location"].__setitem__("latitude", 25.273963),
        lambda d: d.__setitem__("actor", "https://server.example/users/mallory"),
        lambda d: d.__setitem__("extra", 1),
        lambda d: d["proof"].__setitem__("created", "2023-02-24T23:36:39Z"),
        lambda d: d["proof"].__setitem__("verificationMethod", "https://server.example/users/mallory#ed25519-key"),
        lambda d: d["proof"].pop("@context"),
    ],
)
def test_one_changed_member_shuts_it(spoil):
    signed = copy.deepcopy(proofs.attach(words(), KEY, MADE, SECRET.sign))
    spoil(signed)
    assert not holds(signed)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("type", "Ed25519Signature2020"),
        ("proofPurpose", "authentication"),
        ("cryptosuite", "eddsa-rdfc-2022"),
        ("verificationMethod", "did:key:z6Mk"),
        ("verificationMethod", None),
        ("expires", "2024-01-01T00:00:00Z"),
        ("expires", "soon"),
        ("created", 5),
        ("created", "2023-02-24T23:36:38"),
        ("proofValue", "m" + VALUE[1:]),
        ("proofValue", VALUE[:-2]),
        ("proofValue", "z0OIl"),
        ("proofValue", "z" + "1" * 5000),
        ("@context", ["https://w3id.org/security/data-integrity/v2"]),
    ],
)
def test_a_proof_that_cannot_be_right_is_named_bad(member, value):
    signed = proofs.attach(words(), KEY, MADE, SECRET.sign)
    signed["proof"] = {**signed["proof"], member: value}
    with pytest.raises(proofs.BadProof):
        proofs.read(signed, NOW)


@pytest.mark.parametrize("stated", [[], "proof", 5, {}, [None], [[]], {"cryptosuite": ["eddsa-jcs-2022"]}])
def test_rubbish_in_place_of_a_proof_is_named_bad(stated):
    with pytest.raises(proofs.BadProof):
        proofs.read({**words(), "proof": stated}, NOW)


def test_a_document_without_a_proof_has_none():
    assert proofs.read(words(), NOW) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_whatever_is_signed_verifies_or_is_named_bad(document):
    document.pop("proof", None)
    document.pop("signature", None)
    try:
        assert holds(proofs.attach(document, KEY, MADE, SECRET.sign))
    except proofs.BadProof:
        assert True
