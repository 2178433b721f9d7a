"""Who is here? `fedmatch user`: people of this instance."""

import click

from fedmatch.cli.house import Group, fail, person, say, table, within


@click.group(cls=Group)
def user() -> None:
    """People of this instance: create, list, suspend, delete, and tokens for their apps."""


@user.command()
@click.argument("name")
@click.option("--locked", is_flag=True, help="Every follow waits until its person says yes.")
def create(name: str, locked: bool) -> None:
    """Make a person called NAME: 1 to 30 of a-z, 0-9 and _."""
    from actors import local
    from actors.instance import Instance

    async def work(instance: Instance) -> None:
        try:
            actor = await local.create(instance, name.removeprefix("@").lower(), locked=locked)
        except (local.NameTaken, local.BadName) as error:
            fail(str(error))
        say({"name": actor.username, "handle": actor.handle, "url": actor.uri}, f"@{actor.handle} is here: {actor.url or actor.uri}")

    within(work)


@user.command("list")
def list_() -> None:
    """Show who is here."""
    from actors import local
    from actors.instance import Instance

    async def work(instance: Instance) -> None:
        actors = [actor for actor in await instance.database.read(local.list_all) if actor.kind != "Application"]
        say(
            [{"name": actor.username, "handle": actor.handle, "url": actor.uri, "state": actor.state, "locked": bool(actor.locked)} for actor in actors],
            table(
                ("name", "handle", "state"),
                [(actor.username, actor.handle, actor.state) for actor in actors],
                empty="Nobody yet; `fedmatch user create NAME` makes somebody.",
            ),
        )

    within(work)


@user.command()
@click.argument("name")
def suspend(name: str) -> None:
    """Silence NAME: nobody sees them or hears from them, nothing is deleted."""
    from actors import local
    from actors.instance import Instance

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        await instance.database.write(local.suspend, instance, actor)
        say({"name": actor.username, "state": "suspended"}, f"@{actor.handle} is suspended.")

    within(work)


@user.command()
@click.argument("name")
@click.option("--now", is_flag=True, help="Their one-time identities too, at once: whoever watches sees that all were one person's.")
def delete(name: str, now: bool) -> None:
    """Delete NAME with everything they wrote, here and (as far as others obey) elsewhere. The name is never given again.

    Their one-time identities end one by one within 72 hours, so that nobody sees whose they were.
    """
    from actors.instance import Instance
    from fedmatch.board import identities, publish

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        hidden = await instance.database.write(identities.scatter, instance, actor, now)
        await publish.delete_person(instance, actor)
        instance.wake("job")
        rest = f" {hidden} one-time identities end {'now' if now else 'within 72 hours, one by one'}." if hidden else ""
        say({"name": actor.username, "state": "gone"}, f"@{actor.handle} is gone; everybody who may hold something of theirs is told.{rest}")

    within(work)


@user.command("rotate-keys")
@click.argument("name")
def rotate_keys(name: str) -> None:
    """Give NAME new keys and tell everybody who may know the old ones, signed with the old. Those stay listed for 7 days."""
    from actors.instance import Instance
    from fedmatch import rotation

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        await rotation.rotate_keys(instance, actor)
        say({"name": actor.username, "state": actor.state}, f"@{actor.handle} has new keys; the news leaves now, signed with the old one.")

    within(work)


@user.command()
@click.argument("name")
@click.option("--scopes", default="read write follow", show_default=True, help="What the token allows, words with blanks between.")
def token(name: str, scopes: str) -> None:
    """Give out a token that acts for NAME. It is shown once and kept as a hash."""
    from actors import local
    from actors.instance import Instance

    words = scopes.split()
    if not words or any(word.partition(":")[0] not in {"read", "write", "follow", "push"} for word in words):
        raise click.BadParameter("words out of read, write, follow, push (read:statuses and the like too)", param_hint="'--scopes'")

    async def work(instance: Instance) -> None:
        actor = await person(instance, name)
        secret = await instance.database.write(local.issue_token, instance, actor, " ".join(words))
        say({"token": secret, "scopes": " ".join(words)}, secret)

    within(work)
