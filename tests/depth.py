"""How long tests look for what is wrong: shortly in `make test`, and as long as somebody likes in `make soak`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SOAK = int(os.environ.get("PINGONE_SOAK", "0"))
"""How many times as many examples, kills and moments `make soak` tries; 0 in `make test`."""
AT_FIRST = 3
"""A first look takes this part of the examples that a test names."""

soaked = pytest.mark.soaked
"""Marks what `make soak` tries more of; it runs nothing else."""
long = pytest.mark.long
"""Marks what only `make soak` runs: it takes long, and something shorter in `make test` looks at the same."""


def sampled(every: int) -> pytest.MarkDecorator:
    """Mark a test with many cases: the first of them, and every so many-th after it, are enough for a first look."""
    return pytest.mark.sampled(every)


def tries(examples: int, *suppressed: HealthCheck) -> Callable[[Any], Any]:
    """Try so many examples of a property in the shortest soak, as many times more in a longer one, and a part at first.

    Around a function within a test, mark the test.
    """
    drawn = settings(
        max_examples=examples * SOAK or max(2, examples // AT_FIRST),
        suppress_health_check=[HealthCheck.too_slow, *suppressed],
    )
    return lambda test: soaked(drawn(test))


def often(first: int, *, soak: int) -> int:
    """Return how often something is tried: `first` at a first look, `soak` times as long as the soak is."""
    return soak * SOAK or first
