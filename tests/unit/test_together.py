"""What is done together is what would have been done one by one: the same rows for whatever comes, and whatever is unusual is left to the ordinary way."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.known import Actor
from fedmatch import app
from inbox import arrivals, at_once, gate
from inbox.arrivals import Counts
from inbox.verify import Sender, Verified
from outbox import plain, posts
from schemas.events import PlainStored, PostStored
from tests.house import House
from tests.letters import PUBLIC, activity, move_in, note, post, rows
from tests.unit.test_at_once import followed

DOCUMENTS = Path(__file__).parents[1] / "interop" / "documents"
COMPARED = (
    "select * from post order by uri",
    "select post.uri, post_audience.target, post_audience.field, post_audience.actor_id from post_audience join post on post.id = post_audience.post_id"
    " order by post.uri, post_audience.field, post_audience.target",
    "select post.uri, post_tag.name from post_tag join post on post.id = post_tag.post_id order by post.uri, post_tag.name",
    "select post.uri, home.actor_id from home join post on post.id = home.post_id order by post.uri, home.actor_id",
    "select uri, host_id, state, body, size, received_at, run_at, done_at from arrival order by uri",
    "select kind, key from job order by kind, key",
)


@pytest.fixture
async def house(database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(database, tmp_path) as moved:
        yield await _ready(moved)


@pytest.fixture
async def quick(sqlite_database, tmp_path: Path) -> AsyncIterator[House]:
    async with move_in(sqlite_database, tmp_path) as moved:
        yield await _ready(moved)


async def _ready(house: House) -> House:
    house.instance.at_once = True
    house.instance.subscribers = {
        kind: (*app.Subscribers(house.instance).get(kind, ()), *subscribers) for kind, subscribers in house.instance.subscribers.items()
    }
    return house


async def heard(house: House, *names: str, host: str = "theirs.example") -> list[Actor]:
    """Strangers who are followed here, from a server that was heard a moment ago."""
    found = [await followed(house, name, host) for name in names]

    async def collect(tx) -> None:
        await tx.execute("update actor set followers = uri || '/followers' where local = 0")

    await house.write(collect)
    assert (await post(house, found[0], activity(found[0], "Create", note(found[0], f"{host}first"), f"{host}first"))).status == 202
    house.told.clear()
    return found


def batches(house: House) -> list[int]:
    return [len(event.posts) for event in house.told if isinstance(event, PlainStored)]


async def test_many_are_stored_together_and_once(house: House) -> None:
    writers = await heard(house, "bo", "cy", "di")
    sent = [(who, activity(who, "Create", note(who, f"{who.username}{number}"), f"{who.username}{number}")) for number in range(8) for who in writers]
    got = await asyncio.gather(*[post(house, who, create) for who, create in sent + sent])
    assert {one.status for one in got} == {202}
    assert sum(batches(house)) == 24
    assert max(batches(house)) > 1
    assert [event for event in house.told if isinstance(event, PostStored)] == []
    assert len(await rows(house, "select * from post")) == len(await rows(house, "select * from home")) == 25
    assert await house.read(arrivals.counts) == Counts(0, 25, 0)


async def test_what_is_not_so_plain_is_left_to_the_ordinary_way(quick: House) -> None:
    [bo] = await heard(quick, "bo")
    amina = f"{quick.instance.config.base_url}/users/amina"
    mention = [{"type": "Mention", "href": amina, "name": "@amina"}]
    unusual = [
        note(bo, "reply", inReplyTo="https://elsewhere.example/notes/1"),
        note(bo, "followers", to=[f"{bo.uri}/followers"], cc=[]),
        note(bo, "direct", to=[amina], cc=[], tag=mention),
        note(bo, "mention", cc=[amina], tag=mention),
        note(bo, "somebody", cc=["https://elsewhere.example/users/eve"]),
        note(bo, "languages", contentMap={"en": "<p>Hello</p>", "de": "<p>Hallo</p>"}),
        note(bo, "Article", type="Article", name="A title"),
        note(bo, "Question", type="Question", oneOf=[{"type": "Note", "name": "a"}, {"type": "Note", "name": "b"}]),
    ]
    for number, one in enumerate(unusual):
        assert (await post(quick, bo, activity(bo, "Create", one, number))).status == 202
    assert batches(quick) == []
    assert await quick.read(arrivals.counts) == Counts(0, 1 + len(unusual), 0)


async def test_one_that_raises_harms_none_of_its_batch(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bo, cy = await heard(quick, "bo", "cy")
    store = plain.store

    async def poisoned(tx, instance, several) -> None:
        await store(tx, instance, several)
        if any("poison" in str(ready.row["content"]) for ready, _ in several):
            raise ZeroDivisionError

    monkeypatch.setattr(plain, "store", poisoned)
    sent = [post(quick, who, activity(who, "Create", note(who, who.username, word), who.username)) for who, word in ((bo, "poison"), (cy, "honey"))]
    assert {one.status for one in await asyncio.gather(*sent)} == {202}
    assert await quick.read(arrivals.counts) == Counts(0, 3, 0)
    assert len(await rows(quick, "select id from post")) == 3


async def test_without_memory_nothing_is_acknowledged(quick: House, monkeypatch: pytest.MonkeyPatch) -> None:
    [bo] = await heard(quick, "bo")

    async def out_of_memory(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(at_once, "_take_all", out_of_memory)
    monkeypatch.setattr(at_once, "_take", out_of_memory)
    with pytest.raises(MemoryError):
        await post(quick, bo, activity(bo, "Create", note(bo, "one"), "one"))
    assert await quick.read(arrivals.counts) == Counts(0, 1, 0)


async def test_a_tombstone_keeps_it_away_and_a_reply_finds_it(quick: House) -> None:
    bo, cy = await heard(quick, "bo", "cy")
    gone, parent = note(bo, "gone"), note(bo, "parent")
    await quick.write(posts.delete, quick.instance, bo, gone["id"])
    await post(quick, cy, activity(cy, "Create", note(cy, "reply", inReplyTo=parent["id"]), "reply"))
    for one in (gone, parent):
        await post(quick, bo, activity(bo, "Create", one, one["id"][-4:]))
    found = {row["uri"]: row for row in await rows(quick, "select id, uri, in_reply_to_id from post")}
    assert gone["id"] not in found
    assert found[note(cy, "reply")["id"]]["in_reply_to_id"] == found[parent["id"]]["id"]


async def _wipe(tx) -> None:
    for table in ("post", "arrival", "job", "tombstone"):
        await tx.execute(f"delete from {table}")  # four words of ours


async def both_ways(house: House, sender: Actor, document: dict[str, Any]) -> bool:
    """Whether it was done together; then the rows are those of the ordinary way."""
    body = json.dumps(document).encode()
    verified = Verified(Sender(sender.id, sender.uri, sender.host), document, "signature", body)
    subscribers, snapshots, together = house.instance.subscribers, [], False
    for subscribed in (subscribers, {kind: heard for kind, heard in subscribers.items() if kind is not PlainStored}):
        house.instance.subscribers = subscribed
        taken = at_once.plain(house.instance, verified, gate.claim(document), body)
        if taken is None:
            return False
        await house.write(_wipe)
        house.told.clear()
        await at_once.take(house.instance, taken, None)
        together = together or bool(batches(house))
        snapshot = []
        for sql in COMPARED:
            # A seal never looks the same twice.
            shown = [{name: value is None if name == "sealed" else value for name, value in row.items() if name != "id"} for row in await rows(house, sql)]
            snapshot.append(shown)
        snapshots.append(snapshot)
    house.instance.subscribers = subscribers
    assert snapshots[0] == snapshots[1]
    return together


async def test_recorded_documents_give_the_same_rows_either_way(quick: House) -> None:
    [bo] = await heard(quick, "bo")
    tried = together = 0
    for path in sorted(DOCUMENTS.rglob("*create*.json")):
        document = json.loads(path.read_text())
        actor = document.get("actor")
        if document.get("type") != "Create" or not isinstance(actor, str):
            continue
        home = "/".join(actor.split("/", 3)[:3])
        text = json.dumps(document).replace(actor, bo.uri).replace(home, "https://theirs.example")
        tried += 1
        together += await both_ways(quick, bo, json.loads(text))
    assert tried > 10
    assert together >= 3


words = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
markup = st.lists(
    st.one_of(words, st.sampled_from(["<p>", "</p>", "<br>", "<b>", "&amp;", "&", '<a href="https://a.example/t">', "</a>", "<script>x</script>"])), max_size=8
)
BO = "https://theirs.example/users/bo"
targets = st.lists(st.sampled_from([PUBLIC, "as:Public", f"{BO}/followers", "https://elsewhere.example/users/eve", ""]), max_size=3)
members = st.fixed_dictionaries(
    {"to": targets, "cc": targets},
    optional={
        "type": st.sampled_from(["Note", ["Note"], "Article", ["Note", "Question"]]),
        "content": markup.map("".join),
        "contentMap": st.dictionaries(st.sampled_from(["en", "ar", "!"]), words, max_size=2),
        "summary": st.none() | words,
        "sensitive": st.sampled_from([True, False, None, "true"]),
        "published": st.sampled_from(["2026-02-01T00:00:00Z", "2036-02-01T00:00:00Z", "1969-01-01T00:00:00Z", "soon", None]),
        "updated": st.sampled_from(["2026-02-02T00:00:00Z", None]),
        "url": st.sampled_from(["https://theirs.example/@bo/1", "javascript:alert(1)", None, [{"type": "Link", "href": "https://theirs.example/1"}]]),
        "conversation": st.none() | words,
        "inReplyTo": st.sampled_from([None, "https://elsewhere.example/notes/1"]),
        "tag": st.lists(
            st.one_of(
                st.builds(lambda name: {"type": "Hashtag", "name": f"#{name}", "href": "https://theirs.example/tags/x"}, words),
                st.just({"type": "Mention", "href": "https://elsewhere.example/users/eve", "name": "@eve"}),
                st.just({"type": "Emoji", "name": ":a:", "icon": {"url": "https://theirs.example/a.png"}}),
            ),
            max_size=3,
        ),
        "attachment": st.lists(st.just({"type": "Document", "mediaType": "image/png", "url": "https://theirs.example/a.png", "name": "a cat"}), max_size=2),
        "source": st.just({"content": "Hello", "mediaType": "text/markdown"}),
        "bto": st.just(["https://theirs.example/users/cy"]),
        "interactionPolicy": st.just({"canReply": {}}),
    },
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=st.lists(members, min_size=2, max_size=8))
async def test_whatever_is_told_gives_the_same_rows_either_way(quick: House, given: list[dict[str, Any]]) -> None:
    if not quick.told:
        [bo] = await heard(quick, "bo")
        quick.instance.memory["bo"] = bo
    bo = quick.instance.memory["bo"]
    for number, changes in enumerate(given):
        await both_ways(quick, bo, activity(bo, "Create", {**note(bo, number), **changes}, number))
