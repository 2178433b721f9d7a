"""What would be lost, and what was done? `fedmatch audit`."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fedmatch.cli.house import Command, Json, fail, say, table, within

if TYPE_CHECKING:
    from actors.instance import Instance
    from fedmatch.safety.audit import Checked
    from fedmatch.safety.exposure import Line, OfPeer
    from schemas.storage import Transaction


MOST = 36
"""Letters of a cell of `--self`: what stands in its three columns is whole sentences, and a terminal is not wide."""


@click.command(cls=Command)
@click.option("--peer", "host", metavar="HOST", help="Everything of ours that a seizure of that server would give away.")
@click.option("--self", "own", is_flag=True, help="What this machine gives away: its disk alone, its disk with the key, itself as it runs.")
@click.option("--log", "chain", is_flag=True, help="What staff did, with every link of the chain verified.")
@click.option("--head", metavar="HASH", help="With --log: a head that a peer saw; it has to be in the chain.")
@click.option("--shred-before", "before", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="With --log: forget who did what until then, and why (UTC).")
def audit(host: str | None, own: bool, chain: bool, head: str | None, before: datetime | None) -> None:
    """Show what a seizure gives away, or what staff did. Say one of --peer, --self, --log."""
    if (host is not None) + own + chain != 1:
        raise click.UsageError("Say one of --peer HOST, --self, --log.")
    if head is not None and not chain:
        raise click.UsageError("--head belongs to --log.")
    if head is not None and not re.fullmatch(r"[0-9a-f]{64}", head := head.strip().lower()):
        raise click.UsageError("--head: a head is 64 hexadecimal digits; `fedmatch peers list --json` shows at a peer which ones it saw.")
    if before is not None and not chain:
        raise click.UsageError("--shred-before belongs to --log.")

    async def work(instance: "Instance") -> None:
        if host is not None:
            await _peer(instance, host)
        elif own:
            await _self(instance)
        else:
            if before is not None:
                await _shred(instance, before.replace(tzinfo=UTC))
            await _log(instance, head)

    within(work)


async def _peer(instance: "Instance", host: str) -> None:
    from actors.hosts import BadUrl
    from fedmatch.safety import exposure

    try:
        found = await instance.database.read(exposure.of_peer, instance, host)
    except BadUrl as error:
        fail(f"{host!r} is no host: {error}")
    if found is None:
        fail(f"nobody here ever spoke with {host}; it has nothing of ours")
    say(_peer_json(found), _peer_text(found))


def _peer_json(found: "OfPeer") -> dict[str, Json]:
    from fedmatch.times import rfc3339

    return {
        "host": found.host,
        "level": found.level,
        "listings": [
            {"url": url, "kind": kind, "audience": audience, "from": rfc3339(since), "until": None if until is None else rfc3339(until)}
            for url, kind, audience, since, until in found.copies
        ],
        "vouches": [{"about": about, "level": level, "state": state, "given": rfc3339(at)} for about, level, state, at in found.vouches],
        "conversations": [
            {
                "id": str(one.id),
                "state": one.state,
                "since": rfc3339(one.at),
                "messages": one.messages,
                "given": one.given,
                "introductions": one.introductions,
                "guests": one.guests,
            }
            for one in found.conversations
        ],
        "followed": [{"ours": ours, "theirs": theirs} for ours, theirs in found.followed],
        "followers": [{"ours": ours, "theirs": theirs} for ours, theirs in found.followers],
        "services": found.services,
        "letters": found.letters,
        "public": dict(found.public),
        "fetched": found.fetched,
        "sealed": found.sealed,
        "unheard": found.unheard,
    }


def _peer_text(found: "OfPeer") -> str:
    from fedmatch.times import rfc3339

    copies = [(url, kind, audience, rfc3339(since), "now" if until is None else rfc3339(until)) for url, kind, audience, since, until in found.copies]
    vouches = [(about, str(level), state, rfc3339(at)) for about, level, state, at in found.vouches]
    answers = [
        (str(one.id), one.state, rfc3339(one.at), *(str(number) for number in (one.messages, one.given, one.introductions, one.guests)))
        for one in found.conversations
    ]
    said = ("id", "state", "since", "messages", "names, contacts, places given", "introductions", "guests")
    public = ", ".join(f"{number} {kind}" for kind, number in found.public) or "nothing"
    return "\n\n".join(
        (
            f"What lies, or lay, at {found.host} ({found.level}):",
            "Listings that are not public, with all their words\n" + table(("url", "kind", "audience", "from", "until"), copies, empty="none"),
            "Vouches\n" + table(("about", "level", "state", "given"), vouches, empty="none"),
            "Answers and conversations, with all their words\n" + table(said, answers, empty="none"),
            "Follows\n" + table(("ours", "theirs"), [*found.followed, *found.followers], empty="none"),
            f"Follows of our Services by people there, with which fields of help they watch: {found.services}.",
            f"Direct and followers-only posts of ours: {found.letters}. Public posts it fetched: {found.fetched}.\n"
            f"Sent of late: {public} in the open, {found.sealed} sealed.\n"
            f"Deleted or closed here, and it has not heard so: {found.unheard}. What it was sent of these may lie there still.",
        )
    )


async def _self(instance: "Instance") -> None:
    from fedmatch.safety import exposure

    lines = await instance.database.read(exposure.of_self)
    source = instance.vault.source
    rows = [(line.table, str(line.rows), *_columns(line)) for line in lines if line.rows]
    heads = ("table", "rows", "disk alone", "disk + key", "running machine")
    beside = "The key of the vault lies beside the data (source `file`): the first two columns are one."
    known = beside if source == "file" else f"The key of the vault comes from: {source}."
    running = "\n".join(f"- {line}" for line in exposure.RUNNING)
    say(
        {
            "vault": source,
            "tables": [
                {"table": line.table, "rows": line.rows, "sealed": line.sealed, "disk": line.disk, "disk_and_key": line.key, "running": _running(line)}
                for line in lines
            ],
            "running": list(exposure.RUNNING),
        },
        f"{table(heads, rows, empty='nothing', most=MOST)}\n\n{known}\nA running machine gives besides:\n{running}",
    )


def _columns(line: "Line") -> tuple[str, str, str]:
    return line.disk or "numbers alone", f"also ({line.sealed}): {line.key}" if line.key else "the same", _running(line)


def _running(line: "Line") -> str:
    return "both, and what comes" if line.key else "the same, and what comes"


async def _shred(instance: "Instance", before: datetime) -> None:
    """Forgets names and reasons of what was done before a day; the chain stays, and that it was done is one more link of it."""
    from fedmatch import chores
    from fedmatch.safety import audit as log

    async def body(tx: "Transaction") -> None:
        if await log.shred(tx, int(before.timestamp() * 1000)):
            await log.log(tx, instance, log.OPERATOR, "log.shred", f"{before:%Y-%m-%d}")
            await chores.erase_soon(tx, instance)

    await instance.database.write(body)
    instance.wake("job")
    await instance.database.erase()


async def _log(instance: "Instance", head: str | None) -> None:
    from fedmatch.safety import audit as log
    from fedmatch.times import rfc3339

    checked = await log.check(instance, head)
    rows = [(str(one.number), rfc3339(one.at), one.action, one.staff or "-", one.about or "-", one.reason or "") for one in checked.entries]
    say(
        {
            "holds": checked.holds,
            "head": checked.head,
            "broken": checked.broken,
            "false": list(checked.false),
            "shredded": checked.shredded,
            "found": checked.found,
            "cut": checked.cut,
            "entries": [
                {"number": one.number, "at": rfc3339(one.at), "action": one.action, "staff": one.staff, "about": one.about, "reason": one.reason}
                for one in checked.entries
            ],
        },
        table(("n", "at", "action", "who", "about", "why"), rows, empty="Staff did nothing yet.") + (f"\n\n{_verdict(checked)}" if checked.holds else ""),
    )
    if not checked.holds:
        fail(_verdict(checked))


def _verdict(checked: "Checked") -> str:
    if checked.broken is not None:
        return f"The chain is BROKEN at {checked.broken}: something was changed, removed or put in."
    if checked.false:
        return f"The details of {', '.join(map(str, checked.false))} are NOT what was written then."
    if checked.found is False:
        return "The head you named is NOT in the chain: it was cut, or is another instance's."
    if checked.cut:
        return "The chain was CUT: the head that this instance showed to others last is not in it any more."
    forgotten = f" Of {checked.shredded} nobody knows any more who did it and why." if checked.shredded else ""
    return f"The chain holds; its head is {checked.head}.{forgotten}"
