"""What is asked for and offered? Listings as rows and as the JSON that scripts read, and the queries that find them.

A listing is a post with extra rows. A public one is held in clear; of any other the words, tags, languages and regions rest sealed in one blob. What says
"public" in this file gives nothing else; who may read the rest is asked in fedmatch/board/readers.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from actors import generations, hosts, trust
from actors.known import Actor
from fedmatch import times
from schemas import vocabulary
from schemas.objects import Circle, Need, Proposal, Purpose, Translation, Urgency, Vouch
from schemas.reading import Iri, Row
from schemas.storage import Transaction, Value

if TYPE_CHECKING:
    from actors.instance import Instance

OPEN: Final = frozenset({"open", "paused", "matched"})
"""The states in which its end still counts."""

END: Final = 2**63 - 1

AudienceName = Literal["public", "network", "peers", "local"]
Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class Listing:
    """One request or offer as we hold it; `author` is a handle, `origin` the host it lives on. Before it is published it has no `url`.

    `named` are the peers of an audience `peers` of ours. `confidential`: it came sealed, from a trusted peer. `pace` 0: its times are exact; 1: they are
    coarse, whole hours; 2: it also leaves on the hour. `pause` says why it is paused: it is full, or its author wishes so. `warning` is what its author's
    server wants said before the text is shown.
    """

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
    audience: AudienceName
    author: str
    origin: str
    published: int
    updated: int | None
    expires: datetime | None = None
    helper_region: str | None = None
    only_speaks: bool = False
    only_region: bool = False
    capacity: int | None = None
    needs: tuple[Need, ...] = ()
    translations: tuple[Translation, ...] = ()
    follow_up_of: Iri | None = None
    vouches: tuple[Vouch, ...] = ()
    readers: int | None = None
    circle: Circle | None = None
    named: tuple[str, ...] = ()
    confidential: bool = False
    reviewed: bool = False
    pace: int = 0
    pause: str | None = None
    warning: str | None = None

    @property
    def public(self) -> bool:
        """Whether everybody may read it."""
        return self.audience == "public"

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
            expires=self.expires,
            helper_region=self.helper_region,
            only_speaks=self.only_speaks,
            only_region=self.only_region,
            capacity=self.capacity,
            needs=self.needs,
            translations=self.translations,
            follow_up_of=self.follow_up_of,
            vouches=self.vouches,
            readers=self.readers,
            circle=self.circle,
        )

    def json(self) -> dict[str, Json]:
        """The form scripts read; ids are strings, because they do not fit into a JSON number everywhere. `warning` is there where there is one."""
        return {
            "id": str(self.id),
            "url": self.url or None,
            "kind": self.kind,
            "state": self.state,
            **({} if self.warning is None else {"warning": self.warning}),
            "title": self.title,
            "text": self.text,
            "language": self.language,
            "categories": list(self.categories),
            "skills": list(self.skills),
            "speaks": list(self.speaks),
            "region": self.region,
            "helper_region": self.helper_region,
            "urgency": self.urgency,
            "until": _when(self.until),
            "expires": _when(self.expires),
            "capacity": self.capacity,
            "needs": [{"name": need.name, "quantity": need.quantity, "equipment": need.equipment} for need in self.needs],
            "translations": [{"language": other.language, "title": other.title, "text": other.text} for other in self.translations],
            "audience": f"peers:{','.join(self.named)}" if self.named else self.audience,
            "author": self.author,
            "origin": self.origin,
            "vouches": [
                {"issuer": hosts.authority(one.issuer), "level": one.level, "method": one.method, "expires": _when(one.expires)} for one in self.vouches
            ],
        }


def _when(moment: datetime | None) -> str | None:
    return times.rfc3339(times.milliseconds(moment)) if moment else None


def with_proposal(listing: Listing, proposal: Proposal) -> Listing:
    """The listing with everything its proposal says, its state included."""
    return replace(
        listing,
        kind=proposal.purpose,
        state=proposal.status,
        title=proposal.title,
        text=proposal.text,
        categories=proposal.categories,
        skills=proposal.skills,
        speaks=proposal.speaks,
        region=proposal.region,
        urgency=proposal.urgency,
        until=proposal.until,
        expires=proposal.expires,
        helper_region=proposal.helper_region,
        only_speaks=proposal.only_speaks,
        only_region=proposal.only_region,
        capacity=proposal.capacity,
        needs=proposal.needs,
        translations=proposal.translations,
        follow_up_of=proposal.follow_up_of,
        vouches=proposal.vouches,
        readers=proposal.readers,
        circle=proposal.circle,
    )


@dataclass(frozen=True, slots=True)
class Words:
    """What rests sealed of a listing that is not public: everything it says, the peers it is for, and the content warning of one from elsewhere."""

    proposal: Proposal
    language: str | None = None
    named: tuple[str, ...] = ()
    warning: str | None = None


COLUMNS: Final = """listing.post_id, listing.kind, listing.state, listing.audience, listing.title, listing.text, listing.sealed, listing.language,
  listing.region, listing.urgency, listing.until, listing.expires_at, listing.more, listing.reviewed, listing.pace, listing.pause, listing.confidential,
  listing.revision,
  post.summary as warning, post.uri, post.actor_id, post.local, post.published, post.updated, actor.username, actor.handle_host, actor.uri as author_uri,
  case post.visibility when 'public' then actor.hides_public when 'unlisted' then actor.hides_unlisted else 0 end as kept_in"""
"""`kept_in`: 1 for what is shown only to whoever is somebody here, because its author's server asks for that."""


EVERY: Final = f"""
select {COLUMNS}
from listing
join post on post.id = listing.post_id
join actor on actor.id = post.actor_id
where actor.state = 'active'
"""  # noqa: S608  # only our own constant is put in

LISTING: Final = f"""
{EVERY}
  and listing.audience = 'public'
"""

BY_ID: Final = f"""
{EVERY}
  and listing.post_id = :id
"""

BY_DRAFT: Final = f"""
{EVERY}
  and listing.draft_id = :id
"""

BY_URL: Final = f"""
{EVERY}
  and (post.uri = :url or post.url = :url)
order by listing.post_id
limit 1
"""

NEWEST: Final = f"""
{EVERY}
  and (listing.audience = 'public' or cast(:private as integer) = 1)
  and (post.local = 1 or cast(:network as integer) = 1)
  and post.id < :before
  and (cast(:kind as text) = '' or listing.kind = :kind)
  and (cast(:open as integer) = 0 or (
    listing.state = 'open'
    and (listing.until is null or listing.until > :now)
    and (listing.expires_at is null or listing.expires_at > :now)
  ))
order by listing.post_id desc
limit :limit
"""

OF_AUTHOR: Final = f"""
{LISTING}
  and post.actor_id = :actor_id
order by listing.post_id desc
limit :limit
"""

ALL_OF_AUTHOR: Final = f"""
{EVERY}
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
  and listing_tag.place < 100
order by listing_tag.post_id, listing_tag.kind, listing_tag.place
"""


def from_row(row: Row, instance: "Instance") -> Listing:
    """The listing of a row that selected `EVERY`. Raises `actors.vault.Locked` for one that is not public."""
    title, text, language = row["title"] or "", row["text"] or "", row["language"]
    named: tuple[str, ...] = ()
    warning = row["warning"]
    if row["sealed"] is not None:
        words = msgspec.json.decode(instance.vault.open(bytes(row["sealed"]), _place(row["post_id"])), type=Words)
        said, language, named, warning = words.proposal, words.language, words.named, words.warning
        title, text = said.title, said.text
    elif row["more"] is not None:
        said = msgspec.json.decode(row["more"], type=Proposal)
    else:
        until, expires = (times.moment(row[name]) if row[name] is not None else None for name in ("until", "expires_at"))
        said = Proposal(row["kind"], title, text, region=row["region"], urgency=row["urgency"], until=until, expires=expires)
    # Made in one go: some hundreds are read for each match, and each copy would cost as much as everything else.
    return Listing(
        id=row["post_id"],
        url=Iri(row["uri"]),
        actor_id=row["actor_id"],
        local=bool(row["local"]),
        kind=said.purpose,
        state=_state(row["state"], said.until, said.expires, instance.clock.ms()),
        title=title,
        text=text,
        language=language,
        categories=said.categories,
        skills=said.skills,
        speaks=said.speaks,
        region=said.region,
        urgency=said.urgency,
        until=said.until,
        audience=row["audience"],
        author=f"{row['username']}@{row['handle_host']}",
        origin=instance.config.host if row["local"] else _origin(row["uri"]),
        published=row["published"],
        updated=row["updated"],
        expires=said.expires,
        helper_region=said.helper_region,
        only_speaks=said.only_speaks,
        only_region=said.only_region,
        capacity=said.capacity,
        needs=said.needs,
        translations=said.translations,
        follow_up_of=said.follow_up_of,
        vouches=said.vouches,
        readers=said.readers,
        circle=said.circle,
        named=named,
        confidential=bool(row["confidential"]),
        reviewed=bool(row["reviewed"]),
        pace=row["pace"],
        pause=row["pause"],
        warning=warning or None,
    )


def _origin(uri: str) -> str:
    """The host of a listing's id; asked without the path, for it is the same for all of a host and remembered."""
    end = uri.find("/", len("https://"))
    return hosts.authority(uri if end < 0 else uri[:end])


def state_at(listing: Listing, now_ms: int) -> str:
    """Its state as of now. Whoever reads enforces the end: the job that writes it down may be late, and the origin may be gone."""
    return _state(listing.state, listing.until, listing.expires, now_ms)


def _state(state: str, until: datetime | None, expires: datetime | None, now_ms: int) -> str:
    if state not in OPEN:
        return state
    over = any(end is not None and times.milliseconds(end) <= now_ms for end in (until, expires))
    return "expired" if over else state


def _place(post_id: int) -> str:
    return f"listing:{post_id}"


async def from_rows(tx: Transaction, instance: "Instance", rows: Sequence[Row]) -> list[Listing]:
    """The listings of these rows; those that an older version wrote get their categories, skills and languages for one query more."""
    found = [from_row(row, instance) for row in rows]
    old = [row["post_id"] for row in rows if row["more"] is None and row["sealed"] is None]
    if not old:
        return found
    slugs: dict[tuple[int, str], list[str]] = {}
    for row in await tx.all(TAGS, low=min(old), high=max(old)):
        slugs.setdefault((row["post_id"], row["kind"]), []).append(row["slug"])

    def of(id: int, kind: str) -> tuple[str, ...]:
        return tuple(slugs.get((id, kind), ()))

    return [replace(one, categories=of(one.id, "category"), skills=of(one.id, "skill"), speaks=of(one.id, "speaks")) if one.id in old else one for one in found]


async def newest(
    tx: Transaction,
    instance: "Instance",
    *,
    network: bool = False,
    kind: str | None = None,
    open_only: bool = False,
    limit: int = 100,
    private: bool = False,
) -> list[Listing]:
    """Public listings of this instance, newest first; with `network` also what arrived, but of those who are blocked, limited, or wait for an admin.

    `private` gives the others too: for whoever runs this instance. Raises `actors.vault.Locked` then, if there are any.
    """
    now = instance.clock.ms()
    found: list[Listing] = []
    before: int | None = END
    while before is not None and len(found) < limit:
        rows = await tx.all(NEWEST, private=int(private), network=int(network), kind=kind or "", open=int(open_only), now=now, before=before, limit=limit)
        shown = [row for row in rows if row["local"] or instance.trust.actor(row["author_uri"], "receive").shown]
        found += await from_rows(tx, instance, shown[: limit - len(found)])
        before = rows[-1]["post_id"] if len(rows) == limit else None
    return found


async def of_author(tx: Transaction, instance: "Instance", actor_id: int, limit: int, *, private: bool = False) -> list[Listing]:
    """Public listings of one actor, newest first; `private` gives the others too, for the author alone."""
    return await from_rows(tx, instance, await tx.all(ALL_OF_AUTHOR if private else OF_AUTHOR, actor_id=actor_id, limit=limit))


async def tagged(tx: Transaction, instance: "Instance", name: str, limit: int) -> list[Listing]:
    """Public listings of this instance with the tag `name` (casefolded), newest first."""
    return await from_rows(tx, instance, await tx.all(TAGGED, name=name, limit=limit))


async def by_id(tx: Transaction, instance: "Instance", id: int) -> Listing | None:
    """The listing with our id, public or not. Raises `actors.vault.Locked` for one that is not public."""
    return await _one(tx, instance, await tx.one(BY_ID, id=id))


async def find(tx: Transaction, instance: "Instance", which: str, *, reader: Actor | None = None) -> Listing | None:
    """The listing named by our id (also the one it had before it was published) or by its URL, as far as `reader` may see it; None is who runs this instance.

    Of one that is not public a reader gets everything, the coarse fields, or nothing (`readers.shown`). Raises `actors.vault.Locked`.
    """
    from fedmatch.board import drafts, readers  # both are built on listings

    if which.isascii() and which.isdigit() and len(which) < 20:
        number = min(int(which), END)
        found = await by_id(tx, instance, number) or await _one(tx, instance, await tx.one(BY_DRAFT, id=number)) or await drafts.shown(tx, instance, number)
    else:
        found = await _one(tx, instance, await tx.one(BY_URL, url=which) or await tx.one(BY_URL, url=usual(which)))
    if found is None or reader is None:
        return found
    return await readers.shown(tx, instance, reader, found)


def usual(url: str) -> str:
    """An address as servers write it, however somebody typed its scheme, host and port; what is none stays."""
    try:
        return trust.spelled(url)
    except hosts.BadUrl:
        return url


async def _one(tx: Transaction, instance: "Instance", row: Row | None) -> Listing | None:
    return None if row is None else (await from_rows(tx, instance, [row]))[0]


# What is closed goes 30 days after that, however often it is edited then.
INSERT: Final = """
insert into listing (post_id, kind, state, audience, title, text, sealed, language, region, urgency, until, expires_at, more, confidential, revision,
  created_at, changed_at)
values (:post_id, :kind, :state, :audience, :title, :text, :sealed, :language, :region, :urgency, :until, :expires_at, :more, :confidential, 1, :now, :now)
on conflict (post_id) do update
set kind = excluded.kind, state = excluded.state, audience = excluded.audience, title = excluded.title, text = excluded.text, sealed = excluded.sealed,
  language = excluded.language, region = excluded.region, urgency = excluded.urgency, until = excluded.until, expires_at = excluded.expires_at,
  more = excluded.more, revision = listing.revision + 1,
  changed_at = case
    when listing.state = excluded.state and listing.state in ('fulfilled', 'expired', 'withdrawn') then listing.changed_at
    else excluded.changed_at
  end
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
select listing.state, listing.audience, listing.pace
from listing
where listing.post_id = :post_id
"""

SET_STATE: Final = """
update listing
set state = :state, pause = :pause, revision = revision + 1, changed_at = :now
where post_id = :post_id
"""

MARK: Final = """
update listing
set reviewed = :reviewed, pace = :pace, draft_id = :draft_id
where post_id = :post_id
"""

UNSEEN: Final = """
update listing
set reviewed = 0
where post_id = :post_id
"""

DELETE: Final = """
delete from listing
where post_id = :post_id
"""

MOST_SLUGS: Final = 20


async def write(
    tx: Transaction,
    instance: "Instance",
    post_id: int,
    proposal: Proposal,
    state: str,
    language: str | None,
    *,
    audience: AudienceName = "public",
    named: tuple[str, ...] = (),
    confidential: bool = False,
    warning: str | None = None,
) -> None:
    """Writes the rows of a listing, or brings them up to date. Of one that is not public only kind, state, audience and times stand open.

    `warning`: the content warning of one that is not public; of any other it stands with its post.
    """
    from fedmatch.board import index, suggestions, vectors  # all are built on listings

    public = audience == "public"
    proposal = replace(proposal, status=state)
    more = msgspec.json.encode(replace(proposal, title="", text="")).decode() if public else None
    sealed = None if public else instance.vault.seal(msgspec.json.encode(Words(proposal, language, named, warning)), _place(post_id))
    await tx.execute(
        INSERT,
        post_id=post_id,
        kind=proposal.purpose,
        state=state,
        audience=audience,
        title=proposal.title if public else None,
        text=proposal.text if public else None,
        sealed=sealed,
        language=language if public else None,
        region=proposal.region if public else None,
        urgency=proposal.urgency if public else None,
        until=times.milliseconds(proposal.until) if proposal.until else None,
        expires_at=times.milliseconds(proposal.expires) if proposal.expires else None,
        more=more,
        confidential=int(confidential),
        now=instance.clock.ms(),
    )
    await tx.execute(DELETE_TAGS, post_id=post_id)
    if state == "open":
        await suggestions.want(tx, instance, post_id)
    await vectors.written(tx, instance, post_id, proposal, language, public=public)
    if not public:
        await index.remove(tx, instance, post_id)
        await generations.bump(tx, "board")
        return
    # Whoever looks through a field of help finds what needs one of its skills as well.
    fields = (*proposal.categories, *(vocabulary.category(slug).slug for slug in proposal.skills[:MOST_SLUGS] if vocabulary.is_skill(slug)))
    kinds = (("category", fields), ("skill", proposal.skills), ("speaks", proposal.speaks))
    tags: list[dict[str, Value]] = [
        {"post_id": post_id, "kind": kind, "slug": slug, "place": place}
        for kind, slugs in kinds
        for place, slug in enumerate(dict.fromkeys(slugs[:MOST_SLUGS]))
    ]
    if tags:
        await tx.many(INSERT_TAG, tags)
    await index.put(tx, instance, post_id)


async def mark(tx: Transaction, post_id: int, *, reviewed: bool, pace: int, draft_id: int | None) -> None:
    """Writes what publication decided about a listing of ours."""
    await tx.execute(MARK, post_id=post_id, reviewed=int(reviewed), pace=pace, draft_id=draft_id)


async def unseen(tx: Transaction, post_id: int) -> None:
    """Notes that nobody looked at what one of ours says now."""
    await tx.execute(UNSEEN, post_id=post_id)


async def state_of(tx: Transaction, post_id: int) -> str | None:
    """The stored state of the listing of that post; None if the post is none."""
    row = await tx.one(STATE, post_id=post_id)
    return None if row is None else str(row["state"])


async def audience_of(tx: Transaction, post_id: int) -> AudienceName | None:
    """Whom the listing of that post is for; None if the post is none."""
    row = await tx.one(STATE, post_id=post_id)
    return None if row is None else row["audience"]


async def said_of(tx: Transaction, instance: "Instance", post_id: int) -> datetime:
    """The time that may be shown of what is done to one of our posts now, to the second: of a listing whose times are coarse the full hour."""
    row, now = await tx.one(STATE, post_id=post_id), instance.clock.now().replace(microsecond=0)
    return now if row is None or row["pace"] == 0 else now.replace(minute=0, second=0)


async def set_state(tx: Transaction, instance: "Instance", post_id: int, state: str, *, pause: str | None = None) -> None:
    """Writes a state that `schemas.states.LISTING` allowed."""
    from fedmatch.board import index, suggestions, vectors  # all are built on listings

    await tx.execute(SET_STATE, post_id=post_id, state=state, pause=pause, now=instance.clock.ms())
    if state == "open":
        await suggestions.want(tx, instance, post_id)
    if state not in OPEN:
        await vectors.forget(tx, instance, post_id)
    if await audience_of(tx, post_id) != "public":
        await generations.bump(tx, "board")
    else:
        await index.put(tx, instance, post_id)


async def remove(tx: Transaction, instance: "Instance", post_id: int) -> None:
    """Takes the listing off a post that stays."""
    from fedmatch.board import index, vectors  # both are built on listings

    await index.remove(tx, instance, post_id)
    await vectors.forget(tx, instance, post_id)
    await tx.execute(DELETE, post_id=post_id)
