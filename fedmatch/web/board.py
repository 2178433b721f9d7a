"""What is asked and offered? The front page, the board with its filters, the pages of an author, a field of help and a tag: public ones, newest first.

Filters are the query of a GET form, so that every view has an address to pass on. What means nothing in it is said back and nothing is looked for (400): a
filter that is silently left out shows what nobody asked for.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from quart import Response, abort, request

from actors.known import Actor
from fedmatch.board import browse, search, services
from fedmatch.board.listings import END, Listing
from fedmatch.board.search import BadCursor, Found, Place, Sort, Wanted
from fedmatch.web import filters, frame, listing
from fedmatch.web.actor import ActorView
from fedmatch.web.frame import Frame
from fedmatch.web.language import Spoken
from schemas import vocabulary
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Look = Callable[[Transaction, Place | None], Awaitable[Found]]

ON_FRONT: Final = 10
LONGEST_TAG: Final = 100
COUNTED_S: Final = 60.0
SPOKEN: Final = (
    "am", "ar", "az", "be", "bg", "bn", "bo", "ckb", "cs", "da", "de", "dv", "el", "en", "es", "et", "fa", "fi", "fr", "ha", "he", "hi", "hu", "hy", "id",
    "it", "ja", "ka", "kk", "km", "ko", "ku", "ky", "lo", "lt", "lv", "mn", "ms", "my", "ne", "nl", "no", "pl", "ps", "pt", "ro", "ru", "rw", "sd", "si",
    "sk", "sn", "so", "sq", "sr", "sv", "sw", "ta", "tg", "th", "ti", "tk", "tr", "ug", "uk", "ur", "uz", "vi", "yi", "yo", "zh", "zu",
)  # fmt: skip
"""Languages one can choose in the form; the address takes every other as well."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose in a form."""

    value: str
    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of help: its category and the skills in it."""

    category: Choice
    skills: tuple[Choice, ...]

    @property
    def path(self) -> str:
        """The page of the field."""
        return f"/topics/{self.category.value.lower()}"


@cache
def fields(code: str) -> tuple[Field, ...]:
    """Every field of help in the words of an offered language."""
    return tuple(
        Field(Choice(one.slug, one.labels[code]), tuple(Choice(skill.slug, skill.labels[code]) for skill in one.skills)) for one in vocabulary.categories()
    )


@cache
def _tongues(code: str) -> tuple[Choice, ...]:
    return _sorted([Choice(tag, vocabulary.language_name(tag, code)) for tag in SPOKEN])


@cache
def _regions(code: str) -> tuple[Choice, ...]:
    return _sorted([Choice(region, vocabulary.region_name(region, code)) for region in vocabulary.regions()])


_ORDER: Final = {letter: place for place, letter in enumerate("اأآإبپتثجچحخدذرزژسشصضطظعغفقکكگلمنوؤهةیيىئ")}


def _sorted(choices: list[Choice]) -> tuple[Choice, ...]:
    """In the order of the alphabet, Persian's too, whose letters Unicode has in another."""
    return tuple(sorted(choices, key=lambda one: [_ORDER.get(letter, ord(letter) + 1000) for letter in search.plain(one.name)]))


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list: what stands on it, and the cursors where it begins and where the next does ("" at the beginning and at the end)."""

    listings: tuple[Listing, ...]
    first: bool
    start: str
    more: str


async def listed(instance: "Instance", wanted: Wanted, sort: Sort, look: Look) -> Listed:
    """The page of a list that the address names with `after`. `look(tx, place)` reads it. Raises `BadCursor`."""
    start = request.args.get("after", "")

    async def body(tx: Transaction) -> Listed:
        at = await search.place(tx, wanted, sort, start) if start else None
        found = await look(tx, at)
        more = await search.cursor(tx, wanted, sort, found.more) if found.more is not None else ""
        return Listed(found.listings, at is None, start, more)

    return await instance.database.read(body)


async def searched(instance: "Instance", asked: filters.Asked, limit: int) -> Listed:
    """The page of the board that an address names. Raises `BadCursor`."""
    wanted = replace(asked.wanted, outside=True)
    if "author" in asked.kept:
        wanted = replace(wanted, actor_id=await instance.database.read(filters.author, instance, asked.kept["author"]) or 0)
    if asked.wrong:
        return Listed((), True, "", "")
    return await listed(instance, wanted, asked.sort, lambda tx, at: search.page(tx, instance, wanted, sort=asked.sort, after=at, limit=limit))


async def of_author(instance: "Instance", actor: Actor, limit: int) -> Listed:
    """The page of what an actor asks and offers that an address names. Raises `BadCursor`."""
    wanted = Wanted(actor_id=actor.id, state="any")
    return await listed(instance, wanted, "newest", lambda tx, at: browse.of_author(tx, instance, actor.id, at.id if at else END, limit))


class Board:
    """The pages that list."""

    def __init__(self, made: Frame) -> None:
        self._made = made
        self._counted: tuple[float, Mapping[str, int]] = (-COUNTED_S, {})

    async def front(self) -> Response:
        """What this is, how much is here, roughly, and the newest."""
        said = frame.spoken()
        instance = self._made.instance

        async def newest(tx: Transaction) -> Found:
            return await search.page(tx, instance, Wanted(outside=True), limit=ON_FRONT)

        found = await instance.database.read(newest)
        return self._made.page(
            "index.html",
            listings=self._views(found.listings, said),
            counters=await self._counters(),
            fields=fields(said.code),
            more=frame.link("/board", said),
            feed="/board.atom",
        )

    async def board(self) -> Response:
        """What fits the wishes of the address; 400 if one of them means nothing."""
        said = frame.spoken()
        asked = filters.read(request.args)
        kept = asked.kept
        try:
            found = await searched(self._made.instance, asked, browse.PAGE)
        except BadCursor:
            return self.leads_nowhere()
        return self._made.page(
            "board.html",
            400 if asked.wrong else 200,
            query=kept,
            listings=self._views(found.listings, said),
            wished=kept,
            wrong=asked.wrong,
            more_filters=asked.more,
            narrowed=bool(kept.keys() - {"sort"}),
            ranked=asked.sort == "best",
            sorts=[(sort, frame.link("/board", said, {**kept, "sort": "" if sort == "newest" else sort})) for sort in filters.SORTS],
            kinds=[(kind, frame.link("/board", said, {**kept, "kind": kind})) for kind in ("", *filters.KINDS)],
            fields=fields(said.code),
            tongues=self._with(_tongues(said.code), kept.get("speaks", ""), said),
            written=self._with(_tongues(said.code), kept.get("language", ""), said),
            regions=_regions(said.code),
            topic=vocabulary.label(asked.topic, said.code) if asked.topic else None,
            topic_path=f"/topics/{asked.topic.lower()}" if asked.topic else None,
            more=frame.link("/board", said, {**kept, "after": found.more}) if found.more else None,
            first=found.first,
            feed=frame.link("/board.atom", said, kept),
        )

    async def author(self, actor: Actor) -> Response:
        """The profile of an actor of ours: what they ask and offer in public, also what is closed, and how to reach them."""
        said = frame.spoken()
        try:
            found = await of_author(self._made.instance, actor, browse.PAGE)
        except BadCursor:
            return self.leads_nowhere()
        path = f"/@{actor.username}"
        return self._made.page(
            "actor.html",
            actor=ActorView.of(actor),
            listings=self._views(found.listings, said),
            more=frame.link(path, said, {"after": found.more}) if found.more else None,
            first=found.first,
            feed=f"/users/{actor.username}/feed.atom",
        )

    async def topic(self, name: str) -> Response:
        """The page of a field of help, whether somebody looked its Service up yet or not."""
        known = services.name_of(name)
        if known is None:
            abort(404)
        return await self.field(known, None)

    async def field(self, name: str, actor: Actor | None) -> Response:
        """The page of the field that a Service is for."""
        said = frame.spoken()
        slug = "" if name in services.BOARDS else vocabulary.canonical(name)
        kept = {"topic": slug} if slug else {"kind": name.removesuffix("s")} if name in ("requests", "offers") else {"urgency": "hours"}
        try:
            found = await searched(self._made.instance, filters.read(kept), browse.PAGE)
        except BadCursor:
            return self.leads_nowhere()
        category = vocabulary.category(slug) if slug else None
        return self._made.page(
            "topic.html",
            board=name if not slug else None,
            title=vocabulary.label(slug, said.code) if slug else name,
            category=next((one for one in fields(said.code) if category is not None and one.category.value == category.slug), None),
            slug=slug,
            handle=f"{name}@{self._made.instance.config.host}",
            actor=None if actor is None else ActorView.of(actor),
            listings=self._views(found.listings, said),
            filters=frame.link("/board", said, kept),
            more=frame.link(f"/topics/{name}", said, {"after": found.more}) if found.more else None,
            first=found.first,
            feed=frame.link("/board.atom", said, kept),
        )

    async def fields(self) -> Response:
        """Every field of help with its skills."""
        return self._made.page("topics.html", fields=fields(frame.spoken().code))

    async def tag(self, name: str) -> Response:
        """What of this instance has a hashtag, closed ones as well."""
        said = frame.spoken()
        if len(name) > LONGEST_TAG or "\x00" in name:
            abort(404)
        instance, tag = self._made.instance, name.casefold()
        # The list of a tag is no search: its cursors are those of a search for the tag as it is written.
        key = Wanted(words=(f"#{tag}",), state="any", here=True)
        try:
            found = await listed(instance, key, "newest", lambda tx, at: browse.of_hashtag(tx, instance, tag, at.id if at else END))
        except BadCursor:
            return self.leads_nowhere()
        path = f"/tags/{frame.quoted(name)}"
        slug = filters.slug(name)
        return self._made.page(
            "tag.html",
            tag=name,
            topic=(f"/topics/{slug.lower()}", vocabulary.label(slug, said.code)) if slug else None,
            listings=self._views(found.listings, said),
            more=frame.link(path, said, {"after": found.more}) if found.more else None,
            first=found.first,
        )

    def leads_nowhere(self) -> Response:
        """The page for an address whose cursor we did not make for it."""
        return self._made.page("missing.html", 400, what="wrong")

    def _views(self, found: Sequence[Listing], said: Spoken) -> list[listing.ListingView]:
        return [listing.view(self._made.instance, one, said) for one in found]

    def _with(self, choices: tuple[Choice, ...], tag: str, said: Spoken) -> tuple[Choice, ...]:
        """The languages of the form, and the one that is asked for."""
        return choices if not tag or any(one.value == tag for one in choices) else (*choices, Choice(tag, vocabulary.language_name(tag, said.code)))

    async def _counters(self) -> Mapping[str, int]:
        at, counted = self._counted
        if time.monotonic() > at + COUNTED_S:
            counted = await self._made.instance.database.read(browse.counters, self._made.instance)
            self._counted = time.monotonic(), counted
        return counted
