"""Does what fits better come first, whatever the order it was read in, and is no reason invented?"""

import random
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmatch.matching import gist, score
from fedmatch.matching.score import Subject, Weights
from schemas import vocabulary

NOW = 1_800_000_000_000
SLUGS = ("AsylumLaw", "CriminalDefense", "LegalDrafting", "Translation", "Interpreting", "VPNCircumvention", "Housing")
TEXTS = ("a lawyer for asylum", "محام للجوء", "翻译", "I offer a room", "комната на месяц", "", "VPN and Tor bridges")


def about(number: int, kind: str, named: frozenset[str], text: str = "", **more: object) -> Subject:
    said = gist.of(text)
    fields_ = frozenset(vocabulary.category(slug).slug for slug in named)
    made = Subject(id=number, kind=kind, skills=named, categories=fields_, grams=said.grams, themes=said.themes, published=NOW)
    return replace(made, **more)  # type: ignore[arg-type]  # names of fields


named = st.frozensets(st.sampled_from([slug for slug in SLUGS if vocabulary.is_skill(slug)]), max_size=3)
languages = st.sampled_from([(), ("ar",), ("ar", "de"), ("en",), ("zh-Hans",)])
offers = st.lists(
    st.tuples(
        named, st.sampled_from(TEXTS), languages, st.sampled_from([None, "SY", "DE"]), st.sampled_from([0.0, 3.0]), st.sampled_from([(), ("ngo.example",)])
    ),
    min_size=1,
    max_size=7,
).map(
    lambda rows: [
        about(number, "offer", skills_, text, speaks=speaks, region=region, exposures=shown, vouched_by=vouched)
        for number, (skills_, text, speaks, region, shown, vouched) in enumerate(rows, 1)
    ]
)
requests = st.tuples(named, st.sampled_from(TEXTS), languages).map(lambda one: about(1000, "request", one[0], one[1], speaks=one[2], region="SY"))


@settings(max_examples=60, deadline=None)
@given(requests, offers, st.randoms(use_true_random=False))
def test_shuffling_changes_nothing(wanted: Subject, some: list[Subject], chance: random.Random) -> None:
    shuffled = chance.sample(some, len(some))
    assert score.rank(wanted, some, Weights(), NOW, 20) == score.rank(wanted, shuffled, Weights(), NOW, 20)


@settings(max_examples=80, deadline=None)
@given(requests, offers, named)
def test_one_more_skill_in_common_never_lowers_a_score(wanted: Subject, some: list[Subject], more: frozenset[str]) -> None:
    """The first candidate gains skills that are asked for: its score stays or grows, and by tags alone nobody overtakes it."""
    better = some[0].skills | (wanted.skills & more)
    improved = replace(some[0], skills=better, categories=some[0].categories | frozenset(vocabulary.category(slug).slug for slug in better))
    before, after = ({one.id: one.score for one in score.rank(wanted, [first, *some[1:]], Weights(), NOW, 20)} for first in (some[0], improved))
    assert after[1] >= before[1] - 1e-9
    alone = Weights(**{each.name: 0.0 for each in fields(Weights)} | {"tags": 1.0})
    places = [[one.id for one in score.rank(wanted, [first, *some[1:]], alone, NOW, 20)].index(1) for first in (some[0], improved)]
    assert places[1] <= places[0]


@settings(max_examples=60, deadline=None)
@given(requests, offers)
def test_reasons_are_never_invented(wanted: Subject, some: list[Subject]) -> None:
    """Every reason rests on something both sides have; a part that counts nothing gives none."""
    of = {one.id: one for one in some}
    for found in score.rank(wanted, some, Weights(), NOW, 20):
        one = of[found.id]
        assert 1 <= len(found.reasons) <= score.MOST_REASONS
        assert found.score == pytest.approx(sum(found.parts.values()))
        for reason in found.reasons:
            match reason.code:
                case "skills.offered":
                    assert set(reason.parameters["skills"]) <= wanted.skills & one.skills
                case "field":
                    assert set(reason.parameters["fields"]) <= wanted.categories & one.categories
                case "language":
                    assert set(reason.parameters["languages"]) <= wanted.languages & one.languages
                case "interpreter":
                    assert not wanted.languages & one.languages
                case "vouched":
                    assert reason.parameters["issuers"] == one.vouched_by
                case "region":
                    assert reason.parameters["region"] == wanted.region == one.region
                case "words":
                    assert wanted.grams.keys() & one.grams.keys()
    removed = {
        "tags": ("skills.offered", "field"),
        "words": ("words",),
        "themes": ("themes",),
        "language": ("language",),
        "vouched": ("vouched",),
        "region": ("region",),
    }
    for part, codes in removed.items():
        for found in score.rank(wanted, some, replace(Weights(), **{part: 0.0}), NOW, 20):
            assert part not in found.parts
            assert not {reason.code for reason in found.reasons} & set(codes)


def test_what_all_have_in_common_is_a_reason_and_no_order() -> None:
    """Given two offers with the one skill asked for, when they are ranked, then tags order nothing and are still why."""
    wanted = about(9, "request", frozenset({"AsylumLaw"}))
    found = score.rank(wanted, [about(1, "offer", frozenset({"AsylumLaw"})), about(2, "offer", frozenset({"AsylumLaw"}))], Weights(), NOW, 20)
    assert all("tags" not in one.parts and one.reasons[0].code == "skills.offered" for one in found)


def test_of_equals_the_one_less_suggested_comes_first_then_the_newer() -> None:
    wanted = about(9, "request", frozenset({"AsylumLaw"}))
    some = [about(number, "offer", frozenset({"AsylumLaw"})) for number in (1, 2, 3)]
    some = [replace(some[0], exposures=2.0), replace(some[1], published=NOW - 1), some[2]]
    assert [one.id for one in score.rank(wanted, some, Weights(fresh=0, exposure=0), NOW, 20)] == [3, 2, 1]


def test_a_missing_part_drops_out() -> None:
    """A likeness nobody reckoned, an empty text, a field nobody named: no part of these, for nobody."""
    wanted = about(9, "request", frozenset(), "")
    (found,) = score.rank(wanted, [about(1, "offer", frozenset({"AsylumLaw"}), "a lawyer")], Weights(fresh=0), NOW, 20)
    assert found.parts == {}
    assert [reason.code for reason in found.reasons] == ["open"]
    assert score.rank(wanted, [], Weights(), NOW, 20) == []


def test_likeness_of_the_unknown_counts_as_the_mean() -> None:
    wanted = about(9, "request", frozenset())
    some = [about(1, "offer", frozenset(), likeness=(0.9, 0.5)), about(2, "offer", frozenset()), about(3, "offer", frozenset(), likeness=(0.7, 0.1))]
    found = score.rank(wanted, some, Weights(fresh=0), NOW, 20)
    assert [one.id for one in found] == [1, 2, 3]
    assert found[1].parts["likeness"] == pytest.approx(0.0)


def test_every_weight_can_be_configured() -> None:
    from schemas.config import MatchingConfig

    assert Weights.of(MatchingConfig()) == Weights()
    assert {each.name for each in fields(Weights)} <= {each.name for each in fields(MatchingConfig)}
