"""Which posts do we hold, ours and theirs? The one way in, the one way to change them, and the one way out of the house.

What is not public rests sealed: its text, summary, language and tags are one sealed blob, and the columns for them are null.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict

import structlog

from actors import blocks, hosts, known
from actors.known import Actor
from outbox import polls
from schemas import html
from schemas.crashpoint import crashpoint
from schemas.events import Answer, Boosted, Mentioned, PostArrived, PostChanged, PostGone, PostStored
from schemas.objects import PUBLIC, Attachment, Emoji, Hashtag, Mention, Note, Option, Poll, Visibility
from schemas.reading import Document, Iri, Row
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

PUBLIC_SPELLINGS: Final = frozenset({PUBLIC, "as:Public", "Public"})
DAY_MS: Final = 24 * 60 * 60 * 1000
MOST_ADDRESSED: Final = 1000
MOST_TAGS: Final = 100
MOST_DOCUMENT: Final = 1024 * 1024


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

BOOST_BY: Final = """
select post.*
from post
where post.boost_of = :post_id
  and post.actor_id = :actor_id
"""


def from_row(row: Row) -> Post:
    """The post of a row that selected `post.*`; other rooms do so when they join posts."""
    tags = _Tags.read(row["tags"])
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
    text = json.loads(instance.vault.open(post.sealed, _place(post.id)))
    tags = _Tags.read(text["tags"])
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
        published=_time(text.published),
        updated=None if text.updated is None else _time(text.updated),
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


STANDING: Final = """
select
  (select post.id from post where post.uri = :uri) as held,
  (select 1 from tombstone where tombstone.uri = :uri) as deleted,
  (select 1 from post where post.in_reply_to = :uri and post.in_reply_to_id is null limit 1) as answered
"""

TOMBSTONE: Final = """
select tombstone.uri, tombstone.former_type, tombstone.public, tombstone.deleted_at
from tombstone
where tombstone.uri = :uri
"""

INSERT: Final = """
insert into post (id, uri, url, actor_id, local, kind, visibility, boost_of, in_reply_to, in_reply_to_id, conversation,
  content, summary, language, tags, sealed, sensitive, published, updated, received_at, document)
values (:id, :uri, :url, :actor_id, :local, :kind, :visibility, :boost_of, :in_reply_to, :in_reply_to_id, :conversation,
  :content, :summary, :language, :tags, :sealed, :sensitive, :published, :updated, :received_at, :document)
"""

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

DELETE_TAGS: Final = """
delete from post_tag
where post_id = :post_id
"""

ADOPT_REPLIES: Final = """
update post
set in_reply_to_id = :post_id
where in_reply_to = :uri
  and in_reply_to_id is null
"""


async def store(
    tx: Transaction,
    instance: "Instance",
    actor: Actor,
    note: Note,
    *,
    local: bool,
    post_id: int | None = None,
    document: bytes | None = None,
    confidential: bool = False,
) -> Post | Known | Taken | Refused:
    """Holds `note` of `actor`: the post with its text, or why nothing was stored. Tells PostArrived (of others' posts, before), PostStored and Mentioned.

    `local` posts are written by the product, with the id their uri names; others' must come from a verified `actor` and pass the rules of FEP-fe34: id and
    author on one host, never ours, not tombstoned, never another author's. HTML is sanitised here. `document` is the original JSON, kept for public posts only.
    `confidential`: it came sealed, from a trusted peer.
    """
    standing = await tx.one(STANDING, uri=note.id)
    if standing is not None and standing["held"] is not None and (stored := await by_id(tx, standing["held"])) is not None:
        return Known(stored) if stored.actor_id == actor.id else Refused("it would change hands")
    if standing is not None and standing["deleted"] is not None:
        return Refused("it was deleted")
    now = instance.clock.ms()
    published = _clamped(note.published, now)
    if local:
        if not actor.local or note.attributed_to != actor.uri:
            raise ValueError("a local post is written by one of our own actors, as itself")
    else:
        if (why := _foreign(instance, actor, note)) is not None:
            return Refused(why)
        note = _sanitised(note)
        if await instance.tell(tx, PostArrived(actor.id, note, confidential)) is Answer.TAKEN:
            return Taken()
    new_id = post_id if post_id is not None else instance.ids.new(published)
    how_far = visibility(note, actor.followers)
    parent = None if note.in_reply_to is None else await by_uri(tx, note.in_reply_to)
    post = Post(
        id=new_id,
        uri=note.id,
        url=note.url,
        actor_id=actor.id,
        local=local,
        kind=note.kind,
        visibility=how_far,
        boost_of=None,
        in_reply_to=note.in_reply_to,
        in_reply_to_id=None if parent is None else parent.id,
        conversation=note.conversation,
        sensitive=note.sensitive,
        published=published,
        updated=None if note.updated is None else _clamped(note.updated, now),
        received_at=now,
        **_words(note),
    )
    await tx.execute(
        INSERT,
        id=post.id,
        uri=post.uri,
        url=post.url,
        actor_id=post.actor_id,
        local=int(post.local),
        kind=post.kind,
        visibility=post.visibility,
        boost_of=None,
        in_reply_to=post.in_reply_to,
        in_reply_to_id=post.in_reply_to_id,
        conversation=post.conversation,
        sensitive=int(post.sensitive),
        published=post.published,
        updated=post.updated,
        received_at=post.received_at,
        document=_kept(document, how_far),
        **_text(instance, new_id, note, how_far),
    )
    crashpoint("store:inserted")
    if note.poll is not None:
        await polls.keep(tx, new_id, note.poll)
    local_readers = await _write_audience(tx, new_id, note, actor)
    await _write_tags(tx, new_id, note, how_far)
    if standing is not None and standing["answered"] is not None:
        await tx.execute(ADOPT_REPLIES, post_id=new_id, uri=note.id)
    crashpoint("store:linked")
    await instance.tell(tx, PostStored(new_id, actor.id, local, note, how_far, confidential))
    crashpoint("store:told")
    for reader in local_readers:
        meant = how_far == "direct" or any(mention.href == reader.uri for mention in note.mentions)
        if meant and reader.id != actor.id and not await blocks.either(tx, reader.id, actor.id):
            await instance.tell(tx, Mentioned(new_id, actor.id, reader.id))
    return post


CHANGE: Final = """
update post
set url = :url, content = :content, summary = :summary, language = :language, tags = :tags, sealed = :sealed, sensitive = :sensitive, updated = :updated,
  document = :document
where id = :id
"""


async def change(
    tx: Transaction, instance: "Instance", actor: Actor, note: Note, *, document: bytes | None = None, confidential: bool = False
) -> Post | Known | Taken | Refused:
    """Makes the stored post what `note` says now: the post with its new text, or why nothing changed. Tells PostChanged.

    Only its owner may, and neither author nor `published` ever change; what is not newer than what we hold is left aside. An edit reaches nobody who could
    not read it before, except whom it newly addresses. One we do not know is stored as a Create would be, if it is at most a day old (as at Mastodon:
    somebody who corrects an old post should not bring it back), or a request or offer, which may be new here whenever its state changes.
    """
    stored = await by_uri(tx, note.id)
    now = instance.clock.ms()
    if stored is None:
        if note.proposal is None and (note.published is None or _clamped(note.published, now) < now - DAY_MS):
            return Refused("an edit of something old that we never had")
        return await store(tx, instance, actor, note, local=False, document=document, confidential=confidential)
    if stored.actor_id != actor.id or note.attributed_to != actor.uri or stored.boost_of is not None:
        return Refused("it belongs to somebody else")
    if note.published is not None and _clamped(note.published, stored.received_at) // 1000 != stored.published // 1000:
        return Refused("its time of publication would change")
    # Our own edits may run a few seconds ahead: each has a later second than the one before.
    updated = None if note.updated is None else _clamped(note.updated, now + DAY_MS if stored.local else now)
    if updated is None or updated <= (stored.updated or stored.published):
        if note.poll is not None and not stored.local:
            await polls.told(tx, stored.id, note.poll)  # new numbers are no edit: they come without a new time
        return Known(stored)
    if not stored.local:
        note = _sanitised(note)
    await tx.execute(
        CHANGE,
        id=stored.id,
        url=note.url or stored.url,
        sensitive=int(note.sensitive),
        updated=updated,
        document=_kept(document, stored.visibility),
        **_text(instance, stored.id, note, stored.visibility),
    )
    if note.poll is not None and not stored.local:
        await polls.told(tx, stored.id, note.poll, edited=True)
    crashpoint("change:written")
    await _write_audience(tx, stored.id, note, actor)
    await tx.execute(DELETE_TAGS, post_id=stored.id)
    await _write_tags(tx, stored.id, note, stored.visibility)
    await instance.tell(tx, PostChanged(stored.id, actor.id, stored.local, note, confidential))
    crashpoint("change:told")
    # With the words it was just made of: a locked vault could not open them again.
    return replace(await _written(tx, stored.id), sealed=None, **_words(note))


DELETE: Final = """
delete from post
where id = :id
"""

INSERT_TOMBSTONE: Final = """
insert into tombstone (uri, former_type, public, deleted_at)
values (:uri, :former_type, :public, :now)
on conflict (uri) do nothing
"""


async def remove(tx: Transaction, instance: "Instance", post: Post, *, tombstone: bool = True) -> None:
    """Deletes the post with everything that hangs on it, boosts too, and leaves a tombstone. Tells PostGone first.

    Whether its owner wishes so was asked before: `delete` asks. Call `database.erase()` after the commit, so that no file keeps the words.
    """
    await instance.tell(tx, PostGone(post.id, post.actor_id, post.uri))
    crashpoint("remove:told")
    if tombstone:
        await tx.execute(INSERT_TOMBSTONE, uri=post.uri, former_type=post.kind, public=int(post.public), now=instance.clock.ms())
    crashpoint("remove:marked")
    await tx.execute(DELETE, id=post.id)
    crashpoint("remove:deleted")


async def delete(tx: Transaction, instance: "Instance", actor: Actor, uri: Iri, *, former_type: str = "Note") -> Removed | Refused:
    """Removes the post `uri` because `actor` says so; what we never had gets a tombstone, so that a late Create cannot bring it.

    Only the owner may; of unknown things only an actor of the same host, which must not be ours (FEP-fe34).
    """
    stored = await by_uri(tx, uri)
    if stored is not None:
        if stored.actor_id != actor.id:
            return Refused("it belongs to somebody else")
        await remove(tx, instance, stored)
        return Removed(stored)
    if actor.local or not hosts.same_origin(uri, actor.uri):
        return Refused("it is not theirs")
    await tx.execute(INSERT_TOMBSTONE, uri=uri, former_type=former_type, public=0, now=instance.clock.ms())
    return Removed(None)


async def boost(
    tx: Transaction,
    instance: "Instance",
    actor: Actor,
    uri: Iri,
    of: Post,
    *,
    to: Sequence[Iri] = (),
    cc: Sequence[Iri] = (),
    published: datetime | None = None,
    local: bool = False,
) -> Post | Known | Refused:
    """Holds that `actor` announced the post `of` with the activity `uri`. Tells Boosted. One actor boosts one post once.

    Only public posts are boosted, and followers-only ones by their own author.
    """
    stored = await by_uri(tx, uri)
    if stored is not None:
        return Known(stored) if stored.actor_id == actor.id and stored.boost_of is not None else Refused("it would change hands")
    if of.boost_of is not None:
        return Refused("a boost of a boost")
    if not of.public and not (of.visibility == "followers" and of.actor_id == actor.id):
        return Refused("a boost of what is not public")
    if not local and (hosts.authority(uri) in known.ours(instance) or not hosts.same_origin(uri, actor.uri)):
        return Refused("its id is not on its author's host")
    if await tx.one(TOMBSTONE, uri=uri) is not None:
        return Refused("it was deleted")
    if (row := await tx.one(BOOST_BY, post_id=of.id, actor_id=actor.id)) is not None:
        return Known(from_row(row))
    now = instance.clock.ms()
    shell = Note(id=uri, attributed_to=actor.uri, content="", kind="Announce", to=tuple(to), cc=tuple(cc))
    when = _clamped(published, now)
    boost_id = instance.ids.new(when)
    await tx.execute(
        INSERT,
        id=boost_id,
        uri=uri,
        url=None,
        actor_id=actor.id,
        local=int(local),
        kind="Announce",
        visibility=visibility(shell, actor.followers),
        boost_of=of.id,
        in_reply_to=None,
        in_reply_to_id=None,
        conversation=None,
        content=None,
        summary=None,
        language=None,
        tags=None,
        sealed=None,
        sensitive=0,
        published=when,
        updated=None,
        received_at=now,
        document=None,
    )
    await _write_audience(tx, boost_id, shell, actor)
    await instance.tell(tx, Boosted(boost_id, of.id, actor.id))
    return await _written(tx, boost_id)


async def boost_by(tx: Transaction, actor_id: int, post_id: int) -> Post | None:
    """The boost of the post by that actor, if there is one: what an Undo without a usable id means."""
    row = await tx.one(BOOST_BY, actor_id=actor_id, post_id=post_id)
    return None if row is None else from_row(row)


@dataclass(frozen=True, slots=True)
class _Tags:
    """What hangs on a text, as the column `tags` keeps it."""

    mentions: tuple[Mention, ...] = ()
    hashtags: tuple[Hashtag, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    emojis: tuple[Emoji, ...] = ()
    translations: tuple[tuple[str, str], ...] = ()
    poll: Poll | None = None
    source: str | None = None

    @classmethod
    def read(cls, text: str | None) -> "_Tags":
        if text is None:
            return cls()
        kept = json.loads(text)
        return cls(
            tuple(Mention(Iri(href), name) for href, name in kept.get("mentions", ())),
            tuple(Hashtag(name, None if href is None else Iri(href)) for name, href in kept.get("hashtags", ())),
            tuple(Attachment(Iri(url), media_type, description) for url, media_type, description in kept.get("attachments", ())),
            tuple(Emoji(name, None if icon is None else Iri(icon)) for name, icon in kept.get("emojis", ())),
            tuple((language, words) for language, words in kept.get("translations", ())),
            _asked(kept["poll"]) if "poll" in kept else None,
            kept.get("source"),
        )

    @staticmethod
    def write(note: Note) -> str | None:
        kept: dict[str, object] = {}
        if note.mentions:
            kept["mentions"] = [(mention.href, mention.name) for mention in note.mentions[:MOST_TAGS]]
        if note.hashtags:
            kept["hashtags"] = [(tag.name, tag.href) for tag in note.hashtags[:MOST_TAGS]]
        if note.attachments:
            kept["attachments"] = [(file.url, file.media_type, file.description) for file in note.attachments[:MOST_TAGS]]
        if note.emojis:
            kept["emojis"] = [(emoji.name, emoji.icon) for emoji in note.emojis[:MOST_TAGS]]
        if others := [(language, words) for language, words in note.content_map if language != note.language]:
            kept["translations"] = others
        if note.poll is not None:
            ends = None if note.poll.ends is None else int(note.poll.ends.timestamp() * 1000)
            kept["poll"] = {"options": [option.name for option in note.poll.options], "multiple": note.poll.multiple, "ends": ends}
        if note.source is not None:
            kept["source"] = note.source
        return json.dumps(kept, ensure_ascii=False) if kept else None


def _asked(kept: Document) -> Poll:
    ends = kept["ends"]
    return Poll(tuple(Option(name) for name in kept["options"]), kept["multiple"], None if ends is None else _time(ends))


def _text(instance: "Instance", id: int, note: Note, how_far: Visibility) -> Mapping[str, Value]:
    """The columns that hold words: open for what everybody may read, one sealed blob for the rest."""
    words: dict[str, Value] = {"content": note.content, "summary": note.summary, "language": note.language, "tags": _Tags.write(note)}
    if how_far in {"public", "unlisted"}:
        return {**words, "sealed": None}
    blob = instance.vault.seal(json.dumps(words, ensure_ascii=False).encode(), _place(id))
    return {"content": None, "summary": None, "language": None, "tags": None, "sealed": blob}


async def _written(tx: Transaction, id: int) -> Post:
    post = await by_id(tx, id)
    if post is None:
        raise LookupError(f"post {id} was just written and is not there")
    return post


class _Words(TypedDict):
    """Everything of a post that rests sealed where it is not public."""

    content: str
    summary: str | None
    language: str | None
    source: str | None
    mentions: tuple[Mention, ...]
    hashtags: tuple[Hashtag, ...]
    attachments: tuple[Attachment, ...]
    emojis: tuple[Emoji, ...]
    translations: tuple[tuple[str, str], ...]
    poll: Poll | None


def _words(note: Note) -> _Words:
    return {
        "content": note.content,
        "summary": note.summary,
        "language": note.language,
        "source": note.source,
        "mentions": note.mentions,
        "hashtags": note.hashtags,
        "attachments": note.attachments,
        "emojis": note.emojis,
        "translations": tuple(entry for entry in note.content_map if entry[0] != note.language),
        "poll": note.poll,
    }


def _place(id: int) -> str:
    return f"post:{id}"


def _foreign(instance: "Instance", actor: Actor, note: Note) -> str | None:
    """Why a post of somebody else's server is not theirs to write, or None."""
    try:
        host = hosts.authority(note.id)
    except hosts.BadUrl:
        return "its id is no address"
    if actor.local or host in known.ours(instance):
        return "it claims to be one of ours"
    if note.attributed_to != actor.uri:
        return "its author is not its sender"
    if not hosts.same_origin(note.id, actor.uri):
        return "its id is not on its author's host"
    # However it came: boosted, answered or fetched by somebody whom we do listen to.
    verdict = instance.trust.actor(actor.uri, "receive")
    return None if verdict.allowed else verdict.why


def _sanitised(note: Note) -> Note:
    """The note with only the HTML we would show, and its plain fields as plain text."""
    return replace(
        note,
        content=html.sanitise(note.content),
        summary=None if note.summary is None else html.to_text(html.sanitise(note.summary)),
        content_map=tuple((language, html.sanitise(text)) for language, text in note.content_map),
    )


ACTOR_OF: Final = """
select actor.id, actor.uri, actor.local
from actor
where actor.uri = :uri
"""


@dataclass(frozen=True, slots=True)
class _Reader:
    id: int
    uri: Iri


async def _write_audience(tx: Transaction, post_id: int, note: Note, author: Actor) -> list[_Reader]:
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
    return [_Reader(row["id"], Iri(row["uri"])) for row in found.values() if row is not None and row["local"]]


async def _write_tags(tx: Transaction, post_id: int, note: Note, how_far: Visibility) -> None:
    """Tag words for the tag pages; of public posts only, for a tag says what a text is about."""
    names = dict.fromkeys(tag.name.casefold() for tag in note.hashtags[:MOST_TAGS])
    if names and how_far in {"public", "unlisted"}:
        await tx.many(INSERT_TAG, [{"post_id": post_id, "name": name} for name in names])


def _kept(document: bytes | None, how_far: Visibility) -> bytes | None:
    if document is None or how_far != "public" or len(document) > MOST_DOCUMENT:
        return None
    return zlib.compress(document, 1)  # a third faster than the default, and 5 % larger


def original(document: bytes | None) -> bytes | None:
    """The original JSON out of the column `document`."""
    return None if document is None else zlib.decompress(document)


def _clamped(when: datetime | None, now_ms: int) -> int:
    """`when` in milliseconds, never in the future and never before 1970: a peer's clock does not put its posts on top for ever."""
    if when is None:
        return now_ms
    return min(max(int(when.timestamp() * 1000), 0), now_ms)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
