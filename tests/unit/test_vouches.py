"""Does a word count exactly as far as an admin lets it, for whom it was said, and while it is meant?"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from actors import handshake, hosts, known, local, peers, sealing, spent, trust
from actors.handshake import PeerKey
from actors.known import Actor
from actors.signatures import proofs
from fedmatch.board import identities
from fedmatch.safety import audit, border, vetting, vouches
from fedmatch.safety.vetting import CannotVet
from fedmatch.safety.vouches import CannotVouch, NoVouch, Standing
from outbox import posts
from schemas import vouches as wire
from schemas.events import VouchesChanged
from schemas.objects import Vouch
from schemas.reading import Iri, Row
from schemas.states import IllegalMove
from schemas.storage import Database, Transaction
from tests import house
from tests.house import PAIR, House, describe

PEER = "peer.example"


class Peer:
    """A trusted instance with one Ed25519 key of its own, that vouches for whom it likes."""

    def __init__(self, host: str = PEER) -> None:
        self.host, self.key = host, Ed25519PrivateKey.generate()
        self.application = Iri(f"https://{host}/actor")

    async def befriend(self, home: House, count: int) -> int:
        pinned = [
            PeerKey("ed25519", Iri(f"{self.application}#ed"), self.key.public_key().public_bytes_raw()),
            PeerKey("rsa", Iri(f"{self.application}#rsa"), PAIR.rsa_public),
            PeerKey("x25519", Iri(f"{self.application}#x"), bytes(31) + b"\x09"),
        ]

        async def body(tx: Transaction) -> int:
            host_id = await hosts.ensure(tx, home.instance, self.host)
            await peers.set_level(tx, home.instance, self.host, "known")
            await tx.execute(handshake.UPSERT, host_id=host_id, application=self.application, inbox=f"{self.application}/inbox", now=home.clock.ms())
            await handshake._replace(tx, home.instance, host_id, "seen", pinned)
            await handshake.agree(tx, home.instance, host_id, pinned, count=count)
            return host_id

        await home.instance.database.write(body)
        await home.instance.trust.refresh(home.instance.database)
        return (await home.read(peers.partner_named, self.host)).host_id

    def vouch(
        self, home: House, subject: Actor, level: int = 3, *, key: Ed25519PrivateKey | None = None, fingerprint: str | None = None, **changes: object
    ) -> Vouch:
        issued, expires = wire.lifetime(home.clock.now())
        shown = fingerprint or trust.fingerprint("ed25519", PAIR.ed25519_public)
        number = changes.pop("number", 1)
        bare = Vouch(Iri(f"https://{self.host}/vouches/{number}"), self.application, subject.uri, shown, level, "video-call", issued, expires)
        bare = replace(bare, **changes)  # type: ignore[arg-type]  # members by name
        document = proofs.attach(wire.write(bare), Iri(f"{self.application}#ed"), issued, (key or self.key).sign)
        return replace(bare, document=json.dumps(document))


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> House:
    made = await house.build(database, house.configure(tmp_path))
    await made.write(local._create_application, made.instance, PAIR)
    await made.write(sealing.ensure, made.instance)
    return made


async def standing(home: House, subject: Actor, carried: Sequence[Vouch] = ()) -> Standing:
    return await home.read(vouches.standing, home.instance, subject, carried)


async def test_our_word_counts_until_it_ends(home: House) -> None:
    amina = await home.person("amina")
    assert (await standing(home, amina)).checked is False
    made = await home.write(vouches.issue, home.instance, amina, 2, "video-call", staff="operator")
    assert (made.issued, made.expires) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    found = await standing(home, amina)
    assert (found.level, found.issuers, found.checked) == (2, ("ours.example",), True)
    assert await home.read(vouches.of, home.instance, amina) == (wire.parsed(made.document),)
    assert home.told[-1] == VouchesChanged(amina.id, None)
    home.clock.move(days=70)
    assert (await standing(home, amina)).checked is False
    assert await home.write(vouches.expire, home.instance) == 1
    assert (await home.read(vouches.list_all))[0].state == "expired"
    assert home.told[-1] == VouchesChanged(amina.id, None)


async def test_looked_at_and_found_nothing_is_not_the_same_as_never_looked_at(home: House) -> None:
    amina = await home.person("amina")
    await home.write(vouches.issue, home.instance, amina, 0, "references", staff="operator")
    found = await standing(home, amina)
    assert (found.level, found.issuers, found.checked) == (0, (), True)


async def test_what_we_say_anew_ends_what_we_said(home: House) -> None:
    amina = await home.person("amina")
    first = await home.write(vouches.issue, home.instance, amina, 3, "in-person", staff="operator")
    await home.write(vouches.issue, home.instance, amina, 1, "in-person", staff="operator")
    listed = await home.read(vouches.list_all, amina.uri)
    assert [(one.vouch.level, one.state) for one in listed] == [(1, "lowered"), (3, "revoked")]
    assert (await standing(home, amina)).level == 1
    with pytest.raises(IllegalMove):
        await home.write(vouches.revoke, home.instance, first.id, staff="operator")
    await home.write(vouches.revoke, home.instance, str(listed[0].id), staff="operator", reason="left us")
    assert (await standing(home, amina)).checked is False
    with pytest.raises(NoVouch):
        await home.write(vouches.revoke, home.instance, "17", staff="operator")


async def test_a_word_that_is_renewed_or_raised_stays_true_where_it_is_held(home: House) -> None:
    """Nobody who relies on a vouch is told that it ended because we said the same, or more, once again."""
    amina, peer = await home.person("amina"), Peer()
    host_id = await peer.befriend(home, 0)

    async def say(level: int) -> Vouch:
        made: Vouch = await home.write(vouches.issue, home.instance, amina, level, "in-person", staff="operator")
        await home.write(vouches.given, home.instance, made, host_id)
        return made

    first, renewed, raised = [await say(level) for level in (2, 2, 3)]
    assert await home.read(_outgoing) == []
    assert [one.id for one in await home.read(vouches.of, home.instance, amina)] == [raised.id]
    # What is less than was said before ends what said more, and nothing else
    lower = await say(2)
    assert len(await home.read(_outgoing)) == 1
    assert [(one.vouch.id, one.state) for one in await home.read(vouches.list_all, amina.uri)] == [
        (lower.id, "lowered"), (raised.id, "revoked"), (renewed.id, "issued"), (first.id, "issued"),
    ]  # fmt: skip
    # And what is taken back is taken back whole, and told once for each that somebody holds
    gone = await home.write(vouches.revoke, home.instance, renewed.id, staff="operator")
    assert (gone.state, gone.given) == ("revoked", (PEER,))
    assert (await standing(home, amina)).checked is False
    assert len(await home.read(_outgoing)) == 4


async def test_people_of_other_servers_are_vouched_for_by_the_key_they_have(home: House) -> None:
    masto = describe("hana", "mastodon.example")
    masto = replace(masto, keys=masto.keys[:1])  # Mastodon has RSA alone
    hana = await home.write(house.store, home.instance, masto)
    made = await home.write(vouches.issue, home.instance, hana, 2, "known-organisation", staff="operator")
    assert made.subject_key == trust.fingerprint("rsa", PAIR.rsa_public)
    assert (await standing(home, hana)).level == 2
    # Whoever shows another key is not whom we looked at
    taken_over = await home.write(house.store, home.instance, replace(masto, keys=describe("hana", "mastodon.example").keys[1:]))
    assert taken_over.id == hana.id
    assert (await standing(home, taken_over)).checked is False


async def test_a_peers_word_counts_as_far_as_an_admin_lets_it(home: House) -> None:
    helper = await home.stranger("helper", PEER)
    peer = Peer()
    host_id = await peer.befriend(home, 0)
    assert (await standing(home, helper, [peer.vouch(home, helper, 5)])).levels == ((PEER, 0),)
    await home.write(handshake.rate, home.instance, host_id, 2, False)
    assert home.told[-1] == VouchesChanged(None, peer.application)
    assert (await standing(home, helper, [peer.vouch(home, helper, 5)])).level == 2
    assert (await standing(home, helper, [peer.vouch(home, helper, 1)])).level == 1
    # A floor names level and issuers
    found = await standing(home, helper, [peer.vouch(home, helper, 2)])
    assert found.meets(2)
    assert found.meets(2, [PEER])
    assert not found.meets(2, ["ours.example"])
    assert not found.meets(3)
    # Trust ends: so does the weight
    await border.decide(home.instance, border.Host(PEER), "known")
    assert home.told[-1] == VouchesChanged(None, peer.application)
    assert (await standing(home, helper, [peer.vouch(home, helper, 5)])).checked is False


@pytest.mark.parametrize(
    "forged",
    [
        "another key", "another subject", "another key of the subject", "too long", "over", "not yet", "not a month", "to no month", "another issuer",
        "another host", "raised beside", "raised inside", "no proof",
    ],
)  # fmt: skip
async def test_what_is_not_exactly_what_a_peer_signed_weighs_nothing(home: House, forged: str) -> None:
    helper, other = await home.stranger("helper", PEER), await home.stranger("other", PEER)
    peer = Peer()
    await peer.befriend(home, 5)
    assert (await standing(home, helper, [peer.vouch(home, helper)])).level == 3
    day = datetime(2026, 3, 1, tzinfo=UTC)
    good = peer.vouch(home, helper)
    bad = {
        "another key": lambda: peer.vouch(home, helper, key=Ed25519PrivateKey.generate()),
        "another subject": lambda: peer.vouch(home, other),
        "another key of the subject": lambda: peer.vouch(home, helper, fingerprint="sha256:" + "0" * 64),
        "too long": lambda: peer.vouch(home, helper, expires=datetime(2026, 8, 1, tzinfo=UTC)),
        "over": lambda: peer.vouch(home, helper, issued=datetime(2026, 1, 1, tzinfo=UTC), expires=day),
        "not yet": lambda: peer.vouch(home, helper, issued=datetime(2026, 4, 1, tzinfo=UTC), expires=datetime(2026, 5, 1, tzinfo=UTC)),
        "not a month": lambda: peer.vouch(home, helper, issued=datetime(2026, 2, 27, tzinfo=UTC)),
        "to no month": lambda: peer.vouch(home, helper, expires=datetime(2026, 5, 2, tzinfo=UTC)),
        "another issuer": lambda: peer.vouch(home, helper, issuer=Iri("https://else.example/actor")),
        "another host": lambda: peer.vouch(home, helper, id=Iri("https://else.example/vouches/1")),
        "raised beside": lambda: replace(peer.vouch(home, helper, 0), level=5),
        "raised inside": lambda: replace(good, document=good.document.replace('"level": 3', '"level": 5')),
        "no proof": lambda: replace(good, document=json.dumps({**json.loads(good.document), "proof": None})),
    }[forged]()
    assert (await standing(home, helper, [bad])).level == 0


async def test_a_vouch_that_was_taken_back_counts_no_more_in_whatever_order_the_two_come(home: House) -> None:
    helper, peer = await home.stranger("helper", PEER), Peer()
    await peer.befriend(home, 5)
    said = peer.vouch(home, helper)
    issuer = await home.write(house.store, home.instance, describe("peer.example", PEER, id=peer.application, kind="Application", keys=()))
    await home.write(posts.delete, home.instance, issuer, said.id)
    assert (await standing(home, helper, [said])).checked is False


async def test_new_keys_of_somebody_end_what_was_said_of_the_old_ones(home: House) -> None:
    helper, peer = await home.stranger("helper", PEER), Peer()
    await peer.befriend(home, 5)
    said = peer.vouch(home, helper)
    from actors import keys

    await home.write(house.store, home.instance, describe("helper", PEER, keys._make()))
    assert (await standing(home, helper, [said])).checked is False


async def test_levels_four_and_five_need_two_people(home: House) -> None:
    amina, vera, ines = await home.person("amina"), await home.person("vera"), await home.person("ines")
    with pytest.raises(CannotVouch, match="second person"):
        await home.write(vouches.issue, home.instance, amina, 4, "in-person", staff="vera")
    case = await home.write(vetting.take, home.instance, amina, vera)
    with pytest.raises(CannotVet, match="look, vettor, evaluation"):
        await home.write(vetting.decide, home.instance, case.id, vera, level=5, method="in-person")
    for step in ("look", "vettor", "evaluation"):
        case = await home.write(vetting.note, home.instance, case.id, step, f"the {step} was fine, says the canary", vera)
    case, made = await home.write(vetting.decide, home.instance, case.id, vera, level=5, method="in-person")
    assert (case.state, made) == ("proposed", None)
    with pytest.raises(CannotVet, match="second person"):
        await home.write(vetting.decide, home.instance, case.id, vera, level=5)
    with pytest.raises(CannotVet, match="themselves"):
        await home.write(vetting.decide, home.instance, case.id, amina, level=5)
    # Another level is another proposal
    case, made = await home.write(vetting.decide, home.instance, case.id, ines, level=4)
    assert (case.state, case.proposed_by, made) == ("proposed", "ines", None)
    case, made = await home.write(vetting.decide, home.instance, case.id, vera, level=4)
    assert (case.state, made is not None and made.level) == ("vouched", 4)
    assert (await standing(home, amina)).level == 4
    with pytest.raises(CannotVet, match="ended"):
        await home.write(vetting.note, home.instance, case.id, "look", "more", vera)
    log = await audit.check(home.instance)
    assert [entry.action for entry in log.entries if entry.action.startswith("vet.s")] == ["vet.sign-off"]
    assert log.holds


async def test_two_people_say_the_same_or_it_is_another_proposal(home: House) -> None:
    amina, vera, ines = await home.person("amina"), await home.person("vera"), await home.person("ines")
    case = await home.write(vetting.take, home.instance, amina, vera)
    for step in ("look", "vettor", "evaluation"):
        await home.write(vetting.note, home.instance, case.id, step, "fine", vera)
    await home.write(vetting.decide, home.instance, case.id, vera, level=4, method="in-person")
    # Another method was seen by one of them alone
    case, made = await home.write(vetting.decide, home.instance, case.id, ines, level=4, method="documents")
    assert (case.state, case.proposed_by, case.method, made) == ("proposed", "ines", "documents", None)
    # And whoever is silenced since says nothing any more
    await home.write(local.suspend, home.instance, ines)
    case, made = await home.write(vetting.decide, home.instance, case.id, vera, level=4)
    assert (case.state, case.proposed_by, made) == ("proposed", "vera", None)
    await home.write(local.reinstate, home.instance, ines)
    case, made = await home.write(vetting.decide, home.instance, case.id, ines, level=4)
    assert (case.state, made is not None and (made.level, made.method)) == ("vouched", (4, "documents"))


async def test_one_person_with_two_names_is_no_second_person(home: House) -> None:
    amina, vera, double = await home.person("amina"), await home.person("vera"), await home.person("double")

    async def same(tx: Transaction) -> None:
        row = await tx.one("select account_id from membership where actor_id = :id", id=vera.id)
        assert row is not None
        sql = "insert into membership (account_id, actor_id, role, since) values (:account, :actor, 'helper', 0)"
        await tx.execute(sql, account=row["account_id"], actor=double.id)

    await home.write(same)
    case = await home.write(vetting.take, home.instance, amina, vera)
    for step in ("look", "vettor", "evaluation"):
        await home.write(vetting.note, home.instance, case.id, step, "fine", vera)
    await home.write(vetting.decide, home.instance, case.id, vera, level=4, method="documents")
    with pytest.raises(CannotVet, match="second person"):
        await home.write(vetting.decide, home.instance, case.id, double, level=4)


async def test_a_case_can_be_refused_taken_over_and_begun_anew(home: House) -> None:
    hana, vera, ines = await home.stranger("hana", "mastodon.example"), await home.person("vera"), await home.person("ines")
    case = await home.write(vetting.take, home.instance, hana, vera)
    over = await home.write(vetting.take, home.instance, hana, ines)
    assert (over.id, over.taken_by) == (case.id, "ines")
    case, made = await home.write(vetting.decide, home.instance, case.id, ines, level=None, reason="no")
    assert (case.state, made) == ("refused", None)
    assert await home.read(vetting.list_all, home.instance) == []
    assert len(await home.read(vetting.list_all, home.instance, every=True)) == 1
    assert (await home.write(vetting.take, home.instance, hana, vera)).id != case.id
    with pytest.raises(CannotVet, match="steps"):
        await home.write(vetting.note, home.instance, case.id, "gossip", "x", vera)


async def test_notes_and_names_of_vetting_are_in_no_file(home: House, tmp_path: Path) -> None:
    from tests.world import grep

    amina, vera = await home.person("amina"), await home.person("vera")
    case = await home.write(vetting.take, home.instance, amina, vera)
    await home.write(vetting.note, home.instance, case.id, "look", "helianthus was seen with her", vera)
    assert grep(tmp_path, "helianthus") == []
    rows = await home.read(lambda tx: tx.all("select * from vetting"))
    assert amina.uri.encode() not in bytes(rows[0]["sealed"])
    assert amina.uri.encode() not in bytes(rows[0]["subject_hash"])


# The log of staff.


async def fill(home: House, count: int = 5) -> None:
    for number in range(count):
        await home.write(audit.log, home.instance, "vera", "peer.level", f"host{number}.example", "because")


async def test_the_chain_holds_and_heads_are_found_in_it(home: House) -> None:
    assert (await audit.check(home.instance)).holds
    await fill(home, 3)
    head = (await audit.check(home.instance)).head
    await fill(home, 3)
    later = await audit.check(home.instance, head)
    assert (later.holds, later.found, len(later.entries)) == (True, True, 6)
    assert not (await audit.check(home.instance, "0" * 64)).holds


@pytest.mark.parametrize(
    "change",
    [
        "update audit set action = 'peer.trust' where id = 3",
        "update audit set at = at + 1 where id = 3",
        "update audit set commitment = hash where id = 3",
        "update audit set hash = commitment where id = 5",
        "delete from audit where id = 3",
        "delete from audit where id = 1",
        "update audit_detail set sealed = (select sealed from audit_detail where audit_id = 2) where audit_id = 3",
    ],
)
async def test_whoever_changes_the_log_is_seen(home: House, change: str) -> None:
    await fill(home)
    await home.write(lambda tx: tx.execute(change))
    assert not (await audit.check(home.instance)).holds


async def test_a_log_that_was_cut_misses_the_head_a_peer_saw(home: House) -> None:
    await fill(home)
    head = (await audit.check(home.instance)).head
    await home.write(lambda tx: tx.execute("delete from audit where id = 5"))
    assert (await audit.check(home.instance)).holds
    assert not (await audit.check(home.instance, head)).holds


async def test_names_and_reasons_can_be_shredded_and_the_chain_still_holds(home: House) -> None:
    await fill(home)
    home.clock.move(days=400)
    await fill(home, 1)
    assert await home.write(audit.shred, home.clock.ms() - 1000) == 5
    log = await audit.check(home.instance)
    assert (log.holds, log.shredded) == (True, 5)
    assert [entry.staff for entry in log.entries] == [None] * 5 + ["vera"]


# The form.


@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001  # made aware below
def test_a_vouch_tells_months_and_lasts_ninety_days_at_most(now: datetime) -> None:
    now = now.replace(tzinfo=UTC)
    issued, expires = wire.lifetime(now)
    assert issued.day == expires.day == 1
    assert issued <= now < expires
    assert expires - issued <= wire.LONGEST


async def test_a_vouch_is_read_as_it_was_written(home: House) -> None:
    amina = await home.person("amina")
    made = await home.write(vouches.issue, home.instance, amina, 2, "video-call", staff="operator")
    read = wire.read(json.loads(made.document))
    assert read is not None
    assert replace(read, document="") == replace(made, document="")
    assert (await home.read(known.application)).uri == made.issuer
    for broken in (None, [], "x", {}, {"type": "Note"}, {**json.loads(made.document), "level": 6}, {**json.loads(made.document), "level": True}):
        assert wire.read(broken) is None


async def test_a_peer_that_is_trusted_no_more_weighs_nothing_even_while_its_keys_are_still_pinned(home: House) -> None:
    helper, peer = await home.stranger("helper", PEER), Peer()
    await peer.befriend(home, 5)
    said = peer.vouch(home, helper)
    assert (await standing(home, helper, [said])).level == 3
    await home.write(peers.set_level, home.instance, peer.host, "limited", "they were searched")
    assert (await standing(home, helper, [said])).checked is False


async def test_whoever_vouches_is_the_application_that_was_confirmed_on_its_own_host(home: House) -> None:
    """An id on the right host is not enough, nor is the right issuer with an id elsewhere; each by the confirmed key."""
    helper, peer = await home.stranger("helper", PEER), Peer()
    await peer.befriend(home, 5)
    for changes in ({"issuer": Iri(f"https://{peer.host}/users/somebody")}, {"id": Iri("https://else.example/vouches/1")}):
        assert (await standing(home, helper, [peer.vouch(home, helper, **changes)])).checked is False


async def test_nobody_vouches_for_an_instance_nor_for_somebody_who_is_gone(home: House) -> None:
    amina, application = await home.person("amina"), await home.read(known.application)
    for who in (application, replace(amina, state="suspended"), replace(amina, state="gone")):
        with pytest.raises(CannotVouch, match="nobody vouches"):
            await home.write(vouches.issue, home.instance, who, 1, "in-person", staff="operator")
    assert await home.read(vouches.list_all) == []


async def test_a_one_time_identity_of_ours_is_neither_vouched_for_nor_vetted_by_itself(home: House) -> None:
    amina, boss = await home.person("amina"), await home.person("boss")
    hidden = await identities.make(home.instance, amina)
    with pytest.raises(CannotVouch, match="vouch for the person"):
        await home.write(vouches.issue, home.instance, hidden, 1, "in-person", staff="operator")
    with pytest.raises(CannotVet, match="vet the person"):
        await home.write(vetting.take, home.instance, hidden, boss)
    assert await home.read(vouches.list_all) == []
    assert await home.read(vetting.list_all, home.instance) == []


async def test_ten_are_read_at_most_and_the_best_word_of_a_peer_counts(home: House) -> None:
    helper, peer = await home.stranger("helper", PEER), Peer()
    await peer.befriend(home, 5)
    other, good, weaker = peer.vouch(home, helper, 5, fingerprint="sha256:" + "0" * 64), peer.vouch(home, helper, 3, number=2), peer.vouch(home, helper, 1)
    assert (await standing(home, helper, [*[other] * 9, good])).level == 3
    assert (await standing(home, helper, [*[other] * 10, good])).checked is False
    for carried in ([good, weaker], [weaker, good]):
        assert (await standing(home, helper, carried)).levels == ((PEER, 3),)


async def test_a_vouch_that_ended_in_the_time_a_restore_lost_counts_no_more(home: House) -> None:
    helper, peer = await home.stranger("helper", PEER), Peer()
    await peer.befriend(home, 5)
    said, other = peer.vouch(home, helper), peer.vouch(home, helper, 1, number=2)

    async def restored(tx: Transaction) -> None:
        await tx.execute("insert into spent (mark) values (:mark)", mark=spent.mark_of(home.instance.vault, said.id))

    await home.write(restored)
    home.instance.restored = True
    assert (await standing(home, helper, [said])).checked is False
    assert (await standing(home, helper, [said, other])).level == 1


async def test_a_key_that_was_retired_stands_for_nobody(home: House) -> None:
    amina, peer = await home.person("amina"), Peer()
    await peer.befriend(home, 5)
    said = peer.vouch(home, amina)
    assert (await standing(home, amina, [said])).level == 3

    async def retire(tx: Transaction) -> None:
        await tx.execute("update actor_key set retired_at = 1 where actor_id = :id and algorithm = 'ed25519'", id=amina.id)

    await home.write(retire)
    assert (await standing(home, amina, [said])).checked is False
    made = await home.write(vouches.issue, home.instance, amina, 1, "in-person", staff="operator")
    assert made.subject_key == trust.fingerprint("rsa", PAIR.rsa_public)


def test_a_peers_low_word_meets_nothing_it_does_not_reach() -> None:
    found = Standing((("first.example", 3), ("second.example", 1), ("third.example", 0)))
    assert found.issuers == ("first.example", "second.example")
    assert [found.meets(level) for level in (0, 1, 3, 4)] == [True, True, True, False]
    assert found.meets(1, ["second.example"])
    assert not found.meets(2, ["second.example"])
    assert not found.meets(1, ["third.example", "nobody.example"])
    assert found.meets(0, ["nobody.example"])


async def test_a_blocked_server_is_not_told_that_a_vouch_ended(home: House) -> None:
    amina, peer = await home.person("amina"), Peer()
    host_id = await peer.befriend(home, 0)
    told = []
    for level in ("limited", "blocked"):
        made = await home.write(vouches.issue, home.instance, amina, 2, "in-person", staff="operator")
        await home.write(vouches.given, home.instance, made, host_id)
        await home.write(peers.set_level, home.instance, PEER, level)
        await home.instance.trust.refresh(home.instance.database)
        await home.write(vouches.revoke, home.instance, made.id, staff="operator")
        told.append(len(await home.read(_outgoing)))
    assert told == [1, 1]


async def _outgoing(tx: Transaction) -> Sequence[Row]:
    return await tx.all("select outgoing.id from outgoing")
