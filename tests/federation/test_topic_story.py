"""One account follows a whole field of help: `@legalaid` and its like are made when looked up, announce what may be announced, and take it back everywhere.

Nobody learns who follows them: not from a page, not from a disk that was taken away.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from actors import quiet
from fedmatch import people
from fedmatch.board import deletion, identities, life, listings, review, services, social, topics, turns
from fedmatch.board.listings import Listing
from schemas.storage import Transaction
from tests.fakepeer import PUBLIC, FakeActor, FakePeer
from tests.personalities import GoToSocial, Hollo, Mastodon, Mastodon47, Personality, Snac, Takahe
from tests.wire import Answer, Reply
from tests.world import Person, Site, World

FOLLOWERS_OF = (Mastodon, GoToSocial, Takahe, Snac, Hollo)


async def judge(world: World, kind: type[Personality]) -> Personality:
    peer = await kind(world.clock.now).start()
    world.peers.append(peer)
    return peer


async def look_up(site: Site, word: str) -> Answer:
    return await site.get(f"/.well-known/webfinger?resource=acct:{word}@{site.host}")


async def follow(world: World, follower: FakeActor, site: Site, name: str, mode: str = "cavage") -> dict[str, Any]:
    """Follows a Service as every server does: WebFinger, the actor, a Follow to its inbox. Gives the Follow."""
    found = await look_up(site, name)
    assert found.status == 200, found.body
    [topic] = [link["href"] for link in found.json["links"] if link["rel"] == "self"]
    said = follower.follow(topic)
    assert (await follower.send(said, f"{topic}/inbox", mode)).status == 202
    await world.settle()
    return said


def heard(peer: FakePeer, kind: str) -> list[dict[str, Any]]:
    return [one.activity for one in peer.log if one.asked.method == "POST" and one.activity.get("type") == kind]


async def posted(person: Person, *, reviewed: bool = True, kind: str = "request", **more: Any) -> Listing:
    """A public listing, looked at by a person or not, whose Services are asked to announce it."""
    chosen = {"categories": ["LegalAid"], "skills": ["AsylumLaw"], "speaks": ["en"]} | more
    made = await person.listing(kind, chosen.pop("title", "A lawyer for an asylum hearing"), "The hearing is in May.", **chosen)
    instance = person.site.instance

    async def reviewed_now(tx: Transaction) -> Listing:
        await tx.execute("update listing set reviewed = :reviewed where post_id = :id", reviewed=int(reviewed), id=made.id)
        found = await listings.by_id(tx, instance, made.id)
        assert found is not None
        await topics.published(tx, instance, found)
        return found

    found = await instance.database.write(reviewed_now)
    instance.wake("job")
    return found


async def told(person: Person, what: Any, made: Listing) -> None:
    """Tells the Services that a listing of that person opened or closed."""
    instance = person.site.instance

    async def body(tx: Transaction) -> None:
        found = await listings.by_id(tx, instance, made.id)
        assert found is not None
        await what(tx, instance, found)

    await instance.database.write(body)
    instance.wake("job")
    instance.wake("delivery")


# Made when looked up.


async def test_a_service_is_made_when_it_is_looked_up_and_not_before(world: World) -> None:
    site = (await world.person("amina@a")).site
    assert await site.count("actor", "kind = 'Service'") == 0

    # Any spelling and any alias leads to the one
    for word in ("legalaid", "LegalAid", "legal-aid", "legal", "legal-other"):
        found = await look_up(site, word)
        assert found.status == 200
        assert found.json["subject"] == f"acct:legalaid@{site.host}"
    assert await site.count("actor", "kind = 'Service'") == 1

    actor = (await site.get("/users/legalaid")).json
    assert (actor["type"], actor["preferredUsername"], actor["name"]) == ("Service", "legalaid", "Legal aid")
    assert actor["discoverable"] is True
    assert "مساعدة قانونية" in actor["summary"]
    # A skill and a board too, also by their address first
    assert (await site.get("/users/asylumlaw")).json["type"] == "Service"
    assert (await site.get("/@requests")).json["type"] == "Service"
    # An id has one spelling; what is no word of ours is nobody
    assert (await site.get("/users/LegalAid")).status == 404
    for word in ("legality", "nobody", "other", "x" * 65):
        assert (await look_up(site, word)).status == 404
    assert (await site.get("/users/nobody")).status == 404
    assert await site.count("actor", "kind = 'Service'") == 3


PRODUCT_NAMES = [
    "legal-asylum", "legal-other", "journalism", "media-pr", "publicity-campaign", "translation", "interpreting", "writing-editing", "film-video",
    "arts-music", "satire-comedy", "design", "social-media", "technology", "digital-security", "censorship-circumvention", "radio", "satellite",
    "info-access", "policy-access", "advocacy-government", "research-documentation", "medical", "psychosocial", "relocation-shelter",
    "humanitarian-goods", "training", "fundraising-advice",
]  # fmt: skip


@pytest.mark.parametrize("name", PRODUCT_NAMES)
def test_every_name_that_people_use_for_a_field_leads_to_a_service(name: str) -> None:
    assert services.name_of(name) is not None


async def test_a_stranger_who_looks_up_all_of_them_makes_few_and_slowly(world: World) -> None:
    site = (await world.person("amina@a")).site
    names = ["journalism", "translation", "radio", "satellite", "design", "film", "tutoring", "editing", "theatre", "archiving"]
    names += ["health", "shelter", "training", "funding", "connectivity", "education", "relocation", "documentation", "organizing", "mentoring"]

    answers = await asyncio.gather(*(look_up(site, name) for name in names))

    assert {answer.status for answer in answers} == {200, 503}
    made = [answer for answer in answers if answer.status == 200]
    assert len(made) == await site.count("actor", "kind = 'Service'") <= services.MAKE_AT_ONCE + 1
    assert all(int(answer.header("retry-after")) > 0 for answer in answers if answer.status == 503)


# Followed, and nobody knows by whom.


async def test_a_follower_is_accepted_and_named_nowhere(world: World) -> None:
    # Given helpers on a server with a shared inbox, and one on a server without
    site = (await world.person("amina@a")).site
    shared, alone = await world.peer(), await world.peer()
    helper, hermit = shared.actor("canaryhelper"), alone.actor("canaryhermit")
    hermit.shared_inbox = False

    # When they follow
    for one in (helper, hermit):
        await follow(world, one, site, "legalaid")
        [accept] = heard(one.peer, "Accept")
        assert accept["object"]["actor"] == one.id
        assert accept["object"]["type"] == "Follow"

    # Then rows name servers, and the address of the hermit's inbox rests sealed
    assert await site.count("follow") == 0
    topic = await site.actor("legalaid")
    assert await site.instance.database.read(quiet.count, topic.id) == 2
    rows = await site.rows("select inbox from quiet_follower order by inbox")
    assert rows[0]["inbox"] == f"{shared.base}/inbox"
    assert rows[1]["inbox"].startswith("sealed:")
    for table in ("said", "outgoing", "delivery", "quiet_follower", "sealed_inbox", "announcement"):
        for row in await site.rows(f"select * from {table}"):
            assert "canary" not in repr(tuple(row)), table
    # And nobody is told how many or who
    page = (await site.get("/users/legalaid/followers")).json
    assert page["totalItems"] == 0
    assert "first" not in page
    assert "items" not in page


async def test_who_unfollows_blocks_or_is_gone_hears_nothing_more(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await world.peer()
    by_object, by_id, blocks, leaves, stays = (peer.actor(name) for name in ("one", "two", "three", "four", "five"))
    inbox = f"{amina.site.base}/users/legalaid/inbox"
    said = {one.name: await follow(world, one, amina.site, "legalaid") for one in (by_object, by_id, blocks, leaves, stays)}
    topic = await amina.site.actor("legalaid")
    count = quiet.count
    assert await amina.site.instance.database.read(count, topic.id) == 5

    await by_object.send(by_object.activity("Undo", said["one"]), inbox)
    await by_id.send(by_id.activity("Undo", said["two"]["id"]), inbox)
    await blocks.send(blocks.activity("Block", topic.uri), inbox)
    await leaves.send(leaves.activity("Delete", leaves.id, to=[PUBLIC]), inbox)
    await world.settle()

    assert await amina.site.instance.database.read(count, topic.id) == 1
    # Somebody else's Undo ends nobody's follow
    await by_object.send(by_object.activity("Undo", said["five"]), inbox)
    await world.settle()
    assert await amina.site.instance.database.read(count, topic.id) == 1
    # And who comes back is back
    await follow(world, by_object, amina.site, "legalaid")
    assert await amina.site.instance.database.read(count, topic.id) == 2


@pytest.mark.parametrize("by_id", [False, True])
async def test_an_undo_that_overtakes_its_follow_wins(world: World, by_id: bool) -> None:
    site = (await world.person("amina@a")).site
    helper = (await world.peer()).actor("helper")
    await look_up(site, "legalaid")
    topic = f"{site.base}/users/legalaid"
    now = world.clock.now()
    helper.peer.now = lambda: now  # it comes later, and was not signed later
    said = helper.follow(topic)
    undo = helper.activity("Undo", said["id"] if by_id else said)

    for activity in (undo, said):
        assert (await helper.send(activity, f"{topic}/inbox")).status == 202
        await world.settle()

    assert await site.count("quiet_follower") == 0
    assert heard(helper.peer, "Accept") == []


# Announced, and gone again.


@pytest.mark.parametrize("kind", FOLLOWERS_OF, ids=lambda kind: kind.__name__)
async def test_after_a_withdrawal_a_follower_holds_nothing(world: World, kind: type[Personality]) -> None:
    # Given a follower of @legalaid on another server
    amina = await world.person("amina@a")
    peer = await judge(world, kind)
    await follow(world, peer.actor("lawyer"), amina.site, "legalaid")
    # When a request is announced, it stands there, boosted
    made = await posted(amina)
    await world.settle()
    await peer.catch_up()
    assert peer.shown[made.url].boosted_by == (f"{amina.site.base}/users/legalaid",)
    [announce] = heard(peer, "Announce")
    assert announce["to"] == [PUBLIC]
    assert announce["object"] == made.url
    assert "published" not in announce
    # Then, withdrawn, it stands there no more
    await amina.withdraw(made)
    await world.settle()
    assert peer.shown == {}
    assert peer.refused == []


async def test_who_unfollowed_meanwhile_is_told_of_the_withdrawal_too(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await judge(world, Mastodon)
    lawyer = peer.actor("lawyer")
    said = await follow(world, lawyer, amina.site, "legalaid")
    made = await posted(amina)
    await world.settle()
    await peer.catch_up()
    await lawyer.send(lawyer.activity("Undo", said), f"{amina.site.base}/users/legalaid/inbox")
    await world.settle()

    await amina.withdraw(made)
    await world.settle()

    assert peer.shown == {}


async def test_an_announce_that_was_not_delivered_becomes_the_delete_alone(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await judge(world, Mastodon)
    await follow(world, peer.actor("lawyer"), amina.site, "legalaid")
    peer.always("/inbox", Reply(503))
    made = await posted(amina)
    await world.settle()
    await amina.withdraw(made)
    await world.settle()
    peer.always("/inbox", None)

    await world.later(hours=2)

    assert [one["type"] for one in (entry.activity for entry in peer.log if entry.asked.method == "POST" and entry.status < 300)][-1] == "Delete"
    assert peer.shown == {}
    assert [entry.activity["type"] for entry in peer.log if entry.asked.method == "POST" and entry.status == 202 and entry.activity["type"] == "Announce"] == []


async def test_a_listing_that_closes_is_announced_no_more_and_its_end_reaches_the_followers(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await judge(world, Mastodon)
    await follow(world, peer.actor("lawyer"), amina.site, "legalaid")
    made = await posted(amina)
    await world.settle()
    await peer.catch_up()

    await told(amina, topics.closed, made)
    await world.settle()

    [undo] = heard(peer, "Undo")
    assert undo["object"]["type"] == "Announce"
    assert undo["object"]["object"] == made.url
    assert peer.shown[made.url].boosted_by == ()
    assert await amina.site.count("post", "boost_of is not null") == 0
    # What becomes of it afterwards still reaches those followers
    await amina.withdraw(made)
    await world.settle()
    assert peer.shown == {}


async def test_it_is_announced_again_when_it_opens_again(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await judge(world, Mastodon)
    await follow(world, peer.actor("lawyer"), amina.site, "legalaid")
    made = await posted(amina)
    await world.settle()
    await told(amina, topics.closed, made)
    await told(amina, topics.published, made)
    await world.settle()

    announces = heard(peer, "Announce")
    assert len(announces) == 2
    assert announces[0]["id"] != announces[1]["id"]


async def test_one_server_hears_it_once_unless_its_people_follow_different_services(world: World) -> None:
    # Given a server where one follows two Services, and one whose people follow one each
    amina = await world.person("amina@a")
    one, two = await world.peer(), await world.peer()
    both = one.actor("both")
    for name in ("legalaid", "asylumlaw", "requests"):
        await follow(world, both, amina.site, name)
    await follow(world, two.actor("left"), amina.site, "legalaid")
    await follow(world, two.actor("right"), amina.site, "asylumlaw")

    await posted(amina)
    await world.settle()

    assert len(heard(one, "Announce")) == 1
    assert {said["actor"].rpartition("/")[2] for said in heard(two, "Announce")} == {"legalaid", "asylumlaw"}


async def test_without_a_review_only_vouched_authors_are_announced_and_nothing_as_urgent(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await world.peer()
    follower = peer.actor("lawyer")
    await follow(world, follower, amina.site, "legalaid")
    await follow(world, peer.actor("medic"), amina.site, "urgent")

    # Not looked at by anybody
    await posted(amina, reviewed=False, urgency="hours")
    await world.settle()
    assert heard(peer, "Announce") == []
    # Vouched for: announced, but not as urgent
    await amina.site.instance.database.write(_vouch, amina.uri, world.clock.ms() + 10**9)
    await posted(amina, reviewed=False, urgency="hours", title="Another lawyer")
    await world.settle()
    assert [said["actor"].rpartition("/")[2] for said in heard(peer, "Announce")] == ["legalaid"]
    # A person looked at it
    await posted(amina, urgency="hours", title="A third lawyer")
    await world.settle()
    assert [said["actor"].rpartition("/")[2] for said in heard(peer, "Announce")] == ["legalaid", "legalaid", "urgent"]


async def _vouch(tx: Transaction, subject: str, expires: int) -> None:
    await tx.execute(
        "insert into vouch (id, uri, subject, subject_key, level, method, state, issued, expires, document, changed_at) "
        "values (1, 'urn:v', :subject, '', 1, 'other', 'issued', 0, :expires, '', 0)",
        subject=subject,
        expires=expires,
    )


async def test_what_a_person_let_pass_is_urgent_no_longer_when_it_says_something_else(world: World) -> None:
    # Given a request that a person let pass, and that @urgent announced
    site = await world.site("a", review='"newcomers"')
    amina, peer = await world.person("amina@a"), await judge(world, Mastodon)
    await follow(world, peer.actor("medic"), site, "urgent")
    waits = await amina.listing("request", "A lawyer", "The hearing is tomorrow.", categories=["LegalAid"], urgency="hours")
    passed = await site.instance.database.write(review.approve, site.instance, waits.id, None)
    site.instance.wake("job")
    await world.settle()
    made = await site.instance.database.read(listings.by_id, site.instance, passed)
    assert made is not None
    assert [said["object"] for said in heard(peer, "Announce")] == [made.url]
    # When it is prolonged, nothing happens; when it says something else, nobody has seen that
    longer = await amina.change(made, until=(world.clock.now() + timedelta(days=3)).strftime("%Y-%m-%d"))
    await world.settle()
    assert heard(peer, "Undo") == []
    await world.later(minutes=1)
    await amina.change(longer, text="Buy my book.")
    await world.settle()
    assert [said["object"]["object"] for said in heard(peer, "Undo")] == [made.url]
    await site.instance.database.write(life.pause, site.instance, made.id)
    await world.later(minutes=1)
    await site.instance.database.write(life.reopen, site.instance, made.id)
    site.instance.wake("job")
    await world.settle()
    assert len(heard(peer, "Announce")) == 1


async def test_a_service_says_a_bounded_number_at_once_and_the_rest_later(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await world.peer()
    await follow(world, peer.actor("lawyer"), amina.site, "legalaid")
    many = turns.BURST + 3
    for number in range(many):
        await posted(amina, title=f"Lawyer number {number}")
    await world.settle()
    assert len(heard(peer, "Announce")) == turns.BURST
    # What is a matter of hours does not wait behind them
    await posted(amina, title="Tonight", urgency="hours")
    await world.settle()
    assert len(heard(peer, "Announce")) == turns.BURST + 1

    await world.later(hours=1)

    assert len(heard(peer, "Announce")) == many + 1


async def test_what_is_not_public_is_never_announced(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await world.peer()
    await follow(world, peer.actor("lawyer"), amina.site, "legalaid")
    made = await posted(amina, reviewed=False)

    async def body(tx: Transaction) -> None:
        from dataclasses import replace

        for audience in ("local", "peers", "network"):
            await topics.published(tx, amina.site.instance, replace(made, audience=audience, reviewed=True))
        for state in ("paused", "matched", "fulfilled", "expired", "withdrawn"):
            await topics.published(tx, amina.site.instance, replace(made, state=state, reviewed=True))

    await amina.site.instance.database.write(body)
    await world.settle()
    assert heard(peer, "Announce") == []
    assert await amina.site.count("announcement") == 0


# Listings of peers.


async def test_listings_of_a_trusted_peer_are_announced_if_its_switch_is_on(world: World) -> None:
    # Given an instance that trusts a peer, with the switch off
    site = (await world.person("amina@a")).site
    berlin, masto = await world.peer(), await judge(world, Mastodon)
    author = berlin.actor("group")
    await follow(world, masto.actor("lawyer"), site, "requests")
    note = _request(author)
    await author.send(author.create(note), f"{site.base}/inbox")
    await world.settle()
    await site.instance.database.write(_trust, berlin.host, 0)
    second = _request(author)
    await author.send(author.create(second), f"{site.base}/inbox")
    await world.settle()
    assert heard(masto, "Announce") == []
    # When it is on
    await site.instance.database.write(_trust, berlin.host, 1)
    third = _request(author)
    await author.send(author.create(third), f"{site.base}/inbox")
    await world.settle()
    # Then that is announced, and the author's server hears who holds it
    assert [said["object"] for said in heard(masto, "Announce")] == [third["id"]]
    assert [said["object"] for said in heard(berlin, "Announce")] == [third["id"]]
    # And deleted at home, it is taken back
    await author.send(author.delete(third), f"{site.base}/inbox")
    await world.settle()
    assert [said["object"]["object"] for said in heard(masto, "Undo")] == [third["id"]]
    # And over, while its home says nothing, too
    fourth = _request(author) | {"endTime": (world.clock.now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    await author.send(author.create(fourth), f"{site.base}/inbox")
    await world.settle()
    assert heard(masto, "Announce")[-1]["object"] == fourth["id"]
    await world.later(hours=3)
    assert [said["object"]["object"] for said in heard(masto, "Undo")] == [third["id"], fourth["id"]]


@pytest.mark.parametrize("one_time", [False, True], ids=["author", "one-time"])
async def test_what_a_peer_withdraws_is_gone_from_the_followers_of_our_services_too(world: World, one_time: bool) -> None:
    # Given somebody on Mastodon who follows a Service of ours, and of b, which we trust, nothing
    site = (reader := await world.person("amina@a")).site
    author = await world.person("group@b")
    new, old = await judge(world, Mastodon47), await judge(world, Mastodon)
    for peer in (new, old):
        await follow(world, peer.actor("lawyer"), site, "requests")
    await reader.follow(author.handle)
    await world.settle()
    await site.instance.database.write(_trust, author.site.host, 1)

    # When a request of b is announced by us
    if one_time:
        identity = await identities.make(author.site.instance, author.actor)
        author = Person(world, author.site, identity)
        await reader.follow(f"requests@{author.site.host}")
        await world.settle()
    made = await posted(author)
    await world.settle()
    for peer in (new, old):
        await peer.catch_up()
        assert peer.shown[made.url].boosted_by == (f"{site.base}/users/requests",)

    # and b withdraws it
    await author.withdraw(made)
    await world.settle()

    # Then it is gone where the author's own word is believed whoever brings it, and b never heard of its readers
    assert made.url not in new.shown
    assert new.refused == []
    deletes = [one for one in new.log if one.asked.method == "POST" and one.activity.get("type") == "Delete"]
    assert [(one.activity["actor"], one.activity["object"]["id"], one.signature) for one in deletes] == [(author.uri, made.url, "valid")]
    assert new.host not in str(await author.site.rows("select name from host"))
    # elsewhere at least nobody recommends it any more
    assert old.shown[made.url].boosted_by == ()
    # and the Delete tells no word of it
    assert "lawyer" not in str(deletes[0].activity)


def _request(author: FakeActor) -> dict[str, Any]:
    return author.note(
        "<p>Request: a lawyer</p>",
        purpose="request",
        urgency="hours",
        publishes={"type": "Intent", "id": f"{author.id}#primary", "action": "deliverService", "name": "A lawyer"},
    )


async def _trust(tx: Transaction, host: str, announce: int) -> None:
    row = await tx.one("select id from host where name = :name", name=host)
    assert row is not None
    await tx.execute(
        "insert into peer (host_id, level, since) values (:id, 'trusted', 0) on conflict (host_id) do update set level = 'trusted'", id=row["id"]
    )
    await tx.execute(
        "insert into handshake (host_id, application, inbox, announce) values (:id, 'x', 'x', :announce) "
        "on conflict (host_id) do update set announce = excluded.announce",
        id=row["id"],
        announce=announce,
    )


# Written to.


async def test_a_service_answers_a_private_message_once_a_day_in_its_language(world: World) -> None:
    site = (await world.person("amina@a")).site
    peer = await judge(world, GoToSocial)
    helper = peer.actor("canaryhelper")
    await look_up(site, "legalaid")
    topic = f"{site.base}/users/legalaid"
    for text in ("<p>canarywords one</p>", "<p>canarywords two</p>"):
        note = helper.direct(text, topic, f"@legalaid@{site.host}", contentMap={"ar": text})
        assert (await helper.send(helper.create(note), f"{topic}/inbox")).status == 202
        await world.settle()
    # One answer, in Arabic, with a Mention, to nobody else, without a link
    [answer] = heard(peer, "Create")
    letter = answer["object"]
    assert letter["to"] == [helper.id]
    assert not letter.get("cc")
    assert "http" not in letter["content"]
    assert "مساعدة قانونية" in letter["content"]
    assert [tag["href"] for tag in letter["tag"]] == [helper.id]
    assert peer.shown[letter["id"]].seen_by == "direct"
    # Nothing of it is kept
    assert await site.count("post") == 0
    assert world.grep("canarywords") == {}
    # After a day whom it answered is forgotten, and answered again
    assert await site.count("told_help") == 1
    await world.later(days=1, hours=1)
    assert await site.count("told_help") == 0
    note = helper.direct("<p>canarywords three</p>", topic, f"@legalaid@{site.host}")
    await helper.send(helper.create(note), f"{topic}/inbox")
    await world.settle()
    assert len(heard(peer, "Create")) == 2


async def test_an_answer_to_a_server_without_a_shared_inbox_names_nobody_on_disk(world: World) -> None:
    site = (await world.person("amina@a")).site
    hermit = (await world.peer()).actor("canaryhermit")
    hermit.shared_inbox = False
    await look_up(site, "legalaid")
    topic = f"{site.base}/users/legalaid"

    await hermit.send(hermit.create(hermit.direct("<p>Hello</p>", topic, f"@legalaid@{site.host}")), f"{topic}/inbox")
    await world.settle()

    assert len(heard(hermit.peer, "Create")) == 1
    for table in ("outgoing", "delivery", "sealed_inbox", "told_help"):
        for row in await site.rows(f"select * from {table}"):
            assert "canary" not in repr(tuple(row)), table
    # A week later the sealed address is gone with the delivery
    await world.later(days=8)
    assert await site.count("sealed_inbox") == 0


async def test_public_words_likes_and_boosts_move_a_service_to_nothing(world: World) -> None:
    amina = await world.person("amina@a")
    peer = await world.peer()
    helper, bot = peer.actor("helper"), peer.actor("bot", "Service")
    await follow(world, helper, amina.site, "legalaid")
    await posted(amina)
    await world.settle()
    topic = await amina.site.actor("legalaid")
    [announce] = heard(peer, "Announce")
    before = len(peer.log)

    await helper.send(helper.create(helper.note("<p>Hello</p>", cc=[topic.uri])), topic.inbox)
    await helper.send(helper.activity("Like", announce["id"]), topic.inbox)
    await helper.send(helper.activity("Announce", announce["id"], to=[PUBLIC]), topic.inbox)
    await bot.send(bot.create(bot.direct("<p>Beep</p>", topic.uri, "@legalaid")), topic.inbox)
    await world.settle()

    assert [entry for entry in peer.log[before:] if entry.asked.method == "POST"] == []
    assert await amina.site.count("post", "local = 0") == 0
    assert await amina.site.count("reaction") == 0


@pytest.mark.parametrize("kind", FOLLOWERS_OF, ids=lambda kind: kind.__name__)
async def test_what_becomes_of_a_listing_reaches_the_followers_of_its_services(world: World, kind: type[Personality]) -> None:
    # Given a follower of @legalaid, who follows nobody else here, with the request before them
    amina = await world.person("amina@a")
    peer = await judge(world, kind)
    await follow(world, peer.actor("lawyer"), amina.site, "legalaid")
    made = await posted(amina)
    await world.settle()
    await peer.catch_up()
    # When its text changes
    await amina.change(made, text="The hearing was moved to June.")
    await world.later(hours=1, minutes=5)
    # Then they read it; and when its time is over, that it is closed
    assert "moved to June" in peer.shown[made.url].text
    assert peer.shown[made.url].boosted_by == (f"{amina.site.base}/users/legalaid",)
    await world.later(days=40)
    assert peer.shown[made.url].boosted_by == ()
    assert "moved to June" not in str(heard(peer, "Undo"))
    status = heard(peer, "Update")[-1]["object"]["status"]
    assert status == "expired"
    assert [refusal.why for refusal in peer.refused] == []


async def test_a_listing_names_the_services_that_announce_it_and_lets_them(world: World) -> None:
    amina = await world.person("amina@a")
    for name in ("legalaid", "requests"):
        await look_up(amina.site, name)
    made = await posted(amina)
    await world.settle()

    note = (await amina.site.get(made.url)).json

    services = {f"{amina.site.base}/users/{name}" for name in ("legalaid", "requests")}
    assert services <= set(note["cc"])
    allowed = set(note["interactionPolicy"]["canAnnounce"]["automaticApproval"])
    assert PUBLIC in allowed or services <= allowed


# Followed by people of this instance.


async def test_people_here_follow_a_service_and_no_row_says_so(world: World) -> None:
    # Given somebody here who follows a field of help nobody looked up before: by its handle, and another by its page
    amina, reader, other = await world.person("amina@a"), await world.person("reader@a"), await world.person("other@a")
    site = amina.site
    assert await reader.follow(f"@legal@{site.host}") == "accepted"
    assert await reader.follow(f"{site.base}/@requests") == "accepted"
    with pytest.raises(people.NotFound, match="there is no legality here"):
        await reader.follow(f"legality@{site.host}")

    # When something of that field is announced, by both
    made = await posted(amina)
    await world.settle()
    # Then it stands in their home, once, and in nobody else's
    assert [entry["url"] for entry in await reader.home()] == [made.url]
    assert await other.home() == []
    # and nothing that lies on the disk says who follows what, nor that anybody's home holds it
    assert await site.rows("select * from home where actor_id = :reader", reader=reader.actor.id) == []
    assert await site.count("follow") == 0
    marks = [row["mark"] for row in await site.rows("select * from quiet_member")]
    assert len(marks) == len(set(marks)) == 2
    assert [topic.followers for topic in await site.instance.database.read(services.listed)] == [1, 1]

    # It goes when it closes, and when they follow no longer
    await amina.withdraw(made)
    await world.settle()
    assert await reader.home() == []
    second = await posted(amina)
    await world.settle()
    assert [entry["url"] for entry in await reader.home()] == [second.url]
    for name in ("legalaid", "requests"):
        service = await people.find(site.instance, name)
        assert await social.unfollow(site.instance, reader.actor, service)
        assert not await social.unfollow(site.instance, reader.actor, service)
    assert await reader.home() == []
    assert await site.count("quiet_member") == 0


async def test_who_ends_here_follows_nothing_any_more(world: World) -> None:
    reader = await world.person("reader@a")
    await reader.follow("offers")
    await deletion.delete_person(reader.site.instance, reader.actor)
    assert await reader.site.count("quiet_member") == 0
