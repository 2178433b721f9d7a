"""How does somebody with an ordinary account answer? By a direct reply; the instance writes back, in their language, and quotes nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import blocks, known
from fedmatch import words
from fedmatch.board import answers, conversations, identities, listings, responses, trays
from fedmatch.board.listings import Listing
from outbox.posts import by_uri
from schemas.html import to_text
from schemas.storage import Transaction
from tests.fakepeer import PUBLIC, FakeActor
from tests.friends import do, of
from tests.personalities import GoToSocial, Hollo, Mastodon, Personality, Snac, Takahe
from tests.world import Person, World, open_world

pytestmark = pytest.mark.asyncio

KINDS = (Mastodon, GoToSocial, Takahe, Snac, Hollo)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


async def judge(world: World, kind: type[Personality]) -> Personality:
    peer = await kind(world.clock.now).start()
    world.peers.append(peer)
    return peer


async def request(asker: Person, **more: Any) -> Listing:
    return await asker.listing("request", "A lawyer", "Asylum in Sweden.", skills=["AsylumLaw"], **more)


async def write(world: World, helper: FakeActor, to: Person, text: str, **members: Any) -> dict[str, Any]:
    """A direct Note as Mastodon sends it; gives the Note."""
    note = helper.direct(f"<p>{text}</p>", to.uri, f"@{to.handle}", **members)
    assert (await helper.send(helper.create(note), f"{to.uri}/inbox")).status == 202
    await world.settle()
    return note


def letters(peer: Personality) -> list[dict[str, Any]]:
    """The Notes that were written to the people of that server, oldest first."""
    return [one.activity["object"] for one in peer.log if one.asked.method == "POST" and one.activity.get("type") == "Create"]


def texts(peer: Personality) -> list[str]:
    return [to_text(note["content"]) for note in letters(peer)]


def shaped(kind: type[Personality], helper: FakeActor, to: Person, text: str, parent: str) -> dict[str, Any]:
    """A direct reply as that server writes it (protocol.md 14.13)."""
    mention = {"type": "Mention", "href": to.uri, "name": f"@{to.handle}"}
    note = helper.note(f"<p>{text}</p>", to=[to.uri], cc=[], inReplyTo=parent, tag=[mention])
    if kind is Snac:
        note["to"], note["tag"] = [to.uri] * 3, [mention, mention]
    if kind is Takahe:
        del note["to"]
        note["cc"] = [to.uri]
    if kind in (GoToSocial, Hollo):
        note["to"], note["tag"] = to.uri, mention
        del note["cc"]
    return note


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_a_direct_reply_becomes_an_answer_and_is_acknowledged(world: World, kind: type[Personality]) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, kind)
    helper = peer.actor("helper")
    asked = await request(asker)

    note = shaped(kind, helper, asker, f"@{asker.actor.username} I know that law, says canary-note.", asked.url)
    create = helper.activity("Create", note, to=note.get("to", []), cc=note.get("cc", []), published=note["published"])
    assert (await helper.send(create, f"{asker.uri}/inbox")).status == 202
    await world.settle()

    (held,) = await of(asker)
    assert (held.state, held.words.text, held.words.channel, held.words.flagged) == ("sent", "I know that law, says canary-note.", "note", False)
    assert await asker.site.instance.database.read(by_uri, note["id"]) is None, "it is no post"
    assert await asker.home() == [] or all("canary-note" not in str(entry) for entry in await asker.home())
    (letter,) = letters(peer)
    assert letter["attributedTo"] == f"{asker.site.base}/actor", "the instance answers, never the asker"
    assert letter["to"] == [helper.id]
    assert letter["tag"] == [{"type": "Mention", "href": helper.id, "name": f"@{helper.handle}"}]
    assert letter["inReplyTo"] is None, "a reply would have to come from the actor the helper wrote to"
    assert "canary-note" not in letter["content"]
    assert "http" not in letter["content"]
    assert peer.shown[letter["id"]].seen_by == "direct", peer.refused
    assert world.grep("canary-note") == {}


async def test_the_receipt_comes_in_the_language_of_the_helper_and_once(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper = peer.actor("helper")
    asked = await request(asker)

    await write(world, helper, asker, "أستطيع المساعدة", inReplyTo=asked.url, contentMap={"ar": "<p>أستطيع المساعدة</p>"})
    await write(world, helper, asker, "وشيء آخر", inReplyTo=asked.url)
    assert texts(peer) == [words.words("ar", "received", title="A lawyer", days=7)]
    (held,) = await of(asker)
    assert held.words.text == "أستطيع المساعدة\n\nوشيء آخر", "what is written before the decision belongs to the answer"


async def test_what_is_withdrawn_while_the_vault_is_locked_is_told_to_who_answered_afterwards(world: World) -> None:
    # Given an answer from an ordinary server, whose helper follows nobody here
    site = await world.site("a", passphrase="correct horse")
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper = peer.actor("helper")
    asked = await request(asker)
    await write(world, helper, asker, "I can help", inReplyTo=asked.url)
    before = len(letters(peer))
    # When the request is withdrawn while nobody can read who answered
    site.instance.vault.lock()
    await asker.withdraw(asked)
    await world.later(minutes=5)
    assert peer.activities("Delete") == []
    # Then they are told once it is open, once
    site.instance.vault.unlock(b"correct horse")
    await world.later(minutes=2)
    await world.later(minutes=5)
    assert [one["object"]["id"] for one in peer.activities("Delete")] == [asked.url]
    assert texts(peer)[before:] == [words.words("en", "closed", title="A lawyer")]
    (held,) = await of(asker)
    assert held.state == "declined"


async def test_a_message_that_links_to_a_request_answers_it_however_the_link_is_spelled(world: World) -> None:
    asker = await world.person("asker@a")
    helper = (await judge(world, Mastodon)).actor("helper")
    asked = await request(asker)
    await write(world, helper, asker, f"I can help with {asked.url.replace('http://localhost', 'HTTP://LocalHost.')}, says canary-linked.")
    (held,) = await of(asker)
    assert held.words.listing == asked.url


async def test_from_the_first_word_to_done(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper = peer.actor("helper")
    asked = await request(asker)
    await write(world, helper, asker, f'See <a href="{asked.url}">this</a>: I can help.')
    (held,) = await of(asker)
    assert held.words.text.endswith("I can help.")

    await do(asker, responses.accept)
    assert texts(peer)[-1] == words.words("en", "accepted", title="A lawyer", days=7)
    accepted = letters(peer)[-1]
    await write(world, helper, asker, "Thank you. Tomorrow?")
    with pytest.raises(answers.CannotAnswer, match="--readable-there"):
        await do(asker, conversations.say, "Yes, tomorrow.")
    await do(asker, conversations.say, "Yes, tomorrow.", readable_there=True)
    assert texts(peer)[-1] == "Yes, tomorrow."
    assert letters(peer)[-1]["attributedTo"] == asker.uri
    assert letters(peer)[-1]["inReplyTo"] == held.words.note
    await write(world, helper, asker, "Good.", inReplyTo=letters(peer)[-1]["id"])
    site = asker.site.instance
    assert [one.text for one in await site.database.read(conversations.messages, site, held)] == ["Thank you. Tomorrow?", "Yes, tomorrow.", "Good."]

    note = helper.direct("<p>@actor done!</p>", f"{asker.site.base}/actor", "@actor", inReplyTo=accepted["id"])
    assert (await helper.send(helper.create(note), f"{asker.site.base}/inbox")).status == 202
    await world.settle()
    assert [one.state for one in await of(asker)] == ["completed"]
    assert texts(peer)[-1].startswith(words.words("en", "done", title="A lawyer"))


async def test_withdraw_is_a_word_that_acts(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper = peer.actor("helper")
    asked = await request(asker)
    await write(world, helper, asker, "I can help, says canary-taken-back.", inReplyTo=asked.url)
    await do(asker, responses.accept)

    await write(world, helper, asker, f"@{asker.handle} Withdraw", inReplyTo=asked.url)
    (held,) = await of(asker)
    assert (held.state, held.words.text) == ("withdrawn", "")
    assert texts(peer)[-1] == words.words("en", "withdrawn", title="A lawyer")
    found = await asker.site.instance.database.read(listings.find, asker.site.instance, asked.url)
    assert found is not None
    assert found.state == "open", "what was taken is given back"


async def test_a_decision_comes_as_a_letter_with_its_reason(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, GoToSocial)
    helper = peer.actor("helper")
    asked = await request(asker)
    await write(world, helper, asker, "I can help.", inReplyTo=asked.url)

    await do(asker, responses.decline, "found", "a friend came")
    assert texts(peer)[-1] == f"{words.words('en', 'declined.found', title='A lawyer')}\n\nThey write: a friend came"


@pytest.mark.parametrize("kind", ["request", "offer"])
async def test_a_public_reply_is_kept_from_everybody_and_its_author_told_once(world: World, kind: str) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper = peer.actor("helper")
    asked = await asker.listing(kind, "A lawyer", "Asylum.", skills=["AsylumLaw"])
    oddly = asked.url.replace("localhost", "LocalHost.")
    for text, url in (("I was there, says canary-public.", asked.url), ("Me again.", asked.url), ("canary-public says so, too.", oddly)):
        note = helper.note(f"<p>{text}</p>", to=[PUBLIC], cc=[asker.uri], inReplyTo=url)
        assert (await helper.send(helper.create(note), f"{asker.uri}/inbox")).status == 202
    await world.settle()

    assert await of(asker) == []
    assert texts(peer) == [words.words("en", "public", title="A lawyer")]
    assert world.grep("canary-public") == {}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_a_public_reply_is_rejected_where_that_deletes_it(world: World, kind: type[Personality]) -> None:
    # Given a request that is shown on another server, and an answer to everybody there
    asker = await world.person("asker@a")
    peer = await judge(world, kind)
    helper = peer.actor("helper")
    asked = await request(asker)
    peer.shown[asked.url] = peer.render((await helper.get(asked.url)).json)
    policy = {"interactionPolicy": {"canReply": {"automaticApproval": [PUBLIC]}, "canLike": {"automaticApproval": [PUBLIC]}}}
    quotes = {"interactionPolicy": {"canQuote": {"automaticApproval": [PUBLIC]}}}
    note = helper.note("<p>I was there.</p>", to=[PUBLIC], cc=[asker.uri], inReplyTo=asked.url, **(policy if kind is GoToSocial else quotes))
    path = note["id"].removeprefix(peer.base)

    assert (await helper.send(helper.create(note), f"{asker.uri}/inbox")).status == 202
    await world.settle()

    # Then GoToSocial is told so by whom it answered, and it is gone there; the others hear nothing they would stumble over
    rejects = [one.activity for one in peer.log if one.asked.method == "POST" and one.activity.get("type") == "Reject"]
    if kind is GoToSocial:
        (reject,) = rejects
        assert (reject["actor"], reject["object"], reject["to"]) == (asker.uri, note["id"], [helper.id])
        assert path not in peer.documents
    else:
        assert rejects == []
        assert path in peer.documents
    assert peer.refused == []
    # and nothing that waited to leave named the two together
    rows = await asker.site.rows("select * from outgoing where kind = 'Reject'")
    assert all(helper.id not in str(dict(row)) and note["id"] not in str(dict(row)) for row in rows)


async def test_a_reply_that_names_others_is_flagged_and_not_quoted(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper, other = peer.actor("helper"), peer.actor("other")
    asked = await request(asker)
    tags = [{"type": "Mention", "href": asker.uri, "name": "@asker"}, {"type": "Mention", "href": other.id, "name": "@other"}]
    note = helper.note("<p>@asker @other canary-loud</p>", to=[asker.uri, other.id], cc=[], inReplyTo=asked.url, tag=tags)
    assert (await helper.send(helper.create(note), f"{asker.uri}/inbox")).status == 202
    await world.settle()

    (held,) = await of(asker)
    assert held.words.flagged
    assert len(letters(peer)) == 2
    for letter in letters(peer):
        assert letter["to"] == [helper.id]
        assert "canary-loud" not in str(letter)


async def test_a_one_time_author_does_not_show_whom_the_person_behind_it_blocks(world: World) -> None:
    person = await world.person("asker@a")
    site = person.site.instance
    peer = await judge(world, Mastodon)
    helper, blocked = peer.actor("helper"), peer.actor("blocked")
    await write(world, blocked, person, "Hello.")

    async def block(tx: Transaction) -> None:
        them = await known.by_uri(tx, blocked.id)
        assert them is not None
        await blocks.add(tx, site, person.actor, them)

    await site.database.write(block)
    asker = Person(world, person.site, await identities.make(site, person.actor))
    asked = await request(asker, delay=(0, 0))
    # A fresh message to a one-time author names no thread: whom it is for says what it answers.
    await write(world, helper, asker, "I can help.")
    await write(world, blocked, asker, "I can help.", inReplyTo=asked.url)

    assert [one.words.helper for one in await of(asker)] == [helper.id]
    mine, theirs = letters(peer)
    assert mine["content"] == theirs["content"]
    assert (mine["to"], theirs["to"]) == ([helper.id], [blocked.id])

    # Whatever one of them tries next, the other hears the same
    for who in (helper, blocked):
        await write(world, who, asker, "Are you there?", inReplyTo=asked.url)
        await write(world, who, asker, "withdraw")
        await write(world, who, asker, "I can help after all.", inReplyTo=asked.url)
    await world.later(days=8)
    await world.settle()
    said = {who.id: [one["content"] for one in letters(peer) if one["to"] == [who.id]] for who in (helper, blocked)}
    assert said[helper.id] == said[blocked.id]
    assert len(said[helper.id]) >= 3, "received, withdrawn, released"
    assert {one.words.helper for one in await of(asker)} == {helper.id}


async def test_likes_and_boosts_have_no_side_effects(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper = peer.actor("helper")
    asked = await request(asker)
    for kind in ("Like", "Announce"):
        assert (await helper.send(helper.activity(kind, asked.url, to=[PUBLIC], cc=[asker.uri]), f"{asker.uri}/inbox")).status == 202
    await world.settle()

    assert await of(asker) == []
    assert letters(peer) == []


async def test_the_rest_is_bounded_and_whoever_finds_it_full_is_told(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helpers = [peer.actor(f"helper{number}") for number in range(4)]
    asked = await request(asker)
    for helper in helpers:
        await write(world, helper, asker, "I can help.", inReplyTo=asked.url)

    assert len(await of(asker)) == trays.MOST_OF_HOST
    assert texts(peer)[-1] == words.words("en", "later", title="A lawyer")


async def test_an_ordinary_direct_message_stays_one(world: World) -> None:
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    await request(asker)
    await write(world, peer.actor("friend"), asker, "How are you?")

    assert await of(asker) == []
    assert letters(peer) == []
    assert any("How are you?" in text for text in await asker.reads())


async def test_who_is_not_asked_is_told_why_and_how_to_say_otherwise(world: World) -> None:
    # Given a request for people who speak Swedish, in Sweden alone
    asker = await world.person("asker@a")
    peer = await judge(world, Mastodon)
    helper = peer.actor("helper")
    asked = await request(asker, speaks=["sv"], only_speaks=True, helper_region="SE", only_region=True)

    # When somebody answers in English, and then says what they speak
    await write(world, helper, asker, "I know that law.", inReplyTo=asked.url)
    await write(world, helper, asker, "I know that law, and I speak sv.", inReplyTo=asked.url)
    # Then each time they are told what is missing, and the asker hears nothing
    assert ["speaks sv" in text for text in texts(peer)] == [True, False]
    assert "region SE" in texts(peer)[1]
    assert await of(asker) == []

    await write(world, helper, asker, "I know that law, and I speak sv, region SE.", inReplyTo=asked.url)
    (held,) = await of(asker)
    assert (held.words.speaks, held.words.region) == (("sv",), "SE")


async def test_a_letter_is_there_for_the_server_it_was_written_to_and_for_nobody_else(world: World) -> None:
    # Given a letter about an answer, and one of the asker after it was accepted
    asker = await world.person("asker@a")
    site = asker.site
    peer, stranger = await judge(world, Mastodon), await judge(world, Mastodon)
    helper, other = peer.actor("helper"), stranger.actor("other")
    asked = await request(asker)
    await write(world, helper, asker, "I know that law.", inReplyTo=asked.url)
    (received,) = letters(peer)
    await do(asker, responses.accept)
    await do(asker, conversations.say, "canary-letter: at six.", readable_there=True)
    said = letters(peer)[-1]

    # Its server gets the very Note again, whoever of it asks
    for note in (received, said):
        for reader in (helper, peer.actors["actor"]):
            again = await reader.get(note["id"])
            assert again.status == 200
            assert {key: value for key, value in again.json.items() if key != "@context"} == {key: value for key, value in note.items() if key != "@context"}
            assert again.header("cache-control") == "private, no-store"
    # everybody else what they get of a letter that never was
    never = f"{site.base}/letters/{'0' * 32}"
    for ask in (other.get, site.get):
        refused, missing = [await ask(url if ask is not site.get else url.removeprefix(site.base)) for url in (said["id"], never)]
        assert refused.status == missing.status == 404
        assert refused.body == missing.body
    assert world.grep("canary-letter") == {}
    rows = await site.rows("select * from letter")
    assert len(rows) == len(letters(peer))
    assert all(row["until"] % 3_600_000 == 0 for row in rows)

    # and when the helper takes the answer back nobody does
    await write(world, helper, asker, "withdraw", inReplyTo=received["id"])
    assert [(await helper.get(note["id"])).status for note in (received, said)] == [404, 404]
    # nor of any letter, after 30 days
    last = letters(peer)[-1]
    assert (await helper.get(last["id"])).status == 200
    await world.later(days=31)
    assert (await helper.get(last["id"])).status == 404
