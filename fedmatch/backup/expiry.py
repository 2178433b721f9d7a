"""When does an automatic backup end? A week after it was taken its key is overwritten and removed, then the copy; so is a database that a restore set aside.

Whoever copied the file alone has nothing from then on. Whoever copied the key with it, or a disk that keeps old blocks, is beyond us.
"""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Final

import structlog

from fedmatch.backup import sealed, take
from schemas.config import Config
from schemas.crashpoint import crashpoint

log = structlog.get_logger()

KEPT_MS: Final = 7 * 24 * 3600 * 1000
ASIDE: Final = "set-aside-"


async def expire(config: Config, now_ms: int) -> int:
    """Destroys what is older than a week; how many files and folders."""
    gone = await asyncio.to_thread(_expire, config, now_ms - KEPT_MS)
    if config.database.url != "sqlite":
        from fedmatch.backup import postgresql

        gone += await postgresql.drop_aside(config.database.url, now_ms - KEPT_MS)
    if gone:
        log.info("backup.expired", number=gone)
    return gone


def _expire(config: Config, before_ms: int) -> int:
    gone = 0
    for key in sorted(take.folder(config).glob("before-*.key")):
        if _older(key, before_ms):
            _overwrite(key)
            crashpoint("backup:key-overwritten")
            key.unlink(missing_ok=True)
            crashpoint("backup:key-gone")
            gone += 1
    for path in sorted(take.folder(config).glob(f"before-*{take.SUFFIX}")):
        if not sealed.key_beside(path).exists():
            path.unlink(missing_ok=True)
    for aside in sorted(config.folder.glob(f"{ASIDE}*")):
        if aside.is_dir() and _older(aside, before_ms):
            for file in aside.iterdir():
                _overwrite(file)
            shutil.rmtree(aside, ignore_errors=True)
            gone += 1
    return gone


def _older(path: Path, before_ms: int) -> bool:
    return path.lstat().st_mtime_ns // 1_000_000 < before_ms


def _overwrite(path: Path) -> None:
    """Zeros over what it held, on the disk before the name goes."""
    if path.is_symlink() or not path.is_file():
        return
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())
