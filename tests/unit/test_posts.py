"""Which posts do we hold, ours and theirs?"""

import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from actors import vault
from actors.known import Actor
from outbox import posts
from outbox.posts import Known, Post, Refused, Removed, Taken, visibility
from schemas.events import Answer, Boosted, Mentioned, PostArrived, PostChanged, PostGone, PostStored
from schemas.objects import PUBLIC, Attachment, Hashtag, Mention, Note
from schemas.reading import Iri
from tests.house import BASE, House, build, configure

THEIRS = "https://theirs.example"
CANARY = "the canary sings at midnight"


@pytest.fixture
async def house(database, tmp_path: Path) -> House:
    return await build(database, configure(tmp_path))


def theirs(house: House, author: Actor, number: int = 1, **changes) -> Note:
    """A public post of a stranger."""
    plain = Note(
        id=Iri(f"{THEIRS}/notes/{number}"),
        attributed_to=author.uri,
        content="<p>Hello</p>",
        published=house.clock.now() - timedelta(minutes=5),
        to=(PUBLIC,),
        cc=(Iri(f"{author.uri}/followers"),),
    )
    return replace(plain, **changes)


def direct(house: House, author: Actor, reader: Actor, number: int = 1, **changes) -> Note:
    mention = Mention(reader.uri, f"@{reader.handle}")
    return theirs(house, author, number, **{"content": f"<p>{CANARY}</p>", "to": (reader.uri,), "cc": (), "mentions": (mention,), **changes})


async def rows(house: House, table: str) -> list:
    async def read(tx):
        return [dict(row) for row in await tx.all(f"select * from {table}")]

    return await house.read(read)


def of(house: House, kind: type) -> list:
    return [event for event in house.told if isinstance(event, kind)]


# --- visibility


def note_to(*to: str, cc: tuple[str, ...] = (), audience: tuple[str, ...] = ()) -> Note:
    author = Iri(f"{THEIRS}/users/bo")
    return Note(Iri(f"{THEIRS}/notes/1"), author, "x", to=tuple(map(Iri, to)), cc=tuple(map(Iri, cc)), audience=tuple(map(Iri, audience)))


FOLLOWERS = Iri(f"{THEIRS}/users/bo/followers")


@pytest.mark.parametrize("spelling", [PUBLIC, "as:Public", "Public"])
def test_every_spelling_of_public_is_public_in_to_and_unlisted_elsewhere(spelling: str) -> None:
    assert visibility(note_to(spelling, FOLLOWERS), FOLLOWERS) == "public"
    assert visibility(note_to(FOLLOWERS, cc=(spelling,)), FOLLOWERS) == "unlisted"
    assert visibility(note_to(FOLLOWERS, audience=(spelling,)), FOLLOWERS) == "unlisted"


def test_followers_may_stand_in_any_field() -> None:
    assert visibility(note_to(FOLLOWERS), FOLLOWERS) == "followers"
    assert visibility(note_to(f"{BASE}/users/amina", cc=(FOLLOWERS,)), FOLLOWERS) == "followers"
    assert visibility(note_to(cc=(FOLLOWERS,)), None) == "followers", "Misskey's guess where the actor names no collection"


def test_direct_is_what_names_neither_public_nor_the_followers() -> None:
    assert visibility(note_to(f"{BASE}/users/amina"), FOLLOWERS) == "direct"
    assert visibility(note_to(cc=(f"{BASE}/users/amina",)), FOLLOWERS) == "direct", "Takahe addresses in cc alone"
    assert visibility(note_to(), FOLLOWERS) == "direct"
    assert visibility(note_to("https://other.example/users/x/followers"), FOLLOWERS) == "direct", "somebody else's followers are not the author's"


# --- storing


async def test_a_public_post_is_stored_once_with_its_text_audience_and_tags(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    note = theirs(
        house,
        bo,
        content="<p>Look <script>alert(1)</script><b>here</b></p>",
        summary="<b>careful</b>",
        language="en",
        content_map=(("en", "<p>Look</p>"),),
        cc=(bo.followers or Iri(f"{bo.uri}/followers"), amina.uri),
        mentions=(Mention(amina.uri, "@amina@ours.example"),),
        hashtags=(Hashtag("LegalAid", Iri(f"{THEIRS}/tags/legalaid")), Hashtag("legalaid")),
        attachments=(Attachment(Iri(f"{THEIRS}/a.png"), "image/png", "a map"),),
        source="Look here",
    )
    stored = await house.write(posts.store, house.instance, bo, note, local=False, document=b'{"id": "x"}')
    assert isinstance(stored, Post)
    assert "script" not in stored.content
    assert stored.summary == "careful"
    assert (stored.visibility, stored.local, stored.language) == ("public", False, "en")
    assert stored.published == house.clock.ms() - 5 * 60_000
    again = await house.read(posts.by_uri, note.id)
    assert again == stored
    assert [mention.href for mention in again.mentions] == [amina.uri]
    assert [tag.name for tag in again.hashtags] == ["LegalAid", "legalaid"]
    assert again.attachments[0].description == "a map"
    assert again.source == "Look here"
    audience = await rows(house, "post_audience")
    assert {(row["target"], row["field"]) for row in audience} == {(PUBLIC, "to"), (f"{bo.uri}/followers", "cc"), (amina.uri, "cc")}
    assert [row["actor_id"] for row in audience if row["target"] == amina.uri] == [amina.id]
    assert [row["name"] for row in await rows(house, "post_tag")] == ["legalaid"]
    kept = (await rows(house, "post"))[0]["document"]
    assert posts.original(bytes(kept)) == zlib.decompress(bytes(kept)) == b'{"id": "x"}'
    clean = replace(note, content=stored.content, summary="careful")
    assert of(house, PostStored) == [PostStored(stored.id, bo.id, False, clean, "public")]
    assert of(house, Mentioned) == [Mentioned(stored.id, bo.id, amina.id)]
    assert isinstance(await house.write(posts.store, house.instance, bo, note, local=False), Known)
    assert len(await rows(house, "post")) == 1
    assert len(of(house, PostStored)) == 1


async def test_the_product_hears_before_it_is_stored_and_may_take_it(database, tmp_path: Path) -> None:
    async def take(tx, event) -> Answer:
        assert await tx.one("select 1 as there from post where uri = :uri", uri=event.note.id) is None
        return Answer.TAKEN

    house = await build(database, configure(tmp_path), subscribers={PostArrived: [take]})
    bo, amina = await house.stranger("bo"), await house.person("amina")
    assert await house.write(posts.store, house.instance, bo, direct(house, bo, amina), local=False) == Taken()
    assert await rows(house, "post") == []
    assert not of(house, PostStored)
    own = Note(Iri(f"{BASE}/posts/7"), amina.uri, "<p>mine</p>", to=(PUBLIC,))
    assert isinstance(await house.write(posts.store, house.instance, amina, own, local=True, post_id=7), Post), "our own posts are not asked about"


async def test_what_is_not_public_rests_sealed(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    secret = direct(house, bo, amina, summary=CANARY, language="ar", hashtags=(Hashtag("canary"),), source=CANARY)
    stored = await house.write(posts.store, house.instance, bo, secret, local=False, document=CANARY.encode())
    assert isinstance(stored, Post)
    assert CANARY in stored.content, "whoever stored it may go on with its words"
    row = (await rows(house, "post"))[0]
    assert [row[name] for name in ("content", "summary", "language", "tags", "document")] == [None] * 5
    assert CANARY.encode() not in bytes(row["sealed"])
    assert await rows(house, "post_tag") == [], "a tag says what a text is about"
    found = await house.read(posts.by_id, stored.id)
    assert found.content == ""
    assert found.sealed
    opened = posts.opened(house.instance, found)
    assert opened == stored
    assert (opened.summary, opened.language, opened.source) == (CANARY, "ar", CANARY)
    house.instance.vault.lock()
    with pytest.raises(vault.Locked):
        posts.opened(house.instance, found)
    second = await house.write(posts.store, house.instance, bo, direct(house, bo, amina, 2), local=False)
    assert isinstance(second, Post), "a locked instance still takes what arrives"


async def test_a_sealed_text_does_not_open_in_another_row(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    first = await house.write(posts.store, house.instance, bo, direct(house, bo, amina, 1), local=False)
    second = await house.write(posts.store, house.instance, bo, direct(house, bo, amina, 2), local=False)
    sealed = (await house.read(posts.by_id, first.id)).sealed
    with pytest.raises(vault.Tampered):
        posts.opened(house.instance, replace(await house.read(posts.by_id, second.id), sealed=sealed))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": Iri(f"{BASE}/posts/1")}, "it claims to be one of ours"),
        ({"id": Iri("https://OURS.example./posts/1")}, "it claims to be one of ours"),
        ({"id": Iri("https://other.example/notes/1")}, "its id is not on its author's host"),
        ({"id": Iri("http://theirs.example/notes/1")}, "its id is not on its author's host"),
        ({"id": Iri("nonsense")}, "its id is no address"),
        ({"attributed_to": Iri(f"{THEIRS}/users/eve")}, "its author is not its sender"),
        ({"attributed_to": Iri(f"{BASE}/users/amina")}, "its author is not its sender"),
    ],
)
async def test_what_is_not_theirs_to_write_is_refused(house: House, changes: dict, why: str) -> None:
    bo = await house.stranger("bo")
    assert await house.write(posts.store, house.instance, bo, theirs(house, bo, **changes), local=False) == Refused(why)
    assert await rows(house, "post") == []
    assert not of(house, PostArrived)


async def test_a_post_never_changes_hands(house: House) -> None:
    bo, eve = await house.stranger("bo"), await house.stranger("eve")
    note = theirs(house, bo)
    await house.write(posts.store, house.instance, bo, note, local=False)
    stolen = replace(note, attributed_to=eve.uri, updated=house.clock.now(), content="<p>stolen</p>")
    assert await house.write(posts.store, house.instance, eve, stolen, local=False) == Refused("it would change hands")
    assert await house.write(posts.change, house.instance, eve, stolen) == Refused("it belongs to somebody else")
    assert await house.write(posts.change, house.instance, bo, stolen) == Refused("it belongs to somebody else")
    assert await house.write(posts.delete, house.instance, eve, note.id) == Refused("it belongs to somebody else")
    assert (await house.read(posts.by_uri, note.id)).content == "<p>Hello</p>"


async def test_a_post_from_the_future_is_from_now_and_its_id_follows_its_time(house: House) -> None:
    bo = await house.stranger("bo")
    note = theirs(house, bo, published=house.clock.now() + timedelta(days=365))
    stored = await house.write(posts.store, house.instance, bo, note, local=False)
    assert stored.published == house.clock.ms()


async def test_replies_find_their_parent_whichever_came_first(house: House) -> None:
    bo = await house.stranger("bo")
    reply = theirs(house, bo, 2, in_reply_to=Iri(f"{THEIRS}/notes/1"))
    early = await house.write(posts.store, house.instance, bo, reply, local=False)
    assert early.in_reply_to_id is None
    parent = await house.write(posts.store, house.instance, bo, theirs(house, bo, 1), local=False)
    assert (await house.read(posts.by_id, early.id)).in_reply_to_id == parent.id
    late = await house.write(posts.store, house.instance, bo, theirs(house, bo, 3, in_reply_to=Iri(f"{THEIRS}/notes/1")), local=False)
    assert late.in_reply_to_id == parent.id


async def test_only_who_is_addressed_and_mentioned_is_told(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    mention = (Mention(amina.uri, "@amina@ours.example"),)
    await house.write(posts.store, house.instance, bo, theirs(house, bo, 1, mentions=mention), local=False)
    assert of(house, Mentioned) == [], "a tag alone addresses nobody"
    await house.write(posts.store, house.instance, bo, theirs(house, bo, 2, cc=(amina.uri,)), local=False)
    assert of(house, Mentioned) == [], "addressed in silence"
    third = await house.write(posts.store, house.instance, bo, theirs(house, bo, 3, cc=(amina.uri,), mentions=mention * 2), local=False)
    assert of(house, Mentioned) == [Mentioned(third.id, bo.id, amina.id)]
    fourth = await house.write(posts.store, house.instance, bo, direct(house, bo, amina, 4, to=(), cc=(amina.uri,), mentions=()), local=False)
    assert of(house, Mentioned)[1:] == [Mentioned(fourth.id, bo.id, amina.id)]


async def test_a_local_post_makes_its_note_again(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    for number, to in ((7, (PUBLIC,)), (8, (bo.uri,))):
        own = Note(
            id=Iri(f"{BASE}/posts/{number}"),
            attributed_to=amina.uri,
            content="<p>مرحبا</p>",
            language="ar",
            content_map=(("ar", "<p>مرحبا</p>"),),
            source="مرحبا",
            url=Iri(f"{BASE}/@amina/{number}"),
            published=house.clock.now(),
            conversation=f"{BASE}/contexts/{number}",
            to=to,
            cc=(amina.followers,) if number == 7 else (),
            mentions=(Mention(bo.uri, f"@{bo.handle}"),),
            hashtags=(Hashtag("legal", Iri(f"{BASE}/tags/legal")),),
        )
        stored = await house.write(posts.store, house.instance, amina, own, local=True, post_id=number)
        assert stored.id == number
        assert await house.read(posts.note, house.instance, await house.read(posts.by_id, number)) == own


async def test_somebody_elses_post_is_not_stored_as_local(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    for actor, author in ((bo, bo), (amina, bo)):
        with pytest.raises(ValueError, match="our own actors"):
            await house.write(posts.store, house.instance, actor, theirs(house, author), local=True)


# --- changing


async def test_an_edit_changes_the_words_and_tells(house: House) -> None:
    bo = await house.stranger("bo")
    note = theirs(house, bo, hashtags=(Hashtag("old"),))
    stored = await house.write(posts.store, house.instance, bo, note, local=False)
    edit = replace(note, content="<p>Better<script></script></p>", hashtags=(Hashtag("new"),), updated=house.clock.now())
    changed = await house.write(posts.change, house.instance, bo, edit)
    assert isinstance(changed, Post)
    assert (changed.id, changed.content, changed.updated) == (stored.id, "<p>Better</p>", house.clock.ms())
    assert [row["name"] for row in await rows(house, "post_tag")] == ["new"]
    assert len(of(house, PostChanged)) == 1


async def test_what_is_older_or_undated_changes_nothing(house: House) -> None:
    bo = await house.stranger("bo")
    note = theirs(house, bo)
    await house.write(posts.store, house.instance, bo, note, local=False)
    newer = replace(note, content="<p>2</p>", updated=house.clock.now())
    await house.write(posts.change, house.instance, bo, newer)
    for late in (newer, replace(newer, content="<p>1</p>", updated=house.clock.now() - timedelta(minutes=1)), replace(newer, updated=None)):
        assert isinstance(await house.write(posts.change, house.instance, bo, late), Known)
    assert (await house.read(posts.by_uri, note.id)).content == "<p>2</p>"
    assert len(of(house, PostChanged)) == 1


async def test_an_edit_never_moves_the_time_of_publication_nor_widens_who_reads(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    note = direct(house, bo, amina)
    stored = await house.write(posts.store, house.instance, bo, note, local=False)
    moved = replace(note, published=house.clock.now() - timedelta(days=2), updated=house.clock.now())
    assert await house.write(posts.change, house.instance, bo, moved) == Refused("its time of publication would change")
    wide = replace(note, to=(PUBLIC,), updated=house.clock.now(), content="<p>changed</p>")
    changed = await house.write(posts.change, house.instance, bo, wide)
    assert changed.visibility == "direct"
    row = (await rows(house, "post"))[0]
    assert row["content"] is None
    assert posts.opened(house.instance, await house.read(posts.by_id, stored.id)).content == "<p>changed</p>"


async def test_an_edit_of_something_unknown_is_stored_if_it_is_recent(house: House) -> None:
    bo = await house.stranger("bo")
    recent = theirs(house, bo, 1, updated=house.clock.now())
    assert isinstance(await house.write(posts.change, house.instance, bo, recent), Post)
    assert len(of(house, PostArrived)) == 1
    old = theirs(house, bo, 2, published=house.clock.now() - timedelta(days=2), updated=house.clock.now())
    assert isinstance(await house.write(posts.change, house.instance, bo, old), Refused)
    assert isinstance(await house.write(posts.change, house.instance, bo, replace(old, published=None)), Refused)


# --- removing


async def test_a_deleted_post_takes_everything_with_it_and_never_comes_back(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    note = theirs(house, bo, hashtags=(Hashtag("x"),))
    stored = await house.write(posts.store, house.instance, bo, note, local=False)
    await house.write(posts.boost, house.instance, amina, Iri(f"{BASE}/activities/1"), stored, to=(PUBLIC,), local=True)
    assert await house.write(posts.delete, house.instance, bo, note.id) == Removed(stored)
    for table in ("post", "post_audience", "post_tag"):
        assert await rows(house, table) == []
    assert [(row["uri"], row["public"], row["former_type"]) for row in await rows(house, "tombstone")] == [(note.id, 1, "Note")]
    assert of(house, PostGone) == [PostGone(stored.id, bo.id, note.id)]
    assert await house.write(posts.store, house.instance, bo, note, local=False) == Refused("it was deleted")
    late = replace(note, updated=house.clock.now())
    assert await house.write(posts.change, house.instance, bo, late) == Refused("it was deleted")


async def test_only_its_own_home_gives_again_what_was_taken_back(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    eve = await house.stranger("eve", "elsewhere.example")
    note = direct(house, bo, amina)
    await house.write(posts.store, house.instance, bo, note, local=False, confidential=True)
    await house.write(posts.delete, house.instance, bo, note.id)
    before, after = house.clock.now() - timedelta(minutes=1), house.clock.now() + timedelta(minutes=1)

    async def given(who: Actor, what: Note, said_at: datetime | None, *, confidential: bool = True) -> object:
        return await house.write(posts.store, house.instance, who, what, local=False, confidential=confidential, said_at=said_at)

    # What was said before it went, is undated, in the open, of another author or of another home gives nothing, and leaves the mark
    why = "it was deleted"
    assert await given(bo, note, before) == await given(bo, note, None) == await given(bo, note, after, confidential=False) == Refused(why)
    for who, what in ((eve, note), (eve, replace(note, attributed_to=eve.uri)), (bo, replace(note, attributed_to=amina.uri))):
        assert isinstance(await given(who, what, after), Refused)
        assert [row["uri"] for row in await rows(house, "tombstone")] == [note.id]
    # Said again by whose it is, it is here again
    assert isinstance(await given(bo, note, after), Post)
    assert await rows(house, "tombstone") == []
    # What was public stays away
    public = theirs(house, bo, 2)
    await house.write(posts.store, house.instance, bo, public, local=False)
    await house.write(posts.delete, house.instance, bo, public.id)
    assert await given(bo, public, after) == Refused(why)


async def test_a_delete_that_came_first_is_honoured_only_on_its_own_host(house: House) -> None:
    bo = await house.stranger("bo")
    note = theirs(house, bo)
    assert await house.write(posts.delete, house.instance, bo, note.id) == Removed(None)
    assert await house.write(posts.store, house.instance, bo, note, local=False) == Refused("it was deleted")
    for uri in ("https://other.example/notes/1", f"{BASE}/posts/9", "rubbish"):
        assert await house.write(posts.delete, house.instance, bo, Iri(uri)) == Refused("it is not theirs")
    assert len(await rows(house, "tombstone")) == 1


async def test_the_tombstone_of_a_direct_post_does_not_say_that_it_was_there(house: House) -> None:
    amina, bo = await house.person("amina"), await house.stranger("bo")
    stored = await house.write(posts.store, house.instance, bo, direct(house, bo, amina), local=False)
    await house.write(posts.remove, house.instance, stored)
    assert [row["public"] for row in await rows(house, "tombstone")] == [0]


async def test_a_post_can_go_without_a_tombstone(house: House) -> None:
    bo = await house.stranger("bo")
    stored = await house.write(posts.store, house.instance, bo, theirs(house, bo), local=False)
    await house.write(posts.remove, house.instance, stored, tombstone=False)
    assert await rows(house, "tombstone") == []


# --- boosts


async def test_one_actor_boosts_one_post_once(house: House) -> None:
    bo, cy = await house.stranger("bo"), await house.stranger("cy")
    stored = await house.write(posts.store, house.instance, bo, theirs(house, bo), local=False)
    boost = await house.write(posts.boost, house.instance, cy, Iri(f"{THEIRS}/boosts/1"), stored, to=(PUBLIC,))
    assert isinstance(boost, Post)
    assert (boost.boost_of, boost.visibility, boost.kind) == (stored.id, "public", "Announce")
    assert of(house, Boosted) == [Boosted(boost.id, stored.id, cy.id)]
    assert await house.write(posts.boost, house.instance, cy, Iri(f"{THEIRS}/boosts/1"), stored) == Known(boost)
    assert await house.write(posts.boost, house.instance, cy, Iri(f"{THEIRS}/boosts/2"), stored) == Known(boost)
    assert await house.read(posts.boost_by, cy.id, stored.id) == boost
    assert await house.write(posts.delete, house.instance, cy, boost.uri) == Removed(boost)
    assert (await house.read(posts.by_id, stored.id)) is not None, "the post itself stays"


async def test_what_is_not_public_is_boosted_by_its_author_alone_and_never_twice_removed(house: House) -> None:
    amina, bo, cy = await house.person("amina"), await house.stranger("bo"), await house.stranger("cy")
    narrow = await house.write(posts.store, house.instance, bo, theirs(house, bo, 1, to=(Iri(f"{bo.uri}/followers"),), cc=()), local=False)
    secret = await house.write(posts.store, house.instance, bo, direct(house, bo, amina, 2), local=False)
    assert isinstance(await house.write(posts.boost, house.instance, cy, Iri(f"{THEIRS}/boosts/1"), narrow), Refused)
    assert isinstance(await house.write(posts.boost, house.instance, bo, Iri(f"{THEIRS}/boosts/2"), secret), Refused)
    own = await house.write(posts.boost, house.instance, bo, Iri(f"{THEIRS}/boosts/3"), narrow)
    assert isinstance(own, Post)
    assert isinstance(await house.write(posts.boost, house.instance, cy, Iri(f"{THEIRS}/boosts/4"), own), Refused)
    assert isinstance(await house.write(posts.boost, house.instance, cy, Iri("https://other.example/boosts/5"), narrow), Refused)
