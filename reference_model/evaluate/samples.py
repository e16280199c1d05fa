"""Samples to evaluate, from labels, datasets, structures or others' files: canonical, with what was rejected."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from wyckoffkit import DatasetError, LabelError, Protostructure, WyckoffkitError
from wyckoffkit.encoding import WyckoffColumns, to_columns
from wyckoffkit.label import format_label, parse_label
from wyckoffkit.sources import Source, read_entry
from wyckoffkit.symmetry import DEFAULT_SYMPREC, Crystal, protostructure_of
from wyckoffkit.textlines import HDF5, open_lines, starts_with

from .foreign import foreign
from .tensors import Made

SWEEP = (0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that is no valid protostructure."""

    line: int
    """From 1; for datasets and files of structures the material, from 0."""
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
    symprec: float | None = None
    """Å, where labels were found on structures."""
    sweep: Mapping[float, Sequence[str | None]] = field(default_factory=dict)
    """By tolerance: the label of each structure, None where none was found."""

    @property
    def n_lines(self) -> int:
        """Valid and rejected together."""
        return len(self.labels) + len(self.rejected)

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason led to a rejection, the most frequent first."""
        return dict(Counter(rejection.reason for rejection in self.rejected).most_common())


def read_samples(
    path: Path, *, profile: str = "pymatgen", symprec: float = DEFAULT_SYMPREC, sweep: bool = False
) -> Samples:
    """The materials in `path`, each in canonical form; '-' is stdin with labels.

    Labels, our datasets, other generators' files (see `foreign`), and whatever wyckoffkit.sources knows: CIF, POSCAR,
    extxyz, JSON and CSV of structures, folders and zip archives of them. Structures are labelled at `symprec` (Å), and
    with `sweep` at several. Blank lines are no samples. Raises DatasetError where the file cannot be read or is empty.
    """
    if str(path) == "-":
        return collect(_labels(sys.stdin), "<stdin>", profile)
    require(path)
    if starts_with(path, HDF5):
        from wyckoffkit.dataset import read_dataset

        labels = read_dataset(path).label.tolist()
        return collect(((i, label, partial(parse_label, label)) for i, label in enumerate(labels)), str(path), profile)
    materials = foreign(path) or _sourced(path)
    if materials is not None:
        return collect(materials, str(path), profile, symprec=symprec, sweep=sweep)
    with open_lines(path) as lines:
        return collect(_labels(lines), str(path), profile)


def require(path: Path) -> None:
    """Raise DatasetError where `path` is neither '-' nor there."""
    if str(path) != "-" and not path.exists():
        raise DatasetError(f"{path}: no such file")


def require_file(path: Path) -> None:
    """The same, and not a folder."""
    require(path)
    if path.is_dir():
        raise DatasetError(f"{path} is a folder, expected a file")


def _labels(lines: Iterable[str]) -> Iterator[Made]:
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield number, text, partial(parse_label, text)


def _sourced(path: Path) -> Iterator[Made] | None:
    """Entries of a source of structures; None for what looks like text with labels, or like nothing known."""
    try:
        source = Source(path)
    except DatasetError:
        if path.is_dir():
            raise
        return None
    return None if source.kind == "labels" else _entries(source)


def _entries(source: Source) -> Iterator[Made]:
    def make(entry: object) -> Protostructure | Crystal:
        record = read_entry(entry, source.structure)  # type: ignore[arg-type]
        return record.protostructure or record.crystal  # type: ignore[return-value]

    for i, entry in enumerate(source.entries()):
        yield i, f"{entry.material_id} ({entry.place})", partial(make, entry)


def collect(
    materials: Iterable[Made],
    source: str,
    profile: str,
    *,
    symprec: float = DEFAULT_SYMPREC,
    sweep: bool = False,
) -> Samples:
    """Samples of (number, text, maker) triples. Raises DatasetError where there are none."""
    known: dict[str, tuple[Protostructure, str, str]] = {}
    found: list[tuple[Protostructure, str, str]] = []
    rejected: list[Rejection] = []
    swept: dict[float, list[str | None]] = {tolerance: [] for tolerance in SWEEP} if sweep else {}
    has_structures = False
    for number, text, make in materials:
        try:
            made = make()
            if isinstance(made, Crystal):
                has_structures = True
                for tolerance, labels in swept.items():
                    labels.append(_label_at(made, tolerance, profile))
                made = protostructure_of(made, symprec=symprec, profile=None)
            label = format_label(made)
            if label not in known:
                canonical = made.canonical(profile)
                known[label] = canonical, format_label(canonical), str(canonical.prototype(profile))
            found.append(known[label])
        except WyckoffkitError as error:
            rejected.append(Rejection(number, text, error.message if isinstance(error, LabelError) else str(error)))
    if not found and not rejected:
        raise DatasetError(f"{source}: no label in it")
    protostructures, labels_, prototypes = zip(*found, strict=True) if found else ((), (), ())
    return Samples(
        source,
        profile,
        to_columns(protostructures),
        labels_,
        prototypes,
        tuple(rejected),
        symprec if has_structures else None,
        swept if has_structures else {},
    )


def _label_at(crystal: Crystal, symprec: float, profile: str) -> str | None:
    try:
        return format_label(protostructure_of(crystal, symprec=symprec, profile=profile))
    except WyckoffkitError:
        return None
