"""What waits for a person to look at it? `fedmatch review`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, fail, id_of, say, staff, table, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.known import Actor
    from schemas.storage import Transaction


@click.group(cls=Group)
def review() -> None:
    """Requests and offers that wait for a person here to look at them: list, approve, reject."""


@review.command("list")
def list_() -> None:
    """List what waits for a review, oldest first."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import review as reviews

        found = await instance.database.read(reviews.waiting, instance)
        say(
            [one.json() for one in found],
            table(
                ("id", "kind", "audience", "author", "title"),
                [(str(one.id), one.kind, one.audience, one.author, one.title) for one in found],
                empty="Nothing waits for a review.",
            ),
        )

    within(work)


@review.command()
@click.option("--as", "name", metavar="NAME", help="Which moderator reads (default: whoever runs this instance).")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
def feedback(name: str | None, limit: int) -> None:
    """Read what the two sides of an answer said in private about how it went, never which side."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import introductions

        await _staff(instance, name)
        found = await instance.database.read(introductions.feedbacks, instance, limit)
        rows = [(str(one.response_id), one.state, one.title, one.text) for one in found]
        say([one.json() for one in found], table(("answer", "state", "title", "text"), rows, empty="Nobody said anything."))

    within(work)


async def _staff(instance: "Instance", name: str | None) -> "Actor | None":
    """Who decides: None is whoever runs this instance. Ends the command for somebody who is no staff."""
    return None if name is None else await staff(instance, name)


@review.command()
@click.argument("which", metavar="ID", type=id_of("draft", "fedmatch review list"))
@click.option("--as", "name", metavar="NAME", help="Which moderator decides (default: whoever runs this instance).")
def approve(which: int, name: str | None) -> None:
    """Let a held request or offer pass: it is published now, or at its hour."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import listings, publish
        from fedmatch.board import review as reviews

        by = await _staff(instance, name)
        try:
            made = await instance.database.write(reviews.approve, instance, which, by)
        except (reviews.NotHeld, publish.CannotPublish) as error:
            fail(str(error))
        instance.wake("delivery")
        found = await instance.database.read(listings.find, instance, str(made))
        if found is None:
            fail("it is not here any more")
        say(found.json(), found.url or f"{found.state}: {found.id}")

    within(work)


@review.command()
@click.argument("which", metavar="ID", type=id_of("draft", "fedmatch review list"))
@click.option("--reason", required=True, metavar="TEXT", help="Why, for its author, who may change it and submit it again.")
@click.option("--as", "name", metavar="NAME", help="Which moderator decides (default: whoever runs this instance).")
def reject(which: int, reason: str, name: str | None) -> None:
    """Refuse a held request or offer."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import listings
        from fedmatch.board import review as reviews

        by = await _staff(instance, name)

        async def body(tx: "Transaction") -> None:
            await reviews.reject(tx, instance, which, by, reason)

        try:
            await instance.database.write(body)
        except reviews.NotHeld as error:
            fail(str(error))
        found = await instance.database.read(listings.find, instance, str(which))
        if found is None:
            fail("it is not here any more")
        say(found.json(), f"{found.state}: {found.id}")

    within(work)
