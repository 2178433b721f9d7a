"""What does a real browser do with our pages? It asks nobody else, complains of nothing, and scrolls down, never aside. Skips, loudly, without Chromium."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import hypercorn.asyncio
import hypercorn.config
import pytest

from actors.instance import Instance
from fedmatch import app
from fedmatch.board import publish
from schemas.objects import Translation
from tests.houses import REQUEST, open_house, person
from tests.web.browser import CHROMIUM, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: nobody looked at the pages with a real browser; apt-get install chromium")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Instance]:
    """A house that is served over HTTP."""
    instance = await open_house(tmp_path)
    serving = hypercorn.config.Config()
    serving.bind = [f"127.0.0.1:{instance.config.base_url.rpartition(':')[2]}"]
    serving.accesslog = serving.errorlog = None
    serving.graceful_timeout = 0.1
    over = asyncio.Event()
    task = asyncio.create_task(hypercorn.asyncio.serve(app.web(instance), serving, shutdown_trigger=over.wait))  # type: ignore[arg-type]  # any ASGI callable
    yield instance
    over.set()
    await task
    await app.close(instance)


ASIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL = """[...document.querySelectorAll('nav a, .button, button, select, input:not([type=hidden])')].filter(one => {
  const box = one.getBoundingClientRect(); return box.height < 24 || box.width < 20 }).map(one => one.outerHTML)"""
UNSEEN_FOCUS = "(() => { const one = document.querySelector('nav a'); one.focus({focusVisible: true}); return getComputedStyle(one).outlineStyle })()"
FAINT = """(() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number), bright = color => { const [r, g, b] = color.slice(0, 3).map(part => {
    part /= 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = one => { for (; one; one = one.parentElement) { const color = parts(getComputedStyle(one).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color } return [255, 255, 255] };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  return [...document.querySelectorAll('body *')].flatMap(one => [
    ...([...one.childNodes].some(node => node.nodeType == 3 && node.data.trim()) ? [null] : []), ...(one.placeholder ? ['::placeholder'] : []),
  ].filter(part => ratio(bright(parts(getComputedStyle(one, part).color)), bright(ground(one))) < 4.5).map(() => one.outerHTML.slice(0, 100)))
})()"""
"""Words that stand out from their ground by less than WCAG AA asks of small ones."""


async def test_pages_in_a_real_browser(house: Instance) -> None:
    alice = await person(house, "alice")
    long = replace(REQUEST, title="Donaudampfschifffahrtsgesellschaft" * 5, text="A" * 400 + " https://example.org/" + "x" * 300)
    wide = await publish.listing(house, alice, long, "de", audience="public")
    both = replace(REQUEST, title="نحتاج محاميًا", text="من يعرف قانون اللجوء؟", translations=(Translation("en", "A lawyer", "Who knows?"),))
    made = await publish.listing(house, alice, both, "ar", audience="public")
    path, other = (one.url.removeprefix(house.config.base_url) for one in (made, wide))
    base = house.config.base_url
    async with browser() as tab:
        for page in ("/", "/board", path, other, f"{path}/recommend", "/@alice", "/topics", "/topics/legalaid", "/tags/request", "/safety", "/nothing"):
            for code, width, dark in (("en", 320, False), ("fa", 320, True), ("ar", 1280, False)):
                at = f"{base}{page}?lang={code}"
                await tab.open(at, width=width, dark=dark)
                # The browser draws the sign in a field for a day by an address that holds the picture itself: that asks nobody.
                assert [url for url in tab.requests if not url.startswith((f"{base}/", "data:image/svg+xml;"))] == [], at
                assert [error for error in tab.errors if page != "/nothing" or "404" not in error] == [], at
                assert await tab.value(ASIDE) == 0, at
                assert await tab.value("getComputedStyle(document.body).direction") == ("ltr" if code == "en" else "rtl"), at
                assert await tab.value(SMALL) == [], at
                assert await tab.value(UNSEEN_FOCUS) == "solid", at
                assert await tab.value(FAINT) == [], at
        await tab.open(f"{base}{path}", width=360)
        assert await tab.value("[...document.querySelectorAll('.version')].map(one => getComputedStyle(one).direction)") == ["ltr", "rtl"]
        # The form goes to an address that can be passed on
        await tab.open(f"{base}/board?lang=ar", width=360)
        await tab.leave("document.querySelector('#region').value = 'SY', document.querySelector('form').submit()")
        assert "region=SY" in await tab.value("location.search")
        assert "lang=ar" in await tab.value("location.search")
        assert len(await tab.value("[...document.querySelectorAll('.card')].map(one => one.className)")) == 2
