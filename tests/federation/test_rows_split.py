"""Rows A7, A9, A12 and B5-B8 where handles live on another name than documents, what our actors announce, and row E1: the published proof."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from quart import Quart

from actors import endpoints, remote
from actors.known import Actor
from actors.remote import Budget
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import SqliteDatabase, open_sqlite
from schemas.objects import Key
from schemas.publickeys import from_multibase
from schemas.reading import Iri
from tests import house
from tests.fakepeer import AP
from tests.letters import move_in, post, rows
from tests.meeting import HOST, Meeting, meeting

HANDLES = "example.org"
BASE = f"http://{HOST}"


@pytest.fixture
async def split(tmp_path: Path) -> AsyncIterator[Meeting]:
    """An instance whose people are called name@example.org and whose documents live on another host."""
    database = await open_sqlite(tmp_path / "fedmatch.db")
    await migrate(database)
    async with meeting(database, tmp_path, host=HANDLES) as met:
        yield met
    await database.close()


async def get(met: Meeting, path: str, host: str = HOST) -> Any:
    app = Quart(__name__)
    app.register_blueprint(endpoints.blueprint(met.instance))
    response = await app.test_client().get(path, headers={"Host": host, "Accept": AP})
    assert response.status_code == 200, path
    return json.loads(await response.get_data())


async def test_a9_both_names_lead_to_one_subject_and_one_actor(split: Meeting) -> None:
    amina = await split.house.person("amina")
    found = [
        await get(split, f"/.well-known/webfinger?resource={resource}", host)
        for host in (HOST, HANDLES)
        for resource in (f"acct:amina@{HANDLES}", f"acct:amina@{HOST}", amina.uri, f"{BASE}/@amina")
    ]
    assert {one["subject"] for one in found} == {f"acct:amina@{HANDLES}"}
    assert {link["href"] for one in found for link in one["links"] if link["rel"] == "self"} == {amina.uri}
    assert amina.uri == f"{BASE}/users/amina"


async def test_a9_the_actor_says_which_of_its_names_counts(split: Meeting) -> None:
    await split.house.person("amina")
    document = await get(split, "/users/amina")
    assert (document["preferredUsername"], document["webfinger"]) == ("amina", f"amina@{HANDLES}")
    # FEP-8fcf and Misskey: everything an actor names lies on the host of its id.
    named = [document[name] for name in ("id", "inbox", "outbox", "followers", "following", "featured", "url")]
    named += [document["endpoints"]["sharedInbox"], document["publicKey"]["id"], document["publicKey"]["owner"], document["assertionMethod"][0]["id"]]
    assert {Iri(iri).split("/")[2] for iri in named} == {HOST}


async def test_a7_a12_the_instance_actor_is_found_by_webfinger_and_nodeinfo(split: Meeting) -> None:
    by_finger = await get(split, f"/.well-known/webfinger?resource={BASE}/")
    service = [link["href"] for link in by_finger["links"] if link["rel"] == "https://www.w3.org/ns/activitystreams#Service"]
    by_nodeinfo = [link["href"] for link in (await get(split, "/.well-known/nodeinfo"))["links"] if link["rel"].endswith("activitystreams#Application")]
    assert service == by_nodeinfo == [f"{BASE}/actor"]
    application = await get(split, "/actor")
    assert (application["id"], application["type"], application["manuallyApprovesFollowers"]) == (f"{BASE}/actor", "Application", True)
    assert application["webfinger"] == f"{application['preferredUsername']}@{HANDLES}"
    assert (await get(split, f"/.well-known/webfinger?resource=acct:{application['webfinger']}"))["links"] == by_finger["links"]


async def test_every_actor_announces_what_it_reads(split: Meeting) -> None:
    await split.house.person("amina")
    rfc9421 = {"href": "https://datatracker.ietf.org/doc/html/rfc9421", "name": "RFC-9421: HTTP Message Signatures"}
    application, person = await get(split, "/actor"), await get(split, "/users/amina")
    assert rfc9421 in application["implements"]
    assert person["generator"]["type"] == "Application"
    assert rfc9421 in person["generator"]["implements"]
    assert "implements" not in person


async def test_b7_b8_the_keys_are_of_the_kinds_that_peers_read(split: Meeting) -> None:
    amina = await split.house.person("amina")
    document = await get(split, "/users/amina")
    assert isinstance(document["publicKey"], dict)
    assert document["publicKey"]["owner"] == amina.uri
    assert load_pem_public_key(document["publicKey"]["publicKeyPem"].encode()).key_size >= 2048  # type: ignore[union-attr]  # RSA
    for key in document["assertionMethod"]:
        assert (key["type"], key["controller"]) == ("Multikey", amina.uri)
        assert from_multibase(key["publicKeyMultibase"])[0] == "ed25519"
        assert key["publicKeyMultibase"].startswith("z6Mk")


async def test_b10_b11_collections_of_people_say_how_many_and_not_who(split: Meeting) -> None:
    amina = await split.house.person("amina")
    fan = await split.house.stranger("fan")

    async def befriend(tx: Any) -> None:
        await tx.execute(
            "insert into follow (id, uri, follower_id, followed_id, state, created_at, changed_at) values (1, 'x', :fan, :amina, 'accepted', 0, 0)",
            fan=fan.id,
            amina=amina.id,
        )

    await split.house.write(befriend)
    followers, following = await get(split, "/users/amina/followers"), await get(split, "/users/amina/following")
    assert (followers["type"], followers["totalItems"], following["totalItems"]) == ("OrderedCollection", 1, 0)
    assert not {"first", "items", "orderedItems", "last"} & (followers.keys() | following.keys())


async def test_a_split_peer_is_found_by_either_name(split: Meeting) -> None:
    p1 = split.peer.actor("p1")
    p1.overrides["webfinger"] = p1.handle
    found = await remote.by_handle(split.instance, p1.handle, Budget(10))
    assert isinstance(found, Actor)
    assert (found.uri, found.handle) == (p1.id, p1.handle)


async def test_e1_the_published_proof_is_believed_whoever_carries_it(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    # FEP-8b32's vector: its key, its document, its value
    alice = Iri("https://server.example/users/alice")
    context = ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/data-integrity/v2"]
    place = {"type": "Place", "longitude": -71.184902, "latitude": 25.273962}
    note = {"id": "https://server.example/objects/1", "type": "Note", "attributedTo": alice, "content": "Hello world", "location": place}
    proof = {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "verificationMethod": f"{alice}#ed25519-key",
        "proofPurpose": "assertionMethod",
        "created": "2023-02-24T23:36:38Z",
        "@context": context,
        "proofValue": "z42ffGu6AUKPCFcFPiabmUvnGLPJzC7e4DGWC52NUasSSH37UMa9c58tdgVszUcZfytxa4fQ5TYHaJENCxUDe9SdL",
    }
    document = {"@context": context, "id": "https://server.example/activities/1", "type": "Create", "actor": alice, "object": note, "proof": proof}
    public = from_multibase("z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2")[1]
    async with move_in(sqlite_database, tmp_path) as built:
        described = house.describe("alice", "server.example")
        listed = (described.keys[0], Key(Iri(f"{alice}#ed25519-key"), alice, "ed25519", public, True))
        await built.write(house.store, built.instance, house.describe("alice", "server.example", keys=listed))
        carrier = await built.stranger("p2")
        assert (await post(built, carrier, document)).status == 202
        assert [row["uri"] for row in await rows(built, "select uri from arrival")] == [document["id"]]
        # One letter more, and it is nobody's word: its origin is asked instead.
        note["content"] = "Hello world!"
        assert (await post(built, carrier, {**document, "id": "https://server.example/activities/2"})).status == 202
        assert [row["uri"] for row in await rows(built, "select uri from arrival")] == [document["id"]]
        assert [row["key"] for row in await rows(built, "select key from job where kind = 'refetch'")] == ["https://server.example/activities/2"]
