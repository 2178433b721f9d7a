"""How do we read an actor, or a key, that is not ours? Tolerant about shapes, strict about whose it is."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from schemas import html, peering, profile_terms, publickeys
from schemas.objects import ActorDocument, ActorKind, Field, Key
from schemas.reading import Document, Iri, Unreadable, each, first, iri, iris, moment, page, text, types

ACTORS: Final[Mapping[str, ActorKind]] = {kind: kind for kind in get_args(ActorKind)}

MOST_NAME: Final = 2048
MOST_SUMMARY: Final = 20_000
MOST_FIELDS: Final = 50
MOST_ALIASES: Final = 256
MOST_KEYS: Final = 10
MOST_CAPABILITIES: Final = 50
"""The sizes are Mastodon's; what is longer is cut."""
MOST_NAMED: Final = 2
"""Keys an actor only names: each costs a request."""

_USERNAME: Final = re.compile(r"[\w.~-]{1,128}")
_HANDLE: Final = re.compile(r"(?:acct:)?@?([\w.~-]{1,128}@[^\s/@]{1,260})")


def parse_actor(document: Document) -> ActorDocument:
    """The actor in `document`; raises `Unreadable` without id, type, user name, or an inbox on its own host.

    Other IRIs that lie on a foreign host are left out, as are keys of somebody else. Its texts come back sanitised. Prefixed and expanded documents are read
    as plain ones are.
    """
    document = profile_terms.plain(document)
    uri = iri(document.get("id") or document.get("@id"))
    if uri is None:
        raise Unreadable("id", "is missing or no http(s) IRI")
    kind = next((ACTORS[name] for name in types(document) if name in ACTORS), None)
    if kind is None:
        raise Unreadable("type", "is none of an actor")
    inbox = _at_home(uri, document.get("inbox"))
    if inbox is None:
        raise Unreadable("inbox", "is missing or not on the host of the actor")
    handle = _handle(first(document.get("webfinger")))
    username = text(document.get("preferredUsername"), MOST_NAME) or (handle or "").partition("@")[0]
    if not _USERNAME.fullmatch(username):
        raise Unreadable("preferredUsername", "is missing or holds letters no handle can have")
    endpoints = first(document.get("endpoints"))
    shared = endpoints.get("sharedInbox") if isinstance(endpoints, dict) else None
    summary = text(document.get("summary"), MOST_SUMMARY)
    return ActorDocument(
        id=uri,
        kind=kind,
        username=username,
        inbox=inbox,
        keys=tuple(key for key in parse_keys(document) if key.owner == uri),
        shared_inbox=_at_home(uri, shared or document.get("sharedInbox")),
        outbox=_at_home(uri, document.get("outbox")),
        followers=_at_home(uri, document.get("followers")),
        following=_at_home(uri, document.get("following")),
        featured=_at_home(uri, document.get("featured")),
        name=text(document.get("name"), MOST_NAME),
        summary=(html.sanitise(summary) or None) if summary else None,
        url=_at_home(uri, page(document.get("url"))),
        icon=page(_picture(document.get("icon"))),
        handle=handle,
        locked=first(document.get("manuallyApprovesFollowers")) is True,
        discoverable=first(document.get("discoverable")) is True,
        suspended=first(document.get("suspended")) is True,
        # GoToSocial; what is not said is false for the one and true for the other.
        hides_public=first(document.get("hidesToPublicFromUnauthedWeb")) is True,
        hides_unlisted=first(document.get("hidesCcPublicFromUnauthedWeb")) is not False,
        published=moment(first(document.get("published"))),
        updated=moment(first(document.get("updated"))),
        moved_to=iri(document.get("movedTo")),
        also_known_as=iris(document.get("alsoKnownAs"), MOST_ALIASES),
        fields=tuple(_fields(document.get("attachment"))),
        greeting=peering.read(document) if kind == "Application" else None,
        implements=_implements(document),
    )


def _implements(document: Document) -> tuple[Iri, ...]:
    """What its server says that it understands: a member of an Application, or of the `generator` of anybody (FEP-844e)."""
    generator = first(document.get("generator"))
    stated = document.get("implements") or (generator.get("implements") if isinstance(generator, dict) else None)
    return iris(stated, MOST_CAPABILITIES)


def parse_keys(document: Document) -> tuple[Key, ...]:
    """The public keys in an actor, in a stub of one (GoToSocial serves it at the key's id), or in a key document; unreadable and weak ones are left out."""
    document = profile_terms.plain(document)
    owner = iri(document.get("id") or document.get("@id"))
    found: dict[str, Key] = {}
    if "publicKeyPem" in document or "publicKeyMultibase" in document:
        listed = [(document, False)]
    else:
        # The second kind last: a key that stands in both proves documents too.
        places = (("publicKey", False), ("assertionMethod", True))
        listed = [(one, proves) for place, proves in places for one in each(document.get(place))[:MOST_KEYS]]
    for one, proves in listed:
        if not isinstance(one, dict) or (named := iri(one.get("id") or one.get("@id"))) is None:
            continue
        held_by = iri(one.get("owner") or one.get("controller")) or owner
        pem, multibase = text(one.get("publicKeyPem"), 10_000), text(one.get("publicKeyMultibase"), 10_000)
        try:
            if held_by and pem:
                found[named] = Key(named, held_by, *publickeys.from_pem(pem), proves)
            elif held_by and multibase:
                found[named] = Key(named, held_by, *publickeys.from_multibase(multibase), proves)
        except publickeys.BadKey:
            continue
    return tuple(found.values())


def named_keys(document: Document) -> tuple[Iri, ...]:
    """The keys that a plain actor document only names, by addresses of their own on its host; at most `MOST_NAMED`.

    What lies in the document under a fragment of it, or is embedded in another place, is not to be fetched.
    """
    uri = iri(document.get("id"))
    places = [one for place in ("publicKey", "assertionMethod") for one in each(document.get(place))[:MOST_KEYS]]
    embedded = {iri(one.get("id")) for one in places if isinstance(one, dict) and ("publicKeyPem" in one or "publicKeyMultibase" in one)}
    alone = (iri(one) for one in places if isinstance(one, str) or (isinstance(one, dict) and set(one) <= {"id", "type"}))
    found = (one for one in alone if one is not None and uri is not None and one not in embedded and one.partition("#")[0] != uri)
    return tuple(dict.fromkeys(one for one in found if uri is not None and _place(one) == _place(uri)))[:MOST_NAMED]


def _picture(value: Any) -> Any:
    image = first(value)
    return image.get("url") or image.get("href") if isinstance(image, dict) else image


def _at_home(actor: Iri, value: Any) -> Iri | None:
    """The IRI in `value` if it lies on the actor's own host (Misskey, Mastodon)."""
    named = iri(value)
    return named if named is not None and _place(named) == _place(actor) else None


def _place(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0].lower()


def _handle(value: Any) -> str | None:
    """`user@host` of FEP-2c59, which is written with and without `acct:`."""
    match = _HANDLE.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def _fields(value: Any) -> Iterator[Field]:
    for one in each(value)[:MOST_FIELDS]:
        if isinstance(one, dict) and "PropertyValue" in types(one):
            name, shown = text(one.get("name"), MOST_NAME), text(one.get("value"), MOST_NAME)
            if name and shown:
                yield Field(name, html.sanitise(shown))
