"""Reading what arrives: documents of other servers as they send them, every shape a member may have, and rubbish."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.activities import (
    Accept,
    Activity,
    Add,
    Announce,
    Block,
    Create,
    Delete,
    EmojiReact,
    Flag,
    Follow,
    Like,
    Move,
    Other,
    Reject,
    Remove,
    Undo,
    Update,
    Vote,
    parse,
    parse_actor,
    parse_keys,
    parse_note,
)  # fmt: skip
from schemas.notes import MOST_CONTENT, MOST_MENTIONS, MOST_RECIPIENTS
from schemas.objects import PUBLIC, ActorDocument, Attachment, Emoji, Hashtag, Mention, Note, Option, Poll, Proposal, Reference, Tombstone
from schemas.reading import Unreadable, iri, moment

DOCUMENTS = Path(__file__).resolve().parents[1] / "interop" / "documents"
MUST_FAIL: dict[str, str] = json.loads((DOCUMENTS / "must_fail.json").read_text(encoding="utf-8"))
ACTORS = ("Person", "Group", "Service", "Organization", "Application")
RADIO = "https://fedmatch.example/users/radio"
ALICE = "https://peer.example/users/alice"


def document(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DOCUMENTS / name).read_text(encoding="utf-8"))
    return read


def read(found: dict[str, Any]) -> Activity | ActorDocument | Note:
    if "actor" in found or "object" in found:
        return parse(found)
    return parse_actor(found) if found.get("type") in ACTORS else parse_note(found) if "content" in found or "attributedTo" in found else parse(found)


def note(**members: Any) -> dict[str, Any]:
    return {"id": "https://peer.example/notes/1", "type": "Note", "attributedTo": ALICE, "content": "<p>hi</p>", **members}


def create(**members: Any) -> dict[str, Any]:
    return {"id": "https://peer.example/notes/1/activity", "type": "Create", "actor": ALICE, "object": note(), **members}


def created(name: str) -> Note:
    found = parse(document(name))
    assert isinstance(found, Create)
    assert isinstance(found.object, Note)
    return found.object


every = sorted(str(file.relative_to(DOCUMENTS)) for file in DOCUMENTS.glob("*/*.json"))


@pytest.mark.parametrize("name", [name for name in every if name not in MUST_FAIL and "stub" not in name])
def test_documents_of_other_servers_are_understood(name: str) -> None:
    found = read(document(name))

    what = name.rpartition("/")[2].partition("-")[2].removesuffix(".json")
    expected = {
        "create": Create, "direct": Create, "actor": ActorDocument, "group": ActorDocument, "follow": Follow, "undo": Undo, "accept": Accept,
        "announce": Announce, "delete": Delete, "vote": Vote, "votes": Vote, "like": Like, "emoji": EmojiReact, "proposal": Note,
        "block": Block, "move": Move, "add": Add, "remove": Remove, "update": Update, "flag": Flag,
    }  # fmt: skip
    if what == "announce-like":
        assert isinstance(found, Other)
    else:
        assert isinstance(found, expected[what.partition("-")[0]]), found
    if isinstance(found, Create):
        assert isinstance(found.object, Note)


@pytest.mark.parametrize("name", [name for name in every if "direct" in name])
def test_a_direct_reply_names_nobody_but_whom_it_answers(name: str) -> None:
    """A string, three times the same, or in `cc` alone; never Public, never a collection."""
    found = created(name)
    assert set(found.addressed) == {RADIO}
    assert found.in_reply_to == "https://fedmatch.example/posts/7"
    assert {mention.href for mention in found.mentions} == {RADIO}


@pytest.mark.parametrize(
    ("name", "by"), [("gotosocial/0.20-flag.json", "https://gts.example/users/gts.example"), ("hollo/0.6-flag.json", "https://hollo.example/@reza")]
)
def test_a_report_names_the_person_before_the_posts(name: str, by: str) -> None:
    """GoToSocial's instance actor sends it and addresses nobody, Hollo's reporter sends it to the very person."""
    found = parse(document(name))
    assert isinstance(found, Flag)
    assert (found.actor, found.objects) == (by, (RADIO, "https://fedmatch.example/posts/7"))


SERVERS = ("gotosocial", "hollo", "lemmy", "mastodon", "misskey", "pleroma", "snac", "takahe")


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_has_its_documents(server: str) -> None:
    found = [read(document(name)) for name in every if name.startswith(f"{server}/") and "stub" not in name]
    assert {ActorDocument, Create, Follow, Accept, Delete, Announce} <= {type(one) for one in found}
    assert any(isinstance(one, Create) and isinstance(one.object, Note) and one.object.kind == "Note" for one in found)
    # An Accept brings the whole Follow, and names us in it; whoever accepts is followed
    for one in found:
        if isinstance(one, Accept):
            assert isinstance(one.object, Follow)
            assert (one.object.actor, one.object.object) == (RADIO, one.actor)
        if isinstance(one, Announce) and one.object.startswith("https://fedmatch.example/"):
            assert PUBLIC in (*one.to, *one.cc), "`as:Public` is read as the whole IRI"


def test_a_poll_of_mastodon_brings_options_numbers_and_emoji() -> None:
    question = created("mastodon/4.5-create-question.json")
    assert question.poll == Poll((Option("Monday", 2), Option("Friday", 1)), ends=datetime(2026, 2, 8, 10, tzinfo=UTC), voters=3)
    assert question.emojis == (Emoji(":gate:", iri("https://files.mastodon.example/gate.png")),)
    closed = parse(document("mastodon/4.5-update-question.json"))
    assert isinstance(closed, Update)
    assert isinstance(closed.object, Note)
    assert closed.object.poll is not None
    assert closed.object.poll.closed == datetime(2026, 2, 8, 10, tzinfo=UTC)


def test_emoji_come_as_one_character_or_as_the_one_that_is_tagged() -> None:
    custom = parse(document("misskey/2025.11-like-custom.json"))
    assert isinstance(custom, Like)
    assert custom.emoji == Emoji(":blobcat:", iri("https://files.misskey.example/blobcat.png"))

    def reaction(content: Any, **more: Any) -> Activity:
        return parse({"id": "https://peer.example/1", "type": "EmojiReact", "actor": ALICE, "object": RADIO, "content": content, **more})

    for content in ("👍", "👍🏽", "🏳️‍🌈", "👩🏽‍⚖️", "🇸🇾", "1️⃣", "❤", "❤️", "☕", " 🔥 "):
        assert isinstance(reaction(content), EmojiReact), content
    for nothing in ("", "a", "ok", "👍👍", "🇸🇾🇺🇦", "👍a", ":x:", None, 5, ["👍", "x"] * 2, "👍" * 200):
        found = reaction(nothing)
        assert isinstance(found, Other) or nothing == ["👍", "x"] * 2, nothing


def test_numbers_of_polls_are_numbers() -> None:
    options = [{"type": "Note", "name": "x", "replies": {"totalItems": total}} for total in (-1, 1e308, "7", True, 2**70, 3)]
    read = parse_note(note(type="Question", anyOf=[*options, {"name": None}, "y"], votersCount=-3, closed=True))
    assert read.poll is not None
    assert ([option.votes for option in read.poll.options], read.poll.voters, read.poll.multiple) == ([0, 0, 0, 0, 0, 3], 0, True)
    assert parse_note(note(type="Question", oneOf=[options[0]])).poll is None, "one option is no choice"


def test_what_a_group_wraps_says_where_to_look() -> None:
    for kind in ("Update", "Delete"):
        found = parse(document(f"lemmy/0.19-announce-{kind.lower()}.json"))
        assert isinstance(found, Announce)
        assert (found.wraps, found.object) == (kind, "https://lemmy.example/post/42")


@pytest.mark.parametrize(("name", "where"), MUST_FAIL.items())
def test_those_that_must_fail_say_where(name: str, where: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(document(name))
    assert caught.value.where == where


def test_a_mastodon_reply_keeps_all_we_show() -> None:
    post = created("mastodon/4.5-create-note.json")

    assert post.language == "en"
    assert post.content_map == ()
    assert post.in_reply_to == "https://fedmatch.example/posts/7"
    assert post.conversation == "tag:fedmatch.example,2026-11-19:objectId=7:objectType=Conversation"
    assert post.to == ("https://mastodon.example/users/lena/followers",)
    assert post.mentions == (Mention(iri(RADIO), "@radio@fedmatch.example"),)
    assert post.hashtags == (Hashtag("radio", iri("https://mastodon.example/tags/radio")),)
    assert post.attachments == (Attachment(iri("https://files.mastodon.example/media/1.jpg"), "image/jpeg", "A mast on a hill"),)
    assert post.published == datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)


def test_gotosocial_names_the_language_by_the_text_itself() -> None:
    post = created("gotosocial/0.20-create-note.json")

    assert (post.language, post.content_map) == ("ar", (("en", "<p>Radio engineer available</p>"),))
    assert post.to == (PUBLIC,)
    assert post.summary is None
    assert post.published == datetime(2026, 11, 20, 8, 15, 30, 123000, tzinfo=UTC)


def test_public_has_one_spelling_after_reading() -> None:
    for name in ("takahe/0.11-create-note.json", "hollo/0.6-create-note.json"):
        assert created(name).to == (PUBLIC,)
    for spelling in ("as:Public", "Public", PUBLIC, ["Public", "as:Public"], {"id": "as:Public"}):
        assert parse_note(note(to=spelling)).to == (PUBLIC,)


def test_direct_replies_of_every_server_name_only_whom_they_address() -> None:
    for name in ("gotosocial/0.20-direct-reply.json", "takahe/0.11-direct-reply.json", "snac/2.94-create-direct.json"):
        post = created(name)
        assert post.addressed == (RADIO,)
        assert post.mentions == (Mention(iri(RADIO), "@radio@fedmatch.example"),)
        assert post.in_reply_to == "https://fedmatch.example/posts/7"


def test_a_lemmy_page_shows_its_title_and_is_escaped() -> None:
    post = created("lemmy/0.19-create-page.json")

    assert post.content == "<p><strong>Looking for a lawyer &amp; a translator</strong></p><p>In Lyon, from Arabic.</p>\n"
    assert (post.kind, post.language, post.attachments[0].url) == ("Page", "fr", "https://lyon.example/")


def test_a_group_that_wraps_a_create_announces_its_post() -> None:
    found = parse(document("lemmy/0.19-announce-create.json"))

    assert isinstance(found, Announce)
    assert found.object == "https://lemmy.example/post/42"


def test_pleroma_members_are_read_where_they_stand() -> None:
    post = created("pleroma/2.9-create-note.json")

    assert (post.language, post.sensitive, post.conversation) == (None, False, "https://pleroma.example/contexts/2b3c")
    assert post.attachments[0].url == "https://pleroma.example/media/leaflet.pdf"
    assert parse_actor(document("pleroma/2.9-actor.json")).handle == "tomas@pleroma.example"


def test_actors_bring_their_own_keys() -> None:
    hollo = parse_actor(document("hollo/0.6-actor.json"))
    snac = parse_actor(document("snac/2.94-actor.json"))

    assert [(key.algorithm, key.id.partition("#")[2]) for key in hollo.keys] == [("rsa", "main-key"), ("ed25519", "ed25519-key")]
    assert snac.keys[0].public.startswith(b"\x30\x82")
    assert len(hollo.keys[1].public) == 32


def test_a_key_is_found_in_a_stub_and_in_a_key_document() -> None:
    stub = document("gotosocial/0.20-key-stub.json")
    key = stub["publicKey"]

    assert parse_keys(stub) == parse_keys(key) == parse_keys({"publicKey": [key], "id": stub["id"]})
    assert parse_keys(stub)[0].owner == "https://gts.example/users/amina"
    with pytest.raises(Unreadable):
        parse_actor(stub)


def test_a_foreign_key_does_not_become_the_actors() -> None:
    actor = document("snac/2.94-actor.json")
    actor["publicKey"]["owner"] = "https://victim.example/users/v"

    assert parse_actor(actor).keys == ()


def test_what_lies_on_another_host_is_left_out_of_an_actor() -> None:
    actor = document("mastodon/4.5-actor.json") | {
        "outbox": "https://evil.example/outbox", "endpoints": {"sharedInbox": "https://evil.example/inbox"}, "url": "https://evil.example/@lena",
    }  # fmt: skip
    found = parse_actor(actor)

    assert (found.outbox, found.shared_inbox, found.url) == (None, None, None)
    assert found.icon == "https://files.mastodon.example/accounts/1.png"
    assert found.summary == "<p>Radio engineer. </p>"
    assert found.fields[0].value == '<a href="https://lena.example" rel="nofollow noopener noreferrer">lena.example</a>'


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("Create", Create),
        ("as:Create", Create),
        ("https://www.w3.org/ns/activitystreams#Create", Create),
        (["Create"], Create),
        (["Offer", "Create"], Create),
        ("Offer", Other),
    ],
)
def test_types_come_in_every_spelling(type_: Any, expected: type) -> None:
    assert isinstance(parse(create(type=type_)), expected)
    assert isinstance(parse({("@type" if name == "type" else name): value for name, value in create(type=type_).items()}), expected)


@pytest.mark.parametrize("value", [ALICE, {"id": ALICE}, {"@id": ALICE}, {"id": ALICE, "type": "Person"}, [ALICE], [{"id": ALICE}]])
def test_members_come_as_text_object_or_list(value: Any) -> None:
    found = parse(create(actor=value, to=value, object=note(attributedTo=value, inReplyTo=value, cc=value, url=value)))

    assert isinstance(found, Create)
    assert isinstance(found.object, Note)
    assert {found.actor, *found.to, *found.object.cc, found.object.attributed_to, found.object.in_reply_to, found.object.url} == {ALICE}


def test_the_page_of_a_post_is_the_html_one() -> None:
    links = ["https://peer.example/n/1", {"type": "Link", "mediaType": "application/json", "href": "https://peer.example/j"}]
    page = {"type": "Link", "mediaType": "text/html", "href": "https://peer.example/h"}

    assert parse_note(note(url=[*links, page])).url == "https://peer.example/h"
    assert parse_note(note(url=links)).url == "https://peer.example/n/1"
    assert parse_note(note(url=links[1])).url == "https://peer.example/j"
    assert parse_note(note(url="javascript:alert(1)")).url is None


@pytest.mark.parametrize(
    ("members", "thread"),
    [
        ({"context": "https://m.example/contexts/1", "conversation": "tag:m.example,2026:1"}, "https://m.example/contexts/1"),
        ({"context": {"id": "https://m.example/contexts/1", "type": "OrderedCollection"}}, "https://m.example/contexts/1"),
        ({"context": 7, "conversation": "tag:m.example,2026:1"}, "tag:m.example,2026:1"),
        ({"context": None, "conversation": None}, None),
    ],
)
def test_the_name_of_a_thread_is_its_context_before_its_conversation(members: dict[str, Any], thread: str | None) -> None:
    assert parse_note(note(**members)).conversation == thread


@pytest.mark.parametrize(
    ("members", "content", "language"),
    [
        ({"content": None, "contentMap": {"fa": "سلام", "en": "hello"}}, "سلام", "fa"),
        ({"content": "hello", "contentMap": {"fa": "سلام", "en": "hello"}}, "hello", "en"),
        ({"content": "other", "contentMap": {"fa": "سلام"}}, "other", "fa"),
        ({"content": {"@value": "hello", "@language": "en"}}, "hello", "en"),
        ({"content": [{"@value": "hello"}]}, "hello", None),
        ({"content": "x", "contentMap": {"und": "x"}}, "x", None),
        ({"content": "x", "contentMap": ["x"]}, "x", None),
        ({"content": "a < b\nc", "mediaType": "text/plain"}, "<p>a &lt; b<br>c</p>", None),
        ({"content": None, "name": "<name>"}, "<p>&lt;name&gt;</p>", None),
        ({"content": None}, "", None),
        ({"content": 7}, "", None),
    ],
)
def test_content_is_found_where_it_stands(members: dict[str, Any], content: str, language: str | None) -> None:
    post = parse_note(note(**members))

    assert (post.content, post.language) == (content, language)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-20T08:15:30Z", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30.123456789Z", datetime(2026, 11, 20, 8, 15, 30, 123456, tzinfo=UTC)),
        ("2026-11-20t10:15:30+02:00", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20 08:15:30 UTC", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 08:15:30 GMT", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ({"@type": "xsd:dateTime", "@value": "2026-11-20T08:15:30Z"}, datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("99999-11-20T08:15:30Z", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday at noon", None),
        (1763626530, None),
        ([], None),
        (None, None),
    ],
)
def test_times_come_in_many_forms(written: Any, meant: datetime | None) -> None:
    assert moment(written) == meant
    assert parse_note(note(published=written)).published == meant


def test_recipients_of_the_activity_stand_in_for_missing_ones() -> None:
    found = parse(create(to=[PUBLIC], cc=[ALICE]))
    assert isinstance(found, Create)
    assert isinstance(found.object, Note)
    assert (found.object.to, found.object.cc) == ((PUBLIC,), (ALICE,))

    direct = parse(create(to=[PUBLIC], object=note(to=[RADIO])))
    assert isinstance(direct, Create)
    assert isinstance(direct.object, Note)
    assert direct.object.addressed == (RADIO,)


def test_sizes_are_bounded_and_a_cut_never_hides_public() -> None:
    many = [f"https://peer.example/users/{number}" for number in range(3 * MOST_RECIPIENTS)]
    tags = [{"type": "Mention", "href": one, "name": "x"} for one in many] + [{"type": "Hashtag", "name": f"#t{one}"} for one in range(2000)]
    post = parse_note(note(to=[*many, "as:Public"], tag=tags, content="x" * (2 * MOST_CONTENT), attachment=[{"url": one} for one in many]))

    assert len(post.to) == MOST_RECIPIENTS + 1
    assert PUBLIC in post.to
    assert (len(post.mentions), len(post.attachments), len(post.content)) == (MOST_MENTIONS, 16, MOST_CONTENT)


def test_an_author_who_is_missing_or_one_of_several_is_the_sender() -> None:
    bare = note()
    del bare["attributedTo"]
    found = parse(create(object=bare))
    assert isinstance(found, Create)
    assert isinstance(found.object, Note)
    assert found.object.attributed_to == ALICE

    channel = {"id": "https://peer.example/channel", "type": "Group"}
    assert parse_note(note(attributedTo=[channel, {"id": ALICE, "type": "Person"}]), sender=iri(ALICE)).attributed_to == ALICE
    assert parse_note(note(attributedTo=[channel])).attributed_to == "https://peer.example/channel"


@pytest.mark.parametrize("kind", ["Undo", "Accept", "Reject"])
def test_inner_activities_come_whole_or_as_an_id(kind: str) -> None:
    follow = {"id": "https://peer.example/f/1", "type": "Follow", "actor": RADIO, "object": ALICE}
    classes: dict[str, type[Undo | Accept | Reject]] = {"Undo": Undo, "Accept": Accept, "Reject": Reject}

    def inner(value: Any) -> Any:
        found = parse({"id": "https://peer.example/x", "type": kind, "actor": ALICE, "object": value})
        assert isinstance(found, classes[kind])
        return found.object

    assert inner(follow) == Follow(id=iri(follow["id"]), actor=iri(RADIO), object=iri(ALICE))
    assert inner([follow]) == inner(follow)
    assert inner(follow["id"]) == Reference(iri(follow["id"]))
    assert inner({"id": follow["id"]}) == Reference(iri(follow["id"]))
    assert inner(follow | {"object": 7}) == Reference(iri(follow["id"]))
    assert inner({"id": follow["id"], "type": "Offer", "actor": RADIO}) == Other(id=iri(follow["id"]), actor=iri(RADIO), kind="Offer")


def test_deletes_name_what_goes() -> None:
    delete = {"id": ALICE + "#delete", "type": "Delete", "actor": ALICE}

    assert parse(delete | {"object": ALICE}) == Delete(id=iri(ALICE + "#delete"), actor=iri(ALICE), object=Reference(iri(ALICE)))
    stone = parse(delete | {"object": {"type": "Tombstone", "id": ALICE + "/1", "formerType": "Note"}})
    assert isinstance(stone, Delete)
    assert stone.object == Tombstone(iri(ALICE + "/1"), "Note")


def test_creates_of_unknown_things_are_known_as_such() -> None:
    place = parse(create(object={"id": "https://peer.example/p", "type": "Place"}))
    assert place == Other(id=iri("https://peer.example/notes/1/activity"), actor=iri(ALICE), kind="Create")
    bare = parse(create(object="https://peer.example/p"))
    assert isinstance(bare, Create)
    assert bare.object == Reference(iri("https://peer.example/p"))


def test_updates_bring_posts_and_actors() -> None:
    actor = document("snac/2.94-actor.json")
    changed = parse({"id": ALICE + "#u", "type": "Update", "actor": actor["id"], "object": actor})
    edited = parse({"id": ALICE + "#u", "type": "Update", "actor": ALICE, "object": note(updated="2026-11-20T08:15:30Z")})

    assert isinstance(changed, Update)
    assert isinstance(changed.object, ActorDocument)
    assert isinstance(edited, Update)
    assert isinstance(edited.object, Note)
    assert edited.object.updated == datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)


PROPOSAL = {
    "purpose": "request", "status": "open", "category": ["legalaid"], "skill": ["https://w3id.org/fedmatch/ns/skill/AsylumLaw", "own-word"],
    "spokenLanguage": ["ar", "en"], "region": "SY", "urgency": "days", "hasEnd": "2026-12-01T00:00:00Z",
    "source": {"content": "Plain words", "mediaType": "text/plain"},
    "publishes": {"type": "Intent", "name": "A lawyer", "action": "deliverService", "availableQuantity": {"hasUnit": "one", "hasNumericalValue": "1"}},
}  # fmt: skip


@pytest.mark.parametrize("space", ["", "vf:", "https://w3id.org/valueflows/ont/vf#"])
def test_a_request_is_read_in_every_dialect(space: str) -> None:
    prefix = {"": "", "vf:": "fm:", "https://w3id.org/valueflows/ont/vf#": "https://w3id.org/fedmatch/ns#"}[space]
    terms = dict.fromkeys(("purpose", "publishes", "hasEnd"), space)
    terms |= dict.fromkeys(("status", "category", "skill", "spokenLanguage", "region", "urgency"), prefix)
    post = parse_note(note(**{terms.get(name, "") + name: value for name, value in PROPOSAL.items()}))

    assert post.proposal == Proposal(
        purpose="request", title="A lawyer", text="Plain words", categories=("LegalAid",), skills=("AsylumLaw", "own-word"), speaks=("ar", "en"),
        region="SY", urgency="days", until=datetime(2026, 12, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("intent", "status"),
    [
        ({}, "open"),
        ({"availableQuantity": {"hasNumericalValue": 0}}, "matched"),
        ({"availableQuantity": {"hasNumericalValue": "0"}}, "matched"),
        ({"availableQuantity": {"om2:hasNumericalValue": {"@value": "0"}}}, "matched"),
        ({"availableQuantity": {"hasNumericalValue": 3}}, "open"),
        ({"finished": True}, "withdrawn"),
        ({"vf:finished": {"@value": "true"}}, "withdrawn"),
    ],
)
def test_without_a_status_the_quantities_tell(intent: dict[str, Any], status: str) -> None:
    members = {name: value for name, value in PROPOSAL.items() if name != "status"} | {"publishes": {"type": "Intent", "name": "x", **intent}}
    proposal = parse_note(note(**members)).proposal

    assert proposal is not None
    assert proposal.status == status


def test_strange_words_in_a_request_are_left_out() -> None:
    strange = {"category": ["a b", "x" * 65, 7, {"@value": "Ok"}], "skill": [], "urgency": "now", "region": "../x", "spokenLanguage": ["ar", 7, "no language"]}
    proposal = parse_note(note(**PROPOSAL | strange | {"hasEnd": "soon"})).proposal

    assert proposal is not None
    assert (proposal.categories, proposal.skills, proposal.speaks) == (("Ok",), (), ("ar",))
    assert (proposal.urgency, proposal.region, proposal.until) == (None, None, None)


def test_proposals_of_other_servers_are_offers_here() -> None:
    mitra = parse_note(document("mitra/4.11-proposal.json"))
    bonfire = parse_note(document("bonfire/0.9-proposal.json"))
    flohmarkt = created("flohmarkt/0.21-create-note.json")

    assert mitra.proposal is not None
    assert (mitra.proposal.title, mitra.proposal.text, mitra.proposal.status) == ("Bicycle repair", "We repair bicycles of couriers", "matched")
    assert bonfire.proposal is not None
    assert (bonfire.proposal.title, bonfire.proposal.text) == ("A hall for forty people", "Free on weekdays")
    assert bonfire.proposal.until == datetime(2026, 12, 24, tzinfo=UTC)
    assert flohmarkt.proposal is not None
    assert (flohmarkt.proposal.purpose, flohmarkt.proposal.title) == ("offer", "Generator")
    assert [one.url for one in flohmarkt.attachments] == ["https://flohmarkt.example/1.png"]


def test_a_purpose_alone_makes_no_request() -> None:
    assert parse_note(note(purpose="request")).proposal is None
    assert parse_note(note(purpose="fun", publishes={"type": "Intent"})).proposal is None


WORDS = [
    "https://a.example/x",
    "https://b.example/y",
    "as:Public",
    "Public",
    "Note",
    "Create",
    "Person",
    "x",
    "http://[",
    "request",
    "2026-01-01",
    "en",
    "\u202e",
    "<p>x</p>",
    "",
]
MEMBERS = [
    "@context",
    "id",
    "@id",
    "type",
    "@type",
    "actor",
    "object",
    "to",
    "cc",
    "audience",
    "attributedTo",
    "content",
    "contentMap",
    "summary",
    "summaryMap",
    "name",
    "nameMap",
    "tag",
    "attachment",
    "url",
    "href",
    "published",
    "updated",
    "inReplyTo",
    "context",
    "conversation",
    "source",
    "mediaType",
    "language",
    "@value",
    "@language",
    "inbox",
    "preferredUsername",
    "webfinger",
    "publicKey",
    "publicKeyPem",
    "publicKeyMultibase",
    "assertionMethod",
    "owner",
    "endpoints",
    "icon",
    "purpose",
    "publishes",
    "vf:purpose",
    "status",
    "category",
    "skill",
    "region",
    "hasEnd",
    "availableQuantity",
    "hasNumericalValue",
    "finished",
    "en",
    "fa",
    "alsoKnownAs",
    "movedTo",
    "formerType",
    "value",
]
KINDS = [
    "Create",
    "Update",
    "Delete",
    "Follow",
    "Like",
    "Announce",
    "Accept",
    "Reject",
    "Undo",
    "Block",
    "Note",
    "Person",
    "Question",
    "Page",
    "Mention",
    "Hashtag",
    "Proposal",
]
leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.sampled_from(WORDS)
members = st.sampled_from(MEMBERS)
rubbish = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(members, inner, max_size=6), max_leaves=30)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(members, rubbish, max_size=10), st.sampled_from(KINDS), st.sampled_from(KINDS), st.dictionaries(members, rubbish, max_size=14))
def test_rubbish_is_read_or_refused_and_nothing_else(outer: dict[str, Any], kind: str, inner_kind: str, inner: dict[str, Any]) -> None:
    inner = {"type": inner_kind, "id": "https://a.example/1", "attributedTo": ALICE, "inbox": "https://a.example/inbox", "preferredUsername": "a", **inner}
    for found in ({"type": kind, "actor": ALICE, "object": inner, **outer}, inner):
        for reader in (parse, parse_note, parse_actor, parse_keys):
            with suppress(Unreadable):
                reader(found)
