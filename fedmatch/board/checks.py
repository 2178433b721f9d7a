"""What has to be asked of its author before a request, an offer, an answer or a message leaves? Every door passes here; whoever means it says so.

Two questions: what the safety linter found (fedmatch/safety/linter.py), and whether two names of one person shall be seen to belong together.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.known import Actor
from fedmatch.board import identities
from fedmatch.board.answers import Response
from fedmatch.board.listings import Listing
from fedmatch.safety import linter
from fedmatch.safety.linter import Finding
from outbox import posts
from schemas.objects import Proposal
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

LINKS = "both are yours under different names, and this would show everybody that they belong together"


@dataclass(frozen=True, slots=True)
class Questions:
    """What to ask. `findings` holds everything worth showing; `links`: it would show that two names are one person.

    `between_two`: said under one's own name to a partner one accepted, or was accepted by, who may well be given a number to call.
    """

    findings: tuple[Finding, ...] = ()
    links: bool = False
    between_two: bool = False

    @property
    def serious(self) -> tuple[Finding, ...]:
        """The findings that need an explicit yes. A region that few share is a proposal, and a number given to a partner is meant."""
        return tuple(one for one in self.findings if one.kind == "shared" or (one.kind != "region" and not self.between_two))


class Asks(ValueError):
    """It leaves only after its author said yes to these `questions`."""

    def __init__(self, questions: Questions) -> None:
        self.questions = questions
        found = ", ".join(f"{one.field}: {one.words!r}" for one in questions.serious)
        super().__init__(LINKS if questions.links else f"the safety linter found something: {found}")


async def look(
    instance: "Instance", author: Actor, proposal: Proposal, language: str, *, leaves: bool, one_time: bool = False, words: bool = True
) -> Questions:
    """What to ask `author` before `proposal` is published. About 5 ms. Raises `actors.vault.Locked`.

    `leaves`: somebody outside this instance is to read it. `one_time`: under an identity that is not made yet. `words` False: its words were looked at before.
    """

    async def body(tx: Transaction) -> Questions:
        found = await linter.findings(tx, instance, author, proposal, language, anew=one_time) if leaves and words else ()
        return Questions(found, await _links(tx, instance, author, proposal, one_time=one_time))

    return await instance.database.read(body)


def require(questions: Questions, *, anyway: bool, link: bool) -> None:
    """Raises `Asks` where a question has no yes: `anyway` answers what the linter found, `link` that two names may be seen to be one person."""
    if questions.links and not link:
        raise Asks(questions)
    if questions.serious and not anyway:
        raise Asks(Questions(questions.findings, between_two=questions.between_two))


async def of_answer(
    tx: Transaction,
    instance: "Instance",
    helper: Actor,
    listing: Listing,
    text: str,
    language: str | None,
    region: str | None = None,
    *,
    one_time: bool = False,
) -> Questions:
    """What to ask `helper` before an answer to `listing` is sent: it is read by somebody who accepted nobody yet. Raises `actors.vault.Locked`.

    `language` and `region` are the answer's, if it says any. `one_time`: under an identity that is not made yet.
    """
    regions = [one for one in (listing.region, listing.helper_region, region) if one]
    return Questions(await linter.of_words(tx, instance, helper, text, language or listing.language or "en", regions, anew=one_time))


async def of_message(tx: Transaction, instance: "Instance", actor: Actor, response: Response, text: str) -> Questions:
    """What to ask `actor` before they say this in the conversation of `response`. Raises `actors.vault.Locked`."""
    return Questions(await linter.of_words(tx, instance, actor, text, response.words.language or "en"), between_two=not actor.one_time)


async def _links(tx: Transaction, instance: "Instance", author: Actor, proposal: Proposal, *, one_time: bool) -> bool:
    """Whether it follows up on what the same person said under another name."""
    if proposal.follow_up_of is None:
        return False
    held = await posts.by_uri(tx, proposal.follow_up_of)
    if held is None or not held.local or (held.actor_id == author.id and not one_time):
        return False
    return await identities.person_of(tx, instance, held.actor_id) == await identities.person_of(tx, instance, author.id)
