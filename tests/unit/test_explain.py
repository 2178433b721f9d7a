"""Is every reason a sentence, in every language, and never a number?"""

import re
from collections.abc import Mapping

import pytest

from fedmatch.matching import explain
from fedmatch.matching.explain import Reason
from schemas import vocabulary

REASONS: Mapping[str, Mapping[str, str | tuple[str, ...]]] = {
    "skills.offered": {"skills": ("AsylumLaw", "Translation")},
    "skills.asked": {"skills": ("AsylumLaw",)},
    "field": {"fields": (vocabulary.categories()[0].slug,)},
    "words": {},
    "themes": {"skills": ("VPNCircumvention",)},
    "meaning": {},
    "language": {"languages": ("ar", "de")},
    "region": {"region": "SY"},
    "vouched": {"issuers": ("ngo.example",)},
    "interpreter": {"languages": ("zh-Hans",)},
    "open": {},
}


def reason(code: str) -> Reason:
    return Reason(code, REASONS[code], 1.25)


def test_every_code_is_tried_here_and_written_everywhere() -> None:
    for language in vocabulary.LANGUAGES:
        assert explain.WORDS[language].keys() - {"comma"} == REASONS.keys(), language


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
@pytest.mark.parametrize("code", sorted(REASONS))
def test_a_reason_is_a_sentence_in_its_language(code: str, language: str) -> None:
    told = explain.text(reason(code), language)
    assert told.rstrip(".。").strip()
    assert told.endswith((".", "。"))
    assert "{" not in told
    assert not re.search(r"\d", told)
    if language != "en":
        assert told != explain.text(reason(code), "en")
    if code == "skills.offered":
        assert vocabulary.label("AsylumLaw", language) in told
        assert vocabulary.label("Translation", language) in told
    if code == "language":
        assert vocabulary.language_name("ar", language) in told
        assert vocabulary.language_name("de", language) in told
    if code == "vouched":
        assert "ngo.example" in told


def test_a_language_that_is_not_written_gets_the_nearest() -> None:
    assert explain.text(reason("words"), "zh") == explain.text(reason("words"), "zh-Hans")
    assert explain.text(reason("words"), "fr-CA") == explain.text(reason("words"), "fr")


def test_what_others_name_is_never_a_pattern() -> None:
    """An issuer's name with braces in it stays what it is."""
    assert "{0.__class__}" in explain.text(Reason("vouched", {"issuers": ("{0.__class__}",)}), "en")
