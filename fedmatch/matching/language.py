"""In which language is a text written? A guess to fill in a form with; what its author says comes first, and what is unsure is not guessed."""

from functools import cache
from typing import TYPE_CHECKING, Final

from schemas import vocabulary

if TYPE_CHECKING:
    from eld import LanguageDetector

MARGIN: Final = 0.03
"""How far the first guess is before the second; with less, two words of Spanish were taken for Portuguese."""
MOST_LETTERS: Final = 1_000

# Letters that only one of the two ways to write Chinese has, pair by pair.
_TRADITIONAL: Final = frozenset("們個這來時國學會對說從後還發問無與為應實體關書讓長門開電東車見馬語話請該將經現點運過進難權師護辦報導義務聯")
_SIMPLIFIED: Final = frozenset("们个这来时国学会对说从后还发问无与为应实体关书让长门开电东车见马语话请该将经现点运过进难权师护办报导义务联")
# Letters a language does not have: a sentence of Russian is near to Bulgarian by its groups of letters alone.
_NEVER: Final = {"bg": frozenset("ыэёіїє"), "sr": frozenset("ыэёіїєщъй"), "uk": frozenset("ыэёъ"), "ru": frozenset("іїєґўјљњћђ"), "be": frozenset("иїєщъ")}
_CODES: Final = {"no": "nb", "tl": "fil"}


@cache
def _detector() -> "LanguageDetector":
    from eld import LanguageDetector  # 0.25 s and 45 MB, only where somebody writes

    return LanguageDetector()


def detected(text: str) -> str | None:
    """The language of `text` as a BCP 47 tag as in ar, en, zh-Hans; None where that is not clear, as of one or two words."""
    text = text.strip()[:MOST_LETTERS]
    if not text:
        return None
    found = _detector().detect(text)
    scores = dict(found.scores() or {})
    letters = set(text.lower())
    foreign = {code for code in scores if letters & _NEVER.get(code, frozenset())}
    ranked = sorted(((score, code) for code, score in scores.items() if code not in foreign), reverse=True)
    if not ranked or not (found.is_reliable() or foreign) or (len(ranked) > 1 and ranked[0][0] - ranked[1][0] < MARGIN):
        return None
    code = str(ranked[0][1])
    if code == "zh":
        code = "zh-Hant" if len(letters & (_TRADITIONAL - _SIMPLIFIED)) > len(letters & (_SIMPLIFIED - _TRADITIONAL)) else "zh-Hans"
    code = _CODES.get(code, code)
    return code if vocabulary.is_language(code) else None
