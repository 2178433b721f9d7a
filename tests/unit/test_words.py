"""Is every sentence written in every language, with the same values in it?"""

import re

import pytest

from fedmatch import words
from schemas import vocabulary

FIELDS = re.compile(r"\{(\w+)\}")


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


def test_a_notice_nobody_wrote_is_its_kind() -> None:
    assert words.notice("ar", "no.such") == "no.such"
    assert words.notice("ar", "peer.lost") != words.notice("en", "peer.lost")
