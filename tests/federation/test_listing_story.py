"""A request or an offer crosses, in Arabic, English and Russian: a listing on the other instance, elsewhere a complete post, until it is withdrawn."""

from datetime import datetime, timedelta

import pytest

from schemas import vocabulary
from tests.fakepeer import AS2, PUBLIC, FakePeer
from tests.told import MAGNITSKY_ENGLISH, MAGNITSKY_RUSSIAN, REPORTER, STORIES, SYRIA_ARABIC, SYRIA_ENGLISH, Story
from tests.world import Person, World

FIRST_WORD = {
    ("request", "ar"): "طلب",
    ("request", "en"): "Request",
    ("offer", "en"): "Offer",
    ("request", "ru"): "Запрос",
}


def soon(world: World) -> datetime:
    """Sixty days ahead, as a whole day."""
    return world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=60)


async def tell(person: Person, story: Story, until: datetime | None = None) -> object:
    """The story, posted by that person."""
    return await person.listing(
        story.kind,
        story.title,
        story.text,
        language=story.language,
        categories=[story.category],
        skills=story.skills,
        speaks=story.speaks.split(","),
        region=story.region,
        urgency=story.urgency,
        until=until,
    )


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.teller}-{story.language}")
async def test_a_listing_arrives_on_the_other_instance_as_it_was_told(world: World, story: Story) -> None:
    # Given a reader elsewhere who follows the one who tells
    teller, reader = await world.person(f"{story.teller}@a"), await world.person("reader@b")
    await reader.follow(teller.handle)
    await world.settle()
    # When the story is told
    until = soon(world)
    made = await tell(teller, story, until)
    await world.settle()
    # Then it stands on both instances with every member the same
    [here], [there] = await teller.site.listings(network=False), await reader.site.listings()
    assert {**there, "id": here["id"]} == here
    assert here["url"] == made.url
    assert (there["kind"], there["title"], there["text"], there["language"]) == (story.kind, story.title, story.text, story.language)
    assert (there["categories"], there["skills"], there["speaks"]) == ([story.category], list(story.skills), story.speaks.split(","))
    assert (there["region"], there["urgency"], there["state"], there["audience"]) == (story.region, story.urgency, "open", "public")
    assert datetime.fromisoformat(there["until"]) == until
    assert (there["author"], there["origin"]) == (teller.handle, teller.site.host)
    # And it is not one of the reader's instance's own
    assert await reader.site.listings(network=False) == []
    # And a reader of posts reads all of it
    [entry] = await reader.home()
    assert story.title in entry["text"]
    assert story.text in entry["text"]


@pytest.mark.parametrize("story", [SYRIA_ARABIC, SYRIA_ENGLISH, REPORTER, MAGNITSKY_RUSSIAN], ids=lambda story: f"{story.teller}-{story.language}")
async def test_a_server_that_knows_only_notes_gets_a_complete_post(world: World, peer: FakePeer, story: Story) -> None:
    # Given a follower on a server that is not ours
    teller, follower = await world.person(f"{story.teller}@a"), peer.actor("follower")
    await follower.send(follower.follow(teller.uri), teller.actor.inbox)
    await world.settle()
    # When the story is told
    until = soon(world)
    made = await tell(teller, story, until)
    await world.settle()
    # Then it gets one Create of a plain Note
    [create] = peer.activities("Create")
    note = create["object"]
    base = teller.site.base
    assert (create["type"], create["actor"], create["id"]) == ("Create", teller.uri, f"{note['id']}/activity")
    assert note["id"] == made.url
    assert note["type"] == "Note"
    assert "name" not in note, "GoToSocial and Takahe fold a Note with a name away, snac hides it"
    assert "attachment" not in note or note["attachment"] == []
    assert note["attributedTo"] == teller.uri
    assert (note["to"], note["cc"]) == ([PUBLIC], [f"{teller.uri}/followers"])
    assert (create["to"], create["cc"]) == (note["to"], note["cc"])
    assert note["published"].endswith("Z")
    assert note["sensitive"] is False
    # Its text says everything without any extension, in its own language
    text = note["content"]
    assert text.startswith("<p")
    first = text.partition("</p>")[0]
    assert FIRST_WORD[story.kind, story.language] in first
    assert story.title in first
    assert story.text in text
    assert vocabulary.label(story.category, story.language) in text
    for skill in story.skills:
        assert vocabulary.label(skill, story.language) in text
    # The first entry of contentMap is the text itself, in the language of the story
    [(language, mapped), *_] = note["contentMap"].items()
    assert (language, mapped) == (story.language, text)
    # The members of the proposal stand beside it, their terms in an inline context
    context = create["@context"] if isinstance(create["@context"], list) else [create["@context"]]
    assert context[0] == AS2
    terms = {key: value for part in context if isinstance(part, dict) for key, value in part.items()}
    for term in ("purpose", "publishes", "status", "category", "skill", "spokenLanguage", "urgency"):
        assert term in terms
    assert note["purpose"] == story.kind
    assert note["status"] == "open"
    assert [iri.rpartition("/")[2].lower() for iri in note["category"]] == [story.category.lower()]
    assert [iri.rpartition("/")[2].lower() for iri in note["skill"]] == [skill.lower() for skill in story.skills]
    assert note["spokenLanguage"] == story.speaks.split(",")
    assert note.get("region") == story.region
    assert note.get("urgency") == story.urgency
    assert datetime.fromisoformat(note["endTime"]) == until
    intent = note["publishes"]
    assert (intent["type"], intent["id"], intent["action"], intent["name"]) == ("Intent", f"{note['id']}#primary", "deliverService", story.title)
    # GoToSocial lets people answer in private and nobody in public
    policy = note["interactionPolicy"]
    assert policy["canReply"]["automaticApproval"] == [teller.uri]
    assert policy["canReply"]["manualApproval"] == [PUBLIC]
    # Hashtags stand in the tags
    tags = {tag["name"].lower().lstrip("#"): tag for tag in note["tag"] if tag["type"] == "Hashtag"}
    assert story.category.lower() in tags
    assert all(tag["href"].startswith(f"{base}/tags/") for tag in tags.values())
    # And the id answers the same Note, a page for people, and a twin of the type Proposal
    served = (await teller.site.get(note["id"])).json
    assert {key: value for key, value in served.items() if key != "@context"} == {key: value for key, value in note.items() if key != "@context"}
    page = await teller.site.get(note["id"], "text/html")
    assert page.status == 200
    assert story.title in page.text
    assert f'lang="{story.language}"' in page.text
    twin = (await teller.site.get(f"{note['id']}/proposal")).json
    assert (twin["type"], twin["name"], twin["purpose"]) == ("Proposal", story.title, story.kind)


async def test_an_arabic_page_reads_from_right_to_left(world: World) -> None:
    teller = await world.person("amal@a")
    made = await tell(teller, SYRIA_ARABIC)
    page = (await teller.site.get(made.url, "text/html")).text
    assert 'dir="rtl"' in page


async def test_a_changed_offer_is_changed_everywhere(world: World, peer: FakePeer) -> None:
    teller, reader, follower = await world.person("reporter@a"), await world.person("reader@b"), peer.actor("follower")
    await reader.follow(teller.handle)
    await follower.send(follower.follow(teller.uri), teller.actor.inbox)
    await world.settle()
    made = await tell(teller, REPORTER)
    await world.settle()
    world.clock.move(minutes=1)
    await teller.change(made, text="One story is left this month")
    await world.settle()
    for site in (teller.site, reader.site):
        assert [one["text"] for one in await site.listings()] == ["One story is left this month"]
    [create], [update] = peer.activities("Create"), peer.activities("Update")
    assert update["object"]["id"] == create["object"]["id"]
    assert update["object"]["published"] == create["object"]["published"], "GoToSocial refuses an Update that changes it"
    assert datetime.fromisoformat(update["object"]["updated"]) > datetime.fromisoformat(create["object"]["published"])
    assert "One story is left this month" in update["object"]["content"]


async def test_a_withdrawn_request_is_gone_everywhere(world: World, peer: FakePeer) -> None:
    # Given a request that stands on another instance and at a server that is not ours
    teller, reader, follower = await world.person("hermitage@a"), await world.person("reader@b"), peer.actor("follower")
    await reader.follow(teller.handle)
    await follower.send(follower.follow(teller.uri), teller.actor.inbox)
    await world.settle()
    made = await tell(teller, MAGNITSKY_RUSSIAN)
    await world.settle()
    assert len(await reader.site.listings()) == 1
    # When it is withdrawn
    await teller.withdraw(made)
    await world.settle()
    # Then it is deleted, not edited: Mastodon keeps the history of edits
    [delete] = peer.activities("Delete")
    assert (delete["object"]["id"], delete["object"]["type"]) == (made.url, "Tombstone")
    assert peer.activities("Update") == []
    for site in (teller.site, reader.site):
        assert await site.listings() == []
        assert await site.count("listing") == await site.count("post") == 0
    assert (await teller.site.get(made.url)).status == 410
    # And no file of any instance holds its words any more
    assert world.grep(MAGNITSKY_RUSSIAN.text[:40]) == {}


async def test_a_listing_that_is_over_is_not_listed_even_if_nobody_says_so(world: World) -> None:
    teller, reader = await world.person("hermitage@a"), await world.person("reader@b")
    await reader.follow(teller.handle)
    await world.settle()
    await tell(teller, MAGNITSKY_ENGLISH, world.clock.now() + timedelta(days=2))
    await world.settle()
    await world.later(days=3)
    assert [one["state"] for one in await reader.site.listings()] in ([], ["expired"])
    assert [one["state"] for one in await teller.site.listings()] in ([], ["expired"])


MEMBERS = ("purpose", "publishes", "category", "skill", "endTime", "urgency", "status", "region", "spokenLanguage")
ROTTEN: tuple[object, ...] = (None, 7, [], {}, "\u202e", ["x"] * 300, {"@id": 5})


async def test_a_listing_with_a_rotten_member_is_a_post_at_worst(world: World, peer: FakePeer) -> None:
    # Given a reader
    reader, p1 = await world.person("reader@b"), peer.actor("p1")
    sent = []
    # When requests arrive with members that are not what they should be
    for member in MEMBERS:
        for value in ROTTEN:
            said = {"purpose": "request", "publishes": {"type": "Intent"}, "status": "open"} | {member: value}
            rotten = p1.direct(f"<p>Request: a lawyer, {member} {str(value)[:9]}</p>", reader.uri, f"@{reader.handle}", **said)
            answer = await p1.send(p1.create(rotten), reader.actor.inbox)
            assert answer.status == 202, (member, value)
            sent.append(rotten["id"])
    await world.settle()
    # Then nothing breaks, and the text of each is read
    assert {entry["url"] for entry in await reader.home()} == set(sent)
    assert await reader.site.count("arrival", "state = 'failed'") == 0
