"""How do others sign messages and carry proofs? RFC 9421 by `http-message-signatures`, FEP-8b32 by `apsig`: two implementations that are not ours."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import apsig
import jcs
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_public_key
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from multiformats import multibase
from pyld import jsonld

from schemas import jsonld_child
from tests.signing import Private

MASTODON = ("@method", "@target-uri")
FEDIFY = ("@method", "@target-uri", "@authority", "host", "date")
"""What these two cover, besides the digest of a body."""


@dataclass
class Message:
    """A request as that library wants one."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, key: Any) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> Any:
        return self._key

    resolve_public_key = resolve_private_key


def _algorithm(key: Any) -> Any:
    return algorithms.RSA_V1_5_SHA256 if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else algorithms.ED25519


def content_digest(body: bytes) -> str:
    """The Content-Digest of a body, SHA-256."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def message_signed(
    key: Private,
    key_id: str,
    method: str,
    url: str,
    body: bytes | None,
    now: datetime,
    *,
    covering: Sequence[str] = MASTODON,
    expires: datetime | None = None,
    label: str = "sig1",
    digest: str | None = None,
    include_alg: bool = False,
) -> list[tuple[str, str]]:
    """The headers of a request signed by RFC 9421; `covering` as given, and the digest of a body unless `covering` ends with "no digest"."""
    message = Message(method, url, {"Host": urlsplit(url).netloc, "Date": format_datetime(now.astimezone(UTC), usegmt=True)})
    components = [name for name in covering if name != "no digest"]
    if body is not None:
        message.headers |= {"Content-Type": "application/activity+json", "Content-Digest": digest or content_digest(body)}
        if "no digest" not in covering:
            components.append("content-digest")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) if isinstance(key, rsa.RSAPrivateKey) else key
    signer = HTTPMessageSigner(signature_algorithm=_algorithm(key), key_resolver=_Keys(private))
    signer.sign(
        message,
        key_id=key_id,
        created=now,
        expires=expires,
        label=label,
        include_alg=include_alg,
        covered_component_ids=components,
        use_existing_digest=body is not None,
    )
    return list(message.headers.items())


def message_verdict(method: str, url: str, headers: dict[str, str], body: bytes, public_pem: str, now: datetime) -> str:
    """`valid`, or why a strict peer (Mastodon 4.7) would refuse the request: what it insists on is insisted on here."""
    message = Message(method, url, headers)
    public = load_pem_public_key(public_pem.encode())

    class Verifier(HTTPMessageVerifier):
        def validate_created_and_expires(self, *_: Any, **__: Any) -> None:
            """The story has a clock of its own; see below."""

    try:
        verifier = Verifier(signature_algorithm=_algorithm(public), key_resolver=_Keys(public), component_resolver_class=HTTPSignatureComponentResolver)
        results = verifier.verify(message, max_age=None)
    except (InvalidSignature, HTTPMessageSignaturesException) as error:
        return f"signature: {error}"
    covered = {str(name).partition(";")[0].strip('"') for name in results[0].covered_components}
    needed = {"@method", "@target-uri", *(["content-digest"] if method == "POST" else [])}
    if not needed <= covered:
        return f"not signed: {sorted(needed - covered)}"
    if abs(now.timestamp() - int(results[0].parameters["created"])) > 300:
        return "created"
    if method == "POST" and headers.get("content-digest") != content_digest(body):
        return "digest"
    return "valid"


def proven(document: dict[str, Any], key: ed25519.Ed25519PrivateKey, method: str, now: datetime, **options: Any) -> dict[str, Any]:
    """The document with a proof by `key`, whose id is `method`; `options` replace or add members of the proof before it is signed."""
    stated = {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "verificationMethod": method,
        "proofPurpose": "assertionMethod",
        "created": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **options,
    }
    return apsig.ProofSigner(key).sign(document, stated)


def ld_proven(document: dict[str, Any], key: rsa.RSAPrivateKey, creator: str) -> dict[str, Any]:
    """The document with an RsaSignature2017 that holds, as Mastodon makes one: over the RDF of what is said of it, and of itself."""
    terms = "http://purl.org/dc/terms/"
    context = {"creator": {"@id": f"{terms}creator", "@type": "@id"}, "created": {"@id": f"{terms}created", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"}}
    stated = {"creator": creator, "created": "2026-01-01T00:00:00Z"}
    options = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": jsonld_child.load}
    hashed = "".join(hashlib.sha256(jsonld.normalize(one, options).encode()).hexdigest() for one in ({"@context": context, **stated}, document))
    signature = base64.b64encode(key.sign(hashed.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    return {**document, "signature": {"type": "RsaSignature2017", **stated, "signatureValue": signature}}


def proof_holds(document: dict[str, Any], public: bytes) -> bool:
    """Whether the proof in `document` is by the Ed25519 key with these 32 bytes. (apsig's own verifier stops at an `@context` with terms in it.)"""
    proof = dict(document["proof"])
    signature = multibase.decode(proof.pop("proofValue"))
    unsigned = {name: value for name, value in document.items() if name != "proof"}
    hashed = hashlib.sha256(jcs.canonicalize(proof)).digest() + hashlib.sha256(jcs.canonicalize(unsigned)).digest()
    if proof.get("@context", document["@context"]) != document["@context"]:
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, hashed)
    except BadSignature:
        return False
    return True


def raw(key: Any) -> bytes:
    """The 32 bytes of an Ed25519 key's public half."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def body_of(document: dict[str, Any]) -> bytes:
    """A document as bytes to send."""
    return json.dumps(document, ensure_ascii=False).encode()
