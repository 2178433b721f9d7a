"""What may be told of an outcome? A story in the words of one side, shown with its listing when both agree; either takes that back at any time.

It names only those who opted in, each for themselves. The two servers know it and nobody else: it stands with the listing on both, for whoever may read that
there, and is in no Note but the letter that asks a helper on an ordinary server (afterwards.py). It goes when either side says so, when other words are
proposed until both agree to those, and with the answer, 30 days after its end.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import known
from actors.known import Actor
from fedmatch import chores
from fedmatch.board import answers, conversations, crossing, notifications
from fedmatch.board.answers import CannotAnswer, Response
from fedmatch.board.crossing import CannotReach
from fedmatch.safety import traces
from schemas.objects import Matter
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

MOST_TEXT: Final = 2000
MOST_CREDIT: Final = 200
MOST_SHOWN: Final = 20
ASKER: Final = "asker"
HELPER: Final = "helper"


@dataclass(frozen=True, slots=True)
class Story:
    """What came of it, in the words of one side; told when both agreed. `credits` are the names of those who agreed to stand there."""

    text: str
    asker_agreed: bool
    helper_agreed: bool
    credits: tuple[str, ...]

    @property
    def told(self) -> bool:
        """Whether both sides agreed."""
        return self.asker_agreed and self.helper_agreed

    def json(self) -> dict[str, str | list[str]]:
        """The form scripts read, of one that is told."""
        return {"text": self.text, "credits": list(self.credits)}


class Leads(CannotAnswer):
    """The words lead to somebody; whoever means them says so."""


STORY: Final = """
select story.response_id, story.asker_agreed, story.helper_agreed, story.sealed
from story
where story.response_id = :response_id
"""

TOLD: Final = """
select story.response_id, story.asker_agreed, story.helper_agreed, story.sealed
from story
join response on response.id = story.response_id
where response.listing_hash = :listing_hash
  and response.state = 'completed'
  and story.asker_agreed = 1
  and story.helper_agreed = 1
order by story.response_id
limit :limit
"""

TELL: Final = """
insert into story (response_id, asker_agreed, helper_agreed, sealed)
values (:response_id, :asker_agreed, :helper_agreed, :sealed)
on conflict (response_id) do update
set asker_agreed = excluded.asker_agreed, helper_agreed = excluded.helper_agreed, sealed = excluded.sealed
"""

FORGET: Final = """
delete from story
where response_id = :response_id
"""


async def tell(
    tx: Transaction,
    instance: "Instance",
    actor: Actor,
    response: Response,
    text: str | None = None,
    *,
    credit: str | None = None,
    anyway: bool = False,
    readable_there: bool = False,
) -> Story:
    """One side proposes an outcome story (`text`), or agrees to the one there is; another text needs the other's consent anew.

    `credit` is the name under which this side agrees to be named; without it they are not. Words of their own pass the safety linter first: what leads to
    somebody raises `Leads`, and `anyway` means it. A helper on an ordinary server is asked by a letter, which its administrators can read: the asker agrees to
    that once for this conversation by `readable_there`. Raises `CannotAnswer`, `crossing.CannotReach`, `actors.vault.Locked`.
    """
    asks = response.of_asker(actor)
    if response.state != "completed" or not (asks or response.of_helper(actor)):
        raise CannotAnswer("a story is told by the two sides of what was completed")
    before = await of(tx, instance, response)
    words = (text or "").strip() or (before.text if before else "")
    if not words or len(words) > MOST_TEXT:
        raise CannotAnswer(f"a story has 1 to {MOST_TEXT} letters")
    if (before is None or words != before.text) and not anyway:
        _look(words, response.words.language or "en")
    by_letter = await crossing.by_letter(tx, response)
    if response.side != "both" and not by_letter:
        name = crossing.new_name(instance, "stories")
        await conversations.pass_on(tx, instance, actor, response, Matter("story", "agree", name, (credit or "").strip()[:MOST_CREDIT], words))
    now = await _agreed(tx, instance, response, words, asks=asks, credit=credit)
    if by_letter and not now.told:
        await _ask(tx, instance, response, now, readable_there=readable_there)
    other = await known.by_uri(tx, response.words.helper if asks else response.words.asker)
    if other is not None and other.local and not now.told:
        await notifications.tell(tx, instance, other.id, "story.asked", response.id)
    return now


async def _ask(tx: Transaction, instance: "Instance", held: Response, story: Story, *, readable_there: bool) -> None:
    """Shows a helper on an ordinary server the words, from the instance, and asks for their consent to them. Raises `CannotAnswer`."""
    helper = await known.by_uri(tx, held.words.helper)
    if helper is None or not helper.active:
        raise CannotAnswer("whoever answered is not there any more")
    await conversations.agree(tx, held, readable_there=readable_there)
    letter = await crossing.tell(tx, instance, helper, "story.ask", held, more=story.text)
    for about in ((letter,), (letter, story.text)):
        await answers.once(tx, instance, "asked to tell", *about)


async def asked(tx: Transaction, instance: "Instance", *about: str) -> bool:
    """Whether this letter asked for a consent; or, with its words, whether it asked for a consent to these."""
    return await answers.was(tx, instance, "asked to tell", *about)


def _look(words: str, language: str) -> None:
    found = traces.traces(words, language)
    if found:
        shown = ", ".join(f"{one.kind}: {one.words!r}" for one in found)
        raise Leads(f"the story may lead to somebody ({shown}); write it without, or mean it with --anyway")


async def withdraw(tx: Transaction, instance: "Instance", actor: Actor, response: Response) -> bool:
    """One side takes its consent back: it is not shown any more, here at once, on the other server when it hears of it. False if that cannot be told.

    Raises `CannotAnswer` where this side agreed to nothing.
    """
    asks = response.of_asker(actor)
    before = await of(tx, instance, response)
    if before is None or not (asks or response.of_helper(actor)) or not (before.asker_agreed if asks else before.helper_agreed):
        raise CannotAnswer(f"{actor.username} agreed to no story of this answer")
    await _refused(tx, instance, response, asks=asks)
    other = await known.by_uri(tx, response.words.helper if asks else response.words.asker)
    if other is not None and other.local:
        await notifications.tell(tx, instance, other.id, "story.withdrawn", response.id)
    if response.side == "both":
        return True
    if await crossing.by_letter(tx, response):
        if other is not None and other.active:
            await crossing.tell(tx, instance, other, "story.off", response)
        return True
    try:
        await conversations.pass_on(tx, instance, actor, response, Matter("story", "refuse", crossing.new_name(instance, "stories")))
    except (CannotAnswer, CannotReach):
        return False  # its server is not trusted any more: here it is gone all the same
    return True


async def heard(tx: Transaction, instance: "Instance", author: Actor, owner: Actor, response: Response, matter: Matter) -> None:
    """The other side, on its server, proposes a story, agrees to these very words, or takes that back."""
    asks = response.of_asker(author)
    before = await of(tx, instance, response)
    if matter.step == "refuse":
        if before is not None and (before.asker_agreed if asks else before.helper_agreed):
            await _refused(tx, instance, response, asks=asks)
            await notifications.tell(tx, instance, owner.id, "story.withdrawn", response.id)
        return
    if response.state != "completed" or not matter.text or len(matter.text) > MOST_TEXT:
        return
    now = await _agreed(tx, instance, response, matter.text, asks=asks, credit=matter.to or None)
    if not now.told:
        await notifications.tell(tx, instance, owner.id, "story.asked", response.id)


async def _agreed(tx: Transaction, instance: "Instance", response: Response, words: str, *, asks: bool, credit: str | None) -> Story:
    """Notes that one side agrees to these words, and to be named as `credit`; the other side's consent stands only for the same words."""
    before = await of(tx, instance, response)
    same = before is not None and before.text == words
    asker_agreed = asks or (same and before is not None and before.asker_agreed)
    helper_agreed = not asks or (same and before is not None and before.helper_agreed)
    named = await _credits(tx, instance, response)
    named.pop(ASKER if asks else HELPER, None)
    if credit:
        named[ASKER if asks else HELPER] = credit.strip()[:MOST_CREDIT]
    return await _write(tx, instance, response, words, named, asker_agreed=asker_agreed, helper_agreed=helper_agreed)


async def _refused(tx: Transaction, instance: "Instance", response: Response, *, asks: bool) -> None:
    before = await of(tx, instance, response)
    named = await _credits(tx, instance, response)
    named.pop(ASKER if asks else HELPER, None)
    if before is not None and (before.helper_agreed if asks else before.asker_agreed):
        await _write(tx, instance, response, before.text, named, asker_agreed=not asks, helper_agreed=asks)
    else:
        await tx.execute(FORGET, response_id=response.id)
    await chores.erase_soon(tx, instance)


async def _write(
    tx: Transaction, instance: "Instance", response: Response, words: str, named: dict[str, str], *, asker_agreed: bool, helper_agreed: bool
) -> Story:
    sealed = instance.vault.seal(json.dumps({"text": words, "credits": named}, ensure_ascii=False).encode(), f"story:{response.id}")
    await tx.execute(TELL, response_id=response.id, asker_agreed=int(asker_agreed), helper_agreed=int(helper_agreed), sealed=sealed)
    return Story(words, asker_agreed, helper_agreed, tuple(named.values()))


async def of(tx: Transaction, instance: "Instance", response: Response) -> Story | None:
    """The outcome story of one answer, told or not yet. For the two sides alone."""
    row = await tx.one(STORY, response_id=response.id)
    return None if row is None else _read(instance, row)


async def told(tx: Transaction, instance: "Instance", listing: Iri) -> tuple[Story, ...]:
    """The stories that stand with a listing, ours or theirs: both sides agreed. None while the vault is locked, for they rest sealed."""
    if instance.vault.locked:
        return ()
    rows = await tx.all(TOLD, listing_hash=answers.hash_of(instance, "listing", listing), limit=MOST_SHOWN)
    return tuple(_read(instance, row) for row in rows)


def _read(instance: "Instance", row: Row) -> Story:
    said = json.loads(instance.vault.open(bytes(row["sealed"]), f"story:{row['response_id']}"))
    return Story(said["text"], bool(row["asker_agreed"]), bool(row["helper_agreed"]), tuple(said["credits"].values()))


async def _credits(tx: Transaction, instance: "Instance", response: Response) -> dict[str, str]:
    row = await tx.one(STORY, response_id=response.id)
    if row is None:
        return {}
    named: dict[str, str] = json.loads(instance.vault.open(bytes(row["sealed"]), f"story:{response.id}"))["credits"]
    return named
