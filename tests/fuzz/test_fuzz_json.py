"""Does any body get through the gate that two readers read differently, or break what reads it behind the gate?"""

import json
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import strategies as st

from inbox.errors import Malformed
from inbox.gate import claim
from schemas import documents
from schemas.activities import Activity, parse, parse_actor, parse_note
from schemas.gate import MOST_DEPTH, loads
from schemas.reading import Unreadable
from tests.fuzz.twice import twice

NAMES = [
    "id", "type", "@id", "@type", "actor", "object", "to", "cc", "bto", "attributedTo", "content", "contentMap", "summary", "name", "tag", "attachment",
    "url", "href",
    "published", "updated", "inReplyTo", "publicKey", "inbox", "preferredUsername", "icon", "endpoints", "source", "purpose", "publishes", "oneOf",
    "replies", "target",
    "@context", "proof", "signature", "alsoKnownAs", "movedTo", "instrument", "result", "endTime", "language", "interactionPolicy", "__proto__", "", "\u202e",
]  # fmt: skip
WORDS = [
    "https://peer.example/users/p1", "https://peer.example/notes/1", "https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public", "Note",
    "Create", "Update", "Delete",
    "Follow", "Accept", "Undo", "Announce", "Like", "Question", "Person", "Tombstone", "Flag", "Move", "Add", "EmojiReact", "Proposal", "Mention",
    "Hashtag", "Emoji",
    "2026-01-01T00:00:00Z", "9999-12-31T23:59:59+99:99", "<p>x</p>", "javascript:alert(1)", "http://", "https://peer.example", "offer", "request", "",
    "\u0000x", "x" * 3000,
]  # fmt: skip

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(WORDS), st.text(max_size=40))
values = st.recursive(leaves, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)), max_leaves=25)
things = st.dictionaries(st.sampled_from(NAMES), values, max_size=10)

CREATE = json.dumps(
    {
        "@context": "https://www.w3.org/ns/activitystreams", "id": "https://peer.example/activities/1", "type": "Create",
        "actor": "https://peer.example/users/p1",
        "to": ["https://www.w3.org/ns/activitystreams#Public"], "object": {"id": "https://peer.example/notes/1", "type": "Note",
        "content": "<p>a \\u00e9 b</p>", "n": [1, 2.5, None]},
    }
).encode()  # fmt: skip
PIECES = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b"1e999",
    b"NaN",
    b"-",
    b"0",
    b" ",
    b"\n",
    b'"id":',
    b"\xc0\xaf",
    b"9" * 25,
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A Create with some of its bytes cut out, doubled, or replaced by what JSON readers disagree about."""
    body = bytearray(CREATE)
    for _ in range(draw(st.integers(0, 5))):
        at, length = draw(st.integers(0, len(body))), draw(st.integers(0, 6))
        body[at : at + length] = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4), st.just(bytes(body[at : at + 30]))))
    return bytes(body)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (1 if isinstance(value, dict | list) else 0) + max((depth(one) for one in inner), default=0)


def read_alike(body: bytes) -> None:
    """A body is refused with `Unreadable`, or read as another reader reads it, and can be written again."""
    try:
        document = loads(body)
    except Unreadable:
        return
    assert msgspec.json.decode(body) == document
    assert json.loads(body) == document
    assert depth(document) <= MOST_DEPTH
    json.dumps(document, ensure_ascii=False).encode()


def understood(document: dict[str, Any]) -> None:
    """Whatever passed the gate is an activity, a post, an actor, or `Unreadable`; what was read can be written, and is read alike again."""
    try:
        loads(json.dumps(document).encode())
    except Unreadable:
        return
    with suppress(Malformed):
        claim(document)
    for reader in (parse, parse_note, parse_actor):
        try:
            read = reader(document)
        except Unreadable:
            continue
        if reader is parse:
            written = documents.activity(read)  # type: ignore[arg-type]  # parse gives activities
            again: Activity = parse(loads(documents.dumps(written)))
            assert type(again) is type(read)
            assert again.actor == read.actor  # type: ignore[union-attr]  # as above


test_bytes, test_bytes_long = twice(read_alike, st.one_of(damaged(), st.binary(max_size=200), things.map(lambda thing: json.dumps(thing).encode())))
test_things, test_things_long = twice(understood, things)
