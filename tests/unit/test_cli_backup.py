"""Does somebody at the terminal get their instance back? Every path of `fedmatch backup` and `fedmatch restore`, as it is typed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_cli import folder, logs_as_before, ok, run

__all__ = ["folder", "logs_as_before"]


def post(title: str) -> str:
    said = ok("listing", "post", "--as", "alice", "--kind", "offer", "--title", title, "--text", "I know it.", "--category", "LegalAid", "--audience", "public")
    return str(said["id"])


def titles() -> set[str]:
    return {one["title"] for one in ok("listing", "list")}


def test_a_night_a_mistake_and_the_way_back(folder: Path) -> None:
    assert run("init", "--host", "localhost:18000").exit_code == 0
    ok("user", "create", "alice")
    stays, goes = post("Stays"), post("Goes")
    # A backup has a name of its own, or the one it is given, or one in a folder; what is there is not overwritten
    taken = ok("backup")
    assert set(taken) == {"path", "bytes", "rows", "milliseconds"}
    assert Path(taken["path"]).parent == folder / "data" / "backups"
    said = run("backup", "one.fedmatch")
    assert said.exit_code == 0
    assert "vault.key somewhere else again: nobody can open it without" in said.stdout
    again = run("backup", "one.fedmatch")
    assert (again.exit_code, "already there" in again.stderr) == (1, True)
    (folder / "elsewhere").mkdir()
    assert Path(ok("backup", "elsewhere")["path"]).parent == Path("elsewhere")
    # It can be looked at
    checked = ok("restore", "one.fedmatch", "--check")
    assert set(checked) == {"path", "host", "taken", "rows", "automatic"}
    assert (checked["host"], checked["rows"], checked["automatic"]) == ("localhost:18000", taken["rows"] + 1, False)
    assert "is whole" in run("restore", "one.fedmatch", "--check").stdout
    # What ended since does not come back
    ok("listing", "withdraw", goes)
    post("Lost")
    refused = run("restore", "one.fedmatch")
    assert (refused.exit_code, "--replace" in refused.stderr) == (1, True)
    done = ok("restore", "one.fedmatch", "--replace")
    assert set(done) == {"path", "host", "taken", "rows", "automatic", "set_aside", "ended"}
    assert done["ended"]["post"] == 1
    assert titles() == {"Stays"}
    assert ok("listing", "show", stays)["state"] == "open"
    # and the doctor knows of the last one
    checks = {one["name"]: one for one in json.loads(run("doctor", "--json").stdout)["checks"]}
    assert "taken 0 hours ago" in checks["backup"]["detail"] or "no backup" in checks["backup"]["detail"]
    assert checks["ledger"]["ok"]
    assert ok("audit", "--log")["entries"][-1]["action"] == "backup.restore"
    # Another machine: file, key and ledger are brought along
    there = folder / "there"
    (there / "data").mkdir(parents=True)
    shutil.copy("instance.toml", there / "instance.toml")
    config = ("--config", str(there / "instance.toml"))
    bare = run(*config, "restore", "one.fedmatch")
    assert (bare.exit_code, "vault.key is missing" in bare.stderr) == (1, True)
    shutil.copy("data/vault.key", there / "data" / "vault.key")
    forgetful = run(*config, "restore", "one.fedmatch")
    assert (forgetful.exit_code, "--without-ledger" in forgetful.stderr) == (1, True)
    assert run(*config, "restore", "one.fedmatch", "--ledger", "data/ledger", "--without-ledger").exit_code == 2
    assert run(*config, "restore", "nowhere.fedmatch").exit_code == 2
    lost = run(*config, "restore", "one.fedmatch", "--without-ledger")
    assert (lost.exit_code, "deleted, closed or revoked since the backup is back" in lost.stderr) == (0, True)
    assert {one["title"] for one in ok(*config, "listing", "list")} == {"Stays", "Goes"}
    assert run(*config, "restore", "one.fedmatch", "--replace", "--ledger", "data/ledger").exit_code == 0
    assert {one["title"] for one in ok(*config, "listing", "list")} == {"Stays"}
    (folder / "rubbish").write_text("rubbish")
    rubbish = run("restore", "rubbish", "--check")
    assert (rubbish.exit_code, "no backup of fedmatch" in rubbish.stderr) == (1, True)


def test_beside_a_server_it_needs_no_passphrase_and_nothing_is_restored(folder: Path) -> None:
    assert run("init", "--host", "localhost:18000").exit_code == 0
    path = folder / "instance.toml"
    path.write_text(path.read_text().replace('source = "file"', 'source = "passphrase"'))
    shutil.rmtree(folder / "data")
    assert run("unlock", stdin="correct horse battery\n").exit_code == 0
    locked = run("backup", "locked.fedmatch")
    assert (locked.exit_code, "the vault is locked" in locked.stderr) == (1, True)
    server = subprocess.Popen([sys.executable, "-m", "fedmatch", "serve", "--bind", "127.0.0.1:0", "--json"], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["host"] == "localhost:18000"
        assert run("unlock", stdin="correct horse battery\n").exit_code == 0
        assert run("backup", "one.fedmatch").exit_code == 0
        running = run("restore", "one.fedmatch", "--replace", stdin="correct horse battery\n")
        assert (running.exit_code, "stop `fedmatch serve`" in running.stderr) == (1, True)
    finally:
        server.terminate()
        server.communicate(timeout=20)
    wrong = run("restore", "one.fedmatch", "--replace", stdin="another one\n")
    assert (wrong.exit_code, "that passphrase does not open it" in wrong.stderr) == (1, True)
    assert run("restore", "one.fedmatch", "--replace", stdin="correct horse battery\n").exit_code == 0


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_it_says_what_it_does(command: str) -> None:
    assert "Usage: " in run(command, "--help").stdout
