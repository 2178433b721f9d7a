"""Do scripts get what the command line promises: names, options, JSON members, exit codes?"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import structlog
from click.testing import CliRunner, Result

from fedmatch.cli.main import main

Type = Callable[..., Result]


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Commands configure the logs of their process; the next test wants them as they were."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDMATCH_CONFIG", raising=False)
    return tmp_path


def run(*words: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(main, words, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def ok(*words: str, stdin: str | bytes | None = None) -> Any:
    """The JSON of a command that succeeds."""
    result = run(*words, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def house(folder: Path) -> Path:
    """An instance with alice and bob."""
    assert run("init", "--host", "localhost:18000").exit_code == 0
    ok("user", "create", "alice")
    ok("user", "create", "bob")
    return folder


REQUEST = (
    "listing",
    "post",
    "--as",
    "alice",
    "--kind",
    "request",
    "--title",
    "A lawyer",
    "--text",
    "Who knows asylum law?",
    "--category",
    "LegalAid",
    "--audience",
    "public",
)


# -- the shape of every command --------------------------------------------------------------------------------------------------------------------


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_explains_itself_and_knows_config_and_json(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert "--config" in result.stdout
    assert "--json" in result.stdout


def test_the_promised_commands_are_there() -> None:
    promised = {
        *(("init",), ("serve",), ("work",), ("unlock",), ("status",), ("doctor",), ("follow",), ("post",), ("delete",), ("timeline",), ("deliveries",)),
        *(("user", name) for name in ("create", "list", "suspend", "delete", "token")),
        *(("listing", name) for name in ("post", "list", "show", "withdraw")),
    }
    assert promised <= {path for path, _ in commands()}


def test_help_is_quick_because_it_imports_no_server() -> None:
    code = "import sys, fedmatch.cli.main; print([name for name in ('quart', 'hypercorn', 'cryptography', 'aiohttp') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_wrong_use_is_2_and_failure_is_1_with_a_reason(house: Path) -> None:
    assert run("no-such-command").exit_code == 2
    assert run("post", "words").exit_code == 2
    assert run("post", "--as", "nobody").exit_code == 2
    assert run("post", "words", "--text", "words", "--as", "nobody").exit_code == 2
    failed = run("post", "words", "--as", "nobody")
    assert failed.exit_code == 1
    assert "user create nobody" in failed.stderr
    assert failed.stdout == ""


def test_config_stands_before_or_after_the_command_or_in_the_environment(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    file = str(house / "instance.toml")
    assert run("user", "list").exit_code == 1
    assert run("--config", file, "user", "list").exit_code == 0
    assert run("user", "--config", file, "list").exit_code == 0
    assert run("user", "list", "--config", file).exit_code == 0
    monkeypatch.setenv("FEDMATCH_CONFIG", file)
    assert run("user", "list").exit_code == 0
    monkeypatch.setenv("FEDMATCH_CONFIG", "/nowhere.toml")
    assert run("--config", file, "user", "list").exit_code == 0
    assert json.loads(run("--json", "user", "list", "--config", file).stdout)[0]["name"] == "alice"


def test_a_broken_config_names_line_and_cure(house: Path) -> None:
    path = house / "instance.toml"
    path.write_text(path.read_text().replace("per_host = 2", "per_hots = 2"))
    result = run("status")
    assert result.exit_code == 1
    assert "per_hots" in result.stderr
    assert "line" in result.stderr
    assert "per_host" in result.stderr


# -- init ------------------------------------------------------------------------------------------------------------------------------------------


def test_init_writes_the_file_and_its_data_beside_it(folder: Path) -> None:
    made = ok("--config", "a/b.toml", "init", "--host", "localhost:18000")
    assert made["development"] is True
    assert made["base_url"] == "http://localhost:18000"
    assert (folder / "a" / "b.toml").exists()
    assert (folder / "a" / "data" / "fedmatch.db").exists()
    assert (folder / "a" / "data").stat().st_mode & 0o077 == 0


def test_init_never_overwrites(house: Path) -> None:
    before = (house / "instance.toml").read_text()
    result = run("init", "--host", "localhost:9")
    assert result.exit_code == 1
    assert "already there" in result.stderr
    assert (house / "instance.toml").read_text() == before


def test_development_and_a_public_name_are_refused_and_leave_no_file(folder: Path) -> None:
    result = run("init", "--host", "help.example.org", "--development")
    assert result.exit_code == 1
    assert "development" in result.stderr
    assert not (folder / "instance.toml").exists()


def test_a_public_instance_begins_locked_and_unlock_chooses_the_passphrase(folder: Path) -> None:
    made = ok("init", "--host", "help.example.org")
    assert made["development"] is False
    assert made["base_url"] == "https://help.example.org"
    assert run("status").exit_code == 1
    assert run("unlock", stdin="short\n").exit_code == 1
    assert ok("unlock", stdin="five words make it strong\n") == {"unlocked": 0, "created": True}
    assert ok("status")["locked"] is True
    wrong = run("unlock", stdin="not the right passphrase\n")
    assert wrong.exit_code == 1
    assert "not the passphrase" in wrong.stderr
    nobody = run("unlock", stdin="five words make it strong\n")
    assert nobody.exit_code == 1
    assert "no process" in nobody.stderr
    # A locked instance still takes public words: they need no key until they leave.
    ok("user", "create", "alice")
    ok("post", "public words", "--as", "alice")


# -- people ----------------------------------------------------------------------------------------------------------------------------------------


def test_what_needs_an_open_vault_asks_before_it_writes(folder: Path) -> None:
    assert run("init", "--host", "fedmatch.example.org").exit_code == 0
    assert run("unlock", stdin="a long enough passphrase\n").exit_code == 0
    ok("user", "create", "alice")
    refused = run(*REQUEST)
    assert (refused.exit_code, "the vault is locked" in refused.stderr) == (1, True)
    # and nothing of it stays that a second try would double
    assert ok("status")["waits"]["review"] == 0


def test_people_are_created_listed_suspended_and_deleted(house: Path) -> None:
    made = ok("user", "create", "carol", "--locked")
    assert made == {"name": "carol", "handle": "carol@localhost:18000", "url": "http://localhost:18000/users/carol"}
    assert [(person["name"], person["state"], person["locked"]) for person in ok("user", "list")] == [
        ("alice", "active", False),
        ("bob", "active", False),
        ("carol", "active", True),
    ]
    ok("user", "suspend", "carol")
    assert run("post", "words", "--as", "carol").exit_code == 1
    ok("post", "words of bob", "--as", "bob")
    ok("user", "delete", "bob")
    assert ok("timeline", "public", "--as", "alice") == []
    again = run("user", "create", "bob")
    assert again.exit_code == 1
    assert "taken" in again.stderr


def test_whoever_was_suspended_may_speak_again_with_all_they_had(house: Path) -> None:
    ok("user", "role", "alice", "moderator")
    ok("post", "words of bob", "--as", "bob")
    for _ in range(2):
        assert ok("user", "suspend", "bob", "--as", "alice", "--reason", "spam")["state"] == "suspended"
    assert (run("post", "more", "--as", "bob").exit_code, ok("timeline", "public", "--as", "alice")) == (1, [])
    for _ in range(2):
        assert ok("user", "suspend", "bob", "--undo", "--reason", "a mistake") == {"name": "bob", "state": "active"}
    ok("post", "more", "--as", "bob")
    assert [one["text"] for one in ok("timeline", "public", "--as", "alice")] == ["more", "words of bob"]
    # Each stands once in the log of staff, and only who is staff decides
    assert run("user", "suspend", "alice", "--as", "bob").exit_code == 1
    done = [(one["staff"], one["action"], one["about"], one["reason"]) for one in ok("audit", "--log")["entries"]]
    assert done[1:] == [("alice", "user.suspend", "bob", "spam"), ("operator", "user.unsuspend", "bob", "a mistake")]


def test_roles_and_deletions_stand_in_the_log_of_staff(house: Path) -> None:
    ok("user", "role", "alice", "admin", "--reason", "she runs it")
    ok("user", "role", "alice", "admin")
    ok("user", "create", "carol", "--role", "moderator", "--as", "alice", "--reason", "she reviews")
    ok("user", "create", "dave")
    # Only who is staff decides, and what was refused is not done
    for words in (("role", "dave", "admin"), ("create", "eve", "--role", "admin"), ("delete", "dave")):
        assert run("user", *words, "--as", "bob").exit_code == 1
    assert [one["name"] for one in ok("user", "list")] == ["alice", "bob", "carol", "dave"]
    ok("user", "delete", "bob", "--as", "carol", "--reason", "bob asked for it")

    log = ok("audit", "--log")

    assert [(one["staff"], one["action"], one["about"], one["reason"]) for one in log["entries"]] == [
        ("operator", "user.role", "alice: helper to admin", "she runs it"),
        ("alice", "user.role", "carol: helper to moderator", "she reviews"),
        ("carol", "user.delete", "bob", "bob asked for it"),
    ]


def test_whoever_is_suspended_can_still_be_deleted(house: Path) -> None:
    assert ok("user", "suspend", "bob")["state"] == ok("user", "suspend", "bob")["state"] == "suspended"
    assert run("post", "words", "--as", "bob").exit_code == 1
    assert ok("user", "delete", "bob") == {"name": "bob", "state": "gone"}
    assert "bob is gone" in run("user", "suspend", "bob").stderr


def test_a_report_that_is_closed_says_how_to_open_it(house: Path) -> None:
    made = ok("report", "send", "bob", "--as", "alice", "--text", "rude")["id"]
    assert ok("report", "close", made)["state"] == "closed"
    assert f"`fedmatch report take {made} --undo` opens it again" in run("report", "close", made).stderr
    assert ok("report", "take", made, "--undo")["state"] == "open"


@pytest.mark.parametrize("name", ["", "a b", "x" * 31, "ünïcode", "../up", "admin"])
def test_a_name_nobody_can_have_is_a_failure_with_a_reason(house: Path, name: str) -> None:
    result = run("user", "create", name)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


def test_a_token_is_told_once(house: Path) -> None:
    made = ok("user", "token", "alice", "--scopes", "read write:statuses")
    assert len(made["token"]) > 40
    assert made["scopes"] == "read write:statuses"
    assert run("user", "token", "alice", "--scopes", "everything").exit_code == 2
    assert made["token"].encode() not in b"".join(path.read_bytes() for path in house.rglob("*") if path.is_file())


def test_a_follow_between_neighbours_is_accepted_at_once_unless_locked(house: Path) -> None:
    ok("user", "create", "carol", "--locked")
    assert ok("follow", "@bob@localhost:18000", "--as", "alice") == {"state": "accepted"}
    assert ok("follow", "bob", "--as", "alice") == {"state": "accepted"}
    assert ok("follow", "carol@localhost:18000", "--as", "alice") == {"state": "requested"}
    assert run("follow", "alice", "--as", "alice").exit_code == 1
    assert run("follow", "nobody@localhost:1", "--as", "alice").exit_code == 1
    assert run("follow", "not a handle", "--as", "alice").exit_code == 1


# -- words -----------------------------------------------------------------------------------------------------------------------------------------


def test_a_post_is_read_at_home_and_in_public_newest_first(house: Path) -> None:
    ok("follow", "bob", "--as", "alice")
    first = ok("post", "first <b>words</b> & more", "--as", "bob")
    second = ok("post", "--text", "-", "--as", "bob", "--reply-to", first["url"], stdin="سلام\n\nsecond\n")
    assert set(first) == {"id", "url"}
    assert first["url"].endswith(f"/posts/{first['id']}")
    home = ok("timeline", "home", "--as", "alice")
    assert [entry["url"] for entry in home] == [second["url"], first["url"]]
    assert set(home[0]) == {"url", "author", "text", "html", "published", "reply_to"}
    assert home[0]["text"] == "سلام\n\nsecond"
    assert home[0]["reply_to"] == first["url"]
    assert home[1]["text"] == "first <b>words</b> & more"
    assert "&lt;b&gt;" in home[1]["html"]
    assert home[1]["author"] == "bob@localhost:18000"
    assert home[1]["reply_to"] is None
    assert home[1]["published"].endswith("Z")
    assert ok("timeline", "public", "--as", "alice", "--limit", "1") == home[:1]


def test_a_direct_post_is_for_whom_it_names_and_rests_sealed(house: Path) -> None:
    ok("user", "create", "carol")
    ok("post", "only for your eyes CANARY", "--as", "alice", "--audience", "direct", "--to", "bob@localhost:18000")
    assert [entry["text"] for entry in ok("timeline", "home", "--as", "bob")] == ["only for your eyes CANARY"]
    assert ok("timeline", "home", "--as", "carol") == []
    assert ok("timeline", "public", "--as", "bob") == []
    assert not [path for path in house.rglob("*") if path.is_file() and b"CANARY" in path.read_bytes()]
    assert run("post", "to nobody", "--as", "alice", "--audience", "direct").exit_code == 1
    assert run("post", "for @nobody@localhost:1", "--as", "alice", "--audience", "direct").exit_code == 1


def test_what_others_wrote_is_liked_boosted_pinned_and_taken_back(house: Path) -> None:
    written = ok("post", "words", "--as", "alice")["url"]
    for command, word in (("like", "liked"), ("boost", "boosted")):
        assert ok(command, written, "--as", "bob") == {"url": written, word: True}
        assert ok(command, written, "--as", "bob", "--undo") == {"url": written, word: False}
    assert ok("pin", written, "--as", "alice") == {"url": written, "pinned": True}
    assert run("pin", written, "--as", "bob").exit_code == 1
    assert run("boost", ok("post", "ours", "--as", "alice", "--audience", "followers")["url"], "--as", "bob").exit_code == 1


def test_follows_end_and_blocks_keep_away(house: Path) -> None:
    ok("follow", "alice", "--as", "bob")
    ok("post", "before", "--as", "alice")
    assert ok("block", "bob", "--as", "alice") == {"handle": "bob@localhost:18000", "blocked": True}
    assert ok("timeline", "home", "--as", "bob") == []
    assert run("follow", "alice", "--as", "bob").exit_code == 1
    ok("block", "bob", "--as", "alice", "--undo")
    ok("follow", "alice", "--as", "bob")
    assert ok("unfollow", "alice", "--as", "bob") == {"handle": "alice@localhost:18000", "following": False}
    assert run("unfollow", "alice", "--as", "bob").exit_code == 1
    assert run("block", "alice", "--as", "alice").exit_code == 1


def test_somebody_moves_between_neighbours(house: Path) -> None:
    ok("user", "create", "carol")
    ok("follow", "alice", "--as", "carol")
    refused = run("move", "alice", "--to", "bob")
    assert refused.exit_code == 1
    assert "alsoKnownAs" in refused.stderr
    assert ok("move", "bob", "--from", "alice") == {"handle": "bob@localhost:18000", "from": "alice@localhost:18000"}
    assert ok("move", "alice", "--to", "bob") == {"handle": "alice@localhost:18000", "to": "bob@localhost:18000"}
    assert run("move", "alice", "--to", "bob").exit_code == 1
    assert run("follow", "alice", "--as", "carol").exit_code == 1
    assert run("move", "alice").exit_code == 2


def test_a_poll_needs_things_to_choose_from(house: Path) -> None:
    assert ok("post", "When?", "--as", "alice", "--option", "Monday", "--option", "Friday", "--multiple", "--days", "3")["url"]
    assert run("post", "When?", "--as", "alice", "--option", "Monday").exit_code == 1
    assert run("post", "When?", "--as", "alice", "--option", "x", "--option", "x").exit_code == 1
    assert run("post", "When?", "--as", "alice", "--option", "x", "--option", "y", "--days", "0").exit_code == 2


def test_followers_read_what_is_for_followers(house: Path) -> None:
    ok("follow", "alice", "--as", "bob")
    ok("user", "create", "carol")
    ok("post", "for my followers", "--as", "alice", "--audience", "followers")
    assert len(ok("timeline", "home", "--as", "bob")) == 1
    assert ok("timeline", "home", "--as", "carol") == []


def test_only_the_author_deletes(house: Path) -> None:
    url = ok("post", "words that go GONECANARY", "--as", "alice")["url"]
    assert run("delete", url, "--as", "bob").exit_code == 1
    assert run("delete", "http://localhost:18000/posts/1", "--as", "alice").exit_code == 1
    assert ok("delete", url, "--as", "alice") == {"url": url, "deleted": True}
    assert run("delete", url, "--as", "alice").exit_code == 1
    assert ok("timeline", "public", "--as", "alice") == []
    assert not [path for path in house.rglob("*") if path.is_file() and b"GONECANARY" in path.read_bytes()]


def test_standard_input_that_is_empty_or_no_text_is_wrong_use(house: Path) -> None:
    assert run("post", "-", "--as", "alice", stdin="  \n").exit_code == 2
    strange = run("post", "-", "--as", "alice", stdin=b"\xff\xfe")
    assert (strange.exit_code, "save the file as UTF-8" in strange.stderr) == (2, True)
    assert run("post", "x" * 10_001, "--as", "alice").exit_code == 1


def test_no_word_of_another_commands_the_terminal(house: Path) -> None:
    hostile = "\x1b]0;title\x07 \x9b2J \u202egnp"
    listed = f'#domain,#severity,#public_comment\nevil.example,suspend,"{hostile}\nother.example  trusted"\n'
    assert run("peers", "import", "-", stdin=listed).exit_code == 0
    shown = run("peers", "list").stdout
    assert not set("\x1b\x07\x9b\u202e") & set(shown)
    # and a line feed does not make one row of a table two
    assert [line.split()[0] for line in shown.splitlines()] == ["Mode:", "who", "evil.example"]
    told = run("peers", "list", "--json").stdout
    assert not set("\x1b\x07\x9b\u202e") & set(told)
    assert json.loads(told)[0]["reason"].startswith(hostile)
    # What is typed here has none of it in the first place: other servers refuse what holds control characters
    ok("post", f"fine {hostile}\r\nwords", "--as", "alice")
    assert ok("timeline", "public", "--as", "alice")[0]["text"] == "fine ]0;title 2J gnp\nwords"
    assert ok("peers", "block", "ill.example", "--reason", hostile)["reason"] == "]0;title 2J gnp"
    assert not set("\x1b\x07\x9b\u202e") & set(run("listing", "show", hostile).stderr)


def test_no_line_of_a_text_passes_for_another_field(house: Path) -> None:
    made = ok(*(one if one != "Who knows asylum law?" else "Who helps?\nstate:      fulfilled" for one in REQUEST))
    assert [line for line in run("listing", "show", made["id"]).stdout.splitlines() if line.startswith("state:")] == ["state:      open"]


# -- requests and offers ---------------------------------------------------------------------------------------------------------------------------


def test_a_listing_has_the_promised_members(house: Path) -> None:
    more = ("--skill", "asylumlaw", "--speaks", "ar,en", "--region", "SY", "--urgency", "days", "--until", "2027-01-31", "--language", "en")
    made = ok(*REQUEST, *more)
    assert made == {
        "id": made["id"],
        "url": f"http://localhost:18000/posts/{made['id']}",
        "kind": "request",
        "state": "open",
        "title": "A lawyer",
        "text": "Who knows asylum law?",
        "language": "en",
        "categories": ["LegalAid"],
        "skills": ["AsylumLaw"],
        "speaks": ["ar", "en"],
        "region": "SY",
        "helper_region": None,
        "urgency": "days",
        "until": "2027-01-31T23:59:59Z",
        "expires": "2027-01-31T23:59:59Z",
        "capacity": None,
        "needs": [],
        "translations": [],
        "audience": "public",
        "author": "alice@localhost:18000",
        "origin": "localhost:18000",
        "vouches": [],
    }
    assert ok("listing", "list") == [made]
    assert ok("listing", "list", "--network") == [made]
    assert ok("listing", "show", made["id"]) == made | {"outcome": []}
    assert ok("listing", "show", made["url"]) == made | {"outcome": []}
    assert "A lawyer" in ok("timeline", "public", "--as", "bob")[0]["text"]


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--category", "LegalAit", "LegalAid"),
        ("--skill", "AsylumLow", "AsylumLaw"),
        ("--speaks", "klingonish", "speaks"),
        ("--region", "Atlantis", "region"),
        ("--until", "tomorrow", "until"),
        ("--until", "1999-01-01", "until"),
        ("--urgency", "now", "urgency"),
        ("--title", "", "title"),
        ("--title", "x" * 1000, "title"),
        ("--language", "not a language", "language"),
        ("--kind", "wish", "kind"),
    ],
)
def test_a_listing_that_cannot_be_says_which_field_and_the_cure(house: Path, option: str, value: str, says: str) -> None:
    result = run(*REQUEST, option, value)
    assert result.exit_code == 2
    assert says in result.stderr
    assert ok("listing", "list") == []


def test_a_listing_is_edited_and_withdrawn(house: Path) -> None:
    made = ok(*REQUEST, "--text", "-", stdin="Words from standard input.")
    assert made["text"] == "Words from standard input."
    changed = ok("listing", "edit", made["id"], "--text", "Other words.", "--urgency", "hours")
    assert changed == made | {"text": "Other words.", "urgency": "hours"}
    gone = ok("listing", "withdraw", made["url"])
    assert gone == changed | {"state": "withdrawn"}
    assert run("listing", "show", made["id"]).exit_code == 1
    assert run("listing", "withdraw", made["id"]).exit_code == 1
    assert ok("listing", "list") == []
    assert ok("timeline", "public", "--as", "bob") == []


# -- the house -------------------------------------------------------------------------------------------------------------------------------------


def test_status_counts(house: Path) -> None:
    ok("post", "words", "--as", "alice")
    ok(*REQUEST)
    status = ok("status")
    assert status == {
        "version": status["version"],
        "database": "sqlite",
        "locked": False,
        "processes": 0,
        "arrivals": {"waiting": 0, "done": 0, "failed": 0},
        "deliveries": {"waiting": 0, "sent": 0, "dead": 0},
        "actors": {"local": 2, "remote": 0},
        "notes": 2,
        "listings": 1,
        "held": {"follows": 0, "messages": 0},
        "reports": 0,
        "waits": {"review": 0, "answers": 0, "trust_lost": 0, "quarantined": 0, "sweep_late": status["waits"]["sweep_late"], "review_oldest": -1},
    }
    assert ok("deliveries") == []
    assert run("deliveries", "--state", "lost").exit_code == 2
    assert run("deliveries", "--host", "not a host").exit_code == 2


def test_the_doctor_finds_a_healthy_house_and_a_sick_one(house: Path) -> None:
    found = ok("doctor")
    assert found["ok"] is True
    assert all(set(check) == {"name", "ok", "detail", "cure"} for check in found["checks"])
    (house / "data").chmod(0o755)
    sick = run("doctor", "--json")
    assert sick.exit_code == 1
    wrong = [check for check in json.loads(sick.stdout)["checks"] if not check["ok"]]
    assert [check["name"] for check in wrong] == ["folder"]
    assert "chmod 700" in wrong[0]["cure"]
    (house / "data" / "fedmatch.db").write_bytes(b"rubbish" * 1000)
    assert "database" in [check["name"] for check in json.loads(run("doctor", "--json").stdout)["checks"] if not check["ok"]]


# -- real processes --------------------------------------------------------------------------------------------------------------------------------


def start(folder: Path, *words: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fedmatch", "--config", str(folder / "instance.toml"), "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_serve_says_where_it_is_ends_on_sigterm_and_leaves_no_socket(house: Path) -> None:
    server = start(house, "serve", "--bind", "127.0.0.1:0")
    assert server.stdout is not None
    said = json.loads(server.stdout.readline())
    assert said["base_url"] == "http://localhost:18000"
    assert said["address"].startswith("http://127.0.0.1:")
    assert ok("status")["processes"] == 1
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=12)
    assert server.returncode == 0, errors
    assert "DEVELOPMENT MODE" in errors
    assert list((house / "data" / "run").glob("*.sock")) == []


def test_a_taken_port_is_a_sentence(house: Path) -> None:
    server = start(house, "serve", "--bind", "127.0.0.1:0")
    assert server.stdout is not None
    address = json.loads(server.stdout.readline())["address"].removeprefix("http://")
    second = start(house, "serve", "--bind", address)
    _, errors = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "cannot be listened on" in errors
    server.terminate()
    server.communicate(timeout=12)
    assert run("serve", "--bind", "everywhere").exit_code == 2


def test_unlock_opens_the_running_process(folder: Path) -> None:
    ok("init", "--host", "help.example.org")
    ok("unlock", stdin="five words make it strong\n")
    worker = start(folder, "work", stdin=subprocess.DEVNULL)
    assert worker.stdout is not None
    assert json.loads(worker.stdout.readline())["working"] is True
    assert ok("status")["locked"] is True
    assert run("unlock", stdin="something else entirely\n").exit_code == 1
    assert ok("status")["locked"] is True
    assert ok("unlock", stdin="five words make it strong\n") == {"unlocked": 1, "created": False}
    assert ok("status")["locked"] is False
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=12)
    assert worker.returncode == 0


def test_a_reader_of_the_output_that_goes_away_stops_nothing(house: Path) -> None:
    server = start(house, "serve", "--bind", "127.0.0.1:0")
    assert server.stdout is not None
    assert server.stderr is not None
    server.stdout.readline()
    server.stdout.close()
    server.stderr.close()
    ok("post", "words while nobody reads the log", "--as", "alice")
    ok("user", "create", "carol")
    assert ok("status")["processes"] == 1
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait(timeout=12) == 0


def test_a_server_starts_where_nobody_listens_to_it(house: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "fedmatch", "--config", str(house / "instance.toml"), "serve", "--bind", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=writing, stderr=writing)
    os.close(writing)
    until(lambda: ok("status")["processes"] == 1)
    server.terminate()
    assert server.wait(timeout=12) == 0
