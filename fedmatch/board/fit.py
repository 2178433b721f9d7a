"""Is somebody asked at all? A listing may be only for people who speak one of its languages, or who are in its region; its home enforces that at answers.

What counts is what a person says of themselves: with the answer (`--speaks`, `--region`; `speaks sv`, `region SE` in a direct reply), by the language they
write in, or in an open offer of theirs that is known here. Nobody is guessed about, and who said nothing is told what is asked for and how to say it.
"""

import re
from typing import TYPE_CHECKING, Final, Literal

from actors.known import Actor
from fedmatch.board import listings
from schemas import vocabulary
from schemas.objects import Proposal
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Misfit = Literal["speaks", "region"]

MOST_OFFERS: Final = 50
MOST_LANGUAGES: Final = 20
_SPEAKS: Final = re.compile(r"\bspeaks?:?[ \t]+([A-Za-z][A-Za-z0-9-]*(?:[ \t]*,[ \t]*[A-Za-z][A-Za-z0-9-]*)*)", re.IGNORECASE)
_REGION: Final = re.compile(r"\bregion:?[ \t]+([A-Za-z]{2})\b", re.IGNORECASE)


def misfit(proposal: Proposal, speaks: tuple[str, ...], region: str | None) -> Misfit | None:
    """What somebody who speaks these (BCP 47) and is in that country (ISO 3166) does not meet, None if nothing; `pt` and `pt-BR` are one language here."""
    if proposal.only_speaks and not {_primary(tag) for tag in speaks} & {_primary(tag) for tag in proposal.speaks}:
        return "speaks"
    if proposal.only_region and region != proposal.helper_region:
        return "region"
    return None


async def refused(tx: Transaction, instance: "Instance", proposal: Proposal, helper: Actor, speaks: tuple[str, ...], region: str | None) -> Misfit | None:
    """The same of an actor, whose open offers that are known here count as well. Raises `actors.vault.Locked`."""
    if misfit(proposal, speaks, region) is None:
        return None
    offers = [one.proposal for one in await listings.of_author(tx, instance, helper.id, MOST_OFFERS) if one.kind == "offer" and one.state in listings.OPEN]
    spoken = (*speaks, *(tag for one in offers for tag in one.speaks))
    regions = {region, *(one.helper_region for one in offers)}
    return misfit(proposal, spoken, proposal.helper_region if proposal.helper_region in regions else region)


def wanted(proposal: Proposal, why: Misfit) -> str:
    """The codes that are asked for, as in `sv, en`."""
    return ", ".join(proposal.speaks) if why == "speaks" else proposal.helper_region or ""


def stated(text: str) -> tuple[tuple[str, ...], str | None]:
    """The languages and the country that somebody names in plain words: `speaks sv, en` and `region SE`. Pure."""
    words = [word.strip() for found in _SPEAKS.findall(text) for word in found.split(",")]
    tags = [tag for word in words if (tag := vocabulary.canonical_language(word)) is not None]
    region = next((code.upper() for code in _REGION.findall(text) if vocabulary.is_region(code.upper())), None)
    return tuple(dict.fromkeys(tags))[:MOST_LANGUAGES], region


def _primary(tag: str) -> str:
    return tag.casefold().partition("-")[0]
