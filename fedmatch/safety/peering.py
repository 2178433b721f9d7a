"""How does an admin make friends with another instance, and end it? The handshake with all that follows; each step is one line in the log of staff.

The words, the keys and their judgement are in actors/handshake.py; decisions short of trust (known, limited, blocked) in fedmatch/safety/border.py.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import handshake, hosts, known, local, peers
from actors.fetch import FetchFailed
from actors.handshake import KeysChanged, NoHandshake, PeerKey
from actors.peers import Partner
from fedmatch.safety import audit
from outbox import confidential
from schemas.objects import ActorDocument
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.trust import Level

log = structlog.get_logger()

MOST_COUNT: Final = 5
REST_MS: Final = 6 * 3_600_000


class CannotPeer(ValueError):
    """The handshake cannot go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Words:
    """What both admins read to each other: the same six words, or the same digits, on both sides. `keys` are those of the peer they are made of."""

    partner: Partner
    words: tuple[str, ...]
    digits: tuple[str, ...]
    keys: tuple[PeerKey, ...]


async def add(instance: "Instance", host: str, *, staff: str = audit.OPERATOR) -> Partner:
    """Finds another instance's Application and asks it for a handshake; again asks again. Raises `CannotPeer`, `hosts.BadUrl`, `Locked`."""
    name = hosts.host_name(host)
    if name in known.ours(instance):
        raise CannotPeer(f"{name} is this instance itself")
    # Before the look: in mode allowlist nobody else may be fetched.
    stranger = await instance.database.write(_let_in, instance, name)
    await instance.trust.refresh(instance.database)
    document = await handshake.find(instance, name)
    if isinstance(document, FetchFailed):
        if stranger:  # a name that was mistyped is nobody's place on the list
            await instance.database.write(peers.forget, name)
        raise CannotPeer(f"the Application of {name} cannot be used: {document.why}. Is it a fedmatch instance, and running?")
    partner = await instance.database.write(_add, instance, document, staff)
    instance.wake("delivery")
    return partner


async def _let_in(tx: Transaction, instance: "Instance", name: str) -> bool:
    """Puts a stranger on the list; False for whoever stands there already."""
    peer = await peers.find(tx, name)
    if peer is None:
        await peers.set_level(tx, instance, name, "known")
    elif peer.level == "blocked":
        raise CannotPeer(f"{name} is blocked; `fedmatch peers allow {name}` first")
    return peer is None


async def _add(tx: Transaction, instance: "Instance", document: ActorDocument, staff: str) -> Partner:
    name = hosts.authority(document.id)
    host_id = await hosts.ensure(tx, instance, name)
    await _let_in(tx, instance, name)
    partner, asking = await handshake.add(tx, instance, host_id, document)
    if asking is not None:
        await confidential.say(tx, instance, partner, (asking,))
    await audit.log(tx, instance, staff, "peer.add", name)
    return partner


async def words(instance: "Instance", host: str) -> Words:
    """The words over our keys and those the peer shows now. Raises `CannotPeer`, `Locked`."""
    partner = await _looked_at(instance, host)
    ours, theirs = await instance.database.read(_both, instance, partner)
    six, digits = await asyncio.to_thread(handshake.words, (instance.config.authority, ours), (partner.host, theirs))
    return Words(partner, six, digits, theirs)


async def _looked_at(instance: "Instance", host: str) -> Partner:
    partner = await instance.database.read(peers.partner_named, host)
    if partner is None:
        raise CannotPeer(f"nothing was begun with {host}; `fedmatch peers add {host}` begins")
    looked = await handshake.look(instance, partner)
    if isinstance(looked, FetchFailed):
        raise CannotPeer(f"the Application of {partner.host} cannot be read: {looked.why}")
    if looked.says:
        await instance.database.write(_say, instance, looked)
        instance.wake("delivery")
    return looked.partner


async def look_at_all(instance: "Instance") -> None:
    """Looks at every trusted peer that was not looked at for a while; who shows a wrong key is trusted no more. Raises `Locked`."""
    for partner in await instance.database.read(peers.partners):
        if not partner.trusted or instance.clock.ms() - partner.looked_at < REST_MS:
            continue
        looked = await handshake.look(instance, partner)
        if not isinstance(looked, FetchFailed) and looked.says:
            await instance.database.write(_say, instance, looked)
            instance.wake("delivery")


async def _say(tx: Transaction, instance: "Instance", looked: handshake.Looked) -> None:
    await confidential.say(tx, instance, looked.partner, looked.says)


async def _both(tx: Transaction, instance: "Instance", partner: Partner) -> tuple[Sequence[PeerKey], tuple[PeerKey, ...]]:
    described = await local.document(tx, instance, await known.application(tx))
    return handshake.keys_of(described), await handshake.seen(tx, partner.host_id)


async def trust(
    instance: "Instance",
    read: Words,
    *,
    count: int | None = None,
    announce: bool | None = None,
    reason: str | None = None,
    staff: str = audit.OPERATOR,
) -> Partner:
    """An admin compared the words `read`: the peer's keys are pinned, what is not public may go there once it accepts. Again changes what is given.

    Raises `CannotPeer`, `schemas.states.IllegalMove` for a blocked one.
    """
    if count is not None and not 0 <= count <= MOST_COUNT:
        raise CannotPeer(f"vouches count up to a level from 0 to {MOST_COUNT}")
    try:
        partner = await instance.database.write(_trust, instance, read, count, announce, reason, staff)
    except (KeysChanged, NoHandshake) as error:
        raise CannotPeer(str(error)) from None
    await instance.trust.refresh(instance.database)
    instance.wake("delivery")
    instance.wake("job")
    return partner


async def _trust(tx: Transaction, instance: "Instance", read: Words, count: int | None, announce: bool | None, reason: str | None, staff: str) -> Partner:
    partner, says = await handshake.agree(tx, instance, read.partner.host_id, read.keys, count=count, announce=announce, reason=reason)
    await confidential.say(tx, instance, partner, says)
    if partner.ready:
        await confidential.resume(tx, instance, partner.host_id)
    await audit.log(tx, instance, staff, "peer.trust", f"{partner.host} {partner.vouches_count_up_to}", reason)
    return partner


async def ended(tx: Transaction, instance: "Instance", host: str, level: "Level", why: str) -> None:
    """What follows when a trusted peer is moved to another level: nothing that is not public goes there any more, its vouches weigh nothing, and it is told."""
    partner = await peers.partner_named(tx, host)
    if partner is None:
        return
    await confidential.stop(tx, instance, partner.host_id, f"the peer is {level} now")
    says = await handshake.end(tx, instance, host, level, why)
    if level != "blocked":
        await confidential.say(tx, instance, partner, says)
