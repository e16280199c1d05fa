"""Where the tables are, and how their rows are read."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def directory() -> Path:
    """The packaged `data/` folder if it is there, else the checkout's `tables/`."""
    here = Path(__file__).resolve().parent
    packaged = here / "data"
    return packaged if packaged.is_dir() else here.parent / "tables"


def rows(name: str) -> Iterator[dict[str, str]]:
    """The rows of `NAME.csv`, every field a string."""
    with open(directory() / f"{name}.csv", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


@cache
def digest() -> str:
    """SHA-256 over the names and bytes of all tables; datasets and checkpoints carry it."""
    sha = hashlib.sha256()
    for path in sorted(directory().glob("*.csv")):
        sha.update(path.name.encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()
