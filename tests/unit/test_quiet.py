"""Followers whom no row names: who hears what, once; and what a disk without its key says of them."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.quiet import Follower, distinct

PEOPLE = st.tuples(st.integers(0, 5), st.integers(0, 2))
"""A person and the server they are on."""


def followers(people: Sequence[tuple[int, int]]) -> list[Follower]:
    return [Follower(f"https://server{server}.example/inbox", f"{person}@{server}".encode()) for person, server in people]


@given(st.lists(st.lists(PEOPLE, max_size=8), max_size=5))
@settings(max_examples=200)
def test_everybody_hears_it_from_one_they_follow_and_no_place_twice_from_one(services: list[list[tuple[int, int]]]) -> None:
    lists = [followers(one) for one in services]

    chosen = distinct(lists)

    assert len(chosen) == len(lists)
    for places in chosen:
        assert len(places) == len(set(places))
    for one in lists:
        for follower in one:
            sayers = [number for number, places in enumerate(chosen) if follower.place in places]
            assert any(follower in lists[number] for number in sayers)


def test_one_who_follows_all_of_them_hears_it_once() -> None:
    same = followers([(1, 1)])
    assert distinct([same, same, same]) == [["https://server1.example/inbox"], [], []]


def test_the_one_that_reaches_most_says_it() -> None:
    both, one = (1, 1), (2, 1)
    assert distinct([followers([both]), followers([both, one])]) == [[], ["https://server1.example/inbox"]]


def test_two_who_follow_different_ones_hear_each() -> None:
    assert distinct([followers([(1, 1)]), followers([(2, 1)])]) == [["https://server1.example/inbox"]] * 2
