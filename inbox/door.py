"""How does a signed activity get in? The door of the inboxes: check, check, check, store, 202.

A plain ASGI callable in front of everything else, for it is what other servers ask of us most. The order of the checks is the order of their cost, and nothing
is fetched before our policy on the key's host let it pass: media type, size, a signature at all, strict JSON, origins, who signed, how often, one durable row.
"""

import re
from typing import Final, assert_never

import structlog

from actors import hosts, known
from actors.instance import Instance
from actors.signatures.request import Request, claimed_keys
from inbox import arrivals, gate, refetch, synchronise, verify
from inbox.arrivals import Remembered
from inbox.errors import InboxError, Later, Refused, TooLarge, Unsigned, render
from inbox.gate import Claim
from inbox.reports import FLAGS_AT_ONCE, FLAGS_PER_S
from inbox.verify import Forwarded, KeyNeeded, Transient, Verified
from schemas.crashpoint import crashpoint
from schemas.reading import App, Document, Headers, Message, Receive, Send
from schemas.storage import Transaction, Unavailable

log = structlog.get_logger()

PERSONAL: Final = re.compile(r"/users/([^/]+)/inbox\Z")
RETRY_AFTER_S: Final = 5
ACCEPTED: Final[Headers] = [(b"content-length", b"0")]


class Gone(Exception):
    """Whoever asked left before the body was here."""


class Door:
    """ASGI application for POST to /inbox, /actor/inbox and /users/<name>/inbox; everything else goes to `app`."""

    def __init__(self, app: App, instance: Instance) -> None:
        self._app, self._instance = app, instance
        self._shared = frozenset({"/inbox", "/actor/inbox"})

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("/inbox"):
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        personal = PERSONAL.match(path)
        if personal is None and path not in self._shared:
            await self._app(scope, receive, send)
            return
        try:
            await self._receive(scope, receive, personal[1] if personal else None)
        except Gone:
            return
        except InboxError as error:
            log.info("inbox.refused", status=error.status, why=error.log)
            status, headers, body = render(error)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        crashpoint("arrive:answering")
        await send({"type": "http.response.start", "status": 202, "headers": ACCEPTED})
        await send({"type": "http.response.body", "body": b""})
        crashpoint("arrive:answered")

    async def _receive(self, scope: Message, receive: Receive, name: str | None) -> None:
        """Returns when 202 is true: stored and fsynced, or nothing to store. Raises `InboxError`."""
        instance = self._instance
        if scope["method"] != "POST":
            raise Refused("not a POST", "An inbox takes POST only.", status=405, allow="POST")
        headers: Headers = scope["headers"]
        gate.media_type(headers)
        body = await _read(receive, instance.config.limits.body)
        crashpoint("arrive:read")
        if not any(header == b"signature" for header, _ in headers):
            raise Unsigned("no signature")
        request = Request("POST", _target(scope), headers, body, instance.clock.ms())
        document = gate.read(body, instance.config.limits.body)
        said = gate.claim(document)
        try:
            if said.kind in ("Delete", "Update") and said.object == said.actor and await self._is_unknown(said, headers):
                return
            await self._take(request, document, said, name)
        except Unavailable as error:
            raise Later(RETRY_AFTER_S, f"database: {type(error).__name__}", error.safe) from None

    async def _take(self, request: Request, document: Document, said: Claim, name: str | None) -> None:
        instance = self._instance
        try:
            verdict = await verify.verify(instance, request, document, said)
        except KeyNeeded as needed:
            self._not_too_often(needed.host)
            _answer(await arrivals.keep(instance, needed.host, said, request, to=name))
            return
        crashpoint("arrive:verified")
        match verdict:
            case Verified(actor=actor):
                self._not_too_often(verdict.carrier or actor.host)
                if said.kind == "Flag":
                    self._not_too_many_reports(actor.host)
                _answer(await arrivals.remember(instance, verdict, said, request, to=name))
                await synchronise.noticed(instance, request, verdict)
            case Forwarded(carrier=carrier):
                self._not_too_often(carrier.host)
                await instance.database.write(_ask_origin, instance, verdict)
                instance.wake("job")
            case Transient(carrier=carrier):
                self._not_too_often(carrier.host)
            case _:
                assert_never(verdict)

    def _not_too_often(self, host: str) -> None:
        """Counts after the signature was verified: nobody uses up another host's share."""
        minute = self._instance.config.limits.inbox_per_host_per_minute
        wait = self._instance.limits.take_of_host("inbox", host, minute / 60, minute)
        if wait > 0:
            raise Later(int(wait) + 1, "too many activities of one host", "Too many activities from your server; please slow down.", status=429)

    def _not_too_many_reports(self, host: str) -> None:
        wait = self._instance.limits.take_of_host("flag", host, FLAGS_PER_S, FLAGS_AT_ONCE)
        if wait > 0:
            raise Later(int(wait) + 1, "too many reports of one host", "Too many reports from your server; please slow down.", status=429)

    async def _is_unknown(self, said: Claim, headers: Headers) -> bool:
        """Whether an actor we never knew deletes or updates itself: every server tells every other, and to fetch each key would cost more than all else.

        It is answered with 202 and costs neither fetch nor row, if its Signature header can be read at all (Mastodon and Misskey do the same).
        """
        instance = self._instance
        try:
            host = hosts.authority(said.actor)
        except hosts.BadUrl as error:
            raise Unsigned(f"the actor's id: {error}") from None
        verdict = instance.trust.verdict(host, "receive")
        if not verdict.allowed:
            raise Refused(verdict.why)
        if await instance.database.read(known.by_uri, said.actor) is not None:
            return False
        if not claimed_keys(headers):
            raise Unsigned("its signature headers cannot be read")
        return True


async def _ask_origin(tx: Transaction, instance: Instance, carried: Forwarded) -> None:
    await refetch.wanted(tx, instance, carried)
    crashpoint("arrive:carried")


def _answer(outcome: Remembered) -> None:
    match outcome:
        case Remembered.NEW | Remembered.KNOWN:
            return
        case Remembered.NO_INBOX:
            raise Refused("no such inbox", "There is no such inbox.", status=404)
        case Remembered.GONE_INBOX:
            raise Refused("whose inbox it was is gone", "Whoever this inbox belonged to is gone.", status=410)
        case Remembered.SUSPENDED:
            raise Refused("the actor is suspended or gone", "This server does not accept this from you.")
        case Remembered.FULL:
            raise Later(600, "too many arrivals wait for the unlock")
        case _:
            assert_never(outcome)


def _target(scope: Message) -> bytes:
    """Path and query as they came over the wire: what the signature speaks about."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


async def _read(receive: Receive, limit: int) -> bytes:
    """The whole body; raises `TooLarge` over `limit` bytes, `Gone` when the other side leaves. Time is the guard's business."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(limit)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)
