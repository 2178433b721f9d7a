"""Rows H16-H18, H20, H21, and what else hangs on a post: likes, boosts, polls, pins, answers, and collections that have no end."""

from typing import Any

import pytest

from fedmatch.board import publish, social
from inbox import replies
from tests.fakepeer import AS2, PUBLIC, FakeActor, FakePeer
from tests.neighbours import befriend, held, likes, reads, send
from tests.wire import Reply, reply_json
from tests.world import Person, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("bare", [False, True])
async def test_h16_a_like_counts_once_and_can_be_taken_back(world: World, amina: Person, p1: FakeActor, bare: bool) -> None:
    post = await amina.post("h16")
    other = p1.peer.actor("p2")
    like = p1.activity("Like", post.uri)
    for activity, by in ((like, p1), (like, p1), (p1.activity("Like", post.uri), p1), (other.activity("Like", post.uri), other)):
        world.clock.move(seconds=1)
        await send(world, by, activity, amina)
    assert await likes(amina, post.uri) == 2
    # Nobody takes back what another said
    await send(world, other, other.activity("Undo", like), amina)
    assert await likes(amina, post.uri) == 2
    # One of his two is still meant, until he takes back that as well
    await send(world, p1, p1.activity("Undo", like["id"] if bare else like), amina)
    assert await likes(amina, post.uri) == 2
    await send(world, p1, p1.activity("Undo", {"type": "Like", "id": f"{p1.peer.base}/likes/fresh", "actor": p1.id, "object": post.uri}), amina)
    assert await likes(amina, post.uri) == 1


async def test_h16_emoji_are_reactions(world: World, amina: Person, p1: FakeActor) -> None:
    post = await amina.post("h16 emoji")
    custom = {"type": "Emoji", "name": ":gate:", "icon": {"type": "Image", "url": f"{p1.peer.base}/media/gate.png"}}
    said = [
        p1.activity("EmojiReact", post.uri, content="🔥"), p1.activity("EmojiReact", post.uri, content="👩🏽‍⚖️"),
        p1.activity("EmojiReact", post.uri, content=":gate:", tag=[custom]), p1.activity("Like", post.uri, content="❤", _misskey_reaction="❤"),
        p1.activity("EmojiReact", post.uri, content="words"), p1.activity("EmojiReact", post.uri, content="🔥🔥"),
        p1.activity("EmojiReact", post.uri, content=":gate:", tag=[custom, custom | {"name": ":other:"}]), p1.activity("EmojiReact", post.uri),
    ]  # fmt: skip
    for one in said:
        assert await send(world, p1, one, amina) == 202
    every = "select emoji from reaction join post on post.id = reaction.post_id where post.uri = :uri order by emoji"
    assert {row["emoji"] for row in await amina.site.rows(every, uri=post.uri)} == {"🔥", "👩🏽‍⚖️", ":gate:", "❤"}
    assert await likes(amina, post.uri) == 1
    await send(world, p1, p1.activity("Undo", said[0]), amina)
    assert {row["emoji"] for row in await amina.site.rows(every, uri=post.uri)} == {"👩🏽‍⚖️", ":gate:", "❤"}
    assert p1.peer.asked("/media/gate.png") == []


async def test_h16_likes_of_what_one_cannot_read_do_not_count(world: World, amina: Person, bilal: Person, p1: FakeActor) -> None:
    secret = await amina.post("h16 secret", "direct", to=[bilal.handle])
    await send(world, p1, p1.activity("Like", secret.uri), amina)
    await send(world, p1, p1.activity("Like", p1.note("<p>not ours</p>")["id"]), amina)
    assert await amina.site.rows("select id from reaction where post_id = :id", id=secret.id) == []


async def test_h17_public_posts_are_boosted_and_nothing_else(world: World, amina: Person, p1: FakeActor) -> None:
    author = p1.peer.actor("p2")
    public, private = author.note("<p>h17 public</p>"), author.note("<p>h17 private</p>", to=[author.followers])
    # What the boost carries of it is not believed
    forged = public | {"content": "<p>h17 forged</p>"}
    boost = p1.activity("Announce", forged, to=[PUBLIC], cc=[p1.followers])
    await send(world, p1, boost, amina)
    await send(world, p1, p1.activity("Announce", private["id"], to=[PUBLIC]), amina)
    assert (await reads(amina, "h17 public"), await reads(amina, "h17 forged"), await reads(amina, "h17 private")) == (1, 0, 0)
    # Again, or a boost of the boost, is nothing new
    await send(world, p1, p1.activity("Announce", public["id"], to=[PUBLIC]), amina)
    await send(world, p1, p1.activity("Announce", boost["id"], to=[PUBLIC]), amina)
    assert await reads(amina, "h17 public") == 1
    assert await amina.site.count("post", "actor_id = (select id from actor where uri = :uri) and boost_of is not null", uri=p1.id) == 1


async def test_h17_a_boost_of_ours_counts_and_shows(world: World, amina: Person, p1: FakeActor) -> None:
    post = await amina.post("h17 ours")
    boost = p1.activity("Announce", post.uri, to=[PUBLIC], cc=[p1.followers])
    await send(world, p1, boost, amina)
    shares = (await amina.site.get(f"{post.uri}/shares")).json
    assert shares["totalItems"] == 1
    assert (await amina.site.get(shares["first"])).json["orderedItems"] == [boost["id"]]
    assert (await amina.site.get(post.uri)).json["shares"]["totalItems"] == 1
    await send(world, p1, p1.activity("Undo", boost), amina)
    assert (await amina.site.get(f"{post.uri}/shares")).json["totalItems"] == 0


async def test_h17_what_a_group_passes_on_is_looked_up(world: World, amina: Person, peer: FakePeer) -> None:
    # Given a group that she follows, and somebody who writes there
    group, author = peer.actor("help", "Group"), peer.actor("p2")
    await befriend(world, peer, amina, group)
    note = author.note("<p>h17 group</p>", to=[PUBLIC, group.id], cc=[])
    await send(world, group, group.activity("Announce", author.create(note), to=[PUBLIC], cc=[group.followers]), amina)
    assert await reads(amina, "h17 group") == 1
    # When it passes on an edit that was not made, nothing changes; when it was made, it is seen
    world.clock.move(seconds=5)
    edited = note | {"content": "<p>h17 edited</p>", "updated": peer.stamp()}
    announced = group.activity("Announce", author.activity("Update", edited), to=[PUBLIC])
    await send(world, group, announced, amina)
    assert await reads(amina, "h17 edited") == 0
    peer.documents[note["id"].removeprefix(peer.base)] = {"@context": AS2, **edited}
    await send(world, group, group.activity("Announce", author.activity("Update", edited), to=[PUBLIC]), amina)
    assert await reads(amina, "h17 edited") == 1
    # And a deletion counts when its origin says so
    gone = group.activity("Announce", author.activity("Delete", note["id"]), to=[PUBLIC])
    await send(world, group, gone, amina)
    assert await reads(amina, "h17 edited") == 1
    peer.always(note["id"].removeprefix(peer.base), Reply(410, b"{}"))
    await send(world, group, group.activity("Announce", author.activity("Delete", note["id"]), to=[PUBLIC]), amina)
    assert await held(amina, note) == []


def ballot(voter: FakeActor, question: str, *choices: str) -> dict[str, Any]:
    """A vote as Mastodon sends it; several at once as GoToSocial does."""
    votes = [
        {"type": "Note", "id": f"{voter.peer.base}/votes/{next(voter.peer.counter)}", "name": name, "inReplyTo": question, "attributedTo": voter.id}
        for name in choices
    ]
    return voter.activity("Create", votes if len(votes) > 1 else votes[0])


@pytest.mark.parametrize("multiple", [False, True])
async def test_h18_votes_in_a_poll_of_ours_are_counted_once(world: World, amina: Person, p1: FakeActor, multiple: bool) -> None:
    instance = amina.site.instance
    poll = publish.asked(["Yes", "No", "Maybe"], multiple=multiple, until=instance.clock.now())
    open_until = poll.__class__(poll.options, poll.multiple, world.clock.now().replace(year=world.clock.now().year + 1, microsecond=0), voters=0)
    post = await publish.post(instance, amina.actor, f"h18 {multiple}?", poll=open_until)
    p2 = p1.peer.actor("p2")
    for voter, choices in ((p1, ["Yes"]), (p1, ["No"]), (p2, ["No", "Maybe"]), (p2, ["Nothing of it"])):
        assert await send(world, voter, ballot(voter, post.uri, *choices), amina) == 202
    shown = (await amina.site.get(post.uri)).json
    options = shown["anyOf" if multiple else "oneOf"]
    assert shown["type"] == "Question"
    assert {one["name"]: one["replies"]["totalItems"] for one in options} == ({"Yes": 1, "No": 2, "Maybe": 1} if multiple else {"Yes": 1, "No": 1, "Maybe": 0})
    assert shown["votersCount"] == 2
    # Votes are no replies, and who chose what is in no file
    assert (await amina.site.get(f"{post.uri}/replies")).json["totalItems"] == 0
    assert await amina.site.count("post", "in_reply_to = :uri", uri=post.uri) == 0
    # When its time is over it is closed, and its readers are told
    p1.peer.log.clear()
    follow = p1.follow(amina.uri)
    await send(world, p1, follow, amina)
    await instance.database.write(publish.end_poll, instance, post.id)
    instance.wake("delivery")
    await world.settle()
    [update] = p1.peer.activities("Update")
    assert (update["object"]["type"], "closed" in update["object"]) == ("Question", True)
    await send(world, p2, ballot(p2, post.uri, "Yes"), amina)
    assert (await amina.site.get(post.uri)).json["votersCount"] == 2


async def test_h18_a_poll_of_theirs_shows_their_numbers(world: World, amina: Person, p1: FakeActor) -> None:
    def options(*votes: object) -> list[dict[str, Any]]:
        return [{"type": "Note", "name": name, "replies": {"type": "Collection", "totalItems": n}} for name, n in zip("AB", votes, strict=True)]

    note = p1.note("<p>h18 theirs</p>", type="Question", oneOf=options(0, 0), votersCount=0, endTime="2099-01-01T00:00:00Z")
    await send(world, p1, p1.create(note), amina)
    votes = "select poll.votes from poll join post on post.id = poll.post_id where post.uri = :uri"
    for told, expected in (((2, 1), "[2, 1]"), ((1, 0), "[2, 1]"), ((-5, 10**30), "[2, 1]")):
        await send(world, p1, p1.activity("Update", note | {"oneOf": options(*told)}), amina)
        assert [row["votes"] for row in await amina.site.rows(votes, uri=note["id"])] == [expected]
    # Somebody else's numbers are nobody's
    p2 = p1.peer.actor("p2")
    await send(world, p2, p2.activity("Update", note | {"oneOf": options(9, 9)}), amina)
    assert [row["votes"] for row in await amina.site.rows(votes, uri=note["id"])] == ["[2, 1]"]
    assert await reads(amina, "h18 theirs") == 1


@pytest.mark.parametrize("multiple", [False, True])
async def test_h18_our_people_vote_in_polls_of_theirs(world: World, amina: Person, bilal: Person, p1: FakeActor, multiple: bool) -> None:
    # Given a poll that we do not hold yet
    options = [{"type": "Note", "name": name, "replies": {"type": "Collection", "totalItems": n}} for name, n in (("Yes", 3), ("No", 1), ("Maybe", 0))]
    note = p1.note("<p>h18 vote</p>", type="Question", endTime="2099-01-01T00:00:00Z", **{"anyOf" if multiple else "oneOf": options})
    instance, url = bilal.site.instance, note["id"]
    shown = await social.poll(instance, bilal.actor, url)
    assert [(option.name, option.votes) for option in shown.options] == [("Yes", 3), ("No", 1), ("Maybe", 0)]
    # When somebody here votes
    await social.vote(instance, bilal.actor, url, [1, 3] if multiple else [1])
    await world.settle()
    # Then its author hears one Create for each choice, as Mastodon sends them, and nobody else hears anything
    heard = p1.peer.activities("Create")
    assert [activity["object"]["name"] for activity in heard] == (["Yes", "Maybe"] if multiple else ["Yes"])
    for activity in heard:
        ballot_, by = activity["object"], bilal.actor.uri
        assert (ballot_["type"], ballot_["inReplyTo"], ballot_["attributedTo"], ballot_["to"], activity["to"]) == ("Note", url, by, [p1.id], [p1.id])
        assert "content" not in ballot_
        assert ballot_["id"].startswith(activity["id"])
        assert (activity["actor"], activity.get("cc")) == (by, [])
    assert {one.asked.path for one in p1.peer.log if one.asked.method == "POST"} == {"/users/p1/inbox"}
    # And it counts nothing here, and is said once
    assert [option.votes for option in (await social.poll(instance, bilal.actor, url)).options] == [3, 1, 0]
    for again, why in (([1], "given already"), ([4], "there are 1 Yes, 2 No, 3 Maybe"), *([] if multiple else [([2], "given already"), ([1, 2], "one of")])):
        with pytest.raises(social.CannotDo, match=why):
            await social.vote(instance, bilal.actor, url, again)
    if multiple:
        await social.vote(instance, bilal.actor, url, [2])
    await world.settle()
    assert len(p1.peer.activities("Create")) == (3 if multiple else 1)
    # And who chose what is in no file
    assert bilal.actor.uri.encode() not in b"".join(row["voter"] for row in await bilal.site.rows("select voter from poll_vote"))


async def test_h18_nobody_votes_in_what_is_over_or_no_poll(world: World, amina: Person, bilal: Person, p1: FakeActor) -> None:
    options = [{"type": "Note", "name": name} for name in ("Yes", "No")]
    over = p1.note("<p>h18 over</p>", type="Question", oneOf=options, endTime="2020-01-01T00:00:00Z")
    with pytest.raises(social.CannotDo, match="over"):
        await social.vote(bilal.site.instance, bilal.actor, over["id"], [1])
    with pytest.raises(social.CannotDo, match="asks nothing"):
        await social.vote(bilal.site.instance, bilal.actor, p1.note("<p>h18 words</p>")["id"], [1])
    # And a poll of ours counts our own votes at once
    ends = world.clock.now().replace(year=world.clock.now().year + 1, microsecond=0)
    post = await publish.post(amina.site.instance, amina.actor, "h18 here?", poll=publish.asked(["Yes", "No"], multiple=False, until=ends))
    counted = await social.vote(bilal.site.instance, bilal.actor, post.uri, [2])
    assert [option.votes for option in counted.options] == [0, 1]
    with pytest.raises(social.CannotDo, match="own poll"):
        await social.vote(amina.site.instance, amina.actor, post.uri, [1])
    await world.settle()
    assert p1.peer.activities("Create") == []


async def test_h18_a_vote_in_no_poll_is_never_shown(world: World, amina: Person, p1: FakeActor) -> None:
    post = await amina.post("h18 no poll")
    assert await send(world, p1, ballot(p1, post.uri, "Yes"), amina) == 202
    assert await amina.site.count("post", "in_reply_to = :uri", uri=post.uri) == 0
    assert await reads(amina, "Yes") == 0


async def test_h20_a_reply_that_asks_for_leave_has_arrived(world: World, amina: Person, p1: FakeActor) -> None:
    # Given a post of ours, and replies that GoToSocial sends with a question
    post, p2 = await amina.post("h20 asked"), p1.peer.actor("p2")

    def asks(note: dict[str, Any], by: FakeActor = p1) -> dict[str, Any]:
        return by.activity("ReplyRequest", post.uri, instrument=note, to=[amina.uri])

    reply = p1.note("<p>h20 may I</p>", inReplyTo=post.uri, to=[PUBLIC], cc=[amina.uri])
    for one in (asks(reply), asks(reply), p1.create(reply)):
        assert await send(world, p1, one, amina) == 202
    assert (len(await held(amina, reply)), await reads(amina, "h20 may I")) == (1, 1)
    # Nobody brings the words of another so, nor an answer to something else
    elsewhere = p1.note("<p>elsewhere</p>", inReplyTo=f"{p1.peer.base}/notes/1")
    for note in (p2.note("<p>not mine</p>", inReplyTo=post.uri), elsewhere, {**reply, "id": "https://x.example/1"}):
        assert await send(world, p1, asks(note), amina) == 202
        assert await held(amina, note) == []


async def test_h20_a_reply_brings_what_it_answers(world: World, amina: Person, p1: FakeActor) -> None:
    author = p1.peer.actor("p2")
    parent = author.note("<p>h20 parent</p>")
    reply = p1.note("<p>h20 reply</p>", inReplyTo=parent["id"])
    await send(world, p1, p1.create(reply), amina)
    [above], [below] = await held(amina, parent), await held(amina, reply)
    assert below["in_reply_to_id"] == above["id"]
    # What cannot be had leaves the reply standing by itself
    lonely = p1.note("<p>h20 lonely</p>", inReplyTo=f"{p1.peer.base}/notes/missing")
    await send(world, p1, p1.create(lonely), amina)
    assert await reads(amina, "h20 lonely") == 1


@pytest.mark.parametrize("way", ["boosted", "above", "named"])
async def test_h20_what_was_fetched_brings_who_answered_it(world: World, amina: Person, p1: FakeActor, way: str) -> None:
    # Given an older post that we never had, with a list of answers: two that are, one of another server, one that answers something else, one not public,
    # one that is missing, and one of ours
    author, far = p1.peer.actor("p2"), (await world.peer()).actor("p9")
    ours, number = await amina.post(f"h20 ours {way}"), next(p1.peer.counter)
    listed, old = f"{p1.peer.base}/lists/{number}", author.note(f"<p>h20 old {way}</p>")
    old["replies"] = {"id": listed, "type": "Collection", "first": {"type": "CollectionPage", "next": f"{listed}?page=2", "partOf": listed, "items": []}}
    p1.peer.documents[old["id"].removeprefix(p1.peer.base)] = {"@context": AS2, **old}
    near = author.note(f"<p>h20 near {way}</p>", inReplyTo=old["id"])
    abroad = far.note(f"<p>h20 abroad {way}</p>", inReplyTo=old["id"])
    elsewhere = author.note(f"<p>h20 elsewhere {way}</p>", inReplyTo=f"{p1.peer.base}/notes/other")
    private = author.note(f"<p>h20 private {way}</p>", to=[author.followers], inReplyTo=old["id"])
    named = [near["id"], abroad["id"], elsewhere["id"], private["id"], f"{p1.peer.base}/notes/nowhere", ours.uri]
    p1.peer.documents[f"/lists/{number}"] = {"@context": AS2, "id": listed, **old["replies"]}
    page = {"@context": AS2, "id": f"{listed}?page=2", "type": "CollectionPage", "partOf": listed, "items": named}
    p1.peer.always(f"/lists/{number}", None)
    p1.peer.replies(f"/lists/{number}", reply_json(p1.peer.documents[f"/lists/{number}"]), reply_json(page))
    # When it is fetched
    if way == "boosted":
        await send(world, p1, p1.activity("Announce", old["id"], to=[PUBLIC], published=p1.peer.stamp()), amina)
    elif way == "above":
        await send(world, p1, p1.create(p1.note("<p>h20 below</p>", inReplyTo=old["id"])), amina)
    else:
        await social.like(amina.site.instance, amina.actor, old["id"])
        await world.settle()
    # Then both answers are here, below it, as their own servers show them; and nothing else of the list
    [above] = await held(amina, old)
    for answer in (near, abroad):
        [row] = await held(amina, answer)
        assert row["in_reply_to_id"] == above["id"]
    assert [len(await held(amina, one)) for one in (elsewhere, private)] == [0, 0]
    # And that was read once
    assert len(p1.peer.asked(f"/lists/{number}")) == 2


async def test_h20_a_list_of_answers_is_read_only_so_far_and_only_on_its_server(world: World, amina: Person, p1: FakeActor) -> None:
    author, other = p1.peer.actor("p2"), await world.peer()
    # A post that arrives by itself is new: nobody asks who answered it
    fresh = p1.note("<p>h20 fresh</p>", replies=f"{p1.peer.base}/lists/fresh")
    await send(world, p1, p1.create(fresh), amina)
    assert p1.peer.asked("/lists/fresh") == []
    # A list on another server is not asked for
    old = author.note("<p>h20 strange</p>", replies=f"{other.base}/lists/strange")
    await send(world, p1, p1.activity("Announce", old["id"], to=[PUBLIC]), amina)
    assert other.log == []
    # Of an endless one so many are fetched
    many = author.note("<p>h20 many</p>", replies=f"{p1.peer.base}/lists/many")
    answers = [author.note(f"<p>h20 many {at}</p>", inReplyTo=many["id"]) for at in range(40)]
    items = [one["id"] for one in answers]
    p1.peer.documents["/lists/many"] = {"@context": AS2, "id": many["replies"], "type": "Collection", "items": items}
    await send(world, p1, p1.activity("Announce", many["id"], to=[PUBLIC]), amina)
    assert sum([len(await held(amina, one)) for one in answers]) == replies.MOST


async def test_h21_a_thread_without_end_is_climbed_only_so_far(world: World, amina: Person, p1: FakeActor) -> None:
    author = p1.peer.actor("p2")
    number = 150
    for at in range(number):
        chained = author.note(f"<p>h21 {at}</p>", inReplyTo=f"{p1.peer.base}/notes/h21-{at + 1}")
        p1.peer.documents[f"/notes/h21-{at}"] = {"@context": AS2, **chained, "id": f"{p1.peer.base}/notes/h21-{at}"}
    reply = p1.note("<p>h21 reply</p>", inReplyTo=f"{p1.peer.base}/notes/h21-0")
    await send(world, p1, p1.create(reply), amina)
    asked = [heard for heard in p1.peer.log if heard.asked.method == "GET"]
    assert len(asked) < 30
    assert await reads(amina, "h21 reply") == 1


async def test_pins_are_what_their_own_server_lists(world: World, amina: Person, peer: FakePeer) -> None:
    # Given a collection of pins with two posts of his, one of somebody else, and one of another host
    path, p1 = "/users/p1/collections/featured", peer.actor("p1")
    mine, older, hers = p1.note("<p>pin 1</p>"), p1.note("<p>pin 2</p>"), peer.actor("p2").note("<p>not his</p>")
    p1.overrides["featured"] = f"{peer.base}{path}"
    listed = [mine["id"], older, hers["id"], "https://elsewhere.example/notes/1"]
    peer.documents[path] = {"@context": AS2, "id": f"{peer.base}{path}", "type": "OrderedCollection", "orderedItems": []}
    await befriend(world, peer, amina, p1)
    # When he says that something was added, or removed, whatever it be
    peer.documents[path]["orderedItems"] = listed
    pinned = "select post.uri from pin join post on post.id = pin.post_id join actor on actor.id = pin.actor_id where actor.uri = :uri order by pin.place"
    await send(world, p1, p1.activity("Add", hers["id"], target=p1.overrides["featured"]), amina)
    # Then his pins are the posts of his own that his server lists
    assert [row["uri"] for row in await amina.site.rows(pinned, uri=p1.id)] == [mine["id"], older["id"]]
    p1.peer.documents[path]["orderedItems"] = [older["id"]]
    remove = p1.activity("Remove", mine["id"], target=p1.overrides["featured"])
    assert await send(world, p1, {name: value for name, value in remove.items() if name != "id"}, amina) == 202  # Mastodon gives none
    assert [row["uri"] for row in await amina.site.rows(pinned, uri=p1.id)] == [older["id"]]
    # And nobody adds to another's
    asked = len(p1.peer.asked(path))
    p2 = p1.peer.actors["p2"]
    await send(world, p2, p2.activity("Add", hers["id"], target=p1.overrides["featured"]), amina)
    assert len(p1.peer.asked(path)) == asked


async def test_ours_likes_boosts_and_pins(world: World, amina: Person, p1: FakeActor) -> None:
    instance, note = amina.site.instance, p1.note("<p>ours likes</p>")
    await send(world, p1, p1.follow(amina.uri), amina)
    await send(world, p1, p1.create(note), amina)
    p1.peer.log.clear()
    # Given what we do with a post of theirs, each twice, and taken back
    for work in (social.like, social.boost):
        for undo in (False, False, True, True):
            await work(instance, amina.actor, note["id"], undo=undo)
    await world.settle()
    # Then each is said once, with the whole of it in its Undo
    said = p1.peer.activities()
    assert sorted({(one["type"], one["object"]["type"] if isinstance(one["object"], dict) else one["object"]) for one in said}) == [
        ("Announce", note["id"]), ("Like", note["id"]), ("Undo", "Announce"), ("Undo", "Like"),
    ]  # fmt: skip
    assert len({one["id"] for one in said}) == 4
    assert {one["object"]["id"] for one in said if one["type"] == "Undo"} == {one["id"] for one in said if one["type"] != "Undo"}
    # And a pin is told to followers, and stands in the collection
    post = await amina.post("pinned")
    await social.pin(instance, amina.actor, post.uri)
    featured = await amina.site.get(f"{amina.uri}/collections/featured")
    assert featured.json["orderedItems"] == [post.uri]
    await social.pin(instance, amina.actor, post.uri, undo=True)
    await world.settle()
    assert [(one["type"], one["object"], one["target"]) for one in p1.peer.activities() if one["type"] in ("Add", "Remove")] == [
        (kind, post.uri, f"{amina.uri}/collections/featured") for kind in ("Add", "Remove")
    ]
    with pytest.raises(social.CannotDo):
        await social.pin(instance, amina.actor, note["id"])
    with pytest.raises(social.CannotDo):
        await social.boost(instance, amina.actor, (await amina.post("for followers", "followers")).uri + "0")


async def test_collections_are_read_no_further_than_they_are_worth(world: World, amina: Person, p1: FakeActor) -> None:
    from actors.remote import Budget
    from inbox import collections
    from schemas.reading import Iri

    peer, instance = p1.peer, amina.site.instance

    def serve(name: str, kind: str, **members: Any) -> Iri:
        peer.documents[f"/c/{name}"] = {"@context": AS2, "id": f"{peer.base}/c/{name}", "type": kind, **members}
        return Iri(f"{peer.base}/c/{name}")

    ids = [f"{peer.base}/notes/{at}" for at in range(200)]
    page = "OrderedCollectionPage"
    # Pages that lead on for ever, in a circle, to another host, to themselves; a million items; a lie about how many
    for at in range(6):
        serve(f"on{at}", page, orderedItems=ids[at * 5 : at * 5 + 5], next=f"{peer.base}/c/on{at + 1}")
    serve("round1", page, items=ids[:3], next=f"{peer.base}/c/round2")
    serve("round2", page, items=ids[3:6], next=f"{peer.base}/c/round1")
    serve("away1", page, orderedItems=ids[:3], next="http://127.0.0.1:1/c/away2")
    whole = serve("whole", "OrderedCollection", totalItems=7, orderedItems=[{"id": ids[0], "type": "Note"}, ids[1], ids[1], 5, None])
    inside = serve("inside", "Collection", first={"type": "CollectionPage", "items": ids[:2]})
    long = serve("long", "OrderedCollection", totalItems=10**9, orderedItems=ids)
    itself = serve("itself", "OrderedCollection", first=f"{peer.base}/c/itself", orderedItems=ids[:1])
    expected: dict[Iri, tuple[int, bool, int]] = {
        serve("endless", "OrderedCollection", first=f"{peer.base}/c/on0"): (15, False, 4),
        serve("round", "Collection", first=f"{peer.base}/c/round1"): (6, False, 3),
        serve("away", "Collection", first=f"{peer.base}/c/away1"): (3, False, 2),
        whole: (2, True, 1), inside: (2, True, 1), long: (60, False, 1), itself: (1, False, 1),
    }  # fmt: skip
    for url, (number, is_whole, requests) in expected.items():
        peer.log.clear()
        found = await collections.members(instance, url, Budget(100))
        assert isinstance(found, collections.Members), url
        assert (len(found.ids), found.whole, len(peer.log)) == (number, is_whole, requests), url
    assert not isinstance(await collections.members(instance, Iri(f"{peer.base}/users/p1"), Budget(9)), collections.Members)
