"""Who trains, who validates, who tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError


def parse_split(text: str) -> tuple[float, float, float]:
    """Fractions for train, validation and test, as `0.9,0.05,0.05`; they sum to 1."""
    try:
        fractions = tuple(float(part) for part in text.split(","))
    except ValueError:
        fractions = ()
    if len(fractions) != 3 or not all(0 <= f <= 1 for f in fractions) or abs(sum(fractions) - 1) > 1e-9:
        raise DatasetError(f"a split is three fractions that sum to 1, as 0.9,0.05,0.05; got {text!r}")
    train, validation, test = fractions
    return train, validation, test


def random_split(
    n: int, *, fractions: Sequence[float] | None = None, counts: Sequence[int] | None = None, seed: int = 0
) -> NDArray[np.uint8]:
    """(N,) 0 train, 1 validation, 2 test, drawn by seed: by `fractions` of three, or `counts` of the last two.

    Raises DatasetError where there are fewer rows than asked for.
    """
    if counts is None:
        _, validation, test = fractions or (1.0, 0.0, 0.0)
        counts = round(validation * n), round(test * n)
    n_validation, n_test = counts
    if min(counts) < 0 or n_validation + n_test > n:
        raise DatasetError(f"{n_validation} validation and {n_test} test rows cannot be drawn from {n}")
    order = np.random.default_rng(seed).permutation(n)
    split = np.zeros(n, np.uint8)
    split[order[:n_validation]] = 1
    split[order[n_validation : n_validation + n_test]] = 2
    return split
