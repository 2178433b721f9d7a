"""What does the author of a listing demand that nobody else may hear? Floors, excluded countries, consent, embargo: sealed, and only at home."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import msgspec

from actors import hosts
from schemas.listings import Invalid
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Consent = Literal["asked", "guardian", "family", "lawyer", "cannot-be-asked"]
"""Why somebody may speak for another: they asked for it; their guardian, family or lawyer speaks; nobody can ask them (prison, disappearance)."""


Suggest = Literal["me", "helpers", "matchmakers"]
"""To whom the instance may say that an offer fits a request: to its author; also to the helper, if they may read it; or to matchmakers and staff alone."""


@dataclass(frozen=True, slots=True)
class Floor:
    """How well somebody must be vouched for: `level` 0 to 5, by one of `issuers` (hosts) or, if none is named, by anybody this instance counts."""

    level: int = 0
    issuers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What stays at home; `embargo` is the moment before which nothing leaves."""

    readers: Floor = Floor(1)
    answers: Floor = Floor()
    excluded: tuple[str, ...] = ()
    embargo: datetime | None = None
    on_behalf_of: str | None = None
    consent: Consent | None = None
    suggest: Suggest = "me"

    def excludes(self, countries: Sequence[str]) -> bool:
        """Whether somebody who answers to one of these countries (ISO 3166, as a peer states them of itself) is to take no part in it."""
        return not set(self.excluded).isdisjoint(countries)

    def keeps_from(self, countries: Sequence[str]) -> bool:
        """Whether whoever answers to these countries is to have nothing of it. Who states none may answer to any: as soon as one is excluded, so is that."""
        return bool(self.excluded) and (not countries or self.excludes(countries))


DEFAULT: Final = Terms()
MOST_LEVEL: Final = 5
MOST_WORDS: Final = 500


def floor(name: str, text: str) -> Floor:
    """The floor in `N` or `N:issuer,...` as people type it; raises `schemas.listings.Invalid` for the field `name`."""
    level, _, issuers = text.partition(":")
    if not level.strip().isascii() or not level.strip().isdigit() or int(level) > MOST_LEVEL:
        raise Invalid(name, f"is {text!r}", f"write a level from 0 to {MOST_LEVEL}, with hosts behind it if only their word shall count: 2:ngo.example")
    return Floor(int(level), _hosts(name, issuers))


def suggested_to(text: str) -> Suggest:
    """Whom to tell of matches, as people type it; raises `schemas.listings.Invalid`."""
    whom = text.strip().lower()
    if whom not in get_args(Suggest):
        raise Invalid("suggest_to", f"is {text!r}", f"write one of {', '.join(get_args(Suggest))}")
    return cast(Suggest, whom)


def audience(text: str) -> tuple[Literal["public", "network", "peers", "local"], tuple[str, ...]]:
    """The audience in `public`, `network`, `local` or `peers:host,...`, and the hosts it names; raises `schemas.listings.Invalid`."""
    word, _, named = text.strip().partition(":")
    if word in ("public", "network", "local") and not named:
        return word, ()  # type: ignore[return-value]  # one of the three
    found = _hosts("audience", named)
    if word != "peers" or not found:
        raise Invalid("audience", f"is {text!r}", "write public, network, local, or peers:one.example,two.example")
    return "peers", found


def stated(on_behalf_of: str | None, consent: str | None) -> tuple[str | None, Consent | None]:
    """For whom somebody speaks and why they may; both or neither. Raises `schemas.listings.Invalid`."""
    if not on_behalf_of and not consent:
        return None, None
    if not on_behalf_of:
        raise Invalid("on_behalf_of", "is missing beside a basis of consent", "say for whom, in words only this instance reads, or leave both out")
    if len(on_behalf_of) > MOST_WORDS:
        raise Invalid("on_behalf_of", f"has {len(on_behalf_of)} letters", f"shorten it to {MOST_WORDS}")
    for basis in get_args(Consent):
        if consent == basis:
            return on_behalf_of, basis
    raise Invalid("consent", f"is {consent!r}" if consent else "is missing", f"say why you may speak for them: one of {', '.join(get_args(Consent))}")


def _hosts(name: str, text: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for word in text.split(","):
        if not word.strip():
            continue
        try:
            found[hosts.host_name(word.strip())] = None
        except hosts.BadUrl:
            raise Invalid(name, f"names {word.strip()!r}, which is no host", "write hosts with commas between: one.example,two.example") from None
    return tuple(found)

SELECT: Final = """
select listing_terms.sealed
from listing_terms
where listing_terms.post_id = :post_id
"""

UPSERT: Final = """
insert into listing_terms (post_id, sealed)
values (:post_id, :sealed)
on conflict (post_id) do update
set sealed = excluded.sealed
"""


async def of(tx: Transaction, instance: "Instance", post_id: int) -> Terms:
    """The terms of a listing of ours; those nobody stated are the defaults. Raises `actors.vault.Locked`."""
    row = await tx.one(SELECT, post_id=post_id)
    return DEFAULT if row is None else msgspec.json.decode(instance.vault.open(bytes(row["sealed"]), _place(post_id)), type=Terms)


async def write(tx: Transaction, instance: "Instance", post_id: int, terms: Terms) -> None:
    """Keeps the terms of a listing of ours, sealed."""
    await tx.execute(UPSERT, post_id=post_id, sealed=instance.vault.seal(msgspec.json.encode(terms), _place(post_id)))


def _place(post_id: int) -> str:
    return f"listing_terms:{post_id}"
