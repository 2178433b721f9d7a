"""Who may vote, how often, and whose numbers count."""

from datetime import timedelta
from pathlib import Path

import pytest

from actors.known import Actor
from outbox import polls, posts
from schemas.objects import PUBLIC, Note, Option, Poll
from schemas.reading import Iri
from tests.house import BASE, House, build, configure


@pytest.fixture
async def house(database, tmp_path: Path) -> House:
    return await build(database, configure(tmp_path))


async def ask(house: House, author: Actor, *, multiple: bool = False, to: str = PUBLIC) -> tuple[posts.Post, Poll]:
    poll = Poll((Option("Yes"), Option("No")), multiple, house.clock.now() + timedelta(days=1), voters=0)
    note = Note(Iri(f"{BASE}/posts/7"), author.uri, "<p>?</p>", kind="Question", to=(Iri(to),), published=house.clock.now(), poll=poll)
    made = await house.write(posts.store, house.instance, author, note, local=True, post_id=7)
    assert isinstance(made, posts.Post)
    return made, poll


async def vote(house: House, voter: Actor, post: posts.Post, poll: Poll, *choices: str) -> bool:
    return await house.write(polls.vote, house.instance, voter, post.id, poll, choices)


async def counted(house: House, post: posts.Post, poll: Poll) -> list[int]:
    return [option.votes for option in (await house.read(polls.numbers, post.id, poll)).options]


@pytest.mark.parametrize(("multiple", "expected"), [(False, [1, 1]), (True, [1, 2])])
async def test_one_votes_once_for_one_thing(house: House, multiple: bool, expected: list[int]) -> None:
    post, poll = await ask(house, await house.person("amina"), multiple=multiple)
    bo, eve = await house.stranger("bo"), await house.stranger("eve")
    for voter, choice in ((bo, "Yes"), (bo, "Yes"), (bo, "No"), (eve, "No"), (eve, "Perhaps")):
        await vote(house, voter, post, poll, choice)
    assert await counted(house, post, poll) == expected
    assert (await house.read(polls.numbers, post.id, poll)).voters == 2


async def test_after_its_end_nothing_counts(house: House) -> None:
    post, poll = await ask(house, await house.person("amina"))
    bo = await house.stranger("bo")
    house.clock.move(days=1)
    assert not await vote(house, bo, post, poll, "Yes")
    assert await house.write(polls.close, house.instance, post.id)
    assert not await house.write(polls.close, house.instance, post.id)
    assert (await house.read(polls.numbers, post.id, poll)).closed == house.clock.now()


async def test_nothing_says_who_voted_and_private_questions_rest_sealed(house: House) -> None:
    amina = await house.person("amina")
    bo = await house.stranger("bo")
    post, poll = await ask(house, amina, to=bo.uri)
    await vote(house, bo, post, poll, "Yes")

    async def everything(tx) -> str:
        rows = [*await tx.all("select * from poll"), *await tx.all("select * from poll_vote"), *await tx.all("select content, tags from post")]
        return str([dict(row) for row in rows])

    found = await house.read(everything)
    assert "Yes" not in found
    assert bo.uri not in found
    assert str(bo.id) not in found
    held = await house.read(posts.by_id, post.id)
    assert held is not None
    assert held.poll is None
    opened = posts.opened(house.instance, held).poll
    assert opened is not None
    assert [option.name for option in opened.options] == ["Yes", "No"]


async def test_told_numbers_only_grow_and_closed_stays_closed(house: House) -> None:
    post, poll = await ask(house, await house.person("amina"))

    def told(*votes: int, closed: bool = False) -> Poll:
        options = tuple(Option(name, n) for name, n in zip(("Yes", "No"), votes, strict=True))
        return Poll(options, closed=house.clock.now() if closed else None, voters=sum(votes))

    for numbers in (told(2, 1), told(1, 0, closed=True), told(2, 2)):
        await house.write(polls.told, post.id, numbers)
    assert await counted(house, post, poll) == [2, 2]
    assert (await house.read(polls.numbers, post.id, poll)).closed == house.clock.now()
    # Other options are another poll, if it was edited
    three = Poll((Option("A"), Option("B"), Option("C", 1)))
    await house.write(polls.told, post.id, three)
    assert await counted(house, post, poll) == [2, 2]
    await house.write(polls.told, post.id, three, edited=True)
    assert await counted(house, post, three) == [0, 0, 1]
