"""Do scripts get what the command line promises about answers: names, options, JSON members, exit codes, also when it is killed?"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from fedmatch.cli.main import main


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Commands configure the logs of their process; the next test wants them as they were."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


def run(*words: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, words, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def ok(*words: str, stdin: str | None = None) -> Any:
    """The JSON of a command that succeeds."""
    result = run(*words, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


REQUEST = ("listing", "post", "--as", "alice", "--kind", "request", "--title", "A lawyer", "--text", "-", "--category", "LegalAid", "--audience", "public")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance with alice, bob and carol."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMATCH_CONFIG", raising=False)
    assert run("init", "--host", "localhost:18000", "--development").exit_code == 0
    for name in ("alice", "bob", "carol"):
        ok("user", "create", name)
    return tmp_path


def test_an_answer_from_the_first_word_to_the_last(house: Path) -> None:
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    sent = ok("respond", asked["url"], "--as", "bob", "--text", "-", stdin="I do.")
    assert {"id", "listing", "state", "from", "to", "text", "messages"} <= sent.keys()
    assert (sent["state"], sent["from"], sent["to"], sent["text"], sent["messages"]) == ("sent", "bob@localhost:18000", "alice@localhost:18000", "I do.", [])
    assert sent["listing"] == asked["url"]

    (listed,) = ok("response", "list", "--as", "alice", "--listing", asked["url"].replace("http://localhost", "HTTP://LocalHost."))
    assert listed["id"] == sent["id"]
    assert ok("response", "open", sent["url"], "--as", "alice")["state"] == "opened"
    assert ok("response", "accept", sent["id"], "--as", "alice")["state"] == "accepted"
    assert ok("listing", "show", asked["id"])["state"] == "matched"
    ok("message", sent["id"], "--as", "bob", "--text", "-", stdin="When?")
    said = ok("message", sent["id"], "--as", "alice", "--text", "At six.")
    assert [(one["from"], one["text"]) for one in said["messages"]] == [("bob@localhost:18000", "When?"), ("alice@localhost:18000", "At six.")]
    assert all(one["at"].endswith(":00:00Z") for one in said["messages"])
    assert ok("response", "complete", sent["id"], "--as", "alice")["state"] == "completed"
    ok("response", "feedback", sent["id"], "--as", "bob", "--text", "Well.")
    # The people who run the instance read it, nobody else, and not who said it
    assert ok("review", "feedback") == [{"response": sent["id"], "title": "A lawyer", "state": "completed", "text": "Well."}]
    assert run("review", "feedback", "--as", "alice").exit_code == 1
    # and who gave what to whom can look that up
    ok("message", sent["id"], "--as", "alice", "--share", "contact", "--text", "alice at home")
    (gave,) = ok("response", "shared", "--as", "alice")
    assert (gave["to"], gave["field"]) == ("bob@localhost:18000", "contact")
    assert ok("response", "shared", "--as", "bob") == []
    assert ok("response", "story", sent["id"], "--as", "bob", "--text", "It was told.") == {"text": "It was told.", "told": False, "credits": []}
    assert ok("listing", "show", asked["id"])["outcome"] == []
    assert ok("response", "story", sent["id"], "--as", "alice", "--credit", "Alice")["told"]
    # Told, it stands with the listing, until either takes that back
    assert ok("listing", "show", asked["id"])["outcome"] == [{"text": "It was told.", "credits": ["Alice"]}]
    assert "It was told. - Alice" in run("listing", "show", asked["id"]).stdout
    assert not ok("response", "story", sent["id"], "--as", "bob", "--withdraw")["told"]
    assert ok("listing", "show", asked["id"])["outcome"] == []
    assert run("response", "story", sent["id"], "--as", "bob", "--withdraw").exit_code == 1
    # What leads to somebody is asked about first
    asks = run("response", "story", sent["id"], "--as", "bob", "--text", "Write to bob@ngo.example.")
    assert asks.exit_code == 1
    assert "bob@ngo.example" in asks.stderr
    assert "--anyway" in asks.stderr
    assert not ok("response", "story", sent["id"], "--as", "bob", "--text", "Write to bob@ngo.example.", "--anyway")["told"]
    assert ok("response", "introduce", sent["id"], "--as", "bob") == []


def test_a_guest_is_shown_what_is_said_from_then_on_alone(house: Path) -> None:
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    sent = ok("respond", asked["url"], "--as", "bob", "--text", "I do, ask at my office.")["id"]
    ok("response", "accept", sent, "--as", "alice")
    (proposed,) = ok("response", "introduce", sent, "--as", "bob", "--to", "a judge", "--why", "She decides.")
    for side in ("alice", "bob"):
        ok("response", "admit", sent, "--as", side, "--guest", "carol")
    ok("message", sent, "--as", "carol", "--text", "I interpret.")
    (shown,) = ok("response", "list", "--as", "carol")
    assert (shown["text"], [one["text"] for one in shown["messages"]]) == ("", ["I interpret."])
    assert ok("response", "open", sent, "--as", "bob")["text"] == "I do, ask at my office."
    refused = run("response", "introduce", sent, "--as", "carol")
    assert (refused.exit_code, "between the two" in refused.stderr) == (1, True)
    assert "cannot be unseen" not in run("message", sent, "--as", "bob", "--text", "Good.").stderr
    for who, words in (("bob", ()), ("alice", ("is not in this conversation",))):
        shown_out = run("response", "admit", sent, "--as", who, "--guest", "carol", "--leave")
        assert (shown_out.exit_code, all(word in shown_out.stderr for word in words)) == (int(bool(words)), True)
    assert "cannot be unseen" in run("message", sent, "--as", "bob", "--share", "place", "--text", "The old bridge.").stderr
    assert ok("response", "introduce", sent, "--as", "alice", "--agree", proposed["id"])[0]["state"] == "agreed"
    assert ok("response", "introduce", sent, "--as", "bob", "--passed", proposed["id"])[0]["state"] == "passed"


def test_decline_withdraw_and_what_is_refused(house: Path) -> None:
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    bob = ok("respond", asked["id"], "--as", "bob", "--text", "I do.")
    again = run("respond", asked["id"], "--as", "bob", "--text", "I do.")
    assert (again.exit_code, "already" in again.stderr) == (1, True)
    declined = ok("response", "decline", bob["id"], "--as", "alice", "--kind", "fit", "--reason", "too far")
    assert (declined["state"], declined["reason"], declined["text"]) == ("declined", "fit: too far", "")
    carol = ok("respond", asked["id"], "--as", "carol", "--text", "I do, too.")
    stranger = run("response", "accept", carol["id"], "--as", "bob")
    assert (stranger.exit_code, "response list --as bob" in stranger.stderr) == (1, True)
    assert ok("response", "withdraw", carol["id"], "--as", "carol")["state"] == "withdrawn"
    late = run("response", "accept", carol["id"], "--as", "alice")
    assert (late.exit_code, "withdrawn cannot become accepted" in late.stderr) == (1, True)
    assert run("respond", "https://localhost:18000/posts/1", "--as", "bob", "--text", "x").exit_code == 1
    assert run("respond", asked["id"], "--as", "alice", "--text", "x").exit_code == 1


def test_an_answer_under_a_name_of_its_own(house: Path) -> None:
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    sent = ok("respond", asked["id"], "--as", "bob", "--text", "I do.", "--one-time")
    assert not sent["from"].startswith("bob@")
    (seen,) = ok("response", "list", "--as", "alice")
    assert "bob" not in json.dumps(seen)
    ok("response", "accept", sent["id"], "--as", "alice")
    ok("message", sent["id"], "--as", "alice", "--text", "Hello?")
    (mine,) = ok("response", "list", "--as", "bob")
    assert [one["text"] for one in mine["messages"]] == ["Hello?"]
    answered = ok("message", sent["id"], "--as", "bob", "--text", "Hello.")
    assert answered["messages"][-1]["from"] == sent["from"]


@pytest.mark.parametrize("point", ["write:before-commit", "write:after-commit"])
def test_killed_while_it_accepts_exactly_one_is_accepted(house: Path, point: str) -> None:
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    answers = [ok("respond", asked["id"], "--as", name, "--text", "I do.")["id"] for name in ("bob", "carol")]
    killed = 0
    for passage in range(1, 5):
        command = [sys.executable, "-m", "fedmatch", "response", "accept", answers[0], "--as", "alice"]
        done = subprocess.run(command, env={**os.environ, "FEDMATCH_CRASHPOINT": f"{point}#{passage}"}, capture_output=True, check=False)
        killed += done.returncode == -signal.SIGKILL
        states = [one["state"] for one in ok("response", "list", "--as", "alice")]
        accepted = states.count("accepted")
        assert ok("listing", "show", asked["id"])["state"] == ("matched" if accepted else "open"), "both, or neither"
    assert killed
    for answer in answers:
        run("response", "accept", answer, "--as", "alice")
    assert sorted(one["state"] for one in ok("response", "list", "--as", "alice")) == ["accepted", "sent"]


def test_what_is_over_is_said_plainly_and_who_is_blocked_is_shown_no_more(house: Path) -> None:
    asked = ok(*REQUEST, "--one-time", stdin="Who knows asylum law?")
    bob = ok("respond", asked["id"], "--as", "bob", "--text", "I do.")
    carol = ok("respond", asked["id"], "--as", "carol", "--text", "I do, too.")
    told = ok("notification", "list", "--as", "alice")
    assert {one["about"] for one in told if one["kind"] == "response.received"} == {bob["id"], carol["id"]}

    ok("block", "carol@localhost:18000", "--as", "alice")
    assert [one["id"] for one in ok("response", "list", "--as", "alice")] == [bob["id"]]
    hidden = run("response", "open", carol["url"], "--as", "alice")
    assert (hidden.exit_code, "there is no answer" in hidden.stderr) == (1, True)
    (hers,) = ok("response", "list", "--as", "carol")
    assert {key: hers[key] for key in carol if key != "messages"} == {key: carol[key] for key in carol if key != "messages"}
    ok("block", "carol@localhost:18000", "--as", "alice", "--undo")
    assert {one["id"] for one in ok("response", "list", "--as", "alice")} == {bob["id"], carol["id"]}

    ok("response", "accept", bob["url"], "--as", "alice")
    refused = run("response", "decline", bob["id"], "--as", "alice")
    assert (refused.exit_code, "response complete --failed" in refused.stderr) == (1, True)
    ok("response", "complete", bob["id"], "--as", "bob")
    for side, more in (("bob", ()), ("alice", ()), ("alice", ("--failed",))):
        again = run("response", "complete", bob["id"], "--as", side, *more)
        assert again.exit_code == 1
        assert "this answer is completed" in again.stderr
    assert ok("notification", "clear", "--as", "alice")["cleared"] > 0
    assert ok("notification", "list", "--as", "alice") == []


REACHABLE = "Write to bob@office.example."


def test_what_leads_to_whoever_answers_is_sent_only_if_it_is_meant(house: Path) -> None:
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    hidden = ("listing", "post", "--as", "bob", "--kind", "offer", "--title", "Law", "--category", "LegalAid", "--one-time", "--text", "-")
    ok(*hidden, stdin="I read the statutes of seven countries for you.")

    for one_time in ((), ("--one-time",)):
        refused = run("respond", asked["id"], "--as", "bob", "--text", REACHABLE, *one_time)
        assert refused.exit_code == 1
        assert "text: 'bob@office.example': An e-mail address" in refused.stderr
        assert "it was not sent: change what is named above, or add --send-anyway" in refused.stderr
    # Nor does one's own name repeat a pseudonym
    linked = run("respond", asked["id"], "--as", "bob", "--text", "I do: I read the statutes of seven countries.")
    assert (linked.exit_code, "another identity of yours" in linked.stderr) == (1, True)
    assert ok("response", "list", "--as", "bob") == []
    assert ok("respond", asked["id"], "--as", "bob", "--text", REACHABLE, "--send-anyway")["state"] == "sent"


def test_partners_under_their_own_names_hear_once_of_what_leads_to_them(house: Path) -> None:
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    sent = ok("respond", asked["id"], "--as", "bob", "--text", "I do.")["id"]
    ok("response", "accept", sent, "--as", "alice")

    first = run("message", sent, "--as", "bob", "--text", REACHABLE)
    again = run("message", sent, "--as", "bob", "--text", "Or to ben@office.example.")
    other = run("message", sent, "--as", "alice", "--text", "Write to alice@office.example.")

    assert [one.exit_code for one in (first, again, other)] == [0, 0, 0]
    assert "'bob@office.example': An e-mail address" in first.stderr
    assert "An e-mail" not in again.stderr
    assert "'alice@office.example': An e-mail address" in other.stderr
    assert len(ok("response", "open", sent, "--as", "alice")["messages"]) == 3


def test_a_pseudonym_says_nothing_that_leads_to_its_person_unless_it_is_meant(house: Path) -> None:
    # Given somebody who answers under a one-time identity, and offers something under their own name
    asked = ok(*REQUEST, stdin="Who knows asylum law?")
    offer = ("listing", "post", "--as", "bob", "--kind", "offer", "--title", "Law", "--category", "LegalAid", "--text", "-")
    ok(*offer, stdin="I read the statutes of seven countries for you.")
    sent = ok("respond", asked["id"], "--as", "bob", "--text", "I do.", "--one-time")["id"]
    ok("response", "accept", sent, "--as", "alice")

    for words, why in ((REACHABLE, "An e-mail address"), ("As said: I read the statutes of seven countries.", "another identity of yours")):
        refused = run("message", sent, "--as", "bob", "--text", words)
        assert refused.exit_code == 1
        assert why in refused.stderr
        assert "--send-anyway" in refused.stderr
    assert ok("response", "open", sent, "--as", "alice")["messages"] == []

    # What they share on purpose asks nothing, nor what they mean
    ok("message", sent, "--as", "bob", "--text", REACHABLE, "--send-anyway")
    assert len(ok("message", sent, "--as", "bob", "--text", REACHABLE, "--share", "contact")["messages"]) == 2
