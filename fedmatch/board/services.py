"""Which Services have we, and what are they called? One for each category and skill, made when its name is first looked up, and three for the board."""

import asyncio
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import structlog

from actors import known, local
from actors.called import Busy
from actors.known import Actor
from schemas import vocabulary
from schemas.objects import Proposal
from schemas.reading import Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

BOARDS: Final = {"requests": "Requests", "offers": "Offers", "urgent": "Urgent requests and offers"}
"""The Services that are of no category; names of `actors.local.BOARDS`."""
LONGEST_NAME: Final = 64
MAKE_EVERY_S: Final = 2.0
MAKE_AT_ONCE: Final = 8
MOST_WAITING: Final = 8
"""A stranger who looks up all of them at once gets a few, and 503 for the rest: two keys a Service cost up to 0.4 s each."""


def name_of(word: str) -> str | None:
    """The user name of the Service a word means (a slug or alias in any spelling, or a board), None for any other word."""
    if not 0 < len(word) <= LONGEST_NAME or not word.isascii():
        return None
    plain = word.lower()
    if plain in BOARDS:
        return plain
    try:
        return vocabulary.canonical(word).lower()
    except vocabulary.UnknownSlug:
        return None


def names(proposal: Proposal) -> tuple[str, ...]:
    """The user names of the Services a listing is for, those that say most about it first. Words that are not in our taxonomy have none."""
    wanted = [name for slug in proposal.skills if vocabulary.is_skill(slug) and (name := name_of(slug))]
    wanted += [name for slug in (*proposal.categories, *proposal.skills) if (name := _category(slug))]
    if proposal.urgency == "hours":
        wanted.append("urgent")
    return tuple(dict.fromkeys([*wanted, "requests" if proposal.purpose == "request" else "offers"]))


def _category(slug: str) -> str | None:
    try:
        return vocabulary.category(slug).slug.lower()
    except vocabulary.UnknownSlug:
        return None


class Caller:
    """Makes Services when their names are called: one at a time in a process, and few in line."""

    def __init__(self, instance: "Instance") -> None:
        self._instance = instance
        self._one = asyncio.Lock()
        self._waiting = 0

    async def __call__(self, word: str) -> str | None:
        """The user name of the Service that `word` means, made now if it is the first time; None if it means none. Raises `actors.called.Busy`."""
        name = name_of(word)
        if name is None:
            return None
        database = self._instance.database
        if await database.read(known.by_name, name) is not None:
            return name
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._one:
                if await database.read(known.by_name, name) is None:
                    if not self._instance.limits.allow("topic", "made", 1 / MAKE_EVERY_S, MAKE_AT_ONCE):
                        raise Busy
                    await _make(self._instance, name)
        finally:
            self._waiting -= 1
        return name


async def _make(instance: "Instance", name: str) -> None:
    try:
        made = await local.create(instance, name, kind="Service", name=label(name, "en"))
    except local.NameTaken:   # another process was faster
        return
    await instance.database.write(_describe, instance, made)
    log.info("topic.made", actor=made.id)


DESCRIBE: Final = """
update actor
set summary = :summary, discoverable = 1
where id = :id
"""


async def _describe(tx: Transaction, instance: "Instance", service: Actor) -> None:
    await tx.execute(DESCRIBE, id=service.id, summary=_summary(instance, service.username))


def _summary(instance: "Instance", name: str) -> str:
    """What stands on its profile: what it is, the name of its field in every language, and how to answer."""
    others = " · ".join(dict.fromkeys(label(name, language) for language in vocabulary.LANGUAGES))
    return (
        f"<p>{escape(others)}</p><p>Public requests and offers on {escape(instance.config.name)}. To answer one, write a private message to the account that "
        "posted it, and to nobody else. Nobody can see who follows this account.</p>"
    )


def label(name: str, language: str) -> str:
    """What the Service of that user name is called in a language of the taxonomy (boards have English names only)."""
    return BOARDS[name] if name in BOARDS else vocabulary.label(vocabulary.canonical(name), language)


@dataclass(frozen=True, slots=True)
class Topic:
    """One Service that was made: how many follow it, and how many listings wait to be announced."""

    handle: str
    label: str
    followers: int
    waiting: int

    def json(self) -> dict[str, str | int]:
        return {"handle": self.handle, "label": self.label, "followers": self.followers, "waiting": self.waiting}


LISTED: Final = """
select actor.username, actor.handle_host,
  (select count(*) from quiet_follower where quiet_follower.actor_id = actor.id)
    + (select count(*) from quiet_member where quiet_member.actor_id = actor.id) as followers,
  (select count(*) from announcement where announcement.actor_id = actor.id and announcement.state = 'waiting') as waiting
from actor
where actor.local = 1
  and actor.kind = 'Service'
  and actor.state = 'active'
order by actor.username
"""


async def listed(tx: Transaction, language: str = "en") -> list[Topic]:
    """Every Service that was looked up at least once, by name."""
    return [_topic(row, language) for row in await tx.all(LISTED) if name_of(row["username"]) == row["username"]]


def _topic(row: Row, language: str) -> Topic:
    return Topic(f"{row['username']}@{row['handle_host']}", label(row["username"], language), int(row["followers"]), int(row["waiting"]))
