"""Who may say what about what? No change to an object except by its owner, or by a fetch from its own origin."""

from typing import Any

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


async def test_nobody_changes_the_post_of_another(world: World, peer: FakePeer) -> None:
    reader, _, note = await heard(world, peer)
    false = {**note, "content": "<p>false words</p>", "updated": peer.stamp()}
    undone = {"type": "Create", "id": f"{note['id']}x", "actor": note["attributedTo"], "object": note["id"]}
    said = {"Update": false, "Create": false, "Delete": {"id": note["id"], "type": "Tombstone"}, "Announce": note["id"], "Undo": undone}
    for server in (peer, await world.peer()):
        mallory = server.actor("mallory")
        for kind, object_ in said.items():
            answer = await mallory.send(mallory.activity(kind, object_, to=[reader.uri]), reader.actor.inbox)
            assert answer.status in {202, 400, 401, 403}, kind
            await world.settle()
            assert "true words" in await reader.reads(), kind
            assert "false words" not in str(await reader.home()), kind
    assert await reader.site.count("post", "uri = :uri", uri=note["id"]) == 1


async def test_a_post_in_another_name_is_not_stored(world: World, peer: FakePeer) -> None:
    reader, mallory, victim = await world.person("reader@a"), peer.actor("mallory"), peer.actor("victim")
    elsewhere = await world.peer()
    other = elsewhere.actor("other")
    spoiled: dict[str, dict[str, Any]] = {
        "attributed to another": {"attributedTo": victim.id},
        "id elsewhere": {"id": f"{elsewhere.base}/notes/1"},
        "id of ours": {"id": f"{reader.site.base}/posts/1"},
        "attributed to ours": {"attributedTo": reader.uri},
        "two authors": {"attributedTo": [mallory.id, victim.id]},
    }
    for name, change in spoiled.items():
        create = mallory.create(mallory.direct("<p>false words</p>", reader.uri, f"@{reader.handle}") | change)
        peer.documents.clear()
        assert 200 <= (await mallory.send(create, reader.actor.inbox)).status < 500, name
        await world.settle()
        assert await reader.site.count("post") == 0, name
    create = mallory.create(mallory.direct("<p>false words</p>", reader.uri, f"@{reader.handle}")) | {"id": f"{other.id}/activity"}
    peer.documents.clear()
    assert 200 <= (await mallory.send(create, reader.actor.inbox)).status < 500
    await world.settle()
    assert await reader.site.count("post") == 0


async def test_an_owner_cannot_change_whose_or_how_public_a_post_is(world: World, peer: FakePeer) -> None:
    reader, owner, note = await heard(world, peer)
    victim = peer.actor("victim")
    before = [tuple(dict(row).values()) for row in await reader.site.rows("select actor_id, visibility, published from post")]
    for change in ({"attributedTo": victim.id}, {"to": [PUBLIC], "cc": []}, {"type": "Question"}, {"published": "2001-01-01T00:00:00Z"}):
        world.clock.move(minutes=1)
        assert (await owner.send(owner.update(note, **change), reader.actor.inbox)).status < 500
        await world.settle()
        after = [tuple(dict(row).values()) for row in await reader.site.rows("select actor_id, visibility, published from post")]
        assert after == before, change


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


async def test_a_document_that_is_not_what_it_was_asked_for_is_not_believed(world: World, peer: FakePeer) -> None:
    # Given replies whose parents must be fetched, from a server that plays tricks
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    elsewhere = await world.peer()

    def tricks(document: dict[str, Any]) -> dict[str, Reply]:
        return {
            "other id": reply_json({**document, "id": f"{document['id']}9"}),
            "other host": reply_json({**document, "id": f"{elsewhere.base}/notes/1", "attributedTo": f"{elsewhere.base}/users/x"}),
            "text/plain": reply_json(document, content_type="text/plain"),
            "application/json": reply_json(document, content_type="application/json"),
            "html": Reply(200, b"<html>no</html>", content_type="text/html"),
            "array": reply_json([document]),
            "truncated": Reply(200, b'{"id": "', content_type="application/activity+json"),
            "huge": reply_json({**document, "content": "x" * 3_000_000}),
            "redirect loop": Reply(302, headers=(("Location", document["id"]),)),
            "no id": reply_json({key: value for key, value in document.items() if key != "id"}),
        }

    replies = []
    for name in tricks({"id": "x"}):
        # Each from a server of its own: one that fails again and again is left alone for a while.
        trickster = await world.peer()
        parent = trickster.actor("p2").note(f"<p>parent {name}</p>")
        path = parent["id"].removeprefix(trickster.base)
        trickster.always(path, tricks(trickster.documents.pop(path))[name])
        reply = p1.note(f"<p>an answer to {name}</p>", to=[PUBLIC], cc=[reader.uri], inReplyTo=parent["id"])
        replies.append(reply["id"])
        assert (await p1.send(p1.create(reply), reader.actor.inbox)).status == 202
        await world.settle()
        # Then its server is asked, and not again and again
        assert 1 <= len(trickster.asked(path)) <= 5, name
    # And each answer stands, and no parent is made up
    assert {row["uri"] for row in await reader.site.rows("select uri from post")} == set(replies)
    assert await reader.site.count("arrival", "state = 'failed'") == 0


PRIVATE = ("http://127.0.0.1:PORT/x", "http://169.254.169.254/latest", "http://[::ffff:127.0.0.1]:PORT/x", "http://0.0.0.0:PORT/x")
PRIVATE += ("http://10.0.0.1/", "file:///etc/passwd")


async def test_a_redirect_to_an_address_that_is_not_public_is_not_followed(world: World, peer: FakePeer) -> None:
    # Given an instance that may reach only the loopback addresses its settings name, which is every server of this test but the canary's
    await world.site("a", allow_networks='["127.0.0.1/32"]')
    reader, p1 = await world.person("reader@a"), peer.actor("p1")
    canary = await world.peer()
    for number, where in enumerate(PRIVATE):
        location = where.replace("127.0.0.1:PORT", f"127.0.0.2:{canary.port}").replace("PORT", str(canary.port))
        # Each from a server of its own: one that fails again and again is left alone for a while.
        trickster, path = await world.peer(), f"/notes/parent{number}"
        trickster.always(path, Reply(302, headers=(("Location", location),)))
        reply = p1.note("<p>an answer</p>", to=[PUBLIC], cc=[reader.uri], inReplyTo=f"{trickster.base}{path}")
        await p1.send(p1.create(reply), reader.actor.inbox)
        await world.settle()
        assert len(trickster.asked(path)) >= 1, where
        assert canary.log == [], where
    assert await reader.site.count("post") == len(PRIVATE)


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
    reply = p1.note("<p>the last</p>", to=[PUBLIC], cc=[reader.uri], inReplyTo=f"{peer.base}/chain/0")
    await p1.send(p1.create(reply), reader.actor.inbox)
    await world.settle()
    assert 1 <= len([one for one in peer.log[before:] if one.asked.path.startswith("/chain/")]) <= 10
    assert await reader.site.count("post", "uri = :uri", uri=reply["id"]) == 1
