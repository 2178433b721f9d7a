"""What does a browser see, and what does it never see? The whole ASGI application, asked as a browser asks."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

from actors.instance import Instance
from fedmatch import app
from fedmatch.board import deletion, identities, publish, social
from fedmatch.web import frame
from fedmatch.web.language import direction
from schemas.reading import App
from schemas.storage import Unwritable
from tests.houses import REQUEST, open_house, person

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
AP = 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"'


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Instance]:
    instance = await open_house(tmp_path)
    yield instance
    await app.close(instance)


class Answer:
    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, {}, b""  # type: ignore[var-annotated]

    @property
    def text(self) -> str:
        return self.body.decode()


async def ask(instance: Instance, path: str, accept: str = HTML, method: str = "GET", **more: str) -> Answer:
    """One request through guard, door and pages, which are made once for an instance: that takes longer than most answers. `more` are headers."""
    made = f"tests: web of {id(instance)} as {id(instance.config)}"
    if made not in instance.memory:
        instance.memory[made] = app.web(instance)
    path, _, query = path.partition("?")
    answer = Answer()
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", instance.config.authority.encode()),
            (b"accept", accept.encode()),
            *((name.replace("_", "-").encode(), value.encode()) for name, value in more.items()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {},
    }
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()  # a browser that waits for its answer
        return messages.pop()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await cast(App, instance.memory[made])(scope, receive, send)
    return answer


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def harmless(answer: Answer, instance: Instance) -> None:
    """No script, no style of its own, nothing from elsewhere, and the headers that say so."""
    for tag, attributes in Tags(answer.text).found:
        assert tag not in {"script", "style", "iframe", "object", "embed", "base", "img"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        if tag == "link" and attributes.get("rel") == "stylesheet":
            assert attributes["href"] == frame.stylesheet()[1]
        if tag == "form":
            assert (attributes["method"], attributes["action"]) == ("get", "/board")
        if tag == "a":
            assert re.match(r"https?://|/|#|\?|mailto:", attributes.get("href") or "/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    assert "Accept" in answer.headers["vary"]


async def test_the_front_page_says_what_this_is_and_shows_the_newest(house: Instance) -> None:
    empty = await ask(house, "/")
    assert "Nothing is asked or offered yet" in empty.text
    alice = await person(house, "alice")
    await publish.listing(house, alice, REQUEST, "en", audience="public")
    await publish.listing(house, alice, replace(REQUEST, purpose="offer", title="عرض مساعدة"), "ar", audience="public")
    page = await ask(house, "/")
    assert page.status == 200
    assert page.text.index("عرض مساعدة") < page.text.index("A lawyer")
    assert '<h3 class="title" lang="ar" dir="rtl">' in page.text
    harmless(page, house)


async def test_an_id_answers_people_and_servers(house: Instance) -> None:
    alice = await person(house, "alice")
    listing = await publish.listing(house, alice, REQUEST, "en", audience="public")
    post = await publish.post(house, alice, "some <i>words</i>")
    for uri, words in ((listing.url, "Who knows asylum law?"), (post.uri, "some &lt;i&gt;words&lt;/i&gt;"), (alice.uri, "@alice@")):
        path = uri.removeprefix(house.config.base_url)
        page = await ask(house, path)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert words in page.text
        assert f'type="application/activity+json" href="{uri}"' in page.text
        harmless(page, house)
        document = await ask(house, path, AP)
        assert document.headers["content-type"].startswith("application/activity+json")
        assert f'"id":"{uri}"' in document.text


async def test_a_request_is_served_with_all_its_members_and_its_twin(house: Instance) -> None:
    alice = await person(house, "alice")
    listing = await publish.listing(house, alice, REQUEST, "en", audience="public")
    path = listing.url.removeprefix(house.config.base_url)
    document = (await ask(house, path, AP)).text
    assert '"type":"Note"' in document
    assert '"purpose":"request"' in document
    assert '"name":"A lawyer"' in document
    twin = await ask(house, f"{path}/proposal", AP)
    assert '"type":"Proposal"' in twin.text
    post = await publish.post(house, alice, "words")
    assert (await ask(house, f"/posts/{post.id}/proposal", AP)).status == 404


async def test_what_somebody_wrote_never_becomes_markup(house: Instance) -> None:
    alice = await person(house, "alice")
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}"
    listing = await publish.listing(house, alice, replace(REQUEST, title=evil, text=evil), "en", audience="public")
    for path in ("/", "/users/alice", "/tags/request", listing.url.removeprefix(house.config.base_url)):
        page = await ask(house, path)
        assert page.status == 200
        assert "{{7*7}}" in page.text
        harmless(page, house)


async def test_what_is_not_for_everybody_is_the_same_page_as_what_never_was(house: Instance) -> None:
    alice, bob = await person(house, "alice"), await person(house, "bob")
    direct = await publish.post(house, alice, "for bob alone", "direct", to=[bob.username])
    followers = await publish.post(house, alice, "for followers", "followers")
    pages = [await ask(house, f"/posts/{number}") for number in (direct.id, followers.id, 1)]
    assert {(page.status, page.text) for page in pages} == {(404, pages[0].text)}
    assert "bob" not in (await ask(house, "/users/alice")).text


async def test_withdrawn_is_410_and_a_page(house: Instance) -> None:
    alice = await person(house, "alice")
    listing = await publish.listing(house, alice, REQUEST, "en", audience="public")
    await publish.withdraw(house, listing)
    page = await ask(house, f"/posts/{listing.id}")
    assert page.status == 410
    assert "Withdrawn" in page.text
    assert "lawyer" not in page.text
    harmless(page, house)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/users/nobody",
        "/@nobody",
        "/posts/x",
        "/posts/1/x",
        "/tags/%F0%9F%98%80",
        "/static/../instance.toml",
        "/static/x",
        "/%00",
        "/posts/" + "9" * 400,
    ],
)
async def test_rubbish_is_no_trouble(house: Instance, path: str) -> None:
    for accept in (HTML, AP, "", "*/*", "rubbish"):
        assert (await ask(house, path, accept)).status in (200, 400, 404)


async def test_other_methods_are_refused(house: Instance) -> None:
    page = await ask(house, "/board?lang=fa", method="POST")
    assert (page.status, page.headers["allow"], page.headers["cache-control"]) == (405, "GET, HEAD, OPTIONS", "no-store")
    assert 'lang="fa" dir="rtl"' in page.text
    harmless(page, house)
    told = await ask(house, "/board", AP, method="POST")
    assert (told.status, told.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert told.headers["content-type"].startswith("application/json")
    assert (await ask(house, "/", method="PRI")).status == 405
    assert (await ask(house, "/", method="HEAD")).status == 200


async def test_health_is_whether_we_can_write(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ((await ask(house, "/healthz")).status, (await ask(house, "/healthz")).text) == (200, "ok")

    async def full(*_: Any, **__: Any) -> Any:
        raise Unwritable("the disk is full")

    monkeypatch.setattr(house.database, "write", full)
    house.memory.clear()  # pages made anew: these know for a moment how it was
    sick = await ask(house, "/healthz")
    assert sick.status == 503
    assert "retry-after" in sick.headers


async def test_trouble_of_ours_is_503_and_comes_again(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: Any, **__: Any) -> Any:
        raise Unwritable("away")

    monkeypatch.setattr(house.database, "read", busy)
    page = await ask(house, "/")
    assert page.status == 503
    assert page.headers["retry-after"]


async def test_what_breaks_is_a_page_that_says_no_more_than_that(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CANARY in the error")

    monkeypatch.setattr(house.database, "read", broken)
    page = await ask(house, "/board?lang=fa&words=CANARY")
    assert (page.status, page.headers["cache-control"]) == (500, "no-store")
    assert 'lang="fa" dir="rtl"' in page.text
    assert "CANARY" not in page.text
    harmless(page, house)


@pytest.mark.parametrize(
    ("stated", "link"),
    [
        ("people@helpers.example", "mailto:people@helpers.example"),
        ("mailto:people@helpers.example", "mailto:people@helpers.example"),
        ("https://helpers.example/us", "https://helpers.example/us"),
        ("@people@helpers.example", ""),
        ("a@b.example, c@d.example", ""),
        ("a@b.example?bcc=c@d.example", ""),
        ("javascript:alert(1)", ""),
        ("ask <us>", ""),
        ("", ""),
    ],
)
def test_whoever_runs_this_is_one_click_away(stated: str, link: str) -> None:
    assert frame.Contact.of(stated) == frame.Contact(stated.removeprefix("mailto:"), link)


@pytest.mark.parametrize(
    ("language", "runs"), [("ar", "rtl"), ("fa-IR", "rtl"), ("ku-Arab", "rtl"), ("ku", "ltr"), ("en", "ltr"), ("zh-Hans", "ltr"), (None, "auto"), ("", "auto")]
)
def test_a_language_runs_its_way(language: str | None, runs: str) -> None:
    assert direction(language) == runs


async def test_a_poll_shows_what_can_be_chosen_and_how_many_did(house: Instance) -> None:
    alice, bob = await person(house, "alice"), await person(house, "bob")
    ends = house.clock.now() + timedelta(days=3)
    post = await publish.post(house, alice, "Which day?", poll=publish.asked(["Monday <b>", "یکشنبه"], multiple=False, until=ends))
    await social.vote(house, bob, post.uri, [2])
    page = await ask(house, post.uri.removeprefix(house.config.base_url))
    assert page.status == 200
    harmless(page, house)
    shown = re.findall(r"<li><bdi>(.*?)</bdi> <span[^>]*>(.*?)</span>", page.text)
    assert shown == [("Monday &lt;b&gt;", "0 (0%)"), ("یکشنبه", "1 (100%)")]
    assert "Vote from the account you have" in page.text
    assert "1 person voted" in page.text
    await house.database.write(publish.end_poll, house, post.id)
    assert "The poll is over" in (await ask(house, post.uri.removeprefix(house.config.base_url))).text


async def test_a_marketplace_finds_what_somebody_asks_and_offers(house: Instance) -> None:
    # Given public ones, one that is not, and a post
    alice = await person(house, "alice")
    made = [await publish.listing(house, alice, replace(REQUEST, title=f"n {number}"), "en", audience="public") for number in range(21)]
    hidden = await publish.listing(house, alice, REQUEST, "en", audience="local")
    await publish.post(house, alice, "words")
    twins = sorted((f"{one.url}/proposal" for one in made), key=lambda uri: int(uri.split("/")[-2]), reverse=True)

    # When a server follows the address in her document
    document = json.loads((await ask(house, "/users/alice", AP)).body)
    path = document["proposals"].removeprefix(house.config.base_url)
    collection = json.loads((await ask(house, path, AP)).body)
    first = json.loads((await ask(house, collection["first"].removeprefix(house.config.base_url), AP)).body)
    second = json.loads((await ask(house, first["next"].removeprefix(house.config.base_url), AP)).body)

    # Then it gets the twins of the public ones, in pages, and no word or number of the other
    assert (path, collection["totalItems"]) == ("/users/alice/proposals", 21)
    assert first["orderedItems"] + second["orderedItems"] == twins
    assert str(hidden.id) not in json.dumps([collection, first, second])
    assert "next" not in second
    twin = json.loads((await ask(house, twins[0].removeprefix(house.config.base_url), AP)).body)
    assert (twin["type"], twin["purpose"]) == ("Proposal", "request")
    assert (await ask(house, f"{path}?page=true&max_id=x", AP)).status == 400

    # A one-time actor lists nothing, and a deleted one is gone
    identity = await identities.make(house, alice)
    assert "proposals" not in json.loads((await ask(house, f"/users/{identity.username}", AP)).body)
    assert (await ask(house, f"/users/{identity.username}/proposals", AP)).status == (await ask(house, "/users/nobody/proposals", AP)).status == 404
    await deletion.delete_person(house, alice)
    assert (await ask(house, path, AP)).status == 410
