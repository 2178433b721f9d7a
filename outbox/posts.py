"""Which posts do we hold, ours and theirs? The one way in, the one way to change them, and the one way out of the house.

What is not public rests sealed: its text, summary, language and tags are one sealed blob, and the columns for them are null.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from actors import blocks, hosts, known, spent
from actors.known import Actor
from outbox import polls
from outbox.held import AUDIENCE, PUBLIC_SPELLINGS, Known, Post, Refused, Removed, Taken, by_id, by_uri, from_row, note, opened, visibility
from outbox.readers import MOST_ADDRESSED, write_audience, write_tags
from outbox.words import columns, kept, original, words
from schemas import html
from schemas.crashpoint import crashpoint
from schemas.events import Answer, Boosted, Mentioned, PostArrived, PostChanged, PostGone, PostStored
from schemas.objects import Note
from schemas.reading import Iri
from schemas.storage import Transaction, Unavailable

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

__all__ = [
    "AUDIENCE", "MOST_ADDRESSED", "PUBLIC_SPELLINGS", "Known", "Post", "Refused", "Removed", "Taken", "boost", "boost_by", "by_id", "by_uri", "change",
    "delete", "from_row", "note", "opened", "original", "remove", "store", "visibility",
]  # fmt: skip

DAY_MS: Final = 24 * 60 * 60 * 1000

BOOST_BY: Final = """
select post.*
from post
where post.boost_of = :post_id
  and post.actor_id = :actor_id
"""

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

GIVEN_AGAIN: Final = """
delete from tombstone
where uri = :uri
  and public = 0
  and deleted_at < :said_at
"""

INSERT: Final = """
insert into post (id, uri, url, actor_id, local, kind, visibility, boost_of, in_reply_to, in_reply_to_id, conversation,
  content, summary, language, tags, sealed, sensitive, published, updated, received_at, document)
values (:id, :uri, :url, :actor_id, :local, :kind, :visibility, :boost_of, :in_reply_to, :in_reply_to_id, :conversation,
  :content, :summary, :language, :tags, :sealed, :sensitive, :published, :updated, :received_at, :document)
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


async def unused(tx: Transaction, instance: "Instance", uri: Iri) -> bool:
    """Whether a URI was never given: no post has it, none that was deleted had it, and none that a restore lost. Raises `actors.vault.Locked`."""
    standing = await tx.one(STANDING, uri=uri)
    given = standing is not None and (standing["held"] is not None or standing["deleted"] is not None)
    return not given and not await spent.holds(tx, instance, uri)


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
    said_at: datetime | None = None,
) -> Post | Known | Taken | Refused:
    """Holds `note` of `actor`: the post with its text, or why nothing was stored. Tells PostArrived (of others' posts, before), PostStored and Mentioned.

    `local` posts are written by the product, with the id their uri names; others' must come from a verified `actor` and pass the rules of FEP-fe34: id and
    author on one host, never ours, not tombstoned, never another author's. HTML is sanitised here. `document` is the original JSON, kept for public posts only.
    `confidential`: it came sealed, from a trusted peer; one that was deleted may be given again by its own home, if that was said (`said_at`) after it went.
    """
    standing = await tx.one(STANDING, uri=note.id)
    if standing is not None and standing["held"] is not None and (stored := await by_id(tx, standing["held"])) is not None:
        return Known(stored) if stored.actor_id == actor.id else Refused("it would change hands")
    deleted = standing is not None and standing["deleted"] is not None
    if deleted and (local or not confidential):
        return Refused("it was deleted")
    if await spent.holds(tx, instance, note.id):
        if local:
            raise Unavailable("the id that was drawn had been given before the restore; trying again draws another")
        return Refused("it was deleted")
    now = instance.clock.ms()
    published = clamped(note.published, now)
    if local:
        # What we say of ourselves stays as it is: a clock that goes back over the hour while this is written would make a finer time of a full hour.
        published = published if note.published is None else int(note.published.timestamp() * 1000)
        if not actor.local or note.attributed_to != actor.uri:
            raise ValueError("a local post is written by one of our own actors, as itself")
    else:
        if actor.local:
            return Refused("it claims to be one of ours")
        why = "its author is not its sender" if note.attributed_to != actor.uri else not_at_home(instance, actor.uri, note.id)
        if why is not None:
            return Refused(why)
        # Only now that it is theirs to give: a stranger's word must not lift the mark that keeps a deleted post away.
        if deleted and not await _given_again(tx, note.id, said_at):
            return Refused("it was deleted")
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
        updated=None if note.updated is None else clamped(note.updated, now),
        received_at=now,
        **words(note),
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
        document=kept(document, how_far),
        **columns(instance, new_id, note, how_far),
    )
    crashpoint("store:inserted")
    if note.poll is not None:
        await polls.keep(tx, new_id, note.poll)
    local_readers = await write_audience(tx, new_id, note, actor)
    await write_tags(tx, new_id, note, how_far)
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
        if note.proposal is None and (note.published is None or clamped(note.published, now) < now - DAY_MS):
            return Refused("an edit of something old that we never had")
        return await store(tx, instance, actor, note, local=False, document=document, confidential=confidential)
    if stored.actor_id != actor.id or note.attributed_to != actor.uri or stored.boost_of is not None:
        return Refused("it belongs to somebody else")
    if note.published is not None and clamped(note.published, stored.received_at) // 1000 != stored.published // 1000:
        return Refused("its time of publication would change")
    # Our own edits may run a few seconds ahead: each has a later second than the one before.
    updated = None if note.updated is None else clamped(note.updated, now + DAY_MS if stored.local else now)
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
        document=kept(document, stored.visibility),
        **columns(instance, stored.id, note, stored.visibility),
    )
    if note.poll is not None and not stored.local:
        await polls.told(tx, stored.id, note.poll, edited=True)
    crashpoint("change:written")
    await write_audience(tx, stored.id, note, actor)
    await tx.execute(DELETE_TAGS, post_id=stored.id)
    await write_tags(tx, stored.id, note, stored.visibility)
    await instance.tell(tx, PostChanged(stored.id, actor.id, stored.local, note, confidential))
    crashpoint("change:told")
    # With the words it was just made of: a locked vault could not open them again.
    return replace(await _written(tx, stored.id), sealed=None, **words(note))


DELETE: Final = """
delete from post
where id = :id
"""

INSERT_TOMBSTONE: Final = """
insert into tombstone (uri, former_type, public, deleted_at)
values (:uri, :former_type, :public, :at)
on conflict (uri) do nothing
"""


async def remove(tx: Transaction, instance: "Instance", post: Post, *, tombstone: bool = True, said_at: datetime | None = None) -> None:
    """Deletes the post with everything that hangs on it, boosts too, and leaves a tombstone. Tells PostGone first.

    Whether its owner wishes so was asked before: `delete` asks. Call `database.erase()` after the commit, so that no file keeps the words.
    """
    await instance.tell(tx, PostGone(post.id, post.actor_id, post.uri))
    crashpoint("remove:told")
    if tombstone:
        await tx.execute(INSERT_TOMBSTONE, uri=post.uri, former_type=post.kind, public=int(post.public), at=_buried(instance, said_at))
    crashpoint("remove:marked")
    await tx.execute(DELETE, id=post.id)
    crashpoint("remove:deleted")


async def delete(
    tx: Transaction, instance: "Instance", actor: Actor, uri: Iri, *, former_type: str = "Note", said_at: datetime | None = None
) -> Removed | Refused:
    """Removes the post `uri` because `actor` says so; what we never had gets a tombstone, so that a late Create cannot bring it.

    Only the owner may; of unknown things only an actor of the same host, which must not be ours (FEP-fe34). `said_at`: when they say that they said it.
    """
    stored = await by_uri(tx, uri)
    if stored is not None:
        if stored.actor_id != actor.id:
            return Refused("it belongs to somebody else")
        await remove(tx, instance, stored, said_at=said_at)
        return Removed(stored)
    if actor.local or not hosts.same_origin(uri, actor.uri):
        return Refused("it is not theirs")
    await tx.execute(INSERT_TOMBSTONE, uri=uri, former_type=former_type, public=0, at=_buried(instance, said_at))
    return Removed(None)


def _buried(instance: "Instance", said_at: datetime | None) -> int:
    """From when on something is deleted, in milliseconds: when its owner said so (as what gives it again is dated), a day ahead at most; or now."""
    now = instance.clock.ms()
    return now if said_at is None else min(now + DAY_MS, int(said_at.timestamp() * 1000))


async def _given_again(tx: Transaction, uri: Iri, said_at: datetime | None) -> bool:
    """Whether what was taken back is given anew; a Create that was merely late was said before."""
    return said_at is not None and await tx.execute(GIVEN_AGAIN, uri=uri, said_at=int(said_at.timestamp() * 1000)) > 0


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
    if await tx.one(TOMBSTONE, uri=uri) is not None or await spent.holds(tx, instance, uri):
        return Refused("it was deleted")
    if (row := await tx.one(BOOST_BY, post_id=of.id, actor_id=actor.id)) is not None:
        return Known(from_row(row))
    now = instance.clock.ms()
    shell = Note(id=uri, attributed_to=actor.uri, content="", kind="Announce", to=tuple(to), cc=tuple(cc))
    when = clamped(published, now)
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
    await write_audience(tx, boost_id, shell, actor)
    await instance.tell(tx, Boosted(boost_id, of.id, actor.id))
    return await _written(tx, boost_id)


async def boost_by(tx: Transaction, actor_id: int, post_id: int) -> Post | None:
    """The boost of the post by that actor, if there is one: what an Undo without a usable id means."""
    row = await tx.one(BOOST_BY, actor_id=actor_id, post_id=post_id)
    return None if row is None else from_row(row)


async def _written(tx: Transaction, id: int) -> Post:
    post = await by_id(tx, id)
    if post is None:
        raise LookupError(f"post {id} was just written and is not there")
    return post


def not_at_home(instance: "Instance", sender: Iri, id: Iri) -> str | None:
    """Why a post of somebody else's server, which says it is by `sender`, is not theirs to write; or None."""
    try:
        host = hosts.authority(id)
    except hosts.BadUrl:
        return "its id is no address"
    if host in known.ours(instance):
        return "it claims to be one of ours"
    if not hosts.same_origin(id, sender):
        return "its id is not on its author's host"
    # However it came: boosted, answered or fetched by somebody whom we do listen to.
    verdict = instance.trust.actor(sender, "receive")
    return None if verdict.allowed else verdict.why


def _sanitised(note: Note) -> Note:
    """The note with only the HTML we would show, and its plain fields as plain text."""
    return replace(
        note,
        content=html.sanitise(note.content),
        summary=None if note.summary is None else html.to_text(html.sanitise(note.summary)),
        content_map=tuple((language, html.sanitise(text)) for language, text in note.content_map),
    )


def clamped(when: datetime | None, now_ms: int) -> int:
    """`when` in milliseconds, never in the future and never before 1970: a peer's clock does not put its posts on top for ever."""
    if when is None:
        return now_ms
    return min(max(int(when.timestamp() * 1000), 0), now_ms)
