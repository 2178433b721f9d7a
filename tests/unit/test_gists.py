"""Does what lies ready for matching say what the text says, find what nobody tagged, and go with the text; and does nothing private lie anywhere?"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.instance import Instance
from fedmatch import handlers
from fedmatch.board import gists, index, life, listings, matches, private, publish
from fedmatch.board.listings import Listing
from fedmatch.database import text
from fedmatch.matching import gist, skills, terms
from schemas.objects import Need, Proposal, Translation
from schemas.storage import Transaction
from tests.houses import REQUEST, opened, person

LAWYER = Proposal("offer", "Rechtsanwältin", "Ich vertrete Geflüchtete im Asylverfahren, kostenlos", speaks=("de",))
BARE = Proposal("request", "محامٍ", "أحتاج إلى محامٍ لطلب اللجوء", speaks=("ar",))


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance on each engine."""
    async with opened(tmp_path, database_url) as instance:
        yield instance


async def say(instance: Instance, proposal: Proposal, language: str = "en", audience: listings.AudienceName = "public") -> Listing:
    author = await person(instance, f"p{instance.ids.new() % 10**9}")
    return await publish.listing(instance, author, proposal, language, audience=audience)


async def kept(tx: Transaction) -> dict[int, set[str]]:
    """The topics of everything of which a gist lies in the database."""
    found: dict[int, set[str]] = {row["id"]: set() for row in await tx.all("select id from text_gist")}
    for row in await tx.all("select id, slug from text_topic"):
        found[row["id"]].add(row["slug"])
    return found


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=300))
def test_a_gist_says_what_the_text_says_also_after_it_lay_as_bytes(said: str) -> None:
    made = gist.of(said)
    assert made == gist.unpacked(gist.packed(said))
    counted = terms.grams(said[: terms.LONGEST])
    assert sum(made.grams.values()) == sum(counted.values())
    assert made.themes.keys() == skills.themes(counted).keys()
    assert all(abs(value - skills.themes(counted)[place]) < 1e-6 for place, value in made.themes.items())


def test_a_word_that_is_repeated_without_end_counts_so_often_and_no_more() -> None:
    assert set(gist.of("la " * 900).grams.values()) == {gist.MOST}
    assert gist.of("") == gist.of(" ,. ") == gist.EMPTY


def test_other_spellings_and_other_cues_make_everything_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a letter that no sample text holds."""
    before = (text.version(), gist.version())
    for cached in (gist.version, terms.mark):
        cached.cache_clear()
    monkeypatch.setitem(terms._LETTERS, ord("ؤ"), "ؤ")
    spelled = (text.version(), gist.version())
    monkeypatch.undo()
    for cached in (gist.version, terms.mark):
        cached.cache_clear()
    monkeypatch.setattr(skills, "digest", lambda: "other cues")
    cued = (text.version(), gist.version())
    monkeypatch.undo()
    gist.version.cache_clear()
    assert len({before, spelled, cued}) == len({one for one, _ in (before, spelled, cued)}) == 3
    assert (text.version(), gist.version()) == before


async def test_what_lies_ready_is_of_what_is_public_and_open_and_goes_with_the_words(house: Instance) -> None:
    asked = await say(house, BARE, "ar")
    offer = await say(house, replace(LAWYER, needs=(Need("Radio"),), translations=(Translation("en", "Lawyer", "asylum"),)), "de")
    hidden = await say(house, replace(LAWYER, title="Anwältin", skills=("AsylumLaw",)), "de", "local")
    found = await house.database.read(kept)
    assert set(found) == {asked.id, offer.id}
    assert "AsylumLaw" in found[asked.id] & found[offer.id], "by their words alone, in two languages"
    ready = await house.database.read(index.gists_of, house, [asked, offer])
    assert ready == {one.id: gist.packed(gists.said(one)) for one in (asked, offer)}

    # Of what is not public it lies in memory alone, while the vault is open, and not of what was edited since
    live = await house.database.read(index.private.live, house)
    assert await house.database.read(index.gists_of, house, live) == {hidden.id: gist.packed(gists.said(hidden))}
    assert await house.database.read(index.gists_of, house, [replace(live[0], title="Something else")]) == {}
    changed = await publish.edit(house, hidden, replace(hidden.proposal, text="Pumps", skills=()))
    (now,) = await house.database.read(index.private.live, house)
    assert await house.database.read(index.gists_of, house, [now]) == {hidden.id: gist.packed(gists.said(changed))}
    await publish.withdraw(house, changed)
    assert await house.database.read(index.about, house, "offer", ["AsylumLaw"], 9) == [offer.id]
    memory = house.memory[index.NAME]
    assert isinstance(memory, index.Memory)
    assert await kept(memory.tx) == {}
    house.vault.lock()
    assert await house.database.read(index.gists_of, house, [now]) == {}


async def test_what_is_closed_edited_or_gone_leaves_nothing_ready(house: Instance) -> None:
    closed, edited, gone, narrowed = [await say(house, replace(REQUEST, title=f"Request {number}")) for number in range(4)]
    await house.database.write(life.fulfil, house, closed.id)
    await publish.edit(house, edited, replace(edited.proposal, skills=("Housing",), text="A room"))
    await publish.withdraw(house, gone)

    async def narrow(tx: Transaction) -> None:
        await listings.write(tx, house, narrowed.id, narrowed.proposal, "open", "en", audience="local")

    await house.database.write(narrow)
    found = await house.database.read(kept)
    assert set(found) == {edited.id}
    assert "Housing" in found[edited.id]


async def test_a_remote_offer_does_not_miss_the_one_here_behind_many_of_others(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be brought together is left out before the best are taken, not after."""
    monkeypatch.setattr(matches, "BY_TAGS", 2)
    monkeypatch.setattr(matches, "BY_WORDS", 0)
    monkeypatch.setattr(matches, "AT_LEAST", 0)
    here = await say(house, replace(REQUEST, text="x"))
    offer = await say(house, replace(LAWYER, skills=("AsylumLaw",), text="y"))
    for number in range(4):
        there = await say(house, replace(REQUEST, title=f"Elsewhere {number}"))
        await house.database.write(carry_off, there.id)
        await say(house, replace(LAWYER, title=f"Other {number}", skills=("AsylumLaw",)))
        closed = await say(house, replace(REQUEST, title=f"Closed {number}"))
        await house.database.write(life.pause, house, closed.id)
    arrived = replace(offer, local=False)

    async def candidates(tx: Transaction) -> list[Listing]:
        return await matches._candidates(tx, house, arrived, "request", engine="base", home=True)

    assert [one.id for one in await house.database.read(candidates)] == [here.id]
    monkeypatch.setattr(matches, "BY_TAGS", 0)
    monkeypatch.setattr(matches, "AT_LEAST", 2)
    assert [one.id for one in await house.database.read(candidates)] == [here.id], "nor among the newest, where little is shared"


@pytest.mark.parametrize("filled", [True, False])
async def test_of_what_is_not_public_no_more_are_candidates_than_of_anything(house: Instance, monkeypatch: pytest.MonkeyPatch, filled: bool) -> None:
    """Also while the index in memory fills, which it does one listing a call here."""
    monkeypatch.setattr(matches, "BY_TAGS", 2)
    monkeypatch.setattr(matches, "BY_WORDS", 1)
    monkeypatch.setattr(matches, "AT_LEAST", 3)
    asked = await say(house, REQUEST)
    hidden = [await say(house, replace(LAWYER, title=f"Hidden {number}", skills=("AsylumLaw",)), audience="local") for number in range(9)]
    if not filled:
        monkeypatch.setattr(index, "CATCH_UP_S", 0.0)
    house.memory.pop(index.NAME, None)

    async def candidates(tx: Transaction) -> list[Listing]:
        return await matches._candidates(tx, house, asked, "offer", engine="base", home=True)

    found = [one.id for one in await house.database.read(candidates)]
    assert 2 <= len(found) <= 2 + 2 + 1
    assert set(found) <= {one.id for one in hidden}
    if filled:
        assert index.not_yet(house, await house.database.read(private.live, house)) == ()


async def test_what_arrives_is_not_held_against_all_that_others_wrote(house: Instance) -> None:
    """Where little is shared, the newest of ours are looked at: found among the posts of this instance, not one by one among all."""
    asked = {"kind": "request", "now": 0, "limit": 200}

    async def looked_at(tx: Transaction) -> list[str]:
        return [row["detail"] for row in await tx.all(f"explain query plan {matches.NEWEST_HERE}", **asked)]

    if house.database.engine == "sqlite":
        first, second = await house.database.read(looked_at)
        assert "post_local" in first
        assert "PRIMARY KEY" in second


async def carry_off(tx: Transaction, post_id: int) -> None:
    """As if it lived elsewhere."""
    await tx.execute("update post set local = 0 where id = :id", id=post_id)
    await tx.execute("update text_topic set here = 0 where id = :id", id=post_id)


async def test_what_nobody_tagged_is_a_candidate_in_another_language_also_on_a_large_board(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "BY_WORDS", 0)
    monkeypatch.setattr(matches, "AT_LEAST", 0)
    asked, offer = await say(house, BARE, "ar"), await say(house, LAWYER, "de")
    hidden = await say(house, replace(LAWYER, title="Anwältin"), "de", "local")
    found = await house.database.read(matches.found, house, asked)
    assert {one.listing.id for one in found} == {offer.id, hidden.id}
    assert found[0].reasons[0].code == "themes"


async def test_an_index_from_before_is_filled_with_what_matching_needs(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [await say(house, replace(REQUEST, title=f"Request {number}")) for number in range(3)]
    before = await house.database.read(kept)
    monkeypatch.setattr(text, "FORMAT", text.FORMAT + 1)
    await text.prepare(house.database)  # type: ignore[arg-type]  # an engine
    assert await house.database.read(kept) == {}
    offer = await say(house, replace(LAWYER, skills=("AsylumLaw",)), "de")
    assert len(await house.database.read(matches.found, house, offer)) == 3, "their texts are read meanwhile"
    await handlers.handlers(house)["index"](house, "all", b"")
    after = await house.database.read(kept)
    assert {one.id: after[one.id] for one in some} == before
