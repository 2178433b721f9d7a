"""Does this RFC 9421 message signature hold, and how do we make one? Pure: headers and keys in, components and bytes out.

Follows RFC 9421 with the profile that Mastodon 4.4+ and Fedify use: `@method` and `@target-uri` covered, a body by `content-digest`
(RFC 9530), `created` and `keyid` stated; rsa-v1_5-sha256 and ed25519, chosen by the key and never by the message.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import http_sf

from actors.keys import PrivateKey
from schemas.reading import Document

LABEL: Final = "sig1"
MOST_LABELS: Final = 4
MOST_COMPONENTS: Final = 32
LONGEST_FIELD: Final = 8192
ALGORITHMS: Final = {"rsa": "rsa-v1_5-sha256", "ed25519": "ed25519"}
HASHES: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}

Headers = Mapping[str, Sequence[str]]
"""Header fields by lower-case name, each with its lines in their order."""


class BadMessageSignature(ValueError):
    """Signature-Input or Signature is malformed, covers too little, or names what is not there."""


class UnreadableField(BadMessageSignature):
    """A field that is no structured field at all."""


@dataclass(frozen=True, slots=True)
class MessageSignature:
    """One labelled signature as it stands in a message."""

    label: str
    components: tuple[str, ...]
    parameters: str
    key_id: str
    created: int
    expires: int | None
    algorithm: str | None
    signature: bytes

    def agrees(self, algorithm: Literal["rsa", "ed25519"]) -> bool:
        """Whether the stated `alg` (if any) is the one of the key's type: the key decides, never the message."""
        return self.algorithm is None or self.algorithm == ALGORITHMS[algorithm]


def read(signature_input: str, signature: str, *, body: bool) -> tuple[MessageSignature, ...]:
    """Every signature of a message that covers enough, at most four, in their order.

    `body`: the message has one, so `content-digest` must be covered. Raises `BadMessageSignature` where none is usable; times are seconds.
    """
    inputs, values = _dictionary(signature_input, "Signature-Input"), _dictionary(signature, "Signature")
    found, why = [], "Signature-Input names no signature"
    for label, stated in list(inputs.items())[:MOST_LABELS]:
        try:
            found.append(_one(label, stated, values.get(label), body))
        except BadMessageSignature as error:
            why = str(error)
    if not found:
        raise BadMessageSignature(why)
    return tuple(found)


def base(signature: MessageSignature, method: str, target_uri: str, headers: Headers) -> bytes:
    """The signature base of RFC 9421 section 2.5 for what was received.

    `target_uri` is the public URL from our configuration plus the raw path, never what the socket or a proxy header says.
    """
    lines = [f'"{name}": {_value(name, method, target_uri, headers)}' for name in signature.components]
    return "\n".join([*lines, f'"@signature-params": {signature.parameters}']).encode("utf-8", "surrogateescape")


def sign(key: PrivateKey, method: str, url: str, body: bytes | None, created: int, also: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers that sign a request of ours: Signature-Input and Signature, and Content-Digest where it has a body. `created` in seconds.

    `also` are headers to be covered as well, by lower-case name.
    """
    headers = dict(also or {}) | ({} if body is None else {"content-digest": content_digest(body)})
    components = ["@method", "@target-uri", *headers]
    covered = " ".join(f'"{name}"' for name in components)
    parameters = f'({covered});created={created};keyid="{key.uri}"'
    lines = [f'"{name}": {_value(name, method, url, {at: [value] for at, value in headers.items()})}' for name in components]
    signed = "\n".join([*lines, f'"@signature-params": {parameters}']).encode()
    value = base64.b64encode(key.sign(signed)).decode()
    digest = {} if body is None else {"Content-Digest": headers["content-digest"]}
    return {"Signature-Input": f"{LABEL}={parameters}", "Signature": f"{LABEL}=:{value}:", **digest}


def content_digest(body: bytes) -> str:
    """The Content-Digest field of a body (RFC 9530), SHA-256."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def digest_holds(field: str, body: bytes) -> bool:
    """Whether a Content-Digest field states the SHA-256 of exactly these bytes, and no other SHA-512 beside it.

    Raises `BadMessageSignature` where it is no dictionary or has no sha-256.
    """
    stated = _dictionary(field, "Content-Digest")
    if "sha-256" not in stated:
        raise BadMessageSignature("Content-Digest has no sha-256")
    for name, made in HASHES.items():
        if name not in stated:
            continue
        value = stated[name][0] if isinstance(stated[name], tuple) else None
        if not isinstance(value, bytes):
            raise BadMessageSignature(f"Content-Digest has no bytes for {name}")
        if not hmac.compare_digest(value, made(body).digest()):
            return False
    return True


def _dictionary(field: str, name: str) -> Document:
    if len(field) > LONGEST_FIELD:
        raise UnreadableField(f"{name} is longer than {LONGEST_FIELD} bytes")
    try:
        parsed = http_sf.parse(field.encode("ascii"), tltype="dictionary")
    except (http_sf.StructuredFieldError, UnicodeEncodeError, ValueError) as why:
        raise UnreadableField(f"{name} is no structured dictionary") from why
    if not isinstance(parsed, dict):
        raise UnreadableField(f"{name} is no structured dictionary")
    return dict(parsed)


def _one(label: str, stated: object, value: object, body: bool) -> MessageSignature:
    match stated:
        case (list(items), dict(parameters)) if len(items) <= MOST_COMPONENTS:
            pass
        case _:
            raise BadMessageSignature("Signature-Input has no list of components")
    match value:
        case (bytes(raw), _):
            pass
        case _:
            raise BadMessageSignature("Signature has no bytes under this label")
    components = tuple(_component(item) for item in items)
    if len(set(components)) != len(components):
        raise BadMessageSignature("a component is covered twice")
    needed = {"@method", "@target-uri", *(["content-digest"] if body else [])}
    if missing := needed - set(components):
        raise BadMessageSignature(f"not covered: {', '.join(sorted(missing))}")
    match parameters.get("keyid"), parameters.get("created"), parameters.get("expires"), parameters.get("alg"):
        case (str(key_id), int(created), int() | None as expires, str() | None as algorithm) if not isinstance(created, bool):
            line = http_sf.ser([(items, parameters)])
            return MessageSignature(label, components, line, key_id, created, expires, algorithm, raw)
        case _:
            raise BadMessageSignature("keyid and created must be stated; created and expires are whole seconds")


def _component(item: object) -> str:
    match item:
        case (str(name), dict(parameters)) if not parameters:
            return name
        case _:
            # `;req`, `;sf`, `;key` and `;bs` change what is covered; nobody on the fediverse sends them in a request.
            raise BadMessageSignature("a component has parameters")


def _value(name: str, method: str, target_uri: str, headers: Headers) -> str:
    match name:
        case "@method":
            return method.upper()
        case "@target-uri":
            return target_uri
        case "@authority":
            return target_uri.split("/", 3)[2].lower()
        case "@scheme":
            return target_uri.split(":", 1)[0]
        case "@request-target":
            return "/" + target_uri.split("/", 3)[3]
        case "@path":
            return "/" + target_uri.split("/", 3)[3].split("?", 1)[0]
        case "@query":
            return "?" + (target_uri.split("?", 1)[1] if "?" in target_uri else "")
        case _ if name.startswith("@"):
            raise BadMessageSignature(f"{name} is no component of a request that we know")
        case _:
            lines = headers.get(name)
            if not lines:
                raise BadMessageSignature(f"{name} is covered and not there")
            return ", ".join(line.strip() for line in lines)
