"""How did it go? A helper with an ordinary account is asked by the instance, and what they reply reaches staff, or the listing, and never the asker."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fedmatch import words
from fedmatch.board import answers, conversations, introductions, responses, stories
from fedmatch.board.answers import CannotAnswer, Response
from fedmatch.board.listings import Listing
from schemas.agreements import CAPABILITY
from tests.fakepeer import PUBLIC, FakeActor
from tests.federation.test_note_answer_story import judge, letters, request, texts, write
from tests.friends import do, of
from tests.personalities import GoToSocial, Mastodon, Personality
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


class Street:
    """An asker on our instance, and a helper elsewhere whose answer was accepted."""

    world: World
    asker: Person
    peer: Personality
    helper: FakeActor
    asked: Listing

    @property
    def base(self) -> str:
        return self.asker.site.base

    async def reply(self, to: dict[str, Any], text: str, by: FakeActor | None = None, **members: Any) -> dict[str, Any]:
        """A direct reply to a letter of the instance, by the helper or somebody else."""
        who = by or self.helper
        note = who.direct(f"<p>@actor {text}</p>", f"{self.base}/actor", "@actor", inReplyTo=to["id"], **members)
        assert (await who.send(who.create(note), f"{self.base}/inbox")).status == 202
        await self.world.settle()
        return note

    async def held(self) -> Response:
        (held,) = await of(self.asker)
        return held

    async def said(self) -> list[str]:
        """The feedback that staff may read."""
        site = self.asker.site.instance
        return [one.text for one in await site.database.read(introductions.feedbacks, site)]

    async def messages(self) -> list[str]:
        site = self.asker.site.instance
        return [one.text for one in await site.database.read(conversations.messages, site, await self.held())]

    async def told(self) -> list[stories.Story]:
        site = self.asker.site.instance
        return list(await site.database.read(stories.told, site, self.asked.url))


async def street(world: World, kind: type[Personality] = Mastodon, language: str | None = None) -> Street:
    made = Street()
    made.world, made.asker = world, await world.person("asker@a")
    made.peer = await judge(world, kind)
    made.helper = made.peer.actor("helper")
    made.asked = await request(made.asker)
    spoken = {} if language is None else {"contentMap": {language: "<p>I can help.</p>"}}
    await write(world, made.helper, made.asker, "I can help.", inReplyTo=made.asked.url, **spoken)
    await do(made.asker, responses.accept)
    return made


async def test_whoever_helped_from_elsewhere_is_asked_how_it_went_and_heard_in_private(world: World) -> None:
    # Given a helper on Mastodon who writes Arabic, whose help the asker calls done
    scene = await street(world, language="ar")
    await do(scene.asker, responses.complete)

    # Then the instance, and not the asker, says so and asks, in one private letter in Arabic
    letter = letters(scene.peer)[-1]
    assert texts(scene.peer)[-1] == f"{words.words('ar', 'completed', title='A lawyer')}\n\n{words.words('ar', 'feedback', days=30)}"
    assert (letter["attributedTo"], letter["to"], letter["inReplyTo"]) == (f"{scene.base}/actor", [scene.helper.id], None)
    assert "http" not in letter["content"]

    # When they say how it went, add to that under their own words, and say it anew
    first = await scene.reply(letter, "canary-kind She was very kind.")
    await scene.reply(first, "canary-late And she came late.")
    assert await scene.said() == ["canary-late And she came late."]
    before = len(letters(scene.peer))
    last = await scene.reply(letter, "canary-last All went well.")
    assert (await scene.helper.send(scene.helper.create(last), f"{scene.base}/inbox")).status == 202
    await world.settle()

    # Then staff reads the last of it, once, the asker none of it, and it rests sealed
    assert await scene.said() == ["canary-last All went well."]
    assert await scene.messages() == []
    assert len(await scene.asker.site.rows("select * from feedback")) == 1
    assert len(letters(scene.peer)) == before
    assert all(row["kind"] != "message.received" for row in await scene.asker.site.rows("select kind from notification"))
    for canary in ("canary-kind", "canary-late", "canary-last"):
        assert world.grep(canary) == {}
    # and it goes with the answer
    await world.later(days=31)
    await world.settle()
    assert await scene.asker.site.rows("select * from feedback") == []


@pytest.mark.parametrize("way", ["done", "failed"])
async def test_it_is_asked_however_it_ended(world: World, way: str) -> None:
    scene = await street(world, GoToSocial)
    if way == "done":
        await scene.reply(letters(scene.peer)[-1], "done")
    else:
        await do(scene.asker, responses.complete, failed=True)

    assert texts(scene.peer)[-1] == f"{words.words('en', way, title='A lawyer')}\n\n{words.words('en', 'feedback', days=30)}"
    await scene.reply(letters(scene.peer)[-1], "So it was.")
    assert await scene.said() == ["So it was."]


@pytest.mark.parametrize("by", ["asker", "helper"])
async def test_whoever_made_agreements_on_another_kind_of_server_is_asked_too(world: World, by: str) -> None:
    # Given a helper on a server that understands FEP-0837, and nothing of ours
    scene = Street()
    scene.world, scene.asker, scene.peer = world, await world.person("asker@a"), await judge(world, Mastodon)
    scene.helper, scene.asked = scene.peer.actor("helper"), await request(scene.asker)
    scene.helper.overrides["implements"] = [{"href": CAPABILITY, "name": "FEP-0837"}]
    quantity = {"hasUnit": "one", "hasNumericalValue": "1"}
    agreement = {"type": "Agreement", "stipulates": {"type": "Commitment", "satisfies": f"{scene.asked.url}#primary", "resourceQuantity": quantity}}
    await scene.helper.send(scene.helper.activity("Offer", agreement | {"content": "I can help."}, to=[scene.asker.uri]), scene.asker.actor.inbox)
    await world.settle()
    assert (await scene.held()).words.channel == "open"
    await do(scene.asker, responses.accept)
    # When either of them says that it is done
    if by == "asker":
        await do(scene.asker, responses.complete)
    else:
        accepted = next(one["result"] for one in scene.peer.activities("Accept") if "result" in one)
        receipt = {"type": "Document", "name": "Receipt", "id": f"{scene.peer.base}/receipts/1", "context": accepted["id"]}
        await scene.helper.send(scene.helper.activity("Create", receipt, to=[scene.asker.uri]), scene.asker.actor.inbox)
        await world.settle()
    assert (await scene.held()).state == "completed"
    # Then a letter asks how it went, and their reply reaches staff alone
    assert texts(scene.peer) == [f"{words.words('en', 'completed', title='A lawyer')}\n\n{words.words('en', 'feedback', days=30)}"]
    await scene.reply(letters(scene.peer)[-1], "All went well.")
    assert (await scene.said(), await scene.messages()) == (["All went well."], [])
    # And they may agree to a story of it
    await do(scene.asker, stories.tell, "We got a lawyer.", readable_there=True)
    await scene.reply(letters(scene.peer)[-1], "agree")
    assert [one.text for one in await scene.told()] == ["We got a lawyer."]


async def test_nobody_else_is_heard(world: World) -> None:
    # Given a completed answer, and somebody else who learnt the id of the letter
    scene = await street(world)
    await do(scene.asker, responses.complete)
    letter = letters(scene.peer)[-1]
    stranger = (await judge(world, Mastodon)).actor("stranger")
    neighbour = scene.peer.actor("neighbour")

    for other in (stranger, neighbour):
        await scene.reply(letter, "canary-forged It went badly.", by=other)
    # and a Note that says it is the helper's, signed by another
    forged = scene.helper.direct("<p>canary-forged</p>", f"{scene.base}/actor", "@actor", inReplyTo=letter["id"])
    refused = await neighbour.send({**scene.helper.create(forged), "actor": scene.helper.id}, f"{scene.base}/inbox")
    await world.settle()

    assert refused.status in (401, 403) or await scene.said() == []
    assert await scene.said() == []
    assert await scene.messages() == []
    assert world.grep("canary-forged") == {}
    # nor does a letter about something else become a question
    received = letters(scene.peer)[0]
    await scene.reply(received, "One thing more.")
    assert (await scene.said(), await scene.messages()) == ([], ["One thing more."])


async def test_rubbish_does_no_harm(world: World) -> None:
    scene = await street(world)
    await do(scene.asker, responses.complete)
    letter = letters(scene.peer)[-1]
    other = scene.peer.actor("other")

    await scene.reply(letter, "")
    assert await scene.said() == []
    await scene.reply(letter, "<b>Good</b><script>alert(1)</script>")
    assert [one for one in await scene.said() if "<" in one or "alert" in one] == []
    await scene.reply(letter, "x" * 200_000)
    assert await scene.said() == ["x" * introductions.MOST_TEXT]
    # Everybody may read what is public: it is no feedback
    loud = scene.helper.note("<p>canary-public</p>", to=[PUBLIC], cc=[f"{scene.base}/actor"], inReplyTo=letter["id"])
    assert (await scene.helper.send(scene.helper.create(loud), f"{scene.base}/inbox")).status == 202
    # What names somebody else was read by them too: they are told, and nothing of it is repeated
    tags = [{"type": "Mention", "href": other.id, "name": "@other"}]
    said = scene.helper.note("<p>canary-named Fine.</p>", to=[f"{scene.base}/actor", other.id], cc=[], inReplyTo=letter["id"], tag=tags)
    assert (await scene.helper.send(scene.helper.create(said), f"{scene.base}/inbox")).status == 202
    await world.settle()
    assert await scene.said() == ["canary-named Fine."]
    assert texts(scene.peer)[-1] == words.words("en", "others", title="A lawyer")
    assert all("canary-named" not in str(one) for one in letters(scene.peer))
    assert await scene.messages() == []


async def test_a_story_stands_there_once_both_agreed_to_these_words(world: World) -> None:
    scene = await street(world)
    await do(scene.asker, responses.complete)
    # Given an asker who would like to tell it, which their helper's administrators can read
    with pytest.raises(CannotAnswer, match="--readable-there"):
        await do(scene.asker, stories.tell, "She found me a lawyer.")
    await do(scene.asker, stories.tell, "She found me a lawyer.", readable_there=True)
    old = letters(scene.peer)[-1]
    assert texts(scene.peer)[-1] == f"{words.words('en', 'story.ask', title='A lawyer')}\n\nShe found me a lawyer."
    await do(scene.asker, stories.tell, "She found us a lawyer.", credit="Amina")
    asks = letters(scene.peer)[-1]

    # When somebody else agrees, or the helper to other words, or says something that is no yes
    await scene.reply(asks, "agree", by=scene.peer.actor("neighbour"))
    await scene.reply(old, "agree")
    assert texts(scene.peer)[-1] == words.words("en", "story.off", title="A lawyer")
    await scene.reply(asks, "agree, but not my name")
    # Then nothing is told
    assert await scene.told() == []

    # When the helper agrees, and how to be named
    await scene.reply(asks, "Agree as Dr. Maria.")
    (told,) = await scene.told()
    assert (told.text, sorted(told.credits)) == ("She found us a lawyer.", ["Amina", "Dr. Maria"])
    assert texts(scene.peer)[-1] == words.words("en", "story.on", title="A lawyer")
    # and takes it back
    await scene.reply(asks, "refuse")
    assert await scene.told() == []
    await scene.reply(asks, "agree")
    assert [one.credits for one in await scene.told()] == [("Amina",)]
    # as the asker may, of which the helper hears
    await do(scene.asker, stories.withdraw)
    assert await scene.told() == []
    assert texts(scene.peer)[-1] == words.words("en", "story.off", title="A lawyer")
    await scene.reply(asks, "agree")
    assert await scene.told() == [], "the asker does not agree any more"
    site = scene.asker.site.instance
    assert [one.state for one in await site.database.read(answers.of_actor, site, scene.asker.actor)] == ["completed"]
