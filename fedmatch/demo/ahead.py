"""How can a demonstration show what happens in three days? `python -m fedmatch.demo.ahead CONFIG HOURS` is `fedmatch serve` with a clock that is ahead."""

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedmatch import logs
from fedmatch.serve import serve_forever
from schemas import config_file


@dataclass(frozen=True, slots=True)
class Ahead:
    """The machine's clock, and some hours more."""

    hours: int

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC) + timedelta(hours=self.hours)

    def ms(self) -> int:
        """Milliseconds UTC since 1970."""
        return time.time_ns() // 1_000_000 + self.hours * 3_600_000


def main(path: Path, hours: int) -> None:
    """Serves the development instance at `path` until SIGTERM; refuses any other."""
    config = config_file.load(path)
    if config.development is None:
        sys.exit("only a development instance may live in another time")
    logs.configure(config)
    asyncio.run(serve_forever(config, passphrase=None, bind=None, worker=True, json=True, config_path=path, clock=Ahead(hours)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
