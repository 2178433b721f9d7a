"""Writing what leaves: what we write is read back unchanged, has the shapes that running servers need, and loses nothing to JSON-LD."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import documents, vocabulary
from schemas.activities import (
    Accept,
    Activity,
    Add,
    Announce,
    Block,
    Create,
    Delete,
    EmojiReact,
    Follow,
    Like,
    Move,
    Reject,
    Remove,
    Undo,
    Update,
    Vote,
    parse,
    parse_actor,
    parse_note,
)
from schemas.objects import PUBLIC, ActorDocument, Attachment, Emoji, Field, Hashtag, Key, Mention, Note, Option, Poll, Proposal, Reference, Tallies, Tombstone
from schemas.reading import Document, Iri

ALICE = Iri("https://a.example/users/alice")
RSA = generate_private_key(65537, 2048).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
iris = st.builds(lambda host, path: Iri(f"https://{host}.example/{path}"), st.sampled_from("abc"), st.text("abcdefghij0123456789/é", max_size=12))
moments = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
languages = st.sampled_from(["en", "ar", "fa", "zh-Hans", "pt-BR", "ku"])
people = st.lists(iris | st.just(PUBLIC), max_size=4, unique=True).map(tuple)
slugs = st.sampled_from([*(one.slug for one in vocabulary.categories()), "AsylumLaw", "Editing", "their-own.word", "x" * 64])

proposals = st.builds(
    Proposal,
    purpose=st.sampled_from(["request", "offer"]),
    title=texts,
    text=texts,
    status=st.sampled_from(["open", "matched", "fulfilled", "withdrawn", "paused"]),
    categories=st.lists(slugs, max_size=3, unique=True).map(tuple),
    skills=st.lists(slugs, max_size=3, unique=True).map(tuple),
    speaks=st.lists(languages, max_size=3, unique=True).map(tuple),
    region=st.none() | st.sampled_from(["SY", "UA"]),
    urgency=st.none() | st.sampled_from(["hours", "days", "weeks", "anytime"]),
    until=st.none() | moments,
)
plain_notes = st.builds(
    Note,
    id=iris,
    attributed_to=iris,
    content=texts.map(lambda text: f"<p>{text}</p>"),
    summary=st.none() | texts,
    sensitive=st.booleans(),
    language=st.none() | languages,
    source=st.none() | texts,
    url=st.none() | iris,
    published=st.none() | moments,
    updated=st.none() | moments,
    in_reply_to=st.none() | iris,
    conversation=st.none() | iris | st.just("tag:a.example,2026:1"),
    to=people,
    cc=people,
    audience=st.lists(iris, max_size=2, unique=True).map(tuple),
    mentions=st.lists(st.builds(Mention, iris, st.just("@bob@b.example")), max_size=3, unique_by=lambda one: one.href).map(tuple),
    hashtags=st.lists(st.builds(Hashtag, st.sampled_from(["Legal", "کمک", "radio_1"]), st.none() | iris), max_size=3, unique_by=lambda one: one.name).map(
        tuple
    ),
    attachments=st.lists(st.builds(Attachment, iris, st.none() | st.just("image/png"), st.none() | texts), max_size=3).map(tuple),
    emojis=st.lists(st.builds(Emoji, st.sampled_from([":gate:", ":x@b.example:"]), st.none() | iris), max_size=2, unique_by=lambda one: one.name).map(tuple),
)
polls = st.builds(
    Poll,
    options=st.lists(st.builds(Option, texts, st.integers(0, 10**6)), min_size=2, max_size=4).map(tuple),
    multiple=st.booleans(),
    ends=st.none() | moments,
    closed=st.none() | moments,
    voters=st.none() | st.integers(0, 10**6),
)


@st.composite
def notes(draw: st.DrawFn, listing: bool | None = None) -> Note:
    note: Note = draw(plain_notes)
    if note.language:
        others = draw(st.dictionaries(languages.filter(lambda tag: tag != note.language), texts, max_size=2))
        note = replace(note, content_map=tuple(others.items()))
    if listing is None and draw(st.booleans()):
        return replace(note, kind="Question", poll=draw(polls))
    if listing or (listing is None and draw(st.booleans())):
        proposal = draw(proposals)
        note = replace(note, proposal=proposal, source=proposal.text)
    return note


actors = st.builds(
    ActorDocument,
    id=st.just(ALICE),
    kind=st.sampled_from(["Person", "Service", "Application", "Group", "Organization"]),
    username=st.sampled_from(["alice", "a_1", "a.example"]),
    inbox=st.just(Iri(ALICE + "/inbox")),
    keys=st.sampled_from([
        (Key(Iri(ALICE + "#main-key"), ALICE, "rsa", RSA),),
        (Key(Iri(ALICE + "#main-key"), ALICE, "rsa", RSA), Key(Iri(ALICE + "#ed25519-key"), ALICE, "ed25519", bytes(range(32)), True)),
        (Key(Iri(ALICE + "#main-key"), ALICE, "rsa", RSA), Key(Iri(ALICE + "#second-key"), ALICE, "rsa", RSA, True)),
    ]),
    shared_inbox=st.none() | st.just(Iri("https://a.example/inbox")),
    outbox=st.none() | st.just(Iri(ALICE + "/outbox")),
    followers=st.none() | st.just(Iri(ALICE + "/followers")),
    following=st.none() | st.just(Iri(ALICE + "/following")),
    featured=st.none() | st.just(Iri(ALICE + "/collections/featured")),
    name=st.none() | texts,
    summary=st.none() | st.just("<p>Who I am</p>"),
    url=st.none() | st.just(Iri("https://a.example/@alice")),
    icon=st.none() | iris,
    handle=st.none() | st.just("alice@a.example"),
    locked=st.booleans(),
    published=st.none() | moments,
    updated=st.none() | moments,
    moved_to=st.none() | iris,
    also_known_as=st.lists(iris, max_size=2, unique=True).map(tuple),
    fields=st.lists(st.builds(Field, texts, st.just("<b>x</b>")), max_size=2).map(tuple),
)  # fmt: skip


def heads(**more: Any) -> dict[str, Any]:
    return {"id": iris, "actor": iris, "to": people, "cc": people, "published": st.none() | moments, **more}


follows = st.builds(Follow, **heads(object=iris))
announces = st.builds(Announce, **heads(object=iris))
emojis = st.builds(Emoji, st.sampled_from("🔥❤👍")) | st.builds(Emoji, st.just(":gate:"), st.none() | iris)
likes = st.builds(Like, **heads(object=iris, emoji=st.none() | emojis))
reacts = st.builds(EmojiReact, **heads(object=iris, emoji=emojis))
blocks = st.builds(Block, **heads(object=iris))
accepts = st.builds(Accept, **heads(object=follows | st.builds(Reference, iris)))
references = st.builds(Reference, iris)
activities: st.SearchStrategy[Activity] = st.one_of(
    follows,
    announces,
    likes,
    reacts,
    blocks,
    accepts,
    st.builds(Announce, **heads(object=iris, wraps=st.sampled_from(["Update", "Delete"]))),
    st.builds(Vote, **heads(question=iris, choices=st.lists(texts, min_size=1, max_size=3, unique=True).map(tuple))),
    *(st.builds(kind, **heads(object=iris, target=iris)) for kind in (Move, Add, Remove)),
    st.builds(Reject, **heads(object=follows | references)),
    st.builds(Undo, **heads(object=follows | announces | likes | reacts | blocks | accepts | references)),
    st.builds(Create, **heads(object=references)),
    st.builds(Update, **heads(object=references | actors)),
    st.builds(Delete, **heads(object=references | st.builds(Tombstone, iris, st.none() | st.just("Note")))),
)


def over_the_wire(document: Document) -> Document:
    read: Document = json.loads(documents.dumps(document))
    return read


@settings(max_examples=60, deadline=None)
@given(notes())
def test_a_post_is_read_back_as_it_was_written(note: Note) -> None:
    assert parse_note(over_the_wire(documents.note(note))) == note


@settings(max_examples=40, deadline=None)
@given(notes(), iris, moments)
def test_a_create_is_read_back_as_it_was_written(note: Note, id: Iri, at: datetime) -> None:
    note = replace(note, to=note.to or (PUBLIC,))
    create = Create(id=id, actor=note.attributed_to, object=note, to=note.to, cc=note.cc, published=at)

    assert parse(over_the_wire(documents.activity(create))) == create


@settings(max_examples=60, deadline=None)
@given(activities)
def test_an_activity_is_read_back_as_it_was_written(activity: Activity) -> None:
    assert parse(over_the_wire(documents.activity(activity))) == activity


@settings(max_examples=40, deadline=None)
@given(actors)
def test_an_actor_is_read_back_as_it_was_written(actor: ActorDocument) -> None:
    assert parse_actor(over_the_wire(documents.actor(actor))) == actor


@settings(max_examples=20, deadline=None)
@given(notes(listing=True))
def test_the_twin_says_the_same_as_the_post(note: Note) -> None:
    twin = parse_note(over_the_wire(documents.proposal(note)))

    assert twin.proposal == note.proposal
    assert (twin.id, twin.kind, twin.content) == (f"{note.id}/proposal", "Proposal", note.content)


LISTING = Note(
    id=Iri("https://a.example/posts/1"),
    attributed_to=ALICE,
    content="<p>طلب</p>",
    language="ar",
    content_map=(("en", "<p>Request</p>"),),
    published=datetime(2026, 11, 22, 10, tzinfo=UTC),
    to=(PUBLIC,),
    cc=(Iri(ALICE + "/followers"),),
    proposal=Proposal("request", "Lawyer", "We need a lawyer", categories=("LegalAid",), skills=("AsylumLaw",), until=datetime(2026, 12, 1, tzinfo=UTC)),
)
assert LISTING.proposal is not None


def test_a_request_has_the_shape_that_running_servers_need() -> None:
    document = over_the_wire(documents.note(LISTING))

    assert document["@context"][0] == "https://www.w3.org/ns/activitystreams"
    assert all(not isinstance(one, str) for one in document["@context"][1:])  # Takahe would not know it
    assert document["type"] == "Note"
    assert "name" not in document  # GoToSocial and Takahe fold the text away, snac takes it for a vote
    assert document["summary"] is None
    assert "updated" not in document
    assert next(iter(document["contentMap"].items())) == ("ar", document["content"])
    assert (document["to"], document["cc"]) == ([PUBLIC], [ALICE + "/followers"])
    assert document["interactionPolicy"]["canReply"] == {"automaticApproval": [ALICE], "manualApproval": [PUBLIC]}
    assert document["interactionPolicy"]["canAnnounce"] == {"automaticApproval": [PUBLIC]}
    assert document["publishes"]["id"] == "https://a.example/posts/1#primary"
    assert document["publishes"]["availableQuantity"] == {"hasUnit": "one", "hasNumericalValue": "1"}
    assert (document["endTime"], document["hasEnd"]) == ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert document["proposal"] == "https://a.example/posts/1/proposal"
    assert document["source"] == {"content": "We need a lawyer", "mediaType": "text/plain"}


def test_a_create_repeats_audience_and_context() -> None:
    create = Create(id=Iri("https://a.example/posts/1/activity"), actor=ALICE, object=LISTING, to=LISTING.to, cc=LISTING.cc)
    document = over_the_wire(documents.activity(create))

    assert "@context" not in document["object"]
    assert document["@context"] == over_the_wire(documents.note(LISTING))["@context"]
    assert (document["to"], document["cc"]) == (document["object"]["to"], document["object"]["cc"])
    assert len(documents.dumps(document)) < 64 * 1024


@pytest.mark.parametrize(("status", "available", "finished"), [("open", "1", False), ("matched", "0", False), ("paused", "0", False), ("fulfilled", "0", True)])
def test_states_travel_as_quantities_too(status: str, available: str, finished: bool) -> None:
    assert LISTING.proposal is not None
    intent = documents.note(replace(LISTING, proposal=replace(LISTING.proposal, status=status)))["publishes"]

    assert (intent["availableQuantity"]["hasNumericalValue"], intent["finished"]) == (available, finished)


def test_an_ordinary_note_carries_no_policy_and_few_terms() -> None:
    document = documents.note(replace(LISTING, proposal=None))

    assert "interactionPolicy" not in document
    assert "purpose" not in document
    assert document["@context"] == documents.NOTE_CONTEXT
    with pytest.raises(ValueError, match="twin"):
        documents.proposal(replace(LISTING, proposal=None))


def test_a_public_post_names_its_collections_with_their_totals() -> None:
    written = documents.note(Note(Iri("https://a.example/posts/1"), ALICE, "<p>x</p>", to=(PUBLIC,), tallies=Tallies(likes=2, shares=1)))
    assert written["replies"] == "https://a.example/posts/1/replies"
    # Mastodon digs for the totals: a bare id would break it
    assert (written["likes"]["totalItems"], written["shares"]["totalItems"]) == (2, 1)
    assert parse_note(over_the_wire(written)).tallies is None


@pytest.mark.parametrize(
    ("named", "to", "emitted"),
    [
        ("https://a.example/posts/1/context", PUBLIC, True),
        ("https://a.example/posts/2/context", PUBLIC, True),
        ("https://a.example/posts/1/context", ALICE, False),
        ("https://a.example/posts/1#conversation", PUBLIC, False),
        ("https://b.example/posts/1/context", PUBLIC, False),
        ("https://a.example/posts/x/context", PUBLIC, False),
        ("https://a.example/posts/1/context\n", PUBLIC, False),
        ("tag:a.example,2026:1", PUBLIC, False),
        (None, PUBLIC, False),
    ],
)
@pytest.mark.parametrize("request_too", [False, True])
def test_the_name_of_a_thread_is_a_context_only_where_we_list_it(named: str | None, to: Iri, emitted: bool, request_too: bool) -> None:
    note = Note(Iri("https://a.example/posts/1"), ALICE, "<p>x</p>", to=(to,), conversation=None if named is None else Iri(named))
    if request_too:
        note = replace(LISTING, id=note.id, to=note.to, conversation=note.conversation)
    written = documents.note(note)
    assert written.get("conversation") == named
    assert written.get("context") == (named if emitted and not request_too else None)


def test_accepts_embed_the_whole_follow() -> None:
    follow = Follow(id=Iri("https://b.example/f/1"), actor=Iri("https://b.example/users/bob"), object=ALICE)
    document = documents.activity(Accept(id=Iri("https://a.example/activities/1"), actor=ALICE, object=follow))

    assert document["object"] == {"id": "https://b.example/f/1", "type": "Follow", "actor": "https://b.example/users/bob", "object": ALICE}
    assert document["@context"] == "https://www.w3.org/ns/activitystreams"


def test_the_instance_actor_says_the_least() -> None:
    key = Key(Iri("https://a.example/actor#main-key"), Iri("https://a.example/actor"), "rsa", RSA)
    document = documents.actor(
        ActorDocument(Iri("https://a.example/actor"), "Application", "a.example", Iri("https://a.example/actor/inbox"), (key,), locked=True)
    )

    assert set(document) == {"@context", "id", "type", "preferredUsername", "inbox", "manuallyApprovesFollowers", "publicKey", "implements"}
    assert document["publicKey"]["publicKeyPem"].startswith("-----BEGIN PUBLIC KEY-----\n")
    assert document["publicKey"]["publicKeyPem"].endswith("\n")


def test_keys_of_persons_are_multikeys_with_the_actor_as_controller() -> None:
    key = Key(Iri(ALICE + "#ed25519-key"), ALICE, "ed25519", bytes(32))
    document = documents.actor(ActorDocument(ALICE, "Person", "alice", Iri(ALICE + "/inbox"), (key,)))

    assert document["assertionMethod"][0]["controller"] == document["id"]
    assert document["assertionMethod"][0]["publicKeyMultibase"].startswith("z6Mk")
    assert (document["discoverable"], document["indexable"], document["manuallyApprovesFollowers"]) == (False, False, False)
    assert document["generator"]["implements"][0]["href"] == "https://w3id.org/fedmatch/ns#"


def test_discovery_documents() -> None:
    finger = documents.webfinger("acct:alice@a.example", ALICE, profile=Iri("https://a.example/@alice"))
    assert finger["subject"] == "acct:alice@a.example"
    assert finger["aliases"] == ["https://a.example/@alice", ALICE]
    assert [link["type"] for link in finger["links"] if link["rel"] == "self"] == ["application/activity+json"]
    assert "https://www.w3.org/ns/activitystreams#Service" in {link["rel"] for link in documents.webfinger("acct:a@a", ALICE, application=True)["links"]}

    assert 'template="https://a.example/.well-known/webfinger?resource={uri}"' in documents.host_meta_xml("https://a.example")
    assert documents.host_meta("https://a.example")["links"][0]["rel"] == "lrdd"

    rels = {link["rel"]: link["href"] for link in documents.nodeinfo_links("https://a.example")["links"]}
    assert rels["http://nodeinfo.diaspora.software/ns/schema/2.1"] == "https://a.example/nodeinfo/2.1"
    assert rels["https://www.w3.org/ns/activitystreams#Application"] == "https://a.example/actor"
    info = documents.nodeinfo("2.1", release="0.1.0", name="n", description="d")
    assert set(info) == {"version", "software", "protocols", "services", "openRegistrations", "usage", "metadata"}
    assert (info["usage"], info["protocols"], info["software"]["name"]) == ({"users": {}}, ["activitypub"], "fedmatch")


def test_collections_hide_their_members_unless_told() -> None:
    hidden = documents.collection(Iri(ALICE + "/followers"), 3)
    assert set(hidden) == {"@context", "id", "type", "totalItems"}

    create = Create(id=Iri("https://a.example/posts/1/activity"), actor=ALICE, object=LISTING, to=LISTING.to)
    page = documents.collection_page(Iri(ALICE + "/outbox?page=1"), Iri(ALICE + "/outbox"), [create, LISTING, ALICE], next=Iri(ALICE + "/outbox?page=2"))
    assert [item if isinstance(item, str) else item["type"] for item in page["orderedItems"]] == ["Create", "Note", ALICE]
    assert page["@context"] == documents.LISTING_CONTEXT
    assert documents.collection_page(ALICE, ALICE, [])["orderedItems"] == []


def test_a_tombstone_says_what_was_and_when() -> None:
    stone = documents.tombstone(LISTING.id, "Note", datetime(2026, 11, 22, tzinfo=UTC))
    assert (stone["type"], stone["formerType"], stone["deleted"]) == ("Tombstone", "Note", "2026-11-22T00:00:00Z")
