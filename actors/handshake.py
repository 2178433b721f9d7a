"""Is that still the one we trust? The handshake of two Applications: its words, its pinned keys, and how a changed key is judged.

    add      an admin names a host        -> Follow of its Application
    asked    its Follow came              -> remembered; answered at once where an admin trusts it already
    words    six words over both sides' keys, the same on both sides, to be read aloud
    agree    an admin confirms them       -> keys pinned, level trusted, Accept (and our Follow again, if it was not accepted)
    look     its document, read anew      -> a key that is new and that no pinned one signed ends the trust at once
    end      an admin takes it back       -> Reject and Undo

What is not public may go there once an admin here agreed and theirs accepted (`peers.Partner.ready`). Functions return activities; the caller publishes
them.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Literal

import structlog
from argon2.low_level import Type, hash_secret_raw

from actors import generations, hosts, keys, known, peers, remote, sealing
from actors.fetch import Budget, FetchFailed
from actors.known import Actor
from actors.peers import Partner
from actors.signatures import proofs
from actors.signatures.proofs import BadProof
from schemas import peering, publickeys
from schemas.activities import Accept, Activity, Follow, Reject, Undo, parse_actor
from schemas.documents import moment
from schemas.events import Farewell, PeerLost, PeerTrusted, VouchesChanged
from schemas.objects import ActorDocument
from schemas.peering import AgreementKey, Greeting, Rotation
from schemas.reading import Document, Iri, Unreadable
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.trust import Level

log = structlog.get_logger()

Kind = Literal["rsa", "ed25519", "x25519"]
KINDS: Final[frozenset[str]] = frozenset({"rsa", "ed25519", "x25519"})

LOOK_MS: Final = 60_000
"""Before something confidential leaves, the peer's document is read again when the last look is older than this."""
LOOK_BUDGET: Final = 10
ANEW_MS: Final = 300_000
"""How long after an Accept another one of the same Follow says nothing: each begins a work as large as the board."""
WORDS: Final = 6
SALT: Final = b"fedmatch words 1"
LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


class NoHandshake(LookupError):
    """Nothing was begun with that host; the text says what to do."""


class KeysChanged(ValueError):
    """It shows other keys than a moment ago: the words have to be read again."""


@dataclass(frozen=True, slots=True)
class PeerKey:
    """One key of an Application, as its document lists it: SPKI DER (RSA) or 32 raw bytes."""

    kind: Kind
    uri: Iri
    public: bytes

    @property
    def multikey(self) -> str:
        """The key as Multikey text, whatever kind it is."""
        if self.kind == "x25519":
            return publickeys.multibase(publickeys.X25519_PREFIX + self.public)
        return publickeys.to_multibase(self.public, self.kind)


def keys_of(document: ActorDocument) -> tuple[PeerKey, ...]:
    """Every key a document lists, those that sign and those that are sealed to."""
    signing = [PeerKey(key.algorithm, key.id, key.public) for key in document.keys]
    agreement = document.greeting.agreement if document.greeting is not None else ()
    return (*signing, *(PeerKey("x25519", key.id, key.public) for key in agreement))


# The words.


def words(ours: tuple[str, Sequence[PeerKey]], theirs: tuple[str, Sequence[PeerKey]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Six words, and the same as six groups of four digits, over host and keys of both sides; each side gets the same. About 0.15 s on 64 MiB: in a thread.

    77 bits. Who stands between both sides may choose keys for each of them, so the work for a match is that of a collision (2^39); Argon2id makes each try
    as dear as a password's (RFC 9106, second recommended choice).
    """
    sides = sorted(_side(host, listed) for host, listed in (ours, theirs))
    hashed = hash_secret_raw(b"\0".join(sides), SALT, time_cost=3, memory_cost=65536, parallelism=4, hash_len=16, type=Type.ID)
    number, chosen = int.from_bytes(hashed, "big"), []
    for _ in range(WORDS):
        number, place = divmod(number, len(wordlist()))
        chosen.append(place)
    return tuple(wordlist()[place] for place in chosen), tuple(f"{place:04}" for place in chosen)


def _side(host: str, listed: Sequence[PeerKey]) -> bytes:
    lines = sorted(f"{key.kind} {hashlib.sha256(key.public).hexdigest()}" for key in listed)
    return hashlib.sha256("\n".join((host, *lines)).encode()).hexdigest().encode()


@cache
def wordlist() -> tuple[str, ...]:
    """The EFF's long list (7,776 words, CC BY 3.0 US), as schemas/words.txt has it."""
    lines = files("schemas").joinpath("words.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


# What our own document says.

ROTATIONS: Final = """
select key_rotation.document
from key_rotation
order by key_rotation.id
"""

INSERT_ROTATION: Final = """
insert into key_rotation (id, document, created_at)
values (:id, :document, :now)
"""

HEAD: Final = """
select setting.value
from setting
where setting.name = 'audit_head'
"""


async def greeting(tx: Transaction, instance: "Instance") -> Greeting:
    """What our Application's document says to instances that think of trusting it."""
    stated = [json.loads(row["document"]) for row in await tx.all(ROTATIONS)]
    application = await known.application(tx)
    head = await tx.one(HEAD)
    return Greeting(
        agreement=await sealing.listed(tx),
        terms=instance.config.terms,
        rotations=tuple(Rotation(application.uri, tuple(one["keys"]), one) for one in stated[-peering.MOST_ROTATIONS :]),
        head="" if head is None else str(head["value"]),
    )


async def rotated(tx: Transaction, instance: "Instance", application: Actor, before: keys.PrivateKey, after: Sequence[PeerKey]) -> None:
    """Writes down that the Ed25519 key `before` says: these are our Application's keys from now on, for all who pinned the old ones."""
    now = instance.clock.now().replace(microsecond=0)
    statement = peering.rotation(application.uri, [key.multikey for key in after], moment(now))
    signed = proofs.attach(statement, before.uri, now, before.sign)
    await tx.execute(INSERT_ROTATION, id=instance.ids.new(), document=json.dumps(signed), now=instance.clock.ms())


# Looking at theirs.

KEYS: Final = """
select peer_key.kind, peer_key.uri, peer_key.public_key
from peer_key
where peer_key.host_id = :host_id
  and peer_key.state = :state
order by peer_key.kind, peer_key.uri
"""

DROP_KEYS: Final = """
delete from peer_key
where host_id = :host_id
  and state = :state
"""

INSERT_KEY: Final = """
insert into peer_key (host_id, state, kind, uri, public_key, since)
values (:host_id, :state, :kind, :uri, :public_key, :now)
"""

LOOKED: Final = """
update handshake
set looked_at = :now, terms = :terms, inbox = :inbox
where host_id = :host_id
"""

INSERT_HEAD: Final = """
insert into peer_head (host_id, head, seen_at)
values (:host_id, :head, :now)
on conflict (host_id, head) do nothing
"""

HEADS: Final = """
select peer_head.head, peer_head.seen_at
from peer_head
where peer_head.host_id = :host_id
order by peer_head.seen_at desc, peer_head.head
limit :limit
"""

LOSE: Final = """
update handshake
set lost_at = :now, lost_why = :why, agreed_at = null
where host_id = :host_id
"""


async def pinned(tx: Transaction, host_id: int) -> tuple[PeerKey, ...]:
    """The keys of a peer that an admin confirmed."""
    return await _stored(tx, host_id, "pinned")


async def seen(tx: Transaction, host_id: int) -> tuple[PeerKey, ...]:
    """The keys of a peer as we saw them last."""
    return await _stored(tx, host_id, "seen")


async def heads(tx: Transaction, host_id: int, limit: int = 100) -> list[tuple[str, int]]:
    """The heads of its log of staff actions that a peer showed, newest first, each with the moment we first saw it (ms UTC)."""
    return [(row["head"], row["seen_at"]) for row in await tx.all(HEADS, host_id=host_id, limit=limit)]


async def _stored(tx: Transaction, host_id: int, state: str) -> tuple[PeerKey, ...]:
    rows = await tx.all(KEYS, host_id=host_id, state=state)
    return tuple(PeerKey(row["kind"], Iri(row["uri"]), bytes(row["public_key"])) for row in rows)


async def _replace(tx: Transaction, instance: "Instance", host_id: int, state: str, listed: Sequence[PeerKey]) -> None:
    await tx.execute(DROP_KEYS, host_id=host_id, state=state)
    now = instance.clock.ms()
    rows = {key.uri: {"host_id": host_id, "state": state, "kind": key.kind, "uri": key.uri, "public_key": key.public, "now": now} for key in listed}
    if rows:
        await tx.many(INSERT_KEY, list(rows.values()))


@dataclass(frozen=True, slots=True)
class Looked:
    """A peer as its document shows it now; `lost` if that look ended the trust, and `says` what is to be sent to it then."""

    partner: Partner
    lost: bool = False
    says: tuple[Activity, ...] = ()


async def look(instance: "Instance", partner: Partner) -> Looked | FetchFailed:
    """Reads the peer's Application document from its own host and judges its keys; many at once cause one look. Raises `Locked`."""

    async def work() -> Looked | FetchFailed:
        document = await remote.fetch_document(instance, partner.application, budget=Budget(LOOK_BUDGET), insist=True)
        if isinstance(document, FetchFailed):
            return document
        try:
            parsed = parse_actor(document)
        except Unreadable as error:
            return FetchFailed(str(error), "unusable")
        if parsed.id != partner.application or parsed.kind != "Application":
            return FetchFailed("another actor stands there", "unusable")
        return await instance.database.write(learn, instance, partner.host_id, parsed)

    return await instance.network.flights.once(f"look {partner.application}", work)


async def learn(tx: Transaction, instance: "Instance", host_id: int, document: ActorDocument) -> Looked:
    """Takes note of what a peer's own document says now; `document` was just fetched from its own host."""
    partner = await _partner(tx, host_id)
    said = document.greeting or Greeting()
    listed = keys_of(document)
    await _replace(tx, instance, host_id, "seen", listed)
    now = instance.clock.ms()
    await tx.execute(LOOKED, host_id=host_id, now=now, terms=json.dumps(peering.terms(said.terms)), inbox=document.inbox)
    if said.head and partner.trusted:
        await tx.execute(INSERT_HEAD, host_id=host_id, head=said.head, now=now)
    if not partner.trusted:
        return Looked(await _partner(tx, host_id))
    confirmed = await pinned(tx, host_id)
    why = judge(confirmed, listed, said.rotations)
    if why is not None:
        activities = await lose(tx, instance, partner, why)
        return Looked(await _partner(tx, host_id), lost=True, says=activities)
    if {key.multikey for key in listed} != {key.multikey for key in confirmed}:
        await _replace(tx, instance, host_id, "pinned", listed)
        log.info("peer.keys_rotated", host=host_id)
    return Looked(await _partner(tx, host_id))


def judge(confirmed: Sequence[PeerKey], listed: Sequence[PeerKey], rotations: Sequence[Rotation]) -> str | None:
    """Why these keys are not those of the peer we trust, or None: each is pinned, or named by a statement that leads back to a pinned Ed25519 key."""
    if {key.kind for key in listed} != KINDS:
        return "it does not show all its keys"
    allowed = {key.multikey for key in confirmed}
    provers = {key.public for key in confirmed if key.kind == "ed25519"}
    for rotation in rotations:
        if _holds(rotation.document, provers):
            allowed |= set(rotation.keys)
            provers = {public for key in rotation.keys if (public := _ed25519(key)) is not None}
    return None if {key.multikey for key in listed} <= allowed else "it shows a key that no pinned key signed"


def _holds(statement: Document, provers: set[bytes]) -> bool:
    try:
        # A statement does not age: what counts is who signed it, and whether that key is pinned.
        proof = proofs.read(statement, LONG_AGO)
    except BadProof:
        return False
    return proof is not None and any(keys.verify(publickeys.load("ed25519", key), proof.signature, proof.hashed) for key in provers)


def _ed25519(multikey: str) -> bytes | None:
    try:
        algorithm, public = publickeys.from_multibase(multikey)
    except publickeys.BadKey:
        return None
    return public if algorithm == "ed25519" else None


async def sealing_to(tx: Transaction, host_id: int) -> AgreementKey | None:
    """The pinned X25519 key of a peer that its document lists now; None if there is none."""
    current = {key.uri for key in await seen(tx, host_id)}
    found = [key for key in await pinned(tx, host_id) if key.kind == "x25519"]
    chosen = next((key for key in found if key.uri in current), found[0] if found else None)
    return None if chosen is None else AgreementKey(chosen.uri, chosen.public)


async def sealed_by(tx: Transaction, host_id: int, uri: str) -> AgreementKey | None:
    """The pinned X25519 key of that name."""
    return next((AgreementKey(key.uri, key.public) for key in await pinned(tx, host_id) if key.kind == "x25519" and key.uri == uri), None)


# The steps.

UPSERT: Final = """
insert into handshake (host_id, application, inbox, added_at)
values (:host_id, :application, :inbox, :now)
on conflict (host_id) do update
set application = excluded.application, inbox = excluded.inbox, added_at = coalesce(handshake.added_at, excluded.added_at),
  asked = case when handshake.application = excluded.application then handshake.asked else null end,
  accepted_at = case when handshake.application = excluded.application then handshake.accepted_at else null end
"""

ASKED: Final = """
insert into handshake (host_id, application, inbox, asked)
values (:host_id, :application, :inbox, :asked)
on conflict (host_id) do update
set asked = excluded.asked
where handshake.application = excluded.application
"""

FOLLOWS: Final = """
update handshake
set follow = :follow
where host_id = :host_id
"""

ACCEPTED: Final = """
update handshake
set accepted_at = :now
where follow = :follow
  and application = :application
  and coalesce(accepted_at, 0) < :before
returning host_id
"""

REFUSED: Final = """
update handshake
set accepted_at = null
where follow = :follow
  and application = :application
returning host_id
"""

WITHDRAWN: Final = """
update handshake
set asked = null
where asked = :asked
  and application = :application
"""

AGREED: Final = """
update handshake
set agreed_at = :now, lost_at = null, lost_why = null, vouches_count_up_to = :count, announce = :announce
where host_id = :host_id
"""

ENDED: Final = """
update handshake
set agreed_at = null, accepted_at = null, follow = null, lost_at = null, lost_why = null
where host_id = :host_id
"""

FORGET: Final = """
delete from handshake
where host_id = :host_id
"""

RATE: Final = """
update handshake
set vouches_count_up_to = :count, announce = :announce
where host_id = :host_id
"""


async def find(instance: "Instance", host: str) -> ActorDocument | FetchFailed:
    """The Application of a host as its own document describes it, found by WebFinger (FEP-d556) and read now. Raises `hosts.BadUrl`, `Locked`."""
    name = hosts.host_name(host)
    bare = tuple(hosts.domains(name))[1] if ":" in name and not name.endswith("]") else name
    found = await remote.by_handle(instance, f"{bare}@{name}", Budget(LOOK_BUDGET))
    if isinstance(found, FetchFailed):
        return found
    if found.kind != "Application":
        return FetchFailed("its instance actor is no Application", "unusable")
    document = await remote.fetch_document(instance, found.uri, budget=Budget(LOOK_BUDGET), insist=True)
    if isinstance(document, FetchFailed):
        return document
    try:
        parsed = parse_actor(document)
    except Unreadable as error:
        return FetchFailed(str(error), "unusable")
    if parsed.id != found.uri or parsed.greeting is None or {key.kind for key in keys_of(parsed)} != KINDS:
        return FetchFailed("it lists no key to seal to: it is no fedmatch, or an old one", "unusable")
    return parsed


async def add(tx: Transaction, instance: "Instance", host_id: int, document: ActorDocument) -> tuple[Partner, Activity | None]:
    """Begins the handshake with the host of `document` (from `find`): how far it is, and the Follow to send, None if it accepted us already."""
    await tx.execute(UPSERT, host_id=host_id, application=document.id, inbox=document.inbox, now=instance.clock.ms())
    partner = (await learn(tx, instance, host_id, document)).partner
    if partner.accepted_at is not None:
        return partner, None
    asking = await _ask(tx, partner)
    return await _partner(tx, host_id), asking


async def _ask(tx: Transaction, partner: Partner) -> Follow:
    application = await known.application(tx)
    follow = partner.follow or Iri(f"{application.uri}#peers/{secrets.token_hex(8)}")
    await tx.execute(FOLLOWS, host_id=partner.host_id, follow=follow)
    return Follow(id=follow, actor=application.uri, object=partner.application, to=(partner.application,))


async def agree(
    tx: Transaction,
    instance: "Instance",
    host_id: int,
    shown: Sequence[PeerKey],
    *,
    count: int | None = None,
    announce: bool | None = None,
    reason: str | None = None,
) -> tuple[Partner, tuple[Activity, ...]]:
    """An admin confirmed the words over the keys `shown`: they are pinned, the level is trusted; what is to be said now.

    None keeps what was chosen before for `count` (vouches_count_up_to, 0 to 5) and `announce`.
    Raises `KeysChanged`, `schemas.states.IllegalMove`, `NoHandshake`.
    """
    partner = await _partner(tx, host_id)
    listed = await seen(tx, host_id)
    if {key.multikey for key in listed} != {key.multikey for key in shown}:
        raise KeysChanged(f"{partner.host} shows other keys than a moment ago; read the words again: `fedmatch peers words {partner.host}`")
    ready = partner.ready
    counted = partner.vouches_count_up_to if count is None else count
    announces = partner.announce if announce is None else announce
    await peers.set_level(tx, instance, partner.host, "trusted", reason)
    await _replace(tx, instance, host_id, "pinned", listed)
    await tx.execute(AGREED, host_id=host_id, now=instance.clock.ms(), count=counted, announce=int(announces))
    partner = await _partner(tx, host_id)
    says: list[Activity] = []
    if partner.asked is not None:
        says.append(await _yes(tx, partner))
    if partner.accepted_at is None:
        says.append(await _ask(tx, partner))
    elif not ready:
        await instance.tell(tx, PeerTrusted(host_id))
    await instance.tell(tx, VouchesChanged(None, partner.application))
    log.info("peer.trusted", host=host_id)
    return await _partner(tx, host_id), tuple(says)


async def rate(tx: Transaction, instance: "Instance", host_id: int, count: int, announce: bool) -> None:
    """How much a peer's vouches count from now on, and whether our category actors announce what it publishes; what rested on them is judged again."""
    partner = await _partner(tx, host_id)
    await tx.execute(RATE, host_id=host_id, count=count, announce=int(announce))
    if count != partner.vouches_count_up_to:
        await instance.tell(tx, VouchesChanged(None, partner.application))


async def _yes(tx: Transaction, partner: Partner) -> Accept:
    application = await known.application(tx)
    follow = Follow(id=partner.asked, actor=partner.application, object=application.uri)
    return Accept(id=Iri(f"{application.uri}#accepts/{secrets.token_hex(8)}"), actor=application.uri, object=follow, to=(partner.application,))


async def _no(tx: Transaction, partner: Partner) -> tuple[Activity, ...]:
    """What takes back everything we said to a peer: its Follow refused, ours undone."""
    application = await known.application(tx)
    says: list[Activity] = []
    if partner.asked is not None:
        asked = Follow(id=partner.asked, actor=partner.application, object=application.uri)
        says.append(Reject(id=Iri(f"{application.uri}#rejects/{secrets.token_hex(8)}"), actor=application.uri, object=asked, to=(partner.application,)))
    return tuple(says)


async def asked(tx: Transaction, instance: "Instance", actor: Actor, follow: Follow) -> Accept | None:
    """Takes the Follow of another Application, proven: the Accept to send, or None while no admin here trusts it. What blocked hosts ask is refused before."""
    if follow.id is None or actor.host_id is None or not hosts.same_origin(follow.id, actor.uri):
        return None
    await tx.execute(ASKED, host_id=actor.host_id, application=actor.uri, inbox=actor.inbox, asked=follow.id)
    partner = await _partner(tx, actor.host_id)
    if partner.application != actor.uri:
        return None
    log.info("peer.asks", host=actor.host_id)
    if not partner.trusted or not await _shows_pinned(tx, actor, partner):
        return None
    return await _yes(tx, partner)


SIGNING_KEYS: Final = """
select actor_key.algorithm, actor_key.public_key
from actor_key
where actor_key.actor_id = :actor_id
  and actor_key.retired_at is null
"""


async def _shows_pinned(tx: Transaction, actor: Actor, partner: Partner) -> bool:
    """Whether every key we believe of this actor is one an admin confirmed."""
    confirmed = {(key.kind, key.public) for key in await pinned(tx, partner.host_id)}
    return all((row["algorithm"], bytes(row["public_key"])) in confirmed for row in await tx.all(SIGNING_KEYS, actor_id=actor.id))


async def accepted(tx: Transaction, instance: "Instance", actor: Actor, accept: Accept) -> int | None:
    """Takes an Accept of our Application's Follow, proven: the host that may have what is not public from now on, None where that changes nothing (yet)."""
    if accept.object.id is None:
        return None
    now = instance.clock.ms()
    held = await partner_of(tx, actor)
    row = await tx.one(ACCEPTED, follow=accept.object.id, application=actor.uri, now=now, before=now - ANEW_MS)
    partner = None if row is None else await peers.partner(tx, row["host_id"])
    if partner is None or not partner.ready:
        return None
    log.info("peer.accepted", host=partner.host_id)
    # Who says it again trusts us again: it may have blocked us meanwhile, of which nobody is told, and deleted what it held.
    await instance.tell(tx, PeerTrusted(partner.host_id, anew=held is not None and held.accepted_at is not None))
    return partner.host_id


async def refused(tx: Transaction, actor: Actor, reject: Reject) -> bool:
    """Takes a Reject of our Application's Follow, proven: nothing that is not public goes there until it accepts again."""
    if reject.object.id is None:
        return False
    return await tx.one(REFUSED, follow=reject.object.id, application=actor.uri) is not None


async def withdrawn(tx: Transaction, actor: Actor, undo: Undo) -> bool:
    """Takes another Application's Undo of its Follow, proven."""
    return undo.object.id is not None and await tx.execute(WITHDRAWN, asked=undo.object.id, application=actor.uri) > 0


async def lose(tx: Transaction, instance: "Instance", partner: Partner, why: str) -> tuple[Activity, ...]:
    """Ends the trust because a peer is not what it was: known from now on, what is not public waits, admins are told; what to say to it."""
    await peers.set_level(tx, instance, partner.host, "known", why)
    await _replace(tx, instance, partner.host_id, "pinned", ())
    await tx.execute(LOSE, host_id=partner.host_id, now=instance.clock.ms(), why=why)
    log.warning("peer.lost", host=partner.host_id, why=why, cure=f"fedmatch peers words {partner.host}")
    await instance.tell(tx, PeerLost(partner.host_id, partner.host, "known", why))
    await instance.tell(tx, VouchesChanged(None, partner.application))
    return await _no(tx, partner)


async def end(tx: Transaction, instance: "Instance", host: str, level: "Level", why: str) -> tuple[Activity, ...]:
    """What follows when an admin takes trust away from a host that had it (its level was changed already): what to say to it, if anything may be said."""
    partner = await peers.partner_named(tx, host)
    if partner is None:
        return ()
    says = await _no(tx, partner)
    if partner.follow is not None:
        application = await known.application(tx)
        ours = Follow(id=partner.follow, actor=application.uri, object=partner.application)
        says = (*says, Undo(id=Iri(f"{application.uri}#undoes/{secrets.token_hex(8)}"), actor=application.uri, object=ours, to=(partner.application,)))
    key = None if level == "blocked" else await sealing_to(tx, partner.host_id)
    farewell = None if key is None else Farewell(partner.application, partner.inbox, key)
    await _replace(tx, instance, partner.host_id, "pinned", ())
    await tx.execute(ENDED, host_id=partner.host_id)
    await instance.tell(tx, PeerLost(partner.host_id, partner.host, level, why, farewell))
    await instance.tell(tx, VouchesChanged(None, partner.application))
    return says


async def forget(tx: Transaction, host_id: int) -> None:
    """Deletes everything about the handshake with a host; end it first."""
    await tx.execute(FORGET, host_id=host_id)
    await generations.bump(tx, "peers")


async def partner_of(tx: Transaction, actor: Actor) -> Partner | None:
    """The peer whose Application this is."""
    found = None if actor.host_id is None else await peers.partner(tx, actor.host_id)
    return found if found is not None and found.application == actor.uri else None


async def _partner(tx: Transaction, host_id: int) -> Partner:
    found = await peers.partner(tx, host_id)
    if found is None:
        raise NoHandshake("nothing was begun with this host; `fedmatch peers add HOST` begins")
    return found
