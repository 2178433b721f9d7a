"""What lies ready for matching, so that no candidate is cut into pieces again? Beside each open listing its gist, and the topics by which it is found.

Topics are the skills and fields of help that its author named, and the three skills that its text is about most by its words, in whatever language: who names
none is found all the same. The tables belong to the index (`fedmatch.database.text`) and are made anew with it; of what is not public they lie in the index in
memory alone. The hooks stand in `fedmatch.board.index`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fedmatch.board.listings import Listing
from fedmatch.matching import gist, skills, terms
from fedmatch.matching.gist import Gist
from schemas import vocabulary
from schemas.objects import Purpose
from schemas.storage import Transaction, Value

THEMES: Final = 3
"""Skills that a text is about most, by which it is found beside those its author named."""
SKILL: Final = 2
FIELD: Final = 1
THEME: Final = 1
MOST_SLUGS: Final = 40
CHUNK: Final = 100

PUT: Final = """
insert into text_gist (id, packed)
values (:id, :packed)
on conflict (id) do update
set packed = excluded.packed
"""

REMOVE: Final = """
delete from text_gist
where id = :id
"""

PUT_TOPIC: Final = """
insert into text_topic (side, slug, id, here, weight)
values (:side, :slug, :id, :here, :weight)
"""

REMOVE_TOPICS: Final = """
delete from text_topic
where id = :id
"""

_SLUGS: Final = ", ".join(f":s{number}" for number in range(MOST_SLUGS))
_IDS: Final = ", ".join(f":i{number}" for number in range(CHUNK))

# A sum of bigint would be numeric on PostgreSQL, which orders twenty thousand of them a quarter slower.
ABOUT: Final = f"""
select text_topic.id, sum(cast(text_topic.weight as integer)) as shared
from text_topic
where text_topic.side = :side
  and text_topic.slug in ({_SLUGS})
  and text_topic.here >= :here
group by text_topic.id
order by shared desc, text_topic.id desc
limit :limit
"""  # noqa: S608  # only our own names of values are put in

SOME: Final = f"""
select text_gist.id, text_gist.packed
from text_gist
where text_gist.id in ({_IDS})
"""  # noqa: S608  # the same


def said(listing: Listing) -> str:
    """What a listing says, in all its languages, as far as it is matched by."""
    # Who begins the text with the title says it once.
    parts = [*(() if listing.text.startswith(listing.title) else (listing.title,)), listing.text, *(need.name for need in listing.needs)]
    parts += [text for other in listing.translations for text in (other.title, other.text)]
    return "\n".join(parts)[: terms.LONGEST]


def topics(listing: Listing, about: Gist) -> dict[str, int]:
    """The slugs by which a listing is found, with what each counts."""
    found = {skills.SLUGS[place]: THEME for place in sorted(about.themes, key=lambda place: (-about.themes[place], place))[:THEMES]}
    fields = (*listing.categories, *(vocabulary.category(slug).slug for slug in listing.skills if vocabulary.is_skill(slug)))
    return found | dict.fromkeys(fields, FIELD) | dict.fromkeys(listing.skills, SKILL)


async def put(tx: Transaction, listing: Listing) -> None:
    """Writes what lies beside an open listing; of one that is not open nothing stays."""
    await tx.execute(REMOVE_TOPICS, id=listing.id)
    if listing.state != "open":
        await tx.execute(REMOVE, id=listing.id)
        return
    packed = gist.packed(said(listing))
    await tx.execute(PUT, id=listing.id, packed=packed)
    found = topics(listing, gist.unpacked(packed))
    rows: list[dict[str, Value]] = [
        {"side": listing.kind, "slug": slug, "id": listing.id, "here": int(listing.local), "weight": weight} for slug, weight in found.items()
    ]
    if rows:
        await tx.many(PUT_TOPIC, rows)


async def remove(tx: Transaction, id: int) -> None:
    """Takes out what lies beside a listing."""
    await tx.execute(REMOVE_TOPICS, id=id)
    await tx.execute(REMOVE, id=id)


async def about(tx: Transaction, kind: Purpose, slugs: Sequence[str], limit: int, *, here: bool = False) -> list[tuple[int, int]]:
    """Open listings of `kind` that share topics with these, as (weight, id): what shares most first, among equals the newest. `here`: only those of ours."""
    if not slugs:
        return []
    named: dict[str, Value] = {f"s{place}": slugs[min(place, len(slugs) - 1)] for place in range(MOST_SLUGS)}
    return [(int(row["shared"]), int(row["id"])) for row in await tx.all(ABOUT, side=kind, here=int(here), limit=limit, **named)]


async def some(tx: Transaction, ids: Sequence[int]) -> dict[int, bytes]:
    """The gists of these listings as bytes; those of which none lies here are left out."""
    found: dict[int, bytes] = {}
    for named in chunks(ids, CHUNK):
        found |= {int(row["id"]): bytes(row["packed"]) for row in await tx.all(SOME, **named)}
    return found


def chunks(values: Sequence[Value], size: int) -> Iterable[Mapping[str, Value]]:
    """The values for `in (:i0, :i1, ...)`, so many at a time; what is over repeats the last."""
    for at in range(0, len(values), size):
        part = values[at : at + size]
        yield {f"i{place}": part[min(place, len(part) - 1)] for place in range(size)}
