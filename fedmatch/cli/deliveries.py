"""What is on its way, and what did not arrive? `fedmatch deliveries`."""

import click

from fedmatch.cli.house import Command, say, table, within


@click.command(cls=Command)
@click.option("--host", metavar="HOST", help="Only to this server.")
@click.option("--state", type=click.Choice(["waiting", "sent", "dead", "superseded"]), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="How many at most, the newest first.")
def deliveries(host: str | None, state: str | None, limit: int) -> None:
    """List deliveries to other servers: where to, how far, what went wrong."""
    from actors.hosts import BadUrl, host_name
    from actors.instance import Instance
    from fedmatch.times import rfc3339
    from outbox import departures

    try:
        wanted = host_name(host) if host else None
    except BadUrl as error:
        raise click.BadParameter(str(error), param_hint="'--host'") from None

    async def work(instance: Instance) -> None:
        rows = await instance.database.read(departures.deliveries, wanted, state, limit)
        say(
            [
                {"inbox": row.inbox, "state": row.state, "attempts": row.attempts, "next": rfc3339(row.next_at) if row.next_at else None, "error": row.error}
                for row in rows
            ],
            table(
                ("inbox", "state", "attempts", "next", "error"),
                [(row.inbox, row.state, str(row.attempts), rfc3339(row.next_at) if row.next_at else "", row.error or "") for row in rows],
                empty="Nothing is on its way.",
            ),
        )

    within(work)
