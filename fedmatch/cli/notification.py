"""What should somebody look at? `fedmatch notification`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, hint, person, say, table, within

if TYPE_CHECKING:
    from actors.instance import Instance


WIDEN = "listing.widen"


@click.group(cls=Group)
def notification() -> None:
    """What somebody here should look at; a kind and an id, never content."""


@notification.command("list")
@click.option("--as", "name", required=True, metavar="NAME", help="Whose.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
def list_(name: str, limit: int) -> None:
    """List what NAME should look at, newest first."""

    async def work(instance: "Instance") -> None:
        from fedmatch import words
        from fedmatch.board import notifications

        me = await person(instance, name)
        found = await instance.database.read(notifications.of_person, instance, me, limit)
        said = [one.json() for one in found]
        for one in said:
            hint(f"To give {one['about']} to all trusted peers: fedmatch listing edit {one['about']} --audience network" if one["kind"] == WIDEN else None)
        rows = [(one["at"], one["kind"], one["about"], words.notice("en", one["kind"])) for one in said]
        say(said, table(("at", "kind", "about", "in words"), rows, empty="Nothing new."))

    within(work)


@notification.command()
@click.option("--as", "name", required=True, metavar="NAME", help="Whose.")
def clear(name: str) -> None:
    """Forget everything NAME was told."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import notifications

        me = await person(instance, name)
        count = await instance.database.write(notifications.clear_of_person, instance, me)
        say({"cleared": count}, f"{count} forgotten.")

    within(work)
