"""What is said, and taken back? `fedmatch post` and `fedmatch delete`."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, fail, hint, person, say, text_of, within

if TYPE_CHECKING:
    from fedmatch.board.publish import PostAudience


@click.command(cls=Command)
@click.argument("text", required=False)
@click.option("--text", "text_option", metavar="TEXT", help="The text, in place of the argument; `-` reads standard input.")
@click.option("--as", "name", required=True, metavar="NAME", help="Who speaks.")
@click.option("--audience", type=click.Choice(("public", "followers", "direct")), default="public", show_default=True, help="Who may read it.")
@click.option("--to", "to", multiple=True, metavar="HANDLE", help="Addressed to `name@host`; may be given more than once.")
@click.option("--reply-to", metavar="URL", help="The post this answers; fetched if it is not known here.")
@click.option("--language", metavar="CODE", help="The language of the text, as in ar, en, zh-Hans.")
@click.option("--option", "options", multiple=True, metavar="WORDS", help="Something to vote for; given twice and more it is a poll.")
@click.option("--multiple", is_flag=True, help="Several options of the poll may be chosen.")
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="How long the poll is open.")
def post(
    text: str | None,
    text_option: str | None,
    name: str,
    audience: "PostAudience",
    to: tuple[str, ...],
    reply_to: str | None,
    language: str | None,
    options: tuple[str, ...],
    multiple: bool,
    days: int,
) -> None:
    """Publish TEXT (`-` reads standard input). @name@host in the text addresses people too."""
    from actors.instance import Instance
    from fedmatch import people
    from fedmatch.board import publish
    from fedmatch.safety import border
    from schemas.vocabulary import canonical_language

    given = [one for one in (text, text_option) if one is not None]
    if len(given) != 1:
        raise click.UsageError("give the text once: as TEXT or with --text, where - reads standard input")
    words = text_of(given[0])
    if language is not None and (language := canonical_language(language)) is None:
        raise click.BadParameter("write for example en, ar or zh-Hans", param_hint="'--language'")

    async def work(instance: Instance) -> None:
        author = await person(instance, name)
        try:
            until = instance.clock.now().replace(microsecond=0) + timedelta(days=days)
            poll = publish.asked(options, multiple=multiple, until=until) if options else None
            written = await publish.post(instance, author, words, audience, to=to, reply_to=reply_to, language=language, poll=poll)
        except (people.NotFound, publish.CannotPublish) as error:
            fail(str(error))
        hint(border.notice(instance) if audience != "direct" else None)
        say({"id": str(written.id), "url": written.uri}, written.uri)

    within(work)


@click.command(cls=Command)
@click.argument("url")
@click.option("--as", "name", required=True, metavar="NAME", help="Whose post it is.")
def delete(url: str, name: str) -> None:
    """Delete the post URL and tell everybody who may hold it."""
    from actors.instance import Instance
    from fedmatch.board import publish

    async def work(instance: Instance) -> None:
        author = await person(instance, name)
        try:
            await publish.delete(instance, author, url)
        except publish.CannotPublish as error:
            fail(str(error))
        say({"url": url, "deleted": True}, f"Deleted: {url}")

    within(work)
