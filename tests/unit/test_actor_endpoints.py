"""What others find here about our actors: every form they ask in, the status codes they rely on, and nothing a stranger should not see."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from quart import Quart, Response

from actors import local, peers
from actors.endpoints import blueprint
from actors.known import Actor
from actors.media import is_activitypub, media_type, wants_activitypub
from schemas.storage import Database
from tests import signing
from tests.fakepeer import AP, AS2, FakeActor, pair
from tests.meeting import HOST, Meeting, meeting
from tests.wire import Reply

BASE = f"http://{HOST}"
LD = f'application/ld+json; profile="{AS2}"'
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def met(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Meeting]:
    async with meeting(sqlite_database, tmp_path) as made:
        yield made


@pytest.fixture
async def closed(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Meeting]:
    """An instance in signed-only mode."""
    async with meeting(sqlite_database, tmp_path, signed_only=True) as made:
        yield made


def client(met: Meeting, **options: Any) -> Any:
    app = Quart(__name__)
    app.register_blueprint(blueprint(met.instance, **options))
    return app.test_client()


async def get(met: Meeting, path: str, accept: str = AP, *, method: str = "GET", headers: dict[str, str] | None = None) -> Response:
    sent = {"Host": HOST, **({"Accept": accept} if accept else {}), **(headers or {})}
    return await client(met).open(path, method=method, headers=sent)


def signature(met: Meeting, actor: FakeActor, target: str, mode: str = "cavage", method: str = "GET") -> dict[str, str]:
    return dict(signing.signed(actor.keys.rsa, actor.key_id, method, HOST, target, None, met.house.clock.now(), mode, pair("a stranger").rsa))


async def finger(met: Meeting, query: str) -> Response:
    return await get(met, f"/.well-known/webfinger{query}", "")


@pytest.mark.parametrize(
    "query",
    [
        f"?resource=acct:amina@{HOST}",
        "?resource=acct%3Aamina%40localhost%3A8000",
        "?resource=acct:amina%2540localhost:8000",
        f"?resource=acct:AMINA@{HOST.upper()}",
        f"?rel=self&resource=acct:amina@{HOST}&rel=http://example.org/x",
        f"?resource={BASE}/users/amina",
        f"?resource={BASE}/@amina",
    ],
)
async def test_webfinger_answers_every_form(met: Meeting, query: str) -> None:
    amina = await met.house.person("amina")
    response = await finger(met, query)
    assert (response.status_code, response.content_type) == (200, "application/jrd+json")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "max-age" in response.headers["Cache-Control"]
    found = json.loads(await response.get_data())
    assert found["subject"] == f"acct:amina@{HOST}"
    own = [link for link in found["links"] if link["rel"] == "self"]
    assert own == [{"rel": "self", "type": AP, "href": amina.uri}]


@pytest.mark.parametrize("query", [f"?resource={BASE}/", f"?resource={BASE}", f"?resource={BASE}/actor", f"?resource=acct:localhost@{HOST}"])
async def test_webfinger_of_the_instance_itself(met: Meeting, query: str) -> None:
    found = json.loads(await (await finger(met, query)).get_data())
    assert {"rel": "self", "type": AP, "href": f"{BASE}/actor"} in found["links"]
    assert any(link["rel"].endswith("#Service") for link in found["links"])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?resource=",
        "?resource==acct:amina@x",
        "?resource=amina",
        "?resource=%40amina",
        "?resource=acct:amina",
        "?resource=acct:",
        "?resource=:x",
        "?resource=a&resource=b",
        "?resource=http://",
        "?resource=https://u@h/",
        "?resource=" + "acct:a@" + "x" * 3000,
        "?resource=1a:b",
        "?resource=acct:%00",
    ],
)
async def test_webfinger_of_no_uri_is_a_bad_request(met: Meeting, query: str) -> None:
    response = await finger(met, query)
    assert response.status_code == 400
    assert "jrd" not in response.content_type
    assert b"subject" not in await response.get_data()


@pytest.mark.parametrize(
    "query",
    [
        "acct:nobody@localhost:8000",
        "acct:amina@elsewhere.example",
        "acct:amina@localhost",
        "acct:amina@a..b",
        "foo:bar",
        "mailto:amina@localhost:8000",
        "https://elsewhere.example/users/amina",
        f"{BASE}/users/nobody",
        f"{BASE}/posts/1",
        f"{BASE}/users/../actor",
        "https://localhost:8000/users/amina",
        "acct:am ina@localhost:8000",
    ],
)
async def test_webfinger_of_nobody_here_is_not_found(met: Meeting, query: str) -> None:
    await met.house.person("amina")
    response = await finger(met, f"?resource={query}")
    assert response.status_code == 404
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_host_meta_and_nodeinfo(met: Meeting) -> None:
    xml = await get(met, "/.well-known/host-meta", "")
    assert xml.content_type.startswith("application/xrd+xml")
    assert f'template="{BASE}/.well-known/webfinger?resource={{uri}}"' in (await xml.get_data()).decode()
    for path, accept in (("/.well-known/host-meta.json", ""), ("/.well-known/host-meta", "application/json")):
        found = json.loads(await (await get(met, path, accept)).get_data())
        assert found["links"][0]["template"].endswith("?resource={uri}")
    links = json.loads(await (await get(met, "/.well-known/nodeinfo", "")).get_data())["links"]
    assert {"rel": "https://www.w3.org/ns/activitystreams#Application", "href": f"{BASE}/actor"} in links
    for link in links[:2]:
        response = await get(met, link["href"].removeprefix(BASE), "")
        version = link["rel"].rpartition("/")[2]
        assert response.content_type == f'application/json; profile="http://nodeinfo.diaspora.software/ns/schema/{version}#"'
        found = json.loads(await response.get_data())
        assert (found["version"], found["protocols"], found["usage"]) == (version, ["activitypub"], {"users": {}})
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert (await get(met, "/nodeinfo/3.0", "")).status_code == 404


@pytest.mark.parametrize("accept", [AP, LD, "application/json", f"{AP}, {LD}", f"{LD}, {AP};q=0.9", "application/ld+json", f"{AP}, text/html;q=0.5"])
async def test_an_actor_as_peers_ask_for_it(met: Meeting, accept: str) -> None:
    amina = await met.house.person("amina")
    response = await get(met, "/users/amina", accept)
    assert (response.status_code, response.content_type) == (200, AP)
    assert response.headers["Vary"] == "Accept"
    assert response.headers["Cache-Control"] == "public, max-age=180"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    found = json.loads(await response.get_data())
    assert AS2 in found["@context"]
    assert (found["id"], found["type"], found["preferredUsername"]) == (amina.uri, "Person", "amina")
    assert found["publicKey"] | {"publicKeyPem": ""} == {"id": f"{amina.uri}#main-key", "owner": amina.uri, "publicKeyPem": ""}
    assert found["assertionMethod"][0]["publicKeyMultibase"].startswith("z6Mk")
    assert found["manuallyApprovesFollowers"] is False
    named = [found[name] for name in ("inbox", "outbox", "followers", "following", "url")] + [found["endpoints"]["sharedInbox"]]
    assert all(iri.startswith(f"{BASE}/") for iri in named)


@pytest.mark.parametrize("accept", ["", "*/*", BROWSER, "text/html", f"{AP};q=0", f"text/html, {AP}", "rubbish", ",,;;", "a" * 10_000])
@pytest.mark.parametrize("path", ["/users/amina", "/@amina"])
async def test_people_get_a_page_with_a_way_to_the_document(met: Meeting, accept: str, path: str) -> None:
    amina = await met.house.person("amina")
    response = await get(met, path, accept)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert response.headers["Link"] == f'<{amina.uri}>; rel="alternate"; type="{AP}"'
    assert "Accept" in response.headers["Vary"]


async def test_the_product_renders_its_own_page(met: Meeting) -> None:
    await met.house.person("amina")

    async def html(kind: str, actor: Actor) -> Response:
        return Response(f"{kind} {actor.username}", content_type="text/html")

    response = await client(met, html=html).get("/users/amina", headers={"Accept": BROWSER})
    assert await response.get_data() == b"actor amina"
    assert "alternate" in response.headers["Link"]


async def test_the_page_of_last_resort_escapes(met: Meeting) -> None:
    async def rename(tx: Any) -> None:
        await tx.execute("update actor set name = '<script>' where username = 'amina'")

    await met.house.person("amina")
    await met.house.write(rename)
    assert b"<script>" not in await (await get(met, "/users/amina", "text/html")).get_data()


@pytest.mark.parametrize("accept", [AP, BROWSER, ""])
async def test_the_instance_actor_is_the_same_for_everybody(met: Meeting, accept: str) -> None:
    response = await get(met, "/actor", accept, headers={"Signature": "rubbish"})
    assert (response.status_code, response.content_type) == (200, AP)
    assert "Vary" not in response.headers
    found = json.loads(await response.get_data())
    assert (found["id"], found["type"], found["preferredUsername"], found["inbox"]) == (f"{BASE}/actor", "Application", "localhost", f"{BASE}/actor/inbox")


@pytest.mark.parametrize(
    "path",
    [
        "/users/nobody",
        "/users/Amina",
        "/users/localhost",
        "/users/nobody/followers",
        "/users/%00",
        "/users/amina%2f",
        "/users/amina/collections/other",
        "/@nobody",
    ],
)
async def test_what_is_not_here_is_not_found(met: Meeting, path: str) -> None:
    await met.house.person("amina")
    for accept in (AP, BROWSER):
        assert (await get(met, path, accept)).status_code == 404


async def test_suspended_is_missing_byte_for_byte(met: Meeting) -> None:
    amina = await met.house.person("amina")
    await met.house.write(local.suspend, met.instance, amina)
    for path in ("/users/{}", "/users/{}/followers", "/.well-known/webfinger?resource=acct:{}@localhost:8000"):
        one, other = await get(met, path.format("amina")), await get(met, path.format("nobody"))
        assert one.status_code == other.status_code == 404
        assert await one.get_data() == await other.get_data()
        assert list(one.headers) == list(other.headers)


async def test_deleted_is_gone_with_a_tombstone(met: Meeting) -> None:
    amina = await met.house.person("amina")
    await met.house.write(local.delete, met.instance, amina)
    response = await get(met, "/users/amina")
    assert (response.status_code, response.content_type) == (410, AP)
    found = json.loads(await response.get_data())
    assert (found["id"], found["type"]) == (amina.uri, "Tombstone")
    assert (await get(met, "/users/amina", BROWSER)).status_code == 410
    assert (await get(met, "/users/amina/followers")).status_code == 410
    assert (await finger(met, f"?resource=acct:amina@{HOST}")).status_code == 410


async def test_collections_say_nothing_about_people(met: Meeting) -> None:
    amina = await met.house.person("amina")
    for name in ("followers", "following"):
        found = json.loads(await (await get(met, f"/users/amina/{name}")).get_data())
        assert (found["type"], found["id"]) == ("OrderedCollection", f"{amina.uri}/{name}")
        # A true number, and nobody's name.
        assert found.keys() == {"@context", "id", "type", "totalItems"}
        assert found["totalItems"] == 0


@pytest.mark.parametrize(
    "path", ["/users/amina", "/actor", f"/.well-known/webfinger?resource=acct:amina@{HOST}", "/.well-known/nodeinfo", "/users/amina/followers"]
)
async def test_head_and_options(met: Meeting, path: str) -> None:
    await met.house.person("amina")
    head, whole = await get(met, path, method="HEAD"), await get(met, path)
    # The server in front leaves the body of a HEAD out; everything else is the same.
    assert head.status_code == whole.status_code == 200
    assert list(head.headers) == list(whole.headers)
    options = await get(met, path, method="OPTIONS")
    assert options.status_code in (200, 204)
    assert options.headers["Access-Control-Allow-Origin"] == "*"
    assert (await get(met, path, method="DELETE")).status_code == 405


DOCUMENTS = ["/users/amina", "/users/nobody", "/users/gone", "/users/amina/followers", "/users/nobody/following"]


async def test_signed_only_is_the_same_401_for_everything(closed: Meeting) -> None:
    await closed.house.person("amina")
    await closed.house.write(local.delete, closed.instance, await closed.house.person("gone"))
    stranger = closed.peer.actor("alice")
    answers = set()
    for path in DOCUMENTS:
        for headers in ({}, {"Signature": "rubbish"}, signature(closed, stranger, path, "broken:stranger"), signature(closed, stranger, "/elsewhere")):
            response = await get(closed, path, headers=headers)
            assert response.status_code == 401
            answers.add((await response.get_data(), tuple(response.headers)))
    assert len(answers) == 1
    (_, headers), *_ = answers
    assert ("vary", "Accept, Signature") in [(name.lower(), value) for name, value in headers]


async def test_signed_only_opens_for_a_signature(closed: Meeting) -> None:
    amina = await closed.house.person("amina")
    alice = closed.peer.actor("alice")
    response = await get(closed, "/users/amina", headers=signature(closed, alice, "/users/amina"))
    assert response.status_code == 200
    assert json.loads(await response.get_data())["id"] == amina.uri
    assert response.headers["Vary"] == "Accept, Signature"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert (await get(closed, "/users/nobody", headers=signature(closed, alice, "/users/nobody"))).status_code == 404
    assert (await get(closed, "/users/amina", method="HEAD", headers=signature(closed, alice, "/users/amina"))).status_code == 401
    # With a query, which must be signed as it came or left out.
    assert (await get(closed, "/users/amina?x=%41&y", headers=signature(closed, alice, "/users/amina?x=%41&y"))).status_code == 200


async def test_signed_only_leaves_discovery_and_its_own_actor_open(closed: Meeting) -> None:
    await closed.house.person("amina")
    for path in ("/actor", f"/.well-known/webfinger?resource=acct:amina@{HOST}", "/.well-known/host-meta", "/.well-known/nodeinfo", "/nodeinfo/2.1"):
        assert (await get(closed, path)).status_code == 200
    assert (await get(closed, "/users/amina", BROWSER)).status_code == 200


async def test_a_key_that_cannot_be_fetched_just_now_means_later(closed: Meeting) -> None:
    alice = closed.peer.actor("alice")
    closed.peer.always("/users/alice", Reply(503))
    response = await get(closed, "/users/amina", headers=signature(closed, alice, "/users/amina"))
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    closed.instance.vault.lock()
    assert (await get(closed, "/users/amina", headers=signature(closed, alice, "/users/amina"))).status_code == 503


async def test_an_allow_list_gives_strangers_nothing(sqlite_database: Database, tmp_path: Path) -> None:
    async with meeting(sqlite_database, tmp_path, mode="allowlist") as met:
        await met.house.person("amina")
        alice = met.peer.actor("alice")
        assert (await get(met, "/users/amina")).status_code == 401
        assert (await get(met, "/users/amina", headers=signature(met, alice, "/users/amina"))).status_code == 403
        assert met.requests() == []
        await met.house.write(peers.set_level, met.instance, met.peer.host, "known")
        await met.instance.trust.refresh(met.instance.database)
        assert (await get(met, "/users/amina", headers=signature(met, alice, "/users/amina"))).status_code == 200


async def test_a_blocked_host_that_says_who_it_is_gets_403(met: Meeting) -> None:
    await met.house.person("amina")
    alice = met.peer.actor("alice")
    assert (await get(met, "/users/amina", headers=signature(met, alice, "/users/amina"))).status_code == 200
    await met.house.write(peers.set_level, met.instance, met.peer.host, "blocked")
    await met.instance.trust.refresh(met.instance.database)
    for path in ("/users/amina", "/users/nobody", "/users/amina/followers"):
        assert (await get(met, path, headers=signature(met, alice, path))).status_code == 403
    assert met.requests() == []


async def test_no_key_id_of_a_reader_is_logged(closed: Meeting, capsys: pytest.CaptureFixture[str]) -> None:
    await closed.house.person("amina")
    reader = closed.peer.actor("somebody_who_looks_for_help")
    for mode in ("cavage", "broken:stranger", "broken:old"):
        await get(closed, "/users/amina", headers=signature(closed, reader, "/users/amina", mode))
    written = capsys.readouterr()
    assert "somebody_who_looks_for_help" not in written.out + written.err


@pytest.mark.parametrize(
    ("text", "kind", "parameters"),
    [
        ("text/html", "text/html", {}),
        (' Application/LD+JSON ; Profile="a b" ; charset=UTF-8 ', "application/ld+json", {"profile": "a b", "charset": "UTF-8"}),
        ("text/html;", "text/html", {}),
        ("", "", {}),
        ("text", "", {}),
        ("a/b, c/d", "", {}),
        ("a/b; x=1; x=2", "", {}),
        ('a/b; x="1', "", {}),
        ("a/b; x=1, c/d", "", {}),
        ("a b/c", "", {}),
    ],
)
def test_media_types_are_read_whole_or_not_at_all(text: str, kind: str, parameters: dict[str, str]) -> None:
    assert media_type(text) == (kind, parameters)


def test_which_types_are_activitypub_and_who_wants_them() -> None:
    assert is_activitypub(AP)
    assert is_activitypub(LD)
    assert not is_activitypub("application/ld+json")
    assert not is_activitypub("application/json")
    for accept in (AP, LD, f"{AP}, {LD}", f"{LD}, {AP}", "application/json", f"text/html;q=0.1, {AP}", f"*/*, {AP}"):
        assert wants_activitypub(accept), accept
    for accept in ("", "*/*", BROWSER, f"{AP};q=0", f"{AP};q=2", f"{AP};q=x", f"{AP};q=0.5, text/html", "text/html"):
        assert not wants_activitypub(accept), accept
