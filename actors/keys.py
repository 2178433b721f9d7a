"""Which key signs, and whose key is this? Key pairs of ours and public keys of everybody; how they are written down is in schemas/publickeys.py.

RSA-2048 signs HTTP requests (PKCS#1 v1.5 with SHA-256, the one all servers read); Ed25519 signs documents (FEP-8b32). Private halves rest sealed.
"""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_der_private_key

from actors import generations, hosts
from actors.vault import Locked
from schemas.publickeys import RSA_EXPONENT, SMALLEST_RSA, Algorithm, load
from schemas.publickeys import BadKey as BadKey  # this and the next three: signatures speak of keys through this module
from schemas.publickeys import from_multibase as from_multibase
from schemas.publickeys import multibase as multibase
from schemas.publickeys import multibase_bytes as multibase_bytes
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()


class NoKey(LookupError):
    """An actor of ours without a private key of that algorithm."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key of ours, ready to sign."""

    uri: Iri
    algorithm: Algorithm
    key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`: RSASSA-PKCS1-v1_5 with SHA-256 (about 0.6 ms), or Ed25519."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(data, PKCS1v15(), SHA256())
        return self.key.sign(data)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Somebody's key and who they are."""

    uri: Iri
    actor_id: int
    actor_uri: Iri
    host: str
    algorithm: Algorithm
    key: RSAPublicKey | Ed25519PublicKey = field(repr=False)
    proves: bool = False
    """Whether its actor lists it in `assertionMethod`: other keys sign requests and prove no document (FEP-8b32)."""

    @property
    def public(self) -> bytes:
        """The public half as it is stored: SPKI DER (RSA) or 32 raw bytes."""
        return self.key.public_bytes_raw() if isinstance(self.key, Ed25519PublicKey) else self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether this key made `signature` over `data`. The algorithm is the key's, never the message's (security.md A011)."""
        return verify(self.key, signature, data)


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Two fresh key pairs: public halves as `schemas.objects.Key` has them, private halves as PKCS#8 DER, not sealed yet."""

    rsa_public: bytes
    rsa_private: bytes = field(repr=False)
    ed25519_public: bytes
    ed25519_private: bytes = field(repr=False)


_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()


def verify(key: RSAPublicKey | Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether `key` made `signature` over `data`."""
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, data, _PADDING, _HASH)
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


async def make() -> NewKeys:
    """An RSA-2048 and an Ed25519 pair, made in a thread (50-400 ms)."""
    return await asyncio.to_thread(_make)


def _make() -> NewKeys:
    rsa, ed25519 = generate_private_key(RSA_EXPONENT, SMALLEST_RSA), Ed25519PrivateKey.generate()
    return NewKeys(
        rsa_public=rsa.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        rsa_private=rsa.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        ed25519_public=ed25519.public_key().public_bytes_raw(),
        ed25519_private=ed25519.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    )


KEPT_MS: Final = 7 * 24 * 3600 * 1000
"""How long a replaced key of ours is still listed, for peers that have not heard of the new one (GoToSocial looks again after 6 h, others after a day)."""

INSERT_KEY: Final = """
insert into actor_key (id, uri, actor_id, algorithm, public_key, private_key, proves, created_at)
values (:id, :uri, :actor_id, :algorithm, :public_key, :private_key, :proves, :now)
"""


async def keep(
    tx: Transaction, instance: "Instance", actor_id: int, actor_uri: Iri, new: NewKeys, *, replacing: bool = False, hour_ms: int | None = None
) -> None:
    """Stores both pairs of an actor of ours, private halves sealed, under `#main-key` (RSA) and `#ed25519-key`.

    `replacing`: these names are taken, so a number follows; a key id never means another key later. `hour_ms`: the rows tell this hour and nothing finer.
    """
    halves: tuple[tuple[Algorithm, str, bytes, bytes], ...] = (
        ("rsa", "main-key", new.rsa_public, new.rsa_private),
        ("ed25519", "ed25519-key", new.ed25519_public, new.ed25519_private),
    )
    for algorithm, name, public, private in halves:
        key_id = instance.ids.new() if hour_ms is None else (hour_ms + secrets.randbelow(3_600_000)) << 16 | secrets.randbits(16)
        await tx.execute(
            INSERT_KEY,
            id=key_id,
            uri=f"{actor_uri}#{name}-{key_id}" if replacing else f"{actor_uri}#{name}",
            actor_id=actor_id,
            algorithm=algorithm,
            public_key=public,
            private_key=instance.vault.seal(private, f"actor_key:{key_id}"),
            proves=int(algorithm == "ed25519"),
            now=instance.clock.ms() if hour_ms is None else hour_ms,
        )


RETIRE_OURS: Final = """
update actor_key
set retired_at = :until
where actor_id = :actor_id
  and private_key is not null
  and retired_at is null
"""

PRUNE: Final = """
delete from actor_key
where private_key is not null
  and retired_at <= :now
"""


async def replace(tx: Transaction, instance: "Instance", actor_id: int, actor_uri: Iri, new: NewKeys) -> None:
    """Puts new pairs in the place of an actor's own; the old ones stay listed for 7 days."""
    await tx.execute(RETIRE_OURS, actor_id=actor_id, until=instance.clock.ms() + KEPT_MS)
    await keep(tx, instance, actor_id, actor_uri, new, replacing=True)
    await generations.bump(tx, "keys")


async def prune(tx: Transaction, now_ms: int) -> int:
    """Forgets the replaced keys of ours whose time is over, private halves and all; how many."""
    return await tx.execute(PRUNE, now=now_ms)


SELECT_PRIVATE: Final = """
select actor_key.id, actor_key.uri, actor_key.private_key
from actor_key
join actor on actor.id = actor_key.actor_id
where actor_key.actor_id = :actor_id
  and actor_key.algorithm = :algorithm
  and actor_key.private_key is not null
  and actor_key.retired_at is null
  and actor.local = 1
order by actor_key.id desc
limit 1
"""

SELECT_OLDEST: Final = """
select actor_key.id, actor_key.uri, actor_key.private_key
from actor_key
join actor on actor.id = actor_key.actor_id
where actor_key.actor_id = :actor_id
  and actor_key.algorithm = 'rsa'
  and actor_key.private_key is not null
  and (actor_key.retired_at is null or actor_key.retired_at > :now)
  and actor.local = 1
order by actor_key.id
limit 1
"""

SELECT_PUBLIC: Final = """
select actor_key.uri, actor_key.actor_id, actor_key.algorithm, actor_key.public_key, actor_key.proves, actor.uri as actor_uri
from actor_key
join actor on actor.id = actor_key.actor_id
where actor_key.uri = :uri
  and actor_key.retired_at is null
"""


async def _private(tx: Transaction, actor_id: int, algorithm: Algorithm) -> Row | None:
    return await tx.one(SELECT_PRIVATE, actor_id=actor_id, algorithm=algorithm)


async def _oldest(tx: Transaction, actor_id: int, now: int) -> Row | None:
    return await tx.one(SELECT_OLDEST, actor_id=actor_id, now=now)


async def signing(tx: Transaction, instance: "Instance", actor_id: int, algorithm: Algorithm) -> PrivateKey:
    """The key our actor signs with, for use inside a transaction: read and opened each time. Raises `Locked`, `NoKey`."""
    return _opened(instance, actor_id, algorithm, await _private(tx, actor_id, algorithm))


def _opened(instance: "Instance", actor_id: int, algorithm: Algorithm, row: Row | None) -> PrivateKey:
    if row is None:
        raise NoKey(f"actor {actor_id} has no private {algorithm} key here")
    der = instance.vault.open(bytes(row["private_key"]), f"actor_key:{row['id']}")
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)  # we made it: validation would cost 10-100 ms
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise NoKey(f"actor {actor_id} has a private key of a kind we never made")
    return PrivateKey(Iri(row["uri"]), algorithm, key)


async def known_public(tx: Transaction, uri: str) -> PublicKey | None:
    """The stored key with exactly this id, for use inside a transaction; None if there is none that can be used."""
    row = await tx.one(SELECT_PUBLIC, uri=uri)
    if row is None:
        return None
    try:
        key = load(row["algorithm"], bytes(row["public_key"]))
    except BadKey:
        log.warning("key.unusable", actor=row["actor_id"])
        return None
    actor_uri = Iri(row["actor_uri"])
    return PublicKey(Iri(row["uri"]), row["actor_id"], actor_uri, hosts.authority(actor_uri), row["algorithm"], key, bool(row["proves"]))


class KeyRing:
    """Key objects in memory: making one from its bytes costs more than the query saved. What is not found is never remembered."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._publics: OrderedDict[str, PublicKey] = OrderedDict()
        self._privates: OrderedDict[tuple[int, Algorithm], PrivateKey] = OrderedDict()
        self._reading: dict[tuple[int, Algorithm], asyncio.Task[PrivateKey]] = {}
        self._forgotten = 0

    async def private(self, instance: "Instance", actor_id: int, algorithm: Algorithm = "rsa") -> PrivateKey:
        """The key our actor signs with; raises `Locked`, or `NoKey` for somebody who has none here."""
        if instance.vault.locked:
            self._privates.clear()
            raise Locked
        found = self._privates.get((actor_id, algorithm))
        if found is not None:
            self._privates.move_to_end((actor_id, algorithm))
            return found
        # A post to many asks for one key as often at once: it is read and opened for all of them together.
        reading = self._reading.get((actor_id, algorithm))
        if reading is None:
            reading = self._reading[actor_id, algorithm] = asyncio.create_task(self._read(instance, actor_id, algorithm, self._forgotten))
        return await asyncio.shield(reading)

    async def _read(self, instance: "Instance", actor_id: int, algorithm: Algorithm, forgotten: int) -> PrivateKey:
        try:
            found = _opened(instance, actor_id, algorithm, await instance.database.read(_private, actor_id, algorithm))
        finally:
            if forgotten == self._forgotten:
                del self._reading[actor_id, algorithm]
        if forgotten == self._forgotten:
            self._privates[actor_id, algorithm] = found
            if len(self._privates) > self._most:
                self._privates.popitem(last=False)
        return found

    async def oldest(self, instance: "Instance", actor_id: int) -> PrivateKey:
        """The oldest RSA key of our actor that is still listed: the one that others have known longest. Raises as `private`."""
        return _opened(instance, actor_id, "rsa", await instance.database.read(_oldest, actor_id, instance.clock.ms()))

    async def public(self, instance: "Instance", key_uri: str) -> PublicKey | None:
        """The stored key with exactly this id, whoever's it is; None if we do not know it (yet)."""
        found = self._publics.get(key_uri)
        if found is not None:
            self._publics.move_to_end(key_uri)
            return found
        forgotten = self._forgotten
        found = await instance.database.read(known_public, key_uri)
        if found is None:
            return None
        if forgotten == self._forgotten:  # else somebody changed keys while we read: use it once, remember nothing
            self._publics[key_uri] = found
            if len(self._publics) > self._most:
                self._publics.popitem(last=False)
        return found

    def forget(self) -> None:
        """Drops everything: some key changed."""
        self._forgotten += 1
        self._publics.clear()
        self._privates.clear()
        self._reading.clear()  # what is read now may be old: who asks from now on reads anew
