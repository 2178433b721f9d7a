"""Who may say what about what? No change to an object except by its owner, or by a fetch from its own origin."""

from typing import Any

import pytest

from tests.fakepeer import PUBLIC, FakePeer
from tests.wire import Reply, reply_json
from tests.world import Person, World


async def heard(world: World, peer: FakePeer) -> tuple[Person, Any, dict[str, Any]]:
    """A reader, the owner of a post that the reader has read, and that post."""
    reader, owner = await world.person("reader@a"), peer.actor("owner")
    note = owner.direct("<p>true words</p>", reader.uri, f"@{reader.handle}")
    assert (await owner.send(owner.create(note), reader.actor.inbox)).status == 202
    await world.settle()
    assert await reader.reads() == ["true words"]
    return reader, owner, note


@pytest.mark.parametrize("same_server", [True, False])
@pytest.mark.parametrize("kind", ["Update", "Delete", "Create", "Announce", "Undo"])
async def test_nobody_changes_the_post_of_another(world: World, peer: FakePeer, kind: str, same_server: bool) -> None:
    reader, _, note = await heard(world, peer)
    elsewhere = peer if same_server else await world.peer()
    mallory = elsewhere.actor("mallory")
    object_ = {
        "Delete": {"id": note["id"], "type": "Tombstone"},
        "Announce": note["id"],
        "Undo": {"type": "Create", "id": f"{note['id']}x", "actor": note["attributedTo"], "object": note["id"]},
    }
    said = object_.get(kind, {**note, "content": "<p>false words</p>", "updated": peer.stamp()})
    answer = await mallory.send(mallory.activity(kind, said, to=[reader.uri]), reader.actor.inbox)
    await world.settle()
    assert answer.status in {202, 400, 401, 403}
    assert "true words" in await reader.reads()
    assert "false words" not in str(await reader.home())
    assert await reader.site.count("post", "uri = :uri", uri=note["id"]) == 1


@pytest.mark.parametrize(
    "spoiled", ["attributed to another", "id elsewhere", "id of ours", "attributed to ours", "two authors", "no author", "activity id elsewhere"]
)
async def test_a_post_in_another_name_is_not_stored(world: World, peer: FakePeer, spoiled: str) -> None:
    reader, mallory, victim = await world.person("reader@a"), peer.actor("mallory"), peer.actor("victim")
    elsewhere = await world.peer()
    other = elsewhere.actor("other")
    note = mallory.direct("<p>false words</p>", reader.uri, f"@{reader.handle}")
    create = mallory.create(note)
    peer.documents.clear()
    match spoiled:
        case "attributed to another":
            note["attributedTo"] = victim.id
        case "id elsewhere":
            note["id"] = f"{elsewhere.base}/notes/1"
        case "id of ours":
            note["id"] = f"{reader.site.base}/posts/1"
        case "attributed to ours":
            note["attributedTo"] = reader.uri
        case "two authors":
            note["attributedTo"] = [mallory.id, victim.id]
        case "no author":
            del note["attributedTo"]
        case "activity id elsewhere":
            create["id"] = f"{other.id}/activity"
    answer = await mallory.send(create, reader.actor.inbox)
    await world.settle()
    assert 200 <= answer.status < 500
    rows = await reader.site.rows("select actor.uri from post join actor on actor.id = post.actor_id")
    assert [row["uri"] for row in rows] in ([], [mallory.id] if spoiled == "no author" else [])


@pytest.mark.parametrize("change", [{"attributedTo": "VICTIM"}, {"to": [PUBLIC], "cc": []}, {"type": "Question"}, {"published": "2001-01-01T00:00:00Z"}])
async def test_an_owner_cannot_change_whose_or_how_public_a_post_is(world: World, peer: FakePeer, change: dict[str, Any]) -> None:
    reader, owner, note = await heard(world, peer)
    victim = peer.actor("victim")
    before = await reader.site.rows("select actor_id, visibility, published from post")
    world.clock.move(minutes=1)
    changed = {key: victim.id if value == "VICTIM" else value for key, value in change.items()}
    assert (await owner.send(owner.update(note, **changed), reader.actor.inbox)).status < 500
    await world.settle()
    after = await reader.site.rows("select actor_id, visibility, published from post")
    assert [tuple(dict(row).values()) for row in after] == [tuple(dict(row).values()) for row in before]


async def test_a_carried_post_is_fetched_from_its_origin_and_the_carried_words_are_thrown_away(world: World, peer: FakePeer) -> None:
    # Given a true activity of one server, served there, and somebody elsewhere who carries it with changed words
    reader, owner = await world.person("reader@a"), peer.actor("owner")
    note = owner.note("<p>true words</p>", to=[PUBLIC], cc=[reader.uri], tag=[{"type": "Mention", "href": reader.uri, "name": f"@{reader.handle}"}])
    create = owner.create(note)
    path = create["id"].removeprefix(peer.base)
    peer.documents[path] = create
    carrier = (await world.peer()).actor("carrier")
    answer = await carrier.send({**create, "object": {**note, "content": "<p>false words</p>"}}, f"{reader.site.base}/inbox")
    await world.settle()
    assert answer.status == 202
    assert "false words" not in str(await reader.home())
    assert [entry["text"] for entry in await reader.home()] in (["true words"], [])
    # And what its origin does not know is not believed
    ghost = owner.create(owner.note("<p>ghost</p>"))
    peer.documents.clear()
    await carrier.send(ghost, f"{reader.site.base}/inbox")
    await world.settle()
    assert await reader.site.count("post", "uri = :uri", uri=ghost["object"]["id"]) == 0


@pytest.mark.parametrize(
    "served",
    ["other id", "other host", "text/plain", "application/json", "html", "array", "truncated", "huge", "redirect loop", "no id"],
)
async def test_a_document_that_is_not_what_it_was_asked_for_is_not_believed(world: World, peer: FakePeer, served: str) -> None:
    # Given a reply whose parent must be fetched, from a server that plays tricks
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    elsewhere = await world.peer()
    parent = p1.note("<p>parent</p>")
    path = parent["id"].removeprefix(peer.base)
    document = peer.documents.pop(path)
    tricks = {
        "other id": reply_json({**document, "id": f"{peer.base}/notes/999999"}),
        "other host": reply_json({**document, "id": f"{elsewhere.base}/notes/1", "attributedTo": f"{elsewhere.base}/users/x"}),
        "text/plain": reply_json(document, content_type="text/plain"),
        "application/json": reply_json(document, content_type="application/json"),
        "html": Reply(200, b"<html>no</html>", content_type="text/html"),
        "array": reply_json([document]),
        "truncated": Reply(200, b'{"id": "', content_type="application/activity+json"),
        "huge": reply_json({**document, "content": "x" * 3_000_000}),
        "redirect loop": Reply(302, headers=(("Location", parent["id"]),)),
        "no id": reply_json({key: value for key, value in document.items() if key != "id"}),
    }
    peer.always(path, tricks[served])
    reply = p1.direct("<p>an answer</p>", reader.uri, f"@{reader.handle}", inReplyTo=parent["id"])
    assert (await p1.send(p1.create(reply), reader.actor.inbox)).status == 202
    await world.settle()
    # Then the answer stands, and its parent is not made up
    assert await reader.site.count("post", "uri = :uri", uri=reply["id"]) == 1
    assert await reader.site.count("post") == 1
    assert len(peer.asked(path)) <= 5
    assert await reader.site.count("arrival", "state = 'failed'") == 0


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1:PORT/x",
        "http://169.254.169.254/latest",
        "http://[::ffff:127.0.0.1]:PORT/x",
        "http://0.0.0.0:PORT/x",
        "http://10.0.0.1/",
        "file:///etc/passwd",
    ],
)
async def test_a_redirect_to_an_address_that_is_not_public_is_not_followed(world: World, peer: FakePeer, where: str) -> None:
    # Given an instance that may reach only the loopback addresses its settings name, which is every server of this test but the canary's
    await world.site("a", allow_networks='["127.0.0.1/32"]')
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    canary = await world.peer()
    location = where.replace("127.0.0.1:PORT", f"127.0.0.2:{canary.port}").replace("PORT", str(canary.port))
    parent = f"{peer.base}/notes/parent"
    peer.always("/notes/parent", Reply(302, headers=(("Location", location),)))
    reply = p1.direct("<p>an answer</p>", reader.uri, f"@{reader.handle}", inReplyTo=parent)
    await p1.send(p1.create(reply), reader.actor.inbox)
    await world.settle()
    assert canary.log == []
    assert await reader.site.count("post", "uri = :uri", uri=reply["id"]) == 1


async def test_a_thread_without_end_stops_at_the_budget(world: World, peer: FakePeer) -> None:
    await world.site("a", fetch_budget="10")
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    for number in range(200):
        peer.documents[f"/chain/{number}"] = {
            **p1.note(f"<p>{number}</p>"),
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": f"{peer.base}/chain/{number}",
            "inReplyTo": f"{peer.base}/chain/{number + 1}",
        }
    before = len(peer.log)
    reply = p1.direct("<p>the last</p>", reader.uri, f"@{reader.handle}", inReplyTo=f"{peer.base}/chain/0")
    await p1.send(p1.create(reply), reader.actor.inbox)
    await world.settle()
    assert len([one for one in peer.log[before:] if one.asked.path.startswith("/chain/")]) <= 10
    assert await reader.site.count("post", "uri = :uri", uri=reply["id"]) == 1
