"""Who says this, and may they say it? The only place that makes a `Verified`.

    verify(request, document)  ->  Verified(actor, document, by="signature")   the HTTP signature is the activity's actor's
                                |  Verified(actor, document, by="proof")       somebody else carried it, and it holds a proof by its actor
                                |  Forwarded(id)                               somebody else carried it: its own server is asked, the posted body forgotten
                                |  Transient                                   it has no id: answered with 202 and forgotten, as GoToSocial does
                                or an `InboxError`

`by` is "signature", "proof" (an FEP-8b32 proof of the actor, whoever carried it) or "origin" (fetched from the id's own host). Code that needs a proven sender
takes `Verified`, never a dict: a missing signature is an error here, never an else-branch.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Final, Literal, assert_never, cast

import msgspec
import structlog

from actors import hosts, known
from actors.instance import Instance
from actors.keys import PublicKey
from actors.known import Actor
from actors.signatures import proofs
from actors.signatures.errors import KeyGone, SignatureError
from actors.signatures.proofs import BadProof
from actors.signatures.request import NeedsFetch, Request, find_key, signed_at, signing_key
from actors.signatures.request import Unsigned as NoSignature
from inbox.errors import InboxError, Later, Malformed, Refused, Unsigned
from inbox.gate import Claim, claim, iri
from schemas.reading import Document, Iri, Unreadable

log = structlog.get_logger()

By = Literal["signature", "proof", "origin"]

PROVABLE: Final = frozenset({"Create", "Update", "Delete"})
"""What a proof carries by another hand: what servers forward, and what means the same however often and late it comes. A Follow that was taken back must not
come back by a copy of it."""
DATED: Final = frozenset({"Follow", "Undo", "Like", "EmojiReact", "EmojiReaction", "Announce", "Block"})
"""What can be taken back and said again under one id, so that it matters when each was signed (actors/said.py)."""
NAMELESS: Final = frozenset({"Add", "Remove"})
"""What Mastodon sends without an id. Both only say that a list is to be read anew, so nothing has to tell them apart."""
MOST_PROVEN: Final = 256 * 1024
"""Bytes of a document whose proof we look at; canonical JSON of more would hold everybody up. What is longer is read from its origin."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A remote actor we know by row, as far as a proof speaks of it. Its state and everything else is read where it is needed."""

    id: int
    uri: Iri
    host: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A document that its actor stands behind. `body` is it as it came, where it came by itself; `carrier` the host that brought what another one proves."""

    actor: Sender
    document: Document
    by: By
    body: bytes = field(default=b"", repr=False, compare=False)
    carrier: str = ""
    at: int = field(default=0, compare=False)
    """When its sender signed it, in ms; 0 where no signature of its own says so, or nobody needs to know."""
    sealed: bool = field(default=False, compare=False)
    """It came closed to everybody but us, from a trusted peer's Application, which speaks for its host."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A valid signature by somebody other than the actor: only the id counts; of a Delete the id of what it deletes, for few servers show their Deletes.

    `post`: what a Create or Update is about, on its actor's host, for some servers show that alone.
    """

    id: Iri
    carrier: Sender
    post: Iri | None = None


@dataclass(frozen=True, slots=True)
class Transient:
    """A proven activity without an id: there is nothing to tell it apart by, so nothing is done."""

    carrier: Sender


class KeyNeeded(InboxError):
    """The instance is locked and the key would have to be fetched: the door keeps the request, sealed, and the worker verifies it after the unlock."""

    code = "later"

    def __init__(self, host: str) -> None:
        super().__init__(503, "a key must be fetched and the instance is locked", "This cannot be done right now; please try again later.")
        self.host = host


async def verify(instance: Instance, request: Request, document: Document, said: Claim) -> Verified | Forwarded | Transient:
    """Proves who sent `document`, which claims `said` and whose exact bytes are `request.body`.

    In order: origins that need no key (FEP-fe34), policy of the key's host, date window, digest, signature, key owner = actor. May fetch the key, within
    the limits of actors.signatures. Raises `Malformed`, `Unsigned`, `Refused`, `Later`, and `KeyNeeded` while the instance is locked.
    """
    own_origin(instance, said, document)
    try:
        key = await signing_key(instance, request, fetch=not instance.vault.locked)
    except KeyGone as gone:
        return await _parting(instance, said, document, gone)
    except SignatureError as error:
        raise refusal(error) from None
    match key:
        case NoSignature():
            raise Unsigned("no signature")
        case NeedsFetch():
            raise KeyNeeded(hosts.authority(said.actor))
        case PublicKey():
            judged = await _judge(instance, _owner(key), said, document, request.body or b"")
            if isinstance(judged, Verified) and judged.by == "signature" and said.kind in DATED:
                return replace(judged, at=signed_at(request))
            return judged
        case _:
            assert_never(key)


def refusal(error: SignatureError) -> InboxError:
    """What the inbox answers when actors.signatures does not believe a request."""
    safe = f"{error.safe[:1].upper()}{error.safe[1:]}."
    match error.status:
        case 400:
            return Malformed("signature", error.why)
        case 403:
            return Refused(error.why, safe)
        case 503:
            return Later(error.retry_after_s or 300, error.why, safe)
        case _:
            return Unsigned(error.why, safe)


def own_origin(instance: Instance, said: Claim, document: Document) -> None:
    """Refuses what no signature could make right: a foreign id, an object of another host or author, or an actor of ours (FEP-fe34; protocol 4.2)."""
    try:
        home = hosts.origin(said.actor)
    except hosts.BadUrl as error:
        raise Malformed("actor", str(error)) from None
    if home[1] in known.ours(instance):
        raise Unsigned("the actor claims to be one of ours")
    # Unproven, and before any work: nobody pretends to be somebody blocked.
    if instance.trust.bars(said.actor):
        raise Refused("the actor is blocked")
    # https only, unless a developer said otherwise: a plain http id proves nothing about its host.
    if home[0] != instance.config.scheme and home[0] != "https":
        raise Refused("the actor has a plain http id", "Ids must be https.")
    if said.id is not None and not _at_home(said.id, said.actor):
        raise Refused("activity and actor lie on different hosts", "The activity's id must lie on its actor's host.")
    if said.kind not in ("Create", "Update"):
        return
    if said.object is not None and not _at_home(said.object, said.actor):
        raise Refused("object and actor lie on different hosts", "The object must lie on its actor's host.")
    thing = document.get("object")
    thing = thing[0] if isinstance(thing, list) and thing else thing
    if isinstance(thing, dict) and not _only(thing.get("attributedTo"), said.actor):
        raise Refused("the object is attributed to somebody else", "The object must be attributed to the activity's actor alone.")


def _at_home(id: Iri, actor: Iri) -> bool:
    # Nearly always the spelling is the same up to the path, and then there is nothing to normalise.
    scheme, _, rest = actor.partition("//")
    netloc, slash, _ = rest.partition("/")
    return (slash == "/" and id.startswith(f"{scheme}//{netloc}/")) or hosts.same_origin(id, actor)


def origin(actor: Actor, document: Document) -> Verified:
    """A document fetched from its own id's host, which is its actor's host; raises `Refused` when it is not so."""
    said = claim(document)
    if said.actor != actor.uri or said.id is None or not hosts.same_origin(said.id, actor.uri):
        raise Refused("what was fetched belongs to somebody else")
    return Verified(_sender(actor), document, "origin")


def _sender(actor: Actor) -> Sender:
    return Sender(actor.id, actor.uri, actor.host)


def _only(attributed: object, actor: Iri) -> bool:
    """Whether the actor alone wrote it. PeerTube names the channel of a film beside its account: a Group of the same host, which says nothing by that."""
    if not isinstance(attributed, list):
        return attributed is None or iri(attributed) == actor
    others = [one for one in attributed if one is not None and iri(one) != actor]
    return not others or (any(iri(one) == actor for one in attributed) and all(_channel(one, actor) for one in others))


def _channel(one: object, actor: Iri) -> bool:
    named = iri(one)
    return isinstance(one, dict) and one.get("type") == "Group" and named is not None and _at_home(named, actor)


async def _judge(instance: Instance, carrier: Sender, said: Claim, document: Document, body: bytes) -> Verified | Forwarded | Transient:
    if said.actor == carrier.uri:
        return Transient(carrier) if said.id is None and said.kind not in NAMELESS else Verified(carrier, document, "signature", body)
    if said.id is None:
        # Nothing to ask its origin for, so nobody but the carrier says it, and the carrier may not.
        raise Unsigned("signed by somebody else, and it has no id to ask for")
    owner = await _prover(instance, said, document, body)
    if owner is not None:
        return Verified(owner, document, "proof", body, carrier.host)
    # Its origin was compared with the actor's already, so asking there asks the right server; our own policy decides before we do.
    about = said.object if said.object is not None and _at_home(said.object, said.actor) else None
    verdict = instance.trust.verdict(hosts.authority(said.id), "fetch")
    if not verdict.allowed:
        raise Refused(f"forwarded, and its origin: {verdict.why}")
    if said.kind == "Delete":
        return Forwarded(about or said.id, carrier)
    return Forwarded(said.id, carrier, about if said.kind in ("Create", "Update") else None)


async def _prover(instance: Instance, said: Claim, document: Document, body: bytes) -> Sender | None:
    """The actor, if the document holds an FEP-8b32 proof by a key of its own; else None, and its origin is asked."""
    if said.kind not in PROVABLE or "proof" not in document or len(body) > MOST_PROVEN:
        return None
    try:
        proof = proofs.read(document, instance.clock.now())
        if proof is None or not _at_home(proof.method, said.actor):
            return None

        def holds(key: PublicKey) -> bool:
            # A key that only signs requests (`publicKey`) proves nothing: its purpose is authentication, not assertion (FEP-521a, FEP-8b32).
            return key.proves and key.algorithm == "ed25519" and proof.holds(key.verify)

        key = await find_key(instance, proof.method, holds, fetch=not instance.vault.locked)
    except BadProof as error:
        log.info("proof.refused", why=str(error))
        return None
    except SignatureError as error:
        log.info("proof.refused", why=error.why)
        return None
    return _owner(key) if isinstance(key, PublicKey) and key.actor_uri == said.actor else None


def _owner(key: PublicKey) -> Sender:
    return Sender(key.actor_id, key.actor_uri, key.host)


async def _parting(instance: Instance, said: Claim, document: Document, gone: KeyGone) -> Verified | Forwarded | Transient:
    # The actor's own server answers 410, so the Delete of exactly this actor is authentic, though nobody can sign it any more.
    actor = await instance.database.read(known.by_uri, said.actor)
    if said.kind == "Delete" and said.object == said.actor == gone.actor and said.id is not None and actor is not None:
        return Verified(_sender(actor), document, "origin")
    raise refusal(gone)


# What rests, sealed, in an arrival row: one line of ours, then the body as it came.


def pack(verified: Verified, body: bytes) -> bytes:
    """What a row remembers of a verified activity, to be sealed: who, proven how, and the bytes."""
    sender = verified.actor
    line = f"verified {verified.by} {sender.id} {sender.host} {sender.uri} @{verified.at} {verified.carrier}"
    return b"%s\n%s" % (line.rstrip().encode(), body)


def pack_request(request: Request) -> bytes:
    """What a row remembers of a request whose key could not be had yet, to be sealed. Addresses and forwarding headers never came this far."""
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    head = json.dumps({"method": request.method, "path": request.raw_path.decode("latin-1"), "headers": lines, "received": request.received_ms})
    return b"request %s\n%s" % (head.encode(), request.body or b"")


def recall(plain: bytes) -> Verified | Request:
    """What `pack` or `pack_request` remembered. It was proven before the row was written, and the seal shows that nobody changed it since."""
    line, _, body = plain.partition(b"\n")
    kind, _, rest = line.partition(b" ")
    if kind == b"verified":
        by, number, host, uri, *more = rest.decode().split(" ")
        # Rows of older versions have no time.
        at = int(more.pop(0)[1:]) if more and more[0].startswith("@") else 0
        sender = Sender(int(number), Iri(uri), host)
        return Verified(sender, cast(Document, msgspec.json.decode(body)), cast(By, by), body, more[0] if more else "", at)
    if kind == b"request":
        head = cast(Document, json.loads(rest))
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"]]
        return Request(head["method"], head["path"].encode("latin-1"), headers, body, head["received"])
    raise Unreadable("arrival", "a row of a kind we never wrote")
