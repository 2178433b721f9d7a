"""How does an instance's word for somebody look? A small document with a proof (FEP-8b32) by its Application; it is never pushed or listed, only carried.

    {"type": "Vouch", "id", "attributedTo": <Application>, "subject": <actor>, "subjectKey": "sha256:...", "level": 2, "method", "issued", "expires", "proof"}
"""

import json
import re
from datetime import datetime, timedelta
from typing import Any, Final, cast, get_args

from schemas import vocabulary
from schemas.objects import Vouch, VouchMethod
from schemas.reading import Document, Iri, each, iri, moment, text, types

KIND: Final = "Vouch"
HIGHEST: Final = 5
LONGEST: Final = timedelta(days=90)
MOST: Final = 10
"""How many vouches of one listing or answer are looked at."""
MOST_DOCUMENT: Final = 8_000
METHODS: Final[tuple[str, ...]] = get_args(VouchMethod)

TERMS: Final[Document] = {
    "fm": vocabulary.NAMESPACE,
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "Vouch": "fm:Vouch",
    "subject": {"@id": "fm:subject", "@type": "@id"},
    "subjectKey": "fm:subjectKey",
    "level": "fm:level",
    "method": "fm:method",
    "issued": {"@id": "fm:issued", "@type": "xsd:dateTime"},
    "expires": {"@id": "fm:expires", "@type": "xsd:dateTime"},
}
CONTEXT: Final[list[Any]] = ["https://www.w3.org/ns/activitystreams", TERMS]
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")


def write(vouch: Vouch) -> Document:
    """The document to be signed."""
    return {
        "@context": CONTEXT,
        "id": vouch.id,
        "type": KIND,
        "attributedTo": vouch.issuer,
        "subject": vouch.subject,
        "subjectKey": vouch.subject_key,
        "level": vouch.level,
        "method": vouch.method,
        "issued": _day(vouch.issued),
        "expires": _day(vouch.expires),
    }


def _day(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT00:00:00Z")


def read(value: Any) -> Vouch | None:
    """The vouch in a document, its JSON kept for the proof; None for anything that is none. Nothing is proven by this."""
    if not isinstance(value, dict) or KIND not in {name.removeprefix("fm:") for name in types(value)}:
        return None
    uri, issuer, subject = iri(value.get("id")), iri(value.get("attributedTo")), iri(value.get("subject"))
    key, method, level = text(value.get("subjectKey"), 100) or "", text(value.get("method"), 100), value.get("level")
    issued, expires = moment(value.get("issued")), moment(value.get("expires"))
    if uri is None or issuer is None or subject is None or issued is None or expires is None or _FINGERPRINT.fullmatch(key) is None:
        return None
    if not isinstance(level, int) or isinstance(level, bool) or not 0 <= level <= HIGHEST or method not in METHODS:
        return None
    document = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(document) > MOST_DOCUMENT:
        return None
    return Vouch(uri, issuer, subject, key, level, cast(VouchMethod, method), issued, expires, document)


def read_all(value: Any) -> tuple[Vouch, ...]:
    """The vouches of a listing or an answer, in its member `vouch`; at most ten."""
    return tuple(found for one in each(value)[:MOST] if (found := read(one)) is not None)


def parsed(document: str) -> Vouch | None:
    """The vouch in the JSON that `read` kept."""
    try:
        return read(json.loads(document))
    except ValueError:
        return None


def lifetime(now: datetime) -> tuple[datetime, datetime]:
    """When a vouch made now was issued and ends: first days of months, at most 90 days apart, so that neither tells a day."""
    issued = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    ends = issued
    while (following := (ends.replace(day=28) + timedelta(days=4)).replace(day=1)) - issued <= LONGEST:
        ends = following
    return issued, ends


def named(issuer: Iri) -> str:
    """The host that answers for a vouch, as its Application's id has it."""
    return issuer.partition("://")[2].partition("/")[0].lower()
