"""What in a request, an offer, an answer or a message could lead to its author, before anything of it leaves? Offline: no word of it is asked anywhere.

It finds traces of people (fedmatch/safety/traces.py), a region that narrows the authors down to a few, and words of the author's other identities.
It forbids nothing: whoever has read why, and means it, publishes anyway.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from actors import known
from actors.known import Actor
from fedmatch.board import drafts, identities, private
from fedmatch.board.listings import Listing, usual
from fedmatch.safety import traces
from fedmatch.words import words
from outbox import posts
from schemas import html
from schemas.objects import Proposal
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Kind = traces.Kind | Literal["region", "shared"]

DAYS_90_MS: Final = 90 * 24 * 3_600_000
FEW: Final = 5
"""Below so many others a region is half a name."""
MOST_CLOSED: Final = 500
SHINGLE_WORDS: Final = 5
SHINGLE_LETTERS: Final = 12
"""Of scripts without spaces, and of words that were glued together."""
MOST_OTHERS: Final = 200
"""How many texts of other identities are compared, the newest first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to think about. `field` is title, text or region; `words` the stretch that was found; `count`, of a region, how many others share it."""

    kind: Kind
    field: str
    words: str
    count: int = 0

    def why(self, language: str) -> str:
        """What is the matter with it, in a language of the taxonomy."""
        return words(language, f"lint.{self.kind}", count=self.count)

    def cure(self, language: str) -> str:
        """What to do instead."""
        return words(language, {"region": "lint.cure_region", "shared": "lint.cure_shared"}.get(self.kind, "lint.cure"))

    def json(self, language: str) -> dict[str, str]:
        """The form scripts read."""
        return {"kind": self.kind, "field": self.field, "words": self.words, "why": self.why(language), "cure": self.cure(language)}


async def findings(
    tx: Transaction, instance: "Instance", author: Actor, proposal: Proposal, language: str, *, anew: bool = False
) -> tuple[Finding, ...]:
    """Everything to think about before `author` publishes `proposal`; empty is good. About 5 ms for a full text. Call it in a read. Raises `Locked`.

    `anew`: under a one-time identity that is not made yet, so that what `author` said under their own name counts as somebody else's.
    """
    found = list(in_text(proposal, language))
    if proposal.region is not None:
        count = await alike(tx, instance, author, proposal, language)
        if count < FEW:
            found.append(Finding("region", "region", proposal.region, count))
    found += shared(proposal, await _of_others(tx, instance, author, anew=anew))
    found += await _links(tx, instance, author, _pieces(proposal, language), anew=anew)
    return tuple(found)


async def of_words(
    tx: Transaction, instance: "Instance", author: Actor, text: str, language: str, regions: Iterable[str] = (), *, anew: bool = False
) -> tuple[Finding, ...]:
    """The same of what `author` says to one person: traces of people in the `text`, and words and links of the author's other identities.

    `regions` are the countries it is about, ISO 3166; `anew` as of `findings`. Call it in a read. Raises `actors.vault.Locked`.
    """
    pieces = [("text", text)]
    found = [Finding(one.kind, "text", one.words) for one in traces.traces(text, language, regions)]
    found += _stretches(pieces, await _of_others(tx, instance, author, anew=anew))
    found += await _links(tx, instance, author, pieces, anew=anew)
    return tuple(dict.fromkeys(found))


def in_text(proposal: Proposal, language: str) -> tuple[Finding, ...]:
    """What the words themselves give away, in every language they are written in."""
    regions = [region for region in (proposal.region, proposal.helper_region) if region]
    found: list[Finding] = []
    for tongue, title, text in _versions(proposal, language):
        for field, written in (("title", title), ("text", text)):
            found += [Finding(one.kind, field, one.words) for one in traces.traces(written, tongue, regions)]
    found += [Finding(one.kind, "needs", one.words) for need in proposal.needs for one in traces.traces(need.name, language, regions)]
    return tuple(dict.fromkeys(found))


def _versions(proposal: Proposal, language: str) -> list[tuple[str, str, str]]:
    return [(language, proposal.title, proposal.text), *((one.language, one.title, one.text) for one in proposal.translations)]


ALIKE: Final = """
select distinct listing.post_id, post.actor_id
from listing
join post on post.id = listing.post_id
join listing_tag on listing_tag.post_id = listing.post_id
where listing.region = :region
  and (listing.language = :language or listing.language like :dialects)
  and post.published >= :since
  and listing_tag.kind = 'category'
  and listing_tag.slug in (:first, :second, :third)
limit :limit
"""


async def alike(tx: Transaction, instance: "Instance", author: Actor, proposal: Proposal, language: str) -> int:
    """How many other listings of 90 days share region, language and a category, whoever may read them, open or closed but still kept; `FEW` stands for more.

    Of those that are closed and not public the newest 500 are looked through. Raises `actors.vault.Locked`.
    """
    own = set(await identities.mine(tx, instance, await _holder(tx, instance, author)))
    main = language.partition("-")[0]
    first, second, third = (*proposal.categories[:3], "", "", "")[:3]
    since = instance.clock.ms() - DAYS_90_MS
    rows = await tx.all(
        ALIKE,
        region=proposal.region,
        language=main,
        dialects=f"{main}-%",
        since=since,
        first=first,
        second=second,
        third=third,
        limit=FEW + identities.MOST,
    )

    def same(one: Listing) -> bool:
        return (
            one.region == proposal.region
            and (one.language or "").partition("-")[0] == main
            and not set(one.categories).isdisjoint(proposal.categories)
            and one.published >= since
            and one.actor_id not in own
        )

    count = sum(row["actor_id"] not in own for row in rows) + sum(map(same, await private.live(tx, instance)))
    if count < FEW:
        count += sum(map(same, await private.closed(tx, instance, since, MOST_CLOSED)))
    return min(count, FEW)


async def _holder(tx: Transaction, instance: "Instance", author: Actor) -> Actor:
    """The person behind a one-time identity, else the author."""
    person = await identities.person_of(tx, instance, author.id)
    return author if person == author.id else await known.by_id(tx, person) or author


def shared(proposal: Proposal, others: Iterable[str]) -> tuple[Finding, ...]:
    """The stretches of the text that stand in one of `others` too: five words in a row, or twelve letters where words have no spaces."""
    return _stretches(_pieces(proposal, "en"), others)


def _pieces(proposal: Proposal, language: str) -> list[tuple[str, str]]:
    """Every title and text, each after the name of its field."""
    return [piece for _, title, text in _versions(proposal, language) for piece in (("title", title), ("text", text))]


def _stretches(pieces: Iterable[tuple[str, str]], others: Iterable[str]) -> tuple[Finding, ...]:
    theirs: set[tuple[str, ...]] = set()
    for text in others:
        theirs.update(shingle for shingle, _, _ in _shingles(text))
    found: list[Finding] = []
    for field, written in pieces:
        stretch: tuple[int, int] | None = None
        for shingle, start, end in _shingles(written):
            if shingle not in theirs:
                continue
            if stretch is not None and start <= stretch[1]:
                stretch = (stretch[0], end)
                continue
            if stretch is not None:
                found.append(Finding("shared", field, written[slice(*stretch)]))
            stretch = (start, end)
        if stretch is not None:
            found.append(Finding("shared", field, written[slice(*stretch)]))
    return tuple(dict.fromkeys(found))


_LINK: Final = re.compile(r"https?://[^\s<>\"']{1,500}", re.IGNORECASE)
MOST_LINKS: Final = 20


async def _links(tx: Transaction, instance: "Instance", author: Actor, pieces: Iterable[tuple[str, str]], *, anew: bool) -> list[Finding]:
    """The links in the text to what another identity of the author posted, however their host is spelled: they say of both what shared words say."""
    found = [(field, link.rstrip(".,;:!?)،؛。")) for field, written in pieces for link in _LINK.findall(written)[:MOST_LINKS]]
    if not found:
        return []
    others = {one for one in await identities.mine(tx, instance, await _holder(tx, instance, author)) if anew or one != author.id}
    linked = []
    for field, link in dict.fromkeys(found):
        post = await posts.by_uri(tx, usual(link))
        if post is not None and post.actor_id in others:
            linked.append(Finding("shared", field, link))
    return linked


_WORD: Final = re.compile(r"[^\W_]+")
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff\u1780-\u17ff]")


def _shingles(text: str) -> list[tuple[tuple[str, ...], int, int]]:
    """Every five words in a row, as they compare, with where they stand; of unspaced scripts every twelve letters."""
    pieces: list[tuple[str, int, int]] = []
    unspaced = bool(_UNSPACED.search(text))
    for match in _WORD.finditer(text):
        if unspaced and _UNSPACED.search(match[0]):
            pieces += [(letter, match.start() + place, match.start() + place + 1) for place, letter in enumerate(match[0])]
        else:
            pieces.append((_plain(match[0]), match.start(), match.end()))
    size = SHINGLE_LETTERS if unspaced else SHINGLE_WORDS
    rows = (pieces[place : place + size] for place in range(len(pieces) - size + 1))
    return [(tuple(word for word, _, _ in row), row[0][1], row[-1][2]) for row in rows]


def _plain(word: str) -> str:
    """A word without case, accents and points."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(letter))


TEXTS_OF: Final = """
select post.*
from post
where post.actor_id = :actor_id
  and post.boost_of is null
order by post.id desc
limit :limit
"""


async def _of_others(tx: Transaction, instance: "Instance", author: Actor, *, anew: bool) -> list[str]:
    """What the author's other identities, and the person behind one, published and still stands, and what waits to be published."""
    texts: list[str] = []
    for actor_id in (await identities.mine(tx, instance, await _holder(tx, instance, author)))[::-1]:
        if actor_id == author.id and not anew:
            continue
        for draft in await drafts.newest(tx, instance, actor_id=actor_id, limit=MOST_OTHERS - len(texts)):
            texts += [f"{title}\n{text}" for _, title, text in _versions(draft.proposal, draft.language or "en")]
        rows = await tx.all(TEXTS_OF, actor_id=actor_id, limit=max(MOST_OTHERS - len(texts), 0))
        opened = [posts.opened(instance, posts.from_row(row)) for row in rows]
        texts += [post.source or html.to_text(post.content) for post in opened]
        if len(texts) >= MOST_OTHERS:
            break
    return texts
