"""What should somebody hear of? `fedmatch search`: searches that are kept."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, fail, person, say, table, within

if TYPE_CHECKING:
    from actors.instance import Instance


OWNER = click.option("--as", "owner", required=True, metavar="NAME", help="Whose.")


@click.group(cls=Group)
def search() -> None:
    """Searches that are kept: whoever keeps one is told, without content, when something is posted or arrives that fits."""


@search.command()
@OWNER
@click.option("--kind", type=click.Choice(["request", "offer"]))
@click.option("--category", metavar="SLUG", help="A field of help, as in LegalAid.")
@click.option("--skill", metavar="SLUG", help="A skill, as in AsylumLaw.")
@click.option("--language", metavar="CODE", help="A language it is written in or can be talked in.")
@click.option("--region", metavar="CODE", help="The country it is about, or where the helper should be.")
@click.option("--name", "called", metavar="WORDS", help="How it is called (default: what it looks for).")
def save(owner: str, kind: str | None, category: str | None, skill: str | None, language: str | None, region: str | None, called: str | None) -> None:
    """Keep a search of NAME. What it looks for rests sealed."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import saved
        from schemas.listings import Invalid

        me = await person(instance, owner)
        try:
            words = saved.asked(name=called, kind=kind, category=category, skill=skill, language=language, region=region)
            made = await instance.database.write(saved.save, instance, me, words)
        except Invalid as error:
            raise click.UsageError(str(error)) from None
        say(made.json(), f"{made.id}: {made.words.name}")

    within(work)


@search.command("list")
@OWNER
def list_(owner: str) -> None:
    """List the searches that NAME keeps."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import saved

        me = await person(instance, owner)
        found = await instance.database.read(saved.of_actor, instance, me)
        kept = [one.words for one in found]
        fields = [(each.kind, each.category, each.skill, each.language, each.region) for each in kept]
        rows = [(str(one.id), one.words.name, *(word or "" for word in each)) for one, each in zip(found, fields, strict=True)]
        say([one.json() for one in found], table(("id", "name", "kind", "category", "skill", "language", "region"), rows, empty="None yet."))

    within(work)


@search.command()
@click.argument("which", metavar="ID_OR_NAME")
@OWNER
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
def show(which: str, owner: str, limit: int) -> None:
    """Show what is open and fits a search of NAME now, newest first, as far as NAME may see it."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import saved

        me = await person(instance, owner)
        try:
            kept = await instance.database.read(saved.find, instance, me, which)
        except saved.NoSuchSearch as error:
            fail(str(error))
        found = await instance.database.read(saved.now, instance, me, kept.words, limit)
        rows = [(str(one.id), one.kind, one.author, one.title or "(open it to read it)") for one in found]
        say([one.json() for one in found], table(("id", "kind", "author", "title"), rows, empty="Nothing that is open fits now."))

    within(work)


@search.command()
@click.argument("which", metavar="ID_OR_NAME")
@OWNER
def remove(which: str, owner: str) -> None:
    """Forget a search of NAME."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import saved

        me = await person(instance, owner)
        try:
            gone = await instance.database.write(saved.remove, instance, me, which)
        except saved.NoSuchSearch as error:
            fail(str(error))
        say(gone.json(), f"{gone.words.name} is forgotten.")

    within(work)
