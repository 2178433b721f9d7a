"""What is near to what, among up to some hundred thousand rows of int8? All of them are compared, in blocks that fit into the processor's cache.

Needs numpy, so only who has the extra `semantic` imports it. A model sets whole languages apart: two texts in one language are near whatever they say. So
besides the cosine as it is (raw) there is one with what a language has in common taken away (centred): the mean of its requests, or of its offers, as far as
there are enough of them (n / (n + 3)), and for the rest the mean of all languages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BLOCK: Final = 1024
"""Rows that are compared at once: as floats they are 1.5 MB. Four times as many took six times as long."""
SHRINK: Final = 3.0
WIDER: Final = 4
"""How many times more are looked at exactly than are wanted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: whose it is, of which kind and language, its numbers as bytes and what they are multiplied by so that its length is 1."""

    id: int
    kind: str
    language: str
    codes: bytes
    scale: float


@dataclass(slots=True)
class _Block:
    ids: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: Floats
    groups: NDArray[np.int16]


@dataclass(slots=True)
class _Kind:
    """All rows of one kind, and the sums of each language's."""

    width: int
    blocks: list[_Block] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    sums: list[NDArray[np.float64]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.place)

    def add(self, rows: Sequence[Row]) -> None:
        """Adds rows whose ids are not here yet, and are not twice among them."""
        codes = np.frombuffer(b"".join(row.codes for row in rows), np.int8).reshape(len(rows), self.width)
        scales = np.array([row.scale for row in rows], np.float32)
        groups = np.array([self._group(row.language) for row in rows], np.int16)
        for group in np.unique(groups).tolist():
            these = groups == group
            self.counts[group] += int(these.sum())
            self.sums[group] += (codes[these].astype(np.float64) * scales[these, None].astype(np.float64)).sum(axis=0)
        done = 0
        while done < len(rows):
            at = len(self.place)
            if at == len(self.blocks) * BLOCK:
                self.blocks.append(
                    _Block(np.zeros(BLOCK, np.int64), np.zeros((BLOCK, self.width), np.int8), np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.int16))
                )
            size = min(BLOCK - at % BLOCK, len(rows) - done)
            block, to, part = self.blocks[-1], slice(at % BLOCK, at % BLOCK + size), slice(done, done + size)
            block.ids[to] = [row.id for row in rows[part]]
            block.codes[to], block.scales[to], block.groups[to] = codes[part], scales[part], groups[part]
            self.place.update((row.id, at + place) for place, row in enumerate(rows[part]))
            done += size

    def _group(self, language: str) -> int:
        if language not in self.groups:
            self.groups[language] = len(self.sums)
            self.sums.append(np.zeros(self.width, np.float64))
            self.counts.append(0)
        return self.groups[language]

    def drop(self, id: int) -> None:
        at = self.place.pop(id, None)
        if at is None:
            return
        block, row = self.blocks[at // BLOCK], at % BLOCK
        self._forget(block, row)
        last = len(self.place)
        end, tail = self.blocks[last // BLOCK], last % BLOCK
        if last != at:  # the last one moves into the gap
            moved = int(end.ids[tail])
            block.ids[row], block.codes[row], block.scales[row], block.groups[row] = moved, end.codes[tail], end.scales[tail], end.groups[tail]
            self.place[moved] = at
        end.codes[tail] = 0  # what was deleted is not kept
        if last % BLOCK == 0:
            self.blocks.pop()

    def _forget(self, block: _Block, row: int) -> None:
        group = int(block.groups[row])
        self.counts[group] -= 1
        if self.counts[group]:
            self.sums[group] -= block.codes[row].astype(np.float64) * float(block.scales[row])
        else:
            self.sums[group][:] = 0

    def means(self) -> Floats:
        """What is taken away from the rows of each language: its mean, drawn towards that of all the less of it there is."""
        counts = np.array(self.counts, np.float64)
        sums = np.array(self.sums)
        common = sums.sum(axis=0) / (len(self) + SHRINK)
        own = sums / (counts + SHRINK)[:, None]  # n / (n + 3) of the mean
        drawn: Floats = (own + (SHRINK / (counts + SHRINK))[:, None] * common).astype(np.float32)
        return drawn

    def row(self, id: int) -> tuple[Floats, int]:
        at = self.place[id]
        block, row = self.blocks[at // BLOCK], at % BLOCK
        return block.codes[row].astype(np.float32) * block.scales[row], int(block.groups[row])


@dataclass(slots=True)
class Matrix:
    """The rows of an instance, by kind. Not for two threads at once."""

    width: int
    kinds: dict[str, _Kind] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(kind) for kind in self.kinds.values())

    def __contains__(self, id: int) -> bool:
        return any(id in kind.place for kind in self.kinds.values())

    def ids(self) -> list[int]:
        """Every id there is a row of."""
        return [one for kind in self.kinds.values() for one in kind.place]

    def put(self, rows: Iterable[Row]) -> None:
        """Adds rows, each in place of the one with its id; of two with one id the last stays."""
        by_kind: dict[str, list[Row]] = {}
        for row in {row.id: row for row in rows}.values():
            self.drop(row.id)
            by_kind.setdefault(row.kind, []).append(row)
        for kind, some in by_kind.items():
            self.kinds.setdefault(kind, _Kind(self.width)).add(some)

    def drop(self, id: int) -> None:
        """Takes a row out, and out of the means."""
        for kind in self.kinds.values():
            kind.drop(id)

    def near(self, id: int, kind: str, limit: int) -> list[int]:
        """The ids of `kind` nearest to `id`, best first, raw and centred counting the same; never itself, and none at all where there is no row of `id`."""
        asked = self._asked(id)
        found = self.kinds.get(kind)
        if asked is None or found is None or not len(found):
            return []
        raw, centred = _roughly(found, *asked)
        spread, middle = np.array([raw.std(), centred.std()]) + 1e-6, np.array([raw.mean(), centred.mean()])
        score = raw / np.float32(spread[0]) + centred / np.float32(spread[1])
        wide = min(len(score), WIDER * limit + 1)
        least = np.partition(score, len(score) - wide)[len(score) - wide]
        best = np.flatnonzero(score >= least)[: 2 * wide]
        ids = [int(found.blocks[at // BLOCK].ids[at % BLOCK]) for at in best]
        exact = (_exactly(found, ids, *asked) - middle) / spread
        order = sorted(zip((-exact.sum(axis=1)).tolist(), ids, strict=True))
        return [other for _, other in order if other != id][:limit]

    def likeness(self, id: int, ids: Sequence[int]) -> dict[int, tuple[float, float]]:
        """The raw and the centred cosine of `id` to each of `ids`, from -1 to 1; those without a row are left out."""
        asked = self._asked(id)
        if asked is None:
            return {}
        told: dict[int, tuple[float, float]] = {}
        for kind in self.kinds.values():
            known = [other for other in ids if other in kind.place]
            if known:
                exact = _exactly(kind, known, *asked).tolist()
                told |= {other: (raw, centred) for other, (raw, centred) in zip(known, exact, strict=True)}
        return told

    def _asked(self, id: int) -> tuple[Floats, Floats] | None:
        for kind in self.kinds.values():
            if id in kind.place:
                row, group = kind.row(id)
                return row, _unit(row - kind.means()[group])
        return None


def _unit(row: Floats) -> Floats:
    return (row / max(float(np.sqrt(row @ row)), 1e-6)).astype(np.float32)


def _roughly(kind: _Kind, raw: Floats, centred: Floats) -> tuple[Floats, Floats]:
    """Both cosines to every row of `kind`; for the centred one each row is taken to be as long as those of its language on the average."""
    means = kind.means()
    away = means @ centred
    real = np.array([total / max(count, 1) for total, count in zip(kind.sums, kind.counts, strict=True)], np.float32)
    lengths = np.sqrt(np.maximum(1 - 2 * (real * means).sum(axis=1) + (means * means).sum(axis=1), 1e-3))
    two = np.stack([raw, centred], axis=1)
    found = np.empty((2, len(kind)), np.float32)
    floats = np.empty((BLOCK, kind.width), np.float32)
    for number, block in enumerate(kind.blocks):
        start = number * BLOCK
        size = min(BLOCK, len(kind) - start)
        part = floats[:size]
        np.copyto(part, block.codes[:size])
        dots = (part @ two) * block.scales[:size, None]
        groups = block.groups[:size]
        found[0, start : start + size] = dots[:, 0]
        found[1, start : start + size] = (dots[:, 1] - away[groups]) / lengths[groups]
    return found[0], found[1]


def _exactly(kind: _Kind, ids: Iterable[int], raw: Floats, centred: Floats) -> NDArray[np.float64]:
    rows, groups = zip(*(kind.row(one) for one in ids), strict=True)
    stacked = np.array(rows, np.float64)
    away = stacked - kind.means()[list(groups)]
    lengths = np.maximum(np.sqrt((away * away).sum(axis=1)), 1e-6)
    return np.stack([stacked @ raw, (away @ centred) / lengths], axis=1)
