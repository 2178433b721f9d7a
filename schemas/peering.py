"""What does an instance say of itself to those who think of trusting it? Members of its Application's document.

keyAgreement   X25519 Multikeys
terms          who may register, who reviews, who reads, how long things are kept, which law applies: words of its operators
keyRotation    statements by keys that were replaced, each with a proof (FEP-8b32) by the Ed25519 key that was in force
auditHead      the head of its log of staff actions, so that peers notice when that is cut
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from schemas import publickeys, vocabulary
from schemas.publickeys import BadKey
from schemas.reading import Document, Iri, each, first, iri, text, types

MOST_TERM: Final = 2000
MOST_KEYS: Final = 10
MOST_ROTATIONS: Final = 20
MOST_HEAD: Final = 64

TERMS: Final[Document] = {
    "fm": vocabulary.NAMESPACE,
    "keyAgreement": {"@id": "https://w3id.org/security#keyAgreement", "@type": "@id"},
    "terms": "fm:terms",
    "registration": "fm:registration",
    "review": "fm:review",
    "readers": "fm:readers",
    "retention": "fm:retention",
    "jurisdiction": "fm:jurisdiction",
    "keyRotation": "fm:keyRotation",
    "KeyRotation": "fm:KeyRotation",
    "keys": "fm:keys",
    "auditHead": "fm:auditHead",
}
ROTATION_CONTEXT: Final[list[Any]] = [
    "https://www.w3.org/ns/activitystreams",
    {"fm": vocabulary.NAMESPACE, "KeyRotation": "fm:KeyRotation", "keys": "fm:keys"},
]


@dataclass(frozen=True, slots=True)
class AgreementKey:
    """The public half of an X25519 key: 32 raw bytes."""

    id: Iri
    public: bytes


@dataclass(frozen=True, slots=True)
class InstanceTerms:
    """What the operators of an instance say in plain words, each "" where they say nothing."""

    registration: str = ""
    review: str = ""
    readers: str = ""
    retention: str = ""
    jurisdiction: str = ""

    @property
    def countries(self) -> tuple[str, ...]:
        """The countries of `jurisdiction`, ISO 3166 codes with commas between; none if anything else stands there, for half an answer is none."""
        codes = tuple(code.strip().upper() for code in self.jurisdiction.split(",") if code.strip())
        return codes if all(vocabulary.is_region(code) for code in codes) else ()


@dataclass(frozen=True, slots=True)
class Rotation:
    """`keys` are all multikeys of the Application from then on; `document` is the JSON as it was signed, proof and all."""

    actor: Iri
    keys: tuple[str, ...]
    document: Document = field(repr=False)


@dataclass(frozen=True, slots=True)
class Greeting:
    """Everything of this kind that stands in one Application's document."""

    agreement: tuple[AgreementKey, ...] = ()
    terms: InstanceTerms = InstanceTerms()
    rotations: tuple[Rotation, ...] = ()
    head: str = ""


def write(actor: Iri, greeting: Greeting) -> Document:
    """The members of an Application's document; what is empty is left out."""
    keys = [
        {"id": key.id, "type": "Multikey", "controller": actor, "publicKeyMultibase": publickeys.multibase(publickeys.X25519_PREFIX + key.public)}
        for key in greeting.agreement
    ]
    members: Document = {
        "keyAgreement": keys,
        "terms": terms(greeting.terms),
        "keyRotation": [rotation.document for rotation in greeting.rotations],
        "auditHead": greeting.head,
    }
    return {name: value for name, value in members.items() if value}


def terms(stated: InstanceTerms) -> dict[str, str]:
    """The terms somebody stated, by name."""
    return {each.name: value for each in fields(stated) if (value := str(getattr(stated, each.name)))}


def read(document: Document) -> Greeting | None:
    """What an actor's document says of this kind, tolerant about shapes; None if it says nothing. Keys on another host than the document are left out."""
    actor = iri(document.get("id") or document.get("@id"))
    if actor is None or not any(name in document for name in ("keyAgreement", "terms", "keyRotation", "auditHead")):
        return None
    return Greeting(
        agreement=_agreement(actor, each(document.get("keyAgreement"))),
        terms=read_terms(document.get("terms")),
        rotations=_rotations(actor, each(document.get("keyRotation"))),
        head=text(document.get("auditHead"), MOST_HEAD) or "",
    )


def read_terms(value: Any) -> InstanceTerms:
    """Terms as somebody wrote them; what is no text is taken for nothing."""
    stated = first(value)
    if not isinstance(stated, dict):
        return InstanceTerms()
    return InstanceTerms(**{one.name: text(stated.get(one.name), MOST_TERM) or "" for one in fields(InstanceTerms)})


def _agreement(actor: Iri, listed: Sequence[Any]) -> tuple[AgreementKey, ...]:
    found: dict[Iri, AgreementKey] = {}
    home = actor.partition("://")[2].partition("/")[0]
    for one in listed[:MOST_KEYS]:
        named = iri(one.get("id")) if isinstance(one, dict) else None
        if named is None or named.partition("://")[2].partition("/")[0] != home or iri(one.get("controller")) not in (None, actor):
            continue
        try:
            found[named] = AgreementKey(named, publickeys.x25519(text(one.get("publicKeyMultibase"), 200) or ""))
        except BadKey:
            continue
    return tuple(found.values())


def rotation(actor: Iri, keys: Sequence[str], created: str) -> Document:
    """The statement that these multikeys are all keys of `actor` from now on; to be signed with the key that was in force."""
    return {"@context": ROTATION_CONTEXT, "type": "KeyRotation", "actor": actor, "keys": sorted(keys), "published": created}


def _rotations(actor: Iri, stated: Sequence[Any]) -> tuple[Rotation, ...]:
    found = []
    for one in stated[-MOST_ROTATIONS:]:
        if not isinstance(one, dict) or "KeyRotation" not in types(one) or iri(one.get("actor")) != actor:
            continue
        keys = tuple(key for key in each(one.get("keys"))[: 3 * MOST_KEYS] if isinstance(key, str) and len(key) <= 2000)
        found.append(Rotation(actor, keys, one))
    return tuple(found)
