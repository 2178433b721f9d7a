"""How full is the disk, and what is left to work with when it is full? Told before that happens, and a reserve that the operator can give up."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from fedmatch.board import notifications
from schemas.config import Config
from schemas.storage import Transaction

if TYPE_CHECKING:
    from actors.instance import Instance

log = structlog.get_logger()

LEAST_FREE: Final = 512 * 2**20
MOST_USED: Final = 0.9
RESERVE: Final = "reserve"
RESERVE_SIZE: Final = 50 * 2**20
"""Bytes. Enough for a write-ahead log in which a good deal can be deleted."""
RESERVE_FROM: Final = 2**30
"""On a disk with less than this free, the reserve would itself be what is missing."""


@dataclass(frozen=True, slots=True)
class Room:
    """`free` bytes that we may fill, and the share of the disk that is `used`; what only root may fill is of no use to us."""

    free: int
    used: float

    @property
    def enough(self) -> bool:
        """Whether nobody has to do anything about it yet: at least 512 MiB free, and at most 90 % used."""
        return self.free >= LEAST_FREE and self.used <= MOST_USED


def room(config: Config) -> Room:
    """How much room there is where this instance keeps its things."""
    total, _, free = shutil.disk_usage(config.folder if config.folder.is_dir() else config.path.parent)
    return Room(free, 1 - free / total)


def keep_reserve(folder: Path, *, size: int = RESERVE_SIZE, least_free: int = RESERVE_FROM) -> Path | None:
    """Takes up `size` bytes, which an operator frees by deleting the file when the disk is too full for a deletion to be written; None if it is not there.

    It is made only where more than `least_free` bytes are free, so that whoever gave it up gets it back when there is room again, and not before.
    """
    path = folder / RESERVE
    if path.exists():
        return path
    if shutil.disk_usage(folder).free <= least_free:
        return None
    try:
        with path.open("xb") as file:
            if sys.platform == "linux":
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                for _ in range(size // 2**20):
                    file.write(bytes(2**20))
    except OSError as error:
        path.unlink(missing_ok=True)
        log.info("no reserve was made on the disk", error=error.strerror)
        return None
    path.chmod(0o600)
    return path


async def look(instance: "Instance") -> None:
    """Tells the log and the staff that the disk fills up, before it is full."""
    found = room(instance.config)
    if found.enough:
        return
    log.warning("the disk fills up", free_mib=found.free // 2**20, used_percent=round(found.used * 100))
    await instance.database.write(_tell, instance)


async def _tell(tx: Transaction, instance: "Instance") -> None:
    await notifications.tell_staff(tx, instance, "disk.filling", instance.config.host)
