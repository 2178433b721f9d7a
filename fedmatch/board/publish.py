"""What do our people say, and to whom does it go? Posts, requests and offers: published, changed, withdrawn; other moves are in fedmatch/board/life.py."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import structlog

from actors import hosts, known, onetime, peers, remote
from actors.known import Actor
from actors.vault import Locked
from fedmatch import chores, people, times
from fedmatch.board import acts, checks, copies, deletion, drafts, identities, listings, notifications, review, terms, topics
from fedmatch.board.drafts import HOUR_MS, Draft, Kept, Widening
from fedmatch.board.listings import AudienceName, Listing
from fedmatch.board.notes import note_of, tag_page
from fedmatch.board.terms import Terms
from fedmatch.safety import vouches
from inbox import dereference, replies
from inbox.errors import Later
from outbox import polls, posts
from outbox import publish as outbox
from outbox.address import Audience
from outbox.posts import Post
from outbox.visible import Member, can_read
from schemas import html
from schemas.activities import Create, Update
from schemas.crashpoint import crashpoint
from schemas.listings import usual_end
from schemas.objects import PUBLIC, Hashtag, Mention, Note, Option, Poll, Proposal, Purpose, Tallies
from schemas.reading import Iri
from schemas.sealed import TooLong
from schemas.states import LISTING, IllegalMove
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

T = TypeVar("T")

PostAudience = Literal["public", "followers", "direct"]

LONGEST_POST: Final = 10_000
MOST_OPTIONS: Final = 10
LONGEST_OPTION: Final = 200
MOST_MENTIONS: Final = 20
THREAD_BUDGET: Final = 20


class CannotPublish(ValueError):
    """It cannot be said, changed or taken back like this; the text says why and what to do."""


async def post(
    instance: "Instance",
    actor: Actor,
    words: str,
    audience: PostAudience = "public",
    *,
    to: Sequence[str] = (),
    reply_to: str | None = None,
    language: str | None = None,
    poll: Poll | None = None,
) -> Post:
    """Publishes a post of `actor`: plain text of at most 10,000 letters, to everybody, to followers, or to those it names and nobody else.

    `to` are handles; `@name@host` in the text addresses too. With a `poll` (`asked` makes one) it asks its readers to choose. Raises `CannotPublish`, and
    `people.NotFound` for somebody who cannot be found.
    """
    if len(words) > LONGEST_POST:
        raise CannotPublish(f"the text has {len(words)} letters; {LONGEST_POST} are the most")
    parent = await _parent(instance, actor, reply_to) if reply_to else None
    named = [await people.find(instance, handle) for handle in to]
    in_text = await _named_in_text(instance, words, strict=audience == "direct")
    addressed = {person.id: person for person in (*([parent[1]] if parent else []), *named, *in_text.values()) if person.id != actor.id}
    if audience == "direct" and not addressed:
        raise CannotPublish("a direct post needs somebody it is for: --to name@host, or @name@host in the text")
    if parent and audience != "direct" and parent[2] is not None and parent[2] != actor.id:
        raise CannotPublish("an answer to a request is between two: use --audience direct (others would learn who helps whom)")
    post_id = instance.ids.new()
    uri = Iri(f"{instance.config.base_url}/posts/{post_id}")
    everybody = tuple(person.uri for person in addressed.values())
    followers: tuple[Iri, ...] = (actor.followers,) if actor.followers else ()
    first: tuple[Iri, ...]
    second: tuple[Iri, ...]
    match audience:
        case "public":
            first, second = (PUBLIC,), (*followers, *everybody)
        case "followers":
            first, second = followers, everybody
        case "direct":
            first, second = everybody, ()
    tags = html.hashtags_in(words)
    links = {mention: (person.url or person.uri, f"@{person.username}") for mention, person in in_text.items()}
    content = html.from_text(words, links, tag_page(instance, ""))
    note = Note(
        id=uri,
        attributed_to=actor.uri,
        content=content,
        kind="Note" if poll is None else "Question",
        language=language,
        content_map=((language, content),) if language else (),
        source=words,
        url=uri,
        published=instance.clock.now().replace(microsecond=0),
        in_reply_to=parent[0].uri if parent else None,
        conversation=(parent[0].conversation if parent else None) or f"{uri}/context",
        to=first,
        cc=second,
        mentions=tuple(Mention(person.uri, f"@{person.handle}") for person in addressed.values()),
        hashtags=tuple(Hashtag(tag, tag_page(instance, tag)) for tag in tags),
        poll=poll,
        tallies=Tallies() if audience == "public" else None,
    )
    return await _create(instance, actor, note, post_id, Audience(actors=tuple(addressed), followers_of=() if audience == "direct" else (actor.id,)))


def asked(options: Sequence[str], *, multiple: bool, until: datetime) -> Poll:
    """A poll of 2 to 10 different options, open `until` then. Raises `CannotPublish`."""
    names = [" ".join(option.split()) for option in options]
    if not 2 <= len(names) <= MOST_OPTIONS or len(set(names)) != len(names) or not all(names):
        raise CannotPublish(f"a poll has 2 to {MOST_OPTIONS} different options")
    if max(map(len, names)) > LONGEST_OPTION:
        raise CannotPublish(f"an option has at most {LONGEST_OPTION} letters")
    return Poll(tuple(Option(name) for name in names), multiple, until, voters=0)


async def end_poll(tx: Transaction, instance: "Instance", id: int) -> None:
    """Closes a poll of ours whose time is over, and sends the numbers to everybody who may hold it. Raises `actors.vault.Locked` for one that is not public."""
    held = await posts.by_id(tx, id)
    actor = None if held is None else await known.by_id(tx, held.actor_id)
    if held is None or actor is None or not held.local or not actor.active or not await polls.close(tx, instance, id):
        return
    note = await posts.note(tx, instance, held)
    now = instance.clock.now().replace(microsecond=0)
    activity = Update(id=Iri(f"{held.uri}#updates/{instance.clock.ms()}"), actor=actor.uri, object=note, to=note.to, cc=note.cc, published=now)
    await outbox.publish(tx, instance, actor, activity, await deletion.holders(tx, actor, held), object=held.uri, ordering_key=held.uri)
    if held.public:
        await deletion.owe(tx, instance, actor, activity, held.uri, proven=False, open_=True)


async def _create(instance: "Instance", actor: Actor, note: Note, id: int, audience: Audience) -> Post:
    crashpoint("publish:written")
    try:
        made = await instance.database.write(_created, instance, actor, note, id, audience)
    except outbox.TooLarge as error:
        raise CannotPublish(f"it is too long: {error.size} bytes with everything around it; {outbox.MOST_BODY} are the most") from error
    crashpoint("publish:committed")
    instance.wake("delivery")
    return made


async def _created(tx: Transaction, instance: "Instance", actor: Actor, note: Note, id: int, audience: Audience) -> Post:
    made = await posts.store(tx, instance, actor, note, local=True, post_id=id)
    if not isinstance(made, Post):
        raise CannotPublish("it was not stored; try again")
    crashpoint("publish:stored")
    activity = Create(id=Iri(f"{note.id}/activity"), actor=actor.uri, object=note, to=note.to, cc=note.cc, published=note.published)
    await outbox.publish(tx, instance, actor, activity, audience, object=note.id, ordering_key=note.id, proven=_is_offer(note))
    if note.poll is not None and note.poll.ends is not None:
        await chores.end_poll_at(tx, instance, id, times.milliseconds(note.poll.ends))
    log.info("board.published", post=id, actor=actor.id)
    return made


def _is_offer(note: Note) -> bool:
    """Whether it leaves with a proof of its author: offers do, and nobody can change them on the way. Requests never: a proof cannot be denied later."""
    return note.proposal is not None and note.proposal.purpose == "offer"


async def _named_in_text(instance: "Instance", words: str, *, strict: bool) -> dict[str, Actor]:
    """The actors whose handles stand in the text, by mention as written; one that is not found stays plain text, unless the post is for them alone."""
    found: dict[str, Actor] = {}
    for mention in html.mentions_in(words)[:MOST_MENTIONS]:
        try:
            found[mention] = await people.find(instance, mention)
        except people.NotFound:
            if strict and mention.count("@") == 2:
                raise
    return found


async def _parent(instance: "Instance", actor: Actor, url: str) -> tuple[Post, Actor, int | None]:
    """The post that is answered, its author and, if it is a request, its author's id; fetched if it is not here. Raises `CannotPublish`."""

    async def look(tx: Transaction) -> tuple[Post, Actor, int | None] | None:
        found = await posts.by_uri(tx, url)
        if found is None or not await can_read(tx, Member(actor.id), found.id):
            return None
        author = await known.by_id(tx, found.actor_id)
        listing = await listings.by_id(tx, instance, found.id)
        return (found, author, author.id if listing is not None and listing.kind == "request" else None) if author else None

    parent = await instance.database.read(look)
    if parent is None:
        await bring(instance, url)
        parent = await instance.database.read(look)
    if parent is None:
        raise CannotPublish(f"{url} cannot be answered: it is not here, and its own server does not show it to us")
    return parent


async def bring(instance: "Instance", url: str) -> None:
    """Fetches the post `url` from its own server, if it is not here and that shows it. Raises `CannotPublish` where it cannot be asked."""
    if await instance.database.read(posts.by_uri, url) is not None:
        return
    try:
        if hosts.authority(url) in known.ours(instance):
            return
        found = await dereference.post(instance, Iri(url), remote.Budget(THREAD_BUDGET))
    except (hosts.BadUrl, Later) as error:
        raise CannotPublish(f"{url} cannot be read: {error}") from error
    if found is None and instance.vault.locked:
        raise Locked
    if found is not None:
        await instance.database.write(_keep, instance, found)
        instance.wake("job")


async def _keep(tx: Transaction, instance: "Instance", found: dereference.Origin) -> None:
    if isinstance(await posts.store(tx, instance, found.author, found.note, local=False, document=found.document), Post):
        await replies.wanted(tx, instance, found.note)


async def delete(instance: "Instance", actor: Actor, url: str) -> None:
    """Deletes a post of `actor` and tells everybody who may hold it; raises `CannotPublish` if it is not theirs or not here."""
    await instance.database.write(_delete, instance, actor, url)
    instance.wake("delivery")
    await instance.database.erase()


async def _delete(tx: Transaction, instance: "Instance", actor: Actor, url: str) -> None:
    found = await posts.by_uri(tx, url)
    if found is None:
        raise CannotPublish(f"there is no post {url} here")
    if not found.local or found.actor_id != actor.id:
        raise CannotPublish(f"{url} is not a post of {actor.username}")
    await deletion.remove(tx, instance, actor, found)


async def note(tx: Transaction, instance: "Instance", held: Post) -> Note | None:
    """The Note of a post that is a request or an offer, as it stands now; None for an ordinary post."""
    found = await listings.by_id(tx, instance, held.id)
    actor = await known.by_id(tx, held.actor_id) if found is not None else None
    if found is None or actor is None:
        return None
    return await _note(tx, instance, actor, held, found, times.moment(held.updated) if held.updated else None)


async def _note(tx: Transaction, instance: "Instance", actor: Actor, held: Post, found: Listing, updated: datetime | None) -> Note:
    """The Note of a listing of ours; of one that is not public, as it rests here: for nobody."""
    proposal, published = found.proposal, times.moment(held.published)
    if not found.public:
        return note_of(instance, actor, held.uri, proposal, found.language, published, updated, to=())
    announcers = await topics.announcers(tx, instance, proposal) if found.local else ()
    return note_of(instance, actor, held.uri, proposal, found.language, published, updated, announcers=announcers)


# -- requests and offers ------------------------------------------------------------------------------------------------------------------------------

CLOSED: Final = frozenset({"fulfilled", "withdrawn", "expired"})
HOUR: Final = timedelta(hours=1)
TRIES: Final = 100
HIDDEN: Final = (2 * 3600, 12 * 3600)
"""When what a one-time identity says leaves, in seconds from its release, if nobody chose: at random between the two, so that nobody sees who was awake."""


def usual_audience(kind: Purpose) -> AudienceName:
    """Whom a listing is for if its author does not say: offers for everybody, a request for this instance alone. Nothing makes a request public unasked."""
    return "local" if kind == "request" else "public"


async def listing(
    instance: "Instance",
    actor: Actor,
    proposal: Proposal,
    language: str,
    *,
    audience: AudienceName | None = None,
    named: Sequence[str] = (),
    terms: Terms | None = None,
    delay: tuple[int, int] | None = None,
    one_time: bool = False,
    by: Actor | None = None,
    widen: Widening = "no",
    anyway: bool = False,
    link: bool = False,
) -> Listing:
    """Publishes a validated request or offer of `actor`, or keeps it until it may be: for a reviewer, for its hour, for the end of its embargo.

    `audience` None is `usual_audience`; `named` are the hosts of an audience `peers`. `delay`: seconds from its release, drawn between the two; (0, 0) at once,
    None as this instance does it (docs/decisions/0010-listings.md). `by` is the operator who acts for a group; only this instance keeps that, sealed.
    `widen`: what its author says of all trusted peers, for one that is local. `anyway` and `link` are its author's yes to what `checks.look` asks.
    Gives the listing, or the draft in state held or scheduled. Raises `CannotPublish`, `checks.Asks`, `actors.vault.Locked`.
    """
    draft = Draft(
        proposal=replace(proposal, status="open"),
        language=language,
        audience=audience or usual_audience(proposal.purpose),
        named=tuple(dict.fromkeys(named)),
        terms=terms or Terms(),
        delay=delay,
        one_time=one_time,
        widen=widen,
        open_ended=proposal.until is None and proposal.expires == usual_end(instance.clock.now()),
    )
    if widen != "no" and draft.audience != "local":
        raise CannotPublish("only what is for this instance alone can be given to all trusted peers later")
    leaves = draft.audience != "local" or widen == "agreed"
    checks.require(await checks.look(instance, actor, draft.proposal, language, leaves=leaves), anyway=anyway, link=link)
    return await listed(instance, await attempt(instance, _begun, instance, actor, draft, by))


async def attempt(instance: "Instance", body: Callable[..., Awaitable[T]], *values: object) -> T:
    """Runs a body that publishes something, and says in words for its author why it cannot be."""
    try:
        done = await instance.database.write(body, *values)
    except (outbox.TooLarge, TooLong) as error:
        raise CannotPublish(f"it is too long: {error.size} bytes with everything around it; shorten the text") from error
    except IllegalMove as error:
        ways = ", ".join(sorted(error.allowed)) or "nowhere"
        raise CannotPublish(f"it is {error.state} and cannot become {error.to}; from there it goes to {ways}") from error
    for kind in ("delivery", "job"):
        instance.wake(kind)
    return done


async def _begun(tx: Transaction, instance: "Instance", actor: Actor, draft: Draft, by: Actor | None) -> int:
    await check(tx, instance, actor, draft)
    kept = Kept(drafts.new_id(instance, one_time=draft.one_time), actor.id, LISTING.start, draft, None, reviewed=False)
    if by is not None and by.id != actor.id:
        await acts.note(tx, instance, actor, by, "posted", kept.id)
    return await submit(tx, instance, actor, kept)


async def check(tx: Transaction, instance: "Instance", actor: Actor, draft: Draft) -> None:
    if not actor.active:
        raise CannotPublish(f"@{actor.handle} is {actor.state} and can publish nothing")
    if draft.audience == "peers":
        if not draft.named:
            raise CannotPublish("name the peers it is for, as in peers:one.example,two.example")
        trusted = {partner.host for partner in await peers.trusted(tx)}
        for host in draft.named:
            if host not in trusted:
                raise CannotPublish(f"{host} is not a trusted peer; `fedmatch peers list` shows who is, `fedmatch peers add {host}` begins")
    ends, embargo = draft.proposal.ends, draft.terms.embargo
    if embargo is not None and ends is not None and not draft.open_ended and ends <= embargo + timedelta(hours=1):
        raise CannotPublish(f"until or expires ends it on {ends:%Y-%m-%d}, before the embargo lets it begin; choose a later end, or an earlier embargo")
    if draft.proposal.follow_up_of is not None and await posts.by_uri(tx, draft.proposal.follow_up_of) is None:
        raise CannotPublish(f"{draft.proposal.follow_up_of} is not here, so nothing can follow up on it")


async def submit(tx: Transaction, instance: "Instance", actor: Actor, kept: Kept) -> int:
    """Hands a draft to whoever decides: a reviewer where the instance wants one, else it is released. The id it has afterwards. Raises `Locked`."""
    if await review.needed(tx, instance, actor):
        await drafts.keep(tx, instance, replace(kept, state=LISTING.move(kept.state, "held")))
        await notifications.tell_staff(tx, instance, "listing.held", kept.id, coarse=kept.draft.one_time)
        log.info("board.held", draft=kept.id)
        return kept.id
    return await release(tx, instance, actor, kept)


async def release(tx: Transaction, instance: "Instance", actor: Actor, kept: Kept) -> int:
    """Publishes a draft now, or notes when it is to be. The id it has afterwards: a published one has a new id. Raises `Locked`.

    A local one whose author agreed to it is for all trusted peers from now on: a person let it pass, or nobody has to look.
    """
    if kept.draft.widen == "agreed":
        kept = replace(kept, draft=replace(kept.draft, audience="network", widen="no"))
    now = instance.clock.ms()
    at = _moment(instance, kept.draft, now)
    if not await _may_speak(tx, instance, actor):
        if not actor.one_time:
            raise CannotPublish(f"@{actor.handle} is {actor.state}, so nothing new of theirs is published; `fedmatch review reject {kept.id}` ends it")
        # To staff it looks like one that waits for its hour: nobody learns here whose pseudonym it is. It ends with the identity.
        at = -(-(now + secrets.SystemRandom().randint(*HIDDEN) * 1000) // HOUR_MS) * HOUR_MS
    if at <= now:
        return await _publish(tx, instance, actor, kept, at_once=True)
    kept = replace(kept, draft=_from(kept.draft, times.moment(at)))
    await drafts.keep(tx, instance, replace(kept, state=LISTING.move(kept.state, "scheduled"), publish_at=at))
    await chores.publish_at(tx, instance, kept.id, at)
    log.info("board.scheduled", draft=kept.id)
    return kept.id


def _from(draft: Draft, published: datetime) -> Draft:
    """A draft whose author named no end, with the usual one, counted from its publication."""
    return replace(draft, proposal=replace(draft.proposal, expires=usual_end(published))) if draft.open_ended else draft


async def _may_speak(tx: Transaction, instance: "Instance", actor: Actor) -> bool:
    """Whether anything new may leave of one of ours: nothing of who is suspended or gone, nor under a pseudonym of theirs. Raises `Locked`."""
    if not actor.active or not actor.one_time:
        return actor.active
    person = await known.by_id(tx, await identities.person_of(tx, instance, actor.id))
    return person is not None and person.active


def _coarse(draft: Draft) -> bool:
    """Whether nobody shall see a finer time of it than the hour."""
    return draft.one_time or draft.proposal.purpose == "request"


def _moment(instance: "Instance", draft: Draft, now: int) -> int:
    """When a draft that is released now is to be published, in milliseconds UTC: on a full hour, if its times are coarse and it does not leave at once."""
    delay = draft.delay
    waits = instance.config.development is None and draft.proposal.urgency != "hours" and draft.audience != "local"
    if delay is None:
        delay = HIDDEN if draft.one_time and waits else (0, 0)
    else:
        waits = delay != (0, 0)
    at = now + round(secrets.SystemRandom().uniform(*delay) * 1000) if waits else now
    if draft.terms.embargo is not None and times.milliseconds(draft.terms.embargo) > at:
        at, waits = times.milliseconds(draft.terms.embargo), True
    return -(-at // HOUR_MS) * HOUR_MS if waits and _coarse(draft) else at


async def _publish(tx: Transaction, instance: "Instance", actor: Actor, kept: Kept, *, at_once: bool) -> int:
    now = instance.clock.now()
    draft = _from(kept.draft, now)
    coarse = _coarse(draft)
    published = now.replace(minute=0, second=0, microsecond=0) if coarse else now.replace(microsecond=0)
    post_id, uri = await _drawn(tx, instance, draft, times.milliseconds(published))
    proposal = replace(draft.proposal, status=LISTING.move(kept.state, "open"), vouches=await vouches.of(tx, instance, actor))
    if proposal.ends is not None and proposal.ends <= now:
        raise CannotPublish("its time is over before it is published; choose a later deadline")
    public = draft.audience == "public"
    announcers = await topics.announcers(tx, instance, proposal) if public else ()
    to = (PUBLIC,) if public else ()
    note = note_of(instance, actor, uri, proposal, draft.language, published, to=to, announcers=announcers)
    made = await posts.store(tx, instance, actor, note, local=True, post_id=post_id)
    if not isinstance(made, Post):
        raise CannotPublish("it was not stored; try again")
    if not public:
        await listings.write(tx, instance, post_id, proposal, "open", draft.language, audience=draft.audience, named=draft.named)
        if proposal.ends is not None:
            await chores.expire_at(tx, instance, post_id, times.milliseconds(proposal.ends))
    pace = 0 if not coarse else 1 if at_once else 2
    await listings.mark(tx, post_id, reviewed=kept.reviewed, pace=pace, draft_id=kept.id)
    await terms.write(tx, instance, post_id, draft.terms)
    await drafts.published(tx, instance, kept)
    found = await here(tx, instance, post_id)
    if public:
        activity = Create(id=Iri(f"{uri}/activity"), actor=actor.uri, object=note, to=note.to, cc=note.cc, published=published)
        audience = await deletion.everybody(tx, instance, actor, made)
        await outbox.publish(tx, instance, actor, activity, audience, object=uri, ordering_key=uri, proven=_is_offer(note))
        await topics.published(tx, instance, found)
    else:
        await copies.bring_up_to_date(tx, instance, actor, found)
    if draft.widen == "ask":
        await notifications.tell(tx, instance, actor.id, "listing.widen", post_id, coarse=draft.one_time)
    log.info("board.published", post=post_id, actor=actor.id)
    return post_id


async def _drawn(tx: Transaction, instance: "Instance", draft: Draft, published: int) -> tuple[int, Iri]:
    """An id that nothing has, and its URI. An hour has 65,536 coarse ones: of 300 requests in one, two drawn blindly are the same in every second hour."""
    for _ in range(TRIES):
        post_id = _post_id(instance, draft, published)
        uri = Iri(f"{instance.config.base_url}/posts/{post_id}")
        if await posts.unused(tx, instance, uri):
            return post_id, uri
    raise CannotPublish("this hour has given nearly all ids it has for requests; try again in the next")


def _post_id(instance: "Instance", draft: Draft, published: int) -> int:
    """An id as fine as its time may be seen: of something coarse without the counter, which would say between which other ids it was drawn."""
    if draft.one_time:
        return onetime.coarse_id(instance)
    return published << 16 | secrets.randbits(16) if _coarse(draft) else instance.ids.new()


async def due(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: publishes a draft whose hour came. What cannot be published any more is a draft that waits for its author, who is told."""
    try:
        await instance.database.write(_due, instance, int(key))
    except Locked:
        await instance.database.write(chores.publish_at, instance, int(key), instance.clock.ms() + chores.LOCKED_MS)
        return
    except (CannotPublish, outbox.TooLarge, TooLong):
        await instance.database.write(_missed, instance, int(key))
    instance.wake("delivery")
    instance.wake("job")


async def _due(tx: Transaction, instance: "Instance", id: int) -> None:
    kept = await drafts.by_id(tx, instance, id)
    if kept is None or kept.state != "scheduled" or kept.publish_at is None:
        return
    if kept.publish_at > instance.clock.ms():
        await chores.publish_at(tx, instance, id, kept.publish_at)  # it was put off since this was asked for
        return
    actor = await known.by_id(tx, kept.actor_id)
    if actor is not None and not await _may_speak(tx, instance, actor):
        await chores.publish_at(tx, instance, id, instance.clock.ms() + HOUR_MS)  # they may come back before their identity ends
    elif actor is not None:
        post_id = await _publish(tx, instance, actor, kept, at_once=False)
        await notifications.tell(tx, instance, actor.id, "listing.published", post_id)


async def _missed(tx: Transaction, instance: "Instance", id: int) -> None:
    kept = await drafts.by_id(tx, instance, id)
    if kept is not None and kept.state == "scheduled":
        await drafts.keep(tx, instance, replace(kept, state=LISTING.move(kept.state, "draft"), publish_at=None))
        await notifications.tell(tx, instance, kept.actor_id, "listing.missed", id)


async def here(tx: Transaction, instance: "Instance", id: int) -> Listing:
    found = await listings.by_id(tx, instance, id)
    if found is None:
        raise CannotPublish("it is not here any more")
    return found


async def listed(instance: "Instance", id: int) -> Listing:
    made = await instance.database.read(listings.find, instance, str(id))
    if made is None:
        raise CannotPublish("it is not here any more")
    return made


async def edit(instance: "Instance", old: Listing, proposal: Proposal, *, language: str | None = None, anyway: bool = False) -> Listing:
    """Changes a listing of ours; everybody who may hold it is told. Its state stays, but one that expired opens again. A draft is submitted anew.

    `language` (BCP 47) is what title and text are in from now on, if that changes. `anyway` is its author's yes to what the linter finds in other words.
    Raises `CannotPublish`, `checks.Asks`, `actors.vault.Locked`.
    """
    author = await instance.database.read(known.by_id, old.actor_id)
    if old.local and author is not None:
        leaves, spoken = await instance.database.read(_leaves, instance, old), language or old.language
        words = _other_words(old.proposal, proposal) or spoken != old.language
        checks.require(await checks.look(instance, author, proposal, spoken or "en", leaves=leaves, words=words), anyway=anyway, link=True)
    return await listed(instance, await attempt(instance, _edited, instance, old, proposal, language))


async def _leaves(tx: Transaction, instance: "Instance", old: Listing) -> bool:
    """Whether anybody outside reads it, or is to."""
    kept = await drafts.by_id(tx, instance, old.id)
    return old.audience != "local" or (kept is not None and kept.draft.widen == "agreed")


async def _edited(tx: Transaction, instance: "Instance", old: Listing, proposal: Proposal, language: str | None) -> int:
    kept = await drafts.by_id(tx, instance, old.id)
    if kept is not None:
        return await _redrafted(tx, instance, kept, proposal, language)
    actor, _ = await ours(tx, old.id)
    found = await here(tx, instance, old.id)
    seen = not _says_more(found.proposal, proposal) and language in (None, found.language)
    if not seen and await review.needed(tx, instance, actor):
        raise CannotPublish("what is published here was looked at before, and other words would not be; withdraw it and post it anew")
    reopened = found.state == "expired" and (proposal.ends is None or proposal.ends > instance.clock.now())
    state = LISTING.move("expired", "open") if reopened else found.state
    if reopened:
        await listings.set_state(tx, instance, old.id, state)
    await changed(tx, instance, old.id, was=found.state, proposal=replace(proposal, status=state), language=language)
    if found.reviewed and not seen:
        await listings.unseen(tx, old.id)
        now = await here(tx, instance, old.id)
        if found.urgency == "hours" and found.public:
            # Only a person lets @urgent say something, and nobody saw this; the others announce it once more.
            await topics.closed(tx, instance, now)
            await topics.published(tx, instance, now)
    return old.id


def _says_more(before: Proposal, now: Proposal) -> bool:
    """Whether a reader sees anything that nobody looked at; how long it stands, and for how many, is no matter of a review."""
    same = {"status": before.status, "until": before.until, "expires": before.expires, "capacity": before.capacity, "vouches": before.vouches}
    return replace(now, **same) != before  # type: ignore[arg-type]  # its members


def _other_words(before: Proposal, now: Proposal) -> bool:
    """Whether an edit says something that nobody looked at."""
    return (before.title, before.text, before.translations, before.needs) != (now.title, now.text, now.translations, now.needs)


async def _redrafted(tx: Transaction, instance: "Instance", kept: Kept, proposal: Proposal, language: str | None) -> int:
    """Changes what is not published. What a reviewer refused, or a person saw and let pass, is looked at again."""
    actor = await known.by_id(tx, kept.actor_id)
    if actor is None:
        raise CannotPublish("its author is gone")
    usual = kept.draft.open_ended and (proposal.until, proposal.expires) == (None, kept.draft.proposal.expires)
    spoken = language or kept.draft.language
    draft = replace(kept.draft, proposal=replace(proposal, status="open"), language=spoken, reason=None, open_ended=usual)
    await check(tx, instance, actor, draft)
    state = kept.state if kept.state == "draft" else LISTING.move(kept.state, "draft")
    fresh = replace(kept, state=state, draft=draft, reviewed=False, publish_at=None)
    return await submit(tx, instance, actor, fresh)


async def changed(
    tx: Transaction,
    instance: "Instance",
    id: int,
    *,
    was: str | None = None,
    proposal: Proposal | None = None,
    language: str | None = None,
    leaves: bool = False,
) -> None:
    """Writes down how a listing of ours stands now and tells everybody who may hold it; `was` is the state it was in before.

    One that leaves on the hour is told about on the next hour, however often it changes until then (`leaves`: that hour is now).
    Raises `CannotPublish`, `Locked`.
    """
    actor, held = await ours(tx, id)
    found = await here(tx, instance, id)
    said = await vouches.of(tx, instance, actor)  # what is said of its author now, not then
    found = listings.with_proposal(replace(found, language=language or found.language), replace(proposal or found.proposal, vouches=said))
    now = instance.clock.now()
    # Whole seconds that grow with every change: Mastodon takes no second edit with the same time (protocol.md 14.4).
    last = times.moment(held.updated or held.published).replace(microsecond=0)
    updated = max(now.replace(minute=0, second=0, microsecond=0) if found.pace else now.replace(microsecond=0), last + timedelta(seconds=1))
    note = await _note(tx, instance, actor, held, found, updated)
    if not isinstance(await posts.change(tx, instance, actor, note), Post):
        raise CannotPublish("it was changed a moment ago; try again in a second")
    if not found.public:
        await listings.write(tx, instance, id, found.proposal, found.state, found.language, audience=found.audience, named=found.named)
    end = found.proposal.ends
    if end is not None and found.state in listings.OPEN:
        await chores.expire_at(tx, instance, id, times.milliseconds(end))
    if found.public and was is not None and (was == "open") != (found.state == "open"):
        await (topics.published if found.state == "open" else topics.closed)(tx, instance, found)
    if found.pace == 2 and not leaves:
        await chores.tell_at(tx, instance, id, (instance.clock.ms() // HOUR_MS + 1) * HOUR_MS)
        return
    ms = times.milliseconds(updated)
    if not found.public:
        await copies.bring_up_to_date(tx, instance, actor, replace(found, updated=ms), updated=ms)
        return
    activity = Update(id=Iri(f"{held.uri}#updates/{ms}"), actor=actor.uri, object=note, to=note.to, cc=note.cc, published=updated)
    audience = await deletion.everybody(tx, instance, actor, held)
    await outbox.publish(tx, instance, actor, activity, audience, object=held.uri, ordering_key=held.uri, proven=_is_offer(note))
    is_open = found.state in listings.OPEN
    await deletion.owe(tx, instance, actor, activity, held.uri, proven=_is_offer(note), wishes=await terms.of(tx, instance, id), open_=is_open)


async def tell(instance: "Instance", key: str, _payload: bytes) -> None:
    """The job: on the hour, what a listing became since the last one."""
    try:
        await instance.database.write(_tell, instance, int(key))
    except Locked:
        await instance.database.write(chores.tell_at, instance, int(key), instance.clock.ms() + chores.LOCKED_MS)
        return
    instance.wake("delivery")


async def _tell(tx: Transaction, instance: "Instance", id: int) -> None:
    if await listings.state_of(tx, id) is not None:
        await changed(tx, instance, id, leaves=True)


async def ours(tx: Transaction, id: int) -> tuple[Actor, Post]:
    held = await posts.by_id(tx, id)
    actor = await known.by_id(tx, held.actor_id) if held is not None else None
    if held is None or actor is None or not held.local:
        raise CannotPublish("it lives on another instance; only its author changes or withdraws it there")
    return actor, held


async def withdraw(instance: "Instance", old: Listing) -> Listing:
    """Withdraws a listing of ours: deleted here, and everybody who may hold it is told. Gives it as it was, in state withdrawn. Raises `CannotPublish`.

    A Delete and no last Update: Mastodon keeps the history of edits, and what was withdrawn should not be read there. It leaves at once, not on the hour.
    """
    await attempt(instance, _withdrawn, instance, old)
    await instance.database.erase()
    return replace(old, state="withdrawn")


async def _withdrawn(tx: Transaction, instance: "Instance", old: Listing) -> None:
    kept = await drafts.by_id(tx, instance, old.id)
    if kept is not None:
        await drafts.remove(tx, instance, kept)
        return
    actor, held = await ours(tx, old.id)
    try:
        LISTING.move(old.state, "withdrawn")
    except IllegalMove as error:
        raise CannotPublish(f"it is {error.state} and cannot be withdrawn; delete it with `fedmatch delete`") from error
    await deletion.remove(tx, instance, actor, held)
