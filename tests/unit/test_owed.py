"""What is said to a server that may hear again: the last word about each thing, once, and nothing that would not be for it."""

from pathlib import Path

import pytest

from actors import hosts, local
from outbox import departures, owed, publish
from outbox.address import Inbox
from schemas import documents
from schemas.activities import Delete
from schemas.objects import Tombstone
from schemas.reading import Iri
from tests.house import BASE, House, build, configure


@pytest.fixture
async def house(database, tmp_path: Path) -> House:
    return await build(database, configure(tmp_path))


async def host(house: House, name: str = "theirs.example") -> Inbox:
    return Inbox(Iri(f"https://{name}/inbox"), await house.write(hosts.ensure, house.instance, name))


async def note(house: House, inbox: Inbox, number: int, body: bytes = b"{}", *, confidential: bool = False) -> None:
    me = await local.ensure_application(house.instance)
    post = Iri(f"{BASE}/posts/{number}")

    async def body_(tx) -> None:
        await owed.note(
            tx, house.instance, me.id, body, [inbox], uri=Iri(f"{post}#delete"), kind="Delete", object=post, ordering_key=post, confidential=confidential
        )

    await house.write(body_)


async def rows(house: House, sql: str) -> list:
    async def body(tx) -> list:
        return await tx.all(sql)

    return await house.read(body)


async def said(house: House) -> list[tuple[str, bytes]]:
    """What waits to be sent."""
    found = await rows(house, "select id, ordering_key, body from outgoing where body is not null order by id")
    return [(row["ordering_key"], house.instance.vault.open(bytes(row["body"]), f"outgoing:{row['id']}")) for row in found]


async def test_the_last_word_is_said_once_and_later(house: House) -> None:
    there, other = await host(house), await host(house, "other.example")
    await note(house, there, 1, b'{"a": "CANARY"}')
    await note(house, there, 1, b'{"b": 2}')
    await note(house, there, 2, b'{"c": 3}', confidential=True)
    await note(house, other, 1)
    kept = await rows(house, "select * from owed")
    assert len(kept) == 3
    assert all(b"posts/" not in bytes(row["sealed"]) and row["until"] % 86_400_000 == 0 for row in kept), "what and whose rests sealed"

    # What is not public waits for trust
    assert await house.write(owed.say, house.instance, there.host_id) == 1
    assert await house.write(owed.say, house.instance, there.host_id) == 0
    assert await said(house) == [(f"{BASE}/posts/1", b'{"b": 2}')]
    (delivery,) = await rows(house, "select * from delivery")
    assert (delivery["inbox"], delivery["next_at"] > house.clock.ms()) == (there.url, True), "every process knows by then that it may"
    assert {row["host_id"] for row in await rows(house, "select host_id from owed")} == {there.host_id, other.host_id}
    # and what is given again is not taken back
    await house.write(owed.drop, house.instance, there.host_id, f"{BASE}/posts/2")
    assert await house.write(owed.prune, house.clock.ms() + owed.KEPT_MS - 86_400_000) == 0
    assert await house.write(owed.prune, house.clock.ms() + owed.KEPT_MS) == 1
    assert await rows(house, "select * from owed") == []


async def test_a_delete_that_waits_when_nothing_may_be_said_any_more_is_kept(house: House) -> None:
    there, amina = await host(house), await house.person("amina")
    post = Iri(f"{BASE}/posts/1")
    gone = Delete(id=Iri(f"{post}#delete"), actor=amina.uri, object=Tombstone(post, former_type="Note"), published=house.clock.now())
    body = documents.dumps(documents.activity(gone))

    async def queue(tx) -> None:
        for kind, what in (("Create", post), ("Delete", Iri(f"{post}0"))):
            await publish.queue(tx, house.instance, amina, body, [there], uri=Iri(f"{what}#{kind}"), kind=kind, object=what, ordering_key=what)

    await house.write(queue)
    assert await house.write(departures.stop, house.instance, there.host_id, "its host is blocked") == 2
    assert {row["state"] for row in await rows(house, "select state from delivery")} == {"dead"}
    assert await house.write(owed.say, house.instance, there.host_id) == 1
    assert await said(house) == [(f"{post}0", body)]


async def test_a_server_is_owed_no_more_than_so_much(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed, "MOST", 2)
    there = await host(house)
    for number in range(4):
        await note(house, there, number)
    assert len(await rows(house, "select * from owed")) == 2
