"""Can the board be used from the command line alone? Two servers as processes of their own; everything else is typed, as a newcomer types it."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner

from fedmatch.cli.main import main
from tests.world import free_port

LISTING = {"id", "url", "kind", "state", "title", "text", "language", "categories", "skills", "speaks", "region", "helper_region", "urgency", "until"}
LISTING |= {"capacity", "audience", "author", "origin", "vouches"}
RESPONSE = {"id", "listing", "state", "from", "to", "text", "messages"}
"""What scripts may rely on."""


@pytest.fixture(autouse=True)
def logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands configure the logs of their process; the next test wants them as they were."""
    monkeypatch.delenv("FEDMATCH_CONFIG", raising=False)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


@dataclass
class Terminal:
    """A terminal beside one instance."""

    folder: Path
    port: int

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def type(self, *words: str, typed: str | None = None) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        result = CliRunner().invoke(main, ["--config", str(self.folder / "instance.toml"), *words], input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    def get(self, *words: str, typed: str | None = None) -> Any:
        """The JSON of a command that succeeds."""
        code, out, error = self.type(*words, "--json", typed=typed)
        assert code == 0, (words, error)
        return json.loads(out)

    def refused(self, *words: str, code: int = 1) -> str:
        """What a command that cannot be done says on standard error; it prints nothing else."""
        found, out, error = self.type(*words)
        assert (found, out) == (code, ""), (words, out, error)
        return error

    @contextmanager
    def serving(self) -> Iterator[None]:
        """`fedmatch serve` as a process, ended by SIGTERM."""
        command = [sys.executable, "-m", "fedmatch", "--config", str(self.folder / "instance.toml"), "serve"]
        environment = {key: value for key, value in os.environ.items() if key != "FEDMATCH_CONFIG"}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            until(self._answers)
            yield
        finally:
            process.terminate()
            assert process.wait(15) == 0

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def until(holds: Callable[[], Any], limit_s: float = 60) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + limit_s
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
    return found


def instance(folder: Path) -> Terminal:
    folder.mkdir()
    made = Terminal(folder, free_port())
    assert made.get("init", "--host", made.host)["development"] is True
    return made


def befriend(here: Terminal, there: Terminal) -> None:
    assert "peers add" in here.refused("peers", "words", there.host)
    assert "peers add" in here.refused("peers", "trust", there.host)
    assert "peers words" in here.type("peers", "add", there.host)[1], "it says what comes next"
    there.get("peers", "add", here.host)
    ours, theirs = here.get("peers", "words", there.host), there.get("peers", "words", here.host)
    assert (ours["words"], ours["digits"]) == (theirs["words"], theirs["digits"])
    assert len(ours["words"]) == 6
    assert "these are not the words" in here.refused("peers", "trust", there.host, "--words", "one two three four five six")
    assert here.get("peers", "trust", there.host, "--words", " ".join(theirs["words"]), "--vouches-count-up-to", "2")["trust"]["ready"] is False
    there.get("peers", "trust", here.host, "--words", " ".join(ours["digits"]), "--vouches-count-up-to", "2")
    until(lambda: all(one["trust"]["ready"] for one in (*here.get("peers", "list"), *there.get("peers", "list"))))


def test_a_request_is_answered_from_another_instance_by_typing_alone(tmp_path: Path) -> None:
    # Given two instances whose admins trust each other
    here, there = instance(tmp_path / "here"), instance(tmp_path / "there")
    with here.serving(), there.serving():
        here.get("user", "create", "amal")
        there.get("user", "create", "ben")
        befriend(here, there)

        # When somebody asks all trusted peers, and lets every helper read it
        words = ["--as", "amal", "--kind", "request", "--title", "A lawyer", "--text", "-", "--category", "LegalAid", "--skill", "AsylumLaw"]
        words += ["--speaks", "ar,en", "--region", "SY", "--helper-region", "DE", "--urgency", "days", "--audience", "network", "--floor", "0"]
        made = here.get("listing", "post", *words, typed="Who knows Swedish asylum law?\n")
        assert made.keys() >= LISTING
        assert (made["state"], made["audience"], made["author"], made["origin"]) == ("open", "network", f"amal@{here.host}", here.host)

        # Then it is there, the same, for whoever runs it and for a helper once opened; and it is found
        url = made["url"]
        (seen,) = until(lambda: there.get("listing", "list", "--network"))
        assert {**seen, "id": made["id"]} == made
        assert there.get("listing", "list") == [], "it is not one of theirs"
        (coarse,) = there.get("listing", "list", "--network", "--as", "ben")
        assert "asylum" not in coarse["text"]
        assert there.get("listing", "show", url, "--as", "ben")["text"] == made["text"] == there.get("listing", "show", seen["id"])["text"]
        assert [one["url"] for one in there.get("listing", "search", "ASYLUM", "--as", "ben", "--speaks", "ar")] == [url]
        assert there.get("listing", "search", "asylum", "--kind", "offer") == []
        assert "fewer words" in there.type("listing", "search", "unheard-of")[1]
        assert here.get("listing", "renew", made["id"])["state"] == "open"

        # When a helper answers
        assert "of your own" in here.refused("respond", url, "--as", "amal", "--text", "me")
        assert "no nobody here" in there.refused("respond", url, "--as", "nobody", "--text", "me")
        sent = there.get("respond", url, "--as", "ben", "--text", "-", typed="I am a lawyer.")
        assert sent.keys() >= RESPONSE
        assert (sent["state"], sent["channel"], sent["readable_by"], sent["messages"]) == ("sent", "sealed", here.host, [])
        assert "already" in there.refused("respond", seen["id"], "--as", "ben", "--text", "again")
        (got,) = until(lambda: here.get("response", "list", "--as", "amal", "--listing", url))
        assert got.keys() >= RESPONSE
        assert (got["from"], got["to"], got["text"], got["listing"], got["state"]) == (f"ben@{there.host}", f"amal@{here.host}", "I am a lawyer.", url, "sent")
        assert "when the answer is accepted" in here.refused("message", got["id"], "--as", "amal", "--text", "too early")
        assert "response list" in here.refused("response", "open", "12", "--as", "amal")

        # And it is considered and taken up, by id and by URL, and they talk
        assert here.get("response", "open", got["id"], "--as", "amal")["state"] == "opened"
        assert here.get("response", "accept", got["url"], "--as", "amal")["state"] == "accepted"
        assert "already" in here.refused("response", "accept", got["id"], "--as", "amal")
        until(lambda: there.get("response", "open", sent["id"], "--as", "ben")["state"] == "accepted")
        there.get("message", sent["id"], "--as", "ben", "--text", "-", typed="Send me the letter.")
        until(lambda: here.get("response", "open", got["id"], "--as", "amal")["messages"])
        here.get("message", got["url"], "--as", "amal", "--text", "Here it is.")
        talk = until(lambda: (said := there.get("response", "open", sent["id"], "--as", "ben")["messages"])[1:] and said)
        assert [(one["from"], one["text"]) for one in talk] == [(f"ben@{there.host}", "Send me the letter."), (f"amal@{here.host}", "Here it is.")]
        assert "\n  ben@" in here.type("response", "open", got["id"], "--as", "amal")[1], "a message a line, for people"

        # Then the audit says what that peer could give away
        lies = here.get("audit", "--peer", there.host)
        assert [one["url"] for one in lies["listings"]] == [url]
        assert len(lies["conversations"]) == 1
        assert "ever spoke with" in here.refused("audit", "--peer", "nobody.example")

        # And when it is done both see it, and it is over
        here.get("response", "complete", got["id"], "--as", "amal")
        until(lambda: there.get("response", "list", "--as", "ben")[0]["state"] == "completed")
        assert here.get("listing", "show", made["id"])["state"] == "fulfilled"
        assert "it is fulfilled" in here.refused("listing", "fulfil", made["id"])


def test_staff_vouches_vets_reviews_and_is_held_to_it(tmp_path: Path) -> None:
    here = instance(tmp_path / "here")
    config = here.folder / "instance.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('review = "nothing"', 'review = "everything"', 1), encoding="utf-8")
    for name, role in (("amal", "helper"), ("editor", "moderator"), ("second", "admin")):
        here.get("user", "create", name, "--role", role)

    # Vouches: given, replaced, taken back
    given = here.get("vouch", "issue", "amal", "--level", "2", "--method", "in-person", "--as", "editor", "--reason", "we met")
    assert given.keys() >= {"id", "url", "about", "level", "method", "state", "issued", "expires", "given"}
    assert here.get("vouch", "issue", f"amal@{here.host}", "--level", "1", "--method", "video-call")["level"] == 1
    (standing,) = here.get("vouch", "list", "--about", "amal")
    assert "vet" in here.refused("vouch", "issue", "amal", "--level", "4", "--method", "documents")
    assert here.refused("vouch", "issue", "amal", "--level", "9", "--method", "documents", code=2)
    here.get("vouch", "revoke", standing["id"], "--reason", "a mistake")
    assert here.get("vouch", "list") == []
    assert len(here.get("vouch", "list", "--all")) == 2
    assert here.refused("vouch", "revoke", standing["url"])

    # Vetting: three steps, and a second person for level 4
    case = here.get("vet", "take", "amal", "--as", "editor")
    assert case["missing"] == ["look", "vettor", "evaluation"]
    assert "vet note" in here.refused("vet", "decide", case["id"], "--as", "editor", "--level", "4", "--method", "documents")
    for step in case["missing"]:
        here.get("vet", "note", case["id"], "--as", "editor", "--step", step, "--text", "-", typed="Nothing speaks against it.")
    assert here.get("vet", "decide", case["id"], "--as", "editor", "--level", "4", "--method", "documents")["state"] == "proposed"
    assert [one["state"] for one in here.get("vet", "list")] == ["proposed"]
    signed = here.get("vet", "decide", case["id"], "--as", "second", "--level", "4", "--method", "documents")
    assert (signed["state"], signed["level"]) == ("vouched", 4)
    assert here.get("vet", "list") == []

    # Review: held, refused with a reason, changed, let pass
    words = ["--as", "amal", "--kind", "request", "--title", "A lawyer", "--text", "Soon", "--category", "LegalAid"]
    held = here.get("listing", "post", *words, "--audience", "public")
    assert (held["state"], held["url"]) == ("held", None)
    assert [one["id"] for one in here.get("review", "list")] == [held["id"]]
    assert "neither moderator nor admin" in here.refused("review", "approve", held["id"], "--as", "amal")
    assert "--reason" in here.refused("review", "reject", held["id"], code=2)
    assert here.get("review", "reject", held["id"], "--reason", "Say more.", "--as", "editor")["state"] == "refused"
    assert here.get("listing", "edit", held["id"], "--text", "Who knows asylum law?")["state"] == "held"
    passed = here.get("review", "approve", held["id"], "--as", "editor")
    assert (passed["state"], passed["text"]) == ("open", "Who knows asylum law?")
    assert here.get("review", "list") == []
    assert here.refused("review", "approve", held["id"])

    # The end of it, by id and by URL
    assert here.get("listing", "withdraw", passed["url"])["state"] == "withdrawn"
    assert here.refused("listing", "withdraw", passed["id"])
    assert here.refused("listing", "post", *words[:-1], "Nonsense", code=2)
    error = here.refused("listing", "post", *words, "--audience", "public", "--title", "Call +49 170 1234567")
    assert "--publish-anyway" in error

    # And all of it is in the log, which holds
    log = here.get("audit", "--log")
    assert log["holds"] is True
    assert {"vouch.issue", "vouch.revoke", "vet.take", "vet.decide"} <= {one["action"] for one in log["entries"]}
    assert ("vouch.issue", "editor", "we met") in {(one["action"], one["staff"], one["reason"]) for one in log["entries"]}
    assert here.get("audit", "--log", "--head", log["head"])["found"] is True
    assert "NOT in the chain" in here.type("audit", "--log", "--head", "0" * 64)[2]
    columns = here.get("audit", "--self")
    assert {"table", "rows", "disk", "disk_and_key", "running"} <= columns["tables"][0].keys()
    assert "Say one of" in here.refused("audit", code=2)
