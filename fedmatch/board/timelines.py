"""What does somebody read? Home and public timelines, newest first, by keyset pages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import quiet
from actors.known import Actor
from fedmatch import times
from outbox import held
from outbox.visible import VISIBLE, Member, seen_by
from schemas import html
from schemas.reading import Iri, Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance


@dataclass(frozen=True, slots=True)
class Page:
    """At most `limit` entries older than the post `before`."""

    limit: int = 20
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to read; `key` is what the next page begins before, `author` a handle, `at` when it was published (ms).

    `summary` is the content warning, None without one: whoever shows the entry shows it first.
    What a page may not show is made when asked for: the words without markup and the time in words cost more than reading the row.
    """

    key: int
    url: Iri
    author: str
    html: str
    summary: str | None
    at: int
    reply_to: Iri | None

    @property
    def text(self) -> str:
        """The words without markup."""
        return html.to_text(self.html)

    @property
    def published(self) -> str:
        """When it was published, as RFC 3339 says it."""
        return times.rfc3339(self.at)

    def json(self) -> dict[str, str | None]:
        """The form scripts read; `summary` is there where there is a warning."""
        words = {"text": self.text, "html": self.html} if self.summary is None else {"summary": self.summary, "text": self.text, "html": self.html}
        return {"url": self.url, "author": self.author, **words, "published": self.published, "reply_to": self.reply_to}


COLUMNS: Final = """shown.id, shown.uri, shown.content, shown.summary, shown.sealed, shown.published, shown.in_reply_to, post.id as key,
  actor.username, actor.handle_host"""
"""What an entry is made of, and no more: a post has 25 columns, and each costs for twenty of them."""

# `shown` is the post itself or, of a boost, what it boosts; `post` is the row whose place and visibility count.
HOME: Final = f"""
select {COLUMNS}
from home
join post on post.id = home.post_id
join post as shown on shown.id = coalesce(post.boost_of, post.id)
join actor on actor.id = shown.actor_id
where home.actor_id = :reader
  and home.post_id < :before
  and actor.state = 'active'
  and {VISIBLE}
order by home.post_id desc
limit :limit
"""  # noqa: S608  # only our own constant is put in

PUBLIC: Final = """
select post.id, post.uri, post.content, post.summary, post.sealed, post.published, post.in_reply_to, post.id as key, actor.username, actor.handle_host,
  post.local, actor.uri as author_uri
from post
join actor on actor.id = post.actor_id
where post.visibility = 'public'
  and post.boost_of is null
  and post.id < :before
  and actor.state = 'active'
  and not exists (
    select 1
    from block
    where (block.actor_id = :reader and block.blocked_id = post.actor_id)
       or (block.actor_id = post.actor_id and block.blocked_id = :reader)
  )
order by post.id desc
limit :limit
"""

# As HOME, of what one Service announces.
ANNOUNCED: Final = f"""
select {COLUMNS}
from post
join post as shown on shown.id = post.boost_of
join actor on actor.id = shown.actor_id
where post.actor_id = :service
  and post.id < :before
  and actor.state = 'active'
  and {VISIBLE}
order by post.id desc
limit :limit
"""  # noqa: S608  # only our own constant is put in

END: Final = 2**63 - 1


async def home(tx: Transaction, instance: "Instance", reader: Actor, page: Page) -> list[Entry]:
    """What the people `reader` follows wrote and boosted, what is addressed to it, and its own posts. Raises `actors.vault.Locked` if one is private.

    What the Services it follows announce stands among it, each listing once; no row says so, and while the vault is locked it is left out.
    """
    rows = list(await tx.all(HOME, reader=reader.id, before=page.before or END, limit=page.limit, **seen_by(Member(reader.id))))
    for service in await quiet.joined(tx, instance, reader):
        rows += await tx.all(ANNOUNCED, service=service.id, before=page.before or END, limit=page.limit, **seen_by(Member(reader.id)))
        rows.sort(key=lambda row: -int(row["key"]))
    newest: dict[int, Row] = {}
    for row in rows:
        newest.setdefault(row["id"], row)
    return [_entry(instance, row) for row in list(newest.values())[: page.limit]]


async def public(tx: Transaction, instance: "Instance", reader: Actor, page: Page) -> list[Entry]:
    """Every public post known here, but of those who are blocked (by an admin, by `reader`, or who block it), limited, or strangers who wait for an admin."""
    found: list[Entry] = []
    before: int | None = page.before or END
    while before is not None and len(found) < page.limit:
        rows = await tx.all(PUBLIC, reader=reader.id, before=before, limit=page.limit)
        shown = [row for row in rows if row["local"] or instance.trust.actor(row["author_uri"], "receive").shown]
        found += [_entry(instance, row) for row in shown[: page.limit - len(found)]]
        before = rows[-1]["key"] if len(rows) == page.limit else None
    return found


def _entry(instance: "Instance", row: Row) -> Entry:
    sealed = row["sealed"]
    content, summary = (row["content"], row["summary"]) if sealed is None else held.words(instance, row["id"], sealed)
    return Entry(row["key"], row["uri"], f"{row['username']}@{row['handle_host']}", content or "", summary or None, row["published"], row["in_reply_to"])
