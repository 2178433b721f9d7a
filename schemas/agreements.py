"""How does an answer to a request or an offer look on the wire? FEP-0837's Agreement, its Commitment, and the receipt that says how it ended.

    Offer(Agreement{stipulates: Commitment{satisfies, resourceQuantity}})  ->  Accept(object, result: Agreement) | Reject(object, content)
    Update(Agreement{finished | failed, receipt})  by whoever the agreement belongs to;  Create(Document "Receipt", context: Agreement)  by the other side

Numbers are written as text, which Mitra needs, and read as both. Members may have a prefix or be full IRIs (Fedify, Mitra, Bonfire).
"""

from typing import Any, Final

import msgspec

from schemas import vocabulary, vouches
from schemas.objects import Agreement, Receipt
from schemas.reading import Document, Iri, Unreadable, first, iri, language, text, types

AS: Final = "https://www.w3.org/ns/activitystreams"
VF: Final = ("", "vf:", vocabulary.VF, "ValueFlows:", "valueflows:")
FM: Final = ("", "fm:", vocabulary.NAMESPACE, "fedmatch:")
OM: Final = ("", "om2:", vocabulary.OM2)

UNITS: Final = frozenset({"one", "om2:one", f"{vocabulary.OM2}one", "http://qudt.org/vocab/unit/NUM"})
"""What means "pieces": the only unit people and things are counted in here."""

CAPABILITY: Final = Iri("https://w3id.org/fep/0837")
"""What a server's Application names in `implements` (FEP-844e) if it understands these activities. GoToSocial answers them with 500, Hollo with 400."""

MOST_TEXT: Final = 5000
MOST_REASON: Final = 1000
MOST_NEED: Final = 200
MOST_QUANTITY: Final = 1_000_000
MOST_LANGUAGES: Final = 20
RECEIPT: Final = "Receipt"

TERMS: Final[Document] = {
    "vf": vocabulary.VF,
    "om2": vocabulary.OM2,
    "fm": vocabulary.NAMESPACE,
    "Agreement": "vf:Agreement",
    "Commitment": "vf:Commitment",
    "stipulates": "vf:stipulates",
    "satisfies": {"@id": "vf:satisfies", "@type": "@id"},
    "resourceQuantity": "vf:resourceQuantity",
    "hasUnit": "om2:hasUnit",
    "hasNumericalValue": "om2:hasNumericalValue",
    "finished": "vf:finished",
    "failed": "fm:failed",
    "receipt": {"@id": "fm:receipt", "@type": "@id"},
    "need": "fm:need",
    "spokenLanguage": "fm:spokenLanguage",
    "region": "fm:region",
    "vouch": {"@id": "fm:vouch", "@type": "@json"},
}
CONTEXT: Final[list[Any]] = [AS, TERMS]


def write(what: Agreement) -> Document:
    """The Agreement as it stands inside an activity; without id and owner while it is only offered."""
    commitment: Document = {"type": "Commitment"}
    if what.id:
        commitment["id"] = f"{what.id.partition('#')[0]}#primary"
    commitment["satisfies"] = what.satisfies
    commitment["resourceQuantity"] = {"hasUnit": what.unit, "hasNumericalValue": str(what.quantity)}
    document: Document = {"id": what.id} if what.id else {}
    document["type"] = "Agreement"
    if what.attributed_to:
        document["attributedTo"] = what.attributed_to
    document["stipulates"] = commitment
    if what.text:
        document |= {"content": what.text, "mediaType": "text/plain"}
        if what.language:
            document["contentMap"] = {what.language: what.text}
    if what.need:
        document["need"] = what.need
    if what.vouches:
        document["vouch"] = [msgspec.json.decode(vouch.document) for vouch in what.vouches[: vouches.MOST]]
    if what.speaks:
        document["spokenLanguage"] = list(what.speaks)
    if what.region:
        document["region"] = what.region
    if what.finished or what.failed:
        document |= {"finished": what.finished, "failed": what.failed}
        # Mitra shows the state of an agreement from a note in `preview`.
        document["preview"] = {"type": "Note", "name": "Status", "content": "Fulfilled" if what.finished else "Failed"}
    if what.receipt:
        document["receipt"] = what.receipt
    return document


def read(document: Document) -> Agreement:
    """The Agreement in `document`; raises `Unreadable` where it satisfies nothing. A quantity that is no whole number from 1 up is read as 0, to be refused."""
    commitment = first(_member(document, "stipulates", VF))
    if not isinstance(commitment, dict):
        raise Unreadable("object.stipulates", "is missing")
    satisfied = iri(_member(commitment, "satisfies", VF))
    if satisfied is None:
        raise Unreadable("object.stipulates.satisfies", "is missing or no http(s) IRI")
    quantity, unit = _quantity(first(_member(commitment, "resourceQuantity", VF)))
    mapped = document.get("contentMap")
    spoken = next((tag for tag in mapped if language(tag)), None) if isinstance(mapped, dict) else None
    words = text(document.get("content"), MOST_TEXT) or (text(mapped.get(spoken), MOST_TEXT) if isinstance(mapped, dict) and spoken else None)
    return Agreement(
        satisfies=satisfied,
        id=iri(document.get("id") or document.get("@id")),
        attributed_to=iri(document.get("attributedTo")),
        quantity=quantity,
        unit=unit,
        need=text(_member(document, "need", FM), MOST_NEED),
        text=(words or "").strip(),
        language=spoken,
        vouches=vouches.read_all(_member(document, "vouch", FM)),
        finished=_true(_member(document, "finished", VF)),
        failed=_true(_member(document, "failed", FM)),
        receipt=iri(_member(document, "receipt", FM)),
        speaks=_speaks(_member(document, "spokenLanguage", FM)),
        region=_region(_member(document, "region", FM)),
    )


def _speaks(value: Any) -> tuple[str, ...]:
    found = [vocabulary.canonical_language(one) for one in (value if isinstance(value, list) else [value])[:MOST_LANGUAGES] if isinstance(one, str)]
    return tuple(dict.fromkeys(tag for tag in found if tag is not None))


def _region(value: Any) -> str | None:
    return value if isinstance(value, str) and vocabulary.is_region(value) else None


def is_agreement(value: Any) -> bool:
    """Whether a value is an Agreement, under any prefix."""
    return isinstance(value, dict) and any(kind.rpartition(":")[2].rpartition("#")[2] == "Agreement" for kind in types(value))


def is_receipt(value: Any) -> bool:
    """Whether a value is the receipt of an agreement: a Document of that name in the context of something."""
    return isinstance(value, dict) and "Document" in types(value) and value.get("name") == RECEIPT and iri(value.get("context")) is not None


def write_receipt(what: Receipt) -> Document:
    """The receipt as it stands inside a Create."""
    document: Document = {"id": what.id, "type": "Document", "name": RECEIPT, "attributedTo": what.attributed_to, "context": what.agreement}
    return document | {"finished": not what.failed, "failed": what.failed}


def read_receipt(document: Document, actor: Iri) -> Receipt:
    """The receipt in a Create by `actor`; raises `Unreadable` without an id or an agreement."""
    uri, agreement = iri(document.get("id") or document.get("@id")), iri(document.get("context"))
    if uri is None or agreement is None:
        raise Unreadable("object.context", "or object.id is no http(s) IRI")
    return Receipt(uri, iri(document.get("attributedTo")) or actor, agreement, failed=_true(_member(document, "failed", FM)))


def intent_owner(satisfies: Iri) -> str:
    """The listing whose intent that is: `<listing>#primary`, or the same of its twin `<listing>/proposal`."""
    return satisfies.partition("#")[0].removesuffix("/proposal")


def _quantity(value: Any) -> tuple[int, str]:
    if value is None:
        return 1, "one"
    if not isinstance(value, dict):
        return 0, ""
    unit = first(_member(value, "hasUnit", OM))
    if isinstance(unit, dict):
        unit = unit.get("@value") or unit.get("@id") or unit.get("id")
    number = first(_member(value, "hasNumericalValue", OM))
    if isinstance(number, dict):
        number = number.get("@value")
    return _whole(number), "one" if unit is None or unit in UNITS else str(unit)[:100]


def _whole(value: Any) -> int:
    """A whole number from 1 to a million, from a number or a text (`1`, `1.0`, `"1"`); else 0."""
    if value is None:
        return 1
    if isinstance(value, bool):
        return 0
    if isinstance(value, str):
        value = value.strip().removesuffix(".0")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 8 and 1 <= int(value) <= MOST_QUANTITY else 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and 1 <= value <= MOST_QUANTITY else 0


def _true(value: Any) -> bool:
    value = first(value)
    if isinstance(value, dict):
        value = value.get("@value")
    return value is True or value == "true"


def _member(document: Document, name: str, spaces: tuple[str, ...]) -> Any:
    """A member by its plain name, with a prefix, or by its full IRI."""
    return next((value for space in spaces if (value := document.get(space + name)) is not None), None)
