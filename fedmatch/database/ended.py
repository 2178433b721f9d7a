# ruff: noqa: S608  # every statement here is made of the constants above it
"""How does the database itself notice what ends? Triggers that write a row of `ended` in the transaction of whatever deletes, closes or takes back.

A restore has to know it, and no place in the code can forget to say it. Triggers are worded differently on the two engines, so they are made here, after the
migrations, as the index of words is. What becomes of the rows: fedmatch/backup/ledger.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fedmatch.database.engine import Engine
from schemas.reading import Row
from schemas.storage import Transaction


@dataclass(frozen=True, slots=True)
class Ending:
    """One thing to notice: `event` on `table`, said as `noun`, with `key` and `state` as expressions on `old` and `new`, where `when` holds."""

    noun: str
    table: str
    event: str
    key: str
    state: str = "''"
    when: str = ""

    @property
    def name(self) -> str:
        """What its trigger is called."""
        return f"ended_{self.noun}_{self.event.partition(' ')[0]}_{VERSION}"


def _deleted(table: str, key: str) -> Ending:
    return Ending(table, table, "delete", f"cast(old.{key} as text)")


def _moved(table: str, key: str, column: str = "state") -> Ending:
    return Ending(table, table, f"update of {column}", f"cast(new.{key} as text)", f"new.{column}", f"old.{column} <> new.{column}")


ENDINGS: Final = (
    # Names, and ids of what we published: given once.
    # Services are made anew when somebody asks for them: there is nobody behind the name.
    Ending("name", "actor", "insert", "new.uri", when="new.local = 1 and new.kind <> 'Service'"),
    Ending("used", "post", "insert", "new.uri", when="new.local = 1"),
    # By URI: what may not come back from elsewhere either.
    Ending("tombstone", "tombstone", "insert", "new.uri"),
    _deleted("post", "uri"),
    _moved("actor", "uri"),
    # By our own ids.
    _moved("account", "id"),
    _deleted("identity", "actor_id"),
    _moved("identity", "actor_id"),
    _deleted("listing", "post_id"),
    _moved("listing", "post_id"),
    _deleted("draft", "id"),
    Ending(
        "announcement",
        "announcement",
        "update of state",
        "cast(new.post_id as text) || ':' || cast(new.actor_id as text)",
        "new.state",
        "old.state <> new.state",
    ),
    _deleted("response", "id"),
    _moved("response", "id"),
    _deleted("conversation", "response_id"),
    _deleted("story", "response_id"),
    _moved("vouch", "id"),
    Ending("peer", "peer", "insert", "cast(new.host_id as text)", "new.level"),
    _moved("peer", "host_id", "level"),
    _deleted("peer", "host_id"),
    Ending(
        "handshake",
        "handshake",
        "update of agreed_at",
        "cast(new.host_id as text)",
        "case when new.agreed_at is null then '' else 'agreed' end",
        "(old.agreed_at is null) <> (new.agreed_at is null)",
    ),
    Ending("token", "token", "update of revoked_at", "cast(new.id as text)", "'revoked'", "old.revoked_at is null and new.revoked_at is not null"),
    Ending("membership", "membership", "delete", "cast(old.account_id as text) || ':' || cast(old.actor_id as text)"),
    Ending(
        "membership", "membership", "update of role", "cast(new.account_id as text) || ':' || cast(new.actor_id as text)", "new.role", "old.role <> new.role"
    ),
    Ending("block", "block", "insert", "cast(new.actor_id as text) || ':' || cast(new.blocked_id as text)", "'blocked'"),
    Ending("block", "block", "delete", "cast(old.actor_id as text) || ':' || cast(old.blocked_id as text)"),
    Ending("border_rule", "border_rule", "insert", "new.kind || ':' || new.subject", "new.level"),
    Ending("border_rule", "border_rule", "update of level", "new.kind || ':' || new.subject", "new.level", "old.level <> new.level"),
    Ending("border_rule", "border_rule", "delete", "old.kind || ':' || old.subject"),
    _deleted("vetting", "id"),
    _deleted("audit_detail", "audit_id"),
)


VERSION: Final = sha256(repr(ENDINGS).encode()).hexdigest()[:8]

# Which of these triggers are there, and on which table. Each engine has its own words.
THERE_ON_SQLITE: Final = """
select sqlite_master.name, sqlite_master.tbl_name as on_table
from sqlite_master
where sqlite_master.type = 'trigger'
  and sqlite_master.name like 'ended!_%' escape '!'
"""

THERE_ON_POSTGRESQL: Final = """
select pg_trigger.tgname as name, pg_class.relname as on_table
from pg_catalog.pg_trigger
join pg_catalog.pg_class on pg_class.oid = pg_trigger.tgrelid
join pg_catalog.pg_namespace on pg_namespace.oid = pg_class.relnamespace
where pg_namespace.nspname = current_schema()
  and not pg_trigger.tgisinternal
  and pg_trigger.tgname like 'ended!_%' escape '!'
"""


def on_sqlite(ending: Ending) -> tuple[str, ...]:
    """The trigger as SQLite says it."""
    when = f" when {ending.when}" if ending.when else ""
    return (
        f"create trigger {ending.name} after {ending.event} on {ending.table}{when} "
        f"begin insert into ended (noun, key, state) values ('{ending.noun}', {ending.key}, {ending.state}); end",
    )


def on_postgresql(ending: Ending) -> tuple[str, ...]:
    """The function and the trigger as PostgreSQL says them."""
    when = f" when ({ending.when})" if ending.when else ""
    values = f"nextval(''ended_order''), ''{ending.noun}'', {_doubled(ending.key)}, {_doubled(ending.state)}"
    return (
        f"create or replace function {ending.name}() returns trigger language plpgsql as "
        f"'begin insert into ended (id, noun, key, state) values ({values}); return null; end'",
        f"create trigger {ending.name} after {ending.event} on {ending.table} for each row{when} execute function {ending.name}()",
    )


def _doubled(expression: str) -> str:
    return expression.replace("'", "''")


async def prepare(database: Engine) -> None:
    """Makes the triggers where they are missing, or are worded otherwise by now (a migration that makes a table anew takes its triggers away).

    After the migrations, in one transaction.
    """
    if {str(row["name"]) for row in await database.read(_there, database.engine)} != {ending.name for ending in ENDINGS}:
        await database.write(_make, database.engine)


async def _there(tx: Transaction, engine: str) -> Sequence[Row]:
    return await tx.all(THERE_ON_SQLITE if engine == "sqlite" else THERE_ON_POSTGRESQL)


async def _make(tx: Transaction, engine: str) -> None:
    for row in await _there(tx, engine):
        await tx.execute(f"drop trigger {row['name']}" if engine == "sqlite" else f"drop trigger {row['name']} on {row['on_table']}")
    if engine == "postgresql":
        await tx.execute("create sequence if not exists ended_order")
    for ending in ENDINGS:
        for statement in on_sqlite(ending) if engine == "sqlite" else on_postgresql(ending):
            await tx.execute(statement)
