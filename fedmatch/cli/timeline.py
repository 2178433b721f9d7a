"""What is there to read? `fedmatch timeline`."""

import click

from fedmatch.cli.house import Command, person, say, within


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
            "\n\n".join(f"@{entry.author}  {entry.published}\n{entry.text}\n{entry.url}" for entry in entries) or "Nothing here yet.",
        )

    within(work)
