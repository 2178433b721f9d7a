"""Can a stranger tell anything of the person behind a one-time identity? Five worlds that differ in nothing but that; every byte and code must be the same.

Two strangers, one of an ordinary server and one that speaks FEP-0837, try everything they can in each world: read, look up, follow, write, answer, offer, take
back, report, block. All they were answered and all that was sent to them is written down, and compared with the world in which nothing is special.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actors import blocks, keys, known, local
from actors.known import Actor
from fedmatch import app
from fedmatch.board import deletion, identities, publish
from fedmatch.board.listings import Listing
from fedmatch.safety import vouches
from schemas import agreements, documents
from schemas.activities import Offer, Undo
from schemas.objects import Agreement
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.fakepeer import AP, PUBLIC, FakeActor, FakePeer, pair
from tests.houses import REQUEST, open_house, person
from tests.unit.test_responses import of, offer, remote, request, sent
from tests.wire import Answer, http
from tests.world import World, open_world

HTML = "text/html"


@dataclass
class Life:
    """One world: who is behind the identity, what it says, the two strangers, and all they saw."""

    name: str
    person: Actor
    speaker: Actor
    listing: Listing
    strangers: dict[str, FakeActor]
    seen: list[tuple[str, Any]] = field(default_factory=list)

    def plain(self, text: str) -> str:
        """What is said, without what is a name of its own in every world: ids, moments, keys."""
        names = [(self.speaker.username, "SPEAKER"), (str(self.listing.id), "LISTING")]
        names += [(f"{kind}{self.name}", kind) for kind in self.strangers] + [(f"{kind}{self.name}".title(), kind.title()) for kind in self.strangers]
        for old, new in names:
            text = text.replace(old, new)
        text = re.sub(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", "PEM", text)
        text = re.sub(r"\bz[1-9A-HJ-NP-Za-km-z]{40,}", "MULTIKEY", text)
        text = re.sub(r"\b[0-9a-f]{32,}\b", "HEX", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "MOMENT", text)
        return re.sub(r"/(activities|notes)/\d+", r"/\1/N", text)

    def told(self, step: str, answer: Answer) -> None:
        # A pseudonym may be longer than another; what a length says more than its body is nothing.
        assert all(int(value) == len(answer.body) for name, value in answer.headers if name == "content-length")
        heads = sorted((name, self.plain(value)) for name, value in answer.headers if name not in {"date", "content-length"})
        self.seen.append((step, (answer.status, heads, self.plain(answer.body.decode("utf-8", "replace")))))

    def heard(self, step: str, kind: str) -> None:
        """What came to a stranger since the last step."""
        stranger = self.strangers[kind]
        for one in stranger.peer.log:
            body = one.asked.body.decode("utf-8", "replace") if one.asked.method == "POST" else ""
            if stranger.id in body:
                self.seen.append((step, ("came", one.asked.target.replace(stranger.name, kind), self.plain(body))))


@dataclass
class Lives:
    world: World
    peers: tuple[FakePeer, FakePeer]
    by_name: dict[str, Life]


async def nothing(world: World, person: Actor, strangers: list[Actor]) -> None:
    """Nothing is special."""


async def blocking(world: World, person: Actor, strangers: list[Actor]) -> None:
    instance = world.sites["a"].instance
    for one in strangers:
        await instance.database.write(blocks.add, instance, person, one)


async def suspended(world: World, person: Actor, strangers: list[Actor]) -> None:
    instance = world.sites["a"].instance
    await instance.database.write(local.suspend, instance, person)


async def deleted(world: World, person: Actor, strangers: list[Actor]) -> None:
    await deletion.delete_person(world.sites["a"].instance, person)


async def another_account(world: World, person: Actor, strangers: list[Actor]) -> None:
    """Another language, locked, hidden, of another role; and vouched for after the identity was made, which was taken back."""
    instance = world.sites["a"].instance

    async def change(tx: Transaction) -> None:
        await tx.execute("update account set locale = 'fa' where id in (select account_id from membership where actor_id = :id)", id=person.id)
        await tx.execute("update actor set locked = 1, discoverable = 0 where id = :id", id=person.id)
        made = await vouches.issue(tx, instance, person, 3, "in-person", staff="staff")
        await vouches.revoke(tx, instance, made.id, staff="staff")
        assert await local.set_role(tx, instance, person, "member")

    await instance.database.write(change)


async def _same(new: keys.NewKeys) -> keys.NewKeys:
    return new


Special = Callable[[World, Actor, list[Actor]], Awaitable[None]]
WORLDS: dict[str, Special] = {"p": nothing, "b": blocking, "s": suspended, "d": deleted, "o": another_account}
ENDING = {"s", "d"}
"""Where the identity ends within 72 hours, as any may: until then nothing differs."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lives(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lives]:
    async with open_world(tmp_path_factory.mktemp("two-worlds")) as world:
        world.clock.next_hour()
        a = await world.site("a")
        instance = a.instance
        ordinary, speaking = await world.peer(), await world.peer()
        made = Lives(world, (ordinary, speaking), {})
        new = await keys.make()
        monkeypatch = pytest.MonkeyPatch()
        monkeypatch.setattr(keys, "make", lambda: _same(new))  # making keys is slow, and nobody attacks them here
        other = await local.create(instance, "other")
        for name in WORLDS:
            person = await local.create(instance, f"person{name}")
            speaker = await identities.make(instance, person)
            listing = await publish.listing(instance, speaker, REQUEST, "en", audience="public", delay=(0, 0), one_time=True, anyway=True, link=True)
            strangers = {"ordinary": ordinary.actor(f"ordinary{name}"), "speaking": speaking.actor(f"speaking{name}")}
            for one in strangers.values():
                one.keys = pair("two worlds")
            strangers["speaking"].overrides["implements"] = [{"href": agreements.CAPABILITY, "name": "FEP-0837"}]
            # Both are known here before: they wrote to somebody else.
            for one in strangers.values():
                assert (await one.send(one.create(one.direct("<p>Hello.</p>", other.uri, f"@{other.handle}")), other.inbox)).status == 202
            await world.settle()
            met = [found for one in strangers.values() if (found := await instance.database.read(known.by_uri, one.id)) is not None]
            assert len(met) == 2
            made.by_name[name] = Life(name, person, speaker, listing, strangers)
            for peer in made.peers:
                peer.log.clear()
            await WORLDS[name](world, person, met)
            await world.settle()
            await live(made, made.by_name[name])
        monkeypatch.undo()
        # What time says to those whose identity stays
        for peer in made.peers:
            peer.log.clear()
        await world.later(days=8)
        for life in made.by_name.values():
            for kind in life.strangers:
                life.heard("eight days later", kind)
        yield made


def steps(life: Life, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Everything a stranger sends to the identity, in order."""
    who, speaker, url = life.strangers[kind], life.speaker, life.listing.url
    mention = {"type": "Mention", "href": speaker.uri, "name": f"@{speaker.handle}"}

    def note(text: str, **members: Any) -> dict[str, Any]:
        return who.create(who.direct(f"<p>@{speaker.username} {text}</p>", speaker.uri, f"@{speaker.handle}", **members))

    offer = Offer(
        id=Iri(f"{who.id}/offers/1"), actor=Iri(who.id), to=(speaker.uri,), object=Agreement(Iri(f"{url}#primary"), text="I know that law.", language="en")
    )
    other = Offer(
        id=Iri(f"{who.id}/offers/2"), actor=Iri(who.id), to=(speaker.uri,), object=Agreement(Iri(f"{url}#primary"), quantity=9, text="Nine.", language="en")
    )
    follow = who.follow(speaker.uri)
    said: list[tuple[str, dict[str, Any]]] = [
        ("follow", follow),
        ("unfollow", who.activity("Undo", follow)),
        ("public reply", who.create(who.note("<p>Call me</p>", inReplyTo=url, to=[PUBLIC], cc=[speaker.uri], tag=[mention]))),
        ("like", who.activity("Like", url)),
        ("boost", who.activity("Announce", url, to=[PUBLIC])),
        ("report", who.activity("Flag", [speaker.uri, url], content="spam")),
        ("offer", documents.activity(offer)),
        ("offer again", documents.activity(offer)),
        ("offer too much", documents.activity(other)),
        ("take it back", documents.activity(Undo(id=Iri(f"{who.id}/offers/1/undo"), actor=Iri(who.id), to=(speaker.uri,), object=offer))),
        ("nothing", note("withdraw")),
        ("answer", note("I can help.", inReplyTo=url)),
        ("more", note("Are you there?", inReplyTo=url)),
        ("names others", note("And she can.", inReplyTo=url) | {}),
        ("withdraw", note("withdraw")),
        ("anew", note("I can help after all.")),
        ("done", note("done")),
        ("accept", who.activity("Accept", {"type": "Offer", "id": f"{who.id}/offers/1", "actor": who.id, "object": url})),
        ("move", who.activity("Move", who.id, target=f"{who.id}2")),
        ("block", who.activity("Block", speaker.uri)),
        ("after the block", note("One more word.", inReplyTo=url)),
        ("unblock", who.activity("Undo", {"type": "Block", "actor": who.id, "object": speaker.uri})),
        ("anew after all", note("I would still help.", inReplyTo=url)),
    ]
    return said


PLACES = [
    ("", AP), ("", HTML), ("/followers", AP), ("/following", AP), ("/outbox", AP), ("/outbox?page=true", AP), ("/inbox", AP),
    ("/collections/featured", AP), ("/followers_synchronization", AP), ("/feed.atom", HTML), ("#main-key", AP),
]  # fmt: skip
OF_LISTING = [
    ("", AP), ("", HTML), ("/activity", AP), ("/proposal", AP), ("/replies", AP), ("/likes", AP), ("/shares", AP), ("/context", AP),
    ("/feed.atom", HTML), ("/recommend", HTML),
]  # fmt: skip


async def live(lives: Lives, life: Life) -> None:
    world = lives.world
    await read(lives, life, "before")
    for (step, ordinary), (_, speaking) in zip(steps(life, "ordinary"), steps(life, "speaking"), strict=True):
        for peer in lives.peers:
            peer.log.clear()
        for kind, activity in (("ordinary", ordinary), ("speaking", speaking)):
            for inbox in (life.speaker.inbox, f"{world.sites['a'].base}/inbox") if step in {"offer again", "more"} else (life.speaker.inbox,):
                life.told(f"{kind}: {step}", await life.strangers[kind].send(activity, inbox))
        await world.settle()
        for kind in life.strangers:
            life.heard(f"{kind}: {step}", kind)
    life.told("rubbish", await life.strangers["ordinary"].send(b"{", life.speaker.inbox))
    life.told("unsigned", await http("POST", life.speaker.inbox, [("Content-Type", AP)], json.dumps({"type": "Follow"}).encode()))
    await read(lives, life, "after")


async def read(lives: Lives, life: Life, when: str) -> None:
    """Everything that can be asked for, unsigned and signed by either stranger."""
    a = lives.world.sites["a"]
    resources = [f"acct:{life.speaker.handle}", life.speaker.uri]
    paths = [(f"{life.speaker.uri}{path}", accept) for path, accept in PLACES]
    paths += [(f"{a.base}/@{life.speaker.username}", HTML)]
    paths += [(f"{life.listing.url}{path}", accept) for path, accept in OF_LISTING]
    paths += [(f"{a.base}/.well-known/webfinger?resource={resource}", "application/jrd+json") for resource in resources]
    for url, accept in paths:
        step = life.plain(f"{when}: {accept} {url}")
        life.told(step, await http("GET", url, [("Accept", accept)]))
        if accept == AP:
            for kind, who in life.strangers.items():
                life.told(f"{step} as {kind}", await who.get(url))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", [name for name in WORLDS if name != "p"], ids=[special.__name__ for name, special in WORLDS.items() if name != "p"])
async def test_nothing_tells_who_is_behind_it(lives: Lives, name: str) -> None:
    usual, special = lives.by_name["p"], lives.by_name[name]
    later = "eight days later"
    ours, theirs = ([one for one in life.seen if name not in ENDING or one[0] != later] for life in (usual, special))
    for one, other in zip(ours, theirs, strict=False):
        assert one == other
    assert len(ours) == len(theirs)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_strangers_really_saw_something(lives: Lives) -> None:
    usual = lives.by_name["p"]
    came = {step: json.loads(said[2]) for step, said in usual.seen if said[0] == "came"}
    assert came["ordinary: follow"]["type"] == "Reject"
    assert came["speaking: offer too much"]["type"] == "Reject"
    letters = {step: one["object"]["content"] for step, one in came.items() if one["type"] == "Create"}
    assert {"ordinary: public reply", "ordinary: answer", "ordinary: withdraw", "ordinary: done"} <= letters.keys(), sorted(letters)
    assert "eight days later" in came
    assert {said[0] for step, said in usual.seen if step.startswith("before: ") and isinstance(said[0], int)} >= {200, 404}
    assert len(usual.seen) > 120


@pytest.mark.asyncio
@pytest.mark.parametrize("blocked", [False, True])
async def test_room_for_one_more_does_not_say_who_is_never_shown(tmp_path: Path, blocked: bool) -> None:
    # Given somebody vouched for, whom the person behind an identity blocks, or not
    instance = await open_house(tmp_path)
    try:
        behind = await person(instance, "amina")
        asker = await identities.make(instance, behind)
        asked = await request(instance, asker)
        helper, *others = [await remote(instance, name) for name in ("helper", "one", "two", "three")]

        async def vouch(tx: Transaction) -> None:
            await vouches.issue(tx, instance, helper, 2, "in-person", staff="staff")
            if blocked:
                await blocks.add(tx, instance, behind, helper)

        await instance.database.write(vouch)
        # When they answer, and then others of their server, for whom there are two places
        for one in (helper, *others):
            await offer(instance, one, asked, asker)
        # Then as many of those are taken as ever: the third is told to try later
        assert await sent(instance, "Reject") == 1
        assert len(await of(instance, asker)) == (2 if blocked else 3)
    finally:
        await app.close(instance)
