"""Rows D1-D10, E1-E11 and rotated keys: how we sign, what others must believe, and whose words pass through. One world for all."""

import asyncio
import json
import re
from hashlib import sha256
from typing import Any

import pytest
from click.testing import CliRunner

from actors import remote
from actors.remote import Budget, FetchFailed
from fedmatch import people, rotation
from fedmatch.cli.main import main
from fedmatch.safety import reports
from schemas.publickeys import from_multibase
from tests.fakepeer import AS2, PUBLIC, FakeActor, FakePeer, Heard, pair
from tests.messages import body_of, ld_proven, proof_holds, proven
from tests.wire import Reply, reply_json
from tests.world import Person, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def follower(world: World, peer: FakePeer, of: Person, name: str = "p1") -> FakeActor:
    """Somebody there who follows somebody here; the log starts afterwards."""
    actor = peer.actor(name)
    assert (await actor.send(actor.follow(of.uri), of.actor.inbox)).status == 202
    await world.settle()
    peer.log.clear()
    return actor


def posts(peer: FakePeer) -> list[Heard]:
    return [heard for heard in peer.log if heard.asked.method == "POST"]


def scheme(heard: Heard) -> str:
    return "rfc9421" if heard.asked.header("signature-input") else "cavage"


async def remembered(amina: Person, peer: FakePeer) -> str:
    return (await amina.site.rows("select scheme from host where name = :name", name=peer.host))[0]["scheme"]


async def test_c31_a_private_post_is_shown_to_whom_it_addresses_by_either_scheme(world: World, amina: Person, peer: FakePeer) -> None:
    p1, p2 = peer.actor("p1"), (await world.peer()).actor("p2")
    post = await amina.post(f"for you, @{p1.handle}", "direct", to=[p1.handle])
    for mode in ("cavage", "hs2019", "rfc9421"):
        shown = await p1.get(post.uri, mode)
        assert (shown.status, shown.json["id"]) == (200, post.uri)
        assert "no-store" in shown.header("cache-control")
        assert (await p2.get(post.uri, mode)).status == 404
    await world.settle()


async def test_what_was_for_somebody_and_is_deleted_is_410_for_them_and_404_for_the_rest(world: World, amina: Person, peer: FakePeer) -> None:
    p1, p3 = await follower(world, peer, amina), (await world.peer()).actor("p3")
    direct, private = await amina.post(f"for you, @{p1.handle}", "direct", to=[p1.handle]), await amina.post("for followers", "followers")
    await world.settle()
    for post in (direct, private):
        await amina.delete(post.uri)
        await world.settle()
        gone = await p1.get(post.uri, "rfc9421")
        assert (gone.status, gone.json["type"], gone.json["id"]) == (410, "Tombstone", post.uri)
        missing = await p3.get(f"{amina.site.base}/posts/1")
        hidden = await p3.get(post.uri)
        assert (hidden.status, hidden.body) == (missing.status, missing.body) == (404, missing.body)
        assert (await amina.site.get(post.uri)).status == 404


async def test_d1_a_delivery_verifies_and_covers_what_peers_insist_on(world: World, amina: Person, peer: FakePeer) -> None:
    await follower(world, peer, amina)
    await amina.post("hello")
    await world.settle()
    (heard,) = posts(peer)
    assert (heard.signature, heard.status) == ("valid", 202)
    header = heard.asked.header("signature")
    assert f'keyId="{amina.uri}#main-key"' in header
    assert 'algorithm="rsa-sha256"' in header
    assert 'headers="(request-target) host date digest content-type"' in header


async def test_d2_a_refused_cavage_is_knocked_again_with_rfc_9421_and_remembered(world: World, amina: Person, peer: FakePeer) -> None:
    await follower(world, peer, amina)
    peer.reads = {"rfc9421"}
    await amina.post("first")
    await world.settle()
    assert [(scheme(heard), heard.status) for heard in posts(peer)] == [("cavage", 401), ("rfc9421", 202)]
    first, second = posts(peer)
    assert second.signature == "valid"
    assert first.asked.body == second.asked.body
    assert '("@method" "@target-uri" "content-digest");created=' in second.asked.header("signature-input")
    assert await remembered(amina, peer) == "rfc9421"
    # And the next time that is how we knock
    peer.log.clear()
    await amina.post("second")
    await world.settle()
    assert [(scheme(heard), heard.status) for heard in posts(peer)] == [("rfc9421", 202)]


async def test_d3_a_refused_rfc_9421_goes_back_to_cavage(world: World, amina: Person, peer: FakePeer) -> None:
    await follower(world, peer, amina)
    peer.reads = {"rfc9421"}
    await amina.post("first")
    await world.settle()
    peer.reads = {"cavage"}
    peer.log.clear()
    await amina.post("second")
    await world.settle()
    assert [(scheme(heard), heard.status) for heard in posts(peer)] == [("rfc9421", 401), ("cavage", 202)]
    assert await remembered(amina, peer) == "cavage"


@pytest.mark.parametrize(("first", "second"), [(401, 400), (400, 401), (401, 500), (401, 503)])
async def test_d3_two_refusals_change_nothing_and_do_not_end_it(world: World, amina: Person, peer: FakePeer, first: int, second: int) -> None:
    p1 = await follower(world, peer, amina)
    peer.replies("/inbox", Reply(first), Reply(second))
    await amina.post("said in vain")
    await world.settle()
    assert len(posts(peer)) == 2
    assert await remembered(amina, peer) == "cavage"
    # It is tried again, and a 5xx to a scheme that is not known there is no failure of the host's.
    assert (await amina.site.rows("select failures from host where name = :name", name=peer.host))[0]["failures"] == 0
    await world.later(minutes=10)
    assert peer.activities("Create")[-1]["actor"] == amina.uri
    assert p1.name == "p1"


async def test_d4_a_fetch_is_signed_by_the_instance_actor_and_says_what_we_are(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    await people.find(amina.site.instance, p1.handle)
    (heard,) = peer.asked("/users/p1")
    assert heard.signature == "valid"
    assert f'keyId="{amina.site.base}/actor#main-key"' in heard.asked.header("signature")
    assert "application/activity+json" in heard.asked.header("accept")
    assert heard.asked.header("user-agent").startswith("fedmatch/")


async def test_d4_a_fetch_knocks_twice_as_well(world: World, amina: Person, peer: FakePeer) -> None:
    peer.guarded, peer.reads = True, {"rfc9421"}
    p1 = peer.actor("p1")
    assert (await people.find(amina.site.instance, p1.handle)).uri == p1.id
    assert [(scheme(heard), heard.status) for heard in peer.asked("/users/p1")] == [("cavage", 401), ("rfc9421", 200)]
    # What a GET shows is not held against deliveries: a server that answers 202 before it verifies would lose them without a word.
    assert await remembered(amina, peer) == "cavage"


async def test_d4_a_page_is_asked_for_without_the_query_in_the_signature_as_well(world: World, amina: Person, peer: FakePeer) -> None:
    # Given a peer that reads draft-cavage alone, and takes the path alone for the target, as Fedify does
    peer.guarded, peer.reads, peer.reads_query = True, {"cavage"}, False
    instance, page = amina.site.instance, f"{peer.base}/pages?page=true"
    peer.documents["/pages"] = {"@context": AS2, "id": page, "type": "OrderedCollectionPage", "orderedItems": []}
    assert not isinstance(await remote.fetch_document(instance, page, budget=Budget(3)), FetchFailed)
    assert [heard.status for heard in peer.asked("/pages")] == [401, 200]
    # A peer that takes both is asked once, one that takes neither three times, and each costs
    peer.log.clear()
    peer.reads_query = True
    assert not isinstance(await remote.fetch_document(instance, page, budget=Budget(1)), FetchFailed)
    peer.reads = set()
    budget = Budget(5)
    assert isinstance(await remote.fetch_document(instance, page, budget=budget), FetchFailed)
    assert ([heard.status for heard in peer.asked("/pages")], budget.left) == ([200, 401, 401, 401], 2)


async def test_d5_every_hop_is_signed_anew(world: World, amina: Person, peer: FakePeer) -> None:
    p1, other = peer.actor("p1"), await world.peer()
    peer.guarded = other.guarded = True
    # To another path of the same host
    peer.always("/users/p1", Reply(302, headers=(("Location", f"{peer.base}/people/p1?full=1"),)))
    peer.documents["/people/p1"] = p1.document()
    assert (await people.find(amina.site.instance, p1.handle)).uri == p1.id
    assert [heard.signature for heard in (*peer.asked("/users/p1"), *peer.asked("/people/p1"))] == ["valid", "valid"]
    # To another host: signed for that one, and never with what was meant for the first
    p2 = peer.actor("p2")
    peer.always("/users/p2", Reply(307, headers=(("Location", f"{other.base}/users/p2"),)))
    other.documents["/users/p2"] = p2.document()
    with pytest.raises(people.NotFound):
        await people.find(amina.site.instance, p2.handle)
    (there,) = other.asked("/users/p2")
    assert there.signature == "valid"
    # Not without end
    p3 = peer.actor("p3")
    peer.always("/users/p3", Reply(302, headers=(("Location", f"{peer.base}/users/p3"),)))
    with pytest.raises(people.NotFound):
        await people.find(amina.site.instance, p3.handle)
    assert len(peer.asked("/users/p3")) <= 5


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2/",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "http://[::ffff:10.0.0.1]/",
        "http://[::a00:1]/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
    ],
)
async def test_d6_nobody_sends_us_to_a_private_address(world: World, amina: Person, peer: FakePeer, target: str) -> None:
    p1 = peer.actor("p1")
    peer.always("/users/p1", Reply(302, headers=(("Location", target),)))
    with pytest.raises(people.NotFound):
        await people.find(amina.site.instance, p1.handle)
    assert len(peer.asked("/users/p1")) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_d7_a_delivery_is_never_replayed_to_another_host(world: World, amina: Person, peer: FakePeer, status: int) -> None:
    await follower(world, peer, amina)
    other = await world.peer()
    peer.always("/inbox", Reply(status, headers=(("Location", f"{other.base}/inbox"),)))
    await amina.post("for you alone")
    await world.settle()
    assert len(posts(peer)) == 1
    assert other.log == []


async def test_d8_two_servers_that_both_want_signatures_find_each_other(world: World, peer: FakePeer) -> None:
    # Given a peer that shows documents to signed requests only and signs its own, and an instance of ours that does the same
    peer.guarded = True
    peer.actor("actor", "Application")
    strict = await world.person("strict@closed") if "closed" in world.sites else None
    if strict is None:
        await world.site("closed", signed_only="true")
        strict = await world.person("strict@closed")
    # When somebody there follows somebody here, and is written to
    p1 = await follower(world, peer, strict)
    assert await strict.followers() == [p1.id]
    await strict.post("hello")
    await world.settle()
    # Then each found the other's key by asking with its instance actor, which both show to everybody
    assert [activity["type"] for activity in peer.activities()] == ["Create"]
    assert (await strict.site.get("/users/strict")).status == 401


async def test_d9_what_is_for_followers_carries_the_digest_of_those_there(world: World, amina: Person, peer: FakePeer) -> None:
    # Given two followers there, one elsewhere, and one there who unfollowed
    p1, p2 = await follower(world, peer, amina), peer.actor("p2")
    p3, far = peer.actor("p3"), await world.peer()
    await follower(world, far, amina)
    for other in (p2, p3):
        asked = other.follow(amina.uri)
        await other.send(asked, amina.actor.inbox)
        await world.settle()
    await p3.send(p3.activity("Undo", asked), amina.actor.inbox)
    await world.settle()
    peer.log.clear()
    # When she writes to her followers, and to everybody
    await amina.post("for followers", "followers")
    await amina.post("for everybody")
    await world.settle()
    private, public = posts(peer)
    # Then the first carries the header, signed, with the digest of exactly those two
    header = private.asked.header("collection-synchronization")
    stated = dict(re.findall(r'(\w+)="([^"]*)"', header))
    both = int.from_bytes(sha256(p1.id.encode()).digest()) ^ int.from_bytes(sha256(p2.id.encode()).digest())
    assert (stated["collectionId"], stated["digest"]) == (amina.actor.followers, f"{both:064x}")
    assert "collection-synchronization" in private.asked.header("signature").partition('headers="')[2].partition('"')[0].split()
    assert private.signature == "valid"
    assert public.asked.header("collection-synchronization") == ""
    # And at its url stands that list, for a signer of that server alone, on our own host
    assert stated["url"].startswith(f"{amina.site.base}/")
    assert (await amina.site.get(stated["url"])).status == 401
    shown = await p2.get(stated["url"])
    assert (shown.status, sorted(shown.json["orderedItems"])) == (200, sorted([p1.id, p2.id]))
    assert len((await far.actors["p1"].get(stated["url"])).json["orderedItems"]) == 1


async def test_d10_a_retry_is_signed_freshly_and_says_the_same(world: World, amina: Person, peer: FakePeer) -> None:
    await follower(world, peer, amina)
    peer.replies("/inbox", Reply(503))
    await amina.post("said once")
    await world.settle()
    await world.later(hours=3)
    first, second = posts(peer)
    assert (first.status, second.status) == (503, 202)
    assert first.asked.body == second.asked.body
    assert first.asked.header("date") != second.asked.header("date")
    assert second.signature == "valid"


# --- keys of ours that change


async def test_f39_the_instances_own_actor_gets_new_keys_at_the_command_line(world: World, amina: Person, peer: FakePeer) -> None:
    # First of these, while the clock of the command and that of this world are less than a week apart.
    # Given a server that heard a Flag of our instance
    p1 = peer.actor("p1")
    await reports.send(amina.site.instance, amina.actor, p1.handle, "he shouts", forward=True)
    await world.settle()
    assert [activity["type"] for activity in peer.activities()] == ["Flag"]
    before = (await amina.site.get("/actor")).json
    peer.log.clear()
    # When an admin types the command, beside the running server
    result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(amina.site.config.path), "--json", "instance", "rotate-keys"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"url": f"{amina.site.base}/actor", "state": "active"}
    await world.settle()
    old = {key["id"] for key in before["assertionMethod"]}

    async def renewed() -> bool:
        return (await amina.site.get("/actor")).json["proof"]["verificationMethod"] not in old

    await world.until(renewed)  # what another process wrote is noticed within a moment
    # Then that server is told in words the old key signs, the document proves itself with the new, and fetches are signed with the new
    (news,) = posts(peer)
    assert (news.activity["type"], news.signature, f'keyId="{before["publicKey"]["id"]}"' in news.asked.header("signature")) == ("Update", "valid", True)
    after = (await amina.site.get("/actor")).json
    assert after["publicKey"]["id"] != before["publicKey"]["id"]
    (key,) = [key for key in after["assertionMethod"] if key["id"] == after["proof"]["verificationMethod"]]
    assert proof_holds(after, from_multibase(key["publicKeyMultibase"])[1])
    await people.find(amina.site.instance, peer.actor("p4").handle)
    (asked,) = peer.asked("/users/p4")
    assert f'keyId="{after["publicKey"]["id"]}"' in asked.asked.header("signature")


async def test_f39_new_keys_are_announced_by_the_old_and_used_for_what_waits(world: World, peer: FakePeer) -> None:
    # Given somebody with a follower who is out of reach, a post that waits for it, and another follower who is there
    bea = await world.person("bea@a")
    down = await world.peer()
    await follower(world, peer, bea)
    await follower(world, down, bea)
    down.replies("/inbox", Reply(503))
    waiting = await bea.post("written before")
    await world.settle()
    before = (await bea.site.get("/users/bea")).json
    peer.log.clear()
    # When the keys are changed
    await rotation.rotate_keys(bea.site.instance, bea.actor)
    await world.settle()
    # Then the news is signed with the old key
    (news,) = posts(peer)
    assert (news.activity["type"], news.activity["object"]["id"], news.signature) == ("Update", bea.uri, "valid")
    assert f'keyId="{bea.uri}#main-key"' in news.asked.header("signature")
    after = (await bea.site.get("/users/bea")).json
    assert news.activity["object"]["publicKey"] == after["publicKey"]
    assert after["publicKey"]["id"].startswith(f"{bea.uri}#main-key-")
    assert after["updated"] > before.get("updated", "")
    # And the old keys are still listed, each readable by its kind
    listed = {key["id"]: from_multibase(key["publicKeyMultibase"]) for key in after["assertionMethod"]}
    assert {name.rpartition("#")[2]: kind for name, (kind, _) in listed.items() if name in (f"{bea.uri}#main-key", f"{bea.uri}#ed25519-key")} == {
        "main-key": "rsa",
        "ed25519-key": "ed25519",
    }
    assert len(listed) == 3
    # And what waits, and what comes, is signed with the new one
    await world.later(hours=1)
    assert [heard.signature for heard in posts(down) if heard.status == 202] == ["valid", "valid"]
    (late,) = [heard for heard in posts(down) if heard.status == 202 and heard.activity["type"] == "Create"]
    assert late.activity["object"]["id"] == waiting.uri
    assert f'keyId="{after["publicKey"]["id"]}"' in late.asked.header("signature")
    await bea.post("written after")
    await world.settle()
    assert f'keyId="{after["publicKey"]["id"]}"' in posts(peer)[-1].asked.header("signature")
    # And after a week the old ones are gone
    world.clock.move(days=7, hours=1)
    final = (await bea.site.get("/users/bea")).json
    assert [key["id"].partition("#")[2][:12] for key in final["assertionMethod"]] == ["ed25519-key-"]
    assert final["publicKey"] == after["publicKey"]


async def test_f39_a_second_change_within_the_week_is_signed_with_what_others_know(world: World, peer: FakePeer) -> None:
    cora = await world.person("cora@a")
    await follower(world, peer, cora)
    for _ in range(2):
        await rotation.rotate_keys(cora.site.instance, cora.actor)
        await world.settle()
    assert {heard.signature for heard in posts(peer)} == {"valid"}
    assert [f'keyId="{cora.uri}#main-key"' in heard.asked.header("signature") for heard in posts(peer)] == [True, True]


# --- proofs


async def carried(world: World, amina: Person, peer: FakePeer, activity: dict[str, Any] | bytes) -> int:
    """Somebody else's activity, brought by p2 of the same server."""
    carrier = peer.actors.get("p2") or peer.actor("p2")
    status = (await carrier.send(activity, amina.actor.inbox)).status
    await world.settle()
    return status


def told(amina: Person, p1: FakeActor, text: str) -> dict[str, Any]:
    """A Create by p1 for amina that no GET at its server will ever show."""
    note = p1.direct(f"<p>{text}</p>", amina.uri, f"@{amina.handle}")
    p1.peer.documents.clear()
    return {**p1.create(note), "@context": [AS2, "https://w3id.org/security/data-integrity/v2"]}


def by(p1: FakeActor, activity: dict[str, Any], **options: Any) -> dict[str, Any]:
    return proven(activity, p1.keys.ed25519, f"{p1.id}#ed25519-key", p1.peer.now(), **options)


async def test_e2_a_proof_of_its_actor_makes_a_carried_activity_the_actors(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    p1.keys = pair("p1")
    activity = by(p1, told(amina, p1, "proven words"))
    assert await carried(world, amina, peer, activity) == 202
    assert "proven words" in (await amina.reads())[-1]
    (row,) = await amina.site.rows("select actor.uri from post join actor on actor.id = post.actor_id where post.uri = :uri", uri=activity["object"]["id"])
    assert row["uri"] == p1.id
    # Nobody asked its origin: the proof is enough.
    assert peer.asked(activity["id"].removeprefix(peer.base)) == []
    # And once is once, whoever brings it
    await carried(world, amina, peer, activity)
    assert (await p1.send(activity, amina.actor.inbox)).status == 202
    await world.settle()
    assert sum("proven words" in text for text in await amina.reads()) == 1


def changed(activity: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(activity).replace("proven words", "proven wordz"))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda p1, plain: changed(by(p1, plain)), id="e3-one-byte-changed"),
        pytest.param(lambda p1, plain: by(p1, plain, proofPurpose="authentication"), id="e3-another-purpose"),
        pytest.param(lambda p1, plain: by(p1, plain, expires="2020-01-01T00:00:00Z"), id="e3-expired"),
        pytest.param(lambda p1, plain: by(p1.peer.actors["p2"], plain), id="e3-the-key-of-the-carrier"),
        pytest.param(lambda p1, plain: proven(plain, p1.keys.ed25519, f"{p1.peer.actors['p2'].id}#ed25519-key", p1.peer.now()), id="e3-the-carriers-key-named"),
        pytest.param(lambda p1, plain: proven(plain, pair("p2").ed25519, f"{p1.id}#ed25519-key", p1.peer.now()), id="e3-signed-by-somebody-else"),
        pytest.param(lambda p1, plain: proven(plain, p1.keys.ed25519, f"{p1.id}#main-key", p1.peer.now()), id="e3-the-name-of-the-rsa-key"),
        pytest.param(lambda p1, plain: {**by(p1, plain), "proof": "rubbish"}, id="e3-rubbish"),
        pytest.param(lambda p1, plain: {**by(p1, plain), "@context": [AS2, "https://w3id.org/security/v1"]}, id="e4-context-is-no-prefix"),
    ],
)
async def test_e3_e4_a_proof_that_does_not_hold_is_no_word_of_its_actor(world: World, amina: Person, peer: FakePeer, spoil: Any) -> None:
    p1, p2 = peer.actor("p1"), peer.actor("p2")
    p1.keys, p2.keys = pair("p1"), pair("p2")
    before = await amina.reads()
    activity = spoil(p1, told(amina, p1, "proven words"))
    assert await carried(world, amina, peer, activity) == 202
    assert await amina.reads() == before
    # Its origin was asked instead, and shows nothing.
    assert [heard.status for heard in peer.asked(activity["id"].removeprefix(peer.base))] == [404]


async def test_e3_a_key_on_another_server_is_not_even_looked_up(world: World, amina: Person, peer: FakePeer) -> None:
    p1, other = peer.actor("p1"), await world.peer()
    p1.keys = pair("p1")
    activity = by(p1, told(amina, p1, "proven elsewhere"))
    activity["proof"]["verificationMethod"] = f"{other.base}/users/p1#ed25519-key"
    before = await amina.reads()
    assert await carried(world, amina, peer, activity) == 202
    assert (await amina.reads(), other.log) == (before, [])


async def test_e3_a_key_that_only_signs_requests_proves_no_document(world: World, amina: Person, peer: FakePeer) -> None:
    # Given an Ed25519 key that stands in `publicKey`, and is not listed for assertions
    p1 = peer.actor("p1")
    p1.keys = pair("p1")
    both = p1.document()
    p1.overrides = {"publicKey": [both["publicKey"], {**both["assertionMethod"][0], "owner": p1.id}], "assertionMethod": None}
    before = await amina.reads()
    activity = by(p1, told(amina, p1, "proven words"))
    assert await carried(world, amina, peer, activity) == 202
    assert await amina.reads() == before
    assert [heard.status for heard in peer.asked(activity["id"].removeprefix(peer.base))] == [404]
    # But it signs requests
    assert (await p1.send(p1.follow(amina.uri), amina.actor.inbox, "rfc9421", key="ed25519")).status == 202
    await world.settle()
    assert p1.id in await amina.followers()
    # When its actor lists it for assertions too
    p1.overrides = {}
    world.clock.move(minutes=10)
    assert await carried(world, amina, peer, by(p1, told(amina, p1, "asserted words"))) == 202
    assert "asserted words" in (await amina.reads())[-1]


async def test_e2_a_follow_is_not_brought_by_others_however_proven(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    p1.keys = pair("p1")
    follow = by(p1, {**p1.follow(amina.uri), "@context": [AS2]})
    assert await carried(world, amina, peer, follow) == 202
    assert p1.id not in await amina.followers()


async def test_e5_without_a_proof_the_origin_is_asked_and_believed(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    note = p1.direct("<p>as its origin shows it</p>", amina.uri, f"@{amina.handle}")
    genuine = p1.create(note)
    peer.documents[genuine["id"].removeprefix(peer.base)] = genuine
    forged = json.loads(json.dumps(genuine).replace("as its origin shows it", "as the carrier wrote it"))
    assert await carried(world, amina, peer, forged) == 202
    assert "as its origin shows it" in (await amina.reads())[-1]
    assert not any("as the carrier wrote it" in text for text in await amina.reads())


async def test_e6_what_its_origin_does_not_show_is_not_stored(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    before = await amina.reads()
    activity = told(amina, p1, "said by nobody")
    assert await carried(world, amina, peer, activity) == 202
    assert await amina.reads() == before


async def test_e7_an_ld_signature_is_read_by_nobody_and_the_origin_is_asked(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    note = p1.direct("<p>with an LD signature</p>", amina.uri, f"@{amina.handle}")
    genuine = p1.create(note)
    peer.documents[genuine["id"].removeprefix(peer.base)] = genuine
    # One that holds, over other words than its origin has: the origin's are read
    altered = json.loads(json.dumps(genuine).replace("with an LD signature", "signed and never published"))
    assert await carried(world, amina, peer, ld_proven(altered, p1.keys.rsa, p1.key_id)) == 202
    assert "with an LD signature" in (await amina.reads())[-1]
    assert "signed and never published" not in await amina.reads()
    # And one that its origin does not show is nobody's
    unknown = p1.create(p1.direct("<p>signed and unknown</p>", amina.uri, f"@{amina.handle}"))
    peer.documents.clear()
    assert await carried(world, amina, peer, ld_proven(unknown, p1.keys.rsa, p1.key_id)) == 202
    assert "signed and unknown" not in await amina.reads()


@pytest.mark.parametrize("hide", ["@graph", "@included", "@reverse", "redefined"])
async def test_e8_an_actor_hidden_behind_json_ld_is_found_by_nobody(world: World, amina: Person, peer: FakePeer, hide: str) -> None:
    victim, mallory = peer.actor("victim"), peer.actor("p2")
    before = await amina.reads()
    said = {**told(amina, victim, "hidden words"), "signature": {"type": "RsaSignature2017", "creator": victim.key_id, "signatureValue": "AAAA"}}
    if hide == "redefined":
        document = {**said, "@context": [AS2, {"actor": "https://example.org/x", "was": "as:actor"}], "actor": mallory.id, "was": victim.id}
    else:
        document = {"@context": AS2, "id": f"{peer.base}/activities/outer", "type": "Create", "actor": mallory.id, "object": f"{peer.base}/x", hide: [said]}
    assert (await mallory.send(document, amina.actor.inbox)).status in {202, 400, 401, 403}
    await world.settle()
    assert await amina.reads() == before
    assert await amina.site.count("post", "uri = :uri", uri=said["object"]["id"]) == 0


async def test_e9_no_context_is_ever_fetched(world: World, amina: Person, peer: FakePeer) -> None:
    p1 = peer.actor("p1")
    p1.keys = pair("p1")
    for wrap in (lambda activity: activity, lambda activity: by(p1, activity)):
        activity = {**told(amina, p1, "with a context of its own"), "@context": [AS2, f"{peer.base}/evil", {"@import": f"{peer.base}/evil"}]}
        assert (await p1.send(wrap(activity), amina.actor.inbox)).status == 202
        assert await carried(world, amina, peer, wrap(activity)) == 202
    assert peer.asked("/evil") == []


# --- forwarding


async def reply_by(p1: FakeActor, answered: str, *, proof: bool = True, **members: Any) -> bytes:
    """A reply as bytes no serialiser of ours would write."""
    activity = {**p1.create(p1.note("<p>an answer</p>", inReplyTo=answered, **members)), "@context": [AS2, "https://w3id.org/security/data-integrity/v2"]}
    return body_of(by(p1, activity) if proof else activity).replace(b'"type": "Create"', b'"type" :  "Create"')


async def test_e10_a_proven_reply_goes_on_byte_for_byte_but_not_to_where_it_came_from(world: World, peer: FakePeer) -> None:
    dora = await world.person("dora@a")
    third = await world.peer()
    p1, p3 = await follower(world, peer, dora), await follower(world, third, dora, "p3")
    p1.keys = pair("p1")
    post = await dora.post("what do you think?")
    await world.settle()
    third.log.clear()
    peer.log.clear()
    reply = await reply_by(p1, post.uri)
    for _ in range(2):
        assert (await p1.send(reply, dora.actor.inbox)).status == 202
        await world.settle()
    (heard,) = posts(third)
    assert heard.asked.body == reply
    assert (heard.asked.path, heard.signature, heard.status) == ("/inbox", "valid", 202)
    assert f'keyId="{dora.uri}#main-key"' in heard.asked.header("signature")
    assert posts(peer) == []
    # And when it is taken back with a proof, those who heard it hear that too
    note = json.loads(reply)["object"]
    delete = by(p1, {**p1.delete(note), "@context": [AS2]})
    assert (await p1.send(delete, dora.actor.inbox)).status == 202
    await world.settle()
    assert [heard.activity["type"] for heard in posts(third)] == ["Create", "Delete"]
    assert p3.id in await dora.followers()


async def test_e11_what_was_not_for_everybody_or_proves_nothing_goes_nowhere(world: World, peer: FakePeer) -> None:
    elif_ = await world.person("elif@a")
    third = await world.peer()
    p1, _ = await follower(world, peer, elif_), await follower(world, third, elif_, "p3")
    p1.keys = pair("p1")
    private, public = await elif_.post("for followers", "followers"), await elif_.post("for everybody")
    request = await elif_.listing("request", "Legal aid", "Somebody who knows asylum law", categories=["LegalAid"])
    await world.settle()
    third.log.clear()
    said = [
        await reply_by(p1, private.uri),
        await reply_by(p1, private.uri, to=[elif_.uri]),
        await reply_by(p1, public.uri, proof=False),
        await reply_by(p1, public.uri, to=[elif_.uri]),
        await reply_by(p1, public.uri, to=[elif_.actor.followers or "", p1.followers]),
        (await reply_by(p1, public.uri)).replace(b"an answer", b"an ansver"),
        # A public answer to a request is shown to nobody, however proven.
        await reply_by(p1, request.url),
        await reply_by(p1, f"{elif_.site.base}/posts/1"),
    ]
    for reply in said:
        assert (await p1.send(reply, elif_.actor.inbox)).status == 202
    await world.settle()
    assert posts(third) == []


# --- our own proofs


async def key_of(person: Person, method: str) -> bytes:
    document = (await person.site.get(f"/users/{person.actor.username}")).json
    (found,) = [key for key in document["assertionMethod"] if key["id"] == method]
    return from_multibase(found["publicKeyMultibase"])[1]


async def test_offers_carry_a_proof_and_requests_never_do(world: World, peer: FakePeer) -> None:
    fadi = await world.person("fadi@a")
    await follower(world, peer, fadi)
    offer = await fadi.listing("offer", "Swedish asylum law", "Ten years of it", categories=["LegalAid"])
    await world.settle()
    await fadi.change(offer, text="Eleven years of it")
    request = await fadi.listing("request", "A radio station", "Help us sustain it")
    await world.settle()
    await fadi.change(request, text="Help us sustain it for a year")
    await fadi.post("a post")
    await world.settle()
    heard = [(activity["type"], activity["object"].get("purpose"), "proof" in activity) for activity in peer.activities()]
    assert heard == [("Create", "offer", True), ("Update", "offer", True), ("Create", "request", False), ("Update", "request", False), ("Create", None, False)]
    for activity in peer.activities()[:2]:
        method = activity["proof"]["verificationMethod"]
        assert method.partition("#")[0] == fadi.uri == activity["actor"]
        assert activity["proof"]["@context"] == activity["@context"]
        assert "proof" not in activity["object"]
        assert proof_holds(activity, await key_of(fadi, method))
        assert not proof_holds({**activity, "id": "https://elsewhere.example/1"}, await key_of(fadi, method))
    assert PUBLIC in peer.activities()[0]["to"]


async def test_the_application_actor_carries_a_proof_that_holds(world: World, amina: Person) -> None:
    first, second = [(await amina.site.get("/actor")).json for _ in range(2)]
    assert first == second
    (key,) = [key for key in first["assertionMethod"] if key["id"] == first["proof"]["verificationMethod"]]
    assert proof_holds(first, from_multibase(key["publicKeyMultibase"])[1])
    # Another instance still reads it.
    other = await world.peer()
    other.documents["/x"] = reply_json(first)
