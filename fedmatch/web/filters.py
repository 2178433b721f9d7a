"""What does the query of an address ask of the board? Every filter by its name, and what means nothing said back in words instead of being left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from actors import known
from fedmatch import times
from fedmatch.board import search, services
from fedmatch.board.search import Sort, Wanted
from schemas import vocabulary
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

KINDS: Final = ("request", "offer")
URGENCIES: Final = ("hours", "days", "weeks", "anytime")
STATES: Final = ("open", "closed", "any")
SORTS: Final = ("newest", "best")
MOST_ROOM: Final = 1_000
LONGEST: Final = 120
"""Letters of one value that are looked at."""
REPEATED: Final = 60
"""Letters of a wrong value that are said back."""
MORE: Final = ("language", "helper_region", "until", "room", "checked", "anywhere", "origin", "author", "state")
"""Filters that the form shows on demand."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for; `kept` is the same query in its usual spelling, `wrong` the names and values that mean nothing."""

    wanted: Wanted
    sort: Sort
    kept: Mapping[str, str]
    wrong: tuple[tuple[str, str], ...]

    @property
    def topic(self) -> str:
        """The field of help or skill, "" for any."""
        return self.kept.get("topic", "")

    @property
    def more(self) -> bool:
        """Whether one of the filters is used that the form shows on demand."""
        return any(name in self.kept for name in MORE) or any(name in MORE for name, _ in self.wrong)


def slug(word: str) -> str:
    """A category or skill by one of its names; "" for none."""
    if not 0 < len(word) <= services.LONGEST_NAME:
        return ""
    try:
        return vocabulary.canonical(word)
    except vocabulary.UnknownSlug:
        return ""


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    return lambda word: word if word in choices else ""


def _region(word: str) -> str:
    code = word.upper()
    return code if vocabulary.is_region(code) else ""


def _day(word: str) -> str:
    try:
        return datetime.strptime(word, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat() if len(word) == 10 else ""
    except ValueError:
        return ""


def _room(word: str) -> str:
    return word if word.isascii() and word.isdigit() and len(word) <= 4 and 1 <= int(word) <= MOST_ROOM else ""


def _host(word: str) -> str:
    host = word.lower()
    right = len(host) <= 100 and all(letter.isalnum() or letter in ".-:[]" for letter in host) and any(letter.isalnum() for letter in host)
    return host if right else ""


def _handle(word: str) -> str:
    handle = word.removeprefix("@")
    name, _, host = handle.partition("@")
    return handle if name and len(handle) <= LONGEST and not set(handle) & set(" \x00/") and ("@" not in handle or _host(host)) else ""


_READ: Final[Mapping[str, Callable[[str], str]]] = {
    "kind": _one_of(KINDS),
    "topic": slug,
    "speaks": lambda word: vocabulary.canonical_language(word) or "",
    "region": _region,
    "urgency": _one_of(URGENCIES),
    "language": lambda word: vocabulary.canonical_language(word) or "",
    "helper_region": _region,
    "until": _day,
    "room": _room,
    "checked": _one_of(("1",)),
    "anywhere": _one_of(("1",)),
    "origin": _host,
    "author": _handle,
    "state": _one_of(STATES),
    "sort": _one_of(SORTS),
}
_ALIASES: Final = {"topic": ("topic", "skill", "category")}


def read(values: Mapping[str, str]) -> Asked:
    """What a query asks for, but its author, whose number only the database knows (`narrowed`)."""
    words = " ".join(values.get("words", "")[: search.LONGEST].replace("\x00", " ").split())
    kept = {"words": words}
    wrong: list[tuple[str, str]] = []
    for name, understood in _READ.items():
        said = next((value for alias in _ALIASES.get(name, (name,)) if (value := values.get(alias, "").strip())), "")
        kept[name] = understood(said) if len(said) <= LONGEST else ""
        if said and not kept[name]:
            wrong.append((name, said[:REPEATED]))
    kept = {name: value for name, value in kept.items() if value and (name, value) not in (("state", "open"), ("sort", "newest"))}
    ends = datetime.fromisoformat(kept["until"]).replace(tzinfo=UTC) + timedelta(days=1) if "until" in kept else None
    wanted = Wanted(
        words=search.typed(words),
        kind=kept.get("kind"),
        slugs=(kept["topic"],) if "topic" in kept else (),
        speaks=(kept["speaks"],) if "speaks" in kept else (),
        region=kept.get("region"),
        urgency=kept.get("urgency"),
        language=kept.get("language"),
        helper_region=kept.get("helper_region"),
        before=None if ends is None else times.milliseconds(ends),
        room=int(kept["room"]) if "room" in kept else None,
        checked="checked" in kept,
        anywhere="anywhere" in kept,
        origin=kept.get("origin"),
        state=kept.get("state", "open"),  # type: ignore[arg-type]  # one of `STATES`
    )
    return Asked(wanted, "best" if kept.get("sort") == "best" else "newest", kept, tuple(wrong))


async def author(tx: Transaction, instance: "Instance", handle: str) -> int | None:
    """The number of the actor with this handle, None for nobody."""
    name, _, host = handle.partition("@")
    ours = not host or host in known.ours(instance)
    found = await known.by_name(tx, name) if ours else await known.by_handle(tx, name, host)
    return None if found is None else found.id
