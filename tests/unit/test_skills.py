"""Are skills found in what people write, in ten languages, and is nothing found where nothing is said?"""

import json
import math
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmatch.matching import skills, terms
from schemas import vocabulary

SAID = {
    "ar": ("نبحث عن مترجم ينقل وثائقنا إلى لغة أخرى", "Translation"),
    "en": ("Can anybody teach our team to recognise phishing and choose good passwords?", "SecurityTraining"),
    "es": ("Bloquearon las páginas y necesitamos una VPN", "VPNCircumvention"),
    "fa": ("برای درخواست پناهندگی وکیل می‌خواهم", "AsylumLaw"),
    "fr": ("Nous cherchons quelqu'un pour sous-titrer une vidéo", "Subtitling"),
    "ko": ("문서를 영어로 번역해 줄 사람을 찾습니다", "Translation"),
    "ru": ("Ищу психолога, который поможет после травмы", "TraumaCounseling"),
    "tr": ("İltica başvurusu için avukat arıyorum", "AsylumLaw"),
    "uk": ("Шукаємо перекладача документів", "Translation"),
    "zh-Hans": ("需要翻墙工具和VPN", "VPNCircumvention"),
}


def test_every_skill_has_cues_in_every_language() -> None:
    cues = json.loads(files("fedmatch").joinpath("locale", "skills.json").read_text(encoding="utf-8"))["cues"]
    assert set(cues) == set(vocabulary.LANGUAGES)
    for language, each in cues.items():
        assert set(each) == set(skills.SLUGS), language
        for slug, some in each.items():
            assert len(some) >= 3, (language, slug)
            assert all(terms.grams(cue) for cue in some), (language, slug)
            assert len({terms.normal(cue) for cue in some}) == len(some), (language, slug)


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
def test_five_chips_in_every_language(language: str) -> None:
    text, slug = SAID[language]
    chips = skills.suggested(text)
    assert slug in chips
    assert len(chips) == len(set(chips)) == skills.CHIPS
    assert all(vocabulary.is_skill(one) for one in chips)


def test_nothing_is_found_in_nothing() -> None:
    likeness = dict.fromkeys(skills.SLUGS, 0.1) | {"Theatre": 0.9}
    for nothing in ("", "...", "🙂", "12345 999", "https://example.org/asylum-law"):
        assert skills.suggested(nothing) == skills.suggested(nothing, likeness=likeness) == ()
    assert skills.themes({}) == {}


def test_a_model_has_its_word_too() -> None:
    likeness = dict.fromkeys(skills.SLUGS, 0.8) | {"Theatre": 0.95}
    assert skills.suggested("zzzz", likeness=likeness)[0] == "Theatre"


def test_one_theme_in_two_languages_is_one() -> None:
    asked, answered, other = (skills.themes(terms.grams(text)) for text in ("Need a lawyer for my asylum claim", "أساعد في طلب اللجوء", "翻墙 VPN"))
    assert skills.alike(asked, answered) > 0.3 > skills.alike(asked, other)
    assert skills.alike(asked, asked) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_likeness_of_themes_is_a_share(one: str, other: str) -> None:
    first, second = (skills.themes(terms.grams(text)) for text in (one, other))
    assert 0 <= skills.alike(first, second) <= 1 + 1e-9
    assert skills.alike(first, second) == pytest.approx(skills.alike(second, first))


def plainly(grams: dict[str, int]) -> list[int]:
    """BM25 as it is written down, over dictionaries."""
    cues = json.loads(files("fedmatch").joinpath("locale", "skills.json").read_text(encoding="utf-8"))["cues"]
    texts = [terms.grams(" ".join([*vocabulary.skill(slug).labels.values(), *(cue for each in cues.values() for cue in each[slug])])) for slug in skills.SLUGS]
    mean = sum(sum(text.values()) for text in texts) / len(texts)
    found = []
    for text in texts:
        weight, damping = 0, skills.K1 * (1 - skills.B + skills.B * sum(text.values()) / mean)
        for gram in grams.keys() & text.keys():
            held = sum(gram in one for one in texts)
            weight += round(1000 * math.log(1 + (len(texts) - held + 0.5) / (held + 0.5)) * text[gram] * (skills.K1 + 1) / (text[gram] + damping))
        found.append(weight)
    return found


def test_what_lies_packed_weighs_what_it_weighed() -> None:
    odd = "🙂🙂🙂🙂a🙂🙂🙂 \udc00\udc00\udc00\udc00 \x00abc"
    for text in (*(text for text, _ in SAID.values()), odd, odd + SAID["zh-Hans"][0]):
        grams = terms.grams(text)
        assert skills.weigh(grams) == plainly(dict(grams))
