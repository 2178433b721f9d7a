"""What does a document say that uses other words than ours? JSON-LD expansion and compaction, kept away from everything else.

The plain terms are read without it (schemas/activities.py). Only a document that writes full IRIs or prefixes of its own comes here, only in the worker, and
never to be signed or normalised: PyLD runs in a process with bundled contexts, 256 MB and one second, which is killed when that is not enough.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from schemas import agreements, documents
from schemas.reading import Document, Unreadable

TIME_S: Final = 1.0
START_S: Final = 20.0
"""Starting Python and PyLD takes 0.3 s, and longer on a busy machine; it is not the document's doing and not counted against it."""
MOST_TERMS: Final = 200
MOST_BYTES: Final = 64 * 1024
MOST_NODES: Final = 2000
_REFUSED: Final = frozenset({"@import", "@graph", "@included", "@reverse", "@nest"})
"""What lets one document say two things, or pull in others."""

PLAIN_CONTEXT: Final[list[Any]] = [documents.AS, documents.SECURITY, documents.LISTING_TERMS | agreements.TERMS | documents.ACTOR_TERMS]
"""The terms that `schemas.activities.parse` reads."""


def expand(document: Document) -> list[Document]:
    """The expanded form of `document`. Blocks for about half a second: call it in a thread of the worker.

    Raises `Unreadable` for a context that is not bundled, more than 200 context terms, 2,000 nodes or 64 KiB, words that restructure a document (@graph,
    @reverse, ...), and for whatever PyLD cannot read within its second and its memory.
    """
    found: list[Document] = _ask({"document": _bounded(document)})
    return found


def plain(document: Document) -> Document:
    """`document` in the plain terms that `schemas.activities.parse` reads, whatever prefixes or IRIs it used; limits and errors as `expand`."""
    found: Document = _ask({"document": _bounded(document), "context": PLAIN_CONTEXT})
    return found


def _bounded(document: Document) -> Document:
    if len(json.dumps(document, separators=(",", ":"))) > MOST_BYTES:
        raise Unreadable("document", f"is larger than {MOST_BYTES} bytes, too large for JSON-LD")
    terms = nodes = 0
    for name, value in _members(document):
        nodes += 1
        if name in _REFUSED:
            raise Unreadable(name, "is not taken")
        if name == "@context":
            terms += sum(len(context) for context in (value if isinstance(value, list) else [value]) if isinstance(context, dict))
    if terms > MOST_TERMS:
        raise Unreadable("@context", f"defines more than {MOST_TERMS} terms")
    if nodes > MOST_NODES:
        raise Unreadable("document", f"has more than {MOST_NODES} members")
    return document


def _members(document: Document) -> Iterator[tuple[str, Any]]:
    """Every member at every depth; the strict gate bounds the depth."""
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _ask(request: Document) -> Any:
    """The child's answer to one request; it lives for this one only."""
    child = subprocess.Popen(  # noqa: S603  # our own file, in our own interpreter
        [sys.executable, "-I", str(Path(__file__).with_name("jsonld_child.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={},
        close_fds=True,
    )
    with child:
        if child.stdout is None:
            raise RuntimeError("a child without a pipe")
        guard = threading.Timer(START_S, child.kill)
        guard.start()
        ready = child.stdout.readline()
        guard.cancel()
        try:
            if ready != b"ready\n":
                raise Unreadable("document", "could not be read as JSON-LD: the reader did not start")
            text, _ = child.communicate(json.dumps(request).encode(), timeout=TIME_S)
        except subprocess.TimeoutExpired:
            raise Unreadable("document", f"takes JSON-LD longer than {TIME_S:.0f} s") from None
        finally:
            child.kill()
    try:
        answer = json.loads(text)
    except ValueError:
        raise Unreadable("document", "needs more memory than JSON-LD gets") from None
    if "answer" not in answer:
        raise Unreadable("@context", f"cannot be read as JSON-LD ({answer['error']})")
    return answer["answer"]
