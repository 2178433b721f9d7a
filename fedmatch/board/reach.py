"""Who else may read it, or nobody any more? The audience of a request or an offer, changed after it was posted.

Between this instance, named peers and all trusted peers it stays the same post: whoever may read it now gets a copy, whoever may not any more is told to delete
theirs, at once. Between those and everybody it does not: what was public leaves by its Delete, so it is posted anew with another id, and the old one goes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from actors import known
from actors.known import Actor
from fedmatch.board import answers, checks, copies, deletion, drafts, identities, listings, publish, terms
from fedmatch.board.drafts import Draft, Kept
from fedmatch.board.listings import AudienceName, Listing
from outbox.posts import Post
from schemas.states import LISTING
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

WIDTH: Final[dict[AudienceName, int]] = {"local": 0, "peers": 1, "network": 2, "public": 3}


def leaves_somebody(old: Listing, audience: AudienceName, named: Sequence[str]) -> bool:
    """Whether somebody who may read it now would not any more."""
    if audience == old.audience == "peers":
        return not set(old.named) <= set(named)
    return WIDTH[audience] < WIDTH[old.audience]


def wins_somebody(old: Listing, audience: AudienceName, named: Sequence[str]) -> bool:
    """Whether somebody outside this instance may read it then who may not now."""
    if audience == old.audience == "peers":
        return not set(named) <= set(old.named)
    return WIDTH[audience] > WIDTH[old.audience]


async def change(instance: "Instance", old: Listing, audience: AudienceName, named: Sequence[str] = (), *, anyway: bool = False) -> Listing:
    """Gives a listing of ours another audience; a draft is submitted anew. What goes from or to everybody has another id afterwards.

    `anyway` is its author's yes to what the linter finds, which is asked where somebody new may read it.
    Raises `publish.CannotPublish`, `checks.Asks`, `actors.vault.Locked`.
    """
    hosts = tuple(dict.fromkeys(named))
    author = await instance.database.read(known.by_id, old.actor_id)
    if not old.local or author is None:
        raise publish.CannotPublish("it lives on another instance; only its author says there who may read it")
    questions = await checks.look(instance, author, old.proposal, old.language or "en", leaves=wins_somebody(old, audience, hosts))
    checks.require(questions, anyway=anyway, link=True)  # its author was asked about a link when it was posted
    now = await publish.attempt(instance, _changed, instance, old, audience, hosts)
    if old.public:
        await instance.database.erase()
    return await publish.listed(instance, now)


async def _changed(tx: Transaction, instance: "Instance", old: Listing, audience: AudienceName, named: tuple[str, ...]) -> int:
    kept = await drafts.by_id(tx, instance, old.id)
    if kept is not None:
        return await _redrafted(tx, instance, kept, audience, named)
    actor, held = await publish.ours(tx, old.id)
    found = await publish.here(tx, instance, old.id)
    if (found.audience, found.named) == (audience, named):
        return found.id
    if found.state not in listings.OPEN:
        raise publish.CannotPublish(f"it is {found.state}; only what is open, paused or matched gets another audience")
    # It is the same as a draft would be: what a draft may not ask for, this may not either.
    draft = await _draft(tx, instance, actor, found, audience, named)
    await publish.check(tx, instance, actor, draft)
    if found.public or audience == "public":
        return await _anew(tx, instance, actor, held, found, draft)
    await listings.write(tx, instance, found.id, found.proposal, found.state, found.language, audience=audience, named=named)
    await copies.narrow(tx, instance, actor, replace(found, audience=audience, named=named))
    await publish.changed(tx, instance, found.id)
    log.info("board.audience_changed", post=found.id, audience=audience)
    return found.id


async def _redrafted(tx: Transaction, instance: "Instance", kept: Kept, audience: AudienceName, named: tuple[str, ...]) -> int:
    actor = await known.by_id(tx, kept.actor_id)
    if actor is None:
        raise publish.CannotPublish("its author is gone")
    draft = replace(kept.draft, audience=audience, named=named, widen="no", reason=None)
    await publish.check(tx, instance, actor, draft)
    return await publish.submit(tx, instance, actor, replace(kept, state=LISTING.start, draft=draft, reviewed=False, publish_at=None))


async def _draft(tx: Transaction, instance: "Instance", actor: Actor, found: Listing, audience: AudienceName, named: tuple[str, ...]) -> Draft:
    proposal = replace(found.proposal, status="open", vouches=(), readers=None, circle=None)
    wishes = await terms.of(tx, instance, found.id)
    return Draft(proposal, found.language or "en", audience, named, terms=wishes, one_time=actor.one_time)


async def _anew(tx: Transaction, instance: "Instance", actor: Actor, held: Post, found: Listing, draft: Draft) -> int:
    """Posts it once more for other people, through every door a new one passes, and withdraws the old one."""
    live = [one for one in await answers.of_listing(tx, instance, found.url) if one.live]
    if live:
        raise publish.CannotPublish(f"answers to it wait or help ({len(live)}), and they would end with it; decide them first: `fedmatch response list`")
    fresh = Kept(drafts.new_id(instance, one_time=draft.one_time), actor.id, LISTING.start, draft, None, reviewed=False)
    made = await publish.submit(tx, instance, actor, fresh)
    await deletion.remove(tx, instance, actor, held)
    await identities.reopened(tx, instance, actor.id)  # a one-time identity goes on with the new one
    log.info("board.posted_anew", was=found.id, now=made, audience=draft.audience)
    return made
