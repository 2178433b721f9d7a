"""What does a Service say to somebody who writes to it? A short answer in their language, once per person and day; nothing of the message is kept."""

from typing import TYPE_CHECKING, Final

from actors import known, quiet
from actors.known import Actor
from fedmatch import words
from fedmatch.board import letters
from fedmatch.board.services import label
from fedmatch.jobs import enqueue
from outbox import posts
from schemas import vocabulary
from schemas.events import Answer, PostArrived
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

DAY_MS: Final = 24 * 3_600_000
HELP_AN_HOUR: Final = 60
"""Answers to one server; what it sends beyond gets none."""
MOST_ADDRESSED: Final = 20


INSERT_TOLD: Final = """
insert into told_help (mark, until)
values (:mark, :until)
on conflict (mark) do nothing
"""

NEXT_TOLD: Final = """
select min(told_help.until) as until
from told_help
"""

FORGET_TOLD: Final = """
delete from told_help
where until <= :now
"""


async def arrived(instance: "Instance", tx: Transaction, event: PostArrived) -> Answer:
    """Takes what is written to our Services and to nobody else here: it is not kept, and a private one is answered, once a day.

    Other Services get no answer, so that two of them never talk to each other.
    """
    addressed = await _addressed(tx, instance, event)
    services = [actor for actor in addressed if quiet.keeps(actor)]
    if not services or len(services) < len(addressed):
        return Answer.PASS
    author = await known.by_id(tx, event.actor_id)
    if author is None or author.local or not author.active or author.kind in ("Service", "Application"):
        return Answer.TAKEN
    if posts.visibility(event.note, author.followers) == "direct":
        await _help(tx, instance, services[0], author, event.note.language)
    return Answer.TAKEN


async def _addressed(tx: Transaction, instance: "Instance", event: PostArrived) -> list[Actor]:
    """Everybody here that a post is written to, or whose post it answers."""
    ours = f"{instance.config.base_url}/"
    targets = [target for target in dict.fromkeys(event.note.addressed) if target.startswith(ours)][:MOST_ADDRESSED]
    found = [actor for target in targets if (actor := await known.by_uri(tx, target)) is not None and actor.local]
    parent = event.note.in_reply_to
    answered = await posts.by_uri(tx, parent) if parent is not None and parent.startswith(ours) else None
    author = None if answered is None else await known.by_id(tx, answered.actor_id)
    return found if author is None else [*found, author]


async def _help(tx: Transaction, instance: "Instance", service: Actor, to: Actor, language: str | None) -> None:
    now = instance.clock.ms()
    if not instance.limits.allow("topic.help", to.host, HELP_AN_HOUR / 3600, HELP_AN_HOUR):
        return
    await tx.execute(FORGET_TOLD, now=now)
    mark = instance.vault.digest("told_help", to.uri).hex()
    if not await tx.execute(INSERT_TOLD, mark=mark, until=now + DAY_MS):
        return
    await enqueue(tx, instance, "forget_help", "all", now + DAY_MS)
    written = vocabulary.written(language)
    text = words.words(written, "topic.help", name=label(service.username, written))
    await letters.send(tx, instance, service, to, text, language=written)
    instance.wake("delivery")


async def forget_help(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job `forget_help`: whom a Service answered more than a day ago is forgotten."""
    await instance.database.write(_forget_help, instance)


async def _forget_help(tx: Transaction, instance: "Instance") -> None:
    await tx.execute(FORGET_TOLD, now=instance.clock.ms())
    row = await tx.one(NEXT_TOLD)
    if row is not None and row["until"] is not None:
        await enqueue(tx, instance, "forget_help", "all", row["until"])
