"""How does what is not public travel between two trusted peers? The outer document, its padding, and the keys it names; actors/sealing.py seals.

    {"type": "Sealed", "actor": <Application>, "to": [<Application>], "sealed": {"key", "from", "ephemeral", "payload"}}

Whoever carries it sees that one instance says something to the other, when, and how long it is in steps.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Final

from schemas import publickeys, vocabulary
from schemas.publickeys import BadKey
from schemas.reading import Document, Iri, Unreadable, first, iri, text

KIND: Final = "Sealed"
TERMS: Final[Document] = {
    "fm": vocabulary.NAMESPACE,
    "Sealed": "fm:Sealed",
    "sealed": "fm:sealed",
    "key": {"@id": "fm:key", "@type": "@id"},
    "from": {"@id": "fm:from", "@type": "@id"},
    "ephemeral": "fm:ephemeral",
    "payload": "fm:payload",
}
CONTEXT: Final[list[Any]] = ["https://www.w3.org/ns/activitystreams", TERMS]

STEPS: Final = (1024, 2048, 4096, 8192, 16384, 32768, 46080)
"""Bytes a sealed activity is filled up to; the last is what still fits into 64 KiB with its frame."""
LENGTH: Final = 4
MOST_INNER: Final = STEPS[-1] - LENGTH
MOST_PAYLOAD: Final = 70_000
X25519_BYTES: Final = 32


class TooLong(ValueError):
    """More than the longest step holds; say so to the author before anything is stored."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"an activity of {size} bytes; {MOST_INNER} is the most that travels sealed")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is sealed, for the key `key` of the receiver, by the holder of the key `sender`; `ephemeral` was made for this one message."""

    key: Iri
    sender: Iri
    ephemeral: bytes
    payload: bytes = field(repr=False)


def padded(plain: bytes) -> bytes:
    """The bytes with their length before them, filled with zeros to the next step. Raises `TooLong`."""
    size = LENGTH + len(plain)
    step = next((step for step in STEPS if size <= step), None)
    if step is None:
        raise TooLong(len(plain))
    return len(plain).to_bytes(LENGTH, "big") + plain + bytes(step - size)


def unpadded(filled: bytes) -> bytes:
    """What `padded` was given; raises `Unreadable` for anything it does not make."""
    length = int.from_bytes(filled[:LENGTH], "big")
    if len(filled) not in STEPS or length > len(filled) - LENGTH or any(filled[LENGTH + length :]):
        raise Unreadable("sealed.payload", "is not filled up as agreed")
    return filled[LENGTH : LENGTH + length]


def outer(id: Iri, actor: Iri, to: Iri, envelope: Envelope) -> Document:
    """The activity as it is posted, signed by the Application `actor`."""
    return {"@context": CONTEXT, "id": id, "type": KIND, "actor": actor, "to": [to], "sealed": members(envelope)}


def members(envelope: Envelope) -> Document:
    """The value of `sealed`."""
    return {
        "key": envelope.key,
        "from": envelope.sender,
        "ephemeral": publickeys.multibase(publickeys.X25519_PREFIX + envelope.ephemeral),
        "payload": base64.b64encode(envelope.payload).decode("ascii"),
    }


def read(document: Document) -> Envelope:
    """The envelope of an outer activity; raises `Unreadable`."""
    value = first(document.get("sealed"))
    if not isinstance(value, dict):
        raise Unreadable("sealed", "is missing")
    key, sender = iri(value.get("key")), iri(value.get("from"))
    if key is None or sender is None:
        raise Unreadable("sealed.key", "or sealed.from is no http(s) IRI")
    packed = text(value.get("payload"), MOST_PAYLOAD + 1) or ""
    if not packed or len(packed) > MOST_PAYLOAD:
        raise Unreadable("sealed.payload", "is missing or too long")
    try:
        payload = base64.b64decode(packed, validate=True)
        ephemeral = publickeys.x25519(text(value.get("ephemeral"), 200) or "")
    except (binascii.Error, ValueError, BadKey) as error:
        raise Unreadable("sealed", "holds what is no key or no base64") from error
    return Envelope(key, sender, ephemeral, payload)
