"""Whose words are these, whoever carried them? FEP-8b32 object integrity proofs, cryptosuite `eddsa-jcs-2022` only.

A proof makes words undeniable for ever: we put one on offers, vouches and Application documents, never on a request.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import rfc8785

from actors.keys import BadKey, multibase, multibase_bytes
from schemas.reading import Document, Iri

SUITE: Final = "eddsa-jcs-2022"
TYPE: Final = "DataIntegrityProof"
SIGNATURE_BYTES: Final = 64


class BadProof(ValueError):
    """A proof stands in the document and cannot be right: wrong type, suite, purpose, context, time or value."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A well-formed proof and the 64 bytes that its key must have signed."""

    method: Iri
    created: datetime | None
    signature: bytes
    hashed: bytes

    def holds(self, verify: Callable[[bytes, bytes], bool]) -> bool:
        """Whether `verify(signature, hashed)` of the key named by `method` agrees."""
        return verify(self.signature, self.hashed)


def read(document: Document, now: datetime) -> Proof | None:
    """The proof of a document, or None where it carries none.

    Follows W3C vc-di-eddsa 3.3.2 with the context rule of step 4.2 as Mastodon 4.7 reads it: the document's `@context` starts with the
    proof's and is replaced by it. Raises `BadProof`. A proof set (a list) is read by its first `eddsa-jcs-2022` member.
    """
    stated = document.get("proof")
    if stated is None:
        return None
    proof = _chosen(stated)
    if proof.get("type") != TYPE or proof.get("proofPurpose") != "assertionMethod":
        raise BadProof("the proof is no DataIntegrityProof for assertionMethod")
    method = proof.get("verificationMethod")
    if not isinstance(method, str) or not method.startswith(("https://", "http://")):
        raise BadProof("verificationMethod is no http(s) IRI")
    expires = _moment(proof, "expires")
    if expires is not None and expires <= now:
        raise BadProof("the proof has expired")
    return Proof(Iri(method), _moment(proof, "created"), _signature(proof), _hashed(document, proof))


def attach(document: Document, method: Iri, created: datetime, sign: Callable[[bytes], bytes]) -> Document:
    """The document with a proof by the Ed25519 key `method`; the proof's `@context` is the document's own."""
    options: Document = {
        "type": TYPE,
        "cryptosuite": SUITE,
        "verificationMethod": method,
        "proofPurpose": "assertionMethod",
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if "@context" in document:
        options["@context"] = document["@context"]
    signed = {name: value for name, value in document.items() if name not in ("proof", "signature")}
    return {**signed, "proof": {**options, "proofValue": multibase(sign(_hashed(signed, options)))}}


def _chosen(stated: object) -> Document:
    members = stated if isinstance(stated, list) else [stated]
    for member in members[:10]:
        if isinstance(member, dict) and member.get("cryptosuite") == SUITE:
            return member
    raise BadProof(f"no proof of the suite {SUITE}")


def _signature(proof: Document) -> bytes:
    value = proof.get("proofValue")
    if not isinstance(value, str):
        raise BadProof("proofValue is no text")
    try:
        signature = multibase_bytes(value)
    except BadKey as why:
        raise BadProof("proofValue is no base58btc multibase text") from why
    if len(signature) != SIGNATURE_BYTES:
        raise BadProof("proofValue is not 64 bytes long")
    return signature


def _moment(proof: Document, name: str) -> datetime | None:
    stated = proof.get(name)
    if stated is None:
        return None
    if not isinstance(stated, str) or len(stated) > 40:
        raise BadProof(f"{name} is no time")
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError as why:
        raise BadProof(f"{name} is no time") from why
    if moment.tzinfo is None:
        raise BadProof(f"{name} has no time zone")
    return moment


def _hashed(document: Document, proof: Document) -> bytes:
    # FEP-8b32: an LD signature stands beside the proof, not under it.
    unsigned = {name: value for name, value in document.items() if name not in ("proof", "signature")}
    if "@context" in proof:
        stated, carried = proof["@context"], document.get("@context")
        prefix = stated if isinstance(stated, list) else [stated]
        whole = carried if isinstance(carried, list) else [carried]
        if whole[: len(prefix)] != prefix:
            raise BadProof("the proof's @context does not begin the document's")
        unsigned["@context"] = stated
    options = {name: value for name, value in proof.items() if name != "proofValue"}
    try:
        return hashlib.sha256(rfc8785.dumps(options)).digest() + hashlib.sha256(rfc8785.dumps(unsigned)).digest()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as why:
        raise BadProof("the document has no canonical form") from why
