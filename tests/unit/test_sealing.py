"""Is what travels sealed open to its reader alone, and from its sender alone?"""

import hashlib
import hmac
import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import sealing
from actors.sealing import DoesNotOpen, SealingKey, Way
from schemas import documents, sealed
from schemas.peering import AgreementKey
from schemas.reading import Iri, Unreadable
from schemas.sealed import STEPS, Envelope, TooLong

OURS = SealingKey(Iri("https://a.example/actor#x25519-key-1"), X25519PrivateKey.from_private_bytes(b"a" * 32))
THEIRS = SealingKey(Iri("https://b.example/actor#x25519-key-2"), X25519PrivateKey.from_private_bytes(b"b" * 32))
WAY = Way(Iri("https://a.example/sealed/1"), "a.example", "b.example")


def public(key: SealingKey) -> AgreementKey:
    return AgreementKey(key.uri, key.public)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 by hand, one block."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")


def by_hand(plain: bytes, once: bytes) -> bytes:
    """The same seal, put together from its parts."""
    ephemeral = X25519PrivateKey.from_private_bytes(once)
    receiver = X25519PublicKey.from_public_bytes(THEIRS.public)
    epk = ephemeral.public_key().public_bytes_raw()
    key = hkdf(ephemeral.exchange(receiver) + OURS.key.exchange(receiver), epk + THEIRS.public + OURS.public, b"fedmatch sealed 1")
    filled = len(plain).to_bytes(4, "big") + plain
    filled += bytes(next(step for step in STEPS if step >= len(filled)) - len(filled))
    about = b"https://a.example/sealed/1\0a.example\0b.example\0https://b.example/actor#x25519-key-2\0https://a.example/actor#x25519-key-1"
    return ChaCha20Poly1305(key).encrypt(bytes(12), filled, about)


def test_the_seal_is_what_its_parts_make() -> None:
    made = sealing.seal(b"a request", WAY, OURS, public(THEIRS), ephemeral=X25519PrivateKey.from_private_bytes(b"e" * 32))
    assert made.payload == by_hand(b"a request", b"e" * 32)
    # So that nobody changes the form without noticing: peers read it.
    assert hashlib.sha256(made.payload).hexdigest() == "5c83f15a3aebc3ec0bb845a7a23c6ae39a911fdc154c9da1e10a2fbd30602ef5"


def test_x25519_and_hkdf_are_those_of_their_rfcs() -> None:
    # RFC 7748 section 6.1
    bob = X25519PrivateKey.from_private_bytes(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    shared = bob.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")))
    assert shared.hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    # RFC 5869, case 1 (first block)
    assert hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))).hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=5000))
def test_what_is_sealed_opens(plain: bytes) -> None:
    assert sealing.unseal(sealing.seal(plain, WAY, OURS, public(THEIRS)), WAY, THEIRS, public(OURS)) == plain


def test_nobody_else_opens_it_or_makes_it() -> None:
    stranger = SealingKey(THEIRS.uri, X25519PrivateKey.generate())
    envelope = sealing.seal(b"secret", WAY, OURS, public(THEIRS))
    with pytest.raises(DoesNotOpen):
        sealing.unseal(envelope, WAY, stranger, public(OURS))
    # Somebody who knows every public key, and took the name of ours: the seal is not theirs to make.
    forged = sealing.seal(b"secret", WAY, SealingKey(OURS.uri, X25519PrivateKey.generate()), public(THEIRS))
    with pytest.raises(DoesNotOpen):
        sealing.unseal(forged, WAY, THEIRS, public(OURS))


@pytest.mark.parametrize("renamed", [{"key": Iri("https://b.example/actor#x25519-key-1")}, {"sender": Iri("https://a.example/actor#x25519-key-2")}])
def test_an_envelope_that_names_other_keys_than_it_was_made_with_stays_shut(renamed: dict[str, Iri]) -> None:
    envelope = sealing.seal(b"secret", WAY, OURS, public(THEIRS))
    with pytest.raises(DoesNotOpen, match="other keys"):
        sealing.unseal(replace(envelope, **renamed), WAY, THEIRS, public(OURS))  # type: ignore[arg-type]  # both are IRIs


@pytest.mark.parametrize(
    "way", [Way(Iri("https://a.example/sealed/2"), "a.example", "b.example"), Way(WAY.id, "c.example", "b.example"), Way(WAY.id, "a.example", "c.example")]
)
def test_it_opens_on_its_own_way_only(way: Way) -> None:
    with pytest.raises(DoesNotOpen):
        sealing.unseal(sealing.seal(b"secret", WAY, OURS, public(THEIRS)), way, THEIRS, public(OURS))


def test_one_changed_bit_anywhere_is_noticed() -> None:
    envelope = sealing.seal(b"secret", WAY, OURS, public(THEIRS))
    for place in range(0, len(envelope.payload), 97):
        changed = bytearray(envelope.payload)
        changed[place] ^= 1
        with pytest.raises(DoesNotOpen):
            sealing.unseal(Envelope(envelope.key, envelope.sender, envelope.ephemeral, bytes(changed)), WAY, THEIRS, public(OURS))


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_a_key_of_low_order_is_refused_both_ways(point: bytes) -> None:
    with pytest.raises(DoesNotOpen):
        sealing.seal(b"secret", WAY, OURS, AgreementKey(THEIRS.uri, point))
    with pytest.raises(DoesNotOpen):
        sealing.unseal(Envelope(THEIRS.uri, OURS.uri, point, bytes(1040)), WAY, THEIRS, public(OURS))


def test_only_the_steps_are_seen() -> None:
    sizes = {len(sealing.seal(os.urandom(size), WAY, OURS, public(THEIRS)).payload) - 16 for size in (0, 1, 500, 1020, 1021, 3000, 9000, 30000, 46076)}
    assert sizes <= set(STEPS)
    with pytest.raises(TooLong):
        sealed.padded(bytes(sealed.MOST_INNER + 1))


@given(st.binary(max_size=60))
def test_rubbish_is_not_filled_up_as_agreed(filled: bytes) -> None:
    with pytest.raises(Unreadable):
        sealed.unpadded(filled)


def test_the_longest_fits_into_what_others_take() -> None:
    envelope = sealing.seal(bytes(sealed.MOST_INNER), WAY, OURS, public(THEIRS))
    assert len(documents.dumps(sealed.outer(WAY.id, Iri("https://a.example/actor"), Iri("https://b.example/actor"), envelope))) < 64 * 1024


def test_the_outer_document_is_read_as_it_was_written() -> None:
    envelope = sealing.seal(b"secret", WAY, OURS, public(THEIRS))
    document = sealed.outer(WAY.id, Iri("https://a.example/actor"), Iri("https://b.example/actor"), envelope)
    assert sealed.read(document) == envelope
    for broken in (
        {},
        {"sealed": 1},
        {"sealed": {}},
        {"sealed": document["sealed"] | {"payload": "!"}},
        {"sealed": document["sealed"] | {"ephemeral": "z6Mk"}},
    ):
        with pytest.raises(Unreadable):
            sealed.read(broken)
