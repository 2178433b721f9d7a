"""How does one delivery leave? Opened, signed at the last moment, posted; what the other side said becomes an `Attempt`."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import structlog

from actors import hosts, known, quiet, synchronisation, trust
from actors.keys import NoKey, PrivateKey
from actors.outbound import Fetched, Refused, Unreachable
from actors.signatures import knock
from actors.signatures.hand import Hand
from actors.vault import Locked, Tampered
from outbox import confidential
from outbox.backoff import Again, Gone, Held, judge, retry_after, unreachable
from outbox.lanes import Attempt, Delivery, Lane
from schemas import documents
from schemas.crashpoint import crashpoint
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/activity+json"
MOST_HOPS: Final = 3

FOR_FOLLOWERS: Final = frozenset({"Create", "Update", "Announce"})
"""What tells a server who our followers there are; the rest is for everybody, or for one."""

HEADERS: Final = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}


class Attempts:
    """Sends single deliveries; `hand` signs."""

    def __init__(self, instance: "Instance", hand: Hand) -> None:
        self._instance, self._hand = instance, hand

    async def send(self, lane: Lane, delivery: Delivery) -> Attempt | None:
        """One attempt; None if it could not be made (the vault was locked meanwhile)."""
        instance = self._instance
        try:
            key = await self._key(delivery)
            body, digest = delivery.letter.open(instance.vault), delivery.letter.digest
            if delivery.letter.confidential:
                wrapped = await confidential.wrap(instance, lane.host_id, delivery.letter.uri, body)
                if isinstance(wrapped, confidential.Waits):
                    return Attempt(Again(wrapped.why, failure=False) if wrapped.later else Held(wrapped.why))
                body, digest = wrapped, ""
            url = await self._address(delivery)
        except Locked:
            return None
        except NoKey:
            return Attempt(Gone("its sender has no key any more"))
        except Tampered:
            log.error("deliver.tampered", outgoing=delivery.letter.id)
            return Attempt(Gone("its body was not sealed here"))
        if url is None:
            return Attempt(Gone("its inbox is not known any more"))
        crashpoint("deliver:opened")
        headers = await self._headers(lane, delivery, body)
        took: knock.Scheme | None = None
        for _ in range(MOST_HOPS):
            # Asked at the last moment: a peer that was cut off a second ago gets nothing more.
            verdict = trust.verdict(instance, lane.host, "deliver")
            if not verdict.allowed:
                return Attempt(Gone(verdict.why))
            answer = await self._post(key, url, body, lane.scheme, headers, digest)
            if isinstance(answer, Fetched) and answer.status in knock.REFUSED:
                answer, took = await self._knock_again(lane, key, url, body, answer, headers)
            if isinstance(answer, Unreachable):
                return Attempt(unreachable(answer.why), met=answer.connected)
            if isinstance(answer, Refused):
                return Attempt(Gone(answer.why))
            onward = urljoin(url, answer.headers.get("location", "")) if answer.status in {307, 308} else url
            if onward == url or not hosts.same_origin(onward, url):
                asked = retry_after(answer.headers.get("retry-after"), instance.clock.ms())
                return Attempt(judge(answer.status, retry_after_ms=asked, refusals=delivery.refusals), answered=True, scheme=took)
            url = onward
        return Attempt(Gone("redirected too often"), answered=True, scheme=took)

    async def _address(self, delivery: Delivery) -> str | None:
        """Where to POST it: the address itself stands nowhere in clear where it would name a follower."""
        if not delivery.inbox.startswith(quiet.SEALED):
            return delivery.inbox
        return await self._instance.database.read(quiet.address, self._instance, delivery.inbox)

    async def _key(self, delivery: Delivery) -> PrivateKey:
        """The current key (F39); but where an actor tells of itself the oldest still in force, so that a new key comes signed with the one that others know."""
        instance = self._instance
        letter = delivery.letter
        key = await instance.keys.private(instance, letter.actor_id)
        if letter.kind == "Update" and letter.object == key.uri.partition("#")[0]:
            return await instance.keys.oldest(instance, letter.actor_id)
        return key

    async def _headers(self, lane: Lane, delivery: Delivery, body: bytes) -> Mapping[str, str]:
        """The headers to send it with; beside what is for followers, how many we believe to have there (FEP-8fcf), as it is now."""
        if delivery.letter.kind not in FOR_FOLLOWERS or b'/followers"' not in body or documents.ADDRESSES_ALL in body:
            return HEADERS
        told = await self._instance.database.read(_synchronisation, delivery.letter.actor_id, lane.host_id, body)
        return HEADERS if told is None else {**HEADERS, synchronisation.HEADER: told}

    async def _post(
        self, key: PrivateKey, url: str, body: bytes, scheme: knock.Scheme, extra: Mapping[str, str], digest: str = ""
    ) -> Fetched | Unreachable | Refused:
        # Signed at the last moment (F38): the Date is fresh.
        try:
            headers = await self._hand.do(partial(knock.sign, scheme, key, "POST", url, extra, body, self._instance.clock.now(), digest))
        except hosts.BadUrl as error:
            return Refused(f"its inbox is no address: {error}")
        crashpoint("deliver:signed")
        answer = await self._instance.network.post(url, body, headers)
        crashpoint("deliver:answered")
        return answer

    async def _knock_again(
        self, lane: Lane, key: PrivateKey, url: str, body: bytes, first: Fetched, headers: Mapping[str, str]
    ) -> tuple[Fetched, knock.Scheme | None]:
        """The answer to the same body signed the other way, and that way if it was read; else the answer that speaks of what may mend itself."""
        scheme = knock.other(lane.scheme)
        second = await self._post(key, url, body, scheme, headers)
        if isinstance(second, Fetched) and knock.taken(second.status):
            lane.scheme = scheme
            return second, scheme
        # 401 also means that our actor cannot be fetched just now; a 400 for a scheme that is not read there must not end it.
        return second if isinstance(second, Fetched) and second.status == 401 else first, None


async def _synchronisation(tx: Transaction, actor_id: int, host_id: int, body: bytes) -> str | None:
    """FEP-8fcf's header for what is addressed to the followers of its sender; None for everything else."""
    sender = await known.by_id(tx, actor_id)
    if sender is None or sender.followers is None or b'"%s"' % sender.followers.encode() not in body:
        return None
    return await synchronisation.header(tx, sender, host_id)
