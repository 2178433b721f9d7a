"""Who complained, and what became of it? `fedmatch report`."""

from typing import TYPE_CHECKING, cast

import click

from fedmatch.cli.house import Group, Json, fail, id_of, person, say, table, text_of, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from fedmatch.safety.reports import Report, State, Words
    from schemas.states import IllegalMove
    from schemas.storage import Transaction


@click.group(cls=Group)
def report() -> None:
    """Reports: send, list, show, take, close."""


def _json(one: "Report") -> dict[str, Json]:
    from fedmatch.times import rfc3339

    return {
        "id": str(one.id),
        "state": one.state,
        "about": one.about,
        "url": one.about_uri,
        "from": one.host,
        "repeats": one.repeats,
        "forwarded": one.forwarded_at is not None,
        "created": rfc3339(one.created_at),
        "changed": rfc3339(one.changed_at),
    }


@report.command()
@click.argument("what", metavar="URL|HANDLE")
@click.option("--as", "name", required=True, metavar="NAME", help="Who reports.")
@click.option("--text", required=True, help="What is wrong; `-` reads standard input.")
@click.option("--forward", is_flag=True, help="Tell their server too, without saying who reports.")
def send(what: str, name: str, text: str, forward: bool) -> None:
    """Report the post URL, or the person URL or HANDLE, to our moderators."""
    from fedmatch import people
    from fedmatch.safety import reports

    words = text_of(text)

    async def work(instance: "Instance") -> None:
        reporter = await person(instance, name)
        try:
            made = await reports.send(instance, reporter, what, words, forward=forward)
        except (reports.CannotReport, people.NotFound) as error:
            fail(str(error))
        said = "our moderators have it; it goes to their server without your name" if forward else "our moderators have it; nobody else does"
        say(_json(made), f"Report {made.id} about @{made.about}: {said}.")

    within(work)


@report.command("list")
@click.option("--state", type=click.Choice(["open", "taken", "closed"]), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most, the newest first.")
def list_(state: str | None, limit: int) -> None:
    """List reports, made here or sent by other servers."""
    from fedmatch.safety import reports

    async def work(instance: "Instance") -> None:
        found = await instance.database.read(reports.newest, state=cast("State | None", state), limit=limit)
        rows = [(str(one.id), one.state, f"@{one.about}", one.host or "here", str(1 + one.repeats)) for one in found]
        say([_json(one) for one in found], table(("id", "state", "about", "from", "times"), rows, empty="There are no reports."))

    within(work)


@report.command()
@click.argument("number", metavar="ID", type=id_of("report", "fedmatch report list"))
def show(number: int) -> None:
    """Show the report ID with what was written."""
    from fedmatch.safety import reports

    async def work(instance: "Instance") -> None:
        try:
            one, words = await instance.database.read(reports.show, instance, number)
        except reports.NoReport as error:
            fail(str(error))
        # Of another server's report the sender is that server, whoever signed.
        opened = {
            "text": words.text,
            "posts": [{"url": named.url, "text": named.text} for named in words.posts],
            "reporter": words.reporter if one.host is None else None,
            "note": words.note,
        }
        say(_json(one) | opened, _text(one, words))

    within(work)


def _text(one: "Report", words: "Words") -> str:
    who = f"@{words.reporter}" if one.host is None else one.host
    lines = [f"Report {one.id}, {one.state}: {who} about @{one.about}", "", words.text or "(no words)"]
    for named in words.posts:
        lines += ["", named.url, *([f"> {line}" for line in named.text.splitlines()] if named.text else [])]
    return "\n".join([*lines, *(["", f"Closed: {words.note}"] if words.note else [])])


def _cannot(number: int, error: "IllegalMove") -> str:
    """Why a report does not go where somebody wants it, and what does."""
    if error.state == "closed":
        return f"report {number} is closed already; `fedmatch report take {number} --undo` opens it again"
    return f"report {number} is {error.state}; `fedmatch report take {number}` takes it"


@report.command()
@click.argument("number", metavar="ID", type=id_of("report", "fedmatch report list"))
@click.option("--undo", is_flag=True, help="Hand it back, or open it again.")
def take(number: int, undo: bool) -> None:
    """Say that somebody looks after the report ID, so that no other moderator does the same work."""
    from fedmatch.safety import reports
    from schemas.states import IllegalMove

    async def work(instance: "Instance") -> None:
        try:
            one = await instance.database.write(_take, instance, number, undo)
        except reports.NoReport as error:
            fail(str(error))
        except IllegalMove as error:
            fail(_cannot(number, error))
        say(_json(one), f"Report {one.id} is {one.state}.")

    async def _take(tx: "Transaction", instance: "Instance", number: int, undo: bool) -> "Report":
        return await reports.take(tx, instance, number, undo=undo)

    within(work)


@report.command()
@click.argument("number", metavar="ID", type=id_of("report", "fedmatch report list"))
@click.option("--note", metavar="TEXT", help="What was done, for other moderators.")
def close(number: int, note: str | None) -> None:
    """Close the report ID. Nobody elsewhere is told."""
    from fedmatch.safety import reports
    from schemas.states import IllegalMove

    async def work(instance: "Instance") -> None:
        try:
            one = await instance.database.write(reports.close, instance, number, note)
        except reports.NoReport as error:
            fail(str(error))
        except IllegalMove as error:
            fail(_cannot(number, error))
        say(_json(one), f"Report {one.id} is closed.")

    within(work)
