"""Does a signature hold, by a second opinion? draft-cavage-12 signed and verified with `cryptography` alone, sharing no code with fedmatch."""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

Private = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Pair:
    """One actor's two keys."""

    rsa: rsa.RSAPrivateKey
    ed25519: ed25519.Ed25519PrivateKey


def make_pair() -> Pair:
    """A fresh RSA-2048 and a fresh Ed25519 key (about 0.1 s)."""
    return Pair(rsa.generate_private_key(public_exponent=65537, key_size=2048), ed25519.Ed25519PrivateKey.generate())


def pem(key: Private) -> str:
    """The public half as SPKI PEM."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def multibase(key: ed25519.Ed25519PrivateKey) -> str:
    """The public half as a Multikey: `z` and base58 of ed01 and 32 bytes."""
    data = b"\xed\x01" + key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return "z" + text


def digest(body: bytes) -> str:
    """The Digest header of a body."""
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


def signature_of(key: Private, base: str) -> str:
    """The signature over a base string, base64."""
    raw = key.sign(base.encode(), padding.PKCS1v15(), hashes.SHA256()) if isinstance(key, rsa.RSAPrivateKey) else key.sign(base.encode())
    return base64.b64encode(raw).decode()


BROKEN = ("body", "digest", "undigested", "old", "future", "dateless", "stranger", "path", "host", "hmac", "garbage", "twice", "empty")
"""Ways to forge or spoil a signature; `broken:<one of these>` is a signing mode of the fake peer."""


def signed(
    key: Private,
    key_id: str,
    method: str,
    host: str,
    target: str,
    body: bytes | None,
    now: datetime,
    mode: str = "cavage",
    other: Private | None = None,
    more: tuple[tuple[str, str], ...] = (),
) -> list[tuple[str, str]]:
    """The headers of a request signed in `mode`: `cavage`, `hs2019` (with created and expires), `none`, or `broken:<kind>`.

    The kinds are in BROKEN; `stranger` signs with `other`. `more` are headers to be signed as well.
    """
    kind = mode.removeprefix("broken:") if mode.startswith("broken:") else ""
    when = {"old": now - timedelta(hours=13), "future": now + timedelta(hours=13)}.get(kind, now)
    headers = {"host": host, "date": format_datetime(when.astimezone(UTC), usegmt=True)}
    if body is not None:
        headers["digest"] = digest(body + b" " if kind == "digest" else body)
        headers["content-type"] = "application/activity+json"
    headers |= {name.lower(): value for name, value in more}
    sent = [(name.title(), value) for name, value in headers.items()]
    if mode == "none":
        return [line for line in sent if line[0] != "Digest"]
    names = ["(request-target)", "host", "date", *(["digest"] if body is not None else [])]
    names += [name.lower() for name, _ in more]
    parameters = {"keyId": key_id, "algorithm": "rsa-sha256"}
    signed_values = dict(headers)
    if mode == "hs2019":
        created = int(now.timestamp())
        parameters |= {"algorithm": "hs2019", "created": str(created), "expires": str(created + 300)}
        names = ["(request-target)", "(created)", "(expires)", "host", *(["digest"] if body is not None else [])]
        signed_values |= {"(created)": str(created), "(expires)": str(created + 300)}
    match kind:
        case "undigested":
            names.remove("digest")
        case "dateless":
            names.remove("date")
        case "host":
            signed_values["host"] = "elsewhere.example"
            sent = [("Host", "elsewhere.example") if name == "Host" else (name, value) for name, value in sent]
        case "hmac":
            parameters["algorithm"] = "hmac-sha256"
        case "empty":
            names = []
    path = "/elsewhere" if kind == "path" else target
    signed_values["(request-target)"] = f"{method.lower()} {path}"
    base = "\n".join(f"{name}: {signed_values[name]}" for name in names)
    assert kind != "stranger" or other is not None
    parameters["headers"] = " ".join(names)
    parameters["signature"] = signature_of(other if kind == "stranger" and other else key, base)
    if kind == "garbage":
        return [*sent, ("Signature", 'keyId=",,;\\x00 signature=====')]
    text = ",".join(f"{name}={value}" if name in {"created", "expires"} else f'{name}="{value}"' for name, value in parameters.items())
    if kind == "twice":
        text = f'keyId="https://other.example/key",{text}'
    return [*sent, ("Signature", text)]


def key_id_of(header: str) -> str:
    """The keyId of a Signature header; empty if it names none."""
    found = re.search(r'keyId="([^"]+)"', header)
    return found.group(1) if found else ""


def verdict(method: str, target: str, headers: dict[str, str], body: bytes, public_pem: str, now: datetime, base_host: str) -> str:
    """`valid`, or why a strict peer would refuse a cavage request: every member a peer insists on (protocol 3.2) is insisted on here."""
    header = headers.get("signature", "")
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', header)) | dict(re.findall(r"(created|expires)=(\d+)", header))
    if not header:
        return "no Signature header"
    if parameters.get("algorithm") not in {"rsa-sha256", "hs2019"}:
        return f"algorithm {parameters.get('algorithm')}"
    if "#" not in parameters.get("keyId", ""):
        return "keyId without a fragment"
    names = parameters.get("headers", "").split()
    needed = {"(request-target)", "host", "date"} | ({"digest"} if method == "POST" else set())
    if not needed <= set(names):
        return f"not signed: {sorted(needed - set(names))}"
    if headers.get("host") != base_host:
        return f"signed for host {headers.get('host')}"
    if method == "POST" and headers.get("digest") != digest(body):
        return "digest"
    when = datetime.strptime(headers["date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    if abs((now - when).total_seconds()) > 300:
        return f"date {headers['date']}"
    values = {**headers, "(request-target)": f"{method.lower()} {target}"}
    base = "\n".join(f"{name}: {values[name]}" for name in names)
    key = serialization.load_pem_public_key(public_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(base64.b64decode(parameters["signature"]), base.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return "signature"
    return "valid"
