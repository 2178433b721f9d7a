"""What may an operator decide? The parts of `instance.toml`; it is read and checked in schemas/config_file.py, and first written in config_template.py."""

import ipaddress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, Literal

from schemas.peering import InstanceTerms

Software = Literal["hypercorn", "uvicorn"]
VaultSource = Literal["passphrase", "credential", "file"]
Mode = Literal["open", "approve", "allowlist"]
Level = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
Review = Literal["everything", "newcomers", "nothing"]
MatchingEngine = Literal["auto", "base"]

MIB: Final = 1024 * 1024
MOST_WEIGHT: Final = 10


class ConfigError(Exception):
    """The file cannot be used as it is. `problems` holds one sentence each: key, line and cure."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """`sqlite` (the file fedmatch.db in the data folder) or a `postgresql://` address."""

    url: str = "sqlite"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where we listen, with which HTTP/1.1 server, and whose `X-Forwarded-*` we believe."""

    bind: str = "127.0.0.1:8000"
    software: Software = "hypercorn"
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """Where the key of the vault comes from. `file` is set for the source `file` only."""

    source: VaultSource = "passphrase"
    file: Path | None = None
    credential: str = "fedmatch-vault"


@dataclass(frozen=True, slots=True)
class FederationConfig:
    """How we meet other servers, and how hard we try to reach them."""

    mode: Mode = "open"
    signed_only: bool = False
    deliveries_at_once: int = 64
    per_host: int = 2
    retry_days: int = 30
    fetch_budget: int = 100


@dataclass(frozen=True, slots=True)
class BoardConfig:
    """What happens to requests and offers before others see them."""

    review: Review = "everything"


@dataclass(frozen=True, slots=True)
class MatchingConfig:
    """How requests and offers are brought together: by which engine, and how much each part of a score counts (docs/matching.md)."""

    engine: MatchingEngine = "auto"
    tags: float = 1.0
    words: float = 1.0
    themes: float = 0.75
    likeness: float = 0.5
    likeness_centred: float = 0.5
    language: float = 0.3
    interpreter: float = 0.1
    region: float = 0.1
    vouched: float = 0.3
    fresh: float = 0.1
    exposure: float = 0.8


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """Where what ended is noted, so that no restore brings it back. None: in the data folder, beside the database."""

    ledger: Path | None = None


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What a stranger may cost us: bytes, seconds, activities a minute."""

    body: int = MIB
    request_seconds: int = 30
    inbox_per_host_per_minute: int = 6000


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How loud, and in which form."""

    level: Level = "info"
    format: LogFormat = "text"


@dataclass(frozen=True, slots=True)
class DevelopmentConfig:
    """What is allowed on a developer's machine and nowhere else."""

    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    plain_http: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """A checked `instance.toml`. Paths are absolute; names are lower-case punycode."""

    path: Path
    host: str
    base_url: str
    name: str
    description: str
    contact: str
    folder: Path
    database: DatabaseConfig
    server: ServerConfig
    vault: VaultConfig
    federation: FederationConfig
    limits: LimitsConfig
    log: LogConfig
    development: DevelopmentConfig | None
    board: BoardConfig = field(default_factory=BoardConfig)
    backup: BackupConfig = field(default_factory=BackupConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    terms: InstanceTerms = field(default_factory=InstanceTerms)

    @property
    def domain(self) -> str:
        """What stands behind the @ in our handles; in development with its port."""
        return self.host

    @property
    def authority(self) -> str:
        """Host and, in development, port of `base_url`: where our ids live."""
        return self.base_url.partition("://")[2]

    @property
    def scheme(self) -> str:
        """`https`, or in development `http`."""
        return self.base_url.partition("://")[0]


def is_local_name(host: str) -> bool:
    """Whether `host` (a port is ignored) can only mean this machine or a test: loopback, localhost, or a reserved name of RFC 2606 and RFC 6761."""
    name = without_port(host)
    if is_address(name):
        return ipaddress.ip_address(name).is_loopback
    return name.rpartition(".")[2] in {"localhost", "test", "example", "invalid", "localdomain"}


def bind(text: str) -> tuple[str, int]:
    """The address and port of an `ADDR:PORT`; raises ValueError with the cure. Port 0 asks the system for a free one."""
    address, _, port = text.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    if not is_address(address) and address != "localhost":
        raise ValueError(f'{text!r} is not ADDRESS:PORT; write for example "127.0.0.1:8000" or "[::1]:8000"')
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'{text!r} has no port between 0 and 65535; write for example "127.0.0.1:8000"')
    return address, int(port)


def without_port(host: str) -> str:
    """A host name or address as it stands in an address, without its port and brackets."""
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.partition(":")[0]


def is_address(name: str) -> bool:
    """Whether `name` is an IP address and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
