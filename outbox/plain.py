"""How are many plain posts of others stored at once? Their rows are made before the transaction, and a few statements write all of them in it.

What it stores is what `outbox.posts.store` would store, row for row; it takes only what needs no look at anything but its author, and leaves the rest to that.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import hosts
from outbox import posts
from outbox.readers import INSERT_AUDIENCE, INSERT_TAG
from outbox.words import MOST_TAGS, Tags, kept
from schemas import html
from schemas.crashpoint import crashpoint
from schemas.events import PlainStored
from schemas.notes import PlainNote
from schemas.objects import PUBLIC, Note, Visibility
from schemas.reading import Iri
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

MOST: Final = 16
"""Posts written together."""
MOST_TARGETS: Final = 4


@dataclass(slots=True, eq=False)
class Ready:
    """The rows of one post, all but its ids. Not frozen: to make a frozen one of them costs as much as to write it."""

    uri: Iri
    sender: Iri
    published: int
    row: dict[str, Value]
    audience: list[tuple[Iri, str]]
    tags: list[str]

    def fits(self, followers: Iri | None) -> bool:
        """Whether it addresses nobody but everybody and its author's followers, so that nobody has to be looked for."""
        return all(target in (PUBLIC, followers) for target, _ in self.audience) and (followers is None or hosts.same_origin(followers, self.sender))


def ready(instance: "Instance", sender: Iri, note: Note | PlainNote, document: bytes | None) -> Ready | None:
    """What there is to write of a post of `sender`, or None where `outbox.posts.store` has to look closer. `document` is the JSON it was read from.

    Plain is a public Note that answers nothing, in one language, with neither poll, request, offer nor matter, for a handful of collections.
    """
    summary: str | None = None
    if isinstance(note, PlainNote):
        written = _tags(note)
    else:
        if note.kind != "Note" or note.in_reply_to is not None or note.proposal is not None or note.poll is not None or note.matter is not None:
            return None
        if note.content_map or note.audience or note.attributed_to != sender:
            return None
        summary, written = note.summary, Tags.write(note)
    if len(note.to) + len(note.cc) > MOST_TARGETS or posts.not_at_home(instance, sender, note.id) is not None:
        return None
    how_far: Visibility
    if PUBLIC in note.to:
        how_far = "public"
    elif PUBLIC in note.cc:
        how_far = "unlisted"
    else:
        return None
    now = instance.clock.ms()
    published = posts.clamped(note.published, now)
    row: dict[str, Value] = {
        "uri": note.id,
        "url": note.url,
        "local": 0,
        "kind": "Note",
        "visibility": how_far,
        "boost_of": None,
        "in_reply_to": None,
        "in_reply_to_id": None,
        "conversation": note.conversation,
        "content": html.sanitise(note.content),
        "summary": None if summary is None else html.to_text(html.sanitise(summary)),
        "language": note.language,
        "tags": written,
        "sealed": None,
        "sensitive": int(note.sensitive),
        "published": published,
        "updated": None if note.updated is None else posts.clamped(note.updated, now),
        "received_at": now,
        "document": kept(document, how_far),
    }
    audience = [(target, "to") for target in note.to] + [(target, "cc") for target in note.cc]
    tags = list(dict.fromkeys([tag.name.casefold() for tag in note.hashtags[:MOST_TAGS]]))
    return Ready(note.id, sender, published, row, audience, tags)


def _tags(note: PlainNote) -> str | None:
    """The column `tags`, as `Tags.write` writes it."""
    if not note.mentions and not note.emojis:
        return _json({"hashtags": [(tag.name, tag.href) for tag in note.hashtags[:MOST_TAGS]]}) if note.hashtags else None
    return Tags.write(Note(note.id, note.id, "", mentions=note.mentions, hashtags=note.hashtags, emojis=note.emojis))


_json: Final = json.JSONEncoder(ensure_ascii=False).encode


async def store(tx: Transaction, instance: "Instance", several: Sequence[tuple[Ready, int]]) -> None:
    """Stores posts that fit, each with our id of its author; none is held, was deleted, or is waited for by a reply. Tells PlainStored."""
    rows: list[dict[str, Value]] = []
    audience: list[dict[str, Value]] = []
    tags: list[dict[str, Value]] = []
    told: list[tuple[int, int]] = []
    for post, actor_id in several:
        new_id = instance.ids.new(post.published)
        rows.append({**post.row, "id": new_id, "actor_id": actor_id})
        audience += [{"post_id": new_id, "target": target, "field": field, "actor_id": None} for target, field in post.audience]
        tags += [{"post_id": new_id, "name": name} for name in post.tags]
        told.append((new_id, actor_id))
    await tx.many(posts.INSERT, rows)
    crashpoint("store:inserted")
    await tx.many(INSERT_AUDIENCE, audience)
    if tags:
        await tx.many(INSERT_TAG, tags)
    crashpoint("store:linked")
    await instance.tell(tx, PlainStored(tuple(told)))
    crashpoint("store:told")
