"""Something is said: once to everybody who follows, sealed to one, answered, changed, taken back and never brought back."""

from tests.fakepeer import PUBLIC, FakePeer
from tests.wire import Reply
from tests.world import World

SECRET = "The meeting is on Thursday at the old bakery"


async def test_a_public_post_reaches_followers_on_two_instances_once(world: World) -> None:
    # Given a writer with two followers on one instance and one on another
    amina = await world.person("amina@a")
    readers = [await world.person(who) for who in ("ben@b", "bea@b", "carl@c")]
    for reader in readers:
        await reader.follow(amina.handle)
    await world.settle()
    # When she writes
    post = await amina.post("مرحبا، هذا أول منشور")
    await world.settle()
    # Then each reads it, once, and each instance was told once
    for reader in readers:
        [entry] = await reader.home()
        assert (entry["url"], entry["author"], entry["text"]) == (post.uri, amina.handle, "مرحبا، هذا أول منشور")
    assert await world.sites["b"].count("post", "uri = :uri", uri=post.uri) == 1
    assert await amina.site.count("delivery", "outgoing_id = (select id from outgoing where kind = 'Create')") == 2


async def test_a_public_post_goes_to_a_shared_inbox_once_and_its_signature_holds(world: World, peer: FakePeer) -> None:
    # Given three followers on a server with a shared inbox, and one on it without
    amina = await world.person("amina@a")
    for name in ("p1", "p2", "p3"):
        actor = peer.actor(name)
        await actor.send(actor.follow(amina.uri), amina.actor.inbox)
    alone = peer.actor("alone", shared_inbox=False)
    await alone.send(alone.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    # When she writes
    post = await amina.post("hello out there")
    await world.settle()
    # Then that server gets it at its shared inbox once, and once for the one who has none
    assert [activity["object"]["id"] for activity in peer.activities("Create", "/inbox")] == [post.uri]
    assert len(peer.activities("Create")) == 2
    assert all(heard.signature == "valid" for heard in peer.log if heard.asked.method == "POST")
    # And it is complete
    [create] = peer.activities("Create", "/inbox")
    note = create["object"]
    assert create["actor"] == note["attributedTo"] == amina.uri
    assert (create["to"], create["cc"]) == (note["to"], note["cc"]) == ([PUBLIC], [f"{amina.uri}/followers"])
    assert note["type"] == "Note"
    assert "name" not in note
    assert (await amina.site.get(create["id"])).json["object"]["id"] == note["id"]


async def test_a_direct_message_reaches_one_person_and_lies_sealed(world: World) -> None:
    # Given two people on two instances and a third who follows both
    amina, ben, carl = await world.person("amina@a"), await world.person("ben@b"), await world.person("carl@b")
    await carl.follow(amina.handle)
    await carl.follow(ben.handle)
    await world.settle()
    # When one writes to the other alone
    post = await amina.post(SECRET, "direct", to=[ben.handle])
    await world.settle()
    # Then that one reads it, and nobody else
    assert [(entry["url"], SECRET in entry["text"]) for entry in await ben.home()] == [(post.uri, True)]
    assert await carl.home() == []
    # And no file of any instance holds it in clear
    assert world.grep(SECRET) == {}
    # And a stranger, or somebody it was not addressed to, gets the answer of something that never was
    missing = await amina.site.get("/posts/1")
    hidden = await amina.site.get(post.uri)
    assert (hidden.status, hidden.body) == (missing.status, missing.body) == (404, missing.body)


async def test_a_direct_message_to_another_server_carries_a_mention(world: World, peer: FakePeer) -> None:
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await amina.post(SECRET, "direct", to=[p1.handle])
    await world.settle()
    [create] = peer.activities("Create")
    assert (create["to"], create["cc"]) == ([p1.id], [])
    assert [tag["href"] for tag in create["object"]["tag"] if tag["type"] == "Mention"] == [p1.id]
    # It is for one: it goes to that one's inbox, not to the inbox of everybody
    assert [heard.asked.path for heard in peer.log if heard.asked.method == "POST"] == ["/users/p1/inbox"]


async def test_a_followers_post_is_read_by_followers_only(world: World, peer: FakePeer) -> None:
    amina, ben, carl = await world.person("amina@a"), await world.person("ben@b"), await world.person("carl@b")
    follower, stranger = peer.actor("follower"), peer.actor("stranger")
    await follower.send(follower.follow(amina.uri), amina.actor.inbox)
    await ben.follow(amina.handle)
    await world.settle()
    post = await amina.post("for those who follow me", "followers")
    await world.settle()
    assert await ben.reads() == ["for those who follow me"]
    assert await carl.home() == []
    # The signed fetch of a follower's server opens; a stranger's does not, and says no more than an unsigned one
    assert (await follower.get(post.uri)).status == 200
    elsewhere = await world.peer()
    other = elsewhere.actor("other")
    shut = [await other.get(post.uri), await amina.site.get(post.uri)]
    assert {answer.status for answer in shut} == {404}
    assert stranger.id


async def test_a_reply_finds_its_thread(world: World) -> None:
    # Given a post that a follower elsewhere has read
    amina, ben = await world.person("amina@a"), await world.person("ben@b")
    await ben.follow(amina.handle)
    await world.settle()
    post = await amina.post("Who knows a lawyer in Malmö?")
    await world.settle()
    # When he answers
    reply = await ben.post("I know one", to=[amina.handle], reply_to=post.uri)
    await world.settle()
    # Then she reads the answer, and it hangs on her post
    [entry] = [entry for entry in await amina.home() if entry["author"] == ben.handle]
    assert (entry["url"], entry["reply_to"]) == (reply.uri, post.uri)
    [row] = await amina.site.rows("select in_reply_to_id from post where uri = :uri", uri=reply.uri)
    assert row["in_reply_to_id"] == post.id


async def test_a_reply_to_something_unknown_fetches_it(world: World, peer: FakePeer) -> None:
    ben, p1, p2 = await world.person("ben@b"), peer.actor("p1"), peer.actor("p2")
    parent = p2.note("<p>the beginning</p>")
    reply = p1.note("<p>an answer</p>", inReplyTo=parent["id"], to=[PUBLIC], cc=[ben.uri], tag=[{"type": "Mention", "href": ben.uri, "name": "@ben"}])
    await p1.send(p1.create(reply), ben.actor.inbox)
    await world.settle()
    assert "an answer" in (await ben.reads())[-1]
    [row] = await ben.site.rows("select in_reply_to from post where uri = :uri", uri=reply["id"])
    assert row["in_reply_to"] == parent["id"]
    # Whatever it fetched for that, it fetched signed
    fetched = [heard for heard in peer.log if heard.asked.method == "GET" and heard.asked.path.startswith("/notes/")]
    assert {heard.signature for heard in fetched} == {"valid"}
    assert await ben.site.count("post", "uri = :uri", uri=parent["id"]) == 1


async def test_a_change_arrives_and_an_older_one_does_not(world: World, peer: FakePeer) -> None:
    ben, p1 = await world.person("ben@b"), peer.actor("p1")
    await ben.follow(p1.handle)
    await world.settle()
    await p1.send(p1.activity("Accept", peer.activities("Follow")[0]), ben.actor.inbox)
    note = p1.note("<p>first words</p>")
    await p1.send(p1.create(note), ben.actor.inbox)
    await world.settle()
    older = p1.update(note, content="<p>older words</p>")
    world.clock.move(minutes=1)
    await p1.send(p1.update(note, content="<p>better words</p>"), ben.actor.inbox)
    await world.settle()
    assert await ben.reads() == ["better words"]
    await p1.send(older, ben.actor.inbox)
    await world.settle()
    assert await ben.reads() == ["better words"]


async def test_what_is_deleted_is_gone_everywhere_and_a_late_create_does_not_bring_it_back(world: World, peer: FakePeer) -> None:
    # Given a post that a follower elsewhere has read
    amina, ben = await world.person("amina@a"), await world.person("ben@b")
    follower = peer.actor("follower")
    await follower.send(follower.follow(amina.uri), amina.actor.inbox)
    await ben.follow(amina.handle)
    await world.settle()
    post = await amina.post("said too much")
    await world.settle()
    assert await ben.reads() == ["said too much"]
    # When she deletes it
    await amina.delete(post.uri)
    await world.settle()
    # Then nobody reads it, its place says that it was here, and other servers are told
    assert await ben.home() == await amina.home() == []
    gone = await amina.site.get(post.uri)
    assert (gone.status, gone.json["type"], gone.json["id"]) == (410, "Tombstone", post.uri)
    [delete] = peer.activities("Delete")
    assert (delete["actor"], delete["object"]["id"], delete["object"]["type"]) == (amina.uri, post.uri, "Tombstone")
    # And no file of any instance holds it any more
    assert world.grep("said too much") == {}


async def test_a_create_after_its_delete_is_refused(world: World, peer: FakePeer) -> None:
    ben, p1 = await world.person("ben@b"), peer.actor("p1")
    note = p1.direct("<p>late</p>", ben.uri, f"@{ben.handle}")
    create = p1.create(note)
    await p1.send(p1.delete(note), ben.actor.inbox)
    await world.settle()
    assert (await p1.send(create, ben.actor.inbox)).status == 202
    await world.settle()
    assert await ben.home() == []
    assert await ben.site.count("tombstone", "uri = :uri", uri=note["id"]) == 1


async def test_the_same_activity_ten_times_is_one_post(world: World, peer: FakePeer) -> None:
    ben, p1 = await world.person("ben@b"), peer.actor("p1")
    create = p1.create(p1.direct("<p>once</p>", ben.uri, f"@{ben.handle}"))
    statuses = [(await p1.send(create, inbox)).status for inbox in [ben.actor.inbox, f"{ben.site.base}/inbox"] * 5]
    await world.settle()
    assert set(statuses) == {202}
    assert len(await ben.home()) == 1
    assert await ben.site.count("arrival", "uri = :uri", uri=create["id"]) == 1


async def test_a_post_that_leaves_while_a_server_is_down_arrives_when_it_is_back(world: World, peer: FakePeer) -> None:
    # Given a follower on a server that fails
    amina, p1 = await world.person("amina@a"), peer.actor("p1")
    await p1.send(p1.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    peer.always("/inbox", Reply(500))
    # When she writes, changes her mind, and deletes
    kept = await amina.post("kept")
    regretted = await amina.post("regretted")
    await world.settle()
    await amina.delete(regretted.uri)
    await world.settle()
    # Then, once it is back, it hears of what stands, and of what was taken back only that
    peer.always("/inbox", None)
    await world.later(hours=3)
    heard = [(activity["type"], activity["object"]["id"]) for activity in peer.activities(path="/inbox") if activity["type"] in {"Create", "Delete"}]
    assert heard.count(("Create", kept.uri)) == 1
    assert ("Create", regretted.uri) not in heard
    assert heard.count(("Delete", regretted.uri)) == 1
