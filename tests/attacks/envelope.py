"""How is a request signed wrongly? A signed POST or GET whose every part can be told to be something else; shares no code with fedmatch."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from tests.fakepeer import FakeActor
from tests.signing import Private, digest, signature_of

Lines = list[tuple[str, str]]


def http_date(now: datetime, **ahead: float) -> str:
    """A Date header, so much later (or, negative, earlier) than now."""
    return format_datetime((now + timedelta(**ahead)), usegmt=True)


def envelope(
    actor: FakeActor,
    url: str,
    body: bytes | None,
    now: datetime,
    *,
    method: str = "POST",
    scheme: str = "cavage",
    key: Private | None = None,
    key_id: str | None = None,
    change: Mapping[str, str | None] | None = None,
    names: Sequence[str] | None = None,
    target: str | None = None,
    parameters: Mapping[str, str | None] | None = None,
    sign: Callable[[str], str] | None = None,
    header: str | None = None,
    add: Lines | None = None,
    drop: Sequence[str] = (),
    after: Callable[[bytes], bytes] | None = None,
    message: Mapping[str, Any] | None = None,
) -> tuple[Lines, bytes]:
    """The headers and the body of a request signed by `actor`.

    Before signing: `change` replaces header values (None: the header is not there), `names` is what is signed, `target` the path in the signed text,
    `parameters` replaces parameters of the Signature header (None: left out), `key` and `sign` make the signature. After signing: `header` is a whole other
    Signature header, `add` and `drop` change the headers that are sent, `after` changes the body. `scheme` is `cavage`, `hs2019`, `rfc9421` (then `message`
    goes to `rfc9421` below) or `none`.
    """
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    values: dict[str, str | None] = {"host": parts.netloc, "date": http_date(now)}
    if body is not None:
        values |= {"digest": digest(body), "content-type": "application/activity+json"}
    values |= change or {}
    lines: Lines = [(name.title(), value) for name, value in values.items() if value is not None]
    if scheme == "rfc9421":
        lines = [line for line in lines if line[0] != "Digest"] + rfc9421(actor, url, method, body, now, key=key, key_id=key_id, **(message or {}))
    elif scheme != "none":
        lines.append(
            ("Signature", header if header is not None else _cavage(actor, method, target or path, values, now, scheme, key, key_id, names, parameters, sign))
        )
    sent = [line for line in lines if line[0].lower() not in {name.lower() for name in drop}] + (add or [])
    return sent, (after(body) if after else body) if body is not None else b""


def _cavage(
    actor: FakeActor,
    method: str,
    target: str,
    values: Mapping[str, str | None],
    now: datetime,
    scheme: str,
    key: Private | None,
    key_id: str | None,
    names: Sequence[str] | None,
    replaced: Mapping[str, str | None] | None,
    sign: Callable[[str], str] | None,
) -> str:
    made = int(now.timestamp())
    parameters: dict[str, str | None] = {"keyId": actor.key_id if key_id is None else key_id, "algorithm": "rsa-sha256"}
    signed = ["(request-target)", "host", "date", *(["digest"] if "digest" in values else [])]
    if scheme == "hs2019":
        parameters |= {"algorithm": "hs2019", "created": str(made), "expires": str(made + 300)}
        signed = ["(request-target)", "(created)", "(expires)", "host", *(["digest"] if "digest" in values else [])]
    if names is not None:
        signed = list(names)
    parameters["headers"] = " ".join(signed)
    parameters |= replaced or {}
    known = {**values, "(request-target)": f"{method.lower()} {target}", "(created)": parameters.get("created"), "(expires)": parameters.get("expires")}
    text = "\n".join(f"{name}: {known.get(name) or ''}" for name in signed)
    parameters.setdefault("signature", sign(text) if sign else signature_of(key or actor.keys.rsa, text))
    given = [(name, value) for name, value in parameters.items() if value is not None]
    return ",".join(f"{name}={value}" if name in {"created", "expires"} else f'{name}="{value}"' for name, value in given)


def content_digest(body: bytes) -> str:
    """The Content-Digest of RFC 9530."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def rfc9421(
    actor: FakeActor,
    url: str,
    method: str,
    body: bytes | None,
    now: datetime,
    *,
    key: Private | None = None,
    key_id: str | None = None,
    covered: Sequence[str] | None = None,
    parameters: str | None = None,
    target_uri: str | None = None,
    digest_header: str | None = "",
    label: str = "sig1",
) -> Lines:
    """Signature-Input, Signature and Content-Digest; `parameters` is all that follows the covered components, `digest_header` None for none."""
    stated = (content_digest(body or b"") if digest_header == "" else digest_header) if body is not None else None
    components = list(covered) if covered is not None else ["@method", "@target-uri", *(["content-digest"] if stated is not None else [])]
    after = parameters if parameters is not None else f';created={int(now.timestamp())};keyid="{key_id or actor.key_id}"'
    stands = "(" + " ".join(f'"{name}"' for name in components) + ")" + after
    values = {"@method": method, "@target-uri": target_uri or url, "content-digest": stated or "", "@authority": urlsplit(url).netloc}
    text = "\n".join([*(f'"{name}": {values.get(name, "")}' for name in components), f'"@signature-params": {stands}'])
    lines = [("Signature-Input", f"{label}={stands}"), ("Signature", f"{label}=:{signature_of(key or actor.keys.rsa, text)}:")]
    return [*lines, ("Content-Digest", stated)] if stated is not None else lines
