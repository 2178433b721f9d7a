"""Does it end alike, whatever the network does to the order? What somebody elsewhere did, against what we believe after every delay, swap and repetition."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from actors import blocks, follows
from actors.known import Actor
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import open_sqlite
from inbox import handle
from inbox.handle import Found
from inbox.verify import Sender, Verified
from outbox import polls, posts, reactions
from schemas import activities
from schemas.objects import PUBLIC, Note, Option, Poll
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.house import House
from tests.letters import activity, move_in, note

T = TypeVar("T")
NUMBERS = count(1)
HOME = "https://theirs.example"


class Place:
    """A house that lives as long as the test, and a loop of its own to live in: a house for each example would take longer than the example."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.house: House = self.run(self._enter(folder))

    async def _enter(self, folder: Path) -> House:
        database = await open_sqlite(folder / "fedmatch.db")
        self.stack.push_async_callback(database.close)
        await migrate(database)
        return await self.stack.enter_async_context(move_in(database, folder))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    opened = Place(tmp_path)
    yield opened
    opened.close()


class Scene:
    """One example: somebody here with a post and a poll, somebody there whom they follow, and what was heard of them so far."""

    def __init__(self, house: House) -> None:
        self.house, self.number = house, next(NUMBERS)

    async def set(self) -> "Scene":
        house = self.house
        self.amina = await house.person(f"amina{self.number}")
        self.bo = await house.stranger(f"bo{self.number}")
        self.eve = await house.stranger(f"eve{self.number}")
        self.post = await self._write("Note")
        self.poll = await self._write("Question", poll=Poll((Option("Yes"), Option("No")), multiple=True))
        await house.write(self._follows, self.bo)
        self.asked = await house.write(follows.request, house.instance, self.amina, self.eve)
        return self

    async def _follows(self, tx: Transaction, whom: Actor) -> None:
        asked = await follows.request(tx, self.house.instance, self.amina, whom)
        assert asked is not None
        await tx.execute("update follow set state = 'accepted' where uri = :uri", uri=asked.id)

    async def _write(self, kind: str, **more: Any) -> posts.Post:
        number = self.house.instance.ids.new()
        made = Note(Iri(f"https://ours.example/posts/{number}"), self.amina.uri, "<p>x</p>", kind=kind, to=(PUBLIC,), published=self.house.clock.now(), **more)
        stored = await self.house.write(posts.store, self.house.instance, self.amina, made, local=True, post_id=number)
        assert isinstance(stored, posts.Post)
        return stored

    def says(self, kind: str, object: object, name: str, by: Actor | None = None, **more: Any) -> dict[str, Any]:
        return activity(by or self.bo, kind, object, f"{name}-{self.number}", **more)

    def note(self, name: str, content: str = "<p>first</p>", **more: Any) -> dict[str, Any]:
        return note(self.bo, f"{name}-{self.number}", content, **more)  # type: ignore[arg-type]  # a name is as good as a number

    async def hear(self, document: dict[str, Any]) -> None:
        """What the worker does with a proven arrival; nothing here needs the network."""
        actor = next(one for one in (self.bo, self.eve) if one.uri == document["actor"])
        verified = Verified(Sender(actor.id, actor.uri, actor.host), document, "signature", at=document.get("signed", 0))
        said = activities.parse(document)
        await self.house.write(handle.act, self.house.instance, verified, said, Found())
        self.house.clock.move(milliseconds=100)

    async def belief(self) -> dict[str, object]:
        """What our tables say in the end, without ids and times of ours."""
        return await self.house.read(self._belief)

    async def _belief(self, tx: Transaction) -> dict[str, object]:
        boosts = [row["actor_id"] for row in await tx.all("select actor_id from post where boost_of = :id", id=self.post.id)]
        reacted = [(row["actor_id"], row["emoji"]) for row in await tx.all("select actor_id, emoji from reaction where post_id = :id", id=self.post.id)]
        theirs = await tx.all("select uri, content, id from post where actor_id = :id and boost_of is null order by uri", id=self.bo.id)
        asked = posts.opened(self.house.instance, self.poll).poll
        assert asked is not None
        counted = await polls.numbers(tx, self.poll.id, asked)
        edges = [await follows.between(tx, one.id, other.id) for one, other in ((self.bo, self.amina), (self.amina, self.bo), (self.amina, self.eve))]
        told = await tx.all("select votes from poll join post on post.id = poll.post_id where post.actor_id = :id", id=self.bo.id)
        return {
            "boosts": boosts,
            "reactions": sorted(reacted),
            "tallies": await reactions.tallies(tx, self.post.id),
            "posts": {row["uri"].rpartition("/")[2].partition("-")[0]: row["content"] for row in theirs},
            "votes": [option.votes for option in counted.options],
            "voters": counted.voters,
            "follows": [edge is not None and edge.live and edge.state for edge in edges],
            "blocks": await blocks.blocks(tx, self.eve.id, self.amina.id),
            "told": [row["votes"] for row in told],
        }


def _question(scene: Scene, votes: tuple[int, int]) -> dict[str, Any]:
    options = [{"type": "Note", "name": name, "replies": {"type": "Collection", "totalItems": n}} for name, n in zip(("A", "B"), votes, strict=True)]
    return scene.note("question", type="Question", oneOf=options)


def _vote(scene: Scene, name: str, who: Actor, choice: str) -> dict[str, Any]:
    ballot = {"type": "Note", "id": f"{who.uri}/votes/{name}", "name": choice, "inReplyTo": scene.poll.uri, "attributedTo": who.uri, "to": [scene.amina.uri]}
    return scene.says("Create", ballot, name, who)


Story = Callable[[Scene], list[dict[str, Any]]]


def _like_again(scene: Scene) -> list[dict[str, Any]]:
    one, two = (scene.says("Like", scene.post.uri, name) for name in ("like1", "like2"))
    return [one, scene.says("Undo", one, "unlike1"), two]


def _like_no_more(scene: Scene) -> list[dict[str, Any]]:
    one, two = (scene.says("Like", scene.post.uri, name) for name in ("like3", "like4"))
    return [one, scene.says("Undo", one["id"], "unlike3"), two, scene.says("Undo", two, "unlike4")]


def _emoji(scene: Scene) -> list[dict[str, Any]]:
    one, two = (scene.says("EmojiReact", scene.post.uri, f"emoji{at}", content=content) for at, content in enumerate("🔥👍"))
    return [one, two, scene.says("Undo", one, "unemoji")]


def _boost_again(scene: Scene) -> list[dict[str, Any]]:
    one, two = (scene.says("Announce", scene.post.uri, name, to=[PUBLIC]) for name in ("boost1", "boost2"))
    return [one, scene.says("Undo", one, "unboost1"), two]


def _follow_again(scene: Scene) -> list[dict[str, Any]]:
    one, two = (scene.says("Follow", scene.amina.uri, name) for name in ("follow1", "follow2"))
    return [one, scene.says("Undo", one, "unfollow1"), two]


def _follow_anew(scene: Scene) -> list[dict[str, Any]]:
    one = scene.says("Follow", scene.amina.uri, "follow4", signed=1000)
    undo = scene.says("Undo", one, "unfollow4", signed=2000)
    return [one, undo, one | {"signed": 3000}, undo | {"signed": 4000}, one | {"signed": 5000}]


def _follow_no_more(scene: Scene) -> list[dict[str, Any]]:
    one = scene.says("Follow", scene.amina.uri, "follow3")
    return [one, scene.says("Undo", one["id"], "unfollow3")]


def _write_and_edit(scene: Scene) -> list[dict[str, Any]]:
    return [
        scene.says("Create", scene.note("kept"), "create1"),
        scene.says("Update", scene.note("kept", "<p>second</p>", updated="2026-03-01T11:56:00Z"), "edit1"),
        scene.says("Update", scene.note("kept", "<p>third</p>", updated="2026-03-01T11:57:00Z"), "edit2"),
    ]


def _write_and_delete(scene: Scene) -> list[dict[str, Any]]:
    there = scene.note("gone")
    edited = scene.note("gone", "<p>second</p>", updated="2026-03-01T11:56:00Z")
    return [scene.says("Create", there, "create2"), scene.says("Update", edited, "edit3"), scene.says("Delete", there["id"], "delete")]


def _votes(scene: Scene) -> list[dict[str, Any]]:
    both = [_vote(scene, f"vote{choice}", scene.bo, choice) for choice in ("Yes", "No")]
    return [*both, _vote(scene, "vote3", scene.eve, "Yes"), _vote(scene, "vote4", scene.eve, "?")]


def _numbers(scene: Scene) -> list[dict[str, Any]]:
    told = [(0, 0), (1, 0), (3, 2)]
    return [scene.says("Update" if at else "Create", _question(scene, votes), f"numbers{at}") for at, votes in enumerate(told)]


def _block(scene: Scene) -> list[dict[str, Any]]:
    one = scene.says("Block", scene.amina.uri, "block1", scene.eve)
    return [one, scene.says("Undo", one, "unblock1", scene.eve), scene.says("Block", scene.amina.uri, "block2", scene.eve)]


def _refused(scene: Scene) -> list[dict[str, Any]]:
    assert scene.asked is not None
    follow = {"type": "Follow", "id": scene.asked.id, "actor": scene.amina.uri, "object": scene.eve.uri}
    return [scene.says("Accept", follow, "accept", scene.eve), scene.says("Reject", follow, "reject", scene.eve)]


STORIES: dict[str, Story] = {
    "like again": _like_again,
    "like no more": _like_no_more,
    "emoji": _emoji,
    "boost again": _boost_again,
    "follow again": _follow_again,
    "follow no more": _follow_no_more,
    "follow anew": _follow_anew,
    "write and edit": _write_and_edit,
    "write and delete": _write_and_delete,
    "votes": _votes,
    "numbers": _numbers,
    "block": _block,
    "refused": _refused,
}
TOGETHER = [
    ["like again", "boost again", "write and edit", "votes"],
    ["follow again", "emoji", "write and delete", "numbers"],
    ["like no more", "block", "refused"],
    ["follow anew", "boost again"],
]


async def _ends(house: House, stories: list[str], order: list[int], twice: set[int]) -> dict[str, object]:
    scene = await Scene(house).set()
    heard = [one for name in stories for one in STORIES[name](scene)]
    for at in order:
        for _ in range(2 if at in twice else 1):
            await scene.hear(heard[at])
    belief = await scene.belief()
    # Our own numbers for people differ from scene to scene.
    names = {scene.bo.id: "bo", scene.eve.id: "eve", scene.amina.id: "amina"}
    return belief | {
        "boosts": [names[one] for one in belief["boosts"]],  # type: ignore[attr-defined]  # a list
        "reactions": [(names[one], emoji) for one, emoji in belief["reactions"]],  # type: ignore[attr-defined]  # a list of pairs
    }


@pytest.mark.parametrize("stories", TOGETHER, ids=lambda names: ", ".join(names))
def test_every_order_ends_as_the_true_one(place: Place, stories: list[str]) -> None:
    size = len([one for name in stories for one in STORIES[name](place.run(Scene(place.house).set()))])
    truth = place.run(_ends(place.house, stories, list(range(size)), set()))

    @settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
    @given(order=st.permutations(range(size)), twice=st.sets(st.integers(0, size - 1), max_size=4))
    def check(order: list[int], twice: set[int]) -> None:
        assert place.run(_ends(place.house, stories, order, twice)) == truth

    check()


@pytest.mark.parametrize("story", STORIES)
def test_the_true_order_ends_as_it_was_meant(place: Place, story: str) -> None:
    scene = place.run(Scene(place.house).set())
    for one in STORIES[story](scene):
        place.run(scene.hear(one))
    belief = place.run(scene.belief())
    bo = scene.bo.id
    meant: dict[str, dict[str, object]] = {
        "like again": {"reactions": [(bo, "")]},
        "like no more": {"reactions": []},
        "emoji": {"reactions": [(bo, "👍")]},
        "boost again": {"boosts": [bo]},
        "follow again": {"follows": ["accepted", "accepted", "requested"]},
        "follow no more": {"follows": [False, "accepted", "requested"]},
        "follow anew": {"follows": ["accepted", "accepted", "requested"]},
        "write and edit": {"posts": {"kept": "<p>third</p>"}},
        "write and delete": {"posts": {}},
        "votes": {"votes": [2, 1], "voters": 2},
        "numbers": {"told": ["[3, 2]"]},
        "block": {"blocks": True, "follows": [False, "accepted", False]},
        "refused": {"follows": [False, "accepted", False]},
    }
    assert {name: belief[name] for name in meant[story]} == meant[story]


class Unreliable(RuleBasedStateMachine):
    """Bo likes, boosts and follows, and changes his mind; the network keeps, swaps and repeats it. When all is delivered we believe the truth."""

    place: Place

    @initialize()
    def begin(self) -> None:
        self.scene = self.place.run(Scene(self.place.house).set())
        self.names = count(1)
        self.under_way: list[dict[str, Any]] = []
        self.delivered: list[dict[str, Any]] = []
        self.said: dict[str, dict[str, Any]] = {}

    def _objects(self) -> dict[str, str]:
        return {"Like": self.scene.post.uri, "Announce": self.scene.post.uri, "Follow": self.scene.amina.uri}

    @rule(kind=st.sampled_from(["Like", "Announce", "Follow"]), bare=st.booleans())
    def change_of_mind(self, kind: str, bare: bool) -> None:
        name = f"m{next(self.names)}"
        if (before := self.said.pop(kind, None)) is not None:
            self.under_way.append(self.scene.says("Undo", before["id"] if bare else before, name))
            return
        self.said[kind] = self.scene.says(kind, self._objects()[kind], name, to=[PUBLIC])
        self.under_way.append(self.said[kind])

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        one = self.under_way.pop(at)
        self.delivered.append(one)
        self.place.run(self.scene.hear(one))

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        self.place.run(self.scene.hear(data.draw(st.sampled_from(self.delivered))))

    @invariant()
    def nothing_counts_twice(self) -> None:
        if hasattr(self, "scene"):
            belief = self.place.run(self.scene.belief())
            assert len(belief["boosts"]) <= 1  # type: ignore[arg-type]  # a list
            assert len(belief["reactions"]) <= 1  # type: ignore[arg-type]  # a list

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        for one in self.under_way:
            self.place.run(self.scene.hear(one))
        belief = self.place.run(self.scene.belief())
        assert belief["boosts"] == ([self.scene.bo.id] if "Announce" in self.said else [])
        assert belief["reactions"] == ([(self.scene.bo.id, "")] if "Like" in self.said else [])
        assert belief["follows"][0] == ("accepted" if "Follow" in self.said else False)  # type: ignore[index]  # a list


def test_an_unreliable_network_changes_nothing_in_the_end(place: Place) -> None:
    machine = type("Machine", (Unreliable,), {"place": place})
    run_state_machine_as_test(machine, settings=settings(deadline=None, max_examples=20, stateful_step_count=20, suppress_health_check=list(HealthCheck)))


@pytest.mark.soak
def test_an_unreliable_network_changes_nothing_for_hours(place: Place) -> None:
    machine = type("Machine", (Unreliable,), {"place": place})
    run_state_machine_as_test(machine, settings=settings(deadline=None, max_examples=1000, stateful_step_count=60, suppress_health_check=list(HealthCheck)))
