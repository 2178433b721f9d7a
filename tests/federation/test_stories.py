"""The stories of Movements.org, from start to finish between real instances: what state each thing ends in, and what each server knows of it.

The searches look for words that stand nowhere else, in every file of every instance (databases, logs, queues, in UTF-8, UTF-16, base64 and hex), in everything
its vault ever sealed or opened, in every line of every log, in every body that left and every answer that was given to whoever asked. What is private lies in
nobody's files, and is readable only where it was meant to be.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import known, local
from actors.known import Actor
from fedmatch.board import (
    admissions,
    answers,
    conversations,
    disclosures,
    identities,
    introductions,
    life,
    listings,
    notifications,
    responses,
    saved,
    search,
    stories,
    suggestions,
)
from fedmatch.board.answers import Response
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import vouches
from schemas.objects import Need, VouchMethod
from schemas.storage import Transaction
from tests.fakepeer import PUBLIC, FakeActor, FakePeer
from tests.friends import befriend
from tests.knowledge import Knowledge
from tests.personalities import Mastodon
from tests.world import Person, Site, World, open_world

pytestmark = pytest.mark.asyncio

EVERYBODY = Terms(readers=Floor(0))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


@pytest.fixture
def knowledge(world: World, monkeypatch: pytest.MonkeyPatch) -> Knowledge:
    """What the sites know that it watches."""
    return Knowledge(world, monkeypatch)


async def sites(world: World, *names: str) -> list[Site]:
    return [await world.site(name) for name in names]


async def write(person: Person, act: Callable[..., Awaitable[Any]], *values: Any, **more: Any) -> Any:
    """Lets somebody do one thing on their instance, and everybody work until nothing is left."""
    instance = person.site.instance

    async def body(tx: Transaction) -> Any:
        return await act(tx, instance, person.actor, *values, **more)

    made = await instance.database.write(body)
    for kind in ("delivery", "job"):
        instance.wake(kind)
    await person.world.settle()
    return made


async def seen(person: Person, url: str) -> Listing | None:
    """The listing as `person` finds it on their instance; None if it is not there for them."""
    instance = person.site.instance

    async def look(tx: Transaction) -> Listing | None:
        return await listings.find(tx, instance, url, reader=person.actor)

    return await instance.database.read(look)


async def held(site: Site, url: str) -> Listing | None:
    """The listing as the staff of a site finds it."""
    return await site.instance.database.read(listings.find, site.instance, url)


async def answer(helper: Person, url: str, text: str, **more: Any) -> Response:
    """Opens a listing on the helper's own instance and answers it."""
    found = await held(helper.site, url)
    assert found is not None
    return await write(helper, responses.answer, found, text, **more)


async def answers_of(person: Person) -> list[Response]:
    instance = person.site.instance
    return await instance.database.read(answers.of_actor, instance, person.actor)


async def step(person: Person, act: Callable[..., Awaitable[Any]], *values: Any, which: int = 0, **more: Any) -> Any:
    """One step with one of the person's answers, the newest first."""
    return await write(person, act, (await answers_of(person))[which], *values, **more)


async def talk(person: Person, *, which: int = 0) -> list[str]:
    instance = person.site.instance
    one = (await answers_of(person))[which]
    return [message.text for message in await instance.database.read(conversations.messages, instance, one)]


async def vouch(person: Person, level: int, method: VouchMethod = "in-person") -> None:
    """The staff of the person's instance says how sure it is of them."""
    instance = person.site.instance

    async def body(tx: Transaction) -> None:
        await vouches.issue(tx, instance, person.actor, level, method, staff="staff")

    await instance.database.write(body)


async def told(person: Person) -> list[str]:
    """What the person is told, by kind, oldest first."""
    instance = person.site.instance
    return [one.kind for one in reversed(await instance.database.read(notifications.newest, instance, person.actor.id))]


async def hidden(person: Person) -> Person:
    """A one-time identity of somebody."""
    actor = await identities.make(person.site.instance, person.actor)
    return Person(person.world, person.site, actor)


async def suggested(person: Person) -> list[suggestions.Suggestion]:
    """The pairs that somebody is shown now."""
    instance = person.site.instance
    return await instance.database.read(suggestions.of_reader, instance, person.actor)


async def states(listing: Listing, *where: Site) -> list[str]:
    """The state of a listing on each of these sites, "none" where it is not held."""
    return ["none" if (found := await held(site, listing.url)) is None else found.state for site in where]


async def place(person: Person, helper: Person) -> int:
    """At which place of somebody's answers, the newest first, that of a helper stands."""
    return next(at for at, one in enumerate(await answers_of(person)) if one.words.helper == helper.uri)


def assert_apart(knowledge: Knowledge, sender: Site, *peers: Site) -> None:
    """What one site says to each of these, in the open or sealed, never names another of them."""
    said = {one.name: knowledge.told_to(one, by=sender) for one in peers}
    assert any(said.values()), "we look at the right places"
    for one in peers:
        for other in peers:
            assert other is one or not any(other.host.encode() in body for body in said[one.name]), f"{one.name} was told of {other.name}"


async def mastodon(world: World) -> Mastodon:
    peer = await Mastodon(world.clock.now).start()
    world.peers.append(peer)
    return peer


async def follow_topic(world: World, follower: FakeActor, site: Site, name: str) -> str:
    """Follows a category actor as a Mastodon user does; gives its id."""
    finger = await site.get(f"/.well-known/webfinger?resource=acct:{name}@{site.host}")
    assert finger.status == 200, finger.body
    topic: str = next(link["href"] for link in finger.json["links"] if link["rel"] == "self")
    assert (await follower.send(follower.follow(topic), f"{topic}/inbox")).status == 202
    await world.settle()
    return topic


async def test_s1_an_expert_on_textbooks_and_a_government_far_away(world: World, knowledge: Knowledge) -> None:
    # Given an NGO (a), a foundation (b), and a newsroom (c) that the NGO trusts as well; the NGO counts the foundation's word up to level 3
    a, b, c = await sites(world, "a", "b", "c")
    await befriend(world, a, b, count=3)
    await befriend(world, a, c)
    knowledge.watch(a, b, c)
    raqib, executive, reporter = await world.person("raqib@a"), await world.person("executive@b"), await world.person("reporter@c")
    await vouch(raqib, 3)
    await vouch(executive, 2)
    await write(executive, saved.save, saved.asked(kind="request", category="policy-advocacy", region="SA"))

    # When the expert asks, for the foundation's people alone
    canary, answered, named = "canary-s1-incitement-in-grade-five", "canary-s1-i-know-the-ministry", "canary-s1-real-name-of-the-expert"
    request = await raqib.listing(
        "request",
        "Textbooks",
        canary,
        language="en",
        categories=["PolicyAdvocacy"],
        skills=["PolicymakerContact"],
        speaks=["ar", "en", "de"],
        region="SA",
        helper_region="DE",
        audience="peers",
        named=(b.host,),
        until=(world.clock.now() + timedelta(days=30)),
        terms=Terms(readers=Floor(1)),
    )
    await world.settle()

    # Then whoever the foundation vouches for reads it, nobody else there does, and the newsroom does not even know that there is anything
    assert (await seen(executive, request.url)) is not None
    assert await told(executive) == ["search.found"], "who looks for such a thing is told in private"
    assert await states(request, a, b, c) == ["open", "open", "none"]
    stranger = await world.person("stranger@b")
    assert await seen(stranger, request.url) is None
    assert await held(c, request.url) is None
    assert await seen(reporter, request.url) is None
    assert knowledge.known(canary) == {"a", "b"}
    assert knowledge.disk(canary) == set()
    assert knowledge.left(canary) == set(), "it crossed sealed"

    # When the executive answers, and is accepted
    await answer(executive, request.url, answered)
    (received,) = await answers_of(raqib)
    assert (received.state, received.tray, received.words.level, received.words.channel) == ("sent", "vouched", 2, "sealed")
    await step(raqib, responses.open_)
    await step(raqib, responses.accept)
    assert [(await answers_of(one))[0].state for one in (raqib, executive)] == ["accepted", "accepted"]
    assert await states(request, a, b, c) == ["matched", "matched", "none"]

    # And asks before passing it to an official: nothing is passed before the expert agreed for this one
    asked = await step(executive, introductions.propose, "the desk officer for curricula", "She decides about funds.")
    with pytest.raises(answers.CannotAnswer):
        await step(executive, introductions.passed, asked.id)
    (proposed,) = await a.instance.database.read(introductions.of, a.instance, (await answers_of(raqib))[0])
    await step(raqib, introductions.decide, proposed.id, agreed=True)
    assert (await step(executive, introductions.passed, asked.id)).state == "passed"

    # And the expert shows a name to this one counterpart, which is noted for the expert
    await step(raqib, disclosures.disclose, "name", named)
    assert any(named in text for text in await talk(executive))
    assert [one.field for one in await a.instance.database.read(disclosures.of, a.instance, raqib.actor)] == ["name"]

    # And an interpreter of the NGO is let in by both sides, reads and speaks; one of a third server never
    interpreter = await world.person("interpreter@a")
    await step(raqib, admissions.admit, interpreter.actor, "interpreter")
    with pytest.raises(answers.CannotAnswer):
        await _say_as_guest(interpreter, raqib, "not yet")
    await step(executive, admissions.agree_to, interpreter.handle)
    await _say_as_guest(interpreter, raqib, "canary-s1-in-other-words")
    assert "canary-s1-in-other-words" in await talk(executive)
    assert knowledge.known("canary-s1-in-other-words") == {"a", "b"}

    # Then all is done, and only the two servers ever could read a word of it
    await step(executive, responses.complete)
    assert {one.state for one in (*await answers_of(raqib), *await answers_of(executive))} == {"completed"}
    assert await states(request, a, c) == ["fulfilled", "none"]
    for text in (canary, answered, named, "the desk officer for curricula"):
        assert knowledge.known(text) == {"a", "b"}
        assert knowledge.disk(text) == set()
        assert knowledge.left(text) == set()
    assert_apart(knowledge, a, b, c)


async def test_s2_a_group_needs_publicity_and_a_mastodon_user_gives_it(world: World, knowledge: Knowledge) -> None:
    # Given a group with three operators, an instance that trusts theirs, one that only follows, and a firm's founder on Mastodon who follows @pressandmedia
    a, b, c = await sites(world, "a", "b", "c")
    await befriend(world, a, b, count=3)
    knowledge.watch(a, b, c)
    group = await _group(world, a, "syria_voices", "amal", "basil", "carim")
    peer = await mastodon(world)
    founder = peer.actor("founder")
    topic = await follow_topic(world, founder, a, "pressandmedia")
    await vouch(group, 3)
    await (await world.person("watcher@c")).follow(group.handle)
    await world.settle()

    # When one of the operators asks in public
    by = await a.actor("basil")
    request = await group.listing(
        "request", "Newspapers that listen", "We document what happens.", categories=["PressAndMedia"], speaks=["ar", "en"], region="SY", urgency="days", by=by
    )
    await world.settle()

    # Then the founder sees it, boosted by the category, as the group's; which operator acted stands in no file and left in no body
    await peer.catch_up()
    shown = peer.shown[request.url]
    assert shown.author == group.uri
    assert topic in shown.boosted_by
    assert await states(request, a, b, c) == ["open", "open", "open"]
    assert (knowledge.known("basil"), knowledge.left("basil")) == ({"a"}, set())

    # When the founder answers privately, the instance answers within the minute, and the group accepts
    note = founder.direct("<p>canary-s2-our-firm-can-do-that</p>", group.uri, f"@{group.handle}", inReplyTo=request.url)
    assert (await founder.send(founder.create(note), f"{group.uri}/inbox")).status == 202
    await world.settle()
    receipts = _letters(peer)
    assert receipts, "the instance says that it came, who decides, and how to take it back"
    assert all("canary-s2" not in one["content"] for one in receipts)
    assert all(one["attributedTo"] != group.uri for one in receipts), "never the asker"
    await step(group, responses.open_)
    await step(group, responses.accept)

    # Then the decision is a private letter, and the request is matched everywhere
    assert len(_letters(peer)) > len(receipts)
    assert all(PUBLIC not in [*one.get("to", []), *one.get("cc", [])] for one in _letters(peer))
    assert (await answers_of(group))[0].state == "accepted"
    assert await states(request, a, b, c) == ["matched", "matched", "matched"]

    # And when it is done the founder hears so, and the request is fulfilled everywhere
    heard = len(_letters(peer))
    await step(group, responses.complete)
    assert (await answers_of(group))[0].state == "completed"
    assert await states(request, a, b, c) == ["fulfilled", "fulfilled", "fulfilled"]
    assert len(_letters(peer)) > heard
    text = "canary-s2-our-firm-can-do-that"
    assert knowledge.of(text) == ({"a"}, set(), set()), "it is quoted to nobody"
    assert (knowledge.known("basil"), knowledge.left("basil")) == ({"a"}, set()), "which operator acted stays at home"


async def test_s3_two_people_at_risk_find_each_other_and_nobody_learns_who(world: World, knowledge: Knowledge) -> None:
    # Given two NGOs that trust each other and count each other's word, and a third that both trust
    a, d, e = await sites(world, "a", "d", "e")
    await befriend(world, a, d, count=3)
    await befriend(world, a, e)
    await befriend(world, d, e)
    knowledge.watch(a, d, e)
    yemeni, syrian = await world.person("yemeni_real@a"), await world.person("syrian_real@d")
    await vouch(yemeni, 1)
    await vouch(syrian, 1)
    asker, helper = await hidden(yemeni), await hidden(syrian)
    advice = await helper.listing("offer", "Advice", "On running a small station.", categories=["Connectivity"], skills=["RadioBroadcast"], speaks=["ar"])
    await world.settle()

    # When one asks under an identity made for it, and the other answers under another
    canary = "canary-s3-a-radio-for-the-young"
    request = await asker.listing(
        "request", "Radio", canary, categories=["Connectivity"], skills=["RadioBroadcast"], speaks=["ar"], audience="network", delay=(0, 0)
    )
    await world.settle()
    assert knowledge.known(canary) == {"a", "d"}, "e's word counts for nothing here, so nothing of it goes there"
    assert await states(request, a, d, e) == ["open", "open", "none"]
    # Then each server finds the pair for its own person, who may read both, and asks nobody
    (pair,), (other,) = await suggested(yemeni), await suggested(syrian)
    assert (pair.found.url, pair.side) == (advice.url, "asker")
    assert (other.found.url, other.side) == (request.url, "helper")
    assert knowledge.known(canary) == {"a", "d"}

    # When the other answers, what they write waits for its server: it lies in nobody's files
    texts = ("canary-s3-i-built-one", "canary-s3-begin-with-the-antenna")
    await a.stop()
    await answer(helper, request.url, texts[0])
    assert await d.count("delivery", "state = 'waiting'") > 0
    assert knowledge.known(texts[0]) == {"d"}
    assert knowledge.disk(texts[0]) == set()
    # And when it has come, and waits there for its worker
    await a.start(worker=False)
    knowledge.watch(a)
    world.clock.move(hours=1)
    d.instance.wake("delivery")
    await world.until(lambda: _waits(a))
    assert knowledge.disk(texts[0]) == set()
    a.work()
    await world.later(hours=1)
    asker, yemeni = Person(world, a, asker.actor), Person(world, a, yemeni.actor)
    (received,) = await answers_of(asker)
    assert (received.state, received.tray, received.words.channel) == ("sent", "vouched", "sealed")
    await step(asker, responses.open_)
    await step(asker, responses.accept)
    assert [(await answers_of(one))[0].state for one in (asker, helper)] == ["accepted", "accepted"]
    assert await states(request, a, d, e) == ["matched", "matched", "none"]
    await step(helper, conversations.say, texts[1])
    assert await talk(asker) == [texts[1]]
    await step(asker, responses.complete)
    assert [(await answers_of(one))[0].state for one in (asker, helper)] == ["completed", "completed"]
    assert await states(request, a, e) == ["fulfilled", "none"]

    # Then neither server knows who is behind the other one's identity, and the third knows nothing at all
    for text in (canary, *texts):
        assert knowledge.of(text) == ({"a", "d"}, set(), set())
    assert knowledge.known("yemeni_real") == {"a"}
    assert knowledge.known("syrian_real") == {"d"}
    assert knowledge.left("yemeni_real") == knowledge.left("syrian_real") == set()
    assert "e" not in knowledge.known(asker.actor.username), "the pair stands nowhere else; the helper's offer is public"
    assert_apart(knowledge, a, d, e)

    # And both may say in private how it went; that stays where it was said
    await step(asker, introductions.feedback, "canary-s3-she-was-kind")
    await step(helper, introductions.feedback, "canary-s3-he-learnt-fast")
    for text, where in (("canary-s3-she-was-kind", {"a"}), ("canary-s3-he-learnt-fast", {"d"})):
        assert knowledge.of(text) == (where, set(), set())


async def test_s4_journalists_offer_to_tell_five_stories(world: World, knowledge: Knowledge) -> None:
    # Given a reporter whose public offer has room for two, seen on Mastodon, by activists of a trusted instance, and by somebody of one that only follows
    a, c, m = await sites(world, "a", "c", "m")
    await befriend(world, a, c, count=3)
    knowledge.watch(a, c, m)
    reporter = await world.person("reporter@c")
    await (await world.person("reader@m")).follow(reporter.handle)
    peer = await mastodon(world)
    follower = peer.actor("reader")
    await follower.send(follower.follow(reporter.uri), f"{reporter.uri}/inbox")
    await world.settle()
    await vouch(reporter, 3, "known-organisation")
    offer = await reporter.listing("offer", "I tell your story", "In print.", categories=["PressAndMedia"], speaks=["en", "fr", "fa"], capacity=2)
    await world.settle()
    assert offer.url in peer.shown
    activists = [await world.person(f"activist{number}@a") for number in range(3)]
    for activist in activists:
        await vouch(activist, 1)
    assert [one["url"] for one in await a.listings()] == [offer.url], "what is public goes to every trusted peer"
    wanted = search.Wanted(kind="offer", slugs=("PressAndMedia",), speaks=("fa",), checked=True)
    (found,) = await a.instance.database.read(search.search, a.instance, wanted, reader=activists[0].actor)
    assert (found.url, found.proposal.capacity) == (offer.url, 2)
    assert [vouched.level for vouched in found.vouches] == [3]
    assert await states(offer, a, c, m) == ["open", "open", "open"]

    # When two are accepted, the offer pauses by itself and tells everybody; a third waits
    for number, activist in enumerate(activists):
        await answer(activist, offer.url, f"canary-s4-story-{number}")
    assert len(await answers_of(reporter)) == 3
    for activist in activists[:2]:
        at = await place(reporter, activist)
        await step(reporter, responses.open_, which=at)
        await step(reporter, responses.accept, which=at)
        assert (await answers_of(activist))[0].state == "accepted"
    assert await states(offer, a, c, m) == ["paused", "paused", "paused"]
    assert peer.shown[offer.url].updated is not None, "Mastodon hears of it too"
    with pytest.raises(answers.CannotAnswer):
        await step(reporter, responses.accept, which=await place(reporter, activists[2]))

    # And when one comes to nothing, its place is given back and the offer opens again, everywhere
    await step(reporter, responses.complete, which=await place(reporter, activists[0]), failed=True)
    assert (await answers_of(activists[0]))[0].state == "failed"
    assert await states(offer, a, c, m) == ["open", "open", "open"]
    await step(reporter, responses.complete, which=await place(reporter, activists[1]))
    assert (await answers_of(activists[1]))[0].state == "completed"
    for number in range(3):
        assert knowledge.known(f"canary-s4-story-{number}") == {"a", "c"}
        assert knowledge.disk(f"canary-s4-story-{number}") == set()
        assert knowledge.left(f"canary-s4-story-{number}") == set(), "between trusted peers answers cross sealed, to a public offer too"


async def test_s5_a_song_and_then_its_film(world: World, knowledge: Knowledge) -> None:
    # Given a public request for a song, a songwriter on Mastodon who follows @artsandmusic, film-makers on a trusted instance, and one that only follows
    a, f, n = await sites(world, "a", "f", "n")
    await befriend(world, a, f, count=3)
    knowledge.watch(a, f, n)
    team, filmmaker, reader = await world.person("hermitage@a"), await world.person("film_collective@f"), await world.person("reader@n")
    await reader.follow(team.handle)
    await vouch(team, 3, "known-organisation")
    peer = await mastodon(world)
    songwriter = peer.actor("songwriter")
    topic = await follow_topic(world, songwriter, a, "artsandmusic")
    song = await team.listing("request", "A song for Sergei", "For the anniversary.", categories=["ArtsAndMusic"], skills=["Songwriting"], speaks=["en", "ru"])
    await world.settle()
    await peer.catch_up()
    assert topic in peer.shown[song.url].boosted_by

    # When the songwriter answers, is accepted, and hands over what was made
    text, made = "canary-s5-i-write-songs", "Here it is: https://songs.example/sergei (sha256 9f86d081)"
    for words in (text, made):
        note = songwriter.direct(f"<p>{words}</p>", team.uri, f"@{team.handle}", inReplyTo=song.url)
        assert (await songwriter.send(songwriter.create(note), f"{team.uri}/inbox")).status == 202
        await world.settle()
        if words == text:
            await step(team, responses.open_)
            await step(team, responses.accept)
            assert await states(song, a, f, n) == ["matched", "matched", "matched"]
    assert await talk(team) == [made]
    await step(team, responses.complete)
    assert await states(song, a, f, n) == ["fulfilled", "fulfilled", "fulfilled"]

    # When a second request follows up on the first, and is answered by somebody under a pseudonym
    film = await team.listing("request", "Film the song", "In Moscow.", categories=["ArtsAndMusic"], speaks=["en", "ru"], follow_up_of=song.url)
    await world.settle()
    there = await held(f, film.url)
    assert there is not None
    assert there.proposal.follow_up_of == song.url
    collective = await hidden(filmmaker)
    await answer(collective, film.url, "canary-s5-we-can")
    await step(team, responses.open_)
    await step(team, responses.accept)
    await step(team, responses.complete)
    assert [(await answers_of(one))[0].state for one in (team, collective)] == ["completed", "completed"]
    assert await states(film, a, f, n) == ["fulfilled", "fulfilled", "fulfilled"]

    # Then the outcome is told only when both sides agree, and credits only whoever wishes to be named
    first = await step(team, stories.tell, "A song and a film.", credit="the team")
    assert not first.told
    (asked,) = await answers_of(collective)
    proposed = await f.instance.database.read(stories.of, f.instance, asked)
    assert proposed is not None
    assert (proposed.text, proposed.told, proposed.credits) == ("A song and a film.", False, ("the team",))
    assert "story.asked" in await told(collective)
    for site in (a, f, n):
        assert await site.instance.database.read(stories.told, site.instance, film.url) == ()
    assert (await step(collective, stories.tell)).told
    at_home = await a.instance.database.read(stories.of, a.instance, (await answers_of(team))[0])
    assert at_home is not None
    assert (at_home.told, at_home.credits) == (True, ("the team",)), "the film-makers did not opt in to be named"
    for site in (a, f):
        (shown,) = await site.instance.database.read(stories.told, site.instance, film.url)
        assert shown.json() == {"text": "A song and a film.", "credits": ["the team"]}
    # and no longer when one of them takes that back, on either server
    assert await step(collective, stories.withdraw)
    for site in (a, f):
        assert await site.instance.database.read(stories.told, site.instance, film.url) == ()
    assert "story.withdrawn" in await told(team)
    assert knowledge.known("film_collective") == {"f"}, "who is behind the pseudonym only their own instance knows"
    assert knowledge.left("film_collective") == set()
    assert knowledge.of(text) == ({"a"}, set(), set())
    words = "canary-s5-we-can"
    assert knowledge.of(words) == ({"a", "f"}, set(), set())
    assert_apart(knowledge, a, f, n)


async def test_s6_a_matchmaker_brings_in_those_who_must_not_be_seen(world: World, knowledge: Knowledge) -> None:
    # Given defectors on a, technologists on e whom a trusts, and another instance that only federates in public
    a, e, m = await sites(world, "a", "e", "m")
    await befriend(world, a, e, count=3)
    knowledge.watch(a, e, m)
    defector, engineer = await world.person("defector@a"), await world.person("engineer@e")
    watcher = await world.person("watcher@m")
    await watcher.follow(engineer.handle)
    await world.settle()
    await vouch(engineer, 2)
    brokers = [await world.person("matchmaker@a"), await world.person("matchmaker@e")]
    for broker in brokers:
        instance = broker.site.instance
        await instance.database.write(local.set_role, instance, broker.actor, "matchmaker")
        await vouch(broker, 1)

    # When two requests are to leave within one to three days, and the offers are public
    into, out = "canary-s6-get-the-news-in", "canary-s6-get-the-witnesses-out"
    delay = (24 * 3600, 72 * 3600)
    wishes = Terms(readers=Floor(1), suggest="matchmakers")
    given: dict[str, Any] = {"categories": ["Connectivity"], "skills": ["RadioBroadcast"], "audience": "peers", "named": (e.host,), "delay": delay}
    for text in (into, out):
        await defector.listing("request", "Information", text, terms=wishes, **given)
    offers = [
        await engineer.listing("offer", title, f"canary-s6-{skill}", categories=["Connectivity"], skills=[skill], capacity=3)
        for title, skill in (("Shortwave", "RadioBroadcast"), ("Satellite", "SatelliteInternet"))
    ]
    await world.settle()

    # Then for a day nothing of the requests is anywhere but at home
    assert knowledge.known(into) == knowledge.known(out) == {"a"}
    await world.later(hours=23)
    assert knowledge.known(into) == {"a"}

    # And after three days the engineer may read them; the other instance shows the offers and has never heard of a request
    await world.later(hours=50)
    await world.later(hours=2)
    assert knowledge.known(into) == knowledge.known(out) == {"a", "e"}
    assert {one["title"] for one in await m.listings()} == {"Shortwave", "Satellite"}
    assert len(offers) == 2
    published = await a.rows("select post.published from post join listing on listing.post_id = post.id where post.local = 1")
    assert len(published) == 2
    assert all(row["published"] % 3_600_000 == 0 for row in published), "they left on the hour"

    # And nobody but the matchmakers of the two is shown what fits, before they propose it to their own side
    assert await suggested(defector) == await suggested(engineer) == await suggested(watcher) == []
    for broker in brokers:
        pairs = await suggested(broker)
        assert {(one.side, one.offer.url) for one in pairs} >= {("broker", offers[0].url)}
        for one in pairs:
            await write(broker, suggestions.propose, one.id)
    assert {one.side for one in await suggested(defector)} == {"asker"}
    assert {one.side for one in await suggested(engineer)} == {"helper"}
    assert "match.proposed" in await told(defector)
    assert "match.proposed" in await told(engineer)
    assert await suggested(watcher) == []

    # When the engineer agrees by an answer, and the defector by accepting it, they are brought together, for this one request
    (request,) = [one for one in await a.instance.database.read(listings.of_author, a.instance, defector.actor.id, 10, private=True) if into in one.text]
    (other,) = [one for one in await a.instance.database.read(listings.of_author, a.instance, defector.actor.id, 10, private=True) if out in one.text]
    text = "canary-s6-an-hour-a-night"
    assert (await seen(engineer, request.url)) is not None
    await answer(engineer, request.url, text)
    await step(defector, responses.open_)
    await step(defector, responses.accept)
    assert [(await answers_of(one))[0].state for one in (defector, engineer)] == ["accepted", "accepted"]
    # What waits for its hour to leave is told about by the hour, too
    await world.later(hours=1)
    assert await states(request, a, e, m) == ["matched", "matched", "none"]
    assert await states(other, a, e, m) == ["open", "open", "none"]
    await step(engineer, responses.complete)
    assert [(await answers_of(one))[0].state for one in (defector, engineer)] == ["completed", "completed"]
    assert await states(request, a, m) == ["fulfilled", "none"]
    for one in (into, out, text):
        assert knowledge.of(one) == ({"a", "e"}, set(), set())
    assert "m" not in knowledge.known("defector")


async def test_s7_a_radio_is_sustained_by_several(world: World, knowledge: Knowledge) -> None:
    # Given a named person's request with three parts
    a, b, n = await sites(world, "a", "b", "n")
    await befriend(world, a, b, count=3)
    knowledge.watch(a, b, n)
    owner = await world.person("radio_owner@a")
    await (await world.person("listener@n")).follow(owner.handle)
    await world.settle()
    request = await owner.listing(
        "request",
        "Sustain the radio",
        "It broadcasts into Iran.",
        categories=["Connectivity"],
        speaks=["fa", "en"],
        needs=(Need("transmitter hours", 2, equipment=True), Need("editors", 1)),
    )
    helpers = [await world.person(f"helper{number}@b") for number in range(3)]
    for helper in helpers:
        await vouch(helper, 1)
    await world.settle()
    assert await states(request, a, b, n) == ["open", "open", "open"]

    # When three help, each with one part
    for helper, need in zip(helpers, ("transmitter hours", "transmitter hours", "editors"), strict=True):
        await answer(helper, request.url, f"canary-s7-{helper.actor.username}", need=need)
    for helper in helpers:
        at = await place(owner, helper)
        await step(owner, responses.open_, which=at)
        await step(owner, responses.accept, which=at)
        assert (await answers_of(helper))[0].state == "accepted"
        parts = await a.instance.database.read(life.parts, await held(a, request.url))
        taken = sum(part.taken for part in parts)
        assert taken == helpers.index(helper) + 1
    assert await states(request, a, b, n) == ["matched", "matched", "matched"]

    # Then it is fulfilled part by part, renewed in between, and done with the last
    for number, helper in enumerate(helpers):
        await step(owner, responses.complete, which=await place(owner, helper))
        assert (await answers_of(helper))[0].state == "completed"
        parts = await a.instance.database.read(life.parts, await held(a, request.url))
        assert sum(part.done for part in parts) == number + 1
        if number == 0:
            assert await states(request, a, b, n) == ["matched", "matched", "matched"], "one part is done, and that is nobody else's to count"
            await world.later(days=20)
            await _renew(world, request, a)
            await world.later(days=5)
            assert (await held(n, request.url)).proposal.expires == (await held(a, request.url)).proposal.expires  # type: ignore[union-attr]  # both are there
            assert (await held(a, request.url)).proposal.expires > world.clock.now() + timedelta(days=20)  # type: ignore[union-attr, operator]  # it has one
    assert await states(request, a, b, n) == ["fulfilled", "fulfilled", "fulfilled"]
    for helper in helpers:
        text = f"canary-s7-{helper.actor.username}"
        assert knowledge.of(text) == ({"a", "b"}, set(), set())


async def test_s8_people_help_others_to_learn_their_computer(world: World, knowledge: Knowledge) -> None:
    # Given a standing offer of digital safety for the network; whoever needs it has an account for now (intake by a receipt code is not built)
    a, b, c = await sites(world, "a", "b", "c")
    await befriend(world, a, b, count=3)
    await befriend(world, b, c)
    knowledge.watch(a, b, c)
    desk, learner = await world.person("helpdesk@b"), await world.person("learner@a")
    offer = await desk.listing("offer", "Safe phones", "Ask us anything.", categories=["DigitalSafety"], audience="network", capacity=50, terms=EVERYBODY)
    await world.settle()

    # When somebody asks, is helped, and the case is closed
    asking = await hidden(learner)
    assert await states(offer, a, b, c) == ["open", "open", "open"]
    await answer(asking, offer.url, "canary-s8-my-phone-was-taken")
    await step(desk, responses.open_)
    await step(desk, responses.accept)
    await step(asking, conversations.say, "canary-s8-and-given-back")
    await step(desk, responses.complete)
    assert [(await answers_of(one))[0].state for one in (desk, asking)] == ["completed", "completed"]
    assert await states(offer, a, b, c) == ["open", "open", "open"], "it has room for more"
    for text in ("canary-s8-my-phone-was-taken", "canary-s8-and-given-back"):
        assert knowledge.of(text) == ({"a", "b"}, set(), set())
    assert knowledge.known("learner") == {"a"}, "the desk helped somebody, and does not know whom"
    assert "c" not in knowledge.known(asking.actor.username)
    assert_apart(knowledge, b, a, c)

    # Then the person may still say how it went, although the identity is over
    await world.later(hours=7)
    mine = await a.instance.database.read(identities.mine, a.instance, learner.actor)
    assert asking.actor.id in mine
    await step(asking, introductions.feedback, "canary-s8-they-were-patient")
    assert knowledge.known("canary-s8-they-were-patient") == {"a"}
    assert knowledge.left("canary-s8-they-were-patient") == set()

    # And after 30 days nothing of it is left on either side, sealed or not, and the identity is gone
    for _ in range(5):
        await world.later(days=8)
    assert await a.count("message") == await b.count("message") == 0
    assert await a.count("response") == await b.count("response") == 0
    assert (await _state(a, asking.actor)) == "gone"
    assert await a.count("identity") == 0
    assert knowledge.disk("canary-s8-and-given-back") == knowledge.disk("canary-s8-my-phone-was-taken") == set()


async def test_s9_there_are_more_every_day(world: World, knowledge: Knowledge) -> None:
    # Given many requests, public and not
    a, b, m = await sites(world, "a", "b", "m")
    await befriend(world, a, b, count=3)
    knowledge.watch(a, b, m)
    people = [await world.person(f"person{number}@a") for number in range(4)]
    before = await a.get("/nodeinfo/2.1", "application/json")
    for number, person in enumerate(people):
        for more in (0, 4):
            await person.listing("request", f"Public {number + more}", "words", categories=["LegalAid"])
        await person.listing("request", f"canary-s9-private-{number}", "words", categories=["LegalAid"], audience="local")
    await world.settle()

    # When anybody looks at the instance
    page, nodeinfo = await a.get("/", "text/html"), await a.get("/nodeinfo/2.1", "application/json")
    assert page.status == nodeinfo.status == 200
    body = page.body.decode()

    # Then the public ones are there; of the others not even a number: with them there are twelve, and eight are too few to tell
    assert all(f"Public {number}" in body for number in range(4, 8))
    assert "canary-s9" not in body
    assert "requests are open now" not in body
    assert nodeinfo.body == before.body, "no number of it grows"
    for number in range(4):
        assert knowledge.left(f"Public {number}") >= {b.host}, "and we look at the right places"
        text = f"canary-s9-private-{number}"
        assert knowledge.of(text) == ({"a"}, set(), set())
    # And where more public ones are known a coarse number says so, wherever they were written
    other = await world.person("other@b")
    for number in range(8, 11):
        await other.listing("request", f"Public {number}", "words", categories=["LegalAid"])
    assert "More than 10 requests are open now." in (await b.get("/", "text/html")).body.decode()
    assert "requests are open now" not in (await m.get("/", "text/html")).body.decode(), "nobody told it of any"


async def test_while_it_waits_fails_and_lies_dead_it_lies_in_nobodys_files(world: World, knowledge: Knowledge) -> None:
    # Given two instances that trust each other, of which one is away when somebody asks
    a, d = await sites(world, "a", "d")
    await befriend(world, a, d, count=3)
    knowledge.watch(a, d)
    asker, helper = await world.person("asker@a"), await world.person("helper@d")
    asked, answered, rotten = "canary-w-what-is-asked", "canary-w-what-is-answered", "canary-w-what-nobody-understands"
    await d.stop()
    request = await asker.listing("request", "A lawyer", asked, categories=["LegalAid"], audience="network", terms=EVERYBODY)
    await world.settle()

    # When its copy waits to leave and fails to, nobody's files hold it
    assert knowledge.of(asked) == ({"a"}, set(), set())
    await world.later(hours=2)
    assert await a.count("delivery", "state = 'waiting' and attempts > 0") == 1
    assert knowledge.of(asked) == ({"a"}, set(), set())
    # Nor when it has arrived, and waits there
    await d.start(worker=False)
    knowledge.watch(d)
    world.clock.move(days=1)
    a.instance.wake("delivery")
    await world.until(lambda: _waits(d))
    assert knowledge.of(asked) == ({"a"}, set(), set()), "sealed, and opened by nobody yet"
    d.work()
    await world.later(hours=1)
    assert await states(request, a, d) == ["open", "open"]
    assert knowledge.of(asked) == ({"a", "d"}, set(), set())

    # When the asker's instance is away for good, the answer waits, fails, and lies dead in the end
    await a.stop()
    await answer(helper, request.url, answered)
    assert knowledge.of(answered) == ({"d"}, set(), set())
    for _ in range(5):
        await world.later(days=8)
        assert knowledge.of(answered) == ({"d"}, set(), set())
    assert await d.count("delivery", "state = 'dead'") > 0
    assert await d.count("outgoing", "body is not null") == 0

    # And what arrives and cannot be understood is given up without its words
    await a.start()
    knowledge.watch(a)
    world.peers.append(peer := await FakePeer(world.clock.now).start())
    sender = peer.actor("sender")
    agreement = {"type": "Agreement", "content": rotten, "stipulates": {"type": "Commitment", "satisfies": {rotten: rotten}}}
    note = sender.direct(f"<p>{rotten}</p>", asker.uri, f"@{asker.handle}", inReplyTo=request.url)
    for activity in (sender.activity("Offer", agreement, to=[asker.uri]), sender.create(note | {"tag": rotten, "published": {rotten: rotten}})):
        assert (await sender.send(activity, f"{asker.uri}/inbox")).status == 202
    for _ in range(4):
        await world.later(days=1)
    assert await a.count("arrival", "body is not null") == 0
    assert knowledge.disk(rotten) == knowledge.left(rotten) == set()
    assert await answers_of(asker) == []


async def _say_as_guest(guest: Person, host: Person, text: str) -> None:
    """A guest speaks in the one conversation of somebody of the same instance."""
    (one,) = await answers_of(host)
    await write(guest, conversations.say, one, text)


async def _waits(site: Site) -> bool:
    return await site.count("arrival", "state in ('waiting', 'unverified')") > 0


async def _renew(world: World, listing: Listing, site: Site) -> None:
    await site.instance.database.write(life.renew, site.instance, listing.id)
    for kind in ("delivery", "job"):
        site.instance.wake(kind)
    await world.settle()


async def _state(site: Site, actor: Actor) -> str:
    found = await site.instance.database.read(known.by_id, actor.id)
    return "none" if found is None else found.state


async def _group(world: World, site: Site, name: str, *operators: str) -> Person:
    """A group with several operators."""
    group = await local.create(site.instance, name, kind="Group")
    for one in operators:
        await world.person(f"{one}@{site.name}")
    return Person(world, site, group)


def _letters(peer: Mastodon) -> list[dict[str, Any]]:
    """The direct Notes that people of that server got, oldest first."""
    notes = [one.activity["object"] for one in peer.log if one.asked.method == "POST" and one.activity.get("type") == "Create"]
    return [note for note in notes if isinstance(note, dict) and PUBLIC not in [*note.get("to", []), *note.get("cc", [])]]
