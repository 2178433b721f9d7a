"""Whose host is this, and is it asking too often? Host names in the one spelling we compare by, host rows, and the limits kept in memory."""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

import idna

from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

LONGEST_URL: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# The parts of RFC 3986 we need, and nothing it forbids: no blanks, controls, backslashes or non-URL quotes, which clients disagree about.
URL: Final = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<netloc>[^/?#]*)(?P<rest>[^\s\\\x00-\x20\x7f]*)\Z")
NETLOC: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{0,5}))?\Z")
PLAIN_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\Z")
LOOKS_LIKE_NUMBER: Final = re.compile(r"(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
NEVER_IN_A_HOST: Final = frozenset("%@/?#\\<>^|`{}\"'!$&()*+,;=~ \t\r\n")


class BadUrl(ValueError):
    """An address that is no plain http(s) URL, or one that two programs could read as two hosts."""


def authority(url: str) -> str:
    """The host of `url` in the one spelling hosts are compared by: `name` or `name:port`.

    Lower case, IDNA (UTS 46, as our HTTP client does it) in its ASCII form, no trailing dot, no default port; IPv6 in brackets, compressed.
    Raises `BadUrl` for anything but http(s), for user information, percent-encoding, blanks, empty labels, numeric spellings of an IPv4 address
    (`0x7f.1`), names over 253 bytes and URLs over 2,048 characters (security.md A114: every spelling of a blocked host is that host).
    """
    return origin(url)[1]


@lru_cache(maxsize=4096)  # one activity asks for the same few several times
def origin(url: str) -> tuple[str, str]:
    """Scheme and authority of `url`; raises `BadUrl` as `authority` does."""
    if len(url) > LONGEST_URL:
        raise BadUrl(f"a URL of {len(url)} characters; {LONGEST_URL} is the most")
    match = URL.match(url)
    if match is None:
        raise BadUrl("not an absolute URL")
    scheme = match["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise BadUrl("neither http nor https")
    return scheme, _normal(match["netloc"], DEFAULT_PORTS[scheme])


def host_name(text: str) -> str:
    """A host as people type it (`Example.ORG.`, `münchen.example`, `localhost:8001`) in the spelling of `authority`; raises `BadUrl`."""
    return _normal(text.strip(), DEFAULT_PORTS["https"])


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme and authority (FEP-fe34); a bad URL has no origin, so it shares none."""
    try:
        return origin(one) == origin(other)
    except BadUrl:
        return False


@lru_cache(maxsize=8192)
def _normal(netloc: str, default_port: int) -> str:
    # 8192 entries of at most 2 kB: the cache is bounded in bytes too.
    parts = NETLOC.match(netloc)
    if parts is None:
        raise BadUrl("no host, or user information in it")
    host = _normal_address(parts["host"]) if parts["host"].startswith("[") else _normal_name(parts["host"])
    if not parts["port"]:
        return host
    port = int(parts["port"])
    if not 1 <= port <= 65535:
        raise BadUrl("a port that does not exist")
    return host if port == default_port else f"{host}:{port}"


def _normal_address(bracketed: str) -> str:
    try:
        return f"[{IPv6Address(bracketed[1:-1]).compressed}]"
    except AddressValueError as error:
        raise BadUrl("not an IPv6 address") from error


def _normal_name(host: str) -> str:
    if not NEVER_IN_A_HOST.isdisjoint(host):
        raise BadUrl("a character that no host name has")
    if not host.isascii() or "xn--" in host.lower():
        try:
            # UTS 46 maps upper case, full-width letters and the three other full stops; std3 rules refuse what is no letter, digit or hyphen.
            host = idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise BadUrl("not a name that IDNA knows") from error
    host = host.lower().removesuffix(".")
    if len(host) > 253 or not PLAIN_HOST.match(host):
        raise BadUrl("not a host name")
    if LOOKS_LIKE_NUMBER.match(host.rsplit(".", 1)[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError as error:
            # `127.1`, `0x7f.0.0.1`, `2130706433`: some clients read an address there and some a name.
            raise BadUrl("an IPv4 address in a spelling that clients disagree about") from error
    return host


def domains(host: str) -> Iterator[str]:
    """Every name a rule for `host` may be written under, nearest first: itself, itself without port, then its parents (A114).

    `host` is in the spelling of `authority`. Addresses have no parents.
    """
    yield host
    bare = host
    if not host.endswith("]") and ":" in host:
        bare = host.rsplit(":", 1)[0]
        yield bare
    if bare.startswith("[") or bare.rsplit(".", 1)[-1].isdigit():
        return
    while "." in bare:
        bare = bare.split(".", 1)[1]
        yield bare


FAMILY: Final = 10
"""As much as so many hosts is what all hosts of one domain may cost us: whoever owns a domain has as many names below it as they like (A118)."""
_SHORT: Final = 3


@lru_cache(maxsize=4096)
def family(host: str) -> str | None:
    """The domain that somebody registered and that `host` is a name or a port of; None if it is that itself, or an address or a name of this machine.

    Without a list of where names are sold: two labels, or three below a country where the second is short (`co.uk`).
    """
    bare, _, port = host.rpartition(":")
    if not port.isdigit():  # there is none, or it is the end of an address in brackets
        bare = host
    labels = bare.split(".")
    if len(labels) == 1 or bare.startswith("[") or labels[-1].isdigit():
        return None
    kept = 3 if len(labels[-1]) == 2 and len(labels) > 2 and len(labels[-2]) <= _SHORT else 2
    above = ".".join(labels[-kept:])
    return None if above == host else above


SELECT_HOST: Final = """
select id
from host
where name = :name
"""

INSERT_HOST: Final = """
insert into host (id, name, first_seen)
values (:id, :name, :now)
on conflict (name) do nothing
returning id
"""


async def ensure(tx: Transaction, instance: "Instance", name: str) -> int:
    """The id of the host row of `name` (in the spelling of `authority`), made if there is none."""
    row = await tx.one(SELECT_HOST, name=name)
    if row is None:
        row = await tx.one(INSERT_HOST, id=instance.ids.new(), name=name, now=instance.clock.ms())
    if row is None:
        row = await tx.one(SELECT_HOST, name=name)
    if row is None:
        raise LookupError("a host row that conflicts and is not there")
    return int(row["id"])


HEARD_EACH_MS: Final = 60_000

HEARD: Final = """
update host
set last_heard = :now, open_until = 0, down_since = null
where id = :id
  and (last_heard is null or last_heard < :stale or down_since is not null)
"""


def is_news(last_heard: int | None, down_since: int | None, now_ms: int) -> bool:
    """Whether `heard` would change the row of a host that has these values; asked first, for nearly always it would not."""
    return last_heard is None or last_heard < now_ms - HEARD_EACH_MS or down_since is not None


async def heard(tx: Transaction, instance: "Instance", host_id: int) -> None:
    """Notes that a host proved itself alive, at most once a minute.

    An open breaker goes to half-open: the next delivery is tried at once, and its outcome decides.
    Failures are not forgotten, because a host can talk well and listen badly.
    """
    now = instance.clock.ms()
    await tx.execute(HEARD, id=host_id, now=now, stale=now - HEARD_EACH_MS)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Limits:
    """The one interface for rates and nonces: in memory, bounded, gone with the process. Addresses used as keys are never written anywhere.

    A rate is a token bucket: `burst` at once, `rate` a second after that. When there are more keys than room the least recently used is forgotten.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, *, most: int = 100_000, most_nonces: int = 200_000) -> None:
        self._now = now
        self._most, self._most_nonces = most, most_nonces
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()
        self._nonces: OrderedDict[bytes, float] = OrderedDict()

    def take(self, name: str, key: str, rate: float, burst: float, cost: float = 1.0) -> float:
        """Takes `cost` tokens and gives 0.0, or takes nothing and gives the seconds until there are enough."""
        now = self._now()
        bucket = self._bucket(name, key, rate, burst, now)
        if bucket.tokens >= cost:
            bucket.tokens -= cost
            return 0.0
        return (cost - bucket.tokens) / rate if rate > 0 else float("inf")

    def allow(self, name: str, key: str, rate: float, burst: float, cost: float = 1.0) -> bool:
        """Whether this may happen now; if so it is counted."""
        return self.take(name, key, rate, burst, cost) == 0.0

    def take_of_host(self, name: str, host: str, rate: float, burst: float) -> float:
        """As `take`, of one host and of all that stand under one domain together, which have `FAMILY` times as much."""
        wait = self.take(name, host, rate, burst)
        above = family(host) if wait == 0.0 else None
        return wait if above is None else self.take(f"{name}.family", above, FAMILY * rate, FAMILY * burst)

    def retry_after(self, name: str, key: str, rate: float, burst: float, cost: float = 1.0) -> float:
        """Seconds until `allow` would say yes; counts nothing."""
        bucket = self._bucket(name, key, rate, burst, self._now())
        if bucket.tokens >= cost:
            return 0.0
        return (cost - bucket.tokens) / rate if rate > 0 else float("inf")

    def fresh(self, name: str, nonce: str, seconds: float) -> bool:
        """Whether `nonce` is heard for the first time in `seconds`, and remembers it.

        When there is no room the oldest is forgotten: what must never happen twice also has a unique row.
        """
        now = self._now()
        while self._nonces and next(iter(self._nonces.values())) <= now:
            self._nonces.popitem(last=False)
        digest = _digest(name, nonce)
        until = self._nonces.get(digest)
        if until is not None and until > now:
            return False
        self._nonces.pop(digest, None)
        self._nonces[digest] = now + seconds
        if len(self._nonces) > self._most_nonces:
            self._nonces.popitem(last=False)
        return True

    def _bucket(self, name: str, key: str, rate: float, burst: float, now: float) -> _Bucket:
        digest = _digest(name, key)
        bucket = self._buckets.get(digest)
        if bucket is None:
            bucket = self._buckets[digest] = _Bucket(burst, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(digest)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        return bucket


def _digest(name: str, key: str) -> bytes:
    # 16 bytes a key whatever its length, so a stranger cannot choose how much we remember.
    return hashlib.blake2b(f"{name}\0{key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
