"""What is written down about what happens? Configured here once; ids only: never content, addresses, tokens, or who helps whom."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog

from schemas.config import Config


class Enduring:
    """A stream that outlives its reader: when nobody listens any more (EPIPE), lines are dropped and serving goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            # What the dead stream still holds would raise again when the interpreter flushes it at exit.
            with _ignored(), open(os.devnull, "w", encoding="utf-8") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())

    def isatty(self) -> bool:
        return not self._stream.closed and self._stream.isatty()


@contextmanager
def _ignored() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):
        return


def configure(config: Config, *, quiet: bool = False) -> None:
    """Sends every log line, ours and the libraries', to standard error in the configured format.

    `quiet` is for commands beside a server: warnings and worse only. No access log exists anywhere.
    """
    level = logging.WARNING if quiet else getattr(logging, config.log.level.upper())
    stream = Enduring(sys.stderr)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if config.log.format == "json" else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    tail: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, renderer] if config.log.format == "json" else [renderer]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),  # type: ignore[arg-type]  # a stream in all that is used of it
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    bare = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[bare, *tail]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    # An access log would write addresses down, and hypercorn's own says nothing the start does not say.
    for name in ("hypercorn.access", "uvicorn.access", "quart.serving"):
        logging.getLogger(name).disabled = True
