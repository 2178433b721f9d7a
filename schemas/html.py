"""What of somebody's HTML do we keep, and how does plain text become HTML and HTML plain text?

The allowlist is Mastodon's (protocol.md 6.2): what it keeps, everybody shows. Everything foreign goes through `sanitise` before it is kept.
"""

import re
from collections.abc import Mapping
from html import escape, unescape
from typing import Final

import nh3

_CLASSES: Final = {"mention", "hashtag", "ellipsis", "invisible", "quote-inline", "h-card", "h-entry", "u-url", "u-uid", "p-name", "p-author", "e-content"}
_REL: Final = "nofollow noopener noreferrer"
_TAGS: Final = {"p", "br", "span", "a", "del", "s", "pre", "blockquote", "code", "b", "strong", "u", "i", "em", "ul", "ol", "li", "ruby", "rt", "rp"}
_HEADINGS: Final = re.compile(r"<(/?)h[1-6](?=[\s>/])[^<>]*>", re.IGNORECASE)
_OTHERS: Final = re.compile(rf"<(?!/?(?:{'|'.join(sorted(_TAGS))})[\s/>])[a-z/!?]", re.IGNORECASE)
_LINE_LOST: Final = re.compile(r'(<pre(?: lang="[^"]*")?>)\n')
_OVERRIDES: Final = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""Bidirectional embeddings, overrides and isolates: they can make a link or a name read as another. The marks that Arabic, Persian and Hebrew need
(LRM, RLM, ALM) and the joiners of Persian and of emoji stay."""
MOST_PASSES: Final = 4
_SILENT: Final = {"script", "style", "template", "noscript", "iframe", "object", "svg", "math", "title", "textarea", "xmp"}
"""Elements whose content is no text for people."""

_LETTERS: Final = r"[^<>&\x00-\x08\x0b-\x1f\x7f-\xa0\u2028-\u202f\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff-\uffff]"
_LABEL: Final = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_HASHTAG: Final = rf'<a href="https://(?:{_LABEL}\.)+[a-z]{{2,}}/[A-Za-z0-9_/@-]*" class="mention hashtag" rel="tag">#<span>{_LETTERS}*+</span></a>'
_PLAIN_HTML: Final = re.compile(rf"(?:<p>(?:{_LETTERS}++|<br>|{_HASHTAG}|&(?:amp|lt|gt);)*+</p>)+")
"""Paragraphs of text, line ends and Mastodon's hashtags: nothing of it but their `rel` changes, and no HTML reader has to look."""

_KEPT: Final = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags=_SILENT,
    attributes={"*": {"lang"}, "a": {"href"}, "ol": {"start", "reversed"}, "li": {"value"}},
    allowed_classes={"a": _CLASSES, "span": _CLASSES, "p": _CLASSES},
    tag_attribute_values={"a": {"translate": {"no"}}, "span": {"translate": {"no"}}},
    url_schemes={"http", "https"},
    url_relative="deny",   # a relative link would lead to our own pages
    link_rel=_REL,
)
_BARE: Final = nh3.Cleaner(
    tags={"p", "br", "div", "ul", "ol", "li", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "tr"},
    clean_content_tags=_SILENT | {"rp"},
    attributes={"*": set()},
)


def sanitise(html: str) -> str:
    """The HTML in `html` that is safe to keep and to show: Mastodon's allowlist, links to http and https only, headings as bold paragraphs.

    Links get `rel="nofollow noopener noreferrer"`; bidirectional overrides are taken out, ordinary right-to-left text is not touched. Doing it twice changes
    nothing. About 25 us for a post, 5 where it is paragraphs and hashtags alone.
    """
    if _PLAIN_HTML.fullmatch(html):
        return html.replace(' rel="tag">', f' rel="{_REL}">')
    if "<h" in html or "<H" in html:
        html = _HEADINGS.sub(lambda tag: "</strong></p>" if tag[1] else "<p><strong>", html)
    clean = _once(html)
    if _OTHERS.search(html):
        # What is taken out may leave a link in a link, or a paragraph in a paragraph: every reader would untangle that in a way of its own.
        for _ in range(MOST_PASSES):
            if (again := _once(clean)) == clean:
                break
            clean = again
    return clean


def _once(html: str) -> str:
    clean = _KEPT.clean(html)
    if "<pre" in clean:
        clean = _LINE_LOST.sub(r"\1\n\n", clean)   # whoever reads a <pre> drops the first line end in it
    return _plain(clean)   # after the sanitiser, which turns character references into characters


def _plain(text: str) -> str:
    return text if text.isascii() else _OVERRIDES.sub("", text)


def to_text(html: str) -> str:
    """The plain text of `html`: a blank line between paragraphs, a line for each `<br>` and list item, no markup, no bidirectional overrides."""
    bare = _plain(_BARE.clean(html))
    pieces = re.split(r"(<pre>.*?</pre>)", bare, flags=re.DOTALL)
    flat = "".join(piece if piece.startswith("<pre>") else re.sub(r"[ \t\r\n\f]+", " ", piece) for piece in pieces)
    flat = re.sub(r" ?<br> ?", "\n", flat)
    flat = re.sub(r" ?</?(?:p|div|ul|ol|blockquote|pre|h[1-6])> ?", "\n\n", flat)
    flat = re.sub(r" ?<li> ?(?:\n\n)?", "\n- ", flat)
    flat = re.sub(r"\s*</(?:li|tr)> ?", "\n", flat)
    flat = re.sub(r"<tr> ?|\n(?=\n- )", "", flat)
    return re.sub(r"\n{3,}", "\n\n", unescape(flat)).replace("\xa0", " ").strip()


_WORD: Final = r"[\w\u200c\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0dff\u0e00-\u0e7f]"
"""Letters of a hashtag (FEP-eb48), with the marks that Python does not count among letters and the joiner of Persian."""
_TOKENS: Final = re.compile(
    r"(?P<link>https?://[^\s<>\"]+)"
    r"|(?<![\w/@.])(?P<mention>@[A-Za-z0-9_](?:[\w.-]*\w)?(?:@[\w-]+(?:\.[\w-]+)*(?::[0-9]{1,5})?)?)"
    rf"|(?<![\w/&#])#(?P<tag>(?=[0-9_]*[^\W0-9_]){_WORD}+)"
)
_TAIL: Final = ".,;:!?'\"’”»]}…،؛؟。、"
"""What ends a sentence more often than an address. A closing bracket too, unless the address opened it."""


def from_text(text: str, mentions: Mapping[str, tuple[str, str]] | None = None, tags: str | None = None) -> str:
    """Plain `text` as HTML: escaped, a `<p>` for each block of lines, `<br>` for single line ends, http(s) addresses as links.

    `mentions` maps "@bob@host" as written to (href, "@bob"), the link and what it shows; other mentions stay text. `tags` is where hashtags lead
    (`https://host/tags/`, the lower-case word is put behind it); None leaves them text.
    """
    named = {name.casefold(): shown for name, shown in (mentions or {}).items()}
    blocks = re.split(r"\n[ \t]*(?:\n[ \t]*)+", text.replace("\r\n", "\n").replace("\r", "\n").strip())
    return "".join(f"<p>{'<br>'.join(_line(line, named, tags) for line in block.split(chr(10)))}</p>" for block in blocks if block.strip())


def mentions_in(text: str) -> tuple[str, ...]:
    """The mentions in a plain text as written, "@bob" or "@bob@host", without repeats."""
    return tuple(dict.fromkeys(found["mention"] for found in _TOKENS.finditer(text) if found["mention"]))


def hashtags_in(text: str) -> tuple[str, ...]:
    """The hashtags in a plain text as written, without the number sign and without repeats in other case."""
    found = {match["tag"].strip("\u200c").casefold(): match["tag"].strip("\u200c") for match in reversed(list(_TOKENS.finditer(text))) if match["tag"]}
    return tuple(reversed(found.values()))


def hashtag(word: str, tags: str) -> str:
    """A hashtag as a link that Mastodon and Misskey recognise as one."""
    return f'<a href="{escape(tags + word.lower())}" class="mention hashtag" rel="{_REL}">#<span>{escape(word)}</span></a>'


def _line(line: str, mentions: Mapping[str, tuple[str, str]], tags: str | None) -> str:
    pieces, at = [], 0
    for found in _TOKENS.finditer(line):
        end, piece = found.end(), None
        if found["link"]:
            url = found["link"].rstrip(_TAIL)
            while url.endswith(")") and url.count(")") > url.count("("):
                url = url[:-1].rstrip(_TAIL)
            end = found.start() + len(url)
            piece = f'<a href="{escape(url)}" rel="{_REL}">{escape(url)}</a>'
        elif found["mention"]:
            if shown := mentions.get(found["mention"].casefold()):
                href, name = shown
                link = f'<a href="{escape(href)}" class="u-url mention" rel="{_REL}">@<span>{escape(name.removeprefix("@"))}</span></a>'
                piece = f'<span class="h-card">{link}</span>'
        elif tags is not None:
            piece = hashtag(found["tag"].strip("\u200c"), tags)
        if piece is not None:
            pieces += [escape(line[at : found.start()], quote=False), piece]
            at = end
    return "".join([*pieces, escape(line[at:], quote=False)])
