# ruff: noqa: S608  # every statement here is made of our own constants
"""What does somebody see who looks through the board? Public listings that fit some wishes, newest first, a page at a time, however many there are.

Each page looks at a bounded number of rows, found by an index; where that was not enough, it says where to go on. What is not public is not here at all:
neither in a page, nor in a count, nor in how long either takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fedmatch.board import listings, search
from fedmatch.board.listings import END, Listing
from fedmatch.board.search import Wanted
from schemas import vocabulary
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

PAGE: Final = 20
SCAN: Final = 3000
"""Rows of an index one page looks at."""
READ: Final = 1200
"""Listings one page reads whole to look for words in them."""
CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody looks for; what is empty does not matter. `slug` is a canonical category or skill, `region` where the need is; `words` must all occur.

    `actor_id`, or else `hashtag` (casefolded), narrows it to the page of an author or a tag. `closed` shows what is not open as well.
    """

    kind: str = ""
    slug: str = ""
    speaks: str = ""
    region: str = ""
    urgency: str = ""
    words: tuple[str, ...] = ()
    actor_id: int = 0
    hashtag: str = ""
    closed: bool = False
    network: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """One page; `more` is the key to go on with (older than that), None at the end. It may be shorter than a page and still go on."""

    listings: tuple[Listing, ...]
    more: int | None


BY_AUTHOR: Final = """
select post.id as post_id
from post
where post.actor_id = :actor_id
  and post.id < :before
order by post.id desc
limit :scan
"""

BY_HASHTAG: Final = """
select post_tag.post_id
from post_tag
where post_tag.name = :hashtag
  and post_tag.post_id < :before
order by post_tag.post_id desc
limit :scan
"""

BY_CATEGORY: Final = """
select listing_tag.post_id
from listing_tag
where listing_tag.kind = 'category'
  and listing_tag.slug = :slug
  and listing_tag.post_id < :before
order by listing_tag.post_id desc
limit :scan
"""

BY_SKILL: Final = """
select listing_tag.post_id
from listing_tag
where listing_tag.kind = 'skill'
  and listing_tag.slug = :slug
  and listing_tag.post_id < :before
order by listing_tag.post_id desc
limit :scan
"""

BY_REGION: Final = """
select listing.post_id
from listing
where listing.region = :region
  and listing.post_id < :before
order by listing.post_id desc
limit :scan
"""

BY_LANGUAGE: Final = """
select listing_tag.post_id
from listing_tag
where listing_tag.kind = 'speaks'
  and listing_tag.slug = :speaks
  and listing_tag.post_id < :before
order by listing_tag.post_id desc
limit :scan
"""

BY_STATE: Final = """
select listing.post_id
from listing
where listing.state = 'open'
  and listing.post_id < :before
order by listing.post_id desc
limit :scan
"""


FITTING: Final = """) as picked
join listing on listing.post_id = picked.post_id
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where actor.state = 'active'
  and listing.audience = 'public'
  and (cast(:kind as text) = '' or listing.kind = :kind)
  and (cast(:region as text) = '' or listing.region = :region)
  and (cast(:urgency as text) = '' or listing.urgency = :urgency)
  and (post.local = 1 or cast(:network as integer) = 1)
  and (cast(:closed as integer) = 1 or (
    listing.state = 'open'
    and (listing.until is null or listing.until > :now)
    and (listing.expires_at is null or listing.expires_at > :now)
  ))
  and (cast(:slug as text) = '' or exists (
    select 1
    from listing_tag
    where listing_tag.post_id = listing.post_id
      and listing_tag.kind in ('category', 'skill')
      and listing_tag.slug = :slug
  ))
  and (cast(:speaks as text) = '' or exists (
    select 1
    from listing_tag
    where listing_tag.post_id = listing.post_id
      and listing_tag.kind = 'speaks'
      and listing_tag.slug = :speaks
  ))
order by listing.post_id desc
limit :limit
"""
"""What makes a page of one index: that index bounds what is looked at, whatever else is wished for."""
LOOKED: Final = "count(*) as n, min(picked.post_id) as low"

PAGE_BY_AUTHOR: Final = f"select {listings.COLUMNS} from ({BY_AUTHOR}{FITTING}"
PAGE_BY_HASHTAG: Final = f"select {listings.COLUMNS} from ({BY_HASHTAG}{FITTING}"
PAGE_BY_CATEGORY: Final = f"select {listings.COLUMNS} from ({BY_CATEGORY}{FITTING}"
PAGE_BY_SKILL: Final = f"select {listings.COLUMNS} from ({BY_SKILL}{FITTING}"
PAGE_BY_REGION: Final = f"select {listings.COLUMNS} from ({BY_REGION}{FITTING}"
PAGE_BY_LANGUAGE: Final = f"select {listings.COLUMNS} from ({BY_LANGUAGE}{FITTING}"
PAGE_BY_STATE: Final = f"select {listings.COLUMNS} from ({BY_STATE}{FITTING}"
END_BY_AUTHOR: Final = f"select {LOOKED} from ({BY_AUTHOR}) as picked"
END_BY_HASHTAG: Final = f"select {LOOKED} from ({BY_HASHTAG}) as picked"
END_BY_CATEGORY: Final = f"select {LOOKED} from ({BY_CATEGORY}) as picked"
END_BY_SKILL: Final = f"select {LOOKED} from ({BY_SKILL}) as picked"
END_BY_REGION: Final = f"select {LOOKED} from ({BY_REGION}) as picked"
END_BY_LANGUAGE: Final = f"select {LOOKED} from ({BY_LANGUAGE}) as picked"
END_BY_STATE: Final = f"select {LOOKED} from ({BY_STATE}) as picked"


def _ways(wish: Wish) -> tuple[str, str]:
    """The two statements over the index that is most likely to be short."""
    if wish.actor_id:
        return PAGE_BY_AUTHOR, END_BY_AUTHOR
    if wish.hashtag:
        return PAGE_BY_HASHTAG, END_BY_HASHTAG
    if wish.slug:
        return (PAGE_BY_SKILL, END_BY_SKILL) if vocabulary.is_skill(wish.slug) else (PAGE_BY_CATEGORY, END_BY_CATEGORY)
    if wish.region:
        return PAGE_BY_REGION, END_BY_REGION
    if wish.speaks:
        return PAGE_BY_LANGUAGE, END_BY_LANGUAGE
    return PAGE_BY_STATE, END_BY_STATE


def _named(statement: str, values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if f":{name}" in statement}


async def page(tx: Transaction, instance: "Instance", wish: Wish, before: int = END, limit: int = PAGE) -> Found:
    """The public listings that fit, newest first, older than the key `before`; without those of whom our policy hides."""
    statement, end = _ways(wish)
    values: dict[str, Value] = {
        "kind": wish.kind,
        "slug": wish.slug,
        "speaks": wish.speaks,
        "region": wish.region,
        "urgency": wish.urgency,
        "hashtag": wish.hashtag,
        "actor_id": wish.actor_id,
        "closed": int(wish.closed),
        "network": int(wish.network),
        "now": instance.clock.ms(),
    }
    wanted = Wanted(words=wish.words)
    chunk = CHUNK if wish.words else limit + 1
    found: list[Listing] = []
    read = 0
    on: int | None = before
    while on is not None and len(found) <= limit and read < READ:
        rows = await tx.all(statement, before=on, scan=SCAN, limit=chunk, **_named(statement, values))
        read += max(len(rows), CHUNK)
        shown = [row for row in rows if row["local"] or instance.trust.actor(row["author_uri"], "receive").shown]
        found += [one for one in await listings.from_rows(tx, instance, shown) if search.matches(one, wanted)]
        if len(rows) == chunk:
            on = rows[-1]["post_id"]
            continue
        looked = await tx.one(end, before=on, scan=SCAN, **_named(end, values))
        on = looked["low"] if looked is not None and looked["n"] == SCAN else None
    if len(found) > limit:
        return Found(tuple(found[:limit]), found[limit - 1].id)
    return Found(tuple(found), on)


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
