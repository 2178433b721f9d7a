"""May we ask there, and what came of it? One GET at another server: our policy on every hop, redirects by hand, a budget, and a memory of what failed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urljoin

from actors import known, trust
from actors.hosts import BadUrl
from actors.outbound import MOST_BODY, Fetched, Refused, Unreachable
from actors.signatures.knock import REFUSED, Knocks, taken

if TYPE_CHECKING:
    from actors.instance import Instance

MOST_REDIRECTS: Final = 3
REMEMBERED_S: Final[Mapping[str, int]] = {"later": 30, "gone": 600, "missing": 600, "refused": 600, "unusable": 600}
"""For how long a failure is answered from memory. Trouble that passes is forgotten soon: the sender knocks again, and its key must be found then."""
HOST_FAILURES: Final = 5
HOST_FAILURE_S: Final = 30.0

Kind = Literal["later", "gone", "missing", "refused", "unusable", "barred"]


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """Nothing we can use: `later` (try again), `gone` (410), `missing` (404), `refused` (401, 403), `unusable` (not what it should be), `barred` (by us)."""

    why: str
    kind: Kind

    @property
    def temporary(self) -> bool:
        return self.kind == "later"

    @property
    def gone(self) -> bool:
        return self.kind == "gone"


class BudgetSpent(Exception):
    """One message caused more requests than we make for it."""


class Budget:
    """How many requests one cause may still make us send; redirects and look-ups count."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> None:
        """Takes one; raises `BudgetSpent` when none is left."""
        if self.left <= 0:
            raise BudgetSpent
        self.left -= 1


Headers = Callable[[str], Awaitable[Mapping[str, str]]]
"""Gives the headers for one URL: a signature holds for one target only, so every hop asks anew."""


async def get(
    instance: "Instance", url: str, headers: Headers, *, budget: Budget, limit: int = MOST_BODY, knocks: Knocks | None = None
) -> Fetched | FetchFailed:
    """The 200 answer for `url` after at most 3 redirects, or why there is none.

    Every hop is judged like the first: never our own host, never a host our policy refuses, never from https to http. `limit` is in bytes. With `knocks` a hop
    that answers 400 or 401 is asked once more, signed the other way, and twice more if it has a query; each costs one of the budget.
    """
    hop = url
    for _ in range(MOST_REDIRECTS + 1):
        try:
            spelled = instance.network.target(hop)
            budget.spend()
        except BadUrl as error:
            return FetchFailed(str(error), "unusable")
        except BudgetSpent:
            return FetchFailed("the budget for fetches is spent", "barred")
        if spelled.authority in known.ours(instance):
            return FetchFailed("its address is our own", "barred")
        verdict = trust.verdict(instance, spelled.authority, "fetch")
        if not verdict.allowed:
            return FetchFailed(verdict.why, "barred")
        heard = await instance.network.get(spelled.url, headers=await headers(spelled.url), limit=limit)
        if knocks is not None and isinstance(heard, Fetched) and heard.status in REFUSED:
            heard = await _again(instance, spelled.url, knocks, heard, budget, limit)
        match heard:
            case Unreachable(why):
                return FetchFailed(why, "later")
            case Refused(why):
                return FetchFailed(why, "unusable")
            case Fetched(status=200) as answer:
                return answer
            case Fetched(status=301 | 302 | 303 | 307 | 308) as answer:
                location = answer.headers.get("location", "")
                try:
                    hop = urljoin(spelled.url, location)
                except ValueError:
                    return FetchFailed("a redirect to no URL", "unusable")
                if not location or (spelled.scheme == "https" and not hop.startswith("https:")):
                    return FetchFailed("a redirect to nowhere, or away from https", "unusable")
            case Fetched(status=410):
                return FetchFailed("410", "gone")
            case Fetched(status=404):
                return FetchFailed("404", "missing")
            case Fetched(status=401 | 403 as status):
                return FetchFailed(str(status), "refused")
            case Fetched(status=status):
                return FetchFailed(str(status), "later" if status in (408, 425, 429) or status >= 500 else "unusable")
    return FetchFailed(f"more than {MOST_REDIRECTS} redirects", "unusable")


async def _again(instance: "Instance", url: str, knocks: Knocks, first: Fetched, budget: Budget, limit: int) -> Fetched:
    """The answer to the first further knock whose signature was read, else the one to the first."""
    for knock in await knocks.others(url):
        try:
            budget.spend()
        except BudgetSpent:
            return first
        answer = await instance.network.get(url, headers=knock.headers, limit=limit)
        if isinstance(answer, Fetched) and taken(answer.status):
            await knocks.taken(url, knock.scheme)
            return answer
    return first


def remembered(instance: "Instance", iri: str, host: str) -> FetchFailed | None:
    """The failure we still remember for this IRI or its host, so that a flood of unknown keys does not become a flood of fetches."""
    limits = instance.limits
    if limits.retry_after("fetch.host", host, 1 / HOST_FAILURE_S, HOST_FAILURES) > 0:
        return FetchFailed("its host failed a moment ago", "later")
    for kind, seconds in REMEMBERED_S.items():
        if limits.retry_after(f"fetch.{kind}", iri, 1 / seconds, 1) > 0:
            return FetchFailed("it failed a moment ago", kind)  # type: ignore[arg-type]  # the keys of that table are kinds
    return None


def remember(instance: "Instance", iri: str, host: str, failed: FetchFailed) -> None:
    """Keeps a failure in memory, bounded, for its time. Every failure counts against the host: 404s by the thousand are a flood too.

    What we barred ourselves is not kept: asking our own policy again costs nothing, and it may have changed.
    """
    if failed.kind == "barred":
        return
    instance.limits.allow(f"fetch.{failed.kind}", iri, 1 / REMEMBERED_S[failed.kind], 1)
    instance.limits.allow("fetch.host", host, 1 / HOST_FAILURE_S, HOST_FAILURES)
