"""What did a trusted peer seal for us? Opened by the worker, never at the door, and only for the Application whose keys an admin here confirmed.

The seal itself proves who made it: it takes the private half of the peer's pinned key. What lies inside is then as good as fetched from its own host, and goes
the way of every other arrival, once for each id. A locked vault leaves it waiting; so does a peer that waits for new words.
"""

from dataclasses import dataclass, replace
from typing import Final

from actors import handshake, hosts, known, peers, remote, sealing
from actors.fetch import FetchFailed
from actors.instance import Instance
from actors.known import Actor
from actors.peers import Partner
from actors.sealing import DoesNotOpen, SealingKey, Way
from inbox import dereference, gate, verify
from inbox.errors import Later, Refused
from inbox.gate import Claim
from inbox.verify import Verified
from outbox import confidential as outgoing
from schemas import activities
from schemas.activities import Accept, Activity, Create, Delete, Flag, Offer, Other, Reject, Sealed, Undo, Update
from schemas.objects import Agreement, Note, Receipt, Reference
from schemas.peering import AgreementKey
from schemas.reading import Document, iris
from schemas.reading import first as first_of
from schemas.sealed import MOST_INNER
from schemas.storage import Transaction

INSIDE: Final = frozenset({"Create", "Update", "Delete", "Offer", "Accept", "Reject", "Undo", "Flag"})
"""What peers say to each other sealed; everything else is said in the open."""
ANEW: Final = frozenset({"Accept", "Reject", "Undo"})
"""What may be said again under one id and meant: told apart by the message that carried it."""
AGAIN_S: Final = 300
WORDS_S: Final = 6 * 3600
MOST_ADDRESSED: Final = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """What was inside, proven, and the name it is remembered by so that it is acted on once."""

    verified: Verified
    activity: Activity
    key: str


async def opened(instance: Instance, carrier: Verified, outer: Sealed) -> Opened | None:
    """What a peer sealed for us; None for a farewell of somebody we never knew.

    Raises `Refused` for what nobody we trust sealed for us, `Later` while its sender cannot be looked at or waits for new words, `Locked`, `Unreadable`.
    """
    if carrier.by != "signature" or outer.id is None:
        raise Refused("what is sealed comes signed, and has an id")
    partner = await _partner(instance, carrier)
    plain = await _unsealed(instance, partner, outer)
    document = gate.read(plain, MOST_INNER)
    said = gate.claim(document)
    _belongs(instance, partner, said, document)
    inner = activities.parse(document)
    if not _may_be_sealed(inner):
        raise Refused("sealed, and about what is said in the open")
    actor = await _sender(instance, said)
    if actor is None:
        return None
    if not actor.active and said.kind not in ("Delete", "Reject", "Undo", "Update"):
        raise Refused("its actor is suspended")
    verified = replace(verify.origin(actor, document), body=plain, sealed=True)
    return Opened(verified, inner, f"{said.id} {outer.id}" if said.kind in ANEW else f"{said.id}")


async def _partner(instance: Instance, carrier: Verified) -> Partner:
    partner = await instance.database.read(peers.partner_named, carrier.actor.host)
    if partner is None or partner.application != carrier.actor.uri:
        raise Refused("sealed by somebody who is not the Application of a peer")
    if partner.lost_at is not None and not partner.trusted:
        raise Later(WORDS_S, "the peer showed other keys; its words have to be compared anew")
    if not partner.trusted or not instance.trust.verdict(partner.host, "confide").allowed:
        raise Refused("sealed by a peer that is not trusted")
    return partner


async def _unsealed(instance: Instance, partner: Partner, outer: Sealed) -> bytes:
    envelope = outer.envelope
    ours, theirs = await instance.database.read(_keys, instance, partner.host_id, outer)
    if theirs is None:
        # A key that is new to us: what do the pinned ones say of it?
        looked = await handshake.look(instance, partner)
        if isinstance(looked, FetchFailed):
            raise Later(AGAIN_S, f"the peer could not be looked at: {looked.why}")
        if looked.lost:
            await instance.trust.refresh(instance.database)
            await instance.database.write(_say, instance, looked)
            raise Later(WORDS_S, "the peer shows other keys; its words have to be compared anew")
        ours, theirs = await instance.database.read(_keys, instance, partner.host_id, outer)
    if ours is None or theirs is None:
        raise Refused("sealed with a key that is not ours, or not the peer's")
    if outer.id is None:
        raise Refused("what is sealed has an id")
    try:
        return sealing.unseal(envelope, Way(outer.id, partner.host, instance.config.authority), ours, theirs)
    except DoesNotOpen as error:
        raise Refused(f"sealed, and {error}") from None


async def _say(tx: Transaction, instance: Instance, looked: handshake.Looked) -> None:
    await outgoing.say(tx, instance, looked.partner, looked.says)


async def _keys(tx: Transaction, instance: Instance, host_id: int, outer: Sealed) -> tuple[SealingKey | None, AgreementKey | None]:
    return await sealing.by_uri(tx, instance, outer.envelope.key), await handshake.sealed_by(tx, host_id, outer.envelope.sender)


def _belongs(instance: Instance, partner: Partner, said: Claim, document: Document) -> None:
    """An Application speaks for its own host alone, and says sealed what is for us alone."""
    verify.own_origin(instance, said, document)
    if said.id is None or hosts.authority(said.actor) != partner.host:
        raise Refused("sealed by a host that its actor does not live on")
    if said.kind not in INSIDE:
        raise Refused("sealed, and of a kind that is said in the open")
    thing = first_of(document.get("object"))
    for one in (document, thing) if isinstance(thing, dict) else (document,):
        addressed = [target for field in ("to", "cc", "audience", "bto", "bcc") for target in iris(one.get(field), MOST_ADDRESSED)]
        if any(not _is_ours(instance, target) for target in addressed):
            raise Refused("sealed for us, and addressed to others")


def _may_be_sealed(inner: Activity) -> bool:
    """Whether it is one of the things that peers say sealed, whole: nothing of it is asked for in the open. What is about an activity is about an Offer."""
    match inner:
        case Create(object=Note() | Receipt()) | Update(object=Note() | Agreement()) | Delete() | Offer() | Flag():
            return True
        case Accept(object=about) | Reject(object=about) | Undo(object=about):
            return isinstance(about, Offer | Reference) or (isinstance(about, Other) and about.kind == "Offer")
        case _:
            return False


def _is_ours(instance: Instance, target: str) -> bool:
    try:
        return hosts.authority(target) == instance.config.authority
    except hosts.BadUrl:
        return False


async def _sender(instance: Instance, said: Claim) -> Actor | None:
    """The actor inside, as its own host shows it; None if it is gone and we never knew it."""
    found = await remote.actor(instance, said.actor, budget=dereference.budget(instance))
    if not isinstance(found, FetchFailed):
        return found
    stored = await instance.database.read(known.by_uri, said.actor)
    if stored is not None:
        return stored
    if found.temporary:
        raise Later(AGAIN_S, f"the actor could not be fetched: {found.why}")
    if said.kind in ("Delete", "Undo", "Reject"):
        return None
    raise Refused("its actor does not exist")


FIRST: Final = """
insert into arrival (id, uri, host_id, state, body, size, received_at, run_at, done_at)
values (:id, :uri, :host_id, 'done', null, 0, :now, :now, :now)
on conflict (uri) do nothing
"""


async def first(tx: Transaction, instance: Instance, inside: Opened) -> bool:
    """Whether what was inside is heard for the first time, however it was carried; remembers it as an arrival that is done."""
    host_id = await hosts.ensure(tx, instance, inside.verified.actor.host)
    return await tx.execute(FIRST, id=instance.ids.new(), uri=inside.key, host_id=host_id, now=instance.clock.ms()) > 0
