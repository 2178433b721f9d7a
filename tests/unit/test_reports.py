"""Does a complaint reach moderators and nobody else, and does ours leave without the name of who complains? (protocol H22, H23, 14.12; security A119)"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import known
from actors.vault import Locked
from fedmatch.safety import reports
from inbox.reports import FLAGS_AT_ONCE
from schemas import documents
from schemas.activities import LONGEST_FLAG, MOST_FLAGGED, Flag, parse
from schemas.reading import Iri, Unreadable
from schemas.states import IllegalMove
from schemas.storage import Transaction
from tests.fakepeer import AP, FakeActor
from tests.wire import http
from tests.world import Person, World, open_world

CANARY = "he wrote it under the bridge"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def open_reports(person: Person, state: reports.State | None = None) -> list[reports.Report]:
    return await person.site.instance.database.read(reports.newest, state=state)


async def words(person: Person, one: reports.Report) -> reports.Words:
    _, found = await person.site.instance.database.read(reports.show, person.site.instance, one.id)
    return found


def flag(by: FakeActor, *objects: str, content: str | None = CANARY, **members: Any) -> dict[str, Any]:
    return by.activity("Flag", list(objects), **({} if content is None else {"content": content}), **members)


# --- what comes in


async def test_h22_a_flag_becomes_a_report_that_only_moderators_see(world: World) -> None:
    # Given a person with a public post
    amina, peer = await world.person("amina@a"), await world.peer()
    post = await amina.post("something somebody dislikes")
    instance_actor = peer.actor("instance", "Application")
    # When another instance complains at the shared inbox, as Mastodon and GoToSocial do
    assert (await instance_actor.send(flag(instance_actor, amina.uri, post.uri), f"{amina.site.base}/inbox")).status == 202
    await world.settle()
    # Then moderators see it, as that server's
    [one] = await open_reports(amina)
    assert (one.state, one.about, one.host, one.forwarded_at) == ("open", amina.handle, peer.host, None)
    found = await words(amina, one)
    assert (found.text, [(named.url, named.text) for named in found.posts]) == (CANARY, [(post.uri, "something somebody dislikes")])
    # And the one it is about does not, nor anybody who searches the disk
    assert await amina.reads() == ["something somebody dislikes"]
    assert world.grep(CANARY) == {}


async def test_a_flag_at_the_persons_own_inbox_by_the_reporter_is_not_shown_to_them(world: World) -> None:
    # 14.12: Hollo sends it so
    amina, peer = await world.person("amina@a"), await world.peer()
    someone = peer.actor("someone")
    assert (await someone.send(flag(someone, amina.uri, to=[amina.uri]), amina.actor.inbox)).status == 202
    await world.settle()
    assert await amina.reads() == []
    [one] = await open_reports(amina)
    assert one.host == peer.host
    assert await amina.site.count("waiting_message") == 0


@pytest.mark.parametrize("object_form", ["list", "string", "object", "misskey", "profile page"])
async def test_the_forms_in_which_others_name_whom_they_mean(world: World, object_form: str) -> None:
    amina, peer = await world.person("amina@a"), await world.peer()
    post = await amina.post("something")
    someone = peer.actor("someone")
    document = flag(someone, amina.uri)
    match object_form:
        case "string":
            document["object"] = amina.uri
        case "object":
            document["object"] = {"type": "Person", "id": amina.uri}
        case "misskey":
            document |= {"object": amina.uri, "content": f"Note: {post.uri}\n-----\nspam"}
        case "profile page":
            document["object"] = [f"{amina.site.base}/@amina"]
    assert (await someone.send(document, f"{amina.site.base}/inbox")).status == 202
    await world.settle()
    [one] = await open_reports(amina)
    assert one.about == amina.handle
    named = [found.url for found in (await words(amina, one)).posts]
    assert named == ([post.uri] if object_form == "misskey" else [])


async def test_a_private_post_is_named_and_not_quoted(world: World) -> None:
    amina, peer = await world.person("amina@a"), await world.peer()
    post = await amina.post(CANARY, "followers")
    someone = peer.actor("someone")
    await someone.send(flag(someone, amina.uri, post.uri, content=None), f"{amina.site.base}/inbox")
    await world.settle()
    found = await words(amina, (await open_reports(amina))[0])
    assert (found.text, [(named.url, named.text) for named in found.posts]) == ("", [(post.uri, None)])


async def test_a_flag_about_several_is_a_report_about_each_and_about_nobody_here_none(world: World) -> None:
    amina, ben, peer = await world.person("amina@a"), await world.person("ben@a"), await world.peer()
    someone = peer.actor("someone")
    theirs = await ben.post("of ben")
    await someone.send(flag(someone, amina.uri, theirs.uri, f"{peer.base}/users/x", f"{amina.site.base}/posts/1"), f"{amina.site.base}/inbox")
    await someone.send(flag(someone, f"{peer.base}/users/x", f"{amina.site.base}/actor"), f"{amina.site.base}/inbox")
    await world.settle()
    assert sorted(one.about for one in await open_reports(amina)) == sorted([amina.handle, ben.handle])


async def test_bounds_of_a_flag() -> None:
    head = {"id": "https://p.example/1", "type": "Flag", "actor": "https://p.example/actor"}
    many = parse({**head, "object": [f"https://a.example/posts/{n}" for n in range(100)], "content": "x" * 10_000})
    assert isinstance(many, Flag)
    assert (len(many.objects), len(many.content)) == (MOST_FLAGGED, LONGEST_FLAG) == (20, 5000)
    assert parse({**head, "object": "https://a.example/users/b"}) == Flag(
        id=Iri(head["id"]), actor=Iri(head["actor"]), objects=(Iri("https://a.example/users/b"),), content=""
    )
    for rubbish in (None, [], {}, [1, None, {}], "nobody"):
        with pytest.raises(Unreadable):
            parse({**head, "object": rubbish, "content": "no address"})
    written = documents.activity(many)
    assert (written["type"], written["object"], "to" in written, "cc" in written) == ("Flag", list(many.objects), False, False)
    assert parse(written) == many


async def test_a_forged_flag_and_one_with_a_foreign_id_stay_out(world: World) -> None:
    amina, peer = await world.person("amina@a"), await world.peer()
    someone, other = peer.actor("someone"), peer.actor("other")
    inbox = f"{amina.site.base}/inbox"
    assert (await someone.send(flag(someone, amina.uri), inbox, "none")).status == 401
    assert (await someone.send(flag(someone, amina.uri) | {"id": "https://elsewhere.example/1"}, inbox)).status == 403
    # Carried by another hand it is not taken: it is fetched from its origin, where there is none
    assert (await other.send(flag(someone, amina.uri), inbox)).status == 202
    await world.settle()
    assert await open_reports(amina) == []


async def test_a119_a_flood_of_reports_is_counted_and_slowed_down(world: World) -> None:
    amina, peer = await world.person("amina@a"), await world.peer()
    someone, inbox = peer.actor("someone"), f"{amina.site.base}/inbox"
    answers = [await someone.send(flag(someone, amina.uri, content=f"again {number}"), inbox) for number in range(FLAGS_AT_ONCE + 1)]
    assert [answer.status for answer in answers] == [202] * FLAGS_AT_ONCE + [429]
    assert int(dict(answers[-1].headers)["retry-after"]) > 1
    await world.settle()
    found = await open_reports(amina)
    assert (len(found), sum(one.repeats for one in found)) == (reports.MOST_OPEN, FLAGS_AT_ONCE - reports.MOST_OPEN)
    # And the same one twice is one
    other = (await world.peer()).actor("other")
    again = flag(other, amina.uri)
    await other.send(again, inbox, repeat=3)
    await world.settle()
    assert len(await open_reports(amina)) == reports.MOST_OPEN + 1


# --- what goes out


async def send(by: Person, what: str, text: str = "this is a scam", *, forward: bool = False) -> reports.Report:
    return await reports.send(by.site.instance, by.actor, what, text, forward=forward)


async def met(world: World, amina: Person, troll: FakeActor, text: str, *, direct: bool = False) -> dict[str, Any]:
    """A post of the troll that amina can read."""
    written = troll.direct(text, amina.uri, f"@{amina.handle}") if direct else troll.note(text, cc=[amina.uri])
    assert (await troll.send(troll.create(written), amina.actor.inbox)).status == 202
    await world.settle()
    return written


async def test_h23_a_forwarded_report_says_nothing_of_who_reports(world: World) -> None:
    # Given somebody who reads a public post of another server
    amina, peer = await world.person("amina@a"), await world.peer()
    troll = peer.actor("troll")
    written = await met(world, amina, troll, "buy this")
    before = len(peer.log)
    # When they report it, agree that it is forwarded, and give themselves away in what they write
    text = f"@amina@{amina.site.host} here: Amina thinks it is a scam, see {amina.uri} and {amina.site.base}/posts/7"
    made = await send(amina, written["id"], text, forward=True)
    await world.settle()
    # Then their server gets a Flag of our instance, with the person and the post
    [sent] = [heard for heard in peer.log[before:] if heard.asked.method == "POST"]
    assert (sent.asked.path, sent.signature, sent.status) == ("/inbox", "valid", 202)
    assert (sent.activity["type"], sent.activity["actor"], sent.activity["object"]) == ("Flag", f"{amina.site.base}/actor", [troll.id, written["id"]])
    assert "to" not in sent.activity
    assert sent.activity["content"] == "[...] here: [...] thinks it is a scam, see [...] and [...]"
    # And in everything it heard because of this, bytes and headers, there is no trace of who reported
    for heard in peer.log[before:]:
        everything = json.dumps([heard.asked.target, [list(map(str, header)) for header in heard.asked.headers]]).encode() + heard.asked.body
        for trace in ("amina", str(amina.actor.id), "/users/"):
            assert trace.encode() not in everything.lower().replace(troll.id.encode(), b""), trace
    # And our moderators know all of it
    assert made.forwarded_at is not None
    found = await words(amina, made)
    assert (found.text, found.reporter, [named.text for named in found.posts]) == (text, amina.handle, ["buy this"])
    assert world.grep("thinks it is a scam") == {}


async def test_without_consent_nothing_leaves(world: World) -> None:
    amina, peer = await world.person("amina@a"), await world.peer()
    troll = peer.actor("troll")
    written = await met(world, amina, troll, "buy this")
    before = len(peer.log)
    await send(amina, written["id"])
    await send(amina, troll.handle)
    await send(amina, troll.id)
    await world.settle()
    assert len(peer.log) == before
    assert [(one.about, one.forwarded_at) for one in await open_reports(amina)] == [(troll.handle, None)] * 3


async def test_of_a_private_post_the_other_server_hears_neither_words_nor_id(world: World) -> None:
    # Given a direct message: who was written to is who reports
    amina, peer = await world.person("amina@a"), await world.peer()
    troll = peer.actor("troll")
    written = await met(world, amina, troll, "send me all of your money by tomorrow noon", direct=True)
    # Then words of it are not forwarded
    with pytest.raises(reports.CannotReport, match="quotes"):
        await send(amina, written["id"], 'wrote: "Send me ALL of your money, by tomorrow!"', forward=True)
    assert await open_reports(amina) == []
    # And the Flag names the person alone
    made = await send(amina, written["id"], "wants money", forward=True)
    await world.settle()
    [sent] = peer.activities("Flag")
    assert sent["object"] == [troll.id]
    # While our moderators read what the one who reports shows them
    assert [named.text for named in (await words(amina, made)).posts] == ["send me all of your money by tomorrow noon"]
    assert world.grep("send me all of your money") == {}


async def test_what_cannot_be_reported_or_forwarded_says_why(world: World) -> None:
    amina, ben, peer = await world.person("amina@a"), await world.person("ben@a"), await world.peer()
    troll = peer.actor("troll")
    secret = await ben.post("for my followers", "followers")
    for what, why, forward in (
        (amina.handle, "themselves", False),
        (ben.handle, "lives here", True),
        (secret.uri, "is not here", False),  # whoever may not read it does not learn that it is there
        (f"{amina.site.base}/posts/1", "is not here", False),
        (f"{peer.base}/notes/999", "does not show it", False),
        ("http://[", "cannot be read", False),
    ):
        with pytest.raises(reports.CannotReport, match=why):
            await send(amina, what, forward=forward)
    for text in ("", "x" * (LONGEST_FLAG + 1)):
        with pytest.raises(reports.CannotReport, match="letters"):
            await send(amina, ben.handle, text)
    made = await send(amina, ben.handle)
    assert (made.about, made.host) == (ben.handle, None)
    assert await ben.reads() == ["for my followers"]
    # A post that was never here is looked up
    unseen = troll.note("never came here")
    made = await send(amina, unseen["id"], forward=True)
    assert [named.text for named in (await words(amina, made)).posts] == ["never came here"]
    await world.settle()
    assert peer.activities("Flag")[0]["object"] == [troll.id, unseen["id"]]


async def test_a_report_is_not_forwarded_where_nothing_goes(world: World) -> None:
    from fedmatch.safety import border

    amina, peer = await world.person("amina@a"), await world.peer()
    troll = peer.actor("troll")
    written = await met(world, amina, troll, "buy this")
    instance = amina.site.instance
    await border.decide(instance, await border.target(instance, peer.host), "blocked")
    await instance.trust.refresh(instance.database)
    with pytest.raises(reports.CannotReport, match="blocked"):
        await send(amina, troll.id, forward=True)
    assert (await send(amina, troll.id)).about == troll.handle
    assert written["id"] not in [named.url for one in await open_reports(amina) for named in (await words(amina, one)).posts]


# --- what becomes of it


async def test_a_report_is_taken_and_handed_back(world: World) -> None:
    amina, bilal = await world.person("amina@a"), await world.person("bilal@a")
    instance, database = amina.site.instance, amina.site.instance.database
    made = await reports.send(instance, amina.actor, bilal.handle, "he shouts")

    async def take(undo: bool = False) -> str:
        async def body(tx: Transaction) -> str:
            return (await reports.take(tx, instance, made.id, undo=undo)).state

        return await database.write(body)

    assert [await take(), await take(), await take(undo=True), await take(undo=True), await take()] == ["taken", "taken", "open", "open", "taken"]
    await database.write(reports.close, instance, made.id, "talked to him")
    with pytest.raises(IllegalMove):
        await take()
    assert await take(undo=True) == "open", "it is open again"
    assert (await words(amina, made)).note == "talked to him"


async def test_a_report_is_closed_once_and_keeps_what_was_done(world: World) -> None:
    amina, ben = await world.person("amina@a"), await world.person("ben@a")
    made = await send(amina, ben.handle, CANARY)
    database, instance = amina.site.instance.database, amina.site.instance
    closed = await database.write(reports.close, instance, made.id, "talked to him")
    assert closed.state == "closed"
    assert (await words(amina, made)).note == "talked to him"
    assert world.grep("talked to him") == world.grep(CANARY) == {}
    with pytest.raises(IllegalMove):
        await database.write(reports.close, instance, made.id)
    with pytest.raises(reports.NoReport):
        await database.write(reports.close, instance, 1)
    with pytest.raises(reports.NoReport):
        await database.read(reports.show, instance, 1)
    assert (await open_reports(amina, "open"), len(await open_reports(amina, "closed"))) == ([], 1)


async def test_a_locked_instance_lists_reports_and_shows_no_words(world: World) -> None:
    await world.site("a", passphrase="a long enough passphrase")
    amina, ben = await world.person("amina@a"), await world.person("ben@a")
    made = await send(amina, ben.handle, CANARY)
    amina.site.instance.vault.lock()
    assert [one.id for one in await open_reports(amina)] == [made.id]
    with pytest.raises(Locked):
        await words(amina, made)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("I am Amina.", "I am [...]."),
        ("aminata is somebody else", "aminata is somebody else"),
        ("ask AMINA or @amina", "ask [...] or [...]"),
        ("see http://localhost:1/users/amina/x?y=1 and http://elsewhere.example/amina", "see [...] and http://elsewhere.example/[...]"),
        ("Amina Al-Sayed (@amina@localhost:1)", "[...] ([...])"),
        ("nothing of it", "nothing of it"),
    ],
)
async def test_traces_of_who_writes_are_taken_out(world: World, text: str, left: str) -> None:
    from dataclasses import replace

    amina = await world.person("amina@a")
    text = text.replace("localhost:1", amina.site.host)
    assert reports.anonymous(amina.site.instance, replace(amina.actor, name="Amina Al-Sayed"), text) == left


async def test_the_instances_own_actor_shows_no_reports(world: World) -> None:
    amina, ben, peer = await world.person("amina@a"), await world.person("ben@a"), await world.peer()
    await send(amina, ben.handle, CANARY)
    troll = peer.actor("troll")
    await send(amina, (await met(world, amina, troll, "buy this"))["id"], forward=True)
    await world.settle()
    for path in ("/actor", "/actor/outbox"):
        assert CANARY.encode() not in (await http("GET", f"{amina.site.base}{path}", [("Accept", AP)])).body
    for row in await amina.site.rows("select uri from outgoing where kind = 'Flag'"):
        assert (await troll.get(row["uri"])).status == 404
    assert (await amina.site.instance.database.read(known.application)).kind == "Application"
