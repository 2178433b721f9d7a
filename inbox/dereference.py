"""What does its own server say? Objects that others only name, read from their origin, within a budget; never by the word of whoever named them."""

from dataclasses import dataclass
from typing import Final, Literal

import structlog

from actors import hosts, remote
from actors.instance import Instance
from actors.known import Actor
from actors.remote import Budget, FetchFailed
from inbox import dialect
from inbox.errors import InboxError, Later
from inbox.gate import claim
from inbox.verify import Verified, origin, own_origin
from schemas import documents
from schemas.activities import parse_note
from schemas.objects import Note
from schemas.reading import AS, Document, Iri, Unreadable, types

log = structlog.get_logger()

AGAIN_S: Final = 300


@dataclass(frozen=True, slots=True)
class Origin:
    """A post as its own server shows it; `document` is the JSON it was read from."""

    note: Note
    author: Actor
    document: bytes


def budget(instance: Instance) -> Budget:
    """What one arrival may cause in requests: `federation.fetch_budget`."""
    return Budget(instance.config.federation.fetch_budget)


async def activity(instance: Instance, id: Iri, spending: Budget) -> tuple[Verified, bytes] | None:
    """The activity with this id from its origin, as good as signed, and its bytes; None if there is none. Raises `Later` where it may be had another time."""
    document = await remote.fetch_document(instance, id, budget=spending)
    if isinstance(document, FetchFailed):
        _nothing("activity", document)
        return None
    try:
        said = claim(document)
        own_origin(instance, said, document)
        if said.id is None or not hosts.same_origin(said.id, id):
            return None
        actor = await remote.actor(instance, said.actor, budget=spending)
        if isinstance(actor, FetchFailed):
            _nothing("actor", actor)
            return None
        return origin(actor, document), documents.dumps(document)
    except Later:
        raise
    except InboxError as error:
        log.info("refetch.refused", why=error.log)
        return None


async def post(instance: Instance, id: Iri, spending: Budget, *, owner: Actor | None = None) -> Origin | None:
    """The post with this id from its origin, with its author, who must be `owner` if one is given; None if there is none that we believe.

    Author and id lie on one host (FEP-fe34). Raises `Later` where it may be had another time.
    """
    return await _read(instance, id, await remote.fetch_document(instance, id, budget=spending), spending, owner)


async def _read(instance: Instance, id: Iri, document: Document | FetchFailed, spending: Budget, owner: Actor | None) -> Origin | None:
    if isinstance(document, FetchFailed):
        _nothing("post", document)
        return None
    try:
        note = parse_note(await dialect.reader(instance).post(document, hosts.authority(id)))
    except Unreadable as error:
        log.info("post.unreadable", where=error.where)
        return None
    if not hosts.same_origin(note.id, id) or not hosts.same_origin(note.attributed_to, note.id):
        return None
    if owner is not None and note.attributed_to != owner.uri:
        return None
    author = owner or await remote.actor(instance, note.attributed_to, budget=spending)
    if isinstance(author, FetchFailed):
        _nothing("author", author)
        return None
    return Origin(note, author, original(document))


async def look(instance: Instance, id: Iri, spending: Budget, *, insist: bool = False) -> Origin | Literal["gone", "missing"] | None:
    """The same, or "gone" where the origin says that it was deleted, "missing" where it knows nothing of it (404). Raises `Later`.

    `insist`: asked now, whatever is remembered of a failure.
    """
    document = await remote.fetch_document(instance, id, budget=spending, insist=insist)
    if isinstance(document, FetchFailed) and document.gone:
        return "gone"
    if isinstance(document, FetchFailed) and document.kind == "missing":
        return "missing"
    if not isinstance(document, FetchFailed) and "Tombstone" in types(document):
        return "gone"
    return await _read(instance, id, document, spending, None)


HIDDEN: Final = frozenset(f"{space}{name}" for space in ("", "as:", AS, f"as:{AS}") for name in ("bto", "bcc"))


def original(document: Document) -> bytes:
    """The JSON of a post as it came, without whom its sender wished to hide (`bto`, `bcc`: ActivityPub section 6)."""
    if HIDDEN.isdisjoint(document):
        return documents.dumps(document)
    return documents.dumps({name: value for name, value in document.items() if name not in HIDDEN})


def _nothing(what: str, failed: FetchFailed) -> None:
    if failed.temporary:
        raise Later(AGAIN_S, f"the {what} could not be fetched: {failed.why}")
    log.info("fetch.nothing", what=what, kind=failed.kind)
