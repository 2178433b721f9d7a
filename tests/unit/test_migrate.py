"""Is a database always in one shape or the next, wherever the machine stops?"""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from fedmatch.database import postgresql
from fedmatch.database.migrate import TABLE, Migration, migrate, migrations
from fedmatch.database.postgresql import open_postgresql
from fedmatch.database.sqlite import open_sqlite
from schemas.storage import Busy, Unusable
from tests import postgres
from tests.nursery import Nursery

SECOND = Migration(2, "0002_second.sql", "create table second (id integer primary key) strict;\ninsert into setting (name, value) values ('second', 'x;y');\n")


@pytest.fixture(scope="module")
def nursery():
    with Nursery("tests.programs") as nursery:
        yield nursery


PROGRAM = "tests.programs:migrated"


async def applied(tx):
    return [(row["number"], row["name"]) for row in await tx.all("select migration.number, migration.name from migration order by migration.number")]


def shape(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        # The tables of the index and the triggers of what ends come after the migrations, in a transaction of their own; tests/unit/test_text.py looks at them.
        sql = "select type, name from sqlite_master where name not like 'text!_%' escape '!' and type <> 'trigger' order by type, name"
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_the_files_are_numbered_without_holes_and_end_with_their_statements():
    known = migrations()
    assert known[0].name == "0001_house.sql"
    for migration in known:
        for statement in migration.statements():
            assert sqlite3.complete_statement(statement)
    assert list(SECOND.statements()) == ["create table second (id integer primary key) strict;", "insert into setting (name, value) values ('second', 'x;y');"]
    with pytest.raises(ValueError, match="semicolon"):
        list(Migration(3, "0003_open.sql", "create table a (b text)").statements())


async def test_a_second_start_changes_nothing_and_a_new_file_is_applied(database):
    known = migrations()
    await migrate(database)
    assert await database.read(applied) == [(migration.number, migration.name) for migration in known]
    await migrate(database, [*known, replace(SECOND, number=len(known) + 1)])
    assert len(await database.read(applied)) == len(known) + 1
    assert (await database.read(lambda tx: tx.one("select setting.value from setting")))["value"] == "x;y"


async def test_a_statement_that_fails_undoes_its_whole_file(database):
    known = migrations()
    bad = Migration(len(known) + 1, "bad", "create table half (id integer primary key) strict;\ninsert into nowhere (a) values (1);")
    with pytest.raises(Exception, match="nowhere"):
        await migrate(database, [*known, bad])
    assert len(await database.read(applied)) == len(known)
    await migrate(database, [*known, replace(SECOND, number=len(known) + 1)])
    with pytest.raises(Exception, match="half"):
        await database.read(lambda tx: tx.all("select * from half"))


async def test_a_database_of_a_newer_program_is_refused(database):
    known = migrations()
    await migrate(database, [*known, replace(SECOND, number=len(known) + 1)])
    with pytest.raises(Unusable, match=r"0002_second.sql.*newer fedmatch.*fedmatch restore"):
        await migrate(database)


async def test_a_changed_old_file_is_refused(database):
    known = migrations()
    with pytest.raises(Unusable, match=r"0001_house\.sql is not the one"):
        await migrate(database, [replace(known[0], text=known[0].text + "\n"), *known[1:]])


async def shape_after(path: Path, count: int) -> list[tuple[str, str]]:
    """What a database looks like after the first `count` migrations."""
    database = await open_sqlite(path)
    await migrate(database, migrations()[:count])
    await database.close()
    return shape(path)


def shapes(folder: Path) -> list[list[tuple[str, str]]]:
    """Every shape a database may be found in: new, with the table of migrations, and after each of the files."""
    found = [[]]
    for count in range(len(migrations()) + 1):
        path = folder / f"shape-{count}.db"
        connection = sqlite3.connect(path)
        for text in (TABLE + ";", *(migration.text for migration in migrations()[:count])):
            connection.executescript(text)
        connection.close()
        found.append(shape(path))
    return found


def killing(every: int) -> list[str]:
    """Where a start may be killed while it migrates: at all statements of the newest three files, at each so-manieth of those before, and at some commits."""
    older = len(migrations()) - 3
    return [
        f"migrate:{migration.number:04}:{place}"
        for migration in migrations()
        for place in [*range(1, len(list(migration.statements())) + 1, every if migration.number <= older else 1), "remember"]
    ] + [f"write:{moment}-commit#{nth}" for moment in ("before", "after") for nth in range(1, len(migrations()) + 2, (every + 2) // 3)]


def test_killed_at_a_statement_the_next_start_completes(nursery, tmp_path):
    killed_at_each(nursery, tmp_path, killing(8))


@pytest.mark.soak
def test_killed_at_every_statement_the_next_start_completes(nursery, tmp_path):
    killed_at_each(nursery, tmp_path, killing(1))


def killed_at_each(nursery, tmp_path, points):
    allowed = [[], *[asyncio.run(shape_after(tmp_path / f"after {count}.db", count)) for count in range(len(migrations()) + 1)]]
    whole = allowed[-1]
    legal = shapes(tmp_path)
    assert legal[-1] == whole
    # Four at a time, each with a database of its own: what they do is wait for the disk.
    for few in (points[at : at + 4] for at in range(0, len(points), 4)):
        paths = {point: tmp_path / f"{points.index(point)}.db" for point in few}
        killed = {point: nursery.start(PROGRAM, path, crashpoint=point) for point, path in paths.items()}
        assert {point: nursery.wait(pid) for point, pid in killed.items()} == dict.fromkeys(few, -9)
        assert [point for point, path in paths.items() if shape(path) not in allowed] == []
        again = {point: nursery.start(PROGRAM, path) for point, path in paths.items()}
        assert {point: nursery.wait(pid) for point, pid in again.items()} == dict.fromkeys(few, 0)
        assert [point for point, path in paths.items() if shape(path) != whole] == []


async def test_processes_that_start_together_migrate_once(nursery, tmp_path, postgresql_url):
    url = await postgres.clean_database(postgresql_url, empty=True)
    for where in (tmp_path / "both.db", url):
        started = [nursery.start(PROGRAM, where) for _ in range(4)]
        assert [await asyncio.to_thread(nursery.wait, pid) for pid in started] == [0, 0, 0, 0]
    database = await open_postgresql(url)
    assert len(await database.read(applied)) == len(migrations())
    await database.close()
    await postgres.drop(url)


@pytest.mark.parametrize("point", ["migrate:0001:1", "migrate:0001:20", "migrate:0001:remember", "write:before-commit#2", "write:after-commit#2"])
async def test_on_postgresql_too_a_killed_migration_is_completed(nursery, postgresql_url, point):
    url = await postgres.clean_database(postgresql_url, empty=True)
    assert await asyncio.to_thread(nursery.wait, nursery.start(PROGRAM, url, crashpoint=point)) == -9
    database = await open_postgresql(url)
    await migrate(database)
    assert await database.read(applied) == [(migration.number, migration.name) for migration in migrations()]
    await database.close()
    await postgres.drop(url)


async def test_whoever_waits_too_long_for_another_migration_says_so(postgresql_database, monkeypatch):
    monkeypatch.setattr(postgresql, "MIGRATING_S", 0.2)
    async with postgresql_database.exclusively():
        with pytest.raises(Busy, match="another process"):
            await migrate(postgresql_database)
    await migrate(postgresql_database)
