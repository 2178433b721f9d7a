"""Do the benchmarks still run? Each once with tiny numbers; what it measures is judged by docs/performance.md, not here."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks import delivery, home, inbox, matching, search, start

SMALL: dict[str, tuple[Callable[[list[str]], None], Sequence[str]]] = {
    "inbox": (inbox.main, ("--count", "40", "--writers", "2", "--connections", "4", "--software", "hypercorn", "--processes", "2")),
    "delivery": (delivery.main, ("--hosts", "10", "--bad-hosts", "10", "--bad", "mixed", "--processes", "1")),
    "home": (home.main, ("--posts", "400", "--authors", "10", "--pages", "20")),
    "search": (search.main, ("--listings", "200", "--texts", "100", "--times", "4")),
    "matching": (matching.main, ("--listings", "120", "--times", "2", "--parts", "base")),
    "start": (start.main, ("--activities", "20", "--writers", "2", "--processes", "1")),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_measures_and_writes_down_what_it_found(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main, arguments = SMALL[name]
    main([*arguments, "--databases", "sqlite", "--repeat", "1", "--results", str(tmp_path)])
    written = json.loads((tmp_path / f"local-{name}.json").read_text())
    assert written["rows"]
    assert written["floors"]
    assert all(aim["measured"] > 0 for aim in written["aims"] or [{"measured": 1}])
    assert written["machine"]["cores"] > 0
    assert written["question"] in capsys.readouterr().out
