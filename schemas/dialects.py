"""How do others write requests and offers? What flohmarkt, Epicyon, Bonfire and their like send, as the members of FEP-0837 that schemas/notes.py reads.

    proposal   a post that is a listing in another dialect, told in the words of FEP-0837; None for an ordinary post
    intent     the intent of whatever `publishes` holds: one, a list, or Bonfire's wrappers

Everything that decides who says it (id, author, addressing) is left as it stands. Prices and coordinates are left out: nothing here is sold, and nobody found.
"""

from typing import Any, Final

from schemas.reading import Document, each, iri, text, types
from schemas.vocabulary import VF

VALUEFLOWS: Final = (VF, "https://w3id.org/valueflows/", "https://w3id.org/valueflows#", "http://w3id.org/valueflows/ont/vf#")
"""The vocabulary under its own name, as Bonfire writes it, and two older ones."""

_MOST: Final = 16


def local(name: str) -> str:
    """The last part of a type or member: `Proposal` of `vf:Proposal`, of `ValueFlows:Proposal`, and of the full IRI."""
    return name.rpartition("#")[2].rpartition("/")[2].rpartition(":")[2]


def is_proposal(kind: str) -> bool:
    """Whether a type is a Proposal, under any prefix."""
    return local(kind) == "Proposal"


def is_intent(kind: str) -> bool:
    """Whether a type is one of Bonfire's three words for what somebody needs or offers by itself. A bare `Offer` is an activity, so that needs its prefix."""
    return kind == "Intent" or (":" in kind and local(kind) in ("Intent", "Need", "Offer") and (kind.startswith("vf:") or "valueflows" in kind.lower()))


def proposal(document: Document) -> Document | None:
    """The post, which says no `purpose` of its own, as a Proposal of FEP-0837; None if it is no listing in any dialect. Its author is not looked at here."""
    kinds = types(document)
    if any(map(is_intent, kinds)):
        return _intent_alone(document, kinds)
    if any(map(is_proposal, kinds)):
        return _without_purpose(document)
    data = document.get("flohmarkt:data")
    for one in each(document.get("attachment"))[:_MOST]:
        if isinstance(one, dict) and any(map(is_proposal, types(one))):
            return one if _same_author(document, one) else None
    if isinstance(data, dict) and text(data.get("name"), 200):
        intended = {"type": "Intent", "id": f"{document.get('id')}#primary", "action": "transfer", "name": data["name"]}
        words = text(data.get("description"), 10_000)
        return {
            "type": "Proposal", "id": document.get("id"), "purpose": "offer", "publishes": intended,
            "source": {"content": words, "mediaType": "text/plain"} if words else None,
        }  # fmt: skip
    return None


def _same_author(document: Document, attached: Document) -> bool:
    """What is attached is by whoever attaches it, or says nothing of that."""
    author = iri(attached.get("attributedTo"))
    return author is None or author == iri(document.get("attributedTo"))


def _intent_alone(document: Document, kinds: Any) -> Document | None:
    """Bonfire: an intent that nobody proposed. It is a need if somebody would receive, an offer if somebody would provide; without either it is a plan."""
    names = {local(kind) for kind in kinds}
    purpose = "request" if "Need" in names else "offer" if "Offer" in names else _purpose(document)
    if purpose is None:
        return None
    return {**document, "type": "Proposal", "purpose": purpose, "publishes": {**document, "type": "Intent"}}


def _without_purpose(document: Document) -> Document | None:
    """A Proposal of an older ValueFlows: what its first intent is for says what it is."""
    intended = intent(_member(document, "publishes"))
    purpose = None if intended is None else _purpose(intended)
    return None if purpose is None else {**document, "purpose": purpose, "publishes": intended}


def _purpose(intended: Document) -> str | None:
    receives, provides = iri(_member(intended, "receiver")), iri(_member(intended, "provider"))
    if (receives is None) == (provides is None):
        return None
    return "request" if receives is not None else "offer"


def intent(value: Any) -> Document | None:
    """The first intent in `value` that is not what is asked in return; an id alone is one without members. None if there is none."""
    for one in each(value)[:_MOST]:
        if isinstance(one, str) and one:
            return {"id": one}
        if not isinstance(one, dict):
            continue
        inner = _member(one, "publishes")
        if inner is None:
            return one
        if _member(one, "reciprocal") not in (True, "true") and (found := intent(inner)) is not None:
            return found
    # Bonfire marks even the only one as reciprocal.
    wrapped = next((one for one in each(value)[:_MOST] if isinstance(one, dict)), None)
    return None if wrapped is None else intent(_member(wrapped, "publishes"))


def category(document: Document) -> str | None:
    """Epicyon's category: a line of properties beside the pictures."""
    for one in each(document.get("attachment"))[:_MOST]:
        if isinstance(one, dict) and "PropertyValue" in types(one) and one.get("name") == "category":
            return text(one.get("value"), 64)
    return None


def at_home(document: Document, intended: Document) -> bool:
    """Whether an intent lives where its proposal does (FEP-fe34): same scheme and host, or it has no id."""
    one, other = iri(document.get("id") or document.get("@id")), iri(intended.get("id") or intended.get("@id"))
    return one is None or other is None or _origin(one) == _origin(other)


def _origin(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme.lower()}://{rest.partition('/')[0].partition('#')[0].partition('?')[0].lower()}"


def _member(document: Document, name: str) -> Any:
    for prefix in ("", "vf:", "ValueFlows:", "valueflows:", *VALUEFLOWS):
        if (value := document.get(prefix + name)) is not None:
            return value
    return None
