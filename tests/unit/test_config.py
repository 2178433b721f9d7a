"""The shape of instance.toml: what is complete loads, what is wrong is named with its key, its line and the cure."""

import re
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.config import Config, ConfigError, bind, is_local_name
from schemas.config_file import KEYS, load
from schemas.config_template import template

ROOT = Path(__file__).resolve().parents[2]
GOOD = 'host = "example.org"\nbase_url = "https://example.org"\n'
LOCAL = 'host = "localhost:8000"\nbase_url = "http://localhost:8000"\n[development]\nplain_http = true\n'


def read(folder: Path, text: str) -> Config:
    file = folder / "instance.toml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return caught.value.problems


def test_the_file_of_the_root_is_the_template_and_loads() -> None:
    text = template("localhost:8000", "http://localhost:8000", True)

    assert (ROOT / "instance.toml").read_text(encoding="utf-8") == text
    config = load(ROOT / "instance.toml")
    assert (config.domain, config.authority, config.scheme) == ("localhost:8000", "localhost:8000", "http")
    assert config.development is not None
    assert ip_network("127.0.0.0/8") in config.development.allow_networks
    assert config.folder == ROOT / "data"
    assert config.vault.file == ROOT / "data" / "vault.key"


def test_a_public_template_loads_without_development(tmp_path: Path) -> None:
    config = read(tmp_path, template("example.org", "https://fedi.example.org", False))

    assert config.development is None
    assert (config.host, config.authority, config.vault.source, config.vault.file) == ("example.org", "fedi.example.org", "passphrase", None)


def test_every_key_is_in_the_template_with_a_comment_above_it() -> None:
    lines = template("localhost:1", "http://localhost:1", True).splitlines()
    section, found = "", set()
    for before, line in pairwise(lines):
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif key := re.match(r"(\w+) = ", line):
            found.add(f"{section}.{key[1]}" if section else key[1])
            assert before.startswith("# "), line
    assert found == set(KEYS)


def test_two_keys_are_enough(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)

    assert config.server.bind == "127.0.0.1:8000"
    assert config.limits.body == 1024 * 1024
    assert config.federation.retry_days == 30


@pytest.mark.parametrize(
    ("text", "line", "key", "cure"),
    [
        ('base_url = "https://a.org"\n', 1, "host", 'add host = "your.domain"'),
        ('host = "a.org"\n', 1, "base_url", "add base_url = "),
        ('host = ""\nbase_url = "https://a.org"\n', 1, "host", 'add host = "your.domain"'),
        ("# words\nhost =\n", 2, "host", 'write for example host = "your.domain"'),
        (GOOD + "[server]\nbind =   # later\n", 4, "server.bind", "write for example bind = "),
        (GOOD + '\nhots = "x"\n', 4, "hots", "did you mean `host`"),
        (GOOD + "[limits]\nbodi = 3\n", 4, "limits.bodi", "did you mean `limits.body`"),
        (GOOD + 'mode = "open"\n', 3, "mode", "did you mean `federation.mode`"),
        (GOOD + "[lgo]\n", 3, "lgo", "did you mean `log`"),
        (GOOD + "zzz = 1\n", 3, "zzz", "remove it"),
        (GOOD + "log = 3\n", 3, "log", "write [log]"),
        (GOOD + '[limits]\nbody = "1 MiB"\n', 4, "limits.body", "write for example body = 1048576"),
        (GOOD + "[limits]\nbody = true\n", 4, "limits.body", "whole number"),
        (GOOD + "[limits]\nbody = 3\n", 4, "limits.body", "between 65536"),
        (GOOD + "[federation]\nsigned_only = 1\n", 4, "federation.signed_only", "true or false"),
        (GOOD + '[federation]\nmode = "closed"\n', 4, "federation.mode", "one of open, approve, allowlist"),
        (GOOD + '[server]\nbind = "8000"\n', 4, "server.bind", '"127.0.0.1:8000"'),
        (GOOD + 'server.bind = "nowhere:1"\n', 3, "server.bind", "ADDRESS:PORT"),
        (GOOD + '[server]\ntrusted_proxies = "127.0.0.1"\n', 4, "server.trusted_proxies", "a list of texts"),
        (GOOD + '[server]\ntrusted_proxies = [\n  "10.0.0.1/8",\n]\n', 4, "server.trusted_proxies", "host bits"),
        (GOOD + "[server]\ntrusted_proxies = [1]\n", 4, "server.trusted_proxies", "a list of texts"),
        (GOOD + '[database]\nurl = "mysql://x"\n', 4, "database.url", 'url = "sqlite"'),
        (GOOD + '[vault]\nsource = "usb"\n', 4, "vault.source", "one of passphrase, credential, file"),
        (GOOD + '[vault]\ncredential = "../x"\n', 4, "vault.credential", "fedmatch-vault"),
        (GOOD + 'name = """two\nlines"""\n', 3, "name", "one line"),
        ('host = "https://a.org/"\nbase_url = "https://a.org"\n', 1, "host", 'write host = "a.org"'),
        ('host = "a.org:444"\nbase_url = "https://a.org"\n', 1, "host", 'write host = "a.org"'),
        ('host = "a b.org"\nbase_url = "https://a.org"\n', 1, "host", "no host name"),
        ('host = "localhost"\nbase_url = "https://a.org"\n', 1, "host", "add the section [development]"),
        ('host = "10.1.2.3"\nbase_url = "https://a.org"\n', 1, "host", "a domain name others can reach"),
        ('host = "a.org"\nbase_url = "a.org"\n', 2, "base_url", 'write base_url = "https://a.org"'),
        ('host = "a.org"\nbase_url = "https://a.org/fedmatch"\n', 2, "base_url", "nothing behind"),
        ('host = "a.org"\nbase_url = "https://u:p@a.org"\n', 2, "base_url", "nothing behind"),
        ('host = "a.org"\nbase_url = "https://[a.org"\n', 2, "base_url", "a scheme and a host"),
        ('host = "a.org"\nbase_url = "http://a.org"\n', 2, "base_url", 'write base_url = "https://a.org"'),
        ('host = "a.org"\nbase_url = "https://a.org:8443"\n', 2, "base_url", 'write base_url = "https://a.org"'),
        (GOOD + "[development]\n", 1, "host", "remove that section"),
        ('host = "localhost"\nbase_url = "https://a.org"\n[development]\n', 2, "base_url", "remove that section"),
        (LOCAL.replace("plain_http = true", ""), 2, "base_url", "plain_http = true"),
        (LOCAL + 'allow_networks = ["here"]\n', 5, "development.allow_networks", "no address or network"),
    ],
)
def test_what_is_wrong_is_named_with_key_line_and_cure(tmp_path: Path, text: str, line: int, key: str, cure: str) -> None:
    found = problems(tmp_path, text)

    assert any(sentence.startswith(f"instance.toml line {line}: `{key}` ") and cure in sentence for sentence in found), found


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, 'base_url = "http://a.org"\nname = 3\n[log]\nlevel = """\n[log]\n"""\nform = 1\n')

    assert [re.search(r"line (\d+): `([\w.]+)`", sentence)[0] for sentence in found] == [  # type: ignore[index]  # every problem has both
        "line 1: `base_url`", "line 1: `host`", "line 2: `name`", "line 4: `log.level`", "line 7: `log.form`",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['"', "= 3", "[", "host = 'a", "\x00", "a = 1\na = 2\n", "host = [[[[", "[server]\n[server]\n"])
def test_rubbish_is_refused_with_a_line(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)[0].startswith("instance.toml line ")


def test_a_file_that_is_not_there_or_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fedmatch --config"):
        load(tmp_path / "instance.toml")
    (tmp_path / "instance.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "instance.toml")


@pytest.mark.parametrize(("written", "meant"), [("EXAMPLE.org", "example.org"), ("bücher.org", "xn--bcher-kva.org"), ("example.org.", "example.org")])
def test_host_names_are_lower_case_punycode(tmp_path: Path, written: str, meant: str) -> None:
    config = read(tmp_path, f'host = "{written}"\nbase_url = "https://{written}:443/"\n')

    assert (config.host, config.base_url) == (meant, f"https://{meant}")


@pytest.mark.parametrize("host", ["localhost", "a.localhost:8001", "127.0.0.1:9", "[::1]:9", "one.test", "two.example", "three.invalid", "box.localdomain"])
def test_development_takes_names_that_mean_only_this_machine(tmp_path: Path, host: str) -> None:
    assert is_local_name(host)
    for scheme in ("http", "https"):
        config = read(tmp_path, f'host = "{host}"\nbase_url = "{scheme}://{host}"\n[development]\nplain_http = true\n')
        assert (config.host, config.scheme) == (host, scheme)


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org", "8.8.8.8", "test", "10.0.0.1"])
def test_other_names_are_public(host: str) -> None:
    assert is_local_name(host) == (host == "test")


def test_an_address_to_listen_on_is_split() -> None:
    assert bind("127.0.0.1:0") == ("127.0.0.1", 0)
    assert bind("[::1]:8000") == ("::1", 8000)
    for wrong in ("8000", "127.0.0.1", "127.0.0.1:99999", "a.org:1", "127.0.0.1:-1", ":8"):
        with pytest.raises(ValueError, match="write for example"):
            bind(wrong)
