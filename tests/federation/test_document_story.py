"""What does another server see before it knows us? WebFinger, host-meta, NodeInfo, actors and collections, with the media types and headers peers insist on."""

import base64
import json
import re

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakepeer import AP, AS2, PUBLIC, FakePeer
from tests.signing import BASE58
from tests.wire import http, reply_json
from tests.world import Person, World

LD = f'application/ld+json; profile="{AS2}"'
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def amina(world: World) -> Person:
    return await world.person("amina@a")


async def test_webfinger_names_one_actor_in_every_spelling(amina: Person) -> None:
    host, base = amina.site.host, amina.site.base
    asked = (f"acct:{amina.handle}", f"acct%3Aamina%40{host}", f"acct:AMINA@{host}", amina.uri, f"{base}/@amina")
    for resource in asked:
        answer = await amina.site.get(f"/.well-known/webfinger?rel=self&resource={resource}", "application/jrd+json")
        assert answer.status == 200, resource
        assert answer.header("content-type").partition(";")[0] == "application/jrd+json"
        assert answer.header("access-control-allow-origin") == "*"
        assert answer.json["subject"] == f"acct:{amina.handle}"
        [own] = [link for link in answer.json["links"] if link["rel"] == "self"]
        assert (own["type"], own["href"]) == (AP, amina.uri)


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?resource=", 400), ("?resource==x", 400), ("?resource=acct:nobody@HOST", 404), ("?resource=foo:bar", None)]
)
async def test_webfinger_refuses_what_it_does_not_know(amina: Person, query: str, status: int | None) -> None:
    answer = await amina.site.get(f"/.well-known/webfinger{query.replace('HOST', amina.site.host)}")
    assert answer.status == status if status else answer.status in {400, 404}


async def test_host_meta_leads_to_webfinger(amina: Person) -> None:
    xml = await amina.site.get("/.well-known/host-meta", "application/xrd+xml")
    assert xml.status == 200
    assert xml.header("content-type").partition(";")[0] == "application/xrd+xml"
    assert f'template="{amina.site.base}/.well-known/webfinger?resource={{uri}}"' in xml.text


async def test_nodeinfo_says_what_we_are_and_counts_nobody(amina: Person) -> None:
    links = (await amina.site.get("/.well-known/nodeinfo", "application/json")).json["links"]
    versions = {link["rel"].rpartition("/")[2]: link["href"] for link in links if "nodeinfo" in link["rel"]}
    assert set(versions) == {"2.0", "2.1"}
    for version, href in versions.items():
        info = (await http("GET", href)).json
        assert (info["version"], info["software"]["name"], info["protocols"]) == (version, "fedmatch", ["activitypub"])
        assert isinstance(info["openRegistrations"], bool)
        assert info["usage"]["users"] == {}
        assert info["services"] == {"inbound": [], "outbound": []}
    [application] = [link["href"] for link in links if link["rel"] == f"{AS2}#Application"]
    assert (await amina.site.get(application)).json["type"] == "Application"


@pytest.mark.parametrize("accept", [AP, LD, f"{LD}, {AP};q=0.8"])
async def test_an_actor_has_all_that_peers_insist_on(amina: Person, accept: str) -> None:
    answer = await amina.site.get(amina.uri, accept)
    assert answer.status == 200
    assert answer.header("content-type").replace(" ", "").lower() in {AP, f"{AP};charset=utf-8"}
    assert "accept" in answer.header("vary").lower()
    actor = answer.json
    assert AS2 in actor["@context"]
    assert (actor["id"], actor["type"], actor["preferredUsername"]) == (amina.uri, "Person", "amina")
    for member in ("inbox", "outbox", "followers", "following", "url"):
        assert actor[member].startswith(f"{amina.site.base}/")
    assert actor["endpoints"]["sharedInbox"] == f"{amina.site.base}/inbox"
    assert actor["manuallyApprovesFollowers"] is False
    key = serialization.load_pem_public_key(actor["publicKey"]["publicKeyPem"].encode())
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size >= 2048
    assert (actor["publicKey"]["id"], actor["publicKey"]["owner"]) == (f"{amina.uri}#main-key", amina.uri)
    [method] = actor["assertionMethod"]
    assert (method["type"], method["controller"], method["id"]) == ("Multikey", amina.uri, f"{amina.uri}#ed25519-key")
    number = 0
    for letter in method["publicKeyMultibase"][1:]:
        number = number * 58 + BASE58.index(letter)
    assert method["publicKeyMultibase"].startswith("z6Mk")
    assert re.fullmatch("ed01[0-9a-f]{64}", f"{number:x}")


async def test_a_browser_gets_a_page_at_the_same_address(amina: Person) -> None:
    answer = await amina.site.get(amina.uri, BROWSER)
    assert answer.status in {200, 301, 302, 303, 307, 308}
    assert "accept" in answer.header("vary").lower()
    page = answer if answer.status == 200 else await amina.site.get(answer.header("location"), BROWSER)
    assert page.header("content-type").startswith("text/html")
    assert "<script" not in page.text


async def test_the_application_actor_is_served_to_everybody(world: World) -> None:
    site = await world.site("a", signed_only="true")
    actor = (await site.get("/actor")).json
    assert (actor["type"], actor["preferredUsername"]) == ("Application", "localhost")
    assert actor["publicKey"]["owner"] == actor["id"] == f"{site.base}/actor"


@pytest.mark.parametrize("name", ["outbox", "followers", "following"])
async def test_collections_are_ordered_and_hide_who_helps_whom(world: World, amina: Person, name: str) -> None:
    ben = await world.person("ben@b")
    await ben.follow(amina.handle)
    await amina.post("hello")
    await world.settle()
    collection = (await amina.site.get(f"/users/amina/{name}")).json
    assert (collection["type"], collection["id"]) == ("OrderedCollection", f"{amina.uri}/{name}")
    assert collection.get("totalItems", 0) >= 0
    if name != "outbox":
        assert ben.uri not in json.dumps(collection)
        assert not {"first", "items", "orderedItems"} & set(collection)


async def test_the_outbox_lists_what_is_public_newest_first(world: World, amina: Person) -> None:
    first = await amina.post("one")
    world.clock.move(seconds=2)
    await amina.post("for followers", "followers")
    second = await amina.post("two")
    page = (await amina.site.get((await amina.site.get("/users/amina/outbox")).json["first"])).json
    assert [item["object"]["id"] if isinstance(item["object"], dict) else item["object"] for item in page["orderedItems"]] == [second.uri, first.uri]
    assert page["partOf"] == f"{amina.uri}/outbox"


async def test_a_post_and_its_create_are_served_at_their_ids(amina: Person) -> None:
    post = await amina.post("hello")
    note, create = (await amina.site.get(post.uri)).json, (await amina.site.get(f"{post.uri}/activity")).json
    assert (note["id"], note["attributedTo"], note["to"], note["cc"]) == (post.uri, amina.uri, [PUBLIC], [f"{amina.uri}/followers"])
    assert (create["type"], create["actor"]) == ("Create", amina.uri)
    assert (create["object"]["id"] if isinstance(create["object"], dict) else create["object"]) == post.uri


async def test_signed_only_mode_answers_everything_unsigned_with_one_401(world: World, peer: FakePeer) -> None:
    # Given an instance that serves documents to signed requests only
    await world.site("a", signed_only="true")
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    post = await amina.post("hello")
    # When an unsigned request asks for what is there and what is not
    answers = [await amina.site.get(path) for path in (amina.uri, post.uri, "/users/nobody", "/posts/1", f"{amina.uri}/outbox")]
    # Then it learns nothing
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}
    # And a signed one is served
    assert (await p1.get(amina.uri)).status == 200
    assert (await p1.get(post.uri)).json["content"]
    assert (await p1.get(post.uri, "broken:stranger")).status == 401


async def test_two_servers_that_both_demand_signatures_do_not_lock_each_other_out(world: World) -> None:
    await world.site("a", signed_only="true")
    await world.site("b", signed_only="true")
    amina, ben = await world.person("amina@a"), await world.person("ben@b")
    await ben.follow(amina.handle)
    await world.settle()
    await amina.post("behind two locks")
    await world.settle()
    assert await ben.reads() == ["behind two locks"]


async def test_a_handle_is_looked_up_both_ways(world: World, peer: FakePeer) -> None:
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    assert await amina.follow(p1.handle) == "requested"
    await world.settle()
    # Every fetch of a document was signed by the instance, and names an ActivityPub type
    fetched = [heard for heard in peer.log if heard.asked.method == "GET" and heard.asked.path == "/users/p1"]
    assert fetched
    for heard in fetched:
        assert heard.signature == "valid"
        assert f'keyId="{amina.site.base}/actor#' in heard.asked.header("signature")
        assert "activity+json" in heard.asked.header("accept")
        assert "fedmatch" in heard.asked.header("user-agent")


async def test_an_actor_whose_webfinger_names_another_is_refused(world: World, peer: FakePeer) -> None:
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    links = [{"rel": "self", "type": AP, "href": f"{peer.base}/users/other"}]
    peer.always("/.well-known/webfinger", reply_json({"subject": f"acct:{p1.handle}", "links": links}, content_type="application/jrd+json"))
    answer = await p1.send(p1.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    assert answer.status < 500
    assert await amina.followers() == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_head_and_options_are_no_trouble(amina: Person, method: str) -> None:
    answer = await http(method, amina.uri, [("Accept", AP)])
    assert answer.status in {200, 204}


async def test_garbage_in_an_id_is_missing_not_broken(amina: Person) -> None:
    odd = base64.urlsafe_b64encode(b"\xff" * 40).decode()
    for path in (
        "/posts/x",
        "/posts/-1",
        "/posts/99999999999999999999",
        f"/users/{odd}",
        "/users/%00",
        "/posts/%C3%28",
        "/users/..%2f..%2fetc",
        "/activities/1",
    ):
        assert (await amina.site.get(path)).status in {400, 404}, path
