"""What is asked for, what is offered? `fedmatch listing`."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, fail, hint, person, say, table, text_of, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from fedmatch.board.listings import Listing


@click.group(cls=Group)
def listing() -> None:
    """Requests and offers: post, list, show, edit, withdraw."""


def _several(values: tuple[str, ...]) -> tuple[str, ...]:
    """Words given one by one or with commas between."""
    return tuple(dict.fromkeys(word.strip() for value in values for word in value.split(",") if word.strip()))


URGENCY = click.Choice(["hours", "days", "weeks", "anytime"])
KIND = click.Choice(["request", "offer"])


@listing.command()
@click.option("--as", "name", required=True, metavar="NAME", help="Whose request or offer it is.")
@click.option("--kind", required=True, type=KIND)
@click.option("--title", required=True, help="One line.")
@click.option("--text", required=True, help="The whole of it; `-` reads standard input.")
@click.option("--language", default="en", show_default=True, metavar="CODE", help="The language of title and text, as in ar, en, zh-Hans.")
@click.option("--category", required=True, multiple=True, metavar="SLUG", help="The field of help, as in LegalAid.")
@click.option("--skill", multiple=True, metavar="SLUG", help="A skill, as in AsylumLaw; may be given more than once.")
@click.option("--speaks", multiple=True, metavar="CODES", help="Languages to talk in, as in ar,en.")
@click.option("--region", metavar="CODE", help="The country it is about, as in SY.")
@click.option("--urgency", type=URGENCY, help="How soon.")
@click.option("--until", metavar="DATE", help="Open until then: 2026-12-31, or a moment with time and zone.")
def post(
    name: str,
    kind: str,
    title: str,
    text: str,
    language: str,
    category: tuple[str, ...],
    skill: tuple[str, ...],
    speaks: tuple[str, ...],
    region: str | None,
    urgency: str | None,
    until: str | None,
) -> None:
    """Publish a request or an offer to everybody."""
    from fedmatch.board import publish
    from fedmatch.safety import border
    from schemas.listings import Invalid, validated

    words = text_of(text)

    async def work(instance: "Instance") -> None:
        author = await person(instance, name)
        try:
            proposal = validated(
                kind,
                title,
                words,
                language,
                _several(category),
                _several(skill),
                _several(speaks),
                region=region,
                urgency=urgency,
                until=until,
                now=instance.clock.now(),
            )
            made = await publish.listing(instance, author, proposal, language)
        except Invalid as error:
            raise click.UsageError(str(error)) from None
        except publish.CannotPublish as error:
            fail(str(error))
        hint(border.notice(instance))
        say(made.json(), made.url)

    within(work)


@listing.command("list")
@click.option("--network", is_flag=True, help="Also what arrived from elsewhere.")
@click.option("--kind", type=KIND)
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
def list_(network: bool, kind: str | None, limit: int) -> None:
    """List requests and offers, newest first."""
    from fedmatch.board import listings

    async def work(instance: "Instance") -> None:
        found = await instance.database.read(listings.newest, instance, network=network, kind=kind, limit=limit)
        say(
            [one.json() for one in found],
            table(
                ("id", "kind", "state", "author", "title"),
                [(str(one.id), one.kind, one.state, one.author, one.title) for one in found],
                empty="Nothing is asked or offered here yet; `fedmatch listing post` begins.",
            ),
        )

    within(work)


async def _find(instance: "Instance", which: str) -> "Listing":
    from fedmatch.board import listings

    found = await instance.database.read(listings.find, instance, which)
    if found is None:
        fail(f"there is no request or offer {which} here; `fedmatch listing list --network` shows what is known")
    return found


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
def show(which: str) -> None:
    """Show one request or offer."""

    async def work(instance: "Instance") -> None:
        one = await _find(instance, which)
        form = one.json()
        say(
            form,
            "\n".join(
                f"{name + ':':<12}{', '.join(value) if isinstance(value, list) else value}" for name, value in form.items() if value not in (None, [], "")
            ),
        )

    within(work)


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
@click.option("--title")
@click.option("--text", help="`-` reads standard input.")
@click.option("--region", metavar="CODE")
@click.option("--urgency", type=URGENCY)
@click.option("--until", metavar="DATE")
def edit(which: str, title: str | None, text: str | None, region: str | None, urgency: str | None, until: str | None) -> None:
    """Change a request or offer of this instance; what is not named stays. Everybody who has it is told."""
    from fedmatch.board import publish
    from schemas.listings import Invalid, validated

    words = text_of(text) if text is not None else None

    async def work(instance: "Instance") -> None:
        old = await _find(instance, which)
        try:
            proposal = validated(
                old.kind,
                old.title if title is None else title,
                old.text if words is None else words,
                old.language or "en",
                old.categories,
                old.skills,
                old.speaks,
                region=region or old.region,
                urgency=urgency or old.urgency,
                until=until or old.until,
                now=instance.clock.now(),
            )
            changed = await publish.edit(instance, old, proposal)
        except Invalid as error:
            raise click.UsageError(str(error)) from None
        except publish.CannotPublish as error:
            fail(str(error))
        say(changed.json(), f"Changed: {changed.url}")

    within(work)


@listing.command()
@click.argument("which", metavar="ID_OR_URL")
def withdraw(which: str) -> None:
    """Withdraw a request or offer of this instance: it is deleted here, and everybody who may hold it is told."""
    from fedmatch.board import publish

    async def work(instance: "Instance") -> None:
        one = await _find(instance, which)
        try:
            gone = await publish.withdraw(instance, one)
        except publish.CannotPublish as error:
            fail(str(error))
        say(gone.json(), f"Withdrawn: {gone.url}")

    within(work)
