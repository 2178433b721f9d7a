"""Who asks for, or offers, what these words say? Public listings from the database, the others from memory, and only what the one who looks may see."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.known import Actor
from fedmatch.board import listings, private, readers
from fedmatch.board.listings import Listing
from schemas import vocabulary
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

MOST_LOOKED_AT: Final = 20_000
"""Public listings looked at, newest first; older ones are found by their tags and their authors."""
JOINERS: Final = "\u200c\u200d\u0640"
"""What joins or stretches letters in Persian and Arabic, and is no letter."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for; what is empty does not matter. `words` must all occur; `slugs` are categories or skills, of which one must be named."""

    words: tuple[str, ...] = ()
    kind: str | None = None
    slugs: tuple[str, ...] = ()
    speaks: tuple[str, ...] = ()
    region: str | None = None
    urgency: str | None = None


async def search(
    tx: Transaction, instance: "Instance", wanted: Wanted, *, network: bool = True, reader: Actor | None = None, limit: int = 100
) -> list[Listing]:
    """Open listings that match, newest first; those that are not public as far as `reader` may see them (None: who runs this instance).

    Of what a reader sees only coarsely the words are no help: it is found by its category, language and region alone. Call it in a read.
    Raises `actors.vault.Locked`; a locked instance is searched with `public`.
    """
    found = await public(tx, instance, wanted, network=network, limit=limit)
    for one in await private.live(tx, instance):
        if one.state != "open" or not (network or one.local):
            continue
        seen = one if reader is None else await readers.shown(tx, instance, reader, one)
        if seen is not None and matches(seen, wanted):
            found.append(seen)
    return sorted(found, key=lambda one: one.id, reverse=True)[:limit]


async def public(tx: Transaction, instance: "Instance", wanted: Wanted, *, network: bool = True, limit: int = 100) -> list[Listing]:
    """The public ones among them: what everybody may find."""
    every = await listings.newest(tx, instance, network=network, kind=wanted.kind, open_only=True, limit=MOST_LOOKED_AT)
    return [one for one in every if matches(one, wanted)][:limit]


def matches(listing: Listing, wanted: Wanted) -> bool:
    """Whether a listing is what somebody looks for. Words are compared without case, accents and vowel signs, in every language it is written in."""
    if wanted.kind is not None and listing.kind != wanted.kind:
        return False
    if wanted.slugs and not set(wanted.slugs) & {*listing.categories, *listing.skills}:
        return False
    if wanted.speaks and not set(wanted.speaks) & set(listing.speaks):
        return False
    if (wanted.region is not None and listing.region != wanted.region) or (wanted.urgency is not None and listing.urgency != wanted.urgency):
        return False
    if not wanted.words:
        return True
    text = plain(" ".join(_told(listing)))
    return all(plain(word) in text for word in wanted.words)


def _told(listing: Listing) -> Sequence[str]:
    named = [vocabulary.label(slug, listing.language or "en") for slug in (*listing.categories, *listing.skills)]
    others = [piece for other in listing.translations for piece in (other.title, other.text)]
    return [listing.title, listing.text, *others, *(need.name for need in listing.needs), *listing.categories, *listing.skills, *named]


def plain(text: str) -> str:
    """A text as it is compared: small letters, no marks above or below, no joiners."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", text.casefold()).translate(_PLAIN)


class _Plain(dict[int, int | None]):
    """What becomes of each letter; learnt letter by letter, since a board is read a thousand texts at a time."""

    def __missing__(self, letter: int) -> int | None:
        self[letter] = None if unicodedata.combining(chr(letter)) or chr(letter) in JOINERS else letter
        return self[letter]


_PLAIN: Final = _Plain()
