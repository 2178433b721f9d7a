"""Is one word one word, however it is spelled, and in any script?"""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmatch.matching import terms

TEXTS = st.text(max_size=60)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("كِتَابٌ", "کتاب"),  # Arabic with vowels; Persian kaf
        ("كــــتاب", "كتاب"),  # stretched
        ("علي", "علی"),  # the two yehs
        ("مدرسة", "مدرسه"),
        ("أحمد", "احمد"),
        ("می\u200cخواهم", "میخواهم"),  # Persian, joined without a space
        ("İSTANBUL", "istanbul"),
        ("Cañón", "canon"),
        ("ﬁne", "fine"),
        ("Ｔｏｒ", "tor"),
        ("СУД", "суд"),
    ],
)
def test_two_spellings_are_one(one: str, other: str) -> None:
    assert terms.normal(one) == terms.normal(other)
    assert terms.grams(one) == terms.grams(other)
    assert terms.words(one) == terms.words(other)


def test_what_differs_stays_different() -> None:
    assert terms.normal("й") != terms.normal("к")
    assert terms.normal("한국") == unicodedata.normalize("NFC", "한국")
    assert not terms.grams("арест").keys() & terms.grams("приют").keys()


def test_chinese_gives_letters_and_neighbours() -> None:
    assert terms.words("法律援助") == ("法", "法律", "律", "律援", "援", "援助", "助")
    assert terms.grams("法律援助") == {"法律": 1, "律援": 1, "援助": 1}
    assert terms.grams("ВПН翻墙VPN") == {" впн": 1, "впн ": 1, "翻墙": 1, " vpn": 1, "vpn ": 1}


def test_a_word_has_borders() -> None:
    assert terms.grams("law lawyer a") == {" law": 2, "law ": 1, "lawy": 1, "awye": 1, "wyer": 1, "yer ": 1, " a ": 1}


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_any_text_can_be_taken_apart(text: str) -> None:
    found = terms.grams(text)
    assert all(number > 0 and 1 <= len(gram) <= 4 for gram, number in found.items())
    assert all(word and not word.isspace() for word in terms.words(text))
    assert bool(found) == bool(terms.words(text))


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_the_order_of_lines_does_not_matter(one: str, other: str) -> None:
    assert terms.grams(f"{one}\n{other}") == terms.grams(f"{other}\n{one}")
