"""How does an answer travel between instances, and who knows of it? Real instances, trusted and not, and what each of their files holds."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import known
from fedmatch.board import answers, conversations, disclosures, listings, notifications, publish, responses, trays
from fedmatch.board.answers import Response
from fedmatch.board.crossing import CannotReach
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import border, peering, vouches
from fedmatch.safety.border import Host
from schemas.events import OfferAnswered
from schemas.states import IllegalMove
from schemas.storage import Transaction
from tests.friends import befriend, do, of
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def seen(helper: Person, listing: Listing) -> Listing:
    """The listing as the helper's instance holds it."""
    found = await helper.site.instance.database.read(listings.find, helper.site.instance, listing.url)
    assert found is not None
    return found


async def respond(helper: Person, listing: Listing, text: str, **more: Any) -> Response:
    """Answers from the helper's own instance."""
    site = helper.site.instance
    here = await seen(helper, listing)

    async def body(tx: Transaction) -> Response:
        return await responses.answer(tx, site, helper.actor, here, text, **more)

    made = await site.database.write(body)
    site.wake("delivery")
    await helper.world.settle()
    return made


async def said(person: Person) -> list[tuple[str, str]]:
    """The messages of the person's one answer."""
    site = person.site.instance
    (held,) = await of(person)
    return [(one.by, one.text) for one in await site.database.read(conversations.messages, site, held)]


async def told(person: Person) -> list[str]:
    """The kinds of the person's notifications, oldest first."""
    site = person.site.instance
    return [one.kind for one in reversed(await site.database.read(notifications.newest, site, person.actor.id))]


async def test_two_people_of_one_instance(world: World) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@a")
    request = await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"])

    await respond(helper, request, "I know that law, says canary-answer.")
    (held,) = await of(asker)
    assert (held.state, held.tray, held.words.channel) == ("sent", "rest", "here")
    assert await told(asker) == ["response.received"]
    await do(asker, responses.open_)
    await do(asker, responses.accept)
    assert (await seen(asker, request)).state == "matched"
    await do(helper, conversations.say, "When shall we talk? canary-message")
    await do(asker, conversations.say, "At six.")
    assert await said(asker) == await said(helper) == [(helper.handle, "When shall we talk? canary-message"), (asker.handle, "At six.")]
    await do(helper, responses.complete)
    assert [one.state for one in await of(asker)] == ["completed"]
    assert (await seen(asker, request)).state == "fulfilled"
    assert "feedback.asked" in await told(asker)
    assert "feedback.asked" in await told(helper)
    for canary in ("canary-answer", "canary-message"):
        assert world.grep(canary) == {}, "private text rests sealed in every file"


async def test_between_trusted_peers_everything_is_sealed(world: World) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    await befriend(world, asker.site, helper.site)
    request = await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()

    sent = await respond(helper, request, "canary-offer: I know that law.")
    assert sent.words.channel == "sealed"
    (held,) = await of(asker)
    assert (held.state, held.words.text, held.words.channel) == ("sent", "canary-offer: I know that law.", "sealed")
    # Whoever took over the domain, and signs in the open, decides nothing
    site = helper.site.instance

    async def forged(tx: Transaction) -> None:
        them = await known.by_uri(tx, asker.uri)
        assert them is not None
        await site.tell(tx, OfferAnswered(them.id, sent.words.offer, True, None, None, False))

    await site.database.write(forged)
    assert [one.state for one in await of(helper)] == ["sent"]
    await do(asker, responses.accept)
    assert [one.state for one in await of(helper)] == ["accepted"]
    assert "response.accepted" in await told(helper)
    await do(asker, conversations.say, "canary-hello from the asker")
    await do(helper, conversations.say, "canary-hello from the helper")
    assert await said(asker) == await said(helper) == [(asker.handle, "canary-hello from the asker"), (helper.handle, "canary-hello from the helper")]
    await do(asker, responses.complete)
    assert [one.state for one in await of(helper)] == ["completed"]
    assert world.grep("canary-") == {}


async def test_the_helper_says_that_it_is_done(world: World) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    await befriend(world, asker.site, helper.site)
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()
    await respond(helper, request, "I can.")
    await do(asker, responses.accept)

    await do(helper, responses.complete)
    assert [one.state for one in await of(asker)] == ["completed"]
    assert (await seen(asker, request)).state == "fulfilled"
    with pytest.raises(IllegalMove):
        await do(asker, responses.complete)


async def test_a_decline_says_why_and_a_withdrawal_gives_back(world: World) -> None:
    asker, one, other = await world.person("asker@a"), await world.person("one@b"), await world.person("other@b")
    await befriend(world, asker.site, one.site)
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()

    await respond(one, request, "canary-one: I can.")
    await do(asker, responses.decline, "found", "a friend came")
    (declined,) = await of(one)
    assert (declined.state, declined.words.reason) == ("declined", "found: a friend came")

    await respond(other, request, "I can, too.")
    site = asker.site.instance
    second = next(held for held in await of(asker) if held.state == "sent")
    await site.database.write(responses.accept, site, asker.actor, second)
    await world.settle()
    assert (await seen(asker, request)).state == "matched"
    await do(other, responses.withdraw)
    assert (await seen(asker, request)).state == "open"
    assert sorted(held.state for held in await of(asker)) == ["declined", "withdrawn"]


async def test_a_stranger_of_this_kind_is_answered_in_the_open(world: World) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"])
    await helper.follow(asker.handle)
    await world.settle()
    second = await asker.listing("request", "Another lawyer", "Asylum.", skills=["AsylumLaw"])
    await world.settle()

    sent = await respond(helper, second, "I can.")
    assert sent.words.channel == "open"
    (held,) = await of(asker)
    assert held.words.channel == "open"
    await do(asker, responses.accept)
    assert [one.state for one in await of(helper)] == ["accepted"]
    with pytest.raises(answers.CannotAnswer, match="--readable-there"):
        await do(asker, conversations.say, "hello")
    await do(asker, conversations.say, "hello", readable_there=True)
    await do(helper, conversations.say, "hello to you")
    assert await said(helper) == await said(asker) == [(asker.handle, "hello"), (helper.handle, "hello to you")]
    with pytest.raises(answers.CannotAnswer, match="never sent"):
        await do(asker, disclosures.disclose, "contact", "555")
    assert request.state == "open"


async def test_nobody_is_kept_waiting_for_ever(world: World) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    await befriend(world, asker.site, helper.site)
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()
    await respond(helper, request, "I can.")

    await world.later(hours=49)
    assert (await told(asker))[-1] == "response.reminder"
    await world.later(days=6)
    assert [one.state for one in await of(asker)] == ["released"]
    assert [one.state for one in await of(helper)] == ["released"]


async def test_the_author_of_a_withdrawn_request_lets_its_helpers_go(world: World) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    await befriend(world, asker.site, helper.site)
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()
    await respond(helper, request, "I can.")

    await asker.withdraw(request)
    await world.settle()
    (held,) = await of(helper)
    assert (held.state, held.words.reason) == ("declined", "closed")
    assert (await asker.site.instance.database.read(known.by_name, "asker")) is not None


async def test_a_vouch_of_a_trusted_peer_opens_the_other_tray_as_far_as_it_counts(world: World) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    await befriend(world, asker.site, helper.site, count=2)
    site = helper.site.instance

    async def issue(tx: Transaction) -> None:
        await vouches.issue(tx, site, helper.actor, 3, "references", staff="admin")

    await site.database.write(issue)
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="network", terms=Terms(readers=Floor(0), answers=Floor(2)))
    await world.settle()
    await respond(helper, request, "I can.")
    (held,) = await of(asker)
    assert (held.tray, held.words.level, held.words.issuers) == ("vouched", 2, (helper.site.host,))

    home = asker.site.instance
    await peering.trust(home, await peering.words(home, helper.site.host), count=0)
    home.wake("job")
    await world.settle()
    (held,) = await of(asker)
    assert (held.tray, held.words.level) == ("rest", 0)
    assert "response.doubt" in await told(asker)


@pytest.mark.parametrize("how", ["limited", "removed"])
async def test_when_a_peer_is_lost_nothing_more_is_said_and_both_hear_of_it(world: World, how: str) -> None:
    # Given a peer whose word counts, somebody of it who talks with the asker, and somebody it vouches for who answered
    asker, helper, other = await world.person("asker@a"), await world.person("helper@b"), await world.person("other@b")
    await befriend(world, asker.site, helper.site, count=3)
    home, there = asker.site.instance, helper.site.instance
    wishes = Terms(readers=Floor(0))
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], audience="network", terms=wishes, capacity=3)
    await world.settle()
    await respond(helper, request, "I can.")
    await do(asker, responses.accept)

    async def vouch(tx: Transaction) -> None:
        await vouches.issue(tx, there, other.actor, 2, "in-person", staff="staff")

    await there.database.write(vouch)
    await respond(other, request, "I can, too.")
    weighed = {one.words.helper: (one.tray, one.words.level) for one in await of(asker)}
    assert weighed[other.uri] == ("vouched", 2)

    # When an admin limits or removes it
    if how == "limited":
        await border.decide(home, Host(helper.site.host), "limited", "seized")
    else:
        await border.forget(home, Host(helper.site.host), "seized")
    home.wake("job")
    await world.settle()
    # Then its word weighs nothing any more, for what waits as well, and nothing that is said reaches it
    weighed = {one.words.helper: (one.tray, one.words.level) for one in await of(asker)}
    assert weighed[other.uri] == ("rest", 0)
    assert {"peer.lost", "response.doubt"} <= set(await told(asker))
    (accepted,) = [one for one in await of(asker) if one.state == "accepted"]

    async def say(tx: Transaction) -> None:
        await conversations.say(tx, home, asker.actor, accepted, "canary-late")

    with pytest.raises(CannotReach):
        await home.database.write(say)
    assert world.grep("canary-late") == {}


async def test_where_strangers_wait_an_answer_waits_for_an_admin(world: World) -> None:
    await world.site("a", mode='"approve"')
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    request = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"])
    await world.settle()
    site = helper.site.instance
    await publish.bring(site, request.url)
    await respond(helper, request, "I can.")
    assert await of(asker) == []
    assert await asker.site.count("response", "tray = 'held'") == 1

    home = asker.site.instance
    await border.decide(home, Host(helper.site.host), "known", "met them")
    await home.trust.refresh(home.database)

    async def lift(tx: Transaction) -> None:
        await trays.lift(tx, home, asker.actor)

    await home.database.write(lift)
    assert [one.tray for one in await of(asker)] == ["rest"]
