"""Rows H14, H15, H22-H25: people who go, move, change and are reported; between our server and a strange one."""

from typing import Any

import pytest

from fedmatch import people
from fedmatch.board import social
from fedmatch.safety import reports
from tests.fakepeer import FakeActor, FakePeer
from tests.neighbours import befriend, held, likes, reads, send
from tests.wire import Reply
from tests.world import Person, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("key_gone", [False, True])
async def test_h14_whoever_deletes_themselves_leaves_nothing(world: World, amina: Person, p1: FakeActor, key_gone: bool) -> None:
    note, post = p1.note("<p>h14</p>"), await amina.post("h14 ours")
    await send(world, p1, p1.create(note), amina)
    await send(world, p1, p1.activity("Like", post.uri), amina)
    assert await likes(amina, post.uri) == 1
    if key_gone:
        p1.peer.always("/users/p1", Reply(410, b"{}"))
        amina.site.instance.keys.forget()
        await _forget_keys(amina, p1)
    assert await send(world, p1, p1.activity("Delete", p1.id), amina) == 202
    assert await held(amina, note) == []
    assert await amina.site.rows("select follow.id from follow join actor on actor.id in (follower_id, followed_id) where actor.uri = :uri", uri=p1.id) == []
    for table in ("reaction", "said"):
        assert await amina.site.count(table, "actor_id = (select id from actor where uri = :uri)", uri=p1.id) == 0


async def test_h14_the_key_of_somebody_gone_deletes_nobody_else(world: World, amina: Person, p1: FakeActor) -> None:
    # Given somebody whom she follows, and a neighbour of theirs whose key is gone
    note, gone = p1.note("<p>h14 stays</p>"), p1.peer.actor("gone")
    await send(world, p1, p1.create(note), amina)
    p1.peer.always("/users/gone", Reply(410, b"{}"))
    # When a deletion of the first comes under the key of the second, known here or not
    assert await send(world, gone, p1.activity("Delete", p1.id), amina) == 401
    assert len(await held(amina, note)) == 1
    assert await amina.following(p1.handle) == "accepted"


async def _forget_keys(who: Person, actor: FakeActor) -> None:
    """As if the key had been removed from memory and tables since."""

    async def body(tx: Any) -> None:
        await tx.execute("delete from actor_key where uri like :start", start=f"{actor.id}%")

    await who.site.instance.database.write(body)


async def test_h15_a_stranger_who_deletes_themselves_costs_nothing(world: World, amina: Person, peer: FakePeer) -> None:
    nobody = peer.actor("nobody")
    assert await send(world, nobody, nobody.activity("Delete", nobody.id), amina) == 202
    assert peer.log == []
    assert await amina.site.count("actor", "uri = :uri", uri=nobody.id) == 0


async def test_h22_a_report_of_another_server_is_for_moderators(world: World, amina: Person, bilal: Person, peer: FakePeer) -> None:
    reporter = peer.actor("actor", "Application")
    post = await bilal.post("h22")
    flags = [
        reporter.activity("Flag", [bilal.uri, post.uri], content="spam"),
        reporter.activity("Flag", bilal.uri, content="x" * 9000),
        reporter.activity("Flag", bilal.uri),
        reporter.activity("Flag", bilal.uri, content=f"Note: {post.uri}\n-----\nrude"),
    ]
    for flag in flags:
        assert (await reporter.send(flag, f"{amina.site.base}/inbox")).status == 202
    await world.settle()
    instance = amina.site.instance
    made = [one for one in await instance.database.read(reports.newest) if one.about == bilal.handle]
    assert made
    shown = [await instance.database.read(reports.show, instance, one.id) for one in made]
    assert all(len(words.text) <= 5000 for _, words in shown)
    assert {one.host for one, _ in shown} == {peer.host}
    assert await reads(bilal, "spam") == 0


async def test_h23_a_report_of_ours_names_nobody(world: World, amina: Person, p1: FakeActor) -> None:
    note = p1.note("<p>h23</p>")
    await send(world, p1, p1.create(note), amina)
    await reports.send(amina.site.instance, amina.actor, note["id"], "it is cruel", forward=True)
    await world.settle()
    [flag] = p1.peer.activities("Flag")
    assert flag["actor"] == f"{amina.site.base}/actor"
    assert flag["object"] == [p1.id, note["id"]]
    [heard] = [one for one in p1.peer.log if one.asked.method == "POST"]
    assert "amina" not in heard.asked.body.decode() + str(heard.asked.headers)


async def _moves(world: World, amina: Person, p1: FakeActor, p2: FakeActor, **more: Any) -> tuple[str | None, str | None]:
    """The old account says that it moved; how she stands to both afterwards."""
    await send(world, p1, p1.activity("Move", p1.id, **({"target": p2.id, "to": [p1.followers]} | more)), amina)
    return await amina.following(p1.handle), await amina.following(p2.handle)


async def test_h24_followers_follow_to_the_new_account(world: World, amina: Person, p1: FakeActor) -> None:
    # Given an account that names the one she follows
    other = await world.peer()
    p2, p3 = other.actor("p2"), other.actor("p3")
    p2.overrides["alsoKnownAs"] = [p1.id]
    p3.overrides["alsoKnownAs"] = [p1.id, p2.id]
    # When that one moves there
    assert await _moves(world, amina, p1, p2) == ("undone", "requested")
    # Then she asks to follow the new one, and takes the old follow back
    [follow], [undo] = other.activities("Follow"), p1.peer.activities("Undo")
    assert (follow["actor"], follow["object"]) == (amina.uri, p2.id)
    assert (undo["object"]["type"], undo["object"]["object"]) == ("Follow", p1.id)
    # And a second move within seven days is none
    await amina.site.instance.database.write(_follow_again, amina, p1)
    assert await _moves(world, amina, p1, p3) == ("accepted", None)


async def _follow_again(tx: Any, who: Person, actor: FakeActor) -> None:
    sql = "update follow set state = 'accepted' where follower_id = :me and followed_id = (select id from actor where uri = :uri)"
    await tx.execute(sql, me=who.actor.id, uri=actor.id)


@pytest.mark.parametrize("case", ["no back link", "to itself", "by somebody else", "moved on", "of another"])
async def test_h24_a_move_that_is_not_proven_is_none(world: World, amina: Person, p1: FakeActor, case: str) -> None:
    other = await world.peer()
    p2, eve = other.actor("p2"), p1.peer.actor("eve")
    if case != "no back link":
        p2.overrides["alsoKnownAs"] = [p1.id, eve.id]
    if case == "moved on":
        p2.overrides["movedTo"] = f"{other.base}/users/p3"
    if case == "by somebody else":
        await send(world, eve, eve.activity("Move", p1.id, target=p2.id), amina)
    elif case == "of another":
        await send(world, eve, eve.activity("Move", eve.id, target=p2.id), amina)
    else:
        await _moves(world, amina, p1, p2, **({"target": p1.id} if case == "to itself" else {}))
    assert await amina.following(p1.handle) == "accepted"
    assert await amina.following(p2.handle) is None
    assert other.activities("Follow") == []


@pytest.mark.parametrize("proof", ["movedTo", "alsoKnownAs"])
async def test_h24_the_new_account_may_say_it_if_the_old_one_points_there(world: World, amina: Person, p1: FakeActor, proof: str) -> None:
    other = await world.peer()
    p2 = other.actor("p2")
    p2.overrides["alsoKnownAs"] = [p1.id]
    p1.overrides[proof] = p2.id if proof == "movedTo" else [p2.id]
    await send(world, p2, p2.activity("Move", p1.id, target=p2.id), amina)
    assert await amina.following(p2.handle) == ("requested" if proof == "movedTo" else None)


async def test_h24_ours_moves_away(world: World, amina: Person, peer: FakePeer) -> None:
    # Given one of ours with followers here and there, and a new account elsewhere
    dana = await world.person(f"dana{peer.port}@a")
    fan, new = peer.actor("fan"), peer.actor("dana")
    await send(world, fan, fan.follow(dana.uri), dana)
    await amina.follow(dana.handle)
    await world.settle()
    peer.log.clear()
    instance = dana.site.instance
    # When the new one does not say that it is her, she does not move
    with pytest.raises(social.CannotDo, match="alsoKnownAs"):
        await social.move(instance, dana.actor, new.handle)
    # When it does, followers elsewhere are told, and followers here follow there
    new.overrides["alsoKnownAs"] = [dana.uri]
    await social.move(instance, dana.actor, new.handle)
    await world.settle()
    [move] = peer.activities("Move")
    assert (move["actor"], move["object"], move["target"], move["to"]) == (dana.uri, dana.uri, new.id, [dana.actor.followers])
    [update] = peer.activities("Update")
    assert update["object"]["movedTo"] == new.id
    assert [follow["actor"] for follow in peer.activities("Follow")] == [amina.uri]
    assert (await dana.site.get(f"/users/{dana.actor.username}")).json["movedTo"] == new.id
    # And nobody can follow the old one any more, nor does it move again this week
    late = peer.actor("late")
    await send(world, late, late.follow(dana.uri), dana)
    assert peer.activities()[-1]["type"] == "Reject"
    with pytest.raises(people.NotFound):
        await amina.follow(dana.handle)
    with pytest.raises(social.CannotDo, match="seven days"):
        await social.move(instance, dana.actor, new.handle)


async def test_h24_somebody_moves_to_us(world: World, amina: Person, p1: FakeActor) -> None:
    omar = await world.person(f"omar{p1.peer.port}@a")
    assert (await social.expect(omar.site.instance, omar.actor, p1.handle)).uri == p1.id
    assert (await omar.site.get(f"/users/{omar.actor.username}")).json["alsoKnownAs"] == [p1.id]
    await send(world, p1, p1.activity("Move", p1.id, target=omar.uri, to=[p1.followers]), amina)
    assert await amina.following(omar.handle) == "accepted"
    assert await amina.following(p1.handle) == "undone"


async def test_h25_a_profile_changes_by_its_own_word_alone(world: World, amina: Person, p1: FakeActor) -> None:
    p2 = p1.peer.actor("p2")
    await befriend(world, p1.peer, amina, p2)
    forged = p2.document() | {"name": "Forged"}
    await send(world, p1, p1.activity("Update", forged), amina)
    p1.overrides["name"] = "A new name"
    await send(world, p1, p1.activity("Update", p1.document()), amina)
    names = {row["uri"]: row["name"] for row in await amina.site.rows("select uri, name from actor where local = 0")}
    assert (names[p1.id], names[p2.id]) == ("A new name", "P2")
