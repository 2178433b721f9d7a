"""What hangs on a post or a profile, as others may list it? Replies, threads, likes, boosts, pins; for FEP-8fcf a server's own share of somebody's followers.

Every list shows what its asker may see and nothing else. How many like a post is told, who they are is not: a list of who stands by whom is not ours to give.
"""

from typing import TYPE_CHECKING, Final

from quart import Blueprint, Response, request

from actors import known, synchronisation
from actors.endpoints import ap_error, ap_response, gate, not_found, reader, signed_only, unsigned
from actors.known import Actor
from actors.signatures.request import Signer
from outbox import pins, reactions
from outbox.endpoints import AGE_S, by_signer, find_post, key_of_page
from outbox.posts import Post
from outbox.visible import VISIBLE, Viewer, seen_by
from schemas import documents
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

PAGE: Final = 20
MOST_OF_THREAD: Final = 1000
"""Posts of one thread that are listed, the nearest to its first; the walk ends there."""

REPLIES: Final = (
    """
select post.id, post.uri
from post
where post.in_reply_to_id = :post_id
  and post.boost_of is null
  and post.visibility in ('public', 'unlisted')
  and post.id > :after
  and """
    + VISIBLE
    + """
order by post.id
limit :limit
"""
)

REPLIES_COUNT: Final = (
    """
select count(*) as total
from post
where post.in_reply_to_id = :post_id
  and post.boost_of is null
  and post.visibility in ('public', 'unlisted')
  and """
    + VISIBLE
)

SHARES: Final = (
    """
select post.id, post.uri
from post
where post.boost_of = :post_id
  and post.visibility in ('public', 'unlisted')
  and post.id > :after
  and """
    + VISIBLE
    + """
order by post.id
limit :limit
"""
)

# From answer to answer and never by the name that a post gives its thread: anybody may write any name. What lies below a post that the asker may not see is not
# reached. No post is met twice, for `union` drops it.
THREAD: Final = (
    """
(
  with recursive below (id) as (
    select post.id
    from post
    where post.id = :post_id
    union
    select post.id
    from below
    join post on post.in_reply_to_id = below.id
    where post.boost_of is null
      and post.visibility in ('public', 'unlisted')
      and """  # noqa: S608  # its parts are ours
    + VISIBLE
    + """
  )
  select below.id from below limit :most
) as thread
"""
)

CONTEXT: Final = (
    """
select post.id, post.uri
from """
    + THREAD
    + """
join post on post.id = thread.id
where post.id > :after
order by post.id
limit :limit
"""
)

CONTEXT_COUNT: Final = (
    """
select count(*) as total
from """
    + THREAD
)

LISTS: Final = {"replies": REPLIES, "shares": SHARES, "context": CONTEXT}


def blueprint(instance: "Instance") -> Blueprint:
    """The routes of these collections."""
    made = Blueprint("collections", __name__)
    _of_posts(made, instance)
    _of_people(made, instance)
    return made


def _of_posts(made: Blueprint, instance: "Instance") -> None:
    base = instance.config.base_url

    @made.get("/posts/<number>/<any(replies, shares, context):which>")
    async def listed(number: str, which: str) -> Response:
        found = await find_post(instance, Iri(f"{base}/posts/{number}"))
        if isinstance(found, Response):
            return found
        here = Iri(f"{found.post.uri}/{which}")
        if which == "context" and not (found.post.public and found.post.conversation == here):
            return not_found()  # requests, offers and answers begin no thread that others could list
        if "page" not in request.args:
            total = await instance.database.read(_total, found.post, which, found.viewer)
            document = documents.collection(here, total, Iri(f"{here}?page=true"))
            return ap_response(document, max_age_s=AGE_S, by_signer=by_signer(instance, found.post))
        after = key_of_page("min_id", 0)
        if after is None:
            return ap_error(400, "`min_id` is no number")
        keys, uris = await instance.database.read(_page, found.post, which, found.viewer, after)
        more = Iri(f"{here}?page=true&min_id={keys[-1]}") if len(uris) == PAGE else None
        document = documents.collection_page(Iri(f"{here}?page=true" + (f"&min_id={after}" if after else "")), here, uris, next=more)
        return ap_response(document, max_age_s=AGE_S, by_signer=by_signer(instance, found.post))

    @made.get("/posts/<number>/likes")
    async def likes(number: str) -> Response:
        found = await find_post(instance, Iri(f"{base}/posts/{number}"))
        if isinstance(found, Response):
            return found
        tallies = await instance.database.read(reactions.tallies, found.post.id)
        document = documents.collection(Iri(f"{found.post.uri}/likes"), tallies.likes)
        return ap_response(document, max_age_s=AGE_S, by_signer=by_signer(instance, found.post))


def _of_people(made: Blueprint, instance: "Instance") -> None:
    @made.get("/users/<name>/collections/featured")
    async def featured(name: str) -> Response:
        if refusal := await gate(instance):
            return refusal
        person = await instance.database.read(_person, name)
        if person is None or person.state == "suspended" or person.featured is None:
            return not_found()
        if person.state == "gone":
            return ap_error(410, "gone")
        uris = await instance.database.read(pins.of, person.id)
        return ap_response(documents.collection(person.featured, len(uris), items=uris), by_signer=signed_only(instance))

    @made.get("/users/<name>/followers_synchronization")
    async def followers(name: str) -> Response:
        # Signed always: each server learns of its own people alone, which it knows already.
        asker = await reader(instance)
        if isinstance(asker, Response):
            return asker
        if not isinstance(asker, Signer) or not asker.actor.active or asker.actor.host_id is None:
            return unsigned()
        person = await instance.database.read(_person, name)
        if person is None or not person.active:
            return not_found()
        uris = await instance.database.read(synchronisation.followers_on, person.id, asker.actor.host_id)
        return ap_response(documents.collection(synchronisation.address(person), None, items=uris), by_signer=True)

    @made.after_request
    async def preflight(response: Response) -> Response:
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Accept, Date, Signature, Signature-Input"
        return response


async def _person(tx: Transaction, name: str) -> Actor | None:
    """The local person whose id has exactly this name."""
    actor = await known.by_name(tx, name)
    return actor if actor is not None and actor.username == name and actor.kind != "Application" else None


async def _total(tx: Transaction, post: Post, which: str, viewer: Viewer) -> int:
    if which == "shares":
        return (await reactions.tallies(tx, post.id)).shares
    if which == "context":
        row = await tx.one(CONTEXT_COUNT, post_id=post.id, most=MOST_OF_THREAD, **seen_by(viewer))
    else:
        row = await tx.one(REPLIES_COUNT, post_id=post.id, **seen_by(viewer))
    return 0 if row is None else int(row["total"])


async def _page(tx: Transaction, post: Post, which: str, viewer: Viewer, after: int) -> tuple[list[int], list[Iri]]:
    """The keys and ids of what comes after the key `after`, oldest first."""
    most = {"most": MOST_OF_THREAD} if which == "context" else {}
    rows = await tx.all(LISTS[which], post_id=post.id, after=after, limit=PAGE, **most, **seen_by(viewer))
    return [int(row["id"]) for row in rows], [Iri(row["uri"]) for row in rows]
