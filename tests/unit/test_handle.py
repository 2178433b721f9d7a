"""What an activity does, and that it does the same in whatever order it comes."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import follows, known
from actors.known import Actor
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import open_sqlite
from inbox import concern, people
from schemas.events import ActorGone, FollowAccepted, Followed, PostStored
from schemas.notes import parse_note
from tests.house import House
from tests.letters import PUBLIC, activity, move_in, note, post, rows, work

NOW = "2026-03-01T11:59:00Z"


@pytest.fixture
async def house(database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(database, tmp_path) as moved:
        yield moved


@pytest.fixture
async def quick(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(sqlite_database, tmp_path) as moved:
        yield moved


async def fans_of(house: House, *strangers: Actor) -> Actor:
    """Amina, whom the strangers' servers have accepted as a follower."""
    amina = await house.read(known.by_name, "amina") or await house.person("amina")

    async def follow(tx) -> None:
        for stranger in strangers:
            asked = await follows.request(tx, house.instance, amina, stranger)
            assert asked is not None
            await tx.execute("update follow set state = 'accepted' where uri = :uri", uri=asked.id)

    await house.write(follow)
    return amina


async def deliver(house: House, sender: Actor, *activities: dict[str, Any]) -> None:
    for one in activities:
        got = await post(house, sender, one)
        assert got.status == 202, got.body
    await work(house)
    assert await rows(house, "select error from arrival where error is not null") == []


async def held(house: House) -> list[str]:
    return [row["uri"].rpartition("/")[2] for row in await rows(house, "select uri from post order by uri")]


# Which posts concern us.


async def test_a_post_of_somebody_nobody_follows_is_not_kept(quick: House) -> None:
    bo = await quick.stranger("bo")
    await deliver(quick, bo, activity(bo, "Create", note(bo)))
    assert await held(quick) == []


async def test_what_is_followed_addressed_answered_or_offered_is_kept(house: House) -> None:
    bo, eve = await house.stranger("bo"), await house.stranger("eve")
    amina = await fans_of(house, bo)
    offer = {
        "purpose": "offer", "type": "Note", "publishes": {"type": "Intent", "action": "deliverService", "name": "Legal advice"},
    }  # fmt: skip
    await deliver(house, bo, activity(bo, "Create", note(bo, "followed"), 1))
    await deliver(house, eve, activity(eve, "Create", note(eve, "addressed", to=[amina.uri], cc=[]), 2))
    await deliver(house, eve, activity(eve, "Create", note(eve, "in-cc-only", to=[], cc=[amina.uri]), 3))
    await deliver(house, eve, activity(eve, "Create", note(eve, "listing", **offer), 4))
    await deliver(house, eve, activity(eve, "Create", note(eve, "spam"), 5))
    await deliver(house, eve, activity(eve, "Create", note(eve, "mention-without-address", tag=[{"type": "Mention", "href": amina.uri, "name": "@amina"}]), 6))
    assert await held(house) == ["addressed", "followed", "in-cc-only", "listing"]


async def test_a_private_listing_of_a_stranger_is_not_kept(quick: House) -> None:
    eve = await quick.stranger("eve")
    offer = {"purpose": "offer", "publishes": {"type": "Intent", "action": "deliverService", "name": "x"}}
    await deliver(quick, eve, activity(eve, "Create", note(eve, 1, to=[f"{eve.uri}/followers"], cc=[], **offer)))
    assert await held(quick) == []


async def test_the_original_of_a_public_post_is_kept(quick: House) -> None:
    bo = await quick.stranger("bo")
    await fans_of(quick, bo)
    await deliver(quick, bo, activity(bo, "Create", note(bo, curious="member")))
    from outbox.posts import original

    [row] = await rows(quick, "select document from post")
    assert b'"curious":"member"' in original(row["document"])


async def test_a_reply_asks_for_the_posts_above_it(quick: House) -> None:
    bo = await quick.stranger("bo")
    await fans_of(quick, bo)
    await deliver(quick, bo, activity(bo, "Create", note(bo, 1, inReplyTo="https://third.example/notes/7")))
    assert [(row["kind"], row["key"]) for row in await rows(quick, "select kind, key from job")] == [("thread", "https://third.example/notes/7")]


# Who may change what.


async def test_only_the_owner_edits_and_deletes(house: House) -> None:
    bo, eve = await house.stranger("bo"), await house.stranger("eve")
    await fans_of(house, bo, eve)
    await deliver(house, bo, activity(bo, "Create", note(bo, 1, "<p>mine</p>")))
    forged = note(eve, 1, "<p>forged</p>", updated=NOW)
    await deliver(house, eve, activity(eve, "Update", forged, "u"), activity(eve, "Delete", forged["id"], "d"))
    [row] = await rows(house, "select content from post")
    assert "mine" in row["content"]
    await deliver(house, bo, activity(bo, "Update", note(bo, 1, "<p>better</p>", updated=NOW), "bu"))
    [row] = await rows(house, "select content from post")
    assert "better" in row["content"]
    await deliver(house, bo, activity(bo, "Delete", {"id": forged["id"], "type": "Tombstone"}, "bd"))
    assert await held(house) == []
    await deliver(house, bo, activity(bo, "Create", note(bo, 1), "again"))
    assert await held(house) == [], "what was deleted does not come back"


SAID = [("2026-03-01T11:58:00Z", -2), ("2026-03-01T12:30:00Z", 30), ("2036-03-01T12:30:00Z", 24 * 60), ("soon", 0), (None, 0)]


@pytest.mark.parametrize(("said", "minutes"), SAID)
async def test_what_was_deleted_may_be_given_again_by_what_was_said_after_that(quick: House, said: str | None, minutes: int) -> None:
    """However late the Delete is heard: what its home says next, sealed, is not taken for older than it."""
    bo = await quick.stranger("bo")
    await fans_of(quick, bo)
    gone = note(bo, 1)
    await deliver(quick, bo, activity(bo, "Create", gone))
    await deliver(quick, bo, activity(bo, "Delete", gone["id"], "d", **({"published": said} if said else {})))
    await deliver(quick, bo, activity(bo, "Delete", note(bo, 2)["id"], "unheld", **({"published": said} if said else {})))
    buried = quick.clock.ms() + minutes * 60_000
    assert [(row["uri"], row["deleted_at"]) for row in await rows(quick, "select * from tombstone order by uri")] == [
        (note(bo, number)["id"], buried) for number in (1, 2)
    ]


async def test_a_pushed_profile_changes_what_is_shown_and_nothing_else(house: House) -> None:
    bo, eve = await house.stranger("bo"), await house.stranger("eve")
    document = {
        "id": bo.uri, "type": "Person", "preferredUsername": "bo", "name": "Bo the Second", "summary": "<p>new</p><script>x</script>",
        "inbox": bo.inbox, "endpoints": {"sharedInbox": bo.shared_inbox}, **await keys_of(house, bo),
    }  # fmt: skip
    await deliver(house, bo, activity(bo, "Update", document))
    changed = await house.read(known.by_uri, bo.uri)
    assert changed is not None
    assert (changed.name, changed.inbox, changed.username) == ("Bo the Second", bo.inbox, "bo")
    assert "script" not in (changed.summary or "")
    await deliver(house, eve, activity(eve, "Update", {**document, "name": "forged"}, 2))
    assert (await house.read(known.by_uri, bo.uri)).name == "Bo the Second"


async def keys_of(house: House, actor: Actor) -> dict[str, Any]:
    from schemas import documents
    from tests.house import describe

    whole = documents.actor(describe(actor.username))
    return {name: whole[name] for name in ("publicKey", "assertionMethod") if name in whole}


async def test_a_pushed_profile_with_another_key_is_not_believed(quick: House) -> None:
    bo = await quick.stranger("bo")
    document = {
        "id": bo.uri,
        "type": "Person",
        "preferredUsername": "bo",
        "name": "taken over",
        "inbox": bo.inbox,
        "endpoints": {"sharedInbox": bo.shared_inbox},
    }
    got = await post(quick, bo, activity(bo, "Update", document))
    assert got.status == 202
    await work(quick)
    # Its own server is asked, and nobody answers here: it is tried again later, and nothing changed meanwhile.
    [row] = await rows(quick, "select state, error from arrival")
    assert row["state"] == "waiting"
    assert (await quick.read(known.by_uri, bo.uri)).name != "taken over"


async def test_an_actor_that_deletes_itself_is_gone(house: House) -> None:
    bo = await house.stranger("bo")
    await fans_of(house, bo)
    await deliver(house, bo, activity(bo, "Create", note(bo)), activity(bo, "Delete", bo.uri, 2))
    gone = await house.read(known.by_uri, bo.uri)
    assert gone is not None
    assert gone.state == "gone"
    assert [event.uri for event in house.told if isinstance(event, ActorGone)] == [bo.uri]


# Follows.


async def test_a_follow_is_answered_and_the_answer_leaves(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    await deliver(house, bo, activity(bo, "Follow", amina.uri))
    assert [(event.follower_id, event.accepted) for event in house.told if isinstance(event, Followed)] == [(bo.id, True)]
    [out] = await rows(house, "select kind, actor_id, ordering_key from outgoing")
    assert (out["kind"], out["actor_id"]) == ("Accept", amina.id)
    assert out["ordering_key"] == people.between(bo, amina)
    [delivery] = await rows(house, "select inbox, state from delivery")
    assert (delivery["inbox"], delivery["state"]) == (bo.inbox, "waiting")


async def test_a_follow_of_a_locked_person_waits_and_of_nobody_is_ignored(quick: House) -> None:
    amina, bo = await quick.person("amina", locked=True), await quick.stranger("bo")
    await deliver(quick, bo, activity(bo, "Follow", amina.uri, 1), activity(bo, "Follow", "https://ours.example/users/nobody", 2))
    assert [row["state"] for row in await rows(quick, "select state from follow")] == ["requested"]
    assert await rows(quick, "select id from outgoing") == []


async def test_only_the_followed_accepts(house: House) -> None:
    amina, bo, eve = await house.person("amina"), await house.stranger("bo"), await house.stranger("eve")
    asked = await house.write(follows.request, house.instance, amina, bo)
    inner = {"id": asked.id, "type": "Follow", "actor": amina.uri, "object": bo.uri}
    await deliver(house, eve, activity(eve, "Accept", inner, "e"))
    assert (await house.read(follows.between, amina.id, bo.id)).state == "requested"
    await deliver(house, bo, activity(bo, "Accept", asked.id, "b"))
    assert (await house.read(follows.between, amina.id, bo.id)).state == "accepted"
    assert len([event for event in house.told if isinstance(event, FollowAccepted)]) == 1
    await deliver(house, bo, activity(bo, "Reject", inner, "r"))
    assert (await house.read(follows.between, amina.id, bo.id)).state == "rejected"


async def test_only_the_follower_undoes(quick: House) -> None:
    amina, bo, eve = await quick.person("amina"), await quick.stranger("bo"), await quick.stranger("eve")
    follow = activity(bo, "Follow", amina.uri, "f")
    await deliver(quick, bo, follow)
    await deliver(quick, eve, activity(eve, "Undo", follow, "e"))
    assert (await quick.read(follows.between, bo.id, amina.id)).state == "accepted"
    await deliver(quick, bo, activity(bo, "Undo", follow, "u"))
    assert (await quick.read(follows.between, bo.id, amina.id)).state == "undone"


# Boosts.


async def test_a_boost_of_our_post_or_by_somebody_followed_is_kept_and_undone(house: House) -> None:
    bo, eve = await house.stranger("bo"), await house.stranger("eve")
    await fans_of(house, bo)
    await deliver(house, bo, activity(bo, "Create", note(bo)))
    boost = activity(bo, "Announce", note(bo)["id"], "boost", to=[PUBLIC])
    await deliver(house, bo, boost)
    await deliver(house, eve, activity(eve, "Announce", note(bo)["id"], "eves", to=[PUBLIC]))
    assert await held(house) == ["boost", "1"] or await held(house) == ["1", "boost"]
    await deliver(house, eve, activity(eve, "Undo", boost, "ue"))
    assert len(await held(house)) == 2, "not hers to take back"
    await deliver(house, bo, activity(bo, "Undo", boost, "ub"))
    assert await held(house) == ["1"]


async def test_a_boost_with_a_forged_copy_inside_shows_nothing_of_it(quick: House) -> None:
    bo, eve = await quick.stranger("bo"), await quick.stranger("eve", "third.example")
    await fans_of(quick, bo)
    got = await post(quick, bo, activity(bo, "Announce", note(eve, 5, "<p>forged</p>"), "b", to=[PUBLIC]))
    assert got.status == 202
    await work(quick)
    assert await held(quick) == [], "its origin was not to be reached, and nothing else is believed"


@pytest.mark.parametrize("kind", ["Like", "View", "EmojiReact", "Question", "Collection", "Block", "Flag"])
async def test_what_we_do_not_act_on_is_done_politely(quick: House, kind: str) -> None:
    bo = await quick.stranger("bo")
    await deliver(quick, bo, activity(bo, kind, "https://ours.example/posts/1"))
    assert [row["state"] for row in await rows(quick, "select state from arrival")] == ["done"]


# Whatever the order.


def _story(bo: Actor, amina: str) -> list[dict[str, Any]]:
    """A post written, edited twice and deleted; another that stays; a follow asked and taken back; a boost taken back."""
    follow = activity(bo, "Follow", amina, "follow")
    boost = activity(bo, "Announce", note(bo, "stays")["id"], "boost", to=[PUBLIC])
    return [
        activity(bo, "Create", note(bo, "goes", "<p>one</p>"), "create"),
        activity(bo, "Update", note(bo, "goes", "<p>two</p>", updated="2026-03-01T11:56:00Z"), "update1"),
        activity(bo, "Update", note(bo, "goes", "<p>three</p>", updated="2026-03-01T11:57:00Z"), "update2"),
        activity(bo, "Delete", note(bo, "goes")["id"], "delete"),
        activity(bo, "Create", note(bo, "edited", "<p>first</p>"), "create2"),
        activity(bo, "Update", note(bo, "edited", "<p>last</p>", updated="2026-03-01T11:58:00Z"), "update3"),
        follow,
        activity(bo, "Undo", follow, "undo"),
        boost,
        activity(bo, "Undo", boost, "undo2"),
    ]


def test_every_order_ends_alike(tmp_path: Path) -> None:
    numbers = itertools.count()

    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
    @given(order=st.permutations(range(10)), doubled=st.sets(st.integers(0, 9), max_size=3))
    def check(order: list[int], doubled: set[int]) -> None:
        async def story() -> None:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            database = await open_sqlite(folder / "fedmatch.db")
            await migrate(database)
            async with move_in(database, folder) as house:
                bo = await house.stranger("bo")
                amina = await fans_of(house, bo)
                await deliver(house, bo, activity(bo, "Create", note(bo, "stays"), "stays"))
                whole = _story(bo, amina.uri)
                for place in order:
                    for _ in range(2 if place in doubled else 1):
                        await deliver(house, bo, whole[place])
                        house.clock.move(seconds=1)
                posts = {row["uri"].rpartition("/")[2]: row["content"] for row in await rows(house, "select uri, content from post")}
                assert posts == {"stays": "<p>Hello</p>", "edited": "<p>last</p>"}
                edge = await house.read(follows.between, bo.id, amina.id)
                assert edge is None or edge.state == "undone"
            await database.close()

        asyncio.run(story())

    check()


# It survives rubbish.

NAMES = ["id", "type", "actor", "object", "to", "cc", "tag", "content", "published", "updated", "inReplyTo", "name", "attributedTo"]
IDS = ["https://theirs.example/notes/1", "https://theirs.example/users/bo", "https://ours.example/users/amina", PUBLIC]
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8) | st.sampled_from(IDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=10,
)
KINDS = ["Create", "Update", "Delete", "Follow", "Accept", "Reject", "Undo", "Announce", "Like", "Other"]


def test_wrong_types_everywhere_end_somewhere(tmp_path: Path) -> None:
    async def story() -> None:
        database = await open_sqlite(tmp_path / "fedmatch.db")
        await migrate(database)
        async with move_in(database, tmp_path) as house:
            bo = await house.stranger("bo")
            await fans_of(house, bo)
            numbers = itertools.count()

            async def one(kind: str, object: Any, members: dict[str, Any]) -> None:
                thing = {**note(bo, next(numbers)), **object} if isinstance(object, dict) else object
                got = await post(house, bo, {**activity(bo, kind, thing, f"r{next(numbers)}"), **members})
                assert got.status in (202, 400, 401, 403, 429)

            loop = asyncio.get_running_loop()

            @settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
            @given(kind=st.sampled_from(KINDS), object=SHAPES, members=st.dictionaries(st.sampled_from(["to", "cc", "published", "type"]), SHAPES, max_size=2))
            def check(kind: str, object: Any, members: dict[str, Any]) -> None:
                asyncio.run_coroutine_threadsafe(one(kind, object, members), loop).result(20)

            await asyncio.to_thread(check)
            await work(house, 60)
            states = {row["state"]: row["error"] for row in await rows(house, "select state, error from arrival where state = 'failed'")}
            assert all(error.startswith("unreadable") for error in states.values()), states
            tried = await rows(house, "select error from arrival where state = 'waiting'")
            assert all("could not be" in row["error"] for row in tried), tried
        await database.close()

    asyncio.run(story())


async def test_relevance_looks_at_so_many_addresses_and_no_more(quick: House) -> None:
    bo, amina = await quick.stranger("bo"), await quick.person("amina")
    crowd = [f"https://ours.example/users/u{number}" for number in range(10_000)]
    spam = parse_note(note(bo, to=[*crowd, amina.uri], cc=[]))
    looked = []

    async def count(tx):
        class Counting:
            async def one(self, sql, **values):
                looked.append(sql)
                return await tx.one(sql, **values)

        return await concern.post(Counting(), quick.instance, bo, spam)

    await quick.read(count)
    assert len(looked) <= concern.MOST_ADDRESSED + 2


async def test_what_is_stored_twice_is_told_once(quick: House) -> None:
    bo = await quick.stranger("bo")
    await fans_of(quick, bo)
    await deliver(quick, bo, activity(bo, "Create", note(bo), 1), activity(bo, "Create", note(bo), 2))
    assert len([event for event in quick.told if isinstance(event, PostStored)]) == 1
