"""What do rows A105 to A128 ask for that no story shows? Read, sent and guessed in one world, against one instance; every test is named after its row."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actors import local
from actors.known import Actor
from fedmatch.board import disclosures, notifications, responses
from fedmatch.board.answers import CannotAnswer, Response
from schemas.storage import Transaction
from tests.attacks.stage import serve_really
from tests.attacks.test_leaks import missing
from tests.attacks.test_search import Counted
from tests.fakepeer import AP, PUBLIC, FakeActor, FakePeer
from tests.wire import Answer
from tests.world import Person, Site, World, open_world

HTML = "text/html"


@dataclass
class Place:
    """Somebody here with something to read, and somebody elsewhere who follows them."""

    world: World
    site: Site
    amina: Person
    peer: FakePeer
    eve: FakeActor
    public: str
    direct: str
    listing: str

    async def send(self, activity: dict[str, Any], by: FakeActor | None = None) -> Answer:
        answer = await (by or self.eve).send(activity, self.amina.actor.inbox)
        await self.world.settle()
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("private")
    async with open_world(folder) as world:
        await serve_really(await world.site("a", start=False))
        amina, peer = await world.person("amina@a"), await world.peer()
        eve = peer.actor("eve")
        assert (await eve.send(eve.follow(amina.uri), amina.actor.inbox)).status == 202
        await world.settle()
        public, direct = await amina.post("for everybody"), await amina.post("for one", "direct", to=[peer.actor("ben").handle])
        asked = await amina.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="local")
        await world.settle()
        yield Place(world, amina.site, amina, peer, eve, public.uri, direct.uri, asked.url)


LORDLY = {
    "role": "admin",
    "is_admin": True,
    "isAdmin": True,
    "admin": True,
    "moderator": True,
    "verified": True,
    "local": True,
    "reviewed": True,
    "approved": True,
    "state": "open",
    "level": 5,
    "instance": "a",
    "created_at": "2000-01-01T00:00:00Z",
    "password": "x",
    "token": "x",
}
"""What a document may say of itself so that a careless program writes it into the column of that name."""


@pytest.mark.asyncio(loop_scope="module")
async def test_a105_what_a_document_says_beside_its_nouns_is_not_heard(place: Place) -> None:
    # Given somebody elsewhere whose actor and whose request name every rank there is, and a vouch nobody gave
    accounts = await place.site.count("account")
    mallory = place.peer.actor("mallory", overrides=LORDLY)
    assert (await place.send(mallory.follow(place.amina.uri), mallory)).status == 202
    vouched = [{"type": "fedmatch:Vouch", "issuer": f"{place.site.base}/actor", "level": 5, "subject": mallory.id}]
    note = mallory.note("<p>me</p>", cc=[place.amina.uri], purpose="request", publishes={"type": "Intent"}, vouches=vouched, **LORDLY)
    ours = {"id": place.public.rpartition("/")[2], "origin": place.site.host, "audience_name": "local", "pace": 2}
    assert (await place.send(mallory.create(note) | LORDLY, mallory)).status == 202
    # Then they are a stranger with a request that no person here let pass
    site = place.site
    (actor,) = await site.rows("select local, state, host_id from actor where uri = :uri", uri=mallory.id)
    assert (actor["local"], actor["state"], actor["host_id"] is None) == (0, "active", False)
    assert await site.count("membership", "actor_id = (select id from actor where uri = :uri)", uri=mallory.id) == 0
    assert await site.count("account") == accounts
    (held,) = [one for one in await site.listings(network=True) if one["url"] == note["id"]]
    assert (held["origin"], held["vouches"], held["audience"]) == (place.peer.host, [], "public")
    (row,) = await site.rows("select listing.reviewed, post.local from listing join post on post.id = listing.post_id where post.uri = :uri", uri=note["id"])
    assert (row["reviewed"], row["local"]) == (0, 0)
    # And an Update that names our ids and columns moves nothing of ours
    before = await site.rows("select id, actor_id, local, visibility from post where local = 1 order by id")
    await place.send(mallory.activity("Update", {**note, **LORDLY, **ours, "updated": place.peer.stamp()}), mallory)
    assert await site.rows("select id, actor_id, local, visibility from post where local = 1 order by id") == before


PLACES = ("", "/activity", "/replies", "/likes", "/shares", "/proposal", "/context")
NEAR = 5
"""Statements of some 50 microseconds each: a twentieth of the 5 ms that row A113 allows."""


def _cost(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Awaitable[int]]:
    """How many statements a 404 costs: not by a clock, which tells of the machine."""
    asked: list[int] = []
    real = place.site.instance.database.read

    async def read(body: Callable[..., Awaitable[Any]], *values: Any, **named: Any) -> Any:
        async def counted(tx: Transaction, *values: Any, **named: Any) -> Any:
            counting = Counted(tx)
            try:
                return await body(counting, *values, **named)
            finally:
                asked.append(counting.asked)

        return await real(counted, *values, **named)

    async def cost(url: str, accept: str) -> int:
        asked.clear()
        answer = await place.site.get(url, accept)
        assert answer.status == 404, (url, answer.status)
        return sum(asked)

    monkeypatch.setattr(place.site.instance.database, "read", read)
    return cost


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("suffix", PLACES)
@pytest.mark.parametrize("accept", [AP, HTML], ids=["document", "page"])
async def test_a113_what_is_private_takes_as_long_to_refuse_as_what_is_not_there(
    place: Place, monkeypatch: pytest.MonkeyPatch, suffix: str, accept: str
) -> None:
    cost = _cost(place, monkeypatch)
    for private in (place.direct, place.listing):
        await cost(private + suffix, accept)  # what is remembered afterwards is remembered of both
        assert abs(await cost(private + suffix, accept) - await cost(missing(private) + suffix, accept)) <= NEAR


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/api/v1/instance/peers", "/api/v1/instance", "/api/v2/instance", "/api/v1/directory", "/nodeinfo/2.0/peers", "/peers"])
async def test_a115_nobody_is_told_whom_we_speak_with(place: Place, path: str) -> None:
    answer = await place.site.get(path, "application/json")
    assert answer.status == 404
    for known in ("/safety", "/nodeinfo/2.0", "/nodeinfo/2.1", "/actor", "/.well-known/nodeinfo", "/actor/outbox"):
        assert place.peer.host.encode() not in (await place.site.get(known, AP)).body, known


FINGER = "/.well-known/webfinger?resource=acct:{}@{}"
DOORS = ((FINGER, "application/jrd+json"), ("/users/{}", AP), ("/users/{}", HTML), ("/@{}", HTML), ("/users/{}/outbox", AP), ("/users/{}/feed.atom", "*/*"))


@pytest.mark.asyncio(loop_scope="module")
async def test_a116_who_may_not_be_seen_is_answered_as_nobody_is_and_takes_as_long(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given somebody who was suspended
    instance = place.site.instance
    hushed = await place.world.person("hushed@a")
    await instance.database.write(local.suspend, instance, hushed.actor)

    # Then every door says of them what it says of a name that nobody has, at the same cost
    cost = _cost(place, monkeypatch)
    for path, accept in DOORS:
        one, other = (path.format(who, instance.config.host) for who in ("hushed", "nobody"))
        seen, missed = await place.site.get(one, accept), await place.site.get(other, accept)
        assert seen.body.replace(b"hushed", b"") == missed.body.replace(b"nobody", b""), path
        assert abs(await cost(one, accept) - await cost(other, accept)) <= NEAR, path


@pytest.mark.asyncio(loop_scope="module")
async def test_a116_no_page_names_who_said_nothing_in_public(place: Place) -> None:
    # Given somebody who wrote to one person, and asked this instance alone: whoever knows their name finds them
    silent = await place.world.person("wholly_silent@a")
    await silent.post("for one", "direct", to=[place.amina.actor.handle])
    await silent.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="local")
    await place.world.settle()
    assert (await place.site.get("/users/wholly_silent", AP)).status == 200

    pages = ("/", "/board", "/board?words=silent", "/board?words=wholly_silent", "/board.atom", "/topics", "/topics/legalaid", "/tags/asylumlaw", "/safety")
    machine = ("/actor", "/actor/outbox", "/nodeinfo/2.1", "/.well-known/nodeinfo", "/.well-known/host-meta", "/users/amina/followers", "/users/amina/outbox")
    for path, accept in [*((one, HTML) for one in pages), *((one, AP) for one in machine)]:
        answer = await place.site.get(path, accept)
        assert answer.status < 500, path
        found = answer.body.replace(b"words=wholly_silent", b"").replace(b'value="wholly_silent"', b"")
        assert b"wholly_silent" not in found, path


@pytest.mark.asyncio(loop_scope="module")
async def test_a117_no_collection_names_anybody(place: Place) -> None:
    # Given a follower who likes and shares, and somebody on another server who asks with a signature; a server hears of its own followers alone (FEP-8fcf)
    post, zoe = place.public, (await place.world.peer()).actor("zoe")
    for kind in ("Like", "Announce"):
        assert (await place.send(place.eve.activity(kind, post, to=[PUBLIC, place.amina.uri]))).status == 202
    assert await place.site.count("reaction") == 1
    paths = [f"/users/amina/{name}" for name in ("followers", "following", "liked", "blocks", "followers_synchronization", "collections/featured", "outbox")]
    for path in [*(f"{place.site.base}{one}" for one in paths), *(f"{post}/{name}" for name in ("likes", "shares", "replies"))]:
        for query in ("", "?page=true", "?page=1", "?cursor=0", "?max_id=0"):
            for answer in (await place.site.get(path + query), await zoe.get(path + query)):
                assert answer.status < 500, (path, query)
                assert place.eve.id.encode() not in answer.body, (path, query)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["Like", "Follow", "Block", "Announce"])
async def test_a119_back_and_forth_leaves_what_was_there_before(place: Place, kind: str) -> None:
    site = place.site
    flapper = place.peer.actor(f"flap{kind.lower()}")
    about = {"Like": place.public, "Announce": place.public, "Follow": place.amina.uri, "Block": place.amina.uri}[kind]

    async def state() -> dict[str, int]:
        told = await site.instance.database.read(notifications.newest, site.instance, place.amina.actor.id)
        rows = {name: await site.count(name) for name in ("reaction", "block", "post", "listing", "home")}
        return rows | {"told": len(told), "follows": len(await place.amina.followers())}

    before, heard = await state(), len(place.peer.log)
    # When somebody does and undoes the same thing again and again, each under an id of its own
    for _ in range(6):
        done = flapper.activity(kind, about, to=[PUBLIC, place.amina.uri])
        for one in (done, flapper.activity("Undo", done, to=[PUBLIC, place.amina.uri])):
            assert (await flapper.send(one, place.amina.actor.inbox)).status in {202, 429}
    await place.world.settle()
    # Then nothing is left of it, nobody was woken by it, and no more was answered than was asked
    assert await state() == before
    answered = [one for one in place.peer.log[heard:] if one.asked.method == "POST"]
    assert len(answered) <= (6 if kind == "Follow" else 0)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("field", disclosures.FIELDS)
async def test_a121_nothing_is_given_away_before_both_said_yes(place: Place, field: disclosures.FieldName) -> None:
    # Given an answer to a request
    instance, amina, helper = place.site.instance, place.amina, await place.world.person(f"helper{field}@a")
    asked = await amina.listing("request", f"A lawyer, {field}", "Asylum.", skills=["AsylumLaw"], audience="public")
    held = await instance.database.write(responses.answer, instance, helper.actor, asked, "I can.")
    sides = (amina.actor, helper.actor)

    async def given(by: Actor, held: Response) -> None:
        await instance.database.write(disclosures.disclose, instance, by, held, field, "canary-a121")

    # Then neither side gives anything while it is not decided, opened or not
    for by in sides:
        with pytest.raises(CannotAnswer, match="begins when the answer is accepted"):
            await given(by, held)
    held = await instance.database.write(responses.open_, instance, amina.actor, held)
    for by in sides:
        with pytest.raises(CannotAnswer, match="begins when the answer is accepted"):
            await given(by, held)
    # And afterwards only the two, each what is theirs, and nobody else is told
    held = await instance.database.write(responses.accept, instance, amina.actor, held)
    third = await place.world.person(f"third{field}@a")
    with pytest.raises(CannotAnswer, match="only the two"):
        await given(third.actor, held)
    await given(amina.actor, held)
    assert [one.field for one in await instance.database.read(disclosures.of, instance, amina.actor)].count(field) == 1
    assert await instance.database.read(disclosures.of, instance, helper.actor) == []
    assert place.world.grep("canary-a121") == {}


SAYS_ITS_VERSION = re.compile(rb"\d+\.\d+\.\d+|quart|hypercorn|uvicorn|python|werkzeug|aiohttp|sqlite|postgres", re.IGNORECASE)


@pytest.mark.asyncio(loop_scope="module")
async def test_a128_no_answer_names_a_version_or_a_program(place: Place) -> None:
    paths = ("/", "/board", "/users/amina", "/actor", "/nothing", "/.well-known/nodeinfo", "/nodeinfo/2.1", "/board.atom", "/healthz", "/posts/1", "/%00")
    for path in paths:
        for accept in (AP, HTML):
            for method in ("GET", "POST", "OPTIONS"):
                answer = await place.site.get(path, accept) if method == "GET" else await _asked(place.site, method, path)
                heads = {name: value for name, value in answer.headers if name not in {"date", "etag"}}
                assert not {"server", "x-powered-by", "via", "x-runtime", "x-generator"} & heads.keys(), path
                assert not SAYS_ITS_VERSION.search(repr(heads).encode()), (path, heads)
                if answer.status >= 400:
                    assert not SAYS_ITS_VERSION.search(answer.body), (path, answer.body[:300])
    assert not re.search(r"\d+\.\d+\.\d+\.?\w*", (await place.site.get("/users/amina")).json.get("generator", {}).get("name", ""))


async def _asked(site: Site, method: str, path: str) -> Answer:
    from tests.wire import http

    return await http(method, f"{site.base}{path}", [("Accept", HTML)])
