"""Do listings of an older version stand in the fields of their skills, and are they looked at only once?"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors.instance import Instance
from fedmatch import app
from fedmatch.board import listings, publish, tags
from schemas.storage import Transaction
from tests.houses import REQUEST, open_house, person


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Instance]:
    instance = await open_house(tmp_path)
    yield instance
    await app.close(instance)


async def waiting(tx: Transaction) -> int:
    row = await tx.one("select count(*) as n from job where job.kind = 'tags' and job.state = 'waiting'")
    assert row is not None
    return int(row["n"])


async def standing(tx: Transaction) -> int:
    """How many stand under the field of that skill."""
    row = await tx.one("select count(*) as n from listing_tag where kind = 'category' and slug = 'LegalAid'")
    assert row is not None
    return int(row["n"])


async def test_an_older_listing_stands_in_the_field_of_its_skill(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given three listings with a skill, one of them written by the first version, that stand under no field
    alice = await person(house, "alice")
    made = [await publish.listing(house, alice, replace(REQUEST, title=f"n {n}", categories=()), "en", audience="public") for n in range(3)]

    async def older(tx: Transaction) -> None:
        await tx.execute("delete from listing_tag where kind = 'category'")
        await tx.execute("update listing set more = null where post_id = :id", id=made[0].id)

    await house.database.write(older)
    assert await house.database.read(standing) == 0

    # When a worker starts
    monkeypatch.setattr(tags, "CHUNK", 2)
    await house.database.write(tags.begin, house)
    assert await house.database.read(waiting) == 1
    await tags.mend(house, "all", b"")

    # Then they stand there, none says more of itself than before, and the next start asks for nothing
    assert await house.database.read(standing) == 3
    for one in made:
        found = await house.database.read(listings.by_id, house, one.id)
        assert found is not None
        assert (found.categories, found.skills) == ((), ("AsylumLaw",))

    async def none(tx: Transaction) -> int:
        await tx.execute("delete from job")
        await tags.begin(tx, house)
        return await waiting(tx)

    assert await house.database.write(none) == 0
