"""Does private text stay private: locked, moved, tampered with, killed in the middle, with a lost key?"""

import os
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import generations, vault
from actors.vault import CannotStart, Locked, Tampered, Vault, WrongSecret
from schemas.config import VaultConfig
from schemas.storage import Database, Transaction
from tests.house import Clock

KEY = bytes(range(32))
PASSPHRASE = "four words are better than one"


@pytest.fixture(autouse=True)
def cheap_argon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real parameters take 0.1 s and 64 MiB each time; one test below uses them."""
    monkeypatch.setattr(vault, "ARGON_KIBIBYTES", 64)
    monkeypatch.setattr(vault, "ARGON_PASSES", 1)


def opened() -> Vault:
    made = Vault(vault._make("file", KEY))
    made.unlock(KEY)
    return made


UNLOCKED = opened()
BESIDE = Vault(UNLOCKED._envelope)
"""The same vault in another process, locked."""


@given(st.binary(max_size=2000), st.text(st.characters(codec="utf-8"), max_size=30))
def test_what_is_sealed_opens_at_its_place_and_only_there(plain: bytes, place: str) -> None:
    for sealer in (UNLOCKED, BESIDE):
        sealed = sealer.seal(plain, place)
        assert UNLOCKED.open(sealed, place) == plain
        with pytest.raises(Tampered):
            UNLOCKED.open(sealed, place + "0")
        with pytest.raises(Locked):
            BESIDE.open(sealed, place)


@given(st.data())
def test_one_changed_bit_anywhere_does_not_open(data: st.DataObject) -> None:
    sealer = data.draw(st.sampled_from([UNLOCKED, BESIDE]))
    sealed = bytearray(sealer.seal(b"come at eight", "arrival:1"))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(Tampered):
        UNLOCKED.open(bytes(sealed), "arrival:1")


@given(st.binary(max_size=100))
def test_rubbish_does_not_open(rubbish: bytes) -> None:
    with pytest.raises(Tampered):
        UNLOCKED.open(rubbish, "arrival:1")
    with pytest.raises(Tampered):
        UNLOCKED.open(vault.BOX + bytes(32) + rubbish, "arrival:1")  # a point of low order


def test_a_shortened_or_foreign_blob_does_not_open() -> None:
    for sealer in (UNLOCKED, BESIDE):
        sealed = sealer.seal(b"x", "post:1")
        for length in range(len(sealed)):
            with pytest.raises(Tampered):
                UNLOCKED.open(sealed[:length], "post:1")
    with pytest.raises(Tampered):
        UNLOCKED.open(opened().seal(b"x", "post:1"), "post:1")


def test_the_same_text_never_looks_the_same() -> None:
    assert len({sealer.seal(b"same", "post:1") for sealer in (UNLOCKED, BESIDE) for _ in range(100)}) == 200
    assert b"canary" not in UNLOCKED.seal(b"canary", "post:1")
    assert b"canary" not in BESIDE.seal(b"canary", "post:1")


def test_the_cost_in_bytes_is_as_said() -> None:
    assert len(UNLOCKED.seal(b"", "post:1")) == 41
    assert len(BESIDE.seal(b"", "post:1")) == 49


def test_a_digest_depends_on_vault_purpose_and_text() -> None:
    digests = {UNLOCKED.digest("follower", "a"), UNLOCKED.digest("follower", "b"), UNLOCKED.digest("followe", "ra"), opened().digest("follower", "a")}
    assert len(digests) == 4
    assert UNLOCKED.digest("follower", "a") == UNLOCKED.digest("follower", "a")
    with pytest.raises(Locked):
        BESIDE.digest("follower", "a")


def test_locking_forgets_and_unlocking_remembers() -> None:
    made = opened()
    sealed = made.seal(b"x", "post:1")
    made.lock()
    assert made.locked
    with pytest.raises(Locked):
        made.open(sealed, "post:1")
    late = made.seal(b"y", "post:2")
    with pytest.raises(WrongSecret):
        made.unlock(bytes(32))
    assert made.locked
    made.unlock(KEY)
    assert (made.open(sealed, "post:1"), made.open(late, "post:2")) == (b"x", b"y")


def test_nothing_secret_is_shown() -> None:
    shown = repr(UNLOCKED) + repr(UNLOCKED._keys) + str(UNLOCKED)
    assert UNLOCKED._keys is not None
    assert repr(bytes(UNLOCKED._keys.wrapped))[2:20] not in shown
    assert repr(UNLOCKED._keys.seal)[2:20] not in shown


def in_file(folder: Path) -> VaultConfig:
    return VaultConfig("file", folder / "vault.key")


async def begin(database: Database, config: VaultConfig, passphrase: str | None = None) -> Vault:
    return await vault.start(database, config, Clock(), passphrase=passphrase)


async def stored(tx: Transaction) -> tuple[str, bytes, bytes, bytes]:
    row = await tx.one("select source, salt, public_key, wrapped from vault")
    assert row is not None
    return row["source"], bytes(row["salt"]), bytes(row["public_key"]), bytes(row["wrapped"])


async def test_the_first_start_makes_a_key_file_for_its_owner_alone(database: Database, tmp_path: Path) -> None:
    # Given nothing, when the instance starts
    first = await begin(database, in_file(tmp_path))
    # Then there is a key file nobody else reads, and nothing left beside it
    assert not first.locked
    assert stat.S_IMODE((tmp_path / "vault.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "vault" in path.name] == ["vault.key"]
    # And the next start opens what the first sealed
    sealed = first.seal(b"x", "post:1")
    assert (await begin(database, in_file(tmp_path))).open(sealed, "post:1") == b"x"


async def test_no_key_lies_in_the_database(database: Database, tmp_path: Path) -> None:
    made = await begin(database, in_file(tmp_path))
    sealed = made.seal(b"meet me at the old station, canary 4711", "post:1")
    assert made._keys is not None
    key = bytes.fromhex((tmp_path / "vault.key").read_text().split("\n")[1])
    row = b"".join(part if isinstance(part, bytes) else part.encode() for part in await database.read(stored))
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "vault.key")
    for secret in (key, bytes(made._keys.wrapped[:32]), bytes(made._keys.wrapped[32:]), made._keys.seal, made._keys.digest, b"canary 4711"):
        assert secret not in row + files + sealed


async def test_a_lost_key_file_stops_the_start_and_says_what_to_do(database: Database, tmp_path: Path) -> None:
    await begin(database, in_file(tmp_path))
    (tmp_path / "vault.key").unlink()
    with pytest.raises(CannotStart, match="put back the copy"):
        await begin(database, in_file(tmp_path))
    assert not (tmp_path / "vault.key").exists(), "and no new one is made over it"


async def test_a_half_written_key_file_stops_the_start(database: Database, tmp_path: Path) -> None:
    await begin(database, in_file(tmp_path))
    path = tmp_path / "vault.key"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CannotStart, match="put back the copy"):
            await begin(database, in_file(tmp_path))
    path.write_bytes(whole)
    await begin(database, in_file(tmp_path))


async def test_a_damaged_key_file_before_the_first_seal_may_be_deleted(database: Database, tmp_path: Path) -> None:
    (tmp_path / "vault.key").write_bytes(b"rubbish")
    (tmp_path / "vault.key").chmod(0o600)
    with pytest.raises(CannotStart, match="delete it"):
        await begin(database, in_file(tmp_path))


async def test_a_start_killed_between_key_file_and_row_goes_on(database: Database, tmp_path: Path) -> None:
    vault._write_key_file(tmp_path / "vault.key", [KEY], fresh=True)
    assert not (await begin(database, in_file(tmp_path))).locked


async def test_the_key_of_another_instance_does_not_start(database: Database, tmp_path: Path) -> None:
    await begin(database, in_file(tmp_path))
    vault._write_key_file(tmp_path / "vault.key", [KEY])
    with pytest.raises(CannotStart, match="does not open"):
        await begin(database, in_file(tmp_path))


async def test_a_key_file_others_can_read_stops_the_start(database: Database, tmp_path: Path) -> None:
    await begin(database, in_file(tmp_path))
    for mode in (0o640, 0o604, 0o660, 0o644):
        (tmp_path / "vault.key").chmod(mode)
        with pytest.raises(CannotStart, match="chmod 600"):
            await begin(database, in_file(tmp_path))


async def test_a_key_file_that_is_a_folder_or_cannot_be_made_says_so(database: Database, tmp_path: Path) -> None:
    (tmp_path / "vault.key").mkdir()
    with pytest.raises(CannotStart):
        await begin(database, in_file(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="cannot be"):
        await begin(database, VaultConfig("file", tmp_path / "file" / "vault.key"))
    with pytest.raises(CannotStart, match="needs a file"):
        await begin(database, VaultConfig("file", None))


async def test_two_processes_at_their_first_start_agree(database: Database, tmp_path: Path) -> None:
    # Given both saw no key file and no row
    one = vault._make("file", KEY)
    await database.write(vault._create, one, 1)
    kept = await database.write(vault._create, vault._make("file", KEY), 1)
    # Then the second takes the first one's row
    assert kept == one
    vault._write_key_file(tmp_path / "vault.key", [KEY], fresh=True)
    vault._write_key_file(tmp_path / "vault.key", [bytes(32)], fresh=True)
    assert vault._read_key_file(tmp_path / "vault.key") == [KEY]


async def test_a_passphrase_opens_and_without_it_the_vault_only_seals(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "ARGON_KIBIBYTES", 65536)
    monkeypatch.setattr(vault, "ARGON_PASSES", 3)
    config = VaultConfig("passphrase")
    with pytest.raises(CannotStart, match="first start"):
        await begin(database, config)
    with pytest.raises(CannotStart, match="empty"):
        await begin(database, config, "")
    first = await begin(database, config, PASSPHRASE)
    assert not first.locked
    # After a reboot nobody is there to type
    reboot = await begin(database, config)
    assert reboot.locked
    sealed = [reboot.seal(b"%d" % number, f"arrival:{number}") for number in range(20)]
    with pytest.raises(WrongSecret):
        await begin(database, config, "another")
    with pytest.raises(WrongSecret):
        reboot.unlock(b"another")
    reboot.unlock(PASSPHRASE.encode())
    assert [reboot.open(blob, f"arrival:{number}") for number, blob in enumerate(sealed)] == [b"%d" % number for number in range(20)]
    assert first.open(sealed[3], "arrival:3") == b"3"


async def test_one_passphrase_from_two_keyboards_is_one(database: Database) -> None:
    config = VaultConfig("passphrase")
    await begin(database, config, "Zu\u0308rich")  # the dots typed after the letter
    assert not (await begin(database, config, "Z\u00fcrich")).locked


async def test_a_credential_comes_from_systemd(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = VaultConfig("credential")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(CannotStart, match="CREDENTIALS_DIRECTORY"):
        await begin(database, config)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(CannotStart, match="LoadCredential"):
        await begin(database, config)
    (tmp_path / "fedmatch-vault").write_bytes(b"short")
    with pytest.raises(CannotStart, match="32 bytes"):
        await begin(database, config)
    (tmp_path / "fedmatch-vault").write_bytes(KEY)
    sealed = (await begin(database, config)).seal(b"x", "post:1")
    assert (await begin(database, config)).open(sealed, "post:1") == b"x"
    (tmp_path / "fedmatch-vault").write_bytes(bytes(32))
    with pytest.raises(CannotStart, match="does not open"):
        await begin(database, config)


async def test_another_source_than_the_keys_have_stops_the_start(database: Database, tmp_path: Path) -> None:
    await begin(database, in_file(tmp_path))
    with pytest.raises(CannotStart, match='set `source = "file"` again'):
        await begin(database, VaultConfig("passphrase"), PASSPHRASE)


async def test_a_new_wrapping_opens_what_was_sealed_before(database: Database, tmp_path: Path) -> None:
    made = await begin(database, in_file(tmp_path))
    sealed = made.seal(b"x", "post:1")
    before = await database.read(generations.read)
    # File to a fresh file key
    old = (tmp_path / "vault.key").read_bytes()
    await vault.rewrap(database, made, in_file(tmp_path))
    assert (tmp_path / "vault.key").read_bytes() != old
    assert len(vault._read_key_file(tmp_path / "vault.key")) == 1
    assert (await begin(database, in_file(tmp_path))).open(sealed, "post:1") == b"x"
    # File to passphrase, passphrase to another
    config = VaultConfig("passphrase")
    running = await begin(database, in_file(tmp_path))
    await vault.rewrap(database, made, config, passphrase="first")
    await vault.rewrap(database, made, config, passphrase="second")
    with pytest.raises(WrongSecret):
        await begin(database, config, "first")
    assert (await begin(database, config, "second")).open(sealed, "post:1") == b"x"
    # A running process unlocks with the new one after the signal
    assert (await database.read(generations.read))["vault"] == before.get("vault", 0) + 3
    await running.refresh(database)
    running.lock()
    running.unlock(b"second")
    assert running.open(sealed, "post:1") == b"x"
    locked = await begin(database, config)
    with pytest.raises(Locked):
        await vault.rewrap(database, locked, config, passphrase="third")


async def test_a_rotation_killed_at_any_step_still_starts(database: Database, tmp_path: Path) -> None:
    made = await begin(database, in_file(tmp_path))
    sealed = made.seal(b"x", "post:1")
    # Killed after the file has both keys, before the row is written
    secret = vault._add_key(tmp_path / "vault.key")
    assert (await begin(database, in_file(tmp_path))).open(sealed, "post:1") == b"x"
    # Killed after the row, before the file is tidy
    await database.write(vault._rewrap, made._wrap("file", secret))
    assert (await begin(database, in_file(tmp_path))).open(sealed, "post:1") == b"x"
    # The next rotation tidies up
    await vault.rewrap(database, made, in_file(tmp_path))
    assert len(vault._read_key_file(tmp_path / "vault.key")) == 1
    assert (await begin(database, in_file(tmp_path))).open(sealed, "post:1") == b"x"


async def test_moving_the_wrapped_keys_to_another_source_or_public_key_is_noticed(database: Database, tmp_path: Path) -> None:
    made = await begin(database, in_file(tmp_path))
    key = vault._read_key_file(tmp_path / "vault.key")[0]
    other = vault._make("file", KEY)
    for forged in (replace(made._envelope, public_key=other.public_key), replace(made._envelope, source="credential"), replace(made._envelope, salt=bytes(32))):
        with pytest.raises(WrongSecret):
            Vault(forged).unlock(key)


def test_a_key_file_survives_kill_9_while_it_is_written(tmp_path: Path) -> None:
    # Given a process that rewrites its key file again and again
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from actors import vault
        path = Path(sys.argv[1])
        print("go", flush=True)
        for number in range(100_000):
            vault._write_key_file(path, [number.to_bytes(32, "big")])
        """
    )
    path = tmp_path / "vault.key"
    vault._write_key_file(path, [KEY])
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, cwd=os.getcwd())
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        # When it is killed somewhere in the middle
        process.stdout.close()
        process.kill()
        process.wait()
        # Then the file is whole
        assert len(vault._read_key_file(path)) == 1
