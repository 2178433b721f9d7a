"""What was asked, and how many chose what? Polls of our people, and what others' servers say of theirs.

The words of a poll stand with the text of its post. Votes in a poll of ours are counted here, once each; who voted is kept as a keyed hash, so that no file
says who chose what. Votes in others' polls are theirs to count: their author's server tells the numbers, and they only grow. What our
people chose there is kept the same way.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from actors.known import Actor
from schemas.objects import Poll
from schemas.reading import Row
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

SELECT: Final = """
select poll.multiple, poll.ends_at, poll.closed_at, poll.voters, poll.votes
from poll
where poll.post_id = :post_id
"""

UPSERT: Final = """
insert into poll (post_id, multiple, ends_at, closed_at, voters, votes)
values (:post_id, :multiple, :ends_at, :closed_at, :voters, :votes)
on conflict (post_id) do update
set multiple = excluded.multiple, ends_at = excluded.ends_at, closed_at = excluded.closed_at, voters = excluded.voters, votes = excluded.votes
"""

CHOSEN: Final = """
select poll_vote.place
from poll_vote
where poll_vote.post_id = :post_id
  and poll_vote.voter = :voter
"""

VOTE: Final = """
insert into poll_vote (post_id, voter, place)
values (:post_id, :voter, :place)
on conflict (post_id, voter, place) do nothing
"""

COUNT: Final = """
select poll_vote.place, count(*) as votes
from poll_vote
where poll_vote.post_id = :post_id
group by poll_vote.place
"""

VOTERS: Final = """
select count(distinct poll_vote.voter) as voters
from poll_vote
where poll_vote.post_id = :post_id
"""

TALLY: Final = """
update poll
set voters = :voters, votes = :votes
where post_id = :post_id
"""

CLOSE: Final = """
update poll
set closed_at = :now
where post_id = :post_id
  and closed_at is null
"""


async def keep(tx: Transaction, post_id: int, poll: Poll) -> None:
    """Writes the numbers of a poll that was made or whose options changed; its words are kept with the text of the post."""
    await tx.execute(
        UPSERT,
        post_id=post_id,
        multiple=int(poll.multiple),
        ends_at=_ms(poll.ends),
        closed_at=_ms(poll.closed),
        voters=poll.voters,
        votes=json.dumps([option.votes for option in poll.options]),
    )


async def told(tx: Transaction, post_id: int, poll: Poll, *, edited: bool = False) -> None:
    """Takes the numbers their author's server tells of somebody else's poll. Closed stays closed; with other options it is another poll, if it was `edited`."""
    row = await tx.one(SELECT, post_id=post_id)
    before: list[int] = [] if row is None else json.loads(row["votes"])
    now = [option.votes for option in poll.options]
    if row is None or len(now) != len(before):
        if edited:
            await keep(tx, post_id, poll)
        return
    merged = replace(poll, closed=_time(row["closed_at"]) or poll.closed)
    # Numbers only grow, so the larger are the later, whatever order they came in.
    if _weight(now, poll.voters) < _weight(before, row["voters"]):
        merged = with_numbers(merged, row, before)
    await keep(tx, post_id, merged)


def _weight(votes: Sequence[int], voters: int | None) -> tuple[int, int]:
    return sum(votes), voters or 0


async def numbers(tx: Transaction, post_id: int, poll: Poll) -> Poll:
    """The poll with what was counted so far, or told; `poll` brings the words."""
    row = await tx.one(SELECT, post_id=post_id)
    return poll if row is None else replace(with_numbers(poll, row, json.loads(row["votes"])), closed=_time(row["closed_at"]))


def with_numbers(poll: Poll, row: Row, votes: Sequence[int]) -> Poll:
    """The poll with the votes of its row."""
    options = tuple(replace(option, votes=number) for option, number in zip(poll.options, (*votes, *[0] * len(poll.options)), strict=False))
    return replace(poll, options=options, voters=row["voters"])


async def vote(tx: Transaction, instance: "Instance", voter: Actor, post_id: int, poll: Poll, choices: Sequence[str]) -> bool:
    """Counts what the proven `voter` chose in a poll of ours; False if nothing of it counts: closed, over, no such option, or chosen before.

    Where one may choose one thing, the first choice counts. Raises `actors.vault.Locked`.
    """
    new = await choose(tx, instance, voter, post_id, poll, choices)
    if new:
        counted = {int(one["place"]): int(one["votes"]) for one in await tx.all(COUNT, post_id=post_id)}
        people = await tx.one(VOTERS, post_id=post_id)
        votes = json.dumps([counted.get(place, 0) for place in range(len(poll.options))])
        await tx.execute(TALLY, post_id=post_id, voters=int(people["voters"]) if people else 0, votes=votes)
    return bool(new)


async def choose(tx: Transaction, instance: "Instance", voter: Actor, post_id: int, poll: Poll, choices: Sequence[str]) -> list[str]:
    """Writes down what `voter` chose in a poll, ours or theirs, and gives what of it is new; counts nothing, for others' polls are theirs to count.

    Nothing is new in a poll that is over, or where one thing may be chosen and was. Raises `actors.vault.Locked`.
    """
    row = await tx.one(SELECT, post_id=post_id)
    now = instance.clock.ms()
    if row is None or row["closed_at"] is not None or (row["ends_at"] is not None and row["ends_at"] <= now):
        return []
    who = instance.vault.digest("vote", f"{post_id} {voter.uri}")
    chosen = {int(one["place"]) for one in await tx.all(CHOSEN, post_id=post_id, voter=who)}
    names = [option.name for option in poll.options]
    places = [names.index(choice) for choice in choices if choice in names]
    if not row["multiple"]:
        places = places[:1] if not chosen else []
    new = [place for place in dict.fromkeys(places) if place not in chosen]
    for place in new:
        await tx.execute(VOTE, post_id=post_id, voter=who, place=place)
    return [names[place] for place in new]


async def close(tx: Transaction, instance: "Instance", post_id: int) -> bool:
    """Ends a poll; False if it had ended."""
    return bool(await tx.execute(CLOSE, post_id=post_id, now=instance.clock.ms()))


def _ms(when: datetime | None) -> int | None:
    return None if when is None else int(when.timestamp() * 1000)


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
