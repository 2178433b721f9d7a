"""Do keys sign, verify, travel and stay secret?"""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from actors import keys, known, local
from actors.generations import read as generations
from actors.keys import BadKey, NoKey
from actors.vault import Locked
from schemas import publickeys
from schemas.objects import Key
from schemas.reading import Iri
from schemas.storage import Database, Transaction
from tests import house
from tests.house import PAIR, House, describe


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> House:
    return await house.build(database, house.configure(tmp_path))


def spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(der: bytes, kind: str = "PUBLIC KEY") -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n"


@given(st.binary(max_size=80))
def test_multibase_goes_there_and_back(data: bytes) -> None:
    assert publickeys.multibase_bytes(publickeys.multibase(data)) == data


def test_multibase_agrees_with_the_vectors() -> None:
    # base58btc, draft-msporny-base58
    assert publickeys.multibase(b"Hello World!") == "z2NEpo7TZRRrLZSi2U"
    assert publickeys.multibase(bytes.fromhex("0000287fb4cd")) == "z11233QC4"
    # did:key's Ed25519 example
    text = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    algorithm, public = publickeys.from_multibase(text)
    assert algorithm == "ed25519"
    assert publickeys.to_multibase(public) == text
    # FEP-521a's own vector
    assert publickeys.from_multibase("z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2")[0] == "ed25519"


def test_rsa_as_a_multikey_is_the_key_that_stands_beside_it_as_pem() -> None:
    # Of one actor of Mitra, which publishes its key both ways
    multikey = (
        "z4MXj1wBzi9jUstyPBJ7qsa7G5waXG8McxXkjvAVHFLMxhGiJTGXK1EWseFfrUaH6Btt7TCSB1Entgg5SyAaHc1Ssh698puSozC41J2no8rgpMVRPzFVBoAYuNamM5FW9qCP1"
        "XV2y1cJ2y3gmuoreUVyn1jgW7Gb3NxsEcxjfs3fE1SzXjCnkxqVikYjkByqbXeB4AvYeXP1wjS1KB9xzKAzAjnRrui6RLHi6sCji2f7kdmxALcmjMbLyKjmYozhoG5ZqVkfNN"
        "ZuAf4PLgyJQ84rDNKUGRgZeCeNh31hLLMUsSFYgpArfp813dbusq3A5BnnWN24rQtrj7nN9gQsxYjSTRhLpQcSLnwCQxJ1Sc2u9zfDwcJdW"
    )
    written = (
        "-----BEGIN PUBLIC KEY-----\n"
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqh38rZnS2RDft6RAGt5O\n"
        "p4teGYSYmaeB2l5UGRCpnzcVf3m4v/x6LpXJXG8bDkNNnIZ/OzZ8tNPzKZJ6sKpI\n"
        "ngayjowI/YzN8BBPJuKtaB3B4ImNrvG865OQl0h+TtfXaNTRWK8U108bMW2HH2/n\n"
        "TWJiaYiCcxLPzFRPLLd/TG6IYgeSKlRpYJ5TOdpZg1Hcx7/eRljFvdq7wmUcbM2W\n"
        "XmUYv1sjmwGQ92VCEy8d0biE/IesHdE6QM/5ALdAcQGtTn5QK7AEe43VmklkTfV+\n"
        "qDs38r3kVAMuHxnpASj+nuMp7Y7dRm92aKJ1vj93HxXTE1Ajh2eQYk8ulHQjcLky\n"
        "GwIDAQAB\n"
        "-----END PUBLIC KEY-----\n"
    )
    assert publickeys.from_multibase(multikey) == publickeys.from_pem(written)
    assert publickeys.to_multibase(publickeys.from_pem(written)[1], "rsa") == multikey


@pytest.mark.parametrize(
    "text", ["", "z", "z0", "zO", "mAAAA", "z6Mk", "z" + "1" * 5000, "zé", publickeys.multibase(b"\xec\x01" + bytes(32)), publickeys.multibase(b"\x85\x24junk")]
)
def test_rubbish_is_no_multikey(text: str) -> None:
    with pytest.raises(BadKey):
        publickeys.from_multibase(text)


def test_pem_is_read_in_both_forms_and_written_in_one() -> None:
    written = publickeys.to_pem(PAIR.rsa_public)
    assert written.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert written.endswith("-----END PUBLIC KEY-----\n")
    assert publickeys.from_pem(written) == ("rsa", PAIR.rsa_public)
    assert publickeys.from_pem(written.replace("\n", "\r\n")) == ("rsa", PAIR.rsa_public)
    key = publickeys.load("rsa", PAIR.rsa_public)
    pkcs1 = key.public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    assert "RSA PUBLIC KEY" in pkcs1
    assert publickeys.from_pem(pkcs1) == ("rsa", PAIR.rsa_public)
    assert publickeys.from_pem(
        ed25519.Ed25519PublicKey.from_public_bytes(PAIR.ed25519_public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    ) == (
        "ed25519",
        PAIR.ed25519_public,
    )
    assert publickeys.from_multibase(publickeys.multibase(publickeys.RSA_PREFIX + key.public_bytes(Encoding.DER, PublicFormat.PKCS1))) == (
        "rsa",
        PAIR.rsa_public,
    )


def weak(bits: int, exponent: int = 65537) -> bytes:
    return spki(rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) | 1).public_key())


@pytest.mark.parametrize("der", [weak(1024), weak(2047), weak(8193), weak(16384), weak(2048, 3), b"", b"\x30", bytes(300)])
def test_weak_huge_and_odd_rsa_keys_are_refused(der: bytes) -> None:
    with pytest.raises(BadKey):
        publickeys.load("rsa", der)
    with pytest.raises(BadKey):
        publickeys.from_pem(pem(der))


def test_keys_of_other_kinds_and_two_at_once_are_refused() -> None:
    curve = spki(ec.generate_private_key(ec.SECP256R1()).public_key())
    private = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    good = pem(PAIR.rsa_public)
    for bad in (
        pem(curve),
        private,
        good + good,
        good + private,
        "x" * 100_000,
        good.replace("PUBLIC", "PUBLISH"),
        "пем",
        f"-----BEGIN PUBLIC KEY-----\n{'A' * 5000}",
    ):
        with pytest.raises(BadKey):
            publickeys.from_pem(bad)
    with pytest.raises(BadKey):
        publickeys.load("ed25519", bytes(31))


async def test_fresh_keys_sign_and_verify(home: House) -> None:
    # Given somebody who lives here
    alice = await home.person("alice")
    for algorithm, name in (("rsa", "main-key"), ("ed25519", "ed25519-key")):
        # When the private key signs
        private = await home.instance.keys.private(home.instance, alice.id, algorithm)
        assert private.uri == f"{alice.uri}#{name}"
        signature = private.sign(b"words")
        # Then the public key, found by its id, says so and nothing else
        public = await home.instance.keys.public(home.instance, private.uri)
        assert public is not None
        assert (public.actor_id, public.actor_uri, public.host, public.algorithm) == (alice.id, alice.uri, "ours.example", algorithm)
        assert public.verify(signature, b"words")
        assert not public.verify(signature, b"other words")
        assert not public.verify(signature[:-1], b"words")
        assert not public.verify(b"", b"words")
        assert await home.instance.keys.private(home.instance, alice.id, algorithm) is private, "cached"
    assert await home.instance.keys.public(home.instance, "https://nobody.example/key") is None


async def test_a_locked_vault_signs_nothing_even_from_memory(home: House) -> None:
    alice = await home.person("alice")
    await home.instance.keys.private(home.instance, alice.id)
    home.instance.vault.lock()
    with pytest.raises(Locked):
        await home.instance.keys.private(home.instance, alice.id)


async def test_strangers_have_no_private_key_here(home: House) -> None:
    bob = await home.stranger("bob")
    with pytest.raises(NoKey):
        await home.instance.keys.private(home.instance, bob.id)


async def test_private_keys_are_not_in_any_file(home: House, tmp_path: Path) -> None:
    # Given keys we saw before they were sealed
    new = await keys.make()
    local_actor = await home.instance.database.write(local._create, home.instance, "alice", "Person", False, None, new)
    assert (await home.instance.keys.private(home.instance, local_actor.id)).sign(b"x")
    rsa_private = serialization.load_der_private_key(new.rsa_private, None)
    seed = serialization.load_der_private_key(new.ed25519_private, None)
    assert isinstance(rsa_private, rsa.RSAPrivateKey)
    assert isinstance(seed, ed25519.Ed25519PrivateKey)
    numbers = rsa_private.private_numbers()
    canaries = [number.to_bytes(256, "big").lstrip(b"\0") for number in (numbers.d, numbers.p, numbers.q)] + [seed.private_bytes_raw()]
    # When every stored byte is searched, in rows and in files
    stored = [bytes(row["private_key"]) for row in await home.read(everything)]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(stored) == 2
    # Then no piece of a secret is there
    for secret in canaries:
        for at in range(0, len(secret) - 15, 8):
            assert all(secret[at : at + 16] not in haystack for haystack in (*stored, *files))
    assert "rsa_private" not in repr(new)
    assert str(numbers.d) not in repr(await home.instance.keys.private(home.instance, local_actor.id))


async def everything(tx: Transaction) -> list[keys.Row]:
    return list(await tx.all("select private_key from actor_key where private_key is not null"))


async def test_a_changed_key_is_forgotten_and_a_new_one_is_found(home: House) -> None:
    # Given a stranger whose key is in memory
    bob = await home.stranger("bob")
    uri = f"{bob.uri}#main-key"
    old = await home.instance.keys.public(home.instance, uri)
    assert old is not None
    before = (await home.read(generations)).get("keys", 0)
    # When nothing changes, nobody is told to forget
    await home.stranger("bob")
    assert (await home.read(generations)).get("keys", 0) == before
    # When the key changes and the Ed25519 one disappears
    other = await keys.make()
    await home.write(house.store, home.instance, describe("bob", new=other, keys=(Key(Iri(uri), bob.uri, "rsa", other.rsa_public),)))
    assert (await home.read(generations))["keys"] == before + 1
    home.instance.keys.forget()
    # Then the new one verifies, and the missing one is retired
    found = await home.instance.keys.public(home.instance, uri)
    assert found is not None
    assert found.key.public_numbers() == publickeys.load("rsa", other.rsa_public).public_numbers()  # type: ignore[union-attr]  # RSA
    assert await home.instance.keys.public(home.instance, f"{bob.uri}#ed25519-key") is None


async def test_nobody_can_occupy_the_key_id_of_somebody_else(home: House) -> None:
    victim = "https://victim.example/users/v#main-key"
    mallory = Iri("https://theirs.example/users/mallory")
    listed = (
        Key(Iri(victim), mallory, "rsa", PAIR.rsa_public),  # on another origin
        Key(Iri(f"{mallory}#1"), Iri("https://theirs.example/users/bob"), "rsa", PAIR.rsa_public),  # of another owner
        Key(Iri(f"{mallory}#2"), mallory, "rsa", weak(1024)),
        Key(Iri(f"{mallory}#3"), mallory, "rsa", PAIR.rsa_public),
    )
    await home.write(house.store, home.instance, describe("mallory", keys=listed))
    found = [await home.instance.keys.public(home.instance, uri) for uri in (victim, f"{mallory}#1", f"{mallory}#2", f"{mallory}#3")]
    assert [key is not None for key in found] == [False, False, False, True]
    # Nor one on the same host: the first owner keeps it
    thief = Iri("https://theirs.example/users/thief")
    await home.write(house.store, home.instance, describe("thief", keys=(Key(Iri(f"{mallory}#3"), thief, "rsa", PAIR.rsa_public),)))
    home.instance.keys.forget()
    kept = await home.instance.keys.public(home.instance, f"{mallory}#3")
    assert kept is not None
    assert kept.actor_uri == mallory


async def test_remote_actors_cannot_come_back_or_be_ours(home: House) -> None:
    bob = await home.stranger("bob")
    again = await home.write(house.store, home.instance, describe("bob", name="Bob"))
    assert (again.id, again.name, again.handle, again.host) == (bob.id, "Bob", "bob@theirs.example", "theirs.example")
    await home.write(known.remove, home.instance, again)
    assert (await home.read(known.by_id, bob.id)).name is None
    assert await home.instance.keys.public(home.instance, f"{bob.uri}#main-key") is None
    with pytest.raises(known.NotStored):
        await home.stranger("bob")
    with pytest.raises(known.NotStored):
        await home.stranger("eve", "ours.example")
    with pytest.raises(known.NotStored):
        await home.stranger("eve", "OURS.example.")


async def test_the_ring_stays_bounded(home: House) -> None:
    home.instance.keys = keys.KeyRing(most=3)
    for name in ("a", "b", "c", "d", "e"):
        actor = await home.stranger(name)
        assert await home.instance.keys.public(home.instance, f"{actor.uri}#main-key") is not None
    assert len(home.instance.keys._publics) == 3


async def test_many_who_need_one_key_at_once_read_it_once(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await home.person("alice")
    ring = home.instance.keys = keys.KeyRing()
    reads = 0
    real = home.instance.database.read

    async def count(*body: Any) -> Any:
        nonlocal reads
        reads += 1
        return await real(*body)

    monkeypatch.setattr(home.instance.database, "read", count)
    asked = [asyncio.create_task(ring.private(home.instance, alice.id)) for _ in range(20)]
    await asyncio.sleep(0)
    asked[0].cancel()  # who asked first gives up: the others get it all the same
    found = await asyncio.gather(*asked[1:])
    assert len({id(key) for key in found}) == 1
    assert reads == 1
    # And what was changed meanwhile is read anew
    ring.forget()
    old = asyncio.create_task(ring.private(home.instance, alice.id))
    await asyncio.sleep(0)
    ring.forget()
    new = await ring.private(home.instance, alice.id)
    await old
    assert reads == 3
    assert await ring.private(home.instance, alice.id) is new
    # And nobody's error stays
    for _ in range(2):
        with pytest.raises(NoKey):
            await ring.private(home.instance, alice.id + 1)
    assert reads == 5
