"""What must a restored database forget? Everything that ended after the backup was taken, as the ledger tells: replayed before anybody sees the database.

The ledger holds keyed hashes, so every row that could be meant is hashed and looked up. A restore only ever takes away: what was closed, revoked, blocked or
lowered stays so; nothing is opened, raised or let in because the ledger says so.
"""

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from actors import trust
from actors.vault import Vault
from fedmatch.backup.ledger import Entry, mark_of
from schemas.reading import Row
from schemas.storage import Transaction

SOME: Final = 1000
HOUR_MS: Final = 3_600_000

SPEND: Final = """
insert into spent (mark)
values (:mark)
on conflict (mark) do nothing
"""

POSTS: Final = """
select post.id, post.uri, post.kind, post.visibility
from post
where post.id > :after
order by post.id
limit :limit
"""

DELETE_POST: Final = """
delete from post
where id = :id
"""

TOMBSTONE: Final = """
insert into tombstone (uri, former_type, public, deleted_at)
values (:uri, :former_type, :public, :now)
on conflict (uri) do nothing
"""

# A Create that waited in the backup must not follow a Delete that left since.
UNSAY: Final = """
delete from outgoing
where object = :object
  and kind <> 'Delete'
"""

UNSAY_ORDER: Final = """
delete from outgoing
where ordering_key = :ordering_key
   or ordering_key like :ending
"""

ACTORS: Final = """
select actor.id, actor.uri, actor.kind, actor.state
from actor
where actor.id > :after
  and actor.state <> 'gone'
order by actor.id
limit :limit
"""

ACTOR_GONE: Final = """
update actor
set state = 'gone', name = null, summary = null, url = null, icon = null, also_known_as = '[]', moved_to = null, fields = '[]', discoverable = 0
where id = :id
"""

ACTOR_SUSPENDED: Final = """
update actor
set state = 'suspended'
where id = :id
"""

# What hangs on somebody who is gone is deleted in chunks, as ever.
CLEAR_AWAY: Final = """
insert into job (id, kind, key, run_at)
values (:id, 'clear_away', :key, :now)
on conflict (kind, key) where state = 'waiting' do nothing
"""

RESPONSES: Final = """
select response.id, response.state, response.sealed
from response
where response.id > :after
order by response.id
limit :limit
"""

DELETE_RESPONSE: Final = """
delete from response
where id = :id
"""

END_RESPONSE: Final = """
update response
set state = :state, live_hash = null, sealed = :sealed, changed_at = :now
where id = :id
"""

FORGET_LETTERS: Final = """
delete from letter
where hash in (
    select response_name.hash
    from response_name
    where response_name.response_id = :id
  )
"""

ANNOUNCEMENTS: Final = """
select announcement.post_id, announcement.actor_id
from announcement
where announcement.state = 'waiting'
"""

DELETE_ANNOUNCEMENT: Final = """
delete from announcement
where post_id = :post_id
  and actor_id = :actor_id
"""

MEMBERSHIPS: Final = """
select membership.account_id, membership.actor_id, membership.role
from membership
"""

DELETE_MEMBERSHIP: Final = """
delete from membership
where account_id = :account_id
  and actor_id = :actor_id
"""

LOWER_MEMBERSHIP: Final = """
update membership
set role = :role
where account_id = :account_id
  and actor_id = :actor_id
"""

PEERS: Final = """
select host.id, coalesce(peer.level, 'known') as state
from host
left join peer on peer.host_id = host.id
"""

LOWER_PEER: Final = """
insert into peer (host_id, level, since)
values (:id, :level, :now)
on conflict (host_id) do update
set level = excluded.level, since = excluded.since
"""

DISTRUST: Final = """
update handshake
set agreed_at = null
where host_id = :id
"""

HANDSHAKES: Final = """
select handshake.host_id as id
from handshake
where handshake.agreed_at is not null
"""


@dataclass(frozen=True, slots=True)
class Simple:
    """A noun; its rows have a number and perhaps a state: `every` lists them, `delete` and `close` do what the ledger says, `close` for the states `closes`."""

    noun: str
    every: str
    delete: str = ""
    close: str = ""
    closes: frozenset[str] = frozenset()


LISTINGS: Final = """
select listing.post_id as id, listing.state
from listing
"""
DELETE_LISTING: Final = """
delete from listing
where post_id = :id
"""
CLOSE_LISTING: Final = """
update listing
set state = :state, revision = revision + 1, changed_at = :now
where post_id = :id
"""
DRAFTS: Final = """
select draft.id, draft.state
from draft
"""
DELETE_DRAFT: Final = """
delete from draft
where id = :id
"""
ACCOUNTS: Final = """
select account.id, account.state
from account
where account.state <> 'deleted'
"""
CLOSE_ACCOUNT: Final = """
update account
set state = :state
where id = :id
"""
IDENTITIES: Final = """
select identity.actor_id as id, identity.state
from identity
"""
DELETE_IDENTITY: Final = """
delete from identity
where actor_id = :id
"""
CLOSE_IDENTITY: Final = """
update identity
set state = :state, changed_at = :now
where actor_id = :id
"""
CONVERSATIONS: Final = """
select conversation.response_id as id, '' as state
from conversation
"""
DELETE_CONVERSATION: Final = """
delete from conversation
where response_id = :id
"""
STORIES: Final = """
select story.response_id as id, '' as state
from story
"""
DELETE_STORY: Final = """
delete from story
where response_id = :id
"""
VOUCHES: Final = """
select vouch.id, vouch.state
from vouch
where vouch.state in ('issued', 'lowered')
"""
CLOSE_VOUCH: Final = """
update vouch
set state = :state, changed_at = :now
where id = :id
"""
TOKENS: Final = """
select token.id, '' as state
from token
where token.revoked_at is null
"""
REVOKE: Final = """
update token
set revoked_at = :now
where id = :id
"""
VETTINGS: Final = """
select vetting.id, vetting.state
from vetting
"""
DELETE_VETTING: Final = """
delete from vetting
where id = :id
"""
DETAILS: Final = """
select audit_detail.audit_id as id, '' as state
from audit_detail
"""
DELETE_DETAIL: Final = """
delete from audit_detail
where audit_id = :id
"""

WORDLESS: Final = frozenset({"declined", "withdrawn", "released"})
OVER: Final = frozenset({"completed", "failed", "declined", "withdrawn", "released"})
SIMPLE: Final = (
    Simple("listing", LISTINGS, DELETE_LISTING, CLOSE_LISTING, frozenset({"fulfilled", "expired", "withdrawn"})),
    Simple("draft", DRAFTS, DELETE_DRAFT),
    Simple("account", ACCOUNTS, close=CLOSE_ACCOUNT, closes=frozenset({"suspended", "deleted"})),
    Simple("identity", IDENTITIES, DELETE_IDENTITY, CLOSE_IDENTITY, frozenset({"closing", "leaving"})),
    Simple("conversation", CONVERSATIONS, DELETE_CONVERSATION),
    Simple("story", STORIES, DELETE_STORY),
    Simple("vouch", VOUCHES, close=CLOSE_VOUCH, closes=frozenset({"lowered", "revoked", "expired"})),
    Simple("token", TOKENS, close=REVOKE, closes=frozenset({"revoked"})),
    Simple("vetting", VETTINGS, DELETE_VETTING),
    Simple("audit_detail", DETAILS, DELETE_DETAIL),
)
LEVELS: Final = ("blocked", "limited", "known", "trusted")
ROLES: Final = ("helper", "member", "matchmaker", "operator", "moderator", "admin")

Last = Mapping[tuple[str, bytes], str]


async def replay(tx: Transaction, vault: Vault, ended: Sequence[Entry], now: int) -> dict[str, int]:
    """Takes out of the database at hand what ended; how many of each noun. `now` in milliseconds UTC."""
    last = {(entry.noun, entry.mark): entry.state for entry in ended}
    done: Counter[str] = Counter()
    await tx.many(SPEND, [{"mark": mark} for mark in {entry.mark for entry in ended if entry.noun in ("name", "used", "tombstone")}])
    if not last:
        return {}
    await _responses(tx, vault, last, now, done)
    for simple in SIMPLE:
        await _simple(tx, vault, simple, last, now, done)
    await _posts(tx, vault, last, now, done)
    await _actors(tx, vault, last, now, done)
    for row in await tx.all(ANNOUNCEMENTS):
        if ("announcement", mark_of(vault, "announcement", f"{row['post_id']}:{row['actor_id']}")) in last:
            done["announcement"] += await tx.execute(DELETE_ANNOUNCEMENT, post_id=row["post_id"], actor_id=row["actor_id"])
    await _memberships(tx, vault, last, done)
    await _peers(tx, vault, last, now, done)
    await _rules(tx, vault, last, now, done)
    await _blocks(tx, vault, last, now, done)
    return dict(done)


async def _simple(tx: Transaction, vault: Vault, what: Simple, last: Last, now: int, done: Counter[str]) -> None:
    for row in await tx.all(what.every):
        state = last.get((what.noun, mark_of(vault, what.noun, str(row["id"]))))
        if state == "" and what.delete:
            done[what.noun] += await tx.execute(what.delete, id=row["id"])
        elif state in what.closes and state != row["state"]:
            values: dict[str, int | str] = {"id": row["id"]}
            values |= {"state": state} if ":state" in what.close else {}
            values |= {"now": now // HOUR_MS * HOUR_MS} if ":now" in what.close else {}
            done[what.noun] += await tx.execute(what.close, **values)


async def _responses(tx: Transaction, vault: Vault, last: Last, now: int, done: Counter[str]) -> None:
    after = 0
    while rows := await tx.all(RESPONSES, after=after, limit=SOME):
        for row in rows:
            after = int(row["id"])
            state = last.get(("response", mark_of(vault, "response", str(row["id"]))))
            if state == "":
                await _unsay_offer(tx, vault, _words(vault, row))
                await tx.execute(FORGET_LETTERS, id=row["id"])
                done["response"] += await tx.execute(DELETE_RESPONSE, id=row["id"])
            elif state in OVER and row["state"] not in OVER:
                words = _words(vault, row)
                await _unsay_offer(tx, vault, words)
                # As `fedmatch.board.outcomes`: nothing of its text stays where it never became a conversation.
                if state in WORDLESS:
                    words["text"] = ""
                    await tx.execute(FORGET_LETTERS, id=row["id"])
                packed = vault.seal(json.dumps(words, ensure_ascii=False).encode(), f"response:{row['id']}")
                done["response"] += await tx.execute(END_RESPONSE, id=row["id"], state=state, sealed=packed, now=now // HOUR_MS * HOUR_MS)


def _words(vault: Vault, row: Row) -> dict[str, Any]:
    words: dict[str, Any] = json.loads(vault.open(bytes(row["sealed"]), f"response:{row['id']}"))
    return words


async def _unsay_offer(tx: Transaction, vault: Vault, words: Mapping[str, Any]) -> None:
    """What still waited to leave about this answer does not leave any more: what ended it was said since."""
    # The ordering key of `fedmatch.board.crossing`; to a trusted peer its host stands in front.
    key = vault.digest("response.order", str(words["offer"])).hex()
    await tx.execute(UNSAY_ORDER, ordering_key=key, ending=f"% {key}")
    if words.get("note") is not None:
        await tx.execute(UNSAY, object=str(words["note"]))


async def _posts(tx: Transaction, vault: Vault, last: Last, now: int, done: Counter[str]) -> None:
    after = 0
    while rows := await tx.all(POSTS, after=after, limit=SOME):
        for row in rows:
            after = int(row["id"])
            mark = mark_of(vault, "post", row["uri"])
            if ("post", mark) not in last and ("tombstone", mark) not in last:
                continue
            done["post"] += await tx.execute(DELETE_POST, id=row["id"])
            if ("tombstone", mark) in last:
                public = int(row["visibility"] in ("public", "unlisted"))
                await tx.execute(TOMBSTONE, uri=row["uri"], former_type=row["kind"], public=public, now=now)
                await tx.execute(UNSAY, object=row["uri"])


async def _actors(tx: Transaction, vault: Vault, last: Last, now: int, done: Counter[str]) -> None:
    after = 0
    while rows := await tx.all(ACTORS, after=after, limit=SOME):
        for row in rows:
            after = int(row["id"])
            mark = mark_of(vault, "actor", row["uri"])
            state = last.get(("actor", mark))
            if state == "gone" or ("tombstone", mark) in last:
                done["actor"] += await tx.execute(ACTOR_GONE, id=row["id"])
                await tx.execute(TOMBSTONE, uri=row["uri"], former_type=row["kind"], public=1, now=now)
                await tx.execute(CLEAR_AWAY, id=secrets.randbits(62), key=str(row["id"]), now=now)
            elif state == "suspended" and row["state"] == "active":
                done["actor"] += await tx.execute(ACTOR_SUSPENDED, id=row["id"])


async def _memberships(tx: Transaction, vault: Vault, last: Last, done: Counter[str]) -> None:
    for row in await tx.all(MEMBERSHIPS):
        values = {"account_id": row["account_id"], "actor_id": row["actor_id"]}
        role = last.get(("membership", mark_of(vault, "membership", f"{row['account_id']}:{row['actor_id']}")))
        if role == "":
            done["membership"] += await tx.execute(DELETE_MEMBERSHIP, **values)
        elif role in ROLES and ROLES.index(role) < ROLES.index(row["role"]):
            done["membership"] += await tx.execute(LOWER_MEMBERSHIP, role=role, **values)


async def _peers(tx: Transaction, vault: Vault, last: Last, now: int, done: Counter[str]) -> None:
    """Trust that was taken away stays away; who was blocked or limited stays so. Whom the backup blocked stays blocked, whatever was decided since."""
    for row in await tx.all(PEERS):
        said = last.get(("peer", mark_of(vault, "peer", str(row["id"]))))
        level = "known" if said == "" else said
        if level in LEVELS and LEVELS.index(level) < LEVELS.index(row["state"]):
            done["peer"] += await tx.execute(LOWER_PEER, id=row["id"], level=level, now=now)
            await tx.execute(DISTRUST, id=row["id"])
    for row in await tx.all(HANDSHAKES):
        if last.get(("handshake", mark_of(vault, "handshake", str(row["id"])))) == "":
            done["peer"] += await tx.execute(DISTRUST, id=row["id"])
            await tx.execute(LOWER_TRUSTED, id=row["id"], now=now)


RULES: Final = """
select border_rule.kind, border_rule.subject, border_rule.level
from border_rule
"""

RULE: Final = """
insert into border_rule (id, kind, subject, level, since)
values (:id, :kind, :subject, :level, :now)
on conflict (kind, subject) do update
set level = excluded.level
"""

# Everybody a decision or a block could be about, and the keys they show.
PEOPLE: Final = """
select actor.id, actor.uri, actor.local
from actor
where actor.state <> 'gone'
"""

KEYS: Final = """
select distinct actor_key.algorithm, actor_key.public_key
from actor_key
"""

BLOCK: Final = """
insert into block (actor_id, blocked_id, since)
values (:actor_id, :blocked_id, :now)
on conflict (actor_id, blocked_id) do nothing
"""
MOST_PAIRS: Final = 5_000_000
"""How many pairs of people are tried, 3 us each."""


async def _rules(tx: Transaction, vault: Vault, last: Last, now: int, done: Counter[str]) -> None:
    """Single people and keys that were limited or blocked since stay so."""
    if not any(noun == "border_rule" for noun, _ in last):
        return
    there = {(row["kind"], row["subject"]): row["level"] for row in await tx.all(RULES)}
    known = [("actor", trust.spelled(row["uri"])) for row in await tx.all(PEOPLE)]
    known += [("key", trust.fingerprint(row["algorithm"], bytes(row["public_key"]))) for row in await tx.all(KEYS)]
    for kind, subject in known:
        level = last.get(("border_rule", mark_of(vault, "border_rule", f"{kind}:{subject}")))
        if level in ("blocked", "limited") and LEVELS.index(level) < LEVELS.index(there.get((kind, subject), "trusted")):
            done["border_rule"] += await tx.execute(RULE, id=secrets.randbits(62), kind=kind, subject=subject, level=level, now=now)


async def _blocks(tx: Transaction, vault: Vault, last: Last, now: int, done: Counter[str]) -> None:
    """Whom somebody here blocked since stays blocked by them."""
    wanted = {mark for (noun, mark), state in last.items() if noun == "block" and state == "blocked"}
    if not wanted:
        return
    people = await tx.all(PEOPLE)
    ours = [row["id"] for row in people if row["local"]]
    pairs = ((mine, row["id"]) for mine in ours for row in people)
    for mine, theirs in islice(pairs, MOST_PAIRS):
        mark = mark_of(vault, "block", f"{mine}:{theirs}")
        if mark in wanted:
            wanted.discard(mark)
            done["block"] += await tx.execute(BLOCK, actor_id=mine, blocked_id=theirs, now=now)
            if not wanted:
                return


LOWER_TRUSTED: Final = """
update peer
set level = 'known', since = :now
where host_id = :id
  and level = 'trusted'
"""
