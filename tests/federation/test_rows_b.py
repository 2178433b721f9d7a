"""Rows B1-B22 of protocol.md section 10: documents, and who may read them."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fedmatch.board import deletion, social
from outbox.posts import Post
from tests.fakepeer import AP, AS2, PUBLIC, FakeActor, FakePeer
from tests.personalities import ALL, Personality
from tests.signing import BASE58
from tests.wire import Answer, http
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
LD = f'application/ld+json; profile="{AS2}"'
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass
class Shelf:
    """One instance, its posts of every audience, a follower and a stranger on another server, and a stranger on a third."""

    world: World
    amina: Person
    peer: FakePeer
    follower: FakeActor
    stranger: FakeActor
    posts: dict[str, Post]

    async def get(self, url: str, accept: str = AP, *more: tuple[str, str]) -> Answer:
        return await self.amina.site.get(url, accept, *more)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelf(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shelf]:
    async with open_world(tmp_path_factory.mktemp("documents")) as world:
        amina, peer, third = await world.person("amina@a"), await world.peer(), await world.peer()
        follower, stranger = peer.actor("follower"), third.actor("stranger")
        assert (await follower.send(follower.follow(amina.uri), amina.actor.inbox)).status == 202
        await world.settle()
        posts = {
            "public": await amina.post("for all"),
            "followers": await amina.post("for followers", "followers"),
            "direct": await amina.post("for one", "direct", to=[follower.handle]),
        }
        await world.settle()
        yield Shelf(world, amina, peer, follower, stranger, posts)


async def actor_of(shelf: Shelf) -> dict[str, Any]:
    return (await shelf.get(shelf.amina.uri)).json


async def test_b1_an_actor_in_activity_json(shelf: Shelf) -> None:
    answer = await shelf.get(shelf.amina.uri, "application/activity+json")
    assert answer.status == 200
    assert answer.header("content-type") in {AP, f"{AP}; charset=utf-8"}
    assert AS2 in answer.json["@context"]


@pytest.mark.parametrize("accept", [LD, f"{AP}, {LD}", "application/ld+json", f"{LD}, {AP}", "application/json", f"text/html;q=0.5, {AP}"])
async def test_b2_the_same_for_every_accept_that_means_it(shelf: Shelf, accept: str) -> None:
    """1.6: what Mastodon, Misskey and Lemmy ask with."""
    for url in (shelf.amina.uri, shelf.posts["public"].uri):
        answer = await shelf.get(url, accept)
        assert (answer.status, answer.header("content-type")) == (200, AP)
        assert answer.json["id"] == url


@pytest.mark.parametrize("kind", ALL)
async def test_b2_every_server_takes_the_media_type(shelf: Shelf, kind: type[Personality]) -> None:
    for url in (shelf.amina.uri, shelf.posts["public"].uri, f"{shelf.amina.uri}/outbox", f"{shelf.amina.site.base}/actor"):
        assert kind.manner.reads_media((await shelf.get(url, f"{AP}, {LD}")).header("content-type")), url


async def test_b3_a_browser_sees_a_page_that_names_the_id(shelf: Shelf) -> None:
    for url in (shelf.amina.uri, shelf.posts["public"].uri):
        answer = await shelf.get(url, BROWSER)
        assert (answer.status, answer.header("content-type").partition(";")[0]) == (200, "text/html")
        assert re.search(rf'<link[^>]+rel="alternate"[^>]+type="{re.escape(AP)}"[^>]+href="{re.escape(url)}"', answer.text)
        assert f'<{url}>; rel="alternate"; type="{AP}"' in answer.header("link")


@pytest.mark.parametrize("accept", [AP, LD, BROWSER])
async def test_b4_caches_are_told_that_it_depends_on_accept(shelf: Shelf, accept: str) -> None:
    for url in (shelf.amina.uri, shelf.posts["public"].uri):
        assert "accept" in (await shelf.get(url, accept)).header("vary").lower()


async def test_b5_an_actor_has_every_member_that_somebody_insists_on(shelf: Shelf) -> None:
    actor = await actor_of(shelf)
    wanted = {"id", "type", "preferredUsername", "inbox", "outbox", "followers", "following", "publicKey", "endpoints", "manuallyApprovesFollowers", "url"}
    assert wanted <= set(actor)
    assert actor["endpoints"]["sharedInbox"]
    assert actor["manuallyApprovesFollowers"] is False
    assert {"id", "owner", "publicKeyPem"} <= set(actor["publicKey"])


async def test_b6_everything_lies_on_one_host(shelf: Shelf) -> None:
    actor = await actor_of(shelf)
    hosts = {urlsplit(actor[member]).netloc for member in ("id", "inbox", "outbox", "followers", "following", "url", "featured")}
    hosts |= {urlsplit(actor["endpoints"]["sharedInbox"]).netloc, urlsplit(actor["publicKey"]["id"]).netloc}
    assert hosts == {shelf.amina.site.host}


async def test_b7_the_rsa_key_is_strong_and_its_own(shelf: Shelf) -> None:
    actor = await actor_of(shelf)
    assert actor["publicKey"]["owner"] == actor["id"]
    assert actor["publicKey"]["id"].startswith(f"{actor['id']}#")
    key = serialization.load_pem_public_key(actor["publicKey"]["publicKeyPem"].encode())
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size >= 2048
    assert actor["publicKey"]["publicKeyPem"].startswith("-----BEGIN PUBLIC KEY-----")


async def test_b8_the_ed25519_key_is_a_multikey(shelf: Shelf) -> None:
    actor = await actor_of(shelf)
    for key in actor["assertionMethod"]:
        assert (key["type"], key["controller"]) == ("Multikey", actor["id"])
        assert key["publicKeyMultibase"].startswith("z6Mk")
        number = 0
        for letter in key["publicKeyMultibase"][1:]:
            number = number * 58 + BASE58.index(letter)
        raw = number.to_bytes(34, "big")
        assert raw[:2] == b"\xed\x01"
        assert len(raw) == 34


async def test_b9_in_signed_only_mode_the_instance_actor_alone_is_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with open_world(tmp_path_factory.mktemp("b9")) as world:
        await world.site("a", signed_only="true")
        amina = await world.person("amina@a")
        application = (await amina.site.get("/actor")).json
        assert (await http("GET", application["publicKey"]["id"].partition("#")[0], [("Accept", AP)])).status == 200
        assert (await amina.site.get(f"{amina.uri}")).status == 401


@pytest.mark.parametrize("which", ["outbox", "followers", "following", "collections/featured"])
async def test_b10_collections_are_ordered_and_their_pages_lead_on(shelf: Shelf, which: str) -> None:
    url = f"{shelf.amina.uri}/{which}"
    collection = (await shelf.get(url)).json
    assert (collection["id"], collection["type"]) == (url, "OrderedCollection")
    assert isinstance(collection["totalItems"], int)
    seen: list[str] = []
    following = collection.get("first")
    for _ in range(10):
        if following is None:
            break
        page = (await shelf.get(following)).json
        assert (page["id"], page["type"], page["partOf"]) == (following, "OrderedCollectionPage", url)
        seen += [item["id"] if isinstance(item, dict) else item for item in page["orderedItems"]]
        following = page.get("next")
    assert following is None
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("which", ["followers", "following"])
async def test_b11_who_follows_whom_is_hidden(shelf: Shelf, which: str) -> None:
    for answer in (await shelf.get(f"{shelf.amina.uri}/{which}"), await shelf.follower.get(f"{shelf.amina.uri}/{which}")):
        assert not {"first", "last", "items", "orderedItems"} & set(answer.json)
        assert shelf.follower.id not in answer.text


async def test_b12_the_outbox_has_only_what_is_public_newest_first(shelf: Shelf) -> None:
    later = await shelf.amina.post("later")
    for page in ((await shelf.get(f"{shelf.amina.uri}/outbox?page=true")).json, (await shelf.follower.get(f"{shelf.amina.uri}/outbox?page=true")).json):
        listed = [item["object"]["id"] for item in page["orderedItems"] if item["type"] == "Create"]
        assert listed[0] == later.uri
        assert shelf.posts["public"].uri in listed
        assert not {shelf.posts["followers"].uri, shelf.posts["direct"].uri} & set(listed)
        assert listed == sorted(listed, key=lambda uri: int(uri.rpartition("/")[2]), reverse=True)


async def test_b13_a_post_is_at_its_id_and_says_whose_it_is(shelf: Shelf) -> None:
    post = (await shelf.get(shelf.posts["public"].uri)).json
    assert post["id"] == shelf.posts["public"].uri
    assert post["attributedTo"] == shelf.amina.uri
    assert isinstance(post["type"], str)
    assert isinstance(post["to"], list)
    assert isinstance(post["cc"], list)


async def test_b13_the_context_of_a_thread_is_the_collection_of_its_posts(shelf: Shelf) -> None:
    """Servers ask for what is called `context` and expect the posts of a thread (FEP-f228)."""
    first = await shelf.amina.post("who comes?")
    theirs = shelf.follower.note("I do", inReplyTo=first.uri, context=f"{first.uri}/context")
    private = shelf.follower.direct("only you know", shelf.amina.uri, "@amina", inReplyTo=first.uri)
    for note in (theirs, private):
        assert (await shelf.follower.send(shelf.follower.create(note), shelf.amina.actor.inbox)).status == 202
    await shelf.world.settle()
    answer = await shelf.amina.post("welcome", reply_to=theirs["id"])
    for post in (first, answer):
        document = (await shelf.get(post.uri)).json
        assert document["context"] == document["conversation"] == f"{first.uri}/context"
        assert (await shelf.get(f"{post.uri}/activity")).json["object"]["context"] == document["context"]
    for asker in (shelf.get, shelf.stranger.get, shelf.follower.get):
        whole = (await asker(f"{first.uri}/context")).json
        page = (await asker(whole["first"])).json
        assert (whole["type"], whole["totalItems"]) == ("OrderedCollection", 3)
        assert (page["orderedItems"], "next" in page) == ([first.uri, theirs["id"], answer.uri], False)


async def test_b13_what_is_not_for_all_names_no_collection(shelf: Shelf) -> None:
    for audience in ("followers", "direct"):
        post = shelf.posts[audience]
        assert "context" not in (await shelf.follower.get(post.uri)).json
        for answer in (await shelf.follower.get(f"{post.uri}/context"), await shelf.get(f"{post.uri}/context")):
            assert answer.status == 404


async def test_b13_a_request_names_no_collection_and_neither_does_what_answers_it(shelf: Shelf) -> None:
    request = await shelf.amina.listing("request", "A lawyer", "For a friend.")
    answer = await shelf.amina.post("Nobody yet.", reply_to=request.url)
    for uri in (request.url, answer.uri):
        document = (await shelf.get(uri)).json
        assert (document["conversation"], "context" in document) == (f"{request.url}#conversation", False)
        assert (await shelf.get(f"{uri}/context")).status == 404


async def test_b14_its_create_is_at_its_id_too(shelf: Shelf) -> None:
    url = f"{shelf.posts['public'].uri}/activity"
    create = (await shelf.get(url)).json
    assert (create["id"], create["type"], create["actor"]) == (url, "Create", shelf.amina.uri)
    assert create["object"]["id"] == shelf.posts["public"].uri


async def test_b15_a_followers_post_is_missing_for_everybody_else(shelf: Shelf) -> None:
    uri = shelf.posts["followers"].uri
    missing = await shelf.get(f"{shelf.amina.site.base}/posts/1")
    for answer in (await shelf.get(uri), await shelf.stranger.get(uri), await shelf.get(f"{uri}/activity"), await shelf.get(f"{uri}/replies")):
        assert answer.status == 404
        assert answer.body == missing.body
        assert sorted(answer.headers) == sorted(
            (*[line for line in answer.headers if line[0] == "date"], *[line for line in missing.headers if line[0] != "date"])
        )
    assert (await shelf.follower.get(uri)).json["id"] == uri


async def test_b16_a_direct_post_is_missing_for_whoever_is_not_addressed(shelf: Shelf) -> None:
    uri = shelf.posts["direct"].uri
    assert (await shelf.stranger.get(uri)).status == 404
    assert (await shelf.get(uri)).status == 404
    assert (await shelf.get(uri, BROWSER)).status == 404
    assert (await shelf.follower.get(uri)).status == 200


async def test_b17_what_was_public_and_deleted_is_410_with_a_tombstone(shelf: Shelf) -> None:
    post, private = await shelf.amina.post("short-lived"), await shelf.amina.post("short and private", "direct", to=[shelf.follower.handle])
    for one in (post, private):
        await shelf.amina.delete(one.uri)
    await shelf.world.settle()
    answer = await shelf.get(post.uri)
    assert answer.status == 410
    assert (answer.json["type"], answer.json["id"]) == ("Tombstone", post.uri)
    assert (await shelf.get(private.uri)).status == 404


async def test_b18_a_deleted_actor_is_410_everywhere(shelf: Shelf) -> None:
    gone = await shelf.world.person("leaving@a")
    await deletion.delete_person(shelf.amina.site.instance, gone.actor)
    await shelf.world.settle()
    assert (await shelf.get(gone.uri)).status == 410
    assert (await shelf.get(f"/.well-known/webfinger?resource=acct:{gone.handle}")).status == 410
    assert (await shelf.follower.send(shelf.follower.follow(gone.uri), gone.actor.inbox)).status == 410
    assert (await shelf.follower.send(shelf.follower.follow(gone.uri), f"{shelf.amina.site.base}/users/nobody/inbox")).status == 404


async def test_b19_a_moved_actor_says_where_to_and_stays(shelf: Shelf) -> None:
    mover = await shelf.world.person("mover@a")
    target = shelf.stranger
    target.overrides["alsoKnownAs"] = [mover.uri]
    await social.move(shelf.amina.site.instance, mover.actor, target.handle)
    answer = await shelf.get(mover.uri)
    assert (answer.status, answer.json["movedTo"]) == (200, target.id)


async def test_b20_there_is_no_media_and_no_file_is_served_as_activitypub(shelf: Shelf) -> None:
    """This version takes no uploads; what is static has its own types."""
    css = await shelf.get("/static/fedmatch.css", "*/*")
    assert css.header("content-type").startswith("text/css")
    for path in ("/media/x.json", "/static/x.json", "/static/../instance.toml", "/uploads/x"):
        assert (await shelf.get(path, AP)).status in {400, 404}


async def test_b21_no_document_of_ours_names_blind_copies(shelf: Shelf) -> None:
    for post in shelf.posts.values():
        answer = await shelf.follower.get(post.uri)
        assert not {"bto", "bcc"} & set(answer.json)
    for activity in shelf.peer.activities():
        assert not {"bto", "bcc"} & set(activity)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_b22_head_and_options_are_no_trouble(shelf: Shelf, method: str) -> None:
    for url in (shelf.amina.uri, shelf.posts["public"].uri, f"{shelf.amina.uri}/outbox"):
        answer = await http(method, url, [("Accept", AP), ("Origin", "https://client.example"), ("Access-Control-Request-Method", "GET")])
        assert answer.status in {200, 204}
        assert answer.header("access-control-allow-origin") == "*"
        assert answer.body == b"" or method == "OPTIONS"


async def test_public_is_written_in_full(shelf: Shelf) -> None:
    """Section 13: snac compares with the full IRI."""
    note = (await shelf.get(shelf.posts["public"].uri)).json
    assert PUBLIC in note["to"]
    assert not {"as:Public", "Public"} & {*note["to"], *note["cc"]}
