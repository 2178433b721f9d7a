"""Is everything found in its field of help? A listing stands under the categories of its skills too; rows of an older version or taxonomy do not.

Mended once for each taxonomy, a few at a time, by a job that a starting worker asks for (fedmatch/handlers.py).
"""

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

import structlog

from fedmatch.jobs import enqueue
from schemas import vocabulary
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

CHUNK: Final = 500
LAST: Final = 100
"""The place of a category that only a skill stands for: behind those that its author named."""

DONE_FOR: Final = """
select setting.value
from setting
where setting.name = 'tags'
"""

REMEMBER: Final = """
insert into setting (name, value)
values ('tags', :value)
on conflict (name) do update
set value = excluded.value
"""

MISSING: Final = """
select listing_tag.post_id
from listing_tag
where listing_tag.kind = 'skill'
  and listing_tag.slug = :skill
  and not exists (
    select 1
    from listing_tag as field
    where field.post_id = listing_tag.post_id
      and field.kind = 'category'
      and field.slug = :category
  )
order by listing_tag.post_id
limit :limit
"""

INSERT: Final = """
insert into listing_tag (post_id, kind, slug, place)
values (:post_id, 'category', :category, :place)
on conflict (post_id, kind, slug) do nothing
"""


@cache
def fields() -> tuple[tuple[str, str], ...]:
    """Every skill with its category."""
    return tuple((skill.slug, one.slug) for one in vocabulary.categories() for skill in one.skills)


@cache
def mark() -> str:
    """What tells this taxonomy from others."""
    return hashlib.sha256(repr(fields()).encode()).hexdigest()[:16]


async def begin(tx: Transaction, instance: "Instance") -> None:
    """Asks for the job, if the rows were not looked at with this taxonomy yet."""
    row = await tx.one(DONE_FOR)
    if row is None or row["value"] != mark():
        await enqueue(tx, instance, "tags", "all", instance.clock.ms())


async def mend(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job: every public listing under the categories of its skills. Killed on the way, the next start goes on."""
    mended = 0
    for skill, category in fields():
        while done := await instance.database.write(_mend, skill, category):
            mended += done
    await instance.database.write(_remember)
    if mended:
        log.info("tags.mended", listings=mended)


async def _mend(tx: Transaction, skill: str, category: str) -> int:
    rows = await tx.all(MISSING, skill=skill, category=category, limit=CHUNK)
    if rows:
        await tx.many(INSERT, [{"post_id": row["post_id"], "category": category, "place": LAST} for row in rows])
    return len(rows)


async def _remember(tx: Transaction) -> None:
    await tx.execute(REMEMBER, value=mark())
