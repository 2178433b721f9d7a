"""Do status and doctor count what should have somebody's eye, and is only what is broken called so?"""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedmatch import counts, doctor
from fedmatch.database.migrate import migrate
from fedmatch.database.open import open_database
from schemas.storage import Database, Transaction
from tests.world import write_config

pytestmark = pytest.mark.asyncio

HOUR_MS = 3_600_000

HOST = "insert into host (id, name, scheme, first_seen) values (1, 'peer.example', 'cavage', 0)"
LOST = """
insert into handshake (host_id, application, inbox, lost_at, lost_why)
values (1, 'https://peer.example/actor', 'https://peer.example/inbox', 5, 'another key')
"""
JOB = "insert into job (id, kind, key, state, run_at, error) values (:id, :kind, :key, :state, :run_at, :error)"
ACTOR = """
insert into actor (id, uri, local, kind, username, handle_host, inbox, fetched_at)
values (1, 'https://here.example/users/a', 1, 'Person', 'a', 'here.example', 'https://here.example/users/a/inbox', 0)
"""

DRAFT = """
insert into draft (id, actor_id, state, kind, sealed, created_at, changed_at)
values (:id, 1, :state, 'request', cast('x' as blob), :at, :at)
"""

RESPONSE = """
insert into response (id, state, side, tray, listing_hash, asker_hash, helper_hash, host_hash, sealed, created_at, changed_at, ends_at)
values (:id, :state, :side, 'rest', :hash, :hash, :hash, :hash, :hash, :at, :at, :at)
"""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[Path, Database]]:
    config = write_config(tmp_path)
    database = await open_database(config)
    await migrate(database)
    yield config.path, database
    await database.close()


async def test_everything_is_counted_once_and_what_is_decided_not(house: tuple[Path, Database]) -> None:
    _, database = house
    now = 1000 * HOUR_MS
    assert await database.read(counts.waits, now) == counts.Waits(0, 0, 0, 0, None)

    async def fill(tx: Transaction) -> None:
        await tx.execute(HOST)
        await tx.execute(LOST)
        await tx.execute(JOB, id=1, kind="response", key="1", state="quarantined", run_at=0, error="ValueError")
        await tx.execute(JOB, id=2, kind="retention", key="all", state="waiting", run_at=now - 4 * HOUR_MS, error=None)
        old, new = now - 49 * HOUR_MS, now - 47 * HOUR_MS
        rows = (("sent", "asker", old), ("opened", "both", old), ("sent", "asker", new), ("accepted", "asker", old), ("sent", "helper", old))
        for number, (state, side, at) in enumerate(rows):
            await tx.execute(RESPONSE, id=number, state=state, side=side, hash=b"x", at=at)

    await database.write(fill)
    found = await database.read(counts.waits, now)
    assert found == counts.Waits(0, 2, 1, 1, 4 * HOUR_MS)
    assert found.json() == {"review": 0, "answers": 2, "trust_lost": 1, "quarantined": 1, "sweep_late": 4 * 3600, "review_oldest": -1}
    assert found.text().startswith("2 answers undecided for two days (")

    async def hold(tx: Transaction) -> None:
        await tx.execute(ACTOR)
        for number, (state, at) in enumerate((("held", now - 50 * HOUR_MS), ("held", now - HOUR_MS), ("refused", 0))):
            await tx.execute(DRAFT, id=number, state=state, at=at)

    await database.write(hold)
    found = await database.read(counts.waits, now)
    assert (found.review, found.review_ms, found.json()["review_oldest"]) == (2, 50 * HOUR_MS, 50 * 3600)
    assert [doctor._age(ms) for ms in (None, 1, 3 * HOUR_MS, 50 * HOUR_MS)] == [
        "", " (the oldest for less than an hour)", " (the oldest for 3 hours)", " (the oldest for 2 days)",
    ]  # fmt: skip


async def test_the_doctor_calls_wrong_what_is_broken_and_tells_what_waits(house: tuple[Path, Database]) -> None:
    path, database = house

    async def seen() -> dict[str, doctor.Check]:
        return {check.name: check for check in await doctor.examine(path)}

    found = await seen()
    assert all(found[name].ok for name in ("trust", "waiting", "jobs", "retention"))
    now = int(time.time() * 1000)

    async def fill(tx: Transaction) -> None:
        await tx.execute(RESPONSE, id=1, state="sent", side="asker", hash=b"x", at=now - 60 * HOUR_MS)
        await tx.execute(HOST)
        await tx.execute(LOST)
        await tx.execute(JOB, id=1, kind="response", key="1", state="quarantined", run_at=0, error="ValueError at somewhere")
        await tx.execute(JOB, id=2, kind="retention", key="all", state="waiting", run_at=now - 5 * HOUR_MS, error=None)

    await database.write(fill)
    found = await seen()
    assert found["waiting"].ok
    assert "1 answers" in found["waiting"].detail
    for name, said in (("trust", "1 trusted"), ("jobs", "response: ValueError at somewhere"), ("retention", "5 hours")):
        assert not found[name].ok
        assert said in found[name].detail
        assert found[name].cure
