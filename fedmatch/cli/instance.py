"""What concerns the instance as a whole? `fedmatch instance`."""

import click

from fedmatch.cli.house import Group, say, within


@click.group(cls=Group)
def instance() -> None:
    """The instance itself: new keys for the actor that speaks for it."""


@instance.command("rotate-keys")
def rotate_keys() -> None:
    """Give the instance's own actor new keys, and tell every server that heard of it, signed with the old ones. Those stay listed for 7 days."""
    from actors import known
    from actors.instance import Instance
    from fedmatch import rotation

    async def work(here: Instance) -> None:
        actor = await rotation.rotate_keys(here, await here.database.read(known.application))
        words = f"{actor.uri} has new keys; the news leaves now, signed with the old one. Fetches are signed with the new one from now on."
        say({"url": actor.uri, "state": actor.state}, words)

    within(work)
