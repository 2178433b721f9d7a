"""Who is complained about? A Flag of another server is told to the product, for moderators; whom it is about never hears of it, whatever inbox it came to."""

from typing import Final

import structlog

from actors import hosts, known
from actors.instance import Instance
from actors.known import Actor
from inbox.effects import NOTHING, Effects
from outbox import posts
from schemas.activities import Flag
from schemas.events import Reported
from schemas.reading import Iri
from schemas.storage import Transaction

log = structlog.get_logger()

FLAGS_AT_ONCE: Final = 60
FLAGS_PER_S: Final = 60 / 3600
"""Reports of one host: 60 at once and 60 an hour after that; more are answered 429 and may come again (security.md A119)."""


async def flagged(tx: Transaction, instance: Instance, actor: Actor, flag: Flag) -> Effects:
    """Takes a complaint of anybody who proved who they are: one `Reported` for each of ours it names, by id, profile or post. Of nobody here: forgotten."""
    if flag.id is None:
        return NOTHING
    accused: dict[int, list[int]] = {}
    for named in flag.objects:
        found = await _whose(tx, instance, named)
        if found is not None:
            actor_id, post_id = found
            accused.setdefault(actor_id, []).extend([] if post_id is None else [post_id])
    host_id = actor.host_id if actor.host_id is not None else await hosts.ensure(tx, instance, actor.host)
    for actor_id, about in accused.items():
        await instance.tell(tx, Reported(flag.id, host_id, actor.uri, actor_id, tuple(about), flag.content))
    log.info("flag.taken" if accused else "flag.of-nobody-here", host=host_id)
    return NOTHING


async def _whose(tx: Transaction, instance: Instance, id: Iri) -> tuple[int, int | None] | None:
    """The local actor this id means, and the post if it is one's; None for what is not ours."""
    base = instance.config.base_url
    if not id.startswith(f"{base}/"):
        return None
    person = await known.by_name(tx, id.removeprefix(f"{base}/@")) if id.startswith(f"{base}/@") else await known.by_uri(tx, id)
    if person is not None:
        return (person.id, None) if person.local and person.kind != "Application" and person.state != "gone" else None
    post = await posts.by_uri(tx, id)
    return (post.actor_id, post.id) if post is not None and post.local else None
