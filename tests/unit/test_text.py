"""Does the index find words in every script, the same on both engines, keep up with every change, and hold nothing that was deleted in any file?"""

import random
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from actors import local
from actors.instance import Instance
from actors.known import Actor
from fedmatch import app, handlers
from fedmatch.board import index, life, listings, private, publish, readers, search
from fedmatch.board.listings import END, Listing
from fedmatch.board.search import Wanted
from fedmatch.database import postgresql_text, sqlite_text, text
from fedmatch.matching import terms
from fedmatch.safety import vouches
from schemas.objects import Need, Proposal, Translation
from tests.houses import REQUEST, open_house, opened, person

OFFER = replace(REQUEST, purpose="offer")


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance on each engine."""
    async with opened(tmp_path, database_url) as instance:
        yield instance


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a handful of listings makes several parts, on either engine."""
    monkeypatch.setattr(sqlite_text, "PART", 4)
    monkeypatch.setattr(postgresql_text, "PART", 4)
    monkeypatch.setattr(postgresql_text, "LOOK", 1)


async def say(instance: Instance, proposal: Proposal, language: str = "en", audience: listings.AudienceName = "public") -> Listing:
    author = await person(instance, f"p{instance.ids.new() % 10**9}")
    return await publish.listing(instance, author, proposal, language, audience=audience)


async def found(instance: Instance, *words: str, sort: search.Sort = "newest", **more: object) -> list[str]:
    wanted = Wanted(words=words, **more)  # type: ignore[arg-type]  # its members

    async def look(tx: listings.Transaction) -> list[Listing]:
        return await search.public(tx, instance, wanted, sort=sort)

    return sorted(one.title for one in await instance.database.read(look))


async def hidden(instance: Instance, *words: str) -> list[str]:
    """As somebody who may read all that is not public."""
    return [one.title for one in await instance.database.read(search.search, instance, Wanted(words=words)) if one.audience != "public"]


SAID = {
    "English": Proposal("request", "A lawyer", "Who knows the asylum law of Sweden? It's for O'Brien.", categories=("LegalAid",)),
    "Deutsch": Proposal("offer", "Straßenärztin", "Übersetzerin für Kurdisch", categories=("LanguageHelp",)),
    "Українська": Proposal("request", "Київський адвокат", "Шукаю юриста для біженців", categories=("LegalAid",)),
    "العربية": Proposal("request", "محامٍ", "مَن يعرف قانون اللجوء؟ كتـــاب", categories=("LegalAid",)),
    "فارسی": Proposal("request", "کمک", "به یک پزشک نیاز داریم، می‌خواهم کتاب‌ها", categories=("LegalAid",)),
    "中文": Proposal("offer", "律师", "我们为难民提供法律援助", categories=("LegalAid",)),
}
ASKED = [
    (("LAWYER",), {"English"}),
    (("law",), {"English"}),
    (("la",), set()),
    (("asylum", "sweden"), {"English"}),
    (("asylum", "norway"), set()),
    (("asylum law",), {"English"}),
    (("law asylum",), set()),
    (("strassenärztin",), {"Deutsch"}),
    (("ubersetzerin",), {"Deutsch"}),
    (("київськ",), {"Українська"}),
    (("біженців",), {"Українська"}),
    (("محام",), {"العربية"}),
    (("اللجوء",), {"العربية"}),
    (("يك",), {"فارسی"}),
    (("难民",), {"中文"}),
    (("律师", "法律援助"), {"中文"}),
    (("难民律师",), set()),
    (("LegalAid",), {"English", "Українська", "العربية", "فارسی", "中文"}),
]


async def test_words_of_every_script_are_found_the_same_on_both_engines(house: Instance) -> None:
    titles = {}
    tags = {"English": "en", "Deutsch": "de", "Українська": "uk", "العربية": "ar", "فارسی": "fa", "中文": "zh"}
    for name, proposal in SAID.items():
        made = await say(house, proposal, tags[name])
        titles[made.title] = name
    for words, names in ASKED:
        for sort in ("newest", "best"):
            assert {titles[title] for title in await found(house, *words, sort=sort)} == names, words  # type: ignore[arg-type]  # one of two
        every = [await house.database.read(listings.newest, house)]
        by_hand = {titles[one.title] for one in every[0] if search.matches(one, Wanted(words=words))}
        assert by_hand == names, words


async def test_a_listing_is_found_by_all_that_it_says_and_as_it_is_now(house: Instance) -> None:
    rich = replace(
        REQUEST, title="Radio", text="Studio", translations=(Translation("fr", "Poste", "Atelier sonore"),), needs=(Need("Antennenbauer", 2),)
    )  # fmt: skip
    made = await say(house, rich)
    for word in ("radio", "studio", "poste", "sonore", "antennenbauer", "asylum", "legal"):
        assert await found(house, word) == ["Radio"], word
    changed = await publish.edit(house, made, replace(made.proposal, title="Television", text="Studio", translations=()))
    assert await found(house, "radio") == []
    assert await found(house, "studio") == ["Television"]
    await house.database.write(life.pause, house, changed.id)
    assert await found(house, "studio") == []
    assert await found(house, "studio", state="closed") == ["Television"]
    await house.database.write(life.reopen, house, changed.id)
    assert await found(house, "studio") == ["Television"]
    await publish.withdraw(house, changed)
    assert await found(house, "studio", state="any") == []


async def test_alike_are_open_ones_of_the_other_kind_the_nearest_first(house: Instance) -> None:
    """Public ones from the index, the others from memory; neither the locked nor the closed ones."""
    asked = await say(house, replace(REQUEST, title="Swedish asylum law", text="Appeal to the migration court in Malmö"))
    near = await say(house, replace(OFFER, title="Asylum appeals in Sweden", text="I take cases to the migration court, also in Malmö"))
    hidden = await say(house, replace(OFFER, title="Malmö, migration court", text="Appeals"), audience="local")
    await say(house, replace(OFFER, title="Zzzz", text="Qqqq"))
    closed = await say(house, replace(OFFER, title="Asylum appeals in Sweden", text="I take cases to the migration court, also in Malmö"))
    await house.database.write(life.fulfil, house, closed.id)
    assert await house.database.read(index.alike, house, asked, "offer", 10) == [near.id, hidden.id]
    assert await house.database.read(index.alike, house, asked, "offer", 1) == [near.id]
    assert await house.database.read(index.alike, house, near, "request", 10) == [asked.id]
    assert await house.database.read(index.alike, house, asked, "request", 10) == []
    await publish.withdraw(house, hidden)
    assert await house.database.read(index.alike, house, asked, "offer", 10) == [near.id]
    house.vault.lock()
    assert await house.database.read(index.alike, house, asked, "offer", 10) == [near.id]
    assert index.NAME not in house.memory


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite counts in one part of the index
async def test_what_the_statistics_call_common_is_not_counted_again_and_changes_nothing(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_text, "COMMON", 3)
    monkeypatch.setattr(postgresql_text, "SURELY", 1)
    near = [
        await say(house, replace(OFFER, title="Everywhere", text=f"everywhere the same {word}")) for word in ("guitar", "violin", "violin", "piano", "piano")
    ]
    rare = index.source(near[0])
    common = "everywhere the same"

    async def alike(tx: listings.Transaction) -> list[list[int]]:
        return [[key for _, key in await text.of(house.database).alike(tx, "offer", asked, 9)] for asked in (rare, common)]

    async def counted(tx: listings.Transaction) -> tuple[int, int]:
        every = text.spread(text.keys("offer", rare))
        return len(every), len(await postgresql_text.PostgresqlText()._having(tx, every, 3))

    async def analyze(tx: listings.Transaction) -> None:
        await tx.execute("analyze text_entry")

    before, (every, without) = await house.database.read(alike), await house.database.read(counted)
    assert before[0] == [near[0].id]
    assert len(before[1]) == 3, "where all is common, that is what there is"
    assert without == every, "of which nothing is said yet"
    await house.database.write(analyze)
    every, fewer = await house.database.read(counted)
    assert 0 < fewer < every
    assert await house.database.read(alike) == before


async def test_whoever_fills_the_memory_delays_nobody_else(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each search has a moment to put in what came since; what is new goes in before what was only read again."""
    # Given more of one than a moment holds, all of them read again, and an older one that is not open
    meek = await say(house, replace(OFFER, title="Quiet"), audience="local")
    await house.database.write(life.move, house, meek, "expired")
    for number in range(4):
        await say(house, replace(OFFER, title=f"Loud {number}"), audience="local")
    assert len(await hidden(house, "loud")) == 4
    house.memory.pop(private.NAME)
    monkeypatch.setattr(index, "CATCH_UP_S", -1)
    # When it opens
    await house.database.write(life.reopen, house, meek.id)
    # Then it is found at once
    assert await hidden(house, "quiet") == ["Quiet"]


async def test_an_index_that_was_made_otherwise_is_made_anew_while_others_go_on(house: Instance, small_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        await say(house, replace(REQUEST, title=f"Old {number}"))
    secret = (await house.database.read(text_state))["secret"]
    monkeypatch.setattr(text, "FORMAT", text.FORMAT + 1)
    monkeypatch.setattr(index, "CHUNK", 3)
    await text.prepare(house.database)  # type: ignore[arg-type]  # an engine
    assert await found(house, "old") == []
    await say(house, replace(REQUEST, title="New"))
    assert await found(house, "asylum") == ["New"]
    await handlers.handlers(house)["index"](house, "all", b"")
    assert await found(house, "old") == [f"Old {number}" for number in range(7)]
    assert await found(house, "asylum") == ["New", *(f"Old {number}" for number in range(7))]
    state = await house.database.read(text_state)
    assert (state["filled"], state["secret"]) == (text.FULL, secret)
    await text.prepare(house.database)  # type: ignore[arg-type]  # an engine
    assert len(await found(house, "old")) == 7


async def text_state(tx: listings.Transaction) -> dict[str, object]:
    row = await tx.one(text.STATE)
    assert row is not None
    return {"filled": row["filled"], "secret": bytes(row["secret"])}


CANARY = "quetzalcoatlus"
SECOND = "xylophonist"


def traces(folder: Path, *words: str) -> list[str]:
    """What of these words, or of their grams as an index holds them, stands in a file of the instance."""
    wanted = {word.encode() for word in words}
    common = set(text.keys("request", "A lawyer Who knows asylum law? A cook"))
    wanted |= {f"{key:x}".encode() for word in words for key in text.keys("request", word) if key not in common}
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name.startswith("fedmatch.db")]
    gists = [struct.pack("<2I", *(zlib.crc32(gram.encode()) for gram in two)) for word in words for two in pairwise(terms.grams(word))]
    found = {word.decode() for one in written for word in wanted if word in one}
    return sorted(found | {"gist" for one in written if any(two in one for two in gists)})


async def test_what_was_deleted_or_changed_is_in_no_file_within_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words and grams: FTS5 would keep both in its segments. By withdrawal, by an edit, and with the cascade of a whole account."""
    monkeypatch.setattr(sqlite_text, "PART", 5)
    house = await open_house(tmp_path)
    for number in range(12):
        await say(house, replace(REQUEST, title=f"A cook {number}"))
    first = await say(house, replace(REQUEST, text=f"The {CANARY} flies"))
    second = await say(house, replace(REQUEST, title=f"A {SECOND}"))
    third = await say(house, replace(REQUEST, title="pterodactylus"))
    await house.database.erase()
    assert set(traces(tmp_path, CANARY, SECOND, "pterodactylus")) > {CANARY, SECOND, "pterodactylus", "gist"}

    await publish.withdraw(house, first)
    await publish.edit(house, second, replace(second.proposal, title="A cook"))
    await house.database.write(cascade, third.actor_id)
    await handlers.handlers(house)["erase"](house, "all", b"")
    # The first of them was also an edited post: its old text is the post's business, and gone with it.
    assert traces(tmp_path, CANARY, SECOND, "pterodactylus") == []
    assert await found(house, "cook") == sorted([f"A cook {number}" for number in range(12)] + ["A cook"])

    # A command does it by itself: there may be no worker.
    fourth = await say(house, replace(REQUEST, title=f"A {CANARY}"))
    await publish.withdraw(house, fourth)
    assert (await house.database.read(text.condition, house.database)).unclean
    await index.tidy_up(house)
    assert await house.database.read(text.condition, house.database) == text.Condition(made=True, filled=True, unclean=False)
    assert traces(tmp_path, CANARY) == []
    await app.close(house)


async def cascade(tx: listings.Transaction, actor_id: int) -> None:
    await tx.execute("delete from post where actor_id = :actor_id", actor_id=actor_id)


async def test_parts_follow_the_keys_whichever_way_texts_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_text, "PART", 4)
    tx = await sqlite_text.in_memory()
    texts = sqlite_text.SqliteText()
    keys = [50, 51, 52, 53, 60, 61, 40, 41, 30, 55, 56, 62, 63, 64, 20, 10, 45]
    for key in keys:
        await texts.put(tx, text.Entry(key, ("word",), (), (f"w{key}",), (text.facet("all", ""),), "offer", f"gram{key} common"))
    asked = text.Query((text.Term(("word",)),))
    assert await texts.newest(tx, asked, END, 100) == sorted(keys, reverse=True)
    assert await texts.newest(tx, asked, 52, 3) == [51, 50, 45]
    assert sorted(key for _, key in await texts.best(tx, asked)) == sorted(keys)
    assert [key for _, key in await texts.alike(tx, "offer", "gram45", 1)] == [45]
    for key in keys:
        assert await texts.remove(tx, key)
        assert not await texts.remove(tx, key)
    while await texts.clean(tx):
        continue
    assert await texts.newest(tx, asked, END, 100) == []


async def test_words_in_a_row_are_found_among_texts_that_only_hold_the_same_pairs() -> None:
    """Also where so many others do that looking at each would take too long."""
    tx = await sqlite_text.in_memory()
    texts = sqlite_text.SqliteText()
    for key in range(1, 40):
        said = ("asylum", "law", "school") if key % 10 == 0 else ("law", "school", "asylum", "law")
        await texts.put(tx, text.Entry(key, ("word",), (), said, (text.facet("all", ""),), None, ""))
    row = text.Query((text.Term(("asylum", "law", "school")),))
    assert await texts.newest(tx, row, END, 2) == [30, 20]
    assert await texts.newest(tx, row, 30, 5) == [20, 10]
    assert sorted(key for _, key in await texts.best(tx, row)) == [10, 20, 30]
    assert await texts.newest(tx, text.Query((text.Term(("law", "asylum")),)), END, 2) == []


async def test_what_is_not_public_is_in_no_index_on_disk(tmp_path: Path) -> None:
    house = await open_house(tmp_path)
    hidden = await say(house, replace(REQUEST, title=CANARY), audience="local")
    shown = await say(house, replace(REQUEST, title=f"About a {SECOND}"))

    async def look(tx: listings.Transaction, word: str) -> list[int]:
        return [one.id for one in await search.search(tx, house, Wanted(words=(word,)))]

    assert await house.database.read(look, CANARY) == [hidden.id]
    assert await house.database.read(look, "asylum") == sorted([hidden.id, shown.id], reverse=True)
    await house.database.erase()
    assert traces(tmp_path, CANARY) == []
    assert SECOND in traces(tmp_path, SECOND)
    await app.close(house)


async def test_what_is_not_public_is_found_by_all_that_is_seen_of_it(house: Instance) -> None:
    """Who reads all of it finds it by all of it, also once it is over; who sees its coarse fields by those alone."""
    # Given a request of somebody who was checked, for this instance alone, and a helper who may read such
    alice, bob, boss = await person(house, "alice"), await person(house, "bob"), await person(house, "boss")

    async def prepare(tx: listings.Transaction) -> None:
        for one in (alice, bob):
            await vouches.issue(tx, house, one, 2, "in-person", staff="operator")
        await local.set_role(tx, house, bob, "helper")
        await local.set_role(tx, house, boss, "moderator")

    await house.database.write(prepare)
    made = await publish.listing(house, alice, replace(REQUEST, speaks=("zh-Hans",)), "en", audience="local")

    async def look(reader: Actor | None, **more: object) -> list[int]:
        wanted = Wanted(**more)  # type: ignore[arg-type]  # its members
        return [one.id for one in await house.database.read(lambda tx: search.search(tx, house, wanted, reader=reader))]

    # Then who sees no vouch of it does not find it by one, until they opened it
    assert await look(bob, urgency="days", region="SY", speaks=("zh-Hans",)) == [made.id]
    assert await look(bob, checked=True) == []
    for one in (None, boss, alice):
        assert await look(one, checked=True, words=("asylum",)) == [made.id], one
    await house.database.write(readers.open_for, house, bob, made)
    assert await look(bob, checked=True, words=("asylum",)) == [made.id]
    # And once it is over its author and staff find it among what is closed, and nobody else
    await house.database.write(life.fulfil, house, made.id)
    for reader in (None, boss, alice):
        assert await look(reader, state="closed") == await look(reader, state="any", words=("asylum",)) == [made.id], reader
        assert await look(reader) == await look(reader, state="closed", words=("pumps",)) == []
    assert await look(bob, state="closed") == await look(bob, state="any") == []


async def test_what_the_memory_does_not_hold_yet_is_found_by_its_words(house: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command begins with an empty memory: what does not get into it in a moment is compared one by one, as it is now."""
    first, *_ = [await say(house, replace(OFFER, title=f"Loud {number}", text="pumps"), audience="local") for number in range(3)]
    house.memory.pop(index.NAME, None)
    monkeypatch.setattr(index, "CATCH_UP_S", -1)
    assert await hidden(house, "loud") == ["Loud 2", "Loud 1", "Loud 0"]
    while len(await hidden(house, "loud")) < 3 or index.not_yet(house, await house.database.read(private.live, house)):
        pass
    # What the memory holds of an older wording is not what it says
    await publish.edit(house, first, replace(first.proposal, title="Quiet"))
    await say(house, replace(OFFER, title="Newer", text="pumps"), audience="local")
    assert sorted(await hidden(house, "loud")) == ["Loud 1", "Loud 2"]
    assert await hidden(house, "quiet") == ["Quiet"]


SOME_WORDS = ("asylum", "law", "doctor", "doctors", "housing", "юрист", "محامي", "律师")


def random_entry(chance: random.Random, key: int) -> text.Entry:
    said = tuple(chance.choices(SOME_WORDS, weights=range(len(SOME_WORDS), 0, -1), k=chance.randrange(1, 9)))
    facets = (text.facet("all", ""), text.facet("kind", chance.choice(("offer", "request"))), text.facet("state", chance.choice(("open", "open", "withdrawn"))))
    return text.Entry(key, said[:2], said[2:3], said[3:], facets, None, "")


async def test_ranked_are_the_newest_as_one_question_to_the_engine_ranks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facets are left out where matches are ranked, parts are merged and emptied: what is found, and in which order, stays what the plain way gives."""
    monkeypatch.setattr(sqlite_text, "PART", 16)
    chance = random.Random(7)
    tx = await sqlite_text.in_memory()
    texts = sqlite_text.SqliteText()
    held = {key: random_entry(chance, key) for key in chance.sample(range(1, 1000), 120)}
    for entry in held.values():
        await texts.put(tx, entry)
    for key in list(held)[::9]:
        await texts.remove(tx, key)
        del held[key]
    while await texts.clean(tx):
        continue
    assert not await texts.unclean(tx)
    for _ in range(60):
        words = tuple(dict.fromkeys(chance.choices(SOME_WORDS, k=chance.randrange(1, 3))))
        groups = tuple(
            (one,) for one in chance.sample((text.facet("kind", "offer"), text.facet("state", "open"), text.facet("all", "")), chance.randrange(0, 3))
        )
        asked = text.Query(tuple(text.Term((word,), prefix=chance.random() < 0.3) for word in words), groups)
        fitting = sorted((key for key, entry in held.items() if fits(entry, asked)), reverse=True)
        assert await texts.newest(tx, asked, END, 1000) == fitting
        plain: list[tuple[float, int]] = []
        for part in await tx.all(sqlite_text.PARTS):
            plain += await texts._ranked(tx, part["id"], sqlite_text.match(asked), None, text.MOST_RANKED)
        assert await texts.best(tx, asked) == sorted(plain, reverse=True)
        assert sorted(key for _, key in plain) == fitting[::-1]


def fits(entry: text.Entry, asked: text.Query) -> bool:
    words = (*entry.title, *entry.told, *entry.text)
    said = all(any(word.startswith(term.words[0]) if term.prefix else word == term.words[0] for word in words) for term in asked.terms)
    return said and all(not set(group).isdisjoint(entry.facets) for group in asked.facets)


async def test_pages_hold_what_looking_at_every_listing_finds(house: Instance, small_parts: None) -> None:
    """Newest first and best first, over all pages and parts: nothing twice, nothing missing, nothing too much; on both engines."""
    chance = random.Random(3)
    authors = [await person(house, f"author{number}") for number in range(3)]
    everything: list[Listing] = []
    for number in range(36):
        said = " ".join(chance.choices(SOME_WORDS, k=6))
        proposal = replace(
            REQUEST,
            purpose=chance.choice(("offer", "request")),
            title=f"{chance.choice(SOME_WORDS)} {number}",
            text=said,
            region=chance.choice(("SY", "IR", None)),
        )
        everything.append(await publish.listing(house, chance.choice(authors), proposal, chance.choice(("en", "ar")), audience="public"))
    everything.sort(key=lambda one: -one.id)

    async def read(tx: listings.Transaction, wanted: Wanted, sort: search.Sort) -> list[Listing]:
        found: list[Listing] = []
        after: search.Place | None = None
        while True:
            page = await search.page(tx, house, wanted, sort=sort, after=after, limit=5)
            found += page.listings
            if page.more is None:
                return found
            after = await search.place(tx, wanted, sort, await search.cursor(tx, wanted, sort, page.more))

    parts = await house.database.read(parts_of)
    assert len(parts) > 3, "several; how many is chance where they are ranges of ids, since those of requests are drawn"
    assert await found(house, "doctors asylum", "law") != []
    for _ in range(40):
        some = chance.choices(SOME_WORDS, k=chance.randrange(0, 5))
        row = chance.randrange(0, len(some) + 1)
        wanted = Wanted(
            words=tuple(dict.fromkeys([*some[row:], " ".join(some[:row])])),
            kind=chance.choice((None, None, "offer")),
            region=chance.choice((None, None, "SY")),
            language=chance.choice((None, None, "ar")),
        )
        simple = [one.id for one in everything if search.matches(one, wanted)]
        assert [one.id for one in await house.database.read(read, wanted, "newest")] == simple
        best = [one.id for one in await house.database.read(read, wanted, "best")]
        assert sorted(best, reverse=True) == simple


async def parts_of(tx: listings.Transaction) -> list[int]:
    return [int(row["low"]) for row in await tx.all("select low from text_part")]
