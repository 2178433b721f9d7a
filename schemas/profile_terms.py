"""How do we read an actor, or a key, whose server writes it in words of its own? Prefixes, full IRIs and expanded values become the plain members we know.

    plain   the document with the members that schemas/profiles.py reads under their plain names; everything else stays as it is

Actors are fetched while a request waits for its key, so this does without JSON-LD and without a process: what a context of its own says about prefixes and
names is looked up, no context is fetched, and no name of ours means anything else because somebody says so. A member under its plain name wins, and whose
document it is says `id` or `@id` alone: that was compared with its address.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.reading import AS, Document, each

NAMESPACES: Final = (
    AS,
    "http://www.w3.org/ns/activitystreams#",
    "http://www.w3.org/ns/ldp#",
    "https://w3id.org/security#",
    "http://joinmastodon.org/ns#",
    "http://schema.org#",
    "http://schema.org/",
    "https://purl.archive.org/socialweb/webfinger#",
    "https://w3id.org/fep/844e#",
    "https://gotosocial.org/ns#",
)
PREFIXES: Final[Mapping[str, str]] = {
    "as": AS, "ldp": "http://www.w3.org/ns/ldp#", "sec": "https://w3id.org/security#", "toot": "http://joinmastodon.org/ns#", "schema": "http://schema.org#",
    "gts": "https://gotosocial.org/ns#",
}  # fmt: skip
"""What these mean where a document does not say it."""
MEMBERS: Final = frozenset({
    "preferredUsername", "webfinger", "name", "summary", "url", "href", "mediaType", "icon", "published", "updated", "inbox", "outbox", "followers",
    "following", "featured", "endpoints", "sharedInbox", "manuallyApprovesFollowers", "discoverable", "suspended", "movedTo", "alsoKnownAs", "attachment",
    "value", "generator", "implements", "publicKey", "publicKeyPem", "owner", "assertionMethod", "controller", "publicKeyMultibase",
    "hidesToPublicFromUnauthedWeb", "hidesCcPublicFromUnauthedWeb",
})  # fmt: skip
_KEYWORDS: Final = {"@id": "id", "@type": "type"}
MOST_TERMS: Final = 200
MOST_DEPTH: Final = 8
"""How deep members are renamed; an actor's keys lie at the second level."""


def plain(document: Document) -> Document:
    """The actor or key document in plain terms, the very same where it is plain already. About 5 us then, 50 us for an expanded actor; asks nobody."""
    prefixes, names = dict(PREFIXES), dict[str, str]()
    for name, full in _terms(document, prefixes):
        word = "type" if full == "@type" else _word(full)
        if word is not None and (word in MEMBERS or word == "type") and name not in (*MEMBERS, "id", "type"):
            names[name] = word
    if not names and "@id" not in document and "@type" not in document and not any(":" in name for name in document):
        return document
    found = _Reading(prefixes, names).value(document, 0)
    return found if isinstance(found, dict) else document


def _terms(document: Document, prefixes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What its own contexts define, as full IRIs or keywords; prefixes are put into `prefixes` on the way."""
    left = MOST_TERMS
    for context in each(document.get("@context"))[:20]:
        if not isinstance(context, dict):
            continue
        for name, value in context.items():
            left -= 1
            if left < 0:
                return
            stated = value.get("@id") if isinstance(value, dict) else value
            if not isinstance(stated, str):
                continue
            full = _full(stated, prefixes)
            if full in NAMESPACES:
                prefixes[name] = full
            else:
                yield name, full


def _full(name: str, prefixes: Mapping[str, str]) -> str:
    space, colon, word = name.partition(":")
    return prefixes.get(space, f"{space}:") + word if colon and not word.startswith("//") else name


def _word(full: str) -> str | None:
    """The plain name of a full IRI of one of the vocabularies actors are written in."""
    return next((full.removeprefix(space) for space in NAMESPACES if full.startswith(space)), None)


class _Reading:
    """One document being put into plain terms."""

    def __init__(self, prefixes: Mapping[str, str], names: Mapping[str, str]) -> None:
        self._prefixes, self._names = prefixes, names

    def value(self, value: Any, depth: int) -> Any:
        if depth > MOST_DEPTH:
            return value
        if isinstance(value, list):
            return [self.value(one, depth + 1) for one in value]
        if not isinstance(value, dict):
            return value
        if "@value" in value:
            return _literal(value)
        if "@list" in value:
            return self.value(value["@list"], depth + 1)
        found: Document = {name: inner if name == "@context" else self.value(inner, depth + 1) for name, inner in value.items() if self._plain(name) == name}
        for name, inner in value.items():
            word = self._plain(name)
            if word != name:
                found.setdefault(word, self.value(inner, depth + 1))
        if "type" in found:
            found["type"] = [self._kind(one) for one in each(found["type"])]
        return found

    def _plain(self, name: str) -> str:
        if name in _KEYWORDS:
            return _KEYWORDS[name]
        if name in self._names:
            return self._names[name]
        word = _word(_full(name, self._prefixes)) if ":" in name else None
        return word if word is not None and word in MEMBERS else name

    def _kind(self, kind: Any) -> Any:
        return (_word(_full(kind, self._prefixes)) or kind) if isinstance(kind, str) else kind


def _literal(value: Document) -> Any:
    """The text, number or truth of an expanded value."""
    plainly, kind = value["@value"], value.get("@type")
    if isinstance(kind, str) and kind.endswith("boolean") and plainly in ("true", "false"):
        return plainly == "true"
    return plainly
