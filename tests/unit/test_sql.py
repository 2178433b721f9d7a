"""Does every statement of the house mean something on both engines? Prepares every SQL constant of every room on each."""

import ast
import importlib
import pkgutil
import re
import sqlite3

import pytest

from fedmatch.database import sqlite_text
from fedmatch.database.migrate import TABLE, migrations
from fedmatch.database.postgresql import PostgresqlDatabase
from fedmatch.database.sqlite import SqliteDatabase
from fedmatch.database.translation import query
from tests import postgres

ROOMS = ("schemas", "actors", "outbox", "inbox", "fedmatch")
STATEMENT = re.compile(r"\s*(--[^\n]*\n\s*)*(select|insert|update|delete|with)\s", re.IGNORECASE)
ONLY_ON = {
    "fedmatch.database.postgresql:ABOUT": "postgresql",  # asks a server about itself
    "fedmatch.database.ended:THERE_ON_SQLITE": "sqlite",
    "fedmatch.database.ended:THERE_ON_POSTGRESQL": "postgresql",
    "fedmatch.backup.rows:ALL_TABLES": "sqlite",
    "fedmatch.backup.postgresql:OTHERS": "postgresql",
    "fedmatch.backup.postgresql:TABLES": "postgresql",
    "fedmatch.backup.postgresql:ASIDES": "postgresql",
    "fedmatch.doctor:PRAGMAS": "sqlite",  # asks a file about itself
}
WRITTEN_TWICE = {"fedmatch.database.sqlite_text": "sqlite", "fedmatch.database.postgresql_text": "postgresql"}
NUMBERED = sqlite_text.__file__
"""Its tables have numbers in their names, so some of its statements are put together where they run; tests/unit/test_text.py runs them all."""


def _modules():
    for room in ROOMS:
        package = importlib.import_module(room)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def _statements():
    """(name, SQL) of every UPPER_CASE module-level text that is a whole statement; fragments are seen in the statements made with them."""
    for module in _modules():
        for name, value in vars(module).items():
            if name.lstrip("_").isupper() and isinstance(value, str) and STATEMENT.match(value):
                yield f"{module.__name__}:{name}", value


STATEMENTS = sorted(set(_statements()))


def _for(engine, for_update):
    """The statements of one engine, with its words for claims."""
    return [
        (name, sql.replace("{for_update}", for_update))
        for name, sql in STATEMENTS
        if ONLY_ON.get(name, WRITTEN_TWICE.get(name.partition(":")[0], engine)) == engine
    ]


def test_there_are_statements_to_try():
    assert len(STATEMENTS) > 15


def test_every_statement_can_be_prepared_on_sqlite():
    connection = sqlite3.connect(":memory:")
    for migration in migrations():
        connection.executescript(migration.text)
    connection.execute(TABLE)
    for statement in sqlite_text.TABLES:
        connection.execute(statement)
    wrong = []
    for name, sql in _for("sqlite", SqliteDatabase.for_update):
        try:
            connection.execute(f"explain {sql}", dict.fromkeys(query(sql).names))
        except sqlite3.Error as error:
            wrong.append(f"{name}: {error}")
    connection.close()
    assert wrong == []


async def test_every_statement_can_be_prepared_on_postgresql(postgresql_url):
    import asyncpg

    url = await postgres.clean_database(postgresql_url)
    connection = await asyncpg.connect(url)
    wrong = []
    for name, sql in _for("postgresql", PostgresqlDatabase.for_update):
        try:
            prepared = await connection.prepare(query(sql).text)
        except asyncpg.PostgresError as error:
            wrong.append(f"{name}: {error}")
            continue
        # An integer column must be asked with 64 bits: `$1 + 1` alone would be 32.
        wrong += [
            f"{name}: :{value} is {parameter.name} to PostgreSQL; write cast(:{value} as integer)"
            for value, parameter in zip(query(sql).names, prepared.get_parameters(), strict=True)
            if parameter.name not in ("int8", "text", "bytea", "float8")
        ]
    await connection.close()
    await postgres.drop(url)
    assert wrong == []


@pytest.mark.parametrize("rule", ["insert or ", " ::", "on conflict do", "ifnull(", "is null and :", "datetime(", "glob ", "rowid"])
def test_no_statement_uses_what_one_engine_does_not_know(rule):
    assert [name for name, sql in STATEMENTS if rule in " ".join(sql.lower().split())] == []


HIDDEN = re.compile(r"\s*(select .* from |insert into |update \w+ set |delete from )", re.DOTALL)


def _hidden_in(source):
    with open(source, encoding="utf-8") as file:
        functions = [node for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    texts = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {f"{source}:{node.lineno}" for node in texts if HIDDEN.match(node.value)}


def test_no_statement_hides_inside_a_function():
    """SQL stands as a constant beside the function that runs it, where the tests above find it."""
    sources = [module.__file__ for module in _modules() if getattr(module, "__file__", None) not in (None, NUMBERED)]
    assert set().union(*map(_hidden_in, sources)) == set()
