"""What do our people say, and to whom does it go? Posts, requests and offers: published, changed, withdrawn."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import structlog

from actors import hosts, known, local, remote
from actors.known import Actor
from actors.vault import Locked
from fedmatch import chores, people, times
from fedmatch.board import listings
from fedmatch.board.listings import Listing
from inbox import dereference
from inbox.errors import Later
from outbox import polls, posts
from outbox import publish as outbox
from outbox.address import Audience
from outbox.posts import Post
from outbox.visible import Member, can_read
from schemas import html
from schemas import listings as wording
from schemas.activities import Create, Delete, Update
from schemas.crashpoint import crashpoint
from schemas.objects import PUBLIC, Hashtag, Mention, Note, Option, Poll, Proposal, Tallies, Tombstone
from schemas.reading import Iri
from schemas.states import LISTING, IllegalMove
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

AudienceName = Literal["public", "followers", "direct"]

LONGEST_POST: Final = 10_000
MOST_OPTIONS: Final = 10
LONGEST_OPTION: Final = 200
MOST_MENTIONS: Final = 20
THREAD_BUDGET: Final = 20
CHUNK: Final = 50
"""How many posts one write deletes when somebody goes."""


class CannotPublish(ValueError):
    """It cannot be said, changed or taken back like this; the text says why and what to do."""


async def post(
    instance: "Instance",
    actor: Actor,
    words: str,
    audience: AudienceName = "public",
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
    content = html.from_text(words, links, _tag_page(instance, ""))
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
        conversation=(parent[0].conversation if parent else None) or f"{uri}#conversation",
        to=first,
        cc=second,
        mentions=tuple(Mention(person.uri, f"@{person.handle}") for person in addressed.values()),
        hashtags=tuple(Hashtag(tag, _tag_page(instance, tag)) for tag in tags),
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
    await outbox.publish(tx, instance, actor, activity, await holders(tx, actor, held), object=held.uri, ordering_key=held.uri)


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


def _tag_page(instance: "Instance", tag: str) -> Iri:
    return Iri(f"{instance.config.base_url}/tags/{tag.lower()}")


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


async def _keep(tx: Transaction, instance: "Instance", found: dereference.Origin) -> None:
    await posts.store(tx, instance, found.author, found.note, local=False, document=found.document)


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
    await _remove(tx, instance, actor, found)


HOLDERS: Final = """
select actor.id
from post_audience
join actor on actor.id = post_audience.actor_id
where post_audience.post_id = :post_id
union
select reaction.actor_id
from post as reaction
where reaction.in_reply_to_id = :post_id
   or reaction.boost_of = :post_id
"""

BOOSTERS: Final = """
select boost.actor_id
from post as boost
join actor on actor.id = boost.actor_id
where boost.boost_of = :post_id
  and actor.local = 1
"""


async def holders(tx: Transaction, actor: Actor, held: Post) -> Audience:
    """Everybody who may hold this post of `actor`: whom it addresses, who answered or boosted it, the followers of its author and of our boosters."""
    named = tuple(row["id"] for row in await tx.all(HOLDERS, post_id=held.id) if row["id"] != actor.id)
    if held.visibility == "direct":
        return Audience(actors=named)
    boosters = tuple(row["actor_id"] for row in await tx.all(BOOSTERS, post_id=held.id))
    return Audience(actors=named, followers_of=(actor.id, *boosters))


async def _remove(tx: Transaction, instance: "Instance", actor: Actor, held: Post) -> None:
    """Deletes a post of ours and sends the Delete, in this transaction."""
    audience = await holders(tx, actor, held)
    people_named = [Iri(row["target"]) for row in await tx.all(posts.AUDIENCE, post_id=held.id)]
    activity = Delete(
        id=Iri(f"{held.uri}#delete"),
        actor=actor.uri,
        object=Tombstone(held.uri, former_type=held.kind),
        to=tuple(dict.fromkeys(people_named)),
        published=instance.clock.now().replace(microsecond=0),
    )
    await posts.remove(tx, instance, held)
    await outbox.publish(tx, instance, actor, activity, audience, object=held.uri, ordering_key=held.uri)
    log.info("board.deleted", post=held.id, actor=actor.id)


async def delete_person(instance: "Instance", actor: Actor) -> None:
    """Ends a person of ours for good: every post is deleted and taken back by its own Delete, then the actor.

    snac keeps the posts of an actor that is deleted as a whole, so one Delete a post goes first. Killed on the way, the next call goes on.
    """
    while await instance.database.write(_delete_some, instance, actor):
        instance.wake("delivery")
    await instance.database.write(_delete_actor, instance, actor)
    instance.wake("delivery")
    instance.wake("job")
    await instance.database.erase()


SOME_OF: Final = """
select post.*
from post
where post.actor_id = :actor_id
  and post.boost_of is null
order by post.id
limit :limit
"""


async def _delete_some(tx: Transaction, instance: "Instance", actor: Actor) -> int:
    rows = await tx.all(SOME_OF, actor_id=actor.id, limit=CHUNK)
    for row in rows:
        await _remove(tx, instance, actor, posts.from_row(row))
    return len(rows)


KNOWN_TO: Final = """
select distinct delivery.inbox
from delivery
join outgoing on outgoing.id = delivery.outgoing_id
where outgoing.actor_id = :actor_id
"""


async def _delete_actor(tx: Transaction, instance: "Instance", actor: Actor) -> None:
    audience = Audience(followers_of=(actor.id,), inboxes=tuple(Iri(row["inbox"]) for row in await tx.all(KNOWN_TO, actor_id=actor.id)))
    activity = await local.delete(tx, instance, actor)
    await outbox.publish(tx, instance, actor, activity, audience, object=actor.uri, ordering_key=actor.uri)


def note_of(
    instance: "Instance", actor: Actor, uri: Iri, proposal: Proposal, language: str | None, published: datetime, updated: datetime | None = None
) -> Note:
    """A public request or offer as a complete post: what a server that knows only Notes shows, with the members that make it a listing.

    Pure but for the configuration: the same listing gives the same Note, so documents are written anew instead of kept.
    """
    content = wording.content(proposal, language or "en", _tag_page(instance, ""))
    tags = wording.hashtags(proposal)
    return Note(
        id=uri,
        attributed_to=actor.uri,
        content=content,
        language=language,
        # The entry is byte-identical to `content` and comes first: GoToSocial and Mastodon find the language so (protocol.md 14.11).
        content_map=((language, content),) if language else (),
        source=proposal.text,
        url=uri,
        published=published,
        updated=updated,
        conversation=f"{uri}#conversation",
        to=(PUBLIC,),
        cc=(actor.followers,) if actor.followers else (),
        hashtags=tuple(Hashtag(tag, _tag_page(instance, tag)) for tag in tags),
        proposal=proposal,
    )


async def note(tx: Transaction, instance: "Instance", held: Post) -> Note | None:
    """The Note of a post that is a request or an offer, as it stands now; None for an ordinary post."""
    found = await listings.by_id(tx, instance, held.id)
    actor = await known.by_id(tx, held.actor_id) if found is not None else None
    if found is None or actor is None:
        return None
    updated = times.moment(held.updated) if held.updated else None
    return note_of(instance, actor, held.uri, found.proposal, found.language, times.moment(held.published), updated)


async def listing(instance: "Instance", actor: Actor, proposal: Proposal, language: str) -> Listing:
    """Publishes a validated request or offer of `actor` to everybody; raises `CannotPublish`."""
    post_id = instance.ids.new()
    uri = Iri(f"{instance.config.base_url}/posts/{post_id}")
    note = note_of(instance, actor, uri, replace(proposal, status="open"), language, instance.clock.now().replace(microsecond=0))
    await _create(instance, actor, note, post_id, Audience(followers_of=(actor.id,)))
    return await _listed(instance, post_id)


async def _listed(instance: "Instance", id: int) -> Listing:
    made = await instance.database.read(listings.by_id, instance, id)
    if made is None:
        raise CannotPublish("it is not here any more")
    return made


async def edit(instance: "Instance", old: Listing, proposal: Proposal) -> Listing:
    """Changes a listing of ours; everybody who may hold it is told. Its state stays, but one that expired opens again. Raises `CannotPublish`."""
    state = "open" if old.state == "expired" else old.state
    await instance.database.write(_edited, instance, old.id, replace(proposal, status=state), old.language)
    instance.wake("delivery")
    return await _listed(instance, old.id)


async def _edited(tx: Transaction, instance: "Instance", id: int, proposal: Proposal, language: str | None) -> None:
    actor, held = await _ours(tx, id)
    # Whole seconds that grow with every change: Mastodon takes no second edit with the same time (protocol.md 14.4).
    last = times.moment(held.updated or held.published).replace(microsecond=0)
    updated = max(instance.clock.now().replace(microsecond=0), last + timedelta(seconds=1))
    note = note_of(instance, actor, held.uri, proposal, language, times.moment(held.published), updated)
    changed = await posts.change(tx, instance, actor, note)
    if not isinstance(changed, Post):
        raise CannotPublish("it was changed a moment ago; try again in a second")
    activity = Update(id=Iri(f"{held.uri}#updates/{instance.clock.ms()}"), actor=actor.uri, object=note, to=note.to, cc=note.cc, published=updated)
    audience = await holders(tx, actor, held)
    await outbox.publish(tx, instance, actor, activity, audience, object=held.uri, ordering_key=held.uri, proven=_is_offer(note))


async def _ours(tx: Transaction, id: int) -> tuple[Actor, Post]:
    held = await posts.by_id(tx, id)
    actor = await known.by_id(tx, held.actor_id) if held is not None else None
    if held is None or actor is None or not held.local:
        raise CannotPublish("it lives on another instance; only its author changes or withdraws it there")
    return actor, held


async def withdraw(instance: "Instance", old: Listing) -> Listing:
    """Withdraws a listing of ours: deleted here, and everybody who may hold it is told. Gives it as it was, in state withdrawn. Raises `CannotPublish`.

    A Delete and no last Update: Mastodon keeps the history of edits, and what was withdrawn should not be read there.
    """
    await instance.database.write(_withdrawn, instance, old)
    instance.wake("delivery")
    await instance.database.erase()
    return replace(old, state="withdrawn")


async def _withdrawn(tx: Transaction, instance: "Instance", old: Listing) -> None:
    actor, held = await _ours(tx, old.id)
    try:
        LISTING.move(old.state, "withdrawn")
    except IllegalMove as error:
        raise CannotPublish(f"it is {error.state} and cannot be withdrawn; delete it with `fedmatch delete`") from error
    await _remove(tx, instance, actor, held)


async def expire(tx: Transaction, instance: "Instance", id: int) -> None:
    """Closes a listing whose time is over; ours tells everybody who may hold it, theirs closes here without asking anybody."""
    found = await listings.by_id(tx, instance, id)
    if found is None or found.until is None or await listings.state_of(tx, id) not in listings.OPEN:
        return
    if found.state != "expired":
        await chores.expire_at(tx, instance, id, times.milliseconds(found.until))  # it was prolonged since this was asked for
        return
    await listings.set_state(tx, id, "expired", instance.clock.ms())
    if found.local:
        await _edited(tx, instance, id, found.proposal, found.language)
