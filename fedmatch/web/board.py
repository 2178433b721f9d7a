"""What is asked and offered? The front page, the board with its filters, the pages of an author, a field of help and a tag: public ones, newest first.

Filters are the query of a GET form, so that every view has an address to pass on. A word in it that means nothing is left out; none of them is an error.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from quart import Response, abort, request

from actors.known import Actor
from fedmatch.board import browse, search, services
from fedmatch.board.browse import Found, Wish
from fedmatch.board.listings import END
from fedmatch.web import frame, listing
from fedmatch.web.actor import ActorView
from fedmatch.web.frame import Frame
from fedmatch.web.language import Spoken
from schemas import vocabulary

ON_FRONT: Final = 10
MOST_WORDS: Final = 8
LONGEST_WORDS: Final = 120
LONGEST_TAG: Final = 100
COUNTED_S: Final = 60.0
KINDS: Final = ("request", "offer")
URGENCIES: Final = ("hours", "days", "weeks", "anytime")
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
    return _sorted([Choice(region, vocabulary.region_name(region, code)) for region in vocabulary.REGIONS])


_ORDER: Final = {letter: place for place, letter in enumerate("اأآإبپتثجچحخدذرزژسشصضطظعغفقکكگلمنوؤهةیيىئ")}


def _sorted(choices: list[Choice]) -> tuple[Choice, ...]:
    """In the order of the alphabet, Persian's too, whose letters Unicode has in another."""
    return tuple(sorted(choices, key=lambda one: [_ORDER.get(letter, ord(letter) + 1000) for letter in search.plain(one.name)]))


def wish(values: Mapping[str, str]) -> tuple[Wish, dict[str, str]]:
    """What a query asks for, and the same query with only what means something, in its usual spelling."""
    kind = values.get("kind", "")
    topic = next((slug for name in ("topic", "skill", "category") if (slug := _slug(values.get(name, "")))), "")
    speaks = vocabulary.canonical_language(values.get("speaks", "")[:40]) or ""
    region = values.get("region", "")[:10].upper()
    urgency = values.get("urgency", "")
    words = " ".join(values.get("words", "")[:LONGEST_WORDS].replace("\x00", " ").split()[:MOST_WORDS])
    kept = {
        "words": words,
        "kind": kind if kind in KINDS else "",
        "topic": topic,
        "speaks": speaks,
        "region": region if vocabulary.is_region(region) else "",
        "urgency": urgency if urgency in URGENCIES else "",
    }
    asked = Wish(
        kind=kept["kind"], slug=topic, speaks=speaks, region=kept["region"], urgency=kept["urgency"], words=tuple(words.split())
    )  # fmt: skip
    return asked, {name: value for name, value in kept.items() if value}


def _slug(word: str) -> str:
    if not 0 < len(word) <= services.LONGEST_NAME:
        return ""
    try:
        return vocabulary.canonical(word)
    except vocabulary.UnknownSlug:
        return ""


def before() -> int:
    """Where the page begins: the key in the address; rubbish is the beginning."""
    text = request.args.get("before", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else END


class Board:
    """The pages that list."""

    def __init__(self, made: Frame) -> None:
        self._made = made
        self._counted: tuple[float, Mapping[str, int]] = (-COUNTED_S, {})

    async def front(self) -> Response:
        """What this is, how much is here, roughly, and the newest."""
        said = frame.spoken()
        found = await self._find(Wish(), ON_FRONT, END)
        return self._made.page(
            "index.html",
            listings=self._views(found, said),
            counters=await self._counters(),
            fields=fields(said.code),
            more=frame.link("/board", said),
            feed="/board.atom",
        )

    async def board(self) -> Response:
        """What fits the wishes of the address."""
        said = frame.spoken()
        asked, kept = wish(request.args)
        start = before()
        found = await self._find(asked, browse.PAGE, start)
        return self._made.page(
            "board.html",
            query=kept,
            listings=self._views(found, said),
            wished=kept,
            kinds=[(kind, frame.link("/board", said, {**kept, "kind": kind})) for kind in ("", *KINDS)],
            fields=fields(said.code),
            tongues=self._with(_tongues(said.code), asked.speaks, said),
            regions=_regions(said.code),
            topic=vocabulary.label(asked.slug, said.code) if asked.slug else None,
            topic_path=f"/topics/{asked.slug.lower()}" if asked.slug else None,
            more=frame.link("/board", said, {**kept, "before": str(found.more)}) if found.more else None,
            first=start == END,
            feed=frame.link("/board.atom", said, kept),
        )

    async def author(self, actor: Actor) -> Response:
        """The profile of an actor of ours: what they ask and offer in public, also what is closed, and how to reach them."""
        said = frame.spoken()
        start = before()
        found = await self._find(Wish(actor_id=actor.id, closed=True), browse.PAGE, start)
        path = f"/@{actor.username}"
        return self._made.page(
            "actor.html",
            actor=ActorView.of(actor),
            listings=self._views(found, said),
            more=frame.link(path, said, {"before": str(found.more)}) if found.more else None,
            first=start == END,
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
        start = before()
        found = await self._find(wish(kept)[0], browse.PAGE, start)
        category = vocabulary.category(slug) if slug else None
        return self._made.page(
            "topic.html",
            board=name if not slug else None,
            title=vocabulary.label(slug, said.code) if slug else name,
            category=next((one for one in fields(said.code) if category is not None and one.category.value == category.slug), None),
            slug=slug,
            handle=f"{name}@{self._made.instance.config.host}",
            actor=None if actor is None else ActorView.of(actor),
            listings=self._views(found, said),
            filters=frame.link("/board", said, kept),
            more=frame.link(f"/topics/{name}", said, {"before": str(found.more)}) if found.more else None,
            first=start == END,
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
        start = before()
        found = await self._find(Wish(hashtag=name.casefold(), closed=True, network=False), browse.PAGE, start)
        path = f"/tags/{frame.quoted(name)}"
        slug = _slug(name)
        return self._made.page(
            "tag.html",
            tag=name,
            topic=(f"/topics/{slug.lower()}", vocabulary.label(slug, said.code)) if slug else None,
            listings=self._views(found, said),
            more=frame.link(path, said, {"before": str(found.more)}) if found.more else None,
            first=start == END,
        )

    async def _find(self, asked: Wish, limit: int, start: int) -> Found:
        return await self._made.instance.database.read(browse.page, self._made.instance, asked, start, limit)

    def _views(self, found: Found, said: Spoken) -> list[listing.ListingView]:
        return [listing.view(self._made.instance, one, said) for one in found.listings]

    def _with(self, choices: tuple[Choice, ...], tag: str, said: Spoken) -> tuple[Choice, ...]:
        """The languages of the form, and the one that is asked for."""
        return choices if not tag or any(one.value == tag for one in choices) else (*choices, Choice(tag, vocabulary.language_name(tag, said.code)))

    async def _counters(self) -> Mapping[str, int]:
        at, counted = self._counted
        if time.monotonic() > at + COUNTED_S:
            counted = await self._made.instance.database.read(browse.counters, self._made.instance)
            self._counted = time.monotonic(), counted
        return counted
