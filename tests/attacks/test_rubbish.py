"""Does anything break it? Every kind of rubbish at every door gets a 4xx, is not kept, and disturbs nobody."""

import json
from typing import Any

import pytest

from tests.fakepeer import PUBLIC, FakeActor, FakePeer
from tests.signing import digest
from tests.wire import http
from tests.world import Person, World

DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
RUBBISH: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"hello",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"7",
    "null": b"null",
    "deep": DEEP,
    "deep list": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "NaN": b'{"id": NaN}',
    "Infinity": b'{"id": -Infinity}',
    "a great number": b'{"id": 1' + b"0" * 5000 + b"}",
    "the same key twice": b'{"type": "Create", "type": "Delete", "actor": "http://x/"}',
    "a lone surrogate": b'{"content": "\\ud800"}',
    "NUL": b'{"content": "\\u0000"}',
    "a byte order mark": b'\xef\xbb\xbf{"type": "Create"}',
    "UTF-16": '{"type": "Create"}'.encode("utf-16"),
    "Latin-1": b'{"content": "\xe9"}',
    "cut off": b'{"type": "Create", "actor": "',
    "two documents": b'{"a": 1}{"b": 2}',
}


def shapes(p1: FakeActor, reader: Person) -> dict[str, dict[str, Any]]:
    """Activities whose members are of the wrong kind everywhere."""
    note = p1.direct("<p>x</p>", reader.uri, "@r")
    create = p1.create(note)
    wrong: list[Any] = [None, 7, 1.5, True, "x", [], {}, [None], [[]], {"id": {}}, "\u202e", "http://", "x" * 100_000]
    found = {}
    for member in ("id", "type", "object", "to", "cc", "published"):
        for value in wrong:
            found[f"activity {member} {str(value)[:20]}"] = {**create, member: value}
    for member in (
        "id",
        "type",
        "content",
        "to",
        "cc",
        "tag",
        "attachment",
        "published",
        "updated",
        "inReplyTo",
        "url",
        "contentMap",
        "summary",
        "source",
        "sensitive",
        "conversation",
    ):
        for value in wrong:
            found[f"note {member} {str(value)[:20]}"] = {
                **create,
                "id": f"{create['id']}/{len(found)}",
                "object": {**note, "id": f"{note['id']}/{len(found)}", member: value},
            }
    for kind in (
        "Follow",
        "Accept",
        "Reject",
        "Undo",
        "Update",
        "Delete",
        "Announce",
        "Like",
        "Flag",
        "Move",
        "Block",
        "Add",
        "Collection",
        "Offer",
        "Question",
    ):
        for value in [*wrong, note, {"type": "Follow", "id": 7, "actor": p1.id, "object": {}}]:
            found[f"{kind} of {str(value)[:20]}"] = p1.activity(kind, value)
    return found


@pytest.fixture
async def house(world: World, peer: FakePeer) -> tuple[Person, FakeActor]:
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    assert (await p1.send(p1.follow(reader.uri), reader.actor.inbox)).status == 202
    await world.settle()
    return reader, p1


async def test_rubbish_is_refused_signed_or_not(house: tuple[Person, FakeActor]) -> None:
    reader, p1 = house
    before = await reader.site.count("arrival")
    for name, body in RUBBISH.items():
        for mode in ("cavage", "none"):
            answer = await p1.send(body, reader.actor.inbox, mode)
            assert answer.status in {400, 401, 413}, (name, mode)
    assert await reader.site.count("arrival") == before


async def test_wrong_shapes_end_in_an_answer_and_never_in_trouble(world: World, house: tuple[Person, FakeActor]) -> None:
    reader, p1 = house
    for name, activity in shapes(p1, reader).items():
        answer = await p1.send(activity, reader.actor.inbox)
        assert 200 <= answer.status < 500, (name, answer)
    await world.settle(60)
    # Whatever was kept was understood or given up; nothing broke in between
    errors = {row["error"] for row in await reader.site.rows("select error from arrival where error is not null")}
    assert [error for error in errors if not (error.startswith("unreadable") or " " in error)] == []
    # And an honest one beside it is heard
    honest = p1.direct("<p>honest words</p>", reader.uri, f"@{reader.handle}")
    assert (await p1.send(p1.create(honest), reader.actor.inbox)).status == 202
    await world.settle()
    assert any("honest words" in entry["text"] for entry in await reader.home())


async def test_the_largest_body_is_a_mebibyte(house: tuple[Person, FakeActor]) -> None:
    reader, p1 = house
    body = json.dumps(p1.activity("Like", reader.uri, filler="")).encode()
    for size, allowed in ((1024 * 1024, {202}), (1024 * 1024 + 1, {413, 0}), (3 * 1024 * 1024, {413, 0})):
        padded = body[:-2] + b"x" * (size - len(body)) + body[-2:]
        assert len(padded) == size
        assert (await p1.send(padded, reader.actor.inbox)).status in allowed, size


ODD: list[list[tuple[str, str]]] = [
    [("Content-Encoding", "gzip")],
    [("Content-Type", "text/html")],
    [("Content-Type", "multipart/form-data; boundary=x")],
    [("Content-Length", "2"), ("Content-Length", "3")],
    [("Content-Length", "-1")],
    [("Content-Length", "x")],
    [("Content-Length", "2"), ("Transfer-Encoding", "chunked")],
    [("Host", "elsewhere.example")],
    [("Host", "OURS"), ("Host", "elsewhere.example")],
    [("Host", "")],
    [(f"X-{n}", "y") for n in range(300)],
    [("X-Long", "y" * 100_000)],
    [("Expect", "100-continue"), ("Content-Length", "99999999999")],
]


async def test_odd_requests_are_refused(house: tuple[Person, FakeActor]) -> None:
    reader, _ = house
    for headers in ODD:
        sent = [(name, value.replace("OURS", reader.site.host)) for name, value in headers]
        answer = await http("POST", reader.actor.inbox, [*sent, ("Digest", digest(b"{}"))], b"{}")
        assert answer.status == 0 or 400 <= answer.status < 500, headers[0]
    assert (await reader.site.get(reader.uri)).status == 200


async def test_only_the_inboxes_are_inboxes_and_they_take_posts_only(world: World, house: tuple[Person, FakeActor]) -> None:
    reader, p1 = house
    for path in ("/inbox/", "/users/reader/inbox/x", "//inbox", "/users/../inbox", "/INBOX", "/users/nobody/inbox"):
        answer = await p1.send(p1.create(p1.direct("<p>x</p>", reader.uri, "@r")), f"{reader.site.base}{path}")
        assert answer.status in {400, 401, 404, 405, 410}, path
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE", "FOO"):
        assert 400 <= (await http(method, reader.actor.inbox)).status < 500, method
    await world.settle()
    assert await reader.site.count("post") == 0


async def test_what_others_write_is_harmless_on_our_pages(world: World, house: tuple[Person, FakeActor]) -> None:
    reader, p1 = house
    poison = "<script>alert(1)</script><img src=x onerror=alert(2)><a href='javascript:alert(3)'>x</a><svg onload=alert(4)>"
    poison += "<style>*{display:none}</style><iframe src=//x></iframe>"
    for field in ("content", "summary", "name"):
        note = p1.note("<p>x</p>", to=[PUBLIC], cc=[reader.uri]) | {field: poison}
        await p1.send(p1.create(note), reader.actor.inbox)
    await world.settle()
    entries = await reader.home()
    assert entries
    for entry in entries:
        html = entry["html"].lower()
        assert not any(evil in html for evil in ("<script", "onerror", "javascript:", "<svg", "<style", "<iframe", "onload"))
