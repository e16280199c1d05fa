"""Who trains, who validates, who tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..csvrows import named_rows
from ..errors import DatasetError
from ..textlines import open_lines
from .form import SPLITS, Dataset

_SPLIT_NAMES = {name: value for value, name in enumerate(SPLITS)} | {"val": 1, "0": 0, "1": 1, "2": 2}


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


def parse_counts(text: str) -> tuple[int, int]:
    """Rows for validation and test, as `10000,10000`."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise DatasetError(f"split counts are two numbers, validation and test, as 10000,10000; got {text!r}")
    return int(parts[0]), int(parts[1])


def read_split(path: Path) -> dict[str, int]:
    """{material id: 0, 1 or 2} of a CSV with the columns material_id and split. DatasetError names a wrong line."""
    found: dict[str, int] = {}
    with open_lines(path) as lines:
        rows = named_rows(lines)
        if not {"material_id", "split"} <= set(rows.fieldnames or ()):
            raise DatasetError(f"{path}: a split file is a CSV with the columns material_id and split")
        for row in rows:
            name = (row["split"] or "").strip()
            if name not in _SPLIT_NAMES:
                raise DatasetError(f"{path}:{rows.line_num}: split is train, validation or test, got {name!r}")
            if row["material_id"] in found:
                raise DatasetError(f"{path}:{rows.line_num}: {row['material_id']} is named twice")
            found[row["material_id"]] = _SPLIT_NAMES[name]
    return found


def random_split(
    n: int, *, fractions: Sequence[float] | None = None, counts: Sequence[int] | None = None, seed: int = 0
) -> NDArray[np.uint8]:
    """(N,) 0 train, 1 validation, 2 test, drawn by seed: by `fractions` of three, or `counts` of the last two.

    Raises DatasetError where there are fewer rows than asked for.
    """
    n_validation, n_test = _held_out(n, fractions, counts)
    order = np.random.default_rng(seed).permutation(n)
    split = np.zeros(n, np.uint8)
    split[order[:n_validation]] = 1
    split[order[n_validation : n_validation + n_test]] = 2
    return split


def _held_out(n: int, fractions: Sequence[float] | None, counts: Sequence[int] | None) -> tuple[int, int]:
    """Rows for validation and test."""
    if counts is None:
        _, validation, test = fractions or (1.0, 0.0, 0.0)
        n_validation = round(validation * n)
        # Two halves of three rows are two and one, though each is rounded up.
        return n_validation, min(round(test * n), n - n_validation)
    n_validation, n_test = counts
    if min(counts) < 0 or n_validation + n_test > n:
        raise DatasetError(f"{n_validation} validation and {n_test} test rows cannot be drawn from {n}")
    return n_validation, n_test


SPLIT_KEYS = ("prototype", "chemical-system", "formula", "space-group")


def split_by(
    dataset: Dataset,
    key: str,
    *,
    fractions: Sequence[float] | None = None,
    counts: Sequence[int] | None = None,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """(N,) a split drawn by seed in which no `key` crosses: all materials of one prototype, say, are on one side.

    Whole groups are drawn until validation and test hold at least as many rows as asked for.
    """
    if key not in SPLIT_KEYS:
        raise DatasetError(f"materials are split by {', '.join(SPLIT_KEYS)}; got {key!r}")
    _, group = np.unique(np.array(_keys(dataset, key)), return_inverse=True)
    n = len(dataset)
    counts = _held_out(n, fractions, counts)
    sizes = np.bincount(group)
    order = np.random.default_rng(seed).permutation(len(sizes))
    reached = np.cumsum(sizes[order])
    first = int(np.searchsorted(reached, counts[0])) + 1 if counts[0] else 0
    drawn = int(reached[first - 1]) if first else 0
    last = int(np.searchsorted(reached, drawn + counts[1])) + 1 if counts[1] else first
    if last > len(sizes):
        raise DatasetError(f"{counts[0]} validation and {counts[1]} test rows cannot be drawn from {n} by {key}")
    of_group = np.zeros(len(sizes), np.uint8)
    of_group[order[:first]] = 1
    of_group[order[first:last]] = 2
    return of_group[group]


def _keys(dataset: Dataset, key: str) -> list[str]:
    match key:
        case "prototype":
            return [str(p.prototype(dataset.profile)) for p in dataset.columns]
        case "space-group":
            return [str(number) for number in dataset.columns.space_group.tolist()]
        case "chemical-system":
            return [label.partition(":")[2] for label in dataset.label.tolist()]
        case _:
            return [label.partition("_")[0] + label.partition(":")[2] for label in dataset.label.tolist()]
