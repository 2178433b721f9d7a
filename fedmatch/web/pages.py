"""What does a browser see at our ids? Pages for people, posts, requests and offers; nothing on them runs, and nothing comes from elsewhere."""

import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from babel.dates import format_date
from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Blueprint, Quart, Response, abort, request

from actors import known
from actors.endpoints import not_found
from actors.known import Actor
from actors.media import wants_activitypub
from actors.vault import Locked
from fedmatch import times
from fedmatch.board import listings
from fedmatch.board.listings import OPEN, Listing
from outbox import polls
from outbox.posts import Post
from outbox.visible import Anonymous, can_read
from schemas import html, vocabulary
from schemas.objects import Poll
from schemas.storage import Transaction, Unavailable

if TYPE_CHECKING:
    from actors.instance import Instance

ON_FRONT: Final = 20
ON_PROFILE: Final = 50
SHORT: Final = 280
RIGHT_TO_LEFT: Final = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku-arab", "ps", "sd", "syr", "ug", "ur", "yi"})

STATES: Final = {"paused": "Paused", "matched": "Somebody helps", "fulfilled": "Done", "expired": "Time is over", "withdrawn": "Withdrawn"}
URGENCIES: Final = {"hours": "Within hours", "days": "Within days", "weeks": "Within weeks", "anytime": "Whenever it fits"}


def direction(language: str | None) -> str:
    """`rtl` or `ltr` for a language tag; `auto`, which lets the browser look at the letters, where we do not know."""
    if not language:
        return "auto"
    low = language.lower()
    return "rtl" if low in RIGHT_TO_LEFT or low.partition("-")[0] in RIGHT_TO_LEFT else "ltr"


@dataclass(frozen=True, slots=True)
class ListingView:
    """A listing in the words of a page."""

    url: str
    local: bool
    kind: str
    open: bool
    state_words: str
    title: str
    text: str
    short: str
    language: str
    direction: str
    categories: tuple[str, ...]
    skills: tuple[str, ...]
    speaks: tuple[str, ...]
    region: str | None
    urgency_words: str | None
    until_day: str | None
    author: str
    published: str
    day: str


@dataclass(frozen=True, slots=True)
class ActorView:
    """An actor in the words of a page; `follow` is False for the instance itself."""

    uri: str
    url: str
    name: str
    handle: str
    summary: str | None
    follow: bool


@dataclass(frozen=True, slots=True)
class PostView:
    """A post in the words of a page; `content` is sanitised HTML."""

    url: str
    content: str
    summary: str | None
    language: str | None
    direction: str
    published: str
    day: str
    edited: str | None
    reply_to: str | None
    poll: "PollView | None" = None


@dataclass(frozen=True, slots=True)
class OptionView:
    """One thing to vote for: plain text, how many did, and which part of all votes that is."""

    name: str
    votes: int
    percent: int


@dataclass(frozen=True, slots=True)
class PollView:
    """A poll in the words of a page; `day` is when it ends, or ended."""

    options: tuple[OptionView, ...]
    multiple: bool
    over: bool
    day: str | None
    voters: int | None


def _day(moment: datetime) -> str:
    return format_date(moment, format="long", locale="en")


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= SHORT else one_line[:SHORT].rsplit(" ", 1)[0] + " …"


def _listing(listing: Listing) -> ListingView:
    return ListingView(
        url=listing.url,
        local=listing.local,
        kind=listing.kind,
        open=listing.state == "open",
        state_words=STATES.get(listing.state, listing.state),
        title=listing.title,
        text=listing.text,
        short=_short(listing.text),
        language=listing.language or "",
        direction=direction(listing.language),
        categories=tuple(vocabulary.label(slug, "en") for slug in listing.categories),
        skills=tuple(vocabulary.label(slug, "en") for slug in listing.skills),
        speaks=tuple(vocabulary.language_name(tag, "en") for tag in listing.speaks),
        region=vocabulary.region_name(listing.region, "en") if listing.region else None,
        urgency_words=URGENCIES.get(listing.urgency or ""),
        until_day=_day(listing.until) if listing.until and listing.state in OPEN else None,
        author=listing.author,
        published=times.rfc3339(listing.published),
        day=_day(times.moment(listing.published)),
    )


def _actor(actor: Actor) -> ActorView:
    return ActorView(
        uri=actor.uri,
        url=actor.url or actor.uri,
        name=actor.name or actor.username,
        handle=actor.handle,
        summary=html.sanitise(actor.summary) if actor.summary else None,
        follow=actor.kind != "Application",
    )


def _poll(poll: Poll, now: datetime) -> PollView:
    total = sum(option.votes for option in poll.options) or 1
    ends = poll.closed or poll.ends
    return PollView(
        options=tuple(OptionView(option.name, option.votes, round(100 * option.votes / total)) for option in poll.options),
        multiple=poll.multiple,
        over=poll.closed is not None or (poll.ends is not None and poll.ends <= now),
        day=None if ends is None else _day(ends),
        voters=poll.voters,
    )


def _post(post: Post, poll: PollView | None) -> PostView:
    return PostView(
        url=post.uri,
        # Sanitised when it came in, and once more here: a rule that grew stricter since then counts too.
        content=html.sanitise(post.content),
        summary=post.summary,
        language=post.language,
        direction=direction(post.language),
        published=times.rfc3339(post.published),
        day=_day(times.moment(post.published)),
        edited=_day(times.moment(post.updated)) if post.updated else None,
        reply_to=post.in_reply_to,
        poll=poll,
    )


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("fedmatch.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _stylesheet() -> bytes:
    return (files("fedmatch.web") / "static" / "fedmatch.css").read_bytes()


class Pages:
    """The pages of one instance."""

    def __init__(self, instance: "Instance") -> None:
        self._instance = instance
        self._wrote_at = -FRESH_S

    async def actor(self, _kind: str, actor: Actor) -> Response:
        """The profile of an actor of ours."""
        found = await self._instance.database.read(listings.of_author, self._instance, actor.id, ON_PROFILE)
        return self._page("actor.html", actor=_actor(actor), listings=[_listing(one) for one in found])

    async def post(self, _kind: str, post: Post) -> Response:
        """A post of ours that everybody may read: a request, an offer, or words."""

        async def look(tx: Transaction) -> tuple[Actor, Listing | None, Poll | None] | None:
            author = await known.by_id(tx, post.actor_id)
            if author is None or not await can_read(tx, Anonymous(), post.id):
                return None
            asked = None if post.poll is None else await polls.numbers(tx, post.id, post.poll)
            return author, await listings.by_id(tx, self._instance, post.id), asked

        found = await self._instance.database.read(look)
        if found is None:
            abort(404)
        author, listing, asked = found
        if listing is not None:
            return self._page("listing.html", actor=_actor(author), listing=_listing(listing))
        return self._page("post.html", actor=_actor(author), post=_post(post, None if asked is None else _poll(asked, self._instance.clock.now())))

    def answer_errors(self, quart: Quart) -> None:
        """Gives what no route answers a page for people and a sentence for servers; nothing says whether a thing is hidden or was never there."""

        @quart.errorhandler(404)
        async def missing(_error: Exception) -> Response:
            if wants_activitypub(request.headers.get("Accept", "")):
                return not_found()
            return self._page("missing.html", 404, title="Nothing to see here", sentence="This page does not exist, or is not for everybody.")

        @quart.errorhandler(410)
        async def gone(_error: Exception) -> Response:
            return self._page("missing.html", 410, title="Withdrawn", sentence="What stood here was withdrawn by whoever wrote it.")

        @quart.errorhandler(Locked)
        @quart.errorhandler(Unavailable)
        async def later(_error: Exception) -> Response:
            sentence = "The instance cannot do this right now. Please try again in a few minutes."
            response = self._page("missing.html", 503, title="Not now", sentence=sentence)
            response.headers["Retry-After"] = "60"
            response.headers["Cache-Control"] = "no-store"
            return response

        @quart.errorhandler(500)
        async def broken(_error: Exception) -> Response:
            response = self._page("missing.html", 500, title="Something broke", sentence="It was our fault and is written down. Please try again later.")
            response.headers["Cache-Control"] = "no-store"
            return response

    def blueprint(self) -> Blueprint:
        """The front page, the pages of tags, the stylesheet, and /healthz."""
        blueprint = Blueprint("pages", __name__)

        @blueprint.get("/")
        async def index() -> Response:
            found = await self._instance.database.read(listings.newest, self._instance, network=True, open_only=True, limit=ON_FRONT)
            return self._page("index.html", listings=[_listing(one) for one in found])

        @blueprint.get("/tags/<name>")
        async def tag(name: str) -> Response:
            found = await self._instance.database.read(listings.tagged, self._instance, name.casefold(), ON_PROFILE)
            return self._page("tag.html", tag=name, listings=[_listing(one) for one in found])

        @blueprint.get("/static/fedmatch.css")
        async def stylesheet() -> Response:
            return Response(_stylesheet(), content_type="text/css; charset=utf-8", headers={"Cache-Control": "public, max-age=3600"})

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

    def _page(self, template: str, status: int = 200, **context: object) -> Response:
        text = _templates().get_template(template).render(instance=self._instance.config, version=version("fedmatch"), **context)
        # Half a minute: what is withdrawn is unreadable within a minute, in the caches of proxies too.
        return Response(text, status, content_type="text/html; charset=utf-8", headers={"Cache-Control": "max-age=30", "Vary": "Accept"})


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
