"""What becomes of what ended, when an old backup comes back? Row F29, over requests, answers, conversations, vouches and identities, between real instances."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from actors import blocks, known, peers, trust
from actors.known import Actor
from fedmatch.backup import restore, take
from fedmatch.board import answers, conversations, deletion, identities, listings, publish, responses
from fedmatch.board.answers import Response
from fedmatch.board.listings import Listing
from fedmatch.board.terms import Floor, Terms
from fedmatch.cli.backup import _settle_in
from fedmatch.safety import border, vouches
from fedmatch.safety.border import Host
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.fakepeer import FakePeer
from tests.friends import befriend
from tests.world import Person, Site, World, grep

WORDS = "Kanarienvogel, der 1912 ging"


async def answer(helper: Person, listing: Listing, text: str) -> Response:
    """Answers from the helper's own instance."""
    site = helper.site.instance
    there = await site.database.read(listings.find, site, listing.url)
    assert there is not None

    async def body(tx: Transaction) -> Response:
        return await responses.answer(tx, site, helper.actor, there, text)

    made = await site.database.write(body)
    site.wake("delivery")
    await helper.world.settle()
    return made


async def act(person: Person, step: Any, about: Response, *values: Any) -> None:
    """One step of an answer, by either of the two."""
    site = person.site.instance
    (held,) = [one for one in await of(person) if one.words.offer == about.words.offer]

    async def body(tx: Transaction) -> None:
        await step(tx, site, person.actor, held, *values)

    await site.database.write(body)
    site.wake("delivery")
    await person.world.settle()


async def of(person: Person) -> list[Response]:
    site = person.site.instance
    return await site.database.read(answers.of_actor, site, person.actor)


async def by_offer(person: Person) -> dict[str, tuple[str, str]]:
    """How each answer stands, and what is kept of its text."""
    return {one.words.offer: (one.state, one.words.text) for one in await of(person)}


async def hidden(site: Site, person: Person) -> Actor:
    return await identities.make(site.instance, person.actor)


async def test_f29_what_ended_stays_ended_and_nobody_is_told_twice(world: World, peer: FakePeer) -> None:
    # Given two instances that trust each other, a follower elsewhere, and a board in full swing
    asker, gone, helper, other = [await world.person(who) for who in ("asker@a", "gone@a", "helper@b", "other@b")]
    a, b = asker.site, helper.site
    await befriend(world, a, b, count=3)
    follower = peer.actor("follower")
    await follower.send(follower.follow(asker.uri), asker.actor.inbox)
    readable: dict[str, Any] = {"audience": "network", "terms": Terms(readers=Floor(0))}
    kept = await asker.listing("request", "A lawyer", "Stays open.", **readable)
    closed = await asker.listing("request", "A doctor", f"{WORDS}: will be withdrawn.", **readable)
    done = await asker.listing("offer", "A room", "Will be fulfilled.")
    deleted = await asker.post(f"{WORDS}: will be deleted.")
    await world.settle()
    taken_back = await answer(helper, kept, "will be withdrawn")
    refused = await answer(other, closed, "will be declined")
    theirs = await asker.site.instance.database.write(vouches.issue, a.instance, asker.actor, 3, "in-person", staff="operator")
    lowered = await b.instance.database.write(vouches.issue, b.instance, helper.actor, 3, "video-call", staff="operator")
    talk = await asker.listing("request", "An interpreter", "For a talk.", **readable)
    await world.settle()
    spoken = await answer(helper, talk, "we shall talk")
    await act(asker, responses.accept, spoken)
    await act(helper, conversations.say, spoken, f"{WORDS}: was said")
    ended = await hidden(a, asker)
    await asker.listing("request", "Later", "Is published in the lost time.", delay=(3600, 3600))
    await world.settle()
    # When a backup is taken, and then all of it ends
    copy = await take.take(a.instance, world.folder / "copies" / "old.fedmatch")
    assert grep(copy.path.parent, WORDS) == []
    await world.later(hours=2)
    await publish.withdraw(a.instance, closed)
    await asker.delete(deleted.uri)
    await act(helper, responses.withdraw, taken_back)
    await a.instance.database.write(vouches.revoke, a.instance, theirs.id, staff="operator")
    await b.instance.database.write(vouches.revoke, b.instance, lowered.id, staff="operator")
    b.instance.wake("delivery")
    await act(asker, responses.complete, spoken)
    (over,) = [one for one in await of(asker) if one.id == spoken.id or one.words.offer == spoken.words.offer]

    async def forget(tx: Transaction) -> None:
        await tx.execute(conversations.END, response_id=over.id)

    await a.instance.database.write(forget)
    await deletion.delete_person(a.instance, gone.actor)
    await deletion.delete_person(a.instance, ended)
    await identities_ended(a, ended)
    born = await world.person("born@a")
    await world.settle()
    said_before = {activity["id"] for activity in peer.activities()}
    arrived_before = await b.count("arrival")
    # And the disk is lost, but for its ledger and its key
    await a.stop()
    (a.config.folder / "fedmatch.db").unlink()
    found = restore.open_backup(copy.path, a.config)
    result = await restore.restore(found, a.config, world.clock.ms())
    assert result.aside is None
    await _settle_in(a.config, None)
    await a.start()
    await world.settle()
    # Then what ended is ended
    assert grep(a.config.folder, WORDS) == []
    urls = {row["uri"] for row in await a.rows("select post.uri from listing join post on post.id = listing.post_id where listing.state = 'open'")}
    assert urls == {kept.url, done.url}, "not what was withdrawn, fulfilled, or published from a draft since"
    assert (await a.get(deleted.uri)).status == 410
    assert (await a.get(closed.url)).status in {404, 410}
    assert await a.count("draft") == 0, "what was scheduled was published since"
    assert await by_offer(asker) == {
        taken_back.words.offer: ("withdrawn", ""),
        refused.words.offer: ("declined", ""),
        spoken.words.offer: ("completed", "we shall talk"),
    }
    assert await a.count("conversation") == 0
    assert {one.state for one in await a.instance.database.read(vouches.list_all, asker.uri)} == {"revoked"}
    for name in (gone.actor.username, ended.username):
        actor = await a.instance.database.read(known.by_name, name)
        assert actor is not None
        assert actor.state == "gone"
    assert await a.count("identity") == 0
    assert await a.instance.database.read(known.by_name, born.actor.username) is None
    # And a vouch that its issuer took back in the lost time weighs nothing
    again = await a.instance.database.read(vouches.standing, a.instance, await helper_here(a, helper), taken_back.words.vouches)
    assert again.level == 0
    # And nobody hears anything twice
    assert {activity["id"] for activity in peer.activities()} == said_before
    assert await b.count("arrival") == arrived_before
    # And life goes on: what is still open can be answered
    fresh = await answer(other, kept, "a new answer")
    await act(asker, responses.accept, fresh)
    assert (await by_offer(other))[fresh.words.offer][0] == "accepted"


async def identities_ended(site: Site, actor: Actor) -> None:
    """As its job ends it."""
    await site.instance.database.write(identities._ended, site.instance, actor.id)


async def helper_here(site: Site, helper: Person) -> Actor:
    found = await site.instance.database.read(known.by_uri, helper.actor.uri)
    assert found is not None
    return found


async def test_f29_trust_that_was_taken_away_stays_away(world: World, peer: FakePeer) -> None:
    asker, helper = await world.person("asker@a"), await world.person("helper@b")
    a, b = asker.site, helper.site
    await befriend(world, a, b)
    rude = peer.actor("rude")
    await rude.send(rude.follow(asker.uri), asker.actor.inbox)
    await world.settle()
    rule = border.Person(trust.spelled(rude.id))
    copy = await take.take(a.instance, world.folder / "old.fedmatch")
    nasty = await a.instance.database.read(known.by_uri, Iri(rude.id))
    assert nasty is not None
    await border.decide(a.instance, rule, "limited", "rude")
    await border.decide(a.instance, Host(nasty.host), "limited", "rude")
    await a.instance.database.write(blocks.add, a.instance, asker.actor, nasty)
    await border.decide(a.instance, Host(b.host), "blocked", "seized")
    await world.settle()
    # Restored over the database that is there, which is set aside
    await a.stop()
    found = restore.open_backup(copy.path, a.config)
    result = await restore.restore(found, a.config, world.clock.ms(), replace=True)
    assert result.aside is not None
    with closing(sqlite3.connect(Path(result.aside) / "fedmatch.db")) as aside:
        assert aside.execute("select level from peer order by level").fetchall() == [("blocked",), ("limited",)]
    await a.start()
    assert await a.instance.database.read(peers.level, b.host) == "blocked"
    assert await a.instance.database.read(peers.level, nasty.host) == "limited"
    assert await a.instance.database.read(blocks.blocks, asker.actor.id, nasty.id)
    rules = await a.rows("select kind, subject, level from border_rule")
    assert [tuple(row) for row in rules] == [("actor", trust.spelled(rude.id), "limited")]
    partner = await a.instance.database.read(peers.partner_named, b.host)
    assert partner is not None
    assert not partner.ready
    await asker.listing("request", "A lawyer", f"{WORDS}: not for them", audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()
    assert grep(b.folder, WORDS) == []
