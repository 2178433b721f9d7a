"""What follows when an admin decides about a server, about one actor, or about a key? The decision and its effects are one transaction; content goes by a job.

    block   nothing passes; follows end both ways; what waits to be sent is given up, and listed; what we hold of theirs is hidden at once and deleted soon
    limit   what they say reaches who follows them and nobody else; new follows wait for an admin
    allow   everything passes again; what waited is let in; what a block ended or deleted stays ended

A blocked server is told nothing: nothing at all leaves for it. Of one blocked actor its server is told that its follows ended, because followers-only posts go
to that server for others and it would go on showing them. Which peer does what is compared in docs/decisions/0007-border.md.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from actors import follows, generations, handshake, hosts, known, peers, quiet, trust
from actors.known import Actor
from actors.trust import Level, Trust
from fedmatch.jobs import enqueue
from fedmatch.safety import audit, peering
from inbox.people import between
from outbox import departures, owed, posts, publish
from outbox.address import Audience
from schemas.activities import Accept, Reject, Undo
from schemas.events import Followed
from schemas.reading import Iri
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK: Final = 100
MOST_MESSAGES: Final = 2 * posts.MOST_ADDRESSED


class NoTarget(ValueError):
    """What was named is no server, actor or key that can be decided about; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Host:
    """A server, in the spelling of `hosts.host_name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Person:
    """An actor elsewhere, in the spelling of `trust.spelled`."""

    uri: str


@dataclass(frozen=True, slots=True)
class Key:
    """A public key by its fingerprint."""

    fingerprint: str


Target = Host | Person | Key


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a server, actor or key (`level` None: nothing yet), and what waits at the border because of it; `since` in ms UTC."""

    target: Target
    level: Level | None
    reason: str | None = None
    since: int | None = None
    follows: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """A decision with what it ended at once; `apart` names sub-domains that keep a decision of their own, `keys` what was decided about keys with it."""

    decision: Decision
    follows: int = 0
    deliveries: int = 0
    apart: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


async def target(instance: "Instance", words: str) -> Target:
    """The server, actor or key that `words` name: HOST, `name@host`, an actor's id, `sha256:...`. Asks nobody else; raises `NoTarget`."""
    words = words.strip()
    try:
        if words.lower().startswith("sha256:"):
            return _key(words.lower())
        if "://" in words:
            return _person(instance, trust.spelled(words))
        if "@" in words:
            return _person(instance, await _by_handle(instance, words))
        name = hosts.host_name(words)
    except hosts.BadUrl as error:
        raise NoTarget(f"{words!r} is neither a server nor an actor: {error}") from None
    if name in known.ours(instance):
        raise NoTarget(f"{name} is this instance itself")
    return Host(name)


def _key(words: str) -> Key:
    if FINGERPRINT.fullmatch(words) is None:
        raise NoTarget("a key is named by sha256: and 64 hexadecimal digits")
    return Key(words)


def _person(instance: "Instance", uri: str) -> Person:
    if hosts.authority(uri) in known.ours(instance):
        raise NoTarget(f"{uri} lives here; `fedmatch user suspend` is for our own people")
    return Person(uri)


async def _by_handle(instance: "Instance", handle: str) -> str:
    name, _, host = handle.removeprefix("@").rpartition("@")
    actor = await instance.database.read(known.by_handle, name, hosts.host_name(host))
    if actor is None:
        raise NoTarget(f"nobody called {handle} is known here; name them by their id (https://...), or decide about the whole server")
    return trust.spelled(actor.uri)


async def decide(
    instance: "Instance", about: Target, level: Level, reason: str | None = None, *, keys: bool = False, staff: str = audit.OPERATOR
) -> Done:
    """Decides, with all that follows at once; every process obeys within 0.25 s. With `keys` every key known of the server or actor gets the same decision.

    Whoever is not trusted any more gets nothing that is not public from then on (fedmatch/safety/peering.py); nobody is trusted by this.
    Raises `schemas.states.IllegalMove`; what waits for the job (content, what is let in) is done by the worker.
    """
    fingerprints = [about.fingerprint] if isinstance(about, Key) else await instance.database.read(_keys_of, about) if keys else []
    bearers = await peers.bearers(instance, fingerprints) if fingerprints else {}
    done = await instance.database.write(_decide, instance, about, level, reason, bearers, staff)
    # Before anything leaves: what was owed to a server that may hear again would be given up by the old rules.
    await instance.trust.refresh(instance.database)
    instance.wake("job")
    instance.wake("delivery")
    return done


async def forget(instance: "Instance", about: Host, reason: str | None = None, *, staff: str = audit.OPERATOR) -> bool:
    """Makes a server a stranger again, with all that follows; False if it was one. What it holds of ours that is not public it is told to delete."""
    found = await instance.database.write(_forget, instance, about.name, reason, staff)
    instance.wake("job")
    instance.wake("delivery")
    return found


async def _forget(tx: Transaction, instance: "Instance", name: str, reason: str | None, staff: str) -> bool:
    peer, partner = await peers.find(tx, name), await peers.partner_named(tx, name)
    if peer is None and partner is None:
        return False
    if peer is not None:
        await _decide(tx, instance, Host(name), "known", reason, {}, None)
        await peers.forget(tx, name)
    if partner is not None:
        await handshake.forget(tx, partner.host_id)
    # What only an allow list let pass stops with it.
    await _host(tx, instance, name, await trust.fresh(tx, instance))
    await audit.log(tx, instance, staff, "peer.remove", name, reason)
    return True


async def _keys_of(tx: Transaction, about: Target) -> list[str]:
    match about:
        case Host(name):
            row = await tx.one(hosts.SELECT_HOST, name=name)
            return [] if row is None else await peers.fingerprints(tx, host_id=row["id"])
        case Person(uri):
            actor = await known.by_uri(tx, uri)
            return [] if actor is None else await peers.fingerprints(tx, actor_id=actor.id)
        case Key(fingerprint):
            return [fingerprint]


async def _decide(
    tx: Transaction, instance: "Instance", about: Target, level: Level, reason: str | None, bearers: dict[str, list[peers.Bearer]], staff: str | None
) -> Done:
    follows_ended = deliveries = 0
    apart: tuple[str, ...] = ()
    match about:
        case Host(name):
            trusted = await peers.level(tx, name) == "trusted"
            peer = await peers.set_level(tx, instance, name, level, reason)
            if not trusted and level == "trusted":
                raise ValueError("trust begins with the words: `fedmatch peers add`, `fedmatch peers trust`")
            if trusted and level != "trusted":
                await peering.ended(tx, instance, name, level, reason or "an admin decided so")
            decision = Decision(about, peer.level, peer.reason, peer.since)
        case Person(uri):
            rule = await peers.set_rule(tx, instance, "actor", uri, level, reason)
            decision = Decision(about, rule.level, rule.reason, rule.since)
        case Key(fingerprint):
            decision = Decision(about, level, reason, instance.clock.ms())
    for fingerprint, those in bearers.items():
        await peers.set_rule(tx, instance, "key", fingerprint, level, reason)
        for bearer in those:
            if level != "known":
                await peers.set_rule(tx, instance, "actor", bearer.uri, level, reason, through=fingerprint)
    rules = await trust.fresh(tx, instance)
    if isinstance(about, Host):
        deliveries, apart = await _host(tx, instance, about.name, rules)
    concerned = {Iri(about.uri)} if isinstance(about, Person) else set[Iri]()
    for uri in sorted(concerned | {bearer.uri for those in bearers.values() for bearer in those}):
        ended = await _actor(tx, instance, uri, rules)
        follows_ended, deliveries = follows_ended + ended[0], deliveries + ended[1]
    follows_ended += await follows.sever(tx, instance)
    await generations.bump(tx, "actors")
    await settle_soon(tx, instance)
    if staff is not None:
        await audit.log(tx, instance, staff, "peer.level", f"{_named(about)} {level}", reason)
    return Done(decision, follows_ended, deliveries, apart, tuple(bearers) if not isinstance(about, Key) else ())


def _named(about: Target) -> str:
    return about.name if isinstance(about, Host) else about.uri if isinstance(about, Person) else about.fingerprint


HOSTS_LIKE: Final = """
select host.id, host.name
from host
where host.name like :pattern
order by host.id
"""

SUSPEND_HOST: Final = """
update actor
set state = 'suspended', withdrawn = 0
where host_id = :host_id
  and local = 0
  and (state = 'active' or withdrawn = 1)
"""

SUSPEND_HANDLES: Final = """
update actor
set state = 'suspended', withdrawn = 0
where handle_host = :host
  and local = 0
  and (state = 'active' or withdrawn = 1)
"""

SUSPENDED_OF: Final = """
select distinct host.id, host.name, actor.handle_host
from actor
join host on host.id = actor.host_id
where (actor.host_id = :host_id or actor.handle_host = :host)
  and actor.local = 0
  and actor.state = 'suspended'
  and actor.withdrawn = 0
"""

RESUME_HOST: Final = """
update actor
set state = 'active'
where host_id = :host_id
  and handle_host = :host
  and local = 0
  and state = 'suspended'
  and withdrawn = 0
"""

SUSPEND: Final = """
update actor
set state = 'suspended', withdrawn = 0
where uri = :uri
  and local = 0
  and (state = 'active' or withdrawn = 1)
"""

RESUME: Final = """
update actor
set state = 'active'
where id = :id
  and local = 0
  and state = 'suspended'
  and withdrawn = 0
"""


async def _host(tx: Transaction, instance: "Instance", name: str, rules: Trust) -> tuple[int, tuple[str, ...]]:
    """Makes what we hold of a server and its sub-domains agree with the rules: how many deliveries ended, and which sub-domains pass all the same."""
    deliveries, apart = 0, []
    for row in await tx.all(HOSTS_LIKE, pattern=f"%{name}%"):
        # The pattern is coarse: an underscore in a name matches anything.
        if name not in hosts.domains(row["name"]):
            continue
        verdict = rules.verdict(row["name"], "deliver")
        if not verdict.allowed:
            deliveries += await departures.stop(tx, instance, row["id"], verdict.why)
        if verdict == trust.BLOCKED:
            await tx.execute(SUSPEND_HOST, host_id=row["id"])
            await tx.execute(SUSPEND_HANDLES, host=row["name"])
        else:
            # Their documents may lie on one host and their handles on another; both must pass.
            for those in await tx.all(SUSPENDED_OF, host_id=row["id"], host=row["name"]):
                if all(rules.verdict(host, "receive").level != "blocked" for host in (those["name"], those["handle_host"])):
                    await tx.execute(RESUME_HOST, host_id=those["id"], host=those["handle_host"])
            if verdict.allowed:
                await owed.say(tx, instance, row["id"])
            if row["name"] != name and rules.verdict(name, "deliver") == trust.BLOCKED:
                apart.append(row["name"])
    for rule in await peers.rules(tx):
        if rule.kind == "actor" and rule.level == "blocked":
            await tx.execute(SUSPEND, uri=rule.subject)
    return deliveries, tuple(apart)


def _passes(rules: Trust, uri: str, handle_host: str) -> bool:
    return rules.actor(uri, "receive").level != "blocked" and rules.verdict(handle_host, "receive").level != "blocked"


async def _actor(tx: Transaction, instance: "Instance", uri: Iri, rules: Trust) -> tuple[int, int]:
    """The same for one actor, if we know it: how many follows and deliveries ended."""
    actor = await known.by_uri(tx, uri)
    if actor is None or actor.local or actor.host_id is None:
        return 0, 0
    if _passes(rules, actor.uri, actor.handle_host):
        await tx.execute(RESUME, id=actor.id)
        return 0, 0
    deliveries = await departures.stop(tx, instance, actor.host_id, "the actor is blocked", inbox=actor.inbox)
    ended = await _part(tx, instance, actor)
    if not instance.vault.locked:   # whom a keyed hash stands for, nobody can say without the key
        ended += await quiet.forget(tx, instance, actor.uri)
    await tx.execute(SUSPEND, uri=actor.uri)
    return ended, deliveries


async def _part(tx: Transaction, instance: "Instance", actor: Actor) -> int:
    """Ends every follow between one remote actor and ours, and tells its server; how many."""
    ended = 0
    for state in ("accepted", "requested"):
        for mine in await follows.followers(tx, actor.id, state=state):
            undo = await follows.cancel(tx, instance, mine, actor) if mine.local else None
            if undo is not None:
                await _tell(tx, instance, mine, undo, actor, between(mine, actor))
                ended += 1
        for mine in await follows.following(tx, actor.id, state=state):
            if mine.local:
                reject = await follows.decide(tx, instance, mine, actor, accept=False)
                await _tell(tx, instance, mine, reject, actor, between(actor, mine))
                ended += 1
    return ended


async def _tell(tx: Transaction, instance: "Instance", mine: Actor, activity: Accept | Reject | Undo, actor: Actor, key: str) -> None:
    await publish.publish(tx, instance, mine, activity, Audience(actors=(actor.id,)), object=actor.uri, ordering_key=key)


# What somebody has to wait for.


async def waits(tx: Transaction, instance: "Instance", author_id: int) -> bool:
    """Whether what this actor writes to people who do not follow it waits at the border: its server is limited, or a stranger in mode approve."""
    if not instance.trust.holds_back:
        return False
    author = await known.by_id(tx, author_id)
    return author is not None and not author.local and not instance.trust.actor(author.uri, "receive").shown


HOLD: Final = """
insert into waiting_message (post_id, actor_id)
select post_audience.post_id, actor.id
from post_audience
join actor on actor.id = post_audience.actor_id
where post_audience.post_id = :post_id
  and actor.local = 1
  and not exists (
    select 1
    from home
    where home.post_id = post_audience.post_id
      and home.actor_id = actor.id
  )
on conflict (post_id, actor_id) do nothing
"""


async def hold(tx: Transaction, post_id: int) -> None:
    """Lets a stored post wait for those of ours it addresses and who do not have it yet; nothing of it is lost."""
    held = await tx.execute(HOLD, post_id=post_id)
    if held:
        log.info("border.waits", post=post_id, readers=held)


async def followed(instance: "Instance", tx: Transaction, event: Followed) -> None:
    """Somebody asked to follow one of ours: the log says so where it waits for an admin. `fedmatch peers list` shows it."""
    if not event.accepted and await waits(tx, instance, event.follower_id):
        log.info("border.waits", follow=event.follow_id)


# What the worker does.


async def settle_soon(tx: Transaction, instance: "Instance") -> None:
    """Asks for the job that makes what is stored agree with what was decided."""
    await enqueue(tx, instance, "border", "all", instance.clock.ms())


async def settle(instance: "Instance", _key: str, _payload: bytes) -> None:
    """The job `border`: deletes what is held of blocked actors, and lets in what need not wait any more. Killed on the way, the next one goes on."""
    # What we publish is addressed by the cached rules; the decision that brought us here may be younger.
    await instance.trust.refresh(instance.database)
    cleared = 0
    while some := await instance.database.write(_clear_some, instance):
        cleared += some
    if cleared:
        log.info("border.cleared", posts=cleared)
        await instance.database.erase()
    await _in_steps(instance, _let_in_follows)
    await _in_steps(instance, _let_in_messages)
    instance.wake("delivery")


async def _in_steps(instance: "Instance", step: Callable[[Transaction, "Instance", int], Awaitable[int | None]]) -> None:
    after: int | None = 0
    while after is not None:
        after = await instance.database.write(step, instance, after)


SOME_BARRED: Final = """
select post.*
from actor
join post on post.actor_id = actor.id
where actor.local = 0
  and actor.state = 'suspended'
  and actor.withdrawn = 0
order by post.id
limit :limit
"""


async def _clear_some(tx: Transaction, instance: "Instance") -> int:
    rows = await tx.all(SOME_BARRED, limit=CHUNK)
    for row in rows:
        # No tombstone: after an allow the same post may come again.
        await posts.remove(tx, instance, posts.from_row(row), tombstone=False)
    return len(rows)


async def _let_in_follows(tx: Transaction, instance: "Instance", after: int) -> int | None:
    """Answers requests that only the border held back, 100 at a time; where to go on, None at the end."""
    rules = await trust.fresh(tx, instance)
    some = await follows.waiting(tx, after=after, limit=CHUNK)
    for one in some:
        if one.locked or not rules.actor(one.follower, "receive").shown:
            continue
        mine, theirs = await known.by_id(tx, one.followed_id), await known.by_id(tx, one.follower_id)
        if mine is not None and theirs is not None:
            accept = await follows.decide(tx, instance, mine, theirs, accept=True)
            await _tell(tx, instance, mine, accept, theirs, between(theirs, mine))
    return some[-1].id if len(some) == CHUNK else None


SOME_MESSAGES: Final = """
select waiting_message.post_id, waiting_message.actor_id, author.uri
from waiting_message
join post on post.id = waiting_message.post_id
join actor as author on author.id = post.actor_id
where waiting_message.post_id > :after
order by waiting_message.post_id, waiting_message.actor_id
limit :limit
"""

LET_IN: Final = """
insert into home (actor_id, post_id)
values (:actor_id, :post_id)
on conflict (actor_id, post_id) do nothing
"""

NO_LONGER: Final = """
delete from waiting_message
where post_id = :post_id
  and actor_id = :actor_id
"""


async def _let_in_messages(tx: Transaction, instance: "Instance", after: int) -> int | None:
    rules = await trust.fresh(tx, instance)
    # More than one post can address (outbox.posts), so that each step gets at least one post further.
    rows = await tx.all(SOME_MESSAGES, after=after, limit=MOST_MESSAGES)
    passing = [{"post_id": row["post_id"], "actor_id": row["actor_id"]} for row in rows if rules.actor(row["uri"], "receive").shown]
    if passing:
        await tx.many(LET_IN, passing)
        await tx.many(NO_LONGER, passing)
    return int(rows[-1]["post_id"]) - 1 if len(rows) == MOST_MESSAGES else None


# What there is to see.

MESSAGES: Final = """
select actor.uri, count(*) as number
from waiting_message
join post on post.id = waiting_message.post_id
join actor on actor.id = post.actor_id
group by actor.uri
"""


@dataclass(frozen=True, slots=True)
class Held:
    """How many follows and messages wait for an admin, by server."""

    follows: dict[str, int]
    messages: dict[str, int]

    @property
    def hosts(self) -> int:
        return len({*self.follows, *self.messages})

    def json(self) -> dict[str, int]:
        """The sums, for scripts."""
        return {"follows": sum(self.follows.values()), "messages": sum(self.messages.values())}

    def text(self) -> str:
        """The sums in words, empty where nothing waits."""
        if not self.hosts:
            return ""
        sums = self.json()
        return f"{sums['follows']} follows and {sums['messages']} messages of {self.hosts} servers wait for an admin; `fedmatch peers list` shows whose"


async def held(tx: Transaction, rules: Trust) -> Held:
    """What waits at the border for an admin, as `rules` judge it."""
    asked, written = dict[str, int](), dict[str, int]()
    after: int | None = 0
    while after is not None:
        some = await follows.waiting(tx, after=after)
        for one in some:
            verdict = rules.actor(one.follower, "receive")
            if verdict.held or (verdict.limited and not one.locked):
                host = hosts.authority(one.follower)
                asked[host] = asked.get(host, 0) + 1
        after = some[-1].id if len(some) == 500 else None
    for row in await tx.all(MESSAGES):
        host = hosts.authority(row["uri"])
        written[host] = written.get(host, 0) + int(row["number"])
    return Held(asked, written)


async def decisions(tx: Transaction, instance: "Instance") -> Sequence[Decision]:
    """Everything that was decided, and every server of which something waits; servers first, by name."""
    waiting = await held(tx, await trust.fresh(tx, instance))
    decided = {peer.host: peer for peer in await peers.list_all(tx)}
    found = []
    for name in sorted({*decided, *waiting.follows, *waiting.messages}):
        peer = decided.get(name)
        level, reason, since = (peer.level, peer.reason, peer.since) if peer is not None else (None, None, None)
        found.append(Decision(Host(name), level, reason, since, waiting.follows.get(name, 0), waiting.messages.get(name, 0)))
    found += [
        Decision(Person(rule.subject) if rule.kind == "actor" else Key(rule.subject), rule.level, rule.reason, rule.since) for rule in await peers.rules(tx)
    ]
    return found


def notice(instance: "Instance") -> str | None:
    """What whoever publishes here should know of where it goes, or None where it may go everywhere."""
    if instance.trust.mode != "allowlist":
        return None
    return "This instance speaks only with the servers on its allow list (`fedmatch peers list`); nobody else receives this."
