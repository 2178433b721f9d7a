"""What does a helper on an ordinary server say when it is over? Replies to two letters: how it went, in private, and whether a story of it may be told.

    a reply to the letter that says that it ended       private feedback, for staff alone; the last one counts
    a reply to what they wrote there themselves         the same: threads go on under one's own words
    `agree`, `agree as NAME`, `refuse` to the letter
    that shows them the words of a story (stories.py)   their consent to those very words, to be named, or neither

None of it is a message: it reaches the asker as little as feedback that is given here. What else they write is for replies.py.
"""

import re
from typing import TYPE_CHECKING, Final

from actors import known
from actors.known import Actor
from fedmatch import words
from fedmatch.board import answers, crossing, introductions, stories
from fedmatch.board.answers import Response
from schemas.objects import Matter
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

KEPT_DAYS: Final = 30
"""How long feedback is kept after the end: as long as its answer (fedmatch/safety/retention.py)."""
_AGREE: Final = re.compile(r"agree(?: as (?P<name>[^\n]{1,200}))?", re.IGNORECASE)


async def ask(tx: Transaction, instance: "Instance", helper: Actor, key: str, held: Response) -> None:
    """Tells a helper on an ordinary server by the sentence `key` that it ended, and asks in the same letter how it went. Wake "delivery" after the commit."""
    question = words.words(held.words.language or "en", "feedback", days=KEPT_DAYS)
    letter = await crossing.tell(tx, instance, helper, key, held, more=question)
    await answers.once(tx, instance, "asked how", letter)


async def heard(tx: Transaction, instance: "Instance", helper: Actor, parent: str | None, note: Iri, text: str, held: Response) -> bool:
    """Takes a direct Note of the helper that answers `parent`, one of the two letters; False if it is about something else, and then nothing happened.

    Empty text says nothing. What is longer than feedback may be is cut. Raises `actors.vault.Locked`.
    """
    if parent is None:
        return False
    if await answers.was(tx, instance, "asked how", parent):
        await answers.once(tx, instance, "asked how", note)
        await answers.name(tx, instance, held, note)
        said = text[: introductions.MOST_TEXT].strip()
        if said and held.state in ("completed", "failed"):
            await introductions.feedback(tx, instance, helper, held, said)
        return True
    if not await stories.asked(tx, instance, parent):
        return False
    return await _consents(tx, instance, helper, parent, text, held)


async def _consents(tx: Transaction, instance: "Instance", helper: Actor, letter: str, text: str, held: Response) -> bool:
    asker = await known.by_uri(tx, held.words.asker)
    said = text.strip().rstrip(".!").strip()
    agrees = _AGREE.fullmatch(said)
    refuses = said.casefold() == "refuse"
    if asker is None or not (agrees or refuses):
        return False
    story = await stories.of(tx, instance, held)
    if refuses:
        await stories.heard(tx, instance, helper, asker, held, Matter("story", "refuse", Iri(letter)))
        await crossing.tell(tx, instance, helper, "story.off", held)
    elif agrees and story is not None and story.asker_agreed and await stories.asked(tx, instance, letter, story.text):
        name = (agrees["name"] or "").strip()
        await stories.heard(tx, instance, helper, asker, held, Matter("story", "agree", Iri(letter), name, story.text))
        await crossing.tell(tx, instance, helper, "story.on", held)
    else:
        # Other words were proposed since, or it was taken back: a consent is to what somebody read.
        await crossing.tell(tx, instance, helper, "story.off", held)
    return True
