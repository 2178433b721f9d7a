"""What stands in an `instance.toml`, and what is wrong with it? Every key is read and checked; what is refused names the key, the line and the cure."""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, TypeVar, cast, get_args
from urllib.parse import urlsplit

from schemas import vocabulary
from schemas.config import (
    MIB,
    MOST_WEIGHT,
    BackupConfig,
    BoardConfig,
    Config,
    ConfigError,
    DatabaseConfig,
    DevelopmentConfig,
    FederationConfig,
    Level,
    LimitsConfig,
    LogConfig,
    LogFormat,
    MatchingConfig,
    MatchingEngine,
    Mode,
    Review,
    ServerConfig,
    Software,
    VaultConfig,
    VaultSource,
    bind,
    is_address,
    is_local_name,
    without_port,
)
from schemas.peering import InstanceTerms

T = TypeVar("T")

def load(path: Path) -> Config:
    """The checked configuration in the file `path`; raises `ConfigError` with every problem found, one sentence each."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError((f"{path} does not exist; make it with: fedmatch --config {path} init --host your.domain",)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path} cannot be read ({error}); it must be a UTF-8 text file this user may read",)) from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((_syntax(path.name, text, str(error)),)) from None
    return _Reader(path, text, values).config()


KEYS: Final[Mapping[str, str]] = {
    "host": 'host = "your.domain"',
    "base_url": 'base_url = "https://your.domain"',
    "name": 'name = "Our instance"',
    "description": 'description = "Who we are, in one sentence."',
    "contact": 'contact = "admin@your.domain"',
    "folder": 'folder = "data"',
    "database.url": 'url = "sqlite"',
    "server.bind": 'bind = "127.0.0.1:8000"',
    "server.software": 'software = "hypercorn"',
    "server.trusted_proxies": 'trusted_proxies = ["127.0.0.1"]',
    "vault.source": 'source = "passphrase"',
    "vault.file": 'file = "vault.key"',
    "vault.credential": 'credential = "fedmatch-vault"',
    "federation.mode": 'mode = "open"',
    "federation.signed_only": "signed_only = false",
    "federation.deliveries_at_once": "deliveries_at_once = 64",
    "federation.per_host": "per_host = 2",
    "federation.retry_days": "retry_days = 30",
    "federation.fetch_budget": "fetch_budget = 100",
    "board.review": 'review = "everything"',
    "backup.ledger": 'ledger = "ledger"',
    "matching.engine": 'engine = "auto"',
    "matching.tags": "tags = 1.0",
    "matching.words": "words = 1.0",
    "matching.themes": "themes = 0.75",
    "matching.likeness": "likeness = 0.5",
    "matching.likeness_centred": "likeness_centred = 0.5",
    "matching.language": "language = 0.3",
    "matching.interpreter": "interpreter = 0.1",
    "matching.region": "region = 0.1",
    "matching.vouched": "vouched = 0.3",
    "matching.fresh": "fresh = 0.1",
    "matching.exposure": "exposure = 0.8",
    "limits.body": "body = 1048576",
    "limits.request_seconds": "request_seconds = 30",
    "limits.inbox_per_host_per_minute": "inbox_per_host_per_minute = 6000",
    "log.level": 'level = "info"',
    "log.format": 'format = "text"',
    "terms.registration": 'registration = "By invitation."',
    "terms.review": 'review = "Everything is read by us before it is published."',
    "terms.readers": 'readers = "Helpers we met in person."',
    "terms.retention": 'retention = "Closed requests are deleted after 30 days."',
    "terms.jurisdiction": 'jurisdiction = ["DE"]',
    "development.allow_networks": 'allow_networks = ["127.0.0.0/8", "::1/128"]',
    "development.plain_http": "plain_http = true",
}
"""Every key there is, with a line that would be right."""

_SECTIONS: Final = frozenset(key.partition(".")[0] for key in KEYS if "." in key)
_NAMES: Final = {bool: "true or false", int: "a whole number", str: "text in quotes", list: 'a list of texts, as in ["a", "b"]'}


class _Reader:
    """Reads one file and collects what is wrong with it."""

    def __init__(self, path: Path, text: str, values: Mapping[str, object]) -> None:
        self.path = path.absolute()
        self.values = values
        self.lines = _lines(text)
        self.problems: list[tuple[int, str]] = []

    def config(self) -> Config:
        self.unknown()
        development = self.development()
        host = self.host(development)
        base_url = self.base_url(host, development)
        folder = self.path.parent / self.get("folder", str, "data")
        source: VaultSource = self.choice("vault.source", VaultSource, "passphrase")
        key_file = folder / self.get("vault.file", str, "vault.key")
        usual = MatchingConfig()
        config = Config(
            path=self.path,
            host=host,
            base_url=base_url,
            name=self.get("name", str, "fedmatch", most=500) or "fedmatch",
            description=self.get("description", str, "", most=5000),
            contact=self.get("contact", str, "", most=500),
            folder=folder,
            database=DatabaseConfig(self.database()),
            server=ServerConfig(self.checked("server.bind", ServerConfig().bind, bind), self.choice("server.software", Software, "hypercorn"), self.proxies()),
            vault=VaultConfig(source, key_file if source == "file" else None, self.get("vault.credential", str, "fedmatch-vault", pattern=r"[\w.-]{1,100}")),
            federation=FederationConfig(
                mode=self.choice("federation.mode", Mode, "open"),
                signed_only=self.get("federation.signed_only", bool, False),
                deliveries_at_once=self.whole("federation.deliveries_at_once", 64, 1, 1000),
                per_host=self.whole("federation.per_host", 2, 1, 50),
                retry_days=self.whole("federation.retry_days", 30, 1, 365),
                fetch_budget=self.whole("federation.fetch_budget", 100, 1, 1000),
            ),
            backup=BackupConfig(folder / self.get("backup.ledger", str, "ledger")),
            board=BoardConfig(self.choice("board.review", Review, "everything" if development is None else "nothing")),
            matching=MatchingConfig(
                self.choice("matching.engine", MatchingEngine, "auto"),
                *(self.weight(f"matching.{each.name}", getattr(usual, each.name)) for each in fields(usual)[1:]),
            ),
            limits=LimitsConfig(
                body=self.whole("limits.body", MIB, 64 * 1024, 16 * MIB),
                request_seconds=self.whole("limits.request_seconds", 30, 1, 600),
                inbox_per_host_per_minute=self.whole("limits.inbox_per_host_per_minute", 6000, 1, 10_000_000),
            ),
            log=LogConfig(self.choice("log.level", Level, "info"), self.choice("log.format", LogFormat, "text")),
            development=development,
            terms=InstanceTerms(
                registration=self.get("terms.registration", str, "", most=2000),
                review=self.get("terms.review", str, "", most=2000),
                readers=self.get("terms.readers", str, "", most=2000),
                retention=self.get("terms.retention", str, "", most=2000),
                jurisdiction=self.countries("terms.jurisdiction"),
            ),
        )
        if self.problems:
            raise ConfigError(tuple(problem for _, problem in sorted(self.problems)))
        return config

    def problem(self, key: str, what: str) -> None:
        """Notes a problem with `key`, at its line, else at the line of its section, else at the first."""
        section = key.rpartition(".")[0]
        line = self.lines.get(key) or self.lines.get(section) or 1
        sentence = f"{self.path.name} line {line}: `{key}` {what}"
        if (line, sentence) not in self.problems:
            self.problems.append((line, sentence))

    def unknown(self) -> None:
        for name, value in self.values.items():
            if name in _SECTIONS:
                if not isinstance(value, dict):
                    self.problem(name, f"is a section; write [{name}] on a line of its own and its keys below it")
                    continue
                for inner in value:
                    self.known(f"{name}.{inner}", [key for key in KEYS if key.startswith(f"{name}.")])
            else:
                self.known(name, [key for key in KEYS if "." not in key] + sorted(_SECTIONS))

    def known(self, key: str, keys: list[str]) -> None:
        if key in KEYS:
            return
        leaf = key.rpartition(".")[2]
        elsewhere = [known for known in KEYS if known.rpartition(".")[2] == leaf]
        near = elsewhere or get_close_matches(key, keys, n=1, cutoff=0.5)
        cure = f"did you mean `{near[0]}`, as in {_where(near[0])}?" if near else "remove it, or look at the keys of a fresh file made by fedmatch init"
        self.problem(key, f"is not a key; {cure}")

    def find(self, key: str) -> object:
        section, _, leaf = key.rpartition(".")
        table = self.values.get(section, {}) if section else self.values
        return table.get(leaf) if isinstance(table, dict) else None

    def get(self, key: str, kind: type[T], default: T, *, most: int = 1000, pattern: str | None = None) -> T:
        value = self.find(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            self.problem(key, f"must be {_NAMES[kind]}; write for example {KEYS[key]}")
            return default
        if isinstance(value, str) and (len(value) > most or any(ord(letter) < 32 for letter in value)):
            self.problem(key, f"must be one line of at most {most} letters; shorten it")
            return default
        if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
            self.problem(key, f"has a form we cannot use; write for example {KEYS[key]}")
            return default
        return value

    def required(self, key: str) -> str:
        value = self.get(key, str, "")
        if not value and (self.find(key) is None or self.find(key) == ""):
            self.problem(key, f"is missing; add {KEYS[key]}" + ("" if "." in key else " above the first section"))
        return value

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        value = self.get(key, int, default)
        if not least <= value <= most:
            self.problem(key, f"must lie between {least} and {most}; write for example {KEYS[key]}")
            return default
        return value

    def weight(self, key: str, default: float) -> float:
        value = self.find(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MOST_WEIGHT:
            self.problem(key, f"must be a number between 0 and {MOST_WEIGHT}; write for example {KEYS[key]}")
            return default
        return float(value)

    def choice(self, key: str, kind: object, default: T) -> T:
        allowed = get_args(kind)
        value = self.get(key, str, str(default))
        if value not in allowed:
            self.problem(key, f"must be one of {', '.join(allowed)}; write for example {KEYS[key]}")
            return default
        return cast(T, value)

    def texts(self, key: str) -> list[str]:
        value: list[object] = self.get(key, list, [])
        if any(not isinstance(text, str) for text in value):
            self.problem(key, f"must be {_NAMES[list]}; write for example {KEYS[key]}")
            return []
        return [str(text) for text in value]

    def checked(self, key: str, default: str, check: Callable[[str], object]) -> str:
        value = self.get(key, str, default)
        try:
            check(value)
        except ValueError as error:
            self.problem(key, f"cannot be used: {error}")
            return default
        return value

    def database(self) -> str:
        url = self.get("database.url", str, "sqlite")
        if url != "sqlite" and not re.fullmatch(r"postgres(ql)?://\S+", url):
            self.problem("database.url", 'must be "sqlite" or the address of a PostgreSQL database; write url = "sqlite" or url = "postgresql://user@host/fedmatch"')
            return "sqlite"
        return url

    def networks(self, key: str) -> tuple[IPv4Network | IPv6Network, ...]:
        found = []
        for text in self.texts(key):
            try:
                found.append(ipaddress.ip_network(text))
            except ValueError as error:
                self.problem(key, f"holds {text!r}, which is no address or network ({error}); write for example {KEYS[key]}")
        return tuple(found)

    def countries(self, key: str) -> str:
        codes = [code.strip().upper() for code in self.texts(key)]
        if wrong := [code for code in codes if not vocabulary.is_region(code)]:
            self.problem(key, f"holds {wrong[0]!r}, which is no country; name each by its two letters (ISO 3166), as in {KEYS[key]}")
        return ", ".join(dict.fromkeys(codes))

    def proxies(self) -> tuple[str, ...]:
        self.networks("server.trusted_proxies")
        return tuple(self.texts("server.trusted_proxies"))

    def development(self) -> DevelopmentConfig | None:
        if not isinstance(self.values.get("development"), dict):
            return None
        return DevelopmentConfig(self.networks("development.allow_networks"), self.get("development.plain_http", bool, False))

    def host(self, development: DevelopmentConfig | None) -> str:
        text = self.required("host")
        if not text:
            return ""
        if "://" in text or "/" in text or "@" in text:
            self.problem("host", f'is a name alone, without scheme, path or @; write host = "{_bare(text)}"')
            return ""
        name = self.named("host", text)
        if not name:
            return ""
        if development is not None and not is_local_name(name):
            self.problem("host", "is a public name, but [development] is on; remove that section, or use localhost or a name that ends in .test")
        if development is None and name != without_port(name):
            self.problem("host", f'has a port, which only [development] allows; write host = "{without_port(name)}"')
        if development is None and (is_address(without_port(name)) or "." not in name):
            self.problem("host", 'must be a domain name others can reach; write host = "your.domain", or add the section [development]')
        return name

    def base_url(self, host: str, development: DevelopmentConfig | None) -> str:
        text = self.required("base_url").rstrip("/")
        if not text:
            return ""
        try:
            parts = urlsplit(text)
            named, right = parts.hostname, parts.scheme in {"http", "https"} and not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
        except ValueError:
            named, right = None, False
        if not named or not right:
            self.problem("base_url", f'must be a scheme and a host, with nothing behind; write base_url = "https://{host or "your.domain"}"')
            return ""
        name = self.named("base_url", parts.netloc, default_port=443 if parts.scheme == "https" else 80)
        if not name:
            return ""
        if development is not None and not is_local_name(name):
            self.problem("base_url", "has a public name, but [development] is on; remove that section, or use localhost or a name that ends in .test")
        if parts.scheme == "http" and not (development and development.plain_http):
            self.problem("base_url", f'must be https; write base_url = "https://{name}" (plain http needs [development] with plain_http = true)')
        if development is None and name != without_port(name):
            self.problem("base_url", f'has a port, which only [development] allows; write base_url = "https://{without_port(name)}"')
        return f"{parts.scheme}://{name}"

    def named(self, key: str, text: str, default_port: int | None = None) -> str:
        """The lower-case punycode form of a host with an optional port, or "" with the problem noted."""
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", text)
        name, port = (match[1], match[2]) if match else ("", None)
        try:
            if name.startswith("["):
                name = f"[{ipaddress.IPv6Address(name[1:-1])}]"
            name = name.removesuffix(".").encode("idna").decode("ascii").lower()
        except ValueError:   # UnicodeError of the codec is one too
            name = ""
        labels = name.split(".")
        fine = name.startswith("[") or (len(name) <= 253 and all(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels))
        if not name or not fine or (port is not None and not 1 <= int(port) <= 65535):
            self.problem(key, f"holds {text!r}, which is no host name; write {KEYS[key]}")
            return ""
        return name if port is None or int(port) == default_port else f"{name}:{int(port)}"


def _where(key: str) -> str:
    """A key where it belongs, on one line."""
    section, _, _ = key.rpartition(".")
    if key in _SECTIONS:
        return f"[{key}]"
    return f"[{section}] {KEYS[key]}" if section else KEYS[key]


def _bare(text: str) -> str:
    """What somebody who wrote an address probably meant as host name."""
    return text.rpartition("@")[2].partition("://")[2].partition("/")[0] if "://" in text else text.rpartition("@")[2].partition("/")[0]


def _syntax(name: str, text: str, error: str) -> str:
    """A sentence for a file that is no TOML: line, key if it shows, cure."""
    found = re.search(r"line (\d+)", error)
    lines = text.splitlines()
    number = min(int(found[1]), max(len(lines), 1)) if found else max(len(lines), 1)
    line = lines[number - 1] if lines else ""
    what = re.sub(r" \(at .*\)$", "", error)
    match = re.match(r"\s*([A-Za-z0-9_-]+)\s*(=?)\s*(.*)", line)
    if match is None or not match[1]:
        return f"{name} line {number}: {what}; write `key = value`, with text in quotes"
    section = next((header[1].strip() for header in (re.match(r"\s*\[([^\[\]]+)\]", above) for above in reversed(lines[:number])) if header), "")
    key = f"{section}.{match[1]}" if section else match[1]
    example = KEYS.get(key) or f'{match[1]} = "value"'
    missing = match[2] and match[3].partition("#")[0].strip() == ""
    return f"{name} line {number}: `{key}` {'has no value' if missing else f'cannot be read ({what})'}; write for example {example}"


def _lines(text: str) -> dict[str, int]:
    """The line of every section and key of a text that is valid TOML, by dotted name."""
    found: dict[str, int] = {}
    section = ""
    depth, quotes = 0, ""   # open brackets, and the quotes of a string over several lines
    for number, line in enumerate(text.splitlines(), 1):
        if not quotes and depth == 0:
            if header := re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]+\s*(?:#.*)?$", line):
                section = _dotted(header[1])
                found.setdefault(section, number)
                continue
            if key := re.match(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'|\s*\.\s*)+?)\s*=""", line):
                name = _dotted(key[1])
                found.setdefault(f"{section}.{name}" if section else name, number)
        depth, quotes = _open(line, depth, quotes)
    for name in list(found):   # `server.bind = ...` names its section too
        while name := name.rpartition(".")[0]:
            found.setdefault(name, found[next(key for key in found if key.startswith(f"{name}."))])
    return found


def _dotted(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _open(line: str, depth: int, quotes: str) -> tuple[int, str]:
    """How many brackets, and which string over several lines, are still open at the end of `line`."""
    at = 0
    while at < len(line):
        if quotes:
            if quotes[0] == '"' and line[at] == "\\":
                at += 2
            elif line.startswith(quotes, at):
                at, quotes = at + len(quotes), ""
            else:
                at += 1
        elif line[at] == "#":
            break
        elif line[at] in "\"'":
            quotes = line[at] * 3 if line.startswith(line[at] * 3, at) else line[at]
            at += len(quotes)
        else:
            depth += (line[at] in "[{") - (line[at] in "]}")
            at += 1
    return depth, quotes if len(quotes) == 3 else ""
