"""The paper's section 5 in one go: choose, realize and relax, place above the hull, report; resumable at every step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DatasetError
from ..hull import Hull, Rates, hull_rows, rates
from ..label import format_label, parse_label
from ..protostructure import Protostructure
from ..realize.record import Row
from ..relax import DEFAULT_CALCULATOR, RelaxOptions, read_relaxed, relax_many
from .select import Selection, Wanted

CANDIDATES_NAME = "candidates.txt"
HULL_NAME = "hull.jsonl"


@dataclass(frozen=True, slots=True, eq=False)
class DiscoverOptions:
    """How candidates are chosen and relaxed, and how long."""

    wanted: Wanted = field(default_factory=Wanted)
    relax: RelaxOptions = field(default_factory=RelaxOptions)
    calculator: str = DEFAULT_CALCULATOR
    budget: float | None = None
    """Minutes, after which no further candidate is begun; None: all of them."""
    metastable_up_to: float = 0.1
    """eV/atom above the hull."""
    jobs: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Discovery:
    """What came of it; rows are those of `hull_rows`, the most stable first, then those that failed."""

    candidates: int
    refused: dict[str, int]
    relaxed: int
    failed: int
    rows: tuple[Row, ...]
    rates: Rates


def discover(
    protostructures: Iterable[Protostructure],
    folder: Path,
    hull: Hull,
    options: DiscoverOptions,
    *,
    on_row: Callable[[Row, int], None] | None = None,
) -> Discovery:
    """Candidates among protostructures, relaxed and placed above the hull.

    `folder` keeps the candidates (so that a second run goes on with them and reads no protostructures), the relaxations
    and the hull. `on_row` hears of each relaxation, with the number of candidates.
    """
    folder.mkdir(parents=True, exist_ok=True)
    candidates, refused = _candidates(protostructures, folder, options.wanted)
    failed = 0
    begun = _until(candidates, options.budget)
    for row in relax_many(begun, folder, options.relax, calculator=options.calculator, jobs=options.jobs):
        failed += row["outcome"] != "relaxed"
        if on_row:
            on_row(row, len(candidates))
    rows = list(
        hull_rows(read_relaxed(folder), hull, known=options.wanted.known, metastable_up_to=options.metastable_up_to)
    )
    rows.sort(key=lambda row: row.get("energy_above_hull", float("inf")))
    (folder / HULL_NAME).write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return Discovery(len(candidates), refused, len(rows), failed, tuple(rows), rates(rows))


def _until(candidates: Iterable[Protostructure], minutes: float | None) -> Iterator[Protostructure]:
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    for candidate in candidates:
        if deadline is not None and time.monotonic() > deadline:
            return
        yield candidate


def _candidates(
    protostructures: Iterable[Protostructure], folder: Path, wanted: Wanted
) -> tuple[list[Protostructure], dict[str, int]]:
    path = folder / CANDIDATES_NAME
    counts = path.with_suffix(".json")
    if path.exists() and counts.exists():
        try:
            return [parse_label(line) for line in path.read_text().split()], json.loads(counts.read_text())
        except ValueError as error:
            raise DatasetError(f"{path}: not what discover wrote: {error}") from None
    selection = Selection(wanted)
    chosen = list(selection.choose(protostructures))
    path.write_text("".join(format_label(p) + "\n" for p in chosen), encoding="utf-8")
    counts.write_text(json.dumps(selection.refused) + "\n", encoding="utf-8")
    return chosen, dict(selection.refused)
