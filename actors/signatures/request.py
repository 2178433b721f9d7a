"""Who signed this request? Any request, GET or POST, becomes a `Signer`, or `Unsigned`, or an error that says why its signature is not believed.

The order is fixed: what costs nothing first, and our policy on the key's host before anything is fetched from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import known, remote, trust
from actors.hosts import BadUrl, host_name, same_origin
from actors.keys import PublicKey
from actors.known import Actor
from actors.remote import Budget, FetchFailed
from actors.signatures import cavage, rfc9421, window
from actors.signatures.errors import BadSignature, HostRefused, KeyGone, KeyUnavailable, MalformedSignature, SignatureError
from actors.signatures.rfc9421 import BadMessageSignature, MessageSignature, UnreadableField
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
    """The key that signed `request`; it names its actor. With a key in memory this reads nothing: the inbox asks so.

    By RFC 9421 where there is a Signature-Input header, and then only so; else by draft-cavage-12. Of several labelled signatures one that holds is enough.
    Raises `actors.signatures.errors.SignatureError`: malformed or wrong signatures, a time outside one hour, a digest that is not the body's, a request made
    for another host, a key whose host our policy refuses, whose actor cannot be had, or is gone. A cached key that does not fit is fetched anew once.
    With `fetch=False` nothing is fetched and `NeedsFetch` is the answer where it would be (an instance whose vault is locked cannot sign the fetch).
    """
    headers = cavage.joined(request.headers)
    if b"signature" not in headers:
        return Unsigned("no Signature header")
    if b"signature-input" in headers:
        return await _of_messages(instance, _messages(instance, request, headers), fetch)
    signature = cavage.parse(headers[b"signature"].decode("latin-1"))
    cavage.require(signature, request.method)
    _check_host(instance, headers.get(b"host", b""))
    cavage.check_time(signature, headers, request.received_ms / 1000)
    if request.method == "POST" or "digest" in signature.headers:
        cavage.check_digest(headers, request.body or b"")

    def holds(key: PublicKey) -> bool:
        return cavage.verify(key, signature, request.method, request.raw_path, headers)

    return await find_key(instance, signature.key_id, holds, fetch=fetch)


def claimed_keys(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """The ids of the keys that a request says it is signed with; nothing of it is proven. Empty where nothing can be read."""
    found = cavage.joined(headers)
    signature, stated = found.get(b"signature", b"").decode("latin-1"), found.get(b"signature-input")
    try:
        if stated is None:
            return [cavage.parse(signature).key_id]
        return [one.key_id for one in rfc9421.read(stated.decode("latin-1"), signature, body=False)]
    except (SignatureError, BadMessageSignature):
        return []


def signed_at(request: Request) -> int:
    """When a request that `signing_key` believed was signed, in ms, as it says itself; of several signatures the earliest, 0 where nothing can be read."""
    headers = cavage.joined(request.headers)
    signature, stated = headers.get(b"signature", b"").decode("latin-1"), headers.get(b"signature-input")
    try:
        if stated is None:
            return 1000 * cavage.made(cavage.parse(signature), headers)
        return 1000 * min((one.created for one in rfc9421.read(stated.decode("latin-1"), signature, body=False)), default=0)
    except (SignatureError, BadMessageSignature):
        return 0


def covered(headers: Sequence[tuple[bytes, bytes]]) -> frozenset[str]:
    """The header names, in lower case, that every signature of a request covers; empty where nothing can be read."""
    found = cavage.joined(headers)
    signature, stated = found.get(b"signature", b"").decode("latin-1"), found.get(b"signature-input")
    try:
        if stated is None:
            return frozenset(cavage.parse(signature).headers)
        sets = [frozenset(one.components) for one in rfc9421.read(stated.decode("latin-1"), signature, body=False)]
    except (SignatureError, BadMessageSignature):
        return frozenset()
    return frozenset.intersection(*sets) if sets else frozenset()


async def find_key(
    instance: "Instance", key_id: str, holds: Callable[[PublicKey], bool], *, fetch: bool = True, budget: Budget | None = None
) -> PublicKey | NeedsFetch:
    """The key called `key_id` with which something `holds`: from memory, the database, or its owner's server, which is asked again once if it does not fit.

    The policy on its host comes first. Raises as `signing_key`; `fetch=False` and `NeedsFetch` as there.
    """
    host = _check_key_host(instance, key_id)
    cached = await instance.keys.public(instance, key_id)
    if cached is not None:
        _admit(instance, cached)
        if holds(cached):
            return cached
    if not fetch:
        return NeedsFetch(Iri(key_id))
    key = await _look_up(instance, key_id, host, cached, budget or Budget(LOOKUP_BUDGET))
    _admit(instance, key)
    if not holds(key):
        raise BadSignature("it does not verify")
    return key


@dataclass(frozen=True, slots=True)
class _Message:
    """One labelled signature of RFC 9421 whose only open question is the key."""

    stated: MessageSignature
    base: bytes

    def holds(self, key: PublicKey) -> bool:
        return self.stated.agrees(key.algorithm) and key.verify(self.stated.signature, self.base)


def _messages(instance: "Instance", request: Request, headers: cavage.Headers) -> list[_Message]:
    """Every signature of RFC 9421 that covers enough and is of now, the body's digest checked; raises where there is none.

    The target is what our configuration calls us, whatever the socket or a proxy says: a request made for another host or path does not verify here.
    """
    lines = {name.decode("latin-1"): (value.decode("utf-8", "surrogateescape"),) for name, value in headers.items()}
    target = instance.config.base_url + request.raw_path.decode("utf-8", "surrogateescape")
    found: list[_Message] = []
    why: SignatureError = BadSignature("Signature-Input names no signature")
    try:
        labelled = rfc9421.read(_ascii(headers, b"signature-input"), _ascii(headers, b"signature"), body=request.method == "POST")
        if request.method == "POST" or any("content-digest" in one.components for one in labelled):
            _check_content_digest(headers, request.body or b"")
    except UnreadableField as error:
        raise MalformedSignature(str(error)) from None
    except BadMessageSignature as error:
        raise BadSignature(str(error)) from None
    for one in labelled:
        try:
            window.check(one.created, one.expires, request.received_ms / 1000)
            found.append(_Message(one, rfc9421.base(one, request.method, target, lines)))
        except BadMessageSignature as error:
            why = BadSignature(str(error))
        except SignatureError as error:
            why = error
    if not found:
        raise why
    return found


def _check_content_digest(headers: cavage.Headers, body: bytes) -> None:
    if b"content-digest" not in headers:
        raise BadSignature("no Content-Digest header")
    if not rfc9421.digest_holds(_ascii(headers, b"content-digest"), body):
        raise BadSignature("the digest is not that of the body")
    if b"digest" in headers:
        # Two digests that disagree: two readers could take two bodies.
        cavage.check_digest(headers, body)


def _ascii(headers: cavage.Headers, name: bytes) -> str:
    return headers[name].decode("latin-1")


async def _of_messages(instance: "Instance", messages: Sequence[_Message], fetch: bool) -> PublicKey | NeedsFetch:
    """The key of the first signature that holds; those whose key we know are tried before anything is fetched, and one budget pays for all."""
    budget = Budget(LOOKUP_BUDGET)
    needed: NeedsFetch | None = None
    why: SignatureError = BadSignature("it does not verify")
    for fetching in (False, True):
        for message in messages:
            try:
                found = await find_key(instance, message.stated.key_id, message.holds, fetch=fetching, budget=budget)
            except SignatureError as error:
                why = error
                continue
            if isinstance(found, PublicKey):
                return found
            needed = needed or found
        if needed is None:
            raise why
        if not fetch:
            return needed
    raise why


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
    if instance.trust.bars(key_id):
        raise HostRefused(trust.BLOCKED_ACTOR.why)
    return host


def _admit(instance: "Instance", key: PublicKey) -> None:
    """Refuses the key of a blocked actor, and a key that is blocked itself, before anybody spends a verification on it."""
    if instance.trust.bars(key.actor_uri):
        raise HostRefused(trust.BLOCKED_ACTOR.why)
    if instance.trust.judges_keys and instance.trust.of_key(key.algorithm, key.public) == "blocked":
        raise HostRefused(trust.BLOCKED_KEY.why)


async def _look_up(instance: "Instance", key_id: str, host: str, cached: PublicKey | None, budget: Budget) -> PublicKey:
    if cached is None and instance.limits.take_of_host("key.new", host, NEW_KEYS_PER_S, NEW_KEYS_AT_ONCE) > 0:
        raise KeyUnavailable("too many unknown keys of one host", temporary=True, retry_after_s=60)
    if cached is not None and not instance.limits.allow("key.refetch", cached.actor_uri, 1 / REFETCH_S, 1):
        raise BadSignature("it does not verify, and its key was fetched a moment ago")
    owner = await remote.key_owner(instance, key_id, budget=budget, fresh=cached is not None)
    match owner:
        case FetchFailed(kind="gone"):
            raise KeyGone(cached.actor_uri if cached is not None else Iri(key_id.partition("#")[0]))
        case FetchFailed(kind="later", why=why):
            raise KeyUnavailable(why, temporary=True)
        case FetchFailed(why=why):
            raise KeyUnavailable(why, temporary=False)
        case Actor():
            if cached is not None:
                # The commit tells every process to forget; this one must not read its own old copy in the meantime.
                instance.keys.forget()
            key = await instance.keys.public(instance, key_id)
    # FEP-fe34: the actor lists the key, says it owns it, and both lie on one origin.
    if key is None or key.actor_uri != owner.uri or not same_origin(key.uri, owner.uri):
        raise BadSignature("its actor does not list that key")
    return key


async def _signer(instance: "Instance", key: PublicKey) -> Signer:
    actor = await instance.database.read(known.by_id, key.actor_id)
    if actor is None or actor.local:
        raise BadSignature("its actor is not known any more")
    return Signer(actor, key.uri)
