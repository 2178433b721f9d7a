"""Does anything harmful come out of the sanitiser, whatever goes in, and does it end in time?"""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import strategies as st

from schemas.html import from_text, hashtags_in, mentions_in, sanitise, to_text
from tests.fuzz.twice import twice

TAGS = {"p", "br", "span", "a", "del", "s", "pre", "blockquote", "code", "b", "strong", "u", "i", "em", "ul", "ol", "li", "ruby", "rt", "rp"}
ATTRIBUTES = {"lang", "href", "class", "rel", "translate", "start", "reversed", "value"}
PIECES = [
    "<", ">", "</", "/>", "<p>", "</p>", "<a href=", "'", '"', "javascript:alert(1)", "JaVa\tScRiPt:", "&#106;avascript:", "data:text/html,x",
    "//evil.example", "https://a.example/",
    "<script>", "</script>", "<style>", "</style>", "<svg onload=x>", "<svg><style>", "<math><mtext><mglyph><style>", "<noscript>", "</noscript>",
    "<img src=x onerror=alert(1)>",
    "<iframe srcdoc=", "<base href=", "<meta http-equiv=refresh", "<form action=", "<textarea>", "<title>", "<!--", "-->", "<![CDATA[", "]]>", "<?php",
    "<template>", "<table>", "<td>",
    "style=", "onclick=", "class=", "id=", "mention", "\u202e", "\u2066", "\u200d", "&lt;", "&amp;", "&#0;", "&#x10ffff;", "&", ";", "<h1>", "</h1>",
    "<H3 x", "<x:y>", "\x00", "\n", " ", "text",
]  # fmt: skip
soup = st.one_of(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.text(max_size=200))


class Seen(HTMLParser):
    """What a browser would find."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")


def harmless(html: str) -> None:
    """Only elements, attributes and addresses of the allowlist; the same again when done again."""
    clean = sanitise(html)
    seen = Seen()
    seen.feed(clean)
    seen.close()
    for tag, attributes in seen.tags:
        assert tag in TAGS, clean
        assert set(attributes) <= ATTRIBUTES, clean
        if "href" in attributes:
            assert (attributes["href"] or "").lower().startswith(("http://", "https://")), clean
            assert "nofollow" in (attributes.get("rel") or "")
    assert not any(letter in clean for letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert sanitise(clean) == clean


def plain(html: str) -> None:
    """Text is text: shown again as HTML it is harmless and says the same."""
    text = to_text(html)
    harmless(from_text(text))
    assert "\u202e" not in text


def written(text: str) -> None:
    """What our people type becomes harmless HTML, with tags and mentions that stand in it."""
    html = from_text(text, dict.fromkeys(mentions_in(text), ("https://a.example/@x", "@x")), "https://a.example/tags/")
    seen = Seen()
    seen.feed(html)
    seen.close()
    assert {tag for tag, _ in seen.tags} <= {"p", "br", "a", "span"}
    for _, attributes in seen.tags:
        assert (attributes.get("href") or "http").startswith("http")
    for word in hashtags_in(text):
        assert f"#{word}" in text


test_html, test_html_long = twice(harmless, soup, short=200)
test_text, test_text_long = twice(plain, soup)
test_typed, test_typed_long = twice(
    written,
    st.one_of(
        soup,
        st.lists(st.sampled_from(["#", "@", "a", ".", "https://", "(", ")", "\u200d", "_", "x.example", ":", " ", "\n", "\u0645"]), max_size=25).map("".join),
    ),
)


@pytest.mark.parametrize(
    "text",
    [
        "<div>" * 13_000, "<b>" * 60_000, '<p class="' * 20_000, "<a href='" * 20_000, "<a " + "x=y " * 50_000 + ">", "&#x" * 60_000, "<!--" * 50_000,
        "<" * 200_000, "<h1" * 60_000,
        "@" * 100_000, "@a" * 50_000, "#\u200d" * 50_000, "https://" + "a." * 50_000, "(" * 100_000 + "https://x/" + ")" * 100_000, "a.a@" * 40_000,
        "x@" + "a" * 150_000, "&amp;" * 40_000,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    """What 200,000 letters cost, which is the most that is kept of a post: seconds would stop everybody."""
    began = time.process_time()
    clean = sanitise(text[:200_000])
    to_text(clean)
    from_text(text[:10_000])
    mentions_in(text[:10_000])
    hashtags_in(text[:10_000])
    assert time.process_time() - began < 2.5
