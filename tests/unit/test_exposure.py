"""Is it said of every column who could read it?"""

import sqlite3

from fedmatch.database import sqlite_text
from fedmatch.database.migrate import migrations
from fedmatch.safety import exposure


def schema() -> dict[str, set[str]]:
    connection = sqlite3.connect(":memory:")
    for migration in migrations():
        connection.executescript(migration.text)
    for statement in sqlite_text.TABLES:
        connection.execute(statement)
    names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
    found = {name: {row[1] for row in connection.execute(f"pragma table_info({name})")} for name in names}
    connection.close()
    return found


def test_every_table_and_column_is_classified_and_none_that_is_gone() -> None:
    """Whoever adds a table says in fedmatch/safety/exposure.py what it gives away."""
    real, classified = schema(), {name: set(one.columns) for name, one in exposure.TABLES.items()}
    missing = {f"{name}.{column}" for name, columns in real.items() for column in columns - classified.get(name, set())}
    gone = {f"{name}.{column}" for name, columns in classified.items() for column in columns - real.get(name, set())}
    assert (missing, gone) == (set(), set())


def test_what_is_named_sealed_is_called_sealed() -> None:
    wrong = [
        f"{name}.{column}"
        for name, one in exposure.TABLES.items()
        for column, kind in one.columns.items()
        if (column in ("sealed", "body", "private_key", "payload", "ciphertext") and kind != "sealed") or (column.endswith("_hash") and kind != "hashed")
    ]
    assert wrong == []


def test_who_has_the_key_learns_what_is_sealed() -> None:
    assert [name for name, one in exposure.TABLES.items() if "sealed" in one.columns.values() and not one.key] == []
