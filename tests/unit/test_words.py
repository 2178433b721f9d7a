"""Is every sentence written in every language, with the same values in it?"""

import ast
import re
from pathlib import Path

import pytest

from fedmatch import words
from schemas import vocabulary

FIELDS = re.compile(r"\{(\w+)\}")
KIND = re.compile(r"[a-z]+\.[a-z]+")


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
def test_every_sentence_is_written_in_every_language(language: str) -> None:
    english = words._WORDS["en"]
    theirs = words._WORDS[language]

    assert theirs.keys() == english.keys()
    for key, sentence in english.items():
        assert sorted(FIELDS.findall(theirs[key])) == sorted(FIELDS.findall(sentence)), key
        assert "http" not in theirs[key], "no letter holds a link"


def test_a_sentence_comes_in_the_nearest_language() -> None:
    assert words.words("ar-SY", "withdrawn", title="x") == words.words("ar", "withdrawn", title="x")
    assert words.words("pt", "withdrawn", title="x") == words.words("en", "withdrawn", title="x")
    assert words.words("en", "withdrawn", title="{days}").count("{days}") == 1, "a title with braces stays as it is"


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
@pytest.mark.parametrize("key", ["received", "accepted"])
def test_the_words_that_act_stand_in_every_receipt(language: str, key: str) -> None:
    sentence = words.words(language, key, title="x", days=7)

    assert "withdraw" in sentence
    assert "done" in sentence


def test_everything_that_is_told_has_its_sentence() -> None:
    """Read from the code: whatever `notifications.tell` and `tell_staff` are given as a kind."""
    told: set[str] = set()
    for path in Path(words.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("notifications.tell", "notifications.tell_staff"):
                texts = (part.value for given in call.args for part in ast.walk(given) if isinstance(part, ast.Constant) and isinstance(part.value, str))
                told |= {text for text in texts if KIND.fullmatch(text)}
    assert len(told) >= 25
    assert {kind for kind in told if f"notice.{kind}" not in words.sentences()} == set()


def test_a_notice_nobody_wrote_is_its_kind() -> None:
    assert words.notice("ar", "no.such") == "no.such"
    assert words.notice("ar", "peer.lost") != words.notice("en", "peer.lost")
