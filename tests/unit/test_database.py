"""Does what was answered with "written" stay written, on both engines, whatever the neighbours do?"""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from enum import IntEnum, StrEnum
from pathlib import Path

import pytest

from fedmatch.database import engine as engines
from fedmatch.database import postgresql, sqlite, sqlite_file
from fedmatch.database.migrate import migrate
from fedmatch.database.open import open_database
from fedmatch.database.sqlite import open_sqlite
from fedmatch.database.translation import query, translate
from schemas.storage import Busy, Conflict, Overdue, Strayed, Unavailable, Unusable, Unwritable, fleeting, unheard
from tests import postgres

PUT = "insert into setting (name, value) values (:name, :value)"
COUNT = "select count(*) as n from setting"


async def put(tx, name, value="-"):
    await tx.execute(PUT, name=name, value=value)
    return name


async def counted(tx):
    return (await tx.one(COUNT))["n"]


async def names(tx):
    return [row["name"] for row in await tx.all("select setting.name from setting order by setting.name")]


def commits(path: Path) -> int:
    """How many transactions the WAL of a SQLite file holds: a commit's last frame carries the size of the database."""
    wal = path.with_name(path.name + "-wal").read_bytes()
    salts = wal[16:24]
    frames = [wal[at : at + 24] for at in range(32, len(wal), 24 + 4096)]
    return sum(1 for frame in frames if frame[8:16] == salts and frame[4:8] != bytes(4))


def other_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A second program on the same machine; it says "ready" when it is where the test wants it."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    while (line := process.stdout.readline()) != "ready\n":
        assert line, "it ended before it was ready"
    return process


def ended(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=20)
    assert process.returncode == 0


HOLD_THE_FILE = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("begin immediate")
    print("ready", flush=True)
    sys.stdin.readline()
    connection.execute("rollback")
"""


# --- one body


async def test_what_write_answered_is_there_for_everybody(database):
    assert await database.write(put, "a", value="1") == "a"
    assert await database.read(counted) == 1


async def test_a_body_that_fails_leaves_nothing(database):
    async def half(tx):
        await put(tx, "a")
        raise KeyError("changed my mind")

    with pytest.raises(KeyError, match="changed my mind"):
        await database.write(half)
    assert await database.read(counted) == 0


async def test_statements_answer_alike_on_both_engines(database):
    async def all_shapes(tx):
        assert await tx.execute(PUT, name="a", value="1") == 1
        await tx.many(PUT, [{"name": "b", "value": "2"}, {"name": "c", "value": "3"}])
        assert await tx.execute("update setting set value = :value", value="x") == 3
        assert await tx.execute("update setting set value = :value where setting.name = :name", value="x", name="?") == 0
        assert await tx.execute(COUNT) == 0
        row = await tx.one(PUT + " on conflict (name) do update set value = excluded.value returning setting.value", name="a", value="y")
        assert row is not None
        assert row["value"] == "y"
        assert await tx.one("select setting.value from setting where setting.name = :name", name="?") is None
        return [row["name"] for row in await tx.all("delete from setting where setting.name > :name returning setting.name", name="a")]

    assert sorted(await database.write(all_shapes)) == ["b", "c"]


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 2**40


async def test_values_come_back_alike_on_both_engines(database):
    await database.write(lambda tx: tx.execute(database.translate("create table thing (id integer primary key, n integer) strict")))

    async def round_trip(tx):
        await tx.execute(
            "insert into vault (id, source, salt, public_key, wrapped, created_at) values (:id, :source, :salt, :public, :wrapped, :now)",
            id=1, source="file", salt=b"\x00\xff", public=b"", wrapped=bytes(64), now=Level.HIGH,
        )  # fmt: skip
        await tx.execute(PUT, name=Colour.RED, value="ق'\";:x --")
        await tx.execute("insert into thing (id, n) values (:id, :n)", id=True, n=2**62)
        row = await tx.one(
            """
            select vault.salt, vault.public_key, vault.created_at, setting.value, sum(thing.n) as total, cast(:big as integer) as big, ':not /* a' as literal
            from vault, setting, thing -- :comment
            group by vault.salt, vault.public_key, vault.created_at, setting.value
            """,
            big=2**40,
        )
        return tuple(row[name] for name in ("salt", "public_key", "created_at", "value", "total", "big", "literal"))

    answer = await database.write(round_trip)
    assert answer == (b"\x00\xff", b"", 2**40, "ق'\";:x --", 2**62, 2**40, ":not /* a")
    assert [type(value) for value in answer] == [bytes, bytes, int, str, int, int, str]


async def test_a_value_of_the_wrong_type_is_refused_without_being_quoted(database):
    with pytest.raises((TypeError, sqlite3.IntegrityError)) as refused:
        await database.write(lambda tx: tx.execute("insert into account (id, created_at) values (1, :created_at)", created_at="amina's word"))
    assert "amina" not in str(refused.value)


async def test_an_error_that_was_swallowed_still_undoes_the_body(database):
    await database.write(put, "a")

    async def careless(tx):
        await put(tx, "b")
        with suppress(Conflict):
            await put(tx, "a")

    async def careless_twice(tx):
        try:
            await put(tx, "a")
        except Conflict:
            await put(tx, "c")

    for body in (careless, careless_twice):
        with pytest.raises(Conflict):
            await database.write(body)
    assert await database.read(names) == ["a"]


async def test_a_conflict_names_the_constraint_and_no_value(database):
    await database.write(put, "secret")
    with pytest.raises(Conflict) as refused:
        await database.write(put, "secret")
    assert "setting" in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_every_constraint_is_a_conflict(database):
    async def orphan(tx):
        await tx.execute("insert into membership (account_id, actor_id, role, since) values (1, 1, 'admin', 0)")

    async def unknown_source(tx):
        await tx.execute("insert into vault (id, source, salt, public_key, wrapped, created_at) values (1, 'guess', :b, :b, :b, 0)", b=b"")

    async def nothing(tx):
        await tx.execute(PUT, name="a", value=None)

    for body in (orphan, unknown_source, nothing):
        with pytest.raises(Conflict):
            await database.write(body)


async def test_an_id_that_is_taken_is_drawn_again(database):
    await database.write(_insert_account_with, iter([7]))
    assert await database.write(_insert_account_with, iter([7, 7, 8])) == 8
    with pytest.raises(Conflict):
        await database.write(_insert_account_with, iter([7, 7, 7, 7, 7, 9]))  # but not for ever


async def _insert_account_with(tx, drawn):
    drew = next(drawn)
    await tx.execute("insert into account (id, created_at) values (:id, 0)", id=drew)
    return drew


# --- a body waits for its transaction, and for nothing else


async def _sleeps_a_moment(tx):
    await put(tx, "x")
    await asyncio.sleep(0)


async def _sleeps(tx):
    await put(tx, "x")
    await asyncio.sleep(0.01)


async def _hashes_elsewhere(tx):
    await put(tx, "x")
    await asyncio.to_thread(time.sleep, 0)


async def _writes_inside(tx, database):
    await put(tx, "x")
    await database.write(put, "y")


@pytest.mark.parametrize("body", [_sleeps_a_moment, _sleeps, _hashes_elsewhere, _writes_inside])
async def test_a_body_that_waits_for_something_else_is_undone(database, body):
    with pytest.raises(Strayed, match=body.__name__):
        await database.write(body, *([database] if body is _writes_inside else []))
    assert await database.write(put, "good") == "good"
    assert await database.read(names) == ["good"]


async def test_a_transaction_that_outlives_its_body_does_nothing(database):
    async def leak(tx):
        return tx

    tx = await database.write(leak)
    with pytest.raises(Strayed):
        await put(tx, "late")
    assert await database.read(counted) == 0


# --- neighbours


async def test_bodies_that_wait_together_share_a_commit(sqlite_database):
    before = commits(sqlite_database.path)
    await asyncio.gather(*[sqlite_database.write(put, f"{n}") for n in range(400)])
    assert await sqlite_database.read(counted) == 400
    assert commits(sqlite_database.path) - before <= 12


async def test_one_bad_body_harms_no_other(database):
    async def bad(tx, n):
        await put(tx, f"bad {n}")
        if n % 3 == 0:
            await put(tx, f"bad {n}")
        if n % 3 == 1:
            await asyncio.sleep(0)
        raise ZeroDivisionError

    answers = await asyncio.gather(*[database.write(bad if n % 2 else put, f"{n}" if n % 2 == 0 else n) for n in range(60)], return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, str)] == [f"{n}" for n in range(0, 60, 2)]
    assert {type(answer).__name__ for answer in answers[1::2]} == {"Clash", "Strayed", "ZeroDivisionError"}
    assert await database.read(counted) == 30


async def test_who_comes_when_too_many_wait_is_told_at_once(database, monkeypatch):
    monkeypatch.setattr(sqlite, "QUEUE", 50)
    monkeypatch.setattr(postgresql, "QUEUE", 50)
    answers = await asyncio.gather(*[database.write(put, f"{n}") for n in range(400)], return_exceptions=True)
    assert {type(answer) for answer in answers} == {str, Busy}
    assert await database.read(counted) == sum(isinstance(answer, str) for answer in answers)


async def test_a_caller_who_leaves_cancels_nobody_else(database):
    writes = [asyncio.create_task(database.write(put, f"{n}")) for n in range(50)]
    await asyncio.sleep(0)
    for write in writes[::2]:
        write.cancel()
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert answers[1::2] == [f"{n}" for n in range(1, 50, 2)]
    assert set(answers[1::2]) <= set(await database.read(names))


async def test_of_eight_who_want_the_last_place_one_gets_it(database):
    # READ COMMITTED let all eight in.
    async def take(tx, name):
        if await counted(tx) >= 1:
            return False
        await put(tx, name)
        return True

    others = [await postgresql.open_postgresql(database._url) for _ in range(7)] if database.engine == "postgresql" else []
    for _ in range(5):
        takers = [*others, database] if others else [database] * 8
        assert sum(await asyncio.gather(*[taker.write(take, f"{n}") for n, taker in enumerate(takers)])) == 1
        await database.write(lambda tx: tx.execute("delete from setting"))
    for other in others:
        await other.close()


async def test_claims_skip_what_somebody_else_holds(database):
    await asyncio.gather(*[database.write(put, f"{n:02}", "free") for n in range(20)])

    async def claim(tx):
        rows = await tx.all("select setting.name from setting where setting.value = 'free' order by setting.name limit 2" + database.for_update)
        for row in rows:
            await tx.execute("update setting set value = 'taken' where setting.name = :name", name=row["name"])
        return [row["name"] for row in rows]

    claimed = [name for names in await asyncio.gather(*[database.write(claim) for _ in range(12)]) for name in names]
    assert len(claimed) == len(set(claimed))


# --- a full disk, a held file, a slow reader


async def test_on_a_full_disk_the_guilty_fail_and_the_innocent_are_stored(sqlite_database):
    async def limit(pages):
        await sqlite_database._between_batches(lambda connection: connection.execute(f"pragma max_page_count = {pages}").fetchone())

    (used,) = await sqlite_database._between_batches(lambda connection: connection.execute("pragma page_count").fetchone())
    await limit(used + 4)
    big = "x" * 100_000
    answers = await asyncio.gather(*[sqlite_database.write(put, f"{n}", big if n in (3, 7, 8) else "-") for n in range(12)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unwritable if n in (3, 7, 8) else str for n in range(12)]
    assert sorted(await sqlite_database.read(names)) == sorted(f"{n}" for n in range(12) if n not in (3, 7, 8))
    await limit(1_000_000)
    assert await sqlite_database.write(put, "3", big) == "3"  # works again without a restart


async def test_a_file_held_by_somebody_else_is_waited_for_and_then_named(sqlite_database, monkeypatch):
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.3)
    holder = other_process(HOLD_THE_FILE, sqlite_database.path)
    started = time.monotonic()
    answers = await asyncio.gather(*[sqlite_database.write(put, f"{n}") for n in range(5)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [Busy] * 5
    assert 0.3 <= time.monotonic() - started < 1
    assert await sqlite_database.read(counted) == 0  # readers never wait

    monkeypatch.setattr(sqlite, "PATIENCE_S", 5)
    waiting = asyncio.create_task(sqlite_database.write(put, "patient"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    started = time.monotonic()
    await asyncio.to_thread(ended, holder)
    await waiting
    assert time.monotonic() - started < 1


async def test_a_reader_may_not_write(database):
    with pytest.raises((sqlite3.OperationalError, Exception), match=r"read-?only"):
        await database.read(put, "a")
    assert await database.read(counted) == 0


async def test_a_read_body_sees_one_moment(sqlite_database):
    await sqlite_database.write(put, "a")
    first, go_on = threading.Event(), threading.Event()

    async def look_twice(tx):
        before = await counted(tx)
        first.set()
        go_on.wait(5)
        return before, await counted(tx)

    looking = asyncio.create_task(sqlite_database.read(look_twice))
    await asyncio.to_thread(first.wait)
    await sqlite_database.write(put, "b")
    assert await sqlite_database.read(counted) == 2  # by another reader
    go_on.set()
    assert await looking == (1, 1)


async def test_short_reads_take_turns_in_one_thread_and_a_long_one_holds_up_nobody(sqlite_database):
    async def look(tx):
        await counted(tx)
        return threading.get_ident()

    # Given many short reads at once, then they run one after the other
    (reader,) = set(await asyncio.gather(*[sqlite_database.read(look) for _ in range(40)]))

    # When three of them take long
    begun, go_on = threading.Semaphore(0), threading.Event()

    async def stay(tx):
        begun.release()
        go_on.wait(5)
        return await look(tx)

    long = [asyncio.create_task(sqlite_database.read(stay)) for _ in range(3)]
    behind = asyncio.create_task(sqlite_database.read(look))  # waits behind them from the beginning
    for _ in long:
        await asyncio.to_thread(begun.acquire, timeout=5)
    # Then whoever waited and whoever comes is read for by another
    assert reader not in {await behind, await sqlite_database.read(look)}
    assert not any(task.done() for task in long)
    go_on.set()
    assert len({await task for task in long}) == 3
    assert await sqlite_database.read(look) == reader


async def test_a_reader_that_takes_too_long_is_stopped(database, monkeypatch):
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.2)
    monkeypatch.setattr(postgresql, "PATIENCE_S", 0.2)
    endless = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000000000) select max(n.i) as i from n"
    started = time.monotonic()
    with pytest.raises(Overdue):
        await database.read(lambda tx: tx.one(endless))
    assert time.monotonic() - started < 2

    async def many_small(tx):
        while True:
            await counted(tx)

    with pytest.raises(Overdue):
        await database.read(many_small)
    assert await database.read(counted) == 0


async def test_two_processes_write_to_one_file(sqlite_database):
    code = """
        import asyncio, sys
        from pathlib import Path
        from fedmatch.database.sqlite import open_sqlite
        async def put(tx, name):
            await tx.execute("insert into setting (name, value) values (:name, '-')", name=name)
        async def main():
            database = await open_sqlite(Path(sys.argv[1]))
            print("ready", flush=True)
            for n in range(150):
                await database.write(put, f"theirs {n}")
            await database.close()
        asyncio.run(main())
    """
    other = other_process(code, sqlite_database.path)
    slowest = 0.0
    for n in range(150):
        started = time.monotonic()
        await sqlite_database.write(put, f"ours {n}")
        slowest = max(slowest, time.monotonic() - started)
    await asyncio.to_thread(ended, other)
    assert await sqlite_database.read(counted) == 300
    assert slowest < 2


# --- everybody notices


async def test_a_commit_is_noticed_at_once_by_its_own_process(database):
    noticed = asyncio.Event()
    database.on_commit(noticed.set)
    await asyncio.sleep(0.1)
    noticed.clear()
    await database.write(put, "a")
    await asyncio.wait_for(noticed.wait(), 0.05)


async def test_a_body_that_changed_nothing_wakes_nobody(database):
    calls = []
    database.on_commit(lambda: calls.append(1))
    await asyncio.sleep(0.3)
    calls.clear()
    await database.write(counted)
    await database.write(lambda tx: tx.execute("update setting set value = 'x'"))
    await database.write(lambda tx: tx.all("delete from setting returning setting.name"))
    await asyncio.sleep(0.5)
    assert calls == []


async def test_a_commit_that_nobody_needs_to_hear_of_wakes_nobody(database):
    @unheard
    async def lease(tx, name):
        await put(tx, name)

    calls = []
    database.on_commit(lambda: calls.append(1))
    await asyncio.sleep(0.3)
    calls.clear()
    await asyncio.gather(*[database.write(lease, f"unheard {number}") for number in range(5)])
    assert await database.read(counted) == 5
    # SQLite's file cannot say who wrote what: once in a while somebody looks
    assert len(calls) == 0
    await asyncio.sleep(0.5)
    assert len(calls) <= (1 if database.engine == "sqlite" else 0)
    # But what comes together with it is heard, on PostgreSQL once and not a second time from the server
    calls.clear()
    await asyncio.gather(database.write(lease, "unheard"), database.write(put, "heard"))
    assert len(calls) >= 1
    before = len(calls)
    await asyncio.sleep(0.5)
    assert len(calls) <= before + (1 if database.engine == "sqlite" else 0)


async def test_what_a_power_cut_may_undo_waits_for_no_disk_and_takes_nothing_with_it(database):
    async def level(tx):
        row = await tx.one("pragma synchronous" if database.engine == "sqlite" else "show synchronous_commit")
        return row["synchronous" if database.engine == "sqlite" else "synchronous_commit"]

    @fleeting
    async def lease(tx):
        return await level(tx)

    async def fails(tx):
        raise ZeroDivisionError

    durable, not_so = (2, 1) if database.engine == "sqlite" else ("on", "off")
    for _ in range(3):
        assert await database.write(lease) == not_so
        assert await database.write(level) == durable
    # Together, also after one of them failed and all run apart
    results = await asyncio.gather(*[database.write(body) for body in (lease, level, fails, lease, level)], return_exceptions=True)
    assert results[1] == results[4] == durable
    assert isinstance(results[2], ZeroDivisionError)


async def test_a_commit_of_another_process_is_noticed(database):
    code = """
        import asyncio, sys
        from pathlib import Path
        async def main():
            if sys.argv[1].startswith("postgresql:"):
                from fedmatch.database.postgresql import open_postgresql
                database = await open_postgresql(sys.argv[1])
            else:
                from fedmatch.database.sqlite import open_sqlite
                database = await open_sqlite(Path(sys.argv[1]))
            print("ready", flush=True)
            sys.stdin.readline()
            await database.write(lambda tx: tx.execute("insert into setting (name, value) values ('a', 'b')"))
            await database.close()
        asyncio.run(main())
    """
    noticed = asyncio.Event()
    database.on_commit(noticed.set)
    other = other_process(code, database._url if database.engine == "postgresql" else database.path)
    await asyncio.sleep(0.3)
    noticed.clear()
    asking = asyncio.create_task(asyncio.to_thread(ended, other))
    while not await database.read(counted):
        await asyncio.sleep(0.005)
    await asyncio.wait_for(noticed.wait(), 0.5)
    await asking


# --- files


async def test_every_connection_is_set_up_for_a_power_cut(sqlite_database):
    async def set_up(tx):
        pragmas = ("synchronous", "foreign_keys", "secure_delete", "temp_store", "journal_mode", "trusted_schema")
        return tuple([(await tx.one(f"pragma {name}"))[0] for name in pragmas])

    assert await sqlite_database.write(set_up) == (2, 1, 1, 2, "wal", 0)
    for seen in await asyncio.gather(*[sqlite_database.read(set_up) for _ in range(20)]):
        assert seen == (2, 1, 1, 2, "wal", 0)


async def test_what_was_deleted_is_in_no_file_after_erase(sqlite_database):
    await asyncio.gather(*[sqlite_database.write(put, f"{n}", "canary-7261 " * 400) for n in range(20)])
    await sqlite_database.write(lambda tx: tx.execute("delete from setting"))
    folder = sqlite_database.path.parent
    assert any(b"canary-7261" in file.read_bytes() for file in folder.iterdir())
    assert await sqlite_database.erase() is True
    assert not any(b"canary-7261" in file.read_bytes() for file in folder.iterdir())


async def test_erase_waits_for_our_readers_and_says_when_others_keep_it(sqlite_database, monkeypatch):
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.5)
    await sqlite_database.write(put, "a")
    reading = True

    async def look(tx):
        await counted(tx)
        time.sleep(0.01)

    async def keep_reading():
        while reading:
            await sqlite_database.read(look)

    readers = [asyncio.create_task(keep_reading()) for _ in range(6)]
    await sqlite_database.write(put, "b")
    assert await sqlite_database.erase() is True
    reading = False
    await asyncio.gather(*readers)

    other = sqlite3.connect(sqlite_database.path, isolation_level=None)
    other.execute("begin")
    other.execute(COUNT).fetchall()
    await sqlite_database.write(put, "c")
    assert await sqlite_database.erase() is False
    other.close()
    assert await sqlite_database.erase() is True


async def test_the_wal_shrinks_again(sqlite_database):
    for n in range(30):
        await sqlite_database.write(put, f"{n}", "x" * 1_000_000)
    await sqlite_database.write(put, "last")
    assert sqlite_database.path.with_name("fedmatch.db-wal").stat().st_size < 20_000_000


def test_closed_while_its_watch_still_opens_it_leaves_no_thread_behind(tmp_path, monkeypatch):
    # Given a disk on which opening a file takes its time
    opened, connect = threading.Event(), sqlite3.connect

    def slowly(*values, **named):
        if "mode=ro" in str(values[0]):
            time.sleep(0.3)
            opened.set()
        return connect(*values, **named)

    async def briefly():
        database = await open_sqlite(tmp_path / "x.db")
        monkeypatch.setattr(sqlite3, "connect", slowly)
        database.on_commit(lambda: None)
        await asyncio.sleep(0.05)
        await database.close()

    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    # When a command is over before that
    before = set(threading.enumerate())
    asyncio.run(briefly())
    # Then nobody answers a loop that is closed
    assert opened.wait(5)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert died == []


async def test_a_closed_database_answers_what_waits_and_refuses_what_comes(tmp_path):
    database = await open_sqlite(tmp_path / "a.db")
    await migrate(database)
    writes = [asyncio.create_task(database.write(put, f"{n}")) for n in range(250)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*writes) == [f"{n}" for n in range(250)]
    with pytest.raises(Unavailable):
        await database.write(put, "late")
    with pytest.raises(Unavailable):
        await database.read(counted)
    with pytest.raises(Unavailable):
        await database.erase()
    await database.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.db"]
    assert (tmp_path / "a.db").stat().st_mode & 0o077 == 0


@pytest.fixture
async def kept(tmp_path):
    """A closed database with something in it, and a WAL as a killed process leaves it."""
    database = await open_sqlite(tmp_path / "live" / "fedmatch.db")
    await migrate(database)
    await asyncio.gather(*[database.write(put, f"{n}", "words " * 200) for n in range(200)])
    await database.erase()
    await database.write(put, "last")
    folder = tmp_path / "kept"
    folder.mkdir()
    for file in (tmp_path / "live").iterdir():
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder)
    await database.close()
    return folder / "fedmatch.db"


def _cut(path):
    path.write_bytes(path.read_bytes()[: 4096 * 3])
    path.with_name("fedmatch.db-wal").unlink()


def _spoil_a_page(path):
    spoiled = bytearray(path.read_bytes())
    for page in range(2, len(spoiled) // 4096):
        spoiled[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(bytes(spoiled))


def _garbage(path):
    path.write_bytes(b"not a database" * 1000)


def _empty(path):
    path.write_bytes(b"")


def _gone(path):
    path.unlink()


def _wal_garbage(path):
    path.with_name("fedmatch.db-wal").write_bytes(b"garbage!" * 1024)


def _foreign(path):
    path.with_name("fedmatch.db-wal").unlink()
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("create table theirs (a)")
    connection.close()


def _a_folder(path):
    path.with_name("fedmatch.db-wal").unlink()
    path.unlink()
    path.mkdir()


def _bytes_of(folder):
    files = {file.name: file.is_dir() or file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}
    return {name: held for name, held in files.items() if held}


@pytest.mark.parametrize("harm", [_cut, _spoil_a_page, _garbage, _empty, _gone, _wal_garbage, _foreign, _a_folder])
async def test_a_damaged_or_foreign_file_is_refused_and_left_as_it_is(kept, harm):
    harm(kept)
    before = _bytes_of(kept.parent)
    with pytest.raises(Unusable) as refused:
        await open_sqlite(kept)
    assert str(kept) in str(refused.value)
    if harm not in (_foreign, _a_folder):
        assert "fedmatch restore" in str(refused.value)
    assert _bytes_of(kept.parent) == before


async def test_a_wal_left_by_a_killed_process_is_recovered(kept):
    database = await open_sqlite(kept)
    assert await database.read(counted) == 201
    await database.close()


async def test_a_file_that_another_process_holds_at_the_start_is_named(kept, monkeypatch):
    monkeypatch.setattr(sqlite_file, "PATIENCE_S", 0.2)
    holder = other_process(HOLD_THE_FILE, kept)
    with pytest.raises(Unusable, match="another process"):
        await open_sqlite(kept)
    ended(holder)


async def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="cannot be opened"):
        await open_sqlite(tmp_path / "file" / "fedmatch.db")


# --- what only PostgreSQL can do


def test_queries_are_translated_once_and_with_care():
    asked = query("select ':a', \"b:c\", x::text, cast(:d as integer), :d, :e -- :f\n /* :g */ from t")
    assert asked.text == "select ':a', \"b:c\", x::text, cast($1 as bigint), $1, $2 -- :f\n /* :g */ from t"
    assert asked.names == ("d", "e")
    assert asked is query("select ':a', \"b:c\", x::text, cast(:d as integer), :d, :e -- :f\n /* :g */ from t")
    assert not asked.writes
    assert not query("select t.a from t where t.b = 'delete' for update skip locked").writes
    assert query("with a as (delete from t returning *) select * from a").writes


def test_migrations_are_translated():
    ddl = "create table t (id integer primary key, data blob not null, /* integer */ share real default 1, kind text check (kind in ('blob', 'real'))) strict"
    assert translate(ddl) == (
        ddl.replace("integer primary", "bigint primary")
        .replace("data blob", "data bytea")
        .replace("share real", "share double precision")
        .removesuffix(" strict")
    )
    assert translate("create index a on b (c) where d = 1") == "create index a on b (c) where d = 1"


async def test_on_postgresql_too_bodies_that_wait_together_share_a_commit(postgresql_database):
    async def transaction(tx, n):
        await put(tx, f"{n}")
        return (await tx.one("select cast(cast(pg_current_xact_id() as text) as integer) as number"))["number"]

    assert len(set(await asyncio.gather(*[postgresql_database.write(transaction, n) for n in range(300)]))) <= 15
    assert await postgresql_database.read(counted) == 300


async def test_two_processes_that_want_the_same_row_both_get_through(postgresql_database):
    # SERIALIZABLE refuses one of them again and again; it runs again, and every count is counted.
    other = await postgresql.open_postgresql(postgresql_database._url)
    await postgresql_database.write(put, "counter", "0")

    async def count_up(tx):
        row = await tx.one("select setting.value from setting where setting.name = 'counter'")
        await tx.execute("update setting set value = :value where setting.name = 'counter'", value=str(int(row["value"]) + 1))

    await asyncio.gather(*[(postgresql_database, other)[n % 2].write(count_up) for n in range(200)])
    assert (await other.read(lambda tx: tx.one("select setting.value from setting")))["value"] == "200"
    await other.close()


async def test_a_lost_connection_is_named_and_the_next_body_gets_a_new_one(postgresql_database, postgresql_url):
    import asyncpg

    database = postgresql_database
    noticed = asyncio.Event()
    database.on_commit(noticed.set)
    await database.write(put, "a")
    admin = await asyncpg.connect(postgresql_url.rpartition("/")[0] + "/postgres")
    name = database._url.rpartition("/")[2]
    waiting = asyncio.create_task(database.write(lambda tx: tx.one("select pg_sleep(20)")))
    while not await admin.fetchval("select count(*) from pg_stat_activity where datname = $1 and query like '%pg_sleep%'", name):
        await asyncio.sleep(0.01)
    noticed.clear()
    await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
    with pytest.raises(Unwritable):
        await waiting
    assert await database.write(put, "b") == "b"
    noticed.clear()
    await asyncio.wait_for(noticed.wait(), 5)  # the listener is back, and says that something may have been missed
    await admin.close()


async def test_a_postgresql_that_would_mean_something_else_is_refused(postgresql_url):
    import asyncpg

    address = postgresql_url.rpartition("/")[0]
    url = await postgres.clean_database(postgresql_url, empty=True)
    connection = await asyncpg.connect(url)
    await connection.execute("create table theirs (a bigint)")
    await connection.close()
    with pytest.raises(Unusable, match="not those of fedmatch"):
        await postgresql.open_postgresql(url)
    await postgres.drop(url)

    connection = await asyncpg.connect(f"{address}/postgres")
    utf8 = "locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'"
    await connection.execute(f"create database sorted template template0 encoding 'UTF8' {utf8}")
    await connection.close()
    with pytest.raises(Unusable, match="create database fedmatch"):
        await postgresql.open_postgresql(f"{address}/sorted")
    await postgres.drop(f"{address}/sorted")
    with pytest.raises(Unusable, match="url"):
        await postgresql.open_postgresql(f"{address}/nowhere")
    with pytest.raises(Unusable, match="url"):
        await postgresql.open_postgresql("postgresql://127.0.0.1:1/nowhere")


def test_without_the_driver_the_cure_is_named(tmp_path):
    code = """
        import asyncio, sys
        from types import SimpleNamespace
        sys.modules["asyncpg"] = None
        from fedmatch.database.open import open_database
        from schemas.storage import Unusable
        try:
            asyncio.run(open_database(SimpleNamespace(database=SimpleNamespace(url="postgresql://x"))))
        except Unusable as error:
            print(error)
    """
    said = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True).stdout
    assert "pip install 'fedmatch[postgres]'" in said


def test_the_engines_are_what_rooms_may_expect():
    assert open_database.__annotations__["return"] is engines.Engine
    assert re.fullmatch("", sqlite.SqliteDatabase.for_update)
    assert postgresql.PostgresqlDatabase.for_update == " for update skip locked"
