"""What is a backup file? A stream of bytes, compressed and sealed in chunks as it is written: no part of it ever lies open, and no part of it can be changed.

    fedmatch backup 1\\n | length | header | chunk | chunk | ... | last chunk

The header is all that lies open: how the vault's keys are wrapped (as in the database), and a secret of this file, sealed by that vault. Each chunk of 64 KiB
is ChaCha20-Poly1305 under a key of this file alone. Its nonce is its number and whether it is the last, its associated data the hash of the header: a file that
is cut, reordered, patched or put together from two does not open. The last chunk is filled up, so the length tells the size to 64 KiB.

    BadBackup      the file is damaged, cut, forged or none of ours
    CannotOpen     the key that is at hand is not the one
"""

import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast, get_args

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors.vault import BOX, Envelope, Locked, Source, Tampered, Vault
from schemas.crashpoint import crashpoint

MAGIC: Final = b"fedmatch backup 1\n"
CHUNK: Final = 64 * 1024
TAG: Final = 16
LONGEST_HEADER: Final = 4096
LONGEST_FRAME: Final = 256 * 1024 * 1024

Kind = Literal["asked", "automatic"]


class BadBackup(Exception):
    """This is no backup, or not the one that was written; the text says which."""


class CannotOpen(Exception):
    """The key at hand is not the one of this backup; the text says what to do."""


class _Open(msgspec.Struct, frozen=True):
    """The header as it is written."""

    kind: str
    id: bytes
    source: str
    salt: bytes
    public_key: bytes
    wrapped: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What lies open at the beginning of a file. `raw` is all of it, as it was read."""

    kind: Kind
    id: bytes
    envelope: Envelope
    sealed: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Secret:
    """The secret of one file, and how the vault sealed it."""

    id: bytes
    plain: bytes
    sealed: bytes


def secret(vault: Vault) -> Secret:
    """A fresh secret for one file. A locked vault seals it to its public key, which does not prove who did: good only with a key beside the file."""
    number, plain = os.urandom(16), os.urandom(32)
    return Secret(number, plain, vault.seal(plain, _place(number)))


def _place(number: bytes) -> str:
    return f"backup:{number.hex()}"


def _key(plain: bytes, number: bytes, beside: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=number, info=b"fedmatch backup 1").derive(plain + beside)


class Writer:
    """Writes one file: `frame` for each piece, `finish` at the end. What was written without `finish` does not open."""

    def __init__(self, file: BinaryIO, envelope: Envelope, once: Secret, *, kind: Kind, beside: bytes = b"") -> None:
        header = _Open(kind, once.id, envelope.source, envelope.salt, envelope.public_key, envelope.wrapped, once.sealed)
        packed = msgspec.msgpack.encode(header)
        raw = MAGIC + len(packed).to_bytes(4, "big") + packed
        self._file = file
        self._about = hashlib.sha256(raw).digest()
        self._cipher = ChaCha20Poly1305(_key(once.plain, once.id, beside))
        self._deflate = zlib.compressobj(1)
        self._left = bytearray()
        self._number = 0
        file.write(raw)

    def frame(self, value: object) -> None:
        """Adds one piece, of whatever msgpack can say."""
        packed = msgspec.msgpack.encode(value)
        self._take(self._deflate.compress(len(packed).to_bytes(4, "big") + packed))

    def finish(self) -> None:
        """Writes the last chunk."""
        self._take(self._deflate.flush())
        self._chunk(bytes(self._left) + bytes(CHUNK - len(self._left)), last=True)

    def _take(self, more: bytes) -> None:
        self._left += more
        while len(self._left) > CHUNK:
            self._chunk(bytes(self._left[:CHUNK]), last=False)
            del self._left[:CHUNK]

    def _chunk(self, plain: bytes, *, last: bool) -> None:
        crashpoint("backup:chunk")
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), plain, self._about))
        self._number += 1


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def header(file: BinaryIO) -> Header:
    """What lies open; leaves the file where the chunks begin. Raises `BadBackup`."""
    start = file.read(len(MAGIC) + 4)
    if not start.startswith(MAGIC[:16]):
        raise BadBackup("this is no backup of fedmatch")
    if not start.startswith(MAGIC):
        raise BadBackup("this backup was made by a newer fedmatch; restore it with that version")
    length = int.from_bytes(start[len(MAGIC) :], "big")
    packed = file.read(min(length, LONGEST_HEADER))
    try:
        read = msgspec.msgpack.decode(packed, type=_Open)
    except msgspec.DecodeError:
        raise BadBackup("the beginning of this backup is damaged") from None
    if len(packed) != length or read.kind not in get_args(Kind) or read.source not in get_args(Source) or len(read.public_key) != 32:
        raise BadBackup("the beginning of this backup is damaged")
    envelope = Envelope(cast(Source, read.source), read.salt, read.public_key, read.wrapped)
    return Header(cast(Kind, read.kind), read.id, envelope, read.sealed, start + packed)


def unlocked(head: Header, vault: Vault, beside: bytes) -> bytes:
    """The key of the file, opened by its unlocked vault. Raises `BadBackup` where the vault says that it did not seal this."""
    if head.sealed[:1] == BOX and not beside:
        # Whoever knows the public key can seal like this: it proves nothing of who wrote the file.
        raise BadBackup("nothing proves that this instance made this backup; it is not restored")
    try:
        return _key(vault.open(head.sealed, _place(head.id)), head.id, beside)
    except (Tampered, Locked):
        raise BadBackup("the vault of this instance did not seal this backup: it is of another instance, or forged") from None


def frames(file: BinaryIO, head: Header, key: bytes) -> Iterator[bytes]:
    """Every piece as it was packed, each only after the chunks it lies in proved themselves. Raises `BadBackup`, at the latest at the end."""
    cipher, about = ChaCha20Poly1305(key), hashlib.sha256(head.raw).digest()
    inflate = zlib.decompressobj()
    ready = bytearray()
    number, chunk = 0, file.read(CHUNK + TAG)
    last = False
    while not last:
        following = file.read(CHUNK + TAG)
        last = not following
        try:
            plain = cipher.decrypt(_nonce(number, last=last), chunk, about)
        except (InvalidTag, ValueError):
            where = "at its end: it was cut off" if last and number else "or the key beside it is not its own" if not number else f"in chunk {number + 1}"
            raise BadBackup(f"this backup is damaged, {where}; nothing of it was used") from None
        if inflate.eof:
            raise BadBackup("this backup goes on behind its end")
        ready += inflate.decompress(plain)
        while len(ready) >= 4:
            length = int.from_bytes(ready[:4], "big")
            if length > LONGEST_FRAME:
                raise BadBackup("this backup holds a piece that is too large")
            if len(ready) < 4 + length:
                break
            yield bytes(ready[4 : 4 + length])
            del ready[: 4 + length]
        chunk = following
        number += 1
    if not inflate.eof or ready:
        raise BadBackup("this backup ends in the middle")


def key_beside(path: Path) -> Path:
    """Where the key of an automatic backup lies: it is destroyed after a week, and the backup with it."""
    return path.with_suffix(".key")
