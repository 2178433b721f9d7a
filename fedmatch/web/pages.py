"""What does a browser see at our ids, and where else can it go? The routes of the pages; nothing on them runs, and nothing comes from elsewhere."""

import time
from typing import TYPE_CHECKING, Final

from quart import Blueprint, Quart, Response, abort, request

from actors import known
from actors.endpoints import ap_error, not_found
from actors.known import Actor
from actors.media import wants_activitypub
from actors.vault import Locked
from fedmatch.board import listings, services, stories
from fedmatch.board.listings import Listing
from fedmatch.board.stories import Story
from fedmatch.web import feed, frame, listing, post
from fedmatch.web.board import Board
from fedmatch.web.frame import Frame
from outbox import polls
from outbox.posts import Post
from outbox.visible import Anonymous, can_read
from schemas.objects import Poll
from schemas.storage import Transaction, Unavailable

if TYPE_CHECKING:
    from actors.instance import Instance

CSS_AGE_S: Final = 7 * 86_400


class Pages:
    """The pages of one instance."""

    def __init__(self, instance: "Instance") -> None:
        self._instance = instance
        self._frame = Frame(instance)
        self._board = Board(self._frame)
        self._wrote_at = -FRESH_S

    async def actor(self, _kind: str, actor: Actor) -> Response:
        """The profile of an actor of ours; of a Service, its field of help."""
        if actor.kind == "Service" and services.name_of(actor.username) == actor.username:
            return await self._board.field(actor.username, actor)
        return await self._board.author(actor)

    async def post(self, _kind: str, wanted: Post) -> Response:
        """A post of ours that everybody may read: a request, an offer, or words."""

        async def look(tx: Transaction) -> tuple[Actor, Listing | None, Poll | None, tuple[Story, ...]] | None:
            author = await known.by_id(tx, wanted.actor_id)
            if author is None or not await can_read(tx, Anonymous(), wanted.id):
                return None
            asked = None if wanted.poll is None else await polls.numbers(tx, wanted.id, wanted.poll)
            offered = await listings.by_id(tx, self._instance, wanted.id)
            return author, offered, asked, () if offered is None else await stories.told(tx, self._instance, wanted.uri)

        found = await self._instance.database.read(look)
        if found is None:
            abort(404)
        author, offered, asked, told = found
        if offered is not None:
            return listing.shown(self._frame, author, offered, told)
        return post.shown(self._frame, author, wanted, asked)

    def answer_errors(self, quart: Quart) -> None:
        """Gives what no route answers a page for people and a sentence for servers; nothing says whether a thing is hidden or was never there."""

        @quart.errorhandler(404)
        async def missing(_error: Exception) -> Response:
            if wants_activitypub(request.headers.get("Accept", "")):
                return not_found()
            return self._frame.page("missing.html", 404, what="missing")

        @quart.errorhandler(405)
        async def no_method(error: Exception) -> Response:
            if wants_activitypub(request.headers.get("Accept", "")):
                response = ap_error(405, "this address does not take that method")
            else:
                response = self._frame.page("missing.html", 405, what="method")
            response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
            response.headers["Cache-Control"] = "no-store"
            return response

        @quart.errorhandler(410)
        async def gone(_error: Exception) -> Response:
            return self._frame.page("missing.html", 410, what="gone")

        @quart.errorhandler(Locked)
        @quart.errorhandler(Unavailable)
        async def later(_error: Exception) -> Response:
            response = self._frame.page("missing.html", 503, what="later")
            response.headers["Retry-After"] = "60"
            response.headers["Cache-Control"] = "no-store"
            return response

        @quart.errorhandler(500)
        async def broken(_error: Exception) -> Response:
            response = self._frame.page("missing.html", 500, what="broken")
            response.headers["Cache-Control"] = "no-store"
            return response

    def blueprint(self) -> Blueprint:
        """The front page and the board, the pages of fields of help and of tags, feeds, advice, the style sheet, and /healthz."""
        blueprint = Blueprint("pages", __name__)
        board = self._board

        blueprint.get("/")(board.front)
        blueprint.get("/board")(board.board)
        blueprint.get("/topics")(board.fields)
        blueprint.get("/topics/<name>")(board.topic)
        blueprint.get("/tags/<name>")(board.tag)

        @blueprint.get("/posts/<number>/recommend")
        async def recommend(number: str) -> Response:
            return await listing.recommended(self._frame, number)

        @blueprint.get("/listings/<number>")
        async def copied(number: str) -> Response:
            return await listing.copied(self._frame, number)

        @blueprint.get("/listings/<number>/recommend")
        async def recommend_copy(number: str) -> Response:
            return await listing.copy_recommended(self._frame, number)

        @blueprint.get("/safety")
        async def safety() -> Response:
            return self._frame.page("safety.html")

        @blueprint.get("/board.atom")
        async def board_feed() -> Response:
            return await feed.board(self._frame)

        @blueprint.get("/users/<name>/feed.atom")
        async def actor_feed(name: str) -> Response:
            return await feed.actor(self._frame, name)

        @blueprint.get("/static/fedmatch.css")
        async def stylesheet() -> Response:
            # Its address changes with it, so that it may be kept.
            headers = {"Cache-Control": f"public, max-age={CSS_AGE_S}", "Vary": "Accept-Encoding"}
            text = frame.stylesheet()[0]
            return frame.packed(Response(text, content_type="text/css; charset=utf-8", headers=headers), text)

        @blueprint.get("/static/icon.svg")
        async def icon() -> Response:
            return Response(frame.icon(), content_type="image/svg+xml", headers={"Cache-Control": f"public, max-age={CSS_AGE_S}"})

        @blueprint.get("/healthz")
        async def healthz() -> Response:
            instance, now = self._instance, time.monotonic()
            try:
                if now > self._wrote_at + FRESH_S:
                    await instance.database.write(_touch, instance.clock.ms())
                    self._wrote_at = now
            except Unavailable:
                return Response("not writable", 503, content_type="text/plain", headers={"Cache-Control": "no-store", "Retry-After": "5"})
            return Response("ok", content_type="text/plain", headers={"Cache-Control": "no-store"})

        return blueprint


FRESH_S: Final = 1.0
"""How long a health check believes the one before: whoever asks often costs one write a second."""

TOUCH: Final = """
insert into setting (name, value)
values ('healthz', :now)
on conflict (name) do update
set value = excluded.value
"""


async def _touch(tx: Transaction, now: int) -> None:
    # A row that changes each time: one that stays as it is touches no file, and a full disk would still be called healthy.
    await tx.execute(TOUCH, now=str(now))
