"""What does somebody of ours ask and offer, for servers that know marketplaces (FEP-0837)? A collection of the public ones, paged like an outbox."""

from typing import TYPE_CHECKING, Final

from quart import Blueprint, Response, request

from actors import known
from actors.endpoints import ap_error, ap_response, gate, not_found, signed_only
from actors.known import Actor
from outbox.endpoints import AGE_S, LAST, PAGE, key_of_page
from schemas import documents
from schemas.reading import Document, Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

PROPOSALS: Final = """
select post.id, post.uri
from post
join listing on listing.post_id = post.id
where post.actor_id = :actor_id
  and post.local = 1
  and post.visibility = 'public'
  and listing.audience = 'public'
  and post.id < :before
order by post.id desc
limit :limit
"""

COUNT: Final = """
select count(*) as total
from post
join listing on listing.post_id = post.id
where post.actor_id = :actor_id
  and post.local = 1
  and post.visibility = 'public'
  and listing.audience = 'public'
"""


def blueprint(instance: "Instance") -> Blueprint:
    """The route of the collection. It names the twins (`<id>/proposal`), newest first; what is not public is neither named nor counted."""
    made = Blueprint("proposals", __name__)

    @made.get("/users/<name>/proposals")
    async def proposals(name: str) -> Response:
        if refusal := await gate(instance):
            return refusal
        person = await instance.database.read(known.by_name, name)
        if person is None or person.username != name or person.state == "suspended" or (here := person.proposals) is None:
            return not_found()
        if person.state == "gone":
            return ap_error(410, "gone")
        if "page" not in request.args:
            document = documents.collection(here, await instance.database.read(_count, person.id), Iri(f"{here}?page=true"))
            return ap_response(document, max_age_s=AGE_S, by_signer=signed_only(instance))
        before = key_of_page("max_id", LAST)
        if before is None:
            return ap_error(400, "`max_id` is no number")
        return ap_response(await instance.database.read(_page, person, here, before), max_age_s=AGE_S, by_signer=signed_only(instance))

    return made


async def _count(tx: Transaction, actor_id: int) -> int:
    row = await tx.one(COUNT, actor_id=actor_id)
    return 0 if row is None else int(row["total"])


async def _page(tx: Transaction, person: Actor, here: Iri, before: int) -> Document:
    rows = await tx.all(PROPOSALS, actor_id=person.id, before=before, limit=PAGE)
    first = f"{here}?page=true"
    more = Iri(f"{first}&max_id={rows[-1]['id']}") if len(rows) == PAGE else None
    twins = [Iri(f"{row['uri']}/proposal") for row in rows]
    return documents.collection_page(Iri(first if before == LAST else f"{first}&max_id={before}"), here, twins, next=more)
