"""What happens when somebody elsewhere edits or deletes what they answered? The asker reads what it says now, and nothing that was taken back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fedmatch import words
from fedmatch.board import conversations, responses
from fedmatch.board.answers import Response
from fedmatch.board.listings import Listing
from schemas.html import to_text
from tests.fakepeer import FakeActor
from tests.friends import do, of
from tests.personalities import Mastodon
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def asked_by(world: World) -> tuple[Person, Listing, Mastodon, FakeActor]:
    asker = await world.person("asker@a")
    peer = await Mastodon(world.clock.now).start()
    world.peers.append(peer)
    return asker, await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"]), peer, peer.actor("helper")


async def send(world: World, helper: FakeActor, to: Person, activity: dict[str, Any]) -> None:
    assert (await helper.send(activity, f"{to.uri}/inbox")).status == 202
    await world.settle()


async def write(world: World, helper: FakeActor, to: Person, text: str, **members: Any) -> dict[str, Any]:
    note = helper.direct(f"<p>{text}</p>", to.uri, f"@{to.handle}", **members)
    await send(world, helper, to, helper.create(note))
    return note


async def one(asker: Person) -> Response:
    (held,) = await of(asker)
    return held


async def said(asker: Person, held: Response) -> list[str]:
    site = asker.site.instance
    return [message.text for message in await site.database.read(conversations.messages, site, held)]


async def test_an_answer_says_what_its_writer_says_now(world: World) -> None:
    asker, asked, _, helper = await asked_by(world)
    first = await write(world, helper, asker, "Call +46 70 000 00 00", inReplyTo=asked.url)
    more = await write(world, helper, asker, "I also speak Dari.", inReplyTo=first["id"])
    # When it comes again under another name, nothing is said twice
    await send(world, helper, asker, {**helper.create(first), "id": f"{first['id']}/again"})
    assert (await one(asker)).words.text == "Call +46 70 000 00 00\n\nI also speak Dari."
    # When it is corrected, also days later, the old words are gone; an older correction that comes late changes nothing
    await world.later(hours=30)
    older = helper.update(first, content="<p>Call me</p>")
    await world.later(minutes=5)
    await send(world, helper, asker, helper.update(first, content="<p>أستطيع المساعدة</p>"))
    await send(world, helper, asker, older)
    assert (await one(asker)).words.text == "أستطيع المساعدة\n\nI also speak Dari."
    # When one part is deleted, the other stands
    await send(world, helper, asker, helper.delete(more))
    held = await one(asker)
    assert (held.state, held.words.text) == ("sent", "أستطيع المساعدة")


async def test_who_deletes_their_answer_takes_it_back(world: World) -> None:
    asker, asked, peer, helper = await asked_by(world)
    first = await write(world, helper, asker, "I can help, says canary-regretted.", inReplyTo=asked.url)
    stranger = peer.actor("stranger")
    await send(world, stranger, asker, {**helper.delete(first), "id": f"{stranger.id}/delete", "actor": stranger.id})
    assert (await one(asker)).state == "sent", "nobody else takes it back, not even of their own server"
    await send(world, helper, asker, helper.delete(first))
    held = await one(asker)
    assert (held.state, held.words.text) == ("withdrawn", "")
    letters = [one.activity["object"]["content"] for one in peer.log if one.asked.method == "POST" and one.activity.get("type") == "Create"]
    assert to_text(letters[-1]) == words.words("en", "withdrawn", title="A lawyer")
    # An edit that was under way brings nothing back, and Mastodon's "delete and redraft" is an answer anew
    await send(world, helper, asker, helper.update(first, content="<p>I can help, says canary-regretted.</p>"))
    assert (await one(asker)).words.text == ""
    await write(world, helper, asker, "I can help.", inReplyTo=asked.url)
    assert sorted((held.state, held.words.text) for held in await of(asker)) == [("sent", "I can help."), ("withdrawn", "")]


async def test_a_message_says_what_its_writer_says_now(world: World) -> None:
    asker, asked, _, helper = await asked_by(world)
    answer = await write(world, helper, asker, "I can help.", inReplyTo=asked.url)
    await do(asker, responses.accept)
    message = await write(world, helper, asker, "Meet me at canary-street.", inReplyTo=answer["id"])
    await write(world, helper, asker, "Bring papers.", inReplyTo=answer["id"])
    held = await one(asker)
    assert await said(asker, held) == ["Meet me at canary-street.", "Bring papers."]
    await send(world, helper, asker, helper.update(message, content="<p>Meet me tomorrow.</p>"))
    assert await said(asker, held) == ["Meet me tomorrow.", "Bring papers."]
    await send(world, helper, asker, helper.delete(message))
    assert await said(asker, held) == ["Bring papers."]
    # What was agreed stays agreed, whatever goes of the first words: some servers delete what is old by themselves
    await send(world, helper, asker, helper.delete(answer))
    held = await one(asker)
    assert (held.state, held.words.text) == ("accepted", "")
    assert await said(asker, held) == ["Bring papers."]


@pytest.mark.parametrize("typed", ["“withdraw”", "\u200fwithdraw\u200f.", "`Withdraw`", "withdraw @friend@elsewhere.example"])
async def test_the_words_that_act_are_understood_as_people_type_them(world: World, typed: str) -> None:
    asker, asked, _, helper = await asked_by(world)
    await write(world, helper, asker, "I can help.", inReplyTo=asked.url)
    await write(world, helper, asker, typed, inReplyTo=asked.url)
    assert (await one(asker)).state == "withdrawn"
    await write(world, helper, asker, "Withdraw.", inReplyTo=asked.url)
    assert len(await of(asker)) == 1, "said too late it is no answer"
