"""Do answers, decisions and vouches end in the same state ten times and in every order? Rows F18 and F19 over the board."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from actors import known, peers
from actors import remote as elsewhere
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app
from fedmatch.board import answers, listings, notifications, responses, weighing
from fedmatch.board.listings import Listing
from fedmatch.safety import vouches
from inbox import partners
from schemas import documents
from schemas.activities import Activity, Delete, Offer, Undo
from schemas.events import AgreementChanged, OfferAnswered, Offered, OfferUndone
from schemas.objects import Agreement, Tombstone, Vouch
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.fakepeer import FakeActor, FakePeer
from tests.friends import befriend
from tests.houses import REQUEST, open_house, person
from tests.unit.test_board import store, theirs
from tests.unit.test_responses import of, remote, request
from tests.world import Person, World


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Instance]:
    made = await open_house(tmp_path)
    yield made
    await app.close(made)


def primary(uri: str) -> Agreement:
    return Agreement(Iri(f"{uri}#primary"), text="I know that law.")


async def ten_times(who: FakeActor, activity: Activity, inboxes: list[str]) -> None:
    """The same, ten at the same moment, to its own inbox and to the shared one."""
    document = documents.activity(activity)
    answered = await asyncio.gather(*(who.send(document, inboxes[number % len(inboxes)]) for number in range(10)))
    assert {one.status for one in answered} == {202}


async def test_f18_an_answer_and_its_end_ten_times_are_one(world: World, peer: FakePeer) -> None:
    # Given somebody elsewhere who offers, ten times at once
    asker, helper = await world.person("asker@a"), peer.actor("helper")
    site = asker.site
    asked = await asker.listing("request", "A lawyer", "Asylum.", skills=["AsylumLaw"], capacity=3)
    inboxes = [asker.actor.inbox, f"{site.base}/inbox"]
    offer = Offer(id=Iri(f"{helper.id}/offers/1"), actor=Iri(helper.id), to=(Iri(asker.uri),), object=primary(asked.url))
    await ten_times(helper, offer, inboxes)
    await world.settle()
    (held,) = await site.instance.database.read(answers.of_actor, site.instance, asker.actor)
    told = await site.instance.database.read(notifications.newest, site.instance, asker.actor.id)
    assert [one.kind for one in told] == ["response.received"]
    # When it is accepted, and the helper takes it back ten times
    accepted = await site.instance.database.write(responses.accept, site.instance, asker.actor, held)
    site.instance.wake("delivery")
    await world.settle()
    [yes] = peer.activities("Accept")
    await ten_times(helper, Undo(id=Iri(f"{helper.id}/offers/1/undo"), actor=Iri(helper.id), to=(Iri(asker.uri),), object=offer), inboxes)
    await world.settle()
    # Then it counted once and was given back once
    (ended,) = await site.instance.database.read(answers.of_actor, site.instance, asker.actor)
    assert (ended.state, yes["type"], accepted.state) == ("withdrawn", "Accept", "accepted")
    now = await site.instance.database.read(listings.find, site.instance, asked.url)
    assert now is not None
    assert now.state == "open"
    told = await site.instance.database.read(notifications.newest, site.instance, asker.actor.id)
    assert sorted(one.kind for one in told) == ["response.received", "response.withdrawn"]


async def asked_elsewhere(instance: Instance) -> tuple[Actor, Actor, Listing]:
    """A request of another server's, and somebody here who answered it."""
    asker, helper = await remote(instance, "asker"), await person(instance, "helper")
    await store(instance, asker, theirs(asker, proposal=REQUEST))
    (found,) = await instance.database.read(_newest, instance)
    return asker, helper, found


async def _newest(tx: Transaction, instance: Instance) -> list[Listing]:
    return await listings.newest(tx, instance, network=True, limit=10)


async def test_f18_a_decision_ten_times_is_one(house: Instance) -> None:
    asker, helper, found = await asked_elsewhere(house)
    made = await house.database.write(responses.answer, house, helper, found, "I can.")

    async def yes(tx: Transaction) -> None:
        agreement = Agreement(primary(found.url).satisfies, id=Iri(f"{asker.uri}/agreements/1"))
        await house.tell(tx, OfferAnswered(asker.id, made.words.offer, True, agreement, None, False))

    await asyncio.gather(*(house.database.write(yes) for _ in range(10)))
    (held,) = await of(house, helper)
    assert held.state == "accepted"
    told = await house.database.read(notifications.newest, house, helper.id)
    assert [one.kind for one in told] == ["response.accepted"]


Say = Callable[[Transaction], Awaitable[object]]


async def play(instance: Instance, said: list[Say]) -> None:
    for one in said:
        await instance.database.write(one)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
async def test_f19_offers_and_what_takes_them_back(house: Instance, order: tuple[int, ...]) -> None:
    # Given an offer, the word that takes it back, and a forged one by somebody else who does
    asker = await person(house, "asker")
    asked = await request(house, asker)
    helper, mallory = await remote(house, "helper"), await remote(house, "mallory", "other.example")
    for number, undone in ((1, True), (2, False)):
        offer = Iri(f"{helper.uri}/offers/{number}")
        said: list[Say] = [
            lambda tx, offer=offer: house.tell(tx, Offered(helper.id, offer, (asker.uri,), primary(asked.url), False)),
            lambda tx, offer=offer: house.tell(tx, OfferUndone(mallory.id, offer)),
            lambda tx, offer=offer, undone=undone: house.tell(tx, OfferUndone(helper.id if undone else mallory.id, offer)),
        ]
        # When they come in any order
        await play(house, [said[place] for place in order])
        await play(house, [said[place] for place in order])
        # Then what its own sender took back is not there, and what somebody else did is
        live = [one.words.offer for one in await of(house, asker) if one.live]
        assert live == ([] if undone else [offer])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
async def test_f19_a_yes_and_how_it_ended(house: Instance, order: tuple[int, ...]) -> None:
    asker, helper, found = await asked_elsewhere(house)
    mallory = await remote(house, "mallory", "other.example")
    made = await house.database.write(responses.answer, house, helper, found, "I can.")
    agreement = Agreement(primary(found.url).satisfies, id=Iri(f"{asker.uri}/agreements/1"))
    assert agreement.id is not None
    over = agreement.id
    said: list[Say] = [
        lambda tx: house.tell(tx, OfferAnswered(asker.id, made.words.offer, True, agreement, None, False)),
        lambda tx: house.tell(tx, AgreementChanged(asker.id, over, True, False, None, False)),
        lambda tx: house.tell(tx, AgreementChanged(mallory.id, over, False, True, None, False)),
        lambda tx: house.tell(tx, OfferAnswered(mallory.id, made.words.offer, False, None, "found", False)),
    ]
    await play(house, [said[place] for place in order])
    (held,) = await of(house, helper)
    assert held.state == "completed"
    told = sorted(one.kind for one in await house.database.read(notifications.newest, house, helper.id))
    assert told == ["feedback.asked", "response.accepted", "response.completed"]


async def test_f18_f19_a_vouch_its_end_and_a_forged_end_in_any_order_and_twice(world: World) -> None:
    # Given a peer whose word counts, and a vouch of it
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    a, b = asker.site, helper.site
    await befriend(world, a, b, count=3)

    async def vouch(tx: Transaction) -> Vouch:
        return await vouches.issue(tx, b.instance, helper.actor, 2, "in-person", staff="staff")

    made = await b.instance.database.write(vouch)
    there = await _met(a.instance, helper)

    async def level(tx: Transaction) -> int:
        return (await vouches.standing(tx, a.instance, there, [made])).level

    assert await a.instance.database.read(level) == 2

    # When its end comes, and after that somebody shows it again
    async def revoke(tx: Transaction) -> None:
        partner = await peers.partner_named(tx, a.host)
        assert partner is not None
        await vouches.given(tx, b.instance, made, partner.host_id)
        await vouches.revoke(tx, b.instance, made.id, staff="staff")

    await b.instance.database.write(revoke)
    b.instance.wake("delivery")
    await world.settle()
    # Then it weighs nothing, whatever came first
    assert await a.instance.database.read(level) == 0
    assert await a.count("tombstone", "uri = :uri", uri=made.id) == 1
    # And an answer that rests on one weighs the same in every order
    await in_any_order(asker, helper, there)


async def in_any_order(asker: Person, helper: Person, there: Actor) -> None:
    """An answer of `helper`, who is `there` where `asker` lives, with a vouch of their home, and the word that ends it: each ten times, in both orders."""
    a, b = asker.site, helper.site
    partner = await a.instance.database.read(peers.partner_named, b.host)
    assert partner is not None
    issuer = await a.instance.database.read(known.by_uri, partner.application)
    mallory = await remote(a.instance, "mallory", "other.example")
    assert issuer is not None
    found: dict[tuple[str, tuple[int, ...]], tuple[int, str, int]] = {}
    for ended in ("ended", "forged"):
        for order in itertools.permutations(range(2)):
            # When an answer that shows a vouch and the word that ends it, of its issuer or of somebody else, come in any order
            asked = await request(a.instance, asker.actor)

            async def vouch(tx: Transaction) -> Vouch:
                return await vouches.issue(tx, b.instance, helper.actor, 2, "in-person", staff="staff")

            made = await b.instance.database.write(vouch)
            shown = Agreement(Iri(f"{asked.url}#primary"), text="I know that law.", vouches=(made,))
            offer, says = Iri(f"{there.uri}/offers/{len(found)}"), issuer if ended == "ended" else mallory
            over = Delete(id=Iri(f"{says.uri}/ends/{len(found)}"), actor=says.uri, object=Tombstone(made.id))

            async def answer(tx: Transaction, offer: Iri = offer, shown: Agreement = shown) -> None:
                await a.instance.tell(tx, Offered(there.id, offer, (asker.actor.uri,), shown, False))

            async def end(tx: Transaction, says: Actor = says, over: Delete = over) -> None:
                await partners.heard(tx, a.instance, says, over, sealed=True)

            said: list[Say] = [answer, end]
            for place in order:
                await asyncio.gather(*(a.instance.database.write(said[place]) for _ in range(10)))
            await weighing.weigh(a.instance, "all", b"")
            (held,) = [one for one in await of(a.instance, asker.actor) if one.words.listing == asked.url]
            told = await a.instance.database.read(notifications.newest, a.instance, asker.actor.id)
            found[ended, order] = (held.words.level, held.tray, [one.about for one in told if one.kind == "response.received"].count(str(held.id)))
    # Then what its issuer ended weighs nothing, whatever came first, what somebody else says ends nothing, and its owner was told of one answer
    assert {value for (ended, _), value in found.items() if ended == "ended"} == {(0, "rest", 1)}
    assert {value for (ended, _), value in found.items() if ended == "forged"} == {(2, "vouched", 1)}


async def _met(instance: Instance, helper: Person) -> Actor:
    found = await elsewhere.actor(instance, helper.actor.uri, budget=elsewhere.Budget(10))
    assert isinstance(found, Actor)
    held = await instance.database.read(known.by_uri, found.uri)
    assert held is not None
    return held
