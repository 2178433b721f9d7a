"""Who is a post for? Its audience and its tag words as rows."""

from dataclasses import dataclass
from typing import Final

from actors import hosts
from actors.known import Actor
from outbox.held import PUBLIC_SPELLINGS
from outbox.words import MOST_TAGS
from schemas.objects import PUBLIC, Note, Visibility
from schemas.reading import Iri, Row
from schemas.storage import Transaction, Value

MOST_ADDRESSED: Final = 1000

INSERT_AUDIENCE: Final = """
insert into post_audience (post_id, target, field, actor_id)
values (:post_id, :target, :field, :actor_id)
on conflict (post_id, target, field) do nothing
"""

INSERT_TAG: Final = """
insert into post_tag (post_id, name)
values (:post_id, :name)
on conflict (post_id, name) do nothing
"""

ACTOR_OF: Final = """
select actor.id, actor.uri, actor.local
from actor
where actor.uri = :uri
"""


@dataclass(frozen=True, slots=True)
class Reader:
    """One of our own actors whom a post addresses."""

    id: int
    uri: Iri


async def write_audience(tx: Transaction, post_id: int, note: Note, author: Actor) -> list[Reader]:
    """Writes whom the note addresses, and gives those of our own actors among them, once each."""
    rows: list[dict[str, Value]] = []
    found: dict[Iri, Row | None] = {PUBLIC: None}
    if author.followers is not None and hosts.same_origin(author.followers, author.uri):
        found[author.followers] = None  # a collection, and nearly always addressed: not worth a look
    fields: tuple[tuple[str, tuple[Iri, ...]], ...] = (("to", note.to), ("cc", note.cc), ("audience", note.audience))
    for name, targets in fields:
        for target in dict.fromkeys(targets):
            spelled = PUBLIC if target in PUBLIC_SPELLINGS else target
            if spelled not in found:
                if len(found) >= MOST_ADDRESSED:
                    break
                found[spelled] = await tx.one(ACTOR_OF, uri=spelled)
            row = found[spelled]
            rows.append({"post_id": post_id, "target": spelled, "field": name, "actor_id": None if row is None else row["id"]})
    if rows:
        await tx.many(INSERT_AUDIENCE, rows)
    return [Reader(row["id"], Iri(row["uri"])) for row in found.values() if row is not None and row["local"]]


async def write_tags(tx: Transaction, post_id: int, note: Note, how_far: Visibility) -> None:
    """Tag words for the tag pages; of public posts only, for a tag says what a text is about."""
    names = dict.fromkeys(tag.name.casefold() for tag in note.hashtags[:MOST_TAGS])
    if names and how_far in {"public", "unlisted"}:
        await tx.many(INSERT_TAG, [{"post_id": post_id, "name": name} for name in names])
