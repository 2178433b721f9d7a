"""Who is that, on the other server? Documents and actors fetched by signed GET, believed only from their own origin, checked with WebFinger, kept a day."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from actors import known, webfinger
from actors.fetch import Budget as Budget
from actors.fetch import BudgetSpent as BudgetSpent
from actors.fetch import FetchFailed as FetchFailed
from actors.fetch import get, remember, remembered
from actors.hosts import BadUrl, authority, ensure, same_origin
from actors.keys import NoKey, PrivateKey
from actors.known import Actor, NotStored
from actors.media import ACCEPT, is_activitypub
from actors.outbound import MOST_BODY
from actors.signatures.knock import Knocks
from actors.vault import Locked
from actors.webfinger import Finger
from schemas import profile_terms
from schemas.activities import parse_actor, parse_keys
from schemas.crashpoint import crashpoint
from schemas.gate import loads
from schemas.objects import ActorDocument
from schemas.profiles import named_keys
from schemas.reading import Document, Iri, Unreadable, each, iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

LOOKUP_S: Final = 10
KEYS_AT_ONCE: Final = 8
"""How many unknown keys of one host are looked up at a time (security.md A019)."""
FRESH_MS: Final = 24 * 3600 * 1000
"""How long a stored actor is believed without another look."""


async def fetch_document(
    instance: "Instance", iri: str, *, as_actor: Actor | None = None, budget: Budget, limit: int = MOST_BODY, insist: bool = False
) -> Document | FetchFailed:
    """The ActivityPub document at `iri` as its own origin serves it, or why there is none.

    A GET signed by the instance actor (or `as_actor`), every hop by itself. The answer must have an ActivityPub media type and pass the strict gate, and its
    `id` must be what was asked for or the last address, on the host that answered; another id on that host is fetched once more and must then agree (FEP-fe34).
    A failure is remembered up to 10 minutes unless `insist`, which is for what people here ask for. `limit` is in bytes.
    """
    url = iri.partition("#")[0]
    try:
        host = authority(url)
    except BadUrl as error:
        return FetchFailed(str(error), "unusable")
    if instance.trust.bars(url):
        return FetchFailed("the actor is blocked", "barred")
    if not insist and (failed := remembered(instance, url, host)):
        return failed
    try:
        key = await _signing_key(instance, as_actor)
    except Locked:
        return FetchFailed("the vault is locked, so nothing can be signed", "later")
    except NoKey:
        return FetchFailed("the actor to sign as has no key", "barred")
    found = await _document(instance, key, url, budget, limit)
    if isinstance(found, FetchFailed):
        remember(instance, url, host, found)
    return found


async def _document(instance: "Instance", key: PrivateKey, url: str, budget: Budget, limit: int, *, last: bool = False) -> Document | FetchFailed:
    knocks = Knocks(instance, key, {"Accept": ACCEPT})
    answer = await get(instance, url, knocks.first, budget=budget, limit=limit, knocks=knocks)
    if isinstance(answer, FetchFailed):
        return answer
    if not is_activitypub(answer.headers.get("content-type", "")):
        return FetchFailed("not an ActivityPub media type", "unusable")
    try:
        document = loads(answer.body, limit)
    except Unreadable as error:
        return FetchFailed(str(error), "unusable")
    named = document.get("id", document.get("@id"))  # an expanded document has the second
    if not isinstance(named, str) or not same_origin(named, answer.url):
        return FetchFailed("its id is not on the host that serves it", "unusable")
    if named in (url, answer.url):
        return document
    if last:
        return FetchFailed("its id is not its address", "unusable")
    return await _document(instance, key, named.partition("#")[0], budget, limit, last=True)


async def _signing_key(instance: "Instance", as_actor: Actor | None) -> PrivateKey:
    signer = await instance.database.read(known.application) if as_actor is None else as_actor
    return await instance.keys.private(instance, signer.id)


async def actor(instance: "Instance", iri: str, *, budget: Budget, fresh: bool = False) -> Actor | FetchFailed:
    """The actor with this id: ours, stored within the last day, or fetched now, verified both ways and stored.

    `fresh` fetches in any case (a key did not fit, a person asked). When a look at a stored actor fails for the moment, what is stored is given.
    Many callers at once cause one fetch.
    """
    row = await instance.database.read(known.by_uri, iri)
    if row is not None:
        if row.state == "gone":
            return FetchFailed("it was deleted", "gone")
        if row.local or (not fresh and instance.clock.ms() - row.fetched_at < FRESH_MS):
            return row
    found = await _once(instance, "actor", iri, lambda: _fetch_actor(instance, iri, budget, insist=fresh))
    if isinstance(found, FetchFailed) and found.temporary and row is not None and not fresh:
        return row
    return found


async def by_handle(instance: "Instance", handle: str, budget: Budget) -> Actor | FetchFailed:
    """The actor behind `name@host` (or `@name@host`), ours or theirs, looked up if it is not stored or a day old.

    For what people here ask: an earlier failure does not stand in the way.
    """
    try:
        name, host = webfinger.split(handle)
    except BadUrl as error:
        return FetchFailed(str(error), "unusable")
    ours = host in known.ours(instance)
    row = await instance.database.read(_by_handle, name, instance.config.host if ours else host)
    if row is not None and row.active and (row.local or instance.clock.ms() - row.fetched_at < FRESH_MS):
        return row
    if ours:
        return FetchFailed("nobody here has that name", "missing")
    finger = await webfinger.lookup(instance, handle, budget)
    if isinstance(finger, FetchFailed):
        return row if finger.temporary and row is not None and row.active else finger
    return await _once(instance, "actor", finger.href, lambda: _fetch_actor(instance, finger.href, budget, insist=True, finger=finger))


async def _by_handle(tx: Transaction, name: str, host: str) -> Actor | None:
    return await known.by_handle(tx, name, host)


async def key_owner(instance: "Instance", key_uri: str, *, budget: Budget, fresh: bool = False) -> Actor | FetchFailed:
    """The actor that owns a key, fetched and stored with all its keys; afterwards `instance.keys.public` knows the key if the actor lists it.

    The key id may be a fragment of the actor, a path that serves the actor (GoToSocial), or a document of its own whose owner must list it (FEP-fe34).
    """
    try:
        host = authority(key_uri.partition("#")[0])
    except BadUrl as error:
        return FetchFailed(str(error), "unusable")

    async def work() -> Actor | FetchFailed:
        # A flood of forged key ids all at once must not become a flood of requests: after the first few failures the rest is answered from memory.
        async with instance.network.flights.lane(f"keys {host}", KEYS_AT_ONCE):
            return await _fetch_key(instance, key_uri, budget, insist=fresh)

    return await _once(instance, "key", key_uri, work)


async def _fetch_key(instance: "Instance", key_uri: str, budget: Budget, *, insist: bool) -> Actor | FetchFailed:
    document = await fetch_document(instance, key_uri, budget=budget, insist=insist)
    if isinstance(document, FetchFailed):
        return document
    document = profile_terms.plain(document)
    if "inbox" in document:
        return await _take(instance, document, budget)
    owner = iri(document.get("owner", document.get("controller")))
    if owner is None or not same_origin(owner, key_uri):
        return FetchFailed("neither an actor nor a key of one on its host", "unusable")
    return await _fetch_actor(instance, owner, budget, insist=insist)


async def _fetch_actor(instance: "Instance", iri: str, budget: Budget, *, insist: bool, finger: Finger | None = None) -> Actor | FetchFailed:
    document = await fetch_document(instance, iri, budget=budget, insist=insist)
    if isinstance(document, FetchFailed):
        return document
    if finger is not None and document.get("id", document.get("@id")) != finger.href:
        return FetchFailed("its handle names another id", "unusable")
    return await _take(instance, document, budget, finger)


async def _take(instance: "Instance", document: Document, budget: Budget, finger: Finger | None = None) -> Actor | FetchFailed:
    """Verifies a document that came from its own origin as an actor, and stores it."""
    document = profile_terms.plain(document)
    try:
        parsed = _own_host(document, parse_actor(document))
    except Unreadable as error:
        return FetchFailed(str(error), "unusable")
    whole = await _with_named_keys(instance, document, parsed, budget)
    if isinstance(whole, FetchFailed):
        return whole
    parsed = whole
    confirmed = await _confirmed(instance, parsed, budget, finger)
    if isinstance(confirmed, FetchFailed):
        return confirmed
    try:
        crashpoint("actor:confirmed")
        stored = await instance.database.write(_store, instance, parsed, confirmed.host)
        crashpoint("actor:stored")
    except NotStored as error:
        return FetchFailed(error.why, "barred")
    if instance.trust.judges_keys:
        # A rule of a key may have become one of this actor just now, and what it sent waits to be judged by it.
        await instance.trust.refresh(instance.database)
    return stored


async def _with_named_keys(instance: "Instance", document: Document, parsed: ActorDocument, budget: Budget) -> ActorDocument | FetchFailed:
    """The actor with the keys it only names, each read from its own address, where it must say whose it is (FEP-fe34). One that shows nothing is left out."""
    for name in named_keys(document):
        found = await fetch_document(instance, name, budget=budget)
        if isinstance(found, FetchFailed):
            if found.temporary:
                return found
            continue
        proves = any(iri(one) == name for one in each(document.get("assertionMethod")))
        theirs = (key for key in parse_keys(found) if key.id == name and key.owner == parsed.id)
        parsed = replace(parsed, keys=(*parsed.keys, *(replace(key, proves=proves) for key in theirs)))
    return parsed


async def _store(tx: Transaction, instance: "Instance", document: ActorDocument, handle_host: str) -> Actor:
    host_id = await ensure(tx, instance, authority(document.id))
    crashpoint("actor:host")
    return await known.store(tx, instance, document, handle_host, host_id)


def _own_host(document: Document, parsed: ActorDocument) -> ActorDocument:
    """The actor with what lies on another host left out; raises `Unreadable` where a collection of its own does (Misskey refuses such actors too)."""
    for where in ("inbox", "outbox", "followers", "following"):
        value = document.get(where)
        stated = value if isinstance(value, str) else iri(value)
        if stated is not None and not same_origin(stated, parsed.id):
            raise Unreadable(where, "on another host than the actor")

    def here(named: Iri | None) -> Iri | None:
        return named if named is not None and same_origin(named, parsed.id) else None

    return replace(
        parsed,
        shared_inbox=here(parsed.shared_inbox),
        featured=here(parsed.featured),
        url=here(parsed.url),
        keys=tuple(key for key in parsed.keys if here(key.id) and key.owner == parsed.id),
    )


async def _confirmed(instance: "Instance", document: ActorDocument, budget: Budget, finger: Finger | None) -> Finger | FetchFailed:
    """The handle that leads back to this actor: the one it states (FEP-2c59), else its name on its own host."""
    plain = f"{document.username}@{authority(document.id)}"
    failed: FetchFailed = FetchFailed("no handle", "unusable")
    for handle in dict.fromkeys(handle for handle in (document.handle, plain) if handle):
        found = finger if finger is not None and _fits(finger, handle) else await webfinger.lookup(instance, handle, budget)
        if isinstance(found, FetchFailed):
            failed = found
        elif found.href != document.id:
            failed = FetchFailed("its handle names another actor", "unusable")
        elif found.username.lower() != document.username.lower():
            failed = FetchFailed("its handle has another name", "unusable")
        else:
            return found
    return failed


def _fits(finger: Finger, handle: str) -> bool:
    try:
        name, host = webfinger.split(handle)
    except BadUrl:
        return False
    return (finger.username.lower(), finger.host) == (name.lower(), host)


async def _once(instance: "Instance", kind: str, iri: str, work: Callable[[], Coroutine[object, object, Actor | FetchFailed]]) -> Actor | FetchFailed:
    """One look-up for everybody who asks for the same thing at the same time, within 10 s for all its requests together (security.md A020).

    That it took longer is remembered as any failure is: a server that hangs is not asked anew by every letter that names it.
    """

    async def bounded() -> Actor | FetchFailed:
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await work()
        except TimeoutError:
            failed = FetchFailed(f"not found out within {LOOKUP_S} s", "later")
            url = iri.partition("#")[0]
            remember(instance, url, authority(url), failed)
            return failed

    return await instance.network.flights.once(f"{kind} {iri}", bounded)
