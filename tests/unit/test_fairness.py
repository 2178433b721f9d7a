"""Are always the same few suggested? 200 requests arrive one after the other, and what was suggested counts against who is suggested next."""

import random
from collections import Counter
from math import log2

from fedmatch.matching.score import Subject, Weights, rank
from schemas import vocabulary

HELPERS = 60
ARRIVALS = 200
SHOWN = 10


def gini(numbers: list[int]) -> float:
    """0: all the same; towards 1: one has everything."""
    ordered = sorted(numbers)
    total = sum(ordered)
    return sum((2 * place - len(ordered) - 1) * value for place, value in enumerate(ordered, 1)) / (len(ordered) * total)


def simulated(weights: Weights) -> tuple[float, float]:
    """The Gini of how often each helper was suggested, and the mean nDCG@10 of what the requests were shown."""
    chance = random.Random(7)
    fields = [each for each in vocabulary.TAXONOMY if len(each.skills) >= 4][:4]
    offers = []
    for number in range(HELPERS):
        field = fields[number % len(fields)]
        # Some offer more, speak more, are newer and vouched for: they would always come first.
        strong = chance.random() < 0.25
        skills = chance.sample([skill.slug for skill in field.skills], 4 if strong else 2)
        offers.append(
            Subject(
                id=number,
                kind="offer",
                skills=frozenset(skills),
                categories=frozenset([field.slug]),
                speaks=("ar", "en", "fr")[: 3 if strong else 1],
                vouched_by=("ngo.example",) if strong else (),
                published=1_000_000_000 if strong else 0,
            )
        )
    exposures: Counter[int] = Counter()
    gains = []
    for number in range(ARRIVALS):
        field = fields[chance.randrange(len(fields))]
        skills = frozenset(chance.sample([skill.slug for skill in field.skills], 2))
        wanted = Subject(id=1000 + number, kind="request", skills=skills, categories=frozenset([field.slug]), speaks=(chance.choice(["ar", "fr", "en"]),))
        seen = [
            Subject(one.id, one.kind, one.skills, one.categories, one.speaks, vouched_by=one.vouched_by, published=one.published, exposures=exposures[one.id])
            for one in offers
        ]
        shown = [one.id for one in rank(wanted, seen, weights, 1_000_000_000, SHOWN)]
        grades = {one.id: min(2, len(wanted.skills & one.skills)) for one in offers}
        ideal = sum((2**grade - 1) / log2(place + 2) for place, grade in enumerate(sorted(grades.values(), reverse=True)[:SHOWN]))
        if ideal:
            gains.append(sum((2 ** grades[one] - 1) / log2(place + 2) for place, one in enumerate(shown)) / ideal)
        exposures.update(shown[:3])
    return gini([exposures[one.id] for one in offers]), sum(gains) / len(gains)


def test_what_was_suggested_often_makes_room_at_no_loss_of_quality() -> None:
    fair, quality = simulated(Weights())
    unfair, best = simulated(Weights(exposure=0.0))
    figures = f"Gini {unfair:.3f} -> {fair:.3f}, nDCG@10 {best:.3f} -> {quality:.3f}"
    print(figures)
    assert fair < 0.8 * unfair, figures
    assert quality > best - 0.02, figures


def test_among_equals_the_one_suggested_less_comes_first() -> None:
    wanted = Subject(id=9, kind="request", skills=frozenset(["AsylumLaw"]), categories=frozenset(["LegalAid"]))
    exposures: Counter[int] = Counter()
    first = []
    for _ in range(9):
        same = [Subject(number, "offer", wanted.skills, wanted.categories, exposures=exposures[number]) for number in range(3)]
        (best, *_) = rank(wanted, same, Weights(), 0, 3)
        exposures[best.id] += 1
        first.append(best.id)
    assert Counter(first) == {0: 3, 1: 3, 2: 3}
