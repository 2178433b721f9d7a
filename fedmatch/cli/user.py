"""Who is here? `fedmatch user`: people of this instance."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, Json, fail, person, say, staff, table, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.known import Actor
    from schemas.storage import Transaction


@click.group(cls=Group)
def user() -> None:
    """People of this instance: create, list, suspend, delete, and tokens for their apps."""


AS = click.option("--as", "by", metavar="NAME", help="Which moderator or admin decides it, for the log (default: whoever runs this instance).")
REASON = click.option("--reason", metavar="TEXT", help="Why; stays in the log, sealed.")
ROLE = click.Choice(["helper", "member", "matchmaker", "moderator", "admin"])


async def _decider(instance: "Instance", by: str | None) -> str:
    """The name that the log of staff actions shows; ends the command where `by` is none of staff."""
    from fedmatch.safety import audit

    return audit.OPERATOR if by is None else (await staff(instance, by)).username


async def _give(instance: "Instance", actor: "Actor", role: str, who: str, reason: str | None) -> bool:
    from fedmatch.safety import suspension

    async def body(tx: "Transaction") -> bool:
        return await suspension.give(tx, instance, actor, role, staff=who, reason=reason)

    return await instance.database.write(body)


@user.command()
@click.argument("name")
@click.option("--locked", is_flag=True, help="Every follow waits until its person says yes.")
@click.option("--role", type=ROLE, default="helper", show_default=True, help="A member reads nothing that asks for helpers; a matchmaker joins pairs.")
@click.option("--kind", type=click.Choice(["person", "group"]), default="person", show_default=True, help="A group is spoken for by its operators.")
@click.option("--operator", multiple=True, metavar="PERSON", help="Who may act for a group; may be given more than once.")
@AS
@REASON
def create(name: str, locked: bool, role: str, kind: str, operator: tuple[str, ...], by: str | None, reason: str | None) -> None:
    """Make a person, or a group, called NAME: 1 to 30 of a-z, 0-9 and _. A role other than helper stands in the log of staff actions."""
    from actors import local
    from actors.instance import Instance

    if (kind == "group") != bool(operator):
        raise click.UsageError("A group needs at least one --operator; a person has none.")

    async def work(instance: Instance) -> None:
        who = await _decider(instance, by)
        people = [await person(instance, one) for one in operator]
        if strangers := [one.username for one in people if one.kind != "Person"]:
            fail(f"{strangers[0]} is no person; name people of this instance")
        try:
            actor = await local.create(instance, name.removeprefix("@").lower(), "Group" if kind == "group" else "Person", locked=locked)
        except (local.NameTaken, local.BadName) as error:
            fail(str(error))
        for one in people:
            await instance.database.write(local.add_operator, instance, actor, one)
        if role != "helper" and kind == "person":
            await _give(instance, actor, role, who, reason)
        say({"name": actor.username, "handle": actor.handle, "url": actor.uri}, f"@{actor.handle} is here: {actor.url or actor.uri}")

    within(work)


@user.command("role")
@click.argument("name")
@click.argument("role", type=ROLE)
@AS
@REASON
def role_(name: str, role: str, by: str | None, reason: str | None) -> None:
    """Let NAME be a helper, member, matchmaker, moderator or admin of this instance; it stands in the log of staff actions."""
    from actors.instance import Instance

    async def work(instance: Instance) -> None:
        who = await _decider(instance, by)
        actor = await person(instance, name)
        if not await _give(instance, actor, role, who, reason):
            fail(f"nobody logs in as {name}")
        say({"name": actor.username, "role": role}, f"@{actor.handle} is {role} now.")

    within(work)


@user.command()
@click.argument("group")
@click.option("--add", multiple=True, metavar="PERSON", help="Let this person act for it.")
@click.option("--remove", multiple=True, metavar="PERSON", help="Let this person act for it no more.")
def operators(group: str, add: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Show or change who acts for GROUP, and who did what of late. Nobody outside sees any of it."""
    from actors import local
    from actors.instance import Instance
    from fedmatch.board import acts

    async def work(instance: Instance) -> None:
        actor = await person(instance, group)
        try:
            for one in add:
                await instance.database.write(local.add_operator, instance, actor, await person(instance, one))
        except ValueError as error:
            fail(str(error))
        for one in remove:
            await instance.database.write(local.remove_operator, actor, await person(instance, one))
        names = [one.username for one in await instance.database.read(local.operators, actor.id)]
        done = await instance.database.read(acts.newest, instance, actor)
        rows = [(one.json()["at"], one.by, one.what, str(one.about)) for one in done]
        acted: list[Json] = [one.json() for one in done]
        shown = table(("at", "by", "what", "about"), rows, empty="Nothing was done in its name yet.")
        say({"name": actor.username, "operators": names, "acts": acted}, f"{', '.join(names) or 'nobody'}\n{shown}")

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


async def _identities(tx: "Transaction", instance: "Instance", actor: "Actor") -> int:
    from fedmatch.board import identities

    return len(await identities.mine(tx, instance, actor)) - 1


@user.command()
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let them speak again, with all they had; one-time identities that ended do not come back.")
@AS
@REASON
def suspend(name: str, undo: bool, by: str | None, reason: str | None) -> None:
    """Silence NAME: nobody sees them or hears from them, nothing of theirs is deleted but their one-time identities.

    Those end one by one within 72 hours, so that nobody sees whose they were; until then they look as ever, and nobody acts for them.
    """
    from actors.instance import Instance
    from fedmatch.safety import suspension

    async def work(instance: Instance) -> None:
        who = await _decider(instance, by)
        actor = await person(instance, name, suspended=True)

        async def body(tx: "Transaction") -> None:
            await (suspension.lift if undo else suspension.suspend)(tx, instance, actor, staff=who, reason=reason)

        await instance.database.write(body)
        ends = "One-time identities of theirs, if there are any, end within 72 hours, one by one."
        words = "may speak again." if undo else f"is suspended. {ends} `fedmatch user suspend {actor.username} --undo` takes it back."
        say({"name": actor.username, "state": "active" if undo else "suspended"}, f"@{actor.handle} {words}")

    within(work)


@user.command()
@click.argument("name")
@click.option("--now", is_flag=True, help="Their one-time identities too, at once: whoever watches sees that all were one person's.")
@AS
@REASON
def delete(name: str, now: bool, by: str | None, reason: str | None) -> None:
    """Delete NAME with everything they wrote, here and (as far as others obey) elsewhere. The name is never given again.

    Their one-time identities end one by one within 72 hours, so that nobody sees whose they were. It stands in the log of staff actions.
    """
    from actors.instance import Instance
    from fedmatch.board import deletion, identities
    from fedmatch.safety import suspension

    async def work(instance: Instance) -> None:
        who = await _decider(instance, by)
        actor = await person(instance, name, suspended=True)

        async def noted(tx: "Transaction") -> None:
            await suspension.end(tx, instance, actor, staff=who, reason=reason)

        await instance.database.write(noted)
        hidden = await instance.database.write(identities.leave_now, instance, actor) if now else await instance.database.read(_identities, instance, actor)
        await deletion.delete_person(instance, actor)
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
        try:
            await rotation.rotate_keys(instance, actor)
        except ValueError as error:
            fail(str(error))
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
