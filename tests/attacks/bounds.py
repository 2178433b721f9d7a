"""Rows A036-A043: what documents may make us do, and whom they may reach. Every letter here is rightly signed."""

import json
import time
from collections.abc import Callable
from typing import Any

from schemas.reading import Document
from tests.attacks.authority import TAKEN, fill, note_with, sent
from tests.attacks.stage import Act, Case, Stage
from tests.fakepeer import AS2, PUBLIC
from tests.wire import Answer, Reply, reply_json

# A036, A037: what has no end. Served at the peer by number, for ever.


def endless(stage: Stage, kind: Callable[[str, int], Document]) -> str:
    """A place at the peer with a document for every number; gives its path. How often it was asked is in the peer's log."""
    stage.fresh += 1
    path = f"/endless{stage.fresh}"
    known = stage.peer._document

    def answer(asked: Any) -> Reply:
        if asked.path.startswith(f"{path}/"):
            return reply_json(kind(path, int(asked.path.rpartition("/")[2])))
        return known(asked)

    stage.peer._document = answer  # type: ignore[method-assign]  # a peer without an end
    return path


def asked_at(stage: Stage, path: str) -> int:
    return sum(heard.asked.path.startswith(path) for heard in [*stage.peer.log, *stage.elsewhere.log])


def page(at: str, number: int, **members: Any) -> Document:
    return {"@context": AS2, "id": f"{at}/{number}", "type": "OrderedCollectionPage", "partOf": f"{at}/0", "orderedItems": [], **members}


def collection(make: Callable[[Stage, str, int], Document]) -> Act:
    """A collection that is a trap, wherever one may stand: around a note, as an actor's, and as what is boosted or made."""

    async def act(stage: Stage) -> list[Answer]:
        path = endless(stage, lambda path, number: make(stage, path, number))
        before = len(stage.peer.log) + len(stage.elsewhere.log)
        trap = f"{stage.peer.base}{path}/0"
        note = stage.victim.note("<p>x</p>", to=[PUBLIC], cc=[], replies=trap, context=trap, likes=trap, shares=trap, inReplyTo=trap)
        strange = stage.stranger(featured=trap, outbox=trap, followers=trap)
        answers = [
            await stage.send(stage.mallory.activity("Create", {**note, "id": f"{note['id']}x", "attributedTo": stage.mallory.id}, to=[PUBLIC]), stage.mallory),
            await stage.send(stage.p1.activity("Announce", trap, to=[PUBLIC])),
            await stage.send(stage.p1.activity("Create", trap, to=[PUBLIC])),
            await stage.send(strange.activity("Like", stage.said.uri), strange),
        ]
        stage.hide(note)
        await stage.settle()
        assert asked_at(stage, path) <= 24, asked_at(stage, path)
        # Nor is what stands in it asked for, one by one.
        assert len(stage.peer.log) + len(stage.elsewhere.log) - before <= 32
        assert await stage.site.count("post", "uri like :trap", trap=f"{stage.peer.base}{path}%") == 0
        return answers

    return act


def thread(make: Callable[[Stage, str, int], Document]) -> Act:
    """A public reply to the first of a chain that does not end: at most 20 are had, and the reply stands."""

    async def act(stage: Stage) -> Answer:
        path = endless(stage, lambda path, number: make(stage, path, number))
        reply = stage.p1.note("<p>the last</p>", inReplyTo=f"{stage.peer.base}{path}/0")
        answer = await stage.send(stage.p1.create(reply))
        await stage.settle()
        assert asked_at(stage, path) <= 21
        assert await stage.site.count("post", "uri = :uri", uri=reply["id"]) == 1
        return answer

    return act


def link(stage: Stage, path: str, number: int, parent: str) -> Document:
    return {
        "@context": AS2, "id": f"{stage.peer.base}{path}/{number}", "type": "Note", "attributedTo": stage.p1.id, "content": f"<p>{number}</p>", "to": [PUBLIC],
        "published": "2026-01-01T00:00:00Z", "inReplyTo": parent,
    }  # fmt: skip


async def to_itself(stage: Stage) -> Answer:
    note = stage.direct()
    return await stage.send(stage.p1.create({**note, "inReplyTo": note["id"]}))


# A038-A041


def crowd(count: int, base: str) -> list[str]:
    return [f"{base}/users/n{number}" for number in range(count)]


async def mentions_many(stage: Stage) -> Answer:
    tags = [{"type": "Mention", "href": uri, "name": "@n"} for uri in crowd(3000, stage.elsewhere.base)]
    asked = len(stage.elsewhere.log)
    answer = await stage.send(note_with("mallory", tag=tags)(stage), stage.mallory)
    await stage.settle()
    assert len(stage.elsewhere.log) == asked
    return answer


async def addresses_many(stage: Stage) -> Answer:
    asked = len(stage.elsewhere.log)
    answer = await stage.send(note_with("mallory", to=[*crowd(10_000, stage.elsewhere.base), stage.reader.uri])(stage), stage.mallory)
    await stage.settle()
    assert len(stage.elsewhere.log) == asked
    return answer


async def mentions_all_of_us(stage: Stage) -> Answer:
    """A new instance that names everybody here: nobody who is not addressed is told, and nobody is told twice."""
    stranger = stage.stranger(stage.elsewhere)
    tags = [{"type": "Mention", "href": one.uri, "name": f"@{one.handle}"} for one in (stage.reader, stage.friend)]
    note = stranger.note("<p>buy</p>", to=[stage.friend.uri], cc=[], tag=tags * 30)
    answer = await stage.send(stranger.create(note), stranger, stage.shared)
    await stage.settle()
    assert "buy" not in await stage.reader.reads()
    assert (await stage.friend.reads()).count("buy") <= 1
    return answer


async def blind_copies(stage: Stage) -> Answer:
    """Whom a sender hides from others we neither keep nor show."""
    note = stage.p1.note("<p>with blind copies</p>", to=[PUBLIC], cc=[stage.reader.uri], bto=[stage.friend.uri], bcc=["https://hidden.example/users/helper"])
    answer = await stage.send({**stage.p1.create(note), "bto": [stage.friend.uri], "bcc": ["https://hidden.example/users/helper"]})
    await stage.settle()
    from outbox import posts

    [row] = await stage.site.rows("select id, document from post where uri = :uri", uri=note["id"])
    assert b"hidden.example" not in (posts.original(row["document"]) or b"")
    targets = await stage.site.rows("select target from post_audience where post_id = :id", id=row["id"])
    assert not [one for one in targets if one["target"] in {stage.friend.uri, "https://hidden.example/users/helper"}]
    return answer


async def no_blind_copies_of_ours(stage: Stage) -> Answer:
    answer = await stage.site.get(stage.said.uri)
    sent = json.dumps(stage.peer.activities()) + answer.text
    assert '"bto"' not in sent
    assert '"bcc"' not in sent
    return answer


ADDRESSED: dict[str, tuple[Any, str | None]] = {
    "a string": ("READER", "direct"),
    "an object": ({"id": "READER", "type": "Person"}, "direct"),
    "null": (None, None),
    "nested lists": ([["READER"]], None),
    "a list with rubbish": ([None, 7, {}, "", "READER"], "direct"),
    "Public": ("Public", "public"),
    "as:Public": (["as:Public", "READER"], "public"),
    "the full IRI": ([PUBLIC], "public"),
    "lower case": ([PUBLIC.lower(), "READER"], "direct"),
    "as:public": (["as:public", "READER"], "direct"),
    "with a slash": ([f"{PUBLIC}/", "READER"], "direct"),
    "https of another host": (["https://www.w3.org.evil.example/ns/activitystreams#Public", "READER"], "direct"),
}


def addressed(to: Any, visibility: str | None) -> Act:
    """How it is read: what is unknown is private, and what addresses nobody is not for us."""

    async def act(stage: Stage) -> Answer:
        create = stage.create()
        create |= {"to": [], "cc": []}
        create["object"] |= {"to": fill(stage, to), "cc": [], "tag": []}
        answer = await stage.send(create)
        await stage.settle()
        rows = await stage.site.rows("select visibility from post where uri = :uri", uri=create["object"]["id"])
        # p1 is followed, so what names nobody may be kept; it is read by nobody then.
        assert [row["visibility"] for row in rows] in ([[visibility]] if visibility else [[], ["direct"]])
        return answer

    return act


async def widened(stage: Stage) -> Answer:
    """A public answer to a direct post of ours does not show what it answers."""
    reply = stage.victim.note("<p>look what I was told</p>", inReplyTo=stage.whispered.uri)
    answer = await stage.send(stage.victim.create(reply), stage.victim)
    await stage.settle()
    stranger = stage.stranger(stage.elsewhere)
    for url in (stage.whispered.uri, f"{stage.whispered.uri}/activity", f"{stage.whispered.uri}/replies"):
        assert (await stage.site.get(url)).status == 404
        assert (await stage.site.get(url, "text/html")).status == 404
        assert (await stranger.get(url)).status == 404
    return answer


async def quoted(stage: Stage) -> Answer:
    reply = stage.victim.note("<p>a quote</p>", quoteUrl=stage.whispered.uri, quote=stage.whispered.uri, _misskey_quote=stage.whispered.uri)
    answer = await stage.send(stage.victim.create(reply), stage.victim)
    await stage.settle()
    assert "whispered" not in str([entry["html"] for entry in await stage.reader.home() if "a quote" in entry["html"]])
    assert (await stage.site.get(stage.whispered.uri)).status == 404
    return answer


# A042, A043: contexts are never fetched and never walked without a bound.


def contextual(context: Callable[[Stage], Any], *, effect: bool = True, **members: Any) -> Act:
    async def act(stage: Stage) -> Answer:
        began = time.monotonic()
        create = {**stage.create(), "@context": "CONTEXT", **members}
        # Some contexts are too deep for an encoder; they are put into the text.
        shaped = context(stage)
        said = json.dumps(create).replace('"CONTEXT"', shaped.decode() if isinstance(shaped, bytes) else json.dumps(shaped), 1)
        answer = await stage.send(said.encode())
        await stage.settle()
        assert not [one.asked.target for one in [*stage.peer.log, *stage.elsewhere.log] if one.asked.target.startswith("/context")], "a context was fetched"
        assert stage.alarm.looked_up == []
        assert time.monotonic() - began < 8
        return answer

    return act


def scoped(depth: int) -> Any:
    context: Any = {}
    for _ in range(depth):
        context = {"x": {"@id": "as:x", "@context": context}}
    return context


def clique(size: int) -> list[Document]:
    """Blank nodes that all know each other: what RDF normalisation never ends on."""
    return [{"@id": f"_:b{one}", "as:knows": [{"@id": f"_:b{two}"} for two in range(size) if two != one]} for one in range(size)]


def rows() -> list[Case]:
    """The table."""
    found: list[Case] = []

    def case(row: str, name: str, act: Act, status: frozenset[int] = TAKEN, **more: bool) -> None:
        found.append(Case(row, name, act, status, **more))

    case(
        "A036",
        "items on another origin",
        collection(lambda stage, path, number: page(f"{stage.peer.base}{path}", number, orderedItems=crowd(50, stage.elsewhere.base))),
        TAKEN,
        met=True,
        effect=True,
    )
    case(
        "A036",
        "first and next go round",
        collection(lambda stage, path, number: page(f"{stage.peer.base}{path}", number, first=f"{stage.peer.base}{path}/0", next=f"{stage.peer.base}{path}/0")),
        TAKEN,
        met=True,
        effect=True,
    )
    case(
        "A036",
        "next is new for ever",
        collection(lambda stage, path, number: page(f"{stage.peer.base}{path}", number, next=f"{stage.peer.base}{path}/{number + 1}")),
        TAKEN,
        met=True,
        effect=True,
    )
    case(
        "A036",
        "many items",
        collection(lambda stage, path, number: page(f"{stage.peer.base}{path}", number, orderedItems=crowd(9_000, stage.peer.base))),
        TAKEN,
        met=True,
        effect=True,
    )
    case(
        "A036",
        "totalItems lies",
        collection(lambda stage, path, number: page(f"{stage.peer.base}{path}", number, totalItems=10**15)),
        TAKEN,
        met=True,
        effect=True,
    )
    case(
        "A036",
        "a page that is the collection",
        collection(
            lambda stage, path, number: {
                "@context": AS2,
                "id": f"{stage.peer.base}{path}/0",
                "type": "OrderedCollection",
                "first": f"{stage.peer.base}{path}/0",
            }
        ),
        TAKEN,
        met=True,
        effect=True,
    )

    case(
        "A037",
        "a chain without end",
        thread(lambda stage, path, number: link(stage, path, number, f"{stage.peer.base}{path}/{number + 1}")),
        TAKEN,
        effect=True,
    )
    case("A037", "a circle", thread(lambda stage, path, number: link(stage, path, number, f"{stage.peer.base}{path}/{(number + 1) % 3}")), TAKEN, effect=True)
    case("A037", "its parent is itself", thread(lambda stage, path, number: link(stage, path, number, f"{stage.peer.base}{path}/{number}")), TAKEN, effect=True)
    case(
        "A037",
        "across hosts",
        thread(lambda stage, path, number: link(stage, path, number, f"{(stage.elsewhere if number % 2 else stage.peer).base}{path}/{number + 1}")),
        TAKEN,
        effect=True,
    )
    case("A037", "a post that answers itself", to_itself, TAKEN, effect=True)

    case("A038", "3,000 mentions", mentions_many, frozenset({202, 400, 422}), effect=True)
    case("A038", "addressed to 10,000", addresses_many, frozenset({202, 400, 422}), effect=True)
    case("A038", "a hashtag of 10 kB", sent(note_with(tag=[{"type": "Hashtag", "name": "#" + "x" * 10_000}])), TAKEN, effect=True)
    case(
        "A038",
        "a mention whose name is another host's",
        sent(note_with(tag=[{"type": "Mention", "href": "READER", "name": "@admin@bank.example"}])),
        TAKEN,
        effect=True,
    )
    case("A038", "everybody here", mentions_all_of_us, TAKEN, met=True, effect=True)

    case("A039", "in what arrives", blind_copies, TAKEN, effect=True)
    case("A039", "in what leaves", no_blind_copies_of_ours, frozenset({200}))

    for name, (to, visibility) in ADDRESSED.items():
        case("A040", name, addressed(to, visibility), TAKEN, effect=True)

    case("A041", "a public answer to a direct post", widened, TAKEN, met=True, effect=True)
    case("A041", "a quote of a direct post", quoted, TAKEN, effect=True)

    contexts: dict[str, Callable[[Stage], Any]] = {
        "of an unknown host": lambda _: [AS2, "https://context.example/v1"],
        "of a private host": lambda _: [AS2, "http://127.0.0.2:6379/v1", "http://169.254.169.254/latest"],
        "of the sender's host": lambda stage: [AS2, f"{stage.peer.base}/context"],
        "alone": lambda stage: f"{stage.peer.base}/context",
        "5,000 of them": lambda stage: [AS2, *(f"{stage.peer.base}/context/{number}" for number in range(5000))],
        "5,000 terms inline": lambda _: [AS2, {f"t{number}": f"as:t{number}" for number in range(5000)}],
        "that contains itself": lambda stage: [AS2, {"x": {"@id": "as:x", "@context": {"@import": f"{stage.peer.base}/context"}}}],
        "that renames id, type and to": lambda _: [AS2, {"id": "as:x", "type": "as:y", "to": "as:bto"}],
        "of ten depths": lambda _: [AS2, scoped(10)],
        "no context": lambda _: None,
        "a number": lambda _: 7,
    }
    for name, context in contexts.items():
        case("A042", name, contextual(context), frozenset({202, 400}), effect=True)
    # More nodes than the strict gate lets pass.
    case("A042", "20,000 terms inline", contextual(lambda _: [AS2, {f"t{number}": f"as:t{number}" for number in range(20_001)}]), frozenset({400}))
    case("A042", "10 MB", contextual(lambda _: [AS2, {"x": "y" * 10_000_000}]), frozenset({0, 413}))

    case("A043", "1,000 scoped contexts", contextual(lambda _: b'{"x":' * 1000 + b"1" + b"}" * 1000), frozenset({400}))
    for size in (5, 6, 7, 12):
        case("A043", f"a clique of {size}", contextual(lambda _: [AS2, {"as": f"{AS2}#"}], **{"as:graph": clique(size)}), TAKEN, effect=True)
    case(
        "A043",
        "a clique in a dialect that is expanded",
        contextual(lambda _: {"as": f"{AS2}#"}, **{"as:object": clique(7), "as:type": "as:Create"}),
        frozenset({202, 400}),
        effect=True,
    )
    return found
