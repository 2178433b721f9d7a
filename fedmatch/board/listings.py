"""What is asked for and offered? Listings as rows and as the JSON that scripts read, and the queries that find them.

A listing is a post with extra rows; only public ones are held in clear, and in this file only public ones are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from actors import hosts
from fedmatch import times
from schemas.objects import Proposal, Purpose, Urgency
from schemas.reading import Iri, Row
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

OPEN: Final = frozenset({"open", "paused", "matched"})
"""The states in which `until` still counts."""

END: Final = 2**63 - 1

Json = None | str | list[str]


@dataclass(frozen=True, slots=True)
class Listing:
    """One request or offer as we hold it; `author` is a handle, `origin` the host it lives on."""

    id: int
    url: Iri
    actor_id: int
    local: bool
    kind: Purpose
    state: str
    title: str
    text: str
    language: str | None
    categories: tuple[str, ...]
    skills: tuple[str, ...]
    speaks: tuple[str, ...]
    region: str | None
    urgency: Urgency | None
    until: datetime | None
    audience: str
    author: str
    origin: str
    published: int
    updated: int | None

    @property
    def proposal(self) -> Proposal:
        """The members it has on the wire."""
        return Proposal(
            purpose=self.kind,
            title=self.title,
            text=self.text,
            status=self.state,
            categories=self.categories,
            skills=self.skills,
            speaks=self.speaks,
            region=self.region,
            urgency=self.urgency,
            until=self.until,
        )

    def json(self) -> dict[str, Json]:
        """The form scripts read; ids are strings, because they do not fit into a JSON number everywhere."""
        return {
            "id": str(self.id),
            "url": self.url,
            "kind": self.kind,
            "state": self.state,
            "title": self.title,
            "text": self.text,
            "language": self.language,
            "categories": list(self.categories),
            "skills": list(self.skills),
            "speaks": list(self.speaks),
            "region": self.region,
            "urgency": self.urgency,
            "until": times.rfc3339(times.milliseconds(self.until)) if self.until else None,
            "audience": self.audience,
            "author": self.author,
            "origin": self.origin,
        }


LISTING: Final = """
select listing.post_id, listing.kind, listing.state, listing.audience, listing.title, listing.text, listing.language,
  listing.region, listing.urgency, listing.until, post.uri, post.actor_id, post.local, post.published, post.updated, actor.username, actor.handle_host,
  actor.uri as author_uri
from listing
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where listing.audience = 'public'
  and actor.state = 'active'
"""

BY_ID: Final = f"""
{LISTING}
  and listing.post_id = :id
"""

BY_URL: Final = f"""
{LISTING}
  and (post.uri = :url or post.url = :url)
order by listing.post_id
limit 1
"""

NEWEST: Final = f"""
{LISTING}
  and (post.local = 1 or cast(:network as integer) = 1)
  and post.id < :before
  and (cast(:kind as text) = '' or listing.kind = :kind)
  and (cast(:open as integer) = 0 or (listing.state = 'open' and (listing.until is null or listing.until > :now)))
order by listing.post_id desc
limit :limit
"""

OF_AUTHOR: Final = f"""
{LISTING}
  and post.actor_id = :actor_id
order by listing.post_id desc
limit :limit
"""

TAGGED: Final = f"""
{LISTING}
  and post.local = 1
  and post.id in (
    select post_tag.post_id
    from post_tag
    where post_tag.name = :name
  )
order by listing.post_id desc
limit :limit
"""  # noqa: S608  # only our own constant is put in

TAGS: Final = """
select listing_tag.post_id, listing_tag.kind, listing_tag.slug
from listing_tag
where listing_tag.post_id between :low and :high
order by listing_tag.post_id, listing_tag.kind, listing_tag.place
"""


def _from_row(row: Row, now_ms: int, ours: str) -> Listing:
    expired = row["until"] is not None and row["until"] <= now_ms and row["state"] in OPEN
    return Listing(
        id=row["post_id"],
        url=Iri(row["uri"]),
        actor_id=row["actor_id"],
        local=bool(row["local"]),
        kind=row["kind"],
        # Whoever reads enforces the end; the job that writes it down may be late, and the origin may be gone.
        state="expired" if expired else row["state"],
        title=row["title"] or "",
        text=row["text"] or "",
        language=row["language"],
        categories=(),
        skills=(),
        speaks=(),
        region=row["region"],
        urgency=row["urgency"],
        until=times.moment(row["until"]) if row["until"] is not None else None,
        audience=row["audience"],
        author=f"{row['username']}@{row['handle_host']}",
        origin=ours if row["local"] else hosts.authority(row["uri"]),
        published=row["published"],
        updated=row["updated"],
    )


async def _tagged(tx: Transaction, found: Sequence[Listing]) -> list[Listing]:
    """The listings with their categories, skills and languages, for one query more."""
    if not found:
        return []
    slugs: dict[tuple[int, str], list[str]] = {}
    for row in await tx.all(TAGS, low=min(one.id for one in found), high=max(one.id for one in found)):
        slugs.setdefault((row["post_id"], row["kind"]), []).append(row["slug"])

    def of(id: int, kind: str) -> tuple[str, ...]:
        return tuple(slugs.get((id, kind), ()))

    return [replace(one, categories=of(one.id, "category"), skills=of(one.id, "skill"), speaks=of(one.id, "speaks")) for one in found]


async def newest(
    tx: Transaction, instance: "Instance", *, network: bool = False, kind: str | None = None, open_only: bool = False, limit: int = 100
) -> list[Listing]:
    """Public listings of this instance, newest first; with `network` also what arrived, but of those who are blocked, limited, or wait for an admin."""
    now = instance.clock.ms()
    found: list[Listing] = []
    before: int | None = END
    while before is not None and len(found) < limit:
        rows = await tx.all(NEWEST, network=int(network), kind=kind or "", open=int(open_only), now=now, before=before, limit=limit)
        shown = [row for row in rows if row["local"] or instance.trust.actor(row["author_uri"], "receive").shown]
        found += [_from_row(row, now, instance.config.host) for row in shown[: limit - len(found)]]
        before = rows[-1]["post_id"] if len(rows) == limit else None
    return await _tagged(tx, found)


async def of_author(tx: Transaction, instance: "Instance", actor_id: int, limit: int) -> list[Listing]:
    """Public listings of one actor, newest first."""
    rows = await tx.all(OF_AUTHOR, actor_id=actor_id, limit=limit)
    return await _tagged(tx, [_from_row(row, instance.clock.ms(), instance.config.host) for row in rows])


async def tagged(tx: Transaction, instance: "Instance", name: str, limit: int) -> list[Listing]:
    """Public listings of this instance with the tag `name` (casefolded), newest first."""
    rows = await tx.all(TAGGED, name=name, limit=limit)
    return await _tagged(tx, [_from_row(row, instance.clock.ms(), instance.config.host) for row in rows])


async def by_id(tx: Transaction, instance: "Instance", id: int) -> Listing | None:
    """The public listing with our id."""
    row = await tx.one(BY_ID, id=id)
    return None if row is None else (await _tagged(tx, [_from_row(row, instance.clock.ms(), instance.config.host)]))[0]


async def find(tx: Transaction, instance: "Instance", which: str) -> Listing | None:
    """The public listing named by our id or by its URL."""
    if which.isascii() and which.isdigit() and len(which) < 19:
        return await by_id(tx, instance, int(which))
    row = await tx.one(BY_URL, url=which)
    return None if row is None else (await _tagged(tx, [_from_row(row, instance.clock.ms(), instance.config.host)]))[0]


INSERT: Final = """
insert into listing (post_id, kind, state, audience, title, text, language, region, urgency, until, created_at, changed_at)
values (:post_id, :kind, :state, :audience, :title, :text, :language, :region, :urgency, :until, :now, :now)
on conflict (post_id) do update
set kind = excluded.kind, state = excluded.state, title = excluded.title, text = excluded.text, language = excluded.language, region = excluded.region,
  urgency = excluded.urgency, until = excluded.until, changed_at = excluded.changed_at
"""

DELETE_TAGS: Final = """
delete from listing_tag
where post_id = :post_id
"""

INSERT_TAG: Final = """
insert into listing_tag (post_id, kind, slug, place)
values (:post_id, :kind, :slug, :place)
on conflict (post_id, kind, slug) do nothing
"""

STATE: Final = """
select listing.state, listing.until
from listing
where listing.post_id = :post_id
"""

SET_STATE: Final = """
update listing
set state = :state, changed_at = :now
where post_id = :post_id
"""

DELETE: Final = """
delete from listing
where post_id = :post_id
"""

MOST_SLUGS: Final = 20


async def write(tx: Transaction, post_id: int, proposal: Proposal, state: str, language: str | None, now_ms: int) -> None:
    """Writes the rows of a public listing, or brings them up to date."""
    await tx.execute(
        INSERT,
        post_id=post_id,
        kind=proposal.purpose,
        state=state,
        audience="public",
        title=proposal.title,
        text=proposal.text,
        language=language,
        region=proposal.region,
        urgency=proposal.urgency,
        until=times.milliseconds(proposal.until) if proposal.until else None,
        now=now_ms,
    )
    await tx.execute(DELETE_TAGS, post_id=post_id)
    kinds = (("category", proposal.categories), ("skill", proposal.skills), ("speaks", proposal.speaks))
    tags: list[dict[str, Value]] = [
        {"post_id": post_id, "kind": kind, "slug": slug, "place": place}
        for kind, slugs in kinds
        for place, slug in enumerate(dict.fromkeys(slugs[:MOST_SLUGS]))
    ]
    if tags:
        await tx.many(INSERT_TAG, tags)


async def state_of(tx: Transaction, post_id: int) -> str | None:
    """The stored state of the listing of that post; None if the post is none."""
    row = await tx.one(STATE, post_id=post_id)
    return None if row is None else str(row["state"])


async def set_state(tx: Transaction, post_id: int, state: str, now_ms: int) -> None:
    """Writes a state that `schemas.states.LISTING` allowed."""
    await tx.execute(SET_STATE, post_id=post_id, state=state, now=now_ms)


async def remove(tx: Transaction, post_id: int) -> None:
    """Takes the listing off a post that stays."""
    await tx.execute(DELETE, post_id=post_id)
