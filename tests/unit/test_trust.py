"""May it cross? Every mode, every level, every spelling, and every process at once."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actors import generations, keys, peers, trust
from actors.generations import Watch
from actors.hosts import BadUrl
from actors.trust import Direction, Rules, Trust
from schemas.config import Mode
from schemas.states import IllegalMove
from schemas.storage import Database, Transaction, Unavailable
from tests import house
from tests.house import House

DIRECTIONS: tuple[Direction, ...] = ("receive", "deliver", "fetch")


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> House:
    return await house.build(database, house.configure(tmp_path))


async def put(home: House, **levels: str) -> None:
    for name, level in levels.items():
        await home.write(peers.set_level, home.instance, f"{name}.example", level)
    await home.instance.trust.refresh(home.instance.database)


def passes(home: House, host: str) -> list[bool]:
    return [trust.verdict(home.instance, host, direction).allowed for direction in DIRECTIONS]


SPELLINGS = (
    *("evil.example", "EVIL.example", "evil.example.", "evil.example:443", "evil.example:8443", "sub.evil.example", "a.b.c.evil.example:99"),
    *("evil\u3002example", "\uff45vil.example"),
)


async def test_a_blocked_host_passes_nowhere_however_it_is_spelled(home: House) -> None:
    await put(home, evil="blocked")
    for home.instance.trust.mode in ("open", "approve", "allowlist"):
        for spelling in SPELLINGS:
            assert passes(home, spelling) == [False, False, False], spelling


LOOK_ALIKES = ("notevil.example", "evil.example.org", "evilexample", "evil-example", "evil.examples", "example", "evi1.example")


async def test_a_block_is_of_the_host_and_what_lies_below_it_and_of_nothing_else(home: House) -> None:
    await put(home, evil="blocked")
    for host in LOOK_ALIKES:
        assert passes(home, host) == [True, True, True], host
    await home.write(peers.set_level, home.instance, "bücher.example", "blocked")
    await home.instance.trust.refresh(home.instance.database)
    for host in ("bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.example.", "a.bücher.example", "bu\u0308cher.example"):
        assert passes(home, host) == [False, False, False], host
    assert passes(home, "bucher.example") == [True, True, True]


async def test_a_block_and_an_allow_together_are_judged_as_gotosocial_does(home: House) -> None:
    """J2: with a list of blocks an explicit allow wins, with a list of allows an explicit block does. Allows are never inherited."""
    await home.write(peers.set_level, home.instance, "good.evil.example", "known")
    await home.write(peers.set_level, home.instance, "bad.friend.example", "blocked")
    await put(home, evil="blocked", friend="known")
    told = {}
    for home.instance.trust.mode in ("open", "approve", "allowlist"):
        for host in ("evil", "good.evil", "x.good.evil", "friend", "bad.friend", "x.friend", "stranger"):
            told[home.instance.trust.mode, host] = passes(home, f"{host}.example")
    no, yes = [False] * 3, [True] * 3
    for mode in ("open", "approve"):
        assert [told[mode, host] for host in ("evil", "good.evil", "x.good.evil", "friend", "bad.friend", "x.friend", "stranger")] == [
            no, yes, no, yes, no, yes, yes,
        ]  # fmt: skip
    assert [told["allowlist", host] for host in ("evil", "good.evil", "x.good.evil", "friend", "bad.friend", "x.friend", "stranger")] == [
        no, no, no, yes, no, no, no,
    ]  # fmt: skip


async def test_each_mode_says_what_a_stranger_may(home: House) -> None:
    await put(home, friend="trusted", seen="known", loud="limited")
    told = {}
    for mode in ("open", "approve", "allowlist"):
        home.instance.trust.mode = mode  # type: ignore[assignment]  # one of the three
        for host in ("friend", "seen", "loud", "stranger", "sub.friend", "sub.loud"):
            verdict = trust.verdict(home.instance, f"{host}.example", "receive")
            told[mode, host] = ("pass" if verdict.allowed else "no") + (" limited" if verdict.limited else "") + (" held" if verdict.held else "")
    assert told == {
        ("open", "friend"): "pass",
        ("open", "seen"): "pass",
        ("open", "loud"): "pass limited",
        ("open", "stranger"): "pass",
        ("open", "sub.friend"): "pass",
        ("open", "sub.loud"): "pass limited",
        ("approve", "friend"): "pass",
        ("approve", "seen"): "pass",
        ("approve", "loud"): "pass limited",
        ("approve", "stranger"): "pass held",
        ("approve", "sub.friend"): "pass held",
        ("approve", "sub.loud"): "pass limited held",
        ("allowlist", "friend"): "pass",
        ("allowlist", "seen"): "pass",
        ("allowlist", "loud"): "no",
        ("allowlist", "stranger"): "no",
        ("allowlist", "sub.friend"): "no",
        ("allowlist", "sub.loud"): "no",
    }


async def test_each_direction_is_asked_for_itself_whatever_was_said_before(home: House) -> None:
    await put(home, friend="trusted", seen="known", loud="limited")
    allowed, held = {}, {}
    for mode in ("open", "approve", "allowlist"):
        home.instance.trust.mode = mode  # type: ignore[assignment]  # one of the three
        for host in ("friend", "seen", "loud", "stranger", "sub.friend"):
            for direction in (*DIRECTIONS, "confide", "receive"):
                verdict = trust.verdict(home.instance, f"{host}.example", direction)
                allowed[mode, host, direction], held[mode, host, direction] = verdict.allowed, verdict.held
    # What is not public goes to trusted hosts alone, by their own name
    assert {host for (_, host, direction), yes in allowed.items() if direction == "confide" and yes} == {"friend"}
    assert all(allowed[mode, "friend", "confide"] for mode in ("open", "approve", "allowlist"))
    # Only what comes from a stranger waits: what we ask for, and what we send, does not
    assert {key for key, waits in held.items() if waits} == {("approve", "stranger", "receive"), ("approve", "sub.friend", "receive")}


async def test_a_sub_domain_keeps_what_was_decided_about_itself(home: House) -> None:
    await home.write(peers.set_level, home.instance, "kind.loud.example", "known")
    await home.write(peers.set_level, home.instance, "friend.loud.example", "trusted")
    await put(home, loud="limited")
    told = {host: trust.verdict(home.instance, f"{host}loud.example", "receive") for host in ("", "kind.", "friend.", "x.", "x.kind.")}
    assert {host: (verdict.level, verdict.limited) for host, verdict in told.items()} == {
        "": ("limited", True), "kind.": ("known", False), "friend.": ("trusted", False), "x.": ("limited", True), "x.kind.": ("limited", True),
    }  # fmt: skip
    assert [host for host, verdict in told.items() if verdict.shown] == ["kind.", "friend."]


@pytest.mark.parametrize(
    ("mode", "rules", "holds"),
    [
        ("open", Rules({}, {}, {}), False),
        ("open", Rules({"evil.example": "blocked", "friend.example": "trusted"}, {"https://a.example/x": "blocked"}, {}), False),
        ("open", Rules({"loud.example": "limited"}, {}, {}), True),
        ("open", Rules({}, {"https://a.example/x": "limited"}, {}), True),
        ("approve", Rules({}, {}, {}), True),
        ("allowlist", Rules({}, {}, {}), True),
        ("open", None, True),
    ],
)
def test_whether_anything_may_wait_or_stay_out_of_view(mode: Mode, rules: Rules | None, holds: bool) -> None:
    assert Trust(mode, rules).holds_back is holds


def test_what_was_said_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "MOST_SAID", 50)
    asked = Trust("open", Rules({"evil.example": "blocked"}, {}, {}))
    for number in range(500):
        assert asked.verdict(f"h{number}.example", "receive").allowed
        assert not asked.verdict("evil.example", "receive").allowed
    assert len(asked._said) <= 50


async def test_what_cannot_be_read_as_a_host_does_not_cross(home: House) -> None:
    for host in ("", "a b", "user@friend.example", "127.1", "friend.example/x", "%66riend.example"):
        assert passes(home, host) == [False, False, False]


def test_what_does_not_cross_is_not_shown() -> None:
    assert [verdict.shown for verdict in (trust.BLOCKED, trust.STRANGER, trust.NOT_TRUSTED, trust.UNREAD, trust.Verdict(True))] == [False] * 4 + [True]


def test_before_the_peers_are_read_nobody_passes() -> None:
    assert not Trust("open").verdict("friend.example", "receive").allowed


async def test_an_actor_is_judged_after_its_host(home: House) -> None:
    await put(home, loud="limited", evil="blocked")
    rules = {"https://good.example/users/troll": "blocked", "https://good.example/users/loud": "limited", "https://loud.example/users/kind": "known",
             "https://evil.example/users/kind": "known"}  # fmt: skip
    for uri, level in rules.items():
        await home.write(peers.set_rule, home.instance, "actor", uri, level)
    await home.instance.trust.refresh(home.instance.database)

    def told(uri: str) -> str:
        verdict = home.instance.trust.actor(uri, "receive")
        return ("pass" if verdict.allowed else "no") + (" limited" if verdict.limited else "") + (" held" if verdict.held else "")

    for mode in ("open", "approve", "allowlist"):
        home.instance.trust.mode = mode  # type: ignore[assignment]  # one of the three
        stranger = {"open": "pass", "approve": "pass held", "allowlist": "no"}[mode]
        assert told("https://good.example/users/else") == stranger
        assert told("https://good.example/users/troll") == "no"
        assert told("https://GOOD.example:443/users/troll#main-key") == "no"
        assert told("https://good.example/users/loud") == {"open": "pass limited", "approve": "pass limited held", "allowlist": "no"}[mode]
        assert told("https://loud.example/users/else") == ("no" if mode == "allowlist" else "pass limited")
        assert told("https://loud.example/users/kind") == ("no" if mode == "allowlist" else "pass")
        assert told("https://evil.example/users/kind") == "no"
    assert told("nonsense") == "no"
    assert home.instance.trust.bars("https://good.example/users/troll#main-key")
    assert not home.instance.trust.bars("https://good.example/users/else")
    assert not home.instance.trust.bars("nonsense")
    with pytest.raises(ValueError, match="ours"):
        await home.write(peers.set_rule, home.instance, "actor", "https://ours.example/users/alice", "blocked")


async def test_an_allow_of_an_actor_ends_the_waiting_of_a_stranger(home: House) -> None:
    home.instance.trust.mode = "approve"
    await home.write(peers.set_rule, home.instance, "actor", "https://good.example/users/kind", "known")
    await home.instance.trust.refresh(home.instance.database)
    assert home.instance.trust.actor("https://good.example/users/kind", "receive").shown
    assert not home.instance.trust.actor("https://good.example/users/else", "receive").shown


async def test_a_key_is_known_by_its_fingerprint_wherever_it_turns_up(home: House) -> None:
    # Given somebody with two keys on two hosts
    one, two = await home.stranger("troll", "one.example"), await home.stranger("other", "two.example")
    [first, _] = await home.read(peers.fingerprints, actor_id=one.id)
    found = await peers.bearers(home.instance, [first, "sha256:0"])
    assert {key: [bearer.actor_id for bearer in those] for key, those in found.items()} == {first: [one.id, two.id], "sha256:0": []}
    assert await home.read(peers.fingerprints, host_id=two.host_id) == await home.read(peers.fingerprints, actor_id=one.id)
    # Then a rule of its key is written once, and gone with an allow
    await home.write(peers.set_rule, home.instance, "key", first, "blocked", "moves about")
    await home.write(peers.set_rule, home.instance, "actor", two.uri, "limited", through=first)
    await home.instance.trust.refresh(home.instance.database)
    levels = {home.instance.trust.of_key(key.algorithm, key.public) for key in house.describe("x").keys}
    assert levels == {"blocked", None}
    assert [(rule.kind, rule.level, rule.through) for rule in await home.read(peers.rules)] == [("actor", "limited", first), ("key", "blocked", None)]
    await home.write(peers.set_rule, home.instance, "key", first, "known")
    assert await home.read(peers.rules) == []


async def test_a_rule_made_by_name_outlives_the_rule_of_a_key(home: House) -> None:
    troll = "https://one.example/users/troll"
    await home.write(peers.set_rule, home.instance, "actor", troll, "blocked")
    await home.write(peers.set_rule, home.instance, "actor", troll, "limited", through="sha256:0")
    await home.write(peers.set_rule, home.instance, "key", "sha256:0", "known")
    [rule] = await home.read(peers.rules)
    assert (rule.level, rule.through) == ("blocked", None)


def test_a_fingerprint_is_what_openssl_says() -> None:
    pair = keys._make()
    for algorithm, public in (("rsa", pair.rsa_public), ("ed25519", pair.ed25519_public)):
        spki = keys.load(algorithm, public).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert trust.fingerprint(algorithm, public) == f"sha256:{hashlib.sha256(spki).hexdigest()}"


async def test_no_reason_names_the_host(home: House) -> None:
    await put(home, evil="blocked")
    assert "evil" not in trust.verdict(home.instance, "evil.example", "deliver").why


async def test_levels_move_as_their_life_says(home: House) -> None:
    assert await home.read(peers.level, "friend.example") == "known"
    assert await home.read(peers.find, "friend.example") is None
    made = await home.write(peers.set_level, home.instance, "FRIEND.example.", "trusted", "met in Oslo")
    assert (made.host, made.level, made.reason, made.since) == ("friend.example", "trusted", "met in Oslo", home.clock.ms())
    await home.write(peers.set_level, home.instance, "friend.example", "blocked")
    with pytest.raises(IllegalMove):
        await home.write(peers.set_level, home.instance, "friend.example", "trusted")
    assert await home.read(peers.level, "Friend.example") == "blocked"
    await home.write(peers.set_level, home.instance, "other.example", "known", "on the list")
    assert [(peer.host, peer.level) for peer in await home.read(peers.list_all)] == [("friend.example", "blocked"), ("other.example", "known")]
    assert await home.write(peers.forget, "friend.example")
    assert not await home.write(peers.forget, "friend.example")
    assert await home.read(peers.find, "friend.example") is None
    with pytest.raises(ValueError, match="ours"):
        await home.write(peers.set_level, home.instance, "ours.example", "blocked")
    with pytest.raises(BadUrl):
        await home.write(peers.set_level, home.instance, "https://friend.example", "blocked")


async def test_a_block_by_another_process_is_obeyed_within_a_second(home: House) -> None:
    # Given a running process that watches
    watch = generations.watch(home.instance)
    await watch.start()
    assert passes(home, "evil.example") == [True, True, True]
    # When somebody blocks a host
    await home.write(peers.set_level, home.instance, "evil.example", "blocked")
    # Then this process knows
    for _ in range(100):
        if passes(home, "evil.example") == [False, False, False]:
            break
        await asyncio.sleep(0.01)
    assert passes(home, "evil.example") == [False, False, False]
    await watch.close()


async def test_only_what_changed_is_forgotten(database: Database) -> None:
    forgotten: list[str] = []
    watch = Watch(database, {"keys": lambda: forgotten.append("keys"), "peers": lambda: forgotten.append("peers")})
    await database.write(generations.bump, "keys")
    await watch.start()
    await watch.settle()
    assert forgotten == []
    await database.write(generations.bump, "peers")
    await watch.settle()
    await watch.settle()
    assert forgotten == ["peers"]
    await watch.close()


async def test_a_read_that_fails_is_done_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a database that is busy once
    monkeypatch.setattr(Watch, "AGAIN", 0.01)
    fails = [Unavailable("busy")]
    forgotten = asyncio.Event()

    async def forget() -> None:
        if fails:
            raise fails.pop()
        forgotten.set()

    watch = Watch(database, {"peers": forget})
    await watch.start()
    # When something changes
    await database.write(generations.bump, "peers")
    # Then it is forgotten all the same
    await asyncio.wait_for(forgotten.wait(), 2)
    await watch.close()
    watch.notice()
    assert watch._task is not None
    assert watch._task.done()


async def test_generations_count_up(database: Database) -> None:
    async def bump(tx: Transaction) -> None:
        await generations.bump(tx, "keys")
        await generations.bump(tx, "keys")

    await database.write(bump)
    assert await database.read(generations.read) == {"keys": 2}


@pytest.mark.parametrize("mode", ["open", "approve", "allowlist"])
def test_confided_is_to_a_trusted_host_alone_by_its_own_name(mode: Mode) -> None:
    levels = {"friend.example": "trusted", "known.example": "known", "quiet.example": "limited", "evil.example": "blocked"}
    trust = Trust(mode, Rules(levels, {}, {}))
    hosts = ("friend.example", "FRIEND.example.", "sub.friend.example", "friend.example:8443", "known.example", "quiet.example", "evil.example", "new.example")
    assert [trust.verdict(host, "confide").allowed for host in hosts] == [True, True] + [False] * 6
