"""The strict JSON gate: opens for what every reader reads alike, stays shut for the rest, and takes bounded time over rubbish."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.gate import MOST_DEPTH, MOST_NODES, loads
from schemas.reading import Unreadable

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="".join(map(chr, {*range(32)} - {9, 10, 13}))))
values = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(texts, values), st.booleans())
def test_it_opens_for_every_honest_object(document: dict[str, object], ascii_only: bool) -> None:
    assert loads(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@given(st.binary(max_size=500))
def test_rubbish_is_unreadable_and_nothing_else(body: bytes) -> None:
    with suppress(Unreadable):
        assert isinstance(loads(body), dict)


@given(texts.filter(lambda text: "Unreadable" not in text), st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_bent_document_is_read_strictly_or_not_at_all(text: str, at: int, splice: bytes) -> None:
    body = json.dumps({"id": text, "type": "Create", "to": [1, 2.5, None], "object": {"content": text}}).encode()
    bent = body[: at % len(body)] + splice + body[at % len(body) :]
    try:
        document = loads(bent)
    except Unreadable:
        return
    assert loads(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b"12",
        b"{",
        b"{}{}",
        b"{} x",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": 9223372036854775808}',
        b'{"a": -9223372036854775809}',
        b'{"a": 9007199254740992}',
        b'{"a": -9007199254740992}',
        b'{"a": ' + b"1" * 4301 + b"}",
        b'{"a": 0.' + b"1" * 1000 + b"}",
        b'{"actor": 1, "actor": 2}',
        b'{"actor": 1, "\\u0061ctor": 2}',
        b'{"a": {"id": 1, "id": 1}}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\udc00\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"a": ["\\u0000"]}',
        b'{"a": "\x00"}',
        b'{"a": "\\u001b"}',
        b'{"a": "\\b"}',
        b'{"a": "\n"}',
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32"),
    ],
)
def test_what_two_readers_would_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        loads(body)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b' {"a": "\\u00e9\\ud83d\\ude00"}\n', {"a": "é😀"}),
        (b'{"a": "\\\\u0000 \\\\b"}', {"a": "\\u0000 \\b"}),
        (b'{"a": "x\\r\\n\\ty"}', {"a": "x\r\n\ty"}),
        (b'{"a": 9007199254740991, "b": -0, "c": 1e3}', {"a": 2**53 - 1, "b": 0, "c": 1000.0}),
        (b'{"__proto__": {}}', {"__proto__": {}}),
        (b'{"a": "[[[[{{{{"}', {"a": "[[[[{{{{"}),
    ],
)
def test_what_only_looks_suspicious_is_read(body: bytes, document: dict[str, object]) -> None:
    assert loads(body) == document


def test_the_depth_is_counted_outside_strings_and_to_the_last_level() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + b"[" * (depth - 1) + b'"]]]]\\"]]"' + b"]" * (depth - 1) + b"}"

    assert MOST_DEPTH == 32
    assert loads(nested(32))
    with pytest.raises(Unreadable, match="deeper"):
        loads(nested(33))
    assert loads(b'{"a":"' + b"[{" * 1000 + b'"}')
    assert loads(b'{"a":[' + b",".join([b"[]"] * 1000) + b"]}")


def test_the_size_limit_is_exact() -> None:
    assert loads(b'{"a":1}', 7) == {"a": 1}
    with pytest.raises(Unreadable, match="larger than 6"):
        loads(b'{"a":1}', 6)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"a":[' + b"[]," * 333_000 + b"1]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(90_000)) + b"}",
        b'{"' + b'\\"' * 500_000,
        b'"' * 1_000_000,
        b'{"a":"' + b"\\" * 999_999,
        b'{"a":' + b"9" * 1_000_000 + b"}",
        b'{"a":0.' + b"9" * 1_000_000 + b"}",
    ],
    ids=["brackets", "objects", "arrays", "keys", "quotes", "strings", "backslashes", "digits", "decimals"],
)
def test_a_bomb_costs_little(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Unreadable):
        loads(body)
    assert time.process_time() - began < 1


def test_the_nodes_are_counted_outside_strings_and_to_the_last_one() -> None:
    def listed(nodes: int) -> bytes:
        # Two openings, and a comma before each member but the first.
        return b'{"a":[' + b",".join([b'"[,{"'] * (nodes - 1)) + b"]}"

    assert len(loads(listed(MOST_NODES))["a"]) == MOST_NODES - 1
    with pytest.raises(Unreadable, match="nodes"):
        loads(listed(MOST_NODES + 1))


def test_ten_thousand_recipients_still_pass() -> None:
    assert len(loads(json.dumps({"to": [f"https://peer.example/{number}" for number in range(10_000)]}).encode())["to"]) == 10_000 < MOST_NODES


@settings(max_examples=20)
@given(texts)
def test_the_sentence_never_repeats_what_people_wrote(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        loads(json.dumps({"content": text + "SECRET"}).encode() + b"x")
    assert "SECRET" not in str(caught.value)
