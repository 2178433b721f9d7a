"""What was found for whom? `fedmatch suggestion`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, fail, id_of, person, say, within

if TYPE_CHECKING:
    from actors.instance import Instance


NAME = click.option("--as", "name", required=True, metavar="NAME", help="Whose.")


@click.group(cls=Group)
def suggestion() -> None:
    """Offers and requests that fit: list, dismiss, propose. Each says why."""


@suggestion.command("list")
@NAME
@click.option("--for", "which", metavar="ID_OR_URL", help="Only those for this listing.")
@click.option("--language", metavar="CODE", help="The language of the reasons (default: that of the listing it was found for).")
@click.option("--limit", type=click.IntRange(1, 1000), default=200, show_default=True)
def list_(name: str, which: str | None, language: str | None, limit: int) -> None:
    """List what fits the open requests and offers of NAME, best first; for a matchmaker also what fits others' requests that only matchmakers are told of."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import listings, suggestions
        from fedmatch.matching import explain

        me = await person(instance, name)
        listing = None if which is None else await instance.database.read(listings.find, instance, which)
        if which is not None and listing is None:
            fail(f"there is no listing {which} here; `fedmatch listing list --as {me.username} --mine` shows {me.username}'s")
        found = await instance.database.read(suggestions.of_reader, instance, me, listing=listing, limit=limit)
        lines = []
        for one in found:
            said = " ".join(explain.text(reason, language or one.own.language or "en") for reason in one.reasons)
            state = " (proposed)" if one.state == "proposed" else ""
            shown = one.found.title or "(open it to read it)"
            lines.append(f"{one.id}{state}  {one.found.kind} {one.found.url}  {shown}\n    for {one.own.url}\n    {said}")
        say(
            [one.json(language) for one in found],  # type: ignore[misc]  # scores are floats, which JSON knows too
            "\n".join(lines) or "Nothing yet; whatever opens or arrives is looked at by the worker of `fedmatch serve`.",
        )

    within(work)


@suggestion.command()
@click.argument("which", metavar="ID", type=id_of("suggestion", "fedmatch suggestion list --as NAME"))
@NAME
def dismiss(which: int, name: str) -> None:
    """Turn a pair down, for both its sides and for good: it does not come back, also not after an edit."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import suggestions

        me = await person(instance, name)
        try:
            await instance.database.write(suggestions.dismiss, instance, me, which)
        except suggestions.CannotSuggest as error:
            fail(str(error))
        say({"id": str(which), "state": "dismissed"}, f"{which} is not shown again.")

    within(work)


@suggestion.command()
@click.argument("which", metavar="ID", type=id_of("suggestion", "fedmatch suggestion list --as NAME"))
@NAME
def propose(which: int, name: str) -> None:
    """Show a pair that only matchmakers see to those of its two sides who live here; they decide by answering and accepting, as always."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import suggestions

        me = await person(instance, name)
        try:
            await instance.database.write(suggestions.propose, instance, me, which)
        except suggestions.CannotSuggest as error:
            fail(str(error))
        say({"id": str(which), "state": "proposed"}, f"{which} is shown to both sides now, as far as they live here.")

    within(work)
