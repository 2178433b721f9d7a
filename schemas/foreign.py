"""Does a document use words of its own for what we know, and what does it say in ours? Then, and only then, JSON-LD is needed (schemas/jsonld.py).

What servers send is nearly always plain: the terms of ActivityStreams and FEP-0837 as they are, or with a prefix that schemas/notes.py reads. Others rename our
words in a context of their own, write them as full IRIs, or under another prefix; what those mean only the context tells.
"""

from collections.abc import Iterator
from typing import Any, Final

from schemas import jsonld
from schemas.dialects import VALUEFLOWS, local
from schemas.reading import AS, Document, Unreadable, each, types
from schemas.vocabulary import NAMESPACE, OM2, VF

_OURS: Final = (AS, *VALUEFLOWS, NAMESPACE, OM2)
_VF: Final = "https://w3id.org/valueflows/"
_READ: Final = {"vf": VF, "ValueFlows": _VF, "valueflows": _VF, "fm": NAMESPACE, "fedmatch": NAMESPACE, "om2": OM2}
"""Prefixes that are read as they stand, if they mean that."""
_PLAIN_TEXT: Final = ("content", "contentMap", "name", "summary")


def is_foreign(document: Document, body: bytes) -> bool:
    """Whether JSON-LD is needed to see what the activity says; `body` are the bytes it was read from.

    For what nearly everybody sends this costs an eighth of what reading it costs.
    """
    if "actor" not in document:
        return True   # the door read it under its full name
    thing = document.get("object")
    if isinstance(thing, list):
        thing = thing[0] if thing else None
    if not isinstance(thing, dict):
        return "object" not in document and any(":" in name for name in document)
    if "type" not in thing and "@type" not in thing:
        return len(thing) > 2   # more than an id and a context
    if not any(name in thing for name in _PLAIN_TEXT) and any(":" in name for name in thing):
        return True
    # All of a listing's vocabularies have one of these two in their address.
    return (b"valueflows" in body or b"fedmatch/ns#" in body) and _has_own_words(document, thing)


def is_foreign_post(document: Document) -> bool:
    """The same for a post by itself, as it was fetched."""
    if "type" not in document and "@type" not in document:
        return any(":" in name for name in document)
    if not any(name in document for name in _PLAIN_TEXT) and any(":" in name for name in document):
        return True
    return _has_own_words(document, document)


def _has_own_words(document: Document, thing: Document) -> bool:
    """Whether a context gives our words other names than the ones we read."""
    prefixes: dict[str, str] = {}
    for name, value in _terms(document, thing):
        if value in _OURS:
            prefixes[name] = value
            continue
        space, _, word = value.partition(":")
        full = value if word.startswith("//") else prefixes.get(space, _READ.get(space, "")) + word
        if full.startswith(_OURS[1:]) and local(full) != name.removesuffix("Map"):   # a language map is named after what it holds
            return True   # an alias
    unread = tuple(f"{name}:" for name, space in prefixes.items() if _READ.get(name) != space)
    if not unread:
        return False
    inner = [one for one in each(thing.get("publishes")) if isinstance(one, dict)]
    return any(name.startswith(unread) for one in (document, thing, *inner) for name in (*one, *types(one)))


def _terms(document: Document, thing: Document) -> Iterator[tuple[str, str]]:
    """The terms its own contexts define, in the order they stand, and where they lead; at most 200."""
    left = jsonld.MOST_TERMS
    for context in (*each(document.get("@context")), *each(thing.get("@context"))):
        if not isinstance(context, dict):
            continue
        for name, value in context.items():
            left -= 1
            if left < 0:
                return
            found = value.get("@id") if isinstance(value, dict) else value
            if isinstance(found, str):
                yield name, found


def plain(document: Document) -> Document:
    """The document in our words; limits and errors as `schemas.jsonld.expand`. Blocks for half a second: call it in a thread of the worker."""
    found = jsonld.plain(document)
    named: Document = _renamed(found)
    if not isinstance(named, dict) or "@graph" in named:
        raise Unreadable("document", "says several things at once")
    return named


def _renamed(value: Any) -> Any:
    """Members of the other ValueFlows vocabularies under their plain names; the strict gate and JSON-LD bounded how deep it goes."""
    if isinstance(value, list):
        return [_renamed(one) for one in value]
    if not isinstance(value, dict):
        return value
    renamed: Document = {}
    for name, inner in value.items():
        space = next((space for space in VALUEFLOWS if name.startswith(space)), None)
        renamed.setdefault(name if space is None else name.removeprefix(space), inner if name == "@context" else _renamed(inner))
    return renamed
