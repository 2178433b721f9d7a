"""How is a request signed by draft-cavage-http-signatures-12, as the fediverse practises it? Pure: parse, base string, digest, time, sign, verify.

What peers send and require stands in FEDERATION.md. Mastodon signs path and query, Misskey, Fedify and Pleroma the path alone, GoToSocial says `hs2019` and
means RSA with SHA-256; so both paths are tried. Only RSA keys sign so: Ed25519 keys sign by RFC 9421, where the key's kind is the algorithm.
"""

import base64
import binascii
import hashlib
import hmac
import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Final

from actors.keys import PrivateKey, PublicKey
from actors.signatures import window
from actors.signatures.errors import BadSignature, MalformedSignature
from actors.targets import target

LONGEST_HEADER: Final = 8192
MOST_PARAMETERS: Final = 16
PIECE: Final = 2047
LONGEST_IN_PIECES: Final = 64 * 1024
MOST_HEADERS: Final = 64
COVERED: Final = ("content-type", "collection-synchronization")
"""What of the headers of a POST of ours is signed beside its digest; FEP-8fcf asks for the second."""

_PARAMETER = re.compile(r'\s*([A-Za-z][A-Za-z0-9_-]{0,31})\s*=\s*(?:"([^"\\]*)"|([^\s",\\]+))\s*(?:,|\Z)')
_USUAL = re.compile(r'keyId="([^"\\]+)",algorithm="(rsa-sha256|hs2019)",headers="([^"\\]+)",signature="([^"\\]+)"\Z')
"""How nearly everybody spells it."""
_TOKEN = re.compile(r"\(?[a-z0-9!#$%&'*+.^_`|~-]+\)?\Z")
_IMF_DATE = re.compile(r"[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT\Z")
_MONTHS: Final = {name: number for number, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)}
_DIGEST = re.compile(r"\s*([A-Za-z0-9-]+)=([A-Za-z0-9+/]+={0,2})\s*\Z")
_CONTENT_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):", re.IGNORECASE)
_HASHES: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}

Headers = Mapping[bytes, bytes]
"""Lower-case names to values; repeated headers joined as `joined` does."""


@dataclass(frozen=True, slots=True)
class CavageSignature:
    """One Signature header, read. `headers` are lower-case, in the order they were signed in; times in seconds since 1970."""

    key_id: str
    algorithm: str
    headers: tuple[str, ...]
    signature: bytes
    created: int | None = None
    expires: int | None = None


def joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Raw header lines by lower-case name; a name that comes several times has its values joined with ", ", in order (draft-cavage 2.3)."""
    found: dict[bytes, bytes] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.lower(), raw_value.strip()
        found[name] = found[name] + b", " + value if name in found else value
    return found


def parse(header: str) -> CavageSignature:
    """The parameters of a Signature header.

    Tolerated: a leading `Signature `, blanks around commas and equal signs, unquoted values, any order, unknown parameters. Without `algorithm` it is hs2019,
    without `headers` what the draft says: `(created)` for hs2019, else `date`.
    Raises `MalformedSignature` for what cannot be read, `BadSignature` for a parameter that stands twice, a missing keyId or signature, another algorithm.
    """
    if len(header) > LONGEST_HEADER:
        raise MalformedSignature(f"a Signature header of {len(header)} characters")
    usual = _USUAL.match(header)
    if usual is not None:
        key_id, algorithm, listed, encoded = usual.groups()
        return CavageSignature(key_id, algorithm, _names(listed.lower()), _decoded(encoded))
    text = header.strip()
    if text[:10].lower() == "signature ":
        text = text[10:]
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or len(found) >= MOST_PARAMETERS:
            raise MalformedSignature("the Signature header is no list of parameters")
        if match[1] in found:
            raise BadSignature("a parameter of the Signature header stands twice")
        found[match[1]] = match[2] if match[2] is not None else match[3]
        at = match.end()
    if not found.get("keyId") or not found.get("signature"):
        raise BadSignature("the Signature header has no keyId or no signature")
    algorithm = found.get("algorithm", "hs2019").lower()
    if algorithm not in ("rsa-sha256", "hs2019"):
        raise BadSignature("an algorithm other than rsa-sha256 and hs2019")
    names = _names(found.get("headers", "(created)" if algorithm == "hs2019" else "date").lower())
    return CavageSignature(found["keyId"], algorithm, names, _decoded(found["signature"]), _moment(found, "created"), _moment(found, "expires"))


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedSignature("its signature is not base64") from None


# A program signs the same headers each time, and there are few programs.
@lru_cache(maxsize=256)
def _names(listed: str) -> tuple[str, ...]:
    names = tuple(listed.split())
    if len(names) > MOST_HEADERS or len(set(names)) != len(names) or not all(_TOKEN.match(name) for name in names):
        raise BadSignature("its list of headers has doubles or what is no header name")
    return names


def _moment(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 11):
        raise MalformedSignature(f"({name}) is no whole number of seconds")
    return int(text)


def require(signature: CavageSignature, method: str) -> None:
    """Raises `BadSignature` unless it covers what gives a signature meaning: request target and host, a time, and the digest of a POST.

    `(created)` and `(expires)` belong to hs2019 only, as Mastodon has it.
    """
    covered = set(signature.headers)
    needed = {"(request-target)", "host"} | ({"digest"} if method.upper() == "POST" else set())
    if not needed <= covered:
        raise BadSignature(f"it does not cover {' '.join(sorted(needed - covered))}")
    if not covered & {"date", "(created)"}:
        raise BadSignature("it covers no time")
    if covered & {"(created)", "(expires)"} and signature.algorithm != "hs2019":
        raise BadSignature("(created) and (expires) belong to hs2019")


def check_time(signature: CavageSignature, headers: Headers, now_s: float) -> None:
    """Raises `StaleSignature` unless the signed time is within an hour of `now_s` and it has not expired (5 minutes of grace); `BadSignature` without one."""
    made_s = made(signature, headers)
    if "(expires)" in signature.headers and signature.expires is None:
        raise BadSignature("(expires) is signed and not given")
    window.check(made_s, signature.expires, now_s)


def made(signature: CavageSignature, headers: Headers) -> int:
    """When it was signed, in seconds: its `(created)` if it covers that, else the Date. Raises `BadSignature` without one."""
    if "(created)" in signature.headers:
        if signature.created is None:
            raise BadSignature("(created) is signed and not given")
        return signature.created
    return _date(headers.get(b"date", b"").decode("latin-1"))


# What comes together was sent in the same few seconds.
@lru_cache(maxsize=256)
def _date(text: str) -> int:
    match = _IMF_DATE.match(text)
    try:
        if match is not None:
            day, month, year, hour, minute, second = match.groups()
            return timegm(datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC).timetuple())
        if len(text) > 40:
            # Two Date headers, joined.
            raise ValueError
        # The two obsolete forms of RFC 9110, and dates without their zone, which some peers send and mean as UTC.
        read = parsedate_to_datetime(text)
        return timegm((read if read.tzinfo else read.replace(tzinfo=UTC)).utctimetuple())
    except (ValueError, TypeError, IndexError, KeyError, OverflowError):
        raise BadSignature("its Date cannot be read") from None


def check_digest(headers: Headers, body: bytes) -> None:
    """Raises unless the Digest header (RFC 3230) holds a SHA-256 of exactly these bytes.

    A list is fine; every SHA-256 and SHA-512 in it must be right, and so must the sha-256 of a Content-Digest beside it. Unknown algorithms are passed over.
    `MalformedSignature` if it is no list of digests, else `BadSignature`.
    """
    header = headers.get(b"digest")
    if header is None:
        raise BadSignature("no Digest header")
    if len(header) > LONGEST_HEADER:
        raise MalformedSignature("a Digest header too long to be one")
    seen = False
    for item in header.decode("latin-1").split(","):
        match = _DIGEST.match(item)
        if match is None:
            raise BadSignature("the Digest header is no list of digests")
        name = match[1].lower()
        if name in _HASHES:
            _compare(match[2], _hashed(name, body))
            seen = seen or name == "sha-256"
    if not seen:
        raise BadSignature("the Digest header has no SHA-256")
    for stated in _CONTENT_SHA256.findall(headers.get(b"content-digest", b"")[:LONGEST_HEADER].decode("latin-1")):
        _compare(stated, hashlib.sha256(body).digest())


def _hashed(name: str, body: bytes) -> bytes:
    """The digest, piece by piece: for more than 2,047 bytes at once Python's lock is let go, and to get it back takes a hundred times longer than the hash."""
    if len(body) > LONGEST_IN_PIECES:
        return _HASHES[name](body).digest()
    found = _HASHES[name]()
    for at in range(0, len(body), PIECE):
        found.update(body[at : at + PIECE])
    return found.digest()


def _compare(stated: str, right: bytes) -> None:
    try:
        given = base64.b64decode(stated, validate=True)
    except (binascii.Error, ValueError):
        raise BadSignature("a digest that is not base64") from None
    if not hmac.compare_digest(given, right):
        raise BadSignature("the digest is not that of the body")


def base(signature: CavageSignature, method: str, path: bytes, headers: Headers) -> bytes:
    """The bytes that were signed, for this path (with or without query). A header that is named and not there is an error, never an empty line."""
    lines: list[bytes] = []
    for name in signature.headers:
        match name:
            case "(request-target)":
                value = method.lower().encode() + b" " + path
            case "(created)" | "(expires)":
                moment = signature.created if name == "(created)" else signature.expires
                if moment is None:
                    raise BadSignature(f"{name} is signed and not given")
                value = str(moment).encode()
            case _:
                found = headers.get(name.encode())
                if found is None:
                    raise BadSignature(f"it covers {name}, which is not there")
                value = found
        lines.append(name.encode() + b": " + value)
    return b"\n".join(lines)


def verify(key: PublicKey, signature: CavageSignature, method: str, raw_path: bytes, headers: Headers) -> bool:
    """Whether `key` signed this request: with the query, or (GoToSocial's second try, Misskey, Fedify, Pleroma) without.

    `raw_path` is the path as it came over the wire, with its query. About 25 us with RSA. The draft leaves the algorithm of `hs2019` to metadata of the key,
    which no actor document has; on the fediverse it means RSA with SHA-256, and an Ed25519 key under either name is a confusion of algorithms.
    """
    if key.algorithm != "rsa":
        return False
    if key.verify(signature.signature, base(signature, method, raw_path, headers)):
        return True
    path, mark, _ = raw_path.partition(b"?")
    return bool(mark) and key.verify(signature.signature, base(signature, method, path, headers))


def digest_header(body: bytes) -> str:
    """The value of a Digest header."""
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)


def sign(
    key: PrivateKey, method: str, url: str, headers: Mapping[str, str], body: bytes | None, date: datetime, *, query: bool = True, digest: str = ""
) -> dict[str, str]:
    """The complete headers of a signed request: `headers` with Host, Date, Digest (where there is a body) and Signature added.

    Covers `(request-target) host date`, and of a POST `digest content-type` (what every peer requires and none trips over) and FEP-8fcf's header.
    `(request-target)` is the path as `actors.outbound` will send it, with its query unless `query` is False (Fedify and Misskey read it so). `date` is aware.
    `digest` is `digest_header(body)` where that is known already.
    About 300 us with RSA-2048; raises `BadUrl`.
    """
    spelled = target(url)
    complete = {name: value for name, value in headers.items() if name.lower() not in ("host", "date", "digest", "signature")}
    values = {name.lower(): value for name, value in complete.items()}
    values |= {"host": spelled.authority, "date": _http_date(int(date.timestamp()))}
    names = ["(request-target)", "host", "date"]
    if body is not None:
        values["digest"] = digest or digest_header(body)
        names += ["digest", *(name for name in COVERED if name in values)]
    values["(request-target)"] = f"{method.lower()} {spelled.path if query else spelled.path.partition('?')[0]}"
    signed = base64.b64encode(key.sign("\n".join(f"{name}: {values[name]}" for name in names).encode())).decode()
    complete |= {"Host": values["host"], "Date": values["date"]}
    if body is not None:
        complete["Digest"] = values["digest"]
    complete["Signature"] = f'keyId="{key.uri}",algorithm="rsa-sha256",headers="{" ".join(names)}",signature="{signed}"'
    return complete
