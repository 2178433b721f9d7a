"""What does a browser see of requests and offers that live elsewhere? A page of ours with the copy we hold, as long as we hold and show it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors import known
from actors.instance import Instance
from fedmatch.board import life, listings, readers, search
from fedmatch.board.terms import Floor, Terms
from fedmatch.safety import border
from fedmatch.web.language import OFFERED
from outbox import posts
from schemas.objects import Note, Proposal
from schemas.reading import Iri
from schemas.storage import Transaction
from tests.fakepeer import PUBLIC
from tests.friends import befriend
from tests.unit.test_board_pages import sound
from tests.unit.test_pages import ask
from tests.world import Person, Site, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def two(world: World) -> tuple[Person, Person]:
    """Amina on a, whom a reader on b follows."""
    amina, reader = await world.person("amina@a"), await world.person("reader@b")
    await reader.follow(amina.handle)
    await world.settle()
    return amina, reader


async def copy_at(site: Site, url: str) -> int:
    (row,) = await site.rows("select post.id from post where post.uri = :url", url=url)
    return int(row["id"])


async def test_a_copy_has_a_page_that_says_where_it_comes_from(world: World) -> None:
    # Given a request of a, as b holds it
    amina, reader = await two(world)
    made = await amina.listing("request", "A lawyer <b>", "Who knows asylum law?", skills=["AsylumLaw"], language="en")
    await world.settle()
    b = reader.site.instance
    path = f"/listings/{await copy_at(reader.site, made.url)}"

    for code in OFFERED:
        # When somebody comes from the board of b
        board = await ask(b, f"/board?lang={code}")
        assert f'href="{path}?lang={code}"' in board.text
        page = await ask(b, f"{path}?lang={code}")

        # Then the whole of it is there, with its origin, its address there, and both ways to answer
        sound(page, b, code)
        assert page.status == 200
        assert "A lawyer &lt;b&gt;" in page.text
        assert "Who knows asylum law?" in page.text
        assert f'<a href="{made.url}" rel="noreferrer nofollow noopener">' in page.text
        assert f"<bdi>{amina.site.host}</bdi>" in page.text
        assert f'<code class="address">{made.url}</code>' in page.text
        assert f"fedmatch respond {made.url} --as NAME --text -" in page.text
        assert 'type="application/activity+json"' not in page.text, "its document is its origin's to give"
        assert '<meta name="robots" content="noindex">' in page.text
        assert page.headers["x-robots-tag"] == "noindex"
        told = await ask(b, f"{path}/recommend?lang={code}")
        sound(told, b, code)
        assert made.url in told.text
        assert not re.search(r"T\d\d:\d\d", page.text), "no page tells the minute"


async def test_a_warning_stands_before_what_it_is_about(world: World) -> None:
    # Given an offer from elsewhere with a content warning, a picture and an emoji, which does not say its language
    reader, peer = await world.person("reader@b"), await world.peer()
    market = peer.actor("market")
    await reader.follow(market.handle)
    await world.settle()
    more = {
        "summary": "about &lt;prison&gt;",
        "tag": [{"type": "Emoji", "name": ":cat:", "icon": {"type": "Image", "url": "https://cdn.example/cat.png"}}],
        "attachment": [{"type": "Document", "mediaType": "image/jpeg", "url": f"{peer.base}/1.jpg", "name": "PICTURE"}],
    }
    note = market.note("<p>How I was kept :cat:</p>", cc=[market.followers], purpose="offer", name="Talks", publishes={"type": "Intent"}, **more)
    assert (await market.send(market.create(note), f"{reader.site.base}/inbox")).status == 202
    await world.settle()
    b = reader.site.instance

    for code, runs, warning in (("en", "ltr", "Content warning: "), ("fa", "rtl", "هشدار محتوا: ")):
        # Then lists show the warning in its place, and its page has it folded away behind the warning: our words in our language, theirs in none of ours
        said = f'{warning}<bdi lang="">about &lt;prison&gt;</bdi>'
        board = await ask(b, f"/board?lang={code}")
        assert f'<p class="warning">{said}</p>' in board.text
        assert "kept" not in board.text
        page = await ask(b, f"/listings/{await copy_at(reader.site, note['id'])}?lang={code}")
        sound(page, b, code)
        order = [f'<summary lang="{code}" dir="{runs}">{said}</summary>', "How I was kept :cat:", "</details>"]
        assert sorted(order, key=page.text.index) == order
        assert '<div class="version" lang="" dir="auto">' in page.text
        assert 'content="about &lt;prison&gt;"' in page.text, "a preview says no more"
        # and nothing of it is fetched by whoever reads
        assert "cdn.example" not in page.text
        assert "1.jpg" not in page.text
    feed = (await ask(b, "/board.atom")).text
    assert '<entry xml:lang="und">' in feed
    assert feed.index("Content warning: about &lt;prison&gt;") < feed.index("How I was kept")


async def test_a_warning_comes_with_what_is_for_a_few_and_rests_sealed(world: World) -> None:
    # Given a public offer with a content warning and a request that came sealed with another
    reader, peer = await world.person("reader@b"), await world.peer()
    market = peer.actor("market")
    site = reader.site
    await reader.follow(market.handle)
    await world.settle()
    note = market.note("<p>How I was kept</p>", cc=[market.followers], purpose="offer", name="Talks", publishes={"type": "Intent"}, summary="about prison")
    assert (await market.send(market.create(note), f"{site.base}/inbox")).status == 202
    await world.settle()
    author = await site.instance.database.read(known.by_uri, market.id)
    ours = await site.instance.database.read(known.application)
    assert author is not None
    few = Proposal("request", "A doctor", "who asks nothing", categories=("LegalAid",), vouches=())
    sent = Note(
        Iri(f"{peer.base}/few"),
        author.uri,
        "<p>x</p>",
        published=world.clock.now().replace(microsecond=0),
        to=(ours.uri,),
        proposal=few,
        summary="about wounds",
    )

    async def body(tx: Transaction) -> None:
        assert isinstance(await posts.store(tx, site.instance, author, sent, local=False, confidential=True), posts.Post)

    await site.instance.database.write(body)

    # Then commands show both before the words
    found = {one.title: one for one in await site.instance.database.read(_all_of, site.instance)}
    assert {title: one.json()["warning"] for title, one in found.items()} == {"Talks": "about prison", "A doctor": "about wounds"}
    assert [list(one.json()).index("warning") < list(one.json()).index("text") for one in found.values()] == [True, True]
    # And who sees what is for a few without its words sees no warning, nor does a file hold it
    assert "warning" not in readers.coarse(found["A doctor"]).json()
    assert world.grep("about wounds") == {}


async def _all_of(tx: Transaction, instance: Instance) -> list[listings.Listing]:
    return await listings.newest(tx, instance, network=True, private=True)


async def test_what_has_no_words_can_still_be_found_and_named(world: World) -> None:
    # Given an offer of another server that is a picture and nothing else
    reader, peer = await world.person("reader@b"), await world.peer()
    market = peer.actor("market")
    await reader.follow(market.handle)
    await world.settle()
    picture = {"type": "Document", "mediaType": "image/jpeg", "url": f"{peer.base}/1.jpg"}
    note = market.note("", cc=[market.followers], purpose="offer", publishes={"type": "Intent"}, attachment=[picture])
    assert (await market.send(market.create(note), f"{reader.site.base}/inbox")).status == 202
    await world.settle()
    b = reader.site.instance
    path = f"/listings/{await copy_at(reader.site, note['id'])}"

    # Then every link to it, its heading and its title in a feed say at least what it is
    assert re.search(rf'<a href="{path}\?lang=fa">پیشنهاد</a>', (await ask(b, "/board?lang=fa")).text)
    assert "<h1>Offer</h1>" in (await ask(b, path)).text
    assert re.search(r'<a href="[^"]*" lang="" dir="auto">Offer</a>', (await ask(b, f"{path}/recommend")).text)
    assert "<title>Offer</title>" in (await ask(b, "/board.atom")).text


async def test_it_closes_and_goes_with_its_origin(world: World) -> None:
    amina, reader = await two(world)
    offer = await amina.listing("offer", "I know asylum law", "Ask me.", skills=["AsylumLaw"])
    await world.settle()
    b = reader.site.instance
    path = f"/listings/{await copy_at(reader.site, offer.url)}"
    missing = await ask(b, "/listings/1")
    await amina.site.instance.database.write(life.fulfil, amina.site.instance, offer.id)
    amina.site.instance.wake("delivery")
    await world.settle()
    assert "Please do not answer it" in (await ask(b, path)).text
    await amina.delete(offer.url)
    await world.settle()
    for suffix in ("", "/recommend"):
        gone = await ask(b, path + suffix)
        assert (gone.status, gone.body) == (404, missing.body)


async def test_what_our_policy_hides_has_no_page(world: World) -> None:
    amina, reader = await two(world)
    made = await amina.listing("request", "A lawyer", "Who knows?", skills=["AsylumLaw"])
    await world.settle()
    b = reader.site.instance
    path = f"/listings/{await copy_at(reader.site, made.url)}"
    assert (await ask(b, path)).status == 200
    await border.decide(b, border.Host(amina.site.host), "limited")

    async def hidden() -> bool:
        return (await ask(b, path)).status == 404

    await world.until(hidden, 1)


async def test_what_is_not_public_has_no_page_anywhere(world: World) -> None:
    amina = await world.person("amina@a")
    b = await world.site("b")
    await befriend(world, amina.site, b)
    made = await amina.listing("request", "CANARY", "CANARY", categories=["LegalAid"], audience="network", terms=Terms(readers=Floor(0)))
    await world.settle()
    held = await copy_at(b, made.url)
    missing = await ask(b.instance, "/listings/1")
    assert missing.status == 404
    for number in (str(held), "0", "x", "-1", "9" * 18, "9" * 19, "9" * 400, "%D9%A1", "1.5"):
        for suffix in ("", "/recommend"):
            answer = await ask(b.instance, f"/listings/{number}{suffix}")
            assert (answer.status, answer.body, answer.headers) == (404, missing.body, missing.headers), number


async def test_our_own_have_one_page(world: World) -> None:
    amina = await world.person("amina@a")
    made = await amina.listing("request", "A lawyer", "Who knows?", skills=["AsylumLaw"])
    a = amina.site.instance
    for suffix in ("", "/recommend"):
        answer = await ask(a, f"/listings/{made.id}{suffix}?lang=fa&x=y")
        assert (answer.status, answer.headers["location"]) == (302, f"/posts/{made.id}{suffix}?lang=fa")


RUBBISH = "x=y&kind=nothing&before=-1&before=x&topic=%00&lang=xx&region=" + "a" * 500 + "&words=canary&%F0%9F&=&speaks=../.."


async def test_an_address_with_rubbish_shows_the_same_page(world: World) -> None:
    amina, reader = await two(world)
    made = await amina.listing("request", "A lawyer", "Who knows?", skills=["AsylumLaw"])
    await world.settle()
    a, b = amina.site.instance, reader.site.instance
    path = f"/posts/{made.id}"
    for house, page in (
        *((a, page) for page in (path, f"{path}/recommend", "/@amina", "/topics/legalaid", "/topics/requests", "/topics", "/tags/legalaid", "/safety")),
        (b, f"/listings/{await copy_at(reader.site, made.url)}"),
    ):
        plain, rubbish = await ask(house, page), await ask(house, f"{page}?{RUBBISH}")
        assert (rubbish.status, rubbish.body) == (200, plain.body), page


async def test_what_its_server_keeps_from_the_open_web_is_shown_to_members_alone(world: World) -> None:
    # Given a reader who follows people of GoToSocial with every choice it has; what is not said is: public ones may be shown, unlisted ones not
    reader = await world.person("reader@b")
    b, peer = reader.site.instance, await world.peer()
    choices: dict[str, tuple[dict[str, bool], bool, bool]] = {
        "silent": ({}, True, False),
        "open": ({"hidesToPublicFromUnauthedWeb": False, "hidesCcPublicFromUnauthedWeb": False}, True, True),
        "shut": ({"hidesToPublicFromUnauthedWeb": True}, False, False),
        "far": ({"https://gotosocial.org/ns#hidesToPublicFromUnauthedWeb": True, "gts:hidesCcPublicFromUnauthedWeb": False}, False, True),
    }
    wanted: dict[str, bool] = {}
    named: dict[str, str] = {}
    for name, (said, public, unlisted) in choices.items():
        author = peer.actor(name, overrides=said)
        await reader.follow(author.handle)
        await world.settle()
        for title, to, cc, shown in ((f"To-{name}", PUBLIC, author.followers, public), (f"Cc-{name}", author.followers, PUBLIC, unlisted)):
            note = author.note(title, to=[to], cc=[cc], purpose="offer", publishes={"type": "Intent", "name": title})
            assert (await author.send(author.create(note), f"{reader.site.base}/inbox")).status == 202
            wanted[note["id"]] = shown
            named[title] = note["id"]
    await world.settle()
    rows = {row["uri"]: int(row["id"]) for row in await reader.site.rows("select id, uri from post where local = 0")}
    assert rows.keys() == wanted.keys()

    # Then whoever has no account finds those that may be shown, by every way, and of the others not that they are there
    missing = await ask(b, "/listings/1")
    ids = {uri for uri, shown in wanted.items() if shown}
    for place in ("/board", "/board.atom", "/", "/board?kind=offer"):
        page = (await ask(b, place)).text
        assert {uri for uri, number in rows.items() if f"/listings/{number}" in page or uri in page} == ids, place
    for uri, number in rows.items():
        for suffix in ("", "/recommend"):
            page = await ask(b, f"/listings/{number}{suffix}")
            assert page.status == 200 if wanted[uri] else (page.status, page.body) == (404, missing.body), uri
    # and members find all of them
    found = await b.database.read(search.search, b, search.Wanted(kind="offer"))
    assert {one.url for one in found} == wanted.keys()
    assert {one["url"] for one in await reader.site.listings()} == wanted.keys()

    # When one of them changes their mind, so do the pages
    author = peer.actors["shut"]
    author.overrides = {"hidesToPublicFromUnauthedWeb": False}
    assert (await author.send(author.activity("Update", author.document(), to=[PUBLIC]), f"{reader.site.base}/inbox")).status == 202
    await world.settle()
    page = (await ask(b, "/board")).text
    assert {row["uri"] for row in await reader.site.rows("select uri from actor where hides_public = 1")} == {peer.actors["far"].id}
    assert f"/listings/{rows[named['To-shut']]}" in page, "what is public is shown again"
    assert f"/listings/{rows[named['To-far']]}" not in page
