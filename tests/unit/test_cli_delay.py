"""Does what a one-time identity says wait where it is meant in earnest, does its author hear so, and does nothing say when it was written?"""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from fedmatch.cli.main import main
from schemas import config_template
from tests.unit.test_peers import logs_as_before  # noqa: F401  # a fixture

HOUR_MS = 3_600_000
POST = ("listing", "post", "--as", "amina", "--title", "A lawyer", "--text", "Who knows asylum law?", "--category", "LegalAid")
POST += ("--publish-anyway", "--language", "en")


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs_as_before: None) -> Iterator[Path]:  # noqa: F811  # the fixture itself
    """An instance that is not in development: nothing of it is fetched or sent here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMATCH_CONFIG", raising=False)
    config = tmp_path / "instance.toml"
    text = config_template.template("ngo.example", "https://ngo.example", False)
    assert "\n[development]" not in text
    for old, new in (('source = "passphrase"', 'source = "file"'), ('review = "everything"', 'review = "nothing"')):
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    assert run("user", "create", "amina").exit_code == 0
    yield tmp_path
    structlog.reset_defaults()


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def ok(*words: str) -> tuple[Any, str]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


def waits(folder: Path, which: str) -> tuple[int, int]:
    """When a draft is to be published, and the hour in which it was written."""
    with sqlite3.connect(next(folder.rglob("fedmatch.db"))) as disk:
        (row,) = disk.execute("select publish_at, created_at from draft where id = ?", (int(which),)).fetchall()
    return row


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("words", "low", "high"),
    [
        (("--kind", "request", "--audience", "public"), 2, 12),
        (("--kind", "offer"), 2, 12),
        (("--kind", "request", "--audience", "public", "--urgency", "days"), 2, 12),
        (("--kind", "offer", "--delay", "6h"), 3, 6),
        (("--kind", "offer", "--delay", "20-30h"), 20, 30),
        (("--kind", "offer", "--urgency", "hours", "--delay", "1-2h"), 1, 2),
    ],
)
def test_it_waits_at_random_between_two_hours(real: Path, words: tuple[str, ...], low: int, high: int) -> None:
    before = now_ms()
    made, said = ok(*POST, *words, "--one-time")
    after = now_ms()
    assert (made["state"], made["url"]) == ("scheduled", None)
    at, written = waits(real, made["id"])
    # Its author hears when, and how to take it back
    assert said.startswith(f"It leaves {datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:00:00Z}; until then `fedmatch listing withdraw {made['id']}`")
    # It leaves on a full hour, so up to one later than what was drawn
    assert before + low * HOUR_MS <= at <= after + (high + 1) * HOUR_MS
    assert at % HOUR_MS == written % HOUR_MS == 0


def test_what_is_drawn_differs(real: Path) -> None:
    drawn = {waits(real, ok(*POST, "--kind", "offer", "--one-time", "--title", f"Offer {number}")[0]["id"])[0] for number in range(8)}
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("words", "warned"),
    [(("--urgency", "hours"), True), (("--urgency", "hours", "--delay", "0"), False), (("--delay", "0"), False)],
)
def test_what_is_urgent_leaves_at_once_and_its_author_is_warned(real: Path, words: tuple[str, ...], warned: bool) -> None:
    made, said = ok(*POST, "--kind", "request", "--audience", "public", "--one-time", *words)
    assert made["state"] == "open"
    assert ("leaves at once" in said) == warned
    with sqlite3.connect(next(real.rglob("fedmatch.db"))) as disk:
        (row,) = disk.execute("select published from post").fetchall()
    assert row[0] % HOUR_MS == 0, "and says the hour alone"
    author = made["author"].partition("@")[0]
    assert author != "amina"
    assert len(author.split("_")) == 3


def test_what_is_wrong_is_said_before_anything_is_made(real: Path) -> None:
    for delay in ("soon", "12-2h", "100h"):
        refused = run(*POST, "--kind", "offer", "--one-time", "--delay", delay)
        assert (refused.exit_code, "delay" in refused.output) == (2, True)
    with sqlite3.connect(next(real.rglob("fedmatch.db"))) as disk:
        assert disk.execute("select count(*) from identity").fetchone() == (0,)
