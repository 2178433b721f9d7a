"""Do the commands about trust say what they do, and refuse what cannot be?"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from fedmatch.cli.main import main
from tests.unit.test_peers import logs_as_before  # noqa: F401  # a fixture

MADE = 2
"""Entries of the log at the start: vera and ines were given their roles."""


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs_as_before: None) -> Iterator[Path]:  # noqa: F811  # the fixture itself
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMATCH_CONFIG", raising=False)
    names = (("amina",), ("vera", "--role", "moderator"), ("ines", "--role", "admin"))
    for words in (("init", "--host", "localhost:18001"), *(("user", "create", *one) for one in names)):
        assert run(*words).exit_code == 0
    yield tmp_path
    structlog.reset_defaults()


def run(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=given)


def ok(*words: str, given: str | None = None) -> Any:
    result = run(*words, "--json", given=given)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_somebody_is_vetted_by_two_and_vouched_for(typed: Path) -> None:
    case = ok("vet", "take", "amina", "--as", "vera")["id"]
    assert run("vet", "decide", case, "--as", "vera", "--level", "4", "--method", "in-person").exit_code == 1
    for step in ("look", "vettor", "evaluation"):
        noted = ok("vet", "note", case, "--as", "vera", "--step", step, "--text", "-", given="she is who she says")
    assert noted["missing"] == []
    assert ok("vet", "decide", case, "--as", "vera", "--level", "4", "--method", "in-person")["state"] == "proposed"
    assert run("vet", "decide", case, "--as", "vera", "--level", "4").exit_code == 1
    assert run("vet", "decide", case, "--as", "ines").exit_code == 2
    ended = ok("vet", "decide", case, "--as", "ines", "--level", "4")
    assert (ended["state"], ended["about"]) == ("vouched", "amina@localhost:18001")
    listed = ok("vouch", "list", "--about", "amina")
    assert [(one["url"], one["level"], one["method"], one["given"]) for one in listed] == [(ended["vouch"], 4, "in-person", [])]
    assert ok("vet", "list") == []
    assert [one["state"] for one in ok("vet", "list", "--all")] == ["vouched"]
    # By hand only lower ones
    assert run("vouch", "issue", "amina", "--level", "5", "--method", "documents").exit_code == 1
    low = ok("vouch", "issue", "amina", "--level", "1", "--method", "documents", "--as", "vera", "--reason", "new papers")
    assert (low["level"], low["state"]) == (1, "lowered")
    assert ok("vouch", "revoke", low["id"])["state"] == "revoked"
    assert run("vouch", "revoke", low["id"]).exit_code == 1
    assert ok("vouch", "list") == []
    assert len(ok("vouch", "list", "--all")) == 2
    # And all of it stands in the log
    log = ok("audit", "--log")
    assert log["holds"] is True
    assert [one["staff"] for one in log["entries"] if one["action"] == "vet.sign-off"] == ["ines"]
    assert ok("audit", "--log", "--head", log["head"])["found"] is True
    assert ok("audit", "--log", "--head", f" {log['head'].upper()}")["found"] is True
    cut = run("audit", "--log", "--head", "0" * 64)
    assert (cut.exit_code, cut.output.count("NOT in the chain")) == (1, 1)
    wrong = run("audit", "--log", "--head", log["head"][:-1])
    assert (wrong.exit_code, "a head is 64 hexadecimal digits" in wrong.stderr) == (2, True)
    assert "The chain holds" in run("audit", "--log").stdout
    # Names and reasons can be forgotten, the chain not
    assert ok("audit", "--log", "--shred-before", "2020-01-01")["shredded"] == 0
    after = ok("audit", "--log", "--shred-before", "2999-01-01", "--head", log["head"])
    assert (after["holds"], after["found"], after["shredded"]) == (True, True, len(log["entries"]))
    assert [(one["action"], one["staff"], one["about"]) for one in after["entries"]][-1] == ("log.shred", "operator", "2999-01-01")
    assert {one["staff"] for one in after["entries"][:-1]} == {None}
    assert run("audit", "--self", "--shred-before", "2020-01-01").exit_code == 2


def test_only_staff_vets_vouches_and_reviews(typed: Path) -> None:
    case = ok("vet", "take", "amina", "--as", "vera")["id"]
    made = ok("vouch", "issue", "ines", "--level", "1", "--method", "documents", "--as", "vera")
    for words in (
        ("vet", "take", "vera", "--as", "amina"),
        ("vet", "note", case, "--as", "amina", "--step", "look", "--text", "fine"),
        ("vet", "decide", case, "--as", "amina", "--level", "1", "--method", "documents"),
        ("vet", "decide", case, "--as", "amina", "--refuse"),
        ("vouch", "issue", "vera", "--level", "1", "--method", "documents", "--as", "amina"),
        ("vouch", "revoke", made["id"], "--as", "amina"),
        ("review", "approve", "1", "--as", "amina"),
        ("review", "reject", "1", "--reason", "no", "--as", "amina"),
    ):
        refused = run(*words)
        assert (refused.exit_code, "neither moderator nor admin" in refused.output) == (1, True), words
    own = run("vouch", "issue", "vera", "--level", "3", "--method", "documents", "--as", "vera")
    assert (own.exit_code, "nobody vouches for themselves" in own.output) == (1, True)
    assert [one["state"] for one in ok("vouch", "list")] == ["issued"]
    assert [(one["staff"], one["action"]) for one in ok("audit", "--log")["entries"][MADE:]] == [("vera", "vet.take"), ("vera", "vouch.issue")]


def test_what_reviewers_decide_stands_in_the_log(typed: Path) -> None:
    config = typed / "instance.toml"
    text = config.read_text()
    assert 'review = "nothing"' in text
    config.write_text(text.replace('review = "nothing"', 'review = "everything"'))
    words = ("--kind", "offer", "--title", "A lawyer", "--text", "Asylum law.", "--category", "LegalAid", "--speaks", "en", "--publish-anyway")
    first, second = (ok("listing", "post", "--as", "amina", *words)["id"] for _ in range(2))
    made = ok("review", "approve", first, "--as", "vera")
    ok("review", "reject", second, "--reason", "twice the same", "--as", "ines")
    log = ok("audit", "--log")
    assert log["holds"] is True
    assert [(one["staff"], one["action"], one["about"], one["reason"] or None) for one in log["entries"][MADE:]] == [
        ("vera", "review.approve", made["id"], None),
        ("ines", "review.reject", second, "twice the same"),
    ]


def test_what_this_machine_gives_away_has_three_columns(typed: Path) -> None:
    shown = run("audit", "--self").stdout
    assert all(head in shown for head in ("disk alone", "disk + key", "running machine", "actor_key"))
    form = ok("audit", "--self")
    keys = next(one for one in form["tables"] if one["table"] == "actor_key")
    assert keys["sealed"] == keys["rows"] >= 8
    assert form["vault"] == "file"


def test_what_cannot_be_is_refused(typed: Path) -> None:
    assert run("audit").exit_code == 2
    assert run("audit", "--self", "--log").exit_code == 2
    assert run("audit", "--self", "--head", "0").exit_code == 2
    assert "ever spoke" in run("audit", "--peer", "nobody.example").output
    assert "no host" in run("audit", "--peer", "no host").output
    for words in (("add", "localhost:18001"), ("add", "no host"), ("words", "nobody.example"), ("trust", "nobody.example"), ("remove", "nobody.example")):
        assert run("peers", *words).exit_code == 1
    assert run("peers", "trust", "x.example", "--vouches-count-up-to", "6").exit_code == 2
    assert "itself" in run("peers", "add", "localhost:18001").output
    for words in (("vouch", "revoke"), ("response", "accept", "--as", "vera"), ("listing", "show")):
        for name in ("nonsense", "9" * 23):
            refused = run(*words[:2], name, *words[2:])
            assert (refused.exit_code, name in refused.output, "` shows" in refused.output) == (1, True, True), (words, refused.output)


@pytest.mark.parametrize("number", ["abc", "9" * 19, "9" * 23, "9" * 5000, "٣"])
@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("vet", "note", "#", "--as", "vera", "--step", "look", "--text", "x"), "fedmatch vet list"),
        (("vet", "decide", "#", "--as", "vera", "--refuse"), "fedmatch vet list"),
        (("report", "show", "#"), "fedmatch report list"),
        (("report", "take", "#"), "fedmatch report list"),
        (("report", "close", "#"), "fedmatch report list"),
        (("review", "approve", "#"), "fedmatch review list"),
        (("review", "reject", "#", "--reason", "x"), "fedmatch review list"),
        (("suggestion", "dismiss", "#", "--as", "vera"), "fedmatch suggestion list"),
        (("response", "introduce", "1", "--as", "vera", "--agree", "#"), "fedmatch response introduce"),
    ],
)
def test_what_is_no_number_of_ours_names_nothing(words: tuple[str, ...], where: str, number: str) -> None:
    """Said before anything is opened, in the words and with the exit code of a number that nothing has."""
    refused = run(*(word.replace("#", number) for word in words))
    assert (refused.exit_code, "there is no " in refused.output, where in refused.output) == (1, True, True)
    assert number in refused.output


def test_lists_of_servers_come_and_go(typed: Path) -> None:
    text = "#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate\nbad.example,suspend,false,false,spam,false\n"
    assert ok("peers", "import", "-", given=text) == {"made": 1, "skipped": [], "unkept": []}
    assert run("peers", "export").stdout == text
    assert ok("peers", "export") == [{"host": "bad.example", "level": "blocked", "reason": "spam"}]
    assert run("peers", "export", "--allowed").stdout == "#domain\n"
    assert run("peers", "import", "-", given="#domain,#severity\nx.example,banish\n").exit_code == 1
    assert run("peers", "import", "missing.csv").exit_code == 1
    assert ok("peers", "remove", "bad.example") == {"host": "bad.example", "removed": True}
    assert ok("peers", "list") == []
    actions = [one["action"] for one in ok("audit", "--log")["entries"][MADE:]]
    assert actions == ["peer.level", "peer.remove"]


def test_whoever_signs_off_reads_what_was_noted(typed: Path) -> None:
    case = ok("vet", "take", "amina", "--as", "vera")["id"]
    ok("vet", "note", case, "--as", "vera", "--step", "look", "--text", "-", given="a page of hers\nand a talk")
    assert run("vet", "list").stdout.splitlines()[-2:] == [f"{case} look, vera: a page of hers", "      and a talk"]


def test_a_name_that_answers_nothing_gets_no_place_on_the_list(typed: Path) -> None:
    refused = run("peers", "add", "localhost:1")
    assert (refused.exit_code, "connection refused" in refused.output) == (1, True)
    assert ok("peers", "list") == []
    # who stood there before still does
    ok("peers", "block", "localhost:1")
    assert run("peers", "add", "localhost:1").exit_code == 1
    assert ok("peers", "allow", "localhost:1")["level"] == "known"
    assert run("peers", "add", "localhost:1").exit_code == 1
    assert [one["level"] for one in ok("peers", "list")] == ["known"]
    assert "write its name alone" in run("peers", "add", "https://ngo.example/about").output


def test_a_file_that_is_no_list_of_servers_decides_nothing(typed: Path) -> None:
    refused = run("peers", "import", "-", given="Dear all\n")
    assert (refused.exit_code, "line 2" in refused.output) == (1, True)
    assert "is no whole name of a server" in run("peers", "import", "-", given="garbage\n").output
    assert "missing.csv cannot be read: No such file" in run("peers", "import", "missing.csv").output
    assert ok("peers", "list") == []


def test_a_log_that_was_changed_by_hand_is_named(typed: Path) -> None:
    for number in range(3 - MADE):
        ok("peers", "block", f"bad{number}.example", "--reason", "spam")
    head = ok("audit", "--log")["head"]
    database = typed / "data" / "fedmatch.db"

    def after(*statements: str) -> Result:
        before = database.read_bytes()
        with sqlite3.connect(database) as disk:
            for statement in statements:
                assert disk.execute(statement).rowcount > 0
        disk.close()
        told = run("audit", "--log")
        database.write_bytes(before)
        return told

    show = f"insert into setting (name, value) values ('audit_head', '{head}')"
    assert after(show).exit_code == 0
    changed = after("update audit set action = 'peer.add' where id = 2")
    assert (changed.exit_code, "BROKEN at 2" in changed.output) == (1, True)
    assert "BROKEN at 3" in after("delete from audit where id = 2").output
    assert "The details of 3 are NOT" in after("update audit_detail set sealed = x'00' where audit_id = 3").output
    # What was cut off at its end is a chain still; but others were shown more of it
    assert "The chain was CUT" in after(show, "delete from audit where id = 3").output
    assert "The chain was CUT" in after(show, "delete from audit").output
    forgotten = after("delete from audit_detail where audit_id = 3")
    assert (forgotten.exit_code, "Of 1 nobody knows" in forgotten.output) == (0, True)
    assert run("audit", "--log").exit_code == 0


def test_the_columns_of_a_seizure_fit_a_terminal(typed: Path) -> None:
    assert max(len(line) for line in run("audit", "--self").stdout.splitlines()) <= 160
