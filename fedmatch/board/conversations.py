"""What do the two sides say to each other, and who could read it? Messages sealed by the key of their conversation, delivered to their two servers alone.

A conversation begins when an answer is accepted. Its key is a row of its own: when that goes, nothing of what was said can be read. `format` says how a message
is sealed; `vault-1` is by this instance, whose administrators could therefore read it while it runs.
"""

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import structlog
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from actors import hosts, known
from actors.known import Actor
from fedmatch import chores, times, words
from fedmatch.board import answers, crossing, letters, notifications
from fedmatch.board.answers import Response
from fedmatch.board.responses import CannotAnswer
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
FieldName = Literal["name", "contact", "place"]
FIELDS: Final = ("name", "contact", "place")
MOST_GUESTS: Final = 5
ROLES: Final = ("interpreter", "matchmaker")


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


@dataclass(frozen=True, slots=True)
class Guest:
    """A third person in one conversation, or on the way into it."""

    uri: Iri
    handle: str
    role: str
    asker_agreed: bool
    helper_agreed: bool

    @property
    def admitted(self) -> bool:
        """Whether both sides let them in."""
        return self.asker_agreed and self.helper_agreed


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
order by message.place
limit :limit
"""


async def begin(tx: Transaction, instance: "Instance", response: Response) -> None:
    """Opens the conversation of an accepted answer, with a key of its own."""
    key = instance.vault.seal(secrets.token_bytes(32), _place(response.id))
    await tx.execute(BEGIN, response_id=response.id, key=key, now=answers.hour(instance))


async def end(tx: Transaction, instance: "Instance", response: Response) -> None:
    """Deletes the conversation with everything in it: its key, messages, guests and what was shared. Nobody reads any of it again here."""
    await tx.execute(END, response_id=response.id)
    await chores.erase_soon(tx, instance)


async def exists(tx: Transaction, response: Response) -> bool:
    """Whether the two may still write to each other."""
    return await tx.one(KEY, response_id=response.id) is not None


def channel(response: Response, language: str = "en") -> str:
    """Who could read what is said here, as a sentence."""
    host = answers.readable_by(response)
    key = {"here": "channel.here", "sealed": "channel.sealed", "open": "channel.open", "note": "channel.open"}[response.words.channel]
    return words.words(language, key, host=host or "")


async def say(tx: Transaction, instance: "Instance", actor: Actor, response: Response, text: str, *, readable_there: bool = False) -> Message:
    """Says something in a conversation: kept here, sealed, and delivered to the other side's server alone. Wake "delivery" after the commit.

    Over a channel that is not sealed the asker's words cross only if the asker agreed for this conversation: `readable_there` agrees. Raises `CannotAnswer`,
    `crossing.CannotReach`, `actors.vault.Locked`.
    """
    text = text.strip()
    if not text or len(text) > MOST_TEXT:
        raise CannotAnswer(f"a message has 1 to {MOST_TEXT} letters; this one has {len(text)}")
    row = await tx.one(KEY, response_id=response.id)
    if row is None or response.state not in ("accepted", "completed"):
        raise CannotAnswer(f"the answer is {response.state}: there is no open conversation; it begins when the answer is accepted")
    guest = not response.of_asker(actor) and not response.of_helper(actor)
    if guest and not await is_guest(tx, instance, response, actor):
        raise CannotAnswer(f"{actor.username} is not part of this conversation")
    plain = response.words.channel in ("open", "note")
    if plain and not row["notes"] and not response.of_helper(actor):
        if guest or not readable_there:
            host = answers.readable_by(response)
            raise CannotAnswer(
                f"the administrators of {host} could read this, and it is only as safe as the connection; the asker agrees to that with --readable-there, once"
            )
        await tx.execute(AGREE, response_id=response.id)
    note = crossing.new_name(instance, "letters")
    for uri in (response.words.asker, response.words.helper):
        person = None if uri == actor.uri else await known.by_uri(tx, uri)
        if person is not None and not person.local:
            note = await _deliver(tx, instance, actor, person, response, text)
    made = await keep(tx, instance, response, actor.handle, text, note)
    if made is None:
        raise CannotAnswer("it was not kept; try again")
    for uri in (response.words.asker, response.words.helper):
        local = await known.by_uri(tx, uri)
        if local is not None and local.local and local.id != actor.id:
            await notifications.tell(tx, instance, local.id, "message.received", response.id)
    return made


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
    nonce = secrets.token_bytes(NONCE)
    plain = json.dumps({"by": by, "text": text[:MOST_TEXT]}, ensure_ascii=False).encode()
    sealed = nonce + ChaCha20Poly1305(key).encrypt(nonce, plain, f"message:{new_id}".encode())
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


async def messages(tx: Transaction, instance: "Instance", response: Response, limit: int = MOST_MESSAGES) -> list[Message]:
    """What was said, oldest first. Raises `actors.vault.Locked`."""
    key = await _key(tx, instance, response)
    if key is None:
        return []
    return [_opened(key, row) for row in await tx.all(SAID, response_id=response.id, limit=limit)]


def _opened(key: bytes, row: Row) -> Message:
    sealed = bytes(row["ciphertext"])
    said = json.loads(ChaCha20Poly1305(key).decrypt(sealed[:NONCE], sealed[NONCE:], f"message:{row['id']}".encode()))
    return Message(row["id"], said["by"], said["text"], row["created_at"])


async def _key(tx: Transaction, instance: "Instance", response: Response) -> bytes | None:
    row = await tx.one(KEY, response_id=response.id)
    return None if row is None else instance.vault.open(bytes(row["key"]), _place(response.id))


def _place(response_id: int) -> str:
    return f"conversation:{response_id}"


# Third persons.


GUEST: Final = """
select conversation_guest.id, conversation_guest.asker_agreed, conversation_guest.helper_agreed, conversation_guest.sealed
from conversation_guest
where conversation_guest.response_id = :response_id
  and conversation_guest.actor_hash = :actor_hash
"""

GUESTS: Final = """
select conversation_guest.id, conversation_guest.asker_agreed, conversation_guest.helper_agreed, conversation_guest.sealed
from conversation_guest
where conversation_guest.response_id = :response_id
order by conversation_guest.id
"""

GUEST_OF: Final = """
select conversation_guest.response_id
from conversation_guest
where conversation_guest.actor_hash = :actor_hash
  and conversation_guest.asker_agreed = 1
  and conversation_guest.helper_agreed = 1
order by conversation_guest.response_id desc
"""

ADD_GUEST: Final = """
insert into conversation_guest (id, response_id, actor_hash, sealed)
values (:id, :response_id, :actor_hash, :sealed)
on conflict (response_id, actor_hash) do nothing
"""

ASKER_AGREES: Final = """
update conversation_guest
set asker_agreed = 1
where id = :id
"""

HELPER_AGREES: Final = """
update conversation_guest
set helper_agreed = 1
where id = :id
"""

REMOVE_GUEST: Final = """
delete from conversation_guest
where id = :id
"""


async def admit(tx: Transaction, instance: "Instance", actor: Actor, response: Response, guest: Actor, role: str) -> Guest:
    """One side lets a third person in, an interpreter or a matchmaker; they are in when both did. Raises `CannotAnswer`, `crossing.CannotReach`.

    The guest lives on the server of one of the two: anybody else's would be a third server that holds the words. Who proposes is of that server; the other
    side agrees by the guest's handle (`agree_to`).
    """
    if role not in ROLES:
        raise CannotAnswer(f"{role!r} is no role of a guest; there are {', '.join(ROLES)}")
    if not await exists(tx, response):
        raise CannotAnswer("there is no conversation yet; it begins when the answer is accepted")
    if guest.id == actor.id or guest.kind == "Application" or response.of_asker(guest) or response.of_helper(guest):
        raise CannotAnswer("a guest is a third person")
    if not response.of_asker(actor) and not response.of_helper(actor):
        raise CannotAnswer("only the two whose conversation it is let somebody in")
    if not guest.local:
        raise CannotAnswer("a guest of the other server is proposed there, and agreed to by handle; one of a third would bring that server into it")
    now = await _admitted(tx, instance, actor, response, guest.uri, guest.handle, role)
    other = await known.by_uri(tx, response.words.helper if response.of_asker(actor) else response.words.asker)
    if other is not None and other.local and not now.admitted:
        await notifications.tell(tx, instance, other.id, "guest.asked", response.id)
    await pass_on(tx, instance, actor, response, Matter("guest", "ask", guest.uri, guest.handle, role))
    return now


async def _admitted(tx: Transaction, instance: "Instance", by: Actor, response: Response, uri: Iri, handle: str, role: str) -> Guest:
    """Notes that one side agrees to a guest."""
    who = answers.hash_of(instance, "actor", uri)
    said = {"uri": uri, "handle": handle, "role": role}
    sealed = instance.vault.seal(json.dumps(said).encode(), f"conversation_guest:{response.id}")
    await tx.execute(ADD_GUEST, id=instance.ids.new(answers.hour(instance)), response_id=response.id, actor_hash=who, sealed=sealed)
    row = await tx.one(GUEST, response_id=response.id, actor_hash=who)
    if row is None:
        raise CannotAnswer("it was not kept; try again")
    await tx.execute(ASKER_AGREES if response.of_asker(by) else HELPER_AGREES, id=row["id"])
    return _guest(instance, response, await tx.one(GUEST, response_id=response.id, actor_hash=who) or row)


async def guest_told(tx: Transaction, instance: "Instance", author: Actor, owner: Actor, response: Response, matter: Matter) -> None:
    """The other side proposes a guest of its own server, agrees to one of ours, or says that one left."""
    if not await exists(tx, response):
        return
    if matter.step == "refuse":
        row = await tx.one(GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", matter.name))
        if row is not None:
            await tx.execute(REMOVE_GUEST, id=row["id"])
        return
    row = await tx.one(GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", matter.name))
    if matter.step == "agree" and row is None:
        return
    # Whoever proposes speaks for people of its own server alone, under the name that server gives them.
    if row is None and (hosts.authority(matter.name) != author.host or matter.text not in ROLES or len(await guests(tx, instance, response)) >= MOST_GUESTS):
        return
    handle = matter.to if row is not None else f"{matter.to.partition('@')[0]}@{author.handle_host}"
    await _admitted(tx, instance, author, response, matter.name, handle, matter.text)
    if matter.step == "ask":
        await notifications.tell(tx, instance, owner.id, "guest.asked", response.id)


async def agree_to(tx: Transaction, instance: "Instance", actor: Actor, response: Response, handle: str) -> Guest:
    """One side agrees to the guest of that handle whom the other side, elsewhere, proposed. Raises `CannotAnswer`, `crossing.CannotReach`."""
    if not response.of_asker(actor) and not response.of_helper(actor):
        raise CannotAnswer("only the two whose conversation it is let somebody in")
    asked = next((one for one in await guests(tx, instance, response) if one.handle == handle.removeprefix("@")), None)
    if asked is None:
        raise CannotAnswer(f"the other side proposed no {handle}")
    now = await _admitted(tx, instance, actor, response, asked.uri, asked.handle, asked.role)
    await pass_on(tx, instance, actor, response, Matter("guest", "agree", asked.uri, asked.handle, asked.role))
    return now


async def show_out(tx: Transaction, instance: "Instance", actor: Actor, response: Response, handle: str) -> bool:
    """One side wants a guest of the other server, by handle, no longer in it. Raises `CannotAnswer`, `crossing.CannotReach`."""
    asked = next((one for one in await guests(tx, instance, response) if one.handle == handle.removeprefix("@")), None)
    if asked is None or not (response.of_asker(actor) or response.of_helper(actor)):
        return False
    row = await tx.one(GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", asked.uri))
    if row is None or not await tx.execute(REMOVE_GUEST, id=row["id"]):
        return False
    await pass_on(tx, instance, actor, response, Matter("guest", "refuse", asked.uri))
    return True


async def leave(tx: Transaction, instance: "Instance", response: Response, guest: Actor) -> bool:
    """A guest leaves, or is shown out by either side; what they read cannot be unread."""
    row = await tx.one(GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", guest.uri))
    if row is None or not await tx.execute(REMOVE_GUEST, id=row["id"]):
        return False
    speaker = await known.by_uri(tx, response.words.asker if response.side == "asker" else response.words.helper)
    if speaker is not None and response.side != "both":
        await pass_on(tx, instance, speaker, response, Matter("guest", "refuse", guest.uri))
    return True


async def guests(tx: Transaction, instance: "Instance", response: Response) -> list[Guest]:
    """Who else is in it, or asked to be."""
    return [_guest(instance, response, row) for row in await tx.all(GUESTS, response_id=response.id)]


async def is_guest(tx: Transaction, instance: "Instance", response: Response, actor: Actor) -> bool:
    """Whether both sides let `actor` in."""
    row = await tx.one(GUEST, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", actor.uri))
    return row is not None and bool(row["asker_agreed"]) and bool(row["helper_agreed"])


async def guest_of(tx: Transaction, instance: "Instance", actor: Actor) -> list[Response]:
    """The answers into whose conversations `actor` was let."""
    rows = await tx.all(GUEST_OF, actor_hash=answers.hash_of(instance, "actor", actor.uri))
    found = [await answers.by_id(tx, instance, row["response_id"]) for row in rows]
    return [one for one in found if one is not None]


def _guest(instance: "Instance", response: Response, row: Row) -> Guest:
    said = json.loads(instance.vault.open(bytes(row["sealed"]), f"conversation_guest:{response.id}"))
    return Guest(Iri(said["uri"]), said["handle"], said["role"], bool(row["asker_agreed"]), bool(row["helper_agreed"]))


# What is shown to one counterpart.


DISCLOSE: Final = """
insert into disclosure (id, response_id, actor_hash, sealed, created_at)
values (:id, :response_id, :actor_hash, :sealed, :now)
"""

DISCLOSED: Final = """
select disclosure.id, disclosure.sealed, disclosure.created_at
from disclosure
where disclosure.actor_hash = :actor_hash
order by disclosure.id
"""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Something an actor gave to one counterpart; `at` is the whole hour."""

    to: str
    field: str
    at: int

    def json(self) -> dict[str, str]:
        """The form scripts read."""
        return {"to": self.to, "field": self.field, "at": times.rfc3339(self.at)}


async def disclose(tx: Transaction, instance: "Instance", actor: Actor, response: Response, field: FieldName, value: str) -> Message:
    """Gives name, contact or place to the one counterpart, as a message, and notes that for the author. Never over a channel that is not sealed.

    Raises `CannotAnswer`, `crossing.CannotReach`, `actors.vault.Locked`.
    """
    if response.words.channel not in ("here", "sealed"):
        raise CannotAnswer(f"{field} is never sent where the administrators of {answers.readable_by(response)} could read it on its way as a note")
    if field not in FIELDS or not (response.of_asker(actor) or response.of_helper(actor)):
        raise CannotAnswer(f"only the two whose conversation it is share {', '.join(FIELDS)}")
    made = await say(tx, instance, actor, response, f"{field}: {value.strip()}")
    other = response.words.helper_handle if response.of_asker(actor) else response.words.asker_handle
    new_id = instance.ids.new(answers.hour(instance))
    sealed = instance.vault.seal(json.dumps({"to": other, "field": field}).encode(), f"disclosure:{new_id}")
    await tx.execute(
        DISCLOSE, id=new_id, response_id=response.id, actor_hash=answers.hash_of(instance, "actor", actor.uri), sealed=sealed, now=answers.hour(instance)
    )
    receiver = await known.by_uri(tx, response.words.helper if response.of_asker(actor) else response.words.asker)
    if receiver is not None and receiver.local:
        await notifications.tell(tx, instance, receiver.id, "field.released", response.id)
    return made


async def disclosures(tx: Transaction, instance: "Instance", actor: Actor) -> list[Disclosure]:
    """What `actor` gave to whom, oldest first; for the actor alone."""
    rows = await tx.all(DISCLOSED, actor_hash=answers.hash_of(instance, "actor", actor.uri))
    found = []
    for row in rows:
        said = json.loads(instance.vault.open(bytes(row["sealed"]), f"disclosure:{row['id']}"))
        found.append(Disclosure(said["to"], said["field"], row["created_at"]))
    return found
