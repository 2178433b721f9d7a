"""Whom do we exchange anything with, and whom do we trust? `fedmatch peers`: other instances, servers, single actors and keys."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from fedmatch.cli.house import Group, Json, fail, hint, interactive, say, settings, table, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from actors.peers import Partner
    from actors.trust import Level
    from fedmatch.safety.border import Decision, Done, Target
    from fedmatch.safety.peering import Words
    from schemas.storage import Transaction

    Heads = Sequence[tuple[str, int]]


@click.group(cls=Group)
def peers() -> None:
    """Other servers: add, words, trust, list, allow, limit, block, remove, import, export.

    TARGET is a HOST, `name@host`, an actor's id (https://...) or a key (sha256:...). Trust is for instances like this one: `add` and `trust` on both sides.
    """


def _trust(one: "Partner", heads: "Heads" = ()) -> Json:
    from fedmatch.times import rfc3339
    from schemas import peering

    return {
        "application": one.application,
        "asks_us": one.asked is not None,
        "accepted_us": one.accepted_at is not None,
        "ready": one.ready,
        "vouches_count_up_to": one.vouches_count_up_to,
        "announce": one.announce,
        "lost": None if one.lost_at is None else {"at": rfc3339(one.lost_at), "why": one.lost_why},
        "terms": dict(peering.terms(one.terms)),
        "log_heads": [{"head": head, "seen": rfc3339(at)} for head, at in heads],
    }


def _json(one: "Decision", partner: "Partner | None" = None, heads: "Heads" = ()) -> dict[str, Json]:
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
    } | ({} if partner is None else {"trust": _trust(partner, heads)})


def _name(about: "Target") -> str:
    from fedmatch.safety.border import Host, Person

    return about.name if isinstance(about, Host) else about.uri if isinstance(about, Person) else about.fingerprint


def _gave_up(error: Exception) -> "NoReturn":
    fail(str(error))


@peers.command()
@click.argument("host")
def add(host: str) -> None:
    """Begin the handshake with another instance: read what it says of itself, and ask it to trust us."""
    from fedmatch.safety import peering

    async def work(instance: "Instance") -> None:
        from actors.hosts import BadUrl
        from schemas import peering as wire

        try:
            one = await peering.add(instance, host)
        except BadUrl as error:
            fail(f"{host!r} is no server ({error}); write its name alone, as in ngo.example")
        except (peering.CannotPeer, ValueError) as error:
            _gave_up(error)
        terms = "\n".join(f"  {name}: {text}" for name, text in wire.terms(one.terms).items()) or "  (it says nothing of itself)"
        say(
            _partner_json(one),
            f"{one.host} was asked. Its terms:\n{terms}\nNext: {_next(one, instance.config.host)}",
        )

    within(work)


def _next(one: "Partner", ours: str) -> str:
    compare = f"`fedmatch peers words {one.host}`: the same words stand on their side; read them to each other, then `fedmatch peers trust {one.host}`."
    return compare if one.asked is not None else f"its admin types `fedmatch peers add {ours}`; then {compare}"


def _partner_json(one: "Partner") -> dict[str, Json]:
    return {"host": one.host, "level": one.level, "trust": _trust(one)}


@peers.command()
@click.argument("host")
def words(host: str) -> None:
    """Show the six words to be read aloud to the admin of HOST; on their side stand the same. The digits are the same once more, for who speaks no English."""

    async def work(instance: "Instance") -> None:
        read = await _words(instance, host)
        say(_words_json(read), _words_text(read))

    within(work)


async def _words(instance: "Instance", host: str) -> "Words":
    from actors.hosts import BadUrl
    from fedmatch.safety import peering

    try:
        return await peering.words(instance, host)
    except (peering.CannotPeer, BadUrl) as error:
        _gave_up(error)


def _words_json(read: "Words") -> dict[str, Json]:
    return {**_partner_json(read.partner), "words": list(read.words), "digits": list(read.digits)}


def _words_text(read: "Words") -> str:
    return f"{' '.join(read.words)}\n{' '.join(read.digits)}"


@peers.command("trust")
@click.argument("host")
@click.option(
    "--vouches-count-up-to", "count", type=click.IntRange(0, 5), metavar="N", help="The level its vouches count for here, at most (at first 0)."
)
@click.option("--announce/--no-announce", default=None, help="Whether our category actors announce what it publishes (at first not).")
@click.option("--words", "heard", metavar="WORDS", help="The words, or digits, its admin read to you: refused unless they are ours.")
@click.option("--reason", metavar="TEXT", help="Why; kept for those who come after you.")
def trust_(host: str, count: int | None, announce: bool | None, heard: str | None, reason: str | None) -> None:
    """Trust HOST after its words were compared: its keys are pinned, and once it trusts us too what is not public may go there. Again changes the options."""
    from fedmatch.safety import peering
    from schemas.states import IllegalMove

    async def work(instance: "Instance") -> None:
        read = await _words(instance, host)
        if heard is not None and heard.lower().replace("-", " ").split() not in (list(read.words), list(read.digits)):
            fail(f"these are not the words; here stands: {' '.join(read.words)}. If you read them right, somebody stands between you and {read.partner.host}")
        if heard is None and interactive() and not settings().json:
            _show(read)
            click.confirm("Does the other admin read the same six words?", abort=True, err=True)
        try:
            one = await peering.trust(instance, read, count=count, announce=announce, reason=reason)
        except (peering.CannotPeer, IllegalMove) as error:
            _gave_up(error)
        state = "What is not public may go there now." if one.ready else "Nothing that is not public goes there until it trusts us too."
        say({**_words_json(read), **_partner_json(one)}, f"{one.host} is trusted ({' '.join(read.words)}). {state}")

    within(work)


def _show(read: "Words") -> None:
    from schemas import peering

    terms = "\n".join(f"  {name}: {text}" for name, text in peering.terms(read.partner.terms).items()) or "  (it says nothing of itself)"
    hint(f"What {read.partner.host} says of itself:\n{terms}\n\n{_words_text(read)}\n")


@peers.command("list")
def list_() -> None:
    """Show every decision, every handshake, and what waits for a decision."""
    from actors import handshake
    from actors import peers as rooms
    from fedmatch.safety import border
    from fedmatch.safety.border import Decision, Host
    from fedmatch.times import rfc3339

    async def work(instance: "Instance") -> None:
        found = list(await instance.database.read(border.decisions, instance))
        partners = {one.host: one for one in await instance.database.read(rooms.partners)}
        named = {one.target.name for one in found if isinstance(one.target, Host)}

        async def shown(tx: "Transaction") -> "dict[str, Heads]":
            return {one.host: await handshake.heads(tx, one.host_id) for one in partners.values()}

        heads = await instance.database.read(shown)
        found += [Decision(Host(host), None) for host in sorted(set(partners) - named)]
        rows = [
            (
                _name(one.target),
                one.level or "undecided",
                _handshake(_of(one, partners)),
                _waiting(one),
                "" if one.since is None else rfc3339(one.since),
                one.reason or "",
            )
            for one in found
        ]
        say(
            [_json(one, _of(one, partners), heads.get(_name(one.target), ())) for one in found],
            f"Mode: {instance.trust.mode}\n"
            + table(("who", "level", "trust", "waiting", "since", "reason"), rows, empty="Nothing is decided about anybody yet."),
        )

    within(work)


def _of(one: "Decision", partners: "dict[str, Partner]") -> "Partner | None":
    from fedmatch.safety.border import Host

    return partners.get(one.target.name) if isinstance(one.target, Host) else None


def _handshake(one: "Partner | None") -> str:
    if one is None:
        return ""
    if one.lost_at is not None:
        return "lost: read the words again"
    if one.ready:
        return f"both ways, vouches to {one.vouches_count_up_to}"
    return "we trust it" if one.trusted else "it trusts us" if one.accepted_at is not None else "it asks us" if one.asked is not None else "asked"


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
    """Let TARGET pass: known, on the allow list, no longer blocked or limited; what waited is let in. Takes trust away from who was trusted."""
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


@peers.command()
@click.argument("host")
@click.option("--reason", metavar="TEXT", help="Why; kept in the log of staff actions.")
def remove(host: str, reason: str | None) -> None:
    """Forget everything decided about HOST: a stranger again. If it was trusted, it is told to delete what it holds that is not public."""
    from fedmatch.safety import border

    async def work(instance: "Instance") -> None:
        try:
            about = await border.target(instance, host)
        except border.NoTarget as error:
            _gave_up(error)
        if not isinstance(about, border.Host):
            fail("only servers are removed; `fedmatch peers allow` lets an actor or a key pass again")
        if not await border.forget(instance, about, reason):
            fail(f"nothing is decided about {about.name}")
        say({"host": about.name, "removed": True}, f"{about.name} is a stranger again.")

    within(work)


@peers.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
def import_(file: str) -> None:
    """Decide what a list in Mastodon's CSV format says (blocks, or allowed servers); `-` reads standard input. What is decided already stays."""
    from fedmatch.safety import peerlists

    try:
        text = sys.stdin.buffer.read().decode("utf-8") if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8 text; save it as UTF-8, or send it through `iconv -t UTF-8`")

    async def work(instance: "Instance") -> None:
        try:
            done = await peerlists.take(instance, peerlists.read(text))
        except peerlists.BadList as error:
            _gave_up(error)
        if done.unkept:
            hint(f"Not kept, for it has no place here: {'; '.join(done.unkept)}")
        say(
            {"made": done.made, "skipped": list(done.skipped), "unkept": list(done.unkept)},
            f"{done.made} decisions made, {len(done.skipped)} stay as they were.",
        )

    within(work)


@peers.command()
@click.option("--allowed", is_flag=True, help="The servers that may pass, instead of those that are blocked or limited.")
def export(allowed: bool) -> None:
    """Print the decisions about servers in Mastodon's CSV format."""
    from actors import peers as rooms
    from fedmatch.safety import peerlists

    async def work(instance: "Instance") -> None:
        found = await instance.database.read(rooms.list_all)
        text = peerlists.write(found, allowed=allowed)
        if settings().json:
            say([{"host": row.host, "level": row.level, "reason": row.reason} for row in peerlists.read(text)], "")
        else:
            click.echo(text, nl=False)

    within(work)
