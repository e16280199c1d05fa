"""The paper's section 5 in one go: choose, rank, realize and relax, place above the hull; resumable at every step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DatasetError
from ..files import replacing
from ..hull import Hull, Rates, hull_rows, rates
from ..protostructure import Protostructure
from ..realize.record import Row
from ..relax import DEFAULT_CALCULATOR, RelaxOptions, loaded_calculator, read_relaxed, relax_many
from .rank import Candidate, Judge, rank, read_candidates, write_candidates
from .select import Selection, Wanted

CANDIDATES_NAME = "candidates.csv"
HULL_NAME = "hull.jsonl"


@dataclass(frozen=True, slots=True, eq=False)
class DiscoverOptions:
    """How candidates are chosen and relaxed, and how long."""

    wanted: Wanted = field(default_factory=Wanted)
    relax: RelaxOptions = field(default_factory=RelaxOptions)
    calculator: str = DEFAULT_CALCULATOR
    source: str = ""
    """Where the labels come from, in words: a folder goes on with no others."""
    budget: float | None = None
    """Minutes, after which no further candidate is begun; None: all of them."""
    metastable_up_to: float = 0.1
    """eV/atom above the hull."""
    jobs: int = 0
    batch: int = 1
    scheduler: str | None = None
    """Of a dask cluster that relaxes; see `relax_many`."""


@dataclass(frozen=True, slots=True, eq=False)
class Discovery:
    """What came of it; rows are those of `hull_rows`, the most stable first, then those that failed."""

    candidates: tuple[Candidate, ...]
    """In the order in which they were taken up."""
    refused: dict[str, int]
    relaxed: int
    failed: int
    rows: tuple[Row, ...]
    rates: Rates
    scale: str
    """Of the energies."""
    calculator: str
    metastable_up_to: float
    """eV/atom above the hull."""

    @property
    def places(self) -> str:
        """Where the relaxed stand, in words."""
        found = self.rates
        return (
            f"{found.stable} on or below the hull and {found.metastable} at most {self.metastable_up_to:g} eV/atom "
            f"above it; of these {found.sun} and {found.msun} are unique and novel"
        )


def discover(
    protostructures: Iterable[Protostructure],
    folder: Path,
    hull: Hull,
    options: DiscoverOptions,
    *,
    judge: Judge | None = None,
    on_row: Callable[[Row, int], None] | None = None,
) -> Discovery:
    """Candidates among protostructures, the most promising first, relaxed and placed above the hull.

    `folder` keeps the candidates (so that a second run goes on with them and reads no protostructures), the relaxations
    and the hull. `judge` says what is promising before anything is relaxed; without one, their order is kept. `on_row`
    hears of each relaxation, with the number of candidates.
    """
    calculator = loaded_calculator(options.calculator)
    hull.check(calculator.scale, calculator.name)
    folder.mkdir(parents=True, exist_ok=True)
    candidates, refused = _candidates(protostructures, folder, options, hull, judge)
    failed = 0
    rows = relax_many(
        _until([c.protostructure for c in candidates], options.budget),
        folder,
        options.relax,
        calculator=options.calculator,
        jobs=options.jobs,
        batch=options.batch,
        scheduler=options.scheduler,
    )
    for row in rows:
        failed += row["outcome"] != "relaxed"
        if on_row:
            on_row(row, len(candidates))
    known, up_to = options.wanted.known, options.metastable_up_to
    placed = list(hull_rows(read_relaxed(folder), hull, known=known, metastable_up_to=up_to))
    placed.sort(key=lambda row: row.get("energy_above_hull", float("inf")))
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in placed]
    with replacing(folder / HULL_NAME) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    found = rates(placed)
    scale = hull.references.scale
    return Discovery(candidates, refused, len(placed), failed, tuple(placed), found, scale, calculator.name, up_to)


def _until(candidates: Iterable[Protostructure], minutes: float | None) -> Iterator[Protostructure]:
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    for candidate in candidates:
        if deadline is not None and time.monotonic() > deadline:
            return
        yield candidate


def _candidates(
    protostructures: Iterable[Protostructure],
    folder: Path,
    options: DiscoverOptions,
    hull: Hull,
    judge: Judge | None,
) -> tuple[tuple[Candidate, ...], dict[str, int]]:
    path = folder / CANDIDATES_NAME
    about = path.with_suffix(".json")
    settings = {"source": options.source, "wanted": options.wanted.words(), "ranked": judge is not None}
    if path.exists() and about.exists():
        try:
            begun = json.loads(about.read_text(encoding="utf-8"))
            was, refused = begun["settings"], dict(begun["refused"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DatasetError(f"{about}: not what discover wrote: {error}") from None
        if was != settings:
            raise DatasetError(f"{path}: begun with {was}, now {settings}. Go on with the same, or write elsewhere")
        return read_candidates(path), refused
    selection = Selection(options.wanted)
    candidates = rank(list(selection.choose(protostructures)), hull, judge)
    write_candidates(path, candidates)
    with replacing(about) as temporary:
        temporary.write_text(json.dumps({"settings": settings, "refused": selection.refused}) + "\n", encoding="utf-8")
    return candidates, dict(selection.refused)
