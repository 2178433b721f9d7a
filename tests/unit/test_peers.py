"""What can be decided about, in which words, and what do scripts get? `fedmatch peers` and `fedmatch report`."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from actors import keys, known, peers, trust
from actors.known import NotStored
from fedmatch.cli.main import main
from fedmatch.safety import border
from fedmatch.safety.border import Host, Key, NoTarget, Person
from outbox import departures, posts
from schemas.objects import Key as PublicKey
from schemas.objects import Note
from schemas.reading import Iri
from schemas.states import IllegalMove
from schemas.storage import Database, Transaction
from tests import house
from tests.house import House

PUBLIC = Iri("https://www.w3.org/ns/activitystreams#Public")


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> House:
    return await house.build(database, house.configure(tmp_path))


# --- the words


async def test_what_can_be_named(home: House) -> None:
    troll = await home.stranger("troll", "evil.example")
    named = {
        "evil.example": Host("evil.example"),
        " EVIL.Example. ": Host("evil.example"),
        "bücher.example": Host("xn--bcher-kva.example"),
        "evil.example:8443": Host("evil.example:8443"),
        "@troll@evil.example": Person(troll.uri),
        "troll@EVIL.example": Person(troll.uri),
        "https://Evil.Example:443/users/x#main-key": Person("https://evil.example/users/x"),
        "SHA256:" + "A" * 64: Key("sha256:" + "a" * 64),
    }
    for words, about in named.items():
        assert await border.target(home.instance, words) == about, words


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("ours.example", "this instance itself"),
        ("https://ours.example/users/alice", "user suspend"),
        ("nobody@evil.example", "known here"),
        ("sha256:123", "64 hexadecimal digits"),
        ("", "neither a server nor an actor"),
        ("a b", "neither a server nor an actor"),
        ("evil.example/path", "neither a server nor an actor"),
        ("127.1", "neither a server nor an actor"),
        ("ftp://evil.example/x", "neither a server nor an actor"),
    ],
)
async def test_what_cannot_be_named_says_why(home: House, words: str, why: str) -> None:
    with pytest.raises(NoTarget, match=why):
        await border.target(home.instance, words)


# --- the effects, on both engines


async def follow(home: House, follower: known.Actor, followed: known.Actor, state: str = "accepted") -> None:
    async def body(tx: Transaction) -> None:
        await tx.execute(
            "insert into follow (id, uri, follower_id, followed_id, state, created_at, changed_at) values (:id, :uri, :one, :two, :state, 0, 0)",
            id=home.instance.ids.new(),
            uri=f"{follower.uri}/follows/{followed.id}",
            one=follower.id,
            two=followed.id,
            state=state,
        )

    await home.write(body)


async def states(home: House) -> list[str]:
    async def body(tx: Transaction) -> list[str]:
        return [row["state"] for row in await tx.all("select follow.state from follow order by follow.id")]

    return await home.read(body)


async def test_a_block_reaches_sub_domains_and_handles_and_an_allow_brings_back_whom_nothing_else_blocks(home: House) -> None:
    # Given people of a host, of a sub-domain, with a handle of it, and elsewhere
    alice = await home.person("alice")
    own, below, elsewhere = (
        await home.stranger("own", "evil.example"),
        await home.stranger("below", "a.b.evil.example"),
        await home.stranger("x", "notevil.example"),
    )
    split = await home.stranger("split", "social.example")

    async def renamed(tx: Transaction) -> None:
        await tx.execute("update actor set handle_host = 'evil.example' where id = :id", id=split.id)

    await home.write(renamed)
    strangers = (own, below, elsewhere, split)
    for stranger in strangers:
        await follow(home, stranger, alice)
        await follow(home, alice, stranger, "requested")
    # When the host is blocked
    done = await border.decide(home.instance, Host("evil.example"), "blocked")
    # Then all but the one who only sounds alike are out
    assert [(await home.read(known.by_id, stranger.id)).state for stranger in strangers] == ["suspended", "suspended", "active", "suspended"]
    assert done.follows == 6
    assert sorted(await states(home)) == ["accepted", *["rejected"] * 6, "requested"]
    assert [type(event).__name__ for event in home.told if "Follow" in type(event).__name__] == ["FollowRejected"] * 3
    # When one of them is blocked by name and the host is allowed
    await border.decide(home.instance, Person(own.uri), "blocked")
    await border.decide(home.instance, Host("evil.example"), "known")
    assert [(await home.read(known.by_id, stranger.id)).state for stranger in strangers] == ["suspended", "active", "active", "active"]
    await border.decide(home.instance, Person(own.uri), "known")
    assert (await home.read(known.by_id, own.id)).state == "active"


async def test_again_changes_nothing_and_a_move_that_is_not_is_refused(home: House) -> None:
    for _ in range(2):
        done = await border.decide(home.instance, Host("evil.example"), "blocked", "spies")
        assert (done.follows, done.deliveries) == (0, 0)
    with pytest.raises(IllegalMove):
        await border.decide(home.instance, Host("evil.example"), "trusted")
    assert [(one.target, one.level, one.reason) for one in await home.read(border.decisions, home.instance)] == [(Host("evil.example"), "blocked", "spies")]


async def test_the_job_deletes_only_what_the_blocked_wrote(home: House) -> None:
    own, elsewhere = await home.stranger("own", "evil.example"), await home.stranger("x", "good.example")
    for number, author in enumerate((own, own, elsewhere)):
        note = Note(id=Iri(f"https://{author.host}/notes/{number}"), attributed_to=author.uri, content="words", to=(PUBLIC,))
        assert isinstance(await home.write(posts.store, home.instance, author, note, local=False), posts.Post)
    await border.decide(home.instance, Host("evil.example"), "blocked")
    for _ in range(2):
        await border.settle(home.instance, "all", b"")
    # Then what is gone is gone without a tombstone: after an allow it may come again
    left = [await home.read(posts.by_uri, f"https://{host}/notes/{number}") for number, host in enumerate(("evil.example", "evil.example", "good.example"))]
    assert [post is not None for post in left] == [False, False, True]
    note = Note(id=Iri("https://evil.example/notes/0"), attributed_to=own.uri, content="words", to=(PUBLIC,))
    assert isinstance(await home.write(posts.store, home.instance, own, note, local=False), posts.Refused)
    await border.decide(home.instance, Host("evil.example"), "known")
    await home.instance.trust.refresh(home.instance.database)
    own = await home.read(known.by_id, own.id)
    assert isinstance(await home.write(posts.store, home.instance, own, note, local=False), posts.Post)


async def test_what_waits_for_one_inbox_or_a_whole_host_is_given_up_with_a_reason(home: House) -> None:
    alice, one, two = await home.person("alice"), await home.stranger("one", "evil.example"), await home.stranger("two", "evil.example")

    async def wait(tx: Transaction) -> None:
        for number, stranger in enumerate((one, two), 1):
            await tx.execute(
                "insert into outgoing (id, uri, actor_id, kind, object, ordering_key, body, created_at) "
                "values (:id, :uri, :actor_id, 'Create', 'x', 'x', :body, 0)",
                id=number,
                uri=f"https://ours.example/{number}",
                actor_id=alice.id,
                body=b"sealed",
            )
            await tx.execute(
                "insert into delivery (id, outgoing_id, host_id, inbox, ordering_key, state, created_at, next_at) "
                "values (:id, :id, :host_id, :inbox, 'x', 'waiting', 0, 0)",
                id=number,
                host_id=stranger.host_id,
                inbox=stranger.inbox,
            )

    await home.write(wait)
    assert await home.write(departures.stop, home.instance, one.host_id, "the actor is blocked", inbox=one.inbox) == 1
    assert {row.inbox: (row.state, row.error) for row in await home.read(departures.deliveries)} == {
        one.inbox: ("dead", "the actor is blocked"),
        two.inbox: ("waiting", None),
    }
    assert await home.write(departures.stop, home.instance, one.host_id, "its host is blocked") == 1
    assert await home.write(departures.stop, home.instance, one.host_id, "its host is blocked") == 0
    assert [type(event).__name__ for event in home.told] == ["DeliveryGaveUp"] * 2


async def test_who_shows_a_judged_key_is_judged_with_it(home: House) -> None:
    # Given a key that is blocked, and one that is limited
    new = keys._make()
    blocked, limited = (trust.fingerprint(key.algorithm, key.public) for key in house.describe("x", new=new).keys)
    await border.decide(home.instance, Key(blocked), "blocked", "spies")
    await border.decide(home.instance, Key(limited), "limited")
    await home.instance.trust.refresh(home.instance.database)
    # When somebody new shows them
    with pytest.raises(NotStored, match="key is blocked"):
        await home.stranger("again", "new.example", new)
    described = house.describe("again", "new.example", new)
    only: tuple[PublicKey, ...] = tuple(key for key in described.keys if trust.fingerprint(key.algorithm, key.public) == limited)
    from dataclasses import replace

    actor = await home.write(house.store, home.instance, replace(described, keys=only))
    # Then they are out, or limited as the key is
    [*_, rule] = [rule for rule in await home.read(peers.rules) if rule.kind == "actor"]
    assert (rule.subject, rule.level, rule.through) == (actor.uri, "limited", limited)
    # And with the key's rule theirs goes
    await border.decide(home.instance, Key(limited), "known")
    assert [rule.subject for rule in await home.read(peers.rules)] == [blocked]


async def test_a_key_reaches_who_is_known_already(home: House) -> None:
    one, two = await home.stranger("one", "one.example"), await home.stranger("two", "two.example")
    alice = await home.person("alice")
    await follow(home, two, alice)
    [key, _] = await home.read(peers.fingerprints, actor_id=one.id)
    done = await border.decide(home.instance, Key(key), "blocked")
    assert [(await home.read(known.by_id, actor.id)).state for actor in (one, two)] == ["suspended", "suspended"]
    assert done.follows == 1
    await border.decide(home.instance, Key(key), "known")
    assert [(await home.read(known.by_id, actor.id)).state for actor in (one, two)] == ["active", "active"]


# --- the command line


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """Commands configure the logs of their process; the next test wants them as they were."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs_as_before: None) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMATCH_CONFIG", raising=False)
    assert run("init", "--host", "localhost:18000").exit_code == 0
    ok("user", "create", "alice")
    ok("user", "create", "bob")
    return tmp_path


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def ok(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_peers_as_scripts_see_them(typed: Path) -> None:
    assert ok("peers", "list") == []
    assert "Nothing is decided" in run("peers", "list").stdout
    made = ok("peers", "block", "Evil.Example.", "--reason", "spies")
    assert list(made) == ["host", "actor", "key", "level", "reason", "since", "waiting", "ended", "apart", "keys"]
    assert made | {"since": None} == {
        "host": "evil.example",
        "actor": None,
        "key": None,
        "level": "blocked",
        "reason": "spies",
        "since": None,
        "waiting": {"follows": 0, "messages": 0},
        "ended": {"follows": 0, "deliveries": 0},
        "apart": [],
        "keys": [],
    }
    assert made["since"].endswith("Z")
    assert ok("peers", "limit", "https://loud.example/users/x")["actor"] == "https://loud.example/users/x"
    assert ok("peers", "block", "sha256:" + "0" * 64)["key"] == "sha256:" + "0" * 64
    assert ok("peers", "allow", "good.example", "--keys")["level"] == "known"
    listed = [(one["host"], one["actor"], one["key"], one["level"]) for one in ok("peers", "list")]
    assert listed == [
        ("evil.example", None, None, "blocked"),
        ("good.example", None, None, "known"),
        ("loud.example", "https://loud.example/users/x", None, "limited"),
        (None, None, "sha256:" + "0" * 64, "blocked"),
    ]
    table = run("peers", "list").stdout
    assert "Mode: open" in table
    assert "spies" in table
    assert "is blocked; 0 follows ended" in run("peers", "block", "evil.example").stdout
    assert "is limited." in run("peers", "limit", "evil.example").stdout
    assert "is allowed." in run("peers", "allow", "evil.example").stdout
    assert ok("peers", "allow", "sha256:" + "0" * 64)["level"] == "known"
    assert len(ok("peers", "list")) == 3


def test_peers_refuses_what_cannot_be(typed: Path) -> None:
    for words in (("localhost:18000",), ("nobody@evil.example",), ("a b",), ("http://localhost:18000/users/alice",)):
        result = run("peers", "block", *words)
        assert (result.exit_code, result.stdout) == (1, ""), words
        assert result.stderr.startswith("Error: ")
    assert run("peers", "block").exit_code == 2


def test_an_exception_below_a_block_is_said(typed: Path) -> None:
    ok("peers", "allow", "good.evil.example")
    result = run("peers", "block", "evil.example")
    assert "good.evil.example" in result.stderr
    assert ok("peers", "block", "evil.example")["apart"] == ["good.evil.example"]


def test_reports_as_scripts_see_them(typed: Path) -> None:
    assert ok("report", "list") == []
    assert "no reports" in run("report", "list").stdout
    post = ok("post", "buy this", "--as", "bob")
    made = ok("report", "send", post["url"], "--as", "alice", "--text", "a scam")
    assert list(made) == ["id", "state", "about", "url", "from", "repeats", "forwarded", "created", "changed"]
    assert (made["state"], made["about"], made["url"], made["from"], made["repeats"], made["forwarded"]) == (
        "open",
        "bob@localhost:18000",
        "http://localhost:18000/users/bob",
        None,
        0,
        False,
    )
    assert ok("report", "list", "--state", "open") == [made]
    assert ok("report", "list", "--state", "closed") == []
    shown = ok("report", "show", made["id"])
    assert shown == made | {"text": "a scam", "posts": [{"url": post["url"], "text": "buy this"}], "reporter": "alice@localhost:18000", "note": None}
    assert "> buy this" in run("report", "show", made["id"]).stdout
    closed = ok("report", "close", made["id"], "--note", "talked to him")
    assert closed["state"] == "closed"
    assert ok("report", "show", made["id"])["note"] == "talked to him"
    assert "Closed: talked to him" in run("report", "show", made["id"]).stdout
    assert run("report", "close", made["id"]).exit_code == 1
    assert run("report", "show", "1").exit_code == 1
    assert run("report", "show", "x").exit_code == 1
    assert "nobody else does" in run("report", "send", "bob@localhost:18000", "--as", "alice", "--text", "again").stdout
    for words in (("bob@localhost:18000", "--forward"), ("nobody@localhost:18000",), ("http://localhost:18000/posts/1",), ("alice@localhost:18000",)):
        assert run("report", "send", *words, "--as", "alice", "--text", "bad").exit_code == 1, words
    assert run("report", "send", "bob@localhost:18000", "--as", "alice", "--text", " ").exit_code == 2
