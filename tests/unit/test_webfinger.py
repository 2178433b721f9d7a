"""Who is name@host? Looked up at its host, through host-meta at most once, and believed only where subject and host agree."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import peers
from actors.fetch import Budget, FetchFailed
from actors.webfinger import Finger, lookup, split
from schemas.storage import Database
from tests.fakepeer import AP, FakePeer
from tests.meeting import HOST, Meeting, meeting
from tests.wire import Reply, reply_json

FINGER = "/.well-known/webfinger"


@pytest.fixture
async def met(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Meeting]:
    async with meeting(sqlite_database, tmp_path) as made:
        yield made


@pytest.fixture
async def elsewhere(met: Meeting) -> AsyncIterator[FakePeer]:
    other = await FakePeer(met.house.clock.now).start()
    yield other
    await other.stop()


def jrd(
    subject: object, href: object = "https://x.example/users/a", *, type: object = AP, rel: object = "self", content_type: str = "application/jrd+json"
) -> Reply:
    return reply_json({"subject": subject, "links": [{"rel": "other"}, 5, {"rel": rel, "type": type, "href": href}]}, content_type=content_type)


async def ask(met: Meeting, handle: str) -> Finger | FetchFailed:
    return await lookup(met.instance, handle, Budget(10))


async def test_a_handle_leads_to_an_actor(met: Meeting) -> None:
    alice = met.peer.actor("alice")
    for handle in (alice.handle, f"@{alice.handle}", f"acct:{alice.handle}", alice.handle.upper().replace("ALICE", "alice")):
        assert await ask(met, handle) == Finger(alice.handle, alice.id)  # type: ignore[arg-type]
    assert set(met.requests()) == {f"{FINGER}?resource=acct:alice@{met.peer.host}"}
    assert "application/jrd+json" in met.peer.log[0].asked.header("accept")


@pytest.mark.parametrize("kind", [AP, 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"'])
@pytest.mark.parametrize("content_type", ["application/jrd+json", "application/jrd+json; charset=utf-8", "application/json"])
async def test_the_types_peers_send_are_taken(met: Meeting, kind: str, content_type: str) -> None:
    met.peer.always(FINGER, jrd(f"acct:alice@{met.peer.host}", type=kind, content_type=content_type))
    assert isinstance(await ask(met, f"alice@{met.peer.host}"), Finger)


@pytest.mark.parametrize(
    "reply",
    [
        jrd(None),
        jrd(5),
        jrd("alice@localhost"),
        jrd("acct:alice"),
        jrd("acct:@host"),
        jrd("https://x.example/users/a"),
        jrd("acct:SELF", type="text/html"),
        jrd("acct:SELF", rel="me"),
        jrd("acct:SELF", href=5),
        jrd("acct:SELF", content_type="text/html"),
        jrd("acct:SELF", content_type="application/activity+json"),
        Reply(200, b"rubbish", "application/jrd+json"),
        Reply(200, b'{"subject":"acct:SELF","links":{}}', "application/jrd+json"),
        Reply(200, b'{"subject":"acct:SELF","links":[],"x":"' + b"x" * 70_000 + b'"}', "application/jrd+json"),
        Reply(200, b"", "application/jrd+json"),
        Reply(204),
    ],
)
async def test_an_answer_that_proves_nothing(met: Meeting, reply: Reply) -> None:
    body = reply.body.replace(b"SELF", f"alice@{met.peer.host}".encode())
    met.peer.always(FINGER, Reply(reply.status, body, reply.content_type))
    assert isinstance(await ask(met, f"alice@{met.peer.host}"), FetchFailed)


@pytest.mark.parametrize(("status", "kind"), [(404, "missing"), (410, "gone"), (500, "later"), (503, "later"), (400, "unusable")])
async def test_failures_have_kinds(met: Meeting, status: int, kind: str) -> None:
    met.peer.always(FINGER, Reply(status))
    failed = await ask(met, f"alice@{met.peer.host}")
    assert isinstance(failed, FetchFailed)
    assert failed.kind == kind


async def test_another_subject_must_loop_back_on_its_own_host(met: Meeting, elsewhere: FakePeer) -> None:
    # Given the host of the objects, which sends us on to the host of the handles (Mastodon's WEB_DOMAIN)
    alice = met.peer.actor("alice")
    met.peer.always(FINGER, jrd(f"acct:alice@{elsewhere.host}", "https://wrong.example/x"))
    elsewhere.always(FINGER, jrd(f"acct:Alice@{elsewhere.host}", alice.id))
    # Then what the second one says counts
    assert await ask(met, alice.handle) == Finger(f"Alice@{elsewhere.host}", alice.id)  # type: ignore[arg-type]
    # When that sends us on as well, Then nobody is meant
    elsewhere.always(FINGER, jrd("acct:alice@third.example", alice.id))
    assert isinstance(await ask(met, alice.handle), FetchFailed)
    assert len(elsewhere.log) == 2


def host_meta(template: str, kind: str = "application/xrd+xml") -> Reply:
    links = f"<Link rel='other' template='x'/><Link type='a' rel='lrdd' template='{template}'/>"
    text = f"<?xml version='1.0'?><XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>{links}</XRD>"
    return Reply(200, text.encode(), kind)


@pytest.mark.parametrize("kind", ["application/xrd+xml", "application/xml; charset=utf-8", "text/xml"])
async def test_host_meta_is_followed_once(met: Meeting, elsewhere: FakePeer, kind: str) -> None:
    met.peer.always(FINGER, Reply(404))
    met.peer.always("/.well-known/host-meta", host_meta(f"{elsewhere.base}/finger?a=b&amp;resource={{uri}}", kind))
    elsewhere.always("/finger", jrd(f"acct:alice@{met.peer.host}"))
    assert isinstance(await ask(met, f"alice@{met.peer.host}"), Finger)
    assert elsewhere.log[0].asked.target == f"/finger?a=b&resource=acct%3Aalice%40{met.peer.host.replace(':', '%3A')}"
    elsewhere.always("/finger", Reply(404))
    assert isinstance(await ask(met, f"alice@{met.peer.host}"), FetchFailed)
    assert met.requests().count("/.well-known/host-meta") == 2


@pytest.mark.parametrize(
    "template",
    [
        "http://10.0.0.1/{uri}",
        "http://[::ffff:127.0.0.1]/{uri}",
        "file:///{uri}",
        "{uri}",
        "http://localhost:1/no-place",
        f"http://{HOST}/finger?resource={{uri}}",
        "javascript:{uri}",
        "http://user@localhost/{uri}",
    ],
)
async def test_a_template_leads_nowhere_it_should_not(met: Meeting, template: str) -> None:
    met.peer.always(FINGER, Reply(404))
    met.peer.always("/.well-known/host-meta", host_meta(template))
    assert isinstance(await ask(met, f"alice@{met.peer.host}"), FetchFailed)
    assert len(met.requests()) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<XRD>",
        b"<Link " * 10_000,
        b"<Link rel='lrdd'" + b" a='b'" * 5000 + b"/>",
        b"\xff\xfe",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><Link rel='lrdd' template='&a;'/>",
    ],
)
async def test_host_meta_may_be_rubbish(met: Meeting, body: bytes) -> None:
    met.peer.always(FINGER, Reply(404))
    met.peer.always("/.well-known/host-meta", Reply(200, body, "application/xrd+xml"))
    assert isinstance(await ask(met, f"alice@{met.peer.host}"), FetchFailed)


async def test_a_redirect_to_the_host_of_the_objects_is_followed(met: Meeting, elsewhere: FakePeer) -> None:
    met.peer.always(FINGER, Reply(301, headers=(("Location", f"{elsewhere.base}{FINGER}?resource=acct:alice@{met.peer.host}"),)))
    elsewhere.always(FINGER, jrd(f"acct:alice@{met.peer.host}"))
    assert isinstance(await ask(met, f"alice@{met.peer.host}"), Finger)


async def test_a_refused_host_is_not_asked(met: Meeting) -> None:
    await met.house.write(peers.set_level, met.instance, met.peer.host, "blocked")
    await met.instance.trust.refresh(met.instance.database)
    failed = await ask(met, f"alice@{met.peer.host}")
    assert isinstance(failed, FetchFailed)
    assert failed.kind == "barred"
    assert met.requests() == []


async def test_the_budget_ends_it(met: Meeting) -> None:
    met.peer.always(FINGER, Reply(404))
    assert isinstance(await lookup(met.instance, f"alice@{met.peer.host}", Budget(0)), FetchFailed)
    assert met.requests() == []


def test_handles_are_split_and_hosts_normalised() -> None:
    assert split("@Alice@München.Example.") == ("Alice", "xn--mnchen-3ya.example")
    assert split("acct:a@localhost:8001") == ("a", "localhost:8001")
