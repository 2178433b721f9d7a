"""How does a request or an offer look to whoever follows a link to it? The whole of it, a card of it, and the page to recommend it to somebody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from quart import Response, abort

from actors import hosts, known
from actors.known import Actor
from fedmatch import times
from fedmatch.board import listings, stories
from fedmatch.board.listings import OPEN, Listing
from fedmatch.board.stories import Story
from fedmatch.web import frame, language
from fedmatch.web.actor import ActorView
from fedmatch.web.frame import Frame
from fedmatch.web.language import Spoken, direction
from outbox import posts
from outbox.visible import Anonymous, can_read
from schemas import html, vocabulary
from schemas.objects import Vouch
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

SHORT: Final = 280
MOST_TEXT_IN_MAIL: Final = 1500
LONGEST_ID: Final = 18
"""Letters of a number that every database takes."""


@dataclass(frozen=True, slots=True)
class Label:
    """A category or skill in words, and the page of its field."""

    name: str
    path: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """Title and text in one language; `content` is HTML made of plain text."""

    language: str
    language_name: str
    direction: str
    title: str
    content: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Who vouches for the author, and until when."""

    by: str
    until: str


@dataclass(frozen=True, slots=True)
class ListingView:
    """A request or an offer in the words of a page; `title` and `short` are in the reader's language if its author wrote it in that one too."""

    path: str
    url: str
    local: bool
    kind: str
    state: str
    open: bool
    title: str
    short: str
    warning: str | None
    language: str
    direction: str
    versions: tuple[Version, ...]
    categories: tuple[Label, ...]
    skills: tuple[Label, ...]
    speaks: str
    only_speaks: bool
    region: str | None
    helper_region: str | None
    only_region: bool
    urgency: str | None
    until: str | None
    needs: tuple[str, ...]
    several: bool
    checked: tuple[Checked, ...]
    follows: str | None
    author: str
    author_path: str
    origin: str
    date: str
    day: str


def view(instance: "Instance", listing: Listing, said: Spoken) -> ListingView:
    """A public listing in the words of a page in that language."""
    versions = tuple(
        Version(
            tag or "",
            vocabulary.language_name(tag, said.code) if tag else "",
            direction(tag),
            titled(title, listing, said),
            html.sanitise(html.from_text(text)),
        )
        for tag, title, text in [(listing.language, listing.title, listing.text), *((one.language, one.title, one.text) for one in listing.translations)]
    )
    title, text, tongue = _in(listing, said)
    versions = tuple(sorted(versions, key=lambda one: one.language != (tongue or "")))  # what the reader reads best stands first
    end = listing.proposal.ends
    return ListingView(
        path=here(instance, listing.url) if listing.local else f"/listings/{listing.id}",
        url=listing.url,
        local=listing.local,
        kind=listing.kind,
        state=listing.state,
        open=listing.state == "open",
        title=titled(title, listing, said),
        short=shortened(listing.warning or text),
        warning=listing.warning,
        language=tongue or "",
        direction=direction(tongue),
        versions=versions,
        categories=tuple(_label(slug, said) for slug in listing.categories),
        skills=tuple(_label(slug, said) for slug in listing.skills),
        speaks=said.joined(tuple(vocabulary.language_name(tag, said.code) for tag in listing.speaks)),
        only_speaks=listing.only_speaks,
        region=vocabulary.region_name(listing.region, said.code) if listing.region else None,
        helper_region=vocabulary.region_name(listing.helper_region, said.code) if listing.helper_region else None,
        only_region=listing.only_region,
        urgency=listing.urgency,
        until=said.day(end) if end is not None and listing.state in OPEN else None,
        needs=tuple(f"{said.number(need.quantity)} × {need.name}" if need.quantity > 1 else need.name for need in listing.needs),
        several=(listing.capacity or 0) > 1,
        checked=tuple(_checked(instance, vouch, said) for vouch in listing.vouches if vouch.level > 0 and vouch.expires > instance.clock.now()),
        follows=here(instance, listing.follow_up_of) if listing.follow_up_of and listing.follow_up_of.startswith(f"{instance.config.base_url}/") else None,
        author=listing.author,
        author_path=f"/@{listing.author.partition('@')[0]}" if listing.local else "",
        origin=listing.origin,
        date=date(times.moment(listing.published)),
        day=said.day(times.moment(listing.published)),
    )


def titled(title: str, listing: Listing, said: Spoken) -> str:
    """A title, or what it is where it has none: links and headings are never empty. Other servers let people offer a picture without a word."""
    if title.strip():
        return title
    ours = language.translations(said.code)
    return ours.gettext("Request") if listing.kind == "request" else ours.gettext("Offer")


def date(moment: datetime) -> str:
    """A day as machines read it: no page tells the minute at which somebody wrote."""
    return moment.strftime("%Y-%m-%d")


def here(instance: "Instance", url: str) -> str:
    """The path of an address of ours: links stay on the name under which somebody reads (an onion address, say)."""
    return url.removeprefix(instance.config.base_url)


def shortened(text: str, most: int = SHORT) -> str:
    """The beginning of a text in one line, cut between words where there are any."""
    one_line = " ".join(text.split())
    if len(one_line) <= most:
        return one_line
    cut = one_line[:most].rpartition(" ")[0]
    return f"{cut if len(cut) > most // 2 else one_line[:most]} …"


def _in(listing: Listing, said: Spoken) -> tuple[str, str, str | None]:
    """Title, text and language of the version for this reader."""
    wanted = said.code.partition("-")[0]
    if (listing.language or "").partition("-")[0] != wanted:
        for one in listing.translations:
            if one.language.partition("-")[0] == wanted:
                return one.title, one.text, one.language
    return listing.title, listing.text, listing.language


def _label(slug: str, said: Spoken) -> Label:
    try:
        path = f"/topics/{vocabulary.canonical(slug).lower()}"
    except vocabulary.UnknownSlug:
        path = None
    return Label(vocabulary.label(slug, said.code), path)


def _checked(instance: "Instance", vouch: Vouch, said: Spoken) -> Checked:
    host = hosts.authority(vouch.issuer)
    return Checked(instance.config.name if host in known.ours(instance) else host, said.month(vouch.expires))


def shown(made: Frame, author: Actor | None, listing: Listing, told: Sequence[Story] = ()) -> Response:
    """The page of a listing with what was `told` of its outcome; `author` None where it comes from elsewhere."""
    said = frame.spoken()
    seen = view(made.instance, listing, said)
    response = made.page("listing.html", actor=None if author is None else ActorView.of(author), listing=seen, description=seen.short, stories=told)
    if not listing.local:
        response.headers["X-Robots-Tag"] = "noindex"  # a copy shall not be found where its origin is not
    return response


async def copied(made: Frame, number: str) -> Response:
    """The page of what came from elsewhere, as we hold it; of our own the way to its page. What is not public, or not shown any more, is missing."""
    found = await made.instance.database.read(_copy, made.instance, number)
    if found is None:
        abort(404)
    if found.local:
        return made.to(here(made.instance, found.url))
    return shown(made, None, found, await made.instance.database.read(stories.told, made.instance, found.url))


async def _copy(tx: Transaction, instance: "Instance", number: str) -> Listing | None:
    if not (number.isascii() and number.isdigit() and len(number) <= LONGEST_ID):
        return None
    # Asked first: of what is not public nothing is opened, so that a locked vault and a missing listing answer alike.
    if await listings.audience_of(tx, int(number)) != "public" or not await can_read(tx, Anonymous(), int(number)):
        return None
    found = await listings.by_id(tx, instance, int(number))
    author = None if found is None else await known.by_id(tx, found.actor_id)
    if found is None or author is None or not (found.local or instance.trust.actor(author.uri, "receive").shown):
        return None
    return found


async def recommended(made: Frame, number: str) -> Response:
    """The page with a text to give to somebody who has the skill: public and open listings of ours alone, all others are missing."""

    async def look(tx: Transaction) -> Listing | None:
        post = await posts.by_uri(tx, Iri(f"{made.instance.config.base_url}/posts/{number}"))
        if post is None or not post.local or not await can_read(tx, Anonymous(), post.id):
            return None
        found = await listings.by_id(tx, made.instance, post.id)
        return found if found is not None and found.public else None

    return _recommended(made, await made.instance.database.read(look))


async def copy_recommended(made: Frame, number: str) -> Response:
    """The same for what came from elsewhere; the text names its address there."""
    found = await made.instance.database.read(_copy, made.instance, number)
    if found is not None and found.local:
        return made.to(f"{here(made.instance, found.url)}/recommend")
    return _recommended(made, found)


def _recommended(made: Frame, listing: Listing | None) -> Response:
    instance = made.instance
    if listing is None:
        abort(404)
    said = frame.spoken()
    seen = view(instance, listing, said)
    say = made.say
    if seen.kind == "request":
        first = say("Somebody asks for help: “%(title)s”", title=seen.title)
    else:
        first = say("Somebody offers help: “%(title)s”", title=seen.title)
    wanted = [say("Skills: %(skills)s", skills=said.joined(tuple(one.name for one in seen.skills)))] if seen.skills else []
    wanted += [say("Languages: %(languages)s", languages=seen.speaks)] if seen.speaks else []
    # The mark keeps the first @ before the name, where the text around it runs from right to left.
    handle, safely = ("\u200e" if said.direction == "rtl" else "") + f"@{seen.author}", f"{instance.config.base_url}/safety"
    last = say("Please answer only in a private message to %(handle)s, never in public. How to do that safely: %(address)s", handle=handle, address=safely)
    # The address without a language: whoever gets it reads it in their own.
    text = "\n".join([first, *wanted, "", listing.url, "", last])
    mail = f"mailto:?subject={quote(first)}&body={quote(text[:MOST_TEXT_IN_MAIL])}"
    return made.page("recommend.html", listing=seen, text=text, lines=text.count("\n") + 4, mail=mail)
