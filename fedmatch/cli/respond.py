"""How does somebody here answer a request or an offer? `fedmatch respond`."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, anyway_of, delay_of, fail, hint, person, say, text_of, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.known import Actor
    from fedmatch.board.answers import Response
    from fedmatch.board.checks import Questions
    from fedmatch.board.listings import Listing
    from schemas.storage import Transaction


@click.command(cls=Command)
@click.argument("which", metavar="ID_OR_URL")
@click.option("--as", "name", required=True, metavar="NAME", help="Who answers.")
@click.option("--text", required=True, help="What you can do, and what you want to know; `-` reads standard input.")
@click.option("--language", metavar="CODE", help="The language of the text, as in ar, en.")
@click.option("--speaks", metavar="CODES", default="", help="What you speak, as in sv,en; some listings are only for people who speak a language.")
@click.option("--region", metavar="CODE", help="The country you are in, as in SE; some listings are only for people there.")
@click.option("--need", metavar="NAME", help="The named part of a request that you answer.")
@click.option("--one-time", is_flag=True, help="Answer under an identity made for this answer alone.")
@click.option("--delay", metavar="HOURS", help="When it leaves for another instance: 0 (at once), 6h, 2-12h (at random between the two).")
@click.option("--send-anyway", is_flag=True, help="Send it although the safety linter found something.")
def respond(
    which: str,
    name: str,
    text: str,
    language: str | None,
    speaks: str,
    region: str | None,
    need: str | None,
    one_time: bool,
    delay: str | None,
    send_anyway: bool,
) -> None:
    """Answer a request or an offer, here or on another instance; only its author reads it, and who runs the two servers could."""
    words = text_of(text)
    spoken, place = _of_themselves(speaks, region)

    async def work(instance: "Instance") -> None:
        from actors.hosts import BadUrl
        from fedmatch.board import answers, checks, conversations, crossing, identities, responses

        me = await person(instance, name)
        found = await _listing(instance, which, me)
        helper = me
        try:
            hidden = one_time or delay is not None
            window = delay_of(instance, delay, found.urgency) if hidden else identities.AT_ONCE

            async def look(tx: "Transaction") -> checks.Questions:
                return await checks.of_answer(tx, instance, me, found, words, language, place, one_time=one_time)

            spoken_in = language or found.language or "en"
            anyway = asked_to_send(await instance.database.read(look), spoken_in, anyway=send_anyway)
            if one_time:
                helper = await identities.make(instance, me)
            leaves = window.draw(instance.clock.ms())

            async def body(tx: "Transaction") -> "Response":
                return await responses.answer(
                    tx, instance, helper, found, words, language=language, need=need, speaks=spoken, region=place, not_before=leaves, anyway=anyway
                )

            made = await instance.database.write(body)
        except (answers.CannotAnswer, crossing.CannotReach, identities.CannotHide, BadUrl) as error:
            fail(str(error))
        instance.wake("delivery")
        if window.warning:
            hint(window.warning)
        if window.high_ms and made.words.channel != "here":
            hint(f"It leaves in {max(1, window.low_ms // 3_600_000)} to {window.high_ms // 3_600_000} hours; withdrawn before that, nothing leaves.")
        hint(conversations.channel(made))
        say({**made.json(), "messages": []}, f"Sent: {made.words.offer} (id {made.id})")

    within(work, opened=True)


def asked_to_send(questions: "Questions", language: str, *, anyway: bool) -> bool:
    """Explains what the safety linter found in words for one person; ends the command where that needs a yes and none is given."""
    return anyway_of(questions, language, anyway=anyway, verb="Send", refused="it was not sent", option="--send-anyway")


def _of_themselves(speaks: str, region: str | None) -> tuple[tuple[str, ...], str | None]:
    """What somebody says of themselves, in usual spelling; ends the command at what is no language or country."""
    from schemas import vocabulary

    found = []
    for word in filter(None, (one.strip() for one in speaks.split(","))):
        tag = vocabulary.canonical_language(word)
        if tag is None:
            raise click.UsageError(f"--speaks: {word!r} is no language; write codes with commas between, as in sv,en")
        found.append(tag)
    place = None if region is None else region.strip().upper()
    if place is not None and not vocabulary.is_region(place):
        raise click.UsageError(f"--region: {region!r} is no country; write its two letters, as in SE")
    return tuple(found), place


async def _listing(instance: "Instance", which: str, reader: "Actor") -> "Listing":
    """The listing as `reader` may see it who opens it by answering, fetched if it is not here; ends the command if there is none."""
    from fedmatch.board import listings, publish

    found = await instance.database.write(_find, instance, which, reader)
    if found is None and which.lower().startswith(("https://", "http://")):
        try:
            await publish.bring(instance, which)
        except publish.CannotPublish as error:
            fail(str(error))
        found = await instance.database.write(_find, instance, which, reader)
    if found is None:
        fail(f"there is no request or offer {which} here that {reader.username} may read; `fedmatch listing list --network` shows what is known")
    whole = await instance.database.read(listings.by_id, instance, found.id)
    # Of one that they may see coarsely alone, no word of its author comes along.
    return found if whole is None else replace(whole, title=found.title, text=found.text)


async def _find(tx: "Transaction", instance: "Instance", which: str, reader: "Actor") -> "Listing | None":
    from fedmatch.board import listings, readers

    found = await listings.find(tx, instance, which)
    return None if found is None or not found.url else await readers.open_for(tx, instance, reader, found)
