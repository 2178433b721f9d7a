"""Which fields of help can be followed here? `fedmatch topic list`."""

import click

from fedmatch.cli.house import Command, Group, say, within


@click.group(cls=Group)
def topic() -> None:
    """The Services that announce public requests and offers of one field, such as @legalaid."""


@topic.command("list", cls=Command)
def list_topics() -> None:
    """List the Services that were looked up at least once: how many follow each (nobody can say who), and how many listings wait to be announced."""
    from actors.instance import Instance
    from fedmatch.board import services

    async def work(instance: Instance) -> None:
        found = await instance.database.read(services.listed)
        lines = [f"@{one.handle}  {one.label}  {one.followers} follow it, {one.waiting} wait" for one in found]
        say([one.json() for one in found], "\n".join(lines) or "None yet: a Service is made when somebody looks it up, for example @legalaid.")

    within(work)
