"""Whose word counts here, for whom, and how far? Vouches of ours, and of trusted peers as far as an admin lets them count.

    issue, revoke      our Application says it, with a proof; who was given it hears when it ends
    of                 what we say of somebody, to be carried inside what is addressed to one receiver
    standing           what all that is said of somebody comes to: proven, in force, and weighed by us

"Not yet checked" is not level 0: `Standing.checked` tells them apart. A vouch weighs nothing beyond `vouches_count_up_to` of its issuer, and that is 0 until
an admin says otherwise: whoever is trusted with texts is not trusted with people. Nothing is transitive.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

import structlog

from actors import handshake, known, onetime, peers, spent, trust
from actors import keys as room_keys
from actors.known import Actor
from actors.signatures import proofs
from actors.signatures.proofs import BadProof
from fedmatch.safety import audit
from outbox import confidential
from outbox import publish as outgoing
from outbox.address import Audience
from schemas import publickeys, vouches
from schemas.activities import Delete
from schemas.events import VouchesChanged
from schemas.objects import Tombstone, Vouch, VouchMethod
from schemas.reading import Iri, Row
from schemas.states import VOUCH
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

SECOND_PERSON: Final = 4
"""From this level on two people decide (fedmatch/safety/vetting.py)."""


class CannotVouch(ValueError):
    """It cannot be said so; the text says why and what to do."""


class NoVouch(LookupError):
    """There is no such vouch of ours."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What everything that is said of somebody comes to. `levels` holds a host and how far its word counts, best first; nobody in it: not yet checked.

    `carried` is the best proven word of each peer among those that were carried here, with the level it counts for; its document says what the peer said.
    `ours` is what we say ourselves.
    """

    levels: tuple[tuple[str, int], ...] = ()
    carried: tuple[Vouch, ...] = ()
    ours: tuple[Vouch, ...] = ()

    @property
    def level(self) -> int:
        """The highest level that counts here; 0 also for somebody nobody checked."""
        return max((level for _, level in self.levels), default=0)

    @property
    def issuers(self) -> tuple[str, ...]:
        """The hosts whose word counts for anything, best first."""
        return tuple(host for host, level in self.levels if level > 0)

    @property
    def checked(self) -> bool:
        """Whether anybody whose word counts has looked at all."""
        return bool(self.levels)

    def meets(self, level: int, issuers: Sequence[str] = ()) -> bool:
        """Whether one of `issuers` (anybody, if none is named) vouches for at least `level`."""
        return level <= 0 or any(have >= level and (not issuers or host in issuers) for host, have in self.levels)


@dataclass(frozen=True, slots=True)
class Issued:
    """A vouch of ours with its state; `given` names the hosts that hold it."""

    id: int
    vouch: Vouch
    state: str
    given: tuple[str, ...]


INSERT: Final = """
insert into vouch (id, uri, subject, subject_key, level, method, state, issued, expires, document, changed_at)
values (:id, :uri, :subject, :subject_key, :level, :method, :state, :issued, :expires, :document, :now)
"""

IN_FORCE: Final = """
select vouch.id, vouch.state, vouch.document
from vouch
where vouch.subject = :subject
  and vouch.state in ('issued', 'lowered')
  and vouch.expires > :now
order by vouch.level desc, vouch.id desc
"""

STANDING: Final = """
select distinct vouch.subject
from vouch
where vouch.state in ('issued', 'lowered')
  and vouch.expires > :now
"""

BY_ID: Final = """
select vouch.*
from vouch
where vouch.id = :id
"""

BY_URI: Final = """
select vouch.*
from vouch
where vouch.uri = :uri
"""

ALL: Final = """
select vouch.*
from vouch
order by vouch.id desc
"""

END: Final = """
update vouch
set state = :state, changed_at = :now
where id = :id
"""

GIVE: Final = """
insert into vouch_given (vouch_id, host_id, given_at)
values (:vouch_id, :host_id, :now)
on conflict (vouch_id, host_id) do nothing
"""

# What its author asks or offers there carried it as well.
NOT_GIVEN: Final = """
delete from vouch_given
where host_id = :host_id
  and vouch_id in (
    select vouch.id
    from vouch
    where vouch.uri = :uri
  )
  and not exists (
    select 1
    from listing_copy
    join post on post.id = listing_copy.post_id
    join actor on actor.id = post.actor_id
    where listing_copy.host_id = :host_id
      and actor.uri = :subject
  )
"""

GIVEN: Final = """
select vouch_given.host_id, host.name
from vouch_given
join host on host.id = vouch_given.host_id
where vouch_given.vouch_id = :vouch_id
order by host.name
"""

OVER: Final = """
select vouch.id, vouch.state, vouch.subject
from vouch
where vouch.state in ('issued', 'lowered')
  and vouch.expires <= :now
order by vouch.id
limit 200
"""

KEYS: Final = """
select actor_key.algorithm, actor_key.public_key
from actor_key
where actor_key.actor_id = :actor_id
  and actor_key.retired_at is null
order by case when actor_key.algorithm = 'ed25519' then 0 else 1 end, actor_key.id desc
"""

ENDED: Final = """
select tombstone.uri
from tombstone
where tombstone.uri = :uri
"""


async def issue(
    tx: Transaction, instance: "Instance", subject: Actor, level: int, method: VouchMethod, *, staff: str, reason: str | None = None, vetted: bool = False
) -> Vouch:
    """Our instance's word for an actor, ours or anybody's, until the beginning of a month at most 90 days ahead.

    What said more ends with it, and whoever was given that hears so. What said no more than this stays true until its own end: nobody who relies on it is
    to doubt it because it was renewed. `level` 0 to 5; from 4 on only `vetted`. Raises `CannotVouch`, and `actors.vault.Locked` since it is signed.
    """
    if not 0 <= level <= vouches.HIGHEST or method not in vouches.METHODS:
        raise CannotVouch(f"a level is 0 to {vouches.HIGHEST}, a method one of {', '.join(vouches.METHODS)}")
    if level >= SECOND_PERSON and not vetted:
        raise CannotVouch(f"levels {SECOND_PERSON} and {vouches.HIGHEST} need a second person: `fedmatch vet take`, `note`, and `decide` by two of you")
    if subject.kind == "Application" or subject.state != "active":
        raise CannotVouch("nobody vouches for an instance, or for somebody who is gone or suspended")
    if subject.local and subject.one_time:
        raise CannotVouch("a one-time identity of ours has the word that its person has, and follows it; vouch for the person")
    key = await _key(tx, subject)
    lowered = False
    for row in await tx.all(IN_FORCE, subject=subject.uri, now=instance.clock.ms()):
        before = vouches.parsed(row["document"])
        if before is None or before.level > level:
            lowered = True
            await _end(tx, instance, row["id"], row["state"], "revoked")
    made = await _make(tx, instance, subject, key, level, method, lowered)
    await audit.log(tx, instance, staff, "vouch.issue", f"{subject.uri} {level}", reason)
    await instance.tell(tx, VouchesChanged(subject.id, None))
    return made


async def echo(tx: Transaction, instance: "Instance", subject: Actor, level: int) -> None:
    """Says of a one-time identity what is said of its person, as far as `level`; 0 says nothing any more. Who was given what ends hears that it does.

    Nobody of the staff decided anything, so nothing stands in their log; no row tells when it was but for the hour. Raises `actors.vault.Locked`.
    """
    ended = False
    for row in await tx.all(IN_FORCE, subject=subject.uri, now=instance.clock.ms()):
        await _end(tx, instance, row["id"], row["state"], "revoked")
        ended = True
    if level:
        await _make(tx, instance, subject, await _key(tx, subject), level, "other", ended)
    if ended:
        await instance.tell(tx, VouchesChanged(subject.id, None))


async def _make(tx: Transaction, instance: "Instance", subject: Actor, key: str, level: int, method: VouchMethod, lowered: bool) -> Vouch:
    application, number = await known.application(tx), onetime.coarse_id(instance) if subject.one_time else instance.ids.new()
    issued, expires = vouches.lifetime(instance.clock.now())
    uri = Iri(f"{instance.config.base_url}/vouches/{instance.vault.digest('vouch', str(number)).hex()[:32]}")
    bare = Vouch(uri, application.uri, subject.uri, key, level, method, issued, expires)
    signer = await room_keys.signing(tx, instance, application.id, "ed25519")
    # Its proof tells the month as well, not the minute.
    document = json.dumps(proofs.attach(vouches.write(bare), signer.uri, issued, signer.sign), ensure_ascii=False, separators=(",", ":"))
    state = VOUCH.move(VOUCH.start, "lowered") if lowered else VOUCH.start
    await tx.execute(
        INSERT,
        id=number,
        uri=uri,
        subject=subject.uri,
        subject_key=key,
        level=level,
        method=method,
        state=state,
        issued=_ms(issued),
        expires=_ms(expires),
        document=document,
        now=onetime.hour(instance),
    )
    log.info("vouch.issued", vouch=number)
    return replace(bare, document=document)


async def _key(tx: Transaction, subject: Actor) -> str:
    """The fingerprint of the key that stands for an actor: Ed25519, or RSA where it has no other (Mastodon)."""
    row = await tx.one(KEYS, actor_id=subject.id)
    if row is None:
        raise CannotVouch("this actor shows no key, so nobody could tell it from another")
    return trust.fingerprint(row["algorithm"], bytes(row["public_key"]))


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


async def revoke(tx: Transaction, instance: "Instance", which: str, *, staff: str, reason: str | None = None) -> Issued:
    """Takes back our word for somebody, named by the number or the id of a vouch, with every other that is in force for them; tells the hosts that were given
    one alone. `given` of the answer names these. Raises `NoVouch`, `IllegalMove`, `Locked`."""
    number = which.isascii() and which.isdigit() and len(which) < 20
    row = await tx.one(BY_ID, id=min(int(which), 2**63 - 1)) if number else await tx.one(BY_URI, uri=which)
    if row is None:
        raise NoVouch(f"there is no vouch {which}; `fedmatch vouch list` shows them")
    told = set((await _issued(tx, row)).given)
    await _end(tx, instance, row["id"], row["state"], "revoked")
    for other in await tx.all(IN_FORCE, subject=row["subject"], now=instance.clock.ms()):
        told |= {str(holder["name"]) for holder in await tx.all(GIVEN, vouch_id=other["id"])}
        await _end(tx, instance, other["id"], other["state"], "revoked")
    await audit.log(tx, instance, staff, "vouch.revoke", row["subject"], reason)
    subject = await known.by_uri(tx, row["subject"])
    await instance.tell(tx, VouchesChanged(None if subject is None else subject.id, None if subject is not None else (await known.application(tx)).uri))
    return replace(await _issued(tx, row), state="revoked", given=tuple(sorted(told)))


async def _end(tx: Transaction, instance: "Instance", id: int, state: str, to: str) -> None:
    await tx.execute(END, id=id, state=VOUCH.move(state, to), now=onetime.hour(instance))
    if to == "revoked":
        row = await tx.one(BY_ID, id=id)
        for holder in await tx.all(GIVEN, vouch_id=id):
            await _tell(tx, instance, Iri("" if row is None else row["uri"]), holder["host_id"])


async def _tell(tx: Transaction, instance: "Instance", uri: Iri, host_id: int) -> None:
    """Tells one host that a vouch holds no more; its id, and nothing else, goes in the open where the host is not trusted any more."""
    partner = await peers.partner(tx, host_id)
    if partner is None or not trust.verdict(instance, partner.host, "deliver").allowed:
        return
    application = await known.application(tx)
    delete = Delete(id=Iri(f"{uri}#delete"), actor=application.uri, object=Tombstone(uri, vouches.KIND), to=(partner.application,))
    if partner.ready:
        await confidential.publish(tx, instance, application, delete, host_id, object=uri, ordering_key=f"{partner.host} {uri}")
    else:
        delete = replace(delete, id=Iri(f"{uri}#delete/{host_id}"))
        await outgoing.publish(tx, instance, application, delete, Audience(inboxes=(partner.inbox,)), object=uri, ordering_key=f"{partner.host} {uri}")


async def of(tx: Transaction, instance: "Instance", actor: Actor) -> tuple[Vouch, ...]:
    """What we say of an actor, ours or anybody's, that is in force: at most one, to be carried inside what is addressed to one receiver (then call `given`).

    Of somebody elsewhere only what names a key they show now: whoever took their domain over is not whom we looked at. Ours are vouched for anew (`rekey`).
    """
    rows = await tx.all(IN_FORCE, subject=actor.uri, now=instance.clock.ms())
    shown = await _shown(tx, actor) if rows and not actor.local else None
    said = (found for row in rows if (found := vouches.parsed(row["document"])) is not None and (shown is None or found.subject_key in shown))
    return tuple(said)[:1]


async def _shown(tx: Transaction, actor: Actor) -> frozenset[str]:
    """The fingerprints of the keys that an actor shows now."""
    return frozenset([trust.fingerprint(row["algorithm"], bytes(row["public_key"])) for row in await tx.all(KEYS, actor_id=actor.id)])


async def given(tx: Transaction, instance: "Instance", vouch: Vouch, host_id: int) -> None:
    """Remembers that a host was given a vouch of ours, so that it hears when that ends."""
    row = await tx.one(BY_URI, uri=vouch.id)
    if row is not None:
        await tx.execute(GIVE, vouch_id=row["id"], host_id=host_id, now=onetime.hour(instance))


async def not_given(tx: Transaction, vouch: Vouch, host_id: int) -> None:
    """Forgets that a host was given a vouch of ours, because what carried it never left: it shall not hear of its end. Where anything else did it stays."""
    await tx.execute(NOT_GIVEN, uri=vouch.id, subject=vouch.subject, host_id=host_id)


async def standing(tx: Transaction, instance: "Instance", subject: Actor, carried: Sequence[Vouch]) -> Standing:
    """What is said of `subject` and counts here: by us, and by trusted peers in the vouches that were `carried` here, at most ten.

    A vouch counts if its issuer's confirmed Ed25519 key made its proof, it names this very actor and a key the actor shows now, its months are right, and its
    issuer did not take it back; and no further than `vouches_count_up_to` of that peer. Nothing is believed that stands beside the signed document.
    """
    now = instance.clock.now()
    levels: dict[str, int] = {}
    best: dict[str, Vouch] = {}
    said = await of(tx, instance, subject)
    for ours in said:
        levels[instance.config.host] = ours.level
    if carried:
        shown = await _shown(tx, subject)
        for vouch in [found for one in carried[: vouches.MOST] if (found := vouches.parsed(one.document)) is not None]:
            partner = await _issuer(tx, vouch)
            if partner is None or vouch.subject != subject.uri or vouch.subject_key not in shown:
                continue
            if not await over(tx, instance, vouch) and await _proven(tx, vouch, partner, now):
                counts = min(vouch.level, partner.vouches_count_up_to)
                levels[partner.host] = max(levels.get(partner.host, 0), counts)
                if partner.host not in best or best[partner.host].level < counts:
                    best[partner.host] = replace(vouch, level=counts)
    return Standing(tuple(sorted(levels.items(), key=lambda item: (-item[1], item[0]))), tuple(best.values()), said)


async def over(tx: Transaction, instance: "Instance", vouch: Vouch) -> bool:
    """Whether a vouch of another instance ended for good: its time is over, or it was taken back."""
    ended = await tx.one(ENDED, uri=vouch.id) is not None or await spent.holds(tx, instance, vouch.id)
    return ended or not _in_time(vouch, instance.clock.now())


async def _issuer(tx: Transaction, vouch: Vouch) -> peers.Partner | None:
    """The trusted peer that a vouch says it is of, whose ids must lie on its host."""
    partner = await peers.partner_named(tx, vouches.named(vouch.issuer))
    if partner is None or not partner.trusted or partner.application != vouch.issuer or vouches.named(vouch.id) != partner.host:
        return None
    return partner


def _in_time(vouch: Vouch, now: datetime) -> bool:
    return vouch.issued <= now < vouch.expires and vouch.expires - vouch.issued <= vouches.LONGEST and vouch.issued.day == vouch.expires.day == 1


async def _proven(tx: Transaction, vouch: Vouch, partner: peers.Partner, now: datetime) -> bool:
    try:
        proof = proofs.read(json.loads(vouch.document), now)
    except BadProof:
        return False
    if proof is None:
        return False
    confirmed = [key.public for key in await handshake.pinned(tx, partner.host_id) if key.kind == "ed25519"]
    return any(room_keys.verify(publickeys.load("ed25519", public), proof.signature, proof.hashed) for public in confirmed)


async def expire(tx: Transaction, instance: "Instance") -> int:
    """Ends what is over, at most 200; how many. Nobody needs to be told: every vouch says when it ends."""
    rows = await tx.all(OVER, now=instance.clock.ms())
    for row in rows:
        await _end(tx, instance, row["id"], row["state"], "expired")
        subject = await known.by_uri(tx, row["subject"])
        if subject is not None:
            await instance.tell(tx, VouchesChanged(subject.id, None))
    return len(rows)


async def rekey(tx: Transaction, instance: "Instance", subject: Actor) -> None:
    """Says the same once more of one of ours who has new keys: a vouch names a key. Raises `Locked`."""
    rows = await tx.all(IN_FORCE, subject=subject.uri, now=instance.clock.ms())
    for row in rows:
        await _end(tx, instance, row["id"], row["state"], "revoked")
    before = vouches.parsed(rows[0]["document"]) if rows else None
    if before is not None:
        await _make(tx, instance, subject, await _key(tx, subject), before.level, before.method, rows[0]["state"] == "lowered")
        await instance.tell(tx, VouchesChanged(subject.id, None))


async def resign(tx: Transaction, instance: "Instance") -> None:
    """Says everything that is in force once more, with the new key of our Application: the old one is shown for a week alone. Raises `Locked`."""
    for row in await tx.all(STANDING, now=instance.clock.ms()):
        subject = await known.by_uri(tx, row["subject"])
        if subject is not None and subject.active:
            await rekey(tx, instance, subject)


async def list_all(tx: Transaction, subject: str | None = None) -> list[Issued]:
    """Every vouch of ours, the latest first; of one subject (an actor's id) if one is named."""
    return [await _issued(tx, row) for row in await tx.all(ALL) if subject is None or row["subject"] == subject]


async def _issued(tx: Transaction, row: Row) -> Issued:
    holders = tuple(str(holder["name"]) for holder in await tx.all(GIVEN, vouch_id=row["id"]))
    stated = Vouch(
        id=Iri(row["uri"]),
        issuer=(await known.application(tx)).uri,
        subject=Iri(row["subject"]),
        subject_key=row["subject_key"],
        level=row["level"],
        method=cast(VouchMethod, row["method"]),
        issued=datetime.fromtimestamp(row["issued"] / 1000, UTC),
        expires=datetime.fromtimestamp(row["expires"] / 1000, UTC),
        document=row["document"],
    )
    return Issued(row["id"], stated, row["state"], holders)
