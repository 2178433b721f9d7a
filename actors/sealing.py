"""Who can read this on its way? One message, from one instance to one other, sealed from the sender's pinned X25519 key to the receiver's.

    shared = X25519(ephemeral, receiver) | X25519(sender, receiver)        both: for the receiver alone, and by the sender alone (as RFC 9180 mode auth)
    key    = HKDF-SHA256(shared, salt = ephemeral | receiver | sender, info = "fedmatch sealed 1")
    ChaCha20-Poly1305(key, nonce 0, padded inner activity, associated data = outer id, both hosts, both key ids)

Each message has an ephemeral key of its own, so the nonce may be fixed. There is no forward secrecy against a stolen receiver's key: it is replaced with the
Application's other keys (`fedmatch.rotation`), and what it could open is erased 7 days later.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors import keys, known
from schemas import sealed
from schemas.peering import AgreementKey
from schemas.reading import Iri, Row
from schemas.sealed import Envelope
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

INFO: Final = b"fedmatch sealed 1"
NONCE: Final = bytes(12)


class DoesNotOpen(ValueError):
    """Not for this key, not by that one, not on this way, or changed on it."""


@dataclass(frozen=True, slots=True)
class Way:
    """From where to where one message goes; all of it is bound to the seal."""

    id: Iri
    sender_host: str
    receiver_host: str

    def associated(self, envelope_key: Iri, sender_key: Iri) -> bytes:
        return "\0".join((self.id, self.sender_host, self.receiver_host, envelope_key, sender_key)).encode()


@dataclass(frozen=True, slots=True)
class SealingKey:
    """An X25519 key of ours."""

    uri: Iri
    key: X25519PrivateKey = field(repr=False)

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()


def seal(plain: bytes, way: Way, sender: SealingKey, receiver: AgreementKey, *, ephemeral: X25519PrivateKey | None = None) -> Envelope:
    """`plain` as only the holder of `receiver` can read it, provably from `sender`. Raises `schemas.sealed.TooLong`. `ephemeral` is for test vectors."""
    once = ephemeral or X25519PrivateKey.generate()
    public = once.public_key().public_bytes_raw()
    theirs = X25519PublicKey.from_public_bytes(receiver.public)
    try:
        shared = once.exchange(theirs) + sender.key.exchange(theirs)
    except ValueError as error:  # a key of low order: everybody could read it
        raise DoesNotOpen("a key nobody can be alone with") from error
    cipher = ChaCha20Poly1305(_key(shared, public, receiver.public, sender.public))
    return Envelope(receiver.id, sender.uri, public, cipher.encrypt(NONCE, sealed.padded(plain), way.associated(receiver.id, sender.uri)))


def unseal(envelope: Envelope, way: Way, receiver: SealingKey, sender: AgreementKey) -> bytes:
    """What `seal` was given; raises `DoesNotOpen`, and `schemas.reading.Unreadable` for what the right sender filled up wrongly."""
    if envelope.key != receiver.uri or envelope.sender != sender.id:
        raise DoesNotOpen("sealed with other keys")
    try:
        theirs = X25519PublicKey.from_public_bytes(sender.public)
        shared = receiver.key.exchange(X25519PublicKey.from_public_bytes(envelope.ephemeral)) + receiver.key.exchange(theirs)
        cipher = ChaCha20Poly1305(_key(shared, envelope.ephemeral, receiver.public, sender.public))
        filled = cipher.decrypt(NONCE, envelope.payload, way.associated(receiver.uri, sender.id))
    except (InvalidTag, ValueError) as error:
        raise DoesNotOpen("it does not open") from error
    return sealed.unpadded(filled)


def _key(shared: bytes, ephemeral: bytes, receiver: bytes, sender: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=ephemeral + receiver + sender, info=INFO).derive(shared)


# Our own keys.

CURRENT: Final = """
select sealing_key.id, sealing_key.uri, sealing_key.public_key, sealing_key.private_key
from sealing_key
where sealing_key.retired_at is null
order by sealing_key.id desc
limit 1
"""

BY_URI: Final = """
select sealing_key.id, sealing_key.uri, sealing_key.public_key, sealing_key.private_key
from sealing_key
where sealing_key.uri = :uri
  and (sealing_key.retired_at is null or sealing_key.retired_at > :now)
"""

LISTED: Final = """
select sealing_key.uri, sealing_key.public_key
from sealing_key
where sealing_key.retired_at is null
order by sealing_key.id desc
"""

INSERT: Final = """
insert into sealing_key (id, uri, public_key, private_key, created_at)
values (:id, :uri, :public_key, :private_key, :now)
"""

RETIRE: Final = """
update sealing_key
set retired_at = :until
where retired_at is null
"""

PRUNE: Final = """
delete from sealing_key
where retired_at <= :now
"""


async def ensure(tx: Transaction, instance: "Instance") -> None:
    """Makes our Application's X25519 key if there is none; its private half rests sealed. Works locked."""
    if await tx.one(CURRENT) is None:
        await _make(tx, instance)


async def replace(tx: Transaction, instance: "Instance") -> None:
    """A new key in the place of the current one, which opens what comes for 7 days more."""
    await tx.execute(RETIRE, until=instance.clock.ms() + keys.KEPT_MS)
    await _make(tx, instance)


async def _make(tx: Transaction, instance: "Instance") -> None:
    application, pair, number = await known.application(tx), X25519PrivateKey.generate(), instance.ids.new()
    await tx.execute(
        INSERT,
        id=number,
        uri=f"{application.uri}#x25519-key-{number}",
        public_key=pair.public_key().public_bytes_raw(),
        private_key=instance.vault.seal(pair.private_bytes_raw(), f"sealing_key:{number}"),
        now=instance.clock.ms(),
    )
    log.info("sealing_key.made", key=number)


async def prune(tx: Transaction, now_ms: int) -> int:
    """Forgets replaced keys whose time is over, private halves and all; how many."""
    return await tx.execute(PRUNE, now=now_ms)


async def listed(tx: Transaction) -> tuple[AgreementKey, ...]:
    """What our Application's document lists in `keyAgreement`."""
    return tuple(AgreementKey(Iri(row["uri"]), bytes(row["public_key"])) for row in await tx.all(LISTED))


async def current(tx: Transaction, instance: "Instance") -> SealingKey:
    """The key we seal with. Raises `Locked`, `keys.NoKey`."""
    row = await tx.one(CURRENT)
    if row is None:
        raise keys.NoKey("this instance has no sealing key yet; start it once")
    return _opened(instance, row)


async def by_uri(tx: Transaction, instance: "Instance", uri: str) -> SealingKey | None:
    """Our key of that name, a replaced one too while it is kept; None if we have it no more. Raises `Locked`."""
    row = await tx.one(BY_URI, uri=uri, now=instance.clock.ms())
    return None if row is None else _opened(instance, row)


def _opened(instance: "Instance", row: Row) -> SealingKey:
    return SealingKey(Iri(row["uri"]), X25519PrivateKey.from_private_bytes(instance.vault.open(bytes(row["private_key"]), f"sealing_key:{row['id']}")))
