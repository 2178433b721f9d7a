"""Rows H1-H13, H19, H26: posts that arrive, change and go, and what is no post; between our server and a strange one."""

import json
from datetime import timedelta
from typing import Any

import pytest

from fedmatch.board import timelines
from tests.fakepeer import PUBLIC, FakeActor
from tests.neighbours import held, reads, send
from tests.world import Person, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_h1_a_post_is_there_once_however_often_it_comes(world: World, amina: Person, p1: FakeActor) -> None:
    note = p1.note("<p>h1</p>")
    create = p1.create(note)
    for shared in (False, True, False):
        world.clock.move(seconds=1)
        assert await send(world, p1, create, amina, shared=shared) == 202
    await send(world, p1, p1.create(note), amina)  # another activity about the same post
    assert await reads(amina, "h1") == 1
    assert len(await held(amina, note)) == 1


async def test_h2_every_shape_is_understood(world: World, amina: Person, p1: FakeActor) -> None:
    page = {"type": "Link", "mediaType": "text/html", "href": f"{p1.peer.base}/@p1/2"}
    image = {"type": "Image", "mediaType": "image/png", "url": f"{p1.peer.base}/media/1.png", "name": "A gate"}
    tag = {"type": "Mention", "href": amina.uri, "name": f"@{amina.handle}"}
    film = {"type": "Link", "mediaType": "video/mp4", "href": "https://x.example/1"}
    note = p1.note("<p>h2</p>", type=["Note", "Strange"], tag=tag, attachment=image, url=[film, page])
    note |= {"to": PUBLIC, "cc": p1.followers}
    await send(world, p1, p1.create(note), amina)
    [row] = await held(amina, note)
    kept = json.loads(row["tags"])
    assert (row["kind"], row["visibility"], row["url"]) == ("Note", "public", page["href"])
    assert kept["mentions"] == [[amina.uri, f"@{amina.handle}"]]
    assert kept["attachments"] == [[image["url"], "image/png", "A gate"]]


async def test_h2_emoji_translations_and_files_are_kept_and_never_loaded(world: World, amina: Person, p1: FakeActor) -> None:
    emoji = {"type": "Emoji", "id": f"{p1.peer.base}/emojis/1", "name": ":gate:", "icon": {"type": "Image", "url": f"{p1.peer.base}/media/gate.png"}}
    words = {"fa": "<p>سلام</p>", "en": "<p>hello <script>alert(1)</script></p>"}
    picture = {"type": "Document", "mediaType": "image/png", "url": f"{p1.peer.base}/media/2.png", "name": "x"}
    note = p1.note("<p>سلام</p>", tag=[emoji, {"type": "Hashtag", "name": "#Legal"}], contentMap=words, attachment=[picture])
    await send(world, p1, p1.create(note), amina)
    [row] = await held(amina, note)
    kept = json.loads(row["tags"])
    assert (row["language"], kept["translations"]) == ("fa", [["en", "<p>hello </p>"]])
    assert kept["emojis"] == [[":gate:", f"{p1.peer.base}/media/gate.png"]]
    assert [word["name"] for word in await amina.site.rows("select name from post_tag where post_id = :id", id=row["id"])] == ["legal"]
    assert p1.peer.asked("/media/gate.png") + p1.peer.asked("/media/2.png") == []
    assert [entry["html"] for entry in await amina.home() if entry["url"] == note["id"]] == ["<p>سلام</p>"]


@pytest.mark.parametrize(
    ("members", "shown"),
    [({"contentMap": {"en": "<p>only mapped</p>"}}, "<p>only mapped</p>"), ({"name": "only a name"}, "<p>only a name</p>"), ({}, "")],
)
async def test_h3_without_content_there_is_what_there_is(world: World, amina: Person, p1: FakeActor, members: dict[str, Any], shown: str) -> None:
    note = p1.note("", **members)
    del note["content"]
    assert await send(world, p1, p1.create(note), amina) == 202
    [row] = await held(amina, note)
    assert row["content"] == shown


async def test_h4_a_warning_stays_a_warning(world: World, amina: Person, p1: FakeActor) -> None:
    note = p1.note("<p>h4</p>", summary="About <b>violence</b>", sensitive=True)
    await send(world, p1, p1.create(note), amina)
    [row] = await held(amina, note)
    assert (row["summary"], row["sensitive"]) == ("About violence", 1)
    # And whoever reads it is warned first, also of what is not public and rests sealed
    await send(world, p1, p1.create(p1.direct("<p>h4 direct</p>", amina.uri, f"@{amina.handle}", summary="About <i>prison</i>")), amina)
    read = {entry["text"]: entry["summary"] for entry in await amina.home() if "summary" in entry}
    assert read == {"h4": "About violence", "h4 direct": "About prison"}


XSS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '<a href="javascript:alert(1)">x</a>', '<a href="data:text/html,x">x</a>',
    "<svg onload=alert(1)><g/></svg>", "<p style='background:url(//x.example)'>x</p>", "<iframe src='//x.example'></iframe>",
    "<math><mi//xlink:href='data:x'>",
    '<a href="https://ok.example" onclick="x()" target=_top>x</a>', "<style>@import '//x.example'</style>", "<object data=x></object>",
    "<form action=//x.example>",
]  # fmt: skip


HARMFUL = ["<script", "onerror", "javascript:", "data:", "<svg", "style=", "<iframe", "<math", "onclick", "<style", "<object", "<form", "onload"]


async def test_h5_nothing_that_runs_gets_through(world: World, amina: Person, p1: FakeActor) -> None:
    every = "".join(XSS)
    # Given a post, a request that everybody sees, and a profile, full of it
    note = p1.note(every, summary=every, contentMap={"en": every, "de": every})
    request = p1.note(every, purpose="request", publishes={"type": "Intent", "action": "deliverService", "name": every})
    await send(world, p1, p1.create(note), amina)
    await send(world, p1, p1.create(request), amina)
    p1.overrides |= {"name": every, "summary": every, "attachment": [{"type": "PropertyValue", "name": every, "value": every}]}
    await send(world, p1, p1.activity("Update", p1.document()), amina)
    # Then what is kept as HTML is harmless
    [row] = await held(amina, note)
    [profile] = await amina.site.rows("select summary, fields from actor where uri = :uri", uri=p1.id)
    shown = [row["content"], *(words for _, words in json.loads(row["tags"])["translations"]), profile["summary"], json.loads(profile["fields"])[0][1]]
    for text in (*shown, *(entry["html"] for entry in await amina.home())):
        assert [one for one in HARMFUL if one in text.lower()] == []
    # And so is the page that shows it
    page = (await amina.site.get("/", "text/html")).text
    assert "/listings/" in page
    for one in XSS:
        assert one not in page
    assert "<script" not in page


async def test_h6_only_who_is_addressed_is_told(world: World, amina: Person, bilal: Person, p1: FakeActor) -> None:
    tags = [{"type": "Mention", "href": who.uri, "name": f"@{who.handle}"} for who in (amina, bilal)]
    note = p1.note("<p>h6</p>", to=[PUBLIC, bilal.uri], tag=tags)
    await send(world, p1, p1.create(note), bilal)
    assert await reads(bilal, "h6") == 1
    # Named, but not addressed, and followed by nobody: it is not even kept
    stranger = p1.peer.actor("p2")
    other = stranger.note("<p>h6 tag only</p>", to=[PUBLIC], tag=[tags[1]])
    await send(world, stranger, stranger.create(other), bilal)
    assert await held(bilal, other) == []


async def test_h7_what_is_for_followers_is_for_followers(world: World, amina: Person, bilal: Person, p1: FakeActor) -> None:
    note = p1.note("<p>h7 canary</p>", to=[p1.followers])
    await send(world, p1, p1.create(note), amina, shared=True)
    assert await reads(amina, "h7 canary") == 1
    assert await reads(bilal, "h7 canary") == 0
    everything = await bilal.site.instance.database.read(timelines.public, bilal.site.instance, bilal.actor, timelines.Page(limit=1000))
    assert "h7 canary" not in [entry.text for entry in everything]


async def test_h8_what_is_direct_is_for_whom_it_names(world: World, amina: Person, bilal: Person, p1: FakeActor) -> None:
    note = p1.direct("<p>h8 canary</p>", bilal.uri, f"@{bilal.handle}")
    await send(world, p1, p1.create(note), bilal)
    assert (await reads(bilal, "h8 canary"), await reads(amina, "h8 canary")) == (1, 0)
    for path in ("/", "/users/bilal/outbox?page=true", "/users/amina/outbox?page=true"):
        assert "h8 canary" not in (await amina.site.get(path)).text
    [row] = await held(bilal, note)
    assert (row["content"], row["visibility"]) == (None, "direct")
    # Nor does a search find it, though it be a request in form
    request = p1.direct("<p>h8 canary</p>", bilal.uri, f"@{bilal.handle}", purpose="request", publishes={"type": "Intent", "name": "h8 canary lawyer"})
    await send(world, p1, p1.create(request), bilal)
    for path in ("/?q=canary", "/search?q=canary", "/feed?q=canary", "/listings?q=canary"):
        assert "h8 canary" not in (await amina.site.get(path, "text/html")).text
    assert [one for one in await amina.site.listings() if "canary" in one["title"]] == []


async def test_h9_a_newer_edit_counts_an_older_does_not(world: World, amina: Person, p1: FakeActor) -> None:
    note = p1.note("<p>h9 first</p>")
    await send(world, p1, p1.create(note), amina)
    older = p1.peer.stamp()
    world.clock.move(seconds=5)
    await send(world, p1, p1.update(note, content="<p>h9 newer</p>"), amina)
    await send(world, p1, p1.update(note, content="<p>h9 older</p>", updated=older), amina)
    assert (await held(amina, note))[0]["content"] == "<p>h9 newer</p>"


async def test_h10_an_edit_of_something_new_is_a_post(world: World, amina: Person, p1: FakeActor) -> None:
    note = p1.note("<p>h10</p>")
    world.clock.move(seconds=1)
    await send(world, p1, p1.update(note), amina)
    assert await reads(amina, "h10") == 1


async def test_h10_an_edit_of_something_old_that_we_never_had_is_none(world: World, amina: Person, p1: FakeActor) -> None:
    # As at Mastodon: whoever corrects an old post does not bring it back to everybody who follows them now
    for text, hours, shown in (("h10 of yesterday", 23, 1), ("h10 of last week", 170, 0)):
        when = (p1.peer.now() - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        note = p1.note(f"<p>{text}</p>", published=when)
        await send(world, p1, p1.update(note), amina)
        assert await reads(amina, text) == shown, text
    # What nobody here asked for is not brought by an edit either
    stranger = p1.peer.actor("stranger")
    note = stranger.note("<p>h10 of a stranger</p>")
    await send(world, stranger, stranger.update(note), amina)
    assert await held(amina, note) == []
    # But a request or an offer is new here whenever it comes
    old = (p1.peer.now() - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    members = {"purpose": "offer", "publishes": {"type": "Intent", "action": "deliverService", "name": "h10 lawyer"}, "source": {"content": "x"}}
    offer = stranger.note("<p>h10 offer</p>", published=old, **members)
    await send(world, stranger, stranger.update(offer), amina)
    assert len(await held(amina, offer)) == 1


@pytest.mark.parametrize("what", ["author", "published"])
async def test_h11_author_and_date_never_change(world: World, amina: Person, p1: FakeActor, what: str) -> None:
    note = p1.note("<p>h11</p>")
    await send(world, p1, p1.create(note), amina)
    world.clock.move(seconds=5)
    changes = {"attributedTo": f"{p1.peer.base}/users/p2"} if what == "author" else {"published": "2020-01-01T00:00:00Z"}
    await send(world, p1, p1.update(note, content="<p>changed</p>", **changes), amina)
    [row] = await held(amina, note)
    assert row["content"] == "<p>h11</p>"


@pytest.mark.parametrize("form", ["id", "Tombstone", "whole"])
async def test_h12_what_is_deleted_stays_deleted(world: World, amina: Person, p1: FakeActor, form: str) -> None:
    note = p1.note("<p>h12</p>")
    await send(world, p1, p1.create(note), amina)
    await send(world, p1, p1.activity("Delete", {"id": note["id"], "Tombstone": {"id": note["id"], "type": "Tombstone"}, "whole": note}[form]), amina)
    world.clock.move(seconds=5)
    for late in (p1.create(note), p1.update(note)):
        await send(world, p1, late, amina)
    assert await held(amina, note) == []
    assert await reads(amina, "h12") == 0


async def test_h13_a_deletion_that_comes_first_wins(world: World, amina: Person, p1: FakeActor) -> None:
    note = p1.note("<p>h13</p>")
    await send(world, p1, p1.activity("Delete", note["id"]), amina)
    await send(world, p1, p1.create(note), amina)
    assert await held(amina, note) == []


@pytest.mark.parametrize(
    "activity",
    [
        {"type": "Arrive"}, {"type": "Listen", "object": "https://x.example/1"}, {"type": "https://x.example/ns#Strange", "object": {}}, {"type": "Offer"},
        {"type": "Create", "object": {"type": "Strange", "id": "NOTE"}}, {"type": "Collection", "items": [{"type": "Create"}]}, {"type": "Question"},
        {"type": "Add", "object": "https://x.example/1", "target": "https://x.example/2"}, {"type": ["Read", "View"], "object": "https://x.example/1"},
        {"type": "QuoteRequest", "object": "https://x.example/1", "instrument": {"type": "Note", "id": "NOTE"}}, {"type": "LikeRequest", "object": "NOTE"},
        {"type": "ReplyRequest", "object": "https://x.example/1", "instrument": "NOTE"}, {"type": "ReplyRequest", "object": "NOTE"},
    ],
)  # fmt: skip
async def test_h19_what_nobody_knows_is_forgotten(world: World, amina: Person, p1: FakeActor, activity: dict[str, Any]) -> None:
    tables = ("post", "follow", "reaction", "actor", "pin", "block", "said")
    before = [await amina.site.count(table) for table in tables]
    document = json.loads(json.dumps(p1.activity("x", None) | activity).replace("NOTE", f"{p1.peer.base}/notes/strange"))
    answer = await p1.send({name: value for name, value in document.items() if value is not None}, amina.actor.inbox)
    await world.settle()
    assert answer.status in (202, 400)
    assert [await amina.site.count(table) for table in tables] == before
    assert p1.peer.log == []


@pytest.mark.parametrize(
    "poison",
    [
        b'{"a": NaN, REST', b'{"a": 1e999, REST', b'{"a": 99999999999999999999999999, REST', b'{"type": "Follow", REST', b'{"a": "\\ud800", REST',
        b'{"a": "\\u0000", REST',
        b'\xef\xbb\xbf{REST', b'{"a": "\xff", REST', b'{"a": -Infinity, REST', b'{"a": ' + b"[" * 200 + b"]" * 200 + b", REST", b"[{REST]",
    ],
)  # fmt: skip
async def test_h26_poisoned_json_is_no_trouble(world: World, amina: Person, p1: FakeActor, poison: bytes) -> None:
    whole = json.dumps(p1.create(p1.note("<p>h26</p>"))).encode()
    answer = await p1.send(poison.replace(b"REST", whole.removeprefix(b"{")), amina.actor.inbox)
    await world.settle()
    assert answer.status in (202, 400)
    assert (await amina.site.get("/healthz", "*/*")).status == 200
