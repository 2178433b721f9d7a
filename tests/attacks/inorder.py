"""The order of the inbox (security.md 2.0): a letter with two faults is judged by the first, so that what is cheap to see costs nothing dear.

Size, method and path, media type, whether it is signed at all, strict JSON, the signature's header, time, the policy of its key's host, digest, signature,
whose key it is. Two steps come earlier than the table has them, since they cost nothing: that a signature is missing, and that its time is wrong.
"""

from typing import Any

from actors import peers
from actors.trust import Level
from tests.attacks.envelope import http_date
from tests.attacks.stage import Act, Case, Stage
from tests.fakepeer import AP, pair
from tests.wire import Answer, http

OLD: dict[str, Any] = {"hours": -13}


def both(body: bytes | None = None, *, path: str = "", method: str = "POST", kind: str = AP, signed: bool = True) -> Act:
    """A letter with faults: with a body that is none, under another type, at another place, unsigned or by a stranger, whose key nobody asks for."""

    async def act(stage: Stage) -> Answer:
        if signed:
            stranger, asked = stage.stranger(), len(stage.peer.log)
            answer = await stage.send(
                body or b"{", stranger, inbox=f"{stage.site.base}{path}" if path else None, drop=["Content-Type"], add=[("Content-Type", kind)]
            )
            assert len(stage.peer.log) == asked, "its key was asked for"
            return answer
        return await http(method, f"{stage.site.base}{path}" if path else stage.inbox, [("Content-Type", kind)], body or b"{")

    return act


def unasked(**spoil: Any) -> Act:
    """A stranger's letter whose fault is to be seen without its key: nobody asks for that."""

    async def act(stage: Stage) -> Answer:
        stranger = stage.stranger()
        create = stage.create(stranger)
        asked = len(stage.peer.log)
        filled = {**spoil, "change": {"date": http_date(stage.world.clock.now(), **OLD)}} if spoil.get("change") is OLD else spoil
        answer = await stage.send(create, stranger, **filled)
        assert len(stage.peer.log) == asked, "its key was asked for"
        return answer

    return act


async def of_a_blocked_host(stage: Stage) -> list[Answer]:
    """Blocked is said before anything is asked: the digest and the signature may be what they will."""
    instance = stage.site.instance

    async def decide(level: Level) -> None:
        await instance.database.write(peers.set_level, instance, stage.elsewhere.host, level)
        await instance.trust.refresh(instance.database)

    await decide("blocked")
    stranger = stage.stranger(stage.elsewhere)
    asked = len(stage.elsewhere.log)
    spoils: list[dict[str, Any]] = [{"key": pair("another").rsa}, {"scheme": "rfc9421"}, {}]
    try:
        answers = [await stage.send(stage.create(stranger), stranger, **spoil) for spoil in spoils]
    finally:
        await decide("known")
    assert len(stage.elsewhere.log) == asked
    return answers


async def said_twice(stage: Stage) -> list[Answer]:
    """Known already, and now signed wrongly: that it is known helps nobody."""
    like = stage.p1.activity("Like", stage.said.uri)
    first = await stage.send(like)
    await stage.settle()
    answers = [await stage.send(like, key=pair("another").rsa), await stage.send(like, stage.mallory)]
    assert (first.status, answers[1].status) == (202, 202)
    return answers[:1]


def rows() -> list[Case]:
    """The table."""
    found: list[Case] = []

    def case(name: str, act: Act, *status: int, **more: bool) -> None:
        found.append(Case("2.0", name, act, frozenset(status), **more))

    large = b"{" + b" " * (1024 * 1024)
    case("too large, before method, place, type and JSON", both(large, method="PUT", path="/x", kind="text/html", signed=False), 413)
    case("another method, before its type and its JSON", both(method="PUT", kind="text/html", signed=False), 405)
    case("another place, before its type and its JSON", both(path="/users/reader/outbox", kind="text/html", signed=False), 404, 405)
    case("its type, before its JSON and its signature", both(kind="text/html", signed=False), 415)
    case("its type, before its key", both(kind="text/html"), 415)
    case("its JSON, before its key", both(), 400)
    case("its size, before its key", both(large), 413)
    case("a signature that is none, before any key", unasked(header="!!!"), 400, 401)
    case("blocked, before its signature and its key", of_a_blocked_host, 403)
    case("its time, before its key", unasked(change=OLD), 401)
    case("its digest, before its key", unasked(change={"digest": "SHA-256=AAAA"}), 401)
    case("its signature, before what is known of it", said_twice, 401, effect=True)
    return found
