"""A request that is not for everybody: on one instance, or on the trusted peers it names, each with a copy of its own; and nowhere else a word of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from actors import known, local
from actors.trust import Level
from fedmatch.board import answers, copies, drafts, life, listings, notifications, publish, readers, responses, review, search
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import border, peering, vouches
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.friends import befriend
from tests.world import Person, Site, World, open_world

TITLE = "Somebody who can hide MARIGOLDCANARY"
TEXT = "We need a room for CROCUSCANARY until the spring."
OPEN_TO_ALL = Terms(readers=Floor(0))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def three(world: World) -> tuple[Person, Site, Site]:
    """Amina on a, and b and c, which trust a and are trusted by it."""
    amina = await world.person("amina@a")
    b, c = await world.site("b"), await world.site("c")
    await befriend(world, amina.site, b)
    await befriend(world, amina.site, c)
    return amina, b, c


async def ask(amina: Person, audience: str, terms: Terms = OPEN_TO_ALL, **more: object) -> listings.Listing:
    """Amina's request."""
    given = {"categories": ["Relocation"], "speaks": ["ar"], "region": "SY", "urgency": "days"} | more
    return await amina.listing("request", TITLE, TEXT, audience=audience, terms=terms, **given)  # type: ignore[arg-type]  # what validated takes


async def held(site: Site) -> list[dict[str, object]]:
    """Every listing of a site as whoever runs it sees them."""

    async def look(tx: Transaction) -> list[listings.Listing]:
        return await listings.newest(tx, site.instance, network=True, private=True)

    return [one.json() for one in await site.instance.database.read(look)]


async def test_a_request_without_an_audience_stays_here_and_rests_sealed(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, c = three
    made = await publish.listing(amina.site.instance, amina.actor, (await _proposal(amina)), "en")
    await world.settle()
    assert (made.audience, made.state) == ("local", "open")
    assert [one["title"] for one in await held(amina.site)] == [TITLE]
    assert await held(b) == await held(c) == []
    assert world.grep("CANARY") == {}, "its words rest sealed"
    row = (await amina.site.rows("select * from listing"))[0]
    assert [row[name] for name in ("title", "text", "language", "region", "urgency", "more")] == [None] * 6
    assert await amina.site.count("listing_tag") == await amina.site.count("post_audience") == 0
    # And nobody who asks finds it, signed or not
    assert (await amina.site.get(made.url)).status == 404
    missing = await amina.site.get(f"{amina.site.base}/posts/1")
    for path in ("", "/activity", "/proposal"):
        answer = await amina.site.get(f"{made.url}{path}")
        assert (answer.status, answer.body) == (404, missing.body)
    for page in ("/", "/@amina", f"{amina.uri}/outbox"):
        assert "CANARY" not in (await amina.site.get(page, "text/html")).text
    assert await amina.site.listings() == []


async def _proposal(amina: Person):  # a Proposal
    from schemas.listings import validated

    return validated("request", TITLE, TEXT, "en", ["Relocation"], [], ["ar"], region="SY", now=amina.site.instance.clock.now())


async def test_the_network_gets_sealed_copies_that_change_and_go_with_it(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, c = three
    made = await ask(amina, "network", helper_region="DE", capacity=2)
    await world.settle()
    [here] = await held(amina.site)
    for site in (b, c):
        [there] = await held(site)
        assert {**there, "id": here["id"]} == here
        assert (there["audience"], there["origin"], there["helper_region"], there["capacity"]) == ("network", amina.site.host, "DE", 2)
        assert await site.listings() == [], "not among what everybody reads"
    assert world.grep("CANARY") == {}
    # A change reaches both
    await amina.change(made, title="Another MARIGOLDCANARY")
    await world.settle()
    assert [one["title"] for site in (b, c) for one in await held(site)] == ["Another MARIGOLDCANARY"] * 2
    # It is done: they hear so, and keep no word of it
    await amina.site.instance.database.write(life.fulfil, amina.site.instance, made.id)
    amina.site.instance.wake("delivery")
    await world.settle()
    assert await held(b) == await held(c) == []
    assert [one["state"] for one in await held(amina.site)] == ["fulfilled"]
    with pytest.raises(publish.CannotPublish, match="fulfilled"):
        await amina.withdraw(await amina.site.instance.database.read(listings.by_id, amina.site.instance, made.id))


async def test_a_withdrawn_one_is_gone_everywhere(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, c = three
    made = await ask(amina, "network")
    await world.settle()
    await amina.withdraw(made)
    await world.settle()
    assert await held(amina.site) == await held(b) == await held(c) == []
    assert await b.count("listing") == await c.count("post") == 0
    assert world.grep("CANARY") == {}


async def test_a_named_peer_gets_it_and_nobody_learns_of_another(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, c = three
    made = await ask(amina, "peers", named=[b.host])
    assert made.json()["audience"] == f"peers:{b.host}"
    await world.settle()
    assert len(await held(b)) == 1
    assert (await held(b))[0]["audience"] == "peers"
    assert await held(c) == []
    for site, other in ((b, c), (c, b)):
        bodies = json.dumps([dict(row) for row in await site.rows("select uri, kind from post")])
        assert other.host not in bodies
    with pytest.raises(publish.CannotPublish, match="not a trusted peer"):
        await ask(amina, "peers", named=["stranger.example"])


async def test_nothing_of_its_terms_leaves(world: World, three: tuple[Person, Site, Site], monkeypatch: pytest.MonkeyPatch) -> None:
    """Floors, issuers, exclusions, consent: read in the bodies as they are before they are sealed for their peer."""
    from outbox import publish as outgoing

    amina, b, c = three
    bodies: list[bytes] = []
    queue = outgoing.queue

    async def noting(tx, instance, sender, body, *rest, **named):
        bodies.append(body)
        return await queue(tx, instance, sender, body, *rest, **named)

    monkeypatch.setattr(outgoing, "queue", noting)
    terms = Terms(readers=Floor(0), answers=Floor(3, ("issuer.canary.example",)), excluded=("KP",), on_behalf_of="her uncle TULIPCANARY", consent="family")
    made = await ask(amina, "peers", terms, named=[b.host])
    await ask(amina, "public", terms)
    await amina.change(made, title="Changed")
    await world.settle()
    told = b"\n".join(bodies)
    assert b"CROCUSCANARY" in told, "we look at the right place"
    for secret in (b"TULIPCANARY", b"issuer.canary", b'"KP"', b"family", c.host.encode(), b"on_behalf", b"excluded"):
        assert secret not in told
    for number in range(len(bodies)):
        assert b.host.encode() not in bodies[number] or c.host.encode() not in bodies[number]


async def test_the_floor_decides_where_it_goes_and_who_reads_it(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, c = three
    made = await ask(amina, "network", Terms())
    await world.settle()
    assert await held(b) == await held(c) == [], "nobody's word counts here yet"
    # a's admin lets b's word count
    await peering.trust(amina.site.instance, await peering.words(amina.site.instance, b.host), count=2)
    await world.settle()
    [there] = await held(b)
    assert await held(c) == []
    # Over there a helper needs b's own word
    helper = await world.person("hana@b")

    async def view() -> str:
        found = await b.instance.database.read(listings.by_id, b.instance, int(str(there["id"])))
        assert found is not None
        return await b.instance.database.read(readers.may_read, b.instance, helper.actor, found)

    assert await view() == "no"
    assert await b.instance.database.read(_found, b, made.url, helper) is None

    async def vouch(tx: Transaction) -> None:
        await vouches.issue(tx, b.instance, helper.actor, 1, "in-person", staff="operator")

    await b.instance.database.write(vouch)
    assert await view() == "full"
    # A member who is no helper reads nothing, however well known
    await b.instance.database.write(local.set_role, b.instance, helper.actor, "member")
    assert await view() == "no"
    # Its word counts no more: the copy is taken back
    await b.instance.database.write(local.set_role, b.instance, helper.actor, "helper")
    await peering.trust(amina.site.instance, await peering.words(amina.site.instance, b.host), count=0)
    await world.settle()
    assert await held(b) == []


async def _found(tx: Transaction, site: Site, url: str, reader: Person) -> listings.Listing | None:
    return await listings.find(tx, site.instance, url, reader=reader.actor)


async def test_a_helper_opens_twenty_a_day_then_staff_hears_of_it(world: World) -> None:
    amina, helper, boss = await world.person("amina@a"), await world.person("hana@a"), await world.person("boss@a")
    site = amina.site
    instance = site.instance
    await instance.database.write(local.set_role, instance, boss.actor, "moderator")
    every = [await ask(amina, "local") for _ in range(readers.MOST_A_DAY + 1)]

    async def opened(one: listings.Listing) -> listings.Listing | None:
        return await instance.database.write(readers.open_for, instance, helper.actor, one)

    for one in every[:-1]:
        assert await opened(one) == one
    assert await opened(every[0]) == every[0], "again is no other one"
    last = await opened(every[-1])
    assert last is not None
    assert (last.title, last.text, last.categories, last.region) == ("", "", ("Relocation",), "SY")
    assert await opened(every[-1]) == last
    told = await instance.database.read(notifications.newest, instance, boss.actor.id)
    assert [(one.kind, one.about) for one in told] == [("readers.excess", helper.handle)]
    assert await instance.database.read(readers.excess, instance) == 1
    # Tomorrow is another day, and staff has no share
    assert await instance.database.write(readers.open_for, instance, boss.actor, every[-1]) == every[-1]
    world.clock.move(days=1)
    assert (await opened(every[-1])) == every[-1]


async def test_search_finds_what_is_not_public_for_those_who_may_read_it(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, _ = three
    helper = await world.person("hana@b")
    await ask(amina, "network")
    await world.settle()

    async def found(reader: Person | None, *words: str, **more: object) -> list[str]:
        wanted = search.Wanted(words, **more)  # type: ignore[arg-type]  # its members
        who = None if reader is None else reader.actor
        return [one.title for one in await b.instance.database.read(_search, b, wanted, who)]

    assert await found(None, "marigoldcanary") == [TITLE]
    assert await found(None, "nothing") == []
    assert await found(helper, "marigoldcanary") == [], "words of what one did not open are no way to guess it"
    assert await found(helper, slugs=("Relocation",)) == [""]
    [there] = await held(b)
    one = await b.instance.database.read(listings.by_id, b.instance, int(str(there["id"])))
    await b.instance.database.write(readers.open_for, b.instance, helper.actor, one)
    assert await found(helper, "marigoldcanary") == [TITLE]
    # What is over is not found, without a word from its home
    await amina.site.stop()
    await world.later(days=40)
    assert await found(None, "marigoldcanary") == []
    assert await held(b) == []


async def _search(tx: Transaction, site: Site, wanted: search.Wanted, reader: known.Actor | None) -> list[listings.Listing]:
    return await search.search(tx, site.instance, wanted, reader=reader)


@pytest.mark.parametrize("level", ["limited", "known"])
async def test_a_lost_peer_is_asked_to_forget_and_the_author_told(world: World, three: tuple[Person, Site, Site], level: Level) -> None:
    amina, b, c = three
    a = amina.site
    made = await ask(amina, "network")
    await world.settle()
    if level == "limited":
        await border.decide(a.instance, border.Host(b.host), "limited")
    else:
        await border.forget(a.instance, border.Host(b.host), None)
    await world.settle()
    told = await a.instance.database.read(notifications.newest, a.instance, amina.actor.id)
    assert [one.kind for one in told] == ["peer.lost"]
    assert told[0].about.startswith(f"{made.id} {b.host} ")
    # What is said from now on does not go there
    await amina.change(made, title="Later HYACINTHCANARY")
    await world.settle()
    assert [one["title"] for one in await held(c)] == ["Later HYACINTHCANARY"]
    assert await held(b) == [], "it was asked to delete what it holds, by an id and no word"
    shown = await a.instance.database.read(copies.ever, made.id)
    assert [(host, until is not None) for host, _, until in shown] == sorted([(b.host, True), (c.host, False)])


async def test_a_blocked_peer_is_told_nothing_while_staff_and_the_author_hear_of_it(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, c = three
    a = amina.site
    boss = await world.person("boss@a")
    await a.instance.database.write(local.set_role, a.instance, boss.actor, "admin")
    made = await ask(amina, "network")
    await world.settle()
    before = await a.count("delivery", "host_id = (select host.id from host where host.name = :host)", host=b.host)
    await border.decide(a.instance, border.Host(b.host), "blocked")
    await world.settle()
    await amina.change(made, title="Later HYACINTHCANARY")
    await world.settle()
    assert [one["title"] for one in await held(b)] == [TITLE], "nothing at all leaves for a blocked server, no Delete either"
    assert await a.count("delivery", "host_id = (select host.id from host where host.name = :host) and state = 'sent'", host=b.host) == before
    assert [one["title"] for one in await held(c)] == ["Later HYACINTHCANARY"]
    for person in (amina, boss):
        (told,) = await a.instance.database.read(notifications.newest, a.instance, person.actor.id)
        assert (told.kind, b.host in told.about) == ("peer.lost", True)
    shown = await a.instance.database.read(copies.ever, made.id)
    assert [(host, until is not None) for host, _, until in shown] == sorted([(b.host, True), (c.host, False)])


async def test_an_excluded_country_gets_no_copy_and_answers_nothing(world: World) -> None:
    amina = await world.person("amina@a")
    sites = {name: await world.site(name, jurisdiction=said) for name, said in (("ours", '["SE"]'), ("theirs", '["NO", "de"]'), ("silent", "[]"))}
    helpers = {name: await world.person(f"helper@{name}") for name in sites}
    for site in sites.values():
        await befriend(world, amina.site, site)
    wishes = Terms(readers=Floor(0), excluded=("DE",))
    await ask(amina, "network", wishes)
    public = await ask(amina, "public", wishes)
    await world.settle()
    # Who answers to it gets nothing, and who does not say what it answers to may answer to it
    assert {name: sorted(one["audience"] for one in await held(site)) for name, site in sites.items()} == {
        "ours": ["network", "public"],
        "theirs": [],
        "silent": [],
    }
    await ask(amina, "network")
    await world.settle()
    assert {name: len(await held(site)) for name, site in sites.items()} == {"ours": 3, "theirs": 1, "silent": 1}, "of what excludes nobody all get a copy"
    # What everybody may read nobody is kept from; only who says that they answer to it gives no answer
    for who in helpers.values():
        await publish.bring(who.site.instance, public.url)
        there = await who.site.instance.database.read(listings.find, who.site.instance, public.url)
        assert there is not None
        await who.site.instance.database.write(_answer, who, there)
        who.site.instance.wake("delivery")
    await world.settle()
    got = await amina.site.instance.database.read(answers.of_actor, amina.site.instance, amina.actor)
    assert {one.words.helper_handle for one in got} == {helpers["ours"].handle, helpers["silent"].handle}
    b = sites["theirs"]
    (refused,) = await b.instance.database.read(answers.of_actor, b.instance, helpers["theirs"].actor)
    assert (refused.state, refused.words.reason) == ("declined", "fit"), "which countries are excluded it does not hear"


async def _answer(tx: Transaction, who: Person, there: listings.Listing) -> answers.Response:
    return await responses.answer(tx, who.site.instance, who.actor, there, "I can.")


async def test_what_is_held_has_no_address_until_a_person_let_it_pass(world: World) -> None:
    a = await world.site("a", review='"everything"')
    amina, boss, instance = await world.person("amina@a"), await world.person("boss@a"), a.instance
    await instance.database.write(local.set_role, instance, boss.actor, "moderator")
    made = await ask(amina, "public")
    assert (made.state, made.url, made.json()["url"]) == ("held", "", None)
    assert await a.listings() == []
    assert await a.count("post") == await a.count("outgoing") == 0
    assert world.grep("CANARY") == {}
    [waiting] = await instance.database.read(review.waiting, instance)
    assert waiting.title == TITLE
    told = await instance.database.read(notifications.newest, instance, boss.actor.id)
    assert [(one.kind, one.about) for one in told] == [("listing.held", str(made.id))]
    # Refused, changed, submitted again, approved
    await instance.database.write(review.reject, instance, made.id, boss.actor, "please leave the place out")
    refused = await instance.database.read(listings.find, instance, str(made.id))
    assert refused is not None
    assert refused.state == "refused"
    again = await publish.edit(instance, refused, replace(refused.proposal, text="Without a place"))
    assert (again.state, again.id) == ("held", made.id)
    passed = await instance.database.write(review.approve, instance, made.id, boss.actor)
    found = await instance.database.read(listings.find, instance, str(made.id))
    assert found is not None
    assert (found.id, found.state, found.text, found.reviewed) == (passed, "open", "Without a place", True)
    assert [one["url"] for one in await a.listings()] == [found.url]
    assert await a.count("draft") == 0
    with pytest.raises(review.NotHeld):
        await instance.database.write(review.approve, instance, made.id, boss.actor)


async def test_newcomers_are_looked_at_once(world: World) -> None:
    a = await world.site("a", review='"newcomers"')
    amina, instance = await world.person("amina@a"), a.instance
    first = await ask(amina, "public")
    assert first.state == "held"
    await instance.database.write(review.approve, instance, first.id, None)
    assert (await ask(amina, "public")).state == "open"


async def test_it_leaves_on_the_hour_and_is_told_about_once_an_hour(world: World) -> None:
    amina, reader = await world.person("amina@a"), await world.person("reader@b")
    await reader.follow(amina.handle)
    await world.settle()
    hour = 3600
    made = await ask(amina, "public", delay=(2 * hour, 3 * hour))
    assert (made.state, made.url) == ("scheduled", "")
    await world.later(hours=1)
    assert await amina.site.count("post") == 0
    await world.later(hours=3)
    [there] = await reader.site.listings()
    found = await amina.site.instance.database.read(listings.find, amina.site.instance, str(made.id))
    assert found is not None
    assert found.published % 3_600_000 == 0
    assert there["url"] == found.url
    # Two changes within an hour are one Update, on the next
    changed = await amina.change(found, title="First")
    await amina.change(changed, title="Second")
    await world.settle()
    assert [one["title"] for one in await reader.site.listings()] == [TITLE]
    assert await amina.site.count("outgoing", "kind = 'Update'") == 0
    await world.later(hours=1)
    assert [one["title"] for one in await reader.site.listings()] == ["Second"]
    assert await amina.site.count("outgoing", "kind = 'Update'") == 1
    # A withdrawal does not wait
    await amina.withdraw(found)
    await world.settle()
    assert await reader.site.listings() == []


async def test_a_draft_can_be_withdrawn_before_it_ever_leaves(world: World) -> None:
    amina = await world.person("amina@a")
    made = await ask(amina, "public", delay=(7200, 7200))
    await amina.withdraw(made)
    await world.later(hours=4)
    assert await amina.site.count("draft") == await amina.site.count("post") == 0
    assert await amina.site.instance.database.read(drafts.shown, amina.site.instance, made.id) is None


async def test_what_waits_longer_than_it_would_stand_stands_as_long_afterwards(world: World) -> None:
    # Given a request without an end, and an embargo of two months
    amina = await world.person("amina@a")
    embargo = world.clock.now() + timedelta(days=60)
    made = await ask(amina, "public", Terms(embargo=embargo))
    assert made.proposal.ends is not None
    assert made.proposal.ends > embargo + timedelta(days=29)
    # When it is over, it stands for its 30 days
    await world.later(days=60, hours=2)
    (shown,) = await amina.site.listings()
    assert shown["state"] == "open"
    await world.later(days=29)
    assert [one["state"] for one in await amina.site.listings()] == ["open"]
    await world.later(days=2)
    assert [one["state"] for one in await amina.site.listings()] in ([], ["expired"])
    # What would be over before it began is refused with the cure
    with pytest.raises(publish.CannotPublish, match=r"before the embargo .* choose a later end"):
        await ask(amina, "public", Terms(embargo=world.clock.now() + timedelta(days=9)), until=f"{world.clock.now() + timedelta(days=3):%Y-%m-%d}")


async def test_whose_time_is_over_before_its_review_is_told_so(world: World) -> None:
    # Given what waits for its hour, with an end that an unlucky machine sleeps through
    amina = await world.person("amina@a")
    until = world.clock.now() + timedelta(days=3)
    made = await ask(amina, "public", Terms(embargo=world.clock.now() + timedelta(days=1)), until=f"{until:%Y-%m-%d}")
    await amina.site.stop()
    world.clock.move(days=6)
    await amina.site.start()
    await world.settle()
    # Then it is not published, and its author hears of it once
    assert await amina.site.count("listing") == 0
    told = await amina.site.instance.database.read(notifications.newest, amina.site.instance, amina.actor.id)
    assert [one.kind for one in told] == ["listing.missed"]
    # And it says no more that it will leave
    (draft,) = await amina.site.instance.database.read(drafts.newest, amina.site.instance, actor_id=amina.actor.id)
    assert (draft.id, draft.state) == (made.id, "draft")
    # And may give it a later end
    later = await amina.change(made, until=f"{world.clock.now() + timedelta(days=3):%Y-%m-%d}")
    await world.settle()
    assert later.state == "open"


async def test_an_embargo_holds(world: World) -> None:
    amina = await world.person("amina@a")
    made = await ask(amina, "public", Terms(embargo=world.clock.now() + timedelta(days=2)))
    assert made.state == "scheduled"
    await world.later(days=1)
    assert await amina.site.listings() == []
    await world.later(days=2)
    assert len(await amina.site.listings()) == 1


async def test_a_group_speaks_and_nobody_outside_sees_who(world: World) -> None:
    from fedmatch.board import acts

    amina, omar, reader = await world.person("amina@a"), await world.person("omar_canary@a"), await world.person("reader@b")
    instance = amina.site.instance
    group = Person(world, amina.site, await local.create(instance, "syrians", "Group"))
    for one in (amina, omar):
        await instance.database.write(local.add_operator, instance, group.actor, one.actor)
    await reader.follow(group.handle)
    await world.settle()
    made = await group.listing("request", TITLE, TEXT, categories=["PressAndMedia"], by=omar.actor)
    await world.settle()
    [there] = await reader.site.listings()
    assert there["author"] == group.handle
    assert [one.by for one in await instance.database.read(acts.newest, instance, group.actor)] == ["omar_canary"]
    assert "b" not in world.grep("omar_canary")
    assert "omar_canary" not in (await amina.site.get(made.url)).text + (await amina.site.get(group.uri)).text


async def test_part_by_part_it_is_fulfilled(world: World) -> None:
    from schemas.objects import Need

    amina = await world.person("amina@a")
    instance = amina.site.instance
    made = await ask(amina, "public", needs=[Need("editors", 2), Need("transmitter", 1, equipment=True)])

    async def do(act, *values, **named):
        async def body(tx: Transaction):
            return await act(tx, instance, made.id, *values, **named)

        return await instance.database.write(body)

    async def state() -> str | None:
        return await instance.database.read(listings.state_of, made.id)

    assert await do(life.take, 1, "Editors")
    assert not await do(life.take, 2, "editors")
    assert await do(life.take, 1, "transmitter")
    assert await state() == "open"
    assert await do(life.take)
    assert await state() == "matched"
    assert not await do(life.take)
    await do(life.give_back, 1, "transmitter")
    assert await state() == "open"
    with pytest.raises(life.NoSuchNeed):
        await do(life.take, 1, "money")
    assert await do(life.take, 1, "transmitter")
    await do(life.complete, 2, "editors")
    assert await state() == "matched"
    await do(life.complete, 1, "transmitter")
    assert await state() == "fulfilled"
    with pytest.raises(Exception, match="fulfilled"):
        await do(life.reopen)


async def test_a_full_offer_rests_until_somebody_gives_back_or_it_is_renewed(world: World) -> None:
    writer = await world.person("writer@a")
    instance = writer.site.instance
    made = await writer.listing("offer", "Five stories", "A month", categories=["PressAndMedia"], capacity=2)

    async def do(act, **named):
        async def body(tx: Transaction):
            return await act(tx, instance, made.id, **named)

        return await instance.database.write(body)

    assert await do(life.take)
    assert await do(life.take)
    assert await instance.database.read(listings.state_of, made.id) == "paused"
    assert not await do(life.take)
    await do(life.give_back)
    assert await instance.database.read(listings.state_of, made.id) == "open"
    assert await do(life.take)
    await do(life.complete)
    await do(life.complete)
    await do(life.renew)
    assert await instance.database.read(listings.state_of, made.id) == "open"
    now = await instance.database.read(listings.by_id, instance, made.id)
    assert now is not None
    note = await instance.database.read(_intent, writer.site, made.url)
    assert note["availableQuantity"]["hasNumericalValue"] == "2", "open or closed, never how many are left"
    assert now.json()["capacity"] == 2


async def _intent(tx: Transaction, site: Site, url: Iri) -> dict:  # type: ignore[type-arg]  # a document
    from outbox import posts
    from schemas import documents

    post = await posts.by_uri(tx, url)
    assert post is not None
    note = await publish.note(tx, site.instance, post)
    assert note is not None
    return documents.note(note)["publishes"]


async def test_a_server_that_came_and_took_it_hears_that_it_is_gone(world: World) -> None:
    # Given somebody elsewhere who follows nobody, but is known here, and looks at a request
    amina, reader = await world.person("amina@a"), await world.person("reader@b")
    await reader.post("hello", to=[amina.handle])
    await world.settle()
    made = await ask(amina, "public")
    await publish.bring(reader.site.instance, made.url)
    assert len(await reader.site.listings()) == 1
    # Then its server hears of the change and of the end
    await amina.change(made, title="Changed")
    await world.settle()
    assert [one["title"] for one in await reader.site.listings()] == ["Changed"]
    await amina.withdraw(made)
    await world.settle()
    assert await reader.site.listings() == []
    assert await amina.site.count("fetched") == 0


async def test_what_never_left_is_taken_back_by_the_delete_alone(world: World, three: tuple[Person, Site, Site]) -> None:
    amina, b, c = three
    await b.stop()
    made = await ask(amina, "network")
    changed = await amina.change(made, title="Changed")
    await world.settle()
    assert len(await held(c)) == 1
    await amina.withdraw(changed)
    waiting = (
        "select outgoing.kind from delivery join outgoing on outgoing.id = delivery.outgoing_id "
        "where delivery.state = 'waiting' and delivery.host_id = :host"
    )
    [host] = await amina.site.rows("select id from host where name = :name", name=b.host)
    assert [row["kind"] for row in await amina.site.rows(waiting, host=host["id"])] == ["Delete"]
    await b.start()
    await world.later(hours=2)
    assert await held(b) == await held(c) == []
    assert world.grep("CANARY") == {}
