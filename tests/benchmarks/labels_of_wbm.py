"""Labels that benchmarks run on: of the file that WBM_LABELS names, all of WBM where it is at hand, or 800 of it."""

from __future__ import annotations

import csv
import gzip
import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from real_labels import ALL_OF_WBM  # noqa: E402 - after the path

HELD_OUT = TESTS / "model" / "fixtures" / "wbm_held_out.txt"


def label_file() -> Path:
    """Which file that is."""
    named = os.environ.get("WBM_LABELS")
    if named:
        return Path(named)
    return ALL_OF_WBM / "wbm_labels.csv.gz" if ALL_OF_WBM else HELD_OUT


def read_labels(path: Path | None = None) -> list[str]:
    """The column `label` of a packed CSV file, or the lines of a text file that are no comments."""
    path = path or label_file()
    if path.suffix != ".gz":
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [row["label"] for row in csv.DictReader(file)]
