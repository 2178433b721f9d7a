"""How are decisions about servers passed on? The CSV lists of Mastodon's admin pages: blocks with their severity, or the servers that are allowed.

    #domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate      suspend is blocked here, silence is limited
    #domain                                                                         an allow list

What is decided here already stays as it is. What this program does not know (media, obfuscation, the severity noop) is said and not kept. A list is never
published: lists of blocks are a guide for those who want to harass (protocol.md 8.3).
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors import hosts, known, peers
from actors.peers import Peer
from actors.trust import Level
from fedmatch.safety import audit, border
from fedmatch.safety.border import Host

if TYPE_CHECKING:
    from actors.instance import Instance

BLOCKS: Final = ("#domain", "#severity", "#reject_media", "#reject_reports", "#public_comment", "#obfuscate")
ALLOWED: Final = ("#domain",)
SEVERITY: Final = {"suspend": "blocked", "silence": "limited"}
MOST_ROWS: Final = 20_000


class BadList(ValueError):
    """No list we can read; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what is to be decided about a host. `unkept` says what of it has no place here."""

    host: str
    level: Level
    reason: str | None
    unkept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a list: how many decisions were made, which hosts had one already, and what could not be kept."""

    made: int
    skipped: tuple[str, ...]
    unkept: tuple[str, ...]


def read(text: str) -> list[Row]:
    """The rows of a list, in its order; raises `BadList`. Missing columns mean `suspend,false,false,,false`, as at Mastodon."""
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    if not lines or len(lines) > MOST_ROWS + 1:
        raise BadList(f"the list is empty or longer than {MOST_ROWS} lines")
    heads = [head.strip().lstrip("#").lower() for head in lines[0]]
    if "domain" not in heads:
        # A plain list of names, as GoToSocial and many others keep them.
        heads, lines = ["domain"], [["domain"], *lines]
        allowed = False
    else:
        allowed = heads == ["domain"]
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = dict(zip(heads, (cell.strip() for cell in line), strict=False))
        if not cells.get("domain"):
            continue
        try:
            name = hosts.host_name(cells["domain"])
        except hosts.BadUrl as error:
            raise BadList(f"line {number}: {cells['domain']!r} is no host ({error}); correct it, or take the line out") from None
        if not set(name) & set(".:"):
            raise BadList(f"line {number}: {name!r} is no whole name of a server, as in bad.example; is this a list of servers?")
        rows.append(_row(number, name, cells, allowed))
    return rows


def _row(number: int, name: str, cells: dict[str, str], allowed: bool) -> Row:
    if allowed:
        return Row(name, "known", None)
    severity = cells.get("severity") or "suspend"
    unkept = tuple(f"{name}: {what}" for what in ("reject_media", "reject_reports", "obfuscate") if cells.get(what, "").lower() == "true")
    if severity == "noop":
        return Row(name, "known", cells.get("public_comment") or None, (*unkept, f"{name}: severity noop"))
    if severity not in SEVERITY:
        raise BadList(f"line {number}: the severity {severity!r} is none of suspend, silence, noop")
    level: Level = "blocked" if severity == "suspend" else "limited"
    return Row(name, level, cells.get("public_comment") or None, unkept)


def write(those: Iterable[Peer], *, allowed: bool = False) -> str:
    """The list of what was decided, oldest decision first; with `allowed` the servers that may pass."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ALLOWED if allowed else BLOCKS)
    for peer in sorted(those, key=lambda peer: (peer.since, peer.host_id)):
        if allowed and peer.level in ("known", "trusted"):
            writer.writerow((peer.host,))
        elif not allowed and peer.level in ("blocked", "limited"):
            severity = "suspend" if peer.level == "blocked" else "silence"
            writer.writerow((peer.host, severity, "false", "false", peer.reason or "", "false"))
    return out.getvalue()


async def take(instance: "Instance", rows: Iterable[Row], *, staff: str = audit.OPERATOR) -> Imported:
    """Decides what a list says, about hosts nobody here decided about yet."""
    decided = {peer.host for peer in await instance.database.read(peers.list_all)} | known.ours(instance)
    made, skipped, unkept = 0, list[str](), list[str]()
    for row in rows:
        if row.host in decided or any(what.endswith("noop") for what in row.unkept):
            skipped.append(row.host)
        else:
            await border.decide(instance, Host(row.host), row.level, row.reason, staff=staff)
            decided.add(row.host)
            made += 1
        unkept += row.unkept
    return Imported(made, tuple(skipped), tuple(unkept))
