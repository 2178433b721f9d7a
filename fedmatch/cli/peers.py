"""Whom do we exchange anything with? `fedmatch peers`: what is decided about servers, single actors and keys."""

from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Group, Json, fail, hint, say, table, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.trust import Level
    from fedmatch.safety.border import Decision, Done, Target


@click.group(cls=Group)
def peers() -> None:
    """Other servers: list, block, limit, allow. TARGET is a HOST, `name@host`, an actor's id (https://...) or a key (sha256:...)."""


def _json(one: "Decision") -> dict[str, Json]:
    from actors.hosts import authority
    from fedmatch.safety.border import Host, Key, Person
    from fedmatch.times import rfc3339

    about = one.target
    return {
        "host": about.name if isinstance(about, Host) else authority(about.uri) if isinstance(about, Person) else None,
        "actor": about.uri if isinstance(about, Person) else None,
        "key": about.fingerprint if isinstance(about, Key) else None,
        "level": one.level,
        "reason": one.reason,
        "since": None if one.since is None else rfc3339(one.since),
        "waiting": {"follows": one.follows, "messages": one.messages},
    }


def _name(about: "Target") -> str:
    from fedmatch.safety.border import Host, Person

    return about.name if isinstance(about, Host) else about.uri if isinstance(about, Person) else about.fingerprint


@peers.command("list")
def list_() -> None:
    """Show every decision, and what waits for one."""
    from actors.instance import Instance
    from fedmatch.safety import border
    from fedmatch.times import rfc3339

    async def work(instance: Instance) -> None:
        found = await instance.database.read(border.decisions, instance)
        rows = [
            (_name(one.target), one.level or "undecided", _waiting(one), "" if one.since is None else rfc3339(one.since), one.reason or "") for one in found
        ]
        say(
            [_json(one) for one in found],
            f"Mode: {instance.trust.mode}\n" + table(("who", "level", "waiting", "since", "reason"), rows, empty="Nothing is decided about anybody yet."),
        )

    within(work)


def _waiting(one: "Decision") -> str:
    words = [f"{one.follows} follows" if one.follows else "", f"{one.messages} messages" if one.messages else ""]
    return ", ".join(word for word in words if word)


@peers.command()
@click.argument("target")
@click.option("--reason", metavar="TEXT", help="Why; kept for those who come after you.")
@click.option("--keys", is_flag=True, help="Also every key known of them, wherever it turns up again.")
def block(target: str, reason: str | None, keys: bool) -> None:
    """Let nothing pass between us and TARGET: follows end, what waits is not sent, what we hold of theirs is deleted. They are not told."""
    _decide(target, "blocked", reason, keys)


@peers.command()
@click.argument("target")
@click.option("--reason", metavar="TEXT", help="Why; kept for those who come after you.")
@click.option("--keys", is_flag=True, help="Also every key known of them, wherever it turns up again.")
def limit(target: str, reason: str | None, keys: bool) -> None:
    """Keep TARGET out of public views: only who follows them hears them, and new follows wait."""
    _decide(target, "limited", reason, keys)


@peers.command()
@click.argument("target")
@click.option("--reason", metavar="TEXT", help="Why; kept for those who come after you.")
@click.option("--keys", is_flag=True, help="Also every key known of them.")
def allow(target: str, reason: str | None, keys: bool) -> None:
    """Let TARGET pass: on the allow list, no longer blocked or limited; what waited is let in."""
    _decide(target, "known", reason, keys)


def _decide(words: str, level: "Level", reason: str | None, keys: bool) -> None:
    from fedmatch.safety import border
    from schemas.states import IllegalMove

    async def work(instance: "Instance") -> None:
        try:
            about = await border.target(instance, words)
            done = await border.decide(instance, about, level, reason, keys=keys)
        except (border.NoTarget, IllegalMove) as error:
            fail(str(error))
        if done.apart:
            hint(f"These below it keep a level of their own and still pass: {', '.join(done.apart)}")
        ended: dict[str, Json] = {"follows": done.follows, "deliveries": done.deliveries}
        say(_json(done.decision) | {"ended": ended, "apart": list(done.apart), "keys": list(done.keys)}, _said(done))

    within(work)


def _said(done: "Done") -> str:
    name = _name(done.decision.target)
    keys = f" {len(done.keys)} keys with it." if done.keys else ""
    match done.decision.level:
        case "blocked":
            return f"{name} is blocked; {done.follows} follows ended, {done.deliveries} deliveries were given up.{keys}"
        case "limited":
            return f"{name} is limited.{keys}"
        case _:
            return f"{name} is allowed.{keys}"
