"""Many labels relaxed into one folder: a row for each, structures as extended XYZ, and a restart that does the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from ..files import replacing
from ..label import format_label
from ..protostructure import Protostructure
from ..realize.cluster import on_cluster
from ..realize.files import format_extxyz
from ..realize.record import Record, Row, read_rows
from .calculators import DEFAULT_CALCULATOR, Calculator, calculator_named
from .outcome import CONVERGED, FAILED
from .search import RelaxOptions, crystal_in
from .workers import one_thread, rows_of, supervised

KIND = "relaxations"
RECORD_NAME = "relaxed.jsonl"
STRUCTURES_NAME = "relaxed.xyz"


@cache
def loaded_calculator(name: str) -> Calculator:
    """One a process: loading a model takes seconds."""
    with warnings.catch_warnings():
        # Packages of calculators warn of their own dependencies on import.
        warnings.simplefilter("ignore")
        return calculator_named(name)


def relax_many(
    protostructures: Iterable[Protostructure],
    folder: Path,
    options: RelaxOptions,
    *,
    calculator: str = DEFAULT_CALCULATOR,
    jobs: int = 0,
    batch: int = 1,
    scheduler: str | None = None,
) -> Iterator[Row]:
    """The row of each label as it is done, those of an earlier run first; see `relax_label`.

    Writes `relaxed.jsonl`, and `relaxed.xyz` at the end. Raises RealizationError at once for a calculator that is not
    there. With 0 jobs the work is done in this process, without protection from a calculator that hangs or crashes;
    else in as many processes (see `supervised`), or on a dask cluster. `batch` labels at a time are relaxed side by
    side; the steps of a label are the same, but batched models round a little differently.
    """
    name = loaded_calculator(calculator).name
    settings = {"calculator": name, **asdict(options)}
    with Record(folder / RECORD_NAME, KIND, settings) as record:
        done = {row["label"] for row in record.done}
        yield from record.done
        new = _new(protostructures, done)
        if scheduler is not None:
            rows = _on_cluster(new, calculator, options, batch, scheduler)
        elif jobs:
            rows = supervised(new, calculator, options, load=loaded_calculator, jobs=jobs, batch=batch)
        else:
            rows = _here(new, calculator, options, batch)
        for row in rows:
            record.append([row])
            yield row
    _write_all(folder)


def _new(protostructures: Iterable[Protostructure], done: set[str]) -> Iterator[Protostructure]:
    for protostructure in protostructures:
        label = format_label(protostructure)
        if label not in done:
            done.add(label)
            yield protostructure


def _here(labels: Iterator[Protostructure], calculator: str, options: RelaxOptions, batch: int) -> Iterator[Row]:
    rows = rows_of(lambda _: next(labels, None), loaded_calculator(calculator), options, batch)
    yield from (row for row in rows if row is not None)


def _work(labels: Sequence[Protostructure], calculator: str, options: RelaxOptions) -> list[Row]:
    """On a worker of a cluster."""
    loaded_calculator(calculator)
    one_thread()
    return list(_here(iter(labels), calculator, options, len(labels)))


def _on_cluster(
    labels: Iterator[Protostructure], calculator: str, options: RelaxOptions, batch: int, scheduler: str
) -> Iterator[Row]:
    chunks = iter(lambda: list(islice(labels, batch)), [])
    for chunk, rows in on_cluster(partial(_work, calculator=calculator, options=options), chunks, scheduler):
        if isinstance(rows, str):
            rows = [{"label": format_label(p), "outcome": FAILED, "reason": rows} for p in chunk]
        yield from rows


def read_relaxed(folder: Path) -> Iterator[Row]:
    """The rows of the labels that were relaxed in a folder (or in its record, named itself)."""
    path = folder / RECORD_NAME if folder.is_dir() else folder
    _, rows = read_rows(path, KIND)
    yield from (row for row in rows if row["outcome"] == CONVERGED)


def _write_all(folder: Path) -> None:
    with replacing(folder / STRUCTURES_NAME) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for row in read_relaxed(folder):
            info: dict[str, Any] = {key: row[key] for key in ("label", "calculator", "label_free", "kept")}
            info["energy"] = row["energy_free"] * len(row["numbers"])
            file.write(format_extxyz(crystal_in(row), info))
