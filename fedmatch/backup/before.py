"""What if an upgrade turns out badly? Before a migration changes a database that is in use, an encrypted copy of it is taken.

The start may have nobody who types a passphrase, so this copy is sealed to the vault's public key and, together with that, to a key of its own that lies beside
it. A week later key and copy are destroyed (fedmatch/backup/expiry.py).
"""

import os
import time
from typing import Final

import structlog

from actors.vault import Vault, envelope_of
from fedmatch.backup import sealed
from fedmatch.backup import take as taking
from fedmatch.backup.take import CannotTake
from fedmatch.database.engine import Engine
from fedmatch.database.migrate import Migration
from fedmatch.ids import SystemClock
from schemas.config import Config

__all__ = ["CannotTake", "take"]

log = structlog.get_logger()

KEY: Final = 32


async def take(config: Config, database: Engine, migration: Migration) -> None:
    """Takes the copy; `migration` is the first that waits. Nothing where no vault was made yet. Raises `CannotTake`, and then nothing is migrated."""
    envelope = await database.read(envelope_of)
    if envelope is None:
        return
    now = SystemClock().ms()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now / 1000))
    path = taking.folder(config) / f"before-{migration.number:04}-{stamp}-{os.getpid()}{taking.SUFFIX}"
    beside, place = os.urandom(KEY), sealed.key_beside(path)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(beside)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CannotTake(f"the copy before an upgrade cannot be made, so nothing was upgraded: {error}; make room, then start again") from error
    try:
        taken = await taking.write(config, database, envelope, sealed.secret(Vault(envelope)), path, now, kind="automatic", beside=beside)
    except CannotTake as error:
        place.unlink(missing_ok=True)
        raise CannotTake(f"the copy before an upgrade cannot be made, so nothing was upgraded: {error}") from error
    log.info("backup.before_migration", migration=migration.name, path=str(path), rows=taken.rows, kept_days=7)
