"""Does it end alike, whatever the network does to the order? What somebody elsewhere did, against what we believe after every delay, swap and repetition."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from actors import blocks, follows
from actors.known import Actor
from fedmatch.database.engine import Engine
from fedmatch.database.migrate import migrate
from fedmatch.database.sqlite import open_sqlite
from fedmatch.handlers import _clear_rest, _clear_some
from fedmatch.safety import reports
from inbox import handle
from inbox.handle import Found
from inbox.verify import Sender, Verified
from outbox import polls, posts, reactions
from schemas import activities, documents
from schemas.events import Reported
from schemas.objects import PUBLIC, Note, Option, Poll
from schemas.reading import Iri
from schemas.storage import Transaction
from tests import postgres
from tests.house import House, describe, store
from tests.letters import activity, move_in, note

T = TypeVar("T")
NUMBERS = count(1)
HOME = "https://theirs.example"


class Place:
    """A house that lives as long as the test, and a loop of its own to live in: a house for each example would take longer than the example."""

    def __init__(self, folder: Path, postgresql: str | None = None) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.house: House = self.run(self._enter(folder, postgresql))

    async def _enter(self, folder: Path, postgresql: str | None) -> House:
        if postgresql is None:
            database: Engine = await open_sqlite(folder / "fedmatch.db")
            await migrate(database)
        else:
            from fedmatch.database.postgresql import open_postgresql

            database = await open_postgresql(await postgres.clean_database(postgresql))
        self.stack.push_async_callback(database.close)
        house = await self.stack.enter_async_context(move_in(database, folder))
        heard = house.instance.subscribers
        house.instance.subscribers = {**heard, Reported: (partial(reports.received, house.instance), *heard[Reported])}
        return house

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
    """One example: somebody here with a post and a poll, Bo there whom they follow, Eve and Cat whom they asked, Dan who may leave; what was heard."""

    def __init__(self, house: House) -> None:
        self.house, self.number = house, next(NUMBERS)

    async def set(self) -> "Scene":
        house = self.house
        self.amina = await house.person(f"amina{self.number}")
        self.profile = describe(f"bo{self.number}", name="Bo", featured=Iri(f"{HOME}/users/bo{self.number}/pins"))
        self.bo = await house.write(store, house.instance, self.profile)
        self.dan = await house.stranger(f"dan{self.number}")
        self.cat = await house.stranger(f"cat{self.number}")
        self.eve = await house.stranger(f"eve{self.number}")
        self.new = await house.write(store, house.instance, describe(f"new{self.number}", also_known_as=(self.eve.uri,)))
        self.post = await self._write("Note")
        self.poll = await self._write("Question", poll=Poll((Option("Yes"), Option("No")), multiple=True))
        await house.write(self._follows, self.bo)
        self.asked = await house.write(follows.request, house.instance, self.amina, self.eve)
        self.asked_cat = await house.write(follows.request, house.instance, self.amina, self.cat)
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

    def note(self, name: str, content: str = "<p>first</p>", by: Actor | None = None, **more: Any) -> dict[str, Any]:
        return note(by or self.bo, f"{name}-{self.number}", content, **more)  # type: ignore[arg-type]  # a name is as good as a number

    def named(self, name: str, at: int) -> dict[str, Any]:
        """Bo's profile with this name, changed in that minute."""
        return documents.actor(replace(self.profile, name=name, updated=datetime(2026, 3, 1, 11, tzinfo=UTC) + timedelta(minutes=at)))

    def follow_of_cat(self) -> dict[str, Any]:
        assert self.asked_cat is not None
        return {"type": "Follow", "id": self.asked_cat.id, "actor": self.amina.uri, "object": self.cat.uri}

    async def hear(self, document: dict[str, Any]) -> None:
        """What the worker does with a proven arrival; nothing here needs the network."""
        actor = next(one for one in (self.bo, self.eve, self.new, self.dan, self.cat) if one.uri == document["actor"])
        verified = Verified(Sender(actor.id, actor.uri, actor.host), document, "signature", at=document.get("signed", 0))
        said = activities.parse(document)
        found = Found(moved=(self.eve, self.new)) if document["type"] == "Move" else Found()
        await self.house.write(handle.act, self.house.instance, verified, said, found)
        self.house.clock.move(milliseconds=100)
        if document["object"] == self.dan.uri:
            # What hangs on whoever left is cleared away at once, and never again: what comes late finds nobody to clear up after it.
            while await self.house.write(_clear_some, self.house.instance, self.dan.id):
                pass
            await self.house.write(_clear_rest, self.dan.id)

    async def belief(self) -> dict[str, object]:
        """What our tables say in the end, without ids and times of ours."""
        return await self.house.read(self._belief)

    def _edges(self) -> list[tuple[Actor, Actor]]:
        return [(self.bo, self.amina), (self.amina, self.bo), (self.amina, self.eve), (self.amina, self.cat), (self.dan, self.amina)]

    async def _belief(self, tx: Transaction) -> dict[str, object]:
        boosts = [row["actor_id"] for row in await tx.all("select actor_id from post where boost_of = :id", id=self.post.id)]
        reacted = [(row["actor_id"], row["emoji"]) for row in await tx.all("select actor_id, emoji from reaction where post_id = :id", id=self.post.id)]
        theirs = await tx.all("select uri, content, id from post where actor_id = :id and boost_of is null order by uri", id=self.bo.id)
        asked = posts.opened(self.house.instance, self.poll).poll
        assert asked is not None
        counted = await polls.numbers(tx, self.poll.id, asked)
        edges = [await follows.between(tx, one.id, other.id) for one, other in self._edges()]
        told = await tx.all("select votes from poll join post on post.id = poll.post_id where post.actor_id = :id", id=self.bo.id)
        (dan,) = await tx.all("select state from actor where id = :id", id=self.dan.id)
        return {
            "boosts": [one for one in boosts if one != self.dan.id],
            "reactions": sorted(one for one in reacted if one[0] != self.dan.id),
            "dan": {
                "state": dan["state"],
                "boosts": boosts.count(self.dan.id),
                "reactions": sorted(emoji for one, emoji in reacted if one == self.dan.id),
                "posts": len(await tx.all("select id from post where actor_id = :id and boost_of is null", id=self.dan.id)),
                "blocks": await blocks.blocks(tx, self.dan.id, self.amina.id),
            },
            "name": (await tx.all("select name from actor where id = :id", id=self.bo.id))[0]["name"],
            "reports": [row["uri"].rpartition("/")[2].partition("-")[0] for row in await tx.all(REPORTS, id=self.amina.id)],
            "pins read": len(await tx.all("select id from job where kind = 'featured' and key = :key", key=self.bo.uri)),
            "tallies": await reactions.tallies(tx, self.post.id),
            "posts": {row["uri"].rpartition("/")[2].partition("-")[0]: row["content"] for row in theirs},
            "votes": [option.votes for option in counted.options],
            "voters": counted.voters,
            "follows": [edge is not None and edge.live and edge.state for edge in edges],
            "blocks": await blocks.blocks(tx, self.eve.id, self.amina.id),
            "told": [row["votes"] for row in told],
            "moved": (await tx.all("select moved_to from actor where id = :id", id=self.eve.id))[0]["moved_to"],
        }


REPORTS = "select uri from report where reported_id = :id order by uri"


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


def _answered(scene: Scene) -> list[dict[str, Any]]:
    yes = scene.says("Accept", scene.follow_of_cat()["id"], "yes", scene.cat)
    return [yes, scene.says("Undo", {**yes, "object": scene.follow_of_cat()}, "noyes", scene.cat)]


def _report(scene: Scene) -> list[dict[str, Any]]:
    return [scene.says("Flag", [scene.amina.uri, scene.post.uri], f"flag{at}", scene.eve, content=f"report {at}") for at in (1, 2)]


def _pin(scene: Scene) -> list[dict[str, Any]]:
    post = f"{HOME}/notes/pinned"
    return [scene.says(kind, post, kind.lower(), target=scene.profile.featured) for kind in ("Add", "Remove")]


def _rename(scene: Scene) -> list[dict[str, Any]]:
    return [scene.says("Update", scene.named(f"Bo the {at}", at), f"name{at}") for at in (1, 2, 3)]


def _leave(scene: Scene) -> list[dict[str, Any]]:
    dan, post = scene.dan, scene.note("dans", by=scene.dan, to=[PUBLIC, scene.amina.uri])
    like = scene.says("Like", scene.post.uri, "danlike", dan)
    return [
        scene.says("Follow", scene.amina.uri, "danfollow", dan),
        like,
        scene.says("Undo", like, "danunlike", dan),
        scene.says("Announce", scene.post.uri, "danboost", dan, to=[PUBLIC]),
        scene.says("EmojiReact", scene.post.uri, "danemoji", dan, content="🔥"),
        scene.says("Create", post, "dancreate", dan),
        scene.says("Update", {**post, "content": "<p>second</p>", "updated": "2026-03-01T11:56:00Z"}, "danedit", dan),
        scene.says("Block", scene.amina.uri, "danblock", dan),
        scene.says("Delete", dan.uri, "danleaves", dan, to=[PUBLIC]),
    ]


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
    "answered": _answered,
    "report": _report,
    "pin": _pin,
    "rename": _rename,
    "leave": _leave,
}
TOGETHER = [
    ["like again", "boost again", "write and edit", "votes"],
    ["follow again", "emoji", "write and delete", "numbers"],
    ["like no more", "block", "refused"],
    ["follow anew", "boost again", "report", "pin", "answered"],
    ["rename", "leave"],
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

    @settings(deadline=None, max_examples=24, suppress_health_check=[HealthCheck.too_slow])
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
        "follow again": {"follows": ["accepted", "accepted", "requested", "requested", False]},
        "follow no more": {"follows": [False, "accepted", "requested", "requested", False]},
        "follow anew": {"follows": ["accepted", "accepted", "requested", "requested", False]},
        "write and edit": {"posts": {"kept": "<p>third</p>"}},
        "write and delete": {"posts": {}},
        "votes": {"votes": [2, 1], "voters": 2},
        "numbers": {"told": ["[3, 2]"]},
        "block": {"blocks": True, "follows": [False, "accepted", False, "requested", False]},
        "refused": {"follows": [False, "accepted", False, "requested", False]},
        "answered": {"follows": [False, "accepted", "requested", False, False]},
        "report": {"reports": ["flag1", "flag2"]},
        "pin": {"pins read": 1},
        "rename": {"name": "Bo the 3"},
        "leave": {"dan": NOTHING_LEFT, "follows": [False, "accepted", *["requested"] * 2, False]},
    }
    assert {name: belief[name] for name in meant[story]} == meant[story]


NOTHING_LEFT = {"state": "gone", "boosts": 0, "reactions": [], "posts": 0, "blocks": False}


class Unreliable(RuleBasedStateMachine):
    """Bo, Dan, Eve and Cat do what people do and change their minds; the network keeps, swaps and repeats it. In the end we believe the truth.

    Likes, boosts, follows, their answers, emoji, posts with edits and deletions, votes, a poll's numbers, blocks, a move, names, reports, an account that goes.
    Of pins an Add or a Remove only says that the list is to be read anew (inbox/pins.py, one_world/test_rows_h_threads.py).
    """

    place: Place

    @initialize()
    def begin(self) -> None:
        self.scene = self.place.run(Scene(self.place.house).set())
        self.names = count(1)
        self.under_way: list[dict[str, Any]] = []
        self.delivered: list[dict[str, Any]] = []
        self.said: dict[tuple[str, str], dict[str, Any]] = {}
        self.posts: dict[str, str | None] = {}
        self.votes: set[tuple[str, str]] = set()
        self.numbers: tuple[int, int] | None = None
        self.moved = self.left = False
        self.reported, self.pinned, self.name, self.answer = 0, 0, "Bo", "requested"

    def _say(self, kind: str, object: object, by: Actor | None = None, **more: Any) -> dict[str, Any]:
        self.under_way.append(self.scene.says(kind, object, f"m{next(self.names)}", by, **more))
        return self.under_way[-1]

    @rule(who=st.sampled_from(["bo", "dan"]), kind=st.sampled_from(["Like", "Announce", "Follow", "EmojiReact", "Block"]), bare=st.booleans())
    def change_of_mind(self, who: str, kind: str, bare: bool) -> None:
        who = "eve" if kind == "Block" else who
        if who == "dan" and self.left:
            return
        by = getattr(self.scene, who)
        if (before := self.said.pop((who, kind), None)) is not None:
            self._say("Undo", before["id"] if bare else before, by)
            return
        more = {"content": "🔥"} if kind == "EmojiReact" else {}
        whom = self.scene.amina.uri if kind in ("Follow", "Block") else self.scene.post.uri
        self.said[who, kind] = self._say(kind, whom, by, to=[PUBLIC], **more)

    @rule()
    def write(self) -> None:
        name = f"p{len(self.posts)}"
        self.posts[name] = "<p>first</p>"
        self._say("Create", self.scene.note(name))

    @precondition(lambda self: any(self.posts.values()))
    @rule(data=st.data(), times=st.integers(1, 3))
    def edit(self, data: st.DataObject, times: int) -> None:
        name = data.draw(st.sampled_from([name for name, content in self.posts.items() if content]))
        for _ in range(times):
            at = next(self.names)
            self.posts[name] = f"<p>edit {at}</p>"
            self._say("Update", self.scene.note(name, self.posts[name], updated=f"2026-03-01T11:{56 + at // 60}:{at % 60:02}Z"))

    @precondition(lambda self: any(self.posts.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, content in self.posts.items() if content]))
        self.posts[name] = None
        self._say("Delete", self.scene.note(name)["id"])

    @rule(who=st.sampled_from(["bo", "new"]), choice=st.sampled_from(["Yes", "No"]))
    def vote(self, who: str, choice: str) -> None:
        self.votes.add((who, choice))
        self.under_way.append(_vote(self.scene, f"m{next(self.names)}", getattr(self.scene, who), choice))

    @rule(one=st.integers(0, 2), two=st.integers(0, 2))
    def count_votes(self, one: int, two: int) -> None:
        kind = "Create" if self.numbers is None else "Update"
        before = self.numbers or (0, 0)
        self.numbers = (before[0] + one, before[1] + two)
        self._say(kind, _question(self.scene, self.numbers))

    @precondition(lambda self: not self.moved)
    @rule()
    def move(self) -> None:
        self.moved = True
        self._say("Move", self.scene.eve.uri, self.scene.eve, target=self.scene.new.uri)

    @precondition(lambda self: not self.left)
    @rule()
    def leave(self) -> None:
        self.left = True
        self._say("Delete", self.scene.dan.uri, self.scene.dan, to=[PUBLIC])

    @precondition(lambda self: self.answer is not False)
    @rule(yes=st.booleans(), bare=st.booleans())
    def decide(self, yes: bool, bare: bool) -> None:
        follow = self.scene.follow_of_cat()
        if yes and self.answer == "requested":
            self.answer = "accepted"
            self._say("Accept", follow["id"] if bare else follow, self.scene.cat)
        elif yes:
            self.answer = False
            self._say("Undo", {"type": "Accept", "actor": self.scene.cat.uri, "object": follow}, self.scene.cat)
        else:
            self.answer = False
            self._say("Reject", follow["id"] if bare else follow, self.scene.cat)

    @precondition(lambda self: self.reported < 4)
    @rule()
    def report(self) -> None:
        self.reported += 1
        self._say("Flag", [self.scene.amina.uri, self.scene.post.uri], self.scene.eve, content="words")

    @rule(kind=st.sampled_from(["Add", "Remove"]))
    def pin(self, kind: str) -> None:
        self.pinned = 1
        self._say(kind, f"{HOME}/notes/pinned", target=self.scene.profile.featured)

    @rule()
    def rename(self) -> None:
        at = next(self.names)
        self.name = f"Bo the {at}"
        self._say("Update", self.scene.named(self.name, at / 60))

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
    def nothing_counts_twice_or_comes_back(self) -> None:
        if hasattr(self, "scene"):
            belief = self.place.run(self.scene.belief())
            assert len(belief["boosts"]) <= 1  # type: ignore[arg-type]  # a list
            assert len(belief["reactions"]) <= 2  # type: ignore[arg-type]  # a list
            gone = {one["object"].rpartition("/")[2].partition("-")[0] for one in self.delivered if one["type"] == "Delete"}
            assert gone.isdisjoint(belief["posts"])  # type: ignore[arg-type]  # a dict
            if any(one["object"] == self.scene.dan.uri for one in self.delivered):
                assert (belief["dan"], belief["follows"][-1]) == (NOTHING_LEFT, False)  # type: ignore[index]  # a list

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        # What is still under way comes in an order that nobody said it in, and some of what came before comes once more.
        shuffled = random.Random(len(self.under_way))
        late = [*self.under_way, *shuffled.sample(self.delivered, len(self.delivered) // 3)]
        shuffled.shuffle(late)
        for one in late:
            self.place.run(self.scene.hear(one))
        belief, bo = self.place.run(self.scene.belief()), self.scene.bo.id
        assert belief["boosts"] == ([bo] if ("bo", "Announce") in self.said else [])
        assert belief["reactions"] == [(bo, emoji) for emoji in self._liked("bo")]
        assert belief["follows"][0] == ("accepted" if ("bo", "Follow") in self.said else False)  # type: ignore[index]  # a list
        assert belief["follows"][3] == self.answer  # type: ignore[index]  # a list
        there = {"state": "active", "boosts": int(("dan", "Announce") in self.said), "reactions": self._liked("dan"), "posts": 0, "blocks": False}
        assert belief["dan"] == (NOTHING_LEFT if self.left else there)
        assert belief["follows"][4] == ("accepted" if ("dan", "Follow") in self.said and not self.left else False)  # type: ignore[index]  # a list
        written = {name: content for name, content in self.posts.items() if content} | ({"question": "<p>first</p>"} if self.numbers else {})
        assert belief["posts"] == written
        assert belief["votes"] == [sum(choice == one for _, choice in self.votes) for one in ("Yes", "No")]
        assert (belief["voters"] or 0) == len({who for who, _ in self.votes})
        assert belief["told"] == ([str(list(self.numbers))] if self.numbers else [])
        assert belief["blocks"] == (("eve", "Block") in self.said)
        assert (belief["name"], len(belief["reports"]), belief["pins read"]) == (self.name, self.reported, self.pinned)  # type: ignore[arg-type]  # a list
        assert belief["moved"] == (self.scene.new.uri if self.moved else None)

    def _liked(self, who: str) -> list[str]:
        return [emoji for kind, emoji in (("Like", ""), ("EmojiReact", "🔥")) if (who, kind) in self.said]


def test_an_unreliable_network_changes_nothing_in_the_end(place: Place) -> None:
    machine = type("Machine", (Unreliable,), {"place": place})
    run_state_machine_as_test(machine, settings=settings(deadline=None, max_examples=16, stateful_step_count=30, suppress_health_check=list(HealthCheck)))


def test_nor_does_it_on_postgresql(postgresql_url: str, tmp_path: Path) -> None:
    place = Place(tmp_path, postgresql_url)
    try:
        machine = type("Machine", (Unreliable,), {"place": place})
        run_state_machine_as_test(machine, settings=settings(deadline=None, max_examples=5, stateful_step_count=30, suppress_health_check=list(HealthCheck)))
    finally:
        place.close()


@pytest.mark.soak
def test_an_unreliable_network_changes_nothing_for_hours(place: Place) -> None:
    machine = type("Machine", (Unreliable,), {"place": place})
    run_state_machine_as_test(machine, settings=settings(deadline=None, max_examples=1000, stateful_step_count=60, suppress_health_check=list(HealthCheck)))
