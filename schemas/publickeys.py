"""How is a public key written down? PEM (SPKI and PKCS#1), Multikey (FEP-521a) and base58btc multibase, read and written; nothing here signs."""

import re
from typing import Final, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key, load_pem_public_key

Algorithm = Literal["rsa", "ed25519"]

SMALLEST_RSA: Final = 2048
LARGEST_RSA: Final = 8192
RSA_EXPONENT: Final = 65537
LONGEST_PEM: Final = 8192

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
VALUES: Final = {letter: value for value, letter in enumerate(ALPHABET)}
ED25519_PREFIX: Final = b"\xed\x01"
X25519_PREFIX: Final = b"\xec\x01"
RSA_PREFIX: Final = b"\x85\x24"
"""Multicodec prefixes as unsigned varints: ed25519-pub 0xed, x25519-pub 0xec, rsa-pub 0x1205."""

PEM: Final = re.compile(r"\s*-----BEGIN (RSA )?PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END (RSA )?PUBLIC KEY-----\s*\Z")


class BadKey(ValueError):
    """A public key that is unreadable, of a kind we do not use, or too weak or too large to verify with."""


def load(algorithm: Algorithm, public: bytes) -> RSAPublicKey | Ed25519PublicKey:
    """The key object of SPKI DER (RSA) or 32 raw bytes (Ed25519); raises `BadKey`.

    RSA from 2048 to 8192 bits with exponent 65537 only: a huge exponent makes each verification slow (security.md A017).
    """
    try:
        if algorithm == "ed25519":
            return Ed25519PublicKey.from_public_bytes(public)
        key = load_der_public_key(public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("not a public key") from error
    if not isinstance(key, RSAPublicKey):
        raise BadKey("neither RSA nor Ed25519")
    if not SMALLEST_RSA <= key.key_size <= LARGEST_RSA:
        raise BadKey(f"an RSA key of {key.key_size} bits; {SMALLEST_RSA} to {LARGEST_RSA} are taken")
    numbers = key.public_numbers()
    if numbers.e != RSA_EXPONENT or numbers.n % 2 == 0:
        raise BadKey("an RSA key with an exponent or modulus nobody makes")
    return key


def from_pem(pem: str) -> tuple[Algorithm, bytes]:
    """Algorithm and public half of one PEM block, "PUBLIC KEY" (SPKI) or "RSA PUBLIC KEY" (PKCS#1); raises `BadKey`, also for two blocks or a private key."""
    if len(pem) > LONGEST_PEM or PEM.match(pem) is None:
        raise BadKey("not one PEM public key")
    try:
        key = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("not a PEM public key") from error
    if isinstance(key, Ed25519PublicKey):
        return "ed25519", key.public_bytes_raw()
    if not isinstance(key, RSAPublicKey):
        raise BadKey("neither RSA nor Ed25519")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    load("rsa", der)
    return "rsa", der


def to_pem(der: bytes) -> str:
    """SPKI DER as PEM with a newline at its end, as `publicKeyPem` has it."""
    return load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def from_multibase(text: str) -> tuple[Algorithm, bytes]:
    """Algorithm and public half of a Multikey's `publicKeyMultibase` (FEP-521a: base58btc; Ed25519 or RSA); raises `BadKey`."""
    raw = multibase_bytes(text)
    if raw.startswith(ED25519_PREFIX) and len(raw) == 34:
        load("ed25519", raw[2:])
        return "ed25519", raw[2:]
    if raw.startswith(RSA_PREFIX):
        try:
            key = load_der_public_key(raw[2:])  # reads PKCS#1, which FEP-521a's RSA vector has, and SPKI
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadKey("not an RSA key") from error
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        load("rsa", der)
        return "rsa", der
    raise BadKey("a multikey of a kind we do not use")


def x25519(text: str) -> bytes:
    """The 32 raw bytes of an X25519 Multikey's `publicKeyMultibase` (z6LS...); raises `BadKey`. Such a key seals and never signs."""
    raw = multibase_bytes(text)
    if not raw.startswith(X25519_PREFIX) or len(raw) != 34:
        raise BadKey("not an X25519 key")
    return raw[2:]


def to_multibase(public: bytes, algorithm: Algorithm = "ed25519") -> str:
    """A public half as `publicKeyMultibase`: 32 raw Ed25519 bytes as z6Mk..., SPKI DER of RSA as FEP-521a's vector has it (PKCS#1)."""
    if algorithm == "ed25519":
        return multibase(ED25519_PREFIX + public)
    return multibase(RSA_PREFIX + load_der_public_key(public).public_bytes(Encoding.DER, PublicFormat.PKCS1))


def multibase(data: bytes) -> str:
    """Bytes as base58btc multibase; FEP-8b32's `proofValue` has this form too."""
    zeros = len(data) - len(data.lstrip(b"\0"))
    number, letters = int.from_bytes(data, "big"), []
    while number:
        number, value = divmod(number, 58)
        letters.append(ALPHABET[value])
    return "z" + ALPHABET[0] * zeros + "".join(reversed(letters))


def multibase_bytes(text: str) -> bytes:
    """The bytes of base58btc multibase of at most 4,096 letters; raises `BadKey`."""
    if not text.startswith("z") or len(text) > 4096:  # the bound keeps the quadratic arithmetic below a millisecond
        raise BadKey("not base58btc multibase")
    number = 0
    for letter in text[1:]:
        value = VALUES.get(letter)
        if value is None:
            raise BadKey("a letter that base58 does not have")
        number = number * 58 + value
    zeros = len(text) - 1 - len(text[1:].lstrip(ALPHABET[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
