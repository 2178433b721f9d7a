"""Who may read what? The one table of the leak matrix, written from what was promised and not from the code; every expected value comes from `expected`.

A row is a thing that was written at one instance by one author; a column is a reader. `x` reads all of it, `c` its coarse fields alone, `.` nothing, not even
that it is there; a blank cell is not asked for.
"""

from dataclasses import dataclass
from typing import Final, Literal

Reads = Literal["full", "coarse", "no"]
Surface = Literal["http", "find", "about", "words", "timeline"]
"""Where it is read: over HTTP (pages, documents, feeds, lists); here by its id or address; here by what it is about; here by its words; on a timeline."""

_TABLE: Final = """
             anonymous holder other former follower stranger barred | author staff helper unvouched member fan away | helper@b unvouched@b helper@c
local            .       .      .      .      .        .       .   |   x      x     c        .        .    .    .  |    .         .          .
peers            .       .      .      .      .        .       .   |   x      x     c        .        .    .    .  |    c         .          .
network          .       .      .      .      .        .       .   |   x      x     c        .        .    .    .  |    c         .          c
scheduled        .       .      .      .      .        .       .   |   x      x     .        .        .    .    .  |    .         .          .
held             .       .      .      .      .        .       .   |   .      x     .        .        .    .    .  |    .         .          .
refused          .       .      .      .      .        .       .   |   .      x     .        .        .    .    .  |    .         .          .
withdrawn        .       .      .      .      .        .       .   |                                                |    .         .          .
draft            .       .      .      .      .        .       .   |                                                |
response         .       .      .      .      .        .       .   |                                                |
message          .       .      .      .      .        .       .   |                                                |
direct           .       .      .      .      x        .       .   |   x      .     .        .        .    .    .  |    .         .          .
followers        .       .      .      .      x        .       .   |   x      .     .        .        .    x    .  |    .         .          .
public           x       x      x      x      x        x       .   |   x      x     x        x        x    x    x  |    x         x          x
"""

READERS: Final = {
    "anonymous": "anonymous",
    "holder": "a trusted peer that got a copy of `peers`",
    "other": "a trusted peer that did not",
    "former": "somebody on a known server who followed the author, and does no more",
    "follower": "a follower on a known server, to whom `direct` is addressed",
    "stranger": "somebody on a server without any standing",
    "barred": "somebody on a blocked server, which reads nothing that it signs for, not even what is public",
    "author": "who wrote all but `held` and `refused`, which newcomers wrote",
    "staff": "a moderator, who reads listings and nobody's letters",
    "helper": "meets the floor, and has opened nothing",
    "unvouched": "a helper who does not meet the floor",
    "member": "has no role that helps",
    "fan": "follows the author, without a vouch",
    "away": "would meet the floor, and is blocked by the author",
    "helper@b": "meets the floor, on the peer that got `peers`",
    "unvouched@b": "does not, there",
    "helper@c": "meets the floor, on the other peer",
}
WORD: Final[dict[str, Reads]] = {"x": "full", "c": "coarse", ".": "no"}


def _read(table: str) -> dict[str, dict[str, Reads]]:
    """The table by thing and reader; a cell belongs to the reader over whose name it ends."""
    head, *rows = table.strip("\n").splitlines()
    ends = {name: head.index(f" {name} ") + 1 if f" {name} " in head else head.index(f" {name}") + 1 for name in READERS}
    found: dict[str, dict[str, Reads]] = {}
    for row in rows:
        cells = {name: row[at : at + len(name)].strip() for name, at in ends.items()}
        found[row.split()[0]] = {name: WORD[cell] for name, cell in cells.items() if cell}
    return found


POLICY: Final = _read(_TABLE)
THINGS: Final = tuple(POLICY)
REMOTE: Final = ("anonymous", "holder", "other", "former", "follower", "stranger", "barred")
HERE: Final = ("author", "staff", "helper", "unvouched", "member", "fan", "away")
THERE: Final = ("helper@b", "unvouched@b", "helper@c")
LISTINGS: Final = ("local", "peers", "network", "held", "refused", "scheduled", "public")
UNPUBLISHED: Final = frozenset({"held", "refused", "scheduled"})


@dataclass(frozen=True)
class House:
    """How the instance is run whose things are looked for, and whether their author approves followers by hand."""

    database: str = "sqlite"
    signed_only: bool = False
    mode: str = "open"
    locked: bool = False

    @property
    def signs(self) -> bool:
        """Whether whoever reads has to say who they are; who speaks with some servers alone has to know which one asks."""
        return self.signed_only or self.mode == "allowlist"

    @property
    def refusals(self) -> set[int]:
        """How what may not be had is refused: 403 to servers that nothing is said to, 401 to who does not say who asks."""
        return {401, 403, 404} if self.signs else {403, 404}


PLAIN: Final = House()


def expected(house: House, thing: str, reader: str, surface: Surface) -> Reads:
    """How much of a thing a reader gets in a place: the table, and what the house and the place take from it."""
    reads = POLICY[thing][reader]
    if house.locked and thing == "followers" and reader != "author":
        return "no"  # nobody was let in
    if surface == "http" and ((house.signs and reader == "anonymous") or (house.mode == "allowlist" and reader == "stranger")):
        return "no"
    if surface in ("about", "words", "timeline") and thing in UNPUBLISHED:
        return "no"  # it has no place in any list before it is published
    if surface == "words" and reads != "full":
        return "no"  # a search is no way to guess what one does not read
    if surface == "timeline" and (reads != "full" or reader == "away"):
        return "no"  # nobody is shown what is written by whoever keeps away from them
    if surface == "timeline" and thing in ("local", "peers", "network") and reader != "author":
        return "no"  # what is not public stands on the board, which shows it to each as they may read it
    return reads
