"""How does private text rest? Sealed under a data key that is itself wrapped by a key-encryption key from outside the database.

Two keys are made on the first start and never leave the vault unwrapped: a data key (symmetric) and an X25519 pair whose public half lies open, so that
a locked process can still seal. The first byte of a sealed blob says which of the two it was:

    0x01 | 24 random bytes | ChaCha20-Poly1305 under BLAKE2b(data key, random)       unlocked: about 5 us
    0x02 | ephemeral X25519 public key | ChaCha20-Poly1305 under HKDF(shared secret)  locked: about 100 us

The associated data is the format byte and the place ("arrival:123"), so a blob that was moved to another row does not open.

    VaultError
      Locked        the passphrase was not given yet
      Tampered      these bytes were not sealed here, or not for this place
      WrongSecret   the passphrase or key is not the one
      CannotStart   the key source is missing, damaged or readable by others; says what to do
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import structlog
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors import generations
from schemas.crashpoint import crashpoint
from schemas.storage import Database, Transaction

if TYPE_CHECKING:
    from actors.instance import Clock
    from schemas.config import VaultConfig

log = structlog.get_logger()

Source = Literal["passphrase", "credential", "file"]

SYMMETRIC: Final = b"\x01"
BOX: Final = b"\x02"
NONCE: Final = bytes(12)  # every key below is used for one message, so the nonce may be fixed
RANDOM: Final = 24
TAG: Final = 16

# RFC 9106 section 4, second recommended choice: 64 MiB, 3 passes, 4 lanes. Written into the salt, so they can grow without breaking old rows.
ARGON_PASSES: Final = 3
ARGON_KIBIBYTES: Final = 65536
ARGON_LANES: Final = 4

KEY_FILE_HEADER: Final = "fedmatch vault key 1"


class VaultError(Exception):
    """What the vault refuses."""


class Locked(VaultError):
    """The vault is locked: it seals, but opens nothing until `fedmatch unlock`."""

    def __init__(self) -> None:
        super().__init__("the vault is locked; run `fedmatch unlock`")


class Tampered(VaultError):
    """These bytes were not sealed by this vault for this place."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(f"what lies at {place} was not sealed there")


class WrongSecret(VaultError):
    """This passphrase or key does not open the vault."""


class CannotStart(VaultError):
    """The key source does not give a key; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The vault row: what rests of the keys."""

    source: Source
    salt: bytes
    public_key: bytes
    wrapped: bytes

    @property
    def associated(self) -> bytes:
        return b"fedmatch vault 1|" + self.source.encode() + b"|" + self.public_key


@dataclass(frozen=True, slots=True)
class _Keys:
    """The unwrapped keys, set and dropped in one step: write bodies run in another thread, and half a key must never seal."""

    wrapped: bytearray = field(repr=False)  # data key and X25519 private key, as they lie in the envelope
    private: X25519PrivateKey = field(repr=False)
    seal: bytes = field(repr=False)
    digest: bytes = field(repr=False)


class Vault:
    """Seals and opens. Locked it only seals. May be used from several threads."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._public = X25519PublicKey.from_public_bytes(envelope.public_key)
        self._keys: _Keys | None = None

    def __repr__(self) -> str:
        return f"<Vault {self._envelope.source} {'locked' if self.locked else 'unlocked'}>"

    @property
    def locked(self) -> bool:
        return self._keys is None

    @property
    def source(self) -> Source:
        """Where the key-encryption key comes from."""
        return self._envelope.source

    @property
    def public_key(self) -> bytes:
        """The half that lies open; it names this vault."""
        return self._envelope.public_key

    def seal(self, plain: bytes, place: str) -> bytes:
        """`plain` as it may rest at `place` ("table:row id"); works locked too. 41 bytes longer, 49 when locked."""
        keys = self._keys
        if keys is None:
            return self._seal_box(plain, place)
        random = os.urandom(RANDOM)
        cipher = ChaCha20Poly1305(hashlib.blake2b(random, digest_size=32, key=keys.seal).digest())
        return SYMMETRIC + random + cipher.encrypt(NONCE, plain, SYMMETRIC + place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed at `place`; raises `Locked`, or `Tampered` if it is damaged, foreign, or was sealed for another place."""
        keys = self._keys
        if keys is None:
            raise Locked
        kind, body = sealed[:1], sealed[1:]
        try:
            if kind == SYMMETRIC and len(body) >= RANDOM + TAG:
                cipher = ChaCha20Poly1305(hashlib.blake2b(body[:RANDOM], digest_size=32, key=keys.seal).digest())
                return cipher.decrypt(NONCE, body[RANDOM:], SYMMETRIC + place.encode())
            if kind == BOX and len(body) >= 32 + TAG:
                shared = keys.private.exchange(X25519PublicKey.from_public_bytes(body[:32]))
                cipher = ChaCha20Poly1305(_box_key(shared, body[:32], self._envelope.public_key))
                return cipher.decrypt(NONCE, body[32:], BOX + place.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: an ephemeral key of low order
            raise Tampered(place) from error
        raise Tampered(place)

    def digest(self, purpose: str, text: str) -> bytes:
        """A keyed hash (32 bytes) to look `text` up by without storing it; different for each purpose. Raises `Locked`."""
        keys = self._keys
        if keys is None:
            raise Locked
        label = purpose.encode()
        return hmac.digest(keys.digest, len(label).to_bytes(2, "big") + label + text.encode(), "sha256")

    def unlock(self, secret: bytes) -> None:
        """Opens the vault with its passphrase (UTF-8) or key; raises `WrongSecret`.

        With a passphrase it works about 0.1 s on 64 MiB: call it in a thread. Safe there: the keys are set in one step at the end.
        """
        envelope = self._envelope
        cipher = ChaCha20Poly1305(_wrapping_key(envelope.source, secret, envelope.salt))
        try:
            keys = cipher.decrypt(envelope.wrapped[:12], envelope.wrapped[12:], envelope.associated)
        except InvalidTag as error:
            raise WrongSecret("this does not open the vault") from error
        self._use(bytearray(keys))

    def lock(self) -> None:
        """Forgets the keys. Best effort: Python may have copied them, so for certainty stop the process."""
        keys, self._keys = self._keys, None
        if keys is not None:
            keys.wrapped[:] = bytes(len(keys.wrapped))

    async def refresh(self, database: Database) -> None:
        """Reads the wrapping again, after another process changed the passphrase or source."""
        envelope = await database.read(_read)
        if envelope is not None and envelope.public_key == self._envelope.public_key:
            self._envelope = envelope

    def _use(self, keys: bytearray) -> None:
        data_key, private = bytes(keys[:32]), X25519PrivateKey.from_private_bytes(bytes(keys[32:]))
        if private.public_key().public_bytes_raw() != self._envelope.public_key:
            raise WrongSecret("the wrapped keys do not belong to the open one")
        self._keys = _Keys(keys, private, _derive(data_key, b"seal"), _derive(data_key, b"digest"))

    def _seal_box(self, plain: bytes, place: str) -> bytes:
        once = X25519PrivateKey.generate()
        public = once.public_key().public_bytes_raw()
        cipher = ChaCha20Poly1305(_box_key(once.exchange(self._public), public, self._envelope.public_key))
        return BOX + public + cipher.encrypt(NONCE, plain, BOX + place.encode())

    def _wrap(self, source: Source, secret: bytes) -> Envelope:
        keys = self._keys
        if keys is None:
            raise Locked
        return _wrapped(source, secret, self._envelope.public_key, bytes(keys.wrapped))


def _derive(key: bytes, purpose: bytes, salt: bytes | None = None) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"fedmatch vault " + purpose).derive(key)


def _box_key(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    # Both public keys go into the derivation (RFC 9180 does the same), so a box is bound to its recipient.
    return _derive(shared, b"box", ephemeral + recipient)


def _wrapping_key(source: Source, secret: bytes, salt: bytes) -> bytes:
    if source != "passphrase":
        return _derive(secret, b"wrap " + source.encode(), salt)
    passes, kibibytes, lanes, random = int.from_bytes(salt[:2], "big"), int.from_bytes(salt[2:6], "big"), salt[6], salt[7:]
    return hash_secret_raw(_typed(secret), random, time_cost=passes, memory_cost=kibibytes, parallelism=lanes, hash_len=32, type=Type.ID)


def _typed(secret: bytes) -> bytes:
    """A passphrase whatever keyboard it came from: the same letters composed or not, in one form."""
    try:
        return unicodedata.normalize("NFC", secret.decode()).encode()
    except UnicodeDecodeError:
        return secret


def _new_salt(source: Source) -> bytes:
    if source != "passphrase":
        return os.urandom(32)
    return ARGON_PASSES.to_bytes(2, "big") + ARGON_KIBIBYTES.to_bytes(4, "big") + bytes([ARGON_LANES]) + os.urandom(16)


def _wrapped(source: Source, secret: bytes, public_key: bytes, keys: bytes) -> Envelope:
    salt, nonce = _new_salt(source), os.urandom(12)
    bare = Envelope(source, salt, public_key, b"")
    cipher = ChaCha20Poly1305(_wrapping_key(source, secret, salt))
    return Envelope(source, salt, public_key, nonce + cipher.encrypt(nonce, keys, bare.associated))


def _make(source: Source, secret: bytes) -> Envelope:
    pair = X25519PrivateKey.generate()
    return _wrapped(source, secret, pair.public_key().public_bytes_raw(), os.urandom(32) + pair.private_bytes_raw())


SELECT_VAULT: Final = """
select source, salt, public_key, wrapped
from vault
where id = 1
"""

INSERT_VAULT: Final = """
insert into vault (id, source, salt, public_key, wrapped, created_at)
values (1, :source, :salt, :public_key, :wrapped, :now)
on conflict (id) do nothing
"""

REWRAP_VAULT: Final = """
update vault
set source = :source, salt = :salt, wrapped = :wrapped
where id = 1
  and public_key = :public_key
"""


async def envelope_of(tx: Transaction) -> Envelope | None:
    """What rests of the keys in this database; None before the first start."""
    return await _read(tx)


async def _read(tx: Transaction) -> Envelope | None:
    row = await tx.one(SELECT_VAULT)
    if row is None:
        return None
    return Envelope(row["source"], bytes(row["salt"]), bytes(row["public_key"]), bytes(row["wrapped"]))


async def _create(tx: Transaction, envelope: Envelope, now: int) -> Envelope:
    await tx.execute(INSERT_VAULT, source=envelope.source, salt=envelope.salt, public_key=envelope.public_key, wrapped=envelope.wrapped, now=now)
    crashpoint("vault:inserted")
    stored = await _read(tx)
    if stored is None:
        raise LookupError("the vault row was written and is not there")
    return stored


async def _rewrap(tx: Transaction, envelope: Envelope) -> int:
    changed = await tx.execute(REWRAP_VAULT, source=envelope.source, salt=envelope.salt, wrapped=envelope.wrapped, public_key=envelope.public_key)
    crashpoint("vault:rewrapped")
    await generations.bump(tx, "vault")
    return changed


async def start(database: Database, config: "VaultConfig", clock: "Clock", *, passphrase: str | None) -> Vault:
    """The vault of this instance, made on the first start; unlocked if its source gives the key now.

    Source `file`: the key file is made if there is none and nothing was sealed yet. Source `passphrase`: locked while `passphrase` is None, except
    that the first start needs it. Source `credential`: read from $CREDENTIALS_DIRECTORY.
    Raises `CannotStart` with what to do (a lost or half-written key never starts an instance), `WrongSecret` for a wrong passphrase.
    """
    envelope = await database.read(_read)
    if envelope is not None and envelope.source != config.source:
        raise CannotStart(
            f'instance.toml: [vault] `source` is "{config.source}", but the keys of this database are wrapped by "{envelope.source}"; '
            f'set `source = "{envelope.source}"` again, or point `folder` at the right data.'
        )
    candidates = _candidates(config, passphrase, first=envelope is None)
    if envelope is None:
        made = await asyncio.to_thread(_make, config.source, candidates[0])
        crashpoint("vault:made")
        envelope = await database.write(_create, made, clock.ms())
        crashpoint("vault:created")
    vault = Vault(envelope)
    if not candidates:
        log.warning("vault.locked", cure="fedmatch unlock")
        return vault
    for secret in candidates:  # two after a rotation that was interrupted; the next rotation tidies up
        with contextlib.suppress(WrongSecret):
            await asyncio.to_thread(vault.unlock, secret)
            return vault
    match config.source:
        case "passphrase":
            raise WrongSecret("this passphrase does not open the vault")
        case "file":
            raise CannotStart(
                f"{_key_file(config)}: this key does not open the vault of this database; put back the key file that belongs to it "
                "(what was sealed under a lost key cannot be read again)."
            )
        case _:
            raise CannotStart(
                f"the credential `{config.credential}` does not open the vault of this database; give the service the one it was first started with."
            )


def secrets_for(config: "VaultConfig", *, passphrase: str | None) -> list[bytes]:
    """The secrets that may open an envelope, as `start` would try them; none where a passphrase is wanted and not given. Raises `CannotStart`."""
    return _candidates(config, passphrase, first=False)


async def rewrap(database: Database, vault: Vault, config: "VaultConfig", *, passphrase: str | None = None) -> None:
    """Wraps the keys anew for `config.source`: another passphrase, another source, or a fresh key file. One write; killed anywhere, the next start opens.

    The vault must be unlocked (`Locked`). Whoever changes the source also changes instance.toml, and removes the key file that is no longer used.
    """
    match config.source:
        case "file":
            secret = _add_key(_key_file(config))
        case "passphrase":
            secret = _given(passphrase)
        case _:
            secret = _credential(config.credential)
    envelope = await asyncio.to_thread(vault._wrap, config.source, secret)
    crashpoint("vault:wrapped")
    if await database.write(_rewrap, envelope) != 1:
        raise CannotStart("the vault of this database is another one now; nothing was changed.")
    crashpoint("vault:committed")
    vault._envelope = envelope
    if config.source == "file":
        _write_key_file(_key_file(config), [secret])


def _candidates(config: "VaultConfig", passphrase: str | None, *, first: bool) -> list[bytes]:
    """The secrets to try, none if the vault stays locked."""
    match config.source:
        case "passphrase":
            if passphrase is not None:
                return [_given(passphrase)]
            if first:
                raise CannotStart("the first start needs the passphrase that shall protect this instance: start it at a terminal, and remember what you type.")
            return []
        case "file":
            path = _key_file(config)
            if first and not path.exists():
                _write_key_file(path, [secrets.token_bytes(32)], fresh=True)
            return _read_key_file(path, first=first)
        case _:
            return [_credential(config.credential)]


def _given(passphrase: str | None) -> bytes:
    if not passphrase:
        raise CannotStart("the passphrase is empty; choose one of at least five words.")
    return passphrase.encode()


def _credential(name: str) -> bytes:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise CannotStart(f"$CREDENTIALS_DIRECTORY is not set: start the service by systemd with `LoadCredentialEncrypted={name}`.")
    try:
        secret = (Path(folder) / name).read_bytes()
    except OSError as error:
        raise CannotStart(f"the credential `{name}` cannot be read ({error.strerror}): add `LoadCredentialEncrypted={name}` to the service.") from error
    if len(secret) < 32:
        make = f"head -c 32 /dev/urandom | systemd-creds encrypt --name={name} - FILE"
        raise CannotStart(f"the credential `{name}` is shorter than 32 bytes; make one with `{make}`.")
    return secret


def _key_file(config: "VaultConfig") -> Path:
    if config.file is None:
        raise CannotStart('instance.toml: [vault] `source = "file"` needs a file; add `file = "vault.key"`.')
    return config.file


def _read_key_file(path: Path, *, first: bool = False) -> list[bytes]:
    """The keys of the file, the newest first; raises `CannotStart` when it is lost, damaged or open to others."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096)
    except FileNotFoundError as error:
        raise CannotStart(f"{path} is missing, and without it nothing sealed can be read: put back the copy you keep apart from the backups.") from error
    except OSError as error:
        raise CannotStart(f"{path} cannot be read ({error.strerror}): it must be a file that belongs to the user fedmatch runs as.") from error
    if not stat.S_ISREG(mode):
        raise CannotStart(f"{path} is not a plain file; put the key file there.")
    if stat.S_IMODE(mode) & 0o077:
        raise CannotStart(f"{path} can be read by other users of this machine: run `chmod 600 {path}`.")
    lines = text.decode("ascii", "replace").split("\n")
    keys: list[bytes] = []
    if lines[0] == KEY_FILE_HEADER and lines[-1] == "":
        with contextlib.suppress(ValueError):
            keys = [bytes.fromhex(line) for line in lines[1:-1]]
    if not keys or any(len(key) != 32 for key in keys):
        cure = "nothing was sealed with it yet, so delete it and start again." if first else "put back the copy you keep apart from the backups."
        raise CannotStart(f"{path} is damaged or was written only in part: {cure}")
    return keys


def _add_key(path: Path) -> bytes:
    """A new key in the file, before those that are there: whichever the row is wrapped with, the file has it."""
    old = _read_key_file(path) if path.exists() else []
    secret = secrets.token_bytes(32)
    _write_key_file(path, [secret, *old])
    return secret


def _write_key_file(path: Path, keys: list[bytes], *, fresh: bool = False) -> None:
    """Writes the file whole or not at all: beside it, fsynced, then moved. `fresh` leaves a file that another process made meanwhile."""
    text = "\n".join([KEY_FILE_HEADER, *(key.hex() for key in keys), ""])
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                crashpoint("vault:file-begun")
                file.write(text.encode("ascii"))
                crashpoint("vault:file-written")
                file.flush()
                os.fsync(file.fileno())
            crashpoint("vault:file-synced")
            if fresh:
                with contextlib.suppress(FileExistsError):
                    os.link(beside, path)
            else:
                beside.replace(path)
            crashpoint("vault:file-placed")
        finally:
            beside.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise CannotStart(f"{path} cannot be written ({error.strerror}): give fedmatch a folder of its own to write in.") from error
