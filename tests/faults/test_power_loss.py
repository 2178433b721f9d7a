"""Is what we acknowledged still there after the power went, the process was killed, or the disk said no?

The power loss is a replay: every write and fsync of a real program is recorded with strace; then the files are rebuilt as they may lie on the disk when
the power goes at some point. What was fsynced is there; of what was not, each write is there, or not, or in part (by sectors of 512 bytes).
"""

import asyncio
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedmatch.database import sqlite_file
from tests.nursery import Nursery
from tests.programs import migrated

SECTOR = 512
ROOT = Path(__file__).parents[2]


# --- the recording


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Unlink:
    file: str


@dataclass(frozen=True, slots=True)
class Synced:
    file: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    number: int


Event = Write | Truncate | Unlink | Synced | Acknowledged
LINE = re.compile(r'^(\d+) +(\w+)\((?:\d+<([^>]*)>)?(?:, )?(?:"([^"]*)")?(?:, )?(\d+)?(?:, (\d+))?')
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>.*= (-?\d+)")


def _unhexed(text: str | None) -> bytes:
    return bytes.fromhex((text or "").replace("\\x", ""))


def _events(trace: Path) -> Iterator[Event]:
    """What happened, in order: a write counts from when it was asked for, an fsync from when it had returned."""
    syncing: dict[str, str] = {}
    with open(trace, encoding="ascii") as lines:
        for line in lines:
            if (ended := RESUMED.match(line)) and ended[1] in syncing and ended[2] in ("fsync", "fdatasync"):
                file = syncing.pop(ended[1])
                if ended[3] == "0":
                    yield Synced(file)
            if not (call := LINE.match(line)):
                continue
            file = Path(_unhexed(call[3]).decode()).name
            match call[2]:
                case "pwrite64" if not file.endswith("-shm"):
                    yield Write(file, int(call[6]), _unhexed(call[4]))
                case "write" if file == "acknowledged" and (said := _unhexed(call[4]).strip()).isdigit():
                    yield Acknowledged(int(said))
                case "ftruncate" if not file.endswith("-shm"):
                    yield Truncate(file, int(call[5]))
                case "unlink":
                    yield Unlink(Path(_unhexed(call[4]).decode()).name)
                case "fsync" | "fdatasync" if "unfinished" in line:
                    syncing[call[1]] = file
                case "fsync" | "fdatasync" if line.rstrip().endswith("= 0"):
                    yield Synced(file)


def _strace(*arguments: str) -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace (or your system's package), then run this again")
    return ["strace", "-f", "-q", "-y", "-xx", "-s", "1000000", "-e", "signal=none", *arguments]


def _leave_marks(folder: Path, *, strace: list[str], many: int, at_once: int, pragma: str = "") -> None:
    arguments = [str(folder / "fedmatch.db"), str(folder / "acknowledged"), "1", str(many), str(at_once), pragma]
    program = f"from tests.programs import marks; marks(*{arguments!r})"
    done = subprocess.run([*strace, sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if "ptrace" in done.stderr and done.returncode:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


def _record(folder: Path, *, many: int, at_once: int, pragma: str) -> list[Event]:
    trace = folder / "trace"
    calls = "trace=pwrite64,write,fsync,fdatasync,ftruncate,unlink"
    _leave_marks(folder, strace=_strace("--seccomp-bpf", "-e", calls, "-o", str(trace)), many=many, at_once=at_once, pragma=pragma)
    return list(_events(trace))


# --- the replay


@dataclass(slots=True)
class File:
    """What is certainly on the disk, and what only may be."""

    certain: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate | Unlink] = field(default_factory=list)

    def sync(self) -> None:
        for event in self.pending:
            _apply(self.certain, event)
        self.pending.clear()

    def after_the_cut(self, chance: random.Random) -> bytearray:
        kept = bytearray(self.certain)
        fate = chance.random()  # nothing of it, all of it, or anything between
        for event in self.pending:
            if fate < 0.2 or (fate > 0.4 and chance.random() < 0.5):
                continue
            if isinstance(event, Write) and fate > 0.4 and chance.random() < 0.3:
                for at in range(0, len(event.data), SECTOR):
                    if chance.random() < 0.5:
                        _apply(kept, Write(event.file, event.offset + at, event.data[at : at + SECTOR]))
            else:
                _apply(kept, event)
        return kept


def _apply(content: bytearray, event: Write | Truncate | Unlink) -> None:
    match event:
        case Write():
            content.extend(bytes(max(0, event.offset - len(content))))
            content[event.offset : event.offset + len(event.data)] = event.data
        case Truncate():
            content.extend(bytes(max(0, event.size - len(content))))
            del content[event.size :]
        case Unlink():
            content.clear()


@dataclass(frozen=True, slots=True)
class Loss:
    lost: int
    halved: int
    damaged: int


def _marks_of(path: Path) -> tuple[set[int], int, str, int]:
    """What the database says after the cut: marks, the counter, the integrity check, broken references."""
    connection = sqlite3.connect(path)
    try:
        marks = {row[0] for row in connection.execute("select host.id from host join peer on peer.host_id = host.id")}
        hosts = connection.execute("select count(*) from host").fetchone()[0]
        counter = connection.execute("select coalesce(max(value), 0) from generation where name = 'marks'").fetchone()[0]
        checked = connection.execute("pragma integrity_check").fetchone()[0]
        broken = len(connection.execute("pragma foreign_key_check").fetchall())
        return marks, counter if hosts == len(marks) else -1, checked, broken
    finally:
        connection.close()


def _cut_everywhere(base: bytes, events: list[Event], cuts: int, seed: int, folder: Path) -> Loss:
    chance = random.Random(seed)
    when = set(chance.sample(range(len(events)), min(cuts, len(events))))
    files = {"fedmatch.db": File(bytearray(base)), "fedmatch.db-wal": File()}
    acknowledged: set[int] = set()
    lost = halved = damaged = 0
    for number, event in enumerate(events):
        match event:
            case Acknowledged():
                acknowledged.add(event.number)
            case Synced():
                if event.file in files:
                    files[event.file].sync()
            case _:
                if event.file in files:
                    files[event.file].pending.append(event)
        if number not in when:
            continue
        folder.mkdir()
        for name, file in files.items():
            if content := file.after_the_cut(chance):
                (folder / name).write_bytes(content)
        sqlite_file._look_at_files(folder / "fedmatch.db")  # what a power cut leaves is not what we call damage
        try:
            marks, counter, checked, broken = _marks_of(folder / "fedmatch.db")
        except sqlite3.DatabaseError:
            damaged += 1
        else:
            lost += not acknowledged <= marks
            halved += counter != len(marks)
            damaged += checked != "ok" or broken != 0
        shutil.rmtree(folder)
    return Loss(lost, halved, damaged)


def _replay(tmp_path: Path, *, many: int, cuts: int, seed: int, pragma: str = "pragma wal_autocheckpoint = 150") -> Loss:
    folder = tmp_path / "recorded"
    folder.mkdir()
    migrated(str(folder / "fedmatch.db"))
    base = (folder / "fedmatch.db").read_bytes()
    events = _record(folder, many=many, at_once=4, pragma=pragma)
    assert sum(isinstance(event, Acknowledged) for event in events) == many
    assert sum(isinstance(event, Write) and event.file == "fedmatch.db" for event in events) > 50  # checkpoints too are in the recording
    return _cut_everywhere(base, events, cuts, seed, tmp_path / "cut")


def test_whenever_the_power_goes_what_was_acknowledged_is_there(tmp_path):
    assert _replay(tmp_path, many=300, cuts=150, seed=1) == Loss(lost=0, halved=0, damaged=0)


def test_the_replay_would_notice_a_commit_without_fsync(tmp_path):
    loss = _replay(tmp_path, many=200, cuts=60, seed=2, pragma="pragma synchronous = normal")
    assert loss.lost > 20
    assert (loss.halved, loss.damaged) == (0, 0)  # WAL keeps its shape even so


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_whenever_the_power_goes_for_long(tmp_path, seed):
    assert _replay(tmp_path, many=1000, cuts=500, seed=100 + seed) == Loss(lost=0, halved=0, damaged=0)


# --- killed, and refused by the disk


def _said(acknowledged: Path) -> tuple[set[int], set[int]]:
    """What was acknowledged, and what was refused. The last line may be cut."""
    lines = acknowledged.read_text().split("\n")[:-1] if acknowledged.exists() else []
    return {int(line) for line in lines if line.isdigit()}, {int(line[3:]) for line in lines if line.startswith("no ")}


def _kill_rounds(folder: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    path, acknowledged = folder / "fedmatch.db", folder / "acknowledged"
    migrated(str(path))
    everything = 0
    with Nursery("tests.programs") as nursery:
        for number in range(rounds):
            point = chance.choice(["", "", f"write:before-commit#{chance.randint(2, 40)}", f"write:after-commit#{chance.randint(2, 40)}"])
            pid = nursery.start("tests.programs:marks", path, acknowledged, number * 1_000_000 + 1, 100_000, 8, crashpoint=point)
            if not point:
                before = acknowledged.stat().st_size if acknowledged.exists() else 0
                while (acknowledged.stat().st_size if acknowledged.exists() else 0) == before:
                    time.sleep(0.002)
                time.sleep(chance.random() * 0.1)
                subprocess.run(["kill", "-9", str(pid)], check=True)
            assert nursery.wait(pid) == -9
            marks, counter, checked, broken = _marks_of(path)
            yes, no = _said(acknowledged)
            assert yes <= marks, "acknowledged and lost"
            assert not no
            assert counter == len(marks), "half a transaction"
            assert (checked, broken) == ("ok", 0)
            everything = len(yes)
    assert everything > rounds


def test_killed_again_and_again_it_loses_nothing(tmp_path):
    _kill_rounds(tmp_path, rounds=30, seed=3)


async def test_killed_on_postgresql_it_loses_nothing_either(postgresql_database, tmp_path):
    database = postgresql_database
    chance = random.Random(5)

    async def look(tx):
        marks = {row["id"] for row in await tx.all("select host.id from host join peer on peer.host_id = host.id")}
        counter = await tx.one("select generation.value from generation where generation.name = 'marks'")
        return marks, counter["value"] if counter is not None else 0

    with Nursery("tests.programs") as nursery:
        for number in range(8):
            point = f"write:{chance.choice(['before', 'after'])}-commit#{chance.randint(2, 20)}"
            pid = nursery.start("tests.programs:marks", database._url, tmp_path / "acknowledged", number * 1_000_000 + 1, 100_000, 8, crashpoint=point)
            assert await asyncio.to_thread(nursery.wait, pid) == -9
            marks, counter = await database.read(look)
            yes, no = _said(tmp_path / "acknowledged")
            assert yes <= marks
            assert not no
            assert counter == len(marks)
    assert len(yes) > 8


@pytest.mark.soak
@pytest.mark.parametrize("part", range(1, 6))
def test_killed_a_thousand_times_it_loses_nothing(tmp_path, part):
    _kill_rounds(tmp_path, rounds=200, seed=40 + part)


@pytest.mark.parametrize(
    "fault", ["fdatasync:error=EIO:when=9+5", "fdatasync:error=ENOSPC:when=9+7", "pwrite64:error=ENOSPC:when=60+45", "pwrite64:error=EIO:when=60+61"]
)
def test_when_the_disk_says_no_nothing_refused_is_acknowledged(tmp_path, fault):
    migrated(str(tmp_path / "fedmatch.db"))
    strace = _strace("-o", str(tmp_path / "trace"), "-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}")
    _leave_marks(tmp_path, strace=strace, many=300, at_once=4)
    marks, counter, checked, broken = _marks_of(tmp_path / "fedmatch.db")
    yes, no = _said(tmp_path / "acknowledged")
    assert len(yes) + len(no) == 300
    # The fault was felt. A batch that failed together is written again one by one, so whether anybody was refused is the moment's chance.
    assert "(INJECTED)" in (tmp_path / "trace").read_text(errors="replace")
    assert len(yes) > 100  # and what came after it worked again, without a restart
    assert yes == marks
    assert (counter, checked, broken) == (len(marks), "ok", 0)
