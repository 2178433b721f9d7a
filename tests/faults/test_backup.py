"""Does what was copied come back, and only that? Rows F27 to F30: taken while others write, killed, cut, forged, brought elsewhere."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from actors import local, onetime, vault
from actors.instance import Instance
from fedmatch import app
from fedmatch.backup import before, expiry, ledger, restore, sealed, take
from fedmatch.backup.restore import CannotRestore, Forgetful, Occupied
from fedmatch.board import deletion, publish
from fedmatch.cli.backup import _settle_in
from fedmatch.database import migrate
from fedmatch.database.open import open_database
from fedmatch.ids import SystemClock
from schemas.config import Config
from schemas.config_file import load
from schemas.storage import Transaction, Unavailable
from tests import postgres
from tests.houses import open_house
from tests.nursery import Nursery
from tests.world import grep, write_config

CANARY = "Kanarienvogel in der Kopie 4711"


async def mark(tx: Transaction, name: str) -> None:
    await tx.execute("insert into setting (name, value) values (:name, 'x')", name=f"mark {name}")


async def marks(tx: Transaction) -> set[str]:
    return {row["name"].removeprefix("mark ") for row in await tx.all("select name from setting where name like 'mark %'")}


async def bring(path: Path, config: Config, *, passphrase: str | None = None, where: Path | None = None, **how: bool) -> restore.Restored:
    """As `fedmatch restore` does it."""
    found = restore.open_backup(path, config, passphrase, await restore.living(config))
    return await restore.restore(found, config, SystemClock().ms(), where=where, **how)


def whole(config: Config) -> None:
    """A database file that holds together."""
    with closing(sqlite3.connect(config.folder / "fedmatch.db")) as file:
        assert file.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert file.execute("pragma foreign_key_check").fetchall() == []


def moved(config: Config, folder: Path, *, key: bool = True, database: str = "sqlite") -> Config:
    """Another machine: the instance's file is there, and its key or not."""
    there = write_config(folder, database=database)
    there = replace(there, host=config.host, base_url=config.base_url)
    if key:
        there.folder.mkdir(parents=True)
        shutil.copy(config.folder / "vault.key", there.folder / "vault.key")
    return there


@pytest.mark.parametrize(("taken_on", "restored_on"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
async def test_f28_it_holds_what_was_acknowledged_before_it_began(
    tmp_path: Path, taken_on: str, restored_on: str, request: pytest.FixtureRequest
) -> None:
    # Given an instance that writes all the time
    urls = {}
    for use, engine in (("taken", taken_on), ("restored", restored_on)):
        template = request.getfixturevalue("postgresql_url") if engine == "postgresql" else ""
        urls[use] = await postgres.clean_database(template, empty=use == "restored") if template else "sqlite"
    instance = await open_house(tmp_path / "here", urls["taken"])
    ada = await local.create(instance, "ada")
    post = await publish.post(instance, ada, f"{CANARY} for nobody yet", "followers")
    boost_like = await publish.post(instance, ada, "above")
    below = await publish.post(instance, ada, "below", reply_to=boost_like.uri)
    acknowledged: list[str] = []
    stop = asyncio.Event()

    async def write(who: int) -> None:
        number = 0
        while not stop.is_set():
            await instance.database.write(mark, f"{who}-{number}")
            acknowledged.append(f"{who}-{number}")
            number += 1

    writers = [asyncio.create_task(write(who)) for who in range(4)]
    await asyncio.sleep(0.2)
    # When a backup is taken meanwhile
    sure = set(acknowledged)
    taken = await take.take(instance, tmp_path / "copy.fedmatch")
    after = len(acknowledged)
    stop.set()
    await asyncio.gather(*writers)
    assert after > len(sure), "nobody waited for it"
    assert taken.size == (tmp_path / "copy.fedmatch").stat().st_size
    await app.close(instance)
    # Then, restored on another machine, it is whole, and holds everything acknowledged before it began
    config = moved(instance.config, tmp_path / "there", database=urls["restored"])
    done = await bring(taken.path, config, where=ledger.path_of(instance.config))
    assert done.rows == taken.rows
    if restored_on == "sqlite":
        whole(config)
    back = await app.build(config)
    assert sure <= await back.database.read(marks) <= set(acknowledged)
    reply = await back.database.read(lambda tx: tx.one("select in_reply_to_id from post where id = :id", id=below.id))
    assert reply["in_reply_to_id"] == boost_like.id
    sealed_post = await back.database.read(lambda tx: tx.one("select sealed from post where id = :id", id=post.id))
    assert CANARY.encode() in back.vault.open(bytes(sealed_post["sealed"]), f"post:{post.id}")
    await app.close(back)
    for url in urls.values():
        if url != "sqlite":
            await postgres.drop(url)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Instance, Path]:
    """A closed instance with a person who wrote something, and a folder with a backup of it."""
    return asyncio.run(_original(tmp_path_factory.mktemp("original")))


async def _original(folder: Path) -> tuple[Instance, Path]:
    instance = await open_house(folder / "here")
    ada = await local.create(instance, "ada")
    await publish.post(instance, ada, f"{CANARY} for all")
    await publish.post(instance, ada, f"{CANARY} for nobody", "followers")
    # Enough for several chunks
    noise = [{"name": f"noise {number}", "value": hashlib.sha512(b"%d" % number).hexdigest()} for number in range(2500)]
    await instance.database.write(lambda tx: tx.many("insert into setting (name, value) values (:name, :value)", noise))
    taken = await take.take(instance, folder / "copies" / "one.fedmatch")
    await app.close(instance)
    return instance, taken.path


@pytest.fixture
def copy(original: tuple[Instance, Path], tmp_path: Path) -> tuple[Instance, Path]:
    """The same, for one test alone."""
    instance, path = original
    shutil.copytree(path.parent.parent, tmp_path, dirs_exist_ok=True)
    return replace(instance, config=load(tmp_path / "here" / "instance.toml")), tmp_path / "copies" / path.name


def spoiled(data: bytes) -> dict[str, bytes]:
    """One backup, spoiled in every way."""
    head = len(sealed.MAGIC) + 4 + int.from_bytes(data[len(sealed.MAGIC) : len(sealed.MAGIC) + 4], "big")
    size = sealed.CHUNK + sealed.TAG
    chunks = [data[at : at + size] for at in range(head, len(data), size)]
    assert len(chunks) > 3
    places = (3, head - 1, head - 90, head + 5, head + size + 9, len(data) - 1)
    flipped = {f"flipped at {at}": data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in places}
    return flipped | {
        "cut in a chunk": data[:-100],
        "cut after a chunk": data[:-size],
        "cut after the header": data[:head],
        "cut in the header": data[: head - 3],
        "empty": b"",
        "reordered": data[:head] + chunks[1] + chunks[0] + b"".join(chunks[2:]),
        "a chunk twice": data[:head] + chunks[0] + b"".join(chunks),
        "a chunk less": data[:head] + chunks[0] + b"".join(chunks[2:]),
        "longer": data + chunks[-1],
        "rubbish": b"hello " * 1000,
    }


async def test_what_is_cut_reordered_or_changed_is_refused_before_anything_is_replaced(copy: tuple[Instance, Path], tmp_path: Path) -> None:
    instance, path = copy
    config = instance.config
    as_it_was = (config.folder / "fedmatch.db").read_bytes()
    wrong = tmp_path / "wrong.fedmatch"
    for how, data in spoiled(path.read_bytes()).items():
        wrong.write_bytes(data)
        with pytest.raises(CannotRestore, match=r"backup|opens with"):
            await bring(wrong, config, replace=True)
        assert (config.folder / "fedmatch.db").read_bytes() == as_it_was, how
    assert {file.name for file in config.folder.iterdir()} - {"fedmatch.db-wal", "fedmatch.db-shm"} == {"fedmatch.db", "ledger", "vault.key"}


async def test_what_somebody_made_who_knows_only_the_public_key_is_refused(copy: tuple[Instance, Path], tmp_path: Path) -> None:
    """A box to the public key opens, so it must not be enough."""
    instance, path = copy
    with path.open("rb") as file:
        head = sealed.header(file)
    with (tmp_path / "forged.fedmatch").open("wb") as file:
        writer = sealed.Writer(file, head.envelope, sealed.secret(vault.Vault(head.envelope)), kind="asked")
        writer.frame({"host": instance.config.host, "base_url": instance.config.base_url, "at": 0, "migrations": [], "ledger": [b"", 0]})
        writer.frame(["end", {}])
        writer.finish()
    with pytest.raises(CannotRestore, match="nothing proves"):
        await bring(tmp_path / "forged.fedmatch", instance.config, replace=True)


async def test_no_word_and_no_key_is_in_a_backup_or_a_ledger(copy: tuple[Instance, Path]) -> None:
    instance, path = copy
    assert grep(path.parent, CANARY) == []
    assert grep(path.parent, "ada") == []
    assert CANARY not in ledger.path_of(instance.config).read_text("latin-1")
    key = bytes.fromhex((instance.config.folder / "vault.key").read_text().split()[-1])
    for file in (path, ledger.path_of(instance.config)):
        assert key not in file.read_bytes()
        assert key.hex().encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


async def test_f30_without_the_key_or_with_a_wrong_one_it_says_what_to_do(copy: tuple[Instance, Path], tmp_path: Path) -> None:
    instance, path = copy
    # On another machine without the key
    config = moved(instance.config, tmp_path / "bare", key=False)
    with pytest.raises(CannotRestore, match=r"never in a backup.*vault\.key is missing"):
        await bring(path, config)
    assert not config.folder.exists()
    # With another key
    other = await open_house(tmp_path / "other")
    await app.close(other)
    config = replace(other.config, host=instance.config.host, base_url=instance.config.base_url)
    with pytest.raises(CannotRestore, match=r"does not open it: put the key file there that this instance had.*nobody can read"):
        await bring(path, config, replace=True)
    # With another way to the key
    with pytest.raises(CannotRestore, match=r'opens with the source "file".*set `source = "file"`'):
        await bring(path, replace(instance.config, vault=replace(instance.config.vault, source="passphrase")))
    # Under another name
    with pytest.raises(CannotRestore, match="set `host` and `base_url` to those of the backup"):
        await bring(path, replace(instance.config, host="elsewhere.test"), replace=True)
    # While the clock is wrong
    found = restore.open_backup(path, instance.config)
    with pytest.raises(CannotRestore, match="set the clock first"):
        await restore.restore(found, instance.config, found.at - 1, replace=True)
    # Over what is there
    with pytest.raises(Occupied, match="--replace"):
        await bring(path, instance.config)
    # And with the key, on a bare machine, it is the instance it was; without its ledger only if that is accepted
    config = moved(instance.config, tmp_path / "there")
    with pytest.raises(Forgetful, match=r"ledger is not there\. Without the ledger.*--ledger.*--without-ledger"):
        await bring(path, config)
    await bring(path, config, without_ledger=True)
    whole(config)


async def test_a_passphrase_opens_it_and_todays_opens_one_of_yesterday(tmp_path: Path) -> None:
    config = write_config(tmp_path / "here", source='"passphrase"')
    instance = await app.build(config, passphrase="correct horse battery")
    old = (await take.take(instance, tmp_path / "old.fedmatch")).path
    await vault.rewrap(instance.database, instance.vault, config.vault, passphrase="another staple altogether")
    await app.close(instance)
    with pytest.raises(vault.Locked):
        await bring(old, config, replace=True)
    with pytest.raises(CannotRestore, match="type the one this instance had when the backup was taken"):
        await bring(old, config, passphrase="neither of the two", replace=True)
    # Beside the living vault, today's opens it, and stays the one
    await bring(old, config, passphrase="another staple altogether", replace=True)
    back = await app.build(config, passphrase="another staple altogether")
    assert not back.vault.locked
    await app.close(back)
    # Elsewhere it is the one of its time
    there = replace(write_config(tmp_path / "there", source='"passphrase"'), host=config.host, base_url=config.base_url)
    await bring(old, there, passphrase="correct horse battery", without_ledger=True)
    # A locked instance cannot prove who made a copy
    locked = await app.build(config)
    with pytest.raises(vault.Locked):
        await take.take(locked, tmp_path / "locked.fedmatch")
    await app.close(locked)


@pytest.fixture(scope="module")
def nursery():
    with Nursery("tests.programs") as made:
        yield made


POINTS = ("backup:chunk", "backup:chunk#2", "backup:written", "backup:synced")
SWAPS = ("restore:filled", "restore:made", "restore:aside", "restore:placed")


async def test_f28_f29_killed_anywhere_the_instance_starts_as_it_was_or_as_it_is_to_be(nursery: Nursery, copy: tuple[Instance, Path], tmp_path: Path) -> None:
    instance, path = copy
    config = instance.config

    async def here() -> set[str]:
        opened = await app.build(config)
        found = await opened.database.read(marks)
        await app.close(opened)
        whole(config)
        return found

    opened = await app.build(config)
    await opened.database.write(mark, "since")
    await app.close(opened)
    # Killed while one is taken: nothing of that name is there, and the next one is taken
    for number, point in enumerate(POINTS):
        half = tmp_path / f"half-{number}.fedmatch"
        assert nursery.wait(nursery.start("tests.programs:back_up", config.path, half, crashpoint=point)) == -9, point
        assert not half.exists(), point
    assert await here() == {"since"}
    whole_one = tmp_path / "half-1.fedmatch"
    assert nursery.wait(nursery.start("tests.programs:back_up", config.path, whole_one)) == 0
    assert restore.open_backup(whole_one, config).rows > 2500
    # Killed while one is brought back: the old one, or the new one
    for point in SWAPS:
        assert nursery.wait(nursery.start("tests.programs:bring_back", config.path, path, crashpoint=point)) == -9, point
        assert await here() == (set() if point == "restore:placed" else {"since"}), point
    assert nursery.wait(nursery.start("tests.programs:bring_back", config.path, path)) == 0
    assert await here() == set()
    left = [file.name for file in config.folder.iterdir() if file.name.startswith(".")]
    assert left == [], "nothing half made is left"


async def test_killed_while_it_is_noted_what_ended_is_noted_all_the_same(nursery: Nursery, copy: tuple[Instance, Path]) -> None:
    instance, _ = copy
    config = instance.config
    opened = await app.build(config)
    was = ledger.place(ledger.path_of(config)).entries
    await opened.database.write(lambda tx: tx.execute("delete from post"))
    opened.vault.lock()  # so that closing it notes nothing
    await app.close(opened)
    for point in ("ledger:write", "ledger:written", "ledger:noted"):
        assert nursery.wait(nursery.start("tests.programs:back_up", config.path, "/nowhere", crashpoint=point)) == -9, point
    opened = await app.build(config)
    await app.close(opened)
    entries = ledger.entries(ledger.path_of(config), instance_vault(config, opened), None)[was:]
    assert len({entry.mark for entry in entries if entry.noun == "post"}) == 2
    with closing(sqlite3.connect(config.folder / "fedmatch.db")) as file:
        assert file.execute("select count(*) from ended").fetchone() == (0,)


def instance_vault(config: Config, opened: Instance) -> vault.Vault:
    """The vault of a closed instance, open."""
    opened.vault.unlock(vault.secrets_for(config.vault, passphrase=None)[0])
    return opened.vault


async def test_a_ledger_that_was_cut_changed_or_exchanged_is_refused(copy: tuple[Instance, Path], tmp_path: Path) -> None:
    instance, path = copy
    config, book = instance.config, ledger.path_of(instance.config)
    opened = await app.build(config)
    await opened.database.write(lambda tx: tx.execute("delete from post"))
    await app.close(opened)
    data = book.read_bytes()
    for why, wrong in {
        "shorter than it was": data[: ledger.BEGIN],
        "was changed: entry": data[:-1] + bytes([data[-1] ^ 1]),
        "was changed": data[: -2 * ledger.ENTRY] + data[-ledger.ENTRY :] + data[-2 * ledger.ENTRY : -ledger.ENTRY],
        "not the ledger that was kept": ledger.MAGIC + os.urandom(16) + data[ledger.BEGIN :],
        "is not a ledger": b"hello",
    }.items():
        (tmp_path / "ledger").write_bytes(wrong)
        with pytest.raises(Forgetful, match=why):
            await bring(path, config, where=tmp_path / "ledger", replace=True)
    # A last entry that was torn is none
    (tmp_path / "ledger").write_bytes(data + data[-30:])
    done = await bring(path, config, where=tmp_path / "ledger", replace=True)
    assert done.ended["post"] == 2
    assert book.with_name("ledger.before-restore").read_bytes() == data


async def test_names_and_ids_of_the_lost_time_are_not_given_again(copy: tuple[Instance, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    instance, path = copy
    config = instance.config
    opened = await app.build(config)
    await local.create(opened, "bea")
    new = await onetime.new_keys()
    hidden = await opened.database.write(onetime.create, opened, new)
    ada = await opened.database.read(lambda tx: local.known.by_name(tx, "ada"))
    lost = await publish.post(opened, ada, "in the lost time")
    await app.close(opened)
    await bring(path, config, replace=True)
    await _settle_in(config, None)
    back = await app.build(config)
    assert back.restored
    with pytest.raises(local.NameTaken):
        await local.create(back, "bea")
    drawn = iter([hidden.username, "fresh_name_1234"])
    monkeypatch.setattr(onetime, "_name", lambda: next(drawn))
    assert (await back.database.write(onetime.create, back, new)).username == "fresh_name_1234"
    monkeypatch.setattr(back.ids, "new", lambda at_ms=None: lost.id)
    with pytest.raises(Exception, match="given before the restore"):
        await publish.post(back, ada, "the same id")
    monkeypatch.undo()
    assert (await publish.post(back, ada, "another id")).id > lost.id
    actions = await back.database.read(lambda tx: tx.all("select action from audit"))
    assert [row["action"] for row in actions] == ["backup.restore"]
    await app.close(back)


async def test_f27_a_migration_of_a_database_in_use_is_preceded_by_a_copy_that_ends_after_a_week(tmp_path: Path) -> None:
    # Given an instance of the version before
    config = write_config(tmp_path / "here")
    known = migrate.migrations()
    config.folder.mkdir()
    database = await open_database(config)
    await migrate.migrate(database, known[:-1])
    await vault.start(database, config.vault, SystemClock(), passphrase=None)
    await database.write(mark, "before")
    await database.close()
    # When this one starts, twice
    for _ in range(2):
        opened = await app.build(config)
        await app.close(opened)
    # Then there is one copy, with its key beside it
    (path,) = take.folder(config).glob("before-*.fedmatch")
    key = sealed.key_beside(path)
    assert key.stat().st_mode & 0o077 == 0
    opened = await app.build(config)
    await opened.database.write(mark, "after")
    await app.close(opened)
    # It brings back what was
    done = await bring(path, config, replace=True)
    assert Path(done.aside or "").is_dir()
    opened = await app.build(config)
    assert await opened.database.read(marks) == {"before"}
    # Nobody else's key opens it
    right = key.read_bytes()
    key.write_bytes(bytes(32))
    with pytest.raises(CannotRestore, match="the key beside it is not its own"):
        await bring(path, config, replace=True)
    key.write_bytes(right)
    # After a week key, copy and the database that was set aside are gone
    assert await expiry.expire(config, SystemClock().ms() + expiry.KEPT_MS - 60_000) == 0
    shutil.copy(path, tmp_path / path.name)
    assert await expiry.expire(config, SystemClock().ms() + expiry.KEPT_MS + 60_000) == 2
    assert list(take.folder(config).iterdir()) == []
    assert not Path(done.aside or "").exists()
    # and whoever copied the file alone has nothing
    await app.close(opened)
    with pytest.raises(CannotRestore, match="destroyed after a week"):
        await bring(tmp_path / path.name, config, replace=True)


async def test_f10_a_damaged_database_is_set_aside_by_a_restore(copy: tuple[Instance, Path]) -> None:
    instance, path = copy
    config = instance.config
    file = config.folder / "fedmatch.db"
    damaged = b"x" * 5000 + file.read_bytes()[5000:]
    file.write_bytes(damaged)
    (config.folder / "fedmatch.db-wal").write_bytes(b"rubbish" * 10)
    with pytest.raises(app.CannotStart, match="fedmatch restore PATH --replace"):
        await app.build(config)
    done = await bring(path, config, replace=True)
    aside = Path(done.aside or "")
    assert (aside / "fedmatch.db").read_bytes() == damaged
    assert (aside / "fedmatch.db-wal").read_bytes() == b"rubbish" * 10
    opened = await app.build(config)
    await app.close(opened)
    whole(config)


async def test_without_room_for_the_copy_nothing_is_migrated(tmp_path: Path) -> None:
    config = write_config(tmp_path / "here")
    config.folder.mkdir()
    database = await open_database(config)
    await migrate.migrate(database, migrate.migrations()[:-1])
    await vault.start(database, config.vault, SystemClock(), passphrase=None)
    (config.folder / take.FOLDER).write_text("in the way")
    with pytest.raises(before.CannotTake, match="nothing was upgraded"):
        await before.take(config, database, migrate.migrations()[-1])
    await database.close()
    with pytest.raises(app.CannotStart, match="nothing was upgraded"):
        await app.build(config)


async def test_a_backup_of_a_newer_program_names_the_cure(copy: tuple[Instance, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    instance, path = copy
    older = migrate.migrations()[:-1]
    monkeypatch.setattr(migrate, "migrations", lambda: older)
    with pytest.raises(CannotRestore, match=r"newer fedmatch .it has .*; install that version"):
        restore.open_backup(path, instance.config)


async def test_f29_on_postgresql_the_old_schema_is_set_aside_in_one_transaction(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an instance on PostgreSQL, and a backup of it, after which somebody and something ended
    url = await postgres.clean_database(postgresql_url)
    instance = await open_house(tmp_path / "here", url)
    config = instance.config
    ada, bea = await local.create(instance, "ada"), await local.create(instance, "bea")
    post = await publish.post(instance, ada, f"{CANARY} for all")
    await publish.post(instance, ada, "stays")
    copy = (await take.take(instance, tmp_path / "one.fedmatch")).path
    await publish.delete(instance, ada, post.uri)
    await deletion.delete_person(instance, bea)
    await instance.database.write(mark, "since")
    # While it is open nothing is restored; nor over what is there, unless that is meant; nor half
    with pytest.raises(CannotRestore, match="connected to this database"):
        await bring(copy, config, replace=True)
    await app.close(instance)
    with pytest.raises(Occupied, match="--replace"):
        await bring(copy, config)

    async def broken(*_: object) -> dict[str, int]:
        raise Unavailable("the server went away")

    with monkeypatch.context() as patched:
        patched.setattr("fedmatch.backup.postgresql.forget", broken)
        with pytest.raises(CannotRestore, match="nothing was changed"):
            await bring(copy, config, replace=True)
    instance = await app.build(config)
    assert await instance.database.read(marks) == {"since"}
    await app.close(instance)
    # Then it is as it was, without what ended, and the other one lies aside for a week
    done = await bring(copy, config, replace=True)
    assert (done.ended["post"], done.ended["actor"]) == (1, 1)
    back = await app.build(config)
    assert back.restored
    assert await back.database.read(marks) == set()
    texts = await back.database.read(lambda tx: tx.all("select content from post"))
    assert [row["content"] for row in texts] == ["<p>stays</p>"]
    gone = await back.database.read(lambda tx: tx.one("select state from actor where id = :id", id=bea.id))
    assert gone["state"] == "gone"
    aside = await back.database.read(lambda tx: tx.one(f"select count(*) as n from {done.aside}.actor"))
    assert aside["n"] == 3
    assert await expiry.expire(config, SystemClock().ms()) == 0
    assert await expiry.expire(config, SystemClock().ms() + expiry.KEPT_MS + 60_000) == 1
    # And what ends from now on is noticed
    await deletion.delete_person(back, ada)
    assert await back.database.read(ledger.count) > 0
    await app.close(back)
    await postgres.drop(url)
