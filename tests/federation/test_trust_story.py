"""What is not public goes to an instance whose words were compared, sealed to the key it had then; and to nobody else, whatever happens to its name."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from actors import handshake, known, peers, sealing
from actors.sealing import Way
from fedmatch import rotation
from fedmatch.cli.main import main
from fedmatch.safety import audit, border, exposure, peering, vouches
from fedmatch.safety.border import Host
from fedmatch.safety.peering import CannotPeer
from outbox import confidential
from outbox import publish as outgoing
from outbox.address import Inbox
from outbox.confidential import NotTrusted
from schemas import documents, sealed
from schemas.activities import Create
from schemas.events import PeerLost, PeerTrusted, VouchesChanged
from schemas.objects import Note, Proposal, Vouch
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.friends import befriend, confide, holds, partner
from tests.world import Person, Site, World, open_world

CANARY = "helianthus under the third bridge"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def friends(world: World) -> tuple[Person, Site]:
    """Amina on a, and b, whom a trusts."""
    amina = await world.person("amina@a")
    b = await world.site("b", worker=True)
    await befriend(world, amina.site, b)
    return amina, b


def told(site: Site) -> list[object]:
    """What the product is told from now on about peers."""
    heard: list[object] = []

    async def note(_tx: Transaction, event: object) -> None:
        heard.append(event)

    subscribers = dict(site.instance.subscribers)
    for kind in (PeerLost, PeerTrusted):
        subscribers[kind] = (*subscribers.get(kind, ()), note)  # type: ignore[arg-type]  # hears these two only
    site.instance.subscribers = subscribers
    return heard


async def waiting(site: Site) -> int:
    return await site.count("delivery join outgoing on outgoing.id = delivery.outgoing_id", "confidential = 1 and delivery.state = 'waiting'")


async def test_two_admins_compare_words_and_then_something_sealed_arrives(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    await confide(amina, b, CANARY)
    await world.settle()
    assert await holds(b, f"{amina.uri}/secret/1")
    assert world.grep(CANARY) == {}
    row = (await b.rows("select visibility, content from post where uri = :uri", uri=f"{amina.uri}/secret/1"))[0]
    assert (row["visibility"], row["content"]) == ("direct", None)
    # Nothing on the sender's disk says what it was about, or who said it
    out = (await amina.site.rows("select uri, kind, object, ordering_key, body from outgoing where confidential = 1"))[0]
    assert "secret" not in json.dumps([out["uri"], out["object"], out["ordering_key"]])
    assert "amina" not in json.dumps([out["uri"], out["object"], out["ordering_key"]])
    assert out["body"] is None


async def test_before_both_said_yes_nothing_may_leave(world: World) -> None:
    amina = await world.person("amina@a")
    b = await world.site("b")
    a = amina.site
    await peering.add(a.instance, b.host)
    await world.settle()
    with pytest.raises(NotTrusted):
        await confide(amina, b, CANARY)
    # a's admin trusts; b has not accepted
    await peering.trust(a.instance, await peering.words(a.instance, b.host))
    await world.settle()
    with pytest.raises(NotTrusted):
        await confide(amina, b, CANARY)
    # b's side sees that it was asked; when its admin trusts as well, all is said
    assert (await partner(b, a)).asked is not None
    await peering.add(b.instance, a.host)
    await peering.trust(b.instance, await peering.words(b.instance, a.host))
    await world.settle()
    await confide(amina, b, CANARY)
    await world.settle()
    assert await holds(b, f"{amina.uri}/secret/1")


async def test_the_domain_is_seized(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    a = amina.site
    heard = told(a)
    # Given another machine behind the same name, with a key of its own and everything else in order
    await b.stop()
    seized = await world.site("seized", port=int(b.host.rpartition(":")[2]))  # type: ignore[arg-type]  # a number goes through
    await world.later(minutes=2)
    # When something is to go there
    await confide(amina, b, CANARY)
    await world.settle()
    # Then nothing does: the trust ended with this one delivery, which waits
    lost = await partner(a, b)
    assert (lost.level, lost.ready) == ("known", False)
    assert "no pinned key" in (lost.lost_why or "")
    assert [type(event) for event in heard] == [PeerLost]
    assert await waiting(a) == 1
    assert world.grep(CANARY) == {}
    arrived = await seized.rows("select uri from arrival")
    assert all("#rejects/" in row["uri"] for row in arrived)
    # Again nothing, and no new words: an admin would have to read them
    await world.later(hours=30)
    assert (await waiting(a), world.grep(CANARY)) == (1, {})
    # When the name is theirs again and the admins talk, what waited goes
    await seized.stop()
    await b.start()
    await peering.trust(a.instance, await peering.words(a.instance, b.host))
    await world.settle()
    await world.later(hours=1)
    await peering.trust(b.instance, await peering.words(b.instance, a.host))
    await world.settle()
    assert await holds(b, f"{amina.uri}/secret/1")


async def test_a_name_seized_within_the_minute_gets_what_it_cannot_open(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    await b.stop()
    seized = await world.site("seized", port=int(b.host.rpartition(":")[2]))  # type: ignore[arg-type]  # a number goes through
    await confide(amina, b, CANARY)
    await world.settle()
    assert not await holds(seized, f"{amina.uri}/secret/1")
    assert world.grep(CANARY) == {}
    # Not even with everything that machine knows
    assert await seized.instance.database.read(sealing.listed) != ()
    # And the next one is not sent at all
    await world.later(minutes=2)
    await confide(amina, b, CANARY, number=2)
    await world.settle()
    assert (await partner(amina.site, b)).level == "known"
    assert await waiting(amina.site) == 1


async def test_new_keys_that_the_old_ones_signed_keep_the_trust(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    a = amina.site
    before = await b.instance.database.read(sealing.listed)
    for _ in range(2):
        await rotation.rotate_keys(b.instance, await b.instance.database.read(known.application))
    await world.settle()
    assert await b.instance.database.read(sealing.listed) != before
    await world.later(minutes=2)
    await confide(amina, b, CANARY)
    await world.settle()
    assert (await partner(a, b)).ready
    assert await holds(b, f"{amina.uri}/secret/1")
    # And the other way: what b seals with its new key is opened
    bilal = await world.person("bilal@b")
    await confide(bilal, a, CANARY)
    await world.settle()
    assert await holds(a, f"{bilal.uri}/secret/1")
    # Weeks later, when the old keys are listed no more, the statements still lead there
    await world.later(days=9)
    await confide(amina, b, CANARY, number=2)
    await world.settle()
    assert await holds(b, f"{amina.uri}/secret/2")


async def test_a_statement_by_somebody_elses_key_is_worth_nothing(world: World, friends: tuple[Person, Site]) -> None:
    _amina, b = friends
    confirmed = await friends[0].site.instance.database.read(handshake.pinned, (await partner(friends[0].site, b)).host_id)
    other = await world.site("c")
    await rotation.rotate_keys(other.instance, await other.instance.database.read(known.application))
    greeting = await other.instance.database.read(handshake.greeting, other.instance)
    document = await other.instance.database.read(_document, other)
    assert handshake.judge(confirmed, handshake.keys_of(document), greeting.rotations) == "it shows a key that no pinned key signed"


async def _document(tx: Transaction, site: Site) -> object:
    from actors import local

    return await local.document(tx, site.instance, await known.application(tx))


@pytest.mark.parametrize("level", ["limited", "blocked", "known"])
async def test_taking_trust_away_stops_everything_at_once(world: World, friends: tuple[Person, Site], level: str) -> None:
    amina, b = friends
    a = amina.site
    heard = told(a)
    await a.stop()
    await a.start(worker=False)
    heard = told(a)
    await confide(amina.__class__(world, a, amina.actor), b, CANARY)
    assert await waiting(a) == 1
    await border.decide(a.instance, Host(b.host), level, "they were searched")  # type: ignore[arg-type]  # one of the three
    # Given up and erased, before anything could run
    assert await waiting(a) == 0
    assert await a.count("outgoing", "confidential = 1 and body is not null") == 0
    assert [(type(event), getattr(event, "level", "")) for event in heard] == [(PeerLost, level)]
    with pytest.raises(NotTrusted):
        await confide(Person(world, a, amina.actor), b, CANARY, number=2)
    a.work()
    await world.settle()
    assert not await holds(b, f"{amina.uri}/secret/1")
    # The other side knows, unless it is blocked: a blocked one is told nothing
    assert (await partner(b, a)).ready is (level == "blocked")


async def test_a_removed_peer_is_a_stranger_and_may_begin_again(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    a = amina.site
    heard = told(a)
    assert await border.forget(a.instance, Host(b.host), "no longer with us")
    await world.settle()
    assert [type(event) for event in heard] == [PeerLost]
    assert await a.instance.database.read(peers.partner_named, b.host) is None
    assert (await partner(b, a)).ready is False
    await world.later(seconds=3)  # a Follow and what ended it are told apart by the second they were signed in
    await befriend(world, a, b)
    await confide(amina, b, CANARY)
    await world.settle()
    assert await holds(b, f"{amina.uri}/secret/1")


async def test_a_locked_instance_keeps_what_arrives(world: World) -> None:
    amina = await world.person("amina@a")
    b = await world.site("b", passphrase="five words are enough here")
    await befriend(world, amina.site, b)
    await b.stop()
    b.passphrase, kept = None, b.passphrase
    await b.start()
    await confide(amina, b, CANARY)
    await world.settle()
    assert not await holds(b, f"{amina.uri}/secret/1")
    assert await b.count("arrival", "state in ('waiting', 'unverified')") >= 1
    assert kept is not None
    b.instance.vault.unlock(kept.encode())
    b.instance.wake("arrival")
    await world.settle()
    assert await holds(b, f"{amina.uri}/secret/1")
    assert world.grep(CANARY) == {}


async def seal_by_hand(sender: Person, to: Site, document: dict[str, object], *, key: sealing.SealingKey | None = None) -> str:
    """Sends any document sealed, as a peer's program could that was changed by its admin."""
    site, theirs = sender.site, await partner(sender.site, to)
    instance = site.instance
    application = await instance.database.read(known.application)

    async def both(tx: Transaction) -> tuple[sealing.SealingKey, object]:
        return await sealing.current(tx, instance), await handshake.sealing_to(tx, theirs.host_id)

    ours, receiver = await instance.database.read(both)
    uri = Iri(f"{site.base}/sealed/{instance.ids.new()}")
    envelope = sealing.seal(documents.dumps(document), Way(uri, site.instance.config.authority, to.host), key or ours, receiver)  # type: ignore[arg-type]
    body = documents.dumps(sealed.outer(uri, application.uri, theirs.application, envelope))

    async def queue(tx: Transaction) -> None:
        inbox = Inbox(theirs.inbox, theirs.host_id)
        await outgoing.queue(tx, instance, application, body, [inbox], uri=uri, kind="Sealed", object=theirs.application, ordering_key=uri)

    await instance.database.write(queue)
    instance.wake("delivery")
    return uri


def create(actor: str, to: str, number: int = 7, **members: object) -> dict[str, object]:
    """The Create of a request, as JSON that a test may bend."""
    words = Proposal("request", "Something that is not public", CANARY, categories=("LegalAid",))
    when = datetime(2026, 11, 1, 10, tzinfo=UTC)
    note = Note(id=Iri(f"{actor}/secret/{number}"), attributed_to=Iri(actor), content=CANARY, published=when, to=(Iri(to),), proposal=words)
    document = documents.activity(Create(id=Iri(f"{note.id}#create"), actor=note.attributed_to, object=note, to=note.to))
    document["object"] |= members
    return document


async def test_a_peer_speaks_for_its_own_host_alone(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    app = (await b.instance.database.read(known.application)).uri
    carol = await world.person("carol@c")
    bilal = await world.person("bilal@b")
    refused = [
        create(carol.uri, app),  # somebody of another host
        create(bilal.uri, app),  # somebody of the reader's own
        create(amina.uri, app) | {"to": [app, documents.PUBLIC]},  # everybody
        create(amina.uri, app, cc=[carol.uri]),  # a third host is named
        {"@context": documents.AS, "id": f"{amina.uri}#f", "type": "Follow", "actor": amina.uri, "object": bilal.uri, "to": [app]},  # said in the open only
        create(amina.uri, app) | {"id": f"{carol.uri}#1"},  # an id of another host
    ]
    for document in refused:
        await seal_by_hand(amina, b, document)
    await world.settle()
    assert await b.count("post") == 0
    assert await b.count("follow") == 0
    # The very same, said rightly, is heard
    await seal_by_hand(amina, b, create(amina.uri, app))
    await world.settle()
    assert await b.count("post") == 1


def inner(amina: str, bilal: str, carol: str, app: str) -> dict[str, dict[str, object]]:
    """What may not lie inside a seal, by name: each from somebody who lives where the seal was made, to the one who opens it."""
    follow = {"type": "Follow", "id": f"{bilal}#follow", "actor": bilal, "object": amina}
    hers = {"id": f"{amina}#mine", "actor": amina, "object": bilal}
    offer = {"type": "Offer", "id": f"{amina}/offers/1", "actor": amina, "object": {"type": "Person", "id": amina}}
    post = {"type": "Note", "id": f"{amina}/secret/9", "attributedTo": amina, "content": "words", "to": [app]}
    told: dict[str, dict[str, object]] = {
        "another seal": {"type": "Sealed", "sealed": {"key": app, "from": app, "ephemeral": "z6LS", "payload": "AAAA"}},
        "a create of a seal": {"type": "Create", "object": {"type": "Sealed", "id": f"{amina}/s/1", "actor": amina, "sealed": {}}},
        "a create of a create": {"type": "Create", "object": {"type": "Create", "id": f"{amina}/c/1", "actor": amina, "object": post}},
        "a create by its id": {"type": "Create", "object": f"{amina}/secret/9"},
        "an update by its id": {"type": "Update", "object": f"{amina}/secret/9"},
        "a new profile": {"type": "Update", "object": {"type": "Person", "id": amina, "inbox": f"{amina}/inbox", "preferredUsername": "amina"}},
        "a vote": {"type": "Create", "object": {"type": "Note", "id": f"{amina}/v/1", "name": "yes", "inReplyTo": f"{bilal}/q/1", "attributedTo": amina}},
        "in a list, addressed to a third": {"type": "Create", "object": [{**post, "cc": [carol]}]},
        "a follow called an offer": {"type": ["Offer", "Follow"], "object": bilal},
        "a block called a rejection": {"type": ["Block", "Reject"], "object": bilal},
        "a yes to a follow": {"type": "Accept", "object": follow},
        "a no to a follow": {"type": "Reject", "object": follow},
        "an offer of nothing": dict(offer),
        "a call from nowhere": {"type": "fm:Ring", "object": bilal},
    }
    for kind in ("Follow", "Block", "Like", "Announce", "EmojiReact", "Add", "Remove", "Move", "View", "Arrive"):
        told[f"a {kind.lower()}"] = {"type": kind, "object": bilal, "target": bilal, "content": "\N{THUMBS UP SIGN}"}
    for kind in ("Follow", "Block", "Like", "Announce", "Accept"):
        told[f"an undone {kind.lower()}"] = {"type": "Undo", "object": {"type": kind, **hers}}
    common = {"@context": documents.AS, "actor": amina, "to": [app]}
    return {name: {**common, "id": f"{amina}#inner/{number}", **one} for number, (name, one) in enumerate(told.items())}


async def everything_of(site: Site) -> dict[str, int]:
    """How much of each kind a site holds."""
    names = ("post", "follow", "listing", "home", "report", "notification", "tombstone", "block", "reaction", "waiting_message")
    found = {row["name"] for row in await site.rows("select name from sqlite_master where type = 'table'")}
    return {name: await site.count(name) for name in names if name in found}


async def test_what_is_said_in_the_open_is_refused_inside_a_seal(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    bilal = await world.person("bilal@b")
    carol = await world.person("carol@c")
    app = (await b.instance.database.read(known.application)).uri
    # Given that they know each other in the open, and a follow of hers that stands
    await bilal.follow(amina.handle)
    await amina.follow(bilal.handle)
    await world.settle()
    before, follows = await everything_of(b), await b.rows("select state from follow order by id")
    assert [row["state"] for row in follows] == ["accepted", "accepted"]
    # When her host says each of these sealed
    bad = inner(amina.uri, bilal.uri, carol.uri, app)
    uris = {name: await seal_by_hand(amina, b, document) for name, document in bad.items()}
    await world.settle(60)
    # Then none of them is done, and the queue says of each that it was not
    errors = {row["uri"]: (row["state"], row["error"]) for row in await b.rows("select uri, state, error from arrival")}
    assert {name for name, uri in uris.items() if errors[uri][0] != "failed"} == set()
    assert await everything_of(b) == before
    assert await b.rows("select state from follow order by id") == follows
    assert not any("secret" in str(error) or "amina" in str(error) for _, error in errors.values())


async def test_by_its_id_a_seal_takes_back_an_offer_and_nothing_else(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    bilal = await world.person("bilal@b")
    app = (await b.instance.database.read(known.application)).uri
    await bilal.follow(amina.handle)
    await amina.follow(bilal.handle)
    await world.settle()
    asked, given = [row["uri"] for row in await b.rows("select follow.uri from follow join actor on actor.id = follow.follower_id order by actor.local desc")]
    for number, (kind, about) in enumerate([("Reject", asked), ("Undo", given)]):
        document = {"@context": documents.AS, "id": f"{amina.uri}#ids/{number}", "type": kind, "actor": amina.uri, "object": about, "to": [app]}
        await seal_by_hand(amina, b, document)
    await world.settle()
    assert {row["state"] for row in await b.rows("select state from follow")} == {"accepted"}
    assert await b.count("follow") == 2


async def test_the_seal_needs_the_key_that_was_confirmed(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    app = (await b.instance.database.read(known.application)).uri
    ours = await amina.site.instance.database.read(sealing.current, amina.site.instance)
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    # Whoever holds the signing keys and the name, but not the sealing key
    await seal_by_hand(amina, b, create(amina.uri, app), key=sealing.SealingKey(ours.uri, X25519PrivateKey.generate()))
    await seal_by_hand(amina, b, create(amina.uri, app), key=sealing.SealingKey(Iri(f"{ours.uri}9"), X25519PrivateKey.generate()))
    await world.settle()
    assert await b.count("post") == 0
    assert await b.count("arrival", "state = 'failed'") == 2


async def test_the_same_inside_twice_is_heard_once(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    app = (await b.instance.database.read(known.application)).uri
    heard: list[object] = []
    for _ in range(3):
        await seal_by_hand(amina, b, create(amina.uri, app))
    await world.settle()
    assert await b.count("post") == 1
    assert await b.count("arrival", "uri = :uri", uri=f"{amina.uri}/secret/7#create") == 1
    assert heard == []


async def test_what_came_sealed_is_not_answered_in_the_open(world: World, friends: tuple[Person, Site]) -> None:
    """A letter that says "nothing waits for this" would show whoever reads the line that somebody wrote, and in which language."""
    amina, b = friends
    instance, theirs = amina.site.instance, await partner(amina.site, b)
    now = instance.clock.now().replace(microsecond=0)
    note = Note(id=Iri(f"{amina.uri}/words/1"), attributed_to=Iri(amina.uri), content="<p>withdraw</p>", language="fa", published=now, to=(theirs.application,))
    create = Create(id=Iri(f"{note.id}#create"), actor=note.attributed_to, object=note, to=note.to)

    async def body(tx: Transaction) -> None:
        await confidential.publish(tx, instance, amina.actor, create, theirs.host_id, object=note.id, ordering_key=f"{theirs.host} {note.id}")

    await instance.database.write(body)
    instance.wake("delivery")
    await world.settle()
    assert await b.count("arrival", "state = 'done'") >= 1
    assert await b.count("outgoing", "kind = 'Create'") == 0
    assert await amina.site.count("post", "local = 0") == 0


async def test_what_a_peer_wrote_before_we_trusted_it_anew_is_not_lost(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    a = amina.site
    # b lost its trust in a by a mistake of b's own: its admin has to read the words again
    lost = await partner(b, a)

    async def lose(tx: Transaction) -> None:
        await handshake.lose(tx, b.instance, lost, "a test says so")

    await b.instance.database.write(lose)
    await confide(amina, b, CANARY)
    await world.settle()
    assert not await holds(b, f"{amina.uri}/secret/1")
    await peering.trust(b.instance, await peering.words(b.instance, a.host))
    await world.later(hours=7)
    assert await holds(b, f"{amina.uri}/secret/1")


async def test_a_blocked_host_makes_no_handshake_and_no_friend_of_itself(world: World) -> None:
    a, b = await world.site("a"), await world.site("b")
    await border.decide(a.instance, Host(b.host), "blocked")
    with pytest.raises(CannotPeer, match="is blocked"):
        await peering.add(a.instance, b.host)
    with pytest.raises(CannotPeer, match="itself"):
        await peering.add(a.instance, a.host)
    await peering.add(b.instance, a.host)
    await world.settle()
    assert await a.instance.database.read(peers.partner_named, b.host) is None


async def test_words_change_with_any_key_and_with_the_host() -> None:
    key = handshake.PeerKey("ed25519", Iri("https://a.example/actor#e"), bytes(32))
    other = handshake.PeerKey("ed25519", Iri("https://b.example/actor#e"), bytes(31) + b"\x01")
    mine, theirs = ("a.example", (key,)), ("b.example", (other,))
    assert handshake.words(mine, theirs) == handshake.words(theirs, mine)
    assert handshake.words(mine, theirs) != handshake.words(mine, ("c.example", (other,)))
    assert handshake.words(mine, theirs) != handshake.words(mine, ("b.example", (other, key)))
    words, digits = handshake.words(mine, theirs)
    assert (len(words), len(digits)) == (6, 6)
    assert [handshake.wordlist()[int(number)] for number in digits] == list(words)
    assert (len(handshake.wordlist()), len(set(handshake.wordlist()))) == (7776, 7776)


async def test_keys_that_change_between_words_and_trust_are_not_pinned(world: World) -> None:
    a, b = await world.site("a"), await world.site("b")
    await peering.add(a.instance, b.host)
    read = await peering.words(a.instance, b.host)
    await rotation.rotate_keys(b.instance, await b.instance.database.read(known.application))
    await peering.words(a.instance, b.host)
    with pytest.raises(CannotPeer, match="read the words again"):
        await peering.trust(a.instance, read)


async def test_terms_are_read_before_trust(world: World) -> None:
    a = await world.site("a")
    b = await world.site("b", jurisdiction='["DE"]', readers='"Helpers we met."')
    added = await peering.add(a.instance, b.host)
    assert (added.terms.jurisdiction, added.terms.readers, added.terms.review) == ("DE", "Helpers we met.", "")


async def test_what_staff_did_about_peers_stands_in_the_log(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    await border.decide(amina.site.instance, Host(b.host), "limited", "they were searched")
    log = await audit.check(amina.site.instance)
    assert [(entry.action, entry.about) for entry in log.entries] == [
        ("peer.add", b.host),
        ("peer.trust", f"{b.host} 0"),
        ("peer.level", f"{b.host} limited"),
    ]
    assert log.entries[-1].reason == "they were searched"
    assert log.holds


async def test_a_vouch_that_is_taken_back_is_told_to_who_has_it_and_to_nobody_else(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    a = amina.site
    c = await world.site("c")
    await befriend(world, a, c, count=3)
    theirs = await b.instance.database.read(peers.partner_named, a.host)
    assert theirs is not None
    await b.instance.database.write(handshake.rate, b.instance, theirs.host_id, 3, False)
    said = await a.instance.database.write(issued, a, amina)
    await a.instance.database.write(vouches.given, a.instance, said, (await partner(a, b)).host_id)
    # b has seen her, and the vouch came with what she sent
    await confide(amina, b, "something")
    await world.settle()
    there = await b.instance.database.read(known.by_uri, amina.uri)
    assert there is not None
    found = await b.instance.database.read(vouches.standing, b.instance, there, [said])
    assert (found.level, found.issuers) == (2, (a.host,))
    changes: list[object] = []

    async def note(_tx: Transaction, event: object) -> None:
        changes.append(event)

    b.instance.subscribers = {**b.instance.subscribers, VouchesChanged: (note,)}  # type: ignore[dict-item]  # hears this one only
    heard_by_c = await c.count("arrival")
    # When a takes it back
    await a.instance.database.write(taken_back, a, said)
    a.instance.wake("delivery")
    await world.settle()
    # Then b counts it no more, judges anew, and c never heard of it
    found = await b.instance.database.read(vouches.standing, b.instance, there, [said])
    assert found.checked is False
    assert changes == [VouchesChanged(None, (await partner(b, a)).application)]
    assert await c.count("arrival") == heard_by_c
    # What a seizure of b would show is what it was given
    lost = await a.instance.database.read(exposure.of_peer, a.instance, b.host)
    assert lost is not None
    assert [(about, level, state) for about, level, state, _ in lost.vouches] == [(amina.uri, 2, "revoked")]
    assert lost.sealed == 2
    other = await a.instance.database.read(exposure.of_peer, a.instance, c.host)
    assert other is not None
    assert (other.vouches, other.copies, other.sealed) == ((), (), 0)


async def issued(tx: Transaction, site: Site, subject: Person) -> Vouch:
    return await vouches.issue(tx, site.instance, subject.actor, 2, "video-call", staff="operator")


async def taken_back(tx: Transaction, site: Site, said: Vouch) -> None:
    await vouches.revoke(tx, site.instance, said.id, staff="operator", reason="they left")


async def test_peers_keep_the_heads_of_a_log_they_saw(world: World, friends: tuple[Person, Site]) -> None:
    amina, b = friends
    a = amina.site
    await b.instance.database.write(audit.show_head, b.instance)
    await world.later(hours=7)
    await peering.look_at_all(a.instance)
    heads = [row["head"] for row in await a.rows("select head from peer_head")]
    assert len(heads) == 1
    assert (await audit.check(b.instance, heads[0])).holds
    listed = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(a.config.path), "peers", "list", "--json"])
    assert listed.exit_code == 0, listed.stderr
    (shown,) = json.loads(listed.stdout)
    assert [one["head"] for one in shown["trust"]["log_heads"]] == heads
