"""Is there a URL that our parts, or others' parsers, read as two different hosts?"""

from urllib.parse import urlsplit

import httpx
import pytest
import yarl
from hypothesis import strategies as st

from actors import hosts, webfinger
from actors.hosts import BadUrl
from actors.targets import target
from schemas.reading import iri
from tests.fuzz.twice import twice

PIECES = [
    "http", "https", "HTTP", "ftp", "file", "javascript", ":", "//", "/", "\\", "@", "#", "?", "&", "=", ".", "..", "%2e", "%2f", "%00", "%40", "%", "[",
    "]", "::1",
    "::ffff:127.0.0.1", "127.0.0.1", "0x7f.1", "2130706433", "localhost", "example.com", "ours.example", "xn--mnchen-3ya.example", "m\u00fcnchen.example",
    "\u3002", "\uff0e",
    "\u00ad", "\u200b", "\u202e", "user", "pass", "443", "80", "8443", "99999", "0", "-", "_", " ", "\t", "\n", "\x00", "a" * 64, "a" * 250, "|", "^",
    "`", "{", "}", "\"", "<", ";", ",", "'", "\ud800",
]  # fmt: skip
urls = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: "https://" + "".join(parts)),
    st.lists(st.sampled_from(PIECES), max_size=5).map(lambda parts: "https://example.com/" + "".join(parts)),
    st.text(max_size=60).map(lambda text: f"https://{text}"),
)


def one_host(url: str) -> None:
    """A URL is refused, or everybody reads the host that we judged, in the spelling that we send."""
    try:
        spelled = target(url)
    except BadUrl:
        return
    assert hosts.authority(url) == spelled.authority == hosts.authority(spelled.url)
    assert target(spelled.url) == spelled
    assert spelled.url.isascii()
    assert spelled.scheme in {"http", "https"}
    host = spelled.authority.rpartition(":")[0] if spelled.authority.rpartition(":")[2].isdigit() and not spelled.authority.endswith("]") else spelled.authority
    bare = host.strip("[]")
    assert urlsplit(spelled.url).hostname == bare
    assert httpx.URL(spelled.url).raw_host.decode() == bare
    assert yarl.URL(spelled.url, encoded=True).raw_host == bare
    # The path that is signed is the path that is sent.
    sent = yarl.URL(spelled.url, encoded=True)
    assert sent.raw_path_qs == spelled.path
    assert "@" not in spelled.authority
    assert ".." not in spelled.path.partition("?")[0].split("/")


def one_origin(one: str, other: str) -> None:
    """Origins are compared by what would be asked: two URLs share one exactly if they are spelled to one scheme and host."""
    try:
        spelled = [hosts.origin(url) for url in (one, other)]
    except BadUrl:
        assert not hosts.same_origin(one, other)
        return
    assert hosts.same_origin(one, other) == (spelled[0] == spelled[1])
    assert hosts.same_origin(one, one)


def names_hold(text: str) -> None:
    """A host as people type it has one spelling, which is its own; a handle has a name and such a host."""
    try:
        name = hosts.host_name(text)
    except BadUrl:
        pass
    else:
        assert hosts.host_name(name) == name
        assert name == name.lower()
        assert next(iter(hosts.domains(name))) == name
    try:
        user, host = webfinger.split(text)
    except BadUrl:
        return
    assert user
    assert "@" not in host


def ids_hold(value: object) -> None:
    """An id is an http(s) address in one piece, or none; nothing else comes out, whatever goes in."""
    found = iri(value)
    assert found is None or (found.startswith(("http://", "https://")) and not any(letter.isspace() for letter in found))


shapes = st.recursive(
    st.one_of(urls, st.none(), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["id", "@id", "href"]), inner, max_size=2)),
    max_leaves=4,
)

test_hosts, test_hosts_long = twice(one_host, urls, short=300)
test_origins, test_origins_long = twice(one_origin, urls, urls)
test_names, test_names_long = twice(names_hold, st.one_of(st.lists(st.sampled_from(PIECES), max_size=5).map("".join), st.text(max_size=30)))
test_ids, test_ids_long = twice(ids_hold, shapes)


@pytest.mark.parametrize(
    "url", ["https://example.com/a b", "https://exa mple.com/", "https://example.com/\u202e", "https://example.com./", "https://EXAMPLE.com:443/"]
)
def test_known_ones(url: str) -> None:
    one_host(url)
