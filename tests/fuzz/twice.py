"""How long is guessed? Each property is a test twice: a short one that always runs, and a long one for `make soak`."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

SHORT = 120
LONG = int(os.environ.get("FEDMATCH_FUZZ", "50000"))
"""Examples of a property in a long run; ten properties make half a million of them."""


def twice(check: Callable[..., Any], *given_by: SearchStrategy[Any], short: int = SHORT) -> tuple[Any, Any]:
    """The short test and the long one of a property: `test_x, test_x_long = twice(holds, strategy)`."""

    def made(examples: int) -> Any:
        return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(given(*given_by)(check))

    return made(short), pytest.mark.soak(made(LONG))
