"""Which listings are near to each other in what they mean, in whatever language? Rows of numbers beside the texts, and all of them together in memory.

Numbers made from a text tell nearly as much as the text. Those of a public listing stand open, like its words; those of any other rest sealed and are compared
in memory only, while the vault is open. They go with the text, when the text changes, and when the listing is over. The means of the languages are sums over
what lies in memory and are written nowhere: a mean of few texts is one of the texts.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from actors import generations
from actors.vault import Locked
from fedmatch.board import listings, private
from fedmatch.board.listings import Listing
from fedmatch.jobs import enqueue
from fedmatch.matching import semantic, skillrows
from schemas.objects import Proposal
from schemas.reading import Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance
    from fedmatch.matching.nearness import Matrix
    from fedmatch.matching.semantic import Embedder

log = structlog.get_logger()

NAME: Final = "vectors"
SKILLS: Final = "skill vectors"
CHUNK: Final = 1000
AT_ONCE: Final = 10
"""How many listings one step of the filling reads; each takes its 50 ms in the one thread, and what is new stands between them."""
PAUSE_MS: Final = 1_000
LOCKED_MS: Final = 60_000
MOST_LETTERS: Final = semantic.MOST_LETTERS

GENERATIONS: Final = """
select generation.name, generation.value
from generation
where generation.name in ('vectors', 'vectors_gone')
"""

KNOWN: Final = """
select vector.model, vector.mark
from vector
where vector.post_id = :id
"""

KEEP: Final = """
insert into vector (post_id, model, mark, language, scale, packed, sealed, change)
values (:id, :model, :mark, :language, :scale, :packed, :sealed, (
  select generation.value
  from generation
  where generation.name = 'vectors'
))
on conflict (post_id) do update
set model = excluded.model, mark = excluded.mark, language = excluded.language, scale = excluded.scale, packed = excluded.packed, sealed = excluded.sealed,
  change = excluded.change
"""

CHANGED: Final = """
delete from vector
where post_id = :id
  and mark <> :mark
"""

FORGET: Final = """
delete from vector
where post_id = :id
"""

SINCE: Final = """
select vector.post_id, vector.model, vector.language, vector.scale, vector.packed, vector.sealed, vector.change, listing.kind
from vector
join listing on listing.post_id = vector.post_id
where vector.change > :after
order by vector.change
limit :limit
"""

IDS: Final = """
select vector.post_id
from vector
order by vector.change
"""

LACKING: Final = f"""
{listings.EVERY}
  and listing.state in ('open', 'paused', 'matched')
  and (listing.audience = 'public' or cast(:private as integer) = 1)
  and listing.post_id < :before
  and not exists (
    select 1
    from vector
    where vector.post_id = listing.post_id
      and vector.model = :model
  )
order by listing.post_id desc
limit :limit
"""  # noqa: S608  # only our own constant is put in


@dataclass(frozen=True, slots=True)
class Sealed:
    """What rests sealed of a vector: its language would tell something too."""

    language: str
    scale: float
    codes: bytes


@dataclass(slots=True)
class _Memory:
    """The rows of one model as of two generations; `opened` says whether those that are not public are among them."""

    model: str
    matrix: "Matrix"
    opened: bool
    seen: int = 0
    gone: int = 0
    private: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


def about(one: Listing | Proposal) -> str:
    """The text that is embedded: the title and then the text, unless that begins with the title; "" where neither says anything."""
    title, text = one.title.strip(), one.text.strip()
    return (text if text.startswith(title) else f"{title}\n{text}".strip())[:MOST_LETTERS]


def _mark(instance: "Instance", kind: str, language: str | None, text: str, *, public: bool) -> bytes:
    """What tells whether a text is still the same. Raises `actors.vault.Locked` for one that is not public."""
    whole = f"{kind}\n{language}\n{text}"
    return hashlib.sha256(whole.encode()).digest() if public else instance.vault.digest("vector", whole)


def _place(id: int) -> str:
    return f"vector:{id}"


async def keep(instance: "Instance", listing: Listing) -> None:
    """Makes and keeps the numbers of an open listing: nothing for an empty text, for one that is unchanged, or without the extra.

    Call it outside a transaction. Of one that is not public nothing is kept while the vault is locked.
    """
    engine, text = semantic.embedder(instance), about(listing)
    if engine is None or not text or listing.state not in listings.OPEN:
        return
    try:
        mark = _mark(instance, listing.kind, listing.language, text, public=listing.public)
    except Locked:
        return
    if await instance.database.read(_known, listing.id) == (engine.model, mark):
        return
    made = await semantic.embed(instance, [text], semantic.ROLES[listing.kind])
    if made is not None:
        await instance.database.write(_keep, instance, listing.id, engine.model, mark, made.codes[0].tobytes(), float(made.scales[0]))


async def _known(tx: Transaction, id: int) -> tuple[str, bytes] | None:
    row = await tx.one(KNOWN, id=id)
    return None if row is None else (row["model"], bytes(row["mark"]))


async def _keep(tx: Transaction, instance: "Instance", id: int, model: str, mark: bytes, codes: bytes, scale: float) -> None:
    """Writes the numbers, if the listing still says what they were made from: it may have been changed, closed or narrowed meanwhile."""
    try:
        listing = await listings.by_id(tx, instance, id)
        if listing is None or listing.state not in listings.OPEN:
            return
        if _mark(instance, listing.kind, listing.language, about(listing), public=listing.public) != mark:
            return
        language = listing.language or ""
        sealed = None if listing.public else instance.vault.seal(msgspec.msgpack.encode(Sealed(language, scale, codes)), _place(id))
    except Locked:
        return
    await generations.bump(tx, "vectors")
    await tx.execute(
        KEEP,
        id=id,
        model=model,
        mark=mark,
        language=language if listing.public else None,
        scale=scale if listing.public else None,
        packed=codes if listing.public else None,
        sealed=sealed,
    )


async def written(tx: Transaction, instance: "Instance", id: int, proposal: Proposal, language: str | None, *, public: bool) -> None:
    """Forgets the numbers of a listing that was just written, unless it is open and says the same as before, in the same language, to the same readers."""
    if proposal.status not in listings.OPEN or (not public and instance.vault.locked):
        await forget(tx, instance, id)
        return
    mark = _mark(instance, proposal.purpose, language, about(proposal), public=public)
    await _gone(tx, instance, await tx.execute(CHANGED, id=id, mark=mark))


async def forget(tx: Transaction, instance: "Instance", id: int) -> None:
    """Forgets the numbers of a listing that is over, or goes."""
    await _gone(tx, instance, await tx.execute(FORGET, id=id))


async def _gone(tx: Transaction, instance: "Instance", rows: int) -> None:
    if rows:
        await generations.bump(tx, "vectors_gone")
        await enqueue(tx, instance, "erase", "all", instance.clock.ms())


async def near(tx: Transaction, instance: "Instance", listing: Listing, kind: str, limit: int) -> list[int]:
    """Listings of `kind` that mean something near to this one, nearest first; none if its own numbers were not kept. Call it in a read.

    20 to 30 ms among 100,000 of one kind. With a locked vault public ones only. A candidate is no answer: who may hear of it, and whether it is open, is for
    the caller to ask.
    """
    memory = await _memory(tx, instance)
    if memory is None:
        return []
    with memory.lock:
        return memory.matrix.near(listing.id, kind, limit)


async def likeness(tx: Transaction, instance: "Instance", listing: Listing, ids: Sequence[int]) -> dict[int, tuple[float, float]]:
    """How near each of these listings is: the cosine as it is, and the one without what its language has in common; nothing of those without numbers."""
    memory = await _memory(tx, instance)
    if memory is None:
        return {}
    with memory.lock:
        return memory.matrix.likeness(listing.id, ids)


async def _memory(tx: Transaction, instance: "Instance") -> _Memory | None:
    """All rows of the present model as of now; the first call after a start reads them all (100,000 in about a second), later ones only what changed."""
    engine = semantic.embedder(instance)
    if engine is None:
        instance.memory.pop(NAME, None)
        return None
    from fedmatch.matching.nearness import Matrix  # needs numpy

    opened = not instance.vault.locked
    memory = instance.memory.get(NAME)
    if not isinstance(memory, _Memory) or memory.model != engine.model or memory.opened != opened:
        memory = instance.memory[NAME] = _Memory(engine.model, Matrix(semantic.WIDTH), opened)
    now = {row["name"]: int(row["value"]) for row in await tx.all(GENERATIONS)}
    if now.get("vectors_gone", 0) != memory.gone:
        there = {int(row["post_id"]) for row in await tx.all(IDS)}
        with memory.lock:
            for one in [one for one in memory.matrix.ids() if one not in there]:
                memory.matrix.drop(one)
                memory.private.discard(one)
            memory.gone = now.get("vectors_gone", 0)
    while memory.seen < now.get("vectors", 0):
        rows = await tx.all(SINCE, after=memory.seen, limit=CHUNK)
        with memory.lock:
            _take(instance, memory, rows)
            memory.seen = rows[-1]["change"] if len(rows) == CHUNK else now["vectors"]
    return memory


def _take(instance: "Instance", memory: _Memory, rows: Sequence[Row]) -> None:
    """Puts rows into memory; what is of another model, or sealed while the vault is locked, is not there."""
    from fedmatch.matching import nearness  # needs numpy

    made: list[nearness.Row] = []
    for row in rows:
        one, kind = row["post_id"], row["kind"]
        if row["model"] != memory.model:
            memory.matrix.drop(one)
        elif row["packed"] is not None:
            memory.private.discard(one)
            made.append(nearness.Row(one, kind, row["language"] or "", bytes(row["packed"]), row["scale"]))
        elif memory.opened and (one in memory.private or len(memory.private) < private.MOST):
            memory.private.add(one)
            numbers = msgspec.msgpack.decode(instance.vault.open(bytes(row["sealed"]), _place(one)), type=Sealed)
            made.append(nearness.Row(one, kind, numbers.language, numbers.codes, numbers.scale))
        else:
            memory.matrix.drop(one)
    memory.matrix.put(made)


async def fill_soon(tx: Transaction, instance: "Instance", *, wait_ms: int = PAUSE_MS, before: int = listings.END) -> None:
    """Asks for numbers for the open listings that have none of the present model: the extra was installed, or changed."""
    await enqueue(tx, instance, NAME, "all", instance.clock.ms() + wait_ms, str(before).encode())


async def fill(instance: "Instance", _key: str, payload: bytes) -> None:
    """The job: a few listings without numbers, newest first, and then it asks for itself again; what is new comes between. Ends at once without the extra."""
    engine = semantic.embedder(instance)
    if engine is None:
        return
    locked = instance.vault.locked
    some = await instance.database.read(_lacking, instance, engine, int(payload or b"0") or listings.END)
    for one in some:
        await keep(instance, one)
    if len(some) == AT_ONCE:
        await instance.database.write(_go_on, instance, PAUSE_MS, some[-1].id)
    elif locked:
        await instance.database.write(_go_on, instance, LOCKED_MS, listings.END)


async def catch_up(instance: "Instance", seconds: float) -> None:
    """Makes, for at most so long, the numbers that are lacking, newest first: for a command where no worker runs. Nothing without the extra."""
    engine, before, until = semantic.embedder(instance), listings.END, monotonic() + seconds
    while engine is not None and monotonic() < until:
        some = await instance.database.read(_lacking, instance, engine, before)
        for one in some:
            if monotonic() < until:
                await keep(instance, one)
        if len(some) < AT_ONCE:
            return
        before = some[-1].id


async def _lacking(tx: Transaction, instance: "Instance", engine: "Embedder", before: int) -> list[Listing]:
    rows = await tx.all(LACKING, private=int(not instance.vault.locked), before=before, model=engine.model, limit=AT_ONCE)
    return await listings.from_rows(tx, instance, rows)


async def _go_on(tx: Transaction, instance: "Instance", wait_ms: int, before: int) -> None:
    await fill_soon(tx, instance, wait_ms=wait_ms, before=before)


@dataclass(frozen=True, slots=True)
class _Skills:
    """The rows of every skill, for one model."""

    model: str
    slugs: tuple[str, ...]
    rows: semantic.Rows


async def skill_likeness(instance: "Instance", text: str) -> Mapping[str, float] | None:
    """How near a text is to each skill, by slug, from -1 to 1; None for an empty text, without the extra, or while too many wait.

    Nothing of the text is kept.
    """
    text = text.strip()[:MOST_LETTERS]
    skills = await _skills(instance) if text else None
    made = None if skills is None else await semantic.embed(instance, [text], "query", patient=False)
    if made is None or skills is None:
        return None
    # As floats: a sum of int8 would run over.
    near = (skills.rows.codes.astype("float32") @ made.codes[0].astype("float32")) * skills.rows.scales * made.scales[0]
    return dict(zip(skills.slugs, near.tolist(), strict=True))


async def _skills(instance: "Instance") -> _Skills | None:
    """The rows of the skills: from the file where it was made for this model, else made now, for some ten seconds, and kept in memory."""
    engine = semantic.embedder(instance)
    if engine is None:
        return None
    found = instance.memory.get(SKILLS)
    if isinstance(found, _Skills) and found.model == engine.model:
        return found
    texts = skillrows.texts()
    rows = skillrows.stored(engine.model) or await semantic.embed(instance, list(texts.values()), "query", patient=False)
    if rows is None:
        return None
    made = instance.memory[SKILLS] = _Skills(engine.model, tuple(texts), rows)
    return made
