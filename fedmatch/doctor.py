"""What is wrong with this instance, and how is it cured? Every check says what it saw; none changes anything, and none needs the others to pass."""

import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actors.outbound import Fetched, Network
from actors.trust import Trust
from fedmatch import app, control, counts, disk, jobs
from fedmatch.backup import ledger, take
from fedmatch.board import readers
from fedmatch.database import migrate, text
from fedmatch.database.open import FILE_NAME, open_database
from fedmatch.matching import semantic
from fedmatch.safety import border
from schemas.config import Config, ConfigError
from schemas.config_file import load
from schemas.storage import Database, StorageError, Transaction

MOST_WAL: Final = 64 * 1024 * 1024
MOST_SHOWN: Final = 5
LATE_BACKUP_MS: Final = 7 * 24 * 3_600_000
MANY_UNNOTED: Final = 1000
LATE_SWEEP_MS: Final = 3 * 3_600_000
NEWEST_SANE_YEAR: Final = 2100
OLDEST_SANE_YEAR: Final = 2025


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `cure` is empty where there is nothing to do."""

    name: str
    ok: bool
    detail: str
    cure: str = ""

    def json(self) -> dict[str, str | bool]:
        """The form scripts read."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "cure": self.cure}


async def examine(path: Path) -> list[Check]:
    """Every check of the instance whose file lies at `path`; those that need a readable file are left out without one."""
    checks = [_python(), _packages(), _clock()]
    try:
        config = load(path)
    except ConfigError as error:
        return [*checks, Check("config", False, str(error), f"correct {path}, or make an instance with `fedmatch init`")]
    checks += [Check("config", True, f"{config.path} is complete"), _folder(config), _disk(config), _vault(config), _development(config), _matching(config)]
    checks += await _database(config)
    checks.append(await _reachable(config))
    return checks


def _python() -> Check:
    current = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", sys.version_info >= (3, 11), f"Python {current}", "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def _packages() -> Check:
    foreign = app.foreign_packages()
    if foreign:
        return Check(
            "packages",
            False,
            f"not fedmatch's own: {'; '.join(foreign)}",
            "run fedmatch in a virtual environment of its own, where nothing else has these names",
        )
    return Check("packages", True, f"all five lie in {Path(app.__file__).resolve().parent.parent}")


def _clock() -> Check:
    year = time.gmtime().tm_year  # the machine's own clock is what is examined here
    sane = OLDEST_SANE_YEAR <= year <= NEWEST_SANE_YEAR
    return Check(
        "clock", sane, f"it is the year {year}", "" if sane else "set the clock (timedatectl set-ntp true); signatures are refused when it is an hour off"
    )


def _folder(config: Config) -> Check:
    folder = config.folder
    if not folder.is_dir():
        return Check("folder", False, f"{folder} is not there", "`fedmatch serve` makes it; if it was there before, put it back")
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        return Check("folder", False, f"{folder} can be entered by other users of this machine (mode {mode:o})", f"chmod 700 {folder}")
    return Check("folder", True, f"{folder} is ours alone")


def _disk(config: Config) -> Check:
    room = disk.room(config)
    cure = "make room; a full disk stops arrivals (nothing is lost, others try again)"
    if (config.folder / disk.RESERVE).exists():
        cure += f"; when nothing can be written any more, not even a deletion, delete {config.folder / disk.RESERVE} first: it holds 50 MiB for that"
    return Check("disk", room.enough, f"{room.free // 2**20} MiB free, {room.used:.0%} used", "" if room.enough else cure)


def _wal(config: Config) -> Check:
    """The write-ahead log; looked at before the database is opened, for whoever closes it last empties it. It grows while a reader keeps an old snapshot."""
    try:
        size = (config.folder / f"{FILE_NAME}-wal").stat().st_size
    except FileNotFoundError:
        size = 0
    small = size <= MOST_WAL
    cure = "" if small else f"another program keeps {config.folder / FILE_NAME} open (fuser or lsof tells which): end it, or the disk fills up"
    return Check("wal", small, f"{size // 2**20} MiB wait to be moved into the database file", cure)


def _vault(config: Config) -> Check:
    match config.vault.source:
        case "passphrase":
            return Check("vault", True, "opens with a passphrase")
        case "credential":
            return Check("vault", True, f"opens with the credential {config.vault.credential}")
        case "file":
            cure = 'set [vault] source = "passphrase" or "credential"'
            if config.development is None:
                return Check("vault", False, "its key lies in a file: whoever takes the disk reads everything", cure)
            return Check("vault", True, "its key lies in a file, which is for development only")


def _development(config: Config) -> Check:
    if config.development is None:
        return Check("development", True, "off")
    return Check("development", True, f"ON for {config.host}: plain http and private networks are allowed; never with real people")


def _matching(config: Config) -> Check:
    """Whether meaning is compared across languages; without the extra matching works, by tags and words alone."""
    if config.matching.engine == "base":
        return Check("matching", True, "by tags and words: [matching] engine is base")
    if not semantic.installed():
        return Check("matching", True, "by tags and words; with the extra `semantic` also by meaning, across languages")
    try:
        semantic.probe()
    except semantic.Broken as error:
        cure = 'install the extra `semantic` again as locked, or set [matching] engine = "base"'
        return Check("matching", False, f"by tags and words, because the extra `semantic` does not work here: {error}", cure)
    return Check("matching", True, "by tags, words and meaning: the extra `semantic` works")


async def _database(config: Config) -> list[Check]:
    if config.database.url == "sqlite" and not (config.folder / FILE_NAME).exists():
        return [
            Check(
                "database",
                False,
                f"{config.folder / FILE_NAME} is not there",
                "`fedmatch serve` makes it; if it was there before, put it back or restore a backup",
            )
        ]
    waiting = [_wal(config)] if config.database.url == "sqlite" else []
    try:
        database = await open_database(config)
    except (StorageError, OSError, ImportError) as error:
        return [*waiting, Check("database", False, str(error), "see the message; `fedmatch doctor` tells when it is cured")]
    try:
        found = [*waiting, Check("database", True, f"{database.engine} opens and is whole")]
        if database.engine == "sqlite":
            found.append(await _pragmas(database))
        found.append(await _migrations(database))
        if found[-1].ok:
            found += [
                await _border(config, database),
                await _index(database),
                await _readers(database),
                *await _waits(database),
                *await _backups(config, database),
            ]
        return found
    except StorageError as error:
        return [Check("database", False, str(error), "see the message; `fedmatch doctor` tells when it is cured")]
    finally:
        await database.close()


PRAGMAS: Final = """
select journal_mode.journal_mode, foreign_keys.foreign_keys
from pragma_journal_mode as journal_mode
cross join pragma_foreign_keys as foreign_keys
"""


async def _pragmas(database: Database) -> Check:
    async def look(tx: Transaction) -> tuple[str, bool]:
        (row,) = await tx.all(PRAGMAS)
        return str(row["journal_mode"]), bool(row["foreign_keys"])

    journal, foreign_keys = await database.read(look)
    right = journal == "wal" and foreign_keys
    cure = "" if right else "another program changed the file; start fedmatch again"
    return Check("pragmas", right, f"journal_mode={journal}, foreign_keys={'on' if foreign_keys else 'off'}", cure)


async def _migrations(database: Database) -> Check:
    async def look(tx: Transaction) -> set[str]:
        return {str(row["name"]) for row in await tx.all(migrate.APPLIED)}

    known = [migration.name for migration in migrate.migrations()]
    done = await database.read(look)
    if missing := [name for name in known if name not in done]:
        return Check("migrations", False, f"{', '.join(missing)} not done", "`fedmatch serve` does them at its start")
    if newer := sorted(done.difference(known)):
        return Check("migrations", False, f"{', '.join(newer)} came from a newer fedmatch", "install that version again")
    return Check("migrations", True, f"all {len(known)} done")


async def _index(database: Database) -> Check:
    """Whether everything public is found by its words, and whether words of what was deleted still lie in the index."""
    found = await database.read(text.condition, database)
    if not found.made:
        return Check("search", True, "there is no index of words yet, or of an older version; the next start makes it")
    if found.unclean:
        return Check("search", False, "words of what was deleted lie in the index still", "a worker takes them out within a minute: start one")
    return Check("search", True, "the index of words is complete" if found.filled else "the index of words is being filled, newest first; it needs a worker")


async def _readers(database: Database) -> Check:
    """Whether a helper wanted to open more of what is not public than their share today."""
    excess = await database.read(readers.excess_on, int(time.time() * 1000))
    detail = f"{excess} wanted to open more than {readers.MOST_A_DAY} listings today that are not public" if excess else "nobody reads more than their share"
    return Check("readers", not excess, detail, "look at `fedmatch notification list --as` a moderator, and at who they are" if excess else "")


async def _waits(database: Database) -> list[Check]:
    """What people should decide is told and is no fault; lost trust, jobs set aside and a sweep that does not come are."""
    now = int(time.time() * 1000)
    found = await database.read(counts.waits, now)
    lost = Check(
        "trust",
        not found.lost,
        f"{found.lost} trusted peers lost their trust" if found.lost else "no peer lost its trust",
        "`fedmatch peers list` says which and why; compare the words anew with its admin, then `fedmatch peers trust`" if found.lost else "",
    )
    waiting = f"{found.review} listings wait for a review{_age(found.review_ms)}, {found.answers} answers for a decision for more than two days"
    asked = Check("waiting", True, waiting)
    bad = [f"{row['kind']}: {row['error'] or 'its process died'}" for row in await database.read(jobs.quarantined, MOST_SHOWN)]
    aside = Check(
        "jobs",
        not found.quarantined,
        f"{found.quarantined} jobs were set aside: {'; '.join(bad)}" if found.quarantined else "none was set aside",
        "the kind and the place of the error say what fails: report it; nothing else waits for them" if found.quarantined else "",
    )
    return [lost, asked, aside, _sweep(found.sweep_late_ms)]


def _age(oldest_ms: int | None) -> str:
    """How long the oldest of what waits has done so, as people say it; nothing where nothing waits."""
    if oldest_ms is None:
        return ""
    hours = oldest_ms // 3_600_000
    return f" (the oldest for {f'{hours // 24} days' if hours >= 48 else f'{hours} hours' if hours else 'less than an hour'})"


def _sweep(late_ms: int | None) -> Check:
    """Whether what is over is removed. An instance that is off is late as well: what should be gone lies on its disk."""
    if late_ms is None:
        return Check("retention", True, "no sweep was asked for yet; the first start of a worker does")
    if late_ms < LATE_SWEEP_MS:
        return Check("retention", True, "the sweep that removes what is over runs every hour, and is not late")
    hours = late_ms // 3_600_000
    return Check(
        "retention", False, f"what is over was not removed for {hours} hours", "start a worker (`fedmatch serve` or `fedmatch work`); it needs the vault open"
    )


async def _backups(config: Config, database: Database) -> list[Check]:
    """When the last backup was taken, and whether what ends is noted where no restore can bring it back."""
    now = int(time.time() * 1000)
    at, born = await database.read(take.last)
    detail = "no backup was ever taken" if at is None else f"the last backup was taken {max(0, now - at) // 3_600_000} hours ago"
    late = config.development is None and now - (at or born or now) > LATE_BACKUP_MS
    backup = Check("backup", not late, detail, "`fedmatch backup PATH` takes one while the instance runs; keep it on another machine" if late else "")
    waiting = await database.read(ledger.count)
    where = ledger.path_of(config)
    noted = waiting < MANY_UNNOTED
    cure = f"open the vault (`fedmatch unlock`), start a worker, and look whether {where} can be written" if not noted else ""
    return [backup, Check("ledger", noted, f"{waiting} endings wait to be noted in {where}", cure)]


async def _border(config: Config, database: Database) -> Check:
    """Nothing is wrong where somebody waits for an admin, but somebody should look."""
    rules = Trust(config.federation.mode)
    await rules.refresh(database)
    held = await database.read(border.held, rules)
    return Check("border", True, f"mode {rules.mode}; {held.text() or 'nothing waits for an admin'}")


async def _reachable(config: Config) -> Check:
    """Whether the instance answers where it says it does; only asked while a process of it runs on this machine."""
    if not await control.ask_all(config.folder, {"command": "ping"}):
        return Check("running", True, "nothing runs on this machine; `fedmatch serve` starts it")
    network = Network(config)
    try:
        answer = await network.get(f"{config.base_url}/healthz", headers={}, limit=1024, deadline_s=5)
    finally:
        await network.close()
    if isinstance(answer, Fetched) and answer.status == 200:
        return Check("running", True, f"answers at {config.base_url}")
    seen = f"status {answer.status}" if isinstance(answer, Fetched) else answer.why
    return Check(
        "running",
        False,
        f"a process runs, but {config.base_url} does not answer from here: {seen}",
        "look at the proxy in front, its certificate, the name server and [server] bind",
    )
