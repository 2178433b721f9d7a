"""What leaves, and to whom?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors import follows
from actors.known import Actor
from actors.vault import Locked
from outbox.address import Audience
from outbox.publish import TooLarge, forward, publish
from schemas.activities import Accept, Activity, Announce, Create, Delete, Follow, Update
from schemas.objects import PUBLIC, Note, Tombstone
from schemas.reading import Iri
from tests.house import BASE, PAIR, House, build, configure
from tests.messages import proof_holds

POST = Iri(f"{BASE}/posts/7")


@pytest.fixture
async def house(database, tmp_path: Path) -> House:
    return await build(database, configure(tmp_path))


async def following(house: House, followed: Actor, name: str, host: str) -> Actor:
    follower = await house.stranger(name, host)
    asked = Follow(id=Iri(f"{follower.uri}/follows/1"), actor=follower.uri, object=followed.uri)
    assert isinstance(await house.write(follows.received, house.instance, asked, follower, followed), Accept)
    return follower


async def all_of(house: House, sql: str) -> Sequence[Any]:
    async def read(tx):
        return [dict(row) for row in await tx.all(sql)]

    return await house.read(read)


async def deliveries(house: House) -> list[tuple[str, str, str]]:
    """Kind, inbox host and state of every delivery, in the order of sending."""
    sql = """
    select outgoing.kind, host.name, delivery.state
    from delivery join outgoing on outgoing.id = delivery.outgoing_id join host on host.id = delivery.host_id
    order by outgoing.id, host.name
    """
    return [(row["kind"], row["name"], row["state"]) for row in await all_of(house, sql)]


def note(author: Actor, content: str = "<p>words</p>", *to: str) -> Note:
    return Note(POST, author.uri, content, to=tuple(map(Iri, to)) or (PUBLIC,), cc=() if to else (author.followers,))


def create(author: Actor, *to: str, content: str = "<p>words</p>") -> Create:
    made = note(author, content, *to)
    return Create(id=Iri(f"{POST}/activity"), actor=author.uri, object=made, to=made.to, cc=made.cc)


def update(author: Actor, number: int) -> Update:
    made = note(author, f"<p>words {number}</p>")
    return Update(id=Iri(f"{POST}#updates/{number}"), actor=author.uri, object=made, to=made.to, cc=made.cc)


def delete(author: Actor, *to: str) -> Delete:
    return Delete(id=Iri(f"{POST}#delete"), actor=author.uri, object=Tombstone(POST, "Note"), to=tuple(map(Iri, to)) or (PUBLIC,))


async def send(house: House, sender: Actor, activity: Activity, audience: Audience) -> int:
    return await house.write(publish, house.instance, sender, activity, audience, object=POST, ordering_key=POST)


async def test_one_sealed_body_and_a_row_for_each_inbox(house: House) -> None:
    amina = await house.person("amina")
    for name, host in (("bo", "one.example"), ("cy", "one.example"), ("di", "two.example")):
        await following(house, amina, name, host)
    outgoing = await send(house, amina, create(amina), Audience(followers_of=(amina.id,)))
    row = (await all_of(house, "select * from outgoing"))[0]
    assert (row["id"], row["uri"], row["kind"], row["object"], row["ordering_key"]) == (outgoing, f"{POST}/activity", "Create", POST, POST)
    assert b"words" not in bytes(row["body"])
    body = json.loads(house.instance.vault.open(bytes(row["body"]), f"outgoing:{outgoing}"))
    assert body["id"] == f"{POST}/activity"
    assert body["object"]["content"] == "<p>words</p>"
    rows = await all_of(house, "select delivery.*, host.next_at as wake from delivery join host on host.id = delivery.host_id order by inbox")
    assert [row["inbox"] for row in rows] == ["https://one.example/inbox", "https://two.example/inbox"]
    assert {(row["state"], row["attempts"], row["next_at"], row["wake"]) for row in rows} == {("waiting", 0, house.clock.ms(), house.clock.ms())}


async def test_what_is_direct_goes_to_personal_inboxes_and_what_is_for_followers_is_folded(house: House) -> None:
    amina = await house.person("amina")
    bo = await following(house, amina, "bo", "one.example")
    await send(house, amina, create(amina, bo.uri), Audience(actors=(bo.id,)))
    assert [row["inbox"] for row in await all_of(house, "select inbox from delivery")] == [bo.inbox]
    narrow = Create(id=Iri(f"{BASE}/activities/2"), actor=amina.uri, object=note(amina, "x", amina.followers), to=(amina.followers,))
    await send(house, amina, narrow, Audience(followers_of=(amina.id,)))
    assert [row["inbox"] for row in await all_of(house, "select inbox from delivery order by outgoing_id")] == [bo.inbox, bo.shared_inbox]


async def test_what_nobody_elsewhere_gets_leaves_no_body(house: House) -> None:
    amina = await house.person("amina")
    await send(house, amina, create(amina), Audience(followers_of=(amina.id,)))
    assert [row["body"] for row in await all_of(house, "select body from outgoing")] == [None]


async def test_an_activity_of_more_than_64_kib_is_refused(house: House) -> None:
    amina = await house.person("amina")
    with pytest.raises(TooLarge, match="65536"):
        await send(house, amina, create(amina, content="ش" * 40_000), Audience())
    assert await all_of(house, "select * from outgoing") == []


async def test_an_activity_without_an_id_is_a_mistake_of_ours(house: House) -> None:
    amina = await house.person("amina")
    with pytest.raises(ValueError, match="has an id"):
        await send(house, amina, Announce(id=None, actor=amina.uri, object=POST), Audience())


async def test_a_locked_instance_still_seals_what_leaves(house: House) -> None:
    amina = await house.person("amina")
    bo = await following(house, amina, "bo", "one.example")
    house.instance.vault.lock()
    await send(house, amina, create(amina, bo.uri), Audience(actors=(bo.id,)))
    assert b"words" not in bytes((await all_of(house, "select body from outgoing"))[0]["body"])


async def test_a_create_that_never_left_becomes_its_delete_alone(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "one.example")
    everybody = Audience(followers_of=(amina.id,))
    await send(house, amina, create(amina), everybody)
    await send(house, amina, update(amina, 1), everybody)
    await send(house, amina, delete(amina), everybody)
    assert await deliveries(house) == [
        ("Create", "one.example", "superseded"),
        ("Update", "one.example", "superseded"),
        ("Delete", "one.example", "waiting"),
    ]
    bodies = {row["kind"]: row["body"] for row in await all_of(house, "select kind, body from outgoing")}
    assert bodies["Create"] is None
    assert bodies["Update"] is None
    assert bodies["Delete"] is not None


async def test_a_delete_also_goes_where_its_create_went_before(house: House) -> None:
    amina = await house.person("amina")
    bo = await following(house, amina, "bo", "one.example")
    cy = await house.stranger("cy", "two.example")
    await send(house, amina, create(amina), Audience((cy.id,), (amina.id,)))
    await house.write(follows.decide, house.instance, amina, bo, False)
    await send(house, amina, delete(amina), Audience(followers_of=(amina.id,)))
    assert [row for row in await deliveries(house) if row[0] == "Delete"] == [("Delete", "one.example", "waiting"), ("Delete", "two.example", "waiting")]


async def test_a_newer_update_replaces_the_undelivered_one_behind_its_create(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "one.example")
    everybody = Audience(followers_of=(amina.id,))
    await send(house, amina, create(amina), everybody)
    await send(house, amina, update(amina, 1), everybody)
    await send(house, amina, update(amina, 2), everybody)
    assert await deliveries(house) == [
        ("Create", "one.example", "waiting"),
        ("Update", "one.example", "superseded"),
        ("Update", "one.example", "waiting"),
    ]


async def test_what_is_in_flight_is_not_taken_back(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "one.example")
    everybody = Audience(followers_of=(amina.id,))
    await send(house, amina, create(amina), everybody)

    async def fly(tx) -> None:
        await tx.execute("update delivery set lease_until = :until", until=house.clock.ms() + 45_000)

    await house.write(fly)
    await send(house, amina, delete(amina), everybody)
    assert await deliveries(house) == [("Create", "one.example", "waiting"), ("Delete", "one.example", "waiting")]


async def test_other_things_are_left_alone(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "one.example")
    everybody = Audience(followers_of=(amina.id,))
    await send(house, amina, create(amina), everybody)
    boost = Announce(id=Iri(f"{BASE}/activities/5"), actor=amina.uri, object=Iri("https://x.example/1"), to=(PUBLIC,))
    await house.write(publish, house.instance, amina, boost, everybody, object=boost.object, ordering_key="https://x.example/1")
    await send(house, amina, delete(amina), everybody)
    assert ("Announce", "one.example", "waiting") in await deliveries(house)


async def test_the_order_of_sending_holds_though_the_clock_goes_back(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "one.example")
    everybody = Audience(followers_of=(amina.id,))

    class Backwards:
        def __init__(self) -> None:
            self.next = 10**15

        def new(self, at_ms: int | None = None) -> int:
            self.next -= 1_000_000
            return self.next

    house.instance.ids = Backwards()
    first = await send(house, amina, create(amina), everybody)
    second = await send(house, amina, update(amina, 1), everybody)
    assert second > first


async def test_what_waits_behind_a_retry_is_not_due_before_it(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "one.example")
    everybody = Audience(followers_of=(amina.id,))
    await send(house, amina, create(amina), everybody)
    later = house.clock.ms() + 60_000

    async def put_off(tx) -> None:
        await tx.execute("update delivery set next_at = :later", later=later)
        await tx.execute("update host set next_at = :later", later=later)

    await house.write(put_off)
    await send(house, amina, update(amina, 1), everybody)
    assert [row["next_at"] for row in await all_of(house, "select next_at from delivery")] == [later, later]
    assert [row["next_at"] for row in await all_of(house, "select next_at from host where name = 'one.example'")] == [later]


async def test_what_others_wrote_goes_on_as_it_came_once_and_not_back(house: House) -> None:
    amina = await house.person("amina")
    writer = await following(house, amina, "bo", "writer.example")
    await following(house, amina, "cem", "reader.example")
    assert writer.host_id is not None
    body, uri, reply = b'{"type" :  "Create"}', Iri("https://writer.example/activities/1"), Iri("https://writer.example/notes/1")

    async def go_on(kind: str, uri: Iri, body: bytes = body) -> bool:
        sent: bool = await house.write(
            forward,
            house.instance,
            amina,
            body,
            uri=uri,
            kind=kind,
            audience=Audience(followers_of=(amina.id,)),
            leaving_out=frozenset({writer.host_id}),
            object=reply,
        )
        return sent

    assert await go_on("Create", uri)
    assert not await go_on("Create", uri)
    assert await deliveries(house) == [("Create", "reader.example", "waiting")]
    (row,) = await all_of(house, "select id, actor_id, body from outgoing")
    assert row["actor_id"] == amina.id
    assert house.instance.vault.open(bytes(row["body"]), f"outgoing:{row['id']}") == body
    # What was not delivered yet and is taken back is not delivered at all.
    assert await go_on("Delete", Iri(f"{uri}#delete"))
    assert await deliveries(house) == [("Create", "reader.example", "superseded"), ("Delete", "reader.example", "waiting")]
    with pytest.raises(TooLarge):
        await go_on("Create", Iri(f"{uri}/2"), b"x" * 70_000)


async def test_a_proof_is_by_the_senders_own_key_and_waits_for_the_unlock(house: House) -> None:
    amina = await house.person("amina")
    await following(house, amina, "bo", "peer.example")
    audience = Audience(followers_of=(amina.id,))
    house.instance.vault.lock()
    with pytest.raises(Locked):
        await house.write(publish, house.instance, amina, create(amina), audience, object=POST, ordering_key=POST, proven=True)
    assert await all_of(house, "select id from outgoing") == []
    house.instance.vault.unlock(bytes.fromhex((house.instance.config.folder / "vault.key").read_text().split()[-1]))
    await house.write(publish, house.instance, amina, create(amina), audience, object=POST, ordering_key=POST, proven=True)
    (row,) = await all_of(house, "select id, body from outgoing")
    sent = json.loads(house.instance.vault.open(bytes(row["body"]), f"outgoing:{row['id']}"))
    assert sent["proof"]["verificationMethod"] == f"{amina.uri}#ed25519-key"
    assert proof_holds(sent, PAIR.ed25519_public)
