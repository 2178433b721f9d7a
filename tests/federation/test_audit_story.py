"""Does `fedmatch audit --peer` tell all that a seizure of that peer would reveal? What the peer really knows is searched; each piece must be accounted for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedmatch.board import admissions, conversations, disclosures, introductions, responses
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import exposure, vouches
from fedmatch.safety.exposure import OfPeer
from schemas.storage import Transaction
from tests.federation.test_stories import answer, step
from tests.friends import befriend
from tests.knowledge import Knowledge
from tests.world import Site, World, open_world

pytestmark = pytest.mark.asyncio
EVERYBODY = Terms(readers=Floor(0))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def audit(site: Site, of: Site) -> OfPeer:
    found = await site.instance.database.read(exposure.of_peer, site.instance, of.host)
    assert found is not None
    return found


async def test_what_a_peer_knows_is_accounted_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given three instances, of which a trusts both others, and everything that can lie at b or not
    knows = Knowledge(world, monkeypatch)
    a, b, c = [await world.site(name) for name in "abc"]
    await befriend(world, a, b)
    await befriend(world, a, c)
    knows.watch(a, b, c)
    amina, anton = await world.person("amina@a"), await world.person("anton@a")
    berta, boris = await world.person("berta@b"), await world.person("boris@b")

    async def vouch(tx: Transaction) -> None:
        await vouches.issue(tx, a.instance, anton.actor, 2, "in-person", staff="operator")

    await a.instance.database.write(vouch)
    await berta.follow(amina.handle)
    await world.settle()
    made = {
        "network": await amina.listing("request", "N", "ALPHACANARY", audience="network", terms=EVERYBODY),
        "for b": await amina.listing("offer", "B", "BRAVOCANARY", audience="peers", named=(b.host,), terms=EVERYBODY),
        "for c": await amina.listing("offer", "C", "CHARLIECANARY", audience="peers", named=(c.host,), terms=EVERYBODY),
        "here": await amina.listing("request", "L", "DELTACANARY", audience="local", terms=EVERYBODY),
        "closed": await amina.listing("request", "X", "ECHOCANARY", audience="network", terms=EVERYBODY),
    }
    await amina.post("FOXTROTCANARY", "followers")
    await amina.post("GOLFCANARY", "direct", to=[berta.handle])
    await amina.post("HOTELCANARY", "direct", to=[anton.handle])
    await world.settle()
    # Conversations both ways: berta helps amina, and anton, who carries a vouch, helps boris, whose request is gone afterwards
    await answer(berta, made["network"].url, "can help")
    await step(amina, responses.accept)
    await step(amina, conversations.say, "INDIACANARY")
    await step(amina, disclosures.disclose, "name", "KILOCANARY")
    await step(berta, introductions.propose, "LIMACANARY", "She knows the law.")
    await step(amina, admissions.admit, anton.actor, "interpreter")
    await berta.follow(f"legalaid@{a.host}")
    await world.settle()
    asked = await boris.listing("request", "Q", "who helps?", audience="network", terms=EVERYBODY)
    await world.settle()
    await answer(anton, asked.url, "JULIETTCANARY")
    await step(boris, responses.accept)
    await boris.withdraw(asked)
    await world.settle()
    # And one is taken back while b is away
    await b.stop()
    await amina.withdraw(made["closed"])
    await world.settle()
    await b.start()
    knows.watch(b)

    found = await audit(a, b)
    urls = {url for url, *_ in found.copies}
    accounted = {
        "ALPHACANARY": made["network"].url in urls,
        "BRAVOCANARY": made["for b"].url in urls,
        "CHARLIECANARY": made["for c"].url in urls,
        "DELTACANARY": made["here"].url in urls,
        "ECHOCANARY": found.unheard == 1,
        "FOXTROTCANARY": found.letters == 2,
        "GOLFCANARY": found.letters == 2,
        "HOTELCANARY": False,
        "INDIACANARY": len(found.conversations) == 2,
        "KILOCANARY": sum(one.given for one in found.conversations) == 1,
        "LIMACANARY": sum(one.introductions for one in found.conversations) == 1,
        "JULIETTCANARY": len(found.conversations) == 2,
    }
    # Then what b knows is just what the audit tells of
    assert {canary for canary in accounted if "b" in knows.known(canary)} == {canary for canary, told in accounted.items() if told}
    talked, other = found.conversations
    assert (talked.messages, talked.given, talked.introductions, talked.guests) == (2, 1, 1, 1)
    assert (other.messages, other.given, other.introductions, other.guests) == (0, 0, 0, 0)
    assert found.services == 1
    assert [subject for subject, *_ in found.vouches] == [anton.uri]
    assert (found.followers, found.followed) == ((("amina", berta.uri),), ())
    # And of c, which got one of them and nothing else
    at_c = await audit(a, c)
    assert {url for url, *_ in at_c.copies} == {made["network"].url, made["for c"].url}
    assert (at_c.conversations, at_c.vouches, at_c.letters, at_c.followers, at_c.unheard, at_c.services) == ((), (), 0, (), 0, 0)
    # When b heard of it
    await world.later(hours=1)
    assert (await audit(a, b)).unheard == 0
