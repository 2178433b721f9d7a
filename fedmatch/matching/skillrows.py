"""Where do the rows of the skills come from? A file made once of their names in ten languages; with another model or taxonomy they are made anew, in memory.

`python -m fedmatch.matching.skillrows` writes the file, after the taxonomy or the model changed.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from schemas import vocabulary

if TYPE_CHECKING:
    from fedmatch.matching.semantic import Rows

FILE: Final = Path(__file__).with_name("skills.msgpack")


@dataclass(frozen=True, slots=True)
class _Stored:
    model: str
    digest: bytes
    codes: bytes


@cache
def texts() -> dict[str, str]:
    """What is embedded of each skill, by slug: its names in all languages, which found more than any one of them."""
    slugs = [skill.slug for field in vocabulary.TAXONOMY for skill in field.skills]
    return {slug: ", ".join(vocabulary.label(slug, language) for language in vocabulary.LANGUAGES) for slug in slugs}


def _digest() -> bytes:
    return hashlib.sha256("\n".join(f"{slug}\t{text}" for slug, text in texts().items()).encode()).digest()


def stored(model: str) -> "Rows | None":
    """The rows of the file, in the order of `texts`; None if it is of another model or taxonomy."""
    from fedmatch.matching import semantic

    try:
        found = msgspec.msgpack.decode(FILE.read_bytes(), type=_Stored)
    except (OSError, msgspec.DecodeError):
        return None
    if (found.model, found.digest) != (model, _digest()):
        return None
    import numpy as np

    return semantic.rows(np.frombuffer(found.codes, np.int8).reshape(-1, semantic.WIDTH).astype(np.float32))


def _write() -> None:
    from fedmatch.matching import semantic

    nano = semantic.nano()
    made = nano.embed(list(texts().values()), "query")
    FILE.write_bytes(msgspec.msgpack.encode(_Stored(nano.model, _digest(), made.codes.tobytes())))


if __name__ == "__main__":
    _write()
