"""HTML of others is made harmless, plain text becomes HTML and comes back, and right-to-left text stays whole."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import html as kept_html
from schemas.html import from_text, hashtags_in, mentions_in, sanitise, to_text

REL = 'rel="nofollow noopener noreferrer"'
ALLOWED = ["p", "br", "span", "a", "del", "s", "pre", "blockquote", "code", "b", "strong", "u", "i", "em", "ul", "ol", "li", "ruby", "rt", "rp"]


class Reader(HTMLParser):
    """Notes every element and attribute there is."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    ("foreign", "kept"),
    [
        ("<p>Hello <b>you</b></p>", "<p>Hello <b>you</b></p>"),
        ("<script>alert(1)</script>x<style>p{}</style>", "x"),
        ("<img src=x onerror=alert(1)>", ""),
        ('<svg onload="alert(1)"><text>x</text></svg>y', "y"),
        ("<iframe src='https://a.example'>x</iframe>", ""),
        ('<p style="color:red" onclick="x()" id="a" class="evil h-card">x</p>', '<p class="h-card">x</p>'),
        ('<a href="javascript:alert(1)">x</a>', f"<a {REL}>x</a>"),
        ('<a href=" JaVaScRiPt:alert(1)">x</a>', f"<a {REL}>x</a>"),
        ('<a href="data:text/html,x">x</a>', f"<a {REL}>x</a>"),
        ('<a href="/admin">x</a>', f"<a {REL}>x</a>"),
        ('<a href="//evil.example/">x</a>', f"<a {REL}>x</a>"),
        ('<a href="mailto:a@b.example">x</a>', f"<a {REL}>x</a>"),
        ('<a href="https://a.example/" target="_blank" rel="me opener">x</a>', f'<a href="https://a.example/" {REL}>x</a>'),
        ("<h1>Big</h1><H3 class='x'>small</H3>", "<p><strong>Big</strong></p><p><strong>small</strong></p>"),
        ("<table><tr><td>cell</td></tr></table>", "cell"),
        ('<span class="invisible">https://</span>', '<span class="invisible">https://</span>'),
        ('<p lang="ar">نص</p>', '<p lang="ar">نص</p>'),
        ("<p>a<!-- note -->b", "<p>ab</p>"),
        ("<form><input value=x><button>send</button></form>", "send"),
        ("a\u202egpj.exe &#x202e;b &#8238;c\u2066d", "agpj.exe b cd"),
        ("مرحبا\u200f! می\u200cخواهم", "مرحبا\u200f! می\u200cخواهم"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("<math><mi>x</mi></math>", ""),
        ("<p translate=no><span translate='no'>x</span><span translate='yes'>y</span></p>", '<p><span translate="no">x</span><span>y</span></p>'),
    ],
)
def test_only_harmless_html_is_kept(foreign: str, kept: str) -> None:
    assert sanitise(foreign) == kept


pieces = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<a href='",
            "https://a.example/'>",
            "javascript:x'>",
            "</a>",
            "<h1>",
            "</h1 >",
            "<h2 <",
            "<script>",
            "</script>",
            "<svg><style>",
            "<![CDATA[",
            "<!--",
            "-->",
            "<img src=x onerror=y>",
            "<math><mtext></mtext><mglyph><style>",
            "&lt;script&gt;",
            "&#x202e;",
            "\u202e",
            "x",
            " ",
            '"',
            "'",
            ">",
            "<",
            "<li>",
            "<pre>\n",
            "<br>",
            "<ruby><rp>(",
        ]
    ),
    max_size=20,
).map("".join)


@pytest.mark.parametrize(
    "foreign",
    [
        "<a href=><table><a href=>",
        "<p>a<button><p>b",
        "<a href='https://a.example/'>a<marquee><a href='https://b.example/'>b",
        "<pre>\n\nverse",
        "<pre lang=de>\n\n\nverse</pre>",
        "<pre><table>\n\n<s>",
    ],
)
def test_what_was_sanitised_is_read_by_everybody_as_it_stands(foreign: str) -> None:
    kept = sanitise(foreign)

    assert sanitise(kept) == kept
    assert not re.search("<a[^>]*>[^/]*<a|<p><p>", kept)


def test_the_first_line_end_of_preformatted_text_is_kept() -> None:
    assert sanitise("<pre>\n\nverse</pre>") == "<pre>\n\nverse</pre>"


@settings(max_examples=300, deadline=None)
@given(pieces | st.text(max_size=60))
def test_whatever_comes_only_the_allowlist_leaves(foreign: str) -> None:
    kept = sanitise(foreign)

    for tag, attributes in Reader(kept).found:
        assert tag in ALLOWED
        assert set(attributes) <= {"href", "class", "rel", "lang", "translate", "start", "reversed", "value"}
        assert re.match(r"https?://", attributes.get("href") or "https://", re.IGNORECASE)
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", kept)
    assert sanitise(kept) == kept
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", to_text(foreign))


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<br>two</p><p>three</p>", "one\ntwo\n\nthree"),
        ("<ul><li>a</li><li><p>b</p></li></ul>after", "- a\n- b\n\nafter"),
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<p>a\n   b\tc</p>", "a b c"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<div>a<div>b</div></div>", "a\n\nb"),
        ("<script>x</script><h2>T</h2>y<br/><br/><br/>z", "T\n\ny\n\nz"),
        (
            '<a href="https://a.example/"><span class="invisible">https://</span><span class="ellipsis">a.example/</span></a>',
            "https://a.example/",
        ),
        ("<ruby>字<rp>(</rp><rt>ji</rt><rp>)</rp></ruby>", "字ji"),
        ("a&nbsp;b", "a b"),
        ("", ""),
        ("<", "<"),
        ("<![x", ""),
        ("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\nb"),
    ],
)
def test_html_reads_as_plain_text(html: str, text: str) -> None:
    assert to_text(html) == text


def test_plain_text_becomes_paragraphs_links_and_mentions() -> None:
    html = from_text(
        "Hi @Bob@b.example:8001, see https://a.example/c(d). #Legal <b>\r\nline two\n\n\n(https://a.example/x)",
        {"@bob@b.example:8001": ("https://b.example/@bob", "@bob")},
        "https://a.example/tags/",
    )

    assert html == (
        f'<p>Hi <span class="h-card"><a href="https://b.example/@bob" class="u-url mention" {REL}>@<span>bob</span></a></span>, '
        f'see <a href="https://a.example/c(d)" {REL}>https://a.example/c(d)</a>. '
        f'<a href="https://a.example/tags/legal" class="mention hashtag" {REL}>#<span>Legal</span></a> &lt;b&gt;<br>line two</p>'
        f'<p>(<a href="https://a.example/x" {REL}>https://a.example/x</a>)</p>'
    )
    assert sanitise(html) == html


def test_what_nobody_named_stays_text() -> None:
    assert from_text("@nobody #tag a@b.example x#y #123") == "<p>@nobody #tag a@b.example x#y #123</p>"
    assert from_text("   \n\n ") == ""


def test_a_link_cannot_break_out_of_its_attribute() -> None:
    html = from_text('https://a.example/"onmouseover="x https://a.example/<script> https://a.example/&quot;', tags="https://t/")

    assert all(set(attributes) == {"href", "rel"} for tag, attributes in Reader(html).found if tag == "a")
    assert sanitise(html) == html


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs", "Cf", "Co", "Cn"]) | st.sampled_from(" \n#@:/<>&\"'"), max_size=80))
def test_text_comes_back_from_its_html(text: str) -> None:
    html = from_text(text, tags="https://a.example/tags/")
    lines = [re.sub(" +", " ", line).strip() for line in text.strip().split("\n")]

    assert to_text(html) == re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    assert sanitise(html) == html


def test_mentions_and_hashtags_are_found_once() -> None:
    assert mentions_in("hey @a @b@c.example. x@y.example @a (@d@localhost:8001)") == ("@a", "@b@c.example", "@d@localhost:8001")
    assert hashtags_in("#A #a #b_1 x#c #2026 ##d #کمک\u200cحقوقی") == ("A", "b_1", "کمک\u200cحقوقی")


plain_pieces = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["<br>", "&amp;", "&lt;", "</p><p>", "\n", '"', "\u200f", "\u2029", "\U0001fffe", "\u3000", "<b>", ' rel="tag">', "&nbsp;"]),
    st.builds(
        lambda link, word: f'<a href="{link}" class="mention hashtag" rel="tag">#<span>{word}</span></a>',
        st.sampled_from(["https://a-b.example/tags/x", "https://A.example/", "https://1.2.3.com//@-_", "https://a--b.example/", "https://a.example/?x", "https://1.2.3.4/"]),
        st.text(max_size=3),
    ),
)


@given(st.lists(plain_pieces, max_size=6))
def test_what_is_plain_enough_to_be_passed_is_what_the_sanitiser_makes(pieces: list[str]) -> None:
    told = f"<p>{''.join(pieces)}</p>"
    if kept_html._PLAIN_HTML.fullmatch(told):
        assert sanitise(told) == kept_html._once(told)
        assert kept_html._once(sanitise(told)) == sanitise(told)
