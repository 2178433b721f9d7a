"""Are the language and the skills that words tell only proposed, to somebody who may choose, and is a guess said where nobody sits?"""

from pathlib import Path

import pytest

from fedmatch.cli import listing
from tests.unit.test_cli_answers import house, logs_as_before, ok, run  # noqa: F401  # two of them are fixtures

POST = ("listing", "post", "--as", "alice", "--kind", "request", "--audience", "local", "--category", "LegalAid", "--title", "Hilfe mit dem Asylverfahren")
TEXT = "Wer kennt sich mit dem Asylrecht in Deutschland aus und kann uns beraten?"


def test_a_script_is_told_and_takes_the_guess(house: Path) -> None:  # noqa: F811  # the fixture
    result = run(*POST, "--text", TEXT)
    assert "language: de, as far as the words tell; --language says another" in result.stderr
    result = run(*POST, "--text", "?", "--title", "!")
    assert "language: en, as nothing says another" in result.stderr
    assert "language:" not in run(*POST, "--text", TEXT, "--language", "de").stderr


def test_at_a_terminal_it_is_filled_in_and_may_be_changed(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811  # the fixture
    monkeypatch.setattr(listing, "interactive", lambda: True)
    asked = "Language of title and text [de]:"
    for typed, language in (("\n\n", "de"), ("nl\n\n", "nl")):
        result = run(*POST, "--text", TEXT, stdin=typed)
        assert asked in result.stderr
        assert "as far as the words tell" not in result.stderr, "it was confirmed"
        assert result.exit_code == 0, result.output
        assert language in {one["language"] for one in ok("listing", "list")}
    assert asked not in run(*POST, "--text", TEXT, "--language", "de").stderr
    assert run(*POST, "--text", "-", stdin=TEXT).stderr.count(asked) == 0, "what is read from standard input leaves nothing to ask with"


def test_at_a_terminal_five_skills_are_shown_and_none_is_named_by_itself(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811  # the fixture
    told = (*POST, "--text", TEXT, "--language", "de")
    assert "It may be about" not in run(*told).stderr, "a script has suggest-skills"
    monkeypatch.setattr(listing, "interactive", lambda: True)
    for typed, named in (("\n", []), ("AsylumLaw, international-law\n", ["AsylumLaw", "InternationalLaw"])):
        before = {one["id"] for one in ok("listing", "list")}
        result = run(*told, stdin=typed)
        shown = result.stderr.partition("It may be about: ")[2].partition("\n")[0]
        assert (shown.count("("), "AsylumLaw (" in shown) == (5, True)
        (made,) = [one for one in ok("listing", "list") if one["id"] not in before]
        assert made["skills"] == named
    assert "It may be about" not in run(*told, "--skill", "AsylumLaw").stderr
