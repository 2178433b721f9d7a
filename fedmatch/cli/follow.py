"""Who hears whom? `fedmatch follow` asks somebody, here or elsewhere, for their posts."""

import click

from fedmatch.cli.house import Command, fail, person, say, within


@click.command(cls=Command)
@click.argument("handle")
@click.option("--as", "name", required=True, metavar="NAME", help="Who follows.")
def follow(handle: str, name: str) -> None:
    """Follow HANDLE (`name@host`). The running server delivers the request; run it again to see whether it was accepted."""
    from actors.instance import Instance
    from fedmatch import people

    async def work(instance: Instance) -> None:
        follower = await person(instance, name)
        try:
            followed = await people.find(instance, handle)
            state = await people.follow(instance, follower, followed)
        except people.NotFound as error:
            fail(str(error))
        words = {
            "accepted": f"@{follower.handle} follows @{followed.handle}.",
            "requested": f"@{follower.handle} asks to follow @{followed.handle}; their server answers soon.",
        }
        say({"state": state}, words[state])

    within(work)
