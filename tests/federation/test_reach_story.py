"""Who may read it changes after it was posted: all trusted peers once a person looked at it, fewer on second thoughts, everybody only by a new post."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors import local
from actors.instance import Instance
from actors.known import Actor
from fedmatch.board import checks, copies, deletion, identities, listings, notifications, publish, reach, responses, review
from fedmatch.board.terms import Floor, Terms
from outbox import confidential
from schemas.activities import Activity, Update
from schemas.listings import validated
from schemas.objects import Proposal
from schemas.storage import Transaction
from tests.fakepeer import FakePeer
from tests.friends import befriend
from tests.world import Person, Site, World, open_world

TITLE = "A room for somebody from ANEMONECANARY"
TEXT = "Until the spring, TULIPCANARY knows why."
OPEN_TO_ALL = Terms(readers=Floor(0))
HOUR_MS = 3_600_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def peer(world: World) -> FakePeer:
    return await world.peer()


async def three(world: World) -> tuple[Person, Site, Site]:
    amina = await world.person("amina@a")
    b, c = await world.site("b"), await world.site("c")
    await befriend(world, amina.site, b)
    await befriend(world, amina.site, c)
    return amina, b, c


def proposal(person: Person, text: str = TEXT, kind: str = "request") -> Proposal:
    return validated(kind, TITLE, text, "en", ("Relocation",), (), ("ar",), now=person.site.instance.clock.now())


async def held(site: Site) -> list[tuple[str, str]]:
    async def look(tx: Transaction) -> list[listings.Listing]:
        return await listings.newest(tx, site.instance, network=True, private=True)

    return [(one.audience, one.state) for one in await site.instance.database.read(look)]


async def told(person: Person) -> list[tuple[str, str]]:
    found = await person.site.instance.database.read(notifications.newest, person.site.instance, person.actor.id)
    return [(one.kind, one.about) for one in found]


def reviewed(site: Site) -> None:
    site.instance.config = replace(site.instance.config, board=replace(site.instance.config.board, review="everything"))


async def test_whoever_agreed_at_posting_gives_it_to_the_network_once_a_person_let_it_pass(world: World) -> None:
    # Given a request for its own instance, whose author agreed to more
    amina, b, _ = await three(world)
    instance = amina.site.instance
    reviewed(amina.site)
    made = await publish.listing(instance, amina.actor, proposal(amina), "en", terms=OPEN_TO_ALL, widen="agreed")
    await world.settle()
    assert (made.state, made.audience) == ("held", "local")
    assert await held(b) == []

    # When a reviewer lets it pass
    await instance.database.write(review.approve, instance, made.id, None)
    await world.settle()

    # Then every trusted peer has it, and nobody is asked anything more
    assert await held(b) == [("network", "open")]
    assert [kind for kind, _ in await told(amina)] == ["listing.approved"]


async def test_whoever_said_nothing_is_asked_when_it_is_published(world: World) -> None:
    # Given a request that a reviewer let pass
    amina, b, c = await three(world)
    instance = amina.site.instance
    reviewed(amina.site)
    made = await publish.listing(instance, amina.actor, proposal(amina), "en", terms=OPEN_TO_ALL, widen="ask")
    now = await instance.database.write(review.approve, instance, made.id, None)
    await world.settle()
    assert (await held(b), await held(amina.site)) == ([], [("local", "open")])

    # Then its author is asked, and gives it to all peers
    assert await told(amina) == [("listing.approved", str(now)), ("listing.widen", str(now))]
    wider = await reach.change(instance, await publish.listed(instance, now), "network")
    assert (wider.id, wider.audience) == (now, "network")
    await world.settle()
    assert await held(b) == await held(c) == [("network", "open")]


async def test_without_a_review_it_is_asked_or_done_at_once(world: World) -> None:
    amina, b, _ = await three(world)
    instance = amina.site.instance
    asked = await publish.listing(instance, amina.actor, proposal(amina), "en", widen="ask")
    assert await told(amina) == [("listing.widen", str(asked.id))]
    agreed = await publish.listing(instance, amina.actor, proposal(amina), "en", terms=OPEN_TO_ALL, widen="agreed")
    await world.settle()
    assert (asked.audience, agreed.audience, await held(b)) == ("local", "network", [("network", "open")])
    with pytest.raises(publish.CannotPublish):
        await publish.listing(instance, amina.actor, proposal(amina), "en", audience="public", widen="agreed")


async def test_a_narrower_audience_takes_it_from_those_it_leaves(world: World) -> None:
    # Given a request that all peers hold
    amina, b, c = await three(world)
    instance = amina.site.instance
    made = await amina.listing("request", TITLE, TEXT, categories=["Relocation"], audience="network", terms=OPEN_TO_ALL)
    await world.settle()
    assert await held(b) == await held(c) == [("network", "open")]

    # When it is for one of them alone, then for none
    fewer = await reach.change(instance, made, "peers", [c.host])
    assert reach.leaves_somebody(made, "peers", [c.host])
    await world.settle()
    assert (await held(b), await held(c), fewer.named) == ([], [("peers", "open")], (c.host,))
    assert [until is not None for host, _, until in await instance.database.read(copies.ever, made.id) if host == b.host] == [True]
    none = await reach.change(instance, fewer, "local")
    await world.settle()

    # Then nobody elsewhere has it, here it stays as it was
    assert (await held(b), await held(c), await held(amina.site)) == ([], [], [("local", "open")])
    assert (none.id, none.title) == (made.id, TITLE)
    for site in (b, c):
        assert await site.count("listing") == await site.count("post") == 0


async def test_what_leaves_on_the_hour_goes_to_new_readers_on_the_hour_and_from_old_ones_at_once(world: World) -> None:
    amina, b, c = await three(world)
    instance = amina.site.instance
    made = await amina.listing("request", TITLE, TEXT, categories=["Relocation"], audience="peers", named=[b.host], terms=OPEN_TO_ALL, delay=(1, 2))
    await world.later(hours=2)
    made = await publish.listed(instance, made.id)
    assert (made.state, await held(b)) == ("open", [("peers", "open")])
    await reach.change(instance, made, "peers", [c.host])
    await world.settle()
    assert (await held(b), await held(c)) == ([], []), "it is gone at once, and a new reader shows nobody when its author was awake"
    await world.later(hours=1)
    assert (await held(b), await held(c)) == ([], [("peers", "open")])


async def test_what_was_public_is_posted_anew_for_fewer_and_the_other_way_round(world: World) -> None:
    # Given a request for everybody, which b holds
    amina, b, _ = await three(world)
    instance = amina.site.instance
    reader = await world.person("reader@b")
    await reader.follow(amina.handle)
    await world.settle()
    made = await amina.listing("request", TITLE, TEXT, categories=["Relocation"], audience="public", terms=OPEN_TO_ALL)
    await world.settle()
    assert await held(b) == [("public", "open")]

    # When it is for this instance alone, then for everybody again
    closed = await reach.change(instance, made, "local")
    await world.settle()
    assert (await held(b), closed.audience, closed.title) == ([], "local", TITLE)
    assert closed.id != made.id
    opened = await reach.change(instance, closed, "public")
    await world.settle()

    # Then b holds the new one alone
    assert await held(b) == [("public", "open")]
    assert len({made.url, closed.url, opened.url}) == 3
    assert await held(amina.site) == [("public", "open")]


async def test_answers_that_wait_keep_it_where_it_is(world: World) -> None:
    amina, helper = await world.person("amina@a"), await world.person("helper@b")
    instance = amina.site.instance
    await helper.follow(amina.handle)
    await world.settle()
    made = await amina.listing("request", TITLE, TEXT, categories=["Relocation"], audience="public")
    await world.settle()
    there = helper.site.instance
    copy = await there.database.read(listings.find, there, made.url)
    assert copy is not None
    await there.database.write(responses.answer, there, helper.actor, copy, "I have a room.")
    there.wake("delivery")
    await world.settle()
    with pytest.raises(publish.CannotPublish, match="decide them first"):
        await reach.change(instance, made, "local")
    assert await held(amina.site) == [("public", "open")]
    with pytest.raises(publish.CannotPublish, match="another instance"):
        await reach.change(there, copy, "local")


async def test_an_identity_goes_on_with_what_is_posted_anew(world: World) -> None:
    amina = await world.person("amina@a")
    instance = amina.site.instance
    hidden = await identities.make(instance, amina.actor)
    made = await publish.listing(instance, hidden, proposal(amina), "en", audience="public", one_time=True)
    again = await reach.change(instance, made, "local")
    await world.settle()
    assert again.author == made.author
    assert await instance.database.read(identities.takes_contacts, hidden.id)


async def test_a_draft_gets_another_audience_and_is_looked_at_again(world: World) -> None:
    amina, b, _ = await three(world)
    instance = amina.site.instance
    reviewed(amina.site)
    made = await publish.listing(instance, amina.actor, proposal(amina), "en", terms=OPEN_TO_ALL, widen="agreed")
    named = await reach.change(instance, made, "peers", [b.host])
    assert (named.state, named.audience, named.named) == ("held", "peers", (b.host,))
    now = await instance.database.write(review.approve, instance, named.id, None)
    await world.settle()
    assert await held(b) == [("peers", "open")]
    with pytest.raises(publish.CannotPublish, match="not a trusted peer"):
        await reach.change(instance, await publish.listed(instance, now), "peers", ["stranger.example"])


async def test_no_door_publishes_what_its_author_was_not_asked_about(world: World) -> None:
    amina = await world.person("amina@a")
    instance = amina.site.instance
    number = "Call me: +49 30 901820"

    # Nothing with a number leaves without a yes, by whichever way
    with pytest.raises(checks.Asks) as asked:
        await publish.listing(instance, amina.actor, proposal(amina, number), "en", audience="public")
    assert [one.kind for one in asked.value.questions.serious] == ["phone"]
    with pytest.raises(checks.Asks):
        await publish.listing(instance, amina.actor, proposal(amina, number), "en", widen="agreed")
    at_home = await publish.listing(instance, amina.actor, proposal(amina, number), "en")
    with pytest.raises(checks.Asks):
        await reach.change(instance, at_home, "public")
    meant = await reach.change(instance, at_home, "public", anyway=True)

    # Words that were looked at are not asked about again, other words are
    meant = await publish.edit(instance, meant, replace(meant.proposal, urgency="days"))
    with pytest.raises(checks.Asks):
        await publish.edit(instance, meant, replace(meant.proposal, text=f"{number}, soon"))
    assert (await publish.edit(instance, meant, replace(meant.proposal, text=f"{number}, soon"), anyway=True)).text.endswith("soon")


async def test_fewer_readers_need_no_second_yes(world: World) -> None:
    amina, b, c = await three(world)
    instance = amina.site.instance
    listing = proposal(amina, "Call me: +49 30 901820")
    made = await publish.listing(instance, amina.actor, listing, "en", audience="network", terms=OPEN_TO_ALL, anyway=True)
    # Whoever wants fewer to read it gets that at once, who wants more is asked
    made = await reach.change(instance, made, "peers", [b.host])
    with pytest.raises(checks.Asks):
        await reach.change(instance, made, "peers", [b.host, c.host])
    with pytest.raises(checks.Asks):
        await reach.change(instance, made, "network")
    made = await reach.change(instance, made, "local")
    await world.settle()
    assert (made.audience, await held(b), await held(c)) == ("local", [], [])


async def test_no_door_links_two_names_of_one_person_unasked(world: World) -> None:
    amina, other = await world.person("amina@a"), await world.person("other@a")
    instance = amina.site.instance
    hidden = await identities.make(instance, amina.actor)
    first = await publish.listing(instance, hidden, proposal(amina), "en", audience="public", one_time=True)
    follows = replace(proposal(amina, "Words of another kind altogether."), follow_up_of=first.url)
    with pytest.raises(checks.Asks) as asked:
        await publish.listing(instance, amina.actor, follows, "en", audience="public")
    assert asked.value.questions.links
    for audience in ("local", "public"):
        linked = await publish.listing(instance, amina.actor, follows, "en", audience=audience, link=True)
        assert linked.follow_up_of == first.url
    assert (await publish.listing(instance, other.actor, follows, "en", audience="public")).state == "open", "of two people nothing is linked"
    assert not (await checks.look(instance, hidden, follows, "en", leaves=True)).links
    fresh = await local.create(instance, "fresh")
    assert not (await checks.look(instance, fresh, follows, "en", leaves=True)).links


async def test_under_a_new_name_the_words_of_the_own_one_are_noticed(world: World) -> None:
    amina = await world.person("amina@a")
    instance = amina.site.instance
    words = "Since the summer our small theatre in the old town has no roof over the stage."
    await amina.post(words)
    same = proposal(amina, words)
    assert (await checks.look(instance, amina.actor, same, "en", leaves=True)).serious == ()
    assert [one.kind for one in (await checks.look(instance, amina.actor, same, "en", leaves=True, one_time=True)).serious] == ["shared"]
    hidden = await identities.make(instance, amina.actor)
    with pytest.raises(checks.Asks):
        await publish.listing(instance, hidden, same, "en", audience="public", one_time=True)


async def test_what_is_asked_back_and_given_again_shows_the_hour_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    all_said: list[Activity] = []
    publish_sealed = confidential.publish

    async def listen(tx: Transaction, instance: Instance, author: Actor, said: Activity, *where: Any, **how: Any) -> Any:
        if author.one_time:
            all_said.append(said)
        return await publish_sealed(tx, instance, author, said, *where, **how)

    monkeypatch.setattr(confidential, "publish", listen)
    # Given a request of a one-time identity at twelve past the hour, which one peer holds
    amina, b, c = await three(world)
    instance = amina.site.instance
    world.clock.move(minutes=(12 - world.clock.now().minute) % 60, seconds=34)
    hidden = await identities.make(instance, amina.actor)
    made = await publish.listing(
        instance, hidden, proposal(amina), "en", audience="peers", named=[b.host], terms=OPEN_TO_ALL, delay=(0, 0), one_time=True
    )
    await world.settle()
    # When its author changes their mind, many times within that hour
    for readers in (c, b, c, b):
        world.clock.move(seconds=7)
        made = await reach.change(instance, made, "peers", [readers.host])
        await world.later(seconds=5)
        # Then whoever may read it holds it, and what was asked back stays away
        assert [site.host for site in (b, c) if await held(site)] == [readers.host]
    # And nothing that reached anybody tells when that was, but for the hour and a count
    made = await reach.change(instance, made, "local")
    await world.settle()
    for site in (b, c):
        [grave] = await site.rows("select deleted_at from tombstone")
        assert grave["deleted_at"] % HOUR_MS < 10_000
    marked = [str(said.id).partition("#")[2] for said in all_said if not isinstance(said, Update) and "#" in str(said.id)]
    assert marked
    assert [mark for mark in marked if not re.fullmatch("(delete|again)/[0-9a-f]{16}", mark)] == [], "an id of the clock has 18 digits"
    assert [said.published for said in all_said if said.published is None or (said.published.minute, said.published.second > 9) != (0, False)] == []
    assert {type(said).__name__ for said in all_said} == {"Create", "Update", "Delete"}


async def test_the_end_of_something_public_shows_the_hour_alone(world: World, peer: FakePeer) -> None:
    # Given a public request of a one-time identity that a server fetched, at twelve past the hour
    amina = await world.person("amina@a")
    instance = amina.site.instance
    reader = peer.actor("reader")
    await reader.send(reader.follow(amina.uri), amina.actor.inbox)
    await world.settle()
    world.clock.move(minutes=(12 - world.clock.now().minute) % 60, seconds=34)
    hidden = await identities.make(instance, amina.actor)
    made = await publish.listing(instance, hidden, proposal(amina), "en", audience="public", delay=(0, 0), one_time=True)
    await world.settle()
    assert (await reader.get(made.url)).status == 200
    # When it is withdrawn, and the identity ends
    await publish.withdraw(instance, made)
    await deletion.delete_person(instance, hidden)
    await world.settle()
    # Then what is heard and what is served in its place names whole hours
    gone = peer.activities("Delete")
    assert {one["published"][13:] for one in gone} == {":00:00Z"}
    for url in (made.url, hidden.uri):
        answer = await reader.get(url)
        assert (answer.status, answer.json.get("deleted", ":00:00Z")[-7:]) == (410, ":00:00Z")
