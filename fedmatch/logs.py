"""What is written down about what happens? Configured here once; ids only: never content, addresses, tokens, or who helps whom."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

import structlog

from schemas.config import Config

MOST_PLACES: Final = 6


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


def bare(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """An exception as its class and the places it passed: its message and its variables may quote what somebody wrote."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-MOST_PLACES:]
        event["error"] = type(error).__name__
        event["at"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return event


def configure(config: Config, *, quiet: bool = False) -> None:
    """Sends every log line, ours and the libraries', to standard error in the configured format.

    `quiet` is for commands beside a server: errors only, for whoever types one can do nothing about a slow disk. No access log exists anywhere.
    Exceptions are told without their words and variables,
    except that development mode shows their words.
    """
    level = logging.ERROR if quiet else getattr(logging, config.log.level.upper())
    stream = Enduring(sys.stderr)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # structlog's own default shows every variable of every frame.
    plain = structlog.dev.plain_traceback
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if config.log.format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)
    )
    if config.development is None:
        tail: list[structlog.typing.Processor] = [bare, last]
    else:
        tail = [structlog.processors.format_exc_info, last] if config.log.format == "json" else [last]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),  # type: ignore[arg-type]  # a stream in all that is used of it
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    first = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[first, *tail]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    # An access log would write addresses down.
    for name in ("hypercorn.access", "uvicorn.access", "quart.serving"):
        logging.getLogger(name).disabled = True
