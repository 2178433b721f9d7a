"""What is on its way, and what came of it? The values that claims, attempts and outcomes hand to one another."""

from collections import deque
from dataclasses import dataclass, field

from actors.signatures import cavage, knock
from actors.vault import Locked, Vault
from outbox.backoff import Judgement, Sent
from schemas.reading import Iri


@dataclass(slots=True)
class Letter:
    """What is sent to many: read once and opened once for all of its deliveries that are in hand here. `here` counts them."""

    id: int
    actor_id: int
    kind: str
    object: Iri
    uri: Iri
    confidential: bool
    body: bytes = field(repr=False)
    opened: bytes | None = field(default=None, repr=False)
    digest: str = field(default="", repr=False)
    here: int = 0

    def open(self, vault: Vault) -> bytes:
        """Its bytes; raises `Locked` also if it was open before, and `Tampered`."""
        if vault.locked:
            self.opened, self.digest = None, ""
            raise Locked
        if self.opened is None:
            self.opened = vault.open(self.body, f"outgoing:{self.id}")
            # Once for all who get it; and over more than 2 kB each would let go of Python's lock, which costs more than the digest.
            self.digest = cavage.digest_header(self.opened)
        return self.opened


@dataclass(frozen=True, slots=True)
class Delivery:
    id: int
    letter: Letter
    inbox: Iri
    ordering_key: str
    attempts: int
    refusals: int
    created_at: int


@dataclass(slots=True)
class Lane:
    """One claimed host and what of it goes out under this claim. `troubled` once something of it failed, or had before: then an answer is news."""

    host_id: int
    host: str
    scheme: knock.Scheme
    failures: int
    queue: deque[Delivery]
    flying: set[int] = field(default_factory=set)
    stopped: bool = False
    troubled: bool = False

    @property
    def held(self) -> list[int]:
        """The deliveries whose leases are ours."""
        return [*self.flying, *(delivery.id for delivery in self.queue)]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt came to; `answered` if the host itself said it, so that it is known to live; `met` is False if not even a connection stood, whatever
    the letter. `scheme` is what it took in place of the other one.
    """

    judgement: Judgement
    answered: bool = False
    met: bool = True
    scheme: knock.Scheme | None = None


@dataclass(frozen=True, slots=True)
class Result:
    lane: Lane
    delivery: Delivery
    attempt: Attempt

    @property
    def is_well(self) -> bool:
        """It arrived at a host that never gave trouble, so there is nothing to tell but that."""
        return isinstance(self.attempt.judgement, Sent) and self.attempt.scheme is None and not self.lane.troubled


@dataclass(frozen=True, slots=True)
class Done:
    lane: Lane

    @property
    def is_well(self) -> bool:
        """Everything that was claimed of it went out, so nobody need go on with the rest."""
        return not self.lane.queue
