"""What stays of an answer whose writer, on another server, edited or deleted some of it? What they say now: of the parts of an answer, and of messages.

Only who wrote something changes it, an older edit never undoes a newer one, and what is over says nothing again.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from actors.known import Actor
from fedmatch import chores
from fedmatch.board import answers, conversations
from fedmatch.board.answers import Part, Response
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

BETWEEN: Final = "\n\n"


def parts(held: Response) -> tuple[Part, ...]:
    """The Notes that an answer is made of; none where nothing of its words is kept, or where it came as an Offer."""
    words = held.words
    if words.parts or words.note is None or not words.text:
        return words.parts
    return (Part(words.note, words.text),)


async def add(tx: Transaction, instance: "Instance", held: Response, note: Iri, text: str, updated: int) -> Response:
    """Takes one more Note into an answer that is not decided, as far as there is room. Raises `actors.vault.Locked`."""
    await answers.name(tx, instance, held, note)
    before = parts(held) or ((Part(held.words.offer, held.words.text),) if held.words.text else ())
    return await _say(tx, instance, held, (*before, Part(note, text, updated)))


async def edit(tx: Transaction, instance: "Instance", held: Response, author: Actor, note: Iri, text: str, updated: int) -> bool:
    """Makes what came as `note` say `text`, as its author says at `updated`, in milliseconds UTC; False if nothing changed. Raises `actors.vault.Locked`."""
    before = parts(held) if held.of_helper(author) and held.live else ()
    if any(one.note == note and one.updated < updated for one in before):
        await _say(tx, instance, held, tuple(replace(one, text=text, updated=updated) if one.note == note else one for one in before))
        return True
    return await conversations.revise(tx, instance, held, author.handle, note, text, updated)


async def remove(tx: Transaction, instance: "Instance", held: Response, author: Actor, note: Iri) -> Response:
    """Takes out what came as `note`, because its author deleted it: the answer as it is then, perhaps without a word. Raises `actors.vault.Locked`."""
    before = parts(held) if held.of_helper(author) else ()
    if any(one.note == note for one in before):
        return await _say(tx, instance, held, tuple(one for one in before if one.note != note))
    await conversations.revise(tx, instance, held, author.handle, note, "", 0)
    return held


async def _say(tx: Transaction, instance: "Instance", held: Response, now: tuple[Part, ...]) -> Response:
    room, kept = conversations.MOST_TEXT, []
    for one in now:
        if one.text and room > 0:
            kept.append(replace(one, text=one.text[:room]))
            room -= len(kept[-1].text) + len(BETWEEN)
    await chores.erase_soon(tx, instance)
    return await answers.save(tx, instance, held, text=BETWEEN.join(one.text for one in kept), parts=tuple(kept))
