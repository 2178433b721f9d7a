"""What do others find here at the ids of our posts? Documents for servers, pages for people, and the same answer for what is missing and what is hidden."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from quart import Blueprint, Response, abort, request

from actors import known
from actors.endpoints import ap_error, ap_response, not_found, reader, refused_host, signed_only
from actors.known import Actor
from actors.media import ACTIVITY_JSON, wants_activitypub
from actors.signatures.errors import HostRefused
from actors.signatures.request import Signer
from actors.vault import Locked
from outbox import fetched, posts, reactions
from outbox.posts import Post
from outbox.visible import Anonymous, Remote, Viewer, can_read
from schemas import documents
from schemas.activities import Announce, Create
from schemas.objects import Note
from schemas.reading import Document, Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

AGE_S: Final = 30
"""How long caches may keep a post: what is deleted is unreadable within a minute, in other people's proxies too."""
PAGE: Final = 20
LAST: Final = 2**63 - 1

Html = Callable[[str, Post], Awaitable[Response]]
"""Renders the page of a thing ("post") for people; the product registers it."""

NoteOf = Callable[[Transaction, Post], Awaitable[Note | None]]
"""The Note of a post that is more than a post (a request, an offer), None for an ordinary one; the product registers it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A post of ours that the asker may read, and who asks."""

    post: Post
    viewer: Viewer


OUTBOX: Final = """
select post.*, boosted.uri as boosted_uri
from post
left join post as boosted on boosted.id = post.boost_of
where post.actor_id = :actor_id
  and post.local = 1
  and post.visibility = 'public'
  and (post.boost_of is null or boosted.visibility in ('public', 'unlisted'))
  and post.id < :before
order by post.id desc
limit :limit
"""

COUNT: Final = """
select count(*) as total
from post
left join post as boosted on boosted.id = post.boost_of
where post.actor_id = :actor_id
  and post.local = 1
  and post.visibility = 'public'
  and (post.boost_of is null or boosted.visibility in ('public', 'unlisted'))
"""


def blueprint(instance: "Instance", html: Html | None = None, note_of: NoteOf | None = None) -> Blueprint:
    """The routes of this room. `html` renders pages at the ids of posts, `note_of` makes the Notes of what the product built on posts.

    Documents follow one rule (`outbox.visible`): not visible is missing, byte for byte. 410 with a Tombstone stands only where something public was.
    """
    made = Blueprint("outbox", __name__)
    _posts(made, instance, html, note_of)
    _collections(made, instance, note_of)
    return made


def _posts(made: Blueprint, instance: "Instance", html: Html | None, note_of: NoteOf | None) -> None:
    base = instance.config.base_url

    @made.get("/posts/<number>")
    async def post(number: str) -> Response:
        uri = Iri(f"{base}/posts/{number}")
        if html is not None and not wants_activitypub(request.headers.get("Accept", "")):
            return await _page(instance, uri, html)
        found = await find_post(instance, uri)
        if isinstance(found, Response):
            return found
        return await _answer(instance, found, note_of, documents.note)

    @made.get("/posts/<number>/activity")
    async def activity(number: str) -> Response:
        found = await find_post(instance, Iri(f"{base}/posts/{number}"))
        if isinstance(found, Response):
            return found
        return await _answer(instance, found, note_of, lambda note: documents.activity(_create(note)))

    @made.get("/posts/<number>/proposal")
    async def proposal(number: str) -> Response:
        found = await find_post(instance, Iri(f"{base}/posts/{number}"))
        if isinstance(found, Response):
            return found
        return await _answer(instance, found, note_of, lambda note: None if note.proposal is None else documents.proposal(note))

    @made.get("/activities/<number>")
    async def other(number: str) -> Response:
        # Boosts alone: who follows or answers whom is nobody else's business.
        found = await find_post(instance, Iri(f"{base}/activities/{number}"), boosts=True)
        if isinstance(found, Response):
            return found
        document = await instance.database.read(_announced, found.post)
        return not_found() if document is None else ap_response(document, max_age_s=AGE_S, by_signer=by_signer(instance, found.post))


def _collections(made: Blueprint, instance: "Instance", note_of: NoteOf | None) -> None:
    base = instance.config.base_url

    @made.get("/actor/outbox")
    async def of_application() -> Response:
        return ap_response(documents.collection(Iri(f"{base}/actor/outbox"), 0, items=[]), max_age_s=AGE_S)

    @made.get("/users/<name>/outbox")
    async def of_person(name: str) -> Response:
        if signed_only(instance):
            asker = await reader(instance)
            if isinstance(asker, Response):
                return asker
        elif refused_host(instance):
            return ap_error(403, HostRefused.safe)
        person = await instance.database.read(known.by_name, name)
        # An id has one spelling: `Amina` is not `amina`.
        if person is None or person.state == "suspended" or person.username != name or person.outbox is None:
            return not_found()
        if person.state == "gone":
            return ap_error(410, "gone")
        if "page" not in request.args:
            total = await instance.database.read(_count, person.id)
            document = documents.collection(person.outbox, total, Iri(f"{person.outbox}?page=true"))
            return ap_response(document, max_age_s=AGE_S, by_signer=signed_only(instance))
        before = key_of_page("max_id", LAST)
        if before is None:
            return ap_error(400, "`max_id` is no number")
        document = await instance.database.read(_outbox_page, instance, person, before, note_of)
        return ap_response(document, max_age_s=AGE_S, by_signer=signed_only(instance))

    @made.after_request
    async def preflight(response: Response) -> Response:
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Accept, Date, Signature, Signature-Input"
        return response


async def find_post(instance: "Instance", uri: Iri, *, boosts: bool = False) -> Found | Response:
    """The post at `uri` if the asker may read it, or the refusal: 401 or 403 of the policy, 410 where something public was, else the one 404."""
    asker = None
    if signed_only(instance):
        asker = await reader(instance)
        if isinstance(asker, Response):
            return asker
    elif refused_host(instance):
        return ap_error(403, HostRefused.safe)
    post, buried = await instance.database.read(_look, uri, boosts)
    if buried is not None:
        return ap_response(buried, status=410, max_age_s=AGE_S, by_signer=signed_only(instance))
    if asker is None and not (post is not None and post.public):
        # Proven for what is missing too: whether we fetch a key must not tell that something is there.
        asker = await reader(instance)
        if isinstance(asker, Response):
            return asker
    if post is None and isinstance(asker, Signer) and (gone := await instance.database.read(_gone_for, uri, asker.actor)) is not None:
        return ap_response(gone, status=410, by_signer=True)
    viewer: Viewer = Remote(asker.actor.id, asker.actor.host) if isinstance(asker, Signer) and asker.actor.active else Anonymous()
    if post is None or not await instance.database.read(can_read, viewer, post.id):
        return not_found()
    return Found(post, viewer)


async def _look(tx: Transaction, uri: Iri, boosts: bool) -> tuple[Post | None, Document | None]:
    """The local post at `uri`, or the tombstone of one that was public."""
    post = await posts.by_uri(tx, uri)
    if post is not None:
        return (post if post.local and (post.boost_of is not None) == boosts else None), None
    row = await tx.one(posts.TOMBSTONE, uri=uri)
    if row is None or not row["public"]:
        return None, None
    return None, documents.tombstone(uri, row["former_type"], datetime.fromtimestamp(row["deleted_at"] / 1000, UTC))


GONE_FOR: Final = """
select tombstone.former_type, tombstone.deleted_at
from tombstone
where tombstone.uri = :uri
  and exists (
    select 1
    from delivery
    join outgoing on outgoing.id = delivery.outgoing_id
    where delivery.ordering_key = :uri
      and delivery.state = 'sent'
      and outgoing.object = :uri
      and outgoing.kind <> 'Delete'
      and (
        delivery.inbox = :inbox
        or (
          delivery.inbox = :shared_inbox
          and exists (
            select 1
            from follow
            where follow.followed_id = outgoing.actor_id
              and follow.follower_id = :actor_id
              and follow.state = 'accepted'
          )
        )
      )
  )
"""


async def _gone_for(tx: Transaction, uri: Iri, asker: Actor) -> Document | None:
    """The tombstone of what was never public, for somebody it was sent to; known as long as finished deliveries are kept, then it is missing for all."""
    row = await tx.one(GONE_FOR, uri=uri, inbox=asker.inbox, shared_inbox=asker.shared_inbox or "", actor_id=asker.id)
    return None if row is None else documents.tombstone(uri, row["former_type"], datetime.fromtimestamp(row["deleted_at"] / 1000, UTC))


async def _answer(instance: "Instance", found: Found, note_of: NoteOf | None, write: Callable[[Note], Document | None]) -> Response:
    try:
        note = await instance.database.read(_note, instance, found.post, note_of)
    except Locked:
        return ap_error(503, "the instance is locked, come back later", retry_after_s=300)
    document = write(note)
    if document is None:
        return not_found()
    if found.post.public:
        await fetched.note(instance, found.post.id, list(request.scope["headers"]))
    return ap_response(document, max_age_s=AGE_S, by_signer=by_signer(instance, found.post))


def by_signer(instance: "Instance", post: Post) -> bool:
    """Whether the answer about this post depends on who asks."""
    return signed_only(instance) or not post.public


async def _note(tx: Transaction, instance: "Instance", post: Post, note_of: NoteOf | None) -> Note:
    made = None if note_of is None else await note_of(tx, post)
    if made is not None:
        return made
    note = await posts.note(tx, instance, post)
    return replace(note, tallies=await reactions.tallies(tx, post.id)) if post.public else note


def _create(note: Note) -> Create:
    return Create(id=Iri(f"{note.id}/activity"), actor=note.attributed_to, object=note, to=note.to, cc=note.cc, published=note.published)


async def _announce(tx: Transaction, boost: Post, boosted: Iri) -> Announce | None:
    actor = await known.by_id(tx, boost.actor_id)
    if actor is None:
        return None
    audience = [(row["field"], Iri(row["target"])) for row in await tx.all(posts.AUDIENCE, post_id=boost.id)]
    return Announce(
        id=boost.uri,
        actor=actor.uri,
        object=boosted,
        to=tuple(target for field, target in audience if field == "to"),
        cc=tuple(target for field, target in audience if field == "cc"),
        published=datetime.fromtimestamp(boost.published / 1000, UTC),
    )


async def _announced(tx: Transaction, boost: Post) -> Document | None:
    boosted = None if boost.boost_of is None else await posts.by_id(tx, boost.boost_of)
    announce = None if boosted is None else await _announce(tx, boost, boosted.uri)
    return None if announce is None else documents.activity(announce)


async def _count(tx: Transaction, actor_id: int) -> int:
    row = await tx.one(COUNT, actor_id=actor_id)
    return 0 if row is None else int(row["total"])


async def _outbox_page(tx: Transaction, instance: "Instance", person: Actor, before: int, note_of: NoteOf | None) -> Document:
    """The public posts and boosts older than `before`, newest first, with the way on if there is more."""
    rows = await tx.all(OUTBOX, actor_id=person.id, before=before, limit=PAGE)
    items: list[Create | Announce] = []
    for row in rows:
        post = posts.from_row(row)
        item = _create(await _note(tx, instance, post, note_of)) if post.boost_of is None else await _announce(tx, post, Iri(row["boosted_uri"]))
        if item is not None:
            items.append(item)
    here = f"{person.outbox}?page=true"
    more = Iri(f"{here}&max_id={rows[-1]['id']}") if len(rows) == PAGE else None
    return documents.collection_page(Iri(here if before == LAST else f"{here}&max_id={before}"), Iri(f"{person.outbox}"), items, next=more)


def key_of_page(parameter: str, otherwise: int) -> int | None:
    """Where the page that is asked for begins: the number in `parameter`, `otherwise` if there is none, None if it is rubbish."""
    text = request.args.get(parameter)
    if text is None:
        return otherwise
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


async def _page(instance: "Instance", uri: Iri, html: Html) -> Response:
    """The page for people: of what everybody may read, and nothing else."""
    post, buried = await instance.database.read(_look, uri, False)
    if buried is not None:
        abort(410)
    if post is None or not await instance.database.read(can_read, Anonymous(), post.id):
        abort(404)
    response = await html("post", post)
    response.headers.add("Link", f'<{post.uri}>; rel="alternate"; type="{ACTIVITY_JSON}"')
    response.vary.add("Accept")
    return response
