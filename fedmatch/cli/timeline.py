"""What is there to read? `fedmatch timeline`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, person, say, within

if TYPE_CHECKING:
    from fedmatch.board.timelines import Entry


@click.command(cls=Command)
@click.argument("which", type=click.Choice(["home", "public"]))
@click.option("--as", "name", required=True, metavar="NAME", help="Who reads.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many posts at most.")
def timeline(which: str, name: str, limit: int) -> None:
    """Read `home` (what you follow and what is addressed to you) or `public` (everything public known here), newest first."""
    from actors.instance import Instance
    from fedmatch.board import timelines

    async def work(instance: Instance) -> None:
        reader = await person(instance, name)
        page = timelines.Page(limit=limit)
        entries = await instance.database.read(timelines.home if which == "home" else timelines.public, instance, reader, page)
        say(
            [entry.json() for entry in entries],
            "\n\n".join(_told(entry) for entry in entries) or "Nothing here yet.",
        )

    within(work)


def _told(entry: "Entry") -> str:
    """What a terminal shows; a content warning stands before the words it warns of."""
    warning = [] if entry.summary is None else [f"Content warning: {entry.summary}"]
    return "\n".join([f"@{entry.author}  {entry.published}", *warning, entry.text, entry.url])
