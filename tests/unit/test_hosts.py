"""Is a host one host in every spelling, and do limits stay small? (security.md A114)"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import hosts
from actors.hosts import FAMILY, BadUrl, Limits, authority, domains, family, host_name, same_origin
from schemas.storage import Database
from tests import house


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/users/a", "example.org"),
        ("HTTPS://EXAMPLE.org/users/a", "example.org"),
        ("https://example.org./users/a", "example.org"),
        ("https://example.org:443/", "example.org"),
        ("http://example.org:80", "example.org"),
        ("http://example.org:443", "example.org:443"),
        ("https://example.org:", "example.org"),
        ("https://example.org:8443?x", "example.org:8443"),
        ("https://example.org:08443/", "example.org:8443"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://BÜCHER.example/", "xn--bcher-kva.example"),
        ("https://XN--BCHER-KVA.example/", "xn--bcher-kva.example"),
        ("https://example。org/", "example.org"),
        ("https://example．org/", "example.org"),
        ("https://example｡org/", "example.org"),
        ("https://ｅｘａｍｐｌｅ.org/", "example.org"),
        ("https://سوريا.example/", "xn--mgbtf8fl.example"),
        ("https://under_score.example/", "under_score.example"),
        ("https://127.0.0.1:8000/", "127.0.0.1:8000"),
        ("https://１２７.0.0.1/", "127.0.0.1"),
        ("https://[::1]:8000/x", "[::1]:8000"),
        ("https://[0:0:0:0:0:0:0:1]/", "[::1]"),
        ("https://localhost#x", "localhost"),
    ],
)
def test_every_spelling_of_a_host_is_one_host(url: str, name: str) -> None:
    assert authority(url) == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "//example.org/",
        "ftp://example.org/",
        "javascript:alert(1)",
        "acct:a@example.org",
        "https:example.org",
        "https:///x",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://example.org@evil.example/",
        "https://example.org%2eevil.example/",
        "https://exa%6dple.org/",
        "https://example.org\\@evil.example/",
        "https://example.org\\.evil.example/",
        "https://exam ple.org/",
        "https://example.org/a b",
        "https://example.org/a\nb",
        " https://example.org/",
        "https://example.org\x00/",
        "https://example..org/",
        "https://.example.org/",
        "https://example.org../",
        "https://-example.org/",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:١/",
        "https://example.org:+1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.1.5/",
        "https://example.0x1/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://::1/",
        "https://xn--a-ecp.ru-\u00ad/",
        "https://xn--a/",
        "https://xn--ls8h.example/",   # what IDNA does not know as a name, in the spelling that needs no IDNA
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
        "https://example.org/" + "a" * 2048,
    ],
)
def test_what_two_programs_could_read_as_two_hosts_is_no_url(url: str) -> None:
    with pytest.raises(BadUrl):
        authority(url)


@given(st.text(max_size=60))
def test_rubbish_is_refused_by_name_and_nothing_else_happens(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}.example/x"):
        try:
            name = authority(url)
        except BadUrl:
            continue
        assert name == name.lower()
        assert name.isascii()
        assert "@" not in name
        assert "%" not in name
        assert not name.endswith(".")
        assert authority(f"https://{name}/") == name, "one spelling: normalising again changes nothing"


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda label: not label.startswith("xn--") and label[2:4] != "--")
names = st.lists(labels, min_size=1, max_size=4).map(lambda parts: ".".join([*parts, "example"]))


@given(names, st.integers(1, 65535), st.booleans(), st.sampled_from(["。", "．", "｡", "."]))
def test_case_dots_and_ports_do_not_make_another_host(name: str, port: int, upper: bool, dot: str) -> None:
    spelled = (name.upper() if upper else name).replace(".", dot)
    assert authority(f"https://{spelled}/") == name
    assert authority(f"https://{spelled}.:{port}/x?y#z") == (name if port == 443 else f"{name}:{port}")
    assert host_name(f" {spelled} ") == name


@given(names)
def test_a_rule_for_a_parent_is_found_from_every_child(name: str) -> None:
    assert name in domains(f"deep.down.{name}")
    assert name in domains(f"down.{name}:8443")
    assert f"down.{name}" not in domains(name)
    assert name not in domains(f"evil{name}")


def test_addresses_have_no_parents() -> None:
    assert list(domains("127.0.0.1:8000")) == ["127.0.0.1:8000", "127.0.0.1"]
    assert list(domains("[::1]")) == ["[::1]"]
    assert list(domains("[::1]:80")) == ["[::1]:80", "[::1]"]


@pytest.mark.parametrize(
    ("host", "above"),
    [
        ("example.org", None), ("a.example.org", "example.org"), ("c.b.a.example.org", "example.org"), ("example.org:8443", "example.org"),
        ("a.example.org:8443", "example.org"), ("example.co.uk", None), ("a.example.co.uk", "example.co.uk"), ("a.example.uk", "example.uk"),
        ("co.uk", None), ("t.me", None), ("a.b.me", None), ("localhost", None), ("localhost:8001", None),
        ("192.0.2.1", None), ("192.0.2.1:8001", None), ("[2001:db8::1]", None), ("[2001:db8::1]:8001", None), ("onionaddress.onion", None),
    ],
)  # fmt: skip
def test_a118_names_and_ports_of_one_domain_are_one_family(host: str, above: str | None) -> None:
    assert family(host) == above


def test_a118_a_thousand_names_of_one_domain_have_as_much_as_ten() -> None:
    now = Monotonic()
    limits = Limits(now)
    passed = [limits.take_of_host("inbox", f"a{number % 1000}.evil.example", 1, 3) == 0 for number in range(3000)]
    assert sum(passed) == 3 * FAMILY
    assert limits.take_of_host("inbox", "good.example", 1, 3) == 0, "others are not held up"
    now.at += 1
    assert [limits.take_of_host("inbox", f"b{number}.evil.example", 1, 3) == 0 for number in range(20)] == [True] * FAMILY + [False] * 10
    # One host alone has no more than it had
    assert [limits.take_of_host("inbox", "x.other.example", 1, 3) == 0 for _ in range(5)] == [True] * 3 + [False] * 2


def test_an_origin_is_scheme_and_host_and_port() -> None:
    assert same_origin("https://Example.org/a", "https://example.org:443/b")
    assert not same_origin("https://example.org/a", "http://example.org/a")
    assert not same_origin("https://example.org/a", "https://example.org:8443/a")
    assert not same_origin("https://example.org/a", "https://www.example.org/a")
    assert not same_origin("rubbish", "rubbish"), "what has no origin shares none"


class Monotonic:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    now = Monotonic()
    limits = Limits(now)
    assert [limits.allow("inbox", "a", rate=2, burst=3) for _ in range(4)] == [True, True, True, False]
    assert limits.allow("inbox", "b", rate=2, burst=3), "each key has a bucket of its own"
    assert limits.allow("fetch", "a", rate=2, burst=3), "and each name"
    assert limits.retry_after("inbox", "a", rate=2, burst=3) == pytest.approx(0.5)
    now.at += 0.5
    assert limits.retry_after("inbox", "a", rate=2, burst=3) == 0.0
    assert limits.take("inbox", "a", rate=2, burst=3) == 0.0
    assert limits.take("inbox", "a", rate=2, burst=3) == pytest.approx(0.5)
    now.at += 3600
    assert [limits.allow("inbox", "a", rate=2, burst=3) for _ in range(4)] == [True, True, True, False], "what was not used does not pile up"


def test_a_refusal_costs_nothing_and_a_rate_of_zero_never_refills() -> None:
    limits = Limits(Monotonic())
    assert limits.take("x", "a", rate=0, burst=1) == 0.0
    assert limits.take("x", "a", rate=0, burst=1) == float("inf")


def test_limits_stay_bounded_whatever_keys_strangers_choose() -> None:
    limits = Limits(Monotonic(), most=100, most_nonces=100)
    for number in range(1000):
        limits.allow("inbox", "k" * 1000 + str(number), rate=1, burst=1)
        limits.fresh("signature", "n" * 1000 + str(number), 60)
    assert len(limits._buckets) == 100
    assert len(limits._nonces) == 100
    assert not limits.allow("inbox", "k" * 1000 + "999", rate=1, burst=1), "the latest are the ones it remembers"


def test_a_nonce_is_fresh_once_until_its_time_is_over() -> None:
    now = Monotonic()
    limits = Limits(now)
    assert limits.fresh("signature", "abc", 60)
    assert not limits.fresh("signature", "abc", 60)
    assert limits.fresh("other", "abc", 60)
    assert limits.fresh("signature", "\ud800", 60), "even what is no text"
    now.at += 60
    assert limits.fresh("signature", "abc", 60)
    assert len(limits._nonces) == 1


async def test_a_host_has_one_row(database: Database, tmp_path: house.Path) -> None:
    made = await house.build(database, house.configure(tmp_path))
    first = await made.write(hosts.ensure, made.instance, "theirs.example")
    assert await made.write(hosts.ensure, made.instance, "theirs.example") == first
    assert await made.write(hosts.ensure, made.instance, "others.example") != first


async def test_who_proves_alive_is_tried_again_but_not_forgiven(database: Database, tmp_path: house.Path) -> None:
    made = await house.build(database, house.configure(tmp_path))
    host_id = await made.write(hosts.ensure, made.instance, "theirs.example")
    down = "update host set failures = 9, open_until = 99999999999999, down_since = 5 where id = :id"

    async def break_it(tx: house.Transaction) -> None:
        await tx.execute(down, id=host_id)

    async def row(tx: house.Transaction) -> dict[str, int]:
        found = await tx.one("select failures, open_until, down_since, last_heard from host where id = :id", id=host_id)
        assert found is not None
        return {name: found[name] for name in ("failures", "open_until", "down_since", "last_heard")}

    await made.write(break_it)
    await made.write(hosts.heard, made.instance, host_id)
    first = made.clock.ms()
    assert await made.read(row) == {"failures": 9, "open_until": 0, "down_since": None, "last_heard": first}
    made.clock.move(seconds=59)
    await made.write(hosts.heard, made.instance, host_id)
    assert (await made.read(row))["last_heard"] == first, "written once a minute, not once a message"
    made.clock.move(seconds=2)
    await made.write(hosts.heard, made.instance, host_id)
    assert (await made.read(row))["last_heard"] == made.clock.ms()
