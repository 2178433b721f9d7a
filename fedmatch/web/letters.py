"""What is at the id of a letter? The Note, for the server it was written to; for everybody else the same answer as for a letter that never was."""

from typing import TYPE_CHECKING

from quart import Blueprint, Response, abort, request

from actors.endpoints import ap_error, ap_response, not_found, reader
from actors.media import wants_activitypub
from actors.signatures.request import Signer
from actors.vault import Locked
from fedmatch.board import letters
from schemas.reading import Iri

if TYPE_CHECKING:
    from actors.instance import Instance

LONGEST_NAME = 64


def blueprint(instance: "Instance") -> Blueprint:
    """The one route. Nobody's key id is logged: some servers sign with that of the person who reads."""
    made = Blueprint("letters", __name__)

    @made.get("/letters/<name>")
    async def letter(name: str) -> Response:
        if not wants_activitypub(request.headers.get("Accept", "")):
            abort(404)
        asker = await reader(instance)
        if isinstance(asker, Response):
            return asker
        if not isinstance(asker, Signer) or len(name) > LONGEST_NAME:
            return not_found()
        try:
            found = await instance.database.read(letters.shown, instance, Iri(f"{instance.config.base_url}/letters/{name}"), asker.actor)
        except Locked:
            return ap_error(503, "the instance is locked, come back later", retry_after_s=300)
        return not_found() if found is None else ap_response(found, by_signer=True)

    return made
