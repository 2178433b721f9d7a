"""Does whoever clicks a link find their way, in their language? And does whoever types rubbish break nothing? The pages of the board, as a browser asks."""

import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from actors.instance import Instance
from actors.known import Actor
from fedmatch import app
from fedmatch.board import answers, life, publish, responses, services, stories
from fedmatch.safety import vouches
from fedmatch.web import board, frame, language
from fedmatch.web.language import OFFERED, Spoken, asked
from schemas import vocabulary
from schemas.objects import Need, Translation
from schemas.storage import Transaction
from tests import translations
from tests.houses import REQUEST, open_house, person
from tests.unit.test_pages import Answer, Tags, ask, harmless


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Instance]:
    instance = await open_house(tmp_path)
    yield instance
    await app.close(instance)


def titles(page: Answer) -> list[str]:
    return re.findall(r'class="title"[^>]*><a[^>]*>([^<]*)</a>', page.text)


def sound(page: Answer, house: Instance, code: str = "en") -> None:
    """What holds of every page: harmless, small, in its language, one h1, everything in a form labelled, no id twice, a way to skip, a way to switch."""
    harmless(page, house)
    assert len(page.body) + len(frame.stylesheet()[0]) < 100_000
    tags = Tags(page.text).found
    assert [(one["lang"], one["dir"]) for tag, one in tags if tag == "html"] == [(code, "ltr" if code == "en" else "rtl")]
    assert page.headers["content-language"] == code
    assert {"Accept", "Accept-Language"} <= set(page.headers["vary"].replace(" ", "").split(","))
    assert [tag for tag, _ in tags].count("h1") == [tag for tag, _ in tags].count("main") == 1
    ids = [one["id"] for _, one in tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert next(one["href"] for tag, one in tags if tag == "a") == "#content"
    labelled = {one["for"] for tag, one in tags if tag == "label"}
    assert {one["id"] for tag, one in tags if tag in ("input", "select", "textarea") and one.get("type") != "hidden"} == labelled
    assert {one["hreflang"] for tag, one in tags if tag == "a" and "hreflang" in one} == set(OFFERED) - {code}
    for _, one in tags:
        if "aria-labelledby" in one:
            assert one["aria-labelledby"] in ids
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(headings)), headings


async def several(house: Instance) -> None:
    """Three different ones."""
    alice = await person(house, "alice")
    for title, more in (
        ("A lawyer", {}),
        ("Radio", {"skills": ("RadioBroadcast",), "categories": ("Connectivity",), "speaks": ("fa",), "region": "IR", "urgency": "hours"}),
        ("Free time", {"purpose": "offer", "region": None, "urgency": None}),
    ):
        await publish.listing(house, alice, replace(REQUEST, title=title, **more), "en", audience="public")


FILTERS = [
    ("", ["Free time", "Radio", "A lawyer"]),
    ("kind=request", ["Radio", "A lawyer"]),
    ("kind=offer", ["Free time"]),
    ("topic=LegalAid", ["Free time", "A lawyer"]),
    ("category=legal-aid", ["Free time", "A lawyer"]),
    ("skill=radio", ["Radio"]),
    ("speaks=fa", ["Radio"]),
    ("region=sy", ["A lawyer"]),
    ("urgency=hours", ["Radio"]),
    ("words=LAWYER", ["A lawyer"]),
    ("words=asylum+lawyer&kind=offer", []),
    ("kind=&topic=&speaks=&region=&urgency=&words=&after=&language=&until=&room=&origin=&author=&state=&sort=", ["Free time", "Radio", "A lawyer"]),
    ("words=lawyer&sort=best", ["A lawyer"]),
    ("words=%22a+lawyer%22", ["A lawyer"]),
    ("language=en&origin=here.example", []),
    ("author=alice&language=en", ["Free time", "Radio", "A lawyer"]),
    ("author=nobody", []),
    ("state=closed", []),
    ("state=any&helper_region=DE", []),
    ("room=2&anywhere=1", ["Free time", "Radio", "A lawyer"]),
    ("checked=1", []),
    ("until=2026-01-01", []),
]


async def test_filters_are_an_address(house: Instance) -> None:
    await several(house)
    for query, found in FILTERS:
        page = await ask(house, f"/board?{query}")
        assert (page.status, sorted(titles(page))) == (200, sorted(found)), query
        sound(page, house)


async def test_a_form_shows_what_was_chosen_and_every_link_keeps_it(house: Instance) -> None:
    await several(house)
    page = await ask(house, "/board?kind=request&topic=radio&speaks=FA&region=ir&urgency=hours&words=%22radio%22+%3Cb%3E&lang=fa&junk=%22%3E")
    sound(page, house, "fa")
    tags = Tags(page.text).found
    assert {one["value"] for tag, one in tags if tag == "option" and "selected" in one} == {"RadioBroadcast", "fa", "IR", "hours"}
    kept = {"words": ['"radio" <b>'], "kind": ["request"], "topic": ["RadioBroadcast"], "speaks": ["fa"], "region": ["IR"], "urgency": ["hours"]}
    switches = [one["href"] or "" for tag, one in tags if tag == "a" and "hreflang" in one]
    assert {parse_qs(urlsplit(href).query).pop("lang")[0] for href in switches} == {"en", "ar"}
    assert [{name: value for name, value in parse_qs(urlsplit(href).query).items() if name != "lang"} for href in switches] == [kept, kept]
    assert "junk" not in page.text
    for href in (one["href"] or "" for tag, one in tags if tag == "a"):
        assert "lang=" in href or href.startswith("#"), href


async def test_pages_go_on_where_the_one_before_ended(house: Instance) -> None:
    alice = await person(house, "alice")
    for number in range(45):
        await publish.listing(house, alice, replace(REQUEST, title=f"n {number}"), "en", audience="public")
    for path, tagged in (("/board?kind=request&lang=ar", "lang=ar"), ("/@alice", "after"), ("/topics/legalaid", "after"), ("/tags/legalaid", "after")):
        seen, at = [], path
        while at:
            page = await ask(house, at)
            seen += titles(page)
            on = re.search(r'rel="next" href="([^"]*)"', page.text)
            at = on[1].replace("&amp;", "&") if on else ""
            assert not at or tagged in at
        assert sorted(seen) == sorted(f"n {number}" for number in range(45)), path


async def test_what_means_nothing_is_said_back_and_nothing_is_looked_for(house: Instance) -> None:
    await several(house)
    for query, name in (
        ("kind=both", "Kind"), ("topic=lawyers-and-more", "Field of help or skill"), ("speaks=xyz1", "Language spoken"), ("region=XX", "Region"),
        ("urgency=now", "How soon"), ("language=%2B", "Language of the text"), ("until=tomorrow", "Closes by"), ("room=0", "Room for so many people"),
        ("room=1e9", "Room for so many people"), ("origin=%3Cb%3E", "From the server"), ("author=%40", "Written by"), ("state=sealed", "Open or closed"),
        ("sort=sealed", "Order"), ("checked=yes", "Only from people who were checked"),
    ):  # fmt: skip
        for path in ("/board", "/board.atom"):
            page = await ask(house, f"{path}?{query}")
            assert (page.status, titles(page)) == (400, []), query
            assert "Not understood, so nothing was looked for:" in page.text
            assert f"<li>{name}: <bdi>" in page.text
        sound(page, house)
    assert (await ask(house, "/board?after=1")).status == 400


NAMES = ("kind", "topic", "category", "skill", "speaks", "region", "urgency", "words", "after", "author", "until", "room", "sort", "lang", "else")


async def test_hostile_queries_break_nothing(house: Instance) -> None:
    await several(house)
    for value in (
        "'", "%27%20or%201=1--", "%00", "%ff%fe", "%F0%9F%98%80", "-1", "1e9", "9" * 30, "%D9%A1%D9%A2",
        "NEAR(", "x:", "{x+y}:", "*", "%25%25a%25", '"a"+' * 200,
        "(" * 500, "%E2%80%AE", "a" * 3500, "../../etc", "%0d%0aSet-Cookie:x=1", "en;q=x", "ku-Arab-x-y-z-a-b-c-d-e",
    ):  # fmt: skip
        for name in NAMES:
            paths = ("/board",) if name not in ("after", "lang") else ("/board", "/board.atom", "/", "/@alice", "/topics/legalaid", "/tags/legalaid")
            for path in paths:
                answer = await ask(house, f"{path}?{name}={value}&{name}=2")
                assert answer.status in (200, 400), (path, name, value)
                assert "set-cookie" not in answer.headers
        # All at once
        assert (await ask(house, "/board?" + "&".join(f"{name}={value[:200]}" for name in NAMES))).status in (200, 400)
    for accept in ("*", ",,,;;;", "fa;q=1e400", "fa;q=nan", "a" * 5000, "ar;q=-1", "\u0661"):
        assert (await ask(house, "/board", accept_language=accept)).status == 200


@pytest.mark.parametrize("path", ["/topics/x", "/topics/%00", "/topics/" + "a" * 3000, "/tags/" + "a" * 3000, "/posts/1/recommend", "/posts/x/recommend"])
async def test_what_is_no_page_is_the_one_page_that_says_so(house: Instance, path: str) -> None:
    answer = await ask(house, path)
    assert (answer.status, answer.body) == (404, (await ask(house, "/nothing")).body)


async def test_a_listing_that_is_not_public_is_missing_in_every_language_and_way(house: Instance) -> None:
    alice = await person(house, "alice")
    hidden = await publish.listing(house, alice, replace(REQUEST, title="canary"), "en", audience="local")
    unseen = hidden.id + 1
    for query in ("", "?lang=ar", "?lang=fa", "?lang=xx", "?kind=request"):
        for suffix in ("", "/recommend"):
            for method in ("GET", "HEAD"):
                pages = [await ask(house, f"/posts/{number}{suffix}{query}", method=method) for number in (hidden.id, unseen)]
                assert pages[0].status == 404
                assert (pages[0].body, pages[0].headers) == (pages[1].body, pages[1].headers)
    for path in ("/", "/board", "/board?words=canary", "/@alice", "/topics/legalaid", "/tags/request", "/board.atom", "/topics"):
        assert "canary" not in (await ask(house, path)).text.replace('value="canary"', "").replace("words=canary", "")


async def test_a_listing_says_everything_in_each_of_its_languages(house: Instance) -> None:
    alice = await person(house, "alice")
    await house.database.write(vouch_for, house, alice)
    first = await publish.listing(house, alice, REQUEST, "en", audience="public")
    rich = replace(
        REQUEST,
        needs=(Need("editors", 3), Need("a van", 1, equipment=True)),
        helper_region="DE",
        only_region=True,
        only_speaks=True,
        translations=(Translation("fa", "وکیل", "چه کسی می‌داند؟"),),
        follow_up_of=first.url,
        until=house.clock.now() + timedelta(days=9),
    )
    made = await publish.listing(house, alice, rich, "ar", audience="public")
    path = made.url.removeprefix(house.config.base_url)
    page = await ask(house, path)
    sound(page, house)
    for words in ("3 × editors", "a van", "Germany", "only there", "only these", "Within days", "Checked by", house.config.name, "Recommend this", "Never"):
        assert words in page.text
    assert 'lang="ar" dir="rtl"' in page.text
    assert '<div class="version" lang="fa" dir="rtl">' in page.text
    assert f'href="{first.url.removeprefix(house.config.base_url)}"' in page.text
    assert f'<code class="address">{made.url}</code>' in page.text
    assert 'property="og:title"' in page.text
    persian = await ask(house, f"{path}?lang=fa")
    sound(persian, house, "fa")
    assert "۳ × editors" in persian.text
    assert re.findall(r"<h[12][^>]*>(?:وکیل|A lawyer)</h[12]>", persian.text) == ["<h1>وکیل</h1>", '<h2 class="title">A lawyer</h2>'], "theirs comes first"
    assert re.findall(r"<h[12][^>]*>(?:وکیل|A lawyer)</h[12]>", page.text)[0] == "<h1>A lawyer</h1>"
    assert "وکیل" in titles(await ask(house, "/board?lang=fa"))
    assert not re.search(r"T\d\d:\d\d", page.text), "no page tells the minute"
    await house.database.write(life.fulfil, house, made.id)
    closed = await ask(house, path)
    assert "Please do not answer it" in closed.text
    assert "/recommend" not in closed.text


async def vouch_for(tx: Transaction, instance: Instance, actor: Actor) -> None:
    await vouches.issue(tx, instance, actor, 2, "references", staff="admin")


async def test_somebody_with_the_skill_can_be_told_without_a_trace(house: Instance) -> None:
    alice = await person(house, "alice")
    made = await publish.listing(house, alice, replace(REQUEST, title='A "lawyer" & <b>'), "en", audience="public")
    path = made.url.removeprefix(house.config.base_url)
    for code in OFFERED:
        page = await ask(house, f"{path}/recommend?lang={code}")
        sound(page, house, code)
        (mail,) = [one["href"] or "" for tag, one in Tags(page.text).found if tag == "a" and (one.get("href") or "").startswith("mailto:")]
        assert made.url in unquote(mail)
        assert 'A "lawyer" & <b>' in unquote(mail)
        assert made.url in page.text
        assert "lang=" not in unquote(mail)
        elsewhere = [one["href"] for tag, one in Tags(page.text).found if tag == "a" and re.match("https?:", one.get("href") or "")]
        assert elsewhere == []


async def test_a_field_of_help_has_a_page_before_and_after_somebody_looks_it_up(house: Instance) -> None:
    await several(house)
    handle = f"@legalaid@{house.config.host}"
    page = await ask(house, "/topics/LEGAL")
    sound(page, house)
    assert sorted(titles(page)) == ["A lawyer", "Free time"]
    assert handle in page.text
    assert await services.Caller(house)("legalaid") == "legalaid"
    service = await ask(house, "/@legalaid")
    sound(service, house)
    assert titles(service) == titles(page)
    assert 'type="application/activity+json"' in service.text
    for name, found in (("requests", ["A lawyer", "Radio"]), ("offers", ["Free time"]), ("urgent", ["Radio"])):
        for code in OFFERED:
            listed = await ask(house, f"/topics/{name}?lang={code}")
            sound(listed, house, code)
            assert sorted(titles(listed)) == found
    assert "More about Asylum and refugee law" in (await ask(house, "/tags/AsylumLaw")).text


@pytest.mark.parametrize("code", OFFERED)
async def test_every_page_is_there_in_every_language(house: Instance, code: str) -> None:
    empty = [await ask(house, f"{path}?lang={code}") for path in ("/", "/board", "/tags/x", "/topics/legalaid")]
    await several(house)
    for page in [*empty, *[await ask(house, f"{path}?lang={code}") for path in ("/", "/board", "/topics", "/safety", "/@alice", "/topics/asylumlaw", "/x")]]:
        sound(page, house, code)
        if code != "en":
            words = re.sub(r"<option.*?</option>|<bdi.*?</bdi>|<[^>]*>", " ", page.text)
            assert not re.search(r"\b(the|and|request|offer|Any|Search|Open)\b", words), words


async def test_the_language_comes_from_the_address_or_from_the_browser(house: Instance) -> None:
    for accept, code in (("fa-IR,fa;q=0.9,en;q=0.8", "fa"), ("de, ar;q=0.3, en;q=0.2", "ar"), ("de", "en"), ("", "en"), ("en, fa", "en"), ("fa;q=0, ar", "ar")):
        page = await ask(house, "/", accept_language=accept)
        sound(page, house, code)
        assert "?lang=" not in page.text.partition("<footer>")[0]
        sound(await ask(house, "/?lang=ar", accept_language=accept), house, "ar")
    assert 'href="/board?lang=ar"' in (await ask(house, "/?lang=ar")).text


async def test_numbers_are_told_coarsely_and_in_the_digits_of_the_language(house: Instance) -> None:
    alice = await person(house, "alice")
    for number in range(11):
        await publish.listing(house, alice, replace(REQUEST, title=f"n {number}"), "en", audience="public")
        await publish.listing(house, alice, replace(REQUEST, purpose="offer"), "en", audience="local")
    assert "More than 10 requests are open now." in (await ask(house, "/")).text
    assert "۱۰" in (await ask(house, "/?lang=fa")).text
    assert "١٠" in (await ask(house, "/?lang=ar")).text
    assert "offers are open now" not in (await ask(house, "/")).text


async def test_the_style_sheet_may_be_kept_because_its_address_changes_with_it(house: Instance) -> None:
    answer = await ask(house, frame.stylesheet()[1])
    assert (answer.status, answer.body) == (200, frame.stylesheet()[0])
    assert answer.headers["cache-control"] == "public, max-age=604800"
    assert (await ask(house, "/static/icon.svg")).headers["content-type"] == "image/svg+xml"
    assert (await ask(house, "/")).headers["cache-control"] == "max-age=30"


async def test_a_slow_line_gets_pages_compressed(house: Instance) -> None:
    await several(house)
    for path in ("/board?lang=ar", "/nothing", "/board.atom", frame.stylesheet()[1]):
        plain = await ask(house, path)
        assert "Accept-Encoding" in plain.headers["vary"]
        assert "content-encoding" not in plain.headers
        for taken in ("gzip", "br, gzip;q=0.8", "GZIP"):
            small = await ask(house, path, accept_encoding=taken)
            assert (small.status, small.headers["content-encoding"], gzip.decompress(small.body)) == (plain.status, "gzip", plain.body)
            assert small.headers["content-length"] == str(len(small.body))
            assert small.headers.get("etag") == plain.headers.get("etag")
        for refused in ("", "br", "identity", "gzip;q=0", "gzip;q=x", "*;q=0"):
            assert (await ask(house, path, accept_encoding=refused)).body == plain.body
    assert len((await ask(house, "/board?lang=ar", accept_encoding="gzip")).body) < 12_000
    assert "content-encoding" not in (await ask(house, "/static/icon.svg", accept_encoding="gzip")).headers


@pytest.mark.parametrize(
    ("day", "there"),
    [
        ((1979, 2, 11), (1357, 11, 22)),
        ((2007, 3, 20), (1385, 12, 29)),
        ((2007, 3, 21), (1386, 1, 1)),
        ((2021, 3, 20), (1399, 12, 30)),
        ((2024, 3, 20), (1403, 1, 1)),
        ((2025, 3, 20), (1403, 12, 30)),
        ((2025, 3, 21), (1404, 1, 1)),
        ((2026, 9, 22), (1405, 6, 31)),
        ((2026, 9, 23), (1405, 7, 1)),
        ((2124, 3, 19), (1502, 12, 29)),
    ],
)
def test_a_day_in_the_calendar_of_iran(day: tuple[int, int, int], there: tuple[int, int, int]) -> None:
    assert language.solar(date(*day)) == there


def test_days_and_numbers_read_as_people_write_them() -> None:
    day = datetime(2026, 11, 3, tzinfo=UTC)
    assert (Spoken("en").day(day), Spoken("ar").day(day), Spoken("fa").day(day)) == ("November 3, 2026", "٣ نوفمبر ٢٠٢٦", "۱۲ آبان ۱۴۰۵ (۳ نوامبر ۲۰۲۶)")
    assert (Spoken("en").number(12345), Spoken("ar").number(12345), Spoken("fa").number(12345)) == ("12,345", "١٢٬٣٤٥", "۱۲٬۳۴۵")
    assert asked("fa", "en") == Spoken("fa", chosen=True)
    assert asked("xx", "ar") == Spoken("ar")


def test_every_sentence_is_translated_and_the_check_would_see_if_not() -> None:
    wanted = translations.said()
    assert len(wanted) > 100
    assert [line for code in OFFERED if code != "en" for line in translations.faults(code, wanted)] == []
    wanted.add("Somebody new %(said)s this")
    assert translations.faults("ar", wanted) == ["fedmatch/web/locale/ar/LC_MESSAGES/fedmatch.po: not translated: Somebody new %(said)s this"]
    forms = {language.translations("ar").ngettext("%(number)s person voted.", "%(number)s people voted.", number) for number in (0, 1, 2, 3, 11, 100)}
    assert len(forms) == 6


@pytest.mark.parametrize("code", OFFERED)
def test_every_field_language_and_country_has_a_name(code: str) -> None:
    assert [field.category.value for field in board.fields(code)] == [one.slug for one in vocabulary.categories()]
    for choices in (board._tongues(code), board._regions(code)):
        assert all(one.name != one.value for one in choices)


def relative(color: str) -> float:
    """The luminance of WCAG."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_word_stands_out_from_its_ground_by_day_and_by_night() -> None:
    css = frame.stylesheet()[0].decode()
    for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL):
        colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        pairs = [(ink, ground) for ink in ("ink", "soft", "link", "request", "offer") for ground in ("ground", "paper")]
        pairs += [("request", "request-ground"), ("offer", "offer-ground"), ("urgent", "urgent-ground"), ("ink", "offer-ground"), ("link", "offer-ground")]
        pairs += [("soft", "line"), ("button-ink", "button")]
        for ink, ground in pairs:
            light, dark = sorted((relative(colors[ink]), relative(colors[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground, round((light + 0.05) / (dark + 0.05), 2))


async def test_what_both_agreed_to_tell_stands_on_the_page_until_one_takes_it_back(house: Instance) -> None:
    alice, bob = await person(house, "alice"), await person(house, "bob")
    made = await publish.listing(house, alice, replace(REQUEST, title="A lawyer"), "en", audience="public")

    async def told(tx: Transaction) -> answers.Response:
        sent = await responses.answer(tx, house, bob, made, "I can.")
        held = await responses.accept(tx, house, alice, await responses.open_(tx, house, alice, sent))
        held = await responses.complete(tx, house, alice, held)
        await stories.tell(tx, house, alice, held, "She <b>stays</b>.", credit="Alice <i>")
        await stories.tell(tx, house, bob, held)
        return held

    held = await house.database.write(told)
    path = made.url.removeprefix(house.config.base_url)
    for code, heading in (("en", "What came of it"), ("fa", "چه حاصل شد")):
        page = await ask(house, f"{path}?lang={code}")
        sound(page, house, code)
        assert heading in page.text
        assert "She &lt;b&gt;stays&lt;/b&gt;." in page.text
        assert "Alice &lt;i&gt;" in page.text

    await house.database.write(stories.withdraw, house, bob, held)
    assert "stays" not in (await ask(house, path)).text
