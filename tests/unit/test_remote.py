"""Who is that, on the other server? Actors come from their own origin, lead back to themselves, and are asked for no more often than needed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import known, local, peers, remote
from actors.fetch import Budget, FetchFailed
from actors.known import Actor
from schemas.storage import Database
from tests.fakepeer import AP, AS2, FakePeer
from tests.meeting import HOST, Meeting, meeting
from tests.wire import Reply, reply_json


@pytest.fixture
async def met(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Meeting]:
    async with meeting(sqlite_database, tmp_path) as made:
        yield made


@pytest.fixture
async def elsewhere(met: Meeting) -> AsyncIterator[FakePeer]:
    """A second server, to be led astray to."""
    other = await FakePeer(met.house.clock.now).start()
    yield other
    await other.stop()


async def fetch(met: Meeting, path: str, **options: object) -> object:
    return await remote.fetch_document(met.instance, f"{met.peer.base}{path}", budget=Budget(10), **options)  # type: ignore[arg-type]


def note(met: Meeting, path: str, **members: object) -> dict[str, object]:
    return {"@context": AS2, "id": f"{met.peer.base}{path}", "type": "Note", **members}


async def test_a_document_comes_by_signed_get_and_says_its_own_id(met: Meeting) -> None:
    met.peer.documents["/notes/1"] = note(met, "/notes/1", content="words")
    assert await fetch(met, "/notes/1#part") == met.peer.documents["/notes/1"]
    heard = met.peer.log[0]
    assert heard.signature == "valid"
    assert f'keyId="{met.application.uri}#main-key"' in heard.asked.header("signature")
    assert "application/activity+json" in heard.asked.header("accept")
    assert heard.asked.header("user-agent").startswith("fedmatch/")


async def test_it_is_signed_by_somebody_else_on_request(met: Meeting) -> None:
    amina = await met.house.person("amina")
    met.peer.documents["/notes/1"] = note(met, "/notes/1")
    await fetch(met, "/notes/1", as_actor=amina)
    assert f'keyId="{amina.uri}#main-key"' in met.peer.log[0].asked.header("signature")


@pytest.mark.parametrize(
    "kind", [AP, f"{AP}; charset=utf-8", f'application/ld+json; profile="{AS2}"', f'application/ld+json;profile="{AS2}";charset=UTF-8', AP.upper()]
)
async def test_both_media_types_are_taken(met: Meeting, kind: str) -> None:
    met.peer.always("/notes/1", reply_json(note(met, "/notes/1"), content_type=kind))
    assert isinstance(await fetch(met, "/notes/1"), dict)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "text/html",
        "image/png",
        "application/ld+json",
        'application/ld+json; profile="https://other.example/"',
        f"{AP}; charset=utf-7",
        "",
        f"{AP}, text/html",
        "application/activity+jsonx",
    ],
)
async def test_whatever_somebody_could_upload_is_refused(met: Meeting, kind: str) -> None:
    met.peer.always("/notes/1", reply_json(note(met, "/notes/1"), content_type=kind))
    assert isinstance(await fetch(met, "/notes/1"), FetchFailed)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"id":1}',
        b'{"id":["x"]}',
        b'{"id":"a","id":"b"}',
        b"\xff",
        b"[" * 100_000,
        b"x" * 1_100_000,
        b'{"id":"' + b"x" * 100 + b'"}',
    ],
)
async def test_rubbish_is_a_failure_with_a_name(met: Meeting, body: bytes) -> None:
    met.peer.always("/notes/1", Reply(200, body))
    failed = await fetch(met, "/notes/1")
    assert isinstance(failed, FetchFailed)
    assert failed.kind == "unusable"


async def test_another_id_on_its_host_is_asked_for_once_more(met: Meeting) -> None:
    # Given a page address that serves the document with its real id
    met.peer.documents["/@alice/1"] = note(met, "/notes/1")
    met.peer.documents["/notes/1"] = note(met, "/notes/1", content="right")
    found = await fetch(met, "/@alice/1")
    assert isinstance(found, dict)
    assert found["content"] == "right"
    # When the ids lead on and on, Then it is nobody's document
    met.peer.documents["/a"], met.peer.documents["/b"] = note(met, "/b"), note(met, "/c")
    assert isinstance(await fetch(met, "/a"), FetchFailed)
    assert "/c" not in met.requests()


async def test_an_id_on_another_host_is_refused_and_not_asked_for(met: Meeting, elsewhere: FakePeer) -> None:
    met.peer.documents["/notes/1"] = {"@context": AS2, "id": f"{elsewhere.base}/notes/1", "type": "Note"}
    elsewhere.documents["/notes/1"] = {"@context": AS2, "id": f"{elsewhere.base}/notes/1", "type": "Note"}
    assert isinstance(await fetch(met, "/notes/1"), FetchFailed)
    assert elsewhere.log == []


def to(url: str, status: int = 302) -> Reply:
    return Reply(status, headers=(("Location", url),))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_on_its_host_is_signed_anew(met: Meeting, status: int) -> None:
    met.peer.always("/old", to("/new?x=1", status))
    met.peer.documents["/new"] = note(met, "/old")
    assert isinstance(await fetch(met, "/old"), dict)
    assert [heard.signature for heard in met.peer.log] == ["valid", "valid"]


async def test_a_redirect_may_lead_to_the_document_itself_on_another_host(met: Meeting, elsewhere: FakePeer) -> None:
    met.peer.always("/old", to(f"{elsewhere.base}/notes/1"))
    elsewhere.documents["/notes/1"] = {"@context": AS2, "id": f"{elsewhere.base}/notes/1", "type": "Note"}
    assert isinstance(await fetch(met, "/old"), dict)


async def test_no_host_speaks_for_another_by_redirect(met: Meeting, elsewhere: FakePeer) -> None:
    # Given a document with an id on the host that was asked, served by another
    met.peer.always("/notes/1", to(f"{elsewhere.base}/notes/1"))
    elsewhere.documents["/notes/1"] = note(met, "/notes/1")
    assert isinstance(await fetch(met, "/notes/1"), FetchFailed)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/loop",
        "ftp://peer.example/",
        "file:///etc/passwd",
        "//",
        "http://10.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest",
        f"http://{HOST}/actor",
        "http://user@localhost/",
        "http://[",
        "https://" + "x" * 9000,
    ],
)
async def test_redirects_to_nowhere_good(met: Meeting, location: str) -> None:
    met.peer.always("/loop", to(location))
    assert isinstance(await fetch(met, "/loop"), FetchFailed)
    assert len(met.requests()) <= 4


async def test_a_redirect_is_judged_by_our_policy(met: Meeting, elsewhere: FakePeer) -> None:
    await met.house.write(peers.set_level, met.instance, elsewhere.host, "blocked")
    await met.instance.trust.refresh(met.instance.database)
    met.peer.always("/notes/1", to(f"{elsewhere.base}/notes/1"))
    failed = await fetch(met, "/notes/1")
    assert isinstance(failed, FetchFailed)
    assert failed.kind == "barred"
    assert elsewhere.log == []


async def test_our_own_host_is_never_asked(met: Meeting) -> None:
    for url in (f"http://{HOST}/actor", "http://LOCALHOST.:8000/users/amina"):
        failed = await remote.fetch_document(met.instance, url, budget=Budget(5))
        assert isinstance(failed, FetchFailed)
        assert failed.kind == "barred"


async def test_the_budget_is_for_everything_and_spending_it_is_no_verdict(met: Meeting) -> None:
    met.peer.always("/old", to("/notes/1"))
    met.peer.documents["/notes/1"] = note(met, "/notes/1")
    budget = Budget(1)
    assert isinstance(await remote.fetch_document(met.instance, f"{met.peer.base}/old", budget=budget), FetchFailed)
    assert budget.left == 0
    assert isinstance(await fetch(met, "/old"), dict)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(Reply(404), "missing"), (Reply(410), "gone"), (Reply(401), "refused"), (Reply(503), "later"), (Reply(429), "later"), (Reply(406), "unusable")],
)
async def test_failures_have_kinds_and_are_remembered_unless_somebody_asks(met: Meeting, reply: Reply, kind: str) -> None:
    # A 401 is knocked at twice, once in each scheme.
    knocks = 2 if reply.status == 401 else 1
    met.peer.replies("/notes/1", *[reply] * knocks)
    met.peer.documents["/notes/1"] = note(met, "/notes/1")
    for _ in range(2):
        failed = await fetch(met, "/notes/1")
        assert isinstance(failed, FetchFailed)
        assert failed.kind == kind
    assert len(met.requests()) == knocks
    assert isinstance(await fetch(met, "/notes/1", insist=True), dict)


async def test_a_locked_instance_fetches_nothing_and_remembers_no_failure(met: Meeting) -> None:
    met.peer.documents["/notes/1"] = note(met, "/notes/1")
    met.instance.vault.lock()
    failed = await fetch(met, "/notes/1")
    assert isinstance(failed, FetchFailed)
    assert failed.temporary
    assert met.requests() == []
    assert met.instance.limits.retry_after("fetch.later", f"{met.peer.base}/notes/1", 1 / 30, 1) == 0


async def person(met: Meeting, iri: str, **options: object) -> Actor | FetchFailed:
    return await remote.actor(met.instance, iri, budget=Budget(20), **options)  # type: ignore[arg-type]


async def test_an_actor_is_verified_both_ways_and_stored(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    found = await person(met, alice.id)
    assert isinstance(found, Actor)
    assert (found.uri, found.handle, found.inbox, found.shared_inbox) == (alice.id, alice.handle, alice.inbox, f"{met.peer.base}/inbox")
    assert not found.local
    assert await met.house.read(known.by_uri, alice.id) == found
    key = await met.instance.keys.public(met.instance, alice.key_id)
    assert key is not None
    assert key.actor_id == found.id
    assert met.requests() == ["/users/alice", f"/.well-known/webfinger?resource=acct:alice@{met.peer.host}"]


async def test_it_is_believed_for_a_day(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    await person(met, alice.id)
    met.house.clock.move(hours=23)
    await person(met, alice.id)
    assert len(met.requests()) == 2
    met.house.clock.move(hours=2)
    alice.overrides = {"name": "Alice the second"}
    found = await person(met, alice.id)
    assert isinstance(found, Actor)
    assert found.name == "Alice the second"
    await person(met, alice.id, fresh=True)
    assert len(met.requests()) == 6


async def test_when_its_server_is_away_what_we_know_must_do(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    await person(met, alice.id)
    met.house.clock.move(days=2)
    met.peer.always("/users/alice", Reply(502))
    assert isinstance(await person(met, alice.id), Actor)
    assert isinstance(await person(met, alice.id, fresh=True), FetchFailed)
    met.peer.always("/users/alice", Reply(410))
    met.house.clock.move(days=2)
    met.instance.limits = type(met.instance.limits)()
    failed = await person(met, alice.id)
    assert isinstance(failed, FetchFailed)
    assert failed.gone


async def test_many_who_ask_cause_one_fetch(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    found = await asyncio.gather(*(person(met, alice.id) for _ in range(30)))
    assert len({one.id for one in found if isinstance(one, Actor)}) == 1
    assert len(met.requests()) == 2


async def test_one_who_leaves_does_not_take_the_answer_along(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    met.peer.replies("/users/alice", reply_json(alice.document(), delay=0.2))
    first = asyncio.create_task(person(met, alice.id))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(person(met, alice.id))
    await asyncio.sleep(0.05)
    first.cancel()
    assert isinstance(await second, Actor)


async def test_a_look_up_ends_after_its_time(met: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LOOKUP_S", 0.3)
    alice = met.peer.actor("alice")
    met.peer.always("/users/alice", Reply(hang=True))
    failed = await person(met, alice.id)
    assert isinstance(failed, FetchFailed)
    assert failed.temporary


async def test_ours_are_known_without_asking(met: Meeting) -> None:
    amina = await met.house.person("amina")
    assert await person(met, amina.uri) == amina
    assert await remote.by_handle(met.instance, f"@Amina@{HOST.upper()}", Budget(5)) == amina
    failed = await remote.by_handle(met.instance, f"nobody@{HOST}", Budget(5))
    assert isinstance(failed, FetchFailed)
    assert met.requests() == []


@pytest.mark.parametrize("member", ["inbox", "outbox", "followers", "following"])
async def test_an_actor_with_a_box_on_another_host_is_refused(met: Meeting, member: str) -> None:
    alice = met.peer.actor("alice", overrides={member: "https://elsewhere.example/box"})
    assert isinstance(await person(met, alice.id), FetchFailed)


async def test_what_is_optional_and_elsewhere_is_left_out(met: Meeting) -> None:
    alice = met.peer.actor("alice", overrides={"endpoints": {"sharedInbox": "https://elsewhere.example/inbox"}, "featured": "https://elsewhere.example/f"})
    found = await person(met, alice.id)
    assert isinstance(found, Actor)
    assert (found.shared_inbox, found.featured) == (None, None)


@pytest.mark.parametrize(
    "overrides",
    [
        {"id": None},
        {"id": "https://elsewhere.example/users/alice"},
        {"type": "Note"},
        {"inbox": None},
        {"inbox": "javascript:alert(1)"},
        {"inbox": 5},
        {"preferredUsername": None},
        {"preferredUsername": {"a": 1}},
        {"preferredUsername": "somebody"},
        {"preferredUsername": "a b"},
    ],
)
async def test_what_is_no_actor_is_not_stored(met: Meeting, overrides: dict[str, object]) -> None:
    alice = met.peer.actor("alice", overrides=overrides)
    assert isinstance(await person(met, alice.id), FetchFailed)
    assert await met.house.read(known.by_uri, alice.id) is None


def finger(met: Meeting, subject: str, href: str) -> Reply:
    return reply_json({"subject": subject, "links": [{"rel": "self", "type": AP, "href": href}]}, content_type="application/jrd+json")


async def test_a_handle_that_names_another_actor_is_no_proof(met: Meeting) -> None:
    alice, bob = met.peer.actor("alice"), met.peer.actor("bob")
    met.peer.always("/.well-known/webfinger", finger(met, f"acct:{alice.handle}", bob.id))
    assert isinstance(await person(met, alice.id), FetchFailed)
    assert isinstance(await remote.by_handle(met.instance, alice.handle, Budget(10)), FetchFailed)


async def test_without_webfinger_there_is_no_actor(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    met.peer.always("/.well-known/webfinger", Reply(404))
    assert isinstance(await person(met, alice.id), FetchFailed)
    assert await met.house.read(known.by_uri, alice.id) is None


async def test_a_handle_on_another_domain_that_loops_back(met: Meeting, elsewhere: FakePeer) -> None:
    # Given a split domain: objects here, handles there, and both say so (FEP-2c59)
    alice = met.peer.actor("alice", overrides={"webfinger": f"alice@{elsewhere.host}"})
    elsewhere.always("/.well-known/webfinger", finger(met, f"acct:alice@{elsewhere.host}", alice.id))
    found = await person(met, alice.id)
    assert isinstance(found, Actor)
    assert found.handle == f"alice@{elsewhere.host}"
    assert found.host == met.peer.host


async def test_a_stated_handle_that_does_not_lead_back_is_not_shown(met: Meeting, elsewhere: FakePeer) -> None:
    alice = met.peer.actor("alice", overrides={"webfinger": f"alice@{elsewhere.host}"})
    elsewhere.always("/.well-known/webfinger", finger(met, f"acct:alice@{elsewhere.host}", f"{elsewhere.base}/users/alice"))
    found = await person(met, alice.id)
    assert isinstance(found, Actor)
    assert found.handle == alice.handle


async def test_a_handle_is_looked_up_with_one_webfinger(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    found = await remote.by_handle(met.instance, f"@alice@{met.peer.host}", Budget(10))
    assert isinstance(found, Actor)
    assert found.uri == alice.id
    assert met.requests() == [f"/.well-known/webfinger?resource=acct:alice@{met.peer.host}", "/users/alice"]
    await remote.by_handle(met.instance, f"alice@{met.peer.host}", Budget(10))
    assert len(met.requests()) == 2


@pytest.mark.parametrize(
    "handle", ["", "alice", "@", "alice@", "@host", "a b@host.example", "alice@a@b..c", "alice@[::1", "alice@peer.example/x", "alice@user:x@host"]
)
async def test_what_is_no_handle(met: Meeting, handle: str) -> None:
    failed = await remote.by_handle(met.instance, handle, Budget(10))
    assert isinstance(failed, FetchFailed)
    assert met.requests() == []


async def test_one_that_was_deleted_stays_gone(met: Meeting) -> None:
    amina = await met.house.person("amina")
    await met.house.write(local.delete, met.instance, amina)
    failed = await person(met, amina.uri)
    assert isinstance(failed, FetchFailed)
    assert failed.gone
