"""What does another server list? A collection read page by page from its own host, and never further than it is worth (security.md A036).

At most three pages, each once, all on one origin, within ten seconds; `totalItems` is not believed, and of the items only their ids are taken.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from actors import hosts, remote
from actors.instance import Instance
from actors.remote import Budget, FetchFailed
from schemas.reading import Document, Iri, each, first, iri, types

MOST_PAGES: Final = 3
MOST_ITEMS: Final = 60
DEADLINE_S: Final = 10.0
KINDS: Final = frozenset({"Collection", "OrderedCollection", "CollectionPage", "OrderedCollectionPage"})


@dataclass(frozen=True, slots=True)
class Members:
    """The ids a collection lists, in its order; `whole` unless a bound or a failing page cut it."""

    ids: tuple[Iri, ...]
    whole: bool


async def members(instance: Instance, url: Iri, budget: Budget, *, most: int = MOST_ITEMS) -> Members | FetchFailed:
    """What the collection at `url` lists, at most `most` ids; why its first document cannot be had, if so."""
    found: dict[Iri, None] = {}
    seen: set[str] = set()
    ahead: Iri | Document | None = url
    pages = -1  # the collection itself is none
    try:
        async with asyncio.timeout(DEADLINE_S):
            while ahead is not None:
                document = await _page(instance, url, ahead, seen, budget)
                if isinstance(document, FetchFailed):
                    return document if not seen - {url} and not found else Members(tuple(found), whole=False)
                for one in each(document.get("orderedItems") or document.get("items")):
                    if (named := iri(one)) is not None:
                        found[named] = None
                    if len(found) >= most:
                        return Members(tuple(found), whole=False)
                pages += 1
                ahead = _onward(document)
                if ahead is not None and pages >= MOST_PAGES:
                    return Members(tuple(found), whole=False)
    except TimeoutError:
        return Members(tuple(found), whole=False) if found else FetchFailed(f"not read within {DEADLINE_S:.0f} s", "later")
    return Members(tuple(found), whole=True)


def _onward(document: Document) -> Iri | Document | None:
    """The next page: a page's `next`, a collection's `first`, which may stand inside."""
    onward = first(document.get("next") or document.get("first"))
    return onward if isinstance(onward, dict) else iri(onward)


async def _page(instance: Instance, url: Iri, ahead: Iri | Document, seen: set[str], budget: Budget) -> Document | FetchFailed:
    if isinstance(ahead, dict):
        return ahead if KINDS.intersection(types(ahead)) else FetchFailed("no page", "unusable")
    if ahead in seen or not hosts.same_origin(ahead, url):
        return FetchFailed("a page again, or on another host", "unusable")
    seen.add(ahead)
    document = await remote.fetch_document(instance, ahead, budget=budget)
    if not isinstance(document, FetchFailed) and not KINDS.intersection(types(document)):
        return FetchFailed("no collection", "unusable")
    return document
