"""What fits this? `fedmatch match`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, fail, hint, person, say, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.known import Actor
    from fedmatch.board.listings import Listing
    from fedmatch.board.matches import Match
    from schemas.storage import Transaction

CATCH_UP_S = 3.0
"""How long numbers are made that no worker made yet; usually there is nothing to do."""


@click.command(cls=Command)
@click.argument("which", metavar="ID_OR_URL")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--language", metavar="CODE", help="The language of the reasons (default: that of the listing).")
@click.option("--as", "name", metavar="NAME", help="Only what NAME may see (default: as whoever runs this instance does).")
def match(which: str, limit: int, language: str | None, name: str | None) -> None:
    """Show which offers fit a request, or which requests an offer, best first, and why. No suggestion is kept, and nobody is told or asked."""

    async def work(instance: "Instance") -> None:
        from fedmatch.board import listings, matches, vectors
        from fedmatch.matching import explain
        from schemas import vocabulary

        if language is not None and vocabulary.canonical_language(language) is None:
            raise click.UsageError(f"--language is {language!r}, which is no language code; write for example en, ar or zh-Hans.")
        reader = None if name is None else await person(instance, name)
        hint("The vault is locked: only public ones are looked through." if instance.vault.locked else None)

        await vectors.catch_up(instance, CATCH_UP_S)

        async def look(tx: "Transaction", reader: "Actor | None") -> "tuple[Listing | None, list[Match]]":
            found = await listings.find(tx, instance, which, reader=reader)
            return found, [] if found is None else await matches.found(tx, instance, found, limit=limit, reader=reader)

        found, made = await instance.database.read(look, reader)
        if found is None:
            fail(f"there is no listing {which} here; `fedmatch listing list --network` shows which there are")
        if found.state != "open" or not found.url:
            hint(f"It is {found.state or 'not published yet'}: only what is open is matched.")
        written = language or found.language or "en"
        told = [
            {
                "listing": one.listing.url,
                "score": round(one.score, 4),
                "parts": {part: round(value, 4) for part, value in one.parts.items()},
                "reasons": [explain.text(reason, written) for reason in one.reasons],
            }
            for one in made
        ]
        lines = [
            f"{one.listing.url}  {one.listing.title or '(open it to read it)'}\n    {' '.join(explain.text(reason, written) for reason in one.reasons)}"
            for one in made
        ]
        say(told, "\n".join(lines) or "Nothing that is open fits.")  # type: ignore[arg-type]  # scores are floats, which JSON knows too

    within(work)
