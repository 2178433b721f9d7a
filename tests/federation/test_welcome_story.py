"""What does a peer hold of what was posted before it was trusted? What is open and meant for it, and no more; and it meets what waits there."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from actors.trust import Level
from fedmatch.board import deletion, life, listings, publish, reach, suggestions, welcome
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import border, exposure, peering
from fedmatch.safety.border import Host
from tests.friends import befriend
from tests.world import Person, Site, World, open_world

pytestmark = pytest.mark.asyncio

OPEN_TO_HELPERS = Terms(readers=Floor(0))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def held(site: Site) -> dict[str, str]:
    """What a site holds of others' listings: title where it is public, audience where it is not, by id."""
    rows = await site.rows("select post.uri, listing.audience from listing join post on post.id = listing.post_id where post.local = 0")
    return {str(row["uri"]): str(row["audience"]) for row in rows}


async def lawyer(who: Person, title: str, **more: object) -> Listing:
    given: dict[str, object] = {"language": "de", "categories": ["LegalAid"], "skills": ["AsylumLaw"], "speaks": ["de", "ar"], "audience": "public"}
    return await who.listing("offer", title, "Ich berate im Asylrecht.", **(given | more))  # type: ignore[arg-type]  # what a listing takes


async def test_what_was_posted_before_the_trust_meets_what_waits_at_the_peer(world: World) -> None:
    # Given an NGO with an open request, and another with offers of every kind, that do not know each other yet
    a, b, c = await world.site("a", jurisdiction='["SE"]'), await world.site("b"), await world.site("c")
    await befriend(world, b, c)
    amal, helga = await world.person("amal@a"), await world.person("helga@b")
    words = {"language": "ar", "categories": ["LegalAid"], "skills": ["AsylumLaw"], "speaks": ["ar"], "audience": "network", "terms": OPEN_TO_HELPERS}
    asked = await amal.listing("request", "Hilfe", "Wir brauchen Rat im Asylrecht.", **words)  # type: ignore[arg-type]  # what a listing takes
    offer = await lawyer(helga, "Asylrecht")
    quiet = await lawyer(helga, "Nur unter uns", audience="network", terms=OPEN_TO_HELPERS)
    now = world.clock.now()
    not_for_it = [
        await lawyer(helga, "Hier", audience="local"),
        await lawyer(helga, "Nicht dort", terms=Terms(excluded=("SE",))),
        await lawyer(helga, "Nicht dort, leise", audience="network", terms=Terms(readers=Floor(0), excluded=("SE",))),
        await lawyer(helga, "Nur geprüft", audience="network", terms=Terms(readers=Floor(2, ("elsewhere.example",)))),
        await lawyer(helga, "Später", terms=Terms(embargo=now + timedelta(days=3))),
        await lawyer(helga, "Nur für c", audience="peers", named=(c.host,), terms=OPEN_TO_HELPERS),
    ]
    gone = await lawyer(helga, "Vorbei")
    await helga.withdraw(gone)
    await world.settle()
    before, there = await held(c), await c.count("arrival")
    assert await held(a) == {}

    # When both admins compared the words
    await befriend(world, a, b)

    # Then each holds what is open and meant for it, and nobody else hears anything
    assert await held(a) == {offer.url: "public", quiet.url: "network"}
    assert await held(b) == {asked.url: "network"}
    assert (await held(c), await c.count("arrival")) == (before, there)
    assert all(one.state in {"open", "scheduled"} for one in not_for_it), "they were there to be given"
    # And the request that waited is shown the offers that waited
    shown = await a.instance.database.read(suggestions.of_reader, a.instance, amal.actor)
    assert {one.found.url for one in shown} == {offer.url, quiet.url}


async def test_trust_given_again_brings_what_changed_and_nothing_twice(world: World) -> None:
    a, b = await world.site("a"), await world.site("b")
    helga = await world.person("helga@b")
    first = await lawyer(helga, "Asylrecht")
    await befriend(world, a, b)
    assert (await a.rows("select title from listing"))[0]["title"] == "Asylrecht"
    # While they are apart it changes, another comes, and one is withdrawn
    over = await lawyer(helga, "Kurz")
    await world.settle()
    await border.decide(b.instance, Host(a.host), "limited", "for a while")
    await world.later(minutes=5)
    assert (await a.count("listing", "state = 'open'")) == 2
    edited = await b.instance.database.read(listings.find, b.instance, first.url)
    assert edited is not None
    await publish.edit(b.instance, edited, replace(edited.proposal, title="Asylrecht und Familie"))
    later = await lawyer(helga, "Neu")
    await helga.withdraw(over)
    await world.settle()
    # When the admin trusts again
    await border.decide(b.instance, Host(a.host), "known", "talked")
    await befriend(world, a, b)
    rows = {row["title"]: row["state"] for row in await a.rows("select title, state from listing")}
    assert rows["Asylrecht und Familie"] == rows["Neu"] == "open"
    assert set(await held(a)) >= {first.url, later.url}
    # Then a third word of the same changes nothing and sends nothing
    sent = await b.count("outgoing", "kind in ('Create', 'Update')")
    await peering.trust(b.instance, await peering.words(b.instance, a.host), count=1)
    await world.settle()
    assert await b.count("outgoing", "kind in ('Create', 'Update')") == sent
    assert await a.count("post", "local = 0") == len(await held(a))


async def test_a_welcome_has_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(welcome, "CHUNK", 2)
    monkeypatch.setattr(welcome, "MOST", 3)
    a, b = await world.site("a"), await world.site("b")
    helga = await world.person("helga@b")
    made = [await lawyer(helga, f"Nummer {number}") for number in range(5)]
    await befriend(world, a, b)
    assert set(await held(a)) == {one.url for one in made[-3:]}
    assert await b.count("job", "kind = 'welcome' and state = 'waiting'") == 0


@pytest.mark.parametrize("level", ["limited", "blocked"])
async def test_what_was_taken_back_comes_again_with_the_trust(world: World, level: Level) -> None:
    # Given a peer that holds what is not public, from both sides
    a, b = await world.site("a"), await world.site("b")
    await befriend(world, a, b)
    helga, amal = await world.person("helga@b"), await world.person("amal@a")
    quiet = await lawyer(helga, "Nur unter uns", audience="network", terms=OPEN_TO_HELPERS)
    asked = await lawyer(amal, "Unter uns", audience="network", terms=OPEN_TO_HELPERS)
    over = await lawyer(helga, "Vorbei", audience="network", terms=OPEN_TO_HELPERS)
    await world.settle()
    assert set(await held(a)) == {quiet.url, over.url}
    # When one side takes its trust away, nothing stays that was asked back
    await border.decide(b.instance, Host(a.host), level, "for a while")
    await world.later(minutes=5)
    await helga.withdraw(over)
    assert (await held(a) == {}) is (level == "limited")
    # And it trusts again, with the other side or before it
    await border.decide(b.instance, Host(a.host), "known", "talked")
    await world.later(minutes=1)
    await befriend(world, a, b)
    await world.later(hours=1)
    # Then each holds what is open and meant for it, as before
    states = {row["uri"]: row["state"] for row in await a.rows("select uri, state from listing join post on post.id = listing.post_id where local = 0")}
    # What was withdrawn while nothing could be said to a blocked one is asked back now
    assert states == {quiet.url: "open"}
    assert await b.rows("select * from owed") == []
    assert set(await held(b)) == {asked.url}
    shown = await a.instance.database.read(listings.find, a.instance, quiet.url)
    assert shown is not None
    assert (shown.title, shown.state) == ("Nur unter uns", "open")


@pytest.mark.parametrize("again", ["known", "trusted"])
async def test_what_ended_while_a_peer_was_blocked_ends_there_when_it_may_hear_again(world: World, again: str) -> None:
    # Given a peer that holds what is public, what is not, and what has an end nobody told it
    a, b, c = await world.site("a"), await world.site("b"), await world.site("c")
    await befriend(world, a, b)
    await befriend(world, b, c)
    helga = await world.person("helga@b")
    gone = [await lawyer(helga, "Zurückgezogen"), await lawyer(helga, "Ganz zu Ende")]
    done, kept = await lawyer(helga, "Erledigt"), await lawyer(helga, "Bleibt")
    quiet = await lawyer(helga, "Leise, canary-owed", audience="network", terms=OPEN_TO_HELPERS)
    narrow = await lawyer(helga, "Bald enger", audience="network", terms=OPEN_TO_HELPERS)
    await world.settle()
    everything = {one.url for one in (*gone, done, kept, quiet, narrow)}
    assert await held(a) == await held(c)
    assert set(await held(a)) == everything

    # When it is blocked, one Delete waiting for it, and everything ends or narrows in that time
    await border.decide(b.instance, Host(a.host), "blocked", "for a while")
    await world.settle()
    await helga.withdraw(gone[0])
    await helga.withdraw(quiet)
    await b.instance.database.write(life.fulfil, b.instance, done.id)
    found = await b.instance.database.read(listings.find, b.instance, narrow.url)
    assert found is not None
    await reach.change(b.instance, found, "peers", (c.host,))
    await helga.delete(gone[1].url)
    await world.later(hours=2)
    assert set(await held(a)) == everything, "nothing is said to who is blocked"
    owed = await b.rows("select * from owed")
    assert {row["host_id"] for row in owed} == {row["id"] for row in await b.rows("select id from host where name = :name", name=a.host)}
    assert world.grep("canary-owed") == {}
    lies_there = await b.instance.database.read(exposure.of_peer, b.instance, a.host)
    assert lies_there is not None
    assert lies_there.unheard == len(everything) - 1, "the audit tells all but what is open still"

    # Then it hears of it as soon as it may: of what is public when it is allowed, of the rest when it is trusted
    await border.decide(b.instance, Host(a.host), "known", "talked")
    await world.later(minutes=1)
    states = {row["uri"]: row["state"] for row in await a.rows("select uri, state from listing join post on post.id = listing.post_id where local = 0")}
    assert states == {done.url: "fulfilled", kept.url: "open", quiet.url: "open", narrow.url: "open"}
    if again == "trusted":
        await world.later(minutes=6)
        await befriend(world, a, b)
        await world.later(hours=1)
        assert {url: states for url, states in (await held(a)).items() if url != done.url} == {kept.url: "public"}
        assert await b.rows("select * from owed") == []
        now_there = await b.instance.database.read(exposure.of_peer, b.instance, a.host)
        assert now_there is not None
        assert now_there.unheard == 0
    # and who was never blocked heard it at once
    assert set(await held(c)) == {done.url, kept.url, narrow.url}


async def test_what_was_said_while_a_server_was_blocked_is_said_when_it_may_hear_again(world: World) -> None:
    # Given a server that is no peer, whose people follow somebody here and hold what she wrote
    a, b = await world.site("a"), await world.site("b")
    reader, helga = await world.person("reader@a"), await world.person("helga@b")
    await reader.follow(helga.handle)
    await world.settle()
    edited, done = await lawyer(helga, "Ruft mich an"), await lawyer(helga, "Erledigt")
    await world.settle()
    assert set(await held(a)) == {edited.url, done.url}

    # When it is blocked, and she changes the words of one offer, and closes the other
    await border.decide(b.instance, Host(a.host), "blocked", "for a while")
    await world.settle()
    await publish.edit(b.instance, edited, replace(edited.proposal, title="Schreibt mir"))
    await b.instance.database.write(life.fulfil, b.instance, done.id)
    await world.later(hours=2)
    assert "Ruft" in str([one["title"] for one in await a.listings()])

    # Then it hears of both when it may, and only of the last word
    await border.decide(b.instance, Host(a.host), "known", "talked")
    await world.later(minutes=1)
    assert sorted((one["title"], one["state"]) for one in await a.listings()) == [("Erledigt", "fulfilled"), ("Schreibt mir", "open")]
    assert await b.rows("select * from owed") == []

    # And of the end of an account, though its keys may be gone by then
    await border.decide(b.instance, Host(a.host), "blocked", "once more")
    await world.settle()
    await deletion.delete_person(b.instance, helga.actor)
    await world.later(hours=2)
    assert await a.count("actor", "uri = :uri and state = 'active'", uri=helga.uri) == 1
    await border.decide(b.instance, Host(a.host), "known", "talked again")
    await world.later(minutes=6)
    assert await a.listings() == []
    assert await a.count("actor", "uri = :uri and state = 'active'", uri=helga.uri) == 0
