"""What is a post, as we hold it? One row, read back; what is not public stays closed until it is opened."""

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from actors import known
from outbox import polls
from outbox.words import Tags, place, time_of
from schemas.objects import PUBLIC, Attachment, Emoji, Hashtag, Mention, Note, Poll, Visibility
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

PUBLIC_SPELLINGS: Final = frozenset({PUBLIC, "as:Public", "Public"})


@dataclass(frozen=True, slots=True)
class Post:
    """One post as we hold it; times are milliseconds UTC. While `sealed` is set, `content` is "" and the rest of the text is empty: see `opened`."""

    id: int
    uri: Iri
    url: Iri | None
    actor_id: int
    local: bool
    kind: str
    visibility: Visibility
    boost_of: int | None
    in_reply_to: Iri | None
    in_reply_to_id: int | None
    conversation: str | None
    sensitive: bool
    published: int
    updated: int | None
    received_at: int
    sealed: bytes | None = field(default=None, repr=False)
    content: str = field(default="", repr=False)
    summary: str | None = field(default=None, repr=False)
    language: str | None = None
    source: str | None = field(default=None, repr=False)
    mentions: tuple[Mention, ...] = field(default=(), repr=False)
    hashtags: tuple[Hashtag, ...] = field(default=(), repr=False)
    attachments: tuple[Attachment, ...] = field(default=(), repr=False)
    emojis: tuple[Emoji, ...] = field(default=(), repr=False)
    translations: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The same text in other languages, by language."""
    poll: Poll | None = field(default=None, repr=False)
    """The words of a poll; its numbers are in `outbox.polls.numbers`."""

    @property
    def public(self) -> bool:
        """Whether everybody may read it."""
        return self.visibility in {"public", "unlisted"}


@dataclass(frozen=True, slots=True)
class Known:
    """Nothing was done: it is here already, or what came is older than what we hold."""

    post: Post


@dataclass(frozen=True, slots=True)
class Taken:
    """Nothing was stored here: the product made something else of it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was stored; `why` is a sentence for the log, without content."""

    why: str


@dataclass(frozen=True, slots=True)
class Removed:
    """It is gone and stays gone; `post` is what it was, if we had it."""

    post: Post | None


def visibility(note: Note, followers: Iri | None) -> Visibility:
    """How far `note` may be seen (protocol.md 6.1): Public in `to`, Public elsewhere, the author's followers anywhere, or nobody but those it addresses.

    `followers` is the author's collection; where it names none, `<author>/followers` is taken for it, as Misskey does.
    Takahe addresses direct posts in `cc` alone: direct is what names neither Public nor that collection anywhere.
    """
    if not PUBLIC_SPELLINGS.isdisjoint(note.to):
        return "public"
    if not PUBLIC_SPELLINGS.isdisjoint(note.addressed):
        return "unlisted"
    if (followers or f"{note.attributed_to}/followers") in note.addressed:
        return "followers"
    return "direct"


BY_ID: Final = """
select post.*
from post
where post.id = :id
"""

BY_URI: Final = """
select post.*
from post
where post.uri = :uri
"""


def from_row(row: Row) -> Post:
    """The post of a row that selected `post.*`; other rooms do so when they join posts."""
    tags = Tags.read(row["tags"])
    return Post(
        id=row["id"],
        uri=row["uri"],
        url=row["url"],
        actor_id=row["actor_id"],
        local=bool(row["local"]),
        kind=row["kind"],
        visibility=row["visibility"],
        boost_of=row["boost_of"],
        in_reply_to=row["in_reply_to"],
        in_reply_to_id=row["in_reply_to_id"],
        conversation=row["conversation"],
        sensitive=bool(row["sensitive"]),
        published=row["published"],
        updated=row["updated"],
        received_at=row["received_at"],
        sealed=None if row["sealed"] is None else bytes(row["sealed"]),
        content=row["content"] or "",
        summary=row["summary"],
        language=row["language"],
        source=tags.source,
        mentions=tags.mentions,
        hashtags=tags.hashtags,
        attachments=tags.attachments,
        emojis=tags.emojis,
        translations=tags.translations,
        poll=tags.poll,
    )


async def by_id(tx: Transaction, id: int) -> Post | None:
    """The post with our id; sealed if it is not public."""
    row = await tx.one(BY_ID, id=id)
    return None if row is None else from_row(row)


async def by_uri(tx: Transaction, uri: str) -> Post | None:
    """The post with exactly this ActivityPub id; sealed if it is not public."""
    row = await tx.one(BY_URI, uri=uri)
    return None if row is None else from_row(row)


def opened(instance: "Instance", post: Post) -> Post:
    """The post with its text. Raises `actors.vault.Locked` while the vault is locked, `actors.vault.Tampered` if the row was moved or changed."""
    if post.sealed is None:
        return post
    text = json.loads(instance.vault.open(post.sealed, place(post.id)))
    tags = Tags.read(text["tags"])
    return replace(
        post,
        sealed=None,
        content=text["content"],
        summary=text["summary"],
        language=text["language"],
        source=tags.source,
        mentions=tags.mentions,
        hashtags=tags.hashtags,
        attachments=tags.attachments,
        emojis=tags.emojis,
        translations=tags.translations,
        poll=tags.poll,
    )


def words(instance: "Instance", post_id: int, sealed: bytes) -> tuple[str, str | None]:
    """The text and the content warning alone of a post that rests sealed, for those who read many rows. Raises as `opened` does."""
    text = json.loads(instance.vault.open(bytes(sealed), place(post_id)))
    return text["content"], text["summary"]


AUDIENCE: Final = """
select post_audience.target, post_audience.field
from post_audience
where post_audience.post_id = :post_id
order by post_audience.field, post_audience.target
"""


async def note(tx: Transaction, instance: "Instance", post: Post) -> Note:
    """The Note of an ordinary post, as its document says it; a listing's is made by the product. Opens what is sealed (`Locked`)."""
    author = await known.by_id(tx, post.actor_id)
    if author is None:
        raise LookupError(f"post {post.id} has no author")
    fields: dict[str, list[Iri]] = {"to": [], "cc": [], "audience": []}
    for row in await tx.all(AUDIENCE, post_id=post.id):
        fields[row["field"]].append(Iri(row["target"]))
    text = opened(instance, post)
    return Note(
        id=text.uri,
        attributed_to=author.uri,
        content=text.content,
        kind=text.kind,
        summary=text.summary,
        sensitive=text.sensitive,
        language=text.language,
        # The entry is byte-identical to `content` and comes first: GoToSocial and Mastodon find the language so.
        content_map=((text.language, text.content), *text.translations) if text.language else (),
        source=text.source,
        url=text.url,
        published=time_of(text.published),
        updated=None if text.updated is None else time_of(text.updated),
        in_reply_to=text.in_reply_to,
        conversation=text.conversation,
        to=tuple(fields["to"]),
        cc=tuple(fields["cc"]),
        audience=tuple(fields["audience"]),
        mentions=text.mentions,
        hashtags=text.hashtags,
        attachments=text.attachments,
        emojis=text.emojis,
        poll=None if text.poll is None else await polls.numbers(tx, text.id, text.poll),
    )
