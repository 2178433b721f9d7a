"""What do the two sides say to each other, and who could read it? Messages sealed by the key of their conversation, delivered to their two servers alone.

A conversation begins when an answer is accepted. Its key is a row of its own: when that goes, nothing of what was said can be read. `format` says how a message
is sealed; `vault-1` is by this instance, whose administrators could therefore read it while it runs.
"""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from actors import known
from actors.known import Actor
from fedmatch import chores, times, words
from fedmatch.board import answers, checks, crossing, guests, letters, notifications
from fedmatch.board.answers import CannotAnswer, Response
from schemas.activities import Create
from schemas.objects import Matter, Note
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

FORMAT: Final = "vault-1"
NONCE: Final = 12
MOST_TEXT: Final = 5000
MOST_MESSAGES: Final = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said; `at` is the whole hour, in milliseconds UTC."""

    id: int
    by: str
    text: str
    at: int

    def json(self) -> dict[str, str]:
        """The form scripts read."""
        return {"from": self.by, "text": self.text, "at": times.rfc3339(self.at)}


class _Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a message rests sealed; `updated` is when its writer, elsewhere, edited it, in milliseconds UTC."""

    by: str
    text: str
    updated: int = 0


BEGIN: Final = """
insert into conversation (response_id, key, created_at)
values (:response_id, :key, :now)
on conflict (response_id) do nothing
"""

KEY: Final = """
select conversation.key, conversation.notes
from conversation
where conversation.response_id = :response_id
"""

AGREE: Final = """
update conversation
set notes = 1
where response_id = :response_id
"""

END: Final = """
delete from conversation
where response_id = :response_id
"""

INSERT: Final = """
insert into message (id, response_id, place, hash, format, key_id, ciphertext, created_at)
select cast(:id as integer), cast(:response_id as integer), coalesce(max(message.place), 0) + 1, cast(:hash as blob), cast(:format as text),
  cast(:key_id as text), cast(:ciphertext as blob), cast(:now as integer)
from message
where message.response_id = :response_id
on conflict (hash) do nothing
"""

SAID: Final = """
select message.id, message.format, message.ciphertext, message.created_at
from message
where message.response_id = :response_id
  and message.place > :after
  and length(message.ciphertext) > 0
order by message.place
limit :limit
"""

NAMED: Final = """
select message.id, message.ciphertext
from message
where message.response_id = :response_id
  and message.hash = :hash
  and length(message.ciphertext) > 0
"""

# An emptied row keeps its place: guests read from theirs on.
REVISE: Final = """
update message
set ciphertext = :ciphertext
where id = :id
"""


async def begin(tx: Transaction, instance: "Instance", response: Response) -> None:
    """Opens the conversation of an accepted answer, with a key of its own."""
    key = instance.vault.seal(secrets.token_bytes(32), _place(response.id))
    await tx.execute(BEGIN, response_id=response.id, key=key, now=answers.hour(instance))


async def end(tx: Transaction, instance: "Instance", response: Response) -> None:
    """Deletes the conversation with everything in it: its key, messages, guests and what was shared. Nobody reads any of it again here."""
    await tx.execute(END, response_id=response.id)
    await letters.forget_of(tx, response)
    await chores.erase_soon(tx, instance)


async def exists(tx: Transaction, response: Response) -> bool:
    """Whether the two may still write to each other."""
    return await tx.one(KEY, response_id=response.id) is not None


def channel(response: Response, language: str = "en") -> str:
    """Who could read what is said here, as a sentence."""
    host = answers.readable_by(response)
    key = {"here": "channel.here", "sealed": "channel.sealed", "open": "channel.open", "note": "channel.open"}[response.words.channel]
    return words.words(language, key, host=host or "")


async def say(
    tx: Transaction, instance: "Instance", actor: Actor, response: Response, text: str, *, readable_there: bool = False, anyway: bool = False
) -> Message:
    """Says something in a conversation: kept here, sealed, and delivered to the other side's server alone. Wake "delivery" after the commit.

    Over a channel that is not sealed the asker's words cross only if the asker agreed for this conversation: `readable_there` agrees. Raises `CannotAnswer`,
    `crossing.CannotReach`, `actors.vault.Locked`, and `checks.Asks` where the safety linter found what needs a yes and `anyway` does not say it.
    """
    text = text.strip()
    if not text or len(text) > MOST_TEXT:
        raise CannotAnswer(f"a message has 1 to {MOST_TEXT} letters; this one has {len(text)}")
    row = await tx.one(KEY, response_id=response.id)
    if row is None or response.state not in ("accepted", "completed"):
        raise CannotAnswer(f"the answer is {response.state}: there is no open conversation; it begins when the answer is accepted")
    guest = not response.of_asker(actor) and not response.of_helper(actor)
    if guest and not await guests.is_guest(tx, instance, response, actor):
        raise CannotAnswer(f"{actor.username} is not part of this conversation")
    checks.require(await checks.of_message(tx, instance, actor, response, text), anyway=anyway, link=False)
    plain = response.words.channel in ("open", "note")
    if plain and not response.of_helper(actor):
        await agree(tx, response, readable_there=readable_there and not guest)
    note = crossing.new_name(instance, "letters")
    for uri in (response.words.asker, response.words.helper):
        person = None if uri == actor.uri else await known.by_uri(tx, uri)
        if person is not None and not person.local:
            note = await _deliver(tx, instance, actor, person, response, text)
    made = await keep(tx, instance, response, actor.handle, text, note)
    if made is None:
        raise CannotAnswer("it was not kept; try again")
    await told(tx, instance, response, actor)
    return made


async def told(tx: Transaction, instance: "Instance", response: Response, by: Actor) -> None:
    """Tells everybody in the conversation who lives here, guests too, that `by` said something."""
    let_in = [one.uri for one in await guests.of(tx, instance, response) if one.admitted]
    for uri in (response.words.asker, response.words.helper, *let_in):
        local = await known.by_uri(tx, uri)
        if local is not None and local.local and local.id != by.id:
            await notifications.tell(tx, instance, local.id, "message.received", response.id)


async def agree(tx: Transaction, response: Response, *, readable_there: bool) -> None:
    """Lets words of the asker cross to a server that is not trusted, if the asker agreed for this conversation or does so now. Raises `CannotAnswer`."""
    row = await tx.one(KEY, response_id=response.id)
    if row is not None and row["notes"]:
        return
    if row is None or not readable_there:
        host = answers.readable_by(response)
        raise CannotAnswer(
            f"the administrators of {host} could read this, and it is only as safe as the connection; the asker agrees to that with --readable-there, once"
        )
    await tx.execute(AGREE, response_id=response.id)


async def _deliver(tx: Transaction, instance: "Instance", actor: Actor, to: Actor, response: Response, text: str) -> Iri:
    thread = response.words.agreement or response.words.offer
    language = response.words.language or "en"
    if response.words.channel == "sealed":
        uri = crossing.new_name(instance, "letters")
        now = times.moment(answers.hour(instance))
        note = Note(id=uri, attributed_to=actor.uri, content=letters.content(text, language), source=text, published=now, conversation=thread, to=(to.uri,))
        activity = Create(id=Iri(f"{uri}/activity"), actor=actor.uri, object=note, to=note.to, published=now)
        await crossing.send(tx, instance, actor, to, activity, response)
        return uri
    parent = response.words.note if response.of_asker(actor) else None
    uri = await letters.send(
        tx, instance, actor, to, text, language=language, in_reply_to=parent, conversation=thread if response.words.channel == "open" else None, hourly=True
    )
    await answers.name(tx, instance, response, uri)
    return uri


async def pass_on(tx: Transaction, instance: "Instance", actor: Actor, response: Response, matter: Matter) -> None:
    """Lets the other side's server know of a matter they have to agree about; where both live here there is nothing to send.

    It goes sealed or not at all. Wake "delivery" after the commit. Raises `CannotAnswer`, `crossing.CannotReach`, `actors.vault.Locked`.
    """
    for uri in (response.words.asker, response.words.helper):
        to = None if uri == actor.uri else await known.by_uri(tx, uri)
        if to is None or to.local:
            continue
        if response.words.channel != "sealed":
            raise CannotAnswer(f"{to.host} is no trusted peer: what both sides have to agree about does not travel in the open; write it as a message")
        name = crossing.new_name(instance, "letters")
        now = times.moment(answers.hour(instance))
        thread = response.words.agreement or response.words.offer
        content = letters.content(" ".join(word for word in (matter.to, matter.text) if word) or matter.kind, response.words.language or "en")
        note = Note(id=name, attributed_to=actor.uri, content=content, published=now, conversation=thread, to=(to.uri,), matter=matter)
        activity = Create(id=Iri(f"{name}/activity"), actor=actor.uri, object=note, to=note.to, published=now)
        await crossing.send(tx, instance, actor, to, activity, response)


async def keep(tx: Transaction, instance: "Instance", response: Response, by: str, text: str, uri: Iri) -> Message | None:
    """Writes a message into its conversation; None if it is there already, or if there is no conversation."""
    key = await _key(tx, instance, response)
    if key is None:
        return None
    now = answers.hour(instance)
    new_id = instance.ids.new(now)
    sealed = _sealed(key, new_id, _Said(by, text[:MOST_TEXT]))
    made = await tx.execute(
        INSERT,
        id=new_id,
        response_id=response.id,
        hash=answers.hash_of(instance, "message", uri),
        format=FORMAT,
        key_id=str(response.id),
        ciphertext=sealed,
        now=now,
    )
    return Message(new_id, by, text[:MOST_TEXT], now) if made else None


async def revise(tx: Transaction, instance: "Instance", response: Response, by: str, uri: Iri, text: str, updated: int) -> bool:
    """Makes the message that came as `uri` say what `by`, who wrote it, says now, at `updated` in milliseconds UTC; without text nothing stays of it.

    False if there is no such message of theirs, or what it says is newer. Raises `actors.vault.Locked`.
    """
    key = await _key(tx, instance, response)
    row = None if key is None else await tx.one(NAMED, response_id=response.id, hash=answers.hash_of(instance, "message", uri))
    if key is None or row is None:
        return False
    said = _said(key, row)
    if said.by != by or (text and updated <= said.updated):
        return False
    sealed = _sealed(key, row["id"], _Said(by, text[:MOST_TEXT], updated)) if text else b""
    await tx.execute(REVISE, id=row["id"], ciphertext=sealed)
    await chores.erase_soon(tx, instance)
    return True


async def messages(tx: Transaction, instance: "Instance", response: Response, limit: int = MOST_MESSAGES, *, after: int = 0) -> list[Message]:
    """What was said, oldest first; to a guest what was said `after` they came (`guests.reads_after`). Raises `actors.vault.Locked`."""
    key = await _key(tx, instance, response)
    if key is None:
        return []
    return [_opened(key, row) for row in await tx.all(SAID, response_id=response.id, limit=limit, after=after)]


def _opened(key: bytes, row: Row) -> Message:
    said = _said(key, row)
    return Message(row["id"], said.by, said.text, row["created_at"])


def _sealed(key: bytes, id: int, said: _Said) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, msgspec.json.encode(said), f"message:{id}".encode())


def _said(key: bytes, row: Row) -> _Said:
    sealed = bytes(row["ciphertext"])
    return msgspec.json.decode(ChaCha20Poly1305(key).decrypt(sealed[:NONCE], sealed[NONCE:], f"message:{row['id']}".encode()), type=_Said)


async def _key(tx: Transaction, instance: "Instance", response: Response) -> bytes | None:
    row = await tx.one(KEY, response_id=response.id)
    return None if row is None else instance.vault.open(bytes(row["key"]), _place(response.id))


def _place(response_id: int) -> str:
    return f"conversation:{response_id}"
