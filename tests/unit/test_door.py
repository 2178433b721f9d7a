"""The door of the inboxes: it opens for the right one, stays shut for the forged one, and survives rubbish."""

import asyncio
import base64
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import known, peers
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import open_sqlite
from schemas.storage import Unwritable
from tests.house import House
from tests.letters import STRANGER, activity, envelope, knock, move_in, note, post, rows
from tests.signing import BROKEN

CANARY = "the canary sings at midnight"
SHUT = (400, 401, 503)
"""Where only the signature is wrong the key may be an old one and is looked up anew. Nobody is there to ask in these tests: 503."""
SECRETS = ("Traceback", "sqlite", "File ")


@pytest.fixture
async def house(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(sqlite_database, tmp_path) as moved:
        yield moved


@pytest.fixture
async def both(database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(database, tmp_path) as moved:
        yield moved


async def arrivals(house: House) -> list[dict]:
    return await rows(house, "select * from arrival order by id")


# It opens for the right one.


async def test_a_signed_create_is_stored_before_202(both: House) -> None:
    bo = await both.stranger("bo")
    woken: list[str] = []
    both.instance.wake = woken.append
    got = await post(both, bo, activity(bo, "Create", note(bo, content=CANARY)))
    assert (got.status, got.body) == (202, b"")
    [row] = await arrivals(both)
    assert (row["uri"], row["state"], row["attempts"]) == ("https://theirs.example/activities/1", "waiting", 0)
    assert CANARY.encode() not in row["body"], "it rests sealed"
    assert woken == ["arrival"]
    [host] = await rows(both, "select last_heard from host where id = :id", id=bo.host_id)
    assert host["last_heard"] == both.clock.ms(), "its host proved itself alive"


async def test_the_same_activity_ten_times_at_once_is_one_row(both: House) -> None:
    bo = await both.stranger("bo")
    create = activity(bo, "Create", note(bo))
    answers = await asyncio.gather(*(post(both, bo, create) for _ in range(10)))
    assert {got.status for got in answers} == {202}
    assert len(await arrivals(both)) == 1


async def test_a_body_in_many_pieces_is_one_body(house: House) -> None:
    bo = await house.stranger("bo")
    assert (await post(house, bo, activity(bo, "Create", note(bo)), parts=7)).status == 202


@pytest.mark.parametrize("mode", ["cavage", "hs2019"])
@pytest.mark.parametrize("path", ["/inbox", "/actor/inbox", "/users/amina/inbox"])
async def test_every_inbox_opens(house: House, path: str, mode: str) -> None:
    await house.person("amina")
    bo = await house.stranger("bo")
    assert (await post(house, bo, activity(bo, "Create", note(bo)), path=path, mode=mode)).status == 202
    assert len(await arrivals(house)) == 1


@pytest.mark.parametrize(
    "kind",
    [
        b"application/activity+json",
        b"application/activity+json; charset=utf-8",
        b'application/ld+json; profile="https://www.w3.org/ns/activitystreams"',
        b'application/ld+json;profile="https://www.w3.org/ns/activitystreams";charset=UTF-8',
    ],
)
async def test_both_media_types_are_read(house: House, kind: bytes) -> None:
    bo = await house.stranger("bo")
    body = json.dumps(activity(bo, "Create", note(bo))).encode()
    headers = [line for line in envelope(house, bo, body) if line[0] != b"content-type"]
    assert (await knock(house, [*headers, (b"content-type", kind)], body)).status == 202


async def test_a_follow_sent_again_is_heard_again_and_a_replay_is_not(house: House) -> None:
    # Given a Follow that Misskey sends under one id for every time the same two meet
    bo = await house.stranger("bo")
    follow = activity(bo, "Follow", "https://ours.example/users/amina")
    body = json.dumps(follow).encode()
    headers = envelope(house, bo, body)
    assert (await knock(house, headers, body)).status == 202
    # When somebody replays it byte for byte, and later its server sends it anew
    assert (await knock(house, headers, body)).status == 202
    assert len(await arrivals(house)) == 1
    house.clock.move(minutes=2)
    assert (await knock(house, headers, body)).status == 202
    assert len(await arrivals(house)) == 1
    assert (await post(house, bo, follow)).status == 202
    # Then only the new sending is new
    assert len(await arrivals(house)) == 2


async def test_an_activity_without_id_is_answered_and_forgotten(house: House) -> None:
    bo = await house.stranger("bo")
    create = activity(bo, "Create", note(bo))
    del create["id"]
    assert (await post(house, bo, create)).status == 202
    assert await arrivals(house) == []


async def test_what_somebody_else_carries_is_asked_at_its_origin_and_its_body_forgotten(house: House) -> None:
    bo, carrier = await house.stranger("bo"), await house.stranger("carol", "carrier.example")
    got = await post(house, carrier, activity(bo, "Create", note(bo, content=CANARY)))
    assert got.status == 202
    assert await arrivals(house) == []
    [job] = await rows(house, "select kind, key, payload from job")
    assert (job["kind"], job["key"], job["payload"]) == ("refetch", "https://theirs.example/activities/1", b"https://theirs.example/notes/1")
    # And carried by ten, it is asked once
    await post(house, carrier, activity(bo, "Create", note(bo, content=CANARY)))
    assert len(await rows(house, "select kind from job")) == 1


async def test_what_somebody_else_carries_without_an_id_is_nobodys(house: House) -> None:
    bo, carrier = await house.stranger("bo"), await house.stranger("carol", "carrier.example")
    create = activity(bo, "Create", note(bo))
    del create["id"]
    await post(house, carrier, create)
    assert await arrivals(house) == []
    assert await rows(house, "select kind from job") == []


async def test_a_stranger_who_deletes_itself_costs_nothing(house: House) -> None:
    gone = "https://never.example/users/x"
    body = json.dumps({"id": f"{gone}#delete", "type": "Delete", "actor": gone, "object": gone}).encode()
    assert (await knock(house, envelope(house, f"{gone}#main-key", body), body)).status == 202
    assert await arrivals(house) == []
    assert await rows(house, "select id from host where name = 'never.example'") == []
    # But without a Signature header, or with rubbish in it, it is nobody
    assert (await knock(house, envelope(house, f"{gone}#main-key", body, mode="none"), body)).status == 401
    assert (await knock(house, envelope(house, f"{gone}#main-key", body, mode="broken:garbage"), body)).status == 401


async def test_other_paths_pass_by(house: House) -> None:
    for path in ("/", "/users/amina", "/users/a/b/inbox", "/inbox/", "/outbox"):
        assert (await knock(house, [], b"", path=path)).status == 299


# It stays shut for the forged one.


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_signature_is_refused(house: House, kind: str) -> None:
    bo = await house.stranger("bo")
    got = await post(house, bo, activity(bo, "Create", note(bo)), mode=f"broken:{kind}")
    assert got.status in SHUT
    assert await arrivals(house) == []
    assert got.error["error"]


async def test_no_signature_is_401_and_says_what_is_wanted(house: House) -> None:
    bo = await house.stranger("bo")
    got = await post(house, bo, activity(bo, "Create", note(bo)), mode="none")
    assert got.status == 401
    assert got.error["code"] == "unsigned"
    assert b"www-authenticate" in got.headers
    assert await arrivals(house) == []


def _edit(changes: dict) -> dict:
    return {key: value for key, value in changes.items() if value is not None}


FORGED = {
    # name: (expected, who signs (bo@theirs, eve@theirs, mallory@evil), what is posted)
    "somebody of another host speaks for bo, without id": (lambda bo, eve, mallory: (mallory, _edit({**activity(bo, "Create", note(bo)), "id": None}))),
    "an id on another host": (lambda bo, eve, mallory: (mallory, {**activity(mallory, "Create", note(mallory)), "id": "https://theirs.example/activities/9"})),
    "an object of another host": (lambda bo, eve, mallory: (mallory, activity(mallory, "Create", note(bo)))),
    "an edit of an object of another host": (lambda bo, eve, mallory: (mallory, activity(mallory, "Update", note(bo)))),
    "an object by its id on another host": (lambda bo, eve, mallory: (mallory, activity(mallory, "Create", "https://theirs.example/notes/1"))),
    "an object attributed to a neighbour": (lambda bo, eve, mallory: (eve, activity(eve, "Create", note(bo)))),
    "an object attributed to two": (lambda bo, eve, mallory: (eve, activity(eve, "Create", note(eve, attributedTo=[eve.uri, bo.uri])))),
    "an object attributed to another host": (lambda bo, eve, mallory: (mallory, activity(mallory, "Create", note(mallory, attributedTo=bo.uri)))),
    "the profile of a person of another host": (lambda bo, eve, mallory: (mallory, activity(mallory, "Update", {"id": bo.uri, "type": "Person"}))),
    "an actor of ours": (lambda bo, eve, mallory: (mallory, {**activity(mallory, "Create", note(mallory)), "actor": "https://ours.example/users/amina"})),
    "an actor of ours, spelled oddly": (
        lambda bo, eve, mallory: (mallory, {**activity(mallory, "Create", note(mallory)), "actor": "https://OURS.example.:443/users/amina"})
    ),
    "a plain http actor": (lambda bo, eve, mallory: (mallory, {**activity(mallory, "Create", note(mallory)), "actor": mallory.uri.replace("https", "http")})),
    "user information in the actor": (
        lambda bo, eve, mallory: (mallory, {**activity(mallory, "Create", note(mallory)), "actor": "https://theirs.example@evil.example/users/mallory"})
    ),
}


@pytest.mark.parametrize("name", FORGED)
async def test_who_may_not_say_it_leaves_nothing(house: House, name: str) -> None:
    bo, eve, mallory = await house.stranger("bo"), await house.stranger("eve"), await house.stranger("mallory", "evil.example")
    sender, document = FORGED[name](bo, eve, mallory)
    got = await post(house, sender, document)
    assert got.status in ((401,) if "without id" in name else (400, 401, 403)), got.body
    assert await arrivals(house) == []
    assert await rows(house, "select kind from job") == []


async def test_a_key_of_somebody_else_does_not_open(house: House) -> None:
    bo = await house.stranger("bo")
    assert (await post(house, bo, activity(bo, "Create", note(bo)), key=STRANGER)).status in SHUT
    assert await arrivals(house) == []


HEADERS = {
    "no digest": lambda lines: [line for line in lines if line[0] != b"digest"],
    "no date": lambda lines: [line for line in lines if line[0] != b"date"],
    "no host": lambda lines: [line for line in lines if line[0] != b"host"],
    "another date": lambda lines: [(name, b"Sun, 01 Mar 2026 12:10:00 GMT" if name == b"date" else value) for name, value in lines],
    "another host": lambda lines: [(name, b"theirs.example" if name == b"host" else value) for name, value in lines],
    "an md5 digest": lambda lines: [(name, b"MD5=Sd/dVLAcvNLSq16eXua5uQ==" if name == b"digest" else value) for name, value in lines],
    "a key of another host": lambda lines: [
        (name, value.replace(b"theirs.example", b"evil.example") if name == b"signature" else value) for name, value in lines
    ],
    "a key of ours": lambda lines: [(name, value.replace(b"theirs.example", b"ours.example") if name == b"signature" else value) for name, value in lines],
    "a key by acct": lambda lines: [
        (name, value.replace(b"https://theirs.example/users/bo#main-key", b"acct:bo@theirs.example") if name == b"signature" else value)
        for name, value in lines
    ],
    "another algorithm": lambda lines: [(name, value.replace(b"rsa-sha256", b"hmac-sha256") if name == b"signature" else value) for name, value in lines],
    "two signatures": lambda lines: [*lines, *(line for line in lines if line[0] == b"signature")],
    "a signature of 64 kB": lambda lines: [(name, value + b" " * 65536 + b"," if name == b"signature" else value) for name, value in lines],
    "ten thousand parameters": lambda lines: [(name, value + b',a="b"' * 10000 if name == b"signature" else value) for name, value in lines],
}


@pytest.mark.parametrize("name", HEADERS)
async def test_headers_that_were_changed_do_not_open(house: House, name: str) -> None:
    bo = await house.stranger("bo")
    body = json.dumps(activity(bo, "Create", note(bo))).encode()
    got = await knock(house, HEADERS[name](envelope(house, bo, body)), body)
    assert got.status in SHUT, got.body
    assert await arrivals(house) == []


async def test_another_inbox_is_another_target(house: House) -> None:
    await house.person("amina")
    bo = await house.stranger("bo")
    body = json.dumps(activity(bo, "Create", note(bo))).encode()
    assert (await knock(house, envelope(house, bo, body, path="/inbox"), body, path="/users/amina/inbox")).status in SHUT


@pytest.mark.parametrize(("minutes", "status"), [(-55, 202), (55, 202), (-130, 401), (130, 401)])
async def test_time_has_a_window(house: House, minutes: int, status: int) -> None:
    bo = await house.stranger("bo")
    body = json.dumps(activity(bo, "Create", note(bo))).encode()
    headers = envelope(house, bo, body)
    house.clock.move(minutes=minutes)
    assert (await knock(house, headers, body)).status == status


async def test_a_blocked_host_is_refused_before_anything_is_asked_of_it(house: House) -> None:
    await house.write(peers.set_level, house.instance, "evil.example", "blocked", "spam")
    await house.instance.trust.refresh(house.instance.database)
    key = "https://sub.evil.example/users/mallory#main-key"
    body = json.dumps({"id": "https://sub.evil.example/1", "type": "Like", "actor": key.partition("#")[0], "object": "https://ours.example/posts/1"}).encode()
    got = await knock(house, envelope(house, key, body), body)
    assert got.status == 403
    assert await arrivals(house) == []


async def test_a_suspended_actor_may_take_back_but_not_add(house: House) -> None:
    bo = await house.stranger("bo")

    async def suspend(tx) -> None:
        await tx.execute("update actor set state = 'suspended' where id = :id", id=bo.id)

    await house.write(suspend)
    assert (await post(house, bo, activity(bo, "Create", note(bo)))).status == 403
    assert (await post(house, bo, activity(bo, "Delete", note(bo)["id"], 2))).status == 202


async def test_nobody_lives_at_an_unknown_inbox(house: House) -> None:
    bo = await house.stranger("bo")
    got = await post(house, bo, activity(bo, "Create", note(bo)), path="/users/nobody/inbox")
    assert (got.status, got.error["error"]) == (404, "There is no such inbox.")
    assert await arrivals(house) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_an_inbox_takes_post_only(house: House, method: str) -> None:
    got = await knock(house, [], b"", method=method)
    assert (got.status, got.headers[b"allow"]) == (405, b"POST")


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        [b"text/html"],
        [b"application/json"],
        [b"application/ld+json"],
        [b'application/ld+json; profile="https://evil.example"'],
        [b"application/activity+json; charset=utf-7"],
        [b"application/activity+json", b"application/activity+json"],
        [b"multipart/form-data; boundary=x"],
        [b"\xff\xfe" * 1000],
    ],
)
async def test_other_media_types_are_415(house: House, kinds: list[bytes]) -> None:
    bo = await house.stranger("bo")
    body = json.dumps(activity(bo, "Create", note(bo))).encode()
    headers = [line for line in envelope(house, bo, body) if line[0] != b"content-type"]
    assert (await knock(house, [*headers, *((b"content-type", kind) for kind in kinds)], body)).status == 415


async def test_a_host_that_posts_too_often_is_told_when_to_come_again(house: House) -> None:
    house.instance.config = dataclasses.replace(house.instance.config, limits=dataclasses.replace(house.instance.config.limits, inbox_per_host_per_minute=3))
    bo, other = await house.stranger("bo"), await house.stranger("olga", "other.example")
    statuses = [(await post(house, bo, activity(bo, "Create", note(bo, number), number))).status for number in range(5)]
    assert statuses == [202, 202, 202, 429, 429]
    late = await post(house, bo, activity(bo, "Create", note(bo, 9), 9))
    assert int(late.headers[b"retry-after"]) >= 1
    assert (await post(house, other, activity(other, "Create", note(other)))).status == 202, "others are not held up"


async def test_a118_all_names_of_one_domain_together_are_as_ten(house: House) -> None:
    house.instance.config = dataclasses.replace(house.instance.config, limits=dataclasses.replace(house.instance.config.limits, inbox_per_host_per_minute=1))
    crowd = [await house.stranger("bo", f"a{number}.evil.example") for number in range(12)]
    statuses = [(await post(house, one, activity(one, "Create", note(one)))).status for one in crowd]
    assert statuses == [202] * 10 + [429] * 2
    other = await house.stranger("olga", "other.example")
    assert (await post(house, other, activity(other, "Create", note(other)))).status == 202, "others are not held up"


async def test_forgeries_do_not_use_up_another_hosts_share(house: House) -> None:
    house.instance.config = dataclasses.replace(house.instance.config, limits=dataclasses.replace(house.instance.config.limits, inbox_per_host_per_minute=2))
    bo = await house.stranger("bo")
    for number in range(5):
        assert (await post(house, bo, activity(bo, "Create", note(bo, number), number), mode="broken:body")).status == 401
    assert (await post(house, bo, activity(bo, "Create", note(bo)))).status == 202


async def test_a_full_disk_is_503_with_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bo = await house.stranger("bo")

    async def full(*_: object) -> None:
        raise Unwritable("the disk is full")

    monkeypatch.setattr(house.instance.database, "write", full)
    got = await post(house, bo, activity(bo, "Create", note(bo)))
    assert got.status == 503
    assert got.headers[b"retry-after"]
    assert "disk" not in got.error["error"]


# It survives rubbish.

RUBBISH = {
    "nothing": b"",
    "no object": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "an empty object": b"{}",
    "10,000 brackets": b"[" * 10_000,
    "100,000 objects": b'{"a":' * 100_000,
    "a body too deep": b'{"a":' * 33 + b"1" + b"}" * 33,
    "doubled keys": b'{"type":"Create","type":"Delete"}',
    "doubled keys, one escaped": b'{"actor":"https://a.example/1","\\u0061ctor":"https://b.example/1"}',
    "NaN": b'{"type":"Like","n":NaN}',
    "a huge number": b'{"type":"Like","n":' + b"9" * 5000 + b"}",
    "2^63": b'{"type":"Like","n":9223372036854775808}',
    "a lone surrogate": b'{"type":"\\ud800"}',
    "NUL": b'{"type":"\\u0000"}',
    "a byte order mark": b'\xef\xbb\xbf{"type":"Like"}',
    "UTF-16": '{"type":"Like"}'.encode("utf-16"),
    "no UTF-8": b'{"type":"\xff"}',
}


@pytest.mark.parametrize("name", RUBBISH)
async def test_rubbish_is_400(house: House, name: str) -> None:
    bo = await house.stranger("bo")
    got = await post(house, bo, RUBBISH[name])
    assert got.status == 400
    assert not any(word in got.body.decode() for word in SECRETS)


async def test_a_mebibyte_and_a_byte_is_413(house: House) -> None:
    bo = await house.stranger("bo")
    assert (await post(house, bo, b" " * (1024 * 1024 + 1), parts=20)).status == 413


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["Create", "https://theirs.example/users/bo", "https://theirs.example/notes/1", "as:Public"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "actor", "object", "to", "content", "@id", "attributedTo", "published"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=150)
@given(
    raw=st.binary(max_size=300),
    members=st.dictionaries(st.sampled_from(["id", "type", "actor", "object", "to", "cc", "published", "@context"]), JSON),
    plain=st.booleans(),
    header=st.binary(max_size=100),
)
def test_it_survives_whatever_comes(tmp_path: Path, raw: bytes, members: dict, plain: bool, header: bytes) -> None:
    async def story() -> None:
        database = await open_sqlite(tmp_path / "fedmatch.db")
        await migrate(database)
        async with move_in(database, tmp_path, furnished=False) as house:
            bo = await house.read(known.by_uri, "https://theirs.example/users/bo") or await house.stranger("bo")
            whole = raw if plain else json.dumps({**activity(bo, "Create", note(bo)), **members}).encode()
            assert (await post(house, bo, whole)).status in (202, 400, 401, 403)
            lines = [(name, header if name == b"signature" else value) for name, value in envelope(house, bo, whole)]
            assert (await knock(house, lines, whole)).status in (202, 400, 401, 403)
        await database.close()

    asyncio.run(story())


async def test_digests_agree_with_the_body_in_every_spelling(house: House) -> None:
    bo = await house.stranger("bo")
    body = json.dumps(activity(bo, "Create", note(bo))).encode()
    assert any(line[1] == b"SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()) for line in envelope(house, bo, body))
