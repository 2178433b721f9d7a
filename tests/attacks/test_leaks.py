"""Who sees what, where? Every kind of private and public thing, every kind of reader, every place where something can be read: one world, one table of policy.

What must be says the one table in tests/attacks/policy.py. What may not be seen answers as if it had never been there: the same status, the same headers, the
same bytes as for a thing that is missing, for each reader and each place.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from actors import known, local, peers
from actors.signatures import knock
from fedmatch.board import conversations, listings, notifications, responses, review, saved, search, social, suggestions, timelines
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import vouches
from schemas.storage import Transaction
from tests.attacks.envelope import envelope
from tests.attacks.policy import HERE, LISTINGS, PLAIN, POLICY, REMOTE, THERE, THINGS, UNPUBLISHED, House, expected
from tests.fakepeer import AP, FakeActor
from tests.friends import befriend
from tests.wire import Answer, http
from tests.world import Person, Site, World, open_world

HTML = "text/html"


@dataclass
class Scene:
    """The world, who is in it, and what was written."""

    world: World
    a: Site
    b: Site
    c: Site
    author: Person
    people: dict[str, Person]
    fakes: dict[str, FakeActor]
    house: House = PLAIN
    paths: dict[str, str] = field(default_factory=dict)
    """Where a thing would be, if it were anywhere."""
    ids: dict[str, str] = field(default_factory=dict)

    def canary(self, thing: str) -> str:
        return f"{thing}canary".upper()

    async def get(self, reader: str, path: str, accept: str = AP, *, method: str = "GET", more: tuple[tuple[str, str], ...] = ()) -> Answer:
        """What `reader` gets at a place of `a`."""
        url = f"{self.a.base}{path}"
        return await http(method, url, [("Accept", accept), *await self._signature(reader, url, method), *more])

    async def _signature(self, reader: str, url: str, method: str) -> list[tuple[str, str]]:
        if reader == "anonymous":
            return []
        if reader in self.fakes:
            headers, _ = envelope(self.fakes[reader], url, None, self.world.clock.now(), method=method)
            return headers
        site = {"holder": self.b, "other": self.c}[reader]
        instance = site.instance
        application = await instance.database.read(known.application)
        key = await instance.keys.private(instance, application.id)
        return list(knock.sign("cavage", key, method, url, {}, None, self.world.clock.now()).items())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with open_world(tmp_path_factory.mktemp("leaks")) as world:
        yield await _build(world)


async def _build(world: World, house: House = PLAIN) -> Scene:
    changes = {"signed_only": "true" if house.signed_only else "false", "mode": f'"{house.mode}"'}
    a = await world.site("a", review='"newcomers"', database=house.database, **changes)
    b, c = await world.site("b"), await world.site("c")
    await befriend(world, a, b, count=2)
    await befriend(world, a, c, count=2)
    author = await world.person("author@a", locked=house.locked)
    people = {name: await world.person(f"reader{number}@a") for number, name in enumerate(HERE) if name != "author"} | {"author": author}
    for number, name in enumerate(THERE):
        people[name] = await world.person(f"reader{number}@{name[-1]}")
    for name in ("helper", "away", "helper@b", "helper@c"):
        await _vouch(people[name])
    await a.instance.database.write(local.set_role, a.instance, people["staff"].actor, "moderator")
    await a.instance.database.write(local.set_role, a.instance, people["member"].actor, "member")
    await people["fan"].follow(author.handle)
    await social.block(a.instance, author.actor, people["away"].actor)
    near, left, far, stranger_peer = [await world.peer() for _ in range(4)]
    fakes = {"follower": near.actor("follower"), "former": left.actor("former"), "stranger": stranger_peer.actor("stranger"), "barred": far.actor("enemy")}
    for one in (near, left):
        await a.instance.database.write(peers.set_level, a.instance, one.host, "known", "test")
    await a.instance.trust.refresh(a.instance.database)
    for name in ("follower", "former"):
        follow = fakes[name].follow(author.uri)
        assert (await fakes[name].send(follow, f"{author.uri}/inbox")).status == 202
    await world.settle()
    assert (await fakes["former"].send(fakes["former"].activity("Undo", follow), f"{author.uri}/inbox")).status == 202
    await a.instance.database.write(peers.set_level, a.instance, far.host, "blocked", "test")
    await world.settle()
    scene = Scene(world, a, b, c, author, people, fakes, house)
    await _write(scene)
    await world.settle()
    return scene


async def _vouch(person: Person) -> None:
    instance = person.site.instance

    async def body(tx: Transaction) -> None:
        await vouches.issue(tx, instance, person.actor, 2, "in-person", staff="staff")

    await instance.database.write(body)


async def _ask(scene: Scene, who: Person, thing: str, audience: str, **more: Any) -> listings.Listing:
    words = scene.canary(thing)
    made = await who.listing(
        "request",
        f"Title {words}",
        f"Text {words}",
        audience=audience,
        categories=["LegalAid"],
        skills=["AsylumLaw"],
        speaks=["ar"],
        terms=Terms(readers=Floor(1)),
        **more,
    )
    scene.ids[thing] = str(made.id)
    scene.paths[thing] = made.url.removeprefix(scene.a.base) if made.url else f"/posts/{made.id}"
    return made


async def _write(scene: Scene) -> None:
    a, author = scene.a, scene.author
    # One that a person let pass, so that the author is no newcomer
    first = await author.listing("request", "First", "of all", audience="local")
    await a.instance.database.write(review.approve, a.instance, first.id, None)
    before = await scene.get("anonymous", "/nodeinfo/2.1", "application/json")
    for thing, audience, more in (("local", "local", {}), ("peers", "peers", {"named": (scene.b.host,)}), ("network", "network", {})):
        await _ask(scene, author, thing, audience, **more)
    gone = await _ask(scene, author, "withdrawn", "network")
    await author.withdraw(gone)
    await _ask(scene, author, "scheduled", "public", delay=(7200, 7200))
    newcomer, other = await scene.world.person("newcomer@a"), await scene.world.person("newcomer2@a")
    await _ask(scene, newcomer, "held", "public")
    refused = await _ask(scene, other, "refused", "public")
    await a.instance.database.write(review.reject, a.instance, refused.id, scene.people["staff"].actor, "not so")
    for thing, audience, to in (("direct", "direct", [scene.fakes["follower"].handle]), ("followers", "followers", [])):
        posted = await author.post(f"Words {scene.canary(thing)}", audience, to=to)
        scene.paths[thing] = posted.uri.removeprefix(a.base)
    assert (await scene.get("anonymous", "/nodeinfo/2.1", "application/json")).json == before.json, "no counter tells of them"
    shown = await _ask(scene, author, "public", "public", capacity=2)
    assert shown.url, "it is published"

    async def answer(tx: Transaction) -> Any:
        return await responses.answer(tx, a.instance, scene.people["helper"].actor, shown, f"Answer {scene.canary('response')}")

    given = await a.instance.database.write(answer)
    scene.paths["response"] = given.words.offer.removeprefix(a.base)

    async def talk(tx: Transaction) -> Any:
        mine = await _answers(tx, scene)
        accepted = await responses.accept(tx, a.instance, author.actor, mine[0])
        return await conversations.say(tx, a.instance, author.actor, accepted or mine[0], f"Message {scene.canary('message')}")

    said = await a.instance.database.write(talk)
    scene.paths["message"] = f"/posts/{said.id}"
    scene.paths["draft"] = f"/posts/{scene.ids['held']}"


async def _answers(tx: Transaction, scene: Scene) -> list[Any]:
    from fedmatch.board import answers

    return await answers.of_actor(tx, scene.a.instance, scene.author.actor)


def told(answer: Answer, path: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that an answer says, but for the moment and for the address that was asked for."""
    number = re.search(r"\d{6,}", path)
    plain = [number[0]] if number else []
    headers = []
    for name, value in answer.headers:
        for one in plain:
            value = value.replace(one, "N")
        if name != "date":
            headers.append((name, value))
    body = answer.body
    for one in plain:
        body = body.replace(one.encode(), b"N")
    return answer.status, sorted(headers), body


def missing(path: str) -> str:
    """A place like this one where nothing ever was; its number is as long."""
    return re.sub(r"\d{6,}", lambda found: "1" + "0" * (len(found[0]) - 2) + "7", path)


PLACES: list[tuple[str, str, str]] = [
    ("page", "", HTML),
    ("document", "", AP),
    ("activity", "/activity", AP),
    ("proposal", "/proposal", AP),
    ("replies", "/replies", AP),
    ("likes", "/likes", AP),
    ("shares", "/shares", AP),
    ("context", "/context", AP),
    ("recommend", "/recommend", HTML),
    ("feed", "/feed.atom", HTML),
]
WAYS: list[tuple[str, str, tuple[tuple[str, str], ...]]] = [
    ("GET", "GET", ()),
    ("HEAD", "HEAD", ()),
    ("conditional", "GET", (("If-None-Match", '"x", *'), ("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT"))),
]
LISTS = [
    ("/", HTML),
    ("/board", HTML),
    ("/board?words=canary", HTML),
    ("/board?kind=request&topic=LegalAid", HTML),
    ("/board?region=SY", HTML),
    ("/board.atom", HTML),
    ("/topics", HTML),
    ("/topics/legalaid", HTML),
    ("/tags/legalaid", HTML),
    ("/tags/request", HTML),
    ("/@author", HTML),
    ("/users/author", HTML),
    ("/users/author", AP),
    ("/users/author/feed.atom", HTML),
    ("/users/author/outbox", AP),
    ("/users/author/outbox?page=true", AP),
    ("/users/author/collections/featured", AP),
    ("/users/author/followers", AP),
    ("/users/author/following", AP),
    ("/users/legalaid", AP),
    ("/users/legalaid/outbox?page=true", AP),
    ("/actor", AP),
    ("/actor/outbox", AP),
    ("/nodeinfo/2.1", HTML),
    ("/users/newcomer/outbox?page=true", AP),
    ("/@newcomer", HTML),
    ("/.well-known/webfinger?resource=acct:author@HOST", HTML),
    ("/sitemap.xml", HTML),
    ("/oembed", HTML),
    ("/search?q=canary", HTML),
    ("/users/author/followers_synchronization", AP),
]

ATTEMPTS = [(thing, reader) for thing in THINGS for reader in REMOTE]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("thing", "reader"), ATTEMPTS, ids=[f"{thing} by {reader}" for thing, reader in ATTEMPTS])
async def test_what_may_not_be_seen_is_missing(scene: Scene, thing: str, reader: str) -> None:
    await look_over_http(scene, thing, reader)


async def look_over_http(scene: Scene, thing: str, reader: str) -> None:
    """One cell: a thing, a reader elsewhere, every place where it might be."""
    path, canary = scene.paths[thing], scene.canary(thing).encode()
    allowed = expected(scene.house, thing, reader, "http") == "full"
    if allowed:
        assert canary in (await scene.get(reader, path)).body, "we look at the right place"
    for place, suffix, accept in PLACES:
        if thing == "public" and (allowed or accept == HTML):
            continue  # pages know no reader, and are for everybody
        if allowed and accept == AP:
            continue
        for way, method, more in WAYS if suffix in {"", "/activity"} else WAYS[:1]:
            here = await scene.get(reader, path + suffix, accept, method=method, more=more)
            there = await scene.get(reader, missing(path) + suffix, accept, method=method, more=more)
            assert told(here, path) == told(there, missing(path)), (place, way)
            assert canary not in here.body
            assert here.status in scene.house.refusals, (place, way)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("reader", REMOTE)
async def test_no_list_shows_more_than_what_is_public(scene: Scene, reader: str) -> None:
    await look_at_lists(scene, reader)


async def look_at_lists(scene: Scene, reader: str) -> None:
    """Every list there is, for one reader elsewhere."""
    unseen = [scene.canary(thing).encode() for thing in THINGS if thing != "public"]
    found = set()
    for path, accept in LISTS:
        for method in ("GET", "HEAD"):
            answer = await scene.get(reader, path.replace("HOST", scene.a.host), accept, method=method)
            assert answer.status < 500, path
            whole = answer.body + repr(answer.headers).encode()
            assert not any(one in whole for one in unseen), path
            for thing in ("local", "peers", "network", "withdrawn", "direct", "followers"):
                assert scene.paths[thing].encode() not in whole, f"{path} names {thing}"
            assert not any(site.host.encode() in whole for site in (scene.b, scene.c)), f"{path} names a peer"
            if scene.canary("public").encode() in whole:
                found.add(path)
    shows = {"/", "/board", "/@author", "/board.atom", "/tags/legalaid"}
    assert shows <= found or expected(scene.house, "public", reader, "http") == "no", "we look at the right places"


READERS_HERE = [(thing, reader) for thing in LISTINGS for reader in HERE]


async def _found(site: Site, which: str, reader: Person) -> listings.Listing | None:
    async def look(tx: Transaction) -> listings.Listing | None:
        return await listings.find(tx, site.instance, which, reader=reader.actor)

    return await site.instance.database.read(look)


def view(scene: Scene, thing: str, found: listings.Listing | None) -> str:
    """How much of a listing somebody got."""
    if found is None:
        return "no"
    return "full" if scene.canary(thing) in found.title and scene.canary(thing) in found.text else "coarse"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("thing", "reader"), READERS_HERE, ids=[f"{thing} by {reader}" for thing, reader in READERS_HERE])
async def test_who_finds_it_here(scene: Scene, thing: str, reader: str) -> None:
    await look_here(scene, thing, reader)


async def look_here(scene: Scene, thing: str, reader: str) -> None:
    """One cell: a listing, somebody here, by its id, its address, what it is about and its words."""
    person, house = scene.people[reader], scene.house
    names = [scene.ids[thing], *([f"{scene.a.base}{scene.paths[thing]}"] if thing not in UNPUBLISHED else [])]
    for name in names:
        assert view(scene, thing, await _found(scene.a, name, person)) == expected(house, thing, reader, "find"), name
    # Search by what it is about, and by its words, which are no way to guess what one does not read
    about = await _searched(scene.a, person, search.Wanted(slugs=("LegalAid",)))
    by_words = await _searched(scene.a, person, search.Wanted(words=(scene.canary(thing).lower(),)))
    assert (scene.ids[thing] in about) == (expected(house, thing, reader, "about") != "no")
    assert (scene.ids[thing] in by_words) == (expected(house, thing, reader, "words") != "no")
    # What fits a search that somebody keeps, what is suggested to them, and what they are told
    instance = scene.a.instance
    kept = await instance.database.read(saved.now, instance, person.actor, saved.asked(category="LegalAid"), 100)
    assert (scene.ids[thing] in {str(one.id) for one in kept}) <= (expected(house, thing, reader, "about") != "no")
    pairs = await instance.database.read(suggestions.of_reader, instance, person.actor)
    assert scene.ids[thing] not in {str(one.request.id) for one in pairs} or expected(house, thing, reader, "about") != "no"
    news = await instance.database.read(notifications.newest, instance, person.actor.id)
    assert not any(scene.ids[thing] in one.about for one in news) or expected(house, thing, reader, "find") != "no"


async def _searched(site: Site, person: Person, wanted: search.Wanted) -> list[str]:
    async def look(tx: Transaction) -> list[listings.Listing]:
        return await search.search(tx, site.instance, wanted, reader=person.actor)

    return [str(one.id) for one in await site.instance.database.read(look)]


READERS_THERE = [(thing, reader) for reader in THERE for thing in ("local", "peers", "network", "scheduled", "held", "public")]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("thing", "reader"), READERS_THERE, ids=[f"{thing} by {reader}" for thing, reader in READERS_THERE])
async def test_who_finds_it_at_a_peer(scene: Scene, thing: str, reader: str) -> None:
    await look_there(scene, thing, reader)


async def look_there(scene: Scene, thing: str, reader: str) -> None:
    """One cell: a listing, somebody at a trusted peer."""
    person = scene.people[reader]
    found = await _found(person.site, f"{scene.a.base}{scene.paths[thing]}", person)
    assert view(scene, thing, found) == expected(scene.house, thing, reader, "find")
    if found is not None:
        by_words = await _searched(person.site, person, search.Wanted(words=(scene.canary(thing).lower(),)))
        assert (str(found.id) in by_words) == (expected(scene.house, thing, reader, "words") != "no")


TIMELINES = (*HERE, "helper@b", "helper@c")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("reader", TIMELINES)
async def test_timelines_and_lists_of_everybody(scene: Scene, reader: str) -> None:
    await look_at_timelines(scene, reader)


async def look_at_timelines(scene: Scene, reader: str) -> None:
    """Home and public timelines of somebody, and the lists that are everybody's."""
    person = scene.people[reader]
    instance = person.site.instance
    page = timelines.Page(limit=1000)
    entries = [
        *await instance.database.read(timelines.home, instance, person.actor, page),
        *await instance.database.read(timelines.public, instance, person.actor, page),
    ]
    shown = {thing for thing in THINGS if any(scene.canary(thing) in entry.html for entry in entries)}
    most = {thing for thing in THINGS if reader in POLICY[thing] and expected(scene.house, thing, reader, "timeline") != "no"}
    assert shown <= most
    assert (reader != "fan") or shown == most
    # What is everybody's list holds what is public and nothing else, on each instance
    everybody = {one.title for one in await instance.database.read(_newest, person.site)}
    assert not any(scene.canary(thing) in title for thing in THINGS if thing != "public" for title in everybody)


async def _newest(tx: Transaction, site: Site) -> list[listings.Listing]:
    return await listings.newest(tx, site.instance, network=True, limit=1000)
