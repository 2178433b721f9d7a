"""In which scheme do we sign for a host? draft-cavage first, which every peer reads; where it answers 400 or 401, once more with RFC 9421.

What a host took is remembered in `host.scheme` and tried first the next time; when it refuses that one day, we go back. A 2xx alone proves nothing, since some
servers answer before they verify: so nothing is ever changed by the answer to a first knock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final, Literal, assert_never, cast

from actors.hosts import authority, ensure
from actors.keys import PrivateKey
from actors.signatures import cavage, rfc9421
from actors.targets import target
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

Scheme = Literal["cavage", "rfc9421"]

REFUSED: Final = frozenset({400, 401})
"""What a server answers to a signature it cannot read (as Mastodon 4.7 has it)."""
OURS: Final = frozenset({"host", "date", "digest", "content-digest", "signature", "signature-input"})


def other(scheme: Scheme) -> Scheme:
    """The one to knock with next."""
    return "rfc9421" if scheme == "cavage" else "cavage"


def sign(
    scheme: Scheme, key: PrivateKey, method: str, url: str, headers: Mapping[str, str], body: bytes | None, now: datetime, digest: str = ""
) -> dict[str, str]:
    """The complete headers of a request signed in `scheme`; raises `actors.hosts.BadUrl`. `now` is aware, `digest` that of `cavage.digest_header`, if known."""
    match scheme:
        case "cavage":
            return cavage.sign(key, method, url, headers, body, now, digest=digest)
        case "rfc9421":
            spelled = target(url)
            complete = {name: value for name, value in headers.items() if name.lower() not in OURS}
            complete |= {"Host": spelled.authority, "Date": format_datetime(now.astimezone(UTC), usegmt=True)}
            also = {name.lower(): value for name, value in headers.items() if name.lower() == "collection-synchronization"}
            return complete | rfc9421.sign(key, method, spelled.url, body, int(now.timestamp()), also)
        case _:
            assert_never(scheme)


def taken(status: int) -> bool:
    """Whether the answer to a second knock shows that its signature was read: it is no refusal of it, and no trouble of theirs."""
    return status not in REFUSED and status < 500


SCHEME: Final = """
select host.scheme
from host
where host.name = :name
"""

KEEP: Final = """
update host
set scheme = :scheme
where id = :id
  and scheme <> :scheme
"""


async def keep(tx: Transaction, host_id: int, scheme: Scheme) -> None:
    """Remembers what this host took."""
    await tx.execute(KEEP, id=host_id, scheme=scheme)


async def _scheme(tx: Transaction, name: str) -> Scheme:
    row = await tx.one(SCHEME, name=name)
    return "cavage" if row is None else cast(Scheme, row["scheme"])


async def _keep_by_name(tx: Transaction, instance: "Instance", name: str, scheme: Scheme) -> None:
    await keep(tx, await ensure(tx, instance, name), scheme)


@dataclass(frozen=True, slots=True)
class Knock:
    """A request signed anew, and in which scheme."""

    scheme: Scheme
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Knocks:
    """How a GET is signed, each hop by itself: the first time as its host likes it, then the other ways.

    Fedify's and Misskey's way to read draft-cavage leaves the query out of what is signed, so a GET with a query (a page of a collection) has one way more.
    """

    instance: "Instance"
    key: PrivateKey
    headers: Mapping[str, str]

    async def first(self, url: str) -> Mapping[str, str]:
        """The headers of the first request for `url`."""
        return self._signed(await self._liked(url), url)

    async def others(self, url: str) -> list[Knock]:
        """The same signed in every other way, to be tried in this order after a 400 or 401."""
        liked = await self._liked(url)
        found = [] if liked == "cavage" else [Knock("cavage", self._signed("cavage", url))]
        if "?" in url:
            found.append(Knock("cavage", cavage.sign(self.key, "GET", url, self.headers, None, self.instance.clock.now(), query=False)))
        return found if liked == "rfc9421" else [*found, Knock("rfc9421", self._signed("rfc9421", url))]

    async def taken(self, url: str, scheme: Scheme) -> None:
        """One of the others was read: where it was cavage, that is the first again from now on.

        A GET never teaches RFC 9421: a delivery would be signed so too, and a server that answers 202 before it verifies (snac) would lose it without a word.
        """
        if scheme == "rfc9421" or await self._liked(url) == scheme:
            return
        await self.instance.database.write(_keep_by_name, self.instance, authority(url), scheme)

    async def _liked(self, url: str) -> Scheme:
        return await self.instance.database.read(_scheme, authority(url))

    def _signed(self, scheme: Scheme, url: str) -> Mapping[str, str]:
        return sign(scheme, self.key, "GET", url, self.headers, None, self.instance.clock.now())
