"""Samples to evaluate: canonical labels of a text file, stdin or a dataset, and what was rejected."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from wyckoffkit import DatasetError, LabelError, Protostructure, WyckoffkitError
from wyckoffkit.encoding import WyckoffColumns, to_columns
from wyckoffkit.label import format_label, parse_label
from wyckoffkit.textlines import open_lines


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that is no valid protostructure."""

    line: int
    """From 1; for a dataset the row, from 0."""
    text: str
    reason: str


@dataclass(frozen=True, eq=False)
class Samples:
    """Protostructures in canonical form, and every line that was none."""

    source: str
    profile: str
    """The relabelings under which labels are canonical."""
    columns: WyckoffColumns
    """In canonical form."""
    labels: tuple[str, ...]
    """Canonical label of each."""
    prototypes: tuple[str, ...]
    """Prototype label of each."""
    rejected: tuple[Rejection, ...] = field(default=())

    @property
    def n_lines(self) -> int:
        """Valid and rejected together."""
        return len(self.labels) + len(self.rejected)

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason led to a rejection, the most frequent first."""
        return dict(Counter(rejection.reason for rejection in self.rejected).most_common())


def read_samples(path: Path, *, profile: str = "pymatgen") -> Samples:
    """The labels in `path` (one a line, or a dataset; '-' is stdin), each brought into canonical form.

    Blank lines are no samples. Raises DatasetError where the file cannot be read or holds no line at all.
    """
    if str(path) == "-":
        return collect(_numbered(sys.stdin), "<stdin>", profile)
    require_file(path)
    if is_hdf5(path):
        from wyckoffkit.dataset import read_dataset

        return collect(enumerate(map(str, read_dataset(path).label)), str(path), profile)
    with open_lines(path) as lines:
        return collect(_numbered(lines), str(path), profile)


def require_file(path: Path) -> None:
    """Raise DatasetError where `path` is neither '-' nor a file."""
    if path.is_dir():
        raise DatasetError(f"{path} is a folder, expected a file")
    if str(path) != "-" and not path.exists():
        raise DatasetError(f"{path}: no such file")


def is_hdf5(path: Path) -> bool:
    """By content."""
    with open(path, "rb") as file:
        return file.read(4) == b"\x89HDF"


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield number, text


def collect(lines: Iterable[tuple[int, str]], source: str, profile: str) -> Samples:
    """Samples of (line number, label) pairs. Raises DatasetError where there are none."""
    known: dict[str, tuple[Protostructure, str, str]] = {}
    found: list[tuple[Protostructure, str, str]] = []
    rejected = []
    for number, text in lines:
        if text not in known:
            try:
                protostructure = parse_label(text).canonical(profile)
                known[text] = protostructure, format_label(protostructure), str(protostructure.prototype(profile))
            except WyckoffkitError as error:
                reason = error.message if isinstance(error, LabelError) else str(error)
                rejected.append(Rejection(number, text, reason))
                continue
        found.append(known[text])
    if not found and not rejected:
        raise DatasetError(f"{source}: no label in it")
    protostructures, labels, prototypes = zip(*found, strict=True) if found else ((), (), ())
    return Samples(source, profile, to_columns(protostructures), labels, prototypes, tuple(rejected))
