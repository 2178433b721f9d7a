"""What can be done with what others wrote, and with others? `fedmatch like`, `boost`, `vote`, `pin`, `unfollow`, `block`, `move`; `--undo` takes it back."""

import click

from fedmatch.cli.house import Command, fail, person, say, within

AS = click.option("--as", "name", required=True, metavar="NAME", help="Who does it.")
UNDO = click.option("--undo", is_flag=True, help="Take it back.")


@click.command(cls=Command)
@click.argument("url")
@AS
@UNDO
def like(url: str, name: str, undo: bool) -> None:
    """Like the post URL and tell its author."""
    from actors.instance import Instance
    from fedmatch.board import social

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        try:
            await social.like(instance, actor, url, undo=undo)
        except social.CannotDo as error:
            fail(str(error))
        say({"url": url, "liked": not undo}, f"{'No longer liked' if undo else 'Liked'}: {url}")

    within(work)


@click.command(cls=Command)
@click.argument("url")
@AS
@UNDO
def boost(url: str, name: str, undo: bool) -> None:
    """Pass the public post URL on to one's followers."""
    from actors.instance import Instance
    from fedmatch.board import social

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        try:
            await social.boost(instance, actor, url, undo=undo)
        except social.CannotDo as error:
            fail(str(error))
        say({"url": url, "boosted": not undo}, f"{'No longer boosted' if undo else 'Boosted'}: {url}")

    within(work)


@click.command(cls=Command)
@click.argument("url")
@AS
@click.option("--option", "numbers", type=click.IntRange(1, 100), multiple=True, metavar="N", help="Which one, by its number; several where that may be.")
def vote(url: str, name: str, numbers: tuple[int, ...]) -> None:
    """Vote in the poll URL; without `--option`, show what can be chosen. A vote cannot be taken back."""
    from actors.instance import Instance
    from fedmatch.board import social
    from fedmatch.times import rfc3339
    from schemas.objects import Poll

    def lines(poll: Poll) -> str:
        return "\n".join(f"{place} {option.name}: {option.votes}" for place, option in enumerate(poll.options, 1))

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        try:
            poll = await (social.vote(instance, actor, url, numbers) if numbers else social.poll(instance, actor, url))
        except social.CannotDo as error:
            fail(str(error))
        say(
            {
                "url": url,
                "multiple": poll.multiple,
                "ends": None if poll.ends is None else rfc3339(int(poll.ends.timestamp() * 1000)),
                "closed": poll.closed is not None,
                "options": [{"name": option.name, "votes": option.votes} for option in poll.options],
                "voted": sorted(set(numbers)),
            },
            f"Voted: {url}" if numbers else lines(poll),
        )

    within(work)


@click.command(cls=Command)
@click.argument("url")
@AS
@UNDO
def pin(url: str, name: str, undo: bool) -> None:
    """Put one's own public post URL on top of one's profile."""
    from actors.instance import Instance
    from fedmatch.board import social

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        try:
            await social.pin(instance, actor, url, undo=undo)
        except social.CannotDo as error:
            fail(str(error))
        say({"url": url, "pinned": not undo}, f"{'No longer pinned' if undo else 'Pinned'}: {url}")

    within(work)


@click.command(cls=Command)
@click.argument("handle")
@AS
def unfollow(handle: str, name: str) -> None:
    """Follow HANDLE (`name@host`) no longer, or take the request back."""
    from actors.instance import Instance
    from fedmatch import people
    from fedmatch.board import social

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        try:
            followed = await people.find(instance, handle)
        except people.NotFound as error:
            fail(str(error))
        if not await social.unfollow(instance, actor, followed):
            fail(f"@{actor.handle} does not follow @{followed.handle}")
        say({"handle": followed.handle, "following": False}, f"@{actor.handle} no longer follows @{followed.handle}.")

    within(work)


@click.command(cls=Command)
@click.argument("handle")
@AS
@UNDO
def block(handle: str, name: str, undo: bool) -> None:
    """Keep HANDLE (`name@host`) away: no follows either way, nothing to read of each other here."""
    from actors.instance import Instance
    from fedmatch import people
    from fedmatch.board import social

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        try:
            other = await people.find(instance, handle)
            await social.block(instance, actor, other, undo=undo)
        except (people.NotFound, social.CannotDo) as error:
            fail(str(error))
        words = f"@{actor.handle} {'no longer blocks' if undo else 'blocks'} @{other.handle}."
        say({"handle": other.handle, "blocked": not undo}, words)

    within(work)


@click.command(cls=Command)
@click.argument("name")
@click.option("--to", "to", metavar="HANDLE", help="Move NAME to this account, which must say already that it is NAME too.")
@click.option("--from", "origin", metavar="HANDLE", help="Let this account move to NAME: the first step, before it says so itself.")
def move(name: str, to: str | None, origin: str | None) -> None:
    """Move NAME to another account, or prepare a move from one. Followers are taken along; posts stay where they are. Once in seven days."""
    from actors.instance import Instance
    from fedmatch import people
    from fedmatch.board import social

    if (to is None) == (origin is None):
        raise click.UsageError("say where to (--to name@host) or where from (--from name@host), one of them")

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        try:
            if origin is not None:
                old = await social.expect(instance, actor, origin)
                words = f"@{actor.handle} says now that it is also @{old.handle}; that account can move here next."
                say({"handle": actor.handle, "from": old.handle}, words)
                return
            new = await social.move(instance, actor, to or "")
        except (people.NotFound, social.CannotDo) as error:
            fail(str(error))
        say({"handle": actor.handle, "to": new.handle}, f"@{actor.handle} moved to @{new.handle}; its followers are told.")

    within(work)
