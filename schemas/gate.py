"""Is this body a JSON object that every reader reads alike? The strict gate in front of everything foreign: inbox bodies, fetched documents, WebFinger answers.

`json` with hooks, after a scan of the raw bytes that needs no recursion. What plain JSON readers disagree about (duplicate keys, NaN, big integers, lone
surrogates, NUL, byte order marks) is refused, because a signature over bytes proves nothing about a meaning that two readers see differently.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from schemas.reading import Document, Unreadable

MOST_DEPTH: Final = 32
"""Documents of the servers we know nest to 6; expanded JSON-LD about twice as deep."""
MOST_NODES: Final = 20_000
"""Commas and opening brackets outside strings: what costs time later. A `to` of 10,000 actors and a list of 10,000 followers
(FEP-8fcf) pass, 333,000 empty arrays do not."""
MOST_WHOLE: Final = (1 << 53) - 1
"""From the next one on readers of doubles, and the canonical form that proofs are made over (RFC 8785), take two numbers for one."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
# Possessive, and an unterminated string runs to the end: linear for every input.
_BRACKET = re.compile(rb"[\[\]{}]")
_SUSPECT = re.compile(rb"\\(?:[bf]|u(?:00[01]|[dD][89a-fA-F]))")
# Escapes that may spell a control character or half a surrogate pair; most documents have none, and then no string is looked at twice.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def loads(body: bytes, limit: int = 1024 * 1024) -> Document:
    """The JSON object in `body`, or `Unreadable`.

    `limit` is in bytes. Refused: more than `limit`, not UTF-8, a byte order mark, deeper than 32, more than 20,000 nodes, duplicate keys, NaN and Infinity,
    integers from 2^53 on, floats beyond double, lone surrogates, control characters other than tab, line feed and carriage return, anything but one object.
    About 20 us for a Create of 3.7 kB.
    """
    if len(body) > limit:
        raise Unreadable("body", f"larger than {limit} bytes")
    if body.count(b"{") + body.count(b"[") > MOST_DEPTH or len(body) > MOST_NODES:
        # Fewer brackets cannot nest deeper, fewer bytes cannot hold more nodes: most documents are never scanned.
        _measure(body)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("body", f"not UTF-8 at byte {error.start}") from None
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        # A byte order mark ends here too: it is no JSON white space.
        raise Unreadable("body", f"not JSON at character {error.pos}: {error.msg}") from None
    if not isinstance(document, dict):
        raise Unreadable("body", "not a JSON object")
    if _SUSPECT.search(body):
        _judge_strings(document)
    return document


def _measure(body: bytes) -> None:
    """Counts depth and nodes outside strings, without recursion."""
    bare = _STRING.sub(b"", body)
    if bare.count(b"{") + bare.count(b"[") + bare.count(b",") > MOST_NODES:
        raise Unreadable("body", f"more than {MOST_NODES} nodes")
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > MOST_DEPTH:
            raise Unreadable("body", f"nested deeper than {MOST_DEPTH}")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # `add` is the side of the `or` that remembers
        raise Unreadable(ascii(twice[:40]), "stands twice")
    return members


def _whole(digits: str) -> int:
    # The length first: int() of thousands of digits is slow, and of more than 4,300 an error of its own.
    number = int(digits) if len(digits) <= 20 else 1 << 64
    if not -MOST_WHOLE <= number <= MOST_WHOLE:
        raise Unreadable("body", "an integer beyond what a double holds")
    return number


def _real(digits: str) -> float:
    number = float(digits) if len(digits) <= 400 else math.inf
    if math.isinf(number):
        raise Unreadable("body", "a number beyond a double")
    return number


def _constant(name: str) -> NoReturn:
    raise Unreadable("body", f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=_real, parse_constant=_constant)


def _strings(value: object) -> Iterator[str]:
    """Every string in a decoded value, keys too; no deeper than the scan allowed."""
    match value:
        case str():
            yield value
        case dict():
            for name, member in value.items():
                yield name
                yield from _strings(member)
        case list():
            for member in value:
                yield from _strings(member)


def _judge_strings(document: Document) -> None:
    for text in _strings(document):
        if _CONTROL.search(text):
            raise Unreadable("body", "a control character")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unreadable("body", "half of a surrogate pair") from None
