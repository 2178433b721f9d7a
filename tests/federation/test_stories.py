"""The stories of Movements.org, from start to finish between real instances: what state each thing ends in, and what each server knows of it.

The searches look for words that stand nowhere else, in every file of every instance (databases, logs, queues, in UTF-8, UTF-16, base64 and hex), in everything
its vault ever sealed or opened, and in every body that left. What is private lies in nobody's files, and is readable only where it was meant to be.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import known
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
    publish,
    responses,
    stories,
)
from fedmatch.board.answers import Response
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import vouches
from schemas.objects import VouchMethod
from schemas.storage import Transaction
from tests.fakepeer import PUBLIC, FakeActor
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
    assert (await held(a, request.url)).state == (await held(b, request.url)).state == "matched"  # type: ignore[union-attr]  # both are there

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
    assert (await held(a, request.url)).state == "fulfilled"  # type: ignore[union-attr]  # it is there
    for text in (canary, answered, named):
        assert knowledge.known(text) == {"a", "b"}
        assert knowledge.disk(text) == set()
        assert knowledge.left(text) == set()
    assert all(b.host.encode() not in body for body in knowledge.bodies_to(c.host)), "what goes to one peer never names another"
    assert all(c.host.encode() not in body for body in knowledge.bodies_to(b.host))


async def test_s2_a_group_needs_publicity_and_a_mastodon_user_gives_it(world: World, knowledge: Knowledge) -> None:
    # Given a group with three operators, and a firm's founder on Mastodon who follows @pressandmedia
    (a,) = await sites(world, "a")
    knowledge.watch(a)
    group = await _group(world, a, "syria_voices", "amal", "basil", "carim")
    peer = await mastodon(world)
    founder = peer.actor("founder")
    topic = await follow_topic(world, founder, a, "pressandmedia")
    await vouch(group, 3)

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
    assert not any(by.uri.encode() in body or b"basil" in body for _, body in knowledge.sent["a"])

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
    assert (await held(a, request.url)).state == "matched"  # type: ignore[union-attr]  # it is there
    assert knowledge.disk("canary-s2-our-firm-can-do-that") == set()
    assert knowledge.left("canary-s2-our-firm-can-do-that") == set(), "it is quoted to nobody"


async def test_s3_two_people_at_risk_find_each_other_and_nobody_learns_who(world: World, knowledge: Knowledge) -> None:
    # Given two NGOs that trust each other and count each other's word, and a third that both trust
    a, d, e = await sites(world, "a", "d", "e")
    await befriend(world, a, d, count=3)
    await befriend(world, a, e)
    await befriend(world, d, e)
    knowledge.watch(a, d, e)
    yemeni, syrian = await world.person("yemeni_real@a"), await world.person("syrian_real@d")
    asker, helper = await hidden(yemeni), await hidden(syrian)
    await vouch(asker, 1)
    await vouch(helper, 1)

    # When one asks under an identity made for it, and the other answers under another
    canary = "canary-s3-a-radio-for-the-young"
    request = await asker.listing(
        "request", "Radio", canary, categories=["Connectivity"], skills=["RadioBroadcast"], speaks=["ar"], audience="network", delay=(0, 0)
    )
    await world.settle()
    assert knowledge.known(canary) == {"a", "d"}, "e's word counts for nothing here, so nothing of it goes there"
    await answer(helper, request.url, "canary-s3-i-built-one")
    (received,) = await answers_of(asker)
    assert (received.tray, received.words.channel) == ("vouched", "sealed")
    await step(asker, responses.open_)
    await step(asker, responses.accept)
    await step(helper, conversations.say, "canary-s3-begin-with-the-antenna")
    await step(asker, responses.complete)

    # Then neither server knows who is behind the other one's identity, and the third knows nothing at all
    for text in ("canary-s3-i-built-one", "canary-s3-begin-with-the-antenna"):
        assert knowledge.known(text) == {"a", "d"}
        assert knowledge.disk(text) == set()
    assert knowledge.known("yemeni_real") == {"a"}
    assert knowledge.known("syrian_real") == {"d"}
    assert knowledge.left("yemeni_real") == knowledge.left("syrian_real") == set()
    for pseudonym in (asker.actor.username, helper.actor.username):
        assert "e" not in knowledge.known(pseudonym)

    # And both may say in private how it went; that stays where it was said
    await step(asker, introductions.feedback, "canary-s3-she-was-kind")
    assert knowledge.known("canary-s3-she-was-kind") == {"a"}


async def test_s4_journalists_offer_to_tell_five_stories(world: World, knowledge: Knowledge) -> None:
    # Given a reporter whose public offer has room for two, seen on Mastodon and by activists of a trusted instance
    a, c = await sites(world, "a", "c")
    await befriend(world, a, c, count=3)
    knowledge.watch(a, c)
    reporter = await world.person("reporter@c")
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

    # When two are accepted, the offer pauses by itself and tells everybody; a third waits
    for number, activist in enumerate(activists):
        await answer(activist, offer.url, f"canary-s4-story-{number}")
    waiting = {one.words.helper_handle: place for place, one in enumerate(await answers_of(reporter))}
    for activist in activists[:2]:
        place = {one.words.helper_handle: at for at, one in enumerate(await answers_of(reporter))}[activist.handle]
        await step(reporter, responses.open_, which=place)
        await step(reporter, responses.accept, which=place)
    assert len(waiting) == 3
    assert (await held(c, offer.url)).state == "paused"  # type: ignore[union-attr]  # it is there
    place = {one.words.helper_handle: at for at, one in enumerate(await answers_of(reporter))}[activists[2].handle]
    with pytest.raises(answers.CannotAnswer):
        await step(reporter, responses.accept, which=place)

    # And when one comes to nothing, its place is given back and the offer opens again
    place = {one.words.helper_handle: at for at, one in enumerate(await answers_of(reporter))}[activists[0].handle]
    await step(reporter, responses.complete, which=place, failed=True)
    assert (await held(c, offer.url)).state == "open"  # type: ignore[union-attr]  # it is there
    for number in range(3):
        assert knowledge.known(f"canary-s4-story-{number}") == {"a", "c"}
        assert knowledge.disk(f"canary-s4-story-{number}") == set()
        assert knowledge.left(f"canary-s4-story-{number}") == set(), "between trusted peers answers cross sealed, to a public offer too"


async def test_s5_a_song_and_then_its_film(world: World, knowledge: Knowledge) -> None:
    # Given a public request for a song, and a songwriter elsewhere
    a, f = await sites(world, "a", "f")
    await befriend(world, a, f, count=3)
    knowledge.watch(a, f)
    team, songwriter, filmmaker = await world.person("hermitage@a"), await world.person("songwriter@f"), await world.person("film_collective@f")
    song = await team.listing("request", "A song for Sergei", "For the anniversary.", categories=["ArtsAndMusic"], skills=["Songwriting"], speaks=["en", "ru"])
    await publish.bring(f.instance, song.url)
    await answer(songwriter, song.url, "I write songs.")
    await step(team, responses.open_)
    await step(team, responses.accept)
    await step(songwriter, conversations.say, "Here it is: https://songs.example/sergei (sha256 9f86d081)")
    await step(team, responses.complete)
    assert (await held(a, song.url)).state == "fulfilled"  # type: ignore[union-attr]  # it is there

    # When a second request follows up on the first, and is answered by somebody under a pseudonym
    film = await team.listing("request", "Film the song", "In Moscow.", categories=["ArtsAndMusic"], speaks=["en", "ru"], follow_up_of=song.url)
    await publish.bring(f.instance, film.url)
    there = await held(f, film.url)
    assert there is not None
    assert there.proposal.follow_up_of == song.url
    collective = await hidden(filmmaker)
    await answer(collective, film.url, "We can.")
    await step(team, responses.open_)
    await step(team, responses.accept)
    await step(team, responses.complete)

    # Then the outcome is told only when both sides agree, and credits only whoever wishes to be named
    first = await step(team, stories.tell, "A song and a film.", credit="the team", which=-1)
    assert not first.told
    (asked,) = await answers_of(songwriter)
    proposed = await f.instance.database.read(stories.of, f.instance, asked)
    assert proposed is not None
    assert (proposed.text, proposed.told, proposed.credits) == ("A song and a film.", False, ("the team",))
    assert "story.asked" in await told(songwriter)
    assert (await step(songwriter, stories.tell)).told
    at_home = await a.instance.database.read(stories.of, a.instance, (await answers_of(team))[-1])
    assert at_home is not None
    assert (at_home.told, at_home.credits) == (True, ("the team",)), "the songwriter did not opt in to be named"
    url = (await answers_of(team))[-1].words.listing
    for site in (a, f):
        (shown,) = await site.instance.database.read(stories.told, site.instance, url)
        assert shown.json() == {"text": "A song and a film.", "credits": ["the team"]}
    # and no longer when one of them takes that back, on either server
    assert await step(songwriter, stories.withdraw)
    for site in (a, f):
        assert await site.instance.database.read(stories.told, site.instance, url) == ()
    assert "story.withdrawn" in await told(team)
    assert knowledge.known("film_collective") == {"f"}, "who is behind the pseudonym only their own instance knows"
    assert knowledge.left("film_collective") == knowledge.left("I write songs.") == set()


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

    # When two requests are to leave within one to three days, and the offers are public
    into, out = "canary-s6-get-the-news-in", "canary-s6-get-the-witnesses-out"
    delay = (24 * 3600, 72 * 3600)
    for text in (into, out):
        await defector.listing("request", "Information", text, categories=["Connectivity"], audience="peers", named=(e.host,), delay=delay)
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
    assert knowledge.disk(into) == knowledge.disk(out) == set()
    assert knowledge.left(into) == knowledge.left(out) == set()
    assert {one["title"] for one in await m.listings()} == {"Shortwave", "Satellite"}
    assert len(offers) == 2
    published = await a.rows("select post.published from post join listing on listing.post_id = post.id where post.local = 1")
    assert all(row["published"] % 3_600_000 == 0 for row in published), "they left on the hour"


async def test_s7_a_radio_is_sustained_by_several(world: World, knowledge: Knowledge) -> None:
    # Given a named person's request with three parts
    from schemas.objects import Need

    a, b = await sites(world, "a", "b")
    await befriend(world, a, b, count=3)
    knowledge.watch(a, b)
    owner = await world.person("radio_owner@a")
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
    await publish.bring(b.instance, request.url)

    # When three help, each with one part
    for helper, need in zip(helpers, ("transmitter hours", "transmitter hours", "editors"), strict=True):
        await answer(helper, request.url, f"canary-s7-{helper.actor.username}", need=need)
    for helper in helpers:
        place = {one.words.helper_handle: at for at, one in enumerate(await answers_of(owner))}[helper.handle]
        await step(owner, responses.open_, which=place)
        await step(owner, responses.accept, which=place)
        parts = await a.instance.database.read(life.parts, await held(a, request.url))
        taken = sum(part.taken for part in parts)
        assert taken == helpers.index(helper) + 1
    assert (await held(a, request.url)).state == "matched"  # type: ignore[union-attr]  # it is there

    # Then it is fulfilled part by part, and done with the last
    for number in range(3):
        place = next(at for at, one in enumerate(await answers_of(owner)) if one.state == "accepted")
        assert (await held(a, request.url)).state != "fulfilled"  # type: ignore[union-attr]  # it is there
        await step(owner, responses.complete, which=place)
        assert number < 2 or (await held(a, request.url)).state == "fulfilled"  # type: ignore[union-attr]  # it is there
    for helper in helpers:
        text = f"canary-s7-{helper.actor.username}"
        assert (knowledge.known(text), knowledge.disk(text), knowledge.left(text)) == ({"a", "b"}, set(), set())


async def test_s8_people_help_others_to_learn_their_computer(world: World, knowledge: Knowledge) -> None:
    # Given a standing offer of digital safety for the network; whoever needs it has an account for now (intake by a receipt code is not built)
    a, b = await sites(world, "a", "b")
    await befriend(world, a, b, count=3)
    knowledge.watch(a, b)
    desk, learner = await world.person("helpdesk@b"), await world.person("learner@a")
    offer = await desk.listing("offer", "Safe phones", "Ask us anything.", categories=["DigitalSafety"], audience="network", capacity=50, terms=EVERYBODY)
    await world.settle()

    # When somebody asks, is helped, and the case is closed
    asking = await hidden(learner)
    await answer(asking, offer.url, "canary-s8-my-phone-was-taken")
    await step(desk, responses.open_)
    await step(desk, responses.accept)
    await step(asking, conversations.say, "canary-s8-and-given-back")
    await step(desk, responses.complete)
    assert knowledge.known("canary-s8-and-given-back") == {"a", "b"}

    # Then the person may still say how it went, although the identity is over
    await world.later(hours=7)
    mine = await a.instance.database.read(identities.mine, a.instance, learner.actor)
    assert asking.actor.id in mine
    await step(asking, introductions.feedback, "canary-s8-they-were-patient")
    assert knowledge.known("canary-s8-they-were-patient") == {"a"}

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
    a, m = await sites(world, "a", "m")
    knowledge.watch(a, m)
    people = [await world.person(f"person{number}@a") for number in range(3)]
    for number, person in enumerate(people):
        await person.listing("request", f"Public {number}", "words", categories=["LegalAid"])
        await person.listing("request", f"canary-s9-private-{number}", "words", categories=["LegalAid"], audience="local")

    # When anybody looks at the instance
    page = await a.get("/", "text/html")
    nodeinfo = await a.get("/nodeinfo/2.1", "application/json")

    # Then the public ones are there; of the others not even a number
    assert page.status == nodeinfo.status == 200
    body = page.body.decode()
    assert all(f"Public {number}" in body for number in range(3))
    assert "canary-s9" not in body
    await world.settle()
    for number in range(3):
        text = f"canary-s9-private-{number}"
        assert (knowledge.known(text), knowledge.disk(text), knowledge.left(text)) == ({"a"}, set(), set())
    assert nodeinfo.json["usage"].get("localPosts", 0) in (0, 3)


async def _say_as_guest(guest: Person, host: Person, text: str) -> None:
    """A guest speaks in the one conversation of somebody of the same instance."""
    (one,) = await answers_of(host)
    await write(guest, conversations.say, one, text)


async def _state(site: Site, actor: Actor) -> str:
    found = await site.instance.database.read(known.by_id, actor.id)
    return "none" if found is None else found.state


async def _group(world: World, site: Site, name: str, *operators: str) -> Person:
    """A group with several operators."""
    from actors import local

    group = await local.create(site.instance, name, kind="Group")
    for one in operators:
        await world.person(f"{one}@{site.name}")
    return Person(world, site, group)


def _letters(peer: Mastodon) -> list[dict[str, Any]]:
    """The direct Notes that people of that server got, oldest first."""
    notes = [one.activity["object"] for one in peer.log if one.asked.method == "POST" and one.activity.get("type") == "Create"]
    return [note for note in notes if isinstance(note, dict) and PUBLIC not in [*note.get("to", []), *note.get("cc", [])]]
