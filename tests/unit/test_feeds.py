"""Are the feeds what RFC 4287 wants, and do they hold nothing that is not for everybody?"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from actors.instance import Instance
from fedmatch import app
from fedmatch.board import publish
from schemas.objects import Translation
from tests.houses import REQUEST, open_house, person
from tests.unit.test_pages import Answer, ask

ATOM = "{http://www.w3.org/2005/Atom}"
XHTML = "{http://www.w3.org/1999/xhtml}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Instance]:
    instance = await open_house(tmp_path)
    yield instance
    await app.close(instance)


def valid(answer: Answer) -> Element:
    """The root of a feed that has all that RFC 4287 4.1 demands."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    feed = ElementTree.fromstring(answer.body)
    assert feed.tag == f"{ATOM}feed"
    for one in (feed, *feed.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            (found,) = one.findall(f"{ATOM}{name}")
            assert (found.text or "").strip()
        assert datetime.fromisoformat(one.findtext(f"{ATOM}updated", "")).tzinfo is not None
        assert one.findtext(f"{ATOM}id", "").startswith("http")
        assert one.find(f"{ATOM}author/{ATOM}name") is not None
        assert [link for link in one.findall(f"{ATOM}link") if link.get("rel") == "alternate"]
    ids = [one.findtext(f"{ATOM}id") for one in feed.findall(f"{ATOM}entry")]
    assert len(ids) == len(set(ids))
    assert [link.get("href") for link in feed.findall(f"{ATOM}link") if link.get("rel") == "self"]
    return feed


async def test_an_entry_says_everything_in_all_its_languages(house: Instance) -> None:
    alice = await person(house, "alice")
    evil = "<script>x</script> & ]]> \x0b\x00 ok"
    other = Translation("ar", "محامٍ", "من يعرف؟\n\nشكرا")
    made = await publish.listing(house, alice, replace(REQUEST, text=f"First\nline\n\n{evil}", translations=(other,)), "en", audience="public")
    feed = valid(await ask(house, "/board.atom"))
    (entry,) = feed.findall(f"{ATOM}entry")
    assert (entry.get(LANG), entry.findtext(f"{ATOM}id")) == ("en", made.url)
    assert {one.get("term") for one in entry.findall(f"{ATOM}category")} == {"LegalAid", "AsylumLaw"}
    english, arabic = entry.findall(f"{ATOM}content/{XHTML}div/{XHTML}div")
    assert [(one.get("lang"), one.get("dir")) for one in (english, arabic)] == [("en", "ltr"), ("ar", "rtl")]
    assert "<script>x</script> & ]]>" in "".join(english.itertext())
    assert "شكرا" in "".join(arabic.itertext())
    assert not list(feed.iter(f"{XHTML}script"))


async def test_feeds_follow_the_filters_and_the_pages(house: Instance) -> None:
    alice = await person(house, "alice")
    for number in range(23):
        await publish.listing(house, alice, replace(REQUEST, title=f"n {number}", purpose="offer" if number % 2 else "request"), "en", audience="public")
    first = valid(await ask(house, "/board.atom?category=legalaid&lang=fa"))
    assert (first.get(LANG), len(first.findall(f"{ATOM}entry"))) == ("fa", 20)
    (on,) = [link.get("href", "") for link in first.findall(f"{ATOM}link") if link.get("rel") == "next"]
    rest = valid(await ask(house, on.removeprefix(house.config.base_url)))
    assert len(rest.findall(f"{ATOM}entry")) == 3
    assert len(valid(await ask(house, "/board.atom?kind=offer")).findall(f"{ATOM}entry")) == 11
    assert valid(await ask(house, "/board.atom?topic=RadioBroadcast")).findall(f"{ATOM}entry") == []
    assert len(valid(await ask(house, "/users/alice/feed.atom")).findall(f"{ATOM}entry")) == 20


async def test_nothing_private_is_in_a_feed(house: Instance) -> None:
    alice = await person(house, "alice")
    await publish.listing(house, alice, replace(REQUEST, title="canary"), "en", audience="local")
    await publish.post(house, alice, "canary", "followers")
    await person(house, "nobody_much")
    for path in ("/board.atom", "/users/alice/feed.atom"):
        assert valid(await ask(house, path)).findall(f"{ATOM}entry") == []
    empty = [(await ask(house, f"/users/{name}/feed.atom")).body.replace(name.encode(), b"") for name in ("alice", "nobody_much")]
    assert empty[0] == empty[1]
    missing = [await ask(house, f"/users/{name}/feed.atom") for name in ("x", "Alice", "localhost", "alice%00")]
    assert {(one.status, one.body) for one in missing} == {(404, missing[0].body)}


async def test_pages_name_their_feeds_and_whoever_asks_again_gets_no_body(house: Instance) -> None:
    alice = await person(house, "alice")
    await publish.listing(house, alice, REQUEST, "en", audience="public")
    for path, feed in (("/", "/board.atom"), ("/board?kind=request", "/board.atom?kind=request"), ("/@alice", "/users/alice/feed.atom")):
        assert f'href="{feed}"' in (await ask(house, path)).text
        assert 'type="application/atom+xml"' in (await ask(house, path)).text
    first = await ask(house, "/board.atom")
    assert first.headers["cache-control"] == "max-age=30"
    again = await ask(house, "/board.atom", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    await publish.listing(house, alice, REQUEST, "en", audience="public")
    assert (await ask(house, "/board.atom", if_none_match=first.headers["etag"])).status == 200
