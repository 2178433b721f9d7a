"""Who signed this request? Any request, GET or POST, becomes a `Signer`, or `Unsigned`, or an error that says why its signature is not believed.

The order is fixed: what costs nothing first, and our policy on the key's host before anything is fetched from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import known, remote, trust
from actors.hosts import BadUrl, host_name, same_origin
from actors.keys import PublicKey
from actors.known import Actor
from actors.remote import Budget, FetchFailed
from actors.signatures import cavage
from actors.signatures.cavage import CavageSignature
from actors.signatures.errors import BadSignature, HostRefused, KeyGone, KeyUnavailable, MalformedSignature
from schemas.reading import Iri

if TYPE_CHECKING:
    from actors.instance import Instance

LOOKUP_BUDGET: Final = 12
"""Requests one signature may cause: a key document, its actor, their redirects, WebFinger twice with host-meta."""
REFETCH_S: Final = 300
"""A cached key that does not fit is fetched again at most once in this time for each actor."""
NEW_KEYS_PER_S: Final = 20
NEW_KEYS_AT_ONCE: Final = 200
"""Unknown keys of one host that are looked up, so that a flood of forged key ids does not make us flood that host."""


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request a signature speaks about: `raw_path` as it came over the wire, with its query; every header line; the exact body, None for a GET."""

    method: str
    raw_path: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None
    received_ms: int


@dataclass(frozen=True, slots=True)
class Signer:
    """The actor whose key signed. Its `state` may be suspended or gone: what then may pass is the caller's to say."""

    actor: Actor
    key_uri: Iri


@dataclass(frozen=True, slots=True)
class Unsigned:
    """There is no Signature header."""

    why: str


@dataclass(frozen=True, slots=True)
class NeedsFetch:
    """All that can be checked without a fetch is right; the key must be looked up first."""

    key_uri: Iri


async def signer(instance: "Instance", request: Request, *, fetch: bool = True) -> Signer | Unsigned | NeedsFetch:
    """Who signed `request`: the actor of its `signing_key`, with its row. Raises as that does."""
    match await signing_key(instance, request, fetch=fetch):
        case PublicKey() as key:
            return await _signer(instance, key)
        case other:
            return other


async def signing_key(instance: "Instance", request: Request, *, fetch: bool = True) -> PublicKey | Unsigned | NeedsFetch:
    """The key that signed `request`, by draft-cavage-12; it names its actor. With a key in memory this reads nothing: the inbox asks so.

    Raises `actors.signatures.errors.SignatureError`: malformed or wrong signatures, a time outside one hour, a digest that is not the body's, a Host that is
    not ours, a key whose host our policy refuses, whose actor cannot be had, or is gone. A cached key that does not fit is fetched anew once.
    With `fetch=False` nothing is fetched and `NeedsFetch` is the answer where it would be (an instance whose vault is locked cannot sign the fetch).
    """
    headers = cavage.joined(request.headers)
    if b"signature" not in headers:
        return Unsigned("no Signature header")
    if b"signature-input" in headers:
        # RFC 9421: answered 401, after which peers knock again with draft-cavage.
        raise BadSignature("an RFC 9421 signature")
    signature = cavage.parse(headers[b"signature"].decode("latin-1"))
    cavage.require(signature, request.method)
    _check_host(instance, headers.get(b"host", b""))
    cavage.check_time(signature, headers, request.received_ms / 1000)
    if request.method == "POST" or "digest" in signature.headers:
        cavage.check_digest(headers, request.body or b"")
    host = _check_key_host(instance, signature.key_id)

    def holds(key: PublicKey) -> bool:
        return cavage.verify(key, signature, request.method, request.raw_path, headers)

    cached = await instance.keys.public(instance, signature.key_id)
    if cached is not None and holds(cached):
        return cached
    if not fetch:
        return NeedsFetch(Iri(signature.key_id))
    key = await _look_up(instance, signature, host, cached)
    if not holds(key):
        raise BadSignature("it does not verify")
    return key


def _check_host(instance: "Instance", raw: bytes) -> None:
    """The signed Host must be ours: else a request to another server could be replayed here. Ours is what the configuration says, whatever a proxy forwards."""
    try:
        # `host_name` takes 443 for granted; in development the port of plain http is part of the name.
        host = host_name(raw.decode("latin-1"))
    except BadUrl:
        raise MalformedSignature("a Host that is no host name") from None
    if host != instance.config.authority:
        raise BadSignature("it was made for another host")


def _check_key_host(instance: "Instance", key_id: str) -> str:
    """The host of the key, once our policy lets it pass."""
    try:
        host = instance.network.target(key_id).authority
    except BadUrl as error:
        raise BadSignature(f"its key id is no address of a key: {error}") from None
    if host in known.ours(instance):
        # Our own actors never speak to us over HTTP.
        raise BadSignature("its key is one of our own")
    verdict = trust.verdict(instance, host, "receive")
    if not verdict.allowed:
        raise HostRefused(verdict.why)
    return host


async def _look_up(instance: "Instance", signature: CavageSignature, host: str, cached: PublicKey | None) -> PublicKey:
    if cached is None and not instance.limits.allow("key.new", host, NEW_KEYS_PER_S, NEW_KEYS_AT_ONCE):
        raise KeyUnavailable("too many unknown keys of one host", temporary=True, retry_after_s=60)
    if cached is not None and not instance.limits.allow("key.refetch", cached.actor_uri, 1 / REFETCH_S, 1):
        raise BadSignature("it does not verify, and its key was fetched a moment ago")
    owner = await remote.key_owner(instance, signature.key_id, budget=Budget(LOOKUP_BUDGET), fresh=cached is not None)
    match owner:
        case FetchFailed(kind="gone"):
            raise KeyGone(cached.actor_uri if cached is not None else Iri(signature.key_id.partition("#")[0]))
        case FetchFailed(kind="later", why=why):
            raise KeyUnavailable(why, temporary=True)
        case FetchFailed(why=why):
            raise KeyUnavailable(why, temporary=False)
        case Actor():
            if cached is not None:
                # The commit tells every process to forget; this one must not read its own old copy in the meantime.
                instance.keys.forget()
            key = await instance.keys.public(instance, signature.key_id)
    # FEP-fe34: the actor lists the key, says it owns it, and both lie on one origin.
    if key is None or key.actor_uri != owner.uri or not same_origin(key.uri, owner.uri):
        raise BadSignature("its actor does not list that key")
    return key


async def _signer(instance: "Instance", key: PublicKey) -> Signer:
    actor = await instance.database.read(known.by_id, key.actor_id)
    if actor is None or actor.local:
        raise BadSignature("its actor is not known any more")
    return Signer(actor, key.uri)
