"""What do people on ordinary servers say to our listings? A direct reply is an answer or belongs to one; a public one is not kept, and its author told.

    a direct reply to a listing of ours, a direct message with its link, or any to a one-time author    an answer
    `withdraw`, `done` in what belongs to an answer                                                     taken back, completed
    a reply to what the instance asks when it is over                                                   private feedback, consent (afterwards.py)
    anything else in what belongs to an accepted answer                                                 a message
    an edit or a deletion of any of these                                                               what it says now counts (revisions.py)
    a public reply to a listing of ours                                                                 not stored, not shown, not sent on

It is the instance that writes back, never the asker: when somebody is awake is nobody's business. No letter quotes what it answers.
"""

import re
import unicodedata
from typing import TYPE_CHECKING, Final, assert_never

import structlog

from actors import known, quiet
from actors.known import Actor
from fedmatch import times
from fedmatch.board import (
    admissions,
    afterwards,
    answers,
    conversations,
    crossing,
    fit,
    guests,
    introductions,
    listings,
    notifications,
    outcomes,
    revisions,
    stories,
    trays,
)
from fedmatch.board.answers import WAITING, Response
from fedmatch.board.listings import Listing
from outbox import posts
from outbox import publish as outbox
from outbox.address import Audience
from schemas import html
from schemas.activities import Reject
from schemas.events import Answer, PostArrived, Revised
from schemas.objects import Matter, Note, Reference
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

COMMANDS: Final = ("withdraw", "done")
MOST_LINKS: Final = 20
_LINK: Final = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)
_MENTIONS: Final = re.compile(r"^(?:\s*@[\w.~-]+(?:@[\w.:-]+)?[,:]?)+\s*")
_NAMED_LAST: Final = re.compile(r"(?:\s+@[\w.~-]+(?:@[\w.:-]+)?)+\s*$")


async def arrived(instance: "Instance", tx: Transaction, event: PostArrived) -> Answer:
    """Takes what belongs to an answer, or becomes one, before it is stored as a post; everything else passes. Raises `actors.vault.Locked`."""
    note = event.note
    here = f"{instance.config.base_url}/"
    addressed = [target for target in note.addressed if target.startswith(here)]
    if not addressed and not listings.usual(note.in_reply_to or "").startswith(here):
        return Answer.PASS
    author = await known.by_id(tx, event.actor_id)
    if author is None or author.local or not author.active or note.proposal is not None:
        return Answer.PASS
    if posts.visibility(note, author.followers) != "direct":
        return await _public(tx, instance, author, note)
    if author.kind in ("Service", "Application") and not note.conversation:
        return Answer.PASS  # two programs that thank each other never end
    readers = [actor for uri in dict.fromkeys(addressed) if (actor := await known.by_uri(tx, uri)) is not None and actor.local]
    held = await _belongs(tx, instance, author, note, readers)
    if held is not None:
        return await _goes_on(tx, instance, author, note, held, sealed=event.confidential)
    found = await _meant(tx, instance, author, note, readers)
    if found is not None and not event.confidential:
        return await _answers(tx, instance, author, note, *found)
    if readers and all(actor.kind == "Application" for actor in readers):
        if not event.confidential:
            await _nothing(tx, instance, author, note)
        return Answer.TAKEN
    return Answer.PASS


async def _public(tx: Transaction, instance: "Instance", author: Actor, note: Note) -> Answer:
    """A reply for more people than the author: not kept, and its writer told once how to answer."""
    if note.in_reply_to is None:
        return Answer.PASS
    found = await listings.find(tx, instance, note.in_reply_to)
    if found is None or not found.local or found.actor_id == author.id:
        return Answer.PASS
    log.info("board.public_answer_not_kept", listing=found.id)
    owner = await known.by_id(tx, found.actor_id)
    if note.asks_leave and owner is not None and owner.active:
        await _reject(tx, instance, owner, author, note)
    if await answers.once(tx, instance, "public", author.uri, found.url) and author.kind not in ("Service", "Application"):
        await _letter(tx, instance, author, "public", found.title, note.language)
    return Answer.TAKEN


async def _reject(tx: Transaction, instance: "Instance", owner: Actor, author: Actor, note: Note) -> None:
    """Says in the name of whom it answers that a public reply is not to be shown: GoToSocial deletes it then (protocol.md 14.2). Others are not asked to.

    It goes at once, whoever is awake, and its row names a server and no person.
    """
    activity = Reject(id=crossing.new_name(instance, "answers"), actor=owner.uri, to=(author.uri,), object=Reference(note.id))
    place = Audience(inboxes=(Iri(await quiet.place(tx, instance, author)),))
    order = answers.hash_of(instance, "order", note.id).hex()
    await outbox.publish(tx, instance, owner, activity, place, object=crossing.new_name(instance, "letters"), ordering_key=order)
    instance.wake("delivery")


async def _belongs(tx: Transaction, instance: "Instance", author: Actor, note: Note, readers: list[Actor]) -> Response | None:
    """The answer that a direct note belongs to: by the thread it names, else by who writes to whom."""
    for name in (note.in_reply_to, note.conversation):
        if name:
            held = await answers.by_name(tx, instance, name)
            if held is not None and (held.of_asker(author) or held.of_helper(author) or await guests.is_guest(tx, instance, held, author)):
                return held
    if note.in_reply_to is not None and await _listing(tx, instance, note.in_reply_to) is not None:
        return None
    for reader in readers:
        for asker, helper in ((reader.uri, author.uri), (author.uri, reader.uri)):
            held = await answers.latest(tx, instance, asker, helper)
            if held is not None and held.live and held.words.channel in ("note", "open") and not await _links(tx, instance, note):
                return held
    return None


async def _meant(tx: Transaction, instance: "Instance", author: Actor, note: Note, readers: list[Actor]) -> tuple[Listing, Actor] | None:
    """The listing of ours that a direct note answers, and its author."""
    found = None if note.in_reply_to is None else await _listing(tx, instance, note.in_reply_to)
    found = found or await _links(tx, instance, note)
    if found is None:
        # A fresh message to a one-time author has no thread: whom it is for says what it is about (protocol.md 14.13).
        for reader in readers:
            if reader.one_time:
                mine = [one for one in await listings.of_author(tx, instance, reader.id, 2) if one.url]
                found = mine[0] if len(mine) == 1 else None
                break
    if found is None or found.actor_id == author.id:
        return None
    asker = await known.by_id(tx, found.actor_id)
    if asker is None or not any(reader.id == asker.id or reader.kind == "Application" for reader in readers):
        return None
    return found, asker


async def _listing(tx: Transaction, instance: "Instance", uri: str) -> Listing | None:
    """The listing of ours at an address that everybody may know."""
    if not listings.usual(uri).startswith(f"{instance.config.base_url}/"):
        return None
    found = await listings.find(tx, instance, uri)
    return found if found is not None and found.local and found.public else None


async def _links(tx: Transaction, instance: "Instance", note: Note) -> Listing | None:
    """The one listing of ours whose link stands in the text."""
    for link in dict.fromkeys(_LINK.findall(note.content)[:MOST_LINKS]):
        found = await _listing(tx, instance, link.rstrip(".,;:!?)"))
        if found is not None:
            return found
    return None


async def _answers(tx: Transaction, instance: "Instance", helper: Actor, note: Note, found: Listing, asker: Actor) -> Answer:
    """Makes an answer of it, and tells the helper: it arrived, who decides, when, and which words do what."""
    text = plain(note)
    others = _names_others(instance, helper, asker, note)
    if await answers.by_name(tx, instance, note.id) is not None:
        return Answer.TAKEN  # it was heard before, under another activity
    before = await answers.live_between(tx, instance, found.url, helper.uri)
    if before is not None:
        return await _goes_on(tx, instance, helper, note, before)
    if not text or command(text) is not None:
        await _nothing(tx, instance, helper, note)
        return Answer.TAKEN
    made = await trays.take_in(
        tx,
        instance,
        found,
        asker,
        helper,
        text,
        offer=crossing.new_name(instance, "offers"),
        channel="note",
        note=note.id,
        language=note.language,
        flagged=others,
    )
    if not isinstance(made, Response):
        if await answers.once(tx, instance, made, helper.uri, found.url):
            key = made if made in ("later", "floor", "speaks", "region") else "closed"
            codes = fit.wanted(found.proposal, made) if made in ("speaks", "region") else ""
            await _letter(tx, instance, helper, key, found.title, note.language, codes=codes)
        return Answer.TAKEN
    if await answers.once(tx, instance, "received", helper.uri, found.url):
        await crossing.tell(tx, instance, helper, "received", made)
    if others:
        await crossing.tell(tx, instance, helper, "others", made)
    return Answer.TAKEN


async def _goes_on(tx: Transaction, instance: "Instance", author: Actor, note: Note, held: Response, *, sealed: bool = False) -> Answer:
    """What comes after an answer: a word that acts, or a message. To what came `sealed` nothing is said in the open."""
    if held.words.channel == "sealed" and not sealed:
        log.info("response.not_sealed", response=held.id)
        return Answer.TAKEN  # what began sealed goes on sealed: nobody who took the domain speaks or agrees here
    text = plain(note)
    word = command(text)
    helper = held.of_helper(author)
    if helper and held.side == "asker" and word is not None and held.words.channel == "note":
        return await _acts(tx, instance, author, word, held)
    if helper and await crossing.by_letter(tx, held) and await afterwards.heard(tx, instance, author, note.in_reply_to, note.id, text, held):
        asker = await known.by_uri(tx, held.words.asker)
        if asker is not None and _names_others(instance, author, asker, note) and await answers.once(tx, instance, "others", author.uri, held.words.listing):
            await crossing.tell(tx, instance, author, "others", held)
        return Answer.TAKEN
    if not held.live and not await conversations.exists(tx, held):
        if not sealed:
            await _nothing(tx, instance, author, note)
        return Answer.TAKEN
    owner = await known.by_uri(tx, held.words.helper if held.side == "helper" else held.words.asker)
    if owner is not None and owner.local and note.matter is not None and held.words.channel == "sealed":
        await _matter(tx, instance, author, owner, held, note.matter)
        return Answer.TAKEN
    if owner is None or not owner.local or not text:
        return Answer.TAKEN
    if _names_others(instance, author, owner, note) and held.words.channel == "note":
        held = await answers.save(tx, instance, held, flagged=True)
        if helper and await answers.once(tx, instance, "others", author.uri, held.words.listing):
            await crossing.tell(tx, instance, author, "others", held)
    if await trays.unwanted(tx, instance, owner, author) or await answers.by_name(tx, instance, note.id) is not None:
        return Answer.TAKEN
    if await conversations.exists(tx, held):
        if await conversations.keep(tx, instance, held, author.handle, text, note.id) is not None:
            await answers.name(tx, instance, held, note.id)
            await conversations.told(tx, instance, held, author)
    elif helper:
        # Before it is decided, what is written later is part of the answer.
        await revisions.add(tx, instance, held, note.id, text, _updated(note))
    return Answer.TAKEN


async def revised(instance: "Instance", tx: Transaction, event: Revised) -> Answer:
    """Hears that somebody elsewhere edited or deleted what belongs to an answer; everything else passes. Raises `actors.vault.Locked`.

    Whoever deletes all that they answered, before it is decided, has taken it back. What was agreed stays agreed.
    """
    held = await answers.by_name(tx, instance, event.uri)
    author = None if held is None else await known.by_id(tx, event.actor_id)
    if held is None or author is None or author.local:
        return Answer.PASS
    if held.words.channel == "sealed" and not event.confidential:
        return Answer.TAKEN  # what began sealed goes on sealed
    if event.note is None:
        now = await revisions.remove(tx, instance, held, author, event.uri)
        if held.words.text and not now.words.text and now.state in WAITING and held.side == "asker":
            await crossing.tell(tx, instance, author, "withdrawn", await outcomes.taken_back(tx, instance, now))
    elif event.note.attributed_to == author.uri:
        await _edited(tx, instance, author, event.note, held)
    return Answer.TAKEN


async def _edited(tx: Transaction, instance: "Instance", author: Actor, note: Note, held: Response) -> None:
    text = plain(note)
    word = command(text)
    by_note = held.words.channel == "note" and held.side == "asker" and held.of_helper(author)
    if by_note and word is not None:
        await _acts(tx, instance, author, word, held)
        return
    asked_by_letter = held.of_helper(author) and await crossing.by_letter(tx, held)
    if not text or (asked_by_letter and await afterwards.heard(tx, instance, author, note.id, note.id, text, held)):
        return
    owner = await known.by_uri(tx, held.words.helper if held.side == "helper" else held.words.asker)
    if owner is None or not await revisions.edit(tx, instance, held, author, note.id, text, _updated(note) or instance.clock.ms()):
        return
    now = await answers.by_id(tx, instance, held.id)
    if now is not None and by_note and _names_others(instance, author, owner, note):
        now = await answers.save(tx, instance, now, flagged=True)
    if now is not None and await conversations.exists(tx, now) and owner.local and not await trays.unwanted(tx, instance, owner, author):
        await notifications.tell(tx, instance, owner.id, "message.received", now.id)


def _updated(note: Note) -> int:
    return 0 if note.updated is None else times.milliseconds(note.updated)


def command(text: str) -> str | None:
    """The word that acts, of a text that says nothing else; as people type it: with quotes, marks of direction, a full stop, or names behind it."""
    bare = _NAMED_LAST.sub("", text)
    around = "".join(letter for letter in set(bare) if unicodedata.category(letter)[0] in "PCZS" and letter not in "?؟")
    word = bare.strip(around).casefold()
    return word if word in COMMANDS else None


async def _matter(tx: Transaction, instance: "Instance", author: Actor, owner: Actor, held: Response, matter: Matter) -> None:
    """Something the two sides have to agree about, said by the one who lives elsewhere."""
    if not held.of_asker(author) and not held.of_helper(author):
        return
    if matter.step == "pass" and matter.kind != "introduction":
        return
    match matter.kind:
        case "introduction":
            await introductions.told(tx, instance, author, owner, held, matter)
        case "guest":
            await admissions.told(tx, instance, author, owner, held, matter)
        case "story":
            await stories.heard(tx, instance, author, owner, held, matter)
        case _:
            assert_never(matter.kind)


async def _acts(tx: Transaction, instance: "Instance", helper: Actor, word: str, held: Response) -> Answer:
    if word == "withdraw" and held.live:
        await crossing.tell(tx, instance, helper, "withdrawn", await outcomes.taken_back(tx, instance, held))
    elif word == "done" and held.state == "accepted":
        await afterwards.ask(tx, instance, helper, "done", await outcomes.ended(tx, instance, held, failed=False))
    else:
        await crossing.tell(tx, instance, helper, "nothing", held)
    return Answer.TAKEN


async def _nothing(tx: Transaction, instance: "Instance", author: Actor, note: Note) -> None:
    if author.kind in ("Service", "Application") or not await answers.once(tx, instance, "nothing", author.uri, str(instance.clock.ms() // 86_400_000)):
        return
    await _letter(tx, instance, author, "nothing", "", note.language)


async def _letter(tx: Transaction, instance: "Instance", to: Actor, key: str, title: str, language: str | None, *, codes: str = "") -> Iri:
    from fedmatch import words
    from fedmatch.board import letters

    spoken = language or "en"
    text = words.words(spoken, key, title=title, days=crossing.DAYS, codes=codes, first=codes.partition(",")[0])
    return await letters.send(tx, instance, await known.application(tx), to, text, language=spoken)


def _names_others(instance: "Instance", author: Actor, owner: Actor, note: Note) -> bool:
    """Whether anybody but the two, and this instance, is addressed or mentioned."""
    expected = {author.uri, owner.uri, f"{instance.config.base_url}/actor"}
    return bool({*note.addressed, *(mention.href for mention in note.mentions)} - expected)


def plain(note: Note) -> str:
    """The text of a direct note without the names it begins with."""
    text = note.source if note.source is not None and note.proposal is None else html.to_text(note.content)
    return _MENTIONS.sub("", text).strip()
