"""Do the servers that are out there understand us, and we them? Section 14 of protocol.md, point by point, against personalities that judge as those do."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import structlog

from actors import known
from fedmatch.board import answers, deletion
from outbox import posts, publish
from outbox.address import Audience
from schemas.activities import Announce
from schemas.objects import PUBLIC
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.fakepeer import AP, FakeActor
from tests.personalities import ALL, Drop, GoToSocial, Hollo, Mastodon, Mitra, Personality, Snac, Takahe, listed
from tests.wire import http
from tests.world import Person, World, open_world

NAMES = [kind.__name__ for kind in ALL]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass
class Street:
    """One instance, and one server of every kind on which somebody follows its people."""

    world: World
    amina: Person
    peers: dict[str, Personality]
    readers: dict[str, FakeActor]

    async def request(self, **more: Any) -> Any:
        """A request that everybody has received."""
        made = await self.amina.listing("request", "A lawyer", "Who knows asylum law? In two words: please help.", categories=["LegalAid"], region="SY", **more)
        await self.world.settle()
        return made

    def sent(self) -> list[dict[str, Any]]:
        """Every activity that any of them received."""
        return [heard.activity for peer in self.peers.values() for heard in peer.log if heard.asked.method == "POST"]

    def notes(self, uri: str) -> list[dict[str, Any]]:
        return [one["object"] for one in self.sent() if one["type"] in {"Create", "Update"} and isinstance(one["object"], dict) and one["object"]["id"] == uri]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    async with open_world(tmp_path_factory.mktemp("street")) as world:
        amina = await world.person("amina@a")
        peers: dict[str, Personality] = {}
        for kind in ALL:
            peer = await kind(world.clock.now).start()
            world.peers.append(peer)
            peers[kind.__name__] = peer
        made = Street(world, amina, peers, {name: peer.actor("reader") for name, peer in peers.items()})
        for name, reader in made.readers.items():
            assert (await reader.send(reader.follow(amina.uri), amina.actor.inbox)).status == 202, name
        await world.settle()
        assert len(await amina.followers()) == len(ALL)
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("name", NAMES)
async def test_our_actors_are_accepted_everywhere(street: Street, name: str) -> None:
    """2.1: the actor and the instance's own, each by the rules of that server; the follow was answered with a whole Accept that verified."""
    peer = street.peers[name]
    assert not isinstance(await peer.look_up(street.amina.uri), str)
    assert not isinstance(await peer.look_up(f"{street.amina.site.base}/actor"), str)
    [accept] = peer.activities("Accept")
    assert accept["object"]["type"] == "Follow"
    assert accept["object"]["actor"] == street.readers[name].id


async def test_14_1_a_request_is_a_plain_post_and_nothing_folds_it_away(street: Street) -> None:
    """No `name` on a Note: it would be a content warning on two servers and a vote on a third. The twin has one."""
    request = await street.request()
    for name, peer in street.peers.items():
        shown = peer.shown[request.url]
        assert shown.warning is None, name
        assert shown.seen_by == "public", name
        for words in ("A lawyer", "asylum law", "Syria"):
            assert words in shown.text, name
    assert all("name" not in note for note in street.notes(request.url))
    assert (await street.amina.site.get(f"{request.url}/proposal")).json["name"] == "A lawyer"


async def test_14_2_direct_replies_pass_and_public_ones_are_held(street: Street) -> None:
    """interactionPolicy: GoToSocial sends both to us, spreads none, and lets everybody boost."""
    request = await street.request()
    peer = street.peers["GoToSocial"]
    assert isinstance(peer, GoToSocial)
    assert peer.may_reply(request.url, to_all=False) == "sent"
    assert peer.may_reply(request.url, to_all=True) == "held"
    policy = peer.policies[request.url]
    assert policy["canReply"] == {"automaticApproval": [street.amina.uri], "manualApproval": [PUBLIC]}
    assert PUBLIC in policy["canAnnounce"]["automaticApproval"]


async def test_14_3_published_never_changes(street: Street) -> None:
    """GoToSocial refuses the Update otherwise."""
    request = await street.request()
    for text in ("Changed once.", "Changed twice."):
        request = await street.amina.change(request, text=text)
        await street.world.settle()
    assert len({note["published"] for note in street.notes(request.url)}) == 1
    assert "Changed twice." in street.peers["GoToSocial"].shown[request.url].text


async def test_14_4_updated_grows_with_every_change(street: Street) -> None:
    """Three changes within a moment: each has a later second, and each is taken."""
    request = await street.request()
    for text in ("One.", "Two.", "Three."):
        request = await street.amina.change(request, text=text)
    await street.world.settle()
    for name, peer in street.peers.items():
        assert "Three." in peer.shown[request.url].text, name
        notes = [one["object"] for one in peer.activities("Update") if one["object"]["id"] == request.url]
        times = [note["updated"] for note in notes]
        assert times == sorted(set(times)), name
        assert [one for one in peer.refused if one.why == "updated does not grow"] == [], name


async def test_14_5_a_withdrawal_is_a_delete(street: Street) -> None:
    """Undo(Announce) withdraws nothing anywhere; so what is withdrawn is deleted, with its id and as a Tombstone."""
    request = await street.request()
    assert [name for name, peer in street.peers.items() if request.url in peer.shown] == NAMES
    await street.amina.withdraw(request)
    await street.world.settle()
    assert [name for name, peer in street.peers.items() if request.url in peer.shown] == []
    assert [one for one in street.sent() if one["type"] == "Undo" and request.url in str(one)] == []


async def test_14_5_their_undo_hides_a_boost_and_keeps_the_post(street: Street) -> None:
    """What they do with ours we do with theirs: the boost goes, by a whole Undo or a bare id, and the post stays."""
    booster, author = street.readers["Mastodon"], street.readers["Takahe"]
    await street.amina.follow(booster.handle)
    await street.world.settle()
    follow = [one for one in booster.peer.activities("Follow") if one["object"] == booster.id][-1]
    await booster.send(booster.activity("Accept", follow), street.amina.actor.inbox)
    await street.world.settle()
    for whole in (True, False):
        note = author.note(f"<p>worth a boost {whole}</p>")
        boost = booster.activity("Announce", note["id"], to=[PUBLIC])
        assert (await booster.send(boost, street.amina.actor.inbox)).status == 202
        await street.world.settle()
        assert await street.amina.site.count("post", "uri = :uri", uri=boost["id"]) == 1
        assert (await booster.send(booster.activity("Undo", boost if whole else boost["id"]), street.amina.actor.inbox)).status == 202
        await street.world.settle()
        assert await street.amina.site.count("post", "uri = :uri", uri=boost["id"]) == 0
        assert await street.amina.site.count("post", "uri = :uri", uri=note["id"]) == 1


@pytest.mark.parametrize("name", ["GoToSocial", "Takahe", "Hollo", "Mastodon"])
async def test_14_6_who_follows_the_booster_hears_of_changes_and_of_the_end(street: Street, name: str) -> None:
    """Update and Delete go to the followers of every local actor that announced it, too."""
    site = street.amina.site
    herald = await _person(street, "herald")
    follower = street.peers[name].actor("follower")
    assert (await follower.send(follower.follow(herald.uri), herald.actor.inbox)).status == 202
    author = await _person(street, "author")
    request = await author.listing("request", "A doctor", "Near the border.", region="SY")
    await street.world.settle()
    assert request.url not in street.peers[name].shown
    await _boost(street, herald, request.url)
    # That server fetches what was boosted, as it does.
    await _fetch(street.peers[name], follower, request.url)
    await author.change(request, text="Changed.")
    await street.world.settle()
    assert "Changed." in street.peers[name].shown[request.url].text
    await author.withdraw(await _listing(street, request.url))
    await street.world.settle()
    assert request.url not in street.peers[name].shown
    assert site.running


async def test_14_7_whoever_goes_deletes_every_post_first(street: Street) -> None:
    """snac keeps the posts of a deleted actor, and two servers want its key until the last Delete: so one Delete a post, then the actor, all verified."""
    leaver = await _person(street, "leaver")
    for reader in street.readers.values():
        assert (await reader.send(reader.follow(leaver.uri), leaver.actor.inbox)).status == 202
    await street.world.settle()
    urls = [(await leaver.post(f"post {number}")).uri for number in range(2)]
    await street.world.settle()
    assert all(url in peer.shown for url in urls for peer in street.peers.values())
    await deletion.delete_person(street.amina.site.instance, await street.amina.site.actor(leaver.actor.username))
    await street.world.settle()
    for name, peer in street.peers.items():
        gone = [one["object"]["id"] if isinstance(one["object"], dict) else one["object"] for one in peer.activities("Delete") if one["actor"] == leaver.uri]
        # The last word may come twice, to the shared inbox and to the follower's own.
        assert set(gone[:2]) == set(urls), name
        assert set(gone[2:]) == {leaver.uri}, name
        assert not [url for url in urls if url in peer.shown], name
        assert [heard.signature for heard in peer.log if heard.asked.method == "POST" and heard.signature != "valid"] == [], name


async def test_14_8_the_smallest_actor_is_read_and_ours_have_webfinger(street: Street) -> None:
    """Context, id, type, preferredUsername, inbox, publicKey: no more is needed of others; and all of ours answer WebFinger."""
    peer = street.peers["Hollo"]
    small = peer.actor("small")
    small.shared_inbox = False
    keep = {"@context", "id", "type", "preferredUsername", "inbox", "publicKey"}
    small.overrides = {member: None for member in small.document() if member not in keep}
    assert (await small.send(small.create(small.direct("<p>from a small one</p>", street.amina.uri, "@a")), street.amina.actor.inbox)).status == 202
    await street.world.settle()
    assert "from a small one" in await street.amina.reads()
    for handle in (street.amina.handle, f"{street.amina.site.host.partition(':')[0]}@{street.amina.site.host}"):
        assert (await street.amina.site.get(f"/.well-known/webfinger?resource=acct:{handle}")).status == 200


async def test_14_9_no_commerce_goes_to_servers_that_do_not_announce_it(street: Street) -> None:
    """Only Notes: no Proposal, no Agreement as the object of anything, and nothing was answered with 400 or 500."""
    request = await street.request()
    await street.amina.change(request, text="Changed.")
    await street.amina.withdraw(await _listing(street, request.url))
    await street.world.settle()
    for name, peer in street.peers.items():
        kinds = {one["object"]["type"] for one in peer.activities() if isinstance(one["object"], dict)}
        assert kinds <= {"Note", "Tombstone", "Follow", "Announce", "Person"}, name
        assert [one.why for one in peer.refused if one.status >= 400] == [], name


async def test_14_10_what_is_not_public_goes_to_nobody_else(street: Street) -> None:
    """Ordinary servers keep in clear what they get, so a direct post goes to the server it is for and to no other."""
    to = street.readers["Takahe"]
    post = await street.amina.post("for one alone", "direct", to=[to.handle])
    await street.world.settle()
    assert [name for name, peer in street.peers.items() if post.uri in peer.shown] == ["Takahe"]
    assert street.peers["Takahe"].shown[post.uri].seen_by == "direct"
    assert [heard.asked.path for heard in street.peers["Takahe"].log if post.uri in heard.asked.body.decode()] == ["/users/reader/inbox"]


async def test_14_11_the_language_is_found(street: Street) -> None:
    """content is the original, and its entry stands first in contentMap with the same bytes."""
    request = await street.request(language="fa")
    [note, *_] = street.notes(request.url)
    assert next(iter(note["contentMap"].items())) == ("fa", note["content"])
    for name, peer in street.peers.items():
        # Hollo shows none where both are there.
        assert peer.shown[request.url].language == ("fa" if name != "Hollo" else None), name
        assert peer.shown[request.url].text == note["content"], name


async def test_14_12_a_report_is_never_shown_to_whom_it_is_about(street: Street) -> None:
    """From Hollo it comes to the reported person's own inbox, from the reporter; from GoToSocial to the shared one, from its instance."""
    said = await street.amina.post("reported words")
    before = await street.amina.home()
    reporter = street.readers["Hollo"]
    personal = reporter.activity("Flag", [street.amina.uri, said.uri], content="they insult me", to=[street.amina.uri])
    assert (await reporter.send(personal, street.amina.actor.inbox)).status == 202
    instance = street.peers["GoToSocial"].actors["actor"]
    shared = instance.activity("Flag", [street.amina.uri, said.uri], content="spam")
    assert (await instance.send(shared, f"{street.amina.site.base}/inbox")).status == 202
    await street.world.settle()
    assert await street.amina.home() == before
    page = await street.amina.site.get(f"/@{street.amina.actor.username}", BROWSER)
    assert "insult" not in page.text


DIRECT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # who: (members of the Note, members of the Create)
    "GoToSocial: to is a string, tag an object": (
        {"to": "AMINA", "cc": ..., "tag": {"type": "Mention", "href": "AMINA", "name": "@amina"}},
        {"to": "AMINA", "cc": ...},
    ),
    "Hollo: to is a string": ({"to": "AMINA", "cc": ...}, {"to": "AMINA", "cc": ...}),
    "snac: three times": ({"to": ["AMINA"] * 3, "cc": []}, {"to": ["AMINA"] * 3}),
    "Takahe: only in cc, no to": ({"to": ..., "cc": ["AMINA"]}, {"to": [], "cc": ["AMINA"]}),
    "the Mention twice": ({"to": ["AMINA"], "cc": [], "tag": [{"type": "Mention", "href": "AMINA", "name": "@amina"}] * 2}, {}),
    "without inReplyTo": ({"to": ["AMINA"], "cc": [], "inReplyTo": ...}, {}),
}


@pytest.mark.parametrize("shape", DIRECT)
async def test_14_13_direct_replies_are_read_in_every_shape(street: Street, shape: str) -> None:
    """Direct is what names neither Public nor a followers collection anywhere: an answer to the request if it says so, else a message, for amina alone."""
    request = await street.request()
    helper = street.peers["Takahe" if "Takahe" in shape else "Hollo"].actor(f"helper{list(DIRECT).index(shape)}")
    words = f"I can help ({shape})"

    def filled(members: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        changed = {name: _amina(value, street.amina.uri) for name, value in members.items()}
        return {name: value for name, value in {**document, **changed}.items() if value is not ...}

    note = filled(DIRECT[shape][0], helper.direct(f"<p>{words}</p>", street.amina.uri, "@amina", inReplyTo=request.url))
    helper.peer.documents.pop("/" + note["id"].partition("//")[2].partition("/")[2], None)
    create = filled(DIRECT[shape][1], helper.create({"to": [], "cc": [], **note}))
    create["object"] = note
    assert (await helper.send(create, street.amina.actor.inbox)).status == 202
    await street.world.settle()
    site = street.amina.site
    given = [one.words.text for one in await site.instance.database.read(answers.of_actor, site.instance, street.amina.actor)]
    rows = [row["visibility"] for row in await site.rows("select visibility from post where uri = :uri", uri=note["id"])]
    if "inReplyTo" in note:
        assert given.count(words) == 1
        assert rows == [], "an answer is no post"
    else:
        assert (await street.amina.reads()).count(words) == 1
        assert rows == ["direct"]
    assert (await street.amina.site.get(f"{request.url}/replies")).json["totalItems"] == 0


async def test_14_14_what_they_ask_is_answered_and_no_key_id_of_a_reader_is_logged(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The GETs of all of them, on an instance in signed-only mode: the signed ones signed with the reader's own key, which no log may hold."""
    async with open_world(tmp_path_factory.mktemp("asked")) as world:
        await world.site("a", signed_only="true", level='"debug"')
        amina = await world.person("amina@a")
        post = await amina.post("hello")
        with structlog.testing.capture_logs() as logged:
            for kind in (GoToSocial, Snac, Hollo, Takahe, Mastodon):
                peer = await kind(world.clock.now).start()
                world.peers.append(peer)
                reader = peer.actor(f"secretreader{kind.__name__.lower()}")
                signing = peer.actors["actor"] if kind is Takahe else reader
                for path in (
                    amina.uri,
                    f"{amina.uri}/outbox",
                    f"{amina.uri}/followers",
                    f"{amina.uri}/following",
                    f"{amina.uri}/collections/featured",
                    post.uri,
                ):
                    answer = await signing.get(path)
                    assert answer.status == 200, (kind, path, answer)
                    if not path.endswith(("followers", "following")):
                        assert kind.manner.reads_media(answer.header("content-type"))
                # Unsigned: WebFinger, host-meta, NodeInfo, and on first contact the instance actor. What is not there is a plain 404.
                for path, status in (
                    (f"/.well-known/webfinger?resource=acct:{amina.handle}", 200),
                    ("/.well-known/host-meta", 200),
                    ("/.well-known/nodeinfo", 200),
                    ("/actor", 200),
                    ("/robots.txt", None),
                    ("/api/v1/instance", None),
                ):
                    found = await http("GET", f"{amina.site.base}{path}", [("Accept", "*/*")])
                    assert found.status == status if status else found.status in {200, 404}, path
                # GoToSocial signs these too.
                assert (await reader.get(f"{amina.site.base}/.well-known/nodeinfo")).status == 200
        assert "secretreader" not in str(logged)


async def test_14_14_no_private_and_no_strange_link_stands_in_a_direct_post(street: Street) -> None:
    """Hollo fetches the first link of a direct post, unsigned: so every link in one leads to the person it is for."""
    to = street.readers["Hollo"]
    request = await street.request()
    post = await street.amina.post("thank you", "direct", to=[to.handle])
    answer = await street.amina.post(f"@{to.handle} here you are", "direct")
    await street.world.settle()
    assert request.url
    for uri in (post.uri, answer.uri):
        links = re.findall(r'href="([^"]*)"', html.unescape(street.peers["Hollo"].shown[uri].text))
        assert [link for link in links if not link.startswith(f"{street.peers['Hollo'].base}/")] == []


@pytest.mark.parametrize("name", NAMES)
async def test_14_15_a_direct_post_of_ours_is_shown(street: Street, name: str) -> None:
    """It carries a Mention, without which GoToSocial drops it."""
    reader = street.readers[name]
    post = await street.amina.post("for you", "direct", to=[reader.handle])
    await street.world.settle()
    shown = street.peers[name].shown[post.uri]
    assert (shown.seen_by, shown.author) == ("direct", street.amina.uri)
    [note] = street.notes(post.uri)
    assert [tag["href"] for tag in note["tag"] if tag["type"] == "Mention"] == [reader.id]
    assert not any(str(one).endswith("/followers") or one == PUBLIC for one in (*listed(note["to"]), *listed(note["cc"])))


async def test_14_15_an_answer_comes_from_whom_they_wrote_to(street: Street) -> None:
    """A reply names what it answers and comes from the actor that was written to."""
    helper = street.readers["GoToSocial"]
    note = helper.direct("<p>I can help</p>", street.amina.uri, f"@{street.amina.handle}")
    assert (await helper.send(helper.create(note), street.amina.actor.inbox)).status == 202
    await street.world.settle()
    post = await street.amina.post("when can you come?", "direct", reply_to=note["id"])
    await street.world.settle()
    [sent] = street.notes(post.uri)
    assert (sent["inReplyTo"], sent["attributedTo"]) == (note["id"], street.amina.uri)


@pytest.mark.parametrize("accept", [AP, BROWSER])
async def test_14_16_every_id_answers_both(street: Street, accept: str) -> None:
    """Takahe and snac show the id instead of `url`: whoever clicks it must see a page."""
    request = await street.request()
    for uri in (street.amina.uri, request.url):
        answer = await street.amina.site.get(uri, accept)
        assert answer.status == 200
        assert answer.header("content-type").startswith(AP if accept == AP else "text/html")


async def test_14_17_the_members_of_a_request_disturb_nobody(street: Street) -> None:
    """Namespace terms, Intent, endTime, hasEnd and the inline context: the post is shown with hashtags and all, and an edit shows as one."""
    request = await street.request(skills=["AsylumLaw"], speaks=["ar"], urgency="days")
    [note, *_] = street.notes(request.url)
    assert {"purpose", "publishes", "proposal", "category", "skill"} <= set(note)
    assert note["type"] == "Note"
    hashtags = [tag for tag in note["tag"] if tag["type"] == "Hashtag"]
    assert hashtags
    assert all(re.fullmatch(r"#\w+", tag["name"]) for tag in hashtags)
    for name, peer in street.peers.items():
        assert all(tag["name"].removeprefix("#").lower() in peer.shown[request.url].text.lower() for tag in hashtags), name
    await street.amina.change(request, text="Edited.")
    await street.world.settle()
    assert [name for name, peer in street.peers.items() if peer.shown[request.url].updated is None] == []
    assert len(str(note)) < 64 * 1024


@pytest.mark.parametrize("kind", [one for one in ALL if one is not Mitra])
async def test_a_personality_refuses_what_that_server_refuses(street: Street, kind: type[Personality]) -> None:
    """The judges are awake: a Note with `name`, `as:Public`, a Proposal and an author in a list are not shown as if nothing were."""
    peer = await kind(street.world.clock.now).start()
    street.world.peers.append(peer)
    author = peer.actor("x")
    note = author.note("<p>x</p>")
    create = author.create({**note, "attributedTo": [author.id]})
    with pytest.raises(Drop, match="somebody else"):
        peer.judge(create)
    proposal = author.create({**note, "type": "Proposal"})
    with pytest.raises(Drop, match="Proposal"):
        peer.judge(proposal)
    document = author.document()
    spoiled = {**document, "publicKey": {**document["publicKey"], "owner": "http://elsewhere.example/"}}
    assert any(rule(spoiled, author.id) for rule in kind.manner.actor_rules)


async def test_who_understands_proposals_takes_one_and_shows_our_request_as_a_post(street: Street) -> None:
    """6.6: Mitra keeps a Proposal and shows a Note with the members of one; Pleroma rejects a list of types, so that ours is a string."""
    peer, pleroma = street.peers["Mitra"], street.peers["Pleroma"]
    assert isinstance(peer, Mitra)
    author = peer.actor("y")
    proposal = author.create({**author.note("<p>y</p>"), "type": "Proposal"})
    peer.judge(proposal)
    assert list(peer.proposals) == [proposal["object"]["id"]]
    assert proposal["object"]["id"] not in peer.shown
    with pytest.raises(Drop, match="no string"):
        pleroma.judge(author.create({**author.note("<p>y</p>"), "type": ["Note", "Proposal"]}))
    request = await street.request(skills=["AsylumLaw"])
    assert "A lawyer" in peer.shown[request.url].text
    assert "A lawyer" in pleroma.shown[request.url].text
    assert request.url not in peer.proposals


def _amina(value: Any, uri: str) -> Any:
    if isinstance(value, dict):
        return {key: _amina(one, uri) for key, one in value.items()}
    if isinstance(value, list):
        return [_amina(one, uri) for one in value]
    return uri if value == "AMINA" else value


_count = iter(range(1000))


async def _person(street: Street, name: str) -> Person:
    return await street.world.person(f"{name}{next(_count)}@a")


async def _listing(street: Street, uri: str) -> Any:
    from fedmatch.board import listings

    [row] = await street.amina.site.rows("select id from post where uri = :uri", uri=uri)
    return await street.amina.site.instance.database.read(listings.by_id, street.amina.site.instance, row["id"])


async def _boost(street: Street, herald: Person, uri: str) -> None:
    """`herald` announces a post, as a category actor will."""
    instance = street.amina.site.instance

    async def body(tx: Transaction) -> None:
        actor, post = await known.by_name(tx, herald.actor.username), await posts.by_uri(tx, uri)
        assert actor is not None
        assert post is not None
        boost_id = Iri(f"{herald.uri}/boosts/{post.id}")
        announce = Announce(id=boost_id, actor=actor.uri, object=post.uri, to=(Iri(PUBLIC),))
        await posts.boost(tx, instance, actor, boost_id, post, to=announce.to, local=True)
        await publish.publish(tx, instance, actor, announce, Audience(followers_of=(actor.id,)), object=post.uri, ordering_key=post.uri)

    await instance.database.write(body)
    instance.wake("delivery")
    await street.world.settle()


async def _fetch(peer: Personality, by: FakeActor, uri: str) -> None:
    """The server reads a post it heard of."""
    answer = await by.get(uri)
    assert peer.manner.reads_media(answer.header("content-type"))
    peer.shown[uri] = peer.render(answer.json)
