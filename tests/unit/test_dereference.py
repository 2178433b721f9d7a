"""Keys and objects are believed as their own server shows them, asked over real HTTP, within a budget."""

import json
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from actors import follows, known
from actors.hosts import Limits
from actors.known import Actor
from actors.remote import Budget
from inbox import dereference, refetch, threads
from inbox.errors import Later
from schemas.config import DevelopmentConfig
from schemas.reading import Iri
from tests.fakepeer import AP, PUBLIC, FakeActor, FakePeer, pair
from tests.house import House
from tests.letters import Got, envelope, knock, move_in, rows, work
from tests.wire import Reply, reply_json

DEVELOPMENT = DevelopmentConfig((ip_network("127.0.0.0/8"), ip_network("::1/128")), plain_http=True)


@pytest.fixture
async def house(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(sqlite_database, tmp_path, base_url="http://ours.example", development=DEVELOPMENT) as moved:
        yield moved


@pytest.fixture
async def peer(house: House) -> AsyncIterator[FakePeer]:
    started = await FakePeer(house.clock.now).start()
    yield started
    await started.stop()


@pytest.fixture
async def other(house: House) -> AsyncIterator[FakePeer]:
    started = await FakePeer(house.clock.now).start()
    yield started
    await started.stop()


async def send(house: House, sender: FakeActor, activity: dict[str, Any], *, keys: str | None = None) -> Got:
    """Posts an activity to the shared inbox, signed with the sender's key (or that of another name, under the sender's key id)."""
    body = json.dumps(activity).encode()
    return await knock(house, envelope(house, sender.key_id, body, key=pair(keys or sender.name).rsa), body)


async def follow(house: House, fake: FakeActor) -> Actor:
    """Lets amina follow a fake actor, which makes it known."""
    amina = await house.read(known.by_name, "amina") or await house.person("amina")
    stranger = await dereference.remote.actor(house.instance, Iri(fake.id), budget=Budget(10))
    assert isinstance(stranger, Actor), stranger

    async def body(tx) -> None:
        asked = await follows.request(tx, house.instance, amina, stranger)
        assert asked is not None
        await tx.execute("update follow set state = 'accepted' where uri = :uri", uri=asked.id)

    await house.write(body)
    return stranger


async def posts(house: House) -> dict[str, str]:
    return {row["uri"]: row["content"] for row in await rows(house, "select uri, content from post where boost_of is null")}


# Keys.


async def test_the_key_of_a_stranger_is_looked_up_once(house: House, peer: FakePeer) -> None:
    bo = peer.actor("bo")
    for _ in range(3):
        assert (await send(house, bo, bo.create(bo.note("hello")))).status == 202
    assert len(peer.asked("/users/bo")) == 1
    assert peer.asked("/users/bo")[0].signature != "none", "we sign what we ask"
    assert len(await rows(house, "select id from arrival")) == 3


async def test_a_rotated_key_is_looked_up_again_once(house: House, peer: FakePeer) -> None:
    bo = peer.actor("bo")
    assert (await send(house, bo, bo.create(bo.note("one")))).status == 202
    bo.keys = pair("bo's new key")
    assert (await send(house, bo, bo.create(bo.note("two")), keys="bo's new key")).status == 202
    before = len(peer.asked("/users/bo"))
    house.clock.move(hours=1)
    for _ in range(3):
        assert (await send(house, bo, bo.create(bo.note("three")), keys="a forger")).status == 401
    assert len(peer.asked("/users/bo")) <= before + 1
    assert len(await rows(house, "select id from arrival")) == 2


@pytest.mark.parametrize(("reply", "status"), [(Reply(503), 503), (Reply(404), 401), (Reply(410), 401), (Reply(200, b"<p>", "text/html"), 401)])
async def test_a_key_that_cannot_be_had(house: House, peer: FakePeer, reply: Reply, status: int) -> None:
    bo = peer.actor("bo")
    peer.always("/users/bo", reply)
    got = await send(house, bo, bo.create(bo.note("hello")))
    assert got.status == status
    assert (b"retry-after" in got.headers) == (status == 503)
    asked = len(peer.asked("/users/bo"))
    await send(house, bo, bo.create(bo.note("again")))
    assert len(peer.asked("/users/bo")) == asked, "a failure is remembered for a while"
    assert await rows(house, "select id from arrival") == []


async def test_a_key_that_its_owner_does_not_list(house: House, peer: FakePeer) -> None:
    bo, eve = peer.actor("bo"), peer.actor("eve")
    # Given a key document that says it belongs to bo, who knows nothing of it
    key_id = f"{peer.base}/keys/1"
    peer.documents["/keys/1"] = {"id": key_id, "owner": bo.id, "publicKeyPem": eve.document()["publicKey"]["publicKeyPem"]}
    body = json.dumps(bo.create(bo.note("forged"))).encode()
    assert (await knock(house, envelope(house, key_id, body, key=eve.keys.rsa), body)).status == 401


async def test_an_actor_that_is_gone_may_still_say_so(house: House, peer: FakePeer) -> None:
    # Given bo, whom we know, whose server deleted him after a key change we never heard of
    bo = peer.actor("bo")
    await follow(house, bo)
    peer.always("/users/bo", Reply(410))
    house.clock.move(hours=1)
    goodbye = bo.activity("Delete", bo.id, to=[PUBLIC])
    assert (await send(house, bo, bo.create(bo.note("not me")), keys="lost")).status == 401
    house.clock.move(hours=1)
    house.instance.limits = type(house.instance.limits)()
    assert (await send(house, bo, goodbye, keys="lost")).status == 202
    await work(house)
    assert (await house.read(known.by_uri, bo.id)).state == "gone"


# What others carry.


async def test_what_was_carried_is_read_at_its_origin(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo, carol = peer.actor("bo"), other.actor("carol")
    await follow(house, bo)
    note = bo.note("the origin's words")
    create = bo.create(note)
    peer.documents[create["id"].removeprefix(peer.base)] = {"@context": "https://www.w3.org/ns/activitystreams", **create}
    altered = {**create, "object": {**note, "content": "altered on the way"}}
    assert (await send(house, carol, altered)).status == 202
    [job] = await rows(house, "select kind, key from job")
    await refetch.read(house.instance, job["key"], b"")
    await work(house)
    assert await posts(house) == {note["id"]: "the origin's words"}
    # And the genuine delivery that comes after it is known
    assert (await send(house, bo, create)).status == 202
    assert len(await rows(house, "select id from arrival")) == 1


async def test_what_its_origin_does_not_show_is_nothing(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo, carol = peer.actor("bo"), other.actor("carol")
    await follow(house, bo)
    create = bo.create(bo.note("x"))
    assert (await send(house, carol, create)).status == 202
    await refetch.read(house.instance, create["id"], b"")
    # Nor is what the origin shows in somebody else's name
    forged = {**create, "id": f"{peer.base}/activities/forged", "actor": carol.id, "object": {**create["object"], "attributedTo": carol.id}}
    peer.documents["/activities/forged"] = forged
    await refetch.read(house.instance, forged["id"], b"")
    assert await rows(house, "select id from arrival") == []


@pytest.mark.parametrize("kind", ["Create", "Update"])
async def test_of_an_activity_that_is_not_shown_the_post_is_read_at_its_origin(house: House, peer: FakePeer, other: FakePeer, kind: str) -> None:
    # Given somebody whose server shows its posts and none of its activities, as GoToSocial does
    bo, carol = peer.actor("bo"), other.actor("carol")
    await follow(house, bo)
    note = bo.note("the origin's words")
    peer.documents[note["id"].removeprefix(peer.base)] = {"@context": "https://www.w3.org/ns/activitystreams", **note}
    carried = {**bo.create({**note, "content": "altered on the way"}), "type": kind}
    # When two others carry it
    for _ in range(2):
        assert (await send(house, carol, carried)).status == 202
    await look_again(house)
    # Then it is here as its author wrote it, once, also when it comes from there itself
    assert await posts(house) == {note["id"]: "the origin's words"}
    assert (await send(house, bo, bo.create(note))).status == 202
    await work(house)
    assert await posts(house) == {note["id"]: "the origin's words"}
    assert len(peer.asked(note["id"].removeprefix(peer.base))) == 1


@pytest.mark.parametrize("what", ["nothing", "another author", "somebody nobody follows", "deleted here", "for followers", "for one"])
async def test_a_post_that_others_carry_comes_only_as_its_create_would(house: House, peer: FakePeer, other: FakePeer, what: str) -> None:
    bo, carol, dan = peer.actor("bo"), other.actor("carol"), peer.actor("dan")
    await follow(house, bo)
    author = dan if what == "somebody nobody follows" else bo
    private = {"for followers": [f"{bo.id}/followers"], "for one": ["http://ours.example/users/amina"]}.get(what)
    note = author.note("words") | ({"to": private, "cc": []} if private else {})
    shown = {"@context": "https://www.w3.org/ns/activitystreams", **note, "attributedTo": carol.id if what == "another author" else author.id}
    peer.documents[note["id"].removeprefix(peer.base)] = shown
    if what == "nothing":
        peer.always(note["id"].removeprefix(peer.base), Reply(404))
    if what == "deleted here":
        assert (await send(house, bo, bo.create(note))).status == 202
        assert (await send(house, bo, bo.delete(note))).status == 202
        await work(house)
    assert (await send(house, carol, {**author.create(note), "id": f"{peer.base}/activities/unknown"})).status == 202
    await look_again(house)
    await work(house)
    assert await posts(house) == {}


@pytest.mark.parametrize(("reply", "state"), [(Reply(410), "gone"), (None, "gone"), (Reply(404), "active"), (Reply(401), "active"), (Reply(503), "active")])
async def test_who_is_said_to_have_left_is_gone_if_their_own_server_says_so(
    house: House, peer: FakePeer, other: FakePeer, reply: Reply | None, state: str
) -> None:
    bo, _ = await held_reply(house, peer)
    carol = other.actor("carol")
    goodbye = bo.activity("Delete", bo.id, to=[PUBLIC])
    # While bo is there, whoever says otherwise is not believed
    assert (await send(house, carol, goodbye)).status == 202
    await look_again(house)
    assert (await house.read(known.by_uri, bo.id)).state == "active"
    # Then as its server answers
    if reply is None:
        peer.documents["/users/bo"] = {"@context": "https://www.w3.org/ns/activitystreams", "id": bo.id, "type": "Tombstone"}
    else:
        peer.always("/users/bo", reply)
    assert (await send(house, carol, goodbye)).status == 202
    if reply is not None and reply.status == 503:
        with pytest.raises(Later):
            await look_again(house)
    else:
        await look_again(house)
    assert (await house.read(known.by_uri, bo.id)).state == state
    assert len(await rows(house, "select uri from tombstone where uri = :uri", uri=bo.id)) == (state == "gone")


async def held_reply(house: House, peer: FakePeer) -> tuple[FakeActor, dict[str, Any]]:
    """A public post of bo that came here by bo's own Create."""
    bo = peer.actor("bo")
    await follow(house, bo)
    note = bo.note("first words")
    assert (await send(house, bo, bo.create(note))).status == 202
    await work(house)
    assert await posts(house) == {note["id"]: "first words"}
    return bo, note


async def look_again(house: House) -> None:
    """Does what waits of the jobs that ask an origin."""
    now = house.clock.ms()
    for job in await rows(house, "select id, key, payload from job where kind = 'refetch' and run_at <= :now", now=now):
        await house.write(_strike, job["id"])
        await refetch.read(house.instance, job["key"], job["payload"] or b"")


async def _strike(tx, id: int) -> None:
    await tx.execute("delete from job where id = :id", id=id)


@pytest.mark.parametrize("how", ["#delete", "elsewhere"])
@pytest.mark.parametrize("left", ["410", "a tombstone"])
async def test_a_delete_that_others_carry_is_believed_as_far_as_the_origin_shows_it(house: House, peer: FakePeer, other: FakePeer, how: str, left: str) -> None:
    bo, note = await held_reply(house, peer)
    carol = other.actor("carol")
    delete = bo.delete(note)
    # Mastodon hangs its Deletes on the post, Pleroma gives them an id that it does not show
    delete["id"] = f"{note['id']}#delete" if how == "#delete" else f"{peer.base}/activities/nowhere"
    path = note["id"].removeprefix(peer.base)
    peer.documents[path] = {"@context": "https://www.w3.org/ns/activitystreams", **note}
    assert (await send(house, carol, delete)).status == 202
    await look_again(house)
    assert await posts(house) == {note["id"]: "first words"}, "its origin still shows it"
    if left == "410":
        peer.always(path, Reply(410))
    else:
        peer.documents[path] = {"@context": "https://www.w3.org/ns/activitystreams", "id": note["id"], "type": "Tombstone"}
    assert (await send(house, carol, delete)).status == 202
    await look_again(house)
    assert await posts(house) == {}
    assert len(await rows(house, "select uri from tombstone where uri = :uri", uri=note["id"])) == 1


async def test_an_update_that_others_carry_is_what_the_origin_shows_now(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo, note = await held_reply(house, peer)
    later = house.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    house.clock.move(seconds=5)
    edited = {**note, "content": "second words", "updated": house.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")}
    peer.documents[note["id"].removeprefix(peer.base)] = {"@context": "https://www.w3.org/ns/activitystreams", **edited}
    update = {**bo.create({**edited, "content": "altered on the way"}), "type": "Update", "id": f"{note['id']}#updates/{later}"}
    assert (await send(house, other.actor("carol"), update)).status == 202
    await look_again(house)
    assert await posts(house) == {note["id"]: "second words"}


async def test_a_post_that_is_missing_twice_a_day_apart_is_hidden_and_can_come_back(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo, note = await held_reply(house, peer)
    peer.always(note["id"].removeprefix(peer.base), Reply(404))
    delete = bo.delete(note)
    for _ in range(2):
        assert (await send(house, other.actor("carol"), delete)).status == 202
        await look_again(house)
    assert await posts(house) == {note["id"]: "first words"}, "one day it may be shown again"
    house.clock.move(hours=23)
    await look_again(house)
    assert await posts(house) == {note["id"]: "first words"}
    asked = len(peer.asked(note["id"].removeprefix(peer.base)))
    house.clock.move(hours=1, seconds=1)
    await look_again(house)
    assert len(peer.asked(note["id"].removeprefix(peer.base))) == asked + 1, "what was remembered a day ago is asked again"
    assert await posts(house) == {}
    assert await rows(house, "select uri from tombstone") == []
    # Its own server gives it again, or shows it after all
    peer.always(note["id"].removeprefix(peer.base), None)
    peer.documents[note["id"].removeprefix(peer.base)] = {"@context": "https://www.w3.org/ns/activitystreams", **note}
    boost = bo.activity("Announce", note["id"], to=[PUBLIC])
    house.instance.limits = Limits()  # what failed is forgotten after ten minutes
    assert (await send(house, bo, boost)).status == 202
    await work(house)
    assert await posts(house) == {note["id"]: "first words"}


async def test_a_private_post_is_not_judged_by_what_is_missing(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo = peer.actor("bo")
    await follow(house, bo)
    note = bo.note("for followers", to=[f"{bo.id}/followers"], cc=[])
    assert (await send(house, bo, bo.create(note))).status == 202
    await work(house)
    peer.always(note["id"].removeprefix(peer.base), Reply(404))
    assert (await send(house, other.actor("carol"), bo.delete(note))).status == 202
    await look_again(house)
    assert await rows(house, "select id from job where kind = 'refetch'") == []
    assert len(await posts(house)) == 1


async def test_an_origin_that_is_down_is_asked_later(house: House, peer: FakePeer) -> None:
    peer.always("/activities/1", Reply(503))
    with pytest.raises(Later):
        await refetch.read(house.instance, f"{peer.base}/activities/1", b"")


async def test_a_boost_shows_what_its_origin_shows(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo, carol = peer.actor("bo"), other.actor("carol")
    await follow(house, bo)
    note = carol.note("carol's words")
    assert (await send(house, bo, bo.activity("Announce", {**note, "content": "altered"}, to=[PUBLIC]))).status == 202
    await work(house)
    assert await posts(house) == {note["id"]: "carol's words"}
    [boost] = await rows(house, "select actor_id from post where boost_of is not null")
    assert boost["actor_id"] == (await house.read(known.by_uri, bo.id)).id


@pytest.mark.parametrize("what", ["private", "attributed elsewhere", "another id", "text", "gone", "ours"])
async def test_a_boost_of_what_may_not_be_shown(house: House, peer: FakePeer, other: FakePeer, what: str) -> None:
    bo, carol = peer.actor("bo"), other.actor("carol")
    await follow(house, bo)
    note = carol.note("secret", to=[carol.followers]) if what == "private" else carol.note("words")
    path = note["id"].removeprefix(other.base)
    match what:
        case "attributed elsewhere":
            other.documents[path] |= {"attributedTo": bo.id}
        case "another id":
            other.documents[path] |= {"id": f"{peer.base}/notes/999"}
        case "text":
            other.always(path, Reply(200, json.dumps(other.documents[path]).encode(), "text/plain"))
        case "gone":
            other.always(path, Reply(410))
        case "ours":
            other.documents[path] |= {"id": "http://ours.example/posts/1", "attributedTo": "http://ours.example/users/amina"}
    assert (await send(house, bo, bo.activity("Announce", note["id"], to=[PUBLIC]))).status == 202
    await work(house)
    assert await posts(house) == {}
    assert [row["state"] for row in await rows(house, "select state from arrival")] == ["done"]


async def test_a_boost_by_somebody_nobody_follows_fetches_nothing(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo, carol = peer.actor("bo"), other.actor("carol")
    note = carol.note("words")
    await send(house, bo, bo.activity("Announce", note["id"], to=[PUBLIC]))
    await work(house)
    assert other.log == []


async def test_a_create_that_only_names_its_post(house: House, peer: FakePeer) -> None:
    bo, eve = peer.actor("bo"), peer.actor("eve")
    await follow(house, bo)
    await follow(house, eve)
    note = bo.note("bo's words")
    await send(house, eve, eve.activity("Create", note["id"], to=[PUBLIC]))
    await work(house)
    assert await posts(house) == {}, "eve cannot create what is bo's"
    await send(house, bo, bo.activity("Create", note["id"], to=[PUBLIC]))
    await work(house)
    assert await posts(house) == {note["id"]: "bo's words"}


async def test_a_profile_with_a_new_key_is_read_at_its_origin(house: House, peer: FakePeer) -> None:
    bo = peer.actor("bo")
    await follow(house, bo)
    bo.keys, bo.overrides = pair("bo's new key"), {"name": "Bo as he says himself"}
    pushed = {**bo.document(), "name": "Bo as pushed"}
    assert (await send(house, bo, bo.activity("Update", pushed))).status == 202
    await work(house)
    assert (await house.read(known.by_uri, bo.id)).name == "Bo as he says himself"
    house.instance.keys.forget()
    assert (await send(house, bo, bo.create(bo.note("x")), keys="bo's new key")).status == 202


# Threads.


def chain(author: FakeActor, length: int) -> list[dict[str, Any]]:
    """A thread of that many posts, each an answer to the one before."""
    notes: list[dict[str, Any]] = []
    for number in range(length):
        notes.append(author.note(f"post {number}", inReplyTo=notes[-1]["id"] if notes else None))
    return notes


async def test_the_posts_above_a_reply_are_fetched(house: House, peer: FakePeer, other: FakePeer) -> None:
    bo, carol = peer.actor("bo"), other.actor("carol")
    await follow(house, bo)
    above = chain(carol, 3)
    reply = bo.note("an answer", inReplyTo=above[-1]["id"])
    await send(house, bo, bo.create(reply))
    await work(house)
    [job] = await rows(house, "select kind, key from job")
    assert (job["kind"], job["key"]) == ("thread", above[-1]["id"])
    await threads.read(house.instance, job["key"], b"")
    assert set(await posts(house)) == {reply["id"], *(note["id"] for note in above)}
    [linked] = await rows(house, "select count(*) as linked from post where in_reply_to_id is not null")
    assert linked["linked"] == 3


async def test_a_thread_without_end_ends(house: House, other: FakePeer) -> None:
    carol = other.actor("carol")
    above = chain(carol, 60)
    await threads.read(house.instance, above[-1]["id"], b"")
    assert len(await posts(house)) == threads.MOST_ANCESTORS


async def test_a_thread_in_a_circle_ends(house: House, other: FakePeer) -> None:
    carol = other.actor("carol")
    one, two = chain(carol, 2)
    other.documents[one["id"].removeprefix(other.base)]["inReplyTo"] = two["id"]
    await threads.read(house.instance, two["id"], b"")
    assert set(await posts(house)) == {one["id"], two["id"]}


async def test_a_thread_stops_at_what_is_not_public(house: House, other: FakePeer) -> None:
    carol = other.actor("carol")
    _, two, three = chain(carol, 3)
    other.documents[two["id"].removeprefix(other.base)] |= {"to": [carol.followers], "cc": []}
    await threads.read(house.instance, three["id"], b"")
    assert set(await posts(house)) == {three["id"]}


async def test_one_budget_for_everything(house: House, other: FakePeer) -> None:
    carol = other.actor("carol")
    note = carol.note("x")
    assert await dereference.post(house.instance, note["id"], Budget(0)) is None
    assert other.log == []


async def test_rubbish_at_the_origin_is_nothing(house: House, other: FakePeer) -> None:
    for number, document in enumerate(({}, {"id": 5}, {"type": "Note"}, {"type": "Person"}, {"type": ["Note"], "content": {"a": []}})):
        path = f"/rubbish/{number}"
        other.always(path, reply_json({**document, "id": f"{other.base}{path}"} if "id" not in document else document, content_type=AP))
        assert await dereference.post(house.instance, Iri(f"{other.base}{path}"), Budget(10)) is None
        assert await dereference.activity(house.instance, Iri(f"{other.base}{path}"), Budget(10)) is None
