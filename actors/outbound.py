"""How do we speak HTTP to other people's servers, and to which addresses never? The one door out; how it goes over the wire is in actors/network.py.

There are no cookies, redirects, proxies or environment in between. The guard sits where the socket is made: it sees every connection, whether the host was a
name, a literal or a hop of a redirect. docs/decisions/0004-outbound-guard.md tells why each rule is here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.metadata import version
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from actors.flights import Flights
from actors.hosts import BadUrl
from actors.targets import Target, target
from schemas.config import Config

if TYPE_CHECKING:
    from actors.network import Connections

MOST_BODY: Final = 1024 * 1024
DEADLINE_S: Final = 10.0
STALE: Final = "a kept connection was closed"
"""Why nothing came when the peer closed a kept connection while we wrote on it."""

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer came. `headers` has lower-case names, repeated ones joined with ", "; `url` is what was asked, in its canonical spelling."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing usable came. `temporary` is False only where the name does not exist; `connected` where a connection stood, so that somebody lives there."""

    why: str
    temporary: bool
    connected: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """We did not go there, or what came breaks our rules (too large, encoded): asking again changes nothing."""

    why: str


Outcome = Fetched | Unreachable | Refused


# What the IANA registries call special, and a little more: no address of these is another server's.
_REFUSED_4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a provider's NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# IPv6 the other way round: only what is handed out to the world, less what is reserved inside it. Every embedding of IPv4 (mapped, compatible, NAT64, 6to4,
# Teredo) lies outside, so none needs to be known by name.
_ALLOWED_6: Final = IPv6Network("2000::/3")
_REFUSED_6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",          # protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",      # documentation
        "2002::/16",          # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",          # documentation
    )
)


def objection(address: str, allowed: Networks = ()) -> str | None:
    """Why we do not connect to this IP address, or None if we may. `allowed` are the networks development opens; an embedded IPv4 is never looked into."""
    try:
        ip = ip_address(address)
    except ValueError:
        return f"{address} is no IP address"
    if any(ip.version == network.version and ip in network for network in allowed):
        return None
    if isinstance(ip, IPv4Address):
        refused = any(ip in network for network in _REFUSED_4)
    else:
        refused = ip not in _ALLOWED_6 or any(ip in network for network in _REFUSED_6)
    return f"{address} is not a public address" if refused else None


class Network:
    """The way out to other servers. Made once, used by every room through `actors.remote` and `outbox.deliver`."""

    def __init__(self, config: Config) -> None:
        development = config.development
        # What is refused depends on the address and this setting alone, so a verdict on an address may be kept; what a name stands for never is.
        self._judge = lru_cache(maxsize=4096)(partial(objection, allowed=development.allow_networks if development else ()))
        self._plain_http = bool(development and development.plain_http)
        self._any_port = development is not None
        self._agent = f"fedmatch/{version('fedmatch')} (+{config.base_url}/)"
        self._most_sockets = max(256, 4 * config.federation.deliveries_at_once)
        self._opened: Connections | None = None
        self.flights = Flights()

    def target(self, url: str) -> Target:
        """The canonical spelling of a URL this instance may ask for, for those who sign it; raises `BadUrl`."""
        return target(url, plain_http=self._plain_http, any_port=self._any_port)

    async def get(self, url: str, *, headers: Mapping[str, str], limit: int = MOST_BODY, deadline_s: float = DEADLINE_S) -> Outcome:
        """One GET, no redirect followed: the caller judges, signs and asks for the next hop.

        `limit` is in bytes, more is `Refused`; `deadline_s` is for all of it, from the name to the last byte.
        """
        try:
            spelled, sent = self._asked(url, headers)
        except BadUrl as error:
            return Refused(str(error))
        return await self._connections.get(spelled.url, sent, limit, deadline_s)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, deadline_s: float = DEADLINE_S) -> Outcome:
        """One POST. At most 4 KiB of the answer are read; what is longer is cut off, since the status alone decides."""
        try:
            spelled, sent = self._asked(url, headers)
        except BadUrl as error:
            return Refused(str(error))
        first = await self._connections.post(spelled.url, body, sent, deadline_s)
        if isinstance(first, Unreachable) and first.why == STALE:
            # The peer closed a kept connection while we wrote on it. Receivers fold a repeated activity by its id, so once more is safe.
            return await self._connections.post(spelled.url, body, sent, deadline_s)
        return first

    def prepare(self) -> None:
        """Loads what a request needs, 0.2 s, for a process that serves or works: its first request should not hold up everybody."""
        _ = self._connections

    async def close(self) -> None:
        """Closes every connection; the next request would open anew."""
        await self.flights.close()
        if self._opened is not None:
            await self._opened.close()

    def _asked(self, url: str, headers: Mapping[str, str]) -> tuple[Target, dict[str, str]]:
        """Where a request goes, and its complete headers; raises `BadUrl`."""
        spelled = self.target(url)
        sent = {name.lower(): value for name, value in headers.items()}
        sent |= {"user-agent": self._agent, "accept-encoding": "identity"}
        sent.setdefault("host", spelled.authority)
        sent.setdefault("accept", "*/*")
        return spelled, sent

    @property
    def _connections(self) -> "Connections":
        """What is open to others, from the first request on: a command that asks nobody should not wait for an HTTP library."""
        if self._opened is None:
            from actors.network import Connections

            self._opened = Connections(self._judge, self._most_sockets)
        return self._opened
