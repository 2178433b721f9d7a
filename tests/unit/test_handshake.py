"""Are these still the keys of the peer an admin trusts? The judge, by a table: what is pinned, what is shown, which statements come with it, the verdict."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from actors import keys
from actors.handshake import PeerKey, judge
from actors.signatures import proofs
from schemas import peering
from schemas.peering import Rotation
from schemas.reading import Iri
from tests.house import PAIR

APP = Iri("https://peer.example/actor")
WHEN = datetime(2026, 3, 1, tzinfo=UTC)
INCOMPLETE = "it does not show all its keys"
UNSIGNED = "it shows a key that no pinned key signed"

E1, E2, E3, E4 = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 5))


def shown(signing: Ed25519PrivateKey, number: int = 1, sealing: int | None = None) -> tuple[PeerKey, ...]:
    """The keys of one time: the one RSA key it ever had, Ed25519, X25519."""
    rsa = PeerKey("rsa", Iri(f"{APP}#rsa"), PAIR.rsa_public)
    ed = PeerKey("ed25519", Iri(f"{APP}#ed{number}"), signing.public_key().public_bytes_raw())
    return rsa, ed, PeerKey("x25519", Iri(f"{APP}#x{sealing or number}"), bytes([sealing or number]) * 32)


OLD, NEW, NEWEST, OTHER = shown(E1, 1), shown(E2, 2), shown(E3, 3), shown(E4, 4)


def says(by: Ed25519PrivateKey, every: tuple[PeerKey, ...]) -> Rotation:
    """The statement of `by` that these are all keys from now on."""
    named = [key.multikey for key in every]
    document = proofs.attach(peering.rotation(APP, named, "2026-03-01T00:00:00Z"), Iri(f"{APP}#ed"), WHEN, by.sign)
    return Rotation(APP, tuple(named), document)


def forged(rotation: Rotation, every: tuple[PeerKey, ...]) -> Rotation:
    named = [key.multikey for key in every]
    return replace(rotation, keys=tuple(named), document={**rotation.document, "keys": named})


CASES: dict[str, tuple[tuple[PeerKey, ...], list[Rotation], str | None]] = {
    "the same": (OLD, [], None),
    "the same, with statements of nobody": (OLD, [says(E4, OTHER)], None),
    "no key to seal to": (OLD[:2], [], INCOMPLETE),
    "no Ed25519 key": ((OLD[0], OLD[2]), [], INCOMPLETE),
    "no RSA key": (OLD[1:], [], INCOMPLETE),
    "nothing": ((), [], INCOMPLETE),
    "others": (OTHER, [], UNSIGNED),
    "one more to sign with": ((*OLD, OTHER[1]), [], UNSIGNED),
    "one more to seal to": ((*OLD, OTHER[2]), [], UNSIGNED),
    "another RSA key": ((PeerKey("rsa", Iri(f"{APP}#rsa"), keys._make().rsa_public), *OLD[1:]), [], UNSIGNED),
    "another to seal to": ((*OLD[:2], OTHER[2]), [], UNSIGNED),
    "others that the pinned one names": (NEW, [says(E1, NEW)], None),
    "old and new side by side": ((*OLD, *NEW), [says(E1, NEW)], None),
    "others that they name themselves": (OTHER, [says(E4, OTHER)], UNSIGNED),
    "others than it names": (OTHER, [says(E1, NEW)], UNSIGNED),
    "one more than it names": ((*NEW, OTHER[1]), [says(E1, NEW)], UNSIGNED),
    "after two replacements": (NEWEST, [says(E1, NEW), says(E2, NEWEST)], None),
    "in the wrong order": (NEWEST, [says(E2, NEWEST), says(E1, NEW)], UNSIGNED),
    "with the link in the middle gone": (NEWEST, [says(E2, NEWEST)], UNSIGNED),
    "by a key that was replaced": (OTHER, [says(E1, NEW), says(E1, OTHER)], UNSIGNED),
    "by a key of one of the keys that are not named": (NEWEST, [says(E1, (*NEW[:1], *OLD[1:2], *NEW[2:])), says(E2, NEWEST)], UNSIGNED),
    "a statement that was changed": (OTHER, [forged(says(E1, NEW), OTHER)], UNSIGNED),
    "no proof on it": (NEW, [replace(says(E1, NEW), document=peering.rotation(APP, [key.multikey for key in NEW], "2026-03-01T00:00:00Z"))], UNSIGNED),
    "a proof that is none": (NEW, [replace(says(E1, NEW), document={**says(E1, NEW).document, "proof": {"type": "x"}})], UNSIGNED),
}


@pytest.mark.parametrize("case", CASES)
def test_keys_are_judged_by_what_was_pinned(case: str) -> None:
    listed, rotations, verdict = CASES[case]
    assert judge(OLD, listed, rotations) == verdict


def test_where_nothing_is_pinned_nothing_holds() -> None:
    assert judge((), OLD, [says(E1, OLD)]) == UNSIGNED


def test_a_statement_is_read_from_what_was_signed_and_for_its_own_actor_alone() -> None:
    document = says(E1, NEW).document
    mine = {"id": APP, "keyRotation": [document, {**document, "actor": "https://else.example/actor"}, {**document, "type": "Note"}, "x"]}
    greeting = peering.read(mine)
    assert greeting is not None
    assert [one.keys for one in greeting.rotations] == [tuple(document["keys"])]
