"""Who complained about whom, and what became of it? Reports, made here or sent by other servers as a Flag; for moderators, never for whom they are about.

What was written, about which posts and by whom rests sealed. A report about somebody elsewhere can be forwarded to their server, if who reports agrees: the
Flag comes from the instance's own actor, names nothing but the actor and public posts, and says nothing that tells who reported.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

import structlog

from actors import hosts, known, remote
from actors.known import Actor
from actors.remote import FetchFailed
from actors.vault import Locked
from fedmatch import people
from fedmatch.safety import audit
from inbox import dereference
from inbox.errors import Later
from outbox import posts, publish
from outbox.address import Audience
from outbox.posts import Post
from outbox.visible import Member, can_read
from schemas import html
from schemas.activities import LONGEST_FLAG, Flag
from schemas.events import Reported
from schemas.reading import Iri, Row
from schemas.states import REPORT
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

State = Literal["open", "taken", "closed"]

MOST_OPEN: Final = 5
"""Open reports of one server about one of our people that are kept apart; more are counted (security.md A119)."""
LONGEST_KEPT: Final = 2000
"""How much of a reported post is kept with the report: it may be gone tomorrow."""
BUDGET: Final = 20
QUOTED_WORDS: Final = 6
REMOVED: Final = "[...]"


class CannotReport(ValueError):
    """It cannot be reported, or not forwarded; the text says why and what to do."""


class NoReport(LookupError):
    """There is no report with this number."""


@dataclass(frozen=True, slots=True)
class Named:
    """A post a report is about, and what it said then where moderators may read it."""

    url: Iri
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """One report without its words. `about` is a handle; `host` the server that sent it, None for one made here; times in ms UTC."""

    id: int
    state: State
    about: str
    about_uri: Iri
    host: str | None
    repeats: int
    forwarded_at: int | None
    created_at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class Words:
    """What of a report rests sealed. `reporter` is a handle for one of ours; of another server's report it is who signed, mostly a whole instance."""

    text: str = field(repr=False)
    posts: tuple[Named, ...] = field(repr=False)
    reporter: str = field(repr=False)
    note: str | None = field(default=None, repr=False)


INSERT: Final = """
insert into report (id, uri, state, host_id, reported_id, sealed, forwarded_at, created_at, changed_at)
values (:id, :uri, :state, :host_id, :reported_id, :sealed, :forwarded_at, :now, :now)
on conflict (uri) do nothing
"""

OPEN_OF: Final = """
select count(*) as number, max(report.id) as latest
from report
where report.host_id = :host_id
  and report.reported_id = :reported_id
  and report.state = 'open'
"""

REPEATED: Final = """
update report
set repeats = repeats + 1, changed_at = :now
where id = :id
"""

SELECT: Final = """
select report.id, report.state, report.sealed, report.repeats, report.forwarded_at, report.created_at, report.changed_at, host.name as host,
  actor.uri as about_uri, actor.username, actor.handle_host
from report
join actor on actor.id = report.reported_id
left join host on host.id = report.host_id
"""

BY_ID: Final = f"""
{SELECT}
where report.id = :id
"""

NEWEST: Final = f"""
{SELECT}
where (cast(:any_state as integer) = 1 or report.state = :state)
order by report.id desc
limit :limit
"""

CLOSE: Final = """
update report
set state = :state, sealed = :sealed, changed_at = :now
where id = :id
"""


MOVE: Final = """
update report
set state = :state, changed_at = :now
where id = :id
"""


def _report(row: Row) -> Report:
    return Report(
        id=row["id"],
        state=row["state"],
        about=f"{row['username']}@{row['handle_host']}",
        about_uri=row["about_uri"],
        host=row["host"],
        repeats=row["repeats"],
        forwarded_at=row["forwarded_at"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )


def _seal(instance: "Instance", id: int, words: Words) -> bytes:
    plain = {"text": words.text, "posts": [(named.url, named.text) for named in words.posts], "reporter": words.reporter, "note": words.note}
    return instance.vault.seal(json.dumps(plain, ensure_ascii=False).encode(), f"report:{id}")


def _open(instance: "Instance", id: int, sealed: bytes) -> Words:
    plain = cast(Mapping[str, object], json.loads(instance.vault.open(sealed, f"report:{id}")))
    named = tuple(Named(Iri(url), text) for url, text in cast(list[tuple[str, str | None]], plain["posts"]))
    return Words(str(plain["text"]), named, str(plain["reporter"]), cast(str | None, plain["note"]))


async def received(instance: "Instance", tx: Transaction, event: Reported) -> None:
    """A Flag that arrived becomes a report; the sixth open one of a server about the same person is counted with the fifth.

    What a private post says is not copied into it: the post is named, nothing more.
    """
    row = await tx.one(OPEN_OF, host_id=event.host_id, reported_id=event.actor_id)
    if row is not None and row["number"] >= MOST_OPEN:
        await tx.execute(REPEATED, id=row["latest"], now=instance.clock.ms())
        log.info("report.repeated", report=row["latest"])
        return
    about = [post for post_id in event.posts if (post := await posts.by_id(tx, post_id)) is not None]
    words = Words(event.text, tuple(Named(post.uri, _kept(post) if post.public else None) for post in about), event.reporter)
    # One Flag may name several of our people, and each gets a report.
    await _store(tx, instance, f"{event.uri} {event.actor_id}", event.host_id, event.actor_id, words)


async def _store(
    tx: Transaction, instance: "Instance", uri: str, host_id: int | None, reported_id: int, words: Words, *, forwarded_at: int | None = None
) -> int:
    number, now = instance.ids.new(), instance.clock.ms()
    sealed = _seal(instance, number, words)
    written = await tx.execute(
        INSERT, id=number, uri=uri, state=REPORT.start, host_id=host_id, reported_id=reported_id, sealed=sealed, forwarded_at=forwarded_at, now=now
    )
    if written:
        log.info("report.made", report=number)
    return number


def _kept(post: Post) -> str:
    return html.to_text(post.content)[:LONGEST_KEPT]


@dataclass(frozen=True, slots=True)
class _About:
    """Whom a report is about, and with which post: what it says, and whether everybody may read it."""

    person: Actor
    post: Named | None = None
    public: bool = True


async def send(instance: "Instance", reporter: Actor, what: str, text: str, *, forward: bool = False) -> Report:
    """Reports an actor (a handle or an id) or a post (its URL) in the name of one of ours to our moderators; `text` has at most 5,000 letters.

    With `forward` the server it is about hears of it too, from the instance's own actor: what may tell who reported is taken out of the text, and a post that
    not everybody may read is not named, since those who could are few. Raises `CannotReport`, `people.NotFound`.
    """
    if not 0 < len(text) <= LONGEST_FLAG:
        raise CannotReport(f"a report needs words, at most {LONGEST_FLAG} letters; this has {len(text)}")
    about = await _find(instance, reporter, what)
    if about.person.id == reporter.id:
        raise CannotReport("nobody reports themselves")
    if forward:
        _may_forward(instance, about, text)
    number = await instance.database.write(_send, instance, reporter, about, text, forward)
    instance.wake("delivery")
    return await instance.database.read(_by_id, number)


def _may_forward(instance: "Instance", about: _About, text: str) -> None:
    if about.person.local:
        raise CannotReport("who you report lives here; our moderators have it, there is nobody to forward it to")
    verdict = instance.trust.actor(about.person.uri, "deliver")
    if not verdict.allowed:
        raise CannotReport(f"it cannot be forwarded: {verdict.why}")
    if not about.public and about.post is not None and _quotes(text, about.post.text or ""):
        raise CannotReport("the text quotes a post that not everybody may read; forward it without those words, or do not forward it")


async def _send(tx: Transaction, instance: "Instance", reporter: Actor, about: _About, text: str, forward: bool) -> int:
    words = Words(text, () if about.post is None else (about.post,), reporter.handle)
    flag_id = Iri(f"{instance.config.base_url}/activities/{instance.ids.new()}")
    now = instance.clock.ms()
    number = await _store(tx, instance, flag_id, None, about.person.id, words, forwarded_at=now if forward else None)
    if forward:
        application = await known.application(tx)
        named = (about.person.uri, *((about.post.url,) if about.post is not None and about.public else ()))
        # No `to`: some servers would show it to whom it is about. Its shared inbox says as little.
        flag = Flag(id=flag_id, actor=application.uri, objects=named, content=anonymous(instance, reporter, text))
        inbox = about.person.shared_inbox or about.person.inbox
        await publish.publish(tx, instance, application, flag, Audience(inboxes=(inbox,)), object=about.person.uri, ordering_key=flag_id)
    return number


async def _find(instance: "Instance", reporter: Actor, what: str) -> _About:
    if "://" not in what:
        return _About(await people.find(instance, what))
    held = await instance.database.read(_held, instance, reporter, what)
    if held is not None:
        return held
    if instance.vault.locked:
        raise Locked
    try:
        if hosts.authority(what) in known.ours(instance):
            raise CannotReport(f"{what} is not here")
        budget = remote.Budget(BUDGET)
        found = await dereference.post(instance, Iri(what), budget)
        if found is not None:
            return _About(
                found.author,
                Named(found.note.id, html.to_text(html.sanitise(found.note.content))[:LONGEST_KEPT]),
                not posts.PUBLIC_SPELLINGS.isdisjoint(found.note.addressed),
            )
        person = await remote.actor(instance, what, budget=budget)
    except (hosts.BadUrl, Later) as error:
        raise CannotReport(f"{what} cannot be read: {error}") from error
    if isinstance(person, FetchFailed):
        raise CannotReport(f"{what} is not here, and its own server does not show it to us: {person.why}")
    return _About(person)


async def _held(tx: Transaction, instance: "Instance", reporter: Actor, what: str) -> _About | None:
    person = await known.by_uri(tx, what)
    if person is not None and person.kind != "Application":
        return _About(person)
    post = await posts.by_uri(tx, what)
    if post is None or not await can_read(tx, Member(reporter.id), post.id):
        return None
    author = await known.by_id(tx, post.actor_id)
    return None if author is None else _About(author, Named(post.uri, _kept(posts.opened(instance, post))), post.public)


def anonymous(instance: "Instance", reporter: Actor, text: str) -> str:
    """The text without what tells who wrote it: their name, handle and id, and every address on this instance. Their way to write stays theirs."""
    host = re.escape(instance.config.authority)
    names = sorted({reporter.username, *([reporter.name] if reporter.name else [])}, key=len, reverse=True)
    hidden = re.sub(rf"https?://{host}\S*", REMOVED, text, flags=re.IGNORECASE)
    for name in names:
        hidden = re.sub(rf"(?<!\w)@?{re.escape(name)}(?:@{re.escape(instance.config.host)})?(?!\w)", REMOVED, hidden, flags=re.IGNORECASE)
    return hidden


def _quotes(text: str, private: str) -> bool:
    """Whether six words in a row of `private` stand in `text`, or all of it if it has fewer."""
    said, kept = re.findall(r"\w+", text.casefold()), re.findall(r"\w+", private.casefold())
    run = min(QUOTED_WORDS, len(kept))
    if run == 0:
        return False
    there = {tuple(said[place : place + run]) for place in range(len(said) - run + 1)}
    return any(tuple(kept[place : place + run]) in there for place in range(len(kept) - run + 1))


async def newest(tx: Transaction, *, state: State | None = None, limit: int = 100) -> list[Report]:
    """Reports in one state, or all, the newest first. Reads no words, so it works locked."""
    return [_report(row) for row in await tx.all(NEWEST, any_state=int(state is None), state=state or "", limit=limit)]


async def _by_id(tx: Transaction, id: int) -> Report:
    row = await tx.one(BY_ID, id=id)
    if row is None:
        raise NoReport(f"there is no report {id}; `fedmatch report list` shows them")
    return _report(row)


async def show(tx: Transaction, instance: "Instance", id: int) -> tuple[Report, Words]:
    """A report with its words. Raises `NoReport`, `actors.vault.Locked`."""
    row = await tx.one(BY_ID, id=id)
    if row is None:
        raise NoReport(f"there is no report {id}; `fedmatch report list` shows them")
    return _report(row), _open(instance, id, bytes(row["sealed"]))


async def take(tx: Transaction, instance: "Instance", id: int, *, undo: bool = False) -> Report:
    """Says that a moderator looks after a report, or (with `undo`) does no longer, also of one that was closed; again is nothing new.

    Raises `NoReport`, `schemas.states.IllegalMove`.
    """
    row = await tx.one(BY_ID, id=id)
    if row is None:
        raise NoReport(f"there is no report {id}; `fedmatch report list` shows them")
    to: State = "open" if undo else "taken"
    if row["state"] != to:
        await tx.execute(MOVE, id=id, state=REPORT.move(row["state"], to), now=instance.clock.ms())
        await audit.log(tx, instance, audit.OPERATOR, "report.take", f"{id} {to}")
        log.info("report.taken", report=id, undone=undo)
    return await _by_id(tx, id)


async def close(tx: Transaction, instance: "Instance", id: int, note: str | None = None) -> Report:
    """Closes a report; `note` says for moderators what was done. Raises `NoReport`, `schemas.states.IllegalMove`, `actors.vault.Locked` with a note."""
    row = await tx.one(BY_ID, id=id)
    if row is None:
        raise NoReport(f"there is no report {id}; `fedmatch report list` shows them")
    state = REPORT.move(row["state"], "closed")
    sealed = bytes(row["sealed"])
    if note is not None:
        words = _open(instance, id, sealed)
        sealed = _seal(instance, id, Words(words.text, words.posts, words.reporter, note))
    await tx.execute(CLOSE, id=id, state=state, sealed=sealed, now=instance.clock.ms())
    await audit.log(tx, instance, audit.OPERATOR, "report.close", str(id), note)
    log.info("report.closed", report=id)
    return await _by_id(tx, id)
