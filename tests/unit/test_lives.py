"""Do deliveries and arrivals lead the lives that are drawn for them? They are moved by SQL, many at a time, so their statements are held against the tables."""

import re

import pytest

from schemas.states import ARRIVAL, DELIVERY, Life
from tests.unit.test_sql import STATEMENTS

UPDATE = re.compile(r"^\s*update (\w+)\nset (.*?)\nwhere (.*)", re.DOTALL)
TO = re.compile(r"\bstate = '(\w+)'")
FROM = re.compile(r"^(?:and )?state (?:= ('\w+')|in \(([^)]*)\))", re.MULTILINE)


def moves(noun: str) -> dict[tuple[str, str], list[str]]:
    """The moves that statements make in the table of a noun, and which do."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, sql in STATEMENTS:
        update = UPDATE.match(sql)
        if update is None or update[1] != noun or not re.search(r"\bstate =", update[2]):
            continue
        to, source = TO.search(update[2]), FROM.search(re.sub(r"^ +", "", update[3], flags=re.MULTILINE))
        assert to is not None, f"{name} does not say to which state it leads"
        assert source is not None, f"{name} does not say from which state it leads"
        for state in re.findall(r"\w+", source[1] or source[2]):
            found.setdefault((state, to[1]), []).append(name)
    return found


@pytest.mark.parametrize("life", [DELIVERY, ARRIVAL], ids=lambda life: life.noun)
def test_statements_make_every_move_that_is_drawn_and_no_other(life: Life) -> None:
    drawn = {(state, to) for state, ways in life.moves.items() for to in ways}
    assert moves(life.noun.lower()).keys() == drawn
