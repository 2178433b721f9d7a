"""Does `make demo` show what it promises? It is run as make runs it, without a terminal, and its table is compared with one that is written down here."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedmatch.demo import house

ROOT = Path(__file__).parents[2]

OPEN, SEALED, NOTHING, HAS = "in the open", "sealed", "nothing", "has it"
TABLE = {
    ("S2", "the request, public"): (OPEN, OPEN, OPEN, HAS),
    ("S2", "the account of who wrote it for the group"): (OPEN, NOTHING, NOTHING, NOTHING),
    ("S2", "what the founder answers, privately"): (SEALED, NOTHING, NOTHING, HAS),
    ("S3", "the request, for trusted peers"): (SEALED, SEALED, NOTHING, NOTHING),
    ("S3", "the answer"): (SEALED, SEALED, NOTHING, NOTHING),
    ("S3", "what they say to each other"): (SEALED, SEALED, NOTHING, NOTHING),
    ("S3", "the account of who asked"): (OPEN, NOTHING, NOTHING, NOTHING),
    ("S3", "the account of who answered"): (NOTHING, OPEN, NOTHING, NOTHING),
    ("S6", "news in, at first"): (SEALED, NOTHING, NOTHING, NOTHING),
    ("S6", "witnesses out, at first"): (SEALED, NOTHING, NOTHING, NOTHING),
    ("S6", "the offer of shortwave, public"): (OPEN, OPEN, OPEN, NOTHING),
    ("S6", "the offer of satellite, public"): (OPEN, OPEN, OPEN, NOTHING),
    ("S6", "news in, after 3 days"): (SEALED, SEALED, NOTHING, NOTHING),
    ("S6", "witnesses out, after 3 days"): (SEALED, SEALED, NOTHING, NOTHING),
}
"""What the NGO, its partner, a third and the stand-in for Mastodon know in the end."""


async def test_the_demonstration_ends_well_and_everybody_knows_what_they_should(tmp_path: Path) -> None:
    # Given nothing but this machine, no terminal, and temporary files of its own
    out, temporary = tmp_path / "table.json", tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "FEDMATCH_CONFIG": "/nowhere"}
    # When it is run as make runs it
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fedmatch.demo", "--json", str(out)), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    shown, _ = await asyncio.wait_for(process.communicate(), 240)
    # Then it says that all is well, and it is
    text = shown.decode()
    assert process.returncode == 0, text
    assert "Everybody knows what they should, and nothing more." in text
    assert "\x1b" not in text, "plain text where nobody sees colours"
    found = {(one["story"], one["what"]): tuple(one["known"].values()) for one in json.loads(out.read_text(encoding="utf-8"))}
    assert found == TABLE
    # And the delay was not pretended: it says which clock was moved
    assert "clocks 75 hours ahead" in text
    # And nothing of it is left
    assert list(temporary.iterdir()) == []


def test_make_demo_is_what_the_test_runs() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    assert lines[lines.index("demo: $(READY)") + 1].strip() == "@$(PY) -m fedmatch.demo"


@pytest.mark.parametrize("written", [str.encode, lambda text: text.encode("utf-16-le"), lambda text: text.encode().hex().encode()])
def test_a_thief_finds_words_in_every_spelling(tmp_path: Path, written: object) -> None:
    assert callable(written)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0\1" + written("Begin with the antenna") + b"\2")
    one = house.House("here", tmp_path, 0)
    (tmp_path / "nothing").write_bytes(bytes(1000))
    assert one.on_disk(["Begin with the antenna", "Begin with the battery"]) == {"Begin with the antenna"}


async def test_the_table_fails_if_somebody_knows_too_much() -> None:
    from fedmatch.demo.board import Secret

    told = Secret("S0", "what was said", "words", {"NGO": "sealed"}, known={"NGO": "sealed", "a third": "in the open"})
    assert told.wrong() == ["S0, what was said: a third knows 'in the open', and should 'nothing'"]
    lost = Secret("S0", "what was said", "words", {"NGO": "sealed"}, known={"NGO": "nothing", "a third": "nothing"})
    assert lost.wrong() == ["S0, what was said: NGO knows 'nothing', and should 'sealed'"]
