"""What may become of an answer, and what not? Trays and their bounds, double and late and forged words, many at once. On both engines."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import handshake, hosts, known, trust
from actors.instance import Instance
from actors.known import Actor
from fedmatch import handlers
from fedmatch.board import (
    admissions,
    answers,
    conversations,
    disclosures,
    guests,
    identities,
    introductions,
    life,
    listings,
    notifications,
    patience,
    publish,
    responses,
    stories,
    trays,
    weighing,
)
from fedmatch.board.answers import CannotAnswer, Response
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import vouches
from schemas.events import AgreementChanged, OfferAnswered, Offered, OfferUndone, VouchesChanged
from schemas.listings import validated
from schemas.objects import ActorDocument, Agreement, Key
from schemas.reading import Iri
from schemas.states import IllegalMove
from schemas.storage import Transaction
from tests import house as tests_house
from tests.houses import opened, person
from tests.unit.test_vouches import PEER, Peer
from tests.world import Clock

House = tuple[Instance, Clock]


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """An instance on each engine, with a clock of its own."""
    clock = Clock()
    async with opened(tmp_path, database_url, clock) as instance:
        yield instance, clock


async def remote(instance: Instance, name: str, host: str = "elsewhere.example") -> Actor:
    """Somebody of another server, as after a fetch, with a key and what their server understands."""
    base = f"https://{host}/users/{name}"
    key = Key(Iri(f"{base}#key"), Iri(base), "ed25519", hashlib.sha256(base.encode()).digest())
    document = ActorDocument(
        Iri(base), "Person", name, Iri(f"{base}/inbox"), (key,), shared_inbox=Iri(f"https://{host}/inbox"), implements=(Iri("https://w3id.org/fep/0837"),)
    )

    async def body(tx: Transaction) -> Actor:
        return await known.store(tx, instance, document, host, await hosts.ensure(tx, instance, host))

    return await instance.database.write(body)


async def request(instance: Instance, asker: Actor, *, terms: Terms | None = None, capacity: int | None = None, **more: Any) -> Listing:
    proposal = validated("request", "A lawyer", "Asylum.", "en", (), ("AsylumLaw",), (), now=instance.clock.now(), capacity=capacity, **more)
    return await publish.listing(instance, asker, proposal, "en", audience="public", terms=terms)


async def offer(instance: Instance, helper: Actor, asked: Listing, asker: Actor, number: int = 1, **more: Any) -> Iri:
    """An Offer as the inbox tells it, after everything the inbox proves."""
    uri = Iri(f"{helper.uri}/offers/{number}")
    to = more.pop("to", (asker.uri,))
    what = Agreement(more.pop("satisfies", Iri(f"{asked.url}#primary")), **({"text": "I can."} | more))

    async def body(tx: Transaction) -> None:
        await instance.tell(tx, Offered(helper.id, uri, to, what, False))

    await instance.database.write(body)
    return uri


async def of(instance: Instance, actor: Actor) -> list[Response]:
    return await instance.database.read(answers.of_actor, instance, actor)


async def sent(instance: Instance, kind: str) -> int:
    """How many activities of that kind wait to leave."""

    async def look(tx: Transaction) -> int:
        row = await tx.one("select count(*) as n from outgoing where kind = :kind", kind=kind)
        return 0 if row is None else int(row["n"])

    return await instance.database.read(look)


async def do(instance: Instance, act: Any, actor: Actor, held: Response, *values: Any, **more: Any) -> Any:
    async def body(tx: Transaction) -> Any:
        fresh = await answers.by_id(tx, instance, held.id)
        return await act(tx, instance, actor, fresh, *values, **more)

    return await instance.database.write(body)


async def tell(instance: Instance, event: Any) -> None:
    async def body(tx: Transaction) -> None:
        await instance.tell(tx, event)

    await instance.database.write(body)


async def state(instance: Instance, asked: Listing) -> str | None:
    return await instance.database.read(listings.state_of, asked.id)


async def test_an_offer_counts_once_and_is_answered_to_its_sender(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)

    for _ in range(3):
        await offer(instance, helper, asked, asker)
    (held,) = await of(instance, asker)
    now = await do(instance, responses.accept, asker, held)
    assert now.state == "accepted"
    assert await state(instance, asked) == "matched"
    assert await sent(instance, "Accept") == 1
    with pytest.raises(CannotAnswer, match="already"):
        await do(instance, responses.accept, asker, held)
    assert await sent(instance, "Accept") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"satisfies": Iri("{url}#other")},
        {"quantity": 0},
        {"quantity": 2},
        {"unit": "hour"},
        {"to": ("{asker}", "https://third.example/users/x")},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_wrong_offer_is_rejected_once(house: House, wrong: dict[str, Any]) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)
    filled = {key: Iri(value.format(url=asked.url)) if key == "satisfies" else value for key, value in wrong.items()}
    if "to" in filled:
        filled["to"] = tuple(Iri(one.format(asker=asker.uri)) for one in filled["to"])

    await offer(instance, helper, asked, asker, **filled)
    assert await of(instance, asker) == []
    assert await sent(instance, "Reject") == 1


async def test_after_the_end_an_offer_is_rejected(house: House) -> None:
    instance, clock = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)
    await instance.database.write(life.fulfil, instance, asked.id)
    await offer(instance, helper, asked, asker)
    assert await of(instance, asker) == []
    assert await sent(instance, "Reject") == 1

    late = await request(instance, asker)
    clock.move(days=31)
    await offer(instance, helper, late, asker, 2)
    assert await of(instance, asker) == []
    assert await sent(instance, "Reject") == 2


async def test_a_second_offer_of_the_same_helper_is_rejected(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)
    await offer(instance, helper, asked, asker, 1)
    await offer(instance, helper, asked, asker, 2)

    assert len(await of(instance, asker)) == 1
    assert await sent(instance, "Reject") == 1


async def test_taken_back_before_it_came_it_never_came(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)
    await tell(instance, OfferUndone(helper.id, Iri(f"{helper.uri}/offers/1")))
    await offer(instance, helper, asked, asker)

    assert await of(instance, asker) == []
    assert await sent(instance, "Reject") == 0


async def test_only_the_helper_takes_back_and_only_the_two_end_it(house: House) -> None:
    instance, _ = house
    asker, helper, other = await person(instance, "asker"), await remote(instance, "helper"), await remote(instance, "other")
    asked = await request(instance, asker)
    uri = await offer(instance, helper, asked, asker)
    await tell(instance, OfferUndone(other.id, uri))
    (held,) = await of(instance, asker)
    assert held.state == "sent"
    accepted = await do(instance, responses.accept, asker, held)

    await tell(instance, AgreementChanged(other.id, accepted.words.agreement, True, False, None, False))
    assert [one.state for one in await of(instance, asker)] == ["accepted"]
    await tell(instance, AgreementChanged(helper.id, accepted.words.agreement, True, False, None, False))
    await tell(instance, AgreementChanged(helper.id, accepted.words.agreement, False, True, None, False))
    await tell(instance, OfferUndone(helper.id, uri))
    assert [one.state for one in await of(instance, asker)] == ["completed"], "what ended stays ended"
    assert await state(instance, asked) == "fulfilled"


async def test_only_the_author_accepts_what_one_of_ours_offered(house: House) -> None:
    instance, _ = house
    helper, author, other = await person(instance, "helper"), await remote(instance, "author"), await remote(instance, "other")
    asked = await theirs(instance, author)

    async def answer(tx: Transaction) -> Response:
        return await responses.answer(tx, instance, helper, asked, "I can.")

    made = await instance.database.write(answer)
    assert (made.words.channel, await sent(instance, "Offer")) == ("open", 1)
    result = Agreement(Iri(f"{asked.url}#primary"), id=Iri(f"{author.uri}/agreements/1"), attributed_to=author.uri)
    await tell(instance, OfferAnswered(other.id, made.words.offer, True, result, None, False))
    assert [one.state for one in await of(instance, helper)] == ["sent"]
    await tell(instance, OfferAnswered(author.id, Iri("https://elsewhere.example/never"), True, result, None, False))
    await tell(instance, OfferAnswered(author.id, made.words.offer, True, result, None, False))
    await tell(instance, OfferAnswered(author.id, made.words.offer, False, None, "found", False))
    assert [one.state for one in await of(instance, helper)] == ["accepted"], "the first word counts"
    await do(instance, responses.withdraw, helper, made)
    await tell(instance, OfferAnswered(author.id, made.words.offer, True, result, None, False))
    assert [one.state for one in await of(instance, helper)] == ["withdrawn"]
    assert await sent(instance, "Undo") == 1


async def theirs(instance: Instance, author: Actor) -> Listing:
    """A public request that came from elsewhere."""
    from outbox import posts
    from schemas.objects import PUBLIC, Note, Proposal

    uri = Iri(f"{author.uri}/notes/1")
    proposal = Proposal("request", "A lawyer", "Asylum.", skills=("AsylumLaw",))
    note = Note(id=uri, attributed_to=author.uri, content="<p>Asylum.</p>", to=(PUBLIC,), proposal=proposal, published=instance.clock.now())

    async def body(tx: Transaction) -> Listing:
        await posts.store(tx, instance, author, note, local=False)
        found = await listings.find(tx, instance, uri)
        assert found is not None
        return found

    return await instance.database.write(body)


async def test_two_hundred_answers_leave_the_vouched_one_first(house: House) -> None:
    instance, _ = house
    asker = await person(instance, "asker")
    asked = await request(instance, asker)
    for number in range(200):
        helper = await remote(instance, f"helper{number}", f"host{number // 4}.example")
        await offer(instance, helper, asked, asker)
    vouched = await remote(instance, "vouched", "host1.example")
    await instance.database.write(issue, instance, vouched)
    await offer(instance, vouched, asked, asker)

    found = await of(instance, asker)
    assert found[0].words.helper == vouched.uri
    assert (found[0].tray, found[0].words.level) == ("vouched", 2)
    assert len(found) == trays.MOST_REST + 1
    assert set(Counter(hosts.authority(one.words.helper) for one in found[1:]).values()) == {trays.MOST_OF_HOST}, "no host has more than its share"
    assert await sent(instance, "Reject") == 180, "whoever found it full was told"


async def issue(tx: Transaction, instance: Instance, subject: Actor) -> None:
    await vouches.issue(tx, instance, subject, 2, "references", staff="admin")


async def test_what_is_opened_counts_and_nothing_else(house: House) -> None:
    instance, _ = house
    asker = await person(instance, "asker")
    asked = await request(instance, asker)
    for number in range(5):
        await offer(instance, await remote(instance, f"helper{number}", f"host{number}.example"), asked, asker)
    found = await of(instance, asker)
    for held in found[:3]:
        await do(instance, responses.open_, asker, held)
    with pytest.raises(CannotAnswer, match="3 answers are open"):
        await do(instance, responses.open_, asker, found[3])
    await do(instance, responses.decline, asker, found[0], "fit")
    assert (await do(instance, responses.open_, asker, found[3])).state == "opened"


async def test_below_the_floor_nobody_answers(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker, terms=Terms(answers=Floor(2)))
    await offer(instance, helper, asked, asker, 1)
    assert (await of(instance, asker), await sent(instance, "Reject")) == ([], 1)
    await instance.database.write(issue, instance, helper)
    await offer(instance, helper, asked, asker, 2)
    assert [one.tray for one in await of(instance, asker)] == ["vouched"]


async def test_a_hundred_vouches_of_a_trusted_peer_open_no_listing_while_its_word_does_not_count(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock=clock) as instance:
        home, peer = tests_house.House(instance, clock), Peer()  # type: ignore[arg-type]  # a clock as good as its own
        host_id = await peer.befriend(home, 0)
        asker = await person(instance, "asker")
        asked = await request(instance, asker, terms=Terms(answers=Floor(1)))

        async def answer(number: int) -> None:
            """What a made-up person of the peer answers, sealed, with the best that it can say of them."""
            helper = await remote(instance, f"sock{number}", PEER)
            shown = trust.fingerprint("ed25519", hashlib.sha256(helper.uri.encode()).digest())
            said = peer.vouch(home, helper, 5, fingerprint=shown, number=number)
            what = Agreement(Iri(f"{asked.url}#primary"), text="I can.", vouches=(said,))
            await tell(instance, Offered(helper.id, Iri(f"{helper.uri}/offers/1"), (asker.uri,), what, True))

        for number in range(100):
            await answer(number)
        assert await of(instance, asker) == [], "nobody gets in, nor in anybody's way"
        # And as soon as an admin lets its word count, as far as that
        await instance.database.write(handshake.rate, instance, host_id, 1, False)
        await answer(100)
        assert [(one.tray, one.words.level) for one in await of(instance, asker)] == [("vouched", 1)]
        # Until its own end, of which nobody is told
        clock.move(days=95)
        await handlers._tidy(instance, "all", b"")
        assert [(one.tray, one.words.level, one.json()["vouches"]) for one in await of(instance, asker)] == [("rest", 0, [])]


async def test_an_identity_that_ends_takes_nobody_new_and_keeps_whom_it_has(house: House) -> None:
    # Given an identity with an answer, whose own time is over while what it asked still stands open
    instance, _ = house
    asker = await identities.make(instance, await person(instance, "amina"))
    asked = await request(instance, asker, capacity=3)
    first, second = await remote(instance, "first"), await remote(instance, "second")
    await offer(instance, first, asked, asker)
    assert await instance.database.read(identities.takes_contacts, asker.id)
    await instance.database.write(identities.closed, instance, asker.id)
    assert not await instance.database.read(identities.takes_contacts, asker.id)
    # When somebody else answers
    await offer(instance, second, asked, asker)
    # Then they are told that it is closed, and nothing of theirs is kept; whom it has stays
    assert await sent(instance, "Reject") == 1
    (held,) = await of(instance, asker)
    assert (held.words.helper, held.state) == (first.uri, "sent")
    # And it takes others again once what it asked is open again
    await instance.database.write(identities.reopened, instance, asker.id)
    await offer(instance, second, asked, asker, 2)
    assert {one.words.helper for one in await of(instance, asker)} == {first.uri, second.uri}


@pytest.mark.parametrize("state", ["sent", "accepted", "completed"])
async def test_when_a_vouch_ends_its_answers_are_weighed_again(house: House, state: str) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)
    await instance.database.write(issue, instance, helper)
    await offer(instance, helper, asked, asker)
    [issued] = await instance.database.read(vouches.of, instance, helper)
    if state != "sent":
        await do(instance, responses.accept, asker, (await of(instance, asker))[0])
    if state == "completed":
        await do(instance, responses.complete, asker, (await of(instance, asker))[0])
    (before,) = await of(instance, asker)

    async def revoke(tx: Transaction) -> None:
        await vouches.revoke(tx, instance, issued.id, staff="admin")

    await instance.database.write(revoke)
    for _ in range(2):
        await weighing.weigh(instance, "all", b"")
    (held,) = await of(instance, asker)
    # What is completed stays as it was, to be deleted in its time; its conversation is open all the same
    assert (held.tray, held.words.level, held.state) == (("vouched", before.words.level) if state == "completed" else ("rest", 0)) + (state,)

    async def kinds(tx: Transaction) -> list[str]:
        return [row["kind"] for row in await tx.all("select kind from notification where actor_id = :id order by id", id=asker.id)]

    ended = ["response.completed", "feedback.asked"] if state == "completed" else []
    assert await instance.database.read(kinds) == ["response.received", *ended, "response.doubt"]
    assert VouchesChanged in instance.subscribers


@pytest.mark.parametrize("capacity", [1, 3])
async def test_never_more_are_accepted_than_are_wanted(house: House, capacity: int) -> None:
    instance, _ = house
    asker = await person(instance, "asker")
    asked = await request(instance, asker, capacity=capacity)
    for number in range(8):
        await offer(instance, await remote(instance, f"helper{number}", f"host{number}.example"), asked, asker)

    async def accept(held: Response) -> bool:
        try:
            await do(instance, responses.accept, asker, held)
        except (CannotAnswer, IllegalMove):
            return False
        return True

    taken = await asyncio.gather(*[accept(held) for held in await of(instance, asker)])
    assert sum(taken) == capacity
    assert sum(one.state == "accepted" for one in await of(instance, asker)) == capacity
    first = next(one for one in await of(instance, asker) if one.state == "accepted")
    await do(instance, responses.complete, asker, first, failed=True)
    assert await state(instance, asked) == "open", "what failed is given back"


async def test_a_closed_listing_lets_everybody_go(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)
    await offer(instance, helper, asked, asker)
    await instance.database.write(life.fulfil, instance, asked.id)

    assert [(one.state, one.words.reason) for one in await of(instance, asker)] == [("declined", "closed")]
    assert await sent(instance, "Reject") == 1


async def test_an_urgent_request_keeps_the_rest_for_a_day(house: House) -> None:
    instance, clock = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker, urgency="hours")
    await offer(instance, helper, asked, asker)
    (held,) = await of(instance, asker)
    clock.move(hours=25)
    await patience.look(instance, str(held.id), b"")

    assert [one.state for one in await of(instance, asker)] == ["released"]


async def test_a_guest_is_let_in_by_both_and_reads_one_conversation(house: House) -> None:
    instance, _ = house
    asker, helper, guest = [await person(instance, name) for name in ("asker", "helper", "guest")]
    asked = await request(instance, asker)

    async def answer(tx: Transaction) -> Response:
        return await responses.answer(tx, instance, helper, asked, "I can.")

    made = await instance.database.write(answer)
    held = await do(instance, responses.accept, asker, made)
    with pytest.raises(CannotAnswer, match="not part"):
        await do(instance, conversations.say, guest, held, "Hello.")
    assert not (await do(instance, admissions.admit, asker, held, guest, "interpreter")).admitted
    with pytest.raises(CannotAnswer, match="not part"):
        await do(instance, conversations.say, guest, held, "Hello.")
    assert (await do(instance, admissions.admit, helper, held, guest, "interpreter")).admitted
    await do(instance, conversations.say, guest, held, "I interpret.")
    with pytest.raises(CannotAnswer, match=f"{guest.handle} would read it"):
        await do(instance, disclosures.disclose, asker, held, "contact", "555")

    # What was given to one counterpart before they came a guest never reads; who leaves reads nothing, and comes again as somebody new
    async def reads(who: Actor) -> list[str]:
        async def look(tx: Transaction) -> list[str]:
            after = await guests.reads_after(tx, instance, held, [who])
            return [one.text for one in await conversations.messages(tx, instance, held, after=after)]

        found: list[str] = await instance.database.read(look)
        return found

    assert await reads(guest) == ["I interpret."]
    async def heard(who: Actor) -> list[str]:
        return [one.kind for one in reversed(await instance.database.read(notifications.newest, instance, who.id))]

    # Who was let in hears so, and of what is said then; nobody but the two shows anybody else out
    await do(instance, conversations.say, asker, held, "Well met.")
    assert await heard(guest) == ["guest.admitted", "message.received"]
    second = await person(instance, "second")
    for side in (helper, asker):
        await do(instance, admissions.admit, side, held, second, "matchmaker")
    with pytest.raises(CannotAnswer, match="shows nobody out"):
        await do(instance, admissions.leave, second, held, guest)
    assert await do(instance, admissions.leave, second, held, second)
    assert not await do(instance, admissions.leave, asker, held, second), "gone already"
    await do(instance, admissions.leave, asker, held, guest)
    await do(instance, disclosures.disclose, asker, held, "contact", "mail to me")
    for side in (helper, asker):
        await do(instance, admissions.admit, side, held, guest, "interpreter")
    await do(instance, conversations.say, helper, held, "I will.")
    assert await reads(guest) == ["I will."]
    assert await reads(helper) == await reads(asker) == ["I interpret.", "Well met.", "contact: mail to me", "I will."]
    assert [(one.to, one.field) for one in await instance.database.read(disclosures.of, instance, asker)] == [(helper.handle, "contact")]

    proposed = await do(instance, introductions.propose, helper, held, "a member of parliament", "She asks.")
    with pytest.raises(CannotAnswer, match="before the other agreed"):
        await do(instance, introductions.passed, helper, held, proposed.id)
    await do(instance, introductions.decide, asker, held, proposed.id, agreed=True)
    assert (await do(instance, introductions.passed, helper, held, proposed.id)).state == "passed"

    await do(instance, responses.complete, asker, held)
    await do(instance, introductions.feedback, helper, held, "It went well.")
    first = await do(instance, stories.tell, asker, held, "A lawyer was found.")
    assert not first.told
    both = await do(instance, stories.tell, helper, held, None, credit="A friend")
    assert (both.told, both.credits) == (True, ("A friend",))
    changed = await do(instance, stories.tell, asker, held, "Another story.")
    assert not changed.told, "another text needs the other's consent anew"

    async def end(tx: Transaction) -> list[conversations.Message]:
        await conversations.end(tx, instance, held)
        return await conversations.messages(tx, instance, held)

    assert await instance.database.write(end) == []
    assert not await instance.database.read(guests.is_guest, instance, held, guest)


async def test_a_person_does_not_answer_themselves_under_another_name(house: House) -> None:
    instance, _ = house
    asker = await person(instance, "asker")
    asked = await request(instance, asker)
    mask = await identities.make(instance, asker)

    async def answer(tx: Transaction) -> Response:
        return await responses.answer(tx, instance, mask, asked, "I can.")

    with pytest.raises(CannotAnswer, match="your own"):
        await instance.database.write(answer)


async def test_what_may_be_done_depends_on_whose_it_is(house: House) -> None:
    instance, _ = house
    asker, helper, third = await person(instance, "asker"), await person(instance, "helper"), await person(instance, "third")
    asked = await request(instance, asker)

    async def answer(tx: Transaction) -> Response:
        return await responses.answer(tx, instance, helper, asked, "I can.")

    held = await instance.database.write(answer)
    for act in (responses.open_, responses.accept, responses.decline):
        for nobody in (helper, third):
            with pytest.raises(CannotAnswer):
                await do(instance, act, nobody, held)
    with pytest.raises(CannotAnswer):
        await do(instance, responses.withdraw, asker, held)
    with pytest.raises(IllegalMove):
        await do(instance, responses.complete, helper, held)
    with pytest.raises(CannotAnswer, match="conversation"):
        await do(instance, conversations.say, asker, held, "Hello.")


async def test_what_was_open_with_somebody_who_is_gone_is_over(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker)
    await offer(instance, helper, asked, asker)
    (held,) = await of(instance, asker)
    await do(instance, responses.accept, asker, held)

    await instance.database.write(known.remove, instance, helper)
    assert [one.state for one in await of(instance, asker)] == ["withdrawn"]
    assert await state(instance, asked) == "open"


async def test_who_does_not_fit_what_is_only_for_some_is_refused_with_what_it_asks_for(house: House) -> None:
    instance, _ = house
    asker, helper = await person(instance, "asker"), await remote(instance, "helper")
    asked = await request(instance, asker, only_region=True, helper_region="SE")
    await offer(instance, helper, asked, asker, 1, region="DE")
    assert await of(instance, asker) == []
    assert await sent(instance, "Reject") == 1
    await offer(instance, helper, asked, asker, 2, region="SE", speaks=("sv",))
    (held,) = await of(instance, asker)
    assert (held.words.region, held.words.speaks) == ("SE", ("sv",))
