"""How does the instance write to somebody on another server? A direct Note with a Mention, and nothing in it that anybody would fetch.

A letter is no post. For 30 days its id answers the server it was written to, and nobody else: several servers fetch what they were sent once more, or show a
thread only so. What is kept for that rests sealed, found by a keyed hash of its id, and goes with the answer it belongs to.
"""

import json
import secrets
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Final

import structlog

from actors import quiet
from actors.known import Actor
from fedmatch import times
from fedmatch.board import answers
from fedmatch.board.answers import Response
from outbox import publish
from outbox.address import Audience
from schemas import documents, vocabulary
from schemas.activities import Create
from schemas.objects import Mention, Note
from schemas.reading import Document, Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

KEPT: Final = timedelta(days=30)

_RIGHT_TO_LEFT: Final = frozenset({"ar", "fa", "he", "ur", "ckb", "ps", "ug", "yi"})


def content(text: str, language: str) -> str:
    """Plain `text` as the HTML of a letter: paragraphs, the language of each, and no link, for one server fetches the first link of what arrives."""
    said = f' lang="{escape(language)}"' if language.partition("-")[0] in _RIGHT_TO_LEFT else ""
    blocks = [block.strip() for block in text.replace("\r\n", "\n").split("\n\n")]
    return "".join(f"<p{said}>{escape(block, quote=False).replace(chr(10), '<br>')}</p>" for block in blocks if block)


async def send(
    tx: Transaction,
    instance: "Instance",
    sender: Actor,
    to: Actor,
    text: str,
    *,
    language: str,
    in_reply_to: Iri | None = None,
    conversation: str | None = None,
    hourly: bool = False,
    not_before: int | None = None,
) -> Iri:
    """Sends `text` from our actor `sender` to one actor elsewhere, and gives the id of the Note, which an answer to it will name.

    It carries a Mention tag, without which GoToSocial drops it without a word. `in_reply_to` only where `sender` is the one the other wrote to: a reply must
    come from there (protocol.md 14.15). `hourly` rounds its time down to the hour, for whoever must not be known by the clock. `not_before`, in milliseconds
    UTC, is when it leaves, and its time is that moment's. Its inbox is the shared one, or a place that stands for theirs: what a delivery leaves behind names a
    server and no person (actors/quiet.py). Call `instance.wake("delivery")` after the commit.
    """
    if to.local:
        raise ValueError("a letter goes to another server; people here are told by a notification")
    written = vocabulary.canonical_language(language) or "en"
    uri = Iri(f"{instance.config.base_url}/letters/{secrets.token_hex(16)}")
    moment = instance.clock.now() if not_before is None else max(instance.clock.now(), datetime.fromtimestamp(not_before / 1000, UTC))
    now = moment.replace(microsecond=0)
    body = content(text, written)
    note = Note(
        id=uri,
        attributed_to=sender.uri,
        content=body,
        language=written,
        content_map=((written, body),),
        published=now.replace(minute=0, second=0) if hourly else now,
        in_reply_to=in_reply_to,
        conversation=conversation,
        to=(to.uri,),
        mentions=(Mention(to.uri, f"@{to.handle}"),),
    )
    activity = Create(id=Iri(f"{uri}/activity"), actor=sender.uri, object=note, to=note.to, published=note.published)
    await _keep(tx, instance, note, to, moment)
    place = Audience(inboxes=(Iri(await quiet.place(tx, instance, to)),))
    await publish.publish(tx, instance, sender, activity, place, object=uri, ordering_key=uri, not_before=not_before)
    log.info("letter.sent", host=to.host_id)
    return uri


KEEP: Final = """
insert into letter (hash, sealed, until)
values (:hash, :sealed, :until)
on conflict (hash) do nothing
"""

ONE: Final = """
select letter.sealed
from letter
where letter.hash = :hash
  and letter.until > :now
"""

FORGET: Final = """
delete from letter
where until <= :now
"""

FORGET_OF: Final = """
delete from letter
where hash in (
    select response_name.hash
    from response_name
    where response_name.response_id = :response_id
  )
"""


async def _keep(tx: Transaction, instance: "Instance", note: Note, to: Actor, moment: datetime) -> None:
    """Keeps it for whom it was written to. Its row tells the hour in which it left, and no more."""
    if instance.vault.locked:
        return
    mark = _mark(instance, note.id)
    said = {"host": to.host, "note": documents.note(note)}
    until = times.milliseconds((moment + KEPT).replace(minute=0, second=0, microsecond=0))
    await tx.execute(KEEP, hash=mark, sealed=instance.vault.seal(json.dumps(said, ensure_ascii=False).encode(), _place(mark)), until=until)


async def shown(tx: Transaction, instance: "Instance", uri: Iri, reader: Actor) -> Document | None:
    """The Note at the id of a letter, for an actor of the server it was written to; None for everybody else. Raises `actors.vault.Locked`.

    The server is what counts, not the actor: some fetch with the key of the instance, some with that of whoever reads (protocol.md 14.14).
    """
    mark = _mark(instance, uri)
    row = await tx.one(ONE, hash=mark, now=instance.clock.ms())
    if row is None:
        return None
    said = json.loads(instance.vault.open(bytes(row["sealed"]), _place(mark)))
    document: Document = said["note"]
    return document if said["host"] == reader.host and reader.active else None


async def forget(tx: Transaction, instance: "Instance") -> None:
    """Deletes what was kept long enough."""
    await tx.execute(FORGET, now=instance.clock.ms())


async def forget_of(tx: Transaction, response: Response) -> None:
    """Deletes what was written about one answer: its words are not to be had any more."""
    await tx.execute(FORGET_OF, response_id=response.id)


def _mark(instance: "Instance", uri: Iri) -> bytes:
    return answers.hash_of(instance, "name", uri)  # as answers.name: so those of one answer are found


def _place(mark: bytes) -> str:
    return f"letter:{mark.hex()}"
