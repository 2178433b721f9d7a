"""What is proven, and how does it stay proven while it rests?"""

import ast
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.known import Actor
from actors.signatures import request as signed_request
from actors.signatures.errors import BadSignature, HostRefused, KeyUnavailable, MalformedSignature, SignatureError
from actors.signatures.request import Request
from inbox import gate, verify
from inbox.errors import InboxError, Later, Malformed, Refused, TooLarge, Unsigned, render
from inbox.verify import Forwarded, Sender, Transient, Verified
from schemas.reading import Unreadable
from tests.house import House
from tests.letters import activity, envelope, move_in, note

ROOMS = Path(__file__).parents[2]


@pytest.fixture
async def house(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(sqlite_database, tmp_path) as moved:
        yield moved


def who(actor: Actor) -> Sender:
    return Sender(actor.id, actor.uri, actor.host)


async def prove(house: House, sender, document: dict) -> Verified | Forwarded | Transient:
    body = json.dumps(document).encode()
    request = Request("POST", b"/inbox", envelope(house, sender, body), body, house.clock.ms())
    return await verify.verify(house.instance, request, document, gate.claim(document))


async def test_a_signature_of_the_actor_proves_it(house: House) -> None:
    bo = await house.stranger("bo")
    document = activity(bo, "Create", note(bo))
    verdict = await prove(house, bo, document)
    assert verdict == Verified(who(bo), document, "signature")


@pytest.mark.parametrize("named", [b"elsewhere.example", b"sub.a.example", b"127.0.0.1", b"", b"a.example, elsewhere.example"])
def test_what_was_signed_for_another_host_is_refused(house: House, named: bytes) -> None:
    """The door in front refuses foreign hosts too, but it knows the one of our handles, and a proxy may have renamed others."""
    assert house.instance.config.authority.encode() != named
    with pytest.raises(SignatureError):
        signed_request._check_host(house.instance, named)


async def test_somebody_elses_signature_proves_only_an_id(house: House) -> None:
    bo, carol = await house.stranger("bo"), await house.stranger("carol", "carrier.example")
    create, post = "https://theirs.example/activities/1", "https://theirs.example/notes/1"
    for kind in ("Create", "Update"):
        assert await prove(house, carol, activity(bo, kind, note(bo))) == Forwarded(create, who(carol), post)
    assert await prove(house, carol, activity(bo, "Announce", post)) == Forwarded(create, who(carol))
    assert await prove(house, carol, activity(bo, "Delete", post)) == Forwarded(post, who(carol))
    # A neighbour on the same server proves no more than that
    eve = await house.stranger("eve")
    assert await prove(house, eve, activity(bo, "Create", note(bo))) == Forwarded(create, who(eve), post)


async def test_without_an_id_it_is_transient(house: House) -> None:
    bo = await house.stranger("bo")
    document = activity(bo, "Create", note(bo))
    del document["id"]
    assert await prove(house, bo, document) == Transient(who(bo))
    # But Mastodon's pins come without, and only say that the list is another now
    for kind in ("Add", "Remove"):
        pin = {**document, "type": kind, "object": f"{bo.uri}/notes/1", "target": f"{bo.uri}/collections/featured"}
        assert isinstance(await prove(house, bo, pin), Verified)
        assert await prove(house, await house.stranger(f"eve{kind}"), {**pin, "id": "https://theirs.example/activities/9"}) != await prove(house, bo, pin)


async def test_what_is_packed_is_recalled(house: House) -> None:
    bo = await house.stranger("bo")
    assert verify.recall(verify.pack(Verified(who(bo), {"a": 1}, "signature"), b'{"a":1}')) == Verified(who(bo), {"a": 1}, "signature")
    with pytest.raises(Unreadable):
        verify.recall(b"something else\n{}")


LINES = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=50)), max_size=5)


@given(path=st.binary(max_size=50), headers=LINES, body=st.binary(max_size=100), ms=st.integers(0, 2**50))
def test_a_request_rests_byte_for_byte(path: bytes, headers: list[tuple[bytes, bytes]], body: bytes, ms: int) -> None:
    request = Request("POST", path, headers, body, ms)
    assert verify.recall(verify.pack_request(request)) == request


def test_only_one_file_makes_a_verified() -> None:
    """`Verified(...)` anywhere else would be a proof without a proof."""
    makers = set()
    for room in ("schemas", "actors", "outbox", "inbox", "fedmatch"):
        for file in (ROOMS / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and (getattr(node.func, "id", None) == "Verified" or getattr(node.func, "attr", None) == "Verified"):
                    makers.add(file.name)
    assert makers == {"verify.py"}


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (MalformedSignature("x"), Malformed, 400),
        (BadSignature("x"), Unsigned, 401),
        (HostRefused("x"), Refused, 403),
        (KeyUnavailable("x", temporary=True), Later, 503),
        (KeyUnavailable("x", temporary=False), Unsigned, 401),
    ],
)
def test_every_doubt_has_an_answer(error: SignatureError, kind: type[InboxError], status: int) -> None:
    made = verify.refusal(error)
    assert isinstance(made, kind)
    assert made.status == status


ERRORS = (
    Malformed("type", "why"),
    TooLarge(9),
    Unsigned("secret reason"),
    Refused("secret reason"),
    Later(0, "secret reason"),
    Refused("x", status=405, allow="POST"),
)


@pytest.mark.parametrize("error", ERRORS)
def test_strangers_read_the_safe_sentence_only(error: InboxError) -> None:
    status, headers, body = render(error)
    assert status == error.status
    assert b"secret reason" not in body
    assert dict(headers)[b"content-length"] == str(len(body)).encode()


A, B, ME = "https://a.example/2", "https://b.example/2", "https://a.example/1"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "Like", "actor": ME}, (None, "Like", ME, None)),
        ({"@type": "as:Like", "@id": A, "actor": {"id": ME}}, (A, "Like", ME, None)),
        ({"type": ["Like", "X"], "actor": [ME], "object": [{"@id": B}]}, (None, "Like", ME, B)),
    ],
)
def test_claims_are_read_in_every_shape(document: dict, expected: tuple) -> None:
    said = gate.claim(document)
    assert (said.id, said.kind, said.actor, said.object) == expected


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"type": "Like"},
        {"type": 5, "actor": "https://a.example/1"},
        {"type": "", "actor": "https://a.example/1"},
        {"type": "x" * 1000, "actor": "https://a.example/1"},
        {"type": "Like", "actor": "acct:a@b"},
        {"type": "Like", "actor": "/users/a"},
        {"type": "Like", "actor": "javascript:alert(1)"},
        {"type": "Like", "actor": "https://a.example/" + "x" * 3000},
        {"type": "Like", "actor": "https://a.example/\n1"},
        {"type": "Like", "actor": {"id": {"id": "https://a.example/1"}}},
        {"type": "Like", "actor": "https://a.example/1", "id": 5},
        {"type": "Like", "actor": "https://a.example/1", "id": ["https://a.example/2"]},
        {"type": "Like", "actor": "https://a.example/1", "id": ""},
        {"type": "Like", "actor": "https://a.example/1", "id": "urn:uuid:1"},
    ],
)
def test_what_claims_nothing_is_malformed(document: dict) -> None:
    with pytest.raises(Malformed):
        gate.claim(document)
