# ruff: noqa: S608  # every statement here is made of our own constants
"""What does somebody see who looks at an author or a hashtag? Public listings, newest first, a page at a time, however many there are. And how many are open?

Each page looks at a bounded number of rows, found by an index; where that was not enough, it says where to go on. What is not public is not here at all:
neither in a page, nor in a count, nor in how long either takes. The board with its words and filters is fedmatch/board/search.py.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from fedmatch.board import listings
from fedmatch.board.listings import END, Listing
from fedmatch.board.search import Found, Place
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

PAGE: Final = 20
SCAN: Final = 3000
"""Rows of an index one page looks at."""

FITTING: Final = """
join listing on listing.post_id = picked.post_id
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where actor.state = 'active'
  and listing.audience = 'public'
"""

OF_AUTHOR: Final = """
select post.id as post_id
from post
where post.actor_id = :actor_id
  and post.id < :before
order by post.id desc
limit :scan
"""

OF_HASHTAG: Final = """
select post_tag.post_id
from post_tag
where post_tag.name = :hashtag
  and post_tag.post_id < :before
order by post_tag.post_id desc
limit :scan
"""

PAGE_OF_AUTHOR: Final = f"""
select {listings.COLUMNS}
from ({OF_AUTHOR}) as picked
{FITTING}
order by listing.post_id desc
limit :limit
"""

PAGE_OF_HASHTAG: Final = f"""
select {listings.COLUMNS}
from ({OF_HASHTAG}) as picked
{FITTING}
  and post.local = 1
order by listing.post_id desc
limit :limit
"""

END_OF_AUTHOR: Final = f"""
select count(*) as n, min(picked.post_id) as low
from ({OF_AUTHOR}) as picked
"""

END_OF_HASHTAG: Final = f"""
select count(*) as n, min(picked.post_id) as low
from ({OF_HASHTAG}) as picked
"""


async def of_author(tx: Transaction, instance: "Instance", actor_id: int, before: int = END, limit: int = PAGE) -> Found:
    """What an actor asks and offers in public, also what is closed, older than the key `before`; nothing of one whom our policy, or their server, hides."""
    rows = await tx.all(PAGE_OF_AUTHOR, actor_id=actor_id, before=before, scan=SCAN, limit=limit + 1)
    shown = [row for row in rows if row["local"] or (instance.trust.actor(row["author_uri"], "receive").shown and not row["kept_in"])]
    found = await listings.from_rows(tx, instance, shown)
    if len(rows) > limit:
        return _found(found, limit, rows[-1]["post_id"])
    looked = await tx.one(END_OF_AUTHOR, actor_id=actor_id, before=before, scan=SCAN)
    return _found(found, limit, looked["low"] if looked is not None and looked["n"] == SCAN else None)


async def of_hashtag(tx: Transaction, instance: "Instance", name: str, before: int = END, limit: int = PAGE) -> Found:
    """What of this instance has the tag `name` (casefolded), also what is closed, older than the key `before`."""
    rows = await tx.all(PAGE_OF_HASHTAG, hashtag=name, before=before, scan=SCAN, limit=limit + 1)
    found = await listings.from_rows(tx, instance, rows)
    if len(rows) > limit:
        return _found(found, limit, rows[-1]["post_id"])
    looked = await tx.one(END_OF_HASHTAG, hashtag=name, before=before, scan=SCAN)
    return _found(found, limit, looked["low"] if looked is not None and looked["n"] == SCAN else None)


def _found(found: list[Listing], limit: int, on: int | None) -> Found:
    if len(found) > limit:
        return Found(tuple(found[:limit]), Place(found[limit - 1].id))
    return Found(tuple(found), None if on is None else Place(on))


MOST_COUNTED: Final = 5000
BUCKETS: Final = (10, 20, 50, 100, 200, 500, 1000, 2000)
"""What a count is rounded to: fewer than the first are not told at all, so that no single listing shows in a number."""

COUNT: Final = """
select newest.kind, count(*) as n
from (
  select listing.kind
  from listing
  where listing.state = 'open'
    and listing.audience = 'public'
    and (listing.until is null or listing.until > :now)
    and (listing.expires_at is null or listing.expires_at > :now)
  order by listing.post_id desc
  limit :most
) as newest
group by newest.kind
"""


async def counters(tx: Transaction, instance: "Instance") -> Mapping[str, int]:
    """More than how many public requests and offers are open, by kind: one of `BUCKETS`, 0 for too few to tell."""
    rows = await tx.all(COUNT, now=instance.clock.ms(), most=MOST_COUNTED)
    return {"request": 0, "offer": 0} | {row["kind"]: bucket(int(row["n"])) for row in rows}


def bucket(number: int) -> int:
    """The largest of `BUCKETS` that is smaller than a number, 0 if none is."""
    return max((step for step in BUCKETS if step < number), default=0)
